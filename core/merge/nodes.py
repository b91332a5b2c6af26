# SPDX-License-Identifier: GPL-2.0-or-later
"""A tile's masks as nodes: clipped to the trusted window, measured, in canonical order."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..masks.mask_table import MaskTable
from ..masks.masks import PromptRef, TileMasks
from ..tiles.grid import Grid
from ..types import BoolArray, CellBox, TileIndex
from .intersections import CellShapes, ranges

NORTH, WEST, SOUTH, EAST = 1, 2, 4, 8
"""Bits of a node's truncation: the sides of the trusted window that it reaches, where the raster
goes on."""

NODE = np.dtype(
    [
        ("tile_row", np.int32),
        ("tile_col", np.int32),
        ("position", np.int32),
        ("row0", np.int32),
        ("col0", np.int32),
        ("row1", np.int32),
        ("col1", np.int32),
        ("first_col", np.int32),
        ("area", np.int32),
        ("core_area", np.int32),
        ("digest", np.uint32),
        ("prompt", np.int32),
        ("score", np.float32),
        ("stability", np.float32),
        ("truncated", np.uint8),
    ]
)
"""All that is kept of a mask in memory, 57 bytes: place in its tile's file (position), box and
areas in cells of its trusted part (in all, in the tile's core), column of the first cell in its
first row, checksum, index of its prompt, the model's score and stability, truncation bits."""

NodeArray = NDArray[np.void]
BOX_FIELDS = ("row0", "col0", "row1", "col1")


@dataclass(frozen=True, eq=False)
class RowRuns:
    """The rows of masks of the simplest kind: each row one run of cells that touches the next
    row's, so that the mask is in one piece. Most are of that kind.

    Args:
        plain: (n,) bool, of that kind; only these have rows here.
        first: (n,) int64, where each mask's rows begin in ``cols``.
        cols: (rows, 2) int32, first column of a row's cells and the one after the last.
    """

    plain: BoolArray
    first: NDArray[np.int64]
    cols: NDArray[np.int32]

    @classmethod
    def of(cls, runs: Sequence[NDArray[np.int32] | None]) -> RowRuns:
        """The rows of each mask, None for one of another kind."""
        plain = np.array([rows is not None for rows in runs], bool)
        length = [0 if rows is None else len(rows) for rows in runs]
        first = np.cumsum([0, *length])[:-1].astype(np.int64)
        known = [rows for rows in runs if rows is not None]
        return cls(plain, first, np.concatenate([np.empty((0, 2), np.int32), *known]))


@dataclass(frozen=True, eq=False)
class TileNodes:
    """The nodes of one tile.

    Args:
        index: The tile.
        trusted: Its trusted window.
        table: (n,) of :data:`NODE`, sorted by (box, area, digest, position); ``prompt`` points
            into ``prompts``.
        shapes: The n masks.
        prompts: The different prompts of this tile.
        runs: Rows of the masks without gaps.
        in_one_piece: Masks known to be 8-connected; filled by the edge stage.
    """

    index: TileIndex
    trusted: CellBox
    table: NodeArray
    shapes: CellShapes
    prompts: tuple[PromptRef, ...]
    runs: RowRuns
    in_one_piece: set[int] = field(default_factory=set)

    def __len__(self) -> int:
        return len(self.shapes)

    @property
    def boxes(self) -> NDArray[np.int32]:
        """(n, 4) int32 row0, col0, row1, col1."""
        return boxes_of(self.table)


def boxes_of(table: NodeArray) -> NDArray[np.int32]:
    """(n, 4) int32 boxes of nodes."""
    return np.stack([table[name] for name in BOX_FIELDS], axis=1)


def lattice(grid: Grid) -> CellBox:
    """All cells of a raster."""
    return grid.bounds.cells(grid.cell)


def tight(mask: BoolArray, box: CellBox) -> tuple[CellBox, BoolArray] | None:
    """A bool array cut to its True cells; None without any."""
    rows = np.flatnonzero(mask.any(axis=1))
    if rows.size == 0:
        return None
    cols = np.flatnonzero(mask.any(axis=0))
    row0, row1, col0, col1 = int(rows[0]), int(rows[-1]) + 1, int(cols[0]), int(cols[-1]) + 1
    inner = CellBox(row0, col0, row1, col1).shifted(box.row0, box.col0)
    return inner, mask[row0:row1, col0:col1]


def tile_nodes(masks: TileMasks, grid: Grid) -> TileNodes:
    """Cut a tile's masks to its trusted window and measure them.

    Masks that have no cell in the trusted window are left out: a neighbour sees them better.
    """
    tile = grid[masks.index]
    given = MaskTable.of(masks.masks)
    views = tile.trusted.cells(grid.cell), tile.core.cells(grid.cell), lattice(grid)
    parts = [_measured(given, first, stop, *views) for first, stop in _parts(given.start)]
    table = np.concatenate([np.empty(0, NODE), *(part.table for part in parts)])
    table["tile_row"], table["tile_col"] = masks.index
    kinds, first = np.unique(table["prompt"], return_index=True)
    kinds = kinds[np.argsort(first)]
    renumbered = np.zeros(len(given.prompts), np.int32)
    renumbered[kinds] = np.arange(len(kinds))
    table["prompt"] = renumbered[table["prompt"]]
    order = np.lexsort(
        [table[name] for name in ("position", "digest", "area", *reversed(BOX_FIELDS))]
    )
    table = table[order]
    shapes = CellShapes(
        boxes_of(table),
        table["area"].astype(np.int64),
        reordered([shape for part in parts for shape in part.shapes], order),
    )
    runs = [run for part in parts for run in part.runs]
    prompts = tuple(given.prompts[kind] for kind in kinds.tolist())
    return TileNodes(
        masks.index, views[0], table, shapes, prompts, RowRuns.of([runs[k] for k in order.tolist()])
    )


def reordered(shapes: Sequence[BoolArray], order: NDArray[np.int64]) -> BoolArray:
    """Flat bool arrays one after the other, in another order."""
    return np.concatenate([np.empty(0, bool), *(shapes[k] for k in order.tolist())])


AT_ONCE = 1 << 20
"""Cells of masks that are measured together: some 20 MB."""


def _parts(start: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Runs of masks with about :data:`AT_ONCE` cells together."""
    first, last = 0, len(start) - 1
    while first < last:
        stop = int(np.searchsorted(start, start[first] + AT_ONCE, side="right")) - 1
        stop = min(max(stop, first + 1), last)
        yield first, stop
        first = stop


@dataclass(frozen=True)
class _Part:
    """Some masks of a tile: their table, shapes and rows, mask by mask."""

    table: NodeArray
    shapes: list[BoolArray]
    runs: list[NDArray[np.int32] | None]


def _measured(
    given: MaskTable, first: int, stop: int, trusted: CellBox, core: CellBox, whole: CellBox
) -> _Part:
    """Measure the masks from ``first`` to ``stop``, all of their rows at once."""
    box = given.box[first:stop]
    begin = given.start[first:stop] - given.start[first]
    inside = given.logits[given.start[first] : given.start[stop]] > 0
    cells = np.flatnonzero(inside)
    before = np.zeros(len(inside) + 1, np.int32)  # cells inside before each
    np.cumsum(inside, out=before[1:])
    # The rows of each mask that lie in the trusted window, and the first cell of each.
    top = np.clip(trusted.row0, box[:, 0], box[:, 2])
    number = np.maximum(np.clip(trusted.row1, box[:, 0], box[:, 2]) - top, 0)
    owner = np.repeat(np.arange(len(box)), number)
    row = ranges(top, number)
    col0, col1 = box[owner, 1], box[owner, 3]
    corner = begin[owner] + (row - box[owner, 0]) * (col1 - col0) - col0

    def count(left: int, right: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Of the cells inside, how many come before those in some columns, and up to their end."""
        low = np.clip(left, col0, col1)
        high = np.maximum(np.clip(right, col0, col1), low)
        return before[corner + low], before[corner + high]

    low, high = count(trusted.col0, trusted.col1)
    filled = np.flatnonzero(high > low)
    low, high, owner, row = low[filled], high[filled], owner[filled], row[filled]
    corner, col0, col1 = corner[filled], col0[filled], col1[filled]
    if not len(filled):
        return _Part(np.empty(0, NODE), [], [])
    left, right = cells[low] - corner, cells[high - 1] - corner + 1
    starts = np.flatnonzero(np.diff(owner, prepend=-1))
    ends = np.append(starts[1:], len(owner)) - 1
    which = owner[starts]
    table = np.zeros(len(which), NODE)
    table["position"] = which + first
    table["row0"], table["row1"] = row[starts], row[ends] + 1
    table["col0"], table["col1"] = (
        np.minimum.reduceat(left, starts),
        np.maximum.reduceat(right, starts),
    )
    table["first_col"] = left[starts]
    table["area"] = np.add.reduceat(high - low, starts)
    core_low, core_high = count(core.col0, core.col1)
    in_core = (row >= core.row0) & (row < core.row1)
    table["core_area"] = np.add.reduceat((core_high - core_low) * in_core, starts)
    table["score"], table["stability"] = given.values[first:stop][which].T
    table["prompt"] = given.prompt[first:stop][which]
    table["truncated"] = (
        NORTH * ((table["row0"] == trusted.row0) & (trusted.row0 > whole.row0))
        + WEST * ((table["col0"] == trusted.col0) & (trusted.col0 > whole.col0))
        + SOUTH * ((table["row1"] == trusted.row1) & (trusted.row1 < whole.row1))
        + EAST * ((table["col1"] == trusted.col1) & (trusted.col1 < whole.col1))
    )
    shapes = _cut(inside, begin[which], box[which], table)
    table["digest"] = [zlib.crc32(shape.data) for shape in shapes]
    # A row without a gap, and the next one right below it and beside it.
    whole_row = high - low == right - left
    joined = np.ones(len(row), bool)
    joined[1:] = (row[1:] == row[:-1] + 1) & (left[1:] <= right[:-1]) & (right[1:] >= left[:-1])
    joined[starts] = True
    plain = np.logical_and.reduceat(whole_row & joined, starts)
    both = np.stack([left, right], axis=1).astype(np.int32)
    runs = [
        both[begins : last + 1] if good else None
        for begins, last, good in zip(starts.tolist(), ends.tolist(), plain.tolist(), strict=True)
    ]
    return _Part(table, shapes, runs)


def _cut(
    inside: BoolArray, begin: NDArray[np.int64], box: NDArray[np.int64], table: NodeArray
) -> list[BoolArray]:
    """Each mask on its own tight box, flat."""
    width = table["col1"] - table["col0"]
    height = table["row1"] - table["row0"]
    row = ranges(table["row0"].astype(np.int64), height)
    owner = np.repeat(np.arange(len(table)), height)
    corner = begin[owner] + (row - box[owner, 0]) * (box[owner, 3] - box[owner, 1])
    corner += table["col0"][owner] - box[owner, 1]
    bits = inside[ranges(corner, width[owner].astype(np.int64))]
    cuts = np.cumsum(width.astype(np.int64) * height)
    return np.split(bits, cuts[:-1])


def overlap(a: BoolArray, box_a: Sequence[int], b: BoolArray, box_b: Sequence[int]) -> int:
    """Number of cells that are True in both of two arrays with their (row0, col0, row1, col1)."""
    row0, col0 = max(box_a[0], box_b[0]), max(box_a[1], box_b[1])
    row1, col1 = min(box_a[2], box_b[2]), min(box_a[3], box_b[3])
    if row1 <= row0 or col1 <= col0:
        return 0
    part_a = a[row0 - box_a[0] : row1 - box_a[0], col0 - box_a[1] : col1 - box_a[1]]
    part_b = b[row0 - box_b[0] : row1 - box_b[0], col0 - box_b[1] : col1 - box_b[1]]
    return int(np.count_nonzero(part_a & part_b))


def box_overlaps(a: NDArray[np.int32], b: NDArray[np.int32]) -> NDArray[np.int64]:
    """Areas that boxes have in common, (n, 4) and (m, 4) -> (n, m)."""
    low = np.maximum(a[:, None, :2], b[None, :, :2]).astype(np.int64)
    high = np.minimum(a[:, None, 2:], b[None, :, 2:]).astype(np.int64)
    size = np.clip(high - low, 0, None)
    product: NDArray[np.int64] = size[..., 0] * size[..., 1]
    return product
