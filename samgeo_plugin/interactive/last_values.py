# SPDX-License-Identifier: GPL-2.0-or-later
"""Last entered values, where QGIS's own setting asks for them (Settings > Options > Digitizing)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from qgis.core import NULL, QgsFeature, QgsVectorLayer

from .. import settings

_FLAG = "qgis/digitizing/reuseLastValues"

_last: dict[str, dict[str, Any]] = {}
"""By layer and field."""


def remember(layer: QgsVectorLayer, feature: QgsFeature) -> None:
    """A feature of the user's was added: its values are the last ones."""
    _last[layer.id()] = {
        field.name(): feature.attribute(index) for index, field in enumerate(layer.fields())
    }


def reused(layer: QgsVectorLayer, known: Collection[int]) -> dict[int, Any]:
    """Values for fields that nothing else fills: no key, no default, not known already.

    Args:
        layer: The layer.
        known: Numbers of fields that have a value of their own.
    """
    if not settings.qgis_flag(_FLAG):
        return {}
    keys, values = set(layer.primaryKeyAttributes()), {}
    for index, field in enumerate(layer.fields()):
        value = _last.get(layer.id(), {}).get(field.name())
        free = index not in known and index not in keys
        if free and value not in (None, NULL) and not layer.defaultValueDefinition(index).isValid():
            values[index] = value
    return values
