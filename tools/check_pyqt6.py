# SPDX-License-Identifier: GPL-2.0-or-later
"""Import every module of the plugin with PyQt6, QGIS's own classes stubbed, and look up its names.

    python3 tools/check_pyqt6.py [FOLDER WITH PyQt6]

Imports find what is gone at module level. Then every dotted name in the sources that begins with a
class of Qt (``Qt.Key.Key_Tab``) is looked up in PyQt6: code that only runs later counts too.
"""

from __future__ import annotations

import ast
import importlib
import sys
import types
from pathlib import Path
from unittest.mock import MagicMock

ROOT = Path(__file__).resolve().parents[1]
PLUGIN = ROOT / "samgeo_plugin"
# QGIS moves these between Qt's modules, so that one import works for both versions of Qt.
MOVED = {("QtWidgets", "QAction"): "QtGui"}


class Stub(types.ModuleType):
    """A module whose every name is a class that can be inherited from and called."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        made = _Open(name, (object,), {"__init__": _take_all})
        setattr(self, name, made)
        return made


class _Open(type):
    """A class with every class attribute that one asks for."""

    def __getattr__(cls, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return MagicMock()


def _take_all(self: object, *args: object, **kwargs: object) -> None:
    """Stands for any constructor."""


def install() -> None:
    """Put a package ``qgis`` in place whose PyQt is PyQt6."""
    qgis = types.ModuleType("qgis")
    qgis.__path__ = []  # type: ignore[attr-defined]
    pyqt = types.ModuleType("qgis.PyQt")
    pyqt.__path__ = []  # type: ignore[attr-defined]
    sys.modules.update({"qgis": qgis, "qgis.PyQt": pyqt})
    for name in ("core", "gui", "utils", "analysis"):
        sys.modules[f"qgis.{name}"] = Stub(f"qgis.{name}")
    for name in ("QtCore", "QtGui", "QtWidgets", "QtNetwork", "QtXml", "sip"):
        module = importlib.import_module(f"PyQt6.{name}")
        for (old, item), new in MOVED.items():
            if old == name and not hasattr(module, item):
                setattr(module, item, getattr(importlib.import_module(f"PyQt6.{new}"), item))
        sys.modules[f"qgis.PyQt.{name}"] = module
        setattr(pyqt, name, module)
    sys.modules["osgeo"] = Stub("osgeo")
    sys.modules["processing"] = Stub("processing")


def wrong_names(path: Path) -> list[str]:
    """Dotted names of Qt in a file that PyQt6 does not have."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    known: dict[str, object] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("qgis.PyQt."):
            module = sys.modules[str(node.module)]
            for alias in node.names:
                known[alias.asname or alias.name] = getattr(module, alias.name, None)
    found = []
    for node in ast.walk(tree):
        parts: list[str] = []
        part: ast.AST = node
        while isinstance(part, ast.Attribute):
            parts.insert(0, part.attr)
            part = part.value
        if not (parts and isinstance(part, ast.Name) and part.id in known):
            continue
        value = known[part.id]
        for name in parts:
            if not hasattr(value, name):
                where = f"{path.relative_to(ROOT)}:{node.lineno}"
                found.append(f"{where}: {part.id}.{'.'.join(parts)}")
                break
            value = getattr(value, name, None)
    return found


def main() -> None:
    if sys.argv[1:]:
        sys.path.insert(0, sys.argv[1])
    install()
    sys.path.insert(0, str(ROOT))
    problems = []
    paths = sorted(PLUGIN.rglob("*.py"))
    for path in paths:
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        try:
            importlib.import_module(name)
        except Exception as error:
            problems.append(f"{name}: {type(error).__name__}: {error}")
        problems += wrong_names(path)
    if problems:
        sys.exit("\n".join(problems))
    print(f"{len(paths)} modules are imported with PyQt6, and every name of Qt is there.")


if __name__ == "__main__":
    main()
