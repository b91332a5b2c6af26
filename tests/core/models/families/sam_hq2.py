# SPDX-License-Identifier: GPL-2.0-or-later
"""SAM-HQ 2: a tiny network, and a comparison with the official code."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from samgeo_core.models.families.sam_hq2 import SamHq2
from samgeo_core.models.nn.hiera import SIZES, Encoder

from ...parity.cases import Case, TestedFamily
from ...parity.official import forget, made, sam2_config, sam2_like
from .sam2 import NAMES


def tiny() -> SamHq2:
    return SamHq2(Encoder(SIZES[0], (7, 7)), 128)


def official(root: Path, case: Case) -> tuple[Any, Any]:
    forget("sam2")  # SAM 2's repository has a package of this name, too
    sys.path.insert(0, str(root / "sam-hq" / "sam-hq2"))
    return made(sam2_config(root, case.name, case.encoder_size)), sam2_like


CASES = (Case("sam2.1_hq_hiera_tiny", "sam_hq2", "hiera_tiny", 256, (256, 256)),)
FAMILY = TestedFamily("sam_hq2", tiny, NAMES, CASES, official)
