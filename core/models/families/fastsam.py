# SPDX-License-Identifier: GPL-2.0-or-later
"""FastSAM (Zhao et al. 2023) from a user's own ONNX export, run by ONNX Runtime.

FastSAM is YOLOv8-seg with one class, "object": one pass gives all instances of an image, each a
box, a score and coefficients of prototypes (Bolya et al. 2019, YOLACT). Prompts choose among them,
as in the paper's section 3.3: a point takes the masks that hold it, a box the one that fits it
best. Its library and weights are AGPL: neither is used or fetched here. A user exports a checkpoint
with whatever tool its authors give, and names the .onnx file.

The network's tensors, square side S, N places:

* input (1, 3, S, S) float32 RGB, 0 to 1, the image at the corner, grey 114 beside it;
* output (1, 4 + classes + K, N): centre x, centre y, width, height in input pixels, a score of
  each class, K coefficients;
* output (1, K, S/4, S/4): prototypes. A mask's logit is the sum of coefficient times prototype.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from ...errors import CheckpointError, ModelError, PromptError
from ...types import BoolArray, ByteArray, FloatArray
from ..base import FOREGROUND, PADDING, Decoded, Embedding, ModelInfo, Prompts
from ..image import check_image

GREY = 114
"""What fills the square beside the image, grey level."""

MIN_SCORE, MAX_IOU, MOST = 0.4, 0.9, 300
"""The authors' defaults for "everything": least score, IoU of boxes from which the worse of two is
left out, and most instances of an image."""

OUTSIDE = np.float32(-8.0)
"""Logit outside an instance's box."""

DEFAULT_SIDE = 1024
"""Of the square, where an export leaves it open."""


@dataclass(frozen=True, eq=False)
class Instances:
    """What one pass finds.

    Args:
        boxes: (n, 4) float32 (row0, col0, row1, col1), pixels of the square, best first.
        scores: (n,) float32.
        coefficients: (n, K) float32.
    """

    boxes: FloatArray
    scores: FloatArray
    coefficients: FloatArray


class FastSam:
    """A :class:`~..base.PromptableModel` that finds everything in one pass.

    Args:
        session: Of ONNX Runtime.
        name: For messages and attributes.
        checksum: Of the file.
        side: Of the square, pixels.
    """

    def __init__(self, session: Any, *, name: str, checksum: str, side: int) -> None:
        self._session = session
        self._input = session.get_inputs()[0].name
        self._side = side
        settings = f"{checksum} fastsam {side} {MIN_SCORE} {MAX_IOU} {MOST}"
        running = session.get_providers()[0]
        self._info = ModelInfo(
            name=name,
            family="fastsam",
            fingerprint=hashlib.sha256(settings.encode()).hexdigest()[:32],
            input_size=side,
            mask_size=side // 4,
            accepts=frozenset({"point", "box"}),
            device="cuda" if running == "CUDAExecutionProvider" else "cpu",
            score_threshold=MIN_SCORE,
            stability_threshold=0.0,
        )

    @property
    def info(self) -> ModelInfo:
        return self._info

    # Images -------------------------------------------------------------------------------------

    def encode(self, images: Sequence[ByteArray]) -> list[Embedding]:
        """See :meth:`~..base.PromptableModel.encode`: the whole network runs here."""
        return [self._encode(image) for image in images]

    def _encode(self, image: ByteArray) -> Embedding:
        check_image(image)
        square, scale = letterbox(image, self._side)
        outputs = self._session.run(None, {self._input: square})
        found, prototypes = _told_apart(outputs, self._info.name)
        instances = suppressed(candidates(found, prototypes.shape[0]))
        cells = prototypes.shape[1:]
        step = self._side / np.array(cells, np.float64)
        return Embedding(
            arrays={
                "prototypes": np.ascontiguousarray(prototypes),
                "boxes": instances.boxes / np.tile(step, 2).astype(np.float32),
                "scores": instances.scores,
                "coefficients": instances.coefficients,
            },
            shape=(image.shape[0], image.shape[1]),
            cell_size=(float(step[0] / scale[0]), float(step[1] / scale[1])),
            mask_shape=(int(cells[0]), int(cells[1])),
            fingerprint=self._info.fingerprint,
        )

    # Masks --------------------------------------------------------------------------------------

    def everything(self, embedding: Embedding) -> Decoded:
        """All instances of an image, best first: one mask each, without a prompt."""
        logits = self._instances(embedding)
        scores = np.asarray(embedding.arrays["scores"], np.float32)
        return Decoded(np.arange(len(scores)), logits[:, None], scores[:, None])

    def decode(
        self,
        embedding: Embedding,
        prompts: Prompts,
        *,
        multimask: bool = True,
        min_score: float | None = None,
    ) -> Decoded:
        """See :meth:`~..base.PromptableModel.decode`; one mask a prompt, whatever is asked."""
        if prompts.masks is not None:
            raise ModelError(
                f"{self._info.name} does not understand mask prompts: choose another model, or "
                "points and boxes."
            )
        logits = self._instances(embedding)
        scores = np.asarray(embedding.arrays["scores"], np.float32)
        inside = logits > 0
        answers, values, kept = [], [], []
        order = np.argsort(-inside.sum(axis=(1, 2)), kind="stable")
        for row in range(len(prompts)):
            answer = np.full(embedding.mask_shape, OUTSIDE, np.float32)
            score = 0.0
            for index, is_object in self._chosen(embedding, inside, prompts, row, order):
                mask = inside[index]
                if is_object:
                    answer[mask] = logits[index][mask]
                    score = max(score, float(scores[index]))
                else:
                    answer[mask] = -logits[index][mask]
            if min_score is None or score >= min_score:
                answers.append(answer)
                values.append(score)
                kept.append(row)
        shape = (len(kept), 1, *embedding.mask_shape)
        return Decoded(
            np.array(kept, np.int64),
            np.array(answers, np.float32).reshape(shape),
            np.array(values, np.float32).reshape(-1, 1),
        )

    def _instances(self, embedding: Embedding) -> FloatArray:
        """(n, h, w) logits of all instances, each within its box."""
        if embedding.fingerprint != self._info.fingerprint:
            raise ModelError(
                f"The embedding was made by another model than {self._info.name}: encode the image "
                "again."
            )
        prototypes = np.asarray(embedding.arrays["prototypes"], np.float32)
        weights = np.asarray(embedding.arrays["coefficients"], np.float32)
        k, h, w = prototypes.shape
        logits = (weights @ prototypes.reshape(k, -1)).reshape(-1, h, w)
        rows, cols = np.arange(h) + 0.5, np.arange(w) + 0.5
        row0, col0, row1, col1 = np.asarray(embedding.arrays["boxes"], np.float32).T[..., None]
        tall, wide = (rows >= row0) & (rows < row1), (cols >= col0) & (cols < col1)
        within: BoolArray = tall[:, :, None] & wide[:, None, :]
        return np.where(within, logits, OUTSIDE).astype(np.float32)

    def _chosen(
        self,
        embedding: Embedding,
        inside: BoolArray,
        prompts: Prompts,
        row: int,
        order: NDArray[np.intp],
    ) -> list[tuple[int, bool]]:
        """Masks that a prompt puts in (True) and takes out (False), in turn.

        A box puts in the mask that fits it best. Of the masks that points hit, the largest comes
        first, so that a part in a thing has the last word; the last point in a mask decides.
        """
        limit = np.array(embedding.shape, np.float64)
        chosen: list[tuple[int, bool]] = []
        if prompts.boxes is not None:
            box = np.clip(prompts.boxes[row], 0, np.tile(limit, 2))
            if not np.isfinite(box).all() or (box[2:] <= box[:2]).any():
                raise PromptError(
                    f"Box {row} is empty or lies outside the image of {int(limit[0])} x "
                    f"{int(limit[1])} pixels."
                )
            overlaps = _fit(inside, box / np.tile(embedding.cell_size, 2))
            if len(overlaps) and overlaps.max() > 0:
                chosen.append((int(overlaps.argmax()), True))
        if prompts.points is None or prompts.labels is None:
            return chosen
        labels, points = prompts.labels[row], prompts.points[row]
        known = labels != PADDING
        if prompts.boxes is None and not known.any():
            raise PromptError(f"Prompt {row} is empty: give it a point or a box.")
        labels, points = labels[known], points[known]
        if ((points < 0) | (points > limit)).any():
            raise PromptError(
                f"A point of prompt {row} lies outside the image of {int(limit[0])} x "
                f"{int(limit[1])} pixels."
            )
        cells = (points / np.array(embedding.cell_size)).astype(np.intp)
        h, w = embedding.mask_shape
        hit = inside[:, np.clip(cells[:, 0], 0, h - 1), np.clip(cells[:, 1], 0, w - 1)]
        for index in order[hit[order].any(axis=1)].tolist():
            last = int(np.flatnonzero(hit[index])[-1])
            chosen.append((index, bool(labels[last] == FOREGROUND)))
        return chosen


def _fit(inside: BoolArray, box: NDArray[np.floating[Any]]) -> FloatArray:
    """(n,) IoU of masks with a box in cells."""
    rows, cols = np.arange(inside.shape[1]) + 0.5, np.arange(inside.shape[2]) + 0.5
    tall, wide = (rows >= box[0]) & (rows < box[2]), (cols >= box[1]) & (cols < box[3])
    filled = tall[:, None] & wide[None]
    common = (inside & filled).sum(axis=(1, 2))
    union = inside.sum(axis=(1, 2)) + filled.sum() - common
    return np.asarray(common / np.maximum(union, 1), np.float32)


def letterbox(image: ByteArray, side: int) -> tuple[FloatArray, tuple[float, float]]:
    """An image in the network's square, at its corner; grey beside it.

    Args:
        image: (H, W, 3) uint8.
        side: Of the square, pixels.

    Returns:
        (1, 3, side, side) float32, 0 to 1; and square pixels per image pixel along rows and
        columns.
    """
    height, width = image.shape[:2]
    factor = side / max(height, width)
    shape = max(1, round(height * factor)), max(1, round(width * factor))
    pixels = torch.from_numpy(np.require(image, requirements=["C", "W"])).permute(2, 0, 1)[None]
    if shape != (height, width):
        pixels = F.interpolate(pixels, shape, mode="bilinear", align_corners=False, antialias=True)
    square = np.full((1, 3, side, side), GREY / 255, np.float32)
    square[:, :, : shape[0], : shape[1]] = pixels.numpy() / np.float32(255)
    return square, (shape[0] / height, shape[1] / width)


def candidates(found: FloatArray, k: int) -> Instances:
    """Places whose best class reaches :data:`MIN_SCORE`, best first.

    Args:
        found: (4 + classes + K, N), as the module says.
        k: K, the number of prototypes.
    """
    scores = found[4:-k].max(axis=0)
    keep = np.flatnonzero(scores > MIN_SCORE)
    keep = keep[np.argsort(-scores[keep], kind="stable")]
    x, y, w, h = found[:4, keep]
    boxes = np.stack([y - h / 2, x - w / 2, y + h / 2, x + w / 2], axis=1)
    return Instances(
        boxes.astype(np.float32).reshape(-1, 4),
        scores[keep].astype(np.float32),
        np.ascontiguousarray(found[-k:, keep].T, np.float32),
    )


def suppressed(instances: Instances, max_iou: float = MAX_IOU, most: int = MOST) -> Instances:
    """The instances without those whose box is nearly a better one's; the first ``most``."""
    boxes = instances.boxes
    area = np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), axis=1)
    alive = np.ones(len(boxes), bool)
    kept: list[int] = []
    for index in range(len(boxes)):
        if not alive[index]:
            continue
        kept.append(index)
        if len(kept) == most:
            break
        low = np.maximum(boxes[index, :2], boxes[:, :2])
        high = np.minimum(boxes[index, 2:], boxes[:, 2:])
        common = np.prod(np.maximum(high - low, 0), axis=1)
        alive &= common <= max_iou * (area + area[index] - common)
    rows = np.array(kept, np.intp)
    return Instances(boxes[rows], instances.scores[rows], instances.coefficients[rows])


def _told_apart(outputs: Sequence[Any], name: str) -> tuple[FloatArray, FloatArray]:
    """Of the network's outputs, (4 + classes + K, N) and (K, h, w).

    Raises:
        CheckpointError: They are not those of a YOLOv8-seg.
    """
    arrays = [np.asarray(array) for array in outputs]
    flat = [array[0] for array in arrays if array.ndim == 3 and array.shape[0] == 1]
    deep = [array[0] for array in arrays if array.ndim == 4 and array.shape[0] == 1]
    if len(flat) == 1 and len(deep) == 1 and flat[0].shape[0] >= 4 + 1 + deep[0].shape[0]:
        return flat[0].astype(np.float32, copy=False), deep[0].astype(np.float32, copy=False)
    raise CheckpointError(
        f"{name} is no FastSAM: it answers {', '.join(str(a.shape) for a in arrays)} instead of "
        "(1, 4 + classes + K, N) and (1, K, S/4, S/4). Export the segmentation model to ONNX "
        "without non-maximum suppression in it."
    )


def load_fastsam(
    path: Path, name: str, checksum: str, device: str = "auto", threads: int | None = None
) -> FastSam:
    """FastSAM from an ONNX file.

    Args:
        path: The file.
        name: For messages and attributes.
        checksum: Of the file.
        device: "auto", "cpu" or "cuda"; ONNX Runtime must have been installed with it.
        threads: CPU threads, or None for ONNX Runtime's choice.

    Raises:
        ModelError: onnxruntime is missing, or has no such device.
        CheckpointError: The file cannot be read, or is of another network.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise ModelError(
            f"{path.name} needs ONNX Runtime: install it with pip install "
            "'samgeo-seamless[fastsam]'."
        ) from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    there = onnxruntime.get_available_providers()
    cuda = "CUDAExecutionProvider" in there and device.split(":")[0] in ("auto", "cuda")
    if device.split(":")[0] not in ("auto", "cpu") and not cuda:
        raise ModelError(
            f"ONNX Runtime cannot use the device '{device}' here (it has {', '.join(there)}): "
            "choose 'auto' or 'cpu', or install onnxruntime-gpu."
        )
    providers = ["CPUExecutionProvider"]
    if cuda:
        providers.insert(0, "CUDAExecutionProvider")
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # its own classes, and what a damaged file makes of them
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CheckpointError(
            f"{path.name} cannot be read as an ONNX file ({first[:200]}): export it again."
        ) from error
    inputs = session.get_inputs()
    shape = inputs[0].shape if len(inputs) == 1 else []
    if len(shape) != 4 or shape[1] != 3 or inputs[0].type != "tensor(float)":
        raise CheckpointError(
            f"{path.name} is no FastSAM: it takes {[tuple(i.shape) for i in inputs]} instead of "
            "one float32 image (1, 3, S, S): export the model in float32."
        )
    sides = [size if isinstance(size, int) else DEFAULT_SIDE for size in shape[2:]]
    if sides[0] != sides[1] or sides[0] % 32:
        raise CheckpointError(
            f"{path.name} takes images of {sides[0]} x {sides[1]} pixels: export it for a square "
            "whose side is a multiple of 32, e.g. 1024."
        )
    return FastSam(session, name=name, checksum=checksum, side=sides[0])
