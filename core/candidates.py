# SPDX-License-Identifier: GPL-2.0-or-later
"""Candidates of one window, and the removal of those that say the same thing twice.

The official generator compares boxes, which makes a ring and the disc inside it the same object.
Here masks are compared, bit by bit on the lattice; boxes remain as an option for comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .beyond import leads_beyond
from .bits import popcount
from .masks import crop_mask, quantize
from .types import AnyArray, BoolArray, CellBox, FloatArray, LogitArray

Criterion = Literal["mask", "box"]

CROP_MARGIN = 2
"""Cells kept around a mask: the contour runs in the first, fusion blends with the second."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A mask that passed the thresholds.

    Args:
        tight: Smallest box around its inside, in cells of the window.
        box: Where ``logits`` lie, in cells of the window: ``tight`` and some cells around.
        logits: (box.height, box.width) int8, stored logits.
        score: Predicted IoU.
        stability: IoU of the mask cut high and cut low.
        area: Cells inside.
        layer: Crop layer that it comes from; 0 is the whole window.
        mended: Small regions were removed or filled.
    """

    tight: CellBox
    box: CellBox
    logits: LogitArray
    score: float
    stability: float
    area: int
    layer: int = 0
    mended: bool = False

    @property
    def order(self) -> tuple[object, ...]:
        """The better first; what is equally good by place and shape, never by time of arrival."""
        return (
            self.mended,
            -self.layer,
            -round(self.score, 4),
            self.tight,
            self.area,
            self.logits.tobytes(),
        )


def stability_of(logits: AnyArray, offset: float) -> FloatArray:
    """IoU of each mask cut at +offset and at -offset: (n, h, w) to (n,); 0 where it is empty."""
    high = np.count_nonzero(logits > offset, axis=(1, 2))
    low = np.count_nonzero(logits > -offset, axis=(1, 2))
    return np.asarray(high / np.maximum(low, 1), np.float32)


def make_candidate(
    logits: FloatArray, cells: CellBox, *, score: float, stability: float, layer: int = 0
) -> Candidate | None:
    """A candidate from float logits.

    Args:
        logits: (cells.height, cells.width) float32.
        cells: Where they lie, in cells of the window.
        score, stability, layer: As in :class:`Candidate`.

    Returns:
        The candidate, or None where nothing is inside.
    """
    rough = logits > 0
    if not rough.any():
        return None
    leading = leads_beyond(logits)
    rows = np.flatnonzero(rough.any(axis=1) | leading[0])
    cols = np.flatnonzero(rough.any(axis=0) | leading[1])
    whole = CellBox(0, 0, *logits.shape)
    box = CellBox(int(rows[0]), int(cols[0]), int(rows[-1]) + 1, int(cols[-1]) + 1)
    box = box.grown(CROP_MARGIN).intersection(whole)
    stored = quantize(logits[box.slices(whole)])
    tight = crop_mask(stored, (box.row0, box.col0), margin=0)
    if tight is None:
        return None
    return Candidate(
        tight=tight[0].shifted(cells.row0, cells.col0),
        box=box.shifted(cells.row0, cells.col0),
        logits=stored,
        score=score,
        stability=stability,
        area=int(np.count_nonzero(tight[1] > 0)),
        layer=layer,
    )


def remove_duplicates(
    candidates: Sequence[Candidate],
    shape: tuple[int, int],
    max_iou: float,
    criterion: Criterion = "mask",
) -> list[Candidate]:
    """Greedy non-maximum suppression; the answer does not depend on the candidates' order.

    Args:
        candidates: Any number.
        shape: (rows, columns) of the window in cells.
        max_iou: A candidate whose IoU with a better one exceeds this is left out.
        criterion: IoU of what: the masks or their boxes.

    Returns:
        The survivors, best first.
    """
    ordered = sorted(candidates, key=lambda candidate: candidate.order)
    if max_iou >= 1 or len(ordered) < 2:
        return ordered
    boxes = np.array([(c.tight.row0, c.tight.col0, c.tight.row1, c.tight.col1) for c in ordered])
    areas = np.array([c.area for c in ordered], np.int64)
    box_areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    bits = _Bits(shape)
    kept = np.empty(len(ordered), np.intp)
    count = 0
    for row, candidate in enumerate(ordered):
        better = kept[:count]
        common = _common_area(boxes[row], boxes[better])
        if criterion == "box":
            union = box_areas[row] + box_areas[better] - common
            duplicate = bool((common > max_iou * union).any())
        else:
            total = areas[row] + areas[better]
            # The masks' intersection cannot exceed either area or the boxes' intersection, so
            # most pairs are settled without looking at a bit.
            bound = np.minimum(np.minimum(areas[row], areas[better]), common)
            close = np.flatnonzero(bound > max_iou * (total - bound))
            words = bits.pack(candidate)
            duplicate = False
            if close.size:
                inside = bits.common(words, close, candidate.tight)
                duplicate = bool((inside > max_iou * (total[close] - inside)).any())
            if not duplicate:
                bits.append(words)
        if not duplicate:
            kept[count] = row
            count += 1
    return [ordered[row] for row in kept[:count]]


def _common_area(box: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.int64]:
    low = np.maximum(box[:2], others[:, :2])
    high = np.minimum(box[2:], others[:, 2:])
    return np.asarray(np.clip(high - low, 0, None).prod(axis=1))


class _Bits:
    """Masks of kept candidates, 64 cells a word, so that an intersection is AND and popcount."""

    def __init__(self, shape: tuple[int, int]):
        self._rows = shape[0]
        self._words = -(-shape[1] // 64)
        self._kept = np.empty((16, self._rows, self._words), np.uint64)
        self._count = 0

    def pack(self, candidate: Candidate) -> NDArray[np.uint64]:
        canvas: BoolArray = np.zeros((self._rows, self._words * 64), bool)
        box = candidate.box
        canvas[box.row0 : box.row1, box.col0 : box.col1] = candidate.logits > 0
        return np.packbits(canvas, axis=1).view(np.uint64)

    def append(self, words: NDArray[np.uint64]) -> None:
        if self._count == len(self._kept):
            self._kept = np.concatenate([self._kept, np.empty_like(self._kept)])
        self._kept[self._count] = words
        self._count += 1

    def common(
        self, words: NDArray[np.uint64], which: NDArray[np.intp], box: CellBox
    ) -> NDArray[np.int64]:
        """Cells that a mask shares with each of some kept ones."""
        rows = slice(box.row0, box.row1)
        cols = slice(box.col0 // 64, -(-box.col1 // 64))
        both = self._kept[which, rows, cols] & words[rows, cols]
        return np.asarray(popcount(both).sum(axis=(1, 2), dtype=np.int64))
