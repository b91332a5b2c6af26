# SPDX-License-Identifier: GPL-2.0-or-later
"""Which of a layer's fields hold the engine's attributes, and what a shape's own ones are."""

from __future__ import annotations

import json
import math
from typing import Any, Optional
from uuid import UUID

from qgis.core import (
    QgsCsException,
    QgsField,
    QgsFields,
    QgsGeometry,
    QgsVectorLayer,
)

from .. import field_types
from .tidy import ruler

MAPPING_PROPERTY = "samgeo_seamless/fields"
"""Custom property of a layer: a JSON object, engine's attribute -> field of the layer."""

SCHEMA: tuple[tuple[str, Any, str], ...] = (
    ("id", field_types.TEXT, "text"),
    ("score", field_types.REAL, "double"),
    ("stability", field_types.REAL, "double"),
    ("area_m2", field_types.REAL, "double"),
    ("perimeter_m", field_types.REAL, "double"),
    ("prompt_id", field_types.TEXT, "text"),
    ("prompt_type", field_types.TEXT, "text"),
    ("label", field_types.TEXT, "text"),
    ("model", field_types.TEXT, "text"),
    ("source", field_types.TEXT, "text"),
    ("tiles", field_types.INTEGER, "integer"),
    ("parent_id", field_types.TEXT, "text"),
    ("class", field_types.TEXT, "text"),
)
"""The attributes of an object, as fields: the engine's, and the class that the user gives."""


SHORT_NAMES = {"perimeter_m": "perim_m"}
"""What the engine calls an attribute in a Shapefile, where that is not its first ten letters."""

SHAPEFILE_LETTERS = 10
"""Of a field's name, in a Shapefile."""


def is_stored(layer: QgsVectorLayer, field: int) -> bool:
    """A field's values are the layer's own: it is neither virtual nor of a join."""
    return layer.fields().fieldOrigin(field) in (QgsFields.OriginProvider, QgsFields.OriginEdit)


def default_mapping(layer: QgsVectorLayer) -> dict[str, str]:
    """Fields of the same name, whatever their case, else of its short form in a Shapefile: the
    engine's own, or the first letters, as QGIS exports it."""
    by_name = {name.lower(): name for name in _stored_names(layer)}
    found = {}
    for name, _, _ in SCHEMA:
        forms = (name, SHORT_NAMES.get(name, name), name[:SHAPEFILE_LETTERS])
        known = next((each for each in forms if each in by_name), None)
        if known is not None:
            found[name] = by_name[known]
    return found


def mapping(layer: QgsVectorLayer) -> dict[str, str]:
    """The layer's own mapping, or the default one; fields that are gone are left out."""
    chosen = chosen_mapping(layer)
    if chosen is None:
        return default_mapping(layer)
    names = set(_stored_names(layer))
    return {name: field for name, field in chosen.items() if field in names}


def _stored_names(layer: QgsVectorLayer) -> list[str]:
    fields = layer.fields()
    return [field.name() for index, field in enumerate(fields) if is_stored(layer, index)]


def chosen_mapping(layer: QgsVectorLayer) -> Optional[dict[str, str]]:
    """What the user has chosen for the layer; None where nobody has."""
    try:
        values = json.loads(str(layer.customProperty(MAPPING_PROPERTY, "")))
    except ValueError:
        return None
    return {str(k): str(v) for k, v in values.items()} if isinstance(values, dict) else None


def set_mapping(layer: QgsVectorLayer, values: dict[str, str]) -> None:
    layer.setCustomProperty(MAPPING_PROPERTY, json.dumps(values))


def filled_in(layer: QgsVectorLayer, field: int, value: Any) -> Any:
    """A value as it is after the save; None where the source computes it then.

    Until then, new features have the clause of the default in place of its value.
    """
    fields = layer.fields()
    if fields.fieldOrigin(field) != QgsFields.OriginProvider:
        return value
    clause = layer.dataProvider().defaultValueClause(fields.fieldOriginIndex(field))
    if not clause or not (field_types.is_left_to_source(value) or value == clause):
        return value
    return field_types.literal(clause)


def text_field(layer: QgsVectorLayer, name: str, length: int) -> QgsField:
    """A field that is to be added to a layer, for texts up to a length.

    Databases give a field back as they keep it; where that is another one, QGIS saves no feature.
    """
    kind = "varchar" if layer.providerType() == "postgres" else "text"
    keeps_length = layer.providerType() != "spatialite"
    return QgsField(name, field_types.TEXT, kind, length if keeps_length else 0)


def measures(layer: QgsVectorLayer, geometry: QgsGeometry) -> dict[int, Any]:
    """Area and perimeter of a shape on the ellipsoid, by the fields that the layer has for them.

    Args:
        layer: The layer.
        geometry: In its CRS.
    """
    on_ground = ruler(layer.crs())
    fields, names = layer.fields(), mapping(layer)
    values = {}
    for name, measure in (
        ("area_m2", on_ground.measureArea),
        ("perimeter_m", on_ground.measurePerimeter),
    ):
        index = fields.lookupField(names.get(name, ""))
        if index < 0:
            continue
        try:
            value = measure(geometry)
        except QgsCsException:
            continue
        if math.isfinite(value):
            values[index] = fitting(fields.at(index), value)
    return values


def fitting(field: QgsField, value: Any) -> Any:
    """The value as the field's type, text cut to its length; None where it does not fit.

    A text is no number, whatever it looks like: of ids in hexadecimal digits, some look like one.
    """
    kind = field.type()
    if isinstance(value, str) and (kind in field_types.WHOLE or kind == field_types.REAL):
        return None
    try:
        if kind == field_types.TEXT:
            text = str(UUID(str(value))) if field.typeName() == "uuid" else str(value)
            return text[: field.length()] if field.length() > 0 else text
        if kind in field_types.WHOLE:
            return round(float(value))
        if kind == field_types.REAL:
            return float(value)
        if kind == field_types.TRUTH:
            return bool(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return value
