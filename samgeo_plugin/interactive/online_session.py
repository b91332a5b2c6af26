# SPDX-License-Identifier: GPL-2.0-or-later
"""Keeps the interactive session on what is rendered of the chosen online layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Optional

from qgis.core import QgsRasterLayer, QgsRectangle
from qgis.PyQt.QtCore import QObject

from .. import rasters
from ..i18n import tr
from ..job import OpenParameters
from ..log import Reporter
from .online import Needed, OnlineView, Rendering
from .opening import CLOSED, READY
from .session import InteractiveSession


class OnlineSession(QObject):
    """Renders what the map's view or a search needs, and opens it in the session.

    Args:
        session: The session.
        reporter: Where sentences go.
        chosen: The chosen layer, where it is rendered as it is needed; may raise LayerError.
        parameters: What the session is opened with, with the path of :meth:`path_of`; likewise.
        parent: Qt's owner.

    Attributes:
        renderings: What is rendered.
        in_use: Path of what was opened last.
        extent: The map's view.
    """

    def __init__(
        self,
        session: InteractiveSession,
        reporter: Reporter,
        chosen: Callable[[], Optional[QgsRasterLayer]],
        parameters: Callable[[], OpenParameters],
        parent: Optional[QObject] = None,
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._reporter = reporter
        self._chosen = chosen
        self._parameters = parameters
        self.renderings = OnlineView(self)
        self.renderings.ready.connect(self._rendered)
        self.renderings.incomplete.connect(lambda why: reporter.show("warning", why))
        self.renderings.failed.connect(self._not_rendered)
        self.in_use = ""
        self.extent: Optional[QgsRectangle] = None
        self._searched_next: Optional[Needed] = None
        self.is_searching: Callable[[], bool] = lambda: False
        """A search is under way, which ends where another raster is opened."""
        self.is_searched: Callable[[], bool] = lambda: False
        """So it is, or what it has found can be sorted as long as its raster is open."""
        session.opened.connect(self.forget_searched)
        session.not_opened.connect(self.forget_searched)

    @property
    def layer(self) -> Optional[QgsRasterLayer]:
        """The chosen layer, where it is rendered as it is needed: it has no whole."""
        try:
            return self._chosen()
        except rasters.LayerError:
            return None

    def path_of(self, layer: QgsRasterLayer) -> Optional[str]:
        """What is rendered of the layer and shows what is needed; None where nothing does."""
        needed = self._needed()
        if needed is None:
            return None
        found = self.renderings.find(layer, needed, self.in_use)
        return None if found is None else found.path

    def _needed(self) -> Optional[Needed]:
        """What must be rendered of an online layer: until it is open, what is to be searched."""
        if self._searched_next is not None or self.extent is None:
            return self._searched_next
        return Needed(self.extent, self._session.view)

    # --- opening --------------------------------------------------------------------------------

    def open(self, layer: QgsRasterLayer, searched: Optional[Needed] = None) -> bool:
        """Use what is rendered; else render it, and keep what is clicked meanwhile.

        Args:
            layer: The chosen one.
            searched: What a search needs of it; None for the map's view.

        Returns:
            False, with a sentence, where it can be neither opened nor rendered.
        """
        if searched is not None and self._would_lose_object(layer, searched):
            self._reporter.show(
                "warning",
                tr(
                    "The search needs another part of {name} than the object in work: accept it "
                    "(Enter) or give it up (Esc) first."
                ).format(name=layer.name()),
            )
            return False
        # A click takes no rendering away from a search that waits for it.
        self._searched_next = searched or self._searched_next
        if self.path_of(layer) is not None:
            return self._use(layer)
        for_search = self._searched_next is not None
        begun = self._render(layer)
        if self._session.state != CLOSED and (begun or not for_search):
            self._say_search_ends()
            self._session.close(keep_object=True)
        return begun

    def _would_lose_object(self, layer: QgsRasterLayer, searched: Needed) -> bool:
        """An object is in work on what is open, and the search needs another rendering."""
        if not self._session.prompts or self._session.state == CLOSED:
            return False
        found = self.renderings.find(layer, searched, self.in_use)
        return found is None or found.path != self.in_use

    def look(self) -> None:
        """The map has moved with the tool in hand: render what an online layer shows now."""
        layer = self.layer
        if layer is None or self._needed() is None:
            return
        if self.path_of(layer) is None:
            self._render(layer)
        elif self._is_idle():
            self._use(layer)

    def _use(self, layer: QgsRasterLayer) -> bool:
        try:
            parameters = self._parameters()
        except rasters.LayerError as error:
            self._reporter.show("warning", str(error))
            return False
        path = parameters.rasters[0]
        if path != self.in_use:
            self._say_search_ends()
        self.in_use = path
        self._session.open(parameters, keep_object=True)
        if self._session.state == READY:
            self.forget_searched()
        self.renderings.remove_old(path, *self._session.pending_files)
        return True

    def _is_idle(self) -> bool:
        """Nothing is lost where another raster is opened."""
        return not (self._session.prompts or self._session.pending or self.is_searched())

    # --- rendering ------------------------------------------------------------------------------

    def _render(self, layer: QgsRasterLayer) -> bool:
        """Begin to render what is needed; False, with a sentence, where that cannot be."""
        needed = self._needed()
        if needed is None:
            return False
        extent = QgsRectangle(needed.extent)
        for prompt in (*self._session.pending_prompts, *self._session.prompts):
            for x, y in prompt.coordinates:
                extent.combineExtentWith(x, y)
        try:
            self.renderings.request(layer, replace(needed, extent=extent))
        except rasters.LayerError as error:
            self._not_rendered(str(error))
        return self.renderings.is_running

    def _rendered(self, made: Rendering) -> None:
        """Open it at once where somebody waits for it or nothing is in work."""
        layer = self.layer
        waits = self._session.state != READY
        if layer is None or made.layer_id != layer.id():
            return
        if not waits and not self._is_idle():
            self.renderings.remove_old(self.in_use, *self._session.pending_files)
        elif self.path_of(layer) is not None:
            self._use(layer)
        elif waits:
            self._render(layer)  # the map has moved meanwhile

    def _not_rendered(self, why: str) -> None:
        """A search that waits for it is at its end."""
        self._reporter.show("warning", why)
        self.forget_searched()
        if self._session.state == CLOSED:
            self._session.not_opened.emit()

    def close(self) -> None:
        """QGIS or the plugin ends; nobody waits any more."""
        self.renderings.failed.disconnect(self._not_rendered)
        self.renderings.remove_all(at_once=True)

    # --- searches -------------------------------------------------------------------------------

    def forget_searched(self) -> None:
        """No search waits any more."""
        self._searched_next = None

    def stop_search(self) -> None:
        """What is rendered for a search that has not begun is of no use."""
        if self._searched_next is not None:
            self.forget_searched()
            self.renderings.cancel()

    def _say_search_ends(self) -> None:
        if self._session.state == READY and self.is_searching():
            self._reporter.show(
                "warning",
                tr(
                    "The search has ended, because another part of the layer was opened. “Runs…” "
                    "can repeat it."
                ),
            )
