# SPDX-License-Identifier: GPL-2.0-or-later
"""Accepted objects that are undone, deleted or discarded are no examples; those saved stay."""

from __future__ import annotations

import pytest
from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsFeature,
    QgsGeometry,
    QgsProject,
    QgsVectorFileWriter,
    QgsVectorLayer,
)
from qgis.PyQt.QtTest import QTest

from samgeo_plugin.interactive import field_mapping, target
from samgeo_plugin.interactive.candidates import Accepted
from samgeo_plugin.interactive.place import Place

UTM = QgsCoordinateReferenceSystem("EPSG:32645")


def square(x: float, count: int = 1) -> QgsGeometry:
    """Squares of 4 m beside one another, 10 m apart."""
    corners = [x + 10 * number for number in range(count)]
    rings = (f"(({w} 0,{w + 4} 0,{w + 4} 4,{w} 4,{w} 0))" for w in corners)
    return QgsGeometry.fromWkt(f"MULTIPOLYGON({','.join(rings)})")


@pytest.fixture
def accepting(loaded, tmp_path):
    """The plugin with a target layer in a file; accepts objects, and says which are examples."""
    project = QgsProject.instance()
    project.write(str(tmp_path / "work.qgz"))
    layer = target.new_geopackage_layer(str(tmp_path / "mine.gpkg"), "mine", UTM)
    project.addMapLayer(layer)
    loaded.controller.set_target(layer)
    loaded.layer = layer
    loaded.accept = lambda shape, name="roof", place=None: loaded.controller.session.accepted.emit(
        Accepted(shape, shape, UTM, {"class": name}, place)
    )

    def examples() -> list:
        QTest.qWait(1)  # what is saved has another id at once, but not in the same moment
        list(loaded.examples.add_noted(layer, "object"))
        found = loaded.examples.layer()
        got = [] if found is None else found.getFeatures()
        return sorted((each.geometry().boundingBox().xMinimum(), each["class"]) for each in got)

    loaded.now = examples
    yield loaded
    layer.rollBack()
    project.removeAllMapLayers()


def test_what_a_transaction_discards_or_makes_again_is_known(transaction_groups, accepting, wait):
    told = []
    accepting.controller.taken_back.connect(lambda *_: told.append("gone"))
    accepting.controller.accepted_as.connect(lambda *_: told.append("in"))
    accepting.accept(square(0))
    layer = accepting.layer
    assert layer.dataProvider().transaction() is not None
    layer.undoStack().undo()
    wait(lambda: told == ["in", "gone"])
    for x in (100, 0):  # as the redo of a database, in which the object gets another key
        feature = QgsFeature(layer.fields())
        feature.setGeometry(square(x))
        feature["class"] = "roof"
        assert layer.addFeature(feature)
    wait(lambda: told == ["in", "gone", "in"])
    layer.rollBack()
    wait(lambda: told == ["in", "gone", "in", "gone"])


@pytest.mark.parametrize("name", ["roof", ""])
def test_before_the_first_search_what_is_undone_is_left_out(accepting, name):
    accepting.accept(square(0), name)
    assert accepting.editor.undo()
    accepting.accept(square(20), name)
    assert accepting.now() == [(20, name or "object")]


def test_an_example_follows_undo_and_redo(accepting):
    accepting.accept(square(0))
    assert accepting.now() == [(0, "roof")]
    accepting.accept(square(20))
    stack = accepting.layer.undoStack()
    stack.undo()
    assert accepting.now() == [(0, "roof")]
    stack.undo()
    assert accepting.now() == []
    stack.redo()
    stack.redo()
    assert accepting.now() == [(0, "roof"), (20, "roof")]
    accepting.layer.rollBack()
    assert accepting.now() == []


def test_what_is_saved_stays_an_example_until_it_is_deleted(accepting):
    accepting.accept(square(0))
    accepting.accept(square(20))
    assert accepting.controller.autosave.save()
    assert accepting.now() == [(0, "roof"), (20, "roof")]
    layer = accepting.layer
    layer.deleteFeature(min(layer.allFeatureIds()))
    assert accepting.now() == [(20, "roof")]
    layer.undoStack().undo()
    assert accepting.now() == [(0, "roof"), (20, "roof")]


def test_an_object_of_several_features_stays_an_example_when_it_is_saved(accepting):
    layer = QgsVectorLayer("Polygon?crs=EPSG:32645&field=class:string", "single", "memory")
    QgsProject.instance().addMapLayer(layer)
    accepting.controller.set_target(layer)
    accepting.accept(square(0, 3))
    assert layer.featureCount() == 3
    assert layer.commitChanges(False)
    assert accepting.now() == [(0, "roof")]
    layer.rollBack()


def test_a_class_that_is_undone_gives_back_the_example_before(accepting):
    accepting.accept(square(0), "barn")
    layer = accepting.layer
    assert layer.commitChanges(False)
    place = Place(layer.id(), next(layer.getFeatures()).id(), square(0))
    accepting.controller.session.class_given.emit(place, UTM, "roof")
    assert accepting.now() == [(0, "roof")]
    layer.undoStack().undo()
    assert accepting.now() == [(0, "barn")]


def test_a_class_that_the_layer_does_not_hold_is_an_examples_all_the_same(accepting):
    field_mapping.set_mapping(accepting.layer, {"id": "id"})
    accepting.accept(square(0))
    assert accepting.layer.commitChanges(False)
    assert accepting.now() == [(0, "roof")]


def in_a_shapefile(accepting, tmp_path) -> QgsVectorLayer:
    """The target is a Shapefile now, with two squares that nobody accepted."""
    project, path = QgsProject.instance(), str(tmp_path / "own.shp")
    made = QgsVectorLayer("Polygon?crs=EPSG:32645&field=class:string(20)", "own", "memory")
    for x in (100, 120):
        feature = QgsFeature(made.fields())
        feature.setGeometry(square(x))
        made.dataProvider().addFeatures([feature])
    options = QgsVectorFileWriter.SaveVectorOptions()
    options.driverName = "ESRI Shapefile"
    QgsVectorFileWriter.writeAsVectorFormatV3(made, path, project.transformContext(), options)
    layer = QgsVectorLayer(path, "own", "ogr")
    project.addMapLayer(layer)
    accepting.controller.set_target(layer)
    accepting.layer.rollBack()
    accepting.layer = layer
    return layer


def test_a_deleted_object_is_no_example_after_the_file_was_packed(accepting, tmp_path):
    layer = in_a_shapefile(accepting, tmp_path)
    gone: list = []
    back: list = []
    presence = accepting.controller.presence
    presence.gone.connect(lambda shape, *_: gone.append(shape.boundingBox().xMinimum()))
    presence.back.connect(lambda shape, *_: back.append(shape.boundingBox().xMinimum()))
    for x in (0, 20):
        accepting.accept(square(x))
    for deleted in ([], [0]):
        layer.deleteFeatures(deleted)
        assert layer.commitChanges(False)
        QTest.qWait(20)
    assert not gone
    last = max(layer.allFeatureIds())
    layer.deleteFeature(last)
    QTest.qWait(20)
    assert (gone, back) == ([20], [])
    layer.undoStack().undo()
    QTest.qWait(20)
    assert (gone, back) == ([20], [20])
    layer.deleteFeature(last - 1)
    assert layer.commitChanges(False)
    QTest.qWait(20)
    assert (gone, back) == ([20, 0], [20]), "deleted and saved in one go"


def test_a_save_looks_through_no_file_for_accepted_objects(accepting, tmp_path, monkeypatch):
    layer = in_a_shapefile(accepting, tmp_path)
    looks: list = []
    monkeypatch.setattr(target, "same_object", lambda *given: looks.append(given))
    for x in (0, 20):
        written = target.add_object(layer, square(x), UTM, {})
        accepting.controller.presence.watch(layer, written.feature_ids, square(x), UTM, "")
    gone: list = []
    accepting.controller.presence.gone.connect(lambda shape, *_: gone.append(shape))
    assert layer.commitChanges(False)
    QTest.qWait(20)
    assert (looks, gone) == ([], [])
    layer.deleteFeature(2)
    QTest.qWait(20)
    assert looks == []
    assert [each.boundingBox().xMinimum() for each in gone] == [0]


def test_after_a_roll_back_another_object_may_have_the_id_of_one(transaction_groups, accepting):
    accepting.accept(square(0))
    accepting.accept(square(20))
    assert accepting.now() == [(0, "roof"), (20, "roof")]
    accepting.layer.rollBack()
    assert accepting.now() == []
    accepting.accept(square(40))
    assert accepting.now() == [(40, "roof")]


def test_after_an_undo_too_and_an_object_is_known_by_its_outline(transaction_groups, accepting):
    accepting.accept(square(0))
    accepting.accept(square(20))
    for _ in range(2):
        accepting.layer.undoStack().undo()
    assert accepting.now() == []
    for x, examples in ((30, []), (20, [(20, "roof")])):
        again = QgsFeature(accepting.layer.fields())
        again.setGeometry(square(x))
        again["class"] = "roof"
        assert accepting.layer.addFeature(again)
        assert accepting.now() == examples


def test_nothing_follows_the_layer_once_the_plugin_is_off(accepting):
    accepting.accept(square(0))
    layer = accepting.layer
    accepting.unload()
    assert layer.receivers(layer.featureDeleted) == 0
