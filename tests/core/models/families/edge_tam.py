# SPDX-License-Identifier: GPL-2.0-or-later
"""EdgeTAM: a tiny network, and a comparison with the official code."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from samgeo_core.models.families.edge_tam import EdgeTam
from samgeo_core.models.nn.rep_vit import Encoder

from ...parity.cases import SQUARE, Case, TestedFamily
from ...parity.official import sam2_like, sam2_model, with_timm
from . import sam2


def tiny() -> EdgeTam:
    return EdgeTam(Encoder((16, 24, 32, 48), (1, 1, 3, 1)), 128)


def official(root: Path, case: Case) -> tuple[Any, Any]:
    with_timm(root)
    sys.path.insert(0, str(root / "EdgeTAM"))
    return sam2_model(root, case.name, case.encoder_size), sam2_like


CASES = (Case("edgetam", "edgetam", "repvit_m1", image=SQUARE),)
FAMILY = TestedFamily("edgetam", tiny, sam2.NAMES, CASES, official)
