# SPDX-License-Identifier: GPL-2.0-or-later
"""What all jobs do with their folder and their output: begin, write, tidy up."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pyproj import CRS

from ..errors import ParameterError, SamGeoWarning
from ..job import SegmentParameters, option
from ..layers.formats import format_of
from ..layers.inputs import check_not_input, layer_input, raster_input
from ..layers.publish import real_path
from ..layers.styles import Geometry
from ..layers.writer import LayerWriter
from ..masks.job_folder import JobFolder
from ..masks.store import JobStore
from ..parallel.executors import Executor, make_executor
from ..raster.crs import known_crs, same_crs
from ..raster.raster import Raster
from ..vectors.schema import Field
from .finished import Record, earlier_result, made_by
from .result import JobResult


def job_folder(params: SegmentParameters) -> Path:
    """Where a job keeps what is finished.

    Raises:
        ParameterError: It is the output itself.
    """
    folder = Path(params.job_folder or f"{params.output}.job")
    if real_path(folder) == real_path(params.output):
        raise ParameterError(
            f"{option('job_folder')} {folder} is the output itself: name another folder."
        )
    return folder


def writer_for(
    params: SegmentParameters,
    raster: Raster,
    fields: Sequence[Field] = (),
    geometry: Geometry = "polygon",
) -> LayerWriter:
    """The writer of a job's output, which checks at once that it can be written.

    An output that an earlier run of the job may have made is looked at again in :func:`begun`.

    Raises:
        OutputError: It cannot be written, or it is one of the job's inputs.
    """
    inputs = [
        raster_input(raster.files),
        *layer_input("the prompts", params.prompts, params.prompts_layer),
        *layer_input("the area of interest", params.area, params.area_layer),
    ]
    check_not_input(params.output, params.layer, inputs)
    degrees = params.crs is not None and format_of(Path(params.output)).wgs84
    if degrees and not same_crs(known_crs(params.crs), CRS.from_epsg(4326)):
        warnings.warn(
            f"GeoJSON is always in WGS 84: {option('crs')} {params.crs} is passed over. Write "
            "another format, a .gpkg for example, to have it.",
            SamGeoWarning,
            stacklevel=2,
        )
    return LayerWriter(
        params.output,
        params.crs or raster.crs,
        source_crs=raster.crs,
        layer_name=params.layer,
        overwrite=params.overwrite or Record.of(JobFolder(job_folder(params))) is not None,
        modified=raster.modified,
        pixel=raster.ground_pixel,
        geometry=geometry,
        fields=fields,
    )


@dataclass(frozen=True)
class BegunJob:
    """A job whose folder is locked.

    Args:
        store: Its folder.
        made: Digest of all that its features depend on.
        earlier: The result where an earlier run has finished it, else None.
    """

    store: JobStore
    made: str
    earlier: JobResult | None

    def keep_record(
        self,
        writer: LayerWriter,
        tiles: int,
        failed: Sequence[str],
        digest: str,
        warnings: Sequence[str] = (),
    ) -> None:
        """Note what the writer is about to put in place, for a run that comes after a kill.

        Args:
            writer: Has all features.
            tiles: Tiles or batches that were done.
            failed: Those that failed, with their reasons.
            digest: Of the output.
            warnings: What the result has to say besides.
        """
        result = asdict(result_of(writer, tiles, failed, warnings))
        output = str(real_path(writer.path))
        Record(self.made, output, writer.layer_name, digest, result).keep(self.store)


def result_of(
    writer: LayerWriter, tiles: int, failed: Sequence[str], warnings: Sequence[str] = ()
) -> JobResult:
    """What a job has made, once its writer has all features."""
    output = str(writer.path)
    return JobResult(
        output, writer.layer_name, writer.count, tiles, list(failed), warnings=list(warnings)
    )


@contextmanager
def begun(
    params: SegmentParameters, writer: LayerWriter, cell: int, description: Mapping[str, Any]
) -> Iterator[BegunJob]:
    """The job's folder, locked: a new one, or that of an interrupted run of the same job.

    Args:
        params: Of the job.
        writer: Of its output.
        cell: Side of a mask cell, working pixels.
        description: What the masks or polygons in it depend on.

    Raises:
        OutputError: The output exists and may not be replaced. What an incomplete run of the same
            job has left may be.
    """
    store = JobStore(job_folder(params), cell)
    before = Record.of(store)
    store.begin(description, fresh=params.fresh)
    try:
        made = made_by(params, description)
        earlier = earlier_result(store, writer, params, before, made)
        yield BegunJob(store, made, None if earlier is None else JobResult(**earlier))
    finally:
        store.release()


@contextmanager
def executor_for(params: SegmentParameters, store: JobStore) -> Iterator[Executor]:
    """The executor of a job, whose workers see the raster and the job's folder."""
    with make_executor(params.workers, params.cluster) as executor:
        rasters = [path for path in map(Path, params.rasters) if path.exists()]
        executor.require([store.folder, *rasters])
        yield executor


def finish(params: SegmentParameters, job: BegunJob, result: JobResult) -> JobResult:
    """Remove the folder of a job that is complete, unless the user named it; the result."""
    if not result.failed and params.job_folder is None:
        job.store.remove()
    return result
