# SPDX-License-Identifier: GPL-2.0-or-later
"""The review of a layer: order by doubt, decisions in the edit buffer, filter, undo, the map."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from qgis.core import (
    QgsApplication,
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsFeature,
    QgsFeatureRequest,
    QgsField,
    QgsGeometry,
    QgsProject,
    QgsVectorFileWriter,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtTest import QTest

from samgeo_plugin import field_types, styles
from samgeo_plugin.interactive import editing, target
from samgeo_plugin.interactive.decisions import ACCEPTED, OPEN, REJECTED, decision_field
from samgeo_plugin.interactive.doubt import doubts, together
from samgeo_plugin.interactive.opening import READY
from samgeo_plugin.interactive.review import Review
from samgeo_plugin.interactive.review_queue import ReviewFilter
from samgeo_plugin.job import Prompt

FIELDS = "&field=score:double&field=label:string&field=area_m2:double"


def square(x: float, y: float, side: float = 10.0) -> QgsGeometry:
    return QgsGeometry.fromWkt(
        f"POLYGON(({x} {y},{x + side} {y},{x + side} {y + side},{x} {y + side},{x} {y}))"
    )


@pytest.fixture
def layer(qgis_app):
    """Twelve squares; the score falls with the number."""
    made = QgsVectorLayer("Polygon?crs=EPSG:32645" + FIELDS, "roofs", "memory")
    features = []
    for k in range(12):
        feature = QgsFeature(made.fields())
        feature.setAttributes([1.0 - k / 20, ("house", "shed")[k % 2], 100.0 + k])
        feature.setGeometry(square(300000 + 20 * k, 3000000, (100.0 + k) ** 0.5))
        features.append(feature)
    made.dataProvider().addFeatures(features)
    QgsProject.instance().addMapLayer(made)
    yield made
    QgsProject.instance().removeAllMapLayers()


@pytest.fixture
def review(layer, wait):
    made = Review()
    assert made.start(layer)
    wait(lambda: made.ready)
    yield made
    made.stop()


def scores(review) -> list:
    return [review.layer.getFeature(each)["score"] for each in review.queue]


def statuses(layer) -> list:
    return [feature["status"] or "" for feature in layer.getFeatures()]


def test_the_most_doubtful_come_first(review):
    assert scores(review) == sorted(scores(review))
    assert review.position == 0


def test_each_reason_counts_and_together_they_stay_below_one():
    plain = doubts({"score": 0.9}, square(0, 0), [], None)
    assert plain["score"] == pytest.approx(0.1)
    assert plain["overlap"] == 0
    over = doubts({}, square(0, 0), [square(5, 0)], None)
    assert over["overlap"] == pytest.approx(0.5)
    thin = doubts({}, QgsGeometry.fromWkt("POLYGON((0 0,100 0,100 1,0 1,0 0))"), [], None)
    assert thin["shape"] > doubts({}, square(0, 0), [], None)["shape"]
    raster = square(0, 0, 100).boundingBox()
    assert doubts({}, square(0, 40), [], raster)["edge"] == 1
    assert doubts({}, square(40, 40), [], raster)["edge"] == 0
    assert 0 < together({"score": 0.5}) < together({"score": 0.5, "overlap": 0.5}) < 1


def test_decisions_are_in_the_edit_buffer_and_each_is_one_step_of_undo(review, layer):
    first, second = review.queue[:2]
    review.decide(ACCEPTED)
    review.decide(REJECTED)
    assert review.position == 2
    assert layer.getFeature(first)["status"] == ACCEPTED
    assert review.counts[ACCEPTED] == review.counts[REJECTED] == 1
    layer.undoStack().undo()
    assert review.counts[REJECTED] == 0, "the counts follow QGIS's undo"
    assert review.facts[second].status == ""
    review.set_class(2)
    third = review.queue[2]
    assert layer.getFeature(third)["label"] == "shed"
    assert layer.getFeature(third)["status"] == ACCEPTED
    layer.undoStack().undo()
    assert review.facts[third].status == ""
    assert layer.commitChanges(False)
    assert sorted(statuses(layer))[-1] == ACCEPTED


def test_what_was_decided_is_remembered_by_the_next_review(review, layer, wait):
    for _ in range(5):
        review.decide(ACCEPTED)
    layer.commitChanges()
    again = Review()
    assert again.start(layer)
    wait(lambda: again.ready)
    assert again.counts[ACCEPTED] == 5
    assert again.position == 5, "the first that is open"
    again.stop()


def test_the_filter_shows_by_class_status_and_size_and_removes_the_rest(review, layer):
    review.set_filter(ReviewFilter(label="shed"))
    assert len(review.queue) == 6
    review.set_filter(ReviewFilter(least_area=102.5, most_area=105.5))
    assert len(review.queue) == 3
    assert review.remove_hidden() == 9
    assert layer.featureCount() == 3
    layer.undoStack().undo()
    assert layer.featureCount() == 12
    review.set_filter(ReviewFilter())
    assert len(review.queue) == 12
    review.decide(REJECTED)
    review.set_filter(ReviewFilter(status=REJECTED))
    assert len(review.queue) == 1


def test_what_is_shown_is_not_removed_with_what_is_hidden(review, layer):
    review.decide(REJECTED)
    rejected = review.queue[0]
    review.set_filter(ReviewFilter(status=OPEN))
    review.decide(ACCEPTED)
    review.decide(ACCEPTED)
    assert review.hidden == [rejected], "what was decided since then is still in the queue"
    assert review.remove_hidden() == 1
    assert layer.featureCount() == 11
    layer.undoStack().undo()
    assert layer.featureCount() == 12


def test_all_can_be_removed_where_all_is_hidden(review, layer):
    changed = []
    review.set_filter(ReviewFilter(least_area=1e6))
    review.queue_changed.connect(lambda: changed.append(len(review.hidden)))
    assert review.remove_hidden() == 12
    assert layer.featureCount() == 0
    assert changed[-1] == 0, "the panel's button follows"
    layer.undoStack().undo()
    assert len(review.hidden) == 12


@pytest.mark.parametrize("fields", ["", "&field=area_m2:double"])
def test_the_filter_knows_the_area_after_an_edit_and_its_undo(qgis_app, wait, fields):
    made = QgsVectorLayer("Polygon?crs=EPSG:32645&field=name:string" + fields, "parts", "memory")
    for x, side in ((0, 6), (6, 6), (50, 20)):
        feature = QgsFeature(made.fields())
        feature.setGeometry(square(300000 + x, 3000000, side))
        if fields:
            feature["area_m2"] = float(side * side)
        made.dataProvider().addFeatures([feature])
    review = Review()
    assert review.start(made)
    wait(lambda: review.ready)
    review.set_filter(ReviewFilter(least_area=50))
    assert review.hidden == [1, 2]
    editing.merge(made, [1, 2])
    review.set_filter(ReviewFilter(least_area=50))
    assert sorted(review.queue) == [1, 3]
    assert review.remove_hidden() == 0
    made.undoStack().undo()
    review.set_filter(ReviewFilter(least_area=50))
    assert review.hidden == [1, 2]
    assert made.changeGeometry(2, square(300006, 3000000, 9)), "as by QGIS's vertex tool"
    review.set_filter(ReviewFilter(least_area=50))
    assert review.hidden == [1]
    made.deleteFeature(2)
    made.undoStack().undo()
    review.set_filter(ReviewFilter(least_area=50))
    assert review.hidden == [1], "it is back as it was edited"
    assert made.commitChanges()
    assert review.start(made)
    wait(lambda: review.ready)
    review.set_filter(ReviewFilter(least_area=50))
    assert review.hidden == [1], "also in the next review"
    review.stop()
    made.rollBack()


def test_the_filter_counts_square_metres_in_a_layer_of_degrees(loaded, wait):
    made = QgsVectorLayer("Polygon?crs=EPSG:4326&field=name:string", "houses", "memory")
    for k in range(2):  # of 435 m²
        feature = QgsFeature(made.fields())
        feature.setGeometry(square(85.5 + k / 1000, 27.6, 0.0002))
        made.dataProvider().addFeature(feature)
    QgsProject.instance().addMapLayer(made)
    loaded.iface.setActiveLayer = lambda chosen: None
    loaded.start_review(made)
    review, mode = loaded.review, loaded.dock.review.mode
    wait(lambda: review.ready)
    mode.least.setValue(400)
    assert mode.least.text().endswith(" m²")
    assert len(review.queue) == 2
    mode.least.setValue(450)
    assert len(review.hidden) == 2
    review.stop()
    made.rollBack()


def test_nothing_is_hidden_before_the_order_is_made(layer, wait):
    review = Review()
    assert review.start(layer)
    for _ in range(layer.featureCount() + 3):
        next(review._steps._work)
    assert review.facts
    assert review.remove_hidden() == 0
    wait(lambda: review.ready)
    assert layer.featureCount() == 12
    review.stop()


def test_deleting_goes_on_and_undo_brings_it_back(review, layer):
    before = list(review.queue)
    review.delete()
    assert review.queue == before[1:]
    assert review.current == before[1]
    layer.undoStack().undo()
    assert sorted(review.queue) == sorted(before)


def test_the_queue_stays_in_order_through_deletions_and_undo(review, layer):
    told = []
    review.current_changed.connect(told.append)
    review.go(5)
    current, before = review.current, list(review.queue)
    layer.deleteFeatures([before[1], before[8]])
    assert (review.current, review.position) == (current, 4)
    layer.deleteFeature(current)
    layer.undoStack().undo()  # before anybody has looked
    assert (review.current, review.position) == (current, 4)
    for _ in range(2):
        layer.undoStack().undo()
    assert sorted(review.queue) == sorted(before)
    layer.deleteFeatures(before[1:])
    QgsApplication.processEvents()
    assert (review.queue, review.position, told[-1]) == (before[:1], 0, before[0])


def test_many_are_deleted_at_once_in_a_moment(review, layer):
    one = review.facts[1]
    review.facts.clear()
    review.facts.update(dict.fromkeys(range(60000), one))
    for hidden in range(40000, 60000):
        review.facts[hidden] = replace(review.facts[hidden], label="other")
    review.set_filter(ReviewFilter(label=one.label))
    began = time.process_time()
    for k in range(20000, 60000):
        layer.featureDeleted.emit(k)
    assert len(review.queue) == 20000
    assert time.process_time() - began < 1, "the queue is not searched for each"


def test_what_is_deleted_while_the_order_is_made_is_not_in_the_queue(layer, wait):
    review = Review()
    assert review.start(layer)
    for _ in range(layer.featureCount() + 1):  # all are read, the first one is measured
        next(review._steps._work)
    layer.deleteFeatures([1, 5])
    layer.deleteFeature(7)
    layer.undoStack().undo()
    wait(lambda: review.ready)
    assert sorted(review.queue) == [2, 3, 4, *range(6, 13)]
    review.stop()


def test_an_undo_of_the_field_for_decisions_does_not_end_them(review, layer):
    first, second = review.queue[:2]
    review.decide(ACCEPTED)
    review.decide(REJECTED)
    for _ in range(3):
        layer.undoStack().undo()
    assert layer.fields().lookupField("status") < 0
    review.go(-9)
    review.decide(ACCEPTED)
    review.set_class(1)
    assert [layer.getFeature(each)["status"] for each in (first, second)] == [ACCEPTED] * 2
    assert review.counts[ACCEPTED] == 2


def test_decisions_go_and_come_with_their_field(review, layer, wait):
    review.decide(ACCEPTED)
    layer.deleteAttribute(layer.fields().lookupField("status"))
    wait(lambda: review.counts[OPEN] == 12)
    layer.undoStack().undo()
    wait(lambda: review.counts[ACCEPTED] == 1)
    layer.deleteAttribute(layer.fields().lookupField("status"))
    review.decide(REJECTED)
    wait(lambda: (review.counts[ACCEPTED], review.counts[REJECTED]) == (0, 1))


def test_a_number_key_keeps_its_class_until_the_review_ends(review, layer):
    label = layer.fields().lookupField("label")
    assert review.classes == ["house", "shed"]
    houses = [each.id() for each in layer.getFeatures() if each["label"] == "house"]
    layer.changeAttributeValue(houses[0], label, "barn")
    assert review.classes == ["house", "shed", "barn"], "a new one comes behind the others"
    for each in houses[1:]:
        layer.changeAttributeValue(each, label, "shed")
    assert review.classes_to_show == ["shed", "barn"]
    current = review.current
    review.set_class(2)
    assert layer.getFeature(current)["label"] == "shed"
    review.known_classes = lambda: ["shed"]
    assert review.classes == ["shed", "house", "barn"]


def in_file(layer, path: str, driver: str) -> QgsVectorLayer:
    """A copy in a file."""
    options = QgsVectorFileWriter.SaveVectorOptions()
    options.driverName = driver
    QgsVectorFileWriter.writeAsVectorFormatV3(
        layer, path, QgsProject.instance().transformContext(), options
    )
    return QgsVectorLayer(path, "saved", "ogr")


@pytest.mark.parametrize("driver", ["GPKG", "ESRI Shapefile", "GeoJSON", "FlatGeobuf"])
def test_the_review_knows_its_polygons_after_a_save(layer, tmp_path, wait, driver):
    end = {"GPKG": "gpkg", "ESRI Shapefile": "shp", "GeoJSON": "geojson", "FlatGeobuf": "fgb"}
    saved = in_file(layer, str(tmp_path / f"roofs.{end[driver]}"), driver)
    review = Review()
    assert review.start(saved)
    wait(lambda: review.ready)

    def area(feature_id: int) -> float:
        return saved.getFeature(feature_id)["area_m2"]

    def areas() -> list:
        return [area(each) for each in review.queue]

    added = QgsFeature(saved.fields())
    added["area_m2"] = 7.0
    added.setGeometry(square(300500, 3000000, 7.0**0.5))
    saved.addFeature(added)
    review.go(-20)
    review.go(4)
    review.decide(ACCEPTED)
    review.decide(REJECTED)
    saved.deleteFeatures([review.queue[1], review.queue[-1]])
    before, current = areas(), area(review.current)
    for _ in range(2):
        assert saved.commitChanges(False), saved.commitErrors()
        assert areas() == before
        assert area(review.current) == current
        assert all(abs(review.facts[each].area - area(each)) < 0.4 for each in review.queue)
        saved.deleteFeature(review.queue[0])
        before = before[1:]
        assert areas() == before
    decided = {f["area_m2"]: f["status"] for f in saved.getFeatures() if f["status"]}
    assert {round(review.facts[k].area): review.facts[k].status for k in review.queue
            if review.facts[k].status} == decided  # fmt: skip
    review.set_filter(ReviewFilter(label="shed"))
    assert review.remove_hidden() == len(before) - len(review.queue)
    assert {feature["label"] for feature in saved.getFeatures()} == {"shed"}
    review.stop()
    saved.rollBack()


def test_a_save_while_the_order_is_made_begins_it_anew(layer, tmp_path, wait):
    saved = in_file(layer, str(tmp_path / "roofs.shp"), "ESRI Shapefile")
    review = Review()
    assert review.start(saved)
    for _ in range(saved.featureCount() + 3):
        next(review._steps._work)
    saved.deleteFeature(0)
    assert saved.commitChanges(False)
    wait(lambda: review.ready)
    assert sorted(review.queue) == sorted(each.id() for each in saved.getFeatures())
    for k, facts in review.facts.items():
        assert abs(facts.area - saved.getFeature(k)["area_m2"]) < 0.4
    review.stop()
    saved.rollBack()


def test_a_layer_of_lines_or_without_room_for_a_status_is_refused(qgis_app):
    said = []
    made = Review()
    made.message.connect(lambda *args: said.append(args))
    lines = QgsVectorLayer("LineString?crs=EPSG:32645", "lines", "memory")
    assert not made.start(lines)
    assert "no polygons" in said[0][1]
    assert not lines.isEditable()


@pytest.fixture
def classified(qgis_app, wait):
    """The review of a layer of the engine's, whose field for labels is empty."""
    fields = "&field=label:string&field=class:string&field=class_prob:double"
    made = QgsVectorLayer("Polygon?crs=EPSG:32645" + fields, "objects", "memory")
    for k, (name, probability) in enumerate((("roof", 0.95), ("roof", 0.51), ("field", 0.9))):
        feature = QgsFeature(made.fields())
        feature.setAttributes([None, name, probability])
        feature.setGeometry(square(20 * k, 0))
        made.dataProvider().addFeature(feature)
    review = Review()
    assert review.start(made)
    wait(lambda: review.ready)
    yield review
    review.stop()


def test_the_class_of_an_engines_layer_is_read_and_written_where_it_stands(classified):
    assert classified.classes == ["field", "roof"]
    classified.set_filter(ReviewFilter(label="field"))
    current = classified.current
    classified.set_class(2)
    changed = classified.layer.getFeature(current)
    assert changed["class"] == "roof"
    assert not changed["label"]


def test_an_improbable_class_comes_first(classified):
    found = [classified.layer.getFeature(each)["class_prob"] for each in classified.queue]
    assert found == [0.51, 0.9, 0.95]


@pytest.mark.parametrize(
    ("kind", "values"),
    [("status:integer", [0, 1, 2]), ("Status:string", ["built", "", "planned"]),
     ("status:string(4)", ["", "", ""])],
)  # fmt: skip
def test_a_status_of_the_users_own_stays_and_decisions_go_elsewhere(qgis_app, wait, kind, values):
    made = QgsVectorLayer(f"Polygon?crs=EPSG:32645&field={kind}", "plots", "memory")
    for k, value in enumerate(values):
        feature = QgsFeature(made.fields())
        feature.setAttributes([value])
        feature.setGeometry(square(20 * k, 0))
        made.dataProvider().addFeature(feature)
    said = []
    review = Review()
    review.message.connect(lambda *args: said.append(args))
    assert review.start(made)
    wait(lambda: review.ready)
    for _ in values:
        review.decide(ACCEPTED)
    review.stop()
    assert made.commitChanges()
    assert [feature[0] for feature in made.getFeatures()] == values
    assert [feature["review"] for feature in made.getFeatures()] == [ACCEPTED] * 3
    assert "they go into “review”" in said[0][1]
    assert decision_field(made) == "review"


class WithDefault(QgsVectorLayer):
    """A layer whose source fills in the classes and decisions of new features."""

    def dataProvider(self):  # noqa: N802
        provider = super().dataProvider()
        clauses = {"label": "'shed'::text", "status": "''::text"}
        names = provider.fields().names()
        provider.defaultValueClause = lambda index: clauses.get(names[index], "")
        return provider


def test_what_the_source_fills_in_at_the_save_is_known_to_the_review(qgis_app, wait):
    layer = WithDefault(
        "Polygon?crs=EPSG:32645&field=label:string&field=status:string", "roofs", "memory"
    )
    assert layer.startEditing()
    feature = QgsFeature(layer.fields())
    feature.setAttributes(["'shed'::text", "''::text"])
    feature.setGeometry(square(300000, 3000000))
    assert layer.addFeature(feature)
    review = Review()
    assert review.start(layer)
    wait(lambda: review.ready)
    assert review.status_field == "status"
    assert (review.classes, dict(review.counts)) == (["shed"], {OPEN: 1})
    review.stop()
    layer.rollBack()


def test_decisions_in_a_field_that_is_only_called_status_are_read_again(qgis_app, wait):
    layer = QgsVectorLayer("Polygon?crs=EPSG:32645&field=qc:string", "roofs", "memory")
    for k in range(3):
        feature = QgsFeature(layer.fields())
        feature.setGeometry(square(20 * k, 0))
        layer.dataProvider().addFeature(feature)
    layer.setFieldAlias(0, "Status")
    said = []
    review = Review()
    review.message.connect(lambda *args: said.append(args))
    for position in (0, 2):
        assert review.start(layer)
        wait(lambda: review.ready)
        assert (review.status_field, review.position) == ("qc", position)
        if not position:
            review.decide(ACCEPTED)
            review.decide(REJECTED)
        assert review.counts == {ACCEPTED: 1, REJECTED: 1, OPEN: 1}
        review.stop()
    assert layer.fields().names() == ["qc"]
    assert not said
    layer.rollBack()


def test_a_virtual_status_is_no_field_for_decisions(qgis_app):
    made = QgsVectorLayer("Polygon?crs=EPSG:32645", "plots", "memory")
    made.addExpressionField("NULL", QgsField("status", field_types.TEXT))
    assert decision_field(made) == "review"


def test_a_layer_whose_fields_hold_other_values_is_refused(qgis_app):
    fields = "&field=status:integer&field=review:double"
    made = QgsVectorLayer("Polygon?crs=EPSG:32645" + fields, "plots", "memory")
    said = []
    review = Review()
    review.message.connect(lambda *args: said.append(args))
    assert not review.start(made)
    assert "no room for the decisions" in said[0][1]
    assert not made.isEditable()


def test_a_class_that_its_field_cannot_hold_is_refused(qgis_app, wait):
    made = QgsVectorLayer("Polygon?crs=EPSG:32645&field=class:integer", "plots", "memory")
    feature = QgsFeature(made.fields())
    feature.setAttributes([7])
    feature.setGeometry(square(0, 0))
    made.dataProvider().addFeature(feature)
    said = []
    review = Review()
    review.message.connect(lambda *args: said.append(args))
    review.known_classes = lambda: ["roof"]
    assert review.start(made)
    wait(lambda: review.ready)
    review.set_class(1)
    assert "cannot hold “roof”" in said[0][1]
    assert made.getFeature(1)["class"] == 7
    assert review.counts[ACCEPTED] == 0
    review.stop()


def test_the_panel_drives_the_review_by_keys_and_the_map_follows(loaded, layer, wait):
    window, canvas = loaded.iface.window, loaded.iface.canvas
    loaded.iface.setActiveLayer = lambda chosen: None
    window.resize(900, 600)
    window.setCentralWidget(canvas)
    window.show()
    window.activateWindow()
    panel = loaded.dock.review
    panel.setCollapsed(False)
    panel.layer.setLayer(layer)
    panel.mode.start.click()
    review = loaded.review
    wait(lambda: review.ready)
    first = review.current
    canvas.setFocus()
    band = loaded.follower._band
    assert band is not None
    QTest.keyClick(canvas, Qt.Key.Key_A)
    assert layer.getFeature(first)["status"] == ACCEPTED
    assert review.current != first
    assert canvas.extent().contains(review.geometry().boundingBox())
    QTest.keyClick(canvas, Qt.Key.Key_X)
    QTest.keyClick(canvas, Qt.Key.Key_P)
    QTest.keyClick(canvas, Qt.Key.Key_1)
    assert review.counts[ACCEPTED] == 2
    wait(lambda: "accepted 2" in panel.mode.place.text())
    layer.undoStack().undo()
    wait(lambda: "accepted 1" in panel.mode.place.text())
    layer.undoStack().redo()
    wait(lambda: "accepted 2" in panel.mode.place.text())
    QTest.keyClick(canvas, Qt.Key.Key_Delete)
    assert layer.featureCount() == 11
    layer.undoStack().undo()
    panel.mode.start.click()
    assert not review.running
    QTest.keyClick(canvas, Qt.Key.Key_A)
    assert sum(status == ACCEPTED for status in statuses(layer)) == 2, "the keys are given back"
    assert loaded.follower._band is None
    layer.rollBack()


def under_review(plugin, layer, wait):
    """In a window, with the map's keys."""
    window, canvas = plugin.iface.window, plugin.iface.canvas
    plugin.iface.setActiveLayer = lambda chosen: None
    window.setCentralWidget(canvas)
    window.show()
    window.activateWindow()
    plugin.start_review(layer)
    wait(lambda: plugin.review.ready)
    canvas.setFocus()
    return canvas


@pytest.fixture
def correcting(request, loaded, town, wait):
    """Two polygons under review, which is the target layer, too, and the tool in hand; the
    parameter is the fake engine's words."""
    loaded.words["text"] = getattr(request, "param", "")
    layer = QgsVectorLayer("Polygon?crs=EPSG:32645&field=class:string", "roofs", "memory")
    for x in (300001, 300020):
        feature = QgsFeature(layer.fields())
        feature.setGeometry(square(x, 3000001, 4))
        layer.dataProvider().addFeature(feature)
    QgsProject.instance().addMapLayer(layer)
    loaded.controller.set_target(layer)
    loaded.iface.active = town
    loaded.tool_action.trigger()
    session = loaded.controller.session
    wait(lambda: session.state == READY)
    under_review(loaded, layer, wait)

    def click(x: float) -> None:
        loaded.tool._add(Prompt("point", [[x, 3000008.0]]))
        wait(lambda: session.candidates and not session.is_waiting)

    loaded.click = click
    yield loaded
    session.clear()
    loaded.review.stop()
    layer.rollBack()


@pytest.mark.parametrize(
    ("key", "status"), [(Qt.Key.Key_A, ACCEPTED), (Qt.Key.Key_N, OPEN), (Qt.Key.Key_U, OPEN)]
)
def test_a_key_that_goes_on_accepts_the_correction_first(correcting, wait, key, status):
    canvas, review, session = (
        correcting.iface.canvas,
        correcting.review,
        correcting.controller.session,
    )
    first, layer = review.current, review.layer
    QTest.keyClick(canvas, Qt.Key.Key_R)
    assert session.place.feature_id == first
    correcting.click(300003)
    QTest.keyClick(canvas, key)
    assert session.place is None
    wait(lambda: not session.pending)
    assert layer.getFeature(first).geometry().area() != pytest.approx(16)
    assert review.current != first
    assert (layer.getFeature(first)["status"] or OPEN) == status
    assert not correcting.iface.text()


def test_a_rejected_polygon_ends_its_correction_with_a_sentence(correcting):
    canvas, review, session = (
        correcting.iface.canvas,
        correcting.review,
        correcting.controller.session,
    )
    first = review.current
    QTest.keyClick(canvas, Qt.Key.Key_R)
    correcting.click(300003)
    QTest.keyClick(canvas, Qt.Key.Key_X)
    assert not session.prompts
    assert not session.pending
    assert review.layer.getFeature(first)["status"] == REJECTED
    assert review.layer.getFeature(first).geometry().area() == pytest.approx(16)
    assert "correction of the rejected polygon was given up" in correcting.iface.text()


def test_a_correction_without_an_outline_is_not_accepted(correcting, monkeypatch):
    canvas, review, session = (
        correcting.iface.canvas, correcting.review, correcting.controller.session
    )  # fmt: skip
    first = review.current
    QTest.keyClick(canvas, Qt.Key.Key_R)
    correcting.click(300003)
    monkeypatch.setattr(session, "accept", lambda: False)
    QTest.keyClick(canvas, Qt.Key.Key_A)
    assert review.current == first
    assert review.counts[ACCEPTED] == 0
    assert "has no outline" in correcting.iface.text()


def state(layer, feature_id) -> tuple[str, bool]:
    """The decision on a polygon of ``correcting``, and whether it has its first outline."""
    feature = layer.getFeature(feature_id)
    return feature["status"] or OPEN, feature.geometry().area() == pytest.approx(16)


def test_a_correction_is_decided_once_it_is_in_the_layer(correcting, wait):
    canvas, review, session = (
        correcting.iface.canvas, correcting.review, correcting.controller.session
    )  # fmt: skip
    first, layer = review.current, review.layer
    QTest.keyClick(canvas, Qt.Key.Key_R)
    correcting.click(300003)
    QTest.keyClick(canvas, Qt.Key.Key_A)
    correcting.dock.review.mode.save.click()
    assert not layer.isModified()
    assert state(layer, first) == (OPEN, True), "nothing is saved of what is still to come"
    wait(lambda: not session.pending)
    assert state(layer, first) == (ACCEPTED, False)
    QTest.keyClick(canvas, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert state(layer, first) == (OPEN, False), "the decision was the last step"
    QTest.keyClick(canvas, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert state(layer, first) == (OPEN, True)


def test_a_decision_waits_for_a_correction_that_enter_has_accepted(correcting, wait):
    canvas, review, session = (
        correcting.iface.canvas, correcting.review, correcting.controller.session
    )  # fmt: skip
    first, layer = review.current, review.layer
    QTest.keyClick(canvas, Qt.Key.Key_R)
    correcting.click(300003)
    QTest.keyClick(canvas, Qt.Key.Key_Return)
    QTest.keyClick(canvas, Qt.Key.Key_A)
    assert state(layer, first) == (OPEN, True)
    QTest.keyClick(canvas, Qt.Key.Key_N)
    second = review.current
    assert second != first
    wait(lambda: not session.pending)
    assert state(layer, first) == (ACCEPTED, False)
    assert review.current == second, "N has gone on already"


@pytest.mark.parametrize("correcting", ["most=2 slow=0.3"], indirect=True)  # two prompts at most
def test_a_correction_that_the_engine_refuses_stays_in_work_undecided(correcting, wait):
    canvas, review, session = (
        correcting.iface.canvas, correcting.review, correcting.controller.session
    )  # fmt: skip
    first, layer = review.current, review.layer
    QTest.keyClick(canvas, Qt.Key.Key_R)
    correcting.click(300003)
    correcting.tool._add(Prompt("point", [[300004, 3000008.0]]))
    QTest.keyClick(canvas, Qt.Key.Key_A)
    wait(lambda: not session.is_waiting and not session.pending)
    assert len(session.prompts) == 2, "the click before is there still"
    assert state(layer, first) == (OPEN, True)
    assert review.current == first
    assert correcting.iface.text()
    QTest.keyClick(canvas, Qt.Key.Key_A)
    wait(lambda: not session.pending)
    assert state(layer, first) == (ACCEPTED, False)


def test_the_key_to_correct_waits_for_the_decision_and_takes_the_next_one_up(correcting, wait):
    canvas, review, session = (
        correcting.iface.canvas, correcting.review, correcting.controller.session
    )  # fmt: skip
    first, layer = review.current, review.layer
    QTest.keyClick(canvas, Qt.Key.Key_R)
    correcting.click(300003)
    QTest.keyClick(canvas, Qt.Key.Key_A)
    QTest.keyClick(canvas, Qt.Key.Key_R)
    wait(lambda: session.place is not None)
    assert state(layer, first) == (ACCEPTED, False)
    assert session.place.feature_id == review.current != first


def test_a_correction_that_the_layer_refuses_is_not_accepted(correcting, wait, monkeypatch):
    canvas, review, session = (
        correcting.iface.canvas, correcting.review, correcting.controller.session
    )  # fmt: skip

    def refuse(*_):
        raise editing.EditError("no room")

    first, layer = review.current, review.layer
    monkeypatch.setattr(target, "correct_object", refuse)
    QTest.keyClick(canvas, Qt.Key.Key_R)
    correcting.click(300003)
    QTest.keyClick(canvas, Qt.Key.Key_A)
    wait(lambda: not session.pending)
    assert state(layer, first) == (OPEN, True)
    assert review.current == first
    assert "no room" in correcting.iface.text()


def test_a_number_without_a_class_leaves_the_correction_in_work(correcting):
    canvas, session = correcting.iface.canvas, correcting.controller.session
    QTest.keyClick(canvas, Qt.Key.Key_R)
    correcting.click(300003)
    QTest.keyClick(canvas, Qt.Key.Key_7)
    assert len(session.prompts) == 2
    assert "There is no class 7" in correcting.iface.text()


def test_a_correction_ends_no_object_in_work(correcting):
    canvas, session = correcting.iface.canvas, correcting.controller.session
    for x in (300010, 300011, 300012):
        correcting.click(x)
    QTest.keyClick(canvas, Qt.Key.Key_R)
    assert len(session.prompts) == 3
    assert session.place is None
    assert "accept it (Enter) or give it up (Esc) first" in correcting.iface.text()
    session.clear()
    QTest.keyClick(canvas, Qt.Key.Key_R)
    QTest.keyClick(canvas, Qt.Key.Key_N)
    QTest.keyClick(canvas, Qt.Key.Key_R)
    assert session.place.feature_id == correcting.review.current, "the first was only looked at"


@pytest.mark.parametrize("other", [False, True])
def test_a_class_that_was_said_for_a_polygon_is_written_when_the_next_is_taken_up(
    correcting, other
):
    canvas, review, session = (
        correcting.iface.canvas, correcting.review, correcting.controller.session
    )  # fmt: skip
    correcting.controller.classes.add("house", use=False)
    first, layer = review.current, review.layer
    QTest.keyClick(canvas, Qt.Key.Key_R)
    QTest.keyClick(canvas, Qt.Key.Key_1)
    if other:
        review.go(1)
    QTest.keyClick(canvas, Qt.Key.Key_R)
    assert session.place.feature_id == review.current
    assert layer.getFeature(first)["class"] == "house"
    session.clear()


def test_the_key_of_a_class_of_the_project_is_the_corrections_and_a_writes_it(correcting, wait):
    canvas, review, session = (
        correcting.iface.canvas, correcting.review, correcting.controller.session
    )  # fmt: skip
    correcting.controller.classes.add("house", use=False)
    first, layer = review.current, review.layer
    QTest.keyClick(canvas, Qt.Key.Key_R)
    correcting.click(300003)
    QTest.keyClick(canvas, Qt.Key.Key_1)
    assert session.place is not None
    QTest.keyClick(canvas, Qt.Key.Key_A)
    wait(lambda: not session.pending)
    assert state(layer, first) == (ACCEPTED, False)
    assert layer.getFeature(first)["class"] == "house"


def test_a_review_takes_no_keys_while_the_panel_is_closed(loaded, layer, wait):
    canvas = under_review(loaded, layer, wait)
    loaded.dock.close()
    assert loaded.follower._band is None
    QTest.keyClick(canvas, Qt.Key.Key_Delete)
    QTest.keyClick(canvas, Qt.Key.Key_X)
    assert layer.featureCount() == 12
    assert statuses(layer) == [""] * 12
    loaded.dock.setUserVisible(True)
    assert loaded.follower._band is not None
    canvas.setFocus()
    QTest.keyClick(canvas, Qt.Key.Key_X)
    assert statuses(layer).count(REJECTED) == 1
    loaded.review.stop()
    layer.rollBack()


def test_the_outline_follows_the_maps_crs(loaded, layer, wait):
    canvas = under_review(loaded, layer, wait)
    canvas.setDestinationCrs(QgsCoordinateReferenceSystem("EPSG:3857"))
    shape = loaded.review.geometry()
    shape.transform(
        QgsCoordinateTransform(
            layer.crs(), canvas.mapSettings().destinationCrs(), QgsProject.instance()
        )
    )
    assert loaded.follower._band.asGeometry().isGeosEqual(shape)
    loaded.review.stop()
    layer.rollBack()


def test_a_class_that_the_layer_does_not_have_is_no_filter(loaded, layer, wait):
    loaded.iface.setActiveLayer = lambda chosen: None
    mode, review = loaded.dock.review.mode, loaded.review
    box = mode.class_filter
    loaded.start_review(layer)
    wait(lambda: box.findData("shed") > 0)
    box.setCurrentIndex(box.findData("shed"))
    box.activated.emit(box.currentIndex())
    assert len(review.queue) == 6
    loaded.start_review(layer)
    wait(lambda: review.ready and mode.place.text().startswith("1 of 6"))
    assert box.currentText() == "shed", "the layer has it: it stays"

    other = layer.materialize(QgsFeatureRequest().setFilterExpression("label = 'house'"))
    QgsProject.instance().addMapLayer(other)
    loaded.start_review(other)
    wait(lambda: box.currentText() == "All")
    assert len(review.queue) == 6
    assert not review.hidden
    box.setCurrentIndex(box.findData("house"))
    box.activated.emit(box.currentIndex())
    label = other.fields().lookupField("label")
    for feature in list(other.getFeatures()):
        other.changeAttributeValue(feature.id(), label, "barn")
    review.go(1)
    wait(lambda: box.currentText() == "All")
    assert not review.hidden, "no house is left"
    for each in (other, layer):
        each.rollBack()


def test_the_sliders_filter_within_the_filter_that_a_layer_has(loaded, layer, tmp_path):
    project, panel = QgsProject.instance(), loaded.dock.review
    options = QgsVectorFileWriter.SaveVectorOptions()
    path = str(tmp_path / "roofs.gpkg")
    QgsVectorFileWriter.writeAsVectorFormatV3(layer, path, project.transformContext(), options)
    saved = QgsVectorLayer(path, "saved", "ogr")
    saved.setSubsetString("\"label\" = 'house' OR \"label\" = 'barn'")
    own = saved.subsetString()
    project.addMapLayer(saved)

    def slide(score: int) -> None:
        panel.score.setValue(score)
        panel.apply()

    panel.layer.setLayer(saved)
    slide(80)
    assert saved.featureCount() == 3
    panel.area.setValue(1)
    slide(60)
    assert saved.featureCount() == 5
    assert saved.subsetString().startswith(f'({own}) AND "score" >= 0.6 AND')
    assert project.write(str(tmp_path / "work.qgz"))
    assert project.read(str(tmp_path / "work.qgz"))
    (saved,) = project.mapLayersByName("saved")
    panel.layer.setLayer(saved)
    panel.reset.click()
    assert saved.subsetString() == own
    slide(50)
    saved.setSubsetString("\"label\" = 'shed'")
    slide(60)
    panel.reset.click()
    assert saved.subsetString() == "\"label\" = 'shed'", "another filter was set in between"
    saved.setSubsetString("")
    slide(50)
    panel.reset.click()
    assert saved.subsetString() == ""
    saved.setSubsetString("SELECT * FROM roofs WHERE label = 'shed'")
    slide(50)
    assert saved.featureCount() == 6, "a whole query stays as it is"
    project.clear()


def test_the_panel_leaves_a_layer_that_is_removed(loaded, layer):
    panel = loaded.dock.review
    QgsProject.instance().addMapLayer(QgsVectorLayer("Polygon?crs=EPSG:32645", "bare", "memory"))
    panel.layer.setLayer(layer)
    assert panel.score.isEnabled()
    QgsProject.instance().removeMapLayer(layer.id())
    assert not panel.score.isEnabled()
    assert panel._watched is panel.layer.currentLayer()


def test_a_layer_under_review_is_coloured_by_status(loaded, layer, wait):
    styles.apply(layer, styles.REVIEW)
    loaded.iface.setActiveLayer = lambda chosen: None
    loaded.start_review(layer)
    assert styles.current(layer) == styles.STATUS
    labels = [category.value() for category in layer.renderer().categories()]
    assert labels == ["accepted", "rejected", ""]
    layer.rollBack()
