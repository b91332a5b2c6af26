# SPDX-License-Identifier: GPL-2.0-or-later
"""What a job notes of its output just before it appears, to recognise it when it is run again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..errors import OutputError
from ..masks.job_folder import JobFolder
from ..parallel.atomic_write import move, remove_empty
from ..sources.vector_input.paths import parts_of
from .publish import output_digest, real_path, recover
from .reader import LayerLike
from .writer import LayerWriter


@dataclass(frozen=True)
class Record:
    """What a job's folder says of the output that its last run made.

    Args:
        made_by: Digest of the job's description and options.
        output: Where it is, without symbolic links.
        layer: Its layer.
        digest: Of its content.
        result: Fields of the job's result.
        changed: What a job that changes its input notes just before it does, else nothing.
    """

    made_by: str
    output: str
    layer: str
    digest: str
    result: Mapping[str, Any]
    changed: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: JobFolder) -> Record | None:
        """The record in a job's folder, or None where there is none that can be read."""
        values = folder.finished()
        try:
            return None if values is None else cls(**values)
        except TypeError:
            return None

    def keep(self, folder: JobFolder) -> None:
        """Write it into the job's folder."""
        folder.note_finished(asdict(self))

    def is_of(self, writer: LayerWriter) -> bool:
        """Whether the output that a job is to make is the one that is recorded, and as it was."""
        return self.is_at(writer.path, writer.layer_name)

    def is_at(self, path: str | Path, layer: str) -> bool:
        """Whether the layer of a file is the one that is recorded, and as it was."""
        return (
            self.output == str(real_path(path))
            and self.layer == layer
            and bool(self.digest)
            and self.digest == output_digest(self.output, self.layer)
        )

    @property
    def complete(self) -> bool:
        return not self.result.get("failed")


class ShortRun:
    """The life of a job that is quick, so that it keeps nothing to go on from.

    A hidden folder beside its output (``.town.gpkg.track``) is locked while it runs, and holds the
    record of the output from just before that appears until the job ends. A job that was killed in
    between may replace its own output when it is run again.

    Args:
        output: What it makes.
        layer: Its layer; None for the file's name.
        job: Which kind of job, e.g. "track".
        made_by: All that its result depends on; its ``repr`` counts.

    Raises:
        OutputError: A Shapefile that a killed run had half moved cannot be moved on.
    """

    def __init__(self, output: str | Path, layer: str | None, job: str, made_by: Any) -> None:
        final = real_path(output)
        recover(final)  # a Shapefile that is half in place is nobody's
        self.folder = JobFolder(final.with_name(f".{final.name}.{job}"))
        self._made_by = hashlib.blake2b(repr(made_by).encode("utf-8", "backslashreplace"),
                                        digest_size=16).hexdigest()  # fmt: skip
        self._job = job
        before = Record.of(self.folder)
        self.again = before is not None and before.made_by == self._made_by
        """The same job was killed when its output was about to appear, or later."""
        self.owns_output = (
            before is not None and self.again and before.is_at(final, layer or final.stem)
        )
        """The output that is there is this job's own, as it left it."""

    @contextmanager
    def begun(self) -> Iterator[None]:
        """Alone at the output.

        Raises:
            JobError: Another process makes it.
            OutputError: Its folder cannot be written to.
        """
        try:
            self.folder.folder.mkdir(exist_ok=True)
        except OSError as error:
            parent = self.folder.folder.parent
            raise OutputError(
                f"The folder {parent} cannot be written to: {error.strerror or error}."
            ) from error
        self.folder.begin({"job": self._job})
        try:
            yield
        except BaseException:
            if self.again:
                self.folder.release()
            else:
                self.folder.remove()
            raise
        self.folder.remove()

    def before_output(self, writer: LayerWriter, then: Callable[[], object] = lambda: None) -> None:
        """Note the output before it appears.

        Args:
            writer: Of the output.
            then: Called after that, to put in place what belongs to it.
        """

        def finishing(digest: str) -> None:
            self._note(real_path(writer.path), writer.layer_name, digest)
            then()

        writer.finishing = finishing

    def put_folder(self, made: Path, output: Path) -> None:
        """Put a folder in place of the output: of an empty one, or of this job's own.

        Args:
            made: A finished folder within :attr:`folder`.
            output: Where it goes.

        Raises:
            OSError: It cannot be moved, or there is another by now.
        """
        final = real_path(output)
        self._note(final, final.stem, output_digest(made, final.stem) or "")
        if self.owns_output:
            move(final, made.with_name(".replaced.part"))
        elif final.exists():
            remove_empty(final)
        move(made, final)

    def _note(self, path: Path, layer: str, digest: str) -> None:
        Record(self._made_by, str(path), layer, digest, {}).keep(self.folder)


def seen(*sources: LayerLike | None) -> list[Any]:
    """What tells layers from others: files by :func:`stamps`, features in memory by content."""
    found: list[Any] = []
    for source in sources:
        if source is None:
            found.append(None)
        elif isinstance(source, (str, Path)):
            found.append((str(source), stamps(parts_of(str(source), None)[0])))
        else:
            found.append(source.to_wkb(hex=True).to_csv())
    return found


def stamps(*paths: str | Path) -> list[tuple[str, int, int]]:
    """Name, size and time of change of files; what is not on this machine counts by its name.

    What was committed to a GeoPackage may still be in the file ``-wal`` beside it, which QGIS uses:
    where that is not empty, it follows its file. So does the ``.dbf`` of a Shapefile, which holds
    its attributes.
    """
    found = []
    for path in map(str, paths):
        found.append(_stamp(path) or (path, 0, 0))
        beside = [f"{path}-wal"]
        if path.lower().endswith(".shp"):
            beside += [f"{path[:-4]}.dbf", f"{path[:-4]}.DBF"]
        stamped = map(_stamp, beside)
        found += [stamp for stamp in stamped if stamp is not None and stamp[1]]
    return found


def _stamp(path: str) -> tuple[str, int, int] | None:
    try:
        status = Path(path).stat()
    except (OSError, ValueError):
        return None
    return path, status.st_size, status.st_mtime_ns


def newest(*paths: str | Path) -> datetime:
    """When the newest of some files was changed, UTC; the epoch where none is on this machine."""
    times = [time for _, _, time in stamps(*paths)]
    return datetime.fromtimestamp(max(times, default=0) / 1e9, timezone.utc)
