# SPDX-License-Identifier: GPL-2.0-or-later
"""The first object's layer lies in a GeoPackage; it is saved by a button and while one pauses."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsFeature,
    QgsProject,
    QgsVectorLayer,
)

from samgeo_plugin.interactive import autosave, reading, target
from samgeo_plugin.job import Prompt


@pytest.fixture
def first(loaded, town, wait, tmp_path):
    """The plugin with one accepted object, in a project that has a file."""
    QgsProject.instance().write(str(tmp_path / "work.qgz"))
    loaded.iface.active = town
    loaded.tool_action.trigger()
    loaded.accept_at = lambda x: accept(loaded, wait, x)
    loaded.accept_at(300005)
    yield loaded
    layer = loaded.controller.target_layer() if loaded.controller is not None else None
    if layer is not None:
        layer.rollBack()


def accept(plugin, wait, x: float) -> None:
    written: list = []
    plugin.controller.written.connect(written.append)
    plugin.controller.session.add(Prompt("point", [[x, 3000004.0]]))
    plugin.controller.session.accept()
    wait(lambda: written)


def on_disk(layer) -> int:
    return QgsVectorLayer(layer.source(), "saved", "ogr").featureCount()


def test_the_first_object_makes_a_geopackage_beside_the_project(first, tmp_path):
    layer = first.controller.target_layer()
    path = Path(layer.source().split("|")[0])
    assert path.parent == tmp_path
    assert path.name.startswith("town_")
    assert first.controller.autosave.on
    assert first.dock.source.autosave.isChecked()
    assert first.dock.source.target.currentText() == layer.name()


def test_the_button_saves_and_editing_goes_on(first):
    layer, panel = first.controller.target_layer(), first.dock.source
    assert on_disk(layer) == 0
    assert "1 changed" in panel.save.toolTip()
    panel.save.click()
    assert on_disk(layer) == 1
    assert layer.isEditable()
    assert "nothing to save" in panel.save.toolTip()


def test_it_is_saved_while_one_pauses_and_not_while_an_object_is_in_work(first, wait):
    saves, layer = first.controller.autosave, first.controller.target_layer()
    saves._idle.setInterval(50)
    first.controller.session.add(Prompt("point", [[300011.0, 3000004.0]]))
    saves._modified()
    wait(lambda: first.controller.session.candidates)
    wait(lambda: not saves._idle.isActive() or saves._idle.remainingTime() < 20)
    assert on_disk(layer) == 0, "an object is in work"
    first.controller.session.clear()
    wait(lambda: on_disk(layer) == 1)
    assert layer.isEditable()


def test_it_is_not_saved_by_itself_where_that_would_save_other_layers(
    transaction_groups, loaded, wait, tmp_path
):
    crs, path = QgsCoordinateReferenceSystem("EPSG:32645"), str(tmp_path / "town.gpkg")
    mine, other = (target.new_geopackage_layer(path, name, crs) for name in ("mine", "other"))
    QgsProject.instance().addMapLayers([mine, other])
    assert loaded.controller.set_target(mine)
    saves = loaded.controller.autosave
    saves.set_on(True)
    saves._idle.setInterval(50)
    for layer in (other, mine):
        assert layer.isEditable() or layer.startEditing()
        assert layer.addFeature(QgsFeature(layer.fields()))
    wait(lambda: "mine is not saved by itself now" in loaded.iface.text())
    assert "the changes of other, too" in loaded.iface.text()
    assert "the changes of other, too" in loaded.dock.source.save.toolTip()
    assert (on_disk(mine), on_disk(other)) == (0, 0)
    other.rollBack()
    assert mine.isEditable() or mine.startEditing()
    assert mine.addFeature(QgsFeature(mine.fields()))
    wait(lambda: on_disk(mine) >= 1)
    assert "the changes of other" not in loaded.dock.source.save.toolTip()
    assert on_disk(other) == 0


def test_it_can_be_switched_off(first, wait):
    saves, layer = first.controller.autosave, first.controller.target_layer()
    first.dock.source.autosave.trigger()
    assert not saves.on
    assert not saves._idle.isActive()
    first.accept_at(300011)
    assert not saves._idle.isActive()
    assert on_disk(layer) == 0


def test_another_target_saves_the_one_before(first):
    layer = first.controller.target_layer()
    first.controller.new_target()
    assert on_disk(layer) == 1
    layer.rollBack()


def test_another_target_saves_the_one_before_also_while_an_object_is_in_work(first):
    layer = first.controller.target_layer()
    first.controller.session.add(Prompt("point", [[300011.0, 3000004.0]]))
    first.controller.new_target()
    assert on_disk(layer) == 1
    assert not layer.isModified()
    assert first.controller.session.prompts, "the object in work goes on"
    first.controller.session.clear()
    layer.rollBack()


def test_what_comes_into_the_layer_before_is_saved_too(first, wait):
    controller, layer = first.controller, first.controller.target_layer()
    controller.autosave._idle.setInterval(50)
    wait(lambda: on_disk(layer) == 1)
    controller.session.add(Prompt("point", [[300011.0, 3000004.0]]))
    controller.session.accept()
    assert controller.session.pending
    controller.new_target()
    wait(lambda: on_disk(layer) == 2)
    assert layer.isEditable()
    layer.rollBack()


def test_two_layers_that_are_saved_by_themselves_do_not_wait_for_each_other(
    transaction_groups, loaded, wait, tmp_path
):
    crs, path = QgsCoordinateReferenceSystem("EPSG:32645"), str(tmp_path / "town.gpkg")
    before, now = (target.new_geopackage_layer(path, name, crs) for name in ("before", "now"))
    QgsProject.instance().addMapLayers([before, now])
    saves = loaded.controller.autosave
    saves._idle.setInterval(50)
    for layer in (before, now):
        assert loaded.controller.set_target(layer)
        saves.set_on(True)
    for layer in (now, before):
        assert layer.isEditable() or layer.startEditing()
        assert layer.addFeature(QgsFeature(layer.fields()))
    saves.hear_of(before)
    wait(lambda: (on_disk(before), on_disk(now)) == (1, 1))
    assert "is not saved by itself" not in loaded.iface.text()


def test_objects_after_saves_in_a_transaction_group_are_taken_at_once(
    transaction_groups, loaded, town, wait, tmp_path
):
    QgsProject.instance().write(str(tmp_path / "work.qgz"))
    loaded.iface.active = town
    loaded.tool_action.trigger()
    for number, x in enumerate((300003, 300007, 300011, 300015, 300019, 300023), start=1):
        before = time.monotonic()
        accept(loaded, wait, x)
        assert time.monotonic() - before < 5, "QGIS stood still"
        layer = loaded.controller.target_layer()
        assert number > 1 or reading.in_transaction(layer)
        assert loaded.controller.autosave.save()
        assert layer.isEditable()
        assert on_disk(layer) == number


def test_a_save_that_begins_editing_again_says_so_while_it_ends(transaction_groups, tmp_path):
    crs = QgsCoordinateReferenceSystem("EPSG:32645")
    layer = target.new_geopackage_layer(str(tmp_path / "town.gpkg"), "town", crs)
    QgsProject.instance().addMapLayer(layer)
    layer.startEditing()
    ended: list = []
    layer.editingStopped.connect(lambda: ended.append(autosave.is_saving()))
    assert autosave.save_edits(layer)
    assert layer.isEditable()
    assert all(ended)
    assert not autosave.is_saving()
    layer.commitChanges()
    assert not ended[-1]


def test_a_tool_of_qgis_in_hand_is_not_taken_away_by_a_save(
    transaction_groups, loaded, wait, tmp_path, monkeypatch
):
    crs = QgsCoordinateReferenceSystem("EPSG:32645")
    layer = target.new_geopackage_layer(str(tmp_path / "town.gpkg"), "town", crs)
    QgsProject.instance().addMapLayer(layer)
    assert loaded.controller.set_target(layer)
    saves, ended, asked = loaded.controller.autosave, [], []
    saves.set_on(True)
    saves._idle.setInterval(20)
    drawing = [True]
    monkeypatch.setattr(autosave, "_is_drawing", lambda: asked.append(True) or drawing[0])
    assert layer.isEditable() or layer.startEditing()
    layer.editingStopped.connect(lambda: ended.append(drawing[0]))
    assert layer.addFeature(QgsFeature(layer.fields()))
    wait(lambda: len(asked) > 1 or not layer.isModified())
    assert not ended
    drawing[0] = False
    wait(lambda: not layer.isModified())
    assert True not in ended
    assert layer.isEditable()


def test_it_goes_on_where_the_project_is_opened_again(first, tmp_path):
    saves, panel = first.controller.autosave, first.dock.source
    assert saves.save()
    first.controller.target_layer().commitChanges()
    project = QgsProject.instance()
    project.write()
    for _ in range(2):
        project.clear()
        assert not saves.on
        assert not panel.save.isEnabled()
        project.read(str(tmp_path / "work.qgz"))
    layer = first.controller.target_layer()
    assert saves.on
    assert panel.autosave.isChecked()
    layer.startEditing()
    layer.deleteFeature(next(layer.getFeatures()).id())
    assert saves._idle.isActive()
    panel.save.click()
    assert on_disk(layer) == 0


def test_nothing_is_saved_by_a_plugin_that_is_switched_off(first):
    layer, saves = first.controller.target_layer(), first.controller.autosave
    assert saves._idle.isActive()
    first.unload()
    assert layer.isModified(), "the edits are the user's to save"
    assert on_disk(layer) == 0
    assert not saves._idle.isActive()
    assert layer.receivers(layer.layerModified) == 0
    layer.rollBack()


def test_a_temporary_layer_is_a_choice(loaded, town, wait):
    loaded.iface.active = town
    loaded.tool_action.trigger()
    panel = loaded.dock.source
    index = panel.target.findText("New temporary layer")
    panel.target.setCurrentIndex(index)
    panel.target.activated.emit(index)
    accept(loaded, wait, 300005)
    layer = loaded.controller.target_layer()
    assert layer.dataProvider().name() == "memory"
    assert not loaded.controller.autosave.on
    layer.rollBack()


@pytest.mark.parametrize("where", ["folder", "file"])
def test_without_a_place_for_a_file_a_temporary_layer_is_used_and_said(
    loaded, town, wait, tmp_path, monkeypatch, where
):
    def place(name: str) -> Path:
        if where == "folder":
            raise PermissionError(13, "Permission denied", str(tmp_path))
        return tmp_path / "no_such_folder" / "objects.gpkg"

    monkeypatch.setattr("samgeo_plugin.interactive.controller.new_path", place)
    said: list = []
    show = loaded.controller.reporter.show

    def listen(level: str, text: str, *more: object, **named: object) -> None:
        said.append((level, text))
        show(level, text, *more, **named)

    monkeypatch.setattr(loaded.controller.reporter, "show", listen)
    loaded.iface.active = town
    loaded.tool_action.trigger()
    accept(loaded, wait, 300005)
    layer = loaded.controller.target_layer()
    assert layer.dataProvider().name() == "memory"
    assert layer.featureCount() == 1
    assert any(level == "warning" and "temporary layer" in text for level, text in said)
    layer.rollBack()


def test_names_of_files_are_free_and_harmless(qgis_app, tmp_path):
    QgsProject.instance().write(str(tmp_path / "p.qgz"))
    one = autosave.new_path("../Straße & Co: <1>")
    assert one.parent == tmp_path
    one.touch()
    two = autosave.new_path("../Straße & Co: <1>")
    assert two != one
    assert not two.exists()
    assert autosave.new_path("").name.startswith("objects_")
    QgsProject.instance().clear()
    assert autosave.new_path("x").parent.name == "samgeo_objects"
