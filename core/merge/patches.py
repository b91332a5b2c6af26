# SPDX-License-Identifier: GPL-2.0-or-later
"""Changes to tiles' masks after a merge, and the source that applies them.

The model is asked again in two ways (``repair.py``, ``overview.py``). Both cut the masks of whole
objects into the grid's tiles and hand back patches. A source with the patches is then merged like
any other, so that new masks are linked, fused and numbered by the one set of rules: in every
overlap zone the pieces of one mask coincide by construction.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ..masks.masks import Mask, TileMasks
from ..tiles.grid import Grid, Tile
from ..types import CellBox, TileIndex
from .intersections import CellShapes, Enough, in_common
from .nodes import TileNodes, tight, tile_nodes
from .objects import Merged
from .types import MaskSource, cached

SAME = 0.5
"""IoU within a tile from which on a mask and a patch show one thing; the patch replaces it."""


@dataclass(frozen=True, eq=False)
class TilePatch:
    """Changes to a tile's masks.

    Args:
        removed: Positions of masks that go.
        added: Masks that come, on the tile's window.
    """

    removed: frozenset[int]
    added: tuple[Mask, ...]


Patches = dict[TileIndex, TilePatch]


@dataclass(frozen=True)
class PatchedSource:
    """A source with patches applied; picklable where its base is."""

    base: MaskSource
    patches: Mapping[TileIndex, TilePatch]

    def load(self, index: TileIndex) -> TileMasks:
        masks = self.base.load(index)
        patch = self.patches.get(index)
        if patch is None:
            return masks
        kept = [m for position, m in enumerate(masks.masks) if position not in patch.removed]
        return TileMasks(index, masks.cell, (*kept, *patch.added))


def cut_to_tiles(mask: Mask, grid: Grid) -> dict[TileIndex, Mask]:
    """A mask of any place and size as one piece for each tile that would trust some of it."""
    pieces = {}
    for tile in tiles_at(mask.box, grid):
        box = mask.box.intersection(tile.window.cells(grid.cell))
        trusted = mask.box.intersection(tile.trusted.cells(grid.cell))
        if trusted.empty or not (mask.logits[trusted.slices(mask.box)] > 0).any():
            continue
        logits = np.ascontiguousarray(mask.logits[box.slices(mask.box)])
        pieces[tile.index] = Mask(box, logits, mask.score, mask.stability, mask.prompt)
    return pieces


class Meeting(NamedTuple):
    """A mask of a tile and a piece of another one that overlap; cells of the trusted window."""

    position: int
    area: int
    common: int
    piece_area: int

    def same(self) -> bool:
        """Whether both show the same."""
        return self.common >= SAME * (self.area + self.piece_area - self.common)

    def within(self, share: float) -> bool:
        """Whether the tile's mask lies in the piece."""
        return self.common >= share * self.area


class Patching:
    """Patches under construction, and what they need to know of the tiles."""

    def __init__(self, source: MaskSource, grid: Grid) -> None:
        self._source, self._grid = cached(source, 16), grid
        self._nodes = lru_cache(16)(lambda index: tile_nodes(self.masks(index), grid))
        self._removed: defaultdict[TileIndex, set[int]] = defaultdict(set)
        self._added: defaultdict[TileIndex, list[Mask]] = defaultdict(list)

    def masks(self, index: TileIndex) -> TileMasks:
        return self._source.load(index)

    def remove(self, index: TileIndex, position: int) -> None:
        self._removed[index].add(position)

    def add(self, index: TileIndex, piece: Mask) -> None:
        self._added[index].append(piece)

    def replace_same(self) -> None:
        """Remove the tiles' masks that show the same as one that was added."""
        for index, pieces in self._added.items():
            for meeting in self.meetings(index, pieces, SAME):
                if meeting.same():
                    self.remove(index, meeting.position)

    def meetings(
        self, index: TileIndex, pieces: Sequence[Mask], least: float = 0.0
    ) -> list[Meeting]:
        """Where a tile's masks overlap pieces; those of an IoU below ``least`` may be missing."""
        nodes: TileNodes = self._nodes(index)
        asked = _shapes(pieces, nodes.trusted)
        one, two, common = in_common(asked, nodes.shapes, Enough(of_larger=least))
        rows = zip(
            nodes.table["position"][two].tolist(), nodes.table["area"][two].tolist(),
            common.tolist(), asked.area[one].tolist(), strict=True,
        )  # fmt: skip
        return [Meeting(*row) for row in rows]

    def patches(self) -> Patches:
        return {
            index: TilePatch(frozenset(self._removed[index]), tuple(self._added[index]))
            for index in sorted({*self._removed, *self._added})
        }


def _shapes(pieces: Iterable[Mask], trusted: CellBox) -> CellShapes:
    """The pieces' cells in a trusted window; pieces without any are left out."""
    boxes, shapes = [], []
    for piece in pieces:
        box = piece.box.intersection(trusted)
        cut = None if box.empty else tight(piece.logits[box.slices(piece.box)] > 0, box)
        if cut is not None:
            boxes.append(corners(cut[0]))
            shapes.append(cut[1])
    return CellShapes.of(boxes, shapes)


class ObjectOf:
    """Looks up the object of a mask."""

    def __init__(self, merged: Merged, grid: Grid) -> None:
        self._merged, self._cols = merged, grid.cols
        nodes = merged.nodes
        self._tile = nodes["tile_row"].astype(np.int64) * grid.cols + nodes["tile_col"]  # sorted

    def number(self, index: TileIndex, position: int) -> int:
        """Number of the object, -1 where the mask belongs to none."""
        tile = index.row * self._cols + index.col
        start, stop = np.searchsorted(self._tile, (tile, tile + 1))
        found = np.flatnonzero(self._merged.nodes["position"][start:stop] == position)
        return int(self._merged.groups.label[start + found[0]]) if found.size else -1


def tiles_at(box: CellBox, grid: Grid) -> Iterator[Tile]:
    pixels = box.pixels(grid.cell).grown(grid.margin).intersection(grid.bounds)
    if pixels.empty:
        return
    first, last = grid.at(pixels.row0, pixels.col0), grid.at(pixels.row1 - 1, pixels.col1 - 1)
    for row in range(first.row, last.row + 1):
        for col in range(first.col, last.col + 1):
            tile = grid[TileIndex(row, col)]
            if tile.trusted.cells(grid.cell).intersects(box):
                yield tile


def corners(box: CellBox) -> tuple[int, int, int, int]:
    return box.row0, box.col0, box.row1, box.col1
