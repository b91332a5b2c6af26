# SPDX-License-Identifier: GPL-2.0-or-later
"""From the fused logits of one object to its polygon on the ground."""

from __future__ import annotations

from typing import Any

import contourpy
import numpy as np
import shapely
from affine import Affine

from .field import LOGIT_RANGE, Field
from .types import CellBox, FloatArray

AT_ONCE = 4_000_000
"""Cells contoured in one piece; a larger object is contoured in strips that are then joined."""

HALF_PIXEL = 0.5
"""Default tolerance of simplification, working pixels."""

Geometry = Any


def object_polygon(
    known: Field,
    cell: int,
    transform: Affine,
    *,
    shape: tuple[int, int] | None = None,
    simplify: float | None = None,
) -> Geometry:
    """The object's polygon or multipolygon, valid, in the raster's CRS.

    Args:
        known: Fused logits; unknown cells are not the object.
        cell: Side of a cell in working pixels.
        transform: Of the working pixels.
        shape: (height, width) of the raster, to which the polygon is cut: cells may reach beyond.
        simplify: Douglas-Peucker tolerance in ground units; None for half a working pixel.
    """
    box = known.positive_box()
    if box is None:
        return shapely.Polygon()
    strip = max(1, AT_ONCE // max(box.width, 1))
    rows = range(box.row0 - 1, box.row1 + 1, strip)
    parts = [
        _contour(known, CellBox(row, box.col0 - 1, min(row + strip + 1, box.row1 + 1), box.col1 + 1))
        for row in rows
    ]
    joined = parts[0] if len(parts) == 1 else shapely.union_all(parts)
    pixels = shapely.transform(joined, lambda xy: xy * cell)
    if shape is not None:
        pixels = shapely.intersection(pixels, shapely.box(0, 0, shape[1], shape[0]))
    a, b, c, d, e, f = transform[:6]
    ground = shapely.transform(
        pixels,
        lambda xy: np.column_stack(
            [a * xy[:, 0] + b * xy[:, 1] + c, d * xy[:, 0] + e * xy[:, 1] + f]
        ),
    )
    pixel = float(np.sqrt(abs(a * e - b * d)))
    tolerance = HALF_PIXEL * pixel if simplify is None else simplify
    if tolerance > 0:
        ground = shapely.simplify(ground, tolerance)
    return polygons_only(shapely.make_valid(ground, method="structure", keep_collapsed=False))


def polygons_only(geometry: Geometry) -> Geometry:
    """What has an area in a geometry, as a polygon or multipolygon."""
    if geometry.geom_type in ("Polygon", "MultiPolygon"):
        return geometry
    parts = [part for part in shapely.get_parts(geometry) if part.geom_type == "Polygon"]
    return parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)


def _contour(known: Field, box: CellBox) -> Geometry:
    """Where the logits of a box of cells exceed 0; x = column, y = row, in cells.

    Neighbouring boxes share a row of cells, so that their contours meet vertex on vertex.
    """
    logits = _beyond_edge(known, box)
    if not (logits > 0).any() or min(logits.shape) < 2:
        return shapely.Polygon()
    maker = contourpy.contour_generator(
        x=np.arange(box.col0, box.col1) + 0.5,
        y=np.arange(box.row0, box.row1) + 0.5,
        z=logits,
        fill_type=contourpy.FillType.OuterOffset,
    )
    points, offsets = maker.filled(0.0, np.inf)
    polygons = [
        shapely.Polygon(
            ring[at[0] : at[1]],
            [ring[first:last] for first, last in zip(at[1:-1], at[2:], strict=True)],
        )
        for ring, at in zip(points, offsets, strict=True)
    ]
    return polygons_only(shapely.make_valid(shapely.MultiPolygon(polygons), method="structure"))


def _beyond_edge(known: Field, box: CellBox) -> FloatArray:
    """Logits of a box; beyond the raster those of its edge, so that an object there is not bevelled.

    The polygon is cut to the raster afterwards.
    """
    inside = box.intersection(known.bounds)
    dense = known.dense(inside)
    pad = (
        (inside.row0 - box.row0, box.row1 - inside.row1),
        (inside.col0 - box.col0, box.col1 - inside.col1),
    )
    if any(side for axis in pad for side in axis):
        dense = np.pad(dense, pad, mode="edge")
    return np.maximum(dense, -LOGIT_RANGE)
