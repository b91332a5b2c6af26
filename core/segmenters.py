# SPDX-License-Identifier: GPL-2.0-or-later
"""A job's parameters -> the segmenter that does it; called once in every worker process."""

from __future__ import annotations

from .automatic import AutomaticOptions, AutomaticSegmenter
from .errors import ParameterError
from .job import SegmentParameters
from .models.base import ConceptModel, PromptableModel
from .segmenter import Segmenter


def make_segmenter(params: SegmentParameters) -> Segmenter:
    """The segmenter for tiles: words where there are words, else everything by itself.

    Raises:
        ModelError: The model is unknown, lacks an ability, or cannot be loaded.
        ParameterError: An option is out of range.
    """
    # torch takes seconds and 300 MB to import; only jobs that run a model pay for it.
    from .models.registry import load_model

    model = load_model(params.model, device=params.device, threads=params.threads)
    if params.words:
        return _concepts(params, model)
    if not isinstance(model, PromptableModel):
        raise ParameterError(
            f"The model {params.model} needs words: name what to look for with --word."
        )
    options = AutomaticOptions(
        points_per_side=params.points_per_side,
        score_threshold=params.min_score,
        stability_threshold=params.min_stability,
    )
    return AutomaticSegmenter(model, options)


def _concepts(params: SegmentParameters, model: PromptableModel | ConceptModel) -> Segmenter:
    from .concepts import ConceptSegmenter
    from .models.registry import load_model

    finder: PromptableModel | ConceptModel = model
    if params.detector is not None:
        finder = load_model(params.detector, device=params.device, threads=params.threads)
    if not isinstance(finder, ConceptModel):
        raise ParameterError(
            f"The model {params.detector or params.model} does not understand words: "
            "name one that does with --detector, for instance grounding-dino-tiny."
        )
    promptable = model if isinstance(model, PromptableModel) else None
    return ConceptSegmenter(finder, params.words, promptable, min_score=params.min_score)
