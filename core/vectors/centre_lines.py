# SPDX-License-Identifier: GPL-2.0-or-later
"""Centre lines for roads: the skeleton of a merged mask as lines, each with its width."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import ndimage
from shapely import Geometry
from skimage import morphology

from ..types import BoolArray, CellBox, FloatArray

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
    across = _widths(distance, skeleton)
    graph = _Graph.from_skeleton(skeleton)
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
        cells = np.array([*ends[0][::-1], *path, *ends[1]], np.float64)
        width = float(np.mean([across[place] for place in path])) * cell
        found.append(CentreLine(shapely.LineString(((cells + shift) * cell)[:, ::-1]), width))
    found.sort(key=lambda one: (-shapely.length(one.line), shapely.to_wkt(one.line)))
    return found


def _widths(distance: Floats, skeleton: BoolArray) -> Floats:
    """Width of a mask at the cells of its skeleton, cells.

    A cell's distance d goes from its centre to that of the first cell outside. In the middle of an
    odd number of cells, 2 d - 1 is the width. Of an even number the skeleton takes one of the two
    cells in the middle; the other lies beside it, as far from the outside, and makes it one more.
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


Cell = tuple[int, int]


class _Graph:
    """A skeleton as stretches between nodes (ends and junctions)."""

    def __init__(self) -> None:
        self.edges: dict[int, list[Cell]] = {}
        self.at: defaultdict[Cell, list[int]] = defaultdict(list)  # node -> its edges' ends
        self._next = 0

    @classmethod
    def from_skeleton(cls, skeleton: BoolArray) -> _Graph:
        """Trace a one-cell-wide skeleton with a ring of False around it."""
        graph = cls()
        links = _links(skeleton)
        nodes = {cell for cell, near in links.items() if len(near) != 2}
        seen: set[tuple[Cell, Cell]] = set()
        for node in sorted(nodes):
            for step in links[node]:
                if (node, step) not in seen:
                    path = _walk(node, step, links, nodes)
                    seen.update(((path[0], path[1]), (path[-1], path[-2])))
                    graph.add(path)
        on_paths = {cell for path in graph.edges.values() for cell in path}
        for cell in sorted(links):
            if cell not in on_paths and links[cell]:  # a loop without a junction
                path = _walk(cell, links[cell][0], links, {cell})
                on_paths.update(path)
                graph.add(path)
        return graph

    def add(self, path: list[Cell]) -> None:
        self.edges[self._next] = path
        self.at[path[0]].append(self._next)
        self.at[path[-1]].append(self._next)
        self._next += 1

    def remove(self, edge: int) -> list[Cell]:
        path = self.edges.pop(edge)
        for end in (path[0], path[-1]):
            self.at[end].remove(edge)
        return path

    def prune(self, distance: Floats, spur: float) -> None:
        """Remove free branches that are short for the road that they leave, shortest first."""
        while True:
            short = []
            for edge, path in self.edges.items():
                loose = [len(self.at[end]) == 1 for end in (path[0], path[-1])]
                if sum(loose) == 1:
                    root = path[-1] if loose[0] else path[0]
                    length = _length(path)
                    if length < (1 + spur) * max(distance[root], 2.0):
                        short.append((length, edge, root))
            if not short:
                return
            _, edge, root = min(short)
            self.remove(edge)
            self._join(root)

    def contract(self, distance: Floats) -> None:
        """Make junctions that lie within one another's half width one junction."""
        while True:
            near = [
                (len(path), edge)
                for edge, path in self.edges.items()
                if path[0] != path[-1]
                and all(len(self.at[end]) > 2 for end in (path[0], path[-1]))
                and _length(path) < max(distance[path[0]], distance[path[-1]])
            ]
            if not near:
                return
            path = self.remove(min(near)[1])
            kept, gone = path[0], path[-1]
            for edge in sorted(set(self.at[gone])):
                other = self.remove(edge)
                if other[0] == gone:
                    other = path[:-1] + other
                if other[-1] == gone:
                    other = other + path[::-1][1:]
                self.add(other)
            del self.at[gone]
            self._join(kept)

    def _join(self, node: Cell) -> None:
        """Two stretches that meet at what is no junction any more become one."""
        if len(self.at[node]) == 2 and self.at[node][0] != self.at[node][1]:
            one, two = (self.remove(edge) for edge in tuple(self.at[node]))
            if one[0] == node:
                one = one[::-1]
            if two[-1] == node:
                two = two[::-1]
            self.add(one + two[1:])

    def paths(self) -> list[list[Cell]]:
        return list(self.edges.values())


def _links(skeleton: BoolArray) -> dict[Cell, list[Cell]]:
    """Neighbours of each cell; a diagonal one only where no straight way leads there."""
    cells = {(int(row), int(col)) for row, col in np.argwhere(skeleton)}
    links: dict[Cell, list[Cell]] = {}
    for row, col in cells:
        straight = [
            (row + a, col + b)
            for a, b in ((-1, 0), (0, -1), (0, 1), (1, 0))
            if (row + a, col + b) in cells
        ]
        diagonal = [
            (row + a, col + b)
            for a, b in ((-1, -1), (-1, 1), (1, -1), (1, 1))
            if (row + a, col + b) in cells
            and (row + a, col) not in cells
            and (row, col + b) not in cells
        ]
        links[row, col] = straight + diagonal
    return links


def _walk(start: Cell, step: Cell, links: dict[Cell, list[Cell]], nodes: set[Cell]) -> list[Cell]:
    """Cells from a node through its neighbour to the next node."""
    path = [start, step]
    while path[-1] not in nodes:
        before = path[-2]
        path.append(next(near for near in links[path[-1]] if near != before))
    return path


def _length(path: list[Cell]) -> float:
    steps = np.diff(np.array(path, np.float64), axis=0)
    return float(np.hypot(steps[:, 0], steps[:, 1]).sum())
