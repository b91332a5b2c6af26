# SPDX-License-Identifier: GPL-2.0-or-later
"""The encoder of EdgeTAM: RepViT-M1 (Wang et al. 2024, "RepViT: Revisiting Mobile CNN From ViT
Perspective") under SAM 2's feature pyramid.

Attribute names are those of the official checkpoint (EdgeTAM's, which takes its trunk from timm).
What adds up to one convolution becomes one once the weights are loaded.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .blocks import ConvNorm, Foldable
from .fpn import PyramidEncoder

DIMS, DEPTHS = (48, 96, 192, 384), (2, 2, 14, 2)
"""Channels and blocks of the four stages of RepViT-M1."""


class TokenMixer(Foldable):
    """Three by three, one by one and nothing at all, channel by channel, added up."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv = ConvNorm(dim, dim, 3, groups=dim)
        self.conv1: ConvNorm | None = ConvNorm(dim, dim, groups=dim)

    def fold(self) -> None:
        """One convolution instead of the three paths."""
        if self.conv1 is None:
            return
        self.conv.fold()
        self.conv1.fold()
        one, three = self.conv1.c, self.conv.c
        with torch.no_grad():
            three.weight[:, :, 1:2, 1:2] += one.weight + 1.0
            if three.bias is not None and one.bias is not None:
                three.bias += one.bias
        self.conv1 = None

    def forward(self, x: Tensor) -> Tensor:
        mixed: Tensor = self.conv(x)
        return mixed if self.conv1 is None else mixed + self.conv1(x) + x


class SqueezeExcite(nn.Module):
    """Channels weighted by what the whole map shows (Hu et al. 2018)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        hidden = max(8, (dim // 4 + 4) // 8 * 8)  # a quarter, in eights
        self.fc1 = nn.Conv2d(dim, hidden, 1)
        self.fc2 = nn.Conv2d(hidden, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        weight: Tensor = self.fc2(F.relu(self.fc1(x.mean((2, 3), keepdim=True))))
        return x * weight.sigmoid()


class ChannelMixer(nn.Module):
    """Two 1 x 1 convolutions beside the map itself."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(dim, 2 * dim)
        self.conv2 = ConvNorm(2 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        mixed: Tensor = self.conv2(F.gelu(self.conv1(x)))
        return x + mixed


class Block(nn.Module):
    """Mix positions, weight channels (in every other block), mix channels."""

    def __init__(self, dim: int, excite: bool) -> None:
        super().__init__()
        self.token_mixer = TokenMixer(dim)
        self.se: nn.Module = SqueezeExcite(dim) if excite else nn.Identity()
        self.channel_mixer = ChannelMixer(dim)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.channel_mixer(self.se(self.token_mixer(x)))
        return out


class Downsample(nn.Module):
    """Half the side, more channels."""

    def __init__(self, into: int, out: int) -> None:
        super().__init__()
        self.pre_block = Block(into, excite=False)
        self.spatial_downsample = ConvNorm(into, into, 3, 2, groups=into)
        self.channel_downsample = ConvNorm(into, out)
        self.ffn = ChannelMixer(out)

    def forward(self, x: Tensor) -> Tensor:
        x = self.channel_downsample(self.spatial_downsample(self.pre_block(x)))
        out: Tensor = self.ffn(x)
        return out


class Stage(nn.Module):
    """Some blocks at one resolution."""

    def __init__(self, into: int, out: int, depth: int) -> None:
        super().__init__()
        self.downsample: nn.Module = nn.Identity() if into == out else Downsample(into, out)
        self.blocks = nn.Sequential(*(Block(out, excite=k % 2 == 0) for k in range(depth)))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.blocks(self.downsample(x))
        return out


class Stem(nn.Module):
    """(B, 3, S, S) to (B, dim, S / 4, S / 4)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(3, dim // 2, 3, 2)
        self.conv2 = ConvNorm(dim // 2, dim, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv2(F.gelu(self.conv1(x)))
        return out


class Body(nn.Module):
    """Stem and stages, under the names that timm gives them."""

    def __init__(self, dims: Sequence[int], depths: Sequence[int]) -> None:
        super().__init__()
        self.stem = Stem(dims[0])
        into = dims[0]
        for number, (dim, depth) in enumerate(zip(dims, depths, strict=True)):
            self.add_module(f"stages_{number}", Stage(into, dim, depth))
            into = dim

    def forward(self, images: Tensor) -> list[Tensor]:
        x = self.stem(images)
        maps = []
        for stage in self.children():
            if isinstance(stage, Stage):
                x = stage(x)
                maps.append(x)
        return maps


class RepViT(nn.Module):
    """Images (B, 3, S, S) to four maps (B, h, w, C) with strides 4, 8, 16 and 32."""

    def __init__(self, dims: Sequence[int] = DIMS, depths: Sequence[int] = DEPTHS) -> None:
        super().__init__()
        self.body = Body(dims, depths)

    def forward(self, images: Tensor) -> list[Tensor]:
        return [part.permute(0, 2, 3, 1) for part in self.body(images)]


class Encoder(PyramidEncoder):
    """EdgeTAM's trunk and pyramid."""

    def __init__(self, dims: Sequence[int] = DIMS, depths: Sequence[int] = DEPTHS) -> None:
        super().__init__(RepViT(dims, depths), dims)
