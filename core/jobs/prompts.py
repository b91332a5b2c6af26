# SPDX-License-Identifier: GPL-2.0-or-later
"""A job with a layer of prompts, from its parameters to a layer; resumable, in any workers."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, cast

import geopandas as gpd
import numpy as np

from ..errors import ParameterError, SamGeoWarning
from ..interactive.batch import windows_of
from ..interactive.windows import Level, model_cell
from ..job import Progress, SegmentParameters
from ..layers.writer import LayerWriter, discard_leftovers
from ..masks.store import JobStore
from ..models.base import PromptableModel
from ..models.embedding_cache import EmbeddingCache
from ..parallel.executors import make_executor
from ..prompts.prompt_layer import LayerOptions, LayerPrompt, PromptAs, PromptLayer, read_prompts
from ..raster.areas import AreaOfInterest
from ..raster.raster import Raster, open_raster
from ..vectors.schema import carried_fields
from .prompt_stage import ModelFactory, PromptStage, close_all, notes_path
from .run import JobResult, Report, area_of_interest, raster_options

BATCH = 128
"""Prompts of a work item, about: windows are never split, so that none is encoded twice."""


def run_prompts(
    params: SegmentParameters,
    *,
    factory: ModelFactory | None = None,
    progress: Callable[[Progress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    cached: bool = True,
) -> JobResult:
    """A job with a layer of prompts (``params.prompts``), or the rest of one that was interrupted.

    Args:
        params: What to do.
        factory: Makes the model, instead of ``params.model``; picklable where there are workers.
        progress: Called with each step.
        cancelled: Asked between batches; True stops the job with ``Cancelled``.
        cached: Whether embeddings are kept on disk for later jobs and sessions.

    Returns:
        What was made. Each prompt without a polygon is named in ``warnings``, with the reason.

    Raises:
        SamGeoError: See ``errors.py``; no partial output stays.
    """
    if params.prompts is None:
        raise ParameterError("Name the layer of prompts with --prompts.")
    _check_options(params)
    started = time.monotonic()
    report = Report(progress, cancelled)
    with open_raster(params.rasters, raster_options(params)) as raster:
        layer = read_prompts(
            LayerOptions(
                params.prompts,
                params.prompts_layer,
                cast(PromptAs, params.prompt_as),
                params.prompt_id,
                params.prompt_label,
            ),
            raster.transform,
            raster.crs,
            raster.shape,
        )
        fields, names = carried_fields(layer.attributes)
        writer = LayerWriter(
            params.output,
            params.crs or raster.crs,
            source_crs=raster.crs,
            layer_name=params.layer,
            overwrite=params.overwrite,
            fields=fields,
            modified=raster.modified,
        )
        report("stretch", 0, 1)
        spec = raster.spec
        report("stretch", 1, 1)
        make = factory or partial(
            _load, params.model, params.device, params.threads, params.precision
        )
        model = make()
        cell = cell_for(model, params.tile_size, raster.shape)
        store = JobStore(Path(params.job_folder or f"{params.output}.job"), cell)
        store.begin(_describe(params, raster, model, cell), fresh=params.fresh)
        discard_leftovers(params.output)
        stage = PromptStage(
            spec, make, store, cell, cached, params.simplify, params.min_hole, params.outlines
        )
        try:
            batches = _batches(Level(raster, model, EmbeddingCache(None), 0, cell), layer.prompts)
            notes = _ask_batches(stage, batches, params, report)
            notes = [*((i, reason) for i, reason in layer.left_out), *notes]
            area = area_of_interest(params, raster)
            with writer:
                count = _write(stage, len(batches), writer, layer, names, params, area, notes)
        finally:
            store.release()
            close_all()
    if params.job_folder is None:
        store.remove()
    sentences = [f"Prompt {name}: {reason.rstrip('.')}." for name, reason in notes]
    for sentence in sentences:
        warnings.warn(sentence, SamGeoWarning, stacklevel=2)
    return JobResult(
        str(writer.path),
        writer.layer_name,
        count,
        len(batches),
        [],
        time.monotonic() - started,
        sentences,
    )


def _check_options(params: SegmentParameters) -> None:
    """Options that only make sense where the objects are not named one by one."""
    usual = SegmentParameters(params.rasters, params.output)
    for name, given, allowed in (
        ("outlines", params.outlines, ("contour", "rectangles")),
        ("shapes", params.shapes, (usual.shapes,)),
        ("mode", params.mode, (usual.mode,)),
    ):
        if given not in allowed:
            raise ParameterError(
                f"With --prompts there is one polygon a prompt: --{name} {given} does not go with "
                f"it; use {' or '.join(allowed)}."
            )
    for name, value, left_out in (
        ("margin", params.margin, usual.margin),
        ("points-per-side", params.points_per_side, usual.points_per_side),
    ):
        if value != left_out:
            raise ParameterError(
                f"--{name} {value} belongs to the automatic mode; with --prompts each object is "
                "followed from its prompt, as far as it goes: leave it out."
            )


def _load(name: str, device: str, threads: int | None, precision: str) -> PromptableModel:
    from ..models.load import load_model

    return load_model(name, device, threads, precision)


def cell_for(model: PromptableModel, tile_size: int | None, shape: tuple[int, int]) -> int:
    """Side of a mask cell for windows of a size; smaller windows for a raster that needs no more.

    Raises:
        ParameterError: The size does not fit the model's masks.
    """
    cells = model.info.mask_size
    if tile_size is None:
        cell = model_cell(model)
        while cell > 1 and cell % 2 == 0 and max(shape) * 2 <= cell * cells:
            cell //= 2
        return cell
    if tile_size % cells:
        raise ParameterError(
            f"A tile of {tile_size} pixels does not fit the model's masks of {cells} cells: "
            f"choose a multiple of {cells}."
        )
    return tile_size // cells


def _batches(level: Level, prompts: Sequence[LayerPrompt]) -> list[list[LayerPrompt]]:
    """Prompts in work items of whole windows."""
    batches: list[list[LayerPrompt]] = [[]]
    for group in windows_of(level, prompts).values():
        if batches[-1] and len(batches[-1]) + len(group) > BATCH:
            batches.append([])
        batches[-1] += group
    return batches


def _ask_batches(
    stage: PromptStage,
    batches: Sequence[Sequence[LayerPrompt]],
    params: SegmentParameters,
    report: Report,
) -> list[tuple[str, str]]:
    """Ask what is not asked yet; the notes of all batches."""
    total = sum(len(batch) for batch in batches)
    pending = [k for k in range(len(batches)) if not stage.store.features_path(k).exists()]
    done = total - sum(len(batches[k]) for k in pending)
    notes: list[tuple[str, str]] = []
    for k in sorted(set(range(len(batches))) - set(pending)):
        earlier = json.loads(notes_path(stage.store, k).read_text(encoding="utf-8"))
        notes += [(str(name), str(reason)) for name, reason in earlier]
    report("prompts", done, total)
    with make_executor(params.workers, params.cluster) as executor:
        items = ((k, batches[k]) for k in pending)
        for k, found in zip(pending, executor.map(stage, items), strict=True):
            notes += found
            done += len(batches[k])
            report("prompts", done, total)
    return notes


def _write(
    stage: PromptStage,
    count: int,
    writer: LayerWriter,
    layer: PromptLayer,
    names: Mapping[str, str],
    params: SegmentParameters,
    area: AreaOfInterest | None,
    notes: list[tuple[str, str]],
) -> int:
    """Append all batches to the open layer, with their prompts' attributes."""
    for number in range(count):
        features = gpd.read_parquet(stage.store.features_path(number))
        keep = features["area_m2"].fillna(0).to_numpy() >= params.min_area
        keep &= features["score"].to_numpy() >= (params.min_score or 0.0)
        keep &= features["stability"].to_numpy() >= (params.min_stability or 0.0)
        if area is not None:
            keep &= np.array([area.keeps(shape) for shape in features.geometry], bool)
        for name in features["prompt_id"][~keep]:
            notes.append((name, "its polygon is too small or too weak, or outside the area"))
        features = features[keep]
        carried = layer.attributes.iloc[features["row"].to_numpy()].rename(columns=dict(names))
        features = features.drop(columns="row")
        for column in carried.columns:
            features[column] = carried[column].to_numpy()
        writer.write(features)
    return writer.count


def _describe(
    params: SegmentParameters, raster: Raster, model: PromptableModel, cell: int
) -> dict[str, Any]:
    """What the features depend on, and with it the right to go on with a job's batches."""
    path = Path(params.prompts or "")
    status = path.stat() if path.exists() else None
    return {
        "raster": {**raster.spec, "identity": raster.identity},
        "cell": cell,
        "model": asdict(model.info) | {"accepts": sorted(model.info.accepts)},
        "prompts": [
            str(path),
            params.prompts_layer,
            params.prompt_as,
            params.prompt_id,
            params.prompt_label,
            None if status is None else [status.st_size, status.st_mtime_ns],
        ],
        "shapes": [params.simplify, params.min_hole, params.outlines],
    }
