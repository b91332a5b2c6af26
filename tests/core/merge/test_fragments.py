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
