# SPDX-License-Identifier: GPL-2.0-or-later
"""Build the segmenter for a job's parameters; called once in every worker process.

torch takes seconds and 300 MB to import: the models are imported here only when one is made, so
that jobs with a segmenter of the caller's own never pay for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal, cast

from ..errors import ParameterError
from ..job import SegmentParameters, option
from ..models.base import ConceptModel, PromptableModel
from ..models.catalogue import EMBEDDED
from ..raster.raster import Raster
from ..segmenters.automatic import AutomaticOptions, AutomaticSegmenter
from ..segmenters.exemplars import ExemplarBox, ExemplarSegmenter, cut_exemplars
from ..segmenters.proposers import Proposer
from ..segmenters.segmenter import Segmenter
from ..segmenters.words import ConceptOptions, concept_segmenter
from .scale import scaled
from .stages.opened import loaded_once
from .stages.prompt_stage import ModelFactory

FinderFactory = Callable[[str], ConceptModel]
"""Loads a model that understands words, by its name or path."""


def make_segmenter(
    params: SegmentParameters,
    load: ModelFactory | None = None,
    find: FinderFactory | None = None,
) -> Segmenter:
    """The segmenter for tiles: words where there are words, else everything by itself.

    Args:
        params: Of the job; its scale is chosen, and models that have no choice pass it over.
        load: Loads the model, instead of ``params.model``.
        find: Loads the model of the words, instead of ``params.detector`` or ``params.model``.

    Raises:
        ModelError: The model is unknown, lacks an ability, or cannot be loaded.
        ParameterError: An option is out of range, or not for this model.
        PromptError: A word is empty.
    """
    if params.words:
        return _for_words(params, load, find)
    model = _loaded(params) if load is None else load()
    scale = params.scale or 1.0
    model = scaled(model, scale, None)
    proposes = bool(getattr(model, "proposes", False))
    way = params.proposals
    if way == "auto":
        way = "embedded" if proposes else "grid"
    if params.classes and not proposes:
        raise ParameterError(
            f"{model.info.name} knows no classes of its own: leave {option('classes')} out, "
            f"or choose the "
            "embedded model."
        )
    proposer = None
    if way == "embedded":
        found = model if proposes else scaled(_embedded(params), scale, None)
        proposer = cast(Proposer, found)
    options = AutomaticOptions(
        proposals=cast(Literal["grid", "embedded"], way),
        classes=tuple(params.classes),
        points_per_side=params.points_per_side,
        score_threshold=params.min_score,
        stability_threshold=params.min_stability,
    )
    if params.classes and getattr(model, "judges", False):
        options = for_classes(options, model, params.min_score)
    return AutomaticSegmenter(model, options, proposer)


def for_classes(
    options: AutomaticOptions, model: PromptableModel, asked: float | None
) -> AutomaticOptions:
    """Options for a map of the embedded model's classes: masks are judged a second time.

    Args:
        options: Of automatic mode; their classes stay.
        model: Judges masks.
        asked: Least score of a second estimate; None: :data:`BUILDING_SCORE` for buildings.
    """
    default = model.info.score_threshold
    return replace(
        options,
        score_threshold=default if asked is None else min(asked, default),
        judged_score=0.0 if asked is None else asked,
        building_score=BUILDING_SCORE if asked is None else asked,
    )


BUILDING_SCORE = 0.45
"""Least score of a building in a map of the embedded model's classes. On what was held back
(model of the seventh generation) precision and recall with 0.4 and 0.45: Banepa's south-west .48
and .51, .54 and .48; Nairobi and Catanduanes .38 and .58, .41 and .55; Claremont .57 and .71, .62
and .68; composed scenes .29 and .22, .31 and .20; a sample scene 1.00 and 1.00, 1.00 and .99. The
mean F1 is .568 and .573; with the sixth generation .572 and .573, with the eighth .619 and .626 (on
fewer pictures)."""


def _loaded(params: SegmentParameters) -> PromptableModel:
    from ..models.load import load_model

    asked = params.model, params.device, params.threads, params.precision
    return loaded_once(asked, partial(load_model, *asked))


def _embedded(params: SegmentParameters) -> Any:
    """The model that proposes prompts for another one."""
    from ..models.load import load_model

    asked = EMBEDDED, params.device, params.threads
    return loaded_once(asked, partial(load_model, *asked))


def _for_words(
    params: SegmentParameters, load: ModelFactory | None, find: FinderFactory | None
) -> Segmenter:
    name = params.detector or params.model
    finder = _finder(params, name) if find is None else find(name)
    masker = None
    if params.detector is not None:
        masker = _loaded(params) if load is None else load()
    if masker is None:
        _check_precision(params)
    options = ConceptOptions(min_score=params.min_score)
    return concept_segmenter(finder, params.words, masker, options)


def make_exemplar_segmenter(
    params: SegmentParameters,
    boxes: Sequence[ExemplarBox],
    raster: Raster,
    find: FinderFactory | None = None,
) -> Segmenter:
    """The segmenter that finds what exemplars show.

    Args:
        params: Of the job.
        boxes: Around the exemplars.
        raster: What they lie on; open.
        find: As in :func:`make_segmenter`.

    Raises:
        ModelError: The model takes no exemplars, or cannot be loaded.
        PromptError: No exemplar is usable.
    """
    if params.detector is None:
        _check_precision(params)
    name = params.detector or params.model
    finder = _finder(params, name) if find is None else find(name)
    options = ConceptOptions(min_score=params.min_score)
    return ExemplarSegmenter(finder, cut_exemplars(raster, boxes), options)


def exemplar_segmenter_of(
    params: SegmentParameters, boxes: Sequence[ExemplarBox], spec: Mapping[str, Any]
) -> Segmenter:
    """The same in a worker, which opens the raster from its spec."""
    with Raster.from_spec(spec) as raster:
        return make_exemplar_segmenter(params, boxes, raster)


def _check_precision(params: SegmentParameters) -> None:
    if params.precision not in ("auto", "float32", "fastest"):
        raise ParameterError(
            f"{params.model} finds words in float32: leave the precision {params.precision} out."
        )


def _finder(params: SegmentParameters, name: str) -> ConceptModel:
    """A model that understands words, of this process."""
    from ..models.words import load_concepts

    asked = name, params.device, params.threads
    return loaded_once(("words", *asked), partial(load_concepts, *asked))


CANDIDATES = 0.9, 0.75
"""Of a model's own thresholds of score and stability, what candidates for classes must reach."""


def make_candidates(
    params: SegmentParameters,
    load: ModelFactory | None = None,
    find: FinderFactory | None = None,
    *,
    judge_again: bool = True,
) -> Segmenter:
    """The segmenter for objects that are classified afterwards: it leaves less out.

    Pairs of parts of buildings are not asked for. Two houses side by side in one mask look as much
    like a building as one does, and being larger took the place of both: with pairs, F1 with ten
    examples was .520 to .329 on Banepa west, .499 to .347 in Nairobi, .544 to .401 on Catanduanes.

    Args:
        params: As of :func:`make_segmenter`.
        load: Loads the model, instead of ``params.model``: it was loaded already, perhaps.
        find: Likewise the model of the words.
        judge_again: Let the embedded model judge its masks a second time.

    Raises:
        SamGeoError: As :func:`make_segmenter`.
    """
    segmenter = make_segmenter(params, load, find)
    if not isinstance(segmenter, AutomaticSegmenter):
        return segmenter
    info = segmenter.model.info
    score, stability = CANDIDATES
    least, asked = info.score_threshold * score, params.min_score
    proposed = segmenter.proposer is not None  # else a grid's masks, which are judged once
    again = judge_again and proposed and bool(getattr(segmenter.model, "judges", False))
    if asked is not None:  # of the score that is written
        least = min(least, asked) if again else asked
    options = replace(
        segmenter.options,
        score_threshold=least,
        stability_threshold=info.stability_threshold * stability
        if params.min_stability is None
        else params.min_stability,
        pairs=False,
        judged_score=(asked or 0.0) if again else None,
    )
    return AutomaticSegmenter(segmenter.model, options, segmenter.proposer)
