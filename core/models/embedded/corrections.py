# SPDX-License-Identifier: GPL-2.0-or-later
"""What a click may change of an earlier mask.

The network answers a corrective click with a whole new mask, which is better where the click is
and may be worse everywhere else. A click says that the earlier mask is wrong at one place and in
one direction; so only that is taken from the new mask: what is connected with the click, near it,
and of its sign. Where the rest of the mask was right, it stays as it was.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ...types import BoolArray, FloatArray

NEAR = 1.0
"""Cells around a click in which the mask may change in any case, and how much further it may, times
the square of the click's distance from the earlier mask's border. An error of a cell's width
changes few cells; a click ten cells deep is in a whole part that is missing, and what the network
says of its surroundings is believed. Chosen on held-back training places."""

ON_BORDER = 1.5
"""Cells from the earlier mask's border within which a click that agrees with it corrects less than
a cell: no logits of this size can follow it, so the earlier mask stays."""


def corrected(
    earlier: FloatArray, new: FloatArray, points: FloatArray, labels: NDArray[np.int8]
) -> FloatArray:
    """New logits, taken over where clicks contradict the earlier ones.

    Args:
        earlier: (h, w) logits.
        new: (m, h, w) logits for the same object with all clicks.
        points: (k, 2) clicks, (row, column) in cells.
        labels: (k,) 1 on the object, 0 on the background, -1 no click.

    Returns:
        (m, h, w): ``new`` itself where no click contradicts the earlier mask or lies on its
        border.
    """
    inside = earlier > 0
    height, width = inside.shape
    at = np.clip(np.floor(points).astype(int), 0, (height - 1, width - 1))
    wrong = [
        k
        for k in range(len(labels))
        if labels[k] >= 0 and inside[at[k, 0], at[k, 1]] != bool(labels[k])
    ]
    if not inside.any():
        return new
    if not wrong:
        last = np.flatnonzero(labels >= 0)[-1:]
        for k in last.tolist():
            if _distance(~inside if labels[k] else inside, at[k]) <= ON_BORDER:
                return np.repeat(earlier[None], len(new), axis=0).astype(np.float32)
        return new
    rows, cols = np.mgrid[0:height, 0:width]
    out = np.repeat(earlier[None], len(new), axis=0).astype(np.float32)
    for k in wrong:
        positive = bool(labels[k])
        depth = _distance(inside if positive else ~inside, at[k])
        away = np.hypot(rows - at[k, 0], cols - at[k, 1])
        near = away <= NEAR * (1 + depth**2)
        for mask, answer in zip(out, new, strict=True):
            changed = near & ((answer > 0) & ~inside if positive else (answer <= 0) & inside)
            here = _around(changed, at[k])
            # A cell more on each side, so that the border lies where the new mask has it.
            soft = ndimage.binary_dilation(here, iterations=2) & near
            better = np.maximum(mask, answer) if positive else np.minimum(mask, answer)
            mask[soft] = better[soft]
    return out


def _distance(mask: BoolArray, at: NDArray[np.int_]) -> float:
    """Cells from a place to the nearest cell of a mask that has some."""
    rows, cols = np.nonzero(mask)
    if not len(rows):
        return float(max(mask.shape))
    return float(np.sqrt(((rows - at[0]) ** 2 + (cols - at[1]) ** 2).min()))


def _around(mask: BoolArray, at: NDArray[np.int_]) -> BoolArray:
    """The 4-connected part of a mask that holds a place, or the one next to it."""
    parts, count = ndimage.label(mask)
    if not count:
        return mask
    number = int(parts[at[0], at[1]])
    if number == 0:
        rows, cols = np.nonzero(mask)
        nearest = int(np.argmin((rows - at[0]) ** 2 + (cols - at[1]) ** 2))
        number = int(parts[rows[nearest], cols[nearest]])
    out: BoolArray = parts == number
    return out
