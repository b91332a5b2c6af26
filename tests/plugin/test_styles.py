# SPDX-License-Identifier: GPL-2.0-or-later
"""Styles of results: what a layer can have, what it has, and where the style is kept."""

from __future__ import annotations

import pytest
from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsFeature,
    QgsFillSymbol,
    QgsGeometry,
    QgsPalLayerSettings,
    QgsRenderContext,
    QgsSingleSymbolRenderer,
    QgsVectorLayer,
    QgsVectorLayerSimpleLabeling,
)

from samgeo_plugin import styles
from samgeo_plugin.interactive import target
from samgeo_plugin.interactive.autosave import PROPERTY


@pytest.fixture
def objects(qgis_app):
    """Three objects with labels, of which the style knows one."""
    layer = target.new_scratch_layer("objects", QgsCoordinateReferenceSystem("EPSG:32645"))
    for number, label in enumerate(("building", "pond", "pier")):
        feature = QgsFeature(layer.fields())
        feature.setGeometry(QgsGeometry.fromWkt("POLYGON((0 0, 1 0, 1 1, 0 0))"))
        feature["label"] = label
        feature["score"] = 0.35 + 0.3 * number
        layer.dataProvider().addFeatures([feature])
    return layer


def colours(layer) -> list[str]:
    context = QgsRenderContext()
    renderer = layer.renderer().clone()
    renderer.startRender(context, layer.fields())
    found = [
        renderer.symbolForFeature(feature, context).color().name()
        for feature in layer.getFeatures()
    ]
    renderer.stopRender(context)
    return found


def test_a_layer_of_objects_can_have_five_styles_and_says_which_it_has(objects):
    assert styles.offered(objects) == ["review", "objects", "score", "label", "class"]
    assert styles.current(objects) == "review"
    for name in ("score", "label", "objects", "class", "review"):
        styles.apply(objects, name)
        assert styles.current(objects) == name
    objects.setRenderer(QgsSingleSymbolRenderer(QgsFillSymbol.createSimple({"color": "red"})))
    assert styles.current(objects) is None, "that is a style of one's own"


def test_scores_and_labels_have_colours_of_their_own(objects):
    for name in ("score", "label"):
        styles.apply(objects, name)
        assert len(set(colours(objects))) == 3, name
    values = [category.value() for category in objects.renderer().categories()]
    assert {"building", "pond", "pier"} <= set(values)


def test_only_what_suits_a_layer_is_offered(qgis_app):
    assert styles.offered(None) == []
    assert styles.offered(QgsVectorLayer("LineString", "roads", "memory")) == []
    plain = QgsVectorLayer("Polygon?field=SCORE:double", "own fields", "memory")
    assert styles.offered(plain) == ["review", "objects", "score"]
    styles.apply(plain, "score")
    assert plain.renderer().classAttribute() == "SCORE"
    assert styles.current(plain) == "score"


def test_a_table_without_geometry_has_no_style_of_ours(qgis_app):
    """Each change of the project's classes asks every layer of the project."""
    table = QgsVectorLayer("NoGeometry?field=class:string", "table", "memory")
    assert table.renderer() is None
    assert not styles.has_class_colours(table)
    assert styles.current(table) is None


def test_a_geopackage_keeps_its_style_for_whoever_opens_it(objects, tmp_path):
    path = str(tmp_path / "objects.gpkg")
    target.new_geopackage_layer(path, "objects", objects.crs())
    again = QgsVectorLayer(f"{path}|layername=objects", "again", "ogr")
    assert styles.current(again) == "review"
    styles.store(again, "score")
    assert styles.current(again) == "review", "a style that is there is never replaced"


def test_a_table_that_is_written_anew_has_its_own_style_unless_a_person_gave_it_one(
    objects, tmp_path
):
    path = str(tmp_path / "objects.gpkg")
    target.new_geopackage_layer(path, "objects", objects.crs())

    def opened() -> QgsVectorLayer:
        return QgsVectorLayer(f"{path}|layername=objects", "again", "ogr")

    styles.store(opened(), "score", is_new=True)
    assert styles.current(opened()) == "score", "GDAL leaves an earlier table's style behind"
    assert opened().listStylesInDatabase()[0] == 1
    opened().saveStyleToDatabase("mine", "", True, "")
    styles.store(opened(), "objects", is_new=True)
    assert styles.current(opened()) == "score"


def test_a_style_changes_nothing_else_of_a_layer(tmp_path, qgis_app):
    crs = QgsCoordinateReferenceSystem("EPSG:32645")
    layer = target.new_geopackage_layer(str(tmp_path / "a.gpkg"), "objects", crs)
    layer.setCustomProperty(PROPERTY, "1")
    layer.setMapTipTemplate("[% score %]")
    layer.setLabeling(QgsVectorLayerSimpleLabeling(QgsPalLayerSettings()))
    layer.setLabelsEnabled(True)
    layer.setScaleBasedVisibility(True)
    for name in (*styles.offered(layer), "status"):
        styles.apply(layer, name)
        assert layer.customProperty(PROPERTY) == "1", f"{name}: it is no longer saved by itself"
        assert layer.mapTipTemplate() == "[% score %]", name
        assert layer.labelsEnabled(), name
        assert layer.hasScaleBasedVisibility(), name
