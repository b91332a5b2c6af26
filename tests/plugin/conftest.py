# SPDX-License-Identifier: GPL-2.0-or-later
"""Plugin tests run in QGIS's own Python; where it is missing, they are skipped with that reason."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

try:
    import qgis.core  # noqa: F401
except ImportError:
    collect_ignore_glob = ["test_*.py"]


FAKE = ROOT / "tests" / "plugin" / "fake_worker.py"


@pytest.fixture
def fake_command():
    """Make an EngineCommand for the fake worker with the given words."""
    from samgeo_plugin.engine.process import EngineCommand

    def make(words: str = "") -> EngineCommand:
        return EngineCommand(sys.executable, (str(FAKE),), {"FAKE_WORKER": words})

    return make


@pytest.fixture
def client(qgis_app, fake_command):
    """Make clients of fake workers; every process is gone at the end."""
    from samgeo_plugin.engine.client import EngineClient, Patience

    made = []

    def make(words: str = "", **patience: float) -> EngineClient:
        client = EngineClient(lambda: fake_command(words), patience=Patience(**patience))
        made.append(client)
        return client

    yield make
    for one in made:
        one.stop_and_wait(1.0)


@pytest.fixture
def asked(monkeypatch, qgis_app):
    """What the engine was asked for last by an algorithm."""
    from samgeo_plugin.processing.engine_run import EngineRun

    params: dict = {}
    real = EngineRun.call

    def spy(self, method, given, on_progress=None):
        params.clear()
        params.update(given)
        return real(self, method, given, on_progress)

    monkeypatch.setattr(EngineRun, "call", spy)
    return params


@pytest.fixture(params=["errors", "exceptions"])
def gdal_exceptions(request):
    """GDAL with and without exceptions, which any other plugin may have told it to raise."""
    from osgeo import gdal

    (gdal.UseExceptions if request.param == "exceptions" else gdal.DontUseExceptions)()
    return request.param == "exceptions"


@pytest.fixture(autouse=True)
def gdal_as_before():
    """No test changes for the next one whether GDAL raises exceptions."""
    try:
        from osgeo import gdal
    except ImportError:
        yield
        return
    before = gdal.GetUseExceptions()
    yield
    (gdal.UseExceptions if before else gdal.DontUseExceptions)()


@pytest.fixture
def wait(qgis_app):
    """Run the event loop until something holds."""
    import time

    from qgis.PyQt.QtTest import QTest

    def wait_until(condition, seconds: float = 10.0) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "it did not happen in time"
            QTest.qWait(5)

    return wait_until


@pytest.fixture
def features_read(monkeypatch, qgis_app) -> list:
    """Features that the plugin reads from layers and their files, one by one."""
    from qgis.core import QgsFeatureIterator

    read: list = []
    read_next = QgsFeatureIterator.__next__

    def counted(iterator):
        read.append(read_next(iterator))
        return read[-1]

    monkeypatch.setattr(QgsFeatureIterator, "__next__", counted)
    return read


def small_raster(path: Path, bands: int):
    """A new GeoTIFF of 60 x 40 pixels of 0.5 m, all 0, open for writing."""
    from osgeo import gdal, osr

    file = gdal.GetDriverByName("GTiff").Create(str(path), 60, 40, bands, gdal.GDT_Byte)
    file.SetGeoTransform([300000, 0.5, 0, 3000020, 0, -0.5])
    reference = osr.SpatialReference()
    reference.ImportFromEPSG(32645)
    file.SetProjection(reference.ExportToWkt())
    return file


@pytest.fixture
def transaction_groups(qgis_app):
    """QGIS's automatic transaction groups: one connection for all readers of an edited layer."""
    from qgis.core import Qgis, QgsProject

    project = QgsProject.instance()
    if hasattr(project, "setTransactionMode"):  # since QGIS 3.26
        project.setTransactionMode(Qgis.TransactionMode.AutomaticGroups)
    else:
        project.setAutoTransaction(True)
    yield
    for layer in project.mapLayers().values():
        if hasattr(layer, "rollBack"):
            layer.rollBack()
    project.clear()  # of layers, and of the mode


@pytest.fixture
def town(tmp_path, qgis_app):
    """A raster of four bands in the project."""
    from qgis.core import QgsProject, QgsRasterLayer

    path = tmp_path / "town.tif"
    small_raster(path, 4)
    layer = QgsRasterLayer(str(path), "town")
    QgsProject.instance().addMapLayer(layer)
    yield layer
    QgsProject.instance().removeAllMapLayers()


@pytest.fixture
def town_file(tmp_path, qgis_app):
    """A raster of 60 x 40 pixels of 0.5 m whose red is the column and whose green is the row."""
    import numpy as np

    path = tmp_path / "größe 1.tif"
    file = small_raster(path, 3)
    rows, columns = np.mgrid[0:40, 0:60]
    for band, values in enumerate((columns * 4, rows * 6, columns * 0), start=1):
        file.GetRasterBand(band).WriteArray(values.astype(np.uint8))
    file = None
    return path


@pytest.fixture
def window(qgis_app):
    """A window with the plugin in it, and nothing set."""
    from qgis.core import QgsCoordinateReferenceSystem, QgsProject, QgsRectangle, QgsSettings
    from window import Iface

    from samgeo_plugin.plugin import SamGeoPlugin

    QgsSettings().remove("samgeo_seamless")
    QgsProject.instance().removeEntry("samgeo_seamless", "/")  # classes, words and runs
    iface = Iface()
    plugin = SamGeoPlugin(iface)
    plugin.initGui()
    iface.canvas.setDestinationCrs(QgsCoordinateReferenceSystem("EPSG:32645"))
    iface.canvas.setExtent(QgsRectangle(300000, 3000000, 300030, 3000020))
    yield plugin
    if plugin.controller is not None:
        plugin.unload()
    QgsProject.instance().removeAllMapLayers()


@pytest.fixture
def fake_engine(fake_command, monkeypatch):
    """An engine whose words can be set before its first use."""
    from samgeo_plugin.setup import environment

    words = {"text": ""}
    monkeypatch.setattr(environment, "engine_command", lambda: fake_command(words["text"]))
    monkeypatch.setattr(environment, "state", lambda: environment.OWN)
    return words


@pytest.fixture
def loaded(fake_engine, window):
    """The plugin in a window with the fake engine."""
    window.words = fake_engine
    return window


@pytest.fixture(scope="session")
def package(tmp_path_factory):
    """The zip, built by the engine's Python as ``make package`` does."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [
            os.environ["SAMGEO_PYTHON"],
            str(ROOT / "tools" / "package.py"),
            "--output",
            str(folder),
        ],
        check=True,
    )
    return next(folder.glob("*.zip"))


@pytest.fixture(scope="session")
def profile(package, tmp_path_factory):
    """A fresh profile with the plugin from the zip switched on, as qgis_process finds it."""
    home = tmp_path_factory.mktemp("home")
    place = home / "QGIS" / "QGIS3" / "profiles" / "default"
    plugins = place / "python" / "plugins"
    plugins.mkdir(parents=True)
    shutil.unpack_archive(str(package), str(plugins))
    (place / "QGIS").mkdir()
    (place / "QGIS" / "QGIS3.ini").write_text("[PythonPlugins]\nsamgeo_seamless=true\n")
    return home
