# SPDX-License-Identifier: GPL-2.0-or-later
"""EfficientViT-SAM (Zhang et al. 2024), L0 to L2 and XL0, XL1: SAM with EfficientViT as encoder.

The encoder's square has 512 pixels (L) or 1024 (XL); its features have 64 x 64 positions in both.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from ..image import Preprocessing
from ..network import Network
from ..nn import efficient_vit
from ..nn.efficient_vit import EncoderSize, Kind, Stage
from ..nn.mask_decoder import MaskDecoder
from ..nn.prompt_encoder import PromptEncoder
from .family import Family, Shapes, count

BACKBONE, NECK = "image_encoder.backbone.stages.", "image_encoder.neck."

GRID = 64
"""Positions along a side of the features of the published encoders."""


class EfficientVitSam(Network):
    """As SAM but for the encoder.

    Args:
        size: Of the encoder.
        side: Of the encoder's square, pixels; None for the published one.
    """

    family = "efficientvit_sam"

    def __init__(self, size: EncoderSize, side: int | None = None) -> None:
        super().__init__(
            efficient_vit.Encoder(size),
            PromptEncoder(),
            MaskDecoder(),
            Preprocessing(side or GRID * size.stride),
            size.stride,
        )
        for module in self.mask_decoder.modules():
            if isinstance(module, nn.LayerNorm):
                module.eps = efficient_vit.EPS

    def encode(self, images: Tensor) -> dict[str, Tensor]:
        return {"image": self.image_encoder(images)}


_KINDS: dict[str, Kind] = {
    "conv1": "residual",
    "spatial_conv": "fused",
    "inverted_conv": "inverted",
}
"""First convolution of a block, and the block's kind."""


def _kind(shapes: Shapes, block: str) -> tuple[str, Kind]:
    """Prefix of the first convolution of a block, and the block's kind."""
    for name, kind in _KINDS.items():
        if f"{block}{name}.conv.weight" in shapes:
            return f"{block}{name}.", kind
    raise ValueError(f"{block} is no block of EfficientViT")


def _stage(shapes: Shapes, number: int) -> Stage:
    """What the shapes tell of a stage of the backbone."""
    prefix = f"{BACKBONE}{number}.op_list."
    depth = count(shapes, prefix) - 1
    if number == 0:
        width = shapes[f"{prefix}0.conv.weight"][0]
        return Stage(width, depth, "residual", 1)
    first, first_kind = _kind(shapes, f"{prefix}0.main.")
    width = shapes[f"{prefix}0.main.point_conv.conv.weight"][0]
    hidden, before = shapes[f"{first}conv.weight"][:2]
    few_norms = f"{first}norm.weight" not in shapes
    kind, scale = first_kind, 5
    gathers = f"{prefix}1.context_module.main.aggreg.0.0.weight"
    if gathers in shapes:
        kind, scale = "attention", shapes[gathers][-1]
    elif depth:
        _, kind = _kind(shapes, f"{prefix}1.main.")
    # The block that halves the map is four times as wide within.
    expansion = hidden / before / 4
    return Stage(width, depth, kind, expansion, few_norms, scale, first_kind == "fused")


def _size(shapes: Shapes) -> EncoderSize:
    """The encoder of a checkpoint, one of :data:`..nn.efficient_vit.SIZES` where it fits."""
    stages = tuple(_stage(shapes, number) for number in range(count(shapes, BACKBONE)))
    middle = shapes[f"{NECK}middle.op_list.0.main.spatial_conv.conv.weight"]
    depth = count(shapes, f"{NECK}middle.op_list.")
    made = EncoderSize("custom", stages, depth, middle[0] / middle[1], middle[1])
    known = (size for size in efficient_vit.SIZES if replace(size, name="custom") == made)
    return next(known, made)


def _make(shapes: Shapes, side: int | None) -> Network:
    return EfficientVitSam(_size(shapes), side)


def _name(key: str) -> str:
    return key.replace(".op_list.", ".")


FAMILY = Family(
    "efficientvit_sam",
    (f"{BACKBONE}0.op_list.0.conv.weight", f"{NECK}input_ops.", "mask_decoder."),
    lambda shapes: _size(shapes).name,
    _make,
    rename=_name,
)
