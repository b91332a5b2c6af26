# SPDX-License-Identifier: GPL-2.0-or-later
"""Classify a raster's ground: polygons that share borders, or a road network."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import geopandas as gpd
import numpy as np

from ...classes.cell_examples import cell_examples
from ...classes.classifier import Classifier
from ...classes.saved import SavedClassifier, save_classifier
from ...errors import ParameterError
from ...job import MapParameters, Progress, option
from ...layers.provenance import ModelUsed
from ...merge.nodes import lattice
from ...parallel.executors import check_main_module
from ...raster.raster import open_raster
from ...vectors.schema import CLASS, CLASS_PROBABILITY, LENGTH, WIDTH
from ..folder import Output, executor_for
from ..options import (
    area_of_interest,
    check_extent,
    check_tolerance,
    has_classes,
    raster_options,
    with_absolute_paths,
)
from ..result import NO_POLYGONS, JobResult, reported
from ..scale import scale_for
from ..stages.opened import keep_model
from ..stages.prompt_stage import ModelFactory
from .class_map import ClassMap, MapStage, map_tiles, train_cells
from .class_options import (
    about,
    check_new_classifier,
    check_options,
    class_examples,
    example_layers,
    inputs_of_classes,
    model_factory,
    saved_classifier,
)
from .class_polygons import class_polygons
from .feature_stage import FeatureSource, ScaledModel, map_grid
from .own_classes import check_own_classes, own_classifier
from .road_lines import road_lines

ROAD = "road"
"""The model's own class whose lines are drawn, where no other is asked for."""

LEAST, LEAST_OF_OWN = 0.65, 0.5
"""Probability from which a cell is of a road: with examples, and of the model's own class. Of the
latter .3, .4, .5 and .65 were tried on what was held back; correctness and completeness within 8 m
are best together with .5 in Dubai (.81 and .69) and in Claremont (.78 and .84), and in generated
towns (.95 and 1.00, with .65 1.00 and .97, but fewer junctions)."""


def map_classes(
    params: MapParameters,
    *,
    factory: ModelFactory | None = None,
    progress: Callable[[Progress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> JobResult:
    """Map a raster's ground, or its roads: from examples, with a saved classifier, or as the
    embedded model sees them.

    Args:
        params: What to do.
        factory: Makes the model, instead of ``params.model``; picklable where there are workers.
        progress: Called with each step.
        cancelled: Asked between and within tiles; True stops the job with ``Cancelled``.

    Raises:
        SamGeoError: See ``errors.py``; no partial output stays.
    """
    check_main_module()
    check_options(params)
    check_extent(params)
    check_new_classifier(params)
    lines, given = params.shapes == "network", has_classes(params)
    check_own_classes(params, given=given)
    if lines:
        params = _with_defaults(params, given=given)
    if params.cluster:
        params = with_absolute_paths(params)
    started = time.monotonic()
    with (
        reported(progress, cancelled) as (report, notes),
        open_raster(params.rasters, raster_options(params)) as raster,
    ):
        check_tolerance(params, raster)
        area = area_of_interest(params, raster)
        output = Output.of(
            params,
            raster,
            (CLASS, CLASS_PROBABILITY, *((WIDTH, LENGTH) if lines else ())),
            "line" if lines else "polygon",
            inputs_of_classes(params),
        )
        trains = given and params.classifier is None
        examples = class_examples(params, raster) if trains else None
        report("stretch", 0, 1)
        spec = raster.spec
        report("stretch", 1, 1)
        factory = factory or ScaledModel(
            model_factory(params), scale_for(None, raster, content=False)
        )
        model = factory()
        saved = saved_classifier(params, "cells", model)
        ready = saved.classifier if saved else None
        if not given:
            ready = own_classifier(model, lines=lines)
        grid = map_grid(raster, model.info, params.tile_size, params.margin, lines=lines)
        if area is not None and area.cells(grid.cell).empty:
            raise ParameterError(
                f"{option('extent')} is smaller than a cell of the map ({grid.cell} x {grid.cell} "
                "pixels): choose a larger one."
            )
        marked = None if examples is None else cell_examples(examples, grid.cell, lattice(grid))
        source = FeatureSource(spec, factory, grid)
        keep_model(source.run, model)
        output.says(ModelUsed.of(model.info))
        description = {
            "raster": raster.description,
            "grid": asdict(grid),
            "model": model.info.fingerprint,
        }

        def make(announce: Callable[[Callable[[], JobResult]], None]) -> JobResult:
            features_folder = store.folder / "features"
            with executor_for(params, store) as executor:
                if ready is not None:
                    classifier: Classifier = ready
                else:
                    assert marked is not None  # there are examples
                    where = [] if area is None else [area.pixels.wkt]
                    key = _digest(marked.rows, marked.cols, marked.names, *where)
                    classifier = train_cells(
                        source,
                        features_folder / f"examples-{key}",
                        marked,
                        model.info.fingerprint,
                        executor,
                        report,
                        area=area,
                    )
                if params.save_classifier is not None:
                    said = about(raster, model, example_layers(params))
                    new = SavedClassifier(classifier, "cells", said)
                    save_classifier(
                        params.save_classifier, new, store.folder, overwrite=params.overwrite
                    )
                made = _digest(classifier.weights, classifier.bias)
                stage = MapStage(
                    source, features_folder / f"map-{made}", classifier, by_objects=not given
                )
                found = map_tiles(stage, executor, report, area)

                def drawn(asked: MapParameters) -> gpd.GeoDataFrame:
                    draw = road_lines if lines else class_polygons
                    features = draw(
                        asked, raster, found, classifier, model.info.name, executor, report
                    )
                    if not asked.classes:
                        return features
                    return features[features[CLASS.name].isin(asked.classes)]

                features = drawn(params)
                why_none = [] if len(features) else [_why_none(params, found, drawn)]
            writer = output.writer

            def result() -> JobResult:
                path, layer = str(writer.path), writer.layer_name
                tiles = len(found.tiles())
                return JobResult(path, layer, len(features), tiles, warnings=why_none)

            announce(result)
            with writer:
                if len(features):
                    writer.write(features)
            return result()

        with output.begun(grid.cell, description) as store:
            result = output.once(store, description, make)
    return replace(result, seconds=time.monotonic() - started, warnings=notes)


def _with_defaults(params: MapParameters, *, given: bool) -> MapParameters:
    """What roads are and from which probability, where nothing is said."""
    least = params.min_class_prob
    if least is None:
        least = LEAST if given else LEAST_OF_OWN
    name = params.road_class if given else params.road_class or ROAD
    return replace(params, min_class_prob=least, road_class=name)


def _why_none(
    params: MapParameters,
    source: ClassMap,
    drawn: Callable[[MapParameters], gpd.GeoDataFrame],
) -> str:
    """What is said where the layer is empty.

    Args:
        params: With the defaults of roads.
        source: The map.
        drawn: Draws it as asked.
    """
    lines = params.shapes == "network"
    begins = "No lines: " if lines else NO_POLYGONS
    if not source.has_data():
        return f"{begins}the raster has no data{' in the extent' if params.extent else ''}."
    if lines:
        of = "a road" if params.road_class is None else f"of the class {params.road_class}"
        strokes = params.examples is not None or params.like
        return (
            f"{begins}nothing is {of} with a probability of {params.min_class_prob:g} or more and "
            f"at least {params.min_length:g} m long. Lower {option('min_class_prob')} or "
            f"{option('min_length')}{', or give more strokes' if strokes else ''}."
        )
    if params.min_area > 0:
        seen = set(drawn(replace(params, min_area=0.0))[CLASS.name])
        if seen:
            names = " or ".join(name for name in params.classes or sorted(seen) if name in seen)
            return (
                f"{begins}all ground of the class {names} is in pieces smaller than "
                f"{option('min_area')} {params.min_area:g} m2, which went to their neighbours. "
                "Lower it."
            )
    if not params.classes:
        return f"{begins}the raster has too little data for a map."
    return f"{begins}the model sees no ground of the class {' or '.join(params.classes)}."


def _digest(*values: Any) -> str:
    text = json.dumps([np.asarray(value).tolist() for value in values])
    return hashlib.sha256(text.encode()).hexdigest()[:16]
