# SPDX-License-Identifier: GPL-2.0-or-later
"""Train and test splits by place: separated by one straight line.

Objects of one place look alike; a split at random would hold back what was, for a model, seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import ParameterError

SLACK = 0.1
"""The cut is made at the widest gap within this share of the objects around the wanted share."""


@dataclass(frozen=True)
class Cut:
    """A line across: what lies beyond it is held back.

    Args:
        axis: 0 cuts between columns (x), 1 between rows (y).
        at: Position on that axis.
    """

    axis: int
    at: float

    def beyond(self, xy: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which of (n, 2) positions are held back."""
        out: NDArray[np.bool_] = xy[:, self.axis] >= self.at
        return out


def cut_by_place(xy: NDArray[np.float64], share: float, least: int = 1) -> Cut:
    """A cut across the longer side of some positions, at their widest gap near a share.

    Where many share a coordinate, as those of one chip do, there may be no gap near it, on neither
    side: then the one that is nearest to the share.

    Args:
        xy: (n, 2) positions.
        share: Of the positions that is held back, 0 to 1.
        least: Positions that each side must have.

    Raises:
        ParameterError: There are too few positions, or all lie at one place.
    """
    count = len(xy)
    if count < 2 * least:
        raise ParameterError(
            f"{count} objects are too few to hold some back: at least {2 * least} are needed."
        )
    wanted = (1 - share) * count
    low = int(np.clip(np.floor(wanted - SLACK * count), least, count - least))
    high = int(np.clip(np.ceil(wanted + SLACK * count), low, count - least))
    spans = np.ptp(xy, axis=0)
    axes = [0, 1] if spans[0] >= spans[1] else [1, 0]
    along = np.sort(xy, axis=0)
    gaps = np.diff(along, axis=0, prepend=along[:1])  # before each one
    for axis in axes:
        widest = low + int(gaps[low : high + 1, axis].argmax())
        if gaps[widest, axis] > 0:
            return Cut(axis, float(along[widest - 1 : widest + 1, axis].mean()))
    steps = np.arange(least, count - least + 1)
    away = np.where(gaps[steps][:, axes] > 0, abs(steps - wanted)[:, None], np.inf)
    if np.isfinite(away).any():
        row, column = np.unravel_index(away.argmin(), away.shape)
        axis, nearest = axes[int(column)], int(steps[row])
        return Cut(axis, float(along[nearest - 1 : nearest + 1, axis].mean()))
    raise ParameterError(
        "All objects lie at one place, so that none can be held back elsewhere: add objects from "
        "another part of the raster."
    )
