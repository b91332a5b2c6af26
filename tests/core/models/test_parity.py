# SPDX-License-Identifier: GPL-2.0-or-later
"""Our code gives what the official code gave for the same weights, image and prompts.

The official answers are in ``parity/`` (see its README.md); the weights are made anew, in the
official format and under the official names.
"""

from __future__ import annotations

import json
from functools import lru_cache

import numpy as np
import pytest
import torch
from samgeo_core.models.base import Prompts
from samgeo_core.models.families.recognise import build, recognise
from samgeo_core.models.promptable import TorchModel
from samgeo_core.testing.random_weights import weights

from ..parity.cases import HERE, Case, answers, image, prompts, sample
from .families import FAMILIES

CASES = [case for family in FAMILIES.values() for case in family.cases]
TOLERANCE = 1e-4


@lru_cache(maxsize=1)
def loaded(case: Case) -> tuple[TorchModel, dict[str, np.ndarray]]:
    with np.load(HERE / f"{case.name}.npz") as file:
        expected = dict(file)
    state = weights(json.loads(str(expected.pop("shapes"))))
    found = recognise({key: value.shape for key, value in state.items()})
    assert (found.family, found.variant, found.layout) == (case.family, case.variant, "official")
    return build(state, device="cpu", image_size=case.encoder_size), expected


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_embeddings_logits_and_scores_are_the_official_ones(case: Case) -> None:
    model, expected = loaded(case)
    (embedding,) = model.encode([image(case.image)])
    assert np.abs(sample(embedding.arrays["image"], 2000) - expected["embedding"]).max() < TOLERANCE
    for kind, multimask in answers():
        if kind not in case.kinds:
            continue
        out = model.decode(embedding, Prompts(**prompts(kind, case)), multimask=multimask)
        key = f"{kind}.{'multi' if multimask else 'single'}"
        logits, scores = expected[f"{key}.logits"], expected[f"{key}.scores"]
        assert logits.std() > 0.3, "a reference that is nearly constant proves nothing"
        assert out.scores.shape == scores.shape
        assert np.abs(sample(out.logits, 1000) - logits).max() < TOLERANCE, key
        assert np.abs(out.scores - scores).max() < TOLERANCE, key


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_tensor_of_the_official_file_has_its_place(case: Case) -> None:
    # On the meta device: names and shapes only. A missing, unknown or misshapen one raises.
    from samgeo_core.models.families import recognise as families

    with np.load(HERE / f"{case.name}.npz") as file:
        shapes = json.loads(str(file["shapes"]))
    state = {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}
    family = next(f for f in families.FAMILIES if f.name == case.family)
    with torch.device("meta"):
        network = family.make(shapes, case.encoder_size)
    families._load(network, state, family)
    used = [key for key in shapes if not key.startswith(family.ignored)]
    assert len(used) == len(network.state_dict())
    for key in shapes.keys() - set(used):
        assert not key.startswith(("image_encoder.blocks", "mask_decoder.transformer"))
