# SPDX-License-Identifier: GPL-2.0-or-later
"""Views: the parts of a window that a model encodes at once, the whole of it or crops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..tiles.mask_grid import valid_cells
from ..types import BoolArray, CellBox, FloatArray, LogitArray, PixelBox
from .mask_nms import Candidate
from .point_grids import crop_boxes
from .segmenter import TileImage

EDGE_TOLERANCE = 20
"""Pixels: a mask this near to a crop's edge inside the window is taken for cut off (official)."""

LARGEST_SKIPPER = 1 << 17
"""Pixels above which a confident mask does not keep points from being asked: such a mask is
background or a whole neighbourhood, and what lies on it would be lost. An eighth of a window of
1024; the same in smaller windows, so that they ask the same places, up to half of the window."""


@dataclass(frozen=True, eq=False)
class View:
    """A part of the padded window that the model encodes: the whole of it, or a crop.

    ``box`` counts pixels, ``cells`` cells of the window; ``cells`` are those whose centre lies in
    ``box`` and inside the raster, ``valid`` tells which of them have data, and ``asked`` in which
    of these objects are looked for.
    """

    window: int
    cell: int
    layer: int
    box: PixelBox
    cells: CellBox
    valid: BoolArray
    asked: BoolArray


def views_of(image: TileImage, n_layers: int) -> list[View]:
    """The window, and its crops in ``n_layers`` layers."""
    valid, asked = (valid_cells(part, image.cell) for part in (image.valid, asked_in(image)))
    half = image.cell // 2
    views = []
    for layer, box in crop_boxes(image.size, n_layers):
        first, last = -(-(box.row0 - half) // image.cell), -(-(box.row1 - half) // image.cell)
        left, right = -(-(box.col0 - half) // image.cell), -(-(box.col1 - half) // image.cell)
        inside = CellBox(first, left, last, right).intersection(CellBox(0, 0, *valid.shape))
        parts = (
            part[inside.row0 : inside.row1, inside.col0 : inside.col1] for part in (valid, asked)
        )
        views.append(View(image.size, image.cell, layer, box, inside, *parts))
    return views


def asked_in(image: TileImage) -> BoolArray:
    """The pixels with data where objects are looked for."""
    return image.valid if image.wanted is None else image.valid & image.wanted


def cells_of(points: FloatArray, view: View) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Row and column, within the view's cells, of the cell nearest to each point."""
    rows, cols = (points // view.cell).astype(np.intp).T
    return (
        np.clip(rows - view.cells.row0, 0, view.cells.height - 1),
        np.clip(cols - view.cells.col0, 0, view.cells.width - 1),
    )


def reaching_into(boxes: FloatArray, part: PixelBox) -> BoolArray:
    """Which of (n, 4) boxes reach into a part of the window, both in its pixels."""
    low = boxes[:, 2:] > (part.row0, part.col0)
    high = boxes[:, :2] < (part.row1, part.col1)
    return np.asarray((low & high).all(axis=1))


def holds(box: CellBox, at: tuple[int, int]) -> bool:
    """Whether a cell lies in a box."""
    return box.row0 <= at[0] < box.row1 and box.col0 <= at[1] < box.col1


def cover(covered: BoolArray, candidates: Sequence[Candidate], view: View) -> None:
    """Mark in place what the candidates cover, except those that cover nearly everything."""
    largest = min(LARGEST_SKIPPER / view.cell**2, view.cells.area / 2)
    for candidate in candidates:
        if candidate.area <= largest:
            covered[candidate.box.slices(view.cells)] |= candidate.logits > 0


def is_cut_off(candidate: Candidate, view: View) -> bool:
    """Whether a mask reaches an edge of its crop that is not an edge of the window."""
    tight, box, window = candidate.tight.pixels(view.cell), view.box, view.window
    near = EDGE_TOLERANCE
    return (
        (box.row0 > 0 and tight.row0 <= box.row0 + near)
        or (box.col0 > 0 and tight.col0 <= box.col0 + near)
        or (box.row1 < window and tight.row1 >= box.row1 - near)
        or (box.col1 < window and tight.col1 >= box.col1 - near)
    )


def innermost(stored: LogitArray) -> tuple[int, int]:
    """The (row, column) of the cell that lies deepest inside a mask."""
    depth = ndimage.distance_transform_edt(np.pad(stored > 0, 1))[1:-1, 1:-1]
    row, col = np.unravel_index(int(np.argmax(depth)), depth.shape)
    return int(row), int(col)
