# SPDX-License-Identifier: GPL-2.0-or-later
"""*Render the visible extent*: a layer that is no file as a picture that the engine can read."""

from __future__ import annotations

from typing import Any, Optional

from qgis.PyQt.QtCore import QObject, pyqtSignal
from qgis.PyQt.QtWidgets import QWidget

from .. import rendering
from ..i18n import tr
from ..interactive.controller import Controller


class LayerRendering(QObject):
    """Renders the chosen layer once it is asked to, one at a time.

    Args:
        controller: Has the layer, and uses the picture.
        canvas: The map.
        window: Parent of the dialog.
        parent: Qt's owner.
    """

    progress = pyqtSignal(int, int)
    """Pieces that are done, and all; 0 of 0 at the start."""

    ended = pyqtSignal()

    def __init__(
        self,
        controller: Controller,
        canvas: Any,
        window: QWidget,
        parent: Optional[QObject] = None,
    ) -> None:
        super().__init__(parent)
        self._controller = controller
        self._canvas = canvas
        self._window = window
        self._renderer: Optional[rendering.LayerRenderer] = None

    def ask(self) -> None:
        """Ask for extent and resolution, render the chosen layer, then use the picture."""
        from .render_dialog import RenderDialog

        layer = self._controller.raster_layer()
        if layer is None or self._renderer is not None:
            return
        dialog = RenderDialog(layer.name(), self._canvas, self._window)
        if dialog.exec() and dialog.plan is not None:
            self.start(layer, dialog.plan)

    def start(self, layer: Any, plan: rendering.RenderPlan) -> None:
        """Without the dialog: render a layer by a plan and use the picture."""
        controller = self._controller
        layer_id = layer.id()
        self._renderer = renderer = rendering.LayerRenderer(layer, plan, self)

        def finished(path: str) -> None:
            self._end()
            if controller.choice.raster != layer_id:
                rendering.remove_rendering(path)  # another one was chosen meanwhile
                return
            controller.choose(rendered=path)
            if renderer.missing:
                controller.reporter.show("warning", renderer.missing)
            else:
                controller.reporter.show("success", tr("The visible extent is ready."))

        def failed(sentence: str) -> None:
            self._end()
            controller.reporter.show("warning", sentence)

        self._renderer.finished.connect(finished)
        self._renderer.failed.connect(failed)
        self._renderer.progress.connect(self.progress)
        self.progress.emit(0, 0)
        self._renderer.start()

    def cancel(self, at_once: bool = False) -> None:
        if self._renderer is not None:
            self._renderer.cancel(at_once)

    def _end(self) -> None:
        self.ended.emit()
        if self._renderer is not None:
            self._renderer.deleteLater()
        self._renderer = None
