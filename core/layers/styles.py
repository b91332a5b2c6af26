# SPDX-License-Identifier: GPL-2.0-or-later
"""The QGIS style stored in a GeoPackage with its layer.

Every object gets a hue of its own (steps of the golden angle), see-through, with a darker rim: two
objects that should be one, or one that should be two, catch the eye.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime
from pathlib import Path
from typing import Literal

Geometry = Literal["polygon", "line"]

_FILES: dict[Geometry, str] = {"polygon": "objects.qml", "line": "lines.qml"}
"""Beside this module; ``make sync`` copies them into the plugin."""

_TABLE = """CREATE TABLE IF NOT EXISTS layer_styles (
 id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, f_table_catalog TEXT(256),
 f_table_schema TEXT(256), f_table_name TEXT(256), f_geometry_column TEXT(256),
 styleName TEXT(30), styleQML TEXT, styleSLD TEXT, useAsDefault BOOLEAN, description TEXT,
 owner TEXT(30), ui TEXT(30),
 update_time DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')))"""


def qml(geometry: Geometry) -> str:
    """A QGIS style (3.22 and later) for polygons or lines."""
    return Path(__file__).with_name(_FILES[geometry]).read_text(encoding="utf-8")


def store_style(
    path: Path, layer: str, geometry: Geometry, *, modified: datetime, column: str = "geom"
) -> None:
    """Make the style a GeoPackage's default for a layer, in the table that QGIS reads.

    Raises:
        sqlite3.Error: The file cannot be written.
    """
    connection = sqlite3.connect(path)
    try:
        connection.execute("PRAGMA synchronous = OFF")  # the caller flushes the finished file
        with connection:
            connection.execute(_TABLE)
            connection.execute(
                "INSERT OR IGNORE INTO gpkg_contents "
                "(table_name, data_type, identifier, last_change) "
                "VALUES ('layer_styles', 'attributes', 'layer_styles', ?)",
                (f"{modified:%Y-%m-%dT%H:%M:%S}.000Z",),
            )
            connection.execute("DELETE FROM layer_styles WHERE f_table_name = ?", (layer,))
            connection.execute(
                "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, "
                "f_geometry_column, styleName, styleQML, styleSLD, useAsDefault, description, "
                "owner, update_time) VALUES ('', '', ?, ?, 'SamGeo objects', ?, '', 1, "
                "'A colour for each object', '', ?)",
                (layer, column, qml(geometry), f"{modified:%Y-%m-%dT%H:%M:%S}.000Z"),
            )
    finally:
        connection.close()
