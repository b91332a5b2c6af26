# SPDX-License-Identifier: GPL-2.0-or-later
"""Which objects of a layer share ground, and what they have in common because of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import sparse

from ...types import BoolArray, FloatArray


@dataclass(frozen=True, eq=False)
class Overlaps:
    """Pairs of polygons that share ground, first < second, in ascending order.

    Args:
        first: (p,) int64 numbers of polygons.
        second: (p,) int64.
        common: (p,) float64 areas that they share.
        area: (n,) float64 areas of all polygons.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    common: NDArray[np.float64]
    area: NDArray[np.float64]


def overlaps(polygons: NDArray[Any]) -> Overlaps:
    """The pairs of polygons that touch or share ground.

    Args:
        polygons: (n,) valid shapes in a plane.
    """
    area = np.asarray(shapely.area(polygons), np.float64).reshape(-1)
    if not len(polygons):
        none = np.empty(0, np.int64)
        return Overlaps(none, none, np.empty(0), area)
    tree = shapely.STRtree(polygons)
    first, second = tree.query(polygons, predicate="intersects")
    keep = first < second
    first, second = first[keep], second[keep]
    order = np.lexsort((second, first))
    first, second = first[order].astype(np.int64), second[order].astype(np.int64)
    common = shapely.area(shapely.intersection(polygons[first], polygons[second]))
    return Overlaps(first, second, np.asarray(common, np.float64), area)


def blended(values: FloatArray, pairs: Overlaps, seen: BoolArray) -> FloatArray:
    """Features of objects, averaged with those of the objects that share their ground.

    An object counts as one, another as much as the share of the object's area that it covers. Half
    a roof, the roof and the roof with its yard are guesses at one thing: together they say more
    surely what it is than each alone.

    Args:
        values: (n, d) features.
        pairs: Of the objects.
        seen: (n,) bool, objects that have features.

    Returns:
        (n, d) float32; objects without features keep their values.
    """
    good = seen[pairs.first] & seen[pairs.second] & (pairs.common > 0)
    first, second, common = pairs.first[good], pairs.second[good], pairs.common[good]
    area = np.maximum(pairs.area, 1e-12)
    share = np.concatenate([common / area[first], common / area[second]])
    rows, cols = np.concatenate([first, second]), np.concatenate([second, first])
    weights = sparse.csr_matrix((share, (rows, cols)), (len(values), len(values)))
    total = 1 + np.asarray(weights.sum(axis=1)).reshape(-1, 1)
    return np.asarray((values + weights @ values.astype(np.float64)) / total, np.float32)
