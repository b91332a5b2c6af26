# SPDX-License-Identifier: GPL-2.0-or-later
"""Parameters of work on a layer that is there: update, track, train, evaluate, regularize."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from .fields import Parameters, option_field
from .segment import shared


@dataclass(frozen=True)
class UpdateParameters(Parameters):
    """An old layer against a new raster (method ``update``).

    ``input`` is the path of the old layer of polygons, ``rasters`` the new raster, ``output`` the
    GeoPackage to write: what became of each polygon, and new ones, with the field ``status``; its
    layer ``NAME_before`` holds the old outlines.
    """

    input: str
    rasters: list[str]
    output: str
    input_layer: Optional[str] = option_field("Layer within the input.", group="output")
    layer: Optional[str] = shared("layer")
    id_field: Optional[str] = option_field(
        "Field with the polygons' names.", unset="their feature ids", group="output", flag="id"
    )
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
    outlines: str = option_field(
        "New outlines as seen, or with right angles (buildings).",
        choices=("contour", "rectangles"),
        group="objects",
    )
    new_objects: bool = option_field(
        "Look for new objects of the layer's class, too.", True, group="objects"
    )
    min_change_prob: float = option_field(
        "Probability from which a change is one, and a new object too.",
        0.5,
        least=0,
        most=1,
        group="objects",
    )
    apply: bool = option_field(
        "Write the changes into the old layer as well, a GeoPackage. Without it, that stays as it "
        "is.",
        False,
        group="output",
    )
    crs: Optional[str] = shared("crs", unset="the input's")


@dataclass(frozen=True)
class TrackParameters(Parameters):
    """Objects of a layer followed through dated rasters (method ``track``).

    ``layer`` is the path of the polygons as they are at the date ``at``; ``rasters`` hold one or
    more per date, in any order; ``output`` is the layer to write, with two tables beside it.
    """

    layer: str
    rasters: list[str]
    output: str
    overwrite: bool = shared("overwrite")
    at: Optional[str] = option_field(
        "Date of the layer, e.g. 2009-08-18.", unset="the earliest", group="dates"
    )
    dates: Optional[str] = option_field(
        "CSV with the columns raster and date.",
        unset="by names, tags and STAC items",
        group="dates",
    )
    layer_name: Optional[str] = option_field(
        "Layer within the file of polygons.", group="objects", flag="layer"
    )
    id_field: Optional[str] = option_field(
        "Field with the objects' names.", unset="1, 2, 3 ...", group="objects", flag="id"
    )
    label_field: Optional[str] = option_field(
        "Field that becomes label.", group="objects", flag="label"
    )
    model: str = shared("model")
    memory: Optional[bool] = option_field(
        "Use the memory of SAM 2, 2.1 and EdgeTAM.", unset="where there is one", group="model"
    )
    device: str = shared("device")
    precision: str = shared("precision")
    threads: Optional[int] = shared("threads")
    bands: Optional[list[int]] = shared("bands")
    allow_remote: bool = shared("allow_remote")
    resolution: Optional[float] = option_field(
        "Size of a working pixel, units of the CRS of the raster at the layer's date.",
        unset="that raster's own",
        group="raster",
    )
    reach: float = option_field(
        "How far objects may move between two dates, in their own sides.",
        0.5,
        least=0,
        group="objects",
    )
    clouds: bool = option_field("Objects under clouds are hidden, not gone.", True, group="objects")
    crs: Optional[str] = shared("crs", unset="the layer's")


@dataclass(frozen=True)
class TrainParameters(Parameters):
    """A model trained on a user's own polygons, kept where it is better (method ``train``).

    ``labels`` is the path of the polygons on ``rasters``; ``name`` names the new model.
    """

    rasters: list[str]
    labels: str
    name: str
    model: str = shared("model", about="What to begin with: a model's name, or a file of weights.")
    what: Optional[str] = option_field(
        "What is trained: a low-rank adapter, the mask decoder, or the whole model.",
        choices=("adapter", "decoder", "whole"),
        optional=True,
        unset="the embedded model's decoder; adapters of others",
        group="training",
    )
    layer: Optional[str] = option_field("Layer within the labels' file.", group="labels")
    status_field: Optional[str] = option_field(
        "Field with accepted, corrected or rejected.", unset="status, if any", group="labels"
    )
    class_field: Optional[str] = option_field(
        "Field with the class; noted in the model's card.", group="labels"
    )
    complete: Optional[str] = option_field(
        "Polygons inside which every object is labelled.", group="labels"
    )
    complete_everywhere: bool = option_field(
        "Every object of the raster is labelled.", False, group="labels"
    )
    held_back: float = option_field(
        "Share of the objects that the gain is measured on, at another place.",
        0.3,
        least=0.1,
        most=0.7,
        group="labels",
    )
    confident: bool = option_field(
        "Learn from the model's own masks where nobody has labelled, too, as far as they stay the "
        "same when the picture is mirrored and made smaller.",
        False,
        group="training",
    )
    steps: int = option_field("Steps, at most.", 150, least=1, group="training")
    minutes: float = option_field("Minutes, at most.", 20.0, least=0, group="training")
    rate: float = option_field("Highest learning rate.", 3e-4, least=0, group="training")
    seed: int = option_field("Seed of the random numbers.", 0, group="training")
    window: int = option_field("Side of a window, pixels.", 1024, least=128, group="training")
    points_per_side: int = shared("points_per_side")
    person_minutes: Optional[float] = option_field(
        "Minutes that a person has worked on the labels in all, for the log of rounds.",
        least=0,
        group="output",
    )
    licence: str = option_field("Licence of the new model, for its card.", "", group="output")
    work: Optional[str] = option_field(
        "Folder for checkpoints.", unset="with the models", group="job"
    )
    fresh: bool = option_field("Forget an unfinished run.", False, group="job")
    overwrite: bool = option_field("Replace a model of that name.", False, group="output")
    allow_remote: bool = shared("allow_remote")
    device: str = shared("device")
    threads: Optional[int] = shared("threads")


@dataclass(frozen=True)
class EvaluateParameters(Parameters):
    """A layer compared with the truth (method ``evaluate``): both of polygons, or both of lines."""

    result: str
    truth: str
    result_layer: Optional[str] = option_field(
        "Layer within the result.", group="layers", flag="layer"
    )
    truth_layer: Optional[str] = option_field("Layer within the truth.", group="layers")
    class_field: Optional[str] = option_field(
        "Field with the class, in both layers.", group="layers"
    )
    truth_class_field: Optional[str] = option_field(
        "Its name in the truth, where it has another there.", group="layers"
    )
    score_field: str = option_field(
        "Field of the result with scores, for average precision.", "score", group="layers"
    )
    area: Optional[str] = option_field(
        "Polygons inside which the truth is complete.", group="layers"
    )
    buffers: list[float] = option_field("Distances for lines, metres.", [4.0, 8.0], group="figures")
    boundary: Optional[float] = option_field(
        "Distance of the boundary IoU, metres.", least=0, unset="by the objects", group="figures"
    )
    errors: Optional[str] = option_field("Layer to write with what went wrong.", group="output")
    overwrite: bool = shared("overwrite", about="Replace an existing layer of errors.")


@dataclass(frozen=True)
class RegularizeParameters(Parameters):
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
    method: str = option_field("", choices=("rectangles", "centerlines"))
    simplify: Optional[float] = option_field("", least=0)
    min_iou: float = option_field("", 0.85, least=0, most=1)
    min_width: float = option_field("", 0.0, least=0)
    overwrite: bool = False
