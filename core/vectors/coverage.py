# SPDX-License-Identifier: GPL-2.0-or-later
"""Coverages: polygons with shared borders, without gaps or overlaps (fields, land parcels).

Every cell goes to one object, so that a border between two objects exists once and is simplified
once. Memory stays bounded, because the raster is worked through in square blocks of cells. A block
is labelled as if the whole raster had been, then its labels and the ground between them become one
coverage and are simplified with the block's own four sides kept as they are, with a vertex at every
cell. Pieces of one object therefore meet exactly at the sides of blocks, and so do neighbours. The
price: where a border crosses a side of a block, it is held at a corner of a cell there.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.features import shapes
from scipy import ndimage
from shapely import Geometry
from shapely.geometry import shape as from_geojson

from ..errors import ParameterError
from ..merge import CachedSource, MaskSource, Merged, MergedObject, fuse_box
from ..merge.nodes import lattice
from ..parallel.executors import Executor
from ..tiles.grid import Grid
from ..types import CellBox
from .contours import simplest

IntArray = NDArray[np.int32]


@dataclass(frozen=True)
class CoverageOptions:
    """How a coverage is drawn.

    Args:
        gap: Strips of ground between objects that are up to this many cells wide are given to the
            nearest object; 0 leaves every gap that the model left.
        tolerance: Square root of the area by which simplification may change a corner (Visvalingam
            and Whyatt 1993), pixels; 0 keeps the cells' staircase.
        block: Side of a block, cells.
    """

    gap: int = 2
    tolerance: float = 1.5
    block: int = 512

    def __post_init__(self) -> None:
        if self.gap < 0 or self.tolerance < 0:
            raise ParameterError(
                f"A coverage's gap ({self.gap}) and tolerance ({self.tolerance}) must not be "
                "negative."
            )
        if self.block < 16:
            raise ParameterError(
                f"A coverage's blocks must have at least 16 cells per side, not {self.block}."
            )


@dataclass(frozen=True)
class BlockItem:
    """One unit of work: a block, the objects that may reach into it, and their numbers."""

    box: CellBox
    numbers: tuple[int, ...]
    objects: tuple[MergedObject, ...]


@dataclass(frozen=True)
class CoverBlock:
    """Picklable: a block -> the pieces of its objects, in raster pixel coordinates."""

    source: MaskSource
    grid: Grid
    options: CoverageOptions = field(default_factory=CoverageOptions)

    def __call__(self, item: BlockItem) -> list[tuple[int, Geometry]]:
        labels = label_block(item.box, item.objects, self.source, self.grid, self.options.gap)
        if not labels.any():
            return []
        drawn = draw_labels(labels, item.box, self.grid, self.options.tolerance)
        return [(item.numbers[value - 1], piece) for value, piece in drawn]


def draw_labels(
    labels: IntArray, box: CellBox, grid: Grid, tolerance: float
) -> list[tuple[int, Geometry]]:
    """The labels of a block as polygons that share their borders.

    The block's own four sides keep a vertex at every cell, so that the pieces of neighbouring
    blocks meet exactly.

    Args:
        labels: (height, width) int32, 0 for ground.
        box: The block.
        grid: The job's grid.
        tolerance: As in :class:`CoverageOptions`.

    Returns:
        (label, piece in raster pixel coordinates) of every connected piece but the ground's.
    """
    pieces, values = _polygons(labels, box)
    if tolerance > 0:
        pieces = shapely.coverage_simplify(pieces, tolerance / grid.cell, simplify_boundary=False)
    cell, width, height = grid.cell, grid.width, grid.height
    # The last cells may reach beyond the raster; all polygons move alike, so none comes apart.
    pieces = shapely.transform(pieces, lambda xy: np.minimum(xy * cell, (width, height)))
    return [(value, piece) for value, piece in zip(values, pieces, strict=True) if value]


def absorb_small(
    polygons: Sequence[Geometry], labels: Sequence[int], areas: Sequence[float], least: float
) -> list[int]:
    """Which polygon of a coverage each one goes to, so that none is smaller than asked.

    The smallest goes first, to the neighbour with the longest shared border; neighbours of the
    same label that it kept apart become one with it. One without neighbours stays.

    Args:
        polygons: n polygons that share their borders, vertex by vertex.
        labels: Of each.
        areas: Of each, in the unit of ``least``.
        least: Smallest area.

    Returns:
        n positions in ``polygons``; its own for one that stays.
    """
    into, area = list(range(len(polygons))), list(areas)
    heap = [(size, number) for number, size in enumerate(area) if size < least]
    heapq.heapify(heap)
    near = _shared_borders(polygons) if heap else {}
    while heap:
        size, small = heapq.heappop(heap)
        if into[small] != small or size != area[small] or not near[small]:
            continue
        best = max(near[small], key=lambda k: (near[small][k], area[k], -k))
        alike = [k for k in sorted(near[small]) if labels[k] == labels[best] and k != best]
        for gone in (small, *alike):
            into[gone] = best
            area[best] += area[gone]
            for other, length in near.pop(gone).items():
                del near[other][gone]
                if other != best:
                    near[best][other] = near[other][best] = near[best].get(other, 0.0) + length
        if area[best] < least:
            heapq.heappush(heap, (area[best], best))
    for number in range(len(into)):
        while into[into[number]] != into[number]:
            into[number] = into[into[number]]
    return into


def _shared_borders(polygons: Sequence[Geometry]) -> dict[int, dict[int, float]]:
    """The lengths of the borders that each polygon of a coverage shares with others."""
    rings, owner = shapely.get_rings(np.array([*polygons, None], dtype=object), return_index=True)
    xy, ring = shapely.get_coordinates(rings, return_index=True)
    edge = np.flatnonzero(ring[1:] == ring[:-1])
    start, end = xy[edge], xy[edge + 1]
    turned = (start[:, 0] > end[:, 0]) | ((start[:, 0] == end[:, 0]) & (start[:, 1] > end[:, 1]))
    ends = np.where(turned[:, None], np.hstack([end, start]), np.hstack([start, end]))
    of = owner[ring[edge]]
    order = np.lexsort((of, *ends.T))
    ends, of = ends[order], of[order]
    same = np.flatnonzero((ends[1:] == ends[:-1]).all(axis=1))
    length = np.hypot(*(ends[same, 2:] - ends[same, :2]).T)
    near: dict[int, dict[int, float]] = {number: {} for number in range(len(polygons))}
    for one, two, shared in zip(
        of[same].tolist(), of[same + 1].tolist(), length.tolist(), strict=True
    ):
        near[one][two] = near[two][one] = near[one].get(two, 0.0) + shared
    return near


def label_block(
    box: CellBox, objects: Sequence[MergedObject], source: MaskSource, grid: Grid, gap: int
) -> IntArray:
    """Give every cell of a block to the object with the largest fused logit there.

    Where logits are equal (inside nested objects they are all at their limit), the smaller object
    wins. What a cell gets does not depend on where blocks begin.

    Args:
        box: The block.
        objects: All objects that may reach to ``gap`` cells around it.
        source: Their masks.
        grid: The job's grid.
        gap: Widest strip of ground, cells, that is given to the nearest object.

    Returns:
        (height, width) int32: 1 + position in ``objects``, 0 for ground.
    """
    reach = -(-gap // 2)
    wide = box.grown(2 * reach + 1 if gap else 0)
    tiles = CachedSource(source, 12)
    best = np.zeros(wide.shape, np.float32)
    labels = np.zeros(wide.shape, np.int32)
    largest_first = sorted(range(len(objects)), key=lambda k: (-objects[k].box.area, k))
    for k in largest_first:
        part = objects[k].box.intersection(wide)
        if part.empty:
            continue
        fused = fuse_box(objects[k], part, tiles, grid)
        place = part.slices(wide)
        wins = (fused > 0) & (fused >= best[place])
        best[place][wins] = fused[wins]
        labels[place][wins] = k + 1
    if gap:
        _close(labels, wide, lattice(grid), reach)
    return np.ascontiguousarray(labels[box.slices(wide)])


def _close(labels: IntArray, box: CellBox, whole: CellBox, reach: int) -> None:
    """Fill strips of ground that a disc of radius ``reach`` bridges, with the nearest label."""
    taken = labels > 0
    if not taken.any() or taken.all():
        return
    inside = np.zeros(box.shape, bool)
    inside[box.intersection(whole).slices(box)] = True
    distance, nearest = ndimage.distance_transform_edt(~taken, return_indices=True)
    grown = distance <= reach
    # Beyond the array nothing is known: as if taken there, so that erosion starts at real ground.
    kept = ndimage.distance_transform_edt(np.pad(grown, 1, constant_values=True))[1:-1, 1:-1]
    filled = grown & (kept > reach) & ~taken & inside
    labels[filled] = labels[nearest[0][filled], nearest[1][filled]]


def _polygons(labels: IntArray, box: CellBox) -> tuple[NDArray[np.object_], list[int]]:
    """Polygons of labels and of the ground, a vertex at every cell, in lattice coordinates."""
    found, values = [], []
    for geometry, value in shapes(labels, connectivity=4):
        found.append(from_geojson(geometry))
        values.append(int(value))
    origin = np.array([box.col0, box.row0], np.float64)
    pieces = shapely.segmentize(np.array(found, dtype=object), 1.0)
    moved = shapely.transform(pieces, lambda xy: np.rint(xy) + origin)
    return moved, values


def coverage(
    objects: Merged,
    source: MaskSource,
    grid: Grid,
    executor: Executor,
    options: CoverageOptions | None = None,
) -> Iterator[tuple[int, Geometry]]:
    """Merged objects as a coverage.

    Args:
        objects: The merge's result.
        source: Their masks.
        grid: The job's grid.
        executor: Works on the blocks.
        options: How it is drawn.

    Yields:
        Number of an object in ``objects`` and its Polygon or MultiPolygon in raster pixel
        coordinates, as soon as no later block can add to it. An object that owns no cell is left
        out.
    """
    options = options or CoverageOptions()
    blocks = [
        CellBox(row, col, row + options.block, col + options.block).intersection(lattice(grid))
        for row in range(0, lattice(grid).row1, options.block)
        for col in range(0, lattice(grid).col1, options.block)
    ]
    boxes = objects.summary.box
    reach = 2 * options.gap + 2
    last_row = boxes[:, 2] + reach
    pieces: defaultdict[int, list[Geometry]] = defaultdict(list)

    def items() -> Iterator[BlockItem]:
        for box in blocks:
            wide = box.grown(reach)
            near = np.flatnonzero(
                (boxes[:, 0] < wide.row1)
                & (boxes[:, 2] > wide.row0)
                & (boxes[:, 1] < wide.col1)
                & (boxes[:, 3] > wide.col0)
            ).tolist()
            yield BlockItem(box, tuple(near), tuple(objects[k] for k in near))

    work = CoverBlock(source, grid, options)
    for box, found in zip(blocks, executor.map(work, items()), strict=True):
        for number, piece in found:
            pieces[number].append(piece)
        if box.col1 == lattice(grid).col1:
            done = sorted(
                k for k in pieces if last_row[k] <= box.row1 or box.row1 == lattice(grid).row1
            )
            for number in done:
                yield number, simplest(shapely.normalize(shapely.union_all(pieces.pop(number))))
