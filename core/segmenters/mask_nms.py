# SPDX-License-Identifier: GPL-2.0-or-later
"""Non-maximum suppression of the candidate masks of a window.

The official generator compares boxes, which makes a ring and the disc inside it the same object.
Here masks are compared, bit by bit on the lattice; boxes remain as an option for comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..masks.masks import quantize
from ..masks.packed import popcount
from ..masks.raster_edge import extent
from ..types import AnyArray, BoolArray, CellBox, FloatArray, LogitArray

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
    def rank(self) -> tuple[object, ...]:
        """The better first; what is equally good by place."""
        return self.mended, -self.layer, -round(self.score, 4), self.tight, self.area

    @property
    def order(self) -> tuple[object, ...]:
        """By rank, and those of one rank by shape: never by time of arrival."""
        return *self.rank, self.logits.tobytes()


def stability_of(logits: AnyArray, offset: float) -> FloatArray:
    """IoU of each mask cut at +offset and at -offset: (n, h, w) to (n,); 0 where it is empty."""
    # Mask by mask, so that one stays in the processor's cache.
    high, low = (
        np.array([np.count_nonzero(mask > limit) for mask in logits], np.int64)
        for limit in (offset, -offset)
    )
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
    rough = extent(logits)
    if rough is None:
        return None
    whole = CellBox(0, 0, *logits.shape)
    box = CellBox(*rough).grown(CROP_MARGIN).intersection(whole)
    stored = quantize(logits[box.slices(whole)])
    tight = extent(stored, tips=False)
    if tight is None:
        return None
    box = box.shifted(cells.row0, cells.col0)
    return Candidate(
        tight=CellBox(*tight).shifted(box.row0, box.col0),
        box=box,
        logits=stored,
        score=score,
        stability=stability,
        area=int(np.count_nonzero(stored > 0)),
        layer=layer,
    )


def remove_duplicates(
    candidates: Sequence[Candidate],
    max_iou: float,
    criterion: Criterion = "mask",
    small: tuple[int, float] | None = None,
) -> list[Candidate]:
    """Greedy non-maximum suppression; the answer does not depend on the candidates' order.

    Args:
        candidates: Any number.
        max_iou: A candidate whose IoU with a better one exceeds this is left out.
        criterion: IoU of what: the masks or their boxes.
        small: For candidates of less than so many cells, this IoU instead.

    Returns:
        The survivors, best first.
    """
    ordered = _sorted(candidates)
    if max_iou >= 1 or len(ordered) < 2:
        return ordered
    boxes = np.array([(c.tight.row0, c.tight.col0, c.tight.row1, c.tight.col1) for c in ordered])
    areas = np.array([c.area for c in ordered], np.int64)
    box_areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    bits: list[_Bits] = []  # of those kept
    hits = np.zeros(len(ordered), np.int64)  # of those kept, the duplicates found so far
    kept = np.empty(len(ordered), np.intp)
    count = 0
    usual = max_iou
    for row, candidate in enumerate(ordered):
        max_iou = usual if small is None or candidate.area >= small[0] else small[1]
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
            mine = _Bits(candidate)
            duplicate = False
            # Who had many duplicates is asked first: one is enough.
            for other in close[np.argsort(-hits[close], kind="stable")].tolist():
                inside = mine.common(bits[other])
                if inside > max_iou * (total[other] - inside):
                    hits[other] += 1
                    duplicate = True
                    break
            if not duplicate:
                bits.append(mine)
        if not duplicate:
            kept[count] = row
            count += 1
    return [ordered[row] for row in kept[:count]]


def _sorted(candidates: Sequence[Candidate]) -> list[Candidate]:
    """By their order; shapes are compared only where all else is equal."""
    ranked = sorted(candidates, key=lambda candidate: candidate.rank)
    ordered: list[Candidate] = []
    for _, group in groupby(ranked, key=lambda candidate: candidate.rank):
        equals = list(group)
        if len(equals) > 1:
            equals.sort(key=lambda candidate: candidate.order)
        ordered += equals
    return ordered


def _common_area(box: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.int64]:
    low = np.maximum(box[:2], others[:, :2])
    high = np.minimum(box[2:], others[:, 2:])
    return np.asarray(np.clip(high - low, 0, None).prod(axis=1))


class _Bits:
    """A candidate's mask, 64 cells per word, so that an intersection is AND and popcount.

    Only the rows and words that the mask reaches into are kept.
    """

    def __init__(self, candidate: Candidate) -> None:
        tight = candidate.tight
        self._row0, self._word0 = tight.row0, tight.col0 // 64
        count = -(-tight.col1 // 64) - self._word0
        canvas: BoolArray = np.zeros((tight.height, count * 64), bool)
        first = tight.col0 - self._word0 * 64
        inside = candidate.logits[tight.slices(candidate.box)] > 0
        canvas[:, first : first + tight.width] = inside
        self._words: NDArray[np.uint64] = np.packbits(canvas, axis=1).view(np.uint64)

    def common(self, other: _Bits) -> int:
        """Cells that both masks have."""
        mine, others = [], []
        starts = (self._row0, other._row0), (self._word0, other._word0)
        for (a, b), m, n in zip(starts, self._words.shape, other._words.shape, strict=True):
            low, high = max(a, b), min(a + m, b + n)
            if low >= high:
                return 0
            mine.append(slice(low - a, high - a))
            others.append(slice(low - b, high - b))
        both = self._words[tuple(mine)] & other._words[tuple(others)]
        return int(popcount(both).sum(dtype=np.int64))
