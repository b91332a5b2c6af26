# SPDX-License-Identifier: GPL-2.0-or-later
"""An old layer and the objects that a raster shows, on one plane in metres, and their overlaps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]
Shapes = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Found:
    """Objects that a raster shows.

    Args:
        shapes: (n,) valid polygons on the plane.
        score: (n,) predicted IoU, 0 to 1.
        likeness: (n,) probability that an object is of the old layer's class.
    """

    shapes: Shapes
    score: Floats
    likeness: Floats

    def __len__(self) -> int:
        return len(self.shapes)


@dataclass(frozen=True, eq=False)
class Evidence:
    """An old layer of n polygons and what the raster shows.

    Args:
        old: (n,) valid polygons on the plane, where the common shift has put them.
        likeness: (n,) probability that what lies under an old polygon is of its class.
        visible: (n,) bool, whether the raster has data at most of an old polygon.
        answers: The n objects that the model finds when it is asked with the old polygons' boxes;
            an empty polygon, score 0 and likeness 0 where it finds none.
        candidates: Objects found without looking at the old layer, each piece of ground perhaps
            several times: wholes and their parts.
        pixel: Side of a pixel, m.
    """

    old: Shapes
    likeness: Floats
    visible: Bools
    answers: Found
    candidates: Found
    pixel: float


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of overlapping shapes.

    Args:
        one, other: (p,) numbers, ascending by ``one`` and then by ``other``.
        common: (p,) area in common, m2.
        iou: (p,).
    """

    one: Integers
    other: Integers
    common: Floats
    iou: Floats

    def best(self, count: int) -> tuple[Integers, Floats]:
        """For each of ``count`` shapes the other with the largest IoU (-1: none), and that IoU."""
        number, value = np.full(count, -1, np.int64), np.zeros(count)
        order = np.lexsort((self.other, -self.iou, self.one))
        first = np.unique(self.one[order], return_index=True)[1]
        chosen = order[first]
        number[self.one[chosen]] = self.other[chosen]
        value[self.one[chosen]] = self.iou[chosen]
        return number, value


def overlapping(one: Shapes, other: Shapes) -> Pairs:
    """All pairs of two lists of polygons that have an area in common."""
    i, j = shapely.STRtree(other).query(one, predicate="intersects")
    order = np.lexsort((j, i))
    i, j = i[order].astype(np.int64), j[order].astype(np.int64)
    common = shapely.area(shapely.intersection(one[i], other[j]))
    some = common > 0
    i, j, common = i[some], j[some], common[some]
    union = shapely.area(one[i]) + shapely.area(other[j]) - common
    return Pairs(i, j, common, common / np.maximum(union, 1e-12))


def iou(one: Shapes, other: Shapes) -> Floats:
    """IoU of n pairs of polygons."""
    common = shapely.area(shapely.intersection(one, other))
    union = shapely.area(one) + shapely.area(other) - common
    out: Floats = np.where(union > 0, common / np.maximum(union, 1e-12), 0.0)
    return out
