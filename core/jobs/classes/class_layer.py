# SPDX-License-Identifier: GPL-2.0-or-later
"""A layer of polygons on a raster: placed, with features of its objects, and as it is written."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from ...classes.assign import unlike_all
from ...classes.examples import NONE, Example, class_name
from ...classes.features.object_table import object_table
from ...classes.objects import ClassedObjects, ObjectLayer
from ...classes.rules import Rule, apply_rules
from ...earth.crs import declared_crs
from ...earth.place import RasterPlace
from ...errors import ParameterError, PromptError
from ...layers.reader import say_flattened, say_left_out
from ...layers.writer import LayerWriter
from ...models.base import PromptableModel
from ...notes import warn
from ...prompts.prompts import PromptTransform, crs_on_raster
from ...raster.raster import Raster
from ...sources.vector_input.opening import open_vector
from ...types import GEOMETRY
from ...vectors.geodesic import measure
from ...vectors.schema import (
    CLASS,
    CLASS_PROBABILITY,
    FIELDS,
    Field,
    carried_fields,
    full_names,
)
from .feature_stage import FeatureSource, pool_objects

Tell = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class PlacedLayer:
    """A layer of polygons and where it lies on a raster.

    Args:
        frame: The features with polygons, in their own CRS.
        polygons: (n,) the same in working pixels, valid.
        digest: Of the shapes: another one, other features.
    """

    frame: gpd.GeoDataFrame
    polygons: NDArray[Any]
    digest: str


def place_layer(
    path: str, layer: str | None, raster: Raster, *, may_be_empty: bool = False
) -> PlacedLayer:
    """Read a layer of polygons and bring it to a raster's pixels.

    Raises:
        ParameterError: It cannot be read, or holds no polygon.
    """
    frame = open_vector(path, layer, parameter="input_layer").read()
    good = frame.geometry.notna() & frame.geometry.geom_type.isin(["Polygon", "MultiPolygon"])
    good &= ~frame.geometry.is_empty
    say_left_out(int((~good).sum()), path, "polygon")
    say_flattened(int(shapely.has_z(frame.geometry[good].to_numpy()).sum()), path)
    frame = frame[good].reset_index(drop=True)
    if frame.empty and not may_be_empty:
        raise ParameterError(f"The layer {path} holds no polygons: only those can be classified.")
    crs = declared_crs(frame.crs)
    layer_crs = crs_on_raster(crs, raster.crs, f"the polygons of {path}")
    place = PromptTransform(raster.transform, raster.crs, layer_crs, raster.shape, whole=True)
    shapes: list[Any] = []
    shown = np.ones(len(frame), bool)
    for number, geometry in enumerate(frame.geometry):
        try:
            shapes.append(shapely.make_valid(place.geometry(shapely.force_2d(geometry))))
        except PromptError:
            shown[number] = False
    if not shown.all():
        warn(
            f"{int((~shown).sum())} features of {path} are left out: they lie nowhere that the "
            "raster's coordinate system can show."
        )
        frame = frame[shown].reset_index(drop=True)
    polygons = np.array([*shapes, None], dtype=object)[:-1]
    digest = hashlib.sha256(b"".join(shapely.to_wkb(polygons).tolist())).hexdigest()[:32]
    return PlacedLayer(frame.set_crs(crs, allow_override=True), polygons, digest)


def object_layer(
    raster: Raster,
    placed: PlacedLayer,
    examples: Sequence[Example],
    source: FeatureSource,
    folder: Path,
    executor: Any,
    report: Tell,
    model: PromptableModel,
    judged: bool = False,
    least: float = 0.0,
) -> ObjectLayer:
    """The objects of a layer with their features; polygons drawn as examples join them.

    A drawn polygon that is like an object of the layer means that object; one that is like none is
    an object of its own, at the end.
    """
    score, stability = (_numbers(placed.frame, name) for name in ("score", "stability"))
    drawn = drawn_examples(examples, placed.polygons)
    polygons = np.concatenate([placed.polygons, drawn])
    # Drawn polygons change what is pooled, and with it which sums are still good.
    digest = hashlib.sha256(b"".join(shapely.to_wkb(drawn).tolist())).hexdigest()[:16]
    sums, channels = pool_objects(source, folder / digest, polygons, executor, report)
    unknown = np.full(len(drawn), np.nan)
    score, stability = np.concatenate([score, unknown]), np.concatenate([stability, unknown])
    ground = [_ground(p, raster) for p in drawn]
    crs = None if raster.crs is None else raster.crs.to_wkt()
    area = np.concatenate(
        [measure(list(placed.frame.geometry), placed.frame.crs).area, measure(ground, crs).area]
    )
    table = object_table(sums, channels, model.info.fingerprint, polygons, area, score, stability)
    return ObjectLayer(polygons, table, score, stability, judged, least)


def drawn_examples(examples: Sequence[Example], polygons: NDArray[Any]) -> NDArray[Any]:
    """Polygons drawn as examples that are like no object of the layer."""
    return np.array([*unlike_all(examples, polygons), None], dtype=object)[:-1]


def _ground(polygon: Any, raster: Raster) -> Any:
    a, b, c, d, e, f = raster.transform[:6]
    return shapely.transform(polygon, lambda xy: xy @ np.array([[a, d], [b, e]]) + [c, f])


def _numbers(frame: gpd.GeoDataFrame, name: str) -> NDArray[np.float64]:
    if name not in frame.columns or not pd.api.types.is_numeric_dtype(frame[name].dtype):
        return np.full(len(frame), np.nan)
    return np.asarray(frame[name].to_numpy(np.float64, na_value=np.nan), np.float64)


def with_drawn(
    frame: gpd.GeoDataFrame, objects: ObjectLayer, raster: Raster, model: PromptableModel
) -> gpd.GeoDataFrame:
    """The layer's features, and one for each polygon that was drawn as an example."""
    drawn = objects.polygons[len(frame) :]
    if not len(drawn):
        return frame
    place = _place_in(frame.crs, raster)
    shapes = [shapely.transform(shape, lambda xy: place.to_ground(xy[:, ::-1])) for shape in drawn]
    new = gpd.GeoDataFrame(
        {
            "id": [hashlib.blake2b(s.wkb, digest_size=8).hexdigest() for s in shapes],
            "prompt_type": "polygon",
            "model": model.info.name,
            "source": raster.name,
        },
        geometry=gpd.GeoSeries(shapes, crs=frame.crs),
        crs=frame.crs,
    )
    return gpd.GeoDataFrame(pd.concat([frame, new], ignore_index=True), crs=frame.crs)


def classed_frame(
    frame: gpd.GeoDataFrame, classed: ClassedObjects, *, all_of_them: bool
) -> gpd.GeoDataFrame:
    """Features with their classes; only those of a class, or all of them."""
    names = [name if kept else NONE for name, kept in zip(classed.names, classed.kept, strict=True)]
    frame = frame.assign(
        **{CLASS.name: names, CLASS_PROBABILITY.name: classed.probability.round(3)}
    )
    return frame if all_of_them else frame[classed.kept].reset_index(drop=True)


def ruled(frame: gpd.GeoDataFrame, rules: Sequence[Rule], raster: Raster) -> gpd.GeoDataFrame:
    """Features after post-processing, measured anew."""
    shapes = np.array([*frame.geometry, None], dtype=object)[:-1]
    if rules:
        given = frame[CLASS.name] if CLASS.name in frame else [NONE] * len(frame)
        names = [class_name(value) for value in given]
        pixel, outline = _pixel_in(frame.crs, raster), _outline_in(frame.crs, raster)
        shapes, keep = apply_rules(shapes, names, rules, frame.crs, pixel, outline)
        frame, shapes = frame[keep].reset_index(drop=True), shapes[keep]
        frame = frame.set_geometry(gpd.GeoSeries(shapes, crs=frame.crs, index=frame.index))
    sizes = measure(list(shapes), frame.crs)
    return frame.assign(area_m2=sizes.area.round(3), perimeter_m=sizes.perimeter.round(3))


def _pixel_in(crs: Any, raster: Raster) -> float:
    """Side of a working pixel in the middle of the raster, in the units of a CRS."""
    place = _place_in(crs, raster)
    row, col = raster.height / 2, raster.width / 2
    spots = place.to_ground([(row, col), (row, col + 1), (row + 1, col)])
    right, down = spots[1] - spots[0], spots[2] - spots[0]
    return math.sqrt(abs(float(right[0] * down[1] - right[1] * down[0])))


def _outline_in(crs: Any, raster: Raster) -> Any:
    """The raster's outline in a CRS; None where the CRS cannot show all of it."""
    place = RasterPlace(raster.transform, raster.shape, raster.crs)
    try:
        return _place_in(crs, raster).shape_from_raster(place.frame)
    except PromptError:
        return None


def _place_in(crs: Any, raster: Raster) -> PromptTransform:
    """From a layer's CRS to the raster; where one of them has none, both are of one plane."""
    own = None if raster.crs is None else crs
    return PromptTransform(raster.transform, raster.crs, own, raster.shape)


def carried(
    frame: gpd.GeoDataFrame, said: Sequence[Field] = ()
) -> tuple[tuple[Field, ...], dict[str, str]]:
    """Columns of the output: the layer's own, and those that are said anew.

    Where the layer has all that is said, an earlier run has said it, and the new takes its place.
    Any other column of such a name is the user's own and goes on under another one.

    Returns:
        The columns besides those of every layer, and new names of columns that give way, or that
        a Shapefile has cut: to be used before anything is said.
    """
    cut = full_names(frame)
    frame = frame.rename(columns=cut)
    same = [f.name for f in FIELDS if f.name in frame and f.holds(frame[f.name])]
    anew = {field.name for field in said}
    earlier = anew if anew <= {*frame} else set()
    anew = anew | {"area_m2", "perimeter_m"}
    fields, names = carried_fields(frame.drop(columns=[*same, *earlier]), anew)
    other = [f"{name} is called {new}" for name, new in names.items() if name.lower() in anew]
    if other:
        warn(
            "Fields of the layer have names that the output needs for its own: there "
            f"{', '.join(other)}."
        )
    return (*fields, *said), {**cut, **names}


def write(frame: gpd.GeoDataFrame, writer: LayerWriter) -> int:
    """Write those columns of a frame that the layer has."""
    known = {field.name for field in writer.fields} | {GEOMETRY}
    with writer:
        if len(frame):
            writer.write(frame[[column for column in frame.columns if column in known]])
    return writer.count
