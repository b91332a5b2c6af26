# SPDX-License-Identifier: GPL-2.0-or-later
"""Simulated users: first prompts for a known object, and clicks that correct a wrong mask.

Positions are (row, column) pixels with (0, 0) at the corner of the first pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..types import AnyArray, BoolArray, FloatArray
from .datasets.opencv import cv2

POINTS = 4
"""Points a first prompt has at most; shorter ones are padded with label -1."""

KINDS = ("box", "point", "box+point", "points", "mask")
SHARES = (0.42, 0.33, 0.07, 0.12, 0.06)


@dataclass(frozen=True, eq=False)
class FirstPrompts:
    """First prompts of ``n`` objects.

    Args:
        points: (n, POINTS, 2) float32.
        labels: (n, POINTS) int8, 1, 0 and -1 (padding).
        boxes: (n, 4) float32 (row0, col0, row1, col1), NaN where there is none.
        masks: (n, h, w) float32 logits at stride 4, zeros where there is none.
        kinds: (n,) int64, index in :data:`KINDS`.
    """

    points: FloatArray
    labels: NDArray[np.int8]
    boxes: FloatArray
    masks: FloatArray
    kinds: NDArray[np.int64]


def interior_point(mask: BoolArray, rng: np.random.Generator) -> tuple[float, float]:
    """A place inside a mask: anywhere, or likelier the deeper inside, or the deepest.

    People click near the middle of things, grids anywhere.
    """
    how = rng.random()
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT)
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, 3)[1:-1, 1:-1]
    rows, cols = np.nonzero(depth)
    depths = depth[rows, cols]
    if how < 0.15:
        at = int(depths.argmax())
    else:
        weights = np.ones_like(depths) if how < 0.45 else depths**2
        at = int(np.searchsorted(np.cumsum(weights), rng.random() * weights.sum()))
        at = min(at, len(rows) - 1)
    return float(rows[at] + rng.random()), float(cols[at] + rng.random())


def outside_point(mask: BoolArray, rng: np.random.Generator) -> tuple[float, float] | None:
    """A place outside a mask, mostly close to it; None where the mask fills everything."""
    distance = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 3)
    reach = 3 + 0.4 * float(np.sqrt(mask.sum()))
    rows, cols = np.nonzero((distance > 1.5) & (distance < reach))
    if len(rows) == 0:
        return None
    at = int(rng.integers(len(rows)))
    return float(rows[at] + rng.random()), float(cols[at] + rng.random())


def tight_box(mask: BoolArray) -> tuple[int, int, int, int]:
    rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(rows[0]), int(cols[0]), int(rows[-1]) + 1, int(cols[-1]) + 1


def drawn_box(mask: BoolArray, rng: np.random.Generator) -> AnyArray:
    """The object's box as somebody would draw it: exact, or off by a few per cent a side."""
    row0, col0, row1, col1 = tight_box(mask)
    sloppiness = rng.choice([0.0, 0.02, 0.05, 0.1], p=[0.45, 0.2, 0.25, 0.1])
    sides = np.array([row1 - row0, col1 - col0] * 2)
    error = np.clip(rng.normal(0, 1, 4), -2, 2) * sloppiness * sides
    if sloppiness > 0:
        error += rng.uniform(-1, 1, 4)
    box = np.array([row0, col0, row1, col1]) + error
    middle = (box[:2] + box[2:]) / 2
    box[:2], box[2:] = np.minimum(box[:2], middle - 1), np.maximum(box[2:], middle + 1)
    out: AnyArray = np.clip(box, 0, [*mask.shape, *mask.shape])
    return out


def earlier_mask(mask: BoolArray, rng: np.random.Generator) -> FloatArray:
    """What an earlier, worse round might have given: shifted, swollen or shrunk, (h/4, w/4)."""
    height, width = mask.shape
    small = cv2.resize(
        mask.astype(np.float32), (width // 4, height // 4), interpolation=cv2.INTER_AREA
    )
    shift = np.array([[1, 0, rng.normal(0, 1)], [0, 1, rng.normal(0, 1)]])
    small = cv2.warpAffine(small, shift, (width // 4, height // 4))
    small = cv2.GaussianBlur(small, (0, 0), float(rng.uniform(0.3, 2)))
    out: FloatArray = ((small - rng.uniform(0.3, 0.7)) * rng.uniform(6, 20)).astype(np.float32)
    return np.clip(out, -10, 10)


def first_prompts(masks: BoolArray, rng: np.random.Generator) -> FirstPrompts:
    """One first prompt for each of (n, H, W) masks."""
    n, height, width = masks.shape
    points = np.zeros((n, POINTS, 2), np.float32)
    labels = np.full((n, POINTS), -1, np.int8)
    boxes = np.full((n, 4), np.nan, np.float32)
    earlier = np.zeros((n, height // 4, width // 4), np.float32)
    kinds = np.asarray(rng.choice(len(KINDS), n, p=SHARES), np.int64)
    for i, mask in enumerate(masks):
        kind = KINDS[kinds[i]]
        if "box" in kind:
            boxes[i] = drawn_box(mask, rng)
        if kind == "mask":
            earlier[i] = earlier_mask(mask, rng)
        count = {"box": 0, "point": 1, "box+point": 1, "mask": int(rng.integers(0, 3))}.get(
            kind, int(rng.integers(2, POINTS + 1))
        )
        for k in range(count):
            on = (k == 0 and kind != "mask") or rng.random() < 0.5
            place = interior_point(mask, rng) if on else outside_point(mask, rng)
            if place is not None:
                points[i, k] = place
                labels[i, k] = 1 if on else 0
    return FirstPrompts(points, labels, boxes, earlier, kinds)


def correcting_point(
    wanted: BoolArray, given: BoolArray, cell: int, rng: np.random.Generator
) -> tuple[float, float, int] | None:
    """Where a user would click next: in the middle of the largest error.

    Args:
        wanted: (h, w) true mask on cells of ``cell`` pixels.
        given: (h, w) predicted mask.
        cell: Pixels a cell.
        rng: Jitters the click within its cell.

    Returns:
        (row, column) in pixels and the label, or None where nothing is wrong.
    """
    wrong = (wanted != given).astype(np.uint8)
    padded = cv2.copyMakeBorder(wrong, 1, 1, 1, 1, cv2.BORDER_CONSTANT)
    # Missing and superfluous parts that touch are two errors.
    best, label, place = 0.0, 0, (0, 0)
    for sign in (1, 0):
        part = padded.copy()
        part[1:-1, 1:-1] &= wanted if sign else ~wanted
        if not part.any():
            continue
        depth = cv2.distanceTransform(part, cv2.DIST_L2, 3)
        at = int(depth.argmax())
        if depth.flat[at] > best:
            best, label = float(depth.flat[at]), sign
            place = (at // part.shape[1] - 1, at % part.shape[1] - 1)
    if best == 0.0:
        return None
    jitter = rng.uniform(0.2, 0.8, 2)
    return (place[0] + jitter[0]) * cell, (place[1] + jitter[1]) * cell, label
