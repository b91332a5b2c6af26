# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs inside QGIS (``qgis --code``): a fresh profile without a network, and a bundle.

    samgeo bundle /tmp/bundle
    SAMGEO_BUNDLE=/tmp/bundle SAMGEO_ENVIRONMENT=/tmp/environment unshare -rn \\
        python3 tests/gui/screenshots.py --script tests/gui/qgis_sealed.py --out FOLDER \\
        --raster sample_data/town.tif --timeout 1200

Sets the engine up as a person does, with the button, and clicks on a house of the sample town.
"""

from __future__ import annotations

import os
import socket

from qgis.core import QgsPointXY, QgsProject, QgsRasterLayer
from qgis.PyQt.QtCore import QTimer
from qgis.utils import iface
from qgis_window import OUT, Failed, Window

RASTER = os.environ["SAMGEO_SESSION_RASTER"]
HOUSE = QgsPointXY(351200 + (384 + 265) / 4, 3057600 - (384 + 266) / 4)
"""In the middle of a white roof (EPSG:32645)."""


class Sealed(Window):
    """Bundle, set-up, first click."""

    def run(self) -> None:
        self.no_network()
        iface.mainWindow().showMaximized()
        self.plugin.offer_setup()
        widget = self.plugin._setup_dialog.environment
        self.until(lambda: "from the bundle" in widget.promise.text(), "the bundle's promise", 60)
        self.step("what a click does", sentence=widget.promise.text())
        self.picture("setup")
        widget.set_up.click()
        self.until(lambda: self.plugin.setup.running, "the setup begins", 10)
        ends: list = []
        self.plugin.setup.finished.connect(lambda *end: ends.append(end))
        self.until(lambda: bool(ends), "the setup ends", 1000)
        self.step("setup", end=ends[0], state=widget.state.text())
        self.picture("ready")
        if not ends[0][0]:
            raise Failed("\n".join(list(self.plugin.setup.lines)[-20:]))
        self.plugin._setup_dialog.close()
        self.first_polygon()

    def no_network(self) -> None:
        """This process has no interface but its own."""
        names = [name for _, name in socket.if_nameindex() if name != "lo"]
        try:
            socket.create_connection(("pypi.org", 443), 5).close()
        except OSError as error:
            self.step("no network", interfaces=names, error=str(error))
            return
        raise Failed("there is a network")

    def first_polygon(self) -> None:
        layer = QgsRasterLayer(RASTER, "Town")
        QgsProject.instance().addMapLayer(layer)
        self.wait(1)
        iface.setActiveLayer(layer)
        self.plugin.dock.setUserVisible(True)
        controller = self.plugin.controller
        controller.choose(raster=layer.id(), bands=(1, 2, 3))
        controller.new_target(str(OUT / "houses.gpkg"))
        self.canvas.setExtent(layer.extent())
        self.canvas.zoomByFactor(0.3)
        self.canvas.setCenter(HOUSE)
        self.canvas.refresh()
        self.wait(2)
        self.plugin.tool_action.trigger()
        session = controller.session
        self.until(lambda: session.state == "ready", "the raster is opened", 200)
        self.click(HOUSE)
        self.until(lambda: bool(session.candidates), "a polygon for a click", 200)
        area = max(candidate.geometry.area() for candidate in session.candidates)
        self.step("first polygon", square_metres=round(area, 1), model=session.info.get("model"))
        self.picture("first_polygon")
        if not 20 < area < 400:
            raise Failed(f"{area} square metres are no house")


if __name__ == "__main__":
    QTimer.singleShot(1500, lambda: Sealed().tell())
