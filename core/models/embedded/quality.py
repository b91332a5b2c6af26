# SPDX-License-Identifier: GPL-2.0-or-later
"""Is a mask one whole object? A second estimate of its IoU, which looks at the picture.

The decoder's own estimate sees a mask and the features under it while it is made. As in Mask
Scoring R-CNN (Huang et al. 2019) a small network of its own looks at a square around the finished
mask: the image's features, classes and depth, the mask, and how far the box that each place expects
of its object agrees with the mask's. It tells a roof from a part of it, and from a roof and its
yard, which have sharp borders, too.

All that an image contributes is computed once per image (:meth:`QualityHead.of_image`); the squares
are sampled from that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..base import Judged
from .classes import CLASSES
from .prompt_maps import STRIDE

CELLS = 16
"""Cells along a side of the square around a mask."""

AROUND, MORE = 1.35, 8.0
"""The square's side is the longer side of the mask's box so many times, and so many network pixels
more."""

NEAR = 160.0
"""Longest side of a square, in network pixels, that is sampled from the image as it is; larger ones
from the image at half its size."""

OWN = 5
"""Maps and numbers of a mask itself: agreement of boxes, mask, score, stability, size."""

OUTPUTS = 2
"""IoU with a whole object, and with a whole building."""

BATCH = 128
"""Masks that are judged together."""


class ImageMaps(NamedTuple):
    """What an image contributes.

    Args:
        m4: (1, channels, h, w) of stride 4: features a4 and e4, classes, depth; or the head's
            share.
        m8: (1, channels, h / 2, w / 2): features a8; or the head's share.
        sides: (1, 4, h, w) distances to the sides of the box that each place of stride 4 expects,
            in network pixels of the image as it is.
    """

    m4: Tensor
    m8: Tensor
    sides: Tensor


class QualityHead(nn.Module):
    """The network.

    Args:
        a4, e4, a8: Channels of the embedding's features of those names.
        width: Channels of the head.
    """

    def __init__(self, a4: int, e4: int, a8: int, width: int) -> None:
        super().__init__()
        self.from4 = nn.Conv2d(a4 + e4 + len(CLASSES) + 1, width, 1)
        self.from8 = nn.Conv2d(a8, width, 1, bias=False)
        self.own = nn.Conv2d(OWN, width, 1, bias=False)
        more = width + width // 2
        self.mix = nn.Conv2d(width, width, 3, padding=1)
        self.wide = nn.Conv2d(width, more, 3, padding=1)
        self.mix2 = nn.Conv2d(more, more, 3, padding=1)
        self.last = nn.Conv2d(more, more, 3, padding=1)
        self.out = nn.Sequential(
            nn.Linear(5 * more + OWN - 2, 64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, OUTPUTS)
        )

    def of_image(self, seen: ImageMaps) -> ImageMaps:
        """An image's share of the first sums, at both strides."""
        return ImageMaps(self.from4(seen.m4), self.from8(seen.m8), seen.sides)

    def forward(self, seen: Tensor, own: Tensor) -> Tensor:
        """Logits (n, 2) of predicted IoU.

        Args:
            seen: (n, width, cells, cells), the image's share: both strides' maps, added.
            own: (n, OWN, cells, cells), see :func:`own_maps`.
        """
        mask = F.avg_pool2d(own[:, 1:2], 2)
        x = F.relu(self.mix(F.relu(seen + self.own(own))))
        y = F.relu(self.mix2(F.relu(self.wide(F.max_pool2d(x, 2)))))
        z = F.relu(self.last(F.max_pool2d(y, 2)))
        parts = [_mean(y, weight) for weight in (mask, 1 - mask, mask * (1 - mask))]
        facts = own[:, 2:, 0, 0]
        out: Tensor = self.out(torch.cat([*parts, z.mean((2, 3)), z.amax((2, 3)), facts], dim=1))
        return out


def _mean(x: Tensor, weight: Tensor) -> Tensor:
    return (x * weight).sum((2, 3)) / (weight.sum((2, 3)) + 1e-2)


class Squares(NamedTuple):
    """Squares around masks, in network pixels.

    Args:
        rows, cols: (n, cells) middles of their cells.
        side: (n,).
        tight: (n, 4) boxes of the masks.
    """

    rows: Tensor
    cols: Tensor
    side: Tensor
    tight: Tensor

    def part(self, which: Tensor) -> Squares:
        """Some of them."""
        return Squares(*(each[which] for each in self))


def squares_around(masks: Sequence[Judged]) -> Squares:
    """The squares in which masks are judged."""
    tight = torch.tensor([mask.tight for mask in masks], dtype=torch.float32).reshape(-1, 4)
    sides = tight[:, 2:] - tight[:, :2]
    side = sides.amax(1) * AROUND + MORE
    middle = (tight[:, 2:] + tight[:, :2]) / 2
    offsets = (torch.arange(CELLS) + 0.5) / CELLS - 0.5
    rows, cols = (middle[:, k : k + 1] + side[:, None] * offsets for k in (0, 1))
    return Squares(rows, cols, side, tight)


def sampled(maps: ImageMaps, squares: Squares, shrink: int) -> ImageMaps:
    """An image's maps in squares: (n, ., cells, cells) each.

    Args:
        maps: Of the image, shrunk so many times.
        squares: In network pixels of the image as it is.
        shrink: So many times.
    """

    def at(x: Tensor, stride: int) -> Tensor:
        height, width = x.shape[-2:]
        rows = squares.rows / (stride * shrink * height) * 2 - 1
        cols = squares.cols / (stride * shrink * width) * 2 - 1
        n = len(rows)
        grid = torch.stack(
            [cols[:, None].expand(n, CELLS, CELLS), rows[:, :, None].expand(n, CELLS, CELLS)], -1
        )
        grid = grid.reshape(1, n * CELLS, CELLS, 2).to(x.device)
        out = F.grid_sample(x, grid, padding_mode="border", align_corners=False)
        return out[0].view(x.shape[1], n, CELLS, CELLS).transpose(0, 1)

    both = at(torch.cat([maps.m4, maps.sides], 1), STRIDE)
    return ImageMaps(both[:, :-4], at(maps.m8, 2 * STRIDE), both[:, -4:])


def own_maps(masks: Sequence[Judged], squares: Squares, sides: Tensor) -> Tensor:
    """(n, OWN, cells, cells) of masks: how far the box that each place expects agrees with the
    mask's (IoU), the mask's probability, and on all cells alike the score's logit, the stability
    from -1 to 1, and the logarithm of the square's side.

    Args:
        masks: The masks.
        squares: Around them.
        sides: (n, 4, cells, cells) distances to the sides, from :func:`sampled`.
    """
    rows, cols = squares.rows[:, :, None], squares.cols[:, None, :]
    top, left, bottom, right = (squares.tight[:, k, None, None] for k in range(4))
    up, before, down, after = sides.cpu().unbind(1)
    row0, col0, row1, col1 = rows - up, cols - before, rows + down, cols + after
    high = (torch.minimum(row1, bottom) - torch.maximum(row0, top)).clamp(min=0)
    wide = (torch.minimum(col1, right) - torch.maximum(col0, left)).clamp(min=0)
    common = high * wide
    union = (row1 - row0) * (col1 - col0) + (bottom - top) * (right - left) - common
    scores = torch.tensor([mask.score for mask in masks]).clamp(0.01, 0.99)
    stable = torch.tensor([mask.stability for mask in masks])
    facts = torch.stack([torch.logit(scores), stable * 2 - 1, squares.side.log() - 4], 1)
    drawn = torch.stack([_drawn(mask, *row) for mask, row in zip(masks, zip(
        squares.rows, squares.cols, strict=True), strict=True)])  # fmt: skip
    own = torch.cat(
        [
            torch.stack([common / union.clamp(min=1e-3), drawn], 1),
            facts[:, :, None, None].expand(-1, -1, CELLS, CELLS),
        ],
        1,
    )
    return own.float()


OUTSIDE = 20.0
"""Logit so far below zero that nothing is left of a probability."""


def _drawn(mask: Judged, rows: Tensor, cols: Tensor) -> Tensor:
    """(cells, cells) probability of a mask at rows and columns of network pixels."""
    logits = torch.from_numpy(mask.logits).float()[None, None]
    row0, col0, row1, col1 = mask.box
    at_rows = (rows - row0) / (row1 - row0) * 2 - 1
    at_cols = (cols - col0) / (col1 - col0) * 2 - 1
    grid = torch.stack(torch.meshgrid(at_rows, at_cols, indexing="ij")[::-1], -1)[None]
    # Zero lies beyond the logits, far below them.
    found = F.grid_sample(logits + OUTSIDE, grid, padding_mode="zeros", align_corners=False)
    return torch.sigmoid(found[0, 0] - OUTSIDE)
