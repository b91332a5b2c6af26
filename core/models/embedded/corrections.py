# SPDX-License-Identifier: GPL-2.0-or-later
"""What is made of the network's answers: what a click may change of an earlier mask, and pieces
that lie far from what was asked for.

The network answers a corrective click with a whole new mask, which is better where the click is
and may be worse everywhere else. A click says that the earlier mask is wrong at one place and in
one direction; so only that is taken from the new mask: what is connected with the click, near it,
and of its sign. Where the rest of the mask was right, it stays as it was.

A network of convolutions compares every place with the prompt; a roof like the one that was clicked
can light up across the street. An object seen from above may well be in pieces (a road under trees,
a roof under a crown), but those lie near each other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ...types import AnyArray, BoolArray, FloatArray

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


GAP = 0.1
"""A piece stays whose distance from the main one is at most this share of the main one's side (the
root of its area) or ..."""

LEAST_GAP = 2.0
"""... so many cells. Of 130 objects of six held-back training places one click's IoU rises by 0.004
on average (most on Banepa's west, 0.018) and falls nowhere by more than 0.001; a box's rises by
0.0003. Without any gap it would be 0.005, but those objects are in one piece."""


def far_islands(inside: BoolArray, seeds: AnyArray | None = None) -> BoolArray | None:
    """Cells of a mask that belong to pieces far from the main ones.

    Args:
        inside: (h, w).
        seeds: (n, 2) int row and column of clicks on the object; a piece that one lies in is a main
            one. Without any, or where none lies in a piece, the largest is.

    Returns:
        (h, w) bool, or None where there are none.
    """
    pieces, count = ndimage.label(inside, structure=np.ones((3, 3), bool))
    if count < 2:
        return None
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    sizes[0] = 0
    main = np.zeros(count + 1, bool)
    if seeds is not None and len(seeds):
        at = np.clip(seeds, 0, np.array(inside.shape) - 1)
        main[pieces[at[:, 0], at[:, 1]]] = True
        main[0] = False
    if not main.any():
        main[int(sizes.argmax())] = True
    limit = max(LEAST_GAP, GAP * float(np.sqrt(sizes[main].sum())))
    away = ndimage.distance_transform_edt(~main[pieces])
    nearest = np.full(count + 1, np.inf)
    np.minimum.at(nearest, pieces.ravel(), away.ravel())
    far = ~main & (nearest > limit)
    far[0] = False
    return far[pieces] if far.any() else None


def without_islands(logits: FloatArray, seeds: AnyArray | None = None) -> FloatArray:
    """(m, h, w) logits of masks without what is far from the clicks on the object
    (:func:`far_islands`); the logits there change their sign."""
    for number, mask in enumerate(logits):
        far = far_islands(mask > 0, seeds)
        if far is not None:
            logits[number] = np.where(far, -mask, mask)
    return logits
