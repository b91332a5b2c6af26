# SPDX-License-Identifier: GPL-2.0-or-later
"""Preprocessing: images and positions as the official code transforms them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import ModelError
from ..types import ByteArray

Floats3 = tuple[float, float, float]

SAM_MEAN: Floats3 = (123.675, 116.28, 103.53)
SAM_STD: Floats3 = (58.395, 57.12, 57.375)
IMAGENET_MEAN: Floats3 = (0.485 * 255, 0.456 * 255, 0.406 * 255)
IMAGENET_STD: Floats3 = (0.229 * 255, 0.224 * 255, 0.225 * 255)


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes the encoder's square.

    Args:
        size: Side of the square, pixels.
        mean, std: Of the channels, in grey levels 0 to 255.
        stretch: Stretch to the square, or keep the shape: the long side becomes ``size``, the
            right and the bottom are filled with 0 after normalising.
        resize: "levels": antialiased, rounded to grey levels, as Pillow does (SAM; within one
            level of it); "smooth": antialiased floats (SAM 2); "plain": without antialiasing
            (EfficientSAM).
    """

    size: int = 1024
    mean: Floats3 = SAM_MEAN
    std: Floats3 = SAM_STD
    stretch: bool = False
    resize: Literal["levels", "smooth", "plain"] = "levels"

    def scaled_shape(self, shape: tuple[int, int]) -> tuple[int, int]:
        """(H, W) of an image of ``shape`` inside the square."""
        if self.stretch:
            return self.size, self.size
        scale = self.size / max(shape)
        height, width = (max(1, int(side * scale + 0.5)) for side in shape)
        return height, width

    def scale(self, shape: tuple[int, int]) -> tuple[float, float]:
        """Encoder pixels per image pixel along rows and columns."""
        height, width = self.scaled_shape(shape)
        return height / shape[0], width / shape[1]

    def tensor(self, image: ByteArray) -> Tensor:
        """An (H, W, 3) uint8 image as (3, size, size) float32 on the CPU.

        Raises:
            ModelError: The array is something else.
        """
        check_image(image)
        # A copy only where numpy forbids torch to share (negative strides, read-only).
        pixels = torch.from_numpy(np.require(image, requirements=["C", "W"])).permute(2, 0, 1)
        shape = self.scaled_shape((image.shape[0], image.shape[1]))
        if self.resize == "levels":
            scaled = _resize(pixels, shape, antialias=True).float()
        else:
            scaled = _resize(pixels.float(), shape, antialias=self.resize == "smooth")
        mean = torch.tensor(self.mean).view(3, 1, 1)
        std = torch.tensor(self.std).view(3, 1, 1)
        normal = (scaled - mean) / std
        return F.pad(normal, (0, self.size - shape[1], 0, self.size - shape[0]))


def check_image(image: ByteArray) -> None:
    """Refuse all but (H, W, 3) uint8 with at least one pixel.

    Raises:
        ModelError: As the name says.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise ModelError(
            f"A model wants images of (height, width, 3) uint8, not {image.shape} {image.dtype}: "
            "choose three bands and stretch them to 0-255 first."
        )


def _resize(pixels: Tensor, shape: tuple[int, int], *, antialias: bool) -> Tensor:
    if tuple(pixels.shape[-2:]) == shape:
        return pixels
    return F.interpolate(
        pixels[None], shape, mode="bilinear", align_corners=False, antialias=antialias
    )[0]
