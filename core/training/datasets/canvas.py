# SPDX-License-Identifier: GPL-2.0-or-later
"""What scenes are painted on and with: textures from photographs, and a canvas with labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ...types import AnyArray, ByteArray, FloatArray
from .opencv import cv2

REAL = 0.85
"""Share of objects of a street scene whose filling is what photographs show of their class."""

Labels = NDArray[np.uint16]
"""(layers, H, W) uint16, 0 where nothing is known."""


@dataclass
class Textures:
    """A bank of photographs to cut patches from.

    Args:
        images: (H, W, 3) uint8 RGB, at least 128 px a side.
        rng: Source of all randomness.
        squares: Class -> squares of photographs in which there is nothing else; may be empty.
    """

    images: Sequence[ByteArray]
    rng: np.random.Generator
    squares: Mapping[str, Sequence[ByteArray]] = field(default_factory=dict)

    def of_class(self, name: str, height: int, width: int) -> FloatArray | None:
        """A piece of what a class looks like, (height, width, 3) float32; None where no photograph
        shows it."""
        squares = self.squares.get(name, ())
        if not squares:
            return None
        rng = self.rng
        image = squares[int(rng.integers(len(squares)))]
        patch = self._cut(image, height, width, float(np.exp(rng.uniform(-0.2, 0.7))))
        gain = np.exp(rng.normal(0, 0.1)) * (1 + rng.normal(0, 0.03, 3))
        return np.asarray(patch * gain, np.float32)

    def patch(self, height: int, width: int, scale: float | None = None) -> FloatArray:
        """A random piece, turned and magnified by ``scale``, (height, width, 3) float32."""
        rng = self.rng
        image = self.images[int(rng.integers(len(self.images)))]
        factor = float(np.exp(rng.uniform(-0.7, 0.9))) if scale is None else scale
        return self._cut(image, height, width, factor)

    def _cut(self, image: ByteArray, height: int, width: int, factor: float) -> FloatArray:
        """A turned piece of an image, which goes on mirrored beyond its edges."""
        rng = self.rng
        angle = rng.uniform(0, 2 * np.pi)
        cos, sin = np.cos(angle) / factor, np.sin(angle) / factor
        centre = rng.uniform(0.2, 0.8, 2) * (image.shape[1], image.shape[0])
        matrix = np.array([[cos, -sin, 0.0], [sin, cos, 0.0]])
        matrix[:, 2] = centre - matrix[:, :2] @ (width / 2, height / 2)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        out = cv2.warpAffine(
            image, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT_101
        )
        patch: FloatArray = out.astype(np.float32)
        return patch

    def colour(self) -> FloatArray:
        """A colour that occurs in the photographs, or now and then any colour."""
        if self.rng.random() < 0.2:
            return self.rng.uniform(20, 240, 3).astype(np.float32)
        image = self.images[int(self.rng.integers(len(self.images)))]
        row = int(self.rng.integers(image.shape[0] - 8))
        col = int(self.rng.integers(image.shape[1] - 8))
        mean: FloatArray = image[row : row + 8, col : col + 8].mean((0, 1)).astype(np.float32)
        return mean


def smooth_noise(rng: np.random.Generator, shape: Sequence[int], wavelength: float) -> FloatArray:
    """Noise with features of about ``wavelength`` pixels, mean 0, values about -1 to 1."""
    height, width = shape
    rows, cols = max(2, int(height / wavelength) + 2), max(2, int(width / wavelength) + 2)
    coarse = rng.normal(0, 0.7, (rows, cols)).astype(np.float32)
    out: FloatArray = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return out


@dataclass
class Canvas:
    """A scene being painted; image float32 0 to 255, labels as of now."""

    size: int
    textures: Textures
    image: FloatArray = field(init=False)
    labels: Labels = field(init=False)
    classes: ByteArray = field(init=False)
    count: int = 0

    def __post_init__(self) -> None:
        self.image = self.textures.patch(self.size, self.size)
        self.labels = np.zeros((2, self.size, self.size), np.uint16)
        self.classes = np.zeros((self.size, self.size), np.uint8)

    @property
    def rng(self) -> np.random.Generator:
        return self.textures.rng

    def cover(self, polygon: AnyArray) -> tuple[tuple[slice, slice], FloatArray] | None:
        """Share of each pixel inside a polygon of (x, y), and the window it lies in."""
        low = np.floor(polygon.min(0)).astype(int) - 2
        high = np.ceil(polygon.max(0)).astype(int) + 3
        low, high = np.maximum(low, 0), np.minimum(high, self.size)
        if (high - low).min() < 3:
            return None
        alpha = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
        points = np.round((polygon - low - 0.5) * 16).astype(np.int32)
        cv2.fillPoly(alpha, [points], 255, lineType=cv2.LINE_AA, shift=4)
        window = (slice(low[1], high[1]), slice(low[0], high[0]))
        return window, alpha.astype(np.float32) / np.float32(255)

    def paint(
        self,
        window: tuple[slice, slice],
        alpha: FloatArray,
        paint: FloatArray,
        part: bool = False,
        classes: int = 0,
    ) -> None:
        """Lay a new object over what is there; ``classes`` is the set of what it may be.

        What it is made of is any texture, so its class shows in its shape and surroundings alone.
        """
        self.count += 1
        self.image[window] += alpha[..., None] * (paint - self.image[window])
        inside = alpha > 0.5
        if not part:
            self.labels[0][window][inside] = self.count
            self.labels[1][window][inside] = 0
            self.classes[window][inside] = classes
        else:
            self.labels[1][window][inside] = self.count

    def darken(self, window: tuple[slice, slice], alpha: FloatArray, factor: float) -> None:
        """A shadow: no object, and what lies in it keeps its label."""
        self.image[window] *= 1 - alpha[..., None] * (1 - factor)

    def real(self, window: tuple[slice, slice], name: str) -> FloatArray:
        """What fills an object of a class: mostly what photographs show of it."""
        height, width = window[0].stop - window[0].start, window[1].stop - window[1].start
        if self.rng.random() < REAL:
            patch = self.textures.of_class(name, height, width)
            if patch is not None:
                return patch
        return self.filling(window, float(self.rng.beta(1, 5)))

    def filling(self, window: tuple[slice, slice], contrast: float | None = None) -> FloatArray:
        """A patch of texture around a colour of its own, to fill an object with."""
        rng = self.rng
        height, width = window[0].stop - window[0].start, window[1].stop - window[1].start
        patch = self.textures.patch(height, width)
        if rng.random() < 0.12:
            return patch
        strength = float(rng.beta(1.2, 2.5)) if contrast is None else contrast
        mean = patch.mean((0, 1), keepdims=True)
        filled: FloatArray = self.textures.colour() + np.float32(strength) * (patch - mean)
        return filled
