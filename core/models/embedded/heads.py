# SPDX-License-Identifier: GPL-2.0-or-later
"""What the embedded network says of every place without a prompt: where objects are, and classes.

One small head on the encoder's pyramid gives, on the cells of stride 4, the *depth* of a place in
the object that it belongs to (1 in the object's deepest place, 0 on its border: a normalised
distance map, as in "Deep Watershed Transform", Bai and Urtasun 2017), the distances to the four
sides of the object's box (as in FCOS, Tian et al. 2019), and one logit per class. The maxima of the
depth are proposals: one prompt per object.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .classes import CLASSES, HALF_SIZE_WEIGHT
from .prompt_maps import STRIDE

SHORTEST, LONGEST = -1.5, 6.5
"""Limits of the logarithm of a distance to a side of the box, in cells."""


class Dense(NamedTuple):
    """The head's answer for (b, ., h, w) cells of stride 4.

    Args:
        depth: (b, h, w) logits.
        sides: (b, 4, h, w) distances to the box's upper, left, lower and right side, pixels.
        classes: (b, classes, h, w) logits.
    """

    depth: Tensor
    sides: Tensor
    classes: Tensor


class DenseHead(nn.Module):
    """The head.

    Args:
        neck: Channels of the pyramid at strides 4, 8 and 16.
        width: Channels of the head.
    """

    def __init__(self, neck: tuple[int, int, int], width: int) -> None:
        super().__init__()
        n4, n8, n16 = neck
        self.from16 = nn.Conv2d(n16, width, 1)
        self.side8, self.mix8 = nn.Conv2d(n8, width, 1), nn.Conv2d(width, width, 3, padding=1)
        self.side4, self.mix4 = nn.Conv2d(n4, width, 1), nn.Conv2d(width, width, 3, padding=1)
        self.out = nn.Conv2d(width, 1 + 4 + len(CLASSES), 1)

    def forward(self, p16: Tensor, p8: Tensor, p4: Tensor) -> Dense:
        """The answer for features of strides 16, 8 and 4."""
        x8 = self.side8(p8) + _twice(self.from16(p16))
        x8 = F.relu(self.mix8(F.relu(x8, inplace=True)), inplace=True)
        x4 = F.relu(self.side4(p4) + _twice(x8), inplace=True)
        out = self.out(F.relu(self.mix4(x4), inplace=True))
        sides = out[:, 1:5].float() + 1
        return Dense(out[:, 0], sides.clamp(SHORTEST, LONGEST).exp() * STRIDE, out[:, 5:])


def join_class_logits(near: Tensor, far: Tensor) -> Tensor:
    """Logits of classes from an image and from the image at half its size.

    Args:
        near: (b, classes, h, w) of the image.
        far: (b, classes, h / 2, w / 2) of the image at half its size.
    """
    return torch.lerp(near, _twice(far), HALF_SIZE_WEIGHT)


def _twice(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def peaks(depth: Tensor, least: Tensor, most: int, reach: Tensor) -> tuple[Tensor, Tensor]:
    """The local maxima of a depth map.

    Args:
        depth: (h, w) probabilities.
        least: (h, w) smallest depth of a maximum there.
        most: Number of maxima at most: the deepest.
        reach: (h, w) cells on each side in which a maximum there is the largest, at least 1.

    Returns:
        (n, 2) row and column of the cells, deepest first and by place where equal, and their (n,)
        depth.
    """
    smooth = F.avg_pool2d(depth[None, None], 3, 1, 1, count_include_pad=False)
    largest = smooth
    for cells in range(1, int(reach.max()) + 1):
        around = F.max_pool2d(smooth, 2 * cells + 1, 1, cells)
        largest = torch.where(reach >= cells, around, largest)
    at = torch.nonzero((smooth >= largest)[0, 0] & (depth >= least))
    value = depth[at[:, 0], at[:, 1]]
    order = torch.sort(value, descending=True, stable=True).indices[:most]
    return at[order], value[order]
