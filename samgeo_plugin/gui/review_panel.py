# SPDX-License-Identifier: GPL-2.0-or-later
"""The review of a result: its style, and a filter by score and size."""

from __future__ import annotations

from typing import Any, Optional

from qgis.core import QgsMapLayerProxyModel, QgsProject, QgsVectorLayer
from qgis.gui import QgsCollapsibleGroupBox, QgsMapLayerComboBox
from qgis.PyQt import sip
from qgis.PyQt.QtCore import QSignalBlocker, Qt, QTimer, pyqtSignal
from qgis.PyQt.QtWidgets import (
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSlider,
    QWidget,
)

from .. import styles
from ..i18n import tr
from ..interactive.controller import Controller
from ..interactive.review import Review
from .review_mode import ReviewMode

_SLIDER_STEPS = 100
_LARGEST = 10_000.0
"""Square metres at the slider's right end; it is logarithmic from 0.1."""

OWN_FILTER = "samgeo_seamless/own_filter"
WHOLE_FILTER = "samgeo_seamless/whole_filter"
"""Custom properties of a layer: the filter that it had before the sliders', and both together."""


class ReviewPanel(QgsCollapsibleGroupBox):
    """Style, score and size of a layer of objects; nothing is run again."""

    improve_wanted = pyqtSignal()

    def __init__(
        self,
        controller: Controller,
        review: Review,
        window: Optional[QWidget],
        parent: Optional[QWidget] = None,
    ) -> None:
        super().__init__(tr("Review a result"), parent)
        self._controller = controller
        self._watched: Optional[QgsVectorLayer] = None
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
        self.style = QComboBox()
        self.style.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.style.setToolTip(tr("How the layer is drawn"))
        self.style.activated.connect(self._style_chosen)
        form.addRow(tr("Style"), self.style)
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
        self.mode = ReviewMode(review, self.chosen, controller, window)
        form.addRow(self.mode)
        self.improve = QPushButton(tr("Improve the model…"))
        self.improve.setToolTip(
            tr(
                "Trains the model on the accepted and corrected polygons of this layer, and keeps "
                "it only where it is better"
            )
        )
        self.improve.clicked.connect(lambda: self.improve_wanted.emit())
        form.addRow(self.improve)
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(150)
        self._soon.timeout.connect(self.apply)
        self.score.valueChanged.connect(self._moved)
        self.area.valueChanged.connect(self._moved)
        self.layer.layerChanged.connect(self._layer_chosen)
        QgsProject.instance().layersRemoved.connect(self._layers_removed)
        self._layer_chosen(None)

    def chosen(self) -> Optional[QgsVectorLayer]:
        layer = self.layer.currentLayer()
        return layer if isinstance(layer, QgsVectorLayer) else None

    def least_score(self) -> float:
        return self.score.value() / _SLIDER_STEPS

    def least_area(self) -> float:
        """Square metres, 0 at the left end."""
        step = self.area.value()
        return 0.0 if step == 0 else round(0.1 * (_LARGEST / 0.1) ** (step / _SLIDER_STEPS), 1)

    def expression(self, layer: QgsVectorLayer) -> str:
        """The sliders' filter as the layer's provider understands it."""
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
        if not _filter(layer, self.expression(layer)):
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

    def _watch(self, layer: Optional[QgsVectorLayer]) -> None:
        """Styles are also changed in QGIS's own windows."""
        if self._watched is not None and not sip.isdeleted(self._watched):
            self._watched.rendererChanged.disconnect(self._show_styles)
        self._watched = layer
        if layer is not None:
            layer.rendererChanged.connect(self._show_styles)

    def release(self) -> None:
        """Let go of the layer's signals; the panel is about to be deleted."""
        self.mode.release()
        QgsProject.instance().layersRemoved.disconnect(self._layers_removed)
        self._watch(None)

    def _show_styles(self) -> None:
        """The styles that suit the layer; none is chosen where it has one of its own."""
        layer = self._watched
        offered = styles.offered(layer)
        blocker = QSignalBlocker(self.style)
        self.style.clear()
        for name in offered:
            self.style.addItem(styles.title(name), name)
        now = styles.current(layer) if layer is not None and offered else None
        self.style.setCurrentIndex(self.style.findData(now) if now else -1)
        self.style.setEnabled(bool(offered))
        del blocker

    def _style_chosen(self, index: int) -> None:
        layer, name = self.layer.currentLayer(), self.style.itemData(index)
        if isinstance(layer, QgsVectorLayer) and name:
            styles.apply(layer, str(name))

    def _layers_removed(self, *_: object) -> None:
        """Where its layer is gone, the box shows another one without a word."""
        now = self.layer.currentLayer()
        if now is not self._watched:
            self._layer_chosen(now)

    def _layer_chosen(self, layer: Optional[QgsVectorLayer]) -> None:
        self._watch(layer if isinstance(layer, QgsVectorLayer) else None)
        self._show_styles()
        names = (
            {f.name().lower() for f in layer.fields()}
            if isinstance(layer, QgsVectorLayer)
            else set()
        )
        self.score.setEnabled("score" in names)
        self.area.setEnabled("area_m2" in names)
        self.reset.setEnabled(bool(names))
        self.mode.start.setEnabled(isinstance(layer, QgsVectorLayer) or self.mode.start.isChecked())
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


def _filter(layer: QgsVectorLayer, wanted: str) -> bool:
    """Filter a layer by the sliders, beside the filter that it has of its own; whether it can be.

    Where the filter is not what was set here last, somebody has set another one since.
    """
    own = layer.subsetString()
    if own and own == layer.customProperty(WHOLE_FILTER):
        own = str(layer.customProperty(OWN_FILTER) or "")
    if wanted and own.lstrip().upper().startswith("SELECT "):
        return False  # a whole query of OGR's: nothing can be added to it
    whole = f"({own}) AND {wanted}" if own and wanted else own or wanted
    if not layer.setSubsetString(whole):
        return False
    layer.removeCustomProperty(OWN_FILTER)
    layer.removeCustomProperty(WHOLE_FILTER)
    if wanted:
        layer.setCustomProperty(OWN_FILTER, own)
        layer.setCustomProperty(WHOLE_FILTER, layer.subsetString())
    return True


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
