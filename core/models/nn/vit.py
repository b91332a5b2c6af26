# SPDX-License-Identifier: GPL-2.0-or-later
"""The encoder of SAM and SAM-HQ: a plain ViT with windows (Li et al. 2022, ViTDet)."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .blocks import Mlp, join_windows, neck, split_windows

WINDOW = 14


class RelativeAttention(nn.Module):
    """Self-attention of a map with decomposed relative positions (MViTv2, Li et al. 2022).

    The bias of query (i, j) and key (u, v) is q . R_h[i - u] + q . R_w[j - v].
    """

    def __init__(self, dim: int, heads: int, side: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, dim * 3)
        self.proj = nn.Linear(dim, dim)
        self.rel_pos_h = nn.Parameter(torch.zeros(2 * side - 1, dim // heads))
        self.rel_pos_w = nn.Parameter(torch.zeros(2 * side - 1, dim // heads))

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, dim) to the same."""
        batch, height, width, dim = x.shape
        qkv = self.qkv(x).view(batch, height * width, 3, self.heads, dim // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        rows = q.view(batch, self.heads, height, width, -1)
        table_h = _relative(self.rel_pos_h, height).to(rows.dtype)
        table_w = _relative(self.rel_pos_w, width).to(rows.dtype)
        # (B, heads, H, W, keys along one axis), for all queries: small.
        bias_h = rows @ table_h.transpose(1, 2)
        bias_w = (rows.transpose(2, 3) @ table_w.transpose(1, 2)).transpose(2, 3)
        out = torch.empty_like(q)
        # The sum of both, a value for every pair, is not: 64 query rows of it at 1024 pixels are
        # 800 MB. So some heads and query rows at a time, all at once where windows keep it small.
        for heads, part in _steps(batch, self.heads, height, width, x.device.type):
            bias = bias_h[:, heads, part, :, :, None] + bias_w[:, heads, part, :, None, :]
            bias = bias.flatten(4).flatten(2, 3)
            queries = slice(part.start * width, part.stop * width)
            out[:, heads, queries] = F.scaled_dot_product_attention(
                q[:, heads, queries], k[:, heads], v[:, heads], attn_mask=bias
            )
        merged: Tensor = self.proj(out.transpose(1, 2).reshape(batch, height, width, dim))
        return merged


def _steps(
    batch: int, heads: int, height: int, width: int, device: str, budget: int = 1 << 22
) -> Iterator[tuple[slice, slice]]:
    """Heads and query rows whose bias has at most ``budget`` values (16 MB as float32).

    Where not all fit, a CPU takes one head after the other: four query rows of 64 are more than one
    of all heads, and stay in its cache (a third less time).
    """
    row = batch * heads * width * height * width
    together = heads if row * height <= budget or device != "cpu" else 1
    if together < heads:
        budget = min(budget, 1 << 20)
    rows = min(height, max(1, budget // (row // heads * together)))
    for head in range(0, heads, together):
        for start in range(0, height, rows):
            yield slice(head, head + together), slice(start, min(start + rows, height))


def _relative(table: Tensor, side: int) -> Tensor:
    """Rows of a table of relative positions for each pair: (query, key, d)."""
    if len(table) != 2 * side - 1:
        table = F.interpolate(table.T[None], 2 * side - 1, mode="linear")[0].T
    place = torch.arange(side, device=table.device)
    return table[place[:, None] - place[None, :] + side - 1]


class Block(nn.Module):
    """Attention in windows (``window`` > 0) or over the whole map, then an MLP."""

    def __init__(self, dim: int, heads: int, window: int, grid: int) -> None:
        super().__init__()
        self.window = window
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = RelativeAttention(dim, heads, window or grid)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, dim * 4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(x)
        if self.window:
            windows, padded = split_windows(y, self.window)
            y = join_windows(self.attn(windows), self.window, padded, (x.shape[1], x.shape[2]))
        else:
            y = self.attn(y)
        x = x + y
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class PatchEmbed(nn.Module):
    """Patches as vectors: (B, 3, H, W) to (B, h, w, dim)."""

    def __init__(self, dim: int, patch: int = 16) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, patch, stride=patch)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.proj(x)
        return out.permute(0, 2, 3, 1)


class ViT(nn.Module):
    """Images (B, 3, S, S) to features (B, 256, S / 16, S / 16).

    Args:
        dim, depth, heads: Of the transformer.
        whole: Blocks that attend to the whole map; the others have windows.
        grid: S / 16 for which the positions were learned.
    """

    def __init__(
        self, dim: int, depth: int, heads: int, whole: Collection[int], grid: int = 64
    ) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(dim)
        self.pos_embed = nn.Parameter(torch.zeros(1, grid, grid, dim))
        self.blocks = nn.ModuleList(
            Block(dim, heads, 0 if index in whole else WINDOW, grid) for index in range(depth)
        )
        self.neck = neck(dim)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features, and (B, h, w, dim) after the first block that sees the whole map (SAM-HQ)."""
        x = self.patch_embed(images) + self.pos_embed
        early = None
        for block in self.blocks:
            x = block(x)
            if early is None and not block.window:
                early = x
        features: Tensor = self.neck(x.permute(0, 3, 1, 2))
        return features, x if early is None else early
