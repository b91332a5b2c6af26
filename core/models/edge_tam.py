# SPDX-License-Identifier: GPL-2.0-or-later
"""EdgeTAM (Zhou et al. 2025) for single images: SAM 2 with a light encoder."""

from __future__ import annotations

from .sam2 import Sam2


class EdgeTam(Sam2):
    """SAM 2 whose image encoder is a :class:`~.rep_vit.Encoder`."""

    family = "edgetam"
