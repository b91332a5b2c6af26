# SPDX-License-Identifier: GPL-2.0-or-later
"""The polygon of one object on the ground, from its fused logits."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from affine import Affine

from ..earth.geometry import half_pixel
from ..masks.logits import in_steps
from ..masks.raster_edge import leads, up_to_edges
from ..masks.sparse_logits import Field
from ..types import CellBox
from . import contours as vectorize

AT_ONCE = 4_000_000
"""Cells contoured in one piece; a larger object is contoured in strips that are then joined."""


def object_polygon(
    known: Field,
    cell: int,
    transform: Affine,
    shape: tuple[int, int],
    simplify: float | None = None,
) -> Any:
    """The object's polygon or multipolygon, valid, in the raster's CRS.

    Args:
        known: Fused logits; unknown cells are not the object.
        cell: Side of a cell in working pixels.
        transform: Of the working pixels.
        shape: (height, width) of the raster, to which the polygon is cut: cells may reach beyond.
        simplify: Tolerance in ground units; None for half a working pixel.

    Returns:
        A shapely geometry; an empty polygon where no cell belongs to the object.
    """
    box = known.positive_box()
    if box is None:
        return shapely.Polygon()
    outer = _with_tips(known, box).grown(1)
    rows = max(2, AT_ONCE // outer.width)
    parts = []
    for row in range(outer.row0, outer.row1 - 1, rows):
        # Neighbouring strips share a row of cells, so that their contours meet vertex on vertex.
        strip = CellBox(row, outer.col0, min(row + rows + 1, outer.row1), outer.col1)
        inside = strip.intersection(known.bounds)
        values = np.zeros(strip.shape, np.float32)
        values[inside.slices(strip)] = known.dense(inside)
        parts.append(vectorize.contours(*up_to_edges(in_steps(values), strip, cell, shape)))
    (pixels,) = vectorize.without_specks([vectorize.joined(parts)])
    a, b, c, d, e, f = transform[:6]
    ground = vectorize.to_ground(pixels, (a, b, c, d, e, f))
    tolerance = half_pixel(transform) if simplify is None else simplify
    return vectorize.simplify(shapely.normalize(ground), tolerance)


def _with_tips(known: Field, box: CellBox) -> CellBox:
    """The object's box, and along the raster's edges the cells that lead it beyond them."""
    whole = known.bounds
    first = CellBox(whole.row0, whole.col0, whole.row0 + 1, whole.col0 + 1)
    last = CellBox(whole.row1 - 1, whole.col1 - 1, whole.row1, whole.col1)
    for corner, inwards in ((first, 1), (last, -1)):
        row = CellBox(corner.row0, whole.col0, corner.row1, whole.col1)
        col = CellBox(whole.row0, corner.col0, whole.row1, corner.col1)
        for edge, inner in ((row, row.shifted(inwards, 0)), (col, col.shifted(0, inwards))):
            if not box.intersects(edge):
                continue
            behind = inner if whole.contains(inner) else edge
            leading = np.flatnonzero(leads(known.dense(edge).ravel(), known.dense(behind).ravel()))
            # None where only a tip along another edge brought the box here.
            for at in leading[:: max(1, len(leading) - 1)].tolist():
                down, right = (at, 0) if edge is col else (0, at)
                place = edge.row0 + down, edge.col0 + right
                box = box.union(CellBox(*place, place[0] + 1, place[1] + 1))
    return box
