# SPDX-License-Identifier: GPL-2.0-or-later
"""Centre lines of roads from the skeleton of a mask, each with its width."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from scipy import ndimage
from shapely import Geometry
from skimage import morphology

from ..types import BoolArray, CellBox, FloatArray
from .contours import to_ground
from .geodesic import measure, pixel_areas
from .skeleton_graph import Cell, SkeletonGraph

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CentreLine:
    """One stretch of road between junctions or ends.

    Args:
        line: LineString in pixel coordinates (x = column, y = row, continuous), closed for a loop.
        width: Mean width along it, pixels.
    """

    line: Geometry
    width: float


def road_mask(
    blocks: Iterable[tuple[CellBox, FloatArray]], box: CellBox, limit: int = 25_000_000
) -> tuple[BoolArray, int]:
    """An object's mask in one array, coarser where it would be too large.

    Args:
        blocks: From :func:`samgeo_core.merge.fuse`.
        box: The object's box.
        limit: Most cells of the array.

    Returns:
        (h, w) bool whose first cell is the first one of ``box``, and the number of cells along a
        side of one of its own; such a cell is True where half of it or more is.
    """
    factor = max(1, int(np.ceil(np.sqrt(box.area / limit))))
    shape = (-(-box.height // factor), -(-box.width // factor))
    count = np.zeros(shape, np.int32)
    for part, values in blocks:
        # Blocks share a row and a column: the last ones are the next block's.
        inner = CellBox(part.row0, part.col0, part.row1 - 1, part.col1 - 1).intersection(box)
        rows, cols = np.nonzero(values[inner.slices(part)] > 0)
        rows, cols = rows + inner.row0 - box.row0, cols + inner.col0 - box.col0
        np.add.at(count, (rows // factor, cols // factor), 1)
    return count * 2 >= factor * factor, factor


def centre_lines(
    mask: BoolArray, origin: tuple[int, int], cell: int, spur: float = 1.0
) -> list[CentreLine]:
    """Centre lines of a merged mask.

    The mask's skeleton as a graph. Branches that end freely and reach less than ``spur`` half
    widths beyond the road's side are pruned, shortest first, and what a pruning joins becomes one
    stretch; junctions that are nearer to one another than the road is wide become one; loops are
    kept; free ends are drawn out to the mask's border, which a skeleton does not reach.

    Args:
        mask: (h, w) bool, cells.
        origin: (row, column) of its first cell on the lattice.
        cell: Side of a cell, pixels.
        spur: Least reach of a free branch in half widths.

    Returns:
        Stretches, longest first.
    """
    padded = np.pad(mask, 1)
    distance = ndimage.distance_transform_edt(padded)
    thin: Any = morphology.skeletonize  # has no types
    skeleton = thin(padded)
    across = skeleton_widths(distance, skeleton)
    cells = [(int(row), int(col)) for row, col in np.argwhere(skeleton)]
    graph = SkeletonGraph.from_cells(cells)
    graph.prune(distance, spur)
    graph.contract(distance)
    shift = np.array(origin) - 0.5  # padding of one cell, centres at a half
    found = []
    for path in graph.paths():
        if len(path) < 2:
            continue
        half = np.array([distance[place] for place in path])
        ends = [_drawn_out(path, padded, half) if len(graph.at[path[0]]) == 1 else []]
        ends.append(_drawn_out(path[::-1], padded, half) if len(graph.at[path[-1]]) == 1 else [])
        places = np.array([*ends[0][::-1], *path, *ends[1]], np.float64)
        width = float(np.mean([across[place] for place in path])) * cell
        found.append(CentreLine(shapely.LineString(((places + shift) * cell)[:, ::-1]), width))
    found.sort(key=lambda one: (-shapely.length(one.line), shapely.to_wkt(one.line)))
    return found


def ground_widths(
    lines: NDArray[Any], widths: Floats, transform: Affine, crs: str | None
) -> Floats:
    """Mean widths on the ground of roads whose widths are known in pixels.

    A road's surface over its length. The pixels of a raster in degrees are no squares on the
    ground, and a road's width counts in the side of theirs that lies across it.

    Args:
        lines: (n,) LineString or MultiLineString in ``crs``.
        widths: (n,) float64, mean widths along them, pixels.
        transform: (column, row) to (x, y).
        crs: Of the ground, or None for pixels.

    Returns:
        (n,) float64, m (units of the plane without a CRS).
    """
    places = shapely.get_coordinates(shapely.centroid(lines))
    pixels = shapely.length(to_ground(lines, (~transform)[:6]))
    surface = widths * pixels * pixel_areas(places, transform, crs)
    return np.asarray(surface / np.maximum(measure(lines, crs).perimeter, 1e-12), np.float64)


def skeleton_widths(distance: Floats, skeleton: BoolArray) -> Floats:
    """Width of a mask at the cells of its skeleton, cells.

    A cell's distance d goes from its centre to that of the first cell outside. In the middle of an
    odd number of cells, 2 d - 1 is the width. Of an even number the skeleton takes one of the two
    cells in the middle; the other lies beside it, as far from the outside, and makes it one more.

    Args:
        distance: (h, w) float64 from each cell of the mask to the nearest one outside, cells.
        skeleton: (h, w) bool, its cells of which widths are asked.

    Returns:
        (h, w) float64, of use where the skeleton is.
    """
    beside = ndimage.maximum_filter(
        np.where(skeleton, 0.0, distance), footprint=ndimage.generate_binary_structure(2, 1)
    )
    width: Floats = 2 * distance - 1 + np.clip(beside - distance + 1, 0, 1)
    return width


def _drawn_out(path: list[Cell], mask: BoolArray, half: Floats) -> list[tuple[float, float]]:
    """A straight way from the first cell of a path on to the mask's border; often empty."""
    reach = max(1, int(np.median(half)))
    start = np.array(path[0], np.float64)
    ahead = start - np.array(path[min(2 * reach, len(path) - 1)], np.float64)
    norm = float(np.hypot(*ahead))
    if norm == 0:
        return []
    ahead /= norm
    last = None
    for step in np.arange(0.5, 3 * reach + 1, 0.5):
        row, col = start + ahead * step
        if not mask[int(row + 0.5), int(col + 0.5)]:
            break
        last = (float(row), float(col))
    return [] if last is None else [last]
