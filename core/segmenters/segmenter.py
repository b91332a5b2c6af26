# SPDX-License-Identifier: GPL-2.0-or-later
"""The protocol ``Segmenter``: a tile's image in, its masks out.

Write a class with these members and pass it to ``samgeo_core.segment(..., segmenter=...)`` to use
a model of your own. The automatic generator (``automatic.py``), those for words and exemplars
(``words.py``, ``exemplars.py``) and the oracles of the tests are segmenters like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from ..masks.masks import Mask, PromptRef, TileMasks
from ..tiles.grid import NO_CONTEXT, Context, Tile
from ..types import BoolArray, ByteArray, CellBox, LogitArray, PixelBox


@dataclass(frozen=True, eq=False)
class TileImage:
    """A tile's window, read and stretched.

    Args:
        tile: The tile; ``tile.window`` is what the arrays cover.
        pixels: (H, W, 3) uint8, 0 where there are no data.
        valid: (H, W) bool, False where the raster has no data.
        size: Side of an unclamped window with its context. Where a model's scale depends on the
            image's size, pad to ``size`` x ``size`` at the right and the bottom, so that objects at
            the raster's edge have the same scale as elsewhere.
        cell: Side in pixels of the mask cells to return; divides the window's first row and
            column. The last cell of a clamped window may reach beyond the raster.
        wanted: (H, W) bool, where objects are looked for; those that only reach out of it are
            still whole. None for everywhere. A segmenter may pass it over.
    """

    tile: Tile
    pixels: ByteArray
    valid: BoolArray
    size: int
    cell: int
    wanted: BoolArray | None = None


@runtime_checkable
class Segmenter(Protocol):
    """What the pipeline needs. Implementations are called from one thread at a time."""

    @property
    def name(self) -> str:
        """Name for the attribute ``model``."""

    @property
    def fingerprint(self) -> str:
        """All that changes this segmenter's results (weights' checksum, thresholds ...).

        Two runs with the same fingerprint, raster and grid give the same masks; a job folder begun
        with another fingerprint is refused.
        """

    def cell_size(self, window_size: int) -> int:
        """Side in pixels of the mask cells for windows of ``window_size`` pixels."""

    def segment(self, image: TileImage) -> TileMasks:
        """The window's instance masks, those at the window's edge too, no two of them the same.

        What it says by ``warnings.warn(text, SamGeoWarning)`` is in ``JobResult.warnings``, once.

        Raises:
            ModelError: The model failed; the pipeline retries once and then reports the tile.
        """


def context_of(segmenter: Segmenter) -> Context:
    """What a segmenter wants to see around a window; an optional property ``context`` of it."""
    context: Context = getattr(segmenter, "context", NO_CONTEXT)
    return context


@dataclass(frozen=True, eq=False)
class Hint:
    """What is already known of an object, to ask the model for it again.

    Args:
        window: Pixels to look at; may begin anywhere on the raster's lattice of cells.
        box: The object's box as known so far.
        logits: Its stored logits on the cells of ``box``.
        prompt: Carried into the answer.
    """

    window: PixelBox
    box: CellBox
    logits: LogitArray
    prompt: PromptRef


@runtime_checkable
class PromptableSegmenter(Segmenter, Protocol):
    """A segmenter that can be asked for one object; fills the merge's repair and overview hooks."""

    def refine(self, image: TileImage, hints: Sequence[Hint]) -> list[Mask | None]:
        """One mask a hint (None where the model finds nothing), in the hints' order.

        ``image.tile.window`` is the hints' window.
        """
