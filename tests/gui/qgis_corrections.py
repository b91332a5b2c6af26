# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs inside QGIS (``qgis --code``): twenty roofs of an automatic run are corrected by clicks.

    SAMGEO_AUTOMATIC=candidates.gpkg python3 tests/gui/screenshots.py \
        --script tests/gui/qgis_corrections.py --out FOLDER --timeout 560

SAMGEO_CORRECTIONS sets another number of roofs. SAMGEO_AUTOMATIC is the layer that ``samgeo
segment`` made of the eastern half of the mosaic. Roofs are chosen by their IoU with the footprints
(.35 to .75), taken up with a click, corrected by up to four clicks where they are still wrong, and
written back with Enter. Truth is the judge.
"""

from __future__ import annotations

import os
import statistics

from qgis.core import (
    QgsCoordinateTransform,
    QgsFeature,
    QgsGeometry,
    QgsProject,
    QgsRectangle,
    QgsSpatialIndex,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import Qt, QTimer
from qgis.utils import iface
from qgis_session import Session, overlap
from qgis_window import LEFT, RIGHT, Failed

COUNT = int(os.environ.get("SAMGEO_CORRECTIONS", "20"))
MOST_CLICKS = 4


class Corrections(Session):
    """Twenty corrections."""

    def run(self) -> None:
        controller, session = self.plugin.controller, self.plugin.controller.session
        self.load()
        target = controller.target_layer()
        chosen = self.roofs(target)
        truth = dict(zip(sorted(f.id() for f in target.getFeatures()), chosen))  # noqa: B905
        crs = self.canvas.mapSettings().destinationCrs()
        move = QgsCoordinateTransform(target.crs(), crs, QgsProject.instance())
        before = {f.id(): self.moved(f, move) for f in target.getFeatures()}
        names = {f.id(): f["id"] for f in target.getFeatures()}
        target.startEditing()
        iface.setActiveLayer(self.raster)
        self.plugin.tool_action.trigger()
        self.until(lambda: session.state == "ready", "the raster is opened")
        iface.messageBar().clearWidgets()
        self.stalls.part("corrections")
        clicks = []
        for number, (feature_id, roof) in enumerate(truth.items()):
            box = roof.boundingBox()
            box.combineExtentWith(before[feature_id].boundingBox())
            box.scale(2.5)
            self.canvas.setExtent(QgsRectangle(box))
            self.canvas.refresh()
            self.wait(0.6)
            both = roof.intersection(before[feature_id])
            self.click(both.pointOnSurface().asPoint())
            self.until(lambda: session.geometry is not None, "the polygon is taken up", 30)
            clicks.append(self.put_right(roof, number))
            written: list = []
            controller.written.connect(written.append)
            self.key(Qt.Key.Key_Return)
            self.until(lambda: written or not session.prompts, "written back", 60)  # noqa: B023
            self.wait(0.3)
            controller.written.disconnect(written.append)
        self.picture("corrected")
        after = {f.id(): self.moved(f, move) for f in target.getFeatures()}
        was = [overlap(before[k], roof) for k, roof in truth.items()]
        now = [overlap(after[k], roof) for k, roof in truth.items() if k in after]
        self.step(
            "IoU of the roofs with truth",
            before=round(statistics.mean(was), 3),
            after=round(statistics.mean(now), 3),
            worse=sum(b < a - 0.02 for a, b in zip(was, now)),  # noqa: B905
            clicks=sum(clicks),
        )
        if sorted(after) != sorted(before):
            raise Failed(f"ids have changed: {sorted(before)} to {sorted(after)}")
        if {f.id(): f["id"] for f in target.getFeatures()} != names:
            raise Failed("attributes have changed")
        self.step("ids, attributes and count unchanged", count=len(after))
        if not target.commitChanges():
            raise Failed("; ".join(target.commitErrors()))
        if statistics.mean(now) <= statistics.mean(was):
            raise Failed("the roofs are no better than before")

    def put_right(self, roof: QgsGeometry, number: int) -> int:
        """Clicks in the middle of the largest mistake, as a person makes them."""
        session = self.plugin.controller.session
        for count in range(MOST_CLICKS):
            shape = session.geometry.makeValid()
            if overlap(shape, roof) > 0.85:
                return count
            missing, extra = roof.difference(shape), shape.difference(roof)
            wrong, button = max((missing, LEFT), (extra, RIGHT), key=lambda each: each[0].area())
            if number == 0:
                self.picture(f"before_click_{count + 1}")
            self.click(wrong.poleOfInaccessibility(0.3)[0].asPoint(), button)
            self.wait(0.2)
            self.until(lambda: not session.is_waiting and session.candidates, "a correction", 60)
            # A person keeps the candidate that fits best.
            fits = [overlap(each.geometry, roof) for each in session.candidates]
            session.choose(fits.index(max(fits)))
        return MOST_CLICKS

    def roofs(self, target: QgsVectorLayer) -> list[QgsGeometry]:
        """Twenty objects of the automatic run go into the target; their true shapes."""
        crs = self.canvas.mapSettings().destinationCrs()
        project = QgsProject.instance()
        automatic = QgsVectorLayer(os.environ["SAMGEO_AUTOMATIC"], "automatic", "ogr")
        to_map = QgsCoordinateTransform(automatic.crs(), crs, project)
        found = {}
        index = QgsSpatialIndex()
        for feature in automatic.getFeatures():
            found[feature.id()] = self.moved(feature, to_map)
            index.addFeature(feature.id(), found[feature.id()].boundingBox())
        move = QgsCoordinateTransform(self.truth.crs(), crs, project)
        pairs = []
        inside = QgsCoordinateTransform(self.raster.crs(), crs, project).transformBoundingBox(
            self.raster.extent()
        )
        inside.grow(-25)  # a roof that the raster cuts cannot be put right
        for feature in self.truth.getFeatures():
            roof = self.moved(feature, move)
            if not 60 < roof.area() < 400 or not inside.contains(roof.boundingBox()):
                continue
            near = index.intersects(roof.boundingBox())
            best = max(((overlap(found[k].makeValid(), roof), k) for k in near), default=(0, -1))
            if 0.35 < best[0] < 0.75:
                pairs.append((best[1], roof))
        taken: dict[int, QgsGeometry] = {}
        apart: list[QgsGeometry] = []
        for key, roof in sorted(pairs, key=lambda pair: pair[0]):
            if key in taken or any(found[key].intersects(other) for other in apart):
                continue
            taken[key] = roof
            apart.append(found[key])
            if len(taken) == COUNT:
                break
        if len(taken) < COUNT:
            raise Failed(f"only {len(taken)} roofs to correct")
        back = QgsCoordinateTransform(crs, target.crs(), project)
        target.startEditing()
        for key in taken:
            feature = QgsFeature(target.fields())
            shape = QgsGeometry(found[key])
            shape.transform(back)
            shape.convertToMultiType()
            feature.setGeometry(shape)
            feature["id"] = f"roof {key}"
            target.addFeature(feature)
        if not target.commitChanges():
            raise Failed("; ".join(target.commitErrors()))
        return list(taken.values())

    def moved(self, feature: QgsFeature, move: QgsCoordinateTransform) -> QgsGeometry:
        shape = QgsGeometry(feature.geometry())
        shape.transform(move)
        return shape.makeValid()


if __name__ == "__main__":
    QTimer.singleShot(1500, lambda: Corrections().tell())
