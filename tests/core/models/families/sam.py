# SPDX-License-Identifier: GPL-2.0-or-later
"""SAM: a tiny network, and comparisons with the official code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from samgeo_core.models.families.sam import Sam
from samgeo_core.models.image import Preprocessing
from samgeo_core.models.nn.vit import ViT

from ...parity.cases import Case, TestedFamily
from ...parity.official import sam_like, segment_anything, two_blocks


def tiny() -> Sam:
    return Sam(ViT(64, 2, 2, {1}, 8), Preprocessing(128))


def official(root: Path, case: Case) -> tuple[Any, Any]:
    build = segment_anything(root, "segment-anything")
    if case.name == "sam_vit_b":
        return build.build_sam_vit_b(), sam_like
    return two_blocks(case.name, case.encoder_size), sam_like


CASES = (
    Case("sam_vit_b", "sam", "vit_b"),
    Case("sam_vit_l_2_blocks", "sam", "custom", 512, (384, 512)),
    Case("sam_vit_h_2_blocks", "sam", "custom", 512, (512, 384)),
)
FAMILY = TestedFamily("sam", tiny, (), CASES, official)
