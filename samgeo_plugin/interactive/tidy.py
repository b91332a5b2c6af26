# SPDX-License-Identifier: GPL-2.0-or-later
"""The largest part of a polygon, a limit on its number of vertices, and its place on the ground."""

from __future__ import annotations

import math
from typing import Optional

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCsException,
    QgsDistanceArea,
    QgsGeometry,
    QgsPointXY,
    QgsProject,
)

LEAST_IOU = 0.97
"""A simplified outline that agrees less with its original is not taken: the limit on vertices is a
wish, the shape is not."""

_STEPS = 12


def largest_part(geometry: QgsGeometry) -> QgsGeometry:
    """The part with the largest area, as a polygon of one part."""
    if not geometry.isMultipart():
        return geometry
    parts = geometry.asGeometryCollection()
    return max(parts, key=lambda part: part.area()) if parts else geometry


def vertices(geometry: QgsGeometry) -> int:
    """Vertices of all rings; the closing one is not counted."""
    if geometry.isNull():
        return 0
    whole = geometry.constGet()
    return sum(
        max(0, whole.vertexCount(part, ring) - 1)
        for part in range(whole.partCount())
        for ring in range(whole.ringCount(part))
    )


def with_few_vertices(geometry: QgsGeometry, most: int) -> QgsGeometry:
    """Simplify (Douglas-Peucker) with the smallest tolerance that keeps the limit.

    Args:
        geometry: A polygon.
        most: Vertices; 0 for no limit. A complicated outline keeps more, so that it agrees with
            its original by :data:`LEAST_IOU` at least.
    """
    if most <= 0 or vertices(geometry) <= most:
        return geometry
    area = geometry.area()
    if not area > 0:
        return geometry
    low, high = 0.0, area**0.5 / 8
    best = geometry
    for _ in range(_STEPS):
        tolerance = (low + high) / 2
        made = geometry.simplify(tolerance)
        if made.isEmpty() or not made.isGeosValid() or iou(made, geometry) < LEAST_IOU:
            high = tolerance
            continue
        count = vertices(made)
        if count <= most:
            best, high = made, tolerance
        else:
            low = tolerance
            if count < vertices(best):
                best = made
    return best


def iou(one: QgsGeometry, other: QgsGeometry) -> float:
    common = one.intersection(other).area()
    together = one.area() + other.area() - common
    return float(common / together) if together > 0 else 0.0


def ruler(crs: QgsCoordinateReferenceSystem) -> QgsDistanceArea:
    """Measures what is in a CRS on its ellipsoid, in metres."""
    made = QgsDistanceArea()
    made.setSourceCrs(crs, QgsProject.instance().transformContext())
    made.setEllipsoid(crs.ellipsoidAcronym())
    return made


def metres_per_unit(
    geometry: QgsGeometry, crs: QgsCoordinateReferenceSystem
) -> tuple[float, float]:
    """Of a CRS in degrees, along x and y in the middle of a geometry, for angles and distances.

    The plane of a projected CRS is taken as it is, in its own units: 1 and 1.
    """
    if not crs.isGeographic():
        return 1.0, 1.0
    return ground_scale(geometry.boundingBox().center(), crs, 1e-4) or (1.0, 1.0)


def ground_scale(
    place: QgsPointXY, crs: QgsCoordinateReferenceSystem, step: float
) -> Optional[tuple[float, float]]:
    """Metres on the ground per unit of a CRS, along x and y; None where there is no ground.

    Args:
        place: In the CRS.
        crs: Of the units.
        step: Units to each side over which it is measured.
    """
    x, y, tape = place.x(), place.y(), ruler(crs)
    if not tape.willUseEllipsoid():
        return None
    try:
        east = tape.measureLine(QgsPointXY(x - step, y), QgsPointXY(x + step, y)) / (2 * step)
        north = tape.measureLine(QgsPointXY(x, y - step), QgsPointXY(x, y + step)) / (2 * step)
    except QgsCsException:
        return None
    on_earth = all(math.isfinite(each) and each > 1e-6 for each in (east, north))
    return (east, north) if on_earth else None
