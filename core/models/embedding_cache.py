# SPDX-License-Identifier: GPL-2.0-or-later
"""Cache of image embeddings on disk, keyed by their inputs.

A key is the checksum of the very pixels that the encoder sees and of the model's fingerprint.
Bands, stretch, resolution and place all show in those pixels, and so does a file that was changed
behind our back; a key can therefore neither be stale nor confuse two rasters.

An entry names its key and has a checksum over all that it holds: an entry that was changed, or put
under another key, is made again. A folder that is full or read-only is said once, and embeddings
are then kept in memory only: a cache never stops a job.

Several processes may share a folder. An entry is written under another name and then renamed, so
that a reader finds all of it or nothing; entries are never changed; throwing out is done by one
process at a time, and an entry that vanishes under a reader is simply made again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import platformdirs
import safetensors.numpy
from safetensors import SafetensorError, safe_open

from ..notes import warn
from ..parallel.atomic_write import replace_atomically
from ..types import AnyArray, ByteArray
from .base import Embedding

FORMAT = "2"
"""Written into every entry; entries of another format are made again."""

FOLDER_VARIABLE = "SAMGEO_CACHE_DIR"

DEFAULT_BYTES = 4 * 1024**3
DEFAULT_IN_MEMORY = 8
_KEEP = 0.9
"""Share of the limit that is left after throwing out, so that not every entry throws out."""

_HALF_MAX = float(np.finfo(np.float16).max)


def default_folder() -> Path:
    """Where embeddings are kept: ``$SAMGEO_CACHE_DIR/embeddings``, else the user's cache folder."""
    root = os.environ.get("SAMGEO_CACHE_DIR") or platformdirs.user_cache_dir(
        "samgeo-seamless", False
    )
    return Path(root) / "embeddings"


def embedding_key(pixels: ByteArray, fingerprint: str) -> str:
    """Name of the embedding that a model makes of an image.

    Args:
        pixels: (H, W, 3) uint8, exactly as the encoder gets them.
        fingerprint: Of the model.
    """
    digest = hashlib.blake2b(digest_size=20)
    digest.update(f"{FORMAT}|{fingerprint}|{pixels.shape}|".encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


@dataclass
class CacheCounts:
    """What a cache has done since it was opened."""

    memory: int = 0
    disk: int = 0
    made: int = 0
    damaged: int = 0
    thrown_out: int = 0


@dataclass
class EmbeddingCache:
    """Embeddings in memory (the last few) and on disk (least recently used go first).

    Args:
        folder: Where entries lie; made when needed. None keeps nothing on disk.
        max_bytes: Bound on the folder's size.
        in_memory: How many embeddings stay in memory.
        counts: Hits and misses.
    """

    folder: Path | None = field(default_factory=default_folder)
    max_bytes: int = DEFAULT_BYTES
    in_memory: int = DEFAULT_IN_MEMORY
    counts: CacheCounts = field(default_factory=CacheCounts)
    _recent: OrderedDict[str, Embedding] = field(default_factory=OrderedDict, repr=False)
    _unchecked: int | None = field(default=None, repr=False)
    _unwritable: bool = field(default=False, repr=False)

    def __contains__(self, key: str) -> bool:
        return key in self._recent or self._on_disk(key)

    def get(self, key: str, fingerprint: str | None = None) -> Embedding | None:
        """The embedding of that name, or None where it has to be made.

        Args:
            key: From :func:`embedding_key`.
            fingerprint: Of the model that will read it; another model's is not returned.
        """
        found = self._found(key)
        return None if found is None or fingerprint not in (None, found.fingerprint) else found

    def _found(self, key: str) -> Embedding | None:
        recent = self._recent.get(key)
        if recent is not None:
            self._recent.move_to_end(key)
            self.counts.memory += 1
            return recent
        if not self._on_disk(key):
            return None
        path = self._path(key)
        try:
            embedding = _load(path, key)
        except FileNotFoundError:
            return None  # another process has just thrown it out
        if embedding is None:
            self.counts.damaged += 1
            with contextlib.suppress(OSError):
                path.unlink()
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        self.counts.disk += 1
        self._remember(key, embedding)
        return embedding

    def put(self, key: str, embedding: Embedding) -> Embedding:
        """Keep an embedding and return it as later readers will get it (in half precision).

        Where the folder cannot be written, that is said once, and nothing is written any more.
        """
        embedding = _halved(embedding)
        self._remember(key, embedding)
        if self.folder is not None and not self._unwritable:
            path = self._path(key)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                size = _save(path, key, embedding)
            except OSError as error:
                self._unwritable = True
                warn(
                    f"The embedding cache {self.folder} cannot be written ({error}): the work goes "
                    "on, but nothing is kept for later. Free space on the disk, or choose another "
                    f"folder with the environment variable {FOLDER_VARIABLE}."
                )
            else:
                self._throw_out_if_needed(size)
        return embedding

    def get_or_make(
        self, key: str, make: Callable[[], Embedding], fingerprint: str | None = None
    ) -> tuple[Embedding, bool]:
        """The embedding of that name, made where it is not there; and whether it was made."""
        embedding = self.get(key, fingerprint)
        if embedding is not None:
            return embedding, False
        self.counts.made += 1
        return self.put(key, make()), True

    def forget_recent(self) -> None:
        """Free the memory; what is on disk stays."""
        self._recent.clear()

    def _on_disk(self, key: str) -> bool:
        try:
            return self.folder is not None and self._path(key).exists()
        except OSError:  # the folder may not be looked into
            return False

    def _remember(self, key: str, embedding: Embedding) -> None:
        self._recent[key] = embedding
        self._recent.move_to_end(key)
        while len(self._recent) > max(self.in_memory, 0):
            self._recent.popitem(last=False)

    def _path(self, key: str) -> Path:
        if self.folder is None:
            raise ValueError("this cache has no folder")
        return self.folder / key[:2] / f"{key}.safetensors"

    def _throw_out_if_needed(self, added: int) -> None:
        # Listing the folder at every entry would be slow with thousands of them; a twentieth of
        # the limit may be added, by this process, between two looks.
        self._unchecked = None if self._unchecked is None else self._unchecked + added
        if self._unchecked is not None and self._unchecked < self.max_bytes // 20:
            return
        self._unchecked = 0
        self.throw_out()

    def throw_out(self) -> None:
        """Delete the least recently used entries until the folder is within its limit."""
        if self.folder is None or not self.folder.is_dir():
            return
        lock = filelock.FileLock(str(self.folder / "cache.lock"), timeout=0)
        try:
            with lock:
                entries = _entries(self.folder)
                total = sum(size for _, size, _ in entries)
                if total <= self.max_bytes * (1 - 1 / 20):
                    return
                for _, size, path in sorted(entries):
                    if total <= self.max_bytes * _KEEP:
                        break
                    with contextlib.suppress(OSError):
                        path.unlink()
                        self.counts.thrown_out += 1
                    total -= size
        except (filelock.Timeout, OSError):
            return  # another process is at it, or nothing may be deleted here

    def size(self) -> int:
        """Bytes on disk now."""
        return 0 if self.folder is None else sum(size for _, size, _ in _entries(self.folder))


def _entries(folder: Path) -> list[tuple[float, int, Path]]:
    """(time of last use, bytes, path) of every entry, abandoned temporary files included."""
    found = []
    for path in folder.glob("??/*"):
        with contextlib.suppress(OSError):
            status = path.stat()
            found.append((status.st_mtime, status.st_size, path))
    return found


def _halved(embedding: Embedding) -> Embedding:
    """Values as half precision keeps them, in the types that the model's ``decode`` wants.

    Also done to an embedding that was just made: the first answer on a window and the answer
    tomorrow from disk are then the same.
    """
    arrays = {name: _half(array).astype(array.dtype) for name, array in embedding.arrays.items()}
    return _with(embedding, arrays)


def _half(array: AnyArray) -> AnyArray:
    if array.dtype != np.float32:
        return array
    if array.size and float(np.abs(array).max()) > _HALF_MAX:
        return array
    return array.astype(np.float16)


def _with(embedding: Embedding, arrays: Mapping[str, AnyArray]) -> Embedding:
    return Embedding(
        arrays=arrays,
        shape=embedding.shape,
        cell_size=embedding.cell_size,
        mask_shape=embedding.mask_shape,
        fingerprint=embedding.fingerprint,
    )


def _checksum(about: Mapping[str, Any], arrays: Mapping[str, AnyArray]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    values = {name: value for name, value in about.items() if name != "checksum"}
    digest.update(json.dumps(values, sort_keys=True).encode())
    for name in sorted(arrays):
        digest.update(f"{name}|{arrays[name].dtype}|{arrays[name].shape}|".encode())
        digest.update(np.ascontiguousarray(arrays[name]).data)
    return digest.hexdigest()


def _save(path: Path, key: str, embedding: Embedding) -> int:
    """Write an entry so that it appears whole or not at all; returns its bytes."""
    stored = {name: np.ascontiguousarray(_half(a)) for name, a in embedding.arrays.items()}
    about: dict[str, Any] = {
        "format": FORMAT,
        "key": key,
        "fingerprint": embedding.fingerprint,
        "shape": list(embedding.shape),
        "cell_size": list(embedding.cell_size),
        "mask_shape": list(embedding.mask_shape),
        "dtypes": {name: str(array.dtype) for name, array in embedding.arrays.items()},
    }
    about["checksum"] = _checksum(about, stored)
    data = safetensors.numpy.save(stored, metadata={"samgeo": json.dumps(about)})
    replace_atomically(path, lambda partial: partial.write_bytes(data), flush=False)
    return len(data)


def _load(path: Path, key: str) -> Embedding | None:
    """An entry, or None where it is damaged or another's.

    Raises:
        FileNotFoundError: There is none.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            about: dict[str, Any] = json.loads((file.metadata() or {})["samgeo"])
            stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if (about["format"], about["key"]) != (FORMAT, key):
            return None
        if about["checksum"] != _checksum(about, stored):
            return None
        return Embedding(
            arrays={name: a.astype(about["dtypes"][name]) for name, a in stored.items()},
            shape=(int(about["shape"][0]), int(about["shape"][1])),
            cell_size=(float(about["cell_size"][0]), float(about["cell_size"][1])),
            mask_shape=(int(about["mask_shape"][0]), int(about["mask_shape"][1])),
            fingerprint=str(about["fingerprint"]),
        )
    except FileNotFoundError:
        raise
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, IndexError):
        return None
