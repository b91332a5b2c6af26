# SPDX-License-Identifier: GPL-2.0-or-later
"""Tensor names of SAM 3's and SAM 3.1's own checkpoints (``sam3.pt``, ``sam3.1_multiplex.pt``).

Both begin with ``detector.`` (encoder, words) and ``tracker.`` (points, video). SAM 3.1 has two
trackers: ``interactive_*``, for points and boxes, has the shapes of SAM 3's; the other, which takes
16 objects at once through a video, is not read. Encoder and detector get the names of
``transformers``, points and decoder those of SAM 2. What the official code keeps in one tensor
(query, key, value) and transformers in three is cut.

A tensor that no rule knows is an error: a renamed part would otherwise keep random weights.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from ...errors import CheckpointError

TRUNK = "detector.backbone.vision_backbone.trunk."
STUDENT = f"{TRUNK}model."
"""What the tensors of EfficientSAM3's light encoders begin with."""

STUDENT_TEXT = "detector.backbone.language_backbone.projector.weight"
"""A tensor of the light text encoder (MobileCLIP's) of EfficientSAM3 and SAM3-LiteText."""

MULTIPLEX = "tracker.model."
"""What the tensors of SAM 3.1's trackers begin with."""

Rules = tuple[tuple[str, str], ...]

_NECK: Rules = (
    (r"\.dconv_2x2(_0)?\.", ".scale_layers.0."),
    (r"\.dconv_2x2_1\.", ".scale_layers.2."),
    (r"\.conv_1x1\.", ".proj1."),
    (r"\.conv_3x3\.", ".proj2."),
)

_VISION: Rules = (
    (r"^backbone\.vision_backbone\.trunk\.", "vision_encoder.backbone."),
    (r"^backbone\.vision_backbone\.convs\.", "vision_encoder.neck.fpn_layers."),
    (r"\.backbone\.pos_embed$", ".backbone.embeddings.position_embeddings"),
    (r"\.backbone\.patch_embed\.proj\.", ".backbone.embeddings.patch_embeddings.projection."),
    (r"\.backbone\.ln_pre\.", ".backbone.layer_norm."),
    (r"\.backbone\.blocks\.(\d+)\.norm(\d)\.", r".backbone.layers.\1.layer_norm\2."),
    (r"\.backbone\.blocks\.(\d+)\.attn\.proj\.", r".backbone.layers.\1.attention.o_proj."),
    (r"\.backbone\.blocks\.(\d+)\.attn\.", r".backbone.layers.\1.attention."),
    (r"\.backbone\.blocks\.", ".backbone.layers."),
    *_NECK,
)

_TEXT: Rules = (
    (r"^backbone\.language_backbone\.resizer\.", "text_projection."),
    (
        r"^backbone\.language_backbone\.encoder\.text_projection$",
        "text_encoder.text_projection.weight",
    ),
    (r"^backbone\.language_backbone\.encoder\.", "text_encoder.text_model."),
    (
        r"\.text_model\.positional_embedding$",
        ".text_model.embeddings.position_embedding.weight",
    ),
    (r"\.text_model\.token_embedding\.", ".text_model.embeddings.token_embedding."),
    (r"\.text_model\.ln_final\.", ".text_model.final_layer_norm."),
    (r"\.text_model\.transformer\.resblocks\.", ".text_model.encoder.layers."),
    (r"(\.encoder\.layers\.\d+)\.attn\.", r"\1.self_attn."),
    (r"(\.encoder\.layers\.\d+)\.ln_(\d)\.", r"\1.layer_norm\2."),
    (r"(\.encoder\.layers\.\d+)\.mlp\.c_fc\.", r"\1.mlp.fc1."),
    (r"(\.encoder\.layers\.\d+)\.mlp\.c_proj\.", r"\1.mlp.fc2."),
)

_LIGHT_TEXT: Rules = (
    (r"^backbone\.language_backbone\.projector\.", "text_projection."),
    (
        r"^backbone\.language_backbone\.encoder\.projection_layer$",
        "text_encoder.projection.weight",
    ),
    (r"^backbone\.language_backbone\.encoder\.transformer\.", "text_encoder.layers."),
    (r"^backbone\.language_backbone\.encoder\.", "text_encoder."),
    (r"^text_encoder\.embedding_layer\.", "text_encoder.embeddings.token_embedding."),
    (
        r"^text_encoder\.positional_embedding\.pos_embed\.pos_embed$",
        "text_encoder.embeddings.position_embedding.position_embedding",
    ),
    (r"\.token_mixer\.norm\.rbr_skip\.", ".token_mixer.reference_batchnorm."),
    (r"\.token_mixer\.mixer\.rbr_skip\.", ".token_mixer.mixer.batchnorm_skip."),
    (r"\.token_mixer\.mixer\.rbr_conv\.0\.conv\.", ".token_mixer.mixer.conv."),
    (r"\.token_mixer\.mixer\.rbr_conv\.0\.bn\.", ".token_mixer.mixer.batchnorm_conv."),
    (r"\.convffn\.conv\.conv\.", ".conv_feed_forward.depthwise_conv."),
    (r"\.convffn\.conv\.bn\.", ".conv_feed_forward.depthwise_batchnorm."),
    (r"\.convffn\.fc([12])\.", r".conv_feed_forward.mlp.fc\1."),
    (r"\.pre_norm_mha\.0\.", ".layer_norm1."),
    (r"\.pre_norm_mha\.1\.qkv_proj\.", ".self_attn.qkv."),
    (r"\.pre_norm_mha\.1\.", ".self_attn."),
    (r"\.pre_norm_ffn\.0\.", ".layer_norm2."),
    (r"\.pre_norm_ffn\.1\.", ".mlp.fc1."),
    (r"\.pre_norm_ffn\.4\.", ".mlp.fc2."),
)

_DETR: Rules = (
    (r"^geometry_encoder\.encode\.", "geometry_encoder.layers."),
    (r"^geometry_encoder\.img_pre_norm\.", "geometry_encoder.vision_layer_norm."),
    (r"^geometry_encoder\.encode_norm\.", "geometry_encoder.output_layer_norm."),
    (r"^geometry_encoder\.norm\.", "geometry_encoder.prompt_layer_norm."),
    (r"^transformer\.(encoder|decoder)\.", r"detr_\1."),
    (r"^detr_decoder\.norm\.", "detr_decoder.output_layer_norm."),
    (r"^detr_decoder\.presence_token_out_norm\.", "detr_decoder.presence_layer_norm."),
    (r"^detr_decoder\.presence_token_head\.", "detr_decoder.presence_head."),
    (r"^detr_decoder\.bbox_embed\.", "detr_decoder.box_head."),
    (r"^detr_decoder\.boxRPB_embed_([xy])\.", r"detr_decoder.box_rpb_embed_\1."),
    (r"(detr_decoder\.layers\.\d+)\.ca_text\.", r"\1.text_cross_attn."),
    (r"(detr_decoder\.layers\.\d+)\.cross_attn\.", r"\1.vision_cross_attn."),
    (r"(detr_decoder\.layers\.\d+)\.catext_norm\.", r"\1.text_cross_attn_layer_norm."),
    (r"(detr_decoder\.layers\.\d+)\.norm1\.", r"\1.vision_cross_attn_layer_norm."),
    (r"(detr_decoder\.layers\.\d+)\.norm2\.", r"\1.self_attn_layer_norm."),
    (r"(detr_decoder\.layers\.\d+)\.norm3\.", r"\1.mlp_layer_norm."),
    (r"\.cross_attn_image\.", ".cross_attn."),
    (r"((?:detr_encoder|geometry_encoder)\.layers\.\d+)\.norm(\d)\.", r"\1.layer_norm\2."),
    (r"(layers\.\d+)\.linear([12])\.", r"\1.mlp.fc\2."),
    (r"^segmentation_head\.cross_attend_prompt\.", "mask_decoder.prompt_cross_attn."),
    (r"^segmentation_head\.cross_attn_norm\.", "mask_decoder.prompt_cross_attn_norm."),
    (r"^segmentation_head\.mask_predictor\.mask_embed\.", "mask_decoder.mask_embedder."),
    (r"^segmentation_head\.instance_seg_head\.", "mask_decoder.instance_projection."),
    (r"^segmentation_head\.semantic_seg_head\.", "mask_decoder.semantic_projection."),
    (r"^segmentation_head\.", "mask_decoder."),
    (r"^dot_prod_scoring\.prompt_mlp\.out_norm\.", "dot_product_scoring.text_mlp_out_norm."),
    (r"^dot_prod_scoring\.prompt_mlp\.", "dot_product_scoring.text_mlp."),
    (r"^dot_prod_scoring\.prompt_proj\.", "dot_product_scoring.text_proj."),
    (r"^dot_prod_scoring\.hs_proj\.", "dot_product_scoring.query_proj."),
    # Attention outside the text encoder.
    (
        r"^((?:geometry|detr_encoder|detr_decoder|mask_decoder)\S*_?attn)\.out_proj\.",
        r"\1.o_proj.",
    ),
)

_NUMBERED = re.compile(
    r"^(detr_decoder\.(?:box_head|presence_head|ref_point_head|box_rpb_embed_[xy])"
    r"|dot_product_scoring\.text_mlp)\.layers\.(\d+)\."
)
"""MLPs whose layers transformers counts from 1: ``layers.0`` is ``layer1``."""

UNUSED = ("geometry_encoder.points_", "backbone.vision_backbone.propagation_convs.")
"""Tensors of the detector that images do not need: points as prompts of a concept, and the neck of
SAM 3.1's video tracker."""

VIDEO = (
    "maskmem_", "no_mem_pos_enc", "no_obj_", "mask_downsample.", "interactive_mask_downsample.",
    "transformer.", "obj_ptr_", "interactive_obj_ptr_",
    "sam_mask_decoder.pred_obj_score_head.",
)  # fmt: skip
"""Tensors of SAM 3's tracker that only video needs."""


def is_sam3(keys: Mapping[str, object]) -> bool:
    """Whether the keys are those of SAM 3's, SAM 3.1's or EfficientSAM3's own checkpoint."""
    if is_student(keys):
        return True
    return f"{TRUNK}patch_embed.proj.weight" in keys and any(k.startswith("tracker.") for k in keys)


def is_student(keys: Mapping[str, object]) -> bool:
    """Whether the encoder is one of EfficientSAM3's light ones."""
    return any(key.startswith(STUDENT) for key in keys)


def has_points(keys: Mapping[str, object]) -> bool:
    """Whether a checkpoint of :func:`is_sam3` has a decoder for points (EfficientSAM3 may not)."""
    return any(key.startswith("tracker.") for key in keys)


def is_multiplex(keys: Mapping[str, object]) -> bool:
    """Whether a checkpoint of :func:`is_sam3` is SAM 3.1's."""
    return any(key.startswith(f"{MULTIPLEX}interactive_sam_mask_decoder.") for key in keys)


def points_vision(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Trunk and the neck of the tracker for points, as ``vision_encoder.*`` of transformers.

    Raises:
        CheckpointError: A tensor has no place.
    """
    neck = "interactive_convs." if is_multiplex(state) else "sam2_convs."
    base = "detector.backbone.vision_backbone."
    chosen = {}
    for key, value in state.items():
        if key.startswith(TRUNK):
            chosen[key.removeprefix("detector.")] = value
        elif key.startswith(f"{base}{neck}") and not key.startswith(f"{base}{neck}3."):
            # The fourth level is never read by the decoder.
            chosen[f"backbone.vision_backbone.convs.{key.removeprefix(base + neck)}"] = value
    return _renamed(chosen, _VISION)


def points_head(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Prompt encoder, decoder and "no memory" row under SAM 2's official names."""
    if is_multiplex(state):
        renamed = {
            key.removeprefix(f"{MULTIPLEX}interactive_"): value
            for key, value in state.items()
            if key.startswith((f"{MULTIPLEX}interactive_sam_",))
        }
        no_memory = state.get(f"{MULTIPLEX}interactivity_no_mem_embed")
        if no_memory is not None:
            renamed["no_mem_embed"] = no_memory
    else:
        renamed = {
            key.removeprefix("tracker."): value
            for key, value in state.items()
            if key.startswith("tracker.")
        }
    return {key: value for key, value in renamed.items() if not key.startswith(VIDEO)}


def detector(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The detector of words under the names of transformers' ``Sam3Model``.

    Raises:
        CheckpointError: A tensor has no place.
    """
    unused = (
        *UNUSED,
        "backbone.vision_backbone.sam2_convs.",
        "backbone.vision_backbone.interactive_convs.",
    )
    chosen = {
        short: value
        for key, value in state.items()
        if key.startswith("detector.")
        and not (short := key.removeprefix("detector.")).startswith(unused)
    }
    text = _LIGHT_TEXT if STUDENT_TEXT in state else _TEXT
    return _renamed(chosen, (*_VISION, *text, *_DETR))


def _renamed(state: Mapping[str, Tensor], rules: Rules) -> dict[str, Tensor]:
    out: dict[str, Tensor] = {}
    for key, value in state.items():
        if key.endswith((".freqs_cis", ".freqs_cis_real", ".freqs_cis_imag")):
            continue  # rotations: computed anew, see :func:`rotations`
        if key.startswith(_STUDENT):
            out[student_name(key)] = value
            continue
        name = key
        for pattern, replacement in rules:
            name = re.sub(pattern, replacement, name)
        name = _NUMBERED.sub(lambda m: f"{m[1]}.layer{int(m[2]) + 1}.", name)
        out.update(_cut(name, value))
    return out


_STUDENT = STUDENT.removeprefix("detector.")


def student_name(key: str) -> str:
    """Our name of a tensor of a light encoder, from its name without ``detector.``."""
    name = key.removeprefix(_STUDENT).removeprefix("student_trunk.").replace(".op_list.", ".")
    return f"vision_encoder.backbone.{name.replace('backbone.model.', 'backbone.', 1)}"


def _cut(name: str, value: Tensor) -> dict[str, Tensor]:
    """One tensor of the official file as those of transformers."""
    if name.endswith(".position_embeddings"):
        return {name: value[:, 1:]}  # without the row of the class token
    if name in ("text_encoder.text_projection.weight", "text_encoder.projection.weight"):
        return {name: value.T.contiguous()}
    for fused in (".qkv.", ".in_proj_"):
        if fused in name:
            if len(value) % 3:
                raise CheckpointError(
                    f"The weights look like SAM 3, but {name} has {len(value)} rows, which are "
                    "not those of a query, a key and a value: the file is damaged."
                )
            base, leaf = name.rsplit(fused, 1)
            parts = zip("qkv", value.chunk(3), strict=True)
            return {f"{base}.{part}_proj.{leaf}": rows for part, rows in parts}
    return {name: value}
