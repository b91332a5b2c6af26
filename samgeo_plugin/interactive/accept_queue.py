# SPDX-License-Identifier: GPL-2.0-or-later
"""Accepted objects whose polygons have not come from the engine yet, in order.

The engine has one object in work per session. An object that the user accepts before its answer is
there is closed here with its own prompts; the user's next click begins another object, which the
engine gets when the ones before it are done. Objects of a raster that is not open yet wait for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from qgis.core import QgsCoordinateReferenceSystem, QgsGeometry, QgsPointXY
from qgis.PyQt.QtCore import QObject, pyqtSignal

from ..geojson import to_geometry
from ..i18n import tr
from ..job import Failure, MessageError, OpenParameters, Prompt
from .candidates import Accepted, Candidate, Refinement
from .engine_session import EngineSession, View

CLASS = "class"
"""Attribute of an accepted object: its class."""

_WAITING = "waiting"
_ASKED = "asked"
_REFINING = "refining"
_ACCEPTING = "accepting"


class Question:
    """A request for a polygon whose answer may be handed on to another owner.

    Attributes:
        request: The request's number, for cancelling.
        on_result: Gets the answer.
        on_failure: Gets the refusal.
    """

    def __init__(
        self,
        on_result: Callable[[dict[str, Any]], None],
        on_failure: Callable[[Failure], None],
    ) -> None:
        self.request = 0
        self.on_result = on_result
        self.on_failure = on_failure


@dataclass
class Closed:
    """An object that the user has accepted.

    Args:
        prompts: All of its prompts.
        view: CRS and pixel size of the map at the time.
        refinement: What is done to its polygon.
        index: Which of the candidates was chosen.
        shown: The polygon that the user saw when accepting; None where it was not there yet.
        place: Where it is written to, as the session's user said; None for a new feature.
        object_class: Its class; empty for none.
        raster: What it is asked of; None for what is opened next, where that is not known yet.
        target_id: The layer that a new feature goes into; None where none was chosen.
        bases: Which candidate each prompt corrects.
        is_left: Another raster or model was chosen since.
    """

    prompts: tuple[Prompt, ...]
    view: View
    refinement: Refinement
    index: int = 0
    shown: Optional[QgsGeometry] = None
    place: Any = None
    object_class: str = ""
    raster: Optional[OpenParameters] = None
    target_id: Optional[str] = None
    bases: tuple[int, ...] = ()
    is_left: bool = False
    stage: str = _WAITING
    question: Optional[Question] = None
    polygon: Optional[QgsGeometry] = None

    def why_given_up(
        self, crs: QgsCoordinateReferenceSystem, raster: Optional[OpenParameters]
    ) -> str:
        """Why it cannot be in work again when it is taken back; empty where it can.

        Args:
            crs: The map's.
            raster: What the object in work is asked of; None where that is not known.
        """
        if self.view.crs != crs:
            return tr(
                "The project's CRS has changed; the object that was still to come was given up."
            )
        if self.is_left and self.raster != raster:
            return tr(
                "Another raster or model was chosen; the object that was still to come was given "
                "up."
            )
        return ""


class AcceptQueue(QObject):
    """Works closed objects off, one after the other.

    Args:
        engine: The open raster.
        parent: Qt's owner.
    """

    accepted = pyqtSignal(object)
    message = pyqtSignal(str, str, str)
    changed = pyqtSignal()
    free = pyqtSignal()
    """The engine can be asked about the object in work."""

    drained = pyqtSignal()
    """Nothing is left for the raster that is open."""

    def __init__(self, engine: EngineSession, parent: Optional[QObject] = None) -> None:
        super().__init__(parent)
        self._engine = engine
        self._closed: list[Closed] = []
        self._later: list[Closed] = []

    def __len__(self) -> int:
        return len(self._closed) + len(self._later)

    @property
    def _every(self) -> tuple[Closed, ...]:
        return (*self._closed, *self._later)

    @property
    def is_drained(self) -> bool:
        """Nothing is left for the raster that is open."""
        return not self._closed

    @property
    def waits_for_raster(self) -> bool:
        """There are objects of rasters that are not open yet."""
        return bool(self._later)

    @property
    def next_raster(self) -> Optional[OpenParameters]:
        """The one that the first of these objects is of; None where that is not known yet."""
        return self._later[0].raster if self._later else None

    @property
    def rasters(self) -> tuple[OpenParameters, ...]:
        """That all objects are asked of, as far as they are known."""
        return tuple(one.raster for one in self._every if one.raster is not None)

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """Of all objects that are still to come, where their coordinates are the map's."""
        crs = self._engine.crs
        return tuple(each for one in self._every if one.view.crs == crs for each in one.prompts)

    @property
    def occupies_engine(self) -> bool:
        """The engine must not be asked about another object yet."""
        return any(one.stage != _ACCEPTING for one in self._closed)

    def add(self, closed: Closed) -> None:
        """An object without an answer; its question may be on its way."""
        self._closed.append(closed)
        if closed.question is not None:
            self._own(closed, closed.question)
        self._go_on()
        self.changed.emit()

    def add_later(self, closed: Closed) -> None:
        """An object of a raster that is opened when the ones before are done with."""
        self._later.append(closed)
        self.changed.emit()

    def say_raster(self, raster: OpenParameters) -> None:
        """What is opened next is known now."""
        for one in self._later:
            one.raster = one.raster or raster

    def begin_raster(self, raster: OpenParameters) -> None:
        """This one is open, or about to be: the next objects are asked of it, as far as they are
        its own."""
        while self._later and self._later[0].raster == raster:
            self._closed.append(self._later.pop(0))
        self._go_on()

    def add_answered(self, closed: Closed, candidate: Candidate) -> None:
        """An object whose answer is the engine's last one: it only has to be handed over."""
        self._closed.append(closed)
        self._take_polygon(closed, candidate)
        self.changed.emit()

    def rename_class(self, old: str, new: str) -> None:
        for one in self._every:
            if one.object_class == old:
                one.object_class = new

    def take_last(self) -> Optional[Closed]:
        """Give the newest object back to the user; None where none can be."""
        if self._later:
            closed = self._later.pop()
            self.changed.emit()
            return closed
        if not self._closed or self._closed[-1].stage in (_ACCEPTING, _REFINING):
            return None
        closed = self._closed.pop()
        if closed.question is not None:
            self._engine.give_up(closed.question.request)
            closed.question = None
        self._ended()
        return closed

    def lose_engine(self) -> None:
        """The engine's process is gone: :meth:`resume` sends all requests again."""
        for one in self._closed:
            one.stage, one.question, one.polygon = _WAITING, None, None

    def resume(self) -> None:
        """The raster is open (again)."""
        self._go_on()

    def give_up(self) -> None:
        """Nothing more will be made; say how much is lost."""
        count = len(self)
        self._later = []
        self._lose_closed(count)

    def give_up_raster(self) -> None:
        """There will be no engine for the raster that was to be open; say how much is lost."""
        self._lose_closed(len(self._closed))

    def leave_raster(self) -> None:
        """Another raster or model is chosen: what was to be opened next, and was not known yet,
        will not be; say how much is lost."""
        for one in self._every:
            one.is_left = True
        kept = [one for one in self._later if one.raster is not None]
        count = len(self._later) - len(kept)
        self._later = kept
        self._say_lost(count)

    def _lose_closed(self, count: int) -> None:
        for one in self._closed:
            if one.question is not None:
                self._engine.give_up(one.question.request)
        self._closed = []
        self._say_lost(count)

    def _say_lost(self, count: int) -> None:
        if count:
            self.message.emit(
                "error",
                tr("{count} accepted objects could not be made; click them again.").format(
                    count=count
                ),
                "",
            )

    # --- steps ----------------------------------------------------------------------------------

    def _go_on(self) -> None:
        """Ask for the first object that has not been asked for, unless one is in work."""
        waiting = [one for one in self._closed if one.stage != _ACCEPTING]
        if not waiting or waiting[0].stage != _WAITING or not self._engine.is_open:
            return
        closed = waiting[0]
        question = Question(lambda _: None, lambda _: None)
        self._own(closed, question)
        question.request = self._engine.ask(
            closed.prompts,
            lambda result: question.on_result(result),
            lambda failure: question.on_failure(failure),
            view=closed.view,
        )

    def _own(self, closed: Closed, question: Question) -> None:
        closed.stage, closed.question = _ASKED, question
        question.on_result = lambda result: self._answered(closed, result)
        question.on_failure = lambda failure: self._refused(closed, failure)

    def _answered(self, closed: Closed, result: dict[str, Any]) -> None:
        closed.question = None
        if closed not in self._closed:
            return
        try:
            made = [Candidate.from_dict(each) for each in result.get("candidates") or []]
        except MessageError as error:
            self._drop(closed, tr("The engine's answer could not be read."), str(error))
            return
        if not made:
            self._drop(
                closed,
                tr("The model finds no object at an accepted click; it was left out."),
                str([prompt.to_dict() for prompt in closed.prompts]),
            )
            return
        closed.index = min(closed.index, len(made) - 1)
        self._take_polygon(closed, made[closed.index])

    def _take_polygon(self, closed: Closed, candidate: Candidate) -> None:
        if closed.shown is not None or not closed.refinement.needs_engine:
            closed.polygon = closed.shown or candidate.geometry
            self._hand_over(closed)
            return
        closed.stage = _REFINING

        def refined(geometry: Optional[QgsGeometry], failure: Optional[Failure]) -> None:
            if closed not in self._closed or closed.stage != _REFINING:
                return
            if failure is not None:
                if failure.kind == "EngineDied":
                    return
                self.message.emit("warning", failure.message, failure.detail)
            closed.polygon = geometry or candidate.geometry
            self._hand_over(closed)

        self._engine.refine(candidate.geometry, closed.view.crs, closed.refinement, refined)

    def _hand_over(self, closed: Closed) -> None:
        closed.stage = _ACCEPTING
        self._engine.accept(
            closed.index,
            lambda result: self._handed_over(closed, result),
            lambda failure: self._refused(closed, failure),
        )
        self._go_on()
        if not self.occupies_engine:
            self.free.emit()

    def _handed_over(self, closed: Closed, result: dict[str, Any]) -> None:
        if closed not in self._closed:
            return
        polygon = closed.polygon
        raw = polygon
        try:
            raw = to_geometry(result.get("geometry"))
        except MessageError as error:
            self.message.emit("warning", tr("The engine's polygon could not be read."), str(error))
        self._closed.remove(closed)
        if polygon is not None and raw is not None:
            self.accepted.emit(
                Accepted(
                    closed.refinement.tidy(polygon),
                    raw,
                    closed.view.crs,
                    {**(result.get("attributes") or {}), CLASS: closed.object_class},
                    closed.place,
                    _inside(closed.prompts),
                    closed.target_id,
                )
            )
        self._ended()

    def _refused(self, closed: Closed, failure: Failure) -> None:
        closed.question = None
        if closed not in self._closed or failure.kind == "EngineDied":
            return  # said already; everything is asked again once the engine is back
        self._drop(closed, failure.message, failure.detail)

    def _drop(self, closed: Closed, sentence: str, detail: str) -> None:
        self._closed.remove(closed)
        self.message.emit("warning", sentence, detail)
        self._ended()

    def _ended(self) -> None:
        self._go_on()
        self.changed.emit()
        if not self.occupies_engine:
            self.free.emit()
        if not self._closed:
            self.drained.emit()


def _inside(prompts: Sequence[Prompt]) -> tuple[QgsPointXY, ...]:
    """Where clicks and strokes say that the object is, in the map's CRS."""
    drawn = (each for each in prompts if each.positive and each.type in ("point", "stroke"))
    return tuple(QgsPointXY(x, y) for each in drawn for x, y in each.coordinates)
