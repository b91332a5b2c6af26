# SPDX-License-Identifier: GPL-2.0-or-later
"""The algorithms against the fake worker: parameters, sinks, cancel, crashes, inputs."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from osgeo import gdal, osr
from qgis.core import (
    NULL,
    QgsApplication,
    QgsCoordinateReferenceSystem,
    QgsFeature,
    QgsField,
    QgsGeometry,
    QgsPointXY,
    QgsProcessingAlgRunnerTask,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingModelAlgorithm,
    QgsProcessingModelChildAlgorithm,
    QgsProcessingModelChildParameterSource,
    QgsProcessingModelOutput,
    QgsProcessingModelParameter,
    QgsProcessingOutputLayerDefinition,
    QgsProcessingParameterField,
    QgsProcessingParameterRasterLayer,
    QgsProcessingUtils,
    QgsProject,
    QgsProperty,
    QgsVectorFileWriter,
    QgsVectorLayer,
)

from samgeo_plugin import field_types, rasters, rendering, styles
from samgeo_plugin.engine.process import EngineCommand
from samgeo_plugin.engine.stages import ENGINE_PERCENT, ProgressBar, stage_text
from samgeo_plugin.job import Progress
from samgeo_plugin.processing import base, jobs, sinks
from samgeo_plugin.processing.engine_run import EngineRun, EngineRunError
from samgeo_plugin.processing.given import Given, handed_over, units_a_metre
from samgeo_plugin.processing.provider import ALGORITHMS, SamGeoProvider
from samgeo_plugin.processing.results import Carried
from samgeo_plugin.processing.segment_raster import SegmentRaster
from samgeo_plugin.setup import environment
from tests.gui.processes import below


class Feedback(QgsProcessingFeedback):
    """Remembers what it was told; cancels after some progress when asked to."""

    def __init__(self, cancel_at: float = 1e9) -> None:
        super().__init__()
        self.warnings: list = []
        self.steps: list = []
        self._cancel_at = cancel_at
        self.progressChanged.connect(self._step)

    def _step(self, value: float) -> None:
        self.steps.append(value)
        if value >= self._cancel_at:
            self.cancel()

    def pushWarning(self, text: str) -> None:  # noqa: N802
        self.warnings.append(text)


@pytest.fixture
def provider(qgis_app):
    made = SamGeoProvider()
    QgsApplication.processingRegistry().addProvider(made)
    yield made
    QgsApplication.processingRegistry().removeProvider(made)


@pytest.fixture
def engine(fake_command, monkeypatch, tmp_path):
    """Let algorithms start fake workers with the given words."""
    monkeypatch.setattr(jobs, "root", lambda: tmp_path / "jobs")

    def use(words: str = "") -> None:
        monkeypatch.setattr(environment, "engine_command", lambda: fake_command(words))

    use()
    return use


@pytest.fixture
def town(tmp_path, qgis_app):
    path = tmp_path / "town.tif"
    file = gdal.GetDriverByName("GTiff").Create(str(path), 60, 40, 3, gdal.GDT_Byte)
    file.SetGeoTransform([85.5, 0.001, 0, 27.62, 0, -0.001])
    reference = osr.SpatialReference()
    reference.ImportFromEPSG(4326)
    file.SetProjection(reference.ExportToWkt())
    file = None
    return str(path)


class Refused(Exception):
    """What an algorithm said when it refused."""


def run(name: str, parameters: dict, feedback=None):
    algorithm = QgsApplication.processingRegistry().createAlgorithmById(f"samgeo:{name}")
    context = QgsProcessingContext()
    context.setProject(QgsProject.instance())
    feedback = feedback or Feedback()
    why = ""
    try:
        results, _ = algorithm.run(parameters, context, feedback, {}, False)
    except QgsProcessingException as error:
        why = str(error)
    if why:
        # A traceback would keep these alive until after QGIS has ended, which then crashes.
        del algorithm, context, feedback
        raise Refused(why)
    return results, context, feedback


def layer_of(results: dict, context: QgsProcessingContext):
    return QgsProcessingUtils.mapLayerFromString(results["OUTPUT"], context)


def test_all_algorithms_are_there_with_help_and_off_the_main_thread(provider):
    assert {a.name() for a in provider.algorithms()} == {
        "segmentraster", "segmentfromprompts", "regularizeoutlines", "roadcenterlines",
        "encoderaster", "rasterstatistics", "classifyobjects", "classifyground", "roadnetwork",
        "trackobjects", "updatelayer", "improvemodel", "evaluateresult",
        "exportlabels", "importlabels",
    }  # fmt: skip
    for algorithm in provider.algorithms():
        assert algorithm.shortHelpString()
        page, _, anchor = algorithm.helpUrl().removeprefix("file://").partition("#")
        assert f'id="{anchor}"' in Path(page).read_text(encoding="utf-8")
        assert not algorithm.icon().isNull()
        assert not algorithm.flags() & algorithm.flags().__class__(algorithm.Flag.FlagNoThreading)
        assert algorithm.flags() & algorithm.Flag.FlagCanCancel
    assert len(ALGORITHMS) == len(provider.algorithms())


@pytest.mark.parametrize(
    "sink", ["memory:", "TEMPORARY_OUTPUT", "file.gpkg", "file.shp", "file.geojson"]
)
def test_a_raster_is_segmented_into_any_sink(provider, engine, town, tmp_path, sink):
    target = str(tmp_path / sink) if sink.startswith("file") else sink
    results, context, feedback = run("segmentraster", {"INPUT": town, "OUTPUT": target})
    layer = layer_of(results, context)
    assert layer.featureCount() == 3
    assert layer.crs().authid() == "EPSG:4326"
    assert layer.fields().lookupField("score") >= 0
    assert all(f.geometry().isGeosValid() for f in layer.getFeatures())
    assert results["COUNT"] == 3
    assert feedback.warnings == ["One band only."]
    assert feedback.steps == sorted(feedback.steps)


@pytest.mark.parametrize(("outlines", "style"), [("contour", "review"), ("centerlines", "lines")])
def test_a_result_that_is_put_into_the_project_has_its_style(
    provider, engine, town, monkeypatch, outlines, style
):
    given = []
    monkeypatch.setattr(styles, "apply", lambda layer, name: given.append((layer.name(), name)))
    sink = QgsProcessingOutputLayerDefinition("memory:objects", QgsProject.instance())
    results, context, _ = run(
        "segmentraster", {"INPUT": town, "OUTPUT": sink, "OUTLINES": outlines}
    )
    details = context.layersToLoadOnCompletion()[results["OUTPUT"]]
    layer = layer_of(results, context)
    details.postProcessor().postProcessLayer(layer, context, Feedback())
    assert given == [(layer.name(), style)]


def test_a_files_style_is_written_in_the_jobs_own_thread(
    provider, engine, town, tmp_path, monkeypatch, wait
):
    threads = []
    real = styles.store

    def store(layer, name, is_new=False):
        threads.append(threading.get_ident())
        real(layer, name, is_new)

    monkeypatch.setattr(styles, "store", store)
    target, outcome = str(tmp_path / "objects.gpkg"), []
    algorithm = QgsApplication.processingRegistry().createAlgorithmById("samgeo:segmentraster")
    context, feedback = QgsProcessingContext(), Feedback()
    task = QgsProcessingAlgRunnerTask(
        algorithm, {"INPUT": town, "OUTPUT": target}, context, feedback
    )
    task.executed.connect(lambda well, _: outcome.append(well))
    QgsApplication.taskManager().addTask(task)
    wait(lambda: outcome)
    assert outcome == [True]
    assert len(threads) == 1
    assert threads[0] != threading.get_ident(), "the main thread would wait for the disk"
    assert styles.current(QgsVectorLayer(target, "objects", "ogr")) == "review"


def test_what_is_carried_over_does_not_set_pythons_collector_to_work(qgis_app):
    """A full collection of QGIS's Python takes 40 ms and more, in which the window waits."""
    layer = QgsVectorLayer("Point?field=owner:string&field=height:double", "p", "memory")
    features = []
    for k in range(20_000):
        feature = QgsFeature(layer.fields())
        feature.setGeometry(QgsGeometry.fromWkt("POINT(1 2)"))
        feature.setAttributes([f"owner {k}", None])
        features.append(feature)
    layer.dataProvider().addFeatures(features)
    del features
    gc.collect()
    collections: list[int] = []

    def watch(phase, info):
        collections.append(info["generation"])

    gc.callbacks.append(watch)
    try:
        carried = Carried.all_of(layer, "prompt_id")
    finally:
        gc.callbacks.remove(watch)
    assert len(carried.rows) == 20_000
    assert [column[1] for column in carried.columns] == ["owner 1", None]
    assert not collections


def test_what_is_carried_over_can_be_written(qgis_app, tmp_path):
    path = tmp_path / "p.geojson"
    path.write_text(
        '{"type": "FeatureCollection", "features": [{"type": "Feature", "properties":'
        ' {"use": "roof", "owner": {"name": "x"}, "tags": ["a", "b"]},'
        ' "geometry": {"type": "Point", "coordinates": [80, 27]}}]}'
    )
    layer = QgsVectorLayer(str(path), "p", "ogr")
    carried = Carried.all_of(layer, "k")
    assert [values[0] for values in carried.columns] == ["roof", '{"name": "x"}', ["a", "b"]]
    assert carried.fields.at(1).type() == field_types.TEXT
    layer = QgsVectorLayer("Point?field=use:string(5)&field=nr:integer", "p", "memory")
    assert layer.startEditing()
    feature = QgsFeature(layer.fields())
    assert layer.addFeature(feature)  # the edit buffer takes what neither type nor length allow
    layer.changeAttributeValue(feature.id(), 0, "warehouse")
    layer.changeAttributeValue(feature.id(), 1, "nextval('p_nr_seq'::regclass)")
    carried = Carried.all_of(layer, "k")
    sink = QgsVectorLayer("NoGeometry", "sink", "memory")
    sink.dataProvider().addAttributes(carried.fields.toList())
    sink.updateFields()
    feature = QgsFeature(sink.fields())
    feature.setAttributes([values[0] for values in carried.columns])
    assert sink.dataProvider().addFeature(feature), sink.dataProvider().lastError()
    assert [each.attributes() for each in sink.getFeatures()] == [["warehouse", NULL]]
    layer.rollBack()


def test_the_engines_parameters_are_what_the_user_said(provider, engine, town, monkeypatch):
    asked = {}
    real = EngineRun.call

    def spy(self, method, params, on_progress=None):
        asked.update(params)
        return real(self, method, params, on_progress)

    monkeypatch.setattr(EngineRun, "call", spy)
    run(
        "segmentraster",
        {
            "INPUT": town, "OUTPUT": "memory:", "EXTENT": "85.51,85.53,27.59,27.61 [EPSG:4326]",
            "BANDS": [3, 2, 1], "MIN_AREA": 12.5, "OUTLINES": "rectangles", "MODE": "flat",
            "DEVICE": "cpu", "MIN_SCORE": 0.7, "THREADS": 2, "MODEL": "sam-vit-b",
            "PRECISION": "bfloat16", "PROPOSALS": "grid", "CLASS": "bare ground", "SCALE": "0.5",
        },
    )  # fmt: skip
    assert asked["rasters"] == [town]
    assert asked["extent"] == [85.51, 27.59, 85.53, 27.61]
    assert asked["extent_crs"] == "EPSG:4326"
    assert asked["bands"] == [3, 2, 1]
    assert (asked["min_area"], asked["outlines"], asked["mode"]) == (12.5, "rectangles", "flat")
    assert (asked["device"], asked["min_score"], asked["threads"]) == ("cpu", 0.7, 2)
    assert (asked["model"], asked["precision"]) == ("sam-vit-b", "bfloat16")
    assert asked["tile_size"] is None
    assert (asked["proposals"], asked["classes"]) == ("grid", ["bare ground"])
    assert asked["scale"] == 0.5
    run("segmentraster", {"INPUT": town, "OUTPUT": "memory:"})
    assert (asked["proposals"], asked["classes"], asked["scale"]) == ("auto", [], None)


def test_paths_are_those_of_the_folder_that_qgis_works_in(
    provider, engine, town, tmp_path, monkeypatch
):
    """The engine works in another one."""
    asked = {}

    def spy(self, method, params, on_progress=None):
        asked.update(params)
        self._feedback.cancel()  # without an exception, QGIS lets go of the layers
        raise EngineRunError("That is enough.")

    monkeypatch.setattr(EngineRun, "call", spy)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GDAL_PAM_ENABLED", "NO")  # it writes where we are when the raster is closed
    (tmp_path / "own.pt").touch()
    (tmp_path / "old.samgeo-classes").touch()
    run(
        "segmentraster",
        {
            "INPUT": "town.tif", "MORE_RASTERS": ["town.tif"], "SCENES": "each",
            "OUTPUT_FOLDER": "layers", "MODEL": "own.pt", "CLASSIFIER": "old.samgeo-classes",
            "SAVE_CLASSIFIER": "kept/new.samgeo-classes",
        },
    )  # fmt: skip
    assert asked["rasters"] == [town]
    assert asked["output"] == str(tmp_path / "layers" / "{scene}.gpkg")
    assert asked["model"] == str(tmp_path / "own.pt")
    assert asked["classifier"] == str(tmp_path / "old.samgeo-classes")
    assert asked["save_classifier"] == str(tmp_path / "kept" / "new.samgeo-classes")
    run("importlabels", {"FOLDER": ".", "IMAGES": "images", "OUTPUT": "memory:"})
    assert (asked["source"], asked["images"]) == (str(tmp_path), str(tmp_path / "images"))
    _save_square(tmp_path / "square.gpkg")
    run("exportlabels", {"INPUT": "town.tif", "LABELS": "square.gpkg", "FOLDER": "chips"})
    assert asked["folder"] == str(tmp_path / "chips")
    run("updatelayer", {"INPUT": "square.gpkg", "RASTER": "town.tif", "OUTPUT": "memory:"})
    assert (asked["input"], asked["rasters"]) == (str(tmp_path / "square.gpkg"), [town])


def _save_square(path: Path) -> None:
    """A GeoPackage with one polygon."""
    layer = QgsVectorLayer("Polygon?crs=EPSG:4326", "square", "memory")
    feature = QgsFeature(layer.fields())
    feature.setGeometry(QgsGeometry.fromWkt("POLYGON((85.51 27.6, 85.52 27.6, 85.52 27.61))"))
    layer.dataProvider().addFeatures([feature])
    options = QgsVectorFileWriter.SaveVectorOptions()
    context = QgsProject.instance().transformContext()
    QgsVectorFileWriter.writeAsVectorFormatV3(layer, str(path), context, options)


def test_an_extent_that_misses_the_raster_is_refused(provider, engine, town):
    with pytest.raises(Refused, match="misses the raster"):
        run(
            "segmentraster",
            {"INPUT": town, "OUTPUT": "memory:", "EXTENT": "10,11,10,11 [EPSG:4326]"},
        )


def test_prompts_carry_their_attributes_over(provider, engine, town):
    prompts = QgsVectorLayer(
        "Point?crs=EPSG:4326&field=owner:string&field=score:double", "p", "memory"
    )
    for k in range(1, 4):
        feature = QgsFeature(prompts.fields())
        feature.setGeometry(QgsGeometry.fromWkt(f"POINT({85.5 + k / 100} 27.6)"))
        feature.setAttributes([f"owner {k}", 0.1])
        prompts.dataProvider().addFeatures([feature])
    QgsProject.instance().addMapLayer(prompts)
    try:
        results, context, feedback = run(
            "segmentfromprompts", {"INPUT": town, "PROMPTS": prompts.id(), "OUTPUT": "memory:"}
        )
        layer = layer_of(results, context)
        assert {f["prompt_id"]: f["owner"] for f in layer.getFeatures()} == {
            "1": "owner 1", "2": "owner 2", "3": "owner 3",
        }  # fmt: skip
        names = [field.name() for field in layer.fields()]
        assert names.count("score") == 1
        assert {f["prompt_score"] for f in layer.getFeatures()} == {0.1}
        assert any("score → prompt_score" in text for text in feedback.warnings)
        prompts.dataProvider().truncate()
        with pytest.raises(Refused, match="no features"):
            run("segmentfromprompts", {"INPUT": town, "PROMPTS": prompts.id(), "OUTPUT": "memory:"})
    finally:
        QgsProject.instance().removeMapLayer(prompts)


@pytest.mark.parametrize("is_key", [True, False])
def test_a_field_fid_goes_on_where_it_is_not_the_tables_key(
    provider, engine, town, tmp_path, is_key
):
    prompts = QgsVectorLayer(
        "Point?crs=EPSG:4326&field=fid:integer&field=Label:string&field=prompt_label:string",
        "p", "memory",
    )  # fmt: skip
    for k in range(1, 4):
        feature = QgsFeature(prompts.fields())
        feature.setGeometry(QgsGeometry.fromWkt(f"POINT({85.5 + k / 100} 27.6)"))
        feature.setAttributes([70 + k, "a", "b"])
        prompts.dataProvider().addFeatures([feature])
    path = str(tmp_path / "prompts.gpkg")
    if is_key:
        options = QgsVectorFileWriter.SaveVectorOptions()
        QgsVectorFileWriter.writeAsVectorFormatV3(
            prompts, path, QgsProject.instance().transformContext(), options
        )
    else:
        QgsProject.instance().addMapLayer(prompts)
    given = {"INPUT": town, "PROMPTS": path if is_key else prompts.id(), "OUTPUT": "memory:"}
    results, context, _ = run("segmentfromprompts", given)
    names = layer_of(results, context).fields().names()
    assert ("prompt_fid" in names) is not is_key
    assert {"prompt_prompt_Label", "prompt_label"} < set(names)
    QgsProject.instance().removeAllMapLayers()


def test_a_result_tells_what_the_user_chose_not_what_the_engine_was_handed(
    provider, engine, town, tmp_path
):
    prompts = QgsVectorLayer("Point?crs=EPSG:4326&field=kind:string", "Roofs of 2024", "memory")
    feature = QgsFeature(prompts.fields())
    feature.setGeometry(QgsGeometry.fromWkt("POINT(85.51 27.6)"))
    feature.setAttributes(["roof"])
    prompts.dataProvider().addFeatures([feature])
    target = str(tmp_path / "roofs.gpkg")
    given = {"INPUT": town, "PROMPTS": prompts, "LABEL_FIELD": "kind", "OUTPUT": target}
    run("segmentfromprompts", given)
    file = gdal.OpenEx(target)
    told = json.loads(file.GetLayer(0).GetMetadataItem("samgeo_provenance"))
    del file
    assert told["options"] == {
        "prompts": "Roofs of 2024",
        "prompt_label": "kind",
        "prompt_as": "auto",
    }


def test_a_label_comes_once_and_its_field_only_with_the_other_attributes(provider, engine, town):
    prompts = QgsVectorLayer("Point?crs=EPSG:4326&field=kind:string", "p", "memory")
    for k in range(1, 4):
        feature = QgsFeature(prompts.fields())
        feature.setGeometry(QgsGeometry.fromWkt(f"POINT({85.5 + k / 100} 27.6)"))
        feature.setAttributes(["roof"])
        prompts.dataProvider().addFeatures([feature])
    QgsProject.instance().addMapLayer(prompts)
    given = {"INPUT": town, "PROMPTS": prompts.id(), "LABEL_FIELD": "Kind", "OUTPUT": "memory:"}
    for keep in (True, False):
        results, context, feedback = run("segmentfromprompts", {**given, "KEEP_ATTRIBUTES": keep})
        names = layer_of(results, context).fields().names()
        assert names.count("label") == 1
        assert [name for name in names if "kind" in name] == ["kind"] * keep
        assert not any("→" in text for text in feedback.warnings)
    QgsProject.instance().removeAllMapLayers()


def test_a_field_geom_goes_on_in_a_geopackage_under_another_name(provider, engine, town, tmp_path):
    prompts = QgsVectorLayer("Point?crs=EPSG:4326&field=Geom:string", "p", "memory")
    for k in range(1, 4):
        feature = QgsFeature(prompts.fields())
        feature.setGeometry(QgsGeometry.fromWkt(f"POINT({85.5 + k / 100} 27.6)"))
        feature.setAttributes([f"a {k}"])
        prompts.dataProvider().addFeatures([feature])
    QgsProject.instance().addMapLayer(prompts)
    target = str(tmp_path / "objects.gpkg")
    results, context, feedback = run(
        "segmentfromprompts", {"INPUT": town, "PROMPTS": prompts.id(), "OUTPUT": target}
    )
    assert {f["prompt_Geom"] for f in layer_of(results, context).getFeatures()} == {
        "a 1", "a 2", "a 3",
    }  # fmt: skip
    assert any("Geom → prompt_Geom" in text for text in feedback.warnings)
    QgsProject.instance().removeAllMapLayers()


def test_features_without_a_geometry_are_counted(provider, engine, town):
    prompts = QgsVectorLayer("Point?crs=EPSG:4326", "p", "memory")
    for wkt in ("POINT(85.51 27.6)", "", "POINT(85.52 27.6)", ""):
        feature = QgsFeature(prompts.fields())
        feature.setGeometry(QgsGeometry.fromWkt(wkt))
        prompts.dataProvider().addFeatures([feature])
    QgsProject.instance().addMapLayer(prompts)
    given = {"INPUT": town, "PROMPTS": prompts.id(), "OUTPUT": "memory:"}
    _, _, feedback = run("segmentfromprompts", given)
    said = [text for text in feedback.warnings if "without a geometry" in text]
    assert said == ["Features of p without a geometry, which are left out: 2"]
    QgsProject.instance().removeAllMapLayers()


def test_a_field_that_a_layer_has_not_is_said_and_one_in_other_letters_is_found(provider, tmp_path):
    layer = QgsVectorLayer("Polygon?crs=EPSG:4326&field=Kind:string&field=n:double", "l", "memory")
    QgsProject.instance().addMapLayer(layer)
    context, asked = QgsProcessingContext(), 0
    context.setProject(QgsProject.instance())
    for algorithm in provider.algorithms():
        for definition in algorithm.parameterDefinitions():
            if not isinstance(definition, QgsProcessingParameterField):
                continue
            asked += 1
            name, parent = definition.name(), definition.parentLayerParameterName()
            for text in ("KIND", "nope"):
                values = {parent: layer.id(), name: text}
                given = Given(algorithm, values, context, Feedback(), tmp_path)
                if text == "KIND":
                    assert given.fields(name) == ["Kind"]
                    continue
                said = ""
                try:
                    given.fields(name)
                except QgsProcessingException as error:
                    said = str(error)  # its traceback would keep the context alive
                assert "l has no field “nope”; choose one of these: Kind, n" in said
    assert asked > 10
    QgsProject.instance().removeAllMapLayers()


@pytest.mark.parametrize(
    ("name", "given", "asked_for"),
    [
        ("evaluateresult", {"INPUT": "", "TRUTH": "", "CLASS_FIELD": "geometry"}, "class_field"),
        ("evaluateresult", {"INPUT": "", "TRUTH": "", "TRUTH_CLASS_FIELD": "geometry"},
         "truth_class_field"),
        ("exportlabels", {"LABELS": "", "CLASS_FIELD": "geometry"}, "class_field"),
        ("exportlabels", {"LABELS": "", "CROWD_FIELD": "geometry"}, "crowd_field"),
        ("improvemodel", {"LABELS": "", "NAME": "m", "STATUS_FIELD": "geometry"}, "status_field"),
        ("improvemodel", {"LABELS": "", "NAME": "m", "CLASS_FIELD": "geometry"}, "class_field"),
    ],
)  # fmt: skip
def test_a_field_with_a_name_of_the_engines_own_is_called_as_in_the_file(
    provider, engine, town, tmp_path, monkeypatch, name, given, asked_for
):
    seen = []

    def spy(self, method, params, on_progress=None):
        seen.append(params)
        raise EngineRunError("Seen.")

    monkeypatch.setattr(EngineRun, "call", spy)
    layer = QgsVectorLayer("Polygon?crs=EPSG:4326&field=geometry:string", "l", "memory")
    feature = QgsFeature(layer.fields())
    triangle = "POLYGON((85.51 27.6,85.52 27.6,85.51 27.61,85.51 27.6))"
    feature.setGeometry(QgsGeometry.fromWkt(triangle))
    layer.dataProvider().addFeatures([feature])
    QgsProject.instance().addMapLayer(layer)
    values = {key: value or layer.id() for key, value in given.items()}
    where = {"FOLDER": str(tmp_path / "new"), "OUTPUT": "memory:", "INPUT": town}
    with pytest.raises(Refused, match=r"Seen\."):
        run(name, {**where, **values})
    assert seen[0][asked_for] == "geometry_2"
    QgsProject.instance().removeAllMapLayers()


def test_cancel_stops_within_a_tile_and_leaves_no_process(provider, engine, town):
    engine("tile=0.1")
    feedback = Feedback(cancel_at=5)
    results, *_ = run("segmentraster", {"INPUT": town, "OUTPUT": "memory:"}, feedback)
    assert not results, "no exception: QGIS would show its traceback"
    # A tile of the twenty is 3.85 percent: the one in work and the one that began meanwhile.
    assert feedback.steps[-1] < 20
    assert not below(os.getpid())


def test_a_crash_is_one_sentence(provider, engine, town):
    engine("crash=segment")
    with pytest.raises(Refused, match="ended with code 3"):
        run("segmentraster", {"INPUT": town, "OUTPUT": "memory:"})


def test_a_python_without_the_engine_is_said_with_the_way_out(qgis_app):
    command = EngineCommand(sys.executable, ("-m", "no_engine.worker"))
    said = "lacks the package no_engine: install samgeo-seamless there"
    with EngineRun(command, Feedback()) as engine, pytest.raises(EngineRunError, match=said):
        engine.call("statistics", {})


def test_silence_is_noticed(fake_command):
    from samgeo_plugin.engine.client import Patience

    run = EngineRun(fake_command("silent"), Feedback(), patience=Patience(silence=0.5, stop=0.5))
    with run as engine, pytest.raises(EngineRunError, match="stopped answering"):
        engine.call("statistics", {})


def test_metres_are_metres_in_every_crs(qgis_app):
    for code, units in (("EPSG:32645", 1.0), ("EPSG:2263", 3937 / 1200), ("EPSG:4326", 1 / 111195)):
        assert units_a_metre(QgsCoordinateReferenceSystem(code)) == pytest.approx(units, rel=1e-5)
    assert units_a_metre(QgsCoordinateReferenceSystem()) == 1.0


def test_metres_are_metres_on_the_ground(qgis_app):
    for code, x, y, units in (
        ("EPSG:3857", 1e6, 8399737.9, 2.0),  # 60 degrees north
        ("EPSG:32645", 500000.0, 3e6, 0.9996),
        ("EPSG:2263", 1e6, 2e5, 3937 / 1200),
        ("EPSG:3857", 1e6, 1e12, 1.0),  # no place on Earth
        ("", 1.0, 1.0, 1.0),
    ):
        found = units_a_metre(QgsCoordinateReferenceSystem(code), QgsPointXY(x, y))
        assert found == pytest.approx(units, rel=3e-3)


@pytest.mark.parametrize(
    ("name", "given", "asked_for"),
    [
        ("roadcenterlines", {"MIN_WIDTH": 2.0}, "min_width"),
        ("regularizeoutlines", {"SIMPLIFY": 2.0}, "simplify"),
    ],
)
def test_outlines_count_metres_on_the_ground_where_the_layer_lies(
    provider, engine, asked, name, given, asked_for
):
    layer = QgsVectorLayer("Polygon?crs=EPSG:3857", "l", "memory")
    feature = QgsFeature(layer.fields())
    square = "POLYGON((1e6 8399700,1.00001e6 8399700,1.00001e6 8399710,1e6 8399710,1e6 8399700))"
    feature.setGeometry(QgsGeometry.fromWkt(square))
    layer.dataProvider().addFeatures([feature])
    QgsProject.instance().addMapLayer(layer)
    engine("crash=regularize")
    with pytest.raises(Refused, match="ended with code 3"):
        run(name, {"INPUT": layer.id(), "OUTPUT": "memory:", **given})
    assert asked[asked_for] == pytest.approx(4.0, rel=3e-3)
    QgsProject.instance().removeAllMapLayers()


def test_the_progress_bar_never_goes_back(qgis_app):
    bar, steps = ProgressBar(), []
    for stage in ("stretch", "tiles", "merge", "overview", "merge", "repair", "polygons", "layer"):
        for done in (0, 1, 2):
            steps.append(bar.advance(Progress(1, stage, done, 2)))
    assert steps == sorted(steps)
    assert steps[-1] == ENGINE_PERCENT
    assert bar.advance(Progress(1, "of a newer engine", 0, 9)) == ENGINE_PERCENT
    assert stage_text("of a newer engine") == "of a newer engine"


def test_without_an_environment_the_algorithm_says_what_to_do(provider, monkeypatch, tmp_path):
    monkeypatch.delenv("SAMGEO_PYTHON", raising=False)
    monkeypatch.setenv("SAMGEO_ENVIRONMENT", str(tmp_path / "none"))
    algorithm = QgsApplication.processingRegistry().createAlgorithmById("samgeo:segmentraster")
    can, why = algorithm.canExecute()
    assert not can
    assert "set it up" in why


def test_in_a_model(provider, engine, town):
    model = QgsProcessingModelAlgorithm("town", "tests")
    model.addModelParameter(
        QgsProcessingParameterRasterLayer("raster", "raster"), QgsProcessingModelParameter("raster")
    )
    child = QgsProcessingModelChildAlgorithm("samgeo:segmentraster")
    child.setChildId("segment")
    child.addParameterSources(
        "INPUT", [QgsProcessingModelChildParameterSource.fromModelParameter("raster")]
    )
    output = QgsProcessingModelOutput("objects")
    output.setChildId("segment")
    output.setChildOutputName("OUTPUT")
    child.setModelOutputs({"objects": output})
    model.addChildAlgorithm(child)
    model.updateDestinationParameters()
    context = QgsProcessingContext()
    context.setProject(QgsProject.instance())
    names = [d.name() for d in model.destinationParameterDefinitions()]
    results, ok = model.run({"raster": town, names[0]: "memory:"}, context, Feedback())
    assert ok
    layer = QgsProcessingUtils.mapLayerFromString(results[names[0]], context)
    assert layer.featureCount() == 3


def test_the_same_job_has_the_same_folder_and_another_raster_another(tmp_path):
    raster = tmp_path / "a.tif"
    raster.write_text("one")
    params = {"rasters": [str(raster)], "model": "embedded", "output": "x", "min_area": 1.0}
    first = jobs.folder_for(params)
    assert jobs.folder_for({**params, "output": "y", "min_area": 5.0}) == first
    assert jobs.folder_for({**params, "save_classifier": "/tmp/of_this_run"}) == first
    assert jobs.folder_for({**params, "model": "other"}) != first
    raster.write_text("longer")
    assert jobs.folder_for(params) != first


def test_a_cancelled_run_with_examples_goes_on_with_the_same_files(
    provider, engine, town, monkeypatch
):
    """The engine goes on only in the same folder, with inputs of the same paths and times."""
    asked = []
    real = EngineRun.call

    def spy(self, method, params, on_progress=None):
        paths = [params["examples"], *params["unlike"], params["exemplars"], params["area"]]
        facts = [(path, Path(path).stat().st_mtime_ns) for path in paths]
        asked.append((params["job_folder"], facts))
        return real(self, method, params, on_progress)

    monkeypatch.setattr(EngineRun, "call", spy)
    layers = []
    for name in ("examples", "none", "exemplars", "area"):
        layer = QgsVectorLayer("Polygon?crs=EPSG:4326&field=class:string", name, "memory")
        for number in (0.0, 0.001):
            feature = QgsFeature(layer.fields())
            wkt = f"POLYGON((85.51 27.6, 85.52 27.6, {85.52 + number} 27.61, 85.51 27.6))"
            feature.setGeometry(QgsGeometry.fromWkt(wkt))
            feature.setAttributes(["roof" if number else None])
            layer.dataProvider().addFeatures([feature])
        layers.append(layer)
    QgsProject.instance().addMapLayers(layers)
    examples, none, exemplars, area = (layer.id() for layer in layers)
    given = {
        "INPUT": town, "OUTPUT": "memory:", "EXAMPLES": examples, "CLASS_FIELD": "class",
        "UNLIKE": none, "EXEMPLARS": exemplars, "EXEMPLAR_FIELD": "class", "AREA": area,
    }  # fmt: skip
    try:
        for _ in range(2):
            run("segmentraster", given, Feedback(cancel_at=5))
        assert asked[0] == asked[1]
        layers[0].dataProvider().changeAttributeValues({1: {0: "road"}})
        run("segmentraster", given, Feedback(cancel_at=5))
        assert asked[2][0] != asked[0][0]
        assert asked[2][1][1:] == asked[0][1][1:]
    finally:
        QgsProject.instance().removeAllMapLayers()


def test_inputs_of_a_job_are_forgotten_when_none_has_used_them_for_long(tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "root", lambda: tmp_path / "jobs")
    kept = []
    for name in ("used", "old"):
        file = tmp_path / f"{name}.gpkg"
        file.write_text(name)
        kept.append(jobs.keep(file, 20 * name))
        assert not file.exists()
    for path in kept:
        os.utime(str(path.parent), (1.0, 1.0))
    used = jobs.folders_in({"unlike": [str(kept[0])], "output": str(tmp_path / "x"), "scale": 1})
    assert used == [kept[0].parent]
    jobs.touch(used)
    jobs.forget(tmp_path / "jobs" / "another")
    assert [path.exists() for path in kept] == [True, False]
    os.utime(str(kept[0].parent), (1.0, 1.0))
    file = tmp_path / "next.gpkg"
    file.touch()
    assert jobs.keep(file, 20 * "n").exists()
    assert not kept[0].exists(), "not every algorithm has a job that it forgets"


def test_a_job_folder_that_an_engine_works_in_is_not_forgotten(tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "root", lambda: tmp_path)
    done, busy, old = tmp_path / "done", tmp_path / "busy", tmp_path / "old"
    for folder in (done, busy, old):
        (folder / "tiles").mkdir(parents=True)
        (folder / "job.json").write_text("{}")
    for folder in (busy, old):
        os.utime(str(folder), (1.0, 1.0))
    held = os.open(str(busy / "lock"), os.O_RDWR | os.O_CREAT)
    try:
        assert jobs._locked(held)
        os.utime(str(busy), (1.0, 1.0))
        jobs.forget(done)
        assert [path.name for path in tmp_path.iterdir()] == ["busy"]
        assert (busy / "tiles").is_dir()
    finally:
        os.close(held)
    jobs.forget(done)  # is gone; the old one is free now
    assert list(tmp_path.iterdir()) == []


def test_statistics_give_a_report(provider, engine, town, tmp_path):
    page = tmp_path / "report.html"
    results, _, _ = run("rasterstatistics", {"INPUT": town, "OUTPUT_HTML_FILE": str(page)})
    assert results["STRETCH"] == "[[0.0, 255.0]]"
    assert "<td>255</td>" in page.read_text()


def test_a_reports_folder_is_made_before_the_work(provider, engine, town, tmp_path):
    page = tmp_path / "new" / "folder" / "report.html"
    results, _, _ = run("rasterstatistics", {"INPUT": town, "OUTPUT_HTML_FILE": str(page)})
    assert results["OUTPUT_HTML_FILE"] == str(page)
    assert page.is_file()
    (tmp_path / "file").write_text("no folder")
    engine("crash=statistics")  # would be heard of, if the engine were asked
    with pytest.raises(Refused, match="choose another folder"):
        run(
            "rasterstatistics",
            {"INPUT": town, "OUTPUT_HTML_FILE": str(tmp_path / "file" / "report.html")},
        )


@pytest.mark.parametrize("name", ["objects.gpkg", "objects.shp", "table"])
def test_a_sink_is_made_whose_folder_is_not_there_and_one_that_cannot_be_is_refused_before_the_work(
    provider, engine, town, tmp_path, name
):
    def sink(folder: Path) -> str:
        if name == "table":
            return f"ogr:dbname='{folder / 'objects.gpkg'}' table=\"roofs\" (geom)"
        return str(folder / name)

    new = tmp_path / "new" / "folder"
    results, context, _ = run("segmentraster", {"INPUT": town, "OUTPUT": sink(new)})
    assert layer_of(results, context).featureCount() == 3
    run("segmentraster", {"INPUT": town, "OUTPUT": sink(new)})  # in place of what is there
    (tmp_path / "file").write_text("no folder")
    prompts = str(tmp_path / "square.gpkg")
    _save_square(Path(prompts))
    engine("crash=segment")  # would be heard of, if the engine were asked
    for algorithm, given in (("segmentraster", {}), ("segmentfromprompts", {"PROMPTS": prompts})):
        for value in (
            sink(tmp_path / "file"),
            QgsProcessingOutputLayerDefinition(sink(tmp_path / "file"), QgsProject.instance()),
        ):
            with pytest.raises(Refused, match="choose another folder"):
                run(algorithm, {"INPUT": town, "OUTPUT": value, **given})


def test_a_result_that_cannot_be_replaced_is_found_before_the_work(
    provider, engine, town, tmp_path, monkeypatch
):
    def rename(old: str, new: str) -> None:
        raise PermissionError(13, "The process cannot access the file", old)

    (tmp_path / "objects.gpkg").write_bytes(b"open in another program")
    monkeypatch.setattr(os, "rename", rename)  # as on Windows
    engine("crash=segment")
    with pytest.raises(Refused, match=r"cannot access the file: '.*objects.gpkg'"):
        run("segmentraster", {"INPUT": town, "OUTPUT": str(tmp_path / "objects.gpkg")})


@pytest.mark.parametrize("opened", ["before", "during"])
def test_a_geopackage_that_is_open_is_not_replaced(
    provider, engine, town, tmp_path, monkeypatch, opened
):
    target = str(tmp_path / "objects.gpkg")
    run("segmentraster", {"INPUT": town, "OUTPUT": target})
    kept = []

    def edit_and_undo() -> None:
        layer = QgsVectorLayer(target, "objects", "ogr")
        kept.append(layer)
        layer.startEditing()
        layer.changeAttributeValue(1, layer.fields().lookupField("score"), 0.0)
        layer.rollBack()  # SQLite's log stays beside the file

    if opened == "before":
        edit_and_undo()
        engine("crash=segment")  # would be heard of, if the engine were asked
    else:
        real = EngineRun.call

        def meanwhile(self, method, params, on_progress=None):
            edit_and_undo()
            return real(self, method, params, on_progress)

        monkeypatch.setattr(EngineRun, "call", meanwhile)
    with pytest.raises(Refused, match=r"objects\.gpkg-wal beside it says"):
        run("segmentraster", {"INPUT": town, "OUTPUT": target})
    assert QgsVectorLayer(target, "again", "ogr").featureCount() == 3
    table = f"ogr:dbname='{target}' table=\"roofs\" (geom)"
    engine()
    run("segmentraster", {"INPUT": town, "OUTPUT": table})  # beside what is open
    os.remove(target)  # the log stays, and would be played into the new file
    for sink in (target, table):
        with pytest.raises(Refused, match=r"objects\.gpkg-wal is left of .* that is gone"):
            run("segmentraster", {"INPUT": town, "OUTPUT": sink})
    kept.clear()  # QGIS keeps a refusal's frames until after its end


_LEAVES_A_LOG = """
import os, sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA journal_mode = wal")
db.execute("CREATE TABLE notes AS SELECT 'of the user' AS note")
print(flush=True)
sys.stdin.read() and os._exit(1)
"""


@pytest.mark.parametrize("sink", ["file", "table"])
def test_a_log_that_nobody_uses_any_more_is_played_into_its_geopackage(
    provider, engine, town, tmp_path, monkeypatch, sink
):
    target = tmp_path / "objects.gpkg"
    run("segmentraster", {"INPUT": town, "OUTPUT": str(target)})
    table = f"ogr:dbname='{target}' table=\"roofs\" (geom)"
    wanted = {"INPUT": town, "OUTPUT": table if sink == "table" else str(target)}
    command = [sys.executable, "-c", _LEAVES_A_LOG, str(target)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        if sink == "file":
            with pytest.raises(Refused, match=r"objects\.gpkg-wal beside it says"):
                run("segmentraster", wanted)
        other.kill()
    assert (tmp_path / "objects.gpkg-wal").stat().st_size > 0
    played = []
    real = sinks.check_sink

    def look(given):
        real(given)
        with contextlib.closing(sqlite3.connect(target)) as db:
            played.append(db.execute("SELECT note FROM notes").fetchall())

    monkeypatch.setattr(base, "check_sink", look)  # before the work
    results, context, _ = run("segmentraster", wanted)
    assert played == [[("of the user",)]]
    assert layer_of(results, context).featureCount() == 3
    if sink == "table":
        with contextlib.closing(sqlite3.connect(target)) as db:
            assert db.execute("SELECT note FROM notes").fetchall() == [("of the user",)]


@pytest.mark.parametrize("sink", ["file", "table"])
def test_a_result_whose_geopackage_was_locked_during_the_work_is_kept_beside_it(
    provider, engine, town, tmp_path, monkeypatch, sink
):
    target = tmp_path / "objects.gpkg"
    run("segmentraster", {"INPUT": town, "OUTPUT": str(target)})
    prompts = tmp_path / "square.gpkg"
    _save_square(prompts)
    held = []
    real = EngineRun.call

    def meanwhile(self, method, params, on_progress=None):
        if not held:
            held.append(sqlite3.connect(target, isolation_level=None))
            if sink == "table":  # without a log beside it, as other programs read it
                held[0].execute("PRAGMA journal_mode = delete")
            held[0].executescript("BEGIN; SELECT count(*) FROM objects")
        return real(self, method, params, on_progress)

    monkeypatch.setattr(EngineRun, "call", meanwhile)
    table = f"ogr:dbname='{target}' table=\"roofs\" (geom)"
    given = {
        "INPUT": town,
        "PROMPTS": str(prompts),
        "OUTPUT": table if sink == "table" else str(target),
    }
    with pytest.raises(Refused, match=r"kept in .*objects_kept\.gpkg") as said:
        run("segmentfromprompts", given)
    held[0].close()
    assert ("-wal beside it" if sink == "file" else "Could not create layer") in str(said.value)
    # Without names: QGIS keeps a refusal's frames, with this one's variables, until after its end.
    assert _opened(tmp_path / "objects_kept.gpkg").featureCount() == 3
    assert "prompt_id" in _opened(tmp_path / "objects_kept.gpkg").fields().names()
    assert _opened(tmp_path / "objects_kept.gpkg").listStylesInDatabase()[0] == 1
    assert _opened(f"{target}|layername=objects").featureCount() == 3
    assert not _opened(f"{target}|layername=roofs").isValid()


def _opened(path) -> QgsVectorLayer:
    return QgsVectorLayer(str(path), "opened", "ogr")


@pytest.mark.parametrize("sink", ["objects.gpkg", "objects.geojson", "objects.shp", "table"])
@pytest.mark.parametrize("refused", ["second", "close"])
def test_of_a_sink_that_takes_not_all_features_nothing_stays(
    provider, engine, town, tmp_path, monkeypatch, gdal_exceptions, sink, refused
):
    class FillsUp:
        def __init__(self, real) -> None:
            self.real, self.taken = real, 0

        def addFeature(self, feature, flags):  # noqa: N802
            self.taken += 1
            if self.taken > 1:
                return refused == "close"
            return self.real.addFeature(feature, flags)

    def fills_up(self, *given):
        made, destination = real(self, *given)
        return FillsUp(made), destination

    target = tmp_path / ("objects.gpkg" if sink == "table" else sink)
    if sink == "table":
        run("segmentraster", {"INPUT": town, "OUTPUT": str(target)})
    real = SegmentRaster.parameterAsSink
    monkeypatch.setattr(SegmentRaster, "parameterAsSink", fills_up)
    monkeypatch.setattr(SegmentRaster, "writeFeatureError", lambda *_: "The disk is full.")
    table = f"ogr:dbname='{target}' table=\"roofs\" (geom)"
    why = "The disk is full" if refused == "second" else "did not take all"
    with pytest.raises(Refused, match=f"kept in .*: .*{why}") as said:
        run("segmentraster", {"INPUT": town, "OUTPUT": table if sink == "table" else str(target)})
    assert "stays there" not in str(said.value)
    if sink == "table":
        assert not _opened(f"{target}|layername=roofs").isValid()
        assert _opened(target).featureCount() == 3
    else:
        assert [path.name for path in tmp_path.glob("objects.*")] == []
    assert _opened(tmp_path / "objects_kept.gpkg").featureCount() == 3


def test_a_result_that_a_database_takes_in_part_is_kept_and_the_part_is_told_of(
    provider, engine, town, tmp_path, monkeypatch
):
    """As a server does that is full: each feature is taken, and fewer rows are there."""

    class Buffers:
        def addFeature(self, feature, flags):  # noqa: N802
            return True

    _save_square(tmp_path / "server.gpkg")  # plays the database, whose names begin with a provider
    sink = Buffers(), f"ogr://{tmp_path / 'server.gpkg'}"
    monkeypatch.setattr(SegmentRaster, "parameterAsSink", lambda *_: sink)
    monkeypatch.setattr(sinks, "new_path", lambda name: tmp_path / f"{name}.gpkg")
    table = "postgres://host=server table=objects"
    said = r"kept in .*segmentraster\.gpkg.* did not take all .*a part of the result stays there"
    with pytest.raises(Refused, match=said):
        run("segmentraster", {"INPUT": town, "OUTPUT": table})
    assert _opened(tmp_path / "segmentraster.gpkg").featureCount() == 3


@pytest.fixture
def small_drive(tmp_path):
    """A folder of its own and how to say how many kB it takes."""
    folder = tmp_path / "drive"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this machine lets tests mount no drive")

    def holds(kb: int) -> None:
        size = f"remount,size={kb}k"
        subprocess.run(["mount", "-o", size, str(folder)], check=True, capture_output=True)

    yield folder, holds
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("sink", ["objects.gpkg", "objects.shp", "objects.geojson", "table"])
def test_what_a_drive_that_fills_up_does_not_take_is_kept_elsewhere(
    provider, engine, town, tmp_path, monkeypatch, small_drive, gdal_exceptions, sink
):
    drive, holds = small_drive
    target = drive / ("objects.gpkg" if sink == "table" else sink)
    if sink == "table":
        run("segmentraster", {"INPUT": town, "OUTPUT": str(target)})
    holds(200 if sink == "table" else 400)
    monkeypatch.setattr(sinks, "new_path", lambda name: tmp_path / f"{name}.gpkg")

    def many(self, method, params, on_progress=None):
        shape = QgsGeometry.fromPointXY(QgsPointXY(85.5, 27.6)).buffer(0.001, 16).asJson()
        feature = f'{{"type": "Feature", "properties": {{"id": "a"}}, "geometry": {shape}}}'
        features = ", ".join([feature] * 1000)
        source = gdal.OpenEx(f'{{"type": "FeatureCollection", "features": [{features}]}}')
        gdal.VectorTranslate(params["output"], source, format="GPKG", layerName="objects")
        return {"output": params["output"], "layer": "objects", "features": 1000}

    monkeypatch.setattr(EngineRun, "call", many)
    table = f"ogr:dbname='{target}' table=\"roofs\" (geom)"
    with pytest.raises(Refused, match=r"kept in .*segmentraster\.gpkg") as said:
        run("segmentraster", {"INPUT": town, "OUTPUT": table if sink == "table" else str(target)})
    assert _opened(tmp_path / "segmentraster.gpkg").featureCount() == 1000
    left = [path.name for path in drive.iterdir() if "-" not in path.name]
    if sink == "table":
        assert _opened(f"{target}|layername=objects").featureCount() == 3
        is_left = _opened(f"{target}|layername=roofs").isValid()
        assert is_left == ("a part of the result stays there" in str(said.value))
    else:
        assert left == []


def test_a_result_is_kept_in_the_profile_where_the_project_s_folder_takes_no_files_either(
    provider, engine, town, tmp_path, monkeypatch
):
    folder = tmp_path / "drive"

    def new_path(name: str, in_profile: bool = False) -> Path:
        return tmp_path / "profile.gpkg" if in_profile else folder / f"{name}.gpkg"

    monkeypatch.setattr(sinks, "new_path", new_path)
    real = EngineRun.call

    def meanwhile(self, method, params, on_progress=None):
        folder.rmdir()
        folder.write_text("no folder any more")
        return real(self, method, params, on_progress)

    folder.mkdir()
    monkeypatch.setattr(EngineRun, "call", meanwhile)
    with pytest.raises(Refused, match=r"kept in .*profile\.gpkg"):
        run("segmentraster", {"INPUT": town, "OUTPUT": str(folder / "objects.gpkg")})
    assert _opened(tmp_path / "profile.gpkg").featureCount() == 3


@pytest.mark.parametrize("sink", ["gpkg", "shp", "geojson", "csv", "fgb", "sql"])
@pytest.mark.parametrize("shapes", ["none", "some"])
def test_whatever_a_format_makes_of_a_whole_result_it_is_no_failure(
    provider, engine, town, tmp_path, monkeypatch, gdal_exceptions, sink, shapes
):
    """Also one without features, and one of which a feature has no shape."""

    def few(self, method, params, on_progress=None):
        point = {"type": "Polygon", "coordinates": [[[85.5, 27.6], [85.6, 27.6], [85.6, 27.7]]]}
        point["coordinates"][0].append([85.5, 27.6])
        features = [
            {"type": "Feature", "properties": {"id": str(number)}, "geometry": point}
            for number in range(0 if shapes == "none" else 3)
        ]
        if shapes == "some":
            features[1]["geometry"] = None
        text = json.dumps({"type": "FeatureCollection", "features": features})
        gdal.VectorTranslate(
            params["output"], gdal.OpenEx(text), format="GPKG", layerName="objects"
        )
        return {"output": params["output"], "layer": "objects", "features": len(features)}

    monkeypatch.setattr(EngineRun, "call", few)
    target = tmp_path / f"objects.{sink}"
    asked = {"INPUT": town, "OUTPUT": str(target)}
    if sink == "fgb" and shapes == "some" and int(gdal.VersionInfo()) >= 3100000:
        # This one's FlatGeobuf takes no feature without a shape: then nothing is lost.
        with pytest.raises(Refused, match=r"kept in .*objects_kept\.gpkg"):
            run("segmentraster", asked)
        assert _opened(tmp_path / "objects_kept.gpkg").featureCount() == 3
        return
    run("segmentraster", asked)
    assert target.exists()
    assert not list(tmp_path.glob("*_kept*"))


@pytest.mark.parametrize("refused", ["layer", "table"])
def test_of_a_track_the_layer_and_the_table_do_not_wait_for_one_another(
    provider, engine, town, tmp_path, monkeypatch, refused
):
    def call(self, method, params, on_progress=None):
        tables = Path(params["output"]).with_suffix(".csv")
        tables.write_text("object,2009,2010\na,1,2\n")
        _save_square(Path(params["output"]))
        return {"output": params["output"], "dates": ["2009", "2010"], "tables": ["", str(tables)]}

    def write(given, layer):
        if refused == "layer":
            raise QgsProcessingException("The layer is locked.")
        written.append(layer)
        return ""

    written: list = []
    monkeypatch.setattr(EngineRun, "call", call)
    monkeypatch.setattr(base, "write", write)
    _save_square(tmp_path / "square.gpkg")
    for year in ("2009", "2010"):
        gdal.Translate(str(tmp_path / f"town_{year}.tif"), gdal.Open(town))
    areas, report = tmp_path / "areas.csv", tmp_path / "report.html"
    if refused == "table":
        areas.mkdir()
    with pytest.raises(Refused, match="locked" if refused == "layer" else "could not be written"):
        run(
            "trackobjects",
            {
                "INPUT": str(tmp_path / "square.gpkg"),
                "RASTERS": [str(tmp_path / f"town_{year}.tif") for year in ("2009", "2010")],
                "OUTPUT": str(tmp_path / "tracks.gpkg"),
                "OUTPUT_TABLE": str(areas),
                "OUTPUT_HTML_FILE": str(report),
            },
        )
    if refused == "layer":
        assert areas.read_text() == "object,2009,2010\na,1,2\n"
        assert report.exists()
    else:
        assert len(written) == 1


def test_the_report_of_a_comparison_does_not_wait_for_its_layer(
    provider, engine, tmp_path, monkeypatch
):
    def write(given, layer):
        raise QgsProcessingException("The layer is locked.")

    monkeypatch.setattr(EngineRun, "call", lambda *_: {"relaxed": []})
    monkeypatch.setattr(base, "write", write)
    _save_square(tmp_path / "square.gpkg")
    square, report = str(tmp_path / "square.gpkg"), tmp_path / "report.html"
    given = {"INPUT": square, "TRUTH": square, "OUTPUT": "memory:", "OUTPUT_HTML_FILE": str(report)}
    with pytest.raises(Refused, match="locked"):
        run("evaluateresult", given)
    assert report.exists()


def test_a_result_that_a_database_refuses_is_kept_beside_the_project(
    provider, engine, town, tmp_path, monkeypatch
):
    monkeypatch.setattr(sinks, "new_path", lambda name: tmp_path / f"{name}.gpkg")
    with pytest.raises(Refused, match=r"kept in .*segmentraster\.gpkg"):
        run("segmentraster", {"INPUT": town, "OUTPUT": "postgres://host=nowhere table=objects"})
    assert _opened(tmp_path / "segmentraster.gpkg").featureCount() == 3


def test_a_layer_that_is_written_into_the_place_of_another_has_its_own_style(
    provider, engine, town, tmp_path
):
    target = str(tmp_path / "objects.gpkg")
    table = f"ogr:dbname='{target}' table=\"objects\" (geom)"
    for outlines in ("contour", "centerlines"):
        run("segmentraster", {"INPUT": town, "OUTPUT": table, "OUTLINES": outlines})
    layer = QgsVectorLayer(f"{target}|layername=objects", "objects", "ogr")
    drawn = layer.renderer().dump()
    styles.apply(layer, "lines")
    assert layer.renderer().dump() == drawn


def test_a_layer_that_is_not_a_file_is_rendered_or_the_way_out_said(
    provider, engine, town, monkeypatch
):
    # A file plays its part: QGIS 3.22 crashes at its end once a tile layer was rendered offscreen.
    monkeypatch.setattr(rasters, "file_of", lambda layer: None)
    with pytest.raises(Refused, match="extent and a resolution"):
        run("segmentraster", {"INPUT": town, "OUTPUT": "memory:"})
    for name in ("encoderaster", "rasterstatistics"):  # which take no resolution
        with pytest.raises(Refused, match="save what you need of it as a file first"):
            run(name, {"INPUT": town})
    asked = {}
    real = EngineRun.call

    def spy(self, method, params, on_progress=None):
        asked.update(params)
        file = gdal.Open(params["rasters"][0])
        asked["size"] = (file.RasterXSize, file.RasterYSize, file.RasterCount)
        return real(self, method, params, on_progress)

    monkeypatch.setattr(EngineRun, "call", spy)
    results, context, _ = run(
        "segmentraster",
        {"INPUT": town, "OUTPUT": "memory:", "RESOLUTION": 0.0005,
         "EXTENT": "85.51,85.53,27.59,27.61 [EPSG:4326]"},
    )  # fmt: skip
    assert layer_of(results, context).featureCount() == 3
    assert asked["size"] == (40, 40, 4)
    assert asked["resolution"] is None
    monkeypatch.setattr(rendering.settings.RENDER_LIMIT.__class__, "get", lambda self: 16)
    with pytest.raises(Refused, match="limit of 16"):
        run(
            "segmentraster",
            {"INPUT": town, "OUTPUT": "memory:", "RESOLUTION": 0.0005,
             "EXTENT": "85.51,85.53,27.59,27.61 [EPSG:4326]"},
        )  # fmt: skip


def test_a_cancelled_job_of_a_rendered_layer_goes_on_in_the_next_run(
    provider, engine, town, monkeypatch
):
    monkeypatch.setattr(rasters, "file_of", lambda layer: None)
    calls: list[tuple[str, str, bool]] = []
    real, cancels = EngineRun.call, [True, False]

    def spy(self, method, params, on_progress=None):
        path = Path(params["rasters"][0])
        calls.append((str(path), params["job_folder"], path.exists()))
        if cancels.pop(0):
            raise EngineRunError("Cancelled.", "Cancelled")
        return real(self, method, params, on_progress)

    monkeypatch.setattr(EngineRun, "call", spy)
    wanted = {"INPUT": town, "OUTPUT": "memory:", "RESOLUTION": 0.0005,
              "EXTENT": "85.51,85.53,27.59,27.61 [EPSG:4326]"}  # fmt: skip
    with pytest.raises(Refused, match="Cancelled"):
        run("segmentraster", wanted)
    results, context, _ = run("segmentraster", wanted)
    assert layer_of(results, context).featureCount() == 3
    assert calls[0] == calls[1]
    assert calls[0][2]
    assert not Path(calls[0][0]).parent.exists(), "the job is done"


def test_prompts_offer_outlines_of_polygons_only(provider):
    algorithm = provider.algorithm("segmentfromprompts")
    assert algorithm.choices["OUTLINES"] == ("contour", "rectangles")


def test_a_model_can_be_named_by_an_expression(provider, engine, town, asked):
    model = QgsProperty.fromExpression("'sam-' || 'vit-b'")
    run("segmentraster", {"INPUT": town, "OUTPUT": "memory:", "MODEL": model})
    assert asked["model"] == "sam-vit-b"


def test_a_choice_is_its_number_or_the_engines_word_and_a_model_any_name(provider, town):
    algorithm = provider.algorithm("segmentraster").create()
    context = QgsProcessingContext()
    base = {"INPUT": town, "OUTPUT": "memory:"}
    for mode, wanted in ((1, "flat"), ("1", "flat"), ("flat", "flat"), (0, "hierarchy")):
        well, why = algorithm.checkParameterValues({**base, "MODE": mode}, context)
        assert well, why
        assert algorithm.chosen({"MODE": mode}, "MODE", context) == wanted
    assert algorithm.chosen({}, "MODE", context) == "hierarchy"
    assert not algorithm.checkParameterValues({**base, "MODE": 7}, context)[0]
    assert not algorithm.checkParameterValues({**base, "MODE": "nonsense"}, context)[0]
    for model in ("embedded", "sam-vit-b", "/data/own.safetensors"):
        assert algorithm.checkParameterValues({**base, "MODEL": model}, context)[0]


def test_the_models_that_the_engine_listed_are_offered(provider, monkeypatch):
    from samgeo_plugin import settings

    settings.MODELS.set("embedded\nsam-vit-b")
    settings.MODEL.set("/data/own.safetensors")
    try:
        algorithm = provider.algorithm("segmentraster").create()
        offered = algorithm.parameterDefinition("MODEL").options()
        assert offered == ["embedded", "sam-vit-b", "/data/own.safetensors"]
    finally:
        settings.MODELS.clear()
        settings.MODEL.clear()


def test_a_warning_of_the_engine_comes_once_and_in_qgis_words(provider, engine, town, tmp_path):
    engine("warns")
    _save_square(tmp_path / "square.gpkg")
    prompts = str(tmp_path / "square.gpkg")
    _, _, feedback = run(
        "segmentfromprompts", {"INPUT": town, "PROMPTS": prompts, "OUTPUT": "memory:"}
    )
    said = "1 feature of “the layer of prompts” is left out: lower “Least score”."
    assert feedback.warnings == [said]
    assert "window 1" in feedback.textLog(), "what a stage says on its way is no warning"


def test_a_sentence_of_the_engine_names_no_temporary_file(provider, tmp_path):
    algorithm = provider.algorithm("segmentraster").create()
    folder, kept = tmp_path / "run", tmp_path / "kept"
    for place, name in ((folder, "prompts.gpkg"), (kept, "examples.gpkg"), (kept, "lock")):
        place.mkdir(exist_ok=True)
        (place / name).touch()
    for said, wanted in (
        ("{run}/prompts.gpkg holds no features.", "“the layer of prompts” holds no features."),
        ("The layer prompts.gpkg is empty.", "The layer “the layer of prompts” is empty."),
        ("See my-prompts.gpkg or a lock.", "See my-prompts.gpkg or a lock."),
        ("None in {run}/result.gpkg.job/features/7.arrow.", "None in “the result”."),
        ("{run} is full.", "“the temporary folder” is full."),
        ("{kept}/examples.gpkg: no class.", "“the examples”: no class."),
    ):
        sentence = said.format(run=folder, kept=kept)
        assert algorithm._in_qgis(sentence, folder, [kept]) == wanted


def test_texts_longer_than_their_field_declares_arehanded_over(qgis_app, tmp_path):
    made = QgsVectorLayer("Polygon?crs=EPSG:32645&field=use:string(5)", "p", "memory")
    feature = QgsFeature(made.fields())
    feature.setAttributes(["barn"])
    feature.setGeometry(QgsGeometry.fromWkt("POLYGON((0 0, 9 0, 9 9, 0 0))"))
    made.dataProvider().addFeature(feature)
    path = str(tmp_path / "p.gpkg")
    options = QgsVectorFileWriter.SaveVectorOptions()
    context = QgsProject.instance().transformContext()
    QgsVectorFileWriter.writeAsVectorFormatV3(made, path, context, options)
    file = gdal.OpenEx(path, gdal.OF_UPDATE)
    file.ExecuteSQL("UPDATE p SET use = 'warehouse'")  # which enforces no lengths
    del file
    layer = QgsVectorLayer(path, "p", "ogr")
    assert layer.startEditing()
    feature = QgsFeature(layer.fields())
    feature.setGeometry(QgsGeometry.fromWkt("POLYGON((0 0, 9 0, 9 9, 0 0))"))
    assert layer.addFeature(feature)
    layer.changeAttributeValue(feature.id(), 1, "longer too")
    given = Given(None, {}, QgsProcessingContext(), QgsProcessingFeedback(), tmp_path)
    path = given.vector_path(layer, "handed", ["use"])
    handed = QgsVectorLayer(f"{path}|layername=handed", "handed", "ogr")
    assert {each["use"] for each in handed.getFeatures()} == {"warehouse", "longer too"}
    layer.rollBack()


def test_values_that_only_a_database_knows_arehanded_over(qgis_app, tmp_path):
    layer = QgsVectorLayer(
        "Polygon?crs=EPSG:32645&field=nr:integer&field=code:string(3)", "p", "memory"
    )
    feature = QgsFeature(layer.fields())
    feature.setAttributes([1, "ab"])
    feature.setGeometry(QgsGeometry.fromWkt("POLYGON((0 0, 9 0, 9 9, 0 0))"))
    layer.dataProvider().addFeature(feature)
    assert layer.startEditing()
    feature.setAttributes([None, None])  # not saved yet: clauses, as databases have them
    assert layer.addFeature(feature)
    layer.changeAttributeValue(feature.id(), 0, "nextval('p_nr_seq'::regclass)")
    layer.changeAttributeValue(feature.id(), 1, "'ab'::bpchar")
    given = Given(None, {}, QgsProcessingContext(), QgsProcessingFeedback(), tmp_path)
    path = given.vector_path(layer, "p", layer.fields().names())
    handed = QgsVectorLayer(f"{path}|layername=p", "handed", "ogr")
    rows = {tuple(f[n] or None for n in ("nr", "code")) for f in handed.getFeatures()}
    assert rows == {(1, "ab"), (None, "ab")}
    layer.rollBack()
    tags = QgsField("tags", field_types.NESTED[0])  # no format of a test's has such a field
    assert handed_over(tags, {"floors": 2}) == '{"floors": 2}'
