# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of the merge share: small masks, oracles, and merged objects as masks."""

from __future__ import annotations

import numpy as np
from samgeo_core.masks.masks import Mask, PromptRef, TileMasks
from samgeo_core.merge import MaskSource, MemorySource, Merged, MergeOptions, fuse_box, merge
from samgeo_core.merge.nodes import tight
from samgeo_core.parallel.executors import SerialExecutor
from samgeo_core.testing.scenes import Thing
from samgeo_core.tiles.grid import Grid
from samgeo_core.types import CellBox, TileIndex

AUTO = PromptRef()


def mask_of(box: CellBox, shape=None, *, score=0.9, prompt=AUTO, level=32) -> Mask:
    """A mask that is positive on a bool array (all of the box by default)."""
    inside = np.ones(box.shape, bool) if shape is None else shape
    logits = np.where(inside, level, -level).astype(np.int8)
    return Mask(box, logits, score, 0.95, prompt)


def thing_of(box: CellBox, shape=None) -> Thing:
    return Thing(box, np.ones(box.shape, bool) if shape is None else shape, "")


def source_of(grid: Grid, tiles: dict[tuple[int, int], list[Mask]]) -> MemorySource:
    """Masks by (row, col) of their tile."""
    named = {TileIndex(*place): masks for place, masks in tiles.items()}
    return MemorySource(
        {index: TileMasks(index, grid.cell, masks) for index, masks in named.items()}, grid.cell
    )


def merge_here(source: MaskSource, grid: Grid, mode="hierarchy") -> Merged:
    return merge(source, grid, MergeOptions(mode=mode), SerialExecutor())


def things_of(objects: Merged, source: MaskSource, grid: Grid) -> list[Thing]:
    """Merged objects as masks, in their order."""
    found = []
    for obj in objects:
        cut = tight(fuse_box(obj, obj.box, source, grid) > 0, obj.box)
        if cut is not None:
            found.append(Thing(*cut, obj.id))
    return found
