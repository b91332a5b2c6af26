# SPDX-License-Identifier: GPL-2.0-or-later
"""Small models with random weights, one a family, for tests of what is around the numbers."""

from __future__ import annotations

import re
from functools import lru_cache

import torch
from samgeo_core.models.families import recognise as families
from samgeo_core.models.families.edge_tam import EdgeTam
from samgeo_core.models.families.efficient_sam import EfficientSam, PlainViT
from samgeo_core.models.families.mobile_sam import MobileSam
from samgeo_core.models.families.sam import Sam
from samgeo_core.models.families.sam2 import Sam2
from samgeo_core.models.families.sam_hq import SamHq
from samgeo_core.models.image import Preprocessing
from samgeo_core.models.network import Network
from samgeo_core.models.nn import rep_vit
from samgeo_core.models.nn.hiera import SIZES, Encoder
from samgeo_core.models.nn.tiny_vit import TinyViT
from samgeo_core.models.nn.vit import ViT
from samgeo_core.models.promptable import TorchModel

from .parity.cases import weights

SIDE = 128
FAMILIES = ("sam", "sam_hq", "mobile_sam", "sam2", "edgetam", "efficient_sam")


def _network(family: str) -> Network:
    if family == "sam":
        return Sam(ViT(64, 2, 2, {1}, SIDE // 16), Preprocessing(SIDE))
    if family == "sam_hq":
        return SamHq(ViT(64, 2, 2, {1}, SIDE // 16), Preprocessing(SIDE), 64)
    if family == "mobile_sam":
        tiny = TinyViT((16, 32, 40, 80), (1, 1, 1, 1), (0, 2, 2, 4), (0, 7, 14, 7))
        return MobileSam(tiny, Preprocessing(SIDE))
    if family == "sam2":
        return Sam2(Encoder(SIZES[0], (7, 7)), SIDE)
    if family == "edgetam":
        return EdgeTam(rep_vit.Encoder((16, 24, 32, 48), (1, 1, 3, 1)), SIDE)
    return EfficientSam(PlainViT(64, 2), SIDE)


_SAM2 = (
    (r"^(prompt_encoder|mask_decoder)\.", r"sam_\1."),
    (r"\.mlp\.lin1\.", ".mlp.layers.0."),
    (r"\.mlp\.lin2\.", ".mlp.layers.1."),
)
_OFFICIAL = {
    "sam2": _SAM2,
    "edgetam": _SAM2,
    "efficient_sam": (
        (r"\.output_upscaling\.([01])\.", r".final_output_upscaling_layers.0.\1."),
        (r"\.output_upscaling\.3\.", ".final_output_upscaling_layers.1.0."),
        (r"\.mlp\.lin1\.", ".mlp.layers.0.0."),
        (r"\.mlp\.lin2\.", ".mlp.fc."),
        (r"(_mlps\.\d|_head)\.layers\.([01])\.", r"\1.layers.\2.0."),
        (r"(_mlps\.\d|_head)\.layers\.2\.", r"\1.fc."),
    ),
}


@lru_cache
def state(family: str, seed: int = 0) -> dict[str, torch.Tensor]:
    """Weights of a small model under the official names."""
    with torch.device("meta"):
        network = _network(family)
    shapes = {}
    for key, value in network.state_dict().items():
        for pattern, official in _OFFICIAL.get(family, ()):
            key = re.sub(pattern, official, key)
        shapes[key] = list(value.shape)
    return weights(shapes, seed)


@lru_cache
def model(family: str) -> TorchModel:
    return families.build(state(family), name=family, device="cpu", image_size=SIDE)
