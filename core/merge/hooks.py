# SPDX-License-Identifier: GPL-2.0-or-later
"""Asking the model again: repair of cut objects, and objects larger than a tile from an overview.

Both hooks work the same way: they look at a finished merge, have a ``PromptableSegmenter`` (or a
pass over the overview) return masks of whole objects, cut these masks into the grid's tiles, and
hand back patches. A source with the patches is then merged like any other, so that new masks are
linked, fused and numbered by the one set of rules: in every overlap zone the pieces of one mask
coincide by construction.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ..grid import Grid, Tile
from ..masks import ABSENT, Mask, TileMasks
from ..segmenter import Hint
from ..types import CellBox, FloatArray, LogitArray, PixelBox, TileIndex
from .common import CellShapes, Enough, in_common
from .fuse import fuse_box
from .merged import Merged
from .nodes import TileNodes, lattice, overlap, tight, tile_nodes
from .state import MaskSource, cached

KNOWN_PART = 0.5
"""Least share of the known part that a repaired mask must hold, or it shows something else."""

SAME = 0.5
"""IoU within a tile from which on a mask and a patch show one thing; the patch replaces it."""

ABSORB = 0.8
"""Share of a fine fragment within an overview object from which on it is a part of it."""


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


def repair_hints(
    merged: Merged, source: MaskSource, grid: Grid, margin: int | None = None
) -> Iterator[tuple[int, Hint]]:
    """What to ask the model for again: cut objects, each in a window centred on it.

    Args:
        merged: The finished merge.
        source: Its masks.
        grid: Its grid.
        margin: Pixels that the window must exceed the object by on each side; the grid's margin by
            default. Objects too large for that are left to the overview.

    Yields:
        The object's number in ``merged`` and the hint, by place.
    """
    source = cached(source)
    spare = grid.margin if margin is None else margin
    for number in merged.by_place().tolist():
        if not merged.summary.open[number]:
            continue
        obj = merged[number]
        box = obj.box.pixels(grid.cell).intersection(grid.bounds)
        if max(box.height, box.width) + 2 * spare > grid.window_size:
            continue
        fused = np.clip(np.rint(fuse_box(obj, obj.box, source, grid)), -127, 127)
        yield number, Hint(_centred(box, grid), obj.box, fused.astype(np.int8), obj.prompt)


def _centred(box: PixelBox, grid: Grid) -> PixelBox:
    """A window of the grid's size around a box, on the lattice, moved into the raster."""
    size, cell = grid.window_size, grid.cell
    row = (box.row0 + box.row1 - size) // 2
    col = (box.col0 + box.col1 - size) // 2
    row = max(0, min(row, grid.height - size)) // cell * cell
    col = max(0, min(col, grid.width - size)) // cell * cell
    return PixelBox(row, col, row + size, col + size).intersection(grid.bounds)


def repair_patches(
    merged: Merged,
    answers: Iterable[tuple[int, Hint, Mask | None]],
    source: MaskSource,
    grid: Grid,
) -> Patches:
    """Answers to :func:`repair_hints` as patches.

    An answer counts if it holds at least half of what was known and does not reach the trusted
    edge of its own window. It takes the place of the object's members, and of masks that show the
    same thing in a tile (IoU >= 0.5).

    Args:
        merged: The merge that the hints came from.
        answers: Number of the object, its hint, and the model's mask.
        source: The merge's masks.
        grid: The merge's grid.
    """
    work = _Patching(source, grid)
    for number, hint, mask in answers:
        if mask is None or _reaches_edge(mask, hint.window, grid):
            continue
        known = hint.logits > 0
        common = overlap(mask.logits > 0, _corners(mask.box), known, _corners(hint.box))
        if common < KNOWN_PART * max(1, int(np.count_nonzero(known))):
            continue
        for index, position in merged.refs(number):
            work.remove(index, position)
        for index, piece in cut_to_tiles(mask, grid).items():
            work.add(index, piece)
    work.replace_same()
    return work.patches()


def overview_patches(
    merged: Merged, large: Iterable[Mask], factor: int, source: MaskSource, grid: Grid
) -> Patches:
    """Large objects found on an overview as patches.

    Where the model sees only the textureless inside of an object it returns nothing, and what it
    returns elsewhere are fragments. A mask of the overview whose box exceeds half a window absorbs
    fragments: masks of cut objects that lie to 0.8 or more in it (their larger logits are kept,
    for their finer borders), and masks that show the same part of it. Whole objects inside it stay
    what they are, nested. A mask is left out where the merge has that object whole already.

    Args:
        merged: The finished merge.
        large: Masks on the overview's lattice.
        factor: Fine cells along a side of one of the overview's cells.
        source: The merge's masks.
        grid: The merge's grid.
    """
    work = _Patching(source, grid)
    objects = _Objects(merged, grid)
    for mask in large:
        box = CellBox(*(side * factor for side in _corners(mask.box))).intersection(lattice(grid))
        pixels = box.pixels(grid.cell)
        if 2 * max(pixels.height, pixels.width) <= grid.window_size:
            continue
        pieces = {
            tile.index: piece
            for tile in _tiles_at(box, grid)
            if (piece := _enlarged(mask, factor, tile.window.cells(grid.cell), box)) is not None
        }
        met = {index: work.meetings(index, [piece]) for index, piece in pieces.items()}
        if _known_whole(pieces, merged, objects, met):
            continue
        for index, piece in pieces.items():
            logits = piece.logits.copy()
            for meeting in met[index]:
                if not (meeting.within(ABSORB) or meeting.same()):
                    continue
                number = objects.number(index, meeting.position)
                if number >= 0 and not merged.summary.open[number]:
                    continue
                work.remove(index, meeting.position)
                fine = work.masks(index).masks[meeting.position]
                common = fine.box.intersection(piece.box)
                place = common.slices(piece.box)
                np.maximum(logits[place], fine.logits[common.slices(fine.box)], out=logits[place])
            work.add(index, Mask(piece.box, logits, mask.score, mask.stability, mask.prompt))
    return work.patches()


def cut_to_tiles(mask: Mask, grid: Grid) -> dict[TileIndex, Mask]:
    """A mask of any place and size as one piece for each tile that would trust some of it."""
    pieces = {}
    for tile in _tiles_at(mask.box, grid):
        box = mask.box.intersection(tile.window.cells(grid.cell))
        trusted = mask.box.intersection(tile.trusted.cells(grid.cell))
        if trusted.empty or not (mask.logits[trusted.slices(mask.box)] > 0).any():
            continue
        logits = np.ascontiguousarray(mask.logits[box.slices(mask.box)])
        pieces[tile.index] = Mask(box, logits, mask.score, mask.stability, mask.prompt)
    return pieces


class _Meeting(NamedTuple):
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


class _Patching:
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
    ) -> list[_Meeting]:
        """Where a tile's masks overlap pieces; those of a smaller IoU than ``least`` may lack."""
        nodes: TileNodes = self._nodes(index)
        asked = _shapes(pieces, nodes.trusted)
        one, two, common = in_common(asked, nodes.shapes, Enough(of_larger=least))
        rows = zip(
            nodes.table["position"][two].tolist(), nodes.table["area"][two].tolist(),
            common.tolist(), asked.area[one].tolist(), strict=True,
        )  # fmt: skip
        return [_Meeting(*row) for row in rows]

    def patches(self) -> Patches:
        return {
            index: TilePatch(frozenset(self._removed[index]), tuple(self._added[index]))
            for index in sorted({*self._removed, *self._added})
        }


def _known_whole(
    pieces: Mapping[TileIndex, Mask],
    merged: Merged,
    objects: _Objects,
    met: Mapping[TileIndex, Iterable[_Meeting]],
) -> bool:
    """Whether the merge has an uncut object that is nearly the one in pieces."""
    common: defaultdict[int, int] = defaultdict(int)
    total = 0
    for index, piece in pieces.items():
        total += int(np.count_nonzero(piece.logits > 0))
        for meeting in met[index]:
            number = objects.number(index, meeting.position)
            if number >= 0 and not merged.summary.open[number]:
                common[number] += meeting.common
    return any(
        shared >= SAME * (total + merged.summary.seen[number] - shared)
        for number, shared in common.items()
    )


def _shapes(pieces: Iterable[Mask], trusted: CellBox) -> CellShapes:
    """The pieces' cells in a trusted window; pieces without any are left out."""
    boxes, shapes = [], []
    for piece in pieces:
        box = piece.box.intersection(trusted)
        cut = None if box.empty else tight(piece.logits[box.slices(piece.box)] > 0, box)
        if cut is not None:
            boxes.append(_corners(cut[0]))
            shapes.append(cut[1])
    return CellShapes.of(boxes, shapes)


class _Objects:
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


def _tiles_at(box: CellBox, grid: Grid) -> Iterator[Tile]:
    pixels = box.pixels(grid.cell).grown(grid.margin).intersection(grid.bounds)
    if pixels.empty:
        return
    first, last = grid.at(pixels.row0, pixels.col0), grid.at(pixels.row1 - 1, pixels.col1 - 1)
    for row in range(first.row, last.row + 1):
        for col in range(first.col, last.col + 1):
            tile = grid[TileIndex(row, col)]
            if tile.trusted.cells(grid.cell).intersects(box):
                yield tile


def _enlarged(mask: Mask, factor: int, window: CellBox, box: CellBox) -> Mask | None:
    """A coarse mask's logits on a tile's fine cells, by linear interpolation between centres."""
    place = box.intersection(window)
    if place.empty:
        return None
    rows = _sample(mask.logits.astype(np.float32), 0, place.row0, place.row1, mask.box.row0, factor)
    both = _sample(rows, 1, place.col0, place.col1, mask.box.col0, factor)
    logits: LogitArray = np.clip(np.rint(both), ABSENT, 127).astype(np.int8)
    if not (logits > 0).any():
        return None
    return Mask(place, logits, mask.score, mask.stability, mask.prompt)


def _sample(
    values: FloatArray, axis: int, start: int, stop: int, origin: int, factor: int
) -> FloatArray:
    """Values at fine cells start to stop along an axis of coarse cells that begins at origin."""
    position = (np.arange(start, stop) + 0.5) / factor - 0.5 - origin
    position = np.clip(position, 0, values.shape[axis] - 1)
    low = np.floor(position).astype(np.int64)
    high = np.minimum(low + 1, values.shape[axis] - 1)
    share = (position - low).astype(np.float32)
    share = share[:, None] if axis == 0 else share[None, :]
    sampled: FloatArray = values.take(low, axis) * (1 - share) + values.take(high, axis) * share
    return sampled


def _reaches_edge(mask: Mask, window: PixelBox, grid: Grid) -> bool:
    """Whether a mask touches the untrusted edge of its window, where that is not the raster's."""
    cells, whole = window.cells(grid.cell), lattice(grid)
    trust = grid.trust // grid.cell
    edge = trust + 1
    allowed = CellBox(
        cells.row0 + edge * (cells.row0 > whole.row0),
        cells.col0 + edge * (cells.col0 > whole.col0),
        cells.row1 - edge * (cells.row1 < whole.row1),
        cells.col1 - edge * (cells.col1 < whole.col1),
    ).intersection(mask.box)
    inside = mask.logits[allowed.slices(mask.box)] > 0 if not allowed.empty else np.empty(0, bool)
    return int(np.count_nonzero(inside)) < int(np.count_nonzero(mask.logits > 0))


def _corners(box: CellBox) -> tuple[int, int, int, int]:
    return box.row0, box.col0, box.row1, box.col1
