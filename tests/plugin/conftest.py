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
    from samgeo_plugin.engine_process import EngineCommand

    def make(words: str = "") -> EngineCommand:
        return EngineCommand(sys.executable, (str(FAKE),), {"FAKE_WORKER": words})

    return make


@pytest.fixture
def client(qgis_app, fake_command):
    """Make clients of fake workers; every process is gone at the end."""
    from samgeo_plugin.engine_client import EngineClient, Patience

    made = []

    def make(words: str = "", **patience: float) -> EngineClient:
        client = EngineClient(lambda: fake_command(words), patience=Patience(**patience))
        made.append(client)
        return client

    yield make
    for one in made:
        one.stop_and_wait(1.0)


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


@pytest.fixture(scope="session")
def package(tmp_path_factory):
    """The zip, built by the engine's Python as ``make package`` does."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [
            os.environ["SAMGEO_PYTHON"],
            str(ROOT / "scripts" / "package.py"),
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
