# SPDX-License-Identifier: GPL-2.0-or-later
"""What stages keep open in a process that outlives a job, as a cluster's workers do."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import pytest
from samgeo_core.jobs.stages.opened import close_all
from samgeo_core.jobs.stages.tile_stage import (
    TileItem,
    TileStage,
    TilesTogether,
    neighbours_together,
)
from samgeo_core.masks.store import JobStore
from samgeo_core.raster.raster import open_raster
from samgeo_core.tiles.grid import Grid
from samgeo_core.types import TileIndex

from ..scenes import MARGIN, SIZE, TILE, SceneOracle, write_raster


@dataclass(frozen=True)
class Watched(SceneOracle):
    """Notes how many threads are in it at once."""

    inside = threading.Semaphore(1)

    def segment(self, image):
        assert self.inside.acquire(blocking=False), "two threads at once"
        time.sleep(0.05)
        try:
            return super().segment(image)
        finally:
            self.inside.release()


@pytest.fixture
def stage(tmp_path):
    with open_raster(write_raster(tmp_path / "a.tif")) as raster:
        spec = raster.spec
    grid = Grid(SIZE, SIZE, core=TILE - 2 * MARGIN, margin=MARGIN)
    store = JobStore(tmp_path / "job", 1)
    store.begin({})
    yield partial(TileStage, spec, grid=grid, store=store)
    close_all()
    store.release()


def test_the_next_run_in_a_folder_gets_its_own_segmenter(stage):
    made = []

    def factory(name):
        made.append(name)
        return SceneOracle(name=name)

    first, second = (stage(partial(factory, name)) for name in ("first", "second"))
    items = [TileItem(tile.index) for tile in first.grid][:4]
    for job, item in zip([first, first, second, second], items, strict=True):
        job(item)
    assert made == ["first", "second"]


def test_threads_of_a_worker_take_turns(stage):
    job = stage(Watched)
    items = [TileItem(tile.index) for tile in job.grid][:6]
    with ThreadPoolExecutor(3) as pool:
        outcomes = list(pool.map(job, items))
    assert [outcome.error for outcome in outcomes] == [""] * 6


def test_tiles_that_were_finished_are_passed_over(stage):
    made = []

    def factory():
        made.append(1)
        return SceneOracle()

    job = stage(factory)
    indices = [tile.index for tile in job.grid][:4]
    before = [job(TileItem(index)) for index in indices[:2]]
    files = [job.store.tile_path(index).stat().st_mtime_ns for index in indices[:2]]
    outcomes = TilesTogether(job)(indices)
    assert [outcome.index for outcome in outcomes] == indices
    assert outcomes[:2] == before
    assert [job.store.tile_path(index).stat().st_mtime_ns for index in indices[:2]] == files
    assert all(job.store.has(index) for index in indices)


def test_neighbouring_tiles_go_together():
    indices = [TileIndex(row, col) for row in range(6) for col in range(11) if row + col < 14]
    parts = neighbours_together(indices, 4)
    assert sorted(index for part in parts for index in part) == indices
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    for part in parts:
        assert max(i.col for i in part) - min(i.col for i in part) <= 6
        assert max(i.row for i in part) - min(i.row for i in part) <= 4
    assert neighbours_together([], 3) == []
