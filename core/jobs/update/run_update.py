# SPDX-License-Identifier: GPL-2.0-or-later
"""An old layer against a new raster, from its parameters to a layer of what has changed."""

from __future__ import annotations

import hashlib
import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import shapely

from ...changes.common_shift import MOVES_LAYER
from ...changes.compare import compare
from ...earth.crs import known_crs
from ...errors import ParameterError
from ...job import Progress, UpdateParameters, option
from ...layers.formats import format_of
from ...layers.geopackage_edit import check_editable, edit_layer
from ...layers.inputs import check_not_input, layer_input, same_file
from ...layers.provenance import ModelUsed
from ...layers.reader import POLYGONS, VectorLayer, read_vector, say_left_out
from ...layers.writer import LayerWriter
from ...parallel.executors import check_main_module
from ...parameters import checked, parameters_of
from ...raster.raster import open_raster
from ...sources.names import given_names
from ...sources.vector_input.opening import open_vector
from ...vectors.equal_area_plane import EqualAreaPlane
from ..classes.class_layer import carried, write
from ..classes.class_options import model_factory
from ..classes.feature_stage import FeatureSource, feature_grid
from ..classes.segment_classes import LoadedOnce
from ..folder import Output, executor_for
from ..options import raster_options, with_absolute_paths
from ..result import JobResult, reported
from ..stages.opened import keep_model
from .applied import applied_before, asked_of, noting
from .changed_layer import UPDATE_FIELDS, before_frame, changed_frame, changed_rows, old_ids
from .gather_evidence import Gathered, Gathering, gather


@dataclass(frozen=True)
class UpdateResult(JobResult):
    """What a comparison has made.

    Args:
        counts: Objects of each status.
        shift_east_m, shift_north_m: Of the whole layer, metres from the layer to the raster; 0
            where it is less than a pixel, or too few polygons agree on it.
        applied: Features of the input that were changed, deleted or added.
    """

    counts: dict[str, int] | None = None
    shift_east_m: float = 0.0
    shift_north_m: float = 0.0
    applied: int = 0

    @property
    def layer_moved(self) -> bool:
        """Whether the shift is large enough to move the polygons that stand."""
        return math.hypot(self.shift_east_m, self.shift_north_m) >= MOVES_LAYER


def update(
    layer: str | Path,
    rasters: str | Path | Sequence[str | Path],
    output: str | Path,
    *,
    progress: Callable[[Progress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    **options: Any,
) -> UpdateResult:
    """Say of each polygon of an old layer what became of it on a new raster.

    Args:
        layer: Path of the old layer of polygons; it stays as it is unless ``apply=True``.
        rasters: Path of the new raster, or of several that make one mosaic.
        output: GeoPackage to write.
        progress: Called with each step.
        cancelled: Asked between and within tiles; True stops the job with ``Cancelled``.
        options: Of :class:`~samgeo_core.UpdateParameters`: ``id_field``, ``min_change_prob``,
            ``apply``, ``model`` and others.

    Returns:
        What was made: the number of objects of each status, and the shift of the whole layer.

    Raises:
        SamGeoError: See ``errors.py``; no partial output stays, and the old layer is as it was.
    """
    if not isinstance(layer, (str, Path)):  # its features are told by their ids in a file
        raise ParameterError(
            f"An update is of the layer of a file, not of {type(layer).__name__}: save it first, "
            "and give its path."
        )
    paths = [str(name) for name in given_names(rasters)]
    values = {"input": layer, "rasters": paths, "output": output, **options}
    params = parameters_of(UpdateParameters, values)
    return update_layer(params, progress=progress, cancelled=cancelled)


def update_layer(
    params: UpdateParameters,
    *,
    progress: Callable[[Progress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> UpdateResult:
    """Say of each polygon of an old layer what became of it on a new raster.

    Args:
        params: What to do.
        progress: Called with each step.
        cancelled: Asked between and within tiles; True stops the job with ``Cancelled``.

    Raises:
        SamGeoError: See ``errors.py``; no partial output stays, and the input is as it was.
    """
    check_main_module()
    params = checked(params)
    _check(params)
    if params.cluster:
        params = with_absolute_paths(params)
    started = time.monotonic()
    with (
        reported(progress, cancelled) as (report, notes),
        open_raster(params.rasters, raster_options(params)) as raster,
    ):
        asked = asked_of(params, raster)
        if params.apply:
            layers = _layer_name(params), params.layer or Path(params.output).stem
            earlier = applied_before(params, asked, *layers)
            if earlier is not None:
                return UpdateResult(**earlier)
        layer = _old_layer(params)
        plane = EqualAreaPlane(layer.shapes, layer.crs)
        plane.check(known_crs(raster.crs), raster.name)
        fields, names = carried(
            gpd.GeoDataFrame(layer.attributes, geometry=list(layer.shapes), crs=layer.crs),
            UPDATE_FIELDS,
        )
        old = layer_input("the old layer", params.input, params.input_layer)
        output = Output.of(
            params,
            raster,
            fields,
            inputs=old,
            crs=layer.crs,
        )
        name_before = f"{output.writer.layer_name}_before"
        check_not_input(params.output, name_before, old)
        # The layer of changes is written last, for its record says that all is done.
        output.writer.ahead_of = name_before
        begun_before = output.folder / "features" / "before_begun"
        before = LayerWriter(
            params.output,
            params.crs or layer.crs,
            source_crs=layer.crs,
            layer_name=name_before,
            overwrite=params.overwrite or output.before is not None or begun_before.exists(),
            modified=raster.modified,
            pixel=raster.ground_pixel,
            fields=[field for field in fields if field not in UPDATE_FIELDS[2:]],
        )
        report("stretch", 0, 1)
        spec = raster.spec
        report("stretch", 1, 1)
        factory = LoadedOnce(model_factory(params))
        model = factory()
        grid = feature_grid(raster, None, None)
        source = FeatureSource(spec, factory, grid)
        keep_model(source.run, model)
        output.says(ModelUsed.of(model.info))
        before.provenance = output.writer.provenance
        description = {
            "raster": raster.description,
            "grid": asdict(grid),
            "model": model.info.fingerprint,
            "old": hashlib.sha256(b"".join(shapely.to_wkb(layer.shapes).tolist())).hexdigest(),
        }

        def make(announce: Callable[[Callable[[], JobResult]], None]) -> JobResult:
            folder = store.folder / "features"
            folder.mkdir(parents=True, exist_ok=True)
            called = old_ids(params, layer)
            given = Gathering(
                params, raster, layer, called, plane, folder, factory, progress, cancelled
            )
            with executor_for(params, store) as executor:
                gathered = gather(given, source, executor, report, model)
            changes = compare(gathered.evidence, params.min_change_prob)
            if not params.new_objects:
                changes = replace(changes, new=changes.new[:0], new_probability=np.empty(0))
            frame = changed_frame(
                params, layer, names, plane, raster, gathered, changes, _layer_name(params)
            )
            done = _result(output.writer, frame, gathered)
            if params.apply:
                edits = changed_rows(params, layer, frame)
                done = replace(done, applied=edits.count)
            # Until the old layer is changed as well, a run that is killed is not done.
            open_end = [f"{params.input} has not been changed yet"] if params.apply else []
            announce(lambda: replace(done, failed=open_end))
            begun_before.touch()  # a killed run's own layer may be replaced
            write(before_frame(params, layer, names), before)
            write(frame, output.writer)
            if params.apply:
                note = noting(store, asked, done)
                edit_layer(params.input, _layer_name(params), edits, note)
            return done

        with output.begun(grid.cell, description) as store:
            result = output.once(store, description, make, UpdateResult)
    assert isinstance(result, UpdateResult)
    return replace(result, seconds=time.monotonic() - started, warnings=notes)


def _check(params: UpdateParameters) -> None:
    """Refuse what cannot be written as it is asked.

    Raises:
        ParameterError: The output or, with ``apply``, the input is no GeoPackage.
        OutputError: With ``apply``, the input cannot be changed.
    """
    if not format_of(Path(params.output)).many_layers:
        raise ParameterError(
            f"The output {params.output} must be a GeoPackage (.gpkg): it gets two layers, the "
            "new outlines and the old ones."
        )
    if params.apply:
        path = open_vector(params.input, params.input_layer, parameter="input_layer").path
        if not str(path).lower().endswith(".gpkg"):
            raise ParameterError(
                f"{option('apply')} changes a GeoPackage in place, and {params.input} is none: "
                "leave it out and accept the changes in QGIS's review, or save the layer as a "
                "GeoPackage first."
            )
        if same_file(path, params.output):
            raise ParameterError(
                f"With {option('apply')} the output must be another file than {params.input}."
            )
        check_editable(path, _layer_name(params))


def _old_layer(params: UpdateParameters) -> VectorLayer:
    """The old polygons.

    Raises:
        ParameterError: There are none, or a field is missing or has one name twice.
    """
    layer = read_vector(
        params.input,
        params.input_layer,
        parameter="input_layer",
        what="The old layer",
        carried=True,
    )
    polygons = np.isin(shapely.get_type_id(layer.shapes), list(POLYGONS))
    polygons &= shapely.area(layer.shapes) > 0
    say_left_out(int((~polygons).sum()), layer.name, "polygon")
    layer = layer.rows(polygons)
    if not len(layer):
        raise ParameterError(f"{layer.name} holds no polygons: only those can be updated.")
    if params.id_field is not None:
        names = old_ids(params, layer)
        twice = sorted(name for name, count in Counter(names).items() if count > 1)
        if twice:
            raise ParameterError(
                f"Several polygons are called {twice[0]!r} in {params.id_field}: choose a field "
                "in which each has a name of its own."
            )
    return layer


def _layer_name(params: UpdateParameters) -> str:
    found = open_vector(params.input, params.input_layer, parameter="input_layer").layer
    return str(found)


def _result(writer: LayerWriter, frame: gpd.GeoDataFrame, gathered: Gathered) -> UpdateResult:
    counts = {str(name): int(count) for name, count in frame["status"].value_counts().items()}
    return UpdateResult(
        str(writer.path),
        writer.layer_name,
        len(frame),
        1,
        counts=dict(sorted(counts.items())),
        shift_east_m=gathered.shift.east,
        shift_north_m=gathered.shift.north,
    )
