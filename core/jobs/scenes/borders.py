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
from .ground import Ground

PIXELS = 1.5
"""Pixels from a scene's border within which an object ends there."""

METRES_PER_DEGREE = 111_320.0


@dataclass(frozen=True, eq=False)
class Borders:
    """The outlines of scenes that share a layer.

    Args:
        ground: Where they lie.
        near: (n,) distance that counts as being at the border, units of the CRS.
    """

    ground: Ground
    near: NDArray[np.float64]

    @classmethod
    def of(cls, parts: Sequence[Part], ground: Ground, crs: CRS | None) -> Borders:
        """Of the scenes' layers, whose footprints are in a CRS."""
        unit = 1.0
        if crs is not None:
            unit = METRES_PER_DEGREE if crs.is_geographic else metres_per_unit(crs)
        near = np.array([PIXELS * part.pixel / unit for part in parts], np.float64)
        return cls(ground, near)

    def cut(self, number: int, shapes: NDArray[Any]) -> int:
        """How many of a scene's shapes end at its border, where another scene goes on.

        Args:
            number: The scene.
            shapes: (m,) its objects in the layer's CRS.
        """
        own, near = self.ground.outlines[number], float(self.near[number])
        others = self.ground.around(number, near)
        if not others or not len(shapes):
            return 0
        edge = shapely.boundary(own)
        shapes = self.ground.placed(number, shapes)
        at_edge = shapes[shapely.dwithin(shapes, edge, near)]
        beyond = shapely.difference(shapely.union_all(others), own)
        return int(shapely.dwithin(at_edge, beyond, near).sum()) if len(at_edge) else 0
