# SPDX-License-Identifier: GPL-2.0-or-later
"""Ids of features across a save, in files that number features anew and in those that do not."""

from __future__ import annotations

import pytest
from qgis.core import QgsFeature, QgsGeometry, QgsProject, QgsVectorFileWriter, QgsVectorLayer

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
    told = SavedIds(layer)
    known: dict[int, str] = {}

    def follow(ids) -> None:
        """As whoever holds ids does."""
        now = {ids.get(each, each): name for each, name in known.items()}
        known.clear()
        known.update({each: name for each, name in now.items() if each is not None})

    told.changed.connect(follow)
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
    told.release()
    layer.rollBack()


def test_each_feature_is_found_once_by_its_outline():
    features = []
    for feature_id, shape in ((5, square(0)), (7, square(0)), (9, square(40))):
        feature = QgsFeature(feature_id)
        feature.setGeometry(shape)
        features.append(feature)
    there = Outlines(features)
    assert [there.take(square(0)) for _ in range(3)] == [5, 7, None]
    assert there.take(square(41)) is None
    assert there.take(square(41), least=0.5) == 9
    assert there.take(square(40)) is None
