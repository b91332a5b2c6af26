# SPDX-License-Identifier: GPL-2.0-or-later
"""A job's parameters, progress and result, and the worker's messages, as JSON.

Standard library and Python 3.9 only: QGIS runs a copy of this file in its own Python, and it is
the only part of the engine that QGIS ever imports. ``docs/protocol.md`` describes the methods.
"""

from __future__ import annotations

import json
import math
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any, Optional, TypeVar, Union

PROTOCOL_VERSION = 1
"""Both sides must name the same; raised with every change that the other side would notice."""

MAX_LINE = 16 * 1024 * 1024
"""Bytes that one line may have; larger data go through files."""

Json = Any


class MessageError(ValueError):
    """A line, a message or a set of parameters is not what it should be."""


# --- parameters ---------------------------------------------------------------------------------

_P = TypeVar("_P", bound="_Parameters")


class _Parameters:
    """From and to plain JSON objects; unknown names and wrong types are refused by name."""

    def to_dict(self) -> dict[str, Json]:
        return asdict(self)  # type: ignore[call-overload,no-any-return]

    @classmethod
    def from_dict(cls: type[_P], values: dict[str, Json]) -> _P:
        if not isinstance(values, dict):
            raise MessageError(f"The parameters must be an object, not {type(values).__name__}.")
        known = {f.name: f for f in fields(cls)}  # type: ignore[arg-type]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise MessageError(
                f"Unknown parameter {', '.join(map(repr, unknown))}; known are {', '.join(known)}."
            )
        missing = [
            name
            for name, f in known.items()
            if name not in values and f.default is MISSING and f.default_factory is MISSING
        ]
        if missing:
            raise MessageError(f"Missing parameter {', '.join(map(repr, missing))}.")
        for name, value in values.items():
            _check(name, value, str(known[name].type))
            if isinstance(value, float) and not math.isfinite(value):
                raise MessageError(f"Parameter {name!r} must be a finite number, not {value}.")
            length = known[name].metadata.get("length")
            if length is not None and value is not None and len(value) != length:
                raise MessageError(
                    f"Parameter {name!r} must have {length} numbers, not {len(value)}."
                )
            choices = known[name].metadata.get("choices")
            if choices is not None and value not in choices:
                raise MessageError(
                    f"Parameter {name!r} must be one of {', '.join(choices)}, not {value!r}."
                )
        return cls(**values)


_SCALARS: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
}


def _check(name: str, value: Json, declared: str) -> None:
    """Compare a JSON value with an annotation of this module (Optional, list[...], scalars)."""
    wanted = declared
    if wanted.startswith("Optional["):
        if value is None:
            return
        wanted = wanted[len("Optional[") : -1]
    if wanted.startswith("list["):
        if not isinstance(value, list):
            raise MessageError(f"Parameter {name!r} must be a list, not {value!r}.")
        for item in value:
            _check(name, item, wanted[len("list[") : -1])
        return
    if wanted.startswith("dict["):
        if not isinstance(value, dict):
            raise MessageError(f"Parameter {name!r} must be an object, not {value!r}.")
        return
    allowed = _SCALARS[wanted]
    if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
        raise MessageError(f"Parameter {name!r} must be of type {wanted}, not {value!r}.")


def _choice(*values: str) -> str:
    """A field that takes one of some words; the first is its default."""
    chosen: str = field(default=values[0], metadata={"choices": values})
    return chosen


@dataclass(frozen=True)
class SegmentParameters(_Parameters):
    """Everything that ``samgeo segment`` can be told. None means: the engine's own choice.

    Args:
        rasters: Paths; several are taken as one mosaic.
        output: Path of the layer to write; the extension chooses the format.
        layer: Name of the layer in the output; None for the output's stem.
        overwrite: Replace an existing output.
        fresh: Forget what an earlier, unfinished run of the same job has done.
        job_folder: Where finished tiles are kept; None for a folder beside the output.
        model: "embedded", a name of ``samgeo models list``, or a path to a file of weights.
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        precision: Number type of the model's heavy products; "auto" for what suits the device.
        threads: CPU threads a process.
        workers: Processes.
        cluster: Address of a Dask scheduler.
        bands: Three (or one) band numbers from 1, shown as red, green, blue.
        stretch: [[low, high], ...] a band; None computes it once for the whole raster.
        resolution: Ground units of the raster's CRS a working pixel.
        extent: [xmin, ymin, xmax, ymax] of the area of interest.
        extent_crs: Its CRS; None for the raster's.
        area: Path to a polygon layer that is the area of interest.
        tile_size: Side of a window in pixels.
        margin: Pixels by which a window exceeds the core that its tile owns.
        mode: "hierarchy" keeps objects within objects; "flat" joins parts into one.
        shapes: "objects", or "coverage" (no gaps, no overlaps).
        outlines: "contour", "rectangles" (right angles), or "centerlines" (roads).
        repair: Ask the model again for objects that tiles have cut.
        overview: Look for objects larger than half a window at a quarter of the resolution.
        points_per_side: Automatic mode's grid of points on a window.
        min_score: Predicted IoU from which masks are kept; None for the model's own, and for all
            where there are prompts.
        min_stability: Likewise.
        min_area: Smallest object, square metres.
        min_hole: Smallest hole, square metres.
        simplify: Tolerance in ground units of the output's CRS before the reprojection (the
            raster's); None for half a working pixel.
        crs: CRS of the output; None for the raster's.
        prompts: Path to a layer of prompts; one polygon a feature instead of automatic mode.
        prompts_layer: Layer within it.
        prompt_as: "auto" (points as they are, lines as strokes along the object, polygons as
            boxes), "point", "box", "mask" or "box+mask".
        prompt_id: Field whose value becomes ``prompt_id``; None for the feature's id.
        prompt_label: Field whose value becomes ``label``.
        words: Text prompts, for a model that understands words.
        detector: Model that finds words, where ``model`` itself cannot.
        examples: Path to a layer of examples: only objects of its classes are written.
        class_field: Field of ``examples`` whose values are the classes; an empty value means none
            of them.
        like: Paths to layers of examples of one class each, named as the file.
        unlike: Paths to layers of examples of none of the classes.
        classifier: Path to a saved classifier, instead of examples.
        save_classifier: Path to write the classifier to.
        min_class_prob: Least probability of an object's class.
        rules: Post-processing by class, e.g. "building: square, min-area=10".
    """

    rasters: list[str]
    output: str
    layer: Optional[str] = None
    overwrite: bool = False
    fresh: bool = False
    job_folder: Optional[str] = None
    model: str = "embedded"
    device: str = "auto"
    precision: str = _choice("auto", "float32", "bfloat16", "float16")
    threads: Optional[int] = None
    workers: int = 1
    cluster: Optional[str] = None
    bands: Optional[list[int]] = None
    stretch: Optional[list[list[float]]] = None
    resolution: Optional[float] = None
    extent: Optional[list[float]] = field(default=None, metadata={"length": 4})
    extent_crs: Optional[str] = None
    area: Optional[str] = None
    tile_size: Optional[int] = None
    margin: Optional[int] = None
    mode: str = _choice("hierarchy", "flat")
    shapes: str = _choice("objects", "coverage")
    outlines: str = _choice("contour", "rectangles", "centerlines")
    repair: bool = True
    overview: bool = True
    points_per_side: int = 32
    min_score: Optional[float] = None
    min_stability: Optional[float] = None
    min_area: float = 0.0
    min_hole: float = 0.0
    simplify: Optional[float] = None
    crs: Optional[str] = None
    prompts: Optional[str] = None
    prompts_layer: Optional[str] = None
    prompt_as: str = _choice("auto", "point", "box", "mask", "box+mask")
    prompt_id: Optional[str] = None
    prompt_label: Optional[str] = None
    words: list[str] = field(default_factory=list)
    detector: Optional[str] = None
    examples: Optional[str] = None
    class_field: Optional[str] = None
    like: list[str] = field(default_factory=list)
    unlike: list[str] = field(default_factory=list)
    classifier: Optional[str] = None
    save_classifier: Optional[str] = None
    min_class_prob: float = 0.5
    rules: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class ClassifyParameters(_Parameters):
    """Classify the objects of a layer (method ``classify``); other names as in a job.

    Args:
        input: Path of the layer of polygons.
        rasters: The raster on which they lie.
        output: Path of the layer to write: the input's objects with ``class`` and ``class_prob``.
        input_layer: Layer within ``input``.
        layer: Name of the layer in the output.
        keep: "classes" writes the objects of the classes, each piece of ground once; "all" writes
            all objects, those of none of the classes with an empty ``class``.
    """

    input: str
    rasters: list[str]
    output: str
    input_layer: Optional[str] = None
    layer: Optional[str] = None
    overwrite: bool = False
    fresh: bool = False
    job_folder: Optional[str] = None
    model: str = "embedded"
    device: str = "auto"
    precision: str = _choice("auto", "float32", "bfloat16", "float16")
    threads: Optional[int] = None
    workers: int = 1
    cluster: Optional[str] = None
    bands: Optional[list[int]] = None
    stretch: Optional[list[list[float]]] = None
    resolution: Optional[float] = None
    tile_size: Optional[int] = None
    margin: Optional[int] = None
    examples: Optional[str] = None
    class_field: Optional[str] = None
    like: list[str] = field(default_factory=list)
    unlike: list[str] = field(default_factory=list)
    classifier: Optional[str] = None
    save_classifier: Optional[str] = None
    min_class_prob: float = 0.5
    keep: str = _choice("classes", "all")
    rules: list[str] = field(default_factory=list)
    crs: Optional[str] = None


@dataclass(frozen=True)
class MapParameters(_Parameters):
    """Classes of ground, or roads, from examples (method ``map``); other names as in a job.

    Args:
        rasters: The raster.
        output: Path of the layer to write.
        shapes: "coverage" writes polygons of the classes that share their borders; "network" writes
            the centre lines of ``road_class``.
        examples: Path to a layer of examples (strokes, polygons, points).
        like: Paths to layers of examples of one class each, named as the file; for a network,
            strokes along roads.
        unlike: Paths to layers of examples of other ground.
        road_class: Class whose lines are drawn; None where there is only one.
        min_class_prob: Probability from which a cell is of ``road_class``.
        min_length: Shortest free road, metres.
        max_gap: Widest gap that is bridged, metres; None for three road widths.
        min_area: Smallest polygon, m2; smaller ones go to their neighbours.
        simplify: Tolerance in ground units of the raster's CRS; None for half a cell.
    """

    rasters: list[str]
    output: str
    shapes: str = _choice("coverage", "network")
    layer: Optional[str] = None
    overwrite: bool = False
    fresh: bool = False
    job_folder: Optional[str] = None
    model: str = "embedded"
    device: str = "auto"
    precision: str = _choice("auto", "float32", "bfloat16", "float16")
    threads: Optional[int] = None
    workers: int = 1
    cluster: Optional[str] = None
    bands: Optional[list[int]] = None
    stretch: Optional[list[list[float]]] = None
    resolution: Optional[float] = None
    tile_size: Optional[int] = None
    margin: Optional[int] = None
    examples: Optional[str] = None
    class_field: Optional[str] = None
    like: list[str] = field(default_factory=list)
    unlike: list[str] = field(default_factory=list)
    classifier: Optional[str] = None
    save_classifier: Optional[str] = None
    road_class: Optional[str] = None
    min_class_prob: float = 0.6
    min_length: float = 20.0
    max_gap: Optional[float] = None
    min_area: float = 0.0
    simplify: Optional[float] = None
    crs: Optional[str] = None


@dataclass(frozen=True)
class OpenParameters(_Parameters):
    """A raster and a model for interactive work (method ``open``); names as in a job."""

    rasters: list[str]
    model: str = "embedded"
    device: str = "auto"
    precision: str = _choice("auto", "float32", "bfloat16", "float16")
    threads: Optional[int] = None
    bands: Optional[list[int]] = None
    stretch: Optional[list[list[float]]] = None


@dataclass(frozen=True)
class Prompt(_Parameters):
    """One prompt of an interactive session.

    Args:
        type: "point", "box", "stroke" or "polygon".
        coordinates: [[x, y], ...] in ``crs``: one point; two opposite corners; the vertices of a
            freehand stroke; or a polygon's outer ring.
        positive: False for a point (or stroke) that does not belong to the object.
    """

    type: str
    coordinates: list[list[float]]
    positive: bool = True


@dataclass(frozen=True)
class PromptParameters(_Parameters):
    """One question of an interactive session (method ``prompt``).

    Args:
        session: From ``open``.
        prompts: All prompts of the object in work, oldest first, each a :class:`Prompt`.
        crs: WKT or authority code of the prompts and of the answer; None for the raster's.
        pixel_size: Ground units of ``crs`` a screen pixel; None for full resolution.
        multimask: Three candidates rather than one.
        hover: A preview under the cursor: nothing is remembered, nothing is followed.
        simplify: Tolerance in ground units of the raster's CRS; None for half a working pixel.
        candidate: Which candidate of the last answer the newest prompt corrects.
    """

    session: str
    prompts: list[dict[str, Json]]
    crs: Optional[str] = None
    pixel_size: Optional[float] = None
    multimask: bool = True
    hover: bool = False
    simplify: Optional[float] = None
    candidate: int = 0


@dataclass(frozen=True)
class RefineParameters(_Parameters):
    """Tidy one polygon (method ``refine``).

    Args:
        session: From ``open``.
        geometry: GeoJSON Polygon or MultiPolygon.
        crs: Its CRS and the answer's; None for the raster's.
        simplify: Tolerance in ground units of the raster's CRS; None for none.
        min_area: Smallest part kept, square metres.
        min_hole: Smallest hole kept, square metres.
        outlines: "contour" or "rectangles".
    """

    session: str
    geometry: dict[str, Json]
    crs: Optional[str] = None
    simplify: Optional[float] = None
    min_area: float = 0.0
    min_hole: float = 0.0
    outlines: str = "contour"


@dataclass(frozen=True)
class LookParameters(_Parameters):
    """Where the cursor is and where it moves (method ``look``).

    Args:
        session: From ``open``.
        x: Place in ``crs``.
        y: Likewise.
        crs: None for the raster's.
        pixel_size: As in :class:`PromptParameters`.
        dx: Movement since the last call, ground units of ``crs``.
        dy: Likewise.
    """

    session: str
    x: float
    y: float
    crs: Optional[str] = None
    pixel_size: Optional[float] = None
    dx: float = 0.0
    dy: float = 0.0


@dataclass(frozen=True)
class EncodeParameters(OpenParameters):
    """Fill the embedding cache for an area (method ``encode``).

    Args:
        extent: [xmin, ymin, xmax, ymax]; None for the whole raster.
        extent_crs: Its CRS; None for the raster's.
    """

    extent: Optional[list[float]] = field(default=None, metadata={"length": 4})
    extent_crs: Optional[str] = None


@dataclass(frozen=True)
class RegularizeParameters(_Parameters):
    """Straighten the polygons of a layer (method ``regularize``).

    Args:
        input: Path of the layer.
        output: Path of the layer to write.
        layer: Name within ``input``.
        method: "rectangles" or "centerlines".
        simplify: Tolerance in ground units of the layer's CRS; None for the method's own.
        min_iou: Keep a regularised polygon only where it agrees this well with its original.
        min_width: Narrowest road, ground units of the layer's CRS.
        overwrite: Replace an existing output.
    """

    input: str
    output: str
    layer: Optional[str] = None
    method: str = "rectangles"
    simplify: Optional[float] = None
    min_iou: float = 0.85
    min_width: float = 0.0
    overwrite: bool = False


# --- messages -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Request:
    """From the client. ``id`` is the client's own, new for every request."""

    id: int
    method: str
    params: dict[str, Json] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """The last message to a request that went well."""

    id: int
    result: dict[str, Json]


@dataclass(frozen=True)
class Failure:
    """The last message to a request that did not: a kind (``errors.py``) and a sentence."""

    id: Optional[int]
    kind: str
    message: str
    detail: str = ""


@dataclass(frozen=True)
class Progress:
    """On the way: ``done`` of ``total`` steps of a stage; ``total`` is 0 while unknown."""

    id: Optional[int]
    stage: str
    done: int
    total: int
    message: str = ""


@dataclass(frozen=True)
class Log:
    """For the log panel. Levels: "debug", "info", "warning", "error"."""

    level: str
    message: str
    id: Optional[int] = None


@dataclass(frozen=True)
class Hello:
    """The engine's first line, without being asked."""

    protocol: int
    engine: str
    python: str
    device: str


@dataclass(frozen=True)
class Heartbeat:
    """Every two seconds from the engine, also while it works."""

    busy: Optional[int] = None


Message = Union[Request, Result, Failure, Progress, Log, Hello, Heartbeat]

_KINDS: dict[str, type] = {
    kind.__name__.lower(): kind for kind in (Result, Failure, Progress, Log, Hello, Heartbeat)
}


def encode(message: Message) -> bytes:
    """One line of UTF-8 JSON with its line feed. NaN and infinity are refused.

    Raises:
        MessageError: A value has no JSON form, or the line is longer than :data:`MAX_LINE`.
    """
    values = asdict(message)
    if not isinstance(message, Request):
        values = {"event": type(message).__name__.lower(), **values}
    try:
        text = json.dumps(values, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        line = text.encode("utf-8") + b"\n"
    except (TypeError, ValueError) as error:
        raise MessageError(f"This message has no JSON form: {error}.") from error
    if len(line) > MAX_LINE:
        raise MessageError(f"A message of {len(line)} bytes exceeds the limit of {MAX_LINE}.")
    return line


def decode(line: bytes) -> Message:
    """The message in one line.

    Raises:
        MessageError: Too long, not JSON, or not a message of this protocol.
    """
    if len(line) > MAX_LINE:
        raise MessageError(f"A line of {len(line)} bytes exceeds the limit of {MAX_LINE}.")
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise MessageError(f"This line is not JSON: {error}.") from error
    if not isinstance(values, dict):
        raise MessageError("A message must be a JSON object.")
    values = dict(values)
    event = values.pop("event", None)
    kind: Optional[type] = Request if event is None else _KINDS.get(str(event))
    if kind is None:
        raise MessageError(f"Unknown event {event!r}.")
    known = {f.name: f for f in fields(kind)}
    # Unknown members are left out, so that a newer side may say more.
    values = {name: value for name, value in values.items() if name in known}
    for name, f in known.items():
        if name in values:
            _check(name, values[name], str(f.type))
        elif f.default is MISSING and f.default_factory is MISSING:
            raise MessageError(f"A {kind.__name__.lower()} message lacks {name!r}.")
    message: Message = kind(**values)
    return message
