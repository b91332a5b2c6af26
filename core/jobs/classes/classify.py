# SPDX-License-Identifier: GPL-2.0-or-later
"""Classify the objects of a layer, from examples or with a saved classifier."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from ...classes.assign import Marked
from ...classes.examples import NONE, Example
from ...classes.objects import ClassedObjects, ObjectClasses, ObjectLayer
from ...classes.rules import parse_rule
from ...classes.saved import SavedClassifier, save_classifier
from ...earth.geometry import pixel_side
from ...errors import ParameterError
from ...job import ClassifyParameters, Progress, option
from ...layers.inputs import layer_input
from ...layers.provenance import ModelUsed
from ...masks.store import JobStore
from ...models.base import PromptableModel
from ...notes import warn
from ...parallel.executors import check_main_module
from ...raster.areas import AreaOfInterest
from ...raster.raster import Raster, open_raster
from ...tiles.grid import Grid
from ...vectors.schema import CLASS, CLASS_PROBABILITY
from ..folder import Output, executor_for
from ..options import has_classes, raster_options, with_absolute_paths
from ..result import JobResult, all_left_out, reported
from ..scale import has_scales, scale_for
from ..stages.opened import keep_model
from ..stages.prompt_stage import ModelFactory
from .class_layer import (
    PlacedLayer,
    carried,
    classed_frame,
    drawn_examples,
    object_layer,
    place_layer,
    ruled,
    with_drawn,
    write,
)
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
from .feature_stage import FeatureSource, ScaledModel, feature_grid

MOST_SPOTS = 5
"""Examples whose places a message tells, at most."""


def classify_layer(
    params: ClassifyParameters,
    *,
    factory: ModelFactory | None = None,
    may_be_empty: bool = False,
    area: AreaOfInterest | None = None,
    judged: bool = False,
    least_score: float = 0.0,
    lower: str | None = None,
    progress: Callable[[Progress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> JobResult:
    """Give the objects of a layer classes, without segmenting again.

    Args:
        params: What to do.
        factory: Makes the model, instead of ``params.model``; picklable where there are workers.
        may_be_empty: Whether a layer without polygons gives an empty one instead of an error.
        area: Where the layer's objects were looked for; None for the whole raster.
        judged: The scores are the embedded model's second estimates.
        least_score: Score below which an object is of no class, unless an example means it.
        lower: Parameter a lower value of which may give the layer more objects, for messages.
        progress: Called with each step.
        cancelled: Asked between and within tiles; True stops the job with ``Cancelled``.

    Raises:
        SamGeoError: See ``errors.py``; no partial output stays.
    """
    check_main_module()
    check_options(params)
    check_new_classifier(params)
    if not has_classes(params):
        raise ParameterError(
            f"Say what the classes are: {option('examples')} with {option('class_field')}, "
            f"{option('like')} and {option('unlike')}, or "
            f"{option('classifier')}."
        )
    if params.cluster:
        params = with_absolute_paths(params)
    rules = [parse_rule(text) for text in params.rules]
    started = time.monotonic()
    with (
        reported(progress, cancelled) as (report, notes),
        open_raster(params.rasters, raster_options(params)) as raster,
    ):
        placed = place_layer(params.input, params.input_layer, raster, may_be_empty=may_be_empty)
        examples = class_examples(params, raster)
        fields, names = carried(placed.frame, (CLASS, CLASS_PROBABILITY))
        placed = replace(placed, frame=placed.frame.rename(columns=names))
        inputs = [
            *layer_input("the layer of objects", params.input, params.input_layer),
            *inputs_of_classes(params),
        ]
        output = Output.of(params, raster, fields, inputs=inputs, crs=placed.frame.crs)
        report("stretch", 0, 1)
        spec = raster.spec
        report("stretch", 1, 1)
        if factory is None:
            content = has_scales(params.model)
            scale = scale_for(None, raster, content=content, classifier=params.classifier)
            factory = ScaledModel(model_factory(params), scale)
        model = factory()
        saved = saved_classifier(params, "objects", model)
        grid = feature_grid(raster, params.tile_size, params.margin)
        source = FeatureSource(spec, factory, grid)
        keep_model(source.run, model)
        description = _describe(raster, model, placed, grid)
        output.says(ModelUsed.of(model.info))

        def make(announce: Callable[[Callable[[], JobResult]], None]) -> JobResult:
            folder = store.folder / "features"
            frame = placed.frame
            why_none: list[str] = []
            if len(frame) or len(drawn_examples(examples, placed.polygons)):
                with executor_for(params, store) as executor:
                    objects = object_layer(
                        raster, placed, examples, source, folder, executor, report, model, judged,
                        least_score,
                    )  # fmt: skip
                classed = _classes(
                    params, objects, examples, saved, raster, model, store, area, lower
                )
                frame = with_drawn(placed.frame, objects, raster, model)
                frame = classed_frame(frame, classed, all_of_them=params.keep == "all")
                if not len(frame):
                    why_none.append(_none_of_a_class(len(classed.names), params))
                of_classes = len(frame)
                frame = ruled(frame, rules, raster)
                if of_classes and not len(frame):
                    why_none.append(all_left_out(of_classes, [option("rules")]))
            tiles = len(list(folder.glob("*/sums/*.npz")))
            writer = output.writer

            def result() -> JobResult:
                path, layer = str(writer.path), writer.layer_name
                return JobResult(path, layer, len(frame), tiles, warnings=why_none)

            announce(result)
            write(frame, writer)
            return result()

        with output.begun(grid.cell, description) as store:
            result = output.once(store, description, make)
    return replace(result, seconds=time.monotonic() - started, warnings=notes)


def _classes(
    params: ClassifyParameters,
    objects: ObjectLayer,
    examples: list[Example],
    saved: SavedClassifier | None,
    raster: Raster,
    model: PromptableModel,
    store: JobStore,
    area: AreaOfInterest | None,
    lower: str | None,
) -> ClassedObjects:
    """Classes from the saved classifier, or from one trained here and saved where that is asked."""
    asked = ObjectClasses(objects)
    marked = None
    if saved is None:
        places = partial(_places, raster=raster, of="The marks")
        marked = asked.mark(examples, None if area is None else area.pixels, places, lower)
        if marked.beside:
            warn(_places(marked.beside, raster, "Examples on no object"))
        _say_no_counterexample(marked)
        classifier = asked.train(marked)
    else:
        classifier = saved.classifier
    if params.save_classifier is not None:
        said = about(raster, model, example_layers(params))
        new = SavedClassifier(classifier, "objects", said)
        save_classifier(params.save_classifier, new, store.folder, overwrite=params.overwrite)
    return asked.classify(classifier, marked, params.min_class_prob)


def _places(examples: Sequence[Example], raster: Raster, of: str) -> str:
    """A sentence that says where examples lie.

    Args:
        examples: In working pixels of the raster.
        raster: Its CRS is that of the places.
        of: What they are, for the sentence.
    """
    decimals = max(0, 1 - math.floor(math.log10(pixel_side(raster.transform))))
    spots = []
    for example in examples[:MOST_SPOTS]:
        spot = example.geometry.representative_point()
        x, y = raster.transform @ (spot.x, spot.y)
        spots.append(
            f"{example.class_name or 'none of these'} at {x:.{decimals}f},{y:.{decimals}f}"
        )
    more = len(examples) - len(spots)
    return (
        f"{of}, with x and y in the raster's CRS: {'; '.join(spots)}"
        f"{f'; and {more} more' if more else ''}."
    )


def _say_no_counterexample(marked: Marked) -> None:
    """Warn where nothing is known of what belongs to none of the classes."""
    if NONE not in marked.names:
        warn(
            "No example shows what belongs to none of the classes: nearly every object becomes "
            "one of them, with a class_prob that may be far too high. Mark some of what is none of "
            f"them, with an empty class or in {option('unlike')}."
        )


def _none_of_a_class(count: int, params: ClassifyParameters) -> str:
    """What is said where no object is of a class."""
    return (
        f"No polygons: none of {count} objects is of a class with a probability of "
        f"{params.min_class_prob:g} or more. Lower {option('min_class_prob')}, or give more "
        "examples."
    )


def _describe(
    raster: Raster, model: PromptableModel, placed: PlacedLayer, grid: Grid
) -> dict[str, Any]:
    """What the pooled sums depend on."""
    return {
        "raster": raster.description,
        "grid": asdict(grid),
        "model": model.info.fingerprint,
        "objects": placed.digest,
    }
