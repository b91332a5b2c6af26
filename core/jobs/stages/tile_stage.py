# SPDX-License-Identifier: GPL-2.0-or-later
"""The stage that segments a tile.

A stage carries paths and numbers, never arrays; what is costly to open (raster, model) is opened
once per process and kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import starmap, zip_longest
from typing import Any

from ...errors import SamGeoError
from ...masks.store import JobStore
from ...notes import for_threads
from ...parallel.executors import ONE_AT_A_TIME, Executor, new_run
from ...raster.raster import Raster, RasterWindow
from ...segmenters.segmenter import Segmenter, TileImage
from ...sources.references import is_remote
from ...tiles.grid import Grid, Tile
from ...types import TileIndex
from .attempts import Failure, attempted
from .opened import model_of, opened

SegmenterFactory = Callable[[], Segmenter]
Report = Callable[..., None]
"""Called with a stage's name, steps done, steps in all, perhaps a message; may raise Cancelled."""


@dataclass
class Workshop:
    """What a process has open for a stage: the segmenter, a raster and its reading thread.

    Args:
        spec: Of the raster, which is opened when it is read first.
        segmenter: Made once.
    """

    spec: Mapping[str, Any]
    segmenter: Segmenter
    thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))
    ahead: dict[TileIndex, Future[RasterWindow | None]] = field(default_factory=dict)

    @cached_property
    def raster(self) -> Raster:
        return Raster.from_spec(self.spec)

    def close(self) -> None:
        self.thread.shutdown(wait=True, cancel_futures=True)
        if "raster" in self.__dict__:
            self.raster.close()


def workshop(stage: TileStage) -> Workshop:
    """What this process has open for a stage; opened at the first call."""
    segmenter = model_of(stage.run, stage.factory)
    return opened(
        stage.run,
        stage.store.folder,
        lambda: Workshop(stage.spec, segmenter),
    )


@dataclass(frozen=True, eq=False)
class TileItem:
    """A tile to be segmented.

    Args:
        index: The tile.
        following: The one that this process will be asked for next, if known.
        was_read: Another process has read it.
        window: What it has read; None where there are no data.
    """

    index: TileIndex
    following: TileIndex | None = None
    was_read: bool = False
    window: RasterWindow | None = None


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
        factory: Makes the segmenter; called once per process.
        grid: The job's tiles.
        store: Where masks are kept.
        run: Names this run of the job among all others.
    """

    spec: Mapping[str, Any]
    factory: SegmenterFactory
    grid: Grid
    store: JobStore
    run: str = field(default_factory=new_run)

    def read(self, raster: Raster, index: TileIndex) -> RasterWindow | None:
        """A tile's window; None where its core has no data."""
        tile = self.grid[index]
        if not raster.has_data(tile.core):
            return None
        window = raster.read(tile.window)
        return window if window.valid.any() else None

    def __call__(self, item: TileItem) -> TileOutcome:
        """Segment one tile; while the model runs, the next one is read."""
        with ONE_AT_A_TIME:
            return self._tried(item)

    def _tried(self, item: TileItem) -> TileOutcome:
        found = attempted(partial(self._segment, item))
        if isinstance(found, Failure):
            self.store.fail(item.index, found.kind, found.message, found.detail)
            return TileOutcome(item.index, None, str(found))
        return found

    def _window(self, item: TileItem, shop: Workshop) -> RasterWindow | None:
        if item.was_read:
            return item.window
        index, following = item.index, item.following
        reading = shop.ahead.pop(index, None) or shop.thread.submit(
            for_threads(self.read), shop.raster, index
        )
        if following is not None and following not in shop.ahead:
            shop.ahead[following] = shop.thread.submit(
                for_threads(self.read), shop.raster, following
            )
        return reading.result()

    def _segment(self, item: TileItem) -> TileOutcome:
        shop = workshop(self)
        index, window = item.index, self._window(item, shop)
        if window is None:
            return TileOutcome(index, None)
        tile = self.grid[index]
        image = TileImage(tile, window.pixels, window.valid, self.grid.read_size, self.grid.cell)
        masks = shop.segmenter.segment(image)
        self.store.save(masks)
        return TileOutcome(index, len(masks.masks))


@dataclass(frozen=True)
class TilesTogether:
    """Some tiles one after the other in one worker. Picklable.

    Windows overlap: what two workers read of a raster on a server is fetched twice.
    """

    stage: TileStage

    def __call__(self, indices: Sequence[TileIndex]) -> list[TileOutcome]:
        """Segment them; those that a worker who died has finished are passed over."""
        pending = [index for index in indices if not self.stage.store.has(index)]
        found = {item.index: self.stage(item) for item in _one_ahead(pending)}
        return [found.get(index) or self._finished(index) for index in indices]

    def _finished(self, index: TileIndex) -> TileOutcome:
        return TileOutcome(index, len(self.stage.store.load(index).masks))


MOST_TOGETHER = 48
"""Tiles of a raster on a server that go to a worker together."""


def neighbours_together(indices: Sequence[TileIndex], parts: int) -> list[list[TileIndex]]:
    """Tiles in as many parts of about one size, each in one place and in the order of the tiles."""
    if parts <= 1 or len(indices) <= 1:
        return [sorted(indices)] if indices else []
    rows, cols = zip(*indices, strict=True)
    wide = max(cols) - min(cols) > max(rows) - min(rows)
    ordered = sorted(indices, key=lambda index: (index.col, index.row) if wide else index)
    half = parts // 2
    cut = len(ordered) * half // parts
    return [
        *neighbours_together(ordered[:cut], half),
        *neighbours_together(ordered[cut:], parts - half),
    ]


def _one_ahead(indices: Sequence[TileIndex]) -> Iterator[TileItem]:
    return starmap(TileItem, zip_longest(indices, indices[1:]))


def _read_here(stage: TileStage, indices: Sequence[TileIndex], workers: int) -> Iterator[TileItem]:
    """Tiles with what was read of them in this process, some ahead."""
    waiting: deque[tuple[TileIndex, Future[RasterWindow | None]]] = deque()
    with closing(Raster.from_spec(stage.spec)) as raster, ThreadPoolExecutor(1) as thread:
        try:
            for index in [*indices, *[None] * workers]:
                if index is not None:
                    waiting.append((index, thread.submit(for_threads(stage.read), raster, index)))
                if waiting and (index is None or len(waiting) > workers):
                    here, reading = waiting.popleft()
                    try:
                        yield TileItem(here, was_read=True, window=reading.result())
                    except SamGeoError:
                        yield TileItem(here)  # the worker tries again, and says what it is
        finally:
            for _, reading in waiting:
                reading.cancel()


def _outcomes(
    stage: TileStage, pending: Sequence[TileIndex], executor: Executor
) -> Iterator[TileOutcome]:
    """What becomes of tiles.

    Windows overlap, and each process has a cache of its own: of a raster on a server, the processes
    of this machine are given what this one has read, and workers elsewhere many neighbours.
    """
    remote = any(map(is_remote, stage.spec["sources"]))
    if executor.workers == 1:  # it is asked for tiles in their order
        yield from executor.map(stage, _one_ahead(pending))
    elif remote and executor.here:
        yield from executor.map(stage, _read_here(stage, pending, executor.workers))
    elif remote:
        parts = executor.workers * -(-len(pending) // (executor.workers * MOST_TOGETHER))
        for found in executor.map(TilesTogether(stage), neighbours_together(pending, parts)):
            yield from found
    else:
        yield from executor.map(stage, map(TileItem, pending))


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
    """
    store = stage.store
    wanted = [tile.index for tile in stage.grid if wants(tile)]
    pending = [index for index in wanted if not store.has(index)]
    done = tiles = len(wanted) - len(pending)
    failed: list[str] = []
    missing = set(pending)
    report(name, done, len(wanted))
    for outcome in _outcomes(stage, pending, executor):
        done += 1
        if outcome.error:
            failed.append(f"{outcome.index.name}: {outcome.error}")
        elif outcome.masks is not None:
            tiles += 1
            missing.discard(outcome.index)
        report(name, done, len(wanted), outcome.error)
    store.seal(index for index in wanted if index not in missing)
    return tiles, sorted(failed)
