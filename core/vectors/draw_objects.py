# SPDX-License-Identifier: GPL-2.0-or-later
"""Outlines of many objects at once: the same polygons as one by one, in a few calls for all.

Most objects are small: what one of them costs is calls, not cells. So the cells around all small
objects of a batch lie in one array, are fused tile by tile, and are drawn on canvases on which
objects of about one size lie below one another::

    +-------------+
    | . # # .     |   object 1, with a ring of cells outside of it
    | . # . .     |
    | . . . . . . |   filled up with ABSENT: no contour leaves an object's own rows
    | . # # # # . |   object 2
    | . . # . . . |
    +-------------+

Large ones, and those at the raster's edge, are fused block by block (``merge/fuse.py``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from shapely import Geometry

from ..masks.logits import ABSENT
from ..masks.mask_table import MaskTable
from ..merge import MaskSource, MergedObject, cached, fuse
from ..merge.fuse import tile_ramps
from ..merge.intersections import ranges
from ..tiles.grid import Grid
from ..types import CellBox, FloatArray, TileIndex
from .contours import Canvas, drawn, polygonize

IntArray = NDArray[np.int64]

SMALL = 160
"""Sides in cells up to which an object is drawn together with others."""

STEP = 1.35
"""Heights and widths on one canvas differ by this factor at most, so that little is filled up."""


def draw_objects(objects: Sequence[MergedObject], masks: MaskSource, grid: Grid) -> list[Geometry]:
    """The polygon of each object in raster pixel coordinates; what :func:`polygonize` makes of it.

    Args:
        objects: Neighbours, so that few tiles are loaded.
        masks: What they were merged from.
        grid: The job's grid.
    """
    tiles = cached(masks)
    whole = CellBox(0, 0, grid.height // grid.cell, grid.width // grid.cell)
    around = np.array(
        [(o.box.row0 - 1, o.box.col0 - 1, o.box.row1 + 1, o.box.col1 + 1) for o in objects],
        np.int64,
    ).reshape(-1, 4)
    inside = (around[:, :2] >= 0).all(axis=1) & (around[:, 2:] <= (whole.row1, whole.col1)).all(
        axis=1
    )
    small = inside & (around[:, 2:] - around[:, :2] <= SMALL).all(axis=1)
    found: list[Geometry] = [None] * len(objects)
    for number in np.flatnonzero(~small).tolist():
        found[number] = polygonize(fuse(objects[number], tiles, grid), grid)
    some = np.flatnonzero(small)
    if len(some):
        cells = _Cells.around(around[some])
        _fuse([objects[k] for k in some.tolist()], cells, tiles, grid)
        for canvas, numbers in cells.canvases(grid.cell):
            for number, shape in zip(some[numbers].tolist(), drawn(canvas), strict=True):
                found[number] = shape
    return found


@dataclass(frozen=True, eq=False)
class _Cells:
    """Cells around some objects, canvas by canvas in one array.

    Args:
        box: (n, 4) the cells around each object.
        start: (n,) where each begins in ``values``.
        width: (n,) cells from one of its rows to the next.
        groups: Numbers of the objects of each canvas, and its rows per object and columns.
        values: float32 stored logits, one canvas after the other.
    """

    box: IntArray
    start: IntArray
    width: IntArray
    groups: list[tuple[IntArray, int, int]]
    values: FloatArray

    @classmethod
    def around(cls, box: IntArray) -> _Cells:
        """Room for the cells in (n, 4) boxes, all of them ABSENT."""
        size = box[:, 2:] - box[:, :2]
        kinds = np.ceil(np.log(size) / np.log(STEP)).astype(np.int64)
        start, width = np.empty(len(box), np.int64), np.empty(len(box), np.int64)
        groups, at = [], 0
        for kind in np.unique(kinds, axis=0):
            numbers = np.flatnonzero((kinds == kind).all(axis=1))
            high, wide = size[numbers].max(axis=0).tolist()
            start[numbers] = at + np.arange(len(numbers)) * high * wide
            width[numbers] = wide
            at += len(numbers) * high * wide
            groups.append((numbers, high, wide))
        return cls(box, start, width, groups, np.full(at, ABSENT, np.float32))

    def places(self, which: IntArray, box: IntArray) -> IntArray:
        """Where cells of some objects lie in ``values``, box after box, row by row.

        Args:
            which: (m,) objects.
            box: (m, 4) cells, each box within the object's own.
        """
        corner = self.start[which] + (box[:, 0] - self.box[which, 0]) * self.width[which]
        corner += box[:, 1] - self.box[which, 1]
        return _rows(corner, self.width[which], box)

    def canvases(self, cell: int) -> list[tuple[Canvas, IntArray]]:
        """The canvases, and the numbers of the objects on each from top to bottom."""
        made, at = [], 0
        for numbers, high, wide in self.groups:
            size = len(numbers) * high * wide
            values = self.values[at : at + size].reshape(-1, wide)
            at += size
            row, col = (
                (self.box[numbers, side, None] + np.arange(count)) * float(cell) + 0.5 * cell
                for side, count in ((0, high), (1, wide))
            )
            y = np.broadcast_to(row.reshape(-1, 1), values.shape)
            x = np.repeat(col, high, axis=0)
            made.append((Canvas(values, x, y, high), numbers))
        return made


def _rows(corner: IntArray, width: IntArray, box: IntArray) -> IntArray:
    """Places of cells row by row: (m,) place of each box's first cell, and from row to row."""
    height = box[:, 2] - box[:, 0]
    owner = np.repeat(np.arange(len(box)), height)
    down = ranges(np.zeros(len(box), np.int64), height)
    return ranges(corner[owner] + down * width[owner], (box[:, 3] - box[:, 1])[owner])


def _fuse(objects: Sequence[MergedObject], cells: _Cells, tiles: MaskSource, grid: Grid) -> None:
    """Fill in the fused logits of objects: what ``fuse_box`` gives for each of their boxes."""
    members: defaultdict[TileIndex, list[tuple[int, int]]] = defaultdict(list)
    for number, obj in enumerate(objects):
        for index, position in obj.members:
            members[index].append((number, position))
    several = np.array([obj.members[0].tile != obj.members[-1].tile for obj in objects], bool)
    total, weights = np.zeros((2, len(cells.values)), np.float32)
    layer = np.empty(len(cells.values), np.float32)
    for index in sorted(members):
        trusted = grid[index].trusted.cells(grid.cell)
        number, position = np.array(members[index], np.int64).T
        which = np.unique(number)
        region = _common(cells.box[which], trusted)
        seen = (region[:, 2:] > region[:, :2]).all(axis=1)
        which, region = which[seen], region[seen]
        at = cells.places(which, region)
        layer[at] = ABSENT
        _put(number, position, MaskTable.of(tiles.load(index).masks), cells, trusted, layer)
        alone = np.repeat(~several[which], (region[:, 2:] - region[:, :2]).prod(axis=1))
        cells.values[at[alone]] = layer[at[alone]]
        if alone.all():
            continue
        shared = several[which]
        at, weight = at[~alone], _weights(index, region[shared], grid)
        total[at] += weight * layer[at]
        weights[at] += weight
    np.divide(total, weights, out=cells.values, where=weights > 0)


def _put(
    number: IntArray,
    position: IntArray,
    table: MaskTable,
    cells: _Cells,
    trusted: CellBox,
    layer: FloatArray,
) -> None:
    """The largest logit of an object's masks in one tile, cell by cell."""
    # Masks of one object may share cells: of several in this tile, one after the other.
    order = np.argsort(number, kind="stable")
    number, position = number[order], position[order]
    first = np.flatnonzero(np.diff(number, prepend=-1))
    nth = np.arange(len(number)) - np.repeat(first, np.diff([*first.tolist(), len(number)]))
    for turn in range(int(nth.max(initial=-1)) + 1):
        some = nth == turn
        which, mask = number[some], position[some]
        box = table.box[mask]
        common = _common(cells.box[which], trusted)
        common[:, :2] = np.maximum(common[:, :2], box[:, :2])
        common[:, 2:] = np.minimum(common[:, 2:], box[:, 2:])
        good = (common[:, 2:] > common[:, :2]).all(axis=1)
        which, mask, box, common = which[good], mask[good], box[good], common[good]
        at = cells.places(which, common)
        width = box[:, 3] - box[:, 1]
        corner = table.start[mask] + (common[:, 0] - box[:, 0]) * width + common[:, 1] - box[:, 1]
        layer[at] = np.maximum(layer[at], table.logits[_rows(corner, width, common)])


def _common(box: IntArray, other: CellBox) -> IntArray:
    low, high = (other.row0, other.col0), (other.row1, other.col1)
    return np.hstack([np.maximum(box[:, :2], low), np.minimum(box[:, 2:], high)])


def _weights(index: TileIndex, region: IntArray, grid: Grid) -> Any:
    """Weights of a tile on regions of its trusted window, one after the other, row by row."""
    trusted = grid[index].trusted.cells(grid.cell)
    rows, cols = tile_ramps(grid[index], grid, trusted)
    height = region[:, 2] - region[:, 0]
    wide = np.repeat(region[:, 3] - region[:, 1], height)
    down = rows[ranges(region[:, 0] - trusted.row0, height)]
    across = cols[ranges(np.repeat(region[:, 1] - trusted.col0, height), wide)]
    return np.repeat(down, wide) * across
