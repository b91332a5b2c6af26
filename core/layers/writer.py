# SPDX-License-Identifier: GPL-2.0-or-later
"""Writing vector layers: one schema, every format, the output whole or not at all.

Features arrive in batches and go to an Arrow file in a hidden folder beside the output. When all
are there, they are streamed into the format that the extension names, checked, and put in place
(``publish.py``). Whatever happens before leaves neither a part of the new file nor a mark on the
old one, and memory holds one batch, however many there are. What a format can hold is in
``formats.py``, how it is written in ``write_format.py``. What a format refuses is found out before
the work: an empty layer is written first.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import shapely
from pyproj import CRS

from ..earth.crs import known_crs
from ..earth.reproject import Reprojection
from ..errors import OutputError
from ..notes import collected, warn
from ..parallel.atomic_write import names_in, new_folder
from ..sources.vector_input.reading import NESTED, as_text
from ..types import GEOMETRY
from ..vectors.schema import FIELDS, RESERVED, Field
from .formats import Format, files_of, format_of
from .geopackage import check_layer, check_layer_name
from .publish import Workplace, exists_already, output_digest, publish, real_path, recover
from .styles import Geometry
from .write_format import Written, write_format

_ARROW = {
    "text": pa.string(),
    "real": pa.float64(),
    "integer": pa.int64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "datetime": pa.timestamp("ms", tz="UTC"),
    "local_datetime": pa.timestamp("ms"),
}


def check_output(
    path: str | Path,
    *,
    overwrite: bool = False,
    layer_name: str | None = None,
    in_parts: bool = False,
) -> Format:
    """Whether a layer could be written here; asked before the work rather than after.

    A new layer may always be added to an existing GeoPackage; replacing anything else that exists
    must be allowed.

    Args:
        path: The output.
        overwrite: What exists may be replaced.
        layer_name: In a GeoPackage; None for the file's name.
        in_parts: It is to be a folder of parts; one that holds anything else is never replaced.

    Raises:
        OutputError: Unknown extension, missing or unwritable folder, or the output exists.
    """
    path = Path(path)
    form = format_of(path, in_parts=in_parts)
    if form.parts and path.suffix not in (form.suffix, form.suffix.upper()):
        raise OutputError(
            f"{path.name}: GDAL, and QGIS with it, finds a {form.name} by the extension "
            f"{form.suffix} or {form.suffix.upper()}: write {path.stem}{form.suffix}."
        )
    if not path.parent.is_dir():
        raise OutputError(f"The folder {path.parent} for the output {path.name} does not exist.")
    final = real_path(path)
    if not final.parent.is_dir():
        raise OutputError(f"The output {path} is a link into {final.parent}, which does not exist.")
    if final.is_dir():
        if not form.folder:
            raise OutputError(f"The output {path} is a folder: give the name of a file.")
        others = sorted({*names_in(final)} - {one.name for one in files_of(final)})
        if others:
            raise OutputError(
                f"The folder {path} holds {others[0]}, which is no part of a layer: choose another "
                "name."
            )
    elif final.exists() and not final.is_file():
        raise OutputError(f"The output {path} is not an ordinary file: choose another name.")
    if form.many_layers:
        name = layer_name or path.stem
        check_layer_name(name)
        if final.exists():
            check_layer(final, name, overwrite=overwrite)
    elif files := form.files(final):
        if not overwrite:
            raise exists_already(path if final.exists() else files[-1])
        if not final.exists():
            raise OutputError(
                f"{files[-1]} would be replaced, which belongs to something else: choose another "
                "name."
            )
    if any(not os.access(file, os.W_OK) for file in form.files(final)):
        raise OutputError(f"The output {path} is read-only: allow it to be changed.")
    try:
        probe = new_folder(final.parent, f".{final.stem}.", ".part")
    except OSError as error:
        raise OutputError(
            f"The folder {final.parent} cannot be written to: {error.strerror}."
        ) from error
    with contextlib.suppress(OSError):  # a writer that looks for leftovers was quicker
        probe.rmdir()
    return form


EDGE = 0.02
"""Pixels by which a reprojected edge may leave its true course."""

_SAME: Any = object()
"""Stands for the layer's own CRS; None says that there is none."""


class LayerWriter:
    """Writes one layer, batch by batch; use as a context manager.

    Leaving the ``with`` block puts the layer in place; leaving it by an exception discards it.

    Args:
        path: Its extension names the format, one of :data:`~.formats.FORMATS`.
        crs: CRS of the layer; anything pyproj or rasterio gives, or None for no CRS. GeoJSON is
            always WGS 84.
        source_crs: CRS of the features that :meth:`write` is given, or None where they have none;
            that of the layer where nothing is said.
        layer_name: Name inside the file; the file's own name without it.
        overwrite: Replace an existing output. Other layers of a GeoPackage stay.
        fields: Columns besides the schema's.
        schema: Columns that come first; those of objects, :data:`FIELDS`, unless a layer holds
            something else.
        geometry: Polygons or lines; both are written as multi-part.
        pixel: Metres on the ground of what the features were seen in: reprojected edges stay
            within a fiftieth of it, and degrees have the decimals that it needs.
        part_size: Features in each file of a folder of GeoParquet; None for one file.
        modified: Time of change noted inside the file; None for now. A fixed one makes the same
            features the same bytes.
        finishing: Called with the output's digest (:func:`~.publish.output_digest`) once it is
            finished, just before it appears.
        provenance: What made the layer (:func:`~.provenance.provenance`); may be set until the
            layer is finished.
        ahead_of: Layer of the same GeoPackage that is to come after this one; may be set likewise.

    Raises:
        OutputError: The output cannot be written here (:func:`check_output`), or its format
            refuses the names of the layer or of its columns, or its CRS.
    """

    def __init__(
        self,
        path: str | Path,
        crs: Any | None,
        *,
        source_crs: Any | None = _SAME,
        layer_name: str | None = None,
        overwrite: bool = False,
        fields: Sequence[Field] = (),
        schema: Sequence[Field] = FIELDS,
        geometry: Geometry = "polygon",
        modified: datetime | None = None,
        pixel: float = 1.0,
        finishing: Callable[[str], None] | None = None,
        provenance: str = "",
        ahead_of: str | None = None,
        part_size: int | None = None,
    ) -> None:
        self.path = Path(path)
        self.finishing = finishing
        self.provenance = provenance
        self.ahead_of = ahead_of
        self._overwrite = overwrite
        self._part_size = part_size or 0
        recover(self.path)
        self._format = self._checked(layer_name)
        self.layer_name = layer_name or self.path.stem
        if self.layer_name != self.path.stem and not self._format.named_layer:
            warn(
                f"A layer in {self._format.name} has no name but the file's: {self.path.stem}, "
                f"not {self.layer_name}."
            )
            self.layer_name = self.path.stem
        self.fields = (*schema, *fields)
        self._own = len(fields)
        self._check_fields()
        self._geometry: Geometry = geometry
        self._modified = modified or datetime.now(timezone.utc)
        source, target = known_crs(crs if source_crs is _SAME else source_crs), known_crs(crs)
        if self._format.wgs84:
            if source is None:
                raise OutputError(
                    f"{self.path.name}: GeoJSON is always in WGS 84, but the raster has no "
                    "coordinate system: write a .gpkg instead."
                )
            target = CRS.from_epsg(4326)
        self._pixel = pixel
        self._reproject = Reprojection(
            source, target, split=self._format.wgs84, tolerance=EDGE * pixel
        )
        self.crs = target
        self.count = 0
        self._bounds = np.array([np.inf, np.inf, -np.inf, -np.inf])
        self._place: Workplace | None = None
        self._spool: pa.RecordBatchFileWriter | None = None
        self._rehearse()

    def _rehearse(self) -> None:
        """Write an empty layer and delete it: what the format or the drive refuses shows now."""
        with collected():  # said again when it is written
            self._enter()
            try:
                self._finish(flush=False)
            finally:
                self._discard()

    def with_fields(self, fields: Sequence[Field]) -> LayerWriter:
        """A writer of the same layer with other columns besides the schema's.

        For a job that knows its columns only after its work, but asks before whether it may write.
        """
        other = copy(self)
        other.fields = (*self.fields[: len(self.fields) - self._own], *fields)
        other._own = len(fields)
        other._check_fields()
        return other

    def check(self, *, overwrite: bool) -> None:
        """Check again whether the output may be written, replacing it or not.

        Raises:
            OutputError: See :func:`check_output`.
        """
        self._overwrite = overwrite
        self._checked(self.layer_name)

    def _checked(self, layer_name: str | None) -> Format:
        return check_output(
            self.path,
            overwrite=self._overwrite,
            layer_name=layer_name,
            in_parts=bool(self._part_size),
        )

    def _check_fields(self) -> None:
        names = [field.name.lower() for field in self.fields]
        twice = sorted({name for name in names if names.count(name) > 1 or name in RESERVED})
        if twice:
            raise OutputError(
                f"The layer cannot have two columns of one name, or of a reserved one: "
                f"{', '.join(twice)}."
            )

    @property
    def _schema(self) -> pa.Schema:
        columns = [pa.field(field.name, _ARROW[field.kind]) for field in self.fields]
        return pa.schema([*columns, pa.field(GEOMETRY, pa.binary())])

    def __enter__(self) -> LayerWriter:
        self._enter()
        return self

    def _enter(self) -> None:
        try:
            self._place = Workplace(real_path(self.path))
            self._spool = pa.ipc.new_file(str(self._place.folder / "features.arrow"), self._schema)
        except (OSError, ValueError) as error:
            self._discard()
            raise self._failure(error) from error

    def write(self, features: gpd.GeoDataFrame) -> None:
        """Append a batch.

        Args:
            features: Geometries in ``source_crs`` and columns of :attr:`fields`, in any order;
                columns that are missing stay empty. No geometry may be missing or empty.

        Raises:
            ValueError: A column is unknown, or a geometry is missing or of another kind.
            OutputError: The disk is full, or a geometry cannot be brought to the layer's CRS.
        """
        if self._spool is None:
            raise ValueError("LayerWriter.write needs the with block")
        known = {field.name for field in self.fields}
        given = [name for name in features.columns if name != features.geometry.name]
        unknown = [name for name in given if name not in known]
        if unknown:
            raise ValueError(f"columns {unknown} are not among the layer's fields")
        if len(features) == 0:
            return
        arrays = [
            _column(features[field.name] if field.name in given else None, field, len(features))
            for field in self.fields
        ]
        self._append(arrays, np.asarray(features.geometry.array, dtype=object))

    def write_batch(self, features: pa.RecordBatch) -> None:
        """Append a batch of features as Arrow.

        Args:
            features: Columns of the kinds that :attr:`fields` say, in any order (those that are
                missing stay empty), and the column :data:`GEOMETRY`, WKB in ``source_crs``.

        Raises:
            ValueError: See :meth:`write`.
            OutputError: See :meth:`write`.
        """
        names = features.schema.names
        unknown = [n for n in names if n != GEOMETRY and n not in {f.name for f in self.fields}]
        if unknown:
            raise ValueError(f"columns {unknown} are not among the layer's fields")
        if features.num_rows == 0:
            return
        arrays = [
            features.column(field.name).cast(_ARROW[field.kind])
            if field.name in names
            else pa.nulls(features.num_rows, _ARROW[field.kind])
            for field in self.fields
        ]
        wkb = features.column(GEOMETRY).to_numpy(zero_copy_only=False)
        self._append(arrays, shapely.from_wkb(wkb))

    def _append(self, arrays: list[pa.Array], shapes: Any) -> None:
        """Columns and geometries, in the order of :attr:`fields`, to the spool."""
        if self._spool is None:
            raise ValueError("LayerWriter.write needs the with block")
        shapes = self._reproject(shapes, self.path.name)
        shapes = _checked(shapes, self._geometry, multi=self._format.multi)
        bounds = shapely.total_bounds(shapes)
        self._bounds[:2] = np.minimum(self._bounds[:2], bounds[:2])
        self._bounds[2:] = np.maximum(self._bounds[2:], bounds[2:])
        arrays.append(pa.array(shapely.to_wkb(shapes, flavor="iso"), pa.binary()))
        try:
            self._spool.write_batch(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
        except OSError as error:
            raise self._failure(error) from error
        self.count += len(shapes)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._commit()
        finally:
            self._discard()

    def _commit(self) -> None:
        place = self._finish()
        try:
            # Someone else may have made the output since this job began.
            self._checked(self.layer_name)
            if self.finishing is not None:
                self.finishing(output_digest(place.target, self.layer_name) or "")
            publish(
                self._format,
                place,
                self.layer_name,
                overwrite=self._overwrite,
                ahead_of=self.ahead_of,
            )
        except OSError as error:
            raise self._failure(error) from error

    def _finish(self, *, flush: bool = True) -> Workplace:
        """Turn what has arrived into the files of the output, still in the hidden folder."""
        place, spool = self._place, self._spool
        if place is None or spool is None:
            raise ValueError("LayerWriter left without having been entered")
        self._spool = None
        try:
            spool.close()
            layer = Written(
                spool=place.folder / "features.arrow",
                target=place.target,
                layer=self.layer_name,
                crs=self.crs,
                geometry=self._geometry,
                count=self.count,
                bounds=tuple(self._bounds) if self.count else None,
                modified=self._modified,
                pixel=self._pixel,
                provenance=self.provenance,
                part_size=self._part_size,
            )
            write_format(self._format, layer, self.path, flush=flush)
        except OSError as error:
            raise self._failure(error) from error
        return place

    def _discard(self) -> None:
        if self._spool is not None:
            with contextlib.suppress(OSError):  # on a full disk; the folder goes anyway
                self._spool.close()
            self._spool = None
        if self._place is not None:
            self._place.discard()
            self._place = None

    def _failure(self, error: OSError | ValueError) -> OutputError:
        reason = getattr(error, "strerror", None) or str(error)
        if isinstance(error, PermissionError) and self.path.exists():
            reason += "; perhaps another program has it open"
        return OutputError(
            f"{self.path} cannot be written ({reason}): nothing was left of it, and what was "
            "there before is unchanged."
        )


def write_layer(features: Iterable[gpd.GeoDataFrame], writer: LayerWriter) -> int:
    """Write all batches with a writer and put the layer in place; returns how many features."""
    with writer:
        for batch in features:
            writer.write(batch)
    return writer.count


def _checked(shapes: Any, geometry: Geometry, *, multi: bool) -> Any:
    """Shapes of one kind, as multi-part where the format wants that."""
    wanted = (3, 6) if geometry == "polygon" else (1, 5)
    kinds = shapely.get_type_id(shapes)
    if not np.isin(kinds, wanted).all() or shapely.is_empty(shapes).any():
        wrong = shapes[np.flatnonzero(~np.isin(kinds, wanted) | shapely.is_empty(shapes))[0]]
        raise ValueError(f"a layer of {geometry}s cannot hold {wrong!r}")
    shapes = shapely.force_2d(shapes)
    single = kinds == wanted[0]
    if multi and single.any():
        make = shapely.multipolygons if geometry == "polygon" else shapely.multilinestrings
        shapes[single] = make(shapes[single], indices=np.arange(int(single.sum())))
    return shapes


def _column(values: pd.Series[Any] | None, field: Field, length: int) -> pa.Array:
    kind = _ARROW[field.kind]
    if values is None:
        return pa.nulls(length, kind)
    if field.kind == "text":
        missing = values.isna().to_numpy()
        texts = [
            None if gone else as_text(value) if isinstance(value, NESTED) else str(value)
            for value, gone in zip(values, missing, strict=True)
        ]
        return pa.array(texts, kind)
    if field.kind in ("datetime", "local_datetime"):
        times = pd.to_datetime(values, utc=field.kind == "datetime")
        return pa.array(times, kind, from_pandas=True, safe=False)
    if field.kind == "date":
        return pa.array(values.to_numpy(object), kind, from_pandas=True)
    if field.kind == "real":
        values = pd.Series(values.to_numpy(np.float64, na_value=np.nan))
    if field.kind == "integer":
        values = values.astype("Int64")
    return pa.array(values, kind, from_pandas=True)
