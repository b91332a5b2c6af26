# SPDX-License-Identifier: GPL-2.0-or-later
"""SAM-HQ (Ke et al. 2023): SAM with an extra output token that uses early encoder features.

The answer is SAM's mask plus the high-quality one. Of three candidates the one with the best score
is taken first, so that there is one mask per prompt, as in the official code.

The high-quality mask of a prompt is hyper . (conv2(gelu(norm(conv1(u)))) + f), with u SAM's
upscaled features and f the image's. The second convolution and the product with the hypernetwork's
output are both linear, so that they are one convolution with a single output channel:
64 x 9 in place of 64 x 9 x 32 operations a position.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..image import Preprocessing
from ..network import CANDIDATES, SINGLE, Network
from ..nn.attended import Attended
from ..nn.blocks import Head, LayerNorm2d, parts
from ..nn.mask_decoder import DecoderStyle, ImageSide, MaskDecoder
from ..nn.prompt_encoder import PromptEncoder
from ..nn.subpixels import channels_last_map
from .family import Family, Shapes
from .mobile_sam import TINY_UNUSED, make_tiny_vit
from .sam import make_vit, vit_variant


class QualityDecoder(MaskDecoder):
    """SAM's decoder with the extra token and its hypernetwork, of SAM-HQ and SAM-HQ 2.

    Args:
        dim: Width of a token.
        style: Of the decoder but for the token.
    """

    def __init__(self, dim: int = 256, *, style: DecoderStyle | None = None) -> None:
        super().__init__(dim, style=replace(style or DecoderStyle(), quality_token=True))
        self.hf_token_position = self._first_mask() + self.candidates + 1
        self.hf_mlp = Head(dim, dim, dim // 8)
        self.embedding_maskfeature = nn.Sequential(
            nn.Conv2d(dim // 8, dim // 4, 3, padding=1),
            LayerNorm2d(dim // 4),
            nn.GELU(),
            nn.Conv2d(dim // 4, dim // 8, 3, padding=1),
        )

    def fine_map(self, side: ImageSide, attended: Attended) -> Tensor:
        """Upscaled features of each prompt as maps: (B, 4h, 4w, dim / 8)."""
        features = torch.cat(list(self.upscale(side, attended)), dim=1)
        return channels_last_map(features, side.shape)

    def plain_masks(self, hyper: Tensor, fine: Tensor) -> Tensor:
        """SAM's own logits (B, rows, 4h, 4w) float32.

        Args:
            hyper: (B, rows, dim / 8), see :meth:`weigh`.
            fine: See :meth:`fine_map`.
        """
        batch, height, width, _ = fine.shape
        plain = torch.bmm(hyper.to(fine.dtype), fine.flatten(1, 2).transpose(1, 2)).float()
        return plain.view(batch, -1, height, width)

    def quality_masks(self, attended: Attended, fine: Tensor, image: Tensor | None) -> Tensor:
        """High-quality logits (B, 4h, 4w) float32.

        Args:
            attended: The prompts.
            fine: See :meth:`fine_map`.
            image: The image's part f of the features (dim / 8, 4h, 4w), if there is one.
        """
        hyper = self.hf_mlp(attended.tokens[:, self.hf_token_position])
        batch, height, width, _ = fine.shape
        conv1, conv2 = parts(self.embedding_maskfeature, nn.Conv2d)
        (norm,) = parts(self.embedding_maskfeature, LayerNorm2d)
        # In channels-last memory, as the features are.
        first: Tensor = conv1(fine.permute(0, 3, 1, 2))
        hidden = F.gelu(norm.last(first.permute(0, 2, 3, 1))).flatten(1, 2).transpose(1, 2)
        # (B, 9, 64): one kernel of 3 x 3 a prompt. A product, then each of the nine maps moved to
        # its place and added: much faster than a convolution with a group a prompt.
        kernel = torch.einsum("bc,cikl->bkli", hyper, conv2.weight).flatten(1, 2)
        maps = torch.bmm(kernel.to(hidden.dtype), hidden).float()
        own = _moved(maps.view(batch, 9, height, width))
        if image is not None:
            own = own + torch.mm(hyper, image.flatten(1)).view(batch, height, width).float()
        return own if conv2.bias is None else own + (hyper @ conv2.bias).float()[:, None, None]


class HqDecoder(QualityDecoder):
    """The decoder of SAM-HQ, which fuses features of the encoder.

    Args:
        early: Channels of the encoder's early features.
        dim: Width of a token.
    """

    def __init__(self, early: int, dim: int = 256) -> None:
        super().__init__(dim)
        self.compress_vit_feat = nn.Sequential(
            nn.ConvTranspose2d(early, dim, 2, stride=2),
            LayerNorm2d(dim),
            nn.GELU(),
            nn.ConvTranspose2d(dim, dim // 8, 2, stride=2),
        )
        self.embedding_encoder = nn.Sequential(
            nn.ConvTranspose2d(dim, dim // 4, 2, stride=2),
            LayerNorm2d(dim // 4),
            nn.GELU(),
            nn.ConvTranspose2d(dim // 4, dim // 8, 2, stride=2),
        )

    def quality_features(self, image: Tensor, early: Tensor) -> Tensor:
        """The image's part f of the high-quality mask.

        Args:
            image: (B, dim, h, w), the encoder's features.
            early: (B, h, w, early).

        Returns:
            (B, dim / 8, 4h, 4w).
        """
        late: Tensor = self.embedding_encoder(image)
        compressed: Tensor = self.compress_vit_feat(early.permute(0, 3, 1, 2))
        return late + compressed


class SamHq(Network):
    """SAM-HQ with ViT-B, L, H, or TinyViT (light HQ-SAM)."""

    family = "sam_hq"
    mask_decoder: HqDecoder

    def __init__(self, image_encoder: nn.Module, preprocessing: Preprocessing, early: int) -> None:
        super().__init__(image_encoder, PromptEncoder(), HqDecoder(early), preprocessing)

    def encode(self, images: Tensor) -> dict[str, Tensor]:
        features, early = self.image_encoder(images)
        quality = self.mask_decoder.quality_features(features, early)
        return {"image": features, "quality": quality}

    def image_side(self, arrays: Mapping[str, Tensor]) -> ImageSide:
        return replace(super().image_side(arrays), extra={"quality": arrays["quality"]})

    def candidates(self, multimask: bool) -> int:
        return 1

    def masks(
        self,
        side: ImageSide,
        attended: Attended,
        multimask: bool,
        scores: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        scores = self.scores(attended) if scores is None else scores
        decoder = self.mask_decoder
        rows = CANDIDATES if multimask else SINGLE
        best, which = scores[:, rows].max(dim=1, keepdim=True)
        fine = decoder.fine_map(side, attended)
        hyper = decoder.weigh(attended, rows)
        hyper = hyper[torch.arange(len(hyper), device=hyper.device), which[:, 0]][:, None]
        quality = decoder.quality_masks(attended, fine, side.extra["quality"])
        return decoder.plain_masks(hyper, fine) + quality[:, None], best


def _moved(maps: Tensor) -> Tensor:
    """Sum of nine maps (B, 9, h, w), map 3 k + l moved up by k - 1 and left by l - 1."""
    height, width = maps.shape[2:]
    padded = F.pad(maps, (1, 1, 1, 1))
    total = padded[:, 0, :height, :width].clone()
    for index in range(1, 9):
        row, col = divmod(index, 3)
        total += padded[:, index, row : row + height, col : col + width]
    return total


def _hq_variant(shapes: Shapes) -> str:
    return "vit_t" if "image_encoder.pos_embed" not in shapes else vit_variant(shapes)


def _make_sam_hq(shapes: Shapes, size: int | None) -> Network:
    early = shapes["mask_decoder.compress_vit_feat.0.weight"][0]
    if _hq_variant(shapes) == "vit_t":
        return SamHq(*make_tiny_vit(shapes, size), early)
    return SamHq(*make_vit(shapes), early)


FAMILY = Family(
    "sam_hq",
    ("image_encoder.", "mask_decoder.hf_token.weight", "mask_decoder.compress_vit_feat."),
    _hq_variant,
    _make_sam_hq,
    ignored=TINY_UNUSED,
)
