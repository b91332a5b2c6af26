# SPDX-License-Identifier: GPL-2.0-or-later
"""The targets and losses of the head for proposals and classes."""

import dataclasses

import numpy as np
import pytest
import torch

pytest.importorskip("cv2", reason="training needs the extra 'training' (OpenCV)")

from samgeo_core.models.embedded.classes import CLASSES, bits
from samgeo_core.models.embedded.heads import Dense
from samgeo_core.training.datasets import crops as data
from samgeo_core.training.dense_heads import class_loss, dense_loss, dense_targets


def two_houses() -> data.Sample:
    """Two touching houses on unknown ground, 64 x 64."""
    labels = np.zeros((2, 64, 64), np.uint16)
    labels[0, 8:40, 8:24], labels[0, 8:40, 24:56] = 1, 2
    classes = data.one_class(labels[0], "building", complete=True)
    return data.Sample(np.zeros((64, 64, 3), np.uint8), labels, classes)


def test_depth_is_largest_in_the_middle_of_each_object_and_small_between_them():
    targets = dense_targets(two_houses())
    assert targets.depth.shape == (16, 16)
    assert targets.depth[5, 3] > 0.6  # rows 20 to 24, columns 12 to 16
    assert targets.depth[5, 9] > 0.8
    assert targets.depth[2:10, 5:7].max() < 0.5  # the wall that they share
    assert targets.depth[12:].max() == 0


def test_nothing_is_said_of_depth_far_from_labelled_objects_unless_all_are_labelled():
    targets = dense_targets(two_houses())
    assert targets.known[15, 15] == 0
    assert targets.known[4, 4] == 1
    whole = dense_targets(dataclasses.replace(two_houses(), whole=True))
    assert whole.known[15, 15] > 0


def test_boxes_are_those_of_the_objects():
    targets = dense_targets(two_houses())
    assert targets.boxes[:, 5, 3].tolist() == [8, 8, 40, 24]
    assert targets.boxes[:, 5, 9].tolist() == [8, 24, 40, 56]
    assert (targets.share > 0).sum() == (targets.boxes[2] > 0).sum()


def test_what_is_far_from_labelled_buildings_is_no_building_and_beside_them_nothing_is_said():
    classes = two_houses().classes
    assert classes[20, 20] == bits("building")
    assert classes[60, 60] == 255 & ~bits("building")
    assert classes[41, 20] == 0


def test_a_right_answer_costs_less_than_a_wrong_one():
    sample = dataclasses.replace(two_houses(), whole=True)
    targets = {
        name: torch.from_numpy(np.asarray(value))[None]
        for name, value in dense_targets(sample)._asdict().items()
    }
    rows = (torch.arange(16) + 0.5)[:, None].expand(16, 16) * 4
    cols = rows.T
    boxes = targets["boxes"][0]
    sides = torch.stack([rows - boxes[0], cols - boxes[1], boxes[2] - rows, boxes[3] - cols])
    classes = torch.zeros(1, len(CLASSES), 16, 16)
    classes[:, 0] = torch.where(targets["depth"] > 0, 8.0, -8.0)
    right = Dense(
        torch.logit(targets["depth"].clamp(0.01, 0.99)), sides.clamp(min=1)[None], classes
    )
    wrong = Dense(-right.depth, right.sides.flip(1) * 3, -classes)
    good, facts = dense_loss(right, targets)
    bad, _ = dense_loss(wrong, targets)
    assert good < 0.2 * bad
    assert facts["box_iou"] > 0.99


def test_a_set_of_classes_is_met_by_any_of_them_and_unknown_cells_cost_nothing():
    logits = torch.full((1, len(CLASSES), 1, 3), -10.0)
    logits[0, CLASSES.index("trees"), 0, :] = 10
    sets = torch.tensor([[[bits("trees", "field"), bits("water"), 0]]], dtype=torch.uint8)
    some, known = class_loss(logits[..., :1], sets[..., :1])
    assert float(some) < 1e-3
    assert float(class_loss(logits[..., 1:2], sets[..., 1:2])[0]) > 0.1
    assert float(class_loss(logits[..., 2:], sets[..., 2:])[0]) == 0
    assert float(known) == 1


def test_a_place_has_the_same_name_at_any_zoom_and_is_kept_back_as_a_whole():
    names = ["nairobi_z19_315879_264050", "nairobi_z20_631758_528101", "nairobi_z20_631759_528100"]
    assert len({data.place_of(name) for name in names}) == 1
    assert len({data.is_held_out(name) for name in names}) == 1
    fields = ["fields_midwest_37.229_w86.894_half", "fields_midwest_37.229_w86.894_a"]
    assert len({data.place_of(name) for name in fields}) == 1
    assert data.is_held_out("banepa_south_z19_386697_220263")
