# SPDX-License-Identifier: GPL-2.0-or-later
"""Real footprints as a scene: vector truth on a raster's grid, one thing a footprint."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
import shapely
from rasterio.features import rasterize
from samgeo_core.types import CellBox
from shapely import Geometry

from .scenes import Scene, Thing


def footprint_scene(raster: Path, footprints: Path) -> tuple[Scene, list[Geometry]]:
    """Footprints burnt one by one onto a raster's pixels; they may overlap and nest.

    Returns:
        The scene and each thing's footprint in pixel coordinates, cut to the raster. A footprint
        that holds no pixel's centre is burnt with all pixels that it touches, so none is lost.
    """
    with rasterio.open(raster) as file:
        transform, shape, crs = file.transform, file.shape, file.crs
    a, b, c, d, e, f = (~transform)[:6]
    frame = shapely.box(0, 0, shape[1], shape[0])
    things, shapes = [], []
    for polygon in gpd.read_file(footprints).to_crs(crs).geometry:
        pixels = shapely.transform(polygon, lambda xy: xy @ [[a, d], [b, e]] + [c, f])
        pixels = shapely.intersection(shapely.make_valid(pixels), frame)
        if shapely.area(pixels) == 0:
            continue
        x0, y0, x1, y1 = shapely.bounds(pixels)
        box = CellBox(int(y0), int(x0), int(np.ceil(y1)), int(np.ceil(x1)))
        mask = _burn(pixels, box, all_touched=False)
        if not mask.any():
            mask = _burn(pixels, box, all_touched=True)
        rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        inner = CellBox(rows[0], cols[0], rows[-1] + 1, cols[-1] + 1)
        tight = CellBox(*(int(side) for side in (inner.row0, inner.col0, inner.row1, inner.col1)))
        things.append(
            Thing(
                tight.shifted(box.row0, box.col0),
                mask[tight.slices(CellBox(0, 0, *box.shape))],
                "footprint",
            )
        )
        shapes.append(pixels)
    return Scene(shape, things), shapes


def _burn(pixels: Geometry, box: CellBox, *, all_touched: bool) -> np.ndarray:
    origin = rasterio.Affine.translation(box.col0, box.row0)
    return rasterize(
        [pixels], out_shape=box.shape, transform=origin, all_touched=all_touched, dtype=np.uint8
    ).astype(bool)


def centroid(thing: Thing) -> tuple[float, float]:
    """(x, y) of the mean of a mask's pixels, continuous pixel coordinates."""
    rows, cols = np.nonzero(thing.mask)
    return float(cols.mean() + 0.5 + thing.box.col0), float(rows.mean() + 0.5 + thing.box.row0)


def same_masks(found: Sequence[Thing], truth: Sequence[Thing]) -> tuple[int, int]:
    """How many true masks came back exactly, and how many found ones are no true mask.

    Equal true masks must come back as often as they are there.
    """
    wanted: dict[tuple[CellBox, bytes], int] = {}
    for thing in truth:
        key = (thing.box, thing.mask.tobytes())
        wanted[key] = wanted.get(key, 0) + 1
    extra = 0
    for thing in found:
        key = (thing.box, thing.mask.tobytes())
        if wanted.get(key, 0):
            wanted[key] -= 1
        else:
            extra += 1
    return len(truth) - sum(wanted.values()), extra
