# SPDX-License-Identifier: GPL-2.0-or-later
"""Roads as lines: in the middle, to their ends, without hairs, with their loops and widths."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from affine import Affine
from rasterio.features import rasterize
from samgeo_core.merge import fuse
from samgeo_core.tiles.grid import Grid
from samgeo_core.types import CellBox
from samgeo_core.vectors.centre_lines import centre_lines, ground_widths, road_mask

from ..merging import mask_of, merge_here, source_of


@pytest.mark.parametrize("width", [3, 4, 5, 6, 8, 11, 16])
@pytest.mark.parametrize("angle", [0, 7, 20, 33, 60, 90])
def test_the_width_is_that_of_the_road_for_odd_and_even_numbers_of_cells(width, angle):
    road = shapely.affinity.rotate(shapely.box(-250, -width / 2, 250, width / 2), angle)
    road = shapely.affinity.translate(road, 280.3, 280.4)
    mask = rasterize([road], out_shape=(561, 561)).astype(bool)
    longest = centre_lines(mask, (0, 0), 1)[0]
    assert longest.width == pytest.approx(width, rel=0.08)


def test_a_straight_road_is_one_line_in_its_middle_from_end_to_end():
    mask = np.zeros((40, 200), bool)
    mask[15:26] = True
    (road,) = centre_lines(mask, (100, 300), 2)
    points = shapely.get_coordinates(road.line)
    # Rows 115 to 125 of cells of 2 pixels: the middle is at 120.5 cells.
    middle = points[(points[:, 0] > 640) & (points[:, 0] < 960)]
    assert middle[:, 1] == pytest.approx(241, abs=0.01)
    assert road.width == pytest.approx(22, abs=2)
    assert road.line.bounds[0] == pytest.approx(600, abs=3)
    assert road.line.bounds[2] == pytest.approx(1000, abs=3)


@pytest.mark.parametrize("angle", [0, 30, 90])
@pytest.mark.parametrize(("crs", "stretch"), [("EPSG:4326", (2, 1)), ("EPSG:3857", (2, 2))])
def test_a_width_counts_in_the_side_of_a_pixel_that_lies_across_the_road(crs, stretch, angle):
    corner = np.array([15.0, 60.0] if crs == "EPSG:4326" else [1_669_792.36, 8_399_737.89])
    unit = 1 / 111_300 if crs == "EPSG:4326" else 1.0  # a pixel's side
    metres = shapely.affinity.rotate(shapely.box(-150, -4, 150, 4), angle, origin=(0, 0))
    middle = shapely.affinity.rotate(shapely.LineString([(-150, 0), (150, 0)]), angle)
    road, line = (shapely.transform(shape, lambda xy: xy * stretch) for shape in (metres, middle))
    width = road.area / line.length  # in pixels, whatever they are on the ground
    on_map = shapely.transform(line, lambda xy: xy * unit + corner)
    transform = Affine(unit, 0, corner[0], 0, -unit, corner[1])
    found = ground_widths(np.array([on_map]), np.array([width]), transform, crs)
    assert found == pytest.approx([8], rel=0.01)


def test_a_bump_is_no_side_road_and_a_side_road_is():
    mask = np.zeros((100, 200), bool)
    mask[50:62] = True
    mask[44:50, 30:34] = True
    assert len(centre_lines(mask, (0, 0), 1)) == 1
    mask[:50, 120:130] = True
    lines = centre_lines(mask, (0, 0), 1)
    assert len(lines) == 3
    total = shapely.union_all([road.line for road in lines])
    assert total.length == pytest.approx(200 + 56, abs=8)
    assert shapely.line_merge(total).geom_type == "MultiLineString"


def test_a_crossing_is_one_junction():
    mask = np.zeros((120, 120), bool)
    mask[55:67] = True
    mask[:, 50:62] = True
    lines = centre_lines(mask, (0, 0), 1)
    assert len(lines) == 4
    ends = [tuple(point) for road in lines for point in
            (road.line.coords[0], road.line.coords[-1])]  # fmt: skip
    assert max(ends.count(end) for end in ends) == 4


def test_loops_are_kept():
    r = np.hypot(*np.ogrid[-50:50, -50:50])
    (ring,) = centre_lines((r < 40) & (r > 30), (0, 0), 1)
    assert ring.line.is_ring
    assert shapely.Polygon(ring.line).area == pytest.approx(np.pi * 35**2, rel=0.03)


def test_a_loop_road_that_hangs_on_a_square_is_kept():
    """The square is wider than the loop's own road, and so is the ground at their junction."""
    square, middle = shapely.box(240, 240, 400, 400), shapely.Point(320, 191)
    streets = [
        shapely.LineString([(320, 320), (320 + 300 * np.cos(a), 320 + 300 * np.sin(a))]).buffer(14)
        for a in (np.pi / 2, np.pi / 2 + 0.9)
    ]
    ring = middle.buffer(62).difference(middle.buffer(48))
    mask = rasterize([square, *streets, ring], out_shape=(640, 640)).astype(bool)
    rings = shapely.polygonize([road.line for road in centre_lines(mask, (0, 0), 1)])
    assert any(part.contains(middle) for part in shapely.get_parts(rings))


def test_nothing_and_single_cells_give_no_lines():
    assert centre_lines(np.zeros((5, 5), bool), (0, 0), 1) == []
    dot = np.zeros((5, 5), bool)
    dot[2, 2] = True
    assert centre_lines(dot, (0, 0), 1) == []


def test_large_roads_are_read_block_by_block_and_coarser_where_need_be():
    grid = Grid(100, 200, 100, 32)
    a, b = mask_of(CellBox(20, 40, 60, 132)), mask_of(CellBox(20, 68, 60, 160))
    source = source_of(grid, {(0, 0): [a], (0, 1): [b]})
    (obj,) = merge_here(source, grid)
    mask, factor = road_mask(fuse(obj, source, grid, block=30), obj.box)
    assert factor == 1
    assert mask.shape == (40, 120)
    assert mask.all()
    coarse, factor = road_mask(fuse(obj, source, grid, block=30), obj.box, limit=500)
    assert factor == 4
    assert coarse.shape == (10, 30)
    assert coarse.all()
