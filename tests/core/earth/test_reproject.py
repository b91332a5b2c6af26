# SPDX-License-Identifier: GPL-2.0-or-later
"""Shapes arrive in another CRS where they were on the ground, whatever lies between."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import shapely
from pyproj import CRS, Geod, Transformer
from samgeo_core.earth.crs import known_crs
from samgeo_core.earth.reproject import Reprojection
from samgeo_core.errors import OutputError
from samgeo_core.vectors.geodesic import measure
from shapely.geometry import LineString, MultiPolygon, Point, Polygon, box

WORLD = 20_037_508.342789244
"""Half the width of Web Mercator's world, m."""


def moved(
    shape: Any, source: Any, target: Any, tolerance: float = 1.0, *, split: bool = False
) -> Any:
    reprojection = Reprojection(
        known_crs(source), known_crs(target), tolerance=tolerance, split=split
    )
    return reprojection.moved(np.array([shape, None], object)[:-1])[0]


def in_degrees(shape: Any) -> float:
    """Area on the ellipsoid of a shape whose edges are straight in degrees."""
    return float(measure([shape], "EPSG:4326").area[0])


POLAR_CAP = Point(0, 0).buffer(1e6, 32)

SHAPES = {
    "around the north pole": ("EPSG:3413", POLAR_CAP),
    "around the south pole, not in its middle": ("EPSG:3031", Point(3e5, -2e5).buffer(1e6, 32)),
    "a hundred metres around the pole": ("EPSG:3031", Point(20, 10).buffer(100, 32)),
    "a ring around the pole": ("EPSG:3031", POLAR_CAP.difference(Point(1e5, 0).buffer(5e5))),
    "a ring and what lies in it": (
        "EPSG:3413",
        MultiPolygon([POLAR_CAP.difference(Point(0, 0).buffer(5e5)), Point(0, 0).buffer(2e5)]),
    ),
    "the pole is a corner": ("EPSG:3413", box(0, 0, 1e6, 1e6)),
    "the pole is on an edge": ("EPSG:3413", box(-4e5, 0, 1e6, 1e6)),
    "an edge passes by the pole": ("EPSG:3413", box(-4e5, 700, 1e6, 1e6)),
    "Antarctica": ("EPSG:3031", box(-2.7e6, -2.2e6, 2.8e6, 2.3e6)),
    "an equal-area Arctic": ("EPSG:6931", box(-3e6, -3e6, 3e6, 3e6)),
    "across the line in UTM 60": ("EPSG:32660", box(8.2e5, 8.1e6, 9.5e5, 8.2e6)),
    "across the line in UTM 1": ("EPSG:32701", box(1.6e5, 8.1e6, 1.9e5, 8.11e6)),
    "Fiji": ("EPSG:3460", box(1.8e6, 3.6e6, 2.4e6, 4.2e6)),
    "Web Mercator beyond its end": ("EPSG:3857", box(WORLD - 3e5, 1e6, WORLD + 5e5, 2e6)),
    "220 degrees of Web Mercator": ("EPSG:3857", box(-1.2e7, 1e6, 1.2e7, 2e6)),
    "348 degrees of Web Mercator": ("EPSG:3857", box(-1.94e7, 1e6, 1.94e7, 2e6)),
    "all of Web Mercator": ("EPSG:3857", box(-WORLD, 1e6, WORLD, 2e6)),
    "all of it, from Greenwich": ("EPSG:3857", box(0, 1e6, 2 * WORLD, 2e6)),
    "a Pacific Mercator": ("EPSG:3832", box(2e6, 1e6, 5e6, 2e6)),
    "grads east of Paris": ("EPSG:4807", box(180, -50, 215, 50)),
    "feet in New York": ("EPSG:2263", box(9e5, 1e5, 1.1e6, 3e5)),
    "west and south": ("EPSG:2053", box(-1e5, 3e6, 1e5, 3.2e6)),
    "a datum from 1927": ("EPSG:4267", box(-180, 10, 180, 20)),
    "sinusoidal": ("ESRI:54008", box(-6e6, 5e6, -5e6, 6e6)),
}


@pytest.mark.parametrize("name", SHAPES)
def test_degrees_cover_the_same_ground(name: str) -> None:
    source, shape = SHAPES[name]
    found = moved(shape, source, "EPSG:4326", 100.0 if shape.area > 1e6 else 0.1)
    assert found.is_valid
    x0, y0, x1, y1 = found.bounds
    assert x0 >= -180
    assert x1 <= 180
    assert y0 >= -90
    assert y1 <= 90
    truth = float(measure([shape], source).area[0])
    assert in_degrees(found) == pytest.approx(truth, rel=1e-3)
    # Not only as large, but in the same place.
    inside = shapely.get_coordinates(
        [part.representative_point() for part in shapely.get_parts(found)]
    )
    back = Transformer.from_crs(4326, source, always_xy=True).transform(*inside.T)
    turn = {"EPSG:3857": 2 * WORLD, "EPSG:3832": 2 * WORLD, "EPSG:4807": 400.0}.get(source, 0.0)
    for x, y in np.column_stack(back):
        near = 1e-6 * shape.length
        assert any(shape.distance(Point(x + k * turn, y)) < near for k in (-1, 0, 1))


def test_polygons_are_cut_at_the_line_into_parts_on_both_sides() -> None:
    found = moved(box(1.6e5, 8.1e6, 1.9e5, 8.11e6), "EPSG:32701", "EPSG:4326")
    assert isinstance(found, MultiPolygon)
    assert sorted(part.bounds[0] < 0 for part in found.geoms) == [False, True]
    whole = moved(POLAR_CAP, "EPSG:3413", "EPSG:4326", 100)
    assert whole.bounds[0::2] == (-180, 180)
    assert whole.bounds[3] == 90


def test_long_edges_are_bent_to_the_tolerance_and_short_ones_left_alone() -> None:
    tile = box(399_960, 6_590_220, 509_760, 6_700_020)  # of Sentinel-2
    found = moved(tile, "EPSG:32633", "EPSG:4326", 1.0)
    back = Transformer.from_crs(4326, 32633, always_xy=True)
    dense = shapely.segmentize(found, 0.001)
    there = shapely.transform(dense, lambda xy: np.column_stack(back.transform(*xy.T)))
    assert there.exterior.hausdorff_distance(tile.exterior) < 1.1
    assert len(found.exterior.coords) < 150
    small = box(4e5, 6.6e6, 4e5 + 50, 6.6e6 + 50)
    assert len(moved(small, "EPSG:32633", "EPSG:4326", 0.1).exterior.coords) == 5


def test_lines_are_bent_and_cut_as_well() -> None:
    line = moved(LineString([(-1e6, 1e6), (1e6, 1e6)]), "EPSG:3413", "EPSG:4326", 10)
    # Through 180 degrees there.
    assert line.geom_type in ("LineString", "MultiLineString")
    ground = float(measure([LineString([(-1e6, 1e6), (1e6, 1e6)])], "EPSG:3413").perimeter[0])
    assert float(measure([line], "EPSG:4326").perimeter[0]) == pytest.approx(ground, rel=1e-4)
    across = moved(LineString([(1.6e5, 8.1e6), (1.9e5, 8.1e6)]), "EPSG:32701", "EPSG:4326")
    assert across.geom_type == "MultiLineString"


@pytest.mark.parametrize(
    ("source", "target", "shape"),
    [
        ("EPSG:4326", "EPSG:3857", box(170, -20, 190, 20)),
        ("EPSG:4326", "ESRI:54008", box(170, -20, 190, 20)),
        ("EPSG:3413", "EPSG:6933", POLAR_CAP),
        ("EPSG:32701", "EPSG:3857", box(1.6e5, 8.1e6, 1.9e5, 8.11e6)),
        ("EPSG:4326", "EPSG:3857", box(-180, 30, 180, 40)),
        ("EPSG:4326", "EPSG:3832", box(-40, 0, -20, 10)),
    ],
)
def test_maps_that_end_elsewhere_cut_shapes_there(source: str, target: str, shape: Any) -> None:
    found = moved(shape, source, target, 100.0)
    assert found.is_valid
    truth = float(measure([shape], source).area[0])
    assert float(measure([found], target).area[0]) == pytest.approx(truth, rel=1e-3)
    x0, _, x1, _ = found.bounds
    assert max(abs(x0), abs(x1)) <= WORLD + 1


def test_mercator_ends_where_its_world_does() -> None:
    found = moved(box(-180, -90, 180, 90), "EPSG:4326", "EPSG:3857", 100.0)
    assert np.abs(found.bounds).max() < 20_050_000
    cap = moved(POLAR_CAP, "EPSG:3413", "EPSG:3857", 100.0)
    assert cap.bounds[3] == pytest.approx(20_048_966, abs=1)


def test_cells_beyond_the_poles_end_at_the_poles() -> None:
    cells = box(0, 89.875, 360, 90.125)
    assert moved(cells, "EPSG:4326", "EPSG:4326", split=True).bounds == (-180, 89.875, 180, 90)
    disc = moved(cells, "EPSG:4326", "EPSG:3413", 1.0)
    assert float(measure([disc], "EPSG:3413").area[0]) == pytest.approx(
        np.pi * Geod(ellps="WGS84").inv(0, 90, 0, 89.875)[2] ** 2, rel=1e-3
    )


def test_degrees_of_a_raster_in_0_to_360_stay_as_they_are_unless_split() -> None:
    shape = box(200, 0, 210, 10)
    assert moved(shape, "EPSG:4326", "EPSG:4326").bounds == (200, 0, 210, 10)
    assert moved(shape, "EPSG:4326", "EPSG:4326", split=True).bounds == (-160, 0, -150, 10)
    assert moved(shape, "EPSG:4326", "EPSG:4258").bounds == (-160, 0, -150, 10)


def test_a_batch_keeps_its_order_kinds_and_gaps() -> None:
    shapes = np.array(
        [box(5e5, 5e6, 5e5 + 9, 5e6 + 9), None, POLAR_CAP, Polygon(), Point(5e5, 5e6)], object
    )
    found = Reprojection(known_crs(32633), known_crs(4326)).moved(shapes[[0, 1, 3, 4]])
    assert [None if s is None else s.geom_type for s in found] == [
        "Polygon",
        None,
        "Polygon",
        "Point",
    ]
    assert shapes[0].bounds[0] == 5e5  # the caller's are untouched


def test_what_a_map_cannot_show_is_an_error() -> None:
    goes = "+proj=geos +h=35785831 +lon_0=-75 +ellps=GRS80 +units=m +type=crs"
    far = np.array([box(100, 0, 101, 1), None], object)[:-1]
    reprojection = Reprojection(known_crs(4326), known_crs(goes))
    with pytest.raises(OutputError, match="has no coordinates"):
        reprojection(far, "a.gpkg")
    with pytest.raises(OutputError, match="cannot be written"):
        Reprojection(known_crs('LOCAL_CS["site",UNIT["metre",1]]'), CRS.from_epsg(4326))
    with pytest.raises(OutputError, match="without one"):
        Reprojection(None, CRS.from_epsg(4326))
