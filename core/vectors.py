# SPDX-License-Identifier: GPL-2.0-or-later
"""Merged objects -> features of a layer: contour, ground, simplify, measure, write.

Batches of objects become polygons in the workers and wait in the job's folder; then the layer is
written from there, batch by batch. Two passes, because the ``parent_id`` of a feature must name a
feature that is in the layer, and which of them are too small is known only at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
from shapely import Geometry

from .areas import AreaOfInterest
from .executors import Executor
from .grid import Grid
from .layers import LayerWriter
from .measures import measure
from .merge import MaskSource, Merged, MergedObject, cached, fuse
from .store import JobStore, write_atomically
from .vectorize import AffineTuple, SizeLimits, drop_small, polygonize, simplify, to_ground

BATCH = 128
"""Objects a worker turns into polygons at a time."""

Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class VectorStage:
    """A batch of objects -> their features, in the job's folder. Picklable.

    Args:
        store: Where the features go.
        grid: The job's tiles.
        transform: (a, b, c, d, e, f) of working pixel -> ground.
        crs: CRS of the ground as WKT, or None for pixels.
        model: For the attribute ``model``.
        source: For the attribute ``source``.
        tolerance: Of simplification, ground units.
        min_area: Smallest object, m2 on the ellipsoid (square pixels without a CRS).
        min_hole: Smallest hole, likewise.
        area: Area of interest; objects that lie mostly outside are left out.
    """

    store: JobStore
    grid: Grid
    transform: AffineTuple
    crs: str | None
    model: str
    source: str
    tolerance: float
    min_area: float = 0.0
    min_hole: float = 0.0
    area: AreaOfInterest | None = None

    def __call__(self, item: tuple[int, Sequence[MergedObject], MaskSource]) -> list[str]:
        """Write a batch's features; the ids of objects that were left out."""
        number, objects, masks = item
        tiles = cached(masks)
        shapes = np.array([self._shape(obj, tiles) for obj in objects], dtype=object)
        sizes = measure(shapes, self.crs)
        keep = ~shapely.is_empty(shapes) & (sizes.area >= self.min_area)
        if self.area is not None:
            keep &= np.array([self.area.keeps(shape) for shape in shapes], dtype=bool)
        kept = [obj for obj, good in zip(objects, keep, strict=True) if good]
        features = gpd.GeoDataFrame(
            {
                "id": [obj.id for obj in kept],
                "score": np.array([obj.score for obj in kept], np.float64).round(4),
                "stability": np.array([obj.stability for obj in kept], np.float64).round(4),
                "area_m2": sizes.area[keep].round(3),
                "perimeter_m": sizes.perimeter[keep].round(3),
                "prompt_id": [obj.prompt.id for obj in kept],
                "prompt_type": [obj.prompt.type for obj in kept],
                "label": [obj.prompt.label for obj in kept],
                "model": [self.model] * len(kept),
                "source": [self.source] * len(kept),
                "tiles": np.array([obj.tiles for obj in kept], np.int64),
                "parent_id": [obj.parent_id for obj in kept],
            },
            geometry=gpd.GeoSeries(shapes[keep]),
        )
        write_atomically(self.store.features_path(number), features.to_parquet)
        return [obj.id for obj, good in zip(objects, keep, strict=True) if not good]

    def _shape(self, obj: MergedObject, tiles: MaskSource) -> Geometry:
        shape = to_ground(polygonize(fuse(obj, tiles, self.grid), self.grid), self.transform)
        shape = simplify(shape, self.tolerance)
        if self.min_hole > 0:
            shape = drop_small(shape, SizeLimits(hole=self.min_hole, area=self._square_metres))
        return shape

    def _square_metres(self, polygon: Geometry) -> float:
        return float(measure([polygon], self.crs).area[0])


def write_objects(
    objects: Merged,
    masks: MaskSource,
    stage: VectorStage,
    writer: LayerWriter,
    executor: Executor,
    report: Report,
) -> int:
    """Turn all objects into features and append them to an open layer.

    Args:
        objects: What was merged.
        masks: What they were merged from.
        stage: Makes the features of a batch.
        writer: The open layer.
        executor: Runs the stage.
        report: Told of progress.

    Returns:
        Number of features written.
    """
    store = stage.store
    store.clear_features()
    batches = list(_batches(objects))
    dropped: set[str] = set()
    report("polygons", 0, len(batches))
    for done, left_out in enumerate(executor.map(stage, _items(objects, batches, masks)), 1):
        dropped.update(left_out)
        report("polygons", done, len(batches))
    parents = _ancestors(objects, dropped)
    count = 0
    for number in range(len(batches)):
        features = gpd.read_parquet(store.features_path(number))
        if dropped:
            features["parent_id"] = [parents.get(p, p) for p in features["parent_id"]]
        writer.write(features)
        count += len(features)
        report("layer", number + 1, len(batches))
    store.clear_features()
    return count


def _batches(objects: Merged) -> Iterator[Any]:
    """Numbers of the objects of each batch, neighbours together, so that tiles are loaded once."""
    order = objects.by_place()
    cuts = [*range(0, len(order), BATCH), len(order)]
    return (order[start:stop] for start, stop in pairwise(cuts))


def _items(
    objects: Merged, batches: Sequence[Any], masks: MaskSource
) -> Iterator[tuple[int, list[MergedObject], MaskSource]]:
    for number, rows in enumerate(batches):
        yield number, [objects[int(row)] for row in rows], masks


def _ancestors(objects: Merged, dropped: set[str]) -> dict[str, str]:
    """For each object that was left out, the nearest one around it that was not ("" for none)."""
    if not dropped:
        return {}
    above = {obj.id: obj.parent_id for obj in objects if obj.id in dropped}

    def climb(name: str) -> str:
        seen = set()
        while name in above and name not in seen:
            seen.add(name)
            name = above[name]
        return name

    return {name: climb(name) for name in above}
