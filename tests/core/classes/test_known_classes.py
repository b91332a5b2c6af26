# SPDX-License-Identifier: GPL-2.0-or-later
from dataclasses import replace

import numpy as np
import pytest
from samgeo_core.classes.classifier import ClassifierOptions, fit
from samgeo_core.classes.examples import NONE
from samgeo_core.classes.features.known_classes import (
    NAMES,
    class_log_odds,
    known_class,
    known_classes,
)
from samgeo_core.classes.features.object_table import FeatureTable, block_of
from samgeo_core.classes.saved import SavedClassifier, load_classifier, save_classifier
from samgeo_core.errors import ModelError
from samgeo_core.models.embedded.classes import CLASSES

COLUMNS = tuple(f"{c}:{k}|in" for c in ("classes", "classes_by2") for k in range(len(CLASSES)))


def table(count=800, seed=0, right=2.0):
    """Objects of which every second is a building; ``right``: how much the model says so."""
    rng = np.random.default_rng(seed)
    truth = rng.random(count) < 0.5
    said_so = rng.normal(0, 1, (count, len(COLUMNS)))
    said_so[:, [0, len(CLASSES)]] += np.where(truth, right, -right)[:, None]
    looks = rng.normal(0, 1, (count, 40))
    looks[:, :3] += np.where(truth, 1.0, -1.0)[:, None]
    names = (*(f"image:{k}" for k in range(40)), *COLUMNS)
    values = np.concatenate([looks, said_so], axis=1).astype(np.float32)
    blocks = tuple(block_of(name) for name in names)
    return FeatureTable(values, names, blocks, np.ones(count, bool), "m"), truth


def share_right(found, truth, name, each=5, known=4.0):
    """Of five draws of examples, the mean share of objects that are told right."""
    shares = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        rows = np.concatenate(
            [rng.choice(np.flatnonzero(truth == k), each, replace=False) for k in (True, False)]
        )
        names = [name] * each + [NONE] * each
        one = fit(found, rows, names, (name, NONE), ClassifierOptions(known=known))
        shares.append(((one.probabilities(found)[:, 0] > 0.5) == truth).mean())
    return float(np.mean(shares))


@pytest.mark.parametrize("name", ["building", " Houses ", "ROOF", "Gebäude", "bâtiments"])
def test_names_of_the_models_own_classes_are_known(name):
    assert known_class(name) == CLASSES.index("building")


def test_other_names_are_not_and_each_word_means_one_class():
    for name in ("red roofs", "parking lot", "class 1", "", "examples"):
        assert known_class(name) is None
    words = [word for words in NAMES.values() for word in words.split()]
    assert len(words) == len(set(words))
    assert set(NAMES) <= set(CLASSES)


def test_what_the_model_knows_helps_a_few_examples_of_a_class_that_it_knows():
    found, truth = table()
    assert share_right(found, truth, "building") > share_right(found, truth, "of mine") + 0.02
    assert share_right(found, truth, "of mine") == share_right(found, truth, "building", known=0.0)


def test_what_the_examples_contradict_counts_little():
    found, truth = table(right=-1.0)  # what it takes for a building is none
    alone = share_right(found, truth, "of mine", 10)
    assert share_right(found, truth, "building", 10) == pytest.approx(alone, abs=0.01)


def test_models_without_classes_of_their_own_are_not_asked():
    found, _ = table()
    kept = [k for k, name in enumerate(found.names) if not name.startswith("classes_by2")]
    other = FeatureTable(
        found.values[:, kept],
        tuple(found.names[k] for k in kept),
        tuple(found.blocks[k] for k in kept),
        found.seen,
        "m",
    )
    assert known_classes(found, ("building", "house", "tree", "mine", NONE)) == (0, 3)
    assert known_classes(other, ("building", NONE)) == ()


def test_what_the_model_says_is_the_log_odds_of_its_classes():
    found, _ = table(count=20)
    names = list(found.names)
    near = found.values[:, [names.index(name) for name in COLUMNS[: len(CLASSES)]]]
    far = found.values[:, [names.index(name) for name in COLUMNS[len(CLASSES) :]]]
    logits = 0.6 * near + 0.4 * far
    share = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    share = share[:, [4, 0]]
    sure = np.minimum(share, 1 - share) > 0.01
    assert sure.mean() > 0.5
    found_odds, odds = class_log_odds(found, (4, 0)), np.log(share / (1 - share))
    assert found_odds[sure] == pytest.approx(odds[sure], abs=0.01)


def test_a_classifier_that_asks_the_model_comes_back_as_it_was(tmp_path):
    found, truth = table(count=60)
    rows = np.concatenate([np.flatnonzero(truth == k)[:5] for k in (True, False)])
    one = fit(found, rows, ["roof"] * 5 + [NONE] * 5, ("roof", NONE))
    path = tmp_path / "a.samgeo-classes"
    save_classifier(path, SavedClassifier(one, "objects", {}))
    back = load_classifier(path, "objects").classifier
    assert back.known == one.known == (0,)
    assert np.array_equal(back.probabilities(found), one.probabilities(found))
    for wrong in ((99,), (0, 1)):
        save_classifier(path, SavedClassifier(replace(one, known=wrong), "objects", {}))
        with pytest.raises(ModelError, match="cannot be read"):
            load_classifier(path, "objects")
    columns = tuple("x" for _ in one.names)
    save_classifier(path, SavedClassifier(replace(one, names=columns), "objects", {}))
    with pytest.raises(ModelError, match="own classes"):
        load_classifier(path, "objects")
