# SPDX-License-Identifier: GPL-2.0-or-later
"""What tells an old polygon that stands from one that has changed: numbers for each of them.

Outlines that a person drew and outlines that a model finds never agree fully. How far they usually
disagree is a matter of the layer (roofs that lean, generous outlines, few pixels), so distances,
areas and agreement count in comparison with the middle of all polygons of the layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely

from .evidence import Bools, Evidence, Floats, Found, Integers, Shapes, iou, overlapping

OF_CLASS = 0.5
"""Likeness from which an object is of the layer's class."""

NAMES = (
    *("distance", "alike", "area", "overlap", "support", "agreement", "score"),
    *("likeness old", "likeness found"),
)
"""Columns of :attr:`Measures.columns`."""


@dataclass(frozen=True, eq=False)
class Measures:
    """Of n old polygons; of one of several parts only those that the found object stands on count.

    Args:
        found: (n,) the object that stands where the polygon was, on the plane; empty where nothing
            does.
        source: (n,) number of the candidate that it is, or -1 for the polygon's answer.
        way: (n, 2) from the old middle to the found one, m.
        overlap: (n,) IoU of the old polygon and the found object.
        columns: (n, 9) float64, see :data:`NAMES`.
    """

    found: Shapes
    source: Integers
    way: Floats
    overlap: Floats
    columns: Floats


def measure_all(evidence: Evidence) -> Measures:
    """Measure all polygons of a layer."""
    old, answers, candidates = evidence.old, evidence.answers, evidence.candidates
    n = len(old)
    of_class = np.flatnonzero(candidates.likeness >= OF_CLASS)
    same = Found(
        candidates.shapes[of_class], candidates.score[of_class], candidates.likeness[of_class]
    )
    with_answer = iou(old, answers.shapes)
    number, with_candidate = overlapping(old, same.shapes).best(n)
    _, repeated = overlapping(answers.shapes, same.shapes).best(n)
    chance = with_answer * answers.score * answers.likeness
    other = np.zeros(n)
    some = number >= 0
    other[some] = with_candidate[some] * (same.score * same.likeness)[number[some]]
    from_candidate = some & (other > chance)
    found, source = answers.shapes.copy(), np.full(n, -1, np.int64)
    found[from_candidate] = same.shapes[number[from_candidate]]
    source[from_candidate] = of_class[number[from_candidate]]
    likeness = answers.likeness.copy()
    likeness[from_candidate] = same.likeness[number[from_candidate]]
    empty = shapely.is_empty(found)
    there = np.where(empty, old, found)
    old = found_again(old, there)
    overlap = iou(old, found)
    way = middles(there) - middles(old)
    aligned = iou(_moved(old, way), there)
    side = np.sqrt(shapely.area(old))
    ratio = np.abs(np.log(shapely.area(there) / np.maximum(shapely.area(old), 1e-12)))
    distance = np.linalg.norm(way, axis=1)
    columns = np.column_stack(
        [
            _beyond(distance / side, 0.5 * evidence.pixel / side),
            _beyond(1 - aligned, np.full(n, 0.05)),
            _beyond(ratio, np.full(n, 0.03)),
            -_beyond(1 - overlap, np.full(n, 0.1)),
            np.maximum(with_candidate, np.where(with_answer >= 0.3, repeated, 0)),
            repeated,
            answers.score - np.median(answers.score),
            _logit(evidence.likeness),
            _logit(likeness),
        ]
    )
    columns[empty, :6] = 0.0  # nothing was found: no place, no shape, no overlap
    return Measures(found, source, way, overlap, columns)


def found_again(old: Shapes, there: Shapes) -> Shapes:
    """Old polygons; of those of several parts, the parts that the object there stands on.

    The model answers with one object, which is seldom more than one of the parts.
    """
    out: Shapes = old.copy()
    for number in np.flatnonzero(shapely.get_num_geometries(old) > 1).tolist():
        parts = shapely.get_parts(old[number])
        out[number] = shapely.union_all(parts[stood_on(parts, there[number])])
    return out


def stood_on(parts: Shapes, there: Any) -> Bools:
    """(n,) bool: the parts of a polygon that the object there stands on."""
    common = shapely.area(shapely.intersection(parts, there))
    share = common / np.maximum(shapely.area(parts), 1e-12)
    out: Bools = share >= 0.5 * share.max()
    return out


def _beyond(values: Floats, floor: Floats) -> Floats:
    """How far values lie above the middle of all, as a logarithm of their ratio."""
    middle = float(np.median(values)) if len(values) else 0.0
    out: Floats = np.log((values + floor) / (middle + floor))
    return out


def _logit(probability: Floats) -> Floats:
    p = np.clip(probability, 0.01, 0.99)
    out: Floats = np.log(p / (1 - p))
    return out


def middles(shapes: Shapes) -> Floats:
    """(n, 2) x and y of the shapes' centroids."""
    out: Floats = shapely.get_coordinates(shapely.centroid(shapes))
    return out


def _moved(shapes: Shapes, way: Floats) -> Shapes:
    coordinates, numbers = shapely.get_coordinates(shapes, return_index=True)
    out: Shapes = shapely.set_coordinates(shapes.copy(), coordinates + way[numbers])
    return out
