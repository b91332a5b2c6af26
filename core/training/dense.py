# SPDX-License-Identifier: GPL-2.0-or-later
"""A loss for the encoder alone: do two near places belong to the same object?

A prompt teaches the encoder about one object; this teaches it about all labelled objects of a
crop at once, for hardly any time. Pairs of cells at several offsets are judged twice: by a 1 x 1
convolution on the finest features, and by the likeness of their appearance, which is what the
decoder compares with the place under a click. Nothing of it is shipped.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..models.embedded.network import GROUPS

DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1))
DISTANCES = (1, 3, 8)
"""Offsets in cells of stride 4."""


def pairs(maps: Tensor, down: int, right: int) -> tuple[Tensor, Tensor]:
    """Every place, and the place ``down`` rows and ``right`` columns from it, of (..., h, w)."""
    height, width = maps.shape[-2:]
    first = maps[..., : height - down, max(0, -right) : width - max(0, right)]
    second = maps[..., down:, max(0, right) : width + min(0, right)]
    return first, second


def balanced(logits: Tensor, same: Tensor, known: Tensor) -> Tensor:
    """Cross-entropy of "the same object", both answers with the same weight."""
    cross = F.binary_cross_entropy_with_logits(logits, same.float(), reduction="none")
    parts = []
    for chosen in (known & same, known & ~same):
        weights = chosen.float()
        parts.append((cross * weights).sum() / (weights.sum() + 50))
    return 0.5 * (parts[0] + parts[1])


class SameObject(nn.Module):
    """The loss and its few weights.

    Args:
        width: Channels of the finest features.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.head = nn.Conv2d(width, len(DIRECTIONS) * len(DISTANCES), 1)
        self.scale = nn.Parameter(torch.full((len(DISTANCES), GROUPS), 1.5))
        self.shift = nn.Parameter(torch.full((len(DISTANCES),), -2.0))

    def forward(self, p4: Tensor, e4: Tensor, labels: Tensor) -> Tensor:
        """The loss.

        Args:
            p4: (b, c, h, w) finest features.
            e4: (b, c, h, w) appearance, of unit length in each group.
            labels: (b, 2, h, w) integer labels, whole objects and their parts; 0 is unknown.
        """
        logits = self.head(p4)
        b, c, h, w = e4.shape
        grouped = e4.view(b, GROUPS, c // GROUPS, h, w)
        losses = []
        number = 0
        for k, distance in enumerate(DISTANCES):
            for down, right in DIRECTIONS:
                offset = (down * distance, right * distance)
                one, two = pairs(labels, *offset)
                same = one[:, 0] == two[:, 0]
                # Between two parts of one object either answer is right.
                known = ((one[:, 0] > 0) | (two[:, 0] > 0)) & (one[:, 1] == two[:, 1])
                here, _ = pairs(logits[:, number], *offset)
                losses.append(balanced(here, same, known))
                first, second = pairs(grouped, *offset)
                likeness = (first * second).sum(2)
                weighed = torch.einsum("bghw,g->bhw", likeness, self.scale[k]) + self.shift[k]
                losses.append(balanced(weighed, same, known))
                number += 1
        return torch.stack(losses).mean()
