# SPDX-License-Identifier: GPL-2.0-or-later
"""A prompt is answered around it first, and in the whole image only where that is needed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from samgeo_core.models.base import Prompts
from samgeo_core.models.embedded import model as embedded
from samgeo_core.models.embedded.decoding import decode_rows
from samgeo_core.models.embedded.load import load_embedded
from samgeo_core.models.embedded.network import MASK_STRIDE
from samgeo_core.models.embedded.prompt_maps import PromptTensors
from samgeo_core.models.embedded.regions import LOOKS, Look, Place, Regions, cut_prompts

from .test_embedded import tiny_network, write

NAN = float("nan")


def prompts(points=(), boxes=None) -> PromptTensors:
    n = len(points) or len(boxes)
    xy = torch.tensor(points, dtype=torch.float32) if points else torch.zeros(n, 1, 2)
    labels = torch.full(xy.shape[:2], 1 if points else -1, dtype=torch.int8)
    return PromptTensors(xy, labels, torch.tensor(boxes or [[NAN] * 4] * n).float())


sides = st.integers(1, 16).map(lambda k: 64 * k)


@settings(max_examples=60, deadline=None)
@given(height=sides, width=sides, data=st.data())
def test_squares_lie_inside_the_image_around_their_prompts(height, width, data):
    row = data.draw(st.floats(0, height, width=32))
    col = data.draw(st.floats(0, width, width=32))
    regions = Regions(prompts([[(row, col)]]), height, width)
    assert regions.looks[-1].side == max(height, width)
    reached = [look.side for look in regions.looks]
    assert reached == sorted(set(reached))
    for look in regions.looks:
        top, left, rows, cols, shrink = place = regions.place(0, look)
        assert shrink == look.shrink
        for number in place[:4]:
            assert number % (32 * shrink) == 0
        assert 0 <= top <= row <= top + rows <= height
        assert 0 <= left <= col <= left + cols <= width
        assert max(rows, cols) == look.side
        assert regions.is_whole(look) == (look.side == max(height, width))


@pytest.mark.parametrize(
    ("extent", "expected"),
    [
        (80, (128, 1)),
        (100, (256, 1)),
        (150, (512, 2)),
        (300, (512, 2)),
        (500, (1024, 2)),
        (1024, (1024, 2)),
    ],
)
def test_a_box_is_answered_in_a_square_that_shows_its_surroundings(extent, expected):
    start = 512 - extent / 2
    boxes = [[start, start, start + extent, start + extent]]
    regions = Regions(prompts(boxes=boxes), 1024, 1024)
    assert regions.looks[regions.first[0]] == expected


def test_a_mask_prompt_alone_is_answered_in_the_whole_image():
    regions = Regions(prompts(boxes=[[NAN] * 4]), 1024, 1024)
    assert regions.looks[regions.first[0]].side == 1024


def test_prompts_are_seen_in_the_pixels_of_their_squares():
    given = PromptTensors(
        torch.tensor([[[300.0, 420.0]]]),
        torch.ones(1, 1),
        torch.tensor([[260.0, 400, 340, 460]]),
        torch.arange(64.0 * 128).view(1, 64, 128),
    )
    seen = cut_prompts(given, [0], [Place(128, 256, 64, 128, 2)])
    assert seen.points.tolist() == [[[86, 82]]]
    assert seen.boxes.tolist() == [[66, 72, 106, 102]]
    # A cell of stride 4 of the image at half its size is four of those it was given in.
    first = given.masks[0, 32:34, 64:66].mean()
    assert seen.masks.shape == (1, 8, 16)
    assert seen.masks[0, 0, 0] == first


def test_only_borders_within_the_image_cut_a_mask_short():
    regions = Regions(prompts([[(0, 0)]]), 1024, 1024)
    place = regions.place(0, LOOKS[0])
    logits = torch.full((2, 1, 16, 16), -1.0)
    logits[:, 0, 0, 5] = logits[:, 0, 5, 0] = 1  # the image's own corner
    logits[1, 0, -1, 5] = 1
    assert regions.cut_short(logits, [place, place]).tolist() == [False, True]


@pytest.fixture(scope="module")
def shipped():
    return load_embedded("cpu")


@pytest.fixture(scope="module")
def painted(shipped):
    """A plain with houses of 20 to 480 pixels per side; their boxes; and the plain's embedding."""
    rng = np.random.default_rng(3)
    image = rng.normal((90, 120, 70), 6, (1024, 1024, 3)).clip(0, 255).astype(np.uint8)
    boxes = [(30, 30, 50, 50), (100, 60, 180, 130), (60, 500, 300, 700), (480, 40, 960, 500)]
    for r0, c0, r1, c1 in boxes:
        image[r0:r1, c0:c1] = rng.normal((200, 90, 70), 6, (r1 - r0, c1 - c0, 3)).clip(0, 255)
    return boxes, shipped.encode([image])[0]


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return np.count_nonzero((a > 0) & (b > 0)) / max(1, np.count_nonzero((a > 0) | (b > 0)))


def test_houses_of_all_sizes_are_found_in_their_squares(shipped, painted):
    """In the whole image at once the small ones' masks held the other houses, too."""
    boxes, embedding = painted
    answer = shipped.decode(embedding, Prompts(boxes=np.array(boxes, np.float32)), multimask=False)
    assert answer.index.tolist() == [0, 1, 2, 3]
    for logits, box in zip(answer.logits[:, 0], boxes, strict=True):
        truth = np.full(logits.shape, -1.0)
        r0, c0, r1, c1 = (round(side / MASK_STRIDE) for side in box)
        truth[r0:r1, c0:c1] = 1
        assert overlap(logits, truth) > 0.9


def looks_asked(monkeypatch) -> list[Look]:
    """The looks, as the model is asked in them."""
    looks: list[Look] = []

    def spy(*arguments):
        looks.append(arguments[5])
        return decode_rows(*arguments)

    monkeypatch.setattr("samgeo_core.models.embedded.model.decode_rows", spy)
    return looks


def test_an_object_that_leaves_its_square_is_asked_for_in_a_larger_one(tmp_path, monkeypatch):
    net = tiny_network()
    net.decoder.coarse.bias.data.fill_(1000)  # the object is everywhere
    model = load_embedded("cpu", path=write(tmp_path / "all.safetensors", net))
    embedding = model.encode([np.zeros((1024, 1024, 3), np.uint8)])[0]
    looks = looks_asked(monkeypatch)
    answer = model.decode(
        embedding, Prompts(np.array([[[720, 270]]], np.float32), np.ones((1, 1), np.int8))
    )
    assert looks == [*LOOKS[1:], (1024, 2)]
    assert answer.logits.shape == (1, 3, 512, 512)
    assert (answer.logits > 0).all()


def test_prompts_that_do_not_pass_are_asked_once(shipped, painted, monkeypatch):
    _, embedding = painted
    looks = looks_asked(monkeypatch)
    points = np.array([[[720, 270]], [[900, 800]]], np.float32)
    answer = shipped.decode(embedding, Prompts(points, np.ones((2, 1), np.int8)), min_score=1.1)
    assert len(answer.index) == 0
    assert looks == [LOOKS[1]]


def test_cells_outside_of_the_square_are_certainly_not_the_object(shipped, painted):
    boxes, embedding = painted
    answer = shipped.decode(
        embedding, Prompts(boxes=np.array(boxes[:1], np.float32)), multimask=False
    )
    assert (answer.logits[0, 0, 256:, 256:] == embedded.OUTSIDE).all()
