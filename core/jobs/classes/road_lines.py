# SPDX-License-Identifier: GPL-2.0-or-later
"""The roads of a class map as a network of centre lines, block by block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import shapely

from ...classes.classifier import Classifier, class_probabilities
from ...classes.examples import NONE
from ...classes.road_graph import NetworkOptions, RoadLine, road_network
from ...classes.skeleton import MARGIN, SkeletonCells, block_skeleton, smoothed
from ...errors import ParameterError
from ...job import MapParameters, option
from ...parallel.executors import Executor
from ...raster.raster import Raster
from ...types import CellBox
from ...vectors.centre_lines import ground_widths
from ...vectors.contours import to_ground
from ...vectors.geodesic import measure
from ...vectors.schema import CLASS, CLASS_PROBABILITY, LENGTH, WIDTH
from ...vectors.skeleton_graph import Cell
from ..result import Report
from .class_map import ClassMap
from .map_features import blocks_of, map_frame, pixel_metres

HOLE = 48
"""Cells below which holes in a road are filled and islands dropped."""


@dataclass(frozen=True)
class SkeletonStage:
    """A block -> the cells of its skeleton. Picklable.

    Args:
        source: The map.
        number: Of the class.
        least: Probability from which a cell is of the class.
    """

    source: ClassMap
    number: int
    least: float

    def __call__(self, box: CellBox) -> SkeletonCells:
        """The skeleton of one block."""
        wide = box.grown(MARGIN).intersection(self.source.bounds)
        logits, known = self.source.logits(wide)
        probability = class_probabilities(smoothed(logits))[..., self.number]
        return block_skeleton(probability.astype(np.float32), known, wide, box, self.least, HOLE)


def road_lines(
    params: MapParameters,
    raster: Raster,
    source: ClassMap,
    classifier: Classifier,
    model: str,
    executor: Executor,
    report: Report,
) -> gpd.GeoDataFrame:
    """The lines of ``params.road_class``, from cells of at least ``params.min_class_prob``."""
    assert params.min_class_prob is not None  # the job has chosen it
    name = _road_class(params, classifier)
    number = classifier.classes.index(name)
    boxes = blocks_of(source)
    parts = []
    report("skeleton", 0, len(boxes))
    stage = SkeletonStage(source, number, params.min_class_prob)
    for done, part in enumerate(executor.map(stage, boxes), 1):
        parts.append(part)
        report("skeleton", done, len(boxes))
    cells = SkeletonCells(
        *(np.concatenate([getattr(part, field) for part in parts])
          for field in ("rows", "cols", "half", "width", "probability"))
    )  # fmt: skip
    first = source.bounds
    sides = sorted(
        {(0, box.row0) for box in boxes if box.row0 > first.row0}
        | {(1, box.col0) for box in boxes if box.col0 > first.col0}
    )
    down, across = (side * source.grid.cell for side in pixel_metres(raster))
    options = NetworkOptions(
        min_length=params.min_length, max_gap=params.max_gap, steps=(down, across)
    )

    def sampler(path: Sequence[Cell]) -> Any:
        rows, cols = np.array(path).T
        box = CellBox(int(rows.min()), int(cols.min()), int(rows.max()) + 1, int(cols.max()) + 1)
        logits, _ = source.logits(box)
        said = class_probabilities(logits)[..., number]
        return said[rows - box.row0, cols - box.col0]

    side = source.grid.cell
    frame = (
        float(first.col0 * side),
        float(first.row0 * side),
        float(min(first.col1 * side, source.grid.width)),
        float(min(first.row1 * side, source.grid.height)),
    )
    lines = road_network(cells, side, sides, options, sampler, frame)
    return _line_features(lines, name, raster, model, params.simplify)


def _road_class(params: MapParameters, classifier: Classifier) -> str:
    """The class whose lines are drawn."""
    named = [name for name in classifier.classes if name != NONE]
    wanted = params.road_class
    if wanted is None and len(named) == 1:
        return named[0]
    if wanted in named:
        return str(wanted)
    known = ", ".join(named)
    raise ParameterError(
        f"There is no class {wanted!r} among the examples: choose {option('road_class')} from "
        f"{known}."
        if wanted is not None
        else f"The examples have several classes ({known}): say which are roads with "
        f"{option('road_class')}."
    )


def _line_features(
    lines: Sequence[RoadLine], name: str, raster: Raster, model: str, tolerance: float | None
) -> gpd.GeoDataFrame:
    crs = None if raster.crs is None else raster.crs.to_wkt()
    shapes = [to_ground(one.line, raster.transform[:6]) for one in lines]
    if tolerance:
        shapes = [shapely.simplify(shape, tolerance) for shape in shapes]
    length = measure(shapes, crs).perimeter if shapes else np.empty(0)
    width = (
        ground_widths(
            np.array(shapes), np.array([one.width for one in lines]), raster.transform, crs
        )
        if shapes
        else np.empty(0)
    )
    return map_frame(
        shapes,
        {
            CLASS.name: [name] * len(lines),
            CLASS_PROBABILITY.name: np.round([one.probability for one in lines], 3),
            "area_m2": np.zeros(len(lines)),
            "perimeter_m": length.round(3),
            LENGTH.name: length.round(3),
            WIDTH.name: width.round(2),
        },
        raster,
        model,
    )
