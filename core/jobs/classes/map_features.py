# SPDX-License-Identifier: GPL-2.0-or-later
"""What lines and polygons of a class map share: blocks, scale, columns."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Any

import geopandas as gpd
import numpy as np

from ...classes.skeleton import BLOCK
from ...merge.nodes import lattice
from ...raster.raster import Raster
from ...tiles.grid import Grid
from ...types import CellBox
from ...vectors.geodesic import pixel_areas


def blocks_of(grid: Grid) -> list[CellBox]:
    whole = lattice(grid)
    return [
        CellBox(row, col, row + BLOCK, col + BLOCK).intersection(whole)
        for row in range(0, whole.row1, BLOCK)
        for col in range(0, whole.col1, BLOCK)
    ]


def metres_per_pixel(raster: Raster) -> float:
    """Side of a working pixel in the middle of the raster, metres on the ground (or pixels)."""
    middle = np.array([raster.transform @ (raster.width / 2, raster.height / 2)])
    crs = None if raster.crs is None else raster.crs.to_wkt()
    return math.sqrt(max(float(pixel_areas(middle, raster.transform, crs)[0]), 1e-12))


def map_frame(
    shapes: Sequence[Any], columns: dict[str, Any], raster: Raster, model: str
) -> gpd.GeoDataFrame:
    ids = [hashlib.blake2b(shape.wkb, digest_size=8).hexdigest() for shape in shapes]
    return gpd.GeoDataFrame(
        {"id": ids, "model": model, "source": raster.name, **columns},
        geometry=gpd.GeoSeries(shapes, dtype="geometry" if not shapes else None),
    )
