# SPDX-License-Identifier: GPL-2.0-or-later
"""Inputs and outputs of the merge: sources, options, nodes, merged objects."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from ..errors import ParameterError
from ..masks.masks import PromptRef, TileMasks
from ..types import CellBox, MergeMode, TileIndex


class MaskSource(Protocol):
    """Where the tiles' masks are. Picklable, because every worker loads what it needs itself."""

    def load(self, index: TileIndex) -> TileMasks:
        """The masks of a tile; an empty ``TileMasks`` where it was skipped or failed."""


@dataclass(frozen=True)
class MemorySource:
    """Masks in a dict: for small rasters, tests and interactive use."""

    tiles: Mapping[TileIndex, TileMasks]
    cell: int = 1

    def load(self, index: TileIndex) -> TileMasks:
        return self.tiles.get(index) or TileMasks(index, self.cell, ())


@dataclass
class CachedSource:
    """Keeps the last few tiles that were loaded: the stages walk along rows of tiles.

    Pickles as its base source with an empty cache.
    """

    base: MaskSource
    capacity: int = 9
    _tiles: OrderedDict[TileIndex, TileMasks] = field(default_factory=OrderedDict, repr=False)

    def load(self, index: TileIndex) -> TileMasks:
        tile = self._tiles.pop(index, None)
        if tile is None:
            tile = self.base.load(index)
        self._tiles[index] = tile
        if len(self._tiles) > self.capacity:
            self._tiles.popitem(last=False)
        return tile

    def __reduce__(self) -> tuple[type[CachedSource], tuple[MaskSource, int]]:
        return type(self), (self.base, self.capacity)


def cached(source: MaskSource, capacity: int = 9) -> CachedSource:
    """The source with a cache; itself where it has one."""
    return source if isinstance(source, CachedSource) else CachedSource(source, capacity)


@dataclass(frozen=True)
class MergeOptions:
    """Thresholds of the merge. Areas in raster pixels; a mask's cell of k x k pixels counts k^2.

    Args:
        mode: "hierarchy": one mask to one mask, nested objects survive. "flat": what lies inside
            another object's mask is part of it (buildings, fields).
        min_fragment: Smallest fragment of a mask in an overlap zone that can find a partner (at
            least one cell; less where the zone is narrower than this many pixels). If one of two
            fragments is all that its tile knows of the object, they may be of any size.
        match_iou: Least IoU within the zone of two fragments of one object.
        coincide: IoU within the zone from which on fragments of one tile count as the same there,
            and are told apart by the size of their masks.
        join_area: Smallest unmatched fragment that flat mode joins to the one it lies in.
        join_containment: Least share of it that lies there.
        duplicate_overlap: Intersection over the smaller from which on two objects are one.
        nested: Least share of a child that lies in its parent.
        single: Classes of the embedded model whose objects share no ground: of those that do, the
            one whose score is best stays.
        single_overlap: Intersection over the smaller from which on they do.
    """

    mode: MergeMode = "hierarchy"
    min_fragment: int = 12
    match_iou: float = 0.5
    coincide: float = 0.98
    join_area: int = 128
    join_containment: float = 0.85
    duplicate_overlap: float = 0.6
    nested: float = 0.95
    single: tuple[str, ...] = ()
    single_overlap: float = 0.4

    def __post_init__(self) -> None:
        if self.mode not in ("hierarchy", "flat"):
            raise ParameterError(
                f"The merge mode must be 'hierarchy' or 'flat', not {self.mode!r}."
            )
        for name in (
            *("match_iou", "coincide", "join_containment", "duplicate_overlap", "nested"),
            "single_overlap",
        ):
            value = getattr(self, name)
            if not 0 < value <= 1:
                raise ParameterError(
                    f"The merge option {name} must lie between 0 and 1, not {value}."
                )
        for name in ("min_fragment", "join_area"):
            if getattr(self, name) < 0:
                raise ParameterError(
                    f"The merge option {name} is an area in pixels and cannot be "
                    f"{getattr(self, name)}."
                )

    def cells(self, pixels: int, cell: int) -> int:
        """An area in pixels as a number of cells, at least 1."""
        return max(1, -(-pixels // (cell * cell)))


class NodeRef(NamedTuple):
    """A mask in a tile: ``source.load(tile).masks[position]``."""

    tile: TileIndex
    position: int


@dataclass(frozen=True)
class MergedObject:
    """One object of the raster: the masks that show it, tile by tile.

    Args:
        id: 16 hexadecimal digits; the same for any order of tiles and number of workers.
        parent_id: Of the smallest object that holds it, "" without one and in flat mode.
        box: Cells around its members' masks (within their trusted windows).
        members: Its nodes, in the order of their tiles.
        tiles: Number of tiles that hold a member.
        score: The model's estimate of IoU, mean of the members weighted by area.
        stability: Likewise.
        prompt: Of the member with the largest share in its own tile's core.
        truncated: It reaches the trusted edge of a tile and no neighbour there goes on with it, so
            a part is probably missing; what the repair hook asks the model for.
    """

    id: str
    parent_id: str
    box: CellBox
    members: tuple[NodeRef, ...]
    tiles: int
    score: float
    stability: float
    prompt: PromptRef
    truncated: bool
