# SPDX-License-Identifier: GPL-2.0-or-later
"""SAM 2, 2.1 and EdgeTAM with memory: objects tracked from frame to frame.

A frame is answered in the light of an object's *memory*: what was seen of it in the frames where
it was prompted and in the last few others, and a vector (its pointer) for each of some more. What
is answered becomes memory in turn. Objects do not know of each other.

Numbers, orders and roundings are those of the official predictor (``SAM2VideoPredictor`` as
``build_sam2_video_predictor`` makes it), memories in bfloat16 included.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...image import Preprocessing
from ...nn.attended import Attended
from ...nn.blocks import Head
from ...nn.mask_decoder import ImageSide
from ...nn.memory import MemoryAttention, MemoryEncoder
from ...nn.perceiver import SpatialPerceiver
from ...nn.positions import not_turned, rotary_of_grid, sine_of_grid, sine_of_number
from ..family import Shapes, count
from ..sam2_network import Sam2
from .object_memory import Answers, FrameMemory, ObjectMemory, Recalled

ABSENT = -1024.0
"""Logit of all cells where the model says that the object is not in the frame."""

POINTERS = 16
"""Frames whose pointers are looked up at most, beside those with prompts."""

MASK_SCALE, MASK_BIAS = 20.0, -10.0
"""How probabilities go into the memory, and masks that were given become logits."""


class Sam2Video(Sam2):
    """SAM 2 with memory; also answers prompts for single images.

    Args:
        image_encoder: As in :class:`~.sam2.Sam2`.
        size: Likewise.
        spatial: Frames whose memory is looked up, the current one's place included (7).
        layers: Of the memory attention.
        absent_memory: The memory of a frame without the object is marked (2.1).
        pointer_times: Pointers know how far away their frame is (2.1).
        perceiver: What makes a frame's memory shorter (EdgeTAM).
        preprocessing, stride: As in :class:`~.sam2.Sam2`.
    """

    def __init__(
        self,
        image_encoder: nn.Module,
        size: int = 1024,
        *,
        spatial: int = 7,
        layers: int = 4,
        absent_memory: bool = True,
        pointer_times: bool = True,
        perceiver: SpatialPerceiver | None = None,
        preprocessing: Preprocessing | None = None,
        stride: int = 16,
    ) -> None:
        super().__init__(image_encoder, size, preprocessing=preprocessing, stride=stride)
        dim, memory = self.mask_decoder.dim, 64
        self.spatial = spatial
        self.memory_dim = memory
        self.memory_attention = MemoryAttention(layers, dim, memory)
        self.memory_encoder = MemoryEncoder(dim=dim, memory_dim=memory)
        self.maskmem_tpos_enc = nn.Parameter(torch.zeros(spatial, 1, 1, memory))
        # Part of the checkpoints, but not used by any published model.
        self.no_mem_pos_enc = nn.Parameter(torch.zeros(1, 1, dim))
        self.no_obj_ptr = nn.Parameter(torch.zeros(1, dim))
        if absent_memory:
            self.no_obj_embed_spatial = nn.Parameter(torch.zeros(1, memory))
        self.absent_memory = absent_memory
        self.mask_downsample = nn.Conv2d(1, 1, 4, stride=4)
        self.presence_head = Head(dim, dim, 1)
        self.obj_ptr_proj = Head(dim, dim, dim)
        self.obj_ptr_tpos_proj = nn.Linear(dim, memory) if pointer_times else None
        self.spatial_perceiver = perceiver

    def settings(self) -> Mapping[str, Any]:
        return {**super().settings(), "memory": self.spatial}

    # Images -------------------------------------------------------------------------------------

    def encode(self, images: Tensor) -> dict[str, Tensor]:
        # Without "no memory", which is only added where there is none.
        decoder = self.mask_decoder
        image, fine8, fine4 = self.image_encoder(images, decoder.conv_s0, decoder.conv_s1)
        return {"image": image, "fine8": fine8, "fine4": fine4}

    def image_side(self, arrays: Mapping[str, Tensor]) -> ImageSide:
        image = arrays["image"] + self.no_mem_embed.view(-1, 1, 1)
        return super().image_side({**arrays, "image": image})

    # Frames with prompts ------------------------------------------------------------------------

    def from_tokens(self, side: ImageSide, tokens: Tensor, *, multimask: bool) -> Answers:
        """Answer prompts (n, k, dim) in their first frame, where there is no memory yet."""
        return self._answers(side, self.mask_decoder.attend(side, tokens), multimask)

    def from_masks(self, arrays: Mapping[str, Tensor], masks: Tensor) -> Answers:
        """Take masks for the objects as they are; only their pointers are asked for.

        Args:
            arrays: A frame's features.
            masks: (n, S, S) float32, 0 or 1, on the encoder's square.
        """
        side = super().image_side(arrays)
        dense = self.dense(self.mask_downsample(masks[:, None])[:, 0])
        tokens = self.prompt_encoder.no_points(len(masks))
        attended = self.mask_decoder.attend(side, tokens, dense)
        there = masks.flatten(1).any(dim=1)
        pointers = self._pointer(attended, torch.zeros(len(masks), dtype=torch.long), None)
        logits = F.interpolate(
            (masks * MASK_SCALE + MASK_BIAS)[:, None],
            (masks.shape[1] // 4, masks.shape[2] // 4),
            mode="bilinear",
            align_corners=False,
            antialias=True,
        )[:, 0]
        presence = there.float() * MASK_SCALE + MASK_BIAS
        pointers = self._marked(pointers, there)
        return Answers(logits, torch.ones_like(presence), presence, pointers)

    # Frames without -----------------------------------------------------------------------------

    def follow(
        self,
        arrays: Mapping[str, Tensor],
        recalled: Sequence[Recalled],
        *,
        together: int = 1,
    ) -> Answers:
        """Find objects again by their memories.

        Args:
            arrays: A frame's features.
            recalled: An object's memory each (:meth:`recall`).
            together: Objects whose memory is looked up at a time.
        """
        image = arrays["image"]
        shape = (image.shape[1], image.shape[2])
        begun = self.memory_attention.begin(image)
        fine = self.mask_decoder.fine_side((arrays["fine8"], arrays["fine4"]), shape)
        found: list[Answers | None] = [None] * len(recalled)
        for batch in _alike([len(one.tokens) for one in recalled], together):
            first = recalled[batch[0]]
            conditioned = self.memory_attention(
                begun,
                shape,
                torch.stack([recalled[index].tokens for index in batch]),
                torch.stack([recalled[index].positions for index in batch]),
                first.turns,
            )
            for index, features in zip(batch, conditioned, strict=True):
                side = self.mask_decoder.image_side(features, self.prompt_encoder.no_mask)
                side = replace(side, fine=fine)
                attended = self.mask_decoder.attend(side, self.prompt_encoder.no_points(1))
                found[index] = self._answers(side, attended, True)
        return _joined([one for one in found if one is not None])

    def recall(self, memory: ObjectMemory, frame: int, reverse: bool) -> Recalled:
        """What an object's memory says to a frame.

        Args:
            memory: With at least one frame with prompts.
            frame: Number of the frame that is asked about.
            reverse: Time runs backwards.
        """
        back = 1 if reverse else -1
        spatial = [
            (self.spatial - 1, kept.tokens)
            for _, kept in sorted(memory.given.items())
            if kept.tokens is not None
        ]
        for distance in range(self.spatial - 1, 0, -1):
            kept = memory.seen.get(frame + back * distance)
            if kept is not None and kept.tokens is not None:
                spatial.append((distance - 1, kept.tokens))
        positions, turned = self._of_memory(spatial[0][1].device)
        tokens = [kept.float() for _, kept in spatial]
        places = [positions + self.maskmem_tpos_enc[row, 0] for row, _ in spatial]
        turns = [turned] * len(spatial)
        times, pointers = self._pointers(memory, frame, back)
        if pointers:
            joined = torch.stack(pointers).view(-1, self.memory_dim)
            tokens.append(joined)
            places.append(self._pointer_places(times, memory.frames, joined))
            turns.append(not_turned(len(joined), self.mask_decoder.dim, joined.device))
        return Recalled(torch.cat(tokens), torch.cat(places), torch.cat(turns))

    def _pointers(
        self, memory: ObjectMemory, frame: int, back: int
    ) -> tuple[list[int], list[Tensor]]:
        """Distances in frames, and pointers, of all frames whose pointers are looked up."""
        times, pointers = [], []
        for number, kept in sorted(memory.given.items()):
            distance = (frame - number) * -back
            if distance >= 0:  # not those that lie ahead
                times.append(distance)
                pointers.append(kept.pointer)
        for distance in range(1, min(memory.frames, POINTERS)):
            seen = memory.seen.get(frame + back * distance)
            if seen is not None:
                times.append(distance)
                pointers.append(seen.pointer)
        return times, pointers

    def _pointer_places(self, times: list[int], frames: int, tokens: Tensor) -> Tensor:
        if self.obj_ptr_tpos_proj is None:
            return torch.zeros_like(tokens)
        longest = max(min(frames, POINTERS) - 1, 1)
        at = torch.tensor(times, dtype=torch.float32, device=tokens.device) / longest
        places: Tensor = self.obj_ptr_tpos_proj(sine_of_number(at, self.mask_decoder.dim))
        return places.repeat_interleave(len(tokens) // len(times), dim=0)

    def _of_memory(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Positions (T, 64) and turns (T, dim / 2, 2) of the tokens of one frame's memory."""
        dim = self.mask_decoder.dim
        if self.spatial_perceiver is None:
            return (
                sine_of_grid(self.memory_dim, self.grid, self.grid, device),
                rotary_of_grid(dim, self.grid, self.grid, device),
            )
        positions = self.spatial_perceiver.positions(device)
        side = self.spatial_perceiver.side
        placed = rotary_of_grid(dim, side, side, device)
        rest = not_turned(len(positions) - len(placed), dim, device)
        return positions, torch.cat([rest, placed])

    # What is kept -------------------------------------------------------------------------------

    def remember(
        self, arrays: Mapping[str, Tensor], answers: Answers, *, given: bool
    ) -> list[FrameMemory]:
        """A frame's answers as memories.

        Args:
            arrays: The frame's features.
            answers: For its objects.
            given: They come from prompts: the masks are then taken as they look, without doubt.
        """
        size = self.preprocessing.size
        large = F.interpolate(
            answers.logits[:, None], (size, size), mode="bilinear", align_corners=False
        )
        shares = (large > 0).float() if given else large.sigmoid()
        encoded = self.memory_encoder(arrays["image"], shares * MASK_SCALE + MASK_BIAS).float()
        if self.absent_memory:
            absent = (answers.presence <= 0).float().view(-1, 1, 1, 1)
            encoded = encoded + absent * self.no_obj_embed_spatial.view(1, -1, 1, 1)
        if self.spatial_perceiver is not None:
            tokens = self.spatial_perceiver(encoded)
        else:
            tokens = encoded.flatten(2).transpose(1, 2)
        tokens = tokens.to(torch.bfloat16)
        return [
            FrameMemory(kept.contiguous(), pointer)
            for kept, pointer in zip(tokens, answers.pointers, strict=True)
        ]

    # Inside -------------------------------------------------------------------------------------

    def _answers(self, side: ImageSide, attended: Attended, multimask: bool) -> Answers:
        decoder = self.mask_decoder
        scores = self.scores(attended)
        presence = self._presence(attended)
        if multimask:
            best = scores[:, 1:].argmax(dim=1) + 1
            rows = []
            for index, row in enumerate(best.tolist()):
                one = attended[torch.tensor([index], device=scores.device)]
                rows.append(decoder.masks(side, one, slice(row, row + 1))[:, 0])
            logits, chosen = torch.cat(rows), scores.gather(1, best[:, None])[:, 0]
        else:
            best = torch.zeros(len(scores), dtype=torch.long, device=scores.device)
            masks, single = self.single(side, attended, scores)
            logits, chosen = masks[:, 0], single[:, 0]
        there = presence > 0
        logits = torch.where(there.view(-1, 1, 1), logits, ABSENT)
        return Answers(logits, chosen, presence, self._pointer(attended, best, presence))

    def _presence(self, attended: Attended) -> Tensor:
        """Logits (n,) of being there at all."""
        logits: Tensor = self.presence_head(attended.tokens[:, 0])
        return logits[:, 0].float()

    def _pointer(self, attended: Attended, rows: Tensor, presence: Tensor | None) -> Tensor:
        """Pointers (n, dim) from the tokens of the chosen masks."""
        if presence is None:
            presence = self._presence(attended)
        index = torch.arange(len(rows), device=attended.tokens.device)
        tokens = attended.tokens[index, rows.to(index.device) + 2]
        return self._marked(self.obj_ptr_proj(tokens).float(), presence > 0)

    def _marked(self, pointers: Tensor, there: Tensor) -> Tensor:
        """Pointers, or the one that stands for absence."""
        return torch.where(there[:, None], pointers, self.no_obj_ptr)


def _alike(lengths: Sequence[int], most: int) -> list[list[int]]:
    """Indices in batches of equal lengths."""
    batches: list[list[int]] = []
    for length in sorted(set(lengths)):
        same = [index for index, one in enumerate(lengths) if one == length]
        batches += [same[start : start + most] for start in range(0, len(same), most)]
    return batches


def _joined(parts: Sequence[Answers]) -> Answers:
    return Answers(
        torch.cat([part.logits for part in parts]),
        torch.cat([part.scores for part in parts]),
        torch.cat([part.presence for part in parts]),
        torch.cat([part.pointers for part in parts]),
    )


# From a checkpoint ------------------------------------------------------------------------------


def video_parts(shapes: Shapes) -> dict[str, Any]:
    """How the memory of a checkpoint is made: arguments of :class:`Sam2Video`."""
    perceiver = None
    if "spatial_perceiver.latents" in shapes:
        whole, dim = shapes["spatial_perceiver.latents"]
        perceiver = SpatialPerceiver(
            whole,
            shapes["spatial_perceiver.latents_2d"][0],
            count(shapes, "spatial_perceiver.layers."),
            dim,
            shapes["spatial_perceiver.layers.0.ff.1.weight"][0],
        )
    return {
        "spatial": shapes["maskmem_tpos_enc"][0],
        "layers": count(shapes, "memory_attention.layers."),
        "absent_memory": "no_obj_embed_spatial" in shapes,
        "pointer_times": "obj_ptr_tpos_proj.weight" in shapes,
        "perceiver": perceiver,
    }
