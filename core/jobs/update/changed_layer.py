# SPDX-License-Identifier: GPL-2.0-or-later
"""What became of old polygons, as the features that are written, and as edits of the old layer."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from pyproj import CRS

from ...changes.common_shift import MOVES_LAYER
from ...changes.compare import CONFIRMED, GONE, MERGED, MOVED, NEW, RESHAPED, UNSEEN, Changes
from ...changes.evidence import Floats, Shapes
from ...changes.measures import stood_on
from ...earth.crs import same_crs
from ...earth.longitude import beyond_map, in_one_piece, next_to, sound, within_map
from ...earth.reproject import Reprojection
from ...job import UpdateParameters
from ...layers.geopackage_edit import Edits
from ...layers.reader import VectorLayer
from ...raster.raster import Raster
from ...vectors.equal_area_plane import EqualAreaPlane
from ...vectors.geodesic import measure
from ...vectors.schema import Field
from .gather_evidence import Gathered

UPDATE_FIELDS = (
    Field("old_id", "text"),
    Field("old_fid", "integer"),
    Field("old_layer", "text"),
    Field("status", "text"),
    Field("probability", "real"),
    Field("shift_m", "real"),
    Field("own_shift_m", "real"),
    Field("iou", "real"),
    Field("with_ids", "text"),
    Field("review", "text"),
)
"""Columns of the layer besides those that every layer has. ``status`` is what became of a polygon,
and ``review`` is empty, for whoever accepts or rejects that. ``shift_m`` is the whole way to what
stands there now, ``own_shift_m`` what is left of it without the shift of the whole layer."""


def changed_frame(
    params: UpdateParameters,
    layer: VectorLayer,
    names: dict[str, str],
    plane: EqualAreaPlane,
    raster: Raster,
    gathered: Gathered,
    changes: Changes,
    layer_name: str,
) -> gpd.GeoDataFrame:
    """One feature for each old polygon, in the layer's order, and one for each new object.

    Fields of the layer get their new ``names`` before anything is said of the polygons.

    Returns:
        Geometries in the layer's CRS: what stands there now; the old outline, moved by as much as
        the polygon moved, where the shape is the same; the old outline where it is gone. Of a
        polygon of several parts, each one by itself.
    """
    common = np.array([gathered.shift.east, gathered.shift.north])
    change = changes.status.astype(object).copy()
    shifted = bool(np.hypot(*common) >= max(MOVES_LAYER, raster.ground_pixel))
    if shifted:
        change[change == CONFIRMED] = MOVED  # with the whole layer, not by itself
    own = np.where((changes.status == MOVED)[:, None], changes.way, 0.0)
    seen = (changes.status != UNSEEN)[:, None]
    with_all = common if shifted else np.zeros(2)
    by = np.where(seen, with_all + own, 0.0)
    kept = np.isin(changes.status, (CONFIRMED, MOVED, UNSEEN, GONE))
    before, shapes = in_one_piece(layer.shapes, layer.crs), layer.shapes.copy()
    moved = kept & (np.abs(by).max(axis=1) > 0) & (changes.status != GONE)
    shapes[moved] = plane.moved(before[moved], layer.crs, by[moved])
    several = np.isin(changes.status, (MOVED, RESHAPED))
    several &= shapely.get_num_geometries(before) > 1
    redrawn = np.flatnonzero(~kept | several)
    drawn = [_drawn(number, gathered, changes) for number in redrawn.tolist()]
    ground = _in_layer(np.array([*drawn, None], dtype=object)[:-1], layer, raster)
    middles = shapely.bounds(before)[:, [0, 2]].mean(axis=1)
    shapes[redrawn] = next_to(ground, middles[redrawn], layer.crs)
    for number in np.flatnonzero(several).tolist():
        # One object was found: what else the polygon has stays, moved as the whole layer is.
        parts = shapely.get_parts(before[number])
        at = plane.moved(parts, layer.crs, np.tile(with_all, (len(parts), 1)))
        found = stood_on(at, shapes[number])
        if number in changes.kept:  # the others are gone
            shapes[number] = _together(at[found])
        elif changes.status[number] == MOVED:
            at[found] = plane.moved(parts, layer.crs, np.tile(by[number], (len(parts), 1)))[found]
            shapes[number] = _together(at)
        else:
            rest = shapely.union_all([sound(part) for part in at[~found]])
            shapes[number] = shapely.union(sound(shapes[number]), rest)
    new = _in_layer(gathered.candidates[changes.new], layer, raster)
    new = next_to(new, np.median(middles), layer.crs)
    if not beyond_map(layer.shapes, layer.crs).any():
        written = np.union1d(np.flatnonzero(moved), redrawn)
        shapes[written] = within_map(shapes[written], layer.crs)
        new = within_map(new, layer.crs)
    way = np.where((changes.status == GONE)[:, None] | ~seen, np.nan, changes.way)
    ids = old_ids(params, layer)
    old = (
        pd.DataFrame(layer.attributes)
        .reset_index(drop=True)
        .rename(columns=names)
        .assign(
            old_id=ids,
            old_fid=_numbers(layer),
            old_layer=f"{_absolute(params.input)}|layername={layer_name}",
            status=change,
            probability=changes.probability.round(3),
            shift_m=np.hypot(*(way + common).T).round(3),
            own_shift_m=np.hypot(*way.T).round(3),
            iou=np.where(change == GONE, 0.0, _overlap(layer, plane, shapes)).round(3),
            with_ids=[
                ",".join(ids[other] for other in changes.partners.get(number, []))
                for number in range(len(layer))
            ],
        )
    )
    added = pd.DataFrame(
        {"status": NEW, "probability": changes.new_probability.round(3)},
        index=range(len(new)),
    )
    table = pd.concat([old, added], ignore_index=True)
    everything = np.concatenate([shapes, new])
    sizes = measure(list(everything), layer.crs)
    table = table.assign(
        id=[
            hashlib.blake2b(shapely.to_wkb(shape) + str(name).encode(), digest_size=8).hexdigest()
            for shape, name in zip(everything, table["old_id"], strict=True)
        ],
        source=raster.name,
        model=params.model,
        area_m2=sizes.area.round(3),
        perimeter_m=sizes.perimeter.round(3),
        review="",
    )
    return gpd.GeoDataFrame(table, geometry=gpd.GeoSeries(list(everything), crs=layer.crs))


def before_frame(
    params: UpdateParameters, layer: VectorLayer, names: dict[str, str]
) -> gpd.GeoDataFrame:
    """The old polygons as they were."""
    table = pd.DataFrame(layer.attributes).reset_index(drop=True).rename(columns=names)
    table = table.assign(old_id=old_ids(params, layer), old_fid=_numbers(layer))
    shapes = gpd.GeoSeries(list(layer.shapes), crs=layer.crs)
    return gpd.GeoDataFrame(table, geometry=shapes)


def old_ids(params: UpdateParameters, layer: VectorLayer) -> list[str]:
    """The names of old polygons: a field's values, or their feature ids.

    Where the field is empty, as it is for features that an earlier run added, the name is made of
    the feature id, and is none that the field has.
    """
    fids = [str(value) for value in layer.attributes.index]
    if params.id_field is None:
        return fids
    names = layer.texts(params.id_field)
    given = set(names)
    for number, fid in enumerate(fids):
        if not names[number].strip():
            name = f"fid {fid}"
            while name in given:
                name = f"fid {name}"
            names[number] = name
    return names


def changed_rows(params: UpdateParameters, layer: VectorLayer, frame: gpd.GeoDataFrame) -> Edits:
    """What is to be changed in the old layer so that it is as the frame says.

    Polygons that merged become one feature, the first of them; the others are deleted.
    """
    old = frame.iloc[: len(layer)]
    change = old["status"].to_numpy(dtype=object)
    redrawn = ~np.isin(change, (CONFIRMED, GONE, UNSEEN))
    deleted = change == GONE
    first: dict[bytes, int] = {}
    for number in np.flatnonzero(change == MERGED).tolist():
        if first.setdefault(old.geometry.iloc[number].wkb, number) != number:
            redrawn[number], deleted[number] = False, True
    fids = _numbers(layer)
    return Edits(
        redrawn=dict(
            zip(
                map(int, fids[redrawn]),
                np.asarray(old.geometry.array, dtype=object)[redrawn].tolist(),
                strict=True,
            )
        ),
        deleted=tuple(map(int, fids[deleted])),
        added=tuple(frame.geometry.iloc[len(layer) :]),
        seen={
            int(fid): shape
            for fid, shape, touched in zip(fids, layer.shapes, redrawn | deleted, strict=True)
            if touched
        },
    )


def _absolute(path: str) -> str:
    """A layer's path as another program finds it."""
    file = path.partition("|")[0]
    return file if "://" in file else str(Path(file).absolute())


def _numbers(layer: VectorLayer) -> np.ndarray:
    """Feature ids, or row numbers where a file has none."""
    index = layer.attributes.index
    values = np.asarray(index)
    return (
        values.astype(np.int64)
        if np.issubdtype(values.dtype, np.integer)
        else np.arange(len(index))
    )


def _together(parts: Shapes) -> Any:
    """Parts as one shape; their vertices stay what they are unless parts overlap."""
    whole = shapely.multipolygons(shapely.get_parts(parts))
    return whole if shapely.is_valid(whole) else shapely.union_all([*map(sound, parts)])


def _drawn(number: int, gathered: Gathered, changes: Changes) -> Any:
    """What stands at an old polygon, in the raster's CRS."""
    several = changes.pieces.get(number) or changes.kept.get(number)
    if several:
        return shapely.union_all(gathered.candidates[several])
    source = int(changes.source[number])
    return gathered.answers[number] if source < 0 else gathered.candidates[source]


def _in_layer(shapes: Shapes, layer: VectorLayer, raster: Raster) -> Shapes:
    """Shapes of the raster's CRS in that of the layer, each in one piece."""
    if not len(shapes) or raster.crs is None or layer.crs is None:
        return shapes
    crs = CRS.from_user_input(raster.crs.to_wkt())
    if same_crs(crs, layer.crs):
        return shapes
    way = Reprojection(crs, layer.crs, tolerance=0.02 * raster.ground_pixel)
    return in_one_piece(way(shapes, layer.name), layer.crs)


def _overlap(layer: VectorLayer, plane: EqualAreaPlane, shapes: Shapes) -> Floats:
    """(n,) IoU of the old polygons, as they are in the layer, and what is there now."""
    from ...changes.evidence import iou

    old, now = (
        shapely.make_valid(plane.place(each, layer.crs, layer.name))
        for each in (layer.shapes, shapes)
    )
    return iou(old, now)
