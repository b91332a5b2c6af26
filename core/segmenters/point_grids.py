# SPDX-License-Identifier: GPL-2.0-or-later
"""Crops of a window and grids of points in them, for automatic mask generation.

The same numbers as the official ``utils/amg.py`` gives for a square image; only integers and
pixel positions here.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..types import FloatArray, PixelBox

CROP_OVERLAP = 512 / 1500
"""Share of the window by which the crops of the first layer overlap (official)."""

ROUNDS = 4
"""Of the coarse-to-fine order: 1/16, 3/16, 1/4 and 1/2 of the points."""


def crop_boxes(size: int, n_layers: int) -> list[tuple[int, PixelBox]]:
    """Layer and box of the views of a window of ``size`` pixels; the whole window comes first.

    Layer i > 0 has ``2^i x 2^i`` crops, whose overlap halves from layer to layer.
    """
    boxes = [(0, PixelBox(0, 0, size, size))]
    for layer in range(1, n_layers + 1):
        count = 2**layer
        overlap = int(CROP_OVERLAP * size * (2 / count))
        side = ceil((overlap * (count - 1) + size) / count)
        starts = [(side - overlap) * place for place in range(count)]
        boxes += [
            (layer, PixelBox(row, col, min(row + side, size), min(col + side, size)))
            for row in starts
            for col in starts
        ]
    return boxes


def point_grid(box: PixelBox, side: int, shift: float = 0.0) -> FloatArray:
    """The middles of ``side`` x ``side`` equal rectangles of a box.

    Args:
        box: In pixels.
        side: Points along each side.
        shift: Added to rows and columns, pixels.

    Returns:
        (side * side, 2) float32 (row, column), row by row.
    """
    places = (np.arange(side) + 0.5) / side
    rows, cols = np.meshgrid(
        box.row0 + places * box.height + shift,
        box.col0 + places * box.width + shift,
        indexing="ij",
    )
    return np.stack([rows.ravel(), cols.ravel()], axis=1).astype(np.float32)


def coarse_to_fine(side: int) -> NDArray[np.int8]:
    """Round, 0 to 3, in which each point of a grid is asked: ever denser, evenly spread.

    ::

        2 3 2 3      0 every fourth row and column, 1 what then makes it every second,
        3 0 3 1      2 the middles between those, 3 what is left: the other colour of a
        2 3 2 3      chessboard.
        3 1 3 1
    """
    row, col = np.divmod(np.arange(side * side), side)
    odd = (row % 2 == 1) & (col % 2 == 1)
    rounds = np.where((row + col) % 2 == 1, 3, 2)
    rounds[odd] = 1
    rounds[odd & (row % 4 == 1) & (col % 4 == 1)] = 0
    return rounds.astype(np.int8)


def uncovered(
    covered: NDArray[np.bool_], smallest: int, step: int, phase: tuple[int, int] = (0, 0)
) -> Iterator[tuple[int, int]]:
    """One place in each uncovered region: its deepest cell; large regions get several.

    Args:
        covered: (h, w).
        smallest: Regions whose deepest cell is nearer than this to a covered one are left out.
        step: Side in cells of the squares into which large regions are cut.
        phase: Rows and columns by which the first squares begin before the array, so that squares
            are the same in overlapping windows.

    Yields:
        (row, column) of cells, by place.
    """
    free = np.pad(~covered, 1)
    depth = ndimage.distance_transform_edt(free)[1:-1, 1:-1]
    height, width = covered.shape
    for above in range(-phase[0], height, step):
        for before in range(-phase[1], width, step):
            top, left = max(above, 0), max(before, 0)
            part = depth[top : above + step, left : before + step]
            row, col = np.unravel_index(int(part.argmax()), part.shape)
            if part[row, col] >= smallest:
                yield top + int(row), left + int(col)
