# SPDX-License-Identifier: GPL-2.0-or-later
"""Adding a layer to an existing GeoPackage in one SQLite transaction.

A GeoPackage is a database that other programs may have open, QGIS above all. Its locks and its
journals work only for those who go through SQLite. So a new layer is first written into a file of
its own (``formats.py``) and its tables are then copied: what other programs have committed stays,
what they have not is waited for, and a process that is killed leaves the file as it was.

GeoPackage 1.2, https://www.geopackage.org/spec121/; the R-tree is its extension F.3.
"""

from __future__ import annotations

import contextlib
import hashlib
import marshal
import re
import sqlite3
import struct
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..errors import OutputError
from ..job import option
from ..sources.vector_input.opening import roll_back

BUSY_SECONDS = 15.0
"""How long a commit waits for other programs."""

CHECK_SECONDS = 5.0
"""How long a look at a file waits for them."""

_RESERVED = re.compile(r"(gpkg|sqlite_|rtree_)|(layer_styles|ogr_empty_table)$", re.IGNORECASE)
"""Tables with a meaning of their own, by GeoPackage, SQLite, GDAL and QGIS."""

_FIRST_FREE_SRS = 100_000
"""Where numbers of coordinate systems begin that no authority has given out."""

Row = dict[str, Any]


@contextlib.contextmanager
def connection(path: Path, *, write: bool, timeout: float) -> Iterator[sqlite3.Connection]:
    """A GeoPackage as an open database, with errors that say what is the matter.

    Raises:
        OutputError: It is in use, is no GeoPackage, or cannot be opened.
    """
    text = path.resolve().as_posix()
    if not write:
        roll_back(path)  # opened for writing, SQLite does it by itself
    mode = "rw" if write else "ro"
    address = f"file://{'' if text.startswith('/') else '/'}{quote(text)}?mode={mode}"
    try:
        with contextlib.closing(sqlite3.connect(address, uri=True, timeout=timeout)) as db:
            db.isolation_level = None  # transactions begin where they are said to
            db.text_factory = _text
            yield db
    except sqlite3.Error as error:
        raise _explained(path, error) from error


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")  # other programs' texts may be anything


def _explained(path: Path, error: sqlite3.Error) -> OutputError:
    text = str(error)
    if re.search(r"\b(locked|busy)\b", text):
        return OutputError(
            f"{path} is in use by another program, which has not finished its changes: save or "
            "end them there and try again. Nothing in it was changed."
        )
    if re.search(r"not a database|no such table: (main\.)?gpkg_", text):
        return OutputError(
            f"{path} exists, but it is not a GeoPackage ({text}): choose another name."
        )
    if "malformed" in text:
        return OutputError(f"{path} is a damaged GeoPackage ({text}): choose another name.")
    return OutputError(
        f"{path} cannot be changed ({text}): look at the rights to the file and its folder, and at "
        "the space on its drive. Nothing in it was changed."
    )


def check_layer_name(layer: str) -> None:
    """Refuse a name that no table of a GeoPackage can have.

    Raises:
        OutputError: With the reason.
    """
    if not layer.strip() or not layer.isprintable() or '"' in layer:
        raise OutputError(
            f"A layer cannot be called {layer!r:.60}: use a name of visible characters, without "
            "quotes."
        )
    if _RESERVED.match(layer):
        raise OutputError(
            f"A layer of a GeoPackage cannot be called {layer}: tables of that name have a meaning "
            "of their own. Choose another name."
        )


def check_layer(path: Path, layer: str, *, overwrite: bool) -> None:
    """Whether a layer could be added to a GeoPackage that exists.

    Raises:
        OutputError: It is there and may not be replaced, a table that is no vector layer has its
            name, or the file is no GeoPackage or in use.
    """
    # Opened for writing, so that a transaction that was cut short is rolled back first.
    with connection(path, write=True, timeout=CHECK_SECONDS) as db:
        _check_free(db, path, layer, overwrite=overwrite)


def _check_free(db: sqlite3.Connection, path: Path, layer: str, *, overwrite: bool) -> None:
    kind = db.execute(
        "SELECT data_type FROM gpkg_contents WHERE lower(table_name) = lower(?)", (layer,)
    ).fetchone()
    table = db.execute("SELECT 1 FROM sqlite_master WHERE lower(name) = lower(?)", (layer,))
    if kind is None and table.fetchone() is None:
        return
    if kind is None or kind[0] != "features":
        what = "a raster" if kind and "tile" in str(kind[0]) else "a table that is no vector layer"
        raise OutputError(
            f"{path} holds {what} called {layer}, which is not replaced: choose another layer name."
        )
    if not overwrite:
        raise OutputError(
            f"The layer {layer} of {path} exists already: allow it to be replaced "
            f"({option('overwrite')}) or choose another name."
        )


def append_layer(
    source: Path, layer: str, final: Path, *, overwrite: bool, ahead_of: str | None = None
) -> None:
    """Copy a layer from a GeoPackage of its own into one that exists, in one transaction.

    Args:
        source: GeoPackage as GDAL has written it, with that layer only.
        layer: Its name.
        final: GeoPackage that gets it.
        overwrite: Replace a vector layer of that name. Styles that a user has stored for it stay.
        ahead_of: Layer of ``final`` that is to come after this one: programs that are told no name
            take a file's first layer.

    Raises:
        OutputError: See :func:`check_layer`; ``final`` is then as it was.
    """
    with (
        connection(source, write=False, timeout=CHECK_SECONDS) as new,
        connection(final, write=True, timeout=BUSY_SECONDS) as db,
    ):
        db.execute("BEGIN IMMEDIATE")
        try:
            _check_free(db, final, layer, overwrite=overwrite)
            if _told_the_same(db, new, layer):
                db.execute("ROLLBACK")  # it is there already: nothing in the file need change
                return
            _drop_layer(db, layer)
            _copy_layer(new, db, layer)
            if ahead_of is not None:
                _put_last(db, ahead_of)
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise


def _put_last(db: sqlite3.Connection, layer: str) -> None:
    """Enter a layer after all others: readers list them as they are entered."""
    for table in ("gpkg_contents", "gpkg_geometry_columns"):
        db.execute(
            f"UPDATE {table} SET rowid = (SELECT max(rowid) + 1 FROM {table}) "
            "WHERE lower(table_name) = lower(?)",
            (layer,),
        )


def layer_digest(path: Path, layer: str) -> str | None:
    """A digest of a layer's definition and rows, the same in any GeoPackage; None without it.

    Raises:
        OutputError: The file is no GeoPackage or in use.
    """
    with connection(path, write=False, timeout=CHECK_SECONDS) as db:
        return digest_in(db, layer) if _has_layers(db) else None


def digest_in(db: sqlite3.Connection, layer: str) -> str | None:
    """As :func:`layer_digest`, of a file that is open, its changes included."""
    query = (
        "SELECT column_name, geometry_type_name, last_change FROM gpkg_geometry_columns "
        "JOIN gpkg_contents USING (table_name) WHERE table_name = ?"
    )
    shape = db.execute(query, (layer,)).fetchone()
    if shape is None:
        return None
    digest = hashlib.blake2b(digest_size=20)
    cursor = db.execute(f"SELECT * FROM {quoted(layer)} ORDER BY rowid")
    names = [column[0] for column in cursor.description]
    at = names.index(shape[0])
    digest.update(repr((names, tuple(shape))).encode("utf-8", "surrogateescape"))
    for row in cursor:
        values = list(row)
        values[at] = _with_srs(values[at], 0)
        # Version 2 of this encoding depends on the values alone.
        digest.update(marshal.dumps(values, 2))
    return digest.hexdigest()


def _told_the_same(db: sqlite3.Connection, new: sqlite3.Connection, layer: str) -> bool:
    """Whether two files say the same of a layer: its content, where it lies, and what made it."""
    if not _has_layers(db):
        return False
    query = (
        "SELECT s.* FROM gpkg_spatial_ref_sys s JOIN gpkg_geometry_columns USING (srs_id) "
        "WHERE table_name = ?"
    )
    places = [_rows(each, query, (layer,)) for each in (db, new)]
    if not all(places) or not _same_srs(places[1][0], places[0][0]):
        return False
    made = [[row["metadata"] for row in _metadata(each, layer)] for each in (db, new)]
    return made[0] == made[1] and digest_in(db, layer) == digest_in(new, layer)


def _metadata(db: sqlite3.Connection, layer: str) -> list[Row]:
    """GDAL's metadata of a layer (GeoPackage's extension F.8), what made it among them."""
    if "gpkg_metadata_reference" not in _tables(db):
        return []
    query = (
        "SELECT r.*, m.md_scope, m.md_standard_uri, m.mime_type, m.metadata "
        "FROM gpkg_metadata_reference r JOIN gpkg_metadata m ON m.id = r.md_file_id "
        "WHERE r.reference_scope = 'table' AND lower(r.table_name) = lower(?) "
        "AND m.md_standard_uri = 'http://gdal.org' ORDER BY m.id"
    )
    return _rows(db, query, (layer,))


# -- copying ---------------------------------------------------------------------------------------


def quoted(name: str) -> str:
    """A name of a table or a column within SQL."""
    return '"' + name.replace('"', '""') + '"'


def _rows(db: sqlite3.Connection, sql: str, values: Sequence[Any] = ()) -> list[Row]:
    cursor = db.execute(sql, values)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def _definition(db: sqlite3.Connection, table: str) -> str:
    query = "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?"
    return str(db.execute(query, (table,)).fetchone()[0])


def _tables(db: sqlite3.Connection) -> set[str]:
    query = "SELECT lower(name) FROM sqlite_master WHERE type IN ('table', 'view')"
    return {row[0] for row in db.execute(query)}


def _columns(db: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in db.execute(f"PRAGMA table_info({quoted(table)})")]


def _insert(db: sqlite3.Connection, table: str, rows: Iterable[Row]) -> None:
    """Insert rows, as far as the table has their columns."""
    known = set(_columns(db, table))
    for row in rows:
        names = [name for name in row if name in known]
        db.execute(
            f"INSERT INTO {quoted(table)} ({', '.join(map(quoted, names))}) "
            f"VALUES ({', '.join('?' * len(names))})",
            [row[name] for name in names],
        )


def _has_layers(db: sqlite3.Connection) -> bool:
    return "gpkg_geometry_columns" in _tables(db)


def _drop_layer(db: sqlite3.Connection, layer: str) -> None:
    """Delete a vector layer, its spatial index and all that the GeoPackage says of it."""
    found = db.execute(
        "SELECT table_name FROM gpkg_contents WHERE lower(table_name) = lower(?)", (layer,)
    ).fetchone()
    if found is None:
        return
    name = str(found[0])
    tables = _tables(db)
    if _has_layers(db):
        query = "SELECT column_name FROM gpkg_geometry_columns WHERE lower(table_name) = lower(?)"
        for (column,) in db.execute(query, (name,)).fetchall():
            db.execute(f"DROP TABLE IF EXISTS {quoted(f'rtree_{name}_{column}')}")
    kind = db.execute(
        "SELECT type FROM sqlite_master WHERE lower(name) = lower(?) AND type IN ('table', 'view')",
        (name,),
    ).fetchone()
    if kind is not None:
        db.execute(f"DROP {kind[0]} {quoted(name)}")
    _drop_metadata(db, name)
    registers = sorted(table for table in tables if table.startswith("gpkg_"))
    for table in (*(t for t in registers if t != "gpkg_contents"), "gpkg_contents"):
        if "table_name" in _columns(db, table):
            db.execute(f"DELETE FROM {quoted(table)} WHERE lower(table_name) = lower(?)", (name,))


def _drop_metadata(db: sqlite3.Connection, layer: str) -> None:
    """Delete what is said of a layer, but for what is said of others, too."""
    if "gpkg_metadata_reference" not in _tables(db):
        return
    own = "lower(table_name) = lower(?)"
    query = f"SELECT DISTINCT md_file_id FROM gpkg_metadata_reference WHERE {own}"
    numbers = [row[0] for row in db.execute(query, (layer,))]
    db.execute(f"DELETE FROM gpkg_metadata_reference WHERE {own}", (layer,))
    for number in numbers:
        db.execute(
            "DELETE FROM gpkg_metadata WHERE id = ? AND NOT EXISTS (SELECT 1 FROM "
            "gpkg_metadata_reference WHERE md_file_id = ? OR md_parent_id = ?)",
            (number, number, number),
        )


def _copy_metadata(new: sqlite3.Connection, db: sqlite3.Connection, layer: str) -> None:
    """What made the layer, beside what is said of other layers."""
    for row in _metadata(new, layer):
        for name in ("gpkg_metadata", "gpkg_metadata_reference"):
            if name not in _tables(db):
                db.execute(_definition(new, name))
            known = "SELECT 1 FROM gpkg_extensions WHERE lower(table_name) = ?"
            if db.execute(known, (name,)).fetchone() is None:
                entry = "SELECT * FROM gpkg_extensions WHERE lower(table_name) = ?"
                _insert(db, "gpkg_extensions", _rows(new, entry, (name,)))
        (number,) = db.execute("SELECT coalesce(max(id), 0) + 1 FROM gpkg_metadata").fetchone()
        _insert(db, "gpkg_metadata", [{**row, "id": number}])
        reference = {**row, "md_file_id": number, "md_parent_id": None}
        _insert(db, "gpkg_metadata_reference", [reference])


def _copy_layer(new: sqlite3.Connection, db: sqlite3.Connection, layer: str) -> None:
    tables = _tables(db)
    for name in ("gpkg_geometry_columns", "gpkg_extensions", "gpkg_ogr_contents"):
        if name not in tables:
            db.execute(_definition(new, name))
    (shape,) = _rows(new, "SELECT * FROM gpkg_geometry_columns WHERE table_name = ?", (layer,))
    (content,) = _rows(new, "SELECT * FROM gpkg_contents WHERE table_name = ?", (layer,))
    srs = _srs_number(new, db, int(shape["srs_id"]))
    content["identifier"] = _free_identifier(db, str(content["identifier"]))
    _insert(db, "gpkg_contents", [{**content, "srs_id": srs}])
    _insert(db, "gpkg_geometry_columns", [{**shape, "srs_id": srs}])
    column = str(shape["column_name"])
    _copy_rows(new, db, layer, column, srs)
    _copy_index(new, db, f"rtree_{layer}_{column}")
    for table in ("gpkg_extensions", "gpkg_ogr_contents"):
        _insert(db, table, _rows(new, f"SELECT * FROM {table} WHERE table_name = ?", (layer,)))
    # After the rows: they keep the index and the count up to date from here on.
    query = (
        "SELECT sql FROM sqlite_master WHERE tbl_name = ? AND type IN ('index', 'trigger') "
        "AND sql IS NOT NULL ORDER BY name"
    )
    for (sql,) in new.execute(query, (layer,)):
        db.execute(sql)
    _copy_style(new, db, layer, content)
    _copy_metadata(new, db, layer)


def _copy_rows(
    new: sqlite3.Connection, db: sqlite3.Connection, layer: str, column: str, srs: int
) -> None:
    db.execute(_definition(new, layer))
    cursor = new.execute(f"SELECT * FROM {quoted(layer)} ORDER BY rowid")
    names = [found[0] for found in cursor.description]
    at = names.index(column)
    rows = ((*row[:at], _with_srs(row[at], srs), *row[at + 1 :]) for row in cursor)
    db.executemany(
        f"INSERT INTO {quoted(layer)} ({', '.join(map(quoted, names))}) "
        f"VALUES ({', '.join('?' * len(names))})",
        rows,
    )


def _copy_index(new: sqlite3.Connection, db: sqlite3.Connection, name: str) -> None:
    """The spatial index, through SQLite's module, whose nodes depend on a file's page size."""
    if name.lower() not in _tables(new):
        return
    db.execute(_definition(new, name))
    cursor = new.execute(f"SELECT * FROM {quoted(name)} ORDER BY 1")
    db.executemany(f"INSERT INTO {quoted(name)} VALUES (?, ?, ?, ?, ?)", cursor)


def _copy_style(new: sqlite3.Connection, db: sqlite3.Connection, layer: str, content: Row) -> None:
    """The layer's style, beside those that a user has stored for a layer of that name."""
    if "layer_styles" not in _tables(new):
        return
    if "layer_styles" not in _tables(db):
        db.execute(_definition(new, "layer_styles"))
    styles = _rows(new, "SELECT * FROM layer_styles WHERE f_table_name = ?", (layer,))
    for style in styles:
        db.execute(
            "DELETE FROM layer_styles WHERE lower(f_table_name) = lower(?) AND styleName = ?",
            (layer, style["styleName"]),
        )
        own = db.execute(
            "SELECT 1 FROM layer_styles WHERE lower(f_table_name) = lower(?) AND useAsDefault",
            (layer,),
        ).fetchone()
        style.pop("id", None)
        _insert(db, "layer_styles", [{**style, "useAsDefault": 0 if own else 1}])
    known = db.execute("SELECT 1 FROM gpkg_contents WHERE table_name = 'layer_styles'").fetchone()
    if known is None:
        query = "SELECT * FROM gpkg_contents WHERE table_name = 'layer_styles'"
        for row in _rows(new, query):
            row["identifier"] = _free_identifier(db, str(row["identifier"]))
            _insert(db, "gpkg_contents", [{**row, "last_change": content["last_change"]}])


def _free_identifier(db: sqlite3.Connection, wanted: str) -> str:
    """A text that tells a layer from all others; the register refuses the same one twice."""
    taken = {row[0] for row in db.execute("SELECT identifier FROM gpkg_contents")}
    name, number = wanted, 1
    while name in taken:
        number += 1
        name = f"{wanted} ({number})"
    return name


# -- coordinate systems ----------------------------------------------------------------------------


def _srs_number(new: sqlite3.Connection, db: sqlite3.Connection, number: int) -> int:
    """The number that a layer's coordinate system has in the other file; entered if need be."""
    table = "gpkg_spatial_ref_sys"
    (row,) = _rows(new, f"SELECT * FROM {table} WHERE srs_id = ?", (number,))
    known = _rows(db, f"SELECT * FROM {table} ORDER BY srs_id")
    for other in known:
        if _same_srs(row, other):
            return int(other["srs_id"])
    taken = {int(other["srs_id"]) for other in known}
    if number in taken:
        number = max(_FIRST_FREE_SRS - 1, *taken) + 1
    wkt2 = "definition_12_063"
    row = {wkt2: "undefined", **row}  # GDAL's column for it may not be empty
    if row[wkt2] != "undefined" and wkt2 not in _columns(db, table):
        # The extension for definitions in WKT 2, which few coordinate systems need.
        db.execute(f"ALTER TABLE {table} ADD COLUMN {wkt2} TEXT NOT NULL DEFAULT 'undefined'")
        extension = "SELECT * FROM gpkg_extensions WHERE extension_name LIKE 'gpkg_crs_wkt%'"
        _insert(db, "gpkg_extensions", _rows(new, extension))
    if str(row["organization"]).lower() == "none":
        row["organization_coordsys_id"] = number
    _insert(db, table, [{**row, "srs_id": number}])
    return number


def _same_srs(row: Row, other: Row) -> bool:
    authorities = str(row["organization"]).lower(), str(other["organization"]).lower()
    if authorities[0] != authorities[1]:
        return False
    same_number = bool(row["organization_coordsys_id"] == other["organization_coordsys_id"])
    if authorities[0] != "none":
        return same_number
    if row["definition"] != other["definition"]:
        return False
    in_wkt2 = [each.get("definition_12_063") for each in (row, other)]
    if row["definition"] != "undefined":
        return None in in_wkt2 or in_wkt2[0] == in_wkt2[1]
    # What WKT 1 cannot say, or what nobody has: the numbers for that are the specification's.
    first, second = (text or "undefined" for text in in_wkt2)
    return first == second and (first != "undefined" or same_number)


def _with_srs(blob: bytes | None, number: int) -> bytes | None:
    """A geometry of a GeoPackage with another coordinate system's number in its header."""
    if blob is None or blob[:2] != b"GP":
        return blob
    return blob[:4] + struct.pack("<i" if blob[3] & 1 else ">i", number) + blob[8:]
