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

from ...vectors.local_plane import LocalPlane
from .duplicates import Part
from .ground import Ground

PIXELS = 1.5
"""Pixels from a scene's border within which an object ends there."""


@dataclass(frozen=True, eq=False)
class Borders:
    """The outlines of scenes that share a layer.

    Args:
        ground: Where they lie.
        crs: Of the outlines.
        near: (n,) distance that counts as being at the border, metres on the ground.
    """

    ground: Ground
    crs: CRS | None
    near: NDArray[np.float64]

    @classmethod
    def of(cls, parts: Sequence[Part], ground: Ground, crs: CRS | None) -> Borders:
        """Of the scenes' layers, whose footprints are in a CRS."""
        return cls(ground, crs, np.array([PIXELS * part.pixel for part in parts], np.float64))

    def cut(self, number: int, shapes: NDArray[Any]) -> int:
        """How many of a scene's shapes end at its border, where another scene goes on.

        Args:
            number: The scene.
            shapes: (m,) its objects in the layer's CRS.
        """
        own = self.ground.outlines[number]
        plane = LocalPlane(own, self.crs)
        near = float(self.near[number]) / plane.metres(own)
        others = self.ground.around(number, near / float(plane.scale.min()))
        if not others or not len(shapes):
            return 0
        edge = plane.there(shapely.boundary(own))
        shapes = plane.there(self.ground.placed(number, shapes))
        at_edge = shapes[shapely.dwithin(shapes, edge, near)]
        beyond = plane.there(shapely.difference(shapely.union_all(others), own))
        return int(shapely.dwithin(at_edge, beyond, near).sum()) if len(at_edge) else 0
