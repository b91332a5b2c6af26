# SPDX-License-Identifier: GPL-2.0-or-later
"""The score above which the automatic mode is best on windows in which everything is labelled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...models.base import PromptableModel
from .examples import Window
from .measure import everything, lies_on, one_to_one, overlaps

LEVELS = np.arange(0.2, 0.91, 0.05)
"""Scores that are tried."""

NEAR_BEST = 0.95
"""Share of the best F1 with which a lower level will do: near its top F1 hardly changes, and on
other ground than that which was trained on scores are lower."""


MARGIN = 2.0
"""Standard deviations of the number of objects that are found before a training: so many more must
be found after it where it is asked, as far as any level does. With classifiers of 30 fields of the
Midwest recall elsewhere fell by .050 with 1 and by .006 with 2; with 100 objects, and on Banepa
west, both are alike."""


def with_margin(found: int, objects: int) -> float:
    """How many of so many objects must be found after a training, where ``found`` were before:
    elsewhere as many are to be found, not fewer by chance."""
    return found + MARGIN * float(np.sqrt(found * (1 - found / max(1, objects))))


def best_level(
    model: PromptableModel, windows: Sequence[Window], points: int, least_hits: float = 0
) -> tuple[float, float]:
    """The lowest level of the score whose F1 at IoU 0.5 is near the best.

    Args:
        model: Any.
        windows: With everything labelled somewhere.
        points: Of the automatic mode, along a window's side.
        least_hits: Objects that must be found, as far as any level finds so many.

    Returns:
        The level, and the best F1.
    """
    sums = np.zeros((len(LEVELS), 3))
    for window in windows:
        masks = [window.mask(o) for o in window.objects]
        found, scores = everything(model, window, points, float(LEVELS[0]))
        table = overlaps(found, masks)
        counted = np.array([lies_on(window.known, area, part) for area, part in found], bool)
        for k, level in enumerate(LEVELS.tolist()):
            keep = scores > level
            pairs = one_to_one(table[keep])
            extra = int((keep & counted).sum()) - len(pairs)
            sums[k] += len(pairs), len(masks), max(0, extra)
    f1 = 2 * sums[:, 0] / np.maximum(sums.sum(axis=1), 1)
    allowed = sums[:, 0] >= min(least_hits, sums[:, 0].max())
    best = float(f1[allowed].max())
    level = LEVELS[np.flatnonzero(allowed & (f1 >= NEAR_BEST * best))[0]]
    return round(float(level), 3), best
