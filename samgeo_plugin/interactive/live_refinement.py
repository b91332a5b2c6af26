# SPDX-License-Identifier: GPL-2.0-or-later
"""Refinement of the polygon in work while a slider moves, at most one request at a time."""

from __future__ import annotations

from typing import Optional

from qgis.core import QgsGeometry
from qgis.PyQt.QtCore import QObject, pyqtSignal

from ..job import Failure
from .candidates import Refinement
from .engine_session import EngineSession


class LiveRefinement(QObject):
    """One request at a time; when the wish or the polygon changes meanwhile, one more follows.

    Args:
        engine: The open raster.
        parent: Qt's owner.

    Attributes:
        wanted: What is done to the polygon.
        refined: The polygon as it was refined last; None while it has not been.
    """

    finished = pyqtSignal()
    failed = pyqtSignal(object)

    def __init__(self, engine: EngineSession, parent: Optional[QObject] = None) -> None:
        super().__init__(parent)
        self._engine = engine
        self.wanted = Refinement()
        self.refined: Optional[QgsGeometry] = None
        self._polygon: Optional[QgsGeometry] = None
        self._running: Optional[int] = None
        self._again = False
        self._tidied: Optional[tuple[QgsGeometry, Refinement, QgsGeometry]] = None
        """The last result, with what it was made of."""

    @property
    def is_running(self) -> bool:
        return self._running is not None

    @property
    def is_missing(self) -> bool:
        """The polygon should be refined and is not."""
        return self.wanted.needs_engine and self.refined is None

    def result(self, polygon: QgsGeometry) -> QgsGeometry:
        """A polygon as it would be written: refined as far as it has been, and tidied.

        Args:
            polygon: What :meth:`set_polygon` was told.
        """
        source = self.refined or polygon
        last = self._tidied
        if last is None or last[0] is not source or last[1] is not self.wanted:
            last = self._tidied = source, self.wanted, self.wanted.tidy(source)
        return last[2]

    def set_polygon(self, polygon: Optional[QgsGeometry]) -> None:
        """Refine this polygon; None for none."""
        self._polygon = polygon
        self.refined = None
        self.refine()

    def lose_engine(self) -> None:
        """The engine's process is gone."""
        self._polygon = self._running = None
        self.refined = None

    def refine(self) -> None:
        """Refine the polygon as is wanted now."""
        if self._running is not None:
            self._again = True
            return
        self._again = False
        polygon = self._polygon
        if polygon is None or not self._engine.is_open or not self.wanted.needs_engine:
            return

        def done(geometry: Optional[QgsGeometry], failure: Optional[Failure]) -> None:
            self._running = None
            if polygon is self._polygon:
                if failure is not None and failure.kind not in ("Cancelled", "EngineDied"):
                    self.failed.emit(failure)
                if not self._again:
                    self.refined = geometry or polygon
            if self._again:
                self.refine()
            self.finished.emit()

        self._running = self._engine.refine(polygon, self._engine.crs, self.wanted, done)
