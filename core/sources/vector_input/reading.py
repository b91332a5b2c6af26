# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading the features of a layer that was opened, with the types that its file describes.

One feature that cannot be read is left out rather than all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
import shapely
from geopandas.array import GeometryDtype
from pyproj import CRS

from ...earth.geometry import without_empty_parts
from ...earth.longitude import the_short_way
from ...errors import ParameterError
from ...notes import silenced
from ...types import GEOMETRY
from .guards import readable

PARQUET = (".parquet", ".geoparquet")

WITH_GAPS: Mapping[str, Any] = {
    "bool": "boolean",
    "datetime64[D]": pd.ArrowDtype(pa.date32()),
    **{f"int{bits}": f"Int{bits}" for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": f"UInt{bits}" for bits in (8, 16, 32, 64)},
}
"""Types of fields, as NumPy calls them, that it holds without gaps only or not at all, and the
types of pandas that hold the same values and gaps."""

NESTED = (dict, list, tuple, np.ndarray)
"""Types of values that hold several values."""

_EXACT = 2.0**53
"""From here on, floats do not hold every whole number."""


@dataclass(frozen=True, eq=False)
class VectorInput:
    """One layer of a file that can be read, in batches.

    Args:
        name: As it was given, for messages.
        path: To open it by.
        layer: Its name in the file, that of the file for GeoParquet; None where it has none.
        crs: Its CRS, or None.
        features: How many it has.
        geometry: Type as GDAL names it, "Unknown" for mixed ones.
        kinds: Types of its fields, as NumPy calls them.
        lists: Those of its fields that hold lists of truth values: NumPy, which pyogrio reads into,
            has no type for them.
        set_aside: What a field that is called as the column of geometries is called instead.
        options: For GDAL.
        folder: A copy that was made to read it; lives as long as this.
    """

    name: str
    path: str
    layer: str | None = None
    crs: CRS | None = None
    features: int = 0
    geometry: str = "Unknown"
    kinds: Mapping[str, str] = field(default_factory=dict)
    lists: Sequence[str] = ()
    set_aside: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    folder: Any = None

    def read(self, start: int = 0, count: int | None = None) -> gpd.GeoDataFrame:
        """Features as they come, with their ids as the index; those that cannot be read are None.

        Geometries are in the column :data:`~.types.GEOMETRY`; what crosses itself only because its
        edges lead the long way round the Earth goes the short way. GeoParquet has no ids: there
        they are the rows' numbers, and an index of pandas that the file holds is a field as any
        other. Fields have the types that the file describes, whichever of the features are read:
        whole numbers and truth values may have gaps (pandas' Int64, boolean), dates are no times.

        Args:
            start: Number of the first one.
            count: At most so many; None for all.

        Raises:
            ParameterError: The file is damaged.
        """
        with readable(self.name), silenced():
            frame = self._frame(start, count)
        if not isinstance(frame, gpd.GeoDataFrame):
            raise ParameterError(f"{self.name} has no geometries: {self._what_is_needed}.")
        sane = np.array([*map(_sane, frame.geometry), None], dtype=object)[:-1]
        shapes = the_short_way(sane, self.crs)
        if any(new is not old for new, old in zip(shapes, frame.geometry, strict=True)):
            frame[GEOMETRY] = gpd.GeoSeries(shapes, index=frame.index, crs=frame.crs)
        return frame.set_crs(self.crs, allow_override=True)

    @property
    def _what_is_needed(self) -> str:
        if "X_POSSIBLE_NAMES" not in self.options:
            return "choose another layer or file"
        return (
            "a table needs columns of longitudes and latitudes in degrees (lon, lat), or one of "
            "shapes as WKT (wkt, geom). If it has others, open it in QGIS with those columns and "
            "their coordinate system, and save it as a GeoPackage"
        )

    def _frame(self, start: int, count: int | None) -> Any:
        if not self.path.lower().endswith(PARQUET):
            return self._with_kinds(self._from_gdal(start, count), start, count)
        whole = self._from_parquet() if count is None else self._kept
        return whole.iloc[start : None if count is None else start + count].copy()

    @cached_property
    def _kept(self) -> Any:
        """All features of a GeoParquet file, for batches: reading a few takes as long as all."""
        return self._from_parquet()

    def _from_parquet(self) -> Any:
        frame = _with_index_as_fields(gpd.read_parquet(self.path), schema_of(self.path))
        shapes = [n for n, kind in frame.dtypes.items() if isinstance(kind, GeometryDtype)]
        fields = pd.DataFrame(frame.drop(columns=shapes)).rename(columns={GEOMETRY: self.set_aside})
        placed = gpd.GeoDataFrame(fields, geometry=frame.geometry.array, crs=frame.crs)
        return self._with_kinds(placed, 0, None)

    def _from_gdal(self, start: int, count: int | None) -> Any:
        wanted = {"skip_features": start, "max_features": count, **self.options}
        apart = {self.set_aside, *self.lists}
        plain = [name for name in self.kinds if name not in apart] if self.lists else None
        frame = self._read_dataframe(columns=plain, **wanted)
        if self.set_aside is not None and self.set_aside not in self.lists:
            fields = self._read_dataframe(columns=[GEOMETRY], read_geometry=False, **wanted)
            frame[self.set_aside] = fields[GEOMETRY].array
        if self.lists:
            read = self._columns(self.lists, start, count)
            for name in self.lists:
                values = pd.Series(read[name].to_pylist(), frame.index, dtype=object)
                frame.insert(list(self.kinds).index(name), name, values)
        return frame

    def _read_dataframe(self, **wanted: Any) -> Any:
        settings = {"layer": self.layer, "fid_as_index": True, "on_invalid": "ignore", **wanted}
        try:
            return pyogrio.read_dataframe(self.path, **settings)
        except UnicodeDecodeError:
            return pyogrio.read_dataframe(self.path, encoding="ISO-8859-1", **settings)

    def _with_kinds(self, frame: Any, start: int, count: int | None) -> Any:
        """Fields of the types that the file describes: a gap has made floats of some."""
        kinds = {
            name: WITH_GAPS[kind]
            for name, kind in self.kinds.items()
            if kind in WITH_GAPS and name in frame.columns
        }
        floats = [name for name in kinds if pd.api.types.is_float_dtype(frame[name].dtype)]
        rounded = [name for name in floats if frame[name].abs().max() >= _EXACT]
        again = self._columns(rounded, start, count) if rounded else None
        for name, kind in kinds.items():
            values = again[name].to_pylist() if again and name in rounded else frame[name]
            frame[name] = pd.Series(values, frame.index, dtype=kind)
        return frame

    def _columns(self, names: Sequence[str], start: int, count: int | None) -> pa.Table:
        """Some fields without any rounding."""
        names = [GEOMETRY if name == self.set_aside else name for name in names]
        if self.path.lower().endswith(PARQUET):
            table = pq.read_table(self.path, columns=names).slice(start, count)
        else:
            wanted = {"skip_features": start, "max_features": count, **self.options}
            _, table = pyogrio.read_arrow(
                self.path, layer=self.layer, columns=names, read_geometry=False, **wanted
            )
        return table.rename_columns(
            [self.set_aside if name == GEOMETRY else name for name in table.column_names]
        )


def schema_of(path: str) -> pa.Schema:
    """Columns of GeoParquet: of a file, or of a folder of parts."""
    return pq.ParquetDataset(path).schema


def _with_index_as_fields(frame: gpd.GeoDataFrame, schema: pa.Schema) -> gpd.GeoDataFrame:
    """Features as they are in the file, where pandas made some of its columns their index."""
    index = [
        each["name"] if isinstance(each, dict) else each  # a range is no column, but has a name
        for each in (schema.pandas_metadata or {}).get("index_columns", [])
        if isinstance(each, dict) or each in schema.names
    ]
    if not index or None in index or {*index} & {*frame.columns}:
        return frame.reset_index(drop=True)
    return frame.reset_index(names=index)


def as_text(value: Any) -> str:
    """A field's value as text; "" where it is missing. Whole numbers have no decimals.

    Lists and objects are JSON, as a GeoPackage holds them.
    """
    if value is None or (pd.api.types.is_scalar(value) and pd.isna(value)):
        return ""
    # Programs write whole numbers as floats; a class of 17 must not become "17.0".
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    if isinstance(value, NESTED):
        return json.dumps(_as_json(value), ensure_ascii=False)
    return str(value)


def _as_json(value: Any) -> Any:
    """A value as JSON knows it: None for what is missing or no number, texts for dates and such."""
    if isinstance(value, dict):
        return {str(key): _as_json(each) for key, each in value.items()}
    if isinstance(value, np.ndarray) and not value.ndim:
        value = value[()]
    if isinstance(value, NESTED):
        return [*map(_as_json, value)]
    if isinstance(value, (np.bool_, np.number)) and not isinstance(value, np.timedelta64):
        value = value.item()
    if value is None or pd.isna(value) or value in (np.inf, -np.inf):
        return None
    return value if isinstance(value, (bool, int, float, str)) else str(value)


def _sane(shape: Any) -> Any:
    """A geometry without empty parts; None where a coordinate is not a number (GEOS fails)."""
    if shape is None or not np.isfinite(shapely.get_coordinates(shape)).all():
        return None
    return without_empty_parts(shape)
