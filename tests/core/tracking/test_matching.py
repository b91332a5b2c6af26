# SPDX-License-Identifier: GPL-2.0-or-later
"""What is visible, what looks alike, and which shape is whose."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from samgeo_core.tracking.matching import Expected, Offer, alike, assign, likeness
from samgeo_core.tracking.status import Look, clouds, contrast, look_box, visible_share
from samgeo_core.types import PixelBox

DARK, BRIGHT = np.array([-3.0, -3.0, -2.0]), np.array([3.0, 3.0, 2.0])


def square(x, y, side=10.0):
    return shapely.box(x, y, x + side, y + side)


def test_the_same_place_and_look_is_certain_and_its_opposite_is_not():
    wanted = Expected(square(0, 0), (DARK,))
    assert likeness(wanted, Offer(square(0, 0), 0.9, DARK)) == pytest.approx(1.0)
    assert likeness(wanted, Offer(square(4, 0), 0.9, BRIGHT)) == 0.0
    assert alike(DARK, DARK / 2) > 0.5 > alike(DARK, DARK / 5)


def test_the_same_outline_in_another_colour_is_the_object_if_it_stands_out():
    wanted = Expected(square(0, 0), (DARK,))
    assert likeness(wanted, Offer(square(0, 0), 0.9, BRIGHT)) > 0.4
    assert likeness(wanted, Offer(square(0, 0), 0.9, DARK * -0.1)) == 0  # nothing is there


def test_what_touches_nothing_is_believed_only_within_reach():
    away = Offer(square(14, 0), 0.9, DARK)
    assert likeness(Expected(square(0, 0), (DARK,)), away) == 0
    assert likeness(Expected(square(0, 0), (DARK,), reach=2), away) > 0.4


def test_a_model_with_memory_is_believed_whatever_the_look():
    wanted = Expected(square(0, 0), (DARK,))
    assert likeness(wanted, Offer(square(40, 0, 3), 0.9, BRIGHT, remembered=True)) > 0


def test_objects_that_were_answered_with_each_others_shapes_get_their_own():
    left, right = Expected(square(0, 0), (DARK,)), Expected(square(12, 0), (DARK,))
    mine, other = Offer(square(1, 0), 0.9, DARK), Offer(square(11, 0), 0.95, DARK)
    found = assign([left, right], [[mine, other], [mine, other]])
    assert [match.offer.shape.bounds[0] for match in found] == [1, 11]


def test_no_shape_is_two_objects_and_the_other_is_merged_or_gone():
    one = Offer(shapely.box(0, 0, 22, 10), 0.9, DARK)
    near, far = Expected(square(0, 0), (DARK,)), Expected(square(300, 0), (DARK,))
    found = assign([near, Expected(square(12, 0), (DARK,)), far], [[one], [one], []])
    assert sorted(match.offer is not None for match in found) == [False, False, True]
    assert [match.merged for match in found].count(True) == 1
    assert found[2].offer is None
    assert not found[2].merged


def test_the_order_of_objects_changes_nothing():
    random = np.random.default_rng(1)
    spots = random.uniform(0, 200, (12, 2))
    wanted = [Expected(square(x, y), (DARK,), reach=1) for x, y in spots]
    offers = [
        [Offer(square(x + dx, y), 0.8 + dx / 100, DARK) for dx in (1.0, 4.0)] for x, y in spots
    ]
    found = assign(wanted, offers)
    order = random.permutation(12)
    again = assign([wanted[i] for i in order], [offers[i] for i in order])
    for place, index in enumerate(order):
        one, other = found[index].offer, again[place].offer
        assert (one is None) == (other is None)
        assert one is None or one.shape.equals(other.shape)


def scene(value=90, inside=40, *, white=None, empty=None):
    box, factor = look_box(square(20, 20, 12))
    pixels = np.full((*box.shape, 3), value, np.uint8)
    pixels[20 - box.row0 : 32 - box.row0, 20 - box.col0 : 32 - box.col0] = inside
    valid = np.ones(box.shape, bool)
    if white is not None:
        pixels[white] = 250
    if empty is not None:
        valid[empty] = False
    return Look(PixelBox(box.row0, box.col0, box.row1, box.col1), factor, pixels, valid)


def test_no_data_and_clouds_hide_but_white_things_do_not():
    shape = square(20, 20, 12)
    clear, overcast = scene(), scene(white=np.s_[:, :])
    assert visible_share(clear, clear, shape, look_for_clouds=True) == 1.0
    assert visible_share(overcast, clear, shape, look_for_clouds=True) == 0.0
    assert visible_share(overcast, clear, shape, look_for_clouds=False) == 1.0
    assert visible_share(overcast, overcast, shape, look_for_clouds=True) == 1.0  # always white
    half = scene(empty=np.s_[:, : 26 - scene().box.col0])
    assert visible_share(half, clear, shape, look_for_clouds=True) == pytest.approx(0.5, abs=0.1)
    assert clouds(overcast, clear).all()
    assert not clouds(overcast, None).any()


def test_contrast_has_a_sign_and_needs_both_sides():
    shape = square(20, 20, 12)
    assert (contrast(scene(90, 40), shape) < -5).all()
    assert (contrast(scene(40, 90), shape) > 5).all()
    assert contrast(scene(empty=np.s_[:, :]), shape) is None


def test_a_look_at_something_large_is_coarse():
    box, factor = look_box(shapely.box(100, 200, 2100, 900))
    assert factor >= 8
    assert max(box.shape) / factor <= 2 * 192
    assert box.row0 % factor == box.col1 % factor == 0
    assert box.row0 <= 200
    assert box.col1 >= 2100
