# SPDX-License-Identifier: GPL-2.0-or-later
"""Cores partition the raster, windows overlap as drawn, and neighbours meet."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from samgeo_core.errors import ParameterError
from samgeo_core.tiles.grid import Context, Grid, choose_grid
from samgeo_core.types import TileIndex


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    cell = draw(st.sampled_from([1, 2, 4]))
    trust = cell * draw(st.integers(0, 2))
    margin = trust + cell * draw(st.integers(1, 4))
    core = margin + cell * draw(st.integers(0, 12))
    context = cell * draw(st.integers(0, 3))
    # At most ten tiles along a side.
    height, width = (draw(st.integers(1, min(150, 10 * core))) for _ in range(2))
    return Grid(height, width, core, margin, cell, trust, context)


@given(grids())
def test_cores_partition_the_raster(grid: Grid) -> None:
    owned = np.zeros((grid.height, grid.width), int)
    for tile in grid:
        owned[tile.core.slices(grid.bounds)] += 1
    assert (owned == 1).all()
    assert len(list(grid)) == len(grid)


@given(grids())
def test_core_lies_in_trusted_lies_in_window_lies_in_raster(grid: Grid) -> None:
    for tile in grid:
        assert tile.trusted.contains(tile.core)
        assert tile.window.contains(tile.trusted)
        assert grid.bounds.contains(tile.window)
        assert max(tile.window.shape) <= grid.read_size


@given(grids())
def test_what_is_not_trusted_lies_only_at_sides_where_the_raster_goes_on(grid: Grid) -> None:
    for tile in grid:
        window, trusted = tile.window, tile.trusted
        for side, inner, limit in (
            (window.row0, trusted.row0, 0),
            (window.col0, trusted.col0, 0),
            (window.row1, trusted.row1, grid.height),
            (window.col1, trusted.col1, grid.width),
        ):
            if inner == limit:
                assert side == limit
            else:
                seen = grid.trust + grid.context
                assert 0 <= abs(side - inner) <= seen
                assert side == limit or abs(side - inner) == seen


@given(grids())
def test_windows_begin_on_the_lattice_of_cells(grid: Grid) -> None:
    for tile in grid:
        assert tile.window.row0 % grid.cell == tile.window.col0 % grid.cell == 0
        assert tile.trusted.row0 % grid.cell == tile.trusted.col0 % grid.cell == 0


@given(grids())
def test_neighbours_are_mutual_overlap_and_each_pair_is_met_once(grid: Grid) -> None:
    pairs = []
    for tile in grid:
        for other in grid.neighbours(tile.index):
            assert tile.index in grid.neighbours(other)
            assert grid[other].trusted.intersects(tile.trusted)
        pairs += [(tile.index, other) for other in grid.forward(tile.index)]
    assert len(set(pairs)) == len(pairs)
    both_ways = sum(len(grid.neighbours(tile.index)) for tile in grid)
    assert 2 * len(pairs) == both_ways


@given(grids())
def test_tiles_that_are_not_neighbours_share_no_trusted_pixel(grid: Grid) -> None:
    tiles = list(grid)[:30]
    for tile in tiles:
        around = {*grid.neighbours(tile.index), tile.index}
        for other in tiles:
            if other.index not in around:
                assert not tile.trusted.intersects(other.trusted)


@given(grids(), st.data())
def test_every_pixel_belongs_to_the_tile_that_at_names(grid: Grid, data: st.DataObject) -> None:
    row = data.draw(st.integers(0, grid.height - 1))
    col = data.draw(st.integers(0, grid.width - 1))
    core = grid[grid.at(row, col)].core
    assert core.row0 <= row < core.row1
    assert core.col0 <= col < core.col1
    assert grid.at(row + 0.999, col + 0.999) == grid.at(row, col)


def test_positions_and_indices_outside_are_refused() -> None:
    grid = Grid(100, 80, 64, 16)
    for row, col in ((-0.1, 0), (0, -0.1), (100, 0), (0, 80)):
        with pytest.raises(IndexError):
            grid.at(row, col)
    for index in (TileIndex(2, 0), TileIndex(0, 2), TileIndex(-1, 0)):
        assert index not in grid
        with pytest.raises(IndexError):
            grid[index]


@pytest.mark.parametrize("cell", [0, 4.0, None])
def test_mask_cells_of_no_whole_number_are_refused(cell: object) -> None:
    with pytest.raises(ParameterError, match=rf"\(cell_size\) .* whole number .* not {cell}"):
        choose_grid(1000, 1000, lambda _: cell, None, None)  # type: ignore[arg-type,return-value]


def test_a_raster_smaller_than_a_tile_is_one_tile() -> None:
    grid = Grid(3, 700, 768, 128)
    (tile,) = grid
    assert tile.core == tile.window == tile.trusted == grid.bounds
    assert grid.neighbours(tile.index) == []


def test_a_context_makes_windows_larger_and_what_is_believed_stays() -> None:
    context = Context(pixels=128, step=128)
    plain = choose_grid(3000, 2000, lambda size: 2, 512, 64)
    wide = choose_grid(3000, 2000, lambda size: 2, 512, 64, context)
    assert wide.window_size == plain.window_size == 512
    assert wide.read_size == 384 + 2 * 256
    for one, other in zip(plain, wide, strict=True):
        assert (one.core, one.trusted) == (other.core, other.trusted)
        assert other.window == one.core.grown(256).intersection(wide.bounds)


def test_cores_and_windows_begin_on_the_lattice_of_a_models_context() -> None:
    grid = choose_grid(3000, 2000, lambda size: 2, 700, 80, Context(pixels=100, step=128))
    assert grid.core == 512
    for tile in grid:
        corners = (tile.core.row0, tile.core.col0, tile.window.row0, tile.window.col0)
        assert not any(corner % 128 for corner in corners)


def test_a_raster_of_one_tile_and_small_tiles_do_without_what_does_not_fit() -> None:
    context = Context(pixels=128, step=128)
    assert choose_grid(900, 1000, lambda size: 2, None, None, context).context == 0
    assert choose_grid(1024, 900, lambda size: 2, 1088, 32, context).context == 0
    small = choose_grid(900, 900, lambda size: 2, 192, 24, context)
    assert small.core == 144
    assert small.context >= 128


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ((0, 10, 64, 16), "no tiles"),
        ((10, 10, 0, 16), "at least 1"),
        ((10, 10, 64, 8), "margin"),
        ((10, 10, 64, 65), "margin"),
        ((10, 10, 63, 16, 4), "core"),
        ((10, 10, 64, 18, 4), "margin"),
        ((10, 10, 64, 16, 4, 8, 6), "context"),
    ],
)
def test_sizes_that_do_not_fit_are_refused_with_a_reason(
    arguments: tuple[int, ...], word: str
) -> None:
    with pytest.raises(ParameterError, match=word):
        Grid(*arguments)
