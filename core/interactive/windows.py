# SPDX-License-Identifier: GPL-2.0-or-later
"""The windows of a session, and the model's predictions in them.

The windows' places are those of :class:`~..tiles.windows.WindowLattice`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Protocol

from affine import Affine

from ..earth.geometry import mean_side
from ..models.base import Embedding, PromptableModel, Prompts
from ..models.embedding_cache import EmbeddingCache, embedding_key
from ..raster.raster import RasterWindow
from ..tiles.windows import WindowLattice
from ..types import ByteArray, FloatArray, PixelBox

Check = Callable[[], None]
"""Called now and then during work; raises ``Cancelled`` where the work is no longer wanted."""

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
        zoom = getattr(model, "scaled", None)
        if octave < 0 and zoom is not None and model.info.cell is not None:
            # Elsewhere a smaller window is magnified by the model because it is smaller.
            model = zoom(model_cell(model) / max(model_cell(model) >> -octave, 1) * model.scale)  # type: ignore[attr-defined]
            octave_cell = model_cell(model)
        else:
            octave_cell = max(model_cell(model) >> max(-octave, 0), 1)
        self.model = model
        self.cache = cache
        self.octave = octave
        cell = cell or octave_cell
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
