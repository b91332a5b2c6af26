# SPDX-License-Identifier: GPL-2.0-or-later
"""The worker's methods without a session: one function per method of ``docs/protocol.md``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from .. import job
from ..errors import ParameterError
from ..interactive.windows import Check
from ..raster.raster import RasterOptions, open_raster

Json = dict[str, Any]
Method = Callable[[Json, "Context"], Json]


class Progress(Protocol):
    """Tells the client how far a request is; raises ``Cancelled`` where it is not wanted."""

    def __call__(self, stage: str, done: int, total: int, message: str = "") -> None: ...


@dataclass(frozen=True)
class Context:
    """What a method may use of the request that it answers."""

    check: Check
    progress: Progress
    log: Callable[[str, str], None]


def segment(params: Json, context: Context) -> Json:
    """A whole job: raster to layer."""
    from ..jobs.run import run

    asked = job.SegmentParameters.from_dict(params)

    return dict(vars(run(asked, **_told(context))))


def regularize(params: Json, context: Context) -> Json:
    """A layer's outlines made straight, or its roads made lines."""
    from ..jobs.regularize import regularize_layer

    return regularize_layer(job.RegularizeParameters.from_dict(params), context.progress)


def classify(params: Json, context: Context) -> Json:
    """The objects of a layer get classes."""
    from ..jobs.classes.classify import classify_layer

    result = classify_layer(job.ClassifyParameters.from_dict(params), **_told(context))
    return dict(vars(result))


def update(params: Json, context: Context) -> Json:
    """An old layer is compared with a new raster."""
    from ..jobs.update.run_update import update_layer

    result = update_layer(job.UpdateParameters.from_dict(params), **_told(context))
    return dict(vars(result))


def map_ground(params: Json, context: Context) -> Json:
    """A raster's ground as classes, or its roads as a network."""
    from ..jobs.classes.map_classes import map_classes

    return dict(vars(map_classes(job.MapParameters.from_dict(params), **_told(context))))


def track(params: Json, context: Context) -> Json:
    """The objects of a layer followed through dated rasters."""
    from ..tracking.run import track as follow

    asked = job.TrackParameters.from_dict(params)
    found = follow(
        **vars(asked),
        progress=lambda done, total: context.progress("dates", done, total),
        check=context.check,
    )
    return found.to_json()


def train(params: Json, context: Context) -> Json:
    """A model trained on a user's polygons, kept where it is better.

    The priority of the process is lower from then on: a client starts a process of its own for it.
    """
    from ..parallel.priority import WHILE_TRAINING, step_back
    from ..training.finetuning.improve import train_as_asked

    told = _told(context)
    asked = job.TrainParameters.from_dict(params)
    step_back(WHILE_TRAINING)
    return train_as_asked(asked, progress=told["progress"]).to_json()


def evaluate(params: Json, context: Context) -> Json:
    """A layer compared with the truth."""
    from ..evaluation.run import evaluate as compare

    return compare(**vars(job.EvaluateParameters.from_dict(params))).to_json()


def export_labels(params: Json, context: Context) -> Json:
    """A raster and a layer as training data for other programs."""
    from ..labels.exporting import export_as_asked

    asked = job.ExportLabelsParameters.from_dict(params)
    return dict(vars(export_as_asked(asked, progress=_told(context)["progress"])))


def import_labels(params: Json, context: Context) -> Json:
    """Labels of images as a layer on the ground."""
    from ..labels.importing import import_as_asked

    return dict(vars(import_as_asked(job.ImportLabelsParameters.from_dict(params))))


def _told(context: Context) -> dict[str, Any]:
    """Progress and cancelling of a request, as a job wants them."""

    def cancelled() -> bool:
        context.check()
        return False

    return {
        "progress": lambda p: context.progress(p.stage, p.done, p.total, p.message),
        "cancelled": cancelled,
    }


def statistics(params: Json, context: Context) -> Json:
    """The one stretch of a raster."""
    known = {"rasters", "bands", "percentiles", "allow_remote"}
    unknown = sorted(set(params) - known)
    if unknown:
        raise ParameterError(
            f"Unknown parameter {unknown[0]!r:.80}: known are {', '.join(sorted(known))}."
        )
    opening = {k: v for k, v in params.items() if k != "percentiles"}
    asked = job.OpenParameters.from_dict(opening)
    percentiles = params.get("percentiles")
    if percentiles is not None and not (
        isinstance(percentiles, list)
        and len(percentiles) == 2
        and all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in percentiles)
    ):
        raise ParameterError(f"Percentiles are two numbers, low and high, not {percentiles!r:.80}.")
    options = RasterOptions(
        bands=None if asked.bands is None else tuple(asked.bands),
        percentiles=None if percentiles is None else (percentiles[0], percentiles[1]),
        allow_remote=asked.allow_remote,
    )
    with open_raster(asked.rasters, options) as raster:
        context.progress("stretch", 0, 1)
        stretch = raster.stretch
        context.progress("stretch", 1, 1)
        pairs = [list(pair) for pair in zip(stretch.low, stretch.high, strict=True)]
        return {"stretch": pairs, "info": raster.info.to_json()}


def models(params: Json, context: Context) -> Json:
    """Models listed, downloaded, checked, removed."""
    from .model_methods import do_models

    return do_models(params, context.check, context.progress)


METHODS: Mapping[str, Method] = {
    "segment": segment,
    "regularize": regularize,
    "classify": classify,
    "map": map_ground,
    "update": update,
    "track": track,
    "train": train,
    "evaluate": evaluate,
    "export_labels": export_labels,
    "import_labels": import_labels,
    "statistics": statistics,
    "models": models,
}
