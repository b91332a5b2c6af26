# SPDX-License-Identifier: GPL-2.0-or-later
"""Pairs of shapes and the cells they share: quick ways find what comparing all with all does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samgeo_core.merge import intersections as common
from samgeo_core.merge.intersections import CellShapes, Enough, in_common


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


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    counts=st.tuples(st.integers(0, 90), st.integers(0, 90)),
    side=st.sampled_from([6, 40, 150]),
    least=st.sampled_from([0, 3]),
    share=st.sampled_from([0.05, 0.5, 0.98]),
    at_once=st.sampled_from([50, 3000, common.AT_ONCE]),
)
def test_all_pairs_that_overlap_enough_are_found_and_counted(
    seed, counts, side, least, share, at_once
):
    a, b = (some_shapes(seed + k, count, side) for k, count in enumerate(counts))
    truth = (drawn(a, side) @ drawn(b, side).T).astype(np.int64)
    larger = np.maximum(a.area[:, None], b.area[None, :])
    smaller = np.minimum(a.area[:, None], b.area[None, :])
    for options, enough in (
        ({}, truth > 0),
        ({"of_larger": share}, truth >= share * larger),
        ({"of_smaller": share}, truth >= share * smaller),
    ):
        enough = enough & (smaller >= least) & (truth > 0)
        for wanted, asked in (
            (None, enough),
            (np.less, np.triu(enough, 1)),
        ):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(common, "AT_ONCE", at_once)
                found = in_common(a, b, Enough(**options, least=least), wanted)
            first, second = np.nonzero(asked)
            assert found[0].tolist() == first.tolist()
            assert found[1].tolist() == second.tolist()
            assert found[2].tolist() == truth[first, second].tolist()


def test_shapes_are_counted_in_each_of_the_ways():
    """Both small: a product. One small: cell by cell. Both large: 64 cells at a time."""
    a, b = some_shapes(1, 80, 150), some_shapes(2, 80, 150)
    first, second, _ = in_common(a, b)
    small = np.minimum(a.area[first], b.area[second]) <= common.SMALL
    both = np.maximum(a.area[first], b.area[second]) <= common.SMALL
    assert len(a) * len(b) > common.FEW
    for way in (both, small & ~both, ~small):
        assert way.any()
