# SPDX-License-Identifier: GPL-2.0-or-later
"""SAM-HQ: a tiny network, and comparisons with the official code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from samgeo_core.models.families.sam_hq import SamHq
from samgeo_core.models.image import Preprocessing
from samgeo_core.models.nn.vit import ViT

from ...parity.cases import Case, TestedFamily
from ...parity.official import sam_like, segment_anything, two_blocks


def tiny() -> SamHq:
    return SamHq(ViT(64, 2, 2, {1}, 8), Preprocessing(128), 64)


def official(root: Path, case: Case) -> tuple[Any, Any]:
    build = segment_anything(root, "sam-hq")
    if case.name == "sam_hq_vit_tiny":
        return build.build_sam_vit_t(), sam_like
    return two_blocks(case.name, case.encoder_size), sam_like


CASES = (
    Case("sam_hq_vit_b_2_blocks", "sam_hq", "custom", 512, (384, 512)),
    Case("sam_hq_vit_tiny", "sam_hq", "vit_t", kinds=("both", "mask")),
)
FAMILY = TestedFamily("sam_hq", tiny, (), CASES, official)
