# SPDX-License-Identifier: GPL-2.0-or-later
"""Longitude wrapping, the antimeridian and the poles.

A place has many longitudes: 185 and -175 degrees are the same meridian. So it is with x in a
cylindrical projection (Web Mercator), where a turn is the width of the world. A ring around a pole
comes back one turn further east or west than it began; in a plane of longitude and latitude it is
closed along the pole's own edge::

    lat 90  +------------------------------+   added: the pole is a line here
            |   inside                     |
            +-----__________/````._________+   the ring, from lon0 to lon0 + 360
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from ..errors import OutputError
from .crs import degrees_per_unit, geographic, transformer

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Move = Callable[[Floats], Floats]
"""(n, 2) positions to (n, 2) positions."""


@lru_cache(maxsize=128)
def turn_of(crs: CRS | None) -> float | None:
    """Units of x in one turn around the Earth, None where x is no longitude.

    Geographic systems and cylindrical projections in normal aspect have one: there x depends on
    the longitude alone, and in proportion, which is what is tested.
    """
    base = None if crs is None else geographic(crs)
    if crs is None or base is None:
        return None
    if crs.is_geographic:
        return round(360.0 / degrees_per_unit(crs), 9)
    if not crs.is_projected:
        return None
    centre = central_meridian(crs)
    steps = np.array([-90.0, -45.0, 0.0, 45.0, 90.0])
    lon, lat = np.meshgrid(centre + steps, [-50.0, 0.0, 50.0])
    unit = degrees_per_unit(base)
    x, _ = transformer(base, crs).transform(lon / unit, lat / unit)
    x = np.asarray(x)
    if not np.isfinite(x).all():
        return None
    quarter = float(x[1, 4] - x[1, 2])
    expected = x[1, 2] + steps / 90.0 * quarter
    if quarter <= 0 or np.abs(x - expected).max() > 1e-6 * quarter:
        return None
    return 4.0 * quarter


@lru_cache(maxsize=128)
def central_meridian(crs: CRS) -> float:
    """Longitude of the middle of a projection, degrees; 0 for a geographic CRS."""
    if crs.is_geographic or crs.coordinate_operation is None:
        return 0.0
    wanted = {
        "longitude of natural origin",
        "longitude of false origin",
        "longitude of projection centre",
        "longitude of origin",
    }
    for parameter in crs.coordinate_operation.params:
        if parameter.name.lower() in wanted:
            degrees = math.degrees(float(parameter.value) * parameter.unit_conversion_factor)
            return round(degrees, 9)
    return 0.0


def turned(x: Floats, near: Any, turn: float) -> Floats:
    """The same places by whole turns as near to another x as can be (at most half a turn away)."""
    moved: Floats = x - turn * np.round((x - near) / turn)
    return moved


def unwrapped(x: Floats, ring: Ints, turn: float = 360.0) -> Floats:
    """x along rings without jumps: each vertex within half a turn of the one before it.

    Args:
        x: (n,) of the vertices of all rings, one ring after the other.
        ring: (n,) number of each vertex's ring, ascending.
        turn: Units of x in a turn.
    """
    if len(x) == 0:
        return x
    step = np.zeros(len(x))
    inner = np.flatnonzero(ring[1:] == ring[:-1])
    step[inner + 1] = -turn * np.round((x[inner + 1] - x[inner]) / turn)
    turns = np.cumsum(step)
    first = np.searchsorted(ring, ring)
    moved: Floats = x + turns - turns[first]
    return moved


def on_sphere(lon: Floats, lat: Floats) -> Floats:
    """(n, 3) positions on the unit sphere of places in degrees; distances there know no edges."""
    with np.errstate(invalid="ignore"):  # of places that no map shows
        lam, phi = np.deg2rad(lon), np.deg2rad(lat)
        x, y = np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam)
        return np.stack([x, y, np.sin(phi)], axis=-1)


def windings(x: Floats, first: Ints, last: Ints, turn: float = 360.0) -> Ints:
    """Turns that each closed, unwrapped ring makes around the Earth, positive to the east."""
    return np.round((x[last] - x[first]) / turn).astype(np.int64)


def counterclockwise(xy: Floats) -> bool:
    """Whether a closed ring runs to the left around its inside."""
    x, y = (xy - xy[0]).T
    return bool(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]) > 0)


def keeps_orientation(xy: Floats, moved: Floats, move: Move, turn: float = 360.0) -> bool:
    """Whether left stays left on the way to longitudes: not so where x counts to the west, say.

    Args:
        xy: (n, 2) vertices of a ring.
        moved: (n, 2) longitudes and latitudes of them.
        move: The transformation.
        turn: Units of longitude in a turn.
    """
    lowest = int(np.argmin(np.abs(moved[:, 1])))  # not at a pole
    step = 1e-4 * max(float(np.ptp(xy, axis=0).max()), 1e-9)
    three = move(xy[lowest] + step * np.array([(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)]))
    a, b = three[1] - three[0], three[2] - three[0]
    a[0] -= turn * np.round(a[0] / turn)
    b[0] -= turn * np.round(b[0] / turn)
    return bool(a[0] * b[1] - a[1] * b[0] > 0)


def region(lonlat: Floats, winding: int, left: bool, pole: float = 90.0) -> Any:
    """What a ring encloses, in a plane of unwrapped longitudes and latitudes.

    Args:
        lonlat: (n, 2) closed ring; it ends ``winding`` turns from where it began.
        winding: Turns to the east.
        left: Whether the inside is on the left of a walker along the ring.
        pole: Latitude of the north pole in the unit of ``lonlat``.

    Returns:
        A valid polygon or multipolygon. A ring around a pole reaches up to the pole.
    """
    if winding:
        # Who goes east has the north on the left.
        edge = pole if (winding > 0) == left else -pole
        ends = [(lonlat[-1, 0], edge), (lonlat[0, 0], edge), lonlat[0]]
        lonlat = np.concatenate([lonlat, ends])
    return sound(shapely.Polygon(lonlat))


MOST_TURNS = 20
"""Turns of a shape around the Earth; metres that are called degrees make thousands."""


def folded(shape: Any, west: float, turn: float = 360.0) -> Any:
    """A shape of any longitudes within one turn; what lies beyond comes back on the other side.

    Args:
        shape: Polygons or lines, x continuous.
        west: Least x of the result; the greatest is a turn further.
        turn: Units of x in a turn.

    Raises:
        OutputError: It goes around the Earth more often than any shape does.
    """
    if shape.is_empty:
        return shape
    x0, y0, x1, y1 = shape.bounds
    if x1 - x0 > MOST_TURNS * turn:
        raise OutputError(
            f"A shape goes around the Earth {(x1 - x0) / turn:.0f} times: its coordinates are no "
            "degrees; check its coordinate system."
        )
    first = math.floor((x0 - west) / turn)
    last = max(first, math.ceil((x1 - west) / turn) - 1)
    if first == last:
        return shape if first == 0 else moved_by(shape, -turn * first)
    shape = sound(shape)
    pieces = []
    for number in range(first, last + 1):
        left = west + number * turn
        frame = shapely.box(left, y0 - 1.0, left + turn, y1 + 1.0)
        piece = of_dimension(shapely.intersection(shape, frame), shapely.get_dimensions(shape))
        pieces.append(moved_by(piece, -turn * number))
    joined = shapely.union_all(pieces)
    return shapely.line_merge(joined) if shapely.get_dimensions(shape) == 1 else joined


def at_turns(shape: Any, low: float, high: float, turn: float) -> Any:
    """A shape wherever parts of it lie in a range of x, which may be several turns wide.

    Parts are placed one by one, so that those on both sides of the date line meet. Where none lies
    in the range the shape comes as near to it as can be, for messages.
    """
    if shape.is_empty:
        return shape
    placed = []
    for part in shapely.get_parts(shape):
        x0, _, x1, _ = part.bounds
        first, last = math.ceil((low - x1) / turn), math.floor((high - x0) / turn)
        placed += [moved_by(part, turn * number) for number in range(first, last + 1)]
    if not placed:
        x0, _, x1, _ = shape.bounds
        return moved_by(shape, turn * round(((low + high) - (x0 + x1)) / 2 / turn))
    return placed[0] if len(placed) == 1 else shapely.union_all(placed)


MAP_END = 1e-11
"""Share of a turn, 0.4 mm: a part that ends so near to the end of a map was cut there."""


def in_one_piece(shapes: NDArray[Any], crs: CRS | None) -> NDArray[Any]:
    """Shapes whose parts on both sides of the date line, or of the ends of a cylindrical map, meet
    there; they lead beyond it then.

    Args:
        shapes: (n,) polygons or lines in ``crs``.
        crs: Theirs.
    """
    turn = turn_of(crs)
    if turn is None or crs is None:
        return shapes
    west = _west_end(crs, turn)

    def to_the_end(xy: Floats) -> Floats:
        end = west + turn * np.round((xy[:, 0] - west) / turn)
        at_end = np.abs(xy[:, 0] - end) < MAP_END * turn
        return np.column_stack([np.where(at_end, end, xy[:, 0]), xy[:, 1]])

    x0, _, x1, _ = shapely.bounds(shapes).T
    out: NDArray[Any] = shapes.copy()
    wide = np.isfinite(x1 - x0) & (x1 - x0 > turn / 2) & (shapely.get_num_geometries(shapes) > 1)
    for number in np.flatnonzero(wide).tolist():
        parts = shapely.get_parts(shapely.transform(shapes[number], to_the_end))
        parts = parts[~shapely.is_empty(parts)]
        spans = [(float(low), float(high)) for low, _, high, _ in shapely.bounds(parts)]
        turns = turns_of_neighbours(spans, turn)
        if any(turns):
            beside = [
                moved_by(sound(part), turn * by) for part, by in zip(parts, turns, strict=True)
            ]
            out[number] = shapely.union_all(beside)
    return out


def the_short_way(shapes: NDArray[Any], crs: CRS | None) -> NDArray[Any]:
    """Polygons that cross themselves as they are, but not where each edge goes the short way round
    the Earth: that one, cut at the date line.

    GDAL's ogr2ogr leaves polygons beside a pole so, with edges that lead over nearly a whole turn.
    A valid polygon with such edges is taken as it is, alone or as a part, and so is one around a
    pole.

    Args:
        shapes: (n,) of any kind in ``crs``; some may be None, or have places that are not finite.
        crs: Theirs.
    """
    turn = turn_of(crs)
    if turn is None or crs is None or len(shapes) == 0:
        return shapes
    x0, _, x1, _ = shapely.bounds(shapes).T
    wide = np.isfinite(x1 - x0) & (x1 - x0 > turn / 2) & (shapely.get_dimensions(shapes) == 2)
    out: NDArray[Any] = shapes.copy()
    for number in np.flatnonzero(wide).tolist():
        if np.isfinite(shapely.get_coordinates(shapes[number])).all():
            out[number] = _the_short_way(shapes[number], _west_end(crs, turn), turn)
    return out


def _the_short_way(shape: Any, west: float, turn: float) -> Any:
    """A shape, or the same one where nothing of it is to be changed."""
    parts = shapely.get_parts(shape)
    if shapely.get_type_id(shape) == shapely.GeometryType.GEOMETRYCOLLECTION:
        ways = [_the_short_way(part, west, turn) for part in parts]
        changed = any(way is not part for way, part in zip(ways, parts, strict=True))
        return shapely.geometrycollections(ways) if changed else shape
    valid = shapely.is_valid(parts)
    if valid.all() or shapely.get_dimensions(shape) < 2:
        return shape
    ways = [
        part if as_it_is else _rings_unwrapped(part, turn)
        for part, as_it_is in zip(parts, valid, strict=True)
    ]
    if not all(way is not None and shapely.is_valid(way) for way in ways):
        return shape
    return shapely.union_all([folded(way, west, turn) for way in ways])


def _rings_unwrapped(polygon: Any, turn: float) -> Any:
    """A polygon without jumps along its rings; None where one of them leads around a pole."""
    rings: list[Floats] = []
    for ring in shapely.get_rings(polygon):
        xy = shapely.get_coordinates(ring)
        x = unwrapped(xy[:, 0], np.zeros(len(xy), np.int64), turn)
        if abs(x[-1] - x[0]) > turn / 2:
            return None
        if rings:  # a hole lies at the same turn as what is around it
            x += float(turned(x[:1], rings[0][0, 0], turn)[0] - x[0])
        rings.append(np.column_stack([x, xy[:, 1]]))
    return shapely.Polygon(rings[0], rings[1:])


def next_to(shapes: NDArray[Any], x: Any, crs: CRS | None) -> NDArray[Any]:
    """Shapes by whole turns as near to an x, or to (n,) of them, as can be."""
    turn = turn_of(crs)
    if turn is None or len(shapes) == 0:
        return shapes
    middle = shapely.bounds(shapes)[:, [0, 2]].mean(axis=1)
    by = turned(middle, x, turn) - middle
    out: NDArray[Any] = shapes.copy()
    for number in np.flatnonzero(np.abs(by) > turn / 2).tolist():
        out[number] = moved_by(shapes[number], float(by[number]))
    return out


def beyond_map(shapes: NDArray[Any], crs: CRS | None) -> NDArray[np.bool_]:
    """Which shapes lead beyond 180 degrees, or beyond the ends of a cylindrical map."""
    turn = turn_of(crs)
    if turn is None or crs is None:
        return np.zeros(len(shapes), bool)
    x0, _, x1, _ = shapely.bounds(shapes).T
    west, edge = _west_end(crs, turn), MAP_END * turn
    beyond: NDArray[np.bool_] = (x0 < west - edge) | (x1 > west + turn + edge)
    return beyond


def within_map(shapes: NDArray[Any], crs: CRS | None) -> NDArray[Any]:
    """Shapes cut at 180 degrees, or at the ends of a cylindrical map; what lies beyond comes back
    on the other side."""
    turn = turn_of(crs)
    if turn is None or crs is None:
        return shapes
    out: NDArray[Any] = shapes.copy()
    for number in np.flatnonzero(beyond_map(shapes, crs)).tolist():
        out[number] = folded(shapes[number], _west_end(crs, turn), turn)
    return out


@lru_cache(maxsize=128)
def _west_end(crs: CRS, turn: float) -> float:
    """Least x of a map of the whole Earth."""
    base = geographic(crs)
    if base is None or crs.is_geographic:
        return -turn / 2
    x, _ = transformer(base, crs).transform(central_meridian(crs) / degrees_per_unit(base), 0.0)
    return float(x) - turn / 2


def moved_by(shape: Any, x: float) -> Any:
    """A shape moved along x."""
    if x == 0.0:
        return shape
    return shapely.transform(shape, lambda xy: xy + np.array([x, 0.0]))


def sound(shape: Any) -> Any:
    """A valid shape of the same dimension."""
    if shapely.is_valid(shape):
        return shape
    dimension = shapely.get_dimensions(shape)
    return of_dimension(shapely.make_valid(shape), dimension)


def of_dimension(shape: Any, dimension: int) -> Any:
    """Only the lines (1) or the polygons (2) of a shape."""
    parts = shapely.get_parts(shapely.get_parts(shape))
    kept = parts[(shapely.get_dimensions(parts) == dimension) & ~shapely.is_empty(parts)]
    if len(kept) == 1:
        return kept[0]
    return shapely.multipolygons(kept) if dimension == 2 else shapely.multilinestrings(kept)


def turns_of_neighbours(spans: Sequence[tuple[float, float]], turn: float) -> list[int]:
    """By how many turns to move intervals of x so that all together they are as narrow as can be.

    Intervals on both sides of the date line become neighbours. Where that gains nothing, nothing
    moves: a map of the world stays cut where it was.

    Args:
        spans: (low, high) of each.
        turn: Units of x in a turn.
    """
    lows = np.array([low for low, _ in spans])
    widths = np.array([high - low for low, high in spans])
    whole = float((lows + widths).max() - lows.min())
    if whole <= turn / 2:
        return [0] * len(spans)
    home = lows - turn * np.floor((lows - lows[0]) / turn)
    order = np.argsort(home, kind="stable")
    # All that lies east of the widest gap goes one turn to the west.
    ends = np.maximum.accumulate((home + widths)[order])
    starts = home[order]
    gaps = np.append(starts[1:], starts[0] + turn) - ends
    widest = int(np.argmax(gaps))
    west = np.zeros(len(spans), np.int64)
    west[order[widest + 1 :]] = -1
    turns = np.round((home - lows) / turn).astype(np.int64) + west
    placed = lows + turns * turn
    width = float((placed + widths).max() - placed.min())
    if width > whole - 1e-9 * turn:
        return [0] * len(spans)
    return [int(number) for number in turns]
