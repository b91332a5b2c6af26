# SPDX-License-Identifier: GPL-2.0-or-later
"""MobileSAM (Zhang et al. 2023): SAM with a TinyViT of 5 million parameters as encoder."""

from __future__ import annotations

from .sam import Sam
from .tiny_vit import TinyViT


class MobileSam(Sam):
    """As SAM but for the encoder."""

    family = "mobile_sam"

    def prepare(self) -> None:
        super().prepare()
        if isinstance(self.image_encoder, TinyViT):
            self.image_encoder.fuse()
