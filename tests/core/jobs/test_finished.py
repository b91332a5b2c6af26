# SPDX-License-Identifier: GPL-2.0-or-later
"""A job that was killed after its output appeared is done; other files are not touched."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import geopandas as gpd
import pyogrio
import pytest
from samgeo_core.errors import OutputError, ParameterError
from samgeo_core.job import ClassifyParameters
from samgeo_core.jobs import run as pipeline
from samgeo_core.jobs.finished import made_by
from samgeo_core.layers.publish import output_digest
from samgeo_core.layers.record import seen
from samgeo_core.masks.job_folder import JobFolder
from shapely.geometry import box

from ..scenes import SceneOracle
from .test_run import job, raster  # noqa: F401

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*at most 10 characters", "ignore:.*no name but", "ignore:.*WGS 84"
)


class Killed(BaseException):
    pass


class Idle(SceneOracle):
    def segment(self, image):
        raise AssertionError("nothing is left to do")


@pytest.fixture
def killed(raster, tmp_path, monkeypatch):  # noqa: F811
    """Run a job and kill it when its output is in place."""

    def run(name, **options):
        params = job(raster, tmp_path / name, overview=False, **options)

        def kill(_):
            raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(JobFolder, "remove", kill)
            with pytest.raises(Killed):
                pipeline.run(params, segmenter=SceneOracle())
        return params

    return run


@pytest.mark.parametrize("suffix", ["gpkg", "shp", "geojson"])
def test_a_job_that_was_killed_after_its_output_appeared_is_done(killed, tmp_path, suffix):
    params = killed(f"a.{suffix}")
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()}
    result = pipeline.run(params, segmenter=Idle())
    assert result.features > 0
    assert result.output == params.output
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_a_kept_folder_tells_a_killed_run_from_a_finished_one(raster, tmp_path):  # noqa: F811
    options = {"overview": False, "job_folder": str(tmp_path / "job")}
    pipeline.run(job(raster, tmp_path / "a.geojson", **options), segmenter=SceneOracle())
    with pytest.raises(OutputError, match="exists already"):
        pipeline.run(job(raster, tmp_path / "a.geojson", **options), segmenter=Idle())


def test_an_output_that_was_changed_since_is_not_taken_for_the_jobs(killed, tmp_path):
    params = killed("a.geojson")
    with open(params.output, "a") as file:
        file.write("\n")
    with pytest.raises(OutputError, match="exists already"):
        pipeline.run(params, segmenter=Idle())


def test_other_options_are_another_result(killed, raster, tmp_path):  # noqa: F811
    killed("a.geojson")
    other = job(raster, tmp_path / "a.geojson", overview=False, min_area=1e9)
    with pytest.raises(OutputError, match="exists already"):
        pipeline.run(other, segmenter=Idle())


def test_a_failed_tile_gives_no_leave_to_replace_another_file(raster, tmp_path):  # noqa: F811
    folder = str(tmp_path / "job")
    broken = SceneOracle(broken="r00001_c00002")
    first = job(raster, tmp_path / "a.gpkg", job_folder=folder, overview=False)
    assert pipeline.run(first, segmenter=broken).failed
    precious = tmp_path / "b.geojson"
    precious.write_text("mine")
    other = job(raster, precious, job_folder=folder, overview=False)
    with pytest.raises(OutputError, match="exists already"):
        pipeline.run(other, segmenter=SceneOracle())
    assert precious.read_text() == "mine"
    assert pipeline.run(first, segmenter=SceneOracle()).failed == []  # its own may be replaced
    assert output_digest(first.output, "objects")


def test_the_job_folder_is_not_the_output(raster, tmp_path):  # noqa: F811
    params = job(raster, tmp_path / "a.gpkg", job_folder=str(tmp_path / "a.gpkg"))
    with pytest.raises(ParameterError, match="output itself"):
        pipeline.run(params, segmenter=Idle())


@pytest.mark.parametrize("ending", ["", "|layername=marks"])
def test_examples_that_changed_are_another_job(tmp_path, ending):
    path = tmp_path / "marks.gpkg"
    frame = gpd.GeoDataFrame({"kind": ["a"]}, geometry=[box(0, 0, 1, 1)], crs=32632)
    pyogrio.write_dataframe(frame, path, layer="marks")

    def made():
        facts = {"input": "a.gpkg", "rasters": ["r.tif"], "output": "o.gpkg", "class_field": "kind"}
        marks = f"{path}{ending}"
        params = ClassifyParameters.from_dict({**facts, "examples": marks})
        return made_by(params, {}), repr(seen(marks))

    def all_are_new(before):
        return all(one != other for one, other in zip(made(), before, strict=True))

    before = made()
    assert made() == before
    pyogrio.write_dataframe(frame.assign(kind="of another length"), path, layer="marks")
    assert all_are_new(before)
    with closing(sqlite3.connect(path)) as editor:  # QGIS commits to a file beside it
        editor.execute("PRAGMA journal_mode = WAL")
        editor.commit()
        before, file = made(), (path.stat().st_size, path.stat().st_mtime_ns)
        editor.execute("CREATE TABLE edits (number INTEGER)")
        editor.commit()
        assert (path.stat().st_size, path.stat().st_mtime_ns) == file
        assert all_are_new(before)


def test_attributes_of_a_shapefile_that_changed_are_another_job(tmp_path):
    path = tmp_path / "marks.shp"
    frame = gpd.GeoDataFrame({"kind": ["a"]}, geometry=[box(0, 0, 1, 1)], crs=32632)
    pyogrio.write_dataframe(frame, path)
    before = seen(path)
    pyogrio.write_dataframe(frame.assign(kind="b" * 90), tmp_path / "edited.shp")
    (tmp_path / "edited.dbf").replace(tmp_path / "marks.dbf")
    assert seen(path) != before
