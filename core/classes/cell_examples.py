# SPDX-License-Identifier: GPL-2.0-or-later
"""Examples of surfaces as cells: what lies along a stroke, in a polygon, under a point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import rasterize

from ..errors import PromptError
from ..types import CellBox
from ..vectors.contours import simplest
from .examples import Example, check_classes

MOST_CELLS = 200
"""Cells of one example; more say little that these do not."""

MOST_IN_ALL = 40_000
"""Cells of all examples together: of very many examples each gives fewer."""


@dataclass(frozen=True, eq=False)
class CellExamples:
    """Cells of examples.

    Args:
        rows: (m,) int64 rows of the cells on the raster's lattice.
        cols: (m,) int64 columns.
        names: (m,) classes.
        group: (m,) int64 number of each cell's example.
        weights: (m,) float64; an example of many cells counts more than one of few, but as the
            square root of their number.
        classes: All classes, see :func:`~.examples.check_classes`.
    """

    rows: NDArray[np.int64]
    cols: NDArray[np.int64]
    names: list[str]
    group: NDArray[np.int64]
    weights: NDArray[np.float64]
    classes: tuple[str, ...]


def cell_examples(examples: Sequence[Example], cell: int, lattice: CellBox) -> CellExamples:
    """The cells that examples name.

    Args:
        examples: In working pixels.
        cell: Side of a cell, working pixels.
        lattice: All cells of the raster.

    Raises:
        PromptError: All are of one class, or most cells of an example are marked twice.
    """
    classes = check_classes([example.class_name for example in examples])
    found: dict[tuple[int, int], tuple[int, str]] = {}
    contested: set[int] = set()
    most = max(1, min(MOST_CELLS, MOST_IN_ALL // max(len(examples), 1)))
    for number, example in enumerate(examples):
        cells = _cells(example, cell, lattice, most)
        clashes = 0
        for place in cells:
            known = found.setdefault(place, (number, example.class_name))
            clashes += known[1] != example.class_name
        if clashes > 0.5 * max(len(cells), 1):
            contested.add(number)
    if contested:
        raise PromptError(
            f"{len(contested)} of the examples lie{'s' if len(contested) == 1 else ''} on examples "
            "of another class: leave one class on each place."
        )
    places = sorted(found)
    group = np.array([found[place][0] for place in places], np.int64)
    size = np.maximum(np.bincount(group, minlength=len(examples)), 1)
    array = np.array(places, np.int64).reshape(-1, 2)
    return CellExamples(
        array[:, 0],
        array[:, 1],
        [found[place][1] for place in places],
        group,
        1 / np.sqrt(size[group]),
        classes,
    )


def _cells(example: Example, cell: int, lattice: CellBox, most: int) -> list[tuple[int, int]]:
    """Cells of an example, at most ``most``, spread evenly over it."""
    geometry = example.geometry
    if example.kind in ("box", "polygon"):
        # Of a boundary larger than the raster only what lies on it is thinned out.
        geometry = simplest(shapely.intersection(geometry, _ground(lattice, cell)))
        if geometry.is_empty:
            return []
        places = _inside(geometry, cell)
        if not places:
            geometry = geometry.representative_point()
    if geometry.geom_type in ("Point", "LineString", "LinearRing"):
        places = _along(geometry, cell)
    kept = [
        (row, col)
        for row, col in dict.fromkeys(places)
        if lattice.row0 <= row < lattice.row1 and lattice.col0 <= col < lattice.col1
    ]
    step = max(1, -(-len(kept) // most))
    return kept[step // 2 :: step]


def _ground(lattice: CellBox, cell: int) -> Any:
    """The cells' ground in working pixels."""
    sides = lattice.col0, lattice.row0, lattice.col1, lattice.row1
    return shapely.box(*(cell * side for side in sides))


def _along(geometry: Any, cell: int) -> list[tuple[int, int]]:
    if geometry.geom_type == "Point":
        xy = shapely.get_coordinates(geometry)
    else:
        count = max(2, int(np.ceil(2 * geometry.length / cell)))
        spots = shapely.line_interpolate_point(geometry, np.linspace(0, 1, count), normalized=True)
        xy = shapely.get_coordinates(spots)
    cells = np.floor(xy / cell).astype(np.int64)
    return [(int(row), int(col)) for col, row in cells]


def _inside(polygon: Any, cell: int) -> list[tuple[int, int]]:
    x0, y0, x1, y1 = (v / cell for v in shapely.bounds(polygon))
    box = CellBox(int(np.floor(y0)), int(np.floor(x0)), int(np.ceil(y1)), int(np.ceil(x1)))
    # A large polygon is looked at more coarsely; its cells are thinned out anyway.
    step = max(1, int(np.sqrt(box.area / (100 * MOST_CELLS))))
    shape = (max(1, box.height // step), max(1, box.width // step))
    side = cell * step
    place = Affine(side, 0, box.col0 * cell, 0, side, box.row0 * cell)
    mask = rasterize([polygon], out_shape=shape, transform=place, dtype=np.uint8)
    rows, cols = np.nonzero(mask)
    half = step // 2
    return [
        (int(row) * step + half + box.row0, int(col) * step + half + box.col0)
        for row, col in zip(rows, cols, strict=True)
    ]
