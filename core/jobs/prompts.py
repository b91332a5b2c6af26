# SPDX-License-Identifier: GPL-2.0-or-later
"""The job with a layer of prompts: one polygon per prompt; resumable, in any number of workers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, cast

import geopandas as gpd
import numpy as np

from ..addresses import without_secrets
from ..errors import ModelError, ParameterError
from ..interactive.batch import windows_of
from ..interactive.windows import Level, model_cell
from ..job import SegmentParameters, option
from ..layers.inputs import layer_input
from ..layers.provenance import ModelUsed
from ..layers.writer import LayerWriter
from ..models.base import PromptableModel
from ..models.embedding_cache import EmbeddingCache
from ..prompts.prompt_layer import LayerOptions, LayerPrompt, PromptAs, PromptLayer, read_prompts
from ..raster.areas import AreaOfInterest
from ..raster.raster import Raster
from ..vectors.schema import carried_fields
from .finished import sizes_and_times
from .folder import Output, executor_for
from .options import area_of_interest, check_tolerance
from .result import JobResult, Report
from .scale import Scalable, magnifies, scale_for, scaled
from .stages.opened import keep_model
from .stages.prompt_stage import ModelFactory, PromptStage, notes_path

BATCH = 128
"""Prompts of a work item, about: windows are never split, so that none is encoded twice."""


def segment_prompts(
    params: SegmentParameters,
    raster: Raster,
    factory: ModelFactory | None,
    cached: bool,
    report: Report,
) -> JobResult:
    """One polygon for each feature of a layer of prompts (``params.prompts``).

    Args:
        params: What to do.
        raster: Open, with the job's bands and resolution.
        factory: Makes the model, instead of ``params.model``; picklable where there are workers.
        cached: Whether embeddings are kept on disk for later jobs and sessions.
        report: Told of progress.

    Returns:
        What was made. Each prompt without a polygon is named by a warning, with the reason.
    """
    options = LayerOptions(
        cast(str, params.prompts),
        params.prompts_layer,
        cast(PromptAs, params.prompt_as),
        params.prompt_id,
        params.prompt_label,
    )
    check_tolerance(params, raster)
    layer = read_prompts(options, raster.transform, raster.crs, raster.shape)
    fields, names = carried_fields(layer.attributes)
    inputs = layer_input("the prompts", params.prompts, params.prompts_layer)
    output = Output.of(params, raster, fields, inputs=inputs)
    area = area_of_interest(params, raster)
    report("stretch", 0, 1)
    spec = raster.spec
    report("stretch", 1, 1)
    content = factory is None and magnifies(params)
    scale = scale_for(params.scale, raster, content=content)
    make = factory or partial(
        _load, params.model, params.device, params.threads, params.precision, scale, params.scale
    )
    model = make()
    cell = cell_for(model, params.tile_size, raster.shape)
    description = _describe(params, raster, model, cell)
    output.says(ModelUsed.of(model.info))
    with output.begun(cell, description) as store:
        stage = PromptStage(
            spec, make, store, cell, cached, params.simplify, params.min_hole, params.outlines
        )
        keep_model(stage.run, model)
        level = Level(raster, model, EmbeddingCache(None), 0, cell)
        known = scale if isinstance(model, Scalable) else None
        job = _Job(params, report, stage, level, layer, names, area, output.writer, known)
        return output.once(store, description, job.write)


@dataclass(frozen=True)
class _Job:
    """A job that has begun: its folder is locked, its output may be written."""

    params: SegmentParameters
    report: Report
    stage: PromptStage
    level: Level
    layer: PromptLayer
    names: Mapping[str, str]
    area: AreaOfInterest | None
    writer: LayerWriter
    scale: float | None

    def write(self, announce: Callable[[Callable[[], JobResult]], None]) -> JobResult:
        """Ask all prompts and write what they find; see :meth:`~.folder.Output.once`."""
        batches = _batches(self.level, self.layer.prompts)
        found, failed = _ask_batches(self.stage, batches, self.params, self.report)
        notes = [*((i, reason) for i, reason in self.layer.left_out), *found]
        lost = {number for number, _ in failed}
        done = [number for number in range(len(batches)) if number not in lost]
        writer = self.writer

        def result() -> JobResult:
            said = [f"Prompt {name}: {reason.rstrip('.')}." for name, reason in notes]
            reasons = [reason for _, reason in failed]
            path, layer = str(writer.path), writer.layer_name
            return JobResult(
                path, layer, writer.count, len(done), reasons, warnings=said, scale=self.scale
            )

        announce(result)
        with writer:
            _write(self.stage, done, writer, self.layer, self.names, self.params, self.area, notes)
        return result()


def _load(
    name: str,
    device: str,
    threads: int | None,
    precision: str,
    scale: float,
    given: float | None,
) -> PromptableModel:
    from ..models.load import load_model

    return scaled(load_model(name, device, threads, precision), scale, given)


def cell_for(model: PromptableModel, tile_size: int | None, shape: tuple[int, int]) -> int:
    """Side of a mask cell for windows of a size; smaller windows for a raster that needs no more.

    Raises:
        ParameterError: The size does not fit the model's masks.
    """
    cells = model.info.mask_size
    own = model_cell(model)
    if model.info.cell is not None:
        if tile_size not in (None, own * cells):
            raise ParameterError(
                f"At its scale {model.info.name} has windows of {own * cells} pixels, not "
                f"{tile_size}: leave {option('tile_size')} out, or choose another "
                f"{option('scale')}."
            )
        return own
    if tile_size is None:
        cell = own
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
) -> tuple[list[tuple[str, str]], list[tuple[int, str]]]:
    """Ask what is not asked yet.

    Returns:
        The notes of all batches, and what failed: the number of a batch, and what happened.

    Raises:
        ModelError: All batches failed.
    """
    total = sum(len(batch) for batch in batches)
    pending = [k for k in range(len(batches)) if not stage.store.features_path(k).exists()]
    done = total - sum(len(batches[k]) for k in pending)
    notes: list[tuple[str, str]] = []
    failed: list[tuple[int, str]] = []
    for k in sorted(set(range(len(batches))) - set(pending)):
        earlier = json.loads(notes_path(stage.store, k).read_text(encoding="utf-8"))
        notes += [(str(name), str(reason)) for name, reason in earlier]
    report("prompts", done, total)
    with executor_for(params, stage.store) as executor:
        items = ((k, batches[k]) for k in pending)
        for k, found in zip(pending, executor.map(stage, items), strict=True):
            notes += found.notes
            if found.error:
                failed.append((k, f"batch {k} of {len(batches[k])} prompts: {found.error}"))
            done += len(batches[k])
            report("prompts", done, total, found.error)
    if failed and len(failed) == len(batches):
        raise ModelError(
            f"None of the prompts could be answered; the first failed with {failed[0][1]}"
        )
    return notes, failed


def _write(
    stage: PromptStage,
    batches: Sequence[int],
    writer: LayerWriter,
    layer: PromptLayer,
    names: Mapping[str, str],
    params: SegmentParameters,
    area: AreaOfInterest | None,
    notes: list[tuple[str, str]],
) -> int:
    """Append finished batches to the open layer, with their prompts' attributes."""
    for number in batches:
        features = gpd.read_parquet(stage.store.finished_features(number))
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
            features[column] = carried[column].array
        writer.write(features)
    return writer.count


def _describe(
    params: SegmentParameters, raster: Raster, model: PromptableModel, cell: int
) -> dict[str, Any]:
    """What the features depend on, and with it the right to go on with a job's batches."""
    return {
        "raster": raster.description,
        "cell": cell,
        "model": asdict(model.info) | {"accepts": sorted(model.info.accepts)},
        "prompts": [
            without_secrets(params.prompts or ""),
            params.prompts_layer,
            params.prompt_as,
            params.prompt_id,
            params.prompt_label,
            sizes_and_times(params.prompts),
        ],
        "shapes": [params.simplify, params.min_hole, params.outlines],
    }
