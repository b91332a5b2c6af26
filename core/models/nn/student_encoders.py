# SPDX-License-Identifier: GPL-2.0-or-later
"""The light encoders of EfficientSAM3 (Zeng et al. 2025), in the place of SAM 3's ViT.

    image --> trunk (stride 32) --> head --> 72 x 72 --> SAM 3's neck

The trunk is EfficientViT-B (Cai et al. 2023), RepViT (Wang et al. 2024) or TinyViT (Wu et al.
2022). Attribute names are those of the official checkpoints, without ``op_list``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from . import tiny_vit
from .blocks import ConvNorm, Foldable
from .efficient_vit import Conv, Halving, Residual, Style, attention_block, local_block
from .rep_vit import SqueezeExcite


class EfficientVitB(nn.Module):
    """EfficientViT-B: (B, 3, S, S) to (B, widths[-1], S / 32, S / 32).

    Args:
        widths: Channels of the stem and of the four stages.
        depths: Blocks: of the stem beside its convolution; of the next two stages; of the last two
            beside the one that halves the map.
        head: Channels of an attention head.
        expansion: Channels within a block per channel around it.
    """

    def __init__(
        self, widths: Sequence[int], depths: Sequence[int], head: int, expansion: float = 4
    ) -> None:
        super().__init__()
        style = Style(F.hardswish, 1e-5, head)
        first = widths[0]
        self.input_stem = nn.Sequential(
            Conv(3, first, 3, 2, active=True, style=style),
            *(
                Residual(local_block("separable", first, first, 1, 1, False, style))
                for _ in range(depths[0])
            ),
        )
        self.stages = nn.ModuleList()
        for number in range(1, len(widths)):
            into, width, attends = widths[number - 1], widths[number], number > 2
            halving = local_block("inverted", into, width, 2, expansion, attends, style)
            blocks: list[nn.Module] = [Halving(halving)]
            if attends:
                blocks += [
                    attention_block(width, expansion, style=style) for _ in range(depths[number])
                ]
            else:
                blocks += [
                    Residual(local_block("inverted", width, width, 1, expansion, False, style))
                    for _ in range(depths[number] - 1)
                ]
            self.stages.append(nn.Sequential(*blocks))

    def forward(self, x: Tensor) -> Tensor:
        x = self.input_stem(x)
        for stage in self.stages:
            x = stage(x)
        return x


class DepthwiseMixer(Foldable):
    """Three by three, one by one and nothing at all, channel by channel, added up and normalised.

    As :class:`.rep_vit.TokenMixer` in the names and with the biases of RepViT's own code.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv = ConvNorm(dim, dim, 3, groups=dim)
        self.conv1: nn.Conv2d | None = nn.Conv2d(dim, dim, 1, groups=dim)
        self.bn: nn.Module = nn.BatchNorm2d(dim)

    def fold(self) -> None:
        """One convolution instead of the three paths and both normalisations."""
        if self.conv1 is None or not isinstance(self.bn, nn.BatchNorm2d):
            return
        self.conv.fold()
        three, one, norm = self.conv.c, self.conv1, self.bn
        mean, variance = norm.running_mean, norm.running_var
        if three.bias is None or one.bias is None or mean is None or variance is None:
            return
        with torch.no_grad():
            three.weight[:, :, 1:2, 1:2] += one.weight + 1.0
            three.bias += one.bias
            factor = norm.weight / (variance + norm.eps).sqrt()
            three.weight *= factor.view(-1, 1, 1, 1)
            three.bias.copy_((three.bias - mean) * factor + norm.bias)
        self.conv1, self.bn = None, nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        mixed: Tensor = self.conv(x)
        out: Tensor = self.bn(mixed if self.conv1 is None else mixed + self.conv1(x) + x)
        return out


class ChannelMixer(nn.Module):
    """Two 1 x 1 convolutions beside the map itself."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.m = nn.Sequential(ConvNorm(dim, 2 * dim), nn.GELU(), ConvNorm(2 * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.m(x)
        return out


@dataclass(frozen=True)
class RepBlock:
    """A block of RepViT: channels, whether it halves the map, whether it weighs channels."""

    width: int
    halves: bool
    excites: bool


class _RepVitBlock(nn.Module):
    def __init__(self, into: int, block: RepBlock) -> None:
        super().__init__()
        excite = SqueezeExcite(into) if block.excites else nn.Identity()
        if block.halves:
            self.token_mixer = nn.Sequential(
                ConvNorm(into, into, 3, 2, groups=into), excite, ConvNorm(into, block.width)
            )
        else:
            self.token_mixer = nn.Sequential(DepthwiseMixer(into), excite)
        self.channel_mixer = ChannelMixer(block.width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.channel_mixer(self.token_mixer(x))
        return out


class RepVit(nn.Module):
    """RepViT in the layout of its own code: (B, 3, S, S) to (B, C, S / 32, S / 32).

    Args:
        stem: Channels of the first map, stride 4.
        blocks: That follow it.
    """

    def __init__(self, stem: int, blocks: Sequence[RepBlock]) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.Sequential(ConvNorm(3, stem // 2, 3, 2), nn.GELU(), ConvNorm(stem // 2, stem, 3, 2))
        ]
        widths = [stem, *(block.width for block in blocks)]
        layers += [_RepVitBlock(into, block) for into, block in zip(widths, blocks, strict=False)]
        self.features = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.features:
            x = layer(x)
        return x


class TinyVit(nn.Module):
    """TinyViT without a neck: (B, 3, S, S) to (B, dims[-1], S / 32, S / 32).

    Args:
        dims, depths, heads, windows: As in :class:`.tiny_vit.TinyViT`.
    """

    def __init__(
        self,
        dims: Sequence[int],
        depths: Sequence[int],
        heads: Sequence[int],
        windows: Sequence[int],
    ) -> None:
        super().__init__()
        self.patch_embed = tiny_vit.PatchEmbed(dims[0])
        self.layers = nn.ModuleList(tiny_vit.stages(dims, depths, heads, windows, (2, 2, 2)))

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch_embed(x)
        for stage in self.layers:
            x = stage(x)
        return x


class StudentEncoder(nn.Module):
    """A trunk and what gives its features SAM 3's shape; called like transformers' ViT.

    Args:
        trunk: Images to (B, channels, h, w).
        channels: Of its features.
        width: Of the features that the neck takes.
        grid: Positions along a side of those.
    """

    def __init__(self, trunk: nn.Module, channels: int, width: int, grid: int) -> None:
        super().__init__()
        self.backbone = trunk
        self.head = nn.Sequential(
            nn.Conv2d(channels, width, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.GELU(),
            nn.Conv2d(width, width, 3, padding=1),
        )
        self.grid = grid

    def forward(self, pixel_values: Tensor, **_: object) -> SimpleNamespace:
        """Images (B, 3, S, S) to ``last_hidden_state`` (B, grid^2, width)."""
        x = self.head(self.backbone(pixel_values))
        shape = (self.grid, self.grid)
        if tuple(x.shape[-2:]) != shape:
            x = F.interpolate(x.float(), shape, mode="bilinear", align_corners=False)
        tokens = x.flatten(2).transpose(1, 2).contiguous()
        return SimpleNamespace(last_hidden_state=tokens, hidden_states=None, attentions=None)
