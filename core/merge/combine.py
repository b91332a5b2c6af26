# SPDX-License-Identifier: GPL-2.0-or-later
"""The merge as a whole: tiles' masks in, objects of the raster out (``merge``)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..executors import Executor
from ..grid import Grid
from ..masks import PromptRef
from .components import Groups, compact, concatenated, connect, global_links, own
from .duplicates import drop_duplicates, find_parents, number_of, tile_numbers
from .edges import LINK, OVERLAP, LinkTiles, TileLinks, runs
from .merged import NO_PARENT, Merged, canonical_order, summarize
from .nodes import NODE
from .state import MaskSource, MergeOptions

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

    Only tables of nodes and edges are held in memory, some 100 to 200 bytes a mask; masks are
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
    state = _collect(source, grid, options, executor, progress)
    nodes, inside, links, across, prompts = state
    tile = tile_numbers(nodes, grid)
    label = own(nodes, connect(nodes, tile, links))
    merged = _arrange(nodes, label, tile, prompts, grid)
    keep = drop_duplicates(merged, tile, inside, across, source, grid, options, executor)
    if not keep.all():
        label = merged.groups.label
        merged = _arrange(nodes, compact(label, (label >= 0) & keep[label]), tile, prompts, grid)
    if options.mode == "hierarchy":
        merged.parent[:] = find_parents(merged.groups, merged.summary, inside, options.nested)
    return merged


def _collect(
    source: MaskSource,
    grid: Grid,
    options: MergeOptions,
    executor: Executor,
    progress: Progress | None,
) -> tuple[
    np.ndarray, np.ndarray, np.ndarray, np.ndarray, list[PromptRef]
]:  # fmt: skip
    """Run the edge stage; number the nodes through, row by row of tiles."""
    tables: list[TileLinks] = []
    for done in executor.map(LinkTiles(source, grid, options), runs(grid)):
        tables.extend(done)
        if progress is not None:
            progress(len(tables), len(grid))
    offset = np.concatenate([[0], np.cumsum([len(table.nodes) for table in tables])])
    prompts: dict[PromptRef, int] = {}
    links, inside, across = [], [], []
    for number, table in enumerate(tables):
        first = int(offset[number])
        if len(table.nodes):
            known = [prompts.setdefault(prompt, len(prompts)) for prompt in table.prompts]
            table.nodes["prompt"] = np.array(known, np.int32)[table.nodes["prompt"]]
        inside.append(global_links(table.inside, first, first))
        for target, parts in ((links, table.links), (across, table.overlaps)):
            for other, found in parts.items():
                target.append(global_links(found, first, int(offset[number_of(other, grid)])))
    return (
        concatenated([table.nodes for table in tables], NODE),
        concatenated(inside, OVERLAP),
        concatenated(links, LINK),
        concatenated(across, OVERLAP),
        list(prompts),
    )


def _arrange(
    nodes: np.ndarray, label: np.ndarray, tile: np.ndarray, prompts: list[PromptRef], grid: Grid
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
