# SPDX-License-Identifier: GPL-2.0-or-later
import numpy as np
import pytest
from samgeo_core.classes.classifier import AREA, ClassifierOptions, fit
from samgeo_core.classes.features.object_table import FeatureTable
from samgeo_core.errors import PromptError


def table(count=600, noise=1.0, classes=2, seed=0):
    """Rows whose class shows in a few of 60 columns, with the true class of each."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, count)
    hidden = rng.normal(0, 1, (classes, 6)) * 2
    values = np.concatenate([hidden[truth] + rng.normal(0, noise, (count, 6)),
                             rng.normal(0, 1, (count, 54))], axis=1)  # fmt: skip
    values = values @ rng.normal(0, 1, (60, 60)) / 8
    names = tuple(f"image:{k}" for k in range(60))
    blocks = ("encoder",) * 40 + ("colour",) * 20
    return (
        FeatureTable(values.astype(np.float32), names, blocks, np.ones(count, bool), "m"),
        truth,
    )


def trained(found, truth, each, seed=0, options=None):
    rng = np.random.default_rng(seed)
    names = ["a", "b", "c", "d"][: truth.max() + 1]
    rows = np.concatenate(
        [rng.choice(np.flatnonzero(truth == k), each, replace=False) for k in range(len(names))]
    )
    return fit(found, rows, [names[k] for k in truth[rows]], names, options)


def right(found, truth, each, seed=0):
    said = trained(found, truth, each, seed).probabilities(found)
    return float((said.argmax(axis=1) == truth).mean())


def test_five_examples_are_right_and_more_are_better():
    found, truth = table(noise=1.5)
    five, many = (np.mean([right(found, truth, n, seed) for seed in range(4)]) for n in (5, 60))
    assert five > 0.85
    assert many > five
    assert many > 0.97


def test_several_classes_are_told_apart():
    found, truth = table(noise=1.0, classes=4)
    ten, forty = (np.mean([right(found, truth, n, seed) for seed in range(4)]) for n in (10, 40))
    assert ten > 0.86
    assert forty > 0.93


@pytest.mark.parametrize("each", [10, 40])
def test_probabilities_are_about_what_is_true(each):
    errors = []
    for seed in range(4):
        found, truth = table(count=2000, noise=2.5, seed=seed)
        said = trained(found, truth, each, seed).probabilities(found)[:, 1]
        bins = np.minimum((said * 10).astype(int), 9)
        errors.append(
            sum(
                (bins == k).mean() * abs(said[bins == k].mean() - truth[bins == k].mean())
                for k in np.unique(bins)
            )
        )
    assert np.mean(errors) < 0.1


def test_frequent_classes_are_likelier_once_there_are_examples_enough():
    found, truth = table(count=3000, noise=3.0)
    rare = np.concatenate([np.flatnonzero(truth == 0), np.flatnonzero(truth == 1)[:150]])
    few, truth = found.rows(np.sort(rare)), truth[np.sort(rare)]
    said = trained(few, truth, 60).probabilities(few)[:, 1].mean()
    equal = trained(few, truth, 60, options=ClassifierOptions(frequency=0.0))
    assert said < equal.probabilities(few)[:, 1].mean()


def test_a_linear_classifier_is_its_weights():
    found, truth = table()
    one = trained(found, truth, 10, options=ClassifierOptions(clip=None))
    weights, bias = one.linear()
    assert np.allclose(found.values @ weights.T + bias, one.logits(found), atol=2e-3)
    with pytest.raises(ValueError, match="clips"):
        trained(found, truth, 10).linear()


def test_another_models_features_are_refused():
    found, truth = table()
    one = trained(found, truth, 5)
    other = FeatureTable(found.values, found.names, found.blocks, found.seen, "another")
    with pytest.raises(PromptError, match="another model"):
        one.probabilities(other)


def test_the_same_examples_give_the_same_bytes():
    found, truth = table()
    one, two = (trained(found, truth, 10).weights.tobytes() for _ in range(2))
    assert one == two


def test_a_class_of_one_example_and_columns_that_say_nothing_do_no_harm():
    found, truth = table()
    values = found.values.copy()
    values[:, 7] = 3.0
    flat = FeatureTable(values, found.names, found.blocks, found.seen, "m")
    rows = np.array([int(np.flatnonzero(truth == 0)[0]), int(np.flatnonzero(truth == 1)[0])])
    said = fit(flat, rows, ["a", "b"], ["a", "b"]).probabilities(flat)
    assert np.isfinite(said).all()
    assert said[rows[0], 0] > 0.5
    assert said[rows[1], 1] > 0.5


def test_what_is_clearly_smaller_than_the_smallest_example_is_too_small():
    found, truth = table()
    size = np.linspace(2, 8, len(truth)).astype(np.float32)
    sized = FeatureTable(
        np.column_stack([found.values, size]), (*found.names, AREA), (*found.blocks, "shape"),
        found.seen, found.model,
    )  # fmt: skip
    for each in (4, 25):
        rows = np.concatenate([np.flatnonzero((truth == k) & (size > 5))[:each] for k in (0, 1)])
        named = ["roof"] * each + [""] * each
        one = fit(sized, rows, named, ("roof", ""))
        least = size[rows[:each]].min() - each**-0.5
        assert one.smallest[0] == pytest.approx(least)
        roofs, others = np.zeros(len(truth), np.int64), np.ones(len(truth), np.int64)
        assert (one.too_small(sized, roofs) == (size < least)).all()
        assert not one.too_small(sized, others).any()
    assert not trained(found, truth, 5).too_small(found, truth).any()  # no areas are known
