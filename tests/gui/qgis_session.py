# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs inside QGIS (``qgis --code``): a person's first ten minutes, with pictures and measures.

Started by ``tests/gui/screenshots.py``, which sets the window and the environment up and reads
``report.json`` afterwards.
"""

from __future__ import annotations

import os
import signal
import time

from qgis.core import (
    Qgis,
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsFeatureRequest,
    QgsGeometry,
    QgsPointXY,
    QgsProject,
    QgsRasterLayer,
    QgsRectangle,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import Qt, QTimer
from qgis.PyQt.QtWidgets import QDockWidget
from qgis.utils import iface
from qgis_window import LEFT, OUT, RIGHT, Failed, Window

RASTER = os.environ["SAMGEO_SESSION_RASTER"]
TRUTH = os.environ.get("SAMGEO_SESSION_TRUTH", "")


class Session(Window):
    """Open, hover, click, drag, undo, accept, refine, kill, save."""

    def run(self) -> None:
        session = self.plugin.controller.session
        self.load()
        roofs = self.choose_roofs()
        self.stalls.part("open")
        self.plugin.tool_action.trigger()
        self.until(lambda: session.state == "ready", "the raster is opened")
        self.step("raster opened", model=session.info.get("model"))

        self.stalls.part("hover")
        hovers: list = []
        session.hover_changed.connect(hovers.append)
        centre = roofs[0]["point"]
        started = time.monotonic()
        self.move(centre)
        self.until(lambda: any(h is not None for h in hovers), "a hover polygon")
        self.step("hover shows a polygon", seconds=round(time.monotonic() - started, 2))
        self.picture("hover")
        hovers.clear()
        latency = []
        for k in range(10):
            self.move(QgsPointXY(centre.x() + k * self.canvas.mapUnitsPerPixel() * 3, centre.y()))
            started = time.monotonic()
            hovers.clear()
            self.until(lambda: bool(hovers), "an answer to a hover", 60)
            latency.append(time.monotonic() - started)
        self.step("hover follows", median_ms=round(sorted(latency)[5] * 1000))

        self.stalls.part("click")
        started = time.monotonic()
        self.click(centre)
        self.until(lambda: session.candidates, "a polygon for a click")
        self.step("click", ms=round((time.monotonic() - started) * 1000),
                  scores=[round(c.score, 2) for c in session.candidates])  # fmt: skip
        self.picture("click")
        if len(session.candidates) > 1:
            first = session.geometry.area()
            self.key(Qt.Key.Key_Tab)
            if session.index != 1 or session.geometry.area() == first:
                raise Failed("Tab does not go to the next candidate")
            self.step("Tab goes through the candidates")
            for _ in range(len(session.candidates) - 1):
                self.key(Qt.Key.Key_Tab)
        self.click(QgsPointXY(centre.x(), centre.y() - roofs[0]["height"]), RIGHT)
        self.until(lambda: not session.is_waiting, "an answer with a negative point")
        if [p.positive for p in session.prompts] != [True, False]:
            raise Failed("a right click is not a negative point")
        self.picture("negative_point")
        if not self.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier):
            raise Failed("Ctrl+Z was not taken while an object is in work")
        self.until(lambda: not session.is_waiting and len(session.prompts) == 1, "undo")
        self.step("undo with Ctrl+Z")
        self.accept_best(roofs[0])

        self.stalls.part("box")
        roof = roofs[1]
        self.drag(*self.corners(roof), name="box_drawn")
        self.until(lambda: session.candidates, "a polygon for a box")
        self.picture("box")
        self.accept_best(roof)

        self.stalls.part("box")
        roof = roofs[2]
        self.drag(*self.corners(roof))
        self.until(lambda: session.candidates, "a polygon for a second box")
        self.key(Qt.Key.Key_Backspace)
        self.until(lambda: not session.prompts, "Backspace takes the box back")
        if self.would_take(Qt.Key.Key_Backspace):
            raise Failed("Backspace was taken although nothing is in work")
        self.drag(*self.corners(roof))
        self.until(lambda: session.candidates, "a polygon for the box again")
        self.accept_best(roof)
        self.picture("three_accepted")

        layer = self.plugin.controller.target_layer()
        if layer.featureCount() != 3:
            raise Failed(f"{layer.featureCount()} objects in the layer instead of 3")
        self.stalls.part("undo")
        iface.setActiveLayer(layer)
        layer.undoStack().undo()
        if layer.featureCount() != 2:
            raise Failed("QGIS's undo does not take an object back")
        layer.undoStack().redo()
        self.refine(layer)
        self.escape_steps(roofs[0])
        self.kill_in_a_click(roofs[3])
        self.save(layer, roofs)
        self.stalls.part("end")

    def load(self) -> None:
        self.stalls.part("load")
        if TRUTH:
            self.truth = QgsVectorLayer(TRUTH, "Footprints", "ogr")
        layer = QgsRasterLayer(RASTER, "Banepa")
        if not layer.isValid():
            raise Failed(f"{RASTER} cannot be read")
        iface.mainWindow().showMaximized()
        for dock in iface.mainWindow().findChildren(QDockWidget):
            if dock.objectName() in ("Browser", "Browser2"):
                dock.close()
        QgsProject.instance().addMapLayer(layer)
        self.raster = layer
        self.wait(1)  # QGIS takes the first layer's CRS for the project a little later
        QgsProject.instance().setCrs(QgsCoordinateReferenceSystem("EPSG:32645"))
        iface.setActiveLayer(layer)
        self.plugin.dock.setUserVisible(True)
        self.wait(1)
        self.plugin.controller.choose(raster=layer.id(), bands=(1, 2, 3))
        self.plugin.controller.new_target(str(OUT / "roofs.gpkg"))
        if self.canvas.mapSettings().destinationCrs().authid() != "EPSG:32645":
            raise Failed("the map is not in the project's CRS")
        self.step("mosaic opened", crs=layer.crs().authid(), project="EPSG:32645")

    def choose_roofs(self) -> list[dict]:
        """Four roofs of some size that stand a little apart, in the map's CRS."""
        to_map = QgsCoordinateTransform(
            self.raster.crs(), QgsCoordinateReferenceSystem("EPSG:32645"), QgsProject.instance()
        )
        extent = to_map.transformBoundingBox(self.raster.extent())
        # The east, which the embedded model was not trained on.
        middle = QgsPointXY(extent.xMinimum() + 0.78 * extent.width(), extent.center().y())
        half = extent.width() / 6
        view = QgsRectangle(
            middle.x() - half, middle.y() - 2 * half, middle.x() + half, middle.y() + 2 * half
        )
        move = QgsCoordinateTransform(
            self.truth.crs(), QgsCoordinateReferenceSystem("EPSG:32645"), QgsProject.instance()
        )
        roofs = []
        request = QgsFeatureRequest().setFilterRect(
            move.transformBoundingBox(view, Qgis.TransformDirection.Reverse)
        )
        for feature in self.truth.getFeatures(request):
            geometry = QgsGeometry(feature.geometry())
            geometry.transform(move)
            box = geometry.boundingBox()
            if not view.contains(box) or not 150 < geometry.area() < 1200:
                continue
            roofs.append(
                {
                    "geometry": geometry,
                    "point": geometry.pointOnSurface().asPoint(),
                    "height": box.height(),
                    "fill": geometry.area() / geometry.convexHull().area(),
                    "id": feature.id(),
                }
            )
        roofs = [roof for roof in roofs if roof["fill"] > 0.93]
        if len(roofs) < 4:
            raise Failed("fewer than four roofs in view")
        # The four nearest to one another's middle, so that one picture shows them all.
        best: tuple[float, list[dict]] = (float("inf"), [])
        for roof in roofs:
            near = sorted(roofs, key=lambda other: other["point"].sqrDist(roof["point"]))[:4]
            best = min(best, (near[3]["point"].sqrDist(roof["point"]), near), key=lambda b: b[0])
        chosen = sorted(best[1], key=lambda roof: -rectangularity(roof["geometry"]))
        around = QgsGeometry.unaryUnion([roof["geometry"] for roof in chosen]).boundingBox()
        around.scale(1.7)
        self.canvas.setExtent(around)
        self.canvas.refresh()
        self.wait(2)
        self.picture("mosaic")
        return chosen

    def corners(self, roof: dict) -> tuple[QgsPointXY, QgsPointXY]:
        box = roof["geometry"].boundingBox()
        return QgsPointXY(box.xMinimum(), box.yMaximum()), QgsPointXY(
            box.xMaximum(), box.yMinimum()
        )

    def accept_best(self, roof: dict) -> None:
        """Click where it is still wrong, choose the candidate a person would, press Enter."""
        session = self.plugin.controller.session
        clicks = self.correct(roof)
        scored = [
            (overlap(candidate.geometry, roof["geometry"]), index)
            for index, candidate in enumerate(session.candidates)
        ]
        best, index = max(scored)
        session.choose(index)
        part = self.stalls._part
        self.stalls.part(part + ", accept")
        written: list = []
        self.plugin.controller.written.connect(written.append)
        self.key(Qt.Key.Key_Return)
        self.until(lambda: written, "the object in the layer")
        self.plugin.controller.written.disconnect(written.append)
        roof["iou"] = best
        self.step("accepted with Enter", iou=round(best, 3), corrections=clicks)

    def correct(self, roof: dict) -> int:
        """Up to six clicks in the middle of the largest mistake, as a person makes them."""
        session = self.plugin.controller.session
        for clicks in range(6):
            shape = max(
                (candidate.geometry for candidate in session.candidates),
                key=lambda geometry: overlap(geometry, roof["geometry"]),
            ).makeValid()
            if overlap(shape, roof["geometry"]) > 0.75:
                return clicks
            missing, extra = roof["geometry"].difference(shape), shape.difference(roof["geometry"])
            wrong, button = max((missing, LEFT), (extra, RIGHT), key=lambda each: each[0].area())
            self.click(wrong.poleOfInaccessibility(0.5)[0].asPoint(), button)
            self.until(lambda: not session.is_waiting and session.candidates, "a correction")
        return 6

    def refine(self, layer: QgsVectorLayer) -> None:
        """The panel changes what was accepted, and back."""
        self.stalls.part("refine")
        panel = self.plugin.dock.refinement
        panel.setCollapsed(False)
        before = vertices(layer)
        panel.accepted_too.setChecked(True)
        panel.simplify.setValue(1.0)
        self.until(lambda: vertices(layer) < before, "simpler outlines of the accepted roofs", 30)
        self.step("accepted roofs simplified", vertices=[before, vertices(layer)])
        panel.simplify.setValue(0.0)
        self.until(lambda: vertices(layer) == before, "the roofs as they were", 30)
        panel.outlines.setCurrentIndex(1)
        controller = self.plugin.controller
        self.wait(0.5)
        self.until(
            lambda: not controller.accepted_objects.is_refining,
            "right angles on the accepted roofs",
            30,
        )
        if controller.accepted_objects.refused:
            raise Failed(f"right angles: {controller.accepted_objects.refused}")
        self.wait(0.3)
        self.picture("right_angles")
        self.step(
            "right angles on accepted roofs", vertices_before=before, vertices=vertices(layer)
        )
        panel.outlines.setCurrentIndex(0)
        self.until(lambda: vertices(layer) == before, "the roofs as they were", 30)
        panel.accepted_too.setChecked(False)
        panel.setCollapsed(True)

    def escape_steps(self, roof: dict) -> None:
        """Esc: last prompt, all prompts, the tool; then the keys are QGIS's again."""
        self.stalls.part("escape")
        session = self.plugin.controller.session
        self.canvas.setFocus()
        for _ in range(3):
            self.click(roof["point"])
            self.until(lambda: not session.is_waiting, "an answer")
        left = []
        for _ in range(2):
            self.key(Qt.Key.Key_Escape)
            left.append(len(session.prompts))
        self.key(Qt.Key.Key_Escape)
        active = self.canvas.mapTool() is self.plugin.tool
        if left != [2, 0] or not active:
            raise Failed(f"Esc leaves {left} prompts, tool active: {active}")
        self.plugin.tool_action.trigger()
        if self.would_take(Qt.Key.Key_Escape) or self.would_take(Qt.Key.Key_Tab):
            raise Failed("a key is still taken although the tool is not active")
        self.step("Esc in steps, keys given back")
        self.plugin.tool_action.trigger()

    def kill_in_a_click(self, roof: dict) -> None:
        """kill -9 in the middle of a click: a message, and the polygon comes after the restart."""
        self.stalls.part("kill")
        session, client = self.plugin.controller.session, self.plugin.controller.client
        deaths: list = []
        client.died.connect(lambda *args: deaths.append(args))
        pid = client.pid
        self.click(roof["point"])
        os.kill(pid, signal.SIGKILL)
        self.until(lambda: deaths, "the death is noticed", 5)
        self.picture("engine_killed")
        self.until(lambda: session.candidates, "the polygon after the restart")
        if client.pid in (0, pid):
            raise Failed("no new engine")
        self.step("engine killed in a click and restarted", message=deaths[0][0])
        session.clear()

    def save(self, layer: QgsVectorLayer, roofs: list[dict]) -> None:
        self.stalls.part("save")
        if not layer.commitChanges():
            raise Failed("; ".join(layer.commitErrors()))
        shapes = [QgsGeometry(f.geometry()) for f in layer.getFeatures()]
        move = QgsCoordinateTransform(
            layer.crs(), QgsCoordinateReferenceSystem("EPSG:32645"), QgsProject.instance()
        )
        for shape in shapes:
            shape.transform(move)
        ious = [max(overlap(shape, roof["geometry"]) for shape in shapes) for roof in roofs[:3]]
        self.report["iou"] = [round(iou, 3) for iou in ious]
        names = [field.name() for field in layer.fields()]
        for feature in layer.getFeatures():
            row = dict(zip(names, feature.attributes()))  # noqa: B905 - Python 3.9
            if not row["model"] or not row["id"] or not 0 < row["score"] <= 1:
                raise Failed(f"attributes are missing: {row}")
        self.step("layer saved", iou=self.report["iou"], source=layer.source())
        self.picture("saved")


def vertices(layer: QgsVectorLayer) -> int:
    return sum(f.geometry().constGet().nCoordinates() for f in layer.getFeatures())


def rectangularity(geometry: QgsGeometry) -> float:
    """How much of its smallest rectangle a polygon fills."""
    return geometry.area() / geometry.orientedMinimumBoundingBox()[1]


def overlap(one: QgsGeometry, other: QgsGeometry) -> float:
    one, other = one.makeValid(), other.makeValid()
    together = one.combine(other).area()
    return one.intersection(other).area() / together if together else 0.0


if __name__ == "__main__":
    QTimer.singleShot(1500, lambda: Session().tell())
