# SPDX-License-Identifier: GPL-2.0-or-later
"""SAM 3 and SAM 3.1 from their own files (``sam3.pt``, ``sam3.1_multiplex.pt``), without a login.

Sizes are read from the tensors' shapes. Points, boxes and masks go through our decoder, as with the
hub's layout (``hub.py``); SAM 3.1 answers them with its interactive tracker, whose shapes are
those of SAM 3's. Its tracker for video is not run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ....errors import CheckpointError, ModelError
from ...nn.blocks import Foldable
from ...promptable import TorchModel
from ...runtime import pick_device, pick_dtype, set_threads
from ...weights import sam3_names as names
from ...weights.checkpoints import Located
from ...weights.download import sha256_of
from ...weights.pretrained import VERSION, require_transformers
from ..family import count
from ..recognise import finished
from ..sam2 import sam2_name
from .hub import Sam3Points
from .light import light_text_config, put_student, student_config

State = Mapping[str, Tensor]

_HEAD = 64
"""Width of an attention head of the published encoders, where no rotations tell."""

_HEADS = 8
"""Attention heads of the detector, which no shape tells."""

_WINDOW, _GRID = 24, 72
"""Of the published encoder: sides of its windows and of its features, in patches."""


def load_official(
    state: State, located: Located, device: str, threads: int | None, precision: str
) -> TorchModel:
    """A model for points, boxes and masks from the tensors of an official file.

    Args:
        state: Tensors for which :func:`~..weights.sam3_names.is_sam3` holds.
        located: Where they come from.
        device, threads, precision: As in :func:`~..load.load_model`.

    Raises:
        ModelError: ``transformers`` is missing, or there is no such device.
        CheckpointError: Tensors are missing, too many or of another shape.
    """
    require_transformers("SAM 3")
    from transformers.models.sam3.modeling_sam3 import Sam3VisionModel

    chosen = pick_device(device)
    dtype = pick_dtype(precision, chosen)
    set_threads(threads)
    if not names.has_points(state):
        raise ModelError(
            f"{located.name} has no decoder for points and boxes, only one for words: choose it as "
            "the detector of words beside another model."
        )
    config = vision_config(state, levels=3)
    backbone = config.backbone_config
    made: Any = Sam3VisionModel(config)
    put_student(made, state)
    vision = {
        key.removeprefix("vision_encoder."): value
        for key, value in names.points_vision(state).items()
    }
    fill(made, vision, located.name, "encoder")
    network = Sam3Points(made, backbone.image_size, backbone.patch_size)
    head = {sam2_name(key): value for key, value in names.points_head(state).items()}
    rest = nn.ModuleDict(
        {name: child for name, child in network.named_children() if name != "image_encoder"}
    )
    no_memory = head.pop("no_mem_embed", None)
    if no_memory is None:
        raise _wrong(located.name, "lacks", "the tensor no_mem_embed of the points' decoder")
    fill(rest, head, located.name, "decoder for points")
    network.no_mem_embed.data = no_memory.float().reshape(network.no_mem_embed.shape)
    checksum = located.sha256 or sha256_of(located.path)
    return finished(
        network,
        name=located.name,
        device=chosen,
        dtype=dtype,
        checksum=f"{checksum} {VERSION}",
    )


def load_official_words(state: State, name: str) -> Any:
    """The ``Sam3Model`` of transformers with the detector's tensors, float32 on the CPU.

    Raises:
        CheckpointError: Tensors are missing, too many or of another shape.
    """
    from transformers.models.sam3.configuration_sam3 import Sam3Config
    from transformers.models.sam3.modeling_sam3 import Sam3Model
    from transformers.models.sam3_lite_text.configuration_sam3_lite_text import Sam3LiteTextConfig
    from transformers.models.sam3_lite_text.modeling_sam3_lite_text import Sam3LiteTextModel

    light = names.STUDENT_TEXT in state
    renamed = names.detector(state)
    levels = count(renamed, "vision_encoder.neck.fpn_layers.")
    config = detector_config(renamed, vision_config(state, levels))
    made: Any = (
        Sam3LiteTextModel(Sam3LiteTextConfig(**config))
        if light
        else Sam3Model(Sam3Config(**config))
    )
    put_student(made.vision_encoder, state)
    fill(made, renamed, name, "detector")
    made.eval()
    for module in list(made.modules()):
        if isinstance(module, Foldable):
            module.fold()
    return made


def vision_config(state: State, levels: int) -> Any:
    """The encoder's sizes. Its windows and rotations are told by the rotations of its blocks.

    Raises:
        CheckpointError: Tensors that tell the sizes are missing, or contradict one another.
    """
    from transformers.models.sam3.configuration_sam3 import Sam3VisionConfig

    if names.is_student(state):
        return student_config(state, levels)
    trunk = names.TRUNK
    try:
        width, _, patch, _ = state[f"{trunk}patch_embed.proj.weight"].shape
        hidden = state[f"{trunk}blocks.0.mlp.fc1.weight"].shape[0]
        fpn = state["detector.backbone.vision_backbone.convs.0.conv_1x1.weight"].shape[0]
        learned = round((state[f"{trunk}pos_embed"].shape[1] - 1) ** 0.5)
    except (KeyError, IndexError, ValueError) as error:
        raise CheckpointError(
            f"The weights look like SAM 3, but the encoder's sizes cannot be read ({error}): the "
            "file is incomplete or of a newer version."
        ) from error
    depth = count(state, f"{trunk}blocks.")
    rotations = [state.get(f"{trunk}blocks.{i}.attn.freqs_cis") for i in range(depth)]
    known = [value.shape for value in rotations if value is not None]
    if len(known) == depth:
        counts = [shape[0] for shape in known]
        head, grid, window = 2 * known[0][1], round(max(counts) ** 0.5), round(min(counts) ** 0.5)
        everywhere = [i for i, number in enumerate(counts) if number == max(counts)]
    else:
        head, grid, window = _HEAD, _GRID, _WINDOW
        everywhere = [i for i in range(depth) if (i + 1) % (depth // 4 or 1) == 0]
    if width % head or depth == 0:
        raise CheckpointError(
            f"The weights look like SAM 3, but an encoder of {depth} blocks, {width} wide, with "
            f"heads of {head} is none: the file is damaged."
        )
    return Sam3VisionConfig(
        scale_factors=[4.0, 2.0, 1.0, 0.5][:levels],
        fpn_hidden_size=fpn,
        backbone_feature_sizes=[[4 * grid] * 2, [2 * grid] * 2, [grid] * 2],
        backbone_config={
            "model_type": "sam3_vit_model",
            "hidden_size": width,
            "intermediate_size": hidden,
            "num_hidden_layers": depth,
            "num_attention_heads": width // head,
            "image_size": grid * patch,
            "patch_size": patch,
            "pretrain_image_size": learned * patch,
            "window_size": window,
            "global_attn_indexes": everywhere,
        },
    )


def detector_config(renamed: State, vision: Any) -> dict[str, Any]:
    """What ``Sam3Config`` takes, from the shapes of tensors under transformers' names.

    Raises:
        CheckpointError: A tensor that tells a size is missing.
    """
    light = "text_encoder.text_model.embeddings.token_embedding.weight" not in renamed
    try:
        text = "text_encoder.text_model.encoder.layers."
        if not light:
            embedded = renamed["text_encoder.text_model.embeddings.token_embedding.weight"]
            places = renamed["text_encoder.text_model.embeddings.position_embedding.weight"]
        queries, width = renamed["detr_decoder.query_embed.weight"].shape
        common = {"hidden_size": width, "num_attention_heads": _HEADS}

        def part(prefix: str, **more: int) -> dict[str, int]:
            wide = renamed[f"{prefix}layers.0.mlp.fc1.weight"].shape[0]
            layers = count(renamed, f"{prefix}layers.")
            return {**common, "intermediate_size": wide, "num_layers": layers, **more}

        return {
            "vision_config": vision,
            "text_config": light_text_config(renamed)
            if light
            else {
                "model_type": "clip_text_model",
                "vocab_size": embedded.shape[0],
                "hidden_size": embedded.shape[1],
                "intermediate_size": renamed[f"{text}0.mlp.fc1.weight"].shape[0],
                "projection_dim": renamed["text_encoder.text_projection.weight"].shape[0],
                "num_hidden_layers": count(renamed, text),
                "num_attention_heads": max(1, embedded.shape[1] // _HEAD),
                "max_position_embeddings": places.shape[0],
                "hidden_act": "gelu",
            },
            "geometry_encoder_config": part(
                "geometry_encoder.",
                roi_size=renamed["geometry_encoder.boxes_pool_project.weight"].shape[-1],
            ),
            "detr_encoder_config": part("detr_encoder."),
            "detr_decoder_config": part("detr_decoder.", num_queries=queries),
            "mask_decoder_config": {
                **common,
                "num_upsampling_stages": count(renamed, "mask_decoder.pixel_decoder.conv_layers."),
            },
        }
    except (KeyError, ValueError, IndexError) as error:
        raise CheckpointError(
            f"The weights look like SAM 3, but the detector of words is incomplete ({error}): the "
            "file is damaged or of a newer version."
        ) from error


def fill(module: nn.Module, state: State, name: str, part: str) -> None:
    """Give every tensor its place; nothing may be left over on either side.

    Raises:
        CheckpointError: Something is.
    """
    wanted = {
        key: value.float() if value.is_floating_point() else value for key, value in state.items()
    }
    try:
        missing, extra = module.load_state_dict(wanted, strict=False)
    except RuntimeError as error:
        line = str(error).strip().splitlines()[-1].strip()
        raise _wrong(name, "has another shape in", f"the {part} ({line})") from error
    for problem, keys in (("lacks", missing), ("has unknown", extra)):
        if keys:
            raise _wrong(
                name, problem, f"{len(keys)} tensors of the {part} (the first is {sorted(keys)[0]})"
            )
    for key, value in wanted.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise _wrong(name, "has", f"numbers in {key} that are not finite")


def _wrong(name: str, problem: str, what: str) -> CheckpointError:
    return CheckpointError(
        f"The weights of {name} look like SAM 3, but the file {problem} {what}: it is damaged or "
        "of another version. Nothing was run: a part with random weights would answer without a "
        "word."
    )
