# SPDX-License-Identifier: GPL-2.0-or-later
"""A skeleton as a graph of paths between ends and junctions, pruned and joined."""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

Cell = tuple[int, int]
Distance = Any
"""Half widths by cell: an array, or a dict of cells."""


class SkeletonGraph:
    """Stretches (paths of cells) between nodes (ends and junctions).

    Attributes:
        edges: Path of each stretch; its first and last cells are nodes.
        at: For each node, the stretches that end there (twice where both ends do).
        length: Of each stretch, cells.
    """

    def __init__(self) -> None:
        self.edges: dict[int, list[Cell]] = {}
        self.at: defaultdict[Cell, list[int]] = defaultdict(list)
        self.length: dict[int, float] = {}
        self._next = 0

    @classmethod
    def from_cells(cls, cells: Iterable[Cell]) -> SkeletonGraph:
        """Trace the cells of a one-cell-wide skeleton."""
        graph = cls()
        links = _links(set(cells))
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

    def add(self, path: list[Cell]) -> int:
        """Add a stretch; returns its number."""
        number = self._next
        self.edges[number] = path
        self.length[number] = length_of(path)
        self.at[path[0]].append(number)
        self.at[path[-1]].append(number)
        self._next += 1
        return number

    def remove(self, edge: int) -> list[Cell]:
        """Take a stretch out; returns its path."""
        path = self.edges.pop(edge)
        del self.length[edge]
        for end in (path[0], path[-1]):
            self.at[end].remove(edge)
        return path

    def loose_ends(self, edge: int) -> int:
        """How many of a stretch's ends are free (0 for a loop)."""
        path = self.edges[edge]
        return sum(len(self.at[end]) == 1 for end in (path[0], path[-1]))

    def root(self, edge: int) -> Cell:
        """The end of a stretch with one free end at which it leaves the others."""
        path = self.edges[edge]
        return path[-1] if len(self.at[path[0]]) == 1 else path[0]

    def prune(self, distance: Distance, spur: float) -> None:
        """Remove free branches that are short for the road that they leave, shortest first."""

        def is_short(edge: int) -> bool:
            half = float(distance[self.root(edge)])
            return self.length[edge] < (1 + spur) * max(half, 2.0)

        self.prune_where(is_short)

    def prune_where(self, unwanted: Callable[[int], bool]) -> None:
        """Remove stretches with one free end that are unwanted, shortest first."""
        heap = [(self.length[edge], edge) for edge in self.edges if self.loose_ends(edge) == 1]
        heapq.heapify(heap)
        while heap:
            _, edge = heapq.heappop(heap)
            if edge not in self.edges or self.loose_ends(edge) != 1 or not unwanted(edge):
                continue
            root = self.root(edge)
            self.remove(edge)
            self.join(root)
            for other in self.at[root]:  # what is left may have become free, or longer
                if self.loose_ends(other) == 1:
                    heapq.heappush(heap, (self.length[other], other))

    def contract(self, distance: Distance) -> None:
        """Make junctions that lie within one another's half width one junction."""

        def is_near(edge: int) -> bool:
            path = self.edges[edge]
            if path[0] == path[-1] or any(len(self.at[end]) <= 2 for end in (path[0], path[-1])):
                return False
            return self.length[edge] < max(float(distance[end]) for end in (path[0], path[-1]))

        def is_around_nothing(edge: int) -> bool:
            """Whether a loop is too small to run around a hole of the surface.

            Its node may lie in a square, which is wider than the loop's own road.
            """
            path = self.edges[edge]
            if path[0] != path[-1]:
                return False
            half = max(min(float(distance[cell]) for cell in path), 1.0)
            return self.length[edge] < 2 * math.pi * half

        heap = [(len(self.edges[edge]), edge) for edge in self.edges if is_near(edge)]
        heapq.heapify(heap)
        while heap:
            _, number = heapq.heappop(heap)
            if number not in self.edges or not is_near(number):
                continue
            path = self.remove(number)
            kept, gone = path[0], path[-1]
            for edge in sorted(set(self.at[gone])):
                other = self.remove(edge)
                if other[0] == gone:
                    other = path[:-1] + other
                if other[-1] == gone:
                    other = other + path[::-1][1:]
                self.add(other)
            del self.at[gone]
            for edge in set(self.at[kept]):
                if is_around_nothing(edge):
                    self.remove(edge)
            self.join(kept)
            for edge in set(self.at[kept]):
                if is_near(edge):
                    heapq.heappush(heap, (len(self.edges[edge]), edge))

    def join(self, node: Cell) -> None:
        """Two stretches that meet at what is no junction any more become one."""
        if len(self.at[node]) == 2 and self.at[node][0] != self.at[node][1]:
            one, two = (self.remove(edge) for edge in tuple(self.at[node]))
            if one[0] == node:
                one = one[::-1]
            if two[-1] == node:
                two = two[::-1]
            self.add(one + two[1:])

    def split(self, edge: int, cell: Cell) -> None:
        """Make a cell of a stretch a node."""
        path = self.edges[edge]
        at = path.index(cell)
        if 0 < at < len(path) - 1:
            self.remove(edge)
            self.add(path[: at + 1])
            self.add(path[at:])

    def paths(self) -> list[list[Cell]]:
        return list(self.edges.values())


def _links(cells: set[Cell]) -> dict[Cell, list[Cell]]:
    """Neighbours of each cell; a diagonal one only where no straight way leads there."""
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


def length_of(path: ArrayLike) -> float:
    """Length of a path of (row, column), in their unit."""
    steps = np.diff(np.asarray(path, np.float64), axis=0)
    return float(np.hypot(steps[:, 0], steps[:, 1]).sum())
