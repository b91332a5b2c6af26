# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks of a job's parameters: which may be combined, and their values for a raster."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, TypeVar, Union

from ..classes.rules import parse_rule
from ..earth.geometry import half_pixel, pixel_side
from ..errors import ParameterError
from ..job import (
    ClassifyParameters,
    MapParameters,
    SegmentParameters,
    UpdateParameters,
    option,
)
from ..layers.provenance import NAME_FILES
from ..raster.areas import AreaOfInterest
from ..raster.raster import Raster, RasterOptions
from ..raster.stretch import Stretch
from ..sources.names import absolute_name
from ..types import GroundBox
from ..vectors.coverage import CoverageOptions

JobParameters = Union[SegmentParameters, ClassifyParameters, MapParameters, UpdateParameters]
"""Of any job that reads a raster and writes a layer."""


class ClassParameters(Protocol):
    """The parameters of ``job`` that say where classes are from."""

    @property
    def examples(self) -> str | None: ...
    @property
    def class_field(self) -> str | None: ...
    @property
    def like(self) -> list[str]: ...
    @property
    def unlike(self) -> list[str]: ...
    @property
    def classifier(self) -> str | None: ...
    @property
    def save_classifier(self) -> str | None: ...
    @property
    def min_class_prob(self) -> float | None: ...


_USUAL = SegmentParameters([], "")

_OF_SEGMENTERS = (
    *("prompts", "words", "exemplars", "proposals", "classes", "points_per_side"),
    *("min_score", "min_stability"),
)
"""What says how objects are found, or which masks are kept of them."""


def is_given(params: SegmentParameters, name: str) -> bool:
    """Whether an option was asked for: it is another one than without a word of the user's."""
    return bool(getattr(params, name) != getattr(_USUAL, name))


def has_classes(params: ClassParameters) -> bool:
    """Whether classes are asked for."""
    return bool(
        params.examples is not None or params.like or params.unlike or params.classifier is not None
    )


def check_options(params: SegmentParameters, *, own_segmenter: bool = False) -> None:
    """Refuse options that contradict each other or would be passed over in silence.

    Args:
        params: Of the job.
        own_segmenter: A segmenter of the caller's own finds the objects.

    Raises:
        ParameterError: Names the option.
    """
    if own_segmenter:
        _check_own_segmenter(params)
    kinds = [option(name) for name in ("prompts", "words", "exemplars") if getattr(params, name)]
    if len(kinds) > 1:
        raise ParameterError(f"Give either {' or '.join(kinds)}, not both.")
    if params.extent is not None and params.area is not None:
        raise ParameterError(f"Give either {option('extent')} or {option('area')}, not both.")
    check_extent(params)
    for name, given, needed, there in (
        (
            "detector",
            params.detector,
            "words",
            bool(params.words or params.exemplars is not None),
        ),
        (
            "class_field",
            params.class_field,
            "examples",
            params.examples is not None or params.exemplars is not None,
        ),
        ("area_layer", params.area_layer, "area", params.area is not None),
        ("prompts_layer", params.prompts_layer, "prompts", params.prompts is not None),
        ("prompt_id", params.prompt_id, "prompts", params.prompts is not None),
        ("prompt_label", params.prompt_label, "prompts", params.prompts is not None),
    ):
        if given is not None and not there:
            raise _says_nothing(name, given, needed)
    trains = params.classifier is None and has_classes(params)
    if params.save_classifier is not None and not trains:
        raise no_new_classifier()
    _check_scenes(params)
    for kind in ("words", "exemplars"):
        if getattr(params, kind):
            _only_automatic(
                params, ("points_per_side", "min_stability", "proposals", "classes"), kind
            )
    if params.prompts is not None:
        _only_automatic(
            params,
            ("points_per_side", "margin", "shapes", "mode", "proposals", "classes"),
            "prompts",
        )
        if params.outlines == "centerlines":
            raise ParameterError(
                f"With {option('prompts')} there is one polygon per prompt: {option('outlines')} "
                "centerlines does not go with it; use contour or rectangles."
            )
    if params.shapes == "coverage" and params.outlines != "contour":
        raise ParameterError(
            f"A coverage has no outlines of the kind {params.outlines}: leave "
            f"{option('outlines')} out."
        )
    if params.shapes == "coverage" and any(
        rule.square or rule.smooth > 0 for rule in map(parse_rule, params.rules)
    ):
        raise ParameterError(
            f"The polygons of a coverage share their borders, and the parts square and smooth= of "
            f"{option('rules')} move each outline by itself: leave them out."
        )
    if params.min_hole > 0 and (params.shapes == "coverage" or params.outlines == "centerlines"):
        what = "a coverage" if params.shapes == "coverage" else "centre lines"
        raise ParameterError(
            f"A smallest hole ({option('min_hole')} {params.min_hole:g}) does not go with {what}: "
            "leave it out."
        )


def check_extent(params: SegmentParameters | MapParameters) -> None:
    """Refuse the CRS of an extent that was not given.

    Raises:
        ParameterError: There is no extent.
    """
    if params.extent_crs is not None and params.extent is None:
        raise _says_nothing("extent_crs", params.extent_crs, "extent")


def _says_nothing(name: str, given: Any, needed: str) -> ParameterError:
    return ParameterError(
        f"{option(name)} {given} says nothing without {option(needed)}: give both."
    )


def _check_own_segmenter(params: SegmentParameters) -> None:
    """Refuse what only the engine's own segmenters look at."""
    for name in _OF_SEGMENTERS:
        if is_given(params, name):
            raise ParameterError(
                f"A segmenter of your own finds objects by itself: leave out {option(name)}, or "
                f"name a {option('model')} instead."
            )
    for name in ("model", "device", "precision"):
        if is_given(params, name) and not has_classes(params):
            raise ParameterError(
                f"{option(name)} {getattr(params, name)} says nothing where a segmenter of your "
                "own finds the objects: leave one of them out."
            )


def no_new_classifier() -> ParameterError:
    """The error about a classifier to save where none is trained."""
    return ParameterError(f"{option('save_classifier')} needs examples to train a classifier from.")


def _check_scenes(params: SegmentParameters) -> None:
    """Refuse what does not go with rasters that are worked on one by one, or only with them."""
    if params.scenes == "mosaic":
        if is_given(params, "duplicates"):
            raise ParameterError(
                f"{option('duplicates')} {params.duplicates} is about scenes that share a layer: "
                f"give {option('scenes')} layer too."
            )
        return
    for name in ("prompts", "exemplars", "save_classifier", "overlap"):
        if is_given(params, name):
            raise ParameterError(
                f"{option(name)} is about one raster or mosaic and does not go with "
                f"{option('scenes')} {params.scenes}: leave it out."
            )
    if params.scenes == "each" and params.part_size is not None:
        raise ParameterError(
            f"With {option('scenes')} each the folder has one file per scene: leave "
            f"{option('part_size')} out."
        )
    if params.scenes == "each" and is_given(params, "duplicates"):
        raise ParameterError(
            f"{option('duplicates')} {params.duplicates} is about scenes that share a layer: give "
            f"{option('scenes')} layer instead of each."
        )
    if params.scenes == "layer" and (
        params.shapes == "coverage" or params.outlines == "centerlines"
    ):
        raise ParameterError(
            f"Scenes that share a layer are told apart object by object, and a coverage or centre "
            f"lines cannot be: choose {option('scenes')} mosaic or each."
        )


_PATHS = ("output", "job_folder", "input", *NAME_FILES)
"""Parameters that name files, but for rasters."""

P = TypeVar("P", SegmentParameters, ClassifyParameters, MapParameters, UpdateParameters)


def with_absolute_paths(params: P) -> P:
    """The same job with full paths, because a cluster's workers have folders of their own."""

    def full(path: str | None) -> str | None:
        if path is None or "://" in path or path.startswith("/vsi"):
            return path
        return str(Path(path).absolute())

    def changed(name: str, value: Any) -> Any:
        return [full(path) for path in value] if isinstance(value, list) else full(value)

    given = {name: getattr(params, name) for name in _PATHS if hasattr(params, name)}
    if Path(params.model).exists():
        given["model"] = params.model
    rasters = [absolute_name(name) for name in params.rasters]
    changes = {name: changed(name, value) for name, value in given.items()}
    return replace(params, **{**changes, "rasters": rasters})


def _only_automatic(params: SegmentParameters, names: tuple[str, ...], other: str) -> None:
    for name in names:
        if is_given(params, name):
            raise ParameterError(
                f"{option(name)} {getattr(params, name)} belongs to the automatic mode and does "
                f"not go with {option(other)}: leave it out."
            )


def raster_options(params: JobParameters) -> RasterOptions:
    """How a job looks at its raster."""
    return RasterOptions(
        bands=None if params.bands is None else tuple(params.bands),
        stretch=_stretch(params),
        resolution=params.resolution,
        crs=params.raster_crs,
        overlap=params.overlap,
        allow_remote=params.allow_remote,
    )


def _stretch(params: JobParameters) -> Stretch | None:
    if params.stretch is None:
        return None
    if any(len(pair) != 2 for pair in params.stretch):
        raise ParameterError(f"A stretch takes pairs of low and high, not {params.stretch}.")
    return Stretch(tuple(p[0] for p in params.stretch), tuple(p[1] for p in params.stretch))


def area_of_interest(
    params: SegmentParameters | MapParameters, raster: Raster
) -> AreaOfInterest | None:
    """The area that a job is about; None for the whole raster."""
    if params.extent is not None:
        return AreaOfInterest.from_extent(GroundBox(*params.extent), params.extent_crs, raster)
    if isinstance(params, SegmentParameters) and params.area is not None:
        return AreaOfInterest.from_layer(params.area, raster, layer=params.area_layer)
    return None


MOST_TOLERANCE = 200.0
"""Pixels by which simplification may move a border, at most: 4 m where a pixel is 2 cm. Beyond it,
metres were meant for a raster in degrees, and little would be left of any shape."""


def check_tolerance(params: SegmentParameters | MapParameters, raster: Raster) -> None:
    """Refuse a tolerance of simplification that no shape of the raster would survive.

    Raises:
        ParameterError: It is above :data:`MOST_TOLERANCE`.
    """
    if params.simplify is None:
        return
    pixel = pixel_side(raster.transform)
    pixels = params.simplify / pixel
    if pixels > MOST_TOLERANCE:
        degrees = raster.crs is not None and raster.crs.is_geographic
        unit = " (degrees)" if degrees else ""
        metric = ", bring the raster to a CRS in metres," if degrees else ""
        raise ParameterError(
            f"{option('simplify')} {params.simplify:g} is {pixels:,.0f} pixels in the units of "
            f"this raster's CRS{unit}: little would be left of any shape. Give at most "
            f"{MOST_TOLERANCE * pixel:.3g}{metric} or leave it out."
        )


def tolerance_of(params: SegmentParameters, raster: Raster) -> float:
    """Tolerance of simplification, units of the raster's CRS.

    Half a working pixel by default; a coverage is drawn along the cells' sides and has its own.
    """
    if params.simplify is not None:
        return params.simplify
    if params.shapes == "coverage":
        return CoverageOptions.tolerance * pixel_side(raster.transform)
    return half_pixel(raster.transform)
