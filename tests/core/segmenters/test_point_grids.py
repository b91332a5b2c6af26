# SPDX-License-Identifier: GPL-2.0-or-later
import numpy as np
import pytest
from samgeo_core.segmenters.point_grids import ROUNDS, coarse_to_fine, crop_boxes, point_grid
from samgeo_core.types import PixelBox


def test_crops_are_those_of_the_official_code():
    # generate_crop_boxes((1024, 1024), 2, 512 / 1500), run once with segment-anything 1.0
    boxes = crop_boxes(1024, 2)
    assert len(boxes) == 1 + 4 + 16
    assert boxes[0] == (0, PixelBox(0, 0, 1024, 1024))
    assert boxes[1] == (1, PixelBox(0, 0, 687, 687))
    assert boxes[4] == (1, PixelBox(338, 338, 1024, 1024))
    assert boxes[5] == (2, PixelBox(0, 0, 387, 387))
    assert boxes[-1] == (2, PixelBox(639, 639, 1024, 1024))


@pytest.mark.parametrize("size", [256, 512, 1000])
def test_the_crops_of_a_layer_cover_the_window(size):
    for layer in (1, 2, 3):
        covered = np.zeros((size, size), bool)
        for number, box in crop_boxes(size, 3):
            if number == layer:
                covered[box.row0 : box.row1, box.col0 : box.col1] = True
        assert covered.all()


def test_points_are_the_middles_of_equal_squares_row_by_row():
    points = point_grid(PixelBox(100, 200, 164, 264), 4, 0.5)
    np.testing.assert_array_equal(
        points[:5], [(108.5, c) for c in (208.5, 224.5, 240.5, 256.5)] + [(124.5, 208.5)]
    )
    assert points.shape == (16, 2)


@pytest.mark.parametrize("side", [1, 2, 5, 16, 32])
def test_rounds_become_denser_and_cover_the_grid_evenly(side):
    rounds = coarse_to_fine(side).reshape(side, side)
    assert ((rounds >= 0) & (rounds < ROUNDS)).all()
    if side % 4 == 0:
        counts = np.bincount(rounds.ravel())
        np.testing.assert_array_equal(counts * 16, np.array([1, 3, 4, 8]) * side**2)
    if side >= 5:
        assert rounds[1, 1] == rounds[1, 5 % side] or side == 5
        rows, _ = np.nonzero(rounds == 0)
        assert set(np.diff(np.unique(rows))) <= {4}
