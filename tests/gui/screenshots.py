# SPDX-License-Identifier: GPL-2.0-or-later
"""Drive a real QGIS window under Xvfb with the built package in a fresh profile.

    python3 tests/gui/screenshots.py --out FOLDER [--zip FILE] [--raster FILE] [--truth FILE]

The engine's Python is named by SAMGEO_PYTHON (and SAMGEO_PYTHONPATH in development). Needs qgis,
xvfb and a window manager (openbox). Prints the steps, the IoU with the footprints and, for each
part, the longest stall of the main thread; exits with 1 where a step failed or a process was left
behind.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from pauses import Watch
from processes import below, left_of

ROOT = Path(__file__).resolve().parents[2]
GIVEN = os.environ.get("SAMGEO_SHARED_DATA")
PLACES = [Path(GIVEN)] if GIVEN else [parent / "shared" / "data" for parent in ROOT.parents]
SHARED = next((place for place in PLACES if place.is_dir()), PLACES[0])
BANEPA = SHARED / "eval" / "buildings_banepa"
IN_DOCS = {"click": "qgis_click", "box": "qgis_box", "right_angles": "qgis_refined"}
"""Pictures of the session by their names, and what docs/qgis.md calls them."""


def install(package: Path, profiles: Path, locale: str = "en_US", dark: bool = False) -> None:
    """A fresh profile with the plugin from the zip, switched on; nothing pops up at start."""
    profile = profiles / "profiles" / "default"
    plugins = profile / "python" / "plugins"
    plugins.mkdir(parents=True)
    with zipfile.ZipFile(package) as archive:
        archive.extractall(plugins)
    ini = profile / "QGIS"
    ini.mkdir(parents=True)
    (ini / "QGIS3.ini").write_text(
        "[PythonPlugins]\nsamgeo_seamless=true\nprocessing=true\n"
        "[qgis]\ncheckVersion=false\nshowTips=false\nenableMacros=Never\n"
        "[app]\nfirstRunVersionFlag=99999\n"
        "[Qgis]\nnewsFeedEnabled=false\n"
        "[core]\nNewsFeed\\httpsfeedqgisorg\\disabled=true\n"
        "[app]\nprojections\\unknownCrsBehavior=NoAction\nsplash=false\n"
        + ("[UI]\nUITheme=Night Mapping\n" if dark else "")
        + f"[locale]\noverrideFlag=true\nuserLocale={locale}\n",
        encoding="utf-8",
    )


def slow_engine(folder: Path, seconds: float) -> dict[str, str]:
    """Variables that put ``slow_engine.py`` before the engine's Python."""
    stand_in = folder / "slow-python"
    stand_in.write_text(
        f'#!/bin/sh\nexec {sys.executable} {ROOT / "tests" / "gui" / "slow_engine.py"} "$@"\n'
    )
    stand_in.chmod(0o755)
    return {
        "SAMGEO_SLOW": str(seconds),
        "SAMGEO_SLOW_PYTHON": os.environ["SAMGEO_PYTHON"],
        "SAMGEO_PYTHON": str(stand_in),
    }


def display(number: int, scale: int = 1) -> list[subprocess.Popen[bytes]]:
    """An X server with a window manager."""
    screen = f"{1440 * scale}x{900 * scale}x24"
    server = subprocess.Popen(
        ["Xvfb", f":{number}", "-screen", "0", screen, "-nolisten", "tcp"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    time.sleep(1.5)
    running = [server]
    if shutil.which("openbox"):
        running.append(
            subprocess.Popen(
                ["openbox"], env={**os.environ, "DISPLAY": f":{number}"},
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )
        )  # fmt: skip
    return running


def run(options: argparse.Namespace, profiles: Path) -> int:
    install(options.zip, profiles, options.locale, options.dark)
    options.out.mkdir(parents=True, exist_ok=True)
    for old in (
        *options.out.glob("*.png"),
        *options.out.glob("*.gpkg*"),
        options.out / "report.json",
    ):
        old.unlink(missing_ok=True)
    number = 90 + os.getpid() % 400
    servers = display(number, options.scale)
    watch = Watch()
    environment = {name: v for name, v in os.environ.items() if name != "QT_QPA_PLATFORM"}
    environment.update(
        DISPLAY=f":{number}",
        SAMGEO_SESSION_OUT=str(options.out.resolve()),
        SAMGEO_SESSION_RASTER=str(options.raster.resolve()),
        SAMGEO_SESSION_TRUTH=str(options.truth.resolve()),
        # QGIS's embedded Python finds its library by the first python3 there.
        PATH=f"/usr/bin:{os.environ.get('PATH', '/bin')}",
        PYTHONDONTWRITEBYTECODE="1",
        PYTHONPATH=str(ROOT / "tests" / "gui"),
        XDG_RUNTIME_DIR=str(profiles),
        QT_SCALE_FACTOR=str(options.scale),
    )
    if options.slow:
        environment.update(slow_engine(profiles, options.slow))
    log = options.out / "qgis.log"
    try:
        with log.open("wb") as output:
            qgis = subprocess.Popen(
                ["qgis", "--profiles-path", str(profiles), "--nologo", "--noversioncheck",
                 "--code", str(options.script)],
                env=environment, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip
            seen: set[int] = set()
            end = time.monotonic() + options.timeout
            while qgis.poll() is None and time.monotonic() < end:
                seen |= below(qgis.pid)
                time.sleep(0.2)
            if qgis.poll() is None and shutil.which("import"):
                subprocess.run(
                    ["import", "-display", f":{number}", "-window", "root",
                     str(options.out / "timeout.png")],
                    check=False,
                )  # fmt: skip
            qgis.kill()
        left = left_of(seen, 1.0)
    finally:
        for server in reversed(servers):
            server.terminate()
            server.wait()
        watch.stop()
    report_file = options.out / "report.json"
    if not report_file.is_file():
        print(f"QGIS ended with {qgis.returncode} before the session did; see {log}.")
        return 1
    report = json.loads(report_file.read_text())
    for step in report["steps"]:
        facts = {name: value for name, value in step.items() if name != "step"}
        print("-", step["step"], facts or "")
    print("IoU with the footprints:", report.get("iou"))
    print_stalls(report, watch)
    print("Processes left behind:", left or "none", "| QGIS's exit code:", qgis.returncode)
    if report.get("error"):
        print(report["error"])
    if report["ok"] and options.docs:
        for name, page in IN_DOCS.items():
            (picture,) = options.out.glob(f"[0-9][0-9]_{name}.png")
            shutil.copy(picture, options.docs / f"{page}.png")
    return 0 if report["ok"] and not left else 1


def print_stalls(report: dict, watch: Watch) -> None:
    """A line for each part; a pause of the machine within a stall is no fault of QGIS's."""
    print(f"{'Main thread, ms':18}{'longest stall':>14}{'CPU paused then':>17}{'own work':>10}")
    for part, (begin, end) in report.get("stalls_at", {}).items():
        paused = watch.longest(begin, end)
        known = "unknown" if paused is None else f"{paused:.0f}"
        stall, work = report["stalls_ms"][part], report["work_ms"][part]
        print(f"{part:18}{stall:14}{known:>17}{work:10}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for pictures and report")
    parser.add_argument("--zip", type=Path, help="the package; the newest in dist/ if left out")
    parser.add_argument("--raster", type=Path, default=BANEPA / "mosaic_train_4326.tif")
    parser.add_argument("--truth", type=Path, default=BANEPA / "footprints_utm45n.gpkg")
    parser.add_argument("--script", type=Path, default=ROOT / "tests" / "gui" / "qgis_session.py")
    parser.add_argument(
        "--slow", type=float, default=0.0, help="seconds that each of the engine's answers takes"
    )
    parser.add_argument("--locale", default="en_US", help="language of the window, as de_DE")
    parser.add_argument("--scale", type=int, default=1, help="2 for a screen of twice the density")
    parser.add_argument("--dark", action="store_true", help="QGIS's dark theme")
    parser.add_argument("--docs", type=Path, help="folder that the pictures of docs/qgis.md go to")
    parser.add_argument("--timeout", type=float, default=420.0, help="seconds")
    options = parser.parse_args()
    if options.zip is None:
        options.zip = max((ROOT / "dist").glob("*.zip"), key=lambda path: path.stat().st_mtime)
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(run(options, Path(folder)))


if __name__ == "__main__":
    main()
