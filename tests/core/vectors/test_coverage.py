# SPDX-License-Identifier: GPL-2.0-or-later
"""A coverage has no gaps and no overlaps, whatever its blocks, cells and simplification."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from samgeo_core.errors import ParameterError
from samgeo_core.merge import CachedSource
from samgeo_core.parallel.executors import ProcessExecutor, SerialExecutor
from samgeo_core.testing.oracle import Noise, Oracle
from samgeo_core.testing.scenes import make_scene
from samgeo_core.tiles.grid import Grid
from samgeo_core.types import CellBox
from samgeo_core.vectors.coverage import CoverageOptions, absorb_small, coverage, label_block

from ..merging import mask_of, merge_here, source_of

SIZE = 420


def parcels(cell: int = 1, noise: Noise | None = None):
    scene = make_scene(SIZE, seed=4, nested=False, tile=100, detail=0.5)
    grid = Grid(SIZE * cell - cell // 2, SIZE * cell - cell // 2, 128 * cell, 32 * cell, cell)
    source = CachedSource(Oracle(scene.things, grid, noise), 30)
    return scene, grid, source, merge_here(source, grid, "flat")


def check(shapes: np.ndarray) -> None:
    assert shapely.is_valid(shapes).all()
    assert shapely.coverage_is_valid(shapes)
    together = shapely.union_all(shapes)
    assert shapely.area(shapes).sum() == pytest.approx(together.area, rel=1e-12)


@pytest.mark.parametrize("cell", [1, 4])
@pytest.mark.parametrize("block", [64, 1000])
def test_a_noisy_segmenter_gives_neither_gaps_nor_overlaps(cell, block):
    _, grid, source, objects = parcels(cell, Noise(seed=3))
    options = CoverageOptions(gap=4, tolerance=1.5 * cell, block=block)
    found = dict(coverage(objects, source, grid, SerialExecutor(), options))
    shapes = np.array(list(found.values()))
    check(shapes)
    assert len(found) >= 0.95 * len(objects)
    minx, miny, maxx, maxy = shapely.total_bounds(shapes)
    assert min(minx, miny) >= 0
    assert maxx <= grid.width
    assert maxy <= grid.height


def test_without_simplification_every_cell_has_its_object_exactly():
    scene, grid, source, objects = parcels()
    options = CoverageOptions(gap=0, tolerance=0, block=100)
    found = dict(coverage(objects, source, grid, SerialExecutor(), options))
    check(np.array(list(found.values())))
    areas = sorted(shape.area for shape in found.values())
    assert areas == sorted(float(np.count_nonzero(thing.mask)) for thing in scene.things)


def test_simplification_takes_the_staircase_away_and_moves_borders_little():
    _, grid, source, objects = parcels()
    exact = dict(coverage(objects, source, grid, SerialExecutor(), CoverageOptions(0, 0, 128)))
    simple = dict(coverage(objects, source, grid, SerialExecutor(), CoverageOptions(0, 1.5, 128)))
    check(np.array(list(simple.values())))
    before = sum(shapely.get_num_coordinates(shape) for shape in exact.values())
    after = sum(shapely.get_num_coordinates(shape) for shape in simple.values())
    assert after < 0.5 * before
    for number, shape in exact.items():
        assert shape.hausdorff_distance(simple[number]) < 3.5


def test_blocks_and_workers_do_not_change_who_owns_a_cell():
    _, grid, source, objects = parcels(noise=Noise(seed=5))
    with ProcessExecutor(2) as executor:
        many = dict(coverage(objects, source, grid, executor, CoverageOptions(4, 0, 90)))
    one = dict(coverage(objects, source, grid, SerialExecutor(), CoverageOptions(4, 0, 1000)))
    assert many.keys() == one.keys()
    moved = sum(many[k].symmetric_difference(one[k]).area for k in one)
    # A cell that is as far from two objects may go to either; no other may.
    assert moved <= 0.0005 * SIZE**2


def test_narrow_strips_between_objects_are_closed_and_wide_ones_are_not():
    grid = Grid(60, 100, 200, 12)
    masks = [
        mask_of(CellBox(10, 5, 50, 30)),
        mask_of(CellBox(10, 32, 50, 50)),
        mask_of(CellBox(10, 60, 50, 90)),
    ]
    source = source_of(grid, {(0, 0): masks})
    objects = merge_here(source, grid)
    labels = label_block(CellBox(0, 0, 60, 100), list(objects), source, grid, gap=2)
    assert (labels[12:48, 5:50] > 0).all()
    assert (labels[10:50, 50:60] == 0).all()
    assert (labels[:10] == 0).all()
    open_ = label_block(CellBox(0, 0, 60, 100), list(objects), source, grid, gap=0)
    assert (open_[10:50, 30:32] == 0).all()


def test_small_polygons_go_to_the_neighbour_with_the_longest_shared_border():
    sides = shapely.union_all([shapely.box(0, 0, 10, 20), shapely.box(12, 0, 30, 20)])
    between = shapely.MultiPolygon([shapely.box(10, 0, 12, 5), shapely.box(50, 0, 51, 1)])
    borders = shapely.union_all(shapely.boundary([sides, between, shapely.box(10, 5, 12, 20)]))
    polygons = list(shapely.get_parts(shapely.polygonize(shapely.get_parts(borders))))
    polygons.sort(key=lambda one: one.bounds)  # west, strip, rest, east, island
    areas = [one.area for one in polygons]
    assert areas == [200, 10, 30, 360, 1]
    # The strip has 5 m in common with either side: the larger one takes it.
    assert absorb_small(polygons, [1, 2, 3, 4, 5], areas, 20) == [0, 3, 2, 3, 4]
    # Without the strip and the rest between them, two sides of one class are one polygon.
    assert absorb_small(polygons, [1, 2, 3, 1, 5], areas, 40) == [3, 3, 3, 3, 4]
    assert absorb_small(polygons, [1, 2, 3, 4, 5], areas, 0.5) == [0, 1, 2, 3, 4]


def test_nested_objects_cut_holes_into_those_around_them():
    grid = Grid(100, 100, 200, 12)
    masks = [mask_of(CellBox(10, 10, 80, 80)), mask_of(CellBox(30, 30, 50, 50))]
    source = source_of(grid, {(0, 0): masks})
    found = dict(
        coverage(merge_here(source, grid), source, grid, SerialExecutor(), CoverageOptions(0, 0))
    )
    assert sorted(shape.area for shape in found.values()) == [400, 4500]
    check(np.array(list(found.values())))


@pytest.mark.parametrize("wrong", [{"gap": -1}, {"tolerance": -0.5}, {"block": 3}])
def test_wrong_options_are_refused(wrong):
    with pytest.raises(ParameterError):
        CoverageOptions(**wrong)
