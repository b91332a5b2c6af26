# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs inside QGIS (``qgis --code``): a review, *Improve the model*, and the next click.

    python3 tests/gui/screenshots.py --script tests/gui/qgis_improve.py --out FOLDER \
        --raster sample_data/town.tif --truth sample_data/town_truth.gpkg --timeout 340

The last decisions of a review of houses are made with the X server's own keyboard, the button and
the dialog's *Run* are pressed with its mouse. While the model trains the map is zoomed with the
wheel. The new model must be offered, become the panel's, and answer the next click. Trained models
go to FOLDER.

SAMGEO_IMPROVE_MINUTES: how long it trains.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time

from osgeo import gdal
from processes import below
from qgis.core import (
    QgsCoordinateTransform,
    QgsFeature,
    QgsField,
    QgsFields,
    QgsGeometry,
    QgsPointXY,
    QgsProject,
    QgsRasterLayer,
    QgsVectorFileWriter,
    QgsVectorLayer,
    QgsWkbTypes,
)
from qgis.PyQt.QtCore import QPoint, QTimer, QVariant
from qgis.PyQt.QtWidgets import (
    QApplication,
    QDialog,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QTextEdit,
    QWidget,
)
from qgis.utils import iface
from qgis_window import OUT, Failed, Window

RASTER, TRUTH = os.environ["SAMGEO_SESSION_RASTER"], os.environ["SAMGEO_SESSION_TRUTH"]
MINUTES = float(os.environ.get("SAMGEO_IMPROVE_MINUTES", "1"))
NAME = "my-houses"
SIDE = int(os.environ.get("SAMGEO_IMPROVE_SIDE", "1024"))
"""Pixels of the corner of the raster that is used."""

BY_HAND = 6
"""Decisions that are left to the keyboard."""

shutil.rmtree(OUT / "models", ignore_errors=True)  # of an earlier run
os.environ["SAMGEO_MODELS_DIR"] = str(OUT / "models")


class Improve(Window):
    """Review, train, use."""

    trained = False

    def run(self) -> None:
        self.stalls.part("load")
        gdal.UseExceptions()
        corner = str(OUT / "corner.tif")
        gdal.Translate(corner, gdal.Open(RASTER), srcWin=[0, 0, SIDE, SIDE])
        raster = QgsRasterLayer(corner, "town")
        QgsProject.instance().addMapLayer(raster)
        iface.mainWindow().showMaximized()
        self.wait(1)
        QgsProject.instance().setCrs(raster.crs())
        self.plugin.dock.setUserVisible(True)
        self.wait(1)
        self.plugin.controller.choose(raster=raster.id(), bands=(1, 2, 3))
        layer, area = self.houses(raster)
        self.review(layer)

        self.stalls.part("dialog")
        # The dialog has an event loop of its own, in which all of this happens until it is closed.
        failed: list[Exception] = []

        def within() -> None:
            if self.dialog() is None:
                # To wait here would have the dialog's loop begin inside the wait, which never ends.
                QTimer.singleShot(100, within)
                return
            try:
                self.train(layer, area)
            except Exception as error:
                failed.append(error)
                self.picture("failed_training")
            finally:
                dialog = self.dialog()
                if dialog is not None:
                    dialog.close()

        QTimer.singleShot(500, within)
        self.press(self.plugin.dock.review.improve)
        self.until(lambda: self.trained or failed, "the training", 600)
        if failed:
            raise failed[0]

        self.stalls.part("next click")
        session = self.plugin.controller.session
        iface.messageBar().clearWidgets()
        self.canvas.setExtent(raster.extent())
        self.canvas.refresh()
        self.wait(1)
        if self.plugin.controller.choice.model != NAME:
            raise Failed(f"the panel's model is {self.plugin.controller.choice.model}")
        self.plugin.tool_action.trigger()
        self.until(lambda: session.state == "ready", "the raster is opened")
        started = time.monotonic()
        self.click(self.point)
        self.until(lambda: session.candidates, "a polygon for a click")
        model = (session.info.get("model") or {}).get("name")
        self.step("next click", model=model,
                  ms=round((time.monotonic() - started) * 1000))  # fmt: skip
        self.picture("next_click")
        if model != NAME:
            raise Failed(f"the click was answered by {model}")
        session.clear()

    def train(self, layer: QgsVectorLayer, area: QgsVectorLayer) -> None:
        """In the dialog: what is asked for, *Run*, the progress, the gain."""
        from samgeo_seamless import settings

        dialog = self.dialog()
        self.wait(1)
        asked = dialog.createProcessingParameters()
        if asked.get("LABELS") not in (layer.id(), layer.source()):
            raise Failed(f"the dialog asks for other polygons: {asked.get('LABELS')}")
        dialog.setParameters(
            {**asked, "COMPLETE": area.id(), "NAME": NAME, "MINUTES": MINUTES, "THREADS": 2}
        )
        self.wait(0.5)
        self.picture("dialog")

        self.stalls.part("training")
        started = time.monotonic()
        self.press(self.button(dialog, "Run"))
        self.until(lambda: below(os.getpid()), "the engine", 60)
        seen, nice = [], set()
        end = time.monotonic() + 600
        while settings.MODEL.get() != NAME:
            bar = dialog.findChild(QProgressBar)
            seen.append(bar.value() if bar is not None else 0)
            for pid in below(os.getpid()):
                try:
                    nice.add(os.getpriority(os.PRIO_PROCESS, pid))
                except OSError:
                    continue  # it has ended since
            if len(seen) == 20:
                self.picture("training")
            self.wheel(4 if len(seen) % 2 else 5)
            self.wait(0.5)
            if time.monotonic() > end or self.said(dialog, "No gain"):
                self.picture("not_offered")
                raise Failed("the model is not offered")
        steps = sorted(set(seen))
        self.step("trained and offered", seconds=round(time.monotonic() - started),
                  progress=steps, engine_nice=sorted(nice))  # fmt: skip
        if len(steps) < 4:
            raise Failed(f"hardly any progress is shown: {steps}")
        if max(nice) < 15:  # it begins higher
            raise Failed(f"the engine's priority is not low: {nice}")
        self.wait(1)
        if not self.said(dialog, "Better on objects"):
            raise Failed("the gain is not shown")
        self.picture("gain")
        self.trained = True

    def houses(self, raster: QgsRasterLayer) -> tuple[QgsVectorLayer, QgsVectorLayer]:
        """The houses on the raster, all but the last accepted; and the area that is complete."""
        truth = QgsVectorLayer(f"{TRUTH}|layername=buildings", "truth", "ogr")
        move = QgsCoordinateTransform(truth.crs(), raster.crs(), QgsProject.instance())
        fields = QgsFields()
        for name, kind in (("status", QVariant.String), ("score", QVariant.Double)):
            fields.append(QgsField(name, kind))
        shapes = []
        for feature in truth.getFeatures():
            shape = QgsGeometry(feature.geometry())
            shape.transform(move)
            if raster.extent().contains(shape.boundingBox()):
                shapes.append(shape)
        shapes.sort(key=lambda shape: shape.boundingBox().xMinimum())
        middle = raster.extent().center()
        self.point = min(
            (shape.pointOnSurface().asPoint() for shape in shapes),
            key=lambda point: point.sqrDist(QgsPointXY(middle)),
        )
        everywhere = QgsGeometry.fromRect(raster.extent())
        rows = [(shape, "accepted") for shape in shapes]
        rows[:BY_HAND] = [(shape, None) for shape in shapes[:BY_HAND]]
        houses = self.written("houses", fields, rows)
        area = self.written("area", fields, [(everywhere, None)])
        QgsProject.instance().layerTreeRoot().findLayer(area.id()).setItemVisibilityChecked(False)
        self.step("polygons", houses=len(shapes), undecided=BY_HAND)
        return houses, area

    def written(self, name: str, fields: QgsFields, rows: list) -> QgsVectorLayer:
        options = QgsVectorFileWriter.SaveVectorOptions()
        options.driverName = "GPKG"
        path = str(OUT / f"{name}.gpkg")
        project = QgsProject.instance()
        writer = QgsVectorFileWriter.create(
            path, fields, QgsWkbTypes.Type.MultiPolygon, project.crs(),
            project.transformContext(), options,
        )  # fmt: skip
        for number, (shape, status) in enumerate(rows):
            feature = QgsFeature(fields)
            whole = QgsGeometry(shape)
            whole.convertToMultiType()
            feature.setGeometry(whole)
            feature.setAttributes([status, 0.9 if status else 0.1 + 0.01 * number])
            writer.addFeature(feature)
        del writer
        layer = QgsVectorLayer(path, name, "ogr")
        project.addMapLayer(layer)
        return layer

    def review(self, layer: QgsVectorLayer) -> None:
        """The decisions that are left, with the keyboard; saved."""
        self.stalls.part("review")
        panel, review = self.plugin.dock.review, self.plugin.review
        panel.setCollapsed(False)
        panel.layer.setLayer(layer)
        self.wait(0.5)
        panel.mode.start.click()
        self.until(lambda: review.ready, "the queue", 60)
        self.wait(1)
        self.canvas.setFocus()
        for _ in range(BY_HAND):
            subprocess.run(["xdotool", "key", "a"], check=True)
            self.wait(0.5)
        if not layer.commitChanges(False):
            raise Failed("; ".join(layer.commitErrors()))
        states = [str(feature["status"]) for feature in layer.getFeatures()]
        if states.count("accepted") != len(states):
            raise Failed(f"not all are accepted: {sorted(set(states))}")
        self.step("reviewed", accepted=len(states))
        self.picture("reviewed")

    def dialog(self) -> QDialog | None:
        for widget in QApplication.topLevelWidgets():
            if widget.isVisible() and hasattr(widget, "createProcessingParameters"):
                return widget
        return None

    def button(self, dialog: QWidget, text: str) -> QPushButton:
        for button in dialog.findChildren(QPushButton):
            if button.isVisible() and button.text().replace("&", "") == text:
                return button
        raise Failed(f"the dialog has no button {text}")

    def press(self, widget: QWidget) -> None:
        """With the X server's mouse."""
        area = widget.parentWidget()
        while area is not None and not isinstance(area, QScrollArea):
            area = area.parentWidget()
        if area is not None:
            area.ensureWidgetVisible(widget)
        self.wait(0.3)
        self.point_to(widget.mapToGlobal(widget.rect().center()))
        subprocess.run(["xdotool", "click", "1"], check=True)
        self.wait(0.3)

    def point_to(self, at: QPoint) -> None:
        subprocess.run(["xdotool", "mousemove", str(at.x()), str(at.y())], check=True)

    def wheel(self, button: int) -> None:
        """Zoom the map in (4) or out (5) in a corner that the dialog does not cover."""
        view = self.canvas.viewport()
        self.point_to(view.mapToGlobal(view.rect().bottomLeft()) + QPoint(40, -40))
        subprocess.run(["xdotool", "click", str(button)], check=True)

    def said(self, dialog: QDialog, text: str) -> bool:
        """Whether the dialog's log has a text."""
        return any(text in log.toPlainText() for log in dialog.findChildren(QTextEdit))


if __name__ == "__main__":
    QTimer.singleShot(1500, lambda: Improve().tell())
