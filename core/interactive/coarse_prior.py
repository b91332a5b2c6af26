# SPDX-License-Identifier: GPL-2.0-or-later
"""Prompts derived from a coarse mask of the object: guide masks, interior points, agreement."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from affine import Affine
from scipy.ndimage import distance_transform_edt

from ..masks.logits import LOGIT_RANGE
from ..tiles.mask_grid import bilinear
from ..types import BoolArray, CellBox, FloatArray, PixelBox
from .windows import Level


@dataclass(frozen=True, eq=False)
class Guide:
    """An object seen from further away.

    Args:
        level: Where it was seen.
        window: Which of its windows.
        logits: (h, w) float32 of that window's cells.
        closed: Whether all of the object lay in it.
    """

    level: Level
    window: PixelBox
    logits: FloatArray
    closed: bool

    def sample(self, fine: Level, box: CellBox) -> FloatArray:
        """The guide's logits at the cells of a finer level; absent outside its trusted part."""
        return resample(
            self.logits,
            self.window,
            self.level.cell,
            fine.to(self.level),
            box,
            fine.cell,
            outside=-LOGIT_RANGE,
        )


def resample(
    logits: FloatArray,
    window: PixelBox,
    cell: int,
    matrix: Affine,
    box: CellBox,
    box_cell: int,
    outside: float,
) -> FloatArray:
    """Logits of one level bilinearly at the cell centres of another; axis-aligned scales only.

    Args:
        logits: (h, w) of ``window`` in cells of ``cell`` pixels.
        window: Their place, in their level's pixels.
        cell: Their cell.
        matrix: (column, row) of the wanted level's pixels to theirs.
        box: Wanted cells.
        box_cell: Side of a wanted cell in the wanted level's pixels.
        outside: Value beyond ``logits``.
    """
    rows = (np.arange(box.row0, box.row1) + 0.5) * box_cell * matrix.e + matrix.f
    cols = (np.arange(box.col0, box.col1) + 0.5) * box_cell * matrix.a + matrix.c
    row_at = (rows - window.row0) / cell - 0.5
    col_at = (cols - window.col0) / cell - 0.5
    height, width = logits.shape
    inside = ((row_at >= -0.5) & (row_at <= height - 0.5))[:, None] & (
        (col_at >= -0.5) & (col_at <= width - 0.5)
    )[None, :]
    return np.where(inside, bilinear(logits, row_at, col_at), np.float32(outside))


def points_inside(mask: BoolArray, count: int) -> list[tuple[int, int]]:
    """Cells far inside a mask: the furthest from its outline, then the furthest of what is left.

    Args:
        mask: (h, w) bool with at least one True.
        count: At most so many; fewer where the rest lies close to the outline.
    """
    distance = distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    found: list[tuple[int, int]] = []
    least = 0.0
    rows, cols = np.ogrid[: mask.shape[0], : mask.shape[1]]
    for _ in range(count):
        row, col = (int(v) for v in np.unravel_index(int(np.argmax(distance)), distance.shape))
        reach = float(distance[row, col])
        if reach <= least:
            break
        least = max(least, reach / 2)
        found.append((row, col))
        away = max(2.0 * reach, max(mask.shape) / 6)
        distance = np.where((rows - row) ** 2 + (cols - col) ** 2 < away**2, 0.0, distance)
    return found


def best_agreement(
    offered: FloatArray, scores: FloatArray, wanted: BoolArray, seen: BoolArray
) -> tuple[int, float]:
    """Which of (m, h, w) offered masks agrees best with what is known, and its IoU there.

    Masks that agree about equally (within 0.02) are told apart by the model's own score.
    """
    masks = (offered > 0) & seen
    both = (masks & wanted).sum(axis=(1, 2))
    either = (masks | (wanted & seen)).sum(axis=(1, 2))
    agreement = both / np.maximum(either, 1)
    near = np.flatnonzero(agreement >= agreement.max() - 0.02)
    chosen = int(near[np.argmax(scores[near])])
    return chosen, float(agreement[chosen])
