# SPDX-License-Identifier: GPL-2.0-or-later
"""Fusing the masks of an object: weighted mean of logits over its tiles.

L = sum(w * l) / sum(w) over the tiles that hold a member, where w is a tent: 1 inside a tile,
falling to 0 at its trusted edge over the whole width of the zone that it shares with a neighbour,
so that two neighbours' weights add up to 1. At the raster's own edge nothing falls.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from ..masks.logits import ABSENT, Steps
from ..tiles.grid import Grid, Tile
from ..tiles.windows import ramps, tent
from ..types import CellBox, FloatArray, TileIndex
from .nodes import lattice
from .types import CachedSource, MaskSource, MergedObject, cached

BLOCK = 1024
"""Side in cells of the blocks in which a large object is fused: about 20 MB at a time."""


def tile_weights(tile: Tile, grid: Grid, region: CellBox) -> FloatArray:
    """Weights of a tile on some cells of its trusted window: neighbours' add up to 1."""
    return tent(region, tile.trusted.cells(grid.cell), lattice(grid), _overlap(grid))


def tile_ramps(tile: Tile, grid: Grid, region: CellBox) -> tuple[FloatArray, FloatArray]:
    """The same along the rows and along the columns: a cell's weight is their product."""
    return ramps(region, tile.trusted.cells(grid.cell), lattice(grid), _overlap(grid))


def _overlap(grid: Grid) -> float:
    """Cells over which a tile's weight falls."""
    return max(1.0, 2.0 * (grid.margin - grid.trust) / grid.cell)


def fuse_box(obj: MergedObject, box: CellBox, source: MaskSource, grid: Grid) -> Steps:
    """Fused stored logits of an object on any box of cells.

    Args:
        obj: The object.
        box: May reach beyond the raster's lattice and the object's own box.
        source: Where its masks are.
        grid: The job's grid.

    Returns:
        (height, width) float32 in stored steps (1/16 logit), > 0 inside. ``ABSENT`` where no
        member's tile sees, and beyond the raster.
    """
    whole = lattice(grid)
    inside = box.intersection(whole)
    fused = Steps(np.full(box.shape, ABSENT, np.float32))
    if inside.empty:
        return fused
    by_tile: defaultdict[TileIndex, list[int]] = defaultdict(list)
    for tile_index, position in obj.members:
        by_tile[tile_index].append(position)
    view = fused[inside.slices(box)]
    if len(by_tile) == 1:
        (index, positions), *_ = by_tile.items()
        region = inside.intersection(grid[index].trusted.cells(grid.cell))
        if not region.empty:
            view[region.slices(inside)] = _logits(index, positions, region, source)
    else:
        total = np.zeros(inside.shape, np.float32)
        weights = np.zeros(inside.shape, np.float32)
        for index in sorted(by_tile):
            tile = grid[index]
            region = inside.intersection(tile.trusted.cells(grid.cell))
            if region.empty:
                continue
            weight = tile_weights(tile, grid, region)
            place = region.slices(inside)
            total[place] += weight * _logits(index, by_tile[index], region, source)
            weights[place] += weight
        np.divide(total, weights, out=view, where=weights > 0)
    return fused


def _logits(
    index: TileIndex, positions: list[int], region: CellBox, source: MaskSource
) -> FloatArray:
    """A tile's members of an object on a region: the largest logit of each cell."""
    values = np.full(region.shape, ABSENT, np.float32)
    masks = source.load(index).masks
    for position in positions:
        mask = masks[position]
        common = region.intersection(mask.box)
        if not common.empty:
            place = common.slices(region)
            np.maximum(values[place], mask.logits[common.slices(mask.box)], out=values[place])
    return values


def fuse(
    obj: MergedObject, source: MaskSource, grid: Grid, block: int = BLOCK
) -> Iterator[tuple[CellBox, Steps]]:
    """Fused stored logits of an object: its box and one cell around it, block by block; at the
    raster's edge all that is known of it, for the thin tips that leave the raster there.

    Neighbouring blocks share one row or column of cells, so that contours drawn through the cells'
    centres meet. A block without a positive cell is left out; a small object is one block.

    Args:
        obj: The object.
        source: Where its masks are.
        grid: The job's grid.
        block: Side of a block, cells.

    Yields:
        Box and (height, width) float32 of :func:`fuse_box`, row by row.
    """
    tiles: CachedSource = cached(source)
    around = obj.box.grown(1)
    if not lattice(grid).contains(around):
        for index, position in obj.members:
            known = tiles.load(index).masks[position].box
            around = around.union(known.intersection(grid[index].trusted.cells(grid.cell)))
    for row0, row1 in _steps(around.row0, around.row1, block):
        for col0, col1 in _steps(around.col0, around.col1, block):
            box = CellBox(row0, col0, row1, col1)
            if not _touched(obj, box, grid):
                continue
            fused = fuse_box(obj, box, tiles, grid)
            if (fused > 0).any():
                yield box, fused


def _steps(start: int, stop: int, block: int) -> list[tuple[int, int]]:
    """Half-open intervals that cover a range and share one cell with the next one."""
    if stop - start <= block + block // 2:
        return [(start, stop)]
    cuts = [*range(start, stop - 1, block), stop - 1]
    return [(low, high + 1) for low, high in pairwise(cuts)]


def _touched(obj: MergedObject, box: CellBox, grid: Grid) -> bool:
    return any(
        grid[tile].trusted.cells(grid.cell).intersects(box)
        for tile in dict.fromkeys(ref.tile for ref in obj.members)
    )
