# SPDX-License-Identifier: GPL-2.0-or-later
"""EdgeTAM (Zhou et al. 2025): SAM 2 with a light encoder and a shorter memory."""

from __future__ import annotations

from ..network import Network
from ..nn import rep_vit
from .family import Family, Shapes, count
from .memory.sam2_video import Sam2Video, video_parts
from .sam2 import SAM2_VIDEO, TRUNK, sam2_name
from .sam2_network import Sam2


class EdgeTam(Sam2):
    """SAM 2 whose image encoder is a :class:`~.rep_vit.Encoder`, for single images."""

    family = "edgetam"


class EdgeTamVideo(Sam2Video):
    """The same with its memory, see :class:`~samgeo_core.models.nn.perceiver.SpatialPerceiver`."""

    family = "edgetam"


def _encoder(shapes: Shapes) -> rep_vit.Encoder:
    stages = [f"{TRUNK}body.stages_{number}.blocks." for number in range(len(rep_vit.DIMS))]
    dims = [shapes[f"{stage}0.token_mixer.conv.c.weight"][0] for stage in stages]
    return rep_vit.Encoder(dims, [count(shapes, stage) for stage in stages])


def _make_edgetam(shapes: Shapes, size: int | None) -> Network:
    return EdgeTam(_encoder(shapes), size or 1024)


def _make_video(shapes: Shapes, size: int | None) -> Network:
    return EdgeTamVideo(_encoder(shapes), size or 1024, **video_parts(shapes))


EDGETAM_VIDEO = (*SAM2_VIDEO, "spatial_perceiver.")
"""The same for EdgeTAM."""


FAMILY = Family(
    "edgetam",
    (f"{TRUNK}body.stages_0.blocks.0.token_mixer.", "sam_mask_decoder."),
    lambda _: "repvit_m1",
    _make_edgetam,
    ignored=EDGETAM_VIDEO,
    rename=sam2_name,
    make_video=_make_video,
)
