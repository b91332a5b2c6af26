# SPDX-License-Identifier: GPL-2.0-or-later
"""Layers of any CRS projected to one local plane, in metres.

The plane is a Lambert azimuthal equal-area projection (Snyder, *Map Projections: A Working
Manual*, 1987, chapter 24) around the middle of the data, on the data's own ellipsoid. Areas, and so
every IoU, are those on the ellipsoid however large the extent is. Lengths are exact in the middle
and off by at most (r / 2 R)^2 / 2 at the distance r from it: 8e-6 at 50 km, 0.3 % at 1,000 km.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from pyproj.crs import ProjectedCRS
from pyproj.crs.coordinate_operation import LambertAzimuthalEqualAreaConversion
from pyproj.exceptions import ProjError

from ..earth.geometry import without_empty_parts
from ..errors import ParameterError

LONGEST_EDGE = 500.0
"""Metres: longer edges get more vertices first, because a straight edge in one CRS is a curve in
another."""

MOST_STEPS = 1_000_000
"""Edges of that length around one shape; a longer one is no shape on the Earth."""

Shapes = NDArray[Any]


class EqualAreaPlane:
    """A plane around some shapes.

    Args:
        shapes: (n,) shapely geometries that lie around its middle, in ``crs``.
        crs: Their CRS, or None: then all layers lie on the plane of their own coordinates.
    """

    def __init__(self, shapes: Shapes, crs: CRS | None) -> None:
        self.crs: CRS | None = None
        if crs is None or crs.geodetic_crs is None:
            self.crs = crs
            return
        geodetic = crs.geodetic_crs
        lon, lat = _middle(_lonlat(shapes, crs, geodetic))
        self.crs = ProjectedCRS(
            LambertAzimuthalEqualAreaConversion(latitude_natural_origin=lat,
                                                longitude_natural_origin=lon),
            name="local plane",
            geodetic_crs=geodetic,
        )  # fmt: skip

    @property
    def unit(self) -> str:
        """What a length on this plane is counted in."""
        return "units" if self.crs is None else "m"

    def check(self, crs: CRS | None, what: str) -> None:
        """Whether something has a CRS where the plane has one.

        Raises:
            ParameterError: One has a CRS and the other has not.
        """
        if (crs is None) != (self.crs is None):
            raise ParameterError(
                f"{what} has {'no' if crs is None else 'a'} coordinate system and the other layer "
                f"has {'one' if crs is None else 'none'}: assign one to both, or to neither."
            )

    def place(self, shapes: Shapes, crs: CRS | None, what: str) -> Shapes:
        """Shapes on the plane.

        Args:
            shapes: (n,) shapely geometries in ``crs``.
            crs: Their CRS, or None where the plane has none either.
            what: Name of the layer, for messages.

        Raises:
            ParameterError: One has a CRS and the other has not, or there is no way between them.
        """
        self.check(crs, what)
        if crs is None or self.crs is None or crs.equals(self.crs):
            return shapes
        try:
            way = Transformer.from_crs(crs, self.crs, always_xy=True)
        except ProjError as error:
            raise ParameterError(
                f"{what} ({crs.name}) cannot be brought to a plane of metres: {error}"
            ) from error
        step = LONGEST_EDGE / _metres_per_unit(crs)
        somewhere = bool((shapely.length(shapes) < MOST_STEPS * step).all())  # NaN is not
        if somewhere:
            placed: Shapes = shapely.transform(
                shapely.segmentize([without_empty_parts(shape) for shape in shapes], step),
                lambda xy: np.column_stack(way.transform(xy[:, 0], xy[:, 1])),
            )
            somewhere = bool(np.isfinite(shapely.get_coordinates(placed)).all())
        if not somewhere:
            raise ParameterError(
                f"{what} has coordinates that lie nowhere on the ground in {crs.name}: check its "
                "coordinate system."
            )
        return placed

    def moved(self, shapes: Shapes, crs: CRS | None, by: NDArray[np.float64]) -> Shapes:
        """Shapes in their own CRS, moved by metres on the plane; their vertices stay what they are.

        Args:
            shapes: (n,) shapely geometries in ``crs``.
            crs: Theirs, or None where the plane has none either.
            by: (n, 2) metres to the east and to the north.
        """
        there = back = None
        if crs is not None and self.crs is not None and not crs.equals(self.crs):
            there = Transformer.from_crs(crs, self.crs, always_xy=True)
            back = Transformer.from_crs(self.crs, crs, always_xy=True)

        def move(xy: NDArray[np.float64], step: NDArray[np.float64]) -> NDArray[np.float64]:
            if there is None or back is None:
                return xy + step
            placed = np.column_stack(there.transform(xy[:, 0], xy[:, 1])) + step
            return np.column_stack(back.transform(placed[:, 0], placed[:, 1]))

        coordinates, numbers = shapely.get_coordinates(shapes, return_index=True)
        out: Shapes = shapely.set_coordinates(shapes.copy(), move(coordinates, by[numbers]))
        return out


def _metres_per_unit(crs: CRS) -> float:
    factor = crs.axis_info[0].unit_conversion_factor if crs.axis_info else 1.0
    return float(factor) * (6_371_000.0 if crs.is_geographic else 1.0)


def _lonlat(shapes: Shapes, crs: CRS, geodetic: CRS) -> NDArray[np.float64]:
    """(n, 2) longitude and latitude, degrees, of the middles of the shapes' boxes."""
    bounds = shapely.bounds(shapes)
    bounds = bounds[np.isfinite(bounds).all(axis=1)]
    if len(bounds) == 0:
        return np.zeros((1, 2))
    x, y = bounds[:, [0, 2]].mean(axis=1), bounds[:, [1, 3]].mean(axis=1)
    way = Transformer.from_crs(crs, geodetic, always_xy=True)
    lon, lat = way.transform(x, y)
    unit = geodetic.axis_info[0].unit_conversion_factor if geodetic.axis_info else np.pi / 180
    found = np.column_stack([lon, lat]) * np.rad2deg(unit)
    good: NDArray[np.float64] = found[np.isfinite(found).all(axis=1)]
    return good


def _middle(lonlat: NDArray[np.float64]) -> tuple[float, float]:
    """The mean direction of (n, 2) degrees: neither the date line nor a pole disturbs it."""
    lon, lat = np.deg2rad(lonlat).T
    mean = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)]).mean(
        axis=1
    )
    if np.linalg.norm(mean) < 1e-9:
        return 0.0, 0.0
    x, y, z = mean
    # Rounded, so that the plane does not depend on the order of the shapes.
    return (
        round(float(np.rad2deg(np.arctan2(y, x))), 6),
        round(float(np.rad2deg(np.arctan2(z, np.hypot(x, y)))), 6),
    )
