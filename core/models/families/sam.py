# SPDX-License-Identifier: GPL-2.0-or-later
"""SAM (Kirillov et al. 2023): ViT-B, L and H."""

from __future__ import annotations

from torch import nn

from ..image import Preprocessing
from ..network import Network
from ..nn.mask_decoder import MaskDecoder
from ..nn.prompt_encoder import PromptEncoder
from ..nn.vit import WINDOW, ViT
from .family import Family, Shapes, count


class Sam(Network):
    """SAM ViT-B, L and H."""

    def __init__(self, image_encoder: nn.Module, preprocessing: Preprocessing) -> None:
        super().__init__(image_encoder, PromptEncoder(), MaskDecoder(), preprocessing)


def vit_variant(shapes: Shapes) -> str:
    """Name of the ViT whose shapes these are."""
    known = {(768, 12): "vit_b", (1024, 24): "vit_l", (1280, 32): "vit_h"}
    return known.get((vit_dim(shapes), count(shapes, "image_encoder.blocks.")), "custom")


def vit_dim(shapes: Shapes) -> int:
    """Width of the ViT."""
    return shapes["image_encoder.pos_embed"][-1]


def make_vit(shapes: Shapes) -> tuple[ViT, Preprocessing]:
    """The ViT of SAM and SAM-HQ for a checkpoint's shapes."""
    blocks = "image_encoder.blocks."
    depth = count(shapes, blocks)
    dim = vit_dim(shapes)
    grid = shapes["image_encoder.pos_embed"][1]
    whole = [
        index
        for index in range(depth)
        if shapes[f"{blocks}{index}.attn.rel_pos_h"][0] != 2 * WINDOW - 1
    ]
    heads = dim // shapes[f"{blocks}0.attn.rel_pos_h"][1]
    return ViT(dim, depth, heads, whole, grid), Preprocessing(size=grid * 16)


def _make_sam(shapes: Shapes, _size: int | None) -> Network:
    return Sam(*make_vit(shapes))


FAMILY = Family(
    "sam",
    ("image_encoder.pos_embed", "image_encoder.blocks.0.attn.rel_pos_h", "mask_decoder."),
    vit_variant,
    _make_sam,
)
