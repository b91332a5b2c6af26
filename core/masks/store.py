# SPDX-License-Identifier: GPL-2.0-or-later
"""Stored results of a job: masks of its tiles and features of its batches."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ..addresses import without_secrets
from ..errors import JobError
from ..parallel.atomic_write import write_atomically
from ..types import TileIndex
from .job_folder import JobFolder, write_text
from .mask_files import load_masks, save_masks
from .masks import TileMasks


@dataclass(frozen=True)
class TileSet:
    """Some tiles of a grid, one bit each: small enough to go to workers with every task.

    Args:
        rows: Rows of tiles.
        cols: Columns of tiles.
        bits: A bit per tile, row by row, in whole bytes.
    """

    rows: int
    cols: int
    bits: bytes

    @classmethod
    def of(cls, indices: Iterable[TileIndex]) -> TileSet:
        """The set of some indices, none of which is negative."""
        found = list(indices)
        rows = max((index.row for index in found), default=-1) + 1
        cols = max((index.col for index in found), default=-1) + 1
        bits = bytearray(-(-rows * cols // 8))
        for index in found:
            at = index.row * cols + index.col
            bits[at // 8] |= 1 << at % 8
        return cls(rows, cols, bytes(bits))

    def __contains__(self, index: TileIndex) -> bool:
        if not (0 <= index.row < self.rows and 0 <= index.col < self.cols):
            return False
        at = index.row * self.cols + index.col
        return bool(self.bits[at // 8] >> at % 8 & 1)


@dataclass
class JobStore(JobFolder):
    """The folder of one job. Picklable: worker processes open tiles by path.

    Args:
        folder: The job's folder; made by :meth:`begin`.
        cell: Side of a mask cell in pixels, for the empty answer about tiles without masks.
        done: Tiles that have masks, once all are finished (:meth:`seal`); None before.
    """

    cell: int
    done: TileSet | None = None
    _patched: set[TileIndex] = field(default_factory=set, init=False, repr=False, compare=False)

    def __reduce__(self) -> tuple[type[JobStore], tuple[Path, int, TileSet | None]]:
        return JobStore, (self.folder, self.cell, self.done)

    # --- tiles ---

    def tile_path(self, index: TileIndex) -> Path:
        return self.folder / "tiles" / f"{index.name}.npz"

    def has(self, index: TileIndex) -> bool:
        return self.tile_path(index).exists()

    def save(self, tile: TileMasks) -> None:
        """Keep a finished tile; an earlier failure of it is forgotten."""
        write_atomically(self.tile_path(tile.index), lambda path: save_masks(path, tile))
        self._failure_path(tile.index).unlink(missing_ok=True)

    def seal(self, done: Iterable[TileIndex]) -> None:
        """Note which tiles have masks, now that all are finished: from here on none may vanish.

        All others are empty, also where an earlier run with a larger area has left their masks.
        """
        self.done = TileSet.of(done)

    def load(self, index: TileIndex) -> TileMasks:
        """Masks of a tile; none where it was skipped (no data) or failed.

        Raises:
            JobError: The file is damaged, or it was finished and is missing.
        """
        path = self.tile_path(index)
        if self.done is not None and index not in self.done:
            return TileMasks(index, self.cell, ())
        if path.exists():
            return load_masks(path)
        if self.done is not None:
            raise self.gone(f"Tile {index.name}")
        return TileMasks(index, self.cell, ())

    def gone(self, what: str) -> JobError:
        """The error about something that was finished and is missing."""
        return JobError(
            f"{what} of the job in {self.folder} was finished, but another program has removed it: "
            "run the same job again, it makes what is missing."
        )

    def _failure_path(self, index: TileIndex) -> Path:
        return self.folder / "tiles" / f"{index.name}.failed"

    def fail(self, index: TileIndex, kind: str, message: str, detail: str = "") -> None:
        """Note why a tile failed; ``detail`` is for the one who mends it."""
        values = {"kind": kind, "message": message, "detail": detail}
        values = {name: without_secrets(text) for name, text in values.items()}
        text = json.dumps(values, indent=1, ensure_ascii=False)
        write_atomically(self._failure_path(index), lambda path: write_text(path, text))

    # --- changed tiles ---

    def patched_path(self, index: TileIndex) -> Path:
        return self.folder / "patched" / f"{index.name}.npz"

    def save_patched(self, tile: TileMasks) -> None:
        """Keep a tile's masks as a second look has changed them, beside the first ones."""
        write_atomically(self.patched_path(tile.index), lambda path: save_masks(path, tile))
        self._patched.add(tile.index)

    def patched(self) -> PatchedTiles:
        """The tiles' masks with all changes that were kept by now."""
        return PatchedTiles(self, TileSet.of(self._patched))

    def clear_patched(self) -> None:
        self._patched.clear()
        shutil.rmtree(self.folder / "patched", ignore_errors=True)

    # --- features ---

    def features_path(self, batch: int, suffix: str = ".parquet") -> Path:
        return self.folder / "features" / f"{batch:08d}{suffix}"

    def finished_features(self, batch: int, suffix: str = ".parquet") -> Path:
        """The file of a batch that is done.

        Raises:
            JobError: It is missing.
        """
        path = self.features_path(batch, suffix)
        if not path.exists():
            raise self.gone(f"Batch {batch} of the features")
        return path

    def clear_features(self) -> None:
        shutil.rmtree(self.folder / "features", ignore_errors=True)

    # --- the overview ---

    def overview(self, cell: int) -> JobStore:
        """The store of the job's overview, a folder in this one.

        Raises:
            JobError: This one's folder is gone.
        """
        folder = self.folder / "overview"
        try:
            folder.mkdir(exist_ok=True)
        except FileNotFoundError as error:
            raise self.gone("The folder") from error
        return JobStore(folder, cell)


@dataclass(frozen=True)
class PatchedTiles:
    """A job's masks as a second look has changed them."""

    store: JobStore
    changed: TileSet

    def load(self, index: TileIndex) -> TileMasks:
        """Masks of a tile; see :meth:`JobStore.load`."""
        if index not in self.changed:
            return self.store.load(index)
        path = self.store.patched_path(index)
        if not path.exists():
            raise self.store.gone(f"Changed tile {index.name}")
        return load_masks(path)
