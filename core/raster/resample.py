# SPDX-License-Identifier: GPL-2.0-or-later
"""Resampling to working pixels: area mean when downsampling, bilinear when upsampling.

The working grid is the source's grid times a scale, exactly; pixel i of it covers the source
pixels from ``i * scale`` to ``(i + 1) * scale``. GDAL's own decimated reads shift with the window
that is asked for; here a working pixel has the same value in whatever window it is read, which the
seams depend on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from ..types import AnyArray, BoolArray


@dataclass(frozen=True)
class Axis:
    """Weights of source pixels for a run of working pixels, along one axis.

    Args:
        start: First source pixel that is needed.
        stop: One behind the last.
        weights: (n, stop - start) sparse; rows sum to 1, or to the covered part of the last pixel.
    """

    start: int
    stop: int
    weights: csr_matrix


def axis_weights(first: int, last: int, scale: float, size: int) -> Axis:
    """Weights for the working pixels ``first`` to ``last`` (half-open).

    Args:
        first: First working pixel.
        last: One behind the last.
        scale: Source pixels per working pixel.
        size: Source pixels along this axis.
    """
    index = np.arange(first, last, dtype=np.float64)
    if scale >= 1.0:
        begin, end = index * scale, np.minimum((index + 1.0) * scale, size)
        left = np.floor(begin + 1e-9).astype(np.int64)
        columns = left[:, None] + np.arange(int(np.ceil(scale)) + 1)
        covered = np.minimum(columns + 1.0, end[:, None]) - np.maximum(columns, begin[:, None])
        weights = np.where(covered > 1e-6, covered, 0.0) / scale
    else:
        centre = (index + 0.5) * scale - 0.5
        left = np.floor(centre).astype(np.int64)
        fraction = centre - left
        columns = left[:, None] + np.arange(2)
        weights = np.stack([1.0 - fraction, fraction], axis=1)
    columns = np.clip(columns, 0, size - 1)
    start, stop = int(columns.min()), int(columns.max()) + 1
    rows = np.repeat(np.arange(last - first), columns.shape[1])
    matrix = csr_matrix(
        (weights.ravel(), (rows, (columns - start).ravel())), shape=(last - first, stop - start)
    )
    return Axis(start, stop, matrix)


def resample(
    values: AnyArray, valid: BoolArray, rows: Axis, cols: Axis
) -> tuple[AnyArray, BoolArray]:
    """Weighted means of the valid values.

    Args:
        values: (b, h, w) real, the source pixels that ``rows`` and ``cols`` name.
        valid: (b, h, w) bool.
        rows: Weights down the rows.
        cols: Weights along the columns.

    Returns:
        (b, H, W) float32 (float64 for float64 values), and (b, H, W) bool: at least half of what
        the raster has of the pixel is valid.
    """
    kind = np.float64 if values.dtype == np.float64 else np.float32
    down, across = rows.weights.astype(kind), cols.weights.astype(kind)
    total = np.asarray(down.sum(axis=1)) * np.asarray(across.sum(axis=1)).T
    shape = (values.shape[0], *total.shape)
    means, kept = np.zeros(shape, kind), np.zeros(shape, bool)
    for band in range(shape[0]):
        clean = values[band].astype(kind)
        weight = total
        if not valid[band].all():
            clean[~valid[band]] = 0
            weight = _spread(down, across, valid[band].astype(kind))
            # A pixel whose sources are all valid has the same weight here as in a window
            # without any gap, to the last bit.
            weight = np.where(np.abs(weight - total) < 1e-6, total, weight)
        summed = _spread(down, across, clean)
        np.divide(summed, weight, out=means[band], where=weight > 0)
        # Rounding: half of a pixel may add up to a hair less than half.
        kept[band] = (weight >= total * kind(0.5) - kind(1e-6)) & (weight > 0)
    return means, kept


def _spread(down: csr_matrix, across: csr_matrix, image: AnyArray) -> AnyArray:
    """``down @ image @ across.T``, (H, W)."""
    narrow = np.ascontiguousarray((down @ image).T)
    return np.ascontiguousarray((across @ narrow).T)
