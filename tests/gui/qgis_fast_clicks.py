# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs inside QGIS (``qgis --code``): 40 buildings at one click and Enter every 0.4 s.

    python3 tests/gui/screenshots.py --script tests/gui/qgis_fast_clicks.py --slow 1 --out FOLDER

The X server's own mouse and keyboard (xdotool) are used. The engine takes a second for each answer.
Then pan, zoom and identify interrupt an object in work, and Enter is pressed from the panel.
"""

from __future__ import annotations

import subprocess

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsFeatureRequest,
    QgsGeometry,
    QgsProject,
    QgsRectangle,
)
from qgis.PyQt.QtCore import QTimer
from qgis.utils import iface
from qgis_session import Session
from qgis_window import Failed

COUNT = 40
EVERY = 0.4


class FastClicks(Session):
    """Forty buildings, then interruptions."""

    def run(self) -> None:
        session = self.plugin.controller.session
        self.load()
        points, others = self.buildings()
        self.stalls.part("open")
        self.plugin.tool_action.trigger()
        self.until(lambda: session.state == "ready", "the raster is opened")
        layer = self.plugin.controller.target_layer()
        iface.messageBar().clearWidgets()
        self.wait(1)

        self.stalls.part("forty clicks")
        words: list[str] = []
        for point in points:
            at = self.canvas.viewport().mapToGlobal(self.pixel(point))
            words += ["mousemove", str(at.x()), str(at.y()), "click", "1"]
            words += ["sleep", f"{EVERY / 2}", "key", "Return", "sleep", f"{EVERY / 2}"]
        hand = subprocess.Popen(["xdotool", *words])
        self.until(lambda: hand.poll() is not None, "xdotool's end", 60)
        if hand.returncode:
            raise Failed("xdotool failed")
        pending = session.pending
        self.step("forty clicks and Enters", pending=pending, written=layer.featureCount())
        self.picture("forty_clicks")
        if pending < COUNT / 2:
            raise Failed(f"only {pending} objects wait: the engine was not slow")
        self.until(lambda: not session.pending, "all objects are made", 480)
        self.wait(0.5)
        if session.prompts:
            raise Failed(f"{len(session.prompts)} prompts are left over")
        self.check(layer, points)
        self.picture("forty_objects")
        self.interrupt(self.free(layer, others))

    def buildings(self) -> tuple:
        """One point in each of forty footprints in view, and in the others; in the map's CRS."""
        utm = QgsCoordinateReferenceSystem("EPSG:32645")
        to_map = QgsCoordinateTransform(self.raster.crs(), utm, QgsProject.instance())
        extent = to_map.transformBoundingBox(self.raster.extent())
        middle = extent.center()
        x = extent.xMinimum() + 0.75 * extent.width()
        self.canvas.setExtent(QgsRectangle(x - 90, middle.y() - 60, x + 90, middle.y() + 60))
        self.wait(2)
        move = QgsCoordinateTransform(self.truth.crs(), utm, QgsProject.instance())
        view = self.canvas.extent()
        view.grow(-8)
        points = []
        for feature in self.truth.getFeatures(QgsFeatureRequest()):
            geometry = QgsGeometry(feature.geometry())
            geometry.transform(move)
            if view.contains(geometry.boundingBox()) and geometry.area() > 50:
                points.append(geometry.pointOnSurface().asPoint())
        if len(points) <= COUNT:
            raise Failed(f"only {len(points)} buildings in view")
        return points[:COUNT], points[COUNT:]

    def free(self, layer, points: list):
        """A point on no object yet: a click on an object takes that one up instead."""
        move = QgsCoordinateTransform(layer.crs(), self.map_crs(), QgsProject.instance())
        shapes = [QgsGeometry(feature.geometry()) for feature in layer.getFeatures()]
        for shape in shapes:
            shape.transform(move)
        for point in points:
            here = QgsGeometry.fromPointXY(point)
            if min(shape.distance(here) for shape in shapes) > 3:
                return point
        raise Failed("every building in view has an object")

    def check(self, layer, points: list) -> None:
        """As many features as clicks, in their order, each at its own click."""
        move = QgsCoordinateTransform(layer.crs(), self.map_crs(), QgsProject.instance())
        # New features have ids that fall: -2, -3, ...
        features = sorted(layer.getFeatures(), key=lambda feature: -feature.id())
        if len(features) != COUNT:
            raise Failed(f"{len(features)} features instead of {COUNT}")
        away = []
        for feature, point in zip(features, points):  # noqa: B905 - Python 3.9
            geometry = QgsGeometry(feature.geometry())
            geometry.transform(move)
            away.append(geometry.distance(QgsGeometry.fromPointXY(point)))
        self.step("forty features in order", farthest_from_its_click_m=round(max(away), 2))
        if max(away) > 2.0:
            raise Failed(f"an object lies away from its click: {away}")

    def map_crs(self) -> QgsCoordinateReferenceSystem:
        return self.canvas.mapSettings().destinationCrs()

    def interrupt(self, point) -> None:
        """Pan, zoom and identify and back: the object is still in work."""
        self.stalls.part("interrupt")
        session = self.plugin.controller.session
        self.click(point)
        self.until(lambda: session.candidates, "a polygon")
        shown = session.geometry.asWkt()
        for action in (iface.actionPan(), iface.actionZoomIn(), iface.actionIdentify()):
            action.trigger()
            self.wait(0.2)
        self.canvas.zoomByFactor(0.7)
        self.wait(1)
        self.picture("identify")
        self.plugin.tool_action.trigger()
        if session.geometry is None or session.geometry.asWkt() != shown:
            raise Failed("the object in work is gone")
        layer = self.plugin.controller.target_layer()
        self.plugin.dock.refinement.setCollapsed(False)
        spin = self.plugin.dock.refinement.max_vertices
        spin.setFocus()
        subprocess.Popen(["xdotool", "key", "Return"])
        self.until(lambda: layer.featureCount() == COUNT + 1, "Enter from the panel", 20)
        self.step("still in work after pan, zoom and identify; Enter from the panel accepts")


if __name__ == "__main__":
    QTimer.singleShot(1500, lambda: FastClicks().tell())
