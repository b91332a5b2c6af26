# SPDX-License-Identifier: GPL-2.0-or-later
"""What is decided of a polygon in a review, and the field of a layer that holds it."""

from __future__ import annotations

from typing import Optional

from qgis.core import QgsVectorLayer

from .. import field_types
from . import field_mapping
from .changes_layer import DECISION, is_update
from .doubt import text_of

STATUS = "status"
ACCEPTED = "accepted"
REJECTED = "rejected"
OPEN = ""

_DECISIONS = frozenset({OPEN, ACCEPTED, "corrected", REJECTED})
"""What a field holds that is for decisions."""


def decision_field(layer: QgsVectorLayer) -> Optional[str]:
    """The field with a layer's decisions, or the name of the one that is to be added for them.

    Returns:
        None where fields of these names hold other values, which stay as they are.
    """
    for name in (DECISION,) if is_update(layer) else (STATUS, DECISION):
        index = layer.fields().lookupField(name)
        if index < 0:
            return name
        if _is_for_decisions(layer, index):
            return str(layer.fields().at(index).name())  # found by its alias, perhaps
    return None


def _is_for_decisions(layer: QgsVectorLayer, index: int) -> bool:
    field = layer.fields().at(index)
    if not field_mapping.is_stored(layer, index):
        return False
    if field.type() != field_types.TEXT or 0 < field.length() < max(map(len, _DECISIONS)):
        return False
    values = layer.uniqueValues(index, len(_DECISIONS) + 2)  # NULL, and one that is none of them
    known = (field_mapping.filled_in(layer, index, value) for value in values)
    return {text_of(value) for value in known} <= _DECISIONS
