# SPDX-License-Identifier: GPL-2.0-or-later
"""The plugin as QGIS sees it: load, dock, choice, target, refinement, unload."""

from __future__ import annotations

import gc
import os
import re
from pathlib import Path

import pytest
from osgeo import gdal
from qgis.core import (
    QgsApplication,
    QgsCoordinateReferenceSystem,
    QgsDataProvider,
    QgsFeature,
    QgsFillSymbol,
    QgsGeometry,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProject,
    QgsRasterLayer,
    QgsSingleSymbolRenderer,
    QgsVectorFileWriter,
    QgsVectorLayer,
)
from qgis.gui import QgsMapToolPan
from qgis.PyQt import sip
from qgis.PyQt.QtWidgets import QPushButton

from samgeo_plugin import settings
from samgeo_plugin.gui.review_panel import ReviewPanel
from samgeo_plugin.interactive import target
from samgeo_plugin.interactive.opening import CLOSED, READY
from samgeo_plugin.job import Prompt
from samgeo_plugin.setup import environment

UTM = QgsCoordinateReferenceSystem("EPSG:32645")


def click(plugin, x=300010.0, y=3000010.0):
    plugin.controller.session.add(Prompt("point", [[x, y]]))


def test_unload_gives_everything_back(loaded, wait):
    iface = loaded.iface
    registry = QgsApplication.processingRegistry()
    assert registry.providerById("samgeo") is not None
    assert iface.docks
    client = loaded.controller.client
    client.request("models", {"action": "list"})
    wait(lambda: client.state == "ready")
    pid = client.pid
    loaded._stop_processes()  # QGIS is about to quit; it may unload plugins after that
    loaded.unload()
    assert [iface.docks, iface.icons, iface.factories] == [[], [], []]
    assert registry.providerById("samgeo") is None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_the_first_use_of_the_tool_takes_the_active_raster(loaded, town, wait):
    loaded.iface.active = town
    loaded.tool_action.trigger()
    session = loaded.controller.session
    wait(lambda: session.state == READY)
    assert loaded.dock.source.raster.currentLayer() == town
    assert loaded.controller.choice.bands == (1, 2, 3)
    wait(lambda: loaded.controller.models)
    assert loaded.dock.source.model.count() == 2
    assert "375 MB" in loaded.dock.source.model.itemText(1)


def test_without_a_raster_a_click_says_so(loaded):
    loaded.tool_action.trigger()
    assert "raster layer" in loaded.iface.text()


def test_without_a_raster_a_click_is_no_prompt(loaded):
    session = loaded.controller.session
    loaded.tool_action.trigger()
    loaded.tool._add(Prompt("point", [[300005, 3000005]]))
    assert "raster layer" in loaded.iface.text()
    assert session.prompts == ()
    assert not session.accept()
    assert session.pending == 0


def test_a_raster_that_was_moved_is_one_sentence(loaded, town, tmp_path):
    (tmp_path / "town.tif").rename(tmp_path / "elsewhere.tif")
    loaded.iface.active = town
    loaded.tool_action.trigger()
    assert "moved or deleted" in loaded.iface.text()


def test_a_raster_that_something_else_chooses_is_shown_with_its_bands(loaded, town):
    panel = loaded.dock.source
    panel.raster.setLayer(None)
    loaded.controller.choose(raster=town.id(), bands=(3, 2, 1))
    assert panel.raster.currentLayer() is town
    assert [box.currentBand() for box in panel.bands] == [3, 2, 1]
    assert all(box.isEnabled() for box in panel.bands)


def test_a_raster_whose_source_is_changed_is_opened_with_the_bands_that_it_has(
    loaded, town, tmp_path, wait
):
    controller, whole = loaded.controller, town.source()
    single = str(tmp_path / "single.tif")
    gdal.Translate(single, whole, bandList=[1])
    loaded.iface.active = town
    loaded.tool_action.trigger()
    wait(lambda: controller.session.state == READY)
    for source, bands in ((single, (1,)), (whole, (1, 2, 3))):
        town.setDataSource(source, "town", "gdal", QgsDataProvider.ProviderOptions())
        assert loaded.iface.text() == ""
        assert controller.choice.bands == bands
        wait(lambda: controller.session.state == READY)
        assert controller.parameters().rasters == [source]


@pytest.mark.parametrize("in_hand", [True, False])
def test_other_bands_of_the_style_keep_the_object_in_work(loaded, town, wait, in_hand):
    session = loaded.controller.session
    loaded.iface.active = town
    loaded.tool_action.trigger()
    click(loaded)
    click(loaded, 300012)
    wait(lambda: session.current is not None)
    if not in_hand:
        loaded.iface.canvas.unsetMapTool(loaded.tool)
    renderer = town.renderer().clone()
    renderer.setRedBand(4)
    town.setRenderer(renderer)
    assert loaded.controller.choice.bands == (4, 2, 3)
    wait(lambda: session.current is not None)
    assert [prompt.coordinates[0][0] for prompt in session.prompts] == [300010, 300012]
    assert loaded.iface.text() == ""
    loaded.controller.choose(model="other")
    assert not session.prompts, "of another model it is another object"


def test_other_bands_keep_the_candidate_that_was_chosen(loaded, town, wait):
    session = loaded.controller.session
    loaded.iface.active = town
    loaded.tool_action.trigger()
    click(loaded)
    wait(lambda: session.current is not None)
    session.next_candidate(2)
    loaded.controller.choose(bands=(4, 2, 3))
    assert session.current is None
    wait(lambda: session.current is not None)
    assert session.index == 2


def test_a_tool_that_is_gone_is_not_taken_in_hand_again(loaded, town):
    gone = QgsMapToolPan(loaded.iface.canvas)
    loaded.iface.canvas.setMapTool(gone)
    loaded.iface.active = town
    loaded.tool_action.trigger()
    sip.delete(gone)  # its plugin was loaded again
    loaded.tool_action.trigger()
    loaded.iface.actionPan().trigger.assert_called_once()


def test_a_raster_that_is_removed_is_used_no_more_and_another_one_can_be_chosen(
    loaded, town, tmp_path, wait
):
    controller, panel = loaded.controller, loaded.dock.source
    other = QgsRasterLayer(town.source(), "other")
    QgsProject.instance().addMapLayer(other)
    panel.raster.setLayer(other)
    loaded.tool_action.trigger()
    click(loaded)
    wait(lambda: controller.session.current is not None)
    QgsProject.instance().removeMapLayer(other.id())
    assert panel.raster.currentLayer() is None
    assert controller.choice.raster is None
    assert controller.session.state == CLOSED
    assert not controller.session.prompts
    assert "The raster was removed" in loaded.iface.text()
    panel.raster.setLayer(town)
    assert controller.raster_layer() is town
    wait(lambda: controller.session.state == READY)


def test_a_model_to_download_is_not_taken_without_the_manager(loaded, town, wait):
    loaded.controller.refresh_models()
    wait(lambda: loaded.controller.models)
    asked = []
    loaded.dock.source.models_wanted.disconnect()
    loaded.dock.source.models_wanted.connect(lambda: asked.append(True))
    loaded.dock.source.model.setCurrentIndex(1)
    loaded.dock.source.model.activated.emit(1)
    assert asked
    assert loaded.controller.choice.model == "embedded"
    assert loaded.dock.source.model.currentIndex() == 0


def test_accepted_objects_go_into_a_new_layer_and_then_the_same(loaded, town, wait):
    loaded.iface.active = town
    loaded.tool_action.trigger()
    for count, x in ((1, 300005), (2, 300011)):
        click(loaded, x)
        loaded.controller.session.accept()
        wait(
            lambda count=count: (
                loaded.controller.target_layer() is not None
                and loaded.controller.target_layer().featureCount() == count
            )
        )
    layer = loaded.controller.target_layer()
    assert layer.crs() == UTM
    assert "town" in layer.name()
    assert loaded.dock.source.target.currentText() == layer.name()


def test_the_same_object_again_is_asked_about_and_not_added(loaded, town, wait):
    loaded.iface.active = town
    loaded.tool_action.trigger()
    for _ in range(2):
        click(loaded)
        loaded.controller.session.accept()
        wait(lambda: not loaded.controller.session.pending)
    wait(lambda: "has this object already" in loaded.iface.text())
    layer = loaded.controller.target_layer()
    (before,) = layer.getFeatures()
    replaced, _ = loaded.iface.buttons()
    replaced.click()
    assert layer.featureCount() == 1
    assert next(layer.getFeatures()).id() == before.id()
    click(loaded)
    loaded.controller.session.accept()
    wait(lambda: len(loaded.iface.buttons()) == 2)
    loaded.iface.buttons()[1].click()
    assert layer.featureCount() == 2


def test_a_new_outline_of_the_same_object_leaves_its_class(loaded, town, wait):
    loaded.iface.active = town
    loaded.tool_action.trigger()
    for name in ("tree", "roof"):
        loaded.controller.classes.add(name)
        loaded.controller.classes.choose(name)
        click(loaded)
        loaded.controller.session.accept()
        wait(lambda: not loaded.controller.session.pending)
    wait(lambda: len(loaded.iface.buttons()) == 2)
    loaded.iface.buttons()[0].click()
    assert [each["class"] for each in loaded.controller.target_layer().getFeatures()] == ["tree"]


def doubled(plugin, wait, x: float) -> None:
    """An object in the target layer, and once more: a question."""
    for _ in range(2):
        click(plugin, x)
        plugin.controller.session.accept()
        wait(lambda: not plugin.controller.session.pending)
    wait(lambda: "has this object already" in plugin.iface.text())


def test_a_question_stays_whatever_is_said_meanwhile(loaded, town, wait):
    loaded.iface.active = town
    loaded.tool_action.trigger()
    doubled(loaded, wait, 300005)
    doubled(loaded, wait, 300020)
    loaded.controller.reporter.show("info", "something else")
    loaded.controller.reporter.show("info", "and again")
    assert loaded.iface.text() == "and again"
    asked = [item for item in loaded.iface.bar.items() if "already" in item.text()]
    assert len(asked) == 2
    assert len(loaded.iface.bar.items()) == 3, "what asks nothing goes with the next sentence"
    layer = loaded.controller.target_layer()
    for item in asked:
        item.findChildren(QPushButton)[1].click()
    assert layer.featureCount() == 4
    layer.rollBack()


@pytest.mark.parametrize("end", ["unload", "project"])
def test_a_question_ends_with_the_plugin_and_with_the_project(loaded, town, wait, end):
    loaded.iface.active = town
    loaded.tool_action.trigger()
    doubled(loaded, wait, 300005)
    loaded.controller.target_layer().rollBack()
    if end == "unload":
        loaded.unload()
    else:
        QgsProject.instance().clear()
    assert loaded.iface.bar.items() == []


def test_what_is_still_to_come_when_the_project_is_closed_goes_into_no_other_one(
    loaded, town, wait
):
    loaded.words["text"] = "slow=0.3"
    loaded.controller.set_target(None, temporary=True)
    loaded.iface.active = town
    loaded.tool_action.trigger()
    session = loaded.controller.session
    wait(lambda: session.state == READY)
    answered: list = []
    click(loaded)
    session.accept()
    assert session.pending == 1
    QgsProject.instance().clear()
    assert session.pending == 0
    assert "1 accepted objects could not be made" in loaded.iface.text()
    loaded.controller.client.request("models", {"action": "list"}, answered.append)
    wait(lambda: answered)
    assert not QgsProject.instance().mapLayers()


def test_an_object_goes_into_the_layer_that_was_chosen_when_it_was_accepted(loaded, town, wait):
    loaded.words["text"] = "slow=0.05"
    controller = loaded.controller
    then, now = (target.new_scratch_layer(name, UTM) for name in ("then", "now"))
    QgsProject.instance().addMapLayers([then, now])
    loaded.iface.active = town
    loaded.tool_action.trigger()
    wait(lambda: controller.session.state == READY)
    for x, stays in ((300005, True), (300020, False)):
        controller.set_target(then)
        click(loaded, x)
        controller.session.accept()
        controller.set_target(now)
        if not stays:
            QgsProject.instance().removeMapLayer(then.id())
        wait(lambda: not controller.session.pending)
        if stays:
            assert (then.featureCount(), now.featureCount()) == (1, 0)
    assert now.featureCount() == 1, "its own layer is gone"
    now.rollBack()


def test_an_object_that_is_still_to_come_has_the_new_name_of_its_class(loaded, town, wait):
    loaded.words["text"] = "slow=0.1"
    controller = loaded.controller
    controller.set_target(None, temporary=True)
    controller.classes.add("shed")
    loaded.iface.active = town
    loaded.tool_action.trigger()
    click(loaded)
    controller.session.accept()
    assert controller.classes.rename("shed", "hut")
    wait(lambda: not controller.session.pending)
    layer = controller.target_layer()
    assert [each["class"] for each in layer.getFeatures()] == ["hut"]
    layer.rollBack()


def test_an_object_that_a_filter_hides_is_asked_about_and_can_only_be_added(
    loaded, town, wait, tmp_path
):
    layer = target.new_geopackage_layer(str(tmp_path / "roofs.gpkg"), "roofs", UTM)
    QgsProject.instance().addMapLayer(layer)
    loaded.controller.set_target(layer)
    loaded.iface.active = town
    loaded.tool_action.trigger()
    for said in ("", "hidden by its filter"):
        click(loaded)
        loaded.controller.session.accept()
        wait(lambda: not loaded.controller.session.pending)
        wait(lambda said=said: said in loaded.iface.text() and layer.isModified() is not bool(said))
        if not said:
            assert layer.commitChanges()
            layer.setSubsetString("score > 2")
    (again,) = loaded.iface.buttons()
    again.click()
    assert layer.featureCount() == 1, "the new one is not saved yet"
    layer.rollBack()


def test_a_layer_that_refuses_leaves_the_object_to_be_saved_elsewhere(loaded, town, wait):
    layer = target.new_scratch_layer("mine", UTM)
    QgsProject.instance().addMapLayer(layer)
    assert loaded.controller.set_target(layer)
    layer.setReadOnly(True)
    loaded.iface.active = town
    loaded.tool_action.trigger()
    click(loaded)
    loaded.controller.session.accept()
    wait(lambda: "read-only" in loaded.iface.text())
    loaded.iface.bar.currentItem().findChild(QPushButton).click()
    assert loaded.controller.target_layer() is not layer
    assert loaded.controller.target_layer().featureCount() == 1


def test_a_new_layer_is_the_target_until_another_is_chosen(loaded):
    box = loaded.dock.source.target
    assert box.currentText() == "New layer, saved by itself"
    layer = target.new_scratch_layer("roofs", UTM)
    QgsProject.instance().addMapLayer(layer)
    assert box.currentText() == "New layer, saved by itself", (
        "a layer that is there is only offered"
    )
    assert loaded.controller.set_target(layer)
    assert box.currentText() == "roofs"


def test_the_list_of_targets_follows_its_layers(loaded):
    layer = QgsVectorLayer("Polygon?crs=EPSG:32645", "before", "memory")
    other = QgsVectorLayer("Polygon", "other", "memory")
    other.setCrs(QgsCoordinateReferenceSystem())
    QgsProject.instance().addMapLayers([layer, other])
    box = loaded.dock.source.target
    assert loaded.controller.set_target(layer)
    layer.setName("after")
    assert box.currentText() == "after"
    assert box.findText("other") < 0
    other.setCrs(UTM)
    assert box.findText("other") >= 0
    other.setReadOnly(True)
    assert box.findText("other") < 0
    layer.setReadOnly(True)
    assert box.currentText() == "after", "objects still go there: a sentence says why they cannot"


def test_a_line_layer_is_not_offered_and_refused(loaded):
    lines = QgsVectorLayer("LineString?crs=EPSG:32645", "lines", "memory")
    QgsProject.instance().addMapLayer(lines)
    assert loaded.dock.source.target.findText("lines") < 0
    assert not loaded.controller.set_target(lines)
    assert "no polygons" in loaded.iface.text()


def test_refinement_changes_accepted_objects_and_back(loaded, town, wait):
    loaded.iface.active = town
    loaded.tool_action.trigger()
    click(loaded)
    loaded.controller.session.accept()
    wait(lambda: loaded.controller.target_layer() is not None)
    layer = loaded.controller.target_layer()

    def vertices() -> int:
        return sum(f.geometry().constGet().nCoordinates() for f in layer.getFeatures())

    wait(lambda: 4 < vertices() <= 17)
    panel = loaded.dock.refinement
    panel.accepted_too.setChecked(True)
    panel.max_vertices.setValue(0)
    wait(lambda: vertices() == 33)
    panel.simplify.setValue(0.5)
    wait(lambda: vertices() == 9)
    panel.simplify.setValue(0.0)
    wait(lambda: vertices() == 33)


def test_what_was_accepted_is_none_of_a_project_that_is_opened_again(loaded, town, wait, tmp_path):
    layer = target.new_geopackage_layer(str(tmp_path / "target.gpkg"), "target", UTM)
    project = QgsProject.instance()
    project.addMapLayer(layer)
    project.write(str(tmp_path / "town.qgz"))
    kept = loaded.controller.accepted_objects
    for x in (300005, 300020):
        layer = project.mapLayersByName("target")[0]
        loaded.controller.choose(raster=project.mapLayersByName("town")[0].id())
        loaded.controller.set_target(layer)
        loaded.tool_action.trigger()
        click(loaded, x)
        loaded.controller.session.accept()
        wait(lambda: kept.kept)
        if x == 300005:
            layer.rollBack()
            project.read(str(tmp_path / "town.qgz"))
    assert len(kept.kept) == 1
    layer.commitChanges(False)
    assert kept.kept == [], "what a layer has saved stays as it is"
    layer.rollBack()


def test_no_action_is_left_after_unloading(loaded, wait):
    from qgis.PyQt.QtWidgets import QAction

    window = loaded.iface.window

    def ours() -> list:
        names = ("Segment", "Settings…", "Help and about…", "SamGeo Seamless panel")
        found = [*window.findChildren(QAction), *window.actions()]
        return [a for a in found if a.text() in names or a.shortcuts()]

    assert ours()
    loaded.unload()
    wait(lambda: not ours())


def test_a_raster_that_is_replaced_on_disk_is_opened_anew(loaded, town, wait):
    loaded.iface.active = town
    loaded.tool_action.trigger()
    session = loaded.controller.session
    wait(lambda: session.state == READY)
    before = session.info["session"]
    assert loaded.controller.open()
    assert session.state == READY, "the same file stays open"
    path = Path(town.source())
    path.write_bytes(path.read_bytes() + b" ")
    assert loaded.controller.open()
    wait(lambda: session.state == READY)
    assert session.info["session"] != before


def test_limits_that_the_user_typed_are_the_engines_stretch(loaded, town):
    from qgis.core import QgsRasterMinMaxOrigin

    controller = loaded.controller
    loaded.dock.source.raster.setLayer(town)
    assert controller.parameters().stretch is None
    renderer = town.renderer()
    for enhancement in (
        renderer.redContrastEnhancement(),
        renderer.greenContrastEnhancement(),
        renderer.blueContrastEnhancement(),
    ):
        kind = enhancement.ContrastEnhancementAlgorithm.StretchToMinimumMaximum
        enhancement.setContrastEnhancementAlgorithm(kind)
        enhancement.setMinimumValue(10)
        enhancement.setMaximumValue(90)
    origin = QgsRasterMinMaxOrigin()
    origin.setLimits(QgsRasterMinMaxOrigin.Limits.MinMax)
    renderer.setMinMaxOrigin(origin)
    assert controller.parameters().stretch is None, "QGIS has found these"
    origin.setLimits(QgsRasterMinMaxOrigin.limitsFromString("None"))
    renderer.setMinMaxOrigin(origin)
    assert controller.parameters().stretch == [[10.0, 90.0]] * 3
    assert loaded.dock.source.bands[0].currentBand() == 1
    renderer.setRedBand(3)
    renderer.setBlueBand(1)
    town.rendererChanged.emit()
    assert controller.choice.bands == (3, 2, 1), "bands follow the styling"


def test_refinement_is_kept_between_sessions(loaded):
    from samgeo_plugin.gui.refinement_panel import RefinementPanel

    panel = loaded.dock.refinement
    assert panel.refinement().largest_part
    assert panel.refinement().max_vertices == 16
    panel.max_vertices.setValue(30)
    panel.min_hole.setValue(4.0)
    panel.largest_part.setChecked(False)
    panel._apply()
    again = RefinementPanel(loaded.controller)
    assert again.refinement() == panel.refinement() == loaded.controller.session.refinement


def test_the_offer_comes_at_each_start_and_stays_until_it_is_closed(loaded, monkeypatch):
    monkeypatch.setattr(environment, "state", lambda: environment.ABSENT)
    for _ in range(2):
        loaded._begin()
        item = loaded.iface.bar.currentItem()
        assert "set up once" in item.text()
        assert item.duration() == 0
        loaded.iface.bar.popWidget(item)


def test_the_dock_shows_the_engines_crash_as_a_message(loaded, town, wait):
    loaded.words["text"] = "crash=prompt"
    loaded.iface.active = town
    loaded.tool_action.trigger()
    click(loaded)
    wait(lambda: "ended" in loaded.iface.text())
    assert settings.LAST_ERROR.get() == "" or "ended" in settings.LAST_ERROR.get()


def test_without_an_environment_the_offer_is_made_and_no_error(loaded, town, wait, monkeypatch):
    from samgeo_plugin.engine.client import NoEngine

    def none():
        raise NoEngine("The engine is not set up yet; set it up in the settings.")

    loaded.controller.client._command = none
    monkeypatch.setattr(environment, "state", lambda: environment.ABSENT)
    wanted = []
    loaded.controller.setup_wanted.disconnect()
    loaded.controller.setup_wanted.connect(lambda: wanted.append(True))
    loaded.iface.active = town
    loaded.tool_action.trigger()
    wait(lambda: "not set up" in loaded.iface.text())
    from qgis.core import Qgis

    assert loaded.iface.bar.currentItem().level() == Qgis.MessageLevel.Info
    loaded.iface.bar.currentItem().findChild(QPushButton).click()
    assert wanted


def test_python_is_tidied_up_once_qgis_has_started_and_not_in_the_next_job(loaded):
    collections: list[int] = []

    def watch(phase, info):
        if phase == "stop":
            collections.append(info["generation"])

    gc.callbacks.append(watch)
    try:
        for (begin,), _ in loaded.iface.initializationCompleted.connect.call_args_list:
            begin()
    finally:
        gc.callbacks.remove(watch)
    assert 2 in collections


def test_a_layer_that_is_no_file_is_rendered_and_used(loaded, town, wait, monkeypatch):
    from samgeo_plugin import rasters, rendering

    monkeypatch.setattr(rasters, "file_of", lambda layer: None)
    loaded.iface.active = town
    loaded.tool_action.trigger()
    assert not loaded.dock.source.render.isHidden(), "another extent can still be chosen"
    plan = rendering.plan_rendering(town.extent(), UTM, 0.5)
    loaded.layer_rendering.start(town, plan)
    wait(lambda: loaded.controller.choice.rendered)
    session = loaded.controller.session
    wait(lambda: session.state == READY)
    assert loaded.controller.parameters().rasters == [loaded.controller.choice.rendered]
    assert loaded.controller.parameters().bands is None


def test_a_rendering_that_comes_after_another_choice_is_deleted(loaded, town, wait):
    from samgeo_plugin import rendering

    loaded.controller.choose(raster=town.id())
    ended, paths = [], []
    loaded.layer_rendering.ended.connect(lambda: ended.append(1))
    loaded.layer_rendering.start(town, rendering.plan_rendering(town.extent(), UTM, 0.5))
    loaded.layer_rendering._renderer.finished.connect(paths.append)
    loaded.controller.choose(raster=None)
    wait(lambda: ended and paths)
    assert not Path(paths[0]).parent.exists()


def test_score_and_size_filter_a_result_without_running_again(loaded, tmp_path):
    source = target.new_scratch_layer("result", UTM)
    source.startEditing()
    for k in range(10):
        feature = QgsFeature(source.fields())
        feature.setGeometry(QgsGeometry.fromWkt(f"MULTIPOLYGON((({k} 0,{k} 1,{k + 1} 1,{k} 0)))"))
        feature["score"] = 0.5 + k * 0.05
        feature["area_m2"] = 10.0 * k
        source.addFeature(feature)
    source.commitChanges()
    path = str(tmp_path / "result.gpkg")
    options = QgsVectorFileWriter.SaveVectorOptions()
    context = QgsProject.instance().transformContext()
    QgsVectorFileWriter.writeAsVectorFormatV3(source, path, context, options)
    layer = QgsVectorLayer(path, "result", "ogr")
    QgsProject.instance().addMapLayer(layer)
    panel: ReviewPanel = loaded.dock.review
    panel.layer.setLayer(layer)
    panel.score.setValue(70)
    panel.apply()
    assert layer.featureCount() == 6
    panel.area.setValue(60)
    panel.apply()
    assert layer.featureCount() == sum(
        0.5 + k * 0.05 >= 0.7 and 10.0 * k >= panel.least_area() for k in range(10)
    )
    panel.reset.click()
    assert layer.featureCount() == 10
    layer.startEditing()
    panel.score.setValue(70)
    panel.apply()
    assert "being edited" in loaded.iface.text()
    layer.rollBack()


def test_the_dock_offers_the_styles_of_a_result(loaded):
    panel: ReviewPanel = loaded.dock.review
    assert not panel.style.isEnabled(), "no layer is chosen"
    layer = target.new_scratch_layer("result", UTM)
    QgsProject.instance().addMapLayer(layer)
    panel.layer.setLayer(layer)
    titles = [panel.style.itemText(index) for index in range(panel.style.count())]
    assert titles == [
        "Outline for review",
        "A colour for each object",
        "By score",
        "By label",
        "By the project's classes",
    ]
    assert panel.style.currentData() == "review"
    panel.style.setCurrentIndex(2)
    panel.style.activated.emit(2)
    assert layer.renderer().type() == "graduatedSymbol"
    assert panel.style.currentData() == "score"
    layer.setRenderer(QgsSingleSymbolRenderer(QgsFillSymbol.createSimple({"color": "red"})))
    assert panel.style.currentIndex() == -1, "changed in QGIS's own window"
    QgsProject.instance().removeMapLayer(layer)
    assert not panel.style.isEnabled()


def test_the_review_opens_training_with_its_layer_and_raster(loaded, town, monkeypatch):
    from qgis import processing

    asked = {}
    # The function is there once the Processing plugin has started.
    monkeypatch.setattr(
        processing,
        "execAlgorithmDialog",
        lambda name, given: asked.update(given, name=name),
        raising=False,
    )
    layer = QgsVectorLayer("Polygon?crs=EPSG:32645&field=status:string", "objects", "memory")
    QgsProject.instance().addMapLayer(layer)
    loaded.iface.active = town
    loaded.tool_action.trigger()
    loaded.dock.review.layer.setLayer(layer)
    loaded.dock.review.improve.click()
    assert asked["name"] == "samgeo:improvemodel"
    assert asked["INPUT"] == town.id()
    assert (asked["LABELS"], asked["STATUS_FIELD"]) == (layer.id(), "status")


def test_a_trained_model_becomes_the_panels_once_no_object_is_in_work(loaded, town, wait):
    before = settings.MODEL.get(), settings.MODELS.get()
    try:
        algorithm = QgsApplication.processingRegistry().createAlgorithmById("samgeo:improvemodel")
        algorithm._use = "my-houses"
        algorithm.postProcessAlgorithm(QgsProcessingContext(), QgsProcessingFeedback())
        assert loaded.controller.choice.model == "my-houses"
        model = loaded.dock.source.model
        assert model.itemData(model.currentIndex()) == "my-houses"
        algorithm._use = "my-barns"
        session = loaded.controller.session
        loaded.iface.active = town
        loaded.tool_action.trigger()
        wait(lambda: session.state == READY)
        session.add(Prompt("point", [[300010.0, 3000010.0]]))
        wait(lambda: session.candidates)
        algorithm.postProcessAlgorithm(QgsProcessingContext(), QgsProcessingFeedback())
        assert session.prompts, "the object in work stays"
        assert loaded.controller.choice.model == "my-houses"
        session.clear()
        wait(lambda: loaded.controller.choice.model == "my-barns")
        wait(lambda: session.state == READY)
        opened = []
        session.opened.connect(lambda: opened.append(True))
        algorithm._use = "my-barns"
        algorithm.postProcessAlgorithm(QgsProcessingContext(), QgsProcessingFeedback())
        wait(lambda: opened)
        assert loaded.controller.choice.model == "my-barns", "trained again under its name"
        wait(lambda: session.state == READY)
        session.add(Prompt("point", [[300010.0, 3000010.0]]))
        wait(lambda: session.candidates)
        loaded.trained_model.use("my-roads")
        loaded.controller.choose(model="my-trees")
        assert loaded.controller.choice.model == "my-trees", "chosen since: it stays"
        wait(lambda: session.state == READY)
        assert loaded.controller.choice.model == "my-trees"
    finally:
        settings.MODEL.set(before[0])
        settings.MODELS.set(before[1])


def test_a_selected_polygon_becomes_a_prompt_in_the_maps_crs(loaded, town, wait):
    layer = QgsVectorLayer("Polygon?crs=EPSG:4326", "outlines", "memory")
    square = QgsGeometry.fromWkt("POLYGON((84.98 27.1, 84.981 27.1, 84.981 27.101, 84.98 27.1))")
    feature = QgsFeature()
    feature.setGeometry(square)
    layer.dataProvider().addFeatures([feature])
    QgsProject.instance().addMapLayer(layer)
    loaded.iface.canvas.setMapTool(QgsMapToolPan(loaded.iface.canvas))
    loaded.iface.active = layer
    loaded.dock.object.polygon.click()
    assert "Select one polygon" in loaded.iface.text()
    layer.selectAll()
    loaded.dock.source.choose_raster(town)
    loaded.dock.object.polygon.click()
    prompts = loaded.controller.session.prompts
    assert prompts[0].type == "polygon"
    x, y = prompts[0].coordinates[0]
    assert 290000 < x < 310000
    assert 2990000 < y < 3010000


def test_every_picture_of_the_help_is_there():
    from samgeo_plugin.processing.base import HELP

    names = re.findall(r'src="([^"]+)"', HELP.read_text(encoding="utf-8"))
    assert len(names) >= 3
    assert [name for name in names if not (HELP.parent / name).is_file()] == []
