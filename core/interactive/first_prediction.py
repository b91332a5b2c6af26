# SPDX-License-Identifier: GPL-2.0-or-later
"""The first prediction: prompts to candidate masks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ..errors import PromptError
from ..masks.sparse_logits import Field
from ..prompts.prompts import PixelPrompt, joint_extent, window_prompts
from ..types import FloatArray, PixelBox
from .coarse_prior import Guide
from .propagate import Limits, Report, Walk
from .windows import Check, Level

WELL_INSIDE = 1 / 16
"""Window sides that all prompts must keep from a window's border; else the first prediction is
made at a coarser level."""

SAME_CANDIDATE = 0.98
"""IoU from which two candidates are one."""

MORE_WINDOWS = 4
"""Windows that a second or third candidate may need beyond those of the best."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """One answer to the prompts.

    Args:
        known: Its fused logits.
        score: The model's own estimate of IoU, where the prompts are.
        windows: Those that were asked for it.
        limit: Why it is not followed further, or None where it closes.
    """

    known: Field
    score: float
    windows: frozenset[PixelBox]
    limit: str | None = None

    @property
    def stability(self) -> float:
        """IoU of the object cut one logit higher and one lower."""
        return self.known.stability()


@dataclass(frozen=True, eq=False)
class Question:
    """Everything that an answer depends on.

    Args:
        level: The raster at the working resolution.
        coarser: The level at a number of its pixels per pixel, None beyond the coarsest.
        prompts: All prompts of the object, in the level's pixels.
        multimask: Up to three candidates rather than one.
        limits: How far an object is followed.
        check: Raises ``Cancelled``.
        report: Told about progress.
    """

    level: Level
    coarser: Callable[[int], Level | None]
    prompts: tuple[PixelPrompt, ...]
    multimask: bool = True
    limits: Limits = field(default_factory=Limits)
    check: Check | None = None
    report: Report | None = None

    def walk(self, windows: Iterable[PixelBox] = ()) -> Walk:
        """A walk for this question's object that has asked some windows already."""
        return Walk(
            level=self.level,
            coarser=self.coarser,
            prompts=self.prompts,
            limits=self.limits,
            check=self.check,
            report=self.report,
            windows=set(windows),
        )


def nothing_known(level: Level) -> Field:
    """A field of a level in which no window has been asked."""
    return Field(level.lattice.cells, level.lattice.step // level.cell)


def begin(question: Question) -> tuple[Candidate, ...]:
    """The first answer to prompts: candidates, best first; none where the model finds nothing.

    Raises:
        PromptError: The raster has no data where the prompts are.
    """
    level = question.level
    positive = [prompt for prompt in question.prompts if prompt.positive]
    extent = joint_extent(positive)
    window = level.lattice.around(extent)
    check_data(level, positive)
    if level.lattice.margin(window, extent) < WELL_INSIDE * level.lattice.size:
        return _begin_from_afar(question)
    check_window(level, window)
    asked = window_prompts(question.prompts, window, level.cell, accepts=level.model.info.accepts)
    said = asked and level.ask(window, asked, multimask=question.multimask, check=question.check)
    if not said:
        return ()
    candidates: list[Candidate] = []
    for logits, score in by_score(*said):
        known = add_window(nothing_known(level), level, window, logits)
        candidates += _followed(question, known, score, window, candidates)
    return different(candidates)


def check_window(level: Level, window: PixelBox) -> None:
    """Refuse a window without any data.

    Raises:
        PromptError: There is no image.
    """
    if level.key(window) is None:
        raise PromptError(
            "The raster has no data around the prompt: give it where there is an image."
        )


def check_data(level: Level, prompts: Sequence[PixelPrompt]) -> None:
    """Refuse points on pixels without data.

    Raises:
        PromptError: Names the point.
    """
    height, width = level.source.shape
    for prompt in prompts:
        if prompt.type != "point":
            continue
        row, col = (int(v) for v in np.floor(prompt.points[0]))
        row, col = min(max(row, 0), height - 1), min(max(col, 0), width - 1)
        if not level.source.has_data(PixelBox(row, col, row + 1, col + 1)):
            raise PromptError(
                f"The raster has no data at the point in pixel row {row}, column {col}."
            )


def add_window(known: Field, level: Level, window: PixelBox, logits: FloatArray) -> Field:
    """A window's answer, as far as it is trusted, into a field."""
    trusted = level.lattice.trusted(window)
    rows, cols = trusted.slices(window.cells(level.cell))
    return known.add(trusted, logits[rows, cols], level.lattice.weights(window))


def by_score(logits: FloatArray, scores: FloatArray) -> list[tuple[FloatArray, float]]:
    """Masks of one prompt, (1, m, h, w) and (1, m), the best first."""
    order = np.argsort(-scores[0], kind="stable")
    return [(logits[0, i], float(scores[0, i])) for i in order]


def _followed(
    question: Question,
    known: Field,
    score: float,
    window: PixelBox,
    better: Sequence[Candidate],
) -> list[Candidate]:
    """A window's mask followed to its end; nothing where it is empty."""
    if known.positive_box() is None:
        return []
    if better:
        # Alternatives are looked at mostly where the best one has been: a background that was
        # offered as a third choice must not cost a minute of encoding.
        room = min(len(better[0].windows) + MORE_WINDOWS, question.limits.windows)
        question = replace(question, limits=replace(question.limits, windows=room))
    walk = question.walk([window])
    known = walk.follow(known)
    return [Candidate(known, score, frozenset(walk.windows), walk.limit)]


def different(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Candidates without repetitions, best first."""
    kept: list[Candidate] = []
    for candidate in sorted(candidates, key=lambda c: -c.score):
        if all(candidate.known.same(other.known) < SAME_CANDIDATE for other in kept):
            kept.append(candidate)
    return tuple(kept)


# -- prompts that no window holds ----------------------------------------------------------------


def _begin_from_afar(question: Question) -> tuple[Candidate, ...]:
    """Prompts wider than a window: a coarse answer first, then its outline window by window."""
    level = question.level
    step = 2
    coarse = question.coarser(step)
    while coarse is not None:
        matrix = level.to(coarse)
        prompts = [prompt.scaled(matrix) for prompt in question.prompts]
        around = joint_extent([prompt for prompt in prompts if prompt.positive])
        window = coarse.lattice.around(around)
        further = question.coarser(step * 2)
        roomy = coarse.lattice.margin(window, around) >= WELL_INSIDE * coarse.lattice.size
        if roomy or further is None or further is coarse:
            break
        coarse, step = further, step * 2
    if coarse is None:
        raise PromptError(
            "The prompts lie too far apart for one window of this raster: give them one by one."
        )
    asked = window_prompts(prompts, window, coarse.cell, accepts=level.model.info.accepts)
    said = asked and coarse.ask(window, asked, multimask=question.multimask, check=question.check)
    if not said:
        return ()
    candidates: list[Candidate] = []
    for logits, score in by_score(*said):
        trusted = coarse.lattice.trusted(window)
        rows, cols = trusted.slices(window.cells(coarse.cell))
        seen = nothing_known(coarse).add(
            trusted, logits[rows, cols], np.ones(trusted.shape, np.float32)
        )
        if seen.positive_box() is None:
            continue
        limit = question.limits.windows
        if candidates:
            limit = min(len(candidates[0].windows) + MORE_WINDOWS, limit)
        walk = replace(question, limits=Limits(limit)).walk()
        guide = Guide(coarse, window, logits, closed=not seen.exits())
        known = walk.trace(nothing_known(level), guide)
        if known.positive_box() is not None:
            candidates.append(Candidate(known, score, frozenset(walk.windows), walk.limit))
    return different(candidates)
