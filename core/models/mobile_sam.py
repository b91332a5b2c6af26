# SPDX-License-Identifier: GPL-2.0-or-later
"""MobileSAM (Zhang et al. 2023): SAM with a TinyViT of 5 million parameters as encoder."""

from __future__ import annotations

from .sam import Sam


class MobileSam(Sam):
    """As SAM but for the encoder."""

    family = "mobile_sam"
