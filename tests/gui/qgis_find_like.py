# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs inside QGIS (``qgis --code``): five clicks on roofs, then all that are like them.

    python3 tests/gui/screenshots.py --script tests/gui/qgis_find_like.py --out FOLDER --timeout 600

The X server's own mouse and keyboard (xdotool) are used. Measured: from the button to the first
objects in the candidates' layer and to the last ones, without and with cached encodings; from each
correction to the layer that follows it; the main thread's stalls. The footprints judge what is
found.
"""

from __future__ import annotations

import os
import subprocess
import time

from qgis.core import (
    Qgis,
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsFeatureRequest,
    QgsGeometry,
    QgsPointXY,
    QgsProject,
    QgsRectangle,
)
from qgis.PyQt.QtCore import Qt, QTimer
from qgis.utils import iface
from qgis_session import Session, overlap
from qgis_window import Failed

CLICKS = 5
CACHED = bool(os.environ.get("SAMGEO_FIND_CACHED"))
"""The encodings are there from an earlier run: one search is enough."""

PIXEL = 0.132
"""Metres of ground per screen pixel: the raster's own."""


class FindLike(Session):
    """Click, find, correct, ask, take over, save."""

    def run(self) -> None:
        self.load()
        find, dock = self.plugin.find, self.plugin.dock
        roofs = self.view()
        dock.find.setCollapsed(False)
        dock.source.setCollapsed(True) if hasattr(dock.source, "setCollapsed") else None
        dock.classes.name.setText("roof")
        dock.classes.add.click()
        dock.classes.name.setText("tree")
        dock.classes.add.click()
        self.plugin.tool_action.trigger()
        session = self.plugin.controller.session
        self.until(lambda: session.state == "ready", "the raster is opened")
        self.canvas.setFocus()
        self.wait(1)
        iface.messageBar().clearWidgets()

        self.stalls.part("clicks")
        self.click_roofs(roofs)
        self.picture("five_roofs")

        layer_before = set(QgsProject.instance().mapLayers())
        for name in ("first", "cached")[CACHED:]:
            self.stalls.part(f"find, {name}")
            self.find_all(name)
        new = set(QgsProject.instance().mapLayers()) - layer_before
        if len(new) != 2:
            raise Failed(f"{len(new)} new layers: the examples and the candidates were expected")
        self.judge()
        self.picture("found")

        self.stalls.part("slider")
        before, started = len(find.kept), time.monotonic()
        shown = self.listen(find.candidates.shown)
        dock.find.least.setValue(75)
        self.until(lambda: shown, "the slider's answer", 120)
        self.step("slider to .75", ms=round((time.monotonic() - started) * 1000),
                  shown=[before, len(find.kept)])  # fmt: skip
        self.picture("slider")
        dock.find.least.setValue(50)
        self.wait(1)
        self.until(self.at_rest, "rest", 120)

        self.what = "correct"
        self.correct_some()
        self.judge()
        self.picture("corrected")

        self.what = "ask"
        self.ask_some()
        self.judge()
        self.picture("asked")

        self.stalls.part("take over")
        target = self.plugin.controller.target_layer()
        had, kept = target.featureCount(), len(find.kept)
        dock.find.take.click()
        self.until(
            lambda: target.featureCount() > had and not dock.find._automatic.takes, "taken", 120
        )
        self.step("taken over", features=[had, target.featureCount()], shown=kept)
        self.wait(1)
        self.picture("taken_over")
        target.undoStack().undo()
        if target.featureCount() != had:
            raise Failed("one undo does not take all of them back")
        target.undoStack().redo()
        if not target.commitChanges():
            raise Failed("; ".join(target.commitErrors()))
        names = {feature["class"] for feature in target.getFeatures()}
        examples = self.plugin.examples
        self.step("saved", classes=sorted(map(str, names)), examples=dict(examples.counts),
                  file=examples.layer().source())  # fmt: skip
        if names != {"roof"} or "roofs_examples.gpkg" not in examples.layer().source():
            raise Failed("classes or examples are not where they belong")
        self.stalls.part("end")

    # --- steps ----------------------------------------------------------------------------------

    def view(self) -> list[dict]:
        """A view at the raster's resolution with roofs that nobody has trained on."""
        crs = QgsCoordinateReferenceSystem("EPSG:32645")
        to_map = QgsCoordinateTransform(self.raster.crs(), crs, QgsProject.instance())
        extent = to_map.transformBoundingBox(self.raster.extent())
        middle = QgsPointXY(
            extent.xMinimum() + 0.83 * extent.width(), extent.yMinimum() + 0.62 * extent.height()
        )
        size = self.canvas.size()
        half = PIXEL * size.width() / 2, PIXEL * size.height() / 2
        self.what = ""
        view = QgsRectangle(
            middle.x() - half[0], middle.y() - half[1], middle.x() + half[0], middle.y() + half[1]
        )
        self.home = view
        self.canvas.setExtent(view)
        self.canvas.refresh()
        self.wait(2)
        move = QgsCoordinateTransform(self.truth.crs(), crs, QgsProject.instance())
        self.roofs = []
        box = move.transformBoundingBox(view, Qgis.TransformDirection.Reverse)
        for feature in self.truth.getFeatures(QgsFeatureRequest().setFilterRect(box)):
            shape = QgsGeometry(feature.geometry())
            shape.transform(move)
            if view.contains(shape.boundingBox()):
                point = shape.pointOnSurface().asPoint()
                self.roofs.append({"geometry": shape, "point": point, "id": feature.id()})
        inner = QgsRectangle(view)
        inner.scale(0.85)
        good = [
            roof for roof in self.roofs
            if inner.contains(roof["point"]) and roof["geometry"].area() > 60
        ]  # fmt: skip
        self.step("view", roofs=len(self.roofs), metres=[round(view.width()), round(view.height())])
        if len(good) < 2 * CLICKS:
            raise Failed(f"only {len(good)} roofs in view")
        return good

    def hand(self, *words: str, wait: float = 20.0) -> None:
        """The X server's mouse and keyboard; the event loop goes on meanwhile."""
        process = subprocess.Popen(["xdotool", *map(str, words)])
        self.until(lambda: process.poll() is not None, "xdotool's end", wait)

    def press(self, point: QgsPointXY, button: int = 1) -> None:
        at = self.canvas.viewport().mapToGlobal(self.pixel(point))
        ratio = self.canvas.devicePixelRatioF()
        x, y = round(at.x() * ratio), round(at.y() * ratio)
        self.hand("mousemove", x, y, "sleep", "0.05", "click", button)

    def click_roofs(self, roofs: list[dict]) -> None:
        """Five roofs far from one another: a click, the best candidate, Enter."""
        session, written = self.plugin.controller.session, self.listen(
            self.plugin.controller.written
        )  # fmt: skip
        chosen = [roofs[0]]
        while len(chosen) < CLICKS:
            chosen.append(
                max(roofs, key=lambda r: min(r["point"].sqrDist(c["point"]) for c in chosen))
            )
        for number, roof in enumerate(chosen):
            self.press(roof["point"])
            self.until(lambda: session.candidates and not session.is_waiting, "a polygon", 120)
            if number == 0:
                # While an object is in work 1 is the first class; without one it is QGIS's.
                self.hand("key", "1")
                self.until(lambda: self.plugin.controller.classes.current == "roof", "key 1", 5)
                self.wait(0.2)
                self.picture("roof_in_work")
            best = max(range(len(session.candidates)), key=lambda k: overlap(
                session.candidates[k].geometry, roof["geometry"]))  # fmt: skip
            session.choose(best)
            roof["iou"] = overlap(session.candidates[best].geometry, roof["geometry"])
            self.hand("key", "Return")
            self.until(lambda n=number: len(written) > n, "the object in the layer", 30)
        if self.would_take(Qt.Key.Key_1):
            raise Failed("a number key is taken although nothing is in work")
        self.step("five roofs", iou=[round(roof["iou"], 2) for roof in chosen])

    def find_all(self, name: str) -> None:
        find = self.plugin.find
        first: list[float] = []
        started = time.monotonic()

        def seen() -> None:
            if find.kept and not first:
                first.append(time.monotonic() - started)

        find.candidates.shown.connect(seen)
        self.plugin.dock.find.start.click()
        self.until(lambda: find.state == "finding", "the search begins", 60)
        if name == "first" or CACHED:
            self.until(lambda: first, "first objects", 300)
            self.picture("first_results")
        shown = self.listen(find.candidates.shown)
        self.until(lambda: find.state in ("done", "idle"), "all objects", 400)
        self.until(lambda: not find._sorting and not find.candidates._steps.busy, "shown", 200)
        find.candidates.shown.disconnect(seen)
        self.step(f"find all, {name}", first_s=round(first[0], 2) if first else None,
                  all_s=round(time.monotonic() - started, 2), tiles=find.tiles,
                  objects=len(find.found), shown=len(find.kept), updates=len(shown))  # fmt: skip
        layer = find.candidates.layer
        if layer is None or layer.featureCount() != len(find.kept) or not find.kept:
            raise Failed("the layer of candidates does not hold what was found")

    def truths(self, geometry: QgsGeometry) -> float:
        """Share of an object that lies in roofs."""
        common = sum(geometry.intersection(r["geometry"]).area() for r in self.roofs
                     if geometry.boundingBox().intersects(r["geometry"].boundingBox()))  # fmt: skip
        return common / max(geometry.area(), 1e-9)

    def judge(self) -> None:
        find = self.plugin.find
        self.stalls.part("script")
        view = QgsGeometry.fromRect(self.home)
        kept = [find.found[key].geometry.makeValid() for key in find.kept]
        kept = [shape for shape in kept if view.contains(shape)]
        right = sum(self.truths(shape) > 0.5 for shape in kept)
        found = sum(
            any(overlap(shape, roof["geometry"]) >= 0.5 for shape in kept
                if shape.boundingBox().intersects(roof["geometry"].boundingBox()))
            for roof in self.roofs
        )  # fmt: skip
        self.step("judged by the footprints", shown=len(kept), in_roofs=right,
                  roofs_found=found, roofs=len(self.roofs))  # fmt: skip

    def correct_some(self) -> None:
        """Three wrong ones rejected, two missing ones added, each by one click."""
        find = self.plugin.find
        self.stalls.part("script")
        self.plugin.example_action.trigger()
        self.canvas.setFocus()
        times = []
        for _ in range(3):
            wrong = [find.found[key] for key in find.kept if key not in find.marked]
            wrong = [one for one in wrong if self.sees(one) and self.truths(one.geometry) < 0.3]
            if not wrong:
                break
            one = max(wrong, key=lambda each: find.kept[each.id][1])
            times.append(self.timed(lambda one=one: self.press(self.spot(one), 3)))
            if one.id in find.kept:
                raise Failed("a rejected object is still shown")
        rejected = len(times)
        for _ in range(2):
            missing = [
                one for one in find.found.values()
                if not {one.id} & {*find.kept, *find.marked} and self.sees(one)
                and any(overlap(one.geometry, roof["geometry"]) > 0.6 for roof in self.roofs)
            ]  # fmt: skip
            missing = [one for one in missing if find.at(self.spot(one)) is one]
            if not missing:
                break
            one = missing[0]
            times.append(self.timed(lambda one=one: self.press(self.spot(one))))
            if find.kept.get(one.id, ("",))[0] != "roof":
                raise Failed("an added object is not shown")
        self.step("corrected", rejected=rejected, added=len(times) - rejected,
                  update_ms=[round(1000 * t) for t in times])  # fmt: skip
        if not times:
            raise Failed("nothing could be corrected")

    def ask_some(self) -> None:
        """Answers by key to what is asked next."""
        tool = self.plugin.example_tool
        self.plugin.dock.find.next.click()
        self.until(lambda: tool.asked is not None, "something is asked", 60)
        self.wait(0.5)
        self.picture("asked_next")
        times, said = [], []
        for _ in range(5):
            one = tool.asked
            if one is None:
                break
            key = "1" if self.truths(one.geometry) > 0.5 else "x"
            said.append(key)
            times.append(self.timed(lambda key=key: self.hand("key", key)))
            self.until(lambda one=one: tool.asked is not one, "the next question", 60)
        self.step("asked", keys="".join(said), update_ms=[round(1000 * t) for t in times])
        self.hand("key", "Escape")
        if tool.asked is not None or self.would_take(Qt.Key.Key_1):
            raise Failed("Escape does not end the asking, or a key is kept")

    # --- small things ---------------------------------------------------------------------------

    def listen(self, signal) -> list:
        heard: list = []
        signal.connect(lambda *_: heard.append(time.monotonic()))
        return heard

    def at_rest(self) -> bool:
        """The layer of candidates shows what the last examples say."""
        find = self.plugin.find
        waits = find._sorting or find._stale or find._soon.isActive()
        return not waits and not find.candidates._steps.busy

    def sees(self, one) -> bool:
        view = QgsRectangle(self.canvas.extent())
        view.scale(0.9)
        return view.contains(one.geometry.boundingBox())

    def spot(self, one) -> QgsPointXY:
        return one.geometry.makeValid().pointOnSurface().asPoint()

    def timed(self, act) -> float:
        """Seconds from the example to the layer that has learnt it; only this is QGIS's work."""
        find = self.plugin.find
        self.stalls.part(self.what)
        examples, sorted_ = self.listen(self.plugin.examples.changed), self.listen(find.sorted)
        shown = self.listen(find.candidates.shown)
        act()
        self.until(lambda: examples, "an example", 60)
        self.until(
            lambda: sorted_ and shown and shown[-1] >= sorted_[-1] and self.at_rest(),
            "the update", 120,
        )  # fmt: skip
        self.stalls.part("script")
        return shown[-1] - examples[0]


if __name__ == "__main__":
    QTimer.singleShot(1500, lambda: FindLike().tell())
