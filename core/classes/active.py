# SPDX-License-Identifier: GPL-2.0-or-later
"""Which objects to ask about next, so that a few answers are worth many.

An answer is worth most where the classifier is undecided, but the most undecided objects are odd
ones, and like one another. So the less certain part of the objects is divided into as many clusters
as there are questions, weighed by uncertainty, and each cluster's middle is asked about (weighted
k-means: Zhdanov 2019, "Diverse mini-batch active learning"). Those that many and large objects hang
on come first, because wrong ones spoil more of the map.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..types import BoolArray

Doubles = NDArray[np.float64]

POOL = 10
"""Undecided objects that are looked at for each one that is asked about, at least."""

SHARE = 0.3
"""Share of the open objects that are looked at, at least."""

ROUNDS = 20
"""Times that the clusters' middles are moved, at most."""


def uncertainty(probabilities: Doubles) -> Doubles:
    """(n,) 1 where the two likeliest classes are equally likely, 0 where one is certain."""
    top = np.sort(probabilities, axis=1)
    if top.shape[1] < 2:
        return np.zeros(len(top))
    return np.asarray(1 - (top[:, -1] - top[:, -2]), np.float64)


def ask_next(
    points: Doubles,
    probabilities: Doubles,
    area: Doubles,
    answered: BoolArray,
    count: int,
) -> NDArray[np.int64]:
    """Numbers of the objects to ask about, the most useful first.

    Args:
        points: (n, d) the objects as the classifier sees them (components).
        probabilities: (n, k) of the classes.
        area: (n,) sizes.
        answered: (n,) bool, objects that have an answer: not asked again.
        count: How many.
    """
    open_rows = np.flatnonzero(~answered)
    if not len(open_rows) or count < 1:
        return np.empty(0, np.int64)
    worth = np.sqrt(uncertainty(probabilities))
    ranked = open_rows[np.lexsort((open_rows, -worth[open_rows].round(6)))]
    pool = ranked[: max(POOL * count, round(SHARE * len(ranked)))]
    if len(pool) <= count:
        return pool
    weight = np.maximum(worth[pool], 1e-6)
    places = points[pool]
    middles = places[_spread(places, weight, count)]
    for _ in range(ROUNDS):
        nearest = _distances(places, middles).argmin(axis=1)
        moved = middles.copy()
        for k in np.unique(nearest):
            own = nearest == k
            moved[k] = np.average(places[own], axis=0, weights=weight[own])
        if np.abs(moved - middles).max() < 1e-9:
            break
        middles = moved
    away = _distances(places, middles)
    chosen: list[int] = []
    for k in range(count):
        order = np.argsort(away[:, k].round(9), kind="stable").tolist()
        chosen.append(next(row for row in order if row not in chosen))
    size = np.clip(np.sqrt(area[pool] / max(float(np.median(area)), 1e-12)), 0.25, 4.0)
    weights = np.bincount(away.argmin(axis=1), weights=weight * size, minlength=count)
    # The heaviest cluster first: who answers fewer questions answers those that matter most.
    order_of = np.argsort(-weights.round(9), kind="stable")
    return np.asarray(pool[np.array(chosen)[order_of]], np.int64)


def _spread(places: Doubles, weight: Doubles, count: int) -> list[int]:
    """Objects to begin with, drawn by weight and squared distance from those drawn before
    (k-means++: Arthur and Vassilvitskii 2007). The draws are the same every time."""
    draw = np.random.default_rng(0)
    share = weight.copy()
    distance = np.full(len(places), np.inf)
    chosen: list[int] = []
    while len(chosen) < count:
        chosen.append(int(np.searchsorted(np.cumsum(share), draw.random() * share.sum())))
        distance = np.minimum(distance, _distances(places, places[chosen[-1:]])[:, 0])
        share = weight * distance
        share[chosen] = 0
        if share.sum() <= 0:  # all are like those drawn
            share = weight.copy()
            share[chosen] = 0
    return chosen


def _distances(places: Doubles, middles: Doubles) -> Doubles:
    """(n, m) squared distances."""
    squares = (places**2).sum(axis=1)[:, None] + (middles**2).sum(axis=1)
    return np.asarray(np.maximum(squares - 2 * places @ middles.T, 0), np.float64)
