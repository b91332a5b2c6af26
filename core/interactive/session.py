# SPDX-License-Identifier: GPL-2.0-or-later
"""A session on a raster: prompts, candidates, corrections and undo of one object at a time.

One object is in work at a time. All its prompts come with every call; when the list only grew, the
answer is a *correction*: the model is asked again in the window of the new prompts, with its
earlier logits there, and what it changes is taken over near those prompts only. Everything else,
the far side of a river included, stays as it was. When prompts were taken away again, the earlier
answer comes back as it was.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from .. import job
from ..errors import ParameterError, PromptError
from ..models.base import PromptableModel
from ..models.embedding_cache import EmbeddingCache
from ..prompts.prompts import (
    PixelPrompt,
    box_prompt,
    check_inside,
    from_job,
    joint_extent,
    window_prompts,
)
from ..types import PixelBox
from ..vectors.geodesic import measure
from ..vectors.object_polygon import object_polygon
from .corrections import correct
from .first_prediction import Candidate, Question, begin, nothing_known
from .propagate import Limits, Report
from .pyramid import Levels
from .windows import Check, Level, Source

HISTORY = 32
"""Answers kept to go back to."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What a session says to its prompts; candidates best first, possibly none."""

    level: Level
    candidates: tuple[Candidate, ...]
    encoded: int

    @property
    def limit(self) -> str | None:
        return self.candidates[0].limit if self.candidates else None


@dataclass(frozen=True, eq=False)
class Shape:
    """A candidate as a polygon.

    Args:
        geometry: Shapely polygon or multipolygon in the CRS that was asked for.
        area_m2: On the ellipsoid; square pixels without a CRS.
        perimeter_m: Likewise.
    """

    geometry: Any
    area_m2: float
    perimeter_m: float


@dataclass(frozen=True, eq=False)
class _Round:
    """Prompts that were asked and what came of them."""

    prompts: tuple[PixelPrompt, ...]
    base: int
    multimask: bool
    candidates: tuple[Candidate, ...]

    @property
    def keys(self) -> tuple[tuple[str, bool, bytes], ...]:
        return tuple(prompt.key for prompt in self.prompts)


@dataclass
class Session:
    """Interactive work on one raster with one model.

    Args:
        open_level: The raster at a number of full-resolution pixels per working pixel.
        model: A loaded model; its only caller is this session's thread.
        cache: Keeps embeddings; may be shared between sessions.
        limits: How far an object is followed.
    """

    open_level: Callable[[int], Source]
    model: PromptableModel
    cache: EmbeddingCache
    limits: Limits = field(default_factory=Limits)
    levels: Levels = field(init=False, repr=False)
    _rounds: list[_Round] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        self.levels = Levels(self.open_level, self.model, self.cache)

    def level(self, octave: int = 0) -> Level:
        """The raster at a working resolution, see :meth:`.levels.Levels.level`."""
        return self.levels.level(octave)

    def set_view(self, at: Sequence[float], pixel_size: float | None, crs: Any = None) -> None:
        """Choose the working resolution for a view; ignored while an object is in work.

        Args:
            at: (x, y) of a place in view.
            pixel_size: Ground units of ``crs`` a screen pixel; None for full resolution.
            crs: Of both.
        """
        if not self._rounds:
            self.levels.octave = self.levels.octave_at(at, pixel_size, crs)

    # -- prompts ---------------------------------------------------------------------------------

    def prompt(
        self,
        prompts: Sequence[job.Prompt],
        *,
        crs: Any = None,
        pixel_size: float | None = None,
        multimask: bool = True,
        candidate: int = 0,
        check: Check | None = None,
        report: Report | None = None,
    ) -> Answer:
        """The best polygons for all prompts of the object in work.

        Args:
            prompts: All of them, oldest first.
            crs: Their CRS; None for the raster's.
            pixel_size: Ground units of ``crs`` a screen pixel, for the working resolution.
            multimask: Up to three candidates rather than one.
            candidate: Which of the last answer's candidates the newest prompts correct.
            check: Raises ``Cancelled`` where the answer is no longer wanted.
            report: Told how many windows were asked.

        Raises:
            PromptError: A prompt is malformed, off the raster, or where it has no data.
        """
        if prompts and prompts[0].coordinates and len(prompts[0].coordinates[0]) == 2:
            self.set_view(prompts[0].coordinates[0], pixel_size, crs)
        level = self.level(self.levels.octave)
        pixels = from_job(prompts, self.levels.place(crs, self.levels.octave))
        check_inside(pixels, level.source.shape)
        before = self.levels.encoded
        self._rewind(pixels, candidate, multimask)
        if self._rounds and self._rounds[-1].keys == tuple(p.key for p in pixels):
            candidates = self._rounds[-1].candidates
        else:
            base = self._base(candidate)
            new = pixels[len(self._rounds[-1].prompts) :] if self._rounds else pixels
            question = Question(
                level=level,
                coarser=partial(self.levels.coarser, self.levels.octave),
                prompts=tuple(pixels),
                multimask=multimask,
                limits=self.limits,
                check=check,
                report=report,
            )
            candidates = begin(question) if base is None else correct(question, base, new)
            self._rounds.append(_Round(tuple(pixels), candidate, multimask, candidates))
            del self._rounds[:-HISTORY]
        return Answer(level, candidates, self.levels.encoded - before)

    def _rewind(self, prompts: Sequence[PixelPrompt], candidate: int, multimask: bool) -> None:
        """Drop rounds that these prompts do not go on from."""
        keys = tuple(prompt.key for prompt in prompts)
        while self._rounds:
            last = self._rounds[-1]
            if last.keys == keys:
                # The same prompts on another candidate of the round before are another question.
                same_base = len(self._rounds) < 2 or last.base == candidate
                if same_base and last.multimask == multimask:
                    return
            elif last.keys == keys[: len(last.keys)]:
                return
            self._rounds.pop()

    def _base(self, candidate: int) -> Candidate | None:
        if not self._rounds or not self._rounds[-1].candidates:
            return None
        candidates = self._rounds[-1].candidates
        if not 0 <= candidate < len(candidates):
            raise ParameterError(
                f"There is no candidate {candidate}: the last answer had {len(candidates)}."
            )
        return candidates[candidate]

    def hover(
        self,
        prompts: Sequence[job.Prompt],
        *,
        crs: Any = None,
        pixel_size: float | None = None,
        check: Check | None = None,
    ) -> Answer:
        """A preview from one window that is encoded already; remembers and encodes nothing."""
        octave = self.levels.octave
        if not self._rounds and prompts and prompts[0].coordinates:
            octave = self.levels.octave_at(prompts[0].coordinates[0], pixel_size, crs)
        level = self.level(octave)
        pixels = from_job(prompts, self.levels.place(crs, octave))
        check_inside(pixels, level.source.shape)
        window = level.lattice.around(joint_extent(pixels))
        if not level.ready(window):
            return Answer(level, (), 0)
        asked = window_prompts(pixels, window, level.cell, accepts=level.model.info.accepts)
        said = asked and level.ask(window, asked, multimask=False, check=check)
        if not said:
            return Answer(level, (), 0)
        trusted = level.lattice.trusted(window)
        rows, cols = trusted.slices(window.cells(level.cell))
        known = nothing_known(level).add(
            trusted, said[0][0, 0, rows, cols], np.ones(trusted.shape, np.float32)
        )
        if known.positive_box() is None:
            return Answer(level, (), 0)
        found = Candidate(known, float(said[1][0, 0]), frozenset([window]))
        return Answer(level, (found,), 0)

    @property
    def last(self) -> Answer | None:
        """The last answer of the object in work."""
        if not self._rounds:
            return None
        return Answer(self.level(self.levels.octave), self._rounds[-1].candidates, 0)

    @property
    def prompts(self) -> tuple[PixelPrompt, ...]:
        """The prompts of the object in work."""
        return self._rounds[-1].prompts if self._rounds else ()

    def accepted(self, index: int) -> Candidate:
        """A candidate of the last answer, to be kept; the object in work is then forgotten.

        Raises:
            PromptError: There is no such candidate.
        """
        last = self.last
        if last is None or not 0 <= index < len(last.candidates):
            count = 0 if last is None else len(last.candidates)
            raise PromptError(
                f"There is no candidate {index} to accept: the last answer had {count}. "
                "Give a prompt first."
            )
        self.reset()
        return last.candidates[index]

    def reset(self) -> None:
        """Forget the prompts and logits of the object in work."""
        self._rounds.clear()

    def close(self) -> None:
        """Close the raster at all resolutions."""
        self.levels.close()
        self._rounds.clear()

    # -- polygons --------------------------------------------------------------------------------

    def shape(
        self, candidate: Candidate, level: Level, *, crs: Any = None, simplify: float | None = None
    ) -> Shape:
        """A candidate's polygon.

        Args:
            candidate: From an answer.
            level: The answer's.
            crs: CRS of the polygon; None for the raster's.
            simplify: Tolerance in ground units of the raster's CRS; None for half a pixel.
        """
        return self.shapes(Answer(level, (candidate,), 0), crs=crs, simplify=simplify)[0]

    def shapes(
        self, answer: Answer, *, crs: Any = None, simplify: float | None = None
    ) -> list[Shape]:
        """All candidates' polygons, as :meth:`shape` makes one."""
        level = answer.level
        source = level.source
        polygons = [
            object_polygon(found.known, level.cell, source.transform, source.shape, simplify)
            for found in answer.candidates
        ]
        # Measured together: finding the ellipsoid of a CRS takes longer than measuring.
        sizes = measure(polygons, source.crs)
        if crs is not None:
            place = self.levels.place_at(level, crs)
            polygons = place.shapes_from_raster(polygons)
        return [
            Shape(polygon, float(area), float(perimeter))
            for polygon, area, perimeter in zip(polygons, sizes.area, sizes.perimeter, strict=True)
        ]

    # -- ahead of the mouse ----------------------------------------------------------------------

    def windows_ahead(
        self,
        at: Sequence[float],
        movement: Sequence[float] = (0.0, 0.0),
        *,
        crs: Any = None,
        pixel_size: float | None = None,
    ) -> tuple[Level, list[PixelBox]]:
        """The window under the cursor, then its neighbours, those in the way of movement first.

        Returns:
            The level and windows that are not encoded yet; nothing where the cursor is off the
            raster.
        """
        octave = self.levels.octave if self._rounds else self.levels.octave_at(at, pixel_size, crs)
        level = self.level(octave)
        place = self.levels.place(crs, octave)
        row, col = (float(v) for v in place.to_pixels([at])[0])
        lattice = level.lattice
        if not (0 <= row < lattice.height and 0 <= col < lattice.width):
            return level, []
        here = lattice.around((row, col, row, col))
        ahead = [at[0] + movement[0], at[1] + movement[1]]
        row1, col1 = (float(v) for v in place.to_pixels([ahead])[0])
        direction = np.array([row1 - row, col1 - col])
        length = float(np.hypot(*direction))
        middle = np.array([here.row0, here.col0])

        def against(window: PixelBox) -> float:
            step = np.array([window.row0, window.col0]) - middle
            return -float(step @ direction) / (length * float(np.hypot(*step)))

        others = lattice.neighbours(here)
        # A cursor at rest needs no more than where it is.
        ahead_of = [w for w in others if length > 0 and against(w) < 0]
        wanted = (here, *sorted(ahead_of, key=against))
        return level, [window for window in wanted if not level.known_ready(window)]

    def is_encoded(self, at: Sequence[float], level: Level, crs: Any = None) -> bool:
        """Whether a prompt at a place is known to need no encoding; reads nothing."""
        place = self.levels.place_at(level, crs)
        row, col = (float(v) for v in place.to_pixels([at])[0])
        if not (0 <= row < level.lattice.height and 0 <= col < level.lattice.width):
            return False
        return level.known_ready(level.lattice.around((row, col, row, col)))

    def windows_over(self, extent: Sequence[float] | None, crs: Any = None) -> list[PixelBox]:
        """The full-resolution windows over an area.

        Args:
            extent: (xmin, ymin, xmax, ymax) in ``crs``; None for the whole raster.
            crs: None for the raster's.

        Raises:
            ParameterError: The extent is not one, or lies off the raster.
        """
        level = self.level(0)
        height, width = level.source.shape
        if extent is None:
            return level.lattice.covering((0.0, 0.0, float(height), float(width)))
        if len(extent) != 4 or not all(math.isfinite(v) for v in extent):
            raise ParameterError(f"An extent is [xmin, ymin, xmax, ymax], not {list(extent)!r}.")
        corners = np.array([extent[:2], extent[2:]], np.float64)
        box = box_prompt(corners, self.levels.place(crs, level.octave)).extent
        if box[2] <= 0 or box[3] <= 0 or box[0] >= height or box[1] >= width:
            raise ParameterError("The extent lies outside the raster: check its CRS.")
        return level.lattice.covering(box)
