# SPDX-License-Identifier: GPL-2.0-or-later
"""One job, from its parameters to a layer: automatic or prompted, the same life for both."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from ..job import Progress, SegmentParameters
from ..parallel.cancellation import stopped_by
from ..parallel.executors import check_main_module
from ..raster.raster import open_raster
from ..segmenters.segmenter import Segmenter
from .automatic import segment_tiles_of
from .class_options import has_classes
from .opened import close_all
from .options import check_options, raster_options, with_absolute_paths
from .prompt_stage import ModelFactory
from .prompts import segment_prompts
from .result import JobResult, Report, collected_warnings
from .tile_stage import SegmenterFactory

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
        params: What to do.
        segmenter: Instead of ``params.model`` in automatic mode: a segmenter, or a picklable
            function that makes one in each worker.
        model: Instead of ``params.model`` with prompts: a picklable function that makes a
            promptable model in each worker.
        cached: Whether embeddings of a prompted job are kept on disk for later jobs and sessions.
        progress: Called with each step.
        cancelled: Asked between and within tiles and batches of prompts; True stops the job with
            ``Cancelled``.

    Returns:
        What was made. Where only some tiles or batches failed, the output is written and
        ``JobResult.failed`` names them; each prompt without a polygon is named in ``warnings``.

    Raises:
        SamGeoError: See ``errors.py``; no partial output stays.
    """
    check_main_module()
    check_options(params, own_segmenter=segmenter is not None)
    if params.rules or has_classes(params):
        # Candidates first, which come back here, then their classes.
        from .classify import segment_classes

        return segment_classes(params, segmenter=segmenter, progress=progress, cancelled=cancelled)
    if params.cluster:
        params = with_absolute_paths(params)
    started = time.monotonic()
    report = Report(progress, cancelled)
    with collected_warnings() as notes:
        try:
            with (
                stopped_by(report.check),
                open_raster(params.rasters, raster_options(params)) as raster,
            ):
                if params.prompts is not None:
                    result = segment_prompts(params, raster, model, cached, report)
                else:
                    result = segment_tiles_of(params, raster, segmenter, report)
        finally:
            close_all()
    return replace(result, seconds=time.monotonic() - started, warnings=notes)
