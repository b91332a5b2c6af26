# SPDX-License-Identifier: GPL-2.0-or-later
"""Training of the head that judges finished masks."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from samgeo_core.errors import ParameterError
from samgeo_core.models.embedded.classes import CLASSES
from samgeo_core.models.embedded.load import load_embedded, read_network, without_quality
from samgeo_core.models.embedded.network import EmbeddedNet, NetConfig
from samgeo_core.models.embedded.quality import CELLS, OWN
from samgeo_core.training import quality
from samgeo_core.training.datasets.crops import Part, Sample
from samgeo_core.training.export import mean_of, with_quality_head, write_weights
from samgeo_core.training.quality import (
    Examples,
    Facts,
    judged,
    make_examples,
    report,
    train_quality,
)

from ..models.test_embedded_heads import proposing
from .made import write_embedded

CHANNELS = (2, 2, 3)
MAPS = 2 + 2 + len(CLASSES) + 1 + 3 + OWN


def examples(folder, n=400, seed=0):
    """Masks that fill a bright square in the first map (whole), or a quarter of it."""
    rng = np.random.default_rng(seed)
    squares = rng.normal(0, 0.3, (n, MAPS, CELLS, CELLS)).astype(np.float16)
    whole = rng.random(n) < 0.5
    squares[:, 0, 3:13, 3:13] += 2
    squares[:, -OWN + 1] = 0
    squares[whole, -OWN + 1, 3:13, 3:13] = 1
    squares[~whole, -OWN + 1, 3:8, 3:8] = 1
    squares[:, -OWN + 2 :] = rng.normal(0, 1, (n, OWN - 2))[..., None, None]
    folder.mkdir()
    np.save(folder / "squares.npy", squares)
    best = np.where(whole, 0.9, 0.25).astype(np.float32)
    known = rng.random(n) < 0.7
    facts = Facts(best, best, known, np.ones(n, bool), best * 0 + 0.6, best * 0 + 0.9)
    return Examples(folder, facts, np.array(["banepa@1", "roofs@2"])[rng.integers(0, 2, n)])


def test_a_whole_is_told_from_its_part_and_the_head_reads_maps_as_they_are(tmp_path):
    head = train_quality(examples(tmp_path / "a"), 8, CHANNELS, steps=150)
    other = examples(tmp_path / "b", seed=5)
    said = judged(head, other)
    assert said.shape == (400, 2)
    whole = other.facts.best > 0.5
    assert said[whole].mean() > 0.75
    assert said[~whole].mean() < 0.4
    text = "\n".join(report(other, said))
    assert text.count(" to 1.000") == 4


def test_the_same_seed_trains_the_same_head(tmp_path):
    made = examples(tmp_path / "a", n=80)
    one, two = (train_quality(made, 8, CHANNELS, steps=5).state_dict() for _ in range(2))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_what_is_true_of_masks_comes_from_labels_and_classes(tmp_path, monkeypatch):
    model = proposing(tmp_path / "tiny.safetensors")
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (256, 256, 3), dtype=np.uint8)
    labels = np.zeros((1, 256, 256), np.uint16)
    labels[0, 20:120, 30:140], labels[0, 150:240, 60:200] = 1, 2
    classes = np.zeros((256, 256), np.uint8)
    classes[labels[0] == 1] = quality.BUILDING
    monkeypatch.setattr(quality, "SOURCES", {"banepa": (1.0, (1.0, 2.0), 1)})
    monkeypatch.setattr(quality, "LOW", replace(quality.LOW, score_threshold=0.0,
                                                stability_threshold=0.0))  # fmt: skip
    part = Part("banepa", [Sample(image, labels, classes)], 1.0, (1.0, 1.0))
    made = make_examples(model, [part], tmp_path / "data")
    assert set(made.source.tolist()) <= {"banepa@1", "banepa@2"}
    assert len(made) == len(made.squares) > 0
    facts = made.facts
    assert (facts.building <= facts.best + 1e-6).all()
    assert ((facts.best >= 0) & (facts.best <= 1)).all()
    assert facts.knows_best.any()
    again = make_examples(model, [], tmp_path / "data")
    np.testing.assert_array_equal(again.facts.best, facts.best)


def test_the_head_goes_into_weights_and_out_again(tmp_path):
    path = write_embedded(tmp_path / "tiny.safetensors", dense=8)
    net, _, _ = read_network(path)
    channels = net.config.decoder[0], net.config.appearance, net.config.decoder[1]
    torch.manual_seed(0)
    head = quality.QualityHead(*channels, 8)
    card = with_quality_head(path, head, 8, tmp_path / "new.safetensors")
    new, notes, digest = read_network(tmp_path / "new.safetensors")
    assert card["sha256"] == digest
    assert new.quality is not None
    np.testing.assert_allclose(new.quality.own.weight.detach(), head.own.weight.detach(), atol=1e-3)
    assert notes["score_threshold"] == read_network(path)[1]["score_threshold"]
    model = load_embedded("cpu", path=tmp_path / "new.safetensors")
    assert model.judges
    # A head that is there already is replaced.
    with_quality_head(tmp_path / "new.safetensors", head, 8, tmp_path / "newer.safetensors")
    assert load_embedded("cpu", path=tmp_path / "newer.safetensors").judges


def test_weights_between_two_are_their_mean_with_the_heads_of_the_first(tmp_path):
    first = write_embedded(tmp_path / "first.safetensors", dense=8)
    net, notes, _ = read_network(first)
    channels = net.config.decoder[0], net.config.appearance, net.config.decoder[1]
    torch.manual_seed(0)
    with_quality_head(first, quality.QualityHead(*channels, 8), 8, tmp_path / "judges.safetensors")
    moved = {name: value.clone() for name, value in net.state_dict().items()}
    for name, value in moved.items():
        if value.is_floating_point():
            moved[name] = value + 0.5
    net.load_state_dict(moved)
    write_weights(net, notes, tmp_path / "second.safetensors", {})
    settings = {"share": 0.4, "score_threshold": 0.3, "held_back": []}
    card = mean_of(
        tmp_path / "judges.safetensors",
        tmp_path / "second.safetensors",
        tmp_path / "mean.safetensors",
        **settings,
    )
    mean, said, digest = read_network(tmp_path / "mean.safetensors")
    assert (card["sha256"], card["share_of_second"], said["score_threshold"]) == (
        digest,
        0.4,
        "0.3",
    )
    before = read_network(first)[0].state_dict()
    for name, value in mean.state_dict().items():
        if name in before and value.is_floating_point():
            np.testing.assert_allclose(value, before[name] + 0.2, atol=2e-3)
    assert load_embedded("cpu", path=tmp_path / "mean.safetensors").judges
    wider = write_embedded(tmp_path / "wider.safetensors", dense=16)
    with pytest.raises(ParameterError, match="different sizes"):
        mean_of(first, wider, tmp_path / "none.safetensors", **settings)
    assert not (tmp_path / "none.safetensors").exists()


@pytest.mark.parametrize("quarter", [1, 2, 3])
def test_a_turned_picture_keeps_its_labels(quarter):
    image = np.zeros((40, 60, 3), np.uint8)
    image[5:15, 20:40] = 255
    labels = (image[None, ..., 0] > 0).astype(np.uint16)
    turned = quality._turned(Sample(image, labels, labels[0].astype(np.uint8)), quarter)
    np.testing.assert_array_equal(turned.image[..., 0] > 0, turned.labels[0] > 0)
    np.testing.assert_array_equal(turned.classes > 0, turned.labels[0] > 0)


def test_a_network_that_is_trained_further_leaves_the_head_behind(tmp_path):
    path = write_embedded(tmp_path / "tiny.safetensors", dense=8, quality=8)
    net, notes, _ = read_network(path)
    left, said = without_quality(net, notes)
    assert left.quality is None
    assert NetConfig.from_json(json.loads(said["config"])).quality == 0
    assert said["score_threshold"] == notes["score_threshold"]
    plain = EmbeddedNet(left.config)
    plain.load_state_dict(left.state_dict())
