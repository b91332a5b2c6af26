# SPDX-License-Identifier: GPL-2.0-or-later
import numpy as np
import pytest
import shapely
from samgeo_core.classes.active import ask_next, uncertainty
from samgeo_core.classes.resolve import most_likely, resolve

SHAPES = np.array(
    [
        shapely.box(0, 0, 10, 10),  # a roof
        shapely.box(0, 0, 5, 10),  # its left half
        shapely.box(0.5, 0, 10, 10),  # its double
        shapely.box(0, 0, 10, 32),  # three roofs in one
        shapely.box(20, 0, 30, 10),  # another roof
        shapely.box(50, 50, 60, 60),  # no roof
    ],
    object,
)
NAMES = ["roof"] * 5 + [""]
PROBABILITY = np.array([0.9, 0.9, 0.9, 0.8, 0.7, 0.9])
SCORE = np.array([0.9, 0.7, 0.8, 0.6, 0.7, 0.9])
ONES, NO = np.ones(6), np.zeros(6, bool)


def kept(order=None, **changed):
    values = {"probability": PROBABILITY, "marked": NO, "least": 0.5, **changed}
    order = np.arange(6) if order is None else order
    found = resolve(
        SHAPES[order],
        [NAMES[k] for k in order],
        values["probability"][order],
        SCORE[order],
        ONES,
        values["marked"][order],
        values["least"],
    )
    return sorted(np.asarray(order)[found].tolist())


def test_of_a_whole_its_parts_and_its_doubles_one_stays():
    assert kept() == [0, 4]
    assert kept(least=0.8) == [0]


def test_the_order_of_objects_says_nothing():
    rng = np.random.default_rng(0)
    assert all(kept(rng.permutation(6)) == [0, 4] for _ in range(5))


def test_what_the_user_marked_stays_and_displaces_the_rest():
    marked = NO.copy()
    marked[3] = True
    assert kept(marked=marked) == [3, 4]


def test_a_better_outlined_part_beats_a_worse_whole():
    low = PROBABILITY.copy()
    low[[0, 2, 3]] = 0.55
    assert kept(probability=low) == [1, 4]


def test_the_likeliest_class_is_named():
    names, said = most_likely(np.array([[0.2, 0.8], [0.7004, 0.2996]]), ["a", "b"])
    assert names == ["b", "a"]
    assert said.tolist() == [0.8, 0.7]


def test_uncertain_different_and_unanswered_objects_are_asked_about():
    said = np.array([[0.99, 0.01], [0.5, 0.5], [0.51, 0.49], [0.55, 0.45]])
    points = np.array([[0.0], [1.0], [1.0], [9.0]])
    answered = np.array([True, False, False, False])
    asked = ask_next(points, said, np.ones(4), answered, 2).tolist()
    assert asked == [3, 1]  # far from what is known first, then the undecided; not its twin
    assert ask_next(points, said, np.ones(4), np.ones(4, bool), 2).tolist() == []
    assert uncertainty(said)[1] == pytest.approx(1)
