# SPDX-License-Identifier: GPL-2.0-or-later
"""Connected parts of a tile's masks within the zone shared with another tile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..types import BoolArray, CellBox
from .intersections import CellShapes, Enough, in_common, ranges
from .nodes import TileNodes

EIGHT = np.ones((3, 3), bool)

MOST_FRAGMENTS = 32
"""A mask that falls into more within a zone is known there by its largest ones: of the specks of a
noisy mask, a few tell as much as thousands. Of two as large, it is the one that comes first in the
zone, which is the same in both tiles."""


@dataclass(frozen=True, eq=False)
class Fragments:
    """Connected parts of a tile's masks within a zone.

    Args:
        node: (n,) int32, row in the tile's table.
        shape: The n fragments.
        whole: (n,) bool, the fragment is all of its mask.
        depth: (n,) int32, rank by size of the whole mask among fragments that coincide in the
            zone: 0 for the largest. It tells an object from the one nested in it where the zone
            shows no difference.
    """

    node: NDArray[np.int32]
    shape: CellShapes
    whole: BoolArray
    depth: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.shape)

    @property
    def area(self) -> NDArray[np.int64]:
        """(n,) cells."""
        return self.shape.area


def fragments(tile: TileNodes, zone: CellBox, coincide: float) -> Fragments:
    """Cut a tile's masks to a zone and split them into 8-connected fragments.

    Of a mask of very many, only the :data:`MOST_FRAGMENTS` largest are returned.

    Args:
        tile: The tile's nodes.
        zone: The overlap zone.
        coincide: IoU from which on two fragments are the same within the zone.
    """
    table = tile.table
    meets = np.flatnonzero(
        (table["row0"] < zone.row1)
        & (table["row1"] > zone.row0)
        & (table["col0"] < zone.col1)
        & (table["col1"] > zone.col0)
    )
    boxes = tile.boxes[meets]
    boxes[:, :2] = np.maximum(boxes[:, :2], (zone.row0, zone.col0))
    boxes[:, 2:] = np.minimum(boxes[:, 2:], (zone.row1, zone.col1))
    area, easy = _in_one_piece(tile, meets, boxes)
    plain = _cropped(tile, meets[easy], boxes[easy], area[easy])
    parts = [
        part
        for node, box in zip(meets[~easy].tolist(), boxes[~easy].tolist(), strict=True)
        for part in _connected(tile, node, CellBox(*box))
    ]
    node, box, area, bits = (np.concatenate(values) for values in zip(plain, *parts, strict=True))
    if not len(node):
        empty = np.empty(0, np.int32)
        return Fragments(empty, CellShapes.of([], []), np.empty(0, bool), empty)
    if parts:
        order = np.argsort(node, kind="stable")
        each = np.split(bits, np.cumsum((box[:, 2:] - box[:, :2]).prod(axis=1))[:-1])
        node, box, area = node[order], box[order], area[order]
        bits = np.concatenate([each[k] for k in order.tolist()])
    shape = CellShapes(box, area, bits)
    size = table["area"][node]
    return Fragments(node, shape, area == size, _depths(shape, size, coincide))


_Parts = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int64], BoolArray]


def _in_one_piece(
    tile: TileNodes, nodes: NDArray[np.int64], boxes: NDArray[np.int32]
) -> tuple[NDArray[np.int64], BoolArray]:
    """What is known of masks in some boxes without a look at their cells.

    Args:
        tile: The tile's nodes.
        nodes: (n,) of them.
        boxes: (n, 4), a part of each one's box.

    Returns:
        (n,) cells in the box, and (n,) whether they are in one piece; where not, the number says
        nothing.
    """
    easy = tile.runs.plain[nodes]
    area = np.zeros(len(nodes), np.int64)
    some = np.flatnonzero(easy)
    if not len(some):
        return area, easy
    top = boxes[some, 0] - tile.table["row0"][nodes[some]]
    height = (boxes[some, 2] - boxes[some, 0]).astype(np.int64)
    owner = np.repeat(some, height)
    cols = tile.runs.cols[ranges(tile.runs.first[nodes[some]] + top, height)]
    left, right = np.maximum(cols[:, 0], boxes[owner, 1]), np.minimum(cols[:, 1], boxes[owner, 3])
    filled = np.flatnonzero(right > left)
    owner, left, right = owner[filled], left[filled], right[filled]
    same = owner[1:] == owner[:-1]
    # Of rows that follow one another: none is left out between them, and they touch.
    apart = (np.diff(filled) > 1) | (left[1:] > right[:-1]) | (right[1:] < left[:-1])
    easy[owner[1:][same & apart]] = False
    area += np.bincount(owner, right - left, len(nodes)).astype(np.int64)
    easy[some] &= area[some] > 0
    return area, easy


def _cropped(
    tile: TileNodes, nodes: NDArray[np.int64], boxes: NDArray[np.int32], area: NDArray[np.int64]
) -> _Parts:
    """Masks that are in one piece in a box: nodes, boxes, areas and cells, as in CellShapes."""
    own = tile.shapes.box[nodes]
    width = (own[:, 3] - own[:, 1]).astype(np.int64)
    height = (boxes[:, 2] - boxes[:, 0]).astype(np.int64)
    owner = np.repeat(np.arange(len(nodes)), height)
    corner = tile.shapes.start[nodes] + (boxes[:, 0] - own[:, 0]) * width + boxes[:, 1] - own[:, 1]
    down = ranges(np.zeros(len(nodes), np.int64), height)
    row = corner[owner] + down * width[owner]
    cells = ranges(row, (boxes[:, 3] - boxes[:, 1]).astype(np.int64)[owner])
    return nodes.astype(np.int32), boxes, area, tile.shapes.bits[cells]


def _connected(tile: TileNodes, node: int, box: CellBox) -> Iterator[_Parts]:
    """8-connected parts of a mask in a box: nodes, boxes, areas and cells, as in CellShapes.

    A full crop is not labelled, nor is a whole mask that was found to be in one piece before.
    """
    crop = tile.shapes[node][box.slices(CellBox(*tile.boxes[node].tolist()))]
    total = int(np.count_nonzero(crop))
    if total == 0:
        return
    whole = total == int(tile.table["area"][node])
    count = 1
    if total < box.area and not (whole and node in tile.in_one_piece):
        labels, count = ndimage.label(crop, EIGHT)
    if count > 1:
        yield _split(labels, count, node, box)
        return
    if whole:
        tile.in_one_piece.add(node)
    place = np.array([[box.row0, box.col0, box.row1, box.col1]], np.int32)
    yield np.array([node], np.int32), place, np.array([total]), crop.ravel()


def _split(labels: NDArray[np.int32], count: int, node: int, box: CellBox) -> _Parts:
    """The largest labelled parts of a mask, each on its own box, in the order of their labels."""
    if count > MOST_FRAGMENTS:
        area = np.bincount(labels.ravel(), minlength=count + 1)
        largest = np.argsort(-area[1:], kind="stable")[:MOST_FRAGMENTS] + 1
        count = MOST_FRAGMENTS
        number = np.zeros(len(area), np.int32)
        number[np.sort(largest)] = np.arange(1, count + 1)
        labels = number[labels]
    rows, cols = np.nonzero(labels)
    label = labels[rows, cols] - 1
    # Few labels are sorted in linear time.
    order = np.argsort(label.astype(np.uint16) if count < 1 << 16 else label, kind="stable")
    label, rows, cols = label[order], rows[order], cols[order]
    area = np.bincount(label, minlength=count)
    start = np.cumsum(area) - area
    places = np.empty((count, 4), np.int32)
    places[:, 0], places[:, 2] = rows[start], rows[start + area - 1] + 1
    places[:, 1] = np.minimum.reduceat(cols, start)
    places[:, 3] = np.maximum.reduceat(cols, start) + 1
    width = (places[:, 3] - places[:, 1]).astype(np.int64)
    sizes = width * (places[:, 2] - places[:, 0])
    bits = np.zeros(int(sizes.sum()), bool)
    corner = (np.cumsum(sizes) - sizes - places[:, 0] * width - places[:, 1])[label]
    bits[corner + rows * width[label] + cols] = True
    places += np.array([box.row0, box.col0, box.row0, box.col0], np.int32)
    return np.full(count, node, np.int32), places, area, bits


def _depths(shape: CellShapes, size: NDArray[np.int32], coincide: float) -> NDArray[np.int32]:
    """Rank of each fragment by ``size`` (then by order) among those that coincide with it."""
    first, second, common = in_common(shape, shape, Enough(of_larger=coincide), np.less)
    same = common >= coincide * (shape.area[first] + shape.area[second] - common)
    first, second = first[same], second[same]
    lower = np.where(size[first] >= size[second], second, first)
    return np.bincount(lower, minlength=len(shape)).astype(np.int32)
