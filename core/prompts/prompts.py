# SPDX-License-Identifier: GPL-2.0-or-later
"""Prompts of any CRS in pixels of a raster and of a model's window.

Ground positions are (x, y), pixel positions are continuous (row, column) with (0, 0) at the top
left corner of the first pixel; the two never share an array without a name that says which.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
import shapely
from affine import Affine
from rasterio.features import rasterize
from scipy.ndimage import distance_transform_edt

from .. import job
from ..errors import PromptError
from ..models.base import BACKGROUND, FOREGROUND, Prompts
from ..types import BoolArray, FloatArray, PixelBox
from .transform import Positions as Positions
from .transform import PromptTransform as PromptTransform
from .transform import crs_on_raster as crs_on_raster

PromptKind = Literal["point", "box", "stroke", "polygon", "mask"]

STROKE_POINTS = 8
"""Points taken from a freehand stroke, evenly along it: more say the same and cost the decoder."""

MASK_LOGIT = 8.0
"""Largest logit of a mask prompt made from a polygon; the range that the stored logits have."""


@dataclass(frozen=True, eq=False)
class PixelPrompt:
    """One prompt in working pixels.

    Args:
        type: What ``points`` mean.
        points: (n, 2) float64 (row, column): one point; two corners (least, greatest) of a box;
            a stroke's vertices; an outer ring. A "polygon" is given to the model as its box and
            as a mask, a "mask" as a mask alone.
        positive: False where it names what does not belong to the object.
    """

    type: PromptKind
    points: Positions
    positive: bool = True

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """(row0, col0, row1, col1) around the points."""
        low, high = self.points.min(axis=0), self.points.max(axis=0)
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])

    @property
    def key(self) -> tuple[str, bool, bytes]:
        """Equal for equal prompts."""
        return self.type, self.positive, self.points.tobytes()

    def scaled(self, matrix: Affine) -> PixelPrompt:
        """The prompt in other pixels; ``matrix`` takes (column, row) to (column, row)."""
        row, col = self.points[:, 0], self.points[:, 1]
        points = np.column_stack(
            [
                matrix.d * col + matrix.e * row + matrix.f,
                matrix.a * col + matrix.b * row + matrix.c,
            ]
        )
        return PixelPrompt(self.type, points, self.positive)


def from_job(prompts: Sequence[job.Prompt], place: PromptTransform) -> list[PixelPrompt]:
    """The protocol's prompts in pixels.

    Raises:
        PromptError: There is none, a type is unknown, coordinates are too few or not numbers, or
            a box or polygon is negative.
    """
    if not prompts:
        raise PromptError("There is no prompt: give a point, a box, a stroke or a polygon.")
    return [_from_job(prompt, place) for prompt in prompts]


_LEAST = {"point": 1, "box": 2, "stroke": 1, "polygon": 3}


def _from_job(prompt: job.Prompt, place: PromptTransform) -> PixelPrompt:
    if prompt.type not in _LEAST:
        raise PromptError(
            f"A prompt of type {prompt.type!r} is unknown: use point, box, stroke or polygon."
        )
    kind = cast(PromptKind, prompt.type)
    rows = prompt.coordinates
    if len(rows) < _LEAST[kind] or (kind in ("point", "box") and len(rows) != _LEAST[kind]):
        raise PromptError(f"A {kind} prompt needs {_LEAST[kind]} positions, not {len(rows)}.")
    if any(len(row) != 2 for row in rows):
        raise PromptError(f"Each position of a {kind} prompt must be [x, y].")
    if kind in ("box", "polygon") and not prompt.positive:
        raise PromptError(
            f"A {kind} can only name the object: use points or strokes for what is not part of it."
        )
    xy = np.asarray(rows, np.float64)
    if not np.isfinite(xy).all():
        raise PromptError(f"A {kind} prompt has a coordinate that is not a number.")
    if kind == "box":
        return box_prompt(xy, place)
    return PixelPrompt(kind, place.to_pixels(xy), prompt.positive)


def box_prompt(corners: Positions, place: PromptTransform) -> PixelPrompt:
    """The pixel box around a ground box given by two opposite corners (2, 2) of (x, y).

    Where the raster is rotated or of another CRS the box grows to hold the whole of it.
    """
    (x0, y0), (x1, y1) = corners.min(axis=0), corners.max(axis=0)
    if x0 == x1 or y0 == y1:
        pixels = place.to_pixels([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
    else:
        shape = place.geometry(shapely.box(x0, y0, x1, y1))
        if shape.is_empty:
            raise PromptError("The box lies outside the raster: check its coordinates and CRS.")
        pixels = shapely.get_coordinates(shape)[:, ::-1]
    return PixelPrompt("box", np.stack([pixels.min(axis=0), pixels.max(axis=0)]))


def check_inside(prompts: Sequence[PixelPrompt], shape: tuple[int, int]) -> None:
    """Refuse what lies off the raster.

    Raises:
        PromptError: No prompt names an object, or one lies outside the raster's pixels.
    """
    height, width = shape
    for prompt in prompts:
        row0, col0, row1, col1 = prompt.extent
        if row1 < 0 or col1 < 0 or row0 >= height or col0 >= width:
            raise PromptError(
                f"The {prompt.type} prompt at pixel row {row0:.1f}, column {col0:.1f} lies outside "
                f"the raster of {height} rows and {width} columns."
            )
    if not any(prompt.positive for prompt in prompts):
        raise PromptError("All prompts are negative: add a point or a box on the object first.")


def joint_extent(prompts: Sequence[PixelPrompt]) -> tuple[float, float, float, float]:
    """(row0, col0, row1, col1) around all prompts, in pixels."""
    extents = np.array([prompt.extent for prompt in prompts])
    low, high = extents[:, :2].min(axis=0), extents[:, 2:].max(axis=0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def along_stroke(points: Positions, count: int) -> Positions:
    """``count`` positions spread evenly along a line of (n, 2) vertices, ends left out."""
    steps = np.hypot(*np.diff(points, axis=0).T)
    total = float(steps.sum())
    if len(points) < 2 or total <= 0:
        return points[:1]
    at = np.concatenate([[0.0], np.cumsum(steps)])
    wanted = (np.arange(count) + 0.5) / count * total
    return np.column_stack(
        [np.interp(wanted, at, points[:, 0]), np.interp(wanted, at, points[:, 1])]
    )


def polygon_logits(rings: Sequence[Positions], window: PixelBox, cell: int) -> FloatArray:
    """Polygons as one mask prompt: logits that rise with the distance from their edge.

    Args:
        rings: (n, 2) float64 (row, column) in raster pixels, one for each polygon.
        window: Pixels that the logits cover.
        cell: Side of a logit's cell in pixels.

    Returns:
        (h, w) float32, positive inside, within +-:data:`MASK_LOGIT`.
    """
    shape = (window.height // cell, window.width // cell)
    cells = [(ring - (window.row0, window.col0)) / cell for ring in rings]
    drawn = [shapely.make_valid(shapely.Polygon(ring[:, ::-1])) for ring in cells]
    polygons = [polygon for polygon in drawn if polygon.area > 0]
    if not polygons:
        raise PromptError("A polygon prompt has no area.")
    inside: BoolArray = rasterize(polygons, out_shape=shape, all_touched=True).astype(bool)
    if not inside.any() or inside.all():
        return np.full(shape, MASK_LOGIT if inside.any() else -MASK_LOGIT, np.float32)
    distance = distance_transform_edt(inside) - distance_transform_edt(~inside)
    # Half a cell is where the edge runs: a cell's distance counts from centre to centre.
    signed = distance - 0.5 * np.sign(distance)
    logits: FloatArray = np.clip(2.0 * signed, -MASK_LOGIT, MASK_LOGIT).astype(np.float32)
    return logits


def window_prompts(
    prompts: Sequence[PixelPrompt],
    window: PixelBox,
    cell: int,
    *,
    logits: FloatArray | None = None,
    accepts: frozenset[str] = frozenset({"point", "box", "mask"}),
) -> Prompts | None:
    """One model prompt from all that lies in a window.

    Args:
        prompts: In raster pixels. Several boxes become the one box around them, several polygons
            one mask.
        window: What the model sees; positions become relative to it.
        cell: Side in pixels of the model's mask cells.
        logits: (h, w) float32 of an earlier round in the model's mask shape; goes before the
            mask that a polygon would give.
        accepts: What the model understands; a mask prompt is left out where it does not.

    Returns:
        One prompt, or None where nothing that names the object lies in the window.
    """
    points: list[Positions] = []
    labels: list[int] = []
    boxes: list[tuple[float, float, float, float]] = []
    rings: list[Positions] = []
    for prompt in prompts:
        if prompt.type in ("point", "stroke"):
            spots = prompt.points
            if prompt.type == "stroke":
                spots = along_stroke(spots, STROKE_POINTS)
            spots = spots[_inside(spots, window)]
            points.append(spots)
            labels += [FOREGROUND if prompt.positive else BACKGROUND] * len(spots)
        else:
            row0, col0, row1, col1 = prompt.extent
            box = (
                max(row0, window.row0),
                max(col0, window.col0),
                min(row1, window.row1),
                min(col1, window.col1),
            )
            as_mask = prompt.type == "mask" and "mask" in accepts
            if box[0] < box[2] and box[1] < box[3] and not as_mask:
                boxes.append(box)
            if prompt.type in ("polygon", "mask"):
                rings.append(prompt.points)
    if rings and logits is None:
        logits = polygon_logits(rings, window, cell)
    if "mask" not in accepts:
        logits = None
    if not boxes and FOREGROUND not in labels and logits is None:
        return None
    origin = np.array([window.row0, window.col0], np.float64)
    joined = np.concatenate(points) - origin if labels else None
    return Prompts(
        points=None if joined is None else joined[None].astype(np.float32),
        labels=None if joined is None else np.array([labels], np.int8),
        boxes=None if not boxes else _around(boxes, origin),
        masks=None if logits is None else logits[None].astype(np.float32),
    )


def _inside(spots: Positions, window: PixelBox) -> BoolArray:
    low, high = np.array([window.row0, window.col0]), np.array([window.row1, window.col1])
    return np.asarray(((spots >= low) & (spots <= high)).all(axis=1), np.bool_)


def _around(boxes: list[tuple[float, float, float, float]], origin: Positions) -> FloatArray:
    array = np.array(boxes, np.float64)
    low, high = array[:, :2].min(axis=0) - origin, array[:, 2:].max(axis=0) - origin
    return np.concatenate([low, high])[None].astype(np.float32)
