# SPDX-License-Identifier: GPL-2.0-or-later
"""Coordinate reference systems: parsing, comparison and transformers, defined once.

Everything that a user or a file gives becomes a :class:`pyproj.CRS` here: WKT of any age and maker,
authority codes, PROJ strings, and the objects of rasterio. Only the horizontal part is kept,
because features are flat. Coordinates are always (x, y), east first, whatever the order of the
axes in the definition.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import rasterio.crs
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError

from ..errors import ParameterError

_UNDEFINED = {"undefined geographic srs", "undefined cartesian srs", "undefined srs"}
"""Names under which GDAL reports the GeoPackage's two "no CRS"."""


def known_crs(crs: Any) -> CRS | None:
    """A CRS as pyproj's own; None stays None.

    Args:
        crs: WKT, an authority code, a PROJ string, or an object of rasterio or pyproj.

    Returns:
        The horizontal CRS: of a compound or three-dimensional one without the height.

    Raises:
        ParameterError: It is not understood, or is geocentric.
    """
    if crs is None:
        return None
    if hasattr(crs, "to_wkt") and not isinstance(crs, CRS):
        crs = crs.to_wkt()
        if not crs:  # rasterio's empty CRS
            return None
    try:
        parsed = _parsed(crs)
    except (CRSError, UnicodeError, ValueError, TypeError) as error:
        raise ParameterError(
            f"{str(crs)[:80]!a} is not understood: it is not a coordinate system; give an "
            "authority code like EPSG:25832, or WKT."
        ) from error
    if parsed.is_geocentric:
        raise ParameterError(
            f"{parsed.name} is geocentric: its x, y and z count from the middle of the Earth, and "
            "are no place on a map. Give another coordinate system, like EPSG:25832."
        )
    return parsed


@lru_cache(maxsize=128)
def _parsed(crs: Any) -> CRS:
    parsed = CRS.from_user_input(crs)
    while parsed.is_compound:
        parsed = parsed.sub_crs_list[0]
    return parsed.to_2d() if len(parsed.axis_info) > 2 else parsed


def declared_crs(given: Any) -> CRS | None:
    """The CRS of a vector file; None also where a GeoPackage says that it has none.

    Args:
        given: What GDAL makes of the file's: for "undefined" a CRS of that name.
    """
    if given is None or given == "":
        return None
    crs = known_crs(given)
    return None if crs is None or crs.name.lower() in _UNDEFINED else crs


def raster_crs(crs: Any) -> rasterio.crs.CRS | None:
    """A CRS as rasterio's own; None stays None.

    Raises:
        ParameterError: It is not understood.
    """
    known = known_crs(crs)
    return None if known is None else rasterio.crs.CRS.from_wkt(known.to_wkt())


def same_crs(one: CRS | None, other: CRS | None) -> bool:
    """Whether coordinates mean the same in both; the order of axes does not matter here."""
    if one is None or other is None:
        return one is other
    return one is other or _equal(one, other)


@lru_cache(maxsize=256)
def _equal(one: CRS, other: CRS) -> bool:
    return bool(one.equals(other, ignore_axis_order=True))


@lru_cache(maxsize=64)
def transformer(source: CRS, target: CRS) -> Transformer:
    """The transformation of (x, y) from one CRS to another.

    Raises:
        pyproj.exceptions.ProjError: There is none, as between a local system and the Earth.
    """
    return Transformer.from_crs(source, target, always_xy=True)


@lru_cache(maxsize=128)
def geographic(crs: CRS) -> CRS | None:
    """The longitudes and latitudes under a CRS; None for a local system, which has none."""
    if crs.is_geographic:
        return crs
    base = crs.geodetic_crs
    return None if base is None else known_crs(base)


@lru_cache(maxsize=128)
def degrees_per_unit(crs: CRS) -> float:
    """Degrees in one unit of a geographic CRS: 1, or 0.9 where it counts in grads."""
    return float(np.rad2deg(crs.axis_info[0].unit_conversion_factor)) if crs.axis_info else 1.0


@lru_cache(maxsize=128)
def metres_per_unit(crs: CRS) -> float:
    """Metres in one unit of a projected or local CRS; 1 where it does not say."""
    return float(crs.axis_info[0].unit_conversion_factor) if crs.axis_info else 1.0
