# SPDX-License-Identifier: GPL-2.0-or-later
"""EfficientSAM3 from its own files: what the official code answered on random weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from samgeo_core.errors import CheckpointError, ModelError
from samgeo_core.models import words
from samgeo_core.models.families.recognise import recognise
from samgeo_core.models.families.sam3 import light
from samgeo_core.models.families.sam3.official import load_official, load_official_words
from samgeo_core.models.load import abilities, details, load_model
from samgeo_core.models.weights import checkpoints
from samgeo_core.testing.random_weights import weights

from ..parity.cases import HERE

pytest.importorskip("transformers")

SIDE = 112
TRUNKS = ("efficientvit", "repvit", "tinyvit")
IMAGE = np.random.RandomState(7).randint(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
LOCATED = checkpoints.Located("mine", Path("mine.pt"), sha256="0")


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Of the published models the side of the square is known, of these it must be said."""
    monkeypatch.setattr(light, "SIDE", SIDE)


@pytest.fixture(scope="module")
def official() -> dict[str, np.ndarray]:
    with np.load(HERE / "efficientsam3.npz") as file:
        return dict(file)


def state_of(official: dict[str, np.ndarray], trunk: str) -> dict[str, torch.Tensor]:
    return weights(json.loads(str(official[f"{trunk}.shapes"])), 3)


@pytest.fixture(scope="module")
def tracker() -> dict[str, torch.Tensor]:
    """The decoder for points, which is SAM 3's."""
    with np.load(HERE / "sam3_official.npz") as file:
        shapes = json.loads(str(file["sam3.shapes"]))
    return weights({key: shape for key, shape in shapes.items() if key.startswith("tracker.")}, 3)


class Tokens:
    """The tokens that the official code was given, with CLIP's padding."""

    def __call__(self, text, **options):
        ids = torch.tensor([[1, 5, 6, 9, 49, 49, 49, 49]])
        return {"input_ids": ids, "attention_mask": (ids != 49).long()}


@pytest.mark.parametrize("trunk", TRUNKS)
def test_words_and_exemplars_are_answered_as_the_official_code_does(official, trunk):
    model = load_official_words(state_of(official, trunk), trunk)
    finder = words.LightTextSam3(model, Tokens(), name=trunk, fingerprint="f")
    assert (finder.info.input_size, finder.info.mask_size) == (SIDE, 32)
    for kind in ("word", "exemplar"):
        if f"{trunk}.{kind}.scores" not in official:
            continue
        if kind == "word":
            found = finder.find(IMAGE, "x", min_score=-1.0)
        else:
            box = np.array([[0.275, 0.35, 0.525, 0.65]], np.float32) * SIDE
            found = finder.find_like(IMAGE, box, min_score=-1.0)
        expected = {name: official[f"{trunk}.{kind}.{name}"] for name in ("scores", "boxes")}
        masks = official[f"{trunk}.{kind}.masks"]
        corners = np.clip(expected["boxes"], 0, 1)[:, [1, 0, 3, 2]] * SIDE
        assert masks.std() > 1
        assert np.abs(found.scores - expected["scores"]).max() < 1e-4
        assert np.abs(found.boxes - corners).max() < 1e-2
        assert np.abs(found.logits[:, ::5, ::5] - masks).max() < 1e-3


@pytest.mark.parametrize("trunk", TRUNKS)
def test_the_features_for_points_are_the_official_ones(official, tracker, trunk):
    model = load_official({**state_of(official, trunk), **tracker}, LOCATED, "cpu", None, "auto")
    assert (model.info.family, model.info.input_size, model.info.mask_size) == ("sam3", SIDE, 32)
    (embedding,) = model.encode([IMAGE])
    image = embedding.arrays["image"] - tracker["tracker.no_mem_embed"].numpy().reshape(-1, 1, 1)
    expected = official[f"{trunk}.points"]
    assert expected.std() > 0.1
    assert np.abs(image[::16] - expected).max() < 1e-4


def test_a_file_is_recognised_and_says_what_it_can_do(official, tracker, monkeypatch, tmp_path):
    monkeypatch.setenv(checkpoints.FOLDER_VARIABLE, str(tmp_path))
    state = state_of(official, "tinyvit")
    path = tmp_path / "efficientsam3_tinyvit.pt"
    torch.save({"model": state}, path)
    known = details(path).recognised
    assert known is not None
    assert (known.family, known.variant) == ("sam3", "EfficientSAM3")
    with pytest.raises(ModelError, match="no decoder for points and boxes"):
        load_model(path, "cpu")
    (tmp_path / "vocab.json").write_text("{}", "utf-8")
    assert abilities(path) == {"words"}
    torch.save({"model": {**state, **tracker}}, path)
    assert abilities(path) == {"words", "prompts"}
    assert load_model(path, "cpu").info.family == "sam3"


@pytest.mark.parametrize(
    "lost",
    [
        "trunk.model.head.0.weight",
        "trunk.model.backbone.model.features.3.token_mixer.0.c.weight",
        "trunk.model.backbone.model.features.1.token_mixer.0.bn.running_var",
        "convs.1.conv_3x3.weight",
    ],
)
def test_an_encoder_without_one_of_its_tensors_is_refused(official, lost):
    state = state_of(official, "repvit")
    del state[f"detector.backbone.vision_backbone.{lost}"]
    with pytest.raises(CheckpointError, match=r"lacks|missing|unknown|none that this version"):
        load_official_words(state, "x")


@pytest.mark.parametrize(
    "lost",
    ["projector.bias", "encoder.transformer.0.layer_scale", "encoder.projection_layer"],
)
def test_a_text_encoder_without_one_of_its_tensors_is_refused(official, lost):
    state = state_of(official, "repvit")
    del state[f"detector.backbone.language_backbone.{lost}"]
    with pytest.raises(CheckpointError, match=r"lacks|incomplete"):
        load_official_words(state, "x")


def test_names_of_a_training_wrapper_are_left_out(official):
    state = state_of(official, "efficientvit")
    wrapped = {k.replace("trunk.model.", "trunk.model.student_trunk."): v for k, v in state.items()}
    assert recognise({k: v.shape for k, v in wrapped.items()}).variant == "EfficientSAM3"
    load_official_words(wrapped, "x")
