# SPDX-License-Identifier: GPL-2.0-or-later
"""An area of interest: which windows of a raster to look at, and which shapes to keep.

It is brought to the raster's ground and pixels once; edges are densified first, because a straight
edge in one CRS is a curve in another.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyogrio
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyogrio.errors import DataLayerError, DataSourceError
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError

from ..errors import ParameterError
from ..types import GroundBox, PixelBox
from .reproject import declared_crs, known_crs

SEGMENTS = 64
"""Pieces into which an extent's sides and, at least, a layer's diameter are cut."""

KEPT = 0.5
"""Share of a shape's area (or length) that must lie inside for it to be kept."""


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
        shapely.prepare(self.ground)
        shapely.prepare(self.pixels)
        if not self.touches(raster.bounds):
            x0, y0, x1, y1 = self.ground.bounds
            frame = shapely.box(
                raster.bounds.col0, raster.bounds.row0, raster.bounds.col1, raster.bounds.row1
            )
            a0, b0, a1, b1 = _transformed(frame, raster.transform).bounds
            raise ParameterError(
                f"{what} (x {x0:.6g} to {x1:.6g}, y {y0:.6g} to {y1:.6g} in the raster's "
                f"coordinate system) misses the raster {raster.name} (x {a0:.6g} to {a1:.6g}, "
                f"y {b0:.6g} to {b1:.6g}): check its coordinates and coordinate system."
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
            xmax += 360.0
        numbers = (xmin, ymin, xmax, ymax)
        if not (np.isfinite(numbers).all() and xmin < xmax and ymin < ymax):
            raise ParameterError(
                f"The extent x {xmin} to {xmax}, y {ymin} to {ymax} is empty: it needs "
                "xmin < xmax and ymin < ymax."
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
        try:
            info, _, wkb, _ = pyogrio.raw.read(path, layer=layer, columns=[], force_2d=True)
        except (DataSourceError, DataLayerError, OSError) as error:
            raise ParameterError(
                f"{path} cannot be read as a layer of polygons: {error}"
            ) from error
        shapes = shapely.from_wkb(wkb) if wkb is not None else np.empty(0, object)
        parts = shapely.get_parts(shapes[~shapely.is_missing(shapes)])
        polygons = parts[np.isin(shapely.get_type_id(parts), (3, 6)) & (shapely.area(parts) > 0)]
        if len(polygons) == 0:
            raise ParameterError(f"{path} has no polygons: an area of interest needs at least one.")
        crs = declared_crs(info["crs"])
        ground = _to_raster(list(polygons), crs, raster)
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
    if crs is None or target is None or crs.equals(target, ignore_axis_order=True):
        return _shifted_by_turns(merged, raster, target)
    try:
        transformer = Transformer.from_crs(crs, target, always_xy=True)
        near = _near_raster(merged, crs, transformer, raster)
        x0, y0, x1, y1 = near.bounds
        dense = near if near.is_empty else shapely.segmentize(near, _step(x1 - x0, y1 - y0))
        moved = shapely.transform(
            dense, lambda xy: np.column_stack(transformer.transform(xy[:, 0], xy[:, 1]))
        )
    except ProjError as error:
        raise ParameterError(
            f"The area of interest ({crs.name}) cannot be brought to the raster's coordinate "
            f"system ({target.name}): {error}"
        ) from error
    if not np.isfinite(shapely.get_coordinates(moved)).all():
        raise ParameterError(
            f"The area of interest reaches beyond what the raster's coordinate system "
            f"({target.name}) can show: choose a smaller one."
        )
    return _shifted_by_turns(shapely.make_valid(moved), raster, target)


def _step(width: float, height: float) -> float:
    return float(max(width, height)) / SEGMENTS


def _near_raster(area: Any, crs: CRS, transformer: Transformer, raster: _Placed) -> Any:
    """What of an area lies near the raster: the rest may lie where the raster's CRS ends.

    Raises:
        ParameterError: Nothing does.
    """
    box = raster.bounds
    frame = _transformed(shapely.box(box.col0, box.row0, box.col1, box.row1), raster.transform)
    a0, b0, a1, b1 = frame.bounds
    outline = shapely.get_coordinates(shapely.segmentize(frame, _step(a1 - a0, b1 - b0)))
    x, y = transformer.transform(outline[:, 0], outline[:, 1], direction="INVERSE")
    x, y = np.asarray(x), np.asarray(y)
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return area  # the raster itself reaches beyond its CRS, as full discs do
    turns: tuple[float, ...] = (0.0,)
    if crs.is_geographic:
        x = x - 360.0 * np.round((x - x[0]) / 360.0)
        turns = (-360.0, 0.0, 360.0)
    margin = 0.1 * max(np.ptp(x), np.ptp(y))
    frame = shapely.box(x.min() - margin, y.min() - margin, x.max() + margin, y.max() + margin)
    parts = [
        shapely.intersection(
            shapely.transform(area, lambda xy, t=turn: xy + np.array([t, 0.0])), frame
        )
        for turn in turns
    ]
    near = shapely.union_all(parts)
    if near.is_empty or near.area == 0:
        u0, v0, u1, v1 = area.bounds
        raise ParameterError(
            f"The area of interest (x {u0:.6g} to {u1:.6g}, y {v0:.6g} to {v1:.6g} in {crs.name}) "
            f"misses the raster {raster.name} (x {x.min():.6g} to {x.max():.6g}, y {y.min():.6g} "
            f"to {y.max():.6g}): check its coordinates and coordinate system."
        )
    return near


def _shifted_by_turns(geometry: Any, raster: _Placed, crs: CRS | None) -> Any:
    """In degrees, the same place 360 further east or west, where that is where the raster lies."""
    if crs is None or not crs.is_geographic:
        return geometry
    box = raster.bounds
    corners = [(box.col0, box.row0), (box.col1, box.row0), (box.col0, box.row1)]
    xs = [(raster.transform @ corner)[0] for corner in [*corners, (box.col1, box.row1)]]
    west, east = min(xs), max(xs)
    turns = [
        shapely.transform(geometry, lambda xy, t=turn: xy + np.array([360.0 * t, 0.0]))
        for turn in (-1, 0, 1)
        if geometry.bounds[0] + 360.0 * turn < east and geometry.bounds[2] + 360.0 * turn > west
    ]
    return shapely.union_all(turns) if turns else geometry
