# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a raster can have data: rasters of a mosaic, sources of a VRT, written blocks.

What is known from a directory need not be read: a mosaic of two towns a country apart is empty
nearly everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from ..sources.opening import Source
from ..sources.references import files_named
from ..types import BoolArray, PixelBox
from .tiff_blocks import written_blocks
from .virtual import destinations_of


@dataclass(frozen=True, eq=False)
class Coverage:
    """Places outside of which there are no data.

    Args:
        boxes: (n, 4) of row0, col0, row1, col1, source pixels; empty where they are blocks.
        blocks: (rows, cols) bool, blocks that were written; None where places are boxes.
        block: (height, width) of a block.
    """

    boxes: NDArray[np.int64]
    blocks: BoolArray | None = None
    block: tuple[int, int] = (1, 1)

    @cached_property
    def _tree(self) -> Any:
        row0, col0, row1, col1 = self.boxes.T
        return shapely.STRtree(shapely.box(col0, row0, col1, row1))

    def touches(self, box: PixelBox) -> bool:
        """Whether a window of source pixels may have data."""
        if self.blocks is not None:
            high, wide = self.block
            rows = slice(box.row0 // high, -(-box.row1 // high))
            return bool(self.blocks[rows, box.col0 // wide : -(-box.col1 // wide)].any())
        if len(self.boxes) == 0:
            return False
        window = shapely.box(box.col0 + 0.25, box.row0 + 0.25, box.col1 - 0.25, box.row1 - 0.25)
        return len(self._tree.query(window)) > 0

    def share(self, shape: tuple[int, int]) -> float:
        """Share of a raster that it covers, overlaps counted twice."""
        if self.blocks is not None:
            return float(self.blocks.mean())
        row0, col0, row1, col1 = self.boxes.T.astype(np.float64)
        return float(((row1 - row0) * (col1 - col0)).sum() / (float(shape[0]) * shape[1]))

    def places(self, most: int, shape: tuple[int, int]) -> list[PixelBox]:
        """At most so many of the places, evenly chosen from all, in their order."""
        if self.blocks is not None:
            found = np.flatnonzero(self.blocks.ravel())
            chosen = found[_spread(len(found), most)]
            rows, cols = np.divmod(chosen, self.blocks.shape[1])
            high, wide = self.block
            corners = np.stack(
                [rows * high, cols * wide, (rows + 1) * high, (cols + 1) * wide], axis=1
            )
        else:
            corners = self.boxes[_spread(len(self.boxes), most)]
        whole = PixelBox(0, 0, *shape)
        places = (PixelBox(*map(int, corner)).intersection(whole) for corner in corners)
        return [place for place in places if not place.empty]


def _spread(count: int, most: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, max(0, count - 1), min(count, most)).round().astype(np.int64))


def coverage_of(source: Source, band: int) -> Coverage | None:
    """What is known of where a source has data; None where it may have them everywhere.

    Args:
        source: Open.
        band: The band that is looked at.
    """
    if source.parts:
        boxes = [
            (row, col, row + part.height, col + part.width)
            for part, (col, row) in zip(source.parts, source.places, strict=True)
        ]
        return Coverage(np.array(boxes, np.int64))
    if not source.plain:
        return None
    if source.dataset.driver == "VRT":
        found = destinations_of(source.names[0], band)
        return None if found is None else Coverage(found)
    if source.dataset.driver != "GTiff":
        return None
    files = files_named(source.names[0])
    if files != [source.names[0]]:
        return None
    blocks = written_blocks(files[0], band)
    block = tuple(source.dataset.block_shapes[band - 1])
    rows, cols = -(-source.dataset.height // block[0]), -(-source.dataset.width // block[1])
    if blocks is None or blocks.shape != (rows, cols) or blocks.all():
        return None
    return Coverage(np.empty((0, 4), np.int64), blocks, (int(block[0]), int(block[1])))
