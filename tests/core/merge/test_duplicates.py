# SPDX-License-Identifier: GPL-2.0-or-later
"""Two groups for one thing: one stays, always the same; two things stay two."""

from __future__ import annotations

import pytest
from samgeo_core.masks.masks import PromptRef
from samgeo_core.merge import MergeOptions, merge
from samgeo_core.parallel.executors import SerialExecutor
from samgeo_core.tiles.grid import Grid
from samgeo_core.types import CellBox

from ..merging import mask_of, merge_here, source_of

PAIR = Grid(100, 200, 100, 32)


def test_a_part_of_what_a_neighbour_shows_whole_goes():
    whole = mask_of(CellBox(10, 60, 60, 118))
    part = mask_of(CellBox(10, 78, 30, 110), score=0.99)  # IoU in the zone below a half
    objects = merge_here(source_of(PAIR, {(0, 0): [whole], (0, 1): [part]}), PAIR)
    assert [obj.box for obj in objects] == [CellBox(10, 60, 60, 118)]


def test_of_two_equal_rivals_the_better_score_stays():
    for left, right in ((0.9, 0.8), (0.8, 0.9)):
        a = mask_of(CellBox(10, 80, 40, 100), score=left)
        b = mask_of(CellBox(10, 95, 25, 101), score=right)  # both in B's and A's zone
        a2 = mask_of(CellBox(10, 94, 40, 101), score=left)
        options = MergeOptions(match_iou=1.0, duplicate_overlap=0.5)
        source = source_of(PAIR, {(0, 0): [a2], (0, 1): [b]})
        objects = merge(source, PAIR, options, SerialExecutor())
        assert len(objects) == 1
        assert a.score == left


def test_in_hierarchy_mode_what_one_tile_shows_twice_is_two_things():
    masks = [mask_of(CellBox(10, 10, 60, 60)), mask_of(CellBox(20, 20, 40, 40))]
    source = source_of(PAIR, {(0, 0): masks})
    big, small = merge_here(source, PAIR)
    assert small.parent_id == big.id
    assert big.parent_id == ""
    assert len(merge_here(source, PAIR, "flat")) == 1


def test_groups_of_several_tiles_are_compared_by_their_fused_masks():
    grid = Grid(100, 300, 100, 32)
    a = [mask_of(CellBox(10, 30, 90, 132))]
    b = [mask_of(CellBox(10, 68, 90, 180))]
    # The third tile shows only a lower part of what reaches into it: no link, but a duplicate.
    c = [mask_of(CellBox(60, 168, 90, 180))]
    objects = merge_here(source_of(grid, {(0, 0): a, (0, 1): b, (0, 2): c}), grid)
    assert [obj.tiles for obj in objects] == [2]


def test_different_prompts_are_never_duplicates():
    masks = [
        mask_of(CellBox(10, 10, 60, 60), prompt=PromptRef("1", "box")),
        mask_of(CellBox(10, 10, 60, 60), prompt=PromptRef("2", "box")),
    ]
    objects = merge_here(source_of(PAIR, {(0, 0): masks}), PAIR, "flat")
    assert sorted(obj.prompt.id for obj in objects) == ["1", "2"]


@pytest.mark.parametrize("mode", ["hierarchy", "flat"])
def test_objects_with_the_same_first_cell_and_box_have_different_ids(mode):
    masks = [mask_of(CellBox(10, 10, 60, 60), prompt=PromptRef(name, "box")) for name in "abc"]
    ids = [obj.id for obj in merge_here(source_of(PAIR, {(0, 0): masks}), PAIR, mode)]
    assert len(set(ids)) == 3
    assert ids == [obj.id for obj in merge_here(source_of(PAIR, {(0, 0): masks}), PAIR, mode)]


def test_an_id_says_where_an_object_is_and_nothing_of_the_tiles():
    one = source_of(PAIR, {(0, 0): [mask_of(CellBox(10, 20, 30, 40))]})
    other = Grid(100, 200, 200, 64)
    two = source_of(other, {(0, 0): [mask_of(CellBox(10, 20, 30, 40), score=0.5)]})
    assert merge_here(one, PAIR)[0].id == merge_here(two, other)[0].id
    coarse = Grid(200, 400, 200, 64, 2)
    three = source_of(coarse, {(0, 0): [mask_of(CellBox(5, 10, 15, 20))]})
    assert merge_here(three, coarse)[0].id == merge_here(one, PAIR)[0].id


def test_merged_objects_are_a_sequence():
    masks = [mask_of(CellBox(10, 10 * k, 18, 10 * k + 8)) for k in range(5)]
    objects = merge_here(source_of(PAIR, {(0, 0): masks}), PAIR)
    assert len(objects) == 5
    assert objects[-1].box == objects[4].box == CellBox(10, 40, 18, 48)
    assert [obj.box.col0 for obj in objects[1:3]] == [10, 20]
    assert objects[0].score == pytest.approx(0.9)
    with pytest.raises(IndexError):
        objects[5]


def roofs(*boxes_and_scores, name="building"):
    return [
        mask_of(CellBox(*box), score=score, prompt=PromptRef(class_name=name, class_prob=0.9))
        for box, score in boxes_and_scores
    ]


WHOLE, PART = (10, 10, 60, 60), (20, 20, 40, 40)


@pytest.mark.parametrize(("whole", "part", "left"), [(0.6, 0.5, WHOLE), (0.4, 0.7, PART)])
def test_objects_of_a_single_class_share_no_ground(whole, part, left):
    source = source_of(PAIR, {(0, 0): roofs((WHOLE, whole), (PART, part))})
    options = MergeOptions(single=("building",))
    objects = merge(source, PAIR, options, SerialExecutor())
    assert [obj.box for obj in objects] == [CellBox(*left)]
    assert [obj.parent_id for obj in objects] == [""]


def test_a_whole_that_is_nearly_as_likely_as_its_part_stays():
    source = source_of(PAIR, {(0, 0): roofs((WHOLE, 0.56), (PART, 0.6))})
    objects = merge(source, PAIR, MergeOptions(single=("building",)), SerialExecutor())
    assert [obj.box for obj in objects] == [CellBox(*WHOLE)]


def test_objects_of_other_classes_and_neighbours_stay():
    trees = roofs((WHOLE, 0.6), (PART, 0.5), name="trees")
    beside = roofs(((10, 62, 60, 99), 0.3), ((70, 10, 95, 60), 0.5))
    source = source_of(PAIR, {(0, 0): [*trees, *beside]})
    objects = merge(source, PAIR, MergeOptions(single=("building",)), SerialExecutor())
    assert len(objects) == 4


def test_rivals_in_two_tiles_are_told_whichever_tile_shows_which():
    whole, part = ((10, 60, 60, 118), 0.7), ((12, 70, 40, 98), 0.6)
    options = MergeOptions(single=("building",))
    for left, right in (([whole, part], [whole]), ([whole], [whole, part])):
        source = source_of(PAIR, {(0, 0): roofs(*left), (0, 1): roofs(*right)})
        objects = merge(source, PAIR, options, SerialExecutor())
        assert [obj.box for obj in objects] == [CellBox(10, 60, 60, 118)]
