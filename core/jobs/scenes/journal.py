# SPDX-License-Identifier: GPL-2.0-or-later
"""What a run of scenes has done: a file to which each finished scene adds a line.

::

    scenes.jsonl   {"version": 1, "made_by": "5b0c...", "engine": "0.1.0"}
                   {"id": "T45RUL_20240102", "status": "done", "features": 812, ...}

A line that a killed process has not finished is passed over; the last line of a scene counts. The
file is written anew, in one step, whenever a run begins, so that it does not grow with retries.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TextIO

from ...errors import JobError, OutputError
from ...job import option
from ...parallel.atomic_write import write_atomically

_VERSION = 1

DONE, OUTSIDE, INCOMPLETE, FAILED = "done", "outside", "incomplete", "failed"


@dataclass(frozen=True)
class SceneOutcome:
    """What became of a scene.

    Args:
        id: Of the scene.
        status: "done"; "outside" the area of interest; "incomplete", where some of its tiles
            failed; "failed".
        source: What it was read from, without secrets.
        stamp: Size and time of change of its file, to see that it is another by now; of an address
            a digest of what its query asks for; "" for none.
        date: When it was taken, as far as is known.
        output: File of its layer; "" where there is none.
        digest: Of the layer of its own that this run has last written, to see whether somebody has
            edited it; "" where that is not known.
        features: Polygons in it.
        tiles: That were segmented.
        seconds: Wall time.
        message: Why it failed.
        notes: What was changed or left out.
        footprint: Its outline in the layer's CRS, [[x, y], ...]; only where scenes share a layer,
            as what follows.
        modified: Time of change of its files, ISO 8601, UTC.
        pixel: Metres of a working pixel on the ground.
    """

    id: str
    status: str
    source: str = ""
    stamp: str = ""
    date: str = ""
    output: str = ""
    digest: str = ""
    features: int = 0
    tiles: int = 0
    seconds: float = 0.0
    message: str = ""
    notes: list[str] = field(default_factory=list)
    footprint: list[list[float]] = field(default_factory=list)
    modified: str = ""
    pixel: float = 1.0

    @property
    def good(self) -> bool:
        return self.status in (DONE, OUTSIDE)


class Journal:
    """The file of a run, open for adding; use as a context manager.

    Args:
        path: Of the file.
        made_by: Digest of what the scenes' layers depend on.
        engine: Version that writes it.
    """

    def __init__(self, path: Path, made_by: str, engine: str) -> None:
        self.path = path
        self._head = {"version": _VERSION, "made_by": made_by, "engine": engine}
        self._file: TextIO | None = None

    def begin(self, keeps: Callable[[SceneOutcome], SceneOutcome | None]) -> dict[str, bool]:
        """Write the file anew with what is still true of an earlier run.

        Args:
            keeps: What is noted of a scene that need not be done again; None for any other.

        Returns:
            The ids that are kept.

        Raises:
            JobError: The earlier run had other options, or its file cannot be read.
            OutputError: The file cannot be written.
        """
        latest: dict[str, int] = {}
        for number, outcome in enumerate(self._earlier()):
            latest[outcome.id] = number
        kept: dict[str, bool] = {}

        def write(partial: Path) -> None:
            with partial.open("w", encoding="utf-8") as file:
                file.write(json.dumps(self._head) + "\n")
                for number, outcome in enumerate(self._earlier()):
                    known = keeps(outcome) if latest[outcome.id] == number else None
                    if known is not None:
                        file.write(_line(known))
                        kept[known.id] = True

        write_atomically(self.path, write)
        return kept

    def _earlier(self, *, begun: bool = False) -> Iterator[SceneOutcome]:
        """Outcomes that are noted, one after the other.

        Args:
            begun: This run has written the file: it must be there.

        Raises:
            JobError: The file cannot be read, or the run that wrote it had other options.
        """
        try:
            with self.path.open(encoding="utf-8") as file:
                yield from self._outcomes_of(file)
        except FileNotFoundError as error:
            if begun:
                raise self._unreadable(error) from error
        except (OSError, UnicodeDecodeError) as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: OSError | UnicodeDecodeError) -> JobError:
        why = error.strerror if isinstance(error, OSError) else None
        return JobError(
            f"{self.path} cannot be read: {why or error}. It notes which scenes are done: run the "
            f"same job again where the file can be read, or start over with {option('fresh')}."
        )

    def _outcomes_of(self, file: TextIO) -> Iterator[SceneOutcome]:
        head = _read(file.readline())
        if head is None:
            return  # not even begun
        if head.get("version") != _VERSION or head.get("made_by") != self._head["made_by"]:
            raise JobError(
                f"The scenes in {self.path.parent} were begun with other options or weights, "
                "or by another version: run as before, start over with "
                f"{option('fresh')}, or name another output."
            )
        for line in file:
            values = _read(line)
            if values is None:
                continue
            try:
                yield SceneOutcome(**values)
            except TypeError:
                continue

    def outcomes(self) -> Iterator[SceneOutcome]:
        """All scenes that are noted now, in the order in which they came; the last line counts.

        Raises:
            JobError: The file cannot be read.
        """
        latest = {outcome.id: n for n, outcome in enumerate(self._earlier(begun=True))}
        for number, outcome in enumerate(self._earlier(begun=True)):
            if latest[outcome.id] == number:
                yield outcome

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def add(self, outcome: SceneOutcome) -> None:
        """Note what became of a scene, on the disk before this returns.

        Raises:
            OutputError: The disk is full.
        """
        try:
            if self._file is None:
                self._file = self.path.open("a", encoding="utf-8")
            self._file.write(_line(outcome))
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise OutputError(
                f"Cannot write {self.path}: {error.strerror or error}. Free some space and run the "
                "same job again; what is finished is kept."
            ) from error


def _line(outcome: SceneOutcome) -> str:
    return json.dumps(asdict(outcome), ensure_ascii=True, separators=(",", ":")) + "\n"


def _read(line: str) -> Mapping[str, Any] | None:
    """The object of a line; None where it was cut off."""
    if not line.endswith("\n"):
        return None
    try:
        values = json.loads(line)
    except ValueError:
        return None
    return values if isinstance(values, dict) else None
