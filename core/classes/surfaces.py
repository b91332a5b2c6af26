# SPDX-License-Identifier: GPL-2.0-or-later
"""Logits of classes -> one class for every cell, without specks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..types import BoolArray, CellBox, FloatArray

LARGEST_SPECK = 256
"""Cells of the largest piece that can be taken for a speck: a block sees this far around it."""


def label_cells(
    logits: FloatArray, known: BoolArray, wide: CellBox, box: CellBox, speck: int
) -> NDArray[np.int32]:
    """The class of every cell of a block.

    Pieces of fewer cells than ``speck`` go to the classes around them. ``wide`` must reach at
    least ``speck`` cells beyond the block: then a speck is seen whole wherever it meets the block.
    What becomes of it depends on where blocks begin only where other specks are all around it, so
    that the nearest larger piece may lie beyond ``wide``.

    Args:
        logits: (k, h, w) on ``wide``, smoothed.
        known: (h, w) bool, which cells have data.
        wide: The block with its surroundings.
        box: The block.
        speck: Cells.

    Returns:
        (height, width) int32 on ``box``: 1 + number of the class, 0 where nothing is known.
    """
    labels = np.where(known, logits.argmax(axis=0) + 1, 0).astype(np.int32)
    if speck > 1:
        small = np.zeros(labels.shape, bool)
        for value in range(1, len(logits) + 1):
            pieces, count = ndimage.label(labels == value)
            if count:
                size = np.bincount(pieces.ravel())
                size[0] = speck
                small |= (size < speck)[pieces]
        large = known & ~small
        if small.any() and large.any():
            # To the likeliest class of the nearest cells that are no speck.
            nearest = ndimage.distance_transform_edt(
                ~large, return_distances=False, return_indices=True
            )
            labels = np.where(small, labels[nearest[0], nearest[1]], labels)
    return np.ascontiguousarray(labels[box.slices(wide)], np.int32)
