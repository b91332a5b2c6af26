# SPDX-License-Identifier: GPL-2.0-or-later
"""How prompts become candidates: the first answer, and corrections that stay near their click."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.ndimage import binary_dilation, distance_transform_edt
from scipy.ndimage import label as label_parts

from .continuation import Guide, Limits, Report, Walk, points_inside
from .errors import PromptError
from .field import Field
from .prompts import PixelPrompt, along_stroke, joint_extent, window_prompts
from .types import BoolArray, CellBox, FloatArray, PixelBox
from .windows import Check, Extent, Level

NEAR_CLICK = 1 / 16
"""Reach of a corrective prompt in window sides: changes that come this near are taken over."""

WELL_INSIDE = 1 / 16
"""Window sides that all prompts must keep from a window's border; else a first look from afar."""

SAME_CANDIDATE = 0.98
"""IoU from which two candidates are one."""

MORE_WINDOWS = 4
"""Windows that a second or third candidate may need beyond those of the best."""

_EIGHT = np.ones((3, 3), bool)


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
        coarser: The level at a number of its pixels a pixel, None beyond the coarsest.
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
    check_data(level, positive, window)
    if level.lattice.margin(window, extent) < WELL_INSIDE * level.lattice.size:
        return _begin_from_afar(question, extent)
    asked = window_prompts(question.prompts, window, level.cell, accepts=level.model.info.accepts)
    said = asked and level.ask(window, asked, multimask=question.multimask, check=question.check)
    if not said:
        return ()
    candidates: list[Candidate] = []
    for logits, score in _by_score(*said):
        known = add_window(nothing_known(level), level, window, logits)
        candidates += _followed(question, known, score, window, candidates)
    return _different(candidates)


def check_data(level: Level, prompts: Sequence[PixelPrompt], window: PixelBox) -> None:
    """Refuse points on pixels without data.

    Raises:
        PromptError: Names the point.
    """
    height, width = level.source.shape
    if level.key(window) is None:
        raise PromptError(
            "The raster has no data around the prompt: give it where there is an image."
        )
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


def _by_score(logits: FloatArray, scores: FloatArray) -> list[tuple[FloatArray, float]]:
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


def _different(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Candidates without repetitions, best first."""
    kept: list[Candidate] = []
    for candidate in sorted(candidates, key=lambda c: -c.score):
        if all(candidate.known.same(other.known) < SAME_CANDIDATE for other in kept):
            kept.append(candidate)
    return tuple(kept)


# -- prompts that no window holds ----------------------------------------------------------------


def _begin_from_afar(question: Question, extent: Extent) -> tuple[Candidate, ...]:
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
    for logits, score in _by_score(*said):
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
    return _different(candidates)


# -- corrections ---------------------------------------------------------------------------------


def correct(
    question: Question, base: Candidate, new: Sequence[PixelPrompt]
) -> tuple[Candidate, ...]:
    """A candidate with new prompts: other near them, the same far from them.

    The model is asked in the window around the new prompts, with what is known there as a mask.
    Of the cells that change sign, only connected parts that come near the new prompts are taken.
    Where an added part reaches the window's trusted border, the object is followed from there.
    """
    level = question.level
    found: list[Candidate] = []
    windows = _windows_for(level, new)
    check_data(level, [p for p in new if p.positive], windows[0])
    for window in windows:
        # Several windows only for a stroke that no window holds: one candidate goes on then.
        bases = [base] if not found else [found[0]]
        last = window == windows[-1]
        found = [
            candidate
            for each in bases
            for candidate in _corrected(question, each, new, window, question.multimask and last)
        ]
    return _different(found) or (base,)


def _windows_for(level: Level, prompts: Sequence[PixelPrompt]) -> list[PixelBox]:
    """The window around prompts, or those along them where they are longer than one."""
    extent = joint_extent(prompts)
    window = level.lattice.around(extent)
    if level.lattice.margin(window, extent) >= 0:
        return [window]
    found: dict[PixelBox, None] = {}
    for prompt in prompts:
        steps = np.hypot(*np.diff(prompt.points, axis=0).T)
        count = max(1, int(steps.sum() / (level.lattice.size / 4)) + 1)
        for row, col in along_stroke(prompt.points, count):
            found.setdefault(level.lattice.around((row, col, row, col)))
    return list(found)


def _corrected(
    question: Question,
    base: Candidate,
    new: Sequence[PixelPrompt],
    window: PixelBox,
    multimask: bool,
) -> list[Candidate]:
    level = question.level
    cells = window.cells(level.cell)
    before = base.known.dense(cells)
    accepts = level.model.info.accepts
    found: list[Candidate] = []
    prompts = (*question.prompts, *_reminders(question.prompts, new, before, window, level.cell))
    # The earlier mask may outvote a click; without it the click is heard.
    for earlier in (before if (before > 0).any() else None, None):
        asked = window_prompts(prompts, window, level.cell, logits=earlier, accepts=accepts)
        said = asked and level.ask(window, asked, multimask=multimask, check=question.check)
        if not said:
            return [base]
        for logits, score in _by_score(*said):
            if not _obeys(logits, new, window, level.cell):
                continue
            found.append(_taken_over(question, base, new, window, logits, score))
        if found or earlier is None:
            break
    return found or [base]


def _reminders(
    prompts: Sequence[PixelPrompt],
    new: Sequence[PixelPrompt],
    before: FloatArray,
    window: PixelBox,
    cell: int,
) -> list[PixelPrompt]:
    """Points on the object as it is, for a window in which the user has given none before.

    Without them the model may take a click far along a river for a question about the bank.
    """
    size = window.row1 - window.row0
    inside = before > 0
    if not inside.any():
        return []
    for prompt in prompts[: len(prompts) - len(new)]:
        spots = prompt.points - (window.row0, window.col0)
        if prompt.positive and ((spots >= 0) & (spots < size)).all(axis=1).any():
            return []
    for prompt in new:
        if not prompt.positive:
            # A reminder beside a negative click would contradict it.
            row, col = (prompt.points.mean(axis=0) - (window.row0, window.col0)) / cell
            rows, cols = np.ogrid[: inside.shape[0], : inside.shape[1]]
            reach = NEAR_CLICK * size / cell
            inside = inside & ((rows - row) ** 2 + (cols - col) ** 2 > (2 * reach) ** 2)
    if not inside.any():
        return []
    origin = np.array([window.row0, window.col0], np.float64)
    return [
        PixelPrompt("point", (origin + (np.array(spot) + 0.5) * cell)[None])
        for spot in points_inside(inside, 2)
    ]


def _obeys(logits: FloatArray, new: Sequence[PixelPrompt], window: PixelBox, cell: int) -> bool:
    """Whether a mask holds the new positive points and leaves out the negative ones."""
    height, width = logits.shape
    for prompt in new:
        if prompt.type != "point":
            continue
        row, col = (prompt.points[0] - (window.row0, window.col0)) // cell
        if 0 <= row < height and 0 <= col < width:
            # Half a logit of grace: the click's cell may be cut by the very outline.
            value = float(logits[int(row), int(col)])
            if (value < -0.5) if prompt.positive else (value > 0.5):
                return False
    return True


def _taken_over(
    question: Question,
    base: Candidate,
    new: Sequence[PixelPrompt],
    window: PixelBox,
    logits: FloatArray,
    score: float,
) -> Candidate:
    """The part of a corrected mask that is near the new prompts, in the object, followed on."""
    level = question.level
    trusted = level.lattice.trusted(window)
    rows, cols = trusted.slices(window.cells(level.cell))
    after = logits[rows, cols]
    before = base.known.dense(trusted)
    share = near_changes(
        before,
        after,
        _reach(new, trusted, level),
        add=any(prompt.positive for prompt in new),
        take=not all(prompt.positive for prompt in new),
    )
    known = base.known.blend(trusted, after, share)
    walk = question.walk()
    fresh = [trusted]
    for _ in range(8):
        known = walk.follow(known)
        fresh = [trusted, *(level.lattice.trusted(w) for w in walk.windows)]
        reopened = _reopened(known, base.known, fresh, level)
        if reopened is None:
            break
        known = reopened
    asked = base.windows | walk.windows | {window}
    return Candidate(known, score, frozenset(asked), walk.limit or base.limit)


def near_changes(
    before: FloatArray,
    after: FloatArray,
    near: BoolArray,
    *,
    add: bool = True,
    take: bool = True,
) -> FloatArray:
    """How much of a corrected mask to take over, cell by cell: 0 or 1.

    Args:
        before: (h, w) float32 logits so far.
        after: Those of the corrected mask.
        near: (h, w) bool, the cells near the new prompts.
        add: Whether cells may be added: a positive prompt adds.
        take: Whether cells may be taken away: a negative one does.

    Returns:
        (h, w) float32: 1 near the prompts and in the connected parts that are added or taken away
        and come near, with a cell around them for a smooth outline; 0 elsewhere.
    """
    was, is_now = before > 0, after > 0
    taken = np.zeros(before.shape, bool)
    for change, wanted in ((is_now & ~was, add), (was & ~is_now, take)):
        if wanted:
            parts, count = label_parts(change, structure=_EIGHT)
            reached = np.zeros(count + 1, bool)
            reached[np.unique(parts[near])] = True
            reached[0] = False
            taken |= reached[parts]
    rejected = (was != is_now) & ~taken
    share: BoolArray = (binary_dilation(taken, structure=_EIGHT) | near) & ~rejected
    return share.astype(np.float32)


def _reach(new: Sequence[PixelPrompt], cells: CellBox, level: Level) -> BoolArray:
    """Cells within the reach of new prompts: around points and strokes, inside boxes."""
    far = np.ones(cells.shape, bool)
    near = np.zeros(cells.shape, bool)
    for prompt in new:
        if prompt.type in ("point", "stroke"):
            spots = prompt.points
            if len(spots) > 1:
                length = float(np.hypot(*np.diff(spots, axis=0).T).sum())
                spots = along_stroke(spots, max(1, int(length / level.cell)))
            at = np.floor(spots / level.cell).astype(int) - (cells.row0, cells.col0)
            at = at[((at >= 0) & (at < cells.shape)).all(axis=1)]
            far[at[:, 0], at[:, 1]] = False
        else:
            row0, col0, row1, col1 = prompt.extent
            box = PixelBox(int(row0), int(col0), int(row1) + 1, int(col1) + 1).cells(level.cell)
            inside = box.intersection(cells)
            if not inside.empty:
                near[inside.slices(cells)] = True
    if not far.all():
        near |= distance_transform_edt(far) <= NEAR_CLICK * level.lattice.size / level.cell
    return near


def _reopened(known: Field, base: Field, fresh: Sequence[CellBox], level: Level) -> Field | None:
    """Forget what earlier windows said where an addition ends at the border of a fresh window.

    There the object was added up to the border, and beyond it an earlier window has said "not the
    object" of what it did not know to be the object: it has to be asked again.

    Returns:
        The field with such places unknown, or None where there are none.
    """
    beyond: set[tuple[int, int]] = set()
    for box in fresh:
        outer = box.grown(1).intersection(known.bounds)
        logits, weights = known.read(outer)
        old = base.dense(outer)
        ring = np.ones(outer.shape, bool)
        ring[box.slices(outer)] = False
        for other in fresh:
            shared = other.intersection(outer)
            if not shared.empty:
                ring[shared.slices(outer)] = False
        added = (logits > 0) & (old <= 0) & ~ring
        beside = binary_dilation(added)
        at = np.nonzero(ring & beside & (logits <= 0) & (weights > 0))
        beyond |= {(int(r) + outer.row0, int(c) + outer.col0) for r, c in zip(*at, strict=True)}
    if not beyond:
        return None
    cell = level.cell
    places: set[PixelBox] = set()
    for row, col in beyond:
        y, x = (row + 0.5) * cell, (col + 0.5) * cell
        places.add(level.lattice.around((y, x, y, x)))
    for window in sorted(places):
        trusted = level.lattice.trusted(window)
        logits, weights = known.read(trusted)
        forget = logits <= 0
        for box in fresh:
            shared = box.intersection(trusted)
            if not shared.empty:
                forget[shared.slices(trusted)] = False
        known = known.forget(trusted, forget)
    return known
