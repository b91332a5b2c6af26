# SPDX-License-Identifier: GPL-2.0-or-later
"""Layers that are not files (XYZ, WMS, WMTS): the view is rendered in the background.

A rendering reaches half a view beyond the view, so that small moves need no other one. Renderings
are kept up to a limit and deleted with the project.
"""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass, replace
from typing import Optional

from qgis.core import (
    QgsDateTimeRange,
    QgsMapLayer,
    QgsProject,
    QgsRasterLayer,
    QgsRasterMinMaxOrigin,
    QgsReadWriteContext,
    QgsRectangle,
)
from qgis.PyQt.QtCore import QObject, Qt, pyqtSignal
from qgis.PyQt.QtXml import QDomDocument

from .. import rendering, settings
from ..i18n import tr
from ..rasters import LayerError
from ..rendering import LayerRenderer, RenderPlan
from .engine_session import View

_AROUND = 0.5
"""Of the view's size, on each side."""

_COARSER = 2.0
"""A rendering serves a view whose pixels are up to so many times larger or smaller."""

_AGAIN = 30.0
"""Seconds until parts that a server has refused are asked for again."""


@dataclass(frozen=True)
class Needed:
    """What must be rendered of a layer.

    Args:
        extent: In the view's CRS.
        view: The map's CRS, resolution and times.
        exactly: A search's area: nothing around it, and no pixels that are larger.
    """

    extent: QgsRectangle
    view: View
    exactly: bool = False


@dataclass(frozen=True)
class Rendering:
    """A finished rendering.

    Args:
        layer_id: Of the layer.
        shown: What the layer showed then, see :func:`what_is_shown`.
        path: The GeoTIFF.
        plan: What it shows.
        size: Bytes.
        until: When it has served, in :func:`time.monotonic`'s seconds: parts of it are missing.
    """

    layer_id: str
    shown: str
    path: str
    plan: RenderPlan
    size: int
    until: float = math.inf

    def serves(self, layer_id: str, shown: str, needed: Needed) -> bool:
        """Whether it shows this part of the layer finely enough, and as the layer is now."""
        view = needed.view
        if (layer_id, shown) != (self.layer_id, self.shown) or time.monotonic() > self.until:
            return False
        if view.crs != self.plan.crs or not view.pixel_size:
            return False
        ratio = view.pixel_size / self.plan.resolution
        covered = QgsRectangle(self.plan.extent)
        covered.grow(self.plan.resolution / 2)  # whole pixels around an extent may round
        return 1 / _COARSER <= ratio <= _COARSER and covered.contains(needed.extent)


def what_is_shown(layer: QgsRasterLayer, times: Optional[QgsDateTimeRange]) -> str:
    """The layer's source, style and, where it has some, times: with others, it looks different.

    A style that follows the map's extent is left out, because it changes while it is rendered.

    Args:
        layer: The layer.
        times: What the temporal controller shows; None where it is off.
    """
    source = str(layer.source())
    if times is not None and layer.temporalProperties().isActive():
        ends = (each.toString(Qt.DateFormat.ISODate) for each in (times.begin(), times.end()))
        source = "\n".join((source, *ends))
    renderer = layer.renderer()
    if renderer is not None:
        extent = renderer.minMaxOrigin().extent()
        if QgsRasterMinMaxOrigin.extentString(extent) == "UpdatedCanvas":
            return source
    document = QDomDocument()
    categories = QgsMapLayer.StyleCategory
    shown = categories.Symbology | categories.Rendering | categories.Temporal
    layer.exportNamedStyle(document, QgsReadWriteContext(), shown)
    return f"{source}\n{document.toString()}"


class OnlineView(QObject):
    """The renderings of a session, and at most one that is being made."""

    ready = pyqtSignal(object)
    failed = pyqtSignal(str)
    incomplete = pyqtSignal(str)
    """The sentence about parts of a rendering that are missing; it is ready nevertheless."""

    progress = pyqtSignal(int, int)
    changed = pyqtSignal()

    def __init__(self, parent: Optional[QObject] = None) -> None:
        super().__init__(parent)
        self.kept: list[Rendering] = []
        self._renderer: Optional[LayerRenderer] = None
        self._coming: Optional[Rendering] = None
        self._next: Optional[tuple[str, RenderPlan]] = None

    @property
    def is_running(self) -> bool:
        return self._renderer is not None

    @property
    def megabytes(self) -> float:
        """What is kept on the disk."""
        return sum(each.size for each in self.kept) / 1e6

    def find(self, layer: QgsRasterLayer, needed: Needed, in_use: str = "") -> Optional[Rendering]:
        """A finished rendering: the one in use, else the newest.

        Args:
            layer: The layer.
            needed: What it must show.
            in_use: Path of what the engine has opened.
        """
        if not self.kept:
            return None
        shown = what_is_shown(layer, needed.view.times)
        found = [each for each in self.kept if each.serves(layer.id(), shown, needed)]
        found.sort(key=lambda each: each.path == in_use)
        return found[-1] if found else None

    def request(self, layer: QgsRasterLayer, needed: Needed) -> None:
        """Render what is needed, unless that is being done; the last wish counts.

        Raises:
            LayerError: It is too large, or empty.
        """
        plan = _plan(needed)
        coming, shown = self._coming, what_is_shown(layer, plan.times)
        if coming is not None and coming.serves(layer.id(), shown, needed):
            return
        if self._renderer is not None:
            self._next = (layer.id(), plan)
            self._renderer.cancel()
            return
        self._begin(layer, plan)

    def _begin(self, layer: QgsRasterLayer, plan: RenderPlan) -> None:
        # The layer may be gone at the end, or be another one.
        coming = Rendering(layer.id(), what_is_shown(layer, plan.times), "", plan, 0)
        renderer = LayerRenderer(layer, plan, self)
        self._renderer, self._coming = renderer, coming
        renderer.finished.connect(lambda path: self._finished(coming, path, renderer.missing))
        renderer.failed.connect(self._ended)
        renderer.progress.connect(self.progress)
        self.changed.emit()
        renderer.start()

    def _finished(self, coming: Rendering, path: str, missing: str) -> None:
        until = time.monotonic() + _AGAIN if missing else math.inf
        made = replace(coming, path=path, size=os.path.getsize(path), until=until)
        self.kept.append(made)
        self._ended("")
        if missing:
            self.incomplete.emit(missing)
        self.ready.emit(made)

    def _ended(self, why: str) -> None:
        if self._renderer is not None:
            self._renderer.deleteLater()
        self._renderer = self._coming = None
        following, self._next = self._next, None
        layer = None if following is None else QgsProject.instance().mapLayer(following[0])
        if layer is not None:
            self._begin(layer, following[1])
        elif why:
            self.failed.emit(why)
        self.changed.emit()

    def cancel(self, at_once: bool = False) -> None:
        """Nothing that is being made or waits is needed any more; see the renderer's."""
        self._next = None
        if self._renderer is not None:
            self._renderer.cancel(at_once)

    def remove_old(self, *in_use: str) -> None:
        """Keep to the limit; those in use stay."""
        limit = float(settings.RENDER_CACHE.get())
        for each in list(self.kept):
            if self.megabytes <= limit:
                break
            if each.path not in in_use:
                rendering.remove_rendering(each.path)
                self.kept.remove(each)
        self.changed.emit()

    def remove_all(self, at_once: bool = False) -> None:
        """The project ends, or (at once) the plugin."""
        self.cancel(at_once)
        for each in self.kept:
            rendering.remove_rendering(each.path)
        self.kept = []
        self.changed.emit()


def _plan(needed: Needed) -> RenderPlan:
    """What to render, and some of what lies around it where that fits.

    Raises:
        LayerError: It is too large, or empty.
    """
    extent, view = needed.extent, needed.view
    if not view.pixel_size:
        raise LayerError(tr("The map has no size yet."))
    limit = int(settings.RENDER_LIMIT.get())

    def plan_of(whole: QgsRectangle, resolution: float) -> RenderPlan:
        return rendering.plan_rendering(whole, view.crs, resolution, limit, view.times)

    if not needed.exactly:
        around = QgsRectangle(extent)
        around.grow(_AROUND * max(extent.width(), extent.height()))
        plan = plan_of(around, view.pixel_size)
        if plan.fits:
            return plan
    plan = plan_of(extent, view.pixel_size)
    coarser = max(extent.width(), extent.height()) / (limit - 1)
    if not plan.fits and not needed.exactly and coarser <= _COARSER * view.pixel_size:
        plan = plan_of(extent, coarser)
    if not plan.fits:
        raise LayerError(
            tr(
                "The area would be rendered with {width} × {height} pixels, and the limit is "
                "{limit}: choose a smaller one, zoom out for larger pixels, or raise the limit in "
                "the settings."
            ).format(width=plan.width, height=plan.height, limit=limit)
        )
    return plan
