# SPDX-License-Identifier: GPL-2.0-or-later
"""The small feature pyramid between SAM 2's trunks and its decoder (Ravi et al. 2024)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from .blocks import parts


class Lateral(nn.Module):
    """A 1 x 1 convolution under the name that the checkpoints have."""

    def __init__(self, into: int, out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(into, out, 1)


class Pyramid(nn.Module):
    """Lateral convolutions, coarsest first."""

    def __init__(self, dims: Sequence[int], out: int = 256) -> None:
        super().__init__()
        self.convs = nn.ModuleList(Lateral(dim, out) for dim in dims[::-1])


class PyramidEncoder(nn.Module):
    """A trunk and its pyramid.

    Args:
        trunk: Images (B, 3, S, S) to four maps (B, h, w, C) with strides 4, 8, 16 and 32.
        dims: Their channels.
    """

    def __init__(self, trunk: nn.Module, dims: Sequence[int]) -> None:
        super().__init__()
        self.trunk = trunk
        self.neck = Pyramid(dims)

    def forward(self, images: Tensor, fine4: nn.Conv2d, fine8: nn.Conv2d) -> list[Tensor]:
        """Features for the decoder.

        Args:
            images: (B, 3, S, S).
            fine4, fine8: The decoder's 1 x 1 convolutions of the finer maps. The pyramid gives
                those maps only its own 1 x 1 convolution, so that both are one product.

        Returns:
            (B, 256, S / 16, S / 16), (B, 64, S / 8, S / 8), (B, 32, S / 4, S / 4).
        """
        stride4, stride8, stride16, stride32 = self.trunk(images)
        laterals = [lateral.conv for lateral in parts(self.neck.convs, Lateral)]
        coarse = _convolve(stride32, laterals[0])
        image = _convolve(stride16, laterals[1])
        image = image + F.interpolate(coarse.float(), scale_factor=2.0, mode="nearest")
        return [
            image,
            _convolve_twice(stride8, laterals[2], fine8),
            _convolve_twice(stride4, laterals[3], fine4),
        ]


def _convolve(x: Tensor, layer: nn.Conv2d) -> Tensor:
    """A 1 x 1 convolution of (B, h, w, C) as (B, out, h, w)."""
    return F.linear(x, layer.weight.flatten(1), layer.bias).permute(0, 3, 1, 2)


def _convolve_twice(x: Tensor, first: nn.Conv2d, second: nn.Conv2d) -> Tensor:
    """Two 1 x 1 convolutions of (B, h, w, C) in one."""
    outer, inner = second.weight.flatten(1), first.weight.flatten(1)
    bias = F.linear(_bias(first)[None], outer, _bias(second))[0]
    return F.linear(x, outer @ inner, bias).permute(0, 3, 1, 2)


def _bias(layer: nn.Conv2d) -> Tensor:
    return layer.weight.new_zeros(layer.out_channels) if layer.bias is None else layer.bias
