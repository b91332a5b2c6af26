# SPDX-License-Identifier: GPL-2.0-or-later
"""Tiles of a raster: the core each owns, its window, and its trusted window.

::

    +--window = core grown by the margin m, clamped to the raster--+
    |   c pixels at the window's edge are seen, but not believed   |
    |  +--trusted window = core grown by m - c------------------+  |
    |  |    +--core: S x S, the cores partition the raster--+   |  |
    |  |    |                                               |   |  |
    |  |    +-----------------------------------------------+   |  |
    |  +--------------------------------------------------------+  |
    +--------------------------------------------------------------+

A side of the trusted window that lies on the raster's own edge is the raster's edge: nothing goes
on behind it, so everything up to it is believed. Models whose answer for a place does not depend on
the window's size see a *context* beyond the margin on each side: their windows are larger, what is
believed is not. Only pixels here; the CRS is ``raster/raster.py``'s.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from numbers import Integral

from ..errors import ParameterError
from ..job import option
from ..types import PixelBox, TileIndex
from .windows import TRUST_MARGIN

DEFAULT_TILE = 1024
"""Side of a window in pixels: what most of the SAM family was trained on."""


@dataclass(frozen=True)
class Context:
    """What a model wants to see around the part of a window that is believed.

    Args:
        pixels: At least so many beyond the margin on each side.
        step: Windows and cores begin at multiples of so many pixels, as far as they are that large,
            so that what the model computes on a lattice of its own is the same in all windows.
    """

    pixels: int = 0
    step: int = 1


NO_CONTEXT = Context()


@dataclass(frozen=True)
class Tile:
    """One tile of a grid; all boxes in raster pixels."""

    index: TileIndex
    core: PixelBox
    window: PixelBox
    trusted: PixelBox


@dataclass(frozen=True)
class Grid:
    """A partition of a raster into tiles.

    Args:
        height: Rows of the raster at working resolution, pixels.
        width: Columns, pixels.
        core: Side S of a tile's core, pixels.
        margin: m, by which a window exceeds its core on each side, pixels.
        cell: Side of a mask lattice cell, pixels; divides core, margin and trust.
        trust: c, pixels at a window's edge that are not believed, the context not counted.
        context: Pixels that are read beyond the margin on each side.

    Raises:
        ParameterError: Sizes are not positive, do not fit one another, or do not divide.
    """

    height: int
    width: int
    core: int
    margin: int
    cell: int = 1
    trust: int = TRUST_MARGIN
    context: int = 0

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise ParameterError(f"A raster of {self.width} x {self.height} pixels has no tiles.")
        if self.core < 1 or self.cell < 1:
            raise ParameterError(
                f"Tile core {self.core} and cell {self.cell} must be at least 1 pixel."
            )
        if not 0 <= self.trust < self.margin:
            raise ParameterError(
                f"The tile margin must exceed the untrusted edge of {self.trust} pixels, "
                f"but it is {self.margin}: choose a larger margin."
            )
        if self.margin > self.core:
            raise ParameterError(
                f"The tile margin ({self.margin}) must not exceed the tile's core ({self.core}): "
                "choose a larger tile or a smaller margin."
            )
        for name in ("core", "margin", "trust", "context"):
            if getattr(self, name) % self.cell:
                raise ParameterError(
                    f"The tile's {name} of {getattr(self, name)} pixels is not a multiple of the "
                    f"mask cell of {self.cell} pixels that this model gives."
                )

    @property
    def bounds(self) -> PixelBox:
        return PixelBox(0, 0, self.height, self.width)

    @property
    def rows(self) -> int:
        return -(-self.height // self.core)

    @property
    def cols(self) -> int:
        return -(-self.width // self.core)

    @property
    def window_size(self) -> int:
        """Side T = S + 2m of a window that is not clamped, without its context."""
        return self.core + 2 * self.margin

    @property
    def read_size(self) -> int:
        """Side of a window that is not clamped, with its context: what a model is given."""
        return self.window_size + 2 * self.context

    def __len__(self) -> int:
        return self.rows * self.cols

    def __contains__(self, index: object) -> bool:
        return (
            isinstance(index, tuple)
            and len(index) == 2
            and 0 <= index[0] < self.rows
            and 0 <= index[1] < self.cols
        )

    def __iter__(self) -> Iterator[Tile]:
        for row in range(self.rows):
            for col in range(self.cols):
                yield self[TileIndex(row, col)]

    def __getitem__(self, index: TileIndex) -> Tile:
        return _tile(self, index)

    def _made(self, index: TileIndex) -> Tile:
        if index not in self:
            raise IndexError(f"tile {tuple(index)} of a grid of {self.rows} x {self.cols}")
        row, col = index
        size = self.core
        full = PixelBox(row * size, col * size, (row + 1) * size, (col + 1) * size)
        window = full.grown(self.margin + self.context).intersection(self.bounds)
        return Tile(
            index=TileIndex(row, col),
            core=full.intersection(self.bounds),
            window=window,
            trusted=full.grown(self.margin - self.trust).intersection(self.bounds),
        )

    def neighbours(self, index: TileIndex) -> list[TileIndex]:
        """The tiles whose trusted windows overlap a tile's own, row by row.

        Those are the up to eight around it, and where 2 (m - c) > S those behind them, too.
        """
        reach = max(1, -(-2 * (self.margin - self.trust) // self.core))
        steps = range(-reach, reach + 1)
        around = (
            TileIndex(index.row + down, index.col + right) for down in steps for right in steps
        )
        trusted = self[index].trusted
        return [
            other
            for other in around
            if other != index and other in self and self[other].trusted.intersects(trusted)
        ]

    def forward(self, index: TileIndex) -> list[TileIndex]:
        """The neighbours that come later (E, SW, S, SE): each pair of neighbours is met once."""
        return [other for other in self.neighbours(index) if other > index]

    def at(self, row: float, col: float) -> TileIndex:
        """The tile whose core holds a pixel position.

        Raises:
            IndexError: The position lies outside the raster.
        """
        if not (0 <= row < self.height and 0 <= col < self.width):
            raise IndexError(f"pixel ({row}, {col}) of a raster of {self.height} x {self.width}")
        return TileIndex(int(row) // self.core, int(col) // self.core)


def choose_grid(
    height: int,
    width: int,
    cell_size: Callable[[int], int],
    tile_size: int | None,
    margin: int | None,
    context: Context = NO_CONTEXT,
) -> Grid:
    """Tiles for a raster and a model.

    A raster that fits into one window is one tile, whose window is no larger than it needs to be.
    Sizes are rounded to whole mask cells.

    Args:
        height: Of the raster, working pixels.
        width: Likewise.
        cell_size: Side in pixels of the model's mask cells for a window of a size.
        tile_size: Side of a window, pixels; None: what suits the raster.
        margin: Of a window around its core, pixels; None: an eighth of the window.
        context: What the model wants to see beyond it, where there are several tiles.

    Raises:
        ParameterError: The sizes do not fit one another.
    """
    size = tile_size or DEFAULT_TILE
    longest = max(height, width)
    if tile_size is None and longest + 2 * TRUST_MARGIN <= size:
        size = max(256, -(-(longest + 4 * TRUST_MARGIN) // 64) * 64)
    cell = cell_size(size)
    if not isinstance(cell, Integral) or cell < 1:
        raise ParameterError(
            "The side of the segmenter's mask cells (cell_size) must be a whole number of pixels, "
            f"at least 1, and not {cell!r}."
        )
    cell = int(cell)
    trust = -(-TRUST_MARGIN // cell) * cell
    if margin is None:
        margin = max(size // 8, 2 * trust) if longest > size else 2 * trust
    margin = -(-margin // cell) * cell
    core = (size - 2 * margin) // cell * cell
    if core < margin:
        raise ParameterError(
            f"A tile of {size} pixels has no room for a margin of {margin} on each side: "
            f"choose a larger {option('tile_size')} or a smaller {option('margin')}."
        )
    if longest <= core or not context.pixels:
        return Grid(height, width, core=core, margin=margin, cell=cell, trust=trust)
    step = math.lcm(context.step, cell)
    if core >= max(margin, step) + step:
        core = core // step * step
    beyond = -(-(margin + context.pixels) // step) * step - margin
    return Grid(height, width, core, margin, cell, trust, beyond)


@lru_cache(maxsize=256)
def _tile(grid: Grid, index: TileIndex) -> Tile:
    """Tiles that were asked for lately: the merge asks for the same few again and again."""
    return grid._made(index)
