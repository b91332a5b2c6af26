# SPDX-License-Identifier: GPL-2.0-or-later
"""A job's scale: chosen once from the ground resolution, the same in every window."""

import shutil
from dataclasses import replace
from types import SimpleNamespace

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS
from rasterio.enums import Resampling
from samgeo_core.errors import ParameterError, RasterError, SamGeoWarning
from samgeo_core.interactive.windows import Level
from samgeo_core.job import OpenParameters, SegmentParameters
from samgeo_core.jobs import scale as scale_module
from samgeo_core.jobs.make_segmenter import make_segmenter
from samgeo_core.jobs.prompts import cell_for
from samgeo_core.jobs.run import run
from samgeo_core.jobs.scale import has_scales, pixel_metres, scale_for, scaled, typical_side
from samgeo_core.models.base import Proposals
from samgeo_core.models.catalogue import EMBEDDED_WEIGHTS
from samgeo_core.models.embedded.load import load_embedded
from samgeo_core.models.embedded.scale import SMALL_OBJECT
from samgeo_core.raster.raster import open_raster
from samgeo_core.testing.painted import PaintedModel
from samgeo_core.worker.job_methods import Context
from samgeo_core.worker.session_methods import Engine


def raster(crs, pixel, x=500_000.0, y=6_000_000.0):
    return SimpleNamespace(
        crs=None if crs is None else CRS.from_user_input(crs),
        transform=Affine(pixel, 0, x, 0, -pixel, y),
        height=100,
        width=100,
    )


def test_a_pixel_is_measured_in_metres_whatever_the_crs():
    # The scale of UTM is 0.9996 on its central meridian.
    assert pixel_metres(raster("EPSG:32632", 10.0)) == pytest.approx(10 / 0.9996)
    feet = pixel_metres(raster("EPSG:2263", 1.0, 984_000.0, 200_000.0))
    assert feet == pytest.approx(0.3048, rel=1e-3)
    degrees = pixel_metres(raster("EPSG:4326", 1e-6, 85.0, 27.6))
    assert degrees == pytest.approx(0.11 * np.sqrt(np.cos(np.radians(27.6))), rel=0.02)
    assert pixel_metres(raster(None, 1.0)) is None


def test_a_pixel_is_measured_on_the_ground_where_a_maps_scale_is_not_one():
    # 0.5 units of Web Mercator at 60 degrees are 0.25 m, as at the same place in UTM.
    mercator = raster("EPSG:3857", 0.5, 1_113_000.0, 8_399_737.0)
    assert pixel_metres(mercator) == pytest.approx(0.25, rel=5e-3)
    assert scale_for(None, mercator, content=False) == 1
    grads = pixel_metres(raster("EPSG:4807", 1e-6, 0.0, 50.0))  # 45 degrees
    assert grads == pytest.approx(0.1 * np.sqrt(np.cos(np.radians(45))), rel=5e-3)
    feet = pixel_metres(raster('LOCAL_CS["site",UNIT["foot",0.3048]]', 2.0, 0.0, 0.0))
    assert feet == pytest.approx(0.6096)


def test_pixels_of_nominal_size_have_one_scale_over_a_whole_zone():
    for x in (166_000.0, 500_000.0, 834_000.0):
        assert scale_for(None, raster("EPSG:32632", 0.4, x, 10_000.0), content=False) == 2
        assert scale_for(None, raster("EPSG:32632", 0.3, x, 10_000.0), content=False) == 1


def test_what_was_asked_for_is_taken_and_else_what_suits_the_ground():
    assert scale_for(0.5, raster("EPSG:32632", 10.0)) == 0.5
    assert scale_for(None, raster("EPSG:32632", 10.0), content=False) == 2
    assert scale_for(None, raster("EPSG:32632", 0.1), content=False) == 1


def test_models_without_a_choice_refuse_a_scale():
    model = PaintedModel()
    assert scaled(model, 2.0, None) is model
    with pytest.raises(ParameterError, match="scale"):
        scaled(model, 2.0, 2.0)


def test_windows_of_any_size_have_cells_of_the_same_size():
    for scale, cell in ((1.0, 2), (2.0, 1)):
        segmenter = make_segmenter(SegmentParameters(["a.tif"], "b.gpkg", scale=scale))
        assert {segmenter.cell_size(size) for size in (256, 512, 768, 1024, 2048)} == {cell}


def test_prompt_jobs_have_windows_of_the_models_own_size_at_its_scale():
    model = load_embedded("cpu")
    assert cell_for(model, None, (300, 300)) == 2
    assert cell_for(model.scaled(2), 512, (3000, 3000)) == 1
    with pytest.raises(ParameterError, match="scale"):
        cell_for(model, 512, (3000, 3000))


def test_a_session_that_zooms_in_magnifies_by_its_level_not_by_its_window():
    model = load_embedded("cpu")
    source = SimpleNamespace(shape=(3000, 3000), transform=Affine.identity())
    near = Level(source, model, None, -1)
    assert near.model.info == model.scaled(2).info
    assert near.lattice.cell == 1
    assert Level(source, model, None, 0).model is model


def test_a_map_says_classes_and_can_be_asked_for_one(tmp_path):
    rng = np.random.default_rng(3)
    image = rng.normal((90, 120, 70), 6, (256, 256, 3))
    for row, col in ((30, 40), (120, 60), (60, 170), (180, 180)):
        image[row : row + 40, col : col + 36] = rng.normal((200, 90, 70), 6, (40, 36, 3))
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", width=256, height=256, count=3, dtype="uint8",
        crs="EPSG:32645", transform=Affine(0.2, 0, 351_000, 0, -0.2, 3_057_000),
    ) as file:  # fmt: skip
        file.write(image.clip(0, 255).astype(np.uint8).transpose(2, 0, 1))

    def found(name, **options):
        output = str(tmp_path / name)
        result = run(SegmentParameters([str(tmp_path / "a.tif")], output, threads=1, **options))
        assert result.scale == options.get("scale", 1.0)
        return gpd.read_file(output)

    everything = found("all.fgb")
    assert len(everything) >= 4
    assert everything["class_prob"].between(0.1, 1).all()
    buildings = found("buildings.fgb", classes=["building"])
    assert set(buildings["class"]) == {"building"}
    assert len(buildings) == (everything["class"] == "building").sum()
    cover = found("cover.fgb", shapes="coverage").set_index("id")
    same = everything.set_index("id").loc[cover.index]
    assert len(cover) >= 4
    for name in ("class", "class_prob"):
        assert list(cover[name]) == list(same[name])
    assert len(found("near.fgb", scale=2.0)) >= 4
    with pytest.warns(SamGeoWarning, match=r"no mask of the class vehicle .* leave classes"):
        assert found("vehicles.fgb", classes=["vehicle"]).empty
    assert "class" not in found("grid.fgb", proposals="grid", points_per_side=4).columns
    says = r"classes building goes .* leave proposals grid out, or leave classes out"
    with pytest.raises(ParameterError, match=says):
        found("both.fgb", proposals="grid", classes=["building"])
    with pytest.raises(ParameterError, match="castle"):
        found("castle.fgb", classes=["castle"])


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The sample scene at half of its size, with pixels that are said to have 30 cm."""
    with rasterio.open("sample_data/town.tif") as source:
        shape = (3, source.height // 2, source.width // 2)
        pixels = source.read([1, 2, 3], out_shape=shape, resampling=Resampling.average)
        crs, corner = source.crs, source.transform
    profile = {"driver": "GTiff", "count": 3, "height": shape[1], "width": shape[2], "crs": crs}
    transform = Affine(0.3, 0, corner.c, 0, -0.3, corner.f)
    path = tmp_path_factory.mktemp("small") / "small.tif"
    with rasterio.open(path, "w", **profile, dtype="uint8", transform=transform) as out:
        out.write(pixels)
    return path


def test_a_raster_of_small_objects_is_magnified_more(small):
    with open_raster("sample_data/town.tif") as usual, open_raster(str(small)) as half:
        assert scale_for(None, usual) == scale_for(None, usual, content=False) == 1
        assert scale_for(None, half, content=False) == 1
        assert typical_side(half, 1.0) < SMALL_OBJECT < typical_side(usual, 1.0)
        assert scale_for(None, half) == 2
        assert scale_for(1.0, half) == 1


def test_proposals_that_are_not_sure_say_nothing_of_the_scale(monkeypatch):
    points = np.full((60, 2), 9.0, np.float32)
    boxes = np.zeros((60, 4), np.float32)
    boxes[:40, 2:], boxes[40:, 2:] = 80.0, 10.0
    depth = np.where(np.arange(60) < 20, 0.9, 0.55).astype(np.float32)
    depth[40:] = 0.45  # small ones are proposed from a lower depth

    class Seeing:
        def scaled(self, _):
            return self

        def encode(self, images):
            return images

        def propose(self, _):
            return Proposals(points, boxes, depth)

    monkeypatch.setattr(scale_module, "_shipped", Seeing)
    with open_raster("sample_data/town.tif") as usual:
        assert typical_side(usual, 1.0) == 80
        depth[40:] = 0.55
        boxes[20:40, 2:] = 10.0
        assert typical_side(usual, 1.0) == 10


def test_a_job_and_a_session_take_the_same_scale(small, tmp_path):
    params = SegmentParameters([str(small)], str(tmp_path / "out.gpkg"))
    result = run(params)
    assert result.scale == 2
    assert result.features > 1.5 * run(replace(params, scale=1.0, overwrite=True)).features
    quiet = Context(lambda: None, lambda *_: None, lambda *_: None)
    opened, _ = Engine()._opened_for(OpenParameters([str(small)], "embedded"), quiet)
    assert opened.model.scale == 2
    opened.session.close()


def test_a_saved_classifier_brings_its_scale(small, tmp_path):
    examples = tmp_path / "examples.gpkg"
    params = SegmentParameters([str(small)], str(tmp_path / "all.gpkg"), scale=1.0)
    run(params)
    found = gpd.read_file(tmp_path / "all.gpkg")
    found["kind"] = np.where(found["class"] == "building", "house", "none")
    found[["kind", "geometry"]].iloc[:60].to_file(examples)
    saved = tmp_path / "houses.samgeo-classes"
    learned = replace(
        params, examples=str(examples), class_field="kind", save_classifier=str(saved),
        output=str(tmp_path / "a.gpkg"),
    )  # fmt: skip
    run(learned)
    with open_raster(str(small)) as raster:
        assert scale_for(None, raster, classifier=str(saved)) == 1
    again = SegmentParameters([str(small)], str(tmp_path / "b.gpkg"), classifier=str(saved))
    result = run(again)
    assert result.scale == 1
    assert result.features


def test_only_networks_of_the_embedded_kind_have_scales(tmp_path):
    assert has_scales("embedded")
    assert not has_scales("sam-vit-b")
    assert not has_scales(str(tmp_path / "missing.safetensors"))
    shutil.copy(EMBEDDED_WEIGHTS, tmp_path / "mine.safetensors")
    assert has_scales(str(tmp_path / "mine.safetensors"))


def test_a_raster_that_cannot_be_looked_at_keeps_the_scale_of_its_ground(small):
    with open_raster(str(small)) as half:
        half.read = lambda box: (_ for _ in ()).throw(RasterError("a block is damaged"))
        assert scale_for(None, half) == 1
