# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the embedded model looks for a prompt's object: in its surroundings first.

A prompt is answered in a square around it, about as large as what the network was trained on, and
only where a mask reaches the square's border in a larger one, in the end in the whole image. Most
objects of a tile are small: their prompts cost a fraction of the whole image's.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .base import PADDING
from .embedded_net import MULTIPLE, STRIDE, Coarse, Features, PromptTensors

SIDES = (256, 512)
"""Sides of the squares, pixels of the network, before the whole image. A prompt costs a tenth of a
prompt in a whole image of 1024, and its masks are as good (benchmarks/embedded_model.py)."""

AROUND_POINTS = 128
"""Pixels that must be seen around clicks at least."""

AROUND_BOX = 0.25
"""The same around a box, as a share of its longer side."""


class Regions:
    """Where each of ``n`` prompts is answered.

    Args:
        prompts: In pixels of the network.
        height: Of the image as the network sees it, a multiple of 32.
        width: Likewise.
    """

    def __init__(self, prompts: PromptTensors, height: int, width: int) -> None:
        self._shape = (height, width)
        extents = _extents(prompts)
        self._middles = (extents[:, :2] + extents[:, 2:]) / 2
        needed = (extents[:, 2:] - extents[:, :2]).max(1)
        sizes = [side for side in SIDES if side < max(height, width)]
        self.sizes: tuple[int, ...] = (*sizes, max(height, width))
        # A lone mask prompt has no extent (NaN): it is answered in the whole image.
        fits = needed[:, None] <= np.array(sizes or [0])[None]
        self.first: NDArray[np.int64] = np.where(fits.any(1), fits.argmax(1), len(sizes))
        """(n,) index in ``sizes`` of the square in which each prompt is answered first."""

    def corner(self, prompt: int, size: int) -> tuple[int, int, int, int]:
        """(top, left, height, width) of a prompt's square, cut to the image; multiples of 32."""
        sides = [min(size, limit) for limit in self._shape]
        place = []
        for middle, side, limit in zip(self._middles[prompt], sides, self._shape, strict=True):
            start = 0.0 if side == limit else (float(middle) - side / 2) / MULTIPLE
            place.append(min(max(0, round(start) * MULTIPLE), limit - side))
        return place[0], place[1], sides[0], sides[1]

    def is_whole(self, size: int) -> bool:
        return size >= max(self._shape)

    def cut_short(self, coarse: Tensor, place: tuple[int, int, int, int]) -> bool:
        """Whether coarse logits (k, h, w) are positive at a border that is not the image's."""
        top, left, height, width = place
        inside = (coarse > 0).any(0)
        return bool(
            (top > 0 and inside[0].any())
            or (left > 0 and inside[:, 0].any())
            or (top + height < self._shape[0] and inside[-1].any())
            or (left + width < self._shape[1] and inside[:, -1].any())
        )


def _extents(prompts: PromptTensors) -> NDArray[np.float64]:
    """(n, 4) row0, col0, row1, col1 of what must be seen; NaN where nothing says where."""
    points = prompts.points.double().cpu().numpy()
    there = (prompts.labels != PADDING).cpu().numpy()[..., None]
    low = np.where(there, points, np.inf).min(1) - AROUND_POINTS
    high = np.where(there, points, -np.inf).max(1) + AROUND_POINTS
    boxes = prompts.boxes.double().cpu().numpy()
    margin = AROUND_BOX * np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
    low = np.fmin(low, boxes[:, :2] - margin[:, None])
    high = np.fmax(high, boxes[:, 2:] + margin[:, None])
    out = np.concatenate([low, high], axis=1)
    return np.where(np.isfinite(out), out, np.nan)


def cut_features(features: Features, places: list[tuple[int, int, int, int]]) -> Features:
    """Features of one image in several squares of one size, one after the other."""
    parts = []
    for name, part in zip(Features._fields, features, strict=True):
        stride = 16 if name == "a16" else 8 if name == "a8" else STRIDE
        pieces = [
            part[
                ...,
                top // stride : (top + height) // stride,
                left // stride : (left + width) // stride,
            ]
            for top, left, height, width in places
        ]
        parts.append(torch.cat(pieces).contiguous(memory_format=_layout(name)))
    return Features(*parts)


def _layout(name: str) -> torch.memory_format:
    # The appearance is only ever multiplied as a matrix of channels by places.
    return torch.contiguous_format if name == "e4" else torch.channels_last


def cut_prompts(
    prompts: PromptTensors, rows: list[int], places: list[tuple[int, int, int, int]]
) -> PromptTensors:
    """Some prompts in the pixels of their squares."""
    at = torch.tensor(rows, device=prompts.points.device)
    corners = torch.tensor([place[:2] for place in places], device=at.device).float()
    masks = None
    if prompts.masks is not None:
        masks = torch.stack(
            [
                prompts.masks[
                    row,
                    top // STRIDE : (top + height) // STRIDE,
                    left // STRIDE : (left + width) // STRIDE,
                ]
                for row, (top, left, height, width) in zip(rows, places, strict=True)
            ]
        )
    return PromptTensors(
        prompts.points[at] - corners[:, None],
        prompts.labels[at],
        prompts.boxes[at] - corners.repeat(1, 2),
        masks,
    )


def one_row(coarse: Coarse, i: int) -> Coarse:
    """A single prompt of a batch."""
    return Coarse(*(part[i : i + 1] for part in coarse))
