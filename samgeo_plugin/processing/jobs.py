# SPDX-License-Identifier: GPL-2.0-or-later
"""Where finished tiles of an algorithm's job are kept, so that a cancelled run goes on."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from pathlib import Path
from typing import Any

from qgis.PyQt.QtCore import QStandardPaths

_KEPT_DAYS = 7

_ONLY_AFTER_TILES = (
    "output", "layer", "overwrite", "fresh", "job_folder", "threads", "workers", "cluster",
    "device", "mode", "shapes", "outlines", "min_area", "min_hole", "simplify", "crs", "area",
    "extent", "extent_crs",
)  # fmt: skip
"""Parameters that a tile's masks do not depend on: with others of these, tiles are used again."""


def root() -> Path:
    """The folder of all jobs, in the user's cache."""
    base = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.GenericCacheLocation)
    return Path(base) / "samgeo-seamless" / "jobs"


def folder_for(params: dict[str, Any]) -> Path:
    """The job's folder: the same one for the same raster, model and tiling."""
    known = {k: v for k, v in params.items() if k not in _ONLY_AFTER_TILES}
    stamps = []
    for raster in params.get("rasters", []):
        try:
            facts = Path(raster).stat()
            stamps.append([facts.st_size, facts.st_mtime_ns])
        except OSError:
            stamps.append([])
    text = json.dumps([known, stamps], sort_keys=True)
    return root() / hashlib.sha256(text.encode("utf-8")).hexdigest()[:20]


def forget(folder: Path) -> None:
    """Remove a finished job's folder, and those that nobody came back to."""
    shutil.rmtree(folder, ignore_errors=True)
    limit = time.time() - _KEPT_DAYS * 86400
    if not root().is_dir():
        return
    for other in root().iterdir():
        try:
            if other.is_dir() and other.stat().st_mtime < limit:
                shutil.rmtree(other, ignore_errors=True)
        except OSError:
            continue  # another QGIS was quicker
