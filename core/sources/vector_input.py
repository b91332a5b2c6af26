# SPDX-License-Identifier: GPL-2.0-or-later
"""Opening vector layers as inputs: prompts, areas of interest, polygons.

All are opened here, in the same way: QGIS's ``path|layername=...``, GeoParquet, tables with
longitude and latitude, Shapefiles without an index or in another encoding than they say. Where
several layers could be meant, that is said, and one feature that cannot be read is left out rather
than all.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
import shapely
from geopandas.array import GeometryDtype
from pyogrio.util import vsi_path
from pyproj import CRS

from ..earth.crs import declared_crs
from ..earth.geometry import without_empty_parts
from ..errors import ParameterError, RasterError, SamGeoWarning
from ..job import option
from ..types import GEOMETRY
from .gdal import OFFLINE
from .references import is_remote, refuse_remote, server_of

_LONGITUDES = "lon,long,longitude,lng"
_LATITUDES = "lat,latitude"
_TABLES = (".csv", ".tsv", ".txt", ".xlsx", ".ods")

_PARQUET = (".parquet", ".geoparquet")

WITH_GAPS: Mapping[str, Any] = {
    "bool": "boolean",
    "datetime64[D]": pd.ArrowDtype(pa.date32()),
    **{f"int{bits}": f"Int{bits}" for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": f"UInt{bits}" for bits in (8, 16, 32, 64)},
}
"""Types of fields, as NumPy calls them, that it holds without gaps only or not at all, and the
types of pandas that hold the same values and gaps."""

_EXACT = 2.0**53
"""From here on, floats do not hold every whole number."""

_UNREADABLE = (
    ImportError,  # what an address needs that is not installed
    pyogrio.errors.DataSourceError,
    pyogrio.errors.DataLayerError,
    pyogrio.errors.FeatureError,
    pyogrio.errors.FieldError,
    pyogrio.errors.GeometryError,
    pyogrio.errors.CRSError,
    shapely.errors.ShapelyError,
    pa.ArrowException,
    OSError,
    RuntimeError,
    ValueError,
    LookupError,
    TypeError,
    OverflowError,
)
"""What libraries raise for files that are damaged or of another kind than they seem."""


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
    set_aside: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    folder: Any = None

    def read(self, start: int = 0, count: int | None = None) -> gpd.GeoDataFrame:
        """Features as they come, with their ids as the index; those that cannot be read are None.

        Geometries are in the column :data:`~.types.GEOMETRY`. GeoParquet has no ids: there they are
        the rows' numbers, and an index of pandas that the file holds is a field as any other.
        Fields have the types that the file describes, whichever of the features are read: whole
        numbers and truth values may have gaps (pandas' Int64, boolean), dates are no times.

        Args:
            start: Number of the first one.
            count: At most so many; None for all.

        Raises:
            ParameterError: The file is damaged.
        """
        with _readable(self.name), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            frame = self._frame(start, count)
        if not isinstance(frame, gpd.GeoDataFrame):
            raise ParameterError(f"{self.name} has no geometries: choose another layer or file.")
        shapes = [_sane(shape) for shape in frame.geometry]
        if any(new is not old for new, old in zip(shapes, frame.geometry, strict=True)):
            frame[GEOMETRY] = gpd.GeoSeries(shapes, index=frame.index, crs=frame.crs)
        return frame.set_crs(self.crs, allow_override=True)

    def _frame(self, start: int, count: int | None) -> Any:
        if not self.path.lower().endswith(_PARQUET):
            return self._with_kinds(self._from_gdal(start, count), start, count)
        whole = self._from_parquet() if count is None else self._kept
        return whole.iloc[start : None if count is None else start + count].copy()

    @cached_property
    def _kept(self) -> Any:
        """All features of a GeoParquet file, for batches: reading a few takes as long as all."""
        return self._from_parquet()

    def _from_parquet(self) -> Any:
        frame = _with_index_as_fields(gpd.read_parquet(self.path), _schema(self.path))
        shapes = [n for n, kind in frame.dtypes.items() if isinstance(kind, GeometryDtype)]
        fields = pd.DataFrame(frame.drop(columns=shapes)).rename(columns={GEOMETRY: self.set_aside})
        placed = gpd.GeoDataFrame(fields, geometry=frame.geometry.array, crs=frame.crs)
        return self._with_kinds(placed, 0, None)

    def _from_gdal(self, start: int, count: int | None) -> Any:
        wanted = {"skip_features": start, "max_features": count, **self.options}
        frame = self._read_dataframe(**wanted)
        if self.set_aside is not None:
            fields = self._read_dataframe(columns=[GEOMETRY], read_geometry=False, **wanted)
            frame[self.set_aside] = fields[GEOMETRY].array
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

    def _columns(self, names: list[str], start: int, count: int | None) -> pa.Table:
        """Some fields without any rounding."""
        names = [GEOMETRY if name == self.set_aside else name for name in names]
        if self.path.lower().endswith(_PARQUET):
            table = pq.read_table(self.path, columns=names).slice(start, count)
        else:
            wanted = {"skip_features": start, "max_features": count, **self.options}
            _, table = pyogrio.read_arrow(
                self.path, layer=self.layer, columns=names, read_geometry=False, **wanted
            )
        return table.rename_columns(
            [self.set_aside if name == GEOMETRY else name for name in table.column_names]
        )


def _schema(path: str) -> pa.Schema:
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
    """A field's value as text; "" where it is missing. Whole numbers have no decimals."""
    if value is None or (pd.api.types.is_scalar(value) and pd.isna(value)):
        return ""
    # Programs write whole numbers as floats; a class of 17 must not become "17.0".
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value)


def _sane(shape: Any) -> Any:
    """A geometry without empty parts; None where a coordinate is not a number (GEOS fails)."""
    if shape is None or not np.isfinite(shapely.get_coordinates(shape)).all():
        return None
    return without_empty_parts(shape)


class _WholePath(str):
    """A path that pyogrio hands to GDAL as it is."""

    __slots__ = ()

    def __str__(self) -> str:
        return self

    def startswith(self, prefix: Any, *span: Any) -> bool:
        return prefix == "/vsi" or super().startswith(prefix, *span)


def misread_by_pyogrio(path: str | Path) -> bool:
    """Whether pyogrio takes a path of this machine for another one.

    It reads names as addresses: "!" ends an archive's name, and ";" the whole name.
    """
    text = str(path)
    if "://" in text or text.startswith("/vsi"):
        return False
    return vsi_path(text) not in (text, f"/vsizip/{text}")


def for_pyogrio(path: str | Path) -> str:
    """A name for pyogrio's functions that read; what is in a path of this machine stays as it is.

    For those that write, see ``layers/formats.py``.
    """
    text = str(path)
    return _WholePath(text) if misread_by_pyogrio(text) else text


def check_offline(path: str) -> None:
    """Refuse a vector file that leads to a server, as an OGR VRT can.

    Raises:
        ParameterError: It does.
    """
    if is_remote(path):
        return  # asked for by name
    try:
        refuse_remote(path)
    except RasterError as error:
        reason = str(error).partition(", unless you allow it")[0].partition(": this is not done")[0]
        raise ParameterError(
            f"{reason}. Save the layer that you mean as a file of this machine first."
        ) from error
    address = _address_of_crs(path)
    if address is not None:
        raise ParameterError(
            f"{path} says that its coordinate system is described at {server_of(address)}: nothing "
            "is fetched from the network because a file says so. Save the layer with a known "
            "coordinate system first."
        )


def _address_of_crs(path: str) -> str | None:
    """Where a GeoJSON of the version of 2008 says that its CRS can be read; GDAL would ask there.

    The member stands before the features or after them.
    """
    try:
        with open(path, "rb") as file:
            text = file.read(_LOOK)
            if not text.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
                return None
            size = os.fstat(file.fileno()).st_size
            if size > _LOOK:
                file.seek(max(_LOOK, size - _LOOK))
                text += file.read()
    except OSError:
        return None  # opening it says what is the matter
    for found in _CRS_MEMBER.finditer(text):
        address = found[1].decode("utf-8", "replace").replace("\\/", "/")
        if is_remote(address) and "//www.opengis.net/" not in address:
            return address
    return None


_LOOK = 1 << 16
"""Bytes at either end of a GeoJSON in which its CRS is looked for."""

_CRS_MEMBER = re.compile(
    rb'"crs"\s*:\s*\{[^{}]*\{[^{}]*"(?:href|url|name)"\s*:\s*"([^"]*)"', re.IGNORECASE
)


def open_vector(
    source: str | Path, layer: str | None = None, *, parameter: str | None
) -> VectorInput:
    """Find the layer to read in a file.

    Args:
        source: Path, with QGIS's ``|layername=...`` if need be.
        layer: Name of the layer.
        parameter: Field of a job's parameters that names the layer, for messages; None where it
            can be named only in the source.

    Raises:
        ParameterError: There is no such file or layer, it cannot be read, or it is no path.
    """
    if not isinstance(source, (str, Path)):
        raise ParameterError(
            f"A layer is named by the path of its file here, not by {type(source).__name__}: save "
            "it first."
        )
    given = str(source)
    path, layer, options = parts_of(given, layer)
    there = Path(path).exists() or "://" in path or path.startswith("/vsi")
    if not there:
        raise ParameterError(f"{given} cannot be read: there is no such file; check the path.")
    check_offline(path)
    path = for_pyogrio(path)
    opened = VectorInput(given, path, layer, options=options)
    if path.lower().endswith(_PARQUET):
        if "where" in options:
            raise ParameterError(
                f"{given}: a filter of GeoParquet is not applied here: save the features that you "
                "mean as a file of their own."
            )
        return _described_parquet(opened)
    if path.lower().endswith(".shp") and _lacks_index(Path(path)):
        opened = _copied_with_index(opened)
    with _readable(given):
        layers = {str(name): kind for name, kind in pyogrio.list_layers(opened.path)}
    opened = replace(opened, layer=_chosen(opened, layers, parameter))
    if path.lower().endswith(_TABLES) and layers.get(opened.layer or "") is None:
        opened = replace(
            opened,
            options={
                **options,
                "X_POSSIBLE_NAMES": _LONGITUDES,
                "Y_POSSIBLE_NAMES": _LATITUDES,
                "GEOM_POSSIBLE_NAMES": "wkt,geom,geometry",
            },
        )
    return _described(opened)


def parts_of(source: str, layer: str | None) -> tuple[str, str | None, dict[str, Any]]:
    """Path, layer and GDAL's options of QGIS's ``path|layername=...|subset=...``."""
    options: dict[str, Any] = {}
    if "|" not in source or Path(source).exists():
        return source, layer, options
    path, *facts = source.split("|")
    for position, fact in enumerate(facts):
        name, _, value = fact.partition("=")
        if name.lower() == "layername":
            layer = layer or value
        elif name.lower() == "layerid" and layer is None and value.isdigit():
            with _readable(path):
                names = [str(known) for known, _ in pyogrio.list_layers(for_pyogrio(path))]
            layer = names[int(value)] if int(value) < len(names) else value
        elif name.lower() == "subset":
            options["where"] = "|".join([value, *facts[position + 1 :]])
            break
    return path, layer, options


def _chosen(opened: VectorInput, layers: Mapping[str, Any], parameter: str | None) -> str | None:
    """The layer that is named, or the first that has features with geometries."""
    names = list(layers)
    if opened.layer is not None:
        if opened.layer not in layers:
            raise ParameterError(
                f"{opened.name} has no layer {opened.layer!r}; it has {', '.join(names)}."
            )
        return opened.layer
    if len(names) <= 1:
        return names[0] if names else None
    drawn = [name for name, kind in layers.items() if kind is not None]
    if len(drawn) > 1:
        with _readable(opened.name):
            drawn = [name for name in drawn if _count(opened.path, name)] or drawn
    if len(drawn) != 1:
        shown = ", ".join((drawn or names)[:8]) + (" ..." if len(drawn or names) > 8 else "")
        how = f"with {option(parameter)}" if parameter else f"as {opened.path}|layername=NAME"
        _say(
            f"{opened.name} has several layers ({shown}): the first one is taken; name another "
            f"{how}."
        )
    return (drawn or names)[0]


def _count(path: str, layer: str) -> int:
    return int(pyogrio.read_info(path, layer=layer, force_feature_count=True)["features"])


def _described(opened: VectorInput) -> VectorInput:
    extra = {k: v for k, v in opened.options.items() if k != "where"}
    with _readable(opened.name), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            info = pyogrio.read_info(
                opened.path, layer=opened.layer, force_feature_count=True, **extra
            )
        except UnicodeDecodeError:
            info = pyogrio.read_info(
                opened.path,
                layer=opened.layer,
                force_feature_count=True,
                encoding="ISO-8859-1",
                **extra,
            )
        crs = declared_crs(info["crs"])
    found = replace(
        opened,
        crs=crs,
        features=int(info["features"]),
        geometry=str(info["geometry_type"] or "Unknown"),
        kinds=dict(zip(map(str, info["fields"]), map(str, info["dtypes"]), strict=True)),
    )
    if "X_POSSIBLE_NAMES" not in opened.options:
        return _with_field_set_aside(found)
    # In a table, a field of that name holds the geometries.
    if crs is None and _has_degrees(info["fields"]):
        _say(f"{opened.name}: its longitudes and latitudes are taken to be WGS 84.")
        return replace(found, crs=CRS.from_epsg(4326))
    return found


def _with_field_set_aside(opened: VectorInput) -> VectorInput:
    """Another name for a field that is called as the column of geometries."""
    if GEOMETRY not in opened.kinds:
        return opened
    name = GEOMETRY
    while name in opened.kinds:
        name += "_"
    _say(
        f"The field {GEOMETRY} of {opened.name} is called {name} here and in outputs, where "
        f"{GEOMETRY} holds the shapes."
    )
    kinds = {name if given == GEOMETRY else given: kind for given, kind in opened.kinds.items()}
    return replace(opened, kinds=kinds, set_aside=name)


def _has_degrees(names: Any) -> bool:
    known = {str(name).lower() for name in names}
    return bool(known & set(_LONGITUDES.split(","))) and bool(known & set(_LATITUDES.split(",")))


def _described_parquet(opened: VectorInput) -> VectorInput:
    with _readable(opened.name):
        frame = gpd.read_parquet(opened.path)
        crs = declared_crs(frame.crs)
        schema = _schema(opened.path)
    shapes = [str(n) for n, kind in frame.dtypes.items() if isinstance(kind, GeometryDtype)]
    if len(shapes) > 1:
        _say(
            f"{opened.name} has several geometries of each feature ({', '.join(shapes)}): only "
            f"{frame.geometry.name} is used, and the others go into no output."
        )
    kinds = {
        name: "datetime64[D]" if pa.types.is_date(kind) else str(kind)
        for name, kind in zip(schema.names, schema.types, strict=True)
        if name not in shapes
    }
    name = Path(opened.path).stem  # as GDAL names it
    described = replace(opened, layer=name, crs=crs, features=len(frame), kinds=kinds)
    return _with_field_set_aside(described)


_BESIDE_SHP = (".shp", ".shx", ".dbf", ".prj", ".cpg")
"""Files of a Shapefile that say what it holds."""


def _lacks_index(path: Path) -> bool:
    """Whether GDAL finds no index beside a Shapefile of this machine.

    It looks for small letters and for capitals, and reads no ``.Shp``.
    """
    if not path.exists():  # in an archive, or on a server
        return False
    spellings = [path.with_suffix(suffix) for suffix in (".shx", ".SHX")]
    return path.suffix not in (".shp", ".SHP") or not any(map(Path.exists, spellings))


def _copied_with_index(opened: VectorInput) -> VectorInput:
    """A copy of a Shapefile in small letters; GDAL may write the index that is missing."""
    path = Path(opened.path)
    folder = tempfile.TemporaryDirectory(prefix="samgeo-")
    copy = Path(folder.name) / f"{path.stem}.shp"
    with _readable(opened.name):
        for part in sorted(path.parent.iterdir()):
            suffix = part.suffix.lower()
            if part.stem == path.stem and suffix in _BESIDE_SHP:
                shutil.copyfile(part, copy.with_suffix(suffix))
        name = "SHAPE_RESTORE_SHX"
        before = pyogrio.get_gdal_config_option(name)
        pyogrio.set_gdal_config_options({name: True})
        try:
            pyogrio.read_info(for_pyogrio(copy))
        finally:
            pyogrio.set_gdal_config_options({name: before})
    return replace(opened, path=for_pyogrio(copy), folder=folder)


def _say(text: str) -> None:
    warnings.warn(text, SamGeoWarning, stacklevel=3)


@contextmanager
def _readable(name: str) -> Iterator[None]:
    """Errors of reading as one sentence; no server is reached, unless it is asked for by name."""
    before: dict[str, Any] = {}
    if not is_remote(name):
        before = {setting: pyogrio.get_gdal_config_option(setting) for setting in OFFLINE}
        pyogrio.set_gdal_config_options(OFFLINE)
    try:
        yield
    except ParameterError:
        raise
    except _UNREADABLE as error:
        reason = str(error).strip().splitlines()[0][:300] if str(error).strip() else "damaged"
        raise ParameterError(
            f"{name} cannot be read as a vector layer ({reason}): choose another layer or file."
        ) from error
    finally:
        pyogrio.set_gdal_config_options(before)
