# SPDX-License-Identifier: GPL-2.0-or-later
"""What is known of a window's ground: the model's feature maps, and colours, on one lattice.

The lattice of cells is the raster's own (``types.py``), the same for all windows, so that values
of neighbouring windows can be blended. Features of objects are pooled on cells whose side is a
256th of the window's, four pixels of a window of 1024; cells of a map of classes do not depend on
the window where the model's own do not (:func:`map_cell`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage, sparse

from ...models.base import PromptableModel
from ...models.embedding_cache import EmbeddingCache, embedding_key
from ...models.feature_levels import FeatureLevel, feature_levels
from ...raster.raster import RasterWindow
from ...tiles.grid import Grid, Tile
from ...tiles.mask_grid import choose_cell, pad_image, resample, taps, valid_cells
from ...types import AnyArray, BoolArray, ByteArray, CellBox, FloatArray

CELLS_ALONG_WINDOW = 256
"""Cells along a window's side."""

COLOURS = (
    *("red", "green", "blue", "red2", "green2", "blue2"),
    *("share_red", "share_green", "edge", "edge2"),
)
"""Names of the colour channels: means over a cell of the colours, their squares (so that variances
can be pooled), chromaticities, and the strength of the brightness gradient and its square."""


def feature_cell(window_size: int) -> int:
    """Side in pixels of the cells on which features are pooled, for windows of a size."""
    return choose_cell(window_size / CELLS_ALONG_WINDOW, window_size)


def map_cell(window_size: int, own: float | None, *, lines: bool) -> int:
    """Side in pixels of the cells of a map of classes.

    For lines it is that of the cells of the model's masks, the finest that the model can tell
    apart; for surfaces, whose borders are simplified anyway, twice that.

    Args:
        window_size: Side of the windows, pixels.
        own: Side of the mask's cells where that is the same for windows of any size
            (:attr:`~.models.base.ModelInfo.cell`); else a map of surfaces has
            :data:`CELLS_ALONG_WINDOW` in each window.
        lines: Centre lines are drawn from it.
    """
    native = window_size / CELLS_ALONG_WINDOW if own is None else 2 * own
    return choose_cell(native / 2 if lines else native, window_size)


@dataclass(frozen=True, eq=False)
class WindowFeatures:
    """The features of one window on its trusted cells.

    Args:
        box: The trusted cells, on the raster's lattice.
        origin: (row, column) of the window's corner, working pixels.
        cell: Side of a cell, working pixels.
        levels: The encoder's maps, in the window's pixels.
        colours: (k, h, w) float32, :data:`COLOURS` on ``box``.
        valid: (h, w) bool, which cells of ``box`` have data.
    """

    box: CellBox
    origin: tuple[int, int]
    cell: int
    levels: Sequence[FeatureLevel]
    colours: FloatArray
    valid: BoolArray

    @property
    def names(self) -> list[str]:
        """Of all channels: ``level:number`` and ``colour:name``."""
        return channel_names(self.levels)

    def pooled(self, weights: sparse.csr_matrix) -> AnyArray:
        """Weighted sums over cells of every channel.

        The maps are never enlarged: the weights are brought to each map's own cells instead (the
        transpose of bilinear interpolation), which gives the same sums.

        Args:
            weights: (n, h * w) of the cells of ``box``, row by row.

        Returns:
            (n, channels) float64.
        """
        parts = []
        for level in self.levels:
            spread = weights @ self._interpolation(level)
            values = level.values.reshape(len(level.values), -1).T
            parts.append(spread @ values.astype(np.float64))
        flat = self.colours.reshape(len(self.colours), -1).T
        parts.append(weights @ flat.astype(np.float64))
        return np.concatenate(parts, axis=1)

    def dense(self, box: CellBox) -> FloatArray:
        """All channels on some cells of ``box``: (channels, h, w) float32."""
        offset = self._offset(box)
        cells = float(self.cell), float(self.cell)
        maps = [
            resample(lv.values, lv.cell, cells, offset=offset, shape=box.shape)
            for lv in self.levels
        ]
        rows, cols = box.slices(self.box)
        maps.append(self.colours[:, rows, cols])
        return np.concatenate(maps)

    def at(self, rows: AnyArray, cols: AnyArray) -> FloatArray:
        """All channels at cells of the raster's lattice: (n, channels) float32."""
        place = (rows - self.box.row0) * self.box.width + (cols - self.box.col0)
        ones = np.ones(len(place), np.float64)
        shape = (len(place), self.box.area)
        picked = sparse.csr_matrix((ones, (np.arange(len(place)), place)), shape)
        return self.pooled(picked).astype(np.float32)

    def projected(self, weights: FloatArray) -> FloatArray:
        """Linear functions of the channels on all cells of ``box``.

        Each map is projected at its own resolution and only the results are enlarged, because
        interpolation and projection are both linear.

        Args:
            weights: (k, channels).

        Returns:
            (k, h, w) float32.
        """
        cells = float(self.cell), float(self.cell)
        offset = self._offset(self.box)
        total = np.zeros((len(weights), *self.box.shape), np.float32)
        start = 0
        for level in self.levels:
            part = weights[:, start : start + len(level.values)]
            start += len(level.values)
            seen = np.tensordot(part, level.values, axes=(1, 0)).astype(np.float32)
            total += resample(seen, level.cell, cells, offset=offset, shape=self.box.shape)
        total += np.tensordot(weights[:, start:], self.colours, axes=(1, 0)).astype(np.float32)
        return total

    def _offset(self, box: CellBox) -> tuple[float, float]:
        """(row, column) of a box's corner from the window's corner, pixels."""
        return (
            float(box.row0 * self.cell - self.origin[0]),
            float(box.col0 * self.cell - self.origin[1]),
        )

    def _interpolation(self, level: FeatureLevel) -> sparse.csr_matrix:
        """(cells of ``box``, cells of the level) bilinear weights."""
        axes = []
        for axis, (count, wanted) in enumerate(
            zip(level.values.shape[1:], self.box.shape, strict=True)
        ):
            offset = self._offset(self.box)[axis]
            # Centres of the wanted cells, counted in the level's cells from its first centre.
            places = offset + (np.arange(wanted) + 0.5) * float(self.cell)
            low, high, weight = taps(count, places / level.cell[axis] - 0.5)
            rows = np.arange(wanted)
            axes.append(
                sparse.csr_matrix(
                    (
                        np.concatenate([1.0 - weight, weight]).astype(np.float64),
                        (np.concatenate([rows, rows]), np.concatenate([low, high])),
                    ),
                    (wanted, count),
                )
            )
        return sparse.csr_matrix(sparse.kron(axes[0], axes[1]))


def channel_names(levels: Sequence[FeatureLevel]) -> list[str]:
    """Names of all channels where an encoder gives these maps: ``level:number``, then
    ``colour:name``."""
    encoder = [f"{lv.name}:{i}" for lv in levels for i in range(len(lv.values))]
    return encoder + [f"colour:{name}" for name in COLOURS]


def window_features(
    tile: Tile,
    window: RasterWindow,
    grid: Grid,
    model: PromptableModel,
    cache: EmbeddingCache,
) -> WindowFeatures:
    """Encode a tile's window and bring what is known of it onto the lattice.

    Args:
        tile: The tile.
        window: Its pixels; small windows at the raster's edge are padded, so that scale is kept.
        grid: The job's grid.
        model: Gives the feature maps.
        cache: Where encodings are kept; values are those of the cache even where they are made.
    """
    canvas = pad_image(window.pixels, grid.window_size)
    key = embedding_key(canvas, model.info.fingerprint)
    embedding, _ = cache.get_or_make(key, lambda: model.encode([canvas])[0])
    box = tile.trusted.cells(grid.cell)
    whole = tile.window.cells(grid.cell)
    inner = box.slices(whole)
    return WindowFeatures(
        box,
        (tile.window.row0, tile.window.col0),
        grid.cell,
        feature_levels(embedding),
        np.ascontiguousarray(
            colour_channels(window.pixels, window.valid, grid.cell)[:, inner[0], inner[1]]
        ),
        valid_cells(window.valid, grid.cell)[inner],
    )


def colour_channels(pixels: ByteArray, valid: BoolArray, cell: int) -> FloatArray:
    """(k, h, w) float32 means of :data:`COLOURS` over the valid pixels of each cell, 0 to 1."""
    colour = pixels.astype(np.float32) / 255
    bright = colour.mean(axis=2)
    edge = np.hypot(ndimage.sobel(bright, 0), ndimage.sobel(bright, 1)) / 4
    total = colour.sum(axis=2) + 0.05
    channels = [
        *(colour[..., band] for band in range(3)),
        *(colour[..., band] ** 2 for band in range(3)),
        (colour[..., 0] + 0.05 / 3) / total,
        (colour[..., 1] + 0.05 / 3) / total,
        edge,
        edge**2,
    ]
    if cell == 1:
        return np.stack([np.where(valid, channel, 0) for channel in channels]).astype(np.float32)
    rows, cols = np.arange(0, valid.shape[0], cell), np.arange(0, valid.shape[1], cell)

    def summed(values: AnyArray) -> AnyArray:
        return np.add.reduceat(np.add.reduceat(values, rows, 0), cols, 1)

    known = np.maximum(summed(valid.astype(np.float32)), 1)
    means = [summed(np.where(valid, channel, 0)) / known for channel in channels]
    return np.stack(means).astype(np.float32)
