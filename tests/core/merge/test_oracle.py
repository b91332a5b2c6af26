# SPDX-License-Identifier: GPL-2.0-or-later
"""What a perfect segmenter sees tile by tile comes back whole, once, and the same every time."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.features import rasterize
from samgeo_core.merge import CachedSource, MergeOptions, fuse, fuse_box, merge
from samgeo_core.merge.nodes import tight
from samgeo_core.parallel.executors import ProcessExecutor, SerialExecutor
from samgeo_core.testing.oracle import Oracle
from samgeo_core.testing.scenes import Scene, Thing, make_scene
from samgeo_core.tiles.grid import Grid
from samgeo_core.types import CellBox
from samgeo_core.vectors.contours import polygonize
from scipy.spatial import cKDTree

from benchmarks.footprints import FootprintOracle, centroid, footprint_scene, same_masks

from ..merging import merge_here, thing_of, things_of

SIZE = 640
GRIDS = [
    # core, margin, cell; the raster's sides are no multiples of any of them
    (128, 32, 1),
    (64, 64, 1),
    (200, 24, 1),
    (256, 96, 1),
    (512, 128, 4),
    (256, 32, 4),
]


@lru_cache(maxsize=4)
def scene(nested: bool = True) -> Scene:
    return make_scene(SIZE, seed=3, nested=nested, tile=160, detail=0.5, least=1)


def grid_for(shape: tuple[int, int], core: int, margin: int, cell: int) -> Grid:
    short = cell // 2  # the last cell reaches beyond the raster
    return Grid(shape[0] * cell - short, shape[1] * cell - short, core, margin, cell, 8)


def test_the_scene_has_what_makes_tiles_hard():
    kinds = scene().kinds()
    for kind in ("parcel", "lake", "ring", "U", "small U", "house", "road", "nested"):
        assert kinds.get(kind, 0) > 0, kind
    widest = max(max(thing.box.shape) for thing in scene().things)
    assert widest == SIZE


@pytest.mark.parametrize(("core", "margin", "cell"), GRIDS)
def test_every_object_comes_back_once_with_iou_1(core, margin, cell):
    truth = scene().things
    grid = grid_for(scene().shape, core, margin, cell)
    source = CachedSource(Oracle(truth, grid), 30)
    objects = merge_here(source, grid)
    assert same_masks(things_of(objects, source, grid), truth) == (len(truth), 0)
    assert len(objects) == len(truth)
    assert len({obj.id for obj in objects}) == len(truth)
    assert not any(obj.truncated for obj in objects)


@pytest.mark.parametrize(("core", "margin", "cell"), [(128, 32, 1), (512, 128, 4)])
def test_flat_mode_is_as_exact_where_nothing_nests(core, margin, cell):
    truth = scene(nested=False).things
    grid = grid_for(scene(nested=False).shape, core, margin, cell)
    source = CachedSource(Oracle(truth, grid), 30)
    objects = merge_here(source, grid, "flat")
    assert same_masks(things_of(objects, source, grid), truth) == (len(truth), 0)
    assert all(obj.parent_id == "" for obj in objects)


@pytest.mark.parametrize(("core", "margin", "cell"), [(128, 32, 1), (256, 32, 4)])
def test_polygons_hold_exactly_the_cells_of_their_objects(core, margin, cell):
    truth = scene().things
    grid = grid_for(scene().shape, core, margin, cell)
    source = CachedSource(Oracle(truth, grid), 30)
    found = []
    for obj in merge_here(source, grid):
        polygon = polygonize(fuse(obj, source, grid), grid)
        assert polygon.is_valid
        scaled = shapely.transform(polygon, lambda xy: xy / cell)
        box = obj.box
        local = shapely.transform(scaled, lambda xy, b=box: xy - np.array([b.col0, b.row0]))
        burnt = rasterize([local], out_shape=box.shape, dtype=np.uint8).astype(bool)
        found.append(Thing(box, burnt, ""))
    # The centres of cells that reach beyond the raster by half lie on its very edge.
    inner = CellBox(0, 0, grid.height // cell, grid.width // cell)

    def cut(things):
        kept = []
        for thing in things:
            box = thing.box.intersection(inner)
            if not box.empty:
                kept.append(Thing(box, thing.mask[box.slices(thing.box)].copy(), ""))
        return kept

    assert same_masks(cut(found), cut(truth)) == (len(cut(truth)), 0)


def test_children_name_the_smallest_object_around_them():
    truth = scene().things
    grid = grid_for(scene().shape, 128, 32, 1)
    source = CachedSource(Oracle(truth, grid), 30)
    objects = merge_here(source, grid)
    by_id = {
        obj.id: thing for obj, thing in zip(objects, things_of(objects, source, grid), strict=True)
    }
    nested = {(t.box, t.mask.tobytes()) for t in truth if t.kind.startswith("nested")}
    children = 0
    for obj in objects:
        thing = by_id[obj.id]
        is_nested = (thing.box, thing.mask.tobytes()) in nested
        assert bool(obj.parent_id) == is_nested
        if is_nested:
            children += 1
            parent = by_id[obj.parent_id]
            assert parent.box.contains(thing.box)
            assert (parent.mask[thing.box.slices(parent.box)] | ~thing.mask).all()
            around = [
                other
                for other in by_id.values()
                if other is not thing
                and other.box.contains(thing.box)
                and (other.mask[thing.box.slices(other.box)] | ~thing.mask).all()
            ]
            smallest = min(np.count_nonzero(other.mask) for other in around)
            assert np.count_nonzero(parent.mask) == smallest
    assert children == len(nested) > 5


def snapshot(objects, source, grid) -> list[tuple]:
    return [
        (
            obj.id,
            obj.parent_id,
            obj.box,
            obj.tiles,
            obj.score,
            obj.stability,
            obj.truncated,
            polygonize(fuse(obj, source, grid), grid).wkb,
        )
        for obj in objects
    ]


def test_the_order_of_masks_in_tiles_and_of_the_scene_does_not_matter():
    grid = grid_for(scene().shape, 128, 32, 1)
    truth = scene().things
    results = []
    for things, shuffle in ((truth, None), (truth, 1), (truth[::-1], 2)):
        source = CachedSource(Oracle(things, grid, shuffle=shuffle), 30)
        results.append(snapshot(merge_here(source, grid), source, grid))
    assert results[0] == results[1] == results[2]


def test_any_number_of_workers_gives_the_same_bytes():
    small = [thing for thing in scene().things if max(thing.box.shape) < SIZE][:60]
    grid = grid_for(scene().shape, 128, 32, 1)
    oracle = Oracle(small, grid)
    source = CachedSource(oracle, 30)
    results = []
    for executor in (SerialExecutor(), ProcessExecutor(2), ProcessExecutor(4)):
        with executor:
            objects = merge(oracle, grid, MergeOptions(), executor)
        results.append(snapshot(objects, source, grid))
    assert results[0] == results[1] == results[2]


def test_no_masks_at_all_make_no_objects():
    grid = Grid(300, 300, 128, 32)
    assert list(merge_here(Oracle([], grid), grid)) == []


@pytest.mark.parametrize("shape", [(5, 400), (400, 3), (1, 1), (90, 90)])
def test_rasters_smaller_than_a_tile_work(shape):
    grid = Grid(*shape, 128, 32)
    truth = [thing_of(CellBox(0, 0, shape[0], max(1, shape[1] // 2)))]
    source = Oracle(truth, grid)
    assert same_masks(things_of(merge_here(source, grid), source, grid), truth) == (1, 0)


@settings(max_examples=25)
@given(data=st.data())
def test_boxes_and_bars_of_any_size_come_back_exactly(data):
    """Rectangles anywhere: thin, tiny, on lines of the grid, larger than tiles, identical boxes."""
    height, width = data.draw(st.integers(20, 120)), data.draw(st.integers(20, 120))
    cell = data.draw(st.sampled_from([1, 2]))
    core = cell * 2 * data.draw(st.integers(12, 40))
    margin = data.draw(st.integers(4 // cell + 2, core // cell)) * cell
    grid = Grid(height * cell, width * cell, core, margin, cell, 4)
    truth, seen = [], set()
    for _ in range(data.draw(st.integers(1, 5))):
        row0 = data.draw(st.integers(0, height - 1))
        col0 = data.draw(st.integers(0, width - 1))
        row1 = data.draw(st.integers(row0 + 1, height))
        col1 = data.draw(st.integers(col0 + 1, width))
        box = CellBox(row0, col0, row1, col1)
        clear = all(not box.grown(1).intersects(other) for other in seen)
        if clear:
            truth.append(thing_of(box))
            seen.add(box)
    source = Oracle(truth, grid)
    objects = merge_here(source, grid)
    assert same_masks(things_of(objects, source, grid), truth) == (len(truth), 0)


@pytest.mark.parametrize("tile", [512, 1024])
def test_every_footprint_of_banepa_comes_back_once_in_its_place(shared_data, tile):
    folder = shared_data / "eval" / "buildings_banepa"
    truth, _ = footprint_scene(folder / "mosaic_train_4326.tif", folder / "footprints_4326.gpkg")
    assert len(truth.things) == 1466
    grid = Grid(*truth.shape, tile - 128, 64)
    source = CachedSource(Oracle(truth.things, grid), 30)
    objects = merge_here(source, grid)
    found, places = [], []
    for number in objects.by_place().tolist():
        obj = objects[number]
        found.append(Thing(*tight(fuse_box(obj, obj.box, source, grid) > 0, obj.box), ""))
        polygon = polygonize(fuse(obj, source, grid), grid)
        places.append(shapely.get_coordinates(shapely.centroid(polygon))[0])
    assert same_masks(found, truth.things) == (1466, 0)
    # A contour cuts the corners of pixels, which moves shapes that are small or that the raster
    # cuts to slivers a little.
    moved = np.hypot(*(np.array(places) - [centroid(thing) for thing in found]).T)
    areas = np.array([np.count_nonzero(thing.mask) for thing in found])
    inner = grid.bounds.cells(1).grown(-1)
    whole = np.array([inner.contains(thing.box) for thing in found])
    assert moved[whole & (areas >= 100)].max() < 0.05
    assert moved.max() < 0.15


@pytest.mark.parametrize("tile", [512, 1024])
def test_the_polygons_lie_on_the_footprints_of_banepa(shared_data, tile):
    """Positions against the vector footprints themselves, to a twentieth of a pixel (0.7 cm)."""
    folder = shared_data / "eval" / "buildings_banepa"
    truth, footprints = footprint_scene(
        folder / "mosaic_train_4326.tif", folder / "footprints_4326.gpkg"
    )
    grid = Grid(*truth.shape, tile - 128, 64)
    source = CachedSource(FootprintOracle(truth.things, grid, footprints=footprints), 30)
    objects = merge_here(source, grid)
    assert len(objects) == 1466
    polygons = np.array([polygonize(fuse(obj, source, grid), grid) for obj in objects])
    visible = shapely.intersection(footprints, shapely.box(0, 0, grid.width, grid.height))
    wanted = shapely.get_coordinates(shapely.centroid(visible))
    distances, nearest = cKDTree(shapely.get_coordinates(shapely.centroid(polygons))).query(wanted)
    assert len(set(nearest.tolist())) == 1466
    assert distances.max() < 0.05
