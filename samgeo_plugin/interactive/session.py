# SPDX-License-Identifier: GPL-2.0-or-later
"""The object in work: prompts, candidates and refinement, without any widget.

The map tool and the dock only show this and call it. Every answer carries the generation of its
question: what arrives after the user has gone on is dropped.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Optional

from qgis.core import QgsCoordinateReferenceSystem, QgsGeometry, QgsPointXY
from qgis.PyQt.QtCore import QObject, pyqtSignal

from ..engine.client import EngineClient
from ..engine.stages import stage_text
from ..geojson import to_geometry
from ..i18n import tr
from ..job import Failure, MessageError, OpenParameters, Progress, Prompt
from .candidates import Accepted, Candidate, Refinement
from .engine_session import EngineSession, OnRefined
from .live_refinement import LiveRefinement
from .look_ahead import LookAhead
from .opening import CLOSED, OPENING, Opening


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
    opened = pyqtSignal()
    message = pyqtSignal(str, str, str)
    status = pyqtSignal(str, int, int)

    def __init__(self, client: EngineClient, parent: Optional[QObject] = None) -> None:
        super().__init__(parent)
        self._client = client
        self._engine = EngineSession(client)
        self._opening = Opening(self._engine, self)
        self._opening.changed.connect(self.changed)
        self._opening.message.connect(self.message)
        self._opening.opened.connect(self._opened)
        self._opening.lost.connect(self._engine_lost)
        self._opening.given_up.connect(self._clear_object)
        self._opening.progressed.connect(self._tell_progress)
        self._prompts: list[Prompt] = []
        self._before = _Shown()
        self._answers = _Answers()
        self._generation = 0
        self._request: Optional[int] = None
        self._accept_when_ready = False
        self._escaped = False
        self._ahead = LookAhead(self._engine, lambda: not self._prompts, self)
        self._ahead.hover_changed.connect(self.hover_changed)
        self._ahead.ready_changed.connect(self.changed)
        self._live = LiveRefinement(self._engine, self)
        self._live.finished.connect(self._refined)
        self._live.failed.connect(lambda why: self.message.emit("warning", why.message, why.detail))

    # --- what is shown --------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """CLOSED, OPENING or READY."""
        return self._opening.state

    @property
    def info(self) -> dict[str, Any]:
        """The engine's answer to ``open``: CRS, size, model, warnings."""
        return self._opening.info

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
        return self._live.refined or self.current.geometry

    @property
    def is_waiting(self) -> bool:
        """An answer to the current prompts is on its way."""
        return self._request is not None

    @property
    def window_ready(self) -> bool:
        """The image under the cursor is encoded: hover and clicks answer at once."""
        return self._ahead.window_ready

    @property
    def crs(self) -> QgsCoordinateReferenceSystem:
        return self._engine.crs

    # --- opening --------------------------------------------------------------------------------

    def open(self, parameters: OpenParameters) -> None:
        """Open a raster with a model; the object in work is given up if either is another."""
        if not self._opening.is_of(parameters):
            self.close()
            self._opening.open(parameters)

    def close(self) -> None:
        """Give the engine's session back."""
        self._clear_object()
        self._opening.close()

    def use_map(self, crs: QgsCoordinateReferenceSystem, pixel_size: Optional[float]) -> None:
        """The map's CRS, in which prompts and answers are, and its ground units a screen pixel."""
        if crs != self._engine.crs and self._prompts:
            self._clear_object()
            self.message.emit(
                "info", tr("The project's CRS has changed; the object in work was given up."), ""
            )
        self._engine.crs = crs
        self._engine.pixel_size = pixel_size

    def _opened(self) -> None:
        self.opened.emit()
        if self._prompts:
            self._ask()
        else:
            self._ahead.look()

    def _engine_lost(self) -> None:
        # The requests themselves fail right after this; they are forgotten here.
        self._request = None
        self._ahead.lose_engine()
        self._live.lose_engine()
        self._generation += 1

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
        if had_prompts:
            self._engine.reset()
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
            self._live.set_polygon(self._answers.candidates[index].geometry)
            self.changed.emit()

    def accept(self) -> bool:
        """Hand the current polygon over, as soon as it is there; False where nothing is asked."""
        if self.is_waiting or (self._prompts and self.state == OPENING):
            self._accept_when_ready = True
            return True
        candidate = self.current
        if candidate is None:
            return False
        if self._live.is_missing:
            # The refined polygon is on its way; what is accepted must be what was shown.
            self._accept_when_ready = True
            self._live.refine()
            return True
        self._accept_when_ready = False
        shown = self.geometry or candidate.geometry
        crs = QgsCoordinateReferenceSystem(self._engine.crs)
        kept = _Shown(tuple(self._prompts), self.candidates, self.index)
        self._engine.accept(
            self._answers.index,
            lambda result: self._handed_over(result, shown, crs),
            lambda failure: self._not_handed_over(failure, kept),
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
        self._ahead.drop()
        if not self._prompts:
            self.clear()
            return
        if self.state == CLOSED:
            self._opening.try_again()
        if not self._engine.is_open:
            self.changed.emit()
            return
        generation = self._generation
        if self._request is not None:
            self._client.cancel(self._request)
        self._request = self._engine.ask(
            self._prompts,
            lambda result: self._answered(generation, result, keep_index),
            lambda failure: self._refused(generation, failure),
            self._tell_progress,
        )
        self.changed.emit()

    def _answered(self, generation: int, result: dict[str, Any], keep_index: int) -> None:
        if generation != self._generation:
            return
        self._request = None
        self._ahead.window_ready = True
        try:
            made = tuple(Candidate.from_dict(each) for each in result.get("candidates") or [])
        except MessageError as error:
            made = ()
            self.message.emit("error", tr("The engine's answer could not be read."), str(error))
        limit = result.get("limit")
        index = min(keep_index, max(len(made) - 1, 0))
        self._answers = _Answers(made, index, str(limit) if limit else None)
        self.status.emit("", 0, 0)
        if not made:
            self._accept_when_ready = False
            self.message.emit(
                "info", tr("The model finds no object there; click elsewhere or draw a box."), ""
            )
        self._live.set_polygon(made[index].geometry if made else None)
        self.changed.emit()
        if self._accept_when_ready and not self._live.is_running:
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
        self.status.emit(stage_text(progress.stage), progress.done, progress.total)

    # --- refinement -----------------------------------------------------------------------------

    @property
    def refinement(self) -> Refinement:
        return self._live.wanted

    def set_refinement(self, refinement: Refinement) -> None:
        """Refine the current polygon anew; follows a slider without a queue building up."""
        if refinement == self._live.wanted:
            return
        self._live.wanted = replace(refinement)
        self._live.set_polygon(self.current.geometry if self.current is not None else None)
        self.changed.emit()

    def _refined(self) -> None:
        self.changed.emit()
        if self._accept_when_ready and not self._live.is_running:
            self.accept()

    def refine(
        self,
        geometry: QgsGeometry,
        crs: QgsCoordinateReferenceSystem,
        refinement: Refinement,
        done: OnRefined,
    ) -> int:
        """Refine any polygon with the open raster's units; ``done`` gets it or a failure."""
        return self._engine.refine(geometry, crs, refinement, done)

    # --- the cursor -----------------------------------------------------------------------------

    def move(self, point: QgsPointXY) -> None:
        """The cursor is here: show what a click would make, and let the engine look ahead."""
        self._ahead.move(point)

    def leave(self) -> None:
        """The cursor has left the map."""
        self._ahead.leave()

    # --- odds and ends --------------------------------------------------------------------------

    def _clear_object(self) -> None:
        self._generation += 1
        self._prompts = []
        self._before = _Shown()
        self._answers = _Answers()
        self._live.set_polygon(None)
        self._accept_when_ready = False
        self._escaped = False
        if self._request is not None:
            self._engine.give_up(self._request)
            self._request = None
        self._ahead.drop()
