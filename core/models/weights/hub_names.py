# SPDX-License-Identifier: GPL-2.0-or-later
"""Tensor names of the hub's checkpoints (``transformers``) mapped to official names.

Each family's names are rewritten by a list of patterns, applied one after the other. What the hub
keeps in one tensor and the official file in several is cut.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from torch import Tensor

Rules = tuple[tuple[str, str], ...]
T = TypeVar("T")

_PROMPTS: Rules = (
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

_DECODER: Rules = (
    (r"\.layer_norm_final_attn\.", ".norm_final_attn."),
    (r"(mask_decoder\.transformer\.layers\.\d+)\.layer_norm(\d)\.", r"\1.norm\2."),
    (r"^(mask_decoder\.transformer\..*)\.o_proj\.", r"\1.out_proj."),
    (r"^mask_decoder\.upscale_conv1\.", "mask_decoder.output_upscaling.0."),
    (r"^mask_decoder\.upscale_layer_norm\.", "mask_decoder.output_upscaling.1."),
    (r"^mask_decoder\.upscale_conv2\.", "mask_decoder.output_upscaling.3."),
    (r"^mask_decoder\.hq_token\.", "mask_decoder.hf_token."),
    (r"^mask_decoder\.hq_mask_mlp\.", "mask_decoder.hf_mlp."),
    (r"^mask_decoder\.compress_vit_conv1\.", "mask_decoder.compress_vit_feat.0."),
    (r"^mask_decoder\.compress_vit_norm\.", "mask_decoder.compress_vit_feat.1."),
    (r"^mask_decoder\.compress_vit_conv2\.", "mask_decoder.compress_vit_feat.3."),
    (r"^mask_decoder\.encoder_conv1\.", "mask_decoder.embedding_encoder.0."),
    (r"^mask_decoder\.encoder_norm\.", "mask_decoder.embedding_encoder.1."),
    (r"^mask_decoder\.encoder_conv2\.", "mask_decoder.embedding_encoder.3."),
    (r"^mask_decoder\.mask_conv1\.", "mask_decoder.embedding_maskfeature.0."),
    (r"^mask_decoder\.mask_norm\.", "mask_decoder.embedding_maskfeature.1."),
    (r"^mask_decoder\.mask_conv2\.", "mask_decoder.embedding_maskfeature.3."),
    # MLPs of three layers: the middle one is the hub's "layers.0".
    (r"(_mlps\.\d|_mlp|_head)\.layers\.0\.", r"\1.layers.1."),
    (r"(_mlps\.\d|_mlp|_head)\.proj_in\.", r"\1.layers.0."),
    (r"(_mlps\.\d|_mlp|_head)\.proj_out\.", r"\1.layers.2."),
    # And of two.
    (r"\.mlp\.proj_in\.", ".mlp.layers.0."),
    (r"\.mlp\.proj_out\.", ".mlp.layers.1."),
)

_VIT: Rules = (
    (r"^vision_encoder\.pos_embed$", "image_encoder.pos_embed"),
    (r"^vision_encoder\.patch_embed\.projection\.", "image_encoder.patch_embed.proj."),
    (r"^vision_encoder\.layers\.(\d+)\.layer_norm(\d)\.", r"image_encoder.blocks.\1.norm\2."),
    (r"^vision_encoder\.layers\.(\d+)\.", r"image_encoder.blocks.\1."),
    (r"^vision_encoder\.neck\.conv1\.", "image_encoder.neck.0."),
    (r"^vision_encoder\.neck\.layer_norm1\.", "image_encoder.neck.1."),
    (r"^vision_encoder\.neck\.conv2\.", "image_encoder.neck.2."),
    (r"^vision_encoder\.neck\.layer_norm2\.", "image_encoder.neck.3."),
)

_HIERA: Rules = (
    (r"^vision_encoder\.backbone\.", "image_encoder.trunk."),
    (r"^(image_encoder\.trunk\.patch_embed)\.projection\.", r"\1.proj."),
    (r"^(image_encoder\.trunk\.blocks\.\d+)\.layer_norm(\d)\.", r"\1.norm\2."),
    (r"^vision_encoder\.neck\.convs\.(\d)\.", r"image_encoder.neck.convs.\1.conv."),
    (r"^no_memory_embedding$", "no_mem_embed"),
    (r"^(prompt_encoder|mask_decoder)\.", r"sam_\1."),
)

_SAM: Rules = (*_VIT, *_PROMPTS, *_DECODER)
_SAM2: Rules = (*_PROMPTS, *_DECODER, *_HIERA)

_UNUSED = (
    # A second copy of the prompt encoder's.
    "shared_image_embedding.",
    # SAM 2's memory.
    "memory_",
    "mask_downsample.",
    "no_memory_positional_encoding",
    "no_object_pointer",
    "object_pointer_proj.",
    "occlusion_spatial_embedding_parameter",
    "temporal_positional_encoding_projection_layer.",
)

_STACKED = "prompt_encoder.point_embed.weight"
"""SAM 2's four learned labels in one tensor."""


def is_hub(keys: Mapping[str, object]) -> bool:
    """Whether the keys are those of ``transformers``."""
    return any(key.startswith("vision_encoder.") for key in keys)


def official_shapes(shapes: Mapping[str, Sequence[int]]) -> dict[str, Sequence[int]]:
    """:func:`official` for shapes."""
    return _official(shapes, lambda shape, _: (1, *shape[1:]))


def official(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under their official names, without those that images do not need."""
    return _official(state, lambda tensor, row: tensor[row : row + 1])


def official_head(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """:func:`official` for all but the encoder of SAM 3, whose other parts are SAM 2's."""
    head = {key: value for key, value in state.items() if not key.startswith("vision_encoder.")}
    return _official(head, lambda tensor, row: tensor[row : row + 1], two=True)


def _official(
    items: Mapping[str, T], cut: Callable[[T, int], T], two: bool | None = None
) -> dict[str, T]:
    if two is None:
        two = any(key.startswith("vision_encoder.backbone.") for key in items)
    out = {}
    for key, value in items.items():
        if key.startswith(_UNUSED):
            continue
        if key == _STACKED:
            for row in range(4):
                out[f"sam_prompt_encoder.point_embeddings.{row}.weight"] = cut(value, row)
            continue
        for pattern, replacement in _SAM2 if two else _SAM:
            key = re.sub(pattern, replacement, key)
        out[key] = value
    return out
