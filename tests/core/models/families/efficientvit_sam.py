# SPDX-License-Identifier: GPL-2.0-or-later
"""EfficientViT-SAM: a tiny network, and comparisons with the official code."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from samgeo_core.models.families.efficientvit_sam import EfficientVitSam
from samgeo_core.models.nn.efficient_vit import EncoderSize, Stage

from ...parity.cases import Case, TestedFamily
from ...parity.official import evit_sam_like, module, segment_anything

NAMES = ((r"(stages\.\d+|_ops\.\d+|neck\.middle)\.(\d+)\.", r"\1.op_list.\2."),)

TINY = EncoderSize(
    "custom",
    (
        Stage(8, 1, "residual", 1),
        Stage(16, 1, "fused", 2, fused_first=True),
        Stage(32, 0, "fused", 2, fused_first=True),
        Stage(32, 1, "inverted", 2, few_norms=True),
        Stage(32, 1, "attention", 2, few_norms=True, scale=3),
        Stage(64, 1, "attention", 2, few_norms=True),
    ),
    neck_depth=1,
    neck_expansion=1,
    neck_width=32,
)

XL_SHORT = "efficientvit_sam_xl_short"


def tiny() -> EfficientVitSam:
    return EfficientVitSam(TINY, 128)


def official(root: Path, case: Case) -> tuple[Any, Any]:
    segment_anything(root, "segment-anything")
    sys.path.insert(0, str(root / "efficientvit"))
    for part in ("nn.drop", "efficientvit.cls", "efficientvit.dc_ae", "efficientvit.seg"):
        module(f"efficientvit.models.{part}")  # of training and of other tasks
    sam = importlib.import_module("efficientvit.models.efficientvit.sam")
    norm = importlib.import_module("efficientvit.models.nn.norm")
    if case.name == XL_SHORT:
        model = _short_extra_large(sam, case.encoder_size)
    else:
        model = sam.efficientvit_sam_l0()
    norm.set_norm_eps(model, 1e-6)  # as create_efficientvit_sam_model does
    return model, evit_sam_like


def _short_extra_large(sam: Any, side: int) -> Any:
    """XL0 with one block a stage and a neck of one, for a smaller square than the published."""
    backbone = sam.EfficientViTLargeBackbone(
        width_list=[32, 64, 128, 256, 512, 1024],
        depth_list=[1, 1, 1, 1, 1, 1],
        block_list=["res", "fmb", "fmb", "fmb", "att@3", "att@3"],
        expand_list=[1, 4, 4, 4, 4, 6],
        fewer_norm_list=[False, False, False, False, True, True],
    )
    neck = sam.SamNeck(["stage5", "stage4", "stage3"], [1024, 512, 256], 256, 1, 4, "fmb")
    grid = side // 16
    for layer in neck.modules():
        if isinstance(layer, sam.UpSampleLayer):
            layer.size = [grid, grid]
    encoder = sam.EfficientViTSamImageEncoder(backbone, neck)
    model = sam.build_efficientvit_sam(encoder, side)
    model.prompt_encoder = sam.PromptEncoder(256, (grid, grid), (side, side), 16)
    model.image_size = (side, side)
    return model


CASES = (
    Case(
        "efficientvit_sam_l0",
        "efficientvit_sam",
        "l0",
        512,
        (512, 512),
        kinds=("both", "mask"),
        mask_stride=2,
    ),
    Case(XL_SHORT, "efficientvit_sam", "custom", 256, (192, 256)),
)
FAMILY = TestedFamily("efficientvit_sam", tiny, NAMES, CASES, official)
