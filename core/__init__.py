# SPDX-License-Identifier: GPL-2.0-or-later
"""SamGeo Seamless: georeferenced rasters in, seam-free polygons out.

``segment`` does a whole job; ``Segmenter`` is what a model of your own must be; ``Session`` answers
prompts. These names stay where they are when modules move. They are imported when they are first
used, so that ``import samgeo_core`` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .api import segment
    from .errors import (
        Cancelled,
        CheckpointError,
        IncompleteError,
        JobError,
        ModelError,
        OutputError,
        ParameterError,
        PromptError,
        RasterError,
        SamGeoError,
        SamGeoWarning,
    )
    from .evaluation.run import Evaluation, evaluate
    from .in_memory import ArrayRaster
    from .interactive.session import Session
    from .job import Progress, Prompt, RegularizeParameters, SegmentParameters, UpdateParameters
    from .jobs.regularize import regularize_layer
    from .jobs.run import JobResult, run
    from .jobs.scenes.plan import Plan, plan
    from .jobs.update.run_update import UpdateResult, update
    from .labels.chips import ChipOptions
    from .labels.exporting import export_labels
    from .labels.importing import import_labels
    from .masks.masks import Mask, PromptRef, TileMasks
    from .model_check.check import ModelCheck, check_model
    from .models.base import PromptableModel, Prompts
    from .models.load import load_model, load_video_model
    from .picture import show
    from .raster.raster import Raster, RasterOptions, open_raster
    from .segmenters.segmenter import Hint, PromptableSegmenter, Segmenter, TileImage
    from .tiles.grid import Grid, Tile
    from .tracking.run import Tracks, track
    from .training.finetuning.improve import train
    from .training.finetuning.training_job import TrainOptions
    from .types import Box, CellBox, GroundBox, PixelBox, TileIndex

_HOMES = {
    "ArrayRaster": "in_memory",
    "Box": "types",
    "Cancelled": "errors",
    "CellBox": "types",
    "CheckpointError": "errors",
    "ChipOptions": "labels.chips",
    "Evaluation": "evaluation.run",
    "Grid": "tiles.grid",
    "GroundBox": "types",
    "Hint": "segmenters.segmenter",
    "IncompleteError": "errors",
    "JobError": "errors",
    "JobResult": "jobs.run",
    "Mask": "masks.masks",
    "ModelCheck": "model_check.check",
    "ModelError": "errors",
    "OutputError": "errors",
    "ParameterError": "errors",
    "Plan": "jobs.scenes.plan",
    "PixelBox": "types",
    "Progress": "job",
    "Prompt": "job",
    "PromptError": "errors",
    "PromptRef": "masks.masks",
    "PromptableModel": "models.base",
    "PromptableSegmenter": "segmenters.segmenter",
    "Prompts": "models.base",
    "Raster": "raster.raster",
    "RasterError": "errors",
    "RasterOptions": "raster.raster",
    "RegularizeParameters": "job",
    "SamGeoError": "errors",
    "SamGeoWarning": "errors",
    "SegmentParameters": "job",
    "Segmenter": "segmenters.segmenter",
    "Session": "interactive.session",
    "Tile": "tiles.grid",
    "TileImage": "segmenters.segmenter",
    "TileIndex": "types",
    "TileMasks": "masks.masks",
    "TrainOptions": "training.finetuning.training_job",
    "Tracks": "tracking.run",
    "UpdateParameters": "job",
    "UpdateResult": "jobs.update.run_update",
    "check_model": "model_check.check",
    "evaluate": "evaluation.run",
    "export_labels": "labels.exporting",
    "import_labels": "labels.importing",
    "load_model": "models.load",
    "load_video_model": "models.load",
    "open_raster": "raster.raster",
    "plan": "jobs.scenes.plan",
    "regularize_layer": "jobs.regularize",
    "run": "jobs.run",
    "segment": "api",
    "show": "picture",
    "track": "tracking.run",
    "update": "jobs.update.run_update",
    "train": "training.finetuning.improve",
}
"""Module of each public name, below this package."""

__all__ = [
    "ArrayRaster",
    "Box",
    "Cancelled",
    "CellBox",
    "CheckpointError",
    "ChipOptions",
    "Evaluation",
    "Grid",
    "GroundBox",
    "Hint",
    "IncompleteError",
    "JobError",
    "JobResult",
    "Mask",
    "ModelCheck",
    "ModelError",
    "OutputError",
    "ParameterError",
    "PixelBox",
    "Plan",
    "Progress",
    "Prompt",
    "PromptError",
    "PromptRef",
    "PromptableModel",
    "PromptableSegmenter",
    "Prompts",
    "Raster",
    "RasterError",
    "RasterOptions",
    "RegularizeParameters",
    "SamGeoError",
    "SamGeoWarning",
    "SegmentParameters",
    "Segmenter",
    "Session",
    "Tile",
    "TileImage",
    "TileIndex",
    "TileMasks",
    "Tracks",
    "TrainOptions",
    "UpdateParameters",
    "UpdateResult",
    "__version__",
    "check_model",
    "evaluate",
    "export_labels",
    "import_labels",
    "load_model",
    "load_video_model",
    "open_raster",
    "plan",
    "regularize_layer",
    "run",
    "segment",
    "show",
    "track",
    "train",
    "update",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
