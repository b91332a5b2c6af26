# SPDX-License-Identifier: GPL-2.0-or-later
"""The order of positions in the mask decoder's upscaling: each position's sub-pixels side by side.

Transposed convolutions of stride 2 and size 2 are matrix products then, and the sub-pixels are put
into their places once, in the finished masks.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def channels_last_map(x: Tensor, shape: tuple[int, int]) -> Tensor:
    """(B, 16 h w, C) in the order of the upscaling as a map (B, 4h, 4w, C)."""
    batch, _, channels = x.shape
    height, width = shape
    x = x.view(batch, height, width, 2, 2, 2, 2, channels).permute(0, 1, 3, 5, 2, 4, 6, 7)
    return x.reshape(batch, height * 4, width * 4, channels)


def as_product(layer: nn.ConvTranspose2d) -> tuple[Tensor, Tensor]:
    """A 2 x 2 transposed convolution for ``F.linear``: weight (4 * out, in), bias (4 * out)."""
    out = layer.out_channels
    bias = layer.weight.new_zeros(out) if layer.bias is None else layer.bias
    return layer.weight.permute(2, 3, 1, 0).flatten(0, 2), bias.repeat(4)


def to_subpixels(image: Tensor, shape: tuple[int, int]) -> Tensor:
    """A finer map (C, h 2^k, w 2^k) in the order of the upscaling: (h w 4^k, C)."""
    channels, height, width = image.shape
    x = image.permute(1, 2, 0)
    levels = (height // shape[0]).bit_length() - 1
    x = x.view(shape[0], *[2] * levels, shape[1], *[2] * levels, channels)
    order = [0, 1 + levels]
    for level in range(levels):
        order += [1 + level, 2 + levels + level]
    return x.permute(*order, -1).reshape(height * width, channels)


def from_subpixels(x: Tensor, shape: tuple[int, int]) -> Tensor:
    """(B, m, 16 h w) float32 in the order of the upscaling as maps (B, m, 4h, 4w)."""
    batch, rows, _ = x.shape
    height, width = shape
    if torch.compiler.is_compiling() or x.requires_grad:
        # Graphs for other engines, and gradients, know no numbers of 8 bytes in the place of two.
        x = x.view(batch, rows, height, width, 2, 2, 2, 2).permute(0, 1, 2, 4, 6, 3, 5, 7)
        return x.reshape(batch, rows, height * 4, width * 4)
    # Two neighbours at a time, as one number of 8 bytes: a dozen times faster than one by one.
    pairs = x.contiguous().view(torch.int64).view(batch, rows, height, width, 2, 2, 2)
    pairs = pairs.permute(0, 1, 2, 4, 6, 3, 5).reshape(batch, rows, height * 4, width * 2)
    return pairs.view(torch.float32)
