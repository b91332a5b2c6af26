# SPDX-License-Identifier: GPL-2.0-or-later
"""The import contract of the engine's packages holds, and it fails where an import goes upward."""

import ast
import shutil
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    code = "import sys; from importlinter.cli import lint_imports_command as c; sys.exit(c())"
    return subprocess.run(
        [sys.executable, "-c", code, "--no-cache"],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "PATH": "", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def copied(tmp_path: Path) -> Path:
    shutil.copy(ROOT / ".importlinter", tmp_path)
    ignored = shutil.ignore_patterns("__pycache__", "*.safetensors")
    shutil.copytree(ROOT / "core", tmp_path / "samgeo_core", ignore=ignored)
    return tmp_path


def test_no_package_imports_from_one_above_it(tmp_path):
    result = lint(copied(tmp_path))
    assert result.returncode == 0, result.stdout


def test_an_upward_import_is_found(tmp_path):
    folder = copied(tmp_path)
    module = folder / "samgeo_core" / "sources" / "bands.py"
    module.write_text(module.read_text() + "\n\nfrom ..jobs import run  # noqa\n")
    result = lint(folder)
    assert result.returncode != 0
    assert "samgeo_core.sources.bands -> samgeo_core.jobs.run" in result.stdout


def test_every_package_is_installed():
    packages = {
        ".".join(["samgeo_core", *path.parent.relative_to(ROOT / "core").parts])
        for path in (ROOT / "core").rglob("__init__.py")
    }
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    listed = text.split("packages = [", 1)[1].split("]", 1)[0]
    assert packages == {name.strip().strip('"') for name in listed.split(",") if name.strip()}


def test_the_plugin_has_the_engines_contract_of_messages():
    """``job`` is a copy, because links break checkouts on Windows: ``make sync`` renews it."""
    engine, plugin = (
        {path.name: path.read_bytes() for path in (ROOT / folder / "job").glob("*.py")}
        for folder in ("core", "samgeo_plugin")
    )
    assert plugin == engine, "run 'make sync' after changing core/job"
    assert len(engine) >= 7


def packages(folder: Path) -> dict[str, list[str]]:
    """Names of the modules of every package in a folder, without ``__init__`` and ``__main__``."""
    found: dict[str, list[str]] = {}
    for path in sorted(folder.rglob("*.py")):
        name = path.parent.relative_to(folder).as_posix()
        found.setdefault(name, [])
        if not path.stem.startswith("__"):
            found[name].append(path.stem)
    return found


def test_packages_stay_small():
    """Thirteen modules at most; ``models/nn`` has one per kind of layer."""
    large = {
        name: modules
        for name, modules in packages(ROOT / "core").items()
        if len(modules) > (8 if name == "." else 13) and name != "models/nn"
    }
    assert not large, "split these packages by subject"


def imports_of(path: Path) -> set[str]:
    """Modules of the engine that a module imports, anywhere in it but for type checking only."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            node.body = []
    package = list(path.relative_to(ROOT / "core").parts[:-1])
    found = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        base = package[: len(package) - node.level + 1]
        base += (node.module or "").split(".") if node.module else []
        for name in ["", *(alias.name for alias in node.names)]:
            target = ROOT / "core" / Path(*base, name)
            if target.with_suffix(".py").is_file() and target.name:
                found.add(target.relative_to(ROOT / "core").as_posix())
    return found


def test_no_modules_import_each_other_in_a_circle():
    graph = {
        path.relative_to(ROOT / "core").with_suffix("").as_posix(): imports_of(path)
        for path in sorted((ROOT / "core").rglob("*.py"))
        if path.name != "__init__.py"
    }
    assert "jobs/stages/tile_stage" in graph["jobs/automatic"], "imports are found"
    TopologicalSorter(graph).prepare()  # raises CycleError


def test_plugin_and_engine_share_the_styles_of_results():
    styles = ROOT / "samgeo_plugin" / "resources" / "styles"
    for path in (ROOT / "core" / "layers").glob("*.qml"):
        assert (styles / path.name).read_bytes() == path.read_bytes(), "run 'make sync'"
