# SPDX-License-Identifier: GPL-2.0-or-later
"""Starting the engine's process: command, environment, lines of output."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Optional

from qgis.PyQt.QtCore import QProcess, QProcessEnvironment

from ..i18n import tr
from ..job import MAX_LINE, Failure, Hello, MessageError

# Whatever QGIS sets for itself would send the engine's Python, PROJ and GDAL to QGIS's files.
_DROPPED = {
    "GDAL_DATA",
    "GDAL_DRIVER_PATH",
    "GDAL_PLUGIN_PATH",
    "GEOTIFF_CSV",
    "OGR_DRIVER_PATH",
    "PROJ_DATA",
    "PROJ_LIB",
    "PROJ_NETWORK",
    "QGIS_PREFIX_PATH",
    "VIRTUAL_ENV",
}
_DROPPED_PREFIXES = ("CONDA_", "PYTHON", "QT_", "__PYVENV")

_MISSING_MODULE = re.compile(r"No module named '?(\w+)")
"""What Python says where a package, or the engine itself, is not installed."""


@dataclass(frozen=True)
class EngineCommand:
    """What to run, and what to add to the cleaned environment."""

    program: str
    arguments: tuple[str, ...] = ("-m", "samgeo_core.worker")
    variables: dict[str, str] = field(default_factory=dict)
    folder: str = ""


def clean_environment(
    source: Optional[QProcessEnvironment] = None, prefix: str = ""
) -> QProcessEnvironment:
    """QGIS's environment without what would mislead another Python.

    Args:
        source: Where to start from; None for this process's environment.
        prefix: Folder of QGIS's own libraries; library paths below it are left out.
    """
    environment = QProcessEnvironment(source or QProcessEnvironment.systemEnvironment())
    for name in list(environment.keys()):
        if name in _DROPPED or name.upper().startswith(_DROPPED_PREFIXES):
            environment.remove(name)
    for name in ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FRAMEWORK_PATH"):
        if prefix and environment.contains(name):
            kept = [
                path
                for path in environment.value(name).split(os.pathsep)
                if path and not os.path.abspath(path).startswith(os.path.abspath(prefix))
            ]
            if kept:
                environment.insert(name, os.pathsep.join(kept))
            else:
                environment.remove(name)
    environment.insert("PYTHONUTF8", "1")
    environment.insert("PYTHONUNBUFFERED", "1")
    environment.insert("PYTHONNOUSERSITE", "1")
    return environment


def configure(process: QProcess, command: EngineCommand, prefix: str = "") -> None:
    """Give a process its program, arguments, environment and folder."""
    environment = clean_environment(prefix=prefix)
    for name, value in command.variables.items():
        environment.insert(name, value)
    process.setProcessEnvironment(environment)
    process.setProgram(command.program)
    process.setArguments(list(command.arguments))
    if command.folder:
        process.setWorkingDirectory(command.folder)


class LineBuffer:
    """Bytes in, whole lines out, however the pipe cuts them."""

    def __init__(self, limit: int = MAX_LINE) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that are complete now, without their line feeds.

        Raises:
            MessageError: A line grows beyond the limit.
        """
        lines = []
        first, *rest = data.split(b"\n")
        self._parts.append(first)
        self._size += len(first)
        if rest:
            lines.append(b"".join(self._parts))
            lines.extend(rest[:-1])
            self._parts = [rest[-1]]
            self._size = len(rest[-1])
        if self._size > self._limit:
            raise MessageError(f"A line exceeds the limit of {self._limit} bytes.")
        return lines

    def clear(self) -> None:
        self._parts = []
        self._size = 0


def describe_engine(hello: Hello) -> str:
    """The engine and, where that is known, what it runs on."""
    if hello.device == "auto":
        return tr("Engine {version}").format(version=hello.engine)
    return tr("Engine {version} on {device}").format(version=hello.engine, device=hello.device)


def describe_end(process: QProcess, last_words: Sequence[str]) -> str:
    """Why the engine's process ended, for a person.

    Args:
        process: That has ended.
        last_words: Lines that it wrote beside messages.
    """
    code = process.exitCode()
    crashed = process.exitStatus() == QProcess.ExitStatus.CrashExit
    missing = _MISSING_MODULE.search(last_words[-1]) if last_words else None
    if missing and not crashed:
        return tr(
            "The engine's Python {program} lacks the package {name}: install samgeo-seamless "
            "there, set the engine up again, or name another Python in the settings."
        ).format(program=process.program(), name=missing[1])
    if not crashed:
        return tr("The engine ended with code {code}.").format(code=code)
    if os.name == "posix" and code == getattr(signal, "SIGKILL", 9):
        return tr("The engine was stopped by the system, often because memory ran out.")
    return tr("The engine crashed (code {code}).").format(code=code)


def died_failure(sentence: str, detail: str = "") -> Failure:
    """What requests get whose engine is gone."""
    return Failure(id=None, kind="EngineDied", message=sentence, detail=detail)
