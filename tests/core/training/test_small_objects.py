# SPDX-License-Identifier: GPL-2.0-or-later
"""Crowns and vehicles that were drawn one by one: their file, and what samples learn from them."""

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cv2", reason="training needs the extra 'training' (OpenCV)")

from samgeo_core.models.embedded.classes import bits
from samgeo_core.training.datasets.crops import Crops, Part, Sample, is_held_out, side_by_side
from samgeo_core.training.datasets.opencv import cv2
from samgeo_core.training.datasets.outlines import Outlines, read_outlines
from samgeo_core.training.datasets.small_objects import (
    CROWN,
    MAY_BE,
    SMALL_OBJECTS,
    VEHICLE,
    near_pictures_of_small_objects,
    photographs_of_small_objects,
    with_small_objects,
)
from samgeo_core.training.datasets.strokes import HELD_OUT_TOWN, Stroke

BUILDING, ROAD, TREES = bits("building"), bits("road"), bits("trees")


def disc(x: float, y: float, width: float) -> Stroke:
    return Stroke(CROWN, width, np.array([(x, y)], np.float32))


def yard() -> Sample:
    """64 x 64 px: a house of 20 x 20 px at the upper left, elsewhere no building."""
    labels = np.zeros((1, 64, 64), np.uint16)
    labels[0, 4:24, 4:24] = 7
    classes = np.where(labels[0] > 0, BUILDING, 255 & ~BUILDING).astype(np.uint8)
    return Sample(np.zeros((64, 64, 3), np.uint8), labels, classes)


def test_each_crown_is_an_object_and_a_house_below_stays_whole():
    crowns = Outlines([disc(40, 40, 12), disc(52, 40, 12), disc(24, 40, 10)], ())
    found = with_small_objects(yard(), crowns)
    assert found.labels.shape == (2, 64, 64)
    assert len(np.unique(found.labels[1])) == 4
    assert found.labels[0, 40, 40] != found.labels[0, 40, 52] != 0
    assert (found.labels[0] == 7).sum() == 400
    assert found.classes is not None
    assert found.classes[40, 40] == TREES
    assert found.classes[60, 4] == 255 & ~BUILDING, "not all crowns are said to be drawn"


def test_a_crown_over_a_roof_may_be_either_and_what_is_left_of_it_is_no_object():
    half = with_small_objects(yard(), Outlines([disc(24, 14, 12)], (CROWN,)))
    assert half.classes is not None
    assert half.classes[14, 21] == BUILDING | TREES
    assert half.classes[14, 27] == TREES
    assert half.labels[0, 14, 27] == 0, "half of a crown has no crown's shape"
    assert half.labels[1, 14, 27] == half.labels[1, 14, 21] > 0


def test_where_all_crowns_are_drawn_the_rest_is_no_tree_but_in_woods():
    woods = Stroke(
        CROWN + MAY_BE, 0, np.array([(40, 40), (64, 40), (64, 64), (40, 64)], np.float32)
    )
    found = with_small_objects(yard(), Outlines([disc(32, 50, 8), woods], (CROWN,)))
    assert found.classes is not None
    assert found.classes[34, 50] == 255 & ~BUILDING & ~TREES
    assert found.classes[14, 14] == BUILDING
    assert found.classes[50, 60] == 255 & ~BUILDING, "in woods nobody can tell"
    assert found.classes[50, 37] == 255 & ~BUILDING, "beside a crown, outlines being off"


def test_vehicles_lie_above_all_and_are_known_to_be_nowhere_else():
    car = Stroke(VEHICLE, 4, np.array([(36, 50), (46, 50)], np.float32))
    drawn = Outlines([disc(44, 50, 10), car], (VEHICLE,))
    found = with_small_objects(yard(), drawn)
    assert found.classes is not None
    number = found.labels[0, 50, 42]
    assert (found.labels[0] == number).sum() == 40
    assert found.classes[50, 42] == bits("vehicle")
    assert found.classes[60, 4] == 255 & ~BUILDING & ~bits("vehicle")
    assert found.classes[50, 48] == TREES
    assert (found.labels[1] == found.labels[1, 47, 44]).sum() > 70, "crowns are whole there"


def test_the_file_has_all_kinds_in_pictures_of_all_sources():
    drawn = read_outlines(SMALL_OBJECTS)
    kinds = {shape.kind for crowns in drawn.values() for shape in crowns.shapes}
    assert kinds == {CROWN, VEHICLE, CROWN + MAY_BE, VEHICLE + MAY_BE}
    assert sum(s.kind == CROWN for crowns in drawn.values() for s in crowns.shapes) > 3000
    assert any(name.startswith(HELD_OUT_TOWN) for name in drawn)
    assert any(name.startswith("OAM") for name in drawn)
    assert any(is_held_out(name) for name in drawn if name.startswith("nairobi"))
    for name, crowns in drawn.items():
        for shape in crowns.shapes:
            assert shape.points.min() > -200, name
            assert shape.points.max() < 712, name
            assert shape.width < 300, name


def test_pictures_of_other_zooms_of_the_same_ground_have_the_same_crowns(tmp_path: Path):
    name, nearer = "catanduanes_z20_886242_483186", "catanduanes_z21_1772484_966372"
    assert not is_held_out(name)
    folder = tmp_path / "train" / "instances"
    rows = ["image,mask,dataset,cls"]
    for picture in (name, nearer):
        (folder / "images").mkdir(parents=True, exist_ok=True)
        (folder / "masks").mkdir(exist_ok=True)
        cv2.imwrite(str(folder / f"images/{picture}.png"), np.zeros((512, 512, 3), np.uint8))
        cv2.imwrite(str(folder / f"masks/{picture}.png"), np.zeros((512, 512), np.uint16))
        rows.append(f"images/{picture}.png,masks/{picture}.png,catanduanes,building")
    (folder / "index.csv").write_text("\n".join(rows) + "\n")
    path = tmp_path / "crowns.json"
    path.write_text(json.dumps({name: {"shapes": [["crown", 20, [[100, 60]]]], "complete": []}}))
    found = dict(near_pictures_of_small_objects(tmp_path, held_out=False, path=path))
    assert set(found) == {name, nearer}
    assert found[name].labels[1, 60, 100] > 0
    assert found[nearer].labels[1, 120, 200] > 0
    assert abs(int((found[nearer].labels[1] > 0).sum()) - np.pi * 400) < 40
    assert not dict(near_pictures_of_small_objects(tmp_path, held_out=True, path=path))


def test_the_town_that_is_kept_back_is_not_trained_on(tmp_path: Path):
    for name in read_outlines(SMALL_OBJECTS):
        cv2.imwrite(str(tmp_path / f"{name}.jpg"), np.full((256, 256, 3), 90, np.uint8))
    trained, kept = (
        {name for name, _ in photographs_of_small_objects(tmp_path, held_out=held)}
        for held in (False, True)
    )
    assert kept
    assert trained
    assert all(name.startswith(HELD_OUT_TOWN) for name in kept)
    assert not any(name.startswith(HELD_OUT_TOWN) for name in trained)


def test_four_pictures_side_by_side_keep_their_objects_apart():
    rng = np.random.default_rng(0)
    pictures = []
    for shade in (10, 60, 120, 200):
        labels = np.zeros((1, 32, 32), np.uint16)
        labels[0, 4:12, 4:12], labels[0, 16:28, 16:28] = 1, 2
        image = np.full((32, 32, 3), shade, np.uint8)
        pictures.append(Sample(image, labels, np.full((32, 32), shade, np.uint8)))
    joined = side_by_side(pictures)
    assert joined.image.shape == (64, 64, 3)
    assert np.bincount(joined.labels.ravel())[1:].tolist() == [64, 144] * 4
    assert joined.image[0, 63].tolist() == [60] * 3
    assert joined.classes is not None
    assert joined.classes[63, 0] == 120
    # A crop that is larger than its picture shows others beside it.
    crops = Crops([Part("fields", pictures, 1.0, (0.9, 1.0))], rng, 64, smallest=10)
    counts = [len(np.unique(crops.draw(2)[0].labels[0])) - 1 for _ in range(20)]
    assert max(counts) > 2
