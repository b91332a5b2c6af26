# SPDX-License-Identifier: GPL-2.0-or-later
"""The STAC item of a job's layer."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ...addresses import without_secrets
from ...job import SegmentParameters
from ...layers.stac_item import Model, write_item
from ...models.catalogue import CATALOGUE, EMBEDDED
from ...sources.names import expand_sources
from ...sources.references import files_named
from ...sources.scenes import find_scenes
from ..result import JobResult

_NOT_SAID = frozenset(
    ("rasters", "output", "layer", "overwrite", "fresh", "job_folder", "stac_item", "sign")
)


def with_item(
    params: SegmentParameters,
    result: JobResult,
    segmenter: Any | None = None,
    dates: Sequence[str] | None = None,
) -> JobResult:
    """Write the STAC item of a finished job, where it was asked for.

    Args:
        params: Of the job.
        result: Of the job.
        segmenter: Of the caller's own, if any.
        dates: When the rasters were taken; None for what their names and side files say.

    Returns:
        The result as it was.

    Raises:
        OutputError: The item cannot be written.
    """
    if not params.stac_item:
        return result
    if dates is None:
        scenes = find_scenes(params.rasters, asset=params.asset, remote=params.allow_remote)
        dates = [scene.date for scene in scenes]
    names = expand_sources(params.rasters, asset=params.asset, remote=params.allow_remote)
    write_item(
        result.output,
        result.layer,
        model=_model(params, segmenter),
        sources=[_address(name) for name in names],
        dates=dates,
        options=_options(params),
        modified=_modified(names),
    )
    return result


def _model(params: SegmentParameters, segmenter: Any | None) -> Model:
    if segmenter is not None:
        name = str(getattr(segmenter, "name", "segmenter of the caller's own"))
        return Model(name, architecture=name)
    task = ("instance-segmentation", "object-detection") if params.words else None
    tasks: dict[str, Any] = {"tasks": task} if task else {}
    if params.model == EMBEDDED:
        return Model(EMBEDDED, architecture="SamGeo embedded", **tasks)
    known = CATALOGUE.get(params.model)
    family = str(getattr(known, "family", "Segment Anything"))
    return Model(Path(params.model).name, architecture=family, **tasks)


def _address(name: str) -> str:
    return re.sub(r"^/vsicurl/(?=https?://)", "", name)


def _options(params: SegmentParameters) -> dict[str, Any]:
    """What differs from the defaults, without secrets."""
    usual = SegmentParameters([], "")
    said = {}
    for known in fields(SegmentParameters):
        value = getattr(params, known.name)
        if known.name not in _NOT_SAID and value != getattr(usual, known.name):
            said[known.name] = without_secrets(value) if isinstance(value, str) else value
    return said


def _modified(names: Sequence[str]) -> datetime:
    times = [os.stat(file).st_mtime for name in names for file in files_named(name)]
    return datetime.fromtimestamp(max(times, default=0.0), timezone.utc)
