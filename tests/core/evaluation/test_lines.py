# SPDX-License-Identifier: GPL-2.0-or-later
import itertools

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from samgeo_core.evaluation.lines import AplsOptions, apls, relaxed


def lines(*coordinates):
    return np.array([shapely.LineString(c) for c in coordinates], dtype=object)


STREET = lines([(0, 0), (1000, 0)])
GRID = lines(
    *([(0, y), (400, y)] for y in range(0, 401, 100)),
    *([(x, 0), (x, 400)] for x in range(0, 401, 100)),
)


def test_a_line_beside_the_true_one_counts_within_the_buffer_only():
    (near, far) = relaxed(lines([(0, 5), (1000, 5)]), STREET, [4, 8])
    assert (near.completeness, near.correctness, near.quality) == (0, 0, 0)
    assert far.completeness == pytest.approx(1, abs=0.01)
    assert far.correctness == 1
    assert far.quality == pytest.approx(1, abs=0.01)


def test_half_of_a_line_is_half_complete_and_wholly_correct():
    (got,) = relaxed(lines([(0, 0), (500, 0)]), STREET, [4])
    assert got.completeness == pytest.approx(0.504, abs=0.001)
    assert got.correctness == 1
    assert got.quality == pytest.approx(0.502, abs=0.003)


def test_no_lines_are_right_where_there_are_none():
    none = lines()
    assert relaxed(none, none, [4])[0].quality == 1
    assert relaxed(none, STREET, [4])[0].completeness == 0
    assert relaxed(STREET, none, [4])[0].correctness == 0


def test_the_same_network_is_perfect_however_its_lines_are_cut():
    cut = lines(*([(x, y), (x + 200, y)] for x in (0, 200) for y in range(0, 401, 100)),
                *([(x, 400), (x, 0)] for x in range(0, 401, 100)))  # fmt: skip
    assert apls(cut, GRID).score == pytest.approx(1, abs=1e-9)
    assert relaxed(cut, GRID, [1])[0].quality == pytest.approx(1)


def test_a_missing_street_costs_its_routes():
    """Two ends of a T; the stem is missing. The measure is computed by hand."""
    truth = lines([(-20, 0), (20, 0)], [(0, 0), (0, 30)])
    found = lines([(-20, 0), (20, 0)])
    options = AplsOptions(spacing=1000)
    got = apls(found, truth, options)
    # Nodes L, M, R, T; pairs LM MR 20, LR 40 are there; T is farther than 4 m from the found line.
    assert got.truth_to_found == pytest.approx(1 - 6 / 12)
    assert got.found_to_truth == pytest.approx(1)
    assert got.score == pytest.approx(2 * 0.5 / 1.5)
    assert got.routes == 12


def test_a_gap_in_the_middle_breaks_the_routes_across_it():
    found = lines([(0, 0), (495, 0)], [(505, 0), (1000, 0)])
    got = apls(found, STREET)
    assert 0.35 < got.truth_to_found < 0.55
    assert got.found_to_truth == pytest.approx(1, abs=0.02)


def test_a_detour_costs_its_share_of_the_length():
    truth = lines([(0, 0), (100, 0)])
    found = lines([(0, 0), (0, 3), (100, 3), (100, 0)])
    got = apls(found, truth, AplsOptions(spacing=1000))
    assert got.truth_to_found == pytest.approx(1 - 0.06, abs=1e-6)


def test_ends_that_miss_a_line_by_little_are_joined():
    truth = lines([(0, 0), (200, 0)], [(100, 0), (100, 100)])
    found = lines([(0, 0), (200, 0)], [(100, 0.3), (100, 100)])
    assert apls(found, truth).score == pytest.approx(1, abs=0.02)
    assert apls(found, truth, AplsOptions(join=0)).score < 0.8


def test_parallel_edges_count_by_the_shortest():
    both = [(-30, 0), (130, 0)]
    truth = lines(both, [(0, 0), (50, 80), (100, 0)])
    got = apls(lines(both), truth, AplsOptions(spacing=1000))
    assert got.truth_to_found == pytest.approx(1)


def test_no_network_is_nothing_of_one():
    assert apls(lines(), GRID).score == 0
    assert apls(GRID, lines()).score == 0


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6))
def test_the_order_of_lines_changes_nothing(seed):
    rng = np.random.default_rng(seed)
    kept = GRID[rng.random(len(GRID)) < 0.8]
    some = shapely.transform(kept, lambda xy: xy + rng.normal(0, 1, 2))
    mixed = some[rng.permutation(len(some))]
    assert apls(some, GRID) == apls(mixed, GRID[::-1])
    assert relaxed(some, GRID, [4]) == relaxed(mixed, GRID[::-1], [4])


def test_route_lengths_are_those_of_brute_force():
    """Every pair of nodes of a small network, by relaxation over the edges."""
    from samgeo_core.evaluation.lines import _network

    net = _network(GRID[[0, 2, 5, 7, 9]], 0.5)
    places, _ = net.control_points(10_000)
    got = net.distances(places, np.arange(len(places.edge)))
    count = len(net.nodes)
    wanted = np.full((count, count), np.inf)
    np.fill_diagonal(wanted, 0)
    for (a, b), length in zip(net.ends, net.lengths, strict=True):
        wanted[a, b] = wanted[b, a] = min(wanted[a, b], length)
    for k, i, j in itertools.product(range(count), repeat=3):
        wanted[i, j] = min(wanted[i, j], wanted[i, k] + wanted[k, j])
    assert np.isinf(wanted).sum() == np.isinf(got[:count, :count]).sum()
    np.testing.assert_allclose(got[:count, :count], wanted, atol=1e-6)


def test_a_ring_is_a_network_wherever_it_begins():
    ring = np.array([(0, 0), (200, 0), (200, 200), (0, 200)], float)
    turned = [np.roll(ring, k, axis=0) for k in range(4)]
    closed = [lines(np.concatenate([xy, xy[:1]])) for xy in turned]
    assert {apls(one, GRID) for one in closed} == {apls(closed[0], GRID)}
    assert apls(closed[2], closed[1]).score == pytest.approx(1)
