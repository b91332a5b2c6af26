# SPDX-License-Identifier: GPL-2.0-or-later
"""MobileSAM: a tiny network, and a comparison with the official code."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from samgeo_core.models.families.mobile_sam import MobileSam
from samgeo_core.models.image import Preprocessing
from samgeo_core.models.nn.tiny_vit import TinyViT

from ...parity.cases import Case, TestedFamily
from ...parity.official import sam_like


def tiny() -> MobileSam:
    encoder = TinyViT((16, 32, 40, 80), (1, 1, 1, 1), (0, 2, 2, 4), (0, 7, 14, 7))
    return MobileSam(encoder, Preprocessing(128))


def official(root: Path, _case: Case) -> tuple[Any, Any]:
    sys.path.insert(0, str(root / "MobileSAM"))
    return importlib.import_module("mobile_sam.build_sam").build_sam_vit_t(), sam_like


CASES = (Case("mobile_sam", "mobile_sam", "vit_t"),)
FAMILY = TestedFamily("mobile_sam", tiny, (), CASES, official)
