# SPDX-License-Identifier: GPL-2.0-or-later
"""Edges to groups of nodes that form one object.

Central even on a cluster: some ten million nodes take seconds. Groups come from connected
components; only where a group would hold two nodes of one tile that cannot be the same object,
its edges are taken one by one, strongest first (Kruskal's algorithm with a constraint).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ..types import BoolArray
from .nodes import EAST, NORTH, SOUTH, WEST, NodeArray

IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Groups:
    """A partition of nodes.

    Args:
        label: (n,) group of each node, -1 where it was dropped.
        members: Nodes sorted by (group, node); dropped nodes left out.
        start: (groups + 1,) where each group begins in ``members``.
    """

    label: IntArray
    members: IntArray
    start: IntArray

    def __len__(self) -> int:
        return len(self.start) - 1

    def __getitem__(self, group: int) -> IntArray:
        return self.members[self.start[group] : self.start[group + 1]]

    @classmethod
    def from_labels(cls, label: IntArray) -> Groups:
        """Groups from labels 0 to g - 1 (-1 for none), in the order of the labels."""
        members = np.flatnonzero(label >= 0)
        members = members[np.argsort(label[members], kind="stable")]
        sizes = np.bincount(label[members], minlength=int(label.max(initial=-1)) + 1)
        return cls(label, members, np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64))

    def sums(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Sum over each group's members, added in their order."""
        weights = values[self.members].astype(np.float64)
        return np.bincount(self.label[self.members], weights, len(self)).astype(np.float64)

    def any(self, flags: BoolArray) -> BoolArray:
        """True for groups of which some member has the flag."""
        found: BoolArray = self.sums(flags.astype(np.float64)) > 0
        return found


def connect(nodes: NodeArray, tile: IntArray, links: NDArray[np.void]) -> IntArray:
    """Label nodes by object: two nodes of one tile end up together only if both are truncated.

    Args:
        nodes: (n,) table.
        tile: (n,) number of each node's tile.
        links: Accepted edges with global node numbers.

    Returns:
        (n,) labels from 0, in the order of each group's first node.
    """
    count = len(nodes)
    order = np.lexsort((links["b"], links["a"], -links["common"], links["depth"], -links["score"]))
    links = links[order]
    a, b = links["a"].astype(np.int64), links["b"].astype(np.int64)
    label = _label(count, a, b)
    conflicted = _conflicts(label, tile, nodes["truncated"] > 0)
    if conflicted.any():
        doubtful = conflicted[label[a]]
        kept = _kruskal(a[doubtful], b[doubtful], tile, nodes["truncated"] > 0)
        keep = ~doubtful
        keep[np.flatnonzero(doubtful)] = kept
        label = _label(count, a[keep], b[keep])
    _, first = np.unique(label, return_index=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    ordered: IntArray = rank[label]
    return ordered


def _label(count: int, a: IntArray, b: IntArray) -> IntArray:
    graph = coo_array((np.ones(len(a), np.int8), (a, b)), shape=(count, count))
    _, label = connected_components(graph, directed=False)
    return np.asarray(label, np.int64)


def _conflicts(label: IntArray, tile: IntArray, truncated: BoolArray) -> BoolArray:
    """(groups,) bool: the group has two nodes of one tile, not both truncated."""
    groups = int(label.max(initial=-1)) + 1
    found = np.zeros(groups, bool)
    order = np.lexsort((truncated, tile, label))
    same = (label[order][1:] == label[order][:-1]) & (tile[order][1:] == tile[order][:-1])
    # Within a tile of a group the untruncated nodes come first: one next to any other is wrong.
    wrong = same & ~truncated[order][:-1]
    found[label[order][1:][wrong]] = True
    return found


def _kruskal(a: IntArray, b: IntArray, tile: IntArray, truncated: BoolArray) -> BoolArray:
    """Which edges, taken in their order, keep the constraint."""
    parent: dict[int, int] = {}
    tiles: dict[int, dict[int, bool]] = {}  # root -> tile -> all its nodes are truncated

    def root(node: int) -> int:
        if node not in parent:
            parent[node] = node
            tiles[node] = {int(tile[node]): bool(truncated[node])}
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    kept = np.zeros(len(a), bool)
    for k in range(len(a)):
        one, two = root(int(a[k])), root(int(b[k]))
        if one == two:
            kept[k] = True
            continue
        if len(tiles[one]) < len(tiles[two]):
            one, two = two, one
        large, small = tiles[one], tiles[two]
        if all(all_cut and large.get(t, True) for t, all_cut in small.items() if t in large):
            for t, all_cut in small.items():
                large[t] = large.get(t, True) and all_cut
            parent[two] = one
            del tiles[two]
            kept[k] = True
    return kept


def own(nodes: NodeArray, label: IntArray) -> IntArray:
    """Drop groups that are foreign and open: the tile that owns the object shows it better.

    A node is native where at least half of its trusted area lies in its own core; a group is where
    its members' cores together hold at least half of its largest member. For a group of one node
    this is the rule "foreign and truncated". Slivers of an object that two tiles see at a corner,
    too small to be linked with their owner's mask, but linked with one another, fall under it too.

    Returns:
        Labels from 0 without gaps, -1 for dropped nodes.
    """
    groups = Groups.from_labels(label)
    if not len(groups):
        return label
    largest = np.maximum.reduceat(nodes["area"][groups.members], groups.start[:-1])
    foreign = 2 * groups.sums(nodes["core_area"]) < largest
    dropped = foreign & open_groups(nodes, groups)
    return compact(label, ~dropped[label])


def native(nodes: NodeArray) -> BoolArray:
    """(n,) bool: at least half of the node's trusted area lies in its own tile's core."""
    found: BoolArray = 2 * nodes["core_area"].astype(np.int64) >= nodes["area"]
    return found


def compact(label: IntArray, keep: BoolArray) -> IntArray:
    """Renumber the labels of the kept nodes from 0 in their order; -1 for others."""
    result = np.full(len(label), -1, np.int64)
    _, result[keep] = np.unique(label[keep], return_inverse=True)
    return result


def open_groups(nodes: NodeArray, groups: Groups) -> BoolArray:
    """(groups,) bool: on some side where a member is truncated, no member lies beyond.

    "Beyond" is the neighbour on that side or one of the two diagonal ones next to it.
    """
    members = groups.members
    label = groups.label[members]
    rows = nodes["tile_row"][members].astype(np.int64)
    cols = nodes["tile_col"][members].astype(np.int64)
    wide = int(cols.max(initial=0)) + 3
    high = int(rows.max(initial=0)) + 3

    def key(down: int, right: int, pick: BoolArray | slice) -> IntArray:
        place: IntArray = (label[pick] * high + rows[pick] + 1 + down) * wide + (
            cols[pick] + 1 + right
        )
        return place

    present = np.unique(key(0, 0, slice(None)))
    found = np.zeros(len(groups), bool)
    for bit, offsets in (
        (NORTH, ((-1, -1), (-1, 0), (-1, 1))),
        (SOUTH, ((1, -1), (1, 0), (1, 1))),
        (WEST, ((-1, -1), (0, -1), (1, -1))),
        (EAST, ((-1, 1), (0, 1), (1, 1))),
    ):
        cut = (nodes["truncated"][members] & bit) > 0
        reached = np.zeros(int(cut.sum()), bool)
        for down, right in offsets:
            reached |= np.isin(key(down, right, cut), present, assume_unique=False)
        found[label[cut][~reached]] = True
    return found
