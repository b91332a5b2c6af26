# SPDX-License-Identifier: GPL-2.0-or-later
"""The plugin's zip: what the plugin repository asks for, and the same bytes every time."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TOP = "samgeo_seamless/"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Two builds one after the other."""
    paths = []
    for name in ("first", "second"):
        folder = tmp_path_factory.mktemp(name)
        command = [sys.executable, str(ROOT / "tools" / "package.py"), "--output", str(folder)]
        subprocess.run(command, check=True)
        paths.append(next(folder.glob("*.zip")))
    return paths


@pytest.fixture(scope="module")
def files(built):
    with zipfile.ZipFile(built[0]) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_same_sources_give_the_same_bytes(built):
    first, second = (path.read_bytes() for path in built)
    assert first == second
    assert built[0].name == built[1].name


def test_the_repositorys_rules_are_kept(built, files):
    assert built[0].stat().st_size <= 25 * 2**20
    assert all(name.startswith(TOP) for name in files)
    assert {TOP + "metadata.txt", TOP + "LICENSE", TOP + "__init__.py"} <= set(files)
    assert not [name for name in files if name.endswith((".pyc", ".ts")) or "__pycache__" in name]
    assert not [name for name in files if Path(name).name.startswith(".")]
    binary = (".so", ".dll", ".dylib", ".exe")
    assert not [name for name in files if name.endswith(binary)]


def test_the_engines_wheel_is_inside_with_its_versions(files):
    wheels = [name for name in files if name.endswith(".whl")]
    assert len(wheels) == 1
    version = files[TOP + "metadata.txt"].decode().split("\nversion=")[1].split("\n")[0]
    assert f"-{version}-" in wheels[0]
    constraints = files[TOP + "bundled/constraints.txt"].decode()
    assert "torch==" in constraints
    assert "pytest" not in constraints
    assert "opencv-python-headless==" in constraints  # of the extra that the setup installs
    sizes = json.loads(files[TOP + "bundled/sizes.json"])
    assert sizes["cpu"]["download_mb"] < sizes["cuda"]["download_mb"]


def test_the_wheel_holds_the_embedded_model_and_its_licence(files, tmp_path):
    wheel = tmp_path / "engine.whl"
    wheel.write_bytes(next(data for name, data in files.items() if name.endswith(".whl")))
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "samgeo_core/worker/serve.py" in names
    assert "samgeo_core/models/embedded/embedded.safetensors" in names
    assert any(name.endswith("LICENSE") for name in names)


def test_the_protocol_is_the_engines_own(files):
    for path in (ROOT / "core" / "job").glob("*.py"):
        assert files[TOP + f"job/{path.name}"] == path.read_bytes()


def test_every_module_is_python_3_9_and_imports_nothing_of_the_engine(files):
    forbidden = {"torch", "rasterio", "shapely", "geopandas", "samgeo_core", "PyQt5", "PyQt6"}
    for name, data in files.items():
        if not name.endswith(".py"):
            continue
        tree = ast.parse(data, name, feature_version=(3, 9))
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                roots = {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                roots = {str(node.module).split(".")[0]}
            else:
                assert not isinstance(node, ast.Assert), f"{name}:{node.lineno}"
                continue
            assert not roots & forbidden, f"{name}: {roots}"


def test_every_text_has_a_german_translation_with_the_same_placeholders():
    sys.path.insert(0, str(ROOT / "tools"))
    import re

    import translations

    german = translations.read(translations.FOLDER / "samgeo_de.ts")
    texts = translations.texts()
    assert set(german) == set(texts), "run tools/translations.py update"
    assert not [text for text, translation in german.items() if not translation]
    for text, translation in german.items():
        names = sorted(re.findall(r"\{\w+\}", text))
        assert sorted(re.findall(r"\{\w+\}", translation)) == names, text
