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
from ...raster.raster import Raster
from ...types import CellBox
from ...vectors.geodesic import measure, pixel_areas
from .class_map import ClassMap


def blocks_of(source: ClassMap) -> list[CellBox]:
    """The blocks of a map: where they begin does not depend on how much of the raster it shows."""
    whole = source.bounds
    return [
        CellBox(row, col, row + BLOCK, col + BLOCK).intersection(whole)
        for row in range(whole.row0 // BLOCK * BLOCK, whole.row1, BLOCK)
        for col in range(whole.col0 // BLOCK * BLOCK, whole.col1, BLOCK)
    ]


def metres_per_pixel(raster: Raster) -> float:
    """Side of a working pixel in the middle of the raster, metres on the ground (or pixels)."""
    middle = np.array([raster.transform @ (raster.width / 2, raster.height / 2)])
    crs = None if raster.crs is None else raster.crs.to_wkt()
    return math.sqrt(max(float(pixel_areas(middle, raster.transform, crs)[0]), 1e-12))


def pixel_metres(raster: Raster) -> tuple[float, float]:
    """Height and width of such a pixel, which differ where the raster is in degrees."""
    middle = raster.height / 2, raster.width / 2
    steps = [
        shapely.LineString([raster.transform @ middle[::-1], raster.transform @ end])
        for end in ((middle[1], middle[0] + 1), (middle[1] + 1, middle[0]))
    ]
    crs = None if raster.crs is None else raster.crs.to_wkt()
    down, across = np.maximum(measure(steps, crs).perimeter, 1e-6).tolist()
    return down, across


def map_frame(
    shapes: Sequence[Any], columns: dict[str, Any], raster: Raster, model: str
) -> gpd.GeoDataFrame:
    ids = [hashlib.blake2b(shape.wkb, digest_size=8).hexdigest() for shape in shapes]
    return gpd.GeoDataFrame(
        {"id": ids, "model": model, "source": raster.name, **columns},
        geometry=gpd.GeoSeries(shapes, dtype="geometry" if not shapes else None),
    )
