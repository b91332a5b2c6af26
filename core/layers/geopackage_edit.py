# SPDX-License-Identifier: GPL-2.0-or-later
"""Features of a GeoPackage that exists, changed in one transaction; attributes and ids stay.

The triggers of a spatial index call functions that SQLite alone does not have (GeoPackage 1.2,
annex F.3): they are set aside for the transaction and the index is kept up to date here. Triggers
of the user's own stay in force.
"""

from __future__ import annotations

import os
import re
import sqlite3
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import shapely

from ..errors import OutputError
from .geopackage import BUSY_SECONDS, CHECK_SECONDS, connection, digest_in, quoted
from .reader import mended

_NEEDS_GDAL = re.compile(r"\bST_\w+\s*\(", re.IGNORECASE)


@dataclass(frozen=True)
class Edits:
    """What to change.

    Args:
        redrawn: New geometries by feature id.
        deleted: Feature ids.
        added: Geometries of new features, without attributes.
        seen: Geometries of the features to change, by id, as they were when that was decided.
    """

    redrawn: Mapping[int, Any] = field(default_factory=dict)
    deleted: tuple[int, ...] = ()
    added: tuple[Any, ...] = ()
    seen: Mapping[int, Any] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return len(self.redrawn) + len(self.deleted) + len(self.added)


def edit_layer(
    path: str | Path,
    layer: str,
    edits: Edits,
    finishing: Callable[[str], object] = lambda _: None,
) -> None:
    """Change features of a layer of a GeoPackage: all of them or none.

    Args:
        path: The file.
        layer: Name of its layer.
        edits: Geometries in the layer's CRS.
        finishing: Called with the digest of the changed layer
            (:func:`~.geopackage.layer_digest`) just before the change is there.

    Raises:
        OutputError: The file is in use, cannot be changed, a shape has several parts where the
            layer holds single ones, or a feature to change is not as it was seen; it is then as it
            was.
    """
    path = Path(str(path).partition("|")[0])
    with connection(path, write=True, timeout=BUSY_SECONDS) as db:
        db.execute("BEGIN IMMEDIATE")
        try:
            try:
                _edit(db, path, layer, edits)
            except sqlite3.IntegrityError as error:
                raise OutputError(
                    f"The layer {layer} of {path} has rules that the changes break ({error}): "
                    "accept them in QGIS's review instead, where values can be given. Nothing was "
                    "changed."
                ) from error
            finishing(digest_in(db, layer) or "")
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise


def check_editable(path: str | Path, layer: str) -> None:
    """Whether :func:`edit_layer` could change a layer; asked before the work.

    Raises:
        OutputError: It could not.
    """
    path = Path(str(path).partition("|")[0])
    if not os.access(path, os.W_OK) or not os.access(path.resolve().parent, os.W_OK):
        raise OutputError(f"{path} is read-only: allow it, and its folder, to be changed.")
    with connection(path, write=False, timeout=CHECK_SECONDS) as db:
        _described(db, path, layer)


def _described(db: Any, path: Path, layer: str) -> tuple[str, str, int, str]:
    """Geometry column and type, number of the CRS, and column of the ids.

    Raises:
        OutputError: The layer cannot be edited.
    """
    found = db.execute(
        "SELECT column_name, geometry_type_name, srs_id, z, m FROM gpkg_geometry_columns "
        "WHERE table_name = ?",
        (layer,),
    ).fetchone()
    if found is None:
        raise OutputError(f"{path} has no layer {layer} with geometries: nothing was changed.")
    column, kind, srs, z, m = found
    if z == 1 or m == 1:
        raise OutputError(
            f"The layer {layer} of {path} demands heights or measures, which new outlines lack: "
            "accept the changes in QGIS's review instead. Nothing was changed."
        )
    key = next((row[1] for row in db.execute(f"PRAGMA table_info({quoted(layer)})") if row[5]), "")
    if not key:
        raise OutputError(f"The layer {layer} of {path} has no feature ids: nothing was changed.")
    return str(column), str(kind), int(srs), str(key)


def _edit(db: Any, path: Path, layer: str, edits: Edits) -> None:
    column, kind, srs, key = _described(db, path, layer)
    _check_parts(path, layer, kind, edits)
    triggers = db.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ?", (layer,)
    ).fetchall()
    triggers = [(name, sql) for name, sql in triggers if _NEEDS_GDAL.search(sql)]
    for name, _ in triggers:
        db.execute(f"DROP TRIGGER {quoted(name)}")
    index = f"rtree_{layer}_{column}"
    indexed = db.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (index,)).fetchone()
    table, place = quoted(layer), quoted(column)
    multi = str(kind).upper().startswith("MULTI")
    for fid, shape in sorted(edits.seen.items()):
        row = db.execute(f"SELECT {place} FROM {table} WHERE {quoted(key)} = ?", (fid,)).fetchone()
        if row is None or not _same(row[0], shape):
            raise OutputError(
                f"The feature {fid} of the layer {layer} of {path} has been changed since it was "
                "read: nothing was changed. Run it again on the layer as it is now."
            )
    written = []
    for fid, shape in sorted(edits.redrawn.items()):
        blob, box = _blob(shape, int(srs), multi=multi)
        written.append(box)
        db.execute(f"UPDATE {table} SET {place} = ? WHERE {quoted(key)} = ?", (blob, fid))
        if indexed:
            db.execute(f"INSERT OR REPLACE INTO {quoted(index)} VALUES (?, ?, ?, ?, ?)",
                       (fid, *box))  # fmt: skip
    for fid in edits.deleted:
        db.execute(f"DELETE FROM {table} WHERE {quoted(key)} = ?", (fid,))
        if indexed:
            db.execute(f"DELETE FROM {quoted(index)} WHERE id = ?", (fid,))
    for shape in edits.added:
        blob, box = _blob(shape, int(srs), multi=multi)
        written.append(box)
        fid = db.execute(f"INSERT INTO {table} ({place}) VALUES (?)", (blob,)).lastrowid
        if indexed:
            db.execute(f"INSERT INTO {quoted(index)} VALUES (?, ?, ?, ?, ?)", (fid, *box))
    for _, sql in triggers:
        db.execute(sql)
    _recount(db, layer, index if indexed else None, written)


def _check_parts(path: Path, layer: str, kind: str, edits: Edits) -> None:
    """Refuse shapes of several parts where the layer's type is of one.

    Raises:
        OutputError: There are some.
    """
    if kind.upper() not in ("POLYGON", "CURVEPOLYGON", "SURFACE"):
        return
    names = [str(fid) for fid, shape in sorted(edits.redrawn.items()) if _parts(shape) > 1]
    added = sum(_parts(shape) > 1 for shape in edits.added)
    what = []
    if names:
        few = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
        what.append(f"feature{'s' if len(names) > 1 else ''} {few}")
    if added:
        what.append(f"{added} new one{'s' if added > 1 else ''}")
    if what:
        raise OutputError(
            f"The layer {layer} of {path} holds single polygons ({kind}), and the changes give "
            f"{' and '.join(what)} several parts: nothing was changed. Convert the layer to "
            "multi-polygons (in QGIS: Promote to multipart) and run it again on that."
        )


def _parts(shape: Any) -> int:
    return int(shapely.get_num_geometries(shape))


def _recount(
    db: Any, layer: str, index: str | None, written: Sequence[tuple[float, float, float, float]]
) -> None:
    """What the GeoPackage says of the layer.

    Args:
        db: The connection.
        layer: Its name.
        index: Its spatial index, if there is one.
        written: minx, maxx, miny, maxy of what was written.
    """
    if index is not None:
        box = db.execute(
            f"SELECT min(minx), min(miny), max(maxx), max(maxy) FROM {quoted(index)}"
        ).fetchone()
        db.execute(
            "UPDATE gpkg_contents SET min_x = ?, min_y = ?, max_x = ?, max_y = ? "
            "WHERE table_name = ?",
            (*box, layer),
        )
    else:
        # Widened only; where no extent is known, none is made up of some of the features.
        for x0, x1, y0, y1 in written:
            db.execute(
                "UPDATE gpkg_contents SET min_x = min(min_x, ?), min_y = min(min_y, ?), "
                "max_x = max(max_x, ?), max_y = max(max_y, ?) WHERE table_name = ?",
                (x0, y0, x1, y1, layer),
            )
    db.execute(
        "UPDATE gpkg_contents SET last_change = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') "
        "WHERE table_name = ?",
        (layer,),
    )
    if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'gpkg_ogr_contents'").fetchone():
        (count,) = db.execute(f"SELECT count(*) FROM {quoted(layer)}").fetchone()
        db.execute(
            "UPDATE gpkg_ogr_contents SET feature_count = ? WHERE table_name = ?", (count, layer)
        )


def _same(blob: Any, seen: Any) -> bool:
    """Whether a stored geometry is the one that was read, which was made flat and valid."""
    if not isinstance(blob, bytes) or len(blob) < 8:
        return False
    envelope = (0, 32, 48, 48, 64)
    code = blob[3] >> 1 & 7
    if code >= len(envelope):
        return False
    shape = shapely.force_2d(shapely.from_wkb(blob[8 + envelope[code] :], on_invalid="ignore"))
    if shape is None:
        return False
    if not shapely.is_valid(shape):
        shape = mended(shape)
    return bool(shapely.equals_exact(shapely.normalize(shape), shapely.normalize(seen), 0.0))


def _blob(shape: Any, srs: int, *, multi: bool) -> tuple[bytes, tuple[float, float, float, float]]:
    """A geometry as GeoPackage stores it (clause 2.1.3), and minx, maxx, miny, maxy."""
    if multi and shape.geom_type == "Polygon":
        shape = shapely.multipolygons([shape])
    elif not multi and shape.geom_type == "MultiPolygon" and len(shape.geoms) == 1:
        shape = shape.geoms[0]
    x0, y0, x1, y1 = shape.bounds
    head = struct.pack("<2sBBidddd", b"GP", 0, 0b011, srs, x0, x1, y0, y1)
    body = shapely.to_wkb(shape, byte_order=1, flavor="iso", output_dimension=2)
    return head + body, (x0, x1, y0, y1)
