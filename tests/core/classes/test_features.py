# SPDX-License-Identifier: GPL-2.0-or-later
import numpy as np
import pytest
import shapely
from pyproj import CRS
from samgeo_core.classes.features.object_features import add_up, appearance, pool
from samgeo_core.classes.features.overlaps import blended, overlaps
from samgeo_core.classes.features.shape_features import (
    context_features,
    shape_features,
    shape_measures,
)
from samgeo_core.classes.features.window_features import window_features
from samgeo_core.classes.rules import apply_rules, parse_rule
from samgeo_core.classes.surfaces import label_cells
from samgeo_core.errors import ParameterError, SamGeoWarning
from samgeo_core.merge.fuse import tile_weights
from samgeo_core.models.base import Embedding
from samgeo_core.models.embedding_cache import EmbeddingCache
from samgeo_core.models.feature_levels import feature_levels
from samgeo_core.raster.raster import RasterWindow
from samgeo_core.tiles.grid import Grid
from samgeo_core.types import CellBox

from .. import tiny_models
from .world import mobile_sam


@pytest.mark.parametrize("family", tiny_models.FAMILIES)
def test_every_family_gives_feature_maps_that_cover_its_image(family):
    image = np.random.default_rng(0).integers(0, 255, (96, 120, 3), np.uint8)
    embedding = tiny_models.model(family).encode([image])[0]
    levels = feature_levels(embedding)
    assert levels
    for level in levels:
        rows, cols = level.values.shape[1:]
        assert rows * level.cell[0] >= 96 - 1e-6
        assert cols * level.cell[1] >= 120 - 1e-6


class Positions:
    """A model whose features are the place and the brightness: exact under interpolation."""

    info = mobile_sam().info

    def encode(self, images):
        out = []
        for image in images:
            h, w = image.shape[0] // 8, image.shape[1] // 8
            blocks = image[: h * 8, : w * 8].reshape(h, 8, w, 8, 3).mean((1, 3, 4)) / 255
            out.append(Embedding({"image": np.stack([blocks, blocks**2]).astype(np.float32)},
                                 image.shape[:2], (2.0, 2.0), (h * 4, w * 4), "x"))  # fmt: skip
        return out


def pooled(image, polygons, core, margin):
    grid = Grid(*image.shape[:2], core=core, margin=margin, cell=2)
    parts, names = [], []
    for tile in grid:
        box = tile.window
        pixels = image[box.row0 : box.row1, box.col0 : box.col1]
        window = RasterWindow(pixels, np.ones(pixels.shape[:2], bool))
        found = window_features(tile, window, grid, Positions(), EmbeddingCache(None))
        parts.append(
            pool(found, tile_weights(tile, grid, found.box), range(len(polygons)), polygons)
        )
        names = found.names
    return appearance(add_up(parts, len(polygons), len(names)), names)


def test_an_object_has_the_same_features_wherever_the_seams_run():
    image = np.random.default_rng(1).integers(0, 255, (32, 40, 3), np.uint8)
    image = np.kron(image, np.ones((8, 8, 1), np.uint8))
    polygons = [shapely.box(10, 10, 300, 200), shapely.Point(100, 120).buffer(30)]
    (whole, names, seen), (tiled, _, _) = (
        pooled(image, polygons, *g) for g in ((320, 16), (64, 32))
    )
    assert seen.all()
    colours = [k for k, name in enumerate(names) if name.startswith(("colour", "spread"))]
    # The gradient at a window's very edge is not believed; colours are the same to the bit.
    assert np.allclose(whole[:, colours], tiled[:, colours], atol=2e-3)
    encoder = [k for k, name in enumerate(names) if name.startswith("image")]
    assert np.allclose(whole[:, encoder], tiled[:, encoder], atol=2e-3)


def test_pooling_is_the_mean_of_the_dense_map_under_the_object():
    image = np.random.default_rng(2).integers(0, 255, (64, 64, 3), np.uint8)
    grid = Grid(64, 64, core=64, margin=16, cell=2)
    tile = next(iter(grid))
    window = RasterWindow(image, np.ones((64, 64), bool))
    found = window_features(tile, window, grid, Positions(), EmbeddingCache(None))
    polygon = shapely.box(20, 12, 44, 40)
    ones = np.ones(found.box.shape, np.float32)
    sums = pool(found, ones, [0], [polygon])
    mean = sums.inside[0] / sums.mass[0, 0]
    dense = found.dense(found.box)[:, 6:20, 10:22].mean((1, 2))
    assert np.allclose(mean, dense, atol=1e-4)
    weights = np.random.default_rng(0).normal(size=(2, len(dense))).astype(np.float32)
    linear = np.tensordot(weights, found.dense(found.box), (1, 0))
    assert np.allclose(found.projected(weights), linear, atol=1e-3)
    rows, cols = np.array([3, 9]), np.array([5, 20])
    assert np.allclose(found.at(rows, cols), found.dense(found.box)[:, rows, cols].T, atol=1e-4)


def test_shapes_are_measured():
    shapes = np.array(
        [shapely.box(0, 0, 10, 10), shapely.box(0, 0, 40, 10), shapely.Point(0, 0).buffer(9)],
        object,
    )
    found = shape_measures(shapes)
    assert found.elongation == pytest.approx([0, 0.75, 0], abs=0.02)
    assert found.rectangularity == pytest.approx([1, 1, np.pi / 4], abs=0.02)
    assert found.compactness[2] == pytest.approx(1, abs=0.02)
    one = shape_features(shapes, np.array([100.0, 400.0, 254.0]))
    two = shape_features(shapes[[0]], np.array([100.0]))
    assert np.allclose(one[0], two[0])  # of the object alone
    assert np.isfinite(one).all()


def test_neighbours_are_seen():
    corners = ((0, 0, 10, 10), (2, 2, 5, 5), (30, 0, 40, 10))
    shapes = np.array([shapely.box(*c) for c in corners], object)
    found = context_features(
        shapes, np.array([0.9, np.nan, 0.8]), np.full(3, np.nan), overlaps(shapes)
    )
    assert np.isfinite(found).all()
    assert found[1, 2] == pytest.approx(1)  # lies in a larger one
    assert found[0, 3] == pytest.approx(np.log1p(0.09))  # which it fills in part
    assert found[1, 0] == pytest.approx(0.85)  # an unknown score is the others' mean
    one = np.array([0.9])
    alone = context_features(shapes[:1], one, one, overlaps(shapes[:1]))
    assert np.isfinite(alone).all()


def test_specks_go_to_what_is_around_them_wherever_blocks_begin():
    rng = np.random.default_rng(0)
    logits = np.zeros((2, 60, 60), np.float32)
    logits[0, :, :30] = 1
    logits[1, :, 30:] = 1
    for row, col in rng.integers(2, 58, (20, 2)):
        logits[:, row : row + 2, col : col + 2] = logits[::-1, row : row + 2, col : col + 2]
    known, whole = np.ones((60, 60), bool), CellBox(0, 0, 60, 60)
    one = label_cells(logits, known, whole, whole, 12)
    for box in (CellBox(0, 0, 30, 30), CellBox(20, 10, 45, 50)):
        wide = box.grown(12).intersection(whole)
        part = wide.slices(whole)
        found = label_cells(logits[:, part[0], part[1]], known[part], wide, box, 12)
        assert (found == one[box.slices(whole)]).all()
    known[:5] = False
    assert (label_cells(logits, known, whole, whole, 12)[:5] == 0).all()


def test_rules_are_read_and_applied():
    rule = parse_rule(" roof : square, min-area=10, largest-part")
    assert (rule.class_name, rule.square, rule.min_area, rule.largest_part) == (
        "roof",
        True,
        10,
        True,
    )
    assert parse_rule("smooth=2").class_name == "*"
    for bad in ("roof: round", "min-area", "min-area=x", "min-area=-1", "square=1", ""):
        with pytest.raises(ParameterError, match="The rule"):
            parse_rule(bad)
    for share in ("min-elongation", "max-elongation", "min-rectangularity", "max-rectangularity"):
        assert getattr(parse_rule(f"{share}=1"), share.replace("-", "_")) == 1
        with pytest.raises(ParameterError, match=rf"{share}=70' needs a number from 0 to 1, not"):
            parse_rule(f"roof: square, {share}=70")
    shapes = np.array([shapely.box(0, 0, 10, 10),
                       shapely.MultiPolygon([shapely.box(0, 0, 5, 5), shapely.box(9, 9, 10, 10)]),
                       shapely.box(0, 0, 50, 2)], object)  # fmt: skip
    names = ["a", "a", "b"]
    rules = [parse_rule("a: largest-part, max-area=30"), parse_rule("max-elongation=0.9")]
    found, keep = apply_rules(shapes, names, rules, None, 1.0)
    assert keep.tolist() == [False, True, False]
    assert found[1].area == 25
    ragged, square = shapely.Polygon([(0, 0), (9, 0), (0, 9)]), shapely.box(0, 0, 9, 9)
    rules = [parse_rule("max-rectangularity=0.8")]
    _, keep = apply_rules(np.array([ragged, square], object), ["", ""], rules, None, 1.0)
    assert keep.tolist() == [True, False]


def test_a_rule_for_a_class_that_is_not_there_is_said():
    shapes = np.array([shapely.box(0, 0, 10, 10)], object)
    with pytest.warns(SamGeoWarning, match="the class 'rof' .* the classes found are roof"):
        apply_rules(shapes, ["roof"], [parse_rule("rof: square")], None, 1.0)


def test_rounding_draws_few_vertices():
    steps = [(k // 2 + k % 2, k // 2) for k in range(40)] + [(0, 20)]
    stairs = shapely.Polygon(steps)
    found, _ = apply_rules(np.array([stairs], object), [""], [parse_rule("smooth=2")], None, 1.0)
    assert shapely.get_num_coordinates(found[0]) < len(steps)
    corner = shapely.box(0, 0, 10, 10)
    found, _ = apply_rules(np.array([corner], object), [""], [parse_rule("smooth=2")], None, 1.0)
    assert shapely.get_num_coordinates(found[0]) <= 29
    assert found[0].area == pytest.approx(100 - (4 - np.pi) * 4, rel=2e-3)


@pytest.mark.parametrize(
    ("crs", "unit", "at"),
    [(32618, 1.0, (583_000, 4_507_000)), (2263, 0.3048006096, (980_000, 200_000)),
     (3857, 0.5, (0, 8_399_737)), (4326, 111_320, (10, 0))],
)  # fmt: skip
def test_the_radius_of_rounding_is_metres_in_any_crs(crs, unit, at):
    spike = shapely.union_all([shapely.box(0, 0, 40, 40), shapely.box(40, 18.5, 50, 21.5)])
    shape = shapely.transform(spike, lambda xy: xy / unit + at)
    rules = [parse_rule("smooth=1.4")]
    wide, _ = apply_rules(np.array([shape], object), [""], rules, CRS.from_epsg(crs), 0.3 / unit)
    assert (wide[0].bounds[2] - at[0]) * unit == pytest.approx(50, abs=0.3)  # 3 m are wider
    rules = [parse_rule("smooth=1.6")]
    gone, _ = apply_rules(np.array([shape], object), [""], rules, CRS.from_epsg(crs), 0.3 / unit)
    assert (gone[0].bounds[2] - at[0]) * unit < 43


def test_objects_that_share_ground_share_what_is_seen_of_them():
    whole, half, far = shapely.box(0, 0, 10, 10), shapely.box(0, 0, 5, 10), shapely.box(50, 0, 9, 9)
    beside = shapely.box(10, 0, 20, 10)  # touches, but shares no ground
    shapes = np.array([whole, half, beside, far], object)
    values = np.array([[1.0], [3.0], [7.0], [9.0]], np.float32)
    seen = np.array([True, True, True, False])
    found = blended(values, overlaps(shapes), seen)[:, 0]
    assert found == pytest.approx([(1 + 0.5 * 3) / 1.5, (3 + 1) / 2, 7, 9])
    order = np.array([2, 0, 3, 1])
    turned = blended(values[order], overlaps(shapes[order]), seen[order])[:, 0]
    assert turned == pytest.approx(found[order])
