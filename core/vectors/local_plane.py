# SPDX-License-Identifier: GPL-2.0-or-later
"""A local plane in metres around a geometry, for right angles and distances.

Right angles, widths and distances need lengths. In a geographic CRS a geometry is laid out in
metres around its own middle (a plane scaled by the ellipsoid's radii there), worked on, and laid
back.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyproj
import shapely

from ..earth.crs import degrees_per_unit, known_crs
from .contours import simplest
from .geodesic import measure
from .right_angles import right_angles

MEANT_BEYOND = 1e-3
"""Share of a polygon beyond the raster from which on it is not there by rounding."""


class LocalPlane:
    """Metres around a place; the plane of a projected CRS is taken as it is, in its own units."""

    def __init__(self, geometry: Any, crs: pyproj.CRS | None) -> None:
        self.origin = np.array([geometry.centroid.x, geometry.centroid.y])
        self.crs = crs
        self.scale = np.ones(2)
        if crs is not None and crs.is_geographic:
            geod = crs.get_geod() or pyproj.Geod(ellps="WGS84")
            unit = degrees_per_unit(crs)
            lon, lat = self.origin * unit
            step = 1e-4
            east = geod.inv(lon - step, lat, lon + step, lat)[2] / (2 * step)
            north = geod.inv(lon, lat - step, lon, lat + step)[2] / (2 * step)
            if np.isfinite((east, north)).all():  # else no place on Earth, and no metres
                self.scale = np.array([max(east, 1e-6), max(north, 1e-6)]) * unit

    def metres(self, geometry: Any) -> float:
        """Metres on the ground in one unit of the plane, by the area of a polygon in the CRS.

        A projected CRS may count in feet, and its scale may differ from place to place: a unit of
        Web Mercator at 60 degrees is half a metre.
        """
        if self.crs is None or self.crs.is_geographic:
            return 1.0
        square = float(measure([geometry], self.crs).area[0]) / max(float(geometry.area), 1e-12)
        return float(np.sqrt(square)) if np.isfinite(square) and square > 0 else 1.0

    def there(self, geometry: Any) -> Any:
        return shapely.transform(geometry, lambda xy: (xy - self.origin) * self.scale)

    def back(self, geometry: Any) -> Any:
        return shapely.transform(geometry, lambda xy: xy / self.scale + self.origin)


def squared(geometry: Any, crs: Any, tolerance: float | None = None, frame: Any = None) -> Any:
    """One polygon with right angles, where they suit it.

    Args:
        geometry: Polygon or multipolygon in ``crs``.
        crs: Anything pyproj understands, or None for a plane.
        tolerance: Sides shorter than this are noise, units of ``crs``; None for
            :func:`short_side`.
        frame: The raster's outline in ``crs``, beyond which right angles must not lead: a polygon
            within it is cut to it. None for no bounds.
    """
    plane = LocalPlane(geometry, known_crs(crs))
    flat = plane.there(geometry)
    if tolerance is not None:
        tolerance *= float(plane.scale[1])
    wanted = tolerance if tolerance else short_side(flat)
    if wanted <= 0:
        return geometry
    straight = plane.back(right_angles(flat, wanted))
    if frame is None or frame.covers(straight):
        return straight
    if shapely.difference(geometry, frame).area > MEANT_BEYOND * geometry.area:
        return straight
    return simplest(shapely.intersection(straight, frame))


def short_side(geometry: Any) -> float:
    """A length below which sides are noise: 1.5 times the lower quartile of all sides."""
    rings = shapely.get_rings(shapely.get_parts(geometry))
    xy, ring = shapely.get_coordinates(rings, return_index=True)
    step = np.hypot(*np.diff(xy, axis=0).T)[ring[1:] == ring[:-1]]
    return 1.5 * float(np.quantile(step, 0.25)) if len(step) else 0.0
