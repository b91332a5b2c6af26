# SPDX-License-Identifier: GPL-2.0-or-later
"""Training on a user's layer: examples, learners, the loop, what is offered and kept."""

import json
import re
from contextlib import contextmanager
from dataclasses import replace

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
import torch
from click.testing import CliRunner
from samgeo_core.cli.commands import main
from samgeo_core.errors import (
    CheckpointError,
    JobError,
    ModelError,
    OutputError,
    ParameterError,
    SamGeoWarning,
)
from samgeo_core.in_memory import ArrayRaster
from samgeo_core.models.base import Prompts
from samgeo_core.models.embedding_cache import EmbeddingCache
from samgeo_core.models.load import load_model, with_changes
from samgeo_core.models.weights import checkpoints
from samgeo_core.models.weights.own import DOWN, UP, OwnNotes, changed, save_own
from samgeo_core.parallel.file_lock import FileLock
from samgeo_core.raster.raster import open_raster
from samgeo_core.types import PixelBox

pytest.importorskip("cv2", reason="training needs the extra 'training' (OpenCV)")

from samgeo_core.training.finetuning import card, improve, levels, training_job
from samgeo_core.training.finetuning.embedded_learner import (
    SHARE,
    EmbeddedLearner,
    ExampleCrops,
    best_labels,
)
from samgeo_core.training.finetuning.examples import (
    ExampleOptions,
    Windows,
    read_examples,
    side_of,
    split,
)
from samgeo_core.training.finetuning.finetune import LoopOptions, Run
from samgeo_core.training.finetuning.gain import Change, Verdict, judge
from samgeo_core.training.finetuning.improve import train
from samgeo_core.training.finetuning.learners import SamLearner, halved
from samgeo_core.training.finetuning.measure import CachedEncoder, Measured, measure
from samgeo_core.training.finetuning.training_job import Trained, TrainOptions

from .. import tiny_models
from .made import ground, squares, write_embedded, write_scene

SAMPLE_SCENE = card.SCENE  # tests see none: it would take their time


def test_forgetting_is_measured_on_the_scene_of_the_project():
    assert (SAMPLE_SCENE / "town.tif").exists()
    assert (SAMPLE_SCENE / "town_truth.gpkg").exists()


pytestmark = pytest.mark.usefixtures("models")


def windows(scene, side="train", size=128, **options):
    with open_raster(str(scene)) as raster:
        examples = read_examples(raster, ground(squares()), ExampleOptions(**options))
        cut = split(examples, 0.3)
        return Windows(raster, size).around(examples, cut, side)


# --- examples ------------------------------------------------------------------------------------


def test_status_says_what_is_an_object(scene):
    states = ["accepted"] * 30 + ["corrected"] * 10 + ["rejected"] * 10 + [""] * 14
    with open_raster(str(scene)) as raster:
        got = read_examples(raster, ground(squares(), status=states), ExampleOptions())
    assert (len(got.objects), len(got.rejected)) == (40, 10)
    assert "14 polygons" in got.left_out[0]
    assert not any(o.rejected for o in got.objects)


def test_where_too_few_objects_are_left_it_is_said_what_left_out_the_others(scene):
    layer = ground(squares(), status=["existing"] * len(squares()))
    sentence = f"0 objects .* {len(squares())} polygons whose status says that nobody looked"
    with open_raster(str(scene)) as raster, pytest.raises(ParameterError, match=sentence):
        read_examples(raster, layer, ExampleOptions())


@pytest.mark.parametrize(
    ("boxes", "sentence"),
    [
        (squares()[:3], "3 objects are too few"),
        ([(10, 10, 30, 30)] * 20, "overlap"),
        ([(c + 5000, r, c2 + 5000, r2) for c, r, c2, r2 in squares()], "lies on"),
        ([(2 * k, 20, 2 * k + 8, 20 + 8) for k in range(0, 60, 5)][:12], None),
    ],
)
def test_what_cannot_be_trained_on_is_said_in_a_sentence(scene, boxes, sentence):
    with open_raster(str(scene)) as raster:
        if sentence is None:
            read_examples(raster, ground(boxes), ExampleOptions())
        else:
            with pytest.raises(ParameterError, match=sentence):
                read_examples(raster, ground(boxes), ExampleOptions())


def test_what_is_said_of_a_layer_is_said_once(scene, tmp_path):
    layer, path = ground(squares()), tmp_path / "labels.gpkg"
    point = gpd.GeoDataFrame(geometry=[shapely.Point(0, 0)], crs=layer.crs)
    pd.concat([layer, point]).to_file(path, layer="first")
    layer.to_file(path, layer="second")
    with open_raster(str(scene)) as raster, pytest.warns(SamGeoWarning) as said:
        read = read_examples(raster, str(path), ExampleOptions())
    texts = [str(one.message) for one in said if one.category is SamGeoWarning]
    assert len(texts) == 2
    assert "has several layers" in texts[0]
    assert "1 feature of" in texts[1]
    assert read.left_out == ("1 features without area on the raster",)


def test_objects_at_one_place_cannot_be_held_back(scene):
    boxes = [(10 + 10 * (k % 4), 10 + 10 * (k // 4), 19 + 10 * (k % 4), 19 + 10 * (k // 4))
             for k in range(12)]  # fmt: skip
    with open_raster(str(scene)) as raster:
        examples = read_examples(raster, ground(boxes), ExampleOptions())
        with pytest.raises(ParameterError, match="at one place"):
            split(examples, 0.3)


def test_nothing_of_the_held_back_side_reaches_the_training(scene):
    with open_raster(str(scene)) as raster:
        examples = read_examples(
            raster, ground(squares()), ExampleOptions(complete_everywhere=True)
        )
        cut = split(examples, 0.3)
        maker = Windows(raster, 128)
        ours, theirs = (maker.around(examples, cut, side) for side in ("train", "held back"))
    ids = [{o.id for w in some for o in w.objects} for some in (ours, theirs)]
    assert not ids[0] & ids[1]
    assert len(ids[0] | ids[1]) == len(squares())
    for window in ours:
        assert not (window.known & side_of(window.box, cut, "held back")).any()
    counted = sum(w.part.sum() for w in theirs)
    assert counted <= 128 * 512 * 0.4  # no ground twice


def test_unlabelled_ground_is_not_background():
    """A mask on ground where nothing is known must not learn that it is wrong."""
    given = torch.zeros(2, 1, 8, 8, dtype=torch.bool)
    given[0, 0, :4, :4] = True  # on an object
    given[1, 0, 4:, 4:] = True  # on a rejected polygon
    labels = torch.zeros(1, 3, 8, 8, dtype=torch.int64)
    labels[0, 0, :4, :4] = 1
    labels[0, 1, 4:, 4:] = 1
    wanted, certain = best_labels(given, labels, torch.tensor([[False, False]]))
    assert certain.flatten().tolist() == [0, 1]
    assert wanted.flatten().tolist() == [1, 0]
    wanted, certain = best_labels(given, labels, torch.tensor([[True, True]]))
    assert certain.flatten().tolist() == [1, 1]


# --- learners ------------------------------------------------------------------------------------


def sam_learner(family, scene, tmp_path, what="adapter"):
    base = tiny_models.model(family)
    encoder = CachedEncoder(base, EmbeddingCache(tmp_path / "cache"), base.info.fingerprint)
    some = windows(scene, complete_everywhere=True)
    return base, encoder, SamLearner(base, encoder, some, what, rank=4, seed=1), some


@pytest.mark.parametrize(
    ("family", "what"),
    [
        ("sam", "adapter"),
        ("sam2", "adapter"),
        ("mobile_sam", "adapter"),
        ("edgetam", "adapter"),
        ("sam", "decoder"),
        ("sam2", "decoder"),
    ],
)
def test_a_decoder_learns_and_nothing_else_changes(family, what, scene, tmp_path):
    base, _, learner, _ = sam_learner(family, scene, tmp_path, what)
    before = {k: v.clone() for k, v in base.network.state_dict().items()}
    run = Run(learner, LoopOptions(steps=8, rate=5e-3, warm_up=1, look=100, seed=3), (), None, "x")
    run.go(lambda *_: None)
    assert np.mean(run.losses[-3:]) < np.mean(run.losses[:3])
    for key, value in base.network.state_dict().items():
        assert torch.equal(value, before[key]), key
    moved = changed(base.network.state_dict(), run.best)
    assert moved
    assert all(key.startswith("mask_decoder.") for key in moved)


@pytest.mark.parametrize("family", ["sam", "sam2"])
def test_a_small_file_gives_the_trained_answers(family, scene, tmp_path, models):
    base, encoder, learner, some = sam_learner(family, scene, tmp_path)
    for tensor in learner.tensors.values():
        tensor.data += 0.05 * torch.randn(tensor.shape, generator=torch.Generator().manual_seed(2))
    kept = {k: v.float() for k, v in halved(learner.tensors).items()}
    asked = learner.model(kept)
    embedding = encoder.encode([some[0].pixels])[0]
    prompts = Prompts(boxes=np.array([[10, 10, 40, 40]], np.float32))
    wanted = asked.decode(embedding, prompts)
    notes = OwnNotes(family, "adapter", "base", "0", "0.7", "0.8")
    path = save_own(models, "mine", learner.file(kept), notes, {})
    whole = sum(t.numel() * 4 for t in base.network.mask_decoder.state_dict().values())
    assert path.stat().st_size < whole / 8
    from safetensors.torch import load_file

    weights = tiny_models.state(family)
    before = {key: value.clone() for key, value in weights.items()}
    fresh = tiny_models.families.build(weights, device="cpu", image_size=tiny_models.SIDE)
    loaded = with_changes(fresh, load_file(path), 0.7, 0.8)
    assert all(torch.equal(value, before[key]) for key, value in weights.items())
    got = loaded.decode(loaded.encode([some[0].pixels])[0], prompts)
    # The cache holds embeddings in half precision.
    np.testing.assert_allclose(got.scores, wanted.scores, atol=2e-3)
    again = CachedEncoder(loaded, EmbeddingCache(tmp_path / "cache"), base.info.fingerprint)
    direct = loaded.decode(
        replace(again.encode([some[0].pixels])[0], fingerprint=loaded.info.fingerprint), prompts
    )
    np.testing.assert_allclose(direct.logits, wanted.logits, atol=1e-5)
    assert loaded.info.score_threshold == 0.7
    plain = base.decode(embedding, prompts)
    assert np.abs(plain.logits - wanted.logits).max() > 1e-3


def test_changes_go_to_where_the_base_is():
    """As on a GPU: "meta" is a device that every machine has, and takes no tensor of another."""
    base = {"a.weight": torch.zeros(6, 4, device="meta"), "b": torch.zeros(3, device="meta")}
    own = {
        f"a.weight{UP}": torch.zeros(6, 2),
        f"a.weight{DOWN}": torch.zeros(2, 4),
        "b": torch.ones(3),
    }
    assert {key: value.device.type for key, value in changed(base, own).items()} == {
        "a.weight": "meta",
        "b": "meta",
    }


def test_families_without_a_trainable_decoder_are_refused(scene, tmp_path):
    with pytest.raises(ParameterError, match="efficient_sam"):
        sam_learner("efficient_sam", scene, tmp_path)
    with pytest.raises(ParameterError, match="no adapters"):
        EmbeddedLearner(write_embedded(tmp_path / "tiny.safetensors"), [], "adapter")


@pytest.mark.parametrize("what", ["whole", "decoder"])
def test_the_embedded_model_learns_its_whole_or_its_decoder(what, scene, tmp_path):
    path = write_embedded(tmp_path / "tiny.safetensors")
    some = windows(scene, complete_everywhere=True)
    learner = EmbeddedLearner(path, some, what)
    start = {k: v.clone() for k, v in learner.tensors.items()}
    run = Run(learner, LoopOptions(steps=14, rate=5e-3, warm_up=1, look=100), (), None, "x")
    run.go(lambda *_: None)
    assert np.mean(run.losses[-4:]) < np.mean(run.losses[:4])
    encoder = [k for k in run.best if k.startswith("encoder.")]
    assert bool(encoder) == (what == "whole")
    assert any(not torch.equal(run.best[k], start[k]) for k in start)


def test_the_head_for_proposals_learns_and_keeps_its_classes(scene, tmp_path):
    path = write_embedded(tmp_path / "tiny.safetensors", dense=8)
    some = windows(scene, complete_everywhere=True)[:1]
    learner = EmbeddedLearner(path, some, "decoder")
    image = some[0].pixels
    before = load_model(path, "cpu")
    classes = before.class_probabilities(before.encode([image])[0])[0]
    run = Run(learner, LoopOptions(steps=8, rate=8e-3, warm_up=1, look=100), (), None, "x")
    run.go(lambda *_: None)
    kept = {k: v.float() for k, v in halved(run.best).items()}
    after = learner.model(kept)
    depths = [np.asarray(m.encode([image])[0].arrays["depth"], float) for m in (before, after)]
    assert np.abs(depths[1] - depths[0]).max() > 0.05
    moved = np.abs(after.class_probabilities(after.encode([image])[0])[0] - classes)
    assert moved.mean() < 0.02
    # The file gives the same model: its thresholds, and the depth from which it proposes.
    notes = OwnNotes("embedded", "decoder", str(path), checkpoints.checksum_of(
        checkpoints.locate(str(path))), "0.45", "0.1", **learner.settings)  # fmt: skip
    saved = save_own(tmp_path / "models", "mine", learner.file(kept), notes, {})
    loaded = load_model(saved, "cpu")
    assert loaded.info.cell == before.info.cell
    assert loaded.info.score_threshold == 0.45
    one, other = (m.propose(m.encode([image])[0]) for m in (loaded, after))
    np.testing.assert_allclose(one.points, other.points)
    np.testing.assert_allclose(
        loaded.encode([image])[0].arrays["depth"], after.encode([image])[0].arrays["depth"],
        atol=1e-2,
    )  # fmt: skip


def test_what_is_kept_is_a_mean_with_the_weights_before(scene, tmp_path):
    learner = EmbeddedLearner(write_embedded(tmp_path / "tiny.safetensors"), windows(scene))
    start = {k: v.detach().clone() for k, v in learner.tensors.items()}
    mixed = learner.mixed({k: v + 1 for k, v in start.items()})
    for key, value in mixed.items():
        torch.testing.assert_close(value, start[key] + SHARE)


def test_prompts_of_a_crop_are_those_of_its_window(scene):
    """A place in a window is the same place of the picture in every crop, however it is turned."""
    (window, *_) = windows(scene, complete_everywhere=True)
    places = np.array([o.middle[::-1] for o in window.objects], np.float32)
    places -= (window.box.row0, window.box.col0)
    crops = ExampleCrops([window], 128, 2.0, [places])
    rng, seen = np.random.default_rng(0), 0
    for _ in range(12):
        crop = crops.draw(2, rng)
        rows, cols = crop.asked.astype(int).T
        assert (crop.layers[0, rows, cols] > 0).all()
        seen += len(rows)
    assert seen > 12


def test_the_lowest_level_near_the_best_is_chosen(scene, monkeypatch):
    (window, *_) = windows(scene, complete_everywhere=True)
    right = [(o.box.shifted(-window.box.row0, -window.box.col0), o.mask) for o in window.objects]
    wrong = [(PixelBox(0, 0, 2, 2), np.ones((2, 2), bool))] * len(right)
    scores = np.concatenate([np.full(len(right), 0.72), np.full(len(wrong), 0.38)])
    monkeypatch.setattr(levels, "everything", lambda *_: (right + wrong, scores))
    level, best = levels.best_level(None, [window], 8)
    assert (level, best) == (0.4, 1.0)


# --- the loop ------------------------------------------------------------------------------------


def loop(scene, tmp_path, folder, steps=6, digest="d", seed=5):
    learner = EmbeddedLearner(write_embedded(tmp_path / "tiny.safetensors"), windows(scene))
    options = LoopOptions(steps=steps, look=3, seed=seed, patience=99)
    (first, *_) = windows(scene, "held back")
    return Run(learner, options, [replace(first, objects=first.objects[:3])], folder, digest)


def test_a_run_that_was_killed_ends_as_one_that_was_not(scene, tmp_path):
    whole = loop(scene, tmp_path, None)
    whole.go(lambda *_: None)
    folder = tmp_path / "work"
    first = loop(scene, tmp_path, folder)

    def kill(stage, done, total):
        if done == 5:  # after the checkpoint of step 3
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        first.go(kill)
    second = loop(scene, tmp_path, folder)
    assert second.resume()
    assert second.step == 3
    second.go(lambda *_: None)
    for name, tensor in whole.best.items():
        assert torch.equal(tensor, second.best[name]), name
    assert whole.losses == second.losses


def test_another_seed_draws_other_data(scene, tmp_path):
    one, other = (loop(scene, tmp_path, None, seed=seed) for seed in (5, 6))
    assert one.advance() != other.advance()


def test_a_checkpoint_of_other_data_is_refused(scene, tmp_path):
    folder = tmp_path / "work"
    first = loop(scene, tmp_path, folder, steps=2)
    first.go(lambda *_: None)
    with pytest.raises(JobError, match="changed since"):
        loop(scene, tmp_path, folder, digest="other").resume()
    (folder / "state.pt").write_bytes(b"no checkpoint")
    with pytest.raises(JobError, match="damaged"):
        loop(scene, tmp_path, folder).resume()


@contextmanager
def full_disk():
    """No file may grow beyond 1000 bytes: what a full disk looks like to a library."""
    resource = pytest.importorskip("resource", reason="a limit of file sizes needs POSIX")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_checkpoint_on_a_full_disk_is_a_sentence_and_the_earlier_one_stays(scene, tmp_path):
    folder = tmp_path / "work"
    run = loop(scene, tmp_path, folder)
    with full_disk(), pytest.raises(OutputError, match=r"state\.pt: File too large\. Free some"):
        run.save()
    assert list(folder.iterdir()) == []
    run.save()
    before = (folder / "state.pt").read_bytes()
    run.step = 3
    with full_disk(), pytest.raises(OutputError):
        run.save()
    assert [path.name for path in folder.iterdir()] == ["state.pt"]
    assert (folder / "state.pt").read_bytes() == before


def test_a_trained_model_on_a_full_disk_is_a_sentence_and_the_earlier_one_stays(models):
    notes = OwnNotes("embedded", "decoder", "embedded", "0", "0.5", "0.4")
    path = save_own(models, "mine", {"x": torch.zeros(1)}, notes, {})
    before = path.read_bytes()
    with full_disk(), pytest.raises(OutputError, match=r"mine cannot be written .*free some space"):
        save_own(models, "mine", {"x": torch.zeros(10_000)}, notes, {}, overwrite=True)
    assert path.read_bytes() == before
    assert [path.name for path in (models / "own").iterdir()] == ["mine"]


def test_a_run_clears_its_folder_only_while_it_is_alone_there(tmp_path, monkeypatch):
    folder, alone, clear = tmp_path / "work", [], improve._clear

    def cleared(where):
        alone.append(not FileLock(where / improve.LOCK).acquire())
        clear(where)

    monkeypatch.setattr(improve, "_clear", cleared)
    with improve._working(folder, fresh=True):
        with pytest.raises(JobError, match="Another process trains"):
            improve._working(folder, fresh=True).__enter__()
        (folder / improve.EMBEDDINGS).mkdir()
    assert alone == [True, True]
    assert not folder.exists()


def test_a_run_stops_when_nothing_rises(scene, tmp_path, monkeypatch):
    run = loop(scene, tmp_path, None, steps=50)
    run.options = replace(run.options, patience=2)
    figures = iter([0.5, 0.6, 0.5, 0.5, 0.9])

    def fixed(*_, **__):
        value = np.full(4, next(figures))
        return Measured(value, value, value, None, np.zeros(4, int), np.zeros(0, int),
                        np.zeros(0, bool), False)  # fmt: skip

    monkeypatch.setattr("samgeo_core.training.finetuning.finetune.measure", fixed)
    run.go(lambda *_: None)
    assert (run.step, run.best_step) == (9, 3)


# --- what is offered -----------------------------------------------------------------------------


def measured(box, click, moved, found=None, false=0, seed=0):
    count = 40
    noise = np.random.default_rng(seed).normal(0, 0.05, (3, count))
    blocks = np.arange(count) // 4
    hits = np.arange(count) < round((found or 0) * count)
    return Measured(
        *(np.clip(v + n, 0, 1) for v, n in zip((box, click, moved), noise, strict=True)),
        None if found is None else hits[np.random.default_rng(seed).permutation(count)],
        blocks, np.arange(false) % 10, np.zeros(0, bool), found is not None,
    )  # fmt: skip


def test_a_clear_gain_is_offered_with_its_spread():
    got = judge(measured(0.7, 0.6, 0.3, 0.5, 60), measured(0.75, 0.7, 0.3, 0.7, 20, 1))
    assert got.offered
    change = got.changes["click_iou"]
    assert change.low < change.difference < change.high
    assert change.low > 0
    assert got.changes["precision"].after == pytest.approx(28 / 48)
    assert got.reason.startswith("Better")


def test_labels_must_fit_their_own_places_clearly():
    """Moved labels are answered up to 0.09 better where they lie than elsewhere, by chance."""
    before, after = measured(0.55, 0.45, 0.44), measured(0.65, 0.55, 0.53, seed=1)
    got = judge(before, after)
    assert 0 < got.own_place < 0.1
    assert got.changes["box_iou"].low > 0
    assert not got.offered
    assert "no better where the objects are" in got.reason


def test_what_rises_may_not_cost_more_than_it_brings():
    before = measured(0.7, 0.6, 0.3, 0.5, 20)
    got = judge(before, measured(0.73, 0.6, 0.3, 0.42, 22, 1))
    assert not got.offered
    assert got.changes["box_iou"].low > 0
    assert "is outweighed by what fell (" in got.reason


def test_chance_is_no_gain():
    got = judge(measured(0.7, 0.6, 0.3), measured(0.702, 0.602, 0.3, seed=1))
    assert not got.offered
    assert "chance" in got.reason


def test_a_sure_but_tiny_rise_is_no_gain_and_not_called_chance():
    before = measured(0.7, 0.6, 0.3)
    got = judge(before, replace(before, box=before.box + 0.004))
    assert got.changes["box_iou"].low > 0
    assert not got.offered
    assert re.match(r"No gain: what rose \(IoU for a box \(.*\)\) rose by no more than 0.005: l",
                    got.reason)  # fmt: skip


@pytest.mark.parametrize("kept", [True, False])
def test_what_a_kept_model_does_on_other_rasters_is_said_of_no_other(kept, tmp_path, monkeypatch):
    verdict = Verdict(kept, "The reason.", {}, 9)
    path = str(tmp_path) if kept else None
    done = Trained("new", path, verdict, {"elsewhere": "Its mode keeps."})
    monkeypatch.setattr(improve, "train_as_asked", lambda *_, **__: done)
    said = CliRunner().invoke(main, ["train", "town.tif", "labels.gpkg", "--name", "new"]).output
    assert "The reason." in said
    assert ("Its mode keeps." in said) == kept


def test_fewer_rejected_objects_found_again_are_a_gain():
    before, after = measured(0.7, 0.6, 0.3, 0.6), measured(0.7, 0.6, 0.3, 0.6)
    before = replace(before, complete=False, again=np.arange(30) < 25)
    after = replace(after, complete=False, again=np.arange(30) < 8)
    got = judge(before, after)
    assert got.offered
    assert "rejected objects found again (0.833 to 0.267)" in got.reason
    assert not judge(after, before).offered


def test_what_loses_elsewhere_is_not_offered():
    got = judge(measured(0.8, 0.5, 0.3), measured(0.7, 0.7, 0.3, seed=1))
    assert not got.offered
    assert "IoU for a box" in got.reason


def test_answers_that_are_as_good_anywhere_are_no_gain():
    """A model that learned the labels' size, not where they are."""
    got = judge(measured(0.3, 0.2, 0.25), measured(0.7, 0.6, 0.65, seed=1))
    assert not got.offered
    assert "do not seem to go with this raster" in got.reason


def options(path, **given):
    loop_options = LoopOptions(steps=given.pop("steps", 4), look=2, rate=1e-3)
    return TrainOptions(
        model=str(path), window=128, points=8, threads=1, device="cpu", loop=loop_options,
        examples=ExampleOptions(complete_everywhere=True), **given,
    )  # fmt: skip


ROW = [(12 + 40 * k, 20, 28 + 40 * k, 36) for k in range(12)]


@pytest.mark.parametrize(
    ("boxes", "sentence"),
    [
        (squares()[:3], "3 objects are too few"),
        ([(10 + 10 * (k % 4), 10 + 10 * (k // 4), 19 + 10 * (k % 4), 19 + 10 * (k // 4))
          for k in range(12)], "at one place"),
        ([(c + 5000, r, c2 + 5000, r2) for c, r, c2, r2 in squares()], "lies on"),
        ([*ROW, (20, 20, 36, 36)], "overlap .the first: features 0 and 12"),
        # What would be held back lies in no window.
        ([*ROW[:7], *((290 + 20 * k, 0, 300 + 20 * k, 128) for k in range(5))],
         "0 objects are left to measure"),
    ],
)  # fmt: skip
def test_nothing_is_trained_on_what_does_not_do(scene, tmp_path, models, boxes, sentence):
    path = write_embedded(tmp_path / "tiny.safetensors")
    steps = []
    with pytest.raises(ParameterError, match=sentence) as told:
        train(scene, ground(boxes), "nothing", replace(options(path), window=100),
              progress=steps.append)  # fmt: skip
    assert "\n" not in str(told.value)
    assert not steps
    assert not list(models.rglob("*.*"))


def test_a_raster_that_changed_ends_an_unfinished_training(tmp_path, models):
    raster = write_scene(tmp_path)
    path = write_embedded(tmp_path / "tiny.safetensors")

    def kill(progress):
        if progress.stage == "train" and progress.done == 3:  # after the checkpoint of step 2
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(raster, ground(squares()), "mine", options(path), progress=kill)
    with rasterio.open(raster, "r+") as file:
        file.write(255 - file.read())
    with pytest.raises(JobError, match="the raster or the labels may have changed"):
        train(raster, ground(squares()), "mine", options(path))
    assert not list(models.rglob("*.safetensors"))


def test_rasters_in_memory_and_open_ones_are_trained_on(scene, models, monkeypatch):
    class Seen(Exception):
        pass

    def see(opened, *_):
        raise Seen(opened.shape)

    monkeypatch.setattr(improve, "prepare", see)
    with rasterio.open(scene) as file:
        array = ArrayRaster(file.read(), file.transform, file.crs)
        for raster in (array, file, [file]):
            with pytest.raises(Seen) as seen:
                train(raster, ground(squares()), "mine")
            assert seen.value.args == (file.shape,)


def test_labels_at_random_places_bring_no_model(scene, tmp_path, models):
    rng = np.random.default_rng(3)
    moved = []
    for k, (c, r, c1, r1) in enumerate(squares()):
        dc, dr = (int(v) for v in rng.integers(-6, 6, 2))
        col, row = (k % 16) * 32 + 8 + dc, (k // 16) * 32 + 8 + dr
        moved.append((col, row, col + c1 - c, row + r1 - r))
    path = write_embedded(tmp_path / "tiny.safetensors")
    got = train(scene, ground(moved), "nothing", options(path, steps=12))
    assert not got.verdict.offered
    assert got.path is None
    assert not list(models.rglob("*.safetensors"))
    assert got.card["verdict"].startswith("No gain")


@pytest.mark.parametrize("what", ["whole", "decoder"])
def test_a_kept_model_is_listed_loaded_refused_and_removed(
    what, scene, tmp_path, models, monkeypatch
):
    good = Verdict(True, "It rose.", {"box_iou": Change(0.5, 0.6, 0.05, 0.15)}, 9, 0.2)
    monkeypatch.setattr(training_job, "best_of", lambda *_: ("trained", good))
    path = write_embedded(tmp_path / "tiny.safetensors", quality=8)
    train(scene, ground(squares()), "my-squares", options(path, what=what))
    assert not list(models.glob("own/.work*"))
    listed = [s for s in checkpoints.list_models() if s.entry.name == "my-squares"]
    assert listed[0].installed
    assert "squares.tif" in listed[0].entry.title
    model = load_model("my-squares", "cpu")
    assert model.info.name == "my-squares"
    assert 0.05 <= model.info.score_threshold <= 0.95
    image = np.zeros((64, 64, 3), np.uint8)
    answer = model.decode(model.encode([image])[0], Prompts(boxes=np.array([[8, 8, 40, 40]], "f4")))
    plain = load_model(path, "cpu")
    # What judged the masks of the model that was trained does not judge these.
    assert plain.judges
    assert not model.judges
    other = plain.decode(plain.encode([image])[0], Prompts(boxes=np.array([[8, 8, 40, 40]], "f4")))
    assert np.abs(answer.scores - other.scores).max() > 0
    card = json.loads((models / "own/my-squares/my-squares.json").read_text())
    assert card["objects"]["held back"] >= 4
    assert {"raster", "date", "licence", "figures", "place"} <= set(card)
    with pytest.raises(OutputError, match="exists already"):
        train(scene, ground(squares()), "my-squares", options(path, what=what))
    shared = checkpoints.add(models / "own/my-squares/my-squares.safetensors", "theirs")
    assert shared.parent.name == "theirs"
    assert CliRunner().invoke(main, ["models", "list"]).output.count("trained here") == 2
    assert "my-squares" in CliRunner().invoke(main, ["models", "info", "my-squares"]).output
    write_embedded(path, seed=1)  # another model under the same name
    if what == "decoder":
        with pytest.raises(CheckpointError, match="another version"):
            load_model("my-squares", "cpu")
    else:
        load_model("my-squares", "cpu")
    assert checkpoints.remove("my-squares") > 0
    with pytest.raises(ModelError):
        load_model("my-squares", "cpu")


def test_the_log_plots_the_gain_per_minute_of_a_persons_work(tmp_path, models):
    for number, (minutes, after) in enumerate([(10, 0.55), (25, 0.7), (None, 0.6)]):
        facts = {
            "base": "embedded", "date": f"2026-01-0{number + 1}T10:00:00Z",
            "objects": {"train": 20, "held back": 10}, "person_minutes": minutes,
            "figures": {"f1": {"before": 0.5, "after": after},
                        "box_iou": {"before": 1, "after": 1}},
        }  # fmt: skip
        notes = OwnNotes("embedded", "decoder", "embedded", "0", "0.5", "0.4")
        save_own(models, f"round-{number}", {"x": torch.zeros(1)}, notes, facts)
    out = tmp_path / "rounds.svg"
    said = CliRunner().invoke(main, ["models", "log", "--plot", str(out), "--json"])
    assert said.exit_code == 0, said.output
    told = json.loads(said.output)["rounds"]
    assert [each["name"] for each in told] == ["round-0", "round-1", "round-2"]
    assert [each["gain_per_minute"] for each in told] == pytest.approx([0.005, 0.008, None])
    text = out.read_text()
    assert text.count("<circle") == 3  # the base and two rounds; nobody timed the third
    points = [[float(v) for v in p.split(",")] for p in
              text.split('points="')[1].split('"')[0].split()]  # fmt: skip
    assert points[0][0] < points[1][0] < points[2][0]
    assert points[0][1] > points[1][1] > points[2][1]  # rows go down
    assert "+0.0080" in CliRunner().invoke(main, ["models", "log"]).output


def test_a_name_that_is_taken_or_no_name_is_refused(scene, tmp_path):
    for name, sentence in (("embedded", "published"), ("../x", "cannot be the name")):
        with pytest.raises(ModelError, match=sentence):
            train(scene, ground(squares()), name, options(tmp_path / "none"))


def test_the_command_shows_before_and_after(scene, tmp_path):
    labels = tmp_path / "labels.gpkg"
    ground(squares()).to_file(labels)
    path = write_embedded(tmp_path / "tiny.safetensors")
    said = CliRunner().invoke(
        main,
        ["train", str(scene), str(labels), "--name", "mine", "--model", str(path), "--steps", "2",
         "--window", "128", "--points-per-side", "4", "--complete-everywhere", "--threads", "1"],
    )  # fmt: skip
    assert said.exit_code == 0, said.output
    assert "IoU for a click" in said.output
    few = tmp_path / "few.gpkg"
    ground(squares()[:3]).to_file(few)
    said = CliRunner().invoke(main, ["train", str(scene), str(few), "--name", "mine"])
    assert said.exit_code == 2
    assert "too few" in said.output


def test_measuring_counts_every_object_once(scene, tmp_path):
    model = load_model(write_embedded(tmp_path / "tiny.safetensors"), "cpu")
    some = windows(scene, "held back", size=96, complete_everywhere=True)
    got = measure(model, some, points=4)
    assert len(got.box) == len({o.id for w in some for o in w.objects})
    assert got.found is not None
    assert len(got.found) == len(got.box)
    assert got.complete


def test_iou_near_an_object_is_that_of_the_whole_window():
    from samgeo_core.models.base import Embedding
    from samgeo_core.tiles.mask_grid import resample
    from samgeo_core.training.finetuning.measure import iou_at
    from samgeo_core.types import PixelBox

    rng = np.random.default_rng(0)
    for shape, cells in (((96, 80), (32, 32)), ((64, 64), (128, 128))):
        cell = max(shape) / cells[0]
        embedding = Embedding({}, shape, (cell, cell), cells, "x")
        logits = np.full(cells, -3, np.float32)
        logits[5:12, 8:15] = rng.normal(1, 2, (7, 7))
        box = PixelBox(20, 10, 34, 31)
        mask = rng.random(box.shape) < 0.7
        whole = np.zeros(shape, bool)
        whole[box.slices(PixelBox(0, 0, *shape))] = mask
        given = resample(logits, (cell, cell), (1.0, 1.0), shape=shape) > 0
        wanted = (given & whole).sum() / (given | whole).sum()
        assert iou_at(logits, embedding, box, mask) == pytest.approx(wanted)
