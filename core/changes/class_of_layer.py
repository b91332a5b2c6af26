# SPDX-License-Identifier: GPL-2.0-or-later
"""What is of an old layer's class: a classifier that has the old polygons themselves as examples.

Some of the examples are wrong, because some of the old polygons are gone; and some of what lies
beside them is of the class, because it is new. So every example is judged by classifiers that have
not seen it, and those that are judged otherwise are left out of the last one (Northcutt, Jiang and
Chuang 2021, "Confident learning").
"""

from __future__ import annotations

import numpy as np

from ..classes.classifier import Basis, Classifier, ClassifierOptions, fit
from ..classes.examples import NONE
from ..classes.features.object_table import FeatureTable
from .evidence import Floats, Integers

OF_CLASS = "of the layer"
"""Name of the class, in the classifier."""

OPTIONS = ClassifierOptions(
    known=0.0,
    weights=(("encoder", 1.0), ("colour", 1.0), ("shape", 1.0)),
    temperature_doubt=0.1,
    frequency=1.0,
    examples_count=True,
)
"""Without what a segmenter says of its own objects: old polygons have no such thing. The limits of
an update were chosen with these temperatures and frequencies."""

FOLDS = 4

DOUBT = 0.3
"""An example of the class that others judge less likely than this is none; a counterexample that
they judge likelier than 1 less this is none either."""

LEAST = 4
"""Examples of each kind without which nothing can be learnt."""


def learn_class(table: FeatureTable, of_class: Integers, others: Integers) -> Classifier | None:
    """A classifier of objects.

    Args:
        table: Of all objects.
        of_class: Rows of the layer's own objects.
        others: Rows of objects that lie beside them.

    Returns:
        The classifier, or None where there are too few examples of either kind.
    """
    of_class, others = of_class[table.seen[of_class]], others[table.seen[others]]
    if min(len(of_class), len(others)) < LEAST:
        return None
    basis = Basis.of(table, OPTIONS)
    rows = np.concatenate([of_class, others])
    wanted = np.arange(len(rows)) < len(of_class)
    held = _held_back(table, basis, rows, wanted)
    keep = np.where(wanted, held >= DOUBT, held <= 1 - DOUBT)
    if min(int((keep & wanted).sum()), int((keep & ~wanted).sum())) < LEAST:
        keep = np.ones(len(rows), bool)
    return _fit(table, basis, rows[keep], wanted[keep])


def likeness(classifier: Classifier, table: FeatureTable) -> Floats:
    """(n,) probability that an object is of the class; 0 off the raster's data."""
    found = classifier.probabilities(table)[:, classifier.classes.index(OF_CLASS)]
    out: Floats = np.where(table.seen, found, 0.0)
    return out


def _held_back(table: FeatureTable, basis: Basis, rows: Integers, wanted: np.ndarray) -> Floats:
    """(e,) probability of the class by classifiers that have not seen an example."""
    fold = np.empty(len(rows), np.int64)
    for kind in (wanted, ~wanted):
        fold[kind] = np.arange(int(kind.sum())) % FOLDS
    said = np.zeros(len(rows))
    for number in range(FOLDS):
        test = fold == number
        classifier = _fit(table, basis, rows[~test], wanted[~test])
        said[test] = likeness(classifier, table.rows(rows[test]))
    return said


def _fit(table: FeatureTable, basis: Basis, rows: Integers, wanted: np.ndarray) -> Classifier:
    names = [OF_CLASS if one else NONE for one in wanted.tolist()]
    return fit(table, rows, names, (OF_CLASS, NONE), OPTIONS, basis=basis)
