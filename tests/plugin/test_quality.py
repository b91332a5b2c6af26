# SPDX-License-Identifier: GPL-2.0-or-later
"""Tracking, training and evaluation with the real engine, as from the toolbox."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from osgeo import gdal
from qgis.core import (
    QgsApplication,
    QgsCoordinateReferenceSystem,
    QgsFeature,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingUtils,
    QgsRasterLayer,
    QgsRectangle,
    QgsVectorFileWriter,
    QgsVectorLayer,
)
from real_engine import SAMPLES, needs_engine

from samgeo_plugin import settings
from samgeo_plugin.processing import jobs
from samgeo_plugin.processing.html import line_chart
from samgeo_plugin.processing.provider import SamGeoProvider
from samgeo_plugin.processing.results import Times
from samgeo_plugin.processing.track_objects import TrackObjects

pytestmark = needs_engine
TRUTH, TOWN = SAMPLES / "town_truth.gpkg", SAMPLES / "town.tif"


class Feedback(QgsProcessingFeedback):
    def __init__(self):
        super().__init__(False)
        self.said: list[str] = []

    def pushInfo(self, info):  # noqa: N802
        self.said.append(info)

    def reportError(self, error, fatalError=False):  # noqa: N802, N803
        self.said.append(error)

    def pushWarning(self, info):  # noqa: N802
        self.said.append(info)


@pytest.fixture
def provider(qgis_app):
    made = SamGeoProvider()
    QgsApplication.processingRegistry().addProvider(made)
    yield made
    QgsApplication.processingRegistry().removeProvider("samgeo")


def run(provider, name, parameters):
    algorithm = provider.algorithm(name).create()
    context, feedback = QgsProcessingContext(), Feedback()
    why = ""
    try:
        results, ok = algorithm.run(parameters, context, feedback, {}, False)
        why = "" if ok else " ".join(feedback.said)
    except QgsProcessingException as error:
        why = str(error)
    if why:
        del algorithm, context
        raise ValueError(why)
    return results, context, feedback.said


def layer_of(path: Path, features, crs="EPSG:32645", fields="") -> Path:
    layer = QgsVectorLayer(f"Polygon?crs={crs}{fields}", "made", "memory")
    layer.dataProvider().addFeatures(features)
    options = QgsVectorFileWriter.SaveVectorOptions()
    options.driverName, options.layerName = "GPKG", "made"
    QgsVectorFileWriter.writeAsVectorFormatV3(
        layer, str(path), QgsProcessingContext().transformContext(), options
    )
    return path


def houses(count: int) -> list[QgsFeature]:
    layer = QgsVectorLayer(str(TRUTH), "truth", "ogr")
    found = sorted(layer.getFeatures(), key=lambda f: -f.geometry().area())[1 : count + 1]
    return [QgsFeature(feature) for feature in found]


def test_a_result_equal_to_the_truth_is_right_and_a_part_of_it_lacks_the_rest(provider, tmp_path):
    part = layer_of(tmp_path / "part.gpkg", houses(40))
    page = tmp_path / "report.html"
    results, context, said = run(
        provider,
        "evaluateresult",
        {
            "INPUT": str(part),
            "TRUTH": str(TRUTH),
            "OUTPUT": "memory:",
            "OUTPUT_HTML_FILE": str(page),
        },
    )  # fmt: skip
    assert results["PRECISION"] == 1.0
    assert results["RECALL"] == pytest.approx(40 / 121)
    errors = QgsProcessingUtils.mapLayerFromString(results["OUTPUT"], context)
    assert {feature["error"] for feature in errors.getFeatures()} == {"missed"}
    assert errors.featureCount() == 81
    assert "<td>1.000</td>" in page.read_text(encoding="utf-8")
    assert any("0.331" in line for line in said)


def painted(source: Path, target: Path, box, colour) -> Path:
    """A copy of a raster with a box (xmin, ymin, xmax, ymax) of one colour."""
    gdal.UseExceptions()
    copy = gdal.GetDriverByName("GTiff").CreateCopy(str(target), gdal.Open(str(source)))
    x0, dx, _, y0, _, dy = copy.GetGeoTransform()
    left, right = int((box[0] - x0) / dx), int((box[2] - x0) / dx) + 1
    top, bottom = int((box[3] - y0) / dy), int((box[1] - y0) / dy) + 1
    for number, value in enumerate(colour, 1):
        band = copy.GetRasterBand(number)
        pixels = band.ReadAsArray(left, top, right - left, bottom - top)
        pixels[:] = value
        band.WriteArray(pixels, left, top)
    copy = None
    return target


@pytest.mark.timeout(280)
def test_a_house_that_is_torn_down_is_gone_at_the_later_date(provider, tmp_path):
    torn = houses(6)[3]
    part = QgsRectangle(torn.geometry().boundingBox().buffered(45))
    west, south, east, north = part.toRectF().getCoords()
    whole = gdal.Open(str(TOWN))
    corner = tmp_path / "town_2019-05-03.tif"
    gdal.Translate(str(corner), whole, projWin=[west, north, east, south])
    others = [f for f in houses(120) if f.id() != torn.id()]
    kept = [f for f in others if part.contains(f.geometry().boundingBox())][:3]
    layer = layer_of(tmp_path / "houses.gpkg", [*kept, torn])
    area = torn.geometry().boundingBox().buffered(6)
    corners = area.xMinimum(), area.yMinimum(), area.xMaximum(), area.yMaximum()
    later = painted(corner, tmp_path / "town_2021-05-03.tif", corners, (96, 120, 70))
    table, page = tmp_path / "areas.csv", tmp_path / "charts.html"
    results, context, _ = run(
        provider,
        "trackobjects",
        {
            "INPUT": str(layer),
            "RASTERS": [str(later), str(corner)],
            "OUTPUT": str(tmp_path / "tracks.gpkg"),
            "OUTPUT_TABLE": str(table),
            "OUTPUT_HTML_FILE": str(page),
        },
    )
    assert results["OBJECTS"] == len(kept) + 1
    head, *rows = list(csv.reader(table.read_text().splitlines()))
    assert head == ["id", "2019-05-03", "2021-05-03"]
    gone = [row for row in rows if float(row[2]) == 0]
    assert len(gone) == 1
    assert float(gone[0][1]) == pytest.approx(torn.geometry().area(), rel=0.15)
    assert page.read_text(encoding="utf-8").count("<svg") == len(kept) + 1
    tracks = QgsProcessingUtils.mapLayerFromString(results["OUTPUT"], context)
    assert tracks.featureCount() == 2 * len(kept) + 1
    times = Times("date", tuple(head[1:]))
    times.put_on(tracks)
    assert tracks.temporalProperties().isActive()


def test_rasters_are_tracked_in_the_crs_that_qgis_shows_them_in(provider, tmp_path, monkeypatch):
    """A virtual raster has another name than the file: the table of dates is told."""
    asked = {}

    def engine(self, given, method, params):
        asked.update(params, table=Path(params["dates"]).read_text(encoding="utf-8"))
        given.feedback.cancel()
        raise QgsProcessingException("enough")  # does not leave the algorithm, as it was cancelled

    monkeypatch.setattr(TrackObjects, "run_engine", engine)
    monkeypatch.setattr(jobs, "root", lambda: tmp_path / "jobs")
    whole, layers = gdal.Open(str(TOWN)), []
    for name, crs in (("wrong", "EPSG:32644"), ("right", "EPSG:32645")):
        path = tmp_path / f"{name}.tif"
        gdal.Translate(str(path), whole, srcWin=[0, 0, 64, 64], outputSRS=crs)
        layers.append(QgsRasterLayer(str(path), name))
        layers[-1].setCrs(QgsCoordinateReferenceSystem("EPSG:32645"))
    dates = tmp_path / "dates.csv"
    dates.write_text(f"date,raster\n2019,wrong.tif\n\n2020,{tmp_path / 'right.tif'}\n")
    run(provider, "trackobjects", {"INPUT": str(TRUTH), "RASTERS": layers, "OUTPUT": "memory:",
                                   "DATES": str(dates)})  # fmt: skip
    shown = [QgsRasterLayer(path, "shown").crs().authid() for path in asked["rasters"]]
    assert shown == ["EPSG:32645", "EPSG:32645"]
    assert asked["rasters"][1] == str(tmp_path / "right.tif")
    rows = list(csv.reader(asked["table"].splitlines()))
    assert rows == [["date", "raster"], ["2019", "wrong.vrt"], ["2020", asked["rasters"][1]]]


def test_a_single_date_is_no_series(provider, tmp_path):
    with pytest.raises(ValueError, match="at least two dates"):
        run(provider, "trackobjects",
            {"INPUT": str(TRUTH), "RASTERS": [str(TOWN)], "OUTPUT": "memory:"})  # fmt: skip


def test_dates_become_times_from_one_to_the_next(qgis_app):
    layer = QgsVectorLayer("Polygon?crs=EPSG:4326&field=date:string", "x", "memory")
    Times("date", ("2009", "2010-07", "2012-01-05")).put_on(layer)
    start, end = (
        getattr(layer.temporalProperties(), name)() for name in ("startExpression", "endExpression")
    )
    assert "'2009' THEN to_date('2009-01-01')" in start
    assert "'2009' THEN to_date('2010-07-01')" in end
    assert "ELSE to_date('9999-12-31')" in end


def test_a_chart_has_gaps_where_nothing_was_seen():
    chart = line_chart([1.0, None, 3.0, 4.0])
    assert chart.count("<circle") == 3
    assert chart.count("<line") == 1


def test_too_few_polygons_train_nothing_and_say_so(provider, tmp_path):
    few = layer_of(tmp_path / "few.gpkg", houses(3))
    before = settings.MODEL.get()
    with pytest.raises(ValueError, match="3"):
        run(provider, "improvemodel", {"INPUT": str(TOWN), "LABELS": str(few), "NAME": "mine"})
    assert settings.MODEL.get() == before


@pytest.mark.timeout(280)
def test_a_model_is_trained_measured_and_used_only_where_it_is_better(
    provider, tmp_path, monkeypatch
):
    monkeypatch.setenv("SAMGEO_MODELS_DIR", str(tmp_path / "models"))
    corner, part = tmp_path / "corner.tif", QgsRectangle(351200, 3057440, 351360, 3057600)
    whole = gdal.Open(str(TOWN))
    gdal.Translate(str(corner), whole, projWin=[351200, 3057600, 351360, 3057440])
    inside = [f for f in houses(120) if part.contains(f.geometry().boundingBox())]
    layer = layer_of(tmp_path / "some.gpkg", inside)
    page = tmp_path / "gain.html"
    before = settings.MODEL.get(), settings.MODELS.get()
    try:
        results, _, said = run(
            provider,
            "improvemodel",
            {
                "INPUT": str(corner), "LABELS": str(layer), "NAME": "mine", "MINUTES": 0.05,
                "THREADS": 1,
                "OUTPUT_HTML_FILE": str(page),
            },
        )  # fmt: skip
        assert results["REASON"]
        assert results["OFFERED"] == (settings.MODEL.get() == "mine")
        assert page.read_text(encoding="utf-8").count("<tr>") >= 3
        assert any("IoU for a click" in line for line in said)
    finally:
        settings.MODEL.set(before[0])
        settings.MODELS.set(before[1])


@pytest.mark.parametrize(("form", "file"), [("coco", "annotations_train.json"), ("masks", None)])
def test_exported_labels_come_back_where_they_were(provider, tmp_path, form, file):
    part = layer_of(tmp_path / "part.gpkg", houses(40))
    folder = tmp_path / "labels"
    results, _, said = run(
        provider,
        "exportlabels",
        {
            "INPUT": str(TOWN), "LABELS": str(part), "FORM": form, "CHIP_SIZE": 1024,
            "VAL_SHARE": 0, "FOLDER": str(folder),
        },
    )  # fmt: skip
    assert results["OBJECTS"] >= 40
    assert any("train: " in line for line in said)
    given = {"FOLDER": str(folder)} if file is None else {"SOURCE": str(folder / file)}
    results, context, _ = run(provider, "importlabels", given | {"OUTPUT": "memory:"})
    back = QgsProcessingUtils.mapLayerFromString(results["OUTPUT"], context)
    assert back.featureCount() == 40
    assert back.crs().authid() == "EPSG:32645"
    areas = [
        sum(f.geometry().area() for f in layer.getFeatures())
        for layer in (back, QgsVectorLayer(str(part), "part", "ogr"))
    ]
    assert areas[0] == pytest.approx(areas[1], rel=0.02)


def test_labels_are_a_file_or_a_folder(provider, tmp_path):
    with pytest.raises(ValueError, match="a file of labels, or a folder"):
        run(provider, "importlabels", {"OUTPUT": "memory:"})
