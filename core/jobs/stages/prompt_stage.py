# SPDX-License-Identifier: GPL-2.0-or-later
"""The stage that turns a batch of prompts into one polygon per prompt.

Batches of windows are independent (``interactive/batch.py``): they run in any number of workers,
their features wait in the job's folder, and a job that was killed goes on with the batches that
are missing.
"""

from __future__ import annotations

import hashlib
import json
import math
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

import geopandas as gpd
import shapely

from ...earth.geometry import half_pixel, pixel_side
from ...earth.place import RasterPlace
from ...errors import Cancelled, OutputError, SamGeoError
from ...interactive.batch import ask_all
from ...interactive.first_prediction import Candidate
from ...interactive.windows import Level
from ...masks.store import JobStore
from ...models.base import PromptableModel
from ...models.embedding_cache import EmbeddingCache
from ...parallel.atomic_write import write_atomically
from ...parallel.cancellation import check
from ...parallel.executors import ONE_AT_A_TIME, new_run
from ...prompts.prompt_layer import LayerPrompt
from ...raster.raster import Raster, coarser
from ...vectors.contours import SizeLimits, drop_small, simplify
from ...vectors.geodesic import measure
from ...vectors.local_plane import squared
from ...vectors.object_polygon import object_polygon
from .opened import model_of, opened

ModelFactory = Callable[[], PromptableModel]


@dataclass(frozen=True)
class PromptOutcome:
    """What became of a batch.

    Args:
        notes: (prompt id, what happened) of prompts without a polygon or with one that is cut
            short.
        error: Why the batch failed, "" where it did not.
    """

    notes: list[tuple[str, str]]
    error: str = ""


@dataclass(frozen=True)
class PromptStage:
    """A batch of prompts -> their features, in the job's folder. Picklable.

    Args:
        spec: The raster with the job's stretch (``Raster.spec``).
        factory: Makes the model; called once per process.
        store: Where the features go.
        cell: Side of a mask cell, working pixels.
        cached: Whether embeddings are kept on disk for later jobs and sessions.
        simplify: Tolerance, ground units; None for half a working pixel.
        min_hole: Smallest hole, m2 on the ellipsoid (square pixels without a CRS).
        outlines: "contour" or "rectangles" (right angles).
        run: Names this run of the job among all others.
    """

    spec: Mapping[str, Any]
    factory: ModelFactory
    store: JobStore
    cell: int
    cached: bool = True
    simplify: float | None = None
    min_hole: float = 0.0
    outlines: str = "contour"
    run: str = field(default_factory=new_run)

    def __call__(self, item: tuple[int, Sequence[LayerPrompt]]) -> PromptOutcome:
        """Write a batch's features; what fails is tried twice, and then noted as failed."""
        with ONE_AT_A_TIME:
            for attempt in (1, 2):
                try:
                    outcome = PromptOutcome(self._answers(*item))
                    failure_path(self.store, item[0]).unlink(missing_ok=True)
                    return outcome
                except Cancelled:
                    raise
                except Exception as error:  # a model of the user's own may raise anything
                    if isinstance(error, OutputError):
                        raise  # the disk is full: the next batch would fail as well
                    kind = error.kind if isinstance(error, SamGeoError) else type(error).__name__
                    reason, detail = f"{kind}: {error}", traceback.format_exc()
                    if attempt == 2:
                        break
            path, text = failure_path(self.store, item[0]), f"{reason}\n\n{detail}"
            write_atomically(path, lambda partial: _write_text(partial, text))
            return PromptOutcome([], reason)

    def _answers(self, number: int, prompts: Sequence[LayerPrompt]) -> list[tuple[str, str]]:
        notes: list[tuple[str, str]] = []
        level = _level(self)
        rows: list[dict[str, Any]] = []
        shapes: list[Any] = []
        for prompt, outcome in ask_all(
            level, prompts, coarser=partial(_coarser_level, self), check=check
        ):
            if isinstance(outcome, str):
                notes.append((prompt.id, outcome))
                continue
            shape = self._shape(outcome, level)
            if shape.is_empty:
                notes.append((prompt.id, "the model finds nothing there"))
                continue
            if outcome.limit is not None:
                notes.append((prompt.id, outcome.limit))
            shapes.append(shape)
            rows.append(self._attributes(prompt, outcome, level, shape))
        crs = level.source.crs
        sizes = measure(shapes, crs)
        features = gpd.GeoDataFrame(
            {
                **{name: [row[name] for row in rows] for name in _COLUMNS},
                "area_m2": sizes.area.round(3),
                "perimeter_m": sizes.perimeter.round(3),
            },
            geometry=gpd.GeoSeries(shapes, dtype="geometry" if not shapes else None),
        )
        # The notes first: where the features are, the batch is done.
        text = json.dumps(notes, ensure_ascii=False)
        write_atomically(notes_path(self.store, number), lambda path: _write_text(path, text))
        write_atomically(self.store.features_path(number), features.to_parquet)
        return notes

    def _shape(self, candidate: Candidate, level: Level) -> Any:
        source = level.source
        straight = self.outlines == "rectangles"
        shape = object_polygon(
            candidate.known,
            level.cell,
            source.transform,
            source.shape,
            0.0 if straight else self.simplify,
        )
        if straight and not shape.is_empty:
            frame = RasterPlace(source.transform, source.shape, source.crs).frame
            shape = squared(shape, source.crs, 1.5 * pixel_side(source.transform), frame)
            tolerance = half_pixel(source.transform) if self.simplify is None else self.simplify
            shape = simplify(shape, tolerance)
        if self.min_hole > 0:

            def area(part: Any) -> float:
                return float(measure([part], source.crs).area[0])

            shape = drop_small(shape, SizeLimits(hole=self.min_hole, area=area))
        return shape

    def _attributes(
        self, prompt: LayerPrompt, candidate: Candidate, level: Level, shape: Any
    ) -> dict[str, Any]:
        digest = hashlib.blake2b(shapely.to_wkb(shape), digest_size=8)
        digest.update(f"{prompt.row}|{prompt.id}".encode())
        return {
            "row": prompt.row,
            "id": digest.hexdigest(),
            "score": round(candidate.score, 4),
            "stability": round(candidate.stability, 4),
            "prompt_id": prompt.id,
            "prompt_type": prompt.type,
            "label": prompt.label,
            "model": level.model.info.name,
            "source": _source_under(level.source, shape),
            "tiles": len(candidate.windows),
            "parent_id": "",
        }


def _source_under(source: Any, shape: Any) -> str:
    """Name of the raster on which a polygon lies."""
    under = getattr(source, "polygon_sources", "")
    return under if isinstance(under, str) else str(under([shape])[0])


def notes_path(store: JobStore, number: int) -> Path:
    """Where a batch's notes wait."""
    return store.features_path(number).with_suffix(".json")


def failure_path(store: JobStore, number: int) -> Path:
    """Where it is noted why a batch failed."""
    return store.features_path(number).with_suffix(".failed")


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


_COLUMNS = (
    "row",
    "id",
    "score",
    "stability",
    "prompt_id",
    "prompt_type",
    "label",
    "model",
    "source",
    "tiles",
    "parent_id",
)


# -- what a process has open ---------------------------------------------------------------------


@dataclass
class _Workshop:
    raster: Raster
    model: PromptableModel
    levels: dict[int, Level]

    def close(self) -> None:
        for level in self.levels.values():
            cast(Raster, level.source).close()


def _workshop(stage: PromptStage) -> _Workshop:
    model = model_of(stage.run, stage.factory)

    def make() -> _Workshop:
        raster = Raster.from_spec(stage.spec)
        cache = EmbeddingCache() if stage.cached else EmbeddingCache(folder=None)
        return _Workshop(raster, model, {1: Level(raster, model, cache, 0, stage.cell)})

    return opened(stage.run, stage.store.folder, make)


def _level(stage: PromptStage) -> Level:
    return _workshop(stage).levels[1]


def _coarser_level(stage: PromptStage, step: int) -> Level | None:
    """The level at ``step`` working pixels per pixel, or the coarsest that makes sense."""
    shop = _workshop(stage)
    level = shop.levels[1]
    longest = max(level.source.shape) / level.lattice.size
    if longest <= 1:
        return None
    factor = min(step, 2 ** math.ceil(math.log2(longest)))
    if factor not in shop.levels:
        coarse = Raster.from_spec(coarser(stage.spec, factor))
        octave = int(math.log2(factor))
        shop.levels[factor] = Level(coarse, shop.model, level.cache, octave, stage.cell)
    return shop.levels[factor]
