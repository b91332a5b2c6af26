# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import shapely
from samgeo_core.changes.common_shift import common_shift
from samgeo_core.changes.compare import compare
from samgeo_core.changes.evidence import Evidence, Found
from shapely.affinity import scale, translate


def house(k: int, side: float = 10.0):
    return shapely.box(25 * (k % 8), 25 * (k // 8), 25 * (k % 8) + side, 25 * (k // 8) + side)


def outlined(shape, k: int):
    """As a model would outline it: a little off, differently each time."""
    rng = np.random.default_rng(k)
    return translate(scale(shape, *rng.uniform(0.97, 1.03, 2)), *rng.normal(0, 0.08, 2))


def shapes(items):
    return np.array([*items, None], dtype=object)[:-1]


@pytest.fixture
def world():
    """Forty houses; what the raster shows of them can be changed by each test."""
    old = [house(k) for k in range(40)]
    answers = [outlined(shape, k) for k, shape in enumerate(old)]
    found = [outlined(shape, 100 + k) for k, shape in enumerate(old)]
    return old, answers, found


def told(old, answers, found, *, weak=(), least=0.5):
    """The comparison; see :func:`evidence_of`."""
    return compare(evidence_of(old, answers, found, weak=weak), least)


def evidence_of(old, answers, found, *, weak=()):
    """Of a layer; houses of ``weak`` are answered for badly and look like nothing."""
    n = len(old)
    score, like = np.full(n, 0.9), np.full(n, 0.98)
    score[list(weak)], like[list(weak)] = 0.5, 0.05
    return Evidence(
        shapes(old), like, np.ones(n, bool), Found(shapes(answers), score, like),
        Found(shapes(found), np.full(len(found), 0.88), np.full(len(found), 0.97)), 0.25,
    )  # fmt: skip


def test_what_stands_is_confirmed_and_nothing_is_new(world):
    changes = told(*world)
    assert set(changes.status) == {"confirmed"}
    assert len(changes.new) == 0
    assert (changes.probability > 0.5).all()


def test_a_house_that_has_grown_is_reshaped(world):
    old, answers, found = world
    answers[3] = found[3] = scale(house(3), 1.4, 1.4)
    changes = told(old, answers, found)
    assert changes.status[3] == "reshaped"
    assert list(np.delete(changes.status, 3)) == ["confirmed"] * 39


def test_a_house_that_stands_elsewhere_has_moved(world):
    old, answers, found = world
    answers[5] = found[5] = translate(house(5), 4.0, 1.0)
    changes = told(old, answers, found)
    assert changes.status[5] == "moved"
    assert changes.way[5] == pytest.approx([4.0, 1.0], abs=0.1)


def test_a_polygon_of_two_parts_is_compared_by_the_part_that_is_found(world):
    old, answers, found = world
    old[5] = shapely.union(house(5), translate(house(5, 5.0), 0.0, -25.0))
    changes = told(old, answers, found)
    assert changes.status[5] == "confirmed"
    assert np.hypot(*changes.way[5]) < 0.5


def test_a_polygon_is_not_gone_while_one_of_its_parts_stands(world):
    old, answers, found = world
    shed = house(6, 1.0)
    found[6] = shed
    old[7] = shapely.union(house(7), shed)
    answers[7] = scale(house(7), 0.7, 0.7)
    del old[6], answers[6], found[7]
    evidence = evidence_of(old, answers, found, weak=[6])
    changes = compare(evidence)
    assert changes.status[6] == "reshaped"
    assert changes.kept == {6: [6]}
    assert 0.7 < changes.probability[6] <= 0.97
    evidence.candidates.likeness[6] = 0.7  # what stands is less certain than what is gone
    assert compare(evidence).probability[6] == 0.7
    assert changes.found[6].equals(shed)
    assert np.hypot(*changes.way[6]) < 0.01
    assert changes.overlap[6] == pytest.approx(1.0)


def test_where_nothing_can_be_seen_that_is_certain(world):
    evidence = evidence_of(*world)
    visible = evidence.visible.copy()
    visible[5] = False
    changes = compare(replace(evidence, visible=visible))
    assert (changes.status[5], changes.probability[5]) == ("unseen", 1.0)


def test_a_house_that_nothing_shows_is_gone_and_its_ground_is_free(world):
    old, answers, found = world
    del found[7]
    answers[7] = scale(house(7), 0.5, 0.6)
    changes = told(old, answers, found, weak=[7])
    assert changes.status[7] == "gone"
    assert changes.found[7].is_empty


def test_a_house_that_nothing_was_there_for_is_new(world):
    old, answers, found = world
    changes = told(old[:-2], answers[:-2], found)
    assert sorted(changes.new.tolist()) == [38, 39]


def test_two_houses_in_an_old_outline_split_it(world):
    old, answers, found = world
    x0, y0, x1, y1 = house(9).bounds
    halves = [shapely.box(x0, y0, x0 + 4.6, y1), shapely.box(x0 + 5.4, y0, x1, y1)]
    found[9:10] = halves
    answers[9] = halves[0]
    changes = told(old, answers, found)
    assert changes.status[9] == "split"
    assert len(changes.pieces[9]) == 2
    assert changes.found[9].geom_type == "MultiPolygon"


def test_a_house_over_two_old_outlines_merged_them(world):
    old, answers, found = world
    x0, y0, _, y1 = house(10).bounds
    old[10], old[11] = shapely.box(x0, y0, x0 + 10, y1), shapely.box(x0 + 10, y0, x0 + 20, y1)
    whole = shapely.box(x0, y0, x0 + 20, y1)
    answers[10] = answers[11] = whole
    found[10:12] = [whole]
    changes = told(old, answers, found)
    assert list(changes.status[10:12]) == ["merged", "merged"]
    assert changes.partners == {10: [11], 11: [10]}


def test_a_change_below_the_threshold_is_none(world):
    old, answers, found = world
    answers[3] = found[3] = scale(house(3), 1.4, 1.4)
    assert set(told(old, answers, found, least=1.0).status) == {"confirmed"}


def test_a_shift_of_the_whole_layer_is_found_among_wrong_pairs(world):
    old, _, found = world
    moved = shapes(translate(shape, 1.4, -1.4) for shape in old)
    clutter = [house(k, 9.0) for k in range(41, 60)]
    shift = common_shift(moved, shapes([*found[:30], *clutter]), 0.25)
    assert (shift.east, shift.north) == pytest.approx((-1.4, 1.4), abs=0.1)
    assert shift.votes >= 28


def test_single_moves_are_no_shift_of_the_layer(world):
    old, _, found = world
    for k in range(0, 40, 4):
        old[k] = translate(old[k], 3.0, 0.0)
    shift = common_shift(shapes(old), shapes(found), 0.25)
    assert shift.length == 0


def test_the_shift_of_a_large_layer_takes_memory_that_grows_with_its_polygons():
    rows, cols = (part.ravel() * 25.0 for part in np.mgrid[:60, :60])
    old = shapely.box(cols, rows, cols + 10, rows + 10)
    found = shapely.box(cols + 2, rows + 1, cols + 12, rows + 11)
    tracemalloc.start()
    try:
        shift = common_shift(old, found, 0.25)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (shift.east, shift.north, shift.votes) == (2.0, 1.0, len(old))
    assert most < 10_000 * len(old), "a number for each pair of polygons would be 200 MB"
