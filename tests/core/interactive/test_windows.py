# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samgeo_core.errors import ParameterError
from samgeo_core.interactive.windows import Level
from samgeo_core.masks.sparse_logits import Field, keep_parts
from samgeo_core.models.embedding_cache import EmbeddingCache
from samgeo_core.testing.promptable_oracle import LabelSource, OracleModel
from samgeo_core.tiles.windows import WindowLattice
from samgeo_core.types import CellBox, PixelBox

lattices = st.builds(
    lambda height, width, halves, cell: WindowLattice(height, width, 2 * halves * cell, cell),
    st.integers(1, 3000),
    st.integers(1, 3000),
    st.sampled_from([16, 32, 64]),
    st.sampled_from([1, 2, 4]),
)


@st.composite
def lattices_with_extent(draw, largest=1.0):
    lattice = draw(lattices)
    row0 = draw(st.floats(0, lattice.height * 0.999))
    col0 = draw(st.floats(0, lattice.width * 0.999))
    limit = largest * lattice.size
    row1 = min(row0 + draw(st.floats(0, limit)), lattice.height)
    col1 = min(col0 + draw(st.floats(0, limit)), lattice.width)
    return lattice, (row0, col0, row1, col1)


@given(lattices_with_extent(largest=0.0))
def test_a_point_is_a_quarter_window_from_every_border_behind_which_the_raster_goes_on(case):
    lattice, extent = case
    window = lattice.around(extent)
    # The last window may end up to a cell beyond the raster.
    assert lattice.margin(window, extent) >= lattice.size / 4 - lattice.cell


@given(lattices_with_extent(largest=0.55))
def test_a_box_of_half_a_window_lies_well_inside(case):
    lattice, extent = case
    window = lattice.around(extent)
    assert lattice.margin(window, extent) >= lattice.size / 8 - lattice.cell


@given(lattices_with_extent())
def test_windows_are_whole_on_the_raster_and_on_the_lattice_of_cells(case):
    lattice, extent = case
    window = lattice.around(extent)
    assert window.shape == (lattice.size, lattice.size)
    assert window.row0 % lattice.cell == window.col0 % lattice.cell == 0
    assert window.row0 == 0 or window.row1 < lattice.height + lattice.cell
    assert window.col0 == 0 or window.col1 < lattice.width + lattice.cell


@given(lattices, st.data())
def test_neighbouring_places_share_windows(lattice, data):
    windows = set()
    for _ in range(40):
        row = data.draw(st.floats(0, lattice.height - 0.001))
        col = data.draw(st.floats(0, lattice.width - 0.001))
        windows.add(lattice.around((row, col, row, col)))
    for axis, length in ((0, lattice.height), (1, lattice.width)):
        origins = {(w.row0, w.col0)[axis] for w in windows}
        assert len(origins) <= length // lattice.step + 1


@given(lattices_with_extent(largest=0.0))
def test_weights_are_one_in_the_middle_and_vanish_only_where_the_raster_goes_on(case):
    lattice, extent = case
    window = lattice.around(extent)
    weights = lattice.weights(window)
    assert weights.shape == lattice.trusted(window).shape
    assert (weights > 0).all()
    assert weights.max() <= 1
    if window.row0 == 0 and window.col0 == 0:
        assert weights[0, 0] == min(1, weights[0].max(), weights[:, 0].max())


def test_trusted_leaves_out_eight_pixels_where_the_raster_goes_on():
    lattice = WindowLattice(1000, 128, 128, 4)
    assert lattice.trusted(PixelBox(0, 0, 128, 128)) == CellBox(0, 0, 30, 32)
    assert lattice.trusted(PixelBox(64, 0, 192, 128)) == CellBox(18, 0, 46, 32)
    assert lattice.trusted(PixelBox(872, 0, 1000, 128)) == CellBox(220, 0, 250, 32)


@given(lattices)
def test_the_windows_over_an_area_cover_it_with_their_middles(lattice):
    area = (0.0, 0.0, float(lattice.height), float(lattice.width))
    windows = lattice.covering(area)
    assert len(windows) == len(set(windows))
    for row in np.linspace(0, lattice.height - 0.01, 7):
        for col in np.linspace(0, lattice.width - 0.01, 7):
            assert lattice.around((row, col, row, col)) in windows


def test_a_window_that_cannot_be_halved_is_refused():
    with pytest.raises(ParameterError, match="halved"):
        WindowLattice(100, 100, 100, 8)


def test_a_level_reads_and_encodes_a_window_once_and_none_without_data():
    labels = np.arange(512 * 512, dtype=np.int32).reshape(512, 512) % 60_000
    valid = np.ones(labels.shape, bool)
    valid[:, :256] = False
    source = LabelSource(labels, valid=valid)
    model = OracleModel(128, 32)
    level = Level(source, model, EmbeddingCache(None))
    empty, full = PixelBox(0, 0, 128, 128), PixelBox(0, 320, 128, 448)
    assert level.ready(empty)
    assert level.encode(empty) is None
    assert not level.ready(full)
    reads = source.reads
    level.encode(full)
    assert level.ready(full)
    assert level.encode(full) is level.encode(full)
    assert (model.encoded, level.encoded, source.reads) == (1, 1, reads)


def test_a_window_at_the_rasters_end_is_padded_to_its_full_size():
    source = LabelSource(np.ones((100, 130), np.int32))
    model = OracleModel(128, 32)
    level = Level(source, model, EmbeddingCache(None))
    window = level.lattice.around((99, 129, 99, 129))
    assert level.encode(window).shape == (128, 128)


# -- fields --------------------------------------------------------------------------------------

BOUNDS = CellBox(0, 0, 100, 100)


def blank():
    return Field(BOUNDS, 16)


def ones(box, value=1.0):
    return np.full(box.shape, value, np.float32)


def test_a_field_is_the_weighted_mean_of_what_its_windows_said():
    a, b = CellBox(0, 0, 20, 20), CellBox(10, 0, 30, 20)
    field = blank().add(a, ones(a, 4.0), ones(a, 0.5)).add(b, ones(b, -2.0), ones(b, 1.0))
    assert field.at(5, 5) == 4.0
    assert field.at(15, 5) == pytest.approx((4 * 0.5 - 2) / 1.5)
    assert field.at(25, 5) == -2.0
    assert field.at(50, 50) is None
    assert field.dense(CellBox(50, 50, 51, 51))[0, 0] < -7
    other = blank().add(b, ones(b, -2.0), ones(b, 1.0)).add(a, ones(a, 4.0), ones(a, 0.5))
    assert field.same(other) == 1.0


def test_fields_are_values():
    a = CellBox(0, 0, 20, 20)
    first = blank().add(a, ones(a), ones(a))
    second = first.blend(a, ones(a, -1.0), ones(a))
    third = first.forget(a, np.ones(a.shape, bool))
    assert (first.count(), second.count(), third.count()) == (400, 0, 0)
    assert third.at(0, 0) is None


def test_stability_does_not_count_unknown_cells():
    box = CellBox(0, 0, 8, 10)
    values = ones(box, 4.0)
    values[:, 8:] = -0.5
    field = blank().add(box, values, ones(box))
    assert field.stability() == 0.8
    assert blank().stability() == 0.0


def test_exits_are_unknown_cells_beside_the_object_inside_the_raster():
    box = CellBox(90, 0, 100, 16)
    values = ones(box, -1.0)
    values[3:5] = 1.0
    field = blank().add(box, values, ones(box))
    assert field.exits() == [(93, 16), (94, 16)]
    whole = ones(box)
    assert len(blank().add(box, whole, ones(box)).exits()) == 10 + 16
    assert blank().exits() == []


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 40))
def test_exits_do_not_depend_on_blocks(seed, block):
    rng = np.random.default_rng(seed)
    box = CellBox(20, 30, 60, 70)
    logits = rng.normal(size=box.shape).astype(np.float32)
    weights = (rng.random(box.shape) < 0.7).astype(np.float32)
    coarse = Field(BOUNDS, 200).add(box, logits, weights)
    fine = Field(BOUNDS, block).add(box, logits, weights)
    assert coarse.exits() == fine.exits()
    assert coarse.positive_box() == fine.positive_box()
    assert coarse.count() == fine.count()


def test_only_parts_that_hold_a_seed_are_kept():
    logits = np.full((10, 10), -1.0, np.float32)
    logits[1:3, 1:3] = 2.0
    logits[6:9, 6:9] = 3.0
    seeds = np.zeros((10, 10), bool)
    seeds[2, 2] = True
    kept = keep_parts(logits, seeds)
    assert (kept > 0).sum() == 4
    assert kept[0, 0] == -1.0
    assert (keep_parts(logits, np.zeros((10, 10), bool)) > 0).sum() == 0
