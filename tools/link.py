# SPDX-License-Identifier: GPL-2.0-or-later
"""Link the plugin into a QGIS profile, so that QGIS runs the sources as they are.

    python tools/link.py [--profile FOLDER] [--remove]

QGIS wants ``metadata.txt`` inside the plugin's folder, so a folder of links is made. With the
environment variable SAMGEO_PYTHON set to the Python of ``make env``, no other setup is needed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NAME = "samgeo_seamless"


def default_profile() -> Path:
    """QGIS 3's profile on this system."""
    if sys.platform == "win32":
        base = Path(os.environ.get("APPDATA", Path.home()))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local" / "share"))
    return base / "QGIS" / "QGIS3" / "profiles" / "default"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", type=Path, default=default_profile())
    parser.add_argument("--remove", action="store_true", help="take the links away again")
    options = parser.parse_args()
    folder = options.profile / "python" / "plugins" / NAME
    if folder.is_dir() and not all(child.is_symlink() for child in folder.iterdir()):
        sys.exit(f"{folder} is an installed plugin; remove it in QGIS's plugin manager first.")
    shutil.rmtree(folder, ignore_errors=True)  # links only: what they point to stays
    if options.remove:
        print(f"Removed {folder}")
        return
    folder.mkdir(parents=True)
    sources = [*(ROOT / "samgeo_plugin").iterdir(), ROOT / "metadata.txt", ROOT / "LICENSE"]
    for source in sorted(sources):
        if source.name != "__pycache__":
            (folder / source.name).symlink_to(source.resolve())
    print(f"Linked into {folder}; switch it on in QGIS's plugin manager.")


if __name__ == "__main__":
    main()
