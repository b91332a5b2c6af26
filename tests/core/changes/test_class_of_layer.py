# SPDX-License-Identifier: GPL-2.0-or-later
"""The classifier of an old layer's class."""

import numpy as np
from samgeo_core.changes.class_of_layer import learn_class, likeness
from samgeo_core.classes.features.object_table import FeatureTable


def test_frequencies_are_those_of_all_objects_though_nearly_all_are_examples():
    """The few that are none, here all of the class, say nothing of how frequent it is."""
    rng = np.random.default_rng(0)
    houses, others, unmarked = 60, 200, 10
    kind = np.repeat([1.0, 0.0, 1.0], [houses, others, unmarked])
    values = rng.normal(0, 1, (len(kind), 20))
    values[:, :4] += kind[:, None] * 1.2
    table = FeatureTable(
        values.astype(np.float32),
        tuple(f"image:{number}" for number in range(20)),
        ("encoder",) * 20,
        np.ones(len(kind), bool),
        "m",
    )
    classifier = learn_class(table, np.arange(houses), np.arange(houses, houses + others))
    assert classifier is not None
    said = likeness(classifier, table)
    assert said[houses : houses + others].mean() < 0.1
    assert (said[houses : houses + others] > 0.5).mean() < 0.1
