# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs inside QGIS (``qgis --code``): forty roofs with one click and Enter each, one per 0.8 s.

    python3 tests/gui/screenshots.py --script tests/gui/qgis_forty_roofs.py --out FOLDER

The X server's own mouse and keyboard (xdotool) are used, and the engine as it is. What is written
is compared with what the model gave: number, parts, vertices, IoU with the footprints. Then the
same forty go into another layer with the project avoiding overlaps, and forty that stand wall to
wall into a third one: there a click may lie in the polygon before it, which is then taken up.
"""

from __future__ import annotations

import statistics
import subprocess

from qgis.core import (
    QgsCoordinateTransform,
    QgsGeometry,
    QgsPointXY,
    QgsProject,
    QgsRectangle,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QTimer
from qgis.utils import iface
from qgis_session import Session, overlap
from qgis_window import OUT, Failed

COUNT = 40
EVERY = 0.8
APART = 3.0
"""Metres between the roofs of the first round: none is taken for a part of its neighbour."""


class FortyRoofs(Session):
    """Two rounds of forty roofs."""

    def run(self) -> None:
        session = self.plugin.controller.session
        self.load()
        roofs = self.roofs(APART)
        self.plugin.tool_action.trigger()
        self.until(lambda: session.state == "ready", "the raster is opened")
        iface.messageBar().clearWidgets()
        self.wait(1)
        layer = self.plugin.controller.target_layer()
        self.digitise("one by one", layer, roofs)
        self.step("overlaps where they are not avoided", pairs=len(overlaps(layer)))

        QgsProject.instance().setAvoidIntersectionsMode(
            QgsProject.AvoidIntersectionsMode.AvoidIntersectionsCurrentLayer
        )
        layer = self.next_layer(layer, "no_overlaps")
        self.digitise("no overlaps", layer, roofs)
        self.no_overlaps(layer)
        layer = self.next_layer(layer, "wall_to_wall")
        self.digitise("wall to wall", layer, self.roofs(0.0), least=COUNT - 8)
        self.no_overlaps(layer)

    def next_layer(self, layer: QgsVectorLayer, name: str) -> QgsVectorLayer:
        """Save one layer and go on in another."""
        if not layer.commitChanges():
            raise Failed("; ".join(layer.commitErrors()))
        node = QgsProject.instance().layerTreeRoot().findLayer(layer.id())
        node.setItemVisibilityChecked(False)
        made = self.plugin.controller.new_target(str(OUT / f"{name}.gpkg"))
        self.canvas.setFocus()
        self.wait(1)
        return made

    def digitise(
        self, name: str, layer: QgsVectorLayer, roofs: list[QgsGeometry], least: int = COUNT
    ) -> None:
        """Forty clicks and Enters, and what has come of them."""
        session = self.plugin.controller.session
        accepted: list = []
        session.accepted.connect(accepted.append)
        self.stalls.part(name)
        words: list[str] = []
        for roof in roofs:
            at = self.canvas.viewport().mapToGlobal(self.pixel(inner_point(roof)))
            words += ["mousemove", str(at.x()), str(at.y()), "click", "1"]
            words += ["sleep", f"{EVERY / 2}", "key", "Return", "sleep", f"{EVERY / 2}"]
        hand = subprocess.Popen(["xdotool", *words])
        self.until(lambda: hand.poll() is not None, "xdotool's end", 90)
        if hand.returncode:
            raise Failed("xdotool failed")
        waiting = session.pending
        self.until(lambda: not session.pending, "all objects are made", 300)
        self.wait(0.5)
        session.accepted.disconnect(accepted.append)
        self.picture(name.replace(" ", "_"))
        if session.prompts:
            raise Failed(f"{len(session.prompts)} prompts are left over")
        move = QgsCoordinateTransform(
            layer.crs(), self.canvas.mapSettings().destinationCrs(), QgsProject.instance()
        )
        shapes = []
        for feature in sorted(layer.getFeatures(), key=lambda each: -each.id()):
            shape = QgsGeometry(feature.geometry())
            shape.transform(move)
            shapes.append(shape)
        if not least <= len(shapes) <= COUNT:
            raise Failed(f"{len(shapes)} features instead of {COUNT}")
        parts = [len(shape.asGeometryCollection()) for shape in shapes]
        vertices = [
            shape.constGet().nCoordinates() - shape.constGet().ringCount() for shape in shapes
        ]
        full = [max(overlap(each.raw, roof) for roof in roofs) for each in accepted]
        now = [max(overlap(shape, roof) for roof in roofs) for shape in shapes]
        lost = statistics.mean(full) - statistics.mean(now)
        self.step(
            f"forty roofs, {name}",
            features=len(shapes),
            waiting_at_the_end=waiting,
            most_parts=max(parts),
            median_vertices=statistics.median(vertices),
            median_vertices_of_the_model=statistics.median(corners(e.raw) for e in accepted),
            iou=round(statistics.mean(now), 3),
            iou_of_the_full_outlines=round(statistics.mean(full), 3),
        )
        if max(parts) > 1:
            raise Failed(f"parts: {parts}")
        if statistics.median(vertices) > 16:
            raise Failed(f"vertices: {sorted(vertices)}")
        # Where overlaps are avoided, what is lost is not the outline's alone.
        if name == "one by one" and lost > 0.01:
            raise Failed(f"the outlines agree with the footprints by {lost:.3f} less")

    def roofs(self, apart: float) -> list[QgsGeometry]:
        """Forty footprints in view, in the map's CRS."""
        map_crs = self.canvas.mapSettings().destinationCrs()
        to_map = QgsCoordinateTransform(self.raster.crs(), map_crs, QgsProject.instance())
        extent = to_map.transformBoundingBox(self.raster.extent())
        middle = extent.center()
        x = extent.xMinimum() + 0.75 * extent.width()
        half = 130 if apart else 80
        self.canvas.setExtent(
            QgsRectangle(x - half, middle.y() - 0.67 * half, x + half, middle.y() + 0.67 * half)
        )
        self.wait(2)
        move = QgsCoordinateTransform(self.truth.crs(), map_crs, QgsProject.instance())
        view = self.canvas.extent()
        view.grow(-8)
        inside = QgsRectangle(extent)
        inside.grow(-5)
        chosen: list[QgsGeometry] = []
        for feature in self.truth.getFeatures():
            roof = QgsGeometry(feature.geometry())
            roof.transform(move)
            box = roof.boundingBox()
            if not view.contains(box) or not inside.contains(box) or not 50 < roof.area() < 500:
                continue
            if all(roof.distance(other) >= apart for other in chosen):
                chosen.append(roof)
            if len(chosen) == COUNT:
                return chosen
        raise Failed(f"only {len(chosen)} roofs in view")

    def no_overlaps(self, layer: QgsVectorLayer) -> None:
        """Pairs of features share no area."""
        pairs = overlaps(layer)
        self.step("no overlaps", pairs=len(pairs), most=max(pairs, default=0.0))
        if pairs:
            raise Failed(f"{len(pairs)} pairs of features overlap, by {max(pairs):.3g}")


def overlaps(layer: QgsVectorLayer) -> list[float]:
    """Of each pair of features that share area: how much of the first one it is."""
    shapes = [feature.geometry() for feature in layer.getFeatures()]
    shares = [
        one.intersection(other).area() / one.area()
        for number, one in enumerate(shapes)
        for other in shapes[:number]
        if one.intersects(other)
    ]
    return [share for share in shares if share > 1e-6]


def corners(shape: QgsGeometry) -> int:
    """Vertices of all rings; closing ones are not counted."""
    return sum(len(ring) - 1 for part in shape.asGeometryCollection() for ring in part.asPolygon())


def inner_point(roof: QgsGeometry) -> QgsPointXY:
    """Where a person clicks."""
    return roof.poleOfInaccessibility(0.3)[0].asPoint()


if __name__ == "__main__":
    QTimer.singleShot(1500, lambda: FortyRoofs().tell())
