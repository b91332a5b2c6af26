# SPDX-License-Identifier: GPL-2.0-or-later
"""Work on layers in small steps, so that the main thread never stands still."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Optional

from qgis.PyQt.QtCore import QObject, QTimer

BUDGET = 0.008
"""Seconds of work between two looks of the event loop."""


class InSteps(QObject):
    """One piece of work at a time, whose steps run while nothing else wants to.

    Args:
        parent: Qt's owner.
    """

    def __init__(self, parent: Optional[QObject] = None) -> None:
        super().__init__(parent)
        self._work: Optional[Iterator[None]] = None
        self._done: Optional[Callable[[], None]] = None
        self._timer = QTimer(self)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._go_on)

    @property
    def busy(self) -> bool:
        return self._work is not None

    def start(self, work: Iterator[None], done: Optional[Callable[[], None]] = None) -> None:
        """Begin; work that is under way is given up between two of its steps.

        Args:
            work: Yields often.
            done: Called at its end.
        """
        self._work, self._done = work, done
        self._timer.start()

    def stop(self) -> None:
        self._timer.stop()
        if self._work is not None:
            close = getattr(self._work, "close", None)
            self._work, self._done = None, None
            if close is not None:
                close()

    def finish(self) -> None:
        """Do what is left at once: somebody cannot wait."""
        while self._work is not None:
            self._step(self._work)

    def _go_on(self) -> None:
        end = time.monotonic() + BUDGET
        work = self._work
        while work is not None and work is self._work and time.monotonic() < end:
            self._step(work)
        if self._work is None:
            self._timer.stop()

    def _step(self, work: Iterator[None]) -> None:
        try:
            next(work)
        except StopIteration:
            done = self._done
            self.stop()
            if done is not None:
                done()
