# SPDX-License-Identifier: GPL-2.0-or-later
"""EdgeTAM (Zhou et al. 2025) for single images: SAM 2 with a light encoder."""

from __future__ import annotations

from ..network import Network
from ..nn import rep_vit
from .family import Family, Shapes, count
from .sam2 import SAM2_VIDEO, TRUNK, Sam2, sam2_name


class EdgeTam(Sam2):
    """SAM 2 whose image encoder is a :class:`~.rep_vit.Encoder`."""

    family = "edgetam"


def _make_edgetam(shapes: Shapes, size: int | None) -> Network:
    stages = [f"{TRUNK}body.stages_{number}.blocks." for number in range(len(rep_vit.DIMS))]
    dims = [shapes[f"{stage}0.token_mixer.conv.c.weight"][0] for stage in stages]
    return EdgeTam(rep_vit.Encoder(dims, [count(shapes, stage) for stage in stages]), size or 1024)


EDGETAM_VIDEO = (*SAM2_VIDEO, "spatial_perceiver.")
"""The same for EdgeTAM."""


FAMILY = Family(
    "edgetam",
    (f"{TRUNK}body.stages_0.blocks.0.token_mixer.", "sam_mask_decoder."),
    lambda _: "repvit_m1",
    _make_edgetam,
    ignored=EDGETAM_VIDEO,
    rename=sam2_name,
)
