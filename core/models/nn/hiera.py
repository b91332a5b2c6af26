# SPDX-License-Identifier: GPL-2.0-or-later
"""The image encoder of SAM 2: Hiera (Ryali et al. 2023) under a small feature pyramid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .blocks import Mlp, join_windows, split_windows
from .fpn import PyramidEncoder


@dataclass(frozen=True)
class HieraSize:
    """What a checkpoint's shapes do not tell.

    Args:
        name: Of the variant.
        dim: Width of the first stage; doubles with each.
        heads: Of the first stage; double likewise.
        stages: Blocks a stage.
        whole: Blocks that attend to the whole map.
        windows: Side of the windows by stage.
    """

    name: str
    dim: int
    heads: int
    stages: tuple[int, ...]
    whole: tuple[int, ...]
    windows: tuple[int, ...] = (8, 4, 14, 7)


SIZES = (
    HieraSize("hiera_tiny", 96, 1, (1, 2, 7, 2), (5, 7, 9)),
    HieraSize("hiera_small", 96, 1, (1, 2, 11, 2), (7, 10, 13)),
    HieraSize("hiera_base_plus", 112, 2, (2, 3, 16, 3), (12, 16, 20)),
    HieraSize("hiera_large", 144, 2, (2, 6, 36, 4), (23, 33, 43), (8, 4, 16, 8)),
)


def _pool(x: Tensor) -> Tensor:
    """Largest of each 2 x 2 cells of (B, H, W, C)."""
    return F.max_pool2d(x.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)


class PoolingAttention(nn.Module):
    """Self-attention of (B, H, W, into); with ``pool`` the queries are pooled to H / 2, W / 2."""

    def __init__(self, into: int, out: int, heads: int, pool: bool) -> None:
        super().__init__()
        self.heads = heads
        self.pool = pool
        self.qkv = nn.Linear(into, out * 3)
        self.proj = nn.Linear(out, out)

    def forward(self, x: Tensor) -> Tensor:
        batch, height, width, _ = x.shape
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        if self.pool:
            q = _pool(q)
            height, width = q.shape[1:3]
        q, k, v = (
            part.reshape(batch, -1, self.heads, part.shape[-1] // self.heads).transpose(1, 2)
            for part in (q, k, v)
        )
        out = F.scaled_dot_product_attention(q, k, v).transpose(1, 2)
        merged: Tensor = self.proj(out.reshape(batch, height, width, -1))
        return merged


class Block(nn.Module):
    """Attention in windows or over the whole map, then an MLP; may halve the map."""

    def __init__(self, into: int, out: int, heads: int, window: int, pool: bool) -> None:
        super().__init__()
        self.window = window
        self.pool = pool
        self.norm1 = nn.LayerNorm(into, eps=1e-6)
        self.attn = PoolingAttention(into, out, heads, pool)
        self.norm2 = nn.LayerNorm(out, eps=1e-6)
        self.mlp = Mlp(out, out * 4)
        self.proj = nn.Linear(into, out) if into != out else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(x)
        if self.proj is not None:
            x = self.proj(y)
            x = _pool(x) if self.pool else x
        if self.window:
            windows, padded = split_windows(y, self.window)
            shrink = 2 if self.pool else 1
            y = join_windows(
                self.attn(windows),
                self.window // shrink,
                (padded[0] // shrink, padded[1] // shrink),
                (x.shape[1], x.shape[2]),
            )
        else:
            y = self.attn(y)
        x = x + y
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class PatchEmbed(nn.Module):
    """(B, 3, S, S) to (B, S / 4, S / 4, dim)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, 7, stride=4, padding=3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.proj(x)
        return out.permute(0, 2, 3, 1)


class Hiera(nn.Module):
    """Images (B, 3, S, S) to four maps (B, h, w, C) with strides 4, 8, 16 and 32."""

    def __init__(self, size: HieraSize, background: Sequence[int] = (7, 7)) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(size.dim)
        self.pos_embed = nn.Parameter(torch.zeros(1, size.dim, *background))
        self.pos_embed_window = nn.Parameter(
            torch.zeros(1, size.dim, size.windows[0], size.windows[0])
        )
        blocks: list[Block] = []
        dim, heads = size.dim, size.heads
        self.ends: list[int] = []
        for stage, depth in enumerate(size.stages):
            for index in range(depth):
                starts = stage > 0 and index == 0
                # The block that halves the map still has the windows of the stage before.
                window = size.windows[stage - 1 if starts else stage]
                if len(blocks) in size.whole:
                    window = 0
                out = dim * 2 if starts else dim
                heads = heads * 2 if starts else heads
                blocks.append(Block(dim, out, heads, window, pool=starts))
                dim = out
            self.ends.append(len(blocks) - 1)
        self.blocks = nn.ModuleList(blocks)

    def positions(self, height: int, width: int) -> Tensor:
        """A smooth background and a pattern that repeats with the windows: (1, h, w, dim)."""
        background = F.interpolate(self.pos_embed, (height, width), mode="bicubic")
        side = self.pos_embed_window.shape[-1]
        tiles = self.pos_embed_window.tile(1, 1, height // side, width // side)
        return (background + tiles).permute(0, 2, 3, 1)

    def forward(self, images: Tensor) -> list[Tensor]:
        x = self.patch_embed(images)
        x = x + self.positions(x.shape[1], x.shape[2])
        out = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in self.ends:
                out.append(x)
        return out


class Encoder(PyramidEncoder):
    """SAM 2's trunk and pyramid."""

    def __init__(self, size: HieraSize, background: Sequence[int]) -> None:
        dims = [size.dim * 2**stage for stage in range(len(size.stages))]
        super().__init__(Hiera(size, background), dims)
