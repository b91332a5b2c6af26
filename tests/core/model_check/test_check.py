# SPDX-License-Identifier: GPL-2.0-or-later
"""A working model passes, random weights and a model that sees other colours do not."""

from __future__ import annotations

import json

import numpy as np
import pytest
import samgeo_core
import torch
from click.testing import CliRunner
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from samgeo_core.cli.commands import main
from samgeo_core.errors import Cancelled, ModelError
from samgeo_core.model_check.check import check_prompts, check_words
from samgeo_core.model_check.scene import read_scene
from samgeo_core.models.base import Concept, ModelInfo
from samgeo_core.models.catalogue import EMBEDDED_WEIGHTS
from samgeo_core.models.embedded.load import load_embedded

from .. import tiny_models


@pytest.fixture(scope="module")
def scene():
    return read_scene()


def test_the_scene_holds_houses_with_their_boxes_and_a_place_in_each(scene):
    assert scene.pixels.shape == (512, 512, 3)
    assert len(scene.masks) == len(scene.boxes) == len(scene.points) == 27
    for mask, box, (row, col) in zip(scene.masks, scene.boxes, scene.points, strict=True):
        rows, cols = np.nonzero(mask)
        outline = (rows.min(), cols.min(), rows.max() + 1, cols.max() + 1)
        np.testing.assert_allclose(box, outline, atol=1)
        assert mask[int(row), int(col)]


def test_the_embedded_model_passes_every_property():
    found = samgeo_core.check_model("embedded", "cpu")
    assert [one.name for one in found.properties] == [
        "finite", "boxes", "scores", "clicks", "automatic",
    ]  # fmt: skip
    assert found.passed
    assert all(one.value > 0.9 for one in found.properties)
    assert {"load", "encode", "boxes", "clicks", "automatic"} == set(found.seconds)
    found.raise_if_failed()


@pytest.mark.parametrize("family", ["sam", "sam2", "efficient_sam"])
def test_random_weights_of_each_family_fail_boxes_clicks_and_search(family, scene):
    found = {one.name: one for one in check_prompts(tiny_models.model(family), scene)}
    assert found["finite"].holds
    for name in ("boxes", "clicks", "automatic"):
        assert not found[name].holds, (name, found[name].value)


def test_the_embedded_model_with_random_weights_fails_and_the_command_says_so(tmp_path):
    with safe_open(str(EMBEDDED_WEIGHTS), framework="pt") as file:
        notes = file.metadata()
    torch.manual_seed(0)
    state = {
        key: torch.randn_like(value) * value.std() if value.numel() > 1 else value
        for key, value in load_file(EMBEDDED_WEIGHTS).items()
    }
    path = tmp_path / "random.safetensors"
    save_file(state, path, {**notes, "family": "embedded"})
    answer = CliRunner().invoke(main, ["models", "check", str(path), "--device", "cpu", "--json"])
    assert answer.exit_code == 5, answer.output
    values = json.loads(answer.stdout.splitlines()[0])
    assert values["passed"] is False
    held = {one["name"]: one["holds"] for one in values["properties"]}
    assert not held["boxes"]
    assert not held["clicks"]


def test_a_model_whose_prompts_were_swapped_fails(scene):
    """Every tensor has its place and masks are fine, but rows and columns are not."""

    class Swapped:
        def __init__(self, model):
            self.model, self.info = model, model.info

        def encode(self, images):
            return self.model.encode(images)

        def decode(self, embedding, prompts, **options):
            boxes, points = prompts.boxes, prompts.points
            turned = type(prompts)(
                None if points is None else points[..., ::-1].copy(),
                prompts.labels,
                None if boxes is None else boxes[:, [1, 0, 3, 2]].copy(),
            )
            return self.model.decode(embedding, turned, **options)

    found = {one.name: one for one in check_prompts(Swapped(load_embedded("cpu")), scene)}
    assert not found["boxes"].holds
    assert not found["clicks"].holds
    assert found["finite"].holds


def test_words_are_judged_by_the_boxes_that_they_find(scene):
    class Finder:
        info = ModelInfo("finder", "owlv2", "x", 512, 0, frozenset({"text"}), score_threshold=0.2)

        def __init__(self, boxes):
            self.boxes = np.asarray(boxes, np.float32)

        def find(self, image, word, *, min_score):
            assert (word, min_score) == ("house", 0.2)
            return Concept(None, self.boxes, np.full(len(self.boxes), 0.9, np.float32))

    def share(boxes):
        return {one.name: one for one in check_words(Finder(boxes), scene)}["words"]

    assert share(scene.boxes).value == 1.0
    assert share(scene.boxes + 3).holds
    assert not share(scene.boxes + 60).holds
    assert not share(np.zeros((0, 4))).holds


def test_a_check_can_be_stopped():
    def stop():
        raise Cancelled("The check was stopped.")

    with pytest.raises(Cancelled):
        samgeo_core.check_model("embedded", "cpu", stop=stop)


def test_the_error_names_what_does_not_hold(scene):
    found = samgeo_core.ModelCheck(
        "mine", "sam", "cpu", tuple(check_prompts(tiny_models.model("sam"), scene))
    )
    assert not found.passed
    with pytest.raises(ModelError, match=r"mine does not work as it should \(mean IoU, boxes: 0\."):
        found.raise_if_failed()
