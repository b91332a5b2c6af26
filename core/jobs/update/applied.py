# SPDX-License-Identifier: GPL-2.0-or-later
"""Changes of the old layer that were made by a run which was killed before it could say so.

The changed layer is another input, so that its run would be another job. The record of the output
therefore says, just before the old layer is changed, how that will be.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ...errors import OutputError
from ...job import UpdateParameters
from ...layers.geopackage import layer_digest
from ...layers.record import Record
from ...masks.job_folder import JobFolder
from ...raster.raster import Raster
from ..finished import check_job_folder, made_by
from ..result import JobResult


def asked_of(params: UpdateParameters, raster: Raster) -> str:
    """Digest of what was asked, whatever the old layer holds."""
    return made_by(params, {"raster": raster.description}, changed=("input",))


def noting(store: JobFolder, asked: str, result: JobResult) -> Callable[[str], None]:
    """A function that notes the digest of the changed layer, just before it is changed.

    Args:
        store: The job's folder, with the record of the output.
        asked: From :func:`asked_of`.
        result: To report once the layer is changed.
    """

    def note(digest: str) -> None:
        record = Record.of(store)
        if record is not None:
            changed = {"asked": asked, "digest": digest, "result": asdict(result)}
            replace(record, changed=changed).keep(store)

    return note


def applied_before(
    params: UpdateParameters, asked: str, layer: str, output_layer: str
) -> Mapping[str, Any] | None:
    """What a run has to report whose output is there, and whose changes are made; its folder goes.

    Args:
        params: Of the job.
        asked: From :func:`asked_of`.
        layer: Name of the old layer.
        output_layer: Name of the new one.

    Raises:
        JobError: Another process works on the job.
    """
    store = JobFolder(check_job_folder(params))
    record = Record.of(store)
    if record is None or params.fresh or record.changed.get("asked") != asked:
        return None
    if not record.is_at(params.output, output_layer):
        return None
    now = None
    with contextlib.suppress(OutputError):
        now = layer_digest(Path(params.input.partition("|")[0]), layer)
    if now is None or now != record.changed.get("digest"):
        return None
    result: Mapping[str, Any] = record.changed["result"]
    if params.job_folder is None:
        store.remove_all()
    else:
        store.forget_finished()
    return result
