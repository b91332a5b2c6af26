# SPDX-License-Identifier: GPL-2.0-or-later
"""Prompts checked and brought to the embedded network's pixels."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ...errors import PromptError
from ...types import FloatArray
from ..base import BACKGROUND, FOREGROUND, PADDING, Embedding, Prompts
from .network import MASK_STRIDE
from .prompt_maps import STRIDE, PromptTensors


def to_tensors(prompts: Prompts, embedding: Embedding, device: torch.device) -> PromptTensors:
    """Prompts in image pixels as the network's, in its own pixels.

    Raises:
        PromptError: A prompt is empty, malformed, or lies outside the image.
    """
    scale = (MASK_STRIDE / embedding.cell_size[0], MASK_STRIDE / embedding.cell_size[1])
    n = len(prompts)
    given = np.zeros(n, bool)
    points = np.zeros((n, 1, 2), np.float32)
    labels = np.full((n, 1), PADDING, np.int8)
    boxes = np.full((n, 4), np.nan, np.float32)
    if prompts.points is not None and prompts.labels is not None and prompts.points.shape[1]:
        _check_points(prompts.points, prompts.labels, embedding.shape)
        labels = np.asarray(prompts.labels, np.int8)
        points = np.where(labels[..., None] == PADDING, 0, prompts.points) * np.array(
            scale, np.float32
        )
        given |= (labels != PADDING).any(axis=1)
    if prompts.boxes is not None:
        boxes = _clipped(prompts.boxes, embedding.shape) * np.array(scale * 2, np.float32)
        given[:] = True
    masks: Tensor | None = None
    if prompts.masks is not None:
        if prompts.masks.shape[1:] != embedding.mask_shape:
            raise PromptError(
                f"A mask prompt has {prompts.masks.shape[1:]} cells, but this image's masks have "
                f"{embedding.mask_shape}: give the logits of an earlier answer for this image."
            )
        if not np.isfinite(prompts.masks).all():
            raise PromptError("A mask prompt holds values that are not finite: give plain logits.")
        earlier = np.clip(np.asarray(prompts.masks, np.float32), -10, 10)
        masks = F.avg_pool2d(torch.from_numpy(earlier).to(device), STRIDE // MASK_STRIDE)
        given[:] = True
    if not given.all():
        raise PromptError(
            f"Prompt {int(np.argmin(given))} is empty: give it a point, a box or a mask."
        )
    return PromptTensors(
        _moved(points, device), _moved(labels, device), _moved(boxes, device), masks
    )


def _moved(array: NDArray[np.generic], device: torch.device) -> Tensor:
    if array.dtype == np.float64:
        array = array.astype(np.float32)
    return torch.from_numpy(np.ascontiguousarray(array)).to(device)


def _check_points(points: FloatArray, labels: NDArray[np.int8], shape: tuple[int, int]) -> None:
    if points.shape != (*labels.shape, 2):
        raise PromptError(
            f"Points {points.shape} and labels {labels.shape} do not match: give one label a point."
        )
    if not np.isin(labels, (FOREGROUND, BACKGROUND, PADDING)).all():
        raise PromptError("Labels of points are 1 (object), 0 (background) or -1 (padding).")
    inside = ((points >= 0) & (points <= np.array(shape))).all(axis=-1)
    outside = (labels != PADDING) & ~inside
    if outside.any():
        row, col = points[outside][0]
        raise PromptError(
            f"The point at row {row:.1f}, column {col:.1f} lies outside the image of "
            f"{shape[0]} x {shape[1]} pixels: move it inside."
        )


def _clipped(boxes: FloatArray, shape: tuple[int, int]) -> FloatArray:
    """Boxes cut to the image.

    Raises:
        PromptError: Of a box nothing is left, or it is malformed.
    """
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not np.isfinite(boxes).all():
        raise PromptError(
            f"Boxes are (n, 4) finite numbers (row0, col0, row1, col1), not {boxes.shape}."
        )
    limit = np.array([*shape, *shape], np.float32)
    clipped = np.clip(np.asarray(boxes, np.float32), 0, limit)
    empty = (clipped[:, 2] <= clipped[:, 0]) | (clipped[:, 3] <= clipped[:, 1])
    if empty.any():
        which = int(np.argmax(empty))
        raise PromptError(
            f"Box {which} ({', '.join(f'{v:.1f}' for v in boxes[which])}) is empty or lies outside "
            f"the image of {shape[0]} x {shape[1]} pixels: give row0 < row1 and col0 < col1."
        )
    return clipped
