# SPDX-License-Identifier: GPL-2.0-or-later
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from samgeo_core.tiles.mask_grid import (
    PADDING_COLOUR,
    choose_cell,
    pad_image,
    resample,
    valid_cells,
)
from samgeo_core.tiles.windows import TRUST_MARGIN


@pytest.mark.parametrize(
    ("native", "window", "cell"),
    [
        (4.0, 1024, 4),
        (2.0, 512, 2),
        (2.5, 640, 2),  # nothing is lost: finer, not coarser
        (3.9, 1000, 4),  # so near that nothing is lost
        (0.8, 256, 1),
        (16.0, 4096, 8),
        (4.0, 1022, 2),
    ],
)
def test_the_cell_is_whole_near_the_models_own_and_divides_the_window(native, window, cell):
    assert choose_cell(native, window) == cell


@given(st.floats(0.1, 100), st.integers(1, 5000))
def test_any_cell_divides_the_window_and_the_untrusted_edge(native, window):
    cell = choose_cell(native, window)
    assert window % cell == 0
    assert TRUST_MARGIN % cell == 0


@given(
    cell=st.floats(1.5, 6),
    to_cell=st.integers(1, 5),
    offset=st.tuples(st.floats(5, 20), st.floats(5, 20)),
)
def test_resampling_is_exact_to_the_half_pixel_on_a_plane(cell, to_cell, offset):
    centres = (np.arange(24) + 0.5) * cell
    plane = (0.3 * centres[:, None] - 0.7 * centres[None]).astype(np.float32)
    shape = (5, 6)
    got = resample(plane[None], (cell, cell), (to_cell, to_cell), offset=offset, shape=shape)[0]
    rows = offset[0] + (np.arange(5) + 0.5) * to_cell
    cols = offset[1] + (np.arange(6) + 0.5) * to_cell
    inside = (rows[:, None] < 23 * cell) & (cols[None] < 23 * cell)
    inside &= (rows[:, None] > cell) & (cols[None] > cell)
    want = 0.3 * rows[:, None] - 0.7 * cols[None]
    np.testing.assert_allclose(got[inside], want[inside], atol=2e-4)


def test_a_grid_that_agrees_is_only_cut():
    logits = np.random.default_rng(0).normal(size=(2, 8, 8)).astype(np.float32)
    got = resample(logits, (4.0, 4.0), (4, 4), offset=(8, 4), shape=(5, 6))
    assert np.shares_memory(got, logits)
    np.testing.assert_array_equal(got, logits[:, 2:7, 1:7])


def test_beyond_the_outermost_centres_the_edge_goes_on():
    logits = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
    got = resample(logits, (4, 4), (2, 2), shape=(5, 5))
    assert got[0, 0] == 1
    assert got[-1, -1] == 4
    assert np.isfinite(got).all()


def test_a_cell_counts_as_valid_where_half_of_its_pixels_are():
    valid = np.ones((7, 9), bool)
    valid[:4, :2] = False  # half of the first cell
    valid[4:, 8] = False  # all of the last, ragged cell
    valid[0:3, 4:8] = False  # three quarters of the second
    np.testing.assert_array_equal(valid_cells(valid, 4), [[True, False, True], [True, True, False]])


def test_padding_is_right_and_below_in_the_mean_colour():
    image = np.full((3, 5, 3), 7, np.uint8)
    padded = pad_image(image, 8)
    assert padded.shape == (8, 8, 3)
    np.testing.assert_array_equal(padded[:3, :5], image)
    assert (padded[3:] == PADDING_COLOUR).all()
    assert (padded[:, 5:] == PADDING_COLOUR).all()
