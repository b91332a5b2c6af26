# SPDX-License-Identifier: GPL-2.0-or-later
"""Install SamGeo Seamless from this folder, without a network. Needs Python alone.

    python install.py --verify            compare every file with its checksum
    python install.py FOLDER              make an environment there, with the models
    python install.py --models            put the models where the engine looks for them

Works with the Python version and system that bundle.json names. Nothing outside FOLDER and the
models' folder is changed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
SUMS = "SHA256SUMS"
CHUNK = 1 << 20


def fail(text: str) -> None:
    """Say what is wrong and end."""
    sys.exit(f"Error: {text}")


def described() -> dict[str, object]:
    """What the bundle says of itself."""
    try:
        values = json.loads((HERE / "bundle.json").read_text("utf-8"))
    except (OSError, ValueError):
        fail(f"{HERE} holds no bundle.json: run install.py where 'samgeo bundle' put it.")
    return dict(values)


def checksum(path: Path) -> str:
    """Of a file, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def verify() -> int:
    """Compare every file with its checksum; how many there are."""
    try:
        lines = (HERE / SUMS).read_text("utf-8").splitlines()
    except OSError:
        fail(f"{SUMS} is missing: copy the whole folder again.")
    for line in lines:
        wanted, _, name = line.partition("  ")
        path = HERE / name
        if not path.is_file():
            fail(f"{name} is missing: copy the whole folder again.")
        if checksum(path) != wanted:
            fail(f"{name} is damaged: copy it again from where the bundle was made.")
    return len(lines)


def check_python(values: dict[str, object]) -> None:
    """Refuse a Python or a system for which the wheels are not."""
    have = ".".join(map(str, sys.version_info[:2]))
    if values["python"] != have:
        fail(
            f"This bundle is for Python {values['python']}, and this is Python {have}: start "
            f"install.py with Python {values['python']}, or make a bundle for {have} "
            f"(samgeo bundle --python {have})."
        )
    if values["system"] != system():
        fail(
            f"This bundle is for {values['system']}, and this is {system()}: make one with "
            f"samgeo bundle --system {system()}."
        )


def system() -> str:
    """This computer, as bundles name it."""
    names = {"Darwin": "macos", "Windows": "windows"}
    kind = names.get(platform.system(), platform.system().lower())
    machine = {"amd64": "x86_64", "aarch64": "arm64"}.get(
        platform.machine().lower(), platform.machine().lower()
    )
    return f"{kind}-{machine}"


def models_folder() -> Path:
    """Where the engine looks for models, as ``samgeo_core`` finds it."""
    chosen = os.environ.get("SAMGEO_MODELS_DIR")
    if chosen:
        return Path(chosen)
    if platform.system() == "Windows":
        local = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
        return Path(local) / "samgeo-seamless" / "samgeo-seamless" / "Cache" / "models"
    if platform.system() == "Darwin":
        return Path.home() / "Library" / "Caches" / "samgeo-seamless" / "models"
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "samgeo-seamless" / "models"


def install_models() -> list[str]:
    """Copy the models that are not there yet; their names.

    A model counts once its manifest is there, so it is written last.
    """
    done = []
    for source in sorted(path.parent for path in (HERE / "models").glob("*/manifest.json")):
        target = models_folder() / source.name
        if (target / "manifest.json").exists():
            continue
        target.mkdir(parents=True, exist_ok=True)
        files = [p for p in source.iterdir() if p.is_file() and p.name != "manifest.json"]
        for path in [*files, source / "manifest.json"]:
            fresh = target / f"{path.name}.new"
            shutil.copyfile(path, fresh)
            os.replace(fresh, target / path.name)
        done.append(source.name)
    return done


def install(folder: Path) -> None:
    """Make an environment and install the wheels into it."""
    if folder.exists() and not folder.is_dir():
        fail(f"{folder} is a file: name an empty folder.")
    if folder.exists() and any(folder.iterdir()) and not (folder / "pyvenv.cfg").exists():
        fail(f"{folder} holds other files: name an empty folder.")
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        fail(
            "This Python cannot make environments: its venv module is not complete. On Debian and "
            f"Ubuntu: sudo apt install python{sys.version_info[0]}.{sys.version_info[1]}-venv."
        )
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    wanted = described()["requirements"]
    assert isinstance(wanted, list)  # bundle.json was verified
    quiet = {**os.environ, "PIP_CONFIG_FILE": os.devnull, "PIP_REQUIRE_VIRTUALENV": "false"}
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL", "PIP_FIND_LINKS", "PIP_CONSTRAINT"):
        quiet.pop(name, None)
    # What an earlier bundle installed, an engine of another version or a torch of another build,
    # may satisfy the requirements, too: all comes from this bundle.
    command = [str(python), "-m", "pip", "install", "--no-index", "--disable-pip-version-check",
               "--no-input", "--force-reinstall", "--find-links", str(HERE / "wheels"),
               *wanted]  # fmt: skip
    subprocess.run(command, check=True, env=quiet)


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(
        description="Install SamGeo Seamless from this folder, without a network."
    )
    parser.add_argument("folder", nargs="?", type=Path, help="of the new environment")
    parser.add_argument("--verify", action="store_true", help="compare all files with their sums")
    parser.add_argument("--models", action="store_true", help="copy the models only")
    options = parser.parse_args()
    if not (options.folder or options.verify or options.models):
        parser.error("name the folder of the new environment, --verify or --models")
    values = described()
    if options.folder or options.verify:
        print(f"{verify()} files are whole.")
    if options.folder:
        check_python(values)
        try:
            install(options.folder)
        except subprocess.CalledProcessError as error:
            fail(f"a command failed ({error.returncode}): what it said stands above.")
    if options.folder or options.models:
        try:
            for name in install_models():
                print(f"model {name}: {models_folder() / name}")
        except OSError as error:
            fail(
                f"{models_folder()} cannot be written to ({error.strerror}): set SAMGEO_MODELS_DIR."
            )
    if options.folder:
        print(f"Ready: {options.folder}. In QGIS, name it under Existing Python.")


if __name__ == "__main__":
    main()
