# SPDX-License-Identifier: GPL-2.0-or-later
"""SAM 3 and SAM 3.1 from their own files: what the official code answered on random weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from samgeo_core.errors import CheckpointError, ModelError
from samgeo_core.models import words
from samgeo_core.models.base import Prompts
from samgeo_core.models.families.recognise import recognise
from samgeo_core.models.families.sam3.official import load_official, load_official_words
from samgeo_core.models.load import abilities, details, has_memory, load_model, load_video_model
from samgeo_core.models.weights import checkpoints, sam3_names
from samgeo_core.testing.random_weights import weights

from ..parity.cases import HERE

pytest.importorskip("transformers")

SIDE = 112
VERSIONS = ("sam3", "sam3.1")
IMAGE = np.random.RandomState(7).randint(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
POINTS = np.array([[[30, 20], [50, 90]], [[100.25, 60.5], [12, 11]]], np.float32)[..., ::-1] + 0.5
LABELS = np.array([[1, 0], [1, 1]], np.int8)


@pytest.fixture(scope="module")
def official() -> dict[str, np.ndarray]:
    with np.load(HERE / "sam3_official.npz") as file:
        return dict(file)


def state_of(official: dict[str, np.ndarray], version: str) -> dict[str, torch.Tensor]:
    shapes = json.loads(str(official[f"{version}.shapes"]))
    rotations = json.loads(str(official[f"{version}.complex"]))
    made = weights({key: shape for key, shape in shapes.items() if key not in rotations}, 3)
    return {
        **made,
        **{key: torch.zeros(shapes[key], dtype=torch.complex64) for key in rotations},
    }


@pytest.fixture(scope="module")
def files(official, tmp_path_factory) -> dict[str, Path]:
    places = {}
    for version in VERSIONS:
        places[version] = tmp_path_factory.mktemp(version) / f"{version}_multiplex.pt"
        torch.save({"model": state_of(official, version)}, places[version])
    return places


@pytest.mark.parametrize("version", VERSIONS)
def test_points_are_answered_as_the_official_code_does(official, files, version):
    model = load_model(files[version], "cpu")
    assert (model.info.family, model.info.input_size, model.info.mask_size) == ("sam3", SIDE, 32)
    (embedding,) = model.encode([IMAGE])
    answer = model.decode(embedding, Prompts(POINTS, LABELS))
    expected = np.clip(official[f"{version}.points.logits"], -32, 32)
    assert expected.std() > 1
    assert np.abs(answer.logits[:, :, ::3, ::3] - expected).max() < 1e-4
    assert np.abs(answer.scores - official[f"{version}.points.scores"]).max() < 1e-4


class Tokens:
    """The words that the official code was given, whatever is asked."""

    def __call__(self, text, **options):
        ids = torch.tensor([[1, 5, 6, 9, 0, 0, 0, 0]])
        return {"input_ids": ids, "attention_mask": (ids != 0).long()}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", ["word", "exemplar"])
def test_words_and_exemplars_are_answered_as_the_official_code_does(official, version, kind):
    model = load_official_words(state_of(official, version), version)
    finder = words.Sam3(model, Tokens(), name=version, fingerprint="f")
    if kind == "word":
        found = finder.find(IMAGE, "x", min_score=-1.0)
    else:
        box = np.array([[0.275, 0.35, 0.525, 0.65]], np.float32) * SIDE
        found = finder.find_like(IMAGE, box, min_score=-1.0)
    expected = {name: official[f"{version}.{kind}.{name}"] for name in ("scores", "boxes", "masks")}
    corners = np.clip(expected["boxes"], 0, 1)[:, [1, 0, 3, 2]] * SIDE
    assert expected["masks"].std() > 1
    assert np.abs(found.scores - expected["scores"]).max() < 1e-4
    assert np.abs(found.boxes - corners).max() < 1e-2
    assert np.abs(found.logits[:, ::3, ::3] - expected["masks"]).max() < 1e-3


@pytest.mark.parametrize("version", VERSIONS)
def test_the_file_is_recognised_and_words_need_a_tokenizer(files, version, monkeypatch, tmp_path):
    monkeypatch.setenv(checkpoints.FOLDER_VARIABLE, str(tmp_path))
    known = details(files[version])
    assert known.recognised is not None
    assert known.recognised.family == "sam3"
    assert known.recognised.variant == ("3.1 multiplex" if version == "sam3.1" else "3")
    assert abilities(files[version]) == {"prompts"}
    with pytest.raises(ModelError, match=r"tokenizer for words: put vocab\.json"):
        words.load_concepts(files[version])
    (files[version].parent / "vocab.json").write_text("{}", "utf-8")
    assert abilities(files[version]) == {"prompts", "words"}
    (files[version].parent / "vocab.json").unlink()
    assert not has_memory(files[version])
    with pytest.raises(ModelError, match="SAM 3"):
        load_video_model(files[version], "cpu")


def from_tensors(state):
    located = checkpoints.Located("mine", Path("mine.pt"), sha256="0")
    return load_official(state, located, "cpu", None, "auto")


LOST = (
    "tracker.{model}{i}sam_mask_decoder.iou_token.weight",
    "tracker.{model}{i}sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix",
    "detector.backbone.vision_backbone.{neck}.1.conv_3x3.weight",
    "detector.backbone.vision_backbone.trunk.blocks.1.attn.qkv.bias",
    "tracker.{model}{none}no_mem_embed",
)


@pytest.mark.parametrize(
    ("version", "lost"), [*(("sam3.1", lost) for lost in LOST), ("sam3", LOST[0])]
)
def test_points_without_one_of_their_tensors_are_refused(official, version, lost):
    new = version == "sam3.1"
    key = lost.format(
        model="model." * new,
        i="interactive_" * new,
        none="interactivity_" * new,
        neck="interactive_convs" if new else "sam2_convs",
    )
    state = state_of(official, version)
    del state[key]
    with pytest.raises(CheckpointError, match="lacks"):
        from_tensors(state)


def test_a_renamed_point_head_is_refused_and_never_left_at_random(official):
    """SAM 3.1 renamed the head once: a file that renames it again must not load."""
    state = {
        key.replace(
            "interactive_sam_mask_decoder.conv_s0", "interactive_sam_mask_decoder.conv_a"
        ): v
        for key, v in state_of(official, "sam3.1").items()
    }
    with pytest.raises(CheckpointError, match=r"lacks 2 tensors of the decoder for points"):
        from_tensors(state)


def test_a_detector_with_a_tensor_too_few_or_too_many_is_refused(official):
    state = state_of(official, "sam3.1")
    extra = {**state, "detector.transformer.decoder.layers.0.norm9.weight": torch.ones(256)}
    with pytest.raises(CheckpointError, match="has unknown 1 tensors of the detector"):
        load_official_words(extra, "x")
    del state["detector.segmentation_head.cross_attend_prompt.in_proj_bias"]
    with pytest.raises(CheckpointError, match="lacks 3 tensors of the detector"):
        load_official_words(state, "x")


def test_numbers_that_are_not_finite_are_refused(official):
    state = state_of(official, "sam3.1")
    state["tracker.model.interactive_sam_mask_decoder.iou_token.weight"][0, 3] = float("nan")
    with pytest.raises(CheckpointError, match="not finite"):
        from_tensors(state)


def test_sam2_is_not_taken_for_sam3():
    assert not sam3_names.is_sam3({"image_encoder.trunk.pos_embed": 1, "sam_mask_decoder.x": 2})
    with pytest.raises(CheckpointError, match="sam3"):
        recognise({"nothing.known": (1,)})
