# SPDX-License-Identifier: GPL-2.0-or-later
"""Photographs that were drawn completely: their files, classes and other years."""

import json

import numpy as np
import pytest

pytest.importorskip("cv2", reason="training needs the extra 'training' (OpenCV)")

from samgeo_core.models.embedded.classes import bits
from samgeo_core.training.datasets.crops import Sample
from samgeo_core.training.datasets.opencv import cv2
from samgeo_core.training.datasets.outlines import (
    DRONE_OUTLINES,
    FLIGHTS,
    KIND_CLASSES,
    OUTLINES,
    SURROUNDINGS,
    UNSURE,
    Outlines,
    class_plane,
    drawn_drone_pictures,
    outlined_photographs,
    outlined_sample,
    place_and_year,
    read_outlines,
    shift_between,
    surroundings_of,
    with_squares,
    with_surroundings,
)
from samgeo_core.training.datasets.strokes import HELD_OUT_TOWN, KINDS, Stroke, read_strokes

ELSEWHERE = 255 & ~bits("road") & ~bits("building")


def stroke(kind: str, width: float, *points: tuple[float, float]) -> Stroke:
    return Stroke(kind, width, np.array(points, np.float32))


def square(kind: str, left: float, top: float, side: float) -> Stroke:
    right, bottom = left + side, top + side
    return stroke(kind, 0, (left, top), (right, top), (right, bottom), (left, bottom))


STREET = Outlines(
    [
        stroke("road", 6, (0, 30), (64, 30)),
        square("building", 10, 4, 12),
        square("building", 40, 4, 12),
        stroke("trees", 8, (50, 14)),
        square(UNSURE, 0, 54, 10),
    ],
    ("road", "building"),
)


def test_complete_kinds_say_where_they_are_not():
    plane = class_plane(STREET, (64, 64))
    assert plane[30, 32] == bits("road")
    assert plane[8, 12] == bits("building")
    assert plane[12, 50] == bits("trees"), "what was drawn later lies above"
    assert plane[45, 32] == ELSEWHERE
    assert plane[58, 4] == 0, "where nobody could tell, nothing is known"
    # Outlines are off by a pixel: beside a building it may be one, but no road.
    assert plane[3, 16] == 255 & ~bits("road")


def test_nothing_is_said_of_a_kind_that_is_not_complete():
    plane = class_plane(Outlines(STREET.shapes, ("road",)), (64, 64))
    assert plane[45, 32] == 255 & ~bits("road")
    assert class_plane(Outlines([], ()), (8, 8)).max() == 0


def test_each_building_is_an_object_whole_under_the_trees():
    sample = outlined_sample(np.zeros((64, 64, 3), np.uint8), STREET)
    assert np.bincount(sample.labels.ravel())[1:].tolist() == [144, 144]
    assert sample.labels[0, 12, 50] > 0
    assert sample.labels[0, 30, 32] == 0


def test_a_small_building_in_a_large_one_stays():
    outlines = Outlines([square("building", 10, 10, 4), square("building", 4, 4, 30)], ())
    labels = outlined_sample(np.zeros((40, 40, 3), np.uint8), outlines).labels[0]
    assert np.bincount(labels.ravel())[1:].tolist() == [900 - 16, 16]


def test_other_years_get_what_lasts_where_it_lies_there(tmp_path):
    rng = np.random.default_rng(3)
    ground = np.kron(rng.integers(0, 255, (40, 40, 1)), np.ones((8, 8, 3))).astype(np.uint8)
    for year, (down, right) in ((2016, (0, 0)), (2018, (3, -2)), (2020, (0, 90))):
        part = ground[100 - down : 200 - down, 100 - right : 200 - right]
        cv2.imwrite(str(tmp_path / f"there_{year}_7.jpg"), part)
    house = ["building", 0, [[20, 20], [40, 20], [40, 40], [20, 40]]]
    lawn = ["grass", 0, [[60, 60], [80, 60], [80, 80], [60, 80]]]
    path = tmp_path / "drawn.json"
    path.write_text(
        json.dumps({"there_2016_7": {"shapes": [house, lawn], "complete": ["building"]}})
    )
    found = dict(outlined_photographs(tmp_path, held_out=False, path=path))
    assert sorted(found) == ["there_2016_7", "there_2018_7"], "2020 shows other ground"
    rows, cols = np.nonzero(found["there_2018_7"].labels[0])
    assert (rows.min(), rows.max() + 1) == (23, 43)
    assert (cols.min(), cols.max() + 1) == (18, 38)
    classes = {name: sample.classes[70, 70] for name, sample in found.items()}
    assert classes["there_2016_7"] == KINDS["grass"]
    assert classes["there_2018_7"] == 255 & ~bits("building"), "a lawn may have gone"


def test_the_shift_between_photographs_is_found():
    rng = np.random.default_rng(5)
    ground = np.kron(rng.integers(0, 255, (30, 30, 1)), np.ones((6, 6, 3))).astype(np.uint8)
    one, two = ground[10:130, 10:130], ground[8:128, 13:133]
    assert shift_between(one, two) == pytest.approx((-3, 2), abs=0.3)
    assert shift_between(one, ground[40:160, 10:130]) is None
    assert shift_between(one, two[:-1]) is None


def test_what_is_around_known_objects_adds_to_them():
    known = np.zeros((64, 64), np.uint8)
    known[:] = 255 & ~bits("building")
    known[4:16, 10:22] = bits("building")
    sample = Sample(np.zeros((64, 64, 3), np.uint8), np.zeros((1, 64, 64), np.uint16), known)
    around = Outlines([stroke("road", 6, (0, 10), (64, 10))], ("road",))
    classes = with_surroundings(sample, around).classes
    assert classes is not None
    assert classes[10, 15] == bits("building"), "what is known of an object counts"
    assert classes[10, 40] == bits("road")
    assert classes[40, 40] == ELSEWHERE


def test_pictures_of_all_zooms_share_what_was_drawn():
    drawn = {"town_z20_200_400": Outlines([stroke("road", 8, (100, 300), (500, 300))], ())}
    same = surroundings_of("town_z19_100_200", (256, 256), drawn)
    assert same is not None
    assert same.shapes[0].width == 4
    assert same.shapes[0].points.tolist() == [[50, 150], [250, 150]]
    part = surroundings_of("town_z21_402_802", (512, 512), drawn)
    assert part is not None
    assert part.shapes[0].points.tolist() == [[200 - 512, 600 - 512], [1000 - 512, 600 - 512]]
    assert surroundings_of("town_z21_404_802", (512, 512), drawn) is None
    assert surroundings_of("other_z21_402_802", (512, 512), drawn) is None
    assert surroundings_of("fields_1", (512, 512), drawn) is None
    assert surroundings_of("fields_1", (512, 512), drawn | {"fields_1": part}) is part


def test_squares_of_a_mosaic_lie_where_their_names_say():
    size = (1024, 600)
    classes = np.zeros(size, np.uint8)
    mosaic = Sample(np.zeros((*size, 3), np.uint8), np.zeros((1, *size), np.uint16), classes)
    road = Outlines([stroke("road", 20, (0, 100), (512, 100))], ())
    plane = with_squares(mosaic, {"banepa_0512_0000": road}).classes
    assert plane is not None
    assert plane[612, 300] == bits("road")
    assert not plane[:512].any()
    assert not classes.any(), "the mosaic itself is as it was"


@pytest.mark.parametrize("path", [OUTLINES, SURROUNDINGS, DRONE_OUTLINES])
def test_what_is_shipped_can_be_read(path):
    drawn = read_outlines(path)
    side = 256 if path is OUTLINES else 512
    assert drawn
    for name, outlines in drawn.items():
        assert {each.kind for each in outlines.shapes} <= {*KIND_CLASSES, UNSURE}, name
        assert set(outlines.complete) <= set(KIND_CLASSES), name
        for each in outlines.shapes:
            assert each.width > 0 or len(each.points) > 2, name
            assert each.points.min() >= -side / 4, name
            assert each.points.max() <= side * 1.25, name


def test_no_place_is_drawn_twice_and_the_judged_ones_are_not():
    drawn = [place_and_year(name)[0] for name in read_outlines()]
    assert len(drawn) == len(set(drawn))
    assert any(name.startswith(HELD_OUT_TOWN) for name in drawn)
    assert not set(drawn) & {place_and_year(name)[0] for name in read_strokes()}
    with pytest.raises(ValueError, match="town_year_number"):
        place_and_year("somewhere")


def test_a_car_park_without_cars_is_no_vehicle():
    lot, car = square("other", 0, 0, 40), square("vehicle", 10, 10, 6)
    plane = class_plane(Outlines([lot, car], ("vehicle",)), (40, 40), beside=11)
    assert plane[12, 12] == bits("vehicle")
    assert plane[35, 35] == bits("other", "bare ground")
    assert plane[12, 18] == bits("other", "bare ground", "vehicle"), "outlines are off by a few px"
    assert class_plane(Outlines([lot, car], ()), (40, 40))[35, 35] == KINDS["other"]


def test_drone_pictures_are_found_by_their_names(tmp_path):
    rasterio = pytest.importorskip("rasterio")
    image = np.full((64, 64, 3), 90, np.uint8)
    crops = tmp_path / "drone_crops" / FLIGHTS["seneca"]
    crops.mkdir(parents=True)
    cv2.imwrite(str(crops / "IMG_1_0_0.jpg"), image)
    (tmp_path / "banepa_unlabelled").mkdir()
    with rasterio.open(
        tmp_path / "banepa_unlabelled" / "OAM-1-2-19.tif", "w", driver="GTiff", width=64, height=64,
        count=3, dtype="uint8",
    ) as file:  # fmt: skip
        file.write(image.transpose(2, 0, 1))
    roof = {"shapes": [["building", 0, [[8, 8], [40, 8], [40, 40], [8, 40]]]], "complete": []}
    drawn = tmp_path / "drawn.json"
    drawn.write_text(json.dumps({"OAM-1-2-19": roof, "seneca_IMG_1_0_0": roof}))
    found = dict(drawn_drone_pictures(tmp_path, drawn))
    assert set(found) == {"OAM-1-2-19", "seneca_IMG_1_0_0"}
    for sample in found.values():
        assert sample.labels[0, 20, 20] == 1
        assert sample.classes is not None
        assert sample.classes[20, 20] == bits("building")
