# SPDX-License-Identifier: GPL-2.0-or-later
"""Automatic runs from the dock: where, what, live results, into the target layer, the history."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Optional

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsCsException,
    QgsGeometry,
    QgsProject,
    QgsRasterLayer,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QObject, QTimer, pyqtSignal

from .. import rasters
from ..i18n import tr
from .controller import Controller
from .editing import EditError
from .examples import Examples
from .find_like import FindLike
from .in_steps import InSteps
from .online import Needed
from .runs import DONE, FAILED, NOT_KNOWN, RUNNING, STOPPED, Run, Runs
from .search_kinds import EVERYTHING, EXAMPLES, WORDS
from .take_over import TakeOver
from .target import TargetError
from .words import NO_WORDS, WordSearch, text_of, words_of

VIEW = "view"
AREA = "area"
RASTER = "raster"

_PROMPT_TYPES = {EXAMPLES: "example", WORDS: "text"}


@dataclass(frozen=True)
class Wanted:
    """What the user asks for.

    Args:
        what: One of ``search_kinds.py``, or a class of the model.
        where: :data:`VIEW`, :data:`AREA` or :data:`RASTER`.
        area: In ``crs``; None for the whole raster.
        crs: Of the area.
        into: What is found goes into the target layer at the end, also at an early one.
        search: The words.
        pixel_size: Ground units of ``crs`` a pixel at which a layer that is no file is rendered;
            None for the map's.
    """

    what: str
    where: str
    area: Optional[QgsGeometry]
    crs: QgsCoordinateReferenceSystem
    into: bool
    search: WordSearch = NO_WORDS
    pixel_size: Optional[float] = None


class Automatic(QObject):
    """One run at a time.

    Args:
        controller: The plugin's state.
        find: The search.
        examples: The project's.
        use_map: Has the session follow the map's CRS and scale.
        open_raster: Opens the chosen raster, of an online layer what is needed; says why where it
            cannot be.
        parent: Qt's owner.
    """

    changed = pyqtSignal()

    def __init__(
        self,
        controller: Controller,
        find: FindLike,
        examples: Examples,
        use_map: Callable[[], None],
        open_raster: Callable[[Optional[Needed]], bool],
        parent: Optional[QObject] = None,
    ) -> None:
        super().__init__(parent)
        self._controller = controller
        self._find = find
        self._examples = examples
        self._use_map = use_map
        self._open_raster = open_raster
        self.runs = Runs(self)
        self.current: Optional[int] = None
        self._wanted: Optional[Wanted] = None
        self._since = 0.0
        self._teaching = InSteps(self)
        self._take_soon = QTimer(self)
        self._take_soon.setSingleShot(True)
        self._take_soon.setInterval(0)
        self._take_soon.timeout.connect(self._take_found)
        self._take = TakeOver(self)
        self._take.ended.connect(self._taken)
        self._take.failed.connect(self._not_taken)
        self._takes_run: Optional[int] = None
        self._takes_into = ""
        """The layer, which another target may follow before the objects are in it."""
        self._takes: set[str] = set()
        self._hides = False
        self._source = self._chosen_source
        find.ended.connect(self._ended)
        controller.choice_changed.connect(self._choice_changed)
        QgsProject.instance().cleared.connect(self._clear)

    def release(self) -> None:
        """The plugin is being unloaded."""
        QgsProject.instance().cleared.disconnect(self._clear)
        self._take.stop()
        self._take_soon.stop()
        self._teaching.stop()
        self.runs.release()

    def _clear(self) -> None:
        """Another project: runs of this one are none of its runs."""
        self._teaching.stop()
        self._take_soon.stop()
        self.current = self._wanted = self._takes_run = None

    @property
    def _chosen_source(self) -> tuple[Optional[str], str]:
        """Of raster and model."""
        choice = self._controller.choice
        return choice.raster, choice.model

    def _choice_changed(self) -> None:
        if self._chosen_source != self._source:
            self._source = self._chosen_source
            self._find.leasts.forget()

    @property
    def busy(self) -> bool:
        """A run is under way or about to begin."""
        return self._find.running or self._teaching.busy

    @property
    def takes(self) -> bool:
        """Objects are being written into the target layer, or are about to be."""
        return self._take.busy or self._take_soon.isActive()

    # --- start and end --------------------------------------------------------------------------

    def start(self, wanted: Wanted) -> None:
        """Begin a run; where it cannot begin, a sentence says why."""
        controller = self._controller
        if wanted.where == RASTER and controller.raster_layer() is None:
            controller.reporter.show("warning", tr("Choose a raster layer first."))
            return
        if wanted.what == WORDS and not wanted.search.words:
            controller.reporter.show("warning", tr("Write what to look for, e.g. swimming pool."))
            return
        if wanted.what != EXAMPLES:
            self._begin(wanted)
            return
        classes, otherwise = controller.classes, ""
        if not classes.names and self._examples.has_noted:
            otherwise = tr("like these")
            classes.add(otherwise)
        self._teaching.start(
            self._examples.add_noted(controller.target_layer(), otherwise),
            lambda: self._with_examples(wanted),
        )

    def stop(self) -> None:
        """No further tiles; what was found stays."""
        self._teaching.stop()
        self._find.stop()
        self._controller.online.stop_search()
        self.changed.emit()

    def _with_examples(self, wanted: Wanted) -> None:
        """Accepted objects are examples now."""
        if any(name for name in self._examples.counts):
            self._begin(wanted)
            return
        self._controller.reporter.show(
            "info", tr("Accept some objects of a class first: click each, then Enter.")
        )

    def _begin(self, wanted: Wanted) -> None:
        controller = self._controller
        self._use_map()
        view = controller.session.view
        if wanted.pixel_size is not None and wanted.crs == view.crs:
            view = replace(view, pixel_size=wanted.pixel_size)
        try:
            area = _moved(wanted.area, wanted.crs, view.crs)
        except QgsCsException as error:
            controller.reporter.show(
                "warning", tr("The area lies outside the map's CRS."), str(error)
            )
            return
        online = controller.online.layer
        if area is None and online is not None:
            controller.reporter.show(
                "warning",
                tr(
                    "{name} is not a file, so that there is no whole of it to search: choose the "
                    "visible extent or the polygons of a layer."
                ).format(name=online.name()),
            )
            return
        needed = None
        if area is not None:
            needed = Needed(area.boundingBox(), view, exactly=wanted.where == AREA)
        opened = self._open_raster(needed)
        raster = controller.raster_layer()
        if not opened or raster is None:
            return
        if wanted.what not in (EXAMPLES, EVERYTHING):
            words = wanted.search.words if wanted.what == WORDS else (wanted.what,)
            for each in words:
                controller.classes.add(each, use=False)  # it has a colour now
            name = f"{text_of(words)}: {raster.name()}"
        elif wanted.what == EXAMPLES:
            name = tr("Like these in {raster}").format(raster=raster.name())
        else:
            name = tr("Objects in {raster}").format(raster=raster.name())
        layer = controller.target_layer()
        # Starting ends another run first, whose end is noted then.
        self._find.start(name, area, view.crs, wanted.what, wanted.search, raster.name())
        self._wanted, self._since = wanted, time.monotonic()
        self.current = self.runs.add(
            started=datetime.now().isoformat(" ", "seconds"),
            raster=raster.id(),
            raster_name=raster.name(),
            model=controller.choice.model,
            bands=",".join(str(band) for band in controller.choice.bands or ()),
            what=wanted.what,
            where=wanted.where,
            area="" if wanted.area is None else wanted.area.asWkt(9),
            crs=wanted.crs.toWkt(),
            least=self._least,
            into=wanted.into,
            target="" if layer is None else layer.id(),
            words=text_of(wanted.search.words) if wanted.what == WORDS else "",
            detector=wanted.search.detector if wanted.what == WORDS else "",
            pixel_size=(view.pixel_size or 0.0) if view.crs == wanted.crs else 0.0,
        ).number
        self.changed.emit()

    @property
    def _least(self) -> float:
        """The search's least score, as the history has it."""
        least = self._find.leasts.shown
        return NOT_KNOWN if least is None else least

    def _ended(self) -> None:
        find, number = self._find, self.current
        run = None if number is None else self.runs.find(number)
        if number is None or run is None:
            return
        whole = find.tiles > 0 and find.done >= find.tiles
        lost = not find.there and not find.found
        self.runs.update(
            number,
            state=DONE if whole else FAILED if lost else STOPPED,
            done=find.done,
            tiles=find.tiles,
            shown=len(find.kept),
            least=self._least,
            seconds=round(run.seconds + time.monotonic() - self._since, 1),
        )
        if whole and run.what == WORDS and not find.found:
            self._controller.reporter.show(
                "info",
                tr("Nothing was found for {words}: try other words.").format(words=run.words),
            )
        if self._wanted is not None and self._wanted.into and find.kept:
            self._take_soon.start()  # where the project is being closed, not any more
        self.changed.emit()

    def _take_found(self) -> None:
        if self.current is not None and self._find.kept:
            self._hides = True  # what was found is seen in the target layer from now on
            self.take(self.current, again=False)

    # --- the history ----------------------------------------------------------------------------

    def can_go_on(self, number: int) -> bool:
        """Whether a run was stopped, so that it has something left to do."""
        run = self.runs.find(number)
        return run is not None and run.state in (STOPPED, FAILED) and not self.busy

    def go_on(self, number: int) -> None:
        """The tiles that a stopped run has left.

        Where the engine no longer knows them (QGIS was closed, or another raster was opened), all
        tiles are looked at again, from kept encodings; what the target layer has is left out.
        """
        if number == self.current and self._find.can_go_on:
            self._since = time.monotonic()
            self.runs.update(number, state=RUNNING)
            self._find.go_on()
            self.changed.emit()
        else:
            self.repeat(number)

    def repeat(self, number: int) -> None:
        """The same settings again, as a run of its own."""
        run = self.runs.find(number)
        if run is None or self.busy:
            return
        controller = self._controller
        there = QgsProject.instance().mapLayer(run.raster)
        if not isinstance(there, QgsRasterLayer):
            controller.reporter.show(
                "warning",
                tr("{name} is not in the project any more; add it and choose it.").format(
                    name=run.raster_name
                ),
            )
            return
        # Of a run of an earlier version nobody knows the bands.
        bands = run.band_numbers or tuple(rasters.usual_bands(there))
        controller.choose(raster=run.raster, bands=bands, model=run.model)
        layer = QgsProject.instance().mapLayer(run.target)
        if isinstance(layer, QgsVectorLayer):
            controller.set_target(layer)
        if run.what != WORDS and run.least != NOT_KNOWN:
            self._find.set_least(run.what, run.least)
        area = QgsGeometry.fromWkt(run.area) if run.area else None
        crs = QgsCoordinateReferenceSystem.fromWkt(run.crs)
        self.start(
            Wanted(run.what, run.where, area, crs, run.into, search_of(run), run.pixel_size or None)
        )

    # --- into the target layer ------------------------------------------------------------------

    def take(self, run: Optional[int] = None, again: bool = True) -> None:
        """What is shown goes into the target layer, as one step of its undo history.

        Args:
            run: Whose number of taken objects is noted.
            again: Also what was taken before and then deleted from the layer.
        """
        controller, find = self._controller, self._find
        layer = controller.some_target()
        if layer is None or self._take.busy:
            return
        model = find.model or (controller.session.info.get("model") or {}).get("name")
        attributes = {
            "model": model,
            "source": find.raster,
            "prompt_type": _PROMPT_TYPES.get(find.what, "automatic"),
        }
        objects = [
            (find.found[key], name) for key, (name, _) in find.kept.items() if key in find.found
        ]
        self._takes_run = run if run is not None else self.current
        try:
            self._take.start(
                layer,
                find.crs,
                objects,
                attributes,
                controller.session.refinement,
                set(find.outdated),
                set(find.taken),
                frozenset() if again else frozenset(find.added),
            )
        except (TargetError, EditError) as error:
            controller.reporter.show("error", str(error))
            return
        self._takes_into = layer.id()
        self._takes = {one.id for one, _ in objects} - find.taken
        find.taken |= self._takes
        self.changed.emit()

    def _not_taken(self, why: str) -> None:
        """The candidates stay, to be taken again."""
        self._hides = False
        self._find.taken -= self._takes
        self._controller.reporter.show("error", why)
        self.changed.emit()

    def _taken(self, added: int, left: int, stayed: int) -> None:
        controller = self._controller
        layer = QgsProject.instance().mapLayer(self._takes_into)
        if layer is not None:
            controller.show_classes_of(layer)
            controller.autosave.hear_of(layer)
        run = None if self._takes_run is None else self.runs.find(self._takes_run)
        if run is not None:
            self.runs.update(
                run.number, taken=run.taken + added, target="" if layer is None else layer.id()
            )
        refused = self._take.refused
        self._find.taken -= refused.keys()
        self._find.added |= self._take.added
        if self._hides and (added > 0 or not refused):  # what is nowhere else stays on the map
            self._find.candidates.hide()
        self._hides = False
        name = "" if layer is None else layer.name()
        if added > 0:
            text = tr("{count} objects are in {layer}, not saved yet.").format(
                count=added, layer=name
            )
        elif left:
            text = tr("Nothing was added to {layer}.").format(layer=name)
        else:
            text = tr("Nothing is new: all objects are in {layer} already.").format(layer=name)
        if left > len(refused):
            text += " " + tr("{count} were there already.").format(count=left - len(refused))
        if refused:
            why = next(iter(refused.values())).rstrip(".")
            text += " " + tr("{count} do not fit: {why}.").format(count=len(refused), why=why)
        if stayed:
            text += " " + tr(
                "{count} that you have changed stay, though they are parts of larger ones now."
            ).format(count=stayed)
        level = "success" if added > 0 else "warning" if refused else "info"
        controller.reporter.show(level, text)
        self.changed.emit()


def search_of(run: Run) -> WordSearch:
    """The words of a run, with the least score at its end where that is known."""
    least = None if run.least < 0 else run.least
    return WordSearch(words_of(run.words), run.detector, least)


def _moved(
    area: Optional[QgsGeometry],
    crs: QgsCoordinateReferenceSystem,
    other: QgsCoordinateReferenceSystem,
) -> Optional[QgsGeometry]:
    """An area in another CRS; as it is where one of them is none.

    Raises:
        QgsCsException: It lies where the other CRS does not reach.
    """
    if area is None or not crs.isValid() or not other.isValid() or crs == other:
        return area
    made = QgsGeometry(area)
    made.transform(QgsCoordinateTransform(crs, other, QgsProject.instance()))
    return made
