# SPDX-License-Identifier: GPL-2.0-or-later
"""Small layers that families share; attribute names are those of official checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

Activation = Callable[[Tensor], Tensor]

M = TypeVar("M", bound=nn.Module)


def parts(module: nn.Module, kind: type[M]) -> list[M]:
    """A module's direct children of a kind, in their order."""
    return [child for child in module.children() if isinstance(child, kind)]


class LayerNorm2d(nn.Module):
    """Layer normalisation over the channels of (B, C, H, W)."""

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        # Channels last, so that torch's fused kernel does it in one pass.
        last = x.permute(0, 2, 3, 1)
        return self.last(last).permute(0, 3, 1, 2)

    def last(self, x: Tensor) -> Tensor:
        """The same for (..., C)."""
        return F.layer_norm(x, x.shape[-1:], self.weight, self.bias, self.eps)


class Foldable(nn.Module):
    """What becomes fewer operations with the same result once its weights are loaded."""

    def fold(self) -> None:
        """Become so; a second time changes nothing."""
        raise NotImplementedError


class ConvNorm(Foldable):
    """A convolution without bias, and batch normalisation, which is folded into it."""

    def __init__(self, into: int, out: int, side: int = 1, stride: int = 1, groups: int = 1):
        super().__init__()
        self.c = nn.Conv2d(into, out, side, stride, side // 2, groups=groups, bias=False)
        self.bn: nn.Module = nn.BatchNorm2d(out)

    def fold(self) -> None:
        if isinstance(self.bn, nn.BatchNorm2d):
            self.c = fuse_conv_bn_eval(self.c, self.bn)
            self.bn = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.bn(self.c(x))
        return out


class Mlp(nn.Module):
    """Two linear layers."""

    def __init__(self, dim: int, hidden: int, activation: Activation = F.gelu) -> None:
        super().__init__()
        self.lin1 = nn.Linear(dim, hidden)
        self.lin2 = nn.Linear(hidden, dim)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.lin2(self.activation(self.lin1(x)))
        return out


class Head(nn.Module):
    """Three linear layers: hypernetworks and the predicted IoU."""

    def __init__(self, dim: int, hidden: int, out: int, activation: Activation = F.relu) -> None:
        super().__init__()
        sizes = (dim, hidden, hidden, out)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        out: Tensor = self.layers[-1](x)
        return out


class Embed(nn.Module):
    """A learned row or rows, under the name ``weight`` as the checkpoints have it."""

    def __init__(self, rows: int, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(rows, dim))


def neck(width: int, out: int = 256) -> nn.Sequential:
    """What follows every ViT of the family: (B, width, h, w) to (B, out, h, w)."""
    return nn.Sequential(
        nn.Conv2d(width, out, 1, bias=False),
        LayerNorm2d(out),
        nn.Conv2d(out, out, 3, padding=1, bias=False),
        LayerNorm2d(out),
    )


def split_windows(x: Tensor, side: int) -> tuple[Tensor, tuple[int, int]]:
    """Cut (B, H, W, C) into windows of ``side``, padded with 0 at the right and the bottom.

    Returns:
        (B * windows, side, side, C), and the padded (H, W).
    """
    batch, height, width, channels = x.shape
    rows, cols = -(-height // side), -(-width // side)
    if rows * side != height or cols * side != width:
        x = F.pad(x, (0, 0, 0, cols * side - width, 0, rows * side - height))
    x = x.view(batch, rows, side, cols, side, channels).transpose(2, 3)
    return x.reshape(-1, side, side, channels), (rows * side, cols * side)


def join_windows(x: Tensor, side: int, padded: tuple[int, int], shape: tuple[int, int]) -> Tensor:
    """Undo :func:`split_windows` (the side may have shrunk by pooling inside the window)."""
    rows, cols = padded[0] // side, padded[1] // side
    x = x.reshape(-1, rows, cols, side, side, x.shape[-1]).transpose(2, 3)
    x = x.reshape(-1, rows * side, cols * side, x.shape[-1])
    return x[:, : shape[0], : shape[1]]
