# SPDX-License-Identifier: GPL-2.0-or-later
"""Where scenes lie that share a layer, and which of them are neighbours.

In degrees and in cylindrical projections a place has many x (``earth/longitude.py``): a scene that
ends at 180 degrees and one that begins at -180 lie side by side. Each scene's shapes are brought to
where its own outline is, and an outline by whole turns to its neighbour.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from ...earth.longitude import at_turns, moved_by, turn_of, turned


@dataclass(frozen=True, eq=False)
class Ground:
    """The outlines of scenes.

    Args:
        outlines: (n,) valid polygons, one per scene.
        turn: Units of x in a turn around the Earth; None where x is no longitude.
        tree: Of ``outlines``.
    """

    outlines: NDArray[Any]
    turn: float | None
    tree: shapely.STRtree

    @classmethod
    def of(cls, footprints: Sequence[NDArray[np.float64]], crs: CRS | None) -> Ground:
        """Of (m, 2) rings in a CRS, each of any number of vertices."""
        turn = turn_of(crs)
        outlines = np.empty(len(footprints), dtype=object)
        for number, footprint in enumerate(footprints):
            outline = shapely.Polygon(footprint)
            if turn is not None:
                x0, _, x1, _ = outline.bounds
                middle = np.array([(x0 + x1) / 2])
                outline = moved_by(outline, float((turned(middle, 0.0, turn) - middle)[0]))
            outlines[number] = outline
        outlines = shapely.make_valid(outlines)
        return cls(outlines, turn, shapely.STRtree(outlines))

    @property
    def _moves(self) -> tuple[float, ...]:
        return (0.0,) if self.turn is None else (0.0, -self.turn, self.turn)

    def pairs(self) -> Iterator[tuple[int, int, float]]:
        """Pairs of scenes that may overlap, neighbours in the list together, and by how much x of
        the second must grow for it to lie beside the first."""
        found: list[tuple[int, int, float]] = []
        for x in self._moves:
            one, other = self.tree.query(moved_by(self.outlines, -x), predicate="intersects")
            found += [(a, b, x) for a, b in zip(one.tolist(), other.tolist(), strict=True) if a < b]
        yield from sorted(found)

    def around(self, number: int, distance: float) -> list[Any]:
        """The outlines of the other scenes within a distance of one, moved to lie beside it."""
        own = self.outlines[number]
        found = []
        for x in self._moves:
            near = self.tree.query(moved_by(own, -x), predicate="dwithin", distance=distance)
            found += [moved_by(self.outlines[other], x) for other in near if other != number]
        return found

    def placed(self, number: int, shapes: NDArray[Any]) -> NDArray[Any]:
        """A scene's (m,) shapes where its outline is; parts of one on both sides of the date line
        are joined."""
        if self.turn is None:
            return shapes
        x0, _, x1, _ = shapely.bounds(self.outlines[number])
        bounds = shapely.bounds(shapes)
        beyond = np.flatnonzero((bounds[:, 0] < x0) | (bounds[:, 2] > x1))
        shapes = shapes.copy()
        for row in beyond:
            shapes[row] = at_turns(shapes[row], float(x0), float(x1), self.turn)
        return shapes
