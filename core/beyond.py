# SPDX-License-Identifier: GPL-2.0-or-later
"""Beyond the raster's edge: an object that the raster cuts goes on there as it came.

Contours run through the centres of cells, and the outermost centres lie half a cell inside the
raster. Up to the edge, logits are continued in straight lines. A thin tip that leaves the raster at
a narrow angle may lead beside many cells whose own centres lie outside of the object::

      ......................##########  row -1, continued
    ==================================  the raster's edge     # > 0, inside
      ...........................#####  row 0                 . < 0, outside
      ................................  row 1

so whoever crops a mask keeps those cells, too: :func:`leads_beyond`.
"""

from __future__ import annotations

import numpy as np

from .types import AnyArray, BoolArray, CellBox, FloatArray


def beyond_edges(values: FloatArray, box: CellBox, whole: CellBox) -> FloatArray:
    """Logits with those beyond the raster filled in, so that an object that the raster cuts goes on
    across the edge as it came: bevelled there otherwise, by up to half a cell.

    Each outer cell continues its row or column in a straight line. An edge cell that is inside goes
    on inside; one that is outside may lead inside only beside another that is (the thin tip of an
    object that leaves the raster at a narrow angle), so that nothing new appears. What is contoured
    with them is to be cut to the raster.

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


def leads(edge: AnyArray, inner: AnyArray, border: int = 0) -> BoolArray:
    """Which cells of an outermost row lead inside beyond it; ``inner`` is the row behind it."""
    if not (edge > border).any():
        return np.zeros(edge.shape, bool)
    lines = [line.astype(np.float32) - border for line in (edge, inner)]
    leading: BoolArray = _continued(lines[0], lines[1]) > 0
    return leading


def _continued(edge: FloatArray, inner: FloatArray) -> FloatArray:
    """The row of cells beyond the row ``edge``, whose neighbour inside is ``inner``."""
    further = 2 * edge - inner
    held = np.where(edge > 0, np.maximum(further, 1.0), further)
    runs = np.cumsum(np.diff(held > 0, prepend=False))
    rooted = np.bincount(runs, edge > 0)[runs] > 0
    out: FloatArray = np.where(rooted, held, np.minimum(held, -1.0)).astype(np.float32)
    return out
