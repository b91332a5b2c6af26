# SPDX-License-Identifier: GPL-2.0-or-later
import numpy as np
from samgeo_core.models.embedded.corrections import far_islands


def pieces(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    mask = np.zeros((80, 80), bool)
    for row0, col0, row1, col1 in boxes:
        mask[row0:row1, col0:col1] = True
    return mask


def test_a_mask_in_one_piece_has_no_islands():
    assert far_islands(pieces((10, 10, 30, 30))) is None
    assert far_islands(pieces()) is None


def test_what_is_far_from_the_largest_piece_is_an_island_and_what_is_near_is_not():
    mask = pieces((10, 10, 30, 30), (10, 31, 30, 40), (60, 60, 70, 70))
    np.testing.assert_array_equal(far_islands(mask), pieces((60, 60, 70, 70)))


def test_the_piece_that_was_clicked_stays_though_another_is_larger():
    mask = pieces((10, 10, 30, 30), (60, 60, 70, 70))
    far = far_islands(mask, np.array([[65, 65]]))
    np.testing.assert_array_equal(far, pieces((10, 10, 30, 30)))


def test_two_clicked_pieces_both_stay():
    mask = pieces((10, 10, 30, 30), (60, 60, 70, 70))
    assert far_islands(mask, np.array([[65, 65], [20, 20]])) is None


def test_a_click_beside_every_piece_says_nothing():
    mask = pieces((10, 10, 30, 30), (60, 60, 70, 70))
    far = far_islands(mask, np.array([[0, 79]]))
    np.testing.assert_array_equal(far, pieces((60, 60, 70, 70)))
