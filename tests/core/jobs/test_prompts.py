# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import os
from dataclasses import replace
from functools import partial

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from rasterio.features import rasterize
from samgeo_core.errors import Cancelled, IncompleteError, JobError, ParameterError, PromptError
from samgeo_core.job import SegmentParameters
from samgeo_core.jobs import run as jobs
from samgeo_core.testing.promptable_oracle import OracleModel, labels_to_pixels

from ..layers.typed_fields import LARGE, carried, save_typed, typed, types_of, values_of

TRANSFORM = Affine(0.5, 0, 400_000, 0, -0.5, 5_000_000)
CRS = "EPSG:32633"
SIDE = 40


def oracle(**more):
    return OracleModel(128, 64, **{"candidates": 1, **more})


@pytest.fixture(scope="module")
def village(tmp_path_factory):
    """A raster with 10 x 10 square houses, a long wall below them, and their footprints."""
    folder = tmp_path_factory.mktemp("village")
    labels = np.zeros((700, 640), np.int32)
    houses = []
    for k in range(100):
        row, col = 12 + (k // 10) * 61, 10 + (k % 10) * 62
        labels[row : row + SIDE, col : col + SIDE] = k + 1
        houses.append((row, col, row + SIDE, col + SIDE))
    labels[650:670, 20:620] = 500
    path = folder / "village.tif"
    pixels = np.moveaxis(labels_to_pixels(labels), -1, 0)
    with rasterio.open(
        path, "w", driver="GTiff", width=640, height=700, count=3, dtype="uint8", crs=CRS,
        transform=TRANSFORM, photometric="RGB",
    ) as file:  # fmt: skip
        file.write(pixels)
    return path, houses


def ground(box):
    row0, col0, row1, col1 = box
    (x0, y0), (x1, y1) = TRANSFORM @ (col0, row1), TRANSFORM @ (col1, row0)
    return shapely.box(x0, y0, x1, y1)


def layer_of(folder, shapes, crs=CRS, name="prompts.gpkg", **columns):
    path = folder / name
    gpd.GeoDataFrame(columns, geometry=list(shapes), crs=CRS).to_crs(crs).to_file(path)
    return str(path)


def parameters(village, prompts, output, **more):
    return SegmentParameters(rasters=[str(village[0])], output=str(output), prompts=prompts, **more)


def run(params, model=None, **more):
    make = partial(oracle) if model is None else lambda: model
    with pytest.warns() if more.pop("warns", False) else _quiet():
        return jobs.run(params, model=make, cached=False, **more)


def _quiet():
    import contextlib

    return contextlib.nullcontext()


def ious(features, shapes):
    return [
        a.intersection(b).area / a.union(b).area
        for a, b in zip(features.geometry, shapes, strict=True)
    ]


@pytest.mark.parametrize("prompt_as", ["box", "mask", "box+mask", "point"])
def test_one_polygon_a_footprint_none_cut_at_window_borders(village, tmp_path, prompt_as):
    shapes = [ground(box) for box in village[1]]
    prompts = layer_of(tmp_path, shapes, name_of=[f"h{k}" for k in range(100)], floors=range(100))
    params = parameters(
        village, prompts, tmp_path / "out.gpkg", prompt_as=prompt_as, prompt_id="name_of",
        prompt_label="floors",
    )  # fmt: skip
    result = run(params)
    assert (result.features, result.warnings) == (100, [])
    features = gpd.read_file(result.output).sort_values("floors")
    assert list(features["prompt_id"]) == [f"h{k}" for k in range(100)]
    assert list(features["label"]) == [str(k) for k in range(100)]
    assert min(ious(features, shapes)) >= 0.97
    assert features["id"].is_unique
    assert set(features["model"]) == {"oracle"}
    assert features["area_m2"].to_numpy() == pytest.approx(400, rel=0.03)
    assert not (tmp_path / "out.gpkg.job").exists()


def test_device_threads_and_number_type_reach_the_model(village, tmp_path, monkeypatch):
    asked = []

    def load(*given):
        asked.append(given)
        return oracle()

    monkeypatch.setattr("samgeo_core.models.load.load_model", load)
    prompts = layer_of(tmp_path, [ground(village[1][0])])
    params = parameters(
        village, prompts, tmp_path / "out.gpkg", model="sam-vit-b", device="cpu", threads=2,
        precision="bfloat16",
    )  # fmt: skip
    assert jobs.run(params, cached=False).features == 1
    assert set(asked) == {("sam-vit-b", "cpu", 2, "bfloat16")}


def test_points_in_another_crs_and_an_object_longer_than_windows(village, tmp_path):
    places = [*(ground(box).centroid for box in village[1][:7]), ground((660, 300, 660, 300))]
    places = [shapely.Point(shape.centroid) for shape in places]
    prompts = layer_of(tmp_path, places, crs="EPSG:4326")
    result = run(parameters(village, prompts, tmp_path / "out.gpkg"))
    features = gpd.read_file(result.output).sort_values("area_m2")
    assert len(features) == 8
    wall = features.iloc[-1]
    truth = ground((650, 20, 670, 620))
    assert wall.geometry.intersection(truth).area / wall.geometry.union(truth).area >= 0.97
    assert wall["tiles"] > 5
    assert wall["prompt_id"] == "8"  # the feature's id
    assert set(features["prompt_type"]) == {"point"}


def test_lines_run_along_objects(village, tmp_path):
    chosen = [ground(village[1][k]) for k in (3, 44)]
    lines = [
        shapely.LineString([(s.bounds[0] + 4, s.bounds[1] + 4), (s.bounds[2] - 4, s.bounds[3] - 4)])
        for s in chosen
    ]
    wall = ground((650, 20, 670, 620))
    y = wall.centroid.y
    along = shapely.LineString([(wall.bounds[0] + 140, y), (wall.bounds[0] + 160, y)])
    broken = shapely.MultiLineString([lines[0], shapely.reverse(lines[0])])
    prompts = layer_of(tmp_path, [*lines, along, broken], code=range(4))
    result = run(parameters(village, prompts, tmp_path / "out.gpkg", prompt_id="code"))
    features = gpd.read_file(result.output, layer="out").sort_values("prompt_id")
    assert set(features["prompt_type"]) == {"stroke"}
    assert min(ious(features, [*chosen, wall, chosen[0]])) >= 0.97


@pytest.mark.parametrize("prompt_as", ["mask", "box+mask", "point"])
def test_all_parts_of_a_polygon_are_asked_with(village, tmp_path, prompt_as):
    houses = [ground(village[1][k]) for k in (44, 45)]
    model = oracle()
    prompts = layer_of(tmp_path, [shapely.MultiPolygon(houses)])
    params = parameters(village, prompts, tmp_path / "out.gpkg", prompt_as=prompt_as)
    assert run(params, model).features == 1
    asked = model.asked[0]
    if prompt_as == "point":
        assert asked.points.shape == (1, 2, 2)
        found = gpd.read_file(tmp_path / "out.gpkg", layer="out")
        assert min(ious(found, [shapely.union_all(houses)])) >= 0.97
    else:
        assert (asked.masks > 0).sum() == pytest.approx(2 * (SIDE / 2) ** 2, rel=0.15)


def test_a_line_is_no_box_whatever_its_crs(village, tmp_path):
    house = ground(village[1][0])
    x, y = house.centroid.x, house.centroid.y
    flat = shapely.transform(
        shapely.LineString([(x - 3, y), (x + 3, y)]), lambda xy: xy + np.array([[0, 0], [0, 1e-7]])
    )
    prompts = layer_of(tmp_path, [house, flat], code=["house", "flat"])
    params = parameters(village, prompts, tmp_path / "out.gpkg", prompt_as="box", prompt_id="code")
    result = run(params, warns=True)
    assert (result.features, len(result.warnings)) == (1, 1)
    assert result.warnings[0] == "Prompt flat: its box has no area."


def test_weak_answers_are_left_out_and_named(village, tmp_path):
    prompts = layer_of(tmp_path, [ground(box) for box in village[1][:3]], code=["a", "b", "c"])
    params = parameters(village, prompts, tmp_path / "out.gpkg", prompt_id="code", min_score=0.96)
    result = run(params, warns=True)
    assert result.features == 0
    assert [w.split(":")[0] for w in result.warnings] == ["Prompt a", "Prompt b", "Prompt c"]


def test_a_window_is_encoded_once_and_its_prompts_are_decoded_together(village, tmp_path):
    prompts = layer_of(tmp_path, [ground(box) for box in village[1]])
    model = oracle()
    run(parameters(village, prompts, tmp_path / "out.gpkg"), model)
    assert model.encoded <= 11 * 11
    assert model.calls < 250
    assert max(len(asked) for asked in model.asked) > 1


def test_prompts_that_cannot_be_answered_are_named_one_by_one(village, tmp_path):
    shapes = [
        ground(village[1][0]),
        shapely.box(0, 0, 10, 10),
        ground((640, 625, 648, 635)),
        shapely.Polygon(),
    ]
    prompts = layer_of(tmp_path, shapes, code=["a", "far", "nothing", "empty"])
    params = parameters(village, prompts, tmp_path / "out.gpkg", prompt_id="code")
    result = run(params, warns=True)
    assert result.features == 1
    assert [w.split(":")[0] for w in result.warnings] == [
        "Prompt far",
        "Prompt empty",
        "Prompt nothing",
    ]


def test_a_stopped_job_goes_on_where_it_was(village, tmp_path, monkeypatch):
    monkeypatch.setattr("samgeo_core.jobs.prompts.BATCH", 10)
    prompts = layer_of(tmp_path, [ground(box) for box in village[1]], code=range(100))
    params = parameters(village, prompts, tmp_path / "out.gpkg", prompt_id="code")
    first = oracle()
    finished = tmp_path / "out.gpkg.job" / "features"
    with pytest.raises(Cancelled):
        run(params, first, cancelled=lambda: len(list(finished.glob("*.parquet"))) >= 3)
    assert not (tmp_path / "out.gpkg").exists()
    assert 30 <= first.decoded < 60
    second = oracle()
    result = run(params, second)
    assert result.features == 100
    whole = oracle()
    straight = run(parameters(village, prompts, tmp_path / "b.gpkg", prompt_id="code"), whole)
    assert second.decoded < whole.decoded
    assert gpd.read_file(result.output).equals(gpd.read_file(straight.output))


def far_apart(tmp_path, count=64, side=128):
    """A raster of ``count`` windows of ``side`` pixels with an object and a prompt in each."""
    across = int(count**0.5)
    labels = np.zeros((across * side, across * side), np.int32)
    boxes = []
    for k in range(count):
        row, col = k // across * side + side // 2, k % across * side + side // 2
        labels[row - 8 : row + 8, col - 8 : col + 8] = k + 1
        boxes.append((col - 8, row - 8, col + 8, row + 8))
    path = tmp_path / "apart.tif"
    with rasterio.open(
        path, "w", driver="GTiff", height=labels.shape[0], width=labels.shape[1], count=3,
        dtype="uint8", crs="EPSG:32645", transform=Affine(1, 0, 5e5, 0, -1, 4e6),
    ) as file:  # fmt: skip
        file.write(np.moveaxis(labels_to_pixels(labels), -1, 0))
    shapes = [shapely.box(5e5 + a, 4e6 - d, 5e5 + c, 4e6 - b) for a, b, c, d in boxes]
    layer = tmp_path / "apart.gpkg"
    gpd.GeoDataFrame({"k": range(count)}, geometry=shapes, crs=32645).to_file(layer)
    return SegmentParameters(
        [str(path)], str(tmp_path / "out.gpkg"), prompts=str(layer), tile_size=128,
        stretch=[[0, 255]] * 3, simplify=0.0,
    )  # fmt: skip


def test_a_cancel_is_heard_within_a_batch_of_many_windows(tmp_path):
    model = OracleModel(mask_size=64, candidates=1)
    params = far_apart(tmp_path)
    with pytest.raises(Cancelled):
        jobs.run(params, model=lambda: model, cached=False, cancelled=lambda: model.encoded >= 5)
    assert model.encoded == 5, "64 windows are one batch; the sixth is not begun"
    assert jobs.run(params, model=lambda: model, cached=False).features == 64


@pytest.mark.parametrize("workers", [1, 2])
def test_a_model_is_loaded_once_per_process(tmp_path, workers):
    log = tmp_path / "loaded"
    params = replace(far_apart(tmp_path), workers=workers)
    jobs.run(params, model=partial(logged, str(log)), cached=False)
    pids = log.read_text().split()
    assert len(pids) == len(set(pids)) <= 1 + (workers if workers > 1 else 0)


def logged(path):
    with open(path, "a") as file:
        file.write(f"{os.getpid()}\n")
    return OracleModel(mask_size=64, candidates=1)


def test_a_batch_that_fails_twice_is_named_and_retried_at_the_next_run(tmp_path, monkeypatch):
    monkeypatch.setattr("samgeo_core.jobs.prompts.BATCH", 16)
    model = OracleModel(mask_size=64, candidates=1)
    params = far_apart(tmp_path)

    class Failing(OracleModel):
        def encode(self, images):
            if 20 <= self.encoded < 22:
                self.encoded += 1
                raise RuntimeError("out of luck")
            return super().encode(images)

    result = jobs.run(params, model=lambda: Failing(mask_size=64, candidates=1), cached=False)
    assert result.features == 48
    assert len(result.failed) == 1
    assert "out of luck" in result.failed[0]
    with pytest.raises(IncompleteError, match="Run the same job again"):
        result.raise_if_incomplete()
    again = jobs.run(params, model=lambda: model, cached=False)
    assert (again.features, again.failed, model.encoded) == (64, [], 16)
    assert not (tmp_path / "out.gpkg.job").exists()


def test_a_job_that_was_begun_otherwise_is_refused(village, tmp_path):
    prompts = layer_of(tmp_path, [ground(box) for box in village[1]])
    params = parameters(village, prompts, tmp_path / "out.gpkg")
    with pytest.raises(Cancelled):
        run(params, cancelled=lambda: (tmp_path / "out.gpkg.job/features").exists())
    with pytest.raises(JobError, match="prompts was"):
        run(parameters(village, prompts, tmp_path / "out.gpkg", prompt_as="point"))


@pytest.mark.parametrize("ending", ["", "|layername=prompts"])
def test_a_job_does_not_go_on_with_edited_prompts(village, tmp_path, ending):
    shapes = [ground(box) for box in village[1]]
    prompts = layer_of(tmp_path, shapes[:20])
    params = parameters(village, f"{prompts}{ending}", tmp_path / "out.gpkg")
    with pytest.raises(Cancelled):
        run(params, cancelled=lambda: (tmp_path / "out.gpkg.job/features").exists())
    layer_of(tmp_path, shapes[20:])
    with pytest.raises(JobError, match="prompts was"):
        run(params)


def test_wrong_layers_and_fields_are_refused_in_words(village, tmp_path):
    prompts = layer_of(tmp_path, [ground(village[1][0])], code=[1])
    for more, error, words in (
        ({"prompt_id": "no"}, ParameterError, "no field 'no': code"),
        ({"prompt_label": "geometry"}, ParameterError, "no field 'geometry': code"),
        ({"prompts": str(tmp_path / "none.gpkg")}, PromptError, "no such file"),
        ({"prompt_as": "sphere"}, ParameterError, "sphere"),
        ({"tile_size": 1000}, ParameterError, "multiple of 64"),
        ({"prompts_layer": "other"}, PromptError, "no layer 'other'; it has prompts"),
    ):
        wanted = {"prompts": prompts, **more}
        with pytest.raises(error, match=words):
            run(parameters(village, output=tmp_path / "out.gpkg", **wanted))
        assert not (tmp_path / "out.gpkg").exists()
    away = layer_of(tmp_path, [shapely.box(0, 0, 1, 1)], name="away.gpkg")
    with pytest.raises(PromptError, match="None of the 1 prompts"):
        run(parameters(village, away, tmp_path / "out.gpkg"))


def test_attributes_that_the_schema_has_itself_are_carried_under_another_name(village, tmp_path):
    prompts = layer_of(tmp_path, [ground(village[1][0])], score=[7], id=["x"], height=[3.5])
    result = run(parameters(village, prompts, tmp_path / "out.gpkg"))
    feature = gpd.read_file(result.output).iloc[0]
    assert (feature["prompt_score"], feature["height"]) == (7, 3.5)
    assert feature["score"] == pytest.approx(0.95)
    assert (feature["prompt_id"], feature["prompt_prompt_id"]) == ("1", "x")


def test_fields_keep_their_types_and_ids_all_their_digits(village, tmp_path):
    frame = typed([ground(box) for box in village[1][:4]], CRS, gap=2)
    prompts = save_typed(frame, tmp_path / "prompts.gpkg")
    result = run(
        parameters(
            village, prompts, tmp_path / "out.gpkg", prompt_id="cadastre", prompt_label="built"
        )
    )
    assert carried(types_of(result.output, "out"))
    assert set(values_of(result.output, "out")) == set(values_of(prompts, "prompts"))
    found = gpd.read_file(result.output)
    names = {"": ""} | {str(LARGE + k): "2020-01-02" for k in (0, 1, 3)}
    assert dict(zip(found["prompt_id"], found["label"].fillna(""), strict=True)) == names


def test_outlines_may_be_made_rectangular(village, tmp_path):
    houses = village[1]
    chosen = houses[:12]
    prompts = layer_of(tmp_path, [ground(house) for house in chosen])
    plain = parameters(village, prompts, tmp_path / "plain.gpkg")
    straight = replace(plain, output=str(tmp_path / "straight.gpkg"), outlines="rectangles")
    for params in (plain, straight):
        jobs.run(params, model=oracle, cached=False)
    before, after = (gpd.read_file(params.output).geometry for params in (plain, straight))
    assert len(after) == len(before) == len(chosen)
    for shape, house in zip(after, chosen, strict=True):
        assert shapely.get_num_coordinates(shape) == 5
        assert shape.area / shape.minimum_rotated_rectangle.area > 0.999
        true = ground(house)
        assert shape.intersection(true).area / shape.union(true).area > 0.9


def test_right_angles_end_where_the_raster_ends(tmp_path):
    house = shapely.affinity.rotate(shapely.box(-6, 60, 60, 96), 20)
    labels = rasterize([house], (256, 256), dtype="int32")
    path = tmp_path / "house.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=256, height=256, count=3, dtype="uint8", crs=CRS,
        transform=TRANSFORM, photometric="RGB",
    ) as file:  # fmt: skip
        file.write(np.moveaxis(labels_to_pixels(labels), -1, 0))
    prompts = layer_of(tmp_path, [ground((60, 0, 100, 50))])
    params = parameters((path, []), prompts, tmp_path / "out.gpkg", outlines="rectangles")
    (shape,) = gpd.read_file(run(params).output).geometry
    assert shapely.get_num_coordinates(shape) < 8
    assert shape.bounds[0] == TRANSFORM.c


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("outlines", "centerlines"),
        ("shapes", "coverage"),
        ("mode", "flat"),
        ("margin", 64),
        ("points_per_side", 16),
    ],
)
def test_options_that_do_not_go_with_prompts_are_refused(village, tmp_path, option, value):
    prompts = layer_of(tmp_path, [ground(village[1][0])])
    params = parameters(village, prompts, tmp_path / "out.gpkg", **{option: value})
    with pytest.raises(ParameterError, match=f"{option} {value}"):
        jobs.run(params, model=oracle, cached=False)
    assert not (tmp_path / "out.gpkg").exists()
