# SPDX-License-Identifier: GPL-2.0-or-later
"""A job's folder: finished tiles and batches, written atomically, so that the job can resume.

::

    town.gpkg.job/
      job.json            what the results depend on; begun with, compared at every start
      lock                held while a process works on the job
      finished.json       the output that the last run has made: written just before it appears
      tiles/r00002_c00005.npz      masks of a finished tile
      tiles/r00002_c00006.failed   why a tile failed (JSON); tried again at the next start
      patched/r00002_c00005.npz    a tile's masks after a second look (second_look.py)
      overview/tiles/...           the same for the overview
      features/00000012.arrow      polygons of a batch of objects, before the layer is written
      features/00000012.parquet    those of a batch of prompts

A file is written under another name and then moved, so that what has its final name is whole. A
tile that is done and then missing is an error, never an empty tile: a store knows which tiles its
run has finished (``store.py``).

The folder is removed by moving it to ``.town.gpkg.job.<random>.gone`` while its lock is held, so
that no other process ever sees a part of it. ``finished.json`` goes last, as
``.town.gpkg.job.<random>.finished``: a run that is killed anywhere in between is recognised as
finished by the next one.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import JobError, OutputError
from ..job import option
from ..parallel.atomic_write import names_in, write_atomically
from ..parallel.file_lock import FileLock

_VERSION = 1

_CONTENTS = ("tiles", "patched", "overview", "features")

_KNOWN = (*_CONTENTS, "lock", "job.json", "finished.json")


@dataclass
class JobFolder:
    """The folder of one job: begun, locked, finished, removed.

    Args:
        folder: Its path; made by :meth:`begin`.
    """

    folder: Path
    _lock: FileLock | None = field(default=None, init=False, repr=False, compare=False)

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
        path = self.folder / "job.json"
        self._refuse_other_files(_KNOWN)  # before a lock is put among them
        self._acquire()
        try:
            return self._begun(path, description, fresh=fresh)
        except BaseException:
            self.release()
            raise

    def _begun(self, path: Path, description: Mapping[str, Any], *, fresh: bool) -> bool:
        begun = path.exists()
        if not begun:
            self._refuse_other_files(("lock",))
        for left in self._beside("gone"):
            shutil.rmtree(left, ignore_errors=True)
        if fresh:
            for record in self._beside("finished"):
                record.unlink(missing_ok=True)
            if begun:  # before it is read: it may be damaged
                self._clear()
                begun = False
        wanted = json.loads(json.dumps({"version": _VERSION, **description}))
        if begun:
            self._compare(_read_json(path), wanted)
            for partial in list(self.folder.rglob(".*.part")):
                _remove(partial)  # a file, or the folder of a writer of a layer within
            return True
        text = json.dumps(wanted, indent=1, sort_keys=True, ensure_ascii=False)
        write_atomically(path, lambda partial: write_text(partial, text))
        return False

    def _refuse_other_files(self, known: Collection[str]) -> None:
        try:
            names = names_in(self.folder)
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._unusable(error) from error
        if any(name not in known and not name.endswith(".part") for name in names):
            raise JobError(
                f"{self.folder} holds other files: name an empty folder with "
                f"{option('job_folder')}."
            )

    def _unusable(self, error: OSError) -> OutputError:
        return OutputError(
            f"The job folder {self.folder} cannot be used: {error.strerror or error}. "
            f"Name another, perhaps on another drive, with {option('job_folder')}."
        )

    def _acquire(self) -> None:
        lock = FileLock(self.folder / "lock")
        while True:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                taken = lock.acquire()
            except FileNotFoundError:
                continue  # another process has just removed the folder
            except FileExistsError as error:
                if os.path.lexists(self.folder) and not self.folder.is_dir():
                    raise self._unusable(error) from error
                continue  # likewise
            except OSError as error:
                raise self._unusable(error) from error
            if not taken:
                raise JobError(
                    f"Another process works on the job in {self.folder}: wait for it or stop it."
                )
            self._lock = lock
            return

    def _compare(self, known: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
        names = sorted(set(known) | set(wanted))
        changed = [name for name in names if known.get(name) != wanted.get(name)]
        if changed:
            listing = "; ".join(
                sentence for name in changed for sentence in _in_words(name, known, wanted)
            )
            raise JobError(
                f"The unfinished job in {self.folder} was begun otherwise: {listing}. Run it as "
                f"before, or start over with {option('fresh')}."
            )

    def _clear(self) -> None:
        for name in _CONTENTS:
            shutil.rmtree(self.folder / name, ignore_errors=True)
        for name in ("finished.json", "job.json"):
            (self.folder / name).unlink(missing_ok=True)

    def release(self) -> None:
        """Let other processes work on the job."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def remove(self) -> None:
        """Delete the folder, if no other process works on it; the job is done."""
        if self._lock is None:
            lock = FileLock(self.folder / "lock")
            try:
                if not lock.acquire():
                    return
            except OSError:
                return  # there is no such folder, or none that may be deleted
            self._lock = lock
        try:
            with contextlib.suppress(OSError):
                os.replace(self._record, self._new_name_beside("finished"))
            self._remove_contents()
            for record in self._beside("finished"):
                record.unlink(missing_ok=True)
        finally:
            self.release()

    def remove_all(self) -> None:
        """Delete the folder, and what a removal that was stopped has left beside it.

        Raises:
            JobError: Another process works on the job.
        """
        self._acquire()
        for left in self._beside("gone"):
            shutil.rmtree(left, ignore_errors=True)
        self.remove()

    def _remove_contents(self) -> None:
        gone = self._new_name_beside("gone")
        try:
            os.rename(self.folder, gone)
        except OSError:
            # Windows moves no folder with an open file in it, here the lock: the contents go while
            # the lock is held. The next process finds an empty folder.
            last = ("finished.json", "job.json")  # what says that it is a job's
            with contextlib.suppress(OSError):  # there is no such folder any more
                names = [name for name in os.listdir(self.folder) if name not in ("lock", *last)]
                for name in (*sorted(names), *last):
                    _remove(self.folder / name)
            if self._lock is not None:
                self._lock.release(delete=True)
            with contextlib.suppress(OSError):  # another process has begun a job in it
                self.folder.rmdir()
        else:
            shutil.rmtree(gone, ignore_errors=True)

    def _new_name_beside(self, suffix: str) -> Path:
        return self.folder.with_name(f".{self.folder.name}.{secrets.token_hex(4)}.{suffix}")

    def _beside(self, suffix: str) -> Iterator[Path]:
        """What removals of this folder have left beside it."""
        name = re.compile(re.escape(f".{self.folder.name}.") + rf"[0-9a-f]{{8}}\.{suffix}")
        try:
            entries = [entry for entry in os.listdir(self.folder.parent) if name.fullmatch(entry)]
        except OSError:
            return
        yield from (self.folder.with_name(entry) for entry in sorted(entries))

    # --- the finished output ---

    @property
    def _record(self) -> Path:
        return self.folder / "finished.json"

    def note_finished(self, record: Mapping[str, Any]) -> None:
        """Keep what the next run needs to recognise the output, just before it appears."""
        text = json.dumps(record, indent=1, sort_keys=True, ensure_ascii=False)
        write_atomically(self._record, lambda path: write_text(path, text))

    def forget_finished(self) -> None:
        """Drop the record, now that the run has come to its end."""
        with contextlib.suppress(OSError):
            self._record.unlink(missing_ok=True)

    def finished(self) -> Mapping[str, Any] | None:
        """What :meth:`note_finished` kept, also where the folder is already removed; else None.

        Whether the output did appear must be seen from the output.
        """
        for path in (self._record, *self._beside("finished")):
            with contextlib.suppress(OSError, JobError):
                return _read_json(path)
        return None


def _in_words(name: str, known: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[str]:
    """What has changed of a part of a job's description, by the names that people know."""
    before, now = known.get(name), wanted.get(name)
    if name == "version":
        yield "by another version of SamGeo Seamless"
    elif name == "segmenter":
        if known.get("model") == wanted.get("model"):
            yield "the model's weights or thresholds were others"
    elif name == "raster" and isinstance(before, dict) and isinstance(now, dict):
        parts = {part for part in {*before, *now} if before.get(part) != now.get(part)}
        if "sources" in parts:
            yield f"the raster was {before.get('sources')} and is {now.get('sources')}"
        elif "identity" in parts:
            yield "the raster's files have changed since"
        for part in sorted(parts - {"sources", "identity"}):
            yield f"{part} was {_short(before.get(part))} and is {_short(now.get(part))}"
    elif isinstance(before, dict) and isinstance(now, dict):
        for part in sorted({*before, *now}):
            if before.get(part) != now.get(part) and part != "fingerprint":
                yield f"{part} was {_short(before.get(part))} and is {_short(now.get(part))}"
        if before.get("fingerprint") != now.get("fingerprint") and before.get("name") == now.get(
            "name"
        ):
            yield "the model's weights were others"
    else:
        yield f"{name} was {_short(before)} and is {_short(now)}"


def _short(value: Any) -> str:
    text = "not set" if value is None else f"{value!r}"
    return text if len(text) <= 120 else f"{text[:117]}..."


def write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise JobError(
            f"{path} is damaged ({error}): start over with {option('fresh')}, or name another "
            f"folder with {option('job_folder')}."
        ) from error
    return values if isinstance(values, dict) else {}


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()
