# SPDX-License-Identifier: GPL-2.0-or-later
"""``merge``: masks of tiles in, objects of the raster out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..masks.masks import PromptRef
from ..parallel.executors import Executor
from ..tiles.grid import Grid
from ..types import BoolArray
from .components import Groups, IntArray, compact, connect, own
from .duplicates import drop_duplicates, drop_rivals, find_parents, number_of, tile_numbers
from .edges import LINK, OVERLAP, LinkTiles, TileLinks, runs
from .nodes import NODE, NodeArray
from .objects import NO_PARENT, Merged, canonical_order, summarize
from .types import MaskSource, MergeOptions

Parts = list[NDArray[np.void]]

Progress = Callable[[int, int], None]
"""Called with the number of tiles done and of all tiles."""


def merge(
    source: MaskSource,
    grid: Grid,
    options: MergeOptions,
    executor: Executor,
    progress: Progress | None = None,
) -> Merged:
    """Merge the instance masks of all tiles into objects of the raster.

    Only tables of nodes and edges are held in memory, some 100 to 200 bytes per mask; masks are
    loaded tile by tile. The result does not depend on the order in which tiles were made, on the
    order of the masks within a tile, or on the executor.

    Args:
        source: The tiles' masks.
        grid: The grid that they were made on.
        options: Mode and thresholds.
        executor: Runs the stages that look at masks.
        progress: Told how far the edge stage is.

    Returns:
        The objects in canonical order.
    """
    nodes, inside, links, across, prompts = _collect(source, grid, options, executor, progress)
    tile = tile_numbers(nodes, grid)
    label = own(nodes, connect(nodes, tile, links))
    del links  # every table counts: nothing is kept longer than it is needed
    merged = _arrange(nodes, label, tile, prompts, grid)
    keep = drop_duplicates(merged, tile, inside, across, source, grid, options, executor)
    merged = _without(merged, keep, tile, grid)
    if options.single:
        keep = drop_rivals(merged, inside, across, source, grid, options, executor)
        merged = _without(merged, keep, tile, grid)
    del across
    if options.mode == "hierarchy":
        merged.parent[:] = find_parents(merged.groups, merged.summary, inside, options.nested)
    return merged


def _without(merged: Merged, keep: BoolArray, tile: IntArray, grid: Grid) -> Merged:
    """Only those objects that stay."""
    if keep.all():
        return merged
    label = merged.groups.label
    kept = compact(label, (label >= 0) & keep[label])
    return _arrange(merged.nodes, kept, tile, list(merged.prompts), grid)


def _collect(
    source: MaskSource,
    grid: Grid,
    options: MergeOptions,
    executor: Executor,
    progress: Progress | None,
) -> tuple[
    NodeArray, NDArray[np.void], NDArray[np.void], NDArray[np.void], list[PromptRef]
]:  # fmt: skip
    """Run the edge stage; number the nodes through, row by row of tiles."""
    tables: list[TileLinks] = []
    for done in executor.map(LinkTiles(source, grid, options), runs(grid)):
        tables.extend(done)
        if progress is not None:
            progress(len(tables), len(grid))
    offset = np.concatenate([[0], np.cumsum([len(table.nodes) for table in tables])])
    prompts: dict[PromptRef, int] = {}
    links: Parts = []
    inside: Parts = []
    across: Parts = []
    for number, table in enumerate(tables):
        first = int(offset[number])
        if len(table.nodes):
            known = [prompts.setdefault(prompt, len(prompts)) for prompt in table.prompts]
            table.nodes["prompt"] = np.array(known, np.int32)[table.nodes["prompt"]]
        inside.append(_shifted(table.inside, first, first))
        for target, parts in ((links, table.links), (across, table.overlaps)):
            for other, found in parts.items():
                target.append(_shifted(found, first, int(offset[number_of(other, grid)])))
    nodes = np.empty(int(offset[-1]), NODE)
    for number in range(len(tables)):
        nodes[offset[number] : offset[number + 1]] = tables[number].nodes
    tables.clear()
    return (
        nodes,
        _joined(inside, OVERLAP),
        _joined(links, LINK),
        _joined(across, OVERLAP),
        list(prompts),
    )


def _shifted(pairs: NDArray[np.void], first: int, second: int) -> NDArray[np.void]:
    """Pairs with numbers within two tiles -> numbers within the whole table."""
    result: NDArray[np.void] = pairs.copy()
    result["a"] += first
    result["b"] += second
    return result


def _joined(parts: Parts, dtype: np.dtype[np.void]) -> NDArray[np.void]:
    joined: NDArray[np.void] = np.concatenate([np.empty(0, dtype), *parts])
    return joined


def _arrange(
    nodes: NodeArray, label: IntArray, tile: IntArray, prompts: list[PromptRef], grid: Grid
) -> Merged:
    """Objects from labels, in canonical order, without parents yet."""
    groups = Groups.from_labels(label)
    order = canonical_order(nodes, groups, summarize(nodes, tile, groups))
    rank = np.empty(len(order) + 1, np.int64)
    rank[order] = np.arange(len(order))
    rank[-1] = -1  # dropped nodes
    groups = Groups.from_labels(rank[label])
    summary = summarize(nodes, tile, groups)
    parent = np.full(len(groups), NO_PARENT, np.int64)
    return Merged(nodes, groups, summary, parent, prompts, grid.cell)
