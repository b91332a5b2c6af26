# SPDX-License-Identifier: GPL-2.0-or-later
"""Areas and lengths agree with GeographicLib, wherever a shape lies and in whatever CRS."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from pyproj import Geod, Transformer
from samgeo_core.vectors.geodesic import measure
from shapely.geometry import LineString, MultiPolygon, Point, Polygon, box

GEOD = Geod(ellps="WGS84")


def blob(lon: float, lat: float, radius: float, seed: int, holes: bool = False) -> Polygon:
    """A star-shaped polygon in degrees, ``radius`` in metres."""
    rng = np.random.default_rng(seed)
    turn = np.sort(rng.uniform(0, 360, 24))
    x, y, _ = GEOD.fwd(np.full(24, lon), np.full(24, lat), turn, radius * rng.uniform(0.6, 1, 24))
    # Continuous across the date line, as contours are.
    x = lon + (np.asarray(x) - lon + 180) % 360 - 180
    shell = Polygon(np.column_stack([x, y]))
    if holes and shell.is_valid:
        hole = shapely.affinity.scale(shell, 0.3, 0.3, origin=(lon, lat))
        if shell.contains(hole):
            return Polygon(shell.exterior, [hole.exterior])
    return shell


@given(
    st.floats(-180, 180),
    st.floats(-83.5, 83.5),
    st.floats(0.5, 400),
    st.integers(0, 99),
    st.booleans(),
)
@example(0.0, 78.0, 206.0, 99, False)
def test_small_shapes_agree_with_geodesics(
    lon: float, lat: float, radius: float, seed: int, holes: bool
) -> None:
    shape = blob(lon, lat, radius, seed, holes)
    # Edges are straight in degrees, which is not the shortest way: the more so, the nearer a pole.
    dense = shapely.segmentize(shapely.orient_polygons(shape), shape.length / 500)
    area, _ = GEOD.geometry_area_perimeter(dense)
    perimeter = sum(GEOD.geometry_length(ring) for ring in (shape.exterior, *shape.interiors))
    got = measure([shape], "EPSG:4326")
    # GeographicLib itself rounds areas to about 1e-4 m2.
    assert got.area[0] == pytest.approx(abs(area), rel=1e-5, abs=1e-3)
    assert got.perimeter[0] == pytest.approx(perimeter, rel=1e-7, abs=1e-5)


def by_geographiclib(shape: Polygon, crs: str) -> tuple[float, float]:
    """Area and perimeter of a shape whose edges are straight in a CRS, cut into a thousand."""
    dense = shapely.segmentize(shape, shape.length / 1500)
    xy = shapely.get_coordinates(dense.exterior)
    lon, lat = Transformer.from_crs(crs, 4326, always_xy=True).transform(*xy.T)
    area, perimeter = GEOD.polygon_area_perimeter(lon, lat)
    whole = 510_065_621_724_088.44  # of WGS 84, m2
    return min(abs(area), whole - abs(area)), perimeter


def star(x: float, y: float, radius: float, seed: int) -> Polygon:
    """A star-shaped polygon in a plane."""
    rng = np.random.default_rng(seed)
    turn = np.sort(rng.uniform(0, 2 * np.pi, 24))
    far = radius * rng.uniform(0.6, 1, 24)
    return Polygon(np.column_stack([x + far * np.cos(turn), y + far * np.sin(turn)]))


@given(st.floats(-180, 180), st.floats(-80, 80), st.floats(0.02, 8), st.integers(0, 99))
def test_large_shapes_agree_with_geographiclib(
    lon: float, lat: float, radius: float, seed: int
) -> None:
    shape = star(lon, lat, radius, seed)
    area, perimeter = by_geographiclib(shape, "EPSG:4326")
    got = measure([shape], "EPSG:4326")
    assert got.area[0] == pytest.approx(area, rel=1e-4, abs=1e-3)
    assert got.perimeter[0] == pytest.approx(perimeter, rel=1e-5)


@pytest.mark.parametrize("crs", ["EPSG:3413", "EPSG:3031", "EPSG:6931"])
@settings(max_examples=40)
@given(
    st.floats(-3, 3), st.floats(-3, 3), st.sampled_from([200.0, 2e3, 3e4, 1e6]), st.integers(0, 99)
)
def test_shapes_at_and_around_the_poles_agree_with_geographiclib(
    crs: str, east: float, north: float, radius: float, seed: int
) -> None:
    # From 3 radii beside the pole to right around it.
    x, y = Transformer.from_crs(4326, crs, always_xy=True).transform(
        0, -90 if crs == "EPSG:3031" else 90
    )
    shape = star(x + east * radius, y + north * radius, radius, seed)
    assume(shape.is_valid)
    area, perimeter = by_geographiclib(shape, crs)
    got = measure([shape], crs)
    assert got.area[0] == pytest.approx(area, rel=1e-4, abs=0.2)
    assert got.perimeter[0] == pytest.approx(perimeter, rel=1e-5)


def test_holes_around_a_pole_are_taken_off() -> None:
    outer, inner = Point(0, 0).buffer(1e6, 64), Point(1e4, 0).buffer(5e5, 64)
    whole, hole, ring = measure([outer, inner, outer.difference(inner)], "EPSG:3031").area
    assert ring == pytest.approx(whole - hole, rel=1e-9)


@pytest.mark.parametrize(
    ("crs", "shape"),
    [
        ("EPSG:4326", box(-180, -90, 180, 90)),
        ("EPSG:4326", box(0, -90.125, 360, 90.125)),
        ("EPSG:4807", box(-200, -100, 200, 100)),
        ("EPSG:6933", box(-17367530.44, -7342230.13, 17367530.44, 7342230.13)),
    ],
)
def test_the_whole_earth_is_as_large_as_it_is(crs: str, shape: Polygon) -> None:
    assert measure([shape], crs).area[0] == pytest.approx(510_065_621_724_088.44, rel=2e-4)


def test_shapes_wider_than_half_the_earth_are_what_their_map_shows() -> None:
    half = measure([box(-90, 10, 90, 20)], "EPSG:4326").area[0]
    wide = measure([box(-150, 10, 150, 20)], "EPSG:4326").area[0]
    assert wide == pytest.approx(half * 300 / 180, rel=1e-9)
    x, y = Transformer.from_crs(4326, 3857, always_xy=True).transform([-150, 150], [10, 20])
    assert measure([box(x[0], y[0], x[1], y[1])], "EPSG:3857").area[0] == pytest.approx(
        wide, rel=1e-6
    )


@pytest.mark.parametrize("crs", ["EPSG:32660", "EPSG:32701", "EPSG:3832", "EPSG:3857"])
def test_shapes_on_the_date_line_measure_as_anywhere(crs: str) -> None:
    shape = blob(180.0, -16.5, 200, 1)
    to_crs = Transformer.from_crs(4326, crs, always_xy=True)
    lon, lat = shapely.get_coordinates(shape).T
    x, y = to_crs.transform(np.where(lon > 180, lon - 360, lon) if crs == "EPSG:3857" else lon, lat)
    if crs == "EPSG:3857":
        # Web Mercator ends there: the shape is as wide as the world, unless it is unwrapped.
        x = np.where(np.asarray(x) < 0, np.asarray(x) + 2 * 20037508.342789244, x)
    area = abs(GEOD.geometry_area_perimeter(shape)[0])
    got = measure([Polygon(np.column_stack([x, y]))], crs)
    assert got.area[0] == pytest.approx(area, rel=1e-5)


def test_degrees_beyond_180_and_below_minus_180_measure_alike() -> None:
    shapes = [box(-180.001, 0, -179.999, 0.002), box(179.999, 0, 180.001, 0.002)]
    areas = measure(shapes, "EPSG:4326").area
    assert areas[0] == pytest.approx(areas[1])
    assert areas[0] == pytest.approx(222.6 * 221.1, rel=1e-2)


def test_utm_areas_are_those_on_the_ellipsoid_not_in_the_plane() -> None:
    # On the central meridian the plane is 0.08 % too small in area.
    square = box(500_000, 5_000_000, 500_100, 5_000_100)
    got = measure([square], "EPSG:32633")
    assert got.area[0] == pytest.approx(10_000 / 0.9996**2, rel=2e-6)
    assert got.perimeter[0] == pytest.approx(400 / 0.9996, rel=1e-6)


def test_holes_parts_lines_and_nothing() -> None:
    ring = Polygon(box(0, 0, 30, 30).exterior, [box(10, 10, 20, 20).exterior])
    shapes = [
        ring,
        MultiPolygon([box(0, 0, 10, 10), box(50, 50, 60, 60)]),
        LineString([(0, 0), (30, 40)]),
        Point(1, 1),
        Polygon(),
        None,
        shapely.GeometryCollection([box(0, 0, 10, 10), LineString([(0, 0), (0, 10)])]),
    ]
    plane = measure(shapes, None)
    assert plane.area.tolist() == [800, 200, 0, 0, 0, 0, 100]
    assert plane.perimeter.tolist() == [160, 80, 50, 0, 0, 0, 50]
    moved = [None if s is None else shapely.affinity.translate(s, 5e5, 5e6) for s in shapes]
    ground = measure(moved, "EPSG:32633")
    assert ground.area == pytest.approx(plane.area / 0.9996**2, rel=1e-5)
    assert ground.perimeter == pytest.approx(plane.perimeter / 0.9996, rel=1e-5)


def test_the_order_of_vertices_does_not_matter() -> None:
    shape = blob(10, 50, 30, 3)
    a, b = measure([shape, shape.reverse()], "EPSG:4326").area
    assert a == pytest.approx(b)


def test_other_planets_have_other_ellipsoids() -> None:
    mars = "+proj=eqc +a=3396190 +b=3396190 +lat_ts=0 +units=m +type=crs"
    got = measure([box(0, 0, 1000, 1000)], mars)
    assert got.area[0] == pytest.approx(1e6, rel=1e-6)


def test_what_a_projection_cannot_show_measures_nan_and_leaves_others_alone() -> None:
    goes = "+proj=geos +h=35785831 +lon_0=-75 +ellps=GRS80 +units=m +type=crs"
    shapes = [box(0, 0, 1000, 1000), box(8e6, 8e6, 8.1e6, 8.1e6), box(0, 0, 1000, 1000)]
    got = measure(shapes, goes)
    assert np.isnan(got.area[1])
    assert got.area[0] == got.area[2] > 9e5


def test_no_shapes_are_no_problem() -> None:
    assert len(measure([], "EPSG:4326").area) == 0
