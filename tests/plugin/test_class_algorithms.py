# SPDX-License-Identifier: GPL-2.0-or-later
"""Classify objects and ground, and roads from strokes, in Processing, with a fake engine."""

from __future__ import annotations

import pytest
from qgis.core import (
    QgsFeature,
    QgsField,
    QgsGeometry,
    QgsProcessingParameterEnum,
    QgsProcessingUtils,
    QgsProject,
    QgsProperty,
    QgsVectorLayer,
    QgsWkbTypes,
)
from test_processing import Refused, engine, layer_of, provider, run, town  # noqa: F401

from samgeo_plugin import field_types
from samgeo_plugin.engine.knobs import label
from samgeo_plugin.job import ClassifyParameters, MapParameters
from samgeo_plugin.processing.class_algorithms import ClassifyGround, ClassifyObjects, RoadNetwork


@pytest.fixture
def layers(qgis_app):
    """Polygons with attributes, examples with a class, and strokes on other ground."""
    objects = QgsVectorLayer(
        "Polygon?crs=EPSG:4326&field=name:string&field=score:double&field=class:string",
        "objects", "memory",
    )  # fmt: skip
    examples = QgsVectorLayer("Point?crs=EPSG:4326&field=kind:string", "examples", "memory")
    other = QgsVectorLayer("LineString?crs=EPSG:32645", "other", "memory")
    for layer, wkt, values in (
        (objects, "POLYGON((85.5 27.6,85.501 27.6,85.501 27.601,85.5 27.6))", ["a", 0.9, "old"]),
        (examples, "POINT(85.5005 27.6002)", ["roof"]),
        (other, "LINESTRING(352000 3053000,352100 3053000)", []),
    ):
        feature = QgsFeature(layer.fields())
        feature.setGeometry(QgsGeometry.fromWkt(wkt))
        feature.setAttributes(values)
        layer.dataProvider().addFeatures([feature])
        QgsProject.instance().addMapLayer(layer)
    yield objects, examples, other
    QgsProject.instance().removeAllMapLayers()


def test_objects_keep_their_attributes_and_get_a_class(provider, engine, town, layers):  # noqa: F811
    objects, examples, other = layers
    results, context, feedback = run("classifyobjects", {
        "OBJECTS": objects, "INPUT": town, "EXAMPLES": examples, "CLASS_FIELD": "kind",
        "UNLIKE": other, "KEEP": "all", "OUTPUT": "memory:",
    })  # fmt: skip
    layer = layer_of(results, context)
    assert layer.fields().names() == ["name", "score", "old_class", "class", "class_prob"]
    (feature,) = layer.getFeatures()
    assert feature.attributes() == ["a", 0.9, "old", "roof", 0.9]
    assert results["COUNT"] == 1
    assert "class → old_class" in feedback.warnings[0]


def test_a_class_field_is_found_in_other_letters_or_under_a_name_of_the_engines_own(
    provider, engine, town, layers, asked  # noqa: F811
):  # fmt: skip
    examples = layers[1]
    given = {"INPUT": town, "OUTPUT": "memory:", "EXAMPLES": examples}
    run("classifyground", {**given, "CLASS_FIELD": "KIND"})
    assert asked["class_field"] == "kind"
    examples.dataProvider().renameAttributes({0: "geometry"})
    examples.updateFields()
    run("classifyground", {**given, "CLASS_FIELD": "geometry"})  # the engine looks for it
    assert asked["class_field"] == "geometry_2"
    exemplars = {"EXEMPLARS": layers[0], "EXEMPLAR_FIELD": "name", "DETECTOR": "sam3"}
    layers[0].dataProvider().renameAttributes({0: "Samgeo_Fid"})
    layers[0].updateFields()
    exemplars["EXEMPLAR_FIELD"] = "samgeo_fid"
    run("segmentraster", {"INPUT": town, "OUTPUT": "memory:", **exemplars})
    assert asked["class_field"] == "Samgeo_Fid_2"


def test_classes_of_an_earlier_run_are_replaced(provider, engine, town, layers):  # noqa: F811
    objects, examples, _ = layers
    objects.dataProvider().addAttributes([QgsField("class_prob", field_types.REAL)])
    objects.updateFields()
    results, context, feedback = run("classifyobjects", {
        "OBJECTS": objects, "INPUT": town, "EXAMPLES": examples, "CLASS_FIELD": "kind",
        "OUTPUT": "memory:",
    })  # fmt: skip
    layer = layer_of(results, context)
    assert layer.fields().names() == ["name", "score", "class", "class_prob"]
    assert not feedback.warnings


def test_examples_words_and_rules_go_to_the_engine(provider, engine, town, layers, asked):  # noqa: F811
    _, examples, other = layers
    given = {
        "EXAMPLES": examples, "CLASS_FIELD": "kind", "UNLIKE": other, "MIN_CLASS_PROB": 0.6,
        "WORDS": "tin roof, hut ,", "DETECTOR": "owlv2-base",
        "RULES": "roof: square, min-area=10; largest-part",
    }  # fmt: skip
    run("segmentraster", {"INPUT": town, "OUTPUT": "memory:", **given})
    assert asked["words"] == ["tin roof", "hut"]
    assert asked["detector"] == "owlv2-base"
    assert asked["rules"] == ["roof: square, min-area=10", "largest-part"]
    assert asked["class_field"] == "kind"
    assert asked["examples"].endswith(".gpkg")
    assert len(asked["unlike"]) == 1
    assert asked["min_class_prob"] == 0.6
    with pytest.raises(Refused, match="field of the examples"):
        run("segmentraster", {"INPUT": town, "OUTPUT": "memory:", "EXAMPLES": examples})
    objects = layers[0]
    given = {"EXEMPLARS": objects, "EXEMPLAR_FIELD": "name", "DETECTOR": "sam3"}
    run("segmentraster", {"INPUT": town, "OUTPUT": "memory:", **given})
    assert asked["exemplars"].endswith("exemplars.gpkg")
    assert asked["class_field"] == "name"
    run("segmentraster", {"INPUT": town, "OUTPUT": "memory:", "EXEMPLARS": objects})
    assert asked["class_field"] is None
    given |= {"EXAMPLES": examples, "CLASS_FIELD": "kind"}
    with pytest.raises(Refused, match="of the same name for the class"):
        run("segmentraster", {"INPUT": town, "OUTPUT": "memory:", **given})


@pytest.mark.parametrize("name", ["segmentraster", "classifyobjects", "classifyground"])
def test_a_kept_classifier_is_an_output(provider, engine, town, layers, asked, tmp_path, name):  # noqa: F811
    objects, examples, _ = layers
    given = {"INPUT": town, "EXAMPLES": examples, "CLASS_FIELD": "kind", "OUTPUT": "memory:"}
    if name == "classifyobjects":
        given["OBJECTS"] = objects
    results, *_ = run(name, given)
    assert asked["save_classifier"] is None
    assert "SAVE_CLASSIFIER" not in results
    results, *_ = run(name, {**given, "SAVE_CLASSIFIER": "TEMPORARY_OUTPUT"})
    kept = asked["save_classifier"]
    assert results["SAVE_CLASSIFIER"] == kept
    assert kept.endswith(".samgeo-classes")
    assert kept.startswith(QgsProcessingUtils.tempFolder()), "not the folder that QGIS runs in"
    chosen = QgsProperty.fromExpression(f"'{tmp_path}/' || 'town'")
    results, *_ = run(name, {**given, "SAVE_CLASSIFIER": chosen})
    assert results["SAVE_CLASSIFIER"] == asked["save_classifier"]
    assert results["SAVE_CLASSIFIER"] == str(tmp_path / "town.samgeo-classes")


def test_texts_may_be_expressions(provider, engine, town, asked):  # noqa: F811
    given = {
        "INPUT": town,
        "OUTPUT": "memory:",
        "CLASSIFIER": QgsProperty.fromExpression("'/a/' || 'b.samgeo-classes'"),
        "ROAD_CLASS": QgsProperty.fromExpression("'ro' || 'ad'"),
    }
    run("roadnetwork", given)
    assert asked["classifier"] == "/a/b.samgeo-classes"
    assert asked["road_class"] == "road"


def test_ground_becomes_polygons_and_roads_become_lines(provider, engine, town, layers):  # noqa: F811
    _, examples, _ = layers
    given = {"INPUT": town, "EXAMPLES": examples, "CLASS_FIELD": "kind", "OUTPUT": "memory:"}
    results, context, _ = run("classifyground", given)
    layer = layer_of(results, context)
    assert layer.wkbType() == QgsWkbTypes.Type.MultiPolygon
    results, context, _ = run("roadnetwork", {**given, "ROAD_CLASS": "roof", "MAX_GAP": 5})
    assert layer_of(results, context).wkbType() == QgsWkbTypes.Type.LineString


@pytest.mark.parametrize("name", ["classifyground", "roadnetwork"])
def test_a_part_of_the_raster_is_mapped(provider, engine, town, asked, name):  # noqa: F811
    given = {"INPUT": town, "OUTPUT": "memory:", "CLASSIFIER": "/a/b.samgeo-classes"}
    run(name, given)
    assert asked["extent"] is asked["extent_crs"] is None
    run(name, {**given, "EXTENT": "85.51,85.53,27.59,27.61 [EPSG:4326]"})
    assert asked["extent"] == pytest.approx([85.51, 27.59, 85.53, 27.61])
    assert asked["extent_crs"] == "EPSG:4326"
    with pytest.raises(Refused, match="extent misses the raster"):
        run(name, {**given, "EXTENT": "0,1,0,1 [EPSG:4326]"})


def test_what_is_missing_is_said_in_qgis_words(provider, engine, town, layers):  # noqa: F811
    objects, examples, _ = layers
    given = {"OBJECTS": objects, "INPUT": town, "OUTPUT": "memory:"}
    with pytest.raises(Refused, match="Choose the field of the examples"):
        run("classifyobjects", {**given, "EXAMPLES": examples})
    with pytest.raises(Refused, match="“Examples”"):
        run("classifyobjects", given)


@pytest.mark.parametrize(
    ("kind", "engines"),
    [
        (ClassifyObjects, ClassifyParameters),
        (ClassifyGround, MapParameters),
        (RoadNetwork, MapParameters),
    ],
)
def test_defaults_and_choices_are_those_of_the_engine(qgis_app, kind, engines):
    fields = engines.__dataclass_fields__
    algorithm = kind()
    algorithm.initAlgorithm()
    seen = set()
    for definition in algorithm.parameterDefinitions():
        name = definition.name().lower()
        if name not in fields or name in ("model", "device"):
            continue
        seen.add(name)
        if isinstance(definition, QgsProcessingParameterEnum):
            words = algorithm.choices[definition.name()]
            assert set(words) <= set(fields[name].metadata["choices"]), name
            assert len(definition.options()) == len(words), name
        elif isinstance(fields[name].default, (int, float)):
            assert definition.defaultValue() == fields[name].default, name
    assert {"precision", "workers", "tile_size"} <= seen
    assert ("min_class_prob" in seen) == (kind is not ClassifyGround), "of ground it did nothing"


def test_a_model_that_asks_for_ground_of_a_least_probability_still_runs(
    provider, engine, town, layers, asked  # noqa: F811
):  # fmt: skip
    """Earlier versions offered it, without effect."""
    given = {"INPUT": town, "EXAMPLES": layers[1], "CLASS_FIELD": "kind", "OUTPUT": "memory:"}
    results, *_ = run("classifyground", {**given, "MIN_CLASS_PROB": 0.9})
    assert results["COUNT"] == 1
    assert asked["min_class_prob"] is None


def test_the_smallest_polygon_of_ground_is_called_in_messages_as_in_the_dialog(qgis_app):
    algorithm = ClassifyGround()
    algorithm.initAlgorithm()
    assert label("min_area") == f"“{algorithm.parameterDefinition('MIN_AREA').description()}”"
