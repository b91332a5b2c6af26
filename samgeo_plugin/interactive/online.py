# SPDX-License-Identifier: GPL-2.0-or-later
"""Layers that are not files (XYZ, WMS, WMTS): the view is rendered in the background.

A rendering reaches half a view beyond the view, so that small moves need no other one. Renderings
are kept up to a limit and deleted with the project.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Optional

from qgis.core import QgsProject, QgsRasterLayer, QgsRectangle
from qgis.PyQt.QtCore import QObject, pyqtSignal

from .. import rendering, settings
from ..rasters import LayerError
from ..rendering import LayerRenderer, RenderPlan
from .engine_session import View

_AROUND = 0.5
"""Of the view's size, on each side."""

_COARSER = 2.0
"""A rendering serves a view whose pixels are up to so many times larger or smaller."""


@dataclass(frozen=True)
class Rendering:
    """A finished rendering.

    Args:
        layer_id: Of the layer.
        path: The GeoTIFF.
        plan: What it shows.
        size: Bytes.
    """

    layer_id: str
    path: str
    plan: RenderPlan
    size: int

    def serves(self, layer_id: str, extent: QgsRectangle, view: View) -> bool:
        """Whether it shows this part of the layer finely enough."""
        if layer_id != self.layer_id or view.crs != self.plan.crs or not view.pixel_size:
            return False
        ratio = view.pixel_size / self.plan.resolution
        return 1 / _COARSER <= ratio <= _COARSER and self.plan.extent.contains(extent)


class OnlineView(QObject):
    """The renderings of a session, and at most one that is being made."""

    ready = pyqtSignal(object)
    failed = pyqtSignal(str)
    progress = pyqtSignal(int, int)
    changed = pyqtSignal()

    def __init__(self, parent: Optional[QObject] = None) -> None:
        super().__init__(parent)
        self.kept: list[Rendering] = []
        self._renderer: Optional[LayerRenderer] = None
        self._running: Optional[tuple[str, RenderPlan]] = None
        self._next: Optional[tuple[str, RenderPlan]] = None

    @property
    def is_running(self) -> bool:
        return self._renderer is not None

    @property
    def megabytes(self) -> float:
        """What is kept on the disk."""
        return sum(each.size for each in self.kept) / 1e6

    def find(self, layer_id: str, extent: QgsRectangle, view: View) -> Optional[Rendering]:
        """A finished rendering for this view, the newest first."""
        found = (each for each in reversed(self.kept) if each.serves(layer_id, extent, view))
        return next(found, None)

    def request(self, layer: QgsRasterLayer, extent: QgsRectangle, view: View) -> None:
        """Render a view, unless that is being done; the last wish counts.

        Args:
            layer: The layer.
            extent: What must be shown, in the view's CRS.
            view: The map's CRS and resolution.

        Raises:
            LayerError: It is too large, or empty.
        """
        if not view.pixel_size:
            raise LayerError("The map has no size yet.")
        if self._running is not None:
            coming = Rendering(self._running[0], "", self._running[1], 0)
            if coming.serves(layer.id(), extent, view):
                return
        limit = int(settings.RENDER_LIMIT.get())
        around = QgsRectangle(extent)
        around.grow(_AROUND * max(extent.width(), extent.height()))
        plan = rendering.plan_rendering(around, view.crs, view.pixel_size, limit)
        if not plan.fits:
            plan = rendering.plan_rendering(extent, view.crs, view.pixel_size, limit)
        if not plan.fits:
            side = max(extent.width(), extent.height())
            plan = rendering.plan_rendering(extent, view.crs, side / (limit - 1), limit)
        if self._renderer is not None:
            self._next = (layer.id(), plan)
            self._renderer.cancel()
            return
        self._begin(layer, plan)

    def _begin(self, layer: QgsRasterLayer, plan: RenderPlan) -> None:
        layer_id = layer.id()  # the layer may be gone at the end
        renderer = LayerRenderer([layer], plan, self)
        self._renderer, self._running = renderer, (layer_id, plan)
        renderer.finished.connect(lambda path: self._finished(layer_id, path, plan))
        renderer.failed.connect(self._ended)
        renderer.progress.connect(self.progress)
        self.changed.emit()
        renderer.start()

    def _finished(self, layer_id: str, path: str, plan: RenderPlan) -> None:
        made = Rendering(layer_id, path, plan, os.path.getsize(path))
        self.kept.append(made)
        self._ended("")
        self.ready.emit(made)

    def _ended(self, why: str) -> None:
        if self._renderer is not None:
            self._renderer.deleteLater()
        self._renderer = self._running = None
        following, self._next = self._next, None
        layer = None if following is None else QgsProject.instance().mapLayer(following[0])
        if layer is not None:
            self._begin(layer, following[1])
        elif why:
            self.failed.emit(why)
        self.changed.emit()

    def remove_old(self, in_use: str) -> None:
        """Keep to the limit; the one in use stays."""
        limit = float(settings.RENDER_CACHE.get())
        for each in list(self.kept):
            if self.megabytes <= limit:
                break
            if each.path != in_use:
                rendering.remove_rendering(each.path)
                self.kept.remove(each)
        self.changed.emit()

    def remove_all(self) -> None:
        """The project or the plugin ends."""
        self._next = None
        if self._renderer is not None:
            self._renderer.cancel()
        for each in self.kept:
            rendering.remove_rendering(each.path)
        self.kept = []
        self.changed.emit()
