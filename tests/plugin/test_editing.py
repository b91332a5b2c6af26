# SPDX-License-Identifier: GPL-2.0-or-later
"""Existing polygons: taken up, corrected, merged, split, deleted; the project's rules; undo."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import pytest
from qgis.core import (
    Qgis,
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsDefaultValue,
    QgsFeature,
    QgsFieldConstraints,
    QgsGeometry,
    QgsPointXY,
    QgsProject,
    QgsRectangle,
    QgsSettings,
    QgsVectorFileWriter,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtTest import QTest

from samgeo_plugin.interactive import editing, field_mapping, last_values, target
from samgeo_plugin.interactive.automatic import RASTER, Wanted
from samgeo_plugin.interactive.candidates import Accepted, Refinement
from samgeo_plugin.interactive.editing import EditError
from samgeo_plugin.interactive.opening import READY
from samgeo_plugin.interactive.place import Place, part_at
from samgeo_plugin.interactive.search_kinds import EXAMPLES
from samgeo_plugin.interactive.undo_order import UndoOrder
from samgeo_plugin.job import Prompt

UTM = QgsCoordinateReferenceSystem("EPSG:32645")


def square(x: float, y: float, side: float = 10.0) -> QgsGeometry:
    return QgsGeometry.fromWkt(
        f"POLYGON(({x} {y},{x + side} {y},{x + side} {y + side},{x} {y + side},{x} {y}))"
    )


@pytest.fixture
def roofs(qgis_app):
    """Three squares side by side, the first two touching, with a name each."""
    layer = QgsVectorLayer(
        "Polygon?crs=EPSG:32645&field=name:string&field=n:integer", "r", "memory"
    )
    features = []
    for name, x in (("a", 0), ("b", 10), ("c", 50)):
        feature = QgsFeature(layer.fields())
        feature.setAttributes([name, int(x)])
        feature.setGeometry(square(x, 0))
        features.append(feature)
    layer.dataProvider().addFeatures(features)
    QgsProject.instance().addMapLayer(layer)
    layer.startEditing()
    yield layer
    project = QgsProject.instance()
    project.setAvoidIntersectionsMode(project.AvoidIntersectionsMode.AllowIntersections)
    project.setTopologicalEditing(False)
    project.removeAllMapLayers()


def shapes(layer) -> dict:
    return {f["name"]: f.geometry() for f in layer.getFeatures()}


def ids(layer) -> dict:
    return {f["name"]: f.id() for f in layer.getFeatures()}


def test_merge_keeps_the_first_feature_and_is_one_step_of_undo(roofs):
    known = ids(roofs)
    editing.merge(roofs, [known["a"], known["b"]])
    assert shapes(roofs)["a"].area() == 200
    assert set(ids(roofs)) == {"a", "c"}
    assert ids(roofs)["a"] == known["a"]
    roofs.undoStack().undo()
    assert ids(roofs) == known
    assert shapes(roofs)["a"].area() == 100
    with pytest.raises(EditError, match="do not touch"):
        editing.merge(roofs, [known["a"], known["c"]])
    with pytest.raises(EditError, match="two polygons"):
        editing.merge(roofs, [known["a"]])
    assert ids(roofs) == known


def test_split_leaves_the_larger_part_to_the_feature_and_copies_its_attributes(roofs):
    known = ids(roofs)
    line = [QgsPointXY(3, -5), QgsPointXY(3, 15)]
    assert editing.split(roofs, [known["a"]], line) == 1
    parts = sorted(f.geometry().area() for f in roofs.getFeatures() if f["name"] == "a")
    assert parts == [30, 70]
    assert roofs.getFeature(known["a"]).geometry().area() == 70
    roofs.undoStack().undo()
    assert roofs.featureCount() == 3
    with pytest.raises(EditError, match="across"):
        editing.split(roofs, [known["c"]], line)


@pytest.fixture
def measured(qgis_app):
    """Two squares side by side as the engine writes them: ids, areas, perimeters."""
    fields = "&field=id:string&field=area_m2:double&field=perimeter_m:double"
    layer = QgsVectorLayer("MultiPolygon?crs=EPSG:32645" + fields, "measured", "memory")
    for k in range(2):
        feature = QgsFeature(layer.fields())
        feature.setAttributes([f"{k:016x}", 100.0, 40.0])
        feature.setGeometry(square(500000 + 10 * k, 3000000))
        layer.dataProvider().addFeatures([feature])
    QgsProject.instance().addMapLayer(layer)
    yield layer
    layer.rollBack()
    QgsProject.instance().removeAllMapLayers()


def sizes(layer) -> list:
    """Whole square metres and metres on the map of UTM, whose scale here is 0.9996."""
    return sorted(
        (round(f["area_m2"] * 0.9996**2), round(f["perimeter_m"] * 0.9996))
        for f in layer.getFeatures()
    )


def test_area_and_perimeter_are_those_of_the_shape_after_every_edit(measured):
    first, second = (feature.id() for feature in measured.getFeatures())
    editing.merge(measured, [first, second])
    assert sizes(measured) == [(200, 60)]
    editing.split(measured, [first], [QgsPointXY(500005, 2999990), QgsPointXY(500005, 3000020)])
    assert sizes(measured) == [(50, 30), (150, 50)]
    with editing.command(measured, "two parts"):
        two = QgsGeometry.collectGeometry([square(500000, 3000000), square(500040, 3000000, 20)])
        editing.set_shape(measured, first, two)
    assert sizes(measured) == [(50, 30), (500, 120)]
    editing.keep_largest_part(measured, first)
    assert sizes(measured) == [(50, 30), (400, 80)]
    editing.delete(measured, [feature.id() for feature in measured.getFeatures()])
    larger = {"area_m2": 999.0, "perimeter_m": 99.0}  # as before the project's rules
    target.add_object(measured, square(500000, 3000000), UTM, larger)
    assert sizes(measured) == [(100, 40)]


def test_a_part_that_was_split_off_gets_an_id_of_its_own_where_it_is_the_engines(measured):
    first, second = (feature.id() for feature in measured.getFeatures())
    measured.startEditing()
    measured.changeAttributeValue(second, 0, "plot 7")
    line = [QgsPointXY(499990, 3000004), QgsPointXY(500030, 3000004)]
    assert editing.split(measured, [first, second], line) == 2
    known = sorted(feature["id"] for feature in measured.getFeatures())
    assert known.count("plot 7") == 2, "the user's own, as QGIS copies it"
    assert known.count(f"{0:016x}") == 1
    assert len(set(known)) == 3


def test_overlaps_are_avoided_where_the_project_says_so(roofs):
    project = QgsProject.instance()
    over = square(5, 2, 10)
    target.add_object(roofs, over, UTM, {})
    assert roofs.featureCount() == 4
    roofs.undoStack().undo()
    project.setAvoidIntersectionsMode(project.AvoidIntersectionsMode.AvoidIntersectionsCurrentLayer)
    written = target.add_object(roofs, over, UTM, {})
    added = roofs.getFeature(written.feature_ids[0]).geometry()
    assert all(
        added.intersection(shape).area() < 1e-9 for name, shape in shapes(roofs).items() if name
    )
    assert added.area() == 20
    with pytest.raises(EditError, match="wholly"):
        target.add_object(roofs, square(1, 1, 5), UTM, {})


BROKEN = (
    "POLYGON((0 0,10 10,10 0,0 10,0 0))",
    "POLYGON((0 0,10 0,10 10,0 10,0 0),(5 5,15 5,15 7,5 7,5 5))",
    "POLYGON((0 0,10 0,10 10,5 -5,0 10,0 0))",
)


@pytest.mark.parametrize("broken", BROKEN)
def test_a_polygon_that_crosses_itself_is_cut_out_and_merged_like_others(roofs, broken):
    project = QgsProject.instance()
    project.setAvoidIntersectionsMode(project.AvoidIntersectionsMode.AvoidIntersectionsCurrentLayer)
    known = ids(roofs)
    neighbour = QgsGeometry.fromWkt(broken)
    roofs.changeGeometry(known["a"], neighbour)
    written = target.add_object(roofs, square(-20, -20, 28), UTM, {})
    added = roofs.getFeature(written.feature_ids[0]).geometry()
    valid = neighbour.makeValid()
    assert added.area() > 600
    assert added.intersection(valid).area() == pytest.approx(0)
    project.setAvoidIntersectionsMode(project.AvoidIntersectionsMode.AllowIntersections)
    roofs.changeGeometry(written.feature_ids[0], square(-20, -20, 36))
    editing.merge(roofs, [known["a"], written.feature_ids[0]])
    merged = shapes(roofs)["a"]
    assert merged.isGeosValid()
    assert merged.intersection(valid).area() == pytest.approx(valid.area())


def test_neighbours_get_the_vertices_of_a_shared_border(roofs):
    QgsProject.instance().setTopologicalEditing(True)
    target.add_object(roofs, square(-4, 3, 4), UTM, {})
    assert shapes(roofs)["a"].constGet().nCoordinates() == 7, "two vertices on its left side"


def test_hard_constraints_and_forms_are_not_passed_over(roofs):
    strength = QgsFieldConstraints.ConstraintStrength.ConstraintStrengthHard
    roofs.setFieldConstraint(0, QgsFieldConstraints.Constraint.ConstraintNotNull, strength)
    with pytest.raises(target.FormWanted, match="name") as wanted:
        target.add_object(roofs, square(100, 0), UTM, {})
    assert wanted.value.features[0].geometry().area() == 100
    assert roofs.featureCount() == 3
    field_mapping.set_mapping(roofs, {"label": "name"})
    target.add_object(roofs, square(100, 0), UTM, {"label": "roof"})
    assert roofs.featureCount() == 4
    config = roofs.editFormConfig()
    config.setSuppress(config.FeatureFormSuppress.SuppressOff)
    roofs.setEditFormConfig(config)
    with pytest.raises(target.FormWanted):
        target.add_object(roofs, square(200, 0), UTM, {"label": "roof"})


@pytest.fixture
def with_form(roofs):
    """A layer that asks for its form at each new feature."""
    config = roofs.editFormConfig()
    config.setSuppress(config.FeatureFormSuppress.SuppressOff)
    roofs.setEditFormConfig(config)
    return roofs


def test_each_part_of_an_object_gets_a_form(loaded, with_form, wait):
    written = []
    loaded.controller.written.connect(written.append)
    assert loaded.controller.set_target(with_form)
    two = QgsGeometry.collectGeometry([square(100, 0), square(130, 0, 8)])
    loaded.controller._write(Accepted(two, two, UTM, {}))
    for count in (4, 5):
        loaded.forms.open[0].accept()
        wait(lambda count=count: with_form.featureCount() == count)
    assert not loaded.forms.open
    assert [len(each.feature_ids) for each in written] == [2]
    assert sum(f.geometry().area() for f in with_form.getFeatures()) == 300 + 100 + 64
    with_form.rollBack()


def test_a_value_that_qgis_would_lose_at_the_save_is_refused(roofs):
    feature = QgsFeature(roofs.fields())  # as QGIS's own tools add it
    feature.setGeometry(square(100, 0))
    assert roofs.addFeature(feature)
    assert roofs.addAttribute(field_mapping.text_field(roofs, "class", 80))
    index = roofs.fields().lookupField("class")
    loses = "class" not in roofs.editBuffer().addedFeatures()[feature.id()].fields().names()
    refused = pytest.raises(EditError, match="Save r first") if loses else nullcontext()
    with refused, editing.command(roofs, ""):
        editing.set_value(roofs, feature.id(), index, "roof")
    assert roofs.commitChanges()
    assert ("roof" in [each["class"] for each in roofs.getFeatures()]) is not loses


class InTransaction(QgsVectorLayer):
    """A layer of a database that refuses a change at once, and says why."""

    refused = ""

    def dataProvider(self):  # noqa: N802
        provider = super().dataProvider()
        provider.transaction = lambda: self
        provider.errors = lambda: ["an older one", "ERROR: violates\n check"]
        provider.clearErrors = lambda: None
        return provider

    def changeGeometry(self, *change) -> bool:  # noqa: N802
        return self.refused != "shape" and super().changeGeometry(*change)

    def changeAttributeValue(self, *change) -> bool:  # noqa: N802
        return self.refused != "value" and super().changeAttributeValue(*change)


@pytest.mark.parametrize("refused", ["shape", "value"])
def test_what_a_database_refuses_is_said_and_nothing_of_it_stays(qgis_app, refused):
    layer = InTransaction("Polygon?crs=EPSG:32645&field=area_m2:double", "plots", "memory")
    feature = QgsFeature(layer.fields())
    feature.setGeometry(square(300000, 3000000))
    layer.dataProvider().addFeatures([feature])
    known = next(layer.getFeatures()).id()
    layer.refused = refused
    said = r"plots refused the change \(ERROR: violates check\)"
    with pytest.raises(EditError, match=said), editing.command(layer, "a larger one"):
        editing.set_shape(layer, known, square(300000, 3000000, 20))
    assert layer.getFeature(known).geometry().area() == 100
    if refused == "value":
        with pytest.raises(EditError, match=said), editing.command(layer, "another area"):
            editing.set_value(layer, known, 0, 7.0)
    layer.rollBack()


class LockedByOthers(QgsVectorLayer):
    """As in buffered transaction groups of QGIS 3.26: it says that its editing has begun."""

    locked = True

    def startEditing(self) -> bool:  # noqa: N802
        return self.locked or super().startEditing()


def test_an_object_waits_where_no_other_layer_can_be_edited(loaded, roofs, monkeypatch):
    monkeypatch.setattr(editing, "buffered_together", lambda: True)
    layer = LockedByOthers("Polygon?crs=EPSG:32645&field=name:string", "locked", "memory")
    QgsProject.instance().addMapLayer(layer)
    assert loaded.controller.set_target(layer)
    loaded.controller._write(Accepted(square(100, 0), square(100, 0), UTM, {}))
    assert "locked cannot be edited while others are" in loaded.iface.text()
    with pytest.raises(EditError, match="while others are"), editing.command(layer, ""):
        pass
    roofs.rollBack()
    layer.locked = False
    buttons = {button.text(): button for button in loaded.iface.buttons()}
    buttons["Try again"].click()
    assert layer.featureCount() == 1
    layer.rollBack()


def test_an_object_that_went_through_the_form_is_as_good_as_any(loaded, with_form, wait):
    controller, written, examples = loaded.controller, [], []
    controller.written.connect(written.append)
    controller.accepted_as.connect(lambda *told: examples.append(told))
    assert controller.set_target(with_form)
    controller._write(Accepted(square(100, 0), square(100, 0), UTM, {"class": "roof"}))
    with_form.addFeature(QgsFeature(with_form.fields()))  # not the form's
    assert not written
    loaded.forms.open[0].accept()
    wait(lambda: written)
    (feature_id,) = written[0].feature_ids
    assert with_form.getFeature(feature_id).geometry().area() == 100
    assert [told[2] for told in examples] == ["roof"]
    assert controller.accepted_objects.kept[-1].written == written[0], "can be refined"
    with_form.rollBack()


def test_a_form_whose_layer_is_not_edited_any_more_says_how_to_go_on(loaded, with_form, wait):
    assert loaded.controller.set_target(with_form)
    loaded.controller._write(Accepted(square(100, 0), square(100, 0), UTM, {}))
    (form,) = loaded.forms.open
    assert with_form.commitChanges()
    assert "Editing of r has ended" in loaded.iface.text()
    (again,) = loaded.iface.buttons()
    again.click()
    assert with_form.isEditable()
    assert loaded.iface.text() == ""
    form.accept()
    wait(lambda: with_form.featureCount() == 4)
    with_form.rollBack()


def test_right_angles_and_largest_part(roofs):
    known = ids(roofs)
    tilted = QgsGeometry.fromWkt("POLYGON((0 0,10 0.4,10.2 10,0.1 9.8,0 0))")
    roofs.changeGeometry(known["a"], tilted)
    assert editing.right_angles(roofs, known["a"])
    made = shapes(roofs)["a"]
    angles = [made.angleAtVertex(k) for k in range(4)]
    assert len({round(angle * 1e4) % round(1e4 * 3.14159265 / 2) for angle in angles}) <= 2
    assert not editing.keep_largest_part(roofs, known["a"])


@pytest.mark.parametrize("north", [3064000, 5316000, 6651411])
def test_right_angles_in_a_layer_in_degrees_are_those_of_the_ground(qgis_app, north):
    plane, degrees = (QgsCoordinateReferenceSystem(f"EPSG:{code}") for code in (32633, 4326))
    to_degrees = QgsCoordinateTransform(plane, degrees, QgsProject.instance())
    house = QgsGeometry.fromWkt("PolygonZ((0 0 5,16 0.3 5,16.2 10 5,0 10 5,0 0 5))")
    house.rotate(30, QgsPointXY(0, 0))
    house.translate(500000, north)
    made = []
    for crs in (plane, degrees):
        layer = QgsVectorLayer(f"PolygonZ?crs={crs.authid()}", "houses", "memory")
        feature, shape = QgsFeature(layer.fields()), QgsGeometry(house)
        if crs == degrees:
            shape.transform(to_degrees)
        feature.setGeometry(shape)
        layer.dataProvider().addFeatures([feature])
        assert editing.right_angles(layer, 1)
        made.append(layer.getFeature(1).geometry())
        layer.rollBack()
    in_plane, back = made
    assert {vertex.z() for vertex in back.vertices()} == {5}
    back.transform(to_degrees, Qgis.TransformDirection.Reverse)
    pairs = zip(in_plane.vertices(), back.vertices())  # noqa: B905 - Python 3.9
    assert max(one.distance(other) for one, other in pairs) < 0.01


def test_a_correction_of_several_parts_is_refused_by_a_layer_of_single_polygons(roofs):
    known = ids(roofs)
    two = QgsGeometry.collectGeometry([square(0, 0), square(30, 0, 8)])
    with pytest.raises(EditError, match="single polygons"):
        target.correct_object(Place(roofs.id(), known["a"], two), two, UTM, {})
    assert shapes(roofs)["a"].equals(square(0, 0))
    one = QgsGeometry.collectGeometry([square(0, 0, 9)])
    target.correct_object(Place(roofs.id(), known["a"], one), one, UTM, {})
    assert shapes(roofs)["a"].area() == 81


def test_of_one_part_that_a_neighbour_cuts_in_two_the_larger_piece_stays(roofs):
    project = QgsProject.instance()
    project.setAvoidIntersectionsMode(project.AvoidIntersectionsMode.AvoidIntersectionsCurrentLayer)
    bar = QgsGeometry.fromWkt("MULTIPOLYGON(((40 2,65 2,65 4,40 4,40 2)))")
    target.correct_object(Place(roofs.id(), ids(roofs)["b"], bar), bar, UTM, {})
    assert shapes(roofs)["b"].area() == 20


HEIGHTS = "POLYGONZ((0 0 101,10 0 102,10 10 103,0 10 104,0 0 101))"


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        ("PolygonZ", HEIGHTS, [101, 101.4, 102.8, 104, 101]),
        ("MultiPolygonZM", HEIGHTS, [101, 101.4, 102.8, 104, 101]),
        (
            "PolygonZ",
            "POLYGONZ((0 0 7,10 0 7,10 10 7,0 0 7),(1 0.5 9,2 1 9,2 0.5 9,1 0.5 9))",
            None,
        ),
    ],
)
def test_a_corrected_polygon_keeps_its_heights(qgis_app, kind, before, after):
    layer = QgsVectorLayer(f"{kind}?crs=EPSG:32645", "roof", "memory")
    feature = QgsFeature(layer.fields())
    feature.setGeometry(QgsGeometry.fromWkt(before).coerceToType(layer.wkbType())[0])
    layer.dataProvider().addFeatures([feature])
    QgsProject.instance().addMapLayer(layer)
    (known,) = layer.getFeatures()
    new = QgsGeometry.fromWkt("POLYGON((0 0,4 0,12 8,0 10,0 0))")
    target.correct_object(Place(layer.id(), known.id(), new), new, UTM, {})
    heights = [vertex.z() for vertex in layer.getFeature(known.id()).geometry().vertices()]
    assert heights == pytest.approx(after or [7, 7, 7, 7, 7])
    assert layer.getFeature(known.id()).geometry().area() == new.area()
    layer.rollBack()
    QgsProject.instance().removeAllMapLayers()


def test_a_neighbour_that_is_cut_out_gives_no_heights(roofs):
    project = QgsProject.instance()
    layer = QgsVectorLayer("PolygonZ?crs=EPSG:32645", "z", "memory")
    for wkt in (HEIGHTS, "POLYGONZ((10 0 9,20 0 9,20 10 9,10 0 9))"):
        feature = QgsFeature(layer.fields())
        feature.setGeometry(QgsGeometry.fromWkt(wkt))
        layer.dataProvider().addFeatures([feature])
    project.addMapLayer(layer)
    project.setAvoidIntersectionsMode(project.AvoidIntersectionsMode.AvoidIntersectionsCurrentLayer)
    known = next(layer.getFeatures()).id()
    target.correct_object(Place(layer.id(), known, square(0, 0)), square(2, 0), UTM, {})
    shape = layer.getFeature(known).geometry()
    assert {vertex.x() for vertex in shape.vertices()} >= {2, 10, 12}
    assert all(101 <= vertex.z() <= 104 for vertex in shape.vertices()), shape.asWkt(1)
    layer.rollBack()


def test_a_click_takes_a_polygon_up_and_enter_writes_it_back(loaded, town, wait):
    controller, tool = loaded.controller, loaded.tool
    layer = QgsVectorLayer(
        "Polygon?crs=EPSG:32645&field=name:string&field=area_m2:double", "roofs", "memory"
    )
    feature = QgsFeature(layer.fields())
    feature.setAttributes(["mine", 1.0])
    feature.setGeometry(square(300010, 3000005, 5))
    layer.dataProvider().addFeatures([feature])
    QgsProject.instance().addMapLayer(layer)
    assert controller.set_target(layer)
    known = next(layer.getFeatures()).id()
    loaded.iface.active = town
    loaded.tool_action.trigger()
    session = controller.session
    wait(lambda: session.state == READY)
    inside = QgsPointXY(300012, 3000007)
    assert tool._take_up(inside, True)
    assert session.place.feature_id == known
    assert session.geometry.area() == 25, "shown as it is until it is corrected"
    session.accept()
    assert session.pending == 0
    assert not layer.isEditable(), "nothing was changed"

    assert tool._take_up(inside, True)
    session.add(Prompt("point", [[300014, 3000012]]))
    wait(lambda: session.candidates and not session.is_waiting)
    session.accept()
    wait(lambda: layer.isEditable() and layer.undoStack().canUndo())
    assert layer.featureCount() == 1
    corrected = layer.getFeature(known)
    assert corrected["name"] == "mine"
    assert corrected.geometry().area() != 25
    assert corrected["area_m2"] > 1.0, "the area is the new polygon's"
    assert loaded.editor.undo()
    assert layer.getFeature(known).geometry().area() == 25
    layer.rollBack()


@pytest.mark.parametrize("number", [1, 2])
def test_of_two_floors_the_one_in_work_is_known_after_the_file_was_packed(
    loaded, town, wait, tmp_path, number
):
    made = QgsVectorLayer("Polygon?crs=EPSG:32645&field=name:string", "floors", "memory")
    for name, x in (("shed", 300020), ("cellar", 300010), ("roof", 300010)):
        feature = QgsFeature(made.fields())
        feature.setAttributes([name])
        feature.setGeometry(square(x, 3000005, 5))
        made.dataProvider().addFeatures([feature])
    project, options = QgsProject.instance(), QgsVectorFileWriter.SaveVectorOptions()
    options.driverName = "ESRI Shapefile"
    path = str(tmp_path / "floors.shp")
    QgsVectorFileWriter.writeAsVectorFormatV3(made, path, project.transformContext(), options)
    layer = QgsVectorLayer(path, "floors", "ogr")
    project.addMapLayer(layer)
    loaded.controller.set_target(layer)
    loaded.iface.active = town
    loaded.tool_action.trigger()
    wait(lambda: loaded.controller.session.state == READY)
    floor = layer.getFeature(number)
    assert loaded.tool.correct(Place(layer.id(), number, floor.geometry(), 0))
    layer.startEditing()
    layer.deleteFeature(0)
    assert layer.commitChanges(False)
    loaded.editor.delete()
    left = {"cellar", "roof"} - {floor["name"]}
    assert {each["name"] for each in layer.getFeatures()} == left
    layer.rollBack()


@pytest.fixture
def barn(loaded, town, wait):
    """A polygon with a class in the target layer, and the tool in hand."""
    layer = QgsVectorLayer("Polygon?crs=EPSG:32645&field=class:string", "barns", "memory")
    feature = QgsFeature(layer.fields())
    feature.setAttributes(["barn"])
    feature.setGeometry(square(300010, 3000005, 5))
    layer.dataProvider().addFeatures([feature])
    QgsProject.instance().addMapLayer(layer)
    loaded.controller.set_target(layer)
    loaded.controller.classes.add("roof")
    loaded.controller.classes.choose("")
    loaded.iface.active = town
    loaded.tool_action.trigger()
    wait(lambda: loaded.controller.session.state == READY)
    assert loaded.tool._take_up(QgsPointXY(300012, 3000007), True)
    yield layer
    layer.rollBack()


def test_a_polygon_that_is_right_gets_another_class_alone(loaded, barn):
    told = []
    loaded.controller.accepted_as.connect(lambda shape, crs, name: told.append(name))
    loaded.tool._say_class("roof")
    assert loaded.controller.session.accept()
    (made,) = barn.getFeatures()
    assert made["class"] == "roof"
    assert made.geometry().asWkt() == square(300010, 3000005, 5).asWkt(), "to the last digit"
    assert told == ["roof"]
    assert not loaded.controller.session.prompts
    loaded.editor.undo()
    assert [each["class"] for each in barn.getFeatures()] == ["barn"]


def test_a_corrected_polygon_that_is_taken_back_keeps_the_class_that_was_said(loaded, barn, wait):
    session = loaded.controller.session
    session.add(Prompt("point", [[300014.5, 3000007]]))
    loaded.tool._say_class("roof")
    session.accept()
    assert session.pending == 1
    session.undo()
    assert len(session.prompts) == 2
    session.accept()
    wait(lambda: not session.pending)
    assert [each["class"] for each in barn.getFeatures()] == ["roof"]


@pytest.mark.parametrize("name", ["barn", "", None])
def test_a_class_that_is_there_already_or_not_said_changes_nothing(loaded, barn, name):
    if name is not None:
        loaded.tool._say_class(name)
    assert loaded.controller.session.accept()
    assert not barn.isEditable()


@pytest.mark.parametrize("what", ["building", EXAMPLES])
def test_a_search_says_no_class_of_the_polygon_in_work(loaded, barn, wait, what):
    controller = loaded.controller
    controller.session.clear()
    for name in set(controller.classes.names) - {"roof"}:
        controller.classes.remove(name)
    if what == EXAMPLES:
        controller.classes.remove("roof")
        controller.accepted_as.emit(square(300020, 3000005, 3), UTM, "")
    else:
        controller.classes.choose("roof")
    assert loaded.tool._take_up(QgsPointXY(300012, 3000007), True)
    loaded.automatic.start(Wanted(what, RASTER, None, UTM, False))
    wait(lambda: not loaded.automatic.busy and loaded.find.tiles > 0)
    assert controller.classes.names == (["like these"] if what == EXAMPLES else ["roof", what])
    assert controller.session.accept()
    assert [each["class"] for each in barn.getFeatures()] == ["barn"]


def test_a_class_that_is_chosen_in_the_panel_is_the_polygons_and_a_new_name_is_not(loaded, barn):
    controller, panel = loaded.controller, loaded.dock.classes
    controller.session.clear()
    controller.classes.choose("roof")
    assert loaded.tool._take_up(QgsPointXY(300012, 3000007), True)
    controller.classes.rename("roof", "house")
    assert controller.session.accept()
    assert [each["class"] for each in barn.getFeatures()] == ["barn"]
    assert loaded.tool._take_up(QgsPointXY(300012, 3000007), True)
    panel.name.setText("shed")
    panel.add.click()
    panel.list.setCurrentRow(controller.classes.names.index("house") + 1)
    assert controller.session.accept()
    assert [each["class"] for each in barn.getFeatures()] == ["house"]
    controller.classes.choose("shed")
    assert loaded.tool._take_up(QgsPointXY(300012, 3000007), True)
    item = panel.list.currentItem()
    assert item.text() == "shed"
    where = panel.list.visualItemRect(item).center()
    QTest.mouseClick(panel.list.viewport(), Qt.MouseButton.LeftButton, pos=where)
    assert controller.session.accept()
    assert [each["class"] for each in barn.getFeatures()] == ["shed"], "also the class in use"


def test_a_class_for_which_there_is_no_field_is_refused_in_a_sentence(loaded, barn, monkeypatch):
    monkeypatch.setattr(QgsVectorLayer, "addAttribute", lambda layer, field: False)
    monkeypatch.setattr(target, "class_field", lambda layer: -1)
    loaded.tool._say_class("roof")
    assert loaded.controller.session.accept()
    assert "no field" in loaded.iface.text()


def test_a_correction_that_its_layer_refuses_can_go_into_a_new_one(
    loaded, roofs, tmp_path, monkeypatch
):
    """The classes of this layer are codes: "roof" is none of them."""
    controller, said = loaded.controller, []
    QgsProject.instance().setCrs(UTM)  # of the new layer; later versions of QGIS begin without one
    monkeypatch.setattr(
        "samgeo_plugin.interactive.controller.new_path", lambda name: tmp_path / "new.gpkg"
    )
    monkeypatch.setattr(
        controller.reporter, "show", lambda *text, **more: said.append((text, more))
    )
    field_mapping.set_mapping(roofs, {"class": "n"})
    assert controller.set_target(roofs)
    corrected, place = square(0, 0, 9), Place(roofs.id(), ids(roofs)["a"], square(0, 0))
    controller._write(Accepted(corrected, corrected, UTM, {"class": "roof"}, place))
    (((_, sentence), more),) = said
    assert "“n” of r cannot hold “roof”" in sentence
    assert shapes(roofs)["a"].area() == 100
    dict(more["actions"])["Use a new layer"]()
    new = controller.target_layer()
    assert new.name() != "r"
    assert [feature["class"] for feature in new.getFeatures()] == ["roof"]
    new.rollBack()
    roofs.rollBack()


def test_several_features_get_new_shapes_in_one_step(roofs):
    known = ids(roofs)
    two = QgsGeometry.collectGeometry([square(0, 0), square(30, 0)])
    changed = {known["a"]: square(0, 0, 6), known["b"]: two, known["c"]: square(50, 0, 5)}
    editing.set_shapes(roofs, changed, "Refine")
    assert {name: shape.area() for name, shape in shapes(roofs).items()} == {
        "a": 36, "b": 100, "c": 25,
    }  # fmt: skip
    roofs.undoStack().undo()
    assert {shape.area() for shape in shapes(roofs).values()} == {100}
    with pytest.raises(EditError, match="single polygons"):
        editing.set_shapes(roofs, {known["b"]: two}, "Refine")
    assert not roofs.undoStack().canUndo()


@pytest.fixture
def accepted(loaded, roofs):
    """Accepts squares into the layer and returns their features' ids."""
    controller = loaded.controller
    assert controller.set_target(roofs)

    def accept(x: float, crs: QgsCoordinateReferenceSystem = UTM) -> int:
        shape = square(x, 3000000)
        shape.transform(QgsCoordinateTransform(UTM, crs, QgsProject.instance()))
        controller._write(Accepted(shape, shape, crs, {}))
        return controller.accepted_objects.kept[-1].written.feature_ids[0]

    yield accept
    roofs.rollBack()


def refine_accepted(controller, refinement: Refinement) -> None:
    controller.accepted_objects.refine(controller.target_layer(), refinement)


def refine(loaded) -> None:
    """As if a slider had been moved: each shape is made half as wide in the engine's place."""
    for one in loaded.controller.accepted_objects.kept:
        box = one.accepted.raw.boundingBox()
        half = QgsRectangle(box.xMinimum(), box.yMinimum(), box.center().x(), box.yMaximum())
        one.accepted = replace(one.accepted, raw=QgsGeometry.fromRect(half))
    refine_accepted(loaded.controller, Refinement(max_vertices=0))


def test_refinement_leaves_alone_what_was_edited_since(loaded, roofs, accepted):
    first, second, third = (accepted(300000 + 100 * k) for k in range(3))
    roofs.changeGeometry(second, square(300100, 3000000, 12))
    editing.split(roofs, [third], [QgsPointXY(300204, 2999990), QgsPointXY(300204, 3000020)])
    refine(loaded)
    assert roofs.getFeature(first).geometry().area() == 50
    assert roofs.getFeature(second).geometry().area() == 144
    assert roofs.getFeature(third).geometry().area() == 60
    roofs.undoStack().undo()
    assert roofs.getFeature(first).geometry().area() == 100
    refine_accepted(loaded.controller, Refinement(max_vertices=0))
    assert roofs.getFeature(first).geometry().area() == 50, "again, after an undo"


def test_refinement_leaves_alone_what_was_saved(loaded, roofs, accepted, wait):
    place = Place(roofs.id(), ids(roofs)["a"], square(0, 0))
    corrected = square(0, 0, 9)
    loaded.controller._write(Accepted(corrected, corrected, UTM, {}, place))
    assert roofs.commitChanges(False)
    second = accepted(300100)
    refine(loaded)
    assert roofs.getFeature(second).geometry().area() == 50
    assert shapes(roofs)["a"].area() == 81
    assert roofs.commitChanges(False)
    assert loaded.controller.accepted_objects.kept == []


def test_refinement_takes_each_object_from_its_own_crs(loaded, roofs, accepted):
    accepted(300000)
    second = accepted(300100, QgsCoordinateReferenceSystem("EPSG:3857"))
    refine_accepted(loaded.controller, Refinement(max_vertices=0))
    assert roofs.getFeature(second).geometry().intersection(square(300100, 3000000)).area() > 99


def test_refinement_avoids_overlaps_where_the_project_does(loaded, roofs, accepted):
    project = QgsProject.instance()
    project.setAvoidIntersectionsMode(project.AvoidIntersectionsMode.AvoidIntersectionsCurrentLayer)
    first, second = accepted(300000), accepted(300006)
    refine_accepted(loaded.controller, Refinement(max_vertices=0))
    one, other = (roofs.getFeature(each).geometry() for each in (first, second))
    assert one.intersection(other).area() == pytest.approx(0)


def test_a_polygon_that_is_saved_while_it_is_corrected_is_known_still(roofs):
    roofs.commitChanges(False)
    (made,) = target.add_object(roofs, square(100, 0), UTM, {}).feature_ids
    assert made < 0, "in the edit buffer only"
    place = Place(roofs.id(), made, square(100, 0))
    roofs.commitChanges(False)
    assert target.correct_object(place, square(100, 0, 11), UTM, {}).feature_ids[0] > 0
    assert sorted(each.geometry().area() for each in roofs.getFeatures()) == [100, 100, 100, 121]
    roofs.deleteFeature(target.feature_at(roofs, place, UTM))
    with pytest.raises(target.TargetError, match="deleted"):
        target.correct_object(place, square(100, 0), UTM, {})


def test_a_question_can_be_answered_after_a_save(loaded, roofs, monkeypatch):
    controller, asked = loaded.controller, {}

    def show(level: str, text: str, *more: object, actions=(), **named: object) -> None:
        asked.update(actions)

    monkeypatch.setattr(controller.reporter, "show", show)
    controller.set_target(roofs)
    for side in (10, 11):
        shape = square(100, 0, side)
        controller.session.accepted.emit(Accepted(shape, shape, UTM, {}))
    assert roofs.featureCount() == 4
    assert controller.autosave.save()
    asked["Replace its outline"]()
    assert sorted(each.geometry().area() for each in roofs.getFeatures()) == [100, 100, 100, 121]


def test_an_object_is_added_again_to_the_layer_that_was_asked_about(loaded, roofs, monkeypatch):
    controller, asked = loaded.controller, {}
    monkeypatch.setattr(
        controller.reporter, "show", lambda *text, actions=(), **named: asked.update(actions)
    )
    other = target.new_scratch_layer("other", UTM)
    QgsProject.instance().addMapLayer(other)
    controller.set_target(roofs)
    for _ in range(2):
        shape = square(100, 0)
        controller.session.accepted.emit(Accepted(shape, shape, UTM, {}))
    controller.set_target(other)
    asked["Add it again"]()
    assert (roofs.featureCount(), other.featureCount()) == (5, 0)


def test_a_correction_needs_no_target_layer(loaded, roofs):
    (known, *_) = ids(roofs).values()
    before = set(QgsProject.instance().mapLayers())
    shape = square(0, 0, 8)
    place = Place(roofs.id(), known, square(0, 0))
    loaded.controller.session.accepted.emit(Accepted(shape, shape, UTM, {}, place))
    assert roofs.getFeature(known).geometry().area() == 64
    assert set(QgsProject.instance().mapLayers()) == before
    assert loaded.controller.target_layer() is None


def test_ctrl_z_undoes_in_the_target_whichever_layer_is_active(loaded, town, wait):
    from test_plugin import click

    loaded.iface.active = town
    loaded.tool_action.trigger()
    click(loaded)
    loaded.controller.session.accept()
    wait(lambda: loaded.controller.target_layer() is not None)
    layer = loaded.controller.target_layer()
    wait(lambda: layer.featureCount() == 1)

    class Key:
        @staticmethod
        def key():
            return Qt.Key.Key_Z

        @staticmethod
        def modifiers():
            return Qt.KeyboardModifier.ControlModifier

    loaded.tool._action(Key)()
    assert layer.featureCount() == 0
    assert loaded.tool._action(Key) is None, "nothing is left to undo: the key is QGIS's"
    layer.rollBack()


def test_ctrl_z_undoes_what_was_done_last_in_the_review_or_in_the_target(loaded, roofs, wait):
    reviewed = QgsVectorLayer("Polygon?crs=EPSG:32645&field=status:string", "reviewed", "memory")
    for x in (0, 20):
        feature = QgsFeature(reviewed.fields())
        feature.setGeometry(square(x, 100))
        reviewed.dataProvider().addFeature(feature)
    QgsProject.instance().addMapLayer(reviewed)
    roofs.commitChanges()
    loaded.controller.set_target(roofs)
    assert loaded.review.start(reviewed)
    wait(lambda: loaded.review.ready)

    def state() -> tuple:
        return sum(bool(each["status"]) for each in reviewed.getFeatures()), roofs.featureCount()

    before = roofs.featureCount()
    loaded.review.decide("accepted")
    shape = square(100, 0)
    loaded.controller.session.accepted.emit(Accepted(shape, shape, UTM, {}))
    loaded.review.decide("accepted")
    assert state() == (2, before + 1)
    undone = []
    while loaded.editor.undo():
        undone.append(state())
    assert undone == [(1, before + 1), (1, before), (0, before)]
    loaded.review.stop()
    reviewed.rollBack()


def test_layers_are_undone_in_the_order_in_which_they_were_changed(qgis_app):
    layers = [QgsVectorLayer("Polygon?crs=EPSG:32645", name, "memory") for name in "abc"]

    def change(number: int) -> None:
        target.add_object(layers[number], square(0, 0), UTM, {})

    def undone() -> str:
        names = ""
        while order.last() is not None:
            names += order.last().name()
            order.last().undoStack().undo()
        return names

    change(2)
    order = UndoOrder()
    order.follow(layers[:2])
    for number in (0, 1, 1, 0):
        change(number)
    order.follow(layers)  # what was done in c before is older than all
    change(2)
    layers[1].undoStack().undo()  # as by QGIS's own button
    layers[0].undoStack().undo()
    layers[0].undoStack().redo()
    assert undone() == "acbac"
    for number in (0, 1, 0):
        change(number)
    layers[0].commitChanges(False)
    assert undone() == "b", "what is saved is undone no more"
    change(0)
    change(1)
    order.follow(layers[:1])
    assert undone() == "a"


def test_a_layer_in_review_can_be_removed_with_its_changes(loaded, roofs, wait):
    loaded.controller.set_target(None, temporary=True)
    assert loaded.review.start(roofs)
    wait(lambda: loaded.review.ready)
    loaded.review.decide("accepted")
    QgsProject.instance().removeMapLayer(roofs.id())
    assert not loaded.editor.can_undo


def test_last_values_are_used_again_where_qgis_says_so(qgis_app):
    layer = QgsVectorLayer(
        "MultiPolygon?crs=EPSG:32645&field=owner:string&field=floors:integer&field=score:double",
        "houses",
        "memory",
    )
    QgsProject.instance().addMapLayer(layer)
    layer.setDefaultValueDefinition(1, QgsDefaultValue("2"))
    layer.startEditing()
    entered = QgsFeature(layer.fields())
    entered.setAttributes(["Ama", 5, 0.3])
    last_values.remember(layer, entered)
    try:
        QgsSettings().setValue("qgis/digitizing/reuseLastValues", True)
        target.add_object(layer, square(0, 0), UTM, {"score": 0.9})
        (made,) = layer.getFeatures()
        assert made.attributes() == ["Ama", 2, 0.9], "the default and the object's own come first"
    finally:
        QgsSettings().remove("qgis/digitizing/reuseLastValues")
    target.add_object(layer, square(0, 0), UTM, {"score": 0.8})
    owners = [str(f["owner"] or "") for f in layer.getFeatures() if f["owner"] == "Ama"]
    assert len(owners) == 1, "only where QGIS's setting asks for it"
    layer.rollBack()


COURT = "((0 0 5,20 0 5,20 20 5,0 20 5,0 0 5),(8 8 5,8 12 5,12 12 5,12 8 5,8 8 5))"
SHED = "((40 0 9,44 0 9,44 4 9,40 4 9,40 0 9))"


@pytest.fixture
def houses(qgis_app):
    """A house with a courtyard and its shed, as one feature with heights."""
    layer = QgsVectorLayer("MultiPolygonZ?crs=EPSG:32645&field=name:string", "houses", "memory")
    feature = QgsFeature(layer.fields())
    feature.setGeometry(QgsGeometry.fromWkt(f"MULTIPOLYGONZ({COURT},{SHED})"))
    layer.dataProvider().addFeatures([feature])
    QgsProject.instance().addMapLayer(layer)
    layer.startEditing()
    yield layer
    layer.rollBack()
    QgsProject.instance().removeAllMapLayers()


def taken_up(layer, x: float, y: float) -> Place:
    (feature,) = layer.getFeatures()
    shape, point = feature.geometry(), QgsPointXY(x, y)
    return Place(layer.id(), feature.id(), shape, part_at(shape, point))


def test_a_click_takes_up_the_part_that_it_is_on(houses):
    assert {x for x, _ in taken_up(houses, 42, 2).ring} == {40, 44}
    assert {x for x, _ in taken_up(houses, 2, 2).ring} == {0, 20}
    assert {x for x, _ in taken_up(houses, 900, 2).ring} == {0, 20}, "the largest"
    assert taken_up(houses, 42, 2).keeps


def test_a_corrected_part_leaves_the_other_parts_and_their_holes_as_they_were(houses):
    answer = square(40, 0, 6)
    target.correct_object(taken_up(houses, 42, 2), answer, UTM, {})
    (feature,) = houses.getFeatures()
    house, shed = (QgsGeometry(part.clone()) for part in feature.geometry().constParts())
    assert house.asWkt(0).replace(" ", "") == f"PolygonZ{COURT}".replace(" ", "")
    assert shed.area() == 36
    assert {vertex.z() for vertex in shed.vertices()} == {9}


def test_a_corrected_part_keeps_its_courtyard_unless_somebody_clicks_into_it(houses):
    answer = square(0, 0, 21)
    target.correct_object(taken_up(houses, 2, 2), answer, UTM, {}, [QgsPointXY(20.5, 20.5)])
    (feature,) = houses.getFeatures()
    assert feature.geometry().area() == 21 * 21 - 16 + 16, "without courtyard, with shed"
    assert len(feature.geometry().asMultiPolygon()) == 2
    target.correct_object(taken_up(houses, 2, 2), answer, UTM, {}, [QgsPointXY(10, 10)])
    (feature,) = houses.getFeatures()
    assert feature.geometry().area() == 21 * 21 + 16, "the courtyard is filled, the shed stays"


def test_a_part_that_grows_into_another_one_is_one_with_it(houses):
    target.correct_object(taken_up(houses, 42, 2), square(10, 0, 34), UTM, {})
    (feature,) = houses.getFeatures()
    shape = feature.geometry()
    assert shape.isGeosValid()
    assert shape.constGet().partCount() == 1
    assert shape.area() == pytest.approx(400 - 16 + 34 * 34 - (200 - 8))


def test_a_feature_whose_parts_are_others_meanwhile_is_not_corrected(houses):
    place = taken_up(houses, 42, 2)
    houses.changeGeometry(place.feature_id, QgsGeometry.fromWkt(f"MULTIPOLYGONZ({COURT})"))
    with pytest.raises(target.TargetError, match="changed meanwhile"):
        target.correct_object(place, square(40, 0, 6), UTM, {})


def test_what_was_corrected_beside_other_parts_is_not_refined(loaded, houses):
    controller = loaded.controller
    controller.set_target(houses)
    shape = square(40, 0, 6)
    controller.session.accepted.emit(Accepted(shape, shape, UTM, {}, taken_up(houses, 42, 2)))
    (before,) = houses.getFeatures()
    assert before.geometry().area() == 400 - 16 + 36
    refine_accepted(controller, Refinement())
    assert not controller.accepted_objects.is_refining
