# SPDX-License-Identifier: GPL-2.0-or-later
"""SAM 3 with points, boxes and masks: a small random model against transformers' own."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from safetensors.torch import load_file, save_file
from samgeo_core.errors import CheckpointError, ModelError, PromptError
from samgeo_core.models.base import PromptableModel, Prompts
from samgeo_core.models.load import load_model
from samgeo_core.segmenters.automatic import AutomaticOptions, AutomaticSegmenter
from samgeo_core.segmenters.segmenter import TileImage
from samgeo_core.testing.random_weights import weights
from samgeo_core.tiles.grid import Tile
from samgeo_core.types import PixelBox, TileIndex

transformers = pytest.importorskip("transformers")

SIDE, PATCH = 112, 14
CELLS = 4 * SIDE // PATCH
WHERE = np.array([[[20.0, 30.0], [90.0, 50.0]], [[60.5, 100.25], [11.0, 12.0]]], np.float32)
LABELS = np.array([[1, 0], [1, 1]], np.int8)
BOXES = np.array([[10, 20, 70, 90], [5.5, 6, 111, 60]], np.float32)
IMAGE = np.random.RandomState(7).randint(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)


def network(scales: tuple[float, ...]) -> torch.nn.Module:
    """A small random one; the published one has the four scales (4, 2, 1, 0.5)."""
    from transformers.models.sam3_tracker.configuration_sam3_tracker import Sam3TrackerConfig
    from transformers.models.sam3_tracker.modeling_sam3_tracker import Sam3TrackerModel

    grid = SIDE // PATCH
    config = Sam3TrackerConfig(
        vision_config={
            "model_type": "sam3_vision_model",
            "scale_factors": list(scales),
            "backbone_feature_sizes": [[4 * grid] * 2, [2 * grid] * 2, [grid] * 2],
            "backbone_config": {
                "model_type": "sam3_vit_model",
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "image_size": SIDE,
                "pretrain_image_size": 56,
                "window_size": 4,
                "global_attn_indexes": [1],
            },
        },
        prompt_encoder_config={"image_size": SIDE, "patch_size": PATCH},
    )
    made = Sam3TrackerModel(config)
    tensors = weights({key: value.shape for key, value in made.state_dict().items()})
    # The hub keeps the frequencies twice, and buffers must stay what they are.
    tensors["shared_image_embedding.positional_embedding"] = tensors[
        "prompt_encoder.shared_embedding.positional_embedding"
    ]
    learned = {name for name, _ in made.named_parameters()} | {
        key for key in tensors if key.endswith("positional_embedding")
    }
    made.load_state_dict(
        {key: value for key, value in tensors.items() if key in learned}, strict=False
    )
    return made.eval()


@pytest.fixture(scope="module")
def theirs() -> torch.nn.Module:
    return network((4.0, 2.0, 1.0))


@pytest.fixture(scope="module")
def folder(theirs: torch.nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("sam3_tracker")
    theirs.save_pretrained(place)
    return place


@pytest.fixture(scope="module")
def ours(folder: Path) -> PromptableModel:
    return load_model(folder, "cpu")


def asked(theirs: torch.nn.Module, **prompts: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    pixels = (torch.from_numpy(IMAGE).permute(2, 0, 1)[None].float() - 127.5) / 127.5
    with torch.inference_mode():
        embedded = theirs.get_image_embeddings(pixels)
        if "input_masks" in prompts:  # theirs takes one mask an image, not one a prompt
            embedded = [level.expand(2, -1, -1, -1) for level in embedded]
        out = theirs(image_embeddings=embedded, multimask_output=True, **prompts)
    shape = (-1, 3, CELLS, CELLS)
    return out.pred_masks.reshape(shape).numpy(), out.iou_scores.reshape(-1, 3).numpy()


def xy(positions: np.ndarray) -> torch.Tensor:
    """(row, column) from the corner as (x, y) in the official indices."""
    return torch.from_numpy(positions[..., ::-1].copy()) - 0.5


def test_it_is_a_promptable_model_and_says_what_it_is(ours: PromptableModel) -> None:
    assert isinstance(ours, PromptableModel)
    assert (ours.info.family, ours.info.input_size, ours.info.mask_size) == ("sam3", SIDE, CELLS)
    assert ours.info.accepts == {"point", "box", "mask"}


@pytest.mark.parametrize("kind", ["points", "boxes", "points and mask"])
def test_it_answers_as_transformers_does(
    theirs: torch.nn.Module, ours: PromptableModel, kind: str
) -> None:
    points, labels = xy(WHERE), torch.from_numpy(LABELS.astype(np.int64))
    mask = np.random.RandomState(3).normal(0, 4, (2, CELLS, CELLS)).astype(np.float32)
    if kind == "points":
        prompts = Prompts(points=WHERE, labels=LABELS)
        expected = asked(theirs, input_points=points[None], input_labels=labels[None])
    elif kind == "boxes":
        prompts = Prompts(boxes=BOXES)
        corners = xy(BOXES.reshape(-1, 2, 2)).reshape(1, -1, 4)
        expected = asked(theirs, input_boxes=corners)
    else:
        prompts = Prompts(points=WHERE, labels=LABELS, masks=mask)
        expected = asked(
            theirs,
            input_points=points[:, None],
            input_labels=labels[:, None],
            input_masks=torch.from_numpy(mask)[:, None],
        )
    (embedding,) = ours.encode([IMAGE])
    out = ours.decode(embedding, prompts)
    assert out.logits.shape == (2, 3, CELLS, CELLS)
    assert out.logits.std() > 0.1
    assert np.abs(out.logits - np.clip(expected[0], -32, 32)).max() < 1e-4
    assert np.abs(out.scores - expected[1]).max() < 1e-4


def test_the_published_layout_loads_and_its_fourth_level_changes_nothing(
    theirs: torch.nn.Module, ours: PromptableModel, tmp_path: Path
) -> None:
    four = network((4.0, 2.0, 1.0, 0.5))
    missing, extra = four.load_state_dict(theirs.state_dict(), strict=False)
    assert not extra
    assert all("fpn_layers.3" in key for key in missing)
    four.save_pretrained(tmp_path)
    # As published: one file for words, points and video, whose encoder belongs to the detector.
    state = {}
    for key, value in four.state_dict().items():
        if key.startswith("vision_encoder.neck."):
            name = key.replace("vision_encoder.neck.", "tracker_neck.")
        elif key.startswith("vision_encoder.backbone."):
            name = f"detector_model.{key}"
        else:
            name = f"tracker_model.{key}"
        state[name] = value.contiguous().clone()
    state["detector_model.text_projection.bias"] = torch.zeros(4)
    state["tracker_model.memory_encoder.projection.bias"] = torch.zeros(4)
    save_file(state, tmp_path / "model.safetensors", {"format": "pt"})
    config = json.loads((tmp_path / "config.json").read_text("utf-8"))
    video = {"model_type": "sam3_video", "tracker_config": config}
    (tmp_path / "config.json").write_text(json.dumps(video), "utf-8")
    loaded = load_model(tmp_path, "cpu")
    prompts = Prompts(points=WHERE, labels=LABELS)
    answers = [model.decode(model.encode([IMAGE])[0], prompts).logits for model in (ours, loaded)]
    np.testing.assert_array_equal(*answers)
    assert loaded.info.fingerprint != ours.info.fingerprint


def test_a_tile_of_a_raster_is_searched_without_torchvision(
    ours: PromptableModel, sample_data: Path
) -> None:
    with rasterio.open(sample_data / "town.tif") as raster:
        pixels = raster.read([1, 2, 3], window=rasterio.windows.Window(0, 0, 256, 256))
    image = np.ascontiguousarray(np.moveaxis(pixels, 0, 2))
    options = AutomaticOptions(points_per_side=4, score_threshold=-1.0, stability_threshold=0.0)
    segmenter = AutomaticSegmenter(ours, options)
    whole = PixelBox(0, 0, 256, 256)
    tile = Tile(TileIndex(0, 0), whole, whole, whole)
    valid = np.ones((256, 256), bool)
    found = segmenter.segment(TileImage(tile, image, valid, 256, segmenter.cell_size(256)))
    assert found.masks
    assert "torchvision" not in sys.modules


def test_an_image_of_any_shape_and_prompts_outside_it(ours: PromptableModel) -> None:
    image = np.random.RandomState(1).randint(0, 256, (90, 200, 3)).astype(np.uint8)
    (embedding,) = ours.encode([image])
    assert embedding.mask_shape == (CELLS, CELLS)
    np.testing.assert_allclose(embedding.cell_size, (90 / CELLS, 200 / CELLS))
    with pytest.raises(PromptError, match="outside the image of 90 x 200"):
        ours.decode(embedding, Prompts(np.full((1, 1, 2), 150, "f4"), np.ones((1, 1), "i1")))


def test_weights_that_lack_tensors_are_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    state = load_file(folder / "model.safetensors")
    state.pop("tracker_model.mask_decoder.iou_token.weight")
    save_file(state, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match=r"lacks tensors.*iou_token"):
        load_model(tmp_path, "cpu")


def test_without_transformers_the_extra_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ModelError, match=r"SAM 3 needs .*samgeo-seamless\[concepts\]"):
        load_model(folder, "cpu")
