# SPDX-License-Identifier: GPL-2.0-or-later
"""Examples: features of any vector layer, in any CRS, each of a class or of none.

A point or a stroke names what it lies on; a box what it holds; a polygon is an example itself.
A polygon that is smaller than a few pixels cannot outline anything and is taken as a point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import geopandas as gpd
import shapely
from affine import Affine

from ..earth.crs import declared_crs
from ..errors import ParameterError, PromptError
from ..job import option
from ..notes import warn
from ..prompts.prompts import PromptTransform, crs_on_raster
from ..sources.vector_input.opening import open_vector
from ..sources.vector_input.paths import parts_of
from ..sources.vector_input.reading import as_text

NONE = ""
"""Class of what belongs to none of the classes."""

NONE_WORDS = frozenset({"", "none", "none of these"})
"""Values of a class field, in lower case, that mean :data:`NONE`; so does a missing value."""

SMALLEST_OUTLINE = 4.0
"""Square pixels below which a polygon is taken as a point."""

Kind = Literal["point", "stroke", "box", "polygon"]


@dataclass(frozen=True)
class ExampleLayer:
    """A layer of examples.

    Args:
        path: Of the file.
        class_field: Field whose values are the classes; None where all features have one class.
        class_name: That class; :data:`NONE` for counterexamples.
        layer: Name within the file.
    """

    path: str
    class_field: str | None = None
    class_name: str = NONE
    layer: str | None = None

    @classmethod
    def named_as_file(cls, path: str) -> ExampleLayer:
        """A layer of one class, which is called as its file, whatever layer of it is named."""
        return cls(path, class_name=Path(parts_of(path, None)[0]).stem)


@dataclass(frozen=True, eq=False)
class Example:
    """One example in working pixels.

    Args:
        geometry: Point, LineString, or valid Polygon or MultiPolygon (x = column, y = row).
        kind: How it is meant.
        class_name: Its class, or :data:`NONE`.
        source: The file that it is from, for messages.
    """

    geometry: Any
    kind: Kind
    class_name: str
    source: str


def read_examples(
    layers: Sequence[ExampleLayer], transform: Affine, crs: Any, shape: tuple[int, int]
) -> list[Example]:
    """Read examples and bring them to a raster's pixels.

    Args:
        layers: Where they are.
        transform: Of the raster's working pixels.
        crs: The raster's, or None. A layer without a CRS is taken to be in the raster's.
        shape: (height, width) of the raster.

    Returns:
        The examples on the raster, in an order that does not depend on that of the layers'
        features. Those beside it are left out with a warning.

    Raises:
        PromptError: A layer cannot be read or is empty, or no example has a geometry or lies on
            the raster.
        ParameterError: A layer lacks the class field.
    """
    found: list[Example] = []
    outside = empty = 0
    for layer in layers:
        frame = _read(layer)
        names = _classes(frame, layer)
        layer_crs = crs_on_raster(declared_crs(frame.crs), crs, f"the examples in {layer.path}")
        place = PromptTransform(transform, crs, layer_crs, shape, whole=True)
        for geometry, name in zip(frame.geometry, names, strict=True):
            new = _examples(geometry, name, layer.path, place, shape)
            outside += not new
            empty += geometry is None or geometry.is_empty
            found += new
    if not found and empty == outside:
        raise PromptError(
            f"None of the {empty} examples has a geometry: draw them, or choose another layer."
        )
    if not found:
        raise PromptError(
            f"None of the {outside} examples lies on the raster: check the layer and its CRS."
        )
    if outside:
        warn(
            f"{outside} of the examples lie outside the raster or have no geometry: they were "
            "left out."
        )
    found.sort(key=lambda e: (e.class_name, e.kind, shapely.to_wkb(e.geometry)))
    return found


def place_examples(
    shapes: Sequence[tuple[Any, str]], place: PromptTransform, shape: tuple[int, int]
) -> list[Example]:
    """Shapes with their classes as examples; those beside the raster are left out.

    Args:
        shapes: (geometry, class) in the CRS of ``place``; :data:`NONE` for counterexamples.
        place: To the raster's working pixels.
        shape: (height, width) of the raster.
    """
    found = [
        one for geometry, name in shapes for one in _examples(geometry, name, "", place, shape)
    ]
    return sorted(found, key=lambda e: (e.class_name, e.kind, shapely.to_wkb(e.geometry)))


def check_classes(names: Sequence[str]) -> tuple[str, ...]:
    """The classes of examples, sorted, :data:`NONE` last where it is among them.

    Raises:
        PromptError: There is only one.
    """
    known = sorted(set(names) - {NONE})
    if NONE in names:
        known.append(NONE)
    if len(known) < 2:
        only = known[0] if known and known[0] else "none of these"
        raise PromptError(
            f"All examples are of one class ({only}): add some of another class, or of what does "
            f"not belong to it ({option('unlike')})."
        )
    return tuple(known)


def _read(layer: ExampleLayer) -> gpd.GeoDataFrame:
    try:
        frame = open_vector(layer.path, layer.layer, parameter=None).read()
    except ParameterError as error:
        raise PromptError(f"The examples cannot be used: {error.template}") from error
    if frame.empty:
        raise PromptError(f"The layer of examples {layer.path} has no features with geometries.")
    return frame


def _classes(frame: gpd.GeoDataFrame, layer: ExampleLayer) -> list[str]:
    if layer.class_field is None:
        return [layer.class_name] * len(frame)
    if layer.class_field not in frame.columns or layer.class_field == frame.geometry.name:
        known = ", ".join(str(c) for c in frame.columns if c != frame.geometry.name)
        raise ParameterError(
            f"The examples in {layer.path} have no field {layer.class_field!r}: {known or 'none'}."
        )
    return [class_name(value) for value in frame[layer.class_field]]


def class_name(value: Any) -> str:
    """A field's value as the name of a class."""
    text = as_text(value).strip()
    return NONE if text.lower() in NONE_WORDS else text


def _examples(
    geometry: Any, name: str, path: str, place: PromptTransform, shape: tuple[int, int]
) -> list[Example]:
    """A feature's examples, one a part; none where it is empty or beside the raster."""
    if geometry is None or geometry.is_empty:
        return []
    try:
        pixels = shapely.make_valid(place.geometry(shapely.force_2d(geometry)))
    except PromptError:
        return []  # it lies nowhere near the raster
    frame = shapely.box(0, 0, shape[1], shape[0])
    out = []
    parts = [pixels] if pixels.geom_type == "MultiPolygon" else _parts(pixels)
    for part in parts:
        if not shapely.intersects(part, frame):
            continue
        if part.geom_type == "Point":
            out.append(Example(part, "point", name, path))
        elif part.geom_type in ("LineString", "LinearRing"):
            inside = [p for p in _parts(shapely.intersection(part, frame)) if p.length > 0]
            out += [Example(p, "stroke", name, path) for p in inside]
        elif part.area < SMALLEST_OUTLINE:
            out.append(Example(part.representative_point(), "point", name, path))
        else:
            kind: Kind = "box" if _is_box(geometry) else "polygon"
            out.append(Example(part, kind, name, path))
    return out


def _parts(geometry: Any) -> list[Any]:
    """Single parts of a geometry, of the dimension that it is of as a whole."""
    parts = list(shapely.get_parts(shapely.get_parts(geometry)))
    highest = max((shapely.get_dimensions(part) for part in parts), default=0)
    return [part for part in parts if shapely.get_dimensions(part) == highest]


def _is_box(geometry: Any) -> bool:
    """Whether a polygon is a rectangle along the axes of its own CRS, as a box tool draws it."""
    if geometry.geom_type == "MultiPolygon" and len(geometry.geoms) == 1:
        geometry = geometry.geoms[0]  # as a GeoPackage holds it
    if geometry.geom_type != "Polygon" or shapely.get_num_coordinates(geometry) != 5:
        return False
    return bool(shapely.equals(geometry, shapely.box(*geometry.bounds)))
