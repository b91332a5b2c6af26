# SPDX-License-Identifier: GPL-2.0-or-later
"""Pixel size on the ground, in units of the CRS and in metres."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from affine import Affine
from pyproj import CRS
from pyproj.exceptions import ProjError

from .crs import geographic, metres_per_unit
from .longitude import on_sphere
from .reproject import EARTH, to_degrees

HALF = 0.5
"""Default tolerance of simplification, pixels."""


def pixel_sides(transform: Affine) -> tuple[float, float]:
    """Length of a pixel's step along a row and along a column, units of the CRS."""
    t = transform
    return math.hypot(t.a, t.d), math.hypot(t.b, t.e)


def pixel_side(transform: Affine) -> float:
    """*The* size of a pixel where one number is wanted: its shorter side, units of the CRS.

    So half a pixel of 1 x 2 m is 0.5 m everywhere, and no tolerance exceeds what can be seen.
    """
    return min(pixel_sides(transform))


def mean_side(transform: Affine) -> float:
    """Side of the square of a pixel's area, units of the CRS: what a working resolution means
    where pixels keep their aspect."""
    across, down = pixel_sides(transform)
    return math.sqrt(across * down)


def half_pixel(transform: Affine) -> float:
    """The default tolerance of simplification, units of the CRS."""
    return HALF * pixel_side(transform)


def ground_pixel(transform: Affine, shape: tuple[int, int], crs: CRS | None) -> float:
    """Metres on the ground of a raster's smallest pixel, by its larger side.

    A map's scale changes from place to place (a Web Mercator pixel at 60 degrees is half as large
    as at the equator), so nine places are looked at. The larger side counts, because towards the
    poles pixels in degrees become needles.

    Args:
        transform: (column, row) to (x, y).
        shape: (height, width).
        crs: Of the ground; None for a plane in metres.
    """
    plain = max(pixel_sides(transform))
    if crs is None:
        return plain
    if geographic(crs) is None:
        return plain * metres_per_unit(crs)
    rows, cols = (
        grid.ravel() for grid in np.meshgrid(*(np.linspace(0.02, 0.98, 3) * n for n in shape))
    )
    degrees = to_degrees(crs)

    def place(col: np.ndarray, row: np.ndarray) -> np.ndarray:
        t = transform
        xy = np.column_stack([t.a * col + t.b * row + t.c, t.d * col + t.e * row + t.f])
        return on_sphere(*degrees(xy).T)

    at = place(cols, rows)
    sides = [
        EARTH * np.linalg.norm(place(cols + right, rows + down) - at, axis=1)
        for right, down in ((1.0, 0.0), (0.0, 1.0))
    ]
    size = np.maximum(*sides)
    size = size[np.isfinite(size) & (size > 0)]
    return float(size.min()) if len(size) else plain * metres_per_unit(crs)


def middle_pixel(transform: Affine, crs: CRS | None, shape: tuple[int, int]) -> float | None:
    """Side of the square of a pixel's area on the ground in a raster's middle, metres.

    Args:
        transform: (column, row) to (x, y).
        crs: Of the ground.
        shape: (height, width).

    Returns:
        None without a CRS that gives metres.
    """
    if crs is None:
        return None
    t, (rows, cols) = transform, shape
    x, y = t @ (cols / 2, rows / 2)
    base = geographic(crs)
    try:
        geod = None if base is None else base.get_geod()
        if geod is not None:
            corner, *ends = to_degrees(crs)(
                np.array([(x, y), (x + t.a, y + t.d), (x + t.b, y + t.e)])
            ).tolist()
            lengths = [geod.inv(*corner, *end)[2] for end in ends]
        elif crs.is_geographic:
            return None
        else:
            lengths = [side * metres_per_unit(crs) for side in pixel_sides(transform)]
    except ProjError:
        return None
    side = math.sqrt(lengths[0] * lengths[1])
    return side if math.isfinite(side) and side > 0 else None


def without_empty_parts(shape: Any) -> Any:
    """A geometry without parts that are empty: GEOS crashes where it looks at the edges of one."""
    if shape is None or not hasattr(shape, "geoms"):
        return shape
    parts = [without_empty_parts(part) for part in shape.geoms]
    kept = [part for part in parts if not part.is_empty]
    nested = any(hasattr(part, "geoms") for part in kept)
    return type(shape)(kept) if nested or len(kept) < len(parts) else shape
