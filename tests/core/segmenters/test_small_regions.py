# SPDX-License-Identifier: GPL-2.0-or-later
import numpy as np
from samgeo_core.segmenters.mask_nms import make_candidate
from samgeo_core.segmenters.small_regions import main_pieces
from samgeo_core.types import CellBox


def candidate(*boxes: tuple[int, int, int, int]):
    logits = np.full((60, 60), -3, np.float32)
    for row0, col0, row1, col1 in boxes:
        logits[row0:row1, col0:col1] = 3
    return make_candidate(logits, CellBox(0, 0, 60, 60), score=0.8, stability=0.9)


def test_a_mask_in_one_piece_stays_as_it_is():
    one = candidate((10, 10, 30, 30))
    assert main_pieces(one) is one


def test_a_far_piece_goes_with_its_place_in_the_box_and_the_area():
    two = main_pieces(candidate((10, 10, 30, 30), (50, 50, 54, 54)))
    assert two.tight == CellBox(10, 10, 30, 30)
    assert two.area == 400
    assert np.count_nonzero(two.logits > 0) == 400
    assert (two.score, two.stability) == (0.8, 0.9)
    near = candidate((10, 10, 30, 30), (10, 31, 30, 40))
    assert main_pieces(near) is near
