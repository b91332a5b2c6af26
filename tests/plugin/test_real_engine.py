# SPDX-License-Identifier: GPL-2.0-or-later
"""With the real engine: ``qgis_process`` without a display, and a person's session in a window."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from qgis.core import QgsVectorLayer

ROOT = Path(__file__).resolve().parents[2]
PYTHON = os.environ.get("SAMGEO_PYTHON", "")
GIVEN = os.environ.get("SAMGEO_SHARED_DATA")
PLACES = [Path(GIVEN)] if GIVEN else [parent / "shared" / "data" for parent in ROOT.parents]
BANEPA = next((p for p in PLACES if p.is_dir()), PLACES[0]) / "eval" / "buildings_banepa"

pytestmark = [
    pytest.mark.skipif(not PYTHON, reason="SAMGEO_PYTHON names no Python with the engine"),
    pytest.mark.skipif(not BANEPA.is_dir(), reason="needs ../shared/data (or SAMGEO_SHARED_DATA)"),
]
# Debian's wrapper hands it an option that it does not know; the program itself is beside it.
QGIS_PROCESS = shutil.which("qgis_process.bin") or shutil.which("qgis_process") or "qgis_process"
WINDOW = "85.5206,85.5210,27.6316,27.6319 [EPSG:4326]"


@pytest.fixture(scope="session")
def package(tmp_path_factory):
    """The zip, built by the engine's Python as ``make package`` does."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [PYTHON, str(ROOT / "scripts" / "package.py"), "--output", str(folder)], check=True
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


def qgis_process(profile: Path, *arguments: str) -> subprocess.Popen:
    # The test session's own QGIS names another profile in its environment.
    dropped = ("DISPLAY", "PYTHON", "QGIS_")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(dropped)}
    environment.update(
        XDG_DATA_HOME=str(profile), XDG_CACHE_HOME=str(profile / "cache"),
        QT_QPA_PLATFORM="offscreen", PATH=f"/usr/bin:{os.environ['PATH']}",
    )  # fmt: skip
    return subprocess.Popen(
        [QGIS_PROCESS, *arguments], env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def run(profile: Path, algorithm: str, *arguments: str) -> str:
    process = qgis_process(profile, "run", f"samgeo:{algorithm}", "--", *arguments)
    output, _ = process.communicate(timeout=280)
    assert process.returncode == 0, output
    return output


def mosaic() -> str:
    return str(BANEPA / "mosaic_train_4326.tif")


@pytest.mark.timeout(300)
def test_a_raster_is_segmented_from_a_shell_without_a_display(profile, tmp_path):
    output = tmp_path / "objects.gpkg"
    # Thresholds of the test: the small model's own may change with every training.
    run(profile, "segmentraster", f"INPUT={mosaic()}", f"EXTENT={WINDOW}",
        "POINTS_PER_SIDE=12", "MIN_SCORE=0.1", "MIN_STABILITY=0.1",
        f"OUTPUT={output}")  # fmt: skip
    layer = QgsVectorLayer(str(output), "objects", "ogr")
    assert layer.featureCount() > 3
    assert layer.crs().authid() == "EPSG:4326"
    for feature in layer.getFeatures():
        assert feature.geometry().isGeosValid()
        assert feature["area_m2"] > 0
        assert feature["model"]


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
    run(profile, "segmentfromprompts", f"INPUT={mosaic()}", f"PROMPTS={prompts}", "PROMPT_AS=box",
        f"OUTPUT={output}")  # fmt: skip
    layer = QgsVectorLayer(str(output), "objects", "ogr")
    assert 3 <= layer.featureCount() <= 5
    owners = {feature["owner"] for feature in layer.getFeatures()}
    assert owners <= {feature["properties"]["owner"] for feature in features}
    assert len(owners) == layer.featureCount(), "one polygon a prompt"


@pytest.mark.timeout(300)
def test_an_interrupted_run_leaves_no_engine(profile, tmp_path):
    process = qgis_process(
        profile, "run", "samgeo:segmentraster", "--", f"INPUT={mosaic()}",
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
    end = time.monotonic() + 20  # the protocol allows five seconds, this machine may be crowded
    while any(alive(pid) for pid in engine) and time.monotonic() < end:
        time.sleep(0.2)
    assert not [pid for pid in engine if alive(pid)]


@pytest.mark.skipif(
    not (shutil.which("qgis") and shutil.which("Xvfb")), reason="needs qgis and Xvfb"
)
@pytest.mark.timeout(700)
def test_a_persons_first_ten_minutes_in_a_real_window(package, tmp_path):
    pictures = Path(os.environ.get("SAMGEO_SCREENSHOTS", tmp_path / "pictures"))
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "screenshots.py"), "--zip", str(package),
         "--out", str(pictures), "--timeout", "600"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((pictures / "report.json").read_text())
    assert report["ok"]
    # The thread's own work, so that a crowded machine does not fail the test; QGIS itself opens and
    # draws the mosaic in "load". The longest stalls by the clock are in the report too.
    work = {part: ms for part, ms in report["work_ms"].items() if part not in ("load", "picture")}
    assert max(work.values()) < 50, work
    assert all(iou > 0.5 for iou in report["iou"]), report["iou"]


@pytest.mark.skipif(
    not (shutil.which("qgis") and shutil.which("Xvfb")), reason="needs qgis and Xvfb"
)
@pytest.mark.timeout(200)
def test_a_first_start_without_an_environment_shows_the_offer(package, tmp_path):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SAMGEO_PYTHON")}
    environment["SAMGEO_ENVIRONMENT"] = str(tmp_path / "none")
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "screenshots.py"), "--zip", str(package),
         "--out", str(tmp_path / "pictures"), "--timeout", "150",
         "--script", str(ROOT / "scripts" / "qgis_first_start.py")],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "450 MB" in done.stdout


def below(pid: int) -> set[int]:
    """Every process below this one."""
    found: set[int] = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == pid:
                found |= {int(folder.name)} | below(int(folder.name))
    return found


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
