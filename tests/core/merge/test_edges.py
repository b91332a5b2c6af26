# SPDX-License-Identifier: GPL-2.0-or-later
"""What two tiles see of their zone decides which of their masks are one object."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from samgeo_core.errors import ParameterError
from samgeo_core.masks.masks import PromptRef, TileMasks
from samgeo_core.merge import MergeOptions, edges
from samgeo_core.merge.edges import overlaps
from samgeo_core.merge.fragments import fragments
from samgeo_core.merge.nodes import EAST, SOUTH, tile_nodes
from samgeo_core.tiles.grid import Grid
from samgeo_core.types import CellBox, TileIndex

from benchmarks.footprints import same_masks

from ..merging import mask_of, merge_here, source_of, thing_of, things_of

# Two tiles of 100 beside one another; trusted windows overlap in columns 76 to 124.
PAIR = Grid(100, 200, 100, 32)


def nodes_of(masks, index=(0, 0), grid=PAIR):
    place = TileIndex(*index)
    return tile_nodes(TileMasks(place, grid.cell, masks), grid)


def test_nodes_know_what_their_tile_cuts():
    grid = Grid(300, 300, 100, 32)
    nodes = nodes_of([mask_of(CellBox(0, 0, 60, 132)), mask_of(CellBox(90, 5, 124, 20))], grid=grid)
    assert nodes.trusted == CellBox(0, 0, 124, 124)
    by_place = {int(row["row0"]): row for row in nodes.table}
    assert by_place[0]["truncated"] == EAST  # the raster's own sides cut nothing
    assert by_place[90]["truncated"] == SOUTH
    assert by_place[0]["area"] == 60 * 124
    assert by_place[0]["core_area"] == 60 * 100


def test_masks_in_the_untrusted_edge_are_not_believed():
    assert len(nodes_of([mask_of(CellBox(10, 126, 20, 132))])) == 0


def test_nodes_are_in_the_same_order_whatever_the_order_of_masks():
    masks = [mask_of(CellBox(r, c, r + 9, c + 9)) for r in (3, 40) for c in (5, 50, 90)]
    one, two = nodes_of(masks), nodes_of(masks[::-1])
    assert one.boxes.tolist() == two.boxes.tolist()
    assert one.table["digest"].tolist() == two.table["digest"].tolist()


def test_a_u_shape_meets_the_zone_in_two_fragments():
    shape = np.ones((40, 60), bool)
    shape[10:30, 20:] = False
    tile = nodes_of([mask_of(CellBox(10, 60, 50, 120), shape)])
    found = fragments(tile, CellBox(0, 80, 100, 124), 0.98)
    assert sorted(found.area.tolist()) == [400, 400]
    assert not found.whole.any()


def test_two_masks_have_one_edge_however_many_of_their_fragments_agree():
    shape = np.ones((40, 110), bool)
    shape[10:30, 10:] = False  # a U whose two arms cross the zone
    masks = {
        (0, 0): [mask_of(CellBox(10, 60, 50, 132), shape[:, :72])],
        (0, 1): [mask_of(CellBox(10, 68, 50, 170), shape[:, 8:])],
    }
    link = edges.LinkTiles(source_of(PAIR, masks), PAIR, MergeOptions())
    first, _ = link(edges.RunOfTiles(0, 0, 2))
    (found,) = first.links.values()
    assert [(row["a"], row["b"], row["score"]) for row in found] == [(0, 0, 1.0)]


def test_depth_tells_an_object_from_the_one_nested_in_it_where_the_zone_shows_no_difference():
    tile = nodes_of([mask_of(CellBox(10, 90, 40, 110)), mask_of(CellBox(10, 20, 40, 110))])
    found = fragments(tile, CellBox(0, 90, 100, 124), 0.98)
    areas = tile.table["area"][found.node]
    assert found.depth[np.argmax(areas)] == 0
    assert found.depth[np.argmin(areas)] == 1


def test_nested_objects_that_coincide_in_the_zone_are_not_swapped():
    # Within the zone big and small are the same; left of it only the big one goes on.
    big, small = CellBox(10, 20, 40, 180), CellBox(10, 70, 40, 180)
    masks_a = [mask_of(CellBox(10, 20, 40, 132)), mask_of(CellBox(10, 70, 40, 132))]
    masks_b = [mask_of(CellBox(10, 68, 40, 180)), mask_of(CellBox(10, 70, 40, 180))]
    for order_a in (1, -1):
        for order_b in (1, -1):
            source = source_of(PAIR, {(0, 0): masks_a[::order_a], (0, 1): masks_b[::order_b]})
            objects = merge_here(source, PAIR)
            assert len(objects) == 2
            boxes = {obj.box for obj in objects}
            assert CellBox(10, 20, 40, 180) in boxes or big in boxes
            assert all(obj.tiles == 2 for obj in objects)
    assert small != big


def test_masks_below_half_iou_in_the_zone_are_not_linked():
    a = mask_of(CellBox(10, 50, 40, 132))
    b = mask_of(CellBox(30, 68, 60, 150))
    objects = merge_here(source_of(PAIR, {(0, 0): [a], (0, 1): [b]}), PAIR)
    assert [obj.tiles for obj in objects] == [1, 1]
    assert all(obj.truncated for obj in objects)


def test_flat_mode_joins_what_lies_in_one_fragment_of_the_other_tile():
    whole = mask_of(CellBox(10, 50, 70, 132))
    parts = [mask_of(CellBox(10, 68, 45, 150)), mask_of(CellBox(46, 68, 70, 150))]
    source = source_of(PAIR, {(0, 0): [whole], (0, 1): parts})
    assert len(merge_here(source, PAIR, "flat")) == 1
    hierarchy = merge_here(source, PAIR, "hierarchy")
    assert sorted(obj.tiles for obj in hierarchy) == [1, 2]


def test_two_whole_masks_of_one_tile_never_become_one_object():
    # Tile A sees one thing where B sees two whole ones: B is believed, A's goes with the larger.
    a = mask_of(CellBox(10, 80, 50, 120))
    b = [mask_of(CellBox(10, 80, 34, 120)), mask_of(CellBox(35, 80, 50, 120))]
    source = source_of(PAIR, {(0, 0): [a], (0, 1): b})
    for mode in ("hierarchy", "flat"):
        for obj in merge_here(source, PAIR, mode):
            assert len([ref for ref in obj.members if ref.tile == (0, 1)]) <= 1


def test_different_prompts_or_labels_are_different_things():
    def pair(left: PromptRef, right: PromptRef):
        a = mask_of(CellBox(10, 50, 40, 132), prompt=left)
        b = mask_of(CellBox(10, 68, 40, 150), prompt=right)
        return merge_here(source_of(PAIR, {(0, 0): [a], (0, 1): [b]}), PAIR)

    assert len(pair(PromptRef("1", "box"), PromptRef("1", "box"))) == 1
    assert len(pair(PromptRef("1", "box"), PromptRef("2", "box"))) == 2
    assert len(pair(PromptRef("", "text", "tree"), PromptRef("", "text", "house"))) == 2
    (one,) = pair(PromptRef("7", "box", "roof"), PromptRef("7", "box", "roof"))
    assert one.prompt == PromptRef("7", "box", "roof")


def test_overlaps_within_a_tile_are_counted_exactly():
    nodes = nodes_of([mask_of(CellBox(10, 10, 30, 30)), mask_of(CellBox(20, 20, 40, 40))])
    (pair,) = overlaps(nodes, nodes)
    assert pair["common"] == 100


@pytest.mark.parametrize(
    "wrong", [{"mode": "both"}, {"match_iou": 0}, {"nested": 1.5}, {"min_fragment": -1}]
)
def test_wrong_options_are_refused(wrong):
    with pytest.raises(ParameterError):
        MergeOptions(**wrong)


def test_slivers_that_two_tiles_see_of_a_third_ones_object_do_not_survive():
    grid = Grid(300, 300, 100, 32)
    truth = [thing_of(CellBox(60, 60, 77, 78))]  # one column in E's zone, one row in S's
    everywhere = {}
    for tile in grid:
        box = truth[0].box.intersection(tile.window.cells(1))
        if not box.empty:
            everywhere[tuple(tile.index)] = [mask_of(box)]
    assert len(everywhere) == 4
    source = source_of(grid, everywhere)
    objects = merge_here(source, grid)
    assert same_masks(things_of(objects, source, grid), truth) == (1, 0)


@pytest.mark.parametrize("rounds", [0, 1, 32])
@given(pairs=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=40))
def test_pairs_are_taken_as_one_by_one(rounds, pairs):
    first = np.array([i for i, _ in pairs], np.int64)
    second = np.array([j for _, j in pairs], np.int64)
    gone_a, gone_b, expected = set(), set(), []
    for k, (i, j) in enumerate(pairs):
        if i not in gone_a and j not in gone_b:
            gone_a.add(i)
            gone_b.add(j)
            expected.append(k)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(edges, "_ROUNDS", rounds)
        assert edges.one_to_one(first, second).tolist() == expected
