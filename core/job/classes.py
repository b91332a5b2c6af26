# SPDX-License-Identifier: GPL-2.0-or-later
"""Parameters of jobs that give classes: to objects, to ground, to roads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from .fields import Parameters, option_field
from .segment import shared

_CLASS_FIELD = "Field of the examples that holds the class; empty values mean none of the classes."


@dataclass(frozen=True)
class ClassifyParameters(Parameters):
    """Classes for the objects of a layer (method ``classify``), without segmenting again.

    ``input`` is the path of the layer of polygons, ``rasters`` what they lie on, ``output`` the
    layer to write: the input's objects with ``class`` and ``class_prob``.
    """

    input: str
    rasters: list[str]
    output: str
    input_layer: Optional[str] = option_field("Layer within the input.", group="output")
    layer: Optional[str] = shared("layer")
    overwrite: bool = shared("overwrite")
    fresh: bool = shared("fresh")
    job_folder: Optional[str] = shared("job_folder")
    model: str = shared("model")
    device: str = shared("device")
    precision: str = shared("precision")
    threads: Optional[int] = shared("threads")
    workers: int = shared("workers")
    cluster: Optional[str] = shared("cluster")
    bands: Optional[list[int]] = shared("bands")
    stretch: Optional[list[list[float]]] = shared("stretch")
    resolution: Optional[float] = shared("resolution")
    raster_crs: Optional[str] = shared("raster_crs")
    overlap: str = shared("overlap")
    allow_remote: bool = shared("allow_remote")
    tile_size: Optional[int] = shared("tile_size")
    margin: Optional[int] = shared("margin")
    examples: Optional[str] = shared(
        "examples",
        about="Layer of examples (points, strokes, boxes, polygons); goes with the class field.",
    )
    class_field: Optional[str] = shared("class_field", about=_CLASS_FIELD)
    like: list[str] = shared("like")
    unlike: list[str] = shared("unlike")
    classifier: Optional[str] = shared("classifier")
    save_classifier: Optional[str] = shared("save_classifier")
    min_class_prob: float = shared("min_class_prob")
    keep: str = option_field(
        "Write the objects of the classes, each piece of ground once, or all objects; those of "
        "none of the classes have an empty one.",
        choices=("classes", "all"),
        group="classes",
    )
    rules: list[str] = shared("rules")
    crs: Optional[str] = shared("crs", unset="the input's")


@dataclass(frozen=True)
class MapParameters(Parameters):
    """A raster's ground as classes, or its roads as lines (method ``map``).

    The classes are those of examples or of a saved classifier; with neither, those that the
    embedded model knows.

    ``shapes`` "coverage" writes polygons of the classes that share their borders (``samgeo
    surfaces``), "network" the centre lines of ``road_class`` (``samgeo roads``).
    """

    rasters: list[str]
    output: str
    shapes: str = option_field(
        "Polygons that share their borders, or centre lines.",
        choices=("coverage", "network"),
        group="objects",
    )
    layer: Optional[str] = shared("layer")
    overwrite: bool = shared("overwrite")
    fresh: bool = shared("fresh")
    job_folder: Optional[str] = shared("job_folder")
    model: str = shared("model")
    device: str = shared("device")
    precision: str = shared("precision")
    threads: Optional[int] = shared("threads")
    workers: int = shared("workers")
    cluster: Optional[str] = shared("cluster")
    bands: Optional[list[int]] = shared("bands")
    stretch: Optional[list[list[float]]] = shared("stretch")
    resolution: Optional[float] = shared("resolution")
    extent: Optional[list[float]] = shared("extent")
    extent_crs: Optional[str] = shared("extent_crs")
    raster_crs: Optional[str] = shared("raster_crs")
    overlap: str = shared("overlap")
    allow_remote: bool = shared("allow_remote")
    tile_size: Optional[int] = shared("tile_size")
    margin: Optional[int] = shared("margin")
    examples: Optional[str] = shared(
        "examples",
        about="Layer of examples (strokes, polygons, points); goes with the class field.",
    )
    class_field: Optional[str] = shared("class_field", about=_CLASS_FIELD)
    like: list[str] = shared("like")
    unlike: list[str] = shared("unlike")
    classifier: Optional[str] = shared("classifier")
    save_classifier: Optional[str] = shared("save_classifier")
    classes: list[str] = shared(
        "classes",
        about="Without examples: write only this class of the embedded model (building, road, "
        "water, trees, field, bare ground, vehicle, other). May be repeated.",
        group="classes",
    )
    road_class: Optional[str] = option_field(
        "Class whose lines are drawn, where there are several.",
        group="roads",
        unset="the only one; without examples, road",
    )
    min_class_prob: Optional[float] = shared(
        "min_class_prob",
        None,
        "Smallest probability of a cell of a road.",
        group="roads",
        unset="0.65; without examples, 0.5",
    )
    min_length: float = option_field(
        "Shortest dead end and shortest loose piece, metres.", 20.0, least=0, group="roads"
    )
    max_gap: Optional[float] = option_field(
        "Widest gap that is bridged, metres.", least=0, unset="four road widths", group="roads"
    )
    min_area: float = shared(
        "min_area", about="Smallest polygon, square metres; smaller ones go to their neighbours."
    )
    simplify: Optional[float] = shared(
        "simplify", unset="two cells of the model's map; roads: none"
    )
    crs: Optional[str] = shared("crs")
