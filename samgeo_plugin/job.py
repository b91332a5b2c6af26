# SPDX-License-Identifier: GPL-2.0-or-later
"""Parameters, progress and result of a job, and the worker's messages, as JSON.

Standard library and Python 3.9 only: QGIS runs a copy of this file in its own Python, and it is
the only part of the engine that QGIS ever imports. ``docs/protocol.md`` describes the methods.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import MISSING, Field, asdict, dataclass, field, fields
from typing import Any, Optional, TypeVar, Union

PROTOCOL_VERSION = 2
"""Both sides must name the same; raised with every change that the other side would notice."""

MAX_LINE = 16 * 1024 * 1024
"""Bytes that one line may have; larger data go through files."""

Json = Any


# --- the names of options in messages -----------------------------------------------------------

_NAMED = re.compile(r"\{option (\w+)\}")


def option(name: str) -> str:
    """A parameter of a job, named in a message so that each front end can show its own knob.

    The command shows ``--tile-size``, Python ``tile_size``, QGIS the parameter's label.
    """
    return f"{{option {name}}}"


def with_knobs(message: str, knob: Callable[[str], str] = str) -> str:
    """A message with every :func:`option` replaced by what ``knob`` calls it."""
    return _NAMED.sub(lambda found: knob(found[1]), message)


class MessageError(ValueError):
    """A line, a message or a set of parameters is not what it should be."""

    @property
    def template(self) -> str:
        """The message with its options still to be named; see :func:`with_knobs`."""
        return super().__str__()

    def __str__(self) -> str:
        return with_knobs(self.template)


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
            _check_texts(name, value)
            _check_range(known[name], value)
        return cls(**values)


_SCALARS: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
}


_UNUSABLE = re.compile("[\\x00\\ud800-\\udbff\\udc00-\\udc7f\\udd00-\\udfff]")
"""NUL, and halves of characters; those that Python makes of file names in other encodings (U+DC80
to U+DCFF) stay."""


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


def _check_texts(name: str, value: Json) -> None:
    """Refuse texts, however deep, that no file name and no attribute can be."""
    if isinstance(value, str) and _UNUSABLE.search(value):
        raise MessageError(
            f"Parameter {name!r} holds a character that neither a name nor a text can have: "
            f"{value!r:.80}."
        )
    if isinstance(value, list):
        for item in value:
            _check_texts(name, item)


def _check_range(known: Field[Any], value: Json) -> None:
    """Compare a value of the right type with what its field allows."""
    name, about = option(known.name), known.metadata
    if isinstance(value, float) and not math.isfinite(value):
        raise MessageError(f"Parameter {name} must be a finite number, not {value}.")
    if value is None:
        return
    length, choices = about.get("length"), about.get("choices")
    if length is not None and len(value) != length:
        raise MessageError(f"Parameter {name} must have {length} numbers, not {len(value)}.")
    if choices is not None and value not in choices:
        raise MessageError(f"Parameter {name} must be one of {', '.join(choices)}, not {value!r}.")
    least, most = about.get("least"), about.get("most")
    if least is not None and value < least:
        raise MessageError(f"Parameter {name} must be at least {least}, not {value}.")
    if most is not None and value > most:
        raise MessageError(f"Parameter {name} must be at most {most}, not {value}.")


def _option(
    about: str,
    default: Any = None,
    *,
    unset: str = "",
    choices: tuple[str, ...] = (),
    length: Optional[int] = None,
    least: Optional[float] = None,
    most: Optional[float] = None,
    group: str = "",
    flag: str = "",
    optional: bool = False,
) -> Any:
    """A field that is an option of a job: the one definition for all front ends.

    Args:
        about: One or two sentences: the command's help, QGIS's help, the documentation's table.
        default: Where ``choices`` are given, the first of them.
        unset: What None means, for the help.
        choices: All allowed words.
        length: Numbers that a list must have.
        least: Smallest number that is allowed.
        most: Largest number that is allowed.
        group: Of options, for the documentation.
        flag: Name on the command line, where it is not the field's with dashes.
        optional: None, not the first of ``choices``, is the default.
    """
    facts: dict[str, Any] = {"about": about, "unset": unset, "group": group, "flag": flag}
    facts.update(length=length, least=least, most=most)
    if choices:
        default = None if optional else choices[0]
        facts["choices"] = choices
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=facts)
    return field(default=default, metadata=facts)


_MODEL = "A name of 'samgeo models list', or the path of a file of weights."
_DEVICE = "Where the model runs: auto, cpu, cuda, cuda:1, mps."
_PRECISION = (
    "Number type of the model's matrix products; auto chooses by device. bfloat16 halves "
    "the time on CPUs that have it (AMX); fastest measures once which is fastest here."
)
_PRECISIONS = ("auto", "float32", "bfloat16", "float16", "fastest")
_THREADS = "CPU threads per process."
_MIN_CLASS = "Smallest probability of an object's class."
_RASTER_CRS = "CRS of the raster, for a file that names none or a wrong one."
_ALLOW_REMOTE = (
    "Fetch what a local file refers to on a server, and take the raw bytes of another file for "
    "pixels where it says so."
)
_OVERLAP = (
    "Which of several rasters is on top where they overlap. auto: the last one; rasters of one "
    "place on different dates are refused. error: no overlap is allowed."
)
_OVERLAPS = ("auto", "newest", "oldest", "first", "last", "error")
_SCENES = (
    "Several rasters: mosaic takes them as one; each writes one layer per raster, OUTPUT being "
    "like maps/{scene}.gpkg; layer writes one layer with the source and date of each object."
)
_DUPLICATES = (
    "Objects that overlapping scenes show twice, in one layer: date leaves out those of one date "
    "and keeps the others; place keeps the newest of a place; keep leaves all."
)
_BANDS = "Three band numbers from 1 (or one), shown as red, green, blue."
_STRETCH = "[low, high] for all bands, or for each: what is black and what is white."


@dataclass(frozen=True)
class SegmentParameters(_Parameters):
    """Everything that ``samgeo segment`` can be told; each field says what it does.

    None means: the engine's own choice. ``rasters`` are paths, several are taken as one mosaic;
    ``output`` is the path of the layer to write, whose extension chooses the format.
    """

    rasters: list[str]
    output: str
    layer: Optional[str] = _option(
        "Name of the layer in the output.", unset="the output's name", group="output"
    )
    overwrite: bool = _option("Replace an existing output.", False, group="output")
    stac_item: bool = _option(
        "Write a STAC item with the model's fields beside the output (NAME.stac.json).",
        False,
        group="output",
    )
    fresh: bool = _option(
        "Forget what an earlier, unfinished run of the same job has done.", False, group="job"
    )
    job_folder: Optional[str] = _option(
        "Folder in which finished tiles are kept, and stay.",
        unset="a folder beside the output, removed at the end",
        group="job",
    )
    model: str = _option(_MODEL, "embedded", group="model")
    device: str = _option(_DEVICE, "auto", group="model")
    precision: str = _option(_PRECISION, choices=_PRECISIONS, group="model")
    threads: Optional[int] = _option(_THREADS, least=1, unset="one per core", group="job")
    workers: int = _option("Processes.", 1, least=1, most=1024, group="job")
    cluster: Optional[str] = _option(
        "Address of a Dask scheduler, instead of worker processes.", group="job"
    )
    bands: Optional[list[int]] = _option(_BANDS, unset="by colour", group="raster")
    stretch: Optional[list[list[float]]] = _option(
        _STRETCH, unset="computed once for the whole raster", group="raster"
    )
    resolution: Optional[float] = _option(
        "Size of a working pixel, units of the raster's CRS.",
        unset="the raster's own",
        group="raster",
    )
    extent: Optional[list[float]] = _option(
        "Area of interest: xmin, ymin, xmax, ymax.",
        length=4,
        unset="the whole raster",
        group="raster",
    )
    extent_crs: Optional[str] = _option("CRS of the extent.", unset="the raster's", group="raster")
    area: Optional[str] = _option("Polygon layer that is the area of interest.", group="raster")
    area_layer: Optional[str] = _option("Layer within the area's file.", group="raster")
    raster_crs: Optional[str] = _option(_RASTER_CRS, unset="what the file says", group="raster")
    scale: Optional[float] = _option(
        "Pixels of the embedded model per working pixel, in every window: 0.25, 0.5, 1 or 2.",
        least=0.25,
        most=2,
        unset="1, or 2 where a pixel has 0.4 m or more",
        group="raster",
    )
    overlap: str = _option(_OVERLAP, choices=_OVERLAPS, group="raster")
    allow_remote: bool = _option(_ALLOW_REMOTE, False, group="raster")
    scenes: str = _option(_SCENES, choices=("mosaic", "each", "layer"), group="scenes")
    duplicates: str = _option(_DUPLICATES, choices=("date", "place", "keep"), group="scenes")
    asset: Optional[str] = _option(
        "Asset of STAC items.", unset="the only raster, or the one for looking at", group="scenes"
    )
    sign: Optional[str] = _option(
        "Function that signs addresses, module:function, e.g. planetary_computer:sign_url.",
        group="scenes",
    )
    tile_size: Optional[int] = _option(
        "Side of a window, pixels.", least=64, most=32768, unset="the model's", group="tiles"
    )
    margin: Optional[int] = _option(
        "Pixels by which a window exceeds the core that its tile owns.",
        least=9,
        most=16384,
        unset="an eighth of the window",
        group="tiles",
    )
    mode: str = _option(
        "hierarchy keeps objects within objects; flat joins parts into one.",
        choices=("hierarchy", "flat"),
        group="objects",
    )
    shapes: str = _option(
        "One polygon per object, or a coverage without gaps and overlaps.",
        choices=("objects", "coverage"),
        group="objects",
    )
    outlines: str = _option(
        "As seen, with right angles (buildings), or as centre lines (roads).",
        choices=("contour", "rectangles", "centerlines"),
        group="objects",
    )
    repair: bool = _option(
        "Ask the model again for objects that tiles have cut.", True, group="tiles"
    )
    overview: bool = _option(
        "Look for objects larger than half a window at a quarter of the resolution.",
        True,
        group="tiles",
    )
    proposals: str = _option(
        "What automatic mode prompts: what the embedded model expects to be objects, or a grid of "
        "points. auto: embedded for that model, grid for others.",
        choices=("auto", "embedded", "grid"),
        group="automatic mode",
    )
    classes: list[str] = _option(
        "Keep only objects of this class of the embedded model: building, road, water, trees, "
        "field, bare ground, vehicle, other. May be repeated.",
        [],
        group="automatic mode",
        flag="class",
    )
    points_per_side: int = _option(
        "Automatic mode: points per side of the grid on a window.",
        32,
        least=1,
        most=256,
        group="automatic mode",
    )
    min_score: Optional[float] = _option(
        "Smallest predicted IoU of a mask that is kept.",
        least=0,
        most=1,
        unset="the model's; with prompts, all are kept",
        group="objects",
    )
    min_stability: Optional[float] = _option(
        "Smallest stability of a mask that is kept.",
        least=0,
        most=1,
        unset="the model's; with prompts, all are kept",
        group="objects",
    )
    min_area: float = _option("Smallest object, square metres.", 0.0, least=0, group="objects")
    min_hole: float = _option("Smallest hole, square metres.", 0.0, least=0, group="objects")
    simplify: Optional[float] = _option(
        "Tolerance of simplification, units of the raster's CRS.",
        least=0,
        unset="half a working pixel",
        group="objects",
    )
    crs: Optional[str] = _option(
        "CRS of the output, e.g. EPSG:4326.", unset="the raster's", group="output"
    )
    prompts: Optional[str] = _option(
        "Layer of prompts: one polygon per feature, instead of automatic mode.", group="prompts"
    )
    prompts_layer: Optional[str] = _option("Layer within the prompts' file.", group="prompts")
    prompt_as: str = _option(
        "How features become prompts; auto: points as they are, lines as strokes along the object, "
        "polygons as boxes.",
        choices=("auto", "point", "box", "mask", "box+mask"),
        group="prompts",
    )
    prompt_id: Optional[str] = _option(
        "Field whose value becomes prompt_id.", unset="the feature's id", group="prompts"
    )
    prompt_label: Optional[str] = _option("Field whose value becomes label.", group="prompts")
    words: list[str] = _option(
        "A word to look for, with a model that understands words; may be repeated.",
        [],
        group="words",
        flag="word",
    )
    detector: Optional[str] = _option(
        "Model that finds words, where the model itself cannot.", group="words"
    )
    examples: Optional[str] = _option(
        "Layer of examples: only objects of its classes are written; goes with the class field.",
        group="classes",
    )
    class_field: Optional[str] = _option(
        "Field of the examples that holds the class; empty values mean none of the classes.",
        group="classes",
    )
    like: list[str] = _option(
        "Layer of examples of one class, named as the file; may be repeated.", [], group="classes"
    )
    unlike: list[str] = _option(
        "Layer of examples of none of the classes; may be repeated.", [], group="classes"
    )
    classifier: Optional[str] = _option(
        "A saved classifier (.samgeo-classes), instead of examples.", group="classes"
    )
    save_classifier: Optional[str] = _option(
        "File in which the trained classifier is saved.", group="classes"
    )
    min_class_prob: float = _option(_MIN_CLASS, 0.5, least=0, most=1, group="classes")
    rules: list[str] = _option(
        "Post-processing, by class or for all, e.g. 'building: square, min-area=10' or "
        "'largest-part'; may be repeated. Also smooth=, max-area=, min-elongation=, "
        "max-elongation=, min-rectangularity=, max-rectangularity=.",
        [],
        group="classes",
        flag="rule",
    )


def _shared(name: str, default: Any = MISSING, about: str = "", **changed: Any) -> Any:
    """An option that :class:`SegmentParameters` has too, under the same name: defined there.

    Args:
        name: Of the option.
        default: Where it is another one here.
        about: Where it means something else here.
        changed: Other facts that differ.
    """
    known = SegmentParameters.__dataclass_fields__[name]
    facts = {**known.metadata, **changed}
    if about:
        facts["about"] = about
    if default is not MISSING:
        return field(default=default, metadata=facts)
    if known.default_factory is not MISSING:
        return field(default_factory=known.default_factory, metadata=facts)
    return field(default=known.default, metadata=facts)


@dataclass(frozen=True)
class ClassifyParameters(_Parameters):
    """Classes for the objects of a layer (method ``classify``), without segmenting again.

    ``input`` is the path of the layer of polygons, ``rasters`` what they lie on, ``output`` the
    layer to write: the input's objects with ``class`` and ``class_prob``.
    """

    input: str
    rasters: list[str]
    output: str
    input_layer: Optional[str] = _option("Layer within the input.", group="output")
    layer: Optional[str] = _shared("layer")
    overwrite: bool = _shared("overwrite")
    fresh: bool = _shared("fresh")
    job_folder: Optional[str] = _shared("job_folder")
    model: str = _shared("model")
    device: str = _shared("device")
    precision: str = _shared("precision")
    threads: Optional[int] = _shared("threads")
    workers: int = _shared("workers")
    cluster: Optional[str] = _shared("cluster")
    bands: Optional[list[int]] = _shared("bands")
    stretch: Optional[list[list[float]]] = _shared("stretch")
    resolution: Optional[float] = _shared("resolution")
    raster_crs: Optional[str] = _shared("raster_crs")
    overlap: str = _shared("overlap")
    allow_remote: bool = _shared("allow_remote")
    tile_size: Optional[int] = _shared("tile_size")
    margin: Optional[int] = _shared("margin")
    examples: Optional[str] = _shared(
        "examples",
        about="Layer of examples (points, strokes, boxes, polygons); goes with the class field.",
    )
    class_field: Optional[str] = _shared("class_field")
    like: list[str] = _shared("like")
    unlike: list[str] = _shared("unlike")
    classifier: Optional[str] = _shared("classifier")
    save_classifier: Optional[str] = _shared("save_classifier")
    min_class_prob: float = _shared("min_class_prob")
    keep: str = _option(
        "Write the objects of the classes, each piece of ground once, or all objects; those of "
        "none of the classes have an empty one.",
        choices=("classes", "all"),
        group="classes",
    )
    rules: list[str] = _shared("rules")
    crs: Optional[str] = _shared("crs", unset="the input's")


@dataclass(frozen=True)
class UpdateParameters(_Parameters):
    """An old layer against a new raster (method ``update``).

    ``input`` is the path of the old layer of polygons, ``rasters`` the new raster, ``output`` the
    GeoPackage to write: what became of each polygon, and new ones, with the field ``status``; its
    layer ``NAME_before`` holds the old outlines.
    """

    input: str
    rasters: list[str]
    output: str
    input_layer: Optional[str] = _option("Layer within the input.", group="output")
    layer: Optional[str] = _shared("layer")
    id_field: Optional[str] = _option(
        "Field with the polygons' names.", unset="their feature ids", group="output", flag="id"
    )
    overwrite: bool = _shared("overwrite")
    fresh: bool = _shared("fresh")
    job_folder: Optional[str] = _shared("job_folder")
    model: str = _shared("model")
    device: str = _shared("device")
    precision: str = _shared("precision")
    threads: Optional[int] = _shared("threads")
    workers: int = _shared("workers")
    cluster: Optional[str] = _shared("cluster")
    bands: Optional[list[int]] = _shared("bands")
    stretch: Optional[list[list[float]]] = _shared("stretch")
    resolution: Optional[float] = _shared("resolution")
    raster_crs: Optional[str] = _shared("raster_crs")
    overlap: str = _shared("overlap")
    allow_remote: bool = _shared("allow_remote")
    outlines: str = _option(
        "New outlines as seen, or with right angles (buildings).",
        choices=("contour", "rectangles"),
        group="objects",
    )
    new_objects: bool = _option(
        "Look for new objects of the layer's class, too.", True, group="objects"
    )
    min_change_prob: float = _option(
        "Probability from which a change is one, and a new object too.",
        0.5,
        least=0,
        most=1,
        group="objects",
    )
    apply: bool = _option(
        "Write the changes into the old layer as well, a GeoPackage. Without it, that stays as it "
        "is.",
        False,
        group="output",
    )
    crs: Optional[str] = _shared("crs", unset="the input's")


@dataclass(frozen=True)
class MapParameters(_Parameters):
    """A raster's ground as classes, or its roads as lines, from examples (method ``map``).

    ``shapes`` "coverage" writes polygons of the classes that share their borders (``samgeo
    surfaces``), "network" the centre lines of ``road_class`` (``samgeo roads``).
    """

    rasters: list[str]
    output: str
    shapes: str = _option(
        "Polygons that share their borders, or centre lines.",
        choices=("coverage", "network"),
        group="objects",
    )
    layer: Optional[str] = _shared("layer")
    overwrite: bool = _shared("overwrite")
    fresh: bool = _shared("fresh")
    job_folder: Optional[str] = _shared("job_folder")
    model: str = _shared("model")
    device: str = _shared("device")
    precision: str = _shared("precision")
    threads: Optional[int] = _shared("threads")
    workers: int = _shared("workers")
    cluster: Optional[str] = _shared("cluster")
    bands: Optional[list[int]] = _shared("bands")
    stretch: Optional[list[list[float]]] = _shared("stretch")
    resolution: Optional[float] = _shared("resolution")
    raster_crs: Optional[str] = _shared("raster_crs")
    overlap: str = _shared("overlap")
    allow_remote: bool = _shared("allow_remote")
    tile_size: Optional[int] = _shared("tile_size")
    margin: Optional[int] = _shared("margin")
    examples: Optional[str] = _shared(
        "examples",
        about="Layer of examples (strokes, polygons, points); goes with the class field.",
    )
    class_field: Optional[str] = _shared("class_field")
    like: list[str] = _shared("like")
    unlike: list[str] = _shared("unlike")
    classifier: Optional[str] = _shared("classifier")
    save_classifier: Optional[str] = _shared("save_classifier")
    road_class: Optional[str] = _option(
        "Class whose lines are drawn, where there are several.", group="roads"
    )
    min_class_prob: float = _shared(
        "min_class_prob", 0.6, "Smallest probability of a cell of a road.", group="roads"
    )
    min_length: float = _option(
        "Shortest dead end and shortest loose piece, metres.", 20.0, least=0, group="roads"
    )
    max_gap: Optional[float] = _option(
        "Widest gap that is bridged, metres.", least=0, unset="four road widths", group="roads"
    )
    min_area: float = _shared(
        "min_area", about="Smallest polygon, square metres; smaller ones go to their neighbours."
    )
    simplify: Optional[float] = _shared(
        "simplify", unset="two cells of the model's map; roads: none"
    )
    crs: Optional[str] = _shared("crs")


@dataclass(frozen=True)
class OpenParameters(_Parameters):
    """A raster and a model for interactive work (method ``open``); names as in a job."""

    rasters: list[str]
    model: str = _option(_MODEL, "embedded")
    device: str = _option(_DEVICE, "auto")
    precision: str = _option(_PRECISION, choices=_PRECISIONS)
    threads: Optional[int] = _option(_THREADS, least=1)
    bands: Optional[list[int]] = _option(_BANDS)
    stretch: Optional[list[list[float]]] = _option(_STRETCH)
    raster_crs: Optional[str] = _option(_RASTER_CRS)
    overlap: str = _option(_OVERLAP, choices=_OVERLAPS)
    allow_remote: bool = _option(_ALLOW_REMOTE, False)


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

    extent: Optional[list[float]] = _option("Area to encode.", length=4)
    extent_crs: Optional[str] = None


@dataclass(frozen=True)
class CollectParameters(_Parameters):
    """Find all objects of an area, to be classified by examples (method ``collect``).

    Args:
        session: From ``open``.
        area: GeoJSON Polygon or MultiPolygon; None for the whole raster.
        crs: CRS of the area and of all geometries of the collection; None for the raster's.
    """

    session: str
    area: Optional[dict[str, Json]] = None
    crs: Optional[str] = None


@dataclass(frozen=True)
class CollectionParameters(_Parameters):
    """A collection (methods ``collect_next`` and ``collect_end``).

    Args:
        collection: From ``collect``.
    """

    collection: str


@dataclass(frozen=True)
class CollectClassesParameters(_Parameters):
    """What the objects of a collection are (method ``collect_classes``).

    Args:
        collection: From ``collect``.
        examples: All examples, each {"geometry": GeoJSON, "class": name}; an empty name for what
            is none of the classes. Geometries in the CRS that ``collect`` was told.
        min_class_prob: Probability from which an object is of its class.
        ask: How many objects to name that are most worth an answer.
    """

    collection: str
    examples: list[dict[str, Json]]
    min_class_prob: float = _option(_MIN_CLASS, 0.5, least=0, most=1)
    ask: int = _option("", 0, least=0, most=1000)


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
    method: str = _option("", choices=("rectangles", "centerlines"))
    simplify: Optional[float] = _option("", least=0)
    min_iou: float = _option("", 0.85, least=0, most=1)
    min_width: float = _option("", 0.0, least=0)
    overwrite: bool = False


@dataclass(frozen=True)
class TrackParameters(_Parameters):
    """Objects of a layer followed through dated rasters (method ``track``).

    ``layer`` is the path of the polygons as they are at the date ``at``; ``rasters`` hold one or
    more per date, in any order; ``output`` is the layer to write, with two tables beside it.
    """

    layer: str
    rasters: list[str]
    output: str
    overwrite: bool = _shared("overwrite")
    at: Optional[str] = _option(
        "Date of the layer, e.g. 2009-08-18.", unset="the earliest", group="dates"
    )
    dates: Optional[str] = _option(
        "CSV with the columns raster and date.",
        unset="by names, tags and STAC items",
        group="dates",
    )
    layer_name: Optional[str] = _option(
        "Layer within the file of polygons.", group="objects", flag="layer"
    )
    id_field: Optional[str] = _option(
        "Field with the objects' names.", unset="1, 2, 3 ...", group="objects", flag="id"
    )
    label_field: Optional[str] = _option("Field that becomes label.", group="objects", flag="label")
    model: str = _shared("model")
    memory: Optional[bool] = _option(
        "Use the memory of SAM 2, 2.1 and EdgeTAM.", unset="where there is one", group="model"
    )
    device: str = _shared("device")
    precision: str = _shared("precision")
    threads: Optional[int] = _shared("threads")
    bands: Optional[list[int]] = _shared("bands")
    allow_remote: bool = _shared("allow_remote")
    resolution: Optional[float] = _option(
        "Size of a working pixel, units of the CRS of the raster at the layer's date.",
        unset="that raster's own",
        group="raster",
    )
    reach: float = _option(
        "How far objects may move between two dates, in their own sides.",
        0.5,
        least=0,
        group="objects",
    )
    clouds: bool = _option("Objects under clouds are hidden, not gone.", True, group="objects")
    crs: Optional[str] = _shared("crs", unset="the layer's")


@dataclass(frozen=True)
class TrainParameters(_Parameters):
    """A model trained on a user's own polygons, kept where it is better (method ``train``).

    ``labels`` is the path of the polygons on ``rasters``; ``name`` names the new model.
    """

    rasters: list[str]
    labels: str
    name: str
    model: str = _shared("model", about="What to begin with: a model's name, or a file of weights.")
    what: Optional[str] = _option(
        "What is trained: a low-rank adapter, the mask decoder, or the whole model.",
        choices=("adapter", "decoder", "whole"),
        optional=True,
        unset="the embedded model's decoder; adapters of others",
        group="training",
    )
    layer: Optional[str] = _option("Layer within the labels' file.", group="labels")
    status_field: Optional[str] = _option(
        "Field with accepted, corrected or rejected.", unset="status, if any", group="labels"
    )
    class_field: Optional[str] = _option(
        "Field with the class; noted in the model's card.", group="labels"
    )
    complete: Optional[str] = _option(
        "Polygons inside which every object is labelled.", group="labels"
    )
    complete_everywhere: bool = _option(
        "Every object of the raster is labelled.", False, group="labels"
    )
    held_back: float = _option(
        "Share of the objects that the gain is measured on, at another place.",
        0.3,
        least=0.1,
        most=0.7,
        group="labels",
    )
    steps: int = _option("Steps, at most.", 400, least=1, group="training")
    minutes: float = _option("Minutes, at most.", 20.0, least=0, group="training")
    rate: float = _option("Highest learning rate.", 3e-4, least=0, group="training")
    seed: int = _option("Seed of the random numbers.", 0, group="training")
    window: int = _option("Side of a window, pixels.", 1024, least=128, group="training")
    points_per_side: int = _shared("points_per_side")
    licence: str = _option("Licence of the new model, for its card.", "", group="output")
    work: Optional[str] = _option("Folder for checkpoints.", unset="with the models", group="job")
    fresh: bool = _option("Forget an unfinished run.", False, group="job")
    overwrite: bool = _option("Replace a model of that name.", False, group="output")
    allow_remote: bool = _shared("allow_remote")
    device: str = _shared("device")
    threads: Optional[int] = _shared("threads")


@dataclass(frozen=True)
class EvaluateParameters(_Parameters):
    """A layer compared with the truth (method ``evaluate``): both of polygons, or both of lines."""

    result: str
    truth: str
    result_layer: Optional[str] = _option("Layer within the result.", group="layers", flag="layer")
    truth_layer: Optional[str] = _option("Layer within the truth.", group="layers")
    class_field: Optional[str] = _option("Field with the class, in both layers.", group="layers")
    truth_class_field: Optional[str] = _option(
        "Its name in the truth, where it has another there.", group="layers"
    )
    score_field: str = _option(
        "Field of the result with scores, for average precision.", "score", group="layers"
    )
    area: Optional[str] = _option("Polygons inside which the truth is complete.", group="layers")
    buffers: list[float] = _option("Distances for lines, metres.", [4.0, 8.0], group="figures")
    boundary: Optional[float] = _option(
        "Distance of the boundary IoU, metres.", least=0, unset="by the objects", group="figures"
    )
    errors: Optional[str] = _option("Layer to write with what went wrong.", group="output")
    overwrite: bool = _shared("overwrite", about="Replace an existing layer of errors.")


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
        try:
            line = text.encode("utf-8") + b"\n"
        except UnicodeEncodeError:  # half a character, which JSON can escape and UTF-8 cannot hold
            line = json.dumps(values, allow_nan=False, separators=(",", ":")).encode() + b"\n"
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
