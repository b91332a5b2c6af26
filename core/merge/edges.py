# SPDX-License-Identifier: GPL-2.0-or-later
"""Which masks of two neighbouring tiles show the same object, decided in the zone both see.

::

    tile A            tile B            Z = the zone that both trust. A U shape meets it twice, so
    +-----------+- - - - - -+           masks are compared there fragment by fragment, 8-connected.
    |     +-----|#####+     |           Two fragments of one object coincide within Z, whatever the
    |     | U   |##Z##|     |           objects do outside of it.
    |     +-----|#####+     |
    +-----------+- - - - - -+

Everything here is a pure function of a run of tiles and their neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..masks.masks import PromptRef
from ..tiles.grid import Grid
from ..types import BoolArray, TileIndex
from .fragments import Fragments, fragments
from .intersections import Enough, IntArray, in_common
from .nodes import NodeArray, TileNodes, tile_nodes
from .types import MaskSource, MergeOptions

LINK = np.dtype(
    [
        ("a", np.int32),
        ("b", np.int32),
        ("score", np.float32),
        ("depth", np.int32),
        ("common", np.int32),
    ]
)
"""An accepted edge: nodes a and b, IoU within the zone (rounded to 1e-3; half of the containment
for an edge of flat mode, so that it comes after every IoU), difference of nesting depth, cells in
common."""

OVERLAP = np.dtype([("a", np.int32), ("b", np.int32), ("common", np.int32)])
"""Two nodes and the cells they have in common."""

LEAST_OVERLAP = 0.05
"""Overlaps below this share of the smaller node are forgotten: no duplicate or parent needs them.
(An object that lies 0.6 inside another that shares no tile with it does so in at most 8 pairs of
nodes.)"""

_ROUNDS = 32
"""After so many rounds, the pairs that are left are gone through one by one."""


@dataclass(frozen=True, eq=False)
class TileLinks:
    """What one tile contributes to the merge; ``b`` of links counts within the other tile.

    Args:
        nodes: Table of this tile's nodes (:data:`~.nodes.NODE`).
        prompts: What ``nodes["prompt"]`` points to.
        inside: :data:`OVERLAP` of pairs of this tile's own nodes, a < b.
        links: Accepted edges with each forward neighbour (:data:`LINK`).
        overlaps: Other overlaps with nodes of that neighbour (:data:`OVERLAP`).
    """

    nodes: NodeArray
    prompts: tuple[PromptRef, ...]
    inside: NDArray[np.void]
    links: dict[TileIndex, NDArray[np.void]]
    overlaps: dict[TileIndex, NDArray[np.void]]


def match(
    a: Fragments, b: Fragments, allowed: BoolArray, options: MergeOptions, least: int, cell: int
) -> NDArray[np.void]:
    """Edges between the fragments of two tiles in their zone.

    Two fragments can be linked if both have ``least`` cells, or if one is all that its tile knows
    of the object, however small. One-to-one, greedily in the order (IoU rounded to 1e-3
    descending, difference of nesting depth, cells in common descending, order of the nodes).

    Args:
        a: Fragments of the first tile.
        b: Fragments of the second tile, in the same zone.
        allowed: (nodes of the first, nodes of the second) bool: may these be one object?
        options: Thresholds.
        least: Smallest fragment, cells.
        cell: Side of a cell, pixels.

    Returns:
        :data:`LINK`, with numbers of nodes within the two tiles.
    """
    if not len(a) or not len(b):
        return np.empty(0, LINK)
    large = options.cells(options.join_area, cell)

    def may(first: IntArray, second: IntArray) -> BoolArray:
        possible: BoolArray = allowed[a.node[first], b.node[second]]
        return possible

    # An IoU of 0.4995 is 0.5 when it is rounded.
    pairs = np.stack(in_common(a.shape, b.shape, Enough(of_larger=options.match_iou - 6e-4), may))
    if options.mode == "flat":
        share = options.join_containment
        contained = Enough(of_smaller=share, least=share * large)
        inner = in_common(a.shape, b.shape, contained, may)
        pairs = np.unique(np.hstack([pairs, inner]), axis=1)
    first, second, common = pairs
    area_a, area_b = a.area[first], b.area[second]
    iou = np.rint(1000.0 * common / (area_a + area_b - common)) / 1000.0
    apart = np.abs(a.depth[first] - b.depth[second])
    able = (area_a >= least) & (area_b >= least)
    able |= a.whole[first] | b.whole[second]
    able &= iou >= options.match_iou
    order = np.lexsort((second, first, -common, apart, -iou))
    order = order[able[order]]
    accepted = order[one_to_one(first[order], second[order])]
    links = _links(a, b, first, second, (iou, apart, common), accepted)
    if options.mode == "flat":
        share_a, share_b = common / area_a, common / area_b
        taken_a, taken_b = np.zeros(len(a), bool), np.zeros(len(b), bool)
        taken_a[first[accepted]] = taken_b[second[accepted]] = True
        joins_a = ~taken_a[first] & (area_a >= large) & (share_a >= options.join_containment)
        joins_b = ~taken_b[second] & (area_b >= large) & (share_b >= options.join_containment)
        joined = np.flatnonzero(joins_a | joins_b)
        score = 0.5 * np.maximum(share_a * joins_a, share_b * joins_b)
        more = _links(a, b, first, second, (score, apart, common), joined)
        links = np.concatenate([links, more])
    return _strongest(links)


def _links(
    a: Fragments,
    b: Fragments,
    first: IntArray,
    second: IntArray,
    rest: tuple[NDArray[Any], ...],
    which: IntArray,
) -> NDArray[np.void]:
    """Some pairs of fragments as edges: their nodes, and the other columns as they are."""
    links = np.empty(len(which), LINK)
    columns = (a.node[first], b.node[second], *rest)
    for name, column in zip(LINK.names or (), columns, strict=True):
        links[name] = column[which]
    return links


def _strongest(links: NDArray[np.void]) -> NDArray[np.void]:
    """Of the edges between two nodes, the one that comes first: the others change nothing."""
    order = np.lexsort((-links["common"], links["depth"], -links["score"], links["b"], links["a"]))
    links = links[order]
    repeated = (links["a"][1:] == links["a"][:-1]) & (links["b"][1:] == links["b"][:-1])
    first: NDArray[np.void] = links[np.append(True, ~repeated)[: len(links)]]
    return first


def one_to_one(first: IntArray, second: IntArray) -> IntArray:
    """Pairs, the better before the worse, of which each is taken unless one of its two is already.

    A pair that is the first one left for both of its two is taken whatever comes after it, so all
    such pairs are taken at once; that is seldom needed more than a few times.

    Args:
        first: (n,) numbers from 0 on.
        second: (n,) likewise, of another kind.

    Returns:
        Which pairs, ascending.
    """
    left = np.arange(len(first))
    taken = []
    most_a, most_b = int(first.max(initial=-1)) + 1, int(second.max(initial=-1)) + 1
    earliest_a, earliest_b = np.zeros(most_a, np.int64), np.zeros(most_b, np.int64)
    used_a, used_b = np.zeros(most_a, bool), np.zeros(most_b, bool)
    for _ in range(_ROUNDS):
        if not len(left):
            break
        one, two = first[left], second[left]
        earliest_a[one[::-1]] = left[::-1]  # of several for one place, the last is kept
        earliest_b[two[::-1]] = left[::-1]
        best = (earliest_a[one] == left) & (earliest_b[two] == left)
        taken.append(left[best])
        used_a[one[best]] = used_b[two[best]] = True
        left = left[~(used_a[one] | used_b[two])]
    rest = []
    for k, i, j in zip(left.tolist(), first[left].tolist(), second[left].tolist(), strict=True):
        if not (used_a[i] or used_b[j]):
            used_a[i] = used_b[j] = True
            rest.append(k)
    return np.sort(np.concatenate([np.array(rest, np.int64), *taken]))


def overlaps(a: TileNodes, b: TileNodes, among: BoolArray | None = None) -> NDArray[np.void]:
    """Overlaps of the nodes of two tiles that are large enough to matter, sorted.

    Args:
        a: First tile.
        b: Second tile; the same one for the pairs (a < b) within it.
        among: (nodes of the first, nodes of the second) bool: the pairs that are wanted.
    """

    def wanted(first: IntArray, second: IntArray) -> BoolArray:
        asked = first < second if a is b else np.ones(len(first), bool)
        return asked if among is None else asked & among[first, second]

    pairs = in_common(a.shapes, b.shapes, Enough(of_smaller=LEAST_OVERLAP), wanted)
    found = np.empty(len(pairs[0]), OVERLAP)
    found["a"], found["b"], found["common"] = pairs
    return found


def _same_prompt(a: TileNodes, b: TileNodes) -> BoolArray:
    """(n, m) bool: masks that were asked for with different prompts or words are different things.

    Automatic masks have an empty prompt and no label, so all of them may be one.
    """
    keys_a = [(prompt.id, prompt.label) for prompt in a.prompts]
    keys_b = [(prompt.id, prompt.label) for prompt in b.prompts]
    same = np.array([[x == y for y in keys_b] for x in keys_a], bool)
    same = same.reshape(len(keys_a), len(keys_b))
    allowed: BoolArray = same[a.table["prompt"][:, None], b.table["prompt"][None, :]]
    return allowed


@dataclass(frozen=True)
class RunOfTiles:
    """Some tiles beside one another in a row of the grid: one unit of work."""

    row: int
    col0: int
    col1: int


def runs(grid: Grid, length: int = 16) -> list[RunOfTiles]:
    """The grid's tiles as runs, row by row. Long runs load each tile about twice in all."""
    return [
        RunOfTiles(row, col, min(col + length, grid.cols))
        for row in range(grid.rows)
        for col in range(0, grid.cols, length)
    ]


@dataclass(frozen=True)
class LinkTiles:
    """The stage as a picklable function: a run of tiles -> their nodes and edges."""

    source: MaskSource
    grid: Grid
    options: MergeOptions

    def __call__(self, run: RunOfTiles) -> list[TileLinks]:
        prepared = _Prepared(self.source, self.grid)
        return [self.link(TileIndex(run.row, col), prepared) for col in range(run.col0, run.col1)]

    def link(self, index: TileIndex, prepared: _Prepared) -> TileLinks:
        tile = prepared[index]
        links, rest = {}, {}
        # A line one pixel wide that crosses a narrow zone has no more pixels than the zone is wide.
        narrow = 2 * (self.grid.margin - self.grid.trust)
        least = self.options.cells(min(self.options.min_fragment, narrow), self.grid.cell)
        for other_index in self.grid.forward(index):
            other = prepared[other_index]
            zone = tile.trusted.intersection(other.trusted)
            if zone.empty or not len(tile) or not len(other):
                continue
            allowed = _same_prompt(tile, other)
            found = match(
                fragments(tile, zone, self.options.coincide),
                fragments(other, zone, self.options.coincide),
                allowed,
                self.options,
                least,
                self.grid.cell,
            )
            links[other_index] = found
            allowed[found["a"], found["b"]] = False  # what is linked needs no other overlap
            rest[other_index] = overlaps(tile, other, allowed)
        return TileLinks(tile.table, tile.prompts, overlaps(tile, tile), links, rest)


class _Prepared:
    """Nodes of the last few tiles, made when first asked for."""

    def __init__(self, source: MaskSource, grid: Grid) -> None:
        self._source, self._grid = source, grid
        reach = 1 + (2 * (grid.margin - grid.trust) > grid.core)
        self._most = (1 + 2 * reach) * (1 + reach)  # a tile, its neighbours and those just left
        self._tiles: dict[TileIndex, TileNodes] = {}

    def __getitem__(self, index: TileIndex) -> TileNodes:
        if index not in self._tiles:
            while len(self._tiles) >= self._most:
                del self._tiles[next(iter(self._tiles))]
            self._tiles[index] = tile_nodes(self._source.load(index), self._grid)
        self._tiles[index] = tile = self._tiles.pop(index)
        return tile
