# SPDX-License-Identifier: GPL-2.0-or-later
"""The simplest rules of other tools for joining tiles, for comparison."""

from __future__ import annotations

import numpy as np
from samgeo_core.masks.masks import Mask
from samgeo_core.merge import MaskSource
from samgeo_core.merge.nodes import lattice, tight
from samgeo_core.testing.scenes import Thing
from samgeo_core.tiles.grid import Grid
from samgeo_core.types import CellBox
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


def _thing(mask: Mask, inside: CellBox) -> Thing | None:
    box = mask.box.intersection(inside)
    if box.empty:
        return None
    cut = tight(mask.logits[box.slices(mask.box)] > 0, box)
    return None if cut is None else Thing(cut[0], cut[1].copy(), "")


def tile_nms(source: MaskSource, grid: Grid, iou: float = 0.7) -> list[Thing]:
    """All tiles' masks as they are; of two whose boxes overlap, the one with the better score."""
    things, scores = [], []
    for tile in grid:
        for mask in source.load(tile.index).masks:
            thing = _thing(mask, lattice(grid))
            if thing is not None:
                things.append(thing)
                scores.append(mask.score)
    boxes = np.array([(t.box.row0, t.box.col0, t.box.row1, t.box.col1) for t in things], float)
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    alive = np.ones(len(things), bool)
    kept = []
    for k in np.argsort(-np.array(scores), kind="stable"):
        if not alive[k]:
            continue
        kept.append(things[k])
        low = np.maximum(boxes[k, :2], boxes[:, :2])
        high = np.minimum(boxes[k, 2:], boxes[:, 2:])
        common = np.clip(high - low, 0, None).prod(axis=1)
        alive &= common / (areas[k] + areas - common) <= iou
    return kept


def first_come(source: MaskSource, grid: Grid, order: int | None = None) -> list[Thing]:
    """Tile after tile is painted into one raster of labels; what is taken stays taken.

    Args:
        source: Masks.
        grid: Grid.
        order: Seed of the tiles' order; None is row by row.
    """
    labels = np.zeros(lattice(grid).shape, np.int32)
    tiles = [tile.index for tile in grid]
    if order is not None:
        tiles = [tiles[k] for k in np.random.default_rng(order).permutation(len(tiles))]
    count = 0
    for index in tiles:
        masks = source.load(index).masks
        # Small ones first, or a large object would hide all that is nested in it.
        for mask in sorted(masks, key=lambda m: int(np.count_nonzero(m.logits > 0))):
            thing = _thing(mask, lattice(grid))
            if thing is None:
                continue
            place = labels[thing.box.row0 : thing.box.row1, thing.box.col0 : thing.box.col1]
            free = thing.mask & (place == 0)
            if free.any():
                count += 1
                place[free] = count
    return _things(labels)


def trim_and_link(source: MaskSource, grid: Grid, iou: float = 0.5) -> list[Thing]:
    """Masks are trimmed to cores; two that meet along a core's side are joined where the strips
    of cells on the two sides of the line overlap enough."""
    pieces: list[Thing] = []
    owner = []
    for tile in grid:
        for mask in source.load(tile.index).masks:
            piece = _thing(mask, tile.core.cells(grid.cell))
            if piece is not None:
                pieces.append(piece)
                owner.append(tile.index)
    strips: dict[tuple[str, int, int, int], list[tuple[int, np.ndarray]]] = {}
    for number, (piece, index) in enumerate(zip(pieces, owner, strict=True)):
        core = grid[index].core.cells(grid.cell)
        for side, place, line, key in (
            ("N", piece.box.row0 == core.row0, piece.mask[0], (index.row, index.col)),
            ("S", piece.box.row1 == core.row1, piece.mask[-1], (index.row + 1, index.col)),
            ("W", piece.box.col0 == core.col0, piece.mask[:, 0], (index.row, index.col)),
            ("E", piece.box.col1 == core.col1, piece.mask[:, -1], (index.row, index.col + 1)),
        ):
            if place:
                start = piece.box.col0 if side in "NS" else piece.box.row0
                cells = start + np.flatnonzero(line)
                name = "row" if side in "NS" else "col"
                strips.setdefault((name, *key, side in "SE"), []).append((number, cells))
    a, b = [], []
    for (name, row, col, before), ours in strips.items():
        if not before:
            continue
        for number, cells in ours:
            for other, others in strips.get((name, row, col, False), []):
                common = len(np.intersect1d(cells, others, assume_unique=True))
                if common and common >= iou * (len(cells) + len(others) - common):
                    a.append(number)
                    b.append(other)
    graph = coo_array((np.ones(len(a)), (a, b)), shape=(len(pieces),) * 2)
    count, label = connected_components(graph, directed=False)
    members: list[list[Thing]] = [[] for _ in range(count)]
    for number, piece in enumerate(pieces):
        members[label[number]].append(piece)
    return [_joined(group) for group in members]


def _joined(group: list[Thing]) -> Thing:
    box = group[0].box
    for piece in group[1:]:
        box = box.union(piece.box)
    mask = np.zeros(box.shape, bool)
    for piece in group:
        mask[piece.box.slices(box)] |= piece.mask
    return Thing(box, mask, "")


def _things(labels: np.ndarray) -> list[Thing]:
    from scipy import ndimage

    found = []
    for number, place in enumerate(ndimage.find_objects(labels), 1):
        if place is not None:
            box = CellBox(place[0].start, place[1].start, place[0].stop, place[1].stop)
            found.append(Thing(box, labels[place] == number, ""))
    return found
