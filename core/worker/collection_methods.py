# SPDX-License-Identifier: GPL-2.0-or-later
"""The methods of "find all like these": objects of an area, and their classes by examples."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import shapely
from shapely.geometry import mapping
from shapely.geometry import shape as from_geojson

from .. import job
from ..classes.assign import assign
from ..classes.examples import NONE, Example, class_name, place_examples
from ..errors import ParameterError, PromptError
from ..interactive.cached_model import CachedModel
from ..interactive.collection import Collected, Collection
from ..jobs.classes.feature_stage import feature_grid
from ..jobs.make_segmenter import make_candidates, make_exemplar_segmenter, make_segmenter
from ..jobs.options import check_options
from ..jobs.scale import scaled
from ..jobs.stages.exemplars import exemplar_boxes
from ..models.base import ConceptModel, PromptableModel
from ..models.embedding_cache import EmbeddingCache
from ..parallel.cancellation import stopped_by
from ..prompts.prompts import PromptTransform
from ..raster.areas import AreaOfInterest
from ..raster.raster import Raster
from ..segmenters.automatic import AutomaticSegmenter
from ..segmenters.segmenter import Segmenter, context_of
from ..segmenters.words import ConceptSegmenter
from ..tiles.grid import choose_grid
from .job_methods import Context, Json, Method

PREFIX = "samgeo-collection-"
"""Of the folders for masks, in the system's folder for temporary files."""

FORGOTTEN_DAYS = 7

MOST_VERTICES = 8_000
"""Vertices of the outlines in one answer, some 300 kB: a line has a limit, and
QGIS reads it while it draws."""


class Opened(Protocol):
    """A session's raster and model."""

    @property
    def name(self) -> str: ...
    @property
    def raster(self) -> Raster: ...
    @property
    def model(self) -> PromptableModel: ...
    @property
    def asked(self) -> job.OpenParameters: ...


@dataclass(eq=False)
class _Known:
    """A collection, and what the client has still to be told of it."""

    session: str
    raster: Raster
    crs: str | None
    collection: Collection
    folder: Path
    by_exemplars: bool = False
    untold: deque[Collected] = field(default_factory=deque)
    gone: list[str] = field(default_factory=list)

    @property
    def place(self) -> PromptTransform:
        return _place(self.raster, self.crs)


class Collections:
    """All collections of a worker; a session has one at a time.

    Args:
        find: The session that a request names.
        cache: Keeps encodings.
    """

    def __init__(self, find: Callable[[Json], Opened], cache: EmbeddingCache) -> None:
        self._find = find
        self._cache = cache
        self._known: dict[str, _Known] = {}
        self._count = 0
        self._finder: tuple[tuple[Any, ...], ConceptModel] | None = None
        _remove_forgotten()
        self.methods: Mapping[str, Method] = {
            "collect": self._collect,
            "collect_next": self._next,
            "collect_classes": self._classes,
            "collect_end": self._end,
        }

    def end_session(self, session: str) -> None:
        """A session is closed: so are its collections."""
        for name in [name for name, each in self._known.items() if each.session == session]:
            shutil.rmtree(self._known.pop(name).folder, ignore_errors=True)

    def close(self) -> None:
        """End all."""
        for each in self._known.values():
            shutil.rmtree(each.folder, ignore_errors=True)
        self._known.clear()

    def _collect(self, params: Json, context: Context) -> Json:
        asked = job.CollectParameters.from_dict(params)
        opened = self._find(params)
        self.end_session(opened.name)
        raster = opened.raster
        segmenter = self._segmenter(opened, asked, context)
        grid = choose_grid(
            raster.height, raster.width, segmenter.cell_size, None, None, context_of(segmenter)
        )
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        try:
            collection = Collection(
                raster,
                segmenter,
                grid,
                feature_grid(raster, None, None) if asked.by_examples else None,
                opened.model,
                self._cache,
                _area(asked, raster),
                folder,
            )
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        self._count += 1
        name = f"c{self._count}"
        self._known[name] = _Known(
            opened.name, raster, asked.crs, collection, folder, bool(asked.exemplars)
        )
        return {
            "collection": name,
            "tiles": collection.tiles,
            "model": segmenter.name,
            "min_score": _least_score(segmenter),
        }

    def _segmenter(
        self, opened: Opened, asked: job.CollectParameters, context: Context
    ) -> Segmenter:
        """Objects as ``segment`` finds them, with encodings that are kept.

        Raises:
            ParameterError: The model knows no classes, or they are asked for with examples.
            ModelError: The model understands no words, or the detector is not here.
            PromptError: A word is empty.
        """
        if asked.by_examples and asked.classes:
            raise ParameterError(
                "Objects are either classified by examples or of the model's own classes; leave "
                f"one of them out: {job.option('classes')}."
            )
        scale = getattr(opened.model, "scale", None)
        session = opened.asked
        params = job.SegmentParameters(
            [],
            "",
            scale=scale,
            classes=asked.classes,
            words=asked.words,
            detector=asked.detector,
            exemplars="of the session" if asked.exemplars else None,
            model=session.model,
            device=session.device,
            precision=session.precision,
            threads=session.threads,
        )
        check_options(params)
        make = make_candidates if asked.by_examples else make_segmenter
        if asked.exemplars:
            place = _place(opened.raster, asked.crs)
            boxes = exemplar_boxes(_placed(asked.exemplars, place, opened.raster))
            return make_exemplar_segmenter(
                params,
                boxes,
                opened.raster,
                lambda name: self._finder_of(name, session, context),
            )
        if params.words:
            masker: Any = CachedModel(scaled(opened.model, 1.0, None), self._cache)
            return make(
                params, lambda: masker, lambda name: self._finder_of(name, session, context)
            )
        made = make(params, lambda: opened.model)
        if not isinstance(made, AutomaticSegmenter):
            return made
        model: Any = CachedModel(made.model, self._cache)
        proposer: Any = made.proposer and CachedModel(made.proposer, self._cache)
        return AutomaticSegmenter(model, made.options, proposer)

    def _finder_of(self, name: str, session: job.OpenParameters, context: Context) -> ConceptModel:
        """The model of the words; the last one is kept."""
        key = name, session.device, session.threads
        if self._finder is None or self._finder[0] != key:
            from ..models.words import load_concepts

            self._finder = None  # two of them may be more than the memory holds
            context.progress("model", 0, 1, name)
            self._finder = key, load_concepts(*key)
            context.progress("model", 1, 1, name)
        return self._finder[1]

    def _of(self, name: str) -> _Known:
        known = self._known.get(name)
        if known is None:
            raise ParameterError(
                f"There is no collection {name!r:.80}: its raster was closed, or another search "
                "began. Find all objects again."
            )
        return known

    def _next(self, params: Json, context: Context) -> Json:
        asked = job.CollectionParameters.from_dict(params)
        known = self._of(asked.collection)
        collection = known.collection
        if not known.untold and not known.gone:
            with stopped_by(context.check):
                step = collection.rest() if asked.rest else collection.step()
            known.untold.extend(step.found)
            known.gone += step.gone
        gone, known.gone = known.gone, []
        place = known.place
        return {
            "objects": [
                {
                    "id": each.id,
                    "geometry": mapping(place.shape_from_raster(each.ground)),
                    "score": each.score,
                    "stability": each.stability,
                    "area_m2": each.area_m2,
                    "class": each.label,
                }
                for each in _some(known.untold)
            ],
            "gone": gone,
            "done": collection.done,
            "tiles": collection.tiles,
            "more": bool(known.untold),
            "ready": collection.done >= collection.tiles and not known.untold,
        }

    def _classes(self, params: Json, context: Context) -> Json:
        asked = job.CollectClassesParameters.from_dict(params)
        known = self._of(asked.collection)
        examples = _placed(asked.examples, known.place, known.raster)
        one_class = len({example.class_name for example in examples}) == 1
        if known.by_exemplars and one_class and examples[0].class_name:
            return _as_found(known.collection, examples, asked)
        found = known.collection.sort(
            examples, asked.min_class_prob, asked.ask, presume=not known.by_exemplars
        )
        classed, objects = found.classed, found.objects
        classes = [name for name in classed.classifier.classes if name != NONE]
        number = {name: k for k, name in enumerate(classes)}
        return {
            "classes": classes,
            "kept": [
                [each.id, number[name], round(float(probability), 3)]
                for each, name, probability, kept in zip(
                    objects, classed.names, classed.probability, classed.kept, strict=True
                )
                if kept and each.id
            ],
            "marked": [
                [each.id, number.get(name, -1)]
                for each, name, marked in zip(objects, classed.names, classed.marked, strict=True)
                if marked and each.id
            ],
            "ask": [objects[int(row)].id for row in found.ask],
        }

    def _end(self, params: Json, context: Context) -> Json:
        known = self._known.pop(job.CollectionParameters.from_dict(params).collection, None)
        if known is not None:
            shutil.rmtree(known.folder, ignore_errors=True)
        return {}


def _least_score(segmenter: Segmenter) -> float | None:
    """Below which a job would write nothing of what words or a class of the model find."""
    from ..jobs.automatic import least_score

    if isinstance(segmenter, ConceptSegmenter):
        return segmenter.options.min_score
    if isinstance(segmenter, AutomaticSegmenter) and segmenter.options.classes:
        return least_score(segmenter)
    return None


def _remove_forgotten() -> None:
    """Remove the folders of engines that were killed and could not do it themselves."""
    limit = time.time() - FORGOTTEN_DAYS * 86_400
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            # The folder's own time is that of the first files, not of those in its folders.
            if max(path.stat().st_mtime for path in (folder, *folder.rglob("*"))) < limit:
                shutil.rmtree(folder, ignore_errors=True)


def _place(raster: Raster, crs: str | None) -> PromptTransform:
    return PromptTransform(raster.transform, raster.crs, crs, raster.shape)


def _as_found(
    collection: Collection, examples: list[Example], asked: job.CollectClassesParameters
) -> Json:
    """Objects that exemplars have found, while nothing says that one of them is wrong.

    They are of the examples' class with the score as its probability: examples of one class alone
    cannot tell them apart, and to presume that some are wrong would be wrong here.
    """
    name, objects = examples[0].class_name, collection.objects
    if not objects:
        raise PromptError("No objects have been found yet: wait, or choose a larger area.")
    polygons = np.array([*(each.polygon for each in objects), None], dtype=object)[:-1]
    scores = np.array([each.score for each in objects])
    try:
        marked = set(assign(examples, polygons, scores).rows.tolist())
    except PromptError:  # none of them was found again
        marked = set()
    sure = {k: 1.0 if k in marked else round(each.score, 3) for k, each in enumerate(objects)}
    kept = [k for k in sure if sure[k] >= asked.min_class_prob]
    weak = sorted((k for k in kept if k not in marked), key=lambda k: (sure[k], k))
    return {
        "classes": [name],
        "kept": [[objects[k].id, 0, sure[k]] for k in kept],
        "marked": [[objects[k].id, 0] for k in sorted(marked)],
        "ask": [objects[k].id for k in weak[: asked.ask]],
    }


def _area(asked: job.CollectParameters, raster: Raster) -> AreaOfInterest | None:
    if asked.area is None:
        return None
    shape = _geometry(asked.area)
    if shape is None or shape.geom_type not in ("Polygon", "MultiPolygon"):
        raise ParameterError("The area must be a GeoJSON Polygon or MultiPolygon.")
    place = _place(raster, asked.crs)
    return AreaOfInterest(place.shape_to_raster(shape), raster, what="The area")


def _geometry(values: Any) -> Any:
    """A shapely geometry of GeoJSON; None where it is none, or not finite."""
    try:
        shape = shapely.force_2d(from_geojson(values))
    except (shapely.errors.ShapelyError, ValueError, KeyError, TypeError, AttributeError):
        return None
    finite = shapely.get_coordinates(shape)
    return shape if len(finite) and bool((abs(finite) < 1e300).all()) else None


def _placed(values: list[Json], place: PromptTransform, raster: Raster) -> list[Example]:
    """Examples as a client sends them, in working pixels."""
    shapes = []
    for value in values:
        shape, name = _geometry(value.get("geometry")), value.get("class")
        if shape is None or not isinstance(name, str):
            raise PromptError(
                "An example needs a GeoJSON geometry and a class ('' for none of them)."
            )
        shapes.append((shape, class_name(name)))
    found = place_examples(shapes, place, raster.shape)
    if not found:
        raise PromptError(
            f"None of the {len(shapes)} examples lies on the raster: check their CRS."
            if shapes
            else "Mark at least one object as an example of a class first."
        )
    return found


def _some(untold: deque[Collected]) -> Iterator[Collected]:
    """Objects from the left, as many as one answer holds."""
    told = 0
    while untold and told < MOST_VERTICES:
        told += int(shapely.get_num_coordinates(untold[0].ground))
        yield untold.popleft()
