# SPDX-License-Identifier: GPL-2.0-or-later
"""From an old layer and a raster to what is known of both: two segmentations and one classifier.

1. Candidates: everything in the raster, without a look at the old layer.
2. The common shift of the layer, from candidates and old polygons.
3. Answers: what the model finds in the box of each old polygon, where the shift has put it.
4. Features of all of them, and a classifier whose examples are the old polygons' answers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyogrio
import shapely
from pyproj import CRS

from ...changes.class_of_layer import learn_class, likeness
from ...changes.common_shift import CommonShift, common_shift
from ...changes.evidence import Evidence, Floats, Found, Shapes, overlapping
from ...earth.longitude import in_one_piece, sound
from ...earth.place import place_of
from ...job import Progress, SegmentParameters, UpdateParameters
from ...layers.reader import VectorLayer
from ...models.base import PromptableModel
from ...notes import collected, warn
from ...parallel.atomic_write import move
from ...raster.raster import Raster, coarser
from ...sources.vector_input.paths import as_is, for_pyogrio
from ...types import GEOMETRY, PixelBox
from ...vectors.equal_area_plane import EqualAreaPlane
from ..classes.class_layer import object_layer, place_layer
from ..classes.feature_stage import FeatureSource
from ..make_segmenter import make_candidates
from ..segment_raster import segment_raster
from ..stages.prompt_stage import ModelFactory

SHARED = (
    *("rasters", "model", "device", "precision", "threads", "workers", "cluster", "bands"),
    *("stretch", "resolution", "raster_crs", "overlap", "allow_remote", "outlines"),
)
"""Parameters that both segmentations take over."""

AGREES = 0.5
"""IoU of an old polygon with its answer, from which the answer is an example of its class."""

BESIDE = 0.1
"""Share of a candidate that may lie on old polygons, where it is an example of something else."""

COVERED = 0.8
"""Share of an old polygon that must lie on the raster's data for anything to be said of it."""

MOST_PIXELS = 1 << 22
"""Pixels of a polygon's box that are read to see whether it has data; others are read coarser."""

_PROMPT = re.compile(r"^Prompt (\d+):")


@dataclass(frozen=True, eq=False)
class Gathered:
    """Evidence, and what it takes to write it down.

    Args:
        evidence: Of the old polygons, in the layer's order.
        shift: Of the whole layer.
        answers, candidates: Shapes of the evidence's objects in the raster's CRS.
    """

    evidence: Evidence
    shift: CommonShift
    answers: Shapes
    candidates: Shapes


@dataclass(frozen=True)
class Gathering:
    """What the steps need.

    Args:
        params: Of the job.
        raster: Open.
        layer: The old polygons.
        names: Of these, for messages.
        plane: Metres.
        folder: Of this job, for what the steps leave.
        model: Makes the model.
        progress, cancelled: As in :func:`~.run.run`.
    """

    params: UpdateParameters
    raster: Raster
    layer: VectorLayer
    names: Sequence[str]
    plane: EqualAreaPlane
    folder: Path
    model: ModelFactory
    progress: Callable[[Progress], None] | None
    cancelled: Callable[[], bool] | None

    @property
    def raster_crs(self) -> CRS | None:
        return None if self.raster.crs is None else CRS.from_user_input(self.raster.crs.to_wkt())

    def candidates(self) -> gpd.GeoDataFrame:
        """Everything in the raster."""
        plain = self._segmentation("candidates")
        # What is learned of changes (``changes/weights.py``) is learned from the decoder's scores.
        segmenter = partial(make_candidates, plain, self.model, judge_again=False)
        return self._run(plain, segmenter=segmenter)

    def answers(self, moved: Shapes) -> gpd.GeoDataFrame:
        """What the model finds in the boxes of old polygons; ``prompt_id`` is their number."""
        path = self.folder / "old.gpkg"
        frame = gpd.GeoDataFrame(
            {"number": np.arange(len(moved))}, geometry=gpd.GeoSeries(moved, crs=self.layer.crs)
        )
        if not path.exists():  # written anew it would be another layer, and its job begin again
            unfinished = path.with_name("old.unfinished.gpkg")
            with as_is(unfinished):
                pyogrio.write_dataframe(frame, unfinished, layer="old")
            move(unfinished, path)
        asked = replace(
            self._segmentation("answers"),
            prompts=str(path),
            prompts_layer="old",
            prompt_as="box",
            prompt_id="number",
        )
        with collected() as said:
            found = self._run(asked, model=self.model)
        for warning in said:
            warn(_PROMPT.sub(self._polygon, warning.template))
        return found

    def _polygon(self, prompt: re.Match[str]) -> str:
        """What a warning calls an old polygon, for what it calls the prompt made of it."""
        return f"Polygon {self.names[int(prompt[1])]}:"

    def _segmentation(self, name: str) -> SegmentParameters:
        return replace(
            SegmentParameters([], ""),
            **{shared: getattr(self.params, shared) for shared in SHARED},
            output=str(self.folder / f"{name}.gpkg"),
            overwrite=True,
            job_folder=str(self.folder / f"{name}.job"),
        )

    def _run(self, params: SegmentParameters, **given: Any) -> gpd.GeoDataFrame:
        done = segment_raster(params, progress=self.progress, cancelled=self.cancelled, **given)
        done.raise_if_incomplete()
        frame = pyogrio.read_dataframe(for_pyogrio(done.output), layer=done.layer)
        if frame.geometry.name != GEOMETRY:
            frame = frame.rename_geometry(GEOMETRY)
        shapes = np.asarray(frame.geometry.array, dtype=object)
        pixel = abs(self.raster.transform.determinant)
        return frame.set_geometry(gpd.GeoSeries(without_specks(shapes, pixel), crs=frame.crs))


def gather(
    given: Gathering, source: FeatureSource, executor: Any, report: Any, model: PromptableModel
) -> Gathered:
    """All evidence.

    Args:
        given: What the steps need.
        source: Gives the features of the raster's tiles.
        executor: Runs the tiles.
        report: Told of progress.
        model: Of this process.

    Raises:
        SamGeoError: See ``errors.py``.
    """
    layer, plane, raster = given.layer, given.plane, given.raster
    pixel = raster.ground_pixel
    old = _valid(plane.place(layer.shapes, layer.crs, layer.name))
    found = given.candidates()
    shapes = np.asarray(found.geometry.array, dtype=object)
    placed = _valid(plane.place(shapes, given.raster_crs, "The raster"))
    shift = common_shift(old, placed, pixel)
    way = np.tile([shift.east, shift.north], (len(old), 1))
    moved = plane.moved(in_one_piece(layer.shapes, layer.crs), layer.crs, way)
    old = _valid(plane.place(moved, layer.crs, layer.name))
    visible = _visible(moved, layer.crs, raster)
    said = given.answers(moved)
    rows = said["prompt_id"].astype(int).to_numpy()
    own = np.full(len(old), shapely.Polygon(), dtype=object)
    own[rows] = np.asarray(said.geometry.array, dtype=object)
    score = np.zeros(len(old))
    score[rows] = said["score"].to_numpy()
    answers = _valid(plane.place(own, given.raster_crs, "The raster"))
    # One table of all: old polygons, answers, candidates.
    everything = np.concatenate([moved, own, shapes])
    like = _likeness(given, everything, old, answers, placed, source, executor, report, model)
    n = len(old)
    evidence = Evidence(
        old,
        like[:n],
        visible,
        Found(answers, score, like[n : 2 * n]),
        Found(placed, found["score"].to_numpy(np.float64), like[2 * n :]),
        pixel,
    )
    return Gathered(evidence, shift, own, shapes)


def _likeness(
    given: Gathering,
    shapes: Shapes,
    old: Shapes,
    answers: Shapes,
    candidates: Shapes,
    source: FeatureSource,
    executor: Any,
    report: Any,
    model: PromptableModel,
) -> Floats:
    """(2 n + m,) probability of the layer's class of old polygons, answers and candidates.

    ``shapes`` holds old polygons in the layer's CRS, and then answers and candidates in that of
    the raster.
    """
    n = len(old)
    out = np.zeros(len(shapes))
    crs = given.raster_crs
    place = place_of(given.raster.transform, given.raster.shape, crs)
    ground = [place.bring(shape, given.layer.crs) for shape in map(sound, shapes[:n])]
    series = gpd.GeoSeries([*ground, *shapes[n:]], crs=crs)
    there = np.flatnonzero(~(series.is_empty | series.isna()).to_numpy())
    path = given.folder / "objects.gpkg"
    everything = gpd.GeoDataFrame(
        {"number": there}, geometry=series.iloc[there].reset_index(drop=True)
    )
    with as_is(path):
        pyogrio.write_dataframe(everything, path, layer="objects")
    placed = place_layer(str(path), "objects", given.raster)
    number = placed.frame["number"].to_numpy()
    objects = object_layer(
        given.raster, placed, [], source, given.folder / "sums", executor, report, model
    )
    row_of = np.full(len(shapes), -1, np.int64)
    row_of[number] = np.arange(len(number))
    pairs = overlapping(old, answers)
    agree = pairs.one[(pairs.one == pairs.other) & (pairs.iou >= AGREES)]
    beside = _beside(old, candidates)
    examples, others = row_of[n + agree], row_of[2 * n + beside]
    classifier = learn_class(objects.table, examples[examples >= 0], others[others >= 0])
    out[number] = 1.0 if classifier is None else likeness(classifier, objects.table)
    return out


def _beside(old: Shapes, candidates: Shapes) -> np.ndarray:
    """Numbers of candidates that lie beside all old polygons."""
    pairs = overlapping(candidates, old)
    shared = np.zeros(len(candidates))
    np.add.at(shared, pairs.one, pairs.common)
    beside: np.ndarray = np.flatnonzero(shared < BESIDE * shapely.area(candidates))
    return beside


def without_specks(shapes: Shapes, least: float) -> Shapes:
    """Shapes without the parts of less than an area; each keeps its largest part.

    A mask's border that just reaches into a cell gives a polygon a second part of a fraction of a
    pixel, and a layer of single polygons could not take the outline.
    """
    out: Shapes = shapes.copy()
    for number in np.flatnonzero(shapely.get_num_geometries(shapes) > 1).tolist():
        parts = shapely.get_parts(shapes[number])
        areas = shapely.area(parts)
        kept = parts[(areas >= least) | (np.arange(len(parts)) == areas.argmax())]
        if len(kept) < len(parts):
            out[number] = kept[0] if len(kept) == 1 else shapely.multipolygons(kept)
    return out


def _valid(shapes: Shapes) -> Shapes:
    wrong = np.flatnonzero(~shapely.is_valid(shapes))
    shapes = shapes.copy()
    for number in wrong.tolist():
        shapes[number] = shapely.make_valid(
            shapes[number], method="structure", keep_collapsed=False
        )
    return shapes


def _visible(shapes: Shapes, crs: CRS | None, raster: Raster) -> np.ndarray:
    """(n,) bool: whether a raster has data under most of each polygon's box."""
    from ...prompts.prompts import PromptTransform

    layer_crs = None if raster.crs is None else crs
    place = PromptTransform(raster.transform, raster.crs, layer_crs, raster.shape, whole=True)
    frame = shapely.box(0, 0, raster.width, raster.height)
    out = np.zeros(len(shapes), bool)
    for number, shape in enumerate(shapes):
        pixels = shapely.make_valid(place.geometry(shape))
        inner = shapely.intersection(pixels, frame)
        if inner.is_empty or inner.area < COVERED * pixels.area:
            continue
        col0, row0, col1, row1 = (int(v) for v in inner.bounds)
        box = PixelBox(row0, col0, min(row1 + 1, raster.height), min(col1 + 1, raster.width))
        out[number] = _share_of_data(raster, box) >= COVERED
    return out


def _share_of_data(raster: Raster, box: PixelBox) -> float:
    """Share of a box's pixels that have data."""
    factor = math.ceil(math.sqrt(box.area / MOST_PIXELS))
    if factor <= 1:
        return float(raster.read(box).valid.mean())
    with Raster.from_spec(coarser(raster.spec, factor)) as level:
        rows, cols = (box.row0, box.row1), (box.col0, box.col1)
        (row0, row1), (col0, col1) = ((a // factor, -(-b // factor)) for a, b in (rows, cols))
        there = PixelBox(row0, col0, row1, col1).intersection(level.bounds)
        return float(level.read(there).valid.mean())
