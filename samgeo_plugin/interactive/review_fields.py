# SPDX-License-Identifier: GPL-2.0-or-later
"""The fields of a layer that a review needs: those with decisions and classes."""

from __future__ import annotations

from typing import Optional

from qgis.core import QgsFeature, QgsVectorLayer

from ..i18n import tr
from . import field_mapping, target
from .doubt import text_of


class ReviewFields:
    """Where they are now: fields come and go while a layer is edited, and by its undo.

    Args:
        layer: That is reviewed.
        status_name: Of the field with the decisions (``decisions.decision_field``).

    Attributes:
        status: Index of the field with the decisions; -1 where there is none.
        label: Index of the field with the class; -1 where there is none.
        label_name: Its name; empty where there is none.
    """

    def __init__(self, layer: QgsVectorLayer, status_name: str) -> None:
        self._layer = layer
        self.status_name = status_name
        self.status = self.label = -1
        self.label_name = ""
        self.find()

    def find(self) -> bool:
        """Look for the fields anew; returns whether the one with the decisions has come or gone."""
        fields = self._layer.fields()
        before, self.status = self.status, fields.lookupField(self.status_name)
        self.label = target.class_field(self._layer)
        self.label_name = fields.at(self.label).name() if self.label >= 0 else ""
        return (before < 0) != (self.status < 0)

    def add_status(self) -> Optional[str]:
        """Add the field with the decisions as a step of undo; returns why it cannot be added."""
        layer, name = self._layer, self.status_name
        layer.beginEditCommand(tr("Add a field for the review"))
        if layer.addAttribute(field_mapping.text_field(layer, name, 20)):
            layer.endEditCommand()
            return None
        layer.destroyEditCommand()
        return tr("{layer} lets no field be added; add a text field “{field}” to it first.").format(
            layer=layer.name(), field=name
        )

    def text(self, index: int, value: object) -> str:
        """A value of one of the fields, as it is after the save."""
        return text_of(field_mapping.filled_in(self._layer, index, value))

    def fill_in(self, feature: QgsFeature) -> None:
        """Give a feature that was read its values as they are after the save."""
        for index in (self.status, self.label):
            if index >= 0:
                value = field_mapping.filled_in(self._layer, index, feature.attribute(index))
                feature.setAttribute(index, value)
