# SPDX-License-Identifier: GPL-2.0-or-later
"""What may be kept of a training: the trained weights, with or without a classifier of what is
accepted, or that classifier on the model before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ...classes.classifier import Classifier
from ...models.base import PromptableModel
from ...raster.raster import Raster
from .accepted import Known, find_candidates, fit_accepted, found_by, known_of, usual_hits
from .examples import Window
from .measure import Measured, measure_found

TRAINED = "trained"
TRAINED_CLASSIFIER = "trained, with a classifier"
CLASSIFIER_ALONE = "a classifier"
"""Names of them, as in a model's card."""


@dataclass(frozen=True, eq=False)
class Variant:
    """A model, what it accepts (None: what it finds), and its figures on what was held back."""

    model: PromptableModel
    classifier: Classifier | None
    figures: Measured


def with_classifiers(
    raster: Raster,
    before: Variant,
    trained: Variant,
    windows: Sequence[Window],
    held_back: Sequence[Window],
    label: str,
    *,
    alone: bool,
    points: int,
    report: Callable[[int, int], None],
) -> dict[str, Variant]:
    """The model before and the trained one, each with a classifier of its own candidates.

    Args:
        raster: Of the windows.
        before, trained: Without.
        windows: To fit to, all with a part in which everything is labelled.
        held_back: Windows in which the automatic mode is measured.
        label: Class of objects that have none.
        alone: Whether the model before may be kept with a classifier.
        points: Of the automatic mode, along a window's side.
        report: Told of progress.

    Returns:
        By name; without those of which too little is known.
    """
    if not windows or not held_back:
        return {}

    def known(variant: Variant) -> list[Known]:
        found = find_candidates(raster, variant.model, windows, points)
        return [known_of(some, label) for some in found]

    report(0, 4)
    before_known = known(before)
    info = before.model.info
    least = usual_hits(before_known, info.score_threshold, info.stability_threshold)
    report(1, 4)
    made = {}
    if alone:
        made[CLASSIFIER_ALONE] = _fitted(raster, before, before_known, least, held_back, points)
    report(2, 4)
    trained_known = known(trained)
    report(3, 4)
    made[TRAINED_CLASSIFIER] = _fitted(raster, trained, trained_known, least, held_back, points)
    report(4, 4)
    return {name: variant for name, variant in made.items() if variant is not None}


def _fitted(
    raster: Raster,
    variant: Variant,
    known: Sequence[Known],
    least: float,
    held_back: Sequence[Window],
    points: int,
) -> Variant | None:
    """A model with a classifier of its candidates, measured; None where too little is known."""
    classifier = fit_accepted(known, least)
    if classifier is None:
        return None
    found = found_by(classifier, raster, variant.model, held_back, points)
    return Variant(variant.model, classifier, measure_found(variant.figures, found, held_back))
