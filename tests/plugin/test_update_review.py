# SPDX-License-Identifier: GPL-2.0-or-later
"""The review of an update: accepted changes go into the old layer, and come back by undo."""

from __future__ import annotations

from pathlib import Path

import pytest
from osgeo import gdal
from qgis.core import (
    QgsApplication,
    QgsCoordinateReferenceSystem,
    QgsFeature,
    QgsFeatureRequest,
    QgsField,
    QgsFieldConstraints,
    QgsGeometry,
    QgsProcessingContext,
    QgsProcessingFeatureSourceDefinition,
    QgsProcessingFeedback,
    QgsProcessingUtils,
    QgsProject,
    QgsRasterLayer,
    QgsRectangle,
    QgsVectorFileWriter,
    QgsVectorLayer,
    QgsVectorLayerJoinInfo,
    QgsVectorLayerUtils,
)
from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtTest import QTest
from real_engine import SAMPLES, needs_engine

from samgeo_plugin import field_types
from samgeo_plugin.interactive import editing, field_mapping, reading
from samgeo_plugin.interactive.candidates import Accepted
from samgeo_plugin.interactive.changes_layer import old_layer_of
from samgeo_plugin.interactive.decisions import ACCEPTED, OPEN, REJECTED
from samgeo_plugin.interactive.doubt import text_of
from samgeo_plugin.interactive.opening import READY
from samgeo_plugin.interactive.review import Review
from samgeo_plugin.interactive.update_review import UpdateReview
from samgeo_plugin.job import Prompt
from samgeo_plugin.processing import jobs, update_layer
from samgeo_plugin.processing.provider import SamGeoProvider
from samgeo_plugin.processing.update_layer import UpdateLayer

CHANGES = (
    "&field=old_fid:integer&field=old_layer:string(200)&field=status:string"
    "&field=probability:double&field=review:string"
)


def square(x: float, side: float = 10.0) -> QgsGeometry:
    return QgsGeometry.fromWkt(
        f"MULTIPOLYGON((({x} 0,{x + side} 0,{x + side} {side},{x} {side},{x} 0)))"
    )


def saved(made: QgsVectorLayer, path: str, name: str) -> QgsVectorLayer:
    """A copy as a layer of a GeoPackage."""
    options = QgsVectorFileWriter.SaveVectorOptions()
    options.layerName = name
    if Path(path).exists():
        options.actionOnExistingFile = (
            QgsVectorFileWriter.ActionOnExistingFile.CreateOrOverwriteLayer
        )
    QgsVectorFileWriter.writeAsVectorFormatV3(
        made, path, QgsProject.instance().transformContext(), options
    )
    return QgsVectorLayer(f"{path}|layername={name}", name, "ogr")


@pytest.fixture
def old(qgis_app, tmp_path):
    """Four houses with names, in a GeoPackage."""
    made = QgsVectorLayer("MultiPolygon?crs=EPSG:32645&field=name:string", "houses", "memory")
    for k in range(4):
        feature = QgsFeature(made.fields())
        feature.setAttributes([f"house {k}"])
        feature.setGeometry(square(20.0 * k))
        made.dataProvider().addFeature(feature)
    layer = saved(made, str(tmp_path / "houses.gpkg"), "houses")
    QgsProject.instance().addMapLayer(layer)
    yield layer
    QgsProject.instance().removeAllMapLayers()


@pytest.fixture
def changes(old):
    return changes_of(
        old,
        [(1, "confirmed", square(0)), (2, "reshaped", square(20, 14)), (3, "gone", square(40)),
         (4, "moved", square(63)), (None, "new", square(100))],
    )  # fmt: skip


def changes_of(old, rows) -> QgsVectorLayer:
    """A layer of changes with old ids, statuses and outlines."""
    made = QgsVectorLayer("MultiPolygon?crs=EPSG:32645" + CHANGES, "changes", "memory")
    for fid, status, shape in rows:
        feature = QgsFeature(made.fields())
        feature.setAttributes([fid, old.source() if fid else None, status, 0.9, ""])
        feature.setGeometry(shape)
        made.dataProvider().addFeature(feature)
    QgsProject.instance().addMapLayer(made)
    return made


@pytest.fixture
def review(changes, old, wait):
    made = Review()
    assert made.start(changes)
    wait(lambda: made.ready)
    yield made
    made.stop()


def decide(review, status: str, decision: str) -> None:
    review.go(-100)
    while review.layer.getFeature(review.current)["status"] != status:
        review.go(1)
    review.decide(decision)


def begin(review, changes, wait) -> list:
    """Start a review, as after a restart of QGIS; returns the list that its messages go to."""
    review.stop()
    assert review.start(changes)
    wait(lambda: review.ready)
    said = []
    review.message.connect(lambda level, text: said.append(text))
    return said


def area(old, fid: int) -> float:
    return old.getFeature(fid).geometry().area()


def test_what_has_changed_comes_before_what_is_confirmed(review, changes):
    order = [changes.getFeature(each)["status"] for each in review.queue]
    assert order[-1] == "confirmed"


def test_an_accepted_outline_goes_to_the_same_feature_and_a_rejected_one_does_not(review, old):
    decide(review, "reshaped", ACCEPTED)
    decide(review, "moved", REJECTED)
    decide(review, "confirmed", ACCEPTED)
    assert area(old, 2) == pytest.approx(196)
    assert old.getFeature(2)["name"] == "house 1"
    assert old.getFeature(4).geometry().equals(square(60))
    assert area(old, 1) == 100
    assert old.commitChanges()
    assert [f.id() for f in old.getFeatures()] == [1, 2, 3, 4]


@pytest.fixture
def measured(qgis_app, tmp_path):
    """Four houses as the engine writes them, with area and perimeter."""
    fields = "&field=name:string&field=area_m2:double&field=perimeter_m:double"
    made = QgsVectorLayer("MultiPolygon?crs=EPSG:32645" + fields, "houses", "memory")
    for k in range(4):
        feature = QgsFeature(made.fields())
        feature.setAttributes([f"house {k}", 100.5, 40.5])  # not quite what QGIS measures
        feature.setGeometry(square(20.0 * k))
        made.dataProvider().addFeature(feature)
    layer = saved(made, str(tmp_path / "measured.gpkg"), "houses")
    QgsProject.instance().addMapLayer(layer)
    yield layer
    QgsProject.instance().removeAllMapLayers()


def test_area_and_perimeter_are_those_of_the_accepted_outline_until_it_is_taken_back(
    measured, wait
):
    changes = changes_of(
        measured,
        [(2, "reshaped", square(20, 14)), (3, "merged", square(40, 30)),
         (4, "merged", square(40, 30)), (None, "new", square(100))],
    )  # fmt: skip
    review = Review()
    assert review.start(changes)
    wait(lambda: review.ready)

    def rows() -> list:
        return sorted(
            (round(f.geometry().area()), round(f["area_m2"], 1), round(f["perimeter_m"], 1))
            for f in measured.getFeatures()
        )

    def one(side: float) -> tuple:
        sizes = field_mapping.measures(measured, square(40, side))
        area, perimeter = (round(sizes[measured.fields().lookupField(name)], 1)
                           for name in ("area_m2", "perimeter_m"))  # fmt: skip
        return round(side * side), area, perimeter

    was = (100, 100.5, 40.5)
    for each in changes.getFeatures():
        changes.changeAttributeValue(each.id(), changes.fields().lookupField("review"), ACCEPTED)
    assert rows() == sorted([was, one(10), one(14), one(30)])
    changed = next(f for f in changes.getFeatures() if f["status"] == "merged")
    changes.changeAttributeValue(changed.id(), changes.fields().lookupField("review"), OPEN)
    assert rows() == sorted([was, was, one(10), one(14), one(30)]), "the other one has the outline"
    for each in changes.getFeatures():
        changes.changeAttributeValue(each.id(), changes.fields().lookupField("review"), OPEN)
    assert rows() == [was] * 4
    review.stop()
    measured.rollBack()


def test_an_accepted_outline_keeps_the_heights_of_the_old_polygon(qgis_app):
    old = QgsVectorLayer("PolygonZ?crs=EPSG:32645", "roofs", "memory")
    feature = QgsFeature(old.fields())
    feature.setGeometry(QgsGeometry.fromWkt("POLYGONZ((0 0 7,10 0 7,10 10 7,0 10 7,0 0 7))"))
    old.dataProvider().addFeatures([feature])
    (known,) = old.getFeatures()
    changes = changes_of(old, [(known.id(), "reshaped", square(0, 12))])
    (change,) = changes.getFeatures()
    UpdateReview(changes, old).settle(change.id(), accepted=True, was_accepted=False)
    shape = old.getFeature(known.id()).geometry()
    assert shape.area() == 144
    assert {vertex.z() for vertex in shape.vertices()} == {7}
    old.rollBack()
    QgsProject.instance().removeAllMapLayers()


def test_a_change_that_the_old_layer_refuses_is_not_accepted(review, changes, old, wait):
    found = QgsFeatureRequest().setFilterExpression("status = 'reshaped'")
    change = next(changes.getFeatures(found))
    change["old_fid"] = 77  # somebody has deleted that one
    changes.updateFeature(change)
    said = begin(review, changes, wait)
    decide(review, "reshaped", ACCEPTED)
    assert len(said) == 1
    assert "no feature 77" in said[0]
    assert changes.getFeature(change.id())["review"] == OPEN
    assert review.counts[ACCEPTED] == 0
    decide(review, "moved", ACCEPTED)
    assert review.counts[ACCEPTED] == 1
    assert old.getFeature(4).geometry().equals(square(63))


def test_an_update_of_a_layer_that_cannot_be_edited_is_not_started(changes, old):
    said = []
    review = Review()
    review.message.connect(lambda level, text: said.append(text))
    old.setReadOnly(True)
    assert not review.start(changes)
    assert "houses is read-only" in said[0]


def test_what_is_gone_goes_and_what_is_new_comes(review, old):
    decide(review, "gone", ACCEPTED)
    decide(review, "new", ACCEPTED)
    assert not old.getFeature(3).isValid()
    assert old.featureCount() == 4
    assert any(f.geometry().equals(square(100)) for f in old.getFeatures())


def needs_name(old) -> None:
    """The old layer takes no polygon without a name."""
    strength = QgsFieldConstraints.ConstraintStrength.ConstraintStrengthHard
    name = old.fields().lookupField("name")
    old.setFieldConstraint(name, QgsFieldConstraints.Constraint.ConstraintNotNull, strength)


@pytest.fixture
def needing(loaded, changes, old, wait):
    """The plugin's review of an update; the old layer wants a name for each new polygon."""
    loaded.iface.setActiveLayer = lambda chosen: None
    needs_name(old)
    loaded.start_review(changes)
    wait(lambda: loaded.review.ready)
    yield loaded.review
    loaded.review.stop()
    changes.rollBack()


def fill(form) -> None:
    form.attributeForm().changeAttribute("name", "house 4")
    form.accept()


def test_a_new_object_is_accepted_once_its_form_is_filled_in(loaded, needing, changes, old):
    for _ in range(2):
        decide(needing, "new", ACCEPTED)
        (form,) = loaded.forms.open  # one, however often it is accepted
        form.reject()
        assert (needing.counts[ACCEPTED], old.featureCount()) == (0, 4)
    for _ in range(2):
        decide(needing, "new", ACCEPTED)
    (form,) = loaded.forms.open
    assert needing.counts[ACCEPTED] == 0
    fill(form)
    assert (needing.counts[ACCEPTED], old.featureCount()) == (1, 5)
    for count, step in ((4, changes.undoStack().undo), (5, changes.undoStack().redo)):
        step()
        assert old.featureCount() == count
    assert not loaded.forms.open, "what was entered is known"
    assert "house 4" in {feature["name"] for feature in old.getFeatures()}
    assert old.commitChanges(False), old.commitErrors()


def test_the_form_of_a_corrected_new_object_has_the_corrected_outline(
    loaded, town, needing, changes, old, wait
):
    canvas, session = loaded.iface.canvas, loaded.controller.session
    loaded.iface.active = town
    loaded.tool_action.trigger()
    wait(lambda: session.state == READY)
    window = loaded.iface.window
    window.setCentralWidget(canvas)
    window.show()
    window.activateWindow()
    wait(window.isActiveWindow)
    canvas.setFocus()
    new = next(each for each in changes.getFeatures() if each["status"] == "new")
    changes.changeGeometry(new.id(), shifted(300001))
    needing.go(-100)
    while needing.current != new.id():
        needing.go(1)
    QTest.keyClick(canvas, Qt.Key.Key_R)
    loaded.tool._add(Prompt("point", [[300003.0, 3000008.0]]))
    wait(lambda: session.candidates and not session.is_waiting)
    QTest.keyClick(canvas, Qt.Key.Key_A)
    assert not loaded.forms.open, "the outline is still to come"
    wait(lambda: not session.pending)
    (form,) = loaded.forms.open
    assert needing.counts[ACCEPTED] == 0
    corrected = changes.getFeature(new.id()).geometry()
    assert not corrected.equals(shifted(300001))
    fill(form)
    assert needing.counts[ACCEPTED] == 1
    added = next(each for each in old.getFeatures() if each["name"] == "house 4")
    assert added.geometry().isGeosEqual(corrected)
    old.rollBack()


def shifted(x: float) -> QgsGeometry:
    """A square of 4 m within the town."""
    shape = square(x, 4)
    shape.translate(0, 3000001)
    return shape


def test_the_form_of_what_is_not_accepted_any_more_is_closed(loaded, needing, changes, old, wait):
    status = changes.fields().lookupField("review")
    for ends in (
        lambda: decide(needing, "new", REJECTED),
        lambda: changes.changeAttributeValue(needing.current, status, OPEN),
        lambda: changes.changeGeometry(needing.current, square(100, 12)),
        needing.stop,
    ):
        decide(needing, "new", ACCEPTED)
        assert len(loaded.forms.open) == 1
        ends()
        assert not loaded.forms.open
        assert old.featureCount() == 4


def test_the_field_for_decisions_may_go_while_a_form_is_open(loaded, needing, changes, old):
    decide(needing, "new", ACCEPTED)
    (form,) = loaded.forms.open
    assert changes.deleteAttribute(changes.fields().lookupField("review"))
    fill(form)
    assert old.featureCount() == 5
    new = next(each for each in changes.getFeatures() if each["status"] == "new")
    assert new["review"] == ACCEPTED
    assert needing.counts[ACCEPTED] == 1
    old.rollBack()


def test_a_form_whose_layer_is_removed_is_forgotten(loaded, needing, changes, old, wait):
    decide(needing, "new", ACCEPTED)
    QgsProject.instance().removeMapLayer(old.id())
    wait(lambda: not loaded.forms.open)
    assert not loaded.forms.of_changes
    needing.stop()


def test_a_new_object_that_needs_values_gets_the_layers_form(loaded, needing, old):
    review = needing
    decide(review, "new", ACCEPTED)
    assert old.featureCount() == 4, "without a name it could not be saved"
    (form,) = loaded.forms.open
    fill(form)
    assert old.featureCount() == 5
    decide(review, "new", ACCEPTED)
    assert not loaded.forms.open, "it is there already"
    assert old.commitChanges(), old.commitErrors()
    assert [f["name"] for f in old.getFeatures() if f.geometry().isGeosEqual(square(100))] == [
        "house 4"
    ]
    decide(review, "new", OPEN)
    assert old.featureCount() == 4


def test_many_new_objects_at_once_open_no_forms(review, changes, old):
    needs_name(old)
    forms, said = [], []
    review.form_wanted.connect(forms.append)
    review.message.connect(lambda level, text: said.append(text))
    review.go(100)
    new = next(each for each in changes.getFeatures() if each["status"] == "new").id()
    assert review.current != new
    changes.changeAttributeValue(new, changes.fields().lookupField("review"), ACCEPTED)
    assert not forms
    assert "one by one" in said[0]


def test_an_undo_in_a_transaction_of_both_layers_takes_a_new_object_back(
    transaction_groups, old, wait
):
    rows = changes_of(old, [(1, "confirmed", square(0)), (None, "new", square(100))])
    changes = saved(rows, old.source().split("|")[0], "changes")
    QgsProject.instance().removeMapLayer(rows.id())
    QgsProject.instance().addMapLayer(changes)
    review = Review()
    said = begin(review, changes, wait)
    assert reading.in_transaction(old)
    decide(review, "new", ACCEPTED)
    assert len(list(old.getFeatures())) == 5
    changes.undoStack().undo()
    assert len(list(old.getFeatures())) == 4
    assert said == []
    review.stop()


def test_undo_and_the_key_for_open_bring_the_old_outline_back(review, changes, old):
    decide(review, "reshaped", ACCEPTED)
    changes.undoStack().undo()
    assert area(old, 2) == 100
    changes.undoStack().redo()
    assert area(old, 2) == pytest.approx(196)
    decide(review, "reshaped", OPEN)
    assert area(old, 2) == 100


@pytest.fixture
def adding(loaded, changes, old, wait):
    """The plugin's review of an update whose old layer is the target; adds an object to it."""
    loaded.iface.setActiveLayer = lambda chosen: None
    loaded.controller.set_target(old)
    loaded.start_review(changes)
    wait(lambda: loaded.review.ready)

    def add(x: float) -> None:
        accepted = Accepted(square(x), square(x), old.crs(), {})
        loaded.controller.session.accepted.emit(accepted)

    yield add
    loaded.review.stop()
    for layer in (changes, old):
        layer.rollBack()


def undone(loaded, changes, old) -> list:
    """Decisions, the size of the reshaped polygon and the number of polygons after each undo."""
    states = []
    while loaded.editor.undo():
        decided = sum(bool(each["review"]) for each in changes.getFeatures())
        states.append((decided, round(area(old, 2)), old.featureCount()))
    return states


def test_ctrl_z_undoes_decisions_and_what_was_added_in_their_order(loaded, adding, changes, old):
    adding(200)
    decide(loaded.review, "reshaped", ACCEPTED)
    decide(loaded.review, "gone", ACCEPTED)
    adding(220)
    adding(240)
    decide(loaded.review, "moved", REJECTED)
    assert undone(loaded, changes, old) == [
        (2, 196, 6), (2, 196, 5), (2, 196, 4), (1, 196, 5), (0, 100, 5), (0, 100, 4),
    ]  # fmt: skip
    assert sorted(each["name"] for each in old.getFeatures()) == [f"house {k}" for k in range(4)]
    decide(loaded.review, "gone", ACCEPTED)
    assert undone(loaded, changes, old) == [(0, 100, 4)], "decided anew after all was undone"


def test_ctrl_z_does_not_undo_a_decision_in_the_old_layer_alone(loaded, adding, changes, old):
    adding(200)
    decide(loaded.review, "reshaped", ACCEPTED)
    assert changes.commitChanges(False)
    assert undone(loaded, changes, old) == [], "the decision is saved, and below it is the house"
    adding(220)
    assert undone(loaded, changes, old) == [(1, 196, 5)]
    assert old.commitChanges(False)
    decide(loaded.review, "reshaped", OPEN)
    adding(240)
    changes.undoStack().undo()  # by QGIS's own button, which goes by layers
    assert undone(loaded, changes, old) == [], "the outline would be another one than decided"
    assert area(old, 2) == 196


def test_a_polygon_that_went_comes_back_with_its_id_and_attributes(review, changes, old):
    decide(review, "gone", ACCEPTED)
    decide(review, "gone", OPEN)
    assert old.commitChanges()
    back = old.getFeature(3)
    assert back["name"] == "house 2"
    assert back.geometry().equals(square(40))


def test_a_review_that_is_started_again_takes_back_what_was_accepted(review, changes, old, wait):
    for status in ("reshaped", "gone", "new"):
        decide(review, status, ACCEPTED)
    said = begin(review, changes, wait)
    for status in ("reshaped", "gone", "new"):
        decide(review, status, REJECTED)
    assert old.commitChanges()
    assert [(f.id(), f["name"], f.geometry().area()) for f in old.getFeatures()] == [
        (k + 1, f"house {k}", 100) for k in range(4)
    ]
    assert not said


def test_what_is_accepted_twice_is_done_once(review, changes, old, wait):
    for save in (False, True):
        for status in ("reshaped", "gone", "new"):
            decide(review, status, ACCEPTED)
        assert old.featureCount() == 4
        assert not save or old.commitChanges(False)
        assert not begin(review, changes, wait)
    decide(review, "new", ACCEPTED)
    assert old.featureCount() == 4
    for decision in (OPEN, ACCEPTED, ACCEPTED):
        decide(review, "gone", decision)
    assert old.featureCount() == 4
    assert not any(f["name"] == "house 2" for f in old.getFeatures())


def test_a_new_polygon_that_was_saved_is_taken_back(review, old):
    decide(review, "new", ACCEPTED)
    assert old.commitChanges(False)
    decide(review, "new", REJECTED)
    assert old.featureCount() == 4


def test_what_was_undone_in_the_old_layer_can_be_accepted_again(review, old):
    decide(review, "reshaped", ACCEPTED)
    old.undoStack().undo()
    decide(review, "reshaped", ACCEPTED)
    assert area(old, 2) == pytest.approx(196)
    decide(review, "reshaped", OPEN)
    assert area(old, 2) == 100


def test_what_cannot_be_taken_back_is_said(review, changes, old, wait):
    for status in ("reshaped", "gone", "new"):
        decide(review, status, ACCEPTED)
    new = next(f.id() for f in old.getFeatures() if f.geometry().equals(square(100)))
    old.changeGeometry(new, square(101))
    assert old.commitChanges()
    said = begin(review, changes, wait)
    for status in ("reshaped", "gone", "new"):
        decide(review, status, REJECTED)
    assert len(said) == 3
    assert "by hand" in said[0]
    assert area(old, 2) == pytest.approx(196)


def test_old_outlines_come_from_the_engines_layer_of_them(changes, old, tmp_path, wait):
    path = str(tmp_path / "changes.gpkg")
    before = QgsVectorLayer(
        "MultiPolygon?crs=EPSG:32645&field=old_fid:integer&field=name:string", "before", "memory"
    )
    for house in old.getFeatures():
        feature = QgsFeature(before.fields())
        feature.setAttributes([house.id(), house["name"]])
        feature.setGeometry(house.geometry())
        before.dataProvider().addFeature(feature)
    stored = saved(changes, path, "changes")
    saved(before, path, "changes_before")
    review = Review()
    begin(review, stored, wait)
    decide(review, "reshaped", ACCEPTED)
    decide(review, "gone", ACCEPTED)
    assert old.commitChanges()
    said = begin(review, stored, wait)
    decide(review, "reshaped", REJECTED)
    decide(review, "gone", REJECTED)
    review.stop()
    assert not said
    assert old.commitChanges()
    assert area(old, 2) == 100
    assert old.getFeature(3)["name"] == "house 2"


def test_values_come_back_also_where_the_engine_uses_the_name_itself(qgis_app, tmp_path, wait):
    """Its layer of old outlines has such fields by another name (``carried_fields``)."""
    fields = "&field=status:string&field=Score:string&field=old_probability:string"
    fields += "&field=probability:string&field=AREA_M2:double"
    values = ["inhabited", "good", "own", "high", 100.5]
    made = QgsVectorLayer("MultiPolygon?crs=EPSG:32645" + fields, "houses", "memory")
    engines = "&field=score:double&field=area_m2:double&field=old_status:string"
    engines += "&field=prompt_Score:string&field=old_probability:string"
    engines += "&field=old_old_probability:string&field=old_AREA_M2:double&field=old_id:string"
    before = QgsVectorLayer(
        f"MultiPolygon?crs=EPSG:32645{engines}&field=old_fid:integer", "b", "memory"
    )
    for k in range(2):
        feature = QgsFeature(made.fields())
        feature.setAttributes(values)
        feature.setGeometry(square(20.0 * k))
        made.dataProvider().addFeature(feature)
        kept = QgsFeature(before.fields())
        kept.setAttributes([None, None, *values, str(k + 1), k + 1])
        kept.setGeometry(square(20.0 * k))
        before.dataProvider().addFeature(kept)
    old = saved(made, str(tmp_path / "houses.gpkg"), "houses")
    QgsProject.instance().addMapLayer(old)
    taken = changes_of(old, [(1, "gone", square(0)), (2, "reshaped", square(20, 14))])
    stored = saved(taken, str(tmp_path / "changes.gpkg"), "changes")
    saved(before, str(tmp_path / "changes.gpkg"), "changes_before")
    review = Review()
    begin(review, stored, wait)
    decide(review, "gone", ACCEPTED)
    decide(review, "reshaped", ACCEPTED)
    assert old.commitChanges()
    assert area(old, 2) == 196
    begin(review, stored, wait)
    decide(review, "gone", OPEN)
    decide(review, "reshaped", OPEN)
    review.stop()
    assert old.commitChanges()
    for fid in (1, 2):
        assert old.getFeature(fid).attributes() == [fid, *values]
        assert area(old, fid) == 100
    QgsProject.instance().removeAllMapLayers()


def test_measures_that_nobody_kept_are_those_of_the_outline(measured, tmp_path, wait):
    """As where their fields were filled in after the engine had read the layer."""
    stored = saved(
        changes_of(measured, [(2, "reshaped", square(20, 14))]),
        str(tmp_path / "changes.gpkg"),
        "changes",
    )
    fields = "&field=area_m2:double&field=perimeter_m:double&field=old_fid:integer"
    before = QgsVectorLayer("MultiPolygon?crs=EPSG:32645" + fields, "before", "memory")
    kept = QgsFeature(before.fields())
    kept.setAttributes([None, 40.5, 2])
    kept.setGeometry(square(20))
    before.dataProvider().addFeature(kept)
    saved(before, str(tmp_path / "changes.gpkg"), "changes_before")
    review = Review()
    begin(review, stored, wait)
    decide(review, "reshaped", ACCEPTED)
    assert measured.commitChanges()
    begin(review, stored, wait)
    decide(review, "reshaped", OPEN)
    review.stop()
    back = measured.getFeature(2)
    assert back.geometry().area() == 100
    assert back["area_m2"] == pytest.approx(100, rel=0.01)
    assert back["perimeter_m"] == 40.5
    measured.rollBack()


@pytest.mark.parametrize("status", ["reshaped", "new"])
@pytest.mark.parametrize("save", [False, True])
def test_a_correction_of_what_was_accepted_goes_on_to_the_old_layer(
    review, changes, old, status, save
):
    decide(review, status, ACCEPTED)
    assert not save or old.commitChanges(False)
    at = {"reshaped": 20, "new": 100}[status]
    change = next(each for each in changes.getFeatures() if each["status"] == status).id()

    def there() -> list:
        return sorted(
            each.geometry().area()
            for each in old.getFeatures(QgsFeatureRequest().setFilterRect(
                square(at).boundingBox()))
        )  # fmt: skip

    before = there()
    for side in (13, 12):
        with editing.command(changes, "Correct object"):
            changes.changeGeometry(change, square(at, side))
        assert there() == [side * side]
    decide(review, status, ACCEPTED)
    assert there() == [144]
    for _ in range(2):
        changes.undoStack().undo()  # the second decision, and the second correction
    assert there() == [169]
    changes.undoStack().undo()
    assert there() == before
    changes.changeGeometry(change, square(at, 11))
    decide(review, status, REJECTED)
    assert there() == ([100] if status == "reshaped" else [])


@pytest.mark.parametrize("status", ["reshaped", "new"])
def test_a_correction_in_a_later_review_goes_on_to_the_old_layer(
    review, changes, old, wait, status
):
    decide(review, status, ACCEPTED)
    assert old.commitChanges()
    said = begin(review, changes, wait)
    at = {"reshaped": 20, "new": 100}[status]
    change = next(each for each in changes.getFeatures() if each["status"] == status).id()
    count = old.featureCount()
    for side in (12, 11):
        changes.changeGeometry(change, square(at, side))
        assert old.featureCount() == count
        assert any(each.geometry().area() == side * side for each in old.getFeatures())
    assert not said
    decide(review, status, OPEN)
    if status == "new":
        assert old.featureCount() == 4
    else:
        assert "not known any more" in said[0]
        assert area(old, 2) == 121


def test_what_nobody_has_accepted_is_corrected_without_the_old_layer(review, changes, old):
    decide(review, "reshaped", REJECTED)
    change = next(each for each in changes.getFeatures() if each["status"] == "reshaped").id()
    changes.changeGeometry(change, square(20, 12))
    assert area(old, 2) == 100
    assert not old.isEditable()


def test_a_new_object_that_was_changed_in_the_old_layer_stays_when_it_is_accepted_again(
    review, old
):
    decide(review, "new", ACCEPTED)
    (made,) = (each.id() for each in old.getFeatures() if each.id() < 0)
    old.changeGeometry(made, square(100, 9))
    decide(review, "new", ACCEPTED)
    assert area(old, made) == 81


def test_save_writes_the_old_layer_before_the_decisions(
    loaded, changes, old, tmp_path, wait, monkeypatch
):
    loaded.iface.setActiveLayer = lambda chosen: None
    stored = saved(changes, str(tmp_path / "changes.gpkg"), "changes")
    QgsProject.instance().addMapLayer(stored)
    loaded.start_review(stored)
    wait(lambda: loaded.review.ready)
    decide(loaded.review, "reshaped", ACCEPTED)

    def on_disk() -> tuple:
        request = QgsFeatureRequest(2)
        (house,) = old.dataProvider().getFeatures(request)
        decisions = [each["review"] for each in stored.dataProvider().getFeatures()]
        return house.geometry().area(), decisions.count(ACCEPTED)

    with monkeypatch.context() as broken:
        broken.setattr(old, "commitChanges", lambda stop: False)
        broken.setattr(old, "commitErrors", lambda: ["the disk is full"])
        loaded.dock.review.mode.save.click()
    assert on_disk() == (100, 0), "what the old layer does not have is not done"
    assert stored.isModified()
    assert "houses: the disk is full" in loaded.iface.text()
    loaded.dock.review.mode.save.click()
    assert on_disk() == (196, 1)
    assert not stored.isModified()
    assert not old.isModified()
    loaded.review.stop()
    for layer in (stored, old):
        layer.rollBack()


FORMATS = {"gpkg": "GPKG", "shp": "ESRI Shapefile", "geojson": "GeoJSON", "fgb": "FlatGeobuf"}


@pytest.fixture(params=FORMATS)
def street(qgis_app, tmp_path, request):
    """Six houses in a file, with the changes of a run: ``street(shown)`` adds them to it."""
    made = QgsVectorLayer("MultiPolygon?crs=EPSG:32645&field=name:string(20)", "street", "memory")
    for k in range(6):
        feature = QgsFeature(made.fields())
        feature.setAttributes([f"house {k}"])
        feature.setGeometry(square(20.0 * k))
        made.dataProvider().addFeature(feature)
    options = QgsVectorFileWriter.SaveVectorOptions()
    options.driverName = FORMATS[request.param]
    path = str(tmp_path / f"street.{request.param}")
    QgsVectorFileWriter.writeAsVectorFormatV3(
        made, path, QgsProject.instance().transformContext(), options
    )
    layer = QgsVectorLayer(path, "street", "ogr")
    QgsProject.instance().addMapLayer(layer)
    yield layer
    layer.rollBack()
    QgsProject.instance().removeAllMapLayers()


def changes_of_street(street) -> QgsVectorLayer:
    ids = {each["name"]: each.id() for each in street.getFeatures()}
    found = [("gone", square(0)), ("confirmed", square(20)), ("reshaped", square(40, 12)),
             ("moved", square(61)), ("confirmed", square(80)), ("gone", square(100))]  # fmt: skip
    rows = [(ids[f"house {k}"], *row) for k, row in enumerate(found)]
    made = changes_of(street, [])
    for fid, status, shape in [*rows, (None, "new", square(41))]:
        feature = QgsFeature(made.fields())
        path = street.source() if fid is not None else None
        feature.setAttributes([fid, path, status, 0.9, ""])
        feature.setGeometry(shape)
        made.dataProvider().addFeature(feature)
    return made


def outlines(street) -> dict[str, tuple[float, float]]:
    """Where houses begin, and how wide they are, by their names."""
    boxes = {each["name"] or "": each.geometry().boundingBox() for each in street.getFeatures()}
    return {name: (box.xMinimum(), box.width()) for name, box in boxes.items()}


@pytest.mark.parametrize("again", [False, True])
def test_an_update_goes_to_its_polygons_after_the_old_layer_was_saved(street, wait, again):
    """Files like Shapefiles number polygons anew where some were deleted."""
    changes, review = changes_of_street(street), Review()
    said = begin(review, changes, wait)
    assert review.update is not None
    for status in ("gone", "new"):
        decide(review, status, ACCEPTED)
    assert street.commitChanges(False), street.commitErrors()
    if again:
        said = begin(review, changes, wait)
    decide(review, "reshaped", ACCEPTED)
    decide(review, "moved", ACCEPTED)
    assert street.commitChanges(False), street.commitErrors()
    done = {"house 1": (20, 10), "house 2": (40, 12), "house 3": (61, 10), "house 4": (80, 10),
            "house 5": (100, 10), "": (41, 10)}  # fmt: skip
    assert outlines(street) == done
    decide(review, "reshaped", ACCEPTED)
    assert outlines(street) == done
    changes.changeGeometry(review.queue[[
        changes.getFeature(each)["status"] for each in review.queue].index("moved")],
        square(62))  # fmt: skip
    assert outlines(street) == {**done, "house 3": (62, 10)}
    assert not said
    for status in ("moved", "reshaped", "new"):
        decide(review, status, OPEN)
    assert not said
    del done[""]
    assert outlines(street) == {**done, "house 2": (40, 10), "house 3": (60, 10)}
    if not again:  # how it was is not known to a later review
        decide(review, "gone", OPEN)
        assert outlines(street)["house 0"] == (0, 10)
    assert not said
    review.stop()


def test_the_old_layer_is_read_in_steps(street, wait, features_read):
    changes, review = changes_of_street(street), Review()
    begin(review, changes, wait)
    decide(review, "gone", ACCEPTED)
    assert street.commitChanges(False)
    review.stop()
    features_read.clear()
    assert review.start(changes)
    assert len(features_read) == 1, "one change, which names the old layer"
    wait(lambda: review.ready)
    review.stop()


def test_the_old_layer_may_be_saved_or_removed_while_it_is_read(street, wait):
    changes, review = changes_of_street(street), Review()
    begin(review, changes, wait)
    street.startEditing()
    street.deleteFeature(min(street.allFeatureIds()))
    review.stop()
    assert review.start(changes)
    assert street.commitChanges(False)
    wait(lambda: review.ready)
    decide(review, "reshaped", ACCEPTED)
    assert outlines(street)["house 2"] == (40, 12)
    review.stop()
    street.rollBack()
    copy = street.clone()
    QgsProject.instance().takeMapLayer(street)
    QgsProject.instance().addMapLayer(copy)
    assert review.start(changes)
    next(review._steps._work)
    QgsProject.instance().removeMapLayer(copy.id())
    wait(lambda: review.ready)
    review.stop()


def test_what_came_back_is_known_to_a_later_review(street, wait):
    changes, review = changes_of_street(street), Review()
    begin(review, changes, wait)
    decide(review, "gone", ACCEPTED)
    decide(review, "gone", OPEN)
    assert "house 0" in outlines(street)
    said = begin(review, changes, wait)
    decide(review, "gone", ACCEPTED)
    assert "house 0" not in outlines(street)
    assert not said
    review.stop()


def test_a_polygon_that_is_not_known_again_is_left_as_it_is(street, wait):
    changes, review = changes_of_street(street), Review()
    begin(review, changes, wait)
    decide(review, "gone", ACCEPTED)
    found = QgsFeatureRequest().setFilterExpression("name = 'house 3'")
    (house,) = street.getFeatures(found)
    street.changeGeometry(house.id(), square(200))
    assert street.commitChanges(False), street.commitErrors()
    kept = outlines(street)
    said = begin(review, changes, wait)
    decide(review, "moved", ACCEPTED)
    by_number = street.dataProvider().storageType() == "GPKG"
    assert outlines(street) == (kept if not by_number else {**kept, "house 3": (61, 10)})
    assert by_number or "any more" in said[0]
    review.stop()


def test_what_is_gone_and_not_known_again_is_said(street, wait):
    changes, review = changes_of_street(street), Review()
    first, last = (f.id() for f in changes.getFeatures() if f["status"] == "gone")
    begin(review, changes, wait)
    decide(review, "gone", ACCEPTED)
    (house,) = street.getFeatures(QgsFeatureRequest().setFilterExpression("name = 'house 5'"))
    street.changeGeometry(house.id(), square(200))
    assert street.commitChanges(False), street.commitErrors()
    said = begin(review, changes, wait)
    while review.current != last:
        review.go(1)
    review.decide(ACCEPTED)
    by_number = street.dataProvider().storageType() == "GPKG"
    assert ("house 5" in outlines(street)) is not by_number
    assert ["any more" in each for each in said] == ([] if by_number else [True])
    assert (text_of(changes.getFeature(last)["review"]) == ACCEPTED) is by_number
    said.clear()
    while review.current != first:
        review.go(-1)
    review.decide(ACCEPTED)
    assert not said, "it went before"
    review.stop()


def test_what_has_gone_by_hand_is_accepted(review, old):
    said = []
    review.message.connect(lambda level, text: said.append(text))
    assert old.startEditing()
    old.deleteFeature(3)
    decide(review, "gone", ACCEPTED)
    assert old.commitChanges(False)
    decide(review, "gone", OPEN)
    decide(review, "gone", ACCEPTED)
    assert outlines(old).keys() == {"house 0", "house 1", "house 3"}
    assert "by hand" in said[0]
    assert len(said) == 1


def test_changes_in_a_shapefile_are_an_update(loaded, old, changes, tmp_path, wait):
    loaded.iface.setActiveLayer = lambda chosen: None
    options = QgsVectorFileWriter.SaveVectorOptions()
    options.driverName = "ESRI Shapefile"
    path = str(tmp_path / "changes.shp")
    QgsVectorFileWriter.writeAsVectorFormatV3(
        changes, path, QgsProject.instance().transformContext(), options
    )
    stored = QgsVectorLayer(path, "stored", "ogr")
    assert "probabilit" in stored.fields().names()
    QgsProject.instance().addMapLayer(stored)
    loaded.start_review(stored)
    review, mode = loaded.review, loaded.dock.review.mode
    assert review.update is not None
    wait(lambda: "probability 0.90" in mode.reasons.text())
    decide(review, "reshaped", ACCEPTED)
    assert area(old, 2) == 196
    review.stop()
    stored.rollBack()


def test_a_long_name_of_the_old_layer_is_cut_in_a_shapefile(old, tmp_path):
    folder = tmp_path / ("f" * 120) / ("g" * 120)
    folder.mkdir(parents=True)
    far = saved(old, str(folder / "houses.gpkg"), "houses")
    QgsProject.instance().addMapLayer(far)
    assert len(far.source()) > 254
    stored = QgsVectorLayer("Polygon?field=old_layer:string(254)", "stored", "memory")
    feature = QgsFeature(stored.fields())
    feature.setAttributes([far.source()[:254]])
    stored.dataProvider().addFeatures([feature])
    assert old_layer_of(stored) is far


def test_of_a_layer_that_is_there_twice_the_one_that_shows_all_is_changed(old, changes):
    project = QgsProject.instance()
    filtered, hidden = (QgsVectorLayer(old.source(), name, "ogr") for name in ("a", "b"))
    filtered.setSubsetString("name = 'house 0'")
    project.addMapLayers([filtered, hidden])
    project.layerTreeRoot().findLayer(hidden.id()).setItemVisibilityChecked(False)
    assert list(project.mapLayers())[:2] == [filtered.id(), hidden.id()]
    assert old_layer_of(changes) is old
    assert hidden.startEditing()
    assert old_layer_of(changes) is hidden
    hidden.rollBack()
    old.setReadOnly(True)
    assert old_layer_of(changes) is hidden
    project.removeMapLayers([old.id(), hidden.id()])
    assert old_layer_of(changes) is filtered


@pytest.mark.parametrize("when", ["not at all", "before the review", "in the review"])
def test_polygons_that_were_not_saved_when_they_were_compared_are_known(old, wait, when):
    assert old.startEditing()
    drawn = []
    for k in (4, 5):
        feature = QgsVectorLayerUtils.createFeature(old, square(20.0 * k), {1: f"house {k}"})
        assert old.addFeature(feature)
        drawn.append(feature.id())
    assert max(drawn) < 0
    changes = changes_of(
        old,
        [(1, "confirmed", square(0)), (drawn[0], "gone", square(80)),
         (drawn[1], "reshaped", square(100, 12)), (None, "new", square(100, 11))],
    )  # fmt: skip
    if when == "before the review":
        assert old.commitChanges(False), old.commitErrors()
        other = QgsVectorLayerUtils.createFeature(old, square(400), {1: "another one"})
        assert old.addFeature(other)
    review = Review()
    said = begin(review, changes, wait)
    if when == "in the review":
        assert old.commitChanges(False), old.commitErrors()
    decide(review, "gone", ACCEPTED)
    decide(review, "reshaped", ACCEPTED)
    found = outlines(old)
    assert "house 4" not in found
    assert found["house 5"] == (100, 12)
    decide(review, "gone", OPEN)
    assert outlines(old)["house 4"] == (80, 10)
    assert len(found) == 5 + (when == "before the review")
    review.stop()
    assert not said


def test_a_polygon_that_was_drawn_later_is_none_that_was_not_saved(old, wait):
    assert old.startEditing()
    other = QgsVectorLayerUtils.createFeature(old, square(400), {1: "another one"})
    assert old.addFeature(other)
    changes = changes_of(old, [(other.id(), "reshaped", square(60, 12))])
    review = Review()
    said = begin(review, changes, wait)
    decide(review, "reshaped", ACCEPTED)
    assert "house 3" in outlines(old)
    assert outlines(old)["another one"] == (400, 10)
    review.stop()
    assert not said


def test_polygons_that_merged_become_one(old, wait):
    whole = QgsGeometry.fromWkt("MULTIPOLYGON(((0 0,30 0,30 10,0 10,0 0)))")
    changes = changes_of(old, [(1, "merged", whole), (2, "merged", whole)])
    review = Review()
    said = begin(review, changes, wait)
    review.decide(ACCEPTED)
    assert (area(old, 1), area(old, 2)) == (300, 100)
    review.decide(ACCEPTED)
    assert area(old, 1) == 300
    assert not old.getFeature(2).isValid()

    review.go(-100)
    review.decide(REJECTED)  # the other one is merged still
    assert area(old, 1) == 100
    heir = [f for f in old.getFeatures() if f["name"] == "house 1"]
    assert [f.geometry().area() for f in heir] == [300]
    review.decide(REJECTED)
    assert sorted((f["name"], f.geometry().area()) for f in old.getFeatures()) == [
        (f"house {k}", 100) for k in range(4)
    ]
    assert old.commitChanges()
    assert [f.id() for f in old.getFeatures()] == [1, 2, 3, 4]
    review.stop()
    assert not said


def test_the_old_outline_is_known_for_the_map(review, old):
    decide(review, "reshaped", ACCEPTED)
    review.go(-100)
    while review.layer.getFeature(review.current)["status"] != "reshaped":
        review.go(1)
    assert review.before().area() == 100


def test_an_update_whose_old_layer_is_not_open_is_not_started(changes, old):
    QgsProject.instance().removeMapLayer(old.id())
    said = []
    review = Review()
    review.message.connect(lambda level, text: said.append(text))
    assert not review.start(changes)
    assert "open that layer first" in said[0]


@pytest.fixture
def updated(town, tmp_path, monkeypatch):
    """Runs the algorithm with an engine that says that every polygon is 14 by 14 metres now."""

    asked = []

    def engine(self, given, method, params):
        asked.append(params)
        # The folder of the run is gone when it ends.
        run.copy = QgsVectorLayer(params["input"], "copy", "ogr").materialize(QgsFeatureRequest())
        fields = CHANGES + "&field=samgeo_source_fid:integer"
        made = QgsVectorLayer("MultiPolygon?crs=EPSG:32645" + fields, "changes", "memory")
        copy = QgsVectorLayer(params["input"], "copy", "ogr")
        number = copy.fields().lookupField("samgeo_source_fid")
        for each in copy.getFeatures():
            feature = QgsFeature(made.fields())
            ids = each.id(), params["input"]
            own = each.id() if number < 0 else each[number]
            feature.setAttributes([*ids, "reshaped", 0.9, "", own])
            feature.setGeometry(square(each.geometry().boundingBox().xMinimum(), 14))
            made.dataProvider().addFeature(feature)
        saved(made, params["output"], "changes")
        done = {"output": params["output"], "layer": "changes", "counts": {}}
        return {**done, "shift_east_m": 0, "shift_north_m": 0}

    def run(layer, **options) -> tuple[QgsVectorLayer, str]:
        """Besides what it returns: ``run.asked`` of the engine, and the old polygons it had."""
        context, feedback = QgsProcessingContext(), QgsProcessingFeedback()
        context.setProject(QgsProject.instance())
        results, good = provider.algorithm("updatelayer").run(
            {"INPUT": layer, "RASTER": town.source(),
             "OUTPUT": str(tmp_path / f"changes{len(asked)}.gpkg"), **options},
            context, feedback,
        )  # fmt: skip
        assert good, feedback.textLog()
        return QgsVectorLayer(results["OUTPUT"], "changes", "ogr"), feedback.textLog()

    run.asked = asked
    monkeypatch.setattr(jobs, "root", lambda: tmp_path / "jobs")
    monkeypatch.setattr(UpdateLayer, "run_engine", engine)
    provider = SamGeoProvider()
    QgsApplication.processingRegistry().addProvider(provider)
    yield run
    run.copy = None  # a layer must not outlive QGIS
    QgsApplication.processingRegistry().removeProvider(provider)


def test_an_update_of_a_copy_is_reviewed_in_the_users_own_layer(old, updated, tmp_path, wait):
    shapefile = str(tmp_path / "houses.shp")
    options = QgsVectorFileWriter.SaveVectorOptions()
    options.driverName = "ESRI Shapefile"
    QgsVectorFileWriter.writeAsVectorFormatV3(
        old, shapefile, QgsProject.instance().transformContext(), options
    )
    mine = QgsVectorLayer(shapefile, "mine", "ogr")
    QgsProject.instance().addMapLayer(mine)
    changes, log = updated(mine)
    review = Review()
    said = begin(review, changes, wait)
    decide(review, "reshaped", ACCEPTED)
    review.stop()
    assert not said
    assert "Save it as a GeoPackage" not in log
    assert [area(mine, k) for k in range(4)] == [196, 100, 100, 100]


def test_a_result_that_cannot_name_the_users_layer_says_so(
    old, updated, monkeypatch, tmp_path, gdal_exceptions
):
    monkeypatch.setattr(update_layer, "_is_as_saved", lambda layer: False)
    monkeypatch.setattr(update_layer, "SOURCE_FID", "no_such_column")
    _, log = updated(old)
    assert "cannot be written to again" in log
    assert not update_layer._name_source(str(tmp_path / "none.gpkg"), "l", "old.gpkg", "houses")


def test_source_options_of_the_input_count(old, updated):
    some = QgsProcessingFeatureSourceDefinition(old.id())
    assert updated(some)[0].featureCount() == 4
    assert updated.asked[-1]["input"] == update_layer._file_and_layer(old)[0], "all of it, as it is"
    assert updated.asked[-1]["new_objects"]
    some.featureLimit = 2
    changes, log = updated(some)
    assert changes.featureCount() == 2
    assert "not a layer of a file" not in log
    assert not updated.asked[-1]["new_objects"], "the old polygons beyond the limit are not new"
    assert "no new objects are looked for" in log
    old.selectByIds([3])
    changes, log = updated(QgsProcessingFeatureSourceDefinition(old.id(), True))
    (change,) = changes.getFeatures()
    assert (change["old_fid"], change["old_layer"]) == (3, old.source())
    assert "not a layer of a file" not in log
    some = QgsProcessingFeatureSourceDefinition(old.id())
    some.flags = QgsProcessingFeatureSourceDefinition.Flag.FlagOverrideDefaultGeometryCheck
    assert updated(some)[0].featureCount() == 4
    assert updated.asked[-1]["input"].endswith("polygons.gpkg")
    if hasattr(some, "filterExpression"):  # since QGIS 3.32
        some.filterExpression = "name = 'house 1'"
        assert updated(some)[0].featureCount() == 1


def test_polygons_that_are_not_saved_yet_are_compared_with_a_warning(old, updated):
    assert old.startEditing()
    assert "not saved yet" not in updated(old)[1]
    assert old.addFeature(QgsVectorLayerUtils.createFeature(old, square(80), {1: "house 4"}))
    changes, log = updated(old)
    assert changes.featureCount() == 5
    assert "houses has polygons that are not saved yet" in log


def test_what_was_saved_in_a_transaction_is_not_called_unsaved(transaction_groups, old, updated):
    assert old.startEditing()
    assert reading.in_transaction(old)
    assert old.addFeature(QgsVectorLayerUtils.createFeature(old, square(80), {1: "house 4"}))
    assert old.commitChanges(False)
    assert "not saved yet" not in updated(old)[1]


@pytest.mark.parametrize("field", ["vname", "j_owner"])
def test_a_field_that_only_qgis_knows_is_handed_over(old, updated, field):
    old.addExpressionField("'V ' || name", QgsField("vname", field_types.TEXT))
    owners = QgsVectorLayer("None?field=k:string&field=owner:string", "owners", "memory")
    owner = QgsFeature(owners.fields())
    owner.setAttributes(["house 1", "Miller"])
    owners.dataProvider().addFeature(owner)
    QgsProject.instance().addMapLayer(owners)
    join = QgsVectorLayerJoinInfo()
    join.setJoinLayer(owners)
    join.setJoinFieldName("k")
    join.setTargetFieldName("name")
    join.setPrefix("j_")
    old.addJoin(join)
    changes, _ = updated(old, ID_FIELD=field)
    asked = updated.asked[-1]
    assert asked["id_field"] == field
    given = {each["name"]: (each["vname"], each["j_owner"]) for each in updated.copy.getFeatures()}
    assert given["house 1"] == ("V house 1", "Miller")
    assert {each["old_layer"] for each in changes.getFeatures()} == {old.source()}


def test_the_old_layer_and_the_raster_have_the_crs_that_qgis_shows_them_in(old, updated, town):
    updated(old)
    assert updated.copy.crs().authid() == "EPSG:32645"
    assert updated.asked[-1]["rasters"] == [town.source()]
    for layer in (old, town):
        layer.setCrs(QgsCoordinateReferenceSystem("EPSG:32644"))
    updated(old)
    assert updated.copy.crs().authid() == "EPSG:32644"
    raster = updated.asked[-1]["rasters"][0]
    assert QgsRasterLayer(raster, "raster").crs().authid() == "EPSG:32644"


def test_any_names_of_fields_are_handed_over(qgis_app, updated):
    """A GeoPackage has a key and a column of shapes of its own, and knows no case."""
    names = ["fid", "geom", "Name", "name", "name_2", "geometry", "samgeo_source_fid"]
    kinds = ["double", "string", "string", "string", "string", "string", "integer"]
    fields = "".join(f"&field={name}:{kind}" for name, kind in zip(names, kinds))  # noqa: B905
    merged = QgsVectorLayer(f"MultiPolygon?crs=EPSG:32645{fields}", "merged", "memory")
    for number in (1, 2):
        feature = QgsFeature(merged.fields())
        feature.setAttributes([1.0, "g", "A", f"a{number}", "b", "c", 7])
        feature.setGeometry(square(20.0 * number))
        merged.dataProvider().addFeature(feature)
    QgsProject.instance().addMapLayer(merged)
    updated(merged, ID_FIELD="name")
    handed = [field.name() for field in updated.copy.fields()][1:]  # after the file's own key
    assert handed == ["samgeo_source_fid", "fid", "geom", "Name", "name_3", "name_2", "geometry_2",
                      "samgeo_source_fid_2"]  # fmt: skip
    rows = [feature.attributes()[1:] for feature in updated.copy.getFeatures()]
    assert rows == [[k, 1.0, "g", "A", f"a{k}", "b", "c", 7] for k in (1, 2)]
    assert updated.asked[-1]["id_field"] == "name_3"


def test_the_key_of_a_file_is_the_name_of_its_features(old, updated):
    updated(old, ID_FIELD="fid")
    assert updated.asked[-1]["id_field"] is None
    old.setSubsetString("name != 'house 0'")
    updated(old, ID_FIELD="fid")
    assert updated.asked[-1]["id_field"] == "samgeo_source_fid"
    assert [feature["samgeo_source_fid"] for feature in updated.copy.getFeatures()] == [2, 3, 4]
    assert updated.copy.fields().names()[1:] == ["samgeo_source_fid", "name"]


def test_a_layer_that_no_review_can_change_is_told_before_the_work(old, updated):
    scratch = old.materialize(QgsFeatureRequest())
    QgsProject.instance().addMapLayer(scratch)
    _, log = updated(scratch)
    assert "Save it as a GeoPackage" in log


@needs_engine
@pytest.mark.timeout(280)
def test_the_algorithm_compares_and_its_result_can_be_reviewed(qgis_app, tmp_path, wait):
    town, part = tmp_path / "town.tif", QgsRectangle(351300, 3057372, 351428, 3057500)
    whole = gdal.Open(str(SAMPLES / "town.tif"))
    gdal.Translate(str(town), whole, projWin=[351300, 3057500, 351428, 3057372])
    truth = QgsVectorLayer(f"{SAMPLES / 'town_truth.gpkg'}|layername=buildings", "truth", "ogr")
    inside = [f for f in truth.getFeatures() if part.contains(f.geometry().boundingBox())]
    made = QgsVectorLayer("MultiPolygon?crs=EPSG:32645&field=name:string", "houses", "memory")
    for number, each in enumerate(inside):
        feature = QgsFeature(made.fields())
        feature.setAttributes([f"house {number}"])
        shape = each.geometry()
        shape.translate(1.4, 1.4)
        shape.convertToMultiType()
        feature.setGeometry(shape)
        made.dataProvider().addFeature(feature)
    path = tmp_path / "houses.gpkg"
    saved(made, str(path), "houses")
    before = path.read_bytes()
    provider = SamGeoProvider()
    QgsApplication.processingRegistry().addProvider(provider)
    try:
        algorithm = provider.algorithm("updatelayer").create()
        context = QgsProcessingContext()
        context.setProject(QgsProject.instance())
        results, good = algorithm.run(
            {"INPUT": f"{path}|layername=houses", "RASTER": str(town), "ID_FIELD": "name",
             "THREADS": 1, "OUTPUT": str(tmp_path / "changes.gpkg")},
            context, QgsProcessingFeedback(),
        )  # fmt: skip
        assert good
    finally:
        QgsApplication.processingRegistry().removeProvider(provider)
    assert path.read_bytes() == before
    assert results["SHIFT_EAST_M"] == pytest.approx(-1.4, abs=0.2)
    assert results["MOVED"] >= 0.9 * len(inside)
    changes = QgsProcessingUtils.mapLayerFromString(results["OUTPUT"], context)
    old = QgsVectorLayer(f"{path}|layername=houses", "houses", "ogr")
    QgsProject.instance().addMapLayer(old)
    review = Review()
    try:
        assert review.start(changes)
        wait(lambda: review.ready)
        decide(review, "moved", ACCEPTED)
        done = next(f for f in changes.getFeatures() if f["review"] == ACCEPTED)
        mine = old.getFeature(int(done["old_fid"]))
        assert mine["name"] == done["old_id"]
        assert mine.geometry().isGeosEqual(done.geometry())
    finally:
        review.stop()
        QgsProject.instance().removeAllMapLayers()
