# SPDX-License-Identifier: GPL-2.0-or-later
"""A regular, repeatable sample of a raster's values for its stretch, in constant memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import rasterio

from ..errors import RasterError
from ..types import AnyArray, PixelBox
from .coverage import Coverage
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

MOSTLY_EMPTY = 0.5
"""Share of the raster that can have data below which the sample is taken only from there."""

MOST_STRIPS = 512
"""Strips that are looked through at most; of more, every second or third or n-th one."""

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
                waiting.extend((dataset, piece) for piece in reversed(list(_tiled(box, PIECE))))
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
    coverage = pixels.coverage
    if coverage is not None and coverage.share(pixels.shape) < MOSTLY_EMPTY:
        yield from ((pixels.full, box) for box in _covered_windows(coverage, pixels.shape))
        return
    dataset = pixels.level(2.0 * max(pixels.shape) / SAMPLE_SIDE)
    height, width = dataset.shape
    if height * width <= SAMPLE_SIDE**2:
        yield from ((dataset, box) for box in _strips(PixelBox(0, 0, height, width)))
        return
    for row in _spread(height):
        for col in _spread(width):
            yield dataset, PixelBox(row, col, min(row + WINDOW, height), min(col + WINDOW, width))


def _covered_windows(coverage: Coverage, shape: tuple[int, int]) -> Iterator[PixelBox]:
    """Windows where a mostly empty raster has something: in the middle of each place, or several
    in each where these are few."""
    places = coverage.places(WINDOWS**2, shape)
    each = max(1, int((WINDOWS**2 / max(1, len(places))) ** 0.5))
    for place in places:
        for row in _spread(place.height, each):
            for col in _spread(place.width, each):
                corner = place.row0 + row, place.col0 + col
                window = PixelBox(*corner, corner[0] + WINDOW, corner[1] + WINDOW)
                yield window.intersection(place)


def _all_windows(pixels: SourcePixels) -> Iterator[_Window]:
    """Strips of all places that can have data; of a raster that has too many, some of them."""
    whole = PixelBox(0, 0, *pixels.shape)
    coverage = pixels.coverage
    places = [whole] if coverage is None else coverage.places(MOST_STRIPS, pixels.shape)
    total = sum(_strip_count(place) for place in places)
    step = max(1, -(-total // MOST_STRIPS))
    for number, box in enumerate(box for place in places for box in _strips(place)):
        if number % step == 0 and pixels.may_have_data(box):
            yield pixels.full, box


STRIP = 1024, 4096
"""Rows and columns of a strip, at most."""


def _strip_count(box: PixelBox) -> int:
    return -(-box.height // STRIP[0]) * -(-box.width // STRIP[1])


def _strips(box: PixelBox) -> Iterator[PixelBox]:
    return _tiled(box, *STRIP)


def _tiled(box: PixelBox, rows: int, cols: int | None = None) -> Iterator[PixelBox]:
    """A box in pieces of at most ``rows`` x ``cols`` pixels, row by row."""
    wide = cols or rows
    for row in range(box.row0, box.row1, rows):
        for col in range(box.col0, box.col1, wide):
            yield PixelBox(row, col, row + rows, col + wide).intersection(box)


def _spread(size: int, count: int = WINDOWS) -> list[int]:
    """First pixels of the sample's windows along an axis, from edge to edge; one in the middle."""
    last = max(0, size - WINDOW)
    if count == 1:
        return [last // 2]
    return sorted({round(i * last / (count - 1)) for i in range(count)})
