# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import numpy as np
import pytest
import torch
from samgeo_core.errors import CheckpointError, ModelError, SamGeoWarning
from samgeo_core.models import runtime
from samgeo_core.models.base import Prompts
from samgeo_core.models.families import recognise as families
from samgeo_core.models.families.recognise import build, recognise, weights_checksum
from samgeo_core.models.weights import hub_names as hub
from samgeo_core.models.weights.tensors import unwrap
from samgeo_core.testing.random_weights import weights

from ..tiny_models import FAMILIES, SIDE, model, state

IMAGE = np.random.RandomState(5).randint(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)


@pytest.mark.parametrize("family", FAMILIES)
def test_families_are_recognised_by_their_keys(family: str) -> None:
    found = recognise({key: value.shape for key, value in state(family).items()})
    assert (found.family, found.layout) == (family, "official")


@pytest.mark.parametrize("family", FAMILIES)
def test_a_missing_an_unknown_and_a_misshapen_tensor_are_named(family: str) -> None:
    whole = state(family)
    (key,) = (key for key in whole if key.endswith("mask_decoder.iou_token.weight"))
    with pytest.raises(CheckpointError, match=r"lacks 1 tensors .*iou_token"):
        build({k: v for k, v in whole.items() if k != key}, device="cpu", image_size=SIDE)
    with pytest.raises(CheckpointError, match=r"unknown 1 tensors .*mask_decoder\.surprise"):
        build({**whole, "mask_decoder.surprise": torch.zeros(1)}, device="cpu", image_size=SIDE)
    with pytest.raises(CheckpointError, match=r"another shape .*iou_token"):
        build({**whole, key: torch.zeros(1, 8)}, device="cpu", image_size=SIDE)


def test_strangers_are_refused_in_words() -> None:
    with pytest.raises(CheckpointError, match=r"conv1\.weight"):
        recognise({"conv1.weight": (3, 3), "fc.bias": (3,)})
    truncated = {k: v for k, v in state("sam").items() if "blocks.0" not in k or "rel_pos" in k}
    with pytest.raises(CheckpointError):
        build(truncated, device="cpu")
    odd = {**state("sam2"), "image_encoder.trunk.pos_embed": torch.zeros(1, 95, 7, 7)}
    with pytest.raises(CheckpointError, match="no SAM 2 has"):
        build(odd, device="cpu")


def test_unwrap_finds_the_tensors() -> None:
    tensors = {"a": torch.zeros(1)}
    assert unwrap(tensors) == tensors
    assert unwrap({"model": tensors, "epoch": 3}) == tensors
    for nothing in ({}, [1], {"model": {}}, None):
        with pytest.raises(CheckpointError, match="no model weights"):
            unwrap(nothing)


def test_fingerprints_tell_weights_and_settings_apart() -> None:
    first = model("sam").info.fingerprint
    assert build(state("sam"), device="cpu", batch=3).info.fingerprint == first
    assert build(state("sam", 1), device="cpu").info.fingerprint != first
    given = build(state("sam"), device="cpu", fingerprint="abc").info.fingerprint
    assert given != first
    again = {key: value.clone() for key, value in reversed(state("sam").items())}
    assert weights_checksum(again) == weights_checksum(state("sam"))


def test_half_precision_files_load() -> None:
    half = {k: v.half() if v.is_floating_point() else v for k, v in state("sam").items()}
    loaded = build(half, device="cpu")
    assert next(loaded.network.parameters()).dtype == torch.float32
    loaded.encode([IMAGE])


def test_devices_precisions_and_threads_that_do_not_exist() -> None:
    with pytest.raises(ModelError, match="'abacus' cannot be used"):
        build(state("sam"), device="abacus")
    if not torch.cuda.is_available():
        with pytest.raises(ModelError, match="choose 'auto' or 'cpu'"):
            runtime.pick_device("cuda")
    with pytest.raises(ModelError, match="float8"):
        runtime.pick_dtype("float8", torch.device("cpu"))  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="at least one thread"):
        runtime.set_threads(0)
    before = torch.get_num_threads()
    runtime.set_threads(before)
    assert torch.get_num_threads() == before


def test_a_gpu_that_is_too_old_gives_way_to_the_cpu_or_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ones = torch.ones

    def without_code(*args: object, device: torch.device) -> torch.Tensor:
        if device.type == "cuda":
            raise RuntimeError(
                "CUDA error: no kernel image is available for execution on the device\n"
                "CUDA kernel errors might be asynchronously reported at some other API call."
            )
        return ones(*args, device=device)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(runtime.torch, "ones", without_code)
    with pytest.warns(SamGeoWarning, match=r"no kernel image.*runs on the CPU.*driver"):
        assert runtime.pick_device("auto").type == "cpu"
    with pytest.raises(ModelError, match=r"'cuda:0' cannot be used.*no kernel image.*'cpu'"):
        runtime.pick_device("cuda:0")


# The second oracle, and the hub's layouts ------------------------------------------------------


def _hub_sam() -> tuple[torch.nn.Module, dict[str, torch.Tensor]]:
    transformers = pytest.importorskip("transformers")
    config = transformers.SamConfig(
        vision_config={
            "hidden_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "mlp_dim": 256,
            "image_size": SIDE,
            "global_attn_indexes": [1],
        },
        prompt_encoder_config={"image_size": SIDE, "image_embedding_size": SIDE // 16},
    )
    return _filled(transformers.SamModel(config))


def _filled(network: torch.nn.Module) -> tuple[torch.nn.Module, dict[str, torch.Tensor]]:
    tensors = weights({key: value.shape for key, value in network.state_dict().items()})
    # The hub keeps the frequencies twice.
    for key in tensors:
        if key.endswith("shared_embedding.positional_embedding"):
            tensors["shared_image_embedding.positional_embedding"] = tensors[key]
            tensors[key].normal_(generator=torch.Generator().manual_seed(1))
    network.load_state_dict(tensors)
    return network.eval(), tensors


WHERE = np.array([[[20.5, 33.0], [90.0, 64.0]], [[101.0, 7.0], [64.0, 50.0]]], np.float32)
LABELS = np.array([[1, 0], [1, 1]], np.int8)
BOX = np.array([[10, 20, 80, 110], [40, 8, 120, 60]], np.float32)


def _asked(network: torch.nn.Module, pixels: torch.Tensor, **more: object) -> tuple:  # type: ignore[type-arg]
    with torch.no_grad():
        out = network(
            pixel_values=pixels,
            input_points=torch.from_numpy(WHERE[..., ::-1].copy())[None] - 0.5,
            input_labels=torch.from_numpy(LABELS.astype(np.int64))[None],
            multimask_output=True,
            **more,
        )
    return out.pred_masks[0].numpy(), out.iou_scores[0].numpy()


def test_sam_agrees_with_transformers_and_loads_its_layout() -> None:
    network, tensors = _hub_sam()
    found = recognise({key: value.shape for key, value in tensors.items()})
    assert (found.family, found.layout) == ("sam", "hub")
    ours = build(tensors, device="cpu")
    (embedding,) = ours.encode([IMAGE])
    logits, scores = _asked(network, ours.network.preprocessing.tensor(IMAGE)[None])
    out = ours.decode(embedding, Prompts(points=WHERE, labels=LABELS))
    assert np.abs(out.logits - logits).max() < 1e-4
    assert np.abs(out.scores - scores).max() < 1e-4


def test_sam2_agrees_with_transformers_and_loads_its_layout() -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.Sam2Config(
        vision_config={
            "backbone_config": {
                "image_size": [256, 256],
                "model_type": "sam2_hiera_det_model",
            },
            "backbone_feature_sizes": [[64, 64], [32, 32], [16, 16]],
        },
        prompt_encoder_config={"image_size": 256},
    )
    network, tensors = _filled(transformers.Sam2Model(config))
    # As in the published files, which hold the memory's weights too.
    tensors["memory_encoder.projection.bias"] = torch.zeros(4)
    found = recognise({key: value.shape for key, value in tensors.items()})
    assert (found.family, found.variant, found.layout) == ("sam2", "hiera_tiny", "hub")
    ours = build(tensors, device="cpu", image_size=256)
    image = np.random.RandomState(6).randint(0, 256, (256, 256, 3)).astype(np.uint8)
    (embedding,) = ours.encode([image])
    logits, scores = _asked(network, ours.network.preprocessing.tensor(image)[None])
    out = ours.decode(embedding, Prompts(points=WHERE, labels=LABELS))
    assert np.abs(out.logits - np.clip(logits, -32, 32)).max() < 1e-4
    assert np.abs(out.scores - scores).max() < 1e-4


def test_sam_hq_loads_the_hubs_layout() -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.SamHQConfig(
        vision_config={
            "hidden_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "mlp_dim": 256,
            "image_size": SIDE,
            "global_attn_indexes": [1],
        },
        prompt_encoder_config={"image_size": SIDE, "image_embedding_size": SIDE // 16},
        mask_decoder_config={"vit_dim": 64},
    )
    network, tensors = _filled(transformers.SamHQModel(config))
    found = recognise({key: value.shape for key, value in tensors.items()})
    assert (found.family, found.layout) == ("sam_hq", "hub")
    ours = build(tensors, device="cpu")
    (embedding,) = ours.encode([IMAGE])
    pixels = ours.network.preprocessing.tensor(IMAGE)[None]
    with torch.no_grad():
        features = network.get_image_embeddings(pixels)[0]  # type: ignore[operator]
    # Only the features: transformers 5.23.0 decodes otherwise than the official code.
    assert np.abs(embedding.arrays["image"] - features[0].numpy()).max() < 1e-4


def test_hub_names_are_told_from_official_ones() -> None:
    assert not any(hub.is_hub(state(family)) for family in FAMILIES)
    assert families.recognise({k: v.shape for k, v in _hub_sam()[1].items()}).layout == "hub"


def test_fastest_is_what_is_clearly_faster_and_float32_otherwise(monkeypatch) -> None:
    times = {torch.float32: 1.0, torch.bfloat16: 0.9}
    monkeypatch.setattr(runtime, "_product_seconds", lambda device, dtype: times[dtype])
    runtime._fastest.cache_clear()
    assert runtime.pick_dtype("fastest", torch.device("cpu")) == torch.float32
    times[torch.bfloat16] = 0.5
    assert runtime.fastest_precision(torch.device("cpu")) == "float32", "measured once"
    runtime._fastest.cache_clear()
    assert runtime.pick_dtype("fastest", torch.device("cpu")) == torch.bfloat16
    runtime._fastest.cache_clear()


def test_a_measurement_takes_little_time_and_gives_a_type() -> None:
    runtime._fastest.cache_clear()
    assert runtime.fastest_precision(torch.device("cpu")) in ("float32", "bfloat16")


@pytest.mark.parametrize("family", ["sam", "sam2"])
def test_half_precision_changes_logits_by_less_than_a_twentieth_of_their_spread(family) -> None:
    image = np.random.RandomState(5).randint(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
    prompts = Prompts(np.full((1, 1, 2), 60, np.float32), np.ones((1, 1), np.int8))
    logits = []
    for precision in ("float32", "bfloat16"):
        model = build(state(family), device="cpu", image_size=SIDE, precision=precision)
        logits.append(model.decode(model.encode([image])[0], prompts).logits)
    spread = logits[0].std()
    assert spread > 0.1
    assert np.abs(logits[0] - logits[1]).mean() < 0.05 * spread


def test_sam_hq_2_decides_what_is_stable_before_the_high_quality_mask_is_added(monkeypatch) -> None:
    network = model("sam_hq2").network
    plain = torch.full((1, 4, 8, 8), -9.0)
    plain[:, 0, :4] = 9.0  # stable
    quality = torch.linspace(-9.01, 9.01, 64).view(1, 1, 8, 8)  # many sums near 0
    monkeypatch.setattr(network.mask_decoder, "both", lambda *_: (plain.clone(), quality))
    scores = torch.tensor([[0.3, 0.9, 0.4, 0.5]])
    logits, chosen = network.single(None, None, scores)
    assert torch.equal(logits, plain[:, :1] + quality)
    assert chosen.item() == pytest.approx(0.3)
    plain[:, 0, :4] = 0.01  # now unstable: the best candidate answers
    logits, chosen = network.single(None, None, scores)
    assert torch.equal(logits, plain[:, 1:2] + quality)
    assert chosen.item() == pytest.approx(0.9)
