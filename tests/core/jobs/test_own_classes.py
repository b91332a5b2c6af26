# SPDX-License-Identifier: GPL-2.0-or-later
"""Maps without an example, of what the embedded model knows."""

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from samgeo_core.errors import ParameterError, SamGeoWarning
from samgeo_core.job import MapParameters
from samgeo_core.jobs import folder as jobs
from samgeo_core.jobs.classes.map_classes import map_classes
from samgeo_core.jobs.classes.own_classes import settled
from samgeo_core.masks.masks import Mask
from samgeo_core.models.embedded.classes import CLASSES
from samgeo_core.types import CellBox

from ..classes.world import ShuffledExecutor, mobile_sam


@pytest.fixture(autouse=True)
def _no_shared_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SAMGEO_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def town(tmp_path, sample_data):
    """A part of the sample scene: houses, two roads that cross, fields."""
    path = tmp_path / "town.tif"
    with rasterio.open(sample_data / "town.tif") as source:
        window = rasterio.windows.Window(0, 256, 640, 512)
        profile = {**source.profile, "width": 640, "height": 512}
        profile["transform"] = source.window_transform(window)
        with rasterio.open(path, "w", **profile) as file:
            file.write(source.read(window=window))
    return path


def of_town(town, output, **options):
    values = {"rasters": [str(town)], "output": str(output), "tile_size": 384, "margin": 64}
    return MapParameters.from_dict({**values, **options})


def truth_in(town, sample_data, layer):
    with rasterio.open(town) as file:
        frame = shapely.box(*file.bounds)
    found = gpd.read_file(sample_data / "town_truth.gpkg", layer=layer)
    return found[found.intersects(frame)], frame


def test_all_ground_in_the_classes_that_the_model_knows(town, tmp_path, sample_data):
    map_classes(of_town(town, tmp_path / "out.gpkg"))
    found = gpd.read_file(tmp_path / "out.gpkg", layer="out")
    houses, frame = truth_in(town, sample_data, "buildings")
    assert found.geometry.union_all().area == pytest.approx(frame.area, rel=1e-6)
    assert found.geometry.area.sum() == pytest.approx(frame.area, rel=1e-6)
    assert {"building", "road", "field"} <= set(found["class"]) <= set(CLASSES)
    roofs = found[found["class"] == "building"].union_all()
    true = houses.union_all().intersection(frame)
    assert roofs.intersection(true).area / roofs.union(true).area > 0.7
    only = of_town(town, tmp_path / "roofs.gpkg", classes=["building"])
    map_classes(only)
    kept = gpd.read_file(tmp_path / "roofs.gpkg", layer="roofs")
    assert set(kept["class"]) == {"building"}
    assert kept.union_all().equals(roofs)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"classes": ["water", "building"], "min_area": 5000.0},
            "No polygons: all ground of the class building is in pieces smaller than min_area "
            "5000 m2, which went to their neighbours. Lower it.",
        ),
        (
            {"classes": ["water", "vehicle"]},
            "No polygons: the model sees no ground of the class water or vehicle.",
        ),
        (
            {"shapes": "network", "road_class": "water"},
            "No lines: nothing is of the class water with a probability of 0.5 or more and at "
            "least 20 m long. Lower min_class_prob or min_length.",
        ),
    ],
)
def test_an_empty_layer_says_why(town, tmp_path, options, sentence):
    with pytest.warns(SamGeoWarning):
        result = map_classes(of_town(town, tmp_path / "out.gpkg", **options))
    assert result.features == 0
    assert result.warnings == [sentence]


@pytest.mark.parametrize(
    "options", [{}, {"classes": ["trees"], "min_area": 400.0}, {"shapes": "network"}]
)
def test_a_raster_without_data_is_said_to_have_none(tmp_path, options):
    raster = tmp_path / "empty.tif"
    transform = rasterio.Affine(0.5, 0, 352000, 0, -0.5, 3053000)
    with rasterio.open(
        raster, "w", driver="GTiff", height=64, width=64, count=3, dtype="uint8", nodata=0,
        crs="EPSG:32645", transform=transform,
    ) as file:  # fmt: skip
        file.write(np.zeros((3, 64, 64), np.uint8))
    with pytest.warns(SamGeoWarning):
        result = map_classes(of_town(raster, tmp_path / "out.gpkg", **options))
    begins = "No lines" if options.get("shapes") else "No polygons"
    assert result.warnings == [f"{begins}: the raster has no data."]


def test_roads_without_strokes_lie_on_roads(town, tmp_path, sample_data):
    map_classes(of_town(town, tmp_path / "out.gpkg", shapes="network"))
    found = gpd.read_file(tmp_path / "out.gpkg", layer="out")
    roads, frame = truth_in(town, sample_data, "roads")
    true = roads.union_all().intersection(frame)
    assert set(found["class"]) == {"road"}
    lines = found.union_all()
    assert lines.intersection(true.buffer(4)).length > 0.8 * lines.length
    assert true.intersection(lines.buffer(4)).length > 0.7 * true.length


def test_own_classes_give_the_same_bytes_for_shuffled_tiles_and_two_workers(
    town, tmp_path, monkeypatch
):
    outputs = []
    for name, workers in (("one", 1), ("two", 2), ("shuffled", 1)):
        if name == "shuffled":
            monkeypatch.setattr(jobs, "make_executor", lambda *_: ShuffledExecutor())
        path = tmp_path / name / "out.gpkg"
        path.parent.mkdir()
        map_classes(of_town(town, path, workers=workers))
        outputs.append(path.read_bytes())
    assert outputs[0] == outputs[1] == outputs[2]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"classes": ["house"]}, "knows no class 'house' .*building, road, water"),
        ({"shapes": "network", "road_class": "path"}, "knows no class 'path' "),
        (
            {"shapes": "network", "classes": ["building"]},
            "classes chooses among polygons; .* road_class",
        ),
        ({"road_class": "road"}, "road_class is the class whose lines .* shapes network"),
        ({"classes": ["building"], "like": ["strokes.gpkg"]}, "leave one of them out"),
        ({"save_classifier": "c.samgeo-classes"}, "needs examples"),
    ],
)
def test_what_own_classes_cannot_do_is_said(town, tmp_path, options, sentence):
    with pytest.raises(ParameterError, match=sentence):
        map_classes(of_town(town, tmp_path / "out.gpkg", **options))
    assert not (tmp_path / "out.gpkg").exists()


@pytest.mark.parametrize("shapes", ["network", "coverage"])
def test_a_model_without_classes_of_its_own_asks_for_examples(town, tmp_path, shapes):
    asked = of_town(town, tmp_path / "out.gpkg", shapes=shapes)
    with pytest.raises(
        ParameterError, match=r"knows no classes of its own.*choose the embedded model"
    ):
        map_classes(asked, factory=mobile_sam)


def test_cells_of_an_object_are_drawn_together():
    logits = np.zeros((2, 6, 6), np.float32)
    logits[0, 1:3, 1:5], logits[0, 1, 1] = 4.0, -4.0
    inside = np.full((4, 6), -1, np.int8)
    inside[1:3, 1:5] = 1
    box = CellBox(10, 20, 16, 26)
    mask = Mask(CellBox(10, 20, 14, 26), inside, 0.9, 0.9)
    found = settled(logits, box, 4, [mask], 4)
    mean = (7 * 4.0 - 4.0) / 8
    assert found[0, 1, 1] == pytest.approx((-4.0 + mean) / 2)
    assert found[0, 2, 4] == pytest.approx((4.0 + mean) / 2)
    assert (found[:, 4:] == 0).all()
    assert (found[1] == 0).all()
    # Map cells of twice the side take the mask's cell in which their centre lies.
    coarse = settled(logits[:, :3, :3], CellBox(5, 10, 8, 13), 8, [mask], 4)
    assert coarse.shape == (2, 3, 3)
    assert np.isfinite(coarse).all()


def test_a_map_without_examples_draws_objects_together(town, tmp_path, monkeypatch):
    from samgeo_core.jobs.classes import class_map

    seen = []

    def spied(logits, box, cell, masks, mask_cell):
        seen.append(len(masks))
        return settled(logits, box, cell, masks, mask_cell)

    monkeypatch.setattr(class_map, "settled", spied)
    map_classes(of_town(town, tmp_path / "out.gpkg"))
    assert seen
    assert min(seen) > 3
