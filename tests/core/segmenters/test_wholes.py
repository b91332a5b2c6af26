# SPDX-License-Identifier: GPL-2.0-or-later
import numpy as np
import pytest
from samgeo_core.models.embedded.classes import CLASSES
from samgeo_core.segmenters.mask_nms import Candidate
from samgeo_core.segmenters.wholes import boxes_of_pairs
from samgeo_core.types import CellBox

SIDE = 128


def mask(row0, col0, row1, col1):
    box = CellBox(row0, col0, row1, col1)
    logits = np.ones(box.shape, np.int8)
    return Candidate(box, box, logits, score=0.9, stability=0.9, area=box.area)


def ground(name="building", share=0.8):
    """A map that says one class everywhere."""
    found = np.full((len(CLASSES), SIDE // 2, SIDE // 2), (1 - share) / (len(CLASSES) - 1))
    found[CLASSES.index(name)] = share
    return found.astype(np.float32)


def boxes(found, probabilities=None, pixels=2.0):
    said = ground() if probabilities is None else probabilities
    return boxes_of_pairs(found, said, (0.5, 0.5), pixels).tolist()


LEFT, RIGHT = mask(10, 10, 40, 30), mask(10, 30, 40, 50)


def test_two_halves_of_a_roof_are_asked_for_together():
    assert boxes([LEFT, RIGHT]) == [[10, 10, 40, 50]]
    # In any order of the masks, and a mask that is there twice counts once.
    assert boxes([RIGHT, LEFT, LEFT]) == [[10, 10, 40, 50]]


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (mask(10, 36, 40, 56), "there is a street between them"),
        (mask(60, 31, 64, 80), "they touch at a corner"),
        (mask(10, 10, 40, 45), "one lies within the other"),
        (mask(38, 29, 100, 36), "they do not fill the box around both"),
    ],
)
def test_what_is_no_pair(other, why):
    assert boxes([LEFT, other]) == [], why


@pytest.mark.parametrize(("name", "share"), [("field", 0.8), ("building", 0.3)])
def test_only_likely_buildings_are_paired(name, share):
    assert boxes([LEFT, RIGHT], ground(name, share)) == []


def test_the_gap_is_measured_in_pixels_of_the_network():
    apart = mask(10, 33, 40, 53)  # 3 cells
    assert boxes([LEFT, apart], pixels=2.0)
    assert not boxes([LEFT, apart], pixels=4.0)


def test_of_boxes_that_are_nearly_the_same_the_better_filled_one():
    third = mask(11, 31, 39, 52)  # nearly where RIGHT is
    assert boxes([LEFT, RIGHT, third]) == [[10, 10, 40, 50]]


def test_one_mask_has_no_partner():
    assert boxes([LEFT]) == []
    assert boxes([]) == []
