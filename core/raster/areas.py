# SPDX-License-Identifier: GPL-2.0-or-later
"""The area of interest: which windows to process, which shapes to keep, which cells to map.

It is brought to the raster's ground and pixels once; edges are densified first, because a straight
edge in one CRS is a curve in another.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import ProjError

from ..earth.crs import degrees_per_unit, known_crs
from ..earth.place import RasterPlace
from ..errors import OutputError, ParameterError
from ..notes import warn
from ..sources.vector_input.opening import open_vector
from ..types import BoolArray, CellBox, GroundBox, PixelBox

KEPT = 0.5
"""Share of a shape's area (or length) that must lie inside for it to be kept."""

NUDGE = 1e-6
"""Share of a cell by which its middle is moved: one on a border is in one of two areas that share
it, whatever the last digits of their coordinates are."""


class MissesRaster(ParameterError):
    """An area of interest lies beside the raster: wrong for one raster, usual for one of many."""

    @property
    def kind(self) -> str:
        return ParameterError.__name__


class _Placed(Protocol):
    """What is needed of a raster here."""

    @property
    def name(self) -> str: ...
    @property
    def bounds(self) -> PixelBox: ...
    @property
    def transform(self) -> Affine: ...
    @property
    def crs(self) -> Any: ...


class AreaOfInterest:
    """Polygons on the ground of one raster.

    Args:
        ground: Polygon or multipolygon, (x, y) in the raster's CRS.
        raster: The raster; only its place is used.
        what: Name for messages, e.g. "The extent".

    Raises:
        ParameterError: It is empty or misses the raster.
    """

    def __init__(self, ground: Any, raster: _Placed, *, what: str = "The area of interest") -> None:
        if ground is None or ground.is_empty or ground.area == 0:
            raise ParameterError(f"{what} has no polygon: give one with an area.")
        self.ground = shapely.make_valid(ground, method="structure", keep_collapsed=False)
        self.pixels = _transformed(self.ground, ~raster.transform)
        self.shape = raster.bounds.shape
        shapely.prepare(self.ground)
        shapely.prepare(self.pixels)
        if not self.touches(raster.bounds):
            x0, y0, x1, y1 = self.ground.bounds
            frame = shapely.box(
                raster.bounds.col0, raster.bounds.row0, raster.bounds.col1, raster.bounds.row1
            )
            a0, b0, a1, b1 = _transformed(frame, raster.transform).bounds
            raise MissesRaster(
                f"{what} (x {x0:.10g} to {x1:.10g}, y {y0:.10g} to {y1:.10g} in the raster's "
                f"coordinate system) misses the raster {raster.name} (x {a0:.10g} to {a1:.10g}, "
                f"y {b0:.10g} to {b1:.10g}): check its coordinates and coordinate system."
            )

    @classmethod
    def from_extent(cls, extent: GroundBox, crs: Any | None, raster: _Placed) -> AreaOfInterest:
        """An extent in any CRS.

        Args:
            extent: xmin > xmax means, in a geographic CRS, an extent across the date line.
            crs: CRS of the extent; None takes the raster's own.
            raster: The raster.

        Raises:
            ParameterError: The extent is empty, cannot be transformed, or misses the raster.
        """
        xmin, ymin, xmax, ymax = extent.xmin, extent.ymin, extent.xmax, extent.ymax
        source = known_crs(crs) if crs is not None else known_crs(raster.crs)
        if xmin > xmax and source is not None and source.is_geographic:
            turn = 360.0 / degrees_per_unit(source)
            # Across the date line; more than half of the Earth is a slip of the pen instead.
            if xmax + turn - xmin <= turn / 2:
                xmax += turn
        numbers = (xmin, ymin, xmax, ymax)
        if not (np.isfinite(numbers).all() and xmin < xmax and ymin < ymax):
            raise ParameterError(
                f"The extent x {xmin:.10g} to {xmax:.10g}, y {ymin:.10g} to {ymax:.10g} is empty: "
                "give xmin, ymin, xmax, ymax in this order, with xmin < xmax and ymin < ymax."
            )
        polygon = shapely.box(*numbers)
        return cls(_to_raster([polygon], source, raster), raster, what="The extent")

    @classmethod
    def from_layer(
        cls, path: str | Path, raster: _Placed, *, layer: str | None = None
    ) -> AreaOfInterest:
        """The polygons of a vector layer.

        Raises:
            ParameterError: The layer cannot be read, has no polygons or no CRS while the raster
                has one, or misses the raster.
        """
        opened = open_vector(path, layer, parameter="area_layer")
        shapes = np.asarray(opened.read().geometry.array, dtype=object)
        # The signed area of a polygon that crosses itself may be 0.
        sound = shapely.make_valid(shapely.force_2d(shapes[~shapely.is_missing(shapes)]))
        parts, of = shapely.get_parts(sound, return_index=True)
        while np.any(shapely.get_type_id(parts) >= 4):  # collections within collections
            parts, within = shapely.get_parts(parts, return_index=True)
            of = of[within]
        taken = (shapely.get_type_id(parts) == 3) & (shapely.area(parts) > 0)
        polygons = parts[taken]
        if len(polygons) == 0:
            raise ParameterError(f"{path} has no polygons: an area of interest needs at least one.")
        if others := len(sound) - len(np.unique(of[taken])):
            warn(
                f"{others} feature{'s' if others > 1 else ''} of the area of interest {path} "
                f"{'are' if others > 1 else 'is'} left out: no polygon with an area."
            )
        ground = _to_raster(list(polygons), opened.crs, raster)
        return cls(ground, raster, what=f"The area of interest {path}")

    def touches(self, box: PixelBox) -> bool:
        """Whether a window of working pixels has any of the area in it."""
        inside = shapely.box(box.col0, box.row0, box.col1, box.row1)
        # Touching along an edge or at a corner has no pixel in common.
        return bool(
            shapely.intersects(self.pixels, inside) and not shapely.touches(self.pixels, inside)
        )

    def keeps(self, geometry: Any) -> bool:
        """Whether at least half of a shape (x, y in the raster's CRS) lies inside."""
        if shapely.covers(self.ground, geometry):
            return True
        if not shapely.intersects(self.ground, geometry):
            return False
        size = shapely.area if geometry.area > 0 else shapely.length
        whole = size(geometry)
        if whole == 0:
            return True
        valid = geometry if geometry.is_valid else shapely.make_valid(geometry)
        return bool(size(shapely.intersection(self.ground, valid)) >= KEPT * whole)

    def cells(self, cell: int) -> CellBox:
        """The smallest box of cells with all whose middle lies in the area; empty without any.

        Args:
            cell: Side of a cell, working pixels.
        """
        x0, y0, x1, y1 = shapely.bounds(self.pixels)
        sides = []
        for end, low, high in zip(self.shape, (y0, x0), (y1, x1), strict=True):
            middles = _middles(0, -(-end // cell), cell, end)
            inside = np.flatnonzero((middles > low) & (middles < high))
            sides.append((int(inside[0]), int(inside[-1]) + 1) if len(inside) else (0, 0))
        (row0, row1), (col0, col1) = sides
        return CellBox(row0, col0, row1, col1)

    def holds(self, box: CellBox, cell: int) -> BoolArray:
        """Of which cells the middle lies in the area.

        Args:
            box: Cells.
            cell: Side of a cell, working pixels.

        Returns:
            (height, width) bool on ``box``.
        """
        height, width = self.shape
        x = _middles(box.col0, box.col1, cell, width)
        y = _middles(box.row0, box.row1, cell, height)
        if len(x) and len(y) and shapely.covers(self.pixels, shapely.box(x[0], y[0], x[-1], y[-1])):
            return np.ones(box.shape, bool)
        return np.asarray(shapely.contains_xy(self.pixels, x[None], y[:, None]), bool)


def _middles(first: int, stop: int, cell: int, end: int) -> NDArray[np.float64]:
    """The middles of rows (or columns) of cells, of the last one as far as the raster reaches."""
    start = np.arange(first, stop, dtype=np.float64) * cell
    return (start + np.minimum(start + cell, end)) / 2 + NUDGE * cell


def _transformed(geometry: Any, transform: Affine) -> Any:
    def move(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        t, x, y = transform, xy[:, 0], xy[:, 1]
        return np.column_stack([t.a * x + t.b * y + t.c, t.d * x + t.e * y + t.f])

    return shapely.transform(geometry, move)


def _to_raster(polygons: list[Any], crs: CRS | None, raster: _Placed) -> Any:
    """Polygons in a CRS as one geometry on the raster's ground."""
    target = known_crs(raster.crs)
    if (crs is None) != (target is None):
        raise ParameterError(
            f"The raster {raster.name} has no coordinate system: give the area of interest in its "
            "own units and without one."
            if target is None
            else "The area of interest has no coordinate system, but the raster has: assign one."
        )
    merged = shapely.union_all(shapely.make_valid(np.array(polygons, object)))
    place = RasterPlace(raster.transform, raster.bounds.shape, target)
    try:
        found = place.bring(merged, crs)
    except (ProjError, OutputError) as error:
        raise ParameterError(
            f"The area of interest ({crs.name if crs else 'no CRS'}) cannot be brought to the "
            f"raster's coordinate system ({target.name if target else 'none'}): {error}"
        ) from error
    if found is None:
        raise ParameterError(
            f"The area of interest reaches beyond what the raster's coordinate system "
            f"({target.name if target else 'none'}) can show: choose a smaller one."
        )
    if found.is_empty or found.area == 0:
        x0, y0, x1, y1 = merged.bounds
        raise MissesRaster(
            f"The area of interest (x {x0:.10g} to {x1:.10g}, y {y0:.10g} to {y1:.10g} in "
            f"{crs.name if crs else 'no CRS'}) misses the raster {raster.name}: check its "
            "coordinates and coordinate system."
        )
    return found
