# SPDX-License-Identifier: GPL-2.0-or-later
"""Encoding and predicting at the cursor before a click, for the hover preview."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Optional

from qgis.core import QgsGeometry, QgsPointXY
from qgis.PyQt.QtCore import QObject, QTimer, pyqtSignal

from ..job import Failure, MessageError, Prompt
from .candidates import Candidate
from .engine_session import EngineSession

_HOVER_EVERY = 0.06
_LOOK_EVERY = 0.25
"""Seconds from one question to the next."""

_LOOK_AGAIN = 500
"""Milliseconds until a place that was not encoded yet is asked for again."""


@dataclass
class _Hover:
    running: Optional[int] = None
    wanted: Optional[QgsPointXY] = None
    asked: float = 0.0


class LookAhead(QObject):
    """Follows the cursor with one question of each kind at a time; stale answers are dropped.

    Args:
        engine: The open raster.
        hovers: Whether a polygon is shown under the cursor; not while an object is in work.
        parent: Qt's owner.
        busy: Whether accepted objects wait for the engine, which must not look elsewhere then.

    Attributes:
        window_ready: The image under the cursor is encoded: hover and clicks answer at once.
    """

    hover_changed = pyqtSignal(object)
    ready_changed = pyqtSignal()

    def __init__(
        self,
        engine: EngineSession,
        hovers: Callable[[], bool],
        parent: Optional[QObject] = None,
        busy: Callable[[], bool] = lambda: False,
    ) -> None:
        super().__init__(parent)
        self._engine = engine
        self._hovers = hovers
        self._busy = busy
        self.window_ready = False
        self._cursor: Optional[QgsPointXY] = None
        self._hover = _Hover()
        self._looking: Optional[int] = None
        self._looked = 0.0
        self._look_from: Optional[QgsPointXY] = None
        self._look_again = QTimer(self)
        self._look_again.setSingleShot(True)
        self._look_again.setInterval(_LOOK_AGAIN)
        self._look_again.timeout.connect(self.look)

    @property
    def is_preparing(self) -> bool:
        """The cursor is on the map, and the image there is not encoded yet."""
        return self._cursor is not None and not self.window_ready

    def move(self, point: QgsPointXY) -> None:
        """The cursor is here."""
        self._set_cursor(point)
        if not self._engine.is_open:
            return
        if time.monotonic() - self._looked > _LOOK_EVERY and not self._busy():
            self.look()
        if self._hovers():
            self._hover.wanted = point
            self._send_hover()

    def leave(self) -> None:
        """The cursor has left the map."""
        self._set_cursor(None)
        self.drop()

    def _set_cursor(self, point: Optional[QgsPointXY]) -> None:
        before = self.is_preparing
        self._cursor = point
        if self.is_preparing != before:
            self.ready_changed.emit()

    def drop(self) -> None:
        """Show nothing, and give a running question up."""
        self._hover.wanted = None
        if self._hover.running is not None:
            self._engine.give_up(self._hover.running)
            self._hover.running = None
        self.hover_changed.emit(None)

    def lose_engine(self) -> None:
        """The engine's process is gone."""
        self._looking = None
        self._hover = _Hover()
        self.window_ready = False

    # --- hover ----------------------------------------------------------------------------------

    def _send_hover(self) -> None:
        hover = self._hover
        if hover.running is not None or hover.wanted is None or not self._hovers():
            return
        wait = _HOVER_EVERY - (time.monotonic() - hover.asked)
        if wait > 0:
            QTimer.singleShot(int(wait * 1000) + 1, self._send_hover)
            return
        if not self._engine.is_open:
            return
        point, hover.wanted = hover.wanted, None
        hover.asked = time.monotonic()
        prompt = Prompt("point", [[point.x(), point.y()]])
        hover.running = self._engine.ask([prompt], self._hovered, self._not_hovered, hover=True)

    def _hovered(self, result: dict[str, Any]) -> None:
        self._hover.running = None
        shown: Optional[QgsGeometry] = None
        try:
            made = [Candidate.from_dict(each) for each in (result.get("candidates") or [])[:1]]
        except MessageError:
            made = []
        cursor = self._cursor
        # An answer for where the cursor was is worth showing only while it still holds.
        if made and self._hovers() and cursor is not None:
            shown = made[0].geometry if made[0].geometry.boundingBox().contains(cursor) else None
        self.hover_changed.emit(shown)
        self._send_hover()

    def _not_hovered(self, failure: Failure) -> None:
        self._hover.running = None
        self.hover_changed.emit(None)
        self._send_hover()

    # --- looking --------------------------------------------------------------------------------

    def look(self) -> None:
        """Let the engine look where the cursor is."""
        cursor = self._cursor
        if cursor is None or not self._engine.is_open or self._looking is not None:
            return
        before, self._look_from = self._look_from or cursor, cursor
        self._looked = time.monotonic()
        self._looking = self._engine.look(
            cursor,
            before,
            lambda result: self._looked_at(bool(result.get("encoded"))),
            self._not_looked,
        )

    def _looked_at(self, encoded: bool) -> None:
        self._looking = None
        became_ready = encoded and not self.window_ready
        if encoded != self.window_ready:
            self.window_ready = encoded
            self.ready_changed.emit()
        if not encoded:
            self._look_again.start()
        elif became_ready and self._cursor is not None and self._hovers():
            self._hover.wanted = self._cursor
            self._send_hover()

    def _not_looked(self, failure: Failure) -> None:
        self._looking = None
