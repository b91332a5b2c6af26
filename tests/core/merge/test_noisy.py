# SPDX-License-Identifier: GPL-2.0-or-later
"""With a segmenter that errs, the merge adds no errors of its own to speak of."""

from __future__ import annotations

from functools import lru_cache

import pytest
from samgeo_core.merge import MemorySource
from samgeo_core.testing.metrics import evaluate, seam_excess
from samgeo_core.testing.oracle import Noise, Oracle
from samgeo_core.testing.scenes import make_scene
from samgeo_core.tiles.grid import Grid
from samgeo_core.types import TileIndex

from benchmarks import naive
from benchmarks.seams import merged_things, serve

SIZE = 1400


@lru_cache(maxsize=1)
def scene():
    return make_scene(SIZE, seed=2)


@pytest.fixture(scope="module")
def noisy():
    """Perfect boundaries apart: what the issue asks of the merge, on a scene a ninth as large."""
    grid = Grid(SIZE, SIZE, 384, 64)
    return grid, serve(scene().things, grid, Noise(seed=4))


def test_the_noise_is_the_noise_that_is_asked_for():
    grid = Grid(SIZE, SIZE, SIZE, 64)
    things = [thing for thing in scene().things if thing.kind == "house"]
    count = len(Oracle(things, grid).load(TileIndex(0, 0)).masks)
    missed = len(
        Oracle(things, grid, Noise(misses=0.5, splits=0, seed=1)).load(TileIndex(0, 0)).masks
    )
    split = len(Oracle(things, grid, Noise(misses=0, splits=1, seed=1)).load(TileIndex(0, 0)).masks)
    assert count == len(things)
    assert missed == pytest.approx(0.5 * count, abs=0.2 * count)
    assert split > 1.8 * count


def test_few_objects_are_lost_or_joined_and_no_seam_shows(noisy):
    grid, source = noisy
    found = merged_things(source, grid)
    score = evaluate(found, scene().things)
    untiled_grid = Grid(SIZE, SIZE, SIZE, 64)
    untiled = merged_things(serve(scene().things, untiled_grid, Noise(seed=4)), untiled_grid)
    ceiling = evaluate(untiled, scene().things).pq
    assert score.merges <= 1
    assert score.pq >= 0.97 * ceiling
    assert score.pq >= 0.82
    # So small a scene has few lines, on which its own borders may lie by chance: what counts is how
    # much more they have than in the untiled result.
    own = seam_excess(untiled, scene().shape, grid)
    assert seam_excess(found, scene().shape, grid) <= 1.10 * own
    for rule in (naive.tile_nms, naive.first_come, naive.trim_and_link):
        other = rule(source, grid)
        assert evaluate(other, scene().things).pq < score.pq
    for rule in (naive.tile_nms, naive.first_come, naive.trim_and_link):
        assert seam_excess(rule(source, grid), scene().shape, grid) > 1.25 * own


def test_boundary_noise_alone_splits_and_joins_nearly_nothing():
    grid = Grid(SIZE, SIZE, 512, 128)
    source = serve(scene().things, grid, Noise(misses=0, splits=0, seed=3))
    found = merged_things(source, grid)
    truth = scene().things
    assert abs(len(found) - len(truth)) <= 1
    score = evaluate(found, truth)
    assert score.merges == 0
    assert score.matched >= len(truth) - 2


def test_flat_mode_mends_more_splits_where_nothing_nests():
    plain = make_scene(900, seed=6, nested=False)
    grid = Grid(900, 900, 256, 96)
    source = serve(plain.things, grid, Noise(misses=0, splits=0.25, seed=2))
    flat = merged_things(source, grid, "flat")
    hierarchy = merged_things(source, grid, "hierarchy")
    assert evaluate(flat, plain.things).pq >= evaluate(hierarchy, plain.things).pq
    assert len(flat) < len(hierarchy)
    assert isinstance(source, MemorySource)
