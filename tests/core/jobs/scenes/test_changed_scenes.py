# SPDX-License-Identifier: GPL-2.0-or-later
"""What a run does again: scenes that have changed, or whose name means another raster by now."""

import json
import os
import shutil

import geopandas as gpd
import numpy as np
import pytest
import rasterio.shutil
from rasterio.windows import Window
from samgeo_core.errors import JobError
from samgeo_core.jobs.run import run
from samgeo_core.jobs.scenes import run_scenes
from samgeo_core.jobs.scenes.journal import Journal
from samgeo_core.models.catalogue import EMBEDDED_WEIGHTS
from samgeo_core.testing.bright import Bright

from ...range_server import RangeServer
from .made import HARD, Counted, job, write_scene


def layer(path):
    return gpd.read_file(path, layer=path.stem)


def west(path):
    """Metres from the first scene's corner to a layer's westernmost object."""
    return round(layer(path).total_bounds[0] - 400_000)


@pytest.fixture
def maps(tmp_path):
    return tmp_path / "maps"


@pytest.mark.parametrize("suffix", [".gpkg", ".fgb", ".shp", ".parquet"])
def test_a_scene_whose_file_has_changed_is_done_again(tmp_path, maps, suffix):
    raster = write_scene(tmp_path / "a.tif")
    params = job(raster, maps / f"{{scene}}{suffix}")
    assert run(params, segmenter=Bright()).features == 36
    for rows, count in ((64, 24), (32, 12)):
        write_scene(raster, rows=rows)
        result = run(params, segmenter=Bright())
        assert (result.features, result.failed) == (count, [])
    assert not list((maps / f"{{scene}}{suffix}.job" / "begun").iterdir())


@pytest.mark.parametrize("earlier", [False, True])
def test_a_virtual_raster_whose_files_have_changed_is_done_again(tmp_path, maps, earlier):
    raster = tmp_path / "bands" / "a.tif"
    raster.parent.mkdir()
    write_scene(raster)
    virtual = tmp_path / "a.vrt"
    rasterio.shutil.copy(raster, virtual, driver="VRT")
    params = job(virtual, maps / "{scene}.gpkg")
    assert run(params, segmenter=Bright()).features == 36
    if earlier:  # a journal that has the stamp of the virtual raster alone
        journal = maps / "{scene}.gpkg.job" / "scenes.jsonl"
        first, told = map(json.loads, journal.read_text().splitlines())
        told["stamp"] = told["stamp"].split(" ")[0]
        journal.write_text(f"{json.dumps(first)}\n{json.dumps(told)}\n")
    with rasterio.open(raster, "r+") as file:
        file.write(np.full((3, 48, file.width), 20, np.uint8), window=Window(0, 0, file.width, 48))
    result = run(params, segmenter=Bright())
    assert (result.features, result.failed) == (36 if earlier else 18, [])


def test_a_model_that_was_trained_again_does_not_go_on_with_the_scenes_of_the_one_before(
    tmp_path, maps
):
    raster, model = write_scene(tmp_path / "a.tif"), tmp_path / "mine.safetensors"
    shutil.copy(EMBEDDED_WEIGHTS, model)
    params = job(raster, maps / "{scene}.gpkg", model=str(model), device="cpu")
    first = run(params).features
    assert run(params).features == first > 0
    os.utime(model, ns=(0, 0))
    with pytest.raises(JobError, match="other options or weights"):
        run(params)


def test_a_layer_that_somebody_has_edited_is_not_replaced(tmp_path, maps):
    raster = write_scene(tmp_path / "a.tif")
    params = job(raster, maps / "{scene}.gpkg")
    run(params, segmenter=Bright())
    edited = layer(maps / "a.gpkg").iloc[:5]
    edited.to_file(maps / "a.gpkg", layer="a")
    write_scene(raster, rows=64)
    other = write_scene(tmp_path / "b.tif", 100)
    for _ in range(2):
        result = run(job([raster, other], params.output), segmenter=Bright())
        assert "exists already" in result.failed[0]
        assert len(layer(maps / "a.gpkg")) == 5


def test_a_changed_scene_that_fails_is_replaced_when_it_is_mended(tmp_path, maps):
    raster, other = write_scene(tmp_path / "a.tif"), write_scene(tmp_path / "b.tif", 100)
    params = job([raster, other], maps / "{scene}.gpkg")
    run(params, segmenter=Bright(fails_at=HARD))
    write_scene(raster, mark=HARD)
    result = run(params, segmenter=Bright(fails_at=HARD))
    assert [name.split(":")[0] for name in result.failed] == ["a"]
    raster.write_bytes(b"no raster")
    assert len(run(params, segmenter=Bright()).failed) == 1
    write_scene(raster, rows=64)
    result = run(params, segmenter=Bright())
    assert (result.features, result.failed) == (24 + 36, [])


@pytest.mark.parametrize("where", [(run_scenes, "_outcomes"), (Journal, "add")])
def test_a_run_that_was_killed_while_it_replaced_a_changed_scene(
    tmp_path, maps, monkeypatch, where
):
    """Before the scene is begun, and between its layer and the note of it."""
    raster = write_scene(tmp_path / "a.tif")
    params = job(raster, maps / "{scene}.gpkg")
    run(params, segmenter=Bright())

    class Killed(BaseException):
        pass

    def kill(*_):
        raise Killed

    write_scene(raster, rows=64)
    for _ in range(2):
        with monkeypatch.context() as patch:
            patch.setattr(*where, kill)
            with pytest.raises(Killed):
                run(params, segmenter=Bright())
    result = run(params, segmenter=Bright())
    assert (result.features, result.failed) == (24, [])
    assert not list((maps / "{scene}.gpkg.job" / "begun").iterdir())


def test_a_new_scene_of_a_name_takes_it_and_all_are_right(tmp_path, maps):
    for folder, east in (("k", 0), ("m", 100)):
        (tmp_path / folder).mkdir()
        write_scene(tmp_path / folder / "x.tif", east)
    params = job(tmp_path / "**/*.tif", maps / "{scene}.gpkg")
    run(params, segmenter=Bright())
    (tmp_path / "a").mkdir()
    write_scene(tmp_path / "a" / "x.tif", 200)
    result = run(params, segmenter=Bright())
    assert (result.features, result.failed) == (3 * 36, [])
    assert [west(maps / f"{name}.gpkg") for name in ("x", "x_2", "x_3")] == [202, 2, 102]
    few = run(job(tmp_path / "[km]/*.tif", params.output), segmenter=Bright())
    assert (few.features, few.failed) == (2 * 36, [])
    result = run(params, segmenter=Bright())
    assert (result.features, result.failed) == (3 * 36, [])


@pytest.mark.parametrize("way", ["each", "layer"])
def test_a_list_of_addresses_that_grows_in_front(tmp_path, maps, way):
    """With a scene's folder in its path, and with a number in its query."""
    for number, year in enumerate(("2021", "2022")):
        (tmp_path / year).mkdir()
        write_scene(tmp_path / year / "x.tif", 100.0 * number)
    output = maps / "{scene}.gpkg" if way == "each" else tmp_path / "l.gpkg"
    more = {"job_folder": str(tmp_path / "job"), "overwrite": True, "duplicates": "keep"}
    more = {} if way == "each" else more
    calls = []
    with RangeServer(tmp_path) as server:
        first, second, third = (
            f"{server.url}/{name}" for name in ("2021/x.tif", "2022/x.tif?of=2", "2022/x.tif?of=3")
        )
        for rasters, count in (([third], 1), ([second, third], 3), ([first, second], 5)):
            result = run(job(rasters, output, way, **more), segmenter=Counted(calls))
            assert (result.features, result.failed) == (36 * len(rasters), [])
            assert len(calls) == count
    if way == "each":
        assert [west(maps / f"{name}.gpkg") for name in ("x", "x_2")] == [2, 102]
    else:
        assert sorted(layer(output).groupby("source").geometry.apply(len)) == [36, 36]
        assert round(layer(output).total_bounds[0] - 400_000) == 2


def test_rasters_are_told_apart_by_their_folders_and_not_by_how_they_are_named(
    tmp_path, maps, monkeypatch
):
    """Two of one size and time, as an archive gives them."""
    for number, year in enumerate(("2021", "2022")):
        (tmp_path / year).mkdir()
        os.utime(write_scene(tmp_path / year / "x.tif", 100.0 * number), (1e9, 1e9))
    monkeypatch.chdir(tmp_path)
    calls = []
    for raster, count, place in (
        ("2021/x.tif", 1, 2),
        (tmp_path / "2021/x.tif", 1, 2),
        ("2022/x.tif", 2, 102),
    ):
        result = run(job(raster, maps / "{scene}.gpkg"), segmenter=Counted(calls))
        assert (len(calls), result.failed) == (count, [])
        assert west(maps / "x.gpkg") == place
    (tmp_path / "2022").rename(tmp_path / "moved")
    run(job("moved/x.tif", maps / "{scene}.gpkg"), segmenter=Counted(calls))
    assert len(calls) == 2


def test_what_an_earlier_journal_does_not_tell_counts_as_unknown(tmp_path, maps):
    raster, other = write_scene(tmp_path / "a.tif"), write_scene(tmp_path / "b.tif", 100)
    params = job([raster, other], maps / "{scene}.gpkg")
    run(params, segmenter=Bright())
    journal = maps / "{scene}.gpkg.job" / "scenes.jsonl"
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    for line in lines[1:]:
        del line["digest"], line["source"]
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
    write_scene(raster, rows=64)
    result = run(params, segmenter=Bright(fails_at=HARD))
    assert "exists already" in result.failed[0]
    assert result.features == 36
