# SPDX-License-Identifier: GPL-2.0-or-later
"""The stage that segments a tile.

A stage carries paths and numbers, never arrays; what is costly to open (raster, model) is opened
once a process and kept.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

from ...addresses import without_secrets
from ...errors import Cancelled, ModelError, SamGeoError
from ...masks.store import JobStore
from ...parallel.executors import ONE_AT_A_TIME, Executor, new_run
from ...raster.raster import Raster, RasterWindow
from ...segmenters.segmenter import Segmenter, TileImage
from ...tiles.grid import Grid, Tile
from ...types import TileIndex
from .opened import model_of, opened

SegmenterFactory = Callable[[], Segmenter]
Report = Callable[..., None]
"""Called with a stage's name, steps done, steps in all, perhaps a message; may raise Cancelled."""


@dataclass
class Workshop:
    """What a process has open for a stage: the segmenter, a raster and its reading thread."""

    raster: Raster
    segmenter: Segmenter
    thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))
    ahead: dict[TileIndex, Future[RasterWindow | None]] = field(default_factory=dict)

    def close(self) -> None:
        self.thread.shutdown(wait=True, cancel_futures=True)
        self.raster.close()


def workshop(stage: TileStage) -> Workshop:
    """What this process has open for a stage; opened at the first call."""
    segmenter = model_of(stage.run, stage.factory)
    return opened(
        stage.run,
        stage.store.folder,
        lambda: Workshop(Raster.from_spec(stage.spec), segmenter),
    )


@dataclass(frozen=True)
class TileOutcome:
    """What became of a tile: ``masks`` is None where it has no data; ``error`` where it failed."""

    index: TileIndex
    masks: int | None
    error: str = ""


@dataclass(frozen=True)
class TileStage:
    """Raster -> model -> masks, for one tile: read, segment, keep.

    Args:
        spec: The raster with the job's stretch (``Raster.spec``).
        factory: Makes the segmenter; called once a process.
        grid: The job's tiles.
        store: Where masks are kept.
        run: Names this run of the job among all others.
    """

    spec: Mapping[str, Any]
    factory: SegmenterFactory
    grid: Grid
    store: JobStore
    run: str = field(default_factory=new_run)

    def _read(self, raster: Raster, index: TileIndex) -> RasterWindow | None:
        tile = self.grid[index]
        if not raster.has_data(tile.core):
            return None
        window = raster.read(tile.window)
        return window if window.valid.any() else None

    def __call__(self, item: tuple[TileIndex, TileIndex | None]) -> TileOutcome:
        """Segment one tile; while the model runs, the next one is read.

        Args:
            item: The tile, and the one that this process will be asked for next, if known.
        """
        with ONE_AT_A_TIME:
            return self._tried(*item)

    def _tried(self, index: TileIndex, following: TileIndex | None) -> TileOutcome:
        for attempt in (1, 2):
            try:
                return self._segment(index, following)
            except Cancelled:
                raise  # of the whole job: the tile is not tried again, nor has it failed
            except SamGeoError as error:
                kind, message, detail = error.kind, str(error), ""
            except Exception as error:  # a segmenter of the user's own may raise anything
                kind = type(error).__name__
                message = without_secrets(str(error)) or kind
                detail = traceback.format_exc()
            if attempt == 2:
                break
        self.store.fail(index, kind, message, detail)
        return TileOutcome(index, None, f"{kind}: {message}")

    def _segment(self, index: TileIndex, following: TileIndex | None) -> TileOutcome:
        shop = workshop(self)
        reading = shop.ahead.pop(index, None) or shop.thread.submit(self._read, shop.raster, index)
        if following is not None and following not in shop.ahead:
            shop.ahead[following] = shop.thread.submit(self._read, shop.raster, following)
        window = reading.result()
        if window is None:
            return TileOutcome(index, None)
        tile = self.grid[index]
        image = TileImage(tile, window.pixels, window.valid, self.grid.window_size, self.grid.cell)
        masks = shop.segmenter.segment(image)
        self.store.save(masks)
        return TileOutcome(index, len(masks.masks))


def segment_tiles(
    stage: TileStage,
    wants: Callable[[Tile], bool],
    executor: Executor,
    report: Report,
    name: str = "tiles",
) -> tuple[int, list[str]]:
    """Segment what is not done yet, and seal the store: what is done may not vanish any more.

    Args:
        stage: What to do with a tile.
        wants: Whether a tile must be segmented.
        executor: Runs the stage.
        report: Told of progress.
        name: Of this stage, for progress.

    Returns:
        The number of tiles with data, and the names of those that failed, with the reason.

    Raises:
        ModelError: All of them failed.
    """
    store = stage.store
    wanted = [tile.index for tile in stage.grid if wants(tile)]
    pending = [index for index in wanted if not store.has(index)]
    done = tiles = len(wanted) - len(pending)
    failed: list[str] = []
    missing = set(pending)
    report(name, done, len(wanted))
    # A lone worker is asked for tiles in their order, so it may read one ahead.
    ahead = pending[1:] if executor.workers == 1 else []
    for outcome in executor.map(stage, zip_longest(pending, ahead)):
        done += 1
        if outcome.error:
            failed.append(f"{outcome.index.name}: {outcome.error}")
        elif outcome.masks is not None:
            tiles += 1
            missing.discard(outcome.index)
        report(name, done, len(wanted), outcome.error)
    if failed and not tiles:
        raise ModelError(
            f"None of the {len(failed)} tiles could be segmented; the first failed with: "
            f"{failed[0]}"
        )
    store.seal(index for index in wanted if index not in missing)
    return tiles, failed
