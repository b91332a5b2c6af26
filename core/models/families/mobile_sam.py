# SPDX-License-Identifier: GPL-2.0-or-later
"""MobileSAM (Zhang et al. 2023): SAM with a TinyViT of 5 million parameters as encoder."""

from __future__ import annotations

import math

from ..image import Preprocessing
from ..network import Network
from ..nn.tiny_vit import TinyViT
from .family import Family, Shapes, count
from .sam import Sam


class MobileSam(Sam):
    """As SAM but for the encoder."""

    family = "mobile_sam"


TINY_UNUSED = ("image_encoder.norm_head.", "image_encoder.head.")
"""The classifier that MobileSAM's checkpoint still carries."""


def make_tiny_vit(shapes: Shapes, size: int | None) -> tuple[TinyViT, Preprocessing]:
    """The TinyViT of MobileSAM and light SAM-HQ for a checkpoint's shapes."""
    prefix = "image_encoder.layers."
    dims, depths, heads, windows = [], [], [], []
    for stage in range(4):
        blocks = f"{prefix}{stage}.blocks."
        depths.append(count(shapes, blocks))
        if stage == 0:
            dims.append(shapes[f"{blocks}0.conv1.c.weight"][1])
            heads.append(0)
            windows.append(0)
        else:
            dims.append(shapes[f"{blocks}0.attn.proj.weight"][0])
            table = shapes[f"{blocks}0.attn.attention_biases"]
            heads.append(table[0])
            windows.append(math.isqrt(table[1]))
    return TinyViT(dims, depths, heads, windows), Preprocessing(size=size or 1024)


def _make_mobile_sam(shapes: Shapes, size: int | None) -> Network:
    return MobileSam(*make_tiny_vit(shapes, size))


FAMILY = Family(
    "mobile_sam",
    ("image_encoder.layers.0.blocks.0.conv1.c.weight", "mask_decoder."),
    lambda _: "vit_t",
    _make_mobile_sam,
    ignored=TINY_UNUSED,
)
