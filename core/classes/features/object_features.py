# SPDX-License-Identifier: GPL-2.0-or-later
"""Features of objects: what a model sees under a mask and in a ring around it, and its colours.

Objects may cross tiles. A tile sums its channels under every object, each cell weighted by the
tile's tent (``merge/fuse.py``: the weights of all tiles that see a cell add up to one), and the
sums of all tiles are added in the order of the tiles. So an object has the same features wherever
the seams run, and whichever worker has a tile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import rasterize
from scipy import ndimage, sparse

from ...types import AnyArray, BoolArray, CellBox, FloatArray
from .window_features import COLOURS, WindowFeatures

RING = 3
"""Cells of the ring around an object."""

Doubles = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PooledSums:
    """Weighted sums of channels under some objects.

    Args:
        rows: (m,) int64 numbers of the objects, ascending.
        inside: (m, c) float64 sums under the objects.
        around: (m, c) float64 sums in their rings.
        mass: (m, 2) float64 sums of the weights, inside and around.
    """

    rows: NDArray[np.int64]
    inside: Doubles
    around: Doubles
    mass: Doubles


def pool(
    features: WindowFeatures,
    tent: FloatArray,
    rows: Sequence[int],
    polygons: Sequence[Any],
) -> PooledSums:
    """Sums of a window's channels under objects.

    Args:
        features: Of the window.
        tent: (h, w) weights of the window's trusted cells.
        rows: Numbers of the objects, ascending.
        polygons: Their shapes in working pixels (x = column, y = row).
    """
    weights = np.where(features.valid, tent, 0).astype(np.float64)
    inside, around = [], []
    for polygon in polygons:
        within, ring = object_cells(polygon, features.box, features.cell)
        inside.append(_row(within, weights))
        around.append(_row(ring, weights))
    shape = (len(polygons), features.box.area)
    spread = [_matrix(part, shape) for part in (inside, around)]
    mass = np.column_stack([np.asarray(part.sum(axis=1)).ravel() for part in spread])
    return PooledSums(
        np.asarray(rows, np.int64),
        features.pooled(spread[0]),
        features.pooled(spread[1]),
        mass.reshape(-1, 2),
    )


def object_cells(polygon: Any, frame: CellBox, cell: int) -> tuple[AnyArray, AnyArray]:
    """Cells under an object and in the ring around it, as positions in a frame, row by row.

    Args:
        polygon: In working pixels.
        frame: Cells that are known; the object may reach beyond.
        cell: Side of a cell, working pixels.
    """
    x0, y0, x1, y1 = shapely.bounds(polygon)
    box = CellBox(
        int(np.floor(y0 / cell)),
        int(np.floor(x0 / cell)),
        int(np.ceil(y1 / cell)) or 1,
        int(np.ceil(x1 / cell)) or 1,
    )
    wide = box.grown(RING + 1).intersection(frame.grown(RING + 1))
    if wide.empty:
        return np.empty(0, np.intp), np.empty(0, np.intp)
    place = Affine(cell, 0, wide.col0 * cell, 0, cell, wide.row0 * cell)
    mask = _burnt(polygon, wide.shape, place, all_touched=False)
    if not mask.any():
        mask = _burnt(polygon, wide.shape, place, all_touched=True)
    cross = ndimage.generate_binary_structure(2, 2)
    ring = ndimage.binary_dilation(mask, cross, iterations=RING) & ~mask
    return _positions(mask, wide, frame), _positions(ring, wide, frame)


def _burnt(polygon: Any, shape: tuple[int, int], place: Affine, *, all_touched: bool) -> BoolArray:
    burnt: BoolArray = rasterize(
        [polygon], out_shape=shape, transform=place, all_touched=all_touched, dtype=np.uint8
    ).astype(bool)
    return burnt


def _positions(mask: BoolArray, box: CellBox, frame: CellBox) -> AnyArray:
    common = box.intersection(frame)
    rows, cols = np.nonzero(mask[common.slices(box)])
    rows = rows + common.row0 - frame.row0
    return np.asarray(rows * frame.width + cols + common.col0 - frame.col0, np.intp)


def _row(places: AnyArray, weights: Doubles) -> tuple[AnyArray, Doubles]:
    values = weights.ravel()[places]
    seen = values > 0
    return places[seen], values[seen]


def _matrix(rows: Sequence[tuple[AnyArray, Doubles]], shape: tuple[int, int]) -> sparse.csr_matrix:
    starts = np.concatenate([[0], np.cumsum([len(places) for places, _ in rows])])
    places = np.concatenate([np.empty(0, np.intp), *(places for places, _ in rows)])
    values = np.concatenate([np.empty(0), *(values for _, values in rows)])
    return sparse.csr_matrix((values, places, starts), shape)


def add_up(parts: Sequence[PooledSums], count: int, channels: int) -> PooledSums:
    """Sums of all tiles, added in the order given, for objects 0 to ``count - 1``."""
    inside, around = np.zeros((count, channels)), np.zeros((count, channels))
    mass = np.zeros((count, 2))
    for part in parts:
        inside[part.rows] += part.inside
        around[part.rows] += part.around
        mass[part.rows] += part.mass
    return PooledSums(np.arange(count), inside, around, mass)


def appearance(sums: PooledSums, names: Sequence[str]) -> tuple[FloatArray, list[str], BoolArray]:
    """Pooled sums as features: means inside, differences to the ring, and spreads of colours.

    Args:
        sums: Of all objects.
        names: Of the channels.

    Returns:
        (n, d) float32, the names of the columns, and (n,) bool: which objects lie on data. An
        object that leaves no room for a ring has a difference of 0.
    """
    mass = sums.mass
    seen = mass[:, 0] > 0
    within = sums.inside / np.maximum(mass[:, :1], 1e-12)
    outside = sums.around / np.maximum(mass[:, 1:], 1e-12)
    outside = np.where(mass[:, 1:] > 0, outside, within)
    columns, labels = [within, within - outside], [*(f"{n}|in" for n in names)]
    labels += [f"{n}|diff" for n in names]
    position = {name: k for k, name in enumerate(names)}
    for name in COLOURS:
        square = position.get(f"colour:{name}2")
        if square is None:
            continue
        plain = position[f"colour:{name}"]
        for what, means in (("in", within), ("ring", outside)):
            variance = means[:, square] - means[:, plain] ** 2
            columns.append(np.sqrt(np.maximum(variance, 0))[:, None])
            labels.append(f"spread:{name}|{what}")
    values = np.concatenate(columns, axis=1)
    values[~seen] = 0
    return values.astype(np.float32), labels, np.asarray(seen, np.bool_)
