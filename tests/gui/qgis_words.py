# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs inside QGIS (``qgis --code``): words and exemplars, with a model of random weights.

    .venv/bin/python -m tests.core.tiny_words FOLDER
    SAMGEO_WORDS_MODEL=FOLDER/sam3.pt python3 tests/gui/screenshots.py \\
        --script tests/gui/qgis_words.py --out FOLDER

The words are typed and entered with the X server's own keyboard (xdotool) while the tool is in
hand. What random weights find means nothing: the script shows that it is asked for, comes in live,
and is written with its word.
"""

from __future__ import annotations

import os
import subprocess
import time

from qgis.core import QgsCoordinateTransform, QgsProject, QgsRectangle
from qgis.PyQt.QtCore import Qt, QTimer
from qgis.PyQt.QtWidgets import QApplication, QWidget
from qgis.utils import iface
from qgis_session import Session
from qgis_window import Failed

SIDE = 60
"""Half of the view's width, metres."""

MODEL = os.environ["SAMGEO_WORDS_MODEL"]


class WordsSession(Session):
    """Words, then all like two footprints."""

    def run(self) -> None:
        self.load()
        plugin = self.plugin
        panel, automatic, find = plugin.dock.find, plugin.automatic, plugin.find
        item = panel.what.model().item(panel.what.findData("words"))
        self.step("before a model of words is there", enabled=item.isEnabled(),
                  tooltip=item.toolTip())  # fmt: skip
        if item.isEnabled():
            raise Failed("words can be chosen without a model")
        map_crs = self.canvas.mapSettings().destinationCrs()
        to_map = QgsCoordinateTransform(self.raster.crs(), map_crs, QgsProject.instance())
        extent = to_map.transformBoundingBox(self.raster.extent())
        x, y = extent.xMinimum() + 0.75 * extent.width(), extent.center().y()
        self.canvas.setExtent(QgsRectangle(x - SIDE, y - 0.7 * SIDE, x + SIDE, y + 0.7 * SIDE))
        for box in (plugin.dock.refinement, plugin.dock.review):
            box.setCollapsed(True)
        panel.setCollapsed(False)
        iface.mainWindow().resizeDocks([plugin.dock], [330], Qt.Orientation.Horizontal)
        plugin.controller.choose(model=MODEL)
        plugin.tool_action.trigger()
        self.until(lambda: panel.words.possible, "the model says that it understands words", 120)
        self.wait(1)
        panel.what.setCurrentIndex(panel.what.findData("words"))
        self.wait(0.5)
        self.press(panel.words.words)
        self.wait(0.3)
        self.hand("type", "--delay", "60", "pond, s 1 m")
        self.wait(0.5)
        self.step(
            "typed", written=panel.words.words.text(), model=panel.words.detector.currentText()
        )
        if panel.words.words.text() != "pond, s 1 m":
            raise Failed("the box did not take the letters")
        self.picture("typed")
        self.stalls.part("words")
        started = time.monotonic()
        self.hand("key", "Return")
        self.until(lambda: find.done >= 1, "the first window", 240)
        self.step("first window", seconds=round(time.monotonic() - started, 1),
                  objects=len(find.found), tiles=[find.done, find.tiles])  # fmt: skip
        self.picture("live")
        self.until(lambda: automatic.runs.items[-1].state != "running", "the run's end", 240)
        self.until(lambda: not automatic.takes, "what was found is in the target layer", 60)
        target = plugin.controller.target_layer()
        said = {str(f["class"]) for f in target.getFeatures()}
        self.step("words are at their end", state=automatic.runs.items[-1].state,
                  least=find.leasts.shown, features=target.featureCount(), classes=sorted(said),
                  focus=QApplication.focusWidget() is self.canvas)  # fmt: skip
        self.picture("words")
        if not said or not said <= {"pond", "s 1 m"}:
            raise Failed(f"the objects are of the classes {said}")

        self.stalls.part("exemplars")
        plugin.controller.classes.add("building")
        view = self.canvas.extent()
        shown = [f for f in self.truth.getFeatures() if view.contains(f.geometry().boundingBox())]
        for feature in shown[:3]:
            plugin.controller.accepted_as.emit(feature.geometry(), self.truth.crs(), "building")
        panel.what.setCurrentIndex(panel.what.findData("examples"))
        panel.where.setCurrentIndex(panel.where.findData("raster"))
        self.wait(0.5)
        self.press(panel.start)
        self.until(lambda: find.kept, "what looks like the exemplars", 240)
        self.picture("exemplars")
        self.press(panel.start)
        self.until(lambda: automatic.runs.items[-1].state != "running", "the run's end", 240)
        self.step("exemplars were stopped", state=automatic.runs.items[-1].state,
                  objects=len(find.found), shown=len(find.kept))  # fmt: skip
        panel.show_runs()
        self.wait(0.7)
        self.picture("history")
        panel._runs_dialog.close()

    def hand(self, *words: str) -> None:
        """The X server's mouse and keyboard; QGIS goes on meanwhile."""
        process = subprocess.Popen(["xdotool", *words])
        self.until(lambda: process.poll() is not None, "xdotool's end", 20)
        self.wait(0.2)

    def press(self, widget: QWidget) -> None:
        """A click in the middle of a widget."""
        area = self.plugin.dock.findChild(QWidget, "qt_scrollarea_viewport")
        if area is not None and area.isAncestorOf(widget):
            area.parentWidget().ensureWidgetVisible(widget)
            self.wait(0.2)
        at = widget.mapToGlobal(widget.rect().center())
        self.hand("mousemove", str(at.x()), str(at.y()), "click", "1")


if __name__ == "__main__":
    QTimer.singleShot(1500, lambda: WordsSession().tell())
