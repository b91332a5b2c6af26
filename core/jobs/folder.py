# SPDX-License-Identifier: GPL-2.0-or-later
"""Job folder and output: check, begin, write once, clean up; shared by all jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pyproj import CRS

from ..earth.crs import known_crs, same_crs
from ..job import SegmentParameters, option
from ..layers.formats import format_of
from ..layers.inputs import Input, check_not_input, layer_input, raster_input
from ..layers.provenance import ModelUsed, provenance
from ..layers.publish import real_path
from ..layers.record import Record
from ..layers.styles import Geometry
from ..layers.writer import LayerWriter
from ..masks.job_folder import JobFolder
from ..masks.store import JobStore
from ..notes import warn
from ..parallel.executors import Executor, make_executor
from ..raster.raster import Raster
from ..vectors.schema import Field
from .finished import check_job_folder, earlier_result, made_by
from .options import JobParameters
from .result import JobResult
from .stages.stac_item import write_stac_item


@dataclass(frozen=True)
class Output:
    """A job's output before it is made.

    Args:
        params: Of the job.
        folder: Where the job keeps what is finished.
        writer: Of the layer; it was checked that it can be written.
        before: What the folder says of an output that an earlier run has made.
        rasters: What it looks at.
    """

    params: JobParameters
    folder: Path
    writer: LayerWriter
    before: Record | None
    rasters: tuple[str, ...]

    @classmethod
    def of(
        cls,
        params: JobParameters,
        raster: Raster,
        fields: Sequence[Field] = (),
        geometry: Geometry = "polygon",
        inputs: Sequence[Input] = (),
        crs: Any | None = None,
    ) -> Output:
        """Check that the output can be written, and is none of the inputs.

        Args:
            params: Of the job.
            raster: What it looks at.
            fields: Columns besides those of every layer.
            geometry: Polygons or lines.
            inputs: What it reads besides the raster and the area of interest.
            crs: CRS of the features, where it is not the raster's.

        Raises:
            OutputError: It is an input, exists, or cannot be written.
        """
        known = [
            raster_input(raster.files),
            *layer_input(
                "the area of interest",
                getattr(params, "area", None),
                getattr(params, "area_layer", None),
            ),
            *inputs,
        ]
        check_not_input(params.output, params.layer, known)
        degrees = params.crs is not None and format_of(Path(params.output)).wgs84
        if degrees and not same_crs(known_crs(params.crs), CRS.from_epsg(4326)):
            warn(
                f"GeoJSON is always in WGS 84: {option('crs')} {params.crs} is passed over. Write "
                "another format, a .gpkg for example, to have it."
            )
        folder = check_job_folder(params)
        before = Record.of(JobFolder(folder))
        source = raster.crs if crs is None else crs
        writer = LayerWriter(
            params.output,
            params.crs or source,
            source_crs=source,
            layer_name=params.layer,
            overwrite=params.overwrite or before is not None,
            modified=raster.modified,
            pixel=raster.ground_pixel,
            geometry=geometry,
            fields=fields,
            part_size=getattr(params, "part_size", None),
        )
        return cls(params, folder, writer, before, raster.sources)

    def says(self, model: ModelUsed | None) -> None:
        """Let the layer tell what made it; to be called before it is written.

        Args:
            model: That is used, if any.
        """
        read = getattr(self.params, "input", None)
        self.writer.provenance = provenance(
            type(self.params),
            vars(self.params),
            rasters=self.rasters,
            layers=[] if read is None else [(read, getattr(self.params, "input_layer", None))],
            model=model,
        )

    @contextmanager
    def begun(self, cell: int, description: Mapping[str, Any]) -> Iterator[JobStore]:
        """The job's folder, locked: a new one, or that of an interrupted run of the same job.

        Args:
            cell: Side of a mask cell, working pixels.
            description: What the masks or polygons in it depend on.
        """
        store = JobStore(self.folder, cell)
        store.begin(description, fresh=self.params.fresh)
        try:
            yield store
        finally:
            store.release()

    def once(
        self,
        store: JobStore,
        description: Mapping[str, Any],
        make: Callable[[Callable[[Callable[[], JobResult]], None]], JobResult],
        kind: type[JobResult] = JobResult,
    ) -> JobResult:
        """Make the output, unless an earlier run of the same job has finished it.

        Args:
            store: The job's folder, locked.
            description: As it was begun with.
            make: Writes the layer and returns the result. It is given a function to call before
                that with a function for the result, which is kept just before the output appears.
            kind: Of the result.
        """
        made = made_by(self.params, description)
        earlier = earlier_result(store, self.writer, self.params, self.before, made)

        def announce(result: Callable[[], JobResult]) -> None:
            def keep_record(digest: str) -> None:
                path, layer = str(real_path(self.writer.path)), self.writer.layer_name
                Record(made, path, layer, digest, asdict(result())).keep(store)

            self.writer.finishing = keep_record

        result = make(announce) if earlier is None else kind(**earlier)
        for note in result.warnings:
            warn(note)
        if isinstance(self.params, SegmentParameters) and self.params.stac_item:
            write_stac_item(self.params, result.output, result.layer, store.folder)
        if not result.failed:
            if self.params.job_folder is None:
                store.remove()
            else:  # this run says itself that it is done; another is another job
                store.forget_finished()
        return result


@contextmanager
def executor_for(params: JobParameters, store: JobStore) -> Iterator[Executor]:
    """The executor of a job, whose workers see the raster and the job's folder."""
    with make_executor(params.workers, params.cluster) as executor:
        rasters = [path for path in map(Path, params.rasters) if path.exists()]
        executor.require([store.folder, *rasters])
        yield executor
