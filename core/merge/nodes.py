# SPDX-License-Identifier: GPL-2.0-or-later
"""A tile's masks as nodes: clipped to the trusted window, measured, in canonical order."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..masks.masks import PromptRef, TileMasks
from ..tiles.grid import Grid
from ..types import BoolArray, CellBox, TileIndex
from .intersections import CellShapes

NORTH, WEST, SOUTH, EAST = 1, 2, 4, 8
"""Bits of a node's truncation: the sides of the trusted window that it reaches, where the raster
goes on."""

NODE = np.dtype(
    [
        ("tile_row", np.int32),
        ("tile_col", np.int32),
        ("position", np.int32),
        ("row0", np.int32),
        ("col0", np.int32),
        ("row1", np.int32),
        ("col1", np.int32),
        ("first_col", np.int32),
        ("area", np.int32),
        ("core_area", np.int32),
        ("digest", np.uint32),
        ("prompt", np.int32),
        ("score", np.float32),
        ("stability", np.float32),
        ("truncated", np.uint8),
    ]
)
"""All that is kept of a mask in memory, 57 bytes: place in its tile's file (position), box and
areas in cells of its trusted part (in all, in the tile's core), column of the first cell in its
first row, checksum, index of its prompt, the model's score and stability, truncation bits."""

NodeArray = NDArray[np.void]
BOX_FIELDS = ("row0", "col0", "row1", "col1")


@dataclass(frozen=True, eq=False)
class TileNodes:
    """The nodes of one tile.

    Args:
        index: The tile.
        trusted: Its trusted window.
        table: (n,) of :data:`NODE`, sorted by (box, area, digest, position); ``prompt`` points
            into ``prompts``.
        shapes: The n masks.
        prompts: The different prompts of this tile.
        in_one_piece: Masks known to be 8-connected; filled by the edge stage.
    """

    index: TileIndex
    trusted: CellBox
    table: NodeArray
    shapes: CellShapes
    prompts: tuple[PromptRef, ...]
    in_one_piece: set[int] = field(default_factory=set)

    def __len__(self) -> int:
        return len(self.shapes)

    @property
    def boxes(self) -> NDArray[np.int32]:
        """(n, 4) int32 row0, col0, row1, col1."""
        return boxes_of(self.table)


def boxes_of(table: NodeArray) -> NDArray[np.int32]:
    """(n, 4) int32 boxes of nodes."""
    return np.stack([table[name] for name in BOX_FIELDS], axis=1)


def lattice(grid: Grid) -> CellBox:
    """All cells of a raster."""
    return grid.bounds.cells(grid.cell)


def tight(mask: BoolArray, box: CellBox) -> tuple[CellBox, BoolArray] | None:
    """A bool array cut to its True cells; None without any."""
    rows = np.flatnonzero(mask.any(axis=1))
    if rows.size == 0:
        return None
    cols = np.flatnonzero(mask.any(axis=0))
    row0, row1, col0, col1 = int(rows[0]), int(rows[-1]) + 1, int(cols[0]), int(cols[-1]) + 1
    inner = CellBox(row0, col0, row1, col1).shifted(box.row0, box.col0)
    return inner, mask[row0:row1, col0:col1]


def tile_nodes(masks: TileMasks, grid: Grid) -> TileNodes:
    """Cut a tile's masks to its trusted window and measure them.

    Masks that have no cell in the trusted window are left out: a neighbour sees them better.
    """
    tile = grid[masks.index]
    trusted, core = tile.trusted.cells(grid.cell), tile.core.cells(grid.cell)
    whole = lattice(grid)
    rows: list[tuple[object, ...]] = []
    shapes: list[BoolArray] = []
    prompts: dict[PromptRef, int] = {}
    for position, mask in enumerate(masks.masks):
        inside = mask.box.intersection(trusted)
        if inside.empty:
            continue
        cut = tight(mask.logits[inside.slices(mask.box)] > 0, inside)
        if cut is None:
            continue
        box, shape = cut
        shape = np.ascontiguousarray(shape)
        shared = box.intersection(core)
        core_area = 0 if shared.empty else int(np.count_nonzero(shape[shared.slices(box)]))
        truncated = (
            NORTH * (box.row0 == trusted.row0 > whole.row0)
            + WEST * (box.col0 == trusted.col0 > whole.col0)
            + SOUTH * (box.row1 == trusted.row1 < whole.row1)
            + EAST * (box.col1 == trusted.col1 < whole.col1)
        )
        rows.append(
            (
                *(masks.index.row, masks.index.col, position),
                *(box.row0, box.col0, box.row1, box.col1),
                box.col0 + int(np.argmax(shape[0])),
                int(np.count_nonzero(shape)),
                core_area,
                zlib.crc32(shape.data),
                prompts.setdefault(mask.prompt, len(prompts)),
                mask.score,
                mask.stability,
                truncated,
            )
        )
        shapes.append(shape)
    table: NodeArray = np.array(rows, NODE)
    order = np.lexsort(
        [table[name] for name in ("position", "digest", "area", *reversed(BOX_FIELDS))]
    )
    table = table[order]
    cells = CellShapes.of(boxes_of(table), [shapes[i] for i in order.tolist()])
    return TileNodes(masks.index, trusted, table, cells, tuple(prompts))


def overlap(a: BoolArray, box_a: Sequence[int], b: BoolArray, box_b: Sequence[int]) -> int:
    """Number of cells that are True in both of two arrays with their (row0, col0, row1, col1)."""
    row0, col0 = max(box_a[0], box_b[0]), max(box_a[1], box_b[1])
    row1, col1 = min(box_a[2], box_b[2]), min(box_a[3], box_b[3])
    if row1 <= row0 or col1 <= col0:
        return 0
    part_a = a[row0 - box_a[0] : row1 - box_a[0], col0 - box_a[1] : col1 - box_a[1]]
    part_b = b[row0 - box_b[0] : row1 - box_b[0], col0 - box_b[1] : col1 - box_b[1]]
    return int(np.count_nonzero(part_a & part_b))


def box_overlaps(a: NDArray[np.int32], b: NDArray[np.int32]) -> NDArray[np.int64]:
    """Areas that boxes have in common, (n, 4) and (m, 4) -> (n, m)."""
    low = np.maximum(a[:, None, :2], b[None, :, :2]).astype(np.int64)
    high = np.minimum(a[:, None, 2:], b[None, :, 2:]).astype(np.int64)
    size = np.clip(high - low, 0, None)
    product: NDArray[np.int64] = size[..., 0] * size[..., 1]
    return product
