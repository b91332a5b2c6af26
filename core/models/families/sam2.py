# SPDX-License-Identifier: GPL-2.0-or-later
"""The family of SAM 2 and 2.1: how its checkpoints are recognised, built and renamed."""

from __future__ import annotations

import re

from ..network import Network
from ..nn import hiera
from ..nn.hiera import HieraSize
from .family import Family, Shapes, count
from .memory.sam2_video import Sam2Video, video_parts
from .sam2_network import Sam2

TRUNK = "image_encoder.trunk."


def _hiera_size(shapes: Shapes) -> HieraSize:
    dim = shapes[f"{TRUNK}pos_embed"][1]
    depth = count(shapes, f"{TRUNK}blocks.")
    for size in hiera.SIZES:
        if size.dim == dim and sum(size.stages) == depth:
            return size
    raise ValueError(f"no SAM 2 has {depth} blocks and a width of {dim}")


def hiera_variant(shapes: Shapes) -> str:
    try:
        return _hiera_size(shapes).name
    except ValueError:
        return "custom"


def hiera_encoder(shapes: Shapes) -> hiera.Encoder:
    """The image encoder for a checkpoint's shapes."""
    return hiera.Encoder(_hiera_size(shapes), shapes[f"{TRUNK}pos_embed"][2:])


def _make_sam2(shapes: Shapes, size: int | None) -> Network:
    return Sam2(hiera_encoder(shapes), size or 1024)


def _make_video(shapes: Shapes, size: int | None) -> Network:
    return Sam2Video(hiera_encoder(shapes), size or 1024, **video_parts(shapes))


def sam2_name(key: str) -> str:
    """Our name of a tensor of SAM 2."""
    key = key.removeprefix("sam_")
    key = key.replace("mask_decoder.pred_obj_score_head.", "presence_head.")
    return re.sub(r"\.mlp\.layers\.([01])\.", lambda m: f".mlp.lin{int(m[1]) + 1}.", key)


SAM2_VIDEO = (
    "memory_attention.",
    "memory_encoder.",
    "maskmem_tpos_enc",
    "no_mem_pos_enc",
    "no_obj_ptr",
    "no_obj_embed_spatial",
    "mask_downsample.",
    "obj_ptr_proj.",
    "obj_ptr_tpos_proj.",
    "sam_mask_decoder.pred_obj_score_head.",
)
"""Tensors of SAM 2 that only tracking through video uses."""


FAMILY = Family(
    "sam2",
    (f"{TRUNK}pos_embed_window", "sam_mask_decoder."),
    hiera_variant,
    _make_sam2,
    ignored=SAM2_VIDEO,
    rename=sam2_name,
    make_video=_make_video,
)
