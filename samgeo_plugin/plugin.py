# SPDX-License-Identifier: GPL-2.0-or-later
"""The plugin's entry: actions, dock, map tool, options page, Processing provider."""

from __future__ import annotations

import gc
from typing import Any, Optional

from qgis.core import (
    Qgis,
    QgsApplication,
    QgsCoordinateTransform,
    QgsCsException,
    QgsGeometry,
    QgsProject,
    QgsRasterLayer,
    QgsVectorLayer,
)
from qgis.PyQt import sip
from qgis.PyQt.QtCore import QCoreApplication, QObject, Qt, QTimer, QTranslator
from qgis.PyQt.QtWidgets import QAction

from . import i18n, styles
from .engine.client import EngineClient
from .i18n import tr
from .interactive.automatic import Automatic
from .interactive.controller import Controller
from .interactive.editor import LayerEditor
from .interactive.engine_session import View
from .interactive.examples import Examples
from .interactive.find_like import FindLike
from .interactive.online import Needed
from .interactive.place import Place, largest_part_number
from .interactive.review import Review
from .interactive.trained_model import TrainedModel
from .log import Reporter
from .processing.provider import SamGeoProvider
from .setup import environment
from .setup.environment_job import Setup


class SamGeoPlugin(QObject):
    """The plugin's life between initGui and unload.

    Args:
        iface: QGIS's interface; ``qgis_process`` has none and only calls initProcessing.
    """

    def __init__(self, iface: Any) -> None:
        super().__init__()
        self.iface = iface
        self.translator: Optional[QTranslator] = i18n.install()
        self.provider: Optional[SamGeoProvider] = None
        self.controller: Optional[Controller] = None
        self.dock: Any = None
        self.tool: Any = None
        self.setup: Optional[Setup] = None
        self._actions: list[QAction] = []
        self._factory: Any = None
        self._setup_dialog: Any = None
        self._models_dialog: Any = None
        self._previous_tool: Any = None

    # --- life -----------------------------------------------------------------------------------

    def initProcessing(self) -> None:  # noqa: N802
        """Also called by ``qgis_process``, where there is no window."""
        self.provider = SamGeoProvider()
        QgsApplication.processingRegistry().addProvider(self.provider)

    def initGui(self) -> None:  # noqa: N802
        from .gui.dock import Dock
        from .gui.example_tool import ExampleTool
        from .gui.feature_forms import FeatureForms
        from .gui.find_panel import FindPanel
        from .gui.icons import icon
        from .gui.layer_rendering import LayerRendering
        from .gui.map_tool import PromptTool
        from .gui.options_page import OptionsFactory
        from .gui.review_mode import MapFollower

        self.initProcessing()
        window = self.iface.mainWindow()
        client = EngineClient(environment.engine_command, environment.qgis_prefix(), parent=self)
        reporter = Reporter(self.iface)
        self.controller = controller = Controller(client, reporter, self)
        self.setup = Setup(self)
        self.setup.finished.connect(self._set_up_finished)
        controller.setup_wanted.connect(self.offer_setup)
        controller.choice_changed.connect(self._choice_changed)

        self.tool_action = QAction(icon("segment"), tr("Segment"), window)
        self.tool_action.setObjectName("SamGeoSegment")
        self.tool_action.setToolTip(tr("Segment objects by clicks, boxes and strokes"))
        self.tool_action.setCheckable(True)
        self.tool_action.triggered.connect(self._choose_tool)
        self.review = Review(self)
        self.review.message.connect(controller.reporter.show)
        self.forms = FeatureForms(window, controller, self.review, self)
        self.review.known_classes = lambda: controller.classes.names
        canvas = self.iface.mapCanvas()
        self.examples = Examples(self)
        self.examples.message.connect(controller.reporter.show)
        controller.accepted_as.connect(self.examples.note)
        controller.taken_back.connect(self.examples.take_back)
        controller.classes.renamed.connect(self.examples.rename)
        self.find = FindLike(client, controller.session, self.examples, self)
        self.find.message.connect(controller.reporter.show)
        self.example_tool = ExampleTool(canvas, self.find, controller.classes)
        self.example_action = QAction(tr("Right or wrong"), window)
        self.example_action.setIcon(icon("segment"))
        self.example_action.setObjectName("SamGeoExamples")
        self.example_action.setToolTip(
            tr("Left click on a found object: right; right click or Shift+click: wrong")
        )
        self.example_action.setCheckable(True)
        self.example_action.triggered.connect(self._choose_example_tool)
        self.example_tool.setAction(self.example_action)
        self.automatic = Automatic(
            controller, self.find, self.examples, self._use_map, self._tool_wanted, self
        )
        controller.online.is_searching = lambda: self.find.running
        controller.online.is_searched = lambda: self.automatic.busy or self.find.there
        panel = FindPanel(
            controller,
            self.automatic,
            self.find,
            self.examples,
            self.example_tool,
            self.example_action,
            canvas,
        )
        self.dock = Dock(controller, self.review, self.tool_action, panel, window)
        self.follower = MapFollower(self.iface.mapCanvas(), self.review, self)
        self.dock.openedStateChanged.connect(self.dock.review.mode.set_open)
        self.dock.openedStateChanged.connect(self.follower.set_open)
        self.dock.review.mode.start_wanted.connect(self.start_review)
        self.dock.review.mode.correct_wanted.connect(self._correct_reviewed)
        self.dock_action = self.dock.toggleViewAction()
        self.dock_action.setIcon(icon("samgeo"))
        self.dock_action.setText(tr("SamGeo Seamless panel"))
        settings_action = QAction(tr("Settings…"), window)
        settings_action.triggered.connect(self.open_settings)
        about_action = QAction(tr("Help and about…"), window)
        about_action.triggered.connect(self.open_about)
        self._actions = [self.dock_action, self.tool_action, settings_action, about_action]
        for action in self._actions:
            self.iface.addPluginToRasterMenu(tr("SamGeo Seamless"), action)
        for action in (self.dock_action, self.tool_action):
            self.iface.addRasterToolBarIcon(action)
        self.iface.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, self.dock)

        self.editor = LayerEditor(
            controller.session,
            self._worked_on,
            lambda: canvas.mapSettings().destinationCrs(),
            lambda: self.review.settling,
            self,
        )
        self.editor.message.connect(
            lambda level, text: controller.reporter.show(level, text) if level else None
        )
        for signal in (self.review.started, self.review.stopped, controller.target_changed):
            signal.connect(self.editor.follow)
        self.tool = PromptTool(
            canvas, controller.session, self.editor, controller.classes, self._tool_wanted
        )
        self.layer_rendering = LayerRendering(controller, canvas, window, self)
        for rendering in (controller.online.renderings, self.layer_rendering):
            rendering.progress.connect(
                lambda done, total: self.dock.show_progress(tr("Rendering the map"), done, total)
            )
        for ended in (controller.online.renderings.failed, self.layer_rendering.ended):
            ended.connect(self._hide_progress)
        self._moved = QTimer(self)
        self._moved.setSingleShot(True)
        self._moved.setInterval(300)
        self._moved.timeout.connect(self._map_rests)
        canvas.extentsChanged.connect(self._moved.start)
        canvas.temporalRangeChanged.connect(self._moved.start)
        self.tool.setAction(self.tool_action)
        self.tool.taken.connect(self._tool_taken)
        self.dock.automatic_wanted.connect(self.open_automatic)
        self.dock.review.improve_wanted.connect(self.open_improve)
        self.trained_model = TrainedModel(controller, self.automatic, self._choice_changed, self)
        if self.provider is not None:
            self.provider.model_trained.connect(self.trained_model.use)
        self.dock.settings_wanted.connect(self.open_settings)
        self.dock.about_wanted.connect(self.open_about)
        self.dock.cancel_wanted.connect(self._cancel)
        self.dock.source.models_wanted.connect(self.open_models)
        self.dock.source.render_wanted.connect(self.layer_rendering.ask)
        self.dock.object.polygon_wanted.connect(self._use_selected_polygon)

        self._factory = OptionsFactory(client, self.setup)
        self.iface.registerOptionsWidgetFactory(self._factory)
        # The event loop has ended when this comes, and the engine must not outlive QGIS.
        QCoreApplication.instance().aboutToQuit.connect(self._stop_processes)
        self.iface.initializationCompleted.connect(self._begin)
        if window.isVisible():  # installed while QGIS runs: that signal was sent long ago
            QTimer.singleShot(0, self._begin)

    def unload(self) -> None:
        """Give everything back; nothing of the plugin stays in QGIS."""
        if self.provider is not None:
            QgsApplication.processingRegistry().removeProvider(self.provider)
            self.provider = None
        if self.controller is None:
            return
        QCoreApplication.instance().aboutToQuit.disconnect(self._stop_processes)
        canvas = self.iface.mapCanvas()
        canvas.extentsChanged.disconnect(self._moved.start)
        canvas.temporalRangeChanged.disconnect(self._moved.start)
        self._moved.stop()
        if self.tool is not None:
            for tool in (self.tool, self.example_tool):
                canvas.unsetMapTool(tool)
                tool.dispose()
        self.automatic.release()
        self.find.release()
        self.examples.release()
        self.editor.release()
        self._stop_processes()
        self.iface.unregisterOptionsWidgetFactory(self._factory)
        for action in self._actions:
            self.iface.removePluginRasterMenu(tr("SamGeo Seamless"), action)
        for action in (self.dock_action, self.tool_action):
            self.iface.removeRasterToolBarIcon(action)
        self.iface.removeDockWidget(self.dock)
        self.dock.source.release()
        self.dock.review.release()
        self.dock.find.release()
        self.follower.release()
        self.forms.release()
        for action in (
            *self._actions[1:],
            self.example_action,
        ):  # the first one belongs to the dock
            action.deleteLater()
        self._actions = []
        for widget in (self.dock, self._setup_dialog, self._models_dialog):
            if widget is not None:
                widget.deleteLater()
        if self.translator is not None:
            QCoreApplication.removeTranslator(self.translator)
        self.trained_model.release()
        self.dock = self.tool = self.controller = self._factory = None
        self._setup_dialog = self._models_dialog = None

    def _stop_processes(self) -> None:
        if self.controller is not None:
            self.layer_rendering.cancel(at_once=True)
        if self.setup is not None:
            self.setup.shut_down()
        if self.controller is not None:
            self.controller.close()

    # --- the tool -------------------------------------------------------------------------------

    def _choose_tool(self, checked: bool) -> None:
        canvas = self.iface.mapCanvas()
        if not checked:
            self._leave_tool()
            return
        if canvas.mapTool() is not self.tool:
            self._previous_tool = canvas.mapTool()
        canvas.setMapTool(self.tool)
        self.dock.setUserVisible(True)

    def _choose_example_tool(self, checked: bool) -> None:
        canvas = self.iface.mapCanvas()
        if checked:
            if canvas.mapTool() is not self.example_tool:
                self._previous_tool = canvas.mapTool()
            canvas.setMapTool(self.example_tool)
        else:
            self._leave_tool(self.example_tool)

    def _leave_tool(self, tool: Any = None) -> None:
        canvas = self.iface.mapCanvas()
        canvas.unsetMapTool(tool or self.tool)
        previous = self._previous_tool
        self._previous_tool = None
        if previous is not None and not sip.isdeleted(previous):  # its plugin may be gone
            canvas.setMapTool(previous)
        else:
            self.iface.actionPan().trigger()

    def _hide_progress(self, *_: object) -> None:
        if self.dock is not None:
            self.dock.show_progress("", 0, 0)

    def _tool_taken(self) -> None:
        """Open the raster before the first click, unless a search needs another part of it."""
        if self.controller is not None and self.controller.online.is_searching():
            self._map_rests()
        else:
            self._tool_wanted()

    def _tool_wanted(self, searched: Optional[Needed] = None) -> bool:
        """Open the raster that is chosen or likely; False, with a sentence, where it cannot be."""
        controller = self.controller
        if controller is None:
            return False
        if controller.raster_layer() is None:
            self.dock.source.choose_raster(self._likely_raster())
        controller.online.extent = self.iface.mapCanvas().extent()
        opened = controller.open(searched)
        if opened and not controller.models:
            controller.refresh_models()
        return opened

    def _use_map(self) -> None:
        """The session follows the map, also without a tool in hand."""
        if self.controller is not None:
            self.controller.session.use_map(View.of(self.iface.mapCanvas().mapSettings()))

    def _map_rests(self) -> None:
        """Online layers are rendered for the view while the tool is in hand."""
        canvas, controller = self.iface.mapCanvas(), self.controller
        if controller is not None and canvas.mapTool() is self.tool:
            controller.online.extent = canvas.extent()
            controller.online.look()

    def _likely_raster(self) -> Optional[QgsRasterLayer]:
        """The active layer, or the topmost raster that is shown."""
        active = self.iface.activeLayer()
        if isinstance(active, QgsRasterLayer):
            return active
        for layer in self.iface.mapCanvas().layers():
            if isinstance(layer, QgsRasterLayer):
                return layer
        return None

    def _choice_changed(self) -> None:
        # With the tool in hand the next click must not wait for another raster or model, and an
        # object in work waits for other bands.
        controller = self.controller
        if controller is None or controller.raster_layer() is None:
            return
        in_hand = self.tool is not None and self.iface.mapCanvas().mapTool() is self.tool
        if in_hand or controller.session.prompts:
            controller.open()

    def _use_selected_polygon(self) -> None:
        controller, layer = self.controller, self.iface.activeLayer()
        if controller is None:
            return
        chosen = list(layer.selectedFeatures()) if isinstance(layer, QgsVectorLayer) else []
        polygons = [f.geometry() for f in chosen if f.geometry().type() == _polygon_type()]
        if len(polygons) != 1:
            controller.reporter.show("info", tr("Select one polygon of the active layer first."))
            return
        canvas = self.iface.mapCanvas()
        geometry = QgsGeometry(polygons[0])
        transform = QgsCoordinateTransform(
            layer.crs(), canvas.mapSettings().destinationCrs(), QgsProject.instance()
        )
        try:
            moved = geometry.transform(transform) == Qgis.GeometryOperationResult.Success
            detail = ""
        except QgsCsException as error:
            moved, detail = False, str(error)
        if not moved:
            controller.reporter.show(
                "warning", tr("The polygon lies outside the map's CRS."), detail
            )
            return
        if canvas.mapTool() is not self.tool:
            self._choose_tool(True)
        self.tool.add_polygon(geometry)

    def start_review(self, layer: QgsVectorLayer) -> None:
        """Go through a layer's polygons; QGIS's own undo and saving work on it."""
        if self.controller is None:
            return
        raster, extent = self.controller.raster_layer(), None
        if raster is not None:
            move = QgsCoordinateTransform(raster.crs(), layer.crs(), QgsProject.instance())
            try:
                extent = move.transformBoundingBox(raster.extent())
            except QgsCsException:
                extent = None
        plain = styles.current(layer) == styles.REVIEW
        if self.review.start(layer, extent):
            if plain:  # a style of the user's own stays
                styles.show_status(layer, self.review.status_field)
            self.iface.setActiveLayer(layer)
            self.iface.mapCanvas().setFocus()

    def _worked_on(self) -> list[QgsVectorLayer]:
        """The layer in review, and the target layer."""
        if self.controller is None:
            return []
        layers = (self.review.layer, self.controller.target_layer())
        return list(dict.fromkeys(layer for layer in layers if layer is not None))

    def _correct_reviewed(self) -> None:
        """The current polygon, to be corrected by clicks; Enter writes it back."""
        review = self.review
        shape, layer, current = review.geometry(), review.layer, review.current
        if shape is None or layer is None or current is None:
            return
        canvas = self.iface.mapCanvas()
        move = QgsCoordinateTransform(
            layer.crs(), canvas.mapSettings().destinationCrs(), QgsProject.instance()
        )
        moved = QgsGeometry(shape)
        moved.transform(move)
        if canvas.mapTool() is not self.tool:
            self._choose_tool(True)
        self.tool.correct(Place(layer.id(), current, moved, largest_part_number(moved)))

    def _cancel(self) -> None:
        if self.controller is not None:
            self.layer_rendering.cancel()
            self.controller.online.renderings.cancel()
            self.controller.session.cancel()

    # --- windows --------------------------------------------------------------------------------

    def _begin(self) -> None:
        """QGIS has started."""
        # Python looks through everything that it holds once a quarter of it is new: here some tens
        # of milliseconds, in which every window stands still, whichever thread is at it. After a
        # start all is new, and the next job would set it off.
        gc.collect()
        if environment.state() in (environment.ABSENT, environment.PARTIAL):
            self._offer()

    def _offer(self) -> None:
        """At each start until there is an engine; it stays until it is clicked or closed."""
        if self.controller is None:
            return
        self.controller.reporter.show(
            "info",
            tr("The engine has to be set up once; nothing is downloaded unasked."),
            actions=[(tr("Set up…"), self.offer_setup)],
            stays=True,
        )

    def offer_setup(self) -> None:
        """The window that says what a click downloads."""
        from .gui.setup_dialog import SetupDialog

        if self.controller is None or self.setup is None:
            return
        if self._setup_dialog is None:
            self._setup_dialog = SetupDialog(
                self.controller.client, self.setup, self.iface.mainWindow()
            )
        self._setup_dialog.show()
        self._setup_dialog.raise_()

    def _set_up_finished(self, well: bool, sentence: str) -> None:
        if self.controller is None:
            return
        self.controller.reporter.show("success" if well else "error", sentence)
        if well:
            self.controller.refresh_models()

    def open_settings(self) -> None:
        from .gui.options_page import PAGE

        self.iface.showOptionsDialog(self.iface.mainWindow(), PAGE)

    def open_about(self) -> None:
        from .gui.about_dialog import AboutDialog

        AboutDialog(self.iface.mainWindow()).exec()

    def open_models(self) -> None:
        from .gui.models_dialog import ModelsDialog

        if self.controller is not None:
            self._models_dialog = ModelsDialog(self.controller, self.iface.mainWindow())
            self._models_dialog.exec()
            self._models_dialog = None

    def open_automatic(self) -> None:
        from .gui.processing_dialogs import open_segment_raster

        if self.controller is not None:
            open_segment_raster(self.controller)

    def open_improve(self) -> None:
        from .gui.processing_dialogs import open_improve_model

        if self.controller is not None and self.dock is not None:
            open_improve_model(self.controller, self.dock.review.chosen())


def _polygon_type() -> Any:
    from qgis.core import QgsWkbTypes

    return QgsWkbTypes.GeometryType.PolygonGeometry
