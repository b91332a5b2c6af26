# SPDX-License-Identifier: GPL-2.0-or-later
"""Right angles for outlines of buildings.

Works on finished polygons, after the merge, so that no seam can show. Right angles only exist where
lengths do: give polygons in a metric CRS or in square pixels, not in degrees.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import Geometry

from .contours import polygon_parts, simplest, valid

LEAST_UPRIGHT = 0.7
"""Share of a ring's length along its two main directions below which it is no right-angled thing
(a round tank has about a half)."""

SHORT = 6.0
"""Oblique sides shorter than this many tolerances are corners that were cut off, not walls."""

SAMPLES = 64
"""Places along a wall to which its line is fitted."""

Points = NDArray[np.float64]

LEAST_IOU = 0.85
"""A regularised building that agrees less than this with its polygon is left as it was."""


def right_angles(
    geometry: Geometry, tolerance: float, *, least_iou: float = LEAST_IOU, slanted: float = 22.5
) -> Geometry:
    """A building with right angles, where they suit it.

    Of each part: sides of the simplified ring are turned into the building's main direction or
    across it, unless they deviate by more than ``slanted``; neighbours of the same direction become
    one side, and consecutive sides are intersected. A courtyard that right angles do not suit stays
    as it is. The main direction is that in which sides modulo 90 degrees add up to most of the
    length (their mean on the circle of four times the angle, with the sides of the polygon weighted
    by length).

    Args:
        geometry: Polygon or MultiPolygon in a metric CRS or in square pixels.
        tolerance: Of the simplification before it, in the geometry's units; sides shorter than
            this are taken for noise. About 1.5 pixels is a good value.
        least_iou: A part whose IoU with its regularised shape is lower stays as it is.
        slanted: Degrees from which on a side is meant to be oblique; 45 turns all sides.

    Returns:
        A valid geometry; parts that do not suit are unchanged.
    """
    parts = []
    for part in polygon_parts(geometry):
        direct = _regular_polygon(part, tolerance, slanted, least_iou)
        good = direct is not None and _iou(direct, part) >= least_iou
        parts.append(direct if good else part)
    if not parts:
        return shapely.Polygon()
    # Regularised parts may touch one another; a union keeps the whole valid.
    return (
        simplest(valid(shapely.union_all(parts)))
        if len(parts) > 1
        else simplest(shapely.multipolygons(parts))
    )


def _iou(a: Geometry, b: Geometry) -> float:
    union = shapely.area(shapely.union(a, b))
    return float(shapely.area(shapely.intersection(a, b)) / union) if union > 0 else 0.0


def main_direction(polygon: Geometry) -> float:
    """Direction of a polygon's sides modulo 90 degrees, radians in [0, pi / 2)."""
    sides = [np.diff(_ring(ring), axis=0) for ring in (polygon.exterior, *polygon.interiors)]
    steps = np.concatenate(sides)
    length = np.hypot(steps[:, 0], steps[:, 1])
    angle = np.arctan2(steps[:, 1], steps[:, 0])
    # Squared lengths: one long wall says more than many short noisy steps of the same total.
    total = (length**2 * np.exp(4j * angle)).sum()
    return float(np.angle(total) / 4 % (np.pi / 2))


def _wall_direction(polygon: Geometry, simple: Geometry, tolerance: float) -> float:
    """The main direction of a polygon, its walls being the sides of the simplified polygon.

    A side's ends are vertices of corners that the contour cut off, on either side of the wall, so
    that a side of 25 pixels may lie a degree askew. A wall's direction is that of the line fitted
    to the polygon's border along the side (total least squares), without its ends.

    Args:
        polygon: As drawn.
        simple: Simplified; its vertices are some of the polygon's.
        tolerance: Of the simplification.

    Returns:
        Radians in [0, pi / 2), as :func:`main_direction`.
    """
    total = 0j
    before = {ring: _ring(ring)[:-1] for ring in (polygon.exterior, *polygon.interiors)}
    at = {tuple(xy): (ring, k) for ring, xys in before.items() for k, xy in enumerate(xys.tolist())}
    for ring in (simple.exterior, *simple.interiors):
        for p, q in _steps(_ring(ring)[:-1]):
            way = np.array([p, q])
            (start, first), (end, last) = (at.get(tuple(xy.tolist()), (None, 0)) for xy in way)
            if start is not None and start is end:
                xys = before[start]
                way = xys[np.arange(first, last + 1 + len(xys) * (last <= first)) % len(xys)]
            length = float(np.hypot(*(q - p)))
            total += length**2 * np.exp(4j * _fitted(way, tolerance))
    return float(np.angle(total) / 4 % (np.pi / 2))


def _fitted(way: Points, tolerance: float) -> float:
    """Direction of the straight line nearest to a way but for ``tolerance`` at both of its ends."""
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(way, axis=0).T))])
    if along[-1] >= 4 * tolerance:
        places = np.linspace(tolerance, along[-1] - tolerance, SAMPLES)
        way = np.column_stack([np.interp(places, along, way[:, axis]) for axis in (0, 1)])
    x, y = (way - way.mean(axis=0)).T
    return float(np.arctan2(2 * (x * y).sum(), (x * x).sum() - (y * y).sum()) / 2)


def _ring(ring: Geometry) -> Points:
    points: Points = shapely.get_coordinates(ring)
    return points


def _regular_polygon(
    polygon: Geometry, tolerance: float, slanted: float, least_iou: float
) -> Geometry | None:
    """The polygon with right angles, None where it collapses."""
    simple = shapely.simplify(polygon, tolerance)
    if simple.geom_type != "Polygon" or simple.is_empty:
        return None
    theta = _wall_direction(polygon, simple, tolerance)
    turn = np.array([[np.cos(theta), -np.sin(theta)], [np.sin(theta), np.cos(theta)]])
    rings: list[Points] = []
    for ring in (simple.exterior, *simple.interiors):
        upright = _ring(ring)[:-1] @ turn  # the main direction along x
        squared = _square_ring(upright, tolerance, np.radians(slanted))
        if squared is not None and rings:
            court = valid(shapely.Polygon(squared))
            suits = _iou(court, shapely.Polygon(upright)) >= least_iou
            squared = squared if suits else None
        if squared is not None:
            rings.append(squared @ turn.T)
        elif not rings:
            return None
        else:
            # A round courtyard, say, stays as it was; a hole without a core was noise, and one that
            # a straight wall now cuts would be a round notch in it.
            spot = shapely.point_on_surface(shapely.buffer(shapely.Polygon(ring), -tolerance))
            walls = valid(shapely.Polygon(rings[0]))
            whole = (own for own in polygon.interiors if shapely.Polygon(own).contains(spot))
            rings += [_ring(own) for own in whole if walls.contains_properly(own)]
    shape = shapely.Polygon(rings[0], rings[1:])
    if not shape.is_valid:
        parts = polygon_parts(valid(shape))
        shape = max(parts, key=shapely.area) if parts else None
    return shape


@dataclass(frozen=True)
class _Side:
    """A line: points p with normal . p = offset; ``kind`` 0 along x, 1 along y, 2 oblique."""

    kind: int
    normal: tuple[float, float]
    offset: float
    length: float


def _square_ring(points: Points, tolerance: float, slanted: float) -> Points | None:
    """Corners of a closed ring whose sides are along x, along y or oblique; None if degenerate."""
    sides = [_side(p, q, slanted, tolerance) for p, q in _steps(points)]
    upright = sum(side.length for side in sides if side.kind != 2)
    if upright < LEAST_UPRIGHT * sum(side.length for side in sides):
        return None
    sides = _merge_sides(sides)
    # A short side between two parallel ones is a step in a wall: one wall takes its place.
    while len(sides) > 4:
        short = min(range(len(sides)), key=lambda k: sides[k].length)
        if sides[short].length >= 1.5 * tolerance:
            break
        sides = _merge_sides(sides[:short] + sides[short + 1 :])
    if len(sides) < 4 and not any(side.kind == 2 for side in sides):
        return None
    if len(sides) < 3:
        return None
    corners = []
    for a, b in zip(sides, sides[1:] + sides[:1], strict=True):
        matrix = np.array([a.normal, b.normal])
        if abs(np.linalg.det(matrix)) < 1e-3:
            return None
        corners.append(np.linalg.solve(matrix, (a.offset, b.offset)))
    return np.array(corners)


def _steps(points: Points) -> list[tuple[Points, Points]]:
    return list(zip(points, np.roll(points, -1, axis=0), strict=True))


def _side(p: Points, q: Points, slanted: float, tolerance: float) -> _Side:
    dx, dy = q - p
    length = float(np.hypot(dx, dy))
    angle = abs(np.arctan2(dy, dx))
    from_x = min(angle, np.pi - angle)
    from_axis = min(from_x, np.pi / 2 - from_x)
    middle = (p + q) / 2
    # A short oblique side is a corner that was cut off, not a wall.
    if from_axis <= slanted or length < SHORT * tolerance:
        if from_x < np.pi / 4:
            return _Side(0, (0.0, 1.0), float(middle[1]), length)
        return _Side(1, (1.0, 0.0), float(middle[0]), length)
    normal = (float(-dy / length), float(dx / length))
    return _Side(2, normal, float(middle @ np.array(normal)), length)


def _merge_sides(sides: list[_Side]) -> list[_Side]:
    """Neighbours along the same axis as one side, at their mean place weighted by length."""
    merged: list[_Side] = []
    for side in sides:
        if merged and side.kind != 2 and merged[-1].kind == side.kind:
            merged[-1] = _mean(merged[-1], side)
        else:
            merged.append(side)
    if len(merged) > 1 and merged[0].kind == merged[-1].kind != 2:
        merged[0] = _mean(merged[0], merged.pop())
    return merged


def _mean(a: _Side, b: _Side) -> _Side:
    length = a.length + b.length
    offset = (a.offset * a.length + b.offset * b.length) / max(length, 1e-12)
    return _Side(a.kind, a.normal, offset, length)
