# SPDX-License-Identifier: GPL-2.0-or-later
"""What stages keep open in a process that outlives a job, as a cluster's workers do."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import pytest
from samgeo_core.jobs.stages.opened import close_all
from samgeo_core.jobs.stages.tile_stage import TileStage
from samgeo_core.masks.store import JobStore
from samgeo_core.raster.raster import open_raster
from samgeo_core.tiles.grid import Grid

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
    items = [(tile.index, None) for tile in first.grid][:4]
    for job, item in zip([first, first, second, second], items, strict=True):
        job(item)
    assert made == ["first", "second"]


def test_threads_of_a_worker_take_turns(stage):
    job = stage(Watched)
    items = [(tile.index, None) for tile in job.grid][:6]
    with ThreadPoolExecutor(3) as pool:
        outcomes = list(pool.map(job, items))
    assert [outcome.error for outcome in outcomes] == [""] * 6
