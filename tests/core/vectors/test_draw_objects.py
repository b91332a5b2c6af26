# SPDX-License-Identifier: GPL-2.0-or-later
"""Objects drawn together have the very polygons that they have one by one."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from samgeo_core.masks.logits import quantize
from samgeo_core.masks.masks import Mask, PromptRef
from samgeo_core.merge import fuse
from samgeo_core.tiles.grid import Grid
from samgeo_core.types import CellBox
from samgeo_core.vectors.contours import polygonize
from samgeo_core.vectors.draw_objects import SMALL, draw_objects
from scipy import ndimage

from ..merging import merge_here, source_of


def blobs(rng, grid, count=60):
    """Smooth random shapes with holes and of several parts, as each tile's window shows them."""
    whole = CellBox(0, 0, grid.height // grid.cell, grid.width // grid.cell)
    tiles = {(tile.index.row, tile.index.col): [] for tile in grid}
    for _ in range(count):
        size = rng.integers(6, 60, 2)
        row, col = rng.integers(0, whole.row1 - size[0]), rng.integers(0, whole.col1 - size[1])
        values = ndimage.gaussian_filter(rng.normal(size=size), 2.5) * 90
        box = CellBox(int(row), int(col), int(row + size[0]), int(col + size[1]))
        for tile in grid:
            part = box.intersection(tile.window.cells(grid.cell))
            if not part.empty and (values[part.slices(box)] > 0).any():
                seen = values[part.slices(box)] + rng.normal(size=part.shape) / 4
                mask = Mask(part, quantize(seen.astype(np.float32)), 0.9, 0.9, PromptRef())
                tiles[tile.index.row, tile.index.col].append(mask)
    return tiles


@pytest.mark.parametrize("cell", [1, 4])
def test_together_as_one_by_one(cell):
    rng = np.random.default_rng(cell)
    grid = Grid(310 * cell + 2, 250 * cell, 100 * cell, 24 * cell, cell, 8)
    source = source_of(grid, blobs(rng, grid))
    objects = list(merge_here(source, grid, "flat"))
    together = draw_objects(objects, source, grid)
    alone = [polygonize(fuse(obj, source, grid), grid) for obj in objects]
    assert [shape.wkb for shape in together] == [shape.wkb for shape in alone]
    assert sum(obj.tiles > 1 for obj in objects) > 10  # fused from several tiles
    assert (shapely.get_num_geometries(alone) > 1).any()
    assert (shapely.get_num_interior_rings(shapely.get_parts(alone)) > 0).any()


def test_an_object_too_large_for_a_canvas_is_drawn_by_itself():
    side = SMALL + 40
    grid = Grid(400, 400, 400, 32)
    logits = np.full((side, side), 40, np.int8)
    logits[0], logits[-1], logits[:, 0], logits[:, -1] = -40, -40, -40, -40
    masks = [
        Mask(CellBox(60, 60, 60 + side, 60 + side), logits, 0.9, 0.9),
        Mask(CellBox(20, 20, 40, 40), np.ascontiguousarray(logits[:20, :20]), 0.9, 0.9),
    ]
    source = source_of(grid, {(0, 0): masks})
    objects = list(merge_here(source, grid))
    together = draw_objects(objects, source, grid)
    alone = [polygonize(fuse(obj, source, grid), grid) for obj in objects]
    assert len(together) == 2
    assert [shape.wkb for shape in together] == [shape.wkb for shape in alone]
