# SPDX-License-Identifier: GPL-2.0-or-later
"""Areas and lengths on the ellipsoid, for any CRS, fast enough for every polygon of a job.

Short edges (what contours are made of) are measured in closed form on arrays; shapes with a long
edge or close to a pole go through pyproj's geodesics one by one. The two agree to about 1e-6
(``tests/core/test_measures.py`` proves it against GeographicLib).

* Area: the authalic latitude turns the ellipsoid into a plane of equal areas (x = a longitude,
  y = a q / 2; Snyder, *Map Projections: A Working Manual*, 1987, eq. 3-12), where the shoelace
  formula is exact up to the bend of an edge, (edge / earth radius) x tan(latitude) / 12 of the
  edge's square.
* Length: the mid-latitude formula with the radii of curvature along the meridian and across.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Geod, Transformer

LONG_EDGE = 1000.0
"""Metres: shapes with a longer edge are measured by geodesics."""

POLAR = 84.0
"""Degrees of latitude beyond which the closed formulas are not used."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Measures:
    """Sizes of n shapes.

    Args:
        area: (n,) float64; m2 on the ellipsoid, or square CRS units (pixels) without a CRS. 0 for
            lines and points; NaN where a shape lies outside what its CRS can show.
        perimeter: (n,) float64; m, or CRS units. All rings of a polygon; the length of a line.
    """

    area: Floats
    perimeter: Floats


def measure(geometries: Sequence[Any] | NDArray[Any], crs: Any | None) -> Measures:
    """Area and perimeter of shapes.

    Args:
        geometries: Shapely geometries, (x, y) in ``crs``; None and empty ones measure 0.
        crs: Anything pyproj understands, or None: then the plane of the coordinates counts, as it
            does in a local system, which has no place on an ellipsoid.
    """
    shapes = np.asarray(geometries, dtype=object).reshape(-1)
    known = None if crs is None else CRS.from_user_input(_wkt(crs))
    if known is not None and known.geodetic_crs is not None:
        return _on_ellipsoid(shapes, known)
    # A local system (of a building site, a microscope) lies on a plane, and may have a unit.
    unit = known.axis_info[0].unit_conversion_factor if known and known.axis_info else 1.0
    area, length = shapely.area(shapes), shapely.length(shapes)
    return Measures(np.nan_to_num(area) * unit**2, np.nan_to_num(length) * unit)


def _wkt(crs: Any) -> Any:
    """rasterio's CRS as text; pyproj takes everything else as it is."""
    return crs.to_wkt() if hasattr(crs, "to_wkt") else crs


def _on_ellipsoid(shapes: NDArray[Any], crs: CRS) -> Measures:
    count = len(shapes)
    geod = crs.get_geod() or Geod(ellps="WGS84")
    rings, owner, sign = _rings(shapes)
    xy, ring = shapely.get_coordinates(rings, return_index=True)
    lon, lat = _lonlat(xy, crs)
    bad = ~(np.isfinite(lon) & np.isfinite(lat))
    lon, lat = np.where(bad, 0.0, lon), np.where(bad, 0.0, lat)

    edge = np.flatnonzero(ring[1:] == ring[:-1])  # index of an edge's first vertex
    lon = _unwrap(lon, edge, ring)
    lengths = _edge_lengths(lon, lat, edge, geod)
    # Long edges and high latitudes are left to GeographicLib.
    hard = np.zeros(count, bool)
    np.logical_or.at(hard, owner[ring[edge]], lengths > LONG_EDGE)
    np.logical_or.at(hard, owner[ring], np.abs(lat) > POLAR)

    area_of_ring = _ring_areas(lon, lat, edge, ring, len(rings), geod)
    area = _summed(owner, sign * area_of_ring, count)
    perimeter = _summed(owner[ring[edge]], lengths, count)
    for index in np.flatnonzero(hard):
        area[index], perimeter[index] = _by_geodesics(
            int(index), owner, sign, ring, lon, lat, len(rings), geod
        )
    outside = np.unique(owner[ring[bad]])
    area[outside] = np.nan
    perimeter[outside] = np.nan
    return Measures(np.maximum(area, 0.0), perimeter)


def _rings(shapes: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64], Floats]:
    """Rings and lines of all shapes: geometries, the shape that owns each, and its sign of area."""
    parts, part_owner = shapely.get_parts(shapes, return_index=True)
    while np.any(shapely.get_type_id(parts) >= 4):  # collections within collections
        parts, inner = shapely.get_parts(parts, return_index=True)
        part_owner = part_owner[inner]
    kinds = shapely.get_type_id(parts)
    polygons = np.flatnonzero(kinds == 3)
    rings, of_polygon = shapely.get_rings(parts[polygons], return_index=True)
    outer = np.ones(len(rings), bool)
    outer[1:] = of_polygon[1:] != of_polygon[:-1]
    lines = np.flatnonzero((kinds == 1) | (kinds == 2))
    return (
        np.concatenate([rings, parts[lines]]),
        np.concatenate([part_owner[polygons][of_polygon], part_owner[lines]]),
        np.concatenate([np.where(outer, 1.0, -1.0), np.zeros(len(lines))]),
    )


def _lonlat(xy: Floats, crs: CRS) -> tuple[Floats, Floats]:
    if len(xy) == 0:
        return np.empty(0), np.empty(0)
    if crs.is_geographic:
        # Always degrees, east from Greenwich: some systems count in grads or from Paris.
        unit = crs.axis_info[0].unit_conversion_factor if crs.axis_info else np.pi / 180
        factor = np.rad2deg(unit)
        return xy[:, 0] * factor, xy[:, 1] * factor
    transformer = Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True)
    lon, lat = transformer.transform(xy[:, 0], xy[:, 1])
    return np.asarray(lon), np.asarray(lat)


def _unwrap(lon: Floats, edge: NDArray[np.int64], ring: NDArray[np.int64]) -> Floats:
    """Longitudes without the jump at the date line: no edge spans more than half the globe."""
    step = np.zeros(len(lon))
    step[edge + 1] = -360.0 * np.round((lon[edge + 1] - lon[edge]) / 360.0)
    turns = np.cumsum(step)
    first = np.searchsorted(ring, np.arange(ring[-1] + 1 if len(ring) else 0))
    return lon + turns - turns[first][ring] if len(ring) else lon


def _edge_lengths(lon: Floats, lat: Floats, edge: NDArray[np.int64], geod: Geod) -> Floats:
    middle = np.deg2rad((lat[edge] + lat[edge + 1]) / 2)
    root = 1.0 - geod.es * np.sin(middle) ** 2
    across = geod.a / np.sqrt(root) * np.cos(middle)
    along = geod.a * (1.0 - geod.es) / root**1.5
    dx = across * np.deg2rad(lon[edge + 1] - lon[edge])
    dy = along * np.deg2rad(lat[edge + 1] - lat[edge])
    return np.hypot(dx, dy)


def _ring_areas(
    lon: Floats,
    lat: Floats,
    edge: NDArray[np.int64],
    ring: NDArray[np.int64],
    count: int,
    geod: Geod,
) -> Floats:
    first = np.searchsorted(ring, np.arange(count))
    x = geod.a * np.deg2rad(lon)
    y = geod.a * _authalic_q(np.deg2rad(lat), geod.es) / 2.0
    # Relative to the ring's first vertex: the products of large coordinates would cancel badly.
    x -= x[first][ring] if len(ring) else 0.0
    y -= y[first][ring] if len(ring) else 0.0
    cross = x[edge] * y[edge + 1] - x[edge + 1] * y[edge]
    return np.abs(_summed(ring[edge], cross, count)) / 2.0


def _summed(group: NDArray[np.int64], values: Floats, count: int) -> Floats:
    total: Floats = np.bincount(group, weights=values, minlength=count).astype(np.float64)
    return total


def _authalic_q(latitude: Floats, es: float) -> Floats:
    sine: Floats = np.sin(latitude)
    if es < 1e-12:  # a sphere, as most planets' projections assume
        return 2.0 * sine
    e = float(np.sqrt(es))
    log: Floats = np.log((1.0 - e * sine) / (1.0 + e * sine))
    return (1.0 - es) * (sine / (1.0 - es * sine**2) - log / (2.0 * e))


def _by_geodesics(
    index: int,
    owner: NDArray[np.int64],
    sign: Floats,
    ring: NDArray[np.int64],
    lon: Floats,
    lat: Floats,
    count: int,
    geod: Geod,
) -> tuple[float, float]:
    area = perimeter = 0.0
    for number in np.flatnonzero(owner == index):
        begin, end = np.searchsorted(ring, [number, number + 1])
        if sign[number] == 0.0:
            perimeter += geod.line_length(lon[begin:end], lat[begin:end])
        else:
            part, length = geod.polygon_area_perimeter(lon[begin:end], lat[begin:end])
            area += sign[number] * abs(part)
            perimeter += length
    return area, perimeter
