# SPDX-License-Identifier: GPL-2.0-or-later
"""GeoJSON polygons to QGIS geometries and back, fast enough for the main thread."""

from __future__ import annotations

import json
import struct
from array import array
from itertools import chain
from typing import Any

from qgis.core import QgsGeometry

from .job import MessageError

_POLYGON = 3
_MULTI_POLYGON = 6
_HEADER = struct.Struct("=BII")  # byte order, type, number of parts
_COUNT = struct.Struct("=I")


def to_geometry(value: Any) -> QgsGeometry:
    """A Polygon or MultiPolygon as a geometry.

    Well-known binary is built rather than point lists: 100,000 vertices take some milliseconds.

    Raises:
        MessageError: Not a polygon of numbers.
    """
    try:
        kind, coordinates = value["type"], value["coordinates"]
        if kind == "Polygon":
            data = _polygon(coordinates)
        elif kind == "MultiPolygon":
            parts = b"".join(_polygon(part) for part in coordinates)
            data = _HEADER.pack(_order(), _MULTI_POLYGON, len(coordinates)) + parts
        else:
            raise MessageError(f"Polygons were expected, not {kind!r}.")
    except (KeyError, TypeError, ValueError) as error:
        raise MessageError(f"This is no GeoJSON polygon: {error}.") from error
    geometry = QgsGeometry()
    geometry.fromWkb(data)
    return geometry


def from_geometry(geometry: QgsGeometry) -> dict[str, Any]:
    """A geometry as GeoJSON with all its digits."""
    value: dict[str, Any] = json.loads(geometry.asJson(17))
    return value


def _order() -> int:
    return 1 if struct.pack("=H", 1)[0] else 0


def _polygon(rings: list[list[list[float]]]) -> bytes:
    pieces = [_HEADER.pack(_order(), _POLYGON, len(rings))]
    for ring in rings:
        numbers = array("d", chain.from_iterable(point[:2] for point in ring))
        pieces += [_COUNT.pack(len(ring)), numbers.tobytes()]
    return b"".join(pieces)
