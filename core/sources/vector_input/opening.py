# SPDX-License-Identifier: GPL-2.0-or-later
"""Finding the layer to read in a file: which one is meant, its CRS, fields and kind of geometry.

All are opened here, in the same way: QGIS's ``path|layername=...``, GeoParquet, tables with
longitude and latitude, Shapefiles without an index or in another encoding than they say. Where
several layers could be meant, that is said.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import pyarrow as pa
import pyogrio
from geopandas.array import GeometryDtype
from pyproj import CRS

from ...earth.crs import declared_crs
from ...errors import ParameterError
from ...job import option
from ...notes import silenced, warn
from ...types import GEOMETRY
from .archives import in_archive
from .guards import check_offline, readable
from .paths import for_pyogrio, parts_of
from .reading import PARQUET, VectorInput, schema_of

_LONGITUDES = "lon,long,longitude,lng"
_LATITUDES = "lat,latitude"
_SHAPES = "wkt,geom,geometry,wkt_geom,the_geom"
_TABLES = (".csv", ".tsv", ".txt", ".xlsx", ".ods")


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
    packed, path = path, in_archive(path, layer)
    if path != packed:
        check_offline(path)
    roll_back(path)
    path = for_pyogrio(path)
    opened = VectorInput(given, path, layer, options=options)
    if path.lower().endswith(PARQUET):
        if "where" in options:
            raise ParameterError(
                f"{given}: a filter of GeoParquet is not applied here: save the features that you "
                "mean as a file of their own."
            )
        return _described_parquet(opened)
    if path.lower().endswith(".shp") and _lacks_index(Path(path)):
        opened = _copied_with_index(opened)
    with readable(given), silenced():
        layers = {str(name): kind for name, kind in pyogrio.list_layers(opened.path)}
    if not layers:
        raise ParameterError(f"{given} has no layers: choose another file.")
    opened = replace(opened, layer=_chosen(opened, layers, parameter))
    if path.lower().endswith(_TABLES) and layers.get(opened.layer or "") is None:
        opened = replace(
            opened,
            options={
                **options,
                "X_POSSIBLE_NAMES": _LONGITUDES,
                "Y_POSSIBLE_NAMES": _LATITUDES,
                "GEOM_POSSIBLE_NAMES": _SHAPES,
            },
        )
    return _described(opened)


ROLL_BACK = (
    "import sqlite3, sys; "
    "sqlite3.connect(sys.argv[1], timeout=0).execute('SELECT 1 FROM sqlite_master').fetchone()"
)


def roll_back(path: str | Path) -> None:
    """Let SQLite undo in a GeoPackage what another program had begun and never ended.

    A full drive or a crash leaves the journal ``-journal`` beside the file, which can be opened
    only for writing then: GDAL, which reads, refuses it. While the other program still works, or
    where nothing can be written, the file stays as it is.

    In a process of its own: a second SQLite in this one would not see the locks of GDAL's, would
    undo what that is writing, and would end its locks.
    """
    if Path(f"{path}-journal").is_file() and Path(path).is_file():
        with suppress(OSError):
            subprocess.run(
                [sys.executable, "-c", ROLL_BACK, str(Path(path).resolve())],
                check=False,
                capture_output=True,
            )


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
        with readable(opened.name):
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
    with readable(opened.name), silenced():
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
    kinds = dict(zip(map(str, info["fields"]), map(str, info["dtypes"]), strict=True))
    # Versions of pyogrio that do not say these pass over lists.
    described = zip(kinds, info.get("ogr_types", ()), info.get("ogr_subtypes", ()), strict=False)
    lists = [name for name, *kind in described if kind == ["OFTIntegerList", "OFSTBoolean"]]
    found = replace(
        opened,
        crs=crs,
        features=int(info["features"]),
        geometry=str(info["geometry_type"] or "Unknown"),
        kinds={**kinds, **dict.fromkeys(lists, "object")},
        lists=lists,
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
    lists = [name if given == GEOMETRY else given for given in opened.lists]
    return replace(opened, kinds=kinds, lists=lists, set_aside=name)


def _has_degrees(names: Any) -> bool:
    known = {str(name).lower() for name in names}
    return bool(known & set(_LONGITUDES.split(","))) and bool(known & set(_LATITUDES.split(",")))


def _described_parquet(opened: VectorInput) -> VectorInput:
    with readable(opened.name):
        frame = gpd.read_parquet(opened.path)
        crs = declared_crs(frame.crs)
        schema = schema_of(opened.path)
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
    folder = tempfile.TemporaryDirectory(prefix="samgeo-", ignore_cleanup_errors=True)
    copy = Path(folder.name) / f"{path.stem}.shp"
    with readable(opened.name):
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
    warn(text)
