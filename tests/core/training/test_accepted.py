# SPDX-License-Identifier: GPL-2.0-or-later
"""A trained model's automatic mode keeps what the person accepted."""

from __future__ import annotations

import json
from dataclasses import replace

import geopandas as gpd
import numpy as np
import pytest
import shapely
from safetensors import safe_open
from samgeo_core.classes.examples import NONE
from samgeo_core.classes.features.object_table import FeatureTable
from samgeo_core.classes.objects import ObjectLayer
from samgeo_core.classes.saved import SUFFIX, load_classifier
from samgeo_core.errors import CheckpointError, PromptError
from samgeo_core.job import SegmentParameters
from samgeo_core.jobs.one_raster import with_own_classifier
from samgeo_core.jobs.run import run
from samgeo_core.labels.places import Cut
from samgeo_core.models.catalogue import EMBEDDED_WEIGHTS
from samgeo_core.models.load import load_model
from samgeo_core.models.weights.own import CLASSIFIER, OwnNotes, add_own, save_own
from samgeo_core.raster.raster import open_raster
from samgeo_core.training.finetuning import training_job
from samgeo_core.training.finetuning.accepted import (
    BESIDE,
    LEAST_EACH,
    Candidates,
    Known,
    accepted,
    find_candidates,
    fit_accepted,
    known_of,
    shifted,
    usual_hits,
)
from samgeo_core.training.finetuning.examples import ExampleOptions, Windows, read_examples
from samgeo_core.training.finetuning.gain import best_of, judge
from samgeo_core.training.finetuning.levels import MARGIN
from samgeo_core.training.finetuning.measure import everything, measure, measure_found
from samgeo_core.training.finetuning.training_job import TrainOptions, prepare

from .made import ground, squares, write_embedded
from .test_learning import measured

COUNT = 60


pytestmark = pytest.mark.usefixtures("models")


@pytest.fixture(scope="module")
def model():
    """The shipped model: random weights propose nothing."""
    return load_model("embedded", "cpu", 1)


# --- the fit -------------------------------------------------------------------------------------


def made(seed, tells, names=("roof",)):
    """Candidates in a row, every other one an object; one column tells which, or none."""
    rng = np.random.default_rng(seed)
    wanted = np.arange(COUNT) % 2 == 0
    values = rng.normal(size=(COUNT, 12)).astype(np.float32)
    for number in range(len(names)):
        values[:, number] += tells * (wanted & (np.arange(COUNT) // 2 % len(names) == number))
    columns = tuple(f"level:{k}|in" for k in range(12))
    table = FeatureTable(values, columns, ("encoder",) * 12, np.ones(COUNT, bool), "m")
    polygons = np.array([shapely.box(5 * k, 0, 5 * k + 4, 4) for k in range(COUNT)], object)
    layer = ObjectLayer(polygons, table, np.full(COUNT, 0.8), np.full(COUNT, 0.9))
    overlap = np.zeros((COUNT, COUNT // 2))
    overlap[np.flatnonzero(wanted), np.arange(COUNT // 2)] = 0.8
    said = tuple(names[k // 2 % len(names)] if k % 2 == 0 else NONE for k in range(COUNT))
    some = Candidates(None, [(k, None) for k in range(COUNT)], layer)
    return Known(some, overlap, said, np.ones(COUNT, bool), np.arange(COUNT) * 3.0)


def kept(classifier, part):
    return {area[0] for area in accepted(classifier, part.candidates)}


def test_what_is_accepted_is_learned():
    got = fit_accepted([made(0, 6.0)], 0)
    right = set(range(0, COUNT, 2))
    found = kept(got, made(1, 6.0))
    assert len(found & right) >= 28
    assert len(found - right) <= 6
    assert got.whole == 0


def test_as_many_objects_must_be_found_as_before():
    nothing = [
        replace(made(seed, 0.0), overlap=np.zeros((COUNT, 0)), names=(NONE,) * COUNT)
        for seed in (5, 6, 7)
    ]
    known = [made(2, 2.5), *nothing]
    few, many = (fit_accepted(known, least) for least in (0, COUNT / 2))
    assert len(kept(many, made(3, 2.5))) > len(kept(few, made(3, 2.5)))
    # More than there are cannot be found.
    assert fit_accepted(known, 10 * COUNT) is not None


def test_where_the_better_outlined_is_not_always_right_both_stay():
    """Each object comes twice on the same ground, and the outline that is like it is, every other
    time, the one with the lower score."""

    def doubled(seed):
        one = made(seed, 6.0)
        layer = one.candidates.objects
        twice = np.repeat(np.arange(COUNT), 2)
        right = (np.arange(2 * COUNT) % 2) == (twice // 2 % 2)
        table = replace(
            layer.table, values=layer.table.values[twice], seen=np.ones(len(twice), bool)
        )
        score = np.where(np.arange(2 * COUNT) % 2 == 0, 0.8, 0.7)
        both = ObjectLayer(layer.polygons[twice], table, score, np.full(len(twice), 0.9))
        overlap = np.where(right[:, None], one.overlap[twice], 0.4 * (one.overlap[twice] > 0))
        said = tuple(
            one.names[k] if one.names[k] == NONE or good else None
            for k, good in zip(twice.tolist(), right.tolist(), strict=True)
        )
        some = Candidates(None, [(k, None) for k in range(len(twice))], both)
        return Known(some, overlap, said, np.ones(len(twice), bool), one.places[twice])

    got, fresh = fit_accepted([doubled(0)], 0.9 * COUNT / 2), doubled(1)
    alone = replace(got, beside=1.0)
    found, without = (
        (fresh.overlap[sorted(kept(one, fresh))].max(axis=0) >= 0.5).sum() for one in (got, alone)
    )
    assert (found, without) == (30, 15)


def test_classes_are_told_apart():
    got = fit_accepted([made(0, 6.0, ("roof", "tank"))], 0)
    assert got.classes == ("roof", "tank", NONE)


def test_with_too_few_of_one_kind_nothing_is_fitted():
    part = made(0, 6.0)
    for few in ("roof", NONE):
        left = LEAST_EACH - 1
        names = []
        for name in part.names:
            left -= name == few
            names.append(None if name == few and left < 0 else name)
        assert fit_accepted([replace(part, names=tuple(names))], 0) is None


def test_known_ground_may_be_a_strip_of_a_window():
    part = made(0, 6.0)
    names = tuple(name if k < 30 else None for k, name in enumerate(part.names))
    strip = replace(part, names=names, counted=np.arange(COUNT) < 30)
    assert len(kept(fit_accepted([strip], 0), part) & set(range(0, COUNT, 2))) >= 26


def test_a_shifted_classifier_accepts_from_another_probability():
    got = fit_accepted([made(0, 1.5)], 0)
    table = made(1, 1.5).candidates.objects.table
    before = got.probabilities(table)[:, 0]
    after = shifted(got, 0.2).probabilities(table)[:, 0]
    np.testing.assert_array_equal(after >= 0.5, before >= 0.2)


def test_hits_of_before_have_a_margin():
    part = made(0, 1.0)
    assert usual_hits([part], 0.9, 0.5) == 0
    half = replace(part, overlap=part.overlap * (np.arange(30) < 15))
    assert usual_hits([half], 0.5, 0.5) == pytest.approx(15 + MARGIN * np.sqrt(15 * 0.5))


# --- candidates ----------------------------------------------------------------------------------


def windows(path, size=256):
    with open_raster(str(path)) as raster:
        examples = read_examples(
            raster, ground(squares()), ExampleOptions(complete_everywhere=True)
        )
        return Windows(raster, size).around(examples, Cut(0, float(raster.width)), "train")


def candidates(model, scene, some):
    with open_raster(str(scene)) as raster:
        return find_candidates(raster, model, some, 8)


def test_outside_of_what_is_complete_only_polygons_are_known(model, scene):
    window = windows(scene)[0]
    (found,) = candidates(model, scene, [window])
    everywhere = known_of(found, "square")
    assert everywhere.counted.all()
    assert everywhere.names.count("square") >= 12
    window = replace(window, known=np.zeros_like(window.known))
    nowhere = known_of(replace(found, window=window), "square")
    assert not nowhere.counted.any()
    assert nowhere.names.count("square") == everywhere.names.count("square")
    assert nowhere.names.count(NONE) == 0
    # A rejected polygon is known anywhere.
    rejected = replace(window, objects=(), rejected=window.objects)
    assert known_of(replace(found, window=rejected), "square").names.count(NONE) >= 12


def test_what_an_earlier_window_has_is_not_known_twice(model, scene):
    (first, *others) = windows(scene, 192)
    some = candidates(model, scene, [first, *others])
    for found in some:
        known = known_of(found, "square")
        for (area, part), name in zip(found.areas, known.names, strict=True):
            rows, cols = np.nonzero(part)
            middle = int(rows.mean()) + area.row0, int(cols.mean()) + area.col0
            assert name is None or found.window.part[middle]


def test_finds_are_measured_as_the_automatic_mode_is(model, scene):
    some = windows(scene)
    seen = measure(model, some, points=8)
    got = measure_found(seen, [everything(model, w, 8)[0] for w in some], some)
    assert got.figures() == seen.figures()
    nothing = measure_found(seen, [[] for _ in some], some).figures()
    assert (nothing["recall"], nothing["f1"]) == (0, 0)
    assert nothing["box_iou"] == seen.figures()["box_iou"]


# --- a model with a classifier -------------------------------------------------------------------


@pytest.fixture(scope="module")
def job(scene, tmp_path_factory):
    """Small squares accepted, large ones rejected; what is accepted is learned, the rest is not."""
    boxes = squares()
    states = ["accepted" if c1 - c0 < 14 else "rejected" for c0, _, c1, _ in boxes]
    with open_raster(str(scene)) as raster:
        options = TrainOptions(points=8, examples=ExampleOptions(complete_everywhere=True))
        made = prepare(
            raster, ground(boxes, status=states), options, tmp_path_factory.mktemp("work")
        )
        some = made.windows["train"] + made.windows["watched"]
        found = find_candidates(raster, made.before, some, 8)
        known = [known_of(one, "small") for one in found]
        made.classifier = fit_accepted(known, 0)
        yield made


def saved(job, models, overwrite=False):
    notes = replace(job.notes, own_kind="classifier", classifier="yes")
    return save_own(models, "mine", {}, notes, {}, overwrite=overwrite, complete=job.put_classifier)


def test_a_job_with_the_model_writes_what_is_accepted(job, scene, models, tmp_path):
    path = saved(job, models)
    assert path.with_suffix(SUFFIX).is_file()
    out = tmp_path / "out.gpkg"
    run(SegmentParameters([str(scene)], str(out), model="mine", workers=1))
    frame = gpd.read_file(out, layer="out")
    assert set(frame["class"]) == {"small"}
    small = gpd.GeoSeries(
        list(ground([b for b in squares() if b[2] - b[0] < 14]).geometry), crs=frame.crs
    )
    large = gpd.GeoSeries(
        list(ground([b for b in squares() if b[2] - b[0] > 15]).geometry), crs=frame.crs
    )
    hit = [shape.representative_point() for shape in frame.geometry]
    ours = sum(small.contains(p).any() for p in hit)
    theirs = sum(large.contains(p).any() for p in hit)
    assert ours >= 0.8 * len(small)
    assert theirs <= 0.35 * len(large)
    # The same by its path, and in another place.
    again = tmp_path / "again.gpkg"
    run(SegmentParameters([str(scene)], str(again), model=str(path), workers=1))
    assert len(gpd.read_file(again, layer="again")) == len(frame)


def test_when_the_classifier_is_used(job, scene, models):
    path = saved(job, models)
    plain = SegmentParameters([str(scene)], "out.gpkg", model="mine")
    assert with_own_classifier(plain).classifier == str(path.with_suffix(SUFFIX))
    for other in (
        replace(plain, model="embedded"),
        replace(plain, prompts="p.gpkg"),
        replace(plain, words=["roof"]),
        replace(plain, exemplars="e.gpkg"),
        replace(plain, like=["some.gpkg"]),
        replace(plain, proposals="grid"),
        replace(plain, classifier="other.samgeo-classes"),
    ):
        assert with_own_classifier(other) == other
    read = load_classifier(path.with_suffix(SUFFIX), "objects")
    assert read.about["model"] == "mine"
    # Earlier programs would pass over how rivals are judged, and refuse the file by its version.
    assert (read.classifier.whole, read.classifier.beside) == (0, BESIDE)
    with safe_open(str(path.with_suffix(SUFFIX)), framework="numpy") as file:
        assert json.loads(file.metadata()["samgeo-classes"])["version"] == 4


def test_a_classifier_that_is_missing_is_said(job, models, tmp_path):
    path = saved(job, models)
    path.with_suffix(SUFFIX).unlink()
    with pytest.raises(CheckpointError, match="mine goes with the file"):
        with_own_classifier(SegmentParameters(["x"], "y", model="mine"))
    folder = tmp_path / "shared"
    folder.mkdir()
    (folder / path.name).write_bytes(path.read_bytes())
    with pytest.raises(CheckpointError, match="copy it to"):
        add_own(models, folder / path.name, "theirs")
    assert not (models / "own" / "theirs").exists()


def test_a_file_that_only_has_the_name_of_a_classifier_is_none(tmp_path):
    """Somebody's own classifier may lie beside weights of the same name."""
    weights = write_embedded(tmp_path / "roofs.safetensors")
    weights.with_suffix(SUFFIX).write_bytes(b"")
    plain = SegmentParameters(["x"], "y", model=str(weights))
    assert with_own_classifier(plain) == plain


def test_at_another_scale_it_is_refused(job, scene, models, tmp_path):
    saved(job, models)
    out = tmp_path / "out.gpkg"
    with pytest.raises(PromptError, match="mine in other weights, of another"):
        run(SegmentParameters([str(scene)], str(out), model="mine", scale=1.0, workers=1))
    assert not out.exists()


def test_a_shared_model_brings_its_classifier(job, models, tmp_path):
    path = saved(job, models)
    folder = tmp_path / "shared"
    folder.mkdir()
    for file in (path, path.with_suffix(SUFFIX)):
        (folder / file.name).write_bytes(file.read_bytes())
    added = add_own(models, folder / path.name, "theirs")
    assert added.path.with_suffix(CLASSIFIER).is_file()
    assert with_own_classifier(SegmentParameters(["x"], "y", model="theirs")).classifier
    assert CLASSIFIER == SUFFIX


def test_nothing_is_left_where_the_classifier_cannot_be_written(job, models):
    def broken(file):
        raise OSError(28, "No space left on device")

    with pytest.raises(Exception, match="No space"):
        save_own(models, "mine", {}, job.notes, {}, complete=broken)
    assert list((models / "own").iterdir()) == []
    before = saved(job, models)
    content = before.read_bytes()
    with pytest.raises(Exception, match="No space"):
        save_own(models, "mine", {}, job.notes, {}, overwrite=True, complete=broken)
    assert before.read_bytes() == content
    assert before.with_suffix(SUFFIX).is_file()
    saved(job, models, overwrite=True)
    assert [path.name for path in (models / "own").iterdir()] == ["mine"]


def test_without_changes_a_model_answers_as_its_base(job, model, models, scene):
    got = load_model(saved(job, models), "cpu")
    image = windows(scene)[0].pixels
    np.testing.assert_array_equal(
        got.encode([image])[0].arrays["depth"], model.encode([image])[0].arrays["depth"]
    )
    assert isinstance(job.notes, OwnNotes)
    assert EMBEDDED_WEIGHTS.is_file()


def test_the_least_score_keeps_a_margin_of_found_objects(job, monkeypatch):
    asked = []
    monkeypatch.setattr(
        training_job, "best_level", lambda *given: (asked.append(given[-1]), (0.5, 1.0))[1]
    )
    some = (job.windows["watched"] + job.windows["train"])[:2]
    half = {
        id(w): [(o.box.shifted(-w.box.row0, -w.box.col0), o.mask) for o in w.objects[::2]]
        for w in some
    }
    monkeypatch.setattr(training_job, "everything", lambda _, w, *__: (half[id(w)], None))
    assert job._threshold(job.before, lambda *_: None) == 0.5
    found, objects = sum(map(len, half.values())), sum(len(w.objects) for w in some)
    assert 0 < found < objects
    assert asked == [pytest.approx(found + MARGIN * np.sqrt(found * (1 - found / objects)))]


def test_windows_of_rasters_that_are_magnified_more_are_smaller(scene, tmp_path, monkeypatch):
    widths = {}
    for scale in (2.0, 4.0):
        monkeypatch.setattr(training_job, "scale_for", lambda *_, s=scale, **__: s)
        with open_raster(str(scene)) as raster:
            made = prepare(raster, ground(squares()), TrainOptions(window=256), tmp_path)
        assert made.before.scale == scale
        widths[scale] = {w.box.width for some in made.windows.values() for w in some}
    assert widths == {2.0: {256}, 4.0: {128}}


# --- the best of several -------------------------------------------------------------------------


def test_the_wanted_model_is_offered_where_it_gains():
    before = measured(0.7, 0.6, 0.3, 0.5, 60)
    good, better = measured(0.7, 0.6, 0.3, 0.7, 40), measured(0.7, 0.6, 0.3, 0.8, 10)
    name, verdict = best_of(before, {"good": good, "better": better})
    assert (name, verdict) == ("good", judge(before, good))
    none = measured(0.7, 0.6, 0.3, 0.5, 60)
    name, verdict = best_of(before, {"none": none, "good": good, "better": better})
    assert (name, verdict.offered) == ("better", True)
    assert verdict.changes == judge(before, better).changes


def test_where_nothing_is_offered_the_figures_are_those_of_the_wanted_model():
    before = measured(0.7, 0.6, 0.3, 0.5, 60)
    worse, slightly = measured(0.7, 0.5, 0.3, 0.5, 60), measured(0.7, 0.602, 0.3, 0.5, 60)
    name, verdict = best_of(before, {"worse": worse, "slightly": slightly})
    assert (name, verdict) == ("worse", judge(before, worse))
    assert not verdict.offered


def test_the_others_must_gain_more_clearly():
    some = measured(0.7, 0.65, 0.3, 0.5, 60, 1)
    noise = np.random.default_rng(4).normal(size=len(some.click))
    noise = (noise - noise.mean()) / noise.std()
    slight = replace(some, click=some.click + 0.033 + 0.07 * noise)
    assert best_of(some, {"slight": slight})[1].offered
    others = {str(k): slight for k in range(200)}
    assert not best_of(some, {"none": some} | others)[1].offered


def test_a_clear_fall_counts_for_the_others_too():
    """However wide the interval in which they must gain."""
    some = measured(0.7, 0.65, 0.3, 0.5, 60, 1)
    noise = np.random.default_rng(4).normal(size=len(some.box))
    noise = (noise - noise.mean()) / noise.std()
    fell = replace(some, click=some.click + 0.2, box=some.box - 0.015 + 0.03 * noise)
    assert judge(some, fell).reason.startswith("No gain: worse in IoU for a box")
    assert judge(some, fell, confidence=0.9999).offered
    assert not best_of(some, {"none": some} | {str(k): fell for k in range(100)})[1].offered
