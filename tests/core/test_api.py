# SPDX-License-Identifier: GPL-2.0-or-later
"""Python's face: one signature with the options of the command, rasters and layers in memory."""

import ast
import importlib
import inspect
import os
import pkgutil
import re
from dataclasses import MISSING, fields
from datetime import date
from pathlib import Path

import geopandas as gpd
import matplotlib
import numpy as np
import pandas as pd
import pyproj
import pytest
import rasterio
import samgeo_core
import shapely
from affine import Affine
from rasterio.io import MemoryFile
from rasterio.vrt import WarpedVRT
from samgeo_core.cli.commands import segment as command
from samgeo_core.errors import JobError, ParameterError, RasterError, SamGeoWarning
from samgeo_core.in_memory import raster_paths, temporary_folder
from samgeo_core.job import SegmentParameters
from samgeo_core.layers.reader import read_vector
from samgeo_core.sources.vector_input.opening import open_vector

from .layers.typed_fields import DATE, LARGE, typed
from .scenes import MARGIN, TILE, SceneOracle, write_raster

matplotlib.use("Agg")
OWN = ("raster", "output", "segmenter", "progress")


def defaults():
    """Name and default of every option."""
    return {
        f.name: f.default if f.default is not MISSING else f.default_factory()
        for f in fields(SegmentParameters)
        if f.name not in ("rasters", "output")
    }


def test_python_has_every_option_with_its_default():
    given = inspect.signature(samgeo_core.segment).parameters
    found = {k: list(p.default) if p.default == () else p.default for k, p in given.items()}
    assert {k: v for k, v in found.items() if k not in OWN} == defaults()
    assert all(p.kind is p.KEYWORD_ONLY for k, p in given.items() if k not in OWN[:2])


def test_python_explains_every_option_in_the_words_of_the_command():
    text = " ".join(samgeo_core.segment.__doc__.split())
    for field in fields(SegmentParameters):
        if field.name not in ("rasters", "output"):
            assert f"{field.name}: {field.metadata['about']}" in text


def test_the_command_has_every_option_with_its_default_and_choices():
    options = {p.name: p for p in command.params if p.name in defaults()}
    assert set(options) == set(defaults())
    for field in fields(SegmentParameters):
        if field.name not in options:
            continue
        option = options[field.name]
        default = defaults()[field.name]
        assert option.default == default or default in (None, [])
        assert option.help.startswith(field.metadata["about"])
        if field.metadata.get("choices"):
            assert tuple(option.type.choices) == field.metadata["choices"]
        for bound, name in (("min", "least"), ("max", "most")):
            if hasattr(option.type, bound):
                assert getattr(option.type, bound) == field.metadata[name]


def test_public_names_are_shown_and_stay():
    assert set(dir(samgeo_core)) == set(samgeo_core.__all__)
    for name in samgeo_core.__all__:
        assert getattr(samgeo_core, name) is not None
    # Importing every module must not put a module in the place of a name.
    for module in pkgutil.walk_packages(samgeo_core.__path__, "samgeo_core."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in samgeo_core.__all__:
        assert not inspect.ismodule(getattr(samgeo_core, name)), name


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_raster(tmp_path_factory.mktemp("api") / "scene.tif")


SIZES = {"tile_size": TILE, "margin": MARGIN, "simplify": 0.0}


def test_a_raster_is_a_path_an_open_dataset_or_an_array(path):
    wanted = samgeo_core.segment(path, segmenter=SceneOracle(), **SIZES)
    assert len(wanted) > 10
    with rasterio.open(path) as file:
        opened = samgeo_core.segment(file, segmenter=SceneOracle(), **SIZES)
        array = samgeo_core.ArrayRaster(file.read(), file.transform, file.crs)
    in_memory = samgeo_core.segment(array, segmenter=SceneOracle(), **SIZES)
    for other in (opened, in_memory):
        assert other.geometry.equals(wanted.geometry)
        assert other.crs == wanted.crs


def test_where_the_pixels_of_an_array_without_a_place_lie_is_said(path):
    with rasterio.open(path) as file:
        array = samgeo_core.ArrayRaster(file.read())
    with pytest.warns(SamGeoWarning, match=r"in pixels \(y goes up: row 20 is at -20\)"):
        found = samgeo_core.segment(array, segmenter=SceneOracle(), **SIZES)
    height, width = array.pixels.shape[1:]
    assert shapely.box(0, -height, width, 0).covers(shapely.box(*found.total_bounds))


def test_a_closed_dataset_is_its_file(path, tmp_path):
    for mode in ("r", "r+"):
        with rasterio.open(path, mode) as file:
            pass
        assert raster_paths(file, tmp_path) == [str(path)]
    with MemoryFile(Path(path).read_bytes()) as memory, memory.open() as file:
        pass
    with pytest.raises(ParameterError, match="is closed, and with it its memory"):
        raster_paths(file, tmp_path)


def test_a_dataset_at_an_overview_is_not_taken_for_the_whole_file(path, tmp_path):
    copy = tmp_path / "a.tif"
    copy.write_bytes(Path(path).read_bytes())
    with rasterio.open(copy, "r+") as file:
        file.build_overviews([2])
    with (
        rasterio.open(copy, overview_level=0) as file,
        pytest.raises(ParameterError, match="is open at an overview"),
    ):
        raster_paths(file, tmp_path)


def test_processes_are_given_a_copy_of_a_dataset_in_memory(path, tmp_path):
    with MemoryFile(Path(path).read_bytes()) as memory, memory.open() as file:
        assert raster_paths(file, tmp_path) == [file.name]
        (copy,) = raster_paths([file], tmp_path, for_processes=True)
        with rasterio.open(copy) as copied:
            assert (copied.read() == file.read()).all()
            assert (copied.crs, copied.transform) == (file.crs, file.transform)
        two = {"segmenter": SceneOracle(), "workers": 2, **SIZES}
        assert len(samgeo_core.segment(file, **two)) > 10


def stopped_at(tile):
    def progress(step):
        if step.stage == "tiles" and step.done == tile:
            raise KeyboardInterrupt

    return progress


@pytest.mark.parametrize("named", ["output", "job_folder"])
def test_a_job_of_an_array_goes_on_where_it_was_interrupted(path, tmp_path, named):
    with rasterio.open(path) as file:
        pixels, place = file.read(), (file.transform, file.crs)
    given = {named: tmp_path / "a.gpkg", "tile_size": TILE, "margin": MARGIN}
    given["segmenter"] = SceneOracle()

    def ask(progress=None):
        return samgeo_core.segment(
            samgeo_core.ArrayRaster(pixels, *place), progress=progress, **given
        )

    with pytest.raises(KeyboardInterrupt):
        ask(stopped_at(3))
    pixels = pixels.copy()
    pixels[0, -1, -1] ^= 1
    with pytest.raises(JobError, match="the raster's files have changed"):
        ask()
    pixels[0, -1, -1] ^= 1
    steps = []
    ask(steps.append)
    assert next(step.done for step in steps if step.stage == "tiles") == 3


def test_a_job_with_examples_in_memory_goes_on_where_it_was_interrupted(tmp_path):
    rng = np.random.default_rng(1)
    array = samgeo_core.ArrayRaster(
        rng.integers(0, 256, (3, 96, 96), np.uint8), Affine(1, 0, 0, 0, -1, 0), "EPSG:32632"
    )
    examples = gpd.GeoDataFrame(
        {"kind": ["a", "b"]}, geometry=gpd.points_from_xy([20, 60], [-20, -60]), crs="EPSG:32632"
    )
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            samgeo_core.segment(
                array, tmp_path / "a.gpkg", progress=stopped_at(0), threads=1,
                examples=examples, class_field="kind",
            )  # fmt: skip


def test_two_calls_of_one_job_have_a_temporary_folder_each(tmp_path):
    with temporary_folder(tmp_path / "job") as one:
        first = one
        with temporary_folder(tmp_path / "job") as other:
            assert other != one
        assert one.is_dir()
    with temporary_folder(tmp_path / "job") as again:
        assert again == first
    assert not first.parent.exists()


@pytest.mark.skipif(os.name == "nt", reason="each user has a temporary folder of their own")
def test_a_temporary_folder_that_others_may_change_is_not_used(tmp_path):
    with temporary_folder(tmp_path / "job") as folder:
        known = folder.parent
    known.mkdir()
    known.chmod(0o777)
    try:
        with temporary_folder(tmp_path / "job") as folder:
            assert folder.parent != known
    finally:
        known.rmdir()


@pytest.mark.parametrize("nodata", [None, 7])
def test_what_is_masked_in_an_array_has_no_data(tmp_path, nodata):
    pixels = np.ma.MaskedArray(np.full((3, 60, 60), 9, np.uint8), False)
    pixels[:, :20] = np.ma.masked
    array = samgeo_core.ArrayRaster(pixels, Affine(1, 0, 5e5, 0, -1, 5e6), "EPSG:32632", nodata)
    with rasterio.open(array.write(tmp_path / "a.tif")) as file:
        assert (file.dataset_mask() == np.repeat([[0], [255]], [20, 40], axis=0)).all()
        assert (file.read()[:, 20:] == 9).all()


@pytest.mark.parametrize("dtype", ["bool", "float16"])
def test_arrays_of_truth_values_and_short_floats_are_rasters(tmp_path, dtype):
    pixels = np.zeros((60, 60), dtype)
    pixels[10:20, 10:20] = 1
    with rasterio.open(samgeo_core.ArrayRaster(pixels).write(tmp_path / "a.tif")) as file:
        assert (file.read(1) == pixels).all()


@pytest.mark.parametrize(
    "more",
    [
        {"nodata": -1},
        {"crs": "EPSG:1"},
        {"transform": 1},
        {"transform": Affine(np.nan, 0, 0, 0, -1, 0)},
        {"pixels": np.zeros((9, 9), "U1")},
    ],
)
def test_an_array_that_is_no_raster_is_one_sentence(tmp_path, more):
    array = samgeo_core.ArrayRaster(**{"pixels": np.zeros((9, 9), np.uint8), **more})
    with pytest.raises(ParameterError, match="raster in memory cannot be used"):
        array.write(tmp_path / "a.tif")


def test_an_array_may_be_a_list_and_has_its_bands_first(tmp_path):
    rows = [[[1, 2], [3, 4], [5, 6]]]
    with rasterio.open(samgeo_core.ArrayRaster(rows).write(tmp_path / "a.tif")) as file:
        assert file.read().tolist() == rows
    picture = samgeo_core.ArrayRaster(np.zeros((200, 300, 3), np.uint8))
    with pytest.raises(ParameterError, match=r"200 bands and a width of 3: .*moveaxis"):
        picture.write(tmp_path / "b.tif")


class Nameless:
    def segment(self, image):
        return None


def test_what_is_no_raster_layer_or_segmenter_is_one_sentence(path, tmp_path):
    frame = gpd.GeoDataFrame(geometry=[shapely.box(0, 0, 1, 1)], crs=32645)
    new = tmp_path / "new.gpkg"
    with rasterio.open(path) as file, WarpedVRT(file) as warped, path.open("rb") as stream:
        pixels = file.read()
        for call, says in (
            (lambda: samgeo_core.segment(pixels), r"ndarray is no raster: .*ArrayRaster"),
            (lambda: samgeo_core.segment(warped), "WarpedVRT is no raster"),
            (lambda: samgeo_core.segment([stream]), "BufferedReader is no raster"),
            (lambda: samgeo_core.open_raster(file), "named by its path .* not by DatasetReader"),
            (lambda: samgeo_core.run(SegmentParameters([file], str(new))), "not by DatasetReader"),
            (lambda: samgeo_core.update(new, [file], new), "not by DatasetReader"),
            (lambda: samgeo_core.track(frame, [file]), "not by DatasetReader"),
            (lambda: samgeo_core.update(frame, path, new), "of the layer of a file, not of Geo"),
            (lambda: samgeo_core.evaluate(pixels, frame), "named by the path .* not by ndarray"),
            (lambda: samgeo_core.segment(path, segmenter=Nameless()), "no name and no fingerp"),
            (lambda: samgeo_core.segment(path, segmenter=Nameless), "no name and no fingerprint"),
        ):
            with pytest.raises(ParameterError, match=says):
                call()


def test_python_takes_what_is_at_hand(path):
    """A class as a segmenter, a generator of paths, a coordinate system, a column of shapes."""
    found = samgeo_core.segment(
        path.parent.glob(path.name), segmenter=SceneOracle, crs=pyproj.CRS(32644), **SIZES
    )
    assert found.crs.to_epsg() == 32644
    code = samgeo_core.segment(path, segmenter=SceneOracle(), crs=32644, **SIZES)
    assert code.geometry.equals(found.geometry)
    shapes = found.geometry
    assert samgeo_core.evaluate(shapes, shapes).overall.recall == 1
    samgeo_core.show(path, shapes)
    day = date(2020, 1, 1)
    with pytest.raises(RasterError, match="only one date, 2020-01-01"):
        samgeo_core.track(shapes, path, at=day, dates={path.name: day})


def test_an_area_is_a_geodataframe_too(path, tmp_path):
    whole = samgeo_core.segment(path, segmenter=SceneOracle(), **SIZES)
    x0, y0, x1, y1 = whole.total_bounds
    half = gpd.GeoDataFrame(geometry=[shapely.box(x0, y0, (x0 + x1) / 2, y1)], crs=whole.crs)
    part = samgeo_core.segment(path, segmenter=SceneOracle(), area=half, **SIZES)
    half.to_file(tmp_path / "half.gpkg")
    same = samgeo_core.segment(path, segmenter=SceneOracle(), area=tmp_path / "half.gpkg", **SIZES)
    assert 0 < len(part) < len(whole)
    assert part.geometry.equals(same.geometry)


def test_errors_in_python_name_the_keyword(path):
    with pytest.raises(ParameterError, match=r"^Give either extent or area"):
        samgeo_core.segment(path, extent=(0, 0, 1, 1), area="a.gpkg")
    with pytest.raises(ParameterError, match="Parameter workers must be at least 1"):
        samgeo_core.segment(path, workers=0)
    with pytest.raises(ParameterError, match=r"not of \(3,\)"):
        samgeo_core.segment(samgeo_core.ArrayRaster(np.zeros(3, np.uint8)))


def test_a_picture_by_an_attribute_that_is_not_there_is_one_sentence(path):
    polygons = gpd.GeoDataFrame({"kind": ["a"]}, geometry=[shapely.box(0, 0, 1, 1)])
    with pytest.raises(ParameterError, match=r"no attribute 'nix' .*: they have kind\."):
        samgeo_core.show(path, polygons, column="nix")
    with pytest.raises(ParameterError, match="no attribute 'geometry'"):
        samgeo_core.show(path, polygons, column="geometry")
    with pytest.raises(ParameterError, match="of polygons has no geometries: set_geometry first"):
        samgeo_core.show(path, gpd.GeoDataFrame({"kind": ["a"]}))


@pytest.mark.parametrize("column", ["2010", 2010, "nr", "day"])
def test_a_picture_has_the_attributes_that_a_file_of_the_polygons_has(path, tmp_path, column):
    with rasterio.open(path) as file:
        x, y, crs = file.bounds.left, file.bounds.bottom, file.crs
    index = pd.Index([7, 8], name="nr")
    frame = gpd.GeoDataFrame(
        {2010: [1, 2], "day": pd.to_datetime(["2020-01-01", "2021-01-01"])},
        geometry=[shapely.box(x + i, y, x + i + 1, y + 1) for i in (0, 2)], crs=crs,
    ).set_index(index)  # fmt: skip
    frame.rename(columns=str).to_file(tmp_path / "polygons.gpkg", index=True)
    for polygons in (frame, tmp_path / "polygons.gpkg"):
        axes = samgeo_core.show(path, polygons, column=column)
        assert sum(len(drawn.get_paths()) for drawn in axes.collections) == 2
        matplotlib.pyplot.close(axes.figure)
    assert list(frame.columns) == [2010, "day", "geometry"]


@pytest.mark.parametrize(
    ("values", "shades"),
    [
        (pd.array([1.5, 2.5], dtype="double[pyarrow]"), True),
        (pd.array(["", "a"], dtype="string[pyarrow]"), False),
        (pd.Series([[1], {"a": [2]}]), False),
        (pd.to_timedelta([1, 2], "D"), False),
    ],
    ids=["numbers", "texts", "lists", "times"],
)
def test_a_picture_has_colours_for_all_types_of_values(path, values, shades):
    shapes = [shapely.box(i, 0, i + 1, 1) for i in (0, 2)]
    axes = samgeo_core.show(path, gpd.GeoDataFrame({"v": values}, geometry=shapes), column="v")
    drawn = [each.get_array() is not None for each in axes.collections]
    assert drawn == [True] if shades else drawn == [False, False]
    matplotlib.pyplot.close(axes.figure)


def test_a_picture_shows_lines_whole(path):
    with rasterio.open(path) as file:
        line = shapely.LineString([file.bounds[:2], file.bounds[2:], file.bounds[:2]])
        roads = gpd.GeoSeries([line, None], crs=file.crs)
    axes = samgeo_core.show(path, roads)
    (drawn,) = axes.collections
    assert [len(one.vertices) for one in drawn.get_paths()] == [3]
    matplotlib.pyplot.close(axes.figure)


def test_a_stac_item_goes_with_an_output(path):
    with pytest.raises(ParameterError, match="stac_item is written beside the output"):
        samgeo_core.segment(path, stac_item=True)


def test_an_index_with_a_name_is_a_field(path):
    frame = gpd.GeoDataFrame(geometry=[shapely.box(0, 0, 1, 1)] * 2).set_index(
        pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["name", "number"])
    )
    layer = read_vector(frame)
    assert layer.texts("name") == ["a", "b"]
    assert layer.texts("number") == ["1", "2"]
    assert layer.attributes.index.equals(frame.index)
    assert list(frame.columns) == ["geometry"]


def test_a_picture_shows_the_polygons_where_the_raster_is(path):
    polygons = samgeo_core.segment(path, segmenter=SceneOracle(), **SIZES)
    axes = samgeo_core.show(path, polygons)
    with rasterio.open(path) as file:
        left, bottom, right, top = file.bounds
    assert axes.get_xlim() == pytest.approx((left, right))
    assert axes.get_ylim() == pytest.approx((bottom, top))
    figure = axes.figure
    figure.canvas.draw()
    drawn = np.asarray(figure.canvas.buffer_rgba())[..., :3]
    assert ((drawn == (255, 212, 0)).all(axis=-1)).sum() > 100
    matplotlib.pyplot.close(figure)


def test_prompt_id_is_the_index_of_a_geodataframe(path):
    with rasterio.open(path) as file:
        places = [file.xy(row, col) for row, col in ((300, 40), (40, 300), (150, 150))]
        crs = file.crs
    names = ["third", "first", "second"]
    points = gpd.GeoDataFrame(
        {"index": [7, 8, 9]}, geometry=[shapely.Point(p) for p in places], crs=crs, index=names
    )
    for prompts in (points, points.geometry):
        found = samgeo_core.segment(path, prompts=prompts)
        assert sorted(found["prompt_id"]) == sorted(names)
        at = points.geometry.loc[found["prompt_id"]].reset_index(drop=True)
        own = [found.distance(point).idxmin() for point in at]
        assert own == list(range(len(found)))


SPOT = shapely.box(18, -42, 42, -18)
TWO = {"geometry": [SPOT, SPOT], "crs": 32632}
ODD_FRAMES = {
    "ids that are not unique": gpd.GeoDataFrame({"fid": [1, 1]}, **TWO),
    "ids that are text": gpd.GeoDataFrame({"fid": ["x", "y"]}, **TWO),
    "names that differ by case": gpd.GeoDataFrame({"Index": ["q", "r"], "INDEX": [1, 2]}, **TWO),
    "an index like a column": gpd.GeoDataFrame({"id": [1, 2]}, **TWO).set_index("id", drop=False),
    "two geometries": gpd.GeoDataFrame({"c": gpd.GeoSeries([SPOT, SPOT]).centroid}, **TWO),
    "times between": gpd.GeoDataFrame({"a": pd.to_timedelta([1, 2], unit="D")}, **TWO),
    "names that are numbers": gpd.GeoDataFrame({0: [1, 2], "0": [3, 4]}, **TWO),
    "values of several types": gpd.GeoDataFrame({"a": [1, "b"], "l": [[1], {}]}, **TWO),
    "categories": gpd.GeoDataFrame({"a": pd.Categorical([5, 6])}, **TWO),
    "categories of mixed types": gpd.GeoDataFrame({"a": pd.Categorical([5, "b"])}, **TWO),
    "no categories": gpd.GeoDataFrame({"a": pd.Categorical([None, None])}, **TWO),
}  # fmt: skip


@pytest.fixture(scope="module")
def house():
    pixels = np.zeros((3, 128, 128), np.uint8)
    pixels[:, 20:40, 20:40] = 255
    return samgeo_core.ArrayRaster(pixels, Affine(1, 0, 0, 0, -1, 0), "EPSG:32632")


@pytest.mark.filterwarnings("error:.*convert_dtypes")
@pytest.mark.parametrize("name", ODD_FRAMES)
def test_a_geodataframe_need_not_be_a_geopackage(house, name):
    frame = ODD_FRAMES[name]
    found = samgeo_core.segment(house, prompts=frame)
    assert sorted(found["prompt_id"]) == sorted(frame.index.map(str))


def test_a_geodataframes_own_fields_come_back_with_all_digits(house):
    frame = typed([SPOT] * 3, 32632, gap=1, Class=["x", "y", "z"], **{"class": ["u", "v", "w"]})
    frame["zone"] = frame["cadastre"].astype("category")
    frame["plain"] = pd.Categorical([LARGE, None, LARGE + 2])
    found = samgeo_core.segment(house, prompts=frame, prompt_id="cadastre", prompt_label="class")
    found = found.sort_values("floors").reset_index(drop=True)
    assert found["prompt_id"].to_list() == [str(LARGE), str(LARGE + 2), ""]
    assert found["label"].to_list() == ["u", "w", "v"]
    assert found["Class"].to_list() == ["x", "z", "y"]
    for name in ("cadastre", "zone", "plain"):
        assert found[name].to_list() == [LARGE, LARGE + 2, pd.NA], name
    assert found["flag"].to_list() == [True, True, pd.NA]
    assert found["built"].to_list() == [pd.Timestamp(DATE), pd.Timestamp(DATE), pd.NaT]
    assert found["tiles"].dtype == np.int64


def test_a_geodataframe_without_geometries_is_one_sentence(house):
    with pytest.raises(ParameterError, match="GeoDataFrame of prompts has no geometries"):
        samgeo_core.segment(house, prompts=gpd.GeoDataFrame({"a": [1]}))


def test_a_picture_is_drawn_of_a_raster_in_memory_and_of_an_open_one(path):
    polygons = samgeo_core.segment(path, segmenter=SceneOracle(), **SIZES)
    with rasterio.open(path) as file:
        array = samgeo_core.ArrayRaster(file.read(), file.transform, file.crs)
        for raster in (array, file, [file]):
            axes = samgeo_core.show(raster, polygons)
            assert axes.get_xlim() == pytest.approx((file.bounds.left, file.bounds.right))
            matplotlib.pyplot.close(axes.figure)


@pytest.mark.parametrize(
    "name",
    [
        "!work/o.gpkg",
        "!work/o.shp",
        "!work/o.geojson",
        "!work/o.fgb",
        "!work/o.parquet",
        "a!b.gpkg",
        "wow!.geojson",
        "roofs;2024.gpkg",
        "roofs;2024.shp",
        "roofs;2024.geojson",
        "roofs;2024.fgb",
        "roofs;2024.parquet",
    ],
)
def test_an_exclamation_mark_or_a_semicolon_in_a_path_is_part_of_it(tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    raster = write_raster(path.parent / "r!;.tif")
    samgeo_core.segment(raster, path, segmenter=SceneOracle(), simplify=0.0)
    read = gpd.read_parquet if path.suffix == ".parquet" else None
    whole = read(path) if read else open_vector(path, parameter="area_layer").read()
    assert len(whole) > 0
    if path.suffix == ".gpkg":
        again = samgeo_core.segment(
            raster, segmenter=SceneOracle(), area=path, area_layer=path.stem, simplify=0.0
        )
        assert len(again) > 0


def test_each_polygon_of_a_mosaic_names_its_raster(tmp_path):
    path = write_raster(tmp_path / "whole.tif")
    with rasterio.open(path) as file:
        half = file.width // 2
        for k, name in enumerate(("west.tif", "east.tif")):
            window = rasterio.windows.Window(k * half, 0, half, file.height)
            profile = file.profile | {
                "width": half,
                "transform": file.window_transform(window),
            }
            with rasterio.open(tmp_path / name, "w", **profile) as part:
                part.write(file.read(window=window))
        edge = file.window_transform(rasterio.windows.Window(half, 0, half, file.height)).c
    found = samgeo_core.segment(
        [tmp_path / "west.tif", tmp_path / "east.tif"], segmenter=SceneOracle()
    )
    assert set(found.source) == {"west.tif", "east.tif"}
    bounds = found.bounds
    assert set(found.source[bounds.maxx < edge]) == {"west.tif"}
    assert set(found.source[bounds.minx > edge]) == {"east.tif"}


def test_the_engine_never_speaks_of_the_commands_options():
    """Messages name parameters (``option``): QGIS and Python know nothing of ``--fresh``."""
    root = Path(samgeo_core.__path__[0])
    found = []
    for path in sorted(root.rglob("*.py")):
        if path.relative_to(root).parts[0] in ("cli", "training", "bundle"):
            continue  # the command itself, one with options of its own, and pip's options
        tree = ast.parse(path.read_text(encoding="utf-8"))
        notes = {
            id(node.value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        }
        found += [
            f"{path.relative_to(root)}:{node.lineno}: {node.value}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in notes
            and re.search(r"(?<![\w-])--[a-z]", node.value)
        ]
    assert found == []
