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

_HUE = "($id * 137.508) % 360"

_QML = """<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>
<qgis version="3.22.0" styleCategories="Symbology">
 <renderer-v2 type="singleSymbol" forceraster="0" enableorderby="0" symbollevels="0">
  <symbols>
   <symbol type="{kind}" name="0" alpha="1" clip_to_extent="1" force_rhr="0">
    <layer class="{layer}" enabled="1" locked="0" pass="0">
     <Option type="Map">{options}
     </Option>
     <data_defined_properties>
      <Option type="Map">
       <Option type="QString" name="name" value=""/>
       <Option type="Map" name="properties">{properties}
       </Option>
       <Option type="QString" name="type" value="collection"/>
      </Option>
     </data_defined_properties>
    </layer>
   </symbol>
  </symbols>
 </renderer-v2>
 <layerGeometryType>{code}</layerGeometryType>
</qgis>
"""

_TABLE = """CREATE TABLE IF NOT EXISTS layer_styles (
 id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, f_table_catalog TEXT(256),
 f_table_schema TEXT(256), f_table_name TEXT(256), f_geometry_column TEXT(256),
 styleName TEXT(30), styleQML TEXT, styleSLD TEXT, useAsDefault BOOLEAN, description TEXT,
 owner TEXT(30), ui TEXT(30),
 update_time DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')))"""


def qml(geometry: Geometry) -> str:
    """A QGIS style (3.22 and later) for polygons or lines."""
    rim = f"color_hsla({_HUE}, 85, 35, 255)"
    if geometry == "polygon":
        options = {
            "color": "255,140,0,70",
            "outline_color": "170,80,0,255",
            "outline_style": "solid",
            "outline_width": "0.4",
            "outline_width_unit": "MM",
            "style": "solid",
        }
        fill = f"color_hsla({_HUE}, 85, 55, 75)"
        defined = {"fillColor": fill, "outlineColor": rim}
        kind, layer, code = "fill", "SimpleFill", 2
    else:
        options = {
            "line_color": "170,80,0,255",
            "line_style": "solid",
            "line_width": "0.8",
            "line_width_unit": "MM",
        }
        defined = {"outlineColor": rim}
        kind, layer, code = "line", "SimpleLine", 1
    return _QML.format(
        kind=kind,
        layer=layer,
        code=code,
        options="".join(
            f'\n      <Option type="QString" name="{name}" value="{value}"/>'
            for name, value in options.items()
        ),
        properties="".join(
            f"""
        <Option type="Map" name="{name}">
         <Option type="bool" name="active" value="true"/>
         <Option type="QString" name="expression" value="{expression}"/>
         <Option type="int" name="type" value="3"/>
        </Option>"""
            for name, expression in defined.items()
        ),
    )


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
