# SPDX-License-Identifier: GPL-2.0-or-later
"""Contours lie where the mask's border is, to the half pixel, whatever the size of cells."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from samgeo_core.masks.masks import Mask, PromptRef, quantize
from samgeo_core.merge import MergedObject, NodeRef, fuse
from samgeo_core.tiles.grid import Grid
from samgeo_core.types import CellBox, TileIndex
from samgeo_core.vectors.contours import (
    SizeLimits,
    contours,
    drop_small,
    polygonize,
    simplify,
    to_ground,
    valid,
    without_specks,
)
from samgeo_core.vectors.features import FeatureMaker, VectorStage

from ..merging import mask_of, merge_here, source_of


def polygon_of(mask: Mask, grid: Grid, block: int = 1024):
    source = source_of(grid, {(0, 0): [mask]})
    (obj,) = merge_here(source, grid)
    return polygonize(fuse(obj, source, grid, block), grid)


@pytest.mark.parametrize("cell", [1, 2, 4])
def test_a_square_of_known_place_has_that_place_and_size(cell):
    grid = Grid(200 * cell, 200 * cell, 200 * cell, 12 * cell, cell, 8)
    polygon = polygon_of(mask_of(CellBox(50, 80, 70, 110).grown(1), _framed(20, 30)), grid)
    # Rows 50 to 69 and columns 80 to 109 of cells: the ground between lines 50 and 70, 80 and 110.
    assert polygon.bounds == (80 * cell, 50 * cell, 110 * cell, 70 * cell)
    x, y = shapely.get_coordinates(shapely.centroid(polygon))[0]
    assert (x, y) == pytest.approx((95 * cell, 60 * cell), abs=1e-9)
    corners_cut = 4 * 0.125 * cell**2
    assert polygon.area == pytest.approx(20 * 30 * cell**2 - corners_cut)


def _framed(height: int, width: int):
    return np.pad(np.ones((height, width), bool), 1)


@given(
    row=st.floats(60, 140), col=st.floats(60, 140), radius=st.floats(8, 50),
    cell=st.sampled_from([1, 4]),
)  # fmt: skip
def test_a_disc_given_as_signed_distance_is_found_to_a_twentieth_of_a_cell(row, col, radius, cell):
    grid = Grid(200 * cell, 200 * cell, 200 * cell, 12 * cell, cell, 8)
    rows, cols = np.ogrid[:200, :200]
    distance = radius - np.hypot(rows + 0.5 - row, cols + 0.5 - col)
    mask = Mask(CellBox(0, 0, 200, 200), quantize(distance), 0.9, 0.9)
    polygon = polygon_of(mask, grid)
    x, y = shapely.get_coordinates(shapely.centroid(polygon))[0]
    assert (x, y) == pytest.approx((col * cell, row * cell), abs=0.05 * cell)
    ring = shapely.get_coordinates(polygon.exterior)
    error = np.hypot(ring[:, 0] - col * cell, ring[:, 1] - row * cell) - radius * cell
    assert np.abs(error).max() < 0.08 * cell
    assert polygon.area == pytest.approx(np.pi * (radius * cell) ** 2, rel=0.01)


def test_holes_belong_to_the_polygon_around_them_and_islands_are_parts():
    grid = Grid(100, 100, 100, 12, 1, 8)
    shape = np.zeros((60, 60), bool)
    shape[2:58, 2:58] = True
    shape[10:50, 10:50] = False
    shape[20:40, 20:40] = True
    shape[28:32, 28:32] = False
    polygon = polygon_of(mask_of(CellBox(10, 10, 70, 70), shape), grid)
    assert polygon.geom_type == "MultiPolygon"
    assert sorted(len(part.interiors) for part in polygon.geoms) == [1, 1]
    assert polygon.area == pytest.approx(np.count_nonzero(shape), abs=2.1)


def test_what_the_raster_cuts_ends_exactly_at_the_raster():
    grid = Grid(60, 50, 100, 12, 1, 8)
    polygon = polygon_of(mask_of(CellBox(0, 0, 60, 50)), grid)
    assert polygon.equals(shapely.box(0, 0, 50, 60)) or polygon.area > 50 * 60 - 0.6
    assert polygon.bounds == (0, 0, 50, 60)
    odd = Grid(58, 47, 100, 12, 4, 8)  # the last cells reach beyond
    assert polygon_of(mask_of(CellBox(0, 0, 15, 12)), odd).bounds == (0, 0, 47, 58)


@settings(max_examples=12)
@given(data=st.data())
def test_blocks_give_the_same_polygon_as_one_piece(data):
    grid = Grid(90, 90, 100, 12, 1, 8)
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    rough = rng.standard_normal((12, 12)).repeat(7, axis=0).repeat(7, axis=1)[:80, :80]
    rough = rough + 0.2 * rng.standard_normal((80, 80))
    mask = Mask(CellBox(5, 5, 85, 85), quantize(rough), 0.9, 0.9)
    whole = polygon_of(mask, grid)
    pieces = polygon_of(mask, grid, block=data.draw(st.integers(8, 40)))
    assert whole.is_valid
    assert pieces.is_valid
    assert whole.symmetric_difference(pieces).area < 1e-9


def test_a_member_that_is_nowhere_positive_gives_an_empty_polygon():
    grid = Grid(50, 50, 100, 12, 1, 8)
    source = source_of(grid, {(0, 0): [mask_of(CellBox(5, 5, 9, 9), np.zeros((4, 4), bool))]})
    obj = MergedObject(
        "x", "", CellBox(5, 5, 9, 9), (NodeRef(TileIndex(0, 0), 0),), 1, 0, 0, PromptRef(), False
    )
    assert polygonize(fuse(obj, source, grid), grid).is_empty


def test_contours_of_one_row_or_column_are_nothing():
    assert len(contours(np.ones((1, 5), np.float32), np.arange(5) + 0.5, np.array([0.5]))) == 0


def test_the_affine_is_applied_as_rasterio_means_it():
    ground = to_ground(shapely.box(0, 0, 10, 20), (0.5, 0, 1000, 0, -0.5, 5000))
    assert ground.bounds == (1000, 4990, 1005, 5000)
    rotated = to_ground(shapely.Point(3, 4), (0.0, 2.0, 10, 1.0, 0.0, 20))
    assert (rotated.x, rotated.y) == (18, 23)


@given(
    points=st.lists(st.tuples(st.floats(-50, 50), st.floats(-50, 50)), min_size=4, max_size=9),
    tolerance=st.floats(0, 20),
)
def test_simplified_polygons_are_valid_and_of_polygons_only(points, tolerance):
    geometry = valid(shapely.Polygon(points))
    result = simplify(geometry, tolerance)
    assert result.is_valid
    assert result.geom_type in ("Polygon", "MultiPolygon")


def test_small_holes_are_filled_and_small_parts_dropped_by_the_given_measure():
    big = shapely.Polygon(
        shapely.box(0, 0, 20, 20).exterior,
        [shapely.box(2, 2, 4, 4).exterior.coords[::-1], shapely.box(8, 8, 14, 14).exterior],
    )
    two = shapely.MultiPolygon([big, shapely.box(30, 30, 33, 33)])
    kept = drop_small(two, SizeLimits(part=10, hole=5))
    assert kept.geom_type == "Polygon"
    assert [shapely.Polygon(ring).area for ring in kept.interiors] == [36]
    scaled = drop_small(two, SizeLimits(part=10, hole=5, area=lambda p: 100 * p.area))
    assert len(scaled.geoms) == 2
    assert drop_small(two, SizeLimits(part=1e6)).is_empty


@pytest.mark.parametrize("side", range(4))
def test_an_object_that_the_raster_cuts_runs_straight_to_its_edge(side):
    """A slanted strip across the raster: nothing of it is bevelled where it leaves."""
    grid = Grid(40, 40, 64, 16)
    strip = shapely.Polygon([(-30, 2.3), (70, 30.3), (70, 38.3), (-30, 10.3)])
    strip = shapely.affinity.rotate(strip, 90 * side, origin=(20, 20))
    box = grid.bounds.cells(1).grown(1)
    rows, cols = np.mgrid[box.row0 : box.row1, box.col0 : box.col1] + 0.5
    inside = np.where(shapely.contains_xy(strip, cols, rows), 1, -1)
    logits = 32 * inside * shapely.distance(shapely.points(cols, rows), shapely.boundary(strip))
    beyond = (rows < 0) | (cols < 0) | (rows > 40) | (cols > 40)
    logits[beyond] = -127
    polygon = polygonize([(box, logits.astype(np.float32))], grid)
    wanted = shapely.intersection(strip, shapely.box(0, 0, 40, 40))
    assert shapely.area(shapely.symmetric_difference(polygon, wanted)) < 0.02


@settings(max_examples=40)
@given(data=st.data())
def test_contours_of_anything_are_valid_and_hold_what_is_positive(data):
    """Speckle, saddles, values next to 0, cells that the raster cuts: nothing touches itself."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    cell = data.draw(st.sampled_from([1, 2, 3, 4]))
    height, width = data.draw(st.integers(1, 30)), data.draw(st.integers(1, 30))
    grid = Grid(
        max(1, height * cell - data.draw(st.integers(0, cell - 1))),
        max(1, width * cell - data.draw(st.integers(0, cell - 1))),
        48 * cell, 24 * cell, cell, 12 * cell,
    )  # fmt: skip
    values = np.full((height + 2, width + 2), -127, np.float32)
    scale = data.draw(st.sampled_from([0.1, 1, 60]))
    values[1:-1, 1:-1] = np.clip(rng.normal(0, scale, (height, width)), -127, 127)
    values[1:-1, 1:-1][rng.random((height, width)) < 0.1] = 0
    polygon = polygonize([(CellBox(-1, -1, height + 1, width + 1), values)], grid)
    assert polygon.is_valid
    assert shapely.box(0, 0, grid.width, grid.height).contains(polygon) or polygon.is_empty
    rows, cols = np.mgrid[0:height, 0:width] * cell + cell / 2
    inside = (rows < grid.height) & (cols < grid.width)
    held = shapely.contains_xy(polygon, cols[inside], rows[inside])
    assert np.array_equal(held, (values[1:-1, 1:-1] > 0)[inside])
    for tolerance in (0.5, 2.0 * cell):
        simple = simplify(polygon, tolerance)
        assert simple.is_valid
        assert polygon.is_empty or shapely.hausdorff_distance(simple, polygon) < 3 * tolerance


def test_a_single_undecided_cell_is_no_hole_and_no_part():
    values = np.full((20, 30), -100, np.float32)
    values[2:18, 2:18] = 100
    values[8, 8] = -0.1  # hardly outside: a hole of a few thousandths of a pixel
    values[12:15, 12:15] = -100
    values[8, 25] = 0.1
    drawn = polygonize([(CellBox(50, 50, 70, 80), values)], Grid(200, 200, 200, 12, 1, 8))
    (shape,) = without_specks([drawn])
    assert shape.geom_type == "Polygon"
    assert [shapely.Polygon(ring).area for ring in shape.interiors] == [
        pytest.approx(8.5, abs=0.01)
    ]


def test_what_is_nothing_but_small_keeps_its_largest_part():
    values = np.full((20, 30), -100, np.float32)
    values[8, 5], values[8, 15] = 0.25, 0.5
    drawn = polygonize([(CellBox(50, 50, 70, 80), values)], Grid(200, 200, 200, 12, 1, 8))
    (shape,) = without_specks([drawn])
    assert shape.geom_type == "Polygon"
    assert shape.centroid.x == pytest.approx(65.5)


def test_features_have_no_specks():
    grid = Grid(200, 200, 200, 12, 1, 8)
    logits = np.full((30, 30), -100, np.int8)
    logits[2:18, 2:18] = 100
    logits[8, 8] = -1
    (obj,) = merge_here(
        source := source_of(grid, {(0, 0): [Mask(CellBox(50, 50, 80, 80), logits, 0.9, 0.9)]}), grid
    )
    maker = FeatureMaker((1.0, 0.0, 0.0, 0.0, -1.0, 0.0), None, "model", "source", 0.0)
    (shape,) = VectorStage(None, grid, maker)._shapes([obj], source)
    assert shape.geom_type == "Polygon"
    assert not shape.interiors


def test_rectangles_keep_their_right_angles_however_much_is_simplified():
    grid = Grid(200, 200, 200, 12, 1, 8)
    logits = np.full((60, 60), -100, np.int8)
    logits[5:40, 5:30] = logits[5:45, 30:55] = 100  # a wall with a step of 5
    (obj,) = merge_here(
        source := source_of(grid, {(0, 0): [Mask(CellBox(50, 50, 110, 110), logits, 0.9, 0.9)]}),
        grid,
    )
    for tolerance in (0.5, 3.0):
        maker = FeatureMaker((1.0, 0.0, 0.0, 0.0, -1.0, 0.0), None, "model", "source", tolerance)
        (shape,) = VectorStage(None, grid, maker, "rectangles")._shapes([obj], source)
        sides = np.diff(shapely.get_coordinates(shape), axis=0)
        sides /= np.hypot(*sides.T)[:, None]
        corners = (sides * np.roll(sides, 1, axis=0)).sum(axis=1)  # cosines
        assert np.abs(corners) == pytest.approx(np.zeros(len(corners)), abs=1e-9)
