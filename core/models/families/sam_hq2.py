# SPDX-License-Identifier: GPL-2.0-or-later
"""SAM-HQ 2 (SysCV, 2024): SAM 2.1 with SAM-HQ's extra output token, with and without memory.

Each of SAM 2.1's masks plus the high-quality one, which here needs no early features: SAM 2's
decoder has finer ones. Whether a single mask is stable is decided before that is added.
"""

from __future__ import annotations

from torch import Tensor

from ..network import Network
from ..nn.attended import Attended
from ..nn.mask_decoder import ImageSide
from .family import Family, Shapes
from .memory.sam2_video import Sam2Video, video_parts
from .sam2 import SAM2_VIDEO, TRUNK, hiera_encoder, hiera_variant, sam2_name
from .sam2_network import Sam2, stable_or_best
from .sam_hq import QualityDecoder


class Hq2Decoder(QualityDecoder):
    """The decoder of SAM-HQ 2."""

    def both(self, side: ImageSide, attended: Attended, rows: slice) -> tuple[Tensor, Tensor]:
        """Logits of SAM 2.1 (B, rows, 4h, 4w), and what is added to each (B, 1, 4h, 4w)."""
        fine = self.fine_map(side, attended)
        plain = self.plain_masks(self.weigh(attended, rows), fine)
        return plain, self.quality_masks(attended, fine, None)[:, None]

    def masks(self, side: ImageSide, attended: Attended, rows: slice) -> Tensor:
        plain, quality = self.both(side, attended, rows)
        return plain + quality


class SamHq2(Sam2):
    """SAM-HQ 2 on single images."""

    family = "sam_hq2"
    decoder_kind = Hq2Decoder
    mask_decoder: Hq2Decoder

    def single(self, side: ImageSide, attended: Attended, scores: Tensor) -> tuple[Tensor, Tensor]:
        plain, quality = self.mask_decoder.both(side, attended, slice(None))
        chosen, best = stable_or_best(plain[:, :1].clone(), lambda rows: plain[rows, 1:], scores)
        return chosen + quality, best


class SamHq2Video(SamHq2, Sam2Video):
    """The same with its memory."""


def _make_sam_hq2(shapes: Shapes, size: int | None) -> Network:
    return SamHq2(hiera_encoder(shapes), size or 1024)


def _make_video(shapes: Shapes, size: int | None) -> Network:
    return SamHq2Video(hiera_encoder(shapes), size or 1024, **video_parts(shapes))


FAMILY = Family(
    "sam_hq2",
    (f"{TRUNK}pos_embed_window", "sam_mask_decoder.hf_token.", "sam_mask_decoder.hf_mlp."),
    hiera_variant,
    _make_sam_hq2,
    ignored=SAM2_VIDEO,
    rename=sam2_name,
    make_video=_make_video,
)
