# SPDX-License-Identifier: GPL-2.0-or-later
"""Automatic runs from the dock: everything or a class, into the target layer, stopped, repeated."""

from __future__ import annotations

from dataclasses import replace

import pytest
from conftest import small_raster
from osgeo import gdal
from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsDefaultValue,
    QgsFieldConstraints,
    QgsGeometry,
    QgsPointXY,
    QgsProject,
    QgsRasterLayer,
)
from qgis.PyQt.QtTest import QTest

from samgeo_plugin.interactive import runs, target
from samgeo_plugin.interactive.find_like import FINDING
from samgeo_plugin.interactive.search_kinds import EVERYTHING

CRS = QgsCoordinateReferenceSystem("EPSG:32645")


@pytest.fixture
def panel(loaded, town, wait):
    """The panel, told to find everything in the whole raster and to put it into the target."""
    for entry in ("classes", "runs"):
        QgsProject.instance().removeEntry("samgeo_seamless", entry)
    loaded.controller.classes._read()
    loaded.automatic.runs._read()
    loaded.controller.choose(raster=town.id())
    loaded.controller.new_target()
    panel = loaded.dock.find
    panel.what.setCurrentIndex(panel.what.findData(EVERYTHING))
    panel.where.setCurrentIndex(panel.where.findData("raster"))
    panel.into.setChecked(True)
    yield panel
    layer = loaded.controller.target_layer()
    if layer is not None and layer.isEditable():
        layer.rollBack()


def ids(plugin) -> set:
    return {f["id"] for f in plugin.controller.target_layer().getFeatures()}


def finished(plugin, wait) -> None:
    def ended() -> bool:
        items = plugin.automatic.runs.items
        return bool(items) and items[-1].state != runs.RUNNING and not plugin.automatic.takes

    wait(ended)
    wait(lambda: not plugin.find.candidates._steps.busy)


def test_everything_goes_into_the_target_layer_as_one_step(loaded, panel, wait):
    panel.start.click()
    finished(loaded, wait)
    layer = loaded.controller.target_layer()
    # Scores fall from .9 by .05; the slider is at .5, and o3 has become a part of o4.
    assert ids(loaded) == {f"o{k}" for k in range(9) if k != 3}
    assert {str(f["prompt_type"]) for f in layer.getFeatures()} == {"automatic"}
    tree = QgsProject.instance().layerTreeRoot()
    assert not tree.findLayer(loaded.find.candidates.layer.id()).isVisible()
    layer.undoStack().undo()
    assert layer.featureCount() == 0
    (run,) = loaded.automatic.runs.items
    assert (run.state, run.done, run.tiles, run.shown, run.taken) == (runs.DONE, 3, 3, 8, 8)


def test_what_is_taken_is_said_of_its_layer_where_another_target_is_chosen(loaded, panel, wait):
    controller, into = loaded.controller, loaded.controller.target_layer()
    panel.into.setChecked(False)
    panel.start.click()
    finished(loaded, wait)
    loaded.automatic.take()
    now = target.new_scratch_layer("now", CRS)
    QgsProject.instance().addMapLayer(now)
    controller.set_target(now)
    finished(loaded, wait)
    assert into.featureCount() == 8
    assert f"8 objects are in {into.name()}" in loaded.iface.text()
    assert loaded.automatic.runs.items[-1].target == into.id()
    into.rollBack()


def test_live_results_are_shown_before_the_last_tile(loaded, panel, wait):
    loaded.words["text"] = "tile=0.2"
    panel.into.setChecked(False)
    panel.start.click()
    wait(lambda: loaded.find.state == FINDING and loaded.find.found)
    wait(lambda: loaded.find.candidates.layer.featureCount() == 4)
    finished(loaded, wait)
    assert loaded.find.candidates.layer.featureCount() == 8
    assert ids(loaded) == set(), "it was not asked to go into the target layer"


def test_the_slider_is_the_least_score(loaded, panel, wait):
    panel.into.setChecked(False)
    panel.start.click()
    finished(loaded, wait)
    panel.least.setValue(80)
    wait(lambda: set(loaded.find.kept) == {"o0", "o1", "o2"})
    panel.take.click()
    wait(lambda: ids(loaded) == {"o0", "o1", "o2"})


def test_a_class_of_the_model_is_asked_for_and_written(loaded, panel, wait):
    panel.what.setCurrentIndex(panel.what.findData("building"))
    panel.start.click()
    finished(loaded, wait)
    layer = loaded.controller.target_layer()
    assert {f["class"] for f in layer.getFeatures()} == {"building"}
    assert loaded.controller.classes.names == ["building"]
    assert loaded.controller.classes.current == "", "the class of the next click stays"


def test_a_class_of_the_model_is_shown_from_the_score_that_a_job_writes_it_from(
    loaded, panel, wait
):
    panel.into.setChecked(False)
    panel.what.setCurrentIndex(panel.what.findData("building"))
    panel.start.click()
    finished(loaded, wait)
    assert panel.least.value() == 40
    assert set(loaded.find.kept) == {f"o{k}" for k in range(11) if k != 3}
    panel.least.setValue(80)
    wait(lambda: set(loaded.find.kept) == {"o0", "o1", "o2"})
    panel.start.click()
    wait(lambda: len(loaded.automatic.runs.items) == 2)
    finished(loaded, wait)
    assert panel.least.value() == 80, "what was chosen stays"
    panel.what.setCurrentIndex(panel.what.findData(EVERYTHING))
    panel.start.click()
    wait(lambda: len(loaded.automatic.runs.items) == 3)
    finished(loaded, wait)
    assert panel.least.value() == 50, "other searches have their own"
    assert [run.least for run in loaded.automatic.runs.items] == [0.4, 0.8, 0.5]


def test_a_least_score_that_is_chosen_before_the_search_is_that_of_the_class(loaded, panel, wait):
    panel.into.setChecked(False)
    panel.what.setCurrentIndex(panel.what.findData("building"))
    panel.least.setValue(70)
    assert loaded.find.leasts.of("building") == 0.7
    assert loaded.find.leasts.of(EVERYTHING) == 0.5
    panel.start.click()
    finished(loaded, wait)
    assert panel.least.value() == 70
    assert set(loaded.find.kept) == {"o0", "o1", "o2", "o4"}


def test_after_another_raster_was_chosen_the_slider_is_that_of_the_next_search(
    loaded, panel, wait, tmp_path
):
    find = loaded.find
    panel.into.setChecked(False)
    panel.what.setCurrentIndex(panel.what.findData("building"))
    panel.start.click()
    finished(loaded, wait)
    panel.least.setValue(60)
    small_raster(tmp_path / "other.tif", 4)
    other = QgsRasterLayer(str(tmp_path / "other.tif"), "other")
    QgsProject.instance().addMapLayer(other)
    loaded.controller.choose(raster=other.id())
    assert find.found
    assert not find.there
    assert find.leasts.of("building") is None, "what was chosen was of the other raster"
    panel.what.setCurrentIndex(panel.what.findData(EVERYTHING))
    assert panel.least.value() == 50
    panel.least.setValue(80)
    panel.start.click()
    wait(lambda: len(loaded.automatic.runs.items) == 2)
    finished(loaded, wait)
    assert loaded.automatic.runs.items[-1].least == 0.8
    assert set(find.kept) == {"o0", "o1", "o2"}


def test_the_slider_is_of_what_is_shown_and_says_so_where_another_kind_is_chosen(
    loaded, panel, wait
):
    panel.into.setChecked(False)
    panel.what.setCurrentIndex(panel.what.findData("building"))
    panel.start.click()
    finished(loaded, wait)
    assert panel.counts.text().startswith("10 shown of ")
    panel.what.setCurrentIndex(panel.what.findData(EVERYTHING))
    assert panel.counts.text().startswith("Buildings: 10 shown of ")
    panel.least.setValue(80)
    wait(lambda: set(loaded.find.kept) == {"o0", "o1", "o2"})
    assert loaded.find.leasts.of(EVERYTHING) == 0.5


def test_the_engines_own_least_score_is_asked_anew_of_each_search(loaded, panel, wait, monkeypatch):
    find, begun, told = loaded.find, loaded.find._begun, [0.0]
    monkeypatch.setattr(find, "_begun", lambda result: begun({**result, "min_score": told[0]}))
    panel.into.setChecked(False)
    panel.what.setCurrentIndex(panel.what.findData("building"))
    assert panel.least_text.text() == "–"
    panel.start.click()
    finished(loaded, wait)
    assert (find.leasts.shown, panel.least_text.text()) == (0.0, "0.00")
    told[0] = 0.7
    loaded.controller.choose(model="sam-vit-b")
    panel.start.click()
    wait(lambda: len(loaded.automatic.runs.items) == 2)
    finished(loaded, wait)
    assert set(find.kept) == {"o0", "o1", "o2", "o4"}
    assert [run.least for run in loaded.automatic.runs.items] == [0.0, 0.7]


def test_the_slider_goes_back_to_no_least_score(loaded, panel, wait):
    panel.into.setChecked(False)
    panel.start.click()
    finished(loaded, wait)
    panel.least.setValue(80)
    panel.least.setValue(0)
    assert loaded.find.leasts.shown == 0.0
    wait(lambda: len(loaded.find.kept) == 11)


@pytest.fixture
def stopped(loaded, panel, wait):
    """A run that was stopped after its first tile; what it has is in the target layer."""
    loaded.words["text"] = "tile=0.5"
    panel.start.click()
    wait(lambda: loaded.find.done == 1 and loaded.find.state == FINDING)
    panel.start.click()
    finished(loaded, wait)


def test_what_a_stopped_run_has_is_kept_and_it_goes_on(loaded, panel, stopped, wait):
    assert ids(loaded) == {"o0", "o1", "o2", "o3"}
    (run,) = loaded.automatic.runs.items
    assert (run.state, run.done, run.taken) == (runs.STOPPED, 1, 4)
    panel.show_runs()
    dialog = panel._runs_dialog
    assert dialog.go_on.isEnabled()
    dialog.go_on.click()
    finished(loaded, wait)
    (run,) = loaded.automatic.runs.items
    assert (run.state, run.done, run.taken) == (runs.DONE, 3, 8)
    assert ids(loaded) == {f"o{k}" for k in range(9) if k != 3}, "o3 is a part of o4 now"
    assert not dialog.go_on.isEnabled()
    assert "already" not in loaded.iface.text(), "the run's own objects are not counted as left out"


def test_the_state_of_a_run_is_seen_beside_long_names(loaded, panel, wait):
    panel.into.setChecked(False)
    loaded.controller.raster_layer().setName("Orthophoto " * 15)
    panel.start.click()
    finished(loaded, wait)
    panel.show_runs()
    table = panel._runs_dialog.table
    texts = {table.horizontalHeaderItem(k).text(): k for k in range(table.columnCount())}
    at = texts["State"]
    assert table.item(0, at).text() == "done"
    assert table.columnViewportPosition(at) + table.columnWidth(at) <= table.viewport().width()


@pytest.mark.parametrize(("field", "count"), [("id", 4), ("nr", 5)])
def test_what_the_user_has_deleted_stays_deleted_where_a_run_goes_on(
    loaded, panel, stopped, wait, field, count
):
    layer = loaded.controller.target_layer()
    if field != "id":  # objects are known by their shapes; o3 stays beside o4 that it is a part of
        layer.renameAttribute(layer.fields().lookupField("id"), field)
    layer.deleteFeatures([f.id() for f in layer.getFeatures() if f[field] in ("o0", "o1")])
    loaded.automatic.go_on(loaded.automatic.runs.items[0].number)
    finished(loaded, wait)
    assert f"{count} objects are in" in loaded.iface.text()
    assert "already" not in loaded.iface.text()
    assert loaded.automatic.runs.items[0].state == runs.DONE
    assert layer.featureCount() == 2 + count
    loaded.automatic.take()  # by hand they come again
    finished(loaded, wait)
    assert layer.featureCount() == 4 + count


def test_what_was_undone_is_taken_with_the_rest_where_a_run_goes_on(loaded, panel, stopped, wait):
    layer = loaded.controller.target_layer()
    layer.deleteFeatures([f.id() for f in layer.getFeatures() if f["id"] != "o1"])
    loaded.automatic.repeat(loaded.automatic.runs.items[0].number)  # o1 is there already
    wait(lambda: loaded.find.done == 1 and loaded.find.state == FINDING)
    loaded.automatic.stop()
    finished(loaded, wait)
    assert ids(loaded) == {"o0", "o1", "o2", "o3"}
    layer.undoStack().undo()
    assert ids(loaded) == {"o1"}
    loaded.automatic.go_on(loaded.automatic.runs.items[1].number)
    finished(loaded, wait)
    assert ids(loaded) == {f"o{k}" for k in range(9) if k != 3}


def test_objects_that_the_layer_refuses_are_named_and_stay_on_the_map(loaded, panel, wait):
    layer = target.new_scratch_layer("strict", CRS)
    strict = QgsFieldConstraints.ConstraintStrength.ConstraintStrengthHard
    label = layer.fields().lookupField("label")
    layer.setFieldConstraint(label, QgsFieldConstraints.Constraint.ConstraintNotNull, strict)
    QgsProject.instance().addMapLayer(layer)
    loaded.controller.set_target(layer)
    panel.start.click()
    finished(loaded, wait)
    text = loaded.iface.text()
    assert "Nothing was added to strict. 8 do not fit: label: " in text
    assert "already" not in text
    shown = QgsProject.instance().layerTreeRoot().findLayer(loaded.find.candidates.layer.id())
    assert shown.isVisible()
    layer.setDefaultValueDefinition(label, QgsDefaultValue("'roof'"))
    loaded.automatic._take_found()
    finished(loaded, wait)
    assert layer.featureCount() == 8
    assert not shown.isVisible()


def test_what_a_filter_hides_is_there_already(loaded, panel, wait, tmp_path):
    layer = target.new_geopackage_layer(str(tmp_path / "roofs.gpkg"), "roofs", CRS)
    QgsProject.instance().addMapLayer(layer)
    loaded.controller.set_target(layer)
    panel.start.click()
    finished(loaded, wait)
    assert layer.commitChanges()
    layer.setSubsetString("score >= 0.75")
    assert layer.featureCount() == 3
    layer.startEditing()
    gone = next(f for f in layer.getFeatures() if f["id"] == "o0")
    layer.deleteFeature(gone.id())
    loaded.automatic.repeat(1)
    finished(loaded, wait)
    assert ids(loaded) == {"o0", "o1", "o2"}
    assert "1 objects are in" in loaded.iface.text()
    assert "7 were there already" in loaded.iface.text()
    hidden = next(each for each in loaded.find.found.values() if each.id == "o5")
    assert target.same_object(layer, hidden.geometry, CRS) is None
    assert target.hides_object(layer, hidden.geometry, CRS)
    assert not target.hides_object(layer, gone.geometry(), CRS), "deleted, not hidden"


def test_a_larger_object_is_taken_again_in_place_of_its_part_after_an_undo(
    loaded, panel, stopped, wait
):
    panel.show_runs()
    panel._runs_dialog.go_on.click()
    finished(loaded, wait)
    loaded.controller.target_layer().undoStack().undo()
    assert ids(loaded) == {"o0", "o1", "o2", "o3"}
    for _ in range(2):
        loaded.automatic.take()
        finished(loaded, wait)
        assert ids(loaded) == {f"o{k}" for k in range(9) if k != 3}


def test_a_run_is_repeated_and_what_is_there_is_left_out(loaded, panel, wait):
    panel.start.click()
    finished(loaded, wait)
    panel.show_runs()
    panel._runs_dialog.repeat.click()
    wait(lambda: len(loaded.automatic.runs.items) == 2)
    finished(loaded, wait)
    one, two = loaded.automatic.runs.items
    assert (one.what, one.where, one.area, one.raster) == (
        two.what,
        two.where,
        two.area,
        two.raster,
    )
    assert (two.shown, two.taken) == (8, 0)
    assert "8 were there already" in loaded.iface.text()
    assert loaded.controller.target_layer().featureCount() == 8
    panel._runs_dialog.forget.click()
    assert loaded.automatic.runs.items == (one,)


def test_the_panel_takes_a_runs_settings(loaded, panel, wait):
    panel.least.setValue(80)
    panel.start.click()
    finished(loaded, wait)
    panel.what.setCurrentIndex(0)
    panel.where.setCurrentIndex(0)
    panel.least.setValue(30)
    panel.show_runs()
    panel._runs_dialog.use.click()
    assert panel.what.currentData() == EVERYTHING
    assert panel.where.currentData() == "raster"
    assert panel.least.value() == 80


def test_a_dead_engine_is_a_run_that_failed_or_was_stopped(loaded, panel, wait):
    loaded.words["text"] = "crash=collect_next"
    panel.start.click()
    finished(loaded, wait)
    (run,) = loaded.automatic.runs.items
    assert run.state == runs.FAILED
    assert loaded.automatic.can_go_on(run.number)


def test_a_run_whose_raster_cannot_be_opened_has_failed_and_can_be_repeated(
    loaded, panel, wait, town, monkeypatch
):
    opened = loaded.controller.parameters()
    missing = replace(opened, rasters=("nowhere.tif",))
    with monkeypatch.context() as patch:
        patch.setattr(loaded.controller, "parameters", lambda: missing)
        panel.start.click()
        wait(lambda: "nowhere.tif does not exist" in loaded.iface.text())
    wait(lambda: not loaded.find.running)
    (run,) = loaded.automatic.runs.items
    assert run.state == runs.FAILED
    assert panel.start.text() == "Find all"
    assert "nowhere.tif does not exist" in loaded.iface.text(), "it stays to be read"
    loaded.automatic.repeat(run.number)
    finished(loaded, wait)
    assert loaded.automatic.runs.items[-1].state == runs.DONE


def test_a_run_whose_raster_is_gone_says_so(loaded, panel, wait, town):
    panel.start.click()
    finished(loaded, wait)
    number = loaded.automatic.runs.items[0].number
    loaded.controller.target_layer().rollBack()
    QgsProject.instance().removeMapLayer(town.id())
    loaded.automatic.repeat(number)
    assert "not in the project any more" in loaded.iface.text()
    assert len(loaded.automatic.runs.items) == 1


def test_a_raster_that_was_moved_begins_no_run(loaded, panel, town, tmp_path):
    (tmp_path / "town.tif").rename(tmp_path / "elsewhere.tif")
    panel.start.click()
    assert "moved or deleted" in loaded.iface.text()
    assert loaded.automatic.runs.items == ()
    assert not loaded.find.running


def test_the_area_of_a_run_follows_the_maps_crs(loaded, panel, wait, monkeypatch):
    from samgeo_plugin.interactive.automatic import Wanted

    seen = []
    monkeypatch.setattr(loaded.find, "start", lambda name, area, *_: seen.append(area))
    square = QgsGeometry.fromPointXY(QgsPointXY(300005, 3000004)).buffer(10, 4)
    loaded.iface.canvas.setDestinationCrs(QgsCoordinateReferenceSystem("EPSG:4326"))
    loaded.automatic.start(Wanted(EVERYTHING, "area", square, CRS, False))
    assert seen[0].boundingBox().xMaximum() < 180
    loaded.iface.canvas.setDestinationCrs(CRS)


def test_runs_are_saved_with_the_project_and_one_without_an_end_was_stopped(qgis_app, tmp_path):
    project = QgsProject.instance()
    project.clear()
    history = runs.Runs()
    settings = {
        "started": "2026-11-28 10:00:00", "raster": "r", "raster_name": "Town",
        "model": "embedded", "what": EVERYTHING, "where": "view", "area": "POLYGON EMPTY",
        "crs": CRS.toWkt(), "least": 0.5, "into": True, "target": "",
    }  # fmt: skip
    for _ in range(runs.MOST + 2):
        last = history.add(**settings)
    assert len(history.items) == runs.MOST
    history.update(last.number - 1, state=runs.DONE, seconds=2.5)
    project.write(str(tmp_path / "town.qgz"))
    project.clear()
    assert history.items == ()
    project.read(str(tmp_path / "town.qgz"))
    assert history.find(last.number).state == runs.STOPPED
    assert history.find(last.number - 1).seconds == 2.5
    for broken in ("{", "[1, {}]", '[{"number": "x"}]', '[{"number": 1}]'):
        project.writeEntry("samgeo_seamless", "runs", broken)
        history._read()
        assert history.items == ()
    history.release()
    project.clear()


def test_what_was_found_is_none_of_another_projects_objects(loaded, panel, wait):
    panel.into.setChecked(False)
    panel.start.click()
    finished(loaded, wait)
    assert loaded.find.kept
    QgsProject.instance().clear()
    assert not loaded.find.kept
    assert not loaded.find.found
    assert loaded.automatic.current is None
    wait(lambda: not panel.take.isEnabled())


def test_objects_say_the_raster_in_which_they_were_found(loaded, panel, wait, town, tmp_path):
    panel.into.setChecked(False)
    panel.start.click()
    finished(loaded, wait)
    other = one_band(tmp_path)
    loaded.dock.source.choose_raster(other)
    loaded.automatic.take()
    wait(lambda: not loaded.automatic.takes)
    layer = loaded.controller.target_layer()
    assert {str(f["source"]) for f in layer.getFeatures()} == {town.name()}


def test_a_run_is_repeated_with_its_own_bands(loaded, panel, wait, tmp_path):
    loaded.controller.choose(bands=(4, 2, 1))
    panel.start.click()
    finished(loaded, wait)
    loaded.dock.source.choose_raster(one_band(tmp_path))
    assert loaded.controller.choice.bands == (1,)
    loaded.automatic.repeat(1)
    assert loaded.controller.choice.bands == (4, 2, 1)
    assert [box.currentBand() for box in loaded.dock.source.bands] == [4, 2, 1]
    finished(loaded, wait)
    # Runs of an earlier version do not say their bands.
    (run, _) = loaded.automatic.runs.items
    loaded.automatic.runs.update(run.number, bands="")
    loaded.dock.source.choose_raster(QgsProject.instance().mapLayersByName("height")[0])
    loaded.automatic.repeat(1)
    assert loaded.controller.choice.bands == (1, 2, 3)
    finished(loaded, wait)


def one_band(folder) -> QgsRasterLayer:
    path = str(folder / "height.tif")
    file = gdal.GetDriverByName("GTiff").Create(path, 60, 40, 1, gdal.GDT_Byte)
    file.SetGeoTransform([300000, 0.5, 0, 3000020, 0, -0.5])
    file.SetProjection(CRS.toWkt())
    file = None
    layer = QgsRasterLayer(path, "height")
    QgsProject.instance().addMapLayer(layer)
    return layer


def test_a_project_that_is_closed_while_objects_are_found_leaves_nothing_behind(
    loaded, panel, wait, monkeypatch, tmp_path
):
    made = tmp_path / "made.gpkg"
    monkeypatch.setattr("samgeo_plugin.interactive.controller.new_path", lambda name: made)
    layer = loaded.controller.target_layer()
    loaded.controller.set_target(None)
    loaded.words["text"] = "tile=0.2"
    panel.start.click()
    wait(lambda: loaded.find.done == 1)
    assert loaded.find.found
    QgsProject.instance().removeMapLayer(layer.id())
    QgsProject.instance().clear()
    QTest.qWait(100)
    assert not made.exists()
    assert not QgsProject.instance().mapLayers()
    assert "objects are in" not in loaded.iface.text()
