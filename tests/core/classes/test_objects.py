# SPDX-License-Identifier: GPL-2.0-or-later
"""Objects of a layer: which of them may be of a class at all."""

from dataclasses import replace

import numpy as np
import pytest
import shapely
from samgeo_core.classes.assign import Marked
from samgeo_core.classes.examples import NONE
from samgeo_core.classes.features.object_table import FeatureTable
from samgeo_core.classes.objects import LEAST_SCORE, ObjectClasses, ObjectLayer

COUNT = 80
JUNK = range(60, COUNT)
"""Rows of masks that the second estimate takes for no objects, though they look like roofs."""


@pytest.fixture
def layer():
    """Every other object is a roof, which the first column tells."""
    rng = np.random.default_rng(3)
    roof = (np.arange(COUNT) % 2 == 0) | (np.arange(COUNT) >= 60)
    values = rng.normal(size=(COUNT, 8)).astype(np.float32)
    values[:, 0] += 6 * roof
    names = tuple(f"level:{k}|in" for k in range(8))
    table = FeatureTable(values, names, ("encoder",) * 8, np.ones(COUNT, bool), "m")
    polygons = np.array([shapely.box(5 * k, 0, 5 * k + 4, 4) for k in range(COUNT)], object)
    score = np.where(np.arange(COUNT) >= 60, LEAST_SCORE - 0.01, 0.8)
    score[5] = np.nan
    return ObjectLayer(polygons, table, score, np.full(COUNT, 0.9), True, LEAST_SCORE)


def marked_rows(*junk):
    rows = [0, 2, 4, 6, 1, 3, 5, 7, *junk]
    names = ["roof"] * 4 + [NONE] * (4 + len(junk))
    return Marked(np.array(rows, np.int64), names, 0)


def test_what_is_taken_for_no_object_is_of_no_class(layer):
    asked = ObjectClasses(layer)
    marked = marked_rows()
    classed = asked.classify(asked.train(marked), marked)
    assert {classed.names[k] for k in JUNK} == {NONE}
    assert not classed.kept[60:].any()
    assert classed.kept[8:60:2].any()
    assert not set(asked.ask(classed, 30).tolist()) & set(JUNK)
    # Of an unknown score is what a person drew: it counts.
    assert asked.considered(np.zeros(COUNT, bool))[5]


def test_without_a_least_score_all_are_considered(layer):
    asked = ObjectClasses(replace(layer, judged=False, least=0.0))
    marked = marked_rows()
    classed = asked.classify(asked.train(marked), marked)
    assert classed.kept[60:].mean() > 0.8


def test_what_an_example_means_counts_whatever_its_score(layer):
    asked = ObjectClasses(layer)
    plain, more = (asked.train(m) for m in (marked_rows(), marked_rows(60, 61, 62)))
    assert more.examples == (4, 7)
    assert not np.allclose(plain.weights, more.weights)
    marked = Marked(np.array([0, 2, 60, 1, 3, 5]), ["roof"] * 3 + [NONE] * 3, 0)
    classed = asked.classify(asked.train(marked), marked)
    assert classed.kept[60]
    assert not classed.kept[61:].any()


def test_the_statistics_are_those_of_what_is_considered(layer):
    here = ObjectClasses(layer).basis
    elsewhere = layer.table.values.copy()
    elsewhere[60:] += 100
    moved = replace(layer, table=replace(layer.table, values=elsewhere))
    np.testing.assert_allclose(ObjectClasses(moved).basis.mean, here.mean)
