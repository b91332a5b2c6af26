# SPDX-License-Identifier: GPL-2.0-or-later
"""A video network as a model: objects tracked from image to image, numpy in and out.

    memories = [model.new_memory(frames=8) for _ in objects]
    model.show(embedding, 0, memories, outlines=masks)          # or prompts=...
    tracked = model.follow(model.encode([image])[0], 1, memories)

Every image is a *frame* with a number that says its place in time. The memories grow with each
frame that is answered, and stay bounded: a few hundred kB an object for each of at most twice
seven frames and those with prompts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ....errors import ModelError, PromptError
from ....types import BoolArray, FloatArray
from ...base import Embedding, ModelInfo, Prompts
from ...promptable import TorchModel
from ...runtime import in_batches
from .object_memory import Answers, ObjectMemory
from .sam2_video import POINTERS, Sam2Video

GPU_OBJECTS = 8
"""Objects whose memory is looked up at a time on a GPU."""


@dataclass(frozen=True, eq=False)
class Tracked:
    """What a frame says of ``n`` objects.

    Args:
        logits: (n, h, w) float32 on the embedding's cells, > 0 inside; far below 0 everywhere for
            an object that is not there.
        scores: (n,) float32 predicted IoU.
        presence: (n,) float32, probability of being there at all.
    """

    logits: FloatArray
    scores: FloatArray
    presence: FloatArray


class TorchVideoModel(TorchModel):
    """A loaded SAM 2, 2.1 or EdgeTAM with its memory; also a promptable model."""

    network: Sam2Video

    def __init__(
        self,
        network: Sam2Video,
        info: ModelInfo,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        batch: int | None = None,
    ) -> None:
        super().__init__(network, info, device, dtype, batch)

    def new_memory(self, frames: int) -> ObjectMemory:
        """An empty memory for one object in a series of so many frames."""
        return ObjectMemory(frames)

    @torch.inference_mode()
    def show(
        self,
        embedding: Embedding,
        frame: int,
        memories: Sequence[ObjectMemory],
        *,
        prompts: Prompts | None = None,
        outlines: BoolArray | None = None,
    ) -> Tracked:
        """Tell the model which objects are meant, in a frame; they are remembered.

        Args:
            embedding: The frame's, from :meth:`encode`.
            frame: Its number.
            memories: The objects'.
            prompts: One prompt per object of points and boxes; or
            outlines: (n, H, W) bool on the image's pixels, which are taken as they are.

        Raises:
            ModelError: The embedding is another model's.
            PromptError: There is not one prompt per object, or one is empty.
        """
        arrays = self._frame(embedding)
        count = len(memories)
        given = prompts if prompts is not None else outlines
        if (prompts is None) == (outlines is None) or given is None or len(given) != count:
            raise PromptError(f"{count} objects need as many prompts or as many outlines.")
        found: list[tuple[NDArray[np.int64], Answers]] = []
        if outlines is not None:
            if outlines.shape[1:] != embedding.shape:
                raise PromptError(
                    f"Outlines have {outlines.shape[1:]} pixels, the image has {embedding.shape}."
                )
            with self._autocast():
                answers = self.network.from_masks(arrays, self._on_square(outlines))
            found.append((np.arange(count), answers))
        elif prompts is not None:
            if prompts.masks is not None:
                raise PromptError("Masks that objects are followed from are given as outlines.")
            side = self._side(embedding)
            for group in self._groups(embedding, prompts):
                with self._autocast():
                    tokens = self.network.tokens(
                        len(group.index), group.points, group.labels, group.boxes
                    )
                    few = 0 if group.points is None else group.points.shape[1]
                    few += 0 if group.boxes is None else 2
                    answers = self.network.from_tokens(side, tokens, multimask=few <= 1)
                found.append((group.index, answers))
        return self._kept(arrays, frame, memories, found, given=True)

    @torch.inference_mode()
    def follow(
        self,
        embedding: Embedding,
        frame: int,
        memories: Sequence[ObjectMemory],
        *,
        reverse: bool = False,
        remember: bool = True,
    ) -> Tracked:
        """Find objects again in another frame.

        Args:
            embedding: The frame's.
            frame: Its number.
            memories: Of objects that were shown in some frame.
            reverse: Time runs backwards: later frames are known, earlier ones asked for.
            remember: Keep the answers as memory; not where the image shows clouds instead.

        Raises:
            ModelError: The embedding is another model's, or memory ran out.
            PromptError: An object was never shown.
        """
        if not all(memory.given for memory in memories):
            raise PromptError("An object must be shown in one frame before it is followed.")
        arrays = self._frame(embedding)
        together = 1 if self.device.type == "cpu" else GPU_OBJECTS

        def answer(batch: Sequence[ObjectMemory]) -> Answers:
            with self._autocast():
                recalled = [self.network.recall(memory, frame, reverse) for memory in batch]
                return self.network.follow(arrays, recalled, together=together)

        found = []
        start = 0
        for answers in in_batches(memories, 4 * together, answer, "objects"):
            stop = start + len(answers.scores)
            found.append((np.arange(start, stop), answers))
            start = stop
        return self._kept(arrays, frame, memories, found, given=False, remember=remember)

    # Inside -------------------------------------------------------------------------------------

    def _frame(self, embedding: Embedding) -> dict[str, Tensor]:
        if embedding.fingerprint != self.info.fingerprint:
            raise ModelError(
                f"The embedding was made by another model than {self.info.name}: encode the image "
                "again."
            )
        return {
            name: torch.from_numpy(np.array(array, np.float32)).to(self.device)
            for name, array in embedding.arrays.items()
        }

    def _on_square(self, outlines: BoolArray) -> Tensor:
        """Masks of the image's pixels (n, H, W) on the encoder's square, float32, 0 or 1."""
        size = self.network.preprocessing.size
        masks = torch.from_numpy(np.ascontiguousarray(outlines)).float().to(self.device)
        if masks.shape[1:] == (size, size):
            return masks
        scaled = F.interpolate(
            masks[:, None], (size, size), mode="bilinear", align_corners=False, antialias=True
        )
        return (scaled[:, 0] >= 0.5).float()

    def _kept(
        self,
        arrays: dict[str, Tensor],
        frame: int,
        memories: Sequence[ObjectMemory],
        found: Sequence[tuple[NDArray[np.int64], Answers]],
        *,
        given: bool,
        remember: bool = True,
    ) -> Tracked:
        """Answers in the objects' order, and their memories."""
        cells = self.network.mask_size
        logits = np.empty((len(memories), cells, cells), np.float32)
        scores = np.empty(len(memories), np.float32)
        presence = np.empty(len(memories), np.float32)
        for index, answers in found:
            logits[index] = answers.logits.float().cpu().numpy()
            scores[index] = answers.scores.float().cpu().numpy()
            presence[index] = answers.presence.sigmoid().float().cpu().numpy()
            if not remember:
                continue
            with self._autocast():
                kept = self.network.remember(arrays, answers, given=given)
            for place, memory in zip(index.tolist(), kept, strict=True):
                owner = memories[place]
                (owner.given if given else owner.seen)[frame] = memory
                if given:
                    owner.seen.pop(frame, None)
                owner.forget(frame, self.network.spatial - 1, POINTERS - 1)
        return Tracked(logits, scores, presence)
