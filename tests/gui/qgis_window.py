# SPDX-License-Identifier: GPL-2.0-or-later
"""What scripts that drive a real QGIS window share: mouse and keys, pictures, stalls, a report.

Imported inside QGIS by what ``tests/gui/screenshots.py`` starts there. Mouse and keys are sent to
the map as Qt events, so that whatever stands between a key press and the tool (shortcuts, event
filters, focus) takes part.
"""

from __future__ import annotations

import json
import os
import time
import traceback
from pathlib import Path
from typing import ClassVar, Optional

from qgis.core import Qgis, QgsPointXY, QgsProject, QgsVectorLayer
from qgis.PyQt.QtCore import QEvent, QPoint, Qt, QTimer
from qgis.PyQt.QtGui import QKeyEvent, QMouseEvent
from qgis.PyQt.QtTest import QTest
from qgis.PyQt.QtWidgets import QApplication
from qgis.utils import iface, plugins

OUT = Path(os.environ["SAMGEO_SESSION_OUT"])
PATIENCE = float(os.environ.get("SAMGEO_PATIENCE", "1"))
"""How much longer to wait for everything: on a machine that others use too."""

LEFT, RIGHT, NONE = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton, Qt.MouseButton.NoButton
PLAIN = Qt.KeyboardModifier.NoModifier


class Failed(Exception):
    """A step did not do what it must."""


class Stalls:
    """How long the main thread did not come round, while the session is in a measured part."""

    def __init__(self) -> None:
        self.longest: dict[str, float] = {}
        self.when: dict[str, tuple[float, float]] = {}
        self.over: dict[str, int] = {}
        self.working: dict[str, float] = {}
        self._part = "start"
        self._last = time.monotonic()
        self._used = time.thread_time()
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)
        self._timer.start(5)

    def part(self, name: str) -> None:
        self._part = name
        self._last, self._used = time.monotonic(), time.thread_time()

    def _tick(self) -> None:
        now, used = time.monotonic(), time.thread_time()
        gap = (now - self._last) * 1000 - 5
        # What the thread itself worked: on a crowded machine the rest is other people's turn.
        work = (used - self._used) * 1000
        self.working[self._part] = max(self.working.get(self._part, 0.0), work)
        if gap > self.longest.get(self._part, 0.0):
            self.longest[self._part] = gap
            self.when[self._part] = self._last, now
        self._last, self._used = now, used
        self.over[self._part] = self.over.get(self._part, 0) + (gap > 50)


class Window:
    """QGIS's window with the plugin; a subclass tells its story in ``run``."""

    told: ClassVar[Optional[Window]] = None

    def __init__(self) -> None:
        self.report: dict = {"qgis": Qgis.QGIS_VERSION, "steps": [], "ok": False}
        self.stalls = Stalls()
        self.number = 0
        self.plugin = plugins["samgeo_seamless"]
        self.canvas = iface.mapCanvas()

    def step(self, text: str, **facts: object) -> None:
        self.report["steps"].append({"step": text, **facts})
        print(f"[session] {text} {facts or ''}", flush=True)

    def picture(self, name: str) -> None:
        """Of the whole window, as it stands on the screen."""
        part = self.stalls._part
        self.stalls.part("picture")
        self.wait(0.25)
        self.number += 1
        screen = QApplication.primaryScreen()
        screen.grabWindow(0).save(str(OUT / f"{self.number:02d}_{name}.png"))
        self.stalls.part(part)

    def wait(self, seconds: float) -> None:
        QTest.qWait(int(seconds * 1000))

    def until(self, condition, what: str, seconds: float = 120.0) -> None:
        end = time.monotonic() + seconds * PATIENCE
        while not condition():
            if time.monotonic() > end:
                raise Failed(f"Not in time: {what}")
            QTest.qWait(10)

    def pixel(self, point: QgsPointXY) -> QPoint:
        at = self.canvas.getCoordinateTransform().transform(point)
        return QPoint(round(at.x()), round(at.y()))

    def mouse(self, kind: QEvent.Type, at: QPoint, button=NONE, held=NONE, keys=PLAIN) -> None:
        view = self.canvas.viewport()
        event = QMouseEvent(kind, at, view.mapToGlobal(at), button, held, keys)
        QApplication.sendEvent(view, event)

    def move(self, point: QgsPointXY) -> None:
        self.mouse(QEvent.Type.MouseMove, self.pixel(point))

    def click(self, point: QgsPointXY, button=LEFT, keys=PLAIN) -> None:
        at = self.pixel(point)
        self.mouse(QEvent.Type.MouseMove, at)
        self.mouse(QEvent.Type.MouseButtonPress, at, button, button, keys)
        self.mouse(QEvent.Type.MouseButtonRelease, at, button, NONE, keys)

    def drag(self, start: QgsPointXY, end: QgsPointXY, name: str = "", keys=PLAIN) -> None:
        first, last = self.pixel(start), self.pixel(end)
        self.mouse(QEvent.Type.MouseButtonPress, first, LEFT, LEFT, keys)
        for k in range(1, 11):
            at = first + (last - first) * k / 10
            self.mouse(QEvent.Type.MouseMove, at, NONE, LEFT, keys)
            self.wait(0.02)
        if name:
            self.picture(name)
        self.mouse(QEvent.Type.MouseButtonRelease, last, LEFT, NONE, keys)

    def key(self, key: Qt.Key, keys=PLAIN) -> bool:
        """As the window system sends it: first as a shortcut's chance, then as a key."""
        taken = self.would_take(key, keys)
        QTest.keyClick(QApplication.focusWidget() or self.canvas, key, keys)
        return taken

    def would_take(self, key: Qt.Key, keys=PLAIN) -> bool:
        """Whether the tool claims a key before QGIS's shortcuts can."""
        override = QKeyEvent(QEvent.Type.ShortcutOverride, key, keys)
        override.ignore()
        QApplication.sendEvent(QApplication.focusWidget() or self.canvas, override)
        return bool(override.isAccepted())

    def run(self) -> None:
        """The story.

        Raises:
            Failed: A step did not do what it must.
        """
        raise NotImplementedError

    def tell(self) -> None:
        """Run the story, write the report, and close QGIS."""
        Window.told = self  # its timers go on when this function has ended
        try:
            self.run()
            self.report["ok"] = True
        except Exception:
            self.report["error"] = traceback.format_exc()
            print(self.report["error"], flush=True)
            self.picture("failed")
        self.report["stalls_ms"] = {k: round(v) for k, v in self.stalls.longest.items()}
        self.report["stalls_at"] = self.stalls.when
        self.report["work_ms"] = {k: round(v) for k, v in self.stalls.working.items()}
        self.report["stalls_over_50"] = self.stalls.over
        self.report["engine"] = self.plugin.controller.client.pid
        (OUT / "report.json").write_text(json.dumps(self.report, indent=1, default=str))
        for layer in QgsProject.instance().mapLayers().values():
            if isinstance(layer, QgsVectorLayer) and layer.isEditable():
                layer.rollBack()
        # Saved by now; else QGIS would ask whether the temporary layer may be lost.
        QgsProject.instance().removeAllMapLayers()
        QgsProject.instance().setDirty(False)
        iface.actionExit().trigger()
