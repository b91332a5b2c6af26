# SPDX-License-Identifier: GPL-2.0-or-later
"""Recognise a job that was killed after its output was in place as finished.

Just before an output appears, the job's folder gets a record of it: a digest of its content, of
what it was made by, and the result to report. The next run compares both: only an output that
nobody has edited since, made by the same job, counts as finished.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import ParameterError
from ..job import option
from ..layers.provenance import NOT_OF_THE_RESULT
from ..layers.publish import real_path
from ..layers.record import Record, stamps
from ..layers.writer import LayerWriter
from ..masks.job_folder import JobFolder
from ..sources.vector_input.paths import parts_of
from .options import JobParameters


def made_by(
    params: JobParameters, description: Mapping[str, Any], changed: Collection[str] = ()
) -> str:
    """Digest of all that a job's features depend on.

    Args:
        params: The job.
        description: What its masks depend on, as in the job's folder.
        changed: Parameters that name files which the job itself changes.
    """
    options = {k: v for k, v in params.to_dict().items() if k not in NOT_OF_THE_RESULT}
    named = ("area", "prompts", "input", "examples", "exemplars", "classifier")
    names = [name for name in named if name not in changed]
    paths = [getattr(params, name, None) for name in names]
    paths += [*getattr(params, "like", ()), *getattr(params, "unlike", ())]
    stamps = [sizes_and_times(path) for path in paths]
    text = json.dumps([__version__, options, stamps, description], sort_keys=True, default=str)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def earlier_result(
    store: JobFolder,
    writer: LayerWriter,
    params: JobParameters,
    before: Record | None,
    made: str,
) -> Mapping[str, Any] | None:
    """What an earlier run has to report, if the job is done; else check that its output may be.

    Args:
        store: The job's folder, locked.
        writer: Of the output.
        params: The job.
        before: The record that was there before the folder was locked, and perhaps cleared.
        made: From :func:`made_by`.

    Raises:
        OutputError: The output exists and may not be replaced.
    """
    record = Record.of(store) or before
    if record is not None and not record.is_of(writer):
        record = None
    if record is not None and record.complete and record.made_by == made and not params.fresh:
        return record.result
    # An output that lacks failed tiles is replaced once they are done.
    incomplete = record is not None and not record.complete
    writer.check(overwrite=params.overwrite or incomplete)
    return None


def sizes_and_times(path: str | None) -> list[int]:
    """What tells a layer from an edited one, for ``path`` and ``path|layername=...`` alike.

    Returns:
        As from :func:`~samgeo_core.layers.record.stamps`, without names; empty where there is no
        file.
    """
    if not path:
        return []
    found = stamps(parts_of(path, None)[0])
    return [number for _, *facts in found if any(facts) for number in facts]


def check_job_folder(params: JobParameters) -> Path:
    """The job's folder.

    Raises:
        ParameterError: It is the output itself.
    """
    folder = Path(params.job_folder or f"{params.output}.job")
    if real_path(folder) == real_path(params.output):
        raise ParameterError(
            f"{option('job_folder')} {folder} is the output itself: name another folder."
        )
    return folder
