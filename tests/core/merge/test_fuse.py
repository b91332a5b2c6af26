# SPDX-License-Identifier: GPL-2.0-or-later
"""Fused logits: weights that add up, blocks that meet, nothing that shows the tiles."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from affine import Affine
from samgeo_core.masks.masks import ABSENT, Mask, crop_mask
from samgeo_core.masks.sparse_logits import Field
from samgeo_core.merge import fuse, fuse_box
from samgeo_core.merge.fuse import tile_weights
from samgeo_core.tiles.grid import Grid
from samgeo_core.types import CellBox
from samgeo_core.vectors.contours import polygonize
from samgeo_core.vectors.object_polygon import object_polygon

from ..merging import mask_of, merge_here, source_of


@pytest.mark.parametrize(("core", "margin", "cell"), [(64, 24, 1), (64, 64, 1), (64, 16, 4)])
def test_weights_are_positive_where_trusted_and_at_least_the_owner_counts_everywhere(
    core, margin, cell
):
    grid = Grid(192, 128, core, margin, cell, 8)  # the last tiles are as large as the others
    whole = grid.bounds.cells(cell)
    total = np.zeros(whole.shape)
    for tile in grid:
        trusted = tile.trusted.cells(cell)
        weight = tile_weights(tile, grid, trusted)
        assert weight.min() > 0
        assert weight.max() <= 1
        total[trusted.slices(whole)] += weight
    assert total.min() > 0.2
    if core >= 2 * (margin - 8):  # no zone meets another one of its tile
        assert total == pytest.approx(1, abs=1e-5)


def test_across_a_zone_one_tile_fades_into_the_other():
    grid = Grid(100, 200, 100, 32)
    a = Mask(CellBox(20, 40, 60, 132), np.full((40, 92), 100, np.int8), 0.9, 0.9)
    b = Mask(CellBox(20, 68, 60, 160), np.full((40, 92), 20, np.int8), 0.9, 0.9)
    source = source_of(grid, {(0, 0): [a], (0, 1): [b]})
    (obj,) = merge_here(source, grid)
    line = fuse_box(obj, CellBox(40, 40, 41, 160), source, grid)[0]
    assert line[:36] == pytest.approx(100)  # columns 40 to 75: tile A alone
    assert line[84:] == pytest.approx(20)  # columns 124 on: tile B alone
    steps = np.diff(line[36:84])
    assert (steps < 0).all()
    assert steps.min() > -2.5


def test_two_members_of_one_tile_count_once_with_their_larger_logit():
    grid = Grid(100, 100, 100, 12)
    parts = [mask_of(CellBox(10, 10, 20, 20), level=50), mask_of(CellBox(10, 15, 20, 30), level=90)]
    source = source_of(grid, {(0, 0): parts})
    objects = merge_here(source, grid)
    both = objects[0].__class__(
        "x", "", CellBox(10, 10, 20, 30), objects[0].members + objects[1].members,
        1, 0.9, 0.9, objects[0].prompt, False,
    )  # fmt: skip
    line = fuse_box(both, CellBox(12, 8, 13, 32), source, grid)[0]
    assert line.tolist() == [ABSENT] * 2 + [50] * 5 + [90] * 15 + [ABSENT] * 2


def test_blocks_share_one_cell_and_agree_with_the_whole():
    grid = Grid(100, 200, 100, 32)
    a, b = mask_of(CellBox(20, 40, 60, 132)), mask_of(CellBox(20, 68, 60, 160))
    source = source_of(grid, {(0, 0): [a], (0, 1): [b]})
    (obj,) = merge_here(source, grid)
    around = obj.box.grown(1)
    whole = fuse_box(obj, around, source, grid)
    ((box, single),) = fuse(obj, source, grid)
    assert box == around
    assert (single == whole).all()
    seen = np.zeros(around.shape, int)
    blocks = list(fuse(obj, source, grid, block=30))
    for box, values in blocks:
        assert values.shape == box.shape
        assert max(box.shape) <= 46
        assert (values == whole[box.slices(around)]).all()
        seen[box.slices(around)] += 1
    assert (seen[whole > 0] >= 1).all()
    assert len(blocks) > 4


def test_nothing_is_known_beyond_the_raster():
    grid = Grid(50, 50, 100, 12)
    source = source_of(grid, {(0, 0): [mask_of(CellBox(0, 0, 50, 50), level=40)]})
    (obj,) = merge_here(source, grid)
    fused = fuse_box(obj, CellBox(-2, -1, 51, 52), source, grid)
    assert (fused[2:-1, 1:-2] == 40).all()
    for beyond in (fused[:2], fused[:, :1], fused[-1:], fused[:, -2:]):
        assert (beyond == ABSENT).all()


@pytest.mark.parametrize("side", range(4))
def test_a_thin_tip_that_leaves_the_raster_beside_its_mask_is_drawn(side):
    """Along 12 of its 40 pixels at the edge this tip holds no centre of a pixel."""
    grid = Grid(60, 60, 60, 12)
    whole = shapely.box(0, 0, 60, 60)
    tip = shapely.Polygon([(10.3, 0), (50, 1.65), (50, -20), (10.3, -20)])
    tip = shapely.affinity.rotate(tip, 90 * side, origin=(30, 30))
    rows, cols = np.mgrid[0:60, 0:60] + 0.5
    inside = np.where(shapely.contains_xy(tip, cols, rows), 32, -32)
    distance = np.minimum(shapely.distance(shapely.points(cols, rows), tip.boundary), 3)
    cut = crop_mask(np.rint(inside * distance).astype(np.int8), (0, 0))
    source = source_of(grid, {(0, 0): [Mask(*cut, 0.9, 0.9)]})
    (obj,) = merge_here(source, grid)
    polygon = polygonize(fuse(obj, source, grid), grid)
    wanted = shapely.intersection(tip, whole)
    assert shapely.hausdorff_distance(polygon, wanted) < 0.7
    assert shapely.area(shapely.symmetric_difference(polygon, wanted)) < 0.5

    known = Field(CellBox(0, 0, 60, 60), 16)
    box = CellBox(0, 0, 60, 60)
    known = known.add(box, (inside * distance / 16).astype(np.float32), np.ones((60, 60)))
    clicked = object_polygon(known, 1, Affine.identity(), (60, 60), 0.0)
    assert shapely.area(shapely.symmetric_difference(clicked, wanted)) < 0.5
