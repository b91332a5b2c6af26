# SPDX-License-Identifier: GPL-2.0-or-later
"""Merged objects to a layer: features are made in workers and written in order.

Two passes, because the ``parent_id`` of a feature must name a feature that is in the layer, and
which of them are too small is known only at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice, pairwise
from typing import Any

import geopandas as gpd

from ...layers.writer import LayerWriter
from ...merge import MaskSource, Merged, MergedObject, cached
from ...parallel.executors import Executor
from ...tiles.grid import Grid
from ...vectors.contours import to_ground
from ...vectors.coverage import CoverageOptions, coverage
from ...vectors.features import FeatureMaker, VectorStage

BATCH = 128
"""Objects a worker turns into polygons at a time."""

Report = Callable[[str, int, int], None]


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
    masks = cached(masks)  # one batch leaves its tiles to the next
    dropped: set[str] = set()
    report("polygons", 0, len(batches))
    for done, left_out in enumerate(executor.map(stage, _items(objects, batches, masks)), 1):
        dropped.update(left_out)
        report("polygons", done, len(batches))
    parents = _ancestors(objects, dropped)
    count = 0
    for number in range(len(batches)):
        features = gpd.read_parquet(store.finished_features(number))
        if dropped:
            features["parent_id"] = [parents.get(p, p) for p in features["parent_id"]]
        writer.write(features)
        count += len(features)
        report("layer", number + 1, len(batches))
    store.clear_features()
    return count


def write_coverage(
    objects: Merged,
    masks: MaskSource,
    grid: Grid,
    maker: FeatureMaker,
    writer: LayerWriter,
    executor: Executor,
    report: Report,
) -> int:
    """Append all objects to an open layer as a coverage: no gaps, no overlaps, nothing nested.

    Returns:
        Number of features written.
    """
    options = CoverageOptions(tolerance=maker.tolerance / maker.pixel)
    ready = coverage(objects, masks, grid, executor, options)
    count = 0
    report("coverage", 0, len(objects))
    while batch := list(islice(ready, BATCH)):
        some = [replace(objects[number], parent_id="") for number, _ in batch]
        shapes = [to_ground(shape, maker.transform) for _, shape in batch]
        features, _ = maker.features(some, shapes)
        writer.write(features)
        count += len(features)
        report("coverage", count, len(objects))
    report("coverage", len(objects), len(objects))
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
