# SPDX-License-Identifier: GPL-2.0-or-later
"""EdgeTAM (Zhou et al. 2025): SAM 2 with a light encoder and a shorter memory."""

from __future__ import annotations

from .sam2 import Sam2
from .sam2_video import Sam2Video


class EdgeTam(Sam2):
    """SAM 2 whose image encoder is a :class:`~.rep_vit.Encoder`, for single images."""

    family = "edgetam"


class EdgeTamVideo(Sam2Video):
    """The same with its memory, see :class:`~.nn.perceiver.SpatialPerceiver`."""

    family = "edgetam"
