# SPDX-License-Identifier: GPL-2.0-or-later
"""Masks survive storage, and a crop loses nothing that matters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from samgeo_core.errors import JobError
from samgeo_core.masks.mask_files import load_masks, save_masks
from samgeo_core.masks.masks import (
    ABSENT,
    LOGIT_STEPS,
    Mask,
    PromptRef,
    TileMasks,
    crop_mask,
    quantize,
)
from samgeo_core.types import CellBox, TileIndex

LOGITS = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    elements=st.floats(-30, 30, width=32),
)
STORED = hnp.arrays(
    np.int8, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(-127, 127)
)


@given(LOGITS)
def test_quantizing_errs_by_half_a_step_where_it_does_not_clip(logits: np.ndarray) -> None:
    stored = quantize(logits)
    assert stored.dtype == np.int8
    assert stored.min() >= ABSENT
    error = np.abs(stored / LOGIT_STEPS - np.clip(logits, -127 / 16, 127 / 16))
    assert error.max() <= 0.5 / LOGIT_STEPS + 1e-6


@given(LOGITS)
def test_quantizing_never_turns_outside_into_inside(logits: np.ndarray) -> None:
    stored = quantize(logits)
    assert not (stored > 0)[logits <= 0].any()
    assert (stored > 0)[logits > 0.5 / LOGIT_STEPS].all()


def tips(logits: np.ndarray) -> np.ndarray:
    """Edge cells from which a straight line through the one behind leads inside beyond the edge,
    beside one another up to one that is inside."""
    found = np.zeros(logits.shape, bool)
    for turn in range(4):
        turned, marked = np.rot90(logits, turn), np.rot90(found, turn)
        edge, behind = turned[0], turned[min(1, len(turned) - 1)]
        leading = (edge > 0) | (2 * edge - behind > 0)
        for start in np.flatnonzero(edge > 0).tolist():
            for step in (-1, 1):
                at = start
                while 0 <= at < len(edge) and leading[at]:
                    marked[0, at] = True
                    at += step
    return found


@given(
    STORED,
    st.integers(-127, 126),
    st.integers(0, 3),
    st.tuples(st.integers(-9, 9), st.integers(0, 99)),
)
def test_a_crop_holds_all_that_exceeds_the_threshold(
    logits: np.ndarray, threshold: int, margin: int, origin: tuple[int, int]
) -> None:
    result = crop_mask(logits, origin, threshold=threshold, margin=margin)
    if not (logits > threshold).any():
        assert result is None
        return
    assert result is not None
    box, crop = result
    window = CellBox(0, 0, *logits.shape).shifted(*origin)
    assert window.contains(box)
    whole = np.full(logits.shape, ABSENT)
    whole[box.slices(window)] = crop
    assert np.array_equal(whole > threshold, logits > threshold)
    assert np.array_equal(crop, logits[box.slices(window)])
    # No wider than needed: without the margin each side holds something.
    needed = logits > threshold
    if margin:
        needed |= tips(logits.astype(float) - threshold)
    rows, cols = np.nonzero(needed)
    tight = CellBox(rows.min(), cols.min(), rows.max() + 1, cols.max() + 1).shifted(*origin)
    assert box == tight.grown(margin).intersection(window)


@given(
    st.lists(
        st.tuples(
            STORED,
            st.integers(-5, 500),
            st.floats(0, 1),
            st.floats(0, 1),
            st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=8),
        ),
        max_size=5,
    )
)
def test_saved_masks_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, items: list
) -> None:
    masks = [
        Mask(
            CellBox(at, at, at + logits.shape[0], at + logits.shape[1]),
            logits,
            score,
            stability,
            PromptRef(text, "text", text),
        )
        for logits, at, score, stability, text in items
    ]
    path = tmp_path_factory.mktemp("masks") / "tile.npz"
    save_masks(path, TileMasks(TileIndex(3, 7), 4, masks))
    loaded = load_masks(path)
    assert (loaded.index, loaded.cell, len(loaded.masks)) == (TileIndex(3, 7), 4, len(masks))
    for before, after in zip(masks, loaded.masks, strict=True):
        assert np.array_equal(before.logits, after.logits)
        assert (before.box, before.score, before.stability, before.prompt) == (
            after.box,
            after.score,
            after.stability,
            after.prompt,
        )


@pytest.mark.parametrize("damage", ["cut", "empty", "other", "missing"])
def test_a_damaged_tile_is_named(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "r00000_c00000.npz"
    mask = Mask(CellBox(0, 0, 40, 40), np.ones((40, 40), np.int8), 1.0, 1.0)
    save_masks(path, TileMasks(TileIndex(0, 0), 4, [mask]))
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-200])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "other":
        np.savez(path, something=np.zeros(3))
    else:
        path.unlink()
    with pytest.raises(JobError, match="r00000_c00000"):
        load_masks(path)


def test_logits_that_do_not_fill_their_box_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fill"):
        Mask(CellBox(0, 0, 2, 2), np.zeros((2, 3), np.int8), 1.0, 1.0)
    with pytest.raises(ValueError, match="do not fill"):
        Mask(CellBox(0, 0, 2, 2), np.zeros((2, 2), np.float32), 1.0, 1.0)  # type: ignore[arg-type]
