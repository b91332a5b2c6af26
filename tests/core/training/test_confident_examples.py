# SPDX-License-Identifier: GPL-2.0-or-later
"""Confident masks of what nobody labelled, among the examples of a training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from samgeo_core.labels.places import Cut
from samgeo_core.models.load import load_model
from samgeo_core.raster.raster import open_raster
from samgeo_core.training.datasets.confident import VIEWS
from samgeo_core.training.finetuning import confident_examples
from samgeo_core.training.finetuning.confident_examples import _usable, with_confident
from samgeo_core.training.finetuning.examples import ExampleOptions, Windows, read_examples
from samgeo_core.training.finetuning.training_job import TrainOptions, prepare
from samgeo_core.types import PixelBox

from .made import ground, squares, write_embedded, write_scene

CUT = 320
"""Column from which squares are held back."""


@pytest.fixture(scope="module")
def model():
    """The shipped model: random weights are sure of nothing."""
    return load_model("embedded", "cpu", 1)


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    return write_scene(tmp_path_factory.mktemp("confident"))


@pytest.fixture(scope="module")
def labelled(scene):
    """A window in which every other square is labelled, one of them as rejected."""
    boxes = squares()[::2]
    states = ["rejected"] + ["accepted"] * (len(boxes) - 1)
    with open_raster(str(scene)) as raster:
        examples = read_examples(raster, ground(boxes, status=states), ExampleOptions())
        (window,) = Windows(raster, 1024).around(examples, Cut(0, CUT), "train")
        yield window


@pytest.fixture(scope="module")
def added(model, labelled):
    (window,) = with_confident(model, [labelled], 8)
    assert window.objects[: len(labelled.objects)] == labelled.objects
    return window.objects[len(labelled.objects) :]


def iou(window, example, box):
    mask = np.zeros(window.box.shape, bool)
    c0, r0, c1, r1 = box
    mask[r0:r1, c0:c1] = True
    found = window.mask(example)
    return (mask & found).sum() / (mask | found).sum()


def test_squares_that_nobody_drew_are_found(labelled, added):
    free = [b for b in squares()[1::2] if b[2] < CUT - 2]
    right = [max(iou(labelled, one, b) for b in free) > 0.7 for one in added]
    assert len(added) >= 0.6 * len(free)
    assert np.mean(right) >= 0.8


def test_they_lie_on_nobodys_ground_and_share_none(labelled, added):
    assert len(labelled.rejected) == 1
    taken = np.zeros(labelled.box.shape, bool)
    for example in (*labelled.objects, *labelled.rejected):
        taken |= labelled.mask(example)
    for one in added:
        mask = labelled.mask(one)
        assert not (mask & taken).any()
        assert not (mask & ~labelled.part).any(), "what is held back is not learned from"
        assert one.shape.area == mask.sum()
        taken |= mask


@pytest.mark.parametrize("changed", [0, 1])
def test_what_is_another_mask_in_one_of_the_changed_pictures_is_left_out(
    model, labelled, added, monkeypatch, changed
):
    assert added
    real = confident_examples.answers

    def moved(one, image, boxes, view):
        found = real(one, image, boxes, view)
        return np.roll(found, 6, axis=1) if view == VIEWS[changed] else found

    monkeypatch.setattr(confident_examples, "answers", moved)
    (window,) = with_confident(model, [labelled], 8)
    assert window.objects == labelled.objects


def test_what_a_window_cuts_is_left_out(labelled):
    """It would teach that objects end there."""
    height, width = labelled.box.shape
    everywhere, square = np.ones((height, width), bool), np.ones((12, 12), bool)
    rows, cols = (2, 0, height - 14, height - 12), (2, 0, width - 14, width - 12)
    for row, inside_rows in zip(rows, (True, False, True, False), strict=True):
        for col, inside_cols in zip(cols, (True, False, True, False), strict=True):
            area = PixelBox(row, col, row + 12, col + 12), square
            assert _usable(area, labelled, everywhere) == (inside_rows and inside_cols)


def test_they_are_at_most_as_many_as_the_labelled_ones(model, labelled):
    few = replace(labelled, objects=labelled.objects[:3])
    (window,) = with_confident(model, [few], 8)
    assert len(window.objects) == 6


def test_where_all_is_labelled_nothing_is_added(model, labelled):
    all_known = replace(labelled, known=np.ones_like(labelled.known))
    (window,) = with_confident(model, [all_known], 8)
    assert window.objects == all_known.objects


def test_an_untrained_model_adds_little_that_stays_the_same(labelled, tmp_path):
    random = load_model(str(write_embedded(tmp_path / "random.safetensors")), "cpu", 1)
    (window,) = with_confident(random, [labelled], 8)
    assert len(window.objects) <= len(labelled.objects) + 2


def test_a_training_learns_from_them_and_measures_on_none(scene, tmp_path):
    boxes = squares()[::2]
    states = ["accepted"] * len(boxes)
    seen = []
    with open_raster(str(scene)) as raster:
        jobs = [
            prepare(
                raster, ground(boxes, status=states), TrainOptions(points=8, confident=sure),
                tmp_path, lambda *told: seen.append(told),
            )
            for sure in (True, False)
        ]  # fmt: skip
    sure, plain = jobs
    assert sure.confident > 0
    assert plain.confident == 0
    assert sure.digest != plain.digest
    for name, windows in plain.windows.items():
        same = [[[o.id for o in w.objects] for w in some] for some in (sure.windows[name], windows)]
        assert same[0] == same[1], name
    assert seen[-1][0] == "confident"
    assert seen[-1][1] == seen[-1][2]
