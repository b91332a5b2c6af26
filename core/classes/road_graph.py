# SPDX-License-Identifier: GPL-2.0-or-later
"""A skeleton of a class's surface -> a network of roads (or streams) that is clean.

In this order: junctions within a road's width become one; free branches go that are short for the
road that they leave; gaps are bridged where two ends point at each other (or one at a road's side)
and widths agree; two lines along one carriageway become one; short pieces that are joined to
nothing go. Lines end at nodes, and lines that meet share the node's coordinates exactly.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import ndimage

from ..vectors.skeleton_graph import Cell, SkeletonGraph, length_of
from .skeleton import SkeletonCells

Doubles = NDArray[np.float64]

WIDEST = 2.0
"""Times the usual half width beyond which a place is no road but a square."""

MANNERS = (
    (1.0, True, True),
    (1.0, True, False),
    (1.0, False, False),
    (0.0, True, False),
    (0.0, False, False),
)
"""How far a line runs straight from its nodes, times their width, whether it is smoothed, and
whether its free ends are drawn out: what is tried in turn where it would cross another line."""

FULL = 0.85
"""Share of a road's usual half width from which on its skeleton runs in its middle: towards a free
end it may bend into a corner of the surface, where it is narrower."""

SEAM = 3
"""Cells up to which two blocks' skeletons that miss one another at their common side are joined."""


@dataclass(frozen=True)
class NetworkOptions:
    """How a skeleton is cleaned.

    Args:
        spur: Free branches that reach less than this many half widths beyond a road's side go.
        min_length: Free branches and loose pieces that are shorter go; in the unit of ``steps``.
        max_gap: Widest gap that is bridged, in the same unit; None for ``gap_widths`` widths of
            the road.
        gap_widths: See ``max_gap``.
        angle: Degrees by which the directions of two ends, and that of the bridge, may differ.
        width_ratio: Largest ratio of the widths of two ends that are joined.
        least_bridge: Least probability of the class along a bridge, on average.
        steps: Height and width of a cell on the ground: in degrees they differ.
    """

    spur: float = 2.0
    min_length: float = 15.0
    max_gap: float | None = None
    gap_widths: float = 4.0
    angle: float = 30.0
    width_ratio: float = 2.5
    least_bridge: float = 0.2
    steps: tuple[float, float] = (1.0, 1.0)

    def length(self, path: Sequence[Cell] | Doubles) -> float:
        """Length of a path of (row, column) on the ground."""
        return length_of(np.asarray(path, np.float64) * self.steps)


@dataclass(frozen=True, eq=False)
class RoadLine:
    """One stretch of road between two nodes.

    Args:
        line: LineString in working pixels (x = column, y = row).
        width: Mean width, working pixels.
        probability: Mean probability of the class along it.
    """

    line: Any
    width: float
    probability: float


Sampler = Callable[[Sequence[Cell]], Doubles]
"""Probability of the class at cells."""

Frame = tuple[float, float, float, float]
"""(x0, y0, x1, y1) in working pixels."""


def road_network(
    cells: SkeletonCells,
    cell: int,
    sides: Sequence[tuple[int, int]],
    options: NetworkOptions,
    sampler: Sampler | None = None,
    frame: Frame | None = None,
) -> list[RoadLine]:
    """The network of a skeleton.

    Args:
        cells: Of the whole raster.
        cell: Side of a cell, working pixels.
        sides: (axis, place) of the lines between blocks: first rows (0) or columns (1) of blocks.
        options: How it is cleaned.
        sampler: Probability of the class at cells, for bridges; None bridges without looking.
        frame: (x0, y0, x1, y1) of what is mapped, working pixels: roads that leave it end there.
            None for no bounds.

    Returns:
        Lines in canonical order.
    """
    places = list(zip(cells.rows.tolist(), cells.cols.tolist(), strict=True))
    half: defaultdict[Cell, float] = defaultdict(lambda: 1.0, zip(places, cells.half.tolist(),
                                                                  strict=True))  # fmt: skip
    likely: defaultdict[Cell, float] = defaultdict(float, zip(places, cells.probability.tolist(),
                                                              strict=True))  # fmt: skip
    widths = dict(zip(places, cells.width.tolist(), strict=True))
    known = set(places)
    known.update(_stitches(known, sides))
    graph = SkeletonGraph.from_cells(known)
    # Squares are wider than roads: junctions on two sides of one stay two.
    usual = float(np.median(cells.half)) if len(places) else 1.0
    near = defaultdict(lambda: 1.0, {c: min(v, WIDEST * usual) for c, v in half.items()})
    graph.contract(near)
    graph.prune(half, options.spur)
    _bridge(graph, half, likely, options, sampler)
    graph.contract(near)
    _join_carriageways(graph, half, likely)
    graph.prune(half, options.spur)
    users = Counter(c for path in graph.paths() for c in set(path[1:-1]))

    def drawn(path: list[Cell], manner: int = 0) -> RoadLine:
        straight, smooth, out = MANNERS[manner]
        ends = path[0], path[-1]
        wide = [straight * near[end] if len(graph.at[end]) > 2 else 0.0 for end in ends]
        reach = [max(wide[k], _shared(path[:: 1 - 2 * k], users)) for k in (0, 1)]
        tips: list[Doubles | None] = [None, None]
        if out:
            free = [len(graph.at[end]) == 1 for end in ends]
            path, tips = _drawn_out(path, half, cell, free, frame)
        across = [widths.get(c, 2 * half[c] - 1) for c in path]
        return _line(path, half, likely, cell, reach, tips, float(np.mean(across)), smooth=smooth)

    def is_short(edges: Iterable[int]) -> bool:
        """Whether stretches are shorter in all than asked: as drawn, without the cells' stairs."""
        paths = [graph.edges[edge] for edge in edges]
        if sum(map(options.length, paths)) >= 2 * options.min_length:
            return False
        lines = [shapely.get_coordinates(drawn(path).line)[:, ::-1] / cell for path in paths]
        return sum(map(options.length, lines)) < options.min_length

    graph.prune_where(lambda edge: is_short([edge]))
    _drop_pieces(graph, is_short)
    lines = _without_crossings([path for path in graph.paths() if len(path) > 1], drawn)
    lines.sort(key=lambda one: shapely.to_wkb(one.line))
    return lines


def _stitches(known: set[Cell], sides: Sequence[tuple[int, int]]) -> set[Cell]:
    """Cells that join two blocks' skeletons where they end on both sides of a common side."""
    new: set[Cell] = set()
    for axis, place in sides:
        before = sorted(c for c in known if c[axis] == place - 1)
        after = sorted(c for c in known if c[axis] == place)
        other = 1 - axis
        taken = {c[other] for c in after}
        for one in before:
            if any(one[other] + step in taken for step in (-1, 0, 1)):
                continue
            near = [c for c in after if abs(c[other] - one[other]) <= SEAM]
            if near:
                best = min(near, key=lambda c: (abs(c[other] - one[other]), c))
                new.update(_straight(one, best))
    return new - known


def _straight(start: Cell, end: Cell) -> list[Cell]:
    """Cells of a straight way, ends included, each a neighbour of the next."""
    count = max(abs(end[0] - start[0]), abs(end[1] - start[1]), 1)
    steps = np.linspace(0, 1, count + 1)
    rows = np.rint(start[0] + steps * (end[0] - start[0])).astype(int)
    cols = np.rint(start[1] + steps * (end[1] - start[1])).astype(int)
    return [(int(row), int(col)) for row, col in zip(rows, cols, strict=True)]


def _direction(path: list[Cell], half: defaultdict[Cell, float]) -> Doubles:
    """Unit vector in which a path goes on beyond its first cell."""
    reach = int(min(len(path) - 1, max(6, 4 * half[path[0]])))
    ahead = np.array(path[0], float) - np.array(path[reach], float)
    return np.asarray(ahead / max(float(np.hypot(*ahead)), 1e-9), np.float64)


def _bridge(
    graph: SkeletonGraph,
    half: defaultdict[Cell, float],
    likely: defaultdict[Cell, float],
    options: NetworkOptions,
    sampler: Sampler | None,
) -> None:
    """Join free ends to ends that they point at, and to roads that they run into."""
    ends: dict[Cell, tuple[Doubles, float]] = {}
    for node in sorted(graph.at):
        if len(graph.at[node]) == 1:
            path = graph.edges[graph.at[node][0]]
            path = path if path[0] == node else path[::-1]
            width = 2 * float(np.median([half[c] for c in path[: max(4, len(path) // 4)]]))
            ends[node] = _direction(path, half), width
    if not ends:
        return
    spots = [c for path in graph.edges.values() for c in path]
    along = {c: t for path in graph.edges.values() for c, t in _tangents(path)}
    home = {c: edge for edge, path in graph.edges.items() for c in path[1:-1]}
    places = list(ends)
    tree = shapely.STRtree(shapely.points(np.array(spots, float)))
    least_cos = np.cos(np.radians(options.angle))
    ends_tree = shapely.STRtree(shapely.points(np.array(list(ends), float)))
    offers: list[tuple[float, Cell, Cell]] = []
    for node, (ahead, width) in ends.items():
        reach = options.gap_widths * width
        if options.max_gap is not None:
            reach = options.max_gap / min(options.steps)
        own = set(graph.edges[graph.at[node][0]])
        near = tree.query(shapely.Point(node), predicate="dwithin", distance=reach)
        for target in sorted({spots[k] for k in near}):
            gap = np.array(target, float) - node
            length = float(np.hypot(*gap))
            if target in own or length < 1.5 or gap @ ahead < least_cos * length:
                continue
            if options.max_gap is not None and options.length([node, target]) > options.max_gap:
                continue
            if target in ends:
                back, other = ends[target]
                if -(back @ gap) < least_cos * length or -(ahead @ back) < least_cos:
                    continue
                if max(width, other) > options.width_ratio * min(width, other):
                    continue
                offers.append((length, *sorted((node, target))))
            elif length <= reach / 2 or options.max_gap is not None:
                beside = ends_tree.query(
                    shapely.Point(target), predicate="dwithin", distance=2 * half[target] + 2
                )
                if any(places[k] != node for k in beside) or (
                    abs(float(along[target] @ gap)) > least_cos * length
                ):
                    continue  # beside a free end or along the road: no side to run into
                # Into a road's side: half as far, and an end-to-end bridge of that length first.
                offers.append((length + 0.5, node, target))
    done: set[Cell] = set()
    for _, node, target in sorted(set(offers)):
        if node in done or target in done:
            continue
        path = _straight(node, target)
        said = likely_along(path, sampler)
        if said is not None and float(np.mean(said)) < options.least_bridge:
            continue
        edge = _edge_with(graph, target, home)
        if edge is None or node not in graph.at or len(graph.at[node]) != 1:
            continue
        graph.split(edge, target)
        width = (half[node] + half[target]) / 2 if target in ends else half[node]
        for k, c in enumerate(path[1:-1], 1):
            half.setdefault(c, width)
            likely.setdefault(c, float(said[k]) if said is not None else likely[node])
        graph.add(path)
        done.add(node)
        if target in ends:
            done.add(target)
        graph.join(node)
        graph.join(target)


def _tangents(path: list[Cell]) -> list[tuple[Cell, Doubles]]:
    """The direction of a path at each of its cells, taken over a few cells."""
    xy = np.array(path, np.float64)
    index = np.arange(len(path))
    step = xy[np.minimum(index + 3, len(path) - 1)] - xy[np.maximum(index - 3, 0)]
    unit = step / np.maximum(np.hypot(*step.T), 1e-9)[:, None]
    return list(zip(path, unit, strict=True))


def _edge_with(graph: SkeletonGraph, cell: Cell, home: dict[Cell, int]) -> int | None:
    """A stretch that holds a cell; ``home`` knows where it was before stretches were split."""
    if graph.at.get(cell):
        return graph.at[cell][0]
    first = home.get(cell)
    if first in graph.edges and cell in graph.edges[first]:
        return first
    return next((edge for edge, path in graph.edges.items() if cell in path), None)


def likely_along(path: list[Cell], sampler: Sampler | None) -> Doubles | None:
    """Probabilities along a bridge, ends included."""
    return None if sampler is None else sampler(path)


def _join_carriageways(
    graph: SkeletonGraph, half: defaultdict[Cell, float], likely: defaultdict[Cell, float]
) -> None:
    """Of stretches between the same two nodes that lie within a width of one another, keep one."""
    groups: defaultdict[tuple[Cell, Cell], list[int]] = defaultdict(list)
    for edge, path in graph.edges.items():
        if path[0] != path[-1]:
            groups[min(path[0], path[-1]), max(path[0], path[-1])].append(edge)
    for key in sorted(groups):
        edges = sorted(
            (edge for edge in groups[key] if edge in graph.edges),
            key=lambda e: (-round(_mean(graph.edges[e], likely), 6), graph.length[e], e),
        )
        kept: list[int] = []
        for edge in edges:
            path = graph.edges[edge]
            line = shapely.LineString(path)
            close = any(
                shapely.hausdorff_distance(line, shapely.LineString(graph.edges[other]))
                <= 2 * max(_mean(path, half), _mean(graph.edges[other], half)) + 2
                for other in kept
            )
            if close:
                graph.remove(edge)
            else:
                kept.append(edge)
        for node in key:
            if node in graph.at:
                graph.join(node)


def _mean(path: list[Cell], values: defaultdict[Cell, float]) -> float:
    return float(np.mean([values[c] for c in path]))


def _drop_pieces(graph: SkeletonGraph, is_short: Callable[[Iterable[int]], bool]) -> None:
    """Remove connected pieces of the network that are short in all."""
    seen: set[int] = set()
    for first in sorted(graph.edges):
        if first in seen or first not in graph.edges:
            continue
        piece, todo = {first}, [first]
        while todo:
            path = graph.edges[todo.pop()]
            for end in (path[0], path[-1]):
                for other in graph.at[end]:
                    if other not in piece:
                        piece.add(other)
                        todo.append(other)
        seen |= piece
        if is_short(sorted(piece)):
            for edge in sorted(piece):
                graph.remove(edge)


def _without_crossings(
    paths: list[list[Cell]], drawn: Callable[[list[Cell], int], RoadLine]
) -> list[RoadLine]:
    """Paths as lines that meet at their nodes alone.

    Each line is shaped by itself, so that two of one node may cross once more beside it; such lines
    are drawn in another manner.

    Args:
        paths: Cells from node to node.
        drawn: A path as a line, in one of :data:`MANNERS`.
    """
    manner = [0] * len(paths)
    lines = [drawn(path, 0) for path in paths]
    for _ in MANNERS[1:]:
        shapes = np.array([one.line for one in lines], object)
        first, second = shapely.STRtree(shapes).query(shapes, predicate="intersects")
        crossing: set[int] = set()
        for a, b in zip(first.tolist(), second.tolist(), strict=True):
            if a < b and not _meet_at_ends(shapes[a], shapes[b]):
                crossing |= {a, b}
        if not crossing:
            break
        for number in crossing:
            manner[number] = min(manner[number] + 1, len(MANNERS) - 1)
            lines[number] = drawn(paths[number], manner[number])
    return lines


def _shared(path: list[Cell], users: Mapping[Cell, int]) -> float:
    """How far from its first cell a path runs along cells that others run along, too.

    Where two junctions were made one, the stretches of the second come through what was between.
    """
    array = np.array(path, np.float64)
    own = next((k for k in range(1, len(path) - 1) if users[path[k]] == 1), 1)
    return float(np.hypot(*(array[:own] - array[0]).T).max())


def _meet_at_ends(one: Any, other: Any) -> bool:
    """Whether what two lines have in common are ends of both."""
    ends = [
        {tuple(xy) for xy in shapely.get_coordinates(line)[[0, -1]].tolist()}
        for line in (one, other)
    ]
    common = shapely.get_coordinates(shapely.intersection(one, other)).tolist()
    return all(tuple(xy) in ends[0] & ends[1] for xy in common)


def _line(
    path: list[Cell],
    half: defaultdict[Cell, float],
    likely: defaultdict[Cell, float],
    cell: int,
    reach: Sequence[float],
    tips: Sequence[Doubles | None],
    width: float,
    *,
    smooth: bool = True,
) -> RoadLine:
    """A path as a smooth line: within half a width of it, and through its two nodes exactly.

    From a junction to the edge of its own width (``reach``, cells) it runs straight, because a
    skeleton bends towards every corner there. ``tips`` (x, y in working pixels) are drawn to from
    free ends. ``width`` is the mean one, cells.
    """
    path = _straight_ends(path, reach)
    xy = (np.array(path, np.float64)[:, ::-1] + 0.5) * cell
    widths = np.array([half[c] for c in path])
    line = shapely.LineString(xy)
    if smooth:
        shift = _smooth(xy, max(float(np.median(widths)), 1.0)) - xy
        size = np.hypot(*shift.T)
        limit = widths * cell / 2
        factor = np.minimum(1.0, limit / np.maximum(size, 1e-9))
        line = shapely.LineString(xy + shift * factor[:, None])
    if any(tip is not None for tip in tips):
        first, last = ([] if tip is None else [tip] for tip in tips)
        line = shapely.LineString([*first, *shapely.get_coordinates(line), *last])
    if smooth:
        line = shapely.simplify(line, 0.35 * cell)
    return RoadLine(line, max(width, 1.0) * cell, _mean(path, likely))


def _drawn_out(
    path: list[Cell],
    half: defaultdict[Cell, float],
    cell: int,
    free: Sequence[bool],
    frame: Frame | None,
) -> tuple[list[Cell], list[Doubles | None]]:
    r"""A path whose free ends are in the middle of its road, and how far the road goes on there.

    A skeleton ends half a width before its surface does, or bends into one of its corners::

        +-------------+               +-------------+
        | ___________ |     becomes   | ____________|
        |            \|               |             |
        +-------------+               +-------------+

    The disc of half a width around a skeleton's cell is of the surface, and so is the way on.

    Args:
        path: Cells.
        half: Half widths, cells.
        cell: Side of a cell, working pixels.
        free: Whether the first and the last cell are free ends.
        frame: What is mapped: a road that comes as near to its border as it is wide leaves it.

    Returns:
        The path without what bends into corners, and (x, y) in working pixels of where it is drawn
        to from either end, None for an end that stays.
    """
    usual = float(np.median([half[c] for c in path]))
    cut = [_bent(path[:: 1 - 2 * k], half, usual) if free[k] else 0 for k in (0, 1)]
    if len(path) - sum(cut) >= max(2.0, 2 * usual):
        path = path[cut[0] : len(path) - cut[1]]
    tips: list[Doubles | None] = [None, None]
    for k in (0, 1):
        if not free[k]:
            continue
        way = path[:: 1 - 2 * k]
        ahead = _direction(way, half)[::-1]
        start = (np.array(way[0][::-1], np.float64) + 0.5) * cell
        far = (half[way[0]] - 0.5) * cell
        if frame is not None:
            border = _way_to_border(start, ahead, frame)
            far = border if border <= 2 * half[way[0]] * cell else far
        if far > 0:
            tip = start + far * ahead
            tips[k] = tip if frame is None else np.clip(tip, frame[:2], frame[2:])
    return path, tips


def _bent(path: list[Cell], half: defaultdict[Cell, float], usual: float) -> int:
    """How many cells of a path lie in a corner of the surface before its first one in the middle.

    None where it is not in the middle within a width: the road becomes narrow there.
    """
    for count, place in enumerate(path):
        if half[place] >= FULL * usual:
            return count
        if math.dist(place, path[0]) > 2 * usual:
            break
    return 0


def _way_to_border(start: Doubles, ahead: Doubles, frame: Frame) -> float:
    """How far a frame's border is from a place in it in a direction; infinite for none."""
    side = np.where(ahead > 0, frame[2:], frame[:2])
    with np.errstate(divide="ignore", invalid="ignore"):
        ways = np.where(np.abs(ahead) > 1e-9, (side - start) / ahead, np.inf)
    return max(float(ways.min()), 0.0)


def _straight_ends(path: list[Cell], reach: Sequence[float]) -> list[Cell]:
    """A path with straight ways through what lies within reach of its first and its last cell."""
    array = np.array(path, np.float64)
    first = np.hypot(*(array - array[0]).T) > reach[0]
    last = np.hypot(*(array - array[-1]).T) > reach[1]
    beyond = np.flatnonzero(first & last)
    if not len(beyond) or path[0] == path[-1]:
        return path
    start, stop = int(beyond[0]), int(beyond[-1])
    return (
        _straight(path[0], path[start])[:-1]
        + path[start : stop + 1]
        + _straight(path[stop], path[-1])[1:]
    )


def _smooth(xy: Doubles, sigma: float) -> Doubles:
    """Gaussian smoothing along a line whose ends stay; a loop is smoothed all around."""
    if len(xy) < 3:
        return xy
    if (xy[0] == xy[-1]).all():
        ring = ndimage.gaussian_filter1d(xy[:-1], sigma, axis=0, mode="wrap")
        ring[0] = xy[0]
        return np.concatenate([ring, ring[:1]])
    # Continued point-symmetrically beyond its ends, a line's smoothed ends are its ends.
    reach = min(len(xy) - 1, int(4 * sigma) + 1)
    first, last = 2 * xy[0] - xy[reach:0:-1], 2 * xy[-1] - xy[-2 : -reach - 2 : -1]
    padded = np.concatenate([first, xy, last])
    smooth = ndimage.gaussian_filter1d(padded, sigma, axis=0, mode="nearest")
    smooth = smooth[len(first) : len(first) + len(xy)]
    smooth[0], smooth[-1] = xy[0], xy[-1]
    return np.asarray(smooth, np.float64)
