# SPDX-License-Identifier: GPL-2.0-or-later
"""Moving a finished layer into place: whole or not at all, never over what may not be replaced.

::

    town.shp ...                 the output
    .town.shp.lock               held while files are moved
    .town.k3_x9a1f.part/         a writer's own folder
      lock                       held while the writer lives: a folder without is a leftover
      features.arrow             the features that have arrived
      town.shp ...               the finished files
      moving.json                a Shapefile is being moved: the next writer moves the rest
      old/town.shp ...           the replaced files, until all are moved

A file appears in one step. The files of a Shapefile cannot: the old ones are set aside, ``.shp``
first, and the new ones are moved, ``.shp`` last, so that no program ever reads a mixed set. A
GeoPackage that exists is changed through SQLite (``geopackage.py``).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import OutputError
from ..job import option
from ..parallel.atomic_write import is_of_system, move, new_folder
from ..parallel.file_lock import FileLock
from .formats import Format, format_of
from .geopackage import append_layer, layer_digest

WAIT_SECONDS = 600.0
"""How long a writer waits for others of this engine that are putting a layer in the same file."""

_MANIFEST = "moving.json"


def real_path(path: str | Path) -> Path:
    """Where an output goes: through symbolic links, so that they stay links.

    Raises:
        OutputError: The links lead nowhere, or the name cannot be one.
    """
    try:
        final = Path(path).resolve()
        final.exists()  # a name that is too long is refused here
        return final
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"{str(path)!r} cannot be an output's name: {reason}.") from error


class Workplace:
    """A writer's hidden folder beside an output, locked while the writer lives.

    Args:
        final: The output, without symbolic links.

    Raises:
        OSError: The folder cannot be made.
    """

    def __init__(self, final: Path) -> None:
        self.final = final
        while True:
            self.folder = new_folder(final.parent, f".{final.stem}.", ".part")
            self._lock = FileLock(self.folder / "lock")
            try:
                if self._lock.acquire():
                    break
            except FileNotFoundError:
                pass
            except OSError:
                break  # a drive without locks: no writer takes this folder for a leftover
            # Someone took the new folder for a leftover before it was locked.

    @property
    def target(self) -> Path:
        """Where the finished file is written."""
        return self.folder / self.final.name

    def discard(self) -> None:
        """Delete the folder, but for one that holds what could not be moved back."""
        if not (self.folder / _MANIFEST).exists():
            shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.release()
        with contextlib.suppress(OSError):  # Windows deletes no open lock
            if self.folder.exists() and not (self.folder / _MANIFEST).exists():
                shutil.rmtree(self.folder)


@contextlib.contextmanager
def _moving(final: Path) -> Iterator[None]:
    """Alone among this engine's writers while files are moved to an output.

    Raises:
        OutputError: Another one does not come to an end.
    """
    lock = FileLock(_lock_path(final))
    try:
        taken = lock.acquire(WAIT_SECONDS)
    except OSError:
        taken = True  # a drive without locks
    if not taken:
        raise OutputError(
            f"{final} is being written by another job that does not come to an end: stop it and "
            "try again."
        )
    try:
        yield
    finally:
        lock.release(delete=True)


def _lock_path(final: Path) -> Path:
    return final.with_name(f".{final.name}.lock")


def publish(
    form: Format, place: Workplace, layer: str, *, overwrite: bool, ahead_of: str | None = None
) -> None:
    """Put a finished output, or a layer of a GeoPackage, in its place.

    Args:
        form: The output's format.
        place: Where it was made.
        layer: Its layer's name.
        overwrite: Replace what exists.
        ahead_of: Layer of the same GeoPackage that is to come after it.

    Raises:
        OutputError: It exists, or another program has it open.
        OSError: A file cannot be moved.
    """
    final, target = place.final, place.target
    with _moving(final):
        if form.many_layers:
            if not final.exists():
                # What a deleted database has left would be played into the new one.
                for suffix in ("-journal", "-wal", "-shm"):
                    final.with_name(final.name + suffix).unlink(missing_ok=True)
                with contextlib.suppress(FileExistsError):
                    _place(target, final, overwrite=False)
                    return
            append_layer(target, layer, final, overwrite=overwrite, ahead_of=ahead_of)
            return
        if form.parts or form.folder:
            _move_set(form, place, overwrite=overwrite)
        else:
            try:
                _place(target, final, overwrite=overwrite)
            except FileExistsError as error:
                raise exists_already(final) from error


def exists_already(path: Path) -> OutputError:
    """The error about an output that is there and may not be replaced."""
    return OutputError(
        f"The output {path} exists already: allow it to be replaced ({option('overwrite')}) or "
        "choose another name."
    )


def _place(target: Path, final: Path, *, overwrite: bool) -> None:
    """Move one file; never over another unless overwriting is allowed.

    Raises:
        FileExistsError: There is one.
    """
    if overwrite:
        move(target, final)
        return
    try:
        os.link(target, final)  # unlike a rename, it never replaces
    except FileExistsError:
        raise
    except OSError:  # the drive has no hard links; others of this engine are locked out
        if final.exists():
            raise FileExistsError(final) from None
        move(target, final)
    else:
        with contextlib.suppress(OSError):  # Windows, while a scanner has it open
            target.unlink()


# -- several files ---------------------------------------------------------------------------------


def _move_set(form: Format, place: Workplace, *, overwrite: bool) -> None:
    old = form.files(place.final)
    if old and not overwrite:
        raise exists_already(old[-1])
    new = [path.name for path in form.files(place.target)]
    plan = {"final": str(place.final), "new": new, "old": [path.name for path in old]}
    manifest = place.folder / _MANIFEST
    partial = place.folder / f"{_MANIFEST}.part"
    partial.write_text(json.dumps(plan), encoding="utf-8")
    with partial.open("rb+") as file:
        os.fsync(file.fileno())
    (place.folder / "old").mkdir()
    move(partial, manifest)
    try:
        _move_on(place.folder, plan)
    except OSError:
        _move_back(place.folder, plan)
        manifest.unlink()
        raise
    manifest.unlink()


def _move_on(folder: Path, plan: dict[str, Any]) -> None:
    """Move what is not moved yet of a set; a second time it does nothing.

    Args:
        folder: The writer's folder.
        plan: Names in the order in which they are moved, the one that counts last.
    """
    beside, old = folder.parent, folder / "old"
    for name in reversed(plan["old"]):
        replaced = name not in plan["new"] or (folder / name).exists()
        if replaced and not (old / name).exists() and (beside / name).exists():
            move(beside / name, old / name)
    for name in plan["new"]:
        if (folder / name).exists():
            move(folder / name, beside / name)


def _move_back(folder: Path, plan: dict[str, Any]) -> None:
    beside, old = folder.parent, folder / "old"
    for name in reversed(plan["new"]):
        if not (folder / name).exists() and (beside / name).exists():
            move(beside / name, folder / name)
    for name in plan["old"]:
        if (old / name).exists():
            move(old / name, beside / name)


# -- leftovers -------------------------------------------------------------------------------------


def recover(path: str | Path) -> None:
    """Finish or delete what killed writers have left beside an output; live ones are left alone.

    Raises:
        OutputError: A Shapefile that was half moved cannot be moved on.
    """
    final = real_path(path)
    name = re.compile(re.escape(f".{final.stem}.") + r"[a-z0-9_]{8}\.part")
    try:
        entries = sorted(os.listdir(final.parent))
    except OSError:
        return
    for entry in entries:
        left = final.parent / entry
        if name.fullmatch(entry) and left.is_dir() and not left.is_symlink():
            _recover_one(left)
    stale = FileLock(_lock_path(final))
    with contextlib.suppress(OSError):
        if stale.path.exists() and stale.acquire():
            stale.release(delete=True)


def _recover_one(left: Path) -> None:
    lock = FileLock(left / "lock")
    try:
        if not lock.acquire():
            return  # its writer lives
    except OSError:
        return  # it has just gone, or its writer may still run
    try:
        manifest = left / _MANIFEST
        if manifest.exists():
            plan = json.loads(manifest.read_text(encoding="utf-8"))
            with _moving(Path(plan["final"])):
                _move_on(left, plan)
        shutil.rmtree(left, ignore_errors=True)
    except (OSError, ValueError, KeyError) as error:
        raise OutputError(
            f"An output that was half in place cannot be finished ({error}): close the programs "
            "that have it open and try again."
        ) from error
    finally:
        lock.release()
    shutil.rmtree(left, ignore_errors=True)  # Windows deletes no open lock


# -- recognising an output -------------------------------------------------------------------------


def output_digest(path: str | Path, layer: str) -> str | None:
    """A digest of an output's content; None where it does not exist or cannot be read.

    Args:
        path: The output: a layer, or a folder of files.
        layer: The layer that counts in a GeoPackage: others in it do not.
    """
    path = Path(path)
    try:
        if path.is_dir():
            return _folder_digest(path)
        form = format_of(path)
        if form.many_layers:
            return layer_digest(path, layer) if path.exists() else None
        files = form.files(path)
        if path not in files:
            return None
        digest = hashlib.blake2b(digest_size=20)
        for file in files:
            # A spatial index and the like, which other programs add, are not the output's content.
            if not form.parts or file.suffix.lower() in form.parts[:3]:
                digest.update(file.suffix.lower().encode())
                _add_content(digest, file)
        return digest.hexdigest()
    except (OSError, OutputError):
        return None


def _folder_digest(folder: Path) -> str:
    digest = hashlib.blake2b(digest_size=20)
    for path in sorted(folder.rglob("*")):
        if is_of_system(path.name):
            continue
        digest.update(os.fsencode(path.relative_to(folder)) + b"\0")
        if path.is_file():
            digest.update(b"%d\0" % path.stat().st_size)
            _add_content(digest, path)
    return digest.hexdigest()


def _add_content(digest: hashlib.blake2b, path: Path) -> None:
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
