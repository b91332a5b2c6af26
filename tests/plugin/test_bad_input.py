# SPDX-License-Identifier: GPL-2.0-or-later
"""What users give by mistake, to the real engine and the real pip: one sentence with a way out."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from osgeo import gdal
from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsFeature,
    QgsGeometry,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProject,
    QgsRasterLayer,
    QgsRectangle,
    QgsVectorLayer,
)
from real_engine import SAMPLES, needs_engine

from samgeo_plugin.interactive import target
from samgeo_plugin.interactive.engine_session import View
from samgeo_plugin.interactive.opening import CLOSED, OPENING, READY
from samgeo_plugin.job import Prompt
from samgeo_plugin.setup import environment, setup_plan
from samgeo_plugin.setup.environment_job import EnvironmentJob
from samgeo_plugin.setup.setup_plan import PythonFacts

UTM = QgsCoordinateReferenceSystem("EPSG:32645")
MIDDLE = (351320.0, 3057420.0)


def corner(path: Path, *options: str) -> str:
    """A small part of the sample raster."""
    words = ["-projwin", "351300", "3057440", "351340", "3057400", *options]
    gdal.Translate(str(path), str(SAMPLES / "town.tif"), options=" ".join(words))
    return str(path)


def without_crs(folder: Path) -> str:
    path = folder / "plain.tif"
    gdal.Translate(str(path), corner(folder / "corner.tif"))
    file = gdal.Open(str(path), gdal.GA_Update)
    file.SetProjection("")
    file = None
    return str(path)


def use(plugin, path: str) -> QgsRasterLayer:
    layer = QgsRasterLayer(path, Path(path).stem)
    assert layer.isValid()
    QgsProject.instance().addMapLayer(layer)
    plugin.controller.choose(raster=layer.id(), bands=(1, 2, 3))
    return layer


def click(plugin, x: float = MIDDLE[0], y: float = MIDDLE[1]) -> None:
    plugin.controller.session.add(Prompt("point", [[x, y]]))


def is_one_sentence(text: str) -> bool:
    """One or two short sentences, without Python's or GDAL's own words."""
    words = ("Traceback", "Error:", "<class", "rasterio", "NoneType")
    return 20 < len(text) < 400 and not any(word in text for word in words)


@needs_engine
@pytest.mark.timeout(120)
def test_a_raster_that_goes_away_while_it_is_in_use(window, wait, tmp_path):
    path = corner(tmp_path / "corner.tif")
    use(window, path)
    os.rename(path, tmp_path / "moved.tif")
    assert not window.controller.open()
    assert "was moved or deleted" in window.iface.text()
    assert "repair" in window.iface.text()
    # The engine says the same where QGIS has not noticed.
    session = window.controller.session
    from samgeo_plugin.job import OpenParameters

    session.open(OpenParameters([path]))
    wait(lambda: session.state == CLOSED, 60)
    assert "corner.tif" in window.iface.text()
    assert is_one_sentence(window.iface.text()), window.iface.text()


@needs_engine
@pytest.mark.timeout(120)
def test_a_raster_without_a_crs_is_worked_on_in_its_own_units(window, wait, tmp_path):
    layer = use(window, without_crs(tmp_path))
    layer.setCrs(QgsCoordinateReferenceSystem())
    session = window.controller.session
    session.use_map(View(UTM, 0.25))
    assert window.controller.open()
    wait(lambda: session.state != OPENING, 60)
    assert session.state == READY, window.iface.text()
    # QGIS draws such a layer as it lies, whatever the project's CRS is.
    click(window)
    wait(lambda: not session.is_waiting, 60)
    said = window.iface.text()
    assert session.candidates or "finds no object" in said, said
    for candidate in session.candidates:
        assert candidate.geometry.boundingBox().intersects(layer.extent())


@needs_engine
@pytest.mark.timeout(120)
@pytest.mark.parametrize("declared", [None, "EPSG:32644"])
def test_a_raster_lies_where_its_layers_crs_says(window, wait, tmp_path, declared):
    """The file says no CRS, or a wrong one; the layer was given the right one."""
    path = corner(tmp_path / "wrong.tif", "-a_srs", declared) if declared else without_crs(tmp_path)
    use(window, path).setCrs(UTM)
    session = window.controller.session
    degrees = QgsCoordinateReferenceSystem("EPSG:4326")
    session.use_map(View(degrees, 0.25 / 111_195))
    assert window.controller.open()
    wait(lambda: session.state != OPENING, 60)
    assert session.state == READY, window.iface.text()
    move = QgsCoordinateTransform(UTM, degrees, QgsProject.instance())
    middle = move.transform(*MIDDLE)
    click(window, middle.x(), middle.y())
    wait(lambda: not session.is_waiting, 60)
    assert session.candidates, window.iface.text()
    ground = move.transformBoundingBox(QgsRectangle(351300, 3057400, 351340, 3057440))
    for candidate in session.candidates:
        assert candidate.geometry.boundingBox().intersects(ground)


@needs_engine
@pytest.mark.timeout(180)
@pytest.mark.parametrize("given", ["", "EPSG:32645"])
def test_a_raster_without_a_crs_in_processing(window, tmp_path, given):
    """It lies where QGIS shows it: in the project's plane, or in the CRS its layer was given."""
    project = QgsProject.instance()
    project.setCrs(UTM)
    layer = QgsRasterLayer(without_crs(tmp_path), "plain")
    layer.setCrs(QgsCoordinateReferenceSystem(given))
    project.addMapLayer(layer)
    degrees = QgsCoordinateReferenceSystem("EPSG:4326")
    asked = QgsRectangle(MIDDLE[0] - 10, MIDDLE[1] - 10, MIDDLE[0] + 10, MIDDLE[1] + 10)
    box = QgsCoordinateTransform(UTM, degrees, project).transformBoundingBox(asked)
    prompts = QgsVectorLayer("Point?crs=EPSG:4326&field=owner:string", "prompts", "memory")
    prompt = QgsFeature(prompts.fields())
    point = QgsGeometry.fromPointXY(box.center())
    prompt.setGeometry(point)
    prompt.setAttributes(["somebody"])
    area = QgsVectorLayer("Polygon?crs=EPSG:4326", "area", "memory")
    around = QgsFeature()
    around.setGeometry(QgsGeometry.fromRect(box))
    for each, feature in ((prompts, prompt), (area, around)):
        each.dataProvider().addFeatures([feature])
        project.addMapLayer(each)
    corners = f"{box.xMinimum()},{box.xMaximum()},{box.yMinimum()},{box.yMaximum()} [EPSG:4326]"
    few = {"POINTS_PER_SIDE": 6, "MIN_SCORE": 0.05, "MIN_STABILITY": 0.05}
    for name, extra in (
        ("segmentraster", {"EXTENT": corners, **few}),
        ("segmentraster", {"AREA": area.id(), **few}),
        ("segmentfromprompts", {"PROMPTS": prompts.id()}),
    ):
        output = str(tmp_path / f"{name}{len(extra)}.gpkg")
        said = refused({"INPUT": layer.id(), "OUTPUT": output, **extra}, name)
        assert not said
        result = QgsVectorLayer(output, "result", "ogr")
        assert result.featureCount()
        assert result.crs().authid() == given
        for feature in result.getFeatures():
            assert feature.geometry().boundingBox().intersects(asked), (name, extra)
            plain = feature.geometry().area()
            # A UTM's plane is larger or smaller than the ground; three decimals are written.
            near = pytest.approx(plain, rel=2e-3 if given else 0.0, abs=6e-4)
            assert feature["area_m2"] == near


@needs_engine
@pytest.mark.timeout(120)
@pytest.mark.parametrize("content", [b"", b"no weights at all", b"PK\x03\x04" + bytes(2000)])
def test_a_damaged_file_of_weights(window, wait, tmp_path, content):
    weights = tmp_path / "weights.pt"
    weights.write_bytes(content)
    use(window, corner(tmp_path / "corner.tif"))
    window.controller.choose(model=str(weights))
    assert window.controller.open()
    wait(lambda: window.controller.session.state == CLOSED, 60)
    said = window.iface.text()
    assert "weights.pt" in said
    assert is_one_sentence(said), said
    window.controller.choose(model="embedded")
    assert window.controller.open()
    wait(lambda: window.controller.session.state == READY, 60)


@needs_engine
@pytest.mark.timeout(120)
def test_an_area_of_interest_that_misses_the_raster(window, tmp_path):
    area = QgsVectorLayer("Polygon?crs=EPSG:4326", "somewhere", "memory")
    feature = QgsFeature()
    feature.setGeometry(QgsGeometry.fromWkt("POLYGON((10 50, 11 50, 11 51, 10 50))"))
    area.dataProvider().addFeatures([feature])
    QgsProject.instance().addMapLayer(area)
    raster = corner(tmp_path / "corner.tif")
    for name, extra in (
        ("AREA", {"AREA": area.id()}),
        ("EXTENT", {"EXTENT": "10,11,50,51 [EPSG:4326]"}),
        ("both", {"AREA": area.id(), "EXTENT": "351300,351340,3057400,3057440 [EPSG:32645]"}),
    ):
        said = refused({"INPUT": raster, "OUTPUT": str(tmp_path / "out.gpkg"), **extra})
        assert is_one_sentence(said), said
        assert ("not both" if name == "both" else "raster") in said
    assert not (tmp_path / "out.gpkg").exists()


@needs_engine
@pytest.mark.timeout(120)
def test_a_damaged_model_or_an_unwritable_place_in_processing(window, tmp_path):
    raster = corner(tmp_path / "corner.tif")
    (tmp_path / "weights.pt").write_bytes(b"no weights")
    parameters = {"INPUT": raster, "OUTPUT": "memory:", "MODEL": str(tmp_path / "weights.pt")}
    said = refused(parameters)
    assert "weights.pt" in said
    assert is_one_sentence(said), said
    said = refused({**parameters, "MODEL": "no-such-model"})
    assert "no-such-model" in said
    assert is_one_sentence(said), said


def refused(parameters: dict, name: str = "segmentraster") -> str:
    """What an algorithm says; nothing where it runs."""
    from qgis.core import QgsApplication

    algorithm = QgsApplication.processingRegistry().createAlgorithmById(f"samgeo:{name}")
    context = QgsProcessingContext()
    context.setProject(QgsProject.instance())
    try:
        algorithm.run(parameters, context, QgsProcessingFeedback(), {}, False)
    except QgsProcessingException as error:
        return str(error)
    return ""


@pytest.mark.parametrize("kind", ["read-only", "lines", "no CRS", "gone"])
def test_a_target_that_cannot_take_polygons(loaded, town, wait, tmp_path, kind):
    path = str(tmp_path / "target.gpkg")
    layer = target.new_geopackage_layer(path, "target", UTM)
    if kind == "lines":
        layer = QgsVectorLayer("LineString?crs=EPSG:32645", "target", "memory")
    QgsProject.instance().addMapLayer(layer)
    if kind in ("read-only", "gone"):
        assert loaded.controller.set_target(layer)
    if kind == "read-only":
        assert layer.setReadOnly(True)
    if kind == "gone":
        shutil.rmtree(tmp_path, ignore_errors=True)
        layer.setDataSource("nowhere.gpkg", "target", "ogr", layer.dataProvider().ProviderOptions())
    if kind == "no CRS":
        layer.setCrs(QgsCoordinateReferenceSystem())
    if kind in ("lines", "no CRS"):
        assert not loaded.controller.set_target(layer)
    else:
        controller = loaded.controller
        controller._write(accepted())
    said = loaded.iface.text()
    assert is_one_sentence(said), said
    assert "target" in said
    assert "choose" in said or "set one" in said


def accepted():
    from samgeo_plugin.interactive.candidates import Accepted

    square = QgsGeometry.fromWkt(
        "POLYGON((300000 3000000, 300010 3000000, 300010 3000010, 300000 3000000))"
    )
    return Accepted(square, square, UTM, {"id": "x", "score": 0.5})


def set_up(place: Path, wait, monkeypatch, **variables: str) -> tuple[bool, str, list[str]]:
    """Run the plugin's own plan with the real pip."""
    for name in [n for n in os.environ if n.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_RETRIES", "0")  # as in some people's pip.conf
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    python = PythonFacts(sys.executable, sys.version_info[:3], True)
    plan = setup_plan.make_plan(python, environment.CPU, place)
    job = EnvironmentJob(plan)
    lines: list[str] = []
    ended: list[tuple[bool, str]] = []
    job.output.connect(lines.append)
    job.finished.connect(lambda well, text: ended.append((well, text)))
    job.start()
    wait(lambda: ended, 100)
    return (*ended[0], lines)


@pytest.mark.timeout(120)
def test_pip_without_a_network(window, wait, monkeypatch, tmp_path):
    nowhere = "http://127.0.0.1:9/simple"
    well, said, lines = set_up(
        tmp_path / "environment", wait, monkeypatch,
        PIP_CONFIG_FILE=os.devnull, PIP_INDEX_URL=nowhere, SAMGEO_TORCH_INDEX=nowhere,
    )  # fmt: skip
    assert not well
    assert "cannot be reached" in said, "\n".join(lines)
    assert is_one_sentence(said), said
    assert lines, "the details are in the log"
    # A venv's pip may be new enough; torch is what nobody can have.
    done = environment.read_marker(tmp_path / "environment").done
    assert "venv" in done, "it can go on from there"
    assert "torch" not in done


@pytest.mark.timeout(120)
@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="mounts a small disk")
def test_no_room_for_the_environment(window, wait, monkeypatch, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)])
    if mounted.returncode:
        pytest.skip("this machine lets nobody mount a disk")
    try:
        place = disk / "environment"
        said = setup_plan.refuse_folder(place, setup_plan.sizes(environment.CPU))
        assert "MB free" in said
        assert is_one_sentence(said), said
        assert set_up(place, wait, monkeypatch)[:2] == (False, said)
        # And where the room goes away only later.
        monkeypatch.setattr(setup_plan, "refuse_folder", lambda folder, size: None)
        well, said, _ = set_up(place, wait, monkeypatch)
        assert not well
        assert "full" in said
        assert is_one_sentence(said), said
    finally:
        subprocess.run(["umount", str(disk)], check=True)
