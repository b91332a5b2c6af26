# SPDX-License-Identifier: GPL-2.0-or-later
"""Connects engine, session and target layer; the dock shows it, the map tool drives it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Optional

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsGeometry,
    QgsProject,
    QgsRasterLayer,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QObject, pyqtSignal

from .. import rasters, rendering, settings, styles
from ..engine.client import EngineClient
from ..i18n import tr
from ..job import OpenParameters
from ..log import Reporter, write
from ..processing import jobs
from . import target
from .accepted_objects import AcceptedObjects
from .autosave import PROPERTY, Autosave, new_path
from .candidates import Accepted, Refinement
from .classes import ClassList
from .editing import EditError
from .online import Needed
from .online_session import OnlineSession
from .opening import READY
from .place import Place
from .presence import Presence
from .session import InteractiveSession
from .words import word_models


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
    accepted_as = pyqtSignal(object, object, str)
    """Geometry, CRS and class of an object that was written."""

    taken_back = pyqtSignal(object, object, str)
    """Likewise of one that was undone or deleted since; a redo is :attr:`accepted_as` again."""

    form_wanted = pyqtSignal(object, object)
    """What says so, and the accepted object; :meth:`note` hears of it when it is in the layer."""

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
        self._stamp: Optional[tuple[int, int, int]] = None
        self._renderings: list[str] = []
        self.temporary = self._closed = False
        self._asked: list[Any] = []
        """Sentences whose ways out write an accepted object: they are of this project only."""
        self.autosave = Autosave(
            lambda: bool(self.session.prompts or self.session.pending), reporter.show, self
        )
        self.target_changed.connect(lambda: self.autosave.watch(self.target_layer()))
        self.online = OnlineSession(
            self.session, reporter, self._online_layer, self.parameters, self
        )
        self.accepted_objects = AcceptedObjects(self.session, reporter, self)
        self.presence = Presence(self)
        self.presence.gone.connect(self.taken_back)
        self.presence.back.connect(self.accepted_as)
        self.classes = ClassList(self)
        self.classes.changed.connect(self._classes_changed)
        self.classes.current_changed.connect(self.session.use_class)
        self.classes.renamed.connect(self.session.rename_class)
        self.session.object_class = self.classes.current
        self.session.target_id = lambda: self.target_id
        self.session.message.connect(self._session_says)
        self.session.accepted.connect(self._write)
        self.session.class_given.connect(self._write_class)
        self.session.opened.connect(self._remove_renderings)
        project = QgsProject.instance()
        project.cleared.connect(self._project_cleared)
        project.layersAdded.connect(self._layers_changed)
        project.layersRemoved.connect(self._layers_changed)
        client.logged.connect(lambda level, text: write(text, level))

    # --- raster and model -----------------------------------------------------------------------

    def raster_layer(self) -> Optional[QgsRasterLayer]:
        layer = QgsProject.instance().mapLayer(self.choice.raster or "")
        return layer if isinstance(layer, QgsRasterLayer) else None

    def choose(self, **changes: Any) -> None:
        """Change the choice; an open session is given up, the object in work with it unless only
        the bands are others."""
        changed = replace(self.choice, **changes)
        if changed.raster != self.choice.raster and "rendered" not in changes:
            changed = replace(changed, rendered=None)
        if changed == self.choice:
            return
        only_bands = replace(changed, bands=self.choice.bands) == self.choice
        self.choice = changed
        settings.MODEL.set(changed.model)
        settings.DEVICE.set(changed.device)
        self._stamp = None
        self.online.forget_searched()
        if changed.rendered is not None:
            self._renderings.append(changed.rendered)
        # Another styling must not cost the object in work: it is asked of the new bands.
        self.session.close(keep_object=only_bands)
        self.choice_changed.emit()

    def parameters(self) -> OpenParameters:
        """What the session is opened with.

        Raises:
            LayerError: No usable raster is chosen.
        """
        layer = self.raster_layer()
        if layer is None:
            raise rasters.LayerError(tr("Choose a raster layer first."))
        path = self.choice.rendered or rasters.file_as_shown(layer, jobs.root())
        if path is None:
            path = self.online.path_of(layer)
        if path is None:
            raise rasters.LayerError(
                tr("{name} is not a file; render the visible extent first.").format(
                    name=layer.name()
                )
            )
        bands = None if self._is_rendered(layer) else (list(self.choice.bands) or None)
        stretch = rasters.user_stretch(layer, bands) if bands else None
        return OpenParameters(
            [path],
            model=self.choice.model,
            device=self.choice.device,
            threads=int(settings.THREADS.get()) or None,
            bands=bands,
            stretch=stretch,
            allow_remote=bool(settings.ALLOW_REMOTE.get()),
        )

    def open(self, searched: Optional[Needed] = None) -> bool:
        """Open the chosen raster in the engine; a sentence where that cannot be.

        Args:
            searched: What a search needs of an online layer; None for the map's view.
        """
        in_work = bool(self.session.prompts) and self.session.state == READY
        if in_work and searched is None:
            return True  # another styling must not cost the object in work
        try:
            layer = self._online_layer()
            if layer is not None:
                return self.online.open(layer, searched)
            if in_work:
                return True
            parameters = self.parameters()
        except rasters.LayerError as error:
            self.reporter.show("warning", str(error))
            return False
        stamp = rasters.stamp(parameters.rasters[0])
        if stamp != self._stamp and self._stamp is not None:
            self.session.close()  # the file was replaced on disk: what is open shows the old one
        self._stamp = stamp
        self.session.open(parameters, keep_object=True)
        return True

    def _is_rendered(self, layer: QgsRasterLayer) -> bool:
        """The engine gets a picture of this layer rather than its file."""
        return bool(self.choice.rendered) or rasters.file_of(layer) is None

    def _online_layer(self) -> Optional[QgsRasterLayer]:
        """The chosen layer, where it is rendered as it is needed.

        Raises:
            LayerError: The layer is broken, or its file is gone.
        """
        layer = self.raster_layer()
        if layer is None or self.choice.rendered or rasters.file_of(layer) is not None:
            return None
        return layer

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
        names = [str(m.get("name")) for m in self.models if m.get("kind") != "concept"]
        settings.MODELS.set("\n".join(names))
        settings.WORD_MODELS.set(
            "\n".join(f"{name}\t{title}" for name, title in word_models(self.models).items())
        )
        self.models_changed.emit()

    @property
    def word_models(self) -> dict[str, str]:
        """Titles by name of the models on this computer that understand words, as listed last."""
        if self.models:
            return word_models(self.models)
        lines = str(settings.WORD_MODELS.get()).splitlines()
        return dict(line.split("\t", 1) for line in lines if "\t" in line)

    def _session_says(self, level: str, sentence: str, detail: str) -> None:
        actions: list[tuple[str, Callable[[], None]]] = []
        from ..setup import environment

        if environment.state() in (environment.ABSENT, environment.PARTIAL):
            actions = [(tr("Set up…"), self.setup_wanted.emit)]
            level = "info" if level == "error" else level
        self.reporter.show(level, sentence, detail, actions)

    # --- target ---------------------------------------------------------------------------------

    def target_layer(self) -> Optional[QgsVectorLayer]:
        layer = QgsProject.instance().mapLayer(self.target_id or "")
        return layer if isinstance(layer, QgsVectorLayer) else None

    def _layers_changed(self, *_: Any) -> None:
        """The target layer was removed, or it is there again: its project was opened once more."""
        self.accepted_objects.forget_removed()
        if self.target_layer() is not self.autosave.layer:
            self.target_changed.emit()

    def set_target(self, layer: Optional[QgsVectorLayer], temporary: bool = False) -> bool:
        """Choose where accepted objects go.

        Args:
            layer: None for a new layer at the first object.
            temporary: The new layer is in memory, rather than in a GeoPackage and saved by itself.
        """
        why = target.problem(layer) if layer is not None else None
        if why is not None:
            self.reporter.show("warning", why)
            return False
        self.temporary = temporary
        self.target_id = layer.id() if layer is not None else None
        self.target_changed.emit()
        return True

    def some_target(self) -> Optional[QgsVectorLayer]:
        """The target layer; where none is chosen, a new one."""
        layer = self.target_layer()
        if layer is not None or self.temporary:
            return layer or self.new_target()
        raster = self.raster_layer()
        try:
            path = new_path(raster.name() if raster is not None else "")
            layer = self.new_target(str(path))
            why = ""
        except OSError as error:
            layer, why = None, f"{error.filename or ''}: {error.strerror or error}"
        if layer is None:
            self.reporter.show(
                "warning",
                tr(
                    "No file can be made for the objects: they go into a temporary layer, which "
                    "is lost when QGIS ends. Save it, or choose a target layer."
                ),
                why,
            )
            return self.new_target()
        layer.setCustomProperty(PROPERTY, "1")
        self.reporter.show(
            "info",
            tr("Objects go into {file} and are saved while you pause.").format(file=path.name),
            str(path),
        )
        return layer

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

    def _write(self, accepted: Accepted, again: bool = False) -> None:
        """An accepted object into the layer.

        Args:
            accepted: The object.
            again: Also where the layer has it already.
        """
        try:
            if accepted.place is not None:
                written = target.correct_object(
                    accepted.place,
                    accepted.geometry,
                    accepted.crs,
                    accepted.attributes,
                    accepted.inside,
                )
            else:
                layer = self._target_of(accepted)
                if layer is None:
                    return
                if not again:
                    there = target.same_object(layer, accepted.geometry, accepted.crs)
                    if there is not None or target.hides_object(
                        layer, accepted.geometry, accepted.crs
                    ):
                        self._ask_about(layer, there, accepted)
                        return
                written = target.add_object(
                    layer, accepted.geometry, accepted.crs, accepted.attributes
                )
        except target.FormWanted as wanted:
            self.form_wanted.emit(wanted, accepted)
            return
        except (target.TargetError, EditError) as error:
            actions = [
                (tr("Use a new layer"), lambda: self._write_anew(accepted)),
                (tr("Try again"), lambda: self._write(accepted, again)),
            ]
            self._asked.append(self.reporter.show("error", str(error), actions=actions))
            return
        self.note(accepted, written)

    def _target_of(self, accepted: Accepted) -> Optional[QgsVectorLayer]:
        """The layer that was chosen when the object was accepted, while the project has it."""
        layer = QgsProject.instance().mapLayer(accepted.target_id or "")
        return layer if isinstance(layer, QgsVectorLayer) else self.some_target()

    def _write_class(self, place: Place, crs: QgsCoordinateReferenceSystem, name: str) -> None:
        """Another class for an existing feature, whose outline stays."""
        try:
            written = target.set_class(place, crs, name)
        except (target.TargetError, EditError) as error:
            self.reporter.show("error", str(error))
            return
        self.written.emit(written)
        layer = QgsProject.instance().mapLayer(written.layer_id)
        self.show_classes_of(layer)
        self._tell_accepted(layer, written, place.geometry, crs, name)
        self.autosave.hear_of(layer)

    def note(self, accepted: Accepted, written: target.Written) -> None:
        """An accepted object is in the layer now."""
        layer = QgsProject.instance().mapLayer(written.layer_id)
        self.accepted_objects.add(accepted, written)
        self.written.emit(written)
        said = str(accepted.attributes.get(target.CLASS) or "")
        if said:
            self.show_classes_of(layer)
        if said or accepted.place is None:
            self._tell_accepted(layer, written, accepted.geometry, accepted.crs, said)
        self.autosave.hear_of(layer)

    def _tell_accepted(
        self,
        layer: QgsVectorLayer,
        written: target.Written,
        geometry: QgsGeometry,
        crs: QgsCoordinateReferenceSystem,
        name: str,
    ) -> None:
        self.presence.watch(layer, written.feature_ids, geometry, crs, name)
        self.accepted_as.emit(geometry, crs, name)

    def _ask_about(self, layer: QgsVectorLayer, there: Optional[int], accepted: Accepted) -> None:
        """The same object again: a second feature only where that is wanted.

        Args:
            layer: Of the object.
            there: Its feature; None for one that a filter hides, which cannot be edited.
            accepted: The object.
        """
        accepted = replace(accepted, target_id=layer.id())
        actions = [(tr("Add it again"), lambda: self._write(accepted, again=True))]
        if there is None:
            text = tr("{layer} has this object already, hidden by its filter; nothing was added.")
        else:
            text = tr("{layer} has this object already; nothing was added.")
            place = Place(layer.id(), there, accepted.geometry)
            kept_class = {**accepted.attributes, target.CLASS: ""}
            replaced = replace(accepted, place=place, attributes=kept_class)
            actions.insert(0, (tr("Replace its outline"), lambda: self._write(replaced)))
        shown = self.reporter.show(
            "warning", text.format(layer=layer.name()), actions=actions, stays=True
        )
        self._asked.append(shown)

    # --- classes --------------------------------------------------------------------------------

    def show_classes_of(self, layer: QgsVectorLayer) -> None:
        """Classes have their colours where the layer's style is ours."""
        index = target.class_field(layer)
        plain = styles.current(layer) == styles.REVIEW
        if plain and index >= 0 and self.classes.items:
            styles.show_classes(layer, layer.fields().at(index).name())

    def _classes_changed(self) -> None:
        for layer in QgsProject.instance().mapLayers().values():
            if isinstance(layer, QgsVectorLayer) and styles.has_class_colours(layer):
                styles.show_classes(layer, layer.renderer().classAttribute().strip('"'))

    def _write_anew(self, accepted: Accepted) -> None:
        self.set_target(None)
        # Its layer, or that of a correction, has refused it.
        self._write(replace(accepted, place=None, target_id=None))

    # --- refinement -----------------------------------------------------------------------------

    def refine(self, refinement: Refinement, accepted_too: bool) -> None:
        """Show a refinement on the current polygon and, where wanted, on the accepted ones."""
        self.session.set_refinement(refinement)
        if accepted_too:
            self.accepted_objects.refine(self.target_layer(), refinement)

    def close(self) -> None:
        """QGIS ends, or the plugin is being unloaded: whichever comes first."""
        if self._closed:
            return
        self._closed = True
        self.session.close(at_once=True)
        self.client.stop_and_wait()
        self.classes.release()
        self.autosave.release()
        self.presence.release()
        project = QgsProject.instance()
        project.cleared.disconnect(self._project_cleared)
        project.layersAdded.disconnect(self._layers_changed)
        project.layersRemoved.disconnect(self._layers_changed)
        self.choice = replace(self.choice, rendered=None)
        self._remove_renderings()
        self.online.close()
        self.reporter.release()

    def _project_cleared(self) -> None:
        """What was accepted is of layers that are gone; it goes into none of the next project."""
        for shown in self._asked:
            self.reporter.take_back(shown)
        self._asked = []
        self.session.close(at_once=True)
        self.choose(raster=None, bands=(), rendered=None)
        self._remove_renderings()
        self.online.renderings.remove_all()

    def _remove_renderings(self) -> None:
        """Delete temporary renderings that are no longer in use."""
        for path in [path for path in self._renderings if path != self.choice.rendered]:
            rendering.remove_rendering(path)
            self._renderings.remove(path)
