# SPDX-License-Identifier: GPL-2.0-or-later
"""Ties engine, session and target layer together; the dock shows it, the tool drives it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Optional

from qgis.core import QgsGeometry, QgsProject, QgsRasterLayer, QgsVectorLayer
from qgis.PyQt import sip
from qgis.PyQt.QtCore import QObject, pyqtSignal

from .. import rasters, settings
from ..engine.client import EngineClient
from ..i18n import tr
from ..job import Failure, OpenParameters
from ..log import Reporter, write
from . import target
from .candidates import Accepted, Refinement
from .session import InteractiveSession


@dataclass
class _Kept:
    """An accepted object as the model gave it, so that it can be refined again."""

    accepted: Accepted
    written: target.Written
    refined: Optional[QgsGeometry] = None


@dataclass(frozen=True)
class Choice:
    """What the dock's upper half says."""

    raster: Optional[str] = None
    bands: tuple[int, ...] = ()
    model: str = "embedded"
    device: str = "auto"
    rendered: Optional[str] = None


class Controller(QObject):
    """The plugin's state between its windows.

    Args:
        client: The engine.
        reporter: Where sentences go.
        parent: Qt's owner.
    """

    models_changed = pyqtSignal()
    choice_changed = pyqtSignal()
    target_changed = pyqtSignal()
    written = pyqtSignal(object)
    setup_wanted = pyqtSignal()

    def __init__(
        self, client: EngineClient, reporter: Reporter, parent: Optional[QObject] = None
    ) -> None:
        super().__init__(parent)
        self.client = client
        self.reporter = reporter
        self.session = InteractiveSession(client, self)
        self.choice = Choice(model=str(settings.MODEL.get()), device=str(settings.DEVICE.get()))
        self.models: list[dict[str, Any]] = []
        self.target_id: Optional[str] = None
        self._kept: list[_Kept] = []
        self._refining = 0
        self.refused = ""
        self._next_refinement: Optional[Refinement] = None
        self.session.message.connect(self._session_says)
        self.session.accepted.connect(self._write)
        self.session.opened.connect(self._check_crs)
        client.logged.connect(lambda level, text: write(text, level))

    # --- raster and model -----------------------------------------------------------------------

    def raster_layer(self) -> Optional[QgsRasterLayer]:
        layer = QgsProject.instance().mapLayer(self.choice.raster or "")
        return layer if isinstance(layer, QgsRasterLayer) else None

    def choose(self, **changes: Any) -> None:
        """Change the choice; an open session with another raster or model is given up."""
        changed = replace(self.choice, **changes)
        if changed.raster != self.choice.raster and "rendered" not in changes:
            changed = replace(changed, rendered=None)
        if changed == self.choice:
            return
        self.choice = changed
        settings.MODEL.set(changed.model)
        settings.DEVICE.set(changed.device)
        self.session.close()
        self.choice_changed.emit()

    def parameters(self) -> OpenParameters:
        """What the session is opened with.

        Raises:
            LayerError: No usable raster is chosen.
        """
        layer = self.raster_layer()
        if layer is None:
            raise rasters.LayerError(tr("Choose a raster layer first."))
        path = self.choice.rendered or rasters.file_of(layer)
        if path is None:
            raise rasters.LayerError(
                tr("{name} is not a file; render the visible extent first.").format(
                    name=layer.name()
                )
            )
        bands = None if self.choice.rendered else (list(self.choice.bands) or None)
        return OpenParameters(
            [path],
            model=self.choice.model,
            device=self.choice.device,
            threads=int(settings.THREADS.get()) or None,
            bands=bands,
        )

    def open(self) -> bool:
        """Open the chosen raster in the engine; a sentence where that cannot be."""
        try:
            parameters = self.parameters()
        except rasters.LayerError as error:
            self.reporter.show("warning", str(error))
            return False
        self.session.open(parameters)
        return True

    def _check_crs(self) -> None:
        """A CRS that only the layer has is unknown to the engine: then the map must have it too."""
        layer = self.raster_layer()
        if layer is None or self.choice.rendered or self.session.info.get("crs") is not None:
            return
        crs = layer.crs()
        if crs.isValid() and crs != self.session.crs:
            self.reporter.show(
                "warning",
                tr(
                    "The file of {name} has no CRS of its own; choose the layer's CRS, {crs}, for "
                    "the project too."
                ).format(name=layer.name(), crs=crs.authid() or crs.description()),
            )

    def refresh_models(self) -> None:
        """Ask the engine for its models; quiet where there is no engine yet."""
        self.client.request(
            "models",
            {"action": "list"},
            on_result=self._take_models,
            on_failure=lambda failure: write(failure.message, "warning"),
        )

    def _take_models(self, result: dict[str, Any]) -> None:
        found = result.get("models")
        self.models = [m for m in found if isinstance(m, dict)] if isinstance(found, list) else []
        self.models_changed.emit()

    def _session_says(self, level: str, sentence: str, detail: str) -> None:
        action: Optional[tuple[str, Callable[[], None]]] = None
        from ..setup import environment

        if environment.state() in (environment.ABSENT, environment.PARTIAL):
            action = (tr("Set up…"), self.setup_wanted.emit)
            level = "info" if level == "error" else level
        self.reporter.show(level, sentence, detail, action)

    # --- target ---------------------------------------------------------------------------------

    def target_layer(self) -> Optional[QgsVectorLayer]:
        layer = QgsProject.instance().mapLayer(self.target_id or "")
        return layer if isinstance(layer, QgsVectorLayer) else None

    def set_target(self, layer: Optional[QgsVectorLayer]) -> bool:
        """Choose where accepted objects go; None for a new temporary layer at the first one."""
        why = target.problem(layer) if layer is not None else None
        if why is not None:
            self.reporter.show("warning", why)
            return False
        self.target_id = layer.id() if layer is not None else None
        self.target_changed.emit()
        return True

    def new_target(self, path: Optional[str] = None) -> Optional[QgsVectorLayer]:
        """A new layer in the project, in memory or in a GeoPackage."""
        raster = self.raster_layer()
        name = tr("Objects of {raster}").format(raster=raster.name()) if raster else tr("Objects")
        crs = raster.crs() if raster is not None and raster.crs().isValid() else self.session.crs
        if not crs.isValid():
            crs = QgsProject.instance().crs()
        try:
            if path is None:
                layer = target.new_scratch_layer(name, crs)
            else:
                layer = target.new_geopackage_layer(path, name, crs)
        except target.TargetError as error:
            self.reporter.show("error", str(error))
            return None
        if QgsProject.instance().addMapLayer(layer) is None:
            self.reporter.show("error", tr("The target layer is gone; choose another one."))
            return None
        self.target_id = layer.id()
        self.target_changed.emit()
        return layer

    def _write(self, accepted: Accepted) -> None:
        layer = self.target_layer()
        if layer is None:
            layer = self.new_target()
            if layer is None:
                return
        try:
            written = target.add_object(layer, accepted.geometry, accepted.crs, accepted.attributes)
        except target.TargetError as error:
            self.reporter.show(
                "error",
                str(error),
                action=(tr("Use a new layer"), lambda: self._write_anew(accepted)),
            )
            return
        self._kept.append(_Kept(accepted, written))
        self.written.emit(written)

    def _write_anew(self, accepted: Accepted) -> None:
        self.target_id = None
        self._write(accepted)

    # --- refinement -----------------------------------------------------------------------------

    def refine(self, refinement: Refinement, accepted_too: bool) -> None:
        """Show a refinement on the current polygon and, where wanted, on the accepted ones."""
        self.session.set_refinement(refinement)
        if accepted_too:
            self.refine_accepted(refinement)

    @property
    def is_refining(self) -> bool:
        """Accepted objects are being refined."""
        return bool(self._refining)

    def refine_accepted(self, refinement: Refinement) -> None:
        """Refine what was accepted since the layer was last saved; the last wish counts."""
        if self._refining:
            self._next_refinement = refinement
            return
        layer = self.target_layer()
        if layer is None or not layer.isEditable():
            return
        kept = [k for k in self._kept if k.written.layer_id == layer.id()]
        kept = [k for k in kept if len(k.written.feature_ids) == 1]
        self._refining = len(kept)
        self.refused = ""

        def done(one: _Kept, geometry: Optional[QgsGeometry], failure: Optional[Failure]) -> None:
            if geometry is not None:
                one.refined = geometry
            elif failure is not None:
                write(failure.message, "warning")
                self.refused = failure.message
            self._refining -= 1
            if not self._refining:
                self._put_refined(layer, kept)

        for one in kept:
            raw = one.accepted.raw
            if not refinement.does_something:
                done(one, raw, None)
            else:
                self.session.refine(
                    raw,
                    one.accepted.crs,
                    refinement,
                    lambda geometry, failure, one=one: done(one, geometry, failure),
                )

    def _put_refined(self, layer: QgsVectorLayer, kept: list[_Kept]) -> None:
        following, self._next_refinement = self._next_refinement, None
        if following is not None:
            self.refine_accepted(following)
            return
        if self.refused:
            self.reporter.show("warning", self.refused)
        if sip.isdeleted(layer) or not kept:
            return
        shapes = {k.written.feature_ids[0]: k.refined for k in kept if k.refined is not None}
        try:
            target.change_geometries(
                layer, shapes, kept[0].accepted.crs, tr("Refine accepted objects")
            )
        except target.TargetError as error:
            self.reporter.show("warning", str(error))

    def close(self) -> None:
        """The plugin is being unloaded."""
        self.session.close()
        self.client.stop_and_wait()
