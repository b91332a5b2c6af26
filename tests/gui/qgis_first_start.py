# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs inside QGIS (``qgis --code``): a first start without an environment shows the offer.

python3 tests/gui/screenshots.py --script tests/gui/qgis_first_start.py --out FOLDER
"""

from __future__ import annotations

import json
import os
import traceback
from pathlib import Path

from qgis.core import Qgis
from qgis.PyQt.QtCore import QTimer
from qgis.PyQt.QtTest import QTest
from qgis.PyQt.QtWidgets import QApplication, QPushButton
from qgis.utils import iface, plugins

OUT = Path(os.environ["SAMGEO_SESSION_OUT"])


def picture(name: str) -> None:
    QTest.qWait(400)
    QApplication.primaryScreen().grabWindow(0).save(str(OUT / f"{name}.png"))


def look() -> dict[str, object]:
    """What a new user sees, and what a click on the offer does."""
    plugin = plugins["samgeo_seamless"]
    iface.mainWindow().showMaximized()
    for _ in range(50):
        item = iface.messageBar().currentItem()
        if item is not None and "engine" in item.text():
            break
        QTest.qWait(100)
    else:
        return {"ok": False, "error": "no offer in the message bar"}
    level, offer = item.level(), item.text()
    picture("01_offer")
    item.findChild(QPushButton).click()
    widget = plugin._setup_dialog.environment
    for _ in range(100):
        if "MB" in widget.promise.text():
            break
        QTest.qWait(100)
    picture("02_setup")
    promise = widget.promise.text()
    steps = [{"step": "offer", "text": offer}, {"step": "promise", "text": promise}]
    fine = level == Qgis.MessageLevel.Info and "MB" in promise
    running = plugin.controller.client.pid or plugin.setup.running
    return {"ok": fine and not running, "steps": steps, "error": ""}


def main() -> None:
    try:
        report = look()
    except Exception:
        report = {"ok": False, "error": traceback.format_exc()}
    report = {"steps": [], "stalls_ms": {}, "work_ms": {}, **report}
    (OUT / "report.json").write_text(json.dumps(report))
    iface.actionExit().trigger()


QTimer.singleShot(1500, main)
