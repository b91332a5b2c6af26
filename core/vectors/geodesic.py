# SPDX-License-Identifier: GPL-2.0-or-later
"""Area and length on the ellipsoid, for any CRS.

A shape is what its CRS draws: its edges are straight there. Short edges (what contours are made of)
are measured as they are; rings with a long edge or close to a pole get more vertices first. The
tests compare both with GeographicLib, to about 1e-5.

* Area: the authalic latitude turns the ellipsoid into a plane of equal areas (x = a longitude,
  y = a q / 2; Snyder, *Map Projections: A Working Manual*, 1987, eq. 3-12), where the shoelace
  formula is exact up to the bend of an edge, (edge / earth radius) x tan(latitude) / 12 of the
  edge's square. A ring around a pole is closed along the pole's edge of that plane.
* Length: the mid-latitude formula with the radii of curvature along the meridian and across; for
  rings with more vertices the straight lines between places in space, and the arcs above them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS, Geod

from ..earth.crs import geographic, known_crs, metres_per_unit
from ..earth.longitude import Move, counterclockwise, keeps_orientation, unwrapped, windings
from ..earth.reproject import to_degrees

LONG_EDGE = 1000.0
"""Metres: rings with a longer edge get more vertices."""

POLAR = 75.0
"""Degrees of latitude beyond which rings get more vertices."""

WIDE, HIGH = 0.25, 0.25
"""Degrees of longitude and of latitude that an edge of such a ring spans at most."""

FINE, FINEST = 1 / 200, 3e-4
"""Shares of such a ring's length: a longer edge is cut, and a shorter one is not."""

PIECES, ROUNDS = 4, 9
"""Pieces into which an edge is cut, round by round."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


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
    known = known_crs(crs)
    if known is not None and geographic(known) is not None:
        return _on_ellipsoid(shapes, known)
    # A local system (of a building site, a microscope) lies on a plane, and may have a unit.
    unit = metres_per_unit(known) if known is not None else 1.0
    area, length = shapely.area(shapes), shapely.length(shapes)
    return Measures(np.nan_to_num(area) * unit**2, np.nan_to_num(length) * unit)


def pixel_areas(places: Floats, transform: Affine, crs: Any | None) -> Floats:
    """Areas on the ground of a raster's pixels around some places.

    Args:
        places: (n, 2) float64, (x, y) in ``crs``.
        transform: (column, row) to (x, y).
        crs: As for :func:`measure`.

    Returns:
        (n,) float64, units as of :attr:`Measures.area`.
    """
    t = transform
    corners = np.array([(-t.a - t.b, -t.d - t.e), (t.a - t.b, t.d - t.e)]) / 2
    square = np.concatenate([corners, -corners])
    return measure(shapely.polygons(places[:, None] + square), crs).area


@lru_cache(maxsize=32)
def _ellipsoid(crs: CRS) -> tuple[float, float]:
    """Half the larger axis, m, and the square of the eccentricity."""
    geod = crs.get_geod() or Geod(ellps="WGS84")
    return float(geod.a), float(geod.es)


def _on_ellipsoid(shapes: NDArray[Any], crs: CRS) -> Measures:
    count = len(shapes)
    axis, es = _ellipsoid(crs)
    degrees = to_degrees(crs)
    rings, owner, sign = _rings(shapes)
    xy, ring = shapely.get_coordinates(rings, return_index=True)
    lon, lat, bad = _lonlat(xy, ring, crs, degrees)
    edge = np.flatnonzero(ring[1:] == ring[:-1])  # index of an edge's first vertex
    lengths = _edge_lengths(lon, lat, edge, axis, es)
    area_of = _ring_areas(lon, lat, ring, len(rings), axis, es)
    length_of = _summed(ring[edge], lengths, len(rings))

    hard = np.zeros(len(rings), bool)
    hard[ring[edge[lengths > LONG_EDGE]]] = True
    hard[ring[np.abs(lat) > POLAR]] = True
    outside = np.zeros(len(rings), bool)
    outside[ring[bad]] = True
    numbers = np.flatnonzero(hard & ~outside)
    if len(numbers):
        chosen = np.isin(ring, numbers)
        area_of[numbers], length_of[numbers] = _with_more_vertices(
            xy[chosen], np.searchsorted(numbers, ring[chosen]), len(numbers), crs, degrees
        )
    area = _summed(owner, sign * area_of, count)
    perimeter = _summed(owner, length_of, count)
    lost = np.unique(owner[outside])
    area[lost] = np.nan
    perimeter[lost] = np.nan
    return Measures(np.maximum(area, 0.0), perimeter)


def _lonlat(xy: Floats, ring: Ints, crs: CRS, degrees: Move) -> tuple[Floats, Floats, Bools]:
    """Degrees without jumps along a ring, and which vertices have none (they are 0, 0)."""
    lon, lat = degrees(xy).T if len(xy) else np.empty((2, 0))
    bad = ~(np.isfinite(lon) & np.isfinite(lat))
    lon, lat = np.where(bad, 0.0, lon), np.clip(np.where(bad, 0.0, lat), -90.0, 90.0)
    # In a geographic CRS an edge is what it says, however long it is.
    return (lon if crs.is_geographic else unwrapped(lon, ring)), lat, bad


def _with_more_vertices(
    xy: Floats, ring: Ints, count: int, crs: CRS, degrees: Move
) -> tuple[Floats, Floats]:
    """Areas and lengths of rings with long edges or around poles."""
    axis, es = _ellipsoid(crs)
    parts = np.arange(1, PIECES)[:, None] / PIECES
    first = np.searchsorted(ring, np.arange(count))
    span = (np.maximum.reduceat(xy, first) - np.minimum.reduceat(xy, first)).max(axis=1)
    for _ in range(ROUNDS):
        lon, lat, _ = _lonlat(xy, ring, crs, degrees)
        edge = np.flatnonzero(ring[1:] == ring[:-1])
        lengths = _chords(lon, lat, edge, axis, es)
        whole = _summed(ring[edge], lengths, count)[ring[edge]]
        wide = np.abs(lon[edge + 1] - lon[edge]) > WIDE
        high = np.abs(lat[edge + 1] - lat[edge]) > HIGH
        coarse = wide | high | (lengths > np.maximum(LONG_EDGE, FINE * whole))
        # An edge around the whole Earth ends where it begins: only its x tells.
        far = np.abs(xy[edge + 1] - xy[edge]).max(axis=1) > span[ring[edge]] / 8
        at = edge[(coarse & (lengths > FINEST * whole)) | far]
        if len(at) == 0:
            break
        inner = xy[at, None] + parts * (xy[at + 1] - xy[at])[:, None]
        where = np.repeat(at + 1, PIECES - 1)
        xy = np.insert(xy, where, inner.reshape(-1, 2), axis=0)
        ring = np.insert(ring, where, np.repeat(ring[at], PIECES - 1))
    lon, lat, bad = _lonlat(xy, ring, crs, degrees)
    edge = np.flatnonzero(ring[1:] == ring[:-1])
    area = _ring_areas(lon, lat, ring, count, axis, es)
    length = _summed(ring[edge], _chords(lon, lat, edge, axis, es), count)
    numbers = np.arange(count)
    first, last = np.searchsorted(ring, numbers), np.searchsorted(ring, numbers, "right") - 1
    closed = (xy[first] == xy[last]).all(axis=1)
    around = np.zeros(count, np.int64) if crs.is_geographic else windings(lon, first, last)
    for number in np.flatnonzero(closed & (around != 0)):
        begin, end = first[number], last[number] + 1
        own, place = xy[begin:end], np.column_stack([lon[begin:end], lat[begin:end]])
        left = counterclockwise(own) == keeps_orientation(own, place, degrees)
        north = (around[number] > 0) == left
        area[number] = _polar_area(place, 90.0 if north else -90.0, axis, es)
    broken = np.unique(ring[bad])
    area[broken] = np.nan
    length[broken] = np.nan
    return area, length


def _polar_area(place: Floats, pole: float, axis: float, es: float) -> float:
    """Area between a ring around a pole and the pole, m2."""
    closed = np.concatenate([place, [(place[-1, 0], pole), (place[0, 0], pole), place[0]]])
    zeros = np.zeros(len(closed), np.int64)
    return float(_ring_areas(closed[:, 0], closed[:, 1], zeros, 1, axis, es)[0])


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


def _edge_lengths(lon: Floats, lat: Floats, edge: Ints, axis: float, es: float) -> Floats:
    """Metres of short edges, by the radii of curvature at their middle."""
    middle = np.deg2rad((lat[edge] + lat[edge + 1]) / 2)
    root = 1.0 - es * np.sin(middle) ** 2
    across = axis / np.sqrt(root) * np.cos(middle)
    along = axis * (1.0 - es) / root**1.5
    dx = across * np.deg2rad(lon[edge + 1] - lon[edge])
    dy = along * np.deg2rad(lat[edge + 1] - lat[edge])
    return np.hypot(dx, dy)


def _chords(lon: Floats, lat: Floats, edge: Ints, axis: float, es: float) -> Floats:
    """Metres of edges as arcs above the straight lines between their ends, at poles too."""
    phi, lam = np.deg2rad(lat), np.deg2rad(lon)
    radius = axis / np.sqrt(1.0 - es * np.sin(phi) ** 2)
    place = np.column_stack(
        [
            radius * np.cos(phi) * np.cos(lam),
            radius * np.cos(phi) * np.sin(lam),
            radius * (1.0 - es) * np.sin(phi),
        ]
    )
    chord = np.sqrt(((place[edge + 1] - place[edge]) ** 2).sum(axis=1))
    arcs: Floats = 2.0 * axis * np.arcsin(np.minimum(chord / (2.0 * axis), 1.0))
    return arcs


def _ring_areas(lon: Floats, lat: Floats, ring: Ints, count: int, axis: float, es: float) -> Floats:
    """m2 within rings whose edges are straight in the plane of equal areas."""
    if len(ring) == 0:
        return np.zeros(count)
    edge = np.flatnonzero(ring[1:] == ring[:-1])
    first = np.searchsorted(ring, ring)
    x = axis * np.deg2rad(lon)
    y = axis * _authalic_q(np.deg2rad(lat), es) / 2.0
    # Relative to the ring's first vertex: the products of large coordinates would cancel badly.
    x = x - x[first]
    y = y - y[first]
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
