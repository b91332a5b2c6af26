# SPDX-License-Identifier: GPL-2.0-or-later
"""What may be kept of a training: the trained weights, with or without a classifier of what is
accepted, or that classifier on the model before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ...classes.classifier import Classifier
from ...models.base import PromptableModel
from ...raster.raster import Raster
from .accepted import accepted, find_candidates, fit_accepted, known_of, usual_hits
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
    made: dict[str, Variant] = {}
    asked = {TRAINED_CLASSIFIER: trained} | ({CLASSIFIER_ALONE: before} if alone else {})
    info = before.model.info
    least: float | None = None
    for number, variant in enumerate([before, trained]):
        name = {id(v): k for k, v in asked.items()}.get(id(variant))
        report(2 * number, 4)
        found = find_candidates(raster, variant.model, windows, points)
        known = [known_of(some, label) for some in found]
        if least is None:
            least = usual_hits(known, info.score_threshold, info.stability_threshold)
        classifier = fit_accepted(known, least) if known and name is not None else None
        report(2 * number + 1, 4)
        if classifier is None or name is None:
            continue
        there = {
            id(some.window): accepted(classifier, some)
            for some in find_candidates(raster, variant.model, held_back, points)
        }
        figures = measure_found(
            variant.figures, [there.get(id(window), []) for window in held_back], held_back
        )
        made[name] = Variant(variant.model, classifier, figures)
    report(4, 4)
    return made
