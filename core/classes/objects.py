# SPDX-License-Identifier: GPL-2.0-or-later
"""The objects of a layer on a raster: their features once, then any number of questions.

Nothing here runs a model. Where a person adds or takes back an example, only the small classifier
is fitted again, which takes a fraction of a second for thousands of objects.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from ..types import BoolArray
from .active import ask_next
from .assign import Marked, Places, assign
from .classifier import Basis, Classifier, ClassifierOptions, fit
from .examples import NONE, Example, check_classes
from .features.object_table import FeatureTable
from .presumed import with_presumed
from .resolve import Rivals, most_likely, resolve, rivals_among

Doubles = NDArray[np.float64]

LEAST_SCORE = 0.25
"""Second estimate below which a mask of the embedded model is taken for no object, unless an
example means it or another score is asked for: what is no object is of no class. (Nothing below
0.27 is written at the usual probability: ``SURE`` in ``resolve.py``.) On the six places of
``benchmarks/class_settings.py`` (5 and 10 examples) average precision, F1 and |said - true| are
.876, .615 and .082 with 0, .907, .614 and .082 with 0.2, .919, .619 and .074 with 0.25, .929, .614
and .068 with 0.3."""


@dataclass(frozen=True, eq=False)
class ObjectLayer:
    """n objects, their features, and what their segmenter said of them.

    Args:
        polygons: (n,) valid shapes in working pixels.
        table: Their features.
        score: (n,) predicted IoU, NaN where unknown.
        stability: Likewise.
        judged: The score is the embedded model's second estimate, so that it says which objects of
            a class are whole ones (:data:`~.resolve.SURE`).
        least: Score below which an object is of no class, unless an example means it.
    """

    polygons: NDArray[Any]
    table: FeatureTable
    score: Doubles
    stability: Doubles
    judged: bool = False
    least: float = 0.0

    def __len__(self) -> int:
        return len(self.polygons)

    @property
    def plausible(self) -> BoolArray:
        """(n,) bool: of a score that is high enough, or unknown."""
        return np.asarray(~(self.score < self.least), np.bool_)


@dataclass(frozen=True, eq=False)
class ClassedObjects:
    """What the objects of a layer are.

    Args:
        names: Class of each object, :data:`~.examples.NONE` for none.
        probability: (n,) of that class; 1 where the user marked the object.
        kept: (n,) bool: of a class, likely enough, and not doubled by a better one.
        marked: (n,) bool: the user's own examples.
        probabilities: (n, k) of all classes.
        classifier: What decided.
    """

    names: list[str]
    probability: Doubles
    kept: BoolArray
    marked: BoolArray
    probabilities: Doubles
    classifier: Classifier


@dataclass
class ObjectClasses:
    """Answers what the objects of a layer are, again and again.

    Args:
        layer: The objects.
        options: Of the classifier.
    """

    layer: ObjectLayer
    options: ClassifierOptions = field(default_factory=ClassifierOptions)
    _basis: Basis | None = field(default=None, repr=False)
    _rivals: Rivals | None = field(default=None, repr=False)

    @property
    def basis(self) -> Basis:
        if self._basis is None:
            table = self.layer.table
            known = replace(table, seen=table.seen & self.layer.plausible)
            self._basis = Basis.of(known, self.options)
        return self._basis

    @property
    def rivals(self) -> Rivals:
        """Objects that share ground; they are the same whatever the classes are."""
        if self._rivals is None:
            self._rivals = rivals_among(self.layer.polygons)
        return self._rivals

    def mark(
        self,
        examples: Sequence[Example],
        searched: Any | None = None,
        places: Places | None = None,
        lower: str | None = None,
    ) -> Marked:
        """The objects that examples mean; see :func:`~.assign.assign`."""
        layer = self.layer
        return assign(
            examples, layer.polygons, layer.score, layer.table.seen, searched, places, lower
        )

    def considered(self, marked: BoolArray) -> BoolArray:
        """(n,) bool: objects that may be of a class.

        Args:
            marked: (n,) bool: those that the user's examples mean.
        """
        return np.asarray(self.layer.table.seen & (self.layer.plausible | marked), np.bool_)

    def train(self, marked: Marked, *, presume: bool = False) -> Classifier:
        """A classifier of marked objects.

        Args:
            marked: The examples.
            presume: Where few were shown to belong to none of the classes, those that are least
                like the others are presumed to (:func:`~.presumed.with_presumed`).

        Raises:
            PromptError: All are of one class.
        """
        flags = _flags(marked, len(self.layer))
        table = replace(self.layer.table, seen=self.considered(flags))
        if presume:
            marked = with_presumed(table, marked, self.options, self.basis)
        classes = check_classes(marked.names)
        return fit(table, marked.rows, marked.names, classes, self.options, basis=self.basis)

    def classify(
        self, classifier: Classifier, marked: Marked | None = None, least: float = 0.5
    ) -> ClassedObjects:
        """What every object is.

        Args:
            classifier: From :meth:`train`, or from a file.
            marked: The user's own examples; they are what the user said.
            least: Probability from which an object is of its class.

        Raises:
            PromptError: The classifier reads another model's features.
        """
        layer = self.layer
        probabilities = classifier.probabilities(layer.table)
        names, probability = most_likely(probabilities, classifier.classes, least)
        flags = _flags(marked, len(layer))
        numbers = np.array([classifier.classes.index(name) for name in names], np.int64)
        for row in np.flatnonzero(classifier.too_small(layer.table, numbers)).tolist():
            names[row] = NONE  # a part of something
        for row in np.flatnonzero(~self.considered(flags)).tolist():
            names[row], probability[row] = NONE, 0.0  # no object, or off the data
        if marked is not None:
            for row, name in zip(marked.rows.tolist(), marked.names, strict=True):
                names[row], probability[row] = name, 1.0
        kept = resolve(
            layer.polygons,
            names,
            probability,
            layer.score,
            layer.stability,
            flags,
            least,
            classifier.whole,
            classifier.beside,
            self.rivals,
            layer.judged,
        )
        return ClassedObjects(names, probability, kept, flags, probabilities, classifier)

    def ask(self, classed: ClassedObjects, count: int) -> NDArray[np.int64]:
        """Objects to ask the user about next; see :func:`~.active.ask_next`."""
        points = self.basis.project(self.layer.table.values)
        area = np.asarray(shapely.area(self.layer.polygons), np.float64)
        known = self.considered(classed.marked)
        return ask_next(points, classed.probabilities, area, classed.marked, known, count)


def _flags(marked: Marked | None, count: int) -> BoolArray:
    """(count,) bool: which rows are marked."""
    flags = np.zeros(count, np.bool_)
    if marked is not None:
        flags[marked.rows] = True
    return flags
