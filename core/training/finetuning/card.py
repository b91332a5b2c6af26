# SPDX-License-Identifier: GPL-2.0-or-later
"""What stands in a trained model's card, and what it has forgotten."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ...jobs.scale import scale_for, scaled
from ...labels.places import Cut
from ...models.base import PromptableModel
from ...raster.raster import open_raster
from .examples import ExampleOptions, Windows, read_examples
from .finetune import Run
from .gain import Verdict
from .measure import measure

if TYPE_CHECKING:
    from .training_job import TrainingJob

LARGEST_SCENE = 30
"""Objects of the sample scene that are asked to see what was forgotten."""

SCENE = Path(__file__).parents[3] / "sample_data"
"""The sample scene, where the project lies as it was checked out."""


def card(
    job: TrainingJob, name: str, run: Run, verdict: Verdict, forgotten: dict[str, Any]
) -> dict[str, Any]:
    """Data, places, dates, figures and licence of a trained model, as JSON."""
    raster = job.raster
    counts = {
        side: len({o.id for w in some for o in w.objects}) for side, some in job.windows.items()
    }
    x, y = raster.width / 2, raster.height / 2
    gx, gy = raster.transform @ (x, y)
    return {
        "name": name,
        "base": job.notes.base,
        "kind": job.notes.own_kind,
        "family": job.notes.family,
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "raster": raster.name,
        "raster_date": raster.modified.strftime("%Y-%m-%d"),
        "place": {
            "x": gx,
            "y": gy,
            "crs": None if raster.crs is None else raster.crs.to_string(),
        },
        "objects": counts,
        "rejected": len(job.examples.rejected),
        "confident": job.confident,
        "classes": sorted({o.label for o in job.examples.objects}),
        "complete": job.examples.known is not None,
        "left_out": job.left_out,
        "steps": run.step,
        "kept_step": run.best_step,
        "minutes": round(run.seconds / 60, 2),
        "loss": [round(float(np.mean(run.losses[s])), 4) for s in (slice(0, 20), slice(-20, None))],
        "parameters": sum(t.numel() for t in job.kept.values()),
        "figures": {k: asdict(v) for k, v in verdict.changes.items()},
        "held_back": verdict.objects,
        "kept": job.chosen,
        "elsewhere": elsewhere(raster.name) if job.classifier is not None else "",
        "verdict": verdict.reason,
        "offered": verdict.offered,
        "sample_scene": forgotten,
        "person_minutes": job.options.person_minutes,
        "seed": run.options.seed,
        "licence": job.options.licence or "of the labels and the base model",
        "torch": torch.__version__,
    }


def elsewhere(raster: str) -> str:
    """A sentence on a model that has learned what is accepted."""
    return (
        f"Its automatic mode keeps what was accepted on {raster} and leaves out what was not: on "
        "other rasters, or for other kinds of object, use the base model."
    )


def forgotten(before: PromptableModel, after: PromptableModel, window: int) -> dict[str, Any]:
    """Boxes and clicks on the sample scene, before and after; empty where it is not here."""
    raster, truth = SCENE / "town.tif", SCENE / "town_truth.gpkg"
    if not (raster.exists() and truth.exists()):
        return {}
    with open_raster(str(raster)) as scene:
        examples = read_examples(scene, truth, ExampleOptions(layer="buildings"))
        some = replace(examples, objects=examples.objects[:LARGEST_SCENE])
        nowhere = Cut(0, float(scene.width))
        windows = Windows(scene, window).around(some, nowhere, "train")
        scale = scale_for(None, scene)
        found = [
            measure(scaled(model, scale, None), windows, automatic=0) for model in (before, after)
        ]
    return {key: [round(m.figures()[key], 4) for m in found] for key in ("box_iou", "click_iou")}
