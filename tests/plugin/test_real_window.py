# SPDX-License-Identifier: GPL-2.0-or-later
"""A real QGIS window under Xvfb with the built package and the real engine.

How long the main thread is held up is told by ``benchmarks/main_thread.py``. Here it must only not
be held up longer than QGIS itself does, on whatever machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from real_engine import ROOT, needs_data, needs_engine, needs_window

pytestmark = [needs_engine, needs_data, needs_window]


def most_work(report: dict) -> float:
    """Milliseconds of the main thread's own work that a part may take at once: 50, or on a slow
    machine twice what QGIS needs at most to open and draw the raster in the same run."""
    return max(50, 2 * report["work_ms"]["load"])


def longest_work(report: dict) -> float:
    return max(ms for part, ms in report["work_ms"].items() if part not in ("load", "picture"))


@pytest.mark.timeout(700)
def test_a_persons_first_ten_minutes_in_a_real_window(package, tmp_path):
    pictures = Path(os.environ.get("SAMGEO_SCREENSHOTS", tmp_path / "pictures"))
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "gui" / "screenshots.py"), "--zip", str(package),
         "--out", str(pictures), "--timeout", "600"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((pictures / "report.json").read_text())
    assert report["ok"]
    assert longest_work(report) < most_work(report), report["work_ms"]
    assert all(iou > 0.5 for iou in report["iou"]), report["iou"]


@pytest.mark.timeout(200)
def test_a_first_start_without_an_environment_shows_the_offer(package, tmp_path):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SAMGEO_PYTHON")}
    environment["SAMGEO_ENVIRONMENT"] = str(tmp_path / "none")
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "gui" / "screenshots.py"), "--zip", str(package),
         "--out", str(tmp_path / "pictures"), "--timeout", "150",
         "--script", str(ROOT / "tests" / "gui" / "qgis_first_start.py")],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "475 MB" in done.stdout


@pytest.mark.timeout(300)
def test_a_job_killed_cancelled_or_left_running_takes_nothing_along(package, tmp_path):
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "gui" / "screenshots.py"), "--zip", str(package),
         "--out", str(tmp_path / "pictures"), "--timeout", "240",
         "--script", str(ROOT / "tests" / "gui" / "qgis_jobs.py")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Processes left behind: none" in done.stdout
    report = json.loads((tmp_path / "pictures" / "report.json").read_text())
    assert longest_work(report) < most_work(report), report["work_ms"]
    made = [path.stem for path in (tmp_path / "pictures").glob("*.gpkg")]
    assert made == ["regular"], "no output of the others, not even half of one"
