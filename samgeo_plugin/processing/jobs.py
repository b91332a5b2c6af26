# SPDX-License-Identifier: GPL-2.0-or-later
"""Job folders of algorithms, and inputs of jobs, so that a cancelled run can resume."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from qgis.PyQt.QtCore import QStandardPaths

_KEPT_DAYS = 7

_ONLY_AFTER_TILES = (
    "output", "layer", "overwrite", "fresh", "job_folder", "threads", "workers", "cluster",
    "device", "mode", "shapes", "outlines", "min_area", "min_hole", "simplify", "crs", "area",
    "extent", "extent_crs", "save_classifier",
)  # fmt: skip
"""Parameters that a tile's masks do not depend on: with others of these, tiles are used again."""

_NOT_OF_THE_LAYERS = (
    "output", "layer", "overwrite", "fresh", "job_folder", "threads", "workers", "cluster",
    "device", "duplicates", "save_classifier",
)  # fmt: skip
"""Parameters that the layers of rasters do not depend on that are worked on one by one."""


def root() -> Path:
    """The folder of all jobs, in the user's cache."""
    base = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.GenericCacheLocation)
    return Path(base) / "samgeo-seamless" / "jobs"


def folder_for(params: dict[str, Any]) -> Path:
    """The job's folder: the same one for the same raster, model and tiling."""
    passed_over = _ONLY_AFTER_TILES
    if params.get("scenes", "mosaic") != "mosaic":  # what is kept are whole layers
        passed_over = _NOT_OF_THE_LAYERS
    known = {k: v for k, v in params.items() if k not in passed_over}
    stamps = []
    for raster in params.get("rasters", []):
        try:
            facts = Path(raster).stat()
            stamps.append([facts.st_size, facts.st_mtime_ns])
        except OSError:
            stamps.append([])
    text = json.dumps([known, stamps], sort_keys=True)
    return root() / hashlib.sha256(text.encode("utf-8")).hexdigest()[:20]


def keep(file: Path, digest: str) -> Path:
    """Move an input that a run has written to where each run with the same contents has it.

    A job goes on only where its inputs have the same paths, sizes and times. Like folders of jobs
    they are forgotten some days after their last use.

    Args:
        file: The run's own.
        digest: Of its contents, which need not be the same bytes.
    """
    folder = root() / digest[:20]
    kept = folder / file.name
    folder.mkdir(parents=True, exist_ok=True)
    os.utime(str(folder))
    if kept.exists():
        file.unlink()
    else:
        part = folder / f".{secrets.token_hex(4)}.part"
        shutil.move(str(file), str(part))  # the temporary folder may be on another drive
        part.replace(kept)
    _forget_old()
    return kept


def folders_in(params: Mapping[str, Any]) -> list[Path]:
    """The folders under :func:`root` that a request's parameters name."""
    found = set()
    for value in params.values():
        for text in value if isinstance(value, (list, tuple)) else [value]:
            if isinstance(text, str) and root() in Path(text).parents:
                found.add(root() / Path(text).relative_to(root()).parts[0])
    return sorted(found)


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that is deleted at the end, as far as that can be done.

    Windows deletes no file that is open, and QGIS keeps files open for a while after a layer is
    gone: what is left there must not take a finished result away.
    """
    folder = Path(tempfile.mkdtemp(prefix="samgeo-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def touch(folders: Iterable[Path]) -> None:
    """Say that folders are in use: :func:`forget` passes over them."""
    for folder in folders:
        with contextlib.suppress(OSError):  # a job's own, which the engine makes later
            os.utime(str(folder))


def forget(folder: Path) -> None:
    """Remove a finished job's folder, and old folders that were not resumed or used.

    A folder whose lock an engine holds is at work and stays, whatever its age.
    """
    _remove(folder)
    _forget_old()


def _forget_old() -> None:
    limit = time.time() - _KEPT_DAYS * 86400
    if not root().is_dir():
        return
    for other in root().iterdir():
        try:
            if other.is_dir() and other.stat().st_mtime < limit:
                _remove(other)
        except OSError:
            continue  # another QGIS was quicker


def _remove(folder: Path) -> None:
    """Delete a job's folder, unless an engine works in it; never a part of it that one begins in.

    The engine locks ``lock`` in the folder, and looks whether it is still there once it has it
    (``core/parallel/file_lock.py``). The folder is moved away under that lock, where the system
    moves folders with open files; on Windows its contents are deleted under it.
    """
    lock = folder / "lock"
    try:
        descriptor = os.open(str(lock), os.O_RDWR | os.O_CREAT, 0o666)
    except OSError:
        return  # there is no such folder
    try:
        if not _locked(descriptor):
            return
        gone = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.gone")
        try:
            os.rename(folder, gone)
        except OSError:
            for path in folder.iterdir():
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                elif path != lock:
                    path.unlink()
        else:
            shutil.rmtree(gone, ignore_errors=True)
    except OSError:
        return  # another QGIS was quicker
    finally:
        os.close(descriptor)
    if os.name == "nt":
        with contextlib.suppress(OSError):  # refused where an engine has begun in it
            lock.unlink()
            folder.rmdir()


def _locked(descriptor: int) -> bool:
    """Take the lock that the engine takes, if it is free."""
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
