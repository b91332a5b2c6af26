# SPDX-License-Identifier: GPL-2.0-or-later
"""What a person accepts of the automatic mode's candidates: the classifier of classes from examples
(``classes/``), fitted to what a layer says of a raster.

Where everything is labelled, a candidate that is like an object is accepted and one that is like
none is not; elsewhere only those that are like a polygon are known. A job with the trained model
then finds, classifies and keeps its candidates as a job with examples does
(``jobs/classes/segment_classes.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from ...classes.classifier import Classifier, ClassifierOptions, fit
from ...classes.examples import NONE
from ...classes.features.object_features import pool
from ...classes.features.object_table import FeatureTable, object_table
from ...classes.features.window_features import feature_cell, window_features
from ...classes.objects import ObjectClasses, ObjectLayer
from ...jobs.make_segmenter import CANDIDATES
from ...labels.chips import NO_CLASS
from ...masks.masks import LOGIT_STEPS, Mask
from ...masks.sparse_logits import Field
from ...models.base import PromptableModel
from ...models.embedding_cache import EmbeddingCache
from ...parallel.cancellation import check
from ...raster.raster import Raster, RasterWindow
from ...tiles.grid import Grid, Tile
from ...types import BoolArray, CellBox, PixelBox, TileIndex
from ...vectors.contours import all_to_ground, valid
from ...vectors.geodesic import measure as measure_ground
from ...vectors.object_polygon import object_polygon
from .examples import Example, Window
from .levels import with_margin
from .measure import Found, in_pixels, lies_on, masks_found, one_to_one, overlaps

Doubles = NDArray[np.float64]

LIKE = 0.5
"""IoU with an object from which a candidate is accepted, and with a rejected polygon from which it
is not."""

UNLIKE = 0.3
"""IoU with every object below which a candidate is none of them. What lies between is a poor
outline of something that is wanted: it teaches neither."""

LEAST_EACH = 5
"""Accepted and other candidates without which nothing is fitted."""

FOLDS = 4
"""Parts of the ground that are held back in turn to choose the probability."""

NEAR_BEST = 0.95
"""Share of the best F1 with which more found objects are preferred: a missing object costs a person
more than a false one."""

LEVELS = np.array([0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
"""Probabilities that are tried."""

BESIDE = 0.4
"""Share of a better object's worth from which one that shares its ground stays. A classifier that
keeps one of several alike lost 1 to 8 points of recall on Banepa west, Nairobi, Catanduanes and
fields of the Midwest, where no figure is reported for, with any probability: the best outlined is
not always chosen (decision 34)."""

OPTIONS = ClassifierOptions(frequency=0.0, known=0.0)
"""All classes count alike: how frequent they are is said by the probability that is chosen."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """What the automatic mode could keep in a window.

    Args:
        window: Where.
        areas: Each candidate's box and pixels.
        objects: Their outlines (x = column, y = row of the window) and features.
    """

    window: Window
    areas: Found
    objects: ObjectLayer


@dataclass(frozen=True, eq=False)
class Known:
    """A window's candidates and what is known of them.

    Args:
        candidates: All of the window.
        overlap: (n, objects) IoU with the window's objects.
        names: Class of each one: an object's label, :data:`~...classes.examples.NONE`, or None
            where nothing is known.
        counted: (n,) bool: lies where everything is labelled, and in no earlier window.
        places: (n,) column of the raster.
    """

    candidates: Candidates
    overlap: Doubles
    names: tuple[str | None, ...]
    counted: BoolArray
    places: Doubles


def find_candidates(
    raster: Raster, model: PromptableModel, windows: Sequence[Window], points: int
) -> list[Candidates]:
    """Candidates of a model's automatic mode, as a job with classes looks for them.

    Args:
        raster: Of the windows; tells the size of things on the ground.
        model: Any.
        windows: Where to look.
        points: Of a grid, along a window's side; models that propose objects ask there.
    """
    info = model.info
    score_from, stability_from = (
        usual * share
        for usual, share in zip(
            (info.score_threshold, info.stability_threshold), CANDIDATES, strict=True
        )
    )
    cache = EmbeddingCache(None)
    out = []
    for window in windows:
        check()
        found, cell = masks_found(model, window, points, score_from, stability_from)
        shapes = [_outline(mask, cell, window.box.shape) for mask in found]
        keep = [number for number, shape in enumerate(shapes) if not shape.is_empty]
        if not keep:
            continue
        masks = [found[number] for number in keep]
        polygons = np.array([*(valid(shapes[number]) for number in keep), None], object)[:-1]
        score, stability = (
            np.array([getattr(mask, name) for mask in masks], np.float64)
            for name in ("score", "stability")
        )
        table = _table(raster, model, window, polygons, score, stability, cache)
        layer = ObjectLayer(polygons, table, score, stability)
        out.append(Candidates(window, in_pixels(masks, cell, window), layer))
    return out


def _outline(mask: Mask, cell: int, shape: tuple[int, int]) -> Any:
    """A mask's polygon in pixels of its window."""
    whole = CellBox(0, 0, -(-shape[0] // cell), -(-shape[1] // cell))
    box = mask.box.intersection(whole)
    logits = mask.logits[box.slices(mask.box)] / np.float32(LOGIT_STEPS)
    known = Field(whole, 64).add(box, logits, np.ones(box.shape, np.float32))
    return object_polygon(known, cell, Affine.identity(), shape)


def _table(
    raster: Raster,
    model: PromptableModel,
    window: Window,
    polygons: NDArray[Any],
    score: Doubles,
    stability: Doubles,
    cache: EmbeddingCache,
) -> FeatureTable:
    """Features of a window's candidates, the window being a raster of one tile."""
    side = max(window.box.shape)
    cell = feature_cell(side)
    whole = PixelBox(0, 0, *window.box.shape)
    tile = Tile(TileIndex(0, 0), whole, whole, whole)
    grid = Grid(*window.box.shape, core=side, margin=cell, cell=cell, trust=0)
    pixels = RasterWindow(window.pixels, window.valid)
    features = window_features(tile, pixels, grid, model, cache)
    tent = np.ones(features.box.shape, np.float32)
    sums = pool(features, tent, range(len(polygons)), list(polygons))
    a, b, c, d, e, f = (raster.transform @ Affine.translation(window.box.col0, window.box.row0))[:6]
    crs = None if raster.crs is None else raster.crs.to_wkt()
    area = measure_ground(all_to_ground(list(polygons), (a, b, c, d, e, f)), crs).area
    return object_table(
        sums, features.names, model.info.fingerprint, polygons, area, score, stability
    )


def known_of(some: Candidates, label: str) -> Known:
    """What a window's examples say of its candidates.

    Args:
        some: Of the window.
        label: Class of objects that have none.
    """
    window = some.window
    overlap = overlaps(some.areas, [window.mask(o) for o in window.objects])
    rejected = overlaps(some.areas, [window.mask(r) for r in window.rejected])
    best, worst = overlap.max(axis=1, initial=0.0), rejected.max(axis=1, initial=0.0)
    mine = np.array([lies_on(window.part, area, part) for area, part in some.areas], bool)
    counted = mine & [lies_on(window.known, area, part) for area, part in some.areas]
    names: list[str | None] = []
    for number in range(len(some.areas)):
        name: str | None = None
        if not mine[number]:
            pass  # an earlier window has it
        elif best[number] >= LIKE and best[number] >= worst[number]:
            name = class_of(window.objects[int(overlap[number].argmax())], label)
        elif worst[number] >= LIKE or (counted[number] and best[number] < UNLIKE):
            name = NONE
        names.append(name)
    middle = [window.box.col0 + (area.col0 + area.col1) / 2 for area, _ in some.areas]
    return Known(some, overlap, tuple(names), counted, np.array(middle, np.float64))


def class_of(example: Example, label: str) -> str:
    """An object's class, or the common one of objects without."""
    return label if example.label == NO_CLASS else example.label


def fit_accepted(known: Sequence[Known], least_hits: float) -> Classifier | None:
    """The classifier of what is accepted, or None where too little is known.

    A candidate is accepted from a probability of 0.5: the probability from which most is right is
    made that. Of candidates that share ground all stay that are about as good as the best.

    Args:
        known: Candidates of places that are not held back.
        least_hits: Objects that must be found there, as far as any probability finds so many.
    """
    names = [name for part in known for name in part.names]
    rows = np.array([k for k, name in enumerate(names) if name is not None], np.int64)
    others = sum(names[k] == NONE for k in rows.tolist())
    if min(others, len(rows) - others) < LEAST_EACH:
        return None
    table = _joined([part.candidates.objects.table for part in known])
    level = _best_level(known, table, names, rows, least_hits)
    return None if level is None else shifted(_fitted(table, names, rows), level)


def shifted(classifier: Classifier, level: float) -> Classifier:
    """The classifier whose probability of 0.5 is another one's ``level``."""
    named = np.array([name != NONE for name in classifier.classes])
    bias = classifier.bias - np.where(named, np.log(level / (1 - level)), 0.0)
    return replace(classifier, bias=bias.astype(np.float32))


def accepted(classifier: Classifier, some: Candidates) -> Found:
    """What the automatic mode keeps of a window's candidates."""
    classed = ObjectClasses(some.objects).classify(classifier)
    return [some.areas[number] for number in np.flatnonzero(classed.kept).tolist()]


def found_by(
    classifier: Classifier,
    raster: Raster,
    model: PromptableModel,
    windows: Sequence[Window],
    points: int,
) -> list[Found]:
    """What a model's automatic mode keeps in each window; arguments as of
    :func:`find_candidates`."""
    found = {
        id(some.window): accepted(classifier, some)
        for some in find_candidates(raster, model, windows, points)
    }
    return [found.get(id(window), []) for window in windows]


def usual_hits(known: Sequence[Known], score: float, stability: float) -> float:
    """Objects that are to be found with a classifier (:func:`.levels.with_margin`): those that are
    found without one from usual thresholds on."""
    count = objects = 0
    for part in known:
        layer = part.candidates.objects
        good = (layer.score > score) & (layer.stability >= stability)
        count += len(one_to_one(part.overlap[good]))
        objects += part.overlap.shape[1]
    return with_margin(count, objects)


def _joined(tables: Sequence[FeatureTable]) -> FeatureTable:
    return replace(
        tables[0],
        values=np.concatenate([table.values for table in tables]),
        seen=np.concatenate([table.seen for table in tables]),
    )


def _fitted(
    table: FeatureTable, names: Sequence[str | None], rows: NDArray[np.int64]
) -> Classifier:
    chosen = [str(names[k]) for k in rows.tolist()]
    classes = [*sorted({*chosen} - {NONE}), NONE]
    # Where all is labelled, parts of objects are counterexamples: their size says nothing more.
    return replace(fit(table, rows, chosen, classes, OPTIONS), whole=0.0, beside=BESIDE)


def _best_level(
    known: Sequence[Known],
    table: FeatureTable,
    names: Sequence[str | None],
    rows: NDArray[np.int64],
    least_hits: float,
) -> float | None:
    """The probability with which most objects are found among those whose F1 is near its best
    (:data:`NEAR_BEST`).

    Candidates are judged without knowing their place; None where no place can be held back.
    """
    middle = np.concatenate([part.places for part in known])
    # Parts with as many known candidates each: known ground may be a strip of a window.
    ends = np.quantile(middle[rows], np.arange(1, FOLDS) / FOLDS)
    fold = np.searchsorted(ends, middle)
    hits, false = np.zeros((2, len(LEVELS)))
    wanted = [name != NONE for name in names]
    asked = [ObjectClasses(part.candidates.objects) for part in known]
    for number in range(FOLDS):
        others = rows[fold[rows] != number]
        if not 0 < sum(wanted[k] for k in others.tolist()) < len(others):
            return None
        judge = _fitted(table, names, others)
        start = 0
        for part, classes in zip(known, asked, strict=True):
            here = fold[start : start + len(part.names)] == number
            start += len(part.names)
            if here.any():
                found = _counts(part, classes, judge, here)
                hits, false = hits + found[0], false + found[1]
    objects = sum(part.overlap.shape[1] for part in known)
    f1 = 2 * hits / np.maximum(objects + hits + false, 1)
    smooth = np.convolve(np.pad(f1, 1, mode="edge"), np.full(3, 1 / 3), "valid")
    allowed = hits >= min(least_hits, hits.max())
    good = allowed & (smooth >= NEAR_BEST * smooth[allowed].max())
    # Of as many found objects the best F1, then the higher probability.
    order = np.lexsort((-LEVELS, -smooth, -hits))
    return float(LEVELS[order[good[order]][0]])


def _counts(
    part: Known, classes: ObjectClasses, judge: Classifier, here: BoolArray
) -> tuple[Doubles, Doubles]:
    """By level: objects found by candidates of a fold, and false candidates of it."""
    hits, false = np.zeros((2, len(LEVELS)))
    for k, level in enumerate(LEVELS.tolist()):
        kept = classes.classify(shifted(judge, level)).kept & here
        hits[k] = len(one_to_one(part.overlap[kept]))
        false[k] = max(0, int((kept & part.counted).sum()) - hits[k])
    return hits, false
