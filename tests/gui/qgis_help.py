# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs inside QGIS (``qgis --code``): frames of the short animated pictures of the help.

    python3 tests/gui/screenshots.py --script tests/gui/qgis_help.py --out FOLDER --timeout 400
    python tools/animate.py FOLDER samgeo_plugin/resources/help

One click and Enter; an existing polygon is taken up and corrected; the keys of the review. A frame
is the middle of the map, with the pointer and the key that is pressed.
"""

from __future__ import annotations

import json

from qgis.core import QgsGeometry, QgsPointXY, QgsRectangle
from qgis.PyQt.QtCore import QPoint, QRect, Qt, QTimer
from qgis.PyQt.QtGui import QColor, QFont, QPainter, QPen, QPolygon
from qgis.PyQt.QtWidgets import QApplication
from qgis.utils import iface
from qgis_session import Session
from qgis_window import LEFT, OUT, RIGHT, Failed

WIDTH, HEIGHT = 640, 400


class HelpSession(Session):
    """Three short stories."""

    def run(self) -> None:
        session = self.plugin.controller.session
        self.frames: dict[str, list[tuple[str, int]]] = {}
        self.load()
        roofs = self.choose_roofs()
        self.plugin.tool_action.trigger()
        self.until(lambda: session.state == "ready", "the raster is opened")
        iface.messageBar().clearWidgets()
        self.show_around(roofs)
        self.digitise(roofs)
        self.correct_one(roofs[0])
        self.review_all()
        (OUT / "frames.json").write_text(json.dumps(self.frames))
        self.step("frames", **{name: len(frames) for name, frames in self.frames.items()})

    def show_around(self, roofs: list[dict]) -> None:
        box = QgsGeometry.unaryUnion([roof["geometry"] for roof in roofs]).boundingBox()
        box.scale(1.9)  # a frame is the middle of the map
        self.canvas.setExtent(QgsRectangle(box))
        self.canvas.refresh()
        self.wait(2)

    def digitise(self, roofs: list[dict]) -> None:
        session = self.plugin.controller.session
        for roof in roofs[:3]:
            at = roof["point"]
            self.move(at)
            self.wait(1.2)
            self.frame("click", at, "", 700)
            self.click(at)
            self.until(lambda: not session.is_waiting and session.candidates, "a polygon", 60)
            self.wait(0.3)
            self.frame("click", at, "click", 900)
            self.key(Qt.Key.Key_Return)
            self.until(lambda: not session.pending and not session.prompts, "written", 60)
            self.wait(0.5)
            self.frame("click", at, "Enter", 900)

    def correct_one(self, roof: dict) -> None:
        """The last two points are where the polygon is still wrong, if it is."""
        session = self.plugin.controller.session
        layer = self.plugin.controller.target_layer()
        inside = next(f for f in layer.getFeatures()).geometry()
        if inside.isEmpty():
            raise Failed("nothing to correct")
        at = roof["point"]
        self.frame("correct", at, "", 700)
        self.click(at)
        self.until(lambda: session.place is not None, "taken up", 30)
        self.wait(0.6)
        self.frame("correct", at, "click: taken up", 1000)
        for _ in range(3):
            shape, truth = session.geometry.makeValid(), roof["geometry"]
            missing, extra = truth.difference(shape), shape.difference(truth)
            wrong, button, word = max(
                (missing, LEFT, "click: add"),
                (extra, RIGHT, "right click: take away"),
                key=lambda each: each[0].area(),
            )
            if wrong.area() < 2:
                break
            spot = wrong.poleOfInaccessibility(0.3)[0].asPoint()
            self.click(spot, button)
            self.until(lambda: not session.is_waiting and session.candidates, "corrected", 60)
            self.wait(0.4)
            self.frame("correct", spot, word, 1100)
        self.key(Qt.Key.Key_Return)
        self.until(lambda: not session.pending and not session.prompts, "written back", 60)
        self.wait(0.5)
        self.frame("correct", at, "Enter: written back", 1200)

    def review_all(self) -> None:
        layer, review = self.plugin.controller.target_layer(), self.plugin.review
        self.plugin.controller.classes.add("house")
        panel = self.plugin.dock.review
        panel.setCollapsed(False)
        panel.layer.setLayer(layer)
        self.wait(0.5)
        panel.mode.start.click()
        self.until(lambda: review.ready, "the queue", 60)
        self.wait(1.5)
        self.canvas.setFocus()
        self.frame("review", None, "N, P: next, previous", 900)
        for key, word in (
            (Qt.Key.Key_A, "A: accept"), (Qt.Key.Key_1, "1: class"), (Qt.Key.Key_X, "X: reject"),
        ):  # fmt: skip
            self.key(key)
            self.wait(1.3)
            self.frame("review", None, word, 1100)

    def frame(self, name: str, at: QgsPointXY | None, text: str, milliseconds: int) -> None:
        """Keep the middle of the map as it is on the screen."""
        view = self.canvas.viewport()
        corner = view.mapToGlobal(QPoint(0, 0))
        crop = QRect(0, 0, WIDTH, HEIGHT)
        crop.moveCenter(view.rect().center())
        screen = QApplication.primaryScreen().grabWindow(
            0, corner.x() + crop.x(), corner.y() + crop.y(), crop.width(), crop.height()
        )
        painter = QPainter(screen)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if at is not None:
            tip = self.pixel(at) - crop.topLeft()
            arrow = [(0, 0), (0, 17), (4, 13), (7, 20), (10, 19), (7, 12), (12, 12)]
            painter.setPen(QPen(QColor("black"), 1))
            painter.setBrush(QColor("white"))
            painter.drawPolygon(QPolygon([tip + QPoint(x, y) for x, y in arrow]))
        if text:
            painter.setFont(QFont("DejaVu Sans", 13))
            wide = painter.fontMetrics().horizontalAdvance(text) + 24
            box = QRect((WIDTH - wide) // 2, HEIGHT - 44, wide, 32)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(0, 0, 0, 190))
            painter.drawRoundedRect(box, 6, 6)
            painter.setPen(QColor("white"))
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)
        painter.end()
        frames = self.frames.setdefault(name, [])
        file = f"frame_{name}_{len(frames):02d}.png"
        screen.save(str(OUT / file))
        frames.append((file, milliseconds))


if __name__ == "__main__":
    QTimer.singleShot(1500, lambda: HelpSession().tell())
