# SPDX-License-Identifier: GPL-2.0-or-later
"""Detection of wrong overviews: empty, incomplete, or made from older pixels."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import rasterio

from ..errors import RasterError
from ..types import AnyArray, BoolArray, PixelBox

PLACES = 5
"""Places that are compared, along each side."""

SIDE = 16
"""Side of a place, pixels of the overview."""

MOST = 1024
"""Side of a place at most, pixels of the raster."""

DIFFERENT = 0.5
"""Difference of two means, in standard deviations of the raster there, that is no resampling."""

BAD = 0.2
"""Share of the places that may differ: soft edges, single bright pixels."""


class _Pixels(Protocol):
    full: rasterio.DatasetReader

    def read(
        self, box: PixelBox, dataset: rasterio.DatasetReader | None = None
    ) -> tuple[AnyArray, BoolArray]: ...


def agrees(pixels: _Pixels, overview: rasterio.DatasetReader) -> bool:
    """Whether an overview has the same values as its raster, on the mean, in a sample of places."""
    height, width = pixels.full.shape
    rows, cols = height / overview.height, width / overview.width
    side = max(1, min(SIDE, int(MOST / max(rows, cols))))
    compared = bad = 0
    for row in _starts(overview.height, side):
        for col in _starts(overview.width, side):
            small = PixelBox(
                row, col, min(row + side, overview.height), min(col + side, overview.width)
            )
            large = PixelBox(
                int(small.row0 * rows),
                int(small.col0 * cols),
                min(height, int(np.ceil(small.row1 * rows))),
                min(width, int(np.ceil(small.col1 * cols))),
            )
            try:
                want, known = pixels.read(large)
            except RasterError:
                continue  # damaged there: nothing to compare with
            try:
                have, valid = pixels.read(small, overview)
            except RasterError:
                return False
            if not known.any() and not valid.any():
                continue
            compared += 1
            bad += not _alike(want, known, have, valid)
    return bad <= BAD * compared


def _alike(want: AnyArray, known: BoolArray, have: AnyArray, valid: BoolArray) -> bool:
    if abs(float(known.mean()) - float(valid.mean())) > 0.25:
        return False
    for band in range(len(want)):
        one, other = want[band][known[band]], have[band][valid[band]]
        if len(one) == 0 or len(other) == 0:
            continue
        one, other = one.astype(np.float64), other.astype(np.float64)
        # The mean of n nearest values differs from that of all by chance alone.
        allowed = (DIFFERENT + 4.0 / np.sqrt(len(other))) * one.std() + 1e-6 * abs(one.mean())
        if abs(one.mean() - other.mean()) > allowed + (1.0 if want.dtype == np.uint8 else 0.0):
            return False
    return True


def _starts(size: int, side: int) -> list[int]:
    return sorted({round(k * max(0, size - side) / (PLACES - 1)) for k in range(PLACES)})
