# SPDX-License-Identifier: GPL-2.0-or-later
"""Which windows an interactive session looks at, and what the model says of them.

Windows have the model's input size T and stand on a lattice of step T / 2 that begins at the
raster's first pixel, whatever the user has panned to: neighbouring prompts, continuation and
encoding ahead all meet the same windows, and an area of T x T never costs more than four
encodings. Every position lies in the middle half of exactly one window::

    0       T/2       T      3T/2
    +--------+--------+--------+--------+
    |<-- window 0 --->|        |        |     positions in [0, 3T/4) are window 0's (raster's edge)
    |        |<-- window 1 --->|        |     positions in [3T/4, 5T/4) are window 1's
    |        |        |<-- window 2 --->|     ...

A box that would come too near to such a window's border gets a window from the finer lattices of
T / 4 and T / 8, and failing these one centred on it.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from affine import Affine

from ..errors import ParameterError
from ..models.base import Embedding, PromptableModel, Prompts
from ..models.embedding_cache import EmbeddingCache, embedding_key
from ..raster.geometry import mean_side
from ..raster.raster import RasterWindow
from ..tiles.grid import TRUST_MARGIN
from ..types import ByteArray, CellBox, FloatArray, PixelBox

Check = Callable[[], None]
"""Called now and then during work; raises ``Cancelled`` where the work is no longer wanted."""

Extent = tuple[float, float, float, float]
"""(row0, col0, row1, col1), continuous working pixels."""

_KNOWN_WINDOWS = 4096


class Source(Protocol):
    """What a session needs of a raster at one working resolution (``raster.Raster`` has it)."""

    @property
    def shape(self) -> tuple[int, int]: ...

    @property
    def transform(self) -> Affine: ...

    @property
    def crs(self) -> Any: ...

    def read(self, box: PixelBox) -> RasterWindow: ...

    def has_data(self, box: PixelBox) -> bool: ...


@dataclass(frozen=True)
class WindowLattice:
    """Where windows may stand on a raster; all in working pixels.

    Args:
        height: Rows of the raster.
        width: Columns.
        size: T, side of a window.
        cell: Side of a mask cell; divides T / 2.
    """

    height: int
    width: int
    size: int
    cell: int

    def __post_init__(self) -> None:
        if self.size % (2 * self.cell):
            raise ParameterError(
                f"A window of {self.size} pixels cannot be halved into cells of {self.cell}."
            )

    @property
    def step(self) -> int:
        return self.size // 2

    @property
    def cells(self) -> CellBox:
        """All cells of the raster; the last ones may reach beyond it."""
        return PixelBox(0, 0, self.height, self.width).cells(self.cell)

    def _last(self, length: int) -> int:
        """Largest origin along an axis: the window ends with the raster, or not a cell later."""
        return max(0, -(-(length - self.size) // self.cell) * self.cell)

    def _origin(self, low: float, high: float, length: int) -> int:
        """Where the window for [low, high] begins along an axis of a length."""
        last = self._last(length)
        wanted = (low + high) / 2 - self.size / 2
        origin = 0
        for divisor in (1, 2, 4):
            step = max(self.step // divisor // self.cell, 1) * self.cell
            # Half up rather than round(): positions half-way belong to the later window, always.
            origin = min(max(math.floor(wanted / step + 0.5) * step, 0), last)
            if self._margin(origin, low, high, last) >= self.size / 8:
                return origin
        nearest = math.floor(wanted / self.cell + 0.5) * self.cell
        return min(max(nearest, 0), last)

    def _margin(self, origin: int, low: float, high: float, last: int) -> float:
        """Pixels between [low, high] and the nearer window edge behind which the raster goes on."""
        return min(
            low - origin if origin > 0 else math.inf,
            origin + self.size - high if origin < last else math.inf,
        )

    def around(self, extent: Extent) -> PixelBox:
        """The window in which an extent lies well inside, as far as one can hold it.

        The box may reach beyond the raster at the right and the bottom: it is always T x T.
        """
        row0, col0, row1, col1 = extent
        row = self._origin(row0, row1, self.height)
        col = self._origin(col0, col1, self.width)
        return PixelBox(row, col, row + self.size, col + self.size)

    def margin(self, window: PixelBox, extent: Extent) -> float:
        """Least distance, pixels, from an extent to a window edge behind which the raster goes on.

        Negative where the extent reaches beyond the window; infinite where the window holds the
        whole raster.
        """
        return min(
            self._margin(window.row0, extent[0], extent[2], self._last(self.height)),
            self._margin(window.col0, extent[1], extent[3], self._last(self.width)),
        )

    def trusted(self, window: PixelBox) -> CellBox:
        """The cells of a window that are believed: all but c pixels where the raster goes on."""
        edge = -(-TRUST_MARGIN // self.cell)
        box = window.cells(self.cell)
        row1, col1 = window.row1 < self.height, window.col1 < self.width
        return CellBox(
            box.row0 + edge * (window.row0 > 0),
            box.col0 + edge * (window.col0 > 0),
            box.row1 - edge * row1,
            box.col1 - edge * col1,
        ).intersection(self.cells)

    def weights(self, window: PixelBox) -> FloatArray:
        """Tent weights on :meth:`trusted`: 1 in the middle half, to 0 at the trusted border.

        A side on the raster's own edge does not fall off: nothing goes on behind it.
        """
        box = self.trusted(window)
        ramp = self.size / 4 / self.cell
        rows = _ramp(box.height, window.row0 > 0, window.row1 < self.height, ramp)
        cols = _ramp(box.width, window.col0 > 0, window.col1 < self.width, ramp)
        return np.minimum(rows[:, None], cols[None, :])

    def neighbours(self, window: PixelBox) -> list[PixelBox]:
        """The lattice windows one step away, nearest first, this one left out."""
        middle = ((window.row0 + window.row1) / 2, (window.col0 + window.col1) / 2)
        found: list[PixelBox] = []
        for down, right in ((0, 1), (1, 0), (0, -1), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1)):
            row, col = middle[0] + down * self.step, middle[1] + right * self.step
            if 0 <= row < self.height and 0 <= col < self.width:
                other = self.around((row, col, row, col))
                if other != window and other not in found:
                    found.append(other)
        return found

    def covering(self, extent: Extent) -> list[PixelBox]:
        """The lattice windows whose middle halves cover an extent, row by row."""
        half = self.size / 4
        found: dict[PixelBox, None] = {}
        for row in _places(extent[0], extent[2], self.step, self.height, half):
            for col in _places(extent[1], extent[3], self.step, self.width, half):
                found.setdefault(self.around((row, col, row, col)))
        return list(found)


def _ramp(length: int, low: bool, high: bool, ramp: float) -> FloatArray:
    at = np.arange(length, dtype=np.float32) + 0.5
    weight = np.ones(length, np.float32)
    if low:
        weight = np.minimum(weight, at / ramp)
    if high:
        weight = np.minimum(weight, at[::-1] / ramp)
    return weight.astype(np.float32)


def _places(low: float, high: float, step: int, length: int, half: float) -> list[float]:
    """Centres of the middle halves that [low, high] touches."""
    low, high = max(low, 0.0), min(high, float(length))
    first, last = math.floor((low - half) / step), math.floor((high - half) / step)
    centres = [(k + 1) * step for k in range(first, last + 1)]
    return [min(max(float(centre), 0.0), float(length - 1)) for centre in centres]


def model_cell(model: PromptableModel) -> int:
    """Side in pixels of a mask cell in windows of the model's own size."""
    return -(-model.info.input_size // model.info.mask_size)


class Level:
    """A raster at one working resolution, seen through a model.

    Args:
        source: The raster at this resolution.
        model: What encodes and decodes.
        cache: Keeps embeddings.
        octave: Working pixel in powers of two of the full-resolution pixel. Below 0 the pixels
            are the full-resolution ones, but the windows are smaller than the model's input, so
            that the model magnifies them.
        cell: Side of a mask cell in working pixels, and with it the windows' size; None for the
            octave's own.
    """

    def __init__(
        self,
        source: Source,
        model: PromptableModel,
        cache: EmbeddingCache,
        octave: int = 0,
        cell: int | None = None,
    ) -> None:
        self.source = source
        self.model = model
        self.cache = cache
        self.octave = octave
        cell = cell or max(model_cell(model) >> max(-octave, 0), 1)
        height, width = source.shape
        self.lattice = WindowLattice(height, width, cell * model.info.mask_size, cell)
        self.encoded = 0
        self._keys: OrderedDict[PixelBox, str | None] = OrderedDict()
        self._just_read: tuple[PixelBox, ByteArray] | None = None

    @property
    def cell(self) -> int:
        return self.lattice.cell

    @property
    def resolution(self) -> float:
        """Side of a working pixel, ground units of the raster's CRS (geometric mean)."""
        return mean_side(self.source.transform)

    def key(self, window: PixelBox) -> str | None:
        """Name of a window's embedding; None where the raster has no data there."""
        if window not in self._keys:
            self._read(window)
        return self._keys[window]

    def ready(self, window: PixelBox) -> bool:
        """Whether asking about this window needs no encoding."""
        key = self.key(window)
        return key is None or key in self.cache

    def known_ready(self, window: PixelBox) -> bool:
        """Like :meth:`ready`, but reads nothing: False for a window that was never looked at."""
        return window in self._keys and self.ready(window)

    def encode(self, window: PixelBox, check: Check | None = None) -> Embedding | None:
        """A window's embedding, from the cache or made now; None where there are no data."""
        if window in self._keys:
            key = self._keys[window]
            if key is None:
                return None
            found = self.cache.get(key, self.model.info.fingerprint)
            if found is not None:
                return found
        pixels = self._read(window)
        key = self._keys[window]
        if pixels is None or key is None:
            return None

        def make() -> Embedding:
            if check is not None:
                check()
            return self.model.encode([pixels])[0]

        embedding, made = self.cache.get_or_make(key, make, self.model.info.fingerprint)
        self.encoded += made
        return embedding

    def ask(
        self, window: PixelBox, prompts: Prompts, *, multimask: bool, check: Check | None = None
    ) -> tuple[FloatArray, FloatArray] | None:
        """What the model says to one or more prompts in a window.

        Returns:
            (n, m, h, w) float32 logits of the window's cells and (n, m) float32 scores, or None
            where the window has no data.
        """
        embedding = self.encode(window, check)
        if embedding is None:
            return None
        if check is not None:
            check()
        decoded = self.model.decode(embedding, prompts, multimask=multimask)
        return decoded.logits, decoded.scores

    def _read(self, window: PixelBox) -> ByteArray | None:
        """A window's pixels padded to T x T, its key noted; None without data."""
        if self._just_read is not None and self._just_read[0] == window:
            return self._just_read[1]
        seen = self.source.read(window)  # 0 beyond the raster: padded to T x T
        has_data = bool(seen.valid.any())
        while len(self._keys) >= _KNOWN_WINDOWS:
            self._keys.popitem(last=False)
        self._keys[window] = (
            embedding_key(seen.pixels, self.model.info.fingerprint) if has_data else None
        )
        self._just_read = (window, seen.pixels) if has_data else None
        return seen.pixels if has_data else None

    def to(self, other: Level) -> Affine:
        """(column, row) of this level's pixels to those of another."""
        matrix: Affine = ~other.source.transform @ self.source.transform
        return matrix
