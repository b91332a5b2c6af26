# SPDX-License-Identifier: GPL-2.0-or-later
"""One pixel size, one half pixel, one pyramid."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from pyproj import CRS
from samgeo_core.earth.crs import known_crs
from samgeo_core.earth.geometry import (
    ground_pixel,
    half_pixel,
    mean_side,
    middle_pixel,
    pixel_side,
    pixel_sides,
)
from samgeo_core.job import SegmentParameters
from samgeo_core.jobs.options import tolerance_of
from samgeo_core.raster.raster import Raster, coarser, open_raster
from samgeo_core.worker.session_methods import levels_of

Make = Callable[..., Path]
OBLONG = Affine(1, 0, 500_000, 0, -2, 5_000_000)


def test_sides_of_a_pixel_are_lengths_whatever_its_rotation() -> None:
    for turn in (0, 30, 90, 200):
        t = Affine.rotation(turn) @ Affine.scale(1, -2)
        assert pixel_sides(t) == pytest.approx((1, 2))
        assert pixel_side(t) == pytest.approx(1)
        assert half_pixel(t) == pytest.approx(0.5)
        assert mean_side(t) == pytest.approx(2**0.5)


def test_a_raster_of_oblong_pixels_has_one_pyramid(make_raster: Make) -> None:
    path = make_raster(np.ones((64, 96), np.uint8), transform=OBLONG, crs="EPSG:32633")
    with open_raster(path) as raster:
        open_level = levels_of(raster)
        for factor in (2, 4):
            with (
                open_level(factor) as clicked,
                Raster.from_spec(coarser(raster.spec, factor)) as job,
            ):
                for level in (clicked, job):
                    assert pixel_sides(level.transform) == (factor, 2 * factor)
                    assert level.shape == (64 // factor, 96 // factor)
        with Raster.from_spec(coarser(coarser(raster.spec, 2), 2)) as twice:
            assert pixel_sides(twice.transform) == (4, 8)
        assert (
            tolerance_of(SegmentParameters([], ""), raster) == half_pixel(raster.transform) == 0.5
        )


@pytest.mark.parametrize(
    ("crs", "transform", "metres"),
    [
        ("EPSG:32633", Affine(10, 0, 499_000, 0, -10, 5_000_000), 10.0),
        # Web Mercator at 60 degrees: half of what it says.
        ("EPSG:3857", Affine(10, 0, 0, 0, -10, 8_399_800), 5.0),
        ("EPSG:4326", Affine(1e-4, 0, 15, 0, -1e-4, 48), 11.12),
        ("EPSG:2263", Affine(1, 0, 984_000, 0, -1, 200_000), 0.3048),
        # A global map in degrees: its pixels are needles at the poles, and count by their height.
        ("EPSG:4326", Affine(1, 0, -180, 0, -1, 90), 111_195.0),
        ('LOCAL_CS["site",UNIT["foot",0.3048]]', Affine(2, 0, 0, 0, -2, 0), 0.6096),
    ],
)
def test_a_pixel_in_metres_on_the_ground(crs: str, transform: Affine, metres: float) -> None:
    assert ground_pixel(transform, (180, 360), known_crs(crs)) == pytest.approx(metres, rel=5e-3)


def test_without_a_crs_a_pixel_is_what_it_is() -> None:
    assert ground_pixel(OBLONG, (10, 10), None) == 2


@pytest.mark.parametrize(
    ("crs", "side", "middle", "metres"),
    [
        (32633, 0.5, (500_000, 6_653_000), 0.5 / 0.9996),
        (3857, 0.5, (1_670_000, 8_400_000), 0.25),  # 60 degrees north
        (3857, 0.5, (1_670_000, 0), 0.5),
        (2263, 1.0, (985_000, 200_000), 0.3048),  # feet
        (4326, 1e-5, (15, 0), 1.109),
        (4807, 1e-5, (5, 0), 0.998),  # grads
    ],
)
def test_the_middle_pixel_is_measured_on_the_ground(crs, side, middle, metres):
    corner = middle[0] - 50 * side, middle[1] + 50 * side
    transform = Affine(side, 0, corner[0], 0, -side, corner[1])
    assert middle_pixel(transform, known_crs(crs), (100, 100)) == pytest.approx(metres, rel=5e-3)


def test_a_middle_pixel_of_a_local_system_counts_its_units():
    local = CRS.from_wkt('LOCAL_CS["site",UNIT["foot",0.3048]]')
    assert middle_pixel(OBLONG, local, (10, 10)) == pytest.approx(math.sqrt(2) * 0.3048)
    assert middle_pixel(OBLONG, None, (10, 10)) is None
