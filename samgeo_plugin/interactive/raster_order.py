# SPDX-License-Identifier: GPL-2.0-or-later
"""The order in which rasters are opened: those of accepted objects come before the chosen one.

The engine has one raster open. When another one is chosen while accepted objects are still to come,
the raster stays open until they are done, and objects of further rasters get theirs in turn.
"""

from __future__ import annotations

from typing import Optional

from qgis.PyQt.QtCore import QObject, pyqtSignal

from ..job import OpenParameters
from .accept_queue import AcceptQueue
from .opening import CLOSED, OPENING, Opening


class RasterOrder(QObject):
    """Which raster is open, and which one comes next.

    Args:
        opening: Opens one raster.
        queue: The accepted objects.
        parent: Qt's owner.
    """

    changed = pyqtSignal()
    arrived = pyqtSignal()
    """What was open for accepted objects is what is chosen again."""

    given_up = pyqtSignal()
    """There will be no engine for the chosen raster."""

    def __init__(
        self, opening: Opening, queue: AcceptQueue, parent: Optional[QObject] = None
    ) -> None:
        super().__init__(parent)
        self._opening = opening
        self._queue = queue
        self._for_accepted = False
        self._next: Optional[OpenParameters] = None
        """What is chosen, while another raster is open for accepted objects."""
        opening.given_up.connect(self._given_up)
        queue.drained.connect(self._drained)

    @property
    def state(self) -> str:
        """CLOSED, OPENING or READY, of the chosen raster.

        A raster that stays open until its accepted objects are done counts as closed, or as opening
        where another one follows it.
        """
        if self._for_accepted:
            return CLOSED if self._next is None else OPENING
        return self._opening.state

    @property
    def chosen(self) -> Optional[OpenParameters]:
        """What the object in work is asked of; None where nothing is chosen, or not yet."""
        return self._next if self._for_accepted else self._opening.parameters

    @property
    def for_accepted(self) -> bool:
        """What is open, or about to be, is so for accepted objects only."""
        return self._for_accepted

    def is_other(self, parameters: OpenParameters) -> bool:
        """This raster with this model is neither open, nor about to be, nor chosen."""
        return not self._opening.is_of(parameters) and parameters != self._next

    def open(self, parameters: OpenParameters) -> None:
        """Open a raster, after accepted objects of the rasters before are finished.

        Args:
            parameters: Raster and model; where they are others (:meth:`is_other`), what was chosen
                before has been closed.
        """
        self._queue.say_raster(parameters)
        if self._opening.is_of(parameters):
            self._queue.begin_raster(parameters)
            if not self._queue.waits_for_raster:
                if self._for_accepted:
                    self._for_accepted, self._next = False, None
                    self.arrived.emit()
                return
        self._next = parameters
        if self._for_accepted:
            self.changed.emit()
        else:
            self._open_next()

    def close(self, at_once: bool = False, keep_object: bool = False) -> None:
        """Give the engine's session back, after accepted objects are finished.

        Args:
            at_once: Accepted objects are given up: nothing can be waited for.
            keep_object: The object in work is asked of the raster that is opened next, and so are
                accepted objects whose raster is not known yet.
        """
        self._next = None
        if at_once:
            self._queue.give_up()
        elif not keep_object:
            self._queue.leave_raster()
        self._for_accepted = not self._queue.is_drained and self._opening.state != CLOSED
        if self._for_accepted:
            self.changed.emit()
        else:
            self._opening.close()

    def _open_next(self) -> None:
        """The next raster: first those that accepted objects are of, then what is chosen."""
        following = self._queue.next_raster or self._next
        if following is not None:
            self._queue.begin_raster(following)
        self._for_accepted = following != self._next or self._queue.next_raster is not None
        if not self._for_accepted:
            self._next = None
        if following is not None:
            self._opening.open(following)

    def _drained(self) -> None:
        if self._for_accepted:
            self._opening.close()
            self._open_next()

    def _given_up(self) -> None:
        if self._for_accepted:
            self._queue.give_up_raster()
            self._open_next()
        else:
            self._queue.give_up()
            self.given_up.emit()
        self.changed.emit()
