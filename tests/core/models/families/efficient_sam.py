# SPDX-License-Identifier: GPL-2.0-or-later
"""EfficientSAM: a tiny network, and a comparison with the official code."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from samgeo_core.models.families.efficient_sam import EfficientSam, PlainViT

from ...parity.cases import SQUARE, Case, TestedFamily
from ...parity.official import efficient_like

NAMES = (
    (r"\.output_upscaling\.([01])\.", r".final_output_upscaling_layers.0.\1."),
    (r"\.output_upscaling\.3\.", ".final_output_upscaling_layers.1.0."),
    (r"\.mlp\.lin1\.", ".mlp.layers.0.0."),
    (r"\.mlp\.lin2\.", ".mlp.fc."),
    (r"(_mlps\.\d|_head)\.layers\.([01])\.", r"\1.layers.\2.0."),
    (r"(_mlps\.\d|_head)\.layers\.2\.", r"\1.fc."),
)


def tiny() -> EfficientSam:
    return EfficientSam(PlainViT(64, 2), 128)


def official(root: Path, _case: Case) -> tuple[Any, Any]:
    sys.path.insert(0, str(root / "EfficientSAM"))
    build = importlib.import_module("efficient_sam.efficient_sam").build_efficient_sam
    return build(192, 3), efficient_like


CASES = (
    Case(
        "efficient_sam_vitt",
        "efficient_sam",
        "vit_ti",
        image=SQUARE,
        kinds=("points", "boxes", "both"),
        background_points=False,
    ),
)
FAMILY = TestedFamily("efficient_sam", tiny, NAMES, CASES, official)
