# SPDX-License-Identifier: GPL-2.0-or-later
"""One raster or mosaic, with or without classes of examples.

scikit-learn takes seconds to import in each worker process: what needs it is imported where classes
or rules are asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..errors import ParameterError
from ..job import Progress, SegmentParameters, option
from ..models.catalogue import CATALOGUE
from ..segmenters.segmenter import Segmenter
from .options import has_classes, is_given
from .result import JobResult
from .segment_raster import segment_raster
from .stages.prompt_stage import ModelFactory
from .stages.tile_stage import SegmenterFactory


def with_own_classifier(params: SegmentParameters) -> SegmentParameters:
    """The same with what a trained model has learned to keep, where its automatic mode is asked for
    and no examples are given."""
    by_itself = params.prompts is None and not params.words and params.exemplars is None
    if not by_itself or params.proposals == "grid" or has_classes(params):
        return params
    # torch takes seconds to import: only models of this name or path have such a file.
    if params.model in CATALOGUE:
        return params
    from ..models.weights.checkpoints import locate
    from ..models.weights.own import classifier_of

    found = classifier_of(locate(params.model).path)
    return params if found is None else replace(params, classifier=str(found))


def check_min_class_prob(params: SegmentParameters, *, own_segmenter: bool = False) -> None:
    """Refuse a least probability that nobody would ask for.

    The classes that the embedded model gives its objects by itself are kept whatever their
    probability: the field ``class_prob`` is there to choose by.

    Raises:
        ParameterError: There are neither examples nor a classifier.
    """
    if not is_given(params, "min_class_prob"):
        return
    if not has_classes(params if own_segmenter else with_own_classifier(params)):
        raise ParameterError(
            f"{option('min_class_prob')} {params.min_class_prob:g} is about classes from examples, "
            f"and there are none: leave it out, or give {option('examples')}, {option('like')} or "
            f"{option('classifier')}."
        )


def segment_one(
    params: SegmentParameters,
    *,
    segmenter: Segmenter | SegmenterFactory | None = None,
    model: ModelFactory | None = None,
    cached: bool = True,
    progress: Callable[[Progress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> JobResult:
    """One raster, or several as a mosaic, into one layer; the arguments are those of ``run``."""
    given: dict[str, Any] = {"segmenter": segmenter, "progress": progress, "cancelled": cancelled}
    if segmenter is None:
        params = with_own_classifier(params)
    if params.rules or has_classes(params):
        from .classes.segment_classes import segment_classes

        return segment_classes(params, **given)
    return segment_raster(params, model=model, cached=cached, **given)
