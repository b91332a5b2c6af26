# SPDX-License-Identifier: GPL-2.0-or-later
"""Targets and losses of the head for proposals and classes (``models/embedded/heads.py``)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ..models.embedded.classes import CLASSES
from ..models.embedded.heads import Dense
from ..models.embedded.prompt_maps import STRIDE
from ..types import AnyArray, ByteArray, FloatArray
from .datasets.crops import Sample
from .datasets.opencv import cv2

RING = 9
"""Pixels around a labelled object that are known not to belong to it."""

CLASS_WEIGHTS = {"vehicle": 2.0, "water": 1.5, "road": 1.5}

SET_WEIGHT = 0.8
"""Of cells that may be of several classes, as "anything but a building". With 0.35 (up to the fifth
generation) yards between roofs were taken for buildings, in towns that were trained on, too."""


class DenseTargets(NamedTuple):
    """What the head should say of a crop, on (h, w) cells of stride 4.

    Args:
        depth: (h, w) float32, depth in the object relative to its deepest place; 0 outside.
        known: (h, w) float32, weight of the depth: 0 where nobody knows.
        boxes: (4, h, w) float32, the box of the object there (row0, col0, row1, col1), pixels.
        share: (h, w) float32, weight of the box: an object's weights have a sum of 1 to some
            cells; 0 outside.
        classes: (h, w) uint8, sets of classes; 0 is unknown.
    """

    depth: FloatArray
    known: FloatArray
    boxes: FloatArray
    share: FloatArray
    classes: ByteArray


def dense_targets(crop: Sample) -> DenseTargets:
    """The targets of a crop whose sides are multiples of 4."""
    assert crop.classes is not None  # crops always have them
    return targets_of(crop.labels[0].astype(np.int32), 0.5 if crop.whole else 0.0, crop.classes)


def targets_of(
    labels: NDArray[np.int32], elsewhere: float | FloatArray, classes: ByteArray
) -> DenseTargets:
    """The targets for labels of (h, w) pixels, multiples of 4.

    Args:
        labels: Numbers of objects, 0 outside.
        elsewhere: Weight of the depth 0 away from objects, 0 where nobody knows; one number, or
            (h, w).
        classes: (h, w) sets of classes.
    """
    height, width = labels.shape
    inside = labels > 0
    # Every pixel that has a neighbour of another object, or lies at the crop's edge, is a border.
    grown = cv2.copyMakeBorder(labels.astype(np.uint16), 1, 1, 1, 1, cv2.BORDER_CONSTANT)
    most = cv2.dilate(grown, np.ones((3, 3), np.uint8))[1:-1, 1:-1]
    least = cv2.erode(grown, np.ones((3, 3), np.uint8))[1:-1, 1:-1]
    within = (inside & (most == least)).astype(np.uint8)
    padded = cv2.copyMakeBorder(within, 1, 1, 1, 1, cv2.BORDER_CONSTANT)
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, 3)[1:-1, 1:-1] + 0.5
    count = int(labels.max()) + 1
    deepest = np.full(count, 1e-3, np.float32)
    np.maximum.at(deepest, labels.ravel(), distance.ravel())
    depth = np.where(inside, distance / deepest[labels], 0).astype(np.float32)
    near = cv2.dilate(inside.astype(np.uint8), np.ones((RING, RING), np.uint8)) > 0
    known = np.where(near, 1.0, elsewhere).astype(np.float32)
    size = (width // STRIDE, height // STRIDE)
    middle = STRIDE // 2
    cells = labels[middle::STRIDE, middle::STRIDE]
    small = cv2.resize(depth, size, interpolation=cv2.INTER_AREA)
    boxes = _boxes(labels, count)[:, cells]
    weights = np.where(cells > 0, small + 1e-3, 0)
    sums = np.bincount(cells.ravel(), weights.ravel(), count)
    share = weights / np.maximum(sums, 1e-3)[cells] ** 0.8
    return DenseTargets(
        small,
        cv2.resize(known, size, interpolation=cv2.INTER_AREA),
        boxes.astype(np.float32),
        share.astype(np.float32),
        np.ascontiguousarray(classes[middle::STRIDE, middle::STRIDE]),
    )


def _boxes(labels: AnyArray, count: int) -> AnyArray:
    """(4, count) boxes of all labels."""
    rows, cols = np.nonzero(labels)
    ids = labels[rows, cols]
    low = np.full((2, count), 1 << 20, np.int64)
    high = np.zeros((2, count), np.int64)
    for axis, places in enumerate((rows, cols)):
        np.minimum.at(low[axis], ids, places)
        np.maximum.at(high[axis], ids, places + 1)
    return np.concatenate([low, high])


def dense_loss(dense: Dense, targets: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """The head's loss.

    The depth's is the quality focal loss (Li et al. 2020), the boxes' 1 - IoU and the difference of
    logarithms, the classes' the cross-entropy of the set of classes that a cell may have.

    Args:
        dense: Of a batch.
        targets: The fields of :class:`DenseTargets`, (b, ...).

    Returns:
        A scalar, and its parts for the log.
    """
    logits, wanted = dense.depth.float(), targets["depth"]
    cross = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    weight = targets["known"] * (0.1 + (torch.sigmoid(logits) - wanted).abs())
    depth = (cross * weight).sum() / (targets["known"].sum() + 200)

    h, w = wanted.shape[1:]
    rows = (torch.arange(h, device=wanted.device) + 0.5)[:, None] * STRIDE
    cols = (torch.arange(w, device=wanted.device) + 0.5)[None] * STRIDE
    true = targets["boxes"]
    sides = torch.stack(
        [rows - true[:, 0], cols - true[:, 1], true[:, 2] - rows, true[:, 3] - cols], 1
    ).clamp(min=1.0)
    given = dense.sides
    common = torch.minimum(given, sides)
    overlap = (common[:, 0] + common[:, 2]) * (common[:, 1] + common[:, 3])
    areas = [(s[:, 0] + s[:, 2]) * (s[:, 1] + s[:, 3]) for s in (given, sides)]
    iou = overlap / (areas[0] + areas[1] - overlap)
    away = (given.log() - sides.log()).abs().mean(1)
    share = targets["share"]
    total = share.sum() + 1
    box = ((1 - iou + 0.5 * away) * share).sum() / total

    classes, known = class_loss(dense.classes.float(), targets["classes"])
    parts = {
        "depth": depth,
        "box_iou": (iou * share).sum() / share.sum().clamp(min=1e-3),
        "classes": classes,
        "classes_known": known,
    }
    return 4 * depth + box + 0.7 * classes, {k: v.detach() for k, v in parts.items()}


def class_loss(logits: Tensor, sets: Tensor) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy of (b, c, h, w) logits with (b, h, w) sets of classes, and the share of
    cells that count; a set of several classes counts :data:`SET_WEIGHT`."""
    numbers = torch.arange(len(CLASSES), device=sets.device)
    allowed = (sets[:, None].int() >> numbers[None, :, None, None]) & 1
    known = (sets > 0).float()
    scores = F.log_softmax(logits, dim=1)
    # Where nothing is known all classes are allowed, so that the logarithm is finite.
    scores = scores.masked_fill((allowed == 0) & (sets > 0)[:, None], -30.0)
    cross = -torch.logsumexp(scores, dim=1)
    by_class = torch.tensor([CLASS_WEIGHTS.get(name, 1.0) for name in CLASSES], device=sets.device)
    alone = allowed.sum(1) == 1
    weight = known * torch.where(
        alone, (allowed * by_class[None, :, None, None]).sum(1), SET_WEIGHT
    )
    return (cross * weight).sum() / (weight.sum() + 100), known.mean()
