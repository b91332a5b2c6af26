# SPDX-License-Identifier: GPL-2.0-or-later
"""The encoder of MobileSAM: TinyViT (Wu et al. 2022), its last downsampling with stride 1.

Attribute names are those of the official checkpoint. Convolutions and their batch
normalisations become one once the weights are loaded.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .blocks import ConvNorm, join_windows, neck, split_windows


class PatchEmbed(nn.Module):
    """(B, 3, S, S) to (B, dim, S / 4, S / 4)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.seq = nn.Sequential(
            ConvNorm(3, dim // 2, 3, 2), nn.GELU(), ConvNorm(dim // 2, dim, 3, 2)
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.seq(x)
        return out


class MobileBlock(nn.Module):
    """Inverted bottleneck with a residual (MBConv)."""

    def __init__(self, dim: int, expand: int = 4) -> None:
        super().__init__()
        hidden = dim * expand
        self.conv1 = ConvNorm(dim, hidden)
        self.conv2 = ConvNorm(hidden, hidden, 3, groups=hidden)
        self.conv3 = ConvNorm(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        y = F.gelu(self.conv2(F.gelu(self.conv1(x))))
        return F.gelu(x + self.conv3(y))


class Merging(nn.Module):
    """Fewer positions (or, at stride 1, as many) with more channels."""

    def __init__(self, into: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(into, out)
        self.conv2 = ConvNorm(out, out, 3, stride, groups=out)
        self.conv3 = ConvNorm(out, out)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv3(F.gelu(self.conv2(F.gelu(self.conv1(x)))))
        return out


class BiasedAttention(nn.Module):
    """Attention in a window, with a learned bias for each pair's distance along both axes."""

    def __init__(self, dim: int, heads: int, side: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, dim * 3)
        self.proj = nn.Linear(dim, dim)
        self.attention_biases = nn.Parameter(torch.zeros(heads, side * side))
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        """(windows, side^2, dim) to the same."""
        batch, count, dim = x.shape
        # Official order: for each head its query, key and value.
        qkv = self.qkv(self.norm(x)).view(batch, count, self.heads, 3, dim // self.heads)
        q, k, v = qkv.permute(3, 0, 2, 1, 4).unbind(0)
        bias = self.attention_biases[:, _distances(self.side, x.device)].to(q.dtype)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias[None])
        merged: Tensor = self.proj(out.transpose(1, 2).reshape(batch, count, dim))
        return merged


def _distances(side: int, device: torch.device) -> Tensor:
    """Which bias each pair of cells of a window has: (side^2, side^2).

    A distance of (a, b) rows and columns is entry a * side + b: the order in which one meets them
    going from the first cell to all others, as the official table is filled.
    """
    place = torch.arange(side, device=device)
    apart = (place[:, None] - place[None, :]).abs()
    pairs = apart[:, None, :, None] * side + apart[None, :, None, :]
    return pairs.flatten(2).flatten(0, 1)


class NormMlp(nn.Module):
    """Layer normalisation and two linear layers."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(F.gelu(self.fc1(self.norm(x))))
        return out


class WindowBlock(nn.Module):
    """Attention in windows, a depthwise convolution across them, an MLP."""

    def __init__(self, dim: int, heads: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.attn = BiasedAttention(dim, heads, window)
        self.mlp = NormMlp(dim, dim * 4)
        self.local_conv = ConvNorm(dim, dim, 3, groups=dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, dim, H, W) to the same."""
        last = x.permute(0, 2, 3, 1)
        shape = (last.shape[1], last.shape[2])
        windows, padded = split_windows(last, self.window)
        y = self.attn(windows.flatten(1, 2))
        last = last + join_windows(y, self.window, padded, shape)
        mixed: Tensor = self.local_conv(last.permute(0, 3, 1, 2))
        last = mixed.permute(0, 2, 3, 1)
        out: Tensor = last + self.mlp(last)
        return out.permute(0, 3, 1, 2)


class Stage(nn.Module):
    """Blocks, then a downsampling (not in the last stage)."""

    def __init__(self, blocks: Sequence[nn.Module], downsample: nn.Module | None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        if self.downsample is not None:
            x = self.downsample(x)
        out: Tensor = x
        return out


def stages(
    dims: Sequence[int],
    depths: Sequence[int],
    heads: Sequence[int],
    windows: Sequence[int],
    strides: Sequence[int],
) -> list[Stage]:
    """The stages of a TinyViT; ``strides`` of the mergings between them."""
    made = []
    for index, dim in enumerate(dims):
        last = index == len(dims) - 1
        merging = None if last else Merging(dim, dims[index + 1], strides[index])
        blocks: list[nn.Module]
        if index == 0:
            blocks = [MobileBlock(dim) for _ in range(depths[0])]
        else:
            blocks = [WindowBlock(dim, heads[index], windows[index]) for _ in range(depths[index])]
        made.append(Stage(blocks, merging))
    return made


class TinyViT(nn.Module):
    """Images (B, 3, S, S) to features (B, 256, S / 16, S / 16).

    Args:
        dims, depths, heads, windows: Of the four stages (the first has no attention).
    """

    def __init__(
        self,
        dims: Sequence[int] = (64, 128, 160, 320),
        depths: Sequence[int] = (2, 2, 6, 2),
        heads: Sequence[int] = (2, 4, 5, 10),
        windows: Sequence[int] = (7, 7, 14, 7),
    ) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(dims[0])
        # The third merging would halve again; the family's stride of 16 is reached before.
        self.layers = nn.ModuleList(stages(dims, depths, heads, windows, (2, 2, 1)))
        self.neck = neck(dims[-1])

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features, and (B, h, w, dim) after the second stage (light SAM-HQ)."""
        x = self.patch_embed(images)
        early = x
        for index, stage in enumerate(self.layers):
            x = stage(x)
            if index == 1:
                early = x
        features: Tensor = self.neck(x)
        return features, early.permute(0, 2, 3, 1)
