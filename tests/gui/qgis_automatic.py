# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs inside QGIS (``qgis --code``): automatic runs from the dock are stopped and go on.

    python3 tests/gui/screenshots.py --script tests/gui/qgis_automatic.py --out FOLDER --timeout 500

Buttons are pressed with the X server's own mouse (xdotool). A run over everything in the view is
stopped after its second tile: what it has found is in the target layer. From the history it goes on
to its end, and a run for buildings follows. Clicks on the map go on working meanwhile.
"""

from __future__ import annotations

import subprocess
import time

from qgis.core import QgsCoordinateTransform, QgsProject, QgsRectangle
from qgis.PyQt.QtCore import QTimer
from qgis.PyQt.QtWidgets import QWidget
from qgis.utils import iface
from qgis_session import Session
from qgis_window import Failed

SIDE = 80
"""Half of the view's width, metres: some tiles of the embedded model."""


class AutomaticSession(Session):
    """Everything, stopped, to its end; then buildings."""

    def run(self) -> None:
        self.load()
        map_crs = self.canvas.mapSettings().destinationCrs()
        to_map = QgsCoordinateTransform(self.raster.crs(), map_crs, QgsProject.instance())
        extent = to_map.transformBoundingBox(self.raster.extent())
        x, y = extent.xMinimum() + 0.75 * extent.width(), extent.center().y()
        self.canvas.setExtent(QgsRectangle(x - SIDE, y - 0.7 * SIDE, x + SIDE, y + 0.7 * SIDE))
        self.wait(2)
        panel, automatic, find = self.plugin.dock.find, self.plugin.automatic, self.plugin.find
        target = self.plugin.controller.target_layer()
        panel.setCollapsed(False)
        self.wait(0.5)
        panel.what.setCurrentIndex(panel.what.findData("everything"))
        self.wait(0.3)
        self.picture("panel")

        self.stalls.part("everything")
        started = time.monotonic()
        self.press(panel.start)
        self.until(lambda: find.found, "the first objects", 240)
        self.step("first objects", seconds=round(time.monotonic() - started, 1),
                  objects=len(find.found), tiles=[find.done, find.tiles])  # fmt: skip
        self.picture("live")
        self.until(lambda: find.done >= 2, "two tiles", 240)
        if find.done >= find.tiles:
            raise Failed(f"only {find.tiles} tiles: nothing is left to stop")
        self.press(panel.start)
        self.until(lambda: automatic.runs.items[-1].state == "stopped", "the run is stopped", 60)
        self.until(lambda: not automatic.takes, "what it has is in the target layer", 60)
        had = target.featureCount()
        self.step("stopped; what it has is kept", features=had, tiles=[find.done, find.tiles],
                  seconds=round(time.monotonic() - started, 1))  # fmt: skip
        if not had:
            raise Failed("nothing is kept of the stopped run")
        self.wait(1)
        self.picture("stopped")

        self.stalls.part("history")
        self.press(panel.runs)
        self.wait(1)
        self.picture("history")
        self.stalls.part("going on")
        self.press(panel._runs_dialog.go_on)
        self.until(lambda: automatic.runs.items[-1].state == "done", "the run's end", 400)
        self.until(lambda: not automatic.takes, "the rest is in the target layer", 60)
        self.wait(1)
        run = automatic.runs.items[-1]
        self.step("gone on with to its end", features=target.featureCount(), tiles=run.tiles,
                  seconds=run.seconds, taken=run.taken)  # fmt: skip
        self.picture("history_done")
        if len(automatic.runs.items) != 1 or target.featureCount() <= had:
            raise Failed("the run did not go on")
        ids = [feature["id"] for feature in target.getFeatures()]
        if len(ids) != len(set(ids)):
            raise Failed("objects are there twice")
        if not target.commitChanges():
            raise Failed("; ".join(target.commitErrors()))
        panel._runs_dialog.close()

        self.stalls.part("buildings")
        whole = target.featureCount()
        self.plugin.controller.new_target()
        panel.what.setCurrentIndex(panel.what.findData("building"))
        self.press(panel.start)
        self.until(lambda: automatic.runs.items[-1].state == "done", "buildings", 400)
        self.until(lambda: not automatic.takes, "buildings in the target layer", 60)
        QgsProject.instance().layerTreeRoot().findLayer(target.id()).setItemVisibilityChecked(False)
        layer = self.plugin.controller.target_layer()
        self.wait(2)
        self.picture("buildings")
        classes = {feature["class"] for feature in layer.getFeatures()}
        self.step("buildings", features=layer.featureCount(), of=whole, classes=sorted(classes),
                  seconds=automatic.runs.items[-1].seconds)  # fmt: skip
        if classes != {"building"} or not layer.featureCount() < whole:
            raise Failed("not the buildings alone")
        panel.show_runs()
        self.wait(1)
        self.picture("history_of_two")
        panel._runs_dialog.close()
        iface.setActiveLayer(layer)

    def press(self, button: QWidget) -> None:
        """A click of the X server's mouse."""
        self.plugin.dock.find.ensurePolished()
        area = self.plugin.dock.findChild(QWidget, "qt_scrollarea_viewport")
        if area is not None and area.isAncestorOf(button):
            area.parentWidget().ensureWidgetVisible(button)
            self.wait(0.2)
        at = button.mapToGlobal(button.rect().center())
        hand = subprocess.Popen(["xdotool", "mousemove", str(at.x()), str(at.y()), "click", "1"])
        self.until(lambda: hand.poll() is not None, "xdotool's end", 20)
        self.wait(0.2)


if __name__ == "__main__":
    QTimer.singleShot(1500, lambda: AutomaticSession().tell())
