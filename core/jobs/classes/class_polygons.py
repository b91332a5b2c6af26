# SPDX-License-Identifier: GPL-2.0-or-later
"""The ground of a class map as polygons that share their borders, block by block."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import ndimage

from ...classes.classifier import Classifier, Doubles, class_probabilities
from ...classes.skeleton import smoothed
from ...classes.surfaces import LARGEST_SPECK, label_cells
from ...job import MapParameters
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
class Surface:
    """Ground of one class: a piece of it in a block, or a whole polygon.

    Args:
        label: 1 + number of the class.
        shape: In working pixels.
        total: (k,) float64, the probability of each class, summed over the cells.
        cells: Their number.
    """

    label: int
    shape: Any
    total: Doubles
    cells: int

    @property
    def probability(self) -> float:
        """Mean over the cells, of the class that the ground is of."""
        return float(self.total[self.label - 1] / max(self.cells, 1))


@dataclass(frozen=True)
class SurfaceStage:
    """A block -> the connected pieces of its classes. Picklable.

    Args:
        source: The map.
        speck: Cells below which a piece goes to its neighbours.
        tolerance: Of the simplification, working pixels.
    """

    source: ClassMap
    speck: int
    tolerance: float

    def __call__(self, box: CellBox) -> list[Surface]:
        """The pieces of one block."""
        wide = box.grown(max(self.speck, 8)).intersection(self.source.bounds)
        logits, known = self.source.logits(wide)
        logits = smoothed(logits)
        labels = label_cells(logits, known, wide, box, self.speck)
        if not labels.any():
            return []
        pieces, label_of = _connected(labels)
        said = class_probabilities(logits)[box.slices(wide)]
        cells = np.bincount(pieces.ravel())
        total = np.column_stack(
            [np.bincount(pieces.ravel(), of_class.ravel()) for of_class in np.moveaxis(said, -1, 0)]
        )
        return [
            Surface(label_of[number], shape, total[number], int(cells[number]))
            for number, shape in draw_labels(pieces, box, self.source.grid, self.tolerance)
        ]


def _connected(labels: NDArray[np.int32]) -> tuple[NDArray[np.int32], list[int]]:
    """The number of every cell's connected piece, 0 where no label is, and each number's label."""
    pieces = np.zeros(labels.shape, np.int32)
    label_of = [0]
    for label in range(1, int(labels.max()) + 1):
        found, count = ndimage.label(labels == label)
        pieces += np.where(found, found + len(label_of) - 1, 0)
        label_of += [label] * count
    return pieces, label_of


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
    boxes = blocks_of(source)
    pieces: list[Surface] = []
    report("coverage", 0, len(boxes))
    stage = SurfaceStage(source, speck, tolerance)
    for done, of_block in enumerate(executor.map(stage, boxes), 1):
        pieces += of_block
        report("coverage", done, len(boxes))
    crs = None if raster.crs is None else raster.crs.to_wkt()
    found = _joined(pieces)
    shapes = [one.shape for one in found]
    # Specks were counted in cells, and simplification has moved borders since.
    sizes = measure([to_ground(shape, t[:6]) for shape in shapes], crs)
    into = absorb_small(shapes, [one.label for one in found], sizes.area.tolist(), params.min_area)
    if into != list(range(len(found))):
        found = _joined(
            [
                replace(one, label=found[number].label)
                for one, number in zip(found, into, strict=True)
            ]
        )
        shapes = [one.shape for one in found]
    if shapes:
        # Blocks had a vertex at every cell of their sides, to meet; now that they have met, those
        # on straight lines go. Where three polygons meet, all keep theirs.
        shapes = [to_ground(shape, t[:6]) for shape in shapely.coverage_simplify(shapes, 0.0)]
    sizes = measure(shapes, crs)
    return map_frame(
        shapes,
        {
            CLASS.name: [classifier.classes[one.label - 1] for one in found],
            CLASS_PROBABILITY.name: np.round([one.probability for one in found], 3),
            "area_m2": sizes.area.round(3),
            "perimeter_m": sizes.perimeter.round(3),
        },
        raster,
        model,
    )


def _joined(pieces: Sequence[Surface]) -> list[Surface]:
    """Pieces of one class that meet made one polygon."""
    of_class: defaultdict[int, list[Surface]] = defaultdict(list)
    for piece in pieces:
        of_class[piece.label].append(piece)
    return [one for label in sorted(of_class) for one in _joined_class(label, of_class[label])]


def _joined_class(label: int, pieces: Sequence[Surface]) -> Iterator[Surface]:
    shapes = np.array([*(piece.shape for piece in pieces), None], dtype=object)[:-1]
    whole = shapely.normalize(shapely.get_parts(shapely.get_parts(shapely.union_all(shapes))))
    spots = shapely.point_on_surface(shapes)
    tree = shapely.STRtree(whole)
    own, of = tree.query(spots, predicate="intersects")
    total = np.zeros((len(whole), len(pieces[0].total)))
    cells = np.zeros(len(whole), np.int64)
    for piece, polygon in zip(own.tolist(), of.tolist(), strict=True):
        total[polygon] += pieces[piece].total
        cells[polygon] += pieces[piece].cells
    order = sorted(range(len(whole)), key=lambda k: shapely.to_wkb(whole[k]))
    for k in order:
        yield Surface(label, whole[k], total[k], int(cells[k]))
