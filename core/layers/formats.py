# SPDX-License-Identifier: GPL-2.0-or-later
"""The five formats of a vector layer, and how a finished file takes its place.

GeoPackage, Shapefile, GeoJSON and FlatGeobuf are GDAL's (through pyogrio); GeoParquet is pyarrow's,
with the metadata of https://geoparquet.org/releases/v1.1.0/. All read the same Arrow file.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import sqlite3
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
from pyogrio.errors import DataLayerError, DataSourceError, FeatureError, FieldError, GeometryError
from pyproj import CRS

from ..errors import OutputError, SamGeoWarning
from .styles import Geometry, store_style

GEOMETRY = "geometry"
"""Name of the geometry column in the Arrow file."""

METRES_PER_DEGREE = 111_320.0
"""Along the equator."""

LEAST_SPACE = 1 << 20
"""Bytes free below which a file that could not be written is put down to a full disk."""

_FAILURES = (
    DataLayerError,
    DataSourceError,
    FeatureError,
    FieldError,
    GeometryError,
    RuntimeError,
    sqlite3.Error,
    pa.ArrowException,
)


@dataclass(frozen=True)
class Format:
    """A file format.

    Args:
        name: For people.
        driver: GDAL's name, or "" for GeoParquet.
        suffix: Extension.
        many_layers: One file holds several layers.
        named_layer: A layer has a name besides the file's.
        wgs84: Coordinates are always WGS 84 degrees.
        multi: All shapes are written as multi-part, as the format knows one type a layer.
        options: Layer creation options.
        parts: Extensions of all files that make up one layer.
    """

    name: str
    driver: str
    suffix: str
    many_layers: bool = False
    named_layer: bool = True
    wgs84: bool = False
    multi: bool = True
    options: Mapping[str, str] = field(default_factory=dict)
    parts: tuple[str, ...] = ()


FORMATS = {
    form.suffix: form
    for form in (
        Format("GeoPackage", "GPKG", ".gpkg", many_layers=True),
        Format(
            "Shapefile",
            "ESRI Shapefile",
            ".shp",
            named_layer=False,
            options={"2GB_LIMIT": "YES", "ENCODING": "UTF-8"},
            parts=(".shp", ".shx", ".dbf", ".prj", ".cpg", ".qix", ".qpj", ".sbn", ".sbx"),
        ),
        Format(
            "GeoJSON",
            "GeoJSON",
            ".geojson",
            wgs84=True,
            multi=False,
            options={"RFC7946": "YES"},
        ),
        Format("FlatGeobuf", "FlatGeobuf", ".fgb"),
        Format("GeoParquet", "", ".parquet", named_layer=False),
    )
}
_ALIASES = {".json": ".geojson", ".geoparquet": ".parquet"}


@dataclass(frozen=True)
class Written:
    """A finished spool and what it is to become.

    Args:
        spool: Arrow file with all features; its last column is :data:`GEOMETRY` (ISO WKB).
        target: File to write, in the hidden folder, under the output's own name.
        layer: Layer name.
        crs: CRS of the geometries, or None.
        geometry: Polygons or lines.
        count: Number of features.
        bounds: xmin, ymin, xmax, ymax, or None without features.
        modified: Time of change that GeoPackage and Shapefile note inside; UTC.
        pixel: Metres on the ground, from which decimals follow where a format writes text.
    """

    spool: Path
    target: Path
    layer: str
    crs: CRS | None
    geometry: Geometry
    count: int
    bounds: tuple[float, ...] | None
    modified: datetime
    pixel: float = 1.0


def decimals_of_degrees(pixel: float) -> int:
    """Decimals with which degrees keep what is seen in pixels of a size.

    The last one is at most 1/450 of a pixel: 8 decimals (1.1 mm) for a metre, and 12 for
    0.2 mm. 7 at least, as most programs write.

    Args:
        pixel: Metres on the ground.
    """
    degrees = max(pixel, 1e-9) / METRES_PER_DEGREE
    return min(max(math.ceil(-math.log10(degrees / 450.0)), 7), 15)


def format_of(path: Path) -> Format:
    """The format that a file name's extension stands for.

    Raises:
        OutputError: It stands for none.
    """
    suffix = path.suffix.lower()
    form = FORMATS.get(_ALIASES.get(suffix, suffix))
    if form is None:
        raise OutputError(
            f"The extension of {path.name} names no format that can be written: use "
            f"{', '.join(FORMATS)}."
        )
    return form


def layers_in(path: Path) -> tuple[str, ...]:
    """Names of the layers of an existing GeoPackage, attribute tables too.

    Raises:
        OutputError: The file is no GeoPackage.
    """
    try:
        with contextlib.closing(
            sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        ) as db:
            return tuple(row[0] for row in db.execute("SELECT table_name FROM gpkg_contents"))
    except sqlite3.Error as error:
        raise OutputError(
            f"{path} exists, but it is not a GeoPackage ({error}): delete it or choose another "
            "name."
        ) from error


def write_format(form: Format, written: Written, final: Path) -> None:
    """Turn a spool into a file of a format, at ``written.target``.

    Args:
        form: The format.
        written: The spool and its description.
        final: Where the file will go; an existing GeoPackage there gives its other layers.

    Raises:
        OutputError: GDAL or pyarrow cannot write it, or what was written is not complete.
    """
    try:
        if form.many_layers and final.exists() and _has_more(final, written.layer):
            _copy_database(final, written.target)
        if form.driver:
            _write_gdal(form, written)
        else:
            _write_parquet(written)
        _verify(form, written)
        if form.driver == "GPKG":
            store_style(written.target, written.layer, written.geometry, modified=written.modified)
    except _FAILURES as error:
        raise OutputError(
            f"{final} cannot be written as {form.name}: {_reason(error, written.target)}. Nothing "
            "was left of it, and what was there before is unchanged."
        ) from error


def _reason(error: Exception, target: Path) -> str:
    """Why a file could not be written: GDAL does not say that a disk is full."""
    with contextlib.suppress(OSError):
        if shutil.disk_usage(target.parent).free < LEAST_SPACE:
            return f"the disk is full, make room on it or choose another folder ({error})"
    return str(error)


def _has_more(path: Path, layer: str) -> bool:
    """Whether a GeoPackage holds anything but one layer and its style: that must be kept.

    Other layers, QGIS projects, and tables that no register knows.
    """
    query = "SELECT lower(name) FROM sqlite_master WHERE type IN ('table', 'view')"
    with contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as db:
        tables = [row[0] for row in db.execute(query)]
    own = {layer.lower(), "layer_styles"}
    bookkeeping = ("gpkg_", "sqlite_", f"rtree_{layer.lower()}_")
    return any(name not in own and not name.startswith(bookkeeping) for name in tables)


def _batches(written: Written) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    file = pa.ipc.open_file(pa.OSFile(str(written.spool)))
    return file.schema, (file.get_batch(index) for index in range(file.num_record_batches))


@contextlib.contextmanager
def _current_date(now: datetime) -> Iterator[None]:
    """The time that GDAL's GeoPackage driver takes for now."""
    name = "OGR_CURRENT_DATE"
    before = pyogrio.get_gdal_config_option(name)
    pyogrio.set_gdal_config_options({name: f"{now:%Y-%m-%dT%H:%M:%S}.000Z"})
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options({name: before})


def _write_gdal(form: Format, written: Written) -> None:
    schema, batches = _batches(written)
    if form.driver == "ESRI Shapefile":
        names = short_names([name for name in schema.names if name != GEOMETRY], written.target)
        schema, batches = _for_shapefile(schema, batches, names)
    options = dict(form.options)
    if form.wgs84:
        options["COORDINATE_PRECISION"] = str(decimals_of_degrees(written.pixel))
    if form.driver == "ESRI Shapefile":
        options["DBF_DATE_LAST_UPDATE"] = f"{written.modified:%Y-%m-%d}"
    kind = "Polygon" if written.geometry == "polygon" else "LineString"
    with warnings.catch_warnings(), _current_date(written.modified):
        # Without a CRS, pyogrio warns; that there is none was said when the raster was opened.
        warnings.filterwarnings("ignore", message="'crs' was not provided")
        pyogrio.write_arrow(
            pa.RecordBatchReader.from_batches(schema, batches),
            written.target,
            layer=written.layer if form.many_layers else written.target.stem,
            driver=form.driver,
            geometry_name=GEOMETRY,
            geometry_type=f"Multi{kind}" if form.multi else "Unknown",
            crs=None if written.crs is None else written.crs.to_wkt(),
            layer_options=options,
            # Version 1.4, GDAL's default, makes QGIS 3.22 warn of what it may not understand.
            dataset_options={"VERSION": "1.2"} if form.driver == "GPKG" else None,
        )


def _for_shapefile(
    schema: pa.Schema, batches: Iterator[pa.RecordBatch], names: Mapping[str, str]
) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """Short names; times, which a Shapefile has not, as ISO text."""

    def text_for_time(kind: pa.DataType) -> pa.DataType:
        return pa.string() if pa.types.is_timestamp(kind) else kind

    result = pa.schema([pa.field(names.get(f.name, f.name), text_for_time(f.type)) for f in schema])

    def convert() -> Iterator[pa.RecordBatch]:
        for batch in batches:
            arrays = [
                column.cast(kind.type) if column.type != kind.type else column
                for column, kind in zip(batch.columns, result, strict=True)
            ]
            yield pa.RecordBatch.from_arrays(arrays, schema=result)

    return result, convert()


def _write_parquet(written: Written) -> None:
    schema, batches = _batches(written)
    kind = "MultiPolygon" if written.geometry == "polygon" else "MultiLineString"
    column: dict[str, Any] = {
        "encoding": "WKB",
        "geometry_types": [kind],
        "crs": None if written.crs is None else written.crs.to_json_dict(),
    }
    if written.bounds is not None:
        column["bbox"] = list(written.bounds)
    meta = {"version": "1.1.0", "primary_column": GEOMETRY, "columns": {GEOMETRY: column}}
    schema = schema.with_metadata({"geo": json.dumps(meta)})
    with pq.ParquetWriter(written.target, schema, compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(batch.replace_schema_metadata(schema.metadata))


def _verify(form: Format, written: Written) -> None:
    """Not every driver reports a full disk: what was written is looked at again."""
    if form.suffix == ".parquet":
        found = pq.read_metadata(written.target).num_rows
    elif form.suffix == ".geojson":
        with written.target.open("rb") as file:
            file.seek(max(0, written.target.stat().st_size - 16))
            complete = file.read().rstrip().endswith(b"}")
        found = written.count if complete else -1
    else:
        layer = written.layer if form.many_layers else None
        info = pyogrio.read_info(written.target, layer=layer, force_feature_count=True)
        found = info["features"]
    if found != written.count:
        raise RuntimeError("it is incomplete; is the disk full, or the limit of 2 GB reached?")
    for path in written.target.parent.iterdir():
        with path.open("rb+") as file:  # Windows flushes only what may be written
            os.fsync(file.fileno())


def _copy_database(source: Path, target: Path) -> None:
    """A consistent copy, whatever another program has not yet folded into the file."""
    reading = sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)
    with contextlib.closing(reading), contextlib.closing(sqlite3.connect(target)) as writing:
        reading.backup(writing)
        writing.execute("PRAGMA journal_mode = DELETE")


def put_in_place(form: Format, target: Path, final: Path) -> None:
    """Move a finished file, or all the files of a Shapefile, to where they belong.

    A Shapefile's files cannot be exchanged in one step: the old ones are set aside first and come
    back if anything fails.

    Raises:
        OutputError: The old file is in use.
        OSError: A file cannot be moved.
    """
    if form.many_layers:
        _release(final)
    if not form.parts:
        target.replace(final)
        return
    aside = target.parent / "old"
    aside.mkdir()
    moved: list[tuple[Path, Path]] = []
    try:
        for suffix in form.parts:
            old = final.with_suffix(suffix)
            if old.exists():
                moved.append((old, aside / old.name))
                old.replace(moved[-1][1])
        for suffix in form.parts:
            new = target.with_suffix(suffix)
            if new.exists():
                moved.append((new, final.with_suffix(suffix)))
                new.replace(moved[-1][1])
    except OSError:
        for origin, place in reversed(moved):
            with contextlib.suppress(OSError):
                place.replace(origin)
        raise


def _release(database: Path) -> None:
    """Make sure that no journal of the old GeoPackage is left to be played into the new one."""
    journal = database.with_name(f"{database.name}-wal")
    if not database.exists() or not journal.exists():
        return
    with contextlib.closing(sqlite3.connect(database, timeout=2)) as connection:
        busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy or (journal.exists() and journal.stat().st_size):
        raise OutputError(
            f"{database} is open in another program: remove its layers there and try again."
        )
    for name in (journal.name, f"{database.name}-shm"):
        database.with_name(name).unlink(missing_ok=True)


def short_names(names: Sequence[str], path: Path) -> Mapping[str, str]:
    """Names that a Shapefile can hold: 10 characters, told apart by a number; warns of changes."""
    short = {"perimeter_m": "perim_m", "prompt_type": "prompt_typ"}
    result: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        candidate = short.get(name, name).encode("ascii", "replace").decode()[:10]
        number = 1
        while candidate.lower() in taken:
            number += 1
            candidate = f"{candidate[: 10 - len(str(number)) - 1]}_{number}"
        taken.add(candidate.lower())
        result[name] = candidate
    changed = [f"{old} -> {new}" for old, new in result.items() if old != new]
    if changed:
        warnings.warn(
            f"{path.name}: a Shapefile's column names have at most 10 characters: "
            f"{', '.join(changed)}.",
            SamGeoWarning,
            stacklevel=2,
        )
    return result
