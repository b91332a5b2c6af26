# SPDX-License-Identifier: GPL-2.0-or-later
"""Atomic writes: a file appears whole or not at all, whatever is killed."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from ..errors import OutputError


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
        partial.replace(path)
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
