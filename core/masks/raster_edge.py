# SPDX-License-Identifier: GPL-2.0-or-later
"""Continuing the logits of objects that touch the raster's edge beyond it.

Contours run through the centres of cells, and the outermost centres lie half a cell inside the
raster. Up to the edge, logits are continued in straight lines. A thin tip that leaves the raster at
a narrow angle may lead beside many cells whose own centres lie outside of the object::

      ......................##########  row -1, continued
    ==================================  the raster's edge     # > 0, inside
      ...........................#####  row 0                 . < 0, outside
      ................................  row 1

so cropping a mask must keep those cells, too: :func:`leads_beyond`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..types import AnyArray, BoolArray, CellBox, FloatArray, PixelBox
from .logits import LARGEST, Steps

Places = NDArray[np.float64]


def beyond_edges(values: FloatArray, box: CellBox, whole: CellBox) -> FloatArray:
    """Logits with those beyond the raster filled in, so that an object that the raster cuts goes on
    across the edge as it came: bevelled there otherwise, by up to half a cell.

    Each outer cell continues its row or column in a straight line. An edge cell that is inside goes
    on inside; one that is outside may lead inside only beside another that is (the thin tip of an
    object that leaves the raster at a narrow angle), so that nothing new appears.

    Args:
        values: (height, width) on the cells of ``box``; those outside of ``whole`` are not looked
            at.
        box: May reach beyond ``whole``.
        whole: All cells of the raster; at least one of them in ``box``.

    Returns:
        ``values`` itself where nothing lies beyond, else a filled copy.
    """
    rows, cols = box.intersection(whole).slices(box)
    if (rows.stop - rows.start, cols.stop - cols.start) == values.shape:
        return values
    filled: FloatArray = values.copy()
    for turned, known in ((filled, rows), (filled.T, cols)):
        first, last = known.start, known.stop - 1
        turned[:first] = _continued(turned[first], turned[min(first + 1, last)])
        turned[last + 1 :] = _continued(turned[last], turned[max(last - 1, first)])
    return filled


def up_to_edges(
    values: Steps, box: CellBox, cell: int, size: tuple[int, int]
) -> tuple[Steps, Places, Places]:
    """Logits up to the raster's very edges, and where they lie.

    Args:
        values: (height, width) stored logits on the cells of ``box``.
        box: May reach beyond the raster.
        cell: Side of a cell, pixels.
        size: (height, width) of the raster, pixels.

    Returns:
        Logits, x of their columns and y of their rows in pixels: the centres of cells inside the
        raster and, where the box goes on beyond, its edge.
    """
    filled = beyond_edges(values, box, PixelBox(0, 0, *size).cells(cell))
    filled, y = _ended(filled, _centres(box.row0, box.row1, cell), size[0])
    turned, x = _ended(filled.T, _centres(box.col0, box.col1, cell), size[1])
    return turned.T, x, y


def _centres(first: int, stop: int, cell: int) -> Places:
    return np.arange(first, stop, dtype=np.float64) * cell + 0.5 * cell


def _ended(rows: FloatArray, at: Places, end: int) -> tuple[FloatArray, Places]:
    """Rows of logits at some places, cut to those from 0 to ``end``."""
    if at[0] < 0 < at[-1]:
        first = int(np.searchsorted(at, 0.0, side="right"))
        rows, at = np.concatenate([_between(rows, at, first, 0.0), rows[first:]]), at[first:]
        at = np.insert(at, 0, 0.0)
    if at[0] >= end:  # the outer half of a last cell that the raster does not fill
        return rows[:1], at[:1]
    if end < at[-1]:
        last = int(np.searchsorted(at, end, side="left"))
        rows = np.concatenate([rows[:last], _between(rows, at, last, end)])
        at = np.append(at[:last], float(end)).astype(np.float64)
    return rows, at


def _between(rows: FloatArray, at: Places, second: int, place: float) -> FloatArray:
    """The row at a place between row ``second`` and the one before, as an array of one row."""
    share = np.float32((place - at[second - 1]) / (at[second] - at[second - 1]))
    row: FloatArray = (1 - share) * rows[second - 1 : second] + share * rows[second : second + 1]
    return row


def leads_beyond(values: AnyArray, border: int = 0) -> tuple[BoolArray, BoolArray]:
    """Which cells at the edges of a window lead inside an object beyond them.

    Args:
        values: (height, width) logits of a window, float or stored.
        border: Above it is inside.

    Returns:
        (height,) bool, rows of such cells in the first or last column, and (width,) bool, columns
        of such cells in the first or last row; cells that are inside among them.
    """
    found = []
    for turned in (values.T, values):
        leading = np.zeros(turned.shape[1], bool)
        for edge, inner in ((turned[0], turned[:2][-1]), (turned[-1], turned[-2:][0])):
            leading |= leads(edge, inner, border)
        found.append(leading)
    return found[0], found[1]


def extent(
    values: AnyArray, border: int = 0, *, tips: bool = True
) -> tuple[int, int, int, int] | None:
    """Rows and columns (row0, col0, row1, col1) of a window that hold something of an object.

    Args:
        values: (height, width) logits, float or stored.
        border: Above it is inside.
        tips: With the cells that lead inside the object beyond the window's edges.

    Returns:
        None where nothing is inside.
    """
    above = values > border
    rows = np.flatnonzero(above.any(axis=1))
    if not rows.size:
        return None
    cols = np.flatnonzero(above.any(axis=0))
    height, width = values.shape
    row0, row1, col0, col1 = int(rows[0]), int(rows[-1]) + 1, int(cols[0]), int(cols[-1]) + 1
    at_edge = row0 == 0 or col0 == 0 or row1 == height or col1 == width
    if tips and at_edge and (row1 - row0, col1 - col0) != (height, width):
        in_rows, in_cols = (np.flatnonzero(leading) for leading in leads_beyond(values, border))
        row0, row1 = min([row0, *in_rows.tolist()]), max([row1, *(in_rows + 1).tolist()])
        col0, col1 = min([col0, *in_cols.tolist()]), max([col1, *(in_cols + 1).tolist()])
    return row0, col0, row1, col1


def leads(edge: AnyArray, inner: AnyArray, border: int = 0) -> BoolArray:
    """Which cells of an outermost row lead inside beyond it; ``inner`` is the row behind it."""
    if not (edge > border).any():
        return np.zeros(edge.shape, bool)
    lines = [line.astype(np.float32) - border for line in (edge, inner)]
    leading: BoolArray = _continued(lines[0], lines[1]) > 0
    return leading


def _continued(edge: FloatArray, inner: FloatArray) -> FloatArray:
    """The row of cells beyond the row ``edge``, whose neighbour inside is ``inner``."""
    further = np.clip(2 * edge - inner, -np.float32(LARGEST), np.float32(LARGEST))
    held = np.where(edge > 0, np.maximum(further, 1.0), further)
    runs = np.cumsum(np.diff(held > 0, prepend=False))
    rooted = np.bincount(runs, edge > 0)[runs] > 0
    out: FloatArray = np.where(rooted, held, np.minimum(held, -1.0)).astype(np.float32)
    return out
