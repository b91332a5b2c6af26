# SPDX-License-Identifier: GPL-2.0-or-later
"""Refinement of polygons, shown live."""

from __future__ import annotations

from typing import Optional

from qgis.gui import QgsCollapsibleGroupBox, QgsDoubleSpinBox, QgsSpinBox
from qgis.PyQt.QtCore import QTimer
from qgis.PyQt.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QWidget,
)

from .. import settings
from ..i18n import tr
from ..interactive.candidates import Refinement
from ..interactive.controller import Controller


class RefinementPanel(QgsCollapsibleGroupBox):
    """What is done to the current polygon and to accepted ones; kept between sessions."""

    def __init__(self, controller: Controller, parent: Optional[QWidget] = None) -> None:
        super().__init__(tr("Refinement"), parent)
        self._controller = controller
        self.setFlat(True)
        form = QFormLayout(self)
        form.setVerticalSpacing(4)
        self.largest_part = QCheckBox(tr("Largest part only"))
        self.largest_part.setToolTip(tr("Specks beside the object are left out"))
        form.addRow(self.largest_part)
        self.max_vertices = QgsSpinBox()
        self.max_vertices.setRange(0, 10_000)
        self.max_vertices.setSpecialValueText(tr("no limit"))
        self.max_vertices.setClearValue(16)
        self.max_vertices.setKeyboardTracking(False)
        self.max_vertices.setToolTip(
            tr("Outlines are simplified to so many vertices, unless that would change their shape")
        )
        form.addRow(tr("Most vertices"), self.max_vertices)
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
        self._restore()
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(120)
        self._soon.timeout.connect(self._apply)
        for spin in (self.simplify, self.min_area, self.min_hole):
            spin.valueChanged.connect(lambda _: self._soon.start())
        self.max_vertices.valueChanged.connect(lambda _: self._soon.start())
        self.largest_part.toggled.connect(lambda _: self._soon.start())
        self.outlines.currentIndexChanged.connect(lambda _: self._soon.start())
        self.accepted_too.toggled.connect(lambda _: self._soon.start())
        controller.session.set_refinement(self.refinement())

    def _restore(self) -> None:
        self.simplify.setValue(settings.SIMPLIFY.get())
        self.min_area.setValue(settings.MIN_AREA.get())
        self.min_hole.setValue(settings.MIN_HOLE.get())
        self.outlines.setCurrentIndex(max(self.outlines.findData(settings.OUTLINES.get()), 0))
        self.largest_part.setChecked(settings.LARGEST_PART.get())
        self.max_vertices.setValue(settings.MAX_VERTICES.get())

    def refinement(self) -> Refinement:
        return Refinement(
            self.simplify.value(),
            self.min_area.value(),
            self.min_hole.value(),
            str(self.outlines.currentData()),
            self.largest_part.isChecked(),
            self.max_vertices.value(),
        )

    def _apply(self) -> None:
        wanted = self.refinement()
        settings.SIMPLIFY.set(wanted.simplify)
        settings.MIN_AREA.set(wanted.min_area)
        settings.MIN_HOLE.set(wanted.min_hole)
        settings.OUTLINES.set(wanted.outlines)
        settings.LARGEST_PART.set(wanted.largest_part)
        settings.MAX_VERTICES.set(wanted.max_vertices)
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
