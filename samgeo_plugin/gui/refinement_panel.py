# SPDX-License-Identifier: GPL-2.0-or-later
"""Refinement of polygons, shown live."""

from __future__ import annotations

from typing import Optional

from qgis.gui import QgsCollapsibleGroupBox, QgsDoubleSpinBox
from qgis.PyQt.QtCore import QTimer
from qgis.PyQt.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QWidget,
)

from ..i18n import tr
from ..interactive.candidates import Refinement
from ..interactive.controller import Controller

_SLIDER_STEPS = 100
_LARGEST = 10_000.0
"""Square metres at the slider's right end; it is logarithmic from 0.1."""


class RefinementPanel(QgsCollapsibleGroupBox):
    """Simplify, smallest area and hole, right angles: on the current polygon and accepted ones."""

    def __init__(self, controller: Controller, parent: Optional[QWidget] = None) -> None:
        super().__init__(tr("Refinement"), parent)
        self._controller = controller
        self.setFlat(True)
        form = QFormLayout(self)
        form.setVerticalSpacing(4)
        self.simplify = _spin(tr("off"), 2, 0.1)
        self.simplify.setToolTip(tr("Tolerance in ground units of the raster's CRS"))
        form.addRow(tr("Simplify"), self.simplify)
        self.min_area = _spin(tr("off"), 1, 1.0, " m²")
        self.min_area.setToolTip(tr("Smaller parts of the polygon are left out"))
        form.addRow(tr("Smallest part"), self.min_area)
        self.min_hole = _spin(tr("off"), 1, 1.0, " m²")
        self.min_hole.setToolTip(tr("Smaller holes are filled"))
        form.addRow(tr("Smallest hole"), self.min_hole)
        self.outlines = QComboBox()
        self.outlines.addItem(tr("As the model sees it"), "contour")
        self.outlines.addItem(tr("Right angles (buildings)"), "rectangles")
        form.addRow(tr("Outline"), self.outlines)
        self.outlines.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.accepted_too = QCheckBox(tr("Accepted objects too"))
        self.accepted_too.setToolTip(tr("Those that were accepted since the layer was last saved"))
        form.addRow(self.accepted_too)
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(120)
        self._soon.timeout.connect(self._apply)
        for spin in (self.simplify, self.min_area, self.min_hole):
            spin.valueChanged.connect(lambda _: self._soon.start())
        self.outlines.currentIndexChanged.connect(lambda _: self._soon.start())
        self.accepted_too.toggled.connect(lambda _: self._soon.start())

    def refinement(self) -> Refinement:
        return Refinement(
            self.simplify.value(),
            self.min_area.value(),
            self.min_hole.value(),
            str(self.outlines.currentData()),
        )

    def _apply(self) -> None:
        self._controller.refine(self.refinement(), self.accepted_too.isChecked())


def _spin(special: str, decimals: int, step: float, suffix: str = "") -> QgsDoubleSpinBox:
    spin = QgsDoubleSpinBox()
    spin.setRange(0.0, 1e6)
    spin.setDecimals(decimals)
    spin.setSingleStep(step)
    spin.setSuffix(suffix)
    spin.setSpecialValueText(special)
    spin.setClearValue(0.0, special)
    spin.setKeyboardTracking(False)
    return spin
