# SPDX-License-Identifier: GPL-2.0-or-later
"""What lines and polygons of a class map share: blocks, scale, columns."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Any

import geopandas as gpd
import numpy as np
import shapely

from ...classes.skeleton import BLOCK
from ...merge.nodes import lattice
from ...raster.raster import Raster
from ...tiles.grid import Grid
from ...types import CellBox
from ...vectors.contours import to_ground
from ...vectors.geodesic import measure


def blocks_of(grid: Grid) -> list[CellBox]:
    whole = lattice(grid)
    return [
        CellBox(row, col, row + BLOCK, col + BLOCK).intersection(whole)
        for row in range(0, whole.row1, BLOCK)
        for col in range(0, whole.col1, BLOCK)
    ]


def metres_per_pixel(raster: Raster) -> float:
    """Side of a working pixel in the middle of the raster, metres on the ground (or pixels)."""
    row, col = raster.height / 2, raster.width / 2
    corners = np.array([(col, row), (col + 1, row), (col + 1, row + 1), (col, row + 1)])
    square = to_ground(shapely.Polygon(corners), raster.transform[:6])
    crs = None if raster.crs is None else raster.crs.to_wkt()
    return math.sqrt(max(float(measure([square], crs).area[0]), 1e-12))


def map_frame(
    shapes: Sequence[Any], columns: dict[str, Any], raster: Raster, model: str
) -> gpd.GeoDataFrame:
    ids = [hashlib.blake2b(shape.wkb, digest_size=8).hexdigest() for shape in shapes]
    return gpd.GeoDataFrame(
        {"id": ids, "model": model, "source": raster.name, **columns},
        geometry=gpd.GeoSeries(shapes, dtype="geometry" if not shapes else None),
    )
