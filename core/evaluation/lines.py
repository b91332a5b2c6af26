# SPDX-License-Identifier: GPL-2.0-or-later
"""Metrics for lines: completeness, correctness and quality within a buffer, and APLS.

* Relaxed completeness, correctness and quality within a buffer: Wiedemann, Heipke, Mayer and
  Jamet, "Empirical evaluation of automatically extracted road axes", 1998.
* APLS, average path length similarity: Van Etten, Lindenbaum and Bacastow, "SpaceNet: A Remote
  Sensing Dataset and Challenge Series", 2018, section 5.

All coordinates are metres on a plane (``vectors/equal_area_plane.py``). Lines are noded where they
cross or touch, so a bridge counts as a junction, in both networks alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra
from shapely import STRtree

Lines = NDArray[Any]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

GRID = 0.01
"""Metres: coordinates are rounded to this, so that ends that were meant to meet do."""

ROUTES_AT_ONCE = 500
"""Starting points from which the routes of a network are compared at most."""


@dataclass(frozen=True)
class Relaxed:
    """Agreement by place.

    Args:
        buffer: Distance within which a line counts as right, m.
        completeness: Share of the true length that lies within the buffer of found lines.
        correctness: Share of the found length that lies within the buffer of true lines.
        quality: Matched length over matched, wrong and missing length.
    """

    buffer: float
    completeness: float
    correctness: float
    quality: float


@dataclass(frozen=True)
class AplsOptions:
    """How APLS is computed; the defaults are the paper's.

    Args:
        snap: Distance within which a control point must find the other network, m.
        spacing: Distance of control points along an edge, m.
        shortest: Routes shorter than this are not compared, m.
        join: Ends of lines this near to another line are joined to it, m: in the truth and the
            result alike.
    """

    snap: float = 4.0
    spacing: float = 50.0
    shortest: float = 10.0
    join: float = 0.5


@dataclass(frozen=True)
class Apls:
    """Agreement as a network.

    Args:
        score: Harmonic mean of the two directions; 0 where either is 0.
        truth_to_found: 1 - mean relative difference of the lengths of the true routes.
        found_to_truth: The same for the found network's routes in the true one.
        routes: Number of true routes compared.
    """

    score: float
    truth_to_found: float
    found_to_truth: float
    routes: int


# --- by place ------------------------------------------------------------------------------------


def relaxed(found: Lines, truth: Lines, buffers: Sequence[float]) -> list[Relaxed]:
    """Completeness, correctness and quality at some buffers.

    Args:
        found, truth: (n,) shapely lines or multi-lines, metres.
        buffers: Distances, m.

    Returns:
        One a buffer. Of no lines the completeness (correctness) is 1 where there are none on the
        other side either, else 0.
    """
    out = []
    ours, theirs = _flat(found), _flat(truth)
    for buffer in buffers:
        complete, true_length = _within(theirs, ours, buffer)
        correct, found_length = _within(ours, theirs, buffer)
        matched, missing = correct * found_length, (1 - complete) * true_length
        whole = found_length + missing
        quality = matched / whole if whole > 0 else 1.0
        out.append(Relaxed(buffer, complete, correct, quality))
    return out


def _flat(lines: Lines) -> Lines:
    """Single lines with a length, in an order that depends on nothing but their place."""
    parts = shapely.get_parts(np.asarray(lines, dtype=object))
    parts = parts[np.isin(shapely.get_type_id(parts), (1, 2)) & (shapely.length(parts) > 0)]
    order = np.lexsort(shapely.bounds(parts).T[::-1]) if len(parts) else np.empty(0, np.int64)
    sorted_parts: Lines = parts[order]
    return sorted_parts


def _within(lines: Lines, others: Lines, buffer: float) -> tuple[float, float]:
    """Share of the lines' length within a distance of the others, and that length."""
    length = float(shapely.length(lines).sum())
    if length == 0:
        return (1.0 if len(others) == 0 else 0.0), 0.0
    if len(others) == 0:
        return 0.0, length
    near = 0.0
    tree = STRtree(others)
    for line in lines:
        close = tree.query(line, predicate="dwithin", distance=buffer)
        if len(close):
            around = shapely.union_all(shapely.buffer(others[np.sort(close)], buffer, quad_segs=16))
            near += float(shapely.length(shapely.intersection(line, around)))
    return min(1.0, near / length), length


# --- as a network --------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Places:
    """Places on a network's edges: (n,) edge, -1 for none, and (n,) distance from its start, m."""

    edge: Integers
    along: Floats


@dataclass(frozen=True, eq=False)
class _Network:
    """Noded lines.

    Args:
        edges: (m,) shapely lines that meet only at their ends.
        ends: (m, 2) numbers of their nodes.
        nodes: (k, 2) positions, m.
    """

    edges: Lines
    ends: Integers
    nodes: Floats

    @property
    def lengths(self) -> Floats:
        out: Floats = shapely.length(self.edges)
        return out

    def distances(self, places: _Places, sources: Integers) -> Floats:
        """Lengths of the shortest routes between places on the edges.

        Args:
            places: On this network; those on no edge have no routes.
            sources: Rows of ``places`` to start from.

        Returns:
            (sources, places) m; infinite where there is no route.
        """
        count, known = len(self.nodes), np.flatnonzero(places.edge >= 0)
        number = np.full(len(places.edge), -1, np.int64)
        number[known] = count + np.arange(len(known))
        # All stops along each edge, its ends included, in their order.
        edges = np.arange(len(self.edges))
        at = np.concatenate([edges, edges, places.edge[known]])
        along = np.concatenate([np.zeros(len(edges)), self.lengths, places.along[known]])
        rank = np.concatenate([np.zeros(len(edges)), np.full(len(edges), 2), np.ones(len(known))])
        stop = np.concatenate([self.ends[:, 0], self.ends[:, 1], number[known]])
        order = np.lexsort((along, rank, at))
        at, along, stop = at[order], along[order], stop[order]
        inner = np.flatnonzero(at[1:] == at[:-1])
        size = count + len(known)
        first, second = stop[inner], stop[inner + 1]
        weight = np.maximum(along[inner + 1] - along[inner], 1e-9)  # 0 would mean no edge
        # Of parallel edges the shortest counts: a sparse array would add them up.
        keys = np.minimum(first, second) * size + np.maximum(first, second)
        by_key = np.lexsort((weight, keys))
        _, unique = np.unique(keys[by_key], return_index=True)
        kept = by_key[unique]
        graph = coo_array((weight[kept], (first[kept], second[kept])), (size, size)).tocsr()
        out = np.full((len(sources), len(places.edge)), np.inf)
        good = np.flatnonzero(number[sources] >= 0)
        if len(good):
            found = dijkstra(graph, directed=False, indices=number[sources[good]])
            out[np.ix_(good, known)] = found[:, number[known]]
        return out

    def nearest(self, points: Floats, reach: float) -> _Places:
        """Where (n, 2) points lie on the network, as far as they are within ``reach`` of it."""
        edge = np.full(len(points), -1, np.int64)
        along = np.zeros(len(points))
        if len(self.edges) and len(points):
            spots = shapely.points(points)
            tree = STRtree(self.edges)
            rows, close = tree.query(spots, predicate="dwithin", distance=reach)
            away = shapely.distance(spots[rows], self.edges[close])
            order = np.lexsort((close, away, rows))
            rows, close = rows[order], close[order]
            first = np.unique(rows, return_index=True)[1]
            edge[rows[first]] = close[first]
            along[rows[first]] = shapely.line_locate_point(self.edges[close[first]],
                                                           spots[rows[first]])  # fmt: skip
        return _Places(edge, along)

    def control_points(self, spacing: float) -> tuple[_Places, Floats]:
        """Nodes, and points along edges that are longer than three quarters of the spacing.

        Returns:
            Places, and their (n, 2) positions.
        """
        edge, along = [], []
        starts: dict[int, tuple[int, float]] = {}
        for number, (a, b) in enumerate(self.ends.tolist()):
            starts.setdefault(a, (number, 0.0))
            starts.setdefault(b, (number, float(self.lengths[number])))
        for node in sorted(starts):
            edge.append(starts[node][0])
            along.append(starts[node][1])
        for number, length in enumerate(self.lengths.tolist()):
            if length > 0.75 * spacing:
                count = max(1, round(length / spacing) - 1) if length > spacing else 1
                edge += [number] * count
                along += [(k + 1) / (count + 1) * length for k in range(count)]
        places = _Places(np.array(edge, np.int64), np.array(along, np.float64))
        if not edge:
            return places, np.empty((0, 2))
        spots = shapely.line_interpolate_point(self.edges[places.edge], places.along)
        return places, shapely.get_coordinates(spots)


def _noded(lines: Lines) -> Lines:
    merged = shapely.union_all(shapely.set_precision(lines, GRID), grid_size=GRID)
    edges = shapely.normalize(_flat(np.array([shapely.line_merge(merged)], dtype=object)))
    for number in np.flatnonzero(shapely.is_closed(edges)):
        # A ring without a junction may begin anywhere: at its least vertex, for any order of lines.
        xy = shapely.get_coordinates(edges[number])[:-1]
        start = int(np.lexsort(xy.T[::-1])[0])
        xy = np.roll(xy, -start, axis=0)
        edges[number] = shapely.linestrings(np.concatenate([xy, xy[:1]]))
    out: Lines = edges
    return out


def _network(lines: Lines, join: float) -> _Network:
    """Lines noded where they cross or touch, loose ends joined to what is very near."""
    flat = _flat(lines)
    if len(flat) == 0:
        return _Network(flat, np.empty((0, 2), np.int64), np.empty((0, 2)))
    edges = _noded(flat)
    links = _links(edges, join) if join > 0 else []
    if links:
        edges = _noded(np.concatenate([edges, np.array(links, dtype=object)]))
    first = shapely.get_coordinates(shapely.get_point(edges, 0))
    last = shapely.get_coordinates(shapely.get_point(edges, -1))
    both = np.round(np.concatenate([first, last]) / GRID).astype(np.int64)
    unique, number = np.unique(both, axis=0, return_inverse=True)
    ends = number.reshape(2, -1).T.astype(np.int64)
    return _Network(edges, ends, (unique * GRID).astype(np.float64))


def _links(edges: Lines, join: float) -> list[Any]:
    """Short lines from loose ends across to the nearest other edge."""
    tips = np.concatenate([shapely.get_point(edges, 0), shapely.get_point(edges, -1)])
    owner = np.tile(np.arange(len(edges)), 2)
    places = np.round(shapely.get_coordinates(tips) / GRID).astype(np.int64)
    _, group, counts = np.unique(places, axis=0, return_inverse=True, return_counts=True)
    loose = np.flatnonzero(counts[group.ravel()] == 1)
    tree = STRtree(edges)
    links = []
    for tip in loose.tolist():
        close = tree.query(tips[tip], predicate="dwithin", distance=join)
        others = [int(e) for e in np.sort(close) if e != owner[tip]]
        if others:
            away = [float(shapely.distance(tips[tip], edges[e])) for e in others]
            line = shapely.shortest_line(tips[tip], edges[others[int(np.argmin(away))]])
            if shapely.length(line) > 0:
                # A little beyond the other line, so that rounding does not leave a gap.
                (x0, y0), (x1, y1) = shapely.get_coordinates(line)
                reach = 1 + 3 * GRID / float(shapely.length(line))
                end = (x0 + (x1 - x0) * reach, y0 + (y1 - y0) * reach)
                links.append(shapely.linestrings([(x0, y0), end]))
    return links


def _one_way(reference: _Network, other: _Network, options: AplsOptions) -> tuple[float, int]:
    """1 - mean difference of the reference's routes, and how many there are."""
    places, positions = reference.control_points(options.spacing)
    count = len(places.edge)
    # All of them in networks of usual size; else evenly spread over the list, without chance.
    number = min(count, ROUTES_AT_ONCE)
    sources = np.unique(np.linspace(0, count - 1, number).round().astype(np.int64))
    ours = reference.distances(places, sources)
    theirs = other.distances(other.nearest(positions, options.snap), sources)
    asked = np.isfinite(ours) & (ours >= options.shortest)
    if not asked.any():
        return (1.0 if count == 0 and len(other.edges) == 0 else 0.0), 0
    with np.errstate(invalid="ignore", divide="ignore"):
        difference = np.minimum(1.0, np.abs(ours - theirs) / ours)
    difference[~np.isfinite(theirs)] = 1.0
    return 1.0 - float(difference[asked].mean()), int(np.count_nonzero(asked))


def apls(found: Lines, truth: Lines, options: AplsOptions | None = None) -> Apls:
    """Average path length similarity of two networks of lines.

    Control points (nodes, and points every ``spacing`` metres along edges) of one network are
    projected onto the other; routes between them that differ in length, or do not exist, cost up to
    1 each. Both directions count.

    Args:
        found, truth: (n,) shapely lines or multi-lines, metres.
        options: See :class:`AplsOptions`.
    """
    options = options or AplsOptions()
    ours, theirs = _network(found, options.join), _network(truth, options.join)
    forward, routes = _one_way(theirs, ours, options)
    back, _ = _one_way(ours, theirs, options)
    score = 2 * forward * back / (forward + back) if forward > 0 and back > 0 else 0.0
    return Apls(score, forward, back, routes)
