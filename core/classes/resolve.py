# SPDX-License-Identifier: GPL-2.0-or-later
"""Of objects that share ground, which stay: a whole or its parts, and only once.

Every object has a worth: the probability of its class times its predicted IoU, its stability and
a power of its area, so that of a roof, half of the roof and three roofs together the one
stays that is most like the class *and* best outlined, and of two that are alike in that the whole,
not its part. The worthiest is kept first and what it shares too much ground with is left out;
objects that the user marked come before all others. Ties are broken by geometry. Where an object
that is missing costs more than one that is false, one of nearly the same worth may stay beside it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from ..types import BoolArray
from .examples import NONE
from .features.overlaps import overlaps

SHARED = 0.4
"""Intersection over the smaller of two objects above which only one of them stays."""

WHOLE = 0.4
"""Power of the area in an object's worth. On four places that no figure is reported for (see
``classifier.py``) 0 to 0.5 were tried: the mean F1 is .482 without and .498 with 0.4. A classifier
that was fitted to parts as counterexamples needs none."""

SURE = 0.55
"""Where the embedded model has judged its masks a second time, the share of the probability asked
for that an object's probability times its score must reach: a part of a roof, or a roof with its
yard, is of the class, but no object of it. On the six places of ``benchmarks/class_settings.py``
(5 and 10 examples; weights of decision 41's last row) precision, recall and F1 are .748, .561, .633
with 0.5, .758, .555, .632 with 0.55, .767, .548, .630 with 0.6 and .779, .540, .627 with 0.65
..."""

TRUST = 2.0
"""... and the power of such a score in an object's worth: F1 is .606 with 1, .605 with 1.5 and .609
with 2."""

Doubles = NDArray[np.float64]
Rivals = Mapping[int, Sequence[int]]
"""Of an object's number the numbers of those that it shares too much ground with."""


def most_likely(
    probabilities: Doubles, classes: Sequence[str], least: float
) -> tuple[list[str], Doubles]:
    """The class of each object and its probability, rounded to three decimals.

    It is the likeliest one; where that is :data:`~.examples.NONE`, and a class reaches ``least``,
    it is the likeliest class: who asks for less than one half wants it, too.
    """
    rounded = probabilities.round(3)
    best = rounded.argmax(axis=1)
    if NONE in classes:
        none = classes.index(NONE)
        others = rounded.copy()
        others[:, none] = -1.0
        best = np.where((best == none) & (others.max(axis=1) >= least), others.argmax(axis=1), best)
    return [classes[k] for k in best.tolist()], rounded[np.arange(len(best)), best]


def resolve(
    polygons: NDArray[Any],
    names: Sequence[str],
    probability: Doubles,
    score: Doubles,
    stability: Doubles,
    marked: BoolArray,
    least: float,
    whole: float = WHOLE,
    beside: float = 1.0,
    rivals: Rivals | None = None,
    judged: bool = False,
) -> BoolArray:
    """Which objects stay.

    Args:
        polygons: (n,) valid shapes in a plane.
        names: Their classes; those of :data:`~.examples.NONE` never stay.
        probability: Of those classes.
        score: Predicted IoU, NaN where unknown.
        stability: Likewise.
        marked: Objects that the user has given a class; they stay whatever they overlap.
        least: Probability that the others must reach.
        whole: Power of the area in an object's worth.
        beside: Share of a kept object's worth from which an object that shares its ground stays
            beside it; 1: only one of them ever stays. None stays beside what the user marked.
        rivals: Of all polygons, where they are known already.
        judged: The scores are the embedded model's second estimates: they count for more.

    Returns:
        (n,) bool.
    """
    named = np.array([name != NONE for name in names], bool).reshape(-1)
    enough = probability >= least
    if judged:  # an object of unknown score is as good as its class
        enough &= probability * np.where(np.isfinite(score), score, 1.0) >= SURE * least
    candidate = named & (marked | enough)
    area = shapely.area(polygons)
    power = TRUST if judged else 1.0
    worth = probability * _known(score) ** power * _known(stability) * area**whole
    known = rivals_among(polygons, area, candidate) if rivals is None else rivals
    boxes = shapely.bounds(polygons).reshape(-1, 4)
    order = np.lexsort(
        (np.arange(len(polygons)), *boxes.T[::-1], area, -worth.round(6), ~marked)
    ).tolist()
    keep = np.zeros(len(polygons), bool)
    gone: set[int] = set()
    for row in order:
        if not candidate[row] or (row in gone and not marked[row]):
            continue
        keep[row] = True
        least_beside = np.inf if beside >= 1 or marked[row] else beside * worth[row]
        gone.update(rival for rival in known.get(row, ()) if worth[rival] < least_beside)
    return keep


def _known(values: Doubles) -> Doubles:
    """Values with the unknown ones as good as the others are on average."""
    good = np.isfinite(values)
    return np.where(good, values, float(np.mean(values[good])) if good.any() else 1.0)


def rivals_among(
    polygons: NDArray[Any], area: Doubles | None = None, candidate: BoolArray | None = None
) -> Rivals:
    """Objects that share more than :data:`SHARED` of the smaller one's ground.

    Args:
        polygons: (n,) valid shapes in a plane.
        area: (n,) their areas, where known.
        candidate: (n,) bool: only among these.
    """
    area = shapely.area(polygons) if area is None else area
    rows = np.arange(len(polygons)) if candidate is None else np.flatnonzero(candidate)
    pairs = overlaps(polygons[rows])
    first, second = rows[pairs.first], rows[pairs.second]
    close = pairs.common >= SHARED * np.maximum(np.minimum(area[first], area[second]), 1e-12)
    rivals: defaultdict[int, list[int]] = defaultdict(list)
    for a, b in zip(first[close].tolist(), second[close].tolist(), strict=True):
        rivals[a].append(b)
        rivals[b].append(a)
    return rivals
