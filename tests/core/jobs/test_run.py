# SPDX-License-Identifier: GPL-2.0-or-later
import os
import random
import signal
import subprocess
import sys
import threading
import time
import warnings
from dataclasses import replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyproj
import pytest
import rasterio
import shapely
from affine import Affine
from rasterio.features import rasterize
from samgeo_core.errors import (
    Cancelled,
    IncompleteError,
    JobError,
    ModelError,
    OutputError,
    ParameterError,
    SamGeoWarning,
)
from samgeo_core.job import SegmentParameters
from samgeo_core.jobs import run as pipeline
from samgeo_core.jobs.scenes.plan import plan
from samgeo_core.layers.publish import output_digest
from samgeo_core.parallel.cancellation import check
from samgeo_core.testing.bright import Bright
from samgeo_core.vectors.schema import FIELDS

from ..scenes import MARGIN, SIZE, TILE, SceneOracle, scene, write_raster


@pytest.fixture(scope="module")
def raster(tmp_path_factory):
    return write_raster(tmp_path_factory.mktemp("raster") / "scene.tif")


def job(raster, output, **options):
    values = {"tile_size": TILE, "margin": MARGIN, "layer": "objects", **options}
    return SegmentParameters([str(raster)], str(output), **values)


@pytest.fixture(scope="module")
def whole(raster, tmp_path_factory):
    """The undisturbed result."""
    output = tmp_path_factory.mktemp("whole") / "objects.gpkg"
    result = pipeline.run(job(raster, output, simplify=0.0), segmenter=SceneOracle())
    return output, result


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"shapes": "coverge"}, "shapes must be one of objects, coverage"),
        ({"outlines": "rectangle"}, "outlines must be one of"),
        ({"min_area": float("nan")}, "min_area must be a finite number"),
        ({"simplify": -1.0}, "simplify must be at least 0"),
        ({"repair": "no"}, "'repair' must be of type bool"),
        ({"bands": "123"}, "'bands' must be a list"),
        ({"extent": [1, 2, 3]}, "extent must have 4 numbers"),
        ({"stretch": [255, 0]}, "'stretch' must be a list"),
        ({"rasters": "town.tif"}, "'rasters' must be a list"),
    ],
)
@pytest.mark.parametrize("begin", [pipeline.run, plan])
def test_parameters_of_a_constructor_are_checked_before_any_tile(
    raster, tmp_path, begin, wrong, said
):
    asked = replace(job(raster, tmp_path / "a.gpkg"), **wrong)
    with pytest.raises(ParameterError, match=said):
        begin(asked, segmenter=SceneOracle())
    assert not list(tmp_path.iterdir())


def test_parameters_may_be_numbers_of_numpy_paths_and_crs_objects(raster, whole, tmp_path):
    given = job(raster, tmp_path / "a.gpkg", tile_size=np.int64(TILE), bands=(np.int64(1),) * 3)
    given = replace(given, rasters=[Path(raster)], crs=pyproj.CRS("EPSG:4326"))
    assert pipeline.run(given, segmenter=SceneOracle()).features == whole[1].features
    assert gpd.read_file(given.output, layer="objects").crs == "EPSG:4326"


def test_every_object_comes_back_once_and_whole(raster, whole):
    output, result = whole
    layer = gpd.read_file(output, layer="objects")
    things = scene().things
    assert result.features == len(layer) == len(things)
    assert layer.crs == "EPSG:32645"
    assert [name for name in layer.columns if name != "geometry"] == [f.name for f in FIELDS]
    assert layer.id.is_unique
    assert layer.is_valid.all()
    with rasterio.open(raster) as file:
        transform = file.transform
    remaining = {}
    for thing in things:
        key = (thing.box.row0, thing.box.col0, thing.box.row1, thing.box.col1, thing.mask.sum())
        remaining.setdefault(key, []).append(thing)
    for shape in layer.geometry:
        mask = rasterize([shape], (SIZE, SIZE), transform=transform).astype(bool)
        rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        key = (rows[0], cols[0], rows[-1] + 1, cols[-1] + 1, mask.sum())
        found = [t for t in remaining[key] if (mask[t.box.slices(BOUNDS)] == t.mask).all()]
        assert found, "a polygon is no object of the scene"
        remaining[key].remove(found[0])
    assert not any(remaining.values())


@pytest.mark.parametrize("workers", [2, 4])
def test_any_number_of_workers_writes_the_same_bytes(raster, whole, tmp_path, workers):
    output = tmp_path / "objects.gpkg"
    pipeline.run(job(raster, output, simplify=0.0, workers=workers), segmenter=SceneOracle())
    assert output.read_bytes() == whole[0].read_bytes()


RUN = """
import sys
from samgeo_core.jobs import run as pipeline
from samgeo_core.layers.publish import output_digest
from samgeo_core.job import SegmentParameters
from tests.core.scenes import MARGIN, TILE, SceneOracle
params = SegmentParameters([sys.argv[1]], sys.argv[2], tile_size=TILE, margin=MARGIN,
                           layer="objects", simplify=0.0, overwrite=True)
pipeline.run(params, segmenter=SceneOracle(slow=0.02))
"""


def test_a_job_killed_at_any_moment_goes_on_to_the_same_bytes(raster, whole, tmp_path):
    output = tmp_path / "objects.gpkg"
    command = [sys.executable, "-c", RUN, str(raster), str(output)]
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), *sys.path])}
    chance = random.Random(7)
    tiles = output.with_name("objects.gpkg.job") / "tiles"
    for _ in range(3):
        process = subprocess.Popen(command, env=environment, cwd=root)
        deadline = time.monotonic() + 60
        done = len(list(tiles.glob("*.npz"))) if tiles.exists() else 0
        while len(list(tiles.glob("*.npz"))) <= done and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.4))
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run(command, env=environment, cwd=root, check=True)
    assert output.read_bytes() == whole[0].read_bytes()
    assert [p.name for p in tmp_path.iterdir()] == ["objects.gpkg"]


def test_finished_tiles_are_not_segmented_again(raster, tmp_path):
    output = tmp_path / "objects.gpkg"
    seen = []

    class Counting(SceneOracle):
        def segment(self, image):
            seen.append(image.tile.index)
            return super().segment(image)

    steps = []

    def stop_after_three():
        return len(seen) >= 3

    with pytest.raises(Cancelled):
        pipeline.run(job(raster, output), segmenter=Counting(), cancelled=stop_after_three)
    assert not output.exists()
    first = list(seen)
    pipeline.run(job(raster, output), segmenter=Counting(), progress=steps.append)
    assert len(seen) == len(set(seen))
    assert len(first) >= 3
    assert next(s.done for s in steps if s.stage == "tiles") == len(first)
    assert not output.with_name("objects.gpkg.job").exists()


def test_a_job_is_cancelled_in_the_middle_of_a_tile_which_has_not_failed(raster, tmp_path):
    output = tmp_path / "objects.gpkg"
    entered: list = []

    class Long(SceneOracle):
        def segment(self, image):
            entered.append(image.tile.index)
            check()
            return super().segment(image)

    with pytest.raises(Cancelled):
        pipeline.run(job(raster, output), segmenter=Long(), cancelled=lambda: len(entered) == 3)
    assert len(entered) == 3, "it is not tried again"
    folder = output.with_name("objects.gpkg.job")
    assert len(list((folder / "tiles").glob("*.npz"))) == 2
    result = pipeline.run(job(raster, output), segmenter=SceneOracle())
    assert not result.failed
    assert result.features == len(scene().things)


def test_another_model_does_not_go_on_with_a_job(raster, tmp_path):
    output = tmp_path / "objects.gpkg"
    folder = str(tmp_path / "job")
    pipeline.run(job(raster, output, job_folder=folder), segmenter=SceneOracle())
    other = SceneOracle(fingerprint="scene 6")
    again = job(raster, output, job_folder=folder, overwrite=True)
    with pytest.raises(JobError, match="the model's weights or thresholds were others"):
        pipeline.run(again, segmenter=other)
    fresh = job(raster, output, job_folder=folder, overwrite=True, fresh=True)
    assert pipeline.run(fresh, segmenter=other).features == len(scene().things)


def test_a_failed_tile_is_named_and_retried_by_the_next_run(raster, whole, tmp_path):
    output = tmp_path / "objects.gpkg"
    params = job(raster, output, simplify=0.0)
    result = pipeline.run(params, segmenter=SceneOracle(broken="r00001_c00002"))
    assert result.failed == ["r00001_c00002: ValueError: this tile is too hard"]
    with pytest.raises(IncompleteError, match="r00001_c00002"):
        result.raise_if_incomplete()
    assert result.features > 0
    assert pipeline.run(params, segmenter=SceneOracle()).failed == []
    # The layer joined the file that was there: the same content, not the same file.
    assert output_digest(output, "objects") == output_digest(whole[0], "objects")


def test_a_segmenter_that_always_fails_is_an_error(raster, tmp_path):
    class Broken(SceneOracle):
        def segment(self, image):
            raise ModelError("no memory")

    with pytest.raises(ModelError, match=r"None of the .* tiles .*no memory"):
        pipeline.run(job(raster, tmp_path / "a.gpkg"), segmenter=Broken())
    assert not (tmp_path / "a.gpkg").exists()


def test_no_masks_make_an_empty_layer_with_the_right_schema(raster, tmp_path):
    class Blind(SceneOracle):
        def segment(self, image):
            return pipeline_masks(image)

    from samgeo_core.masks.masks import TileMasks

    def pipeline_masks(image):
        return TileMasks(image.tile.index, image.cell, ())

    output = tmp_path / "a.gpkg"
    result = pipeline.run(job(raster, output), segmenter=Blind())
    layer = gpd.read_file(output, layer="objects")
    assert result.features == len(layer) == 0
    assert [name for name in layer.columns if name != "geometry"] == [f.name for f in FIELDS]
    assert "oracle found nothing" in result.warnings[0]


def test_an_empty_layer_says_which_filter_left_all_out(raster, tmp_path):
    given = job(raster, tmp_path / "a.gpkg", min_area=1e9)
    result = pipeline.run(given, segmenter=SceneOracle())
    assert result.features == 0
    assert "left out by min_area 1e+09 m2" in result.warnings[0]


@pytest.mark.parametrize(
    "option",
    [
        *({"words": ["roof"]}, {"classes": ["building"]}, {"proposals": "grid"}),
        *({"points_per_side": 16}, {"min_score": 0.9}, {"min_stability": 0.9}),
        *({"model": "sam2.1-small"}, {"device": "cuda"}, {"precision": "bfloat16"}),
    ],
    ids=lambda option: next(iter(option)),
)
def test_what_a_segmenter_of_ones_own_would_pass_over_is_refused(option, raster, tmp_path):
    (name,) = option
    with pytest.raises(ParameterError, match=rf"leave out {name}|{name} .* nothing where a segm"):
        pipeline.run(job(raster, tmp_path / "a.gpkg", **option), segmenter=SceneOracle())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ({"min_class_prob": 0.9}, "min_class_prob 0.9 is about classes from examples"),
        ({"min_class_prob": 0.9, "words": ["roof"]}, "min_class_prob 0.9 is about"),
        ({"save_classifier": "a.samgeo-classes"}, "save_classifier needs examples"),
    ],
)
def test_what_the_embedded_model_would_pass_over_is_refused(option, says, raster, tmp_path):
    with pytest.raises(ParameterError, match=says):
        pipeline.run(job(raster, tmp_path / "a.gpkg", **option))
    assert not list(tmp_path.iterdir())


def test_a_density_of_points_that_the_embedded_model_passes_over_is_said(raster, tmp_path):
    result = pipeline.run(job(raster, tmp_path / "a.gpkg", points_per_side=16))
    said = [each for each in result.warnings if "points_per_side 16 was passed over" in each]
    assert len(said) == 1
    assert "proposals grid" in said[0]
    result = pipeline.run(job(raster, tmp_path / "b.gpkg", points_per_side=2, proposals="grid"))
    assert not any("passed over" in each for each in result.warnings)


@pytest.mark.parametrize(
    "option",
    [{}, {"shapes": "coverage"}, {"outlines": "centerlines"}, {"rules": ["min-area=1"]}],
    ids=str,
)
def test_a_tolerance_in_metres_is_refused_for_a_raster_in_degrees(option, tmp_path):
    place = rasterio.Affine(1e-6, 0, 85.5, 0, -1e-6, 27.6)
    path = write_raster(tmp_path / "degrees.tif", crs="EPSG:4326", transform=place)
    asked = job(path, tmp_path / "a.gpkg", simplify=0.5, **option)
    says = r"simplify 0\.5 is 500,000 pixels .*\(degrees\).* at most 0\.0002,"
    with pytest.raises(ParameterError, match=says):
        pipeline.run(asked, segmenter=SceneOracle())
    assert [p.name for p in tmp_path.iterdir()] == ["degrees.tif"]
    pipeline.run(replace(asked, simplify=1e-4), segmenter=SceneOracle())


def test_an_existing_output_is_refused_before_any_work(raster, tmp_path):
    output = tmp_path / "a.fgb"
    output.write_bytes(b"precious")
    with pytest.raises(OutputError, match="exists already"):
        pipeline.run(job(raster, output), segmenter=SceneOracle())
    assert output.read_bytes() == b"precious"
    assert [p.name for p in tmp_path.iterdir()] == ["a.fgb"]


class Complaining(SceneOracle):
    """Says something of each tile, as a segmenter of the user's own does it."""

    def segment(self, image):
        warnings.warn("Clouds were passed over.", SamGeoWarning, stacklevel=1)
        return super().segment(image)


@pytest.mark.parametrize("workers", [1, 2])
def test_what_an_own_segmenter_warns_of_is_in_the_result(raster, tmp_path, workers):
    asked = job(raster, tmp_path / "a.gpkg", workers=workers)
    with pytest.warns(SamGeoWarning) as shown:
        result = pipeline.run(asked, segmenter=Complaining())
    assert result.warnings == ["Clouds were passed over."]
    assert [str(one.message) for one in shown] == result.warnings


def test_an_extent_without_an_object_is_what_left_them_out(raster, tmp_path):
    one_pixel = [400_010.0, 3_000_000 - 10.3, 400_010.3, 3_000_000 - 10.0]
    with pytest.warns(SamGeoWarning, match=r"and all were left out by the extent\."):
        pipeline.run(job(raster, tmp_path / "a.gpkg", extent=one_pixel), segmenter=SceneOracle())


def test_a_raster_without_data_is_what_nothing_was_found_in(tmp_path):
    path = tmp_path / "empty.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=64, height=64, count=1, dtype="uint8", nodata=0,
        crs="EPSG:32645", transform=Affine(0.3, 0, 400_000, 0, -0.3, 3_000_000),
    ):  # fmt: skip
        pass
    result = pipeline.run(job(path, tmp_path / "a.gpkg"), segmenter=SceneOracle())
    assert result.warnings == ["No polygons: the raster has no data."]


def test_only_tiles_in_the_area_of_interest_are_segmented(raster, tmp_path):
    output = tmp_path / "a.gpkg"
    extent = [400_000.0, 3_000_000 - 40.0, 400_040.0, 3_000_000.0]
    result = pipeline.run(job(raster, output, extent=extent), segmenter=SceneOracle())
    assert result.tiles == 1
    layer = gpd.read_file(output, layer="objects")
    assert 0 < len(layer) < len(scene().things)
    inside = layer.geometry.intersection(shapely.box(*extent))
    assert (inside.area >= 0.5 * layer.geometry.area).all()


def test_tiles_without_data_cost_nothing(tmp_path):
    path = tmp_path / "half.tif"
    values = np.zeros((3, SIZE, SIZE), np.uint8)
    values[:, :, : SIZE // 4] = 90
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=SIZE,
        height=SIZE,
        count=3,
        dtype="uint8",
        nodata=0,
        crs="EPSG:32645",
        transform=rasterio.Affine(0.3, 0, 400_000, 0, -0.3, 3_000_000),
    ) as file:
        file.write(values)
    result = pipeline.run(job(path, tmp_path / "a.gpkg"), segmenter=SceneOracle())
    assert result.tiles == 4


def test_too_small_objects_and_holes_go_and_parents_stay_true(raster, whole, tmp_path):
    output = tmp_path / "a.gpkg"
    pipeline.run(
        job(raster, output, simplify=0.0, min_area=30.0, min_hole=1e9), segmenter=SceneOracle()
    )
    every = gpd.read_file(whole[0], layer="objects")
    layer = gpd.read_file(output, layer="objects")
    assert set(layer.id) <= set(every.id[every.area_m2 >= 29.9])
    assert layer.area_m2.min() >= 30
    assert not any(len(p.interiors) for g in layer.geometry for p in g.geoms)
    parents = set(layer.parent_id) - {""}
    assert parents
    assert parents <= set(layer.id)


def test_wrong_sizes_are_refused(raster, tmp_path):
    with pytest.raises(ParameterError, match="no room for a margin"):
        pipeline.run(
            job(raster, tmp_path / "a.gpkg", tile_size=128, margin=60), segmenter=SceneOracle()
        )


@pytest.mark.parametrize(
    ("option", "name"),
    [({"points_per_side": 16}, "points_per_side"), ({"min_stability": 0.5}, "min_st")],
)
def test_what_words_would_pass_over_is_refused(option, name, raster, tmp_path):
    with pytest.raises(ParameterError, match=f"{name}.*does not go with words"):
        pipeline.run(job(raster, tmp_path / "a.gpkg", words=["roof"], **option))
    assert not list(tmp_path.iterdir())


def test_warnings_of_a_segmenter_of_ones_own_are_not_swallowed(raster, tmp_path):
    class Warns(SceneOracle):
        def segment(self, tile):
            warnings.warn("my model is old", DeprecationWarning, stacklevel=1)
            return super().segment(tile)

    with pytest.warns(DeprecationWarning, match="my model is old"):
        pipeline.run(
            job(raster, tmp_path / "a.gpkg", tile_size=TILE, margin=MARGIN), segmenter=Warns()
        )


def test_the_function_returns_polygons(raster):
    from samgeo_core import segment

    layer = segment(raster, segmenter=SceneOracle(), tile_size=TILE, margin=MARGIN)
    assert len(layer) == len(scene().things)
    with pytest.raises(TypeError, match="tile_zise"):
        segment(raster, segmenter=SceneOracle(), tile_zise=3)
    with pytest.raises(ParameterError, match="'words' must be a list"):
        segment(raster, words="roof")


def test_the_function_takes_paths_and_tuples(raster, tmp_path):
    from samgeo_core import segment

    with rasterio.open(raster) as file:
        bounds = file.bounds
    west = (bounds.left, bounds.bottom, bounds.left + 60, bounds.top)
    gpd.GeoDataFrame(geometry=[shapely.box(*west)], crs=file.crs).to_file(tmp_path / "west.gpkg")
    sizes = {"tile_size": TILE, "margin": MARGIN, "bands": (1, 2, 3)}
    by_extent = segment(raster, segmenter=SceneOracle(), extent=west, **sizes)
    by_area = segment(raster, segmenter=SceneOracle(), area=tmp_path / "west.gpkg", **sizes)
    assert 0 < len(by_extent) < len(scene().things)
    assert set(by_area.id) == set(by_extent.id)


BOUNDS = scene().things[0].box.__class__(0, 0, SIZE, SIZE)


def test_a_coverage_has_neither_gaps_nor_overlaps(raster, tmp_path):
    output = tmp_path / "a.gpkg"
    result = pipeline.run(job(raster, output, shapes="coverage"), segmenter=SceneOracle())
    layer = gpd.read_file(output, layer="objects")
    assert result.features == len(layer) > 20
    assert shapely.coverage_is_valid(layer.geometry.explode().array)
    assert set(layer.parent_id) == {""}
    assert _along_pixels(layer) < 0.7
    finest = job(raster, output, shapes="coverage", overwrite=True, simplify=0.0)
    pipeline.run(finest, segmenter=SceneOracle())
    assert _along_pixels(gpd.read_file(output, layer="objects")) == 1


def _along_pixels(layer):
    """Share of the edges that run along the sides of pixels."""
    rings = shapely.get_rings(shapely.get_parts(layer.geometry.values))
    edges = np.vstack([np.diff(shapely.get_coordinates(ring), axis=0) for ring in rings])
    return (np.abs(edges) < 1e-6).any(axis=1).mean()


def test_roads_become_lines_with_their_width(raster, tmp_path):
    output = tmp_path / "a.gpkg"
    pipeline.run(job(raster, output, outlines="centerlines"), segmenter=SceneOracle())
    layer = gpd.read_file(output, layer="objects")
    roads = layer[layer.perimeter_m > 0.9 * SIZE * 0.3]
    assert set(layer.geom_type) == {"MultiLineString"}
    assert len(roads) >= 1
    assert roads.width_m.between(1, 20).all()


def test_a_road_in_degrees_covers_its_length_times_its_width(tmp_path):
    path = write_raster(
        tmp_path / "degrees.tif",
        crs="EPSG:4326",
        transform=rasterio.Affine(3e-6, 0, 25, 0, -3e-6, 60),
    )
    layers = {}
    for outlines in ("contour", "centerlines"):
        output = tmp_path / f"{outlines}.gpkg"
        pipeline.run(job(path, output, outlines=outlines), segmenter=SceneOracle())
        layers[outlines] = gpd.read_file(output, layer="objects").set_index("id")
    lines, polygons = layers["centerlines"], layers["contour"]
    roads = lines[lines.perimeter_m > 8 * lines.width_m]
    assert len(roads) >= 1
    covered = (roads.perimeter_m * roads.width_m).to_numpy()
    assert covered == pytest.approx(polygons.area_m2[roads.index].to_numpy(), rel=0.15)


def test_a_raster_in_a_local_system_is_measured_on_its_plane(tmp_path):
    local = 'LOCAL_CS["Site",UNIT["foot",0.3048]]'
    path = write_raster(tmp_path / "site.tif", crs=local)
    output = tmp_path / "a.gpkg"
    pipeline.run(job(path, output, simplify=0.0), segmenter=SceneOracle())
    layer = gpd.read_file(output, layer="objects")
    assert len(layer) == len(scene().things)
    np.testing.assert_allclose(layer.area_m2, layer.geometry.area * 0.3048**2, atol=1e-3)
    np.testing.assert_allclose(layer.perimeter_m, layer.geometry.length * 0.3048, atol=1e-3)


def test_prompts_are_not_passed_over_for_a_segmenter(raster, tmp_path):
    with pytest.raises(ParameterError, match="segmenter of your own"):
        pipeline.run(job(raster, tmp_path / "a.gpkg", prompts="a.gpkg"), segmenter=SceneOracle())


def test_no_crs_is_made_up_for_a_raster_that_has_none(tmp_path):
    path = write_raster(tmp_path / "bare.tif", crs=None)
    with pytest.raises(OutputError, match="from a raster without one"):
        pipeline.run(job(path, tmp_path / "a.gpkg", crs="EPSG:4326"), segmenter=SceneOracle())
    with pytest.warns(SamGeoWarning, match="no coordinate system"):
        result = pipeline.run(job(path, tmp_path / "a.gpkg"), segmenter=SceneOracle())
    assert len(result.warnings) == 1


@pytest.mark.parametrize("ends_first", ["placed", "bare"])
def test_jobs_in_threads_have_their_own_warnings_and_leave_pythons_as_they_were(
    tmp_path, ends_first
):
    rasters = {
        "placed": write_raster(tmp_path / "placed.tif"),
        "bare": write_raster(tmp_path / "bare.tif", crs=None),
    }
    both, one_ended = threading.Barrier(2), threading.Event()
    results = {}

    def work(name):
        steps = iter(range(10**6))

        def progress(_):
            if next(steps) == 0:
                both.wait(60)  # both have begun before one goes on
                if name != ends_first:
                    one_ended.wait(60)

        params = job(rasters[name], tmp_path / f"{name}.gpkg")
        results[name] = pipeline.run(params, segmenter=SceneOracle(), progress=progress)
        one_ended.set()

    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        threads = [threading.Thread(target=work, args=(name,)) for name in rasters]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        warnings.warn("of the caller", UserWarning, stacklevel=1)
    assert results["placed"].warnings == []
    ours = [str(warning.message) for warning in shown if warning.category is SamGeoWarning]
    assert ours == results["bare"].warnings
    assert len(ours) == 1
    assert str(shown[-1].message) == "of the caller"


def test_small_roads_are_left_out_and_large_ones_stay(raster, tmp_path):
    counts = {}
    for least in (0.0, 15.0):
        output = tmp_path / f"{least}.gpkg"
        params = job(raster, output, outlines="centerlines", min_area=least)
        pipeline.run(params, segmenter=SceneOracle())
        layer = gpd.read_file(output, layer="objects")
        covered = layer.perimeter_m * layer.width_m
        counts[least] = len(layer), int((covered >= 15.0).sum())
    assert counts[15.0] == (counts[0.0][1], counts[0.0][1])
    assert 0 < counts[15.0][0] < counts[0.0][0]


@pytest.mark.parametrize("kind", [{"shapes": "coverage"}, {"outlines": "centerlines"}])
def test_holes_cannot_be_filled_where_there_are_none(raster, tmp_path, kind):
    with pytest.raises(ParameterError, match="hole"):
        pipeline.run(job(raster, tmp_path / "a.gpkg", min_hole=3.0, **kind))


@pytest.mark.parametrize("rule", ["square", "building: smooth=2, min-area=10"])
def test_rules_that_move_shared_borders_do_not_go_with_a_coverage(raster, tmp_path, rule):
    with pytest.raises(ParameterError, match="share their borders"):
        pipeline.run(job(raster, tmp_path / "a.gpkg", shapes="coverage", rules=[rule]))
    assert not list(tmp_path.glob("a.gpkg*"))


def test_right_angles_are_right_on_the_ground_in_degrees_too(tmp_path):
    path = write_raster(
        tmp_path / "degrees.tif",
        crs="EPSG:4326",
        transform=rasterio.Affine(3e-6, 0, 25, 0, -1.5e-6, 60),
    )
    output = tmp_path / "a.gpkg"
    pipeline.run(job(path, output, outlines="rectangles", simplify=0), segmenter=SceneOracle())
    layer = gpd.read_file(output, layer="objects").to_crs(32635)
    corners = []
    for shape in layer.geometry:
        xy = np.asarray(shape.geoms[0].exterior.coords)
        if len(xy) == 5:
            sides = np.diff(xy, axis=0)
            turn = np.degrees(np.arctan2(sides[:, 1], sides[:, 0]))
            corners.append(np.abs(np.abs((np.diff(turn) + 180) % 360 - 180) - 90).max())
    assert len(corners) > 10
    assert np.median(corners) < 0.5


@pytest.mark.parametrize("kind", [{"outlines": "rectangles"}, {"rules": ["square"]}])
def test_right_angles_end_where_the_raster_ends(tmp_path, kind):
    house = shapely.affinity.rotate(shapely.box(-6, 60, 60, 96), 20)
    pixels = np.where(rasterize([house], (SIZE, SIZE)), 200, 20).astype(np.uint8)
    path = write_raster(tmp_path / "house.tif", pixels=np.stack([pixels] * 3))
    pipeline.run(job(path, tmp_path / "a.gpkg", **kind), segmenter=Bright())
    (shape,) = gpd.read_file(tmp_path / "a.gpkg", layer="objects").geometry
    assert shapely.get_num_coordinates(shape) < 8
    assert shape.bounds[0] == 400_000


def test_a_raster_without_a_crs_can_be_given_one(tmp_path):
    path = write_raster(tmp_path / "a.tif", crs=None)
    result = pipeline.run(
        job(path, tmp_path / "a.gpkg", raster_crs="EPSG:32645"), segmenter=SceneOracle()
    )
    assert not [note for note in result.warnings if "no coordinate system" in note]
    assert gpd.read_file(tmp_path / "a.gpkg", layer="objects").crs == "EPSG:32645"
    with pytest.raises(ParameterError, match="not understood"):
        pipeline.run(job(path, tmp_path / "b.gpkg", raster_crs="what"), segmenter=SceneOracle())


def test_another_crs_than_the_file_says_is_said(raster, tmp_path):
    params = job(raster, tmp_path / "a.gpkg", raster_crs="EPSG:32644")
    result = pipeline.run(params, segmenter=SceneOracle())
    assert any("gives way to EPSG:32644" in note for note in result.warnings)
    assert gpd.read_file(tmp_path / "a.gpkg", layer="objects").crs == "EPSG:32644"


def test_a_crs_without_a_place_is_no_place(tmp_path):
    pixels = np.full((3, 64, 64), 90, np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(
            tmp_path / "a.tif", "w", driver="GTiff", width=64, height=64, count=3,
            dtype="uint8", crs="EPSG:32633",
        ) as file:  # fmt: skip
            file.write(pixels)
    result = pipeline.run(job(tmp_path / "a.tif", tmp_path / "a.gpkg"), segmenter=SceneOracle())
    assert any("nothing says where" in note for note in result.warnings)
    assert gpd.read_file(tmp_path / "a.gpkg", layer="objects").crs is None


def test_geojson_says_that_it_has_a_crs_of_its_own(raster, tmp_path):
    params = job(raster, tmp_path / "a.geojson", crs="EPSG:3857", layer=None)
    result = pipeline.run(params, segmenter=SceneOracle())
    assert any("GeoJSON is always in WGS 84: crs EPSG:3857" in note for note in result.warnings)


def test_the_layer_of_the_area_can_be_named(raster, whole, tmp_path):
    frame = gpd.read_file(whole[0], layer="objects")
    west, south, east, north = frame.total_bounds
    middle = (west + east) / 2
    for name, frame_box in (
        ("left", (west, south, middle, north)),
        ("right", (middle, south, east, north)),
    ):
        gpd.GeoDataFrame(geometry=[shapely.box(*frame_box)], crs=frame.crs).to_file(
            tmp_path / "area.gpkg", layer=name
        )
    params = job(raster, tmp_path / "a.gpkg", area=str(tmp_path / "area.gpkg"), area_layer="right")
    result = pipeline.run(params, segmenter=SceneOracle())
    assert not [note for note in result.warnings if "several layers" in note]
    assert gpd.read_file(tmp_path / "a.gpkg", layer="objects").centroid.x.min() > middle - 50
    with pytest.raises(ParameterError, match="area_layer"):
        pipeline.run(job(raster, tmp_path / "b.gpkg", area_layer="x"), segmenter=SceneOracle())
