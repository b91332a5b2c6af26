# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from samgeo_core.errors import ModelError
from samgeo_core.models.image import IMAGENET_MEAN, IMAGENET_STD, Preprocessing

sides = st.integers(1, 5000)


@given(sides, sides)
def test_long_side_fills_the_square_and_the_shape_is_kept(height: int, width: int) -> None:
    rows, cols = Preprocessing(1024).scaled_shape((height, width))
    assert max(rows, cols) == 1024
    assert min(rows, cols) >= 1
    # The official rule: each side times the scale, rounded half up.
    scale = 1024 / max(height, width)
    assert abs(rows - max(1, height * scale)) <= 0.5 + 1e-9
    assert abs(cols - max(1, width * scale)) <= 0.5 + 1e-9


def test_normalised_then_padded_with_zeros() -> None:
    image = np.full((2, 4, 3), 200, np.uint8)
    out = Preprocessing(4).tensor(image)
    assert out.shape == (3, 4, 4)
    assert out[0, 0, 0].item() == pytest.approx((200 - 123.675) / 58.395, abs=1e-6)
    assert (out[:, 2:] == 0).all(), "padding is 0 after normalising, not black"


def test_stretched_images_fill_the_square() -> None:
    image = np.zeros((3, 5, 3), np.uint8)
    image[:, :, 1] = 255
    out = Preprocessing(8, IMAGENET_MEAN, IMAGENET_STD, True, "smooth").tensor(image)
    assert out.shape == (3, 8, 8)
    assert torch.allclose(out[1], torch.full((8, 8), (1 - 0.456) / 0.224), atol=1e-5)


@pytest.mark.parametrize("shape", [(300, 500), (1500, 1100)])
def test_resizing_is_within_one_grey_level_of_pillow(shape: tuple[int, int]) -> None:
    image_module = pytest.importorskip("PIL.Image")
    image = np.random.RandomState(0).randint(0, 256, (*shape, 3)).astype(np.uint8)
    prepare = Preprocessing(1024, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    rows, cols = prepare.scaled_shape(shape)
    ours = prepare.tensor(image)[:, :rows, :cols].permute(1, 2, 0).numpy()
    bilinear = image_module.Resampling.BILINEAR
    theirs = np.asarray(image_module.fromarray(image).resize((cols, rows), bilinear), float)
    assert np.abs(ours - theirs).max() <= 1


def test_images_that_torch_cannot_share_are_copied() -> None:
    image = np.random.RandomState(0).randint(0, 256, (6, 8, 3)).astype(np.uint8)
    flipped = image[::-1, ::-1]
    expected = Preprocessing(8).tensor(np.ascontiguousarray(flipped))
    assert torch.equal(Preprocessing(8).tensor(flipped), expected)
    image.setflags(write=False)
    Preprocessing(8).tensor(image)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_other_arrays_are_refused_in_words(image: np.ndarray) -> None:
    with pytest.raises(ModelError, match="three bands"):
        Preprocessing(8).tensor(image)
