# SPDX-License-Identifier: GPL-2.0-or-later
"""The review of an update: accepted changes go into the old layer, and come back by undo."""

from __future__ import annotations

import pytest
from osgeo import gdal
from qgis.core import (
    QgsApplication,
    QgsFeature,
    QgsGeometry,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingUtils,
    QgsProject,
    QgsRectangle,
    QgsVectorFileWriter,
    QgsVectorLayer,
)
from real_engine import SAMPLES, needs_engine

from samgeo_plugin.interactive.review import ACCEPTED, OPEN, REJECTED, Review
from samgeo_plugin.processing.provider import SamGeoProvider

CHANGES = (
    "&field=old_fid:integer&field=old_layer:string(200)&field=status:string"
    "&field=probability:double&field=review:string"
)


def square(x: float, side: float = 10.0) -> QgsGeometry:
    return QgsGeometry.fromWkt(
        f"MULTIPOLYGON((({x} 0,{x + side} 0,{x + side} {side},{x} {side},{x} 0)))"
    )


@pytest.fixture
def old(qgis_app, tmp_path):
    """Four houses with names, in a GeoPackage."""
    made = QgsVectorLayer("MultiPolygon?crs=EPSG:32645&field=name:string", "houses", "memory")
    for k in range(4):
        feature = QgsFeature(made.fields())
        feature.setAttributes([f"house {k}"])
        feature.setGeometry(square(20.0 * k))
        made.dataProvider().addFeature(feature)
    path = str(tmp_path / "houses.gpkg")
    options = QgsVectorFileWriter.SaveVectorOptions()
    options.layerName = "houses"
    QgsVectorFileWriter.writeAsVectorFormatV3(
        made, path, QgsProject.instance().transformContext(), options
    )
    layer = QgsVectorLayer(f"{path}|layername=houses", "houses", "ogr")
    QgsProject.instance().addMapLayer(layer)
    yield layer
    QgsProject.instance().removeAllMapLayers()


@pytest.fixture
def changes(old):
    made = QgsVectorLayer("MultiPolygon?crs=EPSG:32645" + CHANGES, "changes", "memory")
    rows = [
        (1, "confirmed", square(0)), (2, "reshaped", square(20, 14)), (3, "gone", square(40)),
        (4, "moved", square(63)), (None, "new", square(100)),
    ]  # fmt: skip
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


def test_what_is_gone_goes_and_what_is_new_comes(review, old):
    decide(review, "gone", ACCEPTED)
    decide(review, "new", ACCEPTED)
    assert not old.getFeature(3).isValid()
    assert old.featureCount() == 4
    assert any(f.geometry().equals(square(100)) for f in old.getFeatures())


def test_undo_and_the_key_for_open_bring_the_old_outline_back(review, changes, old):
    decide(review, "reshaped", ACCEPTED)
    changes.undoStack().undo()
    assert area(old, 2) == 100
    changes.undoStack().redo()
    assert area(old, 2) == pytest.approx(196)
    decide(review, "reshaped", OPEN)
    assert area(old, 2) == 100


def test_a_polygon_that_went_comes_back_with_its_id_and_attributes(review, changes, old):
    decide(review, "gone", ACCEPTED)
    decide(review, "gone", OPEN)
    assert old.commitChanges()
    back = old.getFeature(3)
    assert back["name"] == "house 2"
    assert back.geometry().equals(square(40))


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
    options = QgsVectorFileWriter.SaveVectorOptions()
    options.layerName = "houses"
    QgsVectorFileWriter.writeAsVectorFormatV3(
        made, str(path), QgsProject.instance().transformContext(), options
    )
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
