# SPDX-License-Identifier: GPL-2.0-or-later
"""Parameters of ``segment``, and the options that other jobs share with it."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field
from typing import Any, Optional

from .fields import Parameters, option_field

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
class SegmentParameters(Parameters):
    """Everything that ``samgeo segment`` can be told; each field says what it does.

    None means: the engine's own choice. ``rasters`` are paths, several are taken as one mosaic;
    ``output`` is the path of the layer to write, whose extension chooses the format.
    """

    rasters: list[str]
    output: str
    layer: Optional[str] = option_field(
        "Name of the layer in the output.", unset="the output's name", group="output"
    )
    overwrite: bool = option_field("Replace an existing output.", False, group="output")
    stac_item: bool = option_field(
        "Write a STAC item with the model's fields beside the output (NAME.stac.json).",
        False,
        group="output",
    )
    part_size: Optional[int] = option_field(
        "GeoParquet only: write a folder of files with this many objects each.",
        least=1,
        unset="one file",
        group="output",
    )
    fresh: bool = option_field(
        "Forget what an earlier, unfinished run of the same job has done.", False, group="job"
    )
    job_folder: Optional[str] = option_field(
        "Folder in which finished tiles are kept, and stay.",
        unset="a folder beside the output, removed at the end",
        group="job",
    )
    model: str = option_field(_MODEL, "embedded", group="model")
    device: str = option_field(_DEVICE, "auto", group="model")
    precision: str = option_field(_PRECISION, choices=_PRECISIONS, group="model")
    threads: Optional[int] = option_field(_THREADS, least=1, unset="one per core", group="job")
    workers: int = option_field("Processes.", 1, least=1, most=1024, group="job")
    cluster: Optional[str] = option_field(
        "Address of a Dask scheduler, instead of worker processes.", group="job"
    )
    bands: Optional[list[int]] = option_field(_BANDS, unset="by colour", group="raster")
    stretch: Optional[list[list[float]]] = option_field(
        _STRETCH, unset="computed once for the whole raster", group="raster"
    )
    resolution: Optional[float] = option_field(
        "Size of a working pixel, units of the raster's CRS.",
        unset="the raster's own",
        group="raster",
    )
    extent: Optional[list[float]] = option_field(
        "Area of interest: xmin, ymin, xmax, ymax.",
        length=4,
        unset="the whole raster",
        group="raster",
    )
    extent_crs: Optional[str] = option_field(
        "CRS of the extent.", unset="the raster's", group="raster"
    )
    area: Optional[str] = option_field(
        "Polygon layer that is the area of interest.", group="raster"
    )
    area_layer: Optional[str] = option_field("Layer within the area's file.", group="raster")
    raster_crs: Optional[str] = option_field(
        _RASTER_CRS, unset="what the file says", group="raster"
    )
    scale: Optional[float] = option_field(
        "Pixels of the embedded model per working pixel, in every window: 0.25, 0.5, 1, 2 or 4.",
        least=0.25,
        most=4,
        unset="1, or 2 where a pixel has 0.4 m or more; doubled where objects are small",
        group="raster",
    )
    overlap: str = option_field(_OVERLAP, choices=_OVERLAPS, group="raster")
    allow_remote: bool = option_field(_ALLOW_REMOTE, False, group="raster")
    scenes: str = option_field(_SCENES, choices=("mosaic", "each", "layer"), group="scenes")
    duplicates: str = option_field(_DUPLICATES, choices=("date", "place", "keep"), group="scenes")
    asset: Optional[str] = option_field(
        "Asset of STAC items.", unset="the only raster, or the one for looking at", group="scenes"
    )
    sign: Optional[str] = option_field(
        "Function that signs addresses, module:function, e.g. planetary_computer:sign_url.",
        group="scenes",
    )
    tile_size: Optional[int] = option_field(
        "Side of a window, pixels.", least=64, most=32768, unset="the model's", group="tiles"
    )
    margin: Optional[int] = option_field(
        "Pixels by which a window exceeds the core that its tile owns.",
        least=9,
        most=16384,
        unset="an eighth of the window",
        group="tiles",
    )
    mode: str = option_field(
        "hierarchy keeps objects within objects; flat joins parts into one.",
        choices=("hierarchy", "flat"),
        group="objects",
    )
    shapes: str = option_field(
        "One polygon per object, or a coverage without gaps and overlaps.",
        choices=("objects", "coverage"),
        group="objects",
    )
    outlines: str = option_field(
        "As seen, with right angles (buildings), or as centre lines (roads).",
        choices=("contour", "rectangles", "centerlines"),
        group="objects",
    )
    repair: bool = option_field(
        "Ask the model again for objects that tiles have cut.", True, group="tiles"
    )
    overview: bool = option_field(
        "Look for objects larger than half a window at a quarter of the resolution.",
        True,
        group="tiles",
    )
    proposals: str = option_field(
        "What automatic mode prompts: what the embedded model expects to be objects, or a grid of "
        "points. auto: embedded for that model, grid for others.",
        choices=("auto", "embedded", "grid"),
        group="automatic mode",
    )
    classes: list[str] = option_field(
        "Keep only objects of this class of the embedded model: building, road, water, trees, "
        "field, bare ground, vehicle, other. May be repeated. Of buildings that share ground the "
        "likeliest is kept, from a score of 0.45 or min_score.",
        [],
        group="automatic mode",
        flag="class",
    )
    points_per_side: int = option_field(
        "Automatic mode: points per side of the grid on a window.",
        32,
        least=1,
        most=256,
        group="automatic mode",
    )
    min_score: Optional[float] = option_field(
        "Smallest predicted IoU of a mask that is kept.",
        least=0,
        most=1,
        unset="the model's; with prompts, all are kept",
        group="objects",
    )
    min_stability: Optional[float] = option_field(
        "Smallest stability of a mask that is kept.",
        least=0,
        most=1,
        unset="the model's; with prompts, all are kept",
        group="objects",
    )
    min_area: float = option_field("Smallest object, square metres.", 0.0, least=0, group="objects")
    min_hole: float = option_field("Smallest hole, square metres.", 0.0, least=0, group="objects")
    simplify: Optional[float] = option_field(
        "Tolerance of simplification, units of the raster's CRS.",
        least=0,
        unset="half a working pixel; coverages: one and a half",
        group="objects",
    )
    crs: Optional[str] = option_field(
        "CRS of the output, e.g. EPSG:4326.", unset="the raster's", group="output"
    )
    prompts: Optional[str] = option_field(
        "Layer of prompts: one polygon per feature, instead of automatic mode.", group="prompts"
    )
    prompts_layer: Optional[str] = option_field("Layer within the prompts' file.", group="prompts")
    prompt_as: str = option_field(
        "How features become prompts; auto: points as they are, lines as strokes along the object, "
        "polygons as boxes. The parts of a feature ask for one object together.",
        choices=("auto", "point", "box", "mask", "box+mask"),
        group="prompts",
    )
    prompt_id: Optional[str] = option_field(
        "Field whose value becomes prompt_id.", unset="the feature's id", group="prompts"
    )
    prompt_label: Optional[str] = option_field("Field whose value becomes label.", group="prompts")
    words: list[str] = option_field(
        "A word to look for, with a model that understands words; may be repeated.",
        [],
        group="words",
        flag="word",
    )
    detector: Optional[str] = option_field(
        "Model that finds words or exemplars, where the model itself cannot.", group="words"
    )
    exemplars: Optional[str] = option_field(
        "Layer of boxes or polygons around objects, for SAM 3: what looks like them is found. The "
        "class field, or the file's name, is the label; empty values are what not to find.",
        group="words",
    )
    examples: Optional[str] = option_field(
        "Layer of examples: only objects of its classes are written; goes with the class field.",
        group="classes",
    )
    class_field: Optional[str] = option_field(
        "Field of the examples or exemplars that holds the class; empty values mean none of the "
        "classes.",
        group="classes",
    )
    like: list[str] = option_field(
        "Layer of examples of one class, named as the file; may be repeated.", [], group="classes"
    )
    unlike: list[str] = option_field(
        "Layer of examples of none of the classes; may be repeated.", [], group="classes"
    )
    classifier: Optional[str] = option_field(
        "A saved classifier (.samgeo-classes), instead of examples.", group="classes"
    )
    save_classifier: Optional[str] = option_field(
        "File in which the trained classifier is saved.", group="classes"
    )
    min_class_prob: float = option_field(_MIN_CLASS, 0.5, least=0, most=1, group="classes")
    rules: list[str] = option_field(
        "Post-processing, by class or for all, e.g. 'building: square, min-area=10' or "
        "'largest-part'; may be repeated. Also smooth=, max-area=, min-elongation=, "
        "max-elongation=, min-rectangularity=, max-rectangularity=.",
        [],
        group="classes",
        flag="rule",
    )


def shared(name: str, default: Any = MISSING, about: str = "", **changed: Any) -> Any:
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
