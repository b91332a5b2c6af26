# SPDX-License-Identifier: GPL-2.0-or-later
"""Pairs of shapes and the cells they share: quick ways find what comparing all with all does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samgeo_core.grid import Grid
from samgeo_core.masks import Mask, PromptRef, TileMasks
from samgeo_core.merge import common
from samgeo_core.merge.common import CellShapes, common_cells, near_pairs
from samgeo_core.merge.edges import fragments
from samgeo_core.merge.nodes import tile_nodes
from samgeo_core.types import CellBox, TileIndex
from scipy import ndimage


def some_shapes(seed: int, count: int, side: int) -> CellShapes:
    """Shapes of one cell to most of a square of ``side``, with the square's cells beside them."""
    rng = np.random.default_rng(seed)
    boxes, areas, bits = [], [], []
    for _ in range(count):
        height, width = np.minimum(side, rng.geometric(rng.choice([0.6, 0.2, 0.03]), 2))
        row, col = rng.integers(-5, side - height - 4), rng.integers(-5, side - width - 4)
        mask = rng.random((height, width)) < rng.choice([0.3, 0.8, 1.0])
        mask[rng.integers(height), rng.integers(width)] = True
        boxes.append((row, col, row + height, col + width))
        areas.append(np.count_nonzero(mask))
        bits.append(mask.ravel())
    flat = np.concatenate([*bits, np.empty(0, bool)])
    return CellShapes(np.array(boxes, np.int32).reshape(-1, 4), np.array(areas, np.int64), flat)


def drawn(shapes: CellShapes, side: int) -> np.ndarray:
    frame = np.zeros((len(shapes), side + 10, side + 10), np.float32)
    for number, (row0, col0, row1, col1) in enumerate((shapes.box + 5).tolist()):
        frame[number, row0:row1, col0:col1] = shapes[number]
    return frame.reshape(len(shapes), (side + 10) ** 2)


@settings(max_examples=30)
@given(
    seed=st.integers(0, 2**32 - 1),
    counts=st.tuples(st.integers(0, 90), st.integers(0, 90)),
    side=st.sampled_from([6, 40, 150]),
    least=st.sampled_from([0, 3]),
    share=st.sampled_from([0.05, 0.5, 0.98]),
)
def test_all_pairs_that_overlap_enough_are_found_and_counted(seed, counts, side, least, share):
    a, b = (some_shapes(seed + k, count, side) for k, count in enumerate(counts))
    truth = drawn(a, side) @ drawn(b, side).T
    larger = np.maximum(a.area[:, None], b.area[None, :])
    smaller = np.minimum(a.area[:, None], b.area[None, :])
    for options, wanted in (
        ({}, truth > 0),
        ({"of_larger": share}, truth >= share * larger),
        ({"of_smaller": share}, truth >= share * smaller),
    ):
        first, second = near_pairs(a, b, **options, least=least)
        pairs = list(zip(first.tolist(), second.tolist(), strict=True))
        assert pairs == sorted(set(pairs))
        wanted = wanted & (smaller >= least) & (truth > 0)
        assert set(zip(*map(np.ndarray.tolist, np.nonzero(wanted)), strict=True)) <= set(pairs)
        assert common_cells(a, first, b, second).tolist() == truth[first, second].tolist()


@pytest.mark.parametrize("at_once", [50, 3000])
def test_a_little_at_a_time_gives_the_same(monkeypatch, at_once):
    a, b = some_shapes(1, 80, 150), some_shapes(2, 80, 150)
    first, second = near_pairs(a, b)
    whole = common_cells(a, first, b, second)
    monkeypatch.setattr(common, "AT_ONCE", at_once)
    assert common_cells(a, first, b, second).tolist() == whole.tolist()
    assert (np.minimum(a.area[first], b.area[second]) > common.SMALL).any()


def test_speckle_is_split_into_its_connected_parts():
    rng = np.random.default_rng(3)
    logits = np.where(rng.random((120, 132)) < 0.4, 30, -30).astype(np.int8)
    grid = Grid(120, 200, 100, 32)
    mask = Mask(CellBox(0, 0, 120, 132), logits, 0.9, 0.9, PromptRef())
    tile = tile_nodes(TileMasks(TileIndex(0, 0), 1, [mask]), grid)
    zone = CellBox(0, 76, 120, 124)
    found = fragments(tile, zone, 0.98)
    labels, count = ndimage.label(logits[:, 76:124] > 0, np.ones((3, 3)))
    assert len(found) == count > 100
    whole = np.zeros(zone.shape, int)
    for number in range(count):
        place = CellBox(*found.shape.box[number].tolist()).slices(zone)
        whole[place][found.shape[number]] = number + 1
    assert np.array_equal(whole, labels)
    assert found.area.tolist() == np.bincount(labels.ravel())[1:].tolist()
