# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs inside QGIS (``qgis --code``): clicks on an XYZ and a WMS layer, without any dialog.

    python3 tests/gui/screenshots.py --script tests/gui/qgis_online.py --out FOLDER --timeout 400

Both are served from this machine (``tile_server.py``, by the engine's Python). For each: a click on
a roof, Enter, a pan, another click, Enter. At the end no rendered file is left.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import qgis_window
from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsGeometry,
    QgsPointXY,
    QgsProject,
    QgsRasterLayer,
    QgsRectangle,
)
from qgis.PyQt.QtCore import Qt, QTimer
from qgis.PyQt.QtWidgets import QApplication, QDialog
from qgis.utils import iface
from qgis_session import Session, overlap
from qgis_window import Failed

MERCATOR = "EPSG:3857"
REACH = 45.0
"""Metres of the map around a roof."""


class OnlineSession(Session):
    """Two online layers."""

    def run(self) -> None:
        python = os.environ["SAMGEO_PYTHON"]
        server = subprocess.Popen(
            [python, str(Path(qgis_window.__file__).with_name("tile_server.py")),
             os.environ["SAMGEO_SESSION_RASTER"]],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            port = int(server.stdout.readline())
            self.load()
            roofs = self.large_roofs()
            QgsProject.instance().removeMapLayer(self.raster.id())
            QgsProject.instance().setCrs(QgsCoordinateReferenceSystem(MERCATOR))
            address = f"http://127.0.0.1:{port}"
            self.use(f"type=xyz&zmin=0&zmax=20&url={address}/%7Bz%7D/%7Bx%7D/%7By%7D.png",
                     "XYZ", roofs[:2])  # fmt: skip
            self.use(f"crs={MERCATOR}&format=image/png&layers=town&styles&url={address}/wms",
                     "WMS", roofs[2:4])  # fmt: skip
            renderings = self.plugin.controller.online.renderings
            files = [each.path for each in renderings.kept]
            self.step("rendered", files=len(files), megabytes=round(renderings.megabytes, 1))
            if not files or not all(Path(path).exists() for path in files):
                raise Failed("nothing was rendered")
            self.plugin.controller.target_layer().commitChanges()
            QgsProject.instance().clear()
            self.wait(0.5)
            left = [path for path in files if Path(path).exists()]
            if left:
                raise Failed(f"files are left: {left}")
            self.step("no rendered file is left at the end")
        finally:
            server.terminate()
            server.wait()

    def large_roofs(self) -> list[QgsGeometry]:
        """Four roofs of the east that stand for themselves, in the map's CRS."""
        move = QgsCoordinateTransform(
            self.truth.crs(), QgsCoordinateReferenceSystem(MERCATOR), QgsProject.instance()
        )
        extent = self.truth.extent()
        middle = extent.xMinimum() + 0.6 * extent.width()
        to_raster = QgsCoordinateTransform(
            self.truth.crs(), self.raster.crs(), QgsProject.instance()
        )
        inside = self.raster.extent()
        inside.grow(-0.1 * inside.height())  # the view around a roof is wholly on the raster
        found = []
        for feature in self.truth.getFeatures():
            shape = QgsGeometry(feature.geometry())
            if shape.boundingBox().xMinimum() < middle or not 120 < shape.area() < 500:
                continue
            covered = inside.contains(to_raster.transformBoundingBox(shape.boundingBox()))
            if covered and shape.area() > 0.95 * shape.convexHull().area():
                shape.transform(move)
                found.append(shape)
        return sorted(found, key=lambda shape: -shape.area())[:4]

    def use(self, source: str, name: str, roofs: list[QgsGeometry]) -> None:
        """Two clicks, with a pan between them."""
        controller, session = self.plugin.controller, self.plugin.controller.session
        layer = QgsRasterLayer(source, name, "wms")
        if not layer.isValid():
            raise Failed(f"{name}: {layer.error().message()}")
        QgsProject.instance().addMapLayer(layer, False)
        QgsProject.instance().layerTreeRoot().insertLayer(1, layer)  # below the objects
        iface.setActiveLayer(layer)
        self.plugin.dock.source.raster.setLayer(layer)
        self.stalls.part(name)
        target = controller.target_layer()
        before = 0 if target is None else max(target.featureCount(), 0)
        for number, roof in enumerate(roofs):
            at = roof.pointOnSurface().asPoint()
            self.canvas.setExtent(
                QgsRectangle(at.x() - REACH, at.y() - REACH, at.x() + REACH, at.y() + REACH)
            )
            self.canvas.refresh()
            self.wait(1.5)
            if number == 0:
                self.plugin.tool_action.trigger()
                if self.canvas.mapTool() is not self.plugin.tool:
                    self.plugin.tool_action.trigger()
                self.wait(0.3)
            written: list = []
            controller.written.connect(written.append)
            self.click(QgsPointXY(at))
            self.no_dialog()
            self.until(lambda: session.candidates, f"{name}: a polygon", 90)
            self.no_dialog()
            scored = [
                (overlap(candidate.geometry, roof), index)
                for index, candidate in enumerate(session.candidates)
            ]
            best, index = max(scored)
            session.choose(index)
            self.wait(0.3)
            self.picture(f"{name.lower()}_{number + 1}")
            self.key(Qt.Key.Key_Return)
            self.until(lambda: written, f"{name}: the object in the layer", 60)  # noqa: B023
            controller.written.disconnect(written.append)
            self.step(f"{name}: click and Enter", iou=round(best, 2), panned=number > 0)
        target = controller.target_layer()
        if target.featureCount() != before + len(roofs):
            raise Failed(f"{name}: {target.featureCount()} features")

    def no_dialog(self) -> None:
        open_ = [w.windowTitle() for w in QApplication.topLevelWidgets()
                 if isinstance(w, QDialog) and w.isVisible()]  # fmt: skip
        if open_:
            raise Failed(f"a dialog is open: {open_}")


if __name__ == "__main__":
    QTimer.singleShot(1500, lambda: OnlineSession().tell())
