# SPDX-License-Identifier: GPL-2.0-or-later
"""Tensor names of the hub's (``transformers``) checkpoints as the official names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TypeVar

from torch import Tensor

Shapes = Mapping[str, Sequence[int]]
T = TypeVar("T")

_DECODER = (
    (r"\.layer_norm_final_attn\.", ".norm_final_attn."),
    (r"(mask_decoder\.transformer\.layers\.\d+)\.layer_norm(\d)\.", r"\1.norm\2."),
    (r"^mask_decoder\.upscale_conv1\.", "mask_decoder.output_upscaling.0."),
    (r"^mask_decoder\.upscale_layer_norm\.", "mask_decoder.output_upscaling.1."),
    (r"^mask_decoder\.upscale_conv2\.", "mask_decoder.output_upscaling.3."),
    (r"\.layers\.0\.(weight|bias)$", r".layers.1.\1"),
    (r"\.proj_in\.", ".layers.0."),
    (r"\.proj_out\.", ".layers.2."),
    (r"^prompt_encoder\.point_embed\.(\d)\.", r"prompt_encoder.point_embeddings.\1."),
    (r"^prompt_encoder\.mask_embed\.conv1\.", "prompt_encoder.mask_downscaling.0."),
    (r"^prompt_encoder\.mask_embed\.layer_norm1\.", "prompt_encoder.mask_downscaling.1."),
    (r"^prompt_encoder\.mask_embed\.conv2\.", "prompt_encoder.mask_downscaling.3."),
    (r"^prompt_encoder\.mask_embed\.layer_norm2\.", "prompt_encoder.mask_downscaling.4."),
    (r"^prompt_encoder\.mask_embed\.conv3\.", "prompt_encoder.mask_downscaling.6."),
    (
        r"^prompt_encoder\.shared_embedding\.positional_embedding$",
        "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix",
    ),
)

_VIT = (
    (r"^vision_encoder\.pos_embed$", "image_encoder.pos_embed"),
    (r"^vision_encoder\.patch_embed\.projection\.", "image_encoder.patch_embed.proj."),
    (r"^vision_encoder\.layers\.(\d+)\.layer_norm(\d)\.", r"image_encoder.blocks.\1.norm\2."),
    (r"^vision_encoder\.layers\.(\d+)\.", r"image_encoder.blocks.\1."),
    (r"^vision_encoder\.neck\.conv1\.", "image_encoder.neck.0."),
    (r"^vision_encoder\.neck\.layer_norm1\.", "image_encoder.neck.1."),
    (r"^vision_encoder\.neck\.conv2\.", "image_encoder.neck.2."),
    (r"^vision_encoder\.neck\.layer_norm2\.", "image_encoder.neck.3."),
)

_TIED = ("shared_image_embedding.",)
"""Second copies of tensors that are there already."""


def is_hub(shapes: Shapes) -> bool:
    """Whether the keys are those of ``transformers``."""
    return any(key.startswith(("vision_encoder.", "model.vision_encoder.")) for key in shapes)


def official_shapes(shapes: Shapes) -> dict[str, Sequence[int]]:
    """:func:`official` for shapes."""
    return _renamed(shapes)


def official(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under their official names."""
    return _renamed(state)


def _renamed(items: Mapping[str, T]) -> dict[str, T]:
    return {_name(key): value for key, value in items.items() if not key.startswith(_TIED)}


def _name(key: str) -> str:
    for pattern, replacement in _VIT + _DECODER:
        key = re.sub(pattern, replacement, key)
    return key
