# SPDX-License-Identifier: GPL-2.0-or-later
import json
import pickle
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import safetensors.numpy
from samgeo_core.classes.classifier import Classifier
from samgeo_core.classes.saved import (
    SavedClassifier,
    check_model,
    load_classifier,
    save_classifier,
)
from samgeo_core.errors import ModelError, OutputError, PromptError


def some():
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=size).astype(np.float32) for size in ((3,), (3,), (3, 2), (2,))]
    one = Classifier(("roof", ""), ("x:0", "x:1", "x:2"), arrays[0], arrays[1], 4.0, arrays[2],
                     arrays[3], "fingerprint", (5, 7))  # fmt: skip
    return SavedClassifier(one, "objects", {"model": "embedded", "raster": "a.tif"})


def test_a_classifier_comes_back_as_it_was(tmp_path):
    path = tmp_path / "a.samgeo-classes"
    save_classifier(path, some())
    back = load_classifier(path, "objects")
    assert back.about == some().about
    for name, value in vars(some().classifier).items():
        other = getattr(back.classifier, name)
        assert np.array_equal(value, other) if isinstance(value, np.ndarray) else value == other


def test_files_that_are_none_are_refused_and_nothing_in_them_runs(tmp_path):
    path = tmp_path / "evil.samgeo-classes"

    class Evil:
        def __reduce__(self):
            return (pytest.fail, ("ran",))

    for data in (pickle.dumps(Evil()), b"", b"{}"):
        path.write_bytes(data)
        with pytest.raises(ModelError, match="cannot be read"):
            load_classifier(path, "objects")
    with pytest.raises(ModelError, match="cannot be read"):
        load_classifier(tmp_path / "missing.samgeo-classes", "objects")


def parts(path):
    with safetensors.safe_open(str(path), framework="numpy") as file:
        notes = json.loads(file.metadata()["samgeo-classes"])
        return notes, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def put_together(path, notes, arrays):
    meta = {"samgeo-classes": json.dumps(notes)}
    path.write_bytes(safetensors.numpy.save(arrays, metadata=meta))


def test_a_file_of_the_first_version_is_read_as_one_without_smallest_areas(tmp_path):
    path = tmp_path / "old.samgeo-classes"
    save_classifier(path, some())
    notes, arrays = parts(path)
    assert notes.pop("smallest") == []
    put_together(path, {**notes, "version": 1}, arrays)
    back = load_classifier(path, "objects").classifier
    assert back.smallest == ()
    assert np.array_equal(back.weights, some().classifier.weights)


@pytest.mark.parametrize(
    ("changes", "version"), [({}, 2), ({"whole": 0.0}, 3), ({"whole": 0.0, "beside": 0.6}, 4)]
)
def test_a_file_has_the_earliest_version_that_says_it_all(tmp_path, changes, version):
    path = tmp_path / "a.samgeo-classes"
    saved = some()
    save_classifier(path, replace(saved, classifier=replace(saved.classifier, **changes)))
    assert parts(path)[0]["version"] == version
    back = load_classifier(path, "objects").classifier
    assert {name: getattr(back, name) for name in changes} == changes


def test_columns_of_another_version_are_refused_in_a_sentence():
    with pytest.raises(PromptError, match=r"version of this program .* train it again"):
        some().classifier.check("fingerprint", ("x:0", "x:1", "new:0"))


def test_arrays_that_do_not_fit_and_later_versions_are_refused(tmp_path):
    path = tmp_path / "a.samgeo-classes"
    save_classifier(path, some())
    notes, arrays = parts(path)
    write = partial(put_together, path)

    write(notes, {**arrays, "bias": np.array([np.nan, 0], np.float32)})
    with pytest.raises(ModelError, match="not finite"):
        load_classifier(path, "objects")
    write(notes, {**arrays, "weights": np.zeros((2, 2), np.float32)})
    with pytest.raises(ModelError, match="instead of"):
        load_classifier(path, "objects")
    write({**notes, "version": 99}, arrays)
    with pytest.raises(ModelError, match="later version"):
        load_classifier(path, "objects")


def test_the_wrong_kind_and_the_wrong_model_are_named(tmp_path):
    path = tmp_path / "a.samgeo-classes"
    save_classifier(path, some())
    with pytest.raises(ModelError, match="objects apart, not cells"):
        load_classifier(path, "cells")
    with pytest.raises(PromptError, match="with the model embedded, not with sam2"):
        check_model(some(), "other", "sam2")
    check_model(some(), "fingerprint", "embedded")


@pytest.mark.parametrize(
    ("before", "now"), [("", "-bfloat16"), ("-float16", ""), ("-bfloat16", "-float16")]
)
def test_another_number_type_of_the_same_model_is_named(before, now):
    one = replace(some().classifier, model=f"embedded-1-ab{before}-x2")
    saved = replace(some(), classifier=one)
    wanted, other = (one.removeprefix("-") or "float32" for one in (before, now))
    says = f"in {wanted}, .* in {other} now: choose .*precision.* {wanted}"
    with pytest.raises(PromptError, match=says):
        check_model(saved, f"embedded-1-ab{now}-x2", "embedded")
    with pytest.raises(PromptError, match="other weights"):
        check_model(saved, f"embedded-1-ac{now}-x2", "embedded")


def test_another_file_is_replaced_only_where_that_is_allowed(tmp_path):
    path = tmp_path / "mine.samgeo-classes"
    save_classifier(path, some(), overwrite=False)
    before = path.read_bytes()
    save_classifier(path, some(), overwrite=False)  # as a run that was killed has left it
    path.write_bytes(b"another's")
    with pytest.raises(OutputError, match="exists already"):
        save_classifier(path, some(), overwrite=False)
    assert path.read_bytes() == b"another's"
    save_classifier(path, some())
    assert path.read_bytes() == before
