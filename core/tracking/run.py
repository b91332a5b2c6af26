# SPDX-License-Identifier: GPL-2.0-or-later
"""``track``: a layer and rasters of several dates in, the history of each object out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from ..errors import OutputError, ParameterError, PromptError
from ..job import TrackParameters
from ..layers.inputs import Input, check_not_input, layer_input, raster_input, same_file
from ..layers.provenance import ModelUsed, provenance
from ..layers.reader import frame_as_file, mended
from ..layers.record import ShortRun, newest, seen, stamps
from ..layers.writer import LayerWriter, check_output
from ..models.base import PromptableModel
from ..models.families.memory.video import TorchVideoModel
from ..models.load import has_memory, load_model, load_video_model
from ..notes import warn
from ..parameters import crs_text, plain
from ..prompts.prompts import PromptTransform, crs_on_raster
from ..raster.raster import RasterOptions
from ..sources.contents import Contents
from ..sources.dates import read_moment
from ..sources.names import given_names
from ..sources.vector_input.opening import open_vector
from ..sources.vector_input.reading import as_text
from ..types import PixelBox
from .asking import Answerer, PromptAnswerer
from .frames import CommonGrid, Frame, common_grid
from .matching import REACH
from .notes import notes
from .remembering import MemoryAnswerer
from .series import DatedRaster, make_series, read_dates
from .state import Dates
from .table import (
    LAYER_FIELDS,
    check_tables,
    layer_features,
    long_table,
    table_paths,
    wide_table,
    write_tables,
)
from .tracker import Report, TrackOptions, follow_all


@dataclass(frozen=True, eq=False)
class Tracks:
    """What became of the objects.

    Args:
        table: One row per object and date, see :func:`.table.long_table`.
        areas: One row per object, one column per date: m2.
        output: The layer that was written; None where none was asked for.
        tables: The tables that were written beside it.
        model: Name of the model.
        memory: Whether its memory was used.
        left_out: (id, reason) of objects that could not be followed.
    """

    table: gpd.GeoDataFrame
    areas: pd.DataFrame
    output: Path | None
    tables: tuple[Path, ...]
    model: str
    memory: bool
    left_out: tuple[tuple[str, str], ...]

    def count(self, status: str) -> int:
        """Rows of a status: "present", "gone" or "hidden"."""
        return int((self.table["status"] == status).sum())

    def to_json(self) -> dict[str, Any]:
        """Where everything is, and how many there are of each."""
        return {
            "output": None if self.output is None else str(self.output),
            "tables": [str(path) for path in self.tables],
            "objects": len(self.areas),
            "dates": [str(date) for date in self.areas.columns],
            "present": self.count("present"),
            "gone": self.count("gone"),
            "hidden": self.count("hidden"),
            "model": self.model,
            "memory": self.memory,
            "left_out": [list(pair) for pair in self.left_out],
        }


def track(
    layer: str | Path | gpd.GeoDataFrame | gpd.GeoSeries,
    rasters: str | Path | Sequence[str | Path],
    output: str | Path | None = None,
    *,
    at: str | date | None = None,
    dates: Mapping[str, str | date] | str | Path | None = None,
    layer_name: str | None = None,
    id_field: str | None = None,
    label_field: str | None = None,
    model: str | Path | PromptableModel = "embedded",
    memory: bool | None = None,
    device: str = "auto",
    threads: int | None = None,
    precision: str = "auto",
    bands: Sequence[int] | None = None,
    allow_remote: bool = False,
    resolution: float | None = None,
    clouds: bool = True,
    reach: float = REACH,
    crs: str | None = None,
    overwrite: bool = False,
    progress: Report | None = None,
    check: Callable[[], None] | None = None,
) -> Tracks:
    """Follow the polygons of a layer through dated rasters.

    Args:
        layer: Polygons as they are at the date ``at``: a file, or a frame.
        rasters: Paths, one or more a date, in any order; folders stand for the rasters in them.
        output: Layer to write, with two tables beside it (``NAME_dates.csv``, ``NAME_areas.csv``);
            None writes nothing.
        at: The date of the layer, like "2009-08-18", or a ``datetime.date``; None for the earliest.
        dates: Dates by path or file name, or a CSV with the columns ``raster`` and ``date``, for
            rasters whose names and tags do not tell.
        layer_name: Which layer of the file.
        id_field: Field with the objects' names; None for their number in the layer, from 1.
        label_field: Field that is carried on as ``label``.
        model: Name, path of a checkpoint, or a loaded model.
        memory: Use the memory of SAM 2, 2.1 and EdgeTAM; None where the model has one.
        device, threads, precision: As in :func:`~samgeo_core.models.load.load_model`.
        bands: Red, green and blue, or one band; None for what each raster says.
        allow_remote: Local files that lead to servers, or to raw bytes of other files, may do so.
        resolution: Side of a pixel in units of the CRS of the raster at the date ``at``; None for
            that raster's own.
        clouds: Look for clouds; False where bright things are meant to be followed.
        reach: How far an object may have moved between two dates other than it did before, in
            object sides; 0.5 suits what stands still (ponds, fields, buildings), 2 vehicles.
        crs: Of the output; None for the layer's.
        overwrite: Replace an existing output.
        progress: Called with the dates done and all dates.
        check: Called now and then; raises ``Cancelled``.

    Raises:
        SamGeoError: See ``errors.py``; nothing half-written stays.
    """
    bands, resolution, reach = plain(bands), plain(resolution), plain(reach)
    memory, clouds, crs = plain(memory), plain(clouds), crs_text(crs)
    if not (isinstance(reach, (int, float)) and np.isfinite(reach) and reach >= 0):
        raise ParameterError(f"The reach of objects must be 0 or more, not {reach!r}.")
    if isinstance(layer, gpd.GeoSeries):
        layer = gpd.GeoDataFrame(geometry=layer)
    rasters = given_names(rasters)
    at = None if at is None else str(at)
    path = None if output is None else Path(output)
    run = None
    if path is not None:
        asked = (at, layer_name, id_field, label_field, memory, precision, bands, resolution)
        made_from = _made_from(layer, rasters, dates, model)
        run = ShortRun(path, None, "tracks", (made_from, asked, clouds, reach, crs))
        check_output(path, overwrite=overwrite or run.owns_output)
        check_tables(path, overwrite=overwrite or run.again)
    given: Mapping[str, str] | None = None
    if dates is not None:
        table = read_dates(dates) if isinstance(dates, (str, Path)) else dates
        given = {str(name): str(when) for name, when in table.items()}
    series = make_series(rasters, given, allow_remote=allow_remote)
    if path is not None:
        read = [str(layer)] if isinstance(layer, (str, Path)) else []
        inputs = [one for name in read for one in layer_input("the layer", name, layer_name)]
        if isinstance(dates, (str, Path)):
            inputs.append(Input("the list of dates", (str(dates),)))
        sources = tuple(name for dated in series for name in dated.sources)
        inputs = [raster_input(Contents(sources).files), *inputs]
        check_not_input(path, None, inputs)
        for table_path in table_paths(path):
            for one in inputs:
                if any(same_file(table_path, file) for file in one.files):
                    raise OutputError(
                        f"The table {table_path} is also {one.what}: choose another name for the "
                        "output."
                    )
    start = _start(series, at)
    grid = common_grid(series[start], series, resolution, allow_remote=allow_remote)
    options = RasterOptions(
        bands=None if bands is None else tuple(bands), allow_remote=allow_remote
    )
    frame = _read(layer, layer_name)
    shapes, ids, labels, left_out = _objects(
        frame, grid, series[start], options, id_field, label_field
    )
    loaded, remembers = _model(model, memory, device, threads, precision)
    opened = Dates(series, grid, loaded, options, check)
    answerer: Answerer = PromptAnswerer(opened)
    if remembers and isinstance(loaded, TorchVideoModel):
        answerer = MemoryAnswerer(opened, loaded)
    try:
        sightings = list(
            follow_all(opened, shapes, start, answerer, TrackOptions(clouds, reach), progress)
        )
    finally:
        opened.close()
    table = long_table(
        sightings,
        ids,
        labels,
        [dated.moment for dated in series],
        [dated.name for dated in series],
        grid.transform,
        grid.crs,
    )
    target = crs or frame.crs
    tables: tuple[Path, ...] = ()
    if path is not None and run is not None:
        writer = LayerWriter(
            path,
            target if grid.crs is not None else None,
            source_crs=grid.crs,
            overwrite=overwrite or run.owns_output,
            fields=LAYER_FIELDS,
            modified=newest(*(name for dated in series for name in dated.sources)),
        )
        told = {
            "at": at, "dates": dates if isinstance(dates, (str, Path)) else given,
            "layer_name": layer_name, "id_field": id_field,
            "label_field": label_field, "memory": memory, "precision": precision,
            "bands": None if bands is None else list(bands), "allow_remote": allow_remote,
            "resolution": resolution, "clouds": clouds, "reach": reach, "crs": crs,
        }  # fmt: skip
        writer.provenance = provenance(
            TrackParameters,
            told,
            rasters=sources,
            layers=[(name, layer_name) for name in read],
            model=ModelUsed.of(loaded.info),
        )
        tables = table_paths(path)
        with run.begun():
            # The layer appears last: where it is, the tables are, too.
            run.before_output(writer, lambda: write_tables(table, path, run.folder.folder))
            with writer:
                features = layer_features(table, loaded.info.name)
                names = {field.name for field in writer.fields} | {features.geometry.name}
                writer.write(features[[name for name in features.columns if name in names]])
    for note in notes(sightings, ids, [dated.moment.text for dated in series]):
        warn(note)
    for name, reason in left_out:
        warn(f"Object {name} is left out: {reason.rstrip('.')}.")
    return Tracks(
        table,
        wide_table(table),
        path,
        tables,
        loaded.info.name,
        remembers,
        tuple(left_out),
    )


def _made_from(
    layer: str | Path | gpd.GeoDataFrame,
    rasters: Sequence[str | Path],
    dates: Mapping[str, str | date] | str | Path | None,
    model: str | Path | PromptableModel,
) -> tuple[Any, ...]:
    """What tells one run from another: files by their size and time, frames by their content."""
    files = [*rasters, *(one for one in (dates, model) if isinstance(one, (str, Path)))]
    given = sorted((k, str(v)) for k, v in dates.items()) if isinstance(dates, Mapping) else None
    own = None if isinstance(model, (str, Path)) else model.info.fingerprint
    return stamps(*files), seen(layer), given, own


def _model(
    model: str | Path | PromptableModel,
    memory: bool | None,
    device: str,
    threads: int | None,
    precision: str,
) -> tuple[PromptableModel, bool]:
    """The model, and whether its memory is used."""
    if not isinstance(model, (str, Path)):
        able = isinstance(model, TorchVideoModel)
        if memory and not able:
            raise ParameterError(
                f"{model.info.name} was loaded without memory: load it with load_video_model, or "
                "leave memory out."
            )
        return model, able if memory is None else memory
    wanted = has_memory(model) if memory is None else memory
    if wanted:
        return load_video_model(model, device, threads, precision), True
    return load_model(model, device, threads, precision), False


def _start(series: Sequence[DatedRaster], at: str | None) -> int:
    """Number of the date at which the objects are known."""
    if at is None:
        return 0
    moment = read_moment(at)
    known = ", ".join(dated.moment.text for dated in series)
    if moment is None:
        raise ParameterError(f"The date {at!r} is not understood: write one of {known}.")
    fitting = [k for k, dated in enumerate(series) if dated.moment.may_be(moment)]
    if len(fitting) != 1:
        found = "none of the rasters was" if not fitting else "several of the rasters were"
        raise ParameterError(f"At {at} {found} taken: choose one of {known}.")
    return fitting[0]


def _read(layer: str | Path | gpd.GeoDataFrame, name: str | None) -> gpd.GeoDataFrame:
    """The layer, with its declared CRS."""
    if isinstance(layer, gpd.GeoDataFrame):
        return frame_as_file(layer, "The layer").reset_index(drop=True)
    return open_vector(layer, name, parameter="layer_name").read().reset_index(drop=True)


def _objects(
    frame: gpd.GeoDataFrame,
    grid: CommonGrid,
    dated: DatedRaster,
    options: RasterOptions,
    id_field: str | None,
    label_field: str | None,
) -> tuple[list[Any], list[str], list[str], list[tuple[str, str]]]:
    """Shapes in pixels of the grid, ids, labels, and what was left out.

    Raises:
        PromptError: No object is left.
        ParameterError: A field is missing, or two objects have one name.
    """
    fields = [column for column in frame.columns if column != frame.geometry.name]
    for name in (id_field, label_field):
        if name is not None and name not in fields:
            raise ParameterError(
                f"The layer has no field {name}: it has {', '.join(map(str, fields))}."
            )
    names = (
        [str(number) for number in range(1, len(frame) + 1)]
        if id_field is None
        else [as_text(value) for value in frame[id_field]]
    )
    if "" in names:
        raise ParameterError(
            f"{names.count('')} of the {len(names)} objects have nothing in {id_field}: choose a "
            "field in which each has a name of its own."
        )
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise ParameterError(
            f"Several objects are called {twice[0]} in {id_field}: choose a field in which each "
            "has a name of its own."
        )
    layer_crs = crs_on_raster(frame.crs, grid.crs, "the objects to follow")
    shape_of_grid = grid.height, grid.width
    place = PromptTransform(grid.transform, grid.crs, layer_crs, shape_of_grid, whole=True)
    whole = shapely.box(0, 0, grid.width, grid.height)
    first = Frame(dated, grid, options)
    shapes, ids, labels = [], [], []
    left_out: list[tuple[str, str]] = []
    try:
        for row, (name, geometry) in enumerate(zip(names, frame.geometry, strict=True)):
            reason = _why_not(geometry)
            shape = None
            if reason is None:
                try:
                    shape = mended(place.geometry(shapely.force_2d(geometry)))
                except PromptError as error:
                    left_out.append((name, str(error)))
                    continue
                if not shape.area > 0:
                    reason = "it has no area"
                elif not shape.intersects(whole) or not first.has_data(_box_of(shape, grid)):
                    reason = f"there are no data at it at {dated.moment.text}"
            if reason is not None:
                left_out.append((name, reason))
                continue
            shapes.append(shape)
            ids.append(name)
            labels.append("" if label_field is None else as_text(frame[label_field].iloc[row]))
    finally:
        first.close()
    if not shapes:
        why = f" (the first: {left_out[0][1]})" if left_out else ""
        raise PromptError(
            f"No object of the layer can be followed{why}: check its CRS, and that it shows what "
            f"is there at {dated.moment.text}."
        )
    return shapes, ids, labels, left_out


def _box_of(shape: Any, grid: CommonGrid) -> PixelBox:
    """The grid's pixels that a shape touches."""
    col0, row0, col1, row1 = shape.bounds
    return PixelBox(
        max(int(row0), 0),
        max(int(col0), 0),
        min(int(np.ceil(row1)), grid.height),
        min(int(np.ceil(col1)), grid.width),
    )


def _why_not(geometry: Any) -> str | None:
    if geometry is None or geometry.is_empty:
        return "it has no geometry"
    if geometry.geom_type not in ("Polygon", "MultiPolygon"):
        return f"it is a {geometry.geom_type}, not a polygon"
    if not np.isfinite(shapely.get_coordinates(geometry)).all():
        return "its coordinates are not numbers"
    return None
