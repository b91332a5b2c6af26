# SPDX-License-Identifier: GPL-2.0-or-later
"""A layer of errors, one feature per error, the largest first.

Polygons: ``missed`` (true objects without a match), ``false`` (found ones), ``merged`` (found ones
that hold several true ones), ``split`` (true ones in pieces), ``duplicate`` (the second of two
found ones), ``imprecise`` (pairs of IoU below 0.75), ``class`` (pairs of different classes). Lines:
``missed`` and ``false`` pieces beyond the first buffer. An object may have several errors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import geopandas as gpd
import numpy as np
import shapely

from ..layers.reader import VectorLayer
from ..layers.writer import LayerWriter
from ..vectors.equal_area_plane import EqualAreaPlane
from ..vectors.schema import Field
from .objects import PRECISE, Matching, Objects

FIELDS = (
    Field("error", "text"),
    Field("iou", "real"),
    Field("size", "real"),
    Field("class", "text"),
    Field("truth_class", "text"),
    Field("score", "real"),
    Field("result_id", "text"),
    Field("truth_id", "text"),
)
"""``size`` is an area in m2, of lines a length in m; ids are those of the features in their
layers."""


@dataclass(frozen=True, eq=False)
class Compared:
    """What the layer of errors is made of: both layers, and what was found out about them."""

    result: VectorLayer
    truth: VectorLayer
    found: Objects | None
    wanted: Objects | None
    matching: Matching | None
    buffer: float
    plane: EqualAreaPlane
    area: Any | None


class _Error(NamedTuple):
    shape: Any
    kind: str
    iou: float | None
    found: int | None
    truth: int | None


def write_errors(
    path: str | Path,
    compared: Compared,
    *,
    overwrite: bool,
    modified: datetime,
    before: Callable[[LayerWriter], object],
    provenance: str,
) -> int:
    """Write the layer in the result's CRS.

    Args:
        path: Of the layer.
        compared: What it is made of.
        overwrite: Replace an existing one.
        modified: Time of change noted inside.
        before: Given the writer before the layer appears.
        provenance: What made it.

    Returns:
        Number of features.

    Raises:
        OutputError: It cannot be written.
    """
    kind = "line" if compared.found is None else "polygon"
    rows = _of_lines(compared) if compared.found is None else _of_polygons(compared)
    frame = _frame(list(rows), compared)
    writer = LayerWriter(
        path,
        compared.result.crs,
        source_crs=compared.plane.crs,
        overwrite=overwrite,
        schema=FIELDS,
        geometry="line" if kind == "line" else "polygon",
        modified=modified,
        provenance=provenance,
    )
    before(writer)
    with writer:
        writer.write(frame)
    return len(frame)


def _of_polygons(compared: Compared) -> Iterator[_Error]:
    found, wanted, matching = compared.found, compared.wanted, compared.matching
    if found is None or wanted is None or matching is None:
        return
    iou_of_truth = dict(zip(matching.truth.tolist(), matching.iou.tolist(), strict=True))
    pair_of_found = dict(zip(matching.found.tolist(), matching.truth.tolist(), strict=True))
    for j in range(len(wanted)):
        if wanted.counted[j] and j not in iou_of_truth:
            yield _Error(wanted.shapes[j], "missed", float(matching.best[j]), None, j)
    for i in range(len(found)):
        if found.counted[i] and i not in pair_of_found:
            yield _Error(found.shapes[i], "false", None, i, None)
    for i in matching.merged.tolist():
        if found.counted[i]:
            yield _Error(found.shapes[i], "merged", None, i, None)
    for j in matching.split.tolist():
        if wanted.counted[j]:
            yield _Error(wanted.shapes[j], "split", float(matching.best[j]), None, j)
    for _, i in matching.duplicates:
        if found.counted[i]:
            yield _Error(found.shapes[i], "duplicate", None, i, pair_of_found.get(i))
    for i, j in pair_of_found.items():
        if not wanted.counted[j]:
            continue
        if iou_of_truth[j] < PRECISE:
            yield _Error(found.shapes[i], "imprecise", iou_of_truth[j], i, j)
        if (
            found.labels is not None
            and wanted.labels is not None
            and found.labels[i] != wanted.labels[j]
        ):
            yield _Error(found.shapes[i], "class", iou_of_truth[j], i, j)


def _of_lines(compared: Compared) -> Iterator[_Error]:
    plane = compared.plane
    placed = [
        plane.place(layer.shapes, layer.crs, layer.name)
        for layer in (compared.result, compared.truth)
    ]
    if compared.area is not None:
        placed = [shapely.intersection(lines, compared.area) for lines in placed]
    for kind, mine, others in (("false", *placed), ("missed", *placed[::-1])):
        around = shapely.union_all(shapely.buffer(others, compared.buffer, quad_segs=16))
        for number, line in enumerate(mine):
            rest = shapely.difference(line, around)
            pieces = [p for p in shapely.get_parts(rest) if shapely.length(p) > 0]
            for piece in pieces:
                if kind == "false":
                    yield _Error(piece, "false", None, number, None)
                else:
                    yield _Error(piece, "missed", None, None, number)


def _frame(rows: list[_Error], compared: Compared) -> gpd.GeoDataFrame:
    polygons = compared.found is not None
    shapes = np.array([*(row.shape for row in rows), None], dtype=object)[:-1]
    sizes = shapely.area(shapes) if polygons else shapely.length(shapes)
    order = np.lexsort(
        (*np.round(shapely.bounds(shapes), 6).T[::-1], -sizes) if len(rows) else ([],)
    )
    rows = [rows[k] for k in order.tolist()]
    return gpd.GeoDataFrame(
        {
            "error": [row.kind for row in rows],
            "iou": [None if row.iou is None else round(row.iou, 4) for row in rows],
            "size": np.round(sizes[order], 3),
            "class": [_label(compared.found, row.found) for row in rows],
            "truth_class": [_label(compared.wanted, row.truth) for row in rows],
            "score": [_score(compared.found, row.found) for row in rows],
            "result_id": [_id(compared.result, compared.found, row.found) for row in rows],
            "truth_id": [_id(compared.truth, compared.wanted, row.truth) for row in rows],
        },
        geometry=gpd.GeoSeries(compared.plane.in_crs(shapes[order])),
    )


def _label(objects: Objects | None, number: int | None) -> str | None:
    if objects is None or objects.labels is None or number is None:
        return None
    return str(objects.labels[number])


def _score(objects: Objects | None, number: int | None) -> float | None:
    if objects is None or objects.scores is None or number is None:
        return None
    return float(objects.scores[number])


def _id(layer: Any, objects: Objects | None, number: int | None) -> str | None:
    if number is None:
        return None
    row = number if objects is None else int(objects.row[number])
    return str(layer.attributes.index[row])
