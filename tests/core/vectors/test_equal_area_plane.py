# SPDX-License-Identifier: GPL-2.0-or-later
"""Shapes of any CRS on one plane of metres, and moved there by metres."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from pyproj import CRS, Transformer
from samgeo_core.earth.longitude import in_one_piece, within_map
from samgeo_core.earth.reproject import Reprojection
from samgeo_core.vectors.equal_area_plane import EqualAreaPlane
from shapely.geometry import box

UTM = CRS.from_epsg(32701)
POLAR = CRS.from_epsg(3031)
FEET = CRS.from_wkt('LOCAL_CS["site",UNIT["foot",0.3048]]')
STEP = np.array([2.0, 1.0])


def on_the_line(crs):
    """Three squares in UTM: west of the date line, across it, east of it; and the same in a CRS."""
    x, y = Transformer.from_crs(4326, UTM, always_xy=True).transform(180.0, -17.0)
    squares = np.array([box(x + dx, y, x + dx + 10, y + 10) for dx in (-30, -5, 30)])
    there = squares if crs == UTM else Reprojection(UTM, crs, tolerance=0.001)(squares, "test")
    return squares, there


def moved(shapes, crs, by=STEP):
    plane = EqualAreaPlane(shapes, crs)
    return plane.moved(in_one_piece(shapes, crs), crs, np.tile(by, (len(shapes), 1)))


@pytest.mark.parametrize("code", [4326, 3857])
def test_what_crosses_the_date_line_stays_where_it_is_or_moves_by_its_step(code):
    crs = CRS.from_epsg(code)
    truth, shapes = on_the_line(crs)
    assert shapely.get_num_geometries(shapes[1]) == 2
    plane = EqualAreaPlane(shapes, crs)
    whole = in_one_piece(shapes, crs)
    assert (plane.moved(whole, crs, np.zeros((3, 2))) == whole).all()
    assert (shapely.get_num_geometries(plane.place(shapes, crs, "")) == 1).all()
    there = plane.place(moved(shapes, crs), crs, "")
    expected = shapely.transform(plane.place(truth, UTM, ""), lambda xy: xy + STEP)
    assert (shapely.hausdorff_distance(there, expected) < 0.01).all()
    written = within_map(moved(shapes, crs), crs)
    assert list(shapely.get_num_geometries(written)) == [1, 2, 1]
    half = 180.0 if code == 4326 else 20037508.342789244
    assert np.abs(shapely.bounds(written)[:, [0, 2]]).max() <= half + 1e-6


@pytest.mark.parametrize("turns", [-1, 1])
def test_longitudes_beyond_180_degrees_stay_beyond(turns):
    crs = CRS.from_epsg(4326)
    x = 180.0 * turns
    shapes = np.array([box(x + dx, -17, x + dx + 1e-4, -16.9999) for dx in (-4e-4, -5e-5, 3e-4)])
    assert np.abs(shapely.bounds(moved(shapes, crs)) - shapely.bounds(shapes)).max() < 3e-5


@pytest.mark.parametrize("at", [(0, 0), (3, 40), (0, -40)])
def test_a_shape_at_a_pole_moves_as_it_does_on_a_polar_map(at):
    crs = CRS.from_epsg(4326)
    square = np.array([box(at[0] - 8, at[1] - 5, at[0] + 9, at[1] + 5)])
    shapes = Reprojection(POLAR, crs, tolerance=0.001)(square, "test")
    plane = EqualAreaPlane(shapes, crs)
    there = shapely.make_valid(plane.place(moved(shapes, crs), crs, ""))[0]
    placed = plane.place(square, POLAR, "")
    expected = shapely.transform(placed, lambda xy: xy + STEP)[0]
    assert there.symmetric_difference(expected).area < 0.01 * expected.area


def test_the_plane_lies_around_polygons_that_are_all_cut_at_the_date_line():
    crs = CRS.from_epsg(4326)
    truth, shapes = on_the_line(crs)
    plane = EqualAreaPlane(shapes[[1]], crs)
    assert np.abs(shapely.bounds(plane.place(truth, UTM, ""))).max() < 50


def test_a_local_system_in_feet_has_a_plane_of_metres():
    plane = EqualAreaPlane(np.array([box(0, 0, 100, 100)]), FEET)
    shapes = np.array([box(10, 20, 30, 40)])
    placed = plane.place(shapes, FEET, "")
    assert plane.unit == "m"
    assert shapely.area(placed)[0] == pytest.approx(20 * 20 * 0.3048**2)
    assert shapely.equals_exact(plane.in_crs(placed), shapes, 1e-9).all()
    there = plane.moved(shapes, FEET, np.array([[0.3048, 0.6096]]))
    assert shapely.bounds(there)[0] == pytest.approx((11, 22, 31, 42))
