# SPDX-License-Identifier: GPL-2.0-or-later
"""``TorchModel``: a network as a :class:`~.base.PromptableModel`, numpy in and out.

Embeddings hold only what the encoder gave (a few MB, so that they can be kept on disk). What all
prompts of an image share in the decoder is derived at the first decode and kept for the last
images used.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import ModelError, PromptError
from ..types import ByteArray, FloatArray
from .base import BACKGROUND, FOREGROUND, PADDING, Decoded, Embedding, ModelInfo, Prompts
from .image import check_image
from .network import Network
from .nn.mask_decoder import ImageSide
from .runtime import in_batches

KEPT_IMAGES = 2
"""Images whose shared decoder side is kept; 14 MB each (32 MB for SAM 2)."""

CPU_PROMPTS = 2
"""Prompts a batch on a CPU: more fall out of its cache (benchmarks/decoder.py)."""

BYTES_A_PROMPT = 96 << 20
"""Peak GPU memory of a prompt in the decoder, float32, generously."""


@dataclass(frozen=True, eq=False)
class _Group:
    """Prompts with the same number of points: tensors on the device, and whose they are."""

    index: NDArray[np.int64]
    points: Tensor | None
    labels: Tensor | None
    boxes: Tensor | None
    masks: Tensor | None


class TorchModel:
    """A loaded model of one of our families; see :class:`~.base.PromptableModel`.

    Args:
        network: With weights, prepared, in eval mode, on ``device``.
        info: What it says of itself.
        device: Where it runs.
        dtype: Number type of the heavy products.
        batch: Prompts a batch, or None for what suits the device.
    """

    def __init__(
        self,
        network: Network,
        info: ModelInfo,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        batch: int | None = None,
    ) -> None:
        self.network = network
        self.device = device
        self.dtype = dtype
        self._info = info
        self._batch = batch
        self._sides: weakref.WeakKeyDictionary[Embedding, ImageSide] = weakref.WeakKeyDictionary()

    @property
    def info(self) -> ModelInfo:
        return self._info

    def _autocast(self) -> torch.autocast:
        half = self.dtype != torch.float32
        return torch.autocast(self.device.type, dtype=self.dtype if half else None, enabled=half)

    # Images -------------------------------------------------------------------------------------

    def encode(self, images: Sequence[ByteArray]) -> list[Embedding]:
        """See :meth:`PromptableModel.encode`."""
        for image in images:
            check_image(image)
        size = 1 if self.device.type == "cpu" else 4
        out: list[Embedding] = []
        for batch in in_batches(images, size, self._encode, "images"):
            out.extend(batch)
        return out

    @torch.inference_mode()
    def _encode(self, images: Sequence[ByteArray]) -> list[Embedding]:
        prepare = self.network.preprocessing
        stack = torch.stack([prepare.tensor(image) for image in images]).to(self.device)
        with self._autocast():
            features = self.network.encode(stack)
        arrays = {name: tensor.float().cpu().numpy() for name, tensor in features.items()}
        cells = self.network.mask_size
        step = prepare.size / cells
        out = []
        for index, image in enumerate(images):
            shape = (image.shape[0], image.shape[1])
            rows, cols = prepare.scale(shape)
            out.append(
                Embedding(
                    # Copies: a batch's memory must not live on in one image's embedding.
                    arrays={
                        name: np.ascontiguousarray(array[index])
                        if len(images) == 1
                        else array[index].copy()
                        for name, array in arrays.items()
                    },
                    shape=shape,
                    cell_size=(step / rows, step / cols),
                    mask_shape=(cells, cells),
                    fingerprint=self._info.fingerprint,
                )
            )
        return out

    def _side(self, embedding: Embedding) -> ImageSide:
        side = self._sides.get(embedding)
        if side is None:
            while len(self._sides) >= KEPT_IMAGES:
                del self._sides[next(iter(self._sides))]
            arrays = {
                # A copy: the arrays may be a read-only map of a file.
                name: torch.from_numpy(np.array(array, np.float32)).to(self.device)
                for name, array in embedding.arrays.items()
            }
            with self._autocast():
                side = self.network.image_side(arrays)
            self._sides[embedding] = side
        return side

    # Prompts ------------------------------------------------------------------------------------

    @torch.inference_mode()
    def decode(
        self,
        embedding: Embedding,
        prompts: Prompts,
        *,
        multimask: bool = True,
        min_score: float | None = None,
    ) -> Decoded:
        """See :meth:`PromptableModel.decode`."""
        if embedding.fingerprint != self._info.fingerprint:
            raise ModelError(
                f"The embedding was made by another model than {self._info.name}: encode the "
                "image again."
            )
        try:
            side = self._side(embedding)
        except KeyError as error:
            raise ModelError(f"The embedding lacks {error}: encode the image again.") from error
        found: list[tuple[NDArray[np.int64], FloatArray, FloatArray]] = []
        for group in self._groups(embedding, prompts):
            rows = range(len(group.index))
            for part in in_batches(
                rows,
                self._batch_size(),
                lambda rows, group=group: self._decode(  # type: ignore[misc]
                    side, group, slice(rows[0], rows[-1] + 1), multimask, min_score
                ),
                "prompts",
                lanes=self.device.type == "cpu",
            ):
                found.append(part)
        index = np.concatenate([part[0] for part in found] or [np.empty(0, np.int64)])
        order = np.argsort(index, kind="stable")
        cells = embedding.mask_shape
        candidates = self.network.candidates(multimask)
        logits = _joined([part[1] for part in found], order, (candidates, *cells))
        scores = _joined([part[2] for part in found], order, (candidates,))
        return Decoded(index[order], logits, scores)

    def _decode(
        self,
        side: ImageSide,
        group: _Group,
        rows: slice,
        multimask: bool,
        min_score: float | None,
    ) -> tuple[NDArray[np.int64], FloatArray, FloatArray]:
        points, labels, boxes, masks = (
            None if tensor is None else tensor[rows]
            for tensor in (group.points, group.labels, group.boxes, group.masks)
        )
        index = group.index[rows]
        network = self.network
        with self._autocast():
            tokens = network.tokens(len(index), points, labels, boxes)
            dense = None if masks is None else network.dense(masks)
            attended = network.mask_decoder.attend(side, tokens, dense)
            scores = network.scores(attended)
            if min_score is not None:
                passed = network.best(scores, multimask) >= min_score
                if not bool(passed.all()):
                    index = index[passed.cpu().numpy()]
                    attended, scores = attended[passed], scores[passed]
            if not len(index):
                cells = network.mask_size
                m = network.candidates(multimask)
                return index, np.empty((0, m, cells, cells), np.float32), np.empty((0, m), "f4")
            logits, scores = network.masks(side, attended, multimask, scores)
        if min_score is not None:
            # Families that choose among their masks afterwards may end below the best score.
            final = scores.amax(dim=1) >= min_score
            if not bool(final.all()):
                index = index[final.cpu().numpy()]
                logits, scores = logits[final], scores[final]
        return index, logits.float().cpu().numpy(), scores.float().cpu().numpy()

    def _batch_size(self) -> int:
        if self._batch is not None:
            return self._batch
        if self.device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(self.device)
            return max(1, min(256, int(free * 0.7) // BYTES_A_PROMPT))
        return CPU_PROMPTS if self.device.type == "cpu" else 16

    def _groups(self, embedding: Embedding, prompts: Prompts) -> list[_Group]:
        """Prompts by their number of points, so that padding never reaches the network."""
        prompts = self._checked(prompts, embedding)
        scale = np.array(
            [
                scale / self.network.preprocessing.size
                for scale in self.network.preprocessing.scale(embedding.shape)
            ],
            np.float64,
        )

        def fractions(rc: NDArray[np.floating]) -> NDArray[np.float32]:
            # (row, column) in image pixels to (x, y) in 0..1 of the encoder's square.
            return (np.asarray(rc, np.float64) * scale)[..., ::-1].astype(np.float32)

        count = len(prompts)
        valid = np.zeros((count, 0), bool)
        if prompts.labels is not None:
            valid = prompts.labels != PADDING
        groups = []
        for number in np.unique(valid.sum(axis=1)):
            index = np.flatnonzero(valid.sum(axis=1) == number)
            points = labels = boxes = masks = None
            if number and prompts.points is not None and prompts.labels is not None:
                # Valid points first, in their order.
                order = np.argsort(~valid[index], axis=1, kind="stable")[:, :number]
                chosen = np.take_along_axis(prompts.points[index], order[..., None], axis=1)
                points = self._tensor(fractions(chosen))
                labels = self._tensor(np.take_along_axis(prompts.labels[index], order, axis=1))
            if prompts.boxes is not None:
                boxes = self._tensor(fractions(prompts.boxes[index].reshape(-1, 2, 2)))
            if prompts.masks is not None:
                masks = self._tensor(np.asarray(prompts.masks[index], np.float32))
            groups.append(_Group(index.astype(np.int64), points, labels, boxes, masks))
        return groups

    def _tensor(self, array: NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    def _checked(self, prompts: Prompts, embedding: Embedding) -> Prompts:
        """Prompts that this model can answer; boxes clipped to the image.

        Raises:
            ModelError: A kind of prompt is not understood.
            PromptError: A prompt is empty or lies outside the image.
        """
        given = {"point": prompts.points, "box": prompts.boxes, "mask": prompts.masks}
        for kind, array in given.items():
            if array is not None and kind not in self._info.accepts:
                raise ModelError(
                    f"{self._info.name} does not understand {kind} prompts: choose another model, "
                    f"or one of {', '.join(sorted(self._info.accepts))}."
                )
        limit = np.array(embedding.shape, np.float64)
        count = len(prompts)
        something = np.zeros(count, bool)
        if prompts.points is not None and prompts.labels is not None:
            something |= self._check_points(prompts.points, prompts.labels, limit)
        if prompts.boxes is not None:
            prompts = replace(prompts, boxes=_clipped(prompts.boxes, limit))
            something[:] = True
        if prompts.masks is not None:
            if prompts.masks.shape[1:] != embedding.mask_shape:
                raise PromptError(
                    f"A mask prompt has {prompts.masks.shape[1:]} cells; this image's masks have "
                    f"{embedding.mask_shape}."
                )
            if not np.isfinite(prompts.masks).all():
                raise PromptError("A mask prompt holds values that are not finite.")
            something[:] = True
        if not something.all():
            raise PromptError(
                f"Prompt {int(np.argmin(something))} is empty: give it a point, a box or a mask."
            )
        most = self.network.max_points
        if most is not None:
            used = 0 if prompts.boxes is None else 2
            if prompts.labels is not None and prompts.labels.size:
                used += int((prompts.labels != PADDING).sum(axis=1).max())
            if used > most:
                raise PromptError(
                    f"{self._info.name} takes at most {most} points per prompt (a box counts as "
                    f"two), not {used}."
                )
        return prompts

    def _check_points(
        self, points: FloatArray, labels: NDArray[np.int8], limit: NDArray[np.float64]
    ) -> NDArray[np.bool_]:
        if points.shape != (*labels.shape, 2):
            raise PromptError(f"Points {points.shape} and labels {labels.shape} do not match.")
        if not np.isin(labels, (FOREGROUND, BACKGROUND, PADDING)).all():
            raise PromptError("Labels of points are 1 (object), 0 (background) or -1 (padding).")
        if not self.network.background_points and (labels == BACKGROUND).any():
            raise ModelError(
                f"{self._info.name} does not understand background points: leave them out or "
                "choose another model."
            )
        valid = labels != PADDING
        inside = ((points >= 0) & (points <= limit)).all(axis=-1)
        outside = valid & ~inside
        if outside.any():
            row, col = points[outside][0]
            raise PromptError(
                f"The point at row {row:.1f}, column {col:.1f} lies outside the image of "
                f"{int(limit[0])} x {int(limit[1])} pixels."
            )
        any_valid: NDArray[np.bool_] = valid.any(axis=1)
        return any_valid


def _clipped(boxes: FloatArray, limit: NDArray[np.float64]) -> FloatArray:
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not np.isfinite(boxes).all():
        raise PromptError(f"Boxes are (n, 4) finite numbers, not {boxes.shape}.")
    clipped = np.clip(boxes, 0, np.tile(limit, 2)).astype(np.float32)
    empty = (clipped[:, 2:] <= clipped[:, :2]).any(axis=1)
    if empty.any():
        row0, col0, row1, col1 = boxes[np.argmax(empty)]
        raise PromptError(
            f"The box of rows {row0:.1f} to {row1:.1f} and columns {col0:.1f} to {col1:.1f} is "
            f"empty or lies outside the image of {int(limit[0])} x {int(limit[1])} pixels."
        )
    return clipped


def _joined(
    parts: Sequence[FloatArray], order: NDArray[np.intp], shape: tuple[int, ...]
) -> FloatArray:
    """Parts one below the other, in order; frees them on the way (a call's masks can be large)."""
    if not parts:
        return np.empty((0, *shape), np.float32)
    joined = parts[0] if len(parts) == 1 else np.concatenate(parts)
    if (np.diff(order) == 1).all():
        return joined
    return joined[order]
