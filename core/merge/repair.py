# SPDX-License-Identifier: GPL-2.0-or-later
"""Objects cut by tiles: what to prompt the model with again, and the answers as patches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from ..masks.masks import Mask
from ..segmenters.segmenter import Hint
from ..tiles.grid import Grid
from ..types import CellBox, PixelBox
from .fuse import fuse_box
from .nodes import lattice, overlap
from .objects import Merged
from .patches import Patches, Patching, corners, cut_to_tiles
from .types import MaskSource, cached

KNOWN_PART = 0.5
"""Least share of the known part that a repaired mask must hold, or it shows something else."""


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
    same object in a tile (IoU >= 0.5).

    Args:
        merged: The merge that the hints came from.
        answers: Number of the object, its hint, and the model's mask.
        source: The merge's masks.
        grid: The merge's grid.
    """
    work = Patching(source, grid)
    for number, hint, mask in answers:
        if mask is None or _reaches_edge(mask, hint.window, grid):
            continue
        known = hint.logits > 0
        common = overlap(mask.logits > 0, corners(mask.box), known, corners(hint.box))
        if common < KNOWN_PART * max(1, int(np.count_nonzero(known))):
            continue
        for index, position in merged.refs(number):
            work.remove(index, position)
        for index, piece in cut_to_tiles(mask, grid).items():
            work.add(index, piece)
    work.replace_same()
    return work.patches()


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
