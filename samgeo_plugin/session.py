# SPDX-License-Identifier: GPL-2.0-or-later
"""The object in work: prompts, candidates, hover and refinement, without any widget.

The map tool and the dock only show this and call it. Every answer carries the generation of its
question: what arrives after the user has gone on is dropped.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Optional

from qgis.core import QgsCoordinateReferenceSystem, QgsGeometry, QgsPointXY
from qgis.PyQt.QtCore import QObject, QTimer, pyqtSignal

from .engine_client import EngineClient
from .geojson import from_geometry, to_geometry
from .i18n import tr
from .job import Failure, MessageError, OpenParameters, Progress, Prompt

CLOSED = "closed"
OPENING = "opening"
READY = "ready"

_REOPENINGS = 2
"""How often within a minute a lost engine is brought back without being asked."""

_HOVER_EVERY = 0.06
_LOOK_EVERY = 0.25


@dataclass(frozen=True)
class Candidate:
    """One mask that the model offers, as a polygon in the map's CRS."""

    geometry: QgsGeometry
    score: float
    stability: float
    area_m2: float
    perimeter_m: float
    tiles: int

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Candidate:
        """Raises MessageError where the engine's answer is not what it should be."""
        geometry = to_geometry(values.get("geometry"))
        try:
            return cls(
                geometry,
                float(values.get("score") or 0.0),
                float(values.get("stability") or 0.0),
                float(values.get("area_m2") or 0.0),
                float(values.get("perimeter_m") or 0.0),
                int(values.get("tiles") or 1),
            )
        except (TypeError, ValueError) as error:
            raise MessageError(f"The engine's candidate is malformed: {error}.") from error


@dataclass(frozen=True)
class Refinement:
    """What is done to a polygon after the model; lengths and areas on the ground."""

    simplify: float = 0.0
    min_area: float = 0.0
    min_hole: float = 0.0
    outlines: str = "contour"

    @property
    def does_something(self) -> bool:
        return self != Refinement()


@dataclass(frozen=True)
class Accepted:
    """A finished object on its way into the target layer."""

    geometry: QgsGeometry
    raw: QgsGeometry
    crs: QgsCoordinateReferenceSystem
    attributes: dict[str, Any]


@dataclass
class _Hover:
    running: Optional[int] = None
    wanted: Optional[QgsPointXY] = None
    asked: float = 0.0


@dataclass(frozen=True)
class _Shown:
    """What the user had before the last click, for a double click that must not count twice."""

    prompts: tuple[Prompt, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    index: int = 0


@dataclass
class _Answers:
    candidates: tuple[Candidate, ...] = ()
    index: int = 0
    refined: Optional[QgsGeometry] = None
    limit: Optional[str] = None


class InteractiveSession(QObject):
    """One raster, one model, one object at a time.

    Args:
        client: The engine.
        parent: Qt's owner.
    """

    changed = pyqtSignal()
    hover_changed = pyqtSignal(object)
    accepted = pyqtSignal(object)
    message = pyqtSignal(str, str, str)
    status = pyqtSignal(str, int, int)

    def __init__(self, client: EngineClient, parent: Optional[QObject] = None) -> None:
        super().__init__(parent)
        self._client = client
        self._parameters: Optional[OpenParameters] = None
        self._session = ""
        self._state = CLOSED
        self._info: dict[str, Any] = {}
        self._crs = QgsCoordinateReferenceSystem()
        self._pixel_size: Optional[float] = None
        self._prompts: list[Prompt] = []
        self._before = _Shown()
        self._answers = _Answers()
        self._generation = 0
        self._request: Optional[int] = None
        self._accept_when_ready = False
        self._escaped = False
        self._hover = _Hover()
        self._looking: Optional[int] = None
        self._looked = 0.0
        self._look_from: Optional[QgsPointXY] = None
        self._cursor: Optional[QgsPointXY] = None
        self._window_ready = False
        self._refinement = Refinement()
        self._refining: Optional[int] = None
        self._refine_again = False
        self._lost: list[float] = []
        self._look_again = QTimer(self)
        self._look_again.setSingleShot(True)
        self._look_again.setInterval(500)
        self._look_again.timeout.connect(self._look_at_cursor)
        client.died.connect(self._engine_died)

    # --- what is shown --------------------------------------------------------------------------

    @property
    def state(self) -> str:
        return self._state

    @property
    def info(self) -> dict[str, Any]:
        """The engine's answer to ``open``: CRS, size, model, warnings."""
        return self._info

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        return tuple(self._prompts)

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        return self._answers.candidates

    @property
    def index(self) -> int:
        return self._answers.index

    @property
    def limit(self) -> Optional[str]:
        """Why the object was not followed further, if it was not."""
        return self._answers.limit

    @property
    def current(self) -> Optional[Candidate]:
        if not self._answers.candidates:
            return None
        return self._answers.candidates[self._answers.index]

    @property
    def geometry(self) -> Optional[QgsGeometry]:
        """The polygon that accepting would write: the candidate, refined where asked."""
        if self.current is None:
            return None
        return self._answers.refined or self.current.geometry

    @property
    def is_waiting(self) -> bool:
        """An answer to the current prompts is on its way."""
        return self._request is not None

    @property
    def window_ready(self) -> bool:
        """The image under the cursor is encoded: hover and clicks answer at once."""
        return self._window_ready

    @property
    def crs(self) -> QgsCoordinateReferenceSystem:
        return self._crs

    # --- opening --------------------------------------------------------------------------------

    def open(self, parameters: OpenParameters) -> None:
        """Open a raster with a model; the object in work is given up if either is another."""
        if self._state != CLOSED and parameters == self._parameters:
            return
        self.close()
        self._parameters = parameters
        self._open()

    def close(self) -> None:
        """Give the engine's session back."""
        self._clear_object()
        self.hover_changed.emit(None)
        if self._session:
            self._client.request("close", {"session": self._session})
        self._session = ""
        self._parameters = None
        self._set_state(CLOSED)

    def use_map(self, crs: QgsCoordinateReferenceSystem, pixel_size: Optional[float]) -> None:
        """The map's CRS, in which prompts and answers are, and its ground units a screen pixel."""
        if crs != self._crs and self._prompts:
            self._clear_object()
            self.message.emit(
                "info", tr("The project's CRS has changed; the object in work was given up."), ""
            )
        self._crs = crs
        self._pixel_size = pixel_size

    def _open(self) -> None:
        parameters = self._parameters
        if parameters is None:
            return
        self._session = ""
        self._set_state(OPENING)
        self._client.request(
            "open",
            parameters.to_dict(),
            on_result=lambda result: self._opened(parameters, result),
            on_failure=lambda failure: self._not_opened(parameters, failure),
            on_progress=self._tell_progress,
        )

    def _opened(self, parameters: OpenParameters, result: dict[str, Any]) -> None:
        session = str(result.get("session", ""))
        if parameters is not self._parameters:
            self._client.request("close", {"session": session})
            return
        self._session = session
        self._info = result
        self._set_state(READY)
        for warning in result.get("warnings") or []:
            self.message.emit("warning", str(warning), "")
        if self._prompts:
            self._ask()
        else:
            self._look_at_cursor()

    def _not_opened(self, parameters: OpenParameters, failure: Failure) -> None:
        if parameters is not self._parameters:
            return
        self._parameters = None
        self._clear_object()
        self._set_state(CLOSED)
        if failure.kind != "Cancelled":
            self.message.emit("error", failure.message, failure.detail)

    def _engine_died(self, sentence: str, detail: str) -> None:
        """Say so, and bring it back for the next click, but not for ever."""
        # The requests themselves fail right after this; they are forgotten here.
        self._session = ""
        self._request = self._looking = self._refining = None
        self._hover = _Hover()
        self._window_ready = False
        self._generation += 1
        if self._parameters is None:
            return
        now = time.monotonic()
        self._lost = [moment for moment in self._lost if now - moment < 60] + [now]
        if len(self._lost) <= _REOPENINGS:
            self.message.emit(
                "warning", tr("{why} It is being restarted.").format(why=sentence), detail
            )
            QTimer.singleShot(0, self._open)
        else:
            parameters, self._parameters = self._parameters, None
            self._clear_object()
            self._set_state(CLOSED)
            self._lost = []
            self.message.emit(
                "error",
                tr("{why} It ended several times; choose a smaller model or see the log.").format(
                    why=sentence
                ),
                f"{parameters}\n{detail}",
            )

    # --- prompts --------------------------------------------------------------------------------

    def add(self, prompt: Prompt) -> None:
        """Add a prompt and ask for the polygon."""
        self._before = _Shown(tuple(self._prompts), self.candidates, self.index)
        self._prompts.append(prompt)
        self._escaped = False
        self._accept_when_ready = False
        self._ask()

    def undo(self) -> bool:
        """Take the last prompt back; False where there is none."""
        if not self._prompts:
            return False
        self._prompts.pop()
        self._accept_when_ready = False
        self._ask()
        return True

    def clear(self) -> None:
        """Give the object in work up."""
        had_prompts = bool(self._prompts)
        self._clear_object()
        if had_prompts and self._session:
            self._client.request("reset", {"session": self._session})
        self.changed.emit()

    def escape(self) -> bool:
        """One step back: the last prompt, then all of them; False where nothing is left."""
        if not self._prompts:
            return False
        if self._escaped or len(self._prompts) == 1:
            self._escaped = False
            self.clear()
        else:
            self.undo()
            self._escaped = True
        return True

    def next_candidate(self, step: int = 1) -> None:
        """Go through the masks that the model offers."""
        if len(self._answers.candidates) > 1:
            self.choose((self._answers.index + step) % len(self._answers.candidates))

    def choose(self, index: int) -> None:
        """Show one of the candidates."""
        if 0 <= index < len(self._answers.candidates):
            self._answers.index = index
            self._answers.refined = None
            self.changed.emit()
            self._refine()

    def accept(self) -> bool:
        """Hand the current polygon over, as soon as it is there; False where nothing is asked."""
        if self.is_waiting or (self._prompts and self._state == OPENING):
            self._accept_when_ready = True
            return True
        candidate = self.current
        if candidate is None:
            return False
        if self._refinement.does_something and self._answers.refined is None:
            # The refined polygon is on its way; what is accepted must be what was shown.
            self._accept_when_ready = True
            self._refine()
            return True
        self._accept_when_ready = False
        shown = self.geometry or candidate.geometry
        crs = QgsCoordinateReferenceSystem(self._crs)
        kept = _Shown(tuple(self._prompts), self.candidates, self.index)
        self._client.request(
            "accept",
            {"session": self._session, "candidate": self._answers.index},
            on_result=lambda result: self._handed_over(result, shown, crs),
            on_failure=lambda failure: self._not_handed_over(failure, kept),
        )
        self._clear_object()
        self.changed.emit()
        return True

    def accept_before_last(self) -> bool:
        """Accept what a double click's first click found: that click was no prompt of its own.

        Where the first click began the object, its own polygon is accepted.
        """
        before = self._before
        if before.prompts and len(self._prompts) == len(before.prompts) + 1:
            self._prompts = list(before.prompts)
            self._accept_when_ready = True
            self._ask(keep_index=before.index)
            return True
        return self.accept()

    def _handed_over(
        self, result: dict[str, Any], shown: QgsGeometry, crs: QgsCoordinateReferenceSystem
    ) -> None:
        raw = shown
        try:
            raw = to_geometry(result.get("geometry"))
        except MessageError as error:
            self.message.emit("warning", tr("The engine's polygon could not be read."), str(error))
        attributes = dict(result.get("attributes") or {})
        self.accepted.emit(Accepted(shown, raw, crs, attributes))

    def _not_handed_over(self, failure: Failure, kept: _Shown) -> None:
        if not self._prompts:
            self._prompts = list(kept.prompts)
            self._answers = _Answers(kept.candidates, kept.index)
            self.changed.emit()
        if failure.kind == "EngineDied":
            return  # said already; the prompts are asked again once it is back
        self.message.emit("error", failure.message, failure.detail)

    # --- asking ---------------------------------------------------------------------------------

    def _ask(self, keep_index: int = 0) -> None:
        self._generation += 1
        self._drop_hover()
        if not self._prompts:
            self.clear()
            return
        if self._state == CLOSED:
            self._open()
        if self._state != READY or not self._session:
            self.changed.emit()
            return
        generation = self._generation
        if self._request is not None:
            self._client.cancel(self._request)
        self._request = self._client.request(
            "prompt",
            {
                "session": self._session,
                "prompts": [prompt.to_dict() for prompt in self._prompts],
                "crs": crs_text(self._crs),
                "pixel_size": self._pixel_size,
                "multimask": len(self._prompts) == 1 and self._prompts[0].type == "point",
                "hover": False,
                "simplify": None,
            },
            on_result=lambda result: self._answered(generation, result, keep_index),
            on_failure=lambda failure: self._refused(generation, failure),
            on_progress=self._tell_progress,
        )
        self.changed.emit()

    def _answered(self, generation: int, result: dict[str, Any], keep_index: int) -> None:
        if generation != self._generation:
            return
        self._request = None
        self._window_ready = True
        try:
            made = tuple(Candidate.from_dict(each) for each in result.get("candidates") or [])
        except MessageError as error:
            made = ()
            self.message.emit("error", tr("The engine's answer could not be read."), str(error))
        self._answers = _Answers(made, min(keep_index, max(len(made) - 1, 0)))
        limit = result.get("limit")
        self._answers.limit = str(limit) if limit else None
        self.status.emit("", 0, 0)
        if not made:
            self._accept_when_ready = False
            self.message.emit(
                "info", tr("The model finds no object there; click elsewhere or draw a box."), ""
            )
        self.changed.emit()
        self._refine()
        if self._accept_when_ready and self._refining is None:
            self.accept()

    def _refused(self, generation: int, failure: Failure) -> None:
        if generation != self._generation:
            return
        self._request = None
        self._accept_when_ready = False
        self.status.emit("", 0, 0)
        if failure.kind == "EngineDied":
            return
        if failure.kind != "Cancelled":
            self.message.emit("warning", failure.message, failure.detail)
        # The prompt that was refused is taken back; what was there before it stays.
        if self._prompts:
            self._prompts.pop()
        if not self._prompts:
            self._answers = _Answers()
        self.changed.emit()

    def cancel(self) -> None:
        """Stop waiting for the current answer."""
        if self._request is not None:
            self._client.cancel(self._request)

    def _tell_progress(self, progress: Progress) -> None:
        self.status.emit(progress.message or progress.stage, progress.done, progress.total)

    # --- refinement -----------------------------------------------------------------------------

    @property
    def refinement(self) -> Refinement:
        return self._refinement

    def set_refinement(self, refinement: Refinement) -> None:
        """Refine the current polygon anew; follows a slider without a queue building up."""
        if refinement == self._refinement:
            return
        self._refinement = replace(refinement)
        self._answers.refined = None
        self._refine()

    def _refine(self) -> None:
        if self._refining is not None:
            self._refine_again = True
            return
        self._refine_again = False
        candidate = self.current
        if candidate is None or not self._session:
            return
        if not self._refinement.does_something:
            self.changed.emit()
            return
        generation, index = self._generation, self._answers.index

        def done(geometry: Optional[QgsGeometry], failure: Optional[Failure]) -> None:
            self._refining = None
            if generation == self._generation and index == self._answers.index:
                if failure is not None and failure.kind not in ("Cancelled", "EngineDied"):
                    self.message.emit("warning", failure.message, failure.detail)
                if not self._refine_again:
                    self._answers.refined = geometry or candidate.geometry
                self.changed.emit()
            if self._refine_again:
                self._refine()
            elif self._accept_when_ready:
                self.accept()

        self._refining = self.refine(candidate.geometry, self._crs, self._refinement, done)

    def refine(
        self,
        geometry: QgsGeometry,
        crs: QgsCoordinateReferenceSystem,
        refinement: Refinement,
        done: Callable[[Optional[QgsGeometry], Optional[Failure]], None],
    ) -> int:
        """Refine any polygon with the open raster's units; ``done`` gets it or a failure."""

        def finished(result: dict[str, Any]) -> None:
            try:
                done(to_geometry(result.get("geometry")), None)
            except MessageError as error:
                done(None, Failure(None, "MessageError", str(error)))

        return self._client.request(
            "refine",
            {
                "session": self._session,
                "geometry": from_geometry(geometry),
                "crs": crs_text(crs),
                "simplify": refinement.simplify,
                "min_area": refinement.min_area,
                "min_hole": refinement.min_hole,
                "outlines": refinement.outlines,
            },
            on_result=finished,
            on_failure=lambda failure: done(None, failure),
        )

    # --- hover and looking ahead ----------------------------------------------------------------

    def move(self, point: QgsPointXY) -> None:
        """The cursor is here: show what a click would make, and let the engine look ahead."""
        self._cursor = point
        if self._state != READY:
            return
        if time.monotonic() - self._looked > _LOOK_EVERY:
            self._look_at_cursor()
        if not self._prompts:
            self._hover.wanted = point
            self._send_hover()

    def leave(self) -> None:
        """The cursor has left the map."""
        self._cursor = None
        self._drop_hover()

    def _drop_hover(self) -> None:
        self._hover.wanted = None
        if self._hover.running is not None:
            self._client.forget(self._hover.running)
            self._client.cancel(self._hover.running)
            self._hover.running = None
        self.hover_changed.emit(None)

    def _send_hover(self) -> None:
        hover = self._hover
        if hover.running is not None or hover.wanted is None or self._prompts:
            return
        wait = _HOVER_EVERY - (time.monotonic() - hover.asked)
        if wait > 0:
            QTimer.singleShot(int(wait * 1000) + 1, self._send_hover)
            return
        if self._state != READY:
            return
        point, hover.wanted = hover.wanted, None
        hover.asked = time.monotonic()
        hover.running = self._client.request(
            "prompt",
            {
                "session": self._session,
                "prompts": [Prompt("point", [[point.x(), point.y()]]).to_dict()],
                "crs": crs_text(self._crs),
                "pixel_size": self._pixel_size,
                "multimask": True,
                "hover": True,
                "simplify": None,
            },
            on_result=self._hovered,
            on_failure=self._not_hovered,
        )

    def _hovered(self, result: dict[str, Any]) -> None:
        self._hover.running = None
        shown: Optional[QgsGeometry] = None
        try:
            made = [Candidate.from_dict(each) for each in (result.get("candidates") or [])[:1]]
        except MessageError:
            made = []
        cursor = self._cursor
        # An answer for where the cursor was is worth showing only while it still holds.
        if made and not self._prompts and cursor is not None:
            shown = made[0].geometry if made[0].geometry.boundingBox().contains(cursor) else None
        self.hover_changed.emit(shown)
        self._send_hover()

    def _not_hovered(self, failure: Failure) -> None:
        self._hover.running = None
        self.hover_changed.emit(None)
        self._send_hover()

    def _look_at_cursor(self) -> None:
        cursor = self._cursor
        if cursor is None or self._state != READY or self._looking is not None:
            return
        before, self._look_from = self._look_from, cursor
        self._looked = time.monotonic()
        generation = self._generation
        self._looking = self._client.request(
            "look",
            {
                "session": self._session,
                "x": cursor.x(),
                "y": cursor.y(),
                "crs": crs_text(self._crs),
                "pixel_size": self._pixel_size,
                "dx": cursor.x() - before.x() if before is not None else 0.0,
                "dy": cursor.y() - before.y() if before is not None else 0.0,
            },
            on_result=lambda result: self._looked_at(generation, bool(result.get("encoded"))),
            on_failure=self._not_looked,
        )

    def _looked_at(self, generation: int, encoded: bool) -> None:
        self._looking = None
        became_ready = encoded and not self._window_ready
        if encoded != self._window_ready:
            self._window_ready = encoded
            self.changed.emit()
        if not encoded:
            self._look_again.start()
        elif became_ready and self._cursor is not None and not self._prompts:
            self._hover.wanted = self._cursor
            self._send_hover()

    def _not_looked(self, failure: Failure) -> None:
        self._looking = None

    # --- odds and ends --------------------------------------------------------------------------

    def _clear_object(self) -> None:
        self._generation += 1
        self._prompts = []
        self._before = _Shown()
        self._answers = _Answers()
        self._accept_when_ready = False
        self._escaped = False
        if self._request is not None:
            self._client.forget(self._request)
            self._client.cancel(self._request)
            self._request = None
        self._drop_hover()

    def _set_state(self, state: str) -> None:
        self._state = state
        self.changed.emit()


def crs_text(crs: QgsCoordinateReferenceSystem) -> Optional[str]:
    """An authority's code where there is one, else WKT; None for plain pixels."""
    if not crs.isValid():
        return None
    code = crs.authid()
    if code and not code.startswith("USER:"):  # those numbers mean something in this QGIS only
        return str(code)
    return str(crs.toWkt(QgsCoordinateReferenceSystem.WktVariant.WKT2_2019))
