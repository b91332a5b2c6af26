# SPDX-License-Identifier: GPL-2.0-or-later
"""Polygons matched with true polygons by IoU, one to one.

* Panoptic quality, PQ = SQ x RQ: Kirillov, He, Girshick, Rother and Dollar, "Panoptic
  Segmentation", 2019. Pairs of IoU > 0.5.
* Boundary IoU: Cheng, Girshick, Dollar, Berg and Kirillov, "Boundary IoU: Improving Object-Centric
  Image Segmentation Evaluation", 2021.

Shapes lie on an equal-area plane in metres (``vectors/equal_area_plane.py``).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import STRtree

from ..vectors.equal_area_plane import Shapes

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]

MATCH = 0.5
"""IoU above which two objects are the same one."""

PRECISE = 0.75
"""IoU below which a pair is listed as imprecise."""

WITHIN = 0.9
"""Share of a true object inside another from which it counts as lying within it."""


@dataclass(frozen=True, eq=False)
class Objects:
    """The polygons of one layer on the plane.

    Args:
        shapes: (n,) valid polygons or multi-polygons, in an order given by their place.
        row: (n,) int64, their rows in the layer.
        counted: (n,) bool; False outside the area of interest: such objects may match others, but
            are neither right nor wrong.
        labels: (n,) classes, or None.
        scores: (n,) float64, or None.
    """

    shapes: Shapes
    row: Integers
    counted: Bools
    labels: NDArray[np.str_] | None = None
    scores: Floats | None = None

    def __len__(self) -> int:
        return len(self.shapes)

    @property
    def area(self) -> Floats:
        out: Floats = shapely.area(self.shapes)
        return out

    def of(self, keep: Bools) -> Objects:
        """Some of them."""
        return Objects(
            self.shapes[keep],
            self.row[keep],
            self.counted[keep],
            None if self.labels is None else self.labels[keep],
            None if self.scores is None else self.scores[keep],
        )


@dataclass(frozen=True, eq=False)
class Overlaps:
    """All pairs of objects with an area in common.

    Args:
        found, truth: (p,) int64 numbers.
        common: (p,) float64 m2.
        iou: (p,) float64.
    """

    found: Integers
    truth: Integers
    common: Floats
    iou: Floats


def overlaps(found: Objects, truth: Objects) -> Overlaps:
    """All pairs with an area in common, by ascending numbers."""
    tree = STRtree(truth.shapes)
    i, j = tree.query(found.shapes, predicate="intersects")
    order = np.lexsort((j, i))
    i, j = i[order].astype(np.int64), j[order].astype(np.int64)
    common = shapely.area(shapely.intersection(found.shapes[i], truth.shapes[j]))
    some = common > 0
    i, j, common = i[some], j[some], common[some]
    union = found.area[i] + truth.area[j] - common
    return Overlaps(i, j, common, common / np.maximum(union, 1e-12))


@dataclass(frozen=True, eq=False)
class Matching:
    """Which objects are the same, and what went wrong.

    Args:
        found, truth: (m,) int64 numbers of the pairs.
        iou: (m,) float64, > 0.5.
        best: (truths,) float64, IoU of each true object with the best found one.
        duplicates: Pairs of found objects with IoU > 0.5.
        merged: Numbers of found objects that hold more than half of two or more true ones; true
            ones that lie within another of these do not count.
        split: Numbers of true objects in which two or more found ones lie that cover a tenth or
            more of it each, at least one of them without being a true object. Duplicates are one
            piece.
    """

    found: Integers
    truth: Integers
    iou: Floats
    best: Floats
    duplicates: tuple[tuple[int, int], ...]
    merged: Integers
    split: Integers


def match(found: Objects, truth: Objects) -> Matching:
    """Pair objects by descending IoU, each with one at most; equal IoU: by place."""
    pairs = overlaps(found, truth)
    good = np.flatnonzero(pairs.iou > MATCH)
    order = good[np.lexsort((pairs.truth[good], pairs.found[good], -pairs.iou[good]))]
    used_found, used_truth = np.zeros(len(found), bool), np.zeros(len(truth), bool)
    chosen = []
    for pair in order.tolist():
        i, j = pairs.found[pair], pairs.truth[pair]
        if not used_found[i] and not used_truth[j]:
            used_found[i] = used_truth[j] = True
            chosen.append(pair)
    best = np.zeros(len(truth))
    np.maximum.at(best, pairs.truth, pairs.iou)
    among = overlaps(found, found)
    twice = (among.iou > MATCH) & (among.found < among.truth)
    return Matching(
        pairs.found[chosen],
        pairs.truth[chosen],
        pairs.iou[chosen],
        best,
        tuple(zip(among.found[twice].tolist(), among.truth[twice].tolist(), strict=True)),
        _merged(pairs, truth),
        _split(pairs, found, truth, used_found, among),
    )


def _merged(pairs: Overlaps, truth: Objects) -> Integers:
    holds: defaultdict[int, list[int]] = defaultdict(list)
    large = pairs.common > 0.5 * truth.area[pairs.truth]
    for i, j in zip(pairs.found[large].tolist(), pairs.truth[large].tolist(), strict=True):
        holds[i].append(j)
    several = {i: held for i, held in holds.items() if len(held) > 1}
    if not several:
        return np.empty(0, np.int64)
    within: defaultdict[int, set[int]] = defaultdict(set)
    among, area = overlaps(truth, truth), truth.area
    inside = (among.found != among.truth) & (among.common > WITHIN * area[among.found])
    inside &= area[among.truth] >= area[among.found]
    for i, j in zip(among.found[inside].tolist(), among.truth[inside].tolist(), strict=True):
        within[i].add(j)
    bad = [
        i for i, held in several.items() if sum(not within[j].intersection(held) for j in held) > 1
    ]
    return np.array(sorted(bad), np.int64)


def _split(
    pairs: Overlaps, found: Objects, truth: Objects, matched: Bools, among: Overlaps
) -> Integers:
    pieces: defaultdict[int, list[int]] = defaultdict(list)
    part = pairs.common > 0.5 * found.area[pairs.found]
    part &= pairs.common > 0.1 * truth.area[pairs.truth]
    for i, j in zip(pairs.found[part].tolist(), pairs.truth[part].tolist(), strict=True):
        pieces[j].append(i)
    same: defaultdict[int, set[int]] = defaultdict(set)
    alike = among.iou > MATCH
    for i, j in zip(among.found[alike].tolist(), among.truth[alike].tolist(), strict=True):
        same[i].add(j)
    bad = []
    for j, parts in pieces.items():
        kept: list[int] = []
        for i in sorted(parts, key=lambda i: (not matched[i], i)):
            if not same[i].intersection(kept):
                kept.append(i)
        if len(kept) > 1 and not all(matched[i] for i in kept):
            bad.append(j)
    return np.array(sorted(bad), np.int64)


def boundary_iou(one: Shapes, other: Shapes, distance: float) -> Floats:
    """IoU of pairs of shapes, looked at only within a distance of their own contours (inside).

    Args:
        one, other: (n,) polygons.
        distance: d of Cheng et al. 2021, m.
    """
    bands = [
        shapely.difference(shapes, shapely.buffer(shapes, -distance)) for shapes in (one, other)
    ]
    common = shapely.area(shapely.intersection(*bands))
    union = shapely.area(bands[0]) + shapely.area(bands[1]) - common
    out: Floats = np.where(union > 0, common / np.maximum(union, 1e-12), 1.0)
    return out
