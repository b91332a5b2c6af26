# SPDX-License-Identifier: GPL-2.0-or-later
"""The schema of written layers: names, types, and attributes carried from prompts."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

import geopandas as gpd
import pandas as pd
import pyarrow as pa

from ..types import GEOMETRY

FieldKind = Literal["text", "real", "integer", "boolean", "date", "datetime", "local_datetime"]


@dataclass(frozen=True)
class Field:
    """A column of a layer."""

    name: str
    kind: FieldKind

    def holds(self, values: pd.Series[Any]) -> bool:
        """Whether the column can take values of a table's column as they are."""
        kind = _kind(values)
        return kind == self.kind or self.kind == "text" or (self.kind, kind) == ("real", "integer")


FIELDS = (
    Field("id", "text"),
    Field("score", "real"),
    Field("stability", "real"),
    Field("area_m2", "real"),
    Field("perimeter_m", "real"),
    Field("prompt_id", "text"),
    Field("prompt_type", "text"),
    Field("label", "text"),
    Field("model", "text"),
    Field("source", "text"),
    Field("tiles", "integer"),
    Field("parent_id", "text"),
)
"""What every feature says of itself. ``area_m2`` and ``perimeter_m`` are on the ellipsoid, or in
pixels where the raster has no CRS; ``parent_id`` is empty for objects that lie in no other."""

SHORT_NAMES = {"perimeter_m": "perim_m", "prompt_type": "prompt_typ"}
"""What those of them are called in a Shapefile whose names it cannot hold."""

WIDTH = Field("width_m", "real")
"""Mean width of a road, metres on the ground; only where centre lines are drawn."""

CLASS = Field("class", "text")
"""What an object is; empty for none of the classes. Only where classes were asked for."""

CLASS_PROBABILITY = Field("class_prob", "real")
"""Probability of that class, 0 to 1 in three decimals; 1 where the user has said it."""

LENGTH = Field("length_m", "real")
"""Length of a line, metres on the ground; only where lines are drawn."""

RESERVED = frozenset({"fid", "ogc_fid", GEOMETRY, "geom", "ogr_geometry"})


def full_names(frame: pd.DataFrame) -> dict[str, str]:
    """Short names of :data:`FIELDS` in a layer of ours that was a Shapefile -> their full names.

    Nothing of a layer that lacks one of the fields: its columns have such names by chance.
    """
    short = {SHORT_NAMES.get(field.name, field.name): field for field in FIELDS}
    ours = all(name in frame and field.holds(frame[name]) for name, field in short.items())
    if not ours or any(name in frame for name in SHORT_NAMES):
        return {}
    return {name: full for full, name in SHORT_NAMES.items()}


def carried_fields(
    frame: pd.DataFrame, anew: Collection[str] = ()
) -> tuple[tuple[Field, ...], dict[str, str]]:
    """Fields for the attributes of a prompt layer that the features carry on.

    Args:
        frame: The prompts; a geometry column is left out.
        anew: Names of columns that are said anew of each feature.

    Returns:
        Fields, and for each of the frame's columns its name as a field: names that the schema
        uses itself, in whatever case, get the prefix ``prompt_``, and those said anew ``old_``.
    """
    said = {name.lower() for name in anew}
    taken = {field.name for field in FIELDS} | RESERVED | said
    given = {str(column).lower() for column in frame.columns}
    fields, names = [], {}
    for column in frame.columns:
        values = frame[column]
        if isinstance(values.dtype, gpd.array.GeometryDtype):
            continue
        name = str(column)
        while name.lower() in taken or (name != str(column) and name.lower() in given):
            name = f"{'old' if str(column).lower() in said else 'prompt'}_{name}"
        taken.add(name.lower())
        names[str(column)] = name
        fields.append(Field(name, _kind(values)))
    return tuple(fields), names


def _kind(values: pd.Series[Any]) -> FieldKind:
    if isinstance(values.dtype, pd.ArrowDtype) and pa.types.is_date(values.dtype.pyarrow_dtype):
        return "date"
    if str(values.dtype) in ("uint64", "UInt64"):
        return "text"  # half of them are beyond whole numbers of 64 bits with a sign
    if pd.api.types.is_bool_dtype(values.dtype):
        return "boolean"
    if pd.api.types.is_integer_dtype(values.dtype):
        return "integer"
    if pd.api.types.is_float_dtype(values.dtype):
        return "real"
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        return "datetime"
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        return "local_datetime"  # which instant it is nobody has said
    return "text"
