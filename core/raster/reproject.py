# SPDX-License-Identifier: GPL-2.0-or-later
"""Shapes from one CRS to another, cut where they cross the date line."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError, ProjError

from ..errors import OutputError, ParameterError

_WORLD = shapely.box(-180.0, -90.0, 180.0, 90.0)
_EAST_OF_IT = shapely.box(180.0, -90.0, 540.0, 90.0)
_WEST_OF_IT = shapely.box(-540.0, -90.0, -180.0, 90.0)


def known_crs(crs: Any) -> CRS | None:
    """A CRS as pyproj's own; None stays None.

    Args:
        crs: WKT, an authority code, or an object of rasterio or pyproj.

    Raises:
        ParameterError: It is not understood.
    """
    if crs is None:
        return None
    try:
        return CRS.from_user_input(crs.to_wkt() if hasattr(crs, "to_wkt") else crs)
    except CRSError as error:
        raise ParameterError(
            f"{str(crs)[:80]!r} is not a coordinate system that is known here: give an authority "
            "code like EPSG:25832, or WKT."
        ) from error


_UNDEFINED = {"undefined geographic srs", "undefined cartesian srs", "undefined srs"}


def declared_crs(given: Any) -> CRS | None:
    """The CRS of a vector file; None also where a GeoPackage says that it has none.

    Args:
        given: What GDAL makes of the file's: for "undefined" a CRS of that name.
    """
    if given is None or given == "":
        return None
    crs = known_crs(given)
    return None if crs is None or crs.name.lower() in _UNDEFINED else crs


class Reprojection:
    """Brings batches of shapes from ``source`` to ``target``.

    Args:
        source: CRS of the shapes, or None.
        target: CRS wanted, or None.
        split: Cut at 180 degrees also what was geographic from the start (RFC 7946, 3.1.9).

    Raises:
        OutputError: There is no way from one to the other.
    """

    def __init__(self, source: CRS | None, target: CRS | None, *, split: bool = False) -> None:
        self._target = target
        self._transformer: Transformer | None = None
        if source is not None and target is not None:
            if not source.equals(target, ignore_axis_order=True):
                try:
                    self._transformer = Transformer.from_crs(source, target, always_xy=True)
                except ProjError as error:
                    raise OutputError(
                        f"Features in {source.name} cannot be written in {target.name} ({error}): "
                        "choose the raster's own coordinate system, or another format."
                    ) from error
        elif source is not None or target is not None:
            raise OutputError(
                "A layer with a coordinate system cannot be made from a raster without one: "
                "leave the layer's out."
            )
        moved = self._transformer is not None
        geographic = target is not None and target.is_geographic
        self._unwrap = geographic and moved and source is not None and not source.is_geographic
        self._split = geographic and (split or moved)

    def __call__(self, shapes: NDArray[Any], name: str) -> NDArray[Any]:
        """The shapes in the target CRS; ``name`` is the output's, for messages.

        Raises:
            OutputError: A shape lies where the target CRS has no coordinates.
        """
        if self._transformer is not None:
            shapes = shapely.transform(shapes, self._transform)
            if not np.isfinite(shapely.get_coordinates(shapes)).all():
                target = self._target.name if self._target is not None else "?"
                raise OutputError(
                    f"{name}: some features lie where {target} has no coordinates: choose "
                    "another coordinate system for the output."
                )
        if self._split:
            shapes = self._at_date_line(shapes)
        return shapes

    def _transform(self, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        if self._transformer is None:
            return xy
        return np.column_stack(self._transformer.transform(xy[:, 0], xy[:, 1]))

    def _at_date_line(self, shapes: NDArray[Any]) -> NDArray[Any]:
        bounds = shapely.bounds(shapes)
        if self._unwrap:
            # A shape that spans more than half the globe after a projection came apart there.
            for index in np.flatnonzero(bounds[:, 2] - bounds[:, 0] > 180.0):
                shapes[index] = shapely.transform(shapes[index], _eastward)
                bounds[index] = shapely.bounds(shapes[index])
        for index in np.flatnonzero((bounds[:, 2] > 180.0) | (bounds[:, 0] < -180.0)):
            shapes[index] = _cut(shapes[index])
        return shapes


def _eastward(xy: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.column_stack([np.where(xy[:, 0] < 0.0, xy[:, 0] + 360.0, xy[:, 0]), xy[:, 1]])


def _cut(shape: Any) -> Any:
    """A shape in -180 to 180; parts beyond that come back on the other side."""
    dimension = shapely.get_dimensions(shape)
    sound = shape if shape.is_valid else shapely.make_valid(shape)
    parts = []
    for frame, turn in ((_WORLD, 0.0), (_EAST_OF_IT, -360.0), (_WEST_OF_IT, 360.0)):
        piece = shapely.transform(
            shapely.intersection(sound, frame), lambda xy, t=turn: xy + np.array([t, 0.0])
        )
        parts += [
            part
            for part in shapely.get_parts(piece)
            if not part.is_empty and shapely.get_dimensions(part) == dimension
        ]
    make = shapely.multipolygons if dimension == 2 else shapely.multilinestrings
    return parts[0] if len(parts) == 1 else make(parts)
