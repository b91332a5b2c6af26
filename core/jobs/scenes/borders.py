# SPDX-License-Identifier: GPL-2.0-or-later
"""Objects that end where their scene ends, although another scene shows the ground beyond."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from ...earth.crs import metres_per_unit
from .duplicates import Part

PIXELS = 1.5
"""Pixels from a scene's border within which an object ends there."""

METRES_PER_DEGREE = 111_320.0


@dataclass(frozen=True, eq=False)
class Borders:
    """The outlines of scenes that share a layer.

    Args:
        ground: (n,) polygons.
        near: (n,) distance that counts as being at the border, units of the CRS.
        tree: Of ``ground``.
    """

    ground: NDArray[Any]
    near: NDArray[np.float64]
    tree: shapely.STRtree

    @classmethod
    def of(cls, parts: Sequence[Part], crs: CRS | None) -> Borders:
        """Of the scenes' layers, whose footprints are in a CRS."""
        ground = shapely.make_valid(shapely.polygons([part.footprint for part in parts]))
        unit = 1.0
        if crs is not None:
            unit = METRES_PER_DEGREE if crs.is_geographic else metres_per_unit(crs)
        near = np.array([PIXELS * part.pixel / unit for part in parts], np.float64)
        return cls(ground, near, shapely.STRtree(ground))

    def cut(self, number: int, shapes: NDArray[Any]) -> int:
        """How many of a scene's shapes end at its border, where another scene goes on.

        Args:
            number: The scene.
            shapes: (m,) its objects in the layer's CRS.
        """
        own, near = self.ground[number], float(self.near[number])
        others = self.tree.query(own, predicate="dwithin", distance=near)
        others = others[others != number]
        if not len(others) or not len(shapes):
            return 0
        edge = shapely.boundary(own)
        at_edge = shapes[shapely.dwithin(shapes, edge, near)]
        beyond = shapely.difference(shapely.union_all(self.ground[others]), own)
        return int(shapely.dwithin(at_edge, beyond, near).sum()) if len(at_edge) else 0
