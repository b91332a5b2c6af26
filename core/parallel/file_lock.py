# SPDX-License-Identifier: GPL-2.0-or-later
"""Exclusive file locks that survive deletion or renaming of the locked file or its folder.

The system frees such a lock when its process ends, however it ends. ``filelock`` has the same
locks, but it does not notice that the file it has locked was moved away while it waited; a job
folder is moved away by the very process that holds its lock.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True
else:
    import fcntl

    def _lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            return False
        return True


_POLL_SECONDS = 0.02


class FileLock:
    """A lock that one process (and one object in it) holds at a time.

    Args:
        path: The file to lock; made where it does not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        return self._descriptor is not None

    def acquire(self, timeout: float = 0.0) -> bool:
        """Take the lock; False where another holds it for ``timeout`` seconds.

        Raises:
            OSError: The file cannot be made, or its drive knows no locks. FileNotFoundError where
                its folder does not exist (any more).
        """
        deadline = time.monotonic() + timeout
        while not self._try():
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def _try(self) -> bool:
        while True:
            try:
                descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            except PermissionError:
                # Windows: a file that its holder is just deleting.
                if sys.platform == "win32":
                    return False
                raise
            try:
                locked = _lock(descriptor)
                # Between opening and locking the holder may have deleted the file, or moved it.
                current = locked and self._is_at_path(descriptor)
            except BaseException:
                os.close(descriptor)
                raise
            if current:
                self._descriptor = descriptor
                return True
            os.close(descriptor)
            if not locked:
                return False

    def _is_at_path(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), os.stat(self.path))
        except FileNotFoundError:
            return False

    def release(self, *, delete: bool = False) -> None:
        """Let others take the lock.

        Args:
            delete: Delete the file too, where it is still at its path.
        """
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        try:
            # While the lock is held: afterwards the file may be another's.
            if delete and sys.platform != "win32" and self._is_at_path(descriptor):
                self.path.unlink(missing_ok=True)
        finally:
            os.close(descriptor)
        if delete and sys.platform == "win32":
            with contextlib.suppress(OSError):  # refused where another has it open
                self.path.unlink(missing_ok=True)
