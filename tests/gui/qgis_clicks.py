# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs inside QGIS (``qgis --code``): how long does a click take, and who takes it?

    python3 tests/gui/screenshots.py --script tests/gui/qgis_clicks.py --out FOLDER \\
        --raster sample_data/town.tif --truth sample_data/town_truth.gpkg

Clicks on houses of the sample town whose windows are encoded, one after the other, each a new
object. Told for each click: wall time from the mouse press until the polygon is drawn, and the CPU
time of QGIS's main thread and of the engine's process. Both work one after the other, so their sum
is what a click takes on a machine that does nothing else.
"""

from __future__ import annotations

import os
import time

from qgis.core import QgsProject, QgsRasterLayer, QgsVectorLayer
from qgis.PyQt.QtCore import QTimer
from qgis.utils import iface
from qgis_window import OUT, Window

RASTER = os.environ["SAMGEO_SESSION_RASTER"]
TRUTH = os.environ["SAMGEO_SESSION_TRUTH"]
TICK = os.sysconf("SC_CLK_TCK")
CLICKS = 15


def used(pid: int) -> float:
    """Seconds of CPU that a process has had, all threads."""
    try:
        with open(f"/proc/{pid}/schedstat") as file:  # nanoseconds, but of the main thread only
            file.read()
        total = 0
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/schedstat") as file:
                total += int(file.read().split()[0])
        return total / 1e9
    except OSError:
        return 0.0


class Clicks(Window):
    """One house after the other."""

    def run(self) -> None:
        session = self.plugin.controller.session
        self.load()
        self.plugin.tool_action.trigger()
        self.until(lambda: session.state == "ready", "the raster is opened")
        houses = QgsVectorLayer(f"{TRUTH}|layername=buildings", "Houses", "ogr")
        view = self.canvas.extent()
        places = [f.geometry().pointOnSurface().asPoint() for f in houses.getFeatures()]
        places = [place for place in places if view.contains(place)][:CLICKS]
        for place in places:  # every window is encoded, everything is loaded
            self.ask(session, place)
        wall, here, there = [], [], []
        pid = self.plugin.controller.client.pid
        for place in places:
            self.wait(0.15)
            engine, thread, start = used(pid), time.thread_time(), time.perf_counter()
            self.ask(session, place, settle=False)
            self.canvas.viewport().repaint()
            wall.append((time.perf_counter() - start) * 1000)
            here.append((time.thread_time() - thread) * 1000)
            there.append((used(pid) - engine) * 1000)
            session.clear()
        both = [a + b for a, b in zip(here, there)]  # noqa: B905 - Python 3.9
        for name, values in (("wall", wall), ("QGIS's thread, CPU", here),
                             ("engine, CPU", there), ("both, CPU", both)):  # fmt: skip
            values.sort()
            self.step(
                f"{name}, ms",
                median=round(values[len(values) // 2], 1),
                p95=round(values[int(0.95 * len(values))], 1),
                clicks=len(values),
            )
        self.picture("clicks")

    def ask(self, session, place, settle: bool = True) -> None:
        self.click(place)
        self.until(lambda: bool(session.candidates) and not session.is_waiting, "a polygon", 300)
        if settle:
            session.clear()

    def load(self) -> None:
        layer = QgsRasterLayer(RASTER, "Town")
        iface.mainWindow().showMaximized()
        QgsProject.instance().addMapLayer(layer)
        self.wait(1)
        iface.setActiveLayer(layer)
        self.plugin.dock.setUserVisible(True)
        self.plugin.controller.choose(raster=layer.id(), bands=(1, 2, 3))
        self.plugin.controller.new_target(str(OUT / "houses.gpkg"))
        self.canvas.setExtent(layer.extent())
        self.canvas.zoomByFactor(0.5)
        self.canvas.refresh()
        self.wait(2)


if __name__ == "__main__":
    QTimer.singleShot(1500, lambda: Clicks().tell())
