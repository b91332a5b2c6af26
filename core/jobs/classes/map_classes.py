# SPDX-License-Identifier: GPL-2.0-or-later
"""Classify a raster's ground: polygons that share borders, or a road network."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

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
from ..options import has_classes, raster_options, with_absolute_paths
from ..result import JobResult, reported
from ..scale import scale_for
from ..stages.opened import keep_model
from ..stages.prompt_stage import ModelFactory
from .class_map import MapStage, map_tiles, train_cells
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
from .road_lines import road_lines


def map_classes(
    params: MapParameters,
    *,
    factory: ModelFactory | None = None,
    progress: Callable[[Progress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> JobResult:
    """Map a raster's ground, or its roads, from examples or with a saved classifier.

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
    check_new_classifier(params)
    lines = params.shapes == "network"
    if not has_classes(params):
        raise ParameterError(
            f"Say what roads are: strokes along some ({option('like')}) and on what is none "
            f"({option('unlike')}), or {option('classifier')}."
            if lines
            else f"Say what the classes are: examples ({option('examples')}, {option('like')} and "
            f"{option('unlike')}), or {option('classifier')}."
        )
    if params.cluster:
        params = with_absolute_paths(params)
    started = time.monotonic()
    with (
        reported(progress, cancelled) as (report, notes),
        open_raster(params.rasters, raster_options(params)) as raster,
    ):
        output = Output.of(
            params,
            raster,
            (CLASS, CLASS_PROBABILITY, *((WIDTH, LENGTH) if lines else ())),
            "line" if lines else "polygon",
            inputs_of_classes(params),
        )
        examples = None if params.classifier is not None else class_examples(params, raster)
        report("stretch", 0, 1)
        spec = raster.spec
        report("stretch", 1, 1)
        factory = factory or ScaledModel(
            model_factory(params), scale_for(None, raster, content=False)
        )
        model = factory()
        saved = saved_classifier(params, "cells", model)
        grid = map_grid(raster, model.info, params.tile_size, params.margin, lines=lines)
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
                if marked is not None:
                    key = _digest(marked.rows, marked.cols, marked.names)
                    classifier: Classifier = train_cells(
                        source,
                        features_folder / f"examples-{key}",
                        marked,
                        model.info.fingerprint,
                        executor,
                        report,
                    )
                else:
                    assert saved is not None  # of params.classifier
                    classifier = saved.classifier
                if params.save_classifier is not None:
                    said = about(raster, model, example_layers(params))
                    new = SavedClassifier(classifier, "cells", said)
                    save_classifier(
                        params.save_classifier, new, store.folder, overwrite=params.overwrite
                    )
                made = _digest(classifier.weights, classifier.bias)
                stage = MapStage(source, features_folder / f"map-{made}", classifier)
                found = map_tiles(stage, executor, report)
                draw = road_lines if lines else class_polygons
                features = draw(
                    params, raster, found, classifier, model.info.name, executor, report
                )
            writer = output.writer

            def result() -> JobResult:
                path, layer = str(writer.path), writer.layer_name
                notes = [_no_lines(params)] if lines and not len(features) else []
                return JobResult(path, layer, len(features), len(grid), warnings=notes)

            announce(result)
            with writer:
                if len(features):
                    writer.write(features)
            return result()

        with output.begun(grid.cell, description) as store:
            result = output.once(store, description, make)
    return replace(result, seconds=time.monotonic() - started, warnings=notes)


def _no_lines(params: MapParameters) -> str:
    """What is said where no road is long and likely enough."""
    return (
        f"No lines: nothing is a road with a probability of {params.min_class_prob:g} or more and "
        f"at least {params.min_length:g} m long. Lower {option('min_class_prob')} or "
        f"{option('min_length')}, or give more strokes."
    )


def _digest(*values: Any) -> str:
    text = json.dumps([np.asarray(value).tolist() for value in values])
    return hashlib.sha256(text.encode()).hexdigest()[:16]
