# SPDX-License-Identifier: GPL-2.0-or-later
"""How far a whole layer lies off a raster: georeferencing, told apart from objects that moved.

Every old polygon that has a candidate of about its size nearby votes for the way from its middle
to the candidate's. Wrong pairs vote for everywhere, right ones for one place: the densest spot of
the votes (mean shift, Comaniciu and Meer 2002, with a flat kernel) is the layer's shift.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from scipy.spatial import cKDTree

from .evidence import Floats, Shapes

LEAST_VOTES = 12
"""Objects that must agree before a layer is said to be shifted: fewer may have moved themselves."""

LEAST_SHARE = 0.3
"""Of the polygons that have a vote at all, those that must agree."""

SIZE = 0.6
"""Smaller area over larger one, from which a candidate is of a polygon's size."""

MOVES_LAYER = 0.5
"""Metres from which a shift moves the layer's polygons: one that is less is told, and no more."""

REACH = 1.0
"""How far a candidate's middle may lie from a polygon's, in the median side of the layer."""


@dataclass(frozen=True)
class CommonShift:
    """The way from the layer to the raster.

    Args:
        east, north: Metres.
        votes: Polygons that agree with it.
        spread: Median distance of their votes from it, m.
    """

    east: float = 0.0
    north: float = 0.0
    votes: int = 0
    spread: float = 0.0

    @property
    def length(self) -> float:
        return float(np.hypot(self.east, self.north))


def common_shift(old: Shapes, candidates: Shapes, pixel: float) -> CommonShift:
    """The shift that most polygons of a layer share.

    Args:
        old: (n,) polygons on the plane.
        candidates: (m,) polygons there, found without looking at the old ones.
        pixel: Side of a pixel, m: what is less is no shift.

    Returns:
        No shift where too few agree, or where it is less than a pixel.
    """
    if len(old) == 0 or len(candidates) == 0:
        return CommonShift()
    sides = np.sqrt(shapely.area(old))
    reach = REACH * float(np.median(sides))
    votes = _votes(old, candidates, reach)
    if len(votes) < LEAST_VOTES:
        return CommonShift()
    radius = max(0.15 * reach, 2 * pixel)
    # Counted, not listed: a table of all pairs of a large layer's votes would not fit into memory.
    near = cKDTree(votes).query_ball_point(votes, radius, return_length=True)
    at = votes[int(np.argmax(near))]
    for _ in range(50):
        inside = np.linalg.norm(votes - at, axis=1) <= radius
        there = votes[inside].mean(axis=0)
        if np.abs(there - at).max() < 1e-6:
            break
        at = there
    inside = np.linalg.norm(votes - at, axis=1) <= radius
    count = int(inside.sum())
    at = np.median(votes[inside], axis=0)
    if count < max(LEAST_VOTES, LEAST_SHARE * len(votes)):
        return CommonShift()
    spread = float(np.median(np.linalg.norm(votes[inside] - at, axis=1)))
    # A mean of many votes is exact, but half a pixel is what an outline may be off by itself.
    if np.hypot(*at) < pixel:
        return CommonShift(votes=count, spread=spread)
    return CommonShift(round(float(at[0]), 3), round(float(at[1]), 3), count, spread)


def _votes(old: Shapes, candidates: Shapes, reach: float) -> Floats:
    """(v, 2) ways from polygons to the candidates that are most like them, metres."""
    middles, targets = _middles(old), _middles(candidates)
    i, j = shapely.STRtree(shapely.points(targets)).query(
        shapely.points(middles), predicate="dwithin", distance=reach
    )
    if len(i) == 0:
        return np.empty((0, 2))
    area, size = shapely.area(old)[i], shapely.area(candidates)[j]
    ratio = np.minimum(area, size) / np.maximum(area, size)
    way = targets[j] - middles[i]
    # How alike two shapes are when one is laid on the other.
    laid = shapely.transform(old[i], lambda xy: xy)
    coordinates, numbers = shapely.get_coordinates(laid, return_index=True)
    laid = shapely.set_coordinates(laid, coordinates + way[numbers])
    common = shapely.area(shapely.intersection(laid, candidates[j]))
    alike = common / np.maximum(area + size - common, 1e-12)
    good = (ratio >= SIZE) & (alike >= SIZE)
    i, j, way, alike = i[good], j[good], way[good], alike[good]
    order = np.lexsort((j, -alike, i))
    first = np.unique(i[order], return_index=True)[1]
    out: Floats = way[order[first]]
    return out


def _middles(shapes: Shapes) -> Floats:
    out: Floats = shapely.get_coordinates(shapely.centroid(shapes))
    return out
