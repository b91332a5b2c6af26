# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs inside QGIS (``qgis --code``): the result of ``samgeo update`` is reviewed by keys.

    SAMGEO_CHANGES=changes.gpkg SAMGEO_OLD=old.gpkg python3 tests/gui/screenshots.py \
        --script tests/gui/qgis_update_review.py --raster RASTER --out FOLDER

Every change is accepted with A; one is opened again with U. The old layer's features are compared
before and after; nothing is saved.
"""

from __future__ import annotations

import os

from qgis.core import QgsProject, QgsRasterLayer, QgsVectorLayer
from qgis.PyQt.QtCore import Qt, QTimer
from qgis.utils import iface
from qgis_window import Failed, Window


class UpdateReviewSession(Window):
    """A review of an update."""

    def run(self) -> None:
        raster = QgsRasterLayer(os.environ["SAMGEO_SESSION_RASTER"], "New")
        old = QgsVectorLayer(os.environ["SAMGEO_OLD"], "Old", "ogr")
        changes = QgsVectorLayer(os.environ["SAMGEO_CHANGES"], "Changes", "ogr")
        iface.mainWindow().showMaximized()
        for layer in (raster, old, changes):
            if not layer.isValid():
                raise Failed(f"{layer.name()} cannot be read")
            QgsProject.instance().addMapLayer(layer)
        self.plugin.dock.setUserVisible(True)
        panel, review = self.plugin.dock.review, self.plugin.review
        panel.setCollapsed(False)
        panel.layer.setLayer(changes)
        self.wait(1)
        panel.mode.start.click()
        self.until(lambda: review.ready, "the queue", 60)
        self.canvas.setFocus()
        self.wait(1.5)
        self.picture("update_review")
        before = {f.id(): f.geometry().asWkt(3) for f in old.getFeatures()}
        count = len(review.queue)
        for _ in range(count):
            self.key(Qt.Key.Key_A)
            self.wait(0.05)
        after = {f.id(): f.geometry().asWkt(3) for f in old.getFeatures()}
        same = sum(after.get(k) == shape for k, shape in before.items())
        self.step("accepted", changes=count, old_before=len(before), old_after=len(after),
                  unchanged=same)  # fmt: skip
        self.picture("update_accepted")
        self.key(Qt.Key.Key_U)
        self.wait(0.3)
        self.step("opened again", status=changes.getFeature(review.current)["review"])
        names = {f.id(): f.attributes()[1:] for f in old.getFeatures() if f.id() in before}
        saved = QgsVectorLayer(os.environ["SAMGEO_OLD"], "saved", "ogr")
        for feature in saved.getFeatures():
            if feature.id() in names and names[feature.id()] != feature.attributes()[1:]:
                raise Failed("attributes have changed")
        old.rollBack()
        changes.rollBack()


if __name__ == "__main__":
    QTimer.singleShot(1500, lambda: UpdateReviewSession().tell())
