# SPDX-License-Identifier: GPL-2.0-or-later
"""The stages that run in workers: small picklable objects that are called with small items.

A stage carries paths and numbers, never arrays; what is costly to open (raster, model) is opened
once a process and kept in :data:`_OPEN`.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from .errors import SamGeoError
from .grid import Grid
from .raster import Raster, RasterWindow
from .segmenter import Segmenter, TileImage
from .store import JobStore
from .types import TileIndex

SegmenterFactory = Callable[[], Segmenter]


@dataclass
class _Workshop:
    """What one process has open for a job: the segmenter, and a raster with its reading thread."""

    raster: Raster
    segmenter: Segmenter
    thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))
    ahead: dict[TileIndex, Future[RasterWindow | None]] = field(default_factory=dict)

    def close(self) -> None:
        self.thread.shutdown(wait=True, cancel_futures=True)
        self.raster.close()


_OPEN: dict[str, _Workshop] = {}


def close_all() -> None:
    """Close what the stages of this process have open."""
    while _OPEN:
        _OPEN.popitem()[1].close()


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
    """

    spec: Mapping[str, Any]
    factory: SegmenterFactory
    grid: Grid
    store: JobStore

    def _workshop(self) -> _Workshop:
        key = str(self.store.folder)
        if key not in _OPEN:
            close_all()
            _OPEN[key] = _Workshop(Raster.from_spec(self.spec), self.factory())
        return _OPEN[key]

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
        index, following = item
        for attempt in (1, 2):
            try:
                return self._segment(index, following)
            except SamGeoError as error:
                kind, message, detail = error.kind, str(error), ""
            except Exception as error:  # a segmenter of the user's own may raise anything
                kind, message = type(error).__name__, str(error) or type(error).__name__
                detail = traceback.format_exc()
            if attempt == 2:
                break
        self.store.fail(index, kind, message, detail)
        return TileOutcome(index, None, f"{kind}: {message}")

    def _segment(self, index: TileIndex, following: TileIndex | None) -> TileOutcome:
        shop = self._workshop()
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
