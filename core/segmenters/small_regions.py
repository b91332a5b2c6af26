# SPDX-License-Identifier: GPL-2.0-or-later
"""Small islands and holes of a mask, removed or filled in its logits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from ..models.embedded.corrections import far_islands
from ..types import BoolArray, CellBox, LogitArray
from .mask_nms import Candidate

_EIGHT = np.ones((3, 3), bool)


def mend(candidate: Candidate, min_cells: float, window: CellBox) -> Candidate:
    """Fill holes and remove islands of fewer than ``min_cells`` cells (8-connected, official).

    The logits there change their sign and keep their strength, so that the contour between
    neighbouring cells stays where it was. Where every island is too small the largest one stays.
    Islands that touch the window's edge stay too: they may go on in the next tile.

    Returns:
        The candidate itself where nothing changed, else a new one with ``mended`` set.
    """
    logits = candidate.logits
    inside = logits > 0
    holes = _small(~inside, min_cells, keep_largest=False)
    # Outside the crop is background, so what touches the crop's edge is no hole.
    labels, count = ndimage.label(np.pad(~inside, 1, constant_values=True), _EIGHT)
    if count:
        holes &= labels[1:-1, 1:-1] != labels[0, 0]
    islands = _small(inside | holes, min_cells, keep_largest=True)
    islands &= ~_touching(inside | holes, candidate.box, window)
    if not holes.any() and not islands.any():
        return candidate
    changed = np.where(holes, np.maximum(-logits, 1), logits)
    changed = np.where(islands, np.minimum(-changed, 0), changed).astype(np.int8)
    return replace(_changed(candidate, changed), mended=True)


def main_pieces(candidate: Candidate) -> Candidate:
    """A candidate without pieces that lie far from its largest one
    (:mod:`~samgeo_core.models.embedded.islands`); itself where there are none."""
    far = far_islands(candidate.logits > 0)
    if far is None:
        return candidate
    logits = candidate.logits
    return _changed(candidate, np.where(far, np.minimum(-logits, 0), logits).astype(np.int8))


def _changed(candidate: Candidate, logits: LogitArray) -> Candidate:
    """A candidate with other logits in the same box."""
    left = logits > 0
    rows, cols = np.flatnonzero(left.any(1)), np.flatnonzero(left.any(0))
    tight = CellBox(int(rows[0]), int(cols[0]), int(rows[-1]) + 1, int(cols[-1]) + 1)
    return replace(
        candidate,
        tight=tight.shifted(candidate.box.row0, candidate.box.col0),
        logits=logits,
        area=int(np.count_nonzero(left)),
    )


def _touching(inside: BoolArray, box: CellBox, window: CellBox) -> BoolArray:
    """Cells of the regions that reach the window's first or last row or column."""
    seeds = np.zeros_like(inside)
    if box.row0 == window.row0:
        seeds[0] = inside[0]
    if box.row1 == window.row1:
        seeds[-1] = inside[-1]
    if box.col0 == window.col0:
        seeds[:, 0] = inside[:, 0]
    if box.col1 == window.col1:
        seeds[:, -1] = inside[:, -1]
    return np.asarray(ndimage.binary_propagation(seeds, _EIGHT, inside))


def _small(where: BoolArray, min_cells: float, *, keep_largest: bool) -> BoolArray:
    """Cells of the connected regions that have fewer than ``min_cells`` cells."""
    labels, count = ndimage.label(where, _EIGHT)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    small = sizes < min_cells
    small[0] = False
    if keep_largest and count and small[1:].all():
        small[1 + int(np.argmax(sizes[1:]))] = False
    return np.asarray(small[labels])
