# SPDX-License-Identifier: GPL-2.0-or-later
"""Opening a raster in the engine, repeated a limited number of times after a crash."""

from __future__ import annotations

import time
from typing import Any, Optional

from qgis.PyQt.QtCore import QObject, QTimer, pyqtSignal

from ..i18n import tr
from ..job import Failure, OpenParameters
from .engine_session import EngineSession

CLOSED = "closed"
OPENING = "opening"
READY = "ready"

_REOPENINGS = 2
_WITHIN = 60.0
"""How often within so many seconds a lost engine is brought back without being asked."""


class Opening(QObject):
    """Whether a raster is open.

    Args:
        engine: What becomes open.
        parent: Qt's owner.

    Attributes:
        state: CLOSED, OPENING or READY.
        info: The engine's answer to ``open``: CRS, size, model, warnings.
    """

    changed = pyqtSignal()
    opened = pyqtSignal()
    lost = pyqtSignal()
    given_up = pyqtSignal()
    message = pyqtSignal(str, str, str)
    progressed = pyqtSignal(object)

    def __init__(self, engine: EngineSession, parent: Optional[QObject] = None) -> None:
        super().__init__(parent)
        self._engine = engine
        self._parameters: Optional[OpenParameters] = None
        self._asked: Optional[OpenParameters] = None
        """What the engine is asked to open, until it answers."""
        self._works = False
        """An engine has greeted: one that has died can be had again."""
        self._losses: list[float] = []
        self.state = CLOSED
        self.info: dict[str, Any] = {}
        engine.client.greeted.connect(self._engine_greeted)
        engine.client.died.connect(self._engine_died)

    @property
    def parameters(self) -> Optional[OpenParameters]:
        """What is open, or about to be."""
        return self._parameters

    def is_of(self, parameters: OpenParameters) -> bool:
        """This raster with this model is open, or about to be."""
        return self.state != CLOSED and parameters == self._parameters

    def open(self, parameters: OpenParameters) -> None:
        """Open a raster with a model."""
        self._parameters = parameters
        self.try_again()

    def close(self) -> None:
        """Give the engine's session back."""
        self._engine.close()
        self._parameters = None
        self._set(CLOSED)

    def try_again(self) -> None:
        """Open what was open before; nothing where there is nothing."""
        parameters = self._parameters
        if parameters is None:
            return
        self._engine.name = ""
        self._asked = parameters
        self._set(OPENING)
        self._engine.client.request(
            "open",
            parameters.to_dict(),
            on_result=lambda result: self._opened(parameters, result),
            on_failure=lambda failure: self._not_opened(parameters, failure),
            on_progress=self.progressed.emit,
        )

    def _open_again(self, parameters: OpenParameters) -> None:
        """Unless something else was opened meanwhile, or this by a click."""
        if self._parameters is parameters and self._asked is None:
            self.try_again()

    def _set(self, state: str) -> None:
        self.state = state
        self.changed.emit()

    def _opened(self, parameters: OpenParameters, result: dict[str, Any]) -> None:
        session = str(result.get("session", ""))
        if parameters is not self._parameters:
            self._engine.client.request("close", {"session": session})
            return
        self._asked = None
        self._engine.name = session
        self._engine.has_crs = result.get("crs") is not None
        self.info = result
        self._engine.client.note_device(str((result.get("model") or {}).get("device") or ""))
        self._set(READY)
        for warning in result.get("warnings") or []:
            self.message.emit("warning", str(warning), "")
        self.opened.emit()

    def _not_opened(self, parameters: OpenParameters, failure: Failure) -> None:
        if parameters is not self._parameters or parameters is not self._asked:
            return  # where the engine has died, that says whether it is opened again
        self._give_up()
        if failure.kind != "Cancelled":
            self.message.emit("error", failure.message, failure.detail)

    def _give_up(self) -> None:
        self._parameters = self._asked = None
        self._set(CLOSED)
        self.given_up.emit()

    def _engine_greeted(self, _: object) -> None:
        self._works = True

    def _engine_died(self, sentence: str, detail: str) -> None:
        """Say so, and bring it back for the next click."""
        self._engine.name = ""
        self._asked = None
        self.lost.emit()
        parameters = self._parameters
        if parameters is None:
            return
        now = time.monotonic()
        self._losses = [then for then in self._losses if now - then < _WITHIN] + [now]
        if self._works and len(self._losses) <= _REOPENINGS:
            self.message.emit(
                "warning", tr("{why} It is being restarted.").format(why=sentence), detail
            )
            QTimer.singleShot(0, lambda: self._open_again(parameters))
            return
        self._losses = []
        self._give_up()
        if not self._works:
            self.message.emit("error", sentence, detail)
            return
        self.message.emit(
            "error",
            tr("{why} It ended several times; choose a smaller model or see the log.").format(
                why=sentence
            ),
            f"{parameters}\n{detail}",
        )
