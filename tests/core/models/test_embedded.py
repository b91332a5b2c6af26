# SPDX-License-Identifier: GPL-2.0-or-later
import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from safetensors.torch import save_file
from samgeo_core.errors import CheckpointError, ModelError, ParameterError, PromptError
from samgeo_core.models.base import Embedding, PromptableModel, Prompts
from samgeo_core.models.catalogue import EMBEDDED_CARD as CARD
from samgeo_core.models.catalogue import EMBEDDED_WEIGHTS as WEIGHTS
from samgeo_core.models.embedded.decoding import FAR, _span, fine_masks
from samgeo_core.models.embedded.load import load_embedded
from samgeo_core.models.embedded.model import EmbeddedModel
from samgeo_core.models.embedded.network import (
    EmbeddedNet,
    NetConfig,
    agreement,
    folded,
    normalised,
)
from samgeo_core.models.embedded.prompt_maps import PromptTensors, prompt_maps

TINY = NetConfig(
    stem=8, widths=(8, 16, 16, 16), depths=(1, 1, 1, 1), neck=(8, 16, 16), decoder=(8, 8, 16, 16)
)


def tiny_network(seed: int = 0) -> EmbeddedNet:
    """Random weights, with statistics as if it had been trained."""
    torch.manual_seed(seed)
    net = EmbeddedNet(TINY)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2)
            module.weight.data.normal_(1, 0.3)
            module.bias.data.normal_(0, 0.2)
    for head in (net.decoder.coarse, net.decoder.masks):
        head.weight.data.normal_(0, 0.5)
    return net.eval()


def write(path: Path, net: EmbeddedNet, **notes: str) -> Path:
    tensors = {k: v for k, v in net.state_dict().items() if "num_batches" not in k}
    facts = {"family": "embedded", "config": json.dumps(net.config.to_json())}
    facts |= {"score_threshold": "0.7", "stability_threshold": "0.8"}
    save_file(tensors, path, metadata=facts | notes)
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> EmbeddedModel:
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    return load_embedded("cpu", path=write(path, tiny_network()))


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 255, (150, 200, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def embedding(model: EmbeddedModel, image: np.ndarray) -> Embedding:
    return model.encode([image])[0]


def some_prompts(n: int = 5) -> Prompts:
    rng = np.random.default_rng(2)
    low = rng.uniform(0, 80, (n, 2))
    return Prompts(
        points=rng.uniform(0, 150, (n, 2, 2)).astype(np.float32),
        labels=rng.integers(0, 2, (n, 2)).astype(np.int8),
        boxes=np.concatenate([low, low + rng.uniform(5, 60, (n, 2))], axis=1).astype(np.float32),
    )


def click(row: float, col: float) -> Prompts:
    return Prompts(points=np.array([[[row, col]]], np.float32), labels=np.ones((1, 1), np.int8))


def test_it_is_a_promptable_model(model):
    assert isinstance(model, PromptableModel)
    assert model.info.family == "embedded"
    assert model.info.name == "tiny"
    assert model.info.accepts == {"point", "box", "mask"}


def test_folding_batch_normalisation_changes_nothing():
    net = tiny_network()
    fast = folded(net)
    pixels = normalised(torch.randint(0, 255, (1, 3, 64, 96), dtype=torch.uint8))
    prompts = PromptTensors(
        torch.tensor([[[20.0, 30.0]]]), torch.tensor([[1]]), torch.tensor([[4.0, 6, 40, 60]])
    )
    with torch.no_grad():
        results = []
        for network in (net, fast):
            features = network.encoder(pixels)
            coarse = network.decoder.begin(features, prompts)
            results.append((network.decoder.finish(features, coarse), coarse.iou))
    for ours, theirs in zip(*results, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-4)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in fast.modules())


@pytest.mark.parametrize(
    ("shape", "scale", "cell"),
    [
        ((1024, 700), 1, 2),
        ((40, 256), 1, 2),
        ((1100, 60), 1, 2),
        ((300, 70), 2, 1),
        ((90, 300), 0.5, 4),
    ],
)
def test_images_of_any_size_are_seen_at_the_models_scale(model, shape, scale, cell):
    embedding = model.scaled(scale).encode([np.zeros((*shape, 3), np.uint8)])[0]
    assert embedding.cell_size == (cell, cell)
    assert embedding.shape == shape
    # The cells cover the image, and reach less than the coarsest stride beyond it: 32 pixels of
    # the image at half its size.
    for cells, side in zip(embedding.mask_shape, shape, strict=True):
        assert side <= cells * cell < side + 32 * cell


def test_a_scale_is_part_of_what_the_model_says_of_itself(model):
    twice = model.scaled(2)
    assert twice.info.input_size * 2 == model.info.input_size
    assert twice.info.cell == 1
    assert twice.info.fingerprint != model.info.fingerprint
    assert twice.scaled(1).info == model.info
    with pytest.raises(ParameterError, match="3"):
        model.scaled(3)


def test_a_place_looks_the_same_in_any_window():
    model = load_embedded("cpu")
    pixels = np.random.default_rng(0).integers(0, 255, (512, 512, 3), dtype=np.uint8)
    whole = model.encode([pixels])[0].arrays["a8"]
    part = model.encode([pixels[:256, :384].copy()])[0].arrays["a8"]
    # Far from where the part was cut the features are those of the whole.
    inner = (..., slice(0, 4), slice(0, 8))
    assert (
        np.abs(whole[inner].astype(float) - part[inner]).max() < 0.05 * np.abs(whole[inner]).max()
    )


@pytest.mark.parametrize("side", [440, 560])
def test_a_large_plain_thing_has_no_hole(side):
    """The seventh generation's answer had one in this very image (decision 42)."""
    rng = np.random.default_rng(1)
    ground, roof = rng.uniform(60, 180, 3), rng.uniform(40, 230, 3)
    first = 512 - side // 2
    whole = np.zeros((1024, 1024), bool)
    whole[first : first + side, first : first + side] = True
    image = np.where(whole[..., None], roof, ground) + rng.normal(0, 4, (1024, 1024, 3))
    embedding = load_embedded("cpu").encode([np.clip(image, 0, 255).astype(np.uint8)])[0]
    box = Prompts(boxes=np.array([[first, first, first + side, first + side]], np.float32))
    logits = load_embedded("cpu").decode(embedding, box, multimask=False).logits[0, 0]
    cell = len(whole) // len(logits)
    inside = (logits > 0).repeat(cell, 0).repeat(cell, 1)
    assert (inside & whole).sum() / (inside | whole).sum() > 0.95


def test_prompts_together_answer_as_they_do_alone(model, embedding):
    prompts = some_prompts()
    together = model.decode(embedding, prompts)
    assert together.logits.shape == (5, 3, *embedding.mask_shape)
    assert together.logits.dtype == together.scores.dtype == np.float32
    for i in range(5):
        alone = model.decode(embedding, prompts[i : i + 1])
        np.testing.assert_allclose(together.logits[i], alone.logits[0], atol=1e-4)
        np.testing.assert_allclose(together.scores[i], alone.scores[0], atol=1e-5)


def test_padding_points_change_nothing(model, embedding):
    prompts = some_prompts(2)
    padded = dataclasses.replace(
        prompts,
        points=np.concatenate([prompts.points, np.full((2, 3, 2), -7, np.float32)], axis=1),
        labels=np.concatenate([prompts.labels, np.full((2, 3), -1, np.int8)], axis=1),
    )
    expected = model.decode(embedding, prompts)
    np.testing.assert_allclose(model.decode(embedding, padded).logits, expected.logits, atol=1e-5)


def test_an_earlier_mask_counts_alone_and_beside_clicks(model, embedding):
    earlier = np.full((1, *embedding.mask_shape), -4, np.float32)
    earlier[0, 10:30, 10:30] = 4
    for prompts in (Prompts(masks=earlier), dataclasses.replace(click(70, 80), masks=earlier)):
        other = dataclasses.replace(prompts, masks=-earlier)
        one, two = (model.decode(embedding, asked).logits for asked in (prompts, other))
        assert np.abs(one - two).max() > 0.01


def test_min_score_drops_prompts_and_keeps_the_others_answers(model, embedding):
    prompts = some_prompts(9)
    everything = model.decode(embedding, prompts)
    best = everything.scores.max(1)
    limit = float(np.median(best))
    some = model.decode(embedding, prompts, min_score=limit)
    assert some.index.tolist() == np.flatnonzero(best >= limit).tolist()
    np.testing.assert_allclose(some.logits, everything.logits[some.index], atol=1e-5)
    none = model.decode(embedding, prompts, min_score=1.1)
    assert none.logits.shape == (0, 3, *embedding.mask_shape)
    assert none.scores.shape == (0, 3)


def test_one_mask_for_a_single_point_is_the_best_ranked(model, embedding):
    one = model.decode(embedding, click(70, 80), multimask=False)
    three = model.decode(embedding, click(70, 80))
    assert one.logits.shape == (1, 1, *embedding.mask_shape)
    assert one.scores[0, 0] >= three.scores.max()


def test_the_fine_stage_looks_only_where_it_matters_and_misses_nothing(model, embedding):
    prompts = PromptTensors(
        torch.full((1, 1, 2), 60.0), torch.ones((1, 1)), torch.tensor([[30.0, 40, 120, 130]])
    )
    features = model._features(embedding)[1]
    with torch.inference_mode():
        coarse = model._net.decoder.begin(features, prompts)
        # A mask in one corner of the image only.
        masks = torch.full_like(coarse.masks, -9.0)
        masks[:, :, 3:9, 4:12] = 3.0
        coarse = coarse._replace(masks=masks)
        whole = model._net.decoder.finish(features, coarse)[0]
        which = torch.tensor([1, 3])
        part = fine_masks(model._net, features, coarse, which)[0]
    doubtful = torch.nn.functional.interpolate((masks[:, :1] > FAR).float(), scale_factor=4)[0, 0]
    assert doubtful.any()
    assert not doubtful.all()
    assert torch.allclose(part[:, doubtful > 0], whole[which][:, doubtful > 0], atol=1e-4)


def test_prompts_are_drawn_where_they_are():
    prompts = PromptTensors(
        torch.tensor([[[10.0, 50.0], [30.0, 20.0]]]),
        torch.tensor([[1, 0]]),
        torch.tensor([[8.0, 40.0, 20.0, 60.0]]),
    )
    maps, weights = prompt_maps(prompts, 16, 24)
    on, off, inside = maps[0, 0], maps[0, 2], maps[0, 4]
    assert divmod(int(on.argmax()), 24) == (2, 12)
    assert divmod(int(off.argmax()), 24) == (7, 4) or off[7, 5] == off.max()
    # 12 x 20 pixels are 3 x 5 cells.
    assert float(inside.sum()) == pytest.approx(15)
    assert float(inside[2:5, 10:15].min()) == 1
    assert float(weights.min()) >= 0


def test_a_box_of_a_fraction_of_a_cell_is_drawn_by_its_share():
    empty = torch.zeros((1, 1, 2)), torch.full((1, 1), -1)
    maps, _ = prompt_maps(PromptTensors(*empty, torch.tensor([[4.0, 4, 8, 6]])), 8, 8)
    assert float(maps[0, 4, 1, 1]) == pytest.approx(0.5)


def test_the_predicted_iou_does_not_depend_on_the_background_far_away():
    decoder = tiny_network().decoder
    torch.manual_seed(1)
    masks = torch.full((1, 4, 12, 16), -4.0)
    masks[:, :, 3:8, 4:9] = torch.randn(1, 4, 5, 5) + 2
    maps, y8, y16 = torch.rand(1, 5, 12, 16), torch.randn(1, 8, 12, 16), torch.randn(1, 16, 6, 8)

    def on_a_larger_image(x: torch.Tensor, value: float) -> torch.Tensor:
        return torch.nn.functional.pad(x, (0, 3 * x.shape[3], 0, 3 * x.shape[2]), value=value)

    with torch.no_grad():
        small = decoder._judge(masks, maps, y8, y16)
        large = decoder._judge(
            on_a_larger_image(masks, -4.0),
            on_a_larger_image(maps, 0.0),
            on_a_larger_image(y8, 5.0),
            on_a_larger_image(y16, 5.0),
        )
    assert torch.allclose(small, large, atol=1e-3)


def test_agreement_tells_a_mask_that_fits_its_prompt():
    masks = torch.full((1, 2, 10, 10), -8.0)
    masks[0, 0, 2:6, 2:6] = 8
    masks[0, 1, 5:9, 5:9] = 8
    maps = torch.zeros(1, 5, 10, 10)
    maps[0, 0, 3, 3] = maps[0, 2, 8, 8] = 1
    maps[0, 4, 2:6, 2:6] = 1
    right, wrong = agreement(masks, torch.sigmoid(masks), maps)[0]
    assert torch.allclose(right, torch.tensor([1.0, 0, 0, 1, 16 / 17]), atol=0.02)
    assert wrong[0] < 0.01
    assert wrong[1] > 0.99
    assert wrong[2] > 0.9
    assert wrong[3] < 0.1


def test_an_embedding_of_another_model_is_refused(model, embedding):
    other = dataclasses.replace(embedding, fingerprint="another")
    with pytest.raises(ModelError, match="encode the image again"):
        model.decode(other, click(3, 3))
    arrays = {k: v for k, v in embedding.arrays.items() if k != "a8"}
    with pytest.raises(ModelError, match="a8"):
        model.decode(dataclasses.replace(embedding, arrays=arrays), click(3, 3))


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        (click(151, 3), "outside the image"),
        (click(float("nan"), 3), "outside the image"),
        (Prompts(points=np.ones((1, 1, 2)), labels=-np.ones((1, 1), np.int8)), "is empty"),
        (Prompts(points=np.ones((1, 1, 2)), labels=np.full((1, 1), 5, np.int8)), "Labels"),
        (Prompts(boxes=np.array([[5.0, 5, 5, 9]], np.float32)), "Box 0"),
        (Prompts(boxes=np.array([[160.0, 5, 190, 9]], np.float32)), "Box 0"),
        (Prompts(boxes=np.full((1, 4), np.nan, np.float32)), "finite"),
        (Prompts(masks=np.zeros((1, 3, 3), np.float32)), "cells"),
    ],
)
def test_prompts_that_make_no_sense_are_refused(model, embedding, prompts, message):
    with pytest.raises(PromptError, match=message):
        model.decode(embedding, prompts)


@pytest.mark.parametrize(
    "bad", [np.zeros((5, 5), np.uint8), np.zeros((5, 5, 3)), np.zeros((0, 5, 3), np.uint8)]
)
def test_images_that_are_none_are_refused(model, bad):
    with pytest.raises(ModelError, match="uint8"):
        model.encode([bad])


def test_boxes_that_reach_beyond_the_image_are_clipped(model, embedding):
    beyond = model.decode(embedding, Prompts(boxes=np.array([[-9.0, 10, 70, 500]], np.float32)))
    within = model.decode(embedding, Prompts(boxes=np.array([[0.0, 10, 70, 200]], np.float32)))
    np.testing.assert_array_equal(beyond.logits, within.logits)


def test_damaged_missing_and_foreign_files_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_embedded("cpu", path=tmp_path / "none.safetensors")
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(write(tmp_path / "whole.safetensors", tiny_network()).read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="damaged"):
        load_embedded("cpu", path=broken)
    with pytest.raises(CheckpointError, match="does not hold an embedded model"):
        load_embedded("cpu", path=write(tmp_path / "x.safetensors", tiny_network(), family="sam"))
    wrong = json.dumps(NetConfig().to_json())
    with pytest.raises(CheckpointError, match="do not fit"):
        load_embedded("cpu", path=write(tmp_path / "y.safetensors", tiny_network(), config=wrong))


def test_other_weights_have_another_fingerprint(tmp_path, model):
    other = load_embedded("cpu", path=write(tmp_path / "tiny.safetensors", tiny_network(1)))
    assert other.info.fingerprint != model.info.fingerprint


# --- the shipped weights -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shipped() -> EmbeddedModel:
    return load_embedded("cpu")


def test_the_shipped_file_is_small_and_the_one_on_its_card():
    content = WEIGHTS.read_bytes()
    assert len(content) <= 20_000_000
    assert json.loads(CARD.read_text())["sha256"] == hashlib.sha256(content).hexdigest()


def painted() -> tuple[np.ndarray, np.ndarray]:
    """A house of two roof faces on noisy grass, with a shadow and a road; and the house."""
    rng = np.random.default_rng(3)
    image = np.full((300, 400, 3), (90, 110, 70), np.float32)
    image[:, 300:340] = 120
    image[100:170, 84:94] *= 0.5
    image[90:160, 90:130] = (170, 90, 70)
    image[90:160, 130:170] = (150, 78, 60)
    noisy = image + rng.normal(0, 5, image.shape)
    house = np.zeros((300, 400), bool)
    house[90:160, 90:170] = True
    return np.clip(noisy, 0, 255).astype(np.uint8), house


def test_the_shipped_model_finds_a_painted_house(shipped):
    image, house = painted()
    magnified = shipped.scaled(2)
    embedding = magnified.encode([image])[0]
    wanted = house

    def iou(logits: np.ndarray) -> float:
        mask = logits[: wanted.shape[0], : wanted.shape[1]] > 0
        return float((mask & wanted).sum() / (mask | wanted).sum())

    box = Prompts(boxes=np.array([[90, 90, 160, 170]], np.float32))
    assert iou(magnified.decode(embedding, box, multimask=False).logits[0, 0]) > 0.9
    candidates = magnified.decode(embedding, click(125, 110)).logits[0]
    assert max(iou(logits) for logits in candidates) > 0.45
    # A further click with what was found so far loses nothing of it.
    found = magnified.decode(embedding, box, multimask=False).logits[:, 0]
    again = dataclasses.replace(click(100, 150), masks=found)
    assert iou(magnified.decode(embedding, again, multimask=False).logits[0, 0]) > 0.9
    # Far from the house there is nothing of it.
    assert (magnified.decode(embedding, box).logits[0, :, 240:, 300:] < 0).all()


def test_half_precision_draws_what_float32_draws(sample_data):
    with rasterio.open(sample_data / "town.tif") as source:
        pixels = source.read([1, 2, 3], window=((300, 556), (300, 556))).transpose(1, 2, 0)
    pixels = np.ascontiguousarray(pixels)
    exact, half = (load_embedded("cpu", precision=kind) for kind in ("float32", "bfloat16"))
    assert exact.info.fingerprint != half.info.fingerprint
    proposals = exact.propose(exact.encode([pixels])[0])
    points = proposals.points[:12, None]
    prompts = Prompts(points=points, labels=np.ones(points.shape[:2], np.int8))
    answers = [model.decode(model.encode([pixels])[0], prompts) for model in (exact, half)]
    assert all(a.logits.dtype == a.scores.dtype == np.float32 for a in answers)
    np.testing.assert_allclose(answers[0].scores, answers[1].scores, atol=0.02)
    first, second = (a.logits > 0 for a in answers)
    common, either = (first & second).sum((2, 3)), (first | second).sum((2, 3))
    assert float((common / np.maximum(either, 1)).mean()) > 0.97


@pytest.mark.parametrize(
    ("first", "end", "limit", "expected"),
    [(3, 11, 32, (3, 11)), (-3, 6, 32, (0, 8)), (29, 35, 32, (28, 32)), (1, 6, 6, (0, 6))],
)
def test_the_fine_stages_see_few_different_shapes(first, end, limit, expected):
    assert _span(first, end, limit) == expected
