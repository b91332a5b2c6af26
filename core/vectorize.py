# SPDX-License-Identifier: GPL-2.0-or-later
"""Fused logits -> polygons.

Contours of the logits instead of borders of a binary mask: they run between cells where the model
is undecided, without a staircase, and with half of the vertices. Pixel coordinates here are
continuous: x is the column, y the row, (0, 0) the raster's outer top left corner, so that the
centre of cell (i, j) with side k lies at ((j + 0.5) k, (i + 0.5) k).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from contourpy import FillType, contour_generator
from numpy.typing import NDArray
from shapely import Geometry

from .beyond import beyond_edges
from .grid import Grid
from .types import CellBox, FloatArray

SNAP = 1.0 / 1024.0
"""Contour vertices lie on this fraction of a pixel: blocks of one object then meet exactly, and
results are the same to the last bit. A thousand times finer than the contours are exact."""

ABOVE_ANY = 1e9

AffineTuple = tuple[float, float, float, float, float, float]
"""(a, b, c, d, e, f): x = a col + b row + c, y = d col + e row + f; rasterio's ``Affine[:6]``."""


def contours(values: FloatArray, box: CellBox, cell: int) -> list[Geometry]:
    """Polygons with their holes where values are above 0, in raster pixel coordinates.

    Args:
        values: (height, width) float32 stored logits on the cells of ``box``, > 0 inside; where
            the box's edge cells are positive, the polygon is cut straight through their centres.
        box: Where they lie on the lattice.
        cell: Side of a cell, pixels.

    Returns:
        Valid polygons.
    """
    if min(values.shape) < 2:
        return []
    x = (np.arange(box.col0, box.col1) + 0.5) * cell
    y = (np.arange(box.row0, box.row1) + 0.5) * cell
    # A cell of exactly 0 is outside. Left at 0, the contour would run through its very centre, from
    # where it touches itself; a quarter of a stored step is less than what rounding took away.
    values = np.where(values == 0, np.float32(-0.25), values)
    # All polygons of the box in one array of vertices, and from where to where each ring and each
    # polygon goes: one call makes them all, and one looks which are valid.
    generator = contour_generator(x, y, values, fill_type=FillType.ChunkCombinedOffsetOffset)
    filled: Any = generator.filled(0.0, ABOVE_ANY)  # the type depends on fill_type
    (points,), (rings,), (polygons,) = filled
    if points is None:
        return []
    lengths = np.diff(rings.astype(np.int64))
    kept = lengths >= 4  # a ring has three corners and returns to the first
    rings = np.concatenate([[0], np.cumsum(lengths[kept])])
    polygons = np.concatenate([[0], np.cumsum(kept)])[polygons]
    snapped = np.rint(np.asarray(points)[np.repeat(kept, lengths)] / SNAP) * SNAP
    made = shapely.from_ragged_array(shapely.GeometryType.POLYGON, snapped, (rings, polygons))
    if not shapely.is_valid(made).all():
        made = np.array([valid(polygon) for polygon in made])
    return polygon_parts(made)


def polygonize(blocks: Iterable[tuple[CellBox, FloatArray]], grid: Grid) -> Geometry:
    """One object's fused blocks -> its polygon.

    Args:
        blocks: From :func:`samgeo_core.merge.fuse`: neighbours share a row or column of cells.
        grid: The job's grid; nothing reaches beyond its raster.

    Returns:
        Polygon or MultiPolygon in raster pixel coordinates, valid, in normal form (so that the
        same shape is the same bytes); an empty polygon where nothing is positive.
    """
    parts: list[Geometry] = []
    count = 0
    cells = grid.bounds.cells(grid.cell)
    for box, values in blocks:
        parts += contours(beyond_edges(values, box, cells), box, grid.cell)
        count += 1
    if not parts:
        return shapely.Polygon()
    whole = shapely.union_all(parts) if count > 1 else shapely.multipolygons(parts)
    whole = shapely.simplify(whole, 0.0)  # drops vertices on straight lines, as between blocks
    minx, miny, maxx, maxy = shapely.bounds(whole)
    if minx < 0 or miny < 0 or maxx > grid.width or maxy > grid.height:
        whole = shapely.intersection(whole, shapely.box(0, 0, grid.width, grid.height))
    return simplest(shapely.normalize(valid(whole)))


def valid(geometry: Geometry) -> Geometry:
    """The geometry itself, or made valid by structure; only its polygons."""
    if not shapely.is_valid(geometry):
        geometry = shapely.make_valid(geometry, method="structure", keep_collapsed=False)
    return simplest(geometry)


def polygon_parts(geometry: Geometry | NDArray[np.object_]) -> list[Geometry]:
    """All non-empty polygons in a geometry of any type, or in an array of some."""
    parts = shapely.get_parts(shapely.get_parts(geometry))
    polygons = shapely.get_type_id(parts) == shapely.GeometryType.POLYGON
    return list(parts[polygons & ~shapely.is_empty(parts)])


def simplest(geometry: Geometry) -> Geometry:
    """A Polygon where one will do, else a MultiPolygon; lines and points are dropped."""
    parts = polygon_parts(geometry)
    if len(parts) == 1:
        return parts[0]
    return shapely.multipolygons(parts) if parts else shapely.Polygon()


def to_ground(geometry: Geometry, transform: AffineTuple) -> Geometry:
    """Raster pixel coordinates -> the raster's CRS."""
    a, b, c, d, e, f = transform

    def apply(points: NDArray[np.float64]) -> NDArray[np.float64]:
        col, row = points[:, 0], points[:, 1]
        return np.column_stack([a * col + b * row + c, d * col + e * row + f])

    return shapely.transform(geometry, apply)


def simplify(geometry: Geometry, tolerance: float) -> Geometry:
    """Fewer vertices, within a distance in the geometry's own units; valid, topology kept."""
    if tolerance <= 0:
        return geometry
    return valid(shapely.simplify(geometry, tolerance, preserve_topology=True))


def planar_area(polygon: Geometry) -> float:
    return float(shapely.area(polygon))


@dataclass(frozen=True)
class SizeLimits:
    """What is too small to keep.

    Args:
        part: Smallest polygon of an object, in ``area``'s unit; 0 keeps all.
        hole: Smallest hole; smaller ones are filled.
        area: Measures a polygon, e.g. on the ellipsoid in m2.
    """

    part: float = 0.0
    hole: float = 0.0
    area: Callable[[Geometry], float] = planar_area


def drop_small(geometry: Geometry, limits: SizeLimits) -> Geometry:
    """Fill small holes, then drop small parts; an empty polygon where nothing remains."""
    kept = []
    for part in polygon_parts(geometry):
        if limits.hole > 0 and part.interiors:
            holes = [
                ring for ring in part.interiors if limits.area(shapely.Polygon(ring)) >= limits.hole
            ]
            part = shapely.Polygon(part.exterior, holes)
        if limits.part <= 0 or limits.area(part) >= limits.part:
            kept.append(part)
    return simplest(shapely.multipolygons(kept)) if kept else shapely.Polygon()
