# SPDX-License-Identifier: GPL-2.0-or-later
"""A raster's footprint, and shapes of any CRS transformed to the raster's CRS.

Only what lies near the raster is brought there: the rest of a large shape may lie where the
raster's CRS ends. Longitudes are counted from the raster's own middle, so that the date line is
nowhere near it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import shapely
from affine import Affine
from pyproj import CRS

from .crs import degrees_per_unit, geographic, known_crs, same_crs
from .geometry import ground_pixel
from .longitude import (
    Floats,
    at_turns,
    central_meridian,
    folded,
    of_dimension,
    sound,
    turn_of,
    turned,
    unwrapped,
)
from .reproject import Reprojection, move_between, to_degrees

NEAR = 0.1
"""Share of the raster's size around it that still counts as near."""

TOLERANCE = 0.02
"""Pixels of the raster by which an edge may leave its true course."""


@dataclass(frozen=True)
class RasterPlace:
    """A raster's place on the ground.

    Args:
        transform: Working pixels: (column, row) to (x, y).
        shape: (height, width).
        crs: Of the ground, or None.
    """

    transform: Affine
    shape: tuple[int, int]
    crs: CRS | None

    @cached_property
    def turn(self) -> float | None:
        """Units of x in a turn around the Earth; None where x is no longitude."""
        return turn_of(self.crs)

    @cached_property
    def frame(self) -> Any:
        """The raster's outline on the ground, a polygon."""
        height, width = self.shape
        corners = [(0, 0), (width, 0), (width, height), (0, height)]
        return shapely.Polygon([self.transform @ corner for corner in corners])

    @cached_property
    def middle(self) -> tuple[float, float]:
        height, width = self.shape
        x, y = self.transform @ (width / 2, height / 2)
        return float(x), float(y)

    @cached_property
    def tolerance(self) -> float:
        """Metres by which an edge may leave its true course."""
        return TOLERANCE * ground_pixel(self.transform, self.shape, self.crs)

    def turned(self, xy: Floats) -> Floats:
        """(n, 2) positions in the raster's CRS, by whole turns as near to its middle as can be."""
        if self.turn is None:
            return xy
        return np.column_stack([turned(xy[:, 0], self.middle[0], self.turn), xy[:, 1]])

    def bring(self, shape: Any, crs: CRS | None) -> Any:
        """What of a shape lies near the raster, on its ground.

        Args:
            shape: Polygons or lines, valid.
            crs: Its CRS; None where neither it nor the raster has one.

        Returns:
            A shape of the same dimension, empty where nothing lies near; None where the raster's
            CRS has no coordinates for it.

        Raises:
            ProjError, OutputError: There is no way from one CRS to the other.
        """
        target = self.crs
        if crs is None or target is None or (same_crs(crs, target) and self.turn is None):
            return shape
        dimension = shapely.get_dimensions(shape)
        if same_crs(crs, target):
            return self._at_its_turns(shape)
        base = geographic(target)
        if base is None or geographic(crs) is None:
            return Reprojection(crs, target, tolerance=self.tolerance).moved(_array(shape))[0]
        shape = self._together(shape, crs)
        west = self._middle_longitude() - 180.0
        reprojection = Reprojection(crs, base, split=True, tolerance=self.tolerance, west=west)
        lonlat = reprojection.moved(_array(shape))[0]
        if lonlat is None:
            return None
        if same_crs(base, target):
            return self._at_its_turns(lonlat)
        near = self._near
        if near is not None:
            lonlat = of_dimension(shapely.intersection(sound(lonlat), near), dimension)
            if lonlat.is_empty:
                return lonlat
        moved = Reprojection(base, target, tolerance=self.tolerance).moved(_array(lonlat))[0]
        if moved is None:
            return None
        moved = sound(moved)
        return moved if self.turn is None else self._at_its_turns(moved)

    def _together(self, shape: Any, crs: CRS) -> Any:
        """A shape whose parts meet at the date line in one piece, where the raster lies there.

        Done before anything is computed with its coordinates: the parts' edges are the same to the
        last bit only now.
        """
        turn = turn_of(crs)
        if turn is None or self.crs is None:
            return shape
        x = float(move_between(self.crs, crs)(np.array([self.middle]))[0, 0])
        return folded(sound(shape), x - turn / 2, turn) if np.isfinite(x) else shape

    def _at_its_turns(self, shape: Any) -> Any:
        x0, _, x1, _ = self.frame.bounds
        return shape if self.turn is None else at_turns(shape, x0, x1, self.turn)

    def _middle_longitude(self) -> float:
        """Degrees; around a pole any would do."""
        if self.crs is None:
            return 0.0
        lon = float(to_degrees(self.crs)(np.array([self.middle]))[0, 0])
        return lon if np.isfinite(lon) else central_meridian(self.crs)

    @cached_property
    def _near(self) -> Any:
        """Degrees in which the raster and what is near it lies; None where that cannot be told."""
        crs = self.crs
        base = None if crs is None else geographic(crs)
        if crs is None or base is None:
            return None
        unit = degrees_per_unit(base)
        x0, y0, x1, y1 = self.frame.bounds
        grown = shapely.affinity.scale(self.frame, 1 + 2 * NEAR, 1 + 2 * NEAR, origin="center")
        edge = shapely.segmentize(grown, max(x1 - x0, y1 - y0) / 64)
        lonlat = move_between(crs, base)(shapely.get_coordinates(edge))
        if not np.isfinite(lonlat).all():
            return None  # it reaches beyond its CRS, as full discs and maps of the world do
        poles = np.array([[0.0, -90.0], [0.0, 90.0]]) / unit
        at_poles = move_between(base, crs)(poles)
        south, north = (
            bool(np.isfinite(xy).all()) and bool(grown.intersects(shapely.Point(xy)))
            for xy in at_poles
        )
        low = -90.0 / unit if south else float(lonlat[:, 1].min())
        high = 90.0 / unit if north else float(lonlat[:, 1].max())
        turn = 360.0 / unit
        west = self._middle_longitude() / unit - turn / 2
        if south or north:
            return shapely.box(west, low, west + turn, high)
        x = unwrapped(lonlat[:, 0], np.zeros(len(lonlat), np.int64), turn)
        x = x - turn * round((float(x.min() + x.max()) / 2 - west - turn / 2) / turn)
        if float(np.ptp(x)) >= 0.75 * turn:
            return shapely.box(west, low, west + turn, high)
        return shapely.box(float(x.min()), low, float(x.max()), high)


def place_of(transform: Affine, shape: tuple[int, int], crs: Any) -> RasterPlace:
    """A raster's place; ``crs`` in any form."""
    return RasterPlace(transform, shape, known_crs(crs))


def _array(shape: Any) -> Any:
    return np.array([shape, None], dtype=object)[:-1]
