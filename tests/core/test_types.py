# SPDX-License-Identifier: GPL-2.0-or-later
"""Boxes behave like sets of pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from samgeo_core.types import CellBox, PixelBox, TileIndex

SIZE = 24
INSIDE = st.integers(0, SIZE)


@st.composite
def boxes(draw: st.DrawFn) -> PixelBox:
    rows, cols = sorted(draw(st.tuples(INSIDE, INSIDE))), sorted(draw(st.tuples(INSIDE, INSIDE)))
    return PixelBox(rows[0], cols[0], rows[1], cols[1])


def painted(box: PixelBox) -> np.ndarray:
    image = np.zeros((SIZE, SIZE), bool)
    image[box.slices(PixelBox(0, 0, SIZE, SIZE))] = True
    return image


@given(boxes())
def test_area_shape_and_emptiness_count_pixels(box: PixelBox) -> None:
    image = painted(box)
    assert box.area == image.sum()
    assert box.shape == (box.height, box.width)
    assert box.empty == (not image.any())


@given(boxes(), boxes())
def test_intersection_is_that_of_the_pixel_sets(a: PixelBox, b: PixelBox) -> None:
    both = painted(a) & painted(b)
    common = a.intersection(b)
    assert common.area == both.sum()
    assert a.intersects(b) == bool(both.any())
    assert a.intersection(b) == b.intersection(a)
    if not common.empty:
        assert np.array_equal(painted(common), both)


@given(boxes(), boxes())
def test_union_is_the_smallest_box_around_both(a: PixelBox, b: PixelBox) -> None:
    around = a.union(b)
    assert around.contains(a)
    assert around.contains(b)
    if not a.empty and not b.empty:
        rows, cols = np.nonzero(painted(a) | painted(b))
        smallest = PixelBox(rows.min(), cols.min(), rows.max() + 1, cols.max() + 1)
        assert around == smallest


@given(boxes(), boxes())
def test_contains_means_that_every_pixel_is_inside(a: PixelBox, b: PixelBox) -> None:
    if not b.empty:
        assert a.contains(b) == bool((painted(a) | ~painted(b)).all())


@given(boxes(), st.integers(-5, 5), st.integers(-5, 5))
def test_shifting_keeps_the_size_and_shifting_back_the_box(
    box: PixelBox, rows: int, cols: int
) -> None:
    moved = box.shifted(rows, cols)
    assert moved.shape == box.shape
    assert moved.shifted(-rows, -cols) == box


@given(boxes(), st.integers(0, 9))
def test_growing_and_shrinking_cancel(box: PixelBox, margin: int) -> None:
    assert box.grown(margin).grown(-margin) == box
    assert box.grown(margin).shape == (box.height + 2 * margin, box.width + 2 * margin)


@given(boxes(), st.integers(1, 8))
def test_cells_cover_the_pixels_and_no_cell_is_idle(box: PixelBox, cell: int) -> None:
    cells = box.cells(cell)
    assert cells.pixels(cell).contains(box)
    if not box.empty:
        for row in range(cells.row0, cells.row1):
            for col in range(cells.col0, cells.col1):
                assert CellBox(row, col, row + 1, col + 1).pixels(cell).intersects(box)


@given(st.integers(-50, 50), st.integers(-50, 50), st.integers(1, 30), st.integers(1, 8))
def test_cells_are_on_one_lattice_for_boxes_left_of_the_origin_too(
    row: int, col: int, size: int, cell: int
) -> None:
    box = PixelBox(row, col, row + size, col + size)
    pixels = box.cells(cell).pixels(cell)
    assert pixels.row0 % cell == pixels.col0 % cell == 0
    assert box.row0 - cell < pixels.row0 <= box.row0
    assert box.col1 <= pixels.col1 < box.col1 + cell


def test_pixel_and_cell_boxes_are_different_things() -> None:
    assert PixelBox(0, 0, 1, 1) != CellBox(0, 0, 1, 1)
    assert isinstance(PixelBox(0, 0, 8, 8).cells(4), CellBox)
    assert isinstance(PixelBox(0, 0, 8, 8).grown(1), PixelBox)


def test_tile_names_sort_as_their_indices_do() -> None:
    indices = [TileIndex(r, c) for r in (0, 9, 10, 101) for c in (0, 9, 10, 100)]
    names = [index.name for index in sorted(indices)]
    assert names == sorted(names)
    with pytest.raises(AttributeError):
        indices[0].row = 3  # type: ignore[misc]
