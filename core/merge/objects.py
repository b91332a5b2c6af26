# SPDX-License-Identifier: GPL-2.0-or-later
"""The merged objects in canonical order, stored as arrays.

Some 150 bytes per object instead of a thousand: a raster of 20,000 x 20,000 pixels may have 80,000.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import overload

import numpy as np
from numpy.typing import NDArray

from ..masks.masks import PromptRef
from ..types import BoolArray, CellBox, TileIndex
from .components import Groups, IntArray, native, open_groups
from .intersections import ranges
from .nodes import BOX_FIELDS, NodeArray
from .types import MergedObject, NodeRef

NO_PARENT = -1


@dataclass(frozen=True, eq=False)
class Summary:
    """Properties of groups of nodes, one row per group.

    Args:
        box: (g, 4) int64 row0, col0, row1, col1 in cells.
        first_col: Column of the first cell in the first row.
        area: Cells, estimated: of the only node, otherwise the sum of the shares in tile cores
            (at least the largest node).
        seen: Sum of the members' areas; cells that several tiles see count several times.
        tiles: Number of tiles with a member.
        score: Mean of the members, weighted by area.
        stability: Likewise.
        open: Truncated somewhere without a member beyond.
        native: Some member is native to its tile.
        leader: The member with the largest share in its own core.
    """

    box: IntArray
    first_col: IntArray
    area: IntArray
    seen: NDArray[np.float64]
    tiles: IntArray
    score: NDArray[np.float64]
    stability: NDArray[np.float64]
    open: BoolArray
    native: BoolArray
    leader: IntArray


def summarize(nodes: NodeArray, tile: IntArray, groups: Groups) -> Summary:
    """Measure groups of nodes; ``tile`` is each node's tile number."""
    order, start = groups.members, groups.start[:-1]
    if not len(groups):
        none = np.empty(0, np.int64)
        flags, values = np.empty(0, bool), np.empty(0)
        return Summary(
            none.reshape(0, 4), none, none, values, none, values, values, flags, flags, none
        )
    box = np.stack(
        [
            extreme.reduceat(nodes[name][order].astype(np.int64), start)
            for name, extreme in zip(
                BOX_FIELDS, (np.minimum, np.minimum, np.maximum, np.maximum), strict=True
            )
        ],
        axis=1,
    )
    label = groups.label[order]
    in_first_row = nodes["row0"][order] == box[label, 0]
    first = np.where(in_first_row, nodes["first_col"][order], np.iinfo(np.int32).max)
    area = nodes["area"].astype(np.float64)
    seen = groups.sums(area)
    core = groups.sums(nodes["core_area"]).astype(np.int64)
    size = np.diff(groups.start)
    largest = np.maximum.reduceat(nodes["area"][order].astype(np.int64), start)
    by_share = np.lexsort((order, -nodes["area"][order], -nodes["core_area"][order], label))
    pairs = np.unique(np.stack([label, tile[order]]), axis=1)
    return Summary(
        box=box,
        first_col=np.minimum.reduceat(first.astype(np.int64), start),
        area=np.where(size == 1, largest, np.maximum(core, largest)),
        seen=seen,
        tiles=np.bincount(pairs[0], minlength=len(groups)),
        score=groups.sums(area * nodes["score"]) / seen,
        stability=groups.sums(area * nodes["stability"]) / seen,
        open=open_groups(nodes, groups),
        native=groups.any(native(nodes)),
        leader=order[by_share[start]],
    )


def canonical_order(nodes: NodeArray, groups: Groups, summary: Summary) -> IntArray:
    """Groups sorted by (first cell, box, area, checksum of the first member, first member)."""
    first = groups.members[groups.start[:-1]]
    box = summary.box
    keys = (first, nodes["digest"][first], summary.area, box[:, 3], box[:, 2], box[:, 1])
    return np.lexsort((*keys, summary.first_col, box[:, 0])).astype(np.int64)


@dataclass(frozen=True, eq=False)
class ObjectColumns:
    """Some objects as arrays: quickly pickled, and turned into objects where they are needed.

    Args:
        keys: (n, 7) int64, what goes into their ids.
        parent_keys: (p, 7) likewise of the parents of those that have one.
        has_parent: (n,) bool.
        box: (n, 4) cells.
        members: (m, 3) row and column of the tile and position in it, object by object.
        size: (n,) members of each.
        tiles: (n,) number of tiles.
        score: (n,).
        stability: (n,).
        prompt: (n,) which of ``prompts``.
        prompts: Different from one another.
        truncated: (n,) bool.
    """

    keys: IntArray
    parent_keys: IntArray
    has_parent: BoolArray
    box: IntArray
    members: NDArray[np.int32]
    size: IntArray
    tiles: IntArray
    score: NDArray[np.float64]
    stability: NDArray[np.float64]
    prompt: IntArray
    prompts: tuple[PromptRef, ...]
    truncated: BoolArray

    def __len__(self) -> int:
        return len(self.keys)

    def objects(self) -> list[MergedObject]:
        """The objects, in their order."""
        parents = iter(_ids(self.parent_keys))
        members = iter(
            NodeRef(TileIndex(row, col), position) for row, col, position in self.members.tolist()
        )
        return [
            MergedObject(
                id=own,
                parent_id=next(parents) if nested else "",
                box=CellBox(*box),
                members=tuple(islice(members, size)),
                tiles=tiles,
                score=score,
                stability=stability,
                prompt=self.prompts[prompt],
                truncated=truncated,
            )
            for own, nested, box, size, tiles, score, stability, prompt, truncated in zip(
                _ids(self.keys),
                self.has_parent.tolist(),
                self.box.tolist(),
                self.size.tolist(),
                self.tiles.tolist(),
                self.score.tolist(),
                self.stability.tolist(),
                self.prompt.tolist(),
                self.truncated.tolist(),
                strict=True,
            )
        ]


def _ids(keys: IntArray) -> list[str]:
    """(n, 7) numbers -> ids of 16 hexadecimal digits."""
    raw, size = keys.tobytes(), 7 * 8
    return [
        hashlib.blake2b(raw[at : at + size], digest_size=8).hexdigest()
        for at in range(0, len(raw), size)
    ]


class Merged(Sequence[MergedObject]):
    """Merged objects in canonical order: by first cell, box and area.

    Args:
        nodes: Table of all nodes.
        groups: One group an object, in canonical order.
        summary: Of the groups.
        parent: (n,) number of each object's parent, ``NO_PARENT`` without one.
        prompts: What ``nodes["prompt"]`` points to.
        cell: Side of a cell, pixels.
    """

    def __init__(
        self,
        nodes: NodeArray,
        groups: Groups,
        summary: Summary,
        parent: IntArray,
        prompts: Sequence[PromptRef],
        cell: int,
    ) -> None:
        self.nodes, self.groups, self.summary = nodes, groups, summary
        self.parent, self.prompts, self.cell = parent, prompts, cell
        self._ordinal = self._ordinals()

    def _ordinals(self) -> IntArray:
        """How many objects before each have the same first cell and box."""
        keys = np.column_stack([self.summary.box, self.summary.first_col])
        ordinal = np.zeros(len(keys), np.int64)
        same = (keys[1:] == keys[:-1]).all(axis=1)  # neighbours in the canonical order
        for number in np.flatnonzero(same):
            ordinal[number + 1] = ordinal[number] + 1
        return ordinal

    def __len__(self) -> int:
        return len(self.groups)

    def id(self, number: int) -> str:
        """Hash of the first cell and the box in pixels, 16 hexadecimal digits.

        The first cell is the leftmost one in the first row of the members' masks. Objects that
        have it and the box in common (a square and the larger one that hides behind it, say) are
        told apart by their rank in the canonical order, which goes into the hash.
        """
        return _ids(self._keys(np.array([number])))[0]

    def _keys(self, numbers: IntArray) -> IntArray:
        """(n, 7) what goes into the ids of some objects."""
        row0, col0, row1, col1 = (self.summary.box[numbers] * self.cell).T
        first_col = self.summary.first_col[numbers] * self.cell
        return np.column_stack(
            [row0, first_col, row0, col0, row1, col1, self._ordinal[numbers]]
        ).astype("<i8")

    def columns(self, numbers: IntArray) -> ObjectColumns:
        """Some objects as arrays: what goes to a worker."""
        summary, start = self.summary, self.groups.start
        size = start[numbers + 1] - start[numbers]
        rows = self.nodes[self.groups.members[ranges(start[numbers], size)]]
        parent = self.parent[numbers]
        has_parent = parent != NO_PARENT
        kinds, prompt = np.unique(
            self.nodes["prompt"][summary.leader[numbers]], return_inverse=True
        )
        return ObjectColumns(
            keys=self._keys(numbers),
            parent_keys=self._keys(parent[has_parent]),
            has_parent=has_parent,
            box=summary.box[numbers],
            members=np.column_stack([rows["tile_row"], rows["tile_col"], rows["position"]]),
            size=size,
            tiles=summary.tiles[numbers],
            score=summary.score[numbers],
            stability=summary.stability[numbers],
            prompt=prompt,
            prompts=tuple(self.prompts[kind] for kind in kinds.tolist()),
            truncated=summary.open[numbers],
        )

    def refs(self, number: int) -> tuple[NodeRef, ...]:
        """The members of an object."""
        rows = self.nodes[self.groups[number]]
        return tuple(
            NodeRef(TileIndex(row, col), position)
            for row, col, position in zip(
                rows["tile_row"].tolist(),
                rows["tile_col"].tolist(),
                rows["position"].tolist(),
                strict=True,
            )
        )

    @overload
    def __getitem__(self, number: int) -> MergedObject: ...

    @overload
    def __getitem__(self, number: slice) -> list[MergedObject]: ...

    def __getitem__(self, number: int | slice) -> MergedObject | list[MergedObject]:
        if isinstance(number, slice):
            return self.columns(np.arange(len(self))[number]).objects()
        if not -len(self) <= number < len(self):
            raise IndexError(number)
        return self.columns(np.array([number % len(self)])).objects()[0]

    def __iter__(self) -> Iterator[MergedObject]:
        for first in range(0, len(self), 1024):
            yield from self[first : first + 1024]

    def by_place(self) -> IntArray:
        """Numbers of the objects in the order of their first members' tiles.

        Work through them in this order (in batches) and every tile is loaded a few times only.
        """
        first = self.groups.members[self.groups.start[:-1]]
        return np.lexsort(
            (np.arange(len(self)), self.nodes["tile_col"][first], self.nodes["tile_row"][first])
        ).astype(np.int64)
