# SPDX-License-Identifier: GPL-2.0-or-later
"""The stage that prompts the model again for objects cut by tiles.

*Repair*: an object that reaches the edge of what a tile trusts and found no partner beyond is
prompted once more, in a window around it. *Overview*: a pass at a quarter of the resolution finds
objects larger than half a window, of which a tile sees only a featureless inside. Both change
tiles' masks and leave the joining to the merge (``merge/patches.py``); changed tiles are kept
beside the first ones, so that a job that goes on starts from what the model said. A window that
cannot be looked at again is named among what failed, and the job goes on without it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from ...masks.masks import Mask
from ...merge import MaskSource, Merged, MergeOptions, fuse_box, merge
from ...merge.overview import overview_patches
from ...merge.patches import PatchedSource, Patches
from ...merge.repair import repair_hints, repair_patches
from ...notes import for_threads
from ...parallel.executors import ONE_AT_A_TIME, Executor
from ...raster.areas import AreaOfInterest
from ...raster.raster import coarser
from ...segmenters.segmenter import Hint, PromptableSegmenter, TileImage, context_of
from ...tiles.grid import Grid, Tile, choose_grid
from ...types import PixelBox, TileIndex
from .attempts import Failure, attempted
from .tile_stage import Report, TileStage, segment_tiles, workshop

COARSER = 4
"""Pixels of the raster along a side of one pixel of the overview."""

Asked = tuple[int, Hint]
Answered = tuple[int, Hint, Mask | None]


@dataclass(frozen=True)
class SecondLook:
    """The merge of a job, and what the model adds to it when it is asked again.

    Args:
        stage: The job's first stage: its raster, model, grid and masks.
        area: Area of interest.
        options: Of the merge.
        executor: Runs all stages.
        report: Told of progress.
        failed: Windows that could not be looked at again, with the reason.
    """

    stage: TileStage
    area: AreaOfInterest | None
    options: MergeOptions
    executor: Executor
    report: Report
    failed: list[str] = field(default_factory=list)

    def merged(self, source: MaskSource | None = None) -> Merged:
        """Objects from the tiles' masks."""
        return self._merge(source or self.stage.store, self.stage.grid, "merge")

    def _merge(self, source: MaskSource, grid: Grid, name: str) -> Merged:
        return merge(source, grid, self.options, self.executor, partial(self.report, name))

    def from_afar(self, objects: Merged, source: MaskSource) -> tuple[Merged, MaskSource]:
        """With the objects that only the overview shows whole."""
        fine = self.stage.grid
        spec = coarser(self.stage.spec, COARSER)
        height, width = -(-fine.height // COARSER), -(-fine.width // COARSER)
        segmenter = workshop(self.stage).segmenter
        tiles = segmenter.cell_size, fine.window_size, fine.margin
        grid = choose_grid(height, width, *tiles, context_of(segmenter))
        store = self.stage.store.overview(grid.cell)
        stage = replace(self.stage, spec=spec, grid=grid, store=store)
        _, failed = segment_tiles(stage, self._wants_afar, self.executor, self.report, "overview")
        self.failed.extend(f"overview {reason}" for reason in failed)
        large = self._merge(store, grid, "overview merge")
        factor, rest = divmod(COARSER * grid.cell, fine.cell)
        sides = large.summary.box * (grid.cell * COARSER)
        extent = np.maximum(sides[:, 2] - sides[:, 0], sides[:, 3] - sides[:, 1])
        found = np.flatnonzero(extent > fine.window_size / 2).tolist()
        if rest or not found:
            return objects, source
        masks = (_whole_mask(large, number, store, grid) for number in found)
        return self._patched(overview_patches(objects, masks, factor, source, fine), source)

    def _wants_afar(self, tile: Tile) -> bool:
        core = tile.core
        box = PixelBox(*(COARSER * side for side in (core.row0, core.col0, core.row1, core.col1)))
        return self.area is None or self.area.touches(box)

    def at_what_was_cut(self, objects: Merged, source: MaskSource) -> tuple[Merged, MaskSource]:
        """With the objects that tiles have cut made whole, where the model sees them whole."""
        grid = self.stage.grid
        windows = _windows(repair_hints(objects, source, grid), grid)
        if not windows:
            return objects, source
        answers: list[Answered] = []
        self.report("repair", 0, len(windows))
        for done, found in enumerate(self.executor.map(RepairStage(self.stage), windows), 1):
            answers += found.answers
            if found.error:
                self.failed.append(_of_window(windows[done - 1][0][1].window, found.error))
            self.report("repair", done, len(windows), found.error)
        answers.sort(key=lambda answer: answer[0])
        return self._patched(repair_patches(objects, answers, source, grid), source)

    def _patched(self, patches: Patches, source: MaskSource) -> tuple[Merged, MaskSource]:
        """Keep the changed tiles in the job's folder, and merge again."""
        store = self.stage.store
        changed = PatchedSource(source, patches)
        for index in patches:
            store.save_patched(changed.load(index))
        masks = store.patched()
        return self.merged(masks), masks


@dataclass(frozen=True, eq=False)
class RepairOutcome:
    """What became of a window: an answer per hint; none, and ``error``, where it failed."""

    answers: list[Answered]
    error: str = ""


@dataclass(frozen=True)
class RepairStage:
    """Asks the model for a window's cut objects again. Picklable.

    Args:
        tiles: The job's first stage: its raster, model and grid.
    """

    tiles: TileStage

    def __call__(self, asked: Sequence[Asked]) -> RepairOutcome:
        """One answer per hint; all hints have the same window."""
        with ONE_AT_A_TIME:
            found = attempted(partial(self._answers, asked))
        return RepairOutcome([], str(found)) if isinstance(found, Failure) else RepairOutcome(found)

    def _answers(self, asked: Sequence[Asked]) -> list[Answered]:
        shop, grid = workshop(self.tiles), self.tiles.grid
        window = asked[0][1].window
        read = shop.thread.submit(for_threads(shop.raster.read), window).result()
        if not isinstance(shop.segmenter, PromptableSegmenter):
            return [(number, hint, None) for number, hint in asked]
        tile = Tile(TileIndex(-1, -1), window, window, trusted=window.grown(-grid.trust))
        image = TileImage(tile, read.pixels, read.valid, grid.window_size, grid.cell)
        masks = shop.segmenter.refine(image, [hint for _, hint in asked])
        return [(number, hint, mask) for (number, hint), mask in zip(asked, masks, strict=True)]


def _of_window(window: PixelBox, error: str) -> str:
    return (
        f"repair in rows {window.row0} to {window.row1} and columns {window.col0} to "
        f"{window.col1}: {error}"
    )


def _windows(hints: Iterator[Asked], grid: Grid) -> list[list[Asked]]:
    """Hints by window. Windows are moved onto a common lattice where the objects allow it, so that
    one encoding serves several objects."""
    groups: defaultdict[PixelBox, list[Asked]] = defaultdict(list)
    step = max(1, grid.window_size // 4 // grid.cell) * grid.cell
    for number, hint in hints:
        height, width = hint.window.shape
        row = min(round(hint.window.row0 / step) * step, max(0, grid.height - height))
        col = min(round(hint.window.col0 / step) * step, max(0, grid.width - width))
        row, col = row // grid.cell * grid.cell, col // grid.cell * grid.cell
        common = PixelBox(row, col, row + height, col + width).intersection(grid.bounds)
        around = hint.box.pixels(grid.cell).grown(grid.margin // 2).intersection(grid.bounds)
        window = common if common.contains(around) else hint.window
        groups[window].append((number, replace(hint, window=window)))
    return [groups[window] for window in sorted(groups)]


def _whole_mask(merged: Merged, number: int, source: MaskSource, grid: Grid) -> Mask:
    obj = merged[number]
    fused = np.clip(np.rint(fuse_box(obj, obj.box, source, grid)), -127, 127)
    return Mask(obj.box, fused.astype(np.int8), obj.score, obj.stability, obj.prompt)
