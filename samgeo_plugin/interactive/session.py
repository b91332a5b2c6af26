# SPDX-License-Identifier: GPL-2.0-or-later
"""The object in work: prompts, candidates and refinement, without widgets.

The map tool and the dock only show this and call it. Every answer carries the generation of its
question: what arrives after the user has gone on is dropped. What the user has accepted is never
dropped: it is worked off by :class:`.accept_queue.AcceptQueue`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Optional

from qgis.core import QgsCoordinateReferenceSystem, QgsGeometry, QgsPointXY
from qgis.PyQt.QtCore import QObject, pyqtSignal

from ..engine.client import EngineClient
from ..engine.stages import stage_text
from ..i18n import tr
from ..job import Failure, MessageError, OpenParameters, Progress, Prompt
from .accept_queue import AcceptQueue, Closed, Question
from .candidates import Candidate, Refinement
from .engine_session import EngineSession, OnRefined, View
from .live_refinement import LiveRefinement
from .look_ahead import LookAhead
from .opening import CLOSED, OPENING, Opening
from .place import Place


@dataclass(frozen=True)
class _Shown:
    """What the user had before the last click, for a double click that must not count twice."""

    prompts: tuple[Prompt, ...] = ()
    index: int = 0


@dataclass
class _Answers:
    candidates: tuple[Candidate, ...] = ()
    index: int = 0
    limit: Optional[str] = None
    count: int = 0
    """How many prompts they answer: fewer or more than there are, while the others are asked."""


class InteractiveSession(QObject):
    """One raster, one model, one object at a time.

    Args:
        client: The engine.
        parent: Qt's owner.
    """

    changed = pyqtSignal()
    hover_changed = pyqtSignal(object)
    accepted = pyqtSignal(object)
    class_given = pyqtSignal(object, object, str)
    """An existing feature's place, its CRS and its class: accepted without a change of outline."""

    opened = pyqtSignal()
    not_opened = pyqtSignal()
    """There will be no engine for the raster that was to be opened."""

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
        self._opening.given_up.connect(self._given_up)
        self._opening.progressed.connect(self._tell_progress)
        self._prompts: list[Prompt] = []
        self._bases: list[int] = []  # the candidate that each prompt corrects
        self._place: Optional[Place] = None
        self._before = _Shown()
        self._answers = _Answers()
        self._generation = 0
        self._question: Optional[Question] = None
        self._to_ask = False
        self._keep_index = 0
        self._escaped = False
        self._closing = False
        self.object_class = ""
        """Class that accepted objects get."""
        self._class_said = False
        self._own_class: Optional[str] = None
        """Of the object in work, where it was accepted before and taken back."""
        self.target_id: Callable[[], Optional[str]] = lambda: None
        """The layer that new objects go into; None where none is chosen."""
        self._next: Optional[OpenParameters] = None
        self._tidied: tuple[Optional[QgsGeometry], Optional[QgsGeometry]] = (None, None)
        self._queue = AcceptQueue(self._engine, self)
        self._queue.accepted.connect(self.accepted)
        self._queue.message.connect(self.message)
        self._queue.changed.connect(self.changed)
        self._queue.free.connect(self._ask_if_due)
        self._queue.drained.connect(self._drained)
        self._ahead = LookAhead(
            self._engine,
            lambda: not self._prompts and not self._queue,
            self,
            lambda: bool(self._queue),
        )
        self._ahead.hover_changed.connect(self.hover_changed)
        self._ahead.ready_changed.connect(self.changed)
        self._live = LiveRefinement(self._engine, self)
        self._live.finished.connect(self._refined)
        self._live.failed.connect(lambda why: self.message.emit("warning", why.message, why.detail))

    # --- what is shown --------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """CLOSED, OPENING or READY.

        A raster that stays open until its accepted objects are done counts as closed, or as opening
        where another one follows it.
        """
        if self._closing:
            return CLOSED if self._next is None else OPENING
        return self._opening.state

    @property
    def _raster(self) -> Optional[OpenParameters]:
        """What the object in work is asked of; None where nothing is chosen, or not yet."""
        return self._next if self._closing else self._opening.parameters

    @property
    def class_in_work(self) -> str:
        """Class that the object in work gets, if it is a new one."""
        return self.object_class if self._own_class is None else self._own_class

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
        if self._place is not None and len(self._prompts) == 1:
            return self._place.geometry  # nothing has been corrected yet
        if self.current is None:
            return None
        source = self._live.refined or self.current.geometry
        if self._tidied[0] is not source:
            self._tidied = source, self.refinement.tidy(source)
        return self._tidied[1]

    @property
    def is_waiting(self) -> bool:
        """An answer to the current prompts is on its way."""
        return self._question is not None or self._to_ask

    @property
    def pending(self) -> int:
        """Accepted objects whose polygons are still to come."""
        return len(self._queue)

    @property
    def pending_prompts(self) -> tuple[Prompt, ...]:
        """The prompts of these objects."""
        return self._queue.prompts

    @property
    def pending_files(self) -> tuple[str, ...]:
        """The files of the rasters that these objects are asked of."""
        return tuple(path for each in self._queue.rasters for path in each.rasters)

    @property
    def place(self) -> Optional[Place]:
        """The existing feature that is being corrected; None for a new object."""
        return self._place

    @property
    def window_ready(self) -> bool:
        """The image under the cursor is encoded: hover and clicks answer at once."""
        return self._ahead.window_ready

    @property
    def view(self) -> View:
        """How the map stands now."""
        return self._engine.view

    @property
    def crs(self) -> QgsCoordinateReferenceSystem:
        return self._engine.crs

    @property
    def engine(self) -> EngineSession:
        """The open raster, for other questions than prompts."""
        return self._engine

    # --- opening --------------------------------------------------------------------------------

    def open(self, parameters: OpenParameters, keep_object: bool = False) -> None:
        """Open a raster with a model; the object in work is given up if either is another.

        Accepted objects of the rasters before are finished first, each asked of its own.

        Args:
            parameters: Raster and model.
            keep_object: The object in work is asked of the new raster instead.
        """
        if self._opening.is_of(parameters):
            self._queue.say_raster(parameters)
            self._queue.begin_raster(parameters)
            if not self._queue.waits_for_raster:
                if self._closing:
                    self._arrive()
                return
        elif parameters != self._next:
            self.close(keep_object=keep_object)
            self._queue.say_raster(parameters)
        self._next = parameters
        if self._closing:
            self.changed.emit()
        else:
            self._open_next()

    def _open_next(self) -> None:
        """The next raster: first those that accepted objects are of, then what is chosen."""
        following = self._queue.next_raster or self._next
        if following is not None:
            self._queue.begin_raster(following)
        self._closing = following != self._next or self._queue.next_raster is not None
        if not self._closing:
            self._next = None
        if following is not None:
            self._opening.open(following)

    def _arrive(self) -> None:
        """What is open is what is chosen."""
        self._closing, self._next = False, None
        if self._engine.is_open:
            self.opened.emit()
            self._ask_if_due()
        self.changed.emit()

    def close(self, at_once: bool = False, keep_object: bool = False) -> None:
        """Give the engine's session back, after accepted objects are finished.

        Args:
            at_once: QGIS, the plugin or the project ends: nothing can be waited for.
            keep_object: The object in work is asked of the raster that is opened next.
        """
        kept = self._prompts, self._bases, self._place, self._class_said, self._own_class
        index = self._chosen_index
        self._clear_object()
        if keep_object and kept[0]:
            self._prompts, self._bases, self._place, self._class_said, self._own_class = kept
            self._keep_index = index
            self._to_ask = True
        self._next = None
        if at_once:
            self._queue.give_up()
        elif not keep_object:
            self._queue.leave_raster()
        self._closing = not self._queue.is_drained and self._opening.state != CLOSED
        if self._closing:
            self.changed.emit()
        else:
            self._opening.close()

    def _drained(self) -> None:
        if self._closing:
            self._opening.close()
            self._open_next()

    def _given_up(self) -> None:
        if self._closing:  # it was open for accepted objects only
            self._queue.give_up_raster()
            self._open_next()
        else:
            self._queue.give_up()
            self._clear_object()
            self.not_opened.emit()
        self.changed.emit()

    def use_map(self, view: View) -> None:
        """How the map stands now; prompts and answers have its CRS."""
        other_crs = view.crs != self._engine.crs
        if other_crs and self._prompts:
            self._clear_object()
            self.message.emit(
                "info", tr("The project's CRS has changed; the object in work was given up."), ""
            )
        self._engine.view = view
        if other_crs:
            self.changed.emit()

    def _opened(self) -> None:
        if self._closing:
            self._to_ask = bool(self._prompts)
            self._queue.resume()
            return
        self.opened.emit()
        self._queue.resume()
        if self._prompts:
            self._ask(self._chosen_index)
        elif not self._queue:
            self._ahead.look()

    def _engine_lost(self) -> None:
        # The requests themselves fail right after this; they are forgotten here.
        self._to_ask = self.is_waiting  # candidates of earlier prompts answer nothing
        self._question = None
        self._queue.lose_engine()
        self._ahead.lose_engine()
        self._live.lose_engine()
        self._generation += 1

    # --- prompts --------------------------------------------------------------------------------

    def add(self, prompt: Prompt) -> None:
        """Add a prompt and ask for the polygon."""
        self._before = _Shown(tuple(self._prompts), self.index)
        self._prompts.append(prompt)
        self._bases.append(self.index)
        self._escaped = False
        self._ask()

    def take_up(self, prompt: Prompt, place: Place) -> None:
        """Begin to correct an existing feature; its outline is the first prompt."""
        self.clear()
        self._place = place
        self.add(prompt)

    def renumber_place(self, ids: dict[int, Optional[int]]) -> None:
        """A save has given features of the place's layer other ids (``SavedIds.changed``)."""
        if self._place is not None:
            now = ids.get(self._place.feature_id)
            if now is not None:
                self._place = replace(self._place, feature_id=now)

    def undo(self) -> bool:
        """Take the last prompt back, or an accepted object that is still to come; False where
        there is neither."""
        if not self._prompts:
            closed = self._queue.take_last()
            if closed is None:
                return False
            why = self._why_not_in_work(closed)
            if why:
                self.message.emit("info", why, "")
                return True
            self._prompts, self._place = list(closed.prompts), closed.place
            self._bases = list(closed.bases)
            self._class_said = bool(closed.object_class)
            if closed.place is None or self._class_said:
                self._own_class = closed.object_class
            self._ask(closed.index)
            return True
        self._prompts.pop()
        self._ask(self._bases.pop())
        return True

    def _why_not_in_work(self, closed: Closed) -> str:
        """Why an accepted object that is taken back is given up; empty where it is not."""
        if closed.view.crs != self._engine.crs:
            return tr(
                "The project's CRS has changed; the object that was still to come was given up."
            )
        if closed.is_left and closed.raster != self._raster:
            return tr(
                "Another raster or model was chosen; the object that was still to come was given "
                "up."
            )
        return ""

    def clear(self) -> None:
        """Give the object in work up."""
        had_prompts = bool(self._prompts)
        self._clear_object()
        if had_prompts and not self._queue:
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

    def use_class(self, name: str) -> None:
        """New objects are of this class; a feature that is corrected keeps its own."""
        self.object_class = name
        self.changed.emit()

    def say_class(self, name: str) -> None:
        """The object in work is of this class, also where it is a feature that is corrected, and so
        are those after it."""
        self._own_class = None
        self._class_said = bool(self._prompts and name)
        self.use_class(name)

    def rename_class(self, old: str, new: str) -> None:
        """A class has another name: of what was accepted, too, and is still to come."""
        if self._own_class == old:
            self._own_class = new
        self._queue.rename_class(old, new)

    def choose(self, index: int) -> None:
        """Show one of the candidates."""
        if 0 <= index < len(self._answers.candidates):
            self._answers.index = index
            self._live.set_polygon(self._answers.candidates[index].geometry)
            self.changed.emit()

    def accept(self) -> bool:
        """Close the object in work: it is handed over as soon as its polygon is there.

        The next prompt belongs to another object. False where nothing is asked.
        """
        if not self._prompts:
            return False
        if self._place is not None and len(self._prompts) == 1:
            place, name = self._place, self.class_in_work if self._class_said else ""
            self.clear()  # it was looked at and found right
            if name:
                self.class_given.emit(place, self._engine.crs, name)
            return True
        waiting = self.is_waiting or not self._engine.is_open
        candidate = None if self.is_waiting else self.current
        if candidate is None and not waiting:
            return False
        shown = None  # nothing yet, or it is still to be refined
        if candidate is not None and not self._live.is_missing:
            shown = self._live.refined or candidate.geometry
        closed = Closed(
            tuple(self._prompts),
            self._engine.view,
            replace(self.refinement),
            self._chosen_index,
            shown,
            self._place,
            # A feature that is corrected keeps its class unless another one is said.
            self.class_in_work if self._place is None or self._class_said else "",
            self._raster,
            self.target_id(),
            tuple(self._bases),
        )
        if waiting and (self._closing or self._opening.state == CLOSED):
            self._clear_object()
            self._queue.add_later(closed)
        elif waiting:
            closed.question, self._question = self._question, None
            self._clear_object()
            self._queue.add(closed)
        elif candidate is not None:
            self._clear_object()
            self._queue.add_answered(closed, candidate)
        return True

    def accept_before_last(self) -> bool:
        """Accept what a double click's first click found: that click was no prompt of its own.

        Where the first click began the object, its own polygon is accepted.
        """
        before = self._before
        if before.prompts and len(self._prompts) == len(before.prompts) + 1:
            self._prompts.pop()
            self._bases.pop()
            self._ask(before.index)
        return self.accept()

    # --- asking ---------------------------------------------------------------------------------

    @property
    def _chosen_index(self) -> int:
        """Which candidate is wanted: of those that are shown, or of those that are to come."""
        is_shown = self.current is not None and not self.is_waiting
        return self.index if is_shown else self._keep_index

    def _ask(self, keep_index: int = 0) -> None:
        self._generation += 1
        self._ahead.drop()
        if not self._prompts:
            self.clear()
            return
        self._keep_index = keep_index
        if self._opening.state == CLOSED:
            self._opening.try_again()
        if self._question is not None:
            self._client.cancel(self._question.request)
            self._question = None
        self._to_ask = True
        self._ask_if_due()
        self.changed.emit()

    def _ask_if_due(self) -> None:
        """Ask about the object in work, once the accepted ones before it are done."""
        engine_is_free = self._engine.is_open and not self._queue.occupies_engine
        if not self._to_ask or not engine_is_free or self._closing:
            return
        self._to_ask = False
        generation, keep_index = self._generation, self._keep_index
        question = Question(
            lambda result: self._answered(generation, result, keep_index),
            lambda failure: self._refused(generation, failure),
        )
        self._question = question
        question.request = self._engine.ask(
            self._prompts,
            lambda result: question.on_result(result),
            lambda failure: question.on_failure(failure),
            self._tell_progress,
            candidate=self._bases[-1],
        )

    def _answered(self, generation: int, result: dict[str, Any], keep_index: int) -> None:
        if generation != self._generation:
            return
        self._question = None
        self._ahead.window_ready = True
        try:
            made = tuple(Candidate.from_dict(each) for each in result.get("candidates") or [])
        except MessageError as error:
            made = ()
            self.message.emit("error", tr("The engine's answer could not be read."), str(error))
        limit = result.get("limit")
        index = min(keep_index, max(len(made) - 1, 0))
        self._answers = _Answers(made, index, str(limit) if limit else None, len(self._prompts))
        self.status.emit("", 0, 0)
        if not made:
            self.message.emit(
                "info", tr("The model finds no object there; click elsewhere or draw a box."), ""
            )
        self._live.set_polygon(made[index].geometry if made else None)
        self.changed.emit()

    def _refused(self, generation: int, failure: Failure) -> None:
        if generation != self._generation:
            return
        self._question = None
        self.status.emit("", 0, 0)
        if failure.kind == "EngineDied":
            return
        if failure.kind != "Cancelled":
            self.message.emit("warning", failure.message, failure.detail)
        # The prompt that was refused is taken back; what was there before it stays.
        before = 0
        if self._prompts:
            self._prompts.pop()
            before = self._bases.pop()
        answered = self._answers.count
        if failure.kind == "Cancelled":
            del self._prompts[answered:], self._bases[answered:]
        if not self._prompts:
            self._clear_object()
        elif answered != len(self._prompts):  # other bands, or it was accepted and taken back
            self._ask(before)
        self.changed.emit()

    def cancel(self) -> None:
        """Stop waiting for the current answer."""
        if self._question is not None:
            self._client.cancel(self._question.request)

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
        self._tidied = (None, None)
        self._live.set_polygon(self.current.geometry if self.current is not None else None)
        self.changed.emit()

    def _refined(self) -> None:
        self.changed.emit()

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
        self._bases = []
        self._place = None
        self._class_said = False
        self._own_class = None
        self._before = _Shown()
        self._answers = _Answers()
        self._live.set_polygon(None)
        self._to_ask = False
        self._keep_index = 0
        self._escaped = False
        if self._question is not None:
            self._engine.give_up(self._question.request)
            self._question = None
        self._ahead.drop()
