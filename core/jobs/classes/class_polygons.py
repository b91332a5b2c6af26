# SPDX-License-Identifier: GPL-2.0-or-later
"""The ground of a class map as polygons that share their borders, block by block."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import shapely

from ...classes.classifier import Classifier, class_probabilities
from ...classes.skeleton import smoothed
from ...classes.surfaces import LARGEST_SPECK, label_cells
from ...job import MapParameters
from ...merge.nodes import lattice
from ...parallel.executors import Executor
from ...raster.raster import Raster
from ...types import CellBox
from ...vectors.contours import to_ground
from ...vectors.coverage import absorb_small, draw_labels
from ...vectors.geodesic import measure
from ...vectors.schema import CLASS, CLASS_PROBABILITY
from ..result import Report
from .class_map import ClassMap
from .map_features import blocks_of, map_frame, metres_per_pixel

LEAST_SPECK = 8
"""Cells below which a piece of ground is noise, whatever the user asks for."""


@dataclass(frozen=True)
class SurfaceStage:
    """A block -> the pieces of its classes, each with its mean probability and cells. Picklable.

    Args:
        source: The map.
        speck: Cells below which a piece goes to its neighbours.
        tolerance: Of the simplification, working pixels.
    """

    source: ClassMap
    speck: int
    tolerance: float

    def __call__(self, box: CellBox) -> list[tuple[int, Any, float]]:
        """Label, piece in working pixels, and mean probability."""
        wide = box.grown(max(self.speck, 8)).intersection(lattice(self.source.grid))
        logits, known = self.source.logits(wide)
        logits = smoothed(logits)
        labels = label_cells(logits, known, wide, box, self.speck)
        if not labels.any():
            return []
        said = class_probabilities(logits)[box.slices(wide)]
        out = []
        for label, piece in draw_labels(labels, box, self.source.grid, self.tolerance):
            spot = shapely.get_coordinates(piece.representative_point())[0] / self.source.grid.cell
            row = min(max(int(spot[1]) - box.row0, 0), box.height - 1)
            col = min(max(int(spot[0]) - box.col0, 0), box.width - 1)
            out.append((label, piece, float(said[row, col, label - 1])))
        return out


def class_polygons(
    params: MapParameters,
    raster: Raster,
    source: ClassMap,
    classifier: Classifier,
    model: str,
    executor: Executor,
    report: Report,
) -> gpd.GeoDataFrame:
    grid = source.grid
    cell_area = (metres_per_pixel(raster) * grid.cell) ** 2
    # Larger pieces are absorbed as polygons.
    speck = min(LARGEST_SPECK, max(LEAST_SPECK, math.ceil(params.min_area / cell_area)))
    t = raster.transform
    pixel = math.sqrt(abs(t.a * t.e - t.b * t.d))
    tolerance = 2.0 * grid.cell if params.simplify is None else params.simplify / pixel
    boxes = blocks_of(grid)
    pieces: defaultdict[int, list[tuple[Any, float]]] = defaultdict(list)
    report("coverage", 0, len(boxes))
    stage = SurfaceStage(source, speck, tolerance)
    for done, found in enumerate(executor.map(stage, boxes), 1):
        for label, piece, said in found:
            pieces[label].append((piece, said))
        report("coverage", done, len(boxes))
    crs = None if raster.crs is None else raster.crs.to_wkt()
    found = _joined(pieces)
    shapes = [shape for _, shape, _ in found]
    # Specks were counted in cells, and simplification has moved borders since.
    sizes = measure([to_ground(shape, t[:6]) for shape in shapes], crs)
    into = absorb_small(
        shapes, [label for label, _, _ in found], sizes.area.tolist(), params.min_area
    )
    if into != list(range(len(found))):
        pieces.clear()
        for (_, shape, _), number in zip(found, into, strict=True):
            label, _, said = found[number]
            pieces[label].append((shape, said))
        found = _joined(pieces)
        shapes = [shape for _, shape, _ in found]
    if shapes:
        # Blocks had a vertex at every cell of their sides, to meet; now that they have met, those
        # on straight lines go. Where three polygons meet, all keep theirs.
        shapes = [to_ground(shape, t[:6]) for shape in shapely.coverage_simplify(shapes, 0.0)]
    sizes = measure(shapes, crs)
    return map_frame(
        shapes,
        {
            CLASS.name: [classifier.classes[label - 1] for label, _, _ in found],
            CLASS_PROBABILITY.name: np.round([said for _, _, said in found], 3),
            "area_m2": sizes.area.round(3),
            "perimeter_m": sizes.perimeter.round(3),
        },
        raster,
        model,
    )


def _joined(pieces: Mapping[int, list[tuple[Any, float]]]) -> list[tuple[int, Any, float]]:
    """Label, polygon and probability, pieces of one class that meet made one polygon."""
    return [(label, *one) for label in sorted(pieces) for one in _joined_class(pieces[label])]


def _joined_class(pieces: list[tuple[Any, float]]) -> Iterator[tuple[Any, float]]:
    shapes = np.array([*(piece for piece, _ in pieces), None], dtype=object)[:-1]
    whole = shapely.normalize(shapely.get_parts(shapely.get_parts(shapely.union_all(shapes))))
    spots = shapely.point_on_surface(shapes)
    tree = shapely.STRtree(whole)
    own, of = tree.query(spots, predicate="intersects")
    total, weight = np.zeros(len(whole)), np.zeros(len(whole))
    area = shapely.area(shapes)
    for piece, polygon in zip(own.tolist(), of.tolist(), strict=True):
        total[polygon] += area[piece] * pieces[piece][1]
        weight[polygon] += area[piece]
    order = sorted(range(len(whole)), key=lambda k: shapely.to_wkb(whole[k]))
    for k in order:
        yield whole[k], float(total[k] / max(weight[k], 1e-12))
