# SPDX-License-Identifier: GPL-2.0-or-later
"""Segment a raster into a layer, automatically or from prompts."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from ..job import Progress, SegmentParameters
from ..raster.raster import open_raster
from ..segmenters.segmenter import Segmenter
from .automatic import segment_tiles_of
from .options import raster_options, with_absolute_paths
from .prompts import segment_prompts
from .result import JobResult, reported
from .stages.prompt_stage import ModelFactory
from .stages.tile_stage import SegmenterFactory


def segment_raster(
    params: SegmentParameters,
    *,
    segmenter: Segmenter | SegmenterFactory | None = None,
    model: ModelFactory | None = None,
    cached: bool = True,
    progress: Callable[[Progress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> JobResult:
    """Run a job without classes of examples, whose options are checked.

    The arguments are those of :func:`~.run.run`.

    Raises:
        SamGeoError: See ``errors.py``; no partial output stays.
    """
    if params.cluster:
        params = with_absolute_paths(params)
    started = time.monotonic()
    with (
        reported(progress, cancelled) as (report, notes),
        open_raster(params.rasters, raster_options(params)) as raster,
    ):
        if params.prompts is not None:
            result = segment_prompts(params, raster, model, cached, report)
        else:
            result = segment_tiles_of(params, raster, segmenter, report)
    return replace(result, seconds=time.monotonic() - started, warnings=notes)
