# SPDX-License-Identifier: GPL-2.0-or-later
"""What a setup of the engine's Python environment will do: which Python, which commands, how much.

Nothing here runs anything: :mod:`environment_job` does, after the user has seen what and how much.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Optional

from .. import settings
from ..i18n import tr
from .bundle import SealedBundle
from .environment import (
    CPU,
    CUDA,
    ENGINE,
    MARKER,
    Marker,
    folder,
    has_python,
    python_of,
    read_marker,
    standard_folder,
    wheel,
    wheel_version,
)
from .gpu import CUDA_12, CUDA_13
from .pythons import python_candidates as python_candidates

MINIMUM_PYTHON = (3, 10)
EXTRAS = "concepts,training"
"""Of the engine: what 'Improve the model' and models of words need besides."""

CLEAR = "clear"
"""A step that is never remembered as done."""

LIBRARIES = "libraries"
"""The step that lets an environment of QGIS's Python on Windows find OpenSSL and SQLite."""

_OF_THE_VENV = ("venv", LIBRARIES, "pip")
"""Steps that do not depend on the engine or the build."""

_TORCH_CPU = "https://download.pytorch.org/whl/cpu"

_OF_A_VENV = frozenset(
    ("bin", "include", "lib", "lib64", "share", "Scripts", "Include", "Lib", "pyvenv.cfg")
)
"""What an interrupted ``python -m venv`` leaves behind."""

_CLEAR = (
    "import os, shutil, sys\n"
    "for entry in os.scandir(sys.argv[1]):\n"
    "    if entry.name == sys.argv[2]:\n"
    "        continue\n"
    "    if entry.is_dir(follow_symlinks=False):\n"
    "        shutil.rmtree(entry.path)\n"
    "    else:\n"
    "        os.unlink(entry.path)\n"
)
"""``venv --clear`` would take the marker along, and with it the right to go on in the folder."""


@dataclass(frozen=True)
class Step:
    """One command of the setup.

    Args:
        name: For the marker.
        title: For a person.
        program: What to run.
        arguments: With what.
        network: It downloads, so proxy and certificates are handed to it.
        megabytes: About how much it downloads; 0 where it downloads nothing.
    """

    name: str
    title: str
    program: str
    arguments: tuple[str, ...]
    network: bool = False
    megabytes: int = 0


@dataclass(frozen=True)
class Size:
    """Megabytes to download, to have on the disk, and those that a removal frees before."""

    download: int
    disk: int
    freed: int = 0


@dataclass(frozen=True)
class Plan:
    """Everything that a click on "Set up" will do; shown before. ``engine`` is its version."""

    folder: Path
    python: str
    build: str
    steps: tuple[Step, ...]
    size: Size
    marker: Marker = field(default_factory=Marker)
    engine: str = ""


def missing_venv(facts: PythonFacts) -> Optional[str]:
    """What this Python lacks to make an environment; None where nothing is missing."""
    if facts.can_make or shutil.which("uv") is not None:
        return None
    minor = ".".join(map(str, facts.version[:2]))
    return tr(
        "{python} cannot make environments: its venv module is not complete. On Debian and Ubuntu, "
        "install it (sudo apt install python{minor}-venv); then look again."
    ).format(python=facts.path, minor=minor)


PROBE = (
    "import sys, json, importlib.util as u;"
    "print(json.dumps({'version': list(sys.version_info[:3]),"
    " 'venv': bool(u.find_spec('venv')), 'ensurepip': bool(u.find_spec('ensurepip'))}))"
)
"""What a candidate is asked: run as ``python -c PROBE``."""


@dataclass(frozen=True)
class PythonFacts:
    """A candidate's answer."""

    path: str
    version: tuple[int, ...]
    can_make: bool

    @classmethod
    def from_answer(cls, path: str, text: str) -> Optional[PythonFacts]:
        try:
            values = json.loads(text.strip().splitlines()[-1])
            version = tuple(int(part) for part in values["version"])
            can_make = bool(values["venv"]) and bool(values["ensurepip"])
        except (ValueError, KeyError, IndexError, TypeError):
            return None
        return cls(path, version, can_make)

    @property
    def suits(self) -> bool:
        return self.version >= MINIMUM_PYTHON


def sizes(build: str) -> Size:
    """Measured when the package was built; the larger figure where the system is another."""
    try:
        values = json.loads((ENGINE / "sizes.json").read_text(encoding="utf-8"))[build]
        return Size(int(values["download_mb"]), int(values["disk_mb"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Size(475, 2000) if build == CPU else Size(3225, 7700)


def _disk_of(marker: Marker) -> int:
    """About how many megabytes an environment has on the disk."""
    return int(sizes(marker.build).disk * _share(marker.build, marker.done))


def _share(build: str, steps: Collection[str]) -> float:
    """The part that steps have in all that is downloaded, and about in the room."""
    parts = _megabytes(build)
    return sum(parts.get(step, 0) for step in steps) / max(sum(parts.values()), 1)


def _size_left(whole: Size, build: str, left: Collection[str], there: Collection[str]) -> Size:
    """What the steps that are left download and add to what is there.

    Args:
        whole: Of a setup from the start.
        build: Of torch.
        left: Names of the steps to do.
        there: Names of the steps that were done before, for this engine or another.
    """
    download = round(whole.download * _share(build, left))
    disk = round(whole.disk * _share(build, left))
    if "engine" in left and "engine" in there:
        # Its packages are exchanged, one by one, for what is downloaded.
        engine = round(whole.disk * _share(build, ["engine"]))
        disk += min(_megabytes(build)["engine"], engine) - engine
    return Size(download, disk)


def make_plan(
    python: PythonFacts,
    build: str,
    environment: Optional[Path] = None,
    bundle: Optional[SealedBundle] = None,
    anew: bool = False,
) -> Plan:
    """The commands that set an environment up, less those that are done.

    Args:
        python: With which it is made.
        build: Of torch; a bundle has its own.
        environment: Its folder; None for the chosen one.
        bundle: Where all packages come from; None for the network.
        anew: From the start, whatever is done; what is there is removed.
    """
    target = environment or folder()
    inside = str(python_of(target))
    build = bundle.build if bundle is not None else build
    engine = bundle.engine if bundle is not None else wheel_version()
    marker = Marker() if anew else _marker_for(target, build, engine)
    if bundle is None and not _has_pinned_torch(target):
        # The step of the engine would renew it, from an index that may have another build.
        marker = _keeping(marker, *_OF_THE_VENV)
    marker = replace(
        marker,
        build=build,
        python=".".join(map(str, python.version)),
        sealed=bundle is not None,
    )
    steps = [_make_step(python, target), *_libraries_steps(inside)]
    if bundle is None:
        steps += _network_steps(inside, build)
        size = sizes(build)
    else:
        steps = [_verify_step(python, bundle), *steps, *_bundle_steps(inside, bundle)]
        size = Size(0, bundle.disk)
    check = ("-c", "import samgeo_core.worker, torch; print(samgeo_core.__version__)")
    steps.append(Step("check", tr("Check the engine"), inside, check))
    left = tuple(step for step in steps if step.name not in marker.done)
    there = (read_marker(target) or Marker()).done if "venv" in marker.done else ()
    size = _size_left(size, build, [step.name for step in left], there)
    if "venv" not in marker.done and _has_leftovers(target):
        clear = ("-I", "-c", _CLEAR, str(target), MARKER)
        left = (Step(CLEAR, tr("Remove what an earlier setup left"), python.path, clear), *left)
        size = replace(size, freed=_disk_of(read_marker(target) or Marker()))
    return Plan(target, python.path, build, left, size, marker, engine)


def _marker_for(target: Path, build: str, engine: str) -> Marker:
    """What is done there and still counts for this build and engine."""
    marker = read_marker(target) or Marker()
    if marker.build != build:
        marker = _keeping(marker, *_OF_THE_VENV)
    if marker.engine != engine:
        marker = _keeping(marker, *_OF_THE_VENV, "torch")
    return marker if has_python(target) else Marker()


def _keeping(marker: Marker, *steps: str) -> Marker:
    """Only these of the steps that are done stay done."""
    return replace(marker, done=tuple(step for step in marker.done if step in steps))


def _make_step(python: PythonFacts, target: Path) -> Step:
    uv = shutil.which("uv")
    title = tr("Make the environment")
    if python.can_make or uv is None:
        return Step("venv", title, python.path, ("-m", "venv", str(target)))
    # Debian's Python without python3-venv, but uv is there.
    arguments = ("venv", "--seed", "--python", python.path, "--allow-existing", str(target))
    return Step("venv", title, uv, arguments, network=True)


def _libraries_steps(inside: str) -> list[Step]:
    if platform.system() != "Windows":
        return []
    program = str(Path(__file__).with_name("base_libraries.py"))
    return [Step(LIBRARIES, tr("Look for the libraries of Python"), inside, ("-I", program))]


_PIP = (
    "-m", "pip", "install", "--no-input", "--disable-pip-version-check",
    "--only-binary", ":all:",
)  # fmt: skip
_QUIET = ("--progress-bar", "off")
_COUNTED = ("--progress-bar", "raw")
"""Lines "Progress 5 of 10", in bytes; pip knows them from 24.1 on, so after it was renewed."""

_RETRIES = ("--retries", "3")
"""Without any, pip does not say that the network is missing."""

_REPLACE = "--force-reinstall"
"""For torch: pip would take 2.13.0+cpu, where it is there, for the 2.13.0 of another build."""


def _network_steps(inside: str, build: str) -> list[Step]:
    pinned = (
        ("-c", str(ENGINE / "constraints.txt")) if (ENGINE / "constraints.txt").exists() else ()
    )
    path = wheel()
    megabytes = _megabytes(build)
    counted = (*_PIP, *_COUNTED, *_RETRIES)
    return [
        Step(
            "pip",
            tr("Renew pip"),
            inside,
            (*_PIP, *_QUIET, *_RETRIES, "--upgrade", "pip>=24.1"),
            True,
            megabytes["pip"],
        ),
        Step(
            "torch",
            tr("Install PyTorch ({build})").format(build=build.upper()),
            inside,
            (*counted, _REPLACE, *_torch_index(build), _torch_requirement()),
            True,
            megabytes["torch"],
        ),
        Step(
            "engine",
            tr("Install the engine"),
            inside,
            (*counted, *pinned, "--upgrade", f"{path or 'samgeo-seamless'}[{EXTRAS}]"),
            True,
            megabytes["engine"],
        ),
    ]


def _verify_step(python: PythonFacts, bundle: SealedBundle) -> Step:
    arguments = ("-I", str(bundle.folder / "install.py"), "--verify")
    return Step("verify", tr("Check the bundle's files"), python.path, arguments)


def _bundle_steps(inside: str, bundle: SealedBundle) -> list[Step]:
    """Everything from the bundle: pip is told that there is no network."""
    pip = (*_PIP, *_QUIET, "--no-index", "--find-links", str(bundle.folder / "wheels"))
    torch = tr("Install PyTorch ({build})").format(build=bundle.build.upper())
    # Without the version, an engine that is newer than the bundle's would stay.
    wanted = ("--upgrade", *bundle.requirements, f"samgeo-seamless=={bundle.engine}")
    steps = [
        Step("pip", tr("Renew pip"), inside, (*pip, "--upgrade", "pip")),
        Step("torch", torch, inside, (*pip, _REPLACE, "torch")),
        Step("engine", tr("Install the engine"), inside, (*pip, *wanted)),
    ]
    if bundle.models:
        arguments = (str(bundle.folder / "install.py"), "--models")
        steps.append(Step("models", tr("Copy the models"), inside, arguments))
    return steps


def _megabytes(build: str) -> dict[str, int]:
    """About what each step of the network downloads; the engine's with its packages."""
    whole = sizes(build).download
    engine = min(250, whole)
    return {"pip": 2, "torch": max(whole - engine - 2, 0), "engine": engine}


def _torch_index(build: str) -> tuple[str, ...]:
    """Where this build of torch lies: PyPI has CUDA for Linux, CPU for Windows and macOS."""
    named = os.environ.get("SAMGEO_TORCH_INDEX")
    if named is not None:  # the user's mirror; empty for the configured index
        return ("--index-url", named) if named else ()
    system = platform.system()
    if build == CPU and system == "Linux":
        return ("--index-url", _TORCH_CPU)
    if build == CUDA and system in ("Windows", "Linux") and settings.CUDA_12.get():
        return ("--index-url", CUDA_12)
    if build == CUDA and system == "Windows":
        return ("--index-url", CUDA_13)
    return ()


def _torch_requirement() -> str:
    """The pinned torch without its local version, so that either build satisfies it."""
    try:
        lines = (ENGINE / "constraints.txt").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    for line in lines:
        if line.replace(" ", "").startswith("torch=="):
            return line.split("#")[0].strip().split("+")[0]
    return "torch"


def _has_pinned_torch(environment: Path) -> bool:
    """Whether the torch that is there is the one that the constraints name, of whatever build."""
    _, _, pinned = _torch_requirement().replace(" ", "").partition("==")
    packages = ("lib/python*/site-packages", "Lib/site-packages")
    found = [
        path for folder in packages for path in environment.glob(f"{folder}/torch-*.dist-info")
    ]
    versions = {path.name[len("torch-") : -len(".dist-info")].split("+")[0] for path in found}
    return not pinned or versions == {pinned}


def _has_leftovers(environment: Path) -> bool:
    try:
        return any(child.name != MARKER for child in environment.iterdir())
    except OSError:
        return False


def _has_files(folder: Path) -> bool:
    return any(child.name not in _SYSTEM_FILES for child in folder.iterdir())


def _is_ours(environment: Path) -> bool:
    """With our marker, or the standard folder with nothing but an interrupted venv in it."""
    if (environment / MARKER).exists():
        return True
    names = {child.name for child in environment.iterdir()} - _SYSTEM_FILES
    return environment == standard_folder() and names <= _OF_A_VENV


_LONGEST_PATH = 259
"""Characters of a path on Windows, where long ones are not allowed by its settings."""

_LONGEST_INSIDE = len("\\Lib\\site-packages\\") + 171
"""The longest path in an environment: torch 2.13 brings licences of its parts' parts."""

_SYSTEM_FILES = frozenset((".DS_Store", "Thumbs.db", "desktop.ini"))
"""What macOS and Windows put into folders that somebody has looked into."""


def _takes_long_paths() -> bool:
    """Whether Windows is set to allow paths of more than 259 characters."""
    import winreg

    try:
        place = r"SYSTEM\CurrentControlSet\Control\FileSystem"
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, place) as key:
            return bool(winreg.QueryValueEx(key, "LongPathsEnabled")[0])
    except OSError:
        return False


def refuse_folder(environment: Path, size: Size) -> Optional[str]:
    """Why nothing can be set up there, with a way out; None where all is well."""
    if environment.is_dir() and _has_files(environment) and not _is_ours(environment):
        return tr(
            "{folder} holds other files; choose an empty folder, or name its Python instead."
        ).format(folder=environment)
    most = _LONGEST_PATH - _LONGEST_INSIDE
    if platform.system() == "Windows" and len(str(environment)) > most and not _takes_long_paths():
        return tr(
            "{folder} is too long for Windows: its path may have {most} characters; choose a "
            "folder with a shorter one, such as C:\\samgeo."
        ).format(folder=environment, most=most)
    place = environment
    while not place.exists() and place != place.parent:
        place = place.parent
    if not os.access(place, os.W_OK):
        return tr("{folder} cannot be written to; choose another folder.").format(folder=place)
    free = shutil.disk_usage(place).free / 1e6
    needed = size.disk - size.freed
    if free < needed:
        return tr(
            "{folder} has {free} MB free and {needed} MB are needed; choose another folder."
        ).format(folder=place, free=int(free), needed=needed)
    return None
