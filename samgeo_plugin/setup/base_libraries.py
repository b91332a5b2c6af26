# SPDX-License-Identifier: GPL-2.0-or-later
"""Let an environment made with QGIS's Python on Windows find OpenSSL and SQLite; run in it.

OSGeo4W keeps the libraries of Python's ``_ssl`` and ``_sqlite3`` in QGIS's ``bin``, and a
``sitecustomize.py`` among the packages of its own Python leads there. An environment does not see
those packages: its pip has no HTTPS, and the engine no GeoPackages. So it gets a module that Python
imports whenever it starts. It loads these libraries only, and takes the folder out of the search
again: the others there are QGIS's and not for the engine.

Standard library only: this file is a program (``python base_libraries.py``), not imported by QGIS.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
import sysconfig
from pathlib import Path

NEEDED = ("_ssl", "_sqlite3")

NAME = "samgeo_base_libraries"

MODULE = '''\
"""Written by SamGeo Seamless: QGIS's Python on Windows has its libraries in QGIS's bin."""

import os
import sys


def _load():
    folder = os.path.normpath(os.path.join(sys.base_prefix, os.pardir, os.pardir, "bin"))
    if not hasattr(os, "add_dll_directory") or not os.path.isdir(folder):
        return
    with os.add_dll_directory(folder):
        for name in ("_ssl", "_hashlib", "_sqlite3", "_bz2", "_lzma", "_ctypes"):
            try:
                __import__(name)
            except ImportError:
                pass


_load()
'''


def missing() -> list[str]:
    """The needed modules that this Python cannot load."""
    failed = []
    for name in NEEDED:
        try:
            importlib.import_module(name)
        except ImportError as error:
            print(f"{name}: {error}")
            failed.append(name)
    return failed


def main() -> int:
    """Write the module where it is needed; 1 where a library is missing all the same."""
    if not missing():
        return 0
    packages = Path(sysconfig.get_path("purelib"))
    module, line = packages / f"{NAME}.py", packages / f"{NAME}.pth"
    module.write_text(MODULE, encoding="utf-8")
    line.write_text(f"import {NAME}\n", encoding="utf-8")
    imports = f"import {', '.join(NEEDED)}"
    if subprocess.run([sys.executable, "-I", "-c", imports]).returncode == 0:
        print(f"They are in QGIS's folder; {module} leads there.")
        return 0
    line.unlink()
    module.unlink()
    print("This Python lacks SSL or SQLite.")
    return 1


if __name__ == "__main__":
    sys.exit(main())
