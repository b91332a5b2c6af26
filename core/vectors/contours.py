# SPDX-License-Identifier: GPL-2.0-or-later
"""Contours: fused logits to polygons.

Contours of the logits instead of borders of a binary mask: they run between cells where the model
is undecided, without a staircase, and with half of the vertices. Pixel coordinates here are
continuous: x is the column, y the row, (0, 0) the raster's outer top left corner, so that the
centre of cell (i, j) with side k lies at ((j + 0.5) k, (i + 0.5) k).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import shapely
from contourpy import FillType, LineType, SerialContourGenerator, ZInterp
from numpy.typing import NDArray
from shapely import Geometry

from ..masks.logits import Steps
from ..masks.raster_edge import Places, up_to_edges
from ..merge.intersections import ranges
from ..tiles.grid import Grid
from ..types import CellBox

SNAP = 1.0 / 1024.0
"""Contour vertices lie on this fraction of a pixel: blocks of one object then meet exactly, and
results are the same to the last bit. A thousand times finer than the contours are exact."""

LEAST = np.float32(0.25)
"""Stored steps: logits nearer to 0 are taken for this, and 0 itself for outside. Contours then stay
away from centres by more than ``SNAP`` on every side, where two of them could touch; a quarter of a
step is less than what rounding took away."""

ABOVE_ANY = 1e9

SPECK = 0.5
"""Square pixels of the contour around a single pixel. Where the model is undecided in one cell of
an object, the contour around it may be a thousand times smaller: no hole that a map could show."""

AffineTuple = tuple[float, float, float, float, float, float]
"""(a, b, c, d, e, f): x = a col + b row + c, y = d col + e row + f; rasterio's ``Affine[:6]``."""


def contours(values: Steps, x: Places, y: Places) -> NDArray[np.object_]:
    """Polygons with their holes where values are above 0.

    They are valid as they come: lines of one contour meet nowhere, and none runs through a centre,
    because no value is nearer to 0 than :data:`LEAST`.

    Args:
        values: (height, width) float32 stored logits, > 0 inside, at most +-127; where the
            outermost are positive, the polygon is cut straight through their centres.
        x: (width,) raster pixels, whole and half ones; where their columns lie.
        y: (height,) likewise for the rows.

    Returns:
        Valid polygons without vertices on straight lines.
    """
    if min(values.shape) < 2:
        return np.empty(0, object)
    across, down = np.meshgrid(np.asarray(x, np.float64), np.asarray(y, np.float64))
    polygons, _ = _polygons(Canvas(values, across, down, len(values)))
    return polygons


@dataclass(frozen=True, eq=False)
class Canvas:
    """Logits of one object, or of several below one another, each with a ring of cells outside.

    Args:
        values: (height, width) float32 stored logits, > 0 inside.
        x: (height, width) float64, where they lie, raster pixels.
        y: (height, width) float64, likewise.
        rows: Rows of each object.
    """

    values: NDArray[np.float32]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    rows: int


def _polygons(canvas: Canvas) -> tuple[NDArray[np.object_], NDArray[np.int64]]:
    """All polygons of a canvas, object by object, and (objects,) how many each has."""
    values = canvas.values
    near = np.abs(values) < LEAST
    values = np.where(near, np.where(values > 0, LEAST, -LEAST), values)
    # All polygons of an object in one array of vertices, and from where to where each ring and
    # each polygon goes: one call makes them all.
    # The class itself: contourpy's function takes longer to look at its arguments than to answer.
    generator = SerialContourGenerator(
        canvas.x,
        canvas.y,
        values.astype(np.float64),
        cast(Any, None),  # no mask
        corner_mask=True,
        line_type=LineType.Separate,
        fill_type=FillType.ChunkCombinedOffsetOffset,
        quad_as_tri=False,
        z_interp=ZInterp.Linear,
        y_chunk_size=canvas.rows,
    )
    filled: Any = generator.filled(0.0, ABOVE_ANY)  # the type depends on fill_type
    count = np.array([0 if ends is None else len(ends) - 1 for ends in filled[2]], np.int64)
    if not count.any():
        return np.empty(0, object), count
    points, rings, polygons = ([part for part in some if part is not None] for some in filled)
    corners, ends = _corners(np.rint(np.concatenate(points) / SNAP), _chained(rings))
    made: NDArray[np.object_] = shapely.from_ragged_array(
        shapely.GeometryType.POLYGON, corners * SNAP, (ends, _chained(polygons))
    )
    return made, count


def _chained(offsets: Sequence[NDArray[Any]]) -> NDArray[np.int64]:
    """Offsets of several arrays, each from 0 on -> of all of them one after the other."""
    if len(offsets) == 1:
        return offsets[0].astype(np.int64)
    before = np.cumsum([0, *(int(part[-1]) for part in offsets[:-1])])
    shift = np.repeat(before, [len(part) - 1 for part in offsets])
    inner = np.concatenate([part[1:] for part in offsets]).astype(np.int64) + shift
    return np.concatenate([np.zeros(1, np.int64), inner])


def drawn(canvas: Canvas) -> list[Geometry]:
    """What :func:`polygonize` makes of each object of a canvas that is one block."""
    polygons, count = _polygons(canvas)
    shapes = np.full(len(count), shapely.Polygon(), dtype=object)
    start = np.cumsum(count) - count
    shapes[count == 1] = polygons[start[count == 1]]
    several = np.flatnonzero(count > 1)
    if len(several):
        parts = polygons[ranges(start[several], count[several])]
        owner = np.repeat(np.arange(len(several)), count[several])
        shapes[several] = shapely.multipolygons(parts, indices=owner)
    return list(shapely.normalize(shapes))


def _corners(points: Places, rings: NDArray[np.int64]) -> tuple[Places, NDArray[np.int64]]:
    """Closed rings without the vertices at which they go straight on.

    Args:
        points: (n, 2) whole numbers, so that what is straight is exactly so.
        rings: (rings + 1,) where each begins; it ends where it begins.
    """
    first, last = rings[:-1], rings[1:] - 1
    before = np.arange(-1, len(points) - 1)
    before[first] = last - 1
    after = np.arange(1, len(points) + 1)
    after[last] = first + 1
    (x0, y0), (x1, y1) = (points - points[before]).T, (points[after] - points).T
    kept = x0 * y1 != x1 * y0
    kept[last] = False
    number = np.add.reduceat(kept, first, dtype=np.int64)
    # Of a ring's corners the first one is its last vertex, too.
    at = np.flatnonzero(kept)
    start = np.cumsum(number) - number
    at = np.insert(at, start + number, at[start])
    return points[at], np.concatenate([[0], np.cumsum(number + 1)])


def polygonize(blocks: Iterable[tuple[CellBox, Steps]], grid: Grid) -> Geometry:
    """One object's fused blocks -> its polygon.

    Args:
        blocks: From :func:`samgeo_core.merge.fuse`: neighbours share a row or column of cells.
        grid: The job's grid; nothing reaches beyond its raster.

    Returns:
        Polygon or MultiPolygon in raster pixel coordinates, valid, in normal form (so that the
        same shape is the same bytes); an empty polygon where nothing is positive.
    """
    size = grid.height, grid.width
    parts = [contours(*up_to_edges(values, box, grid.cell, size)) for box, values in blocks]
    return joined(parts)


def joined(parts: Sequence[NDArray[np.object_]]) -> Geometry:
    """The contours of the blocks of one object as one valid geometry in normal form."""
    if len(parts) > 1:
        whole = shapely.union_all(np.concatenate(parts))
        # Drops vertices on straight lines between blocks.
        return shapely.normalize(valid(shapely.simplify(whole, 0.0)))
    if not parts or not len(parts[0]):
        return shapely.Polygon()
    polygons = parts[0]
    return shapely.normalize(polygons[0] if len(polygons) == 1 else shapely.multipolygons(polygons))


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


def to_ground(geometry: Any, transform: AffineTuple) -> Any:
    """Raster pixel coordinates -> the raster's CRS; a geometry, or an array of some."""
    a, b, c, d, e, f = transform

    def apply(points: NDArray[np.float64]) -> NDArray[np.float64]:
        col, row = points[:, 0], points[:, 1]
        return np.column_stack([a * col + b * row + c, d * col + e * row + f])

    return shapely.transform(geometry, apply)


def simplify(geometry: Geometry, tolerance: float) -> Geometry:
    """Fewer vertices, within a distance in the geometry's own units; valid, topology kept."""
    if tolerance <= 0:
        return geometry
    polygonal = shapely.get_type_id(geometry) in (
        shapely.GeometryType.POLYGON,
        shapely.GeometryType.MULTIPOLYGON,
    )
    if polygonal and (parts := polygon_parts(geometry)):
        # Ring by ring is up to thirty times faster; only where two of them meet then, all are
        # looked at together.
        rings, owner = shapely.get_rings(parts, return_index=True)
        rings = shapely.simplify(rings, tolerance, preserve_topology=True)
        alone = shapely.polygons(rings, indices=owner)
        whole = shapely.multipolygons(alone) if len(alone) > 1 else alone[0]
        if shapely.is_valid(whole):
            return whole
    return valid(shapely.simplify(geometry, tolerance, preserve_topology=True))


def simplified(shapes: Sequence[Geometry], tolerance: float) -> list[Geometry]:
    """What :func:`simplify` makes of each shape, in a few calls for all of them."""
    given: NDArray[np.object_] = np.array([*shapes, None], dtype=object)[:-1]
    if tolerance <= 0 or len(given) == 0:
        return list(given)
    parts, of_shape = shapely.get_parts(given, return_index=True)
    plain = np.isin(shapely.get_type_id(given), (3, 6)) & ~shapely.is_empty(given)
    # A shape with an empty part, or with parts of another kind, is looked at by itself.
    odd = (shapely.get_type_id(parts) != 3) | shapely.is_empty(parts)
    plain[of_shape[odd]] = False
    parts, of_shape = parts[plain[of_shape]], of_shape[plain[of_shape]]
    made = given.copy()
    if len(parts):
        rings, owner = shapely.get_rings(parts, return_index=True)
        rings = shapely.simplify(rings, tolerance, preserve_topology=True)
        alone = shapely.polygons(rings, indices=owner)
        count = np.bincount(of_shape, minlength=len(given))
        single = count[of_shape] == 1
        made[of_shape[single]] = alone[single]
        if not single.all():
            several = np.unique(of_shape[~single])
            place = np.searchsorted(several, of_shape[~single])
            made[several] = shapely.multipolygons(alone[~single], indices=place)
    again = ~plain | ~shapely.is_valid(made)
    for number in np.flatnonzero(again).tolist():
        made[number] = simplify(given[number], tolerance)
    return list(made)


def all_to_ground(shapes: Sequence[Geometry], transform: AffineTuple) -> list[Geometry]:
    """What :func:`to_ground` makes of each shape, in one call for all of them."""
    given: NDArray[np.object_] = np.array([*shapes, None], dtype=object)[:-1]
    return list(to_ground(given, transform))


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


def without_specks(shapes: Sequence[Geometry]) -> list[Geometry]:
    """Shapes in pixels without holes and parts smaller than :data:`SPECK`.

    A shape whose parts are all as small keeps its largest one.
    """
    made = list(shapes)
    parts, owner = shapely.get_parts(np.array([*shapes, None], object)[:-1], return_index=True)
    rings, of_part = shapely.get_rings(parts, return_index=True)
    small = shapely.area(shapely.polygons(rings)) < SPECK
    for number in np.unique(owner[of_part[small]]).tolist():
        kept = drop_small(made[number], SizeLimits(part=SPECK, hole=SPECK))
        if shapely.is_empty(kept):
            kept = max(polygon_parts(made[number]), key=planar_area)
        made[number] = kept
    return made
