# SPDX-License-Identifier: GPL-2.0-or-later
"""The re-associated forms equal the textbook's, in double precision where rounding cannot hide."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from samgeo_core.models.nn import mask_decoder
from samgeo_core.models.nn.attention import Attention, Reading
from samgeo_core.models.nn.mask_decoder import DecoderStyle, MaskDecoder
from samgeo_core.models.nn.subpixels import as_product, from_subpixels, to_subpixels
from torch import Tensor, nn
from torch.nn import functional as F

DIM, HEADS = 32, 4
counts = st.integers(1, 5)


def attention(seed: int) -> Attention:
    torch.manual_seed(seed)
    layer = Attention(DIM, HEADS, DIM // 2).double()
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.4)
    return layer.requires_grad_(False)


def textbook(layer: Attention, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    def heads(x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], HEADS, -1).transpose(1, 2)

    q, k, v = heads(layer.q_proj(q)), heads(layer.k_proj(k)), heads(layer.v_proj(v))
    weights = torch.softmax(q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5, dim=-1)
    return layer.out_proj((weights @ v).transpose(1, 2).reshape(q.shape[0], -1, DIM // 2))


@settings(max_examples=15, deadline=None)
@given(counts, counts, counts, st.integers(0, 99))
def test_every_form_of_attention_is_the_textbook_one(
    batch: int, count: int, side: int, seed: int
) -> None:
    layer = attention(seed)
    positions = side * side
    tokens, extra = torch.randn(2, batch, count, DIM, dtype=torch.float64)
    own = torch.randn(batch, positions, DIM, dtype=torch.float64)
    shared = torch.randn(positions, DIM, dtype=torch.float64)
    place = torch.randn(positions, DIM, dtype=torch.float64)
    same = shared.expand(batch, -1, -1)

    read = layer.read_folded(tokens, own, layer.image_keys(place))
    torch.testing.assert_close(read, textbook(layer, tokens, own + place, own))
    read = layer.read_shared(tokens, layer.image_keys(shared + place), layer.image_values(shared))
    torch.testing.assert_close(read, textbook(layer, tokens, same + place, same))
    every = slice(None)
    writing = layer.write_folded(layer.image_queries(place), tokens + extra, tokens)
    write = writing.add(own.clone(), writing.shares(own, every))
    torch.testing.assert_close(write, own + textbook(layer, own + place, tokens + extra, tokens))
    writing = layer.write_shared(layer.image_queries(shared + place), tokens + extra, tokens)
    write = writing.add(shared, writing.shares(shared, every))
    torch.testing.assert_close(write, same + textbook(layer, same + place, tokens + extra, tokens))


@settings(max_examples=15, deadline=None)
@given(counts, counts, st.integers(2, 5), st.integers(1, 9), st.integers(0, 99))
def test_reading_in_pieces_is_reading_at_once(
    batch: int, count: int, side: int, step: int, seed: int
) -> None:
    layer = attention(seed)
    positions = side * side
    tokens = 30 * torch.randn(batch, count, DIM, dtype=torch.float64)  # far from equal shares
    image = torch.randn(batch, positions, DIM, dtype=torch.float64)
    keys = layer.image_keys(torch.randn(positions, DIM, dtype=torch.float64))
    with torch.no_grad():
        reading = Reading(layer, tokens, keys)
        for start in range(0, positions, step):
            part = slice(start, min(start + step, positions))
            reading.take(image[:, part], part)
        torch.testing.assert_close(reading.result(), layer.read_folded(tokens, image, keys))


@pytest.mark.parametrize("shape", [(2, 3), (4, 4)])
def test_transposed_convolutions_as_products(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    first = nn.ConvTranspose2d(8, 4, 2, stride=2)
    second = nn.ConvTranspose2d(4, 2, 2, stride=2)
    image = torch.randn(3, 8, *shape)
    flat = image.flatten(2).transpose(1, 2)
    with torch.no_grad():
        once = F.linear(flat, *as_product(first)).view(3, -1, 4)
        twice = F.linear(once, *as_product(second)).view(3, -1, 2)
        torch.testing.assert_close(
            from_subpixels(twice.transpose(1, 2), shape), second(first(image))
        )


@pytest.mark.parametrize("level", [2, 4])
def test_finer_maps_in_the_order_of_the_upscaling(level: int) -> None:
    shape = (3, 5)
    fine = torch.randn(4, 3 * level, 5 * level)
    ordered = to_subpixels(fine, shape)
    if level == 4:
        torch.testing.assert_close(from_subpixels(ordered.T[None], shape)[0], fine)
    # A cell's own sub-pixels are its neighbours in the order.
    corner = fine[:, level : 2 * level, 2 * level : 3 * level]
    cell = (1 * 5 + 2) * level**2
    block = ordered[cell : cell + level**2].T.sort(dim=1).values
    torch.testing.assert_close(block, corner.flatten(1).sort(dim=1).values)


def test_a_mask_prompt_of_nothing_is_the_no_mask_row() -> None:
    # Both ways through the first layer: shared by all prompts, and one's own.
    torch.manual_seed(1)
    decoder = MaskDecoder(DIM, style=DecoderStyle()).double().requires_grad_(False)
    for parameter in decoder.parameters():
        nn.init.normal_(parameter, std=0.3)
    decoder.prepare(torch.randn(12, DIM, dtype=torch.float64))
    image = torch.randn(DIM, 3, 4, dtype=torch.float64)
    no_mask = torch.randn(1, DIM, dtype=torch.float64)
    side = decoder.image_side(image, no_mask)
    prompts = torch.randn(2, 3, DIM, dtype=torch.float64)
    shared = decoder.attend(side, prompts)
    own = decoder.attend(side, prompts, no_mask.expand(2, 12, DIM))
    torch.testing.assert_close(shared.tokens, own.tokens)
    torch.testing.assert_close(shared.features, own.features)


@pytest.mark.parametrize("style", [DecoderStyle(), DecoderStyle(group_norm=True)])
@pytest.mark.parametrize("masks", [False, True])
def test_pieces_give_what_the_whole_gives(
    monkeypatch: pytest.MonkeyPatch, style: DecoderStyle, masks: bool
) -> None:
    torch.manual_seed(2)
    decoder = MaskDecoder(DIM, style=style).double().requires_grad_(False)
    for parameter in decoder.parameters():
        nn.init.normal_(parameter, std=0.3)
    real = partial(torch.randn, dtype=torch.float64)
    decoder.prepare(real(12, DIM))
    image, prompts = real(DIM, 3, 4), real(4, 3, DIM)
    side = decoder.image_side(image, real(1, DIM))
    dense = real(4, 12, DIM) if masks else None
    whole = decoder.attend(side, prompts, dense)  # gradients are possible: in one
    assert len(whole.pieces) == 1
    assert whole.values is None
    monkeypatch.setattr(mask_decoder, "CPU_POSITIONS", 5)
    with torch.no_grad():
        pieces = decoder.attend(side, prompts, dense)
    assert [piece.features.shape[1] for piece in pieces.pieces] == [5, 5, 2]
    # A mask prompt's image is not shared; a normalisation over all positions needs the whole.
    assert (pieces.values is None) == (masks or style.group_norm)
    torch.testing.assert_close(pieces.features, whole.features)
    torch.testing.assert_close(pieces.tokens, whole.tokens)
    some = torch.tensor([3, 1])
    for one, other in ((pieces, whole), (pieces[some], whole[some])):
        logits = decoder.masks(side, one, slice(0, None))
        expected = decoder.masks(side, other, slice(0, None))
        torch.testing.assert_close(logits, expected)
