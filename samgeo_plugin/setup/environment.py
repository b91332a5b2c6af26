# SPDX-License-Identifier: GPL-2.0-or-later
"""The engine's Python environment: where it is, what was done in it, how the engine is started.

The environment lies outside the plugin's folder, which QGIS deletes at every update.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Optional

from qgis.core import QgsApplication
from qgis.PyQt.QtCore import QStandardPaths

from .. import settings
from ..engine.client import NoEngine
from ..engine.process import EngineCommand
from ..i18n import tr

MARKER = "samgeo-environment.json"
"""A folder with this file is ours: only such a folder is ever written into or removed."""

PLUGIN = Path(__file__).resolve().parents[1]
ENGINE = PLUGIN / "bundled"
"""In the package: the engine's wheel, ``constraints.txt`` and ``sizes.json``."""


CPU = "cpu"
CUDA = "cuda"

_ENGINE_STEPS = ("venv", "pip", "torch", "engine", "check")


@dataclass(frozen=True)
class Marker:
    """What was done in a managed environment, so that an interrupted setup goes on there."""

    build: str = CPU
    engine: str = ""
    python: str = ""
    done: tuple[str, ...] = ()
    sealed: bool = False

    @property
    def complete(self) -> bool:
        return set(_ENGINE_STEPS) <= set(self.done)


# --- places -------------------------------------------------------------------------------------


def standard_folder() -> Path:
    """Beside the user's other local data, so that all profiles share it."""
    named = os.environ.get("SAMGEO_ENVIRONMENT")
    if named:
        return Path(named)
    base = QStandardPaths.writableLocation(
        QStandardPaths.StandardLocation.GenericDataLocation
    ) or str(Path.home())
    return Path(base) / "samgeo-seamless" / "environment"


def folder() -> Path:
    """The managed environment's folder."""
    chosen = settings.FOLDER.get()
    return Path(chosen) if chosen else standard_folder()


def python_of(environment: Path) -> Path:
    """The Python of a venv."""
    if os.name == "nt":
        return environment / "Scripts" / "python.exe"
    return environment / "bin" / "python"


def has_python(environment: Path) -> bool:
    """Whether a venv has its Python and the one that it was made with.

    The latter goes with a QGIS that is updated or removed, where it was QGIS's. On Windows the
    venv's own ``python.exe`` stays and cannot start.
    """
    if not python_of(environment).exists():
        return False
    try:
        lines = (environment / "pyvenv.cfg").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return True  # not known
    for line in lines:
        name, _, home = line.partition("=")
        if name.strip() == "home":
            programs = ("python.exe", "python3", "python")
            return any((Path(home.strip()) / program).exists() for program in programs)
    return True


def read_marker(environment: Path) -> Optional[Marker]:
    """What was done there; None where the folder is not ours."""
    try:
        values = json.loads((environment / MARKER).read_text(encoding="utf-8"))
        return Marker(
            build=str(values.get("build", CPU)),
            engine=str(values.get("engine", "")),
            python=str(values.get("python", "")),
            done=tuple(str(step) for step in values.get("done", [])),
            sealed=bool(values.get("sealed", False)),
        )
    except (OSError, ValueError, AttributeError, TypeError):
        return None


def write_marker(environment: Path, marker: Marker) -> None:
    """Atomically: a marker is there whole or not at all."""
    environment.mkdir(parents=True, exist_ok=True)
    path = environment / MARKER
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(asdict(marker), indent=2), encoding="utf-8")
    os.replace(partial, path)


def wheel() -> Optional[Path]:
    """The engine's wheel in the package; None in a development checkout."""
    found = sorted(ENGINE.glob("samgeo_seamless-*.whl"))
    return found[-1] if found else None


def wheel_version() -> str:
    path = wheel()
    return path.name.split("-")[1] if path is not None else ""


# --- state --------------------------------------------------------------------------------------

ABSENT = "absent"
PARTIAL = "partial"
OUTDATED = "outdated"
COMPLETE = "complete"
OWN = "own"


def own_python() -> str:
    """A Python named by the user or, for development, by ``SAMGEO_PYTHON``."""
    named = os.environ.get("SAMGEO_PYTHON") or settings.PYTHON.get()
    path = Path(named) if named else None
    if path is not None and path.is_dir():
        # On Windows conda's environments have it in the folder itself.
        beside = path / "python.exe"
        return str(beside if beside.exists() else python_of(path))
    return str(named)


def state() -> str:
    """Whether there is an engine, and whether it is the one that belongs to this plugin."""
    if own_python():
        return OWN
    marker = read_marker(folder())
    if marker is None:
        return ABSENT
    if not marker.complete or not has_python(folder()):
        return PARTIAL
    if wheel_version() and marker.engine != wheel_version():
        # An engine of a bundle of another version is what the user chose to have.
        return COMPLETE if marker.sealed else OUTDATED
    return COMPLETE


def engine_command() -> EngineCommand:
    """How to start the engine.

    Raises:
        NoEngine: There is none yet, or what was named is gone.
    """
    found = state()
    if found == OWN:
        python = own_python()
        if shutil.which(python) is None:
            raise NoEngine(
                tr(
                    "The engine's Python {python} is gone; name another one in the settings."
                ).format(python=python)
            )
        variables = {}
        extra = os.environ.get("SAMGEO_PYTHONPATH")
        if extra:
            variables["PYTHONPATH"] = extra
        return EngineCommand(python, variables=variables, folder=str(Path.home()))
    if found in (COMPLETE, OUTDATED):
        return EngineCommand(str(python_of(folder())), folder=str(folder()))
    if found == PARTIAL:
        raise NoEngine(tr("The engine's setup is not finished; go on with it in the settings."))
    raise NoEngine(tr("The engine is not set up yet; set it up in the settings."))


def qgis_prefix() -> str:
    """QGIS's own folder, whose libraries the engine must not see; empty for a system's /usr."""
    prefix = str(QgsApplication.prefixPath())
    return "" if prefix in ("", "/usr", "/usr/local", "/") else prefix
