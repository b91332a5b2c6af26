# SPDX-License-Identifier: GPL-2.0-or-later
"""Masks in a zone, split into their connected parts."""

from __future__ import annotations

import numpy as np
from samgeo_core.masks.masks import Mask, PromptRef, TileMasks
from samgeo_core.merge.fragments import MOST_FRAGMENTS, fragments
from samgeo_core.merge.nodes import tile_nodes
from samgeo_core.tiles.grid import Grid
from samgeo_core.types import CellBox, TileIndex
from scipy import ndimage


def test_speckle_is_split_into_its_connected_parts(monkeypatch):
    monkeypatch.setattr("samgeo_core.merge.fragments.MOST_FRAGMENTS", 10_000)
    rng = np.random.default_rng(3)
    logits = np.where(rng.random((120, 132)) < 0.4, 30, -30).astype(np.int8)
    grid = Grid(120, 200, 100, 32)
    mask = Mask(CellBox(0, 0, 120, 132), logits, 0.9, 0.9, PromptRef())
    tile = tile_nodes(TileMasks(TileIndex(0, 0), 1, [mask]), grid)
    zone = CellBox(0, 76, 120, 124)
    found = fragments(tile, zone, 0.98)
    labels, count = ndimage.label(logits[:, 76:124] > 0, np.ones((3, 3)))
    assert len(found) == count > 100
    whole = np.zeros(zone.shape, int)
    for number in range(count):
        place = CellBox(*found.shape.box[number].tolist()).slices(zone)
        whole[place][found.shape[number]] = number + 1
    assert np.array_equal(whole, labels)
    assert found.area.tolist() == np.bincount(labels.ravel())[1:].tolist()


def test_of_very_many_fragments_the_largest_are_kept():
    shape = np.zeros((90, 64), bool)
    shape[::2, ::2] = True  # 1440 single cells
    shape[80, 3:40:4] = True  # pairs and threes of them in one row
    shape[40:49, 20:31] = True  # and one large one
    grid = Grid(90, 64, 100, 32)
    logits = np.where(shape, 30, -30).astype(np.int8)
    mask = Mask(CellBox(0, 0, 90, 64), logits, 0.9, 0.9, PromptRef())
    tile = tile_nodes(TileMasks(TileIndex(0, 0), 1, [mask]), grid)
    found = fragments(tile, CellBox(0, 0, 90, 64), 0.98)
    labels, count = ndimage.label(shape, np.ones((3, 3)))
    area = np.bincount(labels.ravel())[1:]
    assert count > MOST_FRAGMENTS == len(found)
    by_size = np.lexsort((np.arange(count), -area))[:MOST_FRAGMENTS]
    assert found.area.tolist() == area[np.sort(by_size)].tolist()


def test_masks_of_any_shape_are_measured_and_split_as_cell_by_cell():
    rng = np.random.default_rng(8)
    grid = Grid(300, 300, 100, 32)
    window, trusted = grid[(1, 1)].window, grid[(1, 1)].trusted.cells(1)
    masks = []
    for _ in range(60):
        size = rng.integers(3, 30, 2)
        row, col = (int(rng.integers(low, high)) for low, high in
                    ((window.row0, window.row1 - 30), (window.col0, window.col1 - 30)))  # fmt: skip
        values = ndimage.gaussian_filter(rng.normal(size=size), rng.choice([0.5, 3])) * 60
        box = CellBox(row, col, row + int(size[0]), col + int(size[1]))
        masks.append(Mask(box, np.clip(values, -127, 127).astype(np.int8), 0.9, 0.9, PromptRef()))
    tile = tile_nodes(TileMasks(TileIndex(1, 1), 1, masks), grid)
    core = grid[(1, 1)].core.cells(1)
    zone = CellBox(trusted.row0, trusted.col0, trusted.row1, core.col0 + 8)
    found, seen = fragments(tile, zone, 0.98), set()
    for number in range(len(tile)):
        row = tile.table[number]
        mask = masks[int(row["position"])]
        whole = np.zeros((300, 300), bool)
        whole[mask.box.slices(CellBox(0, 0, 300, 300))] = mask.logits > 0
        outside = np.ones_like(whole)
        outside[trusted.slices(CellBox(0, 0, 300, 300))] = False
        whole[outside] = False
        box = CellBox(*tile.shapes.box[number].tolist())
        assert np.array_equal(whole[box.slices(CellBox(0, 0, 300, 300))], tile.shapes[number])
        assert row["area"] == whole.sum()
        assert row["core_area"] == whole[core.slices(CellBox(0, 0, 300, 300))].sum()
        assert row["first_col"] == np.flatnonzero(whole[box.row0])[0]
        part = whole[zone.slices(CellBox(0, 0, 300, 300))]
        count = ndimage.label(part, np.ones((3, 3)))[1]
        assert (found.node == number).sum() == count
        seen.add(min(count, 2))
    assert seen == {0, 1, 2}
    assert tile.runs.plain.any()
    assert not tile.runs.plain.all()
