# SPDX-License-Identifier: GPL-2.0-or-later
"""Where Pythons lie that may make the engine's environment, on each system. None is run here."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from pathlib import Path

_MINORS = (12, 13, 11, 10)
"""Of Python 3, best first."""


def python_candidates() -> list[str]:
    """Pythons worth asking for their version, best first.

    On Windows and macOS those that the user has installed come before QGIS's own: an environment
    needs the Python that it was made with, and a newer QGIS comes in another folder, without the
    old one. QGIS's on macOS often makes environments that cannot start, too.
    """
    places = {"Windows": _of_windows, "Darwin": _of_macos}.get(platform.system())
    found = [*(places() if places else []), *_of_qgis(), *_on_path()]
    if platform.system() == "Darwin":
        found.sort(key=lambda path: ".app/" in path)  # stable
    seen: set[str] = set()
    result = []
    for path in found:
        if path not in seen and os.path.isfile(path) and os.access(path, os.X_OK):
            seen.add(path)
            result.append(path)
    return result


def _of_qgis() -> list[str]:
    """In QGIS, sys.executable is often QGIS itself; its Python lies beside it."""
    base = Path(getattr(sys, "_base_executable", "") or sys.executable or "")
    return [
        str(place / name)
        for name in ("python3", "python3.exe", "python.exe", "python")
        for place in (Path(sys.exec_prefix), Path(sys.exec_prefix) / "bin", base.parent)
    ]


def _on_path() -> list[str]:
    names = [f"python3.{minor}" for minor in _MINORS] + ["python3", "python"]
    return [path for path in (shutil.which(name) for name in names) if path]


def _of_windows() -> list[str]:
    """Those of python.org, which are not on the PATH: they are in the registry (PEP 514)."""
    import winreg

    found = []
    for minor in _MINORS:
        for root in (winreg.HKEY_CURRENT_USER, winreg.HKEY_LOCAL_MACHINE):
            key = rf"Software\Python\PythonCore\3.{minor}\InstallPath"
            try:
                folder = winreg.QueryValue(root, key)
            except OSError:  # no such version
                continue
            if folder:
                found.append(os.path.join(folder, "python.exe"))
    return found


def _of_macos() -> list[str]:
    """Those of python.org, Homebrew and MacPorts: a program of the Dock has none on its PATH."""
    return [
        f"{folder.format(minor=minor)}/python3.{minor}"
        for minor in _MINORS
        for folder in (
            "/Library/Frameworks/Python.framework/Versions/3.{minor}/bin",
            "/opt/homebrew/bin",
            "/usr/local/bin",
            "/opt/local/bin",
        )
    ]
