# SPDX-License-Identifier: GPL-2.0-or-later
import numpy as np
import pytest
import shapely
from samgeo_core.classes.active import ask_next, uncertainty
from samgeo_core.classes.examples import NONE
from samgeo_core.classes.resolve import WHOLE, most_likely, resolve, rivals_among

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
    values = {"score": SCORE, "probability": PROBABILITY, "marked": NO, "least": 0.5, **changed}
    order = np.arange(6) if order is None else order
    found = resolve(
        SHAPES[order],
        [NAMES[k] for k in order],
        values["probability"][order],
        values["score"][order],
        ONES,
        values["marked"][order],
        values["least"],
        values.get("whole", WHOLE),
        judged=values.get("judged", False),
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


def test_what_is_of_the_class_but_hardly_an_object_goes():
    """A roof with an even chance and a score of 0.7 is one, with 0.5 it is not."""
    even = PROBABILITY.copy()
    even[4] = 0.5
    assert kept(judged=True, probability=even) == [0, 4]
    low = SCORE.copy()
    low[4] = 0.5
    assert kept(judged=True, probability=even, score=low) == [0]
    assert kept(probability=even, score=low) == [0, 4]
    marked = NO.copy()
    marked[4] = True
    assert kept(judged=True, probability=even, score=low, marked=marked) == [0, 4]


def test_a_second_score_counts_for_more_than_the_class():
    """The half is surer of its class, the whole of being one."""
    sure = PROBABILITY.copy()
    sure[[0, 2, 3]], sure[1] = 0.6, 0.9
    score = np.array([0.9, 0.8, 0.5, 0.1, 0.7, 0.9])
    assert kept(probability=sure, score=score, least=0.4, whole=0.0) == [1, 4]
    score[1] = 0.65
    assert kept(probability=sure, score=score, least=0.4, whole=0.0) == [1, 4]
    assert kept(probability=sure, score=score, least=0.4, whole=0.0, judged=True) == [0, 4]


def test_an_object_of_unknown_score_is_as_good_as_its_class():
    unknown = np.full(6, np.nan)
    found = resolve(SHAPES, NAMES, PROBABILITY, unknown, ONES, NO, 0.5, judged=True)
    assert found[4]


def test_a_better_outlined_part_beats_a_worse_whole():
    low = PROBABILITY.copy()
    low[[0, 2, 3]], low[1] = 0.5, 1.0
    assert kept(probability=low) == [1, 4]


def test_the_likeliest_class_is_named():
    names, said = most_likely(np.array([[0.2, 0.8], [0.7004, 0.2996]]), ["a", "b"], 0.5)
    assert names == ["b", "a"]
    assert said.tolist() == [0.8, 0.7]


@pytest.mark.parametrize(("least", "expected"), [(0.5, NONE), (0.31, NONE), (0.3, "b"), (0, "b")])
def test_a_class_that_reaches_the_limit_is_named_before_none_of_these(least, expected):
    names, said = most_likely(np.array([[0.1, 0.3, 0.6]]), ["a", "b", NONE], least)
    assert names == [expected]
    assert said.tolist() == [0.6 if expected == NONE else 0.3]


def test_uncertain_different_and_unanswered_objects_are_asked_about():
    rng = np.random.default_rng(0)
    # Two heaps of undecided objects, the left one larger, one of certain ones, some answered.
    points = np.concatenate([rng.normal(at, 0.1, (n, 2)) for at, n in ((0, 30), (5, 15), (9, 60))])
    said = np.concatenate([rng.uniform(0.4, 0.6, 45), np.full(60, 0.99)])
    probabilities = np.column_stack([said, 1 - said])
    area, seen, none = np.ones(105), np.ones(105, bool), np.zeros(105, bool)
    answered = np.arange(105) < 5

    def ask(count, marked=answered, seen=seen, points=points):
        return ask_next(points, probabilities, area, marked, seen, count).tolist()

    asked = ask(2, none)
    assert asked[0] < 30 <= asked[1] < 45  # one of each heap, the larger first
    assert asked == ask(2, none)
    assert 30 <= ask(1)[0] < 45  # of the larger heap five answers are known already
    assert len(set(ask(8))) == 8
    assert not set(ask(100)) & set(range(5))
    assert ask(2, ~none) == []
    few = np.isin(np.arange(105), [7, 40])
    assert sorted(ask(5, ~few)) == sorted(ask(5, seen=few)) == [7, 40]
    assert len(set(ask(4, points=np.zeros((105, 2))))) == 4
    assert uncertainty(np.array([[0.5, 0.5], [1.0, 0.0]])) == pytest.approx([0.5, 0])


def test_thousands_of_objects_are_weighed_in_a_moment():
    rng = np.random.default_rng(1)
    points, said = rng.normal(size=(30_000, 20)), rng.uniform(size=30_000)
    asked = ask_next(
        points, np.column_stack([said, 1 - said]), rng.uniform(1, 9, 30_000),
        np.arange(30_000) < 10, np.ones(30_000, bool), 10,
    )  # fmt: skip
    assert len(set(asked.tolist())) == 10
    assert np.abs(said[asked] - 0.5).max() < 0.1


def test_of_two_as_likely_the_whole_stays_not_its_part():
    whole, part = shapely.box(0, 0, 20, 20), shapely.box(0, 0, 20, 9)
    kept = resolve(
        np.array([part, whole], object), ["roof", "roof"], np.array([0.92, 0.9]),
        np.array([0.8, 0.8]), np.array([0.9, 0.9]), np.zeros(2, bool), 0.5,
    )  # fmt: skip
    assert kept.tolist() == [False, True]


def test_one_of_nearly_the_same_worth_may_stay_beside_a_better_one():
    shapes = np.array([shapely.box(0, 0, 20, 20), shapely.box(0, 0, 20, 18)] * 2, object)
    shapes[2:] = shapely.transform(shapes[2:], lambda xy: xy + 100)

    def kept(beside, rivals=None, marked=()):
        return resolve(
            shapes, ["roof"] * 4, np.array([0.9, 0.8, 0.9, 0.6]), np.full(4, 0.8), np.full(4, 0.9),
            np.isin(np.arange(4), marked), 0.5, 0.0, beside, rivals,
        ).tolist()  # fmt: skip

    assert kept(1.0) == [True, False, True, False]
    assert kept(0.8) == [True, True, True, False]
    assert kept(0.6) == [True, True, True, True]
    assert kept(0.8, rivals_among(shapes)) == kept(0.8)
    # What the user marked is certain.
    assert kept(0.6, marked=[1]) == [False, True, True, True]
