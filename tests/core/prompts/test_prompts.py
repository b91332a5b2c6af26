# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import math

import numpy as np
import pyproj
import pytest
import shapely
from affine import Affine
from hypothesis import assume, given
from hypothesis import strategies as st
from samgeo_core import job
from samgeo_core.errors import PromptError
from samgeo_core.models.base import BACKGROUND, FOREGROUND
from samgeo_core.prompts.prompts import (
    PixelPrompt,
    PromptTransform,
    along_stroke,
    box_prompt,
    from_job,
    polygon_logits,
    window_prompts,
)
from samgeo_core.types import PixelBox

UTM = "EPSG:32633"
FINE = 1e-6  # pixels

# Places within the UTM zone, pixels of 1 cm to 1 km, any turn, north up and south up.
transforms = st.builds(
    lambda x, y, size, aspect, turn, flip: (
        Affine.translation(x, y)
        @ Affine.rotation(turn)
        @ Affine.scale(size, size * aspect * (1 if flip else -1))
    ),
    st.floats(200_000, 800_000),
    st.floats(1_000_000, 8_000_000),
    st.sampled_from([0.01, 0.1, 0.5, 10.0, 1000.0]),
    st.floats(0.5, 2.0),
    st.sampled_from([0.0, 0.0, 12.5, 90.0, -137.0]),
    st.booleans(),
)
positions = st.tuples(st.floats(0, 20_000), st.floats(0, 20_000))


def degree_transform(lon, lat, size):
    return Affine(size, 0, lon, 0, -size, lat)


@given(transforms, positions)
def test_positions_in_the_rasters_crs_land_within_a_millionth_of_a_pixel(transform, place):
    row, col = place
    x, y = transform @ (col, row)
    found = PromptTransform(transform, UTM, UTM).to_pixels([(x, y)])[0]
    # The position itself is a float: a pixel of 1 cm at y = 8,000 km is known to 1e-9 / 0.01.
    known = np.spacing(max(abs(x), abs(y))) / min(
        math.hypot(transform.a, transform.d), math.hypot(transform.b, transform.e)
    )
    assert np.abs(found - (row, col)).max() <= FINE + 8 * known


@given(transforms, positions, st.sampled_from(["EPSG:4326", "EPSG:3857", "EPSG:25833"]))
def test_there_and_back_through_another_crs(transform, place, crs):
    side = min(math.hypot(transform.a, transform.d), math.hypot(transform.b, transform.e))
    row, col = place
    x, y = transform @ (col, row)
    assume(150_000 < x < 850_000 and 100_000 < y < 9_000_000)
    there = PromptTransform(transform, UTM, crs)
    found = there.to_pixels(there.to_ground([(row, col)]))[0]
    # PROJ itself goes there and back within a few nanometres.
    assert np.abs(found - (row, col)).max() <= FINE + 2e-7 / side


@given(
    st.floats(-179, 179),
    st.floats(-80, 80),
    st.sampled_from([1e-6, 9e-6, 1e-3, 0.25]),
    positions,
)
def test_positions_in_degrees(lon, lat, size, place):
    row, col = min(place[0], 9 / size), min(place[1], 9 / size)
    transform = degree_transform(lon, lat, size)
    x, y = transform @ (col, row)
    found = PromptTransform(transform, "EPSG:4326", None).to_pixels([(x, y)])[0]
    assert np.abs(found - (row, col)).max() <= FINE


def test_the_same_place_as_pyproj_and_rasterio_say():
    transform = Affine(0.3, 0, 500_000, 0, -0.3, 5_300_000)
    lon, lat = 15.002, 47.84
    x, y = pyproj.Transformer.from_crs(4326, 32633, always_xy=True).transform(lon, lat)
    col, row = ~transform @ (x, y)
    found = PromptTransform(transform, UTM, "EPSG:4326").to_pixels([(lon, lat)])[0]
    assert found == pytest.approx((row, col), abs=1e-6)
    # x before y, whatever the authority says of EPSG:4326.
    assert found[0] > 0
    assert found[1] > 0


def test_equal_crs_by_another_name_need_no_transformation():
    wkt = pyproj.CRS(UTM).to_wkt("WKT1_GDAL")
    assert PromptTransform(Affine.identity(), UTM, wkt).same_crs
    assert PromptTransform(Affine.identity(), None, None).same_crs


def test_a_raster_without_a_crs_takes_positions_in_its_own_plane_only():
    place = PromptTransform(Affine.scale(1, -1), None)
    assert place.to_pixels([(3, -4)]).tolist() == [[4, 3]]
    with pytest.raises(PromptError, match="no coordinate reference system"):
        PromptTransform(Affine.identity(), None, "EPSG:4326")


def test_positions_without_a_place_in_the_crs_are_refused():
    place = PromptTransform(Affine.identity(), UTM, "EPSG:4326")
    with pytest.raises(PromptError, match=r"\(1e\+30, 10\)"):
        place.to_pixels([(15, 47), (1e30, 10)])
    with pytest.raises(PromptError, match="not understood"):
        PromptTransform(Affine.identity(), UTM, "nonsense")


def test_a_box_covers_the_curved_edges_of_another_crs():
    transform = Affine(100, 0, 200_000, 0, -100, 7_000_000)
    place = PromptTransform(transform, UTM, "EPSG:4326")
    box = box_prompt(np.array([[12.0, 60.0], [18.0, 62.0]]), place)
    along = np.linspace(12, 18, 400)
    for lat in (60.0, 62.0):
        pixels = place.to_pixels(np.column_stack([along, np.full(400, lat)]))
        row0, col0, row1, col1 = box.extent
        assert pixels[:, 0].min() >= row0 - 1
        assert pixels[:, 0].max() <= row1 + 1
        assert pixels[:, 1].min() >= col0 - 1
        assert pixels[:, 1].max() <= col1 + 1


@given(transforms, positions, st.floats(1, 500), st.floats(1, 500))
def test_a_box_on_a_rotated_raster_holds_its_corners(transform, place, width, height):
    x, y = transform @ (place[1], place[0])
    there = PromptTransform(transform, UTM)
    box = box_prompt(np.array([[x, y], [x + width, y + height]]), there)
    row0, col0, row1, col1 = box.extent
    for corner in ((x, y), (x + width, y), (x, y + height), (x + width, y + height)):
        row, col = there.to_pixels([corner])[0]
        assert row0 - 1e-6 <= row <= row1 + 1e-6
        assert col0 - 1e-6 <= col <= col1 + 1e-6


def test_a_screen_pixels_size_in_raster_pixels():
    transform = Affine(0.5, 0, 500_000, 0, -0.5, 5_300_000)
    assert PromptTransform(transform, UTM).pixel_length((500_000, 5_300_000), 2.0) == (
        pytest.approx(4.0)
    )
    degrees = PromptTransform(transform, UTM, "EPSG:4326")
    metre = 1 / 111_195
    expected = 2 * math.sqrt(math.cos(math.radians(47.85)))
    assert degrees.pixel_length((15.0, 47.85), metre) == pytest.approx(expected, rel=0.01)


def test_the_protocols_prompts_in_pixels():
    place = PromptTransform(Affine(2, 0, 100, 0, -2, 200), UTM)
    point, box, ring = from_job(
        [
            job.Prompt("point", [[104, 190]], False),
            job.Prompt("box", [[110, 180], [104, 190]]),
            job.Prompt("polygon", [[100, 200], [120, 200], [120, 180]]),
        ],
        place,
    )
    assert point.points.tolist() == [[5, 2]]
    assert not point.positive
    assert box.points.tolist() == [[5, 2], [10, 5]]
    assert ring.extent == (0, 0, 10, 10)


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        (job.Prompt("polygon", [[0, 0], [1, 1]]), "3 positions, not 2"),
        (job.Prompt("point", [[0, 0], [1, 1]]), "1 positions, not 2"),
        (job.Prompt("point", [[0, 0, 0]]), r"\[x, y\]"),
        (job.Prompt("box", [[0, 0], [1, 1]], False), "can only name the object"),
        (job.Prompt("point", [[float("inf"), 0]]), "not a number"),
    ],
)
def test_malformed_prompts_are_refused_in_words(prompt, words):
    with pytest.raises(PromptError, match=words):
        from_job([prompt], PromptTransform(Affine.identity(), None))


WINDOW = PixelBox(100, 200, 228, 328)


def test_a_windows_prompts_are_relative_to_it_and_those_outside_are_left_out():
    prompts = [
        PixelPrompt("point", np.array([[110.5, 210.25]])),
        PixelPrompt("point", np.array([[50.0, 210.0]])),
        PixelPrompt("point", np.array([[120.0, 220.0]]), positive=False),
        PixelPrompt("box", np.array([[90.0, 190.0], [150.0, 260.0]])),
    ]
    asked = window_prompts(prompts, WINDOW, 4)
    assert asked.points.tolist() == [[[10.5, 10.25], [20, 20]]]
    assert asked.labels.tolist() == [[FOREGROUND, BACKGROUND]]
    assert asked.boxes.tolist() == [[0, 0, 50, 60]]  # clipped to the window
    assert asked.masks is None
    assert window_prompts(prompts[1:3], WINDOW, 4) is None


def test_a_crs_without_a_way_to_the_rasters_is_said():
    local = 'LOCAL_CS["Site",UNIT["metre",1]]'
    with pytest.raises(PromptError, match=r"cannot be brought from WGS 84 to .*Site"):
        PromptTransform(Affine.identity(), local, "EPSG:4326")


def test_a_stroke_is_eight_points_evenly_along_it():
    line = np.array([[0.0, 0.0], [0.0, 4.0], [0.0, 4.0], [12.0, 4.0]])
    spots = along_stroke(line, 8)
    assert np.allclose(spots[:2], [[0, 1], [0, 3]])
    assert np.allclose(spots[2:, 0], [1, 3, 5, 7, 9, 11])
    assert along_stroke(np.array([[3.0, 3.0]]), 8).tolist() == [[3, 3]]
    asked = window_prompts([PixelPrompt("stroke", line + np.array([150, 250]))], WINDOW, 4)
    assert asked.points.shape == (1, 8, 2)


def test_a_polygon_becomes_a_box_and_logits_that_cross_zero_on_its_edge():
    ring = np.array([[120.0, 220.0], [120.0, 300.0], [200.0, 300.0], [200.0, 220.0]])
    logits = polygon_logits([ring], WINDOW, 4)
    assert logits.shape == (32, 32)
    assert (logits > 0).sum() == 20 * 20
    assert (logits[15, 4], logits[15, 5]) == (-1.0, 1.0)
    assert np.abs(logits).max() == 8
    both = window_prompts([PixelPrompt("polygon", ring)], WINDOW, 4)
    alone = window_prompts([PixelPrompt("mask", ring)], WINDOW, 4)
    assert both.boxes is not None
    assert both.masks.shape == (1, 32, 32)
    assert alone.boxes is None
    deaf = window_prompts([PixelPrompt("mask", ring)], WINDOW, 4, accepts=frozenset({"box"}))
    assert deaf.masks is None
    assert deaf.boxes.tolist() == [[20, 20, 100, 100]]
    with pytest.raises(PromptError, match="no area"):
        polygon_logits([ring[[0, 1, 0]]], WINDOW, 4)


def test_several_polygons_become_one_mask():
    ring = np.array([[120.0, 220.0], [120.0, 240.0], [140.0, 240.0], [140.0, 220.0]])
    parts = [PixelPrompt("mask", ring), PixelPrompt("mask", ring + 40)]
    (logits,) = window_prompts(parts, WINDOW, 4).masks
    assert (logits > 0).sum() == 2 * 5 * 5
    assert (logits == polygon_logits([ring, ring + 40], WINDOW, 4)).all()


@given(transforms, st.floats(10, 900), st.floats(10, 900))
def test_a_geometry_keeps_its_shape_in_pixels(transform, width, height):
    x, y = transform @ (500, 700)
    shape = shapely.Polygon([(x, y), (x + width, y), (x + width, y + height)])
    pixels = PromptTransform(transform, UTM).geometry(shape)
    scale = abs(transform.determinant)
    assert pixels.area == pytest.approx(shape.area / scale, rel=1e-6, abs=1e-6)


# -- longitudes that turn --------------------------------------------------------------------------

PACIFIC = Affine(0.05, 0, 170, 0, -0.05, 5)


@pytest.mark.parametrize("lon", [-174.5, 185.5, 545.5, -534.5])
def test_points_a_whole_turn_away_are_the_same_place(lon):
    place = PromptTransform(PACIFIC, "EPSG:4326", "EPSG:4326", (256, 400))
    assert place.to_pixels([(lon, -1.0)])[0] == pytest.approx((120, 310))
    other = PromptTransform(PACIFIC, "EPSG:4326", "EPSG:4258", (256, 400))
    assert other.to_pixels([(lon, -1.0)])[0] == pytest.approx((120, 310))


def test_points_of_the_west_lie_on_a_raster_of_0_to_360():
    place = PromptTransform(Affine(1, 0, 0, 0, -1, 90), "EPSG:4326", "EPSG:4326", (180, 360))
    assert place.to_pixels([(-75, 10), (180, 0), (-180, 0)]) == pytest.approx(
        np.array([(80, 285), (90, 180), (90, 180)])
    )


def test_points_come_from_utm_on_the_other_side_of_the_line():
    x, y = pyproj.Transformer.from_crs(4326, 32701, always_xy=True).transform(-174.5, -1)
    place = PromptTransform(PACIFIC, "EPSG:4326", "EPSG:32701", (256, 400))
    assert place.to_pixels([(x, y)])[0] == pytest.approx((120, 310), abs=1e-4)


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:4258"])
def test_a_box_that_is_cut_at_the_line_is_one_box(crs):
    split = shapely.union_all([shapely.box(178, -2, 180, 0), shapely.box(-180, -2, -178, 0)])
    place = PromptTransform(PACIFIC, "EPSG:4326", crs, (256, 400))
    assert shapely.bounds(place.geometry(split)) == pytest.approx((160, 100, 240, 140))


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:4258"])
def test_a_whole_shape_comes_to_the_raster_and_reaches_beyond_it(crs):
    mercator = Affine(5000, 0, 19_000_000, 0, -5000, 500_000)
    place = PromptTransform(mercator, "EPSG:3857", crs, (200, 400), whole=True)
    near = place.geometry(shapely.box(-175, 0, -100, 1))
    turned = place.geometry(shapely.box(185, 0, 260, 1))
    assert near.bounds == pytest.approx(turned.bounds)
    assert near.area == pytest.approx(75 * 111319.49 / 5000 * 111325 / 5000, rel=1e-3)
    place = PromptTransform(PACIFIC, "EPSG:4326", crs, (256, 400), whole=True)
    split = shapely.union_all([shapely.box(178, -2, 180, 0), shapely.box(-180, -2, -178, 0)])
    assert shapely.bounds(place.geometry(split)) == pytest.approx((160, 100, 240, 140))
    world = shapely.box(-180, -2, 180, 0)
    assert place.geometry(world).intersection(shapely.box(0, 0, 400, 256)).area == pytest.approx(
        400 * 40
    )


def test_polygons_across_the_line_are_shown_in_degrees_on_both_sides():
    utm = Affine(100, 0, 120_000, 0, -100, 8_200_000)
    place = PromptTransform(utm, "EPSG:32701", "EPSG:4326", (1000, 1000))
    found = place.shape_from_raster(shapely.box(160_000, 8_110_000, 190_000, 8_120_000))
    assert sorted(part.bounds[0] < 0 for part in found.geoms) == [False, True]
    back = place.shape_to_raster(found)
    assert back.geom_type == "Polygon"
    assert back.bounds == pytest.approx((160_000, 8_110_000, 190_000, 8_120_000), abs=5)
