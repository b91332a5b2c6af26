# SPDX-License-Identifier: GPL-2.0-or-later
"""SAM 2 and 2.1: a tiny network, and comparisons with the official code."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from samgeo_core.models.families.sam2_network import Sam2
from samgeo_core.models.nn.hiera import SIZES, Encoder

from ...parity.cases import SQUARE, Case, TestedFamily
from ...parity.official import sam2_like, sam2_model

NAMES = (
    (r"^(prompt_encoder|mask_decoder)\.", r"sam_\1."),
    (r"\.mlp\.lin1\.", ".mlp.layers.0."),
    (r"\.mlp\.lin2\.", ".mlp.layers.1."),
)


def tiny() -> Sam2:
    return Sam2(Encoder(SIZES[0], (7, 7)), 128)


def official(root: Path, case: Case) -> tuple[Any, Any]:
    sys.path.insert(0, str(root / "sam2"))
    return sam2_model(root, case.name, case.encoder_size), sam2_like


CASES = (
    Case("sam2.1_hiera_tiny", "sam2", "hiera_tiny", image=SQUARE),
    Case("sam2_hiera_small", "sam2", "hiera_small", 256, (256, 256)),
    Case("sam2.1_hiera_base_plus", "sam2", "hiera_base_plus", 256, (256, 256)),
)
FAMILY = TestedFamily("sam2", tiny, NAMES, CASES, official)
