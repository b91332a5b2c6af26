# SPDX-License-Identifier: GPL-2.0-or-later
"""Groups of nodes: connected, but never two whole masks of one tile together."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from samgeo_core.merge.components import Groups, connect, open_groups, own
from samgeo_core.merge.edges import LINK
from samgeo_core.merge.nodes import EAST, NODE, WEST


def table(*rows) -> np.ndarray:
    """Nodes from (tile row, tile col, truncated, area, core area)."""
    nodes = np.zeros(len(rows), NODE)
    for node, (row, col, truncated, area, core) in zip(nodes, rows, strict=True):
        node["tile_row"], node["tile_col"], node["truncated"] = row, col, truncated
        node["area"], node["core_area"] = area, core
    return nodes


def edges(*rows) -> np.ndarray:
    links = np.zeros(len(rows), LINK)
    for link, (a, b, score) in zip(links, rows, strict=True):
        link["a"], link["b"], link["score"], link["common"] = a, b, score, 10
    return links


def test_the_weakest_edge_gives_way_where_two_whole_masks_of_a_tile_would_meet():
    nodes = table((0, 0, 0, 9, 9), (0, 0, 0, 9, 9), (0, 1, WEST, 9, 9))
    tile = np.array([0, 0, 1])
    label = connect(nodes, tile, edges((0, 2, 0.6), (1, 2, 0.9)))
    assert label.tolist() == [0, 1, 1]


def test_two_cut_masks_of_a_tile_may_be_one_object():
    nodes = table((0, 0, EAST, 9, 9), (0, 0, EAST, 9, 9), (0, 1, WEST, 9, 9))
    label = connect(nodes, np.array([0, 0, 1]), edges((0, 2, 0.6), (1, 2, 0.9)))
    assert label.tolist() == [0, 0, 0]


@given(data=st.data())
def test_groups_keep_the_constraint_and_no_edge_is_refused_without_need(data):
    count = data.draw(st.integers(2, 12))
    tile = np.array([data.draw(st.integers(0, 3)) for _ in range(count)])
    cut = np.array([data.draw(st.booleans()) for _ in range(count)])
    nodes = table(*((0, int(t), int(c), 9, 9) for t, c in zip(tile, cut, strict=True)))
    pairs = data.draw(
        st.lists(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), max_size=15)
    )
    pairs = [(a, b) for a, b in pairs if tile[a] != tile[b]]
    links = edges(*((a, b, 0.5 + k / 100) for k, (a, b) in enumerate(pairs)))
    label = connect(nodes, tile, links)

    def allowed(members) -> bool:
        return all(
            cut[i] and cut[j] for i in members for j in members if i < j and tile[i] == tile[j]
        )

    for group in range(label.max() + 1):
        assert allowed(np.flatnonzero(label == group))
    for a, b in pairs:
        if label[a] != label[b]:
            assert not allowed(np.flatnonzero((label == label[a]) | (label == label[b])))
    # The order of the edges in memory says nothing.
    again = connect(nodes, tile, links[::-1])
    assert (label == again).all()


def test_a_foreign_cut_mask_without_a_partner_is_dropped_and_its_owner_stays():
    nodes = table((0, 0, 0, 100, 90), (0, 1, WEST, 20, 0), (0, 1, WEST, 20, 15))
    assert own(nodes, np.array([0, 1, 2])).tolist() == [0, -1, 1]


def test_groups_are_open_where_no_member_goes_on():
    nodes = table((0, 0, EAST, 9, 9), (0, 1, WEST, 9, 9), (0, 2, WEST, 9, 9))
    groups = Groups.from_labels(np.array([0, 0, 1]))
    assert open_groups(nodes, groups).tolist() == [False, True]
