# SPDX-License-Identifier: GPL-2.0-or-later
"""All algorithms with the real engine, from a shell without a display: ``qgis_process``."""

from __future__ import annotations

import json
import os
import re
import signal
import tempfile
import threading
import time
from pathlib import Path

import pytest
from qgis.core import (
    Qgis,
    QgsApplication,
    QgsFeature,
    QgsGeometry,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingModelAlgorithm,
    QgsProcessingModelChildAlgorithm,
    QgsProcessingModelChildParameterSource,
    QgsProcessingModelOutput,
    QgsProcessingModelParameter,
    QgsProcessingParameterRasterLayer,
    QgsProject,
    QgsVectorFileWriter,
    QgsVectorLayer,
)
from real_engine import BANEPA, MOSAIC, SAMPLES, needs_data, needs_engine, qgis_process, run

from samgeo_plugin import styles
from samgeo_plugin.processing import jobs
from samgeo_plugin.processing.provider import SamGeoProvider
from tests.gui.processes import below, left_of

pytestmark = needs_engine
WINDOW = "85.5206,85.5210,27.6316,27.6319 [EPSG:4326]"
TOWN = SAMPLES / "town.tif"
CORNER = "351300,351340,3057400,3057440 [EPSG:32645]"
FEW = {"POINTS_PER_SIDE": 6, "MIN_SCORE": 0.05, "MIN_STABILITY": 0.05}
"""Thresholds of the tests: the small model's own may change with every training."""


def opened(path: Path) -> QgsVectorLayer:
    layer = QgsVectorLayer(str(path), path.stem, "ogr")
    assert layer.isValid()
    return layer


@needs_data
@pytest.mark.timeout(300)
def test_a_raster_is_segmented_from_a_shell_without_a_display(profile, tmp_path):
    output = tmp_path / "objects.gpkg"
    # Thresholds of the test: the small model's own may change with every training.
    run(profile, "segmentraster", INPUT=MOSAIC, EXTENT=WINDOW,
        POINTS_PER_SIDE=12, MIN_SCORE=0.1, MIN_STABILITY=0.1, OUTPUT=output)  # fmt: skip
    layer = QgsVectorLayer(str(output), "objects", "ogr")
    assert layer.featureCount() > 3
    assert layer.crs().authid() == "EPSG:4326"
    assert styles.current(layer) == "review", "the file opens with its style"
    for feature in layer.getFeatures():
        assert feature.geometry().isGeosValid()
        assert feature["area_m2"] > 0
        assert feature["model"]


@needs_data
@pytest.mark.timeout(300)
def test_prompts_are_segmented_from_a_shell_and_keep_their_attributes(profile, tmp_path):
    truth = QgsVectorLayer(str(BANEPA / "footprints_4326.gpkg"), "truth", "ogr")
    prompts = tmp_path / "prompts.geojson"
    features = []
    for feature in truth.getFeatures():
        point = feature.geometry().pointOnSurface().asPoint()
        if 85.5206 < point.x() < 85.5212 and 27.6315 < point.y() < 27.6320:
            features.append(
                {"type": "Feature", "properties": {"owner": f"owner {feature.id()}"},
                 "geometry": json.loads(feature.geometry().asJson(9))}
            )  # fmt: skip
    features = features[:5]
    assert len(features) == 5
    prompts.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    output = tmp_path / "objects.gpkg"
    run(profile, "segmentfromprompts", INPUT=MOSAIC, PROMPTS=prompts, PROMPT_AS="box",
        OUTPUT=output)  # fmt: skip
    layer = QgsVectorLayer(str(output), "objects", "ogr")
    assert 3 <= layer.featureCount() <= 5
    owners = {feature["owner"] for feature in layer.getFeatures()}
    assert owners <= {feature["properties"]["owner"] for feature in features}
    assert len(owners) == layer.featureCount(), "one polygon per prompt"


@needs_data
@pytest.mark.timeout(300)
def test_an_interrupted_run_leaves_no_engine(profile, tmp_path):
    process = qgis_process(
        profile, "run", "samgeo:segmentraster", "--", f"INPUT={MOSAIC}", "WORKERS=2",
        f"OUTPUT={tmp_path / 'objects.gpkg'}",
    )  # fmt: skip
    engine: set[int] = set()
    end = time.monotonic() + 60
    while not engine and time.monotonic() < end:
        engine = below(process.pid)
        time.sleep(0.1)
    assert engine, "no engine was started"
    time.sleep(3)
    engine = below(process.pid)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    # The protocol allows five seconds; this machine may be crowded.
    assert not left_of(engine, 20)


@needs_data
@pytest.mark.timeout(300)
def test_building_outlines_get_right_angles_and_keep_everything_else(profile, tmp_path):
    source = opened(BANEPA / "footprints_4326.gpkg")
    output = tmp_path / "regular.gpkg"
    # A tolerance in metres, whatever the layer's units are: here degrees.
    said = run(profile, "regularizeoutlines", INPUT=source.source(), SIMPLIFY=1, OUTPUT=output)
    changed = int(re.search(r"CHANGED:\s+(\d+)", said)[1])
    assert changed > 0.5 * source.featureCount()
    layer = opened(output)
    assert layer.featureCount() == source.featureCount()
    assert layer.crs() == source.crs()
    assert [f.name() for f in layer.fields()] == [
        "fid", "osm_id", "building", "area_m2", "perimeter_m",
    ]  # fmt: skip
    before = {f["osm_id"]: f.geometry() for f in source.getFeatures()}
    for feature in layer.getFeatures():
        shape, given = feature.geometry(), before[feature["osm_id"]]
        assert shape.isGeosValid()
        overlap = shape.intersection(given).area() / shape.combine(given).area()
        assert overlap > 0.84, "the least IoU is 0.85"


@pytest.mark.timeout(300)
def test_roads_become_their_centre_lines(profile, tmp_path):
    truth = opened_in(SAMPLES / "town_truth.gpkg", "roads")
    roads = tmp_path / "roads.gpkg"
    written = buffered(truth, roads)
    output = tmp_path / "lines.gpkg"
    run(profile, "roadcenterlines", INPUT=roads, OUTPUT=output)
    layer = opened(output)
    assert layer.crs().authid() == "EPSG:32645"
    assert [f.name() for f in layer.fields()] == ["fid", "surface", "length_m", "width_m"]
    assert layer.geometryType() == truth.geometryType()
    for feature in layer.getFeatures():
        line, width = written[feature["surface"]]
        assert feature.geometry().hausdorffDistance(line) < width
        assert abs(feature["width_m"] - width) < 0.15 * width + 0.2
        assert abs(feature["length_m"] - line.length()) < 0.05 * line.length()
    wide = tmp_path / "wide.gpkg"
    run(profile, "roadcenterlines", INPUT=roads, MIN_WIDTH=8, OUTPUT=wide)
    assert opened(wide).featureCount() == sum(width >= 9 for _, width in written.values())


def opened_in(path: Path, name: str) -> QgsVectorLayer:
    layer = QgsVectorLayer(f"{path}|layername={name}", name, "ogr")
    assert layer.isValid()
    return layer


def buffered(truth: QgsVectorLayer, path: Path) -> dict[str, tuple[QgsGeometry, float]]:
    """Write roads as polygons; by surface (each has its own here): centre line and width."""
    layer = QgsVectorLayer("Polygon?crs=EPSG:32645&field=surface:string", "roads", "memory")
    found = {}
    for feature in truth.getFeatures():
        line, width = feature.geometry(), float(feature["width_m"])
        name = f"{feature['surface']} {feature.id()}"
        made = QgsFeature(layer.fields())
        flat, rounded = Qgis.EndCapStyle.Flat, Qgis.JoinStyle.Round
        made.setGeometry(line.buffer(width / 2, 8, flat, rounded, 2))
        made.setAttributes([name])
        layer.dataProvider().addFeatures([made])
        found[name] = (line, width)
    QgsVectorFileWriter.writeAsVectorFormatV3(
        layer, str(path), QgsProject.instance().transformContext(),
        QgsVectorFileWriter.SaveVectorOptions(),
    )  # fmt: skip
    return found


@pytest.mark.timeout(300)
def test_a_raster_is_encoded_once(profile, tmp_path):
    for encoded in (True, False):
        said = run(profile, "encoderaster", INPUT=TOWN, EXTENT=CORNER)
        windows = int(re.search(r"WINDOWS:\s+(\d+)", said)[1])
        assert windows >= 1
        assert int(re.search(r"ENCODED:\s+(\d+)", said)[1]) == (windows if encoded else 0)


@pytest.mark.timeout(300)
def test_the_stretch_of_a_raster_and_its_report(profile, tmp_path):
    report = tmp_path / "report.html"
    said = run(
        profile, "rasterstatistics", INPUT=SAMPLES / "town_rgbn_uint16.tif", OUTPUT_HTML_FILE=report
    )
    stretch = json.loads(re.search(r"STRETCH:\s+(\[.*\])", said)[1])
    assert len(stretch) == 3
    assert all(high > low + 100 for low, high in stretch), "16 bits"
    page = report.read_text(encoding="utf-8")
    assert "uint16" in page
    assert "EPSG:32645" in page
    assert "{" not in page.partition("<h3>")[2], "no Python in a report"


def model(path: Path) -> str:
    """A model's file: segment a corner of a raster, then make right angles."""
    made = QgsProcessingModelAlgorithm("roofs", "tests")
    made.addModelParameter(
        QgsProcessingParameterRasterLayer("raster", "Raster"), QgsProcessingModelParameter("raster")
    )
    source = QgsProcessingModelChildParameterSource
    segment = QgsProcessingModelChildAlgorithm("samgeo:segmentraster")
    segment.setChildId("segment")
    segment.addParameterSources("INPUT", [source.fromModelParameter("raster")])
    for name, value in {**FEW, "EXTENT": CORNER}.items():
        segment.addParameterSources(name, [source.fromStaticValue(value)])
    made.addChildAlgorithm(segment)
    regular = QgsProcessingModelChildAlgorithm("samgeo:regularizeoutlines")
    regular.setChildId("regular")
    regular.addParameterSources("INPUT", [source.fromChildOutput("segment", "OUTPUT")])
    output = QgsProcessingModelOutput("roofs")
    output.setChildId("regular")
    output.setChildOutputName("OUTPUT")
    regular.setModelOutputs({"roofs": output})
    made.addChildAlgorithm(regular)
    made.updateDestinationParameters()
    assert made.toFile(str(path))
    return made.destinationParameterDefinitions()[0].name()


@pytest.fixture
def provider(qgis_app):
    made = SamGeoProvider()
    QgsApplication.processingRegistry().addProvider(made)
    yield made
    QgsApplication.processingRegistry().removeProvider(made)


@pytest.mark.timeout(300)
def test_a_model_from_a_file_runs_the_algorithms_one_after_the_other(provider, profile, tmp_path):
    file, output = tmp_path / "roofs.model3", tmp_path / "roofs.gpkg"
    name = model(file)
    run(profile, str(file), raster=TOWN, **{name: output})
    layer = opened(output)
    assert layer.featureCount() >= 1
    assert layer.crs().authid() == "EPSG:32645"
    assert styles.current(layer) == "review"
    assert {"score", "area_m2"} <= set(layer.fields().names())


class CancelAtTiles(QgsProcessingFeedback):
    """Cancels some seconds after the first tile was begun."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.cancelled_at = 0.0
        self._timer = threading.Timer(seconds, self._cancel)

    def setProgressText(self, text: str) -> None:  # noqa: N802
        if "tiles" in text:
            self._timer.start()

    def _cancel(self) -> None:
        self.cancelled_at = time.monotonic()
        self.cancel()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("workers", [1, 2])
def test_a_cancel_in_the_middle_of_a_tile_stops_within_seconds(
    provider, tmp_path, monkeypatch, workers
):
    monkeypatch.setattr(jobs, "root", lambda: tmp_path / "jobs")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    output = tmp_path / "objects.gpkg"
    algorithm = provider.algorithm("segmentraster").create()
    context, feedback = QgsProcessingContext(), CancelAtTiles(2.0)
    # A tile of so many points takes half a minute and more.
    parameters = {
        "INPUT": str(TOWN), "OUTPUT": str(output), "POINTS_PER_SIDE": 64, "WORKERS": workers,
    }  # fmt: skip
    why = ""
    try:
        algorithm.run(parameters, context, feedback, {}, False)
    except QgsProcessingException as error:
        why = str(error)
    took = time.monotonic() - feedback.cancelled_at
    del algorithm, context, feedback
    print(f"stopped {took:.1f} s after the cancel")
    assert why == "", "a cancel is no exception"
    assert took < 10
    assert not left_of(below(os.getpid()), 5)
    assert not list(tmp_path.glob("objects*")), "no output, not even half of one"
    assert not list(tmp_path.glob("samgeo-*")), "no temporary files"
    assert list((tmp_path / "jobs").iterdir()), "finished tiles are kept for the next run"
