# SPDX-License-Identifier: GPL-2.0-or-later
"""Ids of features across a save, in files that number features anew and in those that do not."""

from __future__ import annotations

import json

import pytest
from qgis.core import (
    QgsFeature,
    QgsGeometry,
    QgsProject,
    QgsVectorFileWriter,
    QgsVectorLayer,
)

from samgeo_plugin.interactive.feature_ids import Outlines, SavedIds, renumbers

FORMATS = {"gpkg": "GPKG", "shp": "ESRI Shapefile", "geojson": "GeoJSON", "fgb": "FlatGeobuf"}


def square(x: float, side: float = 10.0) -> QgsGeometry:
    return QgsGeometry.fromWkt(f"POLYGON(({x} 0,{x} {side},{x + side} {side},{x + side} 0,{x} 0))")


def house(layer, name: str, shape: QgsGeometry) -> QgsFeature:
    feature = QgsFeature(layer.fields())
    feature.setAttribute("name", name)
    feature.setGeometry(shape)
    return feature


@pytest.fixture(params=FORMATS)
def layer(qgis_app, request, tmp_path):
    """Five houses in a file; two of them lie on each other."""
    made = QgsVectorLayer("Polygon?crs=EPSG:32645&field=name:string(20)", "houses", "memory")
    places = (0, 20, 40, 40, 60)
    made.dataProvider().addFeatures([house(made, f"h{k}", square(x)) for k, x in enumerate(places)])
    options = QgsVectorFileWriter.SaveVectorOptions()
    options.driverName = FORMATS[request.param]
    path = str(tmp_path / f"houses.{request.param}")
    QgsVectorFileWriter.writeAsVectorFormatV3(
        made, path, QgsProject.instance().transformContext(), options
    )
    return QgsVectorLayer(path, "houses", "ogr")


def names(layer) -> dict[int, str]:
    return {each.id(): each["name"] for each in layer.getFeatures()}


def test_files_that_number_features_anew_are_known(layer):
    assert renumbers(layer) == (layer.dataProvider().storageType() != "GPKG")
    assert not renumbers(QgsVectorLayer("Polygon", "memory", "memory"))


def test_ids_after_a_save_are_told_by_those_before(layer):
    known: dict[int, str] = {}

    def follow(ids) -> None:
        """As whoever holds ids does."""
        now = {ids.get(each, each): name for each, name in known.items()}
        known.clear()
        known.update({each: name for each, name in now.items() if each is not None})

    told = SavedIds.of(layer, follow)
    layer.startEditing()
    for deleted, added in (("h1", "a"), (None, "b"), ("h3", None), ("h0", "c")):
        for name in (added, f"{added}{added}"):
            if added is not None:
                layer.addFeature(house(layer, name, square(10.0 * len(name) + 13 * ord(added))))
        known.clear()
        known.update(names(layer))
        gone = next((each for each, name in known.items() if name == deleted), None)
        if gone is not None:
            layer.deleteFeature(gone)
        assert layer.commitChanges(False), layer.commitErrors()
        told.catch_up()
        assert {each: name for each, name in known.items() if name != deleted} == names(layer)
    known.clear()
    known.update(names(layer))
    layer.rollBack()  # at which newer versions of QGIS pack a Shapefile
    told.catch_up()
    assert known == names(layer)
    told.leave(follow)
    layer.rollBack()


def test_each_feature_is_found_once_by_its_outline():
    there = Outlines()
    for feature_id, shape in ((7, square(0)), (5, square(0)), (9, square(40))):
        there.add(feature_id, shape)
    assert [there.take(square(0)) for _ in range(3)] == [5, 7, None]
    assert there.take(square(41)) is None
    assert there.take(square(41), least=0.5) == 9
    assert there.take(square(40)) is None


@pytest.mark.parametrize("layer", ["shp", "geojson"], indirect=True)
def test_a_save_reads_no_outlines_where_the_order_stays(layer, features_read):
    heard: list[dict] = []
    told = SavedIds.of(layer, heard.append)
    layer.startEditing()
    layer.deleteFeature(2)
    assert layer.commitChanges()
    assert told.finding
    assert not features_read, "the file is read in steps"
    told.catch_up()
    assert [each.hasGeometry() for each in features_read] == [False] * 4
    assert heard == [{2: None, 3: 2, 4: 3}]
    told.leave(heard.append)


@pytest.mark.parametrize("layer", ["shp", "geojson"], indirect=True)
def test_what_a_filter_hides_counts_in_the_order(layer):
    assert layer.setSubsetString("name <> 'h0' AND name <> 'h4' AND name <> 'new'")
    heard: list[dict] = []
    told = SavedIds.of(layer, heard.append)
    layer.startEditing()
    layer.addFeature(house(layer, "new", square(80)))
    (new,) = layer.editBuffer().addedFeatures()
    layer.deleteFeatures([1, 2])
    assert layer.commitChanges()
    told.catch_up()
    assert layer.setSubsetString("")
    where = {name: each for each, name in names(layer).items()}
    told_now = {3: 3, **heard[0]}
    assert (told_now[3], told_now[new]) == (where["h3"], where["new"])
    assert (told_now[1], told_now[2]) == (None, None)
    told.leave(heard.append)


@pytest.mark.parametrize("layer", ["fgb"], indirect=True)
def test_a_file_in_another_order_is_read_in_steps_after_the_save(layer, features_read):
    told = SavedIds.of(layer, print)
    layer.startEditing()
    layer.deleteFeature(2)
    assert layer.commitChanges(False)
    assert len(features_read) == 4, "as it was before"
    told.catch_up()
    assert len(features_read) == 8
    told.leave(print)
    layer.rollBack()


def test_a_layer_is_followed_once_for_all_who_want_to_know(layer):
    heard: list[dict] = []
    slots = [lambda ids: heard.append(ids), lambda ids: heard.append(ids)]
    one, other = (SavedIds.of(layer, slot) for slot in slots)
    assert one is other
    one.leave(slots[0])
    layer.startEditing()
    layer.addFeature(house(layer, "new", square(80)))
    assert layer.commitChanges(False)
    other.catch_up()
    assert len(heard) == 1
    other.leave(slots[1])
    assert layer.receivers(layer.beforeCommitChanges) == 0
    layer.rollBack()


def test_ids_of_their_own_stay(qgis_app, tmp_path):
    """Of features in a GeoJSON file."""
    path = tmp_path / "named.geojson"
    shape = json.loads(square(0).asJson())
    features = [
        {"type": "Feature", "id": key, "properties": {"name": f"h{key}"}, "geometry": shape}
        for key in (10, 30, 20)
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    layer = QgsVectorLayer(str(path), "named", "ogr")
    heard: list[dict] = []
    told = SavedIds.of(layer, heard.append)
    layer.startEditing()
    layer.deleteFeature(20)
    assert layer.commitChanges(False)
    told.catch_up()
    assert heard == [{20: None}]
    assert names(layer) == {10: "h10", 30: "h30"}
    layer.rollBack()
