# SPDX-License-Identifier: GPL-2.0-or-later
"""A report for bug reports: versions, device, folders, last error; without secrets."""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from typing import Optional

from qgis.core import Qgis
from qgis.PyQt.QtCore import PYQT_VERSION_STR, QT_VERSION_STR

from .. import settings
from ..engine.client import EngineClient
from . import environment
from .network import proxy_variables, without_secrets


def plugin_version() -> str:
    """From ``metadata.txt``, which stands beside this file in the package."""
    here = Path(__file__).resolve().parents[1]
    for path in (here / "metadata.txt", here.parent / "metadata.txt"):
        if path.is_file():
            for line in path.read_text(encoding="utf-8").splitlines():
                if line.startswith("version="):
                    return line.partition("=")[2].strip()
    return "?"


def report(client: Optional[EngineClient]) -> str:
    """The report, one fact a line."""
    hello = client.hello if client is not None else None
    marker = environment.read_marker(environment.folder())
    facts = [
        ("Plugin", plugin_version()),
        ("QGIS", Qgis.QGIS_VERSION),
        ("Qt, PyQt", f"{QT_VERSION_STR}, {PYQT_VERSION_STR}"),
        ("QGIS's Python", sys.version.split()[0]),
        ("System", f"{platform.system()} {platform.release()} {platform.machine()}"),
        ("Environment", environment.state()),
        ("Folder", str(environment.folder())),
        ("Own Python", environment.own_python() or "-"),
        ("Build", marker.build if marker else "-"),
        ("Steps done", ", ".join(marker.done) if marker else "-"),
        ("Engine in the package", environment.wheel_version() or "-"),
        ("Engine in the environment", marker.engine if marker else "-"),
        ("Engine runs", client.state if client is not None else "-"),
        ("Engine's version", hello.engine if hello else "-"),
        ("Engine's Python", hello.python if hello else "-"),
        ("Engine's device", hello.device if hello else "-"),
        ("Device chosen", settings.DEVICE.get()),
        ("Threads chosen", settings.THREADS.get() or "automatic"),
        ("Model chosen", Path(str(settings.MODEL.get())).name),
        ("Proxy of QGIS", "used" if proxy_variables() else "not used"),
        ("Last error", settings.LAST_ERROR.get() or "-"),
    ]
    width = max(len(name) for name, _ in facts)
    return without_secrets("\n".join(f"{name:<{width}}  {value}" for name, value in facts)) + "\n"
