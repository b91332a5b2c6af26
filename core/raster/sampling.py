# SPDX-License-Identifier: GPL-2.0-or-later
"""A sample of a whole raster, for its one stretch: regular, repeatable, in flat memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import rasterio

from ..errors import RasterError
from ..types import AnyArray, PixelBox
from .pixels import SourcePixels

SAMPLE_SIDE = 2048
"""A raster or overview up to this size is taken whole."""

WINDOWS = 16
"""Windows of a regular sample, along each side of a larger raster."""

WINDOW = 96
"""Side of such a window, pixels."""

ENOUGH = 1000
"""Valid values below which a sample is not trusted and the whole raster is looked through."""

STRIP_VALUES = 20_000
"""Values kept of each strip when it is."""

PIECE = 256
"""Side of the pieces in which a window with a damaged block is read again."""

_Window = tuple[rasterio.DatasetReader, PixelBox]


def sample_values(pixels: SourcePixels) -> list[AnyArray]:
    """Valid values of the whole raster: a 1-D array a band.

    From an overview or the raster itself where that is small, else from a lattice of windows. Where
    these hold next to nothing (one village in a country of nodata), the whole raster is read
    through, strip by strip.

    Raises:
        RasterError: Not one window can be read.
    """
    sample = _gather(pixels, _regular_windows(pixels))
    if min(len(values) for values in sample) < ENOUGH:
        sample = _gather(pixels, _all_windows(pixels), limit=STRIP_VALUES)
    return sample


def _gather(
    pixels: SourcePixels, windows: Iterator[_Window], limit: int | None = None
) -> list[AnyArray]:
    """Valid values, band by band.

    A damaged window is read again in pieces, and damaged pieces are passed over, as long as
    anything is sound.
    """
    kept: list[list[AnyArray]] = [[] for _ in range(pixels.plan.bands)]
    sound, failure = False, None
    waiting: list[_Window] = []
    while (window := waiting.pop() if waiting else next(windows, None)) is not None:
        dataset, box = window
        try:
            values, valid = pixels.read(box, dataset)
        except RasterError as error:
            failure = error
            if box.area > PIECE**2:
                waiting.extend((dataset, piece) for piece in reversed(_tiled(box, PIECE)))
            continue
        sound = True
        for band, known in enumerate(valid):
            chosen = values[band][known]
            step = 1 if limit is None else max(1, -(-len(chosen) // limit))
            kept[band].append(chosen[::step])
    if failure is not None and not sound:
        raise failure
    return [np.concatenate(parts) if parts else np.empty(0, np.float32) for parts in kept]


def _regular_windows(pixels: SourcePixels) -> Iterator[_Window]:
    dataset = pixels.level(2.0 * max(pixels.shape) / SAMPLE_SIDE)
    height, width = dataset.shape
    if height * width <= SAMPLE_SIDE**2:
        yield from ((dataset, box) for box in _strips(height, width))
        return
    for row in _spread(height):
        for col in _spread(width):
            yield dataset, PixelBox(row, col, min(row + WINDOW, height), min(col + WINDOW, width))


def _all_windows(pixels: SourcePixels) -> Iterator[_Window]:
    for box in _strips(*pixels.shape):
        if sum(hole.area for hole in pixels.holes(box)) < box.area:
            yield pixels.full, box


def _strips(height: int, width: int) -> list[PixelBox]:
    """A raster in windows of at most 1024 x 4096 pixels."""
    return _tiled(PixelBox(0, 0, height, width), 1024, 4096)


def _tiled(box: PixelBox, rows: int, cols: int | None = None) -> list[PixelBox]:
    """A box in pieces of at most ``rows`` x ``cols`` pixels, row by row."""
    return [
        PixelBox(row, col, row + rows, col + (cols or rows)).intersection(box)
        for row in range(box.row0, box.row1, rows)
        for col in range(box.col0, box.col1, cols or rows)
    ]


def _spread(size: int) -> list[int]:
    """First pixels of the sample's windows along an axis, from edge to edge."""
    last = max(0, size - WINDOW)
    return sorted({round(i * last / (WINDOWS - 1)) for i in range(WINDOWS)})
