# SPDX-License-Identifier: GPL-2.0-or-later
"""The layer of changes that ``samgeo update`` writes, and the layer that it is about."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Optional

from qgis.core import QgsFeature, QgsFields, QgsProject, QgsProviderRegistry, QgsVectorLayer

from . import field_mapping
from .doubt import text_of

DECISION = "review"
"""Field for a review's decisions; ``status`` says what became of a polygon."""

_FIELDS = ("old_fid", "old_layer", "status", "probability", DECISION)

_SAID_ANEW = frozenset(
    (*_FIELDS, "old_id", "shift_m", "own_shift_m", "iou", "with_ids", "area_m2", "perimeter_m")
)
_NAMES_OF_THE_ENGINE = _SAID_ANEW.union(
    (name for name, _, _ in field_mapping.SCHEMA),
    ("fid", "ogc_fid", "geometry", "geom", "ogr_geometry"),
)
"""In lower case: a field of the old layer with one of these may have another name in its layers."""

_LONGEST_IN_A_SHAPEFILE = 254
"""Bytes of a text; the rest is left out, a letter as a whole."""

NOTHING = ("confirmed", "unseen")
AS_IT_WAS = (*NOTHING, "gone")
"""What became of polygons whose outline in the layer of changes is the old one."""


def is_update(layer: QgsVectorLayer) -> bool:
    """Whether a layer is what ``samgeo update`` has made."""
    names = {name.lower() for name in layer.fields().names()}
    return all(not names.isdisjoint((name, name[:10])) for name in _FIELDS)  # as in a Shapefile


def old_layer_of(layer: QgsVectorLayer) -> Optional[QgsVectorLayer]:
    """The project's layer that a layer of changes is about; None where it is not open.

    Of several layers of one file, the one that suits best.
    """
    feature = next((f for f in layer.getFeatures() if text_of(f["old_layer"])), None)
    if feature is None:
        return None
    said = text_of(feature["old_layer"])
    path, _, name = said.partition("|layername=")
    wanted = Path(path).resolve()
    found: list[QgsVectorLayer] = []
    moved: list[QgsVectorLayer] = []
    for other in QgsProject.instance().mapLayers().values():
        if not isinstance(other, QgsVectorLayer) or other.providerType() != "ogr":
            continue
        parts = QgsProviderRegistry.instance().decodeUri("ogr", other.source())
        own = str(parts.get("path") or "")
        file = Path(own).resolve()
        if len(said.encode()) > _LONGEST_IN_A_SHAPEFILE - 4 and (
            f"{own}|layername={parts.get('layerName') or file.stem}".startswith(said)
        ):
            found.append(other)
        elif str(parts.get("layerName") or name) != name:
            continue
        elif file == wanted:
            found.append(other)
        elif file.name == wanted.name and not wanted.exists():
            moved.append(other)  # both files have been moved since
    return max(found or moved, key=_suits, default=None)


def _suits(layer: QgsVectorLayer) -> tuple[bool, ...]:
    """How well a layer shows what the review does to its file, the most important first."""
    node = QgsProject.instance().layerTreeRoot().findLayer(layer.id())
    seen = node is not None and node.isVisible()
    return not layer.subsetString(), not layer.readOnly(), layer.isEditable(), seen


def old_id_of(change: QgsFeature) -> Optional[int]:
    """The id of the polygon that a change is about, as it was when changes were found; None for a
    new object."""
    try:
        return int(change["old_fid"])
    except (TypeError, ValueError):
        return None


def layer_before(changes: QgsVectorLayer) -> Optional[QgsVectorLayer]:
    """The engine's layer of old outlines beside a layer of changes; None where there is none."""
    if changes.providerType() != "ogr":
        return None
    parts = QgsProviderRegistry.instance().decodeUri("ogr", changes.source())
    name = f"{parts.get('layerName')}_before"
    layer = QgsVectorLayer(f"{parts.get('path')}|layername={name}", name, "ogr")
    return layer if layer.isValid() and layer.fields().lookupField("old_fid") >= 0 else None


def values_before(before: QgsFeature, fields: QgsFields) -> dict[int, Any]:
    """Attributes of an old polygon as the engine kept them, by the old layer's fields.

    Args:
        before: Of the engine's layer of old outlines.
        fields: The old layer's.
    """
    own = {name.lower() for name in fields.names()}
    values = {}
    for index, name in enumerate(fields.names()):
        places = map(before.fields().indexFromName, (_name_before(name, own), name))
        place = next((each for each in places if each >= 0), -1)
        if place >= 0:
            values[index] = before.attribute(place)
    return values


def _name_before(name: str, own: set[str]) -> str:
    """What the engine calls a field of the old layer whose name it uses itself, unless the field is
    one of its own (``carried_fields`` in the engine's ``vectors/schema.py``).

    Args:
        name: Of the field.
        own: Names of all fields of the old layer, in lower case.
    """
    prefix = "old_" if name.lower() in _SAID_ANEW else "prompt_"
    given = name
    while given.lower() in _NAMES_OF_THE_ENGINE or (given != name and given.lower() in own):
        given = prefix + given
    return given
