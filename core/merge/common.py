# SPDX-License-Identifier: GPL-2.0-or-later
"""Cells that shapes have in common, for many pairs of shapes at once.

A clean mask is one shape and meets a handful of others. A speckled one falls into hundreds of
fragments, a zone into a hundred thousand, and comparing all with all would take hours and more
memory than there is. So pairs come from a tree of boxes, one for each class of areas where only
shapes of similar size matter; small shapes are then looked up cell by cell in the other one, large
ones compared 64 cells at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

from ..bits import Words, popcount
from ..types import BoolArray

IntArray = NDArray[np.int64]

FEW = 4096
"""Pairs of boxes that are compared all with all rather than through a tree."""

SMALL = 128
"""Cells up to which a shape is looked up cell by cell."""

AT_ONCE = 1 << 21
"""Cells looked up, or words compared, at a time: some 100 MB."""


@dataclass(frozen=True, eq=False)
class CellShapes(Sequence[BoolArray]):
    """Sets of cells, each a bool array on its own box, all in one array.

    Args:
        box: (n, 4) int32 row0, col0, row1, col1.
        area: (n,) int64, True cells.
        bits: bool, box after box, each row by row.

    Attributes:
        start: (n + 1,) where each begins in ``bits``.
    """

    box: NDArray[np.int32]
    area: IntArray
    bits: BoolArray
    start: IntArray = field(init=False)

    def __post_init__(self) -> None:
        sizes = np.prod(self.box[:, 2:].astype(np.int64) - self.box[:, :2], axis=1)
        object.__setattr__(self, "start", np.concatenate([[0], np.cumsum(sizes)]))

    @classmethod
    def of(cls, boxes: ArrayLike, shapes: Sequence[BoolArray]) -> CellShapes:
        """Bool arrays and their (row0, col0, row1, col1)."""
        return cls(
            np.array(boxes, np.int32).reshape(-1, 4),
            np.array([np.count_nonzero(shape) for shape in shapes], np.int64),
            np.concatenate([np.empty(0, bool), *(shape.ravel() for shape in shapes)]),
        )

    def __len__(self) -> int:
        return len(self.box)

    def __getitem__(self, number: int) -> BoolArray:  # type: ignore[override]
        row0, col0, row1, col1 = self.box[number].tolist()
        bits = self.bits[self.start[number] : self.start[number + 1]]
        return bits.reshape(row1 - row0, col1 - col0)


def near_pairs(
    a: CellShapes,
    b: CellShapes,
    *,
    of_larger: float = 0.0,
    of_smaller: float = 0.0,
    least: float = 0.0,
) -> tuple[IntArray, IntArray]:
    """Pairs of shapes whose boxes overlap, and by so much that their cells may.

    Args:
        a: First shapes.
        b: Second shapes.
        of_larger: Share of the larger shape's area that the boxes' overlap must reach; where two
            shapes are to have an IoU, that IoU.
        of_smaller: Likewise of the smaller's.
        least: Shapes of fewer cells are left out.

    Returns:
        Numbers in ``a`` and in ``b``, sorted.
    """
    found = [
        _reaching(a, b, i, j, of_larger, of_smaller) for i, j in _meeting(a, b, of_larger, least)
    ]
    if not found:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    first = np.concatenate([pair[0] for pair in found])
    second = np.concatenate([pair[1] for pair in found])
    order = np.lexsort((second, first))
    return first[order], second[order]


def _meeting(
    a: CellShapes, b: CellShapes, of_larger: float, least: float
) -> Iterator[tuple[IntArray, IntArray]]:
    """Pairs whose boxes overlap, among them all whose areas differ by no more than the factor."""
    every_a, every_b = np.flatnonzero(a.area >= least), np.flatnonzero(b.area >= least)
    if len(every_a) * len(every_b) <= FEW:
        yield np.repeat(every_a, len(every_b)), np.tile(every_b, len(every_a))
        return
    groups = [(every_a, every_b)]
    if of_larger > 0:
        class_a, class_b = np.log2(a.area[every_a]) // 1, np.log2(b.area[every_b]) // 1
        reach = np.ceil(np.log2(1.0 / of_larger))
        groups = [
            (every_a[class_a == k], every_b[np.abs(class_b - k) <= reach])
            for k in np.unique(class_a).tolist()
        ]
    for some_a, some_b in groups:
        # Boxes that only touch share no cell: they are drawn a little smaller.
        tree = shapely.STRtree(_boxes(b.box[some_b]))
        for part in np.split(some_a, range(1024, len(some_a), 1024)):
            i, j = tree.query(_boxes(a.box[part]))
            yield part[i], some_b[j]


def _boxes(box: NDArray[np.int32]) -> NDArray[np.object_]:
    row0, col0, row1, col1 = box.T
    made: NDArray[np.object_] = shapely.box(col0 + 0.25, row0 + 0.25, col1 - 0.25, row1 - 0.25)
    return made


def _reaching(
    a: CellShapes, b: CellShapes, i: IntArray, j: IntArray, of_larger: float, of_smaller: float
) -> tuple[IntArray, IntArray]:
    low = np.maximum(a.box[i, :2], b.box[j, :2]).astype(np.int64)
    high = np.minimum(a.box[i, 2:], b.box[j, 2:]).astype(np.int64)
    shared = np.clip(high - low, 0, None).prod(axis=1)
    area_a, area_b = a.area[i], b.area[j]
    enough = shared > 0
    enough &= shared >= of_larger * np.maximum(area_a, area_b)
    enough &= shared >= of_smaller * np.minimum(area_a, area_b)
    if of_larger > 0:
        enough &= np.minimum(area_a, area_b) >= of_larger * np.maximum(area_a, area_b)
    return i[enough], j[enough]


def common_cells(a: CellShapes, i: IntArray, b: CellShapes, j: IntArray) -> IntArray:
    """Cells that each pair of shapes has in common.

    Args:
        a: First shapes.
        i: (n,) numbers in ``a``.
        b: Second shapes.
        j: (n,) numbers in ``b``.

    Returns:
        (n,) int64.
    """
    common = np.zeros(len(i), np.int64)
    swap = b.area[j] < a.area[i]
    large = np.minimum(a.area[i], b.area[j]) > SMALL
    for some, one, ones, two, twos in (
        (np.flatnonzero(~large & ~swap), a, i, b, j),
        (np.flatnonzero(~large & swap), b, j, a, i),
    ):
        ends = np.cumsum(one.area[ones[some]])
        cuts = np.searchsorted(ends, np.arange(AT_ONCE, int(ends[-1]) if len(ends) else 0, AT_ONCE))
        for part in np.split(some, np.unique(cuts)):
            common[part] = _looked_up(one, ones[part], two, twos[part])
    at = np.flatnonzero(large)
    common[at] = _counted(a, i[at], b, j[at])
    return common


def ranges(start: IntArray, length: IntArray) -> IntArray:
    """start[0], start[0] + 1, ... (length[0] numbers), then those from start[1] on, and so on."""
    before = np.cumsum(length) - length
    total: IntArray = np.repeat(start - before, length) + np.arange(int(length.sum()))
    return total


def _looked_up(one: CellShapes, i: IntArray, two: CellShapes, j: IntArray) -> IntArray:
    """Cell by cell of the first shapes, which are the smaller ones."""
    if not len(i):
        return np.empty(0, np.int64)
    asked, place = np.unique(i, return_inverse=True)
    at = ranges(one.start[asked], one.start[asked + 1] - one.start[asked])
    at = at[one.bits[at]]
    number = one.area[asked]
    owner = np.repeat(asked, number)
    down, right = np.divmod(at - one.start[owner], (one.box[:, 3] - one.box[:, 1])[owner])
    rows, cols = down + one.box[owner, 0], right + one.box[owner, 1]
    first = np.cumsum(number) - number
    cells = ranges(first[place], number[place])
    other = np.repeat(j, number[place])
    row0, col0, row1, col1 = two.box[other].T
    rows, cols = rows[cells], cols[cells]
    inside = (rows >= row0) & (rows < row1) & (cols >= col0) & (cols < col1)
    spot = two.start[other] + (rows - row0) * (col1 - col0).astype(np.int64) + cols - col0
    inside[inside] = two.bits[spot[inside]]
    pair = np.repeat(np.arange(len(i)), number[place])
    return np.bincount(pair[inside], minlength=len(i)).astype(np.int64)


def _counted(a: CellShapes, i: IntArray, b: CellShapes, j: IntArray) -> IntArray:
    """64 cells at a time, each of the first shapes against all of its partners."""
    common = np.zeros(len(i), np.int64)
    if not len(i):
        return common
    order = np.argsort(i, kind="stable")
    firsts, start = np.unique(i[order], return_index=True)
    seconds, place = np.unique(j[order], return_inverse=True)
    low = np.minimum(a.box[firsts, :2].min(axis=0), b.box[seconds, :2].min(axis=0))
    high = np.maximum(a.box[firsts, 2:].max(axis=0), b.box[seconds, 2:].max(axis=0))
    words = -(-int(high[1] - low[1]) // 64)
    step = max(1, AT_ONCE // (words * (len(firsts) + len(seconds))))
    for row in range(int(low[0]), int(high[0]), step):
        frame = row, int(low[1]), min(row + step, int(high[0])), words
        packed = _packed(b, seconds, frame)
        for number, begin, end in zip(
            firsts.tolist(), start.tolist(), [*start[1:].tolist(), len(i)], strict=True
        ):
            row0, col0, row1, col1 = a.box[number].tolist()
            rows = slice(max(0, row0 - row), max(0, min(row1, frame[2]) - row))
            cols = slice((col0 - frame[1]) // 64, -(-(col1 - frame[1]) // 64))
            if rows.stop > rows.start:
                own = _packed(a, np.array([number]), frame)[0, rows, cols]
                both = popcount(packed[place[begin:end], rows, cols] & own)
                common[order[begin:end]] += both.sum(axis=(1, 2), dtype=np.int64)
    return common


def _packed(shapes: CellShapes, which: IntArray, frame: tuple[int, int, int, int]) -> Words:
    """Some shapes within a frame (row0, col0, row1, words a row) as (n, rows, words)."""
    top, left, bottom, words = frame
    canvas = np.zeros((bottom - top, words * 64), bool)
    packed = np.empty((len(which), bottom - top, words), np.uint64)
    for place, number in enumerate(which.tolist()):
        row0, col0, row1, col1 = shapes.box[number].tolist()
        begin, end = max(row0, top), max(min(row1, bottom), max(row0, top))
        spot = slice(begin - top, end - top), slice(col0 - left, col1 - left)
        canvas[spot] = shapes[number][begin - row0 : end - row0]
        packed[place] = np.packbits(canvas, axis=1).view(np.uint64)
        canvas[spot] = False
    return packed
