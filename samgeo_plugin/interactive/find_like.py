# SPDX-License-Identifier: GPL-2.0-or-later
"""Find all objects of an area, or all that are like the examples, in the engine's process.

The engine looks at one tile a request, so that clicks come in between; after each tile the objects
that are known by then are sorted anew. An example that is added or taken back only asks for that:
the model does not run again.
"""

from __future__ import annotations

from typing import Any, Optional

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsGeometry,
    QgsPointXY,
    QgsProject,
)
from qgis.PyQt.QtCore import QObject, QTimer, pyqtSignal

from ..engine.client import EngineClient
from ..geojson import from_geometry
from ..i18n import tr
from ..job import Failure, MessageError
from .candidate_layer import CandidateLayer
from .examples import Examples
from .found_objects import Found, FoundObjects
from .opening import READY
from .search_kinds import EVERYTHING, EXAMPLES, WORDS, LeastScores, is_class
from .session import InteractiveSession
from .words import NO_WORDS, WordSearch

IDLE = "idle"
OPENING = "opening"
FINDING = "finding"
DONE = "done"

ASK = 20
"""Objects that the engine names as most worth an answer, each time."""


class FindLike(QObject):
    """One search at a time.

    Args:
        client: The engine.
        session: Whose raster is searched.
        examples: What is looked for.
        parent: Qt's owner.
    """

    changed = pyqtSignal()
    sorted = pyqtSignal()
    ended = pyqtSignal()
    """Nothing more comes: all tiles are done, or it was stopped, and what was found is sorted."""

    message = pyqtSignal(str, str, str)

    def __init__(
        self,
        client: EngineClient,
        session: InteractiveSession,
        examples: Examples,
        parent: Optional[QObject] = None,
    ) -> None:
        super().__init__(parent)
        self._client = client
        self._session = session
        self._examples = examples
        self.candidates = CandidateLayer(self)
        self.state = IDLE
        self.what = EXAMPLES
        self.search = NO_WORDS
        self.model = ""
        self.raster = ""
        self.kept: dict[str, tuple[str, Optional[float]]] = {}
        self.taken: set[str] = set()
        self.added: set[str] = set()
        """Of all objects that were taken, those that the target layer did not have before."""
        self.outdated: set[str] = set()
        """All that were taken once and are parts of larger ones now: an undo in the target layer
        brings them back."""
        self.marked: dict[str, str] = {}
        self.ask: list[str] = []
        self.done = self.tiles = 0
        self.leasts = LeastScores(self)
        self.crs = QgsCoordinateReferenceSystem()
        """Of all that is found."""
        self._area: Optional[QgsGeometry] = None
        self._name = ""
        self._collection = ""
        self._request = 0
        self._telling = 0
        self._to_end = False
        self._sorting = 0
        self._stale = False
        self._said: dict[str, str] = {}  # answers that the engine has not heard of yet
        self._asked_with: dict[str, str] = {}
        self._objects = FoundObjects()
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(30)
        self._soon.timeout.connect(self._sort)
        session.opened.connect(self._opened)
        session.not_opened.connect(self._not_opened)
        session.changed.connect(self._session_changed)
        examples.changed.connect(self.sort_soon)
        self.leasts.shown_changed.connect(self.sort_soon)
        self.leasts.changed.connect(self.changed)
        QgsProject.instance().cleared.connect(self._clear)

    # --- start and end --------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Tiles are still to come."""
        return self.state in (OPENING, FINDING)

    @property
    def there(self) -> bool:
        """There are objects that examples can sort."""
        return bool(self._collection)

    @property
    def shows(self) -> bool:
        """A search is under way, or what it has found can still be sorted."""
        return self.running or self.there

    @property
    def found(self) -> dict[str, Found]:
        """All objects that are known by now, by id."""
        return self._objects.by_id

    @property
    def by_examples(self) -> bool:
        """Examples sort what is found."""
        return self.what == EXAMPLES

    @property
    def can_go_on(self) -> bool:
        """It was stopped before its last tile, and the engine still knows where."""
        return self.there and not self.running and not self._telling and self.done < self.tiles

    @property
    def example_classes(self) -> list[str]:
        """The classes of the examples, the one with the most first."""
        return [name for name, _ in self._examples.counts.most_common() if name]

    def start(
        self,
        name: str,
        area: Optional[QgsGeometry],
        crs: QgsCoordinateReferenceSystem,
        what: str = EXAMPLES,
        search: WordSearch = NO_WORDS,
        raster: str = "",
    ) -> None:
        """Look for all objects.

        Args:
            name: Of the candidates' layer.
            area: In ``crs``; None for the whole raster.
            crs: Of the area and of what is found; the map may have another one by the time that
                the raster is open.
            what: One of ``search_kinds.py``, or a class of the model.
            search: The words.
            raster: Name of the raster's layer.
        """
        self._give_up()
        self._forget()
        self.raster = raster
        self._name, self._area, self.what, self.search = name, area, what, search
        self.crs = QgsCoordinateReferenceSystem(crs)
        self.leasts.begin(what, search)
        self.state, self._to_end = OPENING, True
        self.changed.emit()
        if self._session.state == READY:
            self._opened()

    def go_on(self) -> None:
        """The tiles that a stop has left out."""
        if self.can_go_on:
            self.state, self._to_end = FINDING, True
            self._next()
            self.changed.emit()

    def stop(self) -> None:
        """No further tiles; what was found stays, and examples still sort it.

        What the engine knows of tiles that are done is still told: :attr:`ended` comes after it.
        """
        if not self.running:
            return
        if self._request:
            self._client.cancel(self._request)
        if self.there:
            self.state = DONE
            self._tell_rest()
        else:
            self._give_up()
        self.changed.emit()

    def _give_up(self) -> None:
        """What was asked is of no use to anybody."""
        for request in (self._request, self._telling):
            if request:
                self._client.forget(request)
                self._client.cancel(request)
        self._request = self._telling = 0
        if self.running:
            self.state = DONE if self.there else IDLE
            self._end_if_due()

    def _tell_rest(self) -> None:
        self._telling = self._client.request(
            "collect_next",
            {"collection": self._collection, "rest": True},
            on_result=self._told,
            on_failure=self._not_told,
        )

    def _told(self, result: dict[str, Any]) -> None:
        """What tiles that were done had not told yet."""
        self._telling = 0
        if self._take(result):
            if result.get("more"):
                self._tell_rest()
            self._sort_now()
        self.changed.emit()

    def _not_told(self, failure: Failure) -> None:
        self._telling = 0
        self._failed(failure)

    def _end_if_due(self) -> None:
        waits = self._request or self._telling or self._sorting or self._stale
        if self._to_end and not self.running and not waits and not self._soon.isActive():
            self._to_end = False
            self.ended.emit()

    def _forget(self) -> None:
        self.candidates.remove()
        self._collection = ""
        self.kept, self.marked, self.ask = {}, {}, []
        self.done = self.tiles = 0
        self._objects = FoundObjects()
        self._stale = False
        self._said, self._asked_with = {}, {}
        self.taken, self.added, self.outdated = set(), set(), set()

    def _clear(self) -> None:
        """Another project: what was found in this one is none of its objects."""
        self._to_end = False
        self._give_up()
        self._forget()
        self.state = IDLE
        self.leasts.forget()

    def _opened(self) -> None:
        if self.state != OPENING:
            return
        engine = self._session.engine
        area = None if self._area is None else from_geometry(self._area)
        by_boxes = self.by_examples and bool((self._session.info.get("model") or {}).get("words"))
        self._request = self._client.request(
            "collect",
            {
                "session": engine.name,
                "area": area,
                "crs": engine.named(self.crs),
                "by_examples": self.by_examples,
                "classes": [self.what] if is_class(self.what) else [],
                "words": list(self.search.words) if self.what == WORDS else [],
                "detector": self.search.detector or None if self.what == WORDS else None,
                "exemplars": self._example_values() if by_boxes else [],
            },
            on_result=self._begun,
            on_failure=self._failed,
        )

    def _not_opened(self) -> None:
        """The session says why."""
        if self.state == OPENING:
            self.state = IDLE
            self._end_if_due()
            self.changed.emit()

    def _session_changed(self) -> None:
        """Another raster was opened: the objects of the one before are sorted no more."""
        if self._session.state != READY and self.state in (FINDING, DONE):
            self._collection = ""
            self._give_up()
            self.state = IDLE
            self._end_if_due()
            self.changed.emit()

    def _begun(self, result: dict[str, Any]) -> None:
        self._collection = str(result.get("collection") or "")
        self.tiles = int(result.get("tiles") or 0)
        self.model = str(result.get("model") or "")
        self.leasts.hear(float(result.get("min_score") or 0.0))
        self.state = FINDING
        self.candidates.begin(self._name, self.crs, self.what != EVERYTHING)
        self._next()
        self.changed.emit()

    def _next(self) -> None:
        self._request = self._client.request(
            "collect_next",
            {"collection": self._collection},
            on_result=self._took,
            on_failure=self._failed,
        )

    def _took(self, result: dict[str, Any]) -> None:
        """One tile's objects."""
        self._request = 0
        if not self._take(result):
            return
        if result.get("ready"):
            self.state = DONE
        # Sorted before the next tile: both wait in the engine's queue, in this order.
        self._sort_now()
        if self.state == FINDING:
            self._next()
        self.changed.emit()

    def _take(self, result: dict[str, Any]) -> bool:
        """An answer's objects; False, with a sentence, where it is not what it should be."""
        for key in result.get("gone") or []:
            self._drop(str(key))
        try:
            for value in result.get("objects") or []:
                self._keep(value)
        except (MessageError, KeyError, TypeError, ValueError) as error:
            self._failed(
                Failure(None, "MessageError", tr("The engine's answer cannot be read."), str(error))
            )
            return False
        self.done = int(result.get("done") or 0)
        return True

    def _sort_now(self) -> None:
        self._stale = False
        self._soon.stop()
        self._sort()

    def _keep(self, value: dict[str, Any]) -> None:
        key = str(value["id"])
        self._drop(key)
        self.outdated.discard(key)
        self._objects.add(Found.read(value))

    def _drop(self, key: str) -> None:
        if self._objects.drop(key):
            self.kept.pop(key, None)
            if key in self.taken:
                self.outdated.add(key)

    def _failed(self, failure: Failure) -> None:
        self._request = 0
        self.state = DONE if self.found else IDLE
        if failure.kind == "EngineDied":
            self._collection, self.state = "", IDLE
        if failure.kind != "Cancelled":
            self.message.emit("warning", failure.message, failure.detail)
        self._end_if_due()
        self.changed.emit()

    # --- sorting --------------------------------------------------------------------------------

    def set_least(self, what: str, least: float) -> None:
        """The user chooses from which probability or score on an object is shown.

        Args:
            what: In searches for it; what another one has found stays as it is shown. Words only
                where they are what is shown.
            least: The probability or score.
        """
        if self.shows and what == self.what:
            self.leasts.choose_shown(least)
        else:
            self.leasts.choose(what, least)

    def sort_soon(self) -> None:
        """The examples have changed."""
        if self.there:
            self._soon.start()
        self.changed.emit()

    def _example_values(self) -> list[dict[str, Any]]:
        """The examples as the engine takes them."""
        return [
            {"geometry": from_geometry(shape), "class": name}
            for shape, name in self._examples.all_in(self.crs)
        ]

    def _sort(self) -> None:
        if not self.by_examples:
            name = self.what if is_class(self.what) else ""
            least = self.leasts.shown or 0.0
            good = ((key, one) for key, one in self.found.items() if one.score >= least)
            self._show({key: (name or one.label, None) for key, one in good})
            return
        if not self.there or not self.found:
            self._end_if_due()
            return
        if self._sorting:
            self._stale = True  # the answer that comes is of earlier examples
            return
        values = self._example_values()
        if not any(value["class"] for value in values):
            self._show({})
            return
        self._asked_with = dict(self._said)
        self._sorting = self._client.request(
            "collect_classes",
            {
                "collection": self._collection,
                "examples": values,
                "min_class_prob": self.leasts.shown,
                "ask": ASK,
            },
            on_result=self._sorted,
            on_failure=self._not_sorted,
        )

    def _sorted(self, result: dict[str, Any]) -> None:
        self._sorting = 0
        classes = [str(name) for name in result.get("classes") or []]
        self.marked = {
            str(key): classes[number] if number >= 0 else ""
            for key, number in result.get("marked") or []
        }
        self.ask = [str(key) for key in result.get("ask") or []]
        kept: dict[str, tuple[str, Optional[float]]] = {
            str(key): (classes[number], float(probability))
            for key, number, probability in result.get("kept") or []
        }
        # What was answered while the engine sorted stays as it was answered.
        self._said = {k: v for k, v in self._said.items() if self._asked_with.get(k) != v}
        for key, name in self._said.items():
            self.marked[key] = name
            if not name:
                kept.pop(key, None)
        self._show(kept)
        self._again()

    def _not_sorted(self, failure: Failure) -> None:
        self._sorting = 0
        if failure.kind == "EngineDied":
            self._collection, self.state = "", IDLE
        elif failure.kind != "Cancelled":
            self.message.emit("info", failure.message, failure.detail)
        self._again()
        self.changed.emit()

    def _again(self) -> None:
        if self._stale:
            self._stale = False
            self._soon.start()
        self._end_if_due()

    def _show(self, kept: dict[str, tuple[str, Optional[float]]]) -> None:
        self.kept = {key: value for key, value in kept.items() if key in self.found}
        self.candidates.show(self.kept, self.found)
        self.sorted.emit()
        self._end_if_due()
        self.changed.emit()

    # --- objects --------------------------------------------------------------------------------

    def at(self, point: QgsPointXY) -> Optional[Found]:
        """The object at a place of the map: a shown one first, else the best of all.

        Args:
            point: In :attr:`crs`.
        """
        here = self._objects.at(point)
        here.sort(key=lambda one: (one.id not in self.kept, -one.score, one.area_m2))
        return here[0] if here else None

    def answer(self, one: Found, name: str) -> None:
        """An object is an example of a class, or (without a name) of none."""
        self.marked[one.id] = self._said[one.id] = name
        if not name and self.kept.pop(one.id, None) is not None:
            self.candidates.show(self.kept, self.found)  # at once; the engine confirms it
        self._examples.add(one.geometry, self.crs, name)

    def release(self) -> None:
        """The plugin is being unloaded."""
        QgsProject.instance().cleared.disconnect(self._clear)
        self._to_end = False
        self._give_up()
        self._soon.stop()
        self._collection = ""
        self.candidates.remove()
        self.candidates.release()
