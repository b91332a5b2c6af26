# SPDX-License-Identifier: GPL-2.0-or-later
"""What became of each old polygon: confirmed, moved, reshaped, split, merged or gone; what is new.

Confirmed, moved, reshaped and gone are told apart by a multinomial logistic regression on
:mod:`.measures`. Where several objects of the class lie in one polygon it may be split, and where
one object covers several polygons these may be merged; that is counted, not learnt. A polygon of
several parts is gone where none of them stands, and reshaped where some do.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import shapely

from ..classes.resolve import resolve
from .class_of_layer import OF_CLASS as CLASS_NAME
from .evidence import Bools, Evidence, Floats, Integers, Shapes, iou, overlapping
from .measures import OF_CLASS, Measures, found_again, measure_all, middles
from .weights import BIAS, WEIGHTS

CONFIRMED, MOVED, RESHAPED, GONE = "confirmed", "moved", "reshaped", "gone"
SPLIT, MERGED, NEW, UNSEEN = "split", "merged", "new", "unseen"

LEARNT = (CONFIRMED, MOVED, RESHAPED, GONE)
"""Statuses in the order of the columns of the weights."""

INSIDE = 0.7
"""Share of a piece that lies in the polygon that was split, or of a polygon in what it merged
into."""

PIECE = 0.15
"""Share of an old polygon that each of its pieces covers at least."""

TOGETHER = 0.6
"""Share of an old polygon that its pieces cover together."""

ITSELF = 0.6
"""IoU with one object from which an old polygon is that object, and neither split nor merged; and
from which a part of a polygon stands."""

FREE = 0.2
"""Share of a new object that may lie on old polygons or on what stands in their place."""

SMALLEST = 0.35
"""Area of a new object, in that of the layer's polygon of the tenth percentile."""


WEAK = 0.25
"""How far the predicted IoU of a new object may lie below the median of the old polygons' answers:
what is outlined much worse than they are is seldom an object."""


@dataclass(frozen=True, eq=False)
class Changes:
    """What became of n old polygons, and k new ones.

    Args:
        status: (n,) one of the statuses above.
        probability: (n,) of that status; 1 where nothing can be seen, which is no guess.
        found: (n,) what stands there now, on the plane: several parts where it was split, empty
            where it is gone.
        source: (n,) number of the candidate in ``found``, -1 for the polygon's answer and -2 for
            several.
        way: (n, 2) from the old middle to the found one, m, without the common shift.
        overlap: (n,) IoU of the old polygon (after the common shift) and what stands there.
        pieces: Candidates of each polygon that was split.
        kept: Candidates on the parts that stand of each polygon whose other parts are gone; it is
            reshaped.
        partners: Polygons that each one merged with.
        new: (k,) candidates that are new objects.
        new_probability: (k,) of being one.
    """

    status: np.ndarray
    probability: Floats
    found: Shapes
    source: Integers
    way: Floats
    overlap: Floats
    pieces: dict[int, list[int]]
    kept: dict[int, list[int]]
    partners: dict[int, list[int]]
    new: Integers
    new_probability: Floats


def compare(evidence: Evidence, least: float = 0.5) -> Changes:
    """Compare an old layer with what a raster shows.

    Args:
        evidence: Of both.
        least: Probability from which a change is one, and a new object too.
    """
    measures = measure_all(evidence)
    said = _softmax(measures.columns @ WEIGHTS + BIAS)
    chosen = said.argmax(axis=1)
    best = said[np.arange(len(said)), chosen]
    weak = (chosen != 0) & (best < least)
    chosen[weak] = 0
    status = np.array(LEARNT, dtype=object)[chosen]
    probability = said[np.arange(len(said)), chosen]
    found, source = measures.found.copy(), measures.source.copy()
    way, overlap = measures.way.copy(), measures.overlap.copy()
    standing = _standing(evidence)
    pieces = _split(evidence, measures, standing, least)
    for number, parts in pieces.items():
        status[number] = SPLIT
        probability[number] = float(np.min(evidence.candidates.likeness[parts]))
        found[number] = shapely.union_all(evidence.candidates.shapes[parts])
        source[number] = -2
    partners: dict[int, list[int]] = {}
    for candidate, held in _merged(evidence, measures, standing, least).items():
        for number in held:
            status[number] = MERGED
            probability[number] = float(evidence.candidates.likeness[candidate])
            found[number] = evidence.candidates.shapes[candidate]
            source[number] = candidate
            partners[number] = [other for other in held if other != number]
    kept = _kept(evidence, standing, np.flatnonzero((status == GONE) & evidence.visible))
    for number, parts in kept.items():
        status[number] = RESHAPED
        # Some of it is gone, and the rest stands: no more probable than either.
        stands = float(np.min(evidence.candidates.likeness[parts]))
        probability[number] = min(float(probability[number]), stands)
        found[number] = shapely.union_all(evidence.candidates.shapes[parts])
        source[number] = -2
    again = list(kept)
    stood = found_again(evidence.old[again], found[again])
    way[again] = middles(found[again]) - middles(stood)
    overlap[again] = iou(stood, found[again])
    status[~evidence.visible] = UNSEEN
    probability[~evidence.visible] = 1.0
    found[status == GONE] = shapely.Polygon()
    stays = status != GONE
    stays[again] = False  # what stands of it is among what was found
    taken = np.concatenate([evidence.old[stays], found])
    new = _new(evidence, standing, taken, least)
    return Changes(
        status,
        probability,
        found,
        source,
        way,
        overlap,
        pieces,
        kept,
        partners,
        new,
        evidence.candidates.likeness[new],
    )


def _softmax(logits: Floats) -> Floats:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    out: Floats = shifted / shifted.sum(axis=1, keepdims=True)
    return out


def _standing(evidence: Evidence) -> Integers:
    """Numbers of the candidates of the class, each piece of ground once."""
    candidates = evidence.candidates
    kept = resolve(
        candidates.shapes,
        [CLASS_NAME] * len(candidates),
        candidates.likeness,
        candidates.score,
        np.full(len(candidates), np.nan),
        np.zeros(len(candidates), bool),
        OF_CLASS,
    )
    out: Integers = np.flatnonzero(kept)
    return out


def _split(
    evidence: Evidence, measures: Measures, standing: Integers, least: float
) -> dict[int, list[int]]:
    """Old polygons in which several objects stand, and these."""
    old, shapes = evidence.old, evidence.candidates.shapes[standing]
    pairs = overlapping(old, shapes)
    part = pairs.common >= INSIDE * shapely.area(shapes)[pairs.other]
    part &= pairs.common >= PIECE * shapely.area(old)[pairs.one]
    part &= evidence.candidates.likeness[standing][pairs.other] >= least
    held: defaultdict[int, list[int]] = defaultdict(list)
    covered: defaultdict[int, float] = defaultdict(float)
    for k in np.flatnonzero(part).tolist():
        held[int(pairs.one[k])].append(int(standing[pairs.other[k]]))
        covered[int(pairs.one[k])] += float(pairs.common[k])
    return {
        number: parts
        for number, parts in held.items()
        if len(parts) > 1
        and covered[number] >= TOGETHER * old[number].area
        and measures.overlap[number] < ITSELF
    }


def _merged(
    evidence: Evidence, measures: Measures, standing: Integers, least: float
) -> dict[int, list[int]]:
    """Objects that cover several old polygons, and these."""
    old, shapes = evidence.old, evidence.candidates.shapes[standing]
    pairs = overlapping(old, shapes)
    inside = pairs.common >= INSIDE * shapely.area(old)[pairs.one]
    inside &= evidence.candidates.likeness[standing][pairs.other] >= least
    inside &= measures.overlap[pairs.one] < ITSELF
    held: defaultdict[int, list[int]] = defaultdict(list)
    covered: defaultdict[int, float] = defaultdict(float)
    for k in np.flatnonzero(inside).tolist():
        held[int(pairs.other[k])].append(int(pairs.one[k]))
        covered[int(pairs.other[k])] += float(pairs.common[k])
    return {
        int(standing[candidate]): numbers
        for candidate, numbers in held.items()
        if len(numbers) > 1 and covered[candidate] >= TOGETHER * shapes[candidate].area
    }


def _kept(evidence: Evidence, standing: Integers, gone: Integers) -> dict[int, list[int]]:
    """Polygons of several parts, of which the one that was asked for is gone and others stand.

    Args:
        evidence: Of both.
        standing: From :func:`_standing`.
        gone: Numbers of the polygons that are told as gone.

    Returns:
        The candidates that stand on parts of a polygon, by its number.
    """
    several = gone[shapely.get_num_geometries(evidence.old[gone]) > 1]
    parts, part_of = shapely.get_parts(evidence.old[several], return_index=True)
    of_class = standing[evidence.candidates.likeness[standing] >= OF_CLASS]
    pairs = overlapping(parts, evidence.candidates.shapes[of_class])
    held: defaultdict[int, list[int]] = defaultdict(list)
    for k in np.flatnonzero(pairs.iou >= ITSELF).tolist():
        held[int(several[part_of[pairs.one[k]]])].append(int(of_class[pairs.other[k]]))
    return dict(held)


def _new(evidence: Evidence, standing: Integers, taken: Shapes, least: float) -> Integers:
    """Candidates of the class that stand where no old polygon does, nor what took its place."""
    candidates = evidence.candidates
    good: Bools = candidates.likeness[standing] >= least
    if len(evidence.old):
        usual = float(np.median(evidence.answers.score))
        good &= candidates.score[standing] >= usual - WEAK
        size = np.quantile(shapely.area(evidence.old), 0.1)
        good &= shapely.area(candidates.shapes[standing]) >= SMALLEST * size
    taken = taken[~shapely.is_empty(taken)]
    shapes = candidates.shapes[standing]
    pairs = overlapping(shapes, taken)
    shared = np.zeros(len(shapes))
    np.maximum.at(shared, pairs.one, pairs.common)
    good &= shared < FREE * shapely.area(shapes)
    out: Integers = standing[good]
    return out
