# SPDX-License-Identifier: GPL-2.0-or-later
"""The logits of one object, fused from any number of windows and stored in sparse blocks.

Kept as blocks of cells in a dictionary, so that a river costs what its windows cost and not its
bounding box. Fields are values: a change gives a new field that shares all blocks it did not
touch, which makes undo and several candidates cheap. Weighted means as in the merge (tent weights
that vanish at a window's trusted border); a cell that no window has decided is *unknown*.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from scipy.ndimage import label as label_parts

from ..types import BoolArray, CellBox, FloatArray
from .logits import LOGIT_RANGE

_EIGHT = np.ones((3, 3), bool)

Block = tuple[FloatArray, FloatArray]
"""Fused logits and the sum of weights behind them; weight 0 means unknown."""


@dataclass(frozen=True, eq=False)
class Field:
    """Fused logits on a raster's lattice.

    Args:
        bounds: All cells of the raster.
        block: Side of a block in cells.
        blocks: Blocks by (row, column); never changed in place.
    """

    bounds: CellBox
    block: int
    blocks: dict[tuple[int, int], Block] = field(default_factory=dict)

    def _touched(self, box: CellBox) -> Iterator[tuple[tuple[int, int], CellBox]]:
        size = self.block
        for row in range(box.row0 // size, -(-box.row1 // size)):
            for col in range(box.col0 // size, -(-box.col1 // size)):
                yield (
                    (row, col),
                    CellBox(row * size, col * size, (row + 1) * size, (col + 1) * size),
                )

    def pieces(self, box: CellBox) -> Iterator[tuple[tuple[int, int], CellBox]]:
        """A box in pieces that lie in one block each, with the block's index."""
        for index, cells in self._touched(box):
            yield index, cells.intersection(box)

    def read(self, box: CellBox) -> tuple[FloatArray, FloatArray]:
        """Logits (0 where unknown) and weights (0 where unknown) of a box, float32."""
        logits = np.zeros(box.shape, np.float32)
        weights = np.zeros(box.shape, np.float32)
        for index, cells in self._touched(box):
            block = self.blocks.get(index)
            if block is not None:
                shared = cells.intersection(box)
                logits[shared.slices(box)] = block[0][shared.slices(cells)]
                weights[shared.slices(box)] = block[1][shared.slices(cells)]
        return logits, weights

    def at(self, row: int, col: int) -> float | None:
        """The logit of one cell, None where it is unknown."""
        logits, weights = self.read(CellBox(row, col, row + 1, col + 1))
        return float(logits[0, 0]) if weights[0, 0] > 0 else None

    def _written(self, box: CellBox, logits: FloatArray, weights: FloatArray) -> Field:
        blocks = dict(self.blocks)
        size = self.block
        for index, cells in self._touched(box):
            shared = cells.intersection(box)
            old = blocks.get(index)
            new = (
                (old[0].copy(), old[1].copy())
                if old is not None
                else (np.zeros((size, size), np.float32), np.zeros((size, size), np.float32))
            )
            new[0][shared.slices(cells)] = logits[shared.slices(box)]
            new[1][shared.slices(cells)] = weights[shared.slices(box)]
            blocks[index] = new
        return Field(self.bounds, size, blocks)

    def add(self, box: CellBox, logits: FloatArray, weights: FloatArray) -> Field:
        """One more window's answer, as one more voice in the weighted mean.

        Args:
            box: The cells that the arrays cover.
            logits: float32; clipped to +-:data:`LOGIT_RANGE`.
            weights: float32, at least 0; cells of weight 0 stay as they were.
        """
        clipped = np.clip(logits, -LOGIT_RANGE, LOGIT_RANGE)
        old, behind = self.read(box)
        total = behind + weights
        mean = (old * behind + clipped * weights) / np.where(total > 0, total, 1.0)
        return self._written(box, mean.astype(np.float32), total.astype(np.float32))

    def blend(self, box: CellBox, logits: FloatArray, share: FloatArray) -> Field:
        """A correction: the new logits in place of the old, in shares from 0 to 1.

        Where the field is unknown the new logits stand alone, with the share as their weight.
        """
        clipped = np.clip(logits, -LOGIT_RANGE, LOGIT_RANGE)
        old, behind = self.read(box)
        known = behind > 0
        mixed = np.where(known, (1.0 - share) * old + share * clipped, clipped)
        weights = np.where(known, behind, share)
        mixed = np.where(weights > 0, mixed, 0.0)
        return self._written(box, mixed.astype(np.float32), weights.astype(np.float32))

    def forget(self, box: CellBox, where: BoolArray) -> Field:
        """The field with some cells of a box unknown again."""
        logits, weights = self.read(box)
        return self._written(
            box,
            np.where(where, 0, logits).astype(np.float32),
            np.where(where, 0, weights).astype(np.float32),
        )

    def positive_box(self) -> CellBox | None:
        """The smallest box around all cells of the object; None where there is none."""
        found: CellBox | None = None
        for (row, col), (logits, _) in self.blocks.items():
            inside = logits > 0
            if not inside.any():
                continue
            rows, cols = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
            box = CellBox(int(rows[0]), int(cols[0]), int(rows[-1]) + 1, int(cols[-1]) + 1)
            box = box.shifted(row * self.block, col * self.block)
            found = box if found is None else found.union(box)
        return found

    def count(self, threshold: float = 0.0) -> int:
        """Known cells whose logit exceeds a threshold."""
        return sum(
            int(np.count_nonzero((logits > threshold) & (weights > 0)))
            for logits, weights in self.blocks.values()
        )

    def stability(self, offset: float = 1.0) -> float:
        """IoU of the object cut ``offset`` above and below 0 (as in segment-anything)."""
        wide = self.count(-offset)
        return self.count(offset) / wide if wide else 0.0

    def exits(self) -> list[tuple[int, int]]:
        """Unknown cells of the raster that lie beside a cell of the object: where it goes on."""
        found: list[tuple[int, int]] = []
        size = self.block
        for row, col in self.blocks:
            if not self._may_go_on(row, col):
                continue
            cells = CellBox(row * size, col * size, (row + 1) * size, (col + 1) * size)
            around = cells.grown(1)
            logits, weights = self.read(around)
            inside = logits > 0
            beside = np.zeros_like(inside)
            beside[1:, :] |= inside[:-1, :]
            beside[:-1, :] |= inside[1:, :]
            beside[:, 1:] |= inside[:, :-1]
            beside[:, :-1] |= inside[:, 1:]
            rows, cols = np.nonzero(beside & (weights <= 0))
            rows, cols = rows + around.row0, cols + around.col0
            real = (rows >= self.bounds.row0) & (rows < self.bounds.row1)
            real &= (cols >= self.bounds.col0) & (cols < self.bounds.col1)
            found += zip(rows[real].tolist(), cols[real].tolist(), strict=True)
        return sorted(set(found))

    def _may_go_on(self, row: int, col: int) -> bool:
        """Whether a block of the object has unknown cells in it or across its edge."""
        logits, weights = self.blocks[row, col]
        inside = logits > 0
        if not inside.any():
            return False
        if not weights.all():
            return True
        edges = (
            (inside[0], (row - 1, col), (-1, slice(None))),
            (inside[-1], (row + 1, col), (0, slice(None))),
            (inside[:, 0], (row, col - 1), (slice(None), -1)),
            (inside[:, -1], (row, col + 1), (slice(None), 0)),
        )
        return any(
            edge.any() and (index not in self.blocks or not self.blocks[index][1][at].all())
            for edge, index, at in edges
        )

    def same(self, other: Field) -> float:
        """IoU of two objects on one lattice."""
        both = either = 0
        for index in self.blocks.keys() | other.blocks.keys():
            a, b = self.blocks.get(index), other.blocks.get(index)
            if a is None or b is None:
                only = a if a is not None else b
                either += 0 if only is None else int(np.count_nonzero(only[0] > 0))
                continue
            if a is b:
                shared = int(np.count_nonzero(a[0] > 0))
                both, either = both + shared, either + shared
                continue
            both += int(np.count_nonzero((a[0] > 0) & (b[0] > 0)))
            either += int(np.count_nonzero((a[0] > 0) | (b[0] > 0)))
        return both / either if either else 1.0

    def dense(self, box: CellBox) -> FloatArray:
        """Logits of a box for drawing contours: unknown cells are certainly not the object."""
        logits, weights = self.read(box)
        logits[weights <= 0] = -LOGIT_RANGE
        return logits


def keep_parts(logits: FloatArray, seeds: BoolArray) -> FloatArray:
    """Only the 8-connected parts of a mask that hold a seed; other parts become absent.

    Args:
        logits: (h, w) float32.
        seeds: (h, w) bool.
    """
    parts, count = label_parts(logits > 0, structure=_EIGHT)
    if count == 0:
        return logits
    wanted = np.zeros(count + 1, bool)
    wanted[np.unique(parts[seeds])] = True
    wanted[0] = True
    return np.where(wanted[parts], logits, np.float32(-LOGIT_RANGE)).astype(np.float32)
