# SPDX-License-Identifier: GPL-2.0-or-later
"""Objects of one to many windows for sessions with an oracle, and measures of their outlines."""

from __future__ import annotations

import numpy as np
import shapely
from rasterio.features import shapes
from shapely.geometry import shape

from ..job import Prompt
from .promptable_oracle import OracleModel

WINDOW = 128
"""Side of the oracle's windows, pixels."""


def model(**more):
    """An oracle that gives one candidate per prompt."""
    return OracleModel(WINDOW, 64, **{"candidates": 1, **more})


def point(col, row, positive=True):
    """A point prompt at (x, y) in pixels."""
    return Prompt("point", [[col, row]], positive)


def outline(session, answer, index=0):
    """The polygon of a candidate, in pixels, not simplified."""
    return session.shape(answer.candidates[index], answer.level, simplify=0).geometry


def truth(mask):
    """A mask as a polygon."""
    parts = shapes(mask.astype(np.uint8), mask=mask)
    return shapely.union_all([shape(part) for part, _ in parts])


def iou(a, b):
    """Intersection over union of two polygons."""
    return a.intersection(b).area / a.union(b).area


def blob(size, radius):
    """A smooth bulgy object, radius in windows."""
    row, col = np.mgrid[:size, :size] - size / 2
    turn = np.arctan2(row, col)
    return np.hypot(row, col) < radius * WINDOW * (1 + 0.15 * np.sin(5 * turn + 0.3))


def river(size, width):
    """A winding band from the left side to the right, twice ``width`` pixels wide."""
    row, col = np.mgrid[:size, :size]
    middle = size / 2 + size / 5 * np.sin(col / size * 2 * np.pi)
    return np.abs(row - middle) < width


def forest(size):
    """A large thing with clearings, one of them on window corners."""
    mask = blob(size, 2.6)
    row, col = np.mgrid[:size, :size]
    for r, c, radius in ((448, 448, 30), (512, 600, 25), (570, 430, 40)):
        mask &= (row - r) ** 2 + (col - c) ** 2 > radius**2
    return mask


OBJECTS = {
    "one window": blob(512, 0.4),
    "three windows": blob(768, 1.3),
    "ten windows": blob(1536, 4.4),
    "a river": river(1024, 45),
    "a forest with clearings": forest(1024),
}
"""Masks (H, W) of bool by name, from less than a window to many."""


def seam_excess(known, mask, cell):
    """Edge length of the object on window and trusted lines over that of the truth there."""
    box = known.positive_box().grown(1).intersection(known.bounds)
    rows, cols = (slice(box.row0 * cell, box.row1 * cell), slice(box.col0 * cell, box.col1 * cell))
    share = mask[rows, cols].reshape(box.height, cell, box.width, cell).mean(axis=(1, 3))
    on_lines = np.zeros(2)
    for axis, first in ((0, box.row0), (1, box.col0)):
        for which, shape_ in enumerate((known.dense(box) > 0, share > 0.5)):
            edges = np.abs(np.diff(shape_.astype(np.int8), axis=axis)).sum(axis=1 - axis)
            lines = (np.arange(len(edges)) + first + 1) * cell % (WINDOW // 2)
            on_lines[which] += edges[np.isin(lines, (0, 8, WINDOW // 2 - 8))].sum()
    return on_lines[0] / on_lines[1]
