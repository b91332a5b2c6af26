# SPDX-License-Identifier: GPL-2.0-or-later
"""The head of the embedded model that judges finished masks."""

import dataclasses

import numpy as np
import pytest
import torch
from samgeo_core.errors import ModelError
from samgeo_core.models.base import Judged
from samgeo_core.models.embedded.load import load_embedded
from samgeo_core.models.embedded.network import EmbeddedNet
from samgeo_core.models.embedded.quality import (
    CELLS,
    NEAR,
    ImageMaps,
    own_maps,
    sampled,
    squares_around,
)

from .test_embedded import TINY, tiny_network, write


def judging(path, **notes):
    torch.manual_seed(3)
    net = EmbeddedNet(dataclasses.replace(TINY, dense=8, quality=8))
    net.load_state_dict(net.state_dict() | tiny_network().state_dict())
    facts = {"score_threshold": "0", "stability_threshold": "0"}
    return load_embedded("cpu", path=write(path, net.eval(), **facts, **notes))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return judging(tmp_path_factory.mktemp("weights") / "quality.safetensors")


@pytest.fixture(scope="module")
def picture():
    return np.random.default_rng(0).integers(0, 255, (256, 320, 3), dtype=np.uint8)


def mask(row0, col0, row1, col1, score=0.7, stability=0.8, margin=4.0):
    """A filled box, on cells of 2 pixels with some around."""
    high, wide = int(row1 - row0 + 2 * margin) // 2, int(col1 - col0 + 2 * margin) // 2
    logits = np.full((high, wide), -8, np.float32)
    edge = int(margin) // 2
    logits[edge:-edge, edge:-edge] = 8
    box = (row0 - margin, col0 - margin, row1 + margin, col1 + margin)
    return Judged(box, (row0, col0, row1, col1), logits, score, stability)


def test_masks_are_judged_alike_alone_together_and_in_any_order(model, picture):
    masks = [
        mask(20 + 6 * k, 30 + 5 * k, 60 + 8 * k, 70 + 10 * k, 0.3 + 0.02 * k) for k in range(9)
    ]
    masks.append(mask(8, 8, 248, 300))  # larger than what is sampled from the image as it is
    embedding = model.encode([picture])[0]
    together = model.judge(embedding, masks)
    assert together.shape == (10, 2)
    assert ((together > 0) & (together < 1)).all()
    assert np.unique(together[:, 0]).size == 10
    alone = np.concatenate([model.judge(embedding, [m]) for m in masks])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    backwards = model.judge(embedding, masks[::-1])[::-1]
    np.testing.assert_allclose(together, backwards, atol=1e-5)
    assert model.judge(embedding, []).shape == (0, 2)


def test_a_mask_is_judged_alike_wherever_the_window_begins(model, picture):
    """Far from the window's edges, that is, which the encoder sees."""
    wide = np.concatenate([picture, picture[:, ::-1]], axis=1)
    wide = np.concatenate([wide, wide[::-1]], axis=0)
    here = model.judge(model.encode([wide])[0], [mask(250, 300, 280, 330)])
    part = np.ascontiguousarray(wide[64:, 128:])
    there = model.judge(model.encode([part])[0], [mask(186, 172, 216, 202)])
    np.testing.assert_allclose(here, there, atol=2e-3)


def test_weights_without_the_head_say_so(picture, tmp_path):
    net = EmbeddedNet(dataclasses.replace(TINY, dense=8))
    path = write(tmp_path / "old.safetensors", net.eval(), score_threshold="0",
                 stability_threshold="0")  # fmt: skip
    old = load_embedded("cpu", path=path)
    assert not old.judges
    with pytest.raises(ModelError, match="cannot judge finished masks"):
        old.judge(old.encode([picture])[0], [mask(20, 20, 60, 60)])


def test_a_square_holds_the_mask_and_what_lies_around_it():
    squares = squares_around([mask(40, 60, 60, 140), mask(0, 0, 300, 40)])
    rows, cols = squares.rows[0], squares.cols[0]
    assert float(squares.side[0]) == pytest.approx(80 * 1.35 + 8)
    assert float(rows.mean()) == pytest.approx(50)
    assert float(cols.mean()) == pytest.approx(100)
    assert float(cols[-1] - cols[0]) == pytest.approx(float(squares.side[0]) * (1 - 1 / CELLS))
    assert (squares.side > NEAR).tolist() == [False, True]


def test_maps_are_sampled_where_the_cells_lie_at_every_stride():
    """Maps that hold their own row numbers come back as the squares' rows."""
    squares = squares_around([mask(64, 96, 96, 128), mask(100, 60, 140, 90)])

    def rows_of(stride, height=64):
        row = (torch.arange(height // (stride // 4)) + 0.5) * stride
        return row[None, None, :, None].expand(1, 1, -1, height // (stride // 4)).float()

    maps = ImageMaps(rows_of(4), rows_of(8), rows_of(4).expand(1, 4, -1, -1))
    seen = sampled(maps, squares, 1)
    for got in (seen.m4[:, 0], seen.m8[:, 0], seen.sides[:, 2]):
        np.testing.assert_allclose(got, squares.rows[:, :, None].expand_as(got), atol=0.01)


def test_the_boxes_that_places_expect_are_compared_with_the_masks():
    masks = [mask(40, 60, 80, 100)]
    squares = squares_around(masks)
    rows, cols = squares.rows[0][:, None], squares.cols[0][None]
    grid = torch.ones(CELLS, CELLS)
    true = torch.stack([(rows - 40) * grid, (cols - 60) * grid, (80 - rows) * grid,
                        (100 - cols) * grid])  # fmt: skip
    own = own_maps(masks, squares, true[None])
    assert torch.allclose(own[0, 0], torch.ones(CELLS, CELLS), atol=1e-4)
    half = own_maps(masks, squares, (true * torch.tensor([1, 1, 1, 0])[:, None, None])[None])
    assert float(half[0, 0].max()) < 1
    inside = (rows > 40) & (rows < 80) & (cols > 60) & (cols < 100)
    assert float(own[0, 1][inside].mean()) > 0.9
    assert float(own[0, 1][~inside].mean()) < 0.2
    assert float(own[0, 3, 0, 0]) == pytest.approx(0.6)
