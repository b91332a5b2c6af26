# SPDX-License-Identifier: GPL-2.0-or-later
"""Confident masks of what nobody labelled, taken in among the examples of a training.

The semi-automatic stage of the data engine of "Segment Anything" (Kirillov et al. 2023, section 4):
where a person has not worked, the model's own masks are learned from, as far as they are sure.
Kept are those that come back when their box is prompted in the window mirrored, and in it mirrored
the other way at three quarters of its size (``datasets/confident.py``). They say what an outline
is, not what is wanted: they are never measured on, and teach nothing about classes or about what
the automatic mode should leave out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import rasterio.features
import shapely
from affine import Affine

from ...labels.chips import NO_CLASS
from ...models.base import PromptableModel
from ...parallel.cancellation import check
from ...types import BoolArray, PixelBox
from ..datasets.confident import AGREEMENT, LARGEST, SMALLEST, VIEWS, answers, iou
from .examples import Example, Window
from .measure import Floats, Found, in_pixels, masks_found

TOGETHER = 16
"""Boxes that are asked at once: their masks have the window's size."""

FREE = 0.98
"""Share of a mask that lies on ground which nobody labelled."""

SHARED = 0.1
"""Share of a mask that lies in surer ones at most."""


def with_confident(
    model: PromptableModel,
    windows: Sequence[Window],
    points: int,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> list[Window]:
    """Windows with confident masks among their objects.

    There are at most as many as the windows have labelled objects, the surest first, so that a
    person's labels stay half of what is learned from. None lies on labelled objects, where
    everything is labelled, on rejected polygons, beyond the window's own part (``Window.part``:
    nothing that is held back), or at the window's edge.

    Args:
        model: Whose masks they are.
        windows: To train on.
        points: Of the automatic mode, along a window's side.
        report: Told of progress.
    """
    found: list[tuple[float, int, Example]] = []
    for number, window in enumerate(windows):
        check()
        report(number, len(windows))
        found += [(sure, number, one) for sure, one in _confident(model, window, points)]
    report(len(windows), len(windows))
    found.sort(key=lambda each: (-each[0], each[1], each[2].box))
    most = len({example.id for window in windows for example in window.objects})
    taken: list[list[Example]] = [[] for _ in windows]
    for _, number, example in found[:most]:
        taken[number].append(example)
    return [
        replace(window, objects=(*window.objects, *more))
        for window, more in zip(windows, taken, strict=True)
    ]


def _confident(model: PromptableModel, window: Window, points: int) -> list[tuple[float, Example]]:
    """Confidence and example of a window's confident masks that share no ground."""
    free = window.part & window.valid & ~window.known
    for example in (*window.objects, *window.rejected):
        free &= ~window.mask(example)
    if not free.any():
        return []
    masks, cell = masks_found(model, window, points)
    areas = in_pixels(masks, cell, window)
    good = [k for k, area in enumerate(areas) if _usable(area, window, free)]
    if not good:
        return []
    found = [areas[k] for k in good]
    agreed = _agreement(model, window, found)
    sure = agreed * np.array([masks[k].score for k in good])
    out: list[tuple[float, Example]] = []
    for k in np.lexsort((np.arange(len(good)), -sure.round(6))).tolist():
        box, part = found[k]
        at = box.slices(PixelBox(0, 0, *window.box.shape))
        mine = part & free[at]
        if agreed[k] >= AGREEMENT and mine.sum() >= (1 - SHARED) * part.sum():
            name = f"confident {window.box.row0} {window.box.col0} {len(out)}"
            out.append((float(sure[k]), _example(name, box, mine, window)))
            free[at] &= ~mine
    return out


def _usable(area: tuple[PixelBox, BoolArray], window: Window, free: BoolArray) -> bool:
    """Whether a mask has a usual size and lies whole on ground that nobody labelled."""
    box, part = area
    size = int(part.sum())
    if not SMALLEST <= size <= LARGEST * window.box.height * window.box.width:
        return False
    rows, cols = np.nonzero(part)
    height, width = window.box.shape
    cut = (
        rows.min() + box.row0 == 0
        or cols.min() + box.col0 == 0
        or rows.max() + box.row0 == height - 1
        or cols.max() + box.col0 == width - 1
    )
    inside = free[box.slices(PixelBox(0, 0, height, width))] & part
    return not cut and int(inside.sum()) >= FREE * size


def _agreement(model: PromptableModel, window: Window, found: Found) -> Floats:
    """Least IoU of masks with what their boxes give in the changed windows: (n,)."""
    out = np.ones(len(found))
    for start in range(0, len(found), TOGETHER):
        check()
        some = found[start : start + TOGETHER]
        whole = np.zeros((len(some), *window.box.shape), bool)
        for into, (box, part) in zip(whole, some, strict=True):
            into[box.slices(PixelBox(0, 0, *window.box.shape))] = part
        boxes = np.array([_corners(box, part) for box, part in some], np.float32)
        for view in VIEWS:
            agreed = iou(whole, answers(model, window.pixels, boxes, view))
            out[start : start + len(some)] = np.minimum(out[start : start + len(some)], agreed)
    return out


def _corners(box: PixelBox, part: BoolArray) -> tuple[int, int, int, int]:
    rows, cols = np.nonzero(part)
    return (
        int(rows.min()) + box.row0,
        int(cols.min()) + box.col0,
        int(rows.max()) + 1 + box.row0,
        int(cols.max()) + 1 + box.col0,
    )


def _example(name: str, box: PixelBox, part: BoolArray, window: Window) -> Example:
    """A mask as an example of the raster."""
    row0, col0, row1, col1 = _corners(PixelBox(0, 0, *part.shape), part)
    mask = np.ascontiguousarray(part[row0:row1, col0:col1])
    tight = PixelBox(row0, col0, row1, col1).shifted(
        box.row0 + window.box.row0, box.col0 + window.box.col0
    )
    shapes: list[Any] = [
        shapely.geometry.shape(shape)
        for shape, _ in rasterio.features.shapes(
            mask.astype(np.uint8), mask, 4, Affine.translation(tight.col0, tight.row0)
        )
    ]
    return Example(name, NO_CLASS, False, tight, mask, shapely.union_all(shapes))
