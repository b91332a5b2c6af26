# SPDX-License-Identifier: GPL-2.0-or-later
"""Accepted objects in layers of every kind: checks, fields, types, undo."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import qgis.core
from conftest import small_raster
from osgeo import ogr, osr
from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsDefaultValue,
    QgsFeature,
    QgsField,
    QgsFieldConstraints,
    QgsFields,
    QgsGeometry,
    QgsPoint,
    QgsProject,
    QgsRasterLayer,
    QgsRectangle,
    QgsVectorFileWriter,
    QgsVectorLayer,
    QgsVectorLayerJoinInfo,
    QgsWkbTypes,
)

from samgeo_plugin import field_types
from samgeo_plugin.gui.field_dialog import FieldDialog
from samgeo_plugin.interactive import editing, field_mapping, target
from samgeo_plugin.interactive.candidates import Refinement
from samgeo_plugin.interactive.doubt import text_of
from samgeo_plugin.interactive.editing import EditError
from samgeo_plugin.interactive.found_objects import Found
from samgeo_plugin.interactive.place import Place
from samgeo_plugin.interactive.take_over import TakeOver

ROOT = Path(__file__).resolve().parents[2]
UTM = QgsCoordinateReferenceSystem("EPSG:32645")
SQUARE = QgsGeometry.fromWkt(
    "POLYGON((300000 3000000, 300010 3000000, 300010 3000010, 300000 3000010, 300000 3000000))"
)
TWO = QgsGeometry.fromWkt(
    "MULTIPOLYGON(((300000 3000000, 300010 3000000, 300010 3000010, 300000 3000000)),"
    "((300020 3000000, 300030 3000000, 300030 3000010, 300020 3000000)))"
)
ATTRIBUTES = {
    "id": "f00d",
    "score": 0.87,
    "area_m2": 100.0,
    "tiles": 2,
    "label": "roof",
    "parent_id": None,
}


def only(layer):
    return next(iter(layer.getFeatures()))


def test_a_new_layer_holds_every_attribute(qgis_app):
    layer = target.new_scratch_layer("roofs", UTM)
    written = target.add_object(layer, SQUARE, UTM, ATTRIBUTES)
    assert len(written.feature_ids) == 1
    feature = only(layer)
    assert feature["id"] == "f00d"
    assert feature["score"] == 0.87
    assert feature["tiles"] == 2
    assert feature.geometry().area() == pytest.approx(100.0)


def test_one_undo_takes_an_object_back(qgis_app):
    layer = target.new_scratch_layer("roofs", UTM)
    target.add_object(layer, TWO, UTM, ATTRIBUTES)
    assert layer.featureCount() == 1
    layer.undoStack().undo()
    assert layer.featureCount() == 0
    layer.undoStack().redo()
    assert layer.featureCount() == 1


def test_geometry_arrives_in_the_layers_crs(qgis_app):
    layer = QgsVectorLayer("Polygon?crs=EPSG:4326", "degrees", "memory")
    target.add_object(layer, SQUARE, UTM, ATTRIBUTES)
    centre = only(layer).geometry().centroid().asPoint()
    assert (centre.x(), centre.y()) == (
        pytest.approx(84.98, abs=0.02),
        pytest.approx(27.11, abs=0.02),
    )


def a_raster(folder, epsg: int) -> QgsRasterLayer:
    path = folder / f"{epsg}.tif"
    small_raster(path, 1).SetProjection(QgsCoordinateReferenceSystem.fromEpsgId(epsg).toWkt())
    layer = QgsRasterLayer(str(path), str(epsg))
    QgsProject.instance().addMapLayer(layer)
    return layer


def test_in_a_map_without_a_crs_objects_have_that_of_the_rasters(qgis_app, tmp_path):
    nothing = QgsCoordinateReferenceSystem()
    a_raster(tmp_path, 32645)
    degrees = QgsVectorLayer("Polygon?crs=EPSG:4326&field=class:string", "degrees", "memory")
    metres = QgsVectorLayer("Polygon?crs=EPSG:32645&field=class:string", "metres", "memory")
    for layer in (degrees, metres):
        target.add_object(layer, SQUARE, nothing, ATTRIBUTES)
    centre = only(degrees).geometry().centroid().asPoint()
    assert (centre.x(), centre.y()) == pytest.approx((84.98, 27.1), abs=0.1)
    assert only(metres).geometry().isGeosEqual(SQUARE)
    taken_up = only(degrees)
    place = Place("", taken_up.id(), taken_up.geometry())
    assert target.feature_at(degrees, place, nothing) == taken_up.id()

    other = a_raster(tmp_path, 32646)
    with pytest.raises(target.TargetError, match="choose a CRS in the project's properties"):
        target.add_object(metres, SQUARE, nothing, ATTRIBUTES)
    other.setCrs(nothing)
    with pytest.raises(target.TargetError, match="do not have the same one"):
        target.add_object(metres, SQUARE, nothing, ATTRIBUTES)
    target.add_object(metres, SQUARE, UTM, ATTRIBUTES)
    QgsProject.instance().removeAllMapLayers()


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        ("Polygon", 2),
        ("MultiPolygon", 1),
        ("PolygonZ", 2),
        ("MultiPolygonZM", 1),
        ("CurvePolygon", 2),
    ],
)
def test_an_object_of_two_parts_fits_every_type_of_layer(qgis_app, kind, count):
    layer = QgsVectorLayer(f"{kind}?crs=EPSG:32645", kind, "memory")
    written = target.add_object(layer, TWO, UTM, ATTRIBUTES)
    assert len(written.feature_ids) == count
    assert layer.commitChanges(), layer.commitErrors()
    assert layer.featureCount() == count
    assert sum(f.geometry().area() for f in layer.getFeatures()) == pytest.approx(100.0)


def test_fields_are_mapped_by_name_and_by_choice(qgis_app):
    layer = QgsVectorLayer(
        "Polygon?crs=EPSG:32645&field=SCORE:string(3)&field=quality:double&field=tiles:string",
        "mine",
        "memory",
    )
    assert field_mapping.mapping(layer) == {"score": "SCORE", "tiles": "tiles"}
    target.add_object(layer, SQUARE, UTM, ATTRIBUTES)
    assert only(layer).attributes()[0] == "0.8"
    field_mapping.set_mapping(layer, {"score": "quality", "label": "gone"})
    assert field_mapping.mapping(layer) == {"score": "quality"}
    layer.undoStack().undo()
    target.add_object(layer, SQUARE, UTM, ATTRIBUTES)
    assert only(layer)["quality"] == 0.87


@pytest.mark.parametrize("perimeter", ["perim_m", "perimeter_"])
def test_short_names_of_a_shapefile_are_known(qgis_app, perimeter):
    fields = f"field=area_m2:double&field={perimeter}:double&field=prompt_typ:string"
    layer = QgsVectorLayer(f"Polygon?crs=EPSG:32645&{fields}", "short", "memory")
    written = target.add_object(layer, SQUARE, UTM, {**ATTRIBUTES, "prompt_type": "point"})
    assert only(layer)["prompt_typ"] == "point"
    assert only(layer)[perimeter] == pytest.approx(40, rel=1e-3)
    larger = QgsGeometry.fromRect(QgsRectangle(300000, 3000000, 300020, 3000010))
    with editing.command(layer, "larger"):
        editing.set_shape(layer, written.feature_ids[0], larger)
    assert only(layer)[perimeter] == pytest.approx(60, rel=1e-3)
    layer.dataProvider().addAttributes([QgsField("perimeter_m", field_types.REAL)])
    layer.updateFields()
    assert field_mapping.default_mapping(layer)["perimeter_m"] == "perimeter_m"


def test_short_names_are_the_engines():
    source = (ROOT / "core" / "vectors" / "schema.py").read_text(encoding="utf-8")
    (engines,) = (
        ast.literal_eval(node.value)
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "SHORT_NAMES"
    )
    length = field_mapping.SHAPEFILE_LETTERS
    own = {name: short for name, short in engines.items() if short != name[:length]}
    assert own == field_mapping.SHORT_NAMES


@pytest.mark.parametrize(
    ("fields", "virtual", "expected"),
    [("", "label", "class"), ("", "class", "label"), ("&field=label:string", "class", "label")],
)
def test_a_virtual_field_is_not_written_into(qgis_app, fields, virtual, expected):
    layer = QgsVectorLayer("Polygon?crs=EPSG:32645&field=name:string" + fields, "mine", "memory")
    layer.addExpressionField("name || '!'", QgsField(virtual, field_types.TEXT))
    target.add_object(layer, SQUARE, UTM, {"class": "roof", "label": ""})
    assert only(layer)[expected] == "roof"
    assert virtual not in field_mapping.mapping(layer).values()
    dialog = FieldDialog(layer)
    dialog.boxes["class"].setField(virtual)
    assert dialog.boxes["class"].currentField() != virtual, "it is not offered"


def test_fields_that_the_form_does_not_let_be_edited_are_offered(qgis_app):
    layer = QgsVectorLayer("Polygon?crs=EPSG:32645&field=area_m2:double", "mine", "memory")
    form = layer.editFormConfig()
    form.setReadOnly(0, True)
    layer.setEditFormConfig(form)
    FieldDialog(layer).accept()
    assert field_mapping.mapping(layer) == {"area_m2": "area_m2"}


def test_a_class_that_the_user_has_left_out_is_not_written(qgis_app):
    layer = QgsVectorLayer("Polygon?crs=EPSG:32645&field=label:string", "mine", "memory")
    dialog = FieldDialog(layer)
    for name in ("class", "label"):
        dialog.boxes[name].setField("")
    dialog.accept()
    target.add_object(layer, SQUARE, UTM, {"class": "roof", "label": "roof"})
    assert layer.fields().names() == ["label"]
    assert not only(layer)["label"]


def test_where_no_field_for_the_class_could_be_chosen_one_is_added(qgis_app):
    layer = QgsVectorLayer("Polygon?crs=EPSG:32645&field=name:string", "mine", "memory")
    FieldDialog(layer).accept()
    for _ in range(2):
        target.add_object(layer, SQUARE, UTM, {"class": "roof"})
    assert [feature["class"] for feature in layer.getFeatures()] == ["roof", "roof"]


@pytest.mark.parametrize("kind", ["integer", "int8", "double"])
@pytest.mark.parametrize("key", ["12e4567890123456", "1234567890123456", "f00d567890123456"])
def test_an_id_does_not_go_into_a_field_of_numbers(qgis_app, kind, key):
    layer = QgsVectorLayer(f"Polygon?crs=EPSG:32645&field=id:{kind}", "mine", "memory")
    target.add_object(layer, SQUARE, UTM, {"id": key})
    assert not only(layer)["id"]
    assert layer.commitChanges(), layer.commitErrors()


@pytest.fixture
def numbered(qgis_app):
    """A layer of the user's own, whose classes are codes."""
    layer = QgsVectorLayer("Polygon?crs=EPSG:32645&field=class:integer", "codes", "memory")
    feature = QgsFeature(layer.fields())
    feature.setGeometry(SQUARE)
    feature["class"] = 3
    layer.dataProvider().addFeatures([feature])
    QgsProject.instance().addMapLayer(layer)
    yield layer
    layer.rollBack()
    QgsProject.instance().removeAllMapLayers()


def test_a_class_that_the_field_cannot_hold_is_refused_and_nothing_changes(numbered):
    known, larger = only(numbered).id(), SQUARE.buffer(5, 1)
    place = Place(numbered.id(), known, SQUARE)
    with pytest.raises(EditError, match="“class” of codes cannot hold “roof”"):
        target.correct_object(place, larger, UTM, {"class": "roof"})
    with pytest.raises(EditError, match="cannot hold “roof”"):
        target.add_object(numbered, larger, UTM, {"class": "roof"})
    assert numbered.featureCount() == 1
    assert only(numbered)["class"] == 3
    assert only(numbered).geometry().area() == 100
    target.correct_object(place, larger, UTM, {"class": "7"})
    assert only(numbered)["class"] == 7
    assert only(numbered).geometry().area() > 100


def test_a_class_of_what_was_added_before_its_field_is_saved(qgis_app, tmp_path):
    layer = QgsVectorLayer("MultiPolygon?crs=EPSG:32645&field=nr:integer", "mine", "memory")
    options = QgsVectorFileWriter.SaveVectorOptions()
    path = str(tmp_path / "mine.gpkg")
    QgsVectorFileWriter.writeAsVectorFormatV3(
        layer, path, QgsProject.instance().transformContext(), options
    )
    saved = QgsVectorLayer(path, "mine", "ogr")
    QgsProject.instance().addMapLayer(saved)
    written = target.add_object(saved, SQUARE, UTM, {"score": 0.9})
    place = Place(saved.id(), written.feature_ids[0], SQUARE)
    target.set_class(place, UTM, "roof")  # QGIS 3.22 would lose it
    assert saved.commitChanges(), saved.commitErrors()
    assert only(saved)["class"] == "roof"
    QgsProject.instance().removeAllMapLayers()


@pytest.fixture
def joined(qgis_app):
    """A layer with a join to a table whose values are unique and never missing."""
    layer = QgsVectorLayer("MultiPolygon?crs=EPSG:32645&field=nr:integer", "plots", "memory")
    table = QgsVectorLayer("NoGeometry?field=nr:integer&field=who:string", "owners", "memory")
    for constraint in (
        QgsFieldConstraints.Constraint.ConstraintNotNull,
        QgsFieldConstraints.Constraint.ConstraintUnique,
    ):
        table.setFieldConstraint(1, constraint)
    QgsProject.instance().addMapLayers([layer, table])
    join = QgsVectorLayerJoinInfo()
    join.setJoinLayer(table)
    join.setJoinFieldName("nr")
    join.setTargetFieldName("nr")
    assert layer.addJoin(join)
    yield layer
    QgsProject.instance().removeAllMapLayers()


def test_constraints_of_a_joined_table_are_none_of_the_layer(joined, wait):
    target.add_object(joined, SQUARE, UTM, ATTRIBUTES)
    take, heard = TakeOver(), []
    take.ended.connect(lambda *counts: heard.append(counts))
    take.start(joined, UTM, squares(2), {}, Refinement())
    wait(lambda: heard)
    assert heard == [(1, 1, 0)], take.refused
    joined.rollBack()


def test_a_join_that_adds_rows_to_its_table_gets_one_for_a_new_object(joined):
    join = QgsVectorLayerJoinInfo(joined.vectorJoins()[0])
    table = join.joinLayer()
    join.setEditable(True)
    join.setUpsertOnEdit(True)
    joined.removeJoin(table.id())
    assert joined.addJoin(join)
    table.setDefaultValueDefinition(1, QgsDefaultValue("'unknown'"))
    joined.setDefaultValueDefinition(0, QgsDefaultValue("7"))
    assert table.startEditing()
    target.add_object(joined, SQUARE, UTM, ATTRIBUTES)
    assert [each.attributes() for each in table.getFeatures()] == [[7, "unknown"]]
    assert joined.commitChanges(), joined.commitErrors()
    assert only(joined).attributes() == [7, "unknown"]
    table.rollBack()


@pytest.mark.parametrize(
    ("clause", "value", "expected"),
    [
        ("'roof'::text", "'roof'::text", "roof"),
        ("'Miller''s'", "'Miller''s'", "Miller's"),
        ("''::character varying", "''::character varying", ""),
        ("gen_random_uuid()", "gen_random_uuid()", None),
        ("'roof'::text", "road", "road"),
        ("", "road", "road"),
    ],
)
def test_a_default_of_the_source_is_known_before_the_save(clause, value, expected):
    fields = QgsFields()
    fields.append(QgsField("class", field_types.TEXT), QgsFields.OriginProvider, 0)
    provider = SimpleNamespace(defaultValueClause=lambda index: clause)
    layer = SimpleNamespace(fields=lambda: fields, dataProvider=lambda: provider)
    assert field_mapping.filled_in(layer, 0, value) == expected
    if hasattr(qgis.core, "QgsUnsetAttributeValue") and value == clause:  # since QGIS 3.28
        unset = qgis.core.QgsUnsetAttributeValue(clause)
        assert field_mapping.filled_in(layer, 0, unset) == (expected if clause else unset)
        assert text_of(unset) == ""


def test_what_a_database_refuses_in_a_transaction_is_said_with_its_words():
    said = ["an older one", "ERROR: value for domain kind_t\n violates check constraint"]
    provider = SimpleNamespace(
        transaction=lambda: object(), errors=lambda: said, clearErrors=lambda: None
    )
    layer = SimpleNamespace(name=lambda: "strict", dataProvider=lambda: provider)
    assert "(ERROR: value for domain kind_t violates check constraint)" in str(
        target.refusal(layer)
    )


class WithoutRights(QgsVectorLayer):
    """A layer that takes features, but no fields; as a table of a database that is another's."""

    def addAttribute(self, field) -> bool:  # noqa: N802
        return False


def test_a_class_is_not_lost_where_no_field_for_it_can_be_added(qgis_app, wait):
    layer = WithoutRights("MultiPolygon?crs=EPSG:32645&field=nr:integer", "theirs", "memory")
    with pytest.raises(EditError, match="theirs has no field"):
        target.add_object(layer, SQUARE, UTM, {**ATTRIBUTES, "class": "roof"})
    take, heard = TakeOver(), []
    take.ended.connect(lambda *counts: heard.append(counts))
    take.start(layer, UTM, squares(2), {}, Refinement())
    wait(lambda: heard)
    assert heard == [(0, 2, 0)]
    assert all("lets none be added" in why for why in take.refused.values())
    assert layer.featureCount() == 0
    (first, roof), (second, _) = squares(2)
    take.start(layer, UTM, [(first, roof), (second, "")], {}, Refinement())
    wait(lambda: len(heard) == 2)
    assert heard[1] == (1, 1, 0)
    assert set(take.refused) == {first.id}
    target.add_object(layer, SQUARE, UTM, ATTRIBUTES)
    assert layer.featureCount() == 2


def test_an_id_does_not_go_into_a_field_of_uuids():
    field = QgsField("id", field_types.TEXT, "uuid")
    assert field_mapping.fitting(field, "12ab567890123456") is None
    known = "05dc66a6-99e4-42bf-ae87-16bb17cb09f8"
    assert field_mapping.fitting(field, known) == known


@pytest.mark.parametrize(
    ("provider", "expected"),
    [("postgres", ("varchar", 80)), ("spatialite", ("text", 0)), ("ogr", ("text", 80))],
)
def test_a_new_field_is_as_the_source_of_the_layer_keeps_it(provider, expected):
    layer = SimpleNamespace(providerType=lambda: provider)
    field = field_mapping.text_field(layer, "class", 80)
    assert (field.typeName(), field.length()) == expected


def in_spatialite(path: Path) -> QgsVectorLayer:
    """A layer of QGIS's provider for SpatiaLite, with one field."""
    reference = osr.SpatialReference()
    reference.ImportFromEPSG(32645)
    driver = ogr.GetDriverByName("SQLite")
    file = driver.CreateDataSource(str(path), ["SPATIALITE=YES"])
    if file is None:
        pytest.skip("GDAL cannot write SpatiaLite files here")
    made = file.CreateLayer("roofs", reference, ogr.wkbMultiPolygon)
    made.CreateField(ogr.FieldDefn("name", ogr.OFTString))
    file = made = None
    return QgsVectorLayer(f"dbname='{path}' table=\"roofs\" (geometry)", "roofs", "spatialite")


def test_objects_are_saved_in_spatialite_with_the_first_class(qgis_app, tmp_path):
    layer = in_spatialite(tmp_path / "roofs.sqlite")
    if not layer.isValid():
        pytest.skip("QGIS has no provider for SpatiaLite here")
    target.add_object(layer, SQUARE, UTM, {**ATTRIBUTES, "class": "roof"})
    assert layer.commitChanges(), layer.commitErrors()
    assert [feature["class"] for feature in layer.getFeatures()] == ["roof"]


def as_shapefile(layer: QgsVectorLayer, folder: Path) -> QgsVectorLayer:
    """The same features in a Shapefile, which is in the project."""
    options = QgsVectorFileWriter.SaveVectorOptions()
    options.driverName = "ESRI Shapefile"
    path = str(folder / f"{layer.name()}.shp")
    QgsVectorFileWriter.writeAsVectorFormatV3(
        layer, path, QgsProject.instance().transformContext(), options
    )
    saved = QgsVectorLayer(path, layer.name(), "ogr")
    QgsProject.instance().addMapLayer(saved)
    return saved


def test_a_place_in_a_file_that_is_numbered_anew_is_found_by_its_outline(numbered, tmp_path):
    """As a Shapefile is, where another polygon was deleted and the layer saved."""
    other = QgsFeature(numbered.fields())
    for code in (4, 5):
        shape = QgsGeometry(SQUARE)
        shape.translate(20 * code, 0)
        other.setGeometry(shape)
        other["class"] = code
        numbered.dataProvider().addFeatures([other])
    layer = as_shapefile(numbered, tmp_path)
    first, second, _ = (
        Place(layer.id(), each.id(), each.geometry()) for each in layer.getFeatures()
    )
    layer.startEditing()
    layer.deleteFeature(0)
    assert layer.commitChanges()  # newer versions of QGIS pack the file when its editing ends
    layer.startEditing()
    assert target.feature_at(layer, first, UTM) is None
    assert target.feature_at(layer, second, UTM) == 0
    larger = second.geometry.buffer(3, 1)
    target.correct_object(second, larger, UTM, {})
    assert target.feature_at(layer, second, UTM) is None, "nothing says that it is that one"
    areas = {each["class"]: each.geometry().area() for each in layer.getFeatures()}
    assert areas == {4: pytest.approx(larger.area()), 5: 100}
    known = Place(layer.id(), 1, layer.getFeature(1).geometry())
    layer.changeGeometry(1, known.geometry.buffer(5, 1))
    assert target.feature_at(layer, known, UTM) == 1, "the id is this edit buffer's"
    layer.rollBack()


def in_a_shapefile(tmp_path, shapes) -> QgsVectorLayer:
    """Polygons in a file in which the numbers of features may change."""
    made = QgsVectorLayer("Polygon?crs=EPSG:32645&field=name:string(10)", "floors", "memory")
    for shape in shapes:
        feature = QgsFeature(made.fields())
        feature.setGeometry(shape)
        made.dataProvider().addFeatures([feature])
    return as_shapefile(made, tmp_path)


def test_of_two_floors_with_one_outline_the_one_that_was_taken_up_is_found(qgis_app, tmp_path):
    layer = in_a_shapefile(tmp_path, [SQUARE, SQUARE])
    web = QgsCoordinateReferenceSystem("EPSG:3857")
    shown = QgsGeometry(SQUARE)
    shown.transform(QgsCoordinateTransform(UTM, web, QgsProject.instance()))
    place = Place(layer.id(), 1, shown)
    assert target.feature_at(layer, place, web) == 1
    layer.startEditing()
    layer.changeGeometry(1, SQUARE.buffer(30, 1))
    assert target.feature_at(layer, place, web) == 1
    layer.rollBack()


@pytest.mark.parametrize(
    "wkt",
    [
        "POLYGON((0 0, 10 10, 10 0, 0 10, 0 0))",
        "POLYGON((0 0, 10 0, 20 0, 0 0))",
    ],
)
def test_a_polygon_that_crosses_itself_or_is_a_line_is_found(qgis_app, tmp_path, wkt):
    layer = in_a_shapefile(tmp_path, [SQUARE, QgsGeometry.fromWkt(wkt)])
    odd = next(each for each in layer.getFeatures() if each.id() == 1).geometry()
    web = QgsCoordinateReferenceSystem("EPSG:3857")
    shown = QgsGeometry(odd)
    shown.transform(QgsCoordinateTransform(UTM, web, QgsProject.instance()))
    for shape, crs in ((odd, UTM), (shown, web)):
        assert target.feature_at(layer, Place(layer.id(), 1, shape), crs) == 1


def test_a_text_field_that_is_too_short_for_a_class_is_named(qgis_app):
    layer = QgsVectorLayer("Polygon?crs=EPSG:32645&field=class:string(3)", "short", "memory")
    with pytest.raises(EditError, match="“class” of short cannot hold “road”"):
        target.add_object(layer, SQUARE, UTM, {"class": "road"})
    assert layer.featureCount() == 0


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("LineString?crs=EPSG:32645", "no polygons"),
        ("Point?crs=EPSG:32645", "no polygons"),
        ("Polygon", "no CRS"),
    ],
)
def test_a_layer_of_the_wrong_kind_is_refused_with_a_way_out(qgis_app, uri, says):
    layer = QgsVectorLayer(uri, "wrong", "memory")
    layer.setCrs(QgsCoordinateReferenceSystem("EPSG:32645" if "crs" in uri else ""))
    with pytest.raises(target.TargetError, match=says):
        target.add_object(layer, SQUARE, UTM, ATTRIBUTES)


def test_a_read_only_layer_is_refused(qgis_app):
    layer = target.new_scratch_layer("roofs", UTM)
    layer.setReadOnly(True)
    with pytest.raises(target.TargetError, match="read-only"):
        target.add_object(layer, SQUARE, UTM, ATTRIBUTES)


def test_a_geopackage_layer_is_saved_and_read_back(qgis_app, tmp_path):
    path = str(tmp_path / "größe 1.gpkg")
    layer = target.new_geopackage_layer(path, "roofs", UTM)
    target.add_object(layer, SQUARE, UTM, ATTRIBUTES)
    assert layer.commitChanges(), layer.commitErrors()
    again = QgsVectorLayer(f"{path}|layername=roofs", "again", "ogr")
    assert again.featureCount() == 1
    assert again.crs() == UTM
    assert only(again)["id"] == "f00d"
    with pytest.raises(target.TargetError, match="already"):
        target.new_geopackage_layer(path, "roofs", UTM)
    target.new_geopackage_layer(path, "fields", UTM)
    assert QgsVectorLayer(f"{path}|layername=roofs", "still", "ogr").featureCount() == 1


def test_a_name_with_a_bar_is_a_layers_but_not_a_tables(qgis_app, tmp_path):
    path = str(tmp_path / "a.gpkg")
    layer = target.new_geopackage_layer(path, "town | 2024", UTM)
    assert layer.name() == "town | 2024"
    target.add_object(layer, SQUARE, UTM, ATTRIBUTES)
    assert layer.commitChanges(), layer.commitErrors()
    assert QgsVectorLayer(f"{path}|layername=town _ 2024", "again", "ogr").featureCount() == 1


def test_a_geopackage_where_nothing_can_be_written_is_refused(qgis_app, tmp_path):
    with pytest.raises(target.TargetError, match="cannot be written"):
        target.new_geopackage_layer(str(tmp_path / "no" / "folder.gpkg"), "roofs", UTM)


def test_the_fields_are_those_that_the_engine_writes_and_the_class():
    text = (ROOT / "core" / "vectors" / "schema.py").read_text(encoding="utf-8")
    values = {
        getattr(getattr(node, "target", None) or node.targets[0], "id", ""): node.value
        for node in ast.parse(text).body
        if isinstance(node, (ast.Assign, ast.AnnAssign))
    }
    calls = [*values["FIELDS"].elts, values["CLASS"]]
    names = [tuple(word.value for word in call.args) for call in calls]
    assert [
        (name, kind.replace("double", "real")) for name, _, kind in field_mapping.SCHEMA
    ] == names


# --- found objects ------------------------------------------------------------------------------


def squares(count: int, apart: float = 20.0) -> list:
    """So many found squares in a row, each 10 m wide."""
    found = []
    for k in range(count):
        shape = QgsGeometry(SQUARE)
        shape.translate(apart * k, 0)
        found.append((Found(str(k), shape, 0.9, 0.9, 100.0), "roof"))
    return found


@pytest.fixture
def half_taken(qgis_app):
    """Begin to take 200 squares over; the event loop has not been there for the rest yet."""
    layer = target.new_scratch_layer("roofs", UTM)
    take = TakeOver()
    take.heard = []
    take.ended.connect(lambda *counts: take.heard.append(counts))
    take.start(layer, UTM, squares(200), {}, Refinement())
    for _ in range(60):
        next(take._steps._work)
    return take, layer


def test_what_is_accepted_while_found_objects_are_taken_over_is_a_step_of_its_own(half_taken, wait):
    take, layer = half_taken
    clicked = QgsGeometry(SQUARE)
    clicked.translate(0, 500)
    target.add_object(layer, clicked, UTM, ATTRIBUTES)
    wait(lambda: take.heard)
    assert take.heard == [(200, 0, 0)]
    assert layer.featureCount() == 201
    layer.undoStack().undo()
    assert [feature["id"] for feature in layer.getFeatures()] == ["f00d"]
    layer.rollBack()


@pytest.mark.parametrize("goes", ["", "first"])
def test_found_objects_come_where_the_layers_fields_change_meanwhile(qgis_app, wait, goes):
    fields = "&field=first:string&field=model:string"
    layer = QgsVectorLayer(f"MultiPolygon?crs=EPSG:32645{fields}", "mine", "memory")
    take, heard = TakeOver(), []
    take.ended.connect(lambda *counts: heard.append(counts))
    found = [(one, "") for one, _ in squares(3)]
    take.start(layer, UTM, found, {"model": "m"}, Refinement())
    for _ in range(2):
        next(take._steps._work)
    clicked = QgsGeometry(SQUARE)
    clicked.translate(0, 500)
    target.add_object(layer, clicked, UTM, {**ATTRIBUTES, "model": "m", "class": "roof"})
    if goes:
        layer.deleteAttribute(layer.fields().lookupField(goes))
    wait(lambda: heard)
    assert heard == [(3, 0, 0)], take.refused
    assert layer.fields().names() == [each for each in ("first", "model", "class") if each != goes]
    rows = [(feature["model"], text_of(feature["class"])) for feature in layer.getFeatures()]
    assert sorted(rows) == [("m", ""), ("m", ""), ("m", ""), ("m", "roof")]
    layer.rollBack()


def test_found_objects_keep_their_class_where_an_undo_takes_its_field_away(qgis_app, wait):
    layer = QgsVectorLayer("MultiPolygon?crs=EPSG:32645&field=nr:integer", "mine", "memory")
    take, heard = TakeOver(), []
    take.ended.connect(lambda *counts: heard.append(counts))
    take.start(layer, UTM, squares(3), {}, Refinement())
    for _ in range(3):
        next(take._steps._work)
    layer.undoStack().undo()
    assert layer.fields().names() == ["nr"]
    wait(lambda: heard)
    assert heard == [(3, 0, 0)], take.refused
    assert [feature["class"] for feature in layer.getFeatures()] == ["roof"] * 3
    layer.rollBack()


def test_nothing_is_taken_over_where_editing_ends_meanwhile_and_that_is_said(half_taken, wait):
    take, layer = half_taken
    take.failed.connect(take.heard.append)
    layer.rollBack()
    wait(lambda: take.heard)
    assert "Editing of the layer roofs ended" in take.heard[0]
    assert layer.featureCount() == 0
    assert not layer.isEditable()


def test_a_class_that_the_layer_cannot_hold_stops_before_anything_is_taken_over(numbered):
    take, heard = TakeOver(), []
    take.ended.connect(lambda *counts: heard.append(counts))
    with pytest.raises(EditError, match="cannot hold “roof”"):
        take.start(numbered, UTM, squares(3), {}, Refinement())
    assert not heard
    assert numbered.featureCount() == 1


@pytest.mark.parametrize(("name", "fields"), [("", ["nr"]), ("roof", ["nr", "class"])])
def test_a_field_for_the_class_is_added_for_classes_only(qgis_app, wait, name, fields):
    layer = QgsVectorLayer("MultiPolygon?crs=EPSG:32645&field=nr:integer", "mine", "memory")
    take, heard = TakeOver(), []
    take.ended.connect(lambda *counts: heard.append(counts))
    take.start(layer, UTM, [(one, name) for one, _ in squares(2)], {}, Refinement())
    wait(lambda: heard)
    assert layer.featureCount() == 2
    assert layer.fields().names() == fields
    layer.rollBack()


@pytest.mark.parametrize("there", [0, 1, 2])
def test_no_field_for_the_class_is_added_where_nothing_comes(qgis_app, wait, there):
    layer = QgsVectorLayer("MultiPolygon?crs=EPSG:32645&field=nr:integer", "mine", "memory")
    take, heard = TakeOver(), []
    take.ended.connect(lambda *counts: heard.append(counts))
    found = [(one, name) for (one, _), name in zip(squares(2), ("", "roof"))]  # noqa: B905
    take.start(layer, UTM, [(one, "") for one, _ in found[:there]], {}, Refinement())
    wait(lambda: heard)
    assert layer.commitChanges(False)
    take.start(layer, UTM, found, {}, Refinement())
    wait(lambda: len(heard) == 2)
    assert heard[1] == (2 - there, there, 0)
    assert layer.featureCount() == 2
    assert layer.fields().names() == (["nr"] if there == 2 else ["nr", "class"])
    assert layer.isModified() == (there < 2)
    layer.rollBack()


def test_values_that_count_on_and_overlaps_are_as_if_found_objects_were_added_one_by_one(
    qgis_app, wait
):
    project = QgsProject.instance()
    layer = target.new_scratch_layer("roofs", UTM)
    layer.dataProvider().addAttributes([QgsField("nr", field_types.INTEGER)])
    layer.updateFields()
    number = layer.fields().lookupField("nr")
    layer.setDefaultValueDefinition(number, QgsDefaultValue('coalesce(maximum("nr"), 0) + 1'))
    project.addMapLayer(layer)
    project.setAvoidIntersectionsMode(
        QgsProject.AvoidIntersectionsMode.AvoidIntersectionsCurrentLayer
    )
    take, heard = TakeOver(), []
    take.ended.connect(lambda *counts: heard.append(counts))
    take.start(layer, UTM, squares(3, apart=8), {}, Refinement())
    wait(lambda: heard)
    project.setAvoidIntersectionsMode(QgsProject.AvoidIntersectionsMode.AllowIntersections)
    assert heard == [(3, 0, 0)]
    assert [feature["nr"] for feature in layer.getFeatures()] == [1, 2, 3]
    areas = [feature.geometry().area() for feature in layer.getFeatures()]
    assert areas == pytest.approx([100, 80, 80])
    assert [feature["area_m2"] for feature in layer.getFeatures()] == pytest.approx(areas, rel=0.01)
    layer.rollBack()
    project.removeAllMapLayers()


@pytest.mark.parametrize("saved", [False, True])
def test_parts_of_a_larger_object_go_but_not_those_that_the_user_has_changed(
    qgis_app, tmp_path, wait, saved
):
    path = str(tmp_path / "roofs.gpkg")
    layer = target.new_geopackage_layer(path, "roofs", UTM)
    layer.startEditing()
    layer.addAttribute(QgsField("owner", field_types.TEXT))
    QgsProject.instance().addMapLayer(layer)
    take, heard = TakeOver(), []
    take.ended.connect(lambda *counts: heard.append(counts))
    take.start(layer, UTM, squares(4), {}, Refinement())
    wait(lambda: heard)
    assert not saved or layer.commitChanges(False)
    known = {feature["id"]: feature.id() for feature in layer.getFeatures()}
    layer.changeAttributeValue(known["1"], layer.fields().lookupField("owner"), "Miller")
    layer.changeGeometry(known["2"], SQUARE.buffer(1, 1))
    assert not saved or layer.commitChanges(False)
    whole = QgsGeometry.fromRect(SQUARE.boundingBox().buffered(100))
    larger = Found("9", whole, 0.9, 0.9, 1.0)
    take.start(layer, UTM, [(larger, "roof")], {}, Refinement(), set("0123"), set("0123"))
    wait(lambda: len(heard) == 2)
    assert heard[1] == (-1, 0, 2)
    left = {feature["id"]: feature["owner"] for feature in layer.getFeatures()}
    assert set(left) == {"1", "2", "9"}
    assert left["1"] == "Miller"
    layer.rollBack()
    QgsProject.instance().removeAllMapLayers()


@pytest.mark.parametrize("in_turn", [False, True])
def test_parts_of_a_larger_object_stay_where_that_is_refused(qgis_app, tmp_path, wait, in_turn):
    layer = target.new_geopackage_layer(str(tmp_path / "roofs.gpkg"), "roofs", UTM)
    score, field_id = (layer.fields().lookupField(name) for name in ("score", "id"))
    layer.setConstraintExpression(score, "score < 0.95")
    if in_turn:
        layer.setFieldConstraint(field_id, QgsFieldConstraints.Constraint.ConstraintUnique)
    take, heard = TakeOver(), []
    take.ended.connect(lambda *counts: heard.append(counts))
    take.start(layer, UTM, squares(4), {}, Refinement())
    wait(lambda: heard)
    larger = []
    for name, sure, x in (("8", 0.9, 0.0), ("9", 0.99, 40.0)):
        larger.append((Found(name, over_two(x), sure, 0.9, 300.0), "roof"))
    take.start(layer, UTM, larger, {}, Refinement(), set("0123"), set("0123"))
    wait(lambda: len(heard) == 2)
    assert set(take.refused) == {"9"}
    assert {feature["id"] for feature in layer.getFeatures()} == {"8", "2", "3"}
    assert heard[1] == (-1, 1, 0)
    layer.rollBack()


def over_two(x: float) -> QgsGeometry:
    """A rectangle over two of the squares in a row."""
    box = SQUARE.boundingBox()
    return QgsGeometry.fromRect(
        QgsRectangle(box.xMinimum() + x, box.yMinimum(), box.xMinimum() + x + 30, box.yMaximum())
    )


@pytest.mark.parametrize("steps", [0, 1, 3, 5])
def test_parts_of_a_larger_object_go_also_where_the_layer_is_saved_meanwhile(
    qgis_app, tmp_path, wait, steps
):
    layer = target.new_geopackage_layer(str(tmp_path / "roofs.gpkg"), "roofs", UTM)
    take, heard = TakeOver(), []
    take.ended.connect(lambda *counts: heard.append(counts))
    take.start(layer, UTM, squares(4), {}, Refinement())
    wait(lambda: heard)
    whole = QgsGeometry.fromRect(SQUARE.boundingBox().buffered(100))
    larger = [(Found("9", whole, 0.9, 0.9, 1.0), "roof")]
    take.start(layer, UTM, larger, {}, Refinement(), set("0123"), set("0123"))
    for _ in range(steps):
        next(take._steps._work)
    assert layer.commitChanges(False)
    wait(lambda: len(heard) == 2)
    assert heard[1] == (-3, 0, 0)
    assert {feature["id"] for feature in layer.getFeatures()} == {"9"}
    layer.rollBack()


@pytest.mark.parametrize("steps", [1, 3, 5])
@pytest.mark.parametrize("saved", [False, True])
@pytest.mark.parametrize(("driver", "ending"), [("GeoJSON", "geojson"), ("ESRI Shapefile", "shp")])
def test_parts_of_a_larger_object_go_also_where_saves_number_them_anew(
    qgis_app, tmp_path, wait, driver, ending, saved, steps
):
    made = QgsVectorLayer("Polygon?crs=EPSG:4326&field=id:string", "made", "memory")
    feature = QgsFeature(made.fields())
    feature.setGeometry(QgsGeometry.fromWkt("POLYGON((1 1, 2 1, 2 2, 1 1))"))
    made.dataProvider().addFeature(feature)
    path, options = str(tmp_path / f"roofs.{ending}"), QgsVectorFileWriter.SaveVectorOptions()
    options.driverName = driver
    context = QgsProject.instance().transformContext()
    QgsVectorFileWriter.writeAsVectorFormatV3(made, path, context, options)
    layer = QgsVectorLayer(path, "roofs", "ogr")
    take, heard = TakeOver(), []
    take.ended.connect(lambda *counts: heard.append(counts))
    take.start(layer, UTM, [(one, "") for one, _ in squares(4)], {}, Refinement())
    wait(lambda: heard)
    assert not saved or layer.commitChanges(False)
    larger = [(Found("9", SQUARE.buffer(100, 5), 0.9, 0.9, 1.0), "")]
    take.start(layer, UTM, larger, {}, Refinement(), set("0123"), set("0123"))
    for _ in range(steps):
        next(take._steps._work)
    assert layer.commitChanges(False)
    layer.deleteFeature(0)
    assert layer.commitChanges(False)
    wait(lambda: len(heard) == 2)
    assert heard[1] == (-3, 0, 0)
    assert [text_of(feature["id"]) for feature in layer.getFeatures()] == ["9"]
    layer.rollBack()


@pytest.mark.parametrize("score", ["double", "double(10,3)"])
def test_what_a_shapefile_gives_back_otherwise_is_not_taken_for_a_change(
    qgis_app, tmp_path, wait, score
):
    kinds = {
        "id": "string(20)",
        "class": "string(80)",
        "score": score,
        "note": "string",
        "day": "date",
    }
    named = "".join(f"&field={name}:{kind}" for name, kind in kinds.items())
    fields = QgsVectorLayer(f"Polygon?crs=EPSG:32645{named}", "roofs", "memory").fields()
    path, options = str(tmp_path / "roofs.shp"), QgsVectorFileWriter.SaveVectorOptions()
    options.driverName = "ESRI Shapefile"
    context = QgsProject.instance().transformContext()
    polygons = QgsWkbTypes.Type.Polygon
    QgsVectorFileWriter.create(path, fields, polygons, UTM, context, options)
    layer = QgsVectorLayer(path, "roofs", "ogr")
    QgsProject.instance().addMapLayer(layer)
    for name, default in (("note", "''"), ("day", "now()")):
        layer.setDefaultValueDefinition(layer.fields().lookupField(name), QgsDefaultValue(default))
    take, heard = TakeOver(), []
    take.ended.connect(lambda *counts: heard.append(counts))
    scored = [(replace(one, score=0.8765432154655457), name) for one, name in squares(2)]
    take.start(layer, UTM, scored, {}, Refinement())
    wait(lambda: heard)
    assert layer.commitChanges(False)
    changed = next(feature.id() for feature in layer.getFeatures() if feature["id"] == "1")
    layer.changeAttributeValue(changed, layer.fields().lookupField("score"), 0.878)
    larger = Found("9", SQUARE.buffer(100, 5), 0.9, 0.9, 1.0)
    take.start(layer, UTM, [(larger, "roof")], {}, Refinement(), {"0", "1"}, {"0", "1"})
    wait(lambda: len(heard) == 2)
    assert heard[1] == (0, 0, 1)
    assert {feature["id"] for feature in layer.getFeatures()} == {"1", "9"}
    layer.rollBack()
    QgsProject.instance().removeAllMapLayers()


def test_other_parts_stay_where_a_changed_one_stands_for_the_larger_object(qgis_app, wait):
    layer = target.new_scratch_layer("roofs", UTM)
    take, heard = TakeOver(), []
    take.ended.connect(lambda *counts: heard.append(counts))
    take.start(layer, UTM, squares(2), {}, Refinement())
    wait(lambda: heard)
    first = next(feature.id() for feature in layer.getFeatures() if feature["id"] == "0")
    both = QgsGeometry.collectGeometry([shape.geometry for shape, _ in squares(2)])
    box = QgsGeometry.fromRect(both.boundingBox())
    wider = QgsGeometry.fromRect(SQUARE.boundingBox())
    wider.get().moveVertex(wider.vertexIdFromVertexNr(1)[1], QgsPoint(300018, 3000000))
    wider.get().moveVertex(wider.vertexIdFromVertexNr(2)[1], QgsPoint(300018, 3000010))
    layer.changeGeometry(first, wider)
    larger = [(Found("9", box, 0.9, 0.9, 1.0), "roof")]
    take.start(layer, UTM, larger, {}, Refinement(), {"0", "1"}, {"0", "1"})
    wait(lambda: len(heard) == 2)
    assert heard[1] == (0, 1, 1)
    assert {feature["id"] for feature in layer.getFeatures()} == {"0", "1"}
    layer.rollBack()
