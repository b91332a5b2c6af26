# SPDX-License-Identifier: GPL-2.0-or-later
"""Merged objects to a layer: features are made in workers and written in order.

Two passes, because the ``parent_id`` of a feature must name a feature that is in the layer, and
which of them are too small is known only at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import islice

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ...layers.writer import LayerWriter
from ...merge import MaskSource, Merged, cached
from ...merge.objects import NO_PARENT
from ...parallel.executors import Executor
from ...tiles.grid import Grid
from ...vectors.contours import to_ground
from ...vectors.coverage import CoverageOptions, coverage
from ...vectors.features import CHUNK, FeatureMaker, VectorStage

MOST_CHUNKS = 8
"""Chunks of objects (:data:`CHUNK`) that a worker turns into polygons at a time, at most."""

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
    batches = _batches(objects, executor.workers)
    masks = cached(masks)  # one batch leaves its tiles to the next
    left_out = [np.empty(0, np.int64)]
    report("polygons", 0, len(batches))
    items = ((number, objects.columns(rows), masks) for number, rows in enumerate(batches))
    for number, found in enumerate(executor.map(stage, items)):
        left_out.append(batches[number][found])
        report("polygons", number + 1, len(batches))
    parents = _other_parents(objects, np.concatenate(left_out))
    count = 0
    for number in range(len(batches)):
        path = store.finished_features(number, ".arrow")
        with pa.OSFile(str(path)) as file, pa.ipc.open_file(file) as stored:
            for chunk in range(stored.num_record_batches):
                features = stored.get_batch(chunk)
                count += features.num_rows
                writer.write_batch(_with_parents(features, parents))
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
    while batch := list(islice(ready, CHUNK)):
        some = [replace(objects[number], parent_id="") for number, _ in batch]
        shapes = [to_ground(shape, maker.transform) for _, shape in batch]
        features = maker.features(some, shapes)
        writer.write(features)
        count += len(features)
        report("coverage", count, len(objects))
    report("coverage", len(objects), len(objects))
    return count


def _batches(objects: Merged, workers: int) -> list[NDArray[np.int64]]:
    """Numbers of the objects of each batch, neighbours together, so that tiles are loaded once."""
    order = objects.by_place()
    chunks = max(1, min(MOST_CHUNKS, len(order) // (4 * workers * CHUNK)))
    return np.split(order, range(chunks * CHUNK, len(order), chunks * CHUNK)) if len(order) else []


def _with_parents(features: pa.RecordBatch, parents: Mapping[str, str]) -> pa.RecordBatch:
    """Features whose parents are in the layer."""
    if not parents:
        return features
    at = features.schema.get_field_index("parent_id")
    names = [parents.get(name, name) for name in features.column(at).to_pylist()]
    return features.set_column(at, "parent_id", pa.array(names, pa.string()))


def _other_parents(objects: Merged, left_out: NDArray[np.int64]) -> dict[str, str]:
    """For each object that was left out, the nearest one around it that was not ("" for none)."""
    gone = np.zeros(len(objects), bool)
    gone[left_out] = True
    found = {}
    for number in left_out.tolist():
        above, seen = number, set()
        while above != NO_PARENT and gone[above] and above not in seen:
            seen.add(above)
            above = int(objects.parent[above])
        here = above != NO_PARENT and not gone[above]
        found[objects.id(number)] = objects.id(above) if here else ""
    return found
