# SPDX-License-Identifier: GPL-2.0-or-later
"""The layers of many scenes as one: a column with the date, names that differ, no duplicates."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyarrow.parquet as pq
import rasterio

from ...earth.crs import known_crs
from ...errors import JobError, OutputError, RasterError
from ...job import SegmentParameters, option
from ...layers.inputs import check_not_input, layer_input, raster_input
from ...layers.provenance import ModelUsed, provenance, read_provenance
from ...layers.publish import output_digest, real_path
from ...layers.record import Record
from ...layers.writer import LayerWriter, check_output
from ...masks.job_folder import JobFolder, write_text
from ...notes import warn
from ...parallel.atomic_write import write_atomically
from ...raster.raster import open_raster
from ...sources.dates import moments_in_name
from ...sources.names import short_name
from ...sources.references import files_named
from ...sources.scenes import Scene, signed
from ...vectors.schema import CLASS, CLASS_PROBABILITY, FIELDS, Field
from ..options import raster_options
from ..result import NO_POLYGONS, JobResult, Report
from .borders import Borders
from .duplicates import Part, duplicates
from .ground import Ground
from .journal import DONE, INCOMPLETE, Journal, SceneOutcome

DATE = Field("date", "text")
"""When an object was seen, ISO 8601, as precise as its scene says; empty where it does not."""

_EPOCH = datetime.fromtimestamp(0, timezone.utc)


WRITTEN = "written.json"
"""Says which layer a run has written, until all its scenes are in it."""


@dataclass(frozen=True)
class LayerOfScenes:
    """The layer that scenes share.

    Args:
        params: Of the run.
        folder: Of the job: the scenes' layers are in ``parts``.
        crs: Of the layer, as WKT.
    """

    params: SegmentParameters
    folder: Path
    crs: str

    @classmethod
    def of(cls, params: SegmentParameters, folder: Path, scenes: Sequence[Scene]) -> LayerOfScenes:
        """Check that the layer can be written, and choose its CRS: that of the first scene.

        Raises:
            OutputError: It cannot be written, or is one of the inputs.
            RasterError: No scene can be opened, or the first has no CRS.
        """
        check_output(
            params.output,
            overwrite=params.overwrite
            or _is_ours(folder, params)
            or _complete(folder, params) is not None,
            layer_name=params.layer,
            in_parts=params.part_size is not None,
        )
        files = [name for scene in scenes for name in files_named(scene.source)]
        area = layer_input("the area of interest", params.area, params.area_layer)
        check_not_input(params.output, params.layer, [raster_input(files), *area])
        return cls(params, folder, _common_crs(params, scenes))

    def write(self, journal: Journal, report: Report) -> tuple[str, str, int]:
        """Put the scenes' layers into one.

        Args:
            journal: Of the run.
            report: Told of progress.

        Returns:
            Path, name of the layer, number of features.
        """
        parts = sorted(
            (_part(outcome, self.folder) for outcome in journal.outcomes() if _has_layer(outcome)),
            key=lambda part: part.id,
        )
        _warn_of_several_dates(parts)
        fields = (DATE, *_more_fields(parts))
        writer = LayerWriter(
            self.params.output,
            self.crs,
            source_crs=self.crs,
            layer_name=self.params.layer,
            overwrite=self.params.overwrite or _is_ours(self.folder, self.params),
            fields=fields,
            modified=max((part.modified for part in parts), default=_EPOCH),
            pixel=min((part.pixel for part in parts), default=1.0),
            finishing=self._note,
            provenance=self._provenance(journal, parts),
            part_size=self.params.part_size,
        )
        report("duplicates", 0, 1)
        crs = known_crs(self.crs)
        ground = Ground.of([part.footprint for part in parts], crs)
        dropped = duplicates(parts, self.params.duplicates, ground)
        report("duplicates", 1, 1)
        report("layer", 0, len(parts))
        borders, cut = Borders.of(parts, ground, crs), 0
        with writer:
            for number, part in enumerate(parts, 1):
                for features in _features(part, dropped.get(part.id)):
                    cut += borders.cut(number - 1, np.asarray(features.geometry.array))
                    writer.write(features)
                report("layer", number, len(parts))
        if cut:
            warn(
                f"{cut} polygons end where their scene ends and another begins: an object that no "
                f"scene shows whole stays in parts. {option('scenes')} mosaic joins them."
            )
        if not writer.count:
            warn(_why_none(journal))
        return str(writer.path), writer.layer_name, writer.count

    def _provenance(self, journal: Journal, parts: Sequence[Part]) -> str:
        """What made the layer: the scenes that were segmented, and the model that their layers
        tell of."""
        done = [one for one in journal.outcomes() if one.status in (DONE, INCOMPLETE)]
        told = read_provenance(parts[0].path) if parts else None
        known = (told or {}).get("model")
        return provenance(
            SegmentParameters,
            vars(self.params),
            rasters=[one.source for one in sorted(done, key=lambda one: one.id)],
            model=None if known is None else ModelUsed(**known),
        )

    def _note(self, digest: str) -> None:
        """Let the next run replace this very layer: it lacks scenes, or this run is killed."""
        text = json.dumps({"digest": digest})
        write_atomically(self.folder / WRITTEN, lambda path: write_text(path, text))

    def forget(self) -> None:
        """The layer is complete, and this run has said so: it is the user's now."""
        (self.folder / WRITTEN).unlink(missing_ok=True)

    def note_complete(self, made_by: str, result: JobResult) -> None:
        """Keep what a run has to report that is killed while the folder is removed.

        Args:
            made_by: Digest of all that the layer depends on.
            result: Of the run.
        """
        path = str(real_path(result.output))
        digest = _written(self.folder)
        Record(made_by, path, result.layer, digest, asdict(result)).keep(JobFolder(self.folder))

    def completed(self, made_by: Callable[[], str]) -> JobResult | None:
        """What an earlier run of the same scenes has to report that was killed in that moment.

        Raises:
            OutputError: The layer is complete, but of another run, and may not be replaced.
        """
        record = _complete(self.folder, self.params)
        if record is None:
            return None
        if record.made_by == made_by() and not self.params.fresh:
            return JobResult(**record.result)
        ours = _is_ours(self.folder, self.params)
        check_output(
            self.params.output,
            overwrite=self.params.overwrite or ours,
            layer_name=self.params.layer,
            in_parts=self.params.part_size is not None,
        )
        return None


def _is_ours(folder: Path, params: SegmentParameters) -> bool:
    """Whether the output is what an earlier run of these scenes could write of it."""
    known, path = _written(folder), Path(params.output)
    return bool(known) and known == output_digest(path, params.layer or path.stem)


def _written(folder: Path) -> str:
    """Digest of the layer that a run has written; empty where there is none."""
    try:
        return str(json.loads((folder / WRITTEN).read_text(encoding="utf-8"))["digest"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _complete(folder: Path, params: SegmentParameters) -> Record | None:
    """The record of a complete layer, if it is still as the run left it."""
    record, path = Record.of(JobFolder(folder)), Path(params.output)
    there = record is not None and record.is_at(path, params.layer or path.stem)
    return record if there else None


def _common_crs(params: SegmentParameters, scenes: Sequence[Scene]) -> str:
    if params.crs is not None:
        return str(known_crs(params.crs).to_wkt())  # type: ignore[union-attr]
    failure: Exception | None = None
    for scene in scenes:
        try:
            names = [signed(scene.source, params.sign)]
            with open_raster(names, raster_options(params)) as raster:
                crs = raster.crs
        except (RasterError, rasterio.errors.RasterioError) as error:
            failure = failure or error
            continue
        if crs is None:
            raise RasterError(
                f"{scene.id} has no coordinate system, so that it cannot share a layer with "
                f"others: choose {option('scenes')} each, or give it one with "
                f"{option('raster_crs')}."
            )
        return str(crs.to_wkt())
    raise RasterError(f"None of the {len(scenes)} scenes can be opened; the first: {failure}")


def _has_layer(outcome: SceneOutcome) -> bool:
    return outcome.status in (DONE, INCOMPLETE) and outcome.features > 0


def _part(outcome: SceneOutcome, folder: Path) -> Part:
    path = folder / "parts" / outcome.output
    if not path.is_file():
        raise JobError(f"{path} is gone: start over with {option('fresh')}.")
    dates = [moment.text for moment in moments_in_name(short_name(outcome.source))]
    return Part(
        outcome.id,
        path,
        outcome.date,
        [outcome.date] if outcome.date else dates,
        np.array(outcome.footprint, np.float64),
        datetime.fromisoformat(outcome.modified),
        outcome.pixel,
    )


def _warn_of_several_dates(parts: Sequence[Part]) -> None:
    """Say of how many scenes the date is not known although their names hold dates."""
    several = [part for part in parts if len(part.dates) > 1]
    if several:
        first = several[0]
        warn(
            f"{len(several)} scenes have no date, because their names hold several ({first.id}: "
            f"{', '.join(first.dates)}): leave one in each name, or put a STAC item (NAME.json) "
            "beside each raster."
        )


def _why_none(journal: Journal) -> str:
    """That no scene has a polygon, and of the first one that says it, why."""
    done = [one for one in journal.outcomes() if one.status in (DONE, INCOMPLETE)]
    reasons = [
        f" {one.id}: {note.removeprefix(NO_POLYGONS)}"
        for one in sorted(done, key=lambda one: one.id)
        for note in one.notes
        if note.startswith(NO_POLYGONS)
    ]
    return f"No polygons in {len(done)} scenes." + "".join(reasons[:1])


def _more_fields(parts: Sequence[Part]) -> tuple[Field, ...]:
    """Columns of the parts besides those of all layers."""
    if not parts:
        return ()
    names = pq.read_schema(parts[0].path).names
    return tuple(field for field in (CLASS, CLASS_PROBABILITY) if field.name in names)


def _features(part: Part, dropped: np.ndarray | None) -> Iterator[gpd.GeoDataFrame]:
    """What is kept of a scene's layer, under names that no other scene has."""
    try:
        frame = gpd.read_parquet(part.path)
    except (OSError, ValueError) as error:
        raise OutputError(f"{part.path} cannot be read ({error}).") from error
    frame[DATE.name] = part.date
    frame["source"] = part.id
    if dropped is not None and len(dropped):
        gone = frame["id"].iloc[dropped].tolist()
        above = dict(zip(frame["id"], frame["parent_id"].fillna(""), strict=True))
        lost = set(gone)

        def climb(name: str) -> str:
            while name in lost:
                name = above.get(name, "")
            return name

        frame["parent_id"] = [climb(name) for name in frame["parent_id"].fillna("")]
        frame = frame.drop(index=frame.index[dropped])
    for name in ("id", "parent_id"):
        filled = frame[name].fillna("")
        frame[name] = [f"{part.id}/{value}" if value else "" for value in filled]
    if len(frame):
        known = {field.name for field in (*FIELDS, DATE, CLASS, CLASS_PROBABILITY)}
        yield frame[[c for c in frame.columns if c in known or c == frame.geometry.name]]
