# SPDX-License-Identifier: GPL-2.0-or-later
"""Following one object from window to window until its outline closes.

A window's answer is believed up to its trusted border. Where the object reaches that border and
the raster goes on, the window in whose middle half the place lies is asked for the same object:
prompted with what is known of it there (at least half of that window is known already) as a mask,
with points well inside, and with the user's own prompts. An answer is taken when it agrees with
what is known; the fused logits then tell where the object still goes on. Every step decides the
places that it was made for, so it ends.

An object that is larger than a window is first looked at from further away: a window at a quarter
and, if that is not enough, at a sixteenth of the resolution gives a *guide* to all of it. The
guide completes the mask prompts where nothing is known yet, spares the windows that lie wholly
inside, and finishes the outline where a limit stops the walk.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from affine import Affine
from scipy.ndimage import label as label_parts

from ..errors import ModelError
from ..masks.logits import LOGIT_RANGE
from ..masks.sparse_logits import Field, keep_parts
from ..prompts.prompts import PixelPrompt, window_prompts
from ..types import BoolArray, CellBox, FloatArray, PixelBox
from .coarse_prior import Guide, best_agreement, points_inside, resample
from .windows import Check, Level

AGREEMENT = 0.5
"""IoU with what is known from which a neighbour's answer is taken (as for edges in the merge)."""

COARSE_AGREEMENT = 0.6
"""Likewise for the coarse pass: its cells are larger, so it must be plainly the same object."""

COARSE_STEPS = (4, 16)
"""Working pixels per coarse pixel, tried in this order."""

COARSE_AFTER = 3
"""Windows after which an object that is still open is looked at from further away."""

INSIDE_POINTS = 3
"""Points given to a neighbour, each the furthest from the outline that is left."""

GUIDE_SHARE = 1e-3
"""Weight of the guide where a limit stopped the walk: any window's answer outweighs it."""

Report = Callable[[int, int], None]
"""Called with the windows done and those known to be needed."""


@dataclass(frozen=True)
class Limits:
    """How far an object is followed.

    Args:
        windows: Windows asked for one object.
    """

    windows: int = 128


@dataclass
class Walk:
    """Follows one object; holds what is shared between its steps.

    Args:
        level: The working resolution.
        coarser: The level at a number of working pixels per pixel, or None beyond the coarsest.
        prompts: The user's, in working pixels.
        limits: How far to go.
        check: Raises ``Cancelled``.
        report: Told about progress.
    """

    level: Level
    coarser: Callable[[int], Level | None]
    prompts: Sequence[PixelPrompt]
    limits: Limits = field(default_factory=Limits)
    check: Check | None = None
    report: Report | None = None
    windows: set[PixelBox] = field(default_factory=set)
    guide: Guide | None = None
    limit: str | None = None
    _refused: set[tuple[int, int]] = field(default_factory=set)
    _guided: bool = False

    def follow(self, known: Field) -> Field:
        """Ask window after window until the object closes or a limit is met.

        Returns:
            The fused field; :attr:`limit` says why it stays open, if it does.
        """
        while True:
            exits = [cell for cell in known.exits() if cell not in self._refused]
            if not exits:
                return self._finished(known)
            if not self._guided and self._is_large(known, exits):
                self._guided = True
                self.guide = self.look_from_afar(known)
            for window, cells in self._windows_of(exits):
                if self._at_limit():
                    return self._finished(known)
                if self.report is not None:
                    self.report(len(self.windows), len(self.windows) + 1)
                after = self._step(known, window, cells)
                if after is None:
                    self._refused.update(cells)
                    if self.limit is None:
                        self.limit = (
                            "The model did not find the object again in a neighbouring window: "
                            "give a prompt where the outline is cut."
                        )
                else:
                    known = after

    def _at_limit(self) -> bool:
        """Whether no more windows may be asked; then :attr:`limit` says so."""
        if len(self.windows) < self.limits.windows:
            return False
        self.limit = (
            f"The object was followed through {self.limits.windows} windows, which is the limit: "
            "zoom out for a coarser outline, or go on with another prompt where it stops."
        )
        return True

    def trace(self, known: Field, guide: Guide) -> Field:
        """An object found at a coarser level, refined part by part at the working resolution.

        Returns:
            The fused field; what could not be seen closer is filled in from the guide.
        """
        self.guide, self._guided = guide, True
        parts, count = label_parts(guide.logits > 0, structure=np.ones((3, 3), bool))
        matrix = guide.level.to(self.level)
        for number in range(1, count + 1):
            row, col = points_inside(parts == number, 1)[0]
            cell = guide.level.cell
            x, y = matrix @ (
                guide.window.col0 + (col + 0.5) * cell,
                guide.window.row0 + (row + 0.5) * cell,
            )
            if known.at(int(y) // self.level.cell, int(x) // self.level.cell) is not None:
                continue
            if self._at_limit():
                break
            window = self.level.lattice.around((y, x, y, x))
            self.windows.add(window)
            trusted = self.level.lattice.trusted(window)
            answer = self._ask_as_guided(window, guide)
            if answer is not None:
                known = known.add(trusted, answer, self.level.lattice.weights(window))
                known = self.follow(known)
            else:
                self.limit = (
                    "The model finds the object at a coarser resolution only: its outline is "
                    "that coarse in places."
                )
        return self._completed(known)

    def _ask_as_guided(self, window: PixelBox, guide: Guide) -> FloatArray | None:
        """The guide's object in a window of the working resolution; None where it disagrees."""
        cells = window.cells(self.level.cell)
        seen = guide.sample(self.level, cells)
        return self._ask_known(window, seen, np.ones(cells.shape, bool), COARSE_AGREEMENT)

    def _is_large(self, known: Field, exits: list[tuple[int, int]]) -> bool:
        if len(self.windows) >= COARSE_AFTER:
            return True
        box = known.positive_box()
        # From one trusted border to the opposite one: certainly larger than a window.
        span = 0.75 * self.level.lattice.size / self.level.cell
        rows = {row for row, _ in exits}
        cols = {col for _, col in exits}
        return box is not None and (
            (box.height >= span and max(rows) - min(rows) >= span)
            or (box.width >= span and max(cols) - min(cols) >= span)
        )

    def _windows_of(
        self, exits: list[tuple[int, int]]
    ) -> list[tuple[PixelBox, list[tuple[int, int]]]]:
        """The windows in whose middle the exits lie, those with the most exits first."""
        cell, lattice = self.level.cell, self.level.lattice
        windows: dict[tuple[int, int], PixelBox] = {}
        places: dict[PixelBox, list[tuple[int, int]]] = {}
        # All cells of a quarter step lie in the middle of the same window: ask once for them all.
        quarter = max(lattice.size // 4 // cell, 1)
        for row, col in exits:
            key = (row // quarter, col // quarter)
            if key not in windows:
                at = ((row + 0.5) * cell, (col + 0.5) * cell)
                windows[key] = lattice.around((*at, *at))
            places.setdefault(windows[key], []).append((row, col))
        return sorted(places.items(), key=lambda item: (-len(item[1]), item[0]))

    def _step(self, known: Field, window: PixelBox, cells: list[tuple[int, int]]) -> Field | None:
        """One more window, to decide some cells; None where the model finds no object there."""
        lattice = self.level.lattice
        trusted, weights = lattice.trusted(window), lattice.weights(window)
        before, behind = known.read(trusted.grown(1))
        at = np.array(cells) - (trusted.row0 - 1, trusted.col0 - 1)
        beside = _grown(before > 0)[at[:, 0], at[:, 1]]
        if not (beside & (behind[at[:, 0], at[:, 1]] <= 0)).any():
            return known  # an earlier window of this round has decided these places
        if self._inside_guide(trusted):
            sure = np.full(trusted.shape, LOGIT_RANGE, np.float32)
            behind = behind[1:-1, 1:-1]
            return known.add(trusted, sure, np.where(behind > 0, 0, weights).astype(np.float32))
        self.windows.add(window)
        answer = self.ask_again(known, window)
        if answer is None:
            return None
        return known.add(trusted, answer, weights)

    def _inside_guide(self, box: CellBox) -> bool:
        """Whether the guide has a box, and a coarse cell around it, surely inside the object."""
        if self.guide is None:
            return False
        scale = math.ceil(
            self.guide.level.cell * abs(self.guide.level.to(self.level).a) / self.level.cell
        )
        return bool((self.guide.sample(self.level, box.grown(scale)) > 1.0).all())

    def ask_again(self, known: Field, window: PixelBox) -> FloatArray | None:
        """The object in one more window, as the known part of it says which object.

        Returns:
            float32 logits of the window's trusted cells, or None where no answer agrees.
        """
        level = self.level
        cells = window.cells(level.cell)
        logits, behind = known.read(cells)
        seen = behind > 0
        if self.guide is not None:
            logits = np.where(seen, logits, self.guide.sample(level, cells)).astype(np.float32)
        return self._ask_known(window, logits, seen, AGREEMENT)

    def _ask_known(
        self, window: PixelBox, mask: FloatArray, seen: BoolArray, least: float
    ) -> FloatArray | None:
        """The model's object in a window that agrees with what is known there.

        Args:
            window: Where to ask.
            mask: (h, w) float32 logits of the window's cells, as the mask prompt.
            seen: (h, w) bool, where the mask counts as known.
            least: IoU within ``seen`` from which an answer agrees.

        Returns:
            float32 logits of the window's trusted cells; only parts that touch the known object.
        """
        level = self.level
        trusted = level.lattice.trusted(window)
        cells = window.cells(level.cell)
        inside = (mask > 0) & seen
        if not inside.any():
            return None
        spots = points_inside(inside, INSIDE_POINTS)
        origin = np.array([window.row0, window.col0], np.float64)
        hints = [
            PixelPrompt("point", (origin + (np.array(spot) + 0.5) * level.cell)[None])
            for spot in spots
        ]
        points_only = [p for p in self.prompts if p.type in ("point", "stroke")]
        accepts = level.model.info.accepts
        rows, cols = trusted.slices(cells)
        trusted_seen, object_seen = seen[rows, cols], inside[rows, cols]
        for with_mask in (True, False) if "mask" in accepts else (False,):
            prompts = window_prompts(
                [*points_only, *hints],
                window,
                level.cell,
                logits=mask if with_mask else None,
                accepts=accepts,
            )
            if prompts is None:
                return None
            said = level.ask(window, prompts, multimask=True, check=self.check)
            if said is None:  # no data there: the object ends with them
                return np.full(trusted.shape, -LOGIT_RANGE, np.float32)
            offered = said[0][0][:, rows, cols]
            chosen, agreement = best_agreement(offered, said[1][0], object_seen, trusted_seen)
            if agreement >= least:
                return keep_parts(offered[chosen], object_seen)
        return None

    def look_from_afar(self, known: Field) -> Guide | None:
        """The coarse pass: the whole object in one window at a lower resolution, if it shows."""
        best: Guide | None = None
        for step in COARSE_STEPS:
            level = self.coarser(step)
            if level is None or (best is not None and level is best.level):
                break
            guide = self._look(known, level)
            if guide is None:
                break
            best = guide
            if guide.closed:
                break
        return best

    def _look(self, known: Field, level: Level) -> Guide | None:
        box = known.positive_box()
        if box is None:
            return None
        matrix = self.level.to(level)
        ends = [matrix @ (box.col0 * self.level.cell, box.row0 * self.level.cell)]
        ends.append(matrix @ (box.col1 * self.level.cell, box.row1 * self.level.cell))
        window = level.lattice.around((ends[0][1], ends[0][0], ends[1][1], ends[1][0]))
        cells = window.cells(level.cell)
        logits, seen = self._from_fine(known, level, cells)
        inside = (logits > 0) & seen
        if not inside.any():
            return None
        origin = np.array([window.row0, window.col0], np.float64)
        hints = [
            PixelPrompt("point", (origin + (np.array(spot) + 0.5) * level.cell)[None])
            for spot in points_inside(inside, INSIDE_POINTS)
        ]
        prompts = window_prompts(
            [*(p.scaled(matrix) for p in self.prompts), *hints],
            window,
            level.cell,
            logits=logits,
            accepts=level.model.info.accepts,
        )
        if prompts is None:
            return None
        said = level.ask(window, prompts, multimask=True, check=self.check)
        if said is None:
            return None
        chosen, agreement = best_agreement(said[0][0], said[1][0], inside, seen)
        if agreement < COARSE_AGREEMENT:
            return None
        trusted = level.lattice.trusted(window)
        answer = said[0][0][chosen]
        part = keep_parts(answer, inside)
        field_ = Field(level.lattice.cells, level.lattice.step // level.cell).add(
            trusted,
            part[trusted.slices(cells)],
            np.ones(trusted.shape, np.float32),
        )
        return Guide(level, window, part, closed=not field_.exits())

    def _from_fine(
        self, known: Field, level: Level, cells: CellBox
    ) -> tuple[FloatArray, BoolArray]:
        """What is known, at a coarser level's cells: logits (0 where unknown) and whether known."""
        fine_box = known.positive_box()
        if fine_box is None:
            raise ModelError("An object without cells cannot be predicted at a coarser level.")
        edge = self.level.lattice.size // self.level.cell
        around = fine_box.grown(edge // 4)
        logits, behind = known.read(around)
        place = around.pixels(self.level.cell)
        down = level.to(self.level)
        steps = (4, 4)
        total = np.zeros(cells.shape, np.float32)
        count = np.zeros(cells.shape, np.float32)
        # Averaged over a coarse cell, not picked at its middle: thin things would come and go.
        for i in range(steps[0]):
            for j in range(steps[1]):
                offset = Affine.translation(
                    ((j + 0.5) / steps[1] - 0.5) * level.cell,
                    ((i + 0.5) / steps[0] - 0.5) * level.cell,
                )
                matrix = down @ offset
                shared = (matrix, cells, level.cell, 0.0)
                total += resample(logits, place, self.level.cell, *shared)
                known_here = (behind > 0).astype(np.float32)
                count += resample(known_here, place, self.level.cell, *shared)
        number = steps[0] * steps[1]
        return (total / number).astype(np.float32), np.asarray(count >= 0.99 * number, np.bool_)

    def _finished(self, known: Field) -> Field:
        """Where the walk ended early, the guide finishes the outline."""
        return self._completed(known) if self.guide is not None and known.exits() else known

    def _completed(self, known: Field) -> Field:
        """The field with the guide wherever nothing is known."""
        guide = self.guide
        if guide is None:
            return known
        matrix = guide.level.to(self.level)
        box = guide.level.lattice.trusted(guide.window).pixels(guide.level.cell)
        col0, row0 = matrix @ (box.col0, box.row0)
        col1, row1 = matrix @ (box.col1, box.row1)
        cells = PixelBox(round(row0), round(col0), round(row1), round(col1)).cells(self.level.cell)
        for index, part in known.pieces(cells.intersection(self.level.lattice.cells)):
            sampled = guide.sample(self.level, part)
            if not (sampled > 0).any() and index not in known.blocks:
                continue
            _, behind = known.read(part)
            share = np.where(behind > 0, 0.0, GUIDE_SHARE).astype(np.float32)
            known = known.add(part, sampled, share)
        return known


def _grown(mask: BoolArray) -> BoolArray:
    """A mask and the cells beside it."""
    out: BoolArray = mask.copy()
    out[1:, :] |= mask[:-1, :]
    out[:-1, :] |= mask[1:, :]
    out[:, 1:] |= mask[:, :-1]
    out[:, :-1] |= mask[:, 1:]
    return out
