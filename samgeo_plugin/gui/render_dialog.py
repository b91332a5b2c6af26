# SPDX-License-Identifier: GPL-2.0-or-later
"""Extent and resolution of a temporary rendering, with its size and the limit in view."""

from __future__ import annotations

from typing import Optional

from qgis.core import QgsRectangle, QgsUnitTypes
from qgis.gui import QgsDoubleSpinBox, QgsMapCanvas
from qgis.PyQt.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLabel,
    QVBoxLayout,
    QWidget,
)

from .. import rasters, rendering, settings
from ..i18n import tr
from ..interactive.engine_session import View


class RenderDialog(QDialog):
    """The visible extent of a map canvas, in the map's CRS."""

    def __init__(self, name: str, canvas: QgsMapCanvas, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Render {layer}").format(layer=name))
        self._extent: QgsRectangle = canvas.extent()
        self._view = View.of(canvas.mapSettings())
        self.plan: Optional[rendering.RenderPlan] = None
        self.resolution = QgsDoubleSpinBox()
        degrees = self._view.crs.isGeographic()
        self.resolution.setDecimals(8 if degrees else 3)
        self.resolution.setRange(1e-8 if degrees else 1e-3, 1e6)
        self.resolution.setValue(canvas.mapUnitsPerPixel())
        self.resolution.setSuffix(" " + QgsUnitTypes.toString(self._view.crs.mapUnits()))
        self.resolution.setShowClearButton(False)
        self.facts = QLabel()
        self.facts.setWordWrap(True)
        text = QLabel(
            tr(
                "The visible part of the map layer is rendered as it looks and used in its place. "
                "The file is temporary and goes with this QGIS."
            )
        )
        text.setWordWrap(True)
        form = QFormLayout()
        form.addRow(tr("Resolution, a pixel"), self.resolution)
        form.addRow(tr("Picture"), self.facts)
        self.buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel
        )
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(text)
        layout.addLayout(form)
        layout.addWidget(self.buttons)
        self.resolution.valueChanged.connect(self._show)
        self._show()

    def _show(self, *_: object) -> None:
        ok = self.buttons.button(QDialogButtonBox.StandardButton.Ok)
        try:
            plan = rendering.plan_rendering(
                self._extent,
                self._view.crs,
                self.resolution.value(),
                settings.RENDER_LIMIT.get(),
                self._view.times,
            )
        except rasters.LayerError as error:
            self.facts.setText(str(error))
            ok.setEnabled(False)
            return
        self.plan = plan
        text = tr("{width} × {height} pixels, {size} MB; the limit is {limit} a side").format(
            width=plan.width,
            height=plan.height,
            size=max(1, round(plan.megabytes)),
            limit=plan.limit,
        )
        self.facts.setText(text)
        ok.setEnabled(plan.fits)
