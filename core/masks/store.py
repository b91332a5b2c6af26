# SPDX-License-Identifier: GPL-2.0-or-later
"""A job's folder: what is done, atomically, so that a job that was killed goes on.

::

    town.gpkg.job/
      job.json            what the results depend on; begun with, compared at every start
      lock                held while a process works on the job
      tiles/r00002_c00005.npz      masks of a finished tile
      tiles/r00002_c00006.failed   why a tile failed (JSON); tried again at the next start
      patched/r00002_c00005.npz    a tile's masks after a second look (second_look.py)
      overview/tiles/...           the same for the overview
      features/00000012.parquet    polygons of a batch of objects, before the layer is written

A file is written under another name and then moved, so that what has its final name is whole.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ..errors import JobError, OutputError
from ..job import option
from ..types import TileIndex
from .masks import TileMasks, load_masks, save_masks

_VERSION = 1


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Call ``write`` with a temporary path beside ``path``, then move the whole file there.

    Raises:
        OutputError: The folder cannot be written or the disk is full; no partial file stays.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(partial)
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise OutputError(
            f"Cannot write {path}: {error.strerror or error}. "
            "Free some space or choose another folder; what is finished is kept."
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def has_failures(folder: Path) -> bool:
    """Whether the last run of the job in a folder left tiles out: its output may be replaced."""
    return any(folder.glob("*/*.failed"))


@dataclass
class JobStore:
    """The folder of one job. Picklable: worker processes open tiles by path.

    Args:
        folder: The job's folder; made by :meth:`begin`.
        cell: Side of a mask cell in pixels, for the empty answer about tiles without masks.
    """

    folder: Path
    cell: int
    _lock: FileLock | None = field(default=None, repr=False, compare=False)

    def __reduce__(self) -> tuple[type[JobStore], tuple[Path, int]]:
        return JobStore, (self.folder, self.cell)

    # --- the job ---

    def begin(self, description: Mapping[str, Any], *, fresh: bool = False) -> bool:
        """Make the folder, or go on in it where it was begun with the same description.

        Args:
            description: JSON values that the tiles' masks depend on.
            fresh: Forget earlier tiles.

        Returns:
            True where an earlier run is continued.

        Raises:
            JobError: Another process works on it, it was begun with other values (both are
                named), or the folder is not a job's.
            OutputError: The folder cannot be made.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"Cannot make the job folder {self.folder}: {error.strerror or error}. "
                f"Name another with {option('job_folder')}."
            ) from error
        self._acquire()
        path = self.folder / "job.json"
        begun = path.exists()
        others = (f for f in self.folder.iterdir() if f.name != "lock" and f.suffix != ".part")
        if not begun and any(others):
            self.release()
            raise JobError(
                f"{self.folder} holds other files: name an empty folder with "
                f"{option('job_folder')}."
            )
        if begun and fresh:  # before it is read: it may be damaged
            self._clear()
            begun = False
        wanted = json.loads(json.dumps({"version": _VERSION, **description}))
        if begun:
            self._compare(self._read(path), wanted)
            for partial in self.folder.rglob(".*.part"):
                partial.unlink(missing_ok=True)
            return True
        text = json.dumps(wanted, indent=1, sort_keys=True, ensure_ascii=False)
        write_atomically(path, lambda partial: _write_text(partial, text))
        return False

    def _acquire(self) -> None:
        lock = FileLock(str(self.folder / "lock"), timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            raise JobError(
                f"Another process works on the job in {self.folder}: wait for it or stop it."
            ) from error
        except OSError as error:
            raise OutputError(
                f"Cannot write in the job folder {self.folder}: {error.strerror or error}."
            ) from error
        self._lock = lock

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            self.release()
            raise JobError(
                f"{path} is damaged ({error}): start over with {option('fresh')}."
            ) from error
        return values if isinstance(values, dict) else {}

    def _compare(self, known: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
        names = sorted(set(known) | set(wanted))
        changed = [name for name in names if known.get(name) != wanted.get(name)]
        if changed:
            self.release()
            listing = "; ".join(
                f"{name} was {known.get(name)!r} and is now {wanted.get(name)!r}"
                for name in changed
            )
            raise JobError(
                f"The unfinished job in {self.folder} was begun with other parameters: {listing}. "
                f"Run it with the earlier ones, or start over with {option('fresh')}."
            )

    def _clear(self) -> None:
        for name in ("tiles", "patched", "overview", "features"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        (self.folder / "job.json").unlink(missing_ok=True)

    def release(self) -> None:
        """Let other processes work on the job."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def remove(self) -> None:
        """Delete the folder; the job is done."""
        self.release()
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- tiles ---

    def tile_path(self, index: TileIndex) -> Path:
        return self.folder / "tiles" / f"{index.name}.npz"

    def has(self, index: TileIndex) -> bool:
        return self.tile_path(index).exists()

    def save(self, tile: TileMasks) -> None:
        """Keep a finished tile; an earlier failure of it is forgotten."""
        write_atomically(self.tile_path(tile.index), lambda path: save_masks(path, tile))
        self._failure_path(tile.index).unlink(missing_ok=True)

    def load(self, index: TileIndex) -> TileMasks:
        """Masks of a tile; none where it was skipped (no data) or failed.

        Raises:
            JobError: The file is damaged.
        """
        path = self.tile_path(index)
        return load_masks(path) if path.exists() else TileMasks(index, self.cell, ())

    def _failure_path(self, index: TileIndex) -> Path:
        return self.folder / "tiles" / f"{index.name}.failed"

    def fail(self, index: TileIndex, kind: str, message: str, detail: str = "") -> None:
        """Note why a tile failed; ``detail`` is for the one who mends it."""
        values = {"kind": kind, "message": message, "detail": detail}
        text = json.dumps(values, indent=1, ensure_ascii=False)
        write_atomically(self._failure_path(index), lambda path: _write_text(path, text))

    # --- changed tiles ---

    def patched_path(self, index: TileIndex) -> Path:
        return self.folder / "patched" / f"{index.name}.npz"

    def save_patched(self, tile: TileMasks) -> None:
        """Keep a tile's masks as a second look has changed them, beside the first ones."""
        write_atomically(self.patched_path(tile.index), lambda path: save_masks(path, tile))

    def clear_patched(self) -> None:
        shutil.rmtree(self.folder / "patched", ignore_errors=True)

    # --- features ---

    def features_path(self, batch: int) -> Path:
        return self.folder / "features" / f"{batch:08d}.parquet"

    def clear_features(self) -> None:
        shutil.rmtree(self.folder / "features", ignore_errors=True)


@dataclass(frozen=True)
class PatchedTiles:
    """A job's masks as a second look has changed them."""

    store: JobStore

    def load(self, index: TileIndex) -> TileMasks:
        """Masks of a tile; see :meth:`JobStore.load`."""
        path = self.store.patched_path(index)
        return load_masks(path) if path.exists() else self.store.load(index)


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
