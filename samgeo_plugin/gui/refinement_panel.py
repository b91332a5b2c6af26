# SPDX-License-Identifier: GPL-2.0-or-later
"""Refinement of polygons, shown live; and the filter of an automatic result by score and size."""

from __future__ import annotations

from typing import Any, Optional

from qgis.core import QgsMapLayerProxyModel, QgsVectorLayer
from qgis.gui import QgsCollapsibleGroupBox, QgsDoubleSpinBox, QgsMapLayerComboBox
from qgis.PyQt.QtCore import Qt, QTimer
from qgis.PyQt.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSlider,
    QWidget,
)

from ..candidates import Refinement
from ..controller import Controller
from ..i18n import tr

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


class FilterPanel(QgsCollapsibleGroupBox):
    """Score and size sliders on a result: a filter of the layer, nothing is run again."""

    def __init__(self, controller: Controller, parent: Optional[QWidget] = None) -> None:
        super().__init__(tr("Filter a result"), parent)
        self._controller = controller
        self.setFlat(True)
        form = QFormLayout(self)
        form.setVerticalSpacing(4)
        self.layer = QgsMapLayerComboBox()
        self.layer.setFilters(QgsMapLayerProxyModel.Filter.PolygonLayer)
        self.layer.setAllowEmptyLayer(True)
        self.layer.setCurrentIndex(0)
        self.layer.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        form.addRow(tr("Layer"), self.layer)
        self.score, self._score_text = _slider()
        form.addRow(tr("Least score"), _pair(self.score, self._score_text))
        self.area, self._area_text = _slider()
        form.addRow(tr("Least area"), _pair(self.area, self._area_text))
        row = QHBoxLayout()
        self.count = QLabel()
        row.addWidget(self.count, 1)
        self.reset = QPushButton(tr("Show all"))
        self.reset.clicked.connect(self._show_all)
        row.addWidget(self.reset)
        form.addRow(row)
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(150)
        self._soon.timeout.connect(self.apply)
        self.score.valueChanged.connect(self._moved)
        self.area.valueChanged.connect(self._moved)
        self.layer.layerChanged.connect(self._layer_chosen)
        self._layer_chosen(None)

    def least_score(self) -> float:
        return self.score.value() / _SLIDER_STEPS

    def least_area(self) -> float:
        """Square metres, 0 at the left end."""
        step = self.area.value()
        return 0.0 if step == 0 else round(0.1 * (_LARGEST / 0.1) ** (step / _SLIDER_STEPS), 1)

    def expression(self, layer: QgsVectorLayer) -> str:
        """The filter as the layer's provider understands it."""
        names = {field.name().lower(): field.name() for field in layer.fields()}
        parts = []
        for name, least in (("score", self.least_score()), ("area_m2", self.least_area())):
            if least > 0 and name in names:
                parts.append(f'"{names[name]}" >= {least}')
        return " AND ".join(parts)

    def apply(self) -> None:
        layer = self.layer.currentLayer()
        if not isinstance(layer, QgsVectorLayer):
            return
        if layer.isEditable():
            self._controller.reporter.show(
                "info",
                tr("{layer} is being edited; save it first, then filter it.").format(
                    layer=layer.name()
                ),
            )
            return
        if not layer.setSubsetString(self.expression(layer)):
            self._controller.reporter.show(
                "warning",
                tr("{layer} cannot be filtered; save it as a GeoPackage first.").format(
                    layer=layer.name()
                ),
            )
        self._show_count()

    def _show_all(self) -> None:
        self.score.setValue(0)
        self.area.setValue(0)
        self.apply()

    def _moved(self, *_: Any) -> None:
        self._score_text.setText(f"{self.least_score():.2f}")
        self._area_text.setText(f"{self.least_area():g} m²")
        self._soon.start()

    def _layer_chosen(self, layer: Optional[QgsVectorLayer]) -> None:
        names = (
            {f.name().lower() for f in layer.fields()}
            if isinstance(layer, QgsVectorLayer)
            else set()
        )
        self.score.setEnabled("score" in names)
        self.area.setEnabled("area_m2" in names)
        self.reset.setEnabled(bool(names))
        for slider in (self.score, self.area):
            slider.blockSignals(True)
            slider.setValue(0)
            slider.blockSignals(False)
        self._score_text.setText("0.00")
        self._area_text.setText("0 m²")
        self._show_count()

    def _show_count(self) -> None:
        layer = self.layer.currentLayer()
        count = layer.featureCount() if isinstance(layer, QgsVectorLayer) else -1
        self.count.setText(tr("{count} objects").format(count=count) if count >= 0 else "")


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


def _slider() -> tuple[QSlider, QLabel]:
    slider = QSlider(Qt.Orientation.Horizontal)
    slider.setRange(0, _SLIDER_STEPS)
    label = QLabel()
    label.setMinimumWidth(label.fontMetrics().horizontalAdvance("10000 m²"))
    label.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    return slider, label


def _pair(first: QWidget, second: QWidget) -> QWidget:
    widget = QWidget()
    layout = QHBoxLayout(widget)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.addWidget(first, 1)
    layout.addWidget(second)
    return widget
