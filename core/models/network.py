# SPDX-License-Identifier: GPL-2.0-or-later
"""``Network``: encoder, prompt encoder and mask decoder of a family, on torch tensors.

Attributes have the names of the official checkpoints. ``promptable.py`` makes a model of a network
that jobs and sessions can use.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from .image import Preprocessing
from .nn.attended import Attended
from .nn.blocks import Foldable
from .nn.mask_decoder import ImageSide, MaskDecoder
from .nn.prompt_encoder import PointEncoder

Accepts = frozenset[Literal["point", "box", "mask", "text"]]

SINGLE = slice(0, 1)
CANDIDATES = slice(1, None)


class Network(nn.Module):
    """Encoder, prompts and decoder of one family, on torch tensors.

    Subclasses override what their family does otherwise.

    Args:
        image_encoder: (B, 3, S, S) to features.
        prompt_encoder: Prompts to tokens.
        mask_decoder: Tokens and features to masks.
        preprocessing: Images to the encoder's input.
    """

    family = "sam"
    accepts: Accepts = frozenset({"point", "box", "mask"})
    max_points: int | None = None
    """Points (a box counts as two) that a prompt may have."""
    background_points = True
    score_threshold, stability_threshold = 0.88, 0.95
    """Defaults of the official automatic generator."""

    def __init__(
        self,
        image_encoder: nn.Module,
        prompt_encoder: PointEncoder,
        mask_decoder: MaskDecoder,
        preprocessing: Preprocessing,
        stride: int = 16,
    ) -> None:
        super().__init__()
        self.image_encoder = image_encoder
        self.prompt_encoder = prompt_encoder
        self.mask_decoder = mask_decoder
        self.preprocessing = preprocessing
        self.grid = preprocessing.size // stride

    def prepare(self) -> None:
        """Derive what depends only on the weights; call once they are loaded."""
        for module in list(self.modules()):
            if isinstance(module, Foldable):
                module.fold()
        with torch.no_grad():
            self.mask_decoder.prepare(self.prompt_encoder.pe_layer.grid(self.grid, self.grid))

    @property
    def mask_size(self) -> int:
        """Cells along a side of the low-resolution logits."""
        return self.grid * 4

    def settings(self) -> Mapping[str, Any]:
        """All but the weights that changes results; part of the fingerprint."""
        return {"family": self.family, "preprocessing": repr(self.preprocessing)}

    # Images -------------------------------------------------------------------------------------

    def encode(self, images: Tensor) -> dict[str, Tensor]:
        """Images (B, 3, S, S) to named features (B, ...); they go into ``Embedding.arrays``."""
        features, _ = self.image_encoder(images)
        return {"image": features}

    def image_side(self, arrays: Mapping[str, Tensor]) -> ImageSide:
        """What all prompts of one image share, from one image's features (without the B)."""
        return self.mask_decoder.image_side(arrays["image"], self.prompt_encoder.no_mask)

    # Prompts ------------------------------------------------------------------------------------

    def tokens(
        self, count: int, points: Tensor | None, labels: Tensor | None, boxes: Tensor | None
    ) -> Tensor:
        """Tokens (count, k, dim) of prompts with as many points each; see ``PromptEncoder``."""
        tokens = self.prompt_encoder.tokens(points, labels, boxes)
        return tokens if tokens.shape[0] else tokens.new_zeros(count, 0, tokens.shape[-1])

    def dense(self, masks: Tensor) -> Tensor:
        """Mask prompts (n, 4h, 4w) of logits as (n, N, dim)."""
        return self.prompt_encoder.dense(masks[:, None])

    # Masks --------------------------------------------------------------------------------------

    def candidates(self, multimask: bool) -> int:
        """Masks a prompt."""
        return self.mask_decoder.candidates if multimask else 1

    def scores(self, attended: Attended) -> Tensor:
        """Predicted IoU of the single mask and of the candidates: (B, 1 + candidates)."""
        return self.mask_decoder.scores(attended)

    def best(self, scores: Tensor, multimask: bool) -> Tensor:
        """The highest score that each prompt's answer can have (B,), before there are masks."""
        return scores[:, CANDIDATES if multimask else SINGLE].amax(dim=1)

    def masks(
        self,
        side: ImageSide,
        attended: Attended,
        multimask: bool,
        scores: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Logits (B, m, 4h, 4w) and their scores (B, m), float32.

        Args:
            side: Of the image.
            attended: Of the prompts.
            multimask: Candidates instead of the single mask.
            scores: Their :meth:`scores`, where those are known already.
        """
        scores = self.scores(attended) if scores is None else scores
        rows = CANDIDATES if multimask else SINGLE
        return self.mask_decoder.masks(side, attended, rows), scores[:, rows]
