# SPDX-License-Identifier: GPL-2.0-or-later
"""All objects of a raster, then their classes: candidates first, kept and processed by class."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import geopandas as gpd

from ...classes.objects import LEAST_SCORE
from ...classes.rules import Rule, parse_rule
from ...classes.saved import SUFFIX, put_classifier
from ...errors import ParameterError
from ...job import ClassifyParameters, Progress, RegularizeParameters, SegmentParameters, option
from ...layers.inputs import layer_input
from ...layers.provenance import ModelUsed, read_provenance
from ...layers.styles import Geometry
from ...layers.writer import LayerWriter
from ...models.base import PromptableModel
from ...notes import collected, silenced, warn
from ...raster.raster import Raster, open_raster
from ...segmenters.automatic import judges_again
from ...segmenters.segmenter import Segmenter
from ...sources.vector_input.opening import open_vector
from ..folder import Output
from ..make_segmenter import make_candidates
from ..options import (
    area_of_interest,
    check_tolerance,
    has_classes,
    raster_options,
    with_absolute_paths,
)
from ..regularize import regularize_layer
from ..result import JobResult, Report, all_left_out, reported
from ..scale import magnifies, scale_for
from ..segment_raster import segment_raster
from ..stages.prompt_stage import ModelFactory
from ..stages.tile_stage import SegmenterFactory
from .class_layer import carried, ruled, write
from .class_options import (
    check_new_classifier,
    check_options,
    class_examples,
    inputs_of_classes,
    model_factory,
    saved_classifier,
)
from .classify import classify_layer
from .feature_stage import ScaledModel


@dataclass
class LoadedOnce:
    """Makes a model at the first call in a process; a copy in another process makes its own."""

    make: ModelFactory
    _model: PromptableModel | None = field(default=None, init=False)

    def __call__(self) -> PromptableModel:
        """The model of this process."""
        if self._model is None:
            self._model = self.make()
        return self._model

    def __getstate__(self) -> dict[str, Any]:
        return {"make": self.make, "_model": None}


def segment_classes(
    params: SegmentParameters,
    *,
    segmenter: Segmenter | SegmenterFactory | None = None,
    progress: Callable[[Progress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> JobResult:
    """Segment a raster, then keep and process the objects of the classes.

    Candidates are looked for with lower thresholds than usual (``make_segmenter.py``): what is no
    object of a class goes by its class. Without classes the rules alone are applied.

    Args:
        params: What to do.
        segmenter: Instead of ``params.model`` for the candidates.
        progress: Called with each step.
        cancelled: Asked at each step.

    Raises:
        SamGeoError: See ``errors.py``; no partial output stays.
    """
    check_options(params)
    check_new_classifier(params)
    rules = [parse_rule(text) for text in params.rules]
    classes = has_classes(params)
    if classes and params.prompts is not None:
        raise ParameterError(
            f"{option('prompts')} names the objects itself: classify its result with 'samgeo "
            f"classify'."
        )
    if params.cluster:
        params = with_absolute_paths(params)
    started = time.monotonic()
    with (
        reported(progress, cancelled) as (report, notes),
        open_raster(params.rasters, raster_options(params)) as raster,
    ):
        check_tolerance(params, raster)
        inputs = [
            *inputs_of_classes(params),
            *layer_input("the prompts", params.prompts, params.prompts_layer),
            *layer_input("the exemplars", params.exemplars),
        ]
        geometry: Geometry = "line" if params.outlines == "centerlines" else "polygon"
        output = Output.of(params, raster, inputs=inputs, geometry=geometry)
        description = {"raster": raster.description, "asked": _asked(params)}
        model = LoadedOnce(model_factory(params))
        scaled = ScaledModel(model, _scale(params, raster) if classes else 1.0)
        if classes:
            _check_examples(params, raster, scaled)

        def make(announce: Callable[[Callable[[], JobResult]], None]) -> JobResult:
            steps = _Steps(params, rules, store.folder / "features", raster, report, scaled)
            steps.folder.mkdir(exist_ok=True)
            made, frame = steps.run(segmenter)
            fields, names = carried(frame)
            found = read_provenance(made.output, made.layer) or {}
            output.says(ModelUsed(**found["model"]) if "model" in found else None)
            writer = output.writer.with_fields(fields)

            def result() -> JobResult:
                path, layer = str(writer.path), writer.layer_name
                return JobResult(path, layer, len(frame), made.tiles, made.failed, scale=made.scale)

            announce(result)
            writer.finishing = output.writer.finishing
            write(frame.rename(columns=names), writer)
            return result()

        with output.begun(1, description) as store:
            result = output.once(store, description, make)
    return replace(result, seconds=time.monotonic() - started, warnings=notes)


def _asked(params: SegmentParameters) -> dict[str, Any]:
    """Options on which what the job keeps depends."""
    return {name: value for name, value in vars(params).items() if name not in _OF_NO_STEP}


@dataclass
class _Steps:
    """From candidates to what is written; each step's layer is in the job's folder.

    Args:
        params: Of the job.
        rules: Post-processing.
        folder: Of the steps' layers and their own job folders.
        raster: What the job looks at.
        report: Progress and cancel.
        model: Of candidates and features, at the job's scale.
    """

    params: SegmentParameters
    rules: Sequence[Rule]
    folder: Path
    raster: Raster
    report: Report
    model: ScaledModel

    def run(
        self, segmenter: Segmenter | SegmenterFactory | None
    ) -> tuple[JobResult, gpd.GeoDataFrame]:
        """What became of the candidates, and the features to write."""
        params, folder = self.params, self.folder
        classes = has_classes(params)
        lines = params.outlines == "centerlines"
        plain = replace(
            SegmentParameters([], ""),
            **{name: value for name, value in vars(params).items() if name not in _CLASS_OPTIONS},
            output=str(folder / "candidates.gpkg"),
            part_size=None,
            layer=None,
            overwrite=True,
            job_folder=str(folder / "candidates.job"),
            class_field=params.class_field if params.exemplars is not None else None,
            outlines="contour" if lines else params.outlines,
            min_area=0.0 if classes else params.min_area,
            crs=None,
            stac_item=False,
        )
        finds_concepts = bool(params.words) or params.exemplars is not None
        judged = False
        lower = "min_score" if segmenter is None and params.min_score != 0 else None
        if segmenter is None and classes and not finds_concepts:
            candidates = replace(plain, scale=self.model.scale)
            segmenter = partial(make_candidates, candidates, self.model.make)
            plain = candidates if magnifies(params) else plain
            judged = judges_again(segmenter())
        made = segment_raster(plain, segmenter=segmenter, **self.report.given)
        found = plain.output
        if classes:
            save = params.save_classifier
            asked = ClassifyParameters(
                input=found,
                output=str(folder / "classes.gpkg"),
                overwrite=True,
                job_folder=str(folder / "classes.job"),
                class_field=params.class_field if params.examples is not None else None,
                save_classifier=None if save is None else str(folder / f"new{SUFFIX}"),
                **{name: getattr(params, name) for name in _SHARED_OPTIONS},
            )
            area = area_of_interest(params, self.raster)
            classify_layer(
                asked,
                factory=self.model,
                may_be_empty=True,
                area=area,
                judged=judged,
                least_score=LEAST_SCORE if judged and params.min_score is None else 0.0,
                lower=lower,
                **self.report.given,
            )
            if save is not None:
                data = Path(asked.save_classifier or "").read_bytes()
                put_classifier(save, data, folder, overwrite=params.overwrite)
            found = asked.output
        # Before the rules (candidates for classes have any size) and after them, for they change
        # shapes.
        least = [Rule(min_area=params.min_area)] if params.min_area > 0 else []
        rules = [*(least if classes else ()), *self.rules, *least]
        if rules:
            frame = ruled(before := _frame(found), rules, self.raster)
            if len(before) and not len(frame):
                filters = [f"{option('min_area')} {params.min_area:g} m2"] if least else []
                filters += [option("rules")] if self.rules else []
                warn(all_left_out(len(before), filters))
            found = str(folder / "ruled.gpkg")
            fields, names = carried(frame)
            writer = LayerWriter(found, frame.crs, overwrite=True, fields=fields)
            write(frame.rename(columns=names), writer)
        if lines:
            straight = RegularizeParameters(
                found, str(folder / "lines.gpkg"), method="centerlines", overwrite=True
            )
            regularize_layer(straight, self.report)
            found = straight.output
        return made, _frame(found)


def _scale(params: SegmentParameters, raster: Raster) -> float:
    """Of the candidates and of their features."""
    return scale_for(params.scale, raster, content=magnifies(params), classifier=params.classifier)


def _check_examples(params: SegmentParameters, raster: Raster, model: ModelFactory) -> None:
    """Refuse examples or a classifier that cannot be used before anything is segmented."""
    with collected(), silenced():  # the step that uses them says it
        class_examples(params, raster)
    if params.classifier is not None:
        saved_classifier(params, "objects", model())


def _frame(path: str) -> gpd.GeoDataFrame:
    """A step's layer."""
    return open_vector(path, Path(path).stem, parameter="input_layer").read()


_OF_NO_STEP = frozenset(
    {
        *("output", "layer", "overwrite", "fresh", "job_folder", "crs", "rules", "min_class_prob"),
        *("save_classifier", "workers", "cluster", "threads", "device", "part_size"),
    }
)
_CLASS_OPTIONS = frozenset(
    {
        *("examples", "class_field", "like", "unlike", "classifier", "save_classifier"),
        *("min_class_prob", "rules", "output", "layer", "overwrite", "job_folder", "outlines"),
        *("min_area", "crs", "stac_item", "part_size"),
    }
)
_SHARED_OPTIONS = (
    *("rasters", "fresh", "model", "device", "precision", "threads", "workers", "cluster"),
    *("bands", "stretch", "resolution", "raster_crs", "overlap", "allow_remote", "tile_size"),
    *("margin", "examples"),
    *("like", "unlike", "classifier", "min_class_prob"),
)
