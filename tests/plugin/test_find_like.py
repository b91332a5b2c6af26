# SPDX-License-Identifier: GPL-2.0-or-later
"""Find all like these: examples as a layer, tiles, answers, the slider, what to ask next."""

from __future__ import annotations

import json

import pytest
from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsFeature,
    QgsGeometry,
    QgsPointXY,
    QgsProject,
    QgsRectangle,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QEvent, QPoint, Qt
from qgis.PyQt.QtGui import QKeyEvent, QMouseEvent
from qgis.PyQt.QtWidgets import QApplication

from samgeo_plugin.interactive import target
from samgeo_plugin.interactive.automatic import RASTER, Wanted
from samgeo_plugin.interactive.candidate_layer import CandidateLayer
from samgeo_plugin.interactive.examples import PROPERTY, Examples, place_for
from samgeo_plugin.interactive.find_like import DONE, FINDING, IDLE, OPENING
from samgeo_plugin.interactive.found_objects import Found
from samgeo_plugin.interactive.opening import READY
from samgeo_plugin.interactive.search_kinds import EVERYTHING

PLAIN = Qt.KeyboardModifier.NoModifier
CRS = QgsCoordinateReferenceSystem("EPSG:32645")


def disc(x: float, y: float, radius: float = 2) -> QgsGeometry:
    return QgsGeometry.fromPointXY(QgsPointXY(x, y)).buffer(radius, 8)


@pytest.fixture
def examples(qgis_app):
    QgsProject.instance().clear()
    made = Examples()
    made.said = []
    made.message.connect(lambda level, text: made.said.append((level, text)))
    yield made
    made.release()
    QgsProject.instance().clear()


def test_examples_lie_beside_the_project(examples, tmp_path):
    QgsProject.instance().write(str(tmp_path / "town.qgz"))
    examples.add(disc(0, 0), CRS, "roof")
    examples.add(disc(50, 0), CRS, "")
    file = tmp_path / "town_examples.gpkg"
    assert file.exists()
    assert not examples.said
    saved = QgsVectorLayer(f"{file}|layername=examples", "", "ogr")
    assert sorted(str(f["class"] or "") for f in saved.getFeatures()) == ["", "roof"]
    QgsProject.instance().write()
    QgsProject.instance().clear()
    assert examples.layer() is None
    QgsProject.instance().read(str(tmp_path / "town.qgz"))
    assert dict(examples.counts) == {"roof": 1, "": 1}


def test_examples_lie_beside_the_target_where_the_project_has_no_file(examples, tmp_path):
    layer = target.new_geopackage_layer(str(tmp_path / "roofs.gpkg"), "roofs", CRS)
    examples.note(disc(0, 0), CRS, "roof")
    assert examples.layer() is None, "nothing is made before it is wanted"
    list(examples.add_noted(layer, ""))
    assert (tmp_path / "roofs_examples.gpkg").exists()
    assert dict(examples.counts) == {"roof": 1}
    examples.note(disc(30, 0), CRS, "roof")
    assert dict(examples.counts) == {"roof": 2}, "now each accepted object is one at once"


def test_examples_without_a_place_are_in_memory_with_a_warning_until_the_project_is_saved(
    examples, tmp_path
):
    examples.add(disc(0, 0), CRS, "roof")
    layer = examples.layer()
    assert layer.dataProvider().name() == "memory"
    assert examples.said[0][0] == "warning"
    QgsProject.instance().write(str(tmp_path / "town.qgz"))
    assert layer.dataProvider().name() == "ogr"
    assert (tmp_path / "town_examples.gpkg").exists()
    assert layer.customProperty(PROPERTY)
    assert dict(examples.counts) == {"roof": 1}
    examples.add(disc(50, 0), CRS, "tree")
    assert dict(examples.counts) == {"roof": 1, "tree": 1}


def test_a_saved_project_leaves_the_examples_of_another_one_alone(examples, tmp_path):
    project, file = QgsProject.instance(), str(tmp_path / "town.qgz")
    project.write(file)
    examples.add(disc(85, 27, 0.001), QgsCoordinateReferenceSystem("EPSG:4326"), "tree")
    project.clear()
    examples.add(disc(351000, 0), CRS, "roof")
    project.write(file)
    layer = examples.layer()
    assert (tmp_path / "town_examples_2.gpkg").samefile(layer.source().split("|")[0])
    assert layer.crs() == CRS
    assert layer.extent().xMaximum() == pytest.approx(351002)
    assert dict(examples.counts) == {"roof": 1}
    project.clear()
    other = QgsVectorLayer(f"{tmp_path}/town_examples.gpkg|layername=examples", "", "ogr")
    assert [feature["class"] for feature in other.getFeatures()] == ["tree"]


def test_examples_of_a_file_that_is_there_are_used_and_said(examples, tmp_path):
    layer = target.new_geopackage_layer(str(tmp_path / "roofs.gpkg"), "roofs", CRS)
    for count in (1, 2):
        examples.note(disc(50 * count, 0), CRS, "roof")
        list(examples.add_noted(layer, ""))
        assert dict(examples.counts) == {"roof": count}
        QgsProject.instance().clear()
    ((level, text),) = examples.said
    assert level == "info"
    assert "roofs_examples.gpkg has examples already (1)" in text


def test_a_later_example_of_the_same_object_counts(examples):
    examples.add(disc(0, 0), CRS, "roof")
    examples.add(disc(0.2, 0), CRS, "")
    assert dict(examples.counts) == {"": 1}
    geographic = QgsCoordinateReferenceSystem("EPSG:4326")
    ((shape, name),) = examples.all_in(geographic)
    assert name == ""
    assert QgsRectangle(80, -1, 90, 1).contains(shape.boundingBox())


def test_what_is_taken_back_is_no_example_unless_it_was_changed_by_hand(examples, wait):
    examples.note(disc(0, 0), CRS, "roof")
    examples.note(disc(0, 0), CRS, "tree")
    examples.take_back(disc(0, 0), CRS, "roof")
    list(examples.add_noted(None, ""))
    assert examples.counts == {"tree": 1}
    examples.note(disc(50, 0), CRS, "roof")
    examples.note(disc(100, 0), CRS, "roof")
    layer, told = examples.layer(), []
    (known,) = [f.id() for f in layer.getFeatures() if f.geometry().intersects(disc(100, 0))]
    layer.dataProvider().changeAttributeValues({known: {0: "tree"}})
    wait(lambda: not examples._soon.isActive())
    examples.changed.connect(lambda: told.append(True))
    for x in (50, 100):
        examples.take_back(disc(x, 0), CRS, "roof")
    assert examples.counts == {"tree": 2}
    wait(lambda: told)


@pytest.mark.parametrize("edited", [False, True])
def test_examples_follow_a_class_that_is_renamed(examples, edited):
    examples.note(disc(0, 0), CRS, "roof")
    examples.rename("roof", "house")
    list(examples.add_noted(None, ""))
    assert examples.counts == {"house": 1}, "what was accepted and is none yet, too"
    examples.add(disc(50, 0), CRS, "tree")
    examples.said.clear()
    layer = examples.layer()
    assert not edited or layer.startEditing()
    examples.rename("house", "building")
    assert examples.counts == {"building": 1, "tree": 1}
    ((level, text),) = examples.said
    assert (level, text.partition(";")[0]) == (
        "info", "1 examples of “house” are of “building” now"
    )  # fmt: skip
    if edited:
        layer.undoStack().undo()
        assert examples.counts == {"house": 1, "tree": 1}
        layer.undoStack().redo()
    examples.take_back(disc(0, 0), CRS, "roof")
    assert examples.counts == {"tree": 1}, "an undo tells the class that it was accepted with"
    examples.note(disc(0, 0), CRS, "roof")
    assert examples.counts == {"building": 1, "tree": 1}, "and so does a redo"


def test_a_class_that_is_renamed_in_the_panel_is_renamed_in_the_examples(loaded):
    loaded.controller.classes.add("roof")
    loaded.examples.note(disc(300005, 3000005), CRS, "roof")
    assert loaded.controller.classes.rename("roof", "building")
    list(loaded.examples.add_noted(None, ""))
    assert loaded.examples.counts == {"building": 1}


def test_a_change_by_hand_is_told(examples, wait):
    examples.add(disc(0, 0), CRS, "roof")
    wait(lambda: True)
    heard = []
    examples.changed.connect(lambda: heard.append(1))
    layer = examples.layer()
    layer.startEditing()
    (feature,) = layer.getFeatures()
    layer.changeAttributeValue(feature.id(), layer.fields().lookupField("class"), "tree")
    wait(lambda: heard)
    examples.add(disc(50, 0), CRS, "roof")
    assert layer.isEditable(), "an edit session of the user's goes on"
    assert dict(examples.counts) == {"tree": 1, "roof": 1}
    layer.rollBack()


def test_no_place_without_a_project_or_a_file(examples):
    assert place_for(None) is None
    assert place_for(QgsVectorLayer("Polygon?crs=EPSG:32645", "m", "memory")) is None


# --- the search ---------------------------------------------------------------------------------


@pytest.fixture
def searching(loaded, town, wait):
    """The plugin with a raster, two classes and one accepted roof."""
    QgsProject.instance().removeEntry("samgeo_seamless", "classes")
    loaded.controller.classes._read()
    for name in ("roof", "tree"):
        loaded.controller.classes.add(name)
    loaded.controller.classes.choose("roof")
    loaded.controller.choose(raster=town.id())
    loaded.controller.accepted_as.emit(disc(300005, 3000004), CRS, "roof")
    return loaded


def found(plugin, wait) -> set:
    find = plugin.find
    wait(lambda: find.state == DONE and not find._sorting and not find.candidates._steps.busy)
    wait(lambda: not find._soon.isActive() and not find._stale and not find._sorting)
    return {f["id"] for f in find.candidates.layer.getFeatures()}


def test_all_like_the_accepted_ones_are_found_tile_by_tile(searching, wait):
    searching.words["text"] = "tile=0.05"
    find, seen = searching.find, set()
    find.candidates.shown.connect(lambda: seen.add(find.candidates.layer.featureCount()))
    searching.dock.find.start.click()
    assert found(searching, wait) == {f"o{k}" for k in range(10) if k != 3}
    assert len(seen) > 1, "the first tile's objects are shown before the last one's"
    layer = find.candidates.layer
    assert layer.readOnly()
    assert {f["class"] for f in layer.getFeatures()} == {"roof"}
    assert layer.featureCount() == len(find.kept)


def test_what_the_search_drops_while_candidates_are_shown_stops_nothing(qgis_app, wait):
    candidates, heard = CandidateLayer(), []
    candidates.shown.connect(lambda: heard.append(candidates.layer.featureCount()))
    candidates.begin("roofs", CRS)
    objects = {str(k): Found(str(k), disc(10 * k, 0), 0.9, 0.9, 12.5) for k in range(200)}
    kept = dict.fromkeys(objects, ("roof", 0.9))
    candidates.show(kept, objects)
    next(candidates._steps._work)
    for one in (objects, kept):
        del one["150"]
    wait(lambda: heard)
    candidates.show(kept, objects)
    wait(lambda: len(heard) == 2)
    assert heard == [200, 199]
    wait(lambda: candidates.layer.id() in QgsProject.instance().mapLayers())
    candidates.remove()


def test_candidates_of_a_saved_project_are_gone_when_it_is_opened(qgis_app, tmp_path, wait):
    project, path = QgsProject.instance(), str(tmp_path / "project.qgz")
    candidates = CandidateLayer()
    try:
        candidates.begin("roofs", CRS)
        wait(lambda: candidates.layer.id() in project.mapLayers())
        of_the_user = QgsVectorLayer("Polygon?crs=EPSG:32645", "mine", "memory")
        project.addMapLayer(of_the_user)
        assert project.write(path)
        assert project.read(path)
        assert [layer.name() for layer in project.mapLayers().values()] == ["mine"]
        assert not project.isDirty()
    finally:
        candidates.release()
        project.clear()


def test_the_slider_shows_fewer(searching, wait):
    searching.dock.find.start.click()
    found(searching, wait)
    searching.dock.find.least.setValue(75)
    wait(lambda: len(searching.find.kept) == 4)
    assert found(searching, wait) == {"o0", "o1", "o2", "o4"}


def mouse(canvas, point: QgsPointXY, button) -> None:
    at = canvas.getCoordinateTransform().transform(point)
    at = QPoint(round(at.x()), round(at.y()))
    view = canvas.viewport()
    for kind in (QEvent.Type.MouseButtonPress, QEvent.Type.MouseButtonRelease):
        QApplication.sendEvent(
            view,
            QMouseEvent(kind, at, view.mapToGlobal(at), button, button, PLAIN),
        )


def press(canvas, key) -> bool:
    override = QKeyEvent(QEvent.Type.ShortcutOverride, key, PLAIN)
    override.ignore()
    QApplication.sendEvent(canvas, override)
    taken = override.isAccepted()
    QApplication.sendEvent(canvas, QKeyEvent(QEvent.Type.KeyPress, key, PLAIN))
    return taken


def test_a_click_says_right_or_wrong_and_becomes_an_example(searching, wait):
    searching.dock.find.start.click()
    found(searching, wait)
    canvas = searching.iface.canvas
    searching.example_action.trigger()
    assert canvas.mapTool() is searching.example_tool
    mouse(canvas, QgsPointXY(300010, 3000004), Qt.MouseButton.RightButton)
    assert "o1" not in searching.find.kept, "gone at once"
    wait(lambda: searching.find.marked.get("o1") == "")
    assert "o1" not in found(searching, wait)
    searching.controller.classes.choose("tree")
    mouse(canvas, QgsPointXY(300020, 3000014), Qt.MouseButton.LeftButton)
    wait(lambda: searching.find.kept.get("o11") == ("tree", 1.0))
    assert dict(searching.examples.counts) == {"roof": 1, "": 1, "tree": 1}


def test_a_left_click_never_says_none_of_these(searching, wait):
    searching.dock.find.start.click()
    found(searching, wait)
    searching.controller.classes.remove("roof")
    searching.controller.classes.remove("tree")
    canvas, examples = searching.iface.canvas, searching.examples
    searching.example_action.trigger()
    mouse(canvas, QgsPointXY(300015, 3000014), Qt.MouseButton.LeftButton)
    assert dict(examples.counts) == {"roof": 2}, "o10 is not shown: the class of the examples"
    searching.find._soon.stop()
    layer = examples.layer()
    layer.dataProvider().deleteFeatures(layer.allFeatureIds())
    mouse(canvas, QgsPointXY(300020, 3000014), Qt.MouseButton.LeftButton)
    assert dict(examples.counts) == {}
    assert "No class is known" in searching.iface.text()


def test_what_to_ask_next_walks_on_with_each_answer_and_gives_the_keys_back(searching, wait):
    searching.dock.find.start.click()
    found(searching, wait)
    canvas, tool = searching.iface.canvas, searching.example_tool
    searching.dock.find.next.click()
    assert tool.asked.id == "o11"
    assert press(canvas, Qt.Key.Key_X)
    wait(lambda: tool.asked is not None and tool.asked.id == "o10")
    assert press(canvas, Qt.Key.Key_2)
    wait(lambda: tool.asked is not None and tool.asked.id == "o9")
    assert searching.find.marked["o11"] == ""
    assert searching.find.marked["o10"] == "tree"
    assert press(canvas, Qt.Key.Key_N)
    assert tool.asked.id == "o8"
    assert press(canvas, Qt.Key.Key_Escape)
    assert tool.asked is None
    assert not press(canvas, Qt.Key.Key_1)


def search_again(plugin, wait) -> None:
    before = plugin.find.candidates.layer
    plugin.dock.find.start.click()
    wait(lambda: plugin.find.candidates.layer is not before)
    found(plugin, wait)


def asked(plugin, wait) -> str:
    search_again(plugin, wait)
    plugin.dock.find.next.click()
    return plugin.example_tool.asked.id


def outline(tool) -> QgsGeometry:
    return tool._band.asGeometry()


@pytest.mark.parametrize("end", ["search", "raster", "project"])
def test_a_question_ends_with_its_search(searching, wait, end):
    tool = searching.example_tool
    assert asked(searching, wait) == "o11"
    assert not outline(tool).isEmpty()
    if end == "search":
        searching.automatic.start(Wanted(EVERYTHING, RASTER, None, CRS, False))
    elif end == "raster":
        searching.controller.session.close()
    else:
        QgsProject.instance().clear()
    assert tool.asked is None
    assert outline(tool).isEmpty()
    assert not press(searching.iface.canvas, Qt.Key.Key_Y)


def test_a_question_is_where_its_object_is_in_another_crs(searching, wait):
    asked(searching, wait)
    other = QgsCoordinateReferenceSystem("EPSG:3857")
    searching.iface.canvas.setDestinationCrs(other)
    shape = QgsGeometry(searching.example_tool.asked.geometry)
    shape.transform(QgsCoordinateTransform(CRS, other, QgsProject.instance()))
    assert outline(searching.example_tool).isGeosEqual(shape)


def test_what_was_passed_over_or_answered_last_is_nothing_to_the_next_search(searching, wait):
    tool, canvas = searching.example_tool, searching.iface.canvas
    assert asked(searching, wait) == "o11"
    assert press(canvas, Qt.Key.Key_N)
    assert asked(searching, wait) == "o11", "passed over in the search before"
    assert press(canvas, Qt.Key.Key_X)
    search_again(searching, wait)
    assert tool.asked is None, "nobody has asked for a question"


def test_what_is_shown_is_taken_over_once_as_one_step(searching, wait):
    searching.dock.find.start.click()
    kept = found(searching, wait)
    layer = searching.controller.new_target()
    searching.dock.find.take.click()
    wait(lambda: layer.featureCount() == len(kept) and not searching.automatic.takes)
    assert {f["class"] for f in layer.getFeatures()} == {"roof"}
    searching.dock.find.take.click()
    wait(lambda: not searching.automatic.takes)
    assert layer.featureCount() == len(kept), "what is there is not taken twice"
    assert "Nothing is new" in searching.iface.text()
    layer.undoStack().undo()  # the second one, which added nothing
    layer.undoStack().undo()
    assert layer.featureCount() == 0
    layer.rollBack()


def test_a_search_can_be_stopped_and_what_was_found_stays(searching, wait):
    searching.words["text"] = "tile=0.4"
    searching.dock.find.start.click()
    wait(lambda: searching.find.state == FINDING and searching.find.found)
    searching.dock.find.start.click()
    assert searching.find.state == DONE
    assert searching.find.found
    assert searching.dock.find.start.text() == "Find all like these"


def test_a_death_of_the_engine_ends_the_search_with_a_sentence(searching, wait):
    searching.words["text"] = "crash=collect_next"
    searching.dock.find.start.click()
    wait(lambda: "ended" in searching.iface.text() or "stopped" in searching.iface.text())
    assert searching.find.state == IDLE
    assert not searching.find.there


def test_without_examples_one_sentence_says_what_to_do(loaded, town, wait):
    QgsProject.instance().removeEntry("samgeo_seamless", "classes")
    loaded.controller.classes._read()
    loaded.controller.choose(raster=town.id())
    loaded.dock.find.start.click()
    wait(lambda: "Accept some objects" in loaded.iface.text())
    assert loaded.find.state == IDLE


def test_objects_accepted_without_a_class_are_a_class_of_their_own(loaded, town, wait):
    QgsProject.instance().removeEntry("samgeo_seamless", "classes")
    loaded.controller.classes._read()
    loaded.controller.choose(raster=town.id())
    loaded.controller.accepted_as.emit(disc(300005, 3000004), CRS, "")
    loaded.dock.find.start.click()
    wait(lambda: loaded.find.state == DONE and loaded.find.kept)
    assert loaded.controller.classes.names == ["like these"]


def test_another_raster_ends_the_corrections(searching, wait):
    searching.dock.find.start.click()
    found(searching, wait)
    searching.controller.session.close()
    wait(lambda: searching.controller.session.state != READY)
    assert searching.find.state == IDLE
    assert not searching.find.there
    assert searching.find.candidates.layer is not None, "what was found can still be taken over"


def test_polygons_of_a_layer_are_the_area(searching, wait):
    area = QgsVectorLayer("Polygon?crs=EPSG:4326", "area", "memory")
    QgsProject.instance().addMapLayer(area)
    panel = searching.dock.find
    panel.where.setCurrentIndex(panel.where.findData("area"))
    panel.area.setLayer(area)
    panel.start.click()
    assert "area" in searching.iface.text()
    assert searching.find.state == IDLE
    feature = QgsFeature()
    feature.setGeometry(QgsGeometry.fromWkt("POLYGON((84 27,86 27,86 28,84 28,84 27))"))
    area.dataProvider().addFeatures([feature])
    panel.start.click()
    assert found(searching, wait)


def test_the_area_stays_where_it_is_when_the_maps_crs_changes_before_the_raster_is_open(
    searching, wait, tmp_path
):
    searching.words["text"] = f"asked={tmp_path / 'asked.json'}"
    canvas, find = searching.iface.canvas, searching.find
    searching._choose_tool(True)
    seen = canvas.extent()
    panel = searching.dock.find
    panel.what.setCurrentIndex(panel.what.findData(EVERYTHING))
    panel.where.setCurrentIndex(panel.where.findData("view"))
    panel.start.click()
    assert find.state == OPENING
    canvas.setDestinationCrs(QgsCoordinateReferenceSystem("EPSG:3857"))
    assert found(searching, wait)
    asked = json.loads((tmp_path / "asked.json").read_text())
    corners = {tuple(corner) for corner in asked["area"]["coordinates"][0]}
    assert (seen.xMinimum(), seen.yMinimum()) in corners
    assert asked["crs"] == "EPSG:32645"
    assert find.candidates.layer.crs() == CRS
    canvas.setDestinationCrs(CRS)


def test_all_polygons_of_a_layer_are_the_area_however_many(searching):
    area = QgsVectorLayer("Polygon?crs=EPSG:32645", "area", "memory")
    features = []
    for k in range(1500):
        feature = QgsFeature()
        feature.setGeometry(QgsGeometry.fromRect(QgsRectangle(20 * k, 0, 20 * k + 10, 10)))
        features.append(feature)
    features.append(QgsFeature())
    area.dataProvider().addFeatures(features)
    QgsProject.instance().addMapLayer(area)
    panel = searching.dock.find
    panel.where.setCurrentIndex(panel.where.findData("area"))
    panel.area.setLayer(area)
    assert panel._area().area() == pytest.approx(150_000)
    area.dataProvider().addFeatures(features[:1])
    assert panel._area().area() == pytest.approx(150_000), "what lies twice counts once"
