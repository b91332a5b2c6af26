# SPDX-License-Identifier: GPL-2.0-or-later
"""Transformation between coordinates of any CRS and pixels of a raster.

Ground positions are (x, y), pixel positions are continuous (row, column) with (0, 0) at the top
left corner of the first pixel; the two never share an array without a name that says which.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyproj
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj.exceptions import ProjError

from ..earth.crs import known_crs, same_crs
from ..earth.geometry import without_empty_parts
from ..earth.longitude import Move, sound
from ..earth.place import RasterPlace
from ..earth.reproject import Reprojection, move_between
from ..errors import OutputError, ParameterError, PromptError
from ..notes import warn

Positions = NDArray[np.float64]

EDGE_STEPS = 21
"""Points on each edge of a box that crosses from one CRS to another, where its edges are curves."""


def crs_on_raster(given: Any, raster: Any, what: str) -> pyproj.CRS | None:
    """The CRS from which a layer is brought to a raster; None for the raster's own.

    Warns where only one of them has a CRS: the same plane is all that can be meant.

    Args:
        given: CRS of the layer, or None.
        raster: CRS of the raster, or None.
        what: The layer's features, e.g. "the prompts in a.gpkg".
    """
    layer = known_crs(given)
    subject = what[0].upper() + what[1:]
    if raster is not None and layer is None:
        note = f"{subject} have no coordinate system: they are taken to be in the raster's."
    elif raster is None and layer is not None:
        note = (
            f"The raster has no coordinate system: {what} are taken to be in its own units, not "
            f"in {layer.name}."
        )
    else:
        return layer
    warn(note)
    return None


class PromptTransform:
    """Positions in a CRS to continuous pixel positions of a raster and back, exactly.

    Longitudes that differ by whole turns are the same place: positions and shapes come to where
    the raster lies, whichever way its longitudes and theirs count.

    Args:
        transform: Of the raster's working pixels: (column, row) to (x, y).
        crs: The raster's, or None where it has none; then positions are in its own plane.
        prompt_crs: WKT, authority code or CRS object of the positions; None for the raster's.
        shape: (height, width) of the raster in working pixels; where it is not given, longitudes
            are counted as they are given, and edges are bent in a fixed number of steps.
        whole: Shapes that are in one piece come whole, however far from the raster they reach;
            else only what is near it.

    Raises:
        PromptError: ``prompt_crs`` is not understood, or there is no way to the raster's CRS.
    """

    def __init__(
        self,
        transform: Affine,
        crs: Any,
        prompt_crs: Any = None,
        shape: tuple[int, int] | None = None,
        *,
        whole: bool = False,
    ) -> None:
        self._transform = transform
        self._whole = whole
        self._inverse_linear = ~Affine(transform.a, transform.b, 0.0, transform.d, transform.e, 0.0)
        self._forward: Move | None = None
        self._backward: Move | None = None
        self._back: Reprojection | None = None
        self._source: pyproj.CRS | None = None
        target = known_crs(crs)
        self._target = target
        self._place = None if shape is None else RasterPlace(transform, shape, target)
        if prompt_crs is None:
            self._source = target
            return
        if target is None:
            raise PromptError(
                "The raster has no coordinate reference system, so prompts cannot be brought to "
                "it from another one: give them in the raster's own coordinates, without a CRS."
            )
        try:
            source = self._source = known_crs(prompt_crs)
        except ParameterError as error:
            raise PromptError(str(error)) from error
        if source is not None and not same_crs(source, target):
            try:
                self._forward = move_between(source, target)
                self._backward = move_between(target, source)
            except ProjError as error:
                raise PromptError(
                    f"Prompts cannot be brought from {source.name} to the raster's "
                    f"coordinate system, {target.name}: give them in the raster's."
                ) from error

    @property
    def same_crs(self) -> bool:
        """Whether straight lines stay straight on the way."""
        return self._forward is None

    def to_raster(self, positions: Any) -> Positions:
        """(n, 2) positions (x, y) in the prompts' CRS as positions in the raster's CRS.

        Raises:
            PromptError: A position has no image in the raster's CRS.
        """
        moved = self._forwarded(positions)
        return moved if self._place is None else self._place.turned(moved)

    def _forwarded(self, positions: Any) -> Positions:
        """The same, with longitudes as they are."""
        xy = np.asarray(positions, np.float64).reshape(-1, 2)
        moved = xy if self._forward is None else self._forward(xy)
        if not np.isfinite(moved).all():
            bad = xy[~np.isfinite(moved).all(axis=1)][0]
            raise PromptError(
                f"The position ({bad[0]:g}, {bad[1]:g}) has no place in the raster's coordinate "
                "reference system: check the coordinates and their CRS."
            )
        return moved

    def to_pixels(self, ground: Any) -> Positions:
        """(n, 2) positions (x, y) as (n, 2) continuous (row, column).

        Raises:
            PromptError: A position has no image in the raster's CRS.
        """
        moved = self.to_raster(ground)
        # The origin goes first: it is the large number in which digits would be lost.
        x, y = moved[:, 0] - self._transform.c, moved[:, 1] - self._transform.f
        linear = self._inverse_linear
        return np.column_stack([linear.d * x + linear.e * y, linear.a * x + linear.b * y])

    def to_ground(self, pixels: Any) -> Positions:
        """(n, 2) continuous (row, column) as (n, 2) positions (x, y)."""
        rows_cols = np.asarray(pixels, np.float64).reshape(-1, 2)
        row, col = rows_cols[:, 0], rows_cols[:, 1]
        t = self._transform
        x, y = t.a * col + t.b * row + t.c, t.d * col + t.e * row + t.f
        return self.from_raster(np.column_stack([x, y]))

    def from_raster(self, positions: Positions) -> Positions:
        """(n, 2) positions (x, y) in the raster's CRS as positions in the prompts' CRS."""
        return positions if self._backward is None else self._backward(positions)

    def pixel_length(self, ground: Sequence[float], length: float) -> float:
        """How many pixels ``length`` ground units are at a place: geometric mean of x and y."""
        x, y = float(ground[0]), float(ground[1])
        spots = self.to_pixels([(x, y), (x + length, y), (x, y + length)])
        right, up = spots[1] - spots[0], spots[2] - spots[0]
        return math.sqrt(abs(float(right[0] * up[1] - right[1] * up[0])))

    def shape_to_raster(self, geometry: Any) -> Any:
        """A line or polygon in the prompts' CRS, as far as it lies near the raster, on its ground.

        Raises:
            PromptError: The raster's CRS cannot show it.
        """
        place = self._place
        if place is None or self._whole or (self.same_crs and place.turn is None):
            bent = geometry if self.same_crs else _segmentized(geometry)
            moved = shapely.transform(bent, self._forwarded)
            if place is None or place.turn is None:
                return moved
            turned = shapely.transform(moved, place.turned)
            step = shapely.get_coordinates(turned)[:, 0] - shapely.get_coordinates(moved)[:, 0]
            if len(step) == 0 or np.ptp(step) < place.turn / 2:
                return turned  # all of it by the same number of turns
        if self.same_crs and _within(geometry, place.frame):
            return geometry
        try:
            found = place.bring(sound(geometry), self._source)
        except (ProjError, OutputError) as error:
            raise PromptError(str(error)) from error
        if found is None:
            raise PromptError(
                "it reaches beyond what the raster's coordinate system can show: draw a smaller one"
            )
        return found

    def shape_from_raster(self, geometry: Any) -> Any:
        """A polygon on the raster's ground in the prompts' CRS, bent and cut as the map there is.

        Raises:
            PromptError: The prompts' CRS cannot show it.
        """
        return self.shapes_from_raster([geometry])[0]

    def shapes_from_raster(self, geometries: Sequence[Any]) -> list[Any]:
        """Polygons as :meth:`shape_from_raster` gives one, together: that is several times faster.

        Raises:
            PromptError: The prompts' CRS cannot show one of them.
        """
        source = self._source
        if self.same_crs or source is None or self._place is None:
            return [shapely.transform(geometry, self.from_raster) for geometry in geometries]
        if self._back is None:
            # Kept: finding the way from one CRS to the other takes longer than going it.
            self._back = Reprojection(self._target, source, tolerance=self._place.tolerance)
        found = self._back.moved(np.array([*geometries, None], dtype=object)[:-1])
        if any(one is None for one in found):
            raise PromptError(
                f"The object lies where {source.name} has no coordinates: choose another "
                "coordinate system for the map."
            )
        return list(found)

    def geometry(self, geometry: Any) -> Any:
        """A shapely geometry on the ground as the same geometry in pixels, as x=column, y=row.

        Raises:
            PromptError: Its coordinates lie on no map, or where the raster's CRS has none.
        """
        if not (np.abs(shapely.get_coordinates(geometry)) < FARTHEST).all():  # NaN is not
            raise PromptError("its coordinates are no place on a map: draw it again")
        if shapely.get_dimensions(geometry) > 0:
            ground = self.shape_to_raster(geometry)
        else:
            ground = shapely.transform(geometry, self.to_raster)
        t, linear = self._transform, self._inverse_linear

        def pixels(xy: Positions) -> Positions:
            x, y = xy[:, 0] - t.c, xy[:, 1] - t.f
            return np.column_stack([linear.a * x + linear.b * y, linear.d * x + linear.e * y])

        return shapely.transform(ground, pixels)


def _within(geometry: Any, frame: Any) -> bool:
    """Whether a shape's longitudes are the raster's own, or all near them."""
    x0, _, x1, _ = geometry.bounds
    low, _, high, _ = frame.bounds
    return bool(low <= x0 and x1 <= high)


FARTHEST = 1e12
"""Coordinates beyond this are no place on any map, whatever its units."""


def _segmentized(geometry: Any) -> Any:
    geometry = without_empty_parts(geometry)
    x0, y0, x1, y1 = geometry.bounds
    length = x1 - x0 + y1 - y0
    return shapely.segmentize(geometry, length / EDGE_STEPS) if length > 0 else geometry
