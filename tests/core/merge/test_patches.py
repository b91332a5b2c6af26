# SPDX-License-Identifier: GPL-2.0-or-later
"""Asking again: cut objects become whole, large ones come from an overview, others stay."""

from __future__ import annotations

import numpy as np
from samgeo_core.masks.masks import Mask, TileMasks
from samgeo_core.merge import (
    MemorySource,
    PatchedSource,
    overview_patches,
    repair_hints,
    repair_patches,
)
from samgeo_core.merge.patches import cut_to_tiles
from samgeo_core.testing.oracle import Oracle
from samgeo_core.tiles.grid import Grid
from samgeo_core.types import CellBox, TileIndex

from benchmarks.footprints import same_masks

from ..merging import mask_of, merge_here, source_of, thing_of, things_of

GRID = Grid(300, 300, 100, 32)


def without(source, grid: Grid, index, box: CellBox) -> MemorySource:
    """The oracle's answers, but one tile has missed an object."""
    tiles = {}
    for tile in grid:
        masks = source.load(tile.index)
        kept = [m for m in masks.masks if tile.index != index or not m.box.intersects(box)]
        tiles[tile.index] = TileMasks(tile.index, grid.cell, kept)
    return MemorySource(tiles, grid.cell)


def scene():
    boxes = (CellBox(30, 60, 60, 160), CellBox(150, 150, 250, 170), CellBox(5, 5, 20, 20))
    return [thing_of(box) for box in boxes]


def test_a_cut_object_is_asked_for_in_a_window_around_it_and_comes_back_whole():
    truth = scene()
    source = without(Oracle(truth, GRID), GRID, (0, 1), truth[0].box)
    before = merge_here(source, GRID)
    hints = list(repair_hints(before, source, GRID))
    assert [before[number].truncated for number, _ in hints] == [True]
    ((number, hint),) = hints
    assert hint.window.height == hint.window.width == GRID.window_size
    assert hint.window.cells(1).contains(hint.box)
    assert (hint.logits > 0).sum() == 30 * 64  # up to the trusted edge of the first tile
    answer = mask_of(truth[0].box.grown(1), np.pad(truth[0].mask, 1))
    patches = repair_patches(before, [(number, hint, answer)], source, GRID)
    patched = PatchedSource(source, patches)
    after = merge_here(patched, GRID)
    assert same_masks(things_of(after, patched, GRID), truth) == (3, 0)
    assert not any(obj.truncated for obj in after)


def test_a_repaired_mask_takes_the_place_of_what_showed_the_same_in_a_tile():
    truth = scene()
    source = without(Oracle(truth, GRID), GRID, (0, 1), truth[0].box)
    # The second tile has the object after all, but so short that it was not recognised.
    short = mask_of(CellBox(30, 106, 60, 160))
    second = source.load(TileIndex(0, 1))
    tiles = {tile.index: source.load(tile.index) for tile in GRID}
    tiles[second.index] = TileMasks(second.index, 1, (*second.masks, short))
    source = MemorySource(tiles, 1)
    before = merge_here(source, GRID)
    assert len(before) == 4
    ((number, hint),) = repair_hints(before, source, GRID)
    answer = mask_of(truth[0].box.grown(1), np.pad(truth[0].mask, 1))
    patches = repair_patches(before, [(number, hint, answer)], source, GRID)
    assert patches[second.index].removed == {len(second.masks)}
    patched = PatchedSource(source, patches)
    after = merge_here(patched, GRID)
    assert same_masks(things_of(after, patched, GRID), truth) == (3, 0)


def test_answers_that_show_something_else_or_are_cut_again_change_nothing():
    truth = scene()
    source = without(Oracle(truth, GRID), GRID, (0, 1), truth[0].box)
    before = merge_here(source, GRID)
    ((number, hint),) = repair_hints(before, source, GRID)
    elsewhere = mask_of(CellBox(90, 60, 110, 100))
    window = hint.window.cells(1)
    to_the_edge = mask_of(CellBox(30, 60, 60, window.col1))
    for answer in (None, elsewhere, to_the_edge):
        assert repair_patches(before, [(number, hint, answer)], source, GRID) == {}


def test_pieces_of_a_mask_cover_it_in_every_tile_that_trusts_some_of_it():
    mask = mask_of(CellBox(80, 80, 230, 120))
    pieces = cut_to_tiles(mask, GRID)
    assert sorted(pieces) == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]
    for index, piece in pieces.items():
        assert GRID[index].window.cells(1).contains(piece.box)
    source = source_of(GRID, {tuple(index): [piece] for index, piece in pieces.items()})
    objects = merge_here(source, GRID)
    assert same_masks(things_of(objects, source, GRID), [thing_of(mask.box)]) == (1, 0)


def test_a_large_object_from_the_overview_absorbs_fragments_and_leaves_whole_things():
    # A lake over all tiles: the middle ones see no border of it and return nothing, the outer ones
    # fragments that end at their trusted edges. A boat in it is whole.
    lake, boat = CellBox(20, 20, 280, 280), CellBox(140, 140, 160, 164)
    oracle = Oracle([thing_of(lake), thing_of(boat)], GRID)
    tiles = {}
    for tile in GRID:
        masks = [m for m in oracle.load(tile.index).masks if m.box.area < 1000]
        if tile.index in ((0, 0), (2, 2)):
            masks += [m for m in oracle.load(tile.index).masks if m.box.area >= 1000]
        tiles[tile.index] = TileMasks(tile.index, 1, masks)
    source = MemorySource(tiles)
    before = merge_here(source, GRID)
    assert len(before) == 3
    rows, cols = np.mgrid[:75, :75] * 4 + 2.0
    inside = np.minimum.reduce([rows - 20, 280 - rows, cols - 20, 280 - cols])
    coarse = Mask(CellBox(0, 0, 75, 75), np.clip(inside * 8, -127, 127).astype(np.int8), 0.9, 0.9)
    patches = overview_patches(before, [coarse], 4, source, GRID)
    patched = PatchedSource(source, patches)
    after = merge_here(patched, GRID)
    found = things_of(after, patched, GRID)
    assert len(after) == 2
    big = max(found, key=lambda thing: thing.mask.sum())
    assert big.box == lake
    assert abs(int(big.mask.sum()) - lake.area) < 0.01 * lake.area
    small = min(after, key=lambda obj: obj.box.area)
    assert small.box == boat
    assert small.parent_id == max(after, key=lambda obj: obj.box.area).id
    # What the merge has whole, and what is small, the overview does not bring again.
    assert overview_patches(after, [coarse], 4, patched, GRID) == {}
    tiny = mask_of(CellBox(10, 10, 20, 20))
    assert overview_patches(before, [tiny], 4, source, GRID) == {}


def test_a_small_fragment_of_a_large_object_is_absorbed_with_its_finer_logits():
    lake, middle = CellBox(20, 20, 280, 280), TileIndex(1, 1)
    trusted = GRID[middle].trusted.cells(1)
    cut = mask_of(
        CellBox(trusted.row0, trusted.col0, trusted.row0 + 20, trusted.col0 + 20), level=99
    )
    whole = mask_of(CellBox(140, 140, 160, 164))
    source = source_of(GRID, {tuple(tile.index): [] for tile in GRID} | {(1, 1): [cut, whole]})
    coarse = mask_of(CellBox(5, 5, 70, 70))
    patches = overview_patches(merge_here(source, GRID), [coarse], 4, source, GRID)
    assert patches[middle].removed == {0}, "the cut one; the other is an object of its own"
    (piece,) = patches[middle].added
    assert (piece.logits[cut.box.slices(piece.box)] == 99).all()
    assert lake.contains(piece.box)
