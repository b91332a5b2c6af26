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

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..grid import Grid
from ..masks import PromptRef
from ..types import BoolArray, CellBox, TileIndex
from .nodes import NodeArray, TileNodes, box_overlaps, overlap, tile_nodes
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


@dataclass(frozen=True, eq=False)
class Fragments:
    """Connected parts of a tile's masks within a zone.

    Args:
        node: (n,) int32, row in the tile's table.
        box: (n, 4) int32.
        area: (n,) int64 cells.
        whole: (n,) bool, the fragment is all of its mask.
        shape: n bool arrays on the boxes.
        depth: (n,) int32, rank by size of the whole mask among fragments that coincide in the
            zone: 0 for the largest. It tells an object from the one nested in it where the zone
            shows no difference.
    """

    node: NDArray[np.int32]
    box: NDArray[np.int32]
    area: NDArray[np.int64]
    whole: BoolArray
    shape: list[BoolArray]
    depth: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.shape)


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
    nodes: list[int] = []
    boxes: list[tuple[int, int, int, int]] = []
    areas: list[int] = []
    shapes: list[BoolArray] = []
    all_boxes = tile.boxes.tolist()
    for node in meets.tolist():
        box = CellBox(*all_boxes[node])
        inside = box.intersection(zone)
        crop = tile.shapes[node][inside.slices(box)]
        total = int(np.count_nonzero(crop))
        if total == 0:
            continue
        for part, shape, area in _connected(tile, node, inside, crop, total):
            nodes.append(node)
            boxes.append((part.row0, part.col0, part.row1, part.col1))
            areas.append(area)
            shapes.append(shape)
    box_array = np.array(boxes, np.int32).reshape(-1, 4)
    area_array = np.array(areas, np.int64)
    node_array = np.array(nodes, np.int32)
    size = table["area"][node_array]
    depth = _depths(box_array, area_array, shapes, size, coincide)
    return Fragments(node_array, box_array, area_array, area_array == size, shapes, depth)


def _connected(
    tile: TileNodes, node: int, box: CellBox, crop: BoolArray, total: int
) -> list[tuple[CellBox, BoolArray, int]]:
    """8-connected parts of a crop of a mask: box, mask, area.

    Most crops are in one piece, and labelling is what the edge stage spends its time on: a full
    crop is not labelled, nor is a whole mask that was found to be in one piece before.
    """
    whole = total == int(tile.table["area"][node])
    if total == box.area or (whole and node in tile.in_one_piece):
        return [(box, crop, total)]
    labels, count = ndimage.label(crop, EIGHT)
    if count == 1:
        if whole:
            tile.in_one_piece.add(node)
        return [(box, crop, total)]
    parts = []
    for number, place in enumerate(ndimage.find_objects(labels), 1):
        shape = labels[place] == number
        row0, col0 = box.row0 + place[0].start, box.col0 + place[1].start
        inner = CellBox(row0, col0, row0 + shape.shape[0], col0 + shape.shape[1])
        parts.append((inner, shape, int(np.count_nonzero(shape))))
    return parts


def _depths(
    box: NDArray[np.int32],
    area: NDArray[np.int64],
    shape: list[BoolArray],
    size: NDArray[np.int32],
    coincide: float,
) -> NDArray[np.int32]:
    """Rank of each fragment by ``size`` (then by order) among those that coincide with it."""
    depth = np.zeros(len(shape), np.int32)
    if len(shape) < 2:
        return depth
    near = np.minimum(area[:, None], area[None, :]) >= coincide * np.maximum(
        area[:, None], area[None, :]
    )
    near &= box_overlaps(box, box) >= coincide * np.maximum(area[:, None], area[None, :])
    first, second = np.nonzero(np.triu(near, 1))
    boxes = box.tolist()
    for i, j in zip(first.tolist(), second.tolist(), strict=True):
        common = overlap(shape[i], boxes[i], shape[j], boxes[j])
        if common >= coincide * (area[i] + area[j] - common):
            depth[j if size[i] >= size[j] else i] += 1
    return depth


def match(
    a: Fragments, b: Fragments, allowed: BoolArray, options: MergeOptions, least: int, cell: int
) -> tuple[NDArray[np.void], NDArray[np.void]]:
    """Edges between the fragments of two tiles in their zone, and the overlaps that remain.

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
        :data:`LINK` and :data:`OVERLAP`, with numbers of nodes within the two tiles.
    """
    if not len(a) or not len(b):
        return np.empty(0, LINK), np.empty(0, OVERLAP)
    possible = box_overlaps(a.box, b.box)
    possible[~allowed[a.node[:, None], b.node[None, :]]] = 0
    first, second = np.nonzero(possible)
    boxes_a, boxes_b = a.box.tolist(), b.box.tolist()
    common = np.array(
        [
            overlap(a.shape[i], boxes_a[i], b.shape[j], boxes_b[j])
            for i, j in zip(first.tolist(), second.tolist(), strict=True)
        ],
        np.int64,
    )
    hit = common > 0
    first, second, common = first[hit], second[hit], common[hit]
    iou = np.rint(1000.0 * common / (a.area[first] + b.area[second] - common)) / 1000.0
    apart = np.abs(a.depth[first] - b.depth[second])
    order = np.lexsort((second, first, -common, apart, -iou))
    able = (a.area[first] >= least) & (b.area[second] >= least)
    able |= a.whole[first] | b.whole[second]
    order = order[(iou[order] >= options.match_iou) & able[order]]
    taken_a, taken_b = np.zeros(len(a), bool), np.zeros(len(b), bool)
    accepted = []
    for k in order.tolist():
        i, j = first[k], second[k]
        if not (taken_a[i] or taken_b[j]):
            taken_a[i] = taken_b[j] = True
            accepted.append(k)
    links = [(a.node[first[k]], b.node[second[k]], iou[k], apart[k], common[k]) for k in accepted]
    if options.mode == "flat":
        large = options.cells(options.join_area, cell)
        share_a, share_b = common / a.area[first], common / b.area[second]
        joins_a = ~taken_a[first] & (a.area[first] >= large) & (share_a >= options.join_containment)
        joins_b = ~taken_b[second] & (b.area[second] >= large)
        joins_b &= share_b >= options.join_containment
        for k in np.flatnonzero(joins_a | joins_b).tolist():
            score = 0.5 * max(share_a[k] * joins_a[k], share_b[k] * joins_b[k])
            links.append((a.node[first[k]], b.node[second[k]], score, apart[k], common[k]))
    linked = np.array(links, LINK)
    key_all = a.node[first].astype(np.int64) * len(allowed[0]) + b.node[second]
    key_linked = linked["a"].astype(np.int64) * len(allowed[0]) + linked["b"]
    keys, where = np.unique(key_all, return_inverse=True)
    sums = np.bincount(where, common, len(keys)).astype(np.int64)
    rest = ~np.isin(keys, key_linked)
    overlaps = np.empty(int(rest.sum()), OVERLAP)
    overlaps["a"], overlaps["b"] = np.divmod(keys[rest], len(allowed[0]))
    overlaps["common"] = sums[rest]
    return linked, overlaps


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


def _kept(overlaps: NDArray[np.void], a: NodeArray, b: NodeArray) -> NDArray[np.void]:
    """Overlaps that are large enough to matter."""
    smaller = np.minimum(a["area"][overlaps["a"]], b["area"][overlaps["b"]])
    kept: NDArray[np.void] = overlaps[overlaps["common"] >= LEAST_OVERLAP * smaller]
    return kept


def inside_overlaps(tile: TileNodes) -> NDArray[np.void]:
    """Overlaps among a tile's own nodes; for parents, and for duplicates in flat mode."""
    boxes = tile.boxes
    first, second = np.nonzero(np.triu(box_overlaps(boxes, boxes), 1))
    places = boxes.tolist()
    found = np.empty(len(first), OVERLAP)
    found["a"], found["b"] = first, second
    found["common"] = [
        overlap(tile.shapes[i], places[i], tile.shapes[j], places[j])
        for i, j in zip(first.tolist(), second.tolist(), strict=True)
    ]
    return _kept(found[found["common"] > 0], tile.table, tile.table)


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
        links, overlaps = {}, {}
        # A line one pixel wide that crosses a narrow zone has no more pixels than the zone is wide.
        narrow = 2 * (self.grid.margin - self.grid.trust)
        least = self.options.cells(min(self.options.min_fragment, narrow), self.grid.cell)
        for other_index in self.grid.forward(index):
            other = prepared[other_index]
            zone = tile.trusted.intersection(other.trusted)
            if zone.empty or not len(tile) or not len(other):
                continue
            found, rest = match(
                fragments(tile, zone, self.options.coincide),
                fragments(other, zone, self.options.coincide),
                _same_prompt(tile, other),
                self.options,
                least,
                self.grid.cell,
            )
            links[other_index] = found
            overlaps[other_index] = _kept(rest, tile.table, other.table)
        return TileLinks(tile.table, tile.prompts, inside_overlaps(tile), links, overlaps)


class _Prepared:
    """Nodes of the last few tiles, made when first asked for."""

    def __init__(self, source: MaskSource, grid: Grid) -> None:
        self._source, self._grid = source, grid
        self._tiles: dict[TileIndex, TileNodes] = {}

    def __getitem__(self, index: TileIndex) -> TileNodes:
        if index not in self._tiles:
            while len(self._tiles) >= 6:
                del self._tiles[next(iter(self._tiles))]
            self._tiles[index] = tile_nodes(self._source.load(index), self._grid)
        self._tiles[index] = tile = self._tiles.pop(index)
        return tile
