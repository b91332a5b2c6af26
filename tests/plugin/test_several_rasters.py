# SPDX-License-Identifier: GPL-2.0-or-later
"""*Segment raster* with several rasters: destinations, layers in the project, rasters that fail."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from osgeo import gdal, osr
from qgis.core import (
    QgsApplication,
    QgsProcessingContext,
    QgsProcessingOutputLayerDefinition,
    QgsProcessingUtils,
    QgsProject,
    QgsRasterLayer,
    QgsVectorLayer,
)
from real_engine import SAMPLES, needs_engine
from test_processing import Feedback, Refused, engine, provider, run  # noqa: F401

from samgeo_plugin.job import SegmentParameters
from samgeo_plugin.processing import jobs
from samgeo_plugin.processing.engine_run import EngineRun

FEW = {"POINTS_PER_SIDE": 6, "MIN_SCORE": 0.05, "MIN_STABILITY": 0.05}


def cut(town: str, folder: Path) -> list[str]:
    """Three rasters beside each other with dates in their names; the pixels of the last are cut."""
    paths = []
    for number, name in enumerate(("town_20200501", "town_20210501", "town_20220501")):
        path = folder / f"{name}.tif"
        gdal.Translate(str(path), town, srcWin=[200 * number, 0, 200, 200], bandList=[1, 2, 3])
        paths.append(str(path))
    last = Path(paths[-1])
    last.write_bytes(last.read_bytes()[: last.stat().st_size // 3])
    return paths


@pytest.fixture
def towns(tmp_path):
    return cut(str(SAMPLES / "town.tif"), tmp_path)


@pytest.fixture
def noise(tmp_path):
    """A raster without anything to find, for where the sample town is not."""
    path = str(tmp_path / "noise.tif")
    raster = gdal.GetDriverByName("GTiff").Create(path, 600, 200, 3)
    raster.SetGeoTransform((351200, 0.25, 0, 3057600, 0, -0.25))
    reference = osr.SpatialReference()
    reference.ImportFromEPSG(32645)
    raster.SetProjection(reference.ExportToWkt())
    for band in range(1, 4):
        values = random.Random(band).randbytes(600 * 200)
        raster.GetRasterBand(band).WriteRaster(0, 0, 600, 200, values)
    return path


@pytest.fixture
def sentence(provider, noise):  # noqa: F811
    """What QGIS says of parameters before it runs."""
    algorithm = QgsApplication.processingRegistry().createAlgorithmById("samgeo:segmentraster")
    context = QgsProcessingContext()
    context.setProject(QgsProject.instance())
    raster = QgsRasterLayer(noise, "town")
    QgsProject.instance().addMapLayer(raster)

    def say(**given) -> str:
        good, why = algorithm.checkParameterValues({"INPUT": raster.id(), **given}, context)
        assert good == (not why)
        return why

    yield say
    QgsProject.instance().removeMapLayer(raster.id())


def test_destinations_that_do_not_fit_are_refused_with_one_sentence(sentence, tmp_path):
    folder, file = str(tmp_path), str(tmp_path / "objects.gpkg")
    assert not sentence(OUTPUT="TEMPORARY_OUTPUT")
    assert not sentence(OUTPUT=QgsProcessingOutputLayerDefinition("memory:"), SCENES="layer")
    assert not sentence(OUTPUT_FOLDER=folder, SCENES="each")
    assert not sentence(OUTPUT_FOLDER=folder, SCENES=1, OUTPUT="TEMPORARY_OUTPUT")
    assert not sentence(OUTPUT="memory:", SCENES="layer", DUPLICATES="keep")
    assert "needs a folder" in sentence(OUTPUT="memory:", SCENES="each")
    assert file in sentence(OUTPUT=file, OUTPUT_FOLDER=folder, SCENES="each")
    definition = QgsProcessingOutputLayerDefinition(file)
    assert file in sentence(OUTPUT=definition, OUTPUT_FOLDER=folder, SCENES="each")
    assert "is not used here" in sentence(OUTPUT=file, OUTPUT_FOLDER=folder)
    assert "Choose where" in sentence()
    assert "share a layer" in sentence(OUTPUT=file, DUPLICATES="place")
    assert "share a layer" in sentence(OUTPUT_FOLDER=folder, SCENES="each", DUPLICATES="keep")


def test_choices_are_those_of_the_engine_and_mosaic_is_the_default(provider):  # noqa: F811
    algorithm = QgsApplication.processingRegistry().createAlgorithmById("samgeo:segmentraster")
    fields = SegmentParameters.__dataclass_fields__
    for name in ("scenes", "duplicates"):
        definition = algorithm.parameterDefinition(name.upper())
        assert algorithm.choices[name.upper()] == fields[name].metadata["choices"]
        assert len(set(definition.options())) == 3
        assert definition.flags() & definition.Flag.FlagAdvanced
    assert algorithm.outputDefinition("OUTPUT_LAYERS") is not None


def test_rasters_are_handed_over_once_each_and_one_that_cannot_be_read_is_named(
    provider,  # noqa: F811
    engine,  # noqa: F811
    noise,
    tmp_path,
    monkeypatch,
):
    towns, asked = cut(noise, tmp_path), {}
    real = EngineRun.call

    def spy(self, method, params, on_progress=None):
        asked.update(params)
        return real(self, method, params, on_progress)

    monkeypatch.setattr(EngineRun, "call", spy)
    given = {"INPUT": towns[0], "MORE_RASTERS": towns[:2], "OUTPUT": "memory:"}
    run("segmentraster", {**given, "SCENES": "layer", "DUPLICATES": "place"})
    assert asked["rasters"] == towns[:2]
    assert (asked["scenes"], asked["duplicates"]) == ("layer", "place")
    run("segmentraster", given)
    assert (asked["rasters"], asked["scenes"]) == (towns[:2], "mosaic")
    (tmp_path / "broken.tif").write_bytes(b"no raster")
    asked.clear()
    with pytest.raises(Refused, match=r"broken\.tif cannot be read"):
        run("segmentraster", {**given, "MORE_RASTERS": [str(tmp_path / "broken.tif")]})
    assert not asked


def test_a_cancelled_run_is_found_again_only_with_the_same_options(tmp_path):
    params = {"rasters": [], "scenes": "each", "output": "a/{scene}.gpkg", "min_area": 1.0}
    assert jobs.folder_for(params) == jobs.folder_for({**params, "output": "b/{scene}.gpkg"})
    assert jobs.folder_for(params) != jobs.folder_for({**params, "min_area": 2.0})


@needs_engine
@pytest.mark.timeout(180)
def test_each_raster_has_its_layer_and_one_that_fails_is_named(
    provider,  # noqa: F811
    towns,
    tmp_path,
    monkeypatch,
):
    monkeypatch.setattr(jobs, "root", lambda: tmp_path / "jobs")
    folder = tmp_path / "layers"
    sink = QgsProcessingOutputLayerDefinition("TEMPORARY_OUTPUT", QgsProject.instance())
    results, context, feedback = run(
        "segmentraster",
        {"INPUT": towns[0], "MORE_RASTERS": towns[1:], "OUTPUT": sink, "SCENES": "each",
         "OUTPUT_FOLDER": str(folder), **FEW},
    )  # fmt: skip
    names = ["town_20200501", "town_20210501"]
    assert results["OUTPUT_FOLDER"] == str(folder)
    assert sorted(path.name for path in folder.glob("*.gpkg")) == [f"{n}.gpkg" for n in names]
    loaded = context.layersToLoadOnCompletion()
    assert sorted(details.name for details in loaded.values()) == names
    assert sorted(loaded) == results["OUTPUT_LAYERS"]
    for uri, details in loaded.items():
        layer = QgsProcessingUtils.mapLayerFromString(uri, context)
        assert layer.featureCount() > 0
        details.postProcessor().postProcessLayer(layer, context, Feedback())
    (warning,) = [text for text in feedback.warnings if "failed" in text]
    assert "1 of 3 rasters" in warning
    assert "town_20220501" in warning
    assert "OUTPUT" not in results

    results, context, _ = run(
        "segmentraster",
        {"INPUT": towns[0], "MORE_RASTERS": towns[1:2], "SCENES": "layer",
         "OUTPUT": str(tmp_path / "town.gpkg"), **FEW},
    )  # fmt: skip
    layer = QgsVectorLayer(str(tmp_path / "town.gpkg"), "town", "ogr")
    assert {f["date"] for f in layer.getFeatures()} == {"2020-05-01", "2021-05-01"}
    assert {f["source"] for f in layer.getFeatures()} == set(names)
    file = gdal.OpenEx(str(tmp_path / "town.gpkg"))
    told = json.loads(file.GetLayerByName("town").GetMetadataItem("samgeo_provenance"))
    assert told["rasters"] == [f"{name}.tif" for name in names]
    assert (told["options"]["scenes"], told["model"]["name"]) == ("layer", "embedded")
    del file
    assert not context.layersToLoadOnCompletion()
