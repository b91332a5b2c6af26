# SPDX-License-Identifier: GPL-2.0-or-later
"""The largest part of a polygon, and a limit on its number of vertices."""

from __future__ import annotations

from qgis.core import QgsGeometry

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
