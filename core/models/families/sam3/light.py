# SPDX-License-Identifier: GPL-2.0-or-later
"""EfficientSAM3 (Zeng et al. 2025) and the light text encoder of SAM3-LiteText (Zeng et al. 2026).

SAM 3 with a light encoder (``models/nn/student_encoders.py``) and MobileCLIP's text encoder, which
``transformers`` has; neck, detector and decoder for points are SAM 3's. The files are read with
SAM 3's (``official.py``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from ....errors import CheckpointError
from ...nn.student_encoders import EfficientVitB, RepBlock, RepVit, StudentEncoder, TinyVit
from ...weights import sam3_names as names
from ..family import Shapes, count

State = Mapping[str, Tensor]

SIDE, PATCH = 1008, 14
"""Of the published models: side of the square in pixels, and of one position of the features."""

_HEAD = 64
"""Width of a head of the text encoders."""

_BEGIN = "vision_encoder.backbone."


def _student_shapes(state: State) -> Shapes:
    """Shapes of the light encoder's tensors, under our names."""
    short = ((key.removeprefix("detector."), value) for key, value in state.items())
    trunk = names.STUDENT.removeprefix("detector.")
    return {
        names.student_name(key).removeprefix(_BEGIN): tuple(value.shape)
        for key, value in short
        if key.startswith(trunk)
    }


def student_config(state: State, levels: int) -> Any:
    """transformers' configuration of the vision model, whose ViT :func:`put_student` replaces.

    Raises:
        CheckpointError: A tensor that tells a size is missing.
    """
    from transformers.models.sam3.configuration_sam3 import Sam3VisionConfig

    shapes = _student_shapes(state)
    fpn = state.get("detector.backbone.vision_backbone.convs.0.conv_1x1.weight")
    if "head.3.weight" not in shapes or fpn is None:
        raise CheckpointError(
            "The weights look like EfficientSAM3, but the head or the neck of the encoder is "
            "missing: the file is incomplete or of a newer version."
        )
    width, grid = shapes["head.3.weight"][0], SIDE // PATCH
    return Sam3VisionConfig(
        scale_factors=[4.0, 2.0, 1.0, 0.5][:levels],
        fpn_hidden_size=fpn.shape[0],
        backbone_feature_sizes=[[4 * grid] * 2, [2 * grid] * 2, [grid] * 2],
        backbone_config={
            "model_type": "sam3_vit_model",
            "hidden_size": width,
            "intermediate_size": 1,
            "num_hidden_layers": 1,
            "num_attention_heads": 1,
            "image_size": SIDE,
            "patch_size": PATCH,
            "pretrain_image_size": PATCH,
            "window_size": 1,
            "global_attn_indexes": [0],
        },
    )


def put_student(vision: Any, state: State) -> None:
    """Replace the ViT of transformers' vision model where the file has a light encoder.

    Raises:
        CheckpointError: Its tensors are of no known encoder.
    """
    if names.is_student(state):
        shapes = _student_shapes(state)
        size = vision.config.backbone_config
        try:
            trunk, channels = _trunk(shapes)
        except (KeyError, IndexError, ValueError) as error:
            raise CheckpointError(
                f"The weights look like EfficientSAM3, but the encoder is none that this version "
                f"knows ({error!r:.100}): the file is damaged or of a newer version."
            ) from error
        grid = size.image_size // size.patch_size
        vision.backbone = StudentEncoder(trunk, channels, size.hidden_size, grid)


def _trunk(shapes: Shapes) -> tuple[nn.Module, int]:
    """A trunk without weights, and the channels of its features."""
    if "backbone.input_stem.0.conv.weight" in shapes:
        return _efficient_vit(shapes)
    if "backbone.features.0.0.c.weight" in shapes:
        return _rep_vit(shapes)
    return _tiny_vit(shapes)


def _efficient_vit(shapes: Shapes) -> tuple[nn.Module, int]:
    begin = "backbone.stages."
    stages = range(count(shapes, begin))
    widths = [shapes["backbone.input_stem.0.conv.weight"][0]]
    widths += [shapes[f"{begin}{k}.0.main.point_conv.conv.weight"][0] for k in stages]
    depths = [count(shapes, "backbone.input_stem.") - 1]
    for k in stages:
        attends = f"{begin}{k}.1.context_module.main.qkv.conv.weight" in shapes
        depths.append(count(shapes, f"{begin}{k}.") - attends)
    head = shapes[f"{begin}2.1.context_module.main.aggreg.0.1.weight"][1]
    hidden, into = shapes[f"{begin}0.0.main.inverted_conv.conv.weight"][:2]
    return EfficientVitB(widths, depths, head, hidden / into), widths[-1]


def _rep_vit(shapes: Shapes) -> tuple[nn.Module, int]:
    begin = "backbone.features."
    blocks = [
        RepBlock(
            width=shapes[f"{begin}{k}.channel_mixer.m.2.c.weight"][0],
            halves=f"{begin}{k}.token_mixer.0.c.weight" in shapes,
            excites=f"{begin}{k}.token_mixer.1.fc1.weight" in shapes,
        )
        for k in range(1, count(shapes, begin))
    ]
    return RepVit(shapes[f"{begin}0.2.c.weight"][0], blocks), blocks[-1].width


def _tiny_vit(shapes: Shapes) -> tuple[nn.Module, int]:
    begin = "backbone.layers."
    dims = [shapes[f"{begin}0.blocks.0.conv1.c.weight"][1]]
    depths, heads, windows = [count(shapes, f"{begin}0.blocks.")], [0], [0]
    for k in range(1, count(shapes, begin)):
        table = shapes[f"{begin}{k}.blocks.0.attn.attention_biases"]
        dims.append(shapes[f"{begin}{k}.blocks.0.attn.proj.weight"][0])
        depths.append(count(shapes, f"{begin}{k}.blocks."))
        heads.append(table[0])
        windows.append(math.isqrt(table[1]))
    return TinyVit(dims, depths, heads, windows), dims[-1]


def light_text_config(renamed: State) -> dict[str, Any]:
    """The text encoder's sizes, from tensors under transformers' names."""
    places = renamed["text_encoder.embeddings.position_embedding.position_embedding"]
    vocabulary, width = renamed["text_encoder.embeddings.token_embedding.weight"].shape
    layers = "text_encoder.layers."
    mixer = renamed.get(f"{layers}0.token_mixer.mixer.conv.weight")
    inner = 1 if mixer is not None else 0
    sizes: dict[str, Any] = {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": renamed[f"{layers}{inner}.mlp.fc1.weight"].shape[0],
        "projection_dim": renamed["text_encoder.projection.weight"].shape[0],
        "num_hidden_layers": count(renamed, layers),
        "num_attention_heads": max(1, width // _HEAD),
        "max_position_embeddings": places.shape[2],
        "use_repmixer_blocks": mixer is not None,
    }
    if mixer is not None:
        sizes["repmixer_kernel_size"] = mixer.shape[-1]
    return sizes
