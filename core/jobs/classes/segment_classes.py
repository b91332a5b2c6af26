# SPDX-License-Identifier: GPL-2.0-or-later
"""All objects of a raster, then their classes: candidates first, kept and processed by class."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pyogrio

from ...classes.rules import Rule, parse_rule
from ...errors import ParameterError
from ...job import ClassifyParameters, Progress, RegularizeParameters, SegmentParameters, option
from ...layers.writer import check_output
from ...models.base import PromptableModel
from ...raster.raster import open_raster
from ...segmenters.segmenter import Segmenter
from ..folder import Output
from ..make_segmenter import make_candidates
from ..options import has_classes, raster_options
from ..regularize import regularize_layer
from ..result import JobResult, Report
from ..scale import scale_for
from ..segment_raster import segment_raster
from ..stages.prompt_stage import ModelFactory
from ..stages.tile_stage import SegmenterFactory
from .class_layer import carried, named, ruled, write
from .class_options import check_options, model_factory
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
    rules = [parse_rule(text) for text in params.rules]
    classes = has_classes(params)
    lines = params.outlines == "centerlines"
    if classes and params.prompts is not None:
        raise ParameterError(
            f"{option('prompts')} names the objects itself: classify its result with 'samgeo "
            f"classify'."
        )
    if params.save_classifier is not None and not classes:
        raise ParameterError(f"{option('save_classifier')} needs examples.")
    check_output(params.output, overwrite=params.overwrite, layer_name=params.layer)
    started = time.monotonic()
    folder = Path(params.job_folder or f"{params.output}.job")
    folder.mkdir(parents=True, exist_ok=True)
    target = str(folder / "classes.gpkg") if lines else params.output
    plain = replace(
        SegmentParameters([], ""),
        **{name: value for name, value in vars(params).items() if name not in _CLASS_OPTIONS},
        output=str(folder / "candidates.gpkg"),
        layer=None,
        overwrite=True,
        job_folder=str(folder / "candidates.job"),
        outlines="contour" if lines else params.outlines,
        min_area=0.0 if classes else params.min_area,
        crs=None,
    )
    model = LoadedOnce(model_factory(params))
    with open_raster(params.rasters, raster_options(params)) as raster:
        scale = scale_for(params.scale, raster)
    if segmenter is None and classes and not params.words:
        segmenter = partial(make_candidates, replace(plain, scale=scale), model)
    made = segment_raster(plain, segmenter=segmenter, progress=progress, cancelled=cancelled)
    if classes:
        least = [f"min-area={params.min_area!r}"] if params.min_area > 0 else []
        asked = ClassifyParameters(
            input=plain.output,
            output=target,
            overwrite=params.overwrite or lines,
            job_folder=str(folder / "features.job"),
            layer=None if lines else params.layer,
            rules=[*least, *params.rules],
            crs=None if lines else params.crs,
            **{name: getattr(params, name) for name in _SHARED_OPTIONS},
        )
        given: dict[str, Any] = {"progress": progress, "cancelled": cancelled}
        result = classify_layer(
            asked, factory=ScaledModel(model, scale), may_be_empty=True, **given
        )
    else:
        result = _rules_alone(replace(params, output=target), plain.output, rules)
    if lines:
        straight = RegularizeParameters(
            target, params.output, method="centerlines", overwrite=params.overwrite
        )
        drawn = regularize_layer(straight, Report(progress, cancelled))
        result = replace(result, output=str(drawn["output"]), features=int(drawn["features"]))
    if params.job_folder is None and not made.failed:
        shutil.rmtree(folder, ignore_errors=True)
    return replace(
        result,
        tiles=made.tiles,
        failed=made.failed,
        seconds=time.monotonic() - started,
        warnings=[*made.warnings, *result.warnings],
    )


_CLASS_OPTIONS = frozenset(
    {
        *("examples", "class_field", "like", "unlike", "classifier", "save_classifier"),
        *("min_class_prob", "rules", "output", "layer", "overwrite", "job_folder", "outlines"),
        *("min_area", "crs"),
    }
)
_SHARED_OPTIONS = (
    *("rasters", "fresh", "model", "device", "precision", "threads", "workers", "cluster"),
    *("bands", "stretch", "resolution", "raster_crs", "overlap", "allow_remote", "tile_size"),
    *("margin", "examples", "class_field"),
    *("like", "unlike", "classifier", "save_classifier", "min_class_prob"),
)


def _rules_alone(params: SegmentParameters, found: str, rules: Sequence[Rule]) -> JobResult:
    """A layer after post-processing, without classes of examples."""
    with open_raster(params.rasters, raster_options(params)) as raster:
        frame = named(pyogrio.read_dataframe(found, layer=Path(found).stem))
        fields, names = carried(frame)
        writer = Output.of(params, raster, fields, crs=frame.crs).writer
        count = write(ruled(frame, rules, raster), writer, names)
    return JobResult(str(writer.path), writer.layer_name, count, 0)
