# SPDX-License-Identifier: GPL-2.0-or-later
"""Does the plugin hold up QGIS's window? Work of the main thread between two turns of its loop.

    python -m benchmarks.main_thread [--script qgis_jobs.py ...] [--runs 3]

Drives the scripts of ``tests/gui`` in a real QGIS window under Xvfb, with the newest package of
``dist/`` (``make package``). The reference is of the same run: the longest piece of work when QGIS
itself opens and draws the raster (part *load*). For each part the median over the runs is told, in
milliseconds of the thread's own processor time and as a ratio to the reference, and the longest
stall by the clock. The aim is 50 ms on a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

GUI = Path(__file__).parents[1] / "tests" / "gui"
REFERENCE = "load"
PICTURE = "picture"
"""The part in which a script photographs the screen."""


def drive(script: str, out: Path, python: str, timeout: float) -> dict[str, tuple[float, float]]:
    """Own work and longest stall, ms, of each part of one run."""
    done = subprocess.run(
        [python, str(GUI / "screenshots.py"), "--script", str(GUI / script), "--out", str(out),
         "--timeout", str(timeout)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"{script} failed:\n{done.stdout}{done.stderr}")
    report = json.loads((out / "report.json").read_text())
    stalls = report["stalls_ms"]
    return {part: (work, stalls.get(part, 0.0)) for part, work in report["work_ms"].items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--script", nargs="+", default=["qgis_session.py", "qgis_jobs.py"])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--python", default="/usr/bin/python3", help="that has QGIS's modules")
    parser.add_argument("--timeout", type=float, default=600.0, help="seconds of one run")
    options = parser.parse_args()
    for script in options.script:
        parts: dict[str, list[tuple[float, float]]] = defaultdict(list)
        for _ in range(options.runs):
            with tempfile.TemporaryDirectory() as folder:
                found = drive(script, Path(folder), options.python, options.timeout)
            for part, figures in found.items():
                parts[part].append(figures)
        reference = statistics.median(work for work, _ in parts[REFERENCE])
        print(f"{script}: {'own work, ms':>14}{'times load':>12}{'longest stall, ms':>20}")
        for part, figures in parts.items():
            if part != PICTURE:
                work = statistics.median(work for work, _ in figures)
                stall = max(stall for _, stall in figures)
                print(f"{part:24}{work:5.0f}{work / max(reference, 1):12.2f}{stall:20.0f}")


if __name__ == "__main__":
    main()
