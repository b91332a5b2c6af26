# SPDX-License-Identifier: GPL-2.0-or-later
"""Windows of a raster: extent, trusted part, and tent weights for fusion.

Tiles of a job (``grid.py``) and the windows in which prompts are answered stand at different
places, but obey the same rules: near a window's edge nothing is believed, except where the raster
itself ends, and where windows overlap their logits are averaged with the weights of :func:`tent`.

Windows have the model's input size T and stand on a lattice of step T / 2 that begins at the
raster's first pixel, whatever the user has panned to: neighbouring prompts, continuation and
encoding ahead all meet the same windows, and an area of T x T never costs more than four
encodings. Every position lies in the middle half of exactly one window::

    0       T/2       T      3T/2
    +--------+--------+--------+--------+
    |<-- window 0 --->|        |        |     positions in [0, 3T/4) are window 0's (raster's edge)
    |        |<-- window 1 --->|        |     positions in [3T/4, 5T/4) are window 1's
    |        |        |<-- window 2 --->|     ...

A box that would come too near to such a window's border gets a window from the finer lattices of
T / 4 and T / 8, and failing these one centred on it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import ParameterError
from ..types import CellBox, FloatArray, PixelBox

TRUST_MARGIN = 8
"""Pixels at a window's edge where mask values are not believed (c in the design)."""

Extent = tuple[float, float, float, float]
"""(row0, col0, row1, col1), continuous working pixels."""


def tent(region: CellBox, trusted: CellBox, whole: CellBox, width: float) -> FloatArray:
    """Weights of a window on some cells of its trusted part: *the* weights of overlapping windows.

    1 inside, falling to 0 at each trusted border; a border that is the raster's own does not fall
    off, because nothing goes on behind it.

    Args:
        region: Wanted cells, all in ``trusted``.
        trusted: The cells of the window that are believed.
        whole: All cells of the raster.
        width: Cells over which the weight falls.

    Returns:
        (region.height, region.width) float32, > 0.
    """
    rows, cols = ramps(region, trusted, whole, width)
    return rows[:, None] * cols[None, :]


def ramps(
    region: CellBox, trusted: CellBox, whole: CellBox, width: float
) -> tuple[FloatArray, FloatArray]:
    """The weights of :func:`tent` along the rows and along the columns: a cell's is the product."""
    rows = _ramp(
        np.arange(region.row0, region.row1),
        None if trusted.row0 == whole.row0 else trusted.row0,
        None if trusted.row1 == whole.row1 else trusted.row1,
        width,
    )
    cols = _ramp(
        np.arange(region.col0, region.col1),
        None if trusted.col0 == whole.col0 else trusted.col0,
        None if trusted.col1 == whole.col1 else trusted.col1,
        width,
    )
    return rows, cols


def _ramp(cells: NDArray[np.int64], low: int | None, high: int | None, width: float) -> FloatArray:
    """Rises from 0 at ``low`` and falls to 0 at ``high``; taken at the cells' centres."""
    weight = np.ones(len(cells), np.float32)
    if low is not None:
        weight = np.minimum(weight, (cells + 0.5 - low) / width)
    if high is not None:
        weight = np.minimum(weight, (high - 0.5 - cells) / width)
    return weight.astype(np.float32)


@dataclass(frozen=True)
class WindowLattice:
    """Where windows may stand on a raster; all in working pixels.

    Args:
        height: Rows of the raster.
        width: Columns.
        size: T, side of a window.
        cell: Side of a mask cell; divides T / 2.
    """

    height: int
    width: int
    size: int
    cell: int

    def __post_init__(self) -> None:
        if self.size % (2 * self.cell):
            raise ParameterError(
                f"A window of {self.size} pixels cannot be halved into cells of {self.cell}."
            )

    @property
    def step(self) -> int:
        return self.size // 2

    @property
    def cells(self) -> CellBox:
        """All cells of the raster; the last ones may reach beyond it."""
        return PixelBox(0, 0, self.height, self.width).cells(self.cell)

    def _last(self, length: int) -> int:
        """Largest origin along an axis: the window ends with the raster, or not a cell later."""
        return max(0, -(-(length - self.size) // self.cell) * self.cell)

    def _origin(self, low: float, high: float, length: int) -> int:
        """Where the window for [low, high] begins along an axis of a length."""
        last = self._last(length)
        wanted = (low + high) / 2 - self.size / 2
        origin = 0
        for divisor in (1, 2, 4):
            step = max(self.step // divisor // self.cell, 1) * self.cell
            # Half up rather than round(): positions half-way belong to the later window, always.
            origin = min(max(math.floor(wanted / step + 0.5) * step, 0), last)
            if self._margin(origin, low, high, last) >= self.size / 8:
                return origin
        nearest = math.floor(wanted / self.cell + 0.5) * self.cell
        return min(max(nearest, 0), last)

    def _margin(self, origin: int, low: float, high: float, last: int) -> float:
        """Pixels between [low, high] and the nearer window edge behind which the raster goes on."""
        return min(
            low - origin if origin > 0 else math.inf,
            origin + self.size - high if origin < last else math.inf,
        )

    def around(self, extent: Extent) -> PixelBox:
        """The window in which an extent lies well inside, as far as one can hold it.

        The box may reach beyond the raster at the right and the bottom: it is always T x T.
        """
        row0, col0, row1, col1 = extent
        row = self._origin(row0, row1, self.height)
        col = self._origin(col0, col1, self.width)
        return PixelBox(row, col, row + self.size, col + self.size)

    def margin(self, window: PixelBox, extent: Extent) -> float:
        """Least distance, pixels, from an extent to a window edge behind which the raster goes on.

        Negative where the extent reaches beyond the window; infinite where the window holds the
        whole raster.
        """
        return min(
            self._margin(window.row0, extent[0], extent[2], self._last(self.height)),
            self._margin(window.col0, extent[1], extent[3], self._last(self.width)),
        )

    def trusted(self, window: PixelBox) -> CellBox:
        """The cells of a window that are believed: all but c pixels where the raster goes on."""
        edge = -(-TRUST_MARGIN // self.cell)
        box = window.cells(self.cell)
        row1, col1 = window.row1 < self.height, window.col1 < self.width
        return CellBox(
            box.row0 + edge * (window.row0 > 0),
            box.col0 + edge * (window.col0 > 0),
            box.row1 - edge * row1,
            box.col1 - edge * col1,
        ).intersection(self.cells)

    def weights(self, window: PixelBox) -> FloatArray:
        """Tent weights on :meth:`trusted`: 1 in the middle half, to 0 at the trusted border.

        A side on the raster's own edge does not fall off: nothing goes on behind it.
        """
        box = self.trusted(window)
        return tent(box, box, self.cells, self.size / 4 / self.cell)

    def neighbours(self, window: PixelBox) -> list[PixelBox]:
        """The lattice windows one step away, nearest first, this one left out."""
        middle = ((window.row0 + window.row1) / 2, (window.col0 + window.col1) / 2)
        found: list[PixelBox] = []
        for down, right in ((0, 1), (1, 0), (0, -1), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1)):
            row, col = middle[0] + down * self.step, middle[1] + right * self.step
            if 0 <= row < self.height and 0 <= col < self.width:
                other = self.around((row, col, row, col))
                if other != window and other not in found:
                    found.append(other)
        return found

    def covering(self, extent: Extent) -> list[PixelBox]:
        """The lattice windows whose middle halves cover an extent, row by row."""
        half = self.size / 4
        found: dict[PixelBox, None] = {}
        for row in _places(extent[0], extent[2], self.step, self.height, half):
            for col in _places(extent[1], extent[3], self.step, self.width, half):
                found.setdefault(self.around((row, col, row, col)))
        return list(found)


def _places(low: float, high: float, step: int, length: int, half: float) -> list[float]:
    """Centres of the middle halves that [low, high] touches."""
    low, high = max(low, 0.0), min(high, float(length))
    first, last = math.floor((low - half) / step), math.floor((high - half) / step)
    centres = [(k + 1) * step for k in range(first, last + 1)]
    return [min(max(float(centre), 0.0), float(length - 1)) for centre in centres]
