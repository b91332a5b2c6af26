# SPDX-License-Identifier: GPL-2.0-or-later
"""The encoder of EfficientViT-SAM: EfficientViT (Cai et al. 2023, "EfficientViT: Multi-Scale Linear
Attention for High-Resolution Dense Prediction") under the neck of Zhang et al. 2024.

Stages of convolutions, each with half the side of the one before; the last ones attend to the whole
map with linear attention. The neck adds the last three stages up at the finest of their grids.

    stage 0 -> 1 -> 2 -> 3 -> 4          L0 to L2: strides 2 to 32, neck at 8
    stage 0 -> 1 -> 2 -> 3 -> 4 -> 5     XL0 and XL1: strides 2 to 64, neck at 16

Attribute names are those of the official checkpoints without ``op_list``. Batch normalisation is
folded into the convolutions once the weights are loaded.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .blocks import Activation, Foldable, LayerNorm2d

Kind = Literal["residual", "fused", "separable", "inverted", "attention"]

EPS = 1e-6
"""Of every normalisation of EfficientViT-SAM, the decoder's among them."""


def tanh_gelu(x: Tensor) -> Tensor:
    """GELU in its approximation by tanh."""
    return F.gelu(x, approximate="tanh")


@dataclass(frozen=True)
class Style:
    """How the members of EfficientViT differ.

    Args:
        activation: Between convolutions.
        eps: Of batch normalisation.
        head: Channels of an attention head.
    """

    activation: Activation = tanh_gelu
    eps: float = EPS
    head: int = 32


LARGE = Style()
"""Of EfficientViT-SAM's encoders."""


@dataclass(frozen=True)
class Stage:
    """One resolution.

    Args:
        width: Channels.
        depth: Blocks after the first, which halves the map (in stage 0: after the stem).
        kind: Of those blocks: two 3 x 3 convolutions ("residual"), 3 x 3 and 1 x 1 ("fused"), 1 x
            1, 3 x 3 by channel and 1 x 1 ("inverted"), or linear attention and an inverted block.
        expansion: Channels within a block per channel around it; four times that in the first.
        few_norms: Only the last convolution of a block is normalised, the others have a bias.
        scale: Side of the neighbourhoods that attention gathers beside single positions.
        fused_first: The block that halves the map is "fused" and not "inverted".
    """

    width: int
    depth: int
    kind: Kind
    expansion: float
    few_norms: bool = False
    scale: int = 5
    fused_first: bool = False


def _large(*depths: int) -> tuple[Stage, ...]:
    return (
        Stage(32, depths[0], "residual", 1),
        Stage(64, depths[1], "fused", 4, fused_first=True),
        Stage(128, depths[2], "fused", 4, fused_first=True),
        Stage(256, depths[3], "inverted", 4, few_norms=True),
        Stage(512, depths[4], "attention", 6, few_norms=True),
    )


def _extra_large(*depths: int) -> tuple[Stage, ...]:
    return (
        *_large(*depths[:3], 0, 0)[:3],
        Stage(256, depths[3], "fused", 4, fused_first=True),
        Stage(512, depths[4], "attention", 4, few_norms=True, scale=3),
        Stage(1024, depths[5], "attention", 6, few_norms=True, scale=3),
    )


@dataclass(frozen=True)
class EncoderSize:
    """A whole encoder.

    Args:
        name: Of the variant.
        stages: Of the backbone.
        neck_depth, neck_expansion: Fused blocks of the neck.
        neck_width: Its channels.
    """

    name: str
    stages: tuple[Stage, ...]
    neck_depth: int
    neck_expansion: float
    neck_width: int = 256

    @property
    def stride(self) -> int:
        """Pixels along a side of one position of the features."""
        return int(2 ** (len(self.stages) - NECK_STAGES + 1))


NECK_STAGES = 3
"""The last stages, which the neck adds up."""

SIZES = (
    EncoderSize("l0", _large(1, 1, 1, 4, 4), 4, 1),
    EncoderSize("l1", _large(1, 1, 1, 6, 6), 8, 1),
    EncoderSize("l2", _large(1, 2, 2, 8, 8), 12, 1),
    EncoderSize("xl0", _extra_large(0, 1, 1, 2, 3, 3), 6, 4),
    EncoderSize("xl1", _extra_large(1, 2, 2, 4, 6, 6), 12, 4),
)


class Conv(Foldable):
    """A convolution, batch normalisation or a bias, and perhaps the activation."""

    def __init__(
        self,
        into: int,
        out: int,
        side: int,
        stride: int = 1,
        *,
        groups: int = 1,
        norm: bool = True,
        bias: bool = False,
        active: bool = False,
        style: Style = LARGE,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(into, out, side, stride, side // 2, groups=groups, bias=bias)
        self.norm: nn.Module | None = nn.BatchNorm2d(out, eps=style.eps) if norm else None
        self.activation = style.activation if active else None

    def fold(self) -> None:
        if isinstance(self.norm, nn.BatchNorm2d):
            self.conv = fuse_conv_bn_eval(self.conv, self.norm)
            self.norm = None

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        x = x if self.norm is None else self.norm(x)
        return x if self.activation is None else self.activation(x)


def local_block(
    kind: Kind,
    into: int,
    out: int,
    stride: int,
    expansion: float,
    few_norms: bool,
    style: Style = LARGE,
) -> nn.Sequential:
    """Convolutions of one block, under their official names; see :class:`Stage`."""
    hidden = round(into * expansion)

    def first(into: int, side: int, stride: int, groups: int = 1) -> Conv:
        return Conv(
            into,
            hidden,
            side,
            stride,
            groups=groups,
            norm=not few_norms,
            bias=few_norms,
            active=True,
            style=style,
        )

    def last(side: int) -> Conv:
        return Conv(hidden, out, side, style=style)

    if kind == "residual":
        layers = {"conv1": first(into, 3, stride), "conv2": last(3)}
    elif kind == "fused":
        layers = {"spatial_conv": first(into, 3, stride), "point_conv": last(1)}
    elif kind == "separable":
        layers = {"depth_conv": first(into, 3, stride, hidden), "point_conv": last(1)}
    else:
        layers = {
            "inverted_conv": first(into, 1, 1),
            "depth_conv": first(hidden, 3, stride, hidden),
            "point_conv": last(1),
        }
    return nn.Sequential(OrderedDict(layers))


class Residual(nn.Module):
    """What is added to its own input."""

    def __init__(self, main: nn.Module) -> None:
        super().__init__()
        self.main = main

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.main(x)
        return out


class Halving(nn.Module):
    """The first block of a stage, which is added to nothing."""

    def __init__(self, main: nn.Module) -> None:
        super().__init__()
        self.main = main

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.main(x)
        return out


class LinearAttention(nn.Module):
    """Attention of single positions and of their neighbourhoods, with rectified queries and keys in
    place of the softmax: its cost grows with the positions and not with their square.

    With phi the rectifier, position i gets sum_j v_j (phi(k_j) . phi(q_i)) over the sum of the
    weights (Cai et al. 2023, equation 2): the matrix sum_j v_j phi(k_j)^T is computed once.
    """

    def __init__(self, dim: int, scale: int, style: Style = LARGE) -> None:
        super().__init__()
        head = self.head = style.head
        heads = dim // head
        inner = 3 * heads * head
        self.qkv = Conv(dim, inner, 1, norm=False)
        self.aggreg = nn.ModuleList(
            [
                nn.Sequential(
                    nn.Conv2d(inner, inner, scale, padding=scale // 2, groups=inner, bias=False),
                    nn.Conv2d(inner, inner, 1, groups=3 * heads, bias=False),
                )
            ]
        )
        self.proj = Conv(2 * heads * head, dim, 1, style=style)

    def forward(self, x: Tensor) -> Tensor:
        single = self.qkv(x)
        several = torch.cat([single, *(gather(single) for gather in self.aggreg)], dim=1)
        batch, _, height, width = several.shape
        with torch.autocast(x.device.type, enabled=False):
            # Sums over all positions: never in half precision.
            qkv = several.float().view(batch, -1, 3 * self.head, height * width)
            q, k, v = qkv.view(batch, -1, 3, self.head, height * width).unbind(2)
            q, k = q.relu(), k.relu()
            read = torch.matmul(v @ k.transpose(2, 3), q)
            weight = k.sum(dim=3)[:, :, None] @ q
            out = (read / (weight + 1e-15)).view(batch, -1, height, width)
        merged: Tensor = self.proj(out.to(several.dtype))
        return merged


def attention_block(
    dim: int, expansion: float, scale: int = 5, style: Style = LARGE
) -> nn.Sequential:
    """Linear attention and an inverted block, each added to its input."""
    local = local_block("inverted", dim, dim, 1, expansion, True, style)
    return nn.Sequential(
        OrderedDict(
            context_module=Residual(LinearAttention(dim, scale, style)),
            local_module=Residual(local),
        )
    )


def _stage(into: int, stage: Stage, number: int) -> nn.Sequential:
    blocks: list[nn.Module] = []
    if number == 0:
        blocks.append(Conv(into, stage.width, 3, 2, active=True))
    else:
        kind: Kind = "fused" if stage.fused_first else "inverted"
        wide = stage.expansion * 4
        blocks.append(Halving(local_block(kind, into, stage.width, 2, wide, stage.few_norms)))
    for _ in range(stage.depth):
        if stage.kind == "attention":
            blocks.append(attention_block(stage.width, stage.expansion, stage.scale))
        else:
            same = stage.width
            local = local_block(stage.kind, same, same, 1, stage.expansion, stage.few_norms)
            blocks.append(Residual(local))
    return nn.Sequential(*blocks)


class Backbone(nn.Module):
    """Images (B, 3, S, S) to a map (B, C, h, w) of each stage, strides 2, 4, 8 ..."""

    def __init__(self, stages: Sequence[Stage]) -> None:
        super().__init__()
        widths = [3, *(stage.width for stage in stages)]
        self.stages = nn.ModuleList(
            _stage(widths[number], stage, number) for number, stage in enumerate(stages)
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        maps = [images]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return maps[1:]


class Neck(nn.Module):
    """The last stages at the finest of their grids, added up: (B, 256, h, w).

    Args:
        widths: Channels of the stages, coarsest first.
        size: Of the encoder.
        out: Channels of the features.
    """

    def __init__(self, widths: Sequence[int], size: EncoderSize, out: int = 256) -> None:
        super().__init__()
        inner = size.neck_width
        self.input_ops = nn.ModuleList(nn.Sequential(Conv(width, inner, 1)) for width in widths)
        self.middle = nn.Sequential(
            *(
                Residual(local_block("fused", inner, inner, 1, size.neck_expansion, False))
                for _ in range(size.neck_depth)
            )
        )
        last = Conv(inner, out, 1, norm=False, bias=True)
        self.output_ops = nn.ModuleList([nn.Sequential(last)])

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        shape = maps[-1].shape[-2:]
        total = sum(
            (_enlarged(layer(x), shape) for layer, x in zip(self.input_ops, maps, strict=True)),
            torch.zeros((), device=maps[-1].device),
        )
        out: Tensor = self.output_ops[0](self.middle(total))
        return out


def _enlarged(x: Tensor, shape: Sequence[int]) -> Tensor:
    if x.shape[-2:] == shape:
        return x
    return F.interpolate(x.float(), tuple(shape), mode="bicubic", align_corners=False)


class Encoder(nn.Module):
    """Images (B, 3, S, S) to features (B, 256, S / stride, S / stride)."""

    def __init__(self, size: EncoderSize) -> None:
        super().__init__()
        self.backbone = Backbone(size.stages)
        widths = [stage.width for stage in size.stages[: -NECK_STAGES - 1 : -1]]
        self.neck = Neck(widths, size)
        self.norm = LayerNorm2d(256, EPS)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.backbone(images)
        out: Tensor = self.norm(self.neck(maps[: -NECK_STAGES - 1 : -1]))
        return out
