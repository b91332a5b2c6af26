# SPDX-License-Identifier: GPL-2.0-or-later
"""Whole turns of longitude change nothing but the numbers."""

from __future__ import annotations

import warnings

import geopandas as gpd
import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from samgeo_core.earth.crs import known_crs
from samgeo_core.earth.longitude import (
    at_turns,
    beyond_map,
    central_meridian,
    folded,
    in_one_piece,
    next_to,
    the_short_way,
    turn_of,
    turned,
    turns_of_neighbours,
    unwrapped,
    within_map,
)
from samgeo_core.errors import OutputError
from shapely import GeometryCollection, MultiPolygon
from shapely.geometry import LineString, Point, Polygon, box


@pytest.mark.parametrize(
    ("crs", "turn"),
    [
        ("EPSG:4326", 360.0),
        ("EPSG:4807", 400.0),
        ("EPSG:3857", 40_075_016.6856),
        ("EPSG:3832", 40_075_016.6856),  # Mercator around 150 E
        ("EPSG:4087", 40_075_016.6856),
        ("EPSG:6933", 34_735_060.8903),
        ("EPSG:32660", None),
        ("EPSG:3460", None),
        ("EPSG:3031", None),
        ("ESRI:54008", None),  # sinusoidal: a turn is shorter towards the poles
        ('LOCAL_CS["site",UNIT["metre",1]]', None),
    ],
)
def test_a_turn_is_what_brings_x_back_to_its_meridian(crs: str, turn: float | None) -> None:
    found = turn_of(known_crs(crs))
    assert found == (None if turn is None else pytest.approx(turn, abs=1e-3))


def test_the_middle_of_a_map() -> None:
    middles = [central_meridian(known_crs(c)) for c in ("EPSG:4326", "EPSG:3832", "EPSG:3460")]
    assert middles == [0.0, 150.0, 178.75]


@given(st.floats(-1000, 1000), st.floats(-400, 400))
def test_turned_is_the_same_meridian_within_half_a_turn(x: float, near: float) -> None:
    found = turned(np.array([x]), near, 360.0)[0]
    assert abs(found - near) <= 180.0 + 1e-9
    assert (found - x) % 360.0 == pytest.approx(0, abs=1e-6) or (found - x) % 360 > 359.999


def test_unwrapped_rings_have_no_jumps() -> None:
    x = np.array([170.0, 179.0, -178.0, 175.0, 170.0, -10.0, 10.0])
    ring = np.array([0, 0, 0, 0, 0, 1, 1])
    assert unwrapped(x, ring).tolist() == [170, 179, 182, 175, 170, -10, 10]


@given(st.floats(-700, 700), st.floats(0.5, 359), st.floats(-360, 180))
def test_folding_keeps_the_area_and_stays_within_the_turn(
    x: float, width: float, west: float
) -> None:
    shape = folded(box(x, 0, x + width, 10), west)
    assert shape.area == pytest.approx(width * 10)
    assert shape.is_valid
    assert shape.bounds[0] >= west - 1e-9
    assert shape.bounds[2] <= west + 360 + 1e-9


def test_a_turn_and_more_folds_into_one_turn() -> None:
    assert folded(box(0, 0, 360, 10), -180.0).equals(box(-180, 0, 180, 10))
    line = folded(LineString([(170, 0), (190, 10)]), -180.0)
    assert sorted(part.bounds for part in line.geoms) == [(-180, 5, -170, 10), (170, 0, 180, 5)]


def test_parts_on_both_sides_of_the_date_line_meet_on_a_raster_there() -> None:
    split = shapely.union_all([box(178, 0, 180, 1), box(-180, 0, -178, 1)])
    assert at_turns(split, 170, 190, 360.0).equals(box(178, 0, 182, 1))
    assert at_turns(split, -190, -170, 360.0).equals(box(-182, 0, -178, 1))
    assert at_turns(box(285, 0, 286, 1), -180, 180, 360.0).bounds == (-75, 0, -74, 1)
    # On a raster of two turns there are two of everything.
    assert at_turns(box(0, 0, 1, 1), -10, 370, 360.0).area == 2
    assert at_turns(Polygon(), 0, 1, 360.0).is_empty


@pytest.mark.parametrize(
    ("spans", "turns"),
    [
        ([(179, 180), (-180, -179)], [0, 1]),
        ([(-180, -179), (179, 180)], [0, -1]),
        ([(178, 179), (-180, -179), (179, 180)], [0, 1, 0]),
        ([(0, 100), (260, 360)], [0, -1]),
        ([(0, 1), (170, 171)], [0, 0]),
        ([(-180, 0), (0, 180)], [0, 0]),  # the world stays cut where it was
        ([(-180 + 10 * k, -170 + 10 * k) for k in range(36)], [0] * 36),
        ([(-180, 180)], [0]),
    ],
)
def test_tiles_become_neighbours_where_that_makes_them_narrower(
    spans: list[tuple[float, float]], turns: list[int]
) -> None:
    assert turns_of_neighbours(spans, 360.0) == turns


def test_metres_that_are_called_degrees_are_said_at_once() -> None:
    with pytest.raises(OutputError, match=r"goes around the Earth \d+ times"):
        folded(LineString([(0, 4_999_841), (500_118, 4_999_820)]), -180.0)


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:4807", "EPSG:3857", "EPSG:3832"])
def test_parts_on_both_sides_of_a_map_become_one_piece_and_are_cut_there_again(crs: str) -> None:
    known = known_crs(crs)
    turn = turn_of(known)
    assert turn is not None
    west = -turn / 2  # also of Mercator around 150 E, whose x is 0 there
    gap = 3e-12 * turn  # as a reprojection leaves it beside the end of a map
    parts = [box(west + gap, 0, west + 7, 5), box(west + turn - 4, 0, west + turn - gap, 5)]
    cut = np.array([shapely.MultiPolygon(parts), box(west + 9, 0, west + 12, 5)])
    whole = in_one_piece(cut, known)
    assert whole[0].geom_type == "Polygon"
    assert whole[0].area == pytest.approx(55)
    assert whole[1] is cut[1]
    assert list(beyond_map(whole, known)) == [True, False]
    there = within_map(whole, known)
    assert there[0].symmetric_difference(cut[0]).area < 1e-2
    assert not beyond_map(there, known).any()


def test_parts_that_do_not_meet_at_the_date_line_stay_where_they_are() -> None:
    crs = known_crs("EPSG:4326")
    islands = [box(x, 0, x + 1, 1) for x in (-150, -60, 30, 120)]
    nowhere = shapely.MultiPolygon([box(0, 0, np.inf, 1), box(2, 0, 3, 1)])
    shapes = np.array([shapely.MultiPolygon(islands), box(-180, -90, 180, 90), nowhere])
    assert (in_one_piece(shapes, crs) == shapes).all()
    assert (in_one_piece(shapes, known_crs("EPSG:32660")) == shapes).all()


def test_shapes_come_next_to_an_x_by_whole_turns() -> None:
    crs = known_crs("EPSG:4326")
    shapes = np.array([box(-180, 0, -179, 1), box(179, 0, 180, 1), box(10, 0, 11, 1)])
    beside = shapely.bounds(next_to(shapes, np.array([180.0, -180.0, 0.0]), crs))
    assert beside[:, 0] == pytest.approx([180, -181, 10])


def in_degrees(shape: Polygon) -> Polygon:
    """A shape in polar metres as GDAL brings it to degrees: edges lead the long way round."""
    dense = shapely.segmentize(shape, 100.0)
    return gpd.GeoSeries([dense], crs="EPSG:3413").to_crs("EPSG:4326").iloc[0]


def square_beside_the_pole() -> Polygon:
    """With a hole, in polar metres."""
    return box(-4120, 3320, -3120, 4120) - box(-3700, 3650, -3500, 3850)


def test_what_crosses_itself_goes_the_short_way_round_the_earth() -> None:
    square = square_beside_the_pole()
    beside = in_degrees(square)
    assert not beside.is_valid
    assert beside.bounds[2] - beside.bounds[0] > 359
    far = box(10, 0, 12, 2)
    shapes = np.array([beside, MultiPolygon([beside, far]), far, None], object)
    mended, two, *same = the_short_way(shapes, known_crs("EPSG:4326"))
    assert mended.is_valid
    assert [part.bounds[0] >= -180 and part.bounds[2] <= 180 for part in mended.geoms] == [True] * 2
    back = gpd.GeoSeries([mended], crs="EPSG:4326").to_crs("EPSG:3413").iloc[0]
    assert back.buffer(0.1).symmetric_difference(square.buffer(0.1)).area < 1e-3 * square.area
    assert two.area == pytest.approx(mended.area + 4)
    assert same == [far, None]


@pytest.mark.parametrize(
    "shape",
    [
        box(-170, -10, 170, 10),  # valid: it is meant so
        in_degrees(box(-720, -880, 1480, 1120)),  # around the pole
        Polygon([(-170, 0), (170, 10), (170, 0), (-170, 10)]),  # crosses itself in any case
        MultiPolygon([box(-170, -10, 170, 10), box(0, 0, 1, 1)]),  # each part is valid
        GeometryCollection([Polygon([(-170, 0), (170, 10), (170, 0), (-170, 10)]), Point(0, 0)]),
    ],
)
def test_other_wide_shapes_stay_as_they_are(shape: Polygon) -> None:
    assert the_short_way(np.array([shape], object), known_crs("EPSG:4326"))[0] is shape


def test_of_several_parts_only_those_that_cross_themselves_go_the_short_way() -> None:
    beside, wide, spot = in_degrees(square_beside_the_pole()), box(-170, -10, 170, 10), Point(0, 80)
    shapes = [
        beside,
        MultiPolygon([beside, wide]),
        GeometryCollection([spot, MultiPolygon([beside, wide]), GeometryCollection([beside])]),
    ]
    alone, two, several = the_short_way(np.array(shapes, object), known_crs("EPSG:4326"))
    assert two.equals(shapely.union(alone, wide))
    point, both, inner = several.geoms
    assert point.equals(spot)
    assert both.equals(two)
    assert inner.geoms[0].equals(alone)


def test_places_that_are_not_finite_do_no_harm() -> None:
    with np.errstate(invalid="ignore"):
        broken = shapely.from_wkt("POLYGON ((-170 0, 170 nan, 170 10, -170 5, -170 0))")
    shapes = np.array([broken, Polygon(), None], object)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [*the_short_way(shapes, known_crs("EPSG:4326"))] == [*shapes]


def test_without_turns_nothing_is_looked_at() -> None:
    shapes = np.array([Polygon([(0, 0), (9, 9), (9, 0), (0, 9)])], object)
    assert the_short_way(shapes, known_crs("EPSG:3413")) is shapes
    assert the_short_way(shapes, None) is shapes
