# SPDX-License-Identifier: GPL-2.0-or-later
"""A stretch is linear, never constant where the data are not, and survives JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from samgeo_core.errors import ParameterError
from samgeo_core.raster.stretch import Stretch, check_percentiles, estimate_stretch

FINITE = st.floats(-1e9, 1e9)


@given(FINITE, st.floats(1e-3, 1e9), st.sampled_from([1, 3]))
def test_a_stretch_survives_json(low: float, span: float, bands: int) -> None:
    if low + span <= low:
        return
    stretch = Stretch((low,) * bands, (low + span,) * bands)
    assert Stretch.from_json(json.loads(json.dumps(stretch.to_json()))) == stretch


@given(hnp.arrays(np.float32, 40, elements=st.floats(-1e5, 1e5, width=32)))
def test_greys_keep_the_order_of_values_and_reach_both_ends(values: np.ndarray) -> None:
    stretch = estimate_stretch([values], (0.0, 100.0), photo=False)
    grey = stretch.apply(values[None, None], np.ones((1, 1, 40), bool))[0, :, 0].astype(int)
    assert (np.diff(grey[np.argsort(values, kind="stable")]) >= 0).all()
    if np.ptp(values) > 1e-3 * np.abs(values).max():
        assert grey.min() == 0
        assert grey.max() == 255


@given(
    hnp.arrays(np.uint16, 300, elements=st.integers(0, 65535)),
    st.sampled_from([None, (2.0, 98.0), (0.0, 100.0)]),
)
def test_no_picture_of_two_values_or_more_is_constant(
    values: np.ndarray, percentiles: tuple[float, float] | None
) -> None:
    stretch = estimate_stretch([values], percentiles, photo=False)
    grey = stretch.apply(values[None, None], np.ones((1, 1, 300), bool))
    if len(np.unique(values)) > 1:
        assert grey.min() < grey.max()


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99, 0.999])
def test_rare_values_in_a_flat_raster_stay_visible(share: float) -> None:
    values = np.where(np.arange(10_000) < share * 10_000, 7.0, 9.0).astype(np.float32)
    stretch = estimate_stretch([values], None, photo=False)
    grey = stretch.apply(values[None, None], np.ones((1, 1, 10_000), bool))
    assert len(np.unique(grey)) == 2


def test_bytes_stay_as_they_are_unless_asked_or_all_but_black() -> None:
    photo = np.arange(256, dtype=np.uint8).repeat(9)
    dull = np.arange(100, 120, dtype=np.uint8).repeat(9)
    classes = np.arange(6, dtype=np.uint8).repeat(9)
    assert estimate_stretch([photo], None, photo=False).is_identity
    assert estimate_stretch([dull] * 3, None, photo=True).is_identity
    assert not estimate_stretch([classes], None, photo=False).is_identity
    assert not estimate_stretch([dull] * 3, (2.0, 98.0), photo=True).is_identity


def test_outliers_do_not_set_the_limits() -> None:
    values = np.random.default_rng(0).normal(1000, 50, 100_000).astype(np.float32)
    values[:500] = 60_000
    stretch = estimate_stretch([values], None, photo=False)
    assert 850 < stretch.low[0] < 950
    assert 1050 < stretch.high[0] < 1150


def test_a_heap_of_fill_values_is_left_out_but_classes_are_not() -> None:
    picture = np.random.default_rng(0).integers(3000, 4000, 9000)
    collar = np.concatenate([np.zeros(1000), picture]).astype(np.uint16)
    assert estimate_stretch([collar], None, photo=False).low[0] >= 3000
    classes = np.tile(np.arange(5, dtype=np.uint16), 100)
    assert estimate_stretch([classes], None, photo=False).low[0] == 0


def test_values_that_are_not_valid_become_black_and_warn_of_nothing() -> None:
    values = np.array([[[np.nan, np.inf, -3e38, 5.0]]], np.float32)
    valid = np.array([[[False, False, False, True]]])
    with np.errstate(all="raise"):
        grey = Stretch((0.0,), (5.0,)).apply(values, valid)
    assert grey[0, :, 0].tolist() == [0, 0, 0, 255]


def test_nothing_to_go_by_gives_a_stretch_all_the_same() -> None:
    assert estimate_stretch([np.empty(0, np.float32)], None, photo=False).low == (0.0,)
    constant = np.full(50, 1e12)
    stretch = estimate_stretch([constant], None, photo=False)
    assert stretch.low[0] < stretch.high[0]


@pytest.mark.parametrize(
    ("low", "high"),
    [
        ((1.0,), (1.0,)),
        ((2.0,), (1.0,)),
        ((0.0,), (float("nan"),)),
        ((float("-inf"),), (0.0,)),
        ((0.0, 0.0), (1.0, 1.0)),
        ((0.0,), (1.0, 1.0, 1.0)),
        ((), ()),
    ],
)
def test_limits_that_are_no_stretch_are_refused(
    low: tuple[float, ...], high: tuple[float, ...]
) -> None:
    with pytest.raises(ParameterError, match="stretch"):
        Stretch(low, high)


@pytest.mark.parametrize(
    "data", [{}, {"low": [0]}, {"low": ["a"], "high": [1]}, {"low": 0, "high": 1}]
)
def test_json_that_is_no_stretch_is_refused(data: dict) -> None:
    with pytest.raises(ParameterError, match="stretch"):
        Stretch.from_json(data)


@pytest.mark.parametrize("pair", [(2.0,), (98.0, 2.0), (-1.0, 50.0), (0.0, 101.0), (5.0, 5.0)])
def test_percentiles_must_be_two_and_ascend(pair: tuple[float, ...]) -> None:
    with pytest.raises(ParameterError, match="Percentiles"):
        check_percentiles(pair)
