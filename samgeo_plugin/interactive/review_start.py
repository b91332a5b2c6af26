# SPDX-License-Identifier: GPL-2.0-or-later
"""What must be there before a review begins: a layer that is edited, its fields, the old layer."""

from __future__ import annotations

from typing import Optional

from qgis.core import QgsVectorLayer

from ..i18n import tr
from . import editing, target
from .changes_layer import DECISION, is_update, old_layer_of
from .decisions import decision_field
from .editing import EditError
from .review_fields import ReviewFields
from .update_review import UpdateReview


def prepare(layer: QgsVectorLayer) -> tuple[ReviewFields, Optional[UpdateReview]]:
    """Begin to edit a layer, and add a field for the decisions where it has none.

    Returns:
        Its fields, and what carries the decisions over to the old layer where it is an update.

    Raises:
        EditError: It cannot be reviewed; the text says why and what to do.
    """
    _raise_problem(layer)
    update = _update_of(layer) if is_update(layer) else None
    name = decision_field(layer)
    if name is None:
        raise EditError(
            tr(
                "{layer} has no room for the decisions: its field “{field}” holds other values or "
                "is no text; rename that field first."
            ).format(layer=layer.name(), field=DECISION)
        )
    editing.begin(layer)
    fields = ReviewFields(layer, name)
    if fields.status < 0:
        why = fields.add_status()
        if why is not None:
            raise EditError(why)
        fields.find()
    return fields, update


def _update_of(layer: QgsVectorLayer) -> UpdateReview:
    old = old_layer_of(layer)
    if old is None:
        raise EditError(
            tr("{name} is an update of a layer that is not open: open that layer first.").format(
                name=layer.name()
            )
        )
    _raise_problem(old)
    return UpdateReview(layer, old)


def _raise_problem(layer: QgsVectorLayer) -> None:
    why = target.problem(layer)
    if why is not None:
        raise EditError(why)
