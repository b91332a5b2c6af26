# SPDX-License-Identifier: GPL-2.0-or-later
"""The worker's methods of a session: one function per method of ``docs/protocol.md``."""

from __future__ import annotations

import hashlib
import math
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import shapely
from shapely.geometry import mapping
from shapely.geometry import shape as from_geojson

from .. import job
from ..earth.geometry import pixel_side
from ..earth.place import RasterPlace
from ..errors import ParameterError, PromptError
from ..interactive.first_prediction import Candidate
from ..interactive.session import Answer, Session, Shape
from ..interactive.windows import Level
from ..jobs.scale import Scalable, scale_for, scaled
from ..models.base import PromptableModel
from ..models.embedding_cache import EmbeddingCache
from ..notes import collected
from ..parallel.cancellation import stopped_by
from ..prompts.prompts import PromptTransform
from ..raster.raster import Raster, RasterOptions, coarser, open_raster
from ..raster.stretch import Stretch
from ..types import PixelBox
from ..vectors.contours import SizeLimits, drop_small, simplify, valid
from ..vectors.geodesic import measure
from . import job_methods as worker_jobs
from .job_methods import Context, Json, Method

if TYPE_CHECKING:
    from .collection_methods import Collections

_Asked = tuple[str, str, "int | None", str]
_Stamp = tuple[tuple[int, int], ...]

LoadModel = Callable[[str, str, "int | None", str], PromptableModel]

AHEAD = 6
"""Windows kept in mind to be encoded ahead; where the mouse was before is forgotten."""

COLLECTION_METHODS = ("collect", "collect_next", "collect_classes", "collect_end")

KEPT_MODELS = 2
"""Loaded models kept: switching back and forth between two costs nothing."""


@dataclass(eq=False)
class _Opened:
    """A session and what belongs to it."""

    name: str
    session: Session
    raster: Raster
    model: PromptableModel
    asked: job.OpenParameters
    shown: list[tuple[Candidate, Shape]] = field(default_factory=list)
    prompt_type: str = "point"


def _load_model(name: str, device: str, threads: int | None, precision: str) -> PromptableModel:
    # torch takes seconds to import; a worker that only lists models does without.
    from ..models.load import load_model

    return load_model(name, device, threads, precision)


def _stamp(name: str) -> _Stamp:
    from ..models.weights.checkpoints import stamp_of  # which imports torch

    return stamp_of(name)


class Engine:
    """All methods, on the worker's main thread.

    Args:
        load: Makes a model from (name or path, device, threads, precision).
        cache: Keeps embeddings; None for the user's cache folder.
    """

    def __init__(self, load: LoadModel = _load_model, cache: EmbeddingCache | None = None) -> None:
        self._load = load
        self._cache = cache or EmbeddingCache()
        self._models: dict[tuple[_Asked, _Stamp], PromptableModel] = {}
        self._words: dict[tuple[str, _Stamp], bool] = {}
        self._opened: dict[str, _Opened] = {}
        self._count = 0
        self._ahead: deque[tuple[_Opened, Level, PixelBox]] = deque()
        self._collections: Collections | None = None
        self.methods: dict[str, Method] = {
            "open": self._open,
            "prompt": self._prompt,
            "refine": self._refine,
            "accept": self._accept,
            "reset": self._reset,
            "look": self._look,
            "close": self._close,
            "encode": self._encode,
            **{name: partial(self._collected, name) for name in COLLECTION_METHODS},
            **worker_jobs.METHODS,
        }

    def close(self) -> None:
        """Close all sessions."""
        self.forget_ahead()
        if self._collections is not None:
            self._collections.close()
        for opened in self._opened.values():
            opened.session.close()
        self._opened.clear()

    def _collected(self, method: str, params: Json, context: Context) -> Json:
        if self._collections is None:
            # scikit-learn takes a second to import; whoever only clicks does without.
            from .collection_methods import Collections

            self._collections = Collections(self._find, self._cache)
        return self._collections.methods[method](params, context)

    # -- sessions --------------------------------------------------------------------------------

    def _open(self, params: Json, context: Context) -> Json:
        opened, notes = self._opened_for(job.OpenParameters.from_dict(params), context)
        self._count += 1
        opened.name = f"s{self._count}"
        self._opened[opened.name] = opened
        raster, info = opened.raster, opened.raster.info
        stretch = raster.stretch
        return {
            "session": opened.name,
            "crs": None if raster.crs is None else raster.crs.to_wkt(),
            "width": raster.width,
            "height": raster.height,
            "bands": list(info.used_bands),
            "extent": list(info.bounds),
            "stretch": [list(pair) for pair in zip(stretch.low, stretch.high, strict=True)],
            "model": {
                "name": opened.model.info.name,
                "device": opened.model.info.device,
                "words": self._understands_words(opened),
            },
            "warnings": [*raster.notes, *notes],
        }

    def _opened_for(
        self, params: job.OpenParameters, context: Context
    ) -> tuple[_Opened, list[str]]:
        with ExitStack() as opening:
            with collected() as said:
                raster = opening.enter_context(open_raster(params.rasters, _raster_options(params)))
                context.progress("stretch", 0, 1)
                _ = raster.stretch
                context.progress("stretch", 1, 1)
                context.progress("model", 0, 1, params.model)
                model = self._model(params)
                context.progress("model", 1, 1, params.model)
            with stopped_by(context.check):  # it looks at squares of the raster
                scale = scale_for(None, raster, content=isinstance(model, Scalable))
            model = scaled(model, scale, None)
            opening.pop_all()
        notes = [str(warning) for warning in said]
        session = Session(levels_of(raster), model, self._cache)
        return _Opened("", session, raster, model, params), notes

    def _model(self, params: job.OpenParameters) -> PromptableModel:
        asked = params.model, params.device, params.threads, params.precision
        key = asked, _stamp(params.model)
        for old in [old for old in self._models if old[0] == asked and old != key]:
            del self._models[old]  # its file was replaced
        if key not in self._models:
            in_use = {id(opened.model) for opened in self._opened.values()}
            for old in list(self._models):
                if len(self._models) < KEPT_MODELS:
                    break
                if id(self._models[old]) not in in_use:
                    del self._models[old]
            self._models[key] = self._load(*asked)
        return self._models[key]

    def _understands_words(self, opened: _Opened) -> bool:
        """Whether the session's model finds words and exemplars, too; of a file, read once."""
        if opened.model.info.family != "sam3":
            return False
        name = opened.asked.model
        key = name, _stamp(name)
        if key not in self._words:
            from ..models.load import abilities

            self._words[key] = "words" in abilities(name)
        return self._words[key]

    def _find(self, params: Json) -> _Opened:
        name = params.get("session")
        opened = self._opened.get(name) if isinstance(name, str) else None
        if opened is None:
            raise ParameterError(f"There is no session {name!r:.80}: open the raster again.")
        return opened

    def _prompt(self, params: Json, context: Context) -> Json:
        asked = job.PromptParameters.from_dict(params)
        prompts = [job.Prompt.from_dict(prompt) for prompt in asked.prompts]
        opened = self._find(params)
        session = opened.session
        if asked.hover:
            answer = session.hover(
                prompts, crs=asked.crs, pixel_size=asked.pixel_size, check=context.check
            )
            shapes = self._shapes(opened, answer, asked)
        else:
            answer = session.prompt(
                prompts,
                crs=asked.crs,
                pixel_size=asked.pixel_size,
                multimask=asked.multimask,
                candidate=asked.candidate,
                check=context.check,
                report=lambda done, total: context.progress("windows", done, total),
            )
            shapes = self._shapes(opened, answer, asked)
            opened.shown = shapes
            opened.prompt_type = next((p.type for p in prompts if p.positive), "point")
        return {
            "candidates": [
                {
                    "geometry": mapping(shape.geometry),
                    "score": candidate.score,
                    "stability": candidate.stability,
                    "area_m2": _finite(shape.area_m2),
                    "perimeter_m": _finite(shape.perimeter_m),
                    "tiles": len(candidate.windows),
                    "limit": candidate.limit,
                }
                for candidate, shape in shapes
            ],
            "limit": shapes[0][0].limit if shapes else None,
            "encoded": answer.encoded,
            "resolution": answer.level.resolution,
        }

    def _shapes(
        self, opened: _Opened, answer: Answer, asked: job.PromptParameters
    ) -> list[tuple[Candidate, Shape]]:
        shapes = opened.session.shapes(answer, crs=asked.crs, simplify=asked.simplify)
        return list(zip(answer.candidates, shapes, strict=True))

    def _accept(self, params: Json, context: Context) -> Json:
        opened = self._find(params)
        index = params.get("candidate", 0)
        if not isinstance(index, int) or isinstance(index, bool):
            raise ParameterError(f"The candidate must be a number from 0, not {index!r:.80}.")
        opened.session.accepted(index)
        candidate, shape = opened.shown[index]
        opened.shown = []
        digest = hashlib.blake2b(shapely.to_wkb(shape.geometry), digest_size=8)
        digest.update(opened.raster.identity.encode())
        attributes = {
            "id": digest.hexdigest(),
            "score": candidate.score,
            "stability": candidate.stability,
            "area_m2": _finite(shape.area_m2),
            "perimeter_m": _finite(shape.perimeter_m),
            "prompt_id": "",
            "prompt_type": opened.prompt_type,
            "label": "",
            "model": opened.model.info.name,
            "source": opened.raster.name,
            "tiles": len(candidate.windows),
            "parent_id": "",
        }
        return {"attributes": attributes, "geometry": mapping(shape.geometry)}

    def _reset(self, params: Json, context: Context) -> Json:
        opened = self._find(params)
        opened.session.reset()
        opened.shown = []
        return {}

    def _close(self, params: Json, context: Context) -> Json:
        opened = self._find(params)
        del self._opened[opened.name]
        if self._collections is not None:
            self._collections.end_session(opened.name)
        self._ahead = deque(item for item in self._ahead if item[0] is not opened)
        opened.session.close()
        return {}

    # -- ahead of the mouse ----------------------------------------------------------------------

    def _look(self, params: Json, context: Context) -> Json:
        asked = job.LookParameters.from_dict(params)
        opened = self._find(params)
        level, windows = opened.session.windows_ahead(
            (asked.x, asked.y), (asked.dx, asked.dy), crs=asked.crs, pixel_size=asked.pixel_size
        )
        here = opened.session.is_encoded((asked.x, asked.y), level, asked.crs)
        self._ahead = deque((opened, level, window) for window in windows[:AHEAD])
        return {"encoded": here}

    def encode_ahead(self) -> bool:
        """Encode one window ahead of the mouse; False where there is none to encode."""
        while self._ahead:
            _, level, window = self._ahead.popleft()
            if not level.ready(window):
                level.encode(window)
                return bool(self._ahead)
        return False

    def forget_ahead(self) -> None:
        """Encode nothing ahead until the mouse moves again."""
        self._ahead.clear()

    def _encode(self, params: Json, context: Context) -> Json:
        asked = job.EncodeParameters.from_dict(params)
        opened, _ = self._opened_for(asked, context)
        try:
            session = opened.session
            windows = session.windows_over(asked.extent, asked.extent_crs)
            level = session.level()
            before = level.encoded
            for done, window in enumerate(windows):
                context.progress("windows", done, len(windows))
                if not level.ready(window):
                    level.encode(window, context.check)
            context.progress("windows", len(windows), len(windows))
            return {"windows": len(windows), "encoded": level.encoded - before}
        finally:
            opened.session.close()

    # -- polygons --------------------------------------------------------------------------------

    def _refine(self, params: Json, context: Context) -> Json:
        asked = job.RefineParameters.from_dict(params)
        raster = self._find(params).raster
        try:
            geometry = from_geojson(asked.geometry)
        except (shapely.errors.ShapelyError, ValueError, KeyError, TypeError, AttributeError):
            geometry = None
        if geometry is None or geometry.geom_type not in ("Polygon", "MultiPolygon"):
            raise PromptError("The geometry must be a GeoJSON Polygon or MultiPolygon.")
        place = PromptTransform(raster.transform, raster.crs, asked.crs, raster.shape)
        geometry = valid(place.shape_to_raster(shapely.force_2d(geometry)))
        if geometry.is_empty or not np.isfinite(shapely.get_coordinates(geometry)).all():
            raise PromptError("The geometry encloses nothing: send a polygon with an area.")
        if asked.outlines == "rectangles":
            from ..vectors.local_plane import squared

            frame = RasterPlace(raster.transform, raster.shape, raster.crs).frame
            geometry = squared(geometry, raster.crs, 1.5 * pixel_side(raster.transform), frame)
        elif asked.outlines != "contour":
            raise ParameterError(
                f"Outlines {asked.outlines!r:.40} are unknown: use contour or rectangles."
            )
        if asked.simplify is not None:
            geometry = simplify(geometry, asked.simplify)
        geometry = drop_small(
            geometry,
            SizeLimits(
                part=asked.min_area,
                hole=asked.min_hole,
                area=lambda part: float(measure([part], raster.crs).area[0]),
            ),
        )
        sizes = measure([geometry], raster.crs)
        return {
            "geometry": mapping(place.shape_from_raster(geometry)),
            "area_m2": _finite(float(sizes.area[0])),
            "perimeter_m": _finite(float(sizes.perimeter[0])),
        }


def levels_of(raster: Raster) -> Callable[[int], Raster]:
    """The raster itself, and the same raster at multiples of its pixel, with the same stretch."""

    def open_level(factor: int) -> Raster:
        return raster if factor <= 1 else Raster.from_spec(coarser(raster.spec, factor))

    return open_level


def _raster_options(params: job.OpenParameters) -> RasterOptions:
    stretch = params.stretch
    if stretch is not None and any(len(pair) != 2 for pair in stretch):
        raise ParameterError(f"A stretch takes pairs of low and high, not {stretch!r:.200}.")
    return RasterOptions(
        bands=None if params.bands is None else tuple(params.bands),
        crs=params.raster_crs,
        overlap=params.overlap,
        allow_remote=params.allow_remote,
        stretch=None
        if stretch is None
        else Stretch(tuple(pair[0] for pair in stretch), tuple(pair[1] for pair in stretch)),
    )


def _finite(value: float) -> float | None:
    """JSON has no NaN: null says that a size cannot be told."""
    return value if math.isfinite(value) else None
