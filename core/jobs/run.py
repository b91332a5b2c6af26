# SPDX-License-Identifier: GPL-2.0-or-later
"""One job, from its parameters to a layer: automatic or prompted, one raster or many."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..job import Progress, SegmentParameters
from ..parallel.executors import check_main_module
from ..parameters import checked
from ..segmenters.segmenter import Segmenter
from ..sources.names import expand_sources
from ..sources.scenes import signed
from .one_raster import check_min_class_prob, segment_one
from .options import check_options
from .precision import decided
from .result import JobResult, Report
from .scenes.run_scenes import segment_scenes
from .stages.prompt_stage import ModelFactory
from .stages.tile_stage import SegmenterFactory

__all__ = ["JobResult", "Report", "run"]


def run(
    params: SegmentParameters,
    *,
    segmenter: Segmenter | SegmenterFactory | None = None,
    model: ModelFactory | None = None,
    cached: bool = True,
    progress: Callable[[Progress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> JobResult:
    """Run a job, or go on with one that was interrupted.

    Args:
        params: What to do; checked as ``SegmentParameters.from_dict`` does.
        segmenter: Instead of ``params.model`` in automatic mode: a segmenter, or a picklable
            function that makes one in each worker.
        model: Instead of ``params.model`` with prompts: a picklable function that makes a
            promptable model in each worker.
        cached: Whether embeddings of a prompted job are kept on disk for later jobs and sessions.
        progress: Called with each step.
        cancelled: Asked between and within tiles and batches of prompts; True stops the job with
            ``Cancelled``.

    Returns:
        What was made. Where only some tiles, batches or scenes failed, the output is written and
        ``JobResult.failed`` names them; each prompt without a polygon is named in ``warnings``.

    Raises:
        SamGeoError: See ``errors.py``; no partial output stays.
    """
    check_main_module()
    params = checked(params)
    check_options(params, own_segmenter=segmenter is not None)
    check_min_class_prob(params, own_segmenter=segmenter is not None)
    params = decided(params)
    given: dict[str, Any] = {"segmenter": segmenter, "progress": progress, "cancelled": cancelled}
    if params.scenes != "mosaic":
        return segment_scenes(params, **given)
    if params.asset is not None or params.sign is not None:
        names = expand_sources(params.rasters, asset=params.asset, remote=params.allow_remote)
        params = replace(params, rasters=[signed(name, params.sign) for name in names])
    return segment_one(params, model=model, cached=cached, **given)
