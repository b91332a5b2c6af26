# SPDX-License-Identifier: GPL-2.0-or-later
"""The skeleton of a surface, block by block: thin lines for a raster of any size.

A block is thinned together with a margin of its surroundings and only its own cells are kept. A
cell's place on a skeleton depends on what lies within half a width around it, so neighbouring
blocks nearly always agree on their common side; where they do not, the graph joins them
(:mod:`.road_graph`). What is held for the whole raster grows with the length of the lines, not
with the area.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage import morphology

from ..types import BoolArray, CellBox, FloatArray
from ..vectors.centre_lines import skeleton_widths

BLOCK = 512
"""Side of a block, cells."""

MARGIN = 64
"""Cells around a block that are thinned with it: more than half of the widest road."""

SMOOTHING = 1.0
"""Standard deviation in cells of the Gaussian that takes single cells' noise off the logits."""


@dataclass(frozen=True, eq=False)
class SkeletonCells:
    """Cells of a skeleton.

    Args:
        rows: (n,) int64 on the raster's lattice.
        cols: (n,) int64.
        half: (n,) float64 distance to the nearest cell outside of the surface, cells.
        width: (n,) float64 of the surface there, cells.
        probability: (n,) float64 of the surface's class.
    """

    rows: NDArray[np.int64]
    cols: NDArray[np.int64]
    half: NDArray[np.float64]
    width: NDArray[np.float64]
    probability: NDArray[np.float64]


def block_skeleton(
    probability: FloatArray, known: BoolArray, wide: CellBox, box: CellBox, least: float, hole: int
) -> SkeletonCells:
    """The skeleton of a block's surface.

    Args:
        probability: (h, w) of the class on ``wide``.
        known: (h, w) bool, which cells have data.
        wide: The block with its margin.
        box: The block, whose cells are kept.
        least: Probability from which a cell is of the surface.
        hole: Holes of fewer cells are filled, islands of fewer are dropped: cars, trees, shadows.
    """
    surface = (probability >= least) & known
    surface = _without_small(surface, hole)
    skeletonize: Any = morphology.skeletonize  # has no types
    thin: BoolArray = skeletonize(surface)
    distance = ndimage.distance_transform_edt(np.pad(surface, 1, mode="edge"))[1:-1, 1:-1]
    inner = box.slices(wide)
    rows, cols = np.nonzero(thin[inner])
    return SkeletonCells(
        (rows + box.row0).astype(np.int64),
        (cols + box.col0).astype(np.int64),
        np.asarray(distance[inner][rows, cols], np.float64),
        skeleton_widths(distance, thin)[inner][rows, cols],
        np.asarray(probability[inner][rows, cols], np.float64),
    )


def _without_small(surface: BoolArray, least: int) -> BoolArray:
    """Islands and holes of fewer cells than ``least`` removed and filled."""
    for value in (True, False):
        part = surface if value else ~surface
        labels, count = ndimage.label(part, ndimage.generate_binary_structure(2, 2 if value else 1))
        if not count:
            continue
        size = np.bincount(labels.ravel())
        small = size < least
        small[0] = False
        surface = surface & ~small[labels] if value else surface | small[labels]
    return surface


def smoothed(probability_logits: FloatArray) -> FloatArray:
    """Logits with the noise of single cells taken off, along the last two axes."""
    sigma = (0,) * (probability_logits.ndim - 2) + (SMOOTHING, SMOOTHING)
    return np.asarray(ndimage.gaussian_filter(probability_logits, sigma), np.float32)
