# SPDX-License-Identifier: GPL-2.0-or-later
"""Resampling between a model's grid of logits and the raster's grid of mask cells.

A model answers on a grid that starts at the corner of the image it was given and whose cells need
not be whole pixels (a 640 px window and 256 cells: 2.5 px). The lattice has whole cells and starts
at the raster's first pixel, the same for all tiles. Everything here counts *corners*: cell ``i``
covers ``[i * cell, (i + 1) * cell)``, its value belongs to its centre ``(i + 0.5) * cell``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..types import BoolArray, ByteArray, FloatArray

PADDING_COLOUR = (124, 116, 104)
"""RGB of what lies beyond the raster: the mean colour, which every model of the family normalises
to (nearly) the 0 that the official code pads with."""

LARGEST_CELL = 8
"""Cells must divide the untrusted edge of a window (``windows.TRUST_MARGIN``)."""


def choose_cell(native: float, window_size: int) -> int:
    """The whole cell nearest to a model's own that loses nothing and divides a window.

    Args:
        native: Side of the model's own cell, pixels.
        window_size: Side of the window, pixels.

    Returns:
        The largest power of two that is at most a tenth larger than ``native``, divides
        ``window_size``, and is at most :data:`LARGEST_CELL`; 1 where the model's cells are finer.
    """
    cell = LARGEST_CELL
    while cell > 1 and (cell > 1.1 * native or window_size % cell):
        cell //= 2
    return cell


def pad_image(pixels: ByteArray, size: int) -> ByteArray:
    """An (H, W, 3) image on a (size, size, 3) canvas, padded right and below."""
    height, width = pixels.shape[:2]
    if (height, width) == (size, size):
        return np.ascontiguousarray(pixels)
    canvas = np.empty((max(size, height), max(size, width), 3), np.uint8)
    canvas[...] = PADDING_COLOUR
    canvas[:height, :width] = pixels
    return canvas


def valid_cells(valid: BoolArray, cell: int) -> BoolArray:
    """Cells at least half of whose pixels have data.

    Args:
        valid: (H, W) bool. Pixels beyond it, in the last cells, are neither valid nor invalid.
        cell: Side of a cell, pixels.

    Returns:
        (ceil(H / cell), ceil(W / cell)) bool.
    """
    if cell == 1:
        return np.array(valid)
    rows = np.arange(0, valid.shape[0], cell)
    cols = np.arange(0, valid.shape[1], cell)
    counts = np.add.reduceat(np.add.reduceat(valid.astype(np.int32), rows, 0), cols, 1)
    heights = np.diff(np.append(rows, valid.shape[0]))
    widths = np.diff(np.append(cols, valid.shape[1]))
    enough: BoolArray = 2 * counts >= np.outer(heights, widths)
    return enough


def resample(
    logits: FloatArray,
    cell: tuple[float, float],
    to_cell: tuple[float, float],
    *,
    offset: tuple[float, float] = (0.0, 0.0),
    shape: tuple[int, int],
) -> FloatArray:
    """Bilinear resampling of logits from one grid of cells to another, exact to the half pixel.

    Args:
        logits: (..., h, w) float32.
        cell: (row, column) size of their cells, pixels.
        to_cell: Size of the wanted cells, pixels.
        offset: (row, column) of the wanted grid's corner, pixels from the corner of ``logits``.
        shape: (rows, columns) wanted. Beyond the outermost centres the edge's value goes on.

    Returns:
        (..., *shape) float32; ``logits`` themselves (a view) where the grids agree.
    """
    if cell == to_cell:
        start = [float(offset[axis]) / cell[axis] for axis in (0, 1)]
        row, col = int(start[0]), int(start[1])
        whole = start == [row, col] and row >= 0 and col >= 0
        if whole and row + shape[0] <= logits.shape[-2] and col + shape[1] <= logits.shape[-1]:
            return logits[..., row : row + shape[0], col : col + shape[1]]
    rows = (offset[0] + (np.arange(shape[0]) + 0.5) * to_cell[0]) / cell[0] - 0.5
    cols = (offset[1] + (np.arange(shape[1]) + 0.5) * to_cell[1]) / cell[1] - 0.5
    return bilinear(logits, rows, cols)


def bilinear(
    logits: FloatArray, rows: NDArray[np.floating[Any]], cols: NDArray[np.floating[Any]]
) -> FloatArray:
    """Logits between the centres of their cells: *the* interpolation of logits.

    Args:
        logits: (..., h, w) float32.
        rows: (n,) wanted rows, counted in cells from the first cell's centre; whole numbers are
            centres. Beyond the outermost centres the edge's value goes on.
        cols: (m,) wanted columns.

    Returns:
        (..., n, m) float32.
    """
    low, high, weight = taps(logits.shape[-2], rows)
    weight = weight[:, None]
    between = logits[..., low, :] * (1 - weight) + logits[..., high, :] * weight
    low, high, weight = taps(logits.shape[-1], cols)
    return np.asarray(between[..., low] * (1 - weight) + between[..., high] * weight, np.float32)


def taps(
    count: int, centres: NDArray[np.floating[Any]]
) -> tuple[NDArray[np.intp], NDArray[np.intp], FloatArray]:
    """Index of the two source cells and the weight of the second, for each wanted place."""
    centres = np.clip(centres, 0, count - 1)
    low = np.floor(centres).astype(np.intp)
    return low, np.minimum(low + 1, count - 1), (centres - low).astype(np.float32)
