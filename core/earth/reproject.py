# SPDX-License-Identifier: GPL-2.0-or-later
"""Shapes from one CRS to another: densified where lines bend, clipped to the CRS's domain.

A straight edge in one CRS is a curve in another: edges get as many vertices as they need to stay
within a tolerance on the ground. Longitudes follow a ring without jumps, so that a shape across the
date line or around a pole is known for what it is before it is cut at 180 degrees (RFC 7946,
section 3.1.9). Maps that end elsewhere (a sinusoidal or a Mercator one with a central meridian of
its own) are cut there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import ProjError

from ..errors import OutputError
from .crs import degrees_per_unit, geographic, metres_per_unit, same_crs, transformer
from .longitude import (
    Floats,
    Ints,
    Move,
    central_meridian,
    counterclockwise,
    folded,
    keeps_orientation,
    of_dimension,
    on_sphere,
    region,
    sound,
    turn_of,
    turned,
    unwrapped,
    windings,
)

EARTH = 6_371_000.0
"""Metres: mean radius, good enough for tolerances."""

TOLERANCE = 0.1
"""Metres by which an edge may leave its true course where nothing else is said."""

PIECES = 4
"""Pieces into which an edge is cut that bends too much, round by round."""

ROUNDS = 9
"""Rounds at most: an edge becomes at most 4 ** 9 pieces, 40,000 km of them 150 m long."""

MOST_VERTICES = 20_000_000
"""Vertices of one batch beyond which no edge is cut any more."""

MERCATOR_EDGE = 85.06
"""Degrees of latitude up to which maps go that cannot show the poles, as Web Mercator does."""

FARTHEST = 1e8
"""Metres: coordinates beyond this lie at no place that a map shows (a pole in Mercator's)."""


def move_between(source: CRS, target: CRS) -> Move:
    """The transformation of (n, 2) arrays; not finite where the target has no coordinates."""
    if same_crs(source, target):
        return lambda xy: xy
    pipeline = transformer(source, target)
    farthest = np.inf if target.is_geographic else FARTHEST / metres_per_unit(target)

    def move(xy: Floats) -> Floats:
        if len(xy) == 0:
            return np.empty((0, 2))
        moved = np.column_stack(pipeline.transform(xy[:, 0], xy[:, 1]))
        moved[~(np.abs(moved) < farthest).all(axis=1)] = np.inf
        return moved

    return move


def to_degrees(crs: CRS) -> Move:
    """Positions in a CRS as longitudes and latitudes in degrees, of its own datum.

    Raises:
        ValueError: The CRS is local and has none.
    """
    base = geographic(crs)
    if base is None:
        raise ValueError(f"{crs.name} has no longitudes")
    move, unit = move_between(crs, base), degrees_per_unit(base)
    return move if unit == 1.0 else lambda xy: move(xy) * unit


@dataclass(frozen=True, eq=False)
class Outlines:
    """Rings and lines of many shapes with all their vertices, before and after a transformation.

    Args:
        xy: (n, 2) vertices before.
        moved: (n, 2) after.
        ring: (n,) number of each vertex's ring or line, ascending.
        torn: (rings,) bool: an edge leads across an end of the target's map.
    """

    xy: Floats
    moved: Floats
    ring: Ints
    torn: NDArray[np.bool_]


def bent(
    xy: Floats,
    ring: Ints,
    count: int,
    move: Move,
    degrees: Move,
    tolerance: float,
    turn: float | None,
) -> Outlines:
    """Transform rings, with new vertices on edges whose straight image is not where it should be.

    Args:
        xy: (n, 2) vertices.
        ring: (n,) number of each vertex's ring, ascending.
        count: Number of rings.
        move: The transformation.
        degrees: From the target to degrees.
        tolerance: Metres on the ground.
        turn: Units of x in a turn of a geographic target; None for any other.
    """
    moved = move(xy)
    place = on_sphere(*degrees(moved).T)
    torn = np.zeros(count, bool)
    active = np.flatnonzero(ring[1:] == ring[:-1])
    parts = np.arange(1, PIECES)[:, None] / PIECES
    for number in range(ROUNDS):
        active = active[np.isfinite(moved[active] + moved[active + 1]).all(axis=1)]
        if len(active) == 0 or len(xy) + PIECES * len(active) > MOST_VERTICES:
            break
        a, b = moved[active], moved[active + 1].copy()
        if turn is not None:
            b[:, 0] = turned(b[:, 0], a[:, 0], turn)
        inner = xy[active, None] + parts * (xy[active + 1] - xy[active])[:, None]
        true = move(inner.reshape(-1, 2))
        straight = (a[:, None] + parts * (b - a)[:, None]).reshape(-1, 2)
        off = on_sphere(*degrees(true).T) - on_sphere(*degrees(straight).T)
        error = EARTH * np.sqrt((off**2).sum(axis=1)).reshape(-1, PIECES - 1).max(axis=1)
        error = np.where(np.isnan(error), np.inf, error)
        step = EARTH * np.sqrt(((place[active] - place[active + 1]) ** 2).sum(axis=1))
        wrong = error > tolerance
        # A short edge whose middle is far away leads across an end of the map; but a whole edge
        # may lead once around the Earth, and be right.
        short = (step <= tolerance) & (number > 0)
        ended = wrong & (error > 4 * step) & (short | (number == ROUNDS - 1))
        torn[ring[active[ended]]] = True
        split = wrong & ~ended
        at = active[split]
        if len(at) == 0 or number == ROUNDS - 1:
            break
        keep = true.reshape(-1, PIECES - 1, 2)[split].reshape(-1, 2)
        where = np.repeat(at + 1, PIECES - 1)
        xy = np.insert(xy, where, inner[split].reshape(-1, 2), axis=0)
        moved = np.insert(moved, where, keep, axis=0)
        place = np.insert(place, where, on_sphere(*degrees(keep).T), axis=0)
        ring = np.insert(ring, where, np.repeat(ring[at], PIECES - 1))
        first = at + (PIECES - 1) * np.arange(len(at))
        active = (first[:, None] + np.arange(PIECES)).ravel()
    return Outlines(xy, moved, ring, torn)


class Reprojection:
    """Brings batches of shapes from ``source`` to ``target``.

    Args:
        source: CRS of the shapes, or None.
        target: CRS wanted, or None.
        split: Cut at 180 degrees also what was geographic from the start (RFC 7946, 3.1.9).
        tolerance: Metres on the ground by which an edge may leave its true course.
        west: Degrees: where a geographic target's longitudes begin.

    Raises:
        OutputError: There is no way from one to the other.
    """

    def __init__(
        self,
        source: CRS | None,
        target: CRS | None,
        *,
        split: bool = False,
        tolerance: float = TOLERANCE,
        west: float = -180.0,
    ) -> None:
        self._source, self._target = source, target
        self._tolerance = tolerance
        if (source is None) != (target is None):
            raise OutputError(
                "A layer with a coordinate system cannot be made from a raster without one: "
                "leave the layer's out."
            )
        self.moves = not same_crs(source, target)
        geographic_target = target is not None and target.is_geographic
        self._split = geographic_target and (split or self.moves)
        self._turn = turn_of(target) if geographic_target else None
        self._west = west / (degrees_per_unit(target) if geographic_target and target else 1.0)
        self._move: Move = lambda xy: xy
        self._degrees: Move = lambda xy: xy
        if self.moves and source is not None and target is not None:
            try:
                self._move = move_between(source, target)
                self._degrees = to_degrees(target)
            except (ProjError, ValueError) as error:
                raise OutputError(
                    f"Features in {source.name} cannot be written in {target.name} ({error}): "
                    "choose the raster's own coordinate system, or another format."
                ) from error

    def __call__(self, shapes: NDArray[Any], name: str) -> NDArray[Any]:
        """The shapes in the target CRS; ``name`` is the output's, for messages.

        Raises:
            OutputError: A shape lies where the target CRS has no coordinates.
        """
        moved = self.moved(shapes)
        if any(m is None and s is not None for m, s in zip(moved, shapes, strict=True)):
            target = self._target.name if self._target is not None else "?"
            raise OutputError(
                f"{name}: some features lie where {target} has no coordinates: choose "
                "another coordinate system for the output."
            )
        return moved

    def moved(self, shapes: NDArray[Any]) -> NDArray[Any]:
        """The shapes in the target CRS; None where it has no coordinates for one."""
        shapes = np.array([*shapes, None], dtype=object)[:-1]  # a copy, of shapes alone
        if len(shapes) == 0 or not (self.moves or self._split):
            return shapes
        if self._source is not None and self._source.is_geographic:
            # Grids whose outermost cells are centred on the poles reach beyond them.
            pole = 90.0 / degrees_per_unit(self._source)
            bounds = shapely.bounds(shapes)
            for index in np.flatnonzero((bounds[:, 1] < -pole) | (bounds[:, 3] > pole)):
                clamped = shapely.transform(
                    shapes[index],
                    lambda xy, to=pole: np.column_stack([xy[:, 0], np.clip(xy[:, 1], -to, to)]),
                )
                shapes[index] = sound(clamped) if shapely.area(clamped) > 0 else clamped
        kinds = shapely.get_type_id(shapes)
        for dimension, plain in ((2, (3, 6)), (1, (1, 5))):
            some = np.flatnonzero(np.isin(kinds, plain) & ~shapely.is_empty(shapes))
            if len(some):
                shapes[some] = self._batch(shapes[some], dimension)
        rest = np.flatnonzero(~np.isin(kinds, (1, 3, 5, 6)) & ~shapely.is_empty(shapes))
        for index in rest:
            found = shapely.transform(shapes[index], self._move)
            finite = np.isfinite(shapely.get_coordinates(found)).all()
            shapes[index] = found if finite else None
        return shapes

    def _batch(self, shapes: NDArray[Any], dimension: int) -> NDArray[Any]:
        """Polygons (2) or lines (1), and multi-parts of them."""
        whole = not self.moves
        kind, xy, offsets = shapely.to_ragged_array(shapes, include_z=False)
        ring_at = offsets[0]
        count = len(ring_at) - 1
        ring = np.repeat(np.arange(count), np.diff(ring_at))
        if whole:
            outlines = Outlines(xy, xy, ring, np.zeros(count, bool))
        else:
            outlines = bent(xy, ring, count, self._move, self._degrees, self._tolerance, self._turn)
        moved = outlines.moved
        new_at = np.searchsorted(outlines.ring, np.arange(count + 1))
        result = np.array(
            [*shapely.from_ragged_array(kind, moved, (new_at, *offsets[1:])), None], dtype=object
        )[:-1]
        single = np.isin(shapely.get_type_id(shapes), (1, 3)) & np.isin(
            shapely.get_type_id(result), (5, 6)
        )
        result[single] = shapely.get_geometry(result[single], 0)
        # Which shapes need a closer look: those that a map's end cuts.
        odd_ring = outlines.torn | ~_all(np.asarray(np.isfinite(moved).all(axis=1)), new_at)
        if self._turn is not None:
            low, high = self._west, self._west + self._turn
            outside = ~((moved[:, 0] >= low) & (moved[:, 0] <= high))
            odd_ring |= ~_all(~outside, new_at)
            if not whole:
                jump = np.abs(np.diff(moved[:, 0], append=moved[-1:, 0])) > self._turn / 2
                jump[new_at[1:] - 1] = False
                odd_ring |= ~_all(~jump, new_at)
        owner = np.arange(len(shapes))
        for level in reversed(offsets[1:]):
            owner = np.repeat(owner, np.diff(level))
        odd = np.unique(owner[odd_ring])
        for index in odd:
            result[index] = self._odd(shapes[index], dimension)
        bent_shapes = np.setdiff1d(np.arange(len(shapes)), odd) if self.moves else np.empty(0, int)
        if len(bent_shapes) and dimension == 2:
            broken = bent_shapes[~shapely.is_valid(result[bent_shapes])]
            for index in broken:
                result[index] = sound(result[index])
        return result

    def _odd(self, shape: Any, dimension: int) -> Any:
        """A shape that a map's end cuts, or None where the target does not show it."""
        source, target = self._source, self._target
        if source is None or target is None:
            return None
        if target.is_geographic:
            if not self.moves:
                return folded(sound(shape), self._west, self._turn or 360.0)
            made = self._on_the_globe(shape, dimension)
            return None if made is None or made.is_empty else made
        base = geographic(target)
        if base is None:
            return None
        # By way of degrees, where the ends of the target's map are straight lines.
        unit = degrees_per_unit(base)
        centre = central_meridian(target)
        lonlat = Reprojection(
            source, base, split=True, tolerance=self._tolerance, west=centre - 180.0
        ).moved(np.array([shape, None], object)[:-1])[0]
        if lonlat is None:
            return None
        south, north = _latitudes(target)
        edge = 1e-9
        frame = shapely.box(
            (centre - 180.0 + edge) / unit,
            south / unit,
            (centre + 180.0 - edge) / unit,
            north / unit,
        )
        seen = of_dimension(shapely.intersection(sound(lonlat), frame), dimension)
        if seen.is_empty:
            return None
        onward = Reprojection(base, target, tolerance=self._tolerance)
        kind, xy, offsets = shapely.to_ragged_array([seen], include_z=False)
        ring = np.repeat(np.arange(len(offsets[0]) - 1), np.diff(offsets[0]))
        outlines = bent(
            xy,
            ring,
            len(offsets[0]) - 1,
            onward._move,
            onward._degrees,
            self._tolerance,
            None,
        )
        if not np.isfinite(outlines.moved).all():
            return None
        new_at = np.searchsorted(outlines.ring, np.arange(len(offsets[0])))
        made = shapely.from_ragged_array(kind, outlines.moved, (new_at, *offsets[1:]))[0]
        return sound(made)

    def _on_the_globe(self, shape: Any, dimension: int) -> Any:
        """A shape in unwrapped longitudes, folded into one turn."""
        turn = self._turn or 360.0
        unit = 360.0 / turn
        made = []
        for part in shapely.get_parts(shape):
            rings = [part] if dimension == 1 else [part.exterior, *part.interiors]
            pieces = []
            for line in rings:
                xy = shapely.get_coordinates(line)
                zeros = np.zeros(len(xy), np.int64)
                found = bent(xy, zeros, 1, self._move, self._degrees, self._tolerance, self._turn)
                if not np.isfinite(found.moved).all():
                    return None
                x = unwrapped(found.moved[:, 0], found.ring, turn)
                lonlat = np.column_stack([x, found.moved[:, 1]])
                if dimension == 1:
                    pieces.append(folded(shapely.LineString(lonlat), self._west, turn))
                    continue
                at = np.array([0]), np.array([len(x) - 1])
                winding = int(windings(x, *at, turn)[0])
                upright = keeps_orientation(found.xy, found.moved, self._move, turn)
                left = counterclockwise(xy) == upright
                inside = region(lonlat, winding, left, pole=90.0 / unit)
                pieces.append(folded(inside, self._west, turn))
            whole = pieces[0]
            if len(pieces) > 1:
                whole = shapely.difference(whole, shapely.union_all(pieces[1:]))
            made.append(whole)
        return of_dimension(made[0] if len(made) == 1 else shapely.union_all(made), dimension)


def _all(good: NDArray[np.bool_], at: Ints) -> NDArray[np.bool_]:
    """Whether all vertices of each ring are good."""
    return np.asarray(np.logical_and.reduceat(good, at[:-1]), np.bool_)


def _latitudes(target: CRS) -> tuple[float, float]:
    """The latitudes that a projection can show, degrees: Mercator's map has no poles."""
    base = geographic(target) or target
    place = np.array([central_meridian(target), 90.0]) / degrees_per_unit(base)
    poles = move_between(base, target)(np.array([place * (1.0, -1.0), place]))
    south, north = np.where(np.isfinite(poles).all(axis=1), 90.0, MERCATOR_EDGE)
    return -float(south), float(north)
