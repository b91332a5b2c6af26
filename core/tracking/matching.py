# SPDX-License-Identifier: GPL-2.0-or-later
"""Assignment of a date's shapes to tracked objects.

A shape is compared with the object as it was last seen: where it would be now, how large it was,
and how it stood out from its surroundings. Objects of one date are matched together, so that no
shape is two objects and crossing objects keep their names: the assignment with the greatest sum of
likenesses is taken (Kuhn 1955; scipy's ``linear_sum_assignment``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import shapely
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

SAME_SHAPE = 0.7
"""IoU from which the shapes that two objects were answered with are one."""

WEIGHTS = {"overlap": 0.4, "near": 0.2, "size": 0.15, "look": 0.25}
"""Shares of a likeness; they add up to 1."""

LEAST = 0.4
"""Likeness from which a shape can be an object."""

LEAST_LOOK = 0.2
"""Likeness of the looks alone, where an object stood out from its surroundings at all."""

SAME_OUTLINE = 0.6
"""IoU with what is expected from which a shape that stands out is the object in another colour: a
pond with algae, a roof that was painted."""

LEAST_SIZE = 0.1
"""Smaller area over larger one, from which two shapes can be the same object."""

REACH = 0.5
"""Object sides that an object may have moved unexpectedly between two dates, where nothing is said:
things that stand still, whose neighbours look like them."""

DISTINCT = 0.5
"""Length of a contrast from which an object stands out."""


@dataclass(frozen=True, eq=False)
class Expected:
    """An object as it is looked for.

    Args:
        shape: Where and as large as it is expected, pixels of the grid.
        looks: Contrasts of the dates at which it was seen, (3,) each; see :func:`.status.contrast`.
        reach: How far from there it may be without touching it, in object sides.
    """

    shape: Any
    looks: tuple[np.ndarray, ...]
    reach: float = REACH


@dataclass(frozen=True, eq=False)
class Offer:
    """A shape that an object was answered with.

    Args:
        shape: Pixels of the grid; not empty.
        score: The model's own estimate of IoU.
        look: Its contrast, or None where that is not known.
        remembered: A model with memory says that this is the object.
        stability: IoU of the shape cut one logit higher and lower.
    """

    shape: Any
    score: float
    look: np.ndarray | None = None
    remembered: bool = False
    stability: float = 1.0


@dataclass(frozen=True, eq=False)
class Match:
    """What an object was found to be.

    Args:
        offer: Its shape; None where it has none of its own.
        likeness: Of that shape.
        merged: It has none, because the shape that could be it is another object's: one lies over
            the other, or they have grown together.
    """

    offer: Offer | None = None
    likeness: float = 0.0
    merged: bool = False


def alike(one: np.ndarray, other: np.ndarray) -> float:
    """Likeness of two contrasts, 0 to 1: their Tanimoto coefficient; opposites are not alike."""
    product = float(one @ other)
    total = float(one @ one + other @ other) - product
    return max(0.0, product / total) if total > 0 else 0.0


def likeness(expected: Expected, offer: Offer) -> float:
    """How well a shape fits an object, 0 to 1; 0 where it cannot be the object."""
    small, large = sorted((expected.shape.area, offer.shape.area))
    if small <= 0 or (small / large < LEAST_SIZE and not offer.remembered):
        return 0.0
    shared = shapely.intersection(expected.shape, offer.shape).area
    overlap = shared / (small + large - shared)
    one, other = expected.shape.centroid, offer.shape.centroid
    away = math.hypot(one.x - other.x, one.y - other.y) / large**0.5
    if shared <= 0 and away > expected.reach and not offer.remembered:
        return 0.0
    look = 0.5
    if expected.looks and offer.look is not None:
        distinct = [kept for kept in expected.looks if float(np.linalg.norm(kept)) >= DISTINCT]
        if distinct:
            look = max(alike(kept, offer.look) for kept in distinct)
            still_there = overlap >= SAME_OUTLINE and _stands_out(offer.look, distinct)
            if look < LEAST_LOOK and not offer.remembered and not still_there:
                return 0.0
    total = (
        WEIGHTS["overlap"] * overlap
        + WEIGHTS["near"] * math.exp(-((away / max(expected.reach, REACH)) ** 2) / 2)
        + WEIGHTS["size"] * small / large
        + WEIGHTS["look"] * look
    )
    return total if total >= LEAST or offer.remembered else 0.0


def _stands_out(look: np.ndarray, known: Sequence[np.ndarray]) -> bool:
    """Whether a contrast is at least half as strong as those that are known."""
    strongest = max(float(np.linalg.norm(one)) for one in known)
    return float(np.linalg.norm(look)) >= strongest / 2


def assign(expected: Sequence[Expected], offers: Sequence[Sequence[Offer]]) -> list[Match]:
    """Which shape each object is.

    Args:
        expected: The objects.
        offers: What each was answered with; any object may turn out to be another's shape.

    Returns:
        A match an object.
    """
    shapes, groups = _pooled(offers)
    scores: dict[tuple[int, int], float] = {}
    chosen: dict[tuple[int, int], Offer] = {}
    tree = shapely.STRtree([offer.shape for offer in shapes])
    for index, wanted in enumerate(expected):
        own: dict[int, Offer] = {}
        for k, offer in enumerate(offers[index]):
            column = groups[index, k]
            if column not in own or own[column].score < offer.score:
                own[column] = offer
        for column in sorted({*own, *tree.query(wanted.shape).tolist()}):
            # The object's own answer stands for the shape; others are offered as a stranger's.
            best = own.get(column) or replace(shapes[column], remembered=False)
            score = likeness(wanted, best)
            if score > 0:
                scores[index, column], chosen[index, column] = score, best
    found = [Match()] * len(expected)
    taken: set[int] = set()
    for pairs in _independent(scores, len(expected), len(shapes)):
        rows = sorted({row for row, _ in pairs})
        columns = sorted({column for _, column in pairs})
        table = np.array([[scores.get((r, c), 0.0) for c in columns] for r in rows])
        for i, j in zip(*linear_sum_assignment(table, maximize=True), strict=True):
            if table[i, j] > 0:
                found[rows[i]] = Match(chosen[rows[i], columns[j]], float(table[i, j]))
                taken.add(columns[j])
    for row, column in scores:
        own, other = expected[row].shape, shapes[column].shape
        if found[row].offer is None and column in taken and shapely.intersects(own, other):
            found[row] = Match(merged=True)
    return found


def _independent(
    scores: Mapping[tuple[int, int], float], objects: int, shapes: int
) -> list[list[tuple[int, int]]]:
    """Pairs of objects and shapes in groups that do not touch each other."""
    if not scores:
        return []
    rows, columns = np.array(sorted(scores)).T
    graph = coo_array(
        (np.ones(len(rows)), (rows, columns + objects)), shape=(objects + shapes,) * 2
    )
    _, member = connected_components(graph, directed=False)
    groups: dict[int, list[tuple[int, int]]] = {}
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        groups.setdefault(int(member[row]), []).append((row, column))
    return list(groups.values())


def _pooled(
    offers: Sequence[Sequence[Offer]],
) -> tuple[list[Offer], dict[tuple[int, int], int]]:
    """All offers with each shape once, and which of them each object's offers are."""
    flat = [(i, k, offer) for i, row in enumerate(offers) for k, offer in enumerate(row)]
    # Those with the best scores stand for the others; ties are broken by where they lie.
    flat.sort(key=lambda item: (-item[2].score, item[2].shape.bounds, item[2].shape.area))
    tree = shapely.STRtree([offer.shape for _, _, offer in flat])
    kept: list[Offer] = []
    number_of: dict[int, int] = {}  # of those that are kept, by their place in ``flat``
    groups: dict[tuple[int, int], int] = {}
    for place, (i, k, offer) in enumerate(flat):
        near = sorted(n for n in tree.query(offer.shape).tolist() if n in number_of)
        same = next((n for n in near if same_shape(offer.shape, flat[n][2].shape)), None)
        if same is None:
            same = place
            number_of[place] = len(kept)
            kept.append(offer)
        groups[i, k] = number_of[same]
    return kept, groups


def same_shape(one: Any, other: Any) -> bool:
    """Whether two shapes are one, by their overlap."""
    shared = shapely.intersection(one, other).area
    return bool(shared >= SAME_SHAPE * (one.area + other.area - shared))
