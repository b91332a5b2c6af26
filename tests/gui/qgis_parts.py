# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs inside QGIS (``qgis --code``): one part of a feature of two roofs is corrected by clicks.

    python3 tests/gui/screenshots.py --script tests/gui/qgis_parts.py --out FOLDER --timeout 200

The smaller roof is taken up with a click, corrected with another one and written back with Enter.
The other roof and its courtyard must stay as they are.
"""

from __future__ import annotations

from qgis.core import QgsCoordinateTransform, QgsFeature, QgsGeometry, QgsProject, QgsRectangle
from qgis.PyQt.QtCore import Qt, QTimer
from qgis.utils import iface
from qgis_session import Session, overlap
from qgis_window import Failed


class Parts(Session):
    """A roof with a courtyard and a roof that is drawn too small, as one feature."""

    def run(self) -> None:
        controller, session = self.plugin.controller, self.plugin.controller.session
        self.load()
        roofs = sorted(self.choose_roofs(), key=lambda each: -each["geometry"].area())
        large, small = roofs[0], roofs[-1]
        court = QgsGeometry.fromPointXY(large["point"]).buffer(1.5, 8)
        house = large["geometry"].difference(court)
        drawn = small["geometry"].buffer(-1.2, 2)
        target = controller.target_layer() or controller.new_target()
        crs = self.canvas.mapSettings().destinationCrs()
        move = QgsCoordinateTransform(crs, target.crs(), QgsProject.instance())
        shape = QgsGeometry.collectGeometry(
            [QgsGeometry(p.clone()) for each in (house, drawn) for p in each.constParts()]
        )
        shape.transform(move)
        feature = QgsFeature(target.fields())
        feature.setGeometry(shape)
        target.startEditing()
        target.addFeature(feature)
        target.commitChanges(False)
        (before,) = target.getFeatures()
        iface.setActiveLayer(self.raster)
        self.plugin.tool_action.trigger()
        self.until(lambda: session.state == "ready", "the raster is opened")
        iface.messageBar().clearWidgets()
        box = QgsRectangle(small["geometry"].boundingBox())
        box.scale(3)
        self.canvas.setExtent(box)
        self.canvas.refresh()
        self.wait(1)
        self.stalls.part("correct")
        self.click(small["point"])
        self.until(lambda: session.geometry is not None, "the roof is taken up", 30)
        self.picture("taken_up")
        missing = small["geometry"].difference(drawn)
        self.click(missing.pointOnSurface().asPoint())
        self.wait(0.2)
        self.until(lambda: not session.is_waiting and session.candidates, "a correction", 60)
        self.picture("corrected")
        written: list = []
        controller.written.connect(written.append)
        self.key(Qt.Key.Key_Return)
        self.until(lambda: written, "it is written back", 60)
        self.wait(0.3)
        (after,) = target.getFeatures()
        old, new = ([QgsGeometry(p.clone()) for p in f.geometry().constParts()]
                    for f in (before, after))  # fmt: skip
        truth = QgsGeometry(small["geometry"])
        truth.transform(move)
        self.step("one part corrected", parts=[len(old), len(new)],
                  iou=[round(overlap(each[-1], truth), 2) for each in (old, new)])  # fmt: skip
        if after.id() != before.id() or len(new) != 2 or new[0].asWkt(9) != old[0].asWkt(9):
            raise Failed("the other roof or its courtyard has changed")
        if new[1].equals(old[1]):
            raise Failed("the roof that was clicked is as it was")
        self.picture("written")
        target.commitChanges()


if __name__ == "__main__":
    QTimer.singleShot(1500, lambda: Parts().tell())
