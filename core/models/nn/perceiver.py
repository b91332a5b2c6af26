# SPDX-License-Identifier: GPL-2.0-or-later
"""EdgeTAM's 2D spatial perceiver (Zhou et al. 2025): a frame's memory as a few hundred tokens.

Half of the tokens look at the whole frame, the other half at one window each, so that the second
half keeps places. Attribute names are those of the official checkpoint.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .positions import sine_of_grid


def _feed_forward(dim: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(
        nn.LayerNorm(dim),
        nn.Linear(dim, hidden, bias=False),
        nn.GELU(),
        nn.Linear(hidden, dim, bias=False),
    )


class LatentAttention(nn.Module):
    """Attention with one head of latents to features that are normalised first.

    Args:
        dim: Features of both.
        same: The latents attend to themselves: one normalisation serves both.
    """

    def __init__(self, dim: int, *, same: bool) -> None:
        super().__init__()
        if same:
            self.norm = nn.LayerNorm(dim)
        else:
            self.norm_x = nn.LayerNorm(dim)
            self.norm_latents = nn.LayerNorm(dim)
        self.same = same
        self.to_q = nn.Linear(dim, dim, bias=False)
        self.to_kv = nn.Linear(dim, 2 * dim, bias=False)
        self.to_out = nn.Linear(dim, dim, bias=False)

    def forward(self, latents: Tensor, x: Tensor, positions: Tensor | None = None) -> Tensor:
        """Latents (B, n, dim) attend to (B, m, dim); positions (m, dim) join keys and values."""
        if self.same:
            normal = seen = self.norm(latents)
        else:
            normal, seen = self.norm_latents(latents), self.norm_x(x)
        keys, values = self.to_kv(seen).chunk(2, dim=-1)
        if positions is not None:
            keys, values = keys + positions, values + positions
        q = self.to_q(normal)
        out = F.scaled_dot_product_attention(q[:, None], keys[:, None], values[:, None])
        merged: Tensor = self.to_out(out[:, 0])
        return merged


class PerceiverLayer(nn.Module):
    """Latents look at the frame, then at each other."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.attn = LatentAttention(dim, same=False)
        self.ff = _feed_forward(dim, hidden)
        self.self_attn = LatentAttention(dim, same=True)
        self.self_ff = _feed_forward(dim, hidden)

    def forward(self, latents: Tensor, x: Tensor, positions: Tensor | None = None) -> Tensor:
        latents = self.attn(latents, x, positions) + latents
        latents = self.ff(latents) + latents
        latents = self.self_attn(latents, latents) + latents
        out: Tensor = self.self_ff(latents) + latents
        return out


class SpatialPerceiver(nn.Module):
    """Memories (B, dim, h, w) as (B, whole + placed, dim).

    Args:
        whole: Latents that look at all of the frame.
        placed: Latents that look at a window each; a square number.
        layers: Layers, shared by both kinds.
        dim: Features.
        hidden: Width of the feed-forward parts.
    """

    def __init__(self, whole: int, placed: int, layers: int, dim: int, hidden: int) -> None:
        super().__init__()
        self.side = math.isqrt(placed)
        self.dim = dim
        self.latents = nn.Parameter(torch.zeros(whole, dim))
        self.latents_2d = nn.Parameter(torch.zeros(placed, dim))
        self.layers = nn.ModuleList(PerceiverLayer(dim, hidden) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)

    def positions(self, device: torch.device) -> Tensor:
        """Of the tokens: (whole + placed, dim); those that look at all of the frame have none."""
        placed = sine_of_grid(self.dim, self.side, self.side, device)
        return torch.cat([placed.new_zeros(len(self.latents), self.dim), placed])

    def forward(self, memory: Tensor) -> Tensor:
        batch, _, height, width = memory.shape
        x = memory.flatten(2).transpose(1, 2)
        positions = sine_of_grid(self.dim, height, width, memory.device)
        whole = self.latents.expand(batch, -1, -1)
        for layer in self.layers:
            whole = layer(whole, x, positions)
        # One latent a window: each is a batch of its own.
        rows, cols = height // self.side, width // self.side
        windows = x.reshape(batch, self.side, rows, self.side, cols, self.dim)
        windows = windows.transpose(2, 3).reshape(-1, rows * cols, self.dim)
        placed = self.latents_2d.expand(batch, -1, -1).reshape(-1, 1, self.dim)
        for layer in self.layers:
            placed = layer(placed, windows)
        out: Tensor = self.norm(torch.cat([whole, placed.view(batch, -1, self.dim)], dim=1))
        return out
