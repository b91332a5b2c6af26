# SPDX-License-Identifier: GPL-2.0-or-later
"""How much of an object is visible at a date, outside nodata and clouds.

An object is *hidden* at a date where more than half of the place at which it is expected has no
data or lies under clouds. Only what is visible can be *present* or *gone*.

Clouds are found by comparison: a pixel is under cloud where it is bright and white now, and was
not at the date at which the object is known. Thin cloud, haze and shadows are not found.

An object that has *grown together* with what is around it is hidden too: no model can say where it
ends, and each answer, a little smaller than the last, would be the prompt of the next.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import shapely
from affine import Affine
from rasterio.features import rasterize
from scipy import ndimage

from ..interactive.windows import Source
from ..types import BoolArray, ByteArray, PixelBox

Status = Literal["present", "gone", "hidden"]

LEAST_VISIBLE = 0.5
"""Share of an object's place that must be visible."""

CLOUD_LEVEL, CLOUD_COLOUR, CLOUD_CHANGE = 200, 40, 50
"""Grey levels of a cloud's darkest band, between its bands, and brighter than without it."""

LOOK_SIDE = 192
"""Pixels along the longer side of a look."""

AROUND = 0.5
"""Margin of a look around an object, in object sides."""

CONTINUES, LEAST_LEVELS = 2.5, 3.0
"""Standard deviations of an object's pixels, and the fewest grey levels of one, within which what
is beside it looks like it."""

BEYOND, LEAST_OPEN, LEAST_GROWN = 0.1, 0.5, 2.0
"""How far beyond its border an object must go on (in object sides), along which share of the
border, and how large it then is (in areas of the shape), to have grown together with what is around
it."""


@dataclass(frozen=True, eq=False)
class Look:
    """The surroundings of an object at one date, in few pixels.

    Args:
        box: Pixels of the grid that are shown.
        factor: Pixels of the grid along a side of one of the look's.
        pixels: (h, w, 3) uint8.
        valid: (h, w) bool.
    """

    box: PixelBox
    factor: int
    pixels: ByteArray
    valid: BoolArray

    def inside(self, shape: Any, *, touched: bool = False) -> BoolArray:
        """Pixels of the look whose centre lies in a shape (x = column, y = row of the grid)."""
        if shape.is_empty:
            return np.zeros(self.valid.shape, bool)
        place = Affine.translation(self.box.col0, self.box.row0) @ Affine.scale(self.factor)
        burnt: BoolArray = rasterize(
            [shape], self.valid.shape, transform=place, dtype="uint8", all_touched=touched
        ).astype(bool)
        return burnt


def look_box(shape: Any) -> tuple[PixelBox, int]:
    """What to look at around a shape in pixels of the grid, and how coarsely."""
    col0, row0, col1, row1 = shape.bounds
    margin = max(AROUND * max(col1 - col0, row1 - row0), 4.0)
    height, width = row1 - row0 + 2 * margin, col1 - col0 + 2 * margin
    factor = 1
    while max(height, width) > LOOK_SIDE * factor:
        factor *= 2
    low = int((row0 - margin) // factor), int((col0 - margin) // factor)
    high = -int(-(row1 + margin) // factor), -int(-(col1 + margin) // factor)
    return PixelBox(low[0] * factor, low[1] * factor, high[0] * factor, high[1] * factor), factor


def look(sources: Callable[[int], Source], box: PixelBox, factor: int) -> Look:
    """Look at a place.

    Args:
        sources: The date at a number of the grid's pixels per pixel.
        box: In pixels of the grid; multiples of ``factor``.
        factor: As in :class:`Look`.
    """
    coarse = PixelBox(
        box.row0 // factor, box.col0 // factor, box.row1 // factor, box.col1 // factor
    )
    seen = sources(factor).read(coarse)
    return Look(box, factor, seen.pixels, seen.valid)


def clouds(now: Look, before: Look | None) -> BoolArray:
    """Pixels of a look that show a cloud.

    Args:
        now: The look.
        before: The same place at a date without clouds, where there is one.
    """
    darkest = now.pixels.min(axis=2).astype(np.int16)
    brightest = now.pixels.max(axis=2).astype(np.int16)
    white = (darkest >= CLOUD_LEVEL) & (brightest - darkest <= CLOUD_COLOUR) & now.valid
    if before is None or before.box != now.box or before.factor != now.factor:
        return np.zeros_like(white)
    old = before.pixels.min(axis=2).astype(np.int16)
    changed: BoolArray = white & before.valid & (darkest - old >= CLOUD_CHANGE)
    return changed


def visible_share(now: Look, before: Look | None, shape: Any, *, look_for_clouds: bool) -> float:
    """Share of a shape's place that has data and lies under no cloud, 0 to 1."""
    place = now.inside(shape, touched=True)
    if not place.any():
        return 0.0
    seen = now.valid.copy()
    if look_for_clouds:
        seen &= ~clouds(now, before)
    return float(seen[place].mean())


def contrast(now: Look, shape: Any, hidden: BoolArray | None = None) -> np.ndarray | None:
    """How an object differs from what is around it.

    Args:
        now: With the object and its surroundings.
        shape: The object, in pixels of the grid.
        hidden: Pixels of the look that show nothing of the ground.

    Returns:
        (3,) float64: the difference of the means inside and around, a band, in standard deviations
        of both together; None where either is not visible.
    """
    seen = now.valid if hidden is None else now.valid & ~hidden
    side = max(shape.area, 1.0) ** 0.5
    inside = now.inside(shape, touched=False) & seen
    if not inside.any():
        inside = now.inside(shape, touched=True) & seen
    near = now.inside(shapely.buffer(shape, max(side * AROUND, 2.0 * now.factor)))
    around = near & ~now.inside(shape, touched=True) & seen
    if not inside.any() or not around.any():
        return None
    one, other = (now.pixels[mask].astype(np.float64) for mask in (inside, around))
    spread = np.sqrt((one.var(axis=0) + other.var(axis=0)) / 2)
    return np.asarray((one.mean(axis=0) - other.mean(axis=0)) / np.maximum(spread, 4.0))


def goes_on(now: Look, shape: Any) -> bool:
    """Whether most of a shape's border is none in the picture: the shape is a part of something.

    Args:
        now: With the shape and its surroundings.
        shape: In pixels of the grid.
    """
    inside = now.inside(shape) & now.valid
    beyond = max(BEYOND * shape.area**0.5, 3.0 * now.factor)
    near = now.inside(shapely.buffer(shape, beyond))
    rim = near & ~now.inside(shapely.buffer(shape, beyond - now.factor))
    if not inside.any() or not rim.any():
        return False
    pixels = ndimage.uniform_filter(now.pixels.astype(np.float64), (3, 3, 1))
    own = pixels[inside]
    limit = CONTINUES * np.maximum(own.std(axis=0), LEAST_LEVELS)
    alike = (np.abs(pixels - own.mean(axis=0)) <= limit).all(axis=2) & now.valid | inside
    open_share = _reached(inside, alike & near)[rim].mean()
    grown = _reached(inside, alike).sum() / inside.sum()
    return bool(open_share >= LEAST_OPEN and grown >= LEAST_GROWN)


def _reached(start: BoolArray, allowed: BoolArray) -> BoolArray:
    """Allowed pixels that are connected with some of ``start``."""
    parts, _ = ndimage.label(allowed)
    reached: BoolArray = np.isin(parts, np.unique(parts[start])) & allowed
    return reached
