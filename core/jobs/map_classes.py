# SPDX-License-Identifier: GPL-2.0-or-later
"""A raster's ground as classes: polygons that share their borders, or a network of roads."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import shapely

from ..classes.cell_examples import cell_examples
from ..classes.classifier import Classifier, class_probabilities
from ..classes.examples import NONE, read_examples
from ..classes.road_graph import NetworkOptions, RoadLine, road_network
from ..classes.saved import SavedClassifier, save_classifier
from ..classes.skeleton import BLOCK, MARGIN, SkeletonCells, block_skeleton, smoothed
from ..classes.surfaces import LARGEST_SPECK, label_cells
from ..errors import ParameterError
from ..job import MapParameters, Progress, option
from ..layers.writer import LayerWriter
from ..masks.store import JobStore
from ..merge.nodes import lattice
from ..parallel.executors import Executor, check_main_module, make_executor
from ..raster.raster import Raster, open_raster
from ..tiles.grid import Grid
from ..types import CellBox
from ..vectors.contours import to_ground
from ..vectors.coverage import draw_labels
from ..vectors.geodesic import measure
from ..vectors.schema import CLASS, CLASS_PROBABILITY, LENGTH, WIDTH
from ..vectors.skeleton_graph import Cell
from .class_map import ClassMap, MapStage, map_tiles, train_cells
from .class_options import (
    about,
    check_options,
    check_output_of_classes,
    example_layers,
    has_classes,
    model_factory,
    saved_classifier,
)
from .feature_stage import FeatureSource, ModelFactory, close_all, feature_grid
from .options import raster_options
from .result import JobResult, Report

HOLE = 12
"""Cells below which holes in a road are filled and islands dropped."""


def map_classes(
    params: MapParameters,
    *,
    factory: ModelFactory | None = None,
    progress: Callable[[Progress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> JobResult:
    """Map a raster's ground, or its roads, from examples or with a saved classifier.

    Args:
        params: What to do.
        factory: Makes the model, instead of ``params.model``; picklable where there are workers.
        progress: Called with each step.
        cancelled: Asked between tiles; True stops the job with ``Cancelled``.

    Raises:
        SamGeoError: See ``errors.py``; no partial output stays.
    """
    check_main_module()
    check_options(params)
    if not has_classes(params):
        raise ParameterError(
            f"Say what the classes are: examples ({option('examples')}, {option('like')} and "
            f"{option('unlike')}), or "
            f"{option('classifier')}."
        )
    lines = params.shapes == "network"
    started = time.monotonic()
    report = Report(progress, cancelled)
    with open_raster(params.rasters, raster_options(params)) as raster:
        check_output_of_classes(params, params.output, params.layer, raster, [])
        writer = LayerWriter(
            params.output,
            params.crs or raster.crs,
            source_crs=raster.crs,
            layer_name=params.layer,
            overwrite=params.overwrite,
            modified=raster.modified,
            geometry="line" if lines else "polygon",
            fields=(CLASS, CLASS_PROBABILITY, *((WIDTH, LENGTH) if lines else ())),
        )
        grid = feature_grid(raster, params.tile_size, params.margin)
        marked = None
        if params.classifier is None:
            examples = read_examples(
                example_layers(params), raster.transform, raster.crs, raster.shape
            )
            marked = cell_examples(examples, grid.cell, lattice(grid))
        report("stretch", 0, 1)
        spec = raster.spec
        report("stretch", 1, 1)
        factory = factory or model_factory(params)
        model = factory()
        saved = saved_classifier(params, "cells", model)
        source = FeatureSource(spec, factory, grid)
        key = "" if marked is None else _digest(marked.rows, marked.cols, marked.names)
        store = JobStore(Path(params.job_folder or f"{params.output}.job"), grid.cell)
        store.begin(
            {
                "raster": {**spec, "identity": raster.identity},
                "grid": asdict(grid),
                "model": model.info.fingerprint,
            },
            fresh=params.fresh,
        )
        try:
            with make_executor(params.workers, params.cluster) as executor:
                if marked is not None:
                    classifier = train_cells(
                        source,
                        store.folder / "features" / f"examples-{key}",
                        marked,
                        model.info.fingerprint,
                        executor,
                        report,
                    )
                elif saved is not None:
                    classifier = saved.classifier
                if params.save_classifier is not None:
                    notes = about(raster, model, example_layers(params))
                    save_classifier(
                        params.save_classifier, SavedClassifier(classifier, "cells", notes)
                    )
                made = _digest(classifier.weights, classifier.bias)
                folder = store.folder / "features" / f"map-{made}"
                found = map_tiles(MapStage(source, folder, classifier), executor, report)
                make = _network if lines else _coverage
                features = make(
                    params, raster, found, classifier, model.info.name, executor, report
                )
            with writer:
                if len(features):
                    writer.write(features)
        finally:
            store.release()
            close_all()
    if params.job_folder is None:
        store.remove()
    return JobResult(
        str(writer.path),
        writer.layer_name,
        len(features),
        len(grid),
        seconds=time.monotonic() - started,
    )


def _digest(*values: Any) -> str:
    text = json.dumps([np.asarray(value).tolist() for value in values])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _blocks(grid: Grid) -> list[CellBox]:
    whole = lattice(grid)
    return [
        CellBox(row, col, row + BLOCK, col + BLOCK).intersection(whole)
        for row in range(0, whole.row1, BLOCK)
        for col in range(0, whole.col1, BLOCK)
    ]


# --- networks ---------------------------------------------------------------------------------


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
        wide = box.grown(MARGIN).intersection(lattice(self.source.grid))
        logits, known = self.source.logits(wide)
        probability = class_probabilities(smoothed(logits))[..., self.number]
        return block_skeleton(probability.astype(np.float32), known, wide, box, self.least, HOLE)


def _network(
    params: MapParameters,
    raster: Raster,
    source: ClassMap,
    classifier: Classifier,
    model: str,
    executor: Executor,
    report: Report,
) -> gpd.GeoDataFrame:
    name = _road_class(params, classifier)
    number = classifier.classes.index(name)
    boxes = _blocks(source.grid)
    parts = []
    report("skeleton", 0, len(boxes))
    stage = SkeletonStage(source, number, params.min_class_prob)
    for done, part in enumerate(executor.map(stage, boxes), 1):
        parts.append(part)
        report("skeleton", done, len(boxes))
    cells = SkeletonCells(
        *(np.concatenate([getattr(part, field) for part in parts])
          for field in ("rows", "cols", "half", "probability"))
    )  # fmt: skip
    sides = sorted(
        {(0, box.row0) for box in boxes if box.row0} | {(1, box.col0) for box in boxes if box.col0}
    )
    metres = _metres_a_pixel(raster) * source.grid.cell
    options = NetworkOptions(
        min_length=params.min_length / metres,
        max_gap=None if params.max_gap is None else params.max_gap / metres,
    )

    def sampler(path: Sequence[Cell]) -> Any:
        rows, cols = np.array(path).T
        box = CellBox(int(rows.min()), int(cols.min()), int(rows.max()) + 1, int(cols.max()) + 1)
        logits, _ = source.logits(box)
        said = class_probabilities(logits)[..., number]
        return said[rows - box.row0, cols - box.col0]

    lines = road_network(cells, source.grid.cell, sides, options, sampler)
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


def _metres_a_pixel(raster: Raster) -> float:
    """Side of a working pixel in the middle of the raster, metres on the ground (or pixels)."""
    row, col = raster.height / 2, raster.width / 2
    corners = np.array([(col, row), (col + 1, row), (col + 1, row + 1), (col, row + 1)])
    square = to_ground(shapely.Polygon(corners), raster.transform[:6])
    crs = None if raster.crs is None else raster.crs.to_wkt()
    return math.sqrt(max(float(measure([square], crs).area[0]), 1e-12))


def _line_features(
    lines: Sequence[RoadLine], name: str, raster: Raster, model: str, tolerance: float | None
) -> gpd.GeoDataFrame:
    crs = None if raster.crs is None else raster.crs.to_wkt()
    shapes = [to_ground(one.line, raster.transform[:6]) for one in lines]
    if tolerance:
        shapes = [shapely.simplify(shape, tolerance) for shape in shapes]
    length = measure(shapes, crs).perimeter if shapes else np.empty(0)
    pixels = np.array([one.line.length for one in lines])
    scale = length / np.maximum(pixels, 1e-12) if len(lines) else np.empty(0)
    width = np.array([one.width for one in lines]) * scale
    return _frame(
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


# --- coverages --------------------------------------------------------------------------------


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


def _coverage(
    params: MapParameters,
    raster: Raster,
    source: ClassMap,
    classifier: Classifier,
    model: str,
    executor: Executor,
    report: Report,
) -> gpd.GeoDataFrame:
    grid = source.grid
    cell_area = (_metres_a_pixel(raster) * grid.cell) ** 2
    speck = max(8, math.ceil(params.min_area / cell_area))
    if speck > LARGEST_SPECK:
        raise ParameterError(
            f"{option('min_area')} {params.min_area:g} is more than {LARGEST_SPECK} cells of "
            f"{cell_area:.3g} m2: choose at most {LARGEST_SPECK * cell_area:.4g}, or a coarser "
            f"{option('resolution')}."
        )
    t = raster.transform
    pixel = math.sqrt(abs(t.a * t.e - t.b * t.d))
    tolerance = 2.0 * grid.cell if params.simplify is None else params.simplify / pixel
    boxes = _blocks(grid)
    pieces: defaultdict[int, list[tuple[Any, float]]] = defaultdict(list)
    report("coverage", 0, len(boxes))
    stage = SurfaceStage(source, speck, tolerance)
    for done, found in enumerate(executor.map(stage, boxes), 1):
        for label, piece, said in found:
            pieces[label].append((piece, said))
        report("coverage", done, len(boxes))
    shapes: list[Any] = []
    names: list[str] = []
    likely: list[float] = []
    for label in sorted(pieces):
        for shape, probability in _joined(pieces[label]):
            shapes.append(shape)
            names.append(classifier.classes[label - 1])
            likely.append(probability)
    if shapes:
        # Blocks had a vertex at every cell of their sides, to meet; now that they have met, those
        # on straight lines go. Where three polygons meet, all keep theirs.
        shapes = [to_ground(shape, t[:6]) for shape in shapely.coverage_simplify(shapes, 0.0)]
    crs = None if raster.crs is None else raster.crs.to_wkt()
    sizes = measure(shapes, crs)
    return _frame(
        shapes,
        {
            CLASS.name: names,
            CLASS_PROBABILITY.name: np.round(likely, 3),
            "area_m2": sizes.area.round(3),
            "perimeter_m": sizes.perimeter.round(3),
        },
        raster,
        model,
    )


def _joined(pieces: list[tuple[Any, float]]) -> Iterator[tuple[Any, float]]:
    """Pieces of one class that meet at the sides of blocks as one polygon each."""
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


def _frame(
    shapes: Sequence[Any], columns: dict[str, Any], raster: Raster, model: str
) -> gpd.GeoDataFrame:
    ids = [hashlib.blake2b(shape.wkb, digest_size=8).hexdigest() for shape in shapes]
    return gpd.GeoDataFrame(
        {"id": ids, "model": model, "source": raster.name, **columns},
        geometry=gpd.GeoSeries(shapes, dtype="geometry" if not shapes else None),
    )
