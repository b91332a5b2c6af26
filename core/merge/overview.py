# SPDX-License-Identifier: GPL-2.0-or-later
"""Objects larger than a tile, segmented at a coarser resolution, as patches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

import numpy as np

from ..masks.logits import ABSENT, LARGEST
from ..masks.masks import Mask
from ..tiles.grid import Grid
from ..tiles.mask_grid import bilinear
from ..types import CellBox, LogitArray, TileIndex
from .nodes import lattice
from .objects import Merged
from .patches import SAME, Meeting, ObjectOf, Patches, Patching, corners, tiles_at
from .types import MaskSource

ABSORB = 0.8
"""Share of a fine fragment within an overview object from which on it is a part of it."""


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
    work = Patching(source, grid)
    objects = ObjectOf(merged, grid)
    for mask in large:
        box = CellBox(*(side * factor for side in corners(mask.box))).intersection(lattice(grid))
        pixels = box.pixels(grid.cell)
        if 2 * max(pixels.height, pixels.width) <= grid.window_size:
            continue
        pieces = {
            tile.index: piece
            for tile in tiles_at(box, grid)
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


def _known_whole(
    pieces: Mapping[TileIndex, Mask],
    merged: Merged,
    objects: ObjectOf,
    met: Mapping[TileIndex, Iterable[Meeting]],
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


def _enlarged(mask: Mask, factor: int, window: CellBox, box: CellBox) -> Mask | None:
    """A coarse mask's logits on a tile's fine cells, by linear interpolation between centres."""
    place = box.intersection(window)
    if place.empty:
        return None
    rows = (np.arange(place.row0, place.row1) + 0.5) / factor - 0.5 - mask.box.row0
    cols = (np.arange(place.col0, place.col1) + 0.5) / factor - 0.5 - mask.box.col0
    both = bilinear(mask.logits.astype(np.float32), rows, cols)
    logits: LogitArray = np.clip(np.rint(both), ABSENT, LARGEST).astype(np.int8)
    if not (logits > 0).any():
        return None
    return Mask(place, logits, mask.score, mask.stability, mask.prompt)
