# SPDX-License-Identifier: GPL-2.0-or-later
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from samgeo_core.errors import CheckpointError, ModelError
from samgeo_core.job import OpenParameters, SegmentParameters
from samgeo_core.jobs.make_segmenter import make_segmenter
from samgeo_core.models.base import PromptableModel, Prompts
from samgeo_core.models.catalogue import CATALOGUE, EMBEDDED, find
from samgeo_core.models.families import recognise as families
from samgeo_core.models.families.sam import Sam
from samgeo_core.models.image import Preprocessing
from samgeo_core.models.load import count_parameters, details, load_model
from samgeo_core.models.nn.vit import ViT
from samgeo_core.models.weights import checkpoints
from samgeo_core.models.weights.download import sha256_of
from samgeo_core.worker.session_methods import Engine


@pytest.fixture(scope="module")
def state():
    """A small SAM in the official layout: 4 x 4 patches of a 64 px image."""
    torch.manual_seed(0)
    network = Sam(ViT(32, 2, 2, [1], 4), Preprocessing(size=64))
    return {key: 0.02 * torch.randn_like(value) for key, value in network.state_dict().items()}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(checkpoints.FOLDER_VARIABLE, str(tmp_path / "models"))
    return tmp_path


def test_every_entry_says_what_it_is_and_what_it_costs():
    assert next(iter(CATALOGUE)) == EMBEDDED
    for name, entry in CATALOGUE.items():
        assert entry.name == name
        assert entry.title
        assert entry.licence
        assert entry.kind in ("promptable", "concept")
        # SAM 3's family and the detectors of words were not measured.
        assert entry.memory > entry.size or entry.kind == "concept" or entry.family == "sam3"
        if name == EMBEDDED:
            assert not entry.files
            continue
        assert entry.page.startswith("https://")
        assert entry.size > 10**7
        required = [source for source in entry.files if not source.optional]
        assert required
        for source in entry.files:
            assert source.url.startswith("https://")
            assert source.url.endswith(source.filename)
            assert len(source.sha256) in (0, 64)
            assert "/" not in source.filename


def test_promptable_entries_are_of_families_that_this_version_builds():
    known = {family.name for family in families.FAMILIES} | {EMBEDDED, "sam3"}
    assert {e.family for e in CATALOGUE.values() if e.kind == "promptable"} <= known


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_local_file_is_recognised_by_its_keys_and_runs(tmp_path, state, suffix):
    path = tmp_path / f"mine{suffix}"
    if suffix == ".pth":
        torch.save(state, path)
    else:
        save_file(state, path)
    model = load_model(path, "cpu")
    assert isinstance(model, PromptableModel)
    assert (model.info.name, model.info.family) == ("mine", "sam")
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    (embedding,) = model.encode([image])
    decoded = model.decode(embedding, Prompts(np.full((1, 1, 2), 30, "f4"), np.ones((1, 1), "i1")))
    assert decoded.logits.shape == (1, 3, 16, 16)
    assert np.isfinite(decoded.logits).all()


def test_a_number_type_reaches_the_model_of_a_job(tmp_path, state):
    path = tmp_path / "mine.pth"
    torch.save(state, path)
    params = SegmentParameters(["a.tif"], "b.gpkg", model=str(path), device="cpu")
    exact = make_segmenter(params)
    half = make_segmenter(replace(params, precision="bfloat16"))
    assert (exact.model.dtype, half.model.dtype) == (torch.float32, torch.bfloat16)
    assert exact.fingerprint != half.fingerprint  # no tile of one is used for the other


def test_a_number_type_reaches_the_model_of_a_session(monkeypatch):
    asked = []

    def load(*given):
        asked.append(given)
        return "a model"

    monkeypatch.setattr("samgeo_core.models.load.load_model", load)
    wanted = OpenParameters(["a.tif"], "sam-vit-b", precision="bfloat16", threads=2)
    engine = Engine()
    assert engine._model(wanted) == engine._model(wanted) == "a model"
    engine._model(replace(wanted, precision="float32"))
    assert asked == [("sam-vit-b", "auto", 2, kind) for kind in ("bfloat16", "float32")]


def test_a_model_whose_file_is_replaced_is_loaded_again(tmp_path, state):
    path = tmp_path / "mine.pth"
    torch.save(state, path)
    wanted = OpenParameters(["a.tif"], str(path), "cpu")
    engine = Engine()
    first = engine._model(wanted)
    assert engine._model(wanted) is first
    key = next(iter(state))
    torch.save({**state, key: state[key] + 1}, path)
    assert engine._model(wanted).info.fingerprint != first.info.fingerprint
    assert len(engine._models) == 1


def test_the_embedded_model_answers_in_bfloat16_as_in_float32():
    image = np.full((128, 160, 3), 90, np.uint8)
    image[40:90, 50:110] = 210
    box = Prompts(boxes=np.array([[40, 50, 90, 110]], "f4"))
    exact, half = (load_model(EMBEDDED, "cpu", precision=kind) for kind in ("auto", "bfloat16"))
    assert exact.info.fingerprint == load_model(EMBEDDED, "cpu").info.fingerprint
    assert exact.info.fingerprint != half.info.fingerprint
    answers = [m.decode(m.encode([image])[0], box, multimask=False) for m in (exact, half)]
    assert [answer.logits.dtype for answer in answers] == [np.float32] * 2
    assert [answer.scores.dtype for answer in answers] == [np.float32] * 2
    one, other = (answer.logits[0, 0] > 0 for answer in answers)
    assert (one & other).sum() / (one | other).sum() > 0.97
    assert not np.array_equal(answers[0].logits, answers[1].logits)
    assert half.scaled(2.0).info.fingerprint != exact.scaled(2.0).info.fingerprint


def test_the_same_weights_have_the_same_fingerprint_and_others_another(tmp_path, state):
    torch.save(state, tmp_path / "a.pth")
    torch.save(state, tmp_path / "b.pth")
    key = next(iter(state))
    torch.save({**state, key: state[key] + 1}, tmp_path / "c.pth")
    a, b, c = (load_model(tmp_path / f"{n}.pth", "cpu").info.fingerprint for n in "abc")
    assert a == b != c


def test_details_of_a_file_are_its_family_size_and_checksum(tmp_path, state):
    torch.save(state, tmp_path / "mine.pth")
    found = details(tmp_path / "mine.pth")
    assert found.recognised is not None
    assert (found.recognised.family, found.recognised.layout) == ("sam", "official")
    assert found.parameters == sum(tensor.numel() for tensor in state.values())
    assert found.sha256 == sha256_of(tmp_path / "mine.pth")
    assert found.size == (tmp_path / "mine.pth").stat().st_size
    assert found.entry is None


def test_details_of_the_embedded_model_are_those_of_its_file():
    from samgeo_core.models.catalogue import EMBEDDED_CARD as CARD
    from samgeo_core.models.catalogue import EMBEDDED_WEIGHTS as WEIGHTS

    card = json.loads(CARD.read_text("utf-8"))
    found = details(EMBEDDED)
    assert found.path is not None
    assert found.path.samefile(WEIGHTS)
    assert (found.size, found.sha256) == (WEIGHTS.stat().st_size, sha256_of(WEIGHTS))
    assert (found.size, found.sha256) == (card["bytes"], card["sha256"])
    assert found.recognised is not None
    assert found.recognised.family == EMBEDDED
    assert found.parameters == card["parameters"]


def test_a_fine_tuned_embedded_model_is_recognised_by_its_notes(tmp_path):
    save_file({"x": torch.ones(3)}, tmp_path / "tuned.safetensors", {"family": EMBEDDED})
    found = details(tmp_path / "tuned.safetensors")
    assert found.recognised is not None
    assert (found.recognised.family, found.parameters) == (EMBEDDED, 3)


def test_the_list_says_how_large_the_embedded_model_is():
    from samgeo_core.models.catalogue import EMBEDDED_WEIGHTS as WEIGHTS

    first = checkpoints.list_models()[0]
    assert (first.entry.name, first.installed) == (EMBEDDED, True)
    assert first.bytes_here == WEIGHTS.stat().st_size


def test_details_of_a_model_that_is_not_here_need_no_file(folder):
    found = details("sam-vit-b")
    assert found.path is None
    assert found.entry is find("sam-vit-b")
    assert (found.size, found.sha256) == (found.entry.size, found.entry.files[0].sha256)


def test_nothing_is_downloaded_by_loading(folder):
    with pytest.raises(CheckpointError, match=r"samgeo models download sam-vit-b.*375 MB"):
        load_model("sam-vit-b", "cpu")


def test_unknown_names_are_answered_with_names_that_are_near(folder):
    with pytest.raises(ModelError, match=r"samgeo models list.*sam-vit-b"):
        load_model("sam-vit-q", "cpu")


def test_a_checkpoint_of_another_kind_is_named(tmp_path):
    torch.save({"backbone.conv1.weight": torch.ones(3)}, tmp_path / "resnet.pth")
    with pytest.raises(CheckpointError, match="of no model that this version runs"):
        load_model(tmp_path / "resnet.pth", "cpu")


def test_a_checkpoint_that_lacks_tensors_is_refused(tmp_path, state):
    torch.save({k: v for k, v in state.items() if "iou_token" not in k}, tmp_path / "part.pth")
    with pytest.raises(CheckpointError, match="lacks 1 tensors"):
        load_model(tmp_path / "part.pth", "cpu")


def test_a_word_model_is_no_model_for_points(folder, monkeypatch):
    entry = find("grounding-dino-tiny")
    located = checkpoints.Located(entry.name, folder, entry)
    monkeypatch.setattr(checkpoints, "locate", lambda _: located)
    (folder / "config.json").write_text('{"model_type": "grounding-dino"}', "utf-8")
    with pytest.raises(ModelError, match="words"):
        load_model(entry.name, "cpu")


def test_the_embedded_model_is_verified_like_any_other(tmp_path, monkeypatch):
    weights, card = tmp_path / "w.safetensors", tmp_path / "card.json"
    monkeypatch.setattr(checkpoints, "EMBEDDED_WEIGHTS", weights)
    monkeypatch.setattr(checkpoints, "EMBEDDED_CARD", card)
    with pytest.raises(CheckpointError, match="missing"):
        checkpoints.verify(EMBEDDED)
    save_file({"x": torch.ones(3)}, weights)
    card.write_text(json.dumps({"sha256": sha256_of(weights)}))
    (right,) = checkpoints.verify(EMBEDDED)
    assert (right.problem, right.published) == ("", True)
    save_file({"x": torch.zeros(3)}, weights)
    (changed,) = checkpoints.verify(EMBEDDED)
    assert "changed" in changed.problem
    for forbidden in (checkpoints.remove, checkpoints.download):
        with pytest.raises(CheckpointError, match="comes with the package"):
            forbidden(EMBEDDED)
    assert weights.exists()


def test_a_fine_tuned_embedded_model_is_recognised_by_its_file(tmp_path):
    from samgeo_core.models.catalogue import EMBEDDED_WEIGHTS as WEIGHTS

    copy = tmp_path / "my_roofs.safetensors"
    copy.write_bytes(WEIGHTS.read_bytes())
    model = load_model(copy, device="cpu")
    assert (model.info.name, model.info.family) == ("my_roofs", "embedded")


def test_parameters_are_what_is_learned_and_no_running_statistics():
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8))
    net.register_buffer("relative_position_index", torch.zeros(49, 49, dtype=torch.int64))
    assert any(name.endswith("running_mean") for name in net.state_dict())
    learned = sum(p.numel() for p in net.parameters())
    assert count_parameters(net.state_dict()) == learned
