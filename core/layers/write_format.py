# SPDX-License-Identifier: GPL-2.0-or-later
"""Writing a file of a format from a spool: all formats read the same Arrow file.

GDAL writes through pyogrio; GeoParquet is written by pyarrow, with the metadata of
https://geoparquet.org/releases/v1.1.0/. What was written is looked at again.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyogrio
import shapely
from pyogrio.errors import DataLayerError, DataSourceError, FeatureError, FieldError, GeometryError
from pyproj import CRS, Geod
from pyproj.exceptions import CRSError, ProjError

from ..earth.crs import known_crs, metres_per_unit, same_crs, transformer
from ..errors import OutputError
from ..job import option
from ..notes import silenced, warn
from ..sources.vector_input.paths import as_is, for_pyogrio
from ..types import GEOMETRY
from .formats import PROVENANCE, Format, files_of
from .shapefile import for_shapefile, say_cut, say_unfit, short_names, sidecar, write_sidecar
from .styles import Geometry, store_style

BBOX = "bbox"
"""Name of the column of bounding boxes in GeoParquet, unless a layer has one of that name."""

_SIDES = ("xmin", "ymin", "xmax", "ymax")
_BOXES = pa.struct([(side, pa.float64()) for side in _SIDES])

ROWS = 16384
"""Rows of a row group of GeoParquet, about; they are neighbours, so that a reader of a small area
passes over most groups."""

METRES_PER_DEGREE = 111_320.0
"""Along the equator."""

MOVED = 2.0
"""Metres on the ground from which it is said that a format's CRS puts a layer elsewhere."""

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
class Written:
    """A finished spool and the layer that is written from it.

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
        provenance: What made it, JSON; "" for nothing.
        part_size: Features in each file of :data:`~.formats.IN_PARTS`.
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
    provenance: str = ""
    part_size: int = 0


def decimals_of_degrees(pixel: float) -> int:
    """Decimals with which degrees keep what is seen in pixels of a size.

    The last one is at most 1/450 of a pixel: 8 decimals (1.1 mm) for a metre, and 12 for
    0.2 mm. 7 at least, as most programs write.

    Args:
        pixel: Metres on the ground.
    """
    degrees = max(pixel, 1e-9) / METRES_PER_DEGREE
    return min(max(math.ceil(-math.log10(degrees / 450.0)), 7), 15)


def write_format(form: Format, written: Written, final: Path, *, flush: bool = True) -> None:
    """Turn a spool into a file of a format, at ``written.target``.

    Args:
        form: The format.
        written: The spool and its description.
        final: Where the file will go, for messages.
        flush: Bring it to the disk.

    Raises:
        OutputError: GDAL or pyarrow cannot write it, or what was written is not complete.
    """
    try:
        if form.driver:
            _write_gdal(form, written)
        else:
            _write_parquet(written)
        _verify(form, written, final)
        if form.driver == "GPKG":
            store_style(written.target, written.layer, written.geometry, modified=written.modified)
        if flush:
            for path in files_of(written.target) if form.folder else form.files(written.target):
                with path.open("rb+") as file:  # Windows flushes only what may be written
                    os.fsync(file.fileno())
    except _FAILURES as error:
        raise OutputError(
            f"{final} cannot be written as {form.name}: {why_not_written(error, written.target)}. "
            "Nothing was left of it, and what was there before is unchanged."
        ) from error


def why_not_written(error: Exception, target: Path) -> str:
    """Why a file could not be written: GDAL does not say that a disk is full."""
    with contextlib.suppress(OSError):
        if shutil.disk_usage(target.parent).free < LEAST_SPACE:
            return f"the disk is full, make room on it or choose another folder ({error})"
    return str(error)


def _batches(written: Written) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    file = pa.ipc.open_file(pa.OSFile(str(written.spool)))
    return file.schema, (file.get_batch(index) for index in range(file.num_record_batches))


@contextlib.contextmanager
def _driver_options(now: datetime) -> Iterator[None]:
    """The time that GDAL's GeoPackage driver takes for now; no flush at each of its steps.

    No other program uses the file yet: it is flushed once, when it is finished.
    """
    options = {
        "OGR_CURRENT_DATE": f"{now:%Y-%m-%dT%H:%M:%S}.000Z",
        "OGR_SQLITE_SYNCHRONOUS": "OFF",
    }
    before = {name: pyogrio.get_gdal_config_option(name) for name in options}
    pyogrio.set_gdal_config_options(options)
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options(before)


def _write_gdal(form: Format, written: Written) -> None:
    schema, batches = _batches(written)
    cut: Counter[str] = Counter()
    unfit: Counter[str] = Counter()
    nul: Counter[str] = Counter()
    batches = _without_nul(batches, nul)
    if form.driver == "ESRI Shapefile":
        names = short_names([name for name in schema.names if name != GEOMETRY], written.target)
        schema, batches = for_shapefile(schema, batches, names, cut, unfit)
    if form.driver == "GeoJSON":
        batches = _finite(batches, unfit)
    options = dict(form.options)
    if form.wgs84:
        options["COORDINATE_PRECISION"] = str(decimals_of_degrees(written.pixel))
    if form.driver == "ESRI Shapefile":
        options["DBF_DATE_LAST_UPDATE"] = f"{written.modified:%Y-%m-%d}"
    said = {PROVENANCE: written.provenance} if written.provenance else None
    if said and form.driver == "GeoJSON":
        document = json.loads(written.provenance)
        options["NATIVE_DATA"] = json.dumps({"type": "FeatureCollection", PROVENANCE: document})
        options["NATIVE_MEDIA_TYPE"] = "application/vnd.geo+json"
    kind = "Polygon" if written.geometry == "polygon" else "LineString"
    # GDAL calls a Shapefile's files in small letters, whatever it is told.
    made = written.target.with_suffix(form.suffix) if form.parts else written.target
    # Without a CRS, pyogrio warns; that there is none was said when the raster was opened.
    without_crs = silenced(UserWarning)
    with without_crs, _driver_options(written.modified), as_is(written.target):
        pyogrio.write_arrow(
            pa.RecordBatchReader.from_batches(schema, batches),
            str(made),
            layer=written.layer if form.many_layers else written.target.stem,
            driver=form.driver,
            geometry_name=GEOMETRY,
            geometry_type=f"Multi{kind}" if form.multi else "Unknown",
            crs=None if written.crs is None else _wkt(form, written.crs),
            layer_options=options,
            # Version 1.4, GDAL's default, makes QGIS 3.22 warn of what it may not understand.
            dataset_options={"VERSION": "1.2"} if form.driver == "GPKG" else None,
            layer_metadata=said if form.driver in ("GPKG", "FlatGeobuf") else None,
        )
    if made != written.target:
        made.replace(written.target)
    if said and form.driver == "ESRI Shapefile":
        write_sidecar(sidecar(written.target), written.provenance)
    if nul:
        columns = ", ".join(f"{count} in {name}" for name, count in sorted(nul.items()))
        warn(
            f"{written.target.name}: texts in {form.name} cannot hold the character NUL; it is "
            f"replaced by U+FFFD ({columns}). Write a .parquet to keep it."
        )
    if cut:
        say_cut(written.target, cut)
    if unfit and form.driver == "ESRI Shapefile":
        say_unfit(written.target, unfit)
    elif unfit:
        columns = ", ".join(f"{count} in {name}" for name, count in sorted(unfit.items()))
        warn(
            f"{written.target.name}: {form.name} has no infinite numbers; they are left empty "
            f"({columns}). Write another format, a .gpkg for example, to keep them."
        )


def _without_nul(batches: Iterator[pa.RecordBatch], nul: Counter[str]) -> Iterator[pa.RecordBatch]:
    """Features of which texts have U+FFFD for NUL, at which GDAL ends a text; ``nul`` gets the
    number of these texts by column."""
    for batch in batches:
        for place, (kind, column) in enumerate(zip(batch.schema, batch.columns, strict=True)):
            if not (pa.types.is_string(kind.type) or pa.types.is_large_string(kind.type)):
                continue
            if count := pc.sum(pc.match_substring(column, "\0")).as_py():
                nul[kind.name] += count
                mended = pc.replace_substring(column, "\0", "\N{REPLACEMENT CHARACTER}")
                batch = batch.set_column(place, kind, mended)
        yield batch


def _finite(batches: Iterator[pa.RecordBatch], infinite: Counter[str]) -> Iterator[pa.RecordBatch]:
    """Features of which infinite numbers are empty; ``infinite`` gets their number by column."""
    for batch in batches:
        for place, (kind, column) in enumerate(zip(batch.schema, batch.columns, strict=True)):
            if not pa.types.is_floating(kind.type):
                continue
            found = pc.fill_null(pc.is_inf(column), False)
            if count := pc.sum(found).as_py():
                infinite[kind.name] += count
                empty = pa.scalar(None, kind.type)
                batch = batch.set_column(place, kind, pc.if_else(found, empty, column))
        yield batch


def _wkt(form: Format, crs: CRS) -> str:
    """A CRS as GDAL is told it.

    By its WKT 2, GDAL takes UTM in feet for the UTM in metres that has a code; by WKT 1, its
    driver of GeoPackage does not.
    """
    odd_unit = crs.is_projected and metres_per_unit(crs) != 1.0
    if form.driver == "GPKG" and odd_unit and crs.to_authority() is None:
        with contextlib.suppress(CRSError):  # WKT 1 does not know all projections
            return str(crs.to_wkt("WKT1_GDAL"))
    return str(crs.to_wkt())


def _check_crs(form: Format, given: CRS | None, kept: CRS | None, final: Path) -> None:
    """Refuse a layer that would be somewhere else: a format may keep another CRS than it is given.

    Only units are compared: a Shapefile may well lose the shift of a datum, or a name. Where the
    layer lies elsewhere by that, a warning says it (:func:`_say_moved`).

    Raises:
        OutputError: The unit is another one, or the CRS is lost.
    """
    if given is None or (kept is not None and _same_unit(given, kept)):
        return
    found = "none" if kept is None else _with_unit(kept)
    raise OutputError(
        f"{final.name}: {form.name} cannot hold the coordinate system {_with_unit(given)}; it "
        f"would be read as {found}. Choose another one with {option('crs')}, such as one with an "
        "EPSG code, or write another format, such as .gpkg or .parquet."
    )


def _say_moved(form: Format, written: Written, kept: CRS | None) -> None:
    """Warn where a layer is read elsewhere, as a Shapefile of a CRS that states its datum's shift.

    One whose datum has a code is found by its name, and shifted as before.
    """
    if written.crs is None or kept is None or written.bounds is None:
        return
    if same_crs(written.crs, kept):
        return
    x0, y0, x1, y1 = written.bounds
    try:
        places = [
            transformer(crs, CRS.from_epsg(4326)).transform((x0 + x1) / 2, (y0 + y1) / 2)
            for crs in (written.crs, kept)
        ]
    except ProjError:  # a local system, or another planet
        return
    metres = Geod(ellps="WGS84").inv(*places[0], *places[1])[2]
    if metres > MOVED:
        warn(
            f"{written.target.name}: {form.name} cannot hold all of the coordinate system "
            f"{_with_unit(written.crs)}: programs show the layer about {metres:.0f} m away. Choose "
            f"one with an EPSG code with {option('crs')}, or write another format, a .gpkg for "
            "example."
        )


def _same_unit(one: CRS, other: CRS) -> bool:
    return math.isclose(metres_per_unit(one), metres_per_unit(other), rel_tol=1e-7)


def _with_unit(crs: CRS) -> str:
    unit = f" in {crs.axis_info[0].unit_name}" if crs.axis_info else ""
    return f"{crs.name!r}{unit}"


def _write_parquet(written: Written) -> None:
    schema, batches = _batches(written)
    if not written.part_size:
        _write_file(written, written.target, schema, batches, written.bounds)
        return
    parts = _parts([batch.num_rows for batch in batches], written.part_size)
    digits = max(4, len(str(len(parts) - 1)))
    written.target.mkdir()
    for number, pieces in enumerate(parts):
        path = written.target / f"part-{number:0{digits}}.parquet"
        bounds = np.array([np.inf, np.inf, -np.inf, -np.inf])
        for piece in _pieces(written, pieces):
            shapes = shapely.from_wkb(piece.column(GEOMETRY).to_numpy(zero_copy_only=False))
            own = shapely.total_bounds(shapes)
            bounds[:2] = np.minimum(bounds[:2], own[:2])
            bounds[2:] = np.maximum(bounds[2:], own[2:])
        known = tuple(bounds.tolist()) if pieces else None
        _write_file(written, path, schema, _pieces(written, pieces), known)


def _parts(rows: Sequence[int], size: int) -> list[list[tuple[int, int, int]]]:
    """Batches cut into parts of a size, the last one of what is left: (batch, first row, rows)."""
    parts: list[list[tuple[int, int, int]]] = [[]]
    room = size
    for batch, count in enumerate(rows):
        first = 0
        while first < count:
            if room == 0:
                parts.append([])
                room = size
            taken = min(room, count - first)
            parts[-1].append((batch, first, taken))
            first, room = first + taken, room - taken
    return parts


def _pieces(written: Written, pieces: Sequence[tuple[int, int, int]]) -> Iterator[pa.RecordBatch]:
    with pa.OSFile(str(written.spool)) as stream, pa.ipc.open_file(stream) as file:
        for batch, first, rows in pieces:
            yield file.get_batch(batch).slice(first, rows)


def _write_file(
    written: Written,
    path: Path,
    schema: pa.Schema,
    batches: Iterator[pa.RecordBatch],
    bounds: tuple[float, ...] | None,
) -> None:
    """One GeoParquet file of some of the features, or of all."""
    kind = "MultiPolygon" if written.geometry == "polygon" else "MultiLineString"
    column: dict[str, Any] = {
        "encoding": "WKB",
        "geometry_types": [kind],
        "crs": None if written.crs is None else written.crs.to_json_dict(),
    }
    if bounds is not None:
        column["bbox"] = list(bounds)
    covering = _free_name(BBOX, schema.names)
    column["covering"] = {"bbox": {side: [covering, side] for side in _SIDES}}
    meta = {"version": "1.1.0", "primary_column": GEOMETRY, "columns": {GEOMETRY: column}}
    said = {"geo": json.dumps(meta)}
    if written.provenance:
        said[PROVENANCE] = written.provenance
    schema = schema.append(pa.field(covering, _BOXES)).with_metadata(said)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for group in _groups(batches):
            boxes = _boxes(group.column(GEOMETRY))
            table = pa.Table.from_arrays([*group.columns, boxes], schema=schema)
            writer.write_table(table, row_group_size=ROWS)


def _free_name(name: str, taken: Sequence[str]) -> str:
    known = {other.lower() for other in taken}
    number, candidate = 1, name
    while candidate in known:
        number += 1
        candidate = f"{name}_{number}"
    return candidate


def _groups(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Batches together until there are enough rows for a row group."""
    waiting: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        waiting.append(batch)
        rows += batch.num_rows
        if rows >= ROWS:
            yield pa.Table.from_batches(waiting)
            waiting, rows = [], 0
    if waiting:
        yield pa.Table.from_batches(waiting)


def _boxes(shapes: pa.ChunkedArray) -> pa.Array:
    """Each geometry's bounding box, as GeoParquet 1.1 has it: readers skip what lies elsewhere."""
    bounds = shapely.bounds(shapely.from_wkb(shapes.to_numpy(zero_copy_only=False)))
    return pa.StructArray.from_arrays([pa.array(bounds[:, k]) for k in range(4)], list(_SIDES))


def _verify(form: Format, written: Written, final: Path) -> None:
    """Not every driver reports a full disk: what was written is looked at again."""
    if form.suffix == ".parquet":
        files = files_of(written.target) if form.folder else [written.target]
        found = sum(pq.read_metadata(file).num_rows for file in files)
    elif form.suffix == ".geojson":
        with written.target.open("rb") as file:
            file.seek(max(0, written.target.stat().st_size - 16))
            complete = file.read().rstrip().endswith(b"}")
        found = written.count if complete else -1
    else:
        layer = written.layer if form.many_layers else None
        info = pyogrio.read_info(for_pyogrio(written.target), layer=layer, force_feature_count=True)
        found = info["features"]
        kept = known_crs(info["crs"])
        _check_crs(form, written.crs, kept, final)
        _say_moved(form, written, kept)
    if found != written.count:
        raise RuntimeError("it is incomplete; is the disk full, or the limit of 2 GB reached?")
