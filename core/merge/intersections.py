# SPDX-License-Identifier: GPL-2.0-or-later
"""Intersection areas, in cells, for many pairs of masks at once.

A clean mask is one shape and meets a handful of others. A speckled one falls into hundreds of
fragments, a zone into a hundred thousand, and comparing all with all would take hours and more
memory than there is. So pairs come from a tree of boxes, one for each class of areas where only
shapes of similar size matter; small shapes are then looked up cell by cell in the other one, large
ones compared 64 cells at a time. Where many small ones meet many small ones, boxes tell little, and
the pairs are counted through the cells that they cover: a product of two sparse matrices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from ..masks.packed import Words, popcount
from ..types import BoolArray, CellBox

IntArray = NDArray[np.int64]

FEW = 4096
"""Pairs of shapes whose cells are compared pair by pair, and not by way of a tree or of cells."""

MANY = 1 << 17
"""Pairs of shapes whose boxes are compared all with all before a tree is thought of."""

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


@dataclass(frozen=True)
class Enough:
    """What two shapes must have in common to be of interest.

    Args:
        of_larger: Least share of the larger one's cells; where two shapes must reach an IoU, that
            IoU.
        of_smaller: Likewise of the smaller's.
        least: Shapes of fewer cells are left out.
    """

    of_larger: float = 0.0
    of_smaller: float = 0.0
    least: float = 0.0

    def __call__(self, common: IntArray, area_a: IntArray, area_b: IntArray) -> BoolArray:
        """(n,) bool, for cells in common and the areas of both."""
        smaller, larger = np.minimum(area_a, area_b), np.maximum(area_a, area_b)
        enough: BoolArray = common > 0
        enough &= common >= self.of_larger * larger
        enough &= common >= self.of_smaller * smaller
        return enough


def in_common(
    a: CellShapes,
    b: CellShapes,
    enough: Enough | None = None,
    wanted: Callable[[IntArray, IntArray], BoolArray] | None = None,
) -> tuple[IntArray, IntArray, IntArray]:
    """Pairs of shapes that have enough cells in common, and how many.

    Args:
        a: First shapes.
        b: Second shapes.
        enough: How much they must share; any cell by default.
        wanted: Which pairs are of interest at all: numbers in ``a`` and in ``b``, (n,) each, to
            (n,) bool.

    Returns:
        Numbers in ``a``, in ``b``, and cells, (n,) int64 each, sorted by the numbers.
    """
    enough = enough or Enough()
    some_a, some_b = _where_both_are(a, b, enough.least)
    found = []
    few = _met(a, b, some_a, some_b, enough, wanted) if len(some_a) * len(some_b) <= MANY else None
    groups = [(some_a, some_b)]
    if few is not None:
        groups = []
        found = [(*few, common_cells(a, few[0], b, few[1]))]
    elif len(some_a) * len(some_b) > FEW:
        small_a, small_b = a.area[some_a] <= SMALL, b.area[some_b] <= SMALL
        groups = [(some_a[~small_a], some_b), (some_a[small_a], some_b[~small_b])]
        found += [
            _multiplied(a, i, b, j, enough)
            for i, j in _alike(a, some_a[small_a], b, some_b[small_b], enough.of_larger)
        ]
    for group in groups:
        i, j = _near_pairs(a, b, *group, enough)
        if wanted is not None:
            asked = wanted(i, j)
            i, j = i[asked], j[asked]
        found.append((i, j, common_cells(a, i, b, j)))
    first, second, common = (np.concatenate(column) for column in zip(*found, strict=True))
    kept = enough(common, a.area[first], b.area[second])
    if wanted is not None:
        kept &= wanted(first, second)
    first, second, common = first[kept], second[kept], common[kept]
    order = np.argsort(first * max(1, len(b)) + second)
    return first[order], second[order], common[order]


def _where_both_are(a: CellShapes, b: CellShapes, least: float) -> tuple[IntArray, IntArray]:
    """Shapes of at least so many cells whose boxes reach where shapes of both kinds lie."""
    if not len(a) or not len(b):
        none = np.empty(0, np.int64)
        return none, none
    low = np.maximum(a.box[:, :2].min(axis=0), b.box[:, :2].min(axis=0))
    high = np.minimum(a.box[:, 2:].max(axis=0), b.box[:, 2:].max(axis=0))
    some = [
        np.flatnonzero(
            (shapes.area >= least)
            & (shapes.box[:, :2] < high).all(axis=1)
            & (shapes.box[:, 2:] > low).all(axis=1)
        )
        for shapes in (a, b)
    ]
    return some[0], some[1]


def _met(
    a: CellShapes,
    b: CellShapes,
    some_a: IntArray,
    some_b: IntArray,
    enough: Enough,
    wanted: Callable[[IntArray, IntArray], BoolArray] | None,
) -> tuple[IntArray, IntArray] | None:
    """Pairs whose boxes overlap by enough, all compared with all; None where they are not few."""
    row0, col0, row1, col1 = a.box[some_a].T[:, :, None]
    top, left, bottom, right = b.box[some_b].T[:, None, :]
    near = (row0 < bottom) & (top < row1) & (col0 < right) & (left < col1)
    first, second = np.nonzero(near)
    if len(first) > FEW:
        return None
    i, j = some_a[first], some_b[second]
    if wanted is not None:
        asked = wanted(i, j)
        i, j = i[asked], j[asked]
    return _near_enough(a, b, i, j, enough)


def _near_enough(
    a: CellShapes, b: CellShapes, i: IntArray, j: IntArray, enough: Enough
) -> tuple[IntArray, IntArray]:
    """The pairs of which the boxes have so much in common that the shapes may have enough."""
    box, other = a.box[i], b.box[j]
    low = np.maximum(box[:, :2], other[:, :2]).astype(np.int64)
    high = np.minimum(box[:, 2:], other[:, 2:]).astype(np.int64)
    shared = np.clip(high - low, 0, None).prod(axis=1)
    area_a, area_b = a.area[i], b.area[j]
    near = enough(np.minimum(shared, np.minimum(area_a, area_b)), area_a, area_b)
    return i[near], j[near]


def _near_pairs(
    a: CellShapes, b: CellShapes, some_a: IntArray, some_b: IntArray, enough: Enough
) -> tuple[IntArray, IntArray]:
    """Pairs of some shapes whose boxes overlap, and by so much that their cells may."""
    found = [(np.empty(0, np.int64), np.empty(0, np.int64))]
    for i, j in _meeting(a, b, some_a, some_b, enough.of_larger):
        found.append(_near_enough(a, b, i, j, enough))
    return np.concatenate([pair[0] for pair in found]), np.concatenate([pair[1] for pair in found])


def _meeting(
    a: CellShapes, b: CellShapes, every_a: IntArray, every_b: IntArray, of_larger: float
) -> Iterator[tuple[IntArray, IntArray]]:
    """Pairs whose boxes overlap, among them all whose areas differ by no more than the factor."""
    if len(every_a) * len(every_b) <= FEW:
        yield np.repeat(every_a, len(every_b)), np.tile(every_b, len(every_a))
        return
    for some_a, some_b in _alike(a, every_a, b, every_b, of_larger):
        # Boxes that only touch share no cell: they are drawn a little smaller.
        tree = shapely.STRtree(_boxes(b.box[some_b]))
        for part in np.split(some_a, range(1024, len(some_a), 1024)):
            i, j = tree.query(_boxes(a.box[part]))
            yield part[i], some_b[j]


def _alike(
    a: CellShapes, some_a: IntArray, b: CellShapes, some_b: IntArray, of_larger: float
) -> list[tuple[IntArray, IntArray]]:
    """Some shapes in groups, so that those whose areas differ by no more than the factor meet."""
    if of_larger <= 0 or not len(some_a):
        return [(some_a, some_b)]
    class_a, class_b = np.log2(a.area[some_a]) // 1, np.log2(b.area[some_b]) // 1
    reach = np.ceil(np.log2(1.0 / of_larger))
    return [
        (some_a[class_a == k], some_b[np.abs(class_b - k) <= reach])
        for k in np.unique(class_a).tolist()
    ]


def _boxes(box: NDArray[np.int32]) -> NDArray[np.object_]:
    row0, col0, row1, col1 = box.T
    made: NDArray[np.object_] = shapely.box(col0 + 0.25, row0 + 0.25, col1 - 0.25, row1 - 0.25)
    return made


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
        if not len(some):
            continue
        ends = np.cumsum(one.area[ones[some]])
        parts = [some]
        if ends[-1] > AT_ONCE:
            cuts = np.searchsorted(ends, np.arange(AT_ONCE, int(ends[-1]), AT_ONCE))
            parts = np.split(some, np.unique(cuts))
        for part in parts:
            common[part] = _looked_up(one, ones[part], two, twos[part])
    at = np.flatnonzero(large)
    if len(at):
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
    if len(i) <= 2 * len(one):
        number = one.area[i]
        rows, cols = _cells(one, i)
    else:  # many pairs with the same shapes: their cells are gathered once
        asked, place = np.unique(i, return_inverse=True)
        rows, cols = _cells(one, asked)
        size = one.area[asked]
        number = size[place]
        cells = ranges((np.cumsum(size) - size)[place], number)
        rows, cols = rows[cells], cols[cells]
    other = np.repeat(j, number)
    row0, col0, row1, col1 = two.box[other].T
    inside = (rows >= row0) & (rows < row1) & (cols >= col0) & (cols < col1)
    spot = two.start[other] + (rows - row0) * (col1 - col0).astype(np.int64) + cols - col0
    inside[inside] = two.bits[spot[inside]]
    pair = np.repeat(np.arange(len(i)), number)
    return np.bincount(pair[inside], minlength=len(i)).astype(np.int64)


def _multiplied(
    a: CellShapes, i: IntArray, b: CellShapes, j: IntArray, enough: Enough
) -> tuple[IntArray, IntArray, IntArray]:
    """Shapes by cells, times cells by shapes: what each pair has in common, where that is enough.

    Returns:
        Numbers in ``a`` and in ``b``, and cells.
    """
    none = np.empty(0, np.int64)
    if not len(i) or not len(j):
        return none, none, none
    top, left = np.minimum(a.box[i, :2].min(axis=0), b.box[j, :2].min(axis=0)).tolist()
    bottom, right = np.maximum(a.box[i, 2:].max(axis=0), b.box[j, 2:].max(axis=0)).tolist()
    frame = top, left, bottom, right
    one, two = _incidence(a, i, frame), _incidence(b, j, frame).T.tocsr()
    # A row of the product costs what its cells' columns hold.
    work = np.add.reduceat(np.diff(two.indptr)[one.indices], one.indptr[:-1], dtype=np.int64)
    found = []
    begin = 0
    while begin < len(i):
        done = np.cumsum(work[begin : begin + AT_ONCE])
        end = begin + max(1, int(np.searchsorted(done, AT_ONCE, side="right")))
        product = one[begin:end] @ two
        first = np.repeat(np.arange(begin, end), np.diff(product.indptr))
        second, common = product.indices, product.data
        kept = enough(common, a.area[i[first]], b.area[j[second]])
        found.append((i[first[kept]], j[second[kept]], common[kept].astype(np.int64)))
        begin = end
    first, second, common = (np.concatenate(column) for column in zip(*found, strict=True))
    return first, second, common


def _incidence(shapes: CellShapes, which: IntArray, frame: tuple[int, int, int, int]) -> csr_array:
    """Some shapes and the cells of a frame (row0, col0, row1, col1): 1 where one covers a cell."""
    rows, cols = _cells(shapes, which)
    top, left, bottom, right = frame
    cell = (rows - top) * (right - left) + cols - left
    start = np.concatenate([[0], np.cumsum(shapes.area[which])])
    size = len(which), (bottom - top) * (right - left)
    return csr_array((np.ones(len(cell), np.int32), cell, start), shape=size)


def _cells(shapes: CellShapes, which: IntArray) -> tuple[IntArray, IntArray]:
    """Rows and columns of all cells of some shapes, shape after shape."""
    at = ranges(shapes.start[which], shapes.start[which + 1] - shapes.start[which])
    at = at[shapes.bits[at]]
    owner = np.repeat(which, shapes.area[which])
    down, right = np.divmod(at - shapes.start[owner], (shapes.box[:, 3] - shapes.box[:, 1])[owner])
    return down + shapes.box[owner, 0], right + shapes.box[owner, 1]


def _counted(a: CellShapes, i: IntArray, b: CellShapes, j: IntArray) -> IntArray:
    """64 cells at a time, each of the first shapes against all of its partners."""
    common = np.zeros(len(i), np.int64)
    if not len(i):
        return common
    order = np.argsort(i, kind="stable")
    firsts, start = np.unique(i[order], return_index=True)
    seconds, place = np.unique(j[order], return_inverse=True)
    # Nothing is in common outside of where all of the ones and all of the others lie.
    low = np.maximum(a.box[firsts, :2].min(axis=0), b.box[seconds, :2].min(axis=0)).tolist()
    high = np.minimum(a.box[firsts, 2:].max(axis=0), b.box[seconds, 2:].max(axis=0)).tolist()
    words = max(0, -(-(high[1] - low[1]) // 64))
    step = max(1, AT_ONCE // max(1, words * (len(firsts) + len(seconds))))
    for row in range(low[0], high[0], step):
        frame = row, low[1], min(row + step, high[0]), words
        packed = _packed(b, seconds, frame)
        for number, begin, end in zip(
            firsts.tolist(), start.tolist(), [*start[1:].tolist(), len(i)], strict=True
        ):
            row0, col0, row1, col1 = a.box[number].tolist()
            rows = slice(max(0, row0 - row), max(0, min(row1, frame[2]) - row))
            cols = slice(max(0, col0 - low[1]) // 64, max(0, -(-(col1 - low[1]) // 64)))
            if rows.stop > rows.start:
                own = _packed(a, np.array([number]), frame)[0, rows, cols]
                some = place[begin:end]
                adjoining = bool((np.diff(some) == 1).all())  # then nothing need be copied
                partners = slice(int(some[0]), int(some[-1]) + 1) if adjoining else some
                both = popcount(packed[partners, rows, cols] & own)
                common[order[begin:end]] += both.sum(axis=(1, 2), dtype=np.int64)
    return common


def _packed(shapes: CellShapes, which: IntArray, frame: tuple[int, int, int, int]) -> Words:
    """Some shapes within a frame (row0, col0, row1, words a row) as (n, rows, words)."""
    top, left, bottom, words = frame
    canvas = np.zeros((bottom - top, words * 64), bool)
    packed = np.empty((len(which), bottom - top, words), np.uint64)
    window = CellBox(top, left, bottom, left + words * 64)
    for place, number in enumerate(which.tolist()):
        box = CellBox(*shapes.box[number].tolist())
        inside = box.intersection(window)
        if inside.empty:
            packed[place] = 0
            continue
        spot = inside.slices(window)
        canvas[spot] = shapes[number][inside.slices(box)]
        packed[place] = np.packbits(canvas, axis=1).view(np.uint64)
        canvas[spot] = False
    return packed
