# SPDX-License-Identifier: GPL-2.0-or-later
"""Basic types: pixel boxes, ground boxes, tile indices, array aliases.

Pixels and cells are always (row, column); the ground is always (x, y). A *pixel* is a pixel of the
raster at its working resolution. A *cell* is one value of a mask's low-resolution logits: a square
of ``cell`` x ``cell`` pixels on a lattice that starts at the raster's first pixel and is the same
for all tiles, so that masks of neighbouring tiles can be compared without resampling.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
ByteArray = NDArray[np.uint8]
LogitArray = NDArray[np.int8]
BoolArray = NDArray[np.bool_]
AnyArray = NDArray[Any]

GEOMETRY = "geometry"
"""Name of the column of geometries between stages."""

MergeMode = Literal["hierarchy", "flat"]
Shapes = Literal["objects", "coverage"]

B = TypeVar("B", bound="Box")


@dataclass(frozen=True, order=True)
class Box:
    """A half-open box of whole rows and columns: ``row0 <= row < row1``, ``col0 <= col < col1``."""

    row0: int
    col0: int
    row1: int
    col1: int

    @property
    def height(self) -> int:
        return max(0, self.row1 - self.row0)

    @property
    def width(self) -> int:
        return max(0, self.col1 - self.col0)

    @property
    def shape(self) -> tuple[int, int]:
        return self.height, self.width

    @property
    def area(self) -> int:
        return self.height * self.width

    @property
    def empty(self) -> bool:
        return self.row1 <= self.row0 or self.col1 <= self.col0

    def intersection(self: B, other: B) -> B:
        """The common box; empty (area 0) where there is none."""
        return type(self)(
            max(self.row0, other.row0),
            max(self.col0, other.col0),
            min(self.row1, other.row1),
            min(self.col1, other.col1),
        )

    def union(self: B, other: B) -> B:
        """The smallest box around both."""
        return type(self)(
            min(self.row0, other.row0),
            min(self.col0, other.col0),
            max(self.row1, other.row1),
            max(self.col1, other.col1),
        )

    def intersects(self: B, other: B) -> bool:
        return not self.intersection(other).empty

    def contains(self: B, other: B) -> bool:
        return self.intersection(other) == other

    def grown(self: B, margin: int) -> B:
        """The box with ``margin`` rows and columns more on every side (fewer where negative)."""
        return type(self)(
            self.row0 - margin, self.col0 - margin, self.row1 + margin, self.col1 + margin
        )

    def shifted(self: B, rows: int, cols: int) -> B:
        return type(self)(self.row0 + rows, self.col0 + cols, self.row1 + rows, self.col1 + cols)

    def slices(self: B, inside: B) -> tuple[slice, slice]:
        """Index of this box in an array that covers the box ``inside``."""
        return (
            slice(self.row0 - inside.row0, self.row1 - inside.row0),
            slice(self.col0 - inside.col0, self.col1 - inside.col0),
        )


@dataclass(frozen=True, order=True)
class PixelBox(Box):
    """A box of the raster's pixels at the working resolution."""

    def cells(self, cell: int) -> CellBox:
        """The cells that this box touches, for a lattice of ``cell`` pixels."""
        return CellBox(
            self.row0 // cell, self.col0 // cell, -(-self.row1 // cell), -(-self.col1 // cell)
        )


@dataclass(frozen=True, order=True)
class CellBox(Box):
    """A box of lattice cells."""

    def pixels(self, cell: int) -> PixelBox:
        return PixelBox(self.row0 * cell, self.col0 * cell, self.row1 * cell, self.col1 * cell)


@dataclass(frozen=True)
class GroundBox:
    """A box on the ground, in the units of a CRS that goes with it."""

    xmin: float
    ymin: float
    xmax: float
    ymax: float


class TileIndex(NamedTuple):
    """Place of a tile in its grid; sorts row by row."""

    row: int
    col: int

    @property
    def name(self) -> str:
        return f"r{self.row:05d}_c{self.col:05d}"
