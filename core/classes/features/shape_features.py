# SPDX-License-Identifier: GPL-2.0-or-later
"""Features of objects that need no picture: size, shape, score, and what lies around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from ...types import FloatArray
from .overlaps import Overlaps

Doubles = NDArray[np.float64]

NEAREST = 6
"""Objects around an object that it is compared with."""

GEOMETRY_NAMES = (
    *("log_area", "log_width", "compactness", "elongation", "rectangularity", "convexity"),
    *("corners", "holes", "parts"),
)
CONTEXT_NAMES = (
    *("score", "stability", "inside_larger", "filled_by_smaller", "shared_with_similar"),
    *("relative_size", "log_distance", "like_sized"),
)


@dataclass(frozen=True, eq=False)
class ShapeMeasures:
    """Shapes of n polygons; ratios lie between 0 and 1.

    Args:
        elongation: 1 - short side over long side of the smallest rotated rectangle around it.
        rectangularity: Area over the area of that rectangle.
        convexity: Area over the area of the convex hull.
        compactness: 4 pi area / perimeter^2, 1 for a circle (Polsby and Popper 1991).
    """

    elongation: Doubles
    rectangularity: Doubles
    convexity: Doubles
    compactness: Doubles


def shape_measures(polygons: Sequence[Any] | NDArray[Any]) -> ShapeMeasures:
    """Measure polygons in a plane (working pixels, or metres)."""
    shapes = np.asarray(polygons, dtype=object).reshape(-1)
    area, length = shapely.area(shapes), np.maximum(shapely.length(shapes), 1e-12)
    around = shapely.minimum_rotated_rectangle(shapes)
    short, long, boxed = _sides(around)
    hull = np.maximum(shapely.area(shapely.convex_hull(shapes)), 1e-12)
    return ShapeMeasures(
        elongation=np.where(long > 0, 1 - short / np.maximum(long, 1e-12), 0.0),
        rectangularity=np.minimum(area / np.maximum(boxed, 1e-12), 1.0),
        convexity=np.minimum(area / hull, 1.0),
        compactness=np.minimum(4 * np.pi * area / length**2, 1.0),
    )


def _sides(rectangles: NDArray[Any]) -> tuple[Doubles, Doubles, Doubles]:
    """Short side, long side and area of rectangles; 0 where a shape has no area."""
    short, long = np.zeros(len(rectangles)), np.zeros(len(rectangles))
    for k, rectangle in enumerate(rectangles):
        if rectangle is not None and rectangle.geom_type == "Polygon" and not rectangle.is_empty:
            xy = shapely.get_coordinates(rectangle)[:3]
            sides = np.hypot(*np.diff(xy, axis=0).T)
            short[k], long[k] = float(sides.min()), float(sides.max())
    return short, long, short * long


def shape_features(polygons: NDArray[Any], square_metres: Doubles) -> FloatArray:
    """(n, d) float32 of :data:`GEOMETRY_NAMES`.

    Args:
        polygons: In working pixels.
        square_metres: (n,) areas on the ground: sizes mean the same on another raster.
    """
    area = np.maximum(shapely.area(polygons), 1e-6)
    length = np.maximum(shapely.length(polygons), 1e-6)
    ground = np.maximum(np.nan_to_num(square_metres), 1e-6)
    measures = shape_measures(polygons)
    # Of a long thin thing, twice the area over the perimeter is half of the width.
    width = 4 * area / length * np.sqrt(ground / area)
    # A shape's own scale: what is left of its corners after a coarse simplification.
    coarse = np.array(
        [
            shapely.get_num_coordinates(shapely.simplify(polygon, 0.05 * np.sqrt(size)))
            for polygon, size in zip(polygons, area, strict=True)
        ],
        np.float64,
    ).reshape(-1)
    filled = np.array([_filled_area(polygon) for polygon in polygons], np.float64).reshape(-1)
    values = [
        np.log(ground),
        np.log(np.maximum(width, 1e-6)),
        measures.compactness,
        measures.elongation,
        measures.rectangularity,
        measures.convexity,
        np.log(np.maximum(coarse, 3)),
        np.sqrt(np.maximum(1 - area / np.maximum(filled, 1e-6), 0)),
        np.log(np.maximum(shapely.get_num_geometries(polygons), 1)),
    ]
    return np.column_stack(values).astype(np.float32).reshape(-1, len(GEOMETRY_NAMES))


def _filled_area(polygon: Any) -> float:
    """Area of a polygon or multipolygon with its holes filled."""
    return float(
        sum(
            shapely.Polygon(part.exterior).area
            for part in shapely.get_parts(polygon)
            if part.geom_type == "Polygon"
        )
    )


def context_features(
    polygons: NDArray[Any], score: Doubles, stability: Doubles, pairs: Overlaps
) -> FloatArray:
    """(n, d) float32 of :data:`CONTEXT_NAMES`: scores, and the objects around.

    Args:
        polygons: Of all objects, working pixels, valid.
        score: (n,) predicted IoU, NaN where unknown (taken as the mean of the others).
        stability: (n,) likewise.
        pairs: Which of them share ground.
    """
    count = len(polygons)
    area = np.maximum(pairs.area, 1e-6)
    inside, filled, shared = np.zeros(count), np.zeros(count), np.zeros(count)
    known = pairs.first.tolist(), pairs.second.tolist(), pairs.common.tolist()
    for a, b, both in zip(*known, strict=True):
        small, large = (a, b) if area[a] <= area[b] else (b, a)
        if both / (area[a] + area[b] - both) > 0.5:
            shared[a] += 1
            shared[b] += 1
        else:
            inside[small] = max(inside[small], both / area[small])
            filled[large] += both / area[large]
    relative, distance, alike = _neighbours(polygons, area)
    values = [
        _known(score),
        _known(stability),
        inside,
        np.log1p(filled),
        np.log1p(shared),
        relative,
        distance,
        alike,
    ]
    return np.column_stack(values).astype(np.float32).reshape(-1, len(CONTEXT_NAMES))


def _known(values: Doubles) -> Doubles:
    good = np.isfinite(values)
    middle = float(np.mean(values[good])) if good.any() else 0.0
    return np.where(good, values, middle)


def _neighbours(polygons: NDArray[Any], area: Doubles) -> tuple[Doubles, Doubles, Doubles]:
    """Size against the nearest objects', distance to them in own sizes, share of similar size."""
    from scipy.spatial import cKDTree

    count = len(polygons)
    if count < 2:
        return np.zeros(count), np.zeros(count), np.zeros(count)
    middle = shapely.get_coordinates(shapely.centroid(polygons))
    near = min(NEAREST + 1, count)
    distance, index = cKDTree(middle).query(middle, k=near)
    size = np.log(area)
    others = size[index[:, 1:]]
    relative = size - np.median(others, axis=1)
    scaled = np.log1p(np.mean(distance[:, 1:], axis=1) / np.sqrt(area))
    alike = np.mean(np.abs(others - size[:, None]) < np.log(2), axis=1)
    return relative, scaled, alike
