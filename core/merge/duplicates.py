# SPDX-License-Identifier: GPL-2.0-or-later
"""Duplicate objects that no edge joins, and objects nested in others.

A tile missed an object that its neighbour shows in part, or the two masks differ too much to be
linked: then two groups cover the same ground. Both questions are answered from the overlaps that
the edge stage has counted, without looking at masks again; only where an object of several tiles
comes near the threshold are the fused masks compared.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..parallel.executors import Executor
from ..tiles.grid import Grid
from ..types import AnyArray, BoolArray, CellBox, TileIndex
from .components import Groups, IntArray
from .fuse import fuse, fuse_box
from .nodes import NodeArray
from .objects import NO_PARENT, Merged, Summary
from .types import MaskSource, MergedObject, MergeOptions, cached


def pair_sums(groups: Groups, overlaps: NDArray[np.void]) -> tuple[IntArray, IntArray, IntArray]:
    """Overlaps of nodes -> of groups.

    Returns:
        Groups a < b that differ, and the cells in common (cells that several pairs of nodes share
        count several times).
    """
    a, b = groups.label[overlaps["a"]], groups.label[overlaps["b"]]
    keep = (a >= 0) & (b >= 0) & (a != b)
    a, b, common = a[keep], b[keep], overlaps["common"][keep]
    low, high = np.minimum(a, b), np.maximum(a, b)
    keys, where = np.unique(low * max(1, len(groups)) + high, return_inverse=True)
    first, second = np.divmod(keys, max(1, len(groups)))
    sums = np.bincount(where, common, len(keys)).astype(np.int64)
    return first, second, sums


@dataclass(frozen=True)
class ExactOverlap:
    """Picklable: two objects -> intersection over the smaller of their fused masks."""

    source: MaskSource
    grid: Grid

    def __call__(self, pair: tuple[MergedObject, MergedObject]) -> float:
        one, two = pair
        source = cached(self.source)
        common, box = 0, one.box.intersection(two.box)
        for part, fused in fuse(one, source, self.grid):
            place = part.intersection(box)
            # Blocks share a row and a column: the last ones are the next block's.
            place = CellBox(
                place.row0,
                place.col0,
                min(place.row1, part.row1 - 1),
                min(place.col1, part.col1 - 1),
            )
            if not place.empty:
                other = fuse_box(two, place, source, self.grid) > 0
                common += int(np.count_nonzero(other & (fused[place.slices(part)] > 0)))
        areas = [
            sum(
                int(np.count_nonzero(fused[:-1, :-1] > 0))
                for _, fused in fuse(obj, source, self.grid)
            )
            for obj in pair
        ]
        return common / max(1, min(areas))


def drop_duplicates(
    merged: Merged,
    tile: IntArray,
    inside: NDArray[np.void],
    across: NDArray[np.void],
    source: MaskSource,
    grid: Grid,
    options: MergeOptions,
    executor: Executor,
) -> BoolArray:
    """Which objects stay.

    Of objects that overlap by ``duplicate_overlap`` of the smaller, the lexicographically first
    maximal independent set stays, in the order (not truncated, native, number of tiles, score,
    box). In hierarchy mode only pairs that share no tile are compared: where one tile shows both,
    they are two things to the model. Objects of different prompts or labels are never compared.

    Args:
        merged: Objects so far.
        tile: (nodes,) tile numbers.
        inside: Overlaps of nodes within tiles.
        across: Overlaps of nodes of neighbouring tiles.
        source: For the fused masks.
        grid: The job's grid.
        options: Thresholds.
        executor: Compares fused masks.

    Returns:
        (objects,) bool.
    """
    groups, summary = merged.groups, merged.summary
    if options.mode == "flat":
        across = np.concatenate([across, inside])
    first, second, common = pair_sums(groups, across)
    keys = [(prompt.id, prompt.label) for prompt in merged.prompts]
    kind_of = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    kinds = np.array([kind_of[key] for key in keys], np.int64)[
        merged.nodes["prompt"][summary.leader]
    ]
    smaller = np.minimum(summary.area[first], summary.area[second])
    near = (kinds[first] == kinds[second]) & (common >= options.duplicate_overlap * smaller)
    if options.mode == "hierarchy":
        sharing = pair_sums(groups, inside)
        near &= ~np.isin(first * len(groups) + second, sharing[0] * len(groups) + sharing[1])
        for k in np.flatnonzero(near).tolist():
            near[k] = not np.isin(tile[groups[first[k]]], tile[groups[second[k]]]).any()
    first, second = first[near], second[near]
    least = options.duplicate_overlap
    same = _overlapping(merged, first, second, least, source, grid, executor)
    better = -summary.score, -summary.tiles, ~summary.native, summary.open
    return _independent(first[same], second[same], summary, better)


def drop_rivals(
    merged: Merged,
    inside: NDArray[np.void],
    across: NDArray[np.void],
    source: MaskSource,
    grid: Grid,
    options: MergeOptions,
    executor: Executor,
) -> BoolArray:
    """Which objects stay where those of a class share no ground (``options.single``).

    Of objects of one class that overlap by ``single_overlap`` of the smaller, the lexicographically
    first maximal independent set stays, in the order of score times a low power of the area: a part
    of a roof can be as sure as the roof.

    Args:
        merged: Objects so far.
        inside, across, source, grid, options, executor: As of :func:`drop_duplicates`.

    Returns:
        (objects,) bool.
    """
    summary = merged.summary
    first, second, common = pair_sums(merged.groups, np.concatenate([across, inside]))
    number = {name: k for k, name in enumerate(options.single)}
    kinds = np.array([number.get(prompt.class_name, -1) for prompt in merged.prompts], np.int64)
    kind = kinds[merged.nodes["prompt"][summary.leader]]
    smaller = np.minimum(summary.area[first], summary.area[second])
    near = (kind[first] >= 0) & (kind[first] == kind[second])
    near &= common >= options.single_overlap * smaller
    first, second = first[near], second[near]
    least = options.single_overlap
    same = _overlapping(merged, first, second, least, source, grid, executor)
    worth = summary.score * summary.area.astype(np.float64) ** WHOLE
    return _independent(first[same], second[same], summary, (-worth.round(6),))


WHOLE = 0.1
"""Power of the area in an object's worth among its rivals. On what was held back the best F1 of
buildings without, with 0.1 and with 0.2: Banepa's south-west .494, .512, .561, Nairobi and
Catanduanes .480, .485, .473, Claremont .639, .633, .617, a sample scene .983 with all."""


def _overlapping(
    merged: Merged,
    first: IntArray,
    second: IntArray,
    least: float,
    source: MaskSource,
    grid: Grid,
    executor: Executor,
) -> BoolArray:
    """Of pairs of objects whose nodes overlap enough, those that do, too: where an object is of
    several tiles, its fused masks are compared."""
    size = np.diff(merged.groups.start)
    doubtful = np.maximum(size[first], size[second]) > 1
    exact = executor.map(
        ExactOverlap(cached(source), grid),
        (
            (merged[a], merged[b])
            for a, b in zip(first[doubtful].tolist(), second[doubtful].tolist(), strict=True)
        ),
    )
    same = ~doubtful
    same[np.flatnonzero(doubtful)] = [share >= least for share in exact]
    return same


def _independent(
    first: IntArray, second: IntArray, summary: Summary, better: Sequence[AnyArray]
) -> BoolArray:
    """The lexicographically first maximal independent set of a graph of objects.

    Args:
        first, second: Its edges.
        summary: Of the objects.
        better: (objects,) keys, the last one first: the smaller is the better.
    """
    keep = np.ones(len(summary.area), bool)
    rivals: defaultdict[int, list[int]] = defaultdict(list)
    for a, b in zip(first.tolist(), second.tolist(), strict=True):
        rivals[a].append(b)
        rivals[b].append(a)
    some = np.array(sorted(rivals), np.int64)
    box = summary.box[some]
    keys = (box[:, side] for side in (3, 2, 1, 0))
    order = np.lexsort((some, *keys, *(key[some] for key in better)))
    decided: set[int] = set()
    for number in some[order].tolist():
        if any(other in decided for other in rivals[number]):
            keep[number] = False
        else:
            decided.add(number)
    return keep


def find_parents(
    groups: Groups, summary: Summary, inside: NDArray[np.void], least: float
) -> IntArray:
    """The smallest object that holds each object, ``NO_PARENT`` without one.

    A child's containment is the sum of its overlaps with the parent in the tiles that show both,
    over the sum of its area in all its tiles; a tile that shows the child without the parent
    speaks against it.

    Args:
        groups: Objects.
        summary: Of them.
        inside: Overlaps of nodes within tiles.
        least: Containment from which on an object is a child.
    """
    parent = np.full(len(groups), NO_PARENT, np.int64)
    first, second, common = pair_sums(groups, inside)
    child = np.concatenate([first, second])
    holder = np.concatenate([second, first])
    twice = np.concatenate([common, common])
    larger = (summary.area[holder] > summary.area[child]) | (
        (summary.area[holder] == summary.area[child]) & (holder < child)
    )
    held = larger & (twice >= least * summary.seen[child])
    child, holder = child[held], holder[held]
    # Larger and later holders are written first, the smallest and earliest last.
    order = np.lexsort((-holder, -summary.area[holder]))
    parent[child[order]] = holder[order]
    return parent


def tile_numbers(nodes: NodeArray, grid: Grid) -> IntArray:
    """(n,) number of each node's tile, row by row."""
    numbers: IntArray = nodes["tile_row"].astype(np.int64) * grid.cols + nodes["tile_col"]
    return numbers


def number_of(index: TileIndex, grid: Grid) -> int:
    return index.row * grid.cols + index.col
