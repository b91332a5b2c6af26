# SPDX-License-Identifier: GPL-2.0-or-later
"""Which masks of two neighbouring tiles show the same object: what both see decides.

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

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..grid import Grid
from ..masks import PromptRef
from ..types import BoolArray, CellBox, TileIndex
from .common import CellShapes, IntArray, common_cells, near_pairs
from .nodes import NodeArray, TileNodes, tile_nodes
from .state import MaskSource, MergeOptions

EIGHT = np.ones((3, 3), bool)

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
class Fragments:
    """Connected parts of a tile's masks within a zone.

    Args:
        node: (n,) int32, row in the tile's table.
        shape: The n fragments.
        whole: (n,) bool, the fragment is all of its mask.
        depth: (n,) int32, rank by size of the whole mask among fragments that coincide in the
            zone: 0 for the largest. It tells an object from the one nested in it where the zone
            shows no difference.
    """

    node: NDArray[np.int32]
    shape: CellShapes
    whole: BoolArray
    depth: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.shape)

    @property
    def area(self) -> NDArray[np.int64]:
        """(n,) cells."""
        return self.shape.area


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


def fragments(tile: TileNodes, zone: CellBox, coincide: float) -> Fragments:
    """Cut a tile's masks to a zone and split them into 8-connected fragments.

    Args:
        tile: The tile's nodes.
        zone: The overlap zone.
        coincide: IoU from which on two fragments are the same within the zone.
    """
    table = tile.table
    meets = np.flatnonzero(
        (table["row0"] < zone.row1)
        & (table["row1"] > zone.row0)
        & (table["col0"] < zone.col1)
        & (table["col1"] > zone.col0)
    )
    parts = [
        part
        for node, box in zip(meets.tolist(), tile.boxes[meets].tolist(), strict=True)
        for part in _connected(tile, node, CellBox(*box).intersection(zone))
    ]
    if not parts:
        empty = np.empty(0, np.int32)
        return Fragments(empty, CellShapes.of([], []), np.empty(0, bool), empty)
    node, box, area, bits = (np.concatenate(values) for values in zip(*parts, strict=True))
    shape = CellShapes(box, area, bits)
    size = table["area"][node]
    return Fragments(node, shape, area == size, _depths(shape, size, coincide))


_Parts = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int64], BoolArray]


def _connected(tile: TileNodes, node: int, box: CellBox) -> Iterator[_Parts]:
    """8-connected parts of a mask in a box: nodes, boxes, areas and cells, as in CellShapes.

    Most crops are in one piece, and labelling is what the edge stage spends its time on: a full
    crop is not labelled, nor is a whole mask that was found to be in one piece before.
    """
    crop = tile.shapes[node][box.slices(CellBox(*tile.boxes[node].tolist()))]
    total = int(np.count_nonzero(crop))
    if total == 0:
        return
    whole = total == int(tile.table["area"][node])
    count = 1
    if total < box.area and not (whole and node in tile.in_one_piece):
        labels, count = ndimage.label(crop, EIGHT)
    if count > 1:
        yield _split(labels, count, node, box)
        return
    if whole:
        tile.in_one_piece.add(node)
    place = np.array([[box.row0, box.col0, box.row1, box.col1]], np.int32)
    yield np.array([node], np.int32), place, np.array([total]), crop.ravel()


def _split(labels: NDArray[np.int32], count: int, node: int, box: CellBox) -> _Parts:
    """The labelled parts of a mask, each on its own box, in the order of their labels."""
    rows, cols = np.nonzero(labels)
    label = labels[rows, cols] - 1
    # Few labels are sorted in linear time.
    order = np.argsort(label.astype(np.uint16) if count < 1 << 16 else label, kind="stable")
    label, rows, cols = label[order], rows[order], cols[order]
    area = np.bincount(label, minlength=count)
    start = np.cumsum(area) - area
    places = np.empty((count, 4), np.int32)
    places[:, 0], places[:, 2] = rows[start], rows[start + area - 1] + 1
    places[:, 1] = np.minimum.reduceat(cols, start)
    places[:, 3] = np.maximum.reduceat(cols, start) + 1
    width = (places[:, 3] - places[:, 1]).astype(np.int64)
    sizes = width * (places[:, 2] - places[:, 0])
    bits = np.zeros(int(sizes.sum()), bool)
    corner = (np.cumsum(sizes) - sizes - places[:, 0] * width - places[:, 1])[label]
    bits[corner + rows * width[label] + cols] = True
    places += np.array([box.row0, box.col0, box.row0, box.col0], np.int32)
    return np.full(count, node, np.int32), places, area, bits


def _depths(shape: CellShapes, size: NDArray[np.int32], coincide: float) -> NDArray[np.int32]:
    """Rank of each fragment by ``size`` (then by order) among those that coincide with it."""
    first, second = near_pairs(shape, shape, of_larger=coincide)
    once = first < second
    first, second = first[once], second[once]
    common = common_cells(shape, first, shape, second)
    same = common >= coincide * (shape.area[first] + shape.area[second] - common)
    first, second = first[same], second[same]
    lower = np.where(size[first] >= size[second], second, first)
    return np.bincount(lower, minlength=len(shape)).astype(np.int32)


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
    # An IoU of 0.4995 is 0.5 when it is rounded.
    first, second = near_pairs(a.shape, b.shape, of_larger=options.match_iou - 6e-4)
    if options.mode == "flat":
        share = options.join_containment
        contained = near_pairs(a.shape, b.shape, of_smaller=share, least=share * large)
        either = np.unique(np.stack([np.append(first, contained[0]),
                                     np.append(second, contained[1])]), axis=1)  # fmt: skip
        first, second = either
    possible = allowed[a.node[first], b.node[second]]
    first, second = first[possible], second[possible]
    common = common_cells(a.shape, first, b.shape, second)
    hit = common > 0
    first, second, common = first[hit], second[hit], common[hit]
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
    return links


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
    first, second = near_pairs(a.shapes, b.shapes, of_smaller=LEAST_OVERLAP)
    wanted = first < second if a is b else np.ones(len(first), bool)
    if among is not None:
        wanted &= among[first, second]
    first, second = first[wanted], second[wanted]
    common = common_cells(a.shapes, first, b.shapes, second)
    smaller = np.minimum(a.shapes.area[first], b.shapes.area[second])
    kept = (common > 0) & (common >= LEAST_OVERLAP * smaller)
    found = np.empty(int(kept.sum()), OVERLAP)
    found["a"], found["b"], found["common"] = first[kept], second[kept], common[kept]
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
