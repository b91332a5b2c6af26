# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs inside QGIS (``qgis --code``): 500 polygons of Banepa in review at one key per 0.7 s.

    python3 tests/gui/screenshots.py --script tests/gui/qgis_review.py --out FOLDER --timeout 600

The X server's own keyboard (xdotool) is used. Measured: from a key to the next polygon's outline in
view (the map's viewport painted with it), and the main thread's stalls. Afterwards every decision
is compared with the key that made it, undone and redone.

SAMGEO_REVIEW_COUNT sets another number of polygons.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import time

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsFeature,
    QgsFeatureRequest,
    QgsField,
    QgsFields,
    QgsProject,
    QgsVectorFileWriter,
    QgsVectorLayer,
    QgsWkbTypes,
)
from qgis.PyQt.QtCore import QEvent, QObject, QTimer, QVariant
from qgis.utils import iface
from qgis_session import Session
from qgis_window import OUT, Failed

COUNT = int(os.environ.get("SAMGEO_REVIEW_COUNT", "500"))
EVERY = 0.7
KEYS = "aaxaa1aax2"
"""What is pressed, over and over: accept, reject, classes."""

MEANS = {"a": ("accepted", None), "x": ("rejected", None),
         "1": ("accepted", "house"), "2": ("accepted", "shed")}  # fmt: skip


class Paints(QObject):
    """Tells when the map's viewport was painted."""

    def __init__(self, viewport: QObject) -> None:
        super().__init__()
        self.after: list[float] = []
        self._since = 0.0
        viewport.installEventFilter(self)

    def begin(self, at: float) -> None:
        self._since = at

    def eventFilter(self, _: QObject, event: QEvent) -> bool:  # noqa: N802
        if event.type() == QEvent.Type.Paint and self._since:
            since, self._since = self._since, 0.0
            QTimer.singleShot(0, lambda: self.after.append(time.monotonic() - since))
        return False


class Keys(QObject):
    """Tells when a key came from the window system.

    It watches the canvas, which has the focus, not the application: PyQt crashes where a filter of
    all objects is shown one that is being deleted.
    """

    def __init__(self, canvas: QObject) -> None:
        super().__init__()
        self.at = 0.0
        canvas.installEventFilter(self)

    def eventFilter(self, _: QObject, event: QEvent) -> bool:  # noqa: N802
        if event.type() == QEvent.Type.ShortcutOverride and not self.at:
            self.at = time.monotonic()
        return False


class ReviewSession(Session):
    """Five hundred decisions."""

    def run(self) -> None:
        self.load()
        layer = self.polygons()
        review = self.plugin.review
        self.stalls.part("start")
        panel = self.plugin.dock.review
        panel.setCollapsed(False)
        panel.layer.setLayer(layer)
        self.wait(1)
        started = time.monotonic()
        panel.mode.start.click()
        self.until(lambda: review.ready, "the queue", 60)
        self.step("queue ordered", polygons=len(review.queue),
                  seconds=round(time.monotonic() - started, 2))  # fmt: skip
        self.wait(2)
        self.picture("review_started")
        order = list(review.queue)
        iface.messageBar().clearWidgets()
        self.canvas.setFocus()

        self.stalls.part("review")
        keys = Keys(self.canvas)
        paints = Paints(self.canvas.viewport())

        def moved(_: object) -> None:
            if keys.at:
                paints.begin(keys.at)
                keys.at = 0.0

        review.current_changed.connect(moved)
        pressed = [KEYS[k % len(KEYS)] for k in range(COUNT)]
        words: list[str] = []
        for key in pressed:
            words += ["key", key, "sleep", str(EVERY)]
        hand = subprocess.Popen(["xdotool", *words])
        half = time.monotonic() + COUNT * EVERY / 2
        self.until(lambda: time.monotonic() > half, "half of the keys", COUNT)
        self.picture("review_half")
        self.until(lambda: hand.poll() is not None, "xdotool's end", COUNT * EVERY * 2 + 60)
        self.canvas.removeEventFilter(keys)
        self.wait(1)
        self.picture("review_done")
        after = sorted(paints.after)
        self.step(
            "keys to next polygon in view, ms",
            median=round(statistics.median(after) * 1000),
            p90=round(after[int(0.9 * len(after))] * 1000),
            most=round(after[-1] * 1000),
            measured=len(after),
        )
        self.check(layer, order, pressed)
        self.stalls.part("undo")
        self.undo_all(layer, order, pressed)
        self.stalls.part("save")
        if not layer.commitChanges(False):
            raise Failed("; ".join(layer.commitErrors()))
        saved = QgsVectorLayer(layer.source(), "saved", "ogr")
        self.check(saved, order, pressed)
        self.step("every decision saved")
        if statistics.median(after) > 0.150:
            raise Failed("the next polygon comes too late")

    def polygons(self) -> QgsVectorLayer:
        """The first footprints with a label and a score, in a GeoPackage of their own."""
        fields = QgsFields()
        for name, kind in (
            ("label", QVariant.String), ("score", QVariant.Double), ("old_id", QVariant.LongLong)
        ):  # fmt: skip
            fields.append(QgsField(name, kind))
        options = QgsVectorFileWriter.SaveVectorOptions()
        options.driverName = "GPKG"
        path = str(OUT / "review.gpkg")
        writer = QgsVectorFileWriter.create(
            path, fields, QgsWkbTypes.Type.MultiPolygon, self.truth.crs(),
            QgsProject.instance().transformContext(), options,
        )  # fmt: skip
        move = QgsCoordinateTransform(self.raster.crs(), self.truth.crs(), QgsProject.instance())
        extent = move.transformBoundingBox(self.raster.extent())
        within = QgsFeatureRequest().setFilterRect(extent).setLimit(COUNT)
        for number, source in enumerate(self.truth.getFeatures(within)):
            feature = QgsFeature(fields)
            feature.setGeometry(source.geometry())
            score = 0.5 + (number * 7919 % 1000) / 2000
            feature.setAttributes([("house", "shed")[number % 2], score, source.id()])
            writer.addFeature(feature)
        del writer
        layer = QgsVectorLayer(path, "Footprints in review", "ogr")
        if layer.featureCount() != COUNT:
            raise Failed(f"{layer.featureCount()} polygons")
        from samgeo_seamless import styles

        styles.apply(layer, styles.REVIEW)
        QgsProject.instance().addMapLayer(layer)
        self.canvas.setDestinationCrs(QgsCoordinateReferenceSystem("EPSG:32645"))
        return layer

    def check(self, layer: QgsVectorLayer, order: list, pressed: list) -> None:
        """Each feature has what its key means."""
        wrong = []
        for feature_id, key in zip(order, pressed):  # noqa: B905 - Python 3.9
            status, label = MEANS[key]
            feature = layer.getFeature(feature_id)
            if feature["status"] != status or (label and feature["label"] != label):
                wrong.append((feature_id, key, feature["status"], feature["label"]))
        if wrong:
            raise Failed(f"{len(wrong)} decisions are not what was pressed: {wrong[:5]}")
        self.step("decisions are what was pressed", count=len(order))

    def undo_all(self, layer: QgsVectorLayer, order: list, pressed: list) -> None:
        """QGIS's undo takes every decision back, one after the other; redo brings them again."""
        stack = layer.undoStack()
        for number in range(COUNT - 1, -1, -1):
            if layer.getFeature(order[number])["status"] != MEANS[pressed[number]][0]:
                raise Failed(f"decision {number} has gone with a later one")
            stack.undo()
            if layer.getFeature(order[number])["status"] in ("accepted", "rejected"):
                raise Failed(f"an undo does not take decision {number} back")
        self.wait(0.5)
        left = [f["status"] for f in layer.getFeatures() if f["status"] in ("accepted", "rejected")]
        if left:
            raise Failed(f"{len(left)} decisions are left after all undos")
        for _ in range(COUNT):
            stack.redo()
        self.check(layer, order, pressed)
        self.step("every decision undone and redone", count=COUNT)


if __name__ == "__main__":
    QTimer.singleShot(1500, lambda: ReviewSession().tell())
