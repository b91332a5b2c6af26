# SPDX-License-Identifier: GPL-2.0-or-later
"""The STAC item of a job's layer."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from ...errors import OutputError
from ...job import SegmentParameters, option
from ...layers.provenance import read_provenance
from ...layers.stac_item import write_item
from ...sources.names import expand_sources
from ...sources.references import files_named
from ...sources.scenes import find_scenes


def write_stac_item(
    params: SegmentParameters,
    output: str,
    layer: str,
    folder: Path | None,
    dates: Sequence[str] | None = None,
) -> None:
    """Write the STAC item of a finished job beside its layer.

    Args:
        params: Of the job.
        output: The layer's file.
        layer: Its name.
        folder: The job's, which holds the file until it is whole.
        dates: When the rasters were taken; None for what their names and side files say.

    Raises:
        OutputError: The item cannot be written.
    """
    if dates is None:
        scenes = find_scenes(params.rasters, asset=params.asset, remote=params.allow_remote)
        dates = [scene.date for scene in scenes]
    names = expand_sources(params.rasters, asset=params.asset, remote=params.allow_remote)
    told = read_provenance(output, layer)
    if told is None:
        raise OutputError(
            f"{output} was changed while its STAC item was made: run the job again with "
            f"{option('overwrite')}, or without {option('stac_item')}."
        )
    write_item(
        output,
        layer,
        provenance=told,
        sources=[_address(name) for name in names],
        dates=dates,
        modified=_modified(names),
        folder=folder,
    )


def _address(name: str) -> str:
    return re.sub(r"^/vsicurl/(?=https?://)", "", name)


def _modified(names: Sequence[str]) -> datetime:
    times = [os.stat(file).st_mtime for name in names for file in files_named(name)]
    return datetime.fromtimestamp(max(times, default=0.0), timezone.utc)
