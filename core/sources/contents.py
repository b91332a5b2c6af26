# SPDX-License-Identifier: GPL-2.0-or-later
"""A raster's source files and a digest of them.

A virtual raster whose source is missing reads as zeros in many programs, and half of a map is
empty without a word. Here each source, however deep, is opened once before any work is done.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path

from ..addresses import without_signature
from ..errors import RasterError
from .gdal import GDAL_ERRORS, deepest, gdal_env, open_dataset
from .references import (
    DEEPEST,
    files_named,
    is_remote,
    references_of,
    refuse_remote,
    shown,
)

READ_WHOLE = 128 * 1024 * 1024
"""Bytes of all files up to which all go into the digest; of larger ones samples do."""

SAMPLE = 4096
"""Bytes of a piece of a sample; pieces lie evenly over the file, its head and tail are longer."""

LEAST = 64 * 1024
"""Bytes that are read of a file at least."""

_LOOKED_AT = re.compile(
    rb"<Histograms>.*?</Histograms>|<MDI key=\"STATISTICS_[^\"]*\">[^<]*</MDI>"
    rb"|</?(?:PAMDataset|PAMRasterBand|Metadata)[^>]*>|\s+",
    re.DOTALL,
)
"""What QGIS and GDAL write into ``.aux.xml`` while somebody only looks at a raster."""


def check_sources(name: str, *, remote: bool = False) -> None:
    """Make sure that a raster and all that it refers to may be opened, and can be.

    Args:
        name: As GDAL takes it.
        remote: What a file says may be fetched from the network, and raw files be taken for pixels.

    Raises:
        RasterError: It leads to a server or to raw bytes of another file; or a source is missing or
            is no raster: names the source and the way to it.
    """
    if is_remote(name) and not name.lstrip().startswith("<"):
        return  # asked for by name
    if not remote:
        refuse_remote(name)
    with gdal_env(remote=remote):
        _check_references(name, (), set(), remote)


def _check_references(name: str, way: tuple[str, ...], seen: set[str], remote: bool) -> None:
    """Open all that a raster refers to.

    Args:
        name: The raster.
        way: The rasters that led to it, outermost first.
        seen: What was opened already.
        remote: See :func:`check_sources`.
    """
    way = (*way, _same(name))
    top = shown(way[0])
    via = "" if len(way) == 1 else f", by way of {shown(name)},"
    if len(way) > DEEPEST:
        raise RasterError(f"{top} refers to rasters that refer to rasters, more than {DEEPEST}.")
    for reference in references_of(name):
        needed = _same(reference.name)
        if needed in way:
            raise RasterError(f"{top}{via} is made of itself: make the virtual raster again.")
        if needed in seen or needed.lstrip().startswith("<") or is_remote(needed):
            continue
        seen.add(needed)
        if not reference.raster:
            if not _is_there(needed):
                raise RasterError(f"{top}{via} needs {needed}, which is missing.")
            continue
        _check_references(needed, way, seen, remote)
        try:
            open_dataset(needed, remote=remote).close()
        except GDAL_ERRORS as error:
            what = (
                f"cannot be opened ({deepest(error)})"
                if _is_there(needed)
                else "is missing: put it back, or make the virtual raster again"
            )
            raise RasterError(f"{top}{via} needs {needed}, which {what}.") from error


def _same(name: str) -> str:
    """One name for a file that has several."""
    return os.path.abspath(name) if os.path.isfile(name) else name


def _is_there(name: str) -> bool:
    return bool(files_named(name)) or os.path.exists(name)


@dataclass(frozen=True)
class Contents:
    """The files of a raster.

    Args:
        names: What it is opened from.
        remote: See :func:`check_sources`.
    """

    names: tuple[str, ...]
    remote: bool = False

    @cached_property
    def files(self) -> tuple[str, ...]:
        """All files of this machine that the raster is read from, side files too, sorted."""
        found: set[str] = set()
        with gdal_env(remote=self.remote):
            for name in self.names:
                found.update(_files_of(name, set(), self.remote))
        return tuple(sorted(found))

    @cached_property
    def all_names(self) -> tuple[str, ...]:
        """The files, and names of what is not on this machine, as they were given."""
        return tuple(sorted({*self.names, *self.files}))

    @cached_property
    def pixels(self) -> tuple[str, ...]:
        """Those of them that hold more than statistics and overviews."""
        return tuple(f for f in self.files if not f.lower().endswith((".aux.xml", ".ovr")))

    @cached_property
    def identity(self) -> str:
        """A digest that changes when a file does: its path, size, time of change, or its bytes.

        Bytes count because a file can be replaced by one of the same size and time. All files are
        read whole where they are small together, else a sample of each, evenly over the file.
        Statistics that QGIS writes while somebody looks at a raster do not count.
        """
        digest = hashlib.sha256()
        for name in self.names:
            if not files_named(name):
                digest.update(f"{without_signature(name)}\n".encode("utf-8", "surrogateescape"))
        share = max(LEAST, READ_WHOLE // max(1, len(self.files)))
        for name in self.files:
            digest.update(_identity_of(Path(name), share))
        return digest.hexdigest()

    @cached_property
    def modified(self) -> datetime:
        """When the newest file with pixels was changed, UTC; the epoch where none is here."""
        times = [os.stat(name).st_mtime for name in self.pixels if os.path.isfile(name)]
        return datetime.fromtimestamp(max(times, default=0.0), timezone.utc)


def _files_of(name: str, seen: set[str], remote: bool) -> Iterator[str]:
    """Files of a name, of what it refers to, and beside it; open nothing twice."""
    if name in seen:
        return
    seen.add(name)
    yield from map(os.path.abspath, files_named(name))
    if name.lstrip().startswith("<") or not is_remote(name):
        for reference in references_of(name):
            yield from _files_of(reference.name, seen, remote)
    if is_remote(name) or name.lstrip().startswith("<"):
        return
    try:
        with open_dataset(name, remote=remote) as dataset:
            beside = list(dataset.files)
    except GDAL_ERRORS:
        return
    for file in beside:
        yield from map(os.path.abspath, files_named(file))


def _identity_of(path: Path, share: int) -> bytes:
    """Digest of a file; empty for an ``.aux.xml`` that says nothing but statistics."""
    digest = hashlib.blake2b(digest_size=32)
    try:
        if path.name.lower().endswith(".aux.xml"):
            said = _LOOKED_AT.sub(b"", path.read_bytes())
            return hashlib.blake2b(bytes(path) + said, digest_size=32).digest() if said else b""
        status = path.stat()
        head = f"{path.resolve()}|{status.st_size}|{status.st_mtime_ns}\n"
        digest.update(head.encode("utf-8", "surrogateescape"))
        with path.open("rb") as file:
            for start, length in _pieces(status.st_size, share):
                file.seek(start)
                digest.update(file.read(length))
    except OSError as error:
        raise RasterError(f"{path} cannot be read: {error.strerror or error}") from error
    return digest.digest()


def _pieces(size: int, share: int) -> Iterator[tuple[int, int]]:
    """Where a file is read, (first byte, length): whole, or head, tail and pieces between."""
    if size <= share:
        for start in range(0, size, 1 << 20):
            yield start, 1 << 20
        return
    ends = share // 4
    yield 0, ends
    count = share // 2 // SAMPLE
    for k in range(count):
        yield ends + (size - 2 * ends - SAMPLE) * k // max(1, count - 1), SAMPLE
    yield size - ends, ends
