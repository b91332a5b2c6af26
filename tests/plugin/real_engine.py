# SPDX-License-Identifier: GPL-2.0-or-later
"""What tests with the real engine share: where it is, and ``qgis_process`` without a display."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYTHON = os.environ.get("SAMGEO_PYTHON", "")
SAMPLES = ROOT / "sample_data"
GIVEN = os.environ.get("SAMGEO_SHARED_DATA")
PLACES = [Path(GIVEN)] if GIVEN else [parent / "shared" / "data" for parent in ROOT.parents]
BANEPA = next((p for p in PLACES if p.is_dir()), PLACES[0]) / "eval" / "buildings_banepa"
MOSAIC = BANEPA / "mosaic_train_4326.tif"

needs_engine = pytest.mark.skipif(
    not PYTHON, reason="SAMGEO_PYTHON names no Python with the engine"
)
needs_data = pytest.mark.skipif(
    not BANEPA.is_dir(), reason="needs ../shared/data (or SAMGEO_SHARED_DATA)"
)
needs_window = pytest.mark.skipif(
    not (shutil.which("qgis") and shutil.which("Xvfb")), reason="needs qgis and Xvfb"
)

# Debian's wrapper hands it an option that it does not know; the program itself is beside it.
QGIS_PROCESS = shutil.which("qgis_process.bin") or shutil.which("qgis_process") or "qgis_process"


def qgis_process(profile: Path, *arguments: str) -> subprocess.Popen:
    """Start it in a profile, without a display."""
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


def run(profile: Path, algorithm: str, **parameters: object) -> str:
    """Run an algorithm (or a model's file) to its end; what it said."""
    name = algorithm if Path(algorithm).exists() else f"samgeo:{algorithm}"
    words = [f"{key}={value}" for key, value in parameters.items()]
    process = qgis_process(profile, "run", name, "--", *words)
    output, _ = process.communicate(timeout=280)
    assert process.returncode == 0, output
    return output
