# SPDX-License-Identifier: GPL-2.0-or-later
"""Which objects to ask about next, so that twenty answers are worth a hundred.

An answer is worth most where the classifier is undecided (margin sampling: Scheffer et al. 2001),
where many like objects would learn from it, and where it is unlike those that are asked about in
the same round (the greedy choice of a core set: Sener and Savarese 2018). Large objects count more
than small ones, because a wrong one spoils more of the map.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..types import BoolArray

Doubles = NDArray[np.float64]

POOL = 8
"""Most undecided objects that are looked at for each one that is asked about."""


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
        answered: (n,) bool, objects that have an answer: neither asked again, nor like them.
        count: How many.
    """
    open_rows = np.flatnonzero(~answered)
    if not len(open_rows) or count < 1:
        return np.empty(0, np.int64)
    size = np.sqrt(area / max(float(np.median(area)), 1e-12))
    worth = uncertainty(probabilities) * np.clip(size, 0.25, 4.0) ** 0.25
    ranked = open_rows[np.lexsort((open_rows, -worth[open_rows].round(6)))]
    pool = ranked[: POOL * count]
    known = np.flatnonzero(answered)
    distance = np.full(len(pool), np.inf)
    for row in known:
        distance = np.minimum(distance, np.linalg.norm(points[pool] - points[row], axis=1))
    chosen: list[int] = []
    for _ in range(min(count, len(pool))):
        reach = np.where(np.isfinite(distance), distance, 1.0)
        gain = worth[pool] * reach
        gain[np.isin(pool, chosen)] = -1
        best = int(np.argmax(gain.round(9)))
        chosen.append(int(pool[best]))
        distance = np.minimum(distance, np.linalg.norm(points[pool] - points[pool[best]], axis=1))
    return np.array(chosen, np.int64)
