# SPDX-License-Identifier: GPL-2.0-or-later
"""Small models with random weights, one per family, for tests of what is around the numbers."""

from __future__ import annotations

import re
from functools import lru_cache

import torch
from samgeo_core.models.families import recognise as families
from samgeo_core.models.promptable import TorchModel
from samgeo_core.testing.random_weights import weights

from .models.families import FAMILIES as _TESTED

SIDE = 128
FAMILIES = tuple(_TESTED)


@lru_cache
def state(family: str, seed: int = 0) -> dict[str, torch.Tensor]:
    """Weights of a small model under the official names."""
    tested = _TESTED[family]
    with torch.device("meta"):
        network = tested.tiny()
    shapes = {}
    for key, value in network.state_dict().items():
        for pattern, official in tested.official_names:
            key = re.sub(pattern, official, key)
        shapes[key] = list(value.shape)
    return weights(shapes, seed)


@lru_cache
def model(family: str) -> TorchModel:
    return families.build(state(family), name=family, device="cpu", image_size=SIDE)
