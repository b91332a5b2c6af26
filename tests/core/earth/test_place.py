# SPDX-License-Identifier: GPL-2.0-or-later
"""Shapes of any CRS come to where a raster lies, whichever way its longitudes count."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import shapely
from affine import Affine
from pyproj import Transformer
from samgeo_core.earth.crs import known_crs
from samgeo_core.earth.place import RasterPlace, place_of
from samgeo_core.vectors.geodesic import measure
from shapely.geometry import Point, box

PACIFIC = place_of(Affine(0.05, 0, 170, 0, -0.05, 5), (200, 400), "EPSG:4326")
"""170 to 190 degrees east."""

GLOBE = place_of(Affine(1, 0, 0, 0, -1, 90), (180, 360), "EPSG:4326")
"""0 to 360 degrees east."""

POLE = place_of(Affine(2e4, 0, -2e6, 0, -2e4, 2e6), (200, 200), "EPSG:3413")


def brought(place: RasterPlace, shape: Any, crs: Any) -> Any:
    return place.bring(shape, known_crs(crs))


@pytest.mark.parametrize(
    ("shape", "bounds"),
    [
        (box(-176, 0, -175, 1), (184, 0, 185, 1)),
        (box(178, 0, 182, 1), (178, 0, 182, 1)),
        (box(-182, 0, -178, 1), (178, 0, 182, 1)),
        (shapely.union_all([box(178, 0, 180, 1), box(-180, 0, -178, 1)]), (178, 0, 182, 1)),
        (box(538, 0, 540, 1), (178, 0, 180, 1)),
    ],
)
def test_longitudes_that_turn_meet_the_raster(shape: Any, bounds: tuple[float, ...]) -> None:
    assert brought(PACIFIC, shape, "EPSG:4326").bounds == pytest.approx(bounds)
    assert brought(PACIFIC, shape, "EPSG:4258").bounds == pytest.approx(bounds)


def test_other_systems_meet_it_too() -> None:
    spot = box(-175.1, 0.9, -175, 1)
    for crs in ("EPSG:32701", "EPSG:3857", "EPSG:3832"):
        move = Transformer.from_crs(4326, crs, always_xy=True)
        there = shapely.transform(spot, lambda xy, m=move: np.column_stack(m.transform(*xy.T)))
        assert brought(PACIFIC, there, crs).bounds == pytest.approx((184.9, 0.9, 185, 1), abs=1e-3)


def test_a_raster_of_0_to_360_takes_western_longitudes() -> None:
    assert brought(GLOBE, box(-75, 10, -74, 11), "EPSG:4326").bounds == (285, 10, 286, 11)
    assert brought(GLOBE, box(-180, -90, 180, 90), "EPSG:4326").area >= 360 * 180
    # Exactly on the line, from either side.
    assert brought(GLOBE, box(179, 0, 180, 1), "EPSG:4326").bounds == (179, 0, 180, 1)
    assert brought(GLOBE, box(-180, 0, -179, 1), "EPSG:4326").bounds == (180, 0, 181, 1)
    cap = brought(GLOBE, Point(0, 0).buffer(1e6), "EPSG:3413")
    assert cap.bounds[3] == 90
    assert cap.bounds[2] - cap.bounds[0] >= 360
    assert cap.contains(Point(123, 85))


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857"])
def test_world_wide_areas_reach_over_the_pole_of_a_polar_raster(crs: str) -> None:
    half = 20_037_508.342789244
    world = box(-180, -90, 180, 90) if crs == "EPSG:4326" else box(-half, -half, half, half)
    found = brought(POLE, world, crs)
    assert found.is_valid
    covered = shapely.intersection(found, POLE.frame).area / POLE.frame.area
    # Web Mercator ends at 85 degrees: a hole of 540 km around the pole.
    assert covered == pytest.approx(1.0 if crs == "EPSG:4326" else 0.94, abs=0.02)


def test_a_lune_of_degrees_is_a_wedge_of_a_polar_raster() -> None:
    wedge = box(0, 80, 90, 90)
    found = brought(POLE, wedge, "EPSG:4326")
    truth = measure([wedge], "EPSG:4326").area[0]
    assert measure([found], "EPSG:3413").area[0] == pytest.approx(truth, rel=1e-3)


def test_fiji_lies_together() -> None:
    fiji = place_of(Affine(100, 0, 1.8e6, 0, -100, 4.2e6), (6000, 6000), "EPSG:3460")
    # Its own outline, there and back by way of degrees that are cut at the line.
    lonlat = Transformer.from_crs(3460, 4326, always_xy=True).transform(2.1e6, 3.9e6)
    spot = box(lonlat[0] - 0.01, lonlat[1] - 0.01, lonlat[0] + 0.01, lonlat[1] + 0.01)
    assert brought(fiji, spot, "EPSG:4326").contains(Point(2.1e6, 3.9e6))
    line = shapely.union_all([box(179, -18, 180, -17), box(-180, -18, -179, -17)])
    found = brought(fiji, line, "EPSG:4326")
    assert found.geom_type == "Polygon"
    assert measure([found], "EPSG:3460").area[0] == pytest.approx(
        measure([line], "EPSG:4326").area[0], rel=1e-3
    )


def test_mercator_rasters_across_the_line_take_degrees() -> None:
    merc = place_of(Affine(5000, 0, 1.9e7, 0, -5000, 6e5), (200, 600), "EPSG:3857")
    found = brought(merc, box(-178, 0, -177, 1), "EPSG:4326")
    x = Transformer.from_crs(4326, 3857, always_xy=True).transform([-178, -177], [0, 0])[0]
    turn = 2 * 20_037_508.342789244
    assert found.bounds[0::2] == pytest.approx((x[0] + turn, x[1] + turn))


def test_what_lies_elsewhere_is_empty_or_out_of_sight() -> None:
    utm = place_of(Affine(1, 0, 5e5, 0, -1, 5e6), (100, 100), "EPSG:32633")
    assert brought(utm, box(-100, 40, -99, 41), "EPSG:4326").is_empty
    assert brought(utm, box(5e5, 5e6, 5e5 + 1, 5e6 + 1), "EPSG:32633").area == 1
    plain = place_of(Affine(1, 0, 0, 0, -1, 0), (100, 100), None)
    assert brought(plain, box(0, 0, 1, 1), None).area == 1
