# SPDX-License-Identifier: GPL-2.0-or-later
"""The network of SAM 2 and 2.1 (Ravi et al. 2024) for single images."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from ..image import IMAGENET_MEAN, IMAGENET_STD, Preprocessing
from ..network import CANDIDATES, SINGLE, Network
from ..nn.attended import Attended
from ..nn.mask_decoder import DecoderStyle, ImageSide, MaskDecoder
from ..nn.prompt_encoder import PromptEncoder

LOGIT_LIMIT = 32.0
"""The official predictor clips low-resolution logits to +- this."""

STABILITY_DELTA, STABILITY_LIMIT = 0.05, 0.98
"""Where a single mask counts as unstable."""


class Sam2(Network):
    """SAM 2 / 2.1, tiny to large.

    A single mask that is unstable gives way to the candidate with the best score, as in the
    official default.

    Args:
        image_encoder: Called like :class:`~.hiera.Encoder`.
        size: Side of the encoder's square, pixels.
        preprocessing: Instead of SAM 2's of that size.
        stride: Pixels of the square along a side of one position of the features.
    """

    family = "sam2"
    decoder_kind: type[MaskDecoder] = MaskDecoder
    score_threshold, stability_threshold = 0.8, 0.95

    def __init__(
        self,
        image_encoder: nn.Module,
        size: int = 1024,
        *,
        preprocessing: Preprocessing | None = None,
        stride: int = 16,
    ) -> None:
        style = DecoderStyle(high_features=True, object_score=True, sigmoid_scores=True)
        super().__init__(
            image_encoder,
            PromptEncoder(box_first=True),
            self.decoder_kind(style=style),
            preprocessing or Preprocessing(size, IMAGENET_MEAN, IMAGENET_STD, True, "smooth"),
            stride,
        )
        self.no_mem_embed = nn.Parameter(torch.zeros(1, 1, 256))

    def encode(self, images: Tensor) -> dict[str, Tensor]:
        decoder = self.mask_decoder
        image, fine8, fine4 = self.image_encoder(images, decoder.conv_s0, decoder.conv_s1)
        # The official model says "no memory of earlier frames" this way.
        image = image + self.no_mem_embed.view(1, -1, 1, 1)
        return {"image": image, "fine8": fine8, "fine4": fine4}

    def image_side(self, arrays: Mapping[str, Tensor]) -> ImageSide:
        fine = (arrays["fine8"], arrays["fine4"])
        return self.mask_decoder.image_side(arrays["image"], self.prompt_encoder.no_mask, fine)

    def best(self, scores: Tensor, multimask: bool) -> Tensor:
        # Which mask answers is known only once they are there: any of them may.
        return super().best(scores, True) if multimask else scores.amax(dim=1)

    def masks(
        self,
        side: ImageSide,
        attended: Attended,
        multimask: bool,
        scores: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        scores = self.scores(attended) if scores is None else scores
        if multimask:
            logits, scores = super().masks(side, attended, True, scores)
        else:
            logits, scores = self.single(side, attended, scores)
        return logits.clamp(-LOGIT_LIMIT, LOGIT_LIMIT), scores

    def single(self, side: ImageSide, attended: Attended, scores: Tensor) -> tuple[Tensor, Tensor]:
        """The single mask, or the best candidate where that is unstable; not clipped.

        Returns:
            Logits (B, 1, 4h, 4w) and scores (B, 1).
        """
        decoder = self.mask_decoder
        return stable_or_best(
            decoder.masks(side, attended, SINGLE),
            lambda rows: decoder.masks(side, attended[rows], CANDIDATES),
            scores,
        )


def stable_or_best(
    single: Tensor, candidates: Callable[[Tensor], Tensor], scores: Tensor
) -> tuple[Tensor, Tensor]:
    """The single mask where it is stable, else the candidate with the best score.

    Args:
        single: (B, 1, h, w) logits; overwritten.
        candidates: Logits (n, candidates, h, w) for rows of the batch, given as (B,) bool.
        scores: (B, 1 + candidates).

    Returns:
        Logits (B, 1, h, w) and scores (B, 1).
    """
    unstable = _stability(single[:, 0]) < STABILITY_LIMIT
    chosen = scores[:, :1].clone()
    if bool(unstable.any()):
        others = candidates(unstable)
        best, which = scores[unstable, 1:].max(dim=1)
        single[unstable, 0] = others[torch.arange(len(others)), which]
        chosen[unstable, 0] = best
    return single, chosen


def _stability(logits: Tensor) -> Tensor:
    """Area above +delta over the area above -delta of (B, h, w); 1 where both are empty."""
    flat = logits.flatten(1)
    inner = (flat > STABILITY_DELTA).sum(dim=1).float()
    outer = (flat > -STABILITY_DELTA).sum(dim=1).float()
    return torch.where(outer > 0, inner / outer.clamp(min=1), torch.ones_like(outer))
