# SPDX-License-Identifier: GPL-2.0-or-later
"""Find all like these: where, how far it is, how sure it must be, and what is right of it."""

from __future__ import annotations

from typing import Any, Optional

from qgis.core import (
    QgsCoordinateTransform,
    QgsCsException,
    QgsFeatureRequest,
    QgsGeometry,
    QgsMapLayerProxyModel,
    QgsProject,
    QgsVectorLayer,
)
from qgis.gui import QgsCollapsibleGroupBox, QgsMapCanvas, QgsMapLayerComboBox
from qgis.PyQt.QtCore import Qt, pyqtSignal
from qgis.PyQt.QtWidgets import (
    QAction,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QSlider,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from ..i18n import tr
from ..interactive.candidate_layer import Found
from ..interactive.controller import Controller
from ..interactive.examples import Examples
from ..interactive.find_like import FindLike
from ..interactive.in_steps import InSteps
from ..interactive.take_over import TakeOver
from ..interactive.target import TargetError
from .example_tool import ExampleTool

VIEW = "view"
AREA = "area"
RASTER = "raster"

_MOST_AREAS = 1000
"""Polygons of a layer that are taken for one area."""


class FindPanel(QgsCollapsibleGroupBox):
    """The search and what is done with its result.

    Args:
        controller: The plugin's state.
        find: The search.
        examples: The project's.
        tool: Corrects by clicks.
        tool_action: Chooses that tool.
        canvas: The map.
        parent: Qt's owner.
    """

    tool_wanted = pyqtSignal()

    def __init__(
        self,
        controller: Controller,
        find: FindLike,
        examples: Examples,
        tool: ExampleTool,
        tool_action: QAction,
        canvas: QgsMapCanvas,
        parent: Optional[QWidget] = None,
    ) -> None:
        super().__init__(tr("All like these"), parent)
        self._controller = controller
        self._find = find
        self._examples = examples
        self._tool = tool
        self._canvas = canvas
        self._take = TakeOver(self)
        self._take.ended.connect(self._taken)
        self._teaching = InSteps(self)
        self.setFlat(True)

        self.where = QComboBox()
        for text, value in (
            (tr("Visible extent"), VIEW),
            (tr("Polygons of a layer"), AREA),
            (tr("Whole raster"), RASTER),
        ):
            self.where.addItem(text, value)
        self.where.setToolTip(tr("Where objects are looked for"))
        self.area = QgsMapLayerComboBox()
        self.area.setFilters(QgsMapLayerProxyModel.Filter.PolygonLayer)
        for box in (self.where, self.area):
            box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.start = QPushButton(tr("Find all like these"))
        self.start.setToolTip(
            tr("Find all objects that are like the accepted ones of each class, in the background")
        )
        self.start.clicked.connect(self._start)
        self.progress = QProgressBar()
        self.progress.setMaximumHeight(8)
        self.progress.setTextVisible(False)
        self.counts = QLabel()
        self.counts.setWordWrap(True)

        self.least = QSlider(Qt.Orientation.Horizontal)
        self.least.setRange(5, 95)
        self.least.setValue(round(find.least * 100))
        self.least.setToolTip(tr("How probable the class of an object that is shown must be"))
        self.least.valueChanged.connect(self._slid)
        self.least_text = QLabel()
        self.least_text.setMinimumWidth(self.least_text.fontMetrics().horizontalAdvance("0.00 "))
        probability = QHBoxLayout()
        probability.addWidget(QLabel(tr("Probability")))
        probability.addWidget(self.least, 1)
        probability.addWidget(self.least_text)

        self.correct = QToolButton()
        self.correct.setDefaultAction(tool_action)
        self.next = QPushButton(tr("What to ask next"))
        self.next.setToolTip(tr("Go to the object whose answer teaches most"))
        self.next.clicked.connect(self._ask)
        self.hint = QLabel()
        self.hint.setWordWrap(True)
        self.take = QPushButton(tr("Take into the target layer"))
        self.take.setToolTip(tr("Copy what is shown; one step of the layer's undo"))
        self.take.clicked.connect(self._take_over)
        self.correct.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        row = QHBoxLayout()
        row.setSpacing(3)
        for button in (self.correct, self.next):
            button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            row.addWidget(button, 1)

        # A box that is opened shows all that lies in it, also what is hidden on purpose.
        inside = QWidget()
        whole = QVBoxLayout(self)
        whole.setContentsMargins(6, 4, 6, 4)
        whole.addWidget(inside)
        layout = QVBoxLayout(inside)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.where)
        layout.addWidget(self.area)
        layout.addWidget(self.start)
        layout.addWidget(self.progress)
        layout.addWidget(self.counts)
        layout.addLayout(probability)
        layout.addLayout(row)
        layout.addWidget(self.hint)
        layout.addWidget(self.take)

        self.where.currentIndexChanged.connect(self.show_state)
        find.changed.connect(self.show_state)
        examples.changed.connect(self.show_state)
        tool.asked_changed.connect(self._show_asked)
        self.show_state()
        self._show_asked(None)

    def release(self) -> None:
        """The panel is about to be deleted."""
        self._take.stop()
        self._teaching.stop()

    # --- what is shown --------------------------------------------------------------------------

    def show_state(self, *_: object) -> None:
        find = self._find
        self.area.setVisible(self.where.currentData() == AREA)
        self.start.setText(tr("Stop") if find.running else tr("Find all like these"))
        self.progress.setVisible(find.running)
        self.progress.setRange(0, find.tiles)  # 0 to 0 while nothing is known: it moves
        self.progress.setValue(find.done)
        self.least_text.setText(f"{self.least.value() / 100:.2f}")
        self.counts.setText(self._counts())
        self.counts.setVisible(bool(self.counts.text()))
        self.next.setEnabled(bool(find.ask) and find.there)
        self.correct.defaultAction().setEnabled(find.there)
        self.take.setEnabled(bool(find.kept) and not self._take.busy)

    def _counts(self) -> str:
        find = self._find
        lines = []
        if find.there or find.running:
            lines.append(
                tr("{kept} shown of {found} objects").format(
                    kept=len(find.kept), found=len(find.found)
                )
            )
        counts = self._examples.counts
        if counts:
            named = [f"{name} {count}" for name, count in sorted(counts.items()) if name]
            none = [tr("none of these {count}").format(count=counts[""])] if counts[""] else []
            lines.append(tr("Examples: {counts}").format(counts=", ".join([*named, *none])))
        return "\n".join(lines)

    def _show_asked(self, one: Optional[Found]) -> None:
        if one is None:
            text = tr("Left click on an object: right. Right click: wrong.")
        else:
            kept = self._find.kept.get(one.id)
            text = (
                tr("{name} ({probability})? Y yes, X none of the classes, 1–9 class, N next")
                .format(name=kept[0], probability=f"{kept[1]:.2f}")
                if kept
                else tr("Not shown now. 1–9 class, X none of the classes, N next")
            )  # fmt: skip
        self.hint.setText(text)

    # --- what is done ---------------------------------------------------------------------------

    def _slid(self, value: int) -> None:
        self.least_text.setText(f"{value / 100:.2f}")
        self._find.set_least(value / 100)

    def _start(self) -> None:
        find, controller = self._find, self._controller
        if find.running or self._teaching.busy:
            self._teaching.stop()
            find.stop()
            return
        whole = self.where.currentData() == RASTER
        if whole and controller.raster_layer() is None:
            controller.reporter.show("warning", tr("Choose a raster layer first."))
            return
        area = None if whole else self._area()
        if area is None and not whole:
            return
        classes = controller.classes
        otherwise = ""
        if not classes.names and self._examples.has_noted:
            otherwise = tr("like these")
            classes.add(otherwise)
        self._teaching.start(
            self._examples.add_noted(controller.target_layer(), otherwise),
            lambda: self._search(area),
        )

    def _search(self, area: Optional[QgsGeometry]) -> None:
        """Accepted objects are examples now: look for what is like them."""
        controller = self._controller
        if not any(name for name in self._examples.counts):
            controller.reporter.show(
                "info", tr("Accept some objects of a class first: click each, then Enter.")
            )
            return
        self.tool_wanted.emit()  # opens the raster
        raster = controller.raster_layer()
        if raster is None:
            controller.reporter.show("warning", tr("Choose a raster layer first."))
            return
        self._find.start(tr("Like these in {raster}").format(raster=raster.name()), area)

    def _area(self) -> Optional[QgsGeometry]:
        """Where to look, in the map's CRS; None for everywhere, or with a sentence for nowhere."""
        if self.where.currentData() == VIEW:
            return QgsGeometry.fromRect(self._canvas.extent())
        layer = self.area.currentLayer()
        if self.where.currentData() == RASTER:
            return None
        shapes: list[QgsGeometry] = []
        if isinstance(layer, QgsVectorLayer):
            move = QgsCoordinateTransform(
                layer.crs(), self._canvas.mapSettings().destinationCrs(), QgsProject.instance()
            )
            source: Any = layer.getFeatures(QgsFeatureRequest().setLimit(_MOST_AREAS))
            if layer.selectedFeatureCount():
                source = layer.getSelectedFeatures()
            for feature in source:
                shape = QgsGeometry(feature.geometry())
                try:
                    shape.transform(move)
                except QgsCsException:
                    continue
                shapes.append(shape)
        if not shapes:
            self._controller.reporter.show(
                "warning", tr("Choose a layer whose polygons are the area.")
            )
            return None
        return QgsGeometry.unaryUnion(shapes)

    def _ask(self) -> None:
        action = self.correct.defaultAction()
        if not action.isChecked():
            action.trigger()
        if not self._tool.ask_next():
            self._controller.reporter.show("info", tr("All that was worth asking is answered."))
        self._canvas.setFocus()

    def _take_over(self) -> None:
        controller, find = self._controller, self._find
        layer = controller.target_layer() or controller.new_target()
        if layer is None:
            return
        model = (controller.session.info.get("model") or {}).get("name")
        raster = controller.raster_layer()
        attributes = {
            "model": model,
            "source": raster.name() if raster is not None else "",
            "prompt_type": "example",
        }
        objects = [
            (find.found[key], name) for key, (name, _) in find.kept.items() if key in find.found
        ]
        try:
            self._take.start(layer, find.crs, objects, attributes, controller.session.refinement)
        except TargetError as error:
            controller.reporter.show("error", str(error))
            return
        self.show_state()

    def _taken(self, added: int, left: int) -> None:
        controller = self._controller
        layer = controller.target_layer()
        if layer is not None:
            controller.show_classes_of(layer)
        text = tr("{count} objects are in {layer}, not saved yet.").format(
            count=added, layer="" if layer is None else layer.name()
        )
        if left:
            text += " " + tr("{count} were there already or do not fit.").format(count=left)
        controller.reporter.show("success" if added else "info", text)
        self.show_state()
