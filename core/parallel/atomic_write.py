# SPDX-License-Identifier: GPL-2.0-or-later
"""Atomic writes: a file appears whole or not at all, whatever is killed."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import sys
import time
from collections.abc import Callable
from pathlib import Path

from ..errors import OutputError

_WAITS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8) if sys.platform == "win32" else ()
"""Seconds between attempts to move a file. Windows moves none that is open, and scanners, indexers
and synchronised folders open each new one for a moment."""


def move(source: Path, target: Path) -> None:
    """Move a file or a folder on its drive; a file replaces another. On Windows several attempts.

    Raises:
        OSError: As :meth:`pathlib.Path.replace`.
    """
    for seconds in _WAITS:
        try:
            source.replace(target)
        except PermissionError:
            time.sleep(seconds)
        else:
            return
    source.replace(target)


def new_folder(parent: Path, prefix: str, suffix: str = "") -> Path:
    """Make a folder with a new name, for what is made in it and then moved beside it.

    Unlike :func:`tempfile.mkdtemp`'s, it has its parent's permissions: on Windows what is made in a
    private folder stays the user's own where it is moved, and nobody else can read it on a share.
    And it fails at once where nothing may be written, which ``tempfile`` of Python before 3.12.2
    tries without end on Windows.

    Args:
        parent: Where it is made.
        prefix, suffix: Of its name, around 8 hexadecimal digits.

    Raises:
        OSError: It cannot be made.
    """
    while True:
        folder = parent / f"{prefix}{secrets.token_hex(4)}{suffix}"
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            return folder


_OF_SYSTEMS = (".ds_store", "thumbs.db", "desktop.ini")


def is_of_system(name: str) -> bool:
    """Whether macOS or Windows put a file of this name into a folder because somebody looked at it.

    macOS keeps what a drive's file system has no room for in ``._town.tif`` beside ``town.tif``.
    """
    return name.lower() in _OF_SYSTEMS or name.startswith("._")


_DEVICES = re.compile(r"(con|prn|aux|nul|(com|lpt)[0-9])(\..*)?", re.IGNORECASE)


def is_device(name: str) -> bool:
    """Whether Windows takes a file's name for a device, with any extension."""
    return _DEVICES.fullmatch(name) is not None


def names_in(folder: Path) -> list[str]:
    """Names of what a folder holds, but for :func:`is_of_system`.

    Raises:
        OSError: It cannot be read.
    """
    return [name for name in os.listdir(folder) if not is_of_system(name)]


def remove_empty(folder: Path) -> None:
    """Delete a folder that holds nothing, but for :func:`is_of_system`.

    Raises:
        OSError: It holds something.
    """
    if not names_in(folder):
        for name in os.listdir(folder):
            (folder / name).unlink()
    folder.rmdir()


def replace_atomically(
    path: Path,
    write: Callable[[Path], object],
    *,
    flush: bool = True,
    folder: Path | None = None,
) -> None:
    """Call ``write`` with a temporary path beside ``path``, then move the whole file there.

    Args:
        path: The file to make or to replace; its folder exists.
        write: Writes the temporary file.
        flush: Bring it to the disk first, so that it is whole after a power failure, too.
        folder: Where the temporary file is instead, if that is on the same drive: a job's folder,
            so that nothing is left beside the file when the job is killed.

    Raises:
        OSError: The folder cannot be written or the disk is full; no partial file stays.
    """
    place = path.parent
    if folder is not None and folder.stat().st_dev == place.stat().st_dev:
        place = folder
    partial = place / f".{path.name}.{secrets.token_hex(4)}.part"
    try:
        write(partial)
        if flush:
            with partial.open("rb+") as file:
                os.fsync(file.fileno())
        move(partial, path)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def write_atomically(
    path: Path,
    write: Callable[[Path], object],
    *,
    flush: bool = True,
    folder: Path | None = None,
) -> None:
    """As :func:`replace_atomically`, with the engine's error.

    The file's own folder is made where it is missing, but not the one above: a worker that is late
    never brings back a job folder that was removed.

    Raises:
        OutputError: The folder cannot be written or the disk is full; no partial file stays.
    """
    try:
        path.parent.mkdir(exist_ok=True)
        replace_atomically(path, write, flush=flush, folder=folder)
    except OSError as error:
        raise OutputError(
            f"Cannot write {path}: {error.strerror or error}. "
            "Free some space or choose another folder; what is finished is kept."
        ) from error
