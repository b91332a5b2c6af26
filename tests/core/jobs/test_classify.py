# SPDX-License-Identifier: GPL-2.0-or-later
from dataclasses import replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
from affine import Affine
from samgeo_core import segment
from samgeo_core.classes.rules import Rule, parse_rule
from samgeo_core.errors import JobError, OutputError, ParameterError, PromptError, SamGeoWarning
from samgeo_core.job import ClassifyParameters
from samgeo_core.jobs import folder as jobs
from samgeo_core.jobs.classes.class_layer import ruled
from samgeo_core.jobs.classes.classify import classify_layer
from samgeo_core.masks.job_folder import JobFolder
from samgeo_core.models import load
from samgeo_core.raster.raster import open_raster

from ..classes.world import (
    ShuffledExecutor,
    mobile_sam,
    polygon,
    sam2,
    squares,
    write_points,
    write_world,
)
from ..layers.typed_fields import carried, save_typed, typed, types_of, values_of


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    raster, layer = write_world(folder)
    chosen = [s for s in squares() if s[0] == "roof"][:3] + [
        s for s in squares() if s[0] == "field"
    ][:3]
    chosen.append(("", 340, 240, 30))
    points = write_points(folder / "points.gpkg", chosen, "EPSG:4326")
    return folder, raster, layer, points


@pytest.fixture(autouse=True)
def _no_shared_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SAMGEO_CACHE_DIR", str(tmp_path / "cache"))


def parameters(world, output, **options):
    _, raster, layer, points = world
    values = {
        "input": str(layer),
        "rasters": [str(raster)],
        "output": str(output),
        "examples": str(points),
        "class_field": "kind",
        "tile_size": 192,
        "margin": 32,
        **options,
    }
    return ClassifyParameters.from_dict(values)


def test_the_short_names_of_a_shapefile_that_was_written_here_are_known(world, tmp_path):
    with pytest.warns(SamGeoWarning, match="perimeter_m -> perim_m, prompt_type -> prompt_typ"):
        classify_layer(parameters(world, tmp_path / "one.shp"), factory=mobile_sam)
    again = parameters(world, tmp_path / "two.gpkg", input=str(tmp_path / "one.shp"))
    classify_layer(again, factory=mobile_sam)
    found = gpd.read_file(tmp_path / "two.gpkg", layer="two")
    assert list(found.columns).count("perimeter_m") == 1
    assert not {"perim_m", "prompt_typ"} & {*found.columns}


@pytest.mark.parametrize("factory", [mobile_sam, sam2])
def test_every_object_gets_its_class_once_with_any_model_family(world, tmp_path, factory):
    result = classify_layer(parameters(world, tmp_path / "out.gpkg"), factory=factory)
    found = gpd.read_file(tmp_path / "out.gpkg", layer="out")
    assert result.features == len(found) == len(squares())  # no double, nothing on bare ground
    assert (found["class"] == found["truth"]).mean() > 0.95
    assert found["class_prob"].between(0.5, 1).all()
    assert (found["score"] == 0.9).all()  # of a whole and its double the whole stays
    assert not list(tmp_path.glob("*.job"))


def test_the_same_bytes_for_shuffled_tiles_and_two_workers(world, tmp_path, monkeypatch):
    outputs = []
    for name, workers, executor in (
        ("one", 1, None),
        ("two", 2, None),
        ("shuffled", 1, ShuffledExecutor()),
    ):
        if executor is not None:
            monkeypatch.setattr(jobs, "make_executor", lambda *_, e=executor: e)
        path = tmp_path / name / "out.gpkg"
        path.parent.mkdir()
        classify_layer(parameters(world, path, workers=workers), factory=mobile_sam)
        outputs.append(path.read_bytes())
    assert outputs[0] == outputs[1] == outputs[2]


def test_objects_may_be_kept_all_with_an_empty_class_for_the_others(world, tmp_path):
    classify_layer(parameters(world, tmp_path / "out.gpkg", keep="all"), factory=mobile_sam)
    found = gpd.read_file(tmp_path / "out.gpkg", layer="out")
    assert len(found) == 2 * len(squares()) + 1
    assert (found["class"].fillna("") == "").sum() == len(squares()) + 1


def test_the_places_of_examples_on_no_object_are_said(world, tmp_path):
    points = write_points(tmp_path / "points.gpkg", [*squares()[:8], ("roof", 30, 60, 12)])
    asked = parameters(world, tmp_path / "out.gpkg", examples=str(points))
    notes = classify_layer(asked, factory=mobile_sam).warnings
    x, y = polygon(30, 60, 12).centroid.coords[0]
    assert any(note.endswith(f"raster's CRS: roof at {x:.2f},{y:.2f}.") for note in notes)
    notes = classify_layer(parameters(world, tmp_path / "b.gpkg"), factory=mobile_sam).warnings
    assert not any("on no object" in note for note in notes)


def test_examples_without_a_counterexample_are_said(world, tmp_path):
    points = write_points(tmp_path / "points.gpkg", squares()[:8])
    asked = parameters(world, tmp_path / "out.gpkg", examples=str(points))
    notes = classify_layer(asked, factory=mobile_sam).warnings
    (said,) = [note for note in notes if "No example shows what belongs to none" in note]
    assert "class_prob that may be far too high" in said
    assert "in unlike" in said
    notes = classify_layer(parameters(world, tmp_path / "b.gpkg"), factory=mobile_sam).warnings
    assert not any("No example" in note for note in notes)


def test_heights_that_are_not_carried_over_are_said_once(world, tmp_path):
    layer = gpd.read_file(world[2])
    layer.set_geometry(shapely.force_3d(layer.geometry, 512.5)).to_file(tmp_path / "tall.gpkg")
    params = parameters(world, tmp_path / "out.gpkg", input=str(tmp_path / "tall.gpkg"))
    notes = classify_layer(params, factory=mobile_sam).warnings
    heights = f"The heights (Z) of {len(layer)} features of"
    assert sum(note.startswith(heights) for note in notes) == 1
    flat = classify_layer(parameters(world, tmp_path / "flat.gpkg"), factory=mobile_sam)
    assert not any("heights" in note for note in flat.warnings)


def test_fields_keep_their_types_and_values_beside_objects_that_were_drawn(world, tmp_path):
    layer = gpd.read_file(world[2])
    shapes = list(layer.geometry)
    given = save_typed(typed(shapes, layer.crs, 1, score=layer["score"]), tmp_path / "in.gpkg")
    examples = gpd.read_file(world[3]).to_crs(layer.crs)
    drawn = gpd.GeoDataFrame(
        {"kind": ["roof"]}, geometry=[polygon(30, 60, 12)], crs=layer.crs
    )  # on ground between the squares
    pd.concat([examples, drawn]).to_crs("EPSG:4326").to_file(tmp_path / "examples.gpkg")
    params = parameters(
        world, tmp_path / "out.gpkg", input=given, examples=str(tmp_path / "examples.gpkg"),
        keep="all",
    )  # fmt: skip
    classify_layer(params, factory=mobile_sam)
    assert carried(types_of(tmp_path / "out.gpkg", "out"))
    found = values_of(tmp_path / "out.gpkg", "out")
    assert found == [*values_of(given, "in"), (None,) * 4]


def test_a_class_that_the_layer_has_already_goes_on_unless_an_earlier_run_said_it(world, tmp_path):
    mine = tmp_path / "mine.gpkg"
    gpd.read_file(world[2]).assign(Class="mine").to_file(mine)
    for name, given in (("first", mine), ("second", tmp_path / "first.gpkg")):
        params = parameters(world, tmp_path / f"{name}.gpkg", input=str(given))
        notes = classify_layer(params, factory=mobile_sam).warnings
        assert any("Class is called old_Class" in note for note in notes) == (name == "first")
        found = gpd.read_file(tmp_path / f"{name}.gpkg", layer=name)
        assert (found["class"] == found["truth"]).mean() > 0.95
        assert (found["old_Class"] == "mine").all()
        assert "old_class" not in found.columns


@pytest.mark.parametrize("own", [{"area_m2": "plot 77"}, {"perim_m": 4.0}])
def test_a_layer_with_classes_may_lack_sizes_or_have_others_of_that_name(world, tmp_path, own):
    mine = tmp_path / "mine.gpkg"
    gpd.read_file(world[2]).assign(**{"class": "roof", "class_prob": 1.0, **own}).to_file(mine)
    params = parameters(world, tmp_path / "out.gpkg", input=str(mine))
    notes = classify_layer(params, factory=mobile_sam).warnings
    found = gpd.read_file(tmp_path / "out.gpkg", layer="out")
    assert (found["class"] == found["truth"]).mean() > 0.95
    assert (found[["area_m2", "perimeter_m"]] > 0).all(axis=None)
    ((name, value),) = own.items()
    renamed = name == "area_m2"
    assert (found[f"old_{name}" if renamed else name] == value).all()
    assert any("area_m2 is called old_area_m2" in note for note in notes) == renamed


def test_examples_where_the_raster_has_no_data_teach_nothing(world, tmp_path):
    half = tmp_path / "half.tif"
    with rasterio.open(world[1]) as file:
        image, profile = file.read(), {**file.profile, "nodata": 0}
    image[:, :, :200] = 0
    with rasterio.open(half, "w", **profile) as out:
        out.write(image)
    seen = {k: [s for s in squares() if s[0] == k and s[1] > 220][:3] for k in ("roof", "field")}
    lost = [s for s in squares() if s[0] == "roof" and s[1] < 150]
    options = {"rasters": [str(half)], "keep": "all"}

    def classes(name, marks):
        points = write_points(tmp_path / f"{name}.points.gpkg", [*marks, *seen["field"]])
        params = parameters(world, tmp_path / f"{name}.gpkg", examples=str(points), **options)
        notes = classify_layer(params, factory=mobile_sam).warnings
        return list(gpd.read_file(tmp_path / f"{name}.gpkg", layer=name)["class"]), notes

    found, notes = classes("mixed", seen["roof"] + lost)
    assert found == classes("seen", seen["roof"])[0]
    assert any(f"{len(lost)} of the" in note and "has no data" in note for note in notes)
    with pytest.raises(PromptError, match="No example of 'roof' lies on the raster's data"):
        classes("lost", lost)


def test_a_drawn_polygon_that_no_object_is_like_is_in_the_output_as_marked(world, tmp_path):
    frame = gpd.read_file(world[3]).to_crs("EPSG:32632")
    drawn = polygon(30, 60, 12)  # on ground between the squares
    more = gpd.GeoDataFrame({"kind": ["roof"]}, geometry=[drawn], crs=frame.crs)
    path = tmp_path / "examples.geojson"
    pd.concat([frame, more]).to_crs("EPSG:4326").to_file(path)
    classify_layer(parameters(world, tmp_path / "out.gpkg", examples=str(path)), factory=mobile_sam)
    found = gpd.read_file(tmp_path / "out.gpkg", layer="out")
    same = found[found.geometry.apply(lambda g: shapely.hausdorff_distance(g, drawn) < 1.0)]
    assert list(same["class"]) == ["roof"]
    assert list(same["class_prob"]) == [1.0]


def test_a_saved_classifier_gives_the_same_classes_and_another_model_is_refused(world, tmp_path):
    saved = tmp_path / "my.samgeo-classes"
    classify_layer(
        parameters(world, tmp_path / "a.gpkg", save_classifier=str(saved)), factory=mobile_sam
    )
    again = {"examples": None, "class_field": None, "classifier": str(saved)}
    classify_layer(parameters(world, tmp_path / "b.gpkg", **again), factory=mobile_sam)
    one, two = (gpd.read_file(tmp_path / f"{n}.gpkg", layer=n) for n in "ab")
    assert sorted(zip(one["id"], one["class"], strict=True)) == sorted(
        zip(two["id"], two["class"], strict=True)
    )
    with pytest.raises(PromptError, match="was trained with the model"):
        classify_layer(parameters(world, tmp_path / "c.gpkg", **again), factory=sam2)
    assert not (tmp_path / "c.gpkg").exists()
    kept = saved.read_bytes()
    other = parameters(world, tmp_path / "d.gpkg", save_classifier=str(saved))
    with pytest.raises(OutputError, match=r"my\.samgeo-classes exists already"):
        classify_layer(other, factory=sam2)
    assert saved.read_bytes() == kept


def test_a_classifier_of_one_half_is_right_on_the_other_and_on_another_raster(world, tmp_path):
    left = [s for s in squares() if s[1] < 150 and s[2] < 150]  # the upper left part
    points = write_points(tmp_path / "left.gpkg", [*left, ("", 340, 240, 30)])
    saved = tmp_path / "my.samgeo-classes"
    asked = {"examples": str(points), "save_classifier": str(saved)}
    classify_layer(parameters(world, tmp_path / "one.gpkg", **asked), factory=mobile_sam)
    one = gpd.read_file(tmp_path / "one.gpkg", layer="one")
    marked = gpd.read_file(points).geometry.union_all()
    rest = one[~one.geometry.intersects(marked)]
    assert len(rest) == len(squares()) - len(left)
    assert (rest["class"] == rest["truth"]).mean() > 0.95

    raster, layer = upside_down(world, tmp_path)
    other = world[0], raster, layer, points
    again = {"examples": None, "class_field": None, "classifier": str(saved)}
    classify_layer(parameters(other, tmp_path / "two.gpkg", **again), factory=mobile_sam)
    two = gpd.read_file(tmp_path / "two.gpkg", layer="two")
    assert len(two) >= 0.95 * len(squares())
    assert (two["class"] == two["truth"]).mean() > 0.95


def upside_down(world, folder):
    """Another raster of the same sensor: turned about, with noise of its own, somewhere else."""
    _, raster, layer, _ = world
    away = Affine.translation(0, -9_000)
    with rasterio.open(raster) as file:
        image, profile, bounds = file.read().astype(float), file.profile, file.bounds
    image = image[:, ::-1, ::-1] + np.random.default_rng(11).normal(0, 6, image.shape)
    profile.update(transform=away @ profile["transform"])
    with rasterio.open(folder / "other.tif", "w", **profile) as file:
        file.write(np.clip(image, 0, 255).astype("uint8"))
    turned = Affine(-1, 0, bounds.left + bounds.right, 0, -1, bounds.bottom + bounds.top)
    frame = gpd.read_file(layer)
    frame["geometry"] = frame.geometry.affine_transform((away @ turned).to_shapely())
    frame.to_file(folder / "other.gpkg")
    return folder / "other.tif", folder / "other.gpkg"


@pytest.mark.parametrize(
    ("marks", "says"),
    [
        ([("roof", 69, 15, 22)], "of one class"),
        (
            [("roof", 69, 15, 22), ("field", 69, 15, 22)],
            r"marked as field and as roof: .* The marks, .*: field at [\d.]+,[\d.]+; roof at [\d.]",
        ),
        ([("roof", 9000, 9000, 2), ("field", 9100, 9000, 2)], "lies on the raster"),
        ([("roof", 2, 2, 4), ("field", 2, 260, 4)], "lies on an object"),
    ],
)
def test_bad_examples_are_refused_in_a_sentence(world, tmp_path, marks, says):
    points = write_points(tmp_path / "bad.gpkg", marks)
    with pytest.raises(PromptError, match=says):
        classify_layer(
            parameters(world, tmp_path / "out.gpkg", examples=str(points)), factory=mobile_sam
        )
    assert not (tmp_path / "out.gpkg").exists()


def test_options_that_contradict_are_refused(world, tmp_path):
    out = tmp_path / "out.gpkg"
    for options, says in (
        ({"class_field": None}, "class_field"),
        ({"classifier": "x.samgeo-classes"}, "not both"),
        ({"save_classifier": "x.txt"}, "samgeo-classes"),
        ({"examples": None, "class_field": None}, "Say what the classes are"),
        ({"rules": ["roof: round"]}, "unknown part"),
    ):
        with pytest.raises(ParameterError, match=says):
            classify_layer(parameters(world, out, **options), factory=mobile_sam)


def test_rules_change_and_filter_by_class(world, tmp_path):
    rules = ["field: max-area=100", "roof: smooth=1"]
    classify_layer(parameters(world, tmp_path / "out.gpkg", rules=rules), factory=mobile_sam)
    found = gpd.read_file(tmp_path / "out.gpkg", layer="out")
    assert set(found["class"]) == {"roof"}  # fields have 289 m2
    assert (found["area_m2"] < 121).all()  # corners of 11 m squares are rounded
    assert np.allclose(found["area_m2"], found.geometry.area, rtol=2e-3)


@pytest.mark.parametrize("crs", ["EPSG:32632", "EPSG:3035", "EPSG:4326", None])
def test_right_angles_end_where_the_raster_ends_whatever_the_layers_crs(world, crs):
    with open_raster(str(world[1])) as raster:
        x, y = raster.transform @ (0, 100)
        house = shapely.affinity.rotate(shapely.box(x - 3, y, x + 21, y + 12), 20)
        seen = house.intersection(shapely.box(x, y - 60, x + 60, y + 60))
        frame = gpd.GeoDataFrame({"geometry": [seen]}, crs=raster.crs)
        frame = frame.to_crs(crs) if crs else frame.set_crs(None, allow_override=True)
        made = ruled(frame, [Rule(square=True)], raster)
    (shape,) = made.to_crs(raster.crs).geometry if crs else made.geometry
    assert not shape.equals(seen)
    assert shape.bounds[0] == pytest.approx(x, abs=0.01)
    assert shape.area == pytest.approx(seen.area, rel=0.05)


@pytest.mark.parametrize("kind", ["Int64", "Float64", "object"])
def test_rules_name_classes_that_are_numbers_and_features_may_have_none(world, kind):
    shapes = [polygon(col, 100, 20) for col in (20, 60, 100)]
    classes = pd.Series([1, None, 2], dtype="Int64").astype(kind)
    frame = gpd.GeoDataFrame({"class": classes}, geometry=shapes, crs="EPSG:32632")
    rules = [parse_rule(text) for text in ("square", "1: max-area=10", "3: square")]
    said = r"class '3' that .* the classes found are 1, 2\."
    with open_raster(str(world[1])) as raster, pytest.warns(SamGeoWarning, match=said):
        made = ruled(frame, rules, raster)
    assert made["class"].to_list() == [pd.NA, 2]


def test_a_layer_may_join_the_layer_that_it_is_made_from(world, tmp_path):
    both = tmp_path / "both.gpkg"
    both.write_bytes(Path(world[2]).read_bytes())
    before = gpd.read_file(both, layer="objects")
    asked = parameters(world, both, input=str(both), layer="classed")
    classify_layer(asked, factory=mobile_sam)
    assert gpd.read_file(both, layer="objects").equals(before)
    assert len(gpd.read_file(both, layer="classed")) == len(squares())


def test_a_job_that_was_killed_after_its_output_appeared_is_done(world, tmp_path, monkeypatch):
    monkeypatch.setattr(JobFolder, "remove", lambda self: None)  # as if it was killed before that
    asked = parameters(world, tmp_path / "out.gpkg")
    first = classify_layer(asked, factory=mobile_sam)
    monkeypatch.undo()
    written = (tmp_path / "out.gpkg").read_bytes()
    second = classify_layer(asked, factory=mobile_sam)
    assert replace(second, seconds=0.0) == replace(first, seconds=0.0)
    assert (tmp_path / "out.gpkg").read_bytes() == written
    assert not (tmp_path / "out.gpkg.job").exists()


def test_the_embedded_model_loaded_once_finds_all_like_a_few(world, tmp_path, monkeypatch):
    loads, load_model = [], load.load_model

    def counted(*given, **options):
        if given != ("embedded", "cpu"):  # that one looks how large the raster's objects are
            loads.append(given)
        return load_model(*given, **options)

    monkeypatch.setattr(load, "load_model", counted)
    _, raster, layer, _ = world
    frame = gpd.read_file(layer)
    whole = frame[frame["score"] == 0.9]
    whole[whole["truth"] == "roof"][:5].to_file(tmp_path / "roof.gpkg")
    whole[whole["truth"] == "field"][:5].to_file(tmp_path / "field.gpkg")
    like, unlike = ([str(tmp_path / f"{name}.gpkg")] for name in ("roof", "field"))
    segment(str(raster), tmp_path / "out.gpkg", like=like, unlike=unlike)
    assert len(loads) == 1
    found = gpd.read_file(tmp_path / "out.gpkg", layer="out")
    roofs = whole[whole["truth"] == "roof"].geometry
    hit = [found.geometry.intersection(r).area.max() / r.area > 0.7 for r in roofs]
    assert np.mean(hit) >= 0.8
    assert set(found["class"]) == {"roof"}


def test_no_candidate_gives_an_empty_layer_and_says_why(world, tmp_path):
    _, raster, _, points = world
    given = {"examples": str(points), "class_field": "kind", "points_per_side": 2}
    with pytest.warns(SamGeoWarning, match="min_score"):
        segment(str(raster), tmp_path / "out.gpkg", min_score=1.0, proposals="grid", **given)
    found = gpd.read_file(tmp_path / "out.gpkg", layer="out")
    assert not len(found)
    assert {"class", "class_prob"} <= set(found)


def test_examples_and_layer_are_never_the_output(world, tmp_path):
    layer, points = world[2:]
    own_points, own_layer = tmp_path / "points.gpkg", tmp_path / "layer.gpkg"
    own_points.write_bytes(Path(points).read_bytes())
    own_layer.write_bytes(Path(layer).read_bytes())
    before = own_points.read_bytes(), own_layer.read_bytes()
    given = {"examples": str(own_points), "input": str(own_layer), "overwrite": True}
    with pytest.raises(OutputError, match="is also a layer of examples"):
        classify_layer(parameters(world, own_points, **given), factory=mobile_sam)
    same = parameters(world, own_layer, layer="objects", **given)
    with pytest.raises(OutputError, match="is also the layer of objects"):
        classify_layer(same, factory=mobile_sam)
    assert (own_points.read_bytes(), own_layer.read_bytes()) == before
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "cache") == [
        "layer.gpkg",
        "points.gpkg",
    ]


def test_a_folder_with_other_files_is_never_taken_for_the_jobs(world, tmp_path):
    _, raster, _, points = world
    folder = tmp_path / "out.gpkg.job"
    folder.mkdir()
    (folder / "field notes.txt").write_text("mine")
    with pytest.raises(JobError, match="holds other files"):
        segment(
            raster,
            tmp_path / "out.gpkg",
            examples=str(points),
            class_field="kind",
            rules=["square"],
        )
    assert (folder / "field notes.txt").read_text() == "mine"
    assert not (tmp_path / "out.gpkg").exists()
