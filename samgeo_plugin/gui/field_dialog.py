# SPDX-License-Identifier: GPL-2.0-or-later
"""Which of the engine's attributes goes into which field of the target layer."""

from __future__ import annotations

from typing import Optional

from qgis.core import QgsFields, QgsVectorLayer
from qgis.gui import QgsFieldComboBox
from qgis.PyQt.QtWidgets import QDialog, QDialogButtonBox, QFormLayout, QVBoxLayout, QWidget

from ..i18n import tr
from ..interactive import field_mapping


class FieldDialog(QDialog):
    """One row an attribute; an empty field leaves the attribute out."""

    def __init__(self, layer: QgsVectorLayer, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Fields of {layer}").format(layer=layer.name()))
        self._layer = layer
        self.boxes: dict[str, QgsFieldComboBox] = {}
        form = QFormLayout()
        chosen, fields = field_mapping.mapping(layer), QgsFields()
        for index, field in enumerate(layer.fields()):
            if field_mapping.is_stored(layer, index):
                fields.append(field)
        for name, _, kind in field_mapping.SCHEMA:
            box = QgsFieldComboBox()
            box.setFields(fields)
            box.setAllowEmptyFieldName(True)
            box.setField(chosen.get(name, ""))
            self.boxes[name] = box
            form.addRow(f"{name} ({kind})", box)
        buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel
        )
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(buttons)

    def accept(self) -> None:
        """Keep the mapping with the layer."""
        field_mapping.set_mapping(
            self._layer,
            {name: box.currentField() for name, box in self.boxes.items() if box.currentField()},
        )
        super().accept()
