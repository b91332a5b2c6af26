# SPDX-License-Identifier: GPL-2.0-or-later
"""What all jobs do with their folder and their output: begin, write, tidy up."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyproj import CRS

from ..errors import SamGeoWarning
from ..job import SegmentParameters, option
from ..layers.formats import format_of
from ..layers.styles import Geometry
from ..layers.writer import LayerWriter, discard_leftovers
from ..masks.store import JobStore, has_failures
from ..parallel.executors import Executor, make_executor
from ..raster.crs import known_crs, same_crs
from ..raster.raster import Raster
from ..vectors.schema import Field


def job_folder(params: SegmentParameters) -> Path:
    """Where a job keeps what is finished."""
    return Path(params.job_folder or f"{params.output}.job")


def writer_for(
    params: SegmentParameters,
    raster: Raster,
    fields: Sequence[Field] = (),
    geometry: Geometry = "polygon",
) -> LayerWriter:
    """The writer of a job's output, which checks at once that it can be written.

    What an incomplete run of the same job has left may be replaced.
    """
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
        overwrite=params.overwrite or has_failures(job_folder(params)),
        modified=raster.modified,
        pixel=raster.ground_pixel,
        geometry=geometry,
        fields=fields,
    )


@contextmanager
def begun(
    params: SegmentParameters, cell: int, description: Mapping[str, Any]
) -> Iterator[JobStore]:
    """The job's folder, locked: a new one, or that of an interrupted run of the same job.

    Args:
        params: Of the job.
        cell: Side of a mask cell, working pixels.
        description: What the masks or polygons in it depend on.
    """
    store = JobStore(job_folder(params), cell)
    store.begin(description, fresh=params.fresh)
    try:
        discard_leftovers(params.output)
        yield store
    finally:
        store.release()


@contextmanager
def executor_for(params: SegmentParameters, store: JobStore) -> Iterator[Executor]:
    """The executor of a job, whose workers see the raster and the job's folder."""
    with make_executor(params.workers, params.cluster) as executor:
        rasters = [path for path in map(Path, params.rasters) if path.exists()]
        executor.require([store.folder, *rasters])
        yield executor


def finish(params: SegmentParameters, store: JobStore, failed: Sequence[str]) -> None:
    """Remove the folder of a job that is complete, unless the user named it."""
    if not failed and params.job_folder is None:
        store.remove()
