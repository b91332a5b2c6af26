# SPDX-License-Identifier: GPL-2.0-or-later
"""Build dist/samgeo_seamless-X.Y.Z.zip by the rules of QGIS's plugin repository.

The same sources give the same bytes: entries are sorted, dates and modes are fixed. The engine's
wheel, its pinned versions and the download sizes lie in ``bundled/`` within the zip.

    python tools/package.py [--output FOLDER]
"""

from __future__ import annotations

import argparse
import configparser
import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TOP = "samgeo_seamless"
PLUGIN = ROOT / "samgeo_plugin"
LIMIT = 25 * 1024 * 1024
EPOCH = 1577836800  # 2020-01-01; a zip knows no date before 1980 and no time zone
DATE = (2020, 1, 1, 0, 0, 0)
LEFT_OUT = {"__pycache__", ".DS_Store"}
LEFT_OUT_SUFFIXES = {".pyc", ".pyo", ".ts"}
REQUIRED = ("name", "qgisMinimumVersion", "description", "about", "version", "author", "email",
            "repository", "tracker", "license")  # fmt: skip


def metadata() -> configparser.SectionProxy:
    """``metadata.txt``, checked as the plugin repository checks it.

    Raises:
        SystemExit: A required entry is missing, or the version is not the engine's.
    """
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(ROOT / "metadata.txt", encoding="utf-8")
    general = parser["general"]
    missing = [name for name in REQUIRED if not general.get(name)]
    if missing:
        sys.exit(f"metadata.txt lacks {', '.join(missing)}.")
    engine = (ROOT / "core" / "__init__.py").read_text(encoding="utf-8")
    if f'__version__ = "{general["version"]}"' not in engine:
        sys.exit("metadata.txt and core/__init__.py name different versions.")
    return general


def build_wheel(folder: Path) -> Path:
    """The engine's wheel, from a copy of the sources so that no stale build folder gets in."""
    sources = folder / "sources"
    sources.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, sources / name)
    shutil.copytree(ROOT / "core", sources / "core", ignore=shutil.ignore_patterns(*LEFT_OUT))
    for path in [sources, *sorted(sources.rglob("*"))]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    # The build needs a current setuptools: the environment's own, or one that pip fetches.
    have = int(importlib.metadata.version("setuptools").split(".")[0])
    isolation = ["--no-build-isolation"] if have >= 77 else []
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--disable-pip-version-check"]
    subprocess.run(
        [*command, "--no-deps", *isolation, "-w", str(folder), str(sources)],
        check=True,
        env={**os.environ, "SOURCE_DATE_EPOCH": str(EPOCH)},
    )
    return next(folder.glob("samgeo_seamless-*.whl"))


def runtime_constraints() -> str:
    """``constraints.txt`` less what only developers install."""
    developers = {"pytest", "pytest-cov", "pytest-qgis", "pytest-timeout", "pytest-xdist",
                  "coverage", "hypothesis", "ruff", "mypy", "import-linter", "grimp", "mkdocs",
                  "mkdocs-material", "mkdocstrings", "mkdocstrings-python", "mkdocs-click",
                  "setuptools"}  # fmt: skip
    kept = []
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        name = line.split("==")[0].strip().lower()
        if "==" in line and not line.startswith("#") and name not in developers:
            kept.append(line)
    return "\n".join(kept) + "\n"


def contents(folder: Path) -> dict[str, bytes]:
    """Every entry below the top folder, by its name."""
    from translations import compile_ts

    entries: dict[str, bytes] = {}
    for path in sorted(PLUGIN.rglob("*")):
        relative = path.relative_to(PLUGIN)
        if LEFT_OUT & set(relative.parts) or path.suffix in LEFT_OUT_SUFFIXES:
            continue
        if path.is_file():
            entries[relative.as_posix()] = path.read_bytes()
    for path in sorted((PLUGIN / "resources" / "i18n").glob("*.ts")):
        entries[f"resources/i18n/{path.stem}.qm"] = compile_ts(path)
    for name in ("metadata.txt", "LICENSE"):
        entries[name] = (ROOT / name).read_bytes()
    wheel = build_wheel(folder)
    entries[f"bundled/{wheel.name}"] = wheel.read_bytes()
    entries["bundled/constraints.txt"] = runtime_constraints().encode()
    entries["bundled/sizes.json"] = (ROOT / "tools" / "engine_sizes.json").read_bytes()
    return entries


def write(path: Path, entries: dict[str, bytes]) -> None:
    """The zip, the same bytes for the same entries."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(entries):
            entry = zipfile.ZipInfo(f"{TOP}/{name}", DATE)
            entry.external_attr = 0o100644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, entries[name])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=ROOT / "dist")
    options = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parent))
    version = metadata()["version"]
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / f"{TOP}-{version}.zip"
    with tempfile.TemporaryDirectory() as folder:
        entries = contents(Path(folder))
    write(path, entries)
    size = path.stat().st_size
    if size > LIMIT:
        path.unlink()
        sys.exit(f"The package has {size / 2**20:.1f} MiB; the plugin repository takes 25.")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    print(f"{path}: {size / 2**20:.2f} MiB, {len(entries)} files, sha256 {digest[:16]}")


if __name__ == "__main__":
    main()
