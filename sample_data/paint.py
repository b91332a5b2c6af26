# SPDX-License-Identifier: GPL-2.0-or-later
"""The canvas of the sample scene: noise, shapes, light and shadow, in four bands.

Everything is drawn at twice the raster's resolution and averaged at the end, so that edges fall
between pixels as a camera's do. Coordinates are metres from the scene's north-west corner, x to the
east and y to the south.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from rasterio.features import rasterize
from rasterio.transform import Affine
from scipy.ndimage import gaussian_filter, zoom
from shapely.affinity import translate
from shapely.geometry.base import BaseGeometry

Array = NDArray[np.float32]
Texture = Callable[[Array, Array], Array]

SUN = np.array([0.80, -0.60])
"""Where shadows fall, per metre of height: to the east-north-east (sun in the south-west)."""

BANDS = 4
"""Red, green, blue, near infrared; reflectance 0 to 1."""


def fractal(
    rng: np.random.Generator, shape: tuple[int, int], coarse: float, octaves: int = 5
) -> Array:
    """Noise with detail at many scales, mean 0, standard deviation 1.

    Args:
        rng: Source of chance.
        shape: Size of the result.
        coarse: Size of the largest blobs, in samples.
        octaves: Each has half the size and 0.55 of the strength of the one before.
    """
    total = np.zeros(shape, np.float32)
    strength, size = 1.0, float(coarse)
    for _ in range(octaves):
        rows, cols = (max(2, int(np.ceil(n / size)) + 3) for n in shape)
        grid = rng.standard_normal((rows, cols)).astype(np.float32)
        if size > 1.5:
            large = zoom(grid, size, order=1 if size > 40 else 3)
        else:
            large = rng.standard_normal(shape).astype(np.float32)
        total += np.float32(strength) * large[: shape[0], : shape[1]]
        strength, size = strength * 0.55, max(1.0, size / 2.0)
    return (total - total.mean()) / total.std()


class Canvas:
    """A picture under construction.

    Args:
        rng: Source of chance.
        side: Side of the scene, metres.
        pixel: Side of a final pixel, metres.
    """

    def __init__(self, rng: np.random.Generator, side: float, pixel: float) -> None:
        self.rng = rng
        self.per_metre = 2.0 / pixel
        n = round(side * self.per_metre)
        self.colour = np.zeros((n, n, BANDS), np.float32)
        self.light = np.ones((n, n), np.float32)
        # One sheet of fine noise for all textures: cheap, and nothing repeats within an object.
        self.grain = fractal(rng, (n, n), 24.0 * self.per_metre / 8.0, 6)
        self.blotch = fractal(rng, (n, n), 160.0 * self.per_metre / 8.0, 5)

    def window(self, shape: BaseGeometry, margin: float = 0.0) -> tuple[slice, slice] | None:
        """Rows and columns around a shape, or None where it lies off the canvas."""
        n = len(self.light)
        west, north, east, south = shape.bounds
        lo = np.floor((np.array([north, west]) - margin) * self.per_metre).astype(int)
        hi = np.ceil((np.array([south, east]) + margin) * self.per_metre).astype(int) + 1
        lo, hi = np.clip(lo, 0, n), np.clip(hi, 0, n)
        if (hi <= lo).any():
            return None
        return slice(int(lo[0]), int(hi[0])), slice(int(lo[1]), int(hi[1]))

    def mask(self, shape: BaseGeometry, window: tuple[slice, slice]) -> NDArray[np.bool_]:
        rows, cols = window
        size = (rows.stop - rows.start, cols.stop - cols.start)
        transform = Affine.scale(1.0 / self.per_metre) @ Affine.translation(cols.start, rows.start)
        return rasterize([shape], size, transform=transform, dtype="uint8").astype(bool)

    def grid(self, window: tuple[slice, slice]) -> tuple[Array, Array]:
        """x and y of the samples of a window, metres."""
        rows, cols = window
        y = (np.arange(rows.start, rows.stop, dtype=np.float32) + 0.5) / self.per_metre
        x = (np.arange(cols.start, cols.stop, dtype=np.float32) + 0.5) / self.per_metre
        return np.meshgrid(x, y)

    def fill(
        self,
        shape: BaseGeometry,
        colour: tuple[float, ...],
        *,
        grain: float = 0.05,
        blotch: float = 0.05,
        texture: Texture | None = None,
        opacity: float = 1.0,
        soft: float = 0.0,
        lit: bool = False,
    ) -> None:
        """Paint a shape.

        Args:
            shape: Polygon in metres.
            colour: Reflectance in the four bands.
            grain: Strength of fine noise, as a share of the colour.
            blotch: Strength of coarse noise.
            texture: Further factor from (x, y) in metres, centred on 1.
            opacity: 0 to 1.
            soft: Metres over which the edge fades.
            lit: The surface lies above older shadows: these are wiped out under it.
        """
        window = self.window(shape, 3.0 * soft)
        if window is None:
            return
        cover = self.mask(shape, window).astype(np.float32)
        if soft:
            cover = gaussian_filter(cover, soft * self.per_metre)
        value = 1.0 + grain * self.grain[window] + blotch * self.blotch[window]
        if texture is not None:
            value = value * texture(*self.grid(window))
        paint = np.clip(value, 0.05, 3.0)[..., None] * np.asarray(colour, np.float32)
        share = (cover * opacity)[..., None]
        self.colour[window] += share * (paint - self.colour[window])
        if lit:
            self.light[window] += cover * (1.0 - self.light[window])

    def shade(self, shape: BaseGeometry, height: float, depth: float = 0.62) -> None:
        """Cast the shadow of a shape whose top is ``height`` metres above the ground."""
        dx, dy = SUN * height
        steps = max(2, int(np.hypot(dx, dy) / 0.4))
        swept = translate(shape, 0, 0)
        for step in range(1, steps + 1):
            swept = swept.union(translate(shape, dx * step / steps, dy * step / steps))
        window = self.window(swept, 1.0)
        if window is None:
            return
        cover = gaussian_filter(self.mask(swept, window).astype(np.float32), 0.12 * self.per_metre)
        # Shadows do not add up: the darker one counts.
        self.light[window] = np.minimum(self.light[window], 1.0 - depth * cover)

    def finish(self, *, noise: float = 0.006) -> Array:
        """The picture at its final resolution, (H, W, 4) reflectance, with lens blur and noise."""
        # Skylight is blue: shadows lose more red than blue.
        tint = np.array([1.06, 1.0, 0.88, 1.04], np.float32)
        lit = self.colour * (1.0 - (1.0 - self.light[..., None]) * tint)
        lit = gaussian_filter(lit, (0.9, 0.9, 0))
        n = len(lit) // 2
        small = lit.reshape(n, 2, n, 2, BANDS).mean(axis=(1, 3))
        small += noise * self.rng.standard_normal(small.shape).astype(np.float32)
        return np.clip(small, 0.004, 1.0).astype(np.float32)
