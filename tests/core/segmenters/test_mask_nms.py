# SPDX-License-Identifier: GPL-2.0-or-later
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samgeo_core.masks.packed import popcount
from samgeo_core.segmenters.mask_nms import Candidate, remove_duplicates
from samgeo_core.types import CellBox

SHAPE = (20, 90)  # more than one 64-bit word wide


def candidate(mask: np.ndarray, score: float, **more) -> Candidate:
    rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = CellBox(int(rows[0]), int(cols[0]), int(rows[-1]) + 1, int(cols[-1]) + 1)
    wide = box.grown(2).intersection(CellBox(0, 0, *SHAPE))
    logits = np.where(mask, 9, -9).astype(np.int8)[wide.slices(CellBox(0, 0, *SHAPE))]
    return Candidate(box, wide, logits, score, 1.0, int(mask.sum()), **more)


def rectangle(row, col, height, width) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[row : row + height, col : col + width] = True
    return mask


def whole(found: Candidate) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[found.box.row0 : found.box.row1, found.box.col0 : found.box.col1] = found.logits > 0
    return mask


rectangles = st.builds(
    rectangle, st.integers(0, 14), st.integers(0, 80), st.integers(1, 6), st.integers(1, 10)
)
scored = st.lists(st.tuples(rectangles, st.sampled_from([0.5, 0.7, 0.9])), max_size=12)


@settings(deadline=None)
@given(scored, st.sampled_from([0.2, 0.5, 0.7]), st.randoms())
def test_suppression_is_greedy_by_mask_iou_in_any_order(masks, limit, random):
    found = [candidate(mask, score) for mask, score in masks]
    kept = remove_duplicates(found, limit)
    expected: list[np.ndarray] = []
    for one in sorted(found, key=lambda c: c.order):
        mask = whole(one)
        if all((mask & k).sum() <= limit * (mask | k).sum() for k in expected):
            expected.append(mask)
    assert len(kept) == len(expected)
    for one, mask in zip(kept, expected, strict=True):
        np.testing.assert_array_equal(whole(one), mask)
    random.shuffle(found)
    again = remove_duplicates(found, limit)
    assert [one.order for one in again] == [one.order for one in kept]


def test_small_masks_are_duplicates_from_a_smaller_iou():
    large = [candidate(rectangle(0, 0, 10, 10), 0.9), candidate(rectangle(0, 0, 10, 6), 0.8)]
    small = [candidate(rectangle(12, 40, 5, 5), 0.9), candidate(rectangle(12, 40, 5, 3), 0.8)]
    found = [*large, *small]  # IoU of 0.6 in both pairs
    assert len(remove_duplicates(found, 0.7)) == 4
    kept = remove_duplicates(found, 0.7, small=(30, 0.5))
    assert [c.area for c in kept] == [100, 25, 60]


def test_the_popcount_for_old_numpy_agrees(monkeypatch):
    words = np.random.default_rng(0).integers(0, 2**63, (3, 4, 5), np.uint64)
    want = sum((words >> np.uint64(bit)) & np.uint64(1) for bit in range(64)).sum(axis=(1, 2))
    np.testing.assert_array_equal(popcount(words).sum(axis=(1, 2)), want)
    monkeypatch.delattr(np, "bitwise_count", raising=False)
    np.testing.assert_array_equal(popcount(words).sum(axis=(1, 2)), want)


def test_a_finer_layer_and_an_unmended_mask_come_first():
    mask = rectangle(2, 2, 5, 5)
    coarse, fine = candidate(mask, 0.9), candidate(mask, 0.6, layer=1)
    mended = candidate(mask, 0.95, layer=1, mended=True)
    assert remove_duplicates([mended, coarse, fine], 0.7) == [fine]


def test_equal_scores_are_settled_by_place():
    left, right = candidate(rectangle(2, 2, 5, 5), 0.9), candidate(rectangle(2, 3, 5, 5), 0.9)
    assert remove_duplicates([right, left], 0.5) == [left]


@pytest.mark.parametrize("criterion", ["mask", "box"])
def test_boxes_and_masks_are_different_criteria(criterion):
    ring = rectangle(0, 0, 12, 40)
    ring[1:-1, 1:-1] = False
    found = [candidate(ring, 0.9), candidate(rectangle(1, 1, 10, 38), 0.8)]
    assert len(remove_duplicates(found, 0.7, criterion)) == (2 if criterion == "mask" else 1)


def test_many_candidates_are_kept_when_nothing_overlaps():
    found = [
        candidate(rectangle(row, col, 1, 1), 0.9) for row in range(0, 20, 2) for col in range(90)
    ]
    assert len(remove_duplicates(found, 0.1)) == len(found)


def test_a_duplicate_of_any_kept_mask_is_found():
    even, odd, fewer = (np.zeros(SHAPE, bool) for _ in range(3))
    even[2:12, 4:44:2] = True  # two combs in one box, and the second without a cell
    odd[2:12, 5:44:2] = True
    fewer[2:12, 5:44:2] = True
    fewer[2, 5] = False
    found = [candidate(even, 0.9), candidate(odd, 0.8), candidate(fewer, 0.7)]
    assert remove_duplicates(found, 0.7) == found[:2]
