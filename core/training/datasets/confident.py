# SPDX-License-Identifier: GPL-2.0-or-later
"""The model's own confident masks of unlabelled photographs, to train on.

The automatic stage of the data engine of "Segment Anything" (Kirillov et al. 2023, section 4): a
model that has learned something finds objects in photographs that nobody labelled. Kept are masks
that come back when their box is prompted in the photograph mirrored, and in it mirrored the other
way at three quarters of its size. So photographs of many places enter the training with their own
borders, where composed scenes have painted ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...models.base import PromptableModel, Prompts
from ...segmenters.automatic import AutomaticOptions, AutomaticSegmenter
from ...segmenters.segmenter import TileImage
from ...tiles.grid import Tile
from ...tiles.mask_grid import resample
from ...types import BoolArray, ByteArray, FloatArray, PixelBox, TileIndex
from .crops import Sample
from .opencv import cv2

AGREEMENT = 0.8
"""Least IoU of a mask with what its box gives in each of the changed photographs."""

SMALLEST = 80
"""Pixels that an object has at least."""

LARGEST = 0.2
"""Share of a photograph that an object covers at most."""

OPTIONS = AutomaticOptions(points_per_side=16, score_threshold=0.55, stability_threshold=0.55)


@dataclass(frozen=True)
class View:
    """A photograph mirrored along some axes and magnified."""

    down: bool
    across: bool
    scale: float

    def shown(self, image: ByteArray) -> ByteArray:
        """(H, W, 3) as it looks from here."""
        turned = image[:: -1 if self.down else 1, :: -1 if self.across else 1]
        if self.scale != 1:
            turned = cv2.resize(
                np.ascontiguousarray(turned),
                None,
                fx=self.scale,
                fy=self.scale,
                interpolation=cv2.INTER_AREA,
            )
        return np.ascontiguousarray(turned)

    def boxes(self, boxes: FloatArray, shape: tuple[int, int]) -> FloatArray:
        """(n, 4) row0, col0, row1, col1 in pixels of the view."""
        moved = boxes.copy()
        if self.down:
            moved[:, [0, 2]] = shape[0] - boxes[:, [2, 0]]
        if self.across:
            moved[:, [1, 3]] = shape[1] - boxes[:, [3, 1]]
        out: FloatArray = moved * np.float32(self.scale)
        return out

    def back(self, masks: FloatArray) -> FloatArray:
        """(n, H, W) logits of the photograph's size, mirrored back."""
        return masks[:, :: -1 if self.down else 1, :: -1 if self.across else 1]


VIEWS = (View(False, True, 1.0), View(True, False, 0.75))


def iou(one: BoolArray, other: BoolArray) -> FloatArray:
    """IoU of (n, H, W) masks in pairs: (n,)."""
    union = (one | other).sum((1, 2))
    out: FloatArray = ((one & other).sum((1, 2)) / np.maximum(union, 1)).astype(np.float32)
    return out


def answers(model: PromptableModel, image: ByteArray, boxes: FloatArray, view: View) -> BoolArray:
    """What the model finds in each of (n, 4) boxes when it sees an image from a view: (n, H, W)."""
    shown = view.shown(image)
    embedding = model.encode([shown])[0]
    prompts = Prompts(boxes=view.boxes(boxes, image.shape[:2]))
    logits = model.decode(embedding, prompts, multimask=False).logits[:, 0]
    rows, cols = (
        cell * side / seen
        for cell, side, seen in zip(
            embedding.cell_size, image.shape[:2], shown.shape[:2], strict=True
        )
    )
    found: BoolArray = view.back(resample(logits, (rows, cols), (1, 1), shape=image.shape[:2])) > 0
    return found


def proposals(model: PromptableModel, image: ByteArray) -> tuple[BoolArray, FloatArray]:
    """All masks of an image by the automatic mode, (n, H, W), and their scores (n,)."""
    height, width = image.shape[:2]
    side = max(height, width)
    segmenter = AutomaticSegmenter(model, OPTIONS)
    cell = segmenter.cell_size(side)
    box = PixelBox(0, 0, height, width)
    tile = Tile(TileIndex(0, 0), box, box, box)
    whole = TileImage(tile, image, np.ones((height, width), bool), side, cell)
    found = segmenter.segment(whole).masks
    masks = np.zeros((len(found), height, width), bool)
    for mask, into in zip(found, masks, strict=True):
        area = mask.box.pixels(cell)
        shape = mask.box.width * cell, mask.box.height * cell
        fine = cv2.resize(mask.logits.astype(np.float32), shape) > 0
        rows, cols = min(area.row1, height), min(area.col1, width)
        into[area.row0 : rows, area.col0 : cols] = fine[: rows - area.row0, : cols - area.col0]
    return masks, np.array([mask.score for mask in found], np.float32)


def confident_sample(
    model: PromptableModel, image: ByteArray, views: Sequence[View] = VIEWS
) -> Sample | None:
    """The masks of a photograph that stay what they are however it is turned; None for none.

    Args:
        model: A trained one.
        image: (H, W, 3) uint8.
        views: From which every mask must be found again.
    """
    masks, scores = proposals(model, image)
    areas = masks.sum((1, 2))
    keep = (areas >= SMALLEST) & (areas <= LARGEST * image.shape[0] * image.shape[1])
    masks, scores = masks[keep], scores[keep]
    if not len(masks):
        return None
    boxes = np.array([_box(mask) for mask in masks], np.float32)
    agreed = np.min([iou(masks, answers(model, image, boxes, view)) for view in views], axis=0)
    labels = np.zeros((1, *image.shape[:2]), np.uint16)
    count = 0
    for row in np.argsort(-agreed * scores, kind="stable"):
        mask = masks[row]
        if agreed[row] >= AGREEMENT and (labels[0][mask] > 0).mean() < 0.1:
            count += 1
            labels[0][mask & (labels[0] == 0)] = count
    return Sample(image, labels) if count else None


def _box(mask: BoolArray) -> tuple[int, int, int, int]:
    rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(rows[0]), int(cols[0]), int(rows[-1]) + 1, int(cols[-1]) + 1
