# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixed positional encodings: sine and cosine (Vaswani et al. 2017), and rotary (Su et al. 2021).

All of them depend on sizes only, never on weights, so that they are computed where they are needed
and are not part of a checkpoint.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

TEMPERATURE = 10000.0


def sine_of_number(values: Tensor, dim: int) -> Tensor:
    """Encode numbers: (n,) float32 to (n, dim), all sines before all cosines."""
    half = dim // 2
    index = torch.arange(half, dtype=torch.float32, device=values.device)
    angle = values[:, None] / TEMPERATURE ** (2 * (index // 2) / half)
    return torch.cat([angle.sin(), angle.cos()], dim=-1)


@lru_cache(maxsize=8)
def sine_of_grid(dim: int, height: int, width: int, device: torch.device) -> Tensor:
    """Encode the cells of a grid, row by row: (height * width, dim), rows before columns.

    Positions count from 1 and are scaled to one turn along each axis.
    """

    def axis(count: int) -> Tensor:
        at = torch.arange(1, count + 1, dtype=torch.float32, device=device)
        at = at / (at[-1:] + 1e-6) * (2 * math.pi)
        half = dim // 2
        index = torch.arange(half, dtype=torch.float32, device=device)
        angle = at[:, None] / TEMPERATURE ** (2 * (index // 2) / half)
        return torch.stack([angle[:, 0::2].sin(), angle[:, 1::2].cos()], dim=2).flatten(1)

    rows = axis(height)[:, None].expand(height, width, -1)
    cols = axis(width)[None].expand(height, width, -1)
    return torch.cat([rows, cols], dim=2).flatten(0, 1)


@lru_cache(maxsize=8)
def rotary_of_grid(dim: int, height: int, width: int, device: torch.device) -> Tensor:
    """How a grid's features are turned, row by row: (height * width, dim / 2, 2) cosine and sine.

    The first half of the pairs turns with the column, the second with the row.
    """
    index = torch.arange(0, dim, 4, dtype=torch.float32, device=device)[: dim // 4]
    frequency = 1.0 / TEMPERATURE ** (index / dim)
    at = torch.arange(height * width, dtype=torch.float32, device=device)
    col, row = at % width, torch.div(at, width, rounding_mode="floor")
    angle = torch.cat([torch.outer(col, frequency), torch.outer(row, frequency)], dim=-1)
    return torch.stack([angle.cos(), angle.sin()], dim=-1)


def not_turned(count: int, dim: int, device: torch.device) -> Tensor:
    """The same for features without a place: (count, dim / 2, 2)."""
    turn = torch.zeros(count, dim // 2, 2, device=device)
    turn[..., 0] = 1.0
    return turn


def rotate(x: Tensor, turns: Tensor) -> Tensor:
    """Turn neighbouring pairs of features (..., n, dim) by (n, dim / 2, 2), in float32."""
    pairs = x.float().reshape(*x.shape[:-1], -1, 2)
    even, odd = pairs[..., 0], pairs[..., 1]
    cos, sin = turns[..., 0], turns[..., 1]
    turned = torch.empty_like(pairs)
    turned[..., 0] = even * cos - odd * sin
    turned[..., 1] = even * sin + odd * cos
    return turned.flatten(-2).to(x.dtype)
