# SPDX-License-Identifier: GPL-2.0-or-later
"""Segment with examples: candidates of the embedded model, then their classes."""

import json
from dataclasses import replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from rasterio.windows import Window
from samgeo_core.classes.objects import LEAST_SCORE
from samgeo_core.errors import ModelError, ParameterError, PromptError, SamGeoWarning
from samgeo_core.job import ClassifyParameters, SegmentParameters
from samgeo_core.jobs.automatic import least_score
from samgeo_core.jobs.classes import segment_classes
from samgeo_core.jobs.classes import segment_classes as segment_classes_module
from samgeo_core.jobs.classes.classify import classify_layer
from samgeo_core.jobs.make_segmenter import (
    BUILDING_SCORE,
    CANDIDATES,
    make_candidates,
    make_segmenter,
)
from samgeo_core.jobs.run import run
from samgeo_core.models import words
from samgeo_core.models.base import Concept, ModelInfo
from samgeo_core.models.catalogue import EMBEDDED_CARD
from samgeo_core.segmenters.automatic import judges_again, single_of
from samgeo_core.segmenters.segmenter import Hint, TileImage
from samgeo_core.testing.bright import Bright
from samgeo_core.tiles.grid import Tile
from samgeo_core.types import PixelBox, TileIndex

TOWN = Path(__file__).parents[3] / "sample_data" / "town.tif"
TRUTH = TOWN.with_name("town_truth.gpkg")
SIDE = 448


@pytest.fixture(scope="module")
def corner(tmp_path_factory):
    """A corner of the sample scene, its houses, and points on some of them and on fields."""
    folder = tmp_path_factory.mktemp("corner")
    path = folder / "corner.tif"
    with rasterio.open(TOWN) as file:
        row, col = file.height // 2 - SIDE // 2, file.width // 2 - SIDE // 2
        window = Window(col, row, SIDE, SIDE)
        profile = {
            "driver": "GTiff", "width": SIDE, "height": SIDE, "count": 3, "dtype": "uint8",
            "crs": file.crs, "transform": file.window_transform(window),
        }  # fmt: skip
        bounds = file.window_bounds(window)
        with rasterio.open(path, "w", **profile) as out:
            out.write(file.read(window=window))
    frame = shapely.box(*bounds)
    houses = gpd.read_file(TRUTH, layer="buildings")
    houses = houses[houses.within(frame)].reset_index(drop=True)
    x0, y0, x1, y1 = bounds
    grid = [
        shapely.Point(x, y) for x in np.arange(x0 + 8, x1, 16) for y in np.arange(y0 + 8, y1, 16)
    ]
    ground = [spot for spot in grid if houses.distance(spot).min() > 4]
    points = {"house": houses.representative_point()[:8], "other": ground}
    for name, shapes in points.items():
        gpd.GeoDataFrame(geometry=list(shapes), crs=houses.crs).to_file(folder / f"{name}.gpkg")
    return folder, path, houses


def test_a_few_examples_find_the_houses_of_a_scene(corner, tmp_path, monkeypatch):
    monkeypatch.setenv("SAMGEO_CACHE_DIR", str(tmp_path / "cache"))
    folder, raster, houses = corner
    out = tmp_path / "houses.gpkg"
    asked = SegmentParameters(
        [str(raster)], str(out), threads=1,
        like=[str(folder / "house.gpkg")], unlike=[str(folder / "other.gpkg")],
    )  # fmt: skip
    result = run(asked)
    found = gpd.read_file(out, layer="houses")
    assert result.features == len(found)
    assert set(found["class"]) == {"house"}
    iou = [max(shapely.area(shapely.intersection(h, g)) / shapely.area(shapely.union(h, g))
               for g in found.geometry) for h in houses.geometry]  # fmt: skip
    assert sum(value >= 0.5 for value in iou) >= 0.8 * len(houses)
    assert len(found) <= 1.6 * len(houses)
    assert not list(tmp_path.glob("*.job"))


def test_examples_outside_the_extent_are_counted_apart(corner, tmp_path, monkeypatch):
    monkeypatch.setenv("SAMGEO_CACHE_DIR", str(tmp_path / "cache"))
    folder, raster, houses = corner
    x0, y0, x1, y1 = houses.total_bounds.tolist()
    asked = SegmentParameters(
        [str(raster)], str(tmp_path / "out.gpkg"), threads=1, extent=[x0, y0, (x0 + x1) / 2, y1],
        like=[str(folder / "house.gpkg")], unlike=[str(folder / "other.gpkg")],
    )  # fmt: skip
    with pytest.warns(SamGeoWarning, match="examples lie outside the area that is searched"):
        run(asked)


def test_examples_that_cannot_be_used_are_refused_before_anything_is_segmented(
    corner, tmp_path, monkeypatch
):
    monkeypatch.setattr(segment_classes, "segment_raster", lambda *_, **__: pytest.fail("began"))
    folder, raster, _ = corner
    far = gpd.read_file(folder / "house.gpkg")
    far["geometry"] = far.geometry.translate(90_000, 0)
    far.to_file(tmp_path / "far.gpkg")
    broken = tmp_path / "broken.samgeo-classes"
    broken.write_bytes(b"no classifier")
    house, other = str(folder / "house.gpkg"), str(folder / "other.gpkg")
    for given, error, says in (
        ({"like": [house]}, PromptError, "of one class"),
        ({"like": [str(tmp_path / "far.gpkg")], "unlike": [other]}, PromptError, "of one class"),
        ({"like": [str(tmp_path / "far.gpkg")]}, PromptError, "lies on the raster"),
        ({"examples": house, "class_field": "kind"}, ParameterError, "no field 'kind'"),
        ({"classifier": str(broken)}, ModelError, "cannot be read"),
    ):
        with pytest.raises(error, match=says):
            run(SegmentParameters([str(raster)], str(tmp_path / "out.gpkg"), threads=1, **given))
    assert not (tmp_path / "out.gpkg").exists()


def test_candidates_are_looked_for_with_lower_thresholds_and_the_same_proposals():
    params = SegmentParameters(["x.tif"], "x.gpkg", threads=1)
    usual, candidates = make_segmenter(params), make_candidates(params)
    for name, share in zip(("score", "stability"), CANDIDATES, strict=True):
        low, high = (getattr(s.options, f"{name}_threshold") for s in (candidates, usual))
        assert low == pytest.approx(share * high)
    assert candidates.options.proposals == usual.options.proposals == "embedded"
    assert candidates.proposer is candidates.model
    assert usual.options.pairs
    assert not candidates.options.pairs  # two houses in one mask would take the place of both


class Finder:
    """Finds boxes that are known, for any word."""

    def __init__(self, boxes):
        self.info = ModelInfo("finder", "test", "f", 1024, 0, frozenset({"text"}))
        self.boxes = np.array(boxes, np.float32)

    def find(self, image, word, *, min_score):
        return Concept(None, self.boxes, np.full(len(self.boxes), 0.9, np.float32))


def test_what_a_word_finds_is_classed_by_examples(corner, tmp_path, monkeypatch):
    monkeypatch.setenv("SAMGEO_CACHE_DIR", str(tmp_path / "cache"))
    folder, raster, houses = corner
    with rasterio.open(raster) as file:
        to_pixels = ~file.transform
    boxes = []
    for x0, y0, x1, y1 in houses.bounds.to_numpy():
        (left, top), (right, bottom) = to_pixels @ (x0, y1), to_pixels @ (x1, y0)
        boxes.append((top, left, bottom, right))
    spots = gpd.read_file(folder / "other.gpkg").geometry[:16]
    for spot in spots:
        col, row = to_pixels @ (spot.x, spot.y)
        boxes.append((row - 12, col - 12, row + 12, col + 12))
    monkeypatch.setattr(words, "load_concepts", lambda *_: Finder(boxes))
    marks = tmp_path / "ground.gpkg"
    drawn = spots[:8].buffer(2.5)
    gpd.GeoDataFrame(geometry=list(drawn), crs=houses.crs).to_file(marks)
    out = tmp_path / "houses.gpkg"
    asked = SegmentParameters(
        [str(raster)], str(out), threads=1, words=["roof"], detector="finder", repair=False,
        like=[str(folder / "house.gpkg")], unlike=[str(marks)], rules=["house: largest-part"],
    )  # fmt: skip
    run(asked)
    found = gpd.read_file(out, layer="houses")
    inside = found.representative_point().apply(lambda spot: houses.contains(spot).any())
    assert set(found["class"]) == {"house"}
    assert inside.sum() >= 0.7 * len(houses)
    assert inside.mean() > 0.85
    assert (found["prompt_type"] == "text").all()


@pytest.fixture
def squares(tmp_path):
    """Two bright squares, of 30 and of 400 m2."""
    pixels = np.zeros((3, 60, 60), np.uint8)
    pixels[:, 5:11, 5:11] = 220  # 30.5 m2, and 26.7 m2 with rounded corners
    pixels[:, 20:40, 20:40] = 220
    path = tmp_path / "r.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=60, height=60, count=3, dtype="uint8", crs="EPSG:32632",
        transform=rasterio.transform.from_origin(500_000, 5_000_000, 1, 1),
    ) as file:  # fmt: skip
        file.write(pixels)
    return path


def test_no_object_is_smaller_than_asked_after_the_rules(squares, tmp_path):
    asked = SegmentParameters([str(squares)], str(tmp_path / "o.gpkg"), min_area=30.0,
                              rules=["smooth=2"], stretch=[(0, 255)])  # fmt: skip
    run(asked, segmenter=Bright())
    assert gpd.read_file(tmp_path / "o.gpkg", layer="o").area.round().tolist() == [377]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"rules": ["max-area=1"]}, r"2 objects were found, and all were left out by rules\."),
        (
            {"rules": ["max-area=100", "smooth=2"], "min_area": 30.0},
            r"2 objects .* left out by min_area 30 m2 or rules\.",
        ),
    ],
)
def test_a_layer_that_rules_have_emptied_says_so(squares, tmp_path, options, says):
    asked = SegmentParameters(
        [str(squares)], str(tmp_path / "o.gpkg"), stretch=[(0, 255)], **options
    )
    with pytest.warns(SamGeoWarning, match=says):
        result = run(asked, segmenter=Bright())
    assert result.features == 0
    assert len(result.warnings) == 1


def test_a_layer_without_an_object_of_a_class_says_so(corner, tmp_path, monkeypatch):
    monkeypatch.setenv("SAMGEO_CACHE_DIR", str(tmp_path / "cache"))
    folder, raster, houses = corner
    saved, layer = tmp_path / "c.samgeo-classes", tmp_path / "houses.gpkg"
    ground = gpd.read_file(folder / "other.gpkg").geometry[:16].buffer(3)
    gpd.GeoDataFrame(geometry=[*houses.geometry, *ground], crs=houses.crs).to_file(layer)
    marks = {"like": [str(folder / "house.gpkg")], "unlike": [str(folder / "other.gpkg")]}
    given = {"threads": 1, "rasters": [str(raster)], "input": str(layer), "overwrite": True}
    given["output"] = str(tmp_path / "out.gpkg")
    classify_layer(ClassifyParameters(**given, **marks, save_classifier=str(saved)))
    given["classifier"] = str(saved)
    with pytest.warns(SamGeoWarning, match=r"\d+ objects .* all were left out by rules"):
        classify_layer(ClassifyParameters(**given, rules=["max-area=1"]))
    gpd.GeoDataFrame(geometry=list(ground), crs=houses.crs).to_file(layer)
    with pytest.warns(SamGeoWarning, match=r"none of 16 objects is of a class .* of 0\.9 or more"):
        classify_layer(ClassifyParameters(**given, min_class_prob=0.9))


def test_a_map_of_buildings_holds_each_once_by_its_second_score(corner, tmp_path):
    """``--class building``: no part of a roof beside the roof, no roof with its yard."""
    _, raster, houses = corner

    def found(name, **options):
        asked = SegmentParameters([str(raster)], str(tmp_path / name), threads=1, **options)
        run(asked)
        return gpd.read_file(asked.output)

    everything = found("all.fgb")
    before = everything[everything["class"] == "building"]
    built = found("buildings.fgb", classes=["building"])
    in_tiles = found("tiles.fgb", classes=["building"], tile_size=256, margin=64)
    for layer in (built, in_tiles):
        shapes = layer.geometry.to_numpy()
        one, two = shapely.STRtree(shapes).query(shapes, predicate="intersects")
        pairs = one < two
        common = shapely.area(shapely.intersection(shapes[one[pairs]], shapes[two[pairs]]))
        smaller = np.minimum(*(shapely.area(shapes[k[pairs]]) for k in (one, two)))
        assert (common < 0.45 * smaller).all()  # 0.4 of the masks' cells
        assert (layer["parent_id"] == "").all()
        assert layer["score"].min() >= BUILDING_SCORE - 1e-6
        iou = [max(shapely.area(shapely.intersection(h, g)) / shapely.area(shapely.union(h, g))
                   for g in shapes) for h in houses.geometry]  # fmt: skip
        assert sum(value >= 0.5 for value in iou) >= 0.9 * len(houses)
        assert len(layer) < len(before)
    assert abs(len(built) - len(in_tiles)) <= 1
    # Who wants more asks for less.
    more = found("more.fgb", classes=["building"], min_score=0.1)
    assert len(more) >= len(built)
    assert more["score"].min() >= 0.1
    few = found("few.fgb", classes=["building"], min_score=0.8)
    assert 0 < len(few) <= len(built)
    assert few["score"].min() >= 0.8


def test_candidates_of_classes_are_judged_twice_and_those_of_updates_once():
    params = SegmentParameters([str(TOWN)], "", threads=1)
    assert judges_again(make_candidates(params))
    assert not judges_again(make_candidates(params, judge_again=False))
    assert not judges_again(make_segmenter(params))
    assert not judges_again(make_candidates(SegmentParameters([str(TOWN)], "", proposals="grid")))
    of_classes = SegmentParameters([str(TOWN)], "", classes=["building", "road"])
    assert single_of(make_segmenter(of_classes)) == ("building",)
    assert single_of(make_segmenter(params)) == ()


SHIPPED_SCORE = json.loads(EMBEDDED_CARD.read_text())["score_threshold"]


def test_the_least_score_of_candidates_is_about_the_score_that_is_written():
    for asked, decoder, second in (
        (None, 0.9 * SHIPPED_SCORE, 0.0),
        (0.3, 0.3, 0.3),
        (0.7, 0.9 * SHIPPED_SCORE, 0.7),
    ):
        made = make_candidates(SegmentParameters([str(TOWN)], "", threads=1, min_score=asked))
        assert made.options.score_threshold == pytest.approx(decoder)
        assert made.options.judged_score == second
    params = SegmentParameters([str(TOWN)], "", threads=1, min_score=0.7)
    once = make_candidates(params, judge_again=False)
    assert (once.options.score_threshold, once.options.judged_score) == (0.7, None)
    of_grid = make_candidates(replace(params, proposals="grid"))
    assert (of_grid.options.score_threshold, of_grid.options.judged_score) == (0.7, None)


def test_the_least_score_of_what_is_written_is_that_of_the_second_estimate():
    def least(**given):
        return least_score(make_segmenter(SegmentParameters([str(TOWN)], "", threads=1, **given)))

    assert least(classes=["building"]) == BUILDING_SCORE
    assert least(classes=["building", "road"]) == least(classes=["road"]) == 0.0
    assert least(classes=["road"], min_score=0.3) == 0.3
    assert least() == pytest.approx(SHIPPED_SCORE)


def test_what_is_asked_again_is_judged_again(corner):
    """A mask that was cut and repaired is no surer than the others."""
    _, raster, _ = corner
    with rasterio.open(raster) as file:
        pixels = np.ascontiguousarray(file.read().transpose(1, 2, 0))
    box = PixelBox(0, 0, SIDE, SIDE)
    tile = Tile(TileIndex(0, 0), box, box, box)
    image = TileImage(tile, pixels, np.ones((SIDE, SIDE), bool), SIDE, 2)
    asked = SegmentParameters([str(raster)], "", threads=1, classes=["building"])
    twice = make_segmenter(asked)
    found = twice.segment(image).masks[:6]
    hints = [Hint(box, mask.box, mask.logits, mask.prompt) for mask in found]
    again = twice.refine(image, hints)
    plain = make_segmenter(replace(asked, classes=[])).refine(image, hints)
    assert all(mask is not None for mask in again)
    for mask, judged, once in zip(found, again, plain, strict=True):
        np.testing.assert_array_equal(judged.logits, once.logits)
        assert judged.score != once.score
        assert judged.score == pytest.approx(mask.score, abs=0.15)


def test_where_nothing_is_written_the_limits_that_count_are_said(tmp_path):
    path = tmp_path / "noise.tif"
    rng = np.random.default_rng(0)
    with rasterio.open(
        path, "w", driver="GTiff", width=256, height=256, count=3, dtype="uint8",
        crs="EPSG:32645", transform=rasterio.Affine(0.2, 0, 351_000, 0, -0.2, 3_057_000),
    ) as file:  # fmt: skip
        file.write(rng.integers(90, 110, (3, 256, 256), dtype=np.uint8))
    asked = SegmentParameters([str(path)], str(tmp_path / "o.fgb"), classes=["building"])
    with pytest.warns(
        SamGeoWarning, match=f"of the class building reached a score of {BUILDING_SCORE} "
    ):
        assert run(asked).features == 0
    asked = replace(asked, output=str(tmp_path / "p.fgb"), min_score=0.7)
    with pytest.warns(SamGeoWarning, match=r"reached a score of 0\.7 .* Lower min_score"):
        assert run(asked).features == 0
    for given, said in (
        ({}, r"of the class vehicle reached a stability of 0\.\d+\. Lower min_score or min_stab"),
        ({"min_score": 0.0}, r"reached a stability of 0\.\d+\. Lower min_stability, or try"),
        ({"min_score": 0.0, "min_stability": 0.0}, "vehicle was found. Try another resolution"),
    ):
        asked = replace(asked, classes=["vehicle"], min_score=None, fresh=True, overwrite=True)
        with pytest.warns(SamGeoWarning, match=said):
            assert run(replace(asked, **given)).features == 0


@pytest.mark.parametrize(
    ("asked", "least", "lower"), [(None, LEAST_SCORE, "min_score"), (0.0, 0.0, None)]
)
def test_what_is_hardly_an_object_is_left_out_unless_another_score_is_asked_for(
    monkeypatch, tmp_path, asked, least, lower
):
    given = {}

    def classify(_, **options):
        given.update(options)
        raise ParameterError("Enough.")

    monkeypatch.setattr(segment_classes_module, "classify_layer", classify)
    points = gpd.GeoDataFrame(
        {"kind": ["roof", ""]}, geometry=gpd.points_from_xy([351410, 351420], [3057440, 3057408]),
        crs="EPSG:32645",
    )  # fmt: skip
    points.to_file(tmp_path / "points.gpkg")
    params = SegmentParameters(
        [str(TOWN)], str(tmp_path / "out.gpkg"), examples=str(tmp_path / "points.gpkg"),
        class_field="kind", min_score=asked, extent=[351400, 3057380, 351440, 3057450],
    )  # fmt: skip
    with pytest.raises(ParameterError, match="Enough"):
        run(params)
    assert given["judged"]
    assert given["least_score"] == least
    assert given["lower"] == lower
