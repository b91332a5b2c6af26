# SPDX-License-Identifier: GPL-2.0-or-later
"""Make a folder from which SamGeo Seamless installs without a network.

::

    FOLDER/
        bundle.json     for which Python and system, and what to ask pip for
        install.py      verifies, makes an environment, copies models; standard library only
        README.txt
        wheels/         of the engine and all that it needs, pip itself too
        models/NAME/    as in the models' folder
        licences/       of every wheel, and what is said of every model's
        SHA256SUMS      of all of these
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .. import __version__
from ..errors import CheckpointError, OutputError, ParameterError
from ..models.catalogue import CATALOGUE, EMBEDDED, find
from ..models.weights import checkpoints
from ..models.weights.download import Listener
from ..parallel.atomic_write import move, names_in, new_folder, remove_empty
from . import install
from .target import PLATFORMS, VERSIONS, Target, here

TORCH_CPU = "https://download.pytorch.org/whl/cpu"
TORCH_CUDA = "https://download.pytorch.org/whl/cu130"
"""For Windows; PyPI has the same for Linux. It needs a driver of 580 or newer and a card of the
Turing generation or newer (``samgeo_plugin/setup/gpu.py`` names the tables)."""

Runner = Callable[[Sequence[str], Target], None]

QGIS_EXTRAS = ("concepts", "training")
"""What the plugin's setup installs with the engine: *Improve the model*, and models of words."""


@dataclass(frozen=True)
class BundleOptions:
    """What goes into a bundle.

    Args:
        python: Version of the Python there, "3.12"; "" for this one's.
        system: One of :data:`~.target.PLATFORMS`; "" for this computer's.
        build: Of torch: "cpu" or "cuda".
        models: Names of the catalogue. The embedded one is in the engine's wheel.
        extras: Of the distribution, e.g. "cluster"; :data:`QGIS_EXTRAS` is what QGIS installs.
        wheel: The engine's wheel; None to build it (in a checkout) or to get it from the index.
        constraints: File with pinned versions; None for the checkout's.

    Raises:
        ParameterError: A value is unknown.
    """

    python: str = ""
    system: str = ""
    build: str = "cpu"
    models: tuple[str, ...] = ()
    extras: tuple[str, ...] = QGIS_EXTRAS
    wheel: Path | None = None
    constraints: Path | None = None

    def __post_init__(self) -> None:
        if self.python and self.python not in VERSIONS:
            raise ParameterError(f"Python {self.python} is none of {', '.join(VERSIONS)}.")
        if self.system and self.system not in PLATFORMS:
            raise ParameterError(f"The system {self.system} is none of {', '.join(PLATFORMS)}.")
        if self.build not in ("cpu", "cuda"):
            raise ParameterError(f"The build {self.build} is neither cpu nor cuda.")
        system = self.system or here().system
        if self.build == "cuda" and system.startswith("macos"):
            raise ParameterError(
                f"There is no CUDA for {system}: choose the build cpu, which uses the GPU of a Mac "
                "(mps)."
            )
        for name in self.models:
            find(name)
        for path in (self.wheel, self.constraints):
            if path is not None and not path.is_file():
                raise ParameterError(f"There is no file {path}.")


@dataclass(frozen=True)
class Bundle:
    """What was made: its folder, the number of wheels, the models, and the size in bytes."""

    folder: Path
    wheels: int
    models: tuple[str, ...]
    size: int


def make_bundle(
    folder: Path,
    options: BundleOptions | None = None,
    *,
    run: Runner | None = None,
    say: Callable[[str], None] = lambda _: None,
    listener: Listener | None = None,
) -> Bundle:
    """Gather wheels, models, licences and checksums in a folder that appears whole or not at all.

    Args:
        folder: Must not exist, or be empty.
        options: What goes in.
        run: Runs a command of pip, for a target; for tests.
        say: Told what is done.
        listener: For models that are downloaded.

    Raises:
        OutputError: The folder holds something, or cannot be written.
        CheckpointError: A model cannot be had.
        ParameterError: pip found no wheels for this Python and system.
    """
    options, run = options or BundleOptions(), run or _pip
    folder = folder.resolve()
    if folder.exists() and (not folder.is_dir() or names_in(folder)):
        raise OutputError(f"{folder} holds something already: name a new folder.")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        place = new_folder(folder.parent, f".{folder.name}.")
        try:
            work = place / "bundle"
            work.mkdir()
            names = _fill(work, options, run, say, listener)
            if folder.exists():
                remove_empty(folder)
            move(work, folder)
        finally:
            shutil.rmtree(place, ignore_errors=True)
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be written ({error.strerror or error}): free some space, or name "
            "another folder."
        ) from error
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Bundle(folder, len(list((folder / "wheels").iterdir())), names, size)


def _fill(
    work: Path,
    options: BundleOptions,
    run: Runner,
    say: Callable[[str], None],
    listener: Listener | None,
) -> tuple[str, ...]:
    target = Target(options.python or here().python, options.system or here().system)
    if target.system not in PLATFORMS:
        raise ParameterError(
            f"There are no wheels for {target.system}: name one of {', '.join(PLATFORMS)}."
        )
    wheels = work / "wheels"
    wheels.mkdir()
    say(f"wheels for {target}, torch for {options.build}")
    engine = _engine(wheels, options, run)
    constraints = options.constraints or _checkout("constraints.txt")
    _download(wheels, engine, target, options, constraints, run)
    models = tuple(dict.fromkeys(name for name in options.models if name != EMBEDDED))
    for name in models:
        say(f"model {name}")
        _add_model(work / "models" / name, name, listener)
    say("licences and checksums")
    _licences(work, models)
    about = {
        "engine": __version__,
        "python": target.python,
        "system": target.system,
        "build": options.build,
        "requirements": [f"samgeo-seamless{_extras(options)}"],
        "models": list(models),
        "download_mb": 0,
        "disk_mb": 3 * sum(path.stat().st_size for path in wheels.iterdir()) // 10**6,
    }
    (work / "bundle.json").write_text(json.dumps(about, indent=1) + "\n", "utf-8")
    shutil.copyfile(Path(install.__file__), work / "install.py")
    (work / "README.txt").write_text(_readme(target, models), "utf-8")
    files = sorted(path for path in work.rglob("*") if path.is_file())
    lines = [f"{install.checksum(path)}  {path.relative_to(work).as_posix()}" for path in files]
    (work / install.SUMS).write_text("\n".join(lines) + "\n", "utf-8")
    return models


def _extras(options: BundleOptions) -> str:
    return f"[{','.join(sorted(options.extras))}]" if options.extras else ""


def _checkout(name: str) -> Path | None:
    """A file at the top of a development checkout; None where the engine is installed."""
    path = Path(__file__).resolve().parents[2] / name
    checkout = (path.parent / "pyproject.toml").is_file() and (path.parent / "core").is_dir()
    return path if checkout and path.is_file() else None


def _engine(wheels: Path, options: BundleOptions, run: Runner) -> str:
    """The engine's wheel in the folder, or what to ask the index for."""
    if options.wheel is not None:
        target = wheels / options.wheel.name
        shutil.copyfile(options.wheel, target)
        return str(target)
    project = _checkout("pyproject.toml")
    if project is None:
        return f"samgeo-seamless=={__version__}"
    with tempfile.TemporaryDirectory() as place:
        # A copy: no stale build folder gets in, and none is left behind.
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(project.parent / name, place)
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(project.parent / "core", Path(place) / "core", ignore=ignored)
        current = int(importlib.metadata.version("setuptools").split(".")[0]) >= 77
        isolation = ["--no-build-isolation"] if current else []
        run(["wheel", "-q", "--no-deps", *isolation, "-w", str(wheels), place], here())
    (built,) = wheels.glob("samgeo_seamless-*.whl")
    return str(built)


def _download(
    wheels: Path,
    engine: str,
    target: Target,
    options: BundleOptions,
    constraints: Path | None,
    run: Runner,
) -> None:
    """All wheels: torch from its own index first, as the plugin's setup does."""
    common = ["download", "-q", "--only-binary", ":all:", "-d", str(wheels), *target.options]
    pinned = ["-c", str(constraints)] if constraints is not None else []
    named = os.environ.get("SAMGEO_TORCH_INDEX")
    if named is None:
        own = {("cpu", "linux"): TORCH_CPU, ("cuda", "windows"): TORCH_CUDA}
        named = own.get((options.build, target.system.split("-")[0]), "")
    index = ["--index-url", named] if named else []
    run([*common, *pinned, *index, "torch"], target)
    extras = f"{engine}{_extras(options)}"
    run([*common, *pinned, "--find-links", str(wheels), extras, "pip>=24"], target)


def _pip(arguments: Sequence[str], target: Target) -> None:
    """Run pip for a target.

    Raises:
        ParameterError: It failed; its last line says why.
    """
    command = [*target.pip, "--disable-pip-version-check", "--no-input", *arguments]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    if done.returncode:
        errors = [line for line in done.stdout.splitlines() if line.startswith("ERROR")]
        why = (errors or done.stdout.strip().splitlines() or ["it said nothing"])[-1]
        raise ParameterError(
            f"pip could not gather the wheels ({why.removeprefix('ERROR: ')}): check the network, "
            "or choose a Python and a system for which all packages have wheels."
        )


def _add_model(target: Path, name: str, listener: Listener | None) -> None:
    """Copy a model's folder, downloading the model first where it is not here.

    Raises:
        CheckpointError: It cannot be had.
    """
    entry = CATALOGUE[name]
    if checkpoints.manifest_of(entry) is None:
        checkpoints.download(name, listener)
    for result in checkpoints.verify(name):
        if result.problem:
            raise CheckpointError(
                f"{result.path} is damaged ({result.problem}): remove the model and download it "
                "again."
            )
    target.mkdir(parents=True)
    for path in (checkpoints.models_folder() / name).iterdir():
        if path.is_file() and not path.name.endswith((".part", ".part.json", ".new")):
            shutil.copyfile(path, target / path.name)


def _licences(work: Path, models: Sequence[str]) -> None:
    """The licence files of every wheel, and what is said of each model's licence."""
    for wheel in sorted((work / "wheels").glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.namelist():
                path = Path(member)
                named = path.name.upper().startswith(("LICEN", "COPYING", "NOTICE", "AUTHORS"))
                if not named or ".dist-info" not in path.parts[0] or member.endswith("/"):
                    continue
                inner = path.relative_to(path.parts[0])
                short = "-".join(wheel.name.split("-")[:2])
                target = work / "licences" / short / inner.name
                number = 1
                while target.exists():
                    number += 1
                    target = target.with_name(f"{inner.stem}-{number}{inner.suffix}")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(member))
    lines = [f"{EMBEDDED}: {CATALOGUE[EMBEDDED].licence}, in the engine's wheel"]
    for name in models:
        entry = CATALOGUE[name]
        lines.append(f"{name}: {entry.licence}, {entry.page}")
    place = work / "licences"
    place.mkdir(exist_ok=True)
    (place / "models.txt").write_text("\n".join(lines) + "\n", "utf-8")


def _readme(target: Target, models: Sequence[str]) -> str:
    with_models = f", with the models {', '.join(models)}" if models else ""
    return f"""SamGeo Seamless {__version__} for {target}{with_models}.
No network is needed.

Command line and Python:
    python{target.python} install.py ENVIRONMENT
checks every file, makes an environment in the folder ENVIRONMENT and copies the models. By hand:
    pip install --no-index --find-links wheels samgeo-seamless
and SAMGEO_MODELS_DIR=models.

QGIS: install the plugin from its zip (Plugins > Manage and Install Plugins > Install from ZIP),
then Settings > Options > SamGeo Seamless > Bundle: name this folder, and click Set up.

licences/ holds the licences of all that is in here; SHA256SUMS the checksums
(python install.py --verify, or sha256sum -c SHA256SUMS).
"""
