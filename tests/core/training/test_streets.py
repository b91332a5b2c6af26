# SPDX-License-Identifier: GPL-2.0-or-later
"""Street scenes, and photographs with strokes."""

import numpy as np
import pytest
import torch

pytest.importorskip("cv2", reason="training needs the extra 'training' (OpenCV)")

from samgeo_core.models.embedded.classes import CLASSES, bits
from samgeo_core.models.embedded.network import EmbeddedNet, NetConfig
from samgeo_core.training.datasets import strokes
from samgeo_core.training.datasets.canvas import Textures
from samgeo_core.training.datasets.streets import compose_street

COLOURS = {"road": 60, "building": 200, "water": 30, "trees": 90, "field": 120, "bare ground": 160}


def textures(seed: int) -> Textures:
    rng = np.random.default_rng(seed)
    images = [rng.integers(0, 255, (140, 160, 3), dtype=np.uint8) for _ in range(3)]
    squares = {k: [np.full((16, 16, 3), v, np.uint8)] for k, v in COLOURS.items()}
    return Textures(images, rng, squares)


def test_a_seed_decides_a_street_scene():
    first, second = (compose_street(textures(3), 128) for _ in range(2))
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.labels, second.labels)
    np.testing.assert_array_equal(first.classes, second.classes)
    assert (first.image != compose_street(textures(4), 128).image).any()


def test_things_of_a_street_scene_look_like_their_class():
    dark, light = [], []
    seen = 0
    for seed in range(12):
        scene = compose_street(textures(seed), 128)
        seen |= int(np.bitwise_or.reduce(scene.classes, axis=None))
        grey = scene.image.mean(-1)
        dark.append(grey[scene.classes == bits("road")])
        light.append(grey[scene.classes == bits("building")])
    assert np.median(np.concatenate(dark)) < 90 < np.median(np.concatenate(light))
    wanted = bits("building", "road", "trees", "vehicle", "bare ground")
    assert seen & wanted == wanted


def test_streets_are_a_class_and_no_objects():
    for seed in range(4):
        scene = compose_street(textures(seed), 128)
        assert not scene.labels[0][scene.classes == bits("road")].any()


def test_every_stroke_lies_in_its_photograph_and_has_a_kind():
    drawn = strokes.read_strokes()
    assert len(drawn) >= 40
    for name, lines in drawn.items():
        assert {line.kind for line in lines} <= set(strokes.KINDS), name
        points = np.concatenate([line.points for line in lines])
        assert points.min() > -2, name
        assert points.max() < 258, name
    kept, used = (strokes.by_town(drawn, held_out=side) for side in (True, False))
    assert kept
    assert used
    assert len(kept) + len(used) == len(drawn)


def test_a_stroke_marks_its_width_and_nothing_else():
    line = strokes.Stroke("road", 5.0, np.array([[10, 20], [50, 20]], np.float32))
    plane = strokes.stroke_plane([line], (64, 64))
    assert (plane[18:23, 12:48] == bits("road")).all()
    assert not plane[:16].any()
    assert not plane[25:].any()


@pytest.fixture(scope="module")
def kinds():
    torch.manual_seed(0)
    tiny = NetConfig(
        stem=8,
        widths=(8, 16, 16, 16),
        depths=(1, 1, 1, 1),
        neck=(8, 16, 16),
        decoder=(8, 8, 16, 16),
    )
    rng = np.random.default_rng(0)
    image = np.full((64, 64, 3), 40, np.uint8)
    image[:, 32:] = 210
    image = np.clip(image + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8)
    plane = np.zeros((64, 64), np.uint8)
    plane[8:56, 8:24], plane[8:56, 40:56] = bits("road"), bits("building")
    return strokes.KindsOfCells(EmbeddedNet(tiny).eval(), [(image, plane)]), image


def test_what_strokes_show_is_found_where_there_are_none(kinds):
    learned, image = kinds
    plane = learned.plane(np.ascontiguousarray(image[::-1]))
    assert plane.shape == (64, 64)
    left, right = plane[4:60, 4:28], plane[4:60, 36:60]
    assert (left == bits("road")).mean() > 0.8
    assert (right == bits("building")).mean() > 0.8


def test_the_same_strokes_give_the_same_answers(kinds):
    learned, image = kinds
    np.testing.assert_array_equal(learned.plane(image), learned.plane(image))
    assert learned.probabilities(image).sum(0) == pytest.approx(1, abs=1e-4)


def test_the_curve_of_scores_that_say_nothing_has_half_the_area():
    rng = np.random.default_rng(1)
    wanted = rng.random(4000) < 0.3
    assert strokes.area_under_curve(rng.random(4000), wanted) == pytest.approx(0.5, abs=0.03)
    assert strokes.area_under_curve(wanted + 0.1 * rng.random(4000), wanted) == 1.0


def test_squares_lie_wholly_in_their_mask():
    image = np.arange(40 * 50 * 3, dtype=np.int64).reshape(40, 50, 3) % 251
    inside = np.zeros((40, 50), bool)
    inside[5:25, 10:40] = True
    found = strokes.squares(image.astype(np.uint8), inside, smallest=6)
    assert found
    assert all(part.shape[0] == part.shape[1] >= 6 for part in found)
    assert sum(part.shape[0] ** 2 for part in found) <= inside.sum()
    assert not strokes.squares(image.astype(np.uint8), ~np.ones_like(inside))
    assert len(CLASSES) == 8  # a set of classes is a byte
