# SPDX-License-Identifier: GPL-2.0-or-later
"""Corrections: new prompts change an object near them and keep it elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import binary_dilation, distance_transform_edt
from scipy.ndimage import label as label_parts

from ..masks.sparse_logits import Field
from ..models.base import Prompts
from ..prompts.prompts import PixelPrompt, along_stroke, joint_extent, window_prompts
from ..types import BoolArray, CellBox, FloatArray, PixelBox
from .coarse_prior import points_inside
from .first_prediction import Candidate, Question, by_score, check_data, check_window, different
from .windows import Level

NEAR_CLICK = 1 / 16
"""Reach of a corrective prompt in window sides: changes that come this near are taken over."""

_EIGHT = np.ones((3, 3), bool)


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
    check_data(level, [p for p in new if p.positive])
    check_window(level, windows[0])
    for window in windows:
        # Several windows only for a stroke that no window holds: one candidate goes on then.
        bases = [base] if not found else [found[0]]
        last = window == windows[-1]
        found = [
            candidate
            for each in bases
            for candidate in _corrected(question, each, new, window, question.multimask and last)
        ]
    return different(found) or (base,)


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
    before = base.known.dense(window.cells(level.cell))
    for asked in _questions(question, new, before, window):
        said = level.ask(window, asked.prompts, multimask=multimask, check=question.check)
        if not said:
            return [base]
        found = [
            _taken_over(question, base, new, window, asked.read(logits), score)
            for logits, score in by_score(*said)
            # An empty mask obeys every negative click, and is no object.
            if (logits > 0).any() and _obeys(asked.read(logits), new, window, level.cell)
        ]
        if found:
            return found
    return [base]


@dataclass(frozen=True)
class _Asked:
    """One way to ask the model about a correction.

    Args:
        prompts: For the model.
        read: Its logits as those of the object.
    """

    prompts: Prompts
    read: Callable[[FloatArray], FloatArray]


def _questions(
    question: Question, new: Sequence[PixelPrompt], before: FloatArray, window: PixelBox
) -> Iterator[_Asked]:
    """Ways to ask, until one gives a mask that obeys the new prompts: a click is never passed over.

    First with the earlier mask, which may outvote a click; then without it, and without boxes and
    polygons that a new positive prompt lies outside of; then for what is at the new prompts alone,
    which is added to the object or taken away from it.
    """
    level = question.level
    accepts, cell = level.model.info.accepts, level.cell
    given = _reconcilable(question.prompts, new)
    first = (*given, *_reminders(given, new, before, window, cell))
    outlines = [p for p in given if p.type in ("polygon", "mask")]
    points = [p for p in given if p not in outlines]
    second = (*points, *_reminders(points, new, before, window, cell))
    for prompts, earlier in ((first, before if (before > 0).any() else None), (second, None)):
        asked = window_prompts(prompts, window, cell, logits=earlier, accepts=accepts)
        if asked:
            yield _Asked(asked, lambda logits: logits)
    adds = any(prompt.positive for prompt in new)
    alone = [replace(prompt, positive=True) for prompt in new if prompt.positive == adds]
    asked = window_prompts(alone, window, cell, accepts=accepts)
    if asked and adds:
        yield _Asked(asked, lambda logits: np.maximum(before, logits))
    elif asked:
        yield _Asked(asked, lambda logits: np.minimum(before, -logits))


def _reconcilable(prompts: Sequence[PixelPrompt], new: Sequence[PixelPrompt]) -> list[PixelPrompt]:
    """Without earlier boxes and polygons that new positive prompts lie outside of: the object is
    larger than they say."""
    kept = []
    for prompt in prompts:
        row0, col0, row1, col1 = prompt.extent
        holds = (
            prompt in new
            or prompt.type in ("point", "stroke")
            or all(
                row0 <= row <= row1 and col0 <= col <= col1
                for other in new
                if other.positive
                for row, col in other.points
            )
        )
        if holds:
            kept.append(prompt)
    return kept


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
    for prompt in prompts:
        if prompt in new:
            continue
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
