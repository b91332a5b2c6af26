# SPDX-License-Identifier: GPL-2.0-or-later
"""A vector layer as prompts in pixels, with ids, labels and attributes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from affine import Affine

from ..errors import ParameterError, PromptError
from ..sources.vector_input.opening import open_vector
from ..sources.vector_input.reading import VectorInput, as_text
from .prompts import PixelPrompt, PromptKind, PromptTransform, crs_on_raster

PromptAs = Literal["auto", "point", "box", "mask", "box+mask"]

PROMPT_AS: tuple[PromptAs, ...] = ("auto", "point", "box", "mask", "box+mask")


LEAST_BOX = 1 / 64
"""Pixels that a box has on each side; a line that came from another CRS is no box, though it may
differ from one by a billionth of a pixel."""


@dataclass(frozen=True)
class LayerOptions:
    """Which features, and how they are meant; as in :class:`~.job.SegmentParameters`."""

    path: str
    layer: str | None = None
    prompt_as: PromptAs = "auto"
    id_field: str | None = None
    label_field: str | None = None


@dataclass(frozen=True, eq=False)
class LayerPrompt:
    """One feature as prompts in pixels.

    Args:
        row: Its row in the layer's attribute table.
        id: For the attribute ``prompt_id``.
        label: For the attribute ``label``.
        type: "point", "stroke", "box", "mask" or "polygon", for ``prompt_type``.
        prompts: Usually one; several where the feature has several parts.
    """

    row: int
    id: str
    label: str
    type: str
    prompts: tuple[PixelPrompt, ...]


@dataclass(frozen=True, eq=False)
class PromptLayer:
    """A layer of prompts on a raster.

    Args:
        attributes: The features' attributes, row by row, without geometry.
        prompts: Those that can be asked, in the layer's order.
        left_out: (id, reason) of the others.
    """

    attributes: pd.DataFrame
    prompts: list[LayerPrompt]
    left_out: list[tuple[str, str]]


def read_prompts(
    options: LayerOptions, transform: Affine, crs: Any, shape: tuple[int, int]
) -> PromptLayer:
    """Read a layer and bring its features to a raster's pixels.

    Args:
        options: Which layer, and how its features are meant.
        transform: Of the raster's working pixels.
        crs: The raster's, or None. A layer without a CRS is taken to be in the raster's.
        shape: (height, width) of the raster.

    Raises:
        PromptError: The layer cannot be read, is empty, or none of it lies on the raster.
        ParameterError: A field does not exist, or ``prompt_as`` is unknown.
    """
    if options.prompt_as not in PROMPT_AS:
        raise ParameterError(
            f"Prompts as {options.prompt_as!r:.40} are unknown: use {', '.join(PROMPT_AS)}."
        )
    opened = _opened(options)
    frame = _read(opened)
    fields = [column for column in frame.columns if column != frame.geometry.name]
    for name in (options.id_field, options.label_field):
        if name is not None and name not in fields:
            known = ", ".join(map(str, fields))
            raise ParameterError(f"The prompts in {options.path} have no field {name!r}: {known}.")
    layer_crs = crs_on_raster(opened.crs, crs, f"the prompts in {options.path}")
    place = PromptTransform(transform, crs, layer_crs, shape)
    ids = frame.index if options.id_field is None else frame[options.id_field]
    labels = None if options.label_field is None else frame[options.label_field]
    found: list[LayerPrompt] = []
    left_out: list[tuple[str, str]] = []
    for row, (name, geometry) in enumerate(zip(ids, frame.geometry, strict=True)):
        prompt_id = as_text(name)
        try:
            kind, prompts = _prompts(geometry, options.prompt_as, place, shape)
        except PromptError as error:
            left_out.append((prompt_id, str(error)))
            continue
        label = "" if labels is None else as_text(labels.iloc[row])
        found.append(LayerPrompt(row, prompt_id, label, kind, prompts))
    if not found:
        reason = f" (the first: {left_out[0][1]})" if left_out else ""
        raise PromptError(
            f"None of the {len(left_out)} prompts in {options.path} can be used{reason}: check "
            "the layer and its CRS."
        )
    attributes = pd.DataFrame(frame.drop(columns=frame.geometry.name)).reset_index(drop=True)
    return PromptLayer(attributes, found, left_out)


def _opened(options: LayerOptions) -> VectorInput:
    try:
        return open_vector(options.path, options.layer, parameter="prompts_layer")
    except ParameterError as error:
        raise PromptError(f"The prompts cannot be used. {error}") from error


def _read(layer: VectorInput) -> gpd.GeoDataFrame:
    try:
        frame = layer.read()
    except ParameterError as error:
        raise PromptError(f"The prompts cannot be used. {error}") from error
    if frame.empty:
        raise PromptError(f"The layer of prompts {layer.name} has no features.")
    return frame


def _prompts(
    geometry: Any, prompt_as: PromptAs, place: PromptTransform, shape: tuple[int, int]
) -> tuple[str, tuple[PixelPrompt, ...]]:
    """A feature's prompts and their type.

    Raises:
        PromptError: The feature cannot be asked with, and why.
    """
    if geometry is None or geometry.is_empty:
        raise PromptError("it has no geometry")
    pixels = place.geometry(_plain(shapely.force_2d(geometry)))
    if pixels.is_empty:
        raise PromptError("it lies outside the raster")
    height, width = shape
    raster = shapely.box(0, 0, width, height)
    if not shapely.intersects(pixels, raster):
        raise PromptError("it lies outside the raster")
    points = pixels.geom_type in ("Point", "MultiPoint")
    kind = prompt_as
    if kind == "auto":
        if pixels.geom_type in ("LineString", "MultiLineString", "LinearRing"):
            return "stroke", _strokes(shapely.intersection(pixels, raster))
        kind = "point" if points else "box"
    if points and kind != "point":
        raise PromptError(f"it is a point and cannot be used as {kind}")
    if kind == "point":
        spots = _points(pixels)
        inside = [s for s in spots if 0 <= s[0] <= height and 0 <= s[1] <= width]
        prompts = [PixelPrompt("point", np.array([spot])) for spot in inside]
        if not prompts:
            raise PromptError("its point lies outside the raster")
        return "point", tuple(prompts)
    if kind == "box":
        col0, row0, col1, row1 = shapely.bounds(pixels)
        corners = np.array(
            [[max(row0, 0), max(col0, 0)], [min(row1, height), min(col1, width)]], np.float64
        )
        if (corners[1] - corners[0] < LEAST_BOX).any():
            raise PromptError("its box has no area")
        return "box", (PixelPrompt("box", corners),)
    return _outlined(pixels, raster, "mask" if kind == "mask" else "polygon")


def _plain(geometry: Any) -> Any:
    """The polygons of a collection, or else its lines, or else its points."""
    if geometry.geom_type != "GeometryCollection":
        return geometry
    parts = shapely.get_parts(geometry)
    while np.any(shapely.get_type_id(parts) == shapely.GeometryType.GEOMETRYCOLLECTION):
        parts = shapely.get_parts(parts)
    parts = shapely.get_parts(parts[~shapely.is_empty(parts)])
    if len(parts) == 0:
        raise PromptError("it has no geometry")
    dimensions = shapely.get_dimensions(parts)
    kept = parts[dimensions == dimensions.max()]
    if len(kept) == 1:
        return kept[0]
    make = (shapely.multipoints, shapely.multilinestrings, shapely.multipolygons)
    return make[int(dimensions.max())](kept)


def _points(pixels: Any) -> list[tuple[float, float]]:
    """(row, column) of each point, or of a place inside each line or polygon."""
    parts = [part for part in shapely.get_parts(pixels) if not part.is_empty]
    places = [part.point_on_surface() for part in parts]
    return [(float(p.y), float(p.x)) for p in places]


def _strokes(lines: Any) -> tuple[PixelPrompt, ...]:
    """Lines that run along an object; what touches the raster only at its edge names nothing."""
    parts = [p for p in shapely.get_parts(lines) if p.geom_type == "LineString" and p.length > 0]
    if not parts:
        raise PromptError("its line has no length on the raster")
    return tuple(PixelPrompt("stroke", shapely.get_coordinates(p)[:, ::-1]) for p in parts)


def _outlined(pixels: Any, raster: Any, kind: PromptKind) -> tuple[str, tuple[PixelPrompt, ...]]:
    clipped = shapely.intersection(shapely.make_valid(pixels), raster)
    parts = [p for p in shapely.get_parts(shapely.get_parts(clipped)) if p.geom_type == "Polygon"]
    if not parts:
        raise PromptError("it has no area, so that it cannot be used as a mask")
    rings = [shapely.get_coordinates(part.exterior)[:, ::-1] for part in parts]
    return kind, tuple(PixelPrompt(kind, ring) for ring in rings)
