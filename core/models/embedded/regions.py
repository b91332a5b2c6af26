# SPDX-License-Identifier: GPL-2.0-or-later
"""Where and how closely the embedded model looks for a prompt's object.

A prompt is answered in a square around it, about as large as what the network was trained on, and
only where a mask reaches the square's border in a larger one, in the end in the whole image. Most
objects of a tile are small: their prompts cost a fraction of the whole image's. Larger ones are
looked at from further away, in features of the image at half its size: the network sees them whole
there, as it does those of its training.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ...types import ByteArray
from ..base import PADDING
from .network import MULTIPLE, Coarse, Features
from .prompt_maps import STRIDE, PromptTensors

AROUND_POINTS = 128
"""Pixels that must be seen around clicks at least."""

AROUND_BOX = 0.25
"""The same around a box, as a share of its longer side."""

LARGE_BOX = 128
"""Side in pixels of a box from which its object is looked at from further away."""


class Look(NamedTuple):
    """A side in pixels of the image as the network sees it, and how many times it is shrunk."""

    side: int
    shrink: int


class Place(NamedTuple):
    """A square of the image, cut to it, in pixels; multiples of 32 times ``shrink``."""

    top: int
    left: int
    height: int
    width: int
    shrink: int

    def cells(self, stride: int) -> tuple[slice, slice]:
        """Rows and columns of this place in features of a stride, which are those of the image
        shrunk by ``shrink``."""
        side = stride * self.shrink
        return (
            slice(self.top // side, (self.top + self.height) // side),
            slice(self.left // side, (self.left + self.width) // side),
        )


LOOKS = (Look(128, 1), Look(256, 1), Look(512, 2))
"""Tried in turn before the whole image, which is shrunk by 2 as well. A prompt in the first costs a
tenth of one in a whole image of 1024, and its masks are as good (benchmarks/embedded_model.py)."""

COARSEST = 2
"""How many times an image is shrunk at most."""

GREY = 128
"""What lies beyond an image for networks that learned it so; 0 once normalised."""


class Regions:
    """Where each of ``n`` prompts is answered.

    Args:
        prompts: In pixels of the network.
        height: Of the image as the network sees it, a multiple of 64.
        width: Likewise.
        around: (n,) pixels to see around each prompt's points; None: :data:`AROUND_POINTS`.
    """

    def __init__(
        self,
        prompts: PromptTensors,
        height: int,
        width: int,
        around: NDArray[np.float64] | None = None,
    ) -> None:
        self._shape = (height, width)
        extents = _extents(prompts, AROUND_POINTS if around is None else around[:, None])
        self._middles = (extents[:, :2] + extents[:, 2:]) / 2
        needed = (extents[:, 2:] - extents[:, :2]).max(1)
        boxes = prompts.boxes.cpu().double().numpy()
        sides = np.nan_to_num(np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]))
        longest = max(height, width)
        smaller = [look for look in LOOKS if look.side < longest]
        self.looks: tuple[Look, ...] = (*smaller, Look(longest, COARSEST))
        # A lone mask prompt has no extent (NaN): it is answered in the whole image.
        fits = np.array([
            (needed <= look.side) & ((sides <= LARGE_BOX) | (look.shrink > 1)) for look in smaller
        ]).reshape(len(smaller), len(needed))  # fmt: skip
        self.first: NDArray[np.int64] = np.where(
            fits.any(0), fits.argmax(0) if smaller else 0, len(smaller)
        )
        """(n,) index in ``looks`` of the square in which each prompt is answered first."""

    def place(self, prompt: int, look: Look) -> Place:
        """A prompt's square."""
        step = MULTIPLE * look.shrink
        sides = [min(look.side, limit) for limit in self._shape]
        corner = []
        for middle, side, limit in zip(self._middles[prompt], sides, self._shape, strict=True):
            start = 0.0 if side == limit else (float(middle) - side / 2) / step
            # Half up rather than round(): the same in windows that begin elsewhere.
            corner.append(min(max(0, math.floor(start + 0.5) * step), limit - side))
        return Place(corner[0], corner[1], sides[0], sides[1], look.shrink)

    def is_whole(self, look: Look) -> bool:
        return look.side >= max(self._shape)

    def cut_short(self, coarse: Tensor, places: list[Place]) -> Tensor:
        """Whether coarse logits (n, k, h, w) are positive at a border of their places (n) that is
        not the image's: (n,) bool."""
        inside = (coarse > 0).any(1)
        at_edge = torch.stack(
            [
                side.any(1)
                for side in (inside[:, 0], inside[:, :, 0], inside[:, -1], inside[:, :, -1])
            ],
            dim=1,
        )
        open_edge = torch.tensor([
            [
                place.top > 0,
                place.left > 0,
                place.top + place.height < self._shape[0],
                place.left + place.width < self._shape[1],
            ]
            for place in places
        ], device=coarse.device)  # fmt: skip
        return (at_edge & open_edge).any(1)


def _extents(prompts: PromptTensors, around: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 4) row0, col0, row1, col1 of what must be seen; NaN where nothing says where."""
    points = prompts.points.cpu().double().numpy()
    there = (prompts.labels != PADDING).cpu().numpy()[..., None]
    low = np.where(there, points, np.inf).min(1) - around
    high = np.where(there, points, -np.inf).max(1) + around
    boxes = prompts.boxes.cpu().double().numpy()
    margin = AROUND_BOX * np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
    low = np.fmin(low, boxes[:, :2] - margin[:, None])
    high = np.fmax(high, boxes[:, 2:] + margin[:, None])
    out = np.concatenate([low, high], axis=1)
    return np.where(np.isfinite(out), out, np.nan)


COARSE_PARTS = ("a16", "a8", "e4")
"""Features that the decoder's stages up to stride 8 read."""

FINE_PARTS = ("a4", "a2")
"""Features that its stages at strides 4 and 2 read."""


def cut_features(features: Features, places: list[Place], parts: tuple[str, ...]) -> Features:
    """Features of one image in several squares of one size, one after the other.

    Args:
        features: Of the image.
        places: The squares.
        parts: Names of the features that are cut; the others stay those of the image.
    """
    cut = {}
    for name in parts:
        part = getattr(features, name)
        areas = [place.cells(int(name[1:])) for place in places]
        pieces = [part[0, :, rows, cols] for rows, cols in areas]
        # Copied once: torch.cat would lay them out its own way first.
        shape = (len(pieces), *pieces[0].shape)
        out = torch.empty(shape, dtype=part.dtype, device=part.device, memory_format=layout(name))
        for row, piece in zip(out, pieces, strict=True):
            row.copy_(piece)
        cut[name] = out
    return features._replace(**cut)


def fine_features(features: Features, place: Place) -> Features:
    """Features of an image whose :data:`FINE_PARTS` are seen in a square, without a copy."""
    seen = {}
    for name in FINE_PARTS:
        rows, cols = place.cells(int(name[1:]))
        seen[name] = getattr(features, name)[:, :, rows, cols]
    return features._replace(**seen)


def layout(name: str) -> torch.memory_format:
    """The order in which a kind of features lies in memory."""
    # The appearance is only ever multiplied as a matrix of channels by places.
    return torch.contiguous_format if name == "e4" else torch.channels_last


def cut_prompts(prompts: PromptTensors, rows: list[int], places: list[Place]) -> PromptTensors:
    """Some prompts in the pixels of their squares, shrunk as those are."""
    at = torch.tensor(rows, device=prompts.points.device)
    corners = torch.tensor([place[:2] for place in places], device=at.device).float()
    shrink = places[0].shrink
    masks = None
    if prompts.masks is not None:
        small = F.avg_pool2d(prompts.masks[at], shrink) if shrink > 1 else prompts.masks[at]
        masks = torch.stack([
            mask[place.cells(STRIDE)] for mask, place in zip(small, places, strict=True)
        ])  # fmt: skip
    return PromptTensors(
        (prompts.points[at] - corners[:, None]) / shrink,
        prompts.labels[at],
        (prompts.boxes[at] - corners.repeat(1, 2)) / shrink,
        masks,
    )


def one_row(coarse: Coarse, i: int) -> Coarse:
    """A single prompt of a batch."""
    return Coarse(*(part[i : i + 1] for part in coarse))


def fitted(image: ByteArray, scale: float, padding: str) -> Tensor:
    """An image as the network sees it.

    Args:
        image: (H, W, 3) uint8.
        scale: Network pixels per image pixel, a power of two.
        padding: What is put beyond the image at the right and below: "mirror" or "grey".

    Returns:
        (3, h, w) uint8, sides multiples of 64.
    """
    height, width = image.shape[:2]
    step = max(1, round(MULTIPLE * COARSEST / scale))
    beyond = ((0, -height % step), (0, -width % step), (0, 0))
    if padding == "grey":
        array = np.pad(image, beyond, constant_values=GREY)
    else:
        array = np.pad(image, beyond, mode="symmetric")
    pixels = torch.from_numpy(np.ascontiguousarray(array)).permute(2, 0, 1)[None]
    if scale < 1:
        pixels = F.avg_pool2d(pixels.float(), round(1 / scale)).round_().to(torch.uint8)
    elif scale > 1:
        pixels = F.interpolate(pixels, scale_factor=scale, mode="bilinear", align_corners=False)
    return pixels[0]


def shrunk(pixels: Tensor, times: int) -> Tensor:
    """(b, 3, H, W) uint8 at a fraction of its size, by means over squares of pixels."""
    return F.avg_pool2d(pixels.float(), times).round_().to(torch.uint8)
