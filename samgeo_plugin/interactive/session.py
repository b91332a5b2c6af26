# SPDX-License-Identifier: GPL-2.0-or-later
"""The user's work on a raster: prompts, candidates and refinement, without widgets.

The map tool and the dock only show this and call it. An answer that arrives after the user has gone
on is dropped (:class:`.asking.Asking`). What the user has accepted is never dropped: it is worked
off by :class:`.accept_queue.AcceptQueue`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Optional

from qgis.core import QgsCoordinateReferenceSystem, QgsGeometry, QgsPointXY
from qgis.PyQt.QtCore import QObject, pyqtSignal

from ..engine.client import EngineClient
from ..engine.stages import stage_text
from ..i18n import tr
from ..job import Failure, OpenParameters, Progress, Prompt
from .accept_queue import AcceptQueue, Closed
from .asking import Asking
from .candidates import Candidate, Refinement
from .engine_session import EngineSession, OnRefined, View
from .live_refinement import LiveRefinement
from .look_ahead import LookAhead
from .object_in_work import ObjectInWork
from .opening import CLOSED, Opening
from .place import Place
from .raster_order import RasterOrder


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
        self._engine = EngineSession(client)
        self._object = ObjectInWork()
        self.object_class = ""
        """Class that accepted objects get."""
        self.target_id: Callable[[], Optional[str]] = lambda: None
        """The layer that new objects go into; None where none is chosen."""
        self._queue = AcceptQueue(self._engine, self)
        self._queue.accepted.connect(self.accepted)
        self._queue.message.connect(self.message)
        self._queue.changed.connect(self.changed)
        self._queue.free.connect(self._ask_if_due)
        self._opening = Opening(self._engine, self)
        self._opening.changed.connect(self.changed)
        self._opening.message.connect(self.message)
        self._opening.opened.connect(self._opened)
        self._opening.lost.connect(self._engine_lost)
        self._opening.progressed.connect(self._tell_progress)
        self._rasters = RasterOrder(self._opening, self._queue, self)
        self._rasters.changed.connect(self.changed)
        self._rasters.arrived.connect(self._arrived)
        self._rasters.given_up.connect(self._given_up)
        self._asking = Asking(self._engine, self)
        self._asking.answered.connect(self._answered)
        self._asking.refused.connect(self._refused)
        self._asking.message.connect(self.message)
        self._asking.progressed.connect(self._tell_progress)
        self._ahead = LookAhead(
            self._engine,
            lambda: not self._object.prompts and not self._queue,
            self,
            lambda: bool(self._queue),
        )
        self._ahead.hover_changed.connect(self.hover_changed)
        self._ahead.ready_changed.connect(self.changed)
        self._live = LiveRefinement(self._engine, self)
        self._live.finished.connect(self.changed)
        self._live.failed.connect(lambda why: self.message.emit("warning", why.message, why.detail))

    # --- what is shown --------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """CLOSED, OPENING or READY, of the raster that was chosen."""
        return self._rasters.state

    @property
    def class_in_work(self) -> str:
        """Class that the object in work gets, if it is a new one."""
        return self._object.class_if_new(self.object_class)

    @property
    def info(self) -> dict[str, Any]:
        """The engine's answer to ``open``: CRS, size, model, warnings."""
        return self._opening.info

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        return tuple(self._object.prompts)

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        return self._object.candidates

    @property
    def index(self) -> int:
        return self._object.index

    @property
    def limit(self) -> Optional[str]:
        """Why the object was not followed further, if it was not."""
        return self._object.limit

    @property
    def current(self) -> Optional[Candidate]:
        return self._object.current

    @property
    def geometry(self) -> Optional[QgsGeometry]:
        """The polygon that accepting would write: the candidate, refined where asked."""
        if self._object.uncorrected is not None:
            return self._object.uncorrected.geometry
        return None if self.current is None else self._live.result(self.current.geometry)

    @property
    def is_waiting(self) -> bool:
        """An answer to the current prompts is on its way."""
        return self._asking.is_waiting

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
        return self._object.place

    @property
    def is_preparing(self) -> bool:
        """The image under the cursor is not encoded yet; hover and clicks answer after that."""
        return self._ahead.is_preparing

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
        if self._rasters.is_other(parameters):
            self.close(keep_object=keep_object)
        self._rasters.open(parameters)

    def close(self, at_once: bool = False, keep_object: bool = False) -> None:
        """Give the engine's session back, after accepted objects are finished.

        Args:
            at_once: QGIS, the plugin or the project ends: nothing can be waited for.
            keep_object: The object in work is asked of the raster that is opened next.
        """
        kept = self._object.for_another_raster(self._chosen_index)
        self._clear_object()
        if keep_object and kept.prompts:
            self._object = kept
            self._asking.is_due = True
        self._rasters.close(at_once, keep_object)

    def use_map(self, view: View) -> None:
        """How the map stands now; prompts and answers have its CRS."""
        other_crs = view.crs != self._engine.crs
        if other_crs and self._object.prompts:
            self._clear_object()
            self.message.emit(
                "info", tr("The project's CRS has changed; the object in work was given up."), ""
            )
        self._engine.view = view
        if other_crs:
            self.changed.emit()

    def _opened(self) -> None:
        if self._rasters.for_accepted:
            self._asking.is_due = bool(self._object.prompts)
            self._queue.resume()
            return
        self.opened.emit()
        self._queue.resume()
        if self._object.prompts:
            self._ask(self._chosen_index)
        elif not self._queue:
            self._ahead.look()

    def _arrived(self) -> None:
        if self._engine.is_open:
            self.opened.emit()
            self._ask_if_due()
        self.changed.emit()

    def _given_up(self) -> None:
        self._clear_object()
        self.not_opened.emit()

    def _engine_lost(self) -> None:
        # The requests themselves fail right after this; they are forgotten here.
        self._asking.lose_engine()  # candidates of earlier prompts answer nothing
        self._queue.lose_engine()
        self._ahead.lose_engine()
        self._live.lose_engine()

    # --- prompts --------------------------------------------------------------------------------

    def add(self, prompt: Prompt) -> None:
        """Add a prompt and ask for the polygon."""
        self._object.add(prompt)
        self._ask()

    def take_up(self, prompt: Prompt, place: Place) -> None:
        """Begin to correct an existing feature; its outline is the first prompt."""
        self.clear()
        self._object.place = place
        self.add(prompt)

    def renumber_place(self, ids: dict[int, Optional[int]]) -> None:
        """A save has given features of the place's layer other ids (``SavedIds.changed``)."""
        self._object.renumber_place(ids)

    def undo(self) -> bool:
        """Take the last prompt back, or an accepted object that is still to come; False where
        there is neither."""
        if self._object.prompts:
            self._ask(self._object.take_back())
            return True
        closed = self._queue.take_last()
        if closed is None:
            return False
        why = closed.why_given_up(self._engine.crs, self._rasters.chosen)
        if why:
            self.message.emit("info", why, "")
        else:
            self._object = ObjectInWork.taken_back(closed)
            self._ask(closed.index)
        return True

    def clear(self) -> None:
        """Give the object in work up."""
        had_prompts = bool(self._object.prompts)
        self._clear_object()
        if had_prompts and not self._queue:
            self._engine.reset()
        self.changed.emit()

    def escape(self) -> bool:
        """One step back: the last prompt, then all of them; False where nothing is left."""
        if not self._object.prompts:
            return False
        if self._object.escaped or len(self._object.prompts) == 1:
            self.clear()
        else:
            self.undo()
            self._object.escaped = True
        return True

    def next_candidate(self, step: int = 1) -> None:
        """Go through the masks that the model offers."""
        if len(self.candidates) > 1:
            self.choose((self.index + step) % len(self.candidates))

    def use_class(self, name: str) -> None:
        """New objects are of this class; a feature that is corrected keeps its own."""
        self.object_class = name
        self.changed.emit()

    def say_class(self, name: str) -> None:
        """The object in work is of this class, also where it is a feature that is corrected, and so
        are those after it."""
        self._object.own_class = None
        self._object.class_said = bool(self._object.prompts and name)
        self.use_class(name)

    def rename_class(self, old: str, new: str) -> None:
        """A class has another name: of what was accepted, too, and is still to come."""
        if self._object.own_class == old:
            self._object.own_class = new
        self._queue.rename_class(old, new)

    def choose(self, index: int) -> None:
        """Show one of the candidates."""
        if 0 <= index < len(self.candidates):
            self._object.index = index
            self._live.set_polygon(self.candidates[index].geometry)
            self.changed.emit()

    def accept(self) -> bool:
        """Close the object in work: it is handed over as soon as its polygon is there.

        The next prompt belongs to another object. False where nothing is asked.
        """
        work = self._object
        if not work.prompts:
            return False
        object_class = work.class_to_write(self.object_class)
        if work.uncorrected is not None:
            self.clear()  # it was looked at and found right
            if object_class:
                self.class_given.emit(work.uncorrected, self._engine.crs, object_class)
            return True
        waiting = self.is_waiting or not self._engine.is_open
        candidate = None if self.is_waiting else self.current
        if candidate is None and not waiting:
            return False
        shown = None  # nothing yet, or it is still to be refined
        if candidate is not None and not self._live.is_missing:
            shown = self._live.refined or candidate.geometry
        closed = Closed(
            tuple(work.prompts),
            self._engine.view,
            replace(self.refinement),
            self._chosen_index,
            shown,
            work.place,
            object_class,
            self._rasters.chosen,
            self.target_id(),
            tuple(work.bases),
        )
        if waiting and (self._rasters.for_accepted or self._opening.state == CLOSED):
            self._clear_object()
            self._queue.add_later(closed)
        elif waiting:
            closed.question = self._asking.hand_over()
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
        shown_before = self._object.index_before
        if self._object.take_back_click():
            self._ask(shown_before)
        return self.accept()

    # --- asking ---------------------------------------------------------------------------------

    @property
    def _chosen_index(self) -> int:
        """Which candidate is wanted: of those that are shown, or of those that are to come."""
        is_shown = self.current is not None and not self.is_waiting
        return self.index if is_shown else self._object.wanted_index

    def _ask(self, wanted_index: int = 0) -> None:
        self._ahead.drop()
        if not self._object.prompts:
            self.clear()
            return
        self._object.wanted_index = wanted_index
        if self._opening.state == CLOSED:
            self._opening.try_again()
        self._asking.want()
        self._ask_if_due()
        self.changed.emit()

    def _ask_if_due(self) -> None:
        """Ask about the object in work, once the accepted ones before it are done."""
        engine_is_free = self._engine.is_open and not self._queue.occupies_engine
        if self._asking.is_due and engine_is_free and not self._rasters.for_accepted:
            self._asking.ask(self._object.prompts, self._object.bases[-1])

    def _answered(self, made: tuple[Candidate, ...], limit: Optional[str]) -> None:
        self._ahead.window_ready = True
        self._object.answer(made, limit)
        self.status.emit("", 0, 0)
        if not made:
            self.message.emit(
                "info", tr("The model finds no object there; click elsewhere or draw a box."), ""
            )
        self._live.set_polygon(None if self.current is None else self.current.geometry)
        self.changed.emit()

    def _refused(self, failure: Failure) -> None:
        self.status.emit("", 0, 0)
        if failure.kind == "EngineDied":
            return
        if failure.kind != "Cancelled":
            self.message.emit("warning", failure.message, failure.detail)
        # The prompt that was refused is taken back; what was there before it stays.
        work = self._object
        before = work.take_back() if work.prompts else 0
        if failure.kind == "Cancelled":
            work.drop_unanswered()
        if not work.prompts:
            self._clear_object()
        elif work.answered != len(work.prompts):  # other bands, or accepted and taken back
            self._ask(before)
        self.changed.emit()

    def cancel(self) -> None:
        """Stop waiting for the current answer."""
        self._asking.cancel()

    def _tell_progress(self, progress: Progress) -> None:
        self.status.emit(stage_text(progress.stage), progress.done, progress.total)

    def _clear_object(self) -> None:
        self._object = ObjectInWork()
        self._live.set_polygon(None)
        self._asking.drop()
        self._ahead.drop()

    # --- refinement -----------------------------------------------------------------------------

    @property
    def refinement(self) -> Refinement:
        return self._live.wanted

    def set_refinement(self, refinement: Refinement) -> None:
        """Refine the current polygon anew; follows a slider without a queue building up."""
        if refinement == self._live.wanted:
            return
        self._live.wanted = replace(refinement)
        self._live.set_polygon(None if self.current is None else self.current.geometry)
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
