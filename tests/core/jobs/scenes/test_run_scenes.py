# SPDX-License-Identifier: GPL-2.0-or-later
import json
from dataclasses import replace
from pathlib import Path

import geopandas as gpd
import pytest
import rasterio
import samgeo_core
from samgeo_core.errors import Cancelled, JobError, ModelError, OutputError, ParameterError
from samgeo_core.jobs.run import run
from samgeo_core.jobs.scenes import run_scenes
from samgeo_core.jobs.scenes.journal import Journal
from samgeo_core.jobs.scenes.one_layer import LayerOfScenes
from samgeo_core.testing.bright import Bright

from .made import HARD, Counted, job, write_scene


@pytest.fixture
def scenes(tmp_path):
    folder = tmp_path / "scenes"
    folder.mkdir()
    for number in range(4):
        write_scene(folder / f"s{number}_2024-01-0{number + 1}.tif", 100.0 * number)
    return folder


def test_each_scene_has_its_layer_and_a_bad_one_stops_no_other(scenes, tmp_path):
    write_scene(scenes / "hard.tif", 500, mark=HARD)
    (scenes / "broken.tif").write_bytes(b"no raster")
    result = run(job(scenes, tmp_path / "maps/{scene}.gpkg"), segmenter=Bright(fails_at=HARD))
    assert (result.scenes, result.features) == (6, 4 * 36)
    assert [name.split(":")[0] for name in result.failed] == ["broken", "hard"]
    with pytest.raises(samgeo_core.IncompleteError, match="2 scenes failed"):
        result.raise_if_incomplete()
    assert len(result.outputs) == 4
    assert result.outputs == sorted(map(str, (tmp_path / "maps").glob("*.gpkg")))
    assert len(gpd.read_file(tmp_path / "maps/s2_2024-01-03.gpkg", layer="s2_2024-01-03")) == 36


def test_layers_of_scenes_are_read_together_as_the_documentation_says(
    scenes, tmp_path, monkeypatch
):
    run(job(scenes, tmp_path / "maps/{scene}.parquet"), segmenter=Bright())
    page = (Path(__file__).parents[4] / "docs/scale.md").read_text("utf-8")
    code = next(text for text in page.split("```python\n")[1:] if "maps" in text)
    monkeypatch.chdir(tmp_path)
    found: dict = {}
    exec(code.split("```")[0], found)
    assert len(found["town"]) == 4 * 36


def test_a_run_goes_on_with_what_is_left_and_what_has_changed(scenes, tmp_path):
    write_scene(scenes / "a.tif", 500, mark=HARD)
    params = job(scenes, tmp_path / "maps/{scene}.fgb")
    calls = []
    assert len(run(params, segmenter=Counted(calls)).failed) == 1
    calls.clear()
    write_scene(scenes / "a.tif", 500)  # mended
    write_scene(scenes / "s1_2024-01-02.tif", 900)  # another raster under the name
    (tmp_path / "maps/s1_2024-01-02.fgb").unlink()
    result = run(params, segmenter=Counted(calls))
    assert not result.failed
    assert (len(calls), result.features) == (2, 5 * 36)
    with pytest.raises(JobError, match="begun with other options"):
        run(job(scenes, tmp_path / "maps/{scene}.fgb", min_area=2.0), segmenter=Bright())


def test_a_folder_holds_the_results_of_several_runs(scenes, tmp_path):
    few = tmp_path / "maps/{scene}_few.fgb"
    assert run(job(scenes, tmp_path / "maps/{scene}.fgb"), segmenter=Bright()).features == 4 * 36
    assert run(job(scenes, few, min_area=1e6), segmenter=Bright()).features == 0
    calls = []
    assert run(job(scenes, few, min_area=1e6), segmenter=Counted(calls)).scenes == 4
    assert not calls


def test_a_layer_of_another_name_is_not_the_one_that_was_made(scenes, tmp_path):
    folder = str(tmp_path / "job")
    run(job(scenes, tmp_path / "maps/{scene}.fgb", job_folder=folder), segmenter=Bright())
    (tmp_path / "maps/s0_2024-01-01_b.fgb").write_bytes(b"of somebody else")
    other = job(scenes, tmp_path / "maps/{scene}_b.fgb", job_folder=folder)
    result = run(other, segmenter=Bright())
    assert [name.split(":")[0] for name in result.failed] == ["s0_2024-01-01"]
    assert "exists already" in result.failed[0]
    assert result.features == 3 * 36


def test_a_line_that_was_cut_off_is_passed_over(scenes, tmp_path):
    params = job(scenes, tmp_path / "maps/{scene}.fgb")
    run(params, segmenter=Bright())
    journal = tmp_path / "maps/{scene}.fgb.job/scenes.jsonl"
    text = journal.read_text()
    journal.write_text(text[:-40])
    (tmp_path / "maps/s3_2024-01-04.fgb").unlink()
    calls = []
    assert run(params, segmenter=Counted(calls)).features == 4 * 36
    assert len(calls) == 1
    assert all(json.loads(line) for line in journal.read_text().splitlines())


def test_a_cancel_keeps_what_is_finished(scenes, tmp_path):
    params = job(scenes, tmp_path / "maps/{scene}.fgb")
    seen = []
    with pytest.raises(Cancelled):
        run(params, segmenter=Bright(), progress=seen.append, cancelled=lambda: len(seen) > 2)
    calls = []
    assert run(params, segmenter=Counted(calls)).features == 4 * 36
    assert 0 < len(calls) < 4


def test_a_scene_that_ends_its_process_stops_no_other(scenes, tmp_path):
    write_scene(scenes / "deadly.tif", 500, mark=99)
    params = job(scenes, tmp_path / "maps/{scene}.fgb", workers=2)
    result = run(params, segmenter=Bright(dies_at=99))
    assert [name.split(":")[0] for name in result.failed] == ["deadly"]
    assert "worker process was killed" in result.failed[0]
    assert result.features == 4 * 36


def test_only_bad_scenes_and_only_scenes_outside_are_errors(scenes, tmp_path):
    bad = write_scene(tmp_path / "bad.tif", mark=HARD)
    with pytest.raises(ModelError, match="None of the 1 scenes"):
        run(job(bad, tmp_path / "m/{scene}.fgb"), segmenter=Bright(fails_at=HARD))
    far = job(scenes, tmp_path / "n/{scene}.fgb", extent=[0.0, 0.0, 9.0, 9.0])
    with pytest.raises(ParameterError, match="beside all 4 scenes"):
        run(far, segmenter=Bright())
    near = job(scenes, tmp_path / "o/{scene}.fgb", extent=[400_000.0, 2_999_900.0, 400_050.0, 3e6])
    assert run(near, segmenter=Bright()).features == 36


def test_names_that_cannot_be_are_refused(scenes, tmp_path):
    with pytest.raises(ParameterError, match=r"put \{scene\} into"):
        run(job(scenes, tmp_path / "maps.gpkg"), segmenter=Bright())
    with pytest.raises(ParameterError, match="leave it out"):
        run(job(scenes, tmp_path / "{scene}.fgb", overlap="newest"), segmenter=Bright())
    with pytest.raises(ParameterError, match=r"give .*scenes.* layer"):
        run(job(scenes, tmp_path / "a.fgb", "mosaic", duplicates="place"), segmenter=Bright())
    (tmp_path / "l.fgb").write_bytes(b"x")
    with pytest.raises(OutputError, match="already"):
        run(job(scenes, tmp_path / "l.fgb", "layer"), segmenter=Bright())


# --- one layer ---


@pytest.mark.parametrize(("rule", "count"), [("date", 36 + 18 + 36), ("place", 54), ("keep", 108)])
def test_overlapping_scenes_share_a_layer_without_duplicates(tmp_path, rule, count):
    """a and b, of one day, share half of their ground; c shows a's ground a month later."""
    write_scene(tmp_path / "a_2024-01-01.tif")
    write_scene(tmp_path / "b_2024-01-01.tif", 24)
    write_scene(tmp_path / "c_2024-02-01.tif")
    made = []
    for order in (1, -1):
        rasters = sorted(tmp_path.glob("*.tif"))[::order]
        output = tmp_path / f"{order}" / "l.fgb"
        output.parent.mkdir()
        result = run(job(rasters, output, "layer", duplicates=rule), segmenter=Bright())
        made.append(gpd.read_file(output))
        assert result.features == count
    found = made[0]
    assert found["id"].is_unique
    assert set(found["date"]) == {"2024-01-01", "2024-02-01"}
    assert set(found["source"]) >= {"b_2024-01-01", "c_2024-02-01"}
    assert (tmp_path / "1/l.fgb").read_bytes() == (tmp_path / "-1/l.fgb").read_bytes()
    if rule == "place":
        assert not (found[found["date"] == "2024-02-01"]["source"] != "c_2024-02-01").any()
        overlaps = found.sindex.query(found.geometry, predicate="overlaps")
        assert overlaps.shape[1] == 0
    assert not list(tmp_path.rglob("*.job"))


def test_a_layer_that_lacks_a_scene_is_replaced_when_it_is_mended(tmp_path):
    write_scene(tmp_path / "a.tif")
    write_scene(tmp_path / "b.tif", 100, mark=HARD)
    params = job([tmp_path / "a.tif", tmp_path / "b.tif"], tmp_path / "l.gpkg", "layer")
    first = run(params, segmenter=Bright(fails_at=HARD))
    assert (first.features, len(first.failed)) == (36, 1)
    write_scene(tmp_path / "b.tif", 100)
    second = run(params, segmenter=Bright(fails_at=HARD))
    assert (second.features, second.failed) == (72, [])
    assert not (tmp_path / "l.gpkg.job").exists()


def test_a_run_that_was_killed_after_its_layer_appeared_makes_the_same_again(
    scenes, tmp_path, monkeypatch
):
    params = job(scenes, tmp_path / "all.fgb", scenes="layer")

    class Killed(BaseException):
        pass

    def kill(*_):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(LayerOfScenes, "forget", kill)
        with pytest.raises(Killed):
            run(params, segmenter=Bright())
    written = (tmp_path / "all.fgb").read_bytes()
    calls = []
    assert run(params, segmenter=Counted(calls)).features == 4 * 36
    assert calls == []
    assert (tmp_path / "all.fgb").read_bytes() == written
    assert not (tmp_path / "all.fgb.job").exists()
    with pytest.raises(OutputError, match="exists already"):
        run(params, segmenter=Bright())


def test_a_run_that_was_killed_before_it_noted_a_finished_scene_makes_it_again(
    scenes, tmp_path, monkeypatch
):
    theirs = tmp_path / "maps" / "s2_2024-01-03.fgb"
    theirs.parent.mkdir()
    theirs.write_bytes(b"of somebody else")
    params = job(scenes, tmp_path / "maps/{scene}.fgb", workers=2)

    class Killed(BaseException):
        pass

    def kill(*_):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "add", kill)
        with pytest.raises(Killed):
            run(params, segmenter=Bright())
    written = sorted(path.name for path in theirs.parent.glob("*.fgb"))
    assert "s0_2024-01-01.fgb" in written
    result = run(params, segmenter=Bright())
    assert result.features == 3 * 36
    assert [name.split(":")[0] for name in result.failed] == ["s2_2024-01-03"]
    assert theirs.read_bytes() == b"of somebody else"
    assert not list((theirs.parent / "{scene}.fgb.job" / "begun").iterdir())


def test_objects_that_no_scene_shows_whole_are_counted(tmp_path):
    write_scene(tmp_path / "a_2024-01-01.tif")
    # The second scene begins 3 m before the first one ends, in the middle of a square.
    write_scene(tmp_path / "b_2024-01-01.tif", 44.0)
    result = run(job(tmp_path, tmp_path / "one.gpkg", scenes="layer"), segmenter=Bright())
    assert not any("stays in parts" in note for note in result.warnings)
    for name in ("a", "b"):  # squares up to the borders
        with rasterio.open(tmp_path / f"{name}_2024-01-01.tif", "r+") as file:
            pixels = file.read()
            pixels[:, 40:50, -10:] = pixels[:, 40:50, :10] = 200
            file.write(pixels)
    params = job(tmp_path, tmp_path / "two.gpkg", scenes="layer")
    result = run(params, segmenter=Bright())
    assert any("polygons end where their scene ends" in note for note in result.warnings)


def test_scenes_in_two_zones_share_a_layer(tmp_path):
    write_scene(tmp_path / "a.tif")
    write_scene(tmp_path / "b.tif", crs="EPSG:32644")
    params = job([tmp_path / "a.tif", tmp_path / "b.tif"], tmp_path / "l.parquet", "layer")
    assert run(params, segmenter=Bright()).features == 72
    found = gpd.read_parquet(tmp_path / "l.parquet")
    assert found.crs.to_epsg() == 32645
    assert set(found["source"]) == {"a", "b"}


def test_scenes_of_different_proportions_share_a_layer(tmp_path):
    write_scene(tmp_path / "a.tif")
    write_scene(tmp_path / "b.tif", 24, rows=32)  # its 12 squares: half of them are a's
    params = job([tmp_path / "a.tif", tmp_path / "b.tif"], tmp_path / "l.parquet", "layer")
    assert run(params, segmenter=Bright()).features == 36 + 6


@pytest.mark.parametrize("rule", ["date", "keep"])
def test_scenes_without_an_object_give_an_empty_layer_and_the_reason(tmp_path, rule):
    for name in ("a", "b"):
        write_scene(tmp_path / f"{name}.tif")
    params = job(tmp_path, tmp_path / "l.gpkg", "layer", min_area=1e6, duplicates=rule)
    result = run(params, segmenter=Bright())
    assert (result.features, result.scenes, result.failed) == (0, 2, [])
    assert len(gpd.read_file(tmp_path / "l.gpkg", layer="l")) == 0
    note = "No polygons in 2 scenes. a: 36 objects were found, and all were left out by min_area"
    assert result.warnings[0].startswith(note)


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857", "EPSG:3832"])
def test_scenes_on_both_sides_of_the_date_line_are_compared(tmp_path, crs):
    """The second scene shows the eastern half of the first one, squares on the line among it, in
    longitudes of its own side."""
    step = 5e-6
    for name, left in (("w", 180 - 54 * step), ("e", -180 - 6 * step)):
        place = rasterio.Affine(step, 0, left, 0, -step, 0.0)
        write_scene(tmp_path / f"{name}.tif", crs="EPSG:4326", transform=place)
    write_scene(tmp_path / "far.tif", crs="EPSG:4326", transform=rasterio.Affine.scale(step, -step))
    result = run(job(tmp_path, tmp_path / "l.gpkg", "layer", crs=crs), segmenter=Bright())
    assert result.features == 54 + 36
    assert not result.warnings


def test_scenes_whose_names_hold_several_dates_are_not_of_one_date(tmp_path):
    """a and b are of different years whichever of their dates counts, c may be of b's."""
    for name in ("a_20191023_20191118", "b_20210612_20210815", "c_20210815"):
        path = write_scene(tmp_path / f"{name}.tif")
        with rasterio.open(path, "r+") as file:  # written together, long after
            file.update_tags(TIFFTAG_DATETIME="2022:01:01 00:00:00")
    result = run(job(tmp_path, tmp_path / "l.gpkg", "layer"), segmenter=Bright())
    assert result.features == 36 + 36
    assert set(gpd.read_file(tmp_path / "l.gpkg", layer="l")["date"].fillna("")) == {
        "",
        "2021-08-15",
    }
    assert result.warnings == [
        "2 scenes have no date, because their names hold several (a_20191023_20191118: 2019-10-23, "
        "2019-11-18): leave one in each name, or put a STAC item (NAME.json) beside each raster."
    ]


def test_a_date_that_was_put_right_counts_when_the_run_goes_on(tmp_path):
    for name in ("a_20191023_20191118", "b_20191023"):
        write_scene(tmp_path / f"{name}.tif")
    params = job(tmp_path, tmp_path / "l.gpkg", "layer", job_folder=str(tmp_path / "job"))
    first = run(params, segmenter=Bright())
    assert (first.features, "1 scenes have no date" in first.warnings[0]) == (36, True)
    (tmp_path / "a_20191023_20191118.json").write_text(
        '{"properties": {"datetime": "2022-01-01T00:00:00Z"}}'
    )
    calls = []
    result = run(replace(params, overwrite=True), segmenter=Counted(calls))
    assert (result.features, result.warnings, calls) == (2 * 36, [], [])
    found = gpd.read_file(tmp_path / "l.gpkg", layer="l")
    assert set(found["date"]) == {"2019-10-23", "2022-01-01T00:00:00Z"}


# --- before it is done ---


def test_a_plan_counts_scenes_tiles_and_bytes_and_writes_nothing(scenes, tmp_path):
    (scenes / "broken.tif").write_bytes(b"no raster")
    before = sorted(tmp_path.rglob("*"))
    found = samgeo_core.plan(job(scenes, tmp_path / "l.gpkg", "layer"), segmenter=Bright())
    assert (found.scenes, found.tiles, found.opened) == (5, 4, 5)
    assert found.bad[0].startswith("broken: ")
    assert found.pixel_bytes == 4 * 96 * 96 * 3
    assert found.seconds == pytest.approx(4 * found.seconds_per_tile)
    mosaic = [scenes / f"s{n}_2024-01-0{n + 1}.tif" for n in range(4)]
    whole = samgeo_core.plan(job(mosaic, tmp_path / "l.gpkg", "mosaic"), segmenter=Bright())
    with pytest.raises(ParameterError, match="about classes from examples"):
        samgeo_core.plan(job(mosaic, tmp_path / "l.gpkg", "mosaic", min_class_prob=0.9))
    assert (whole.scenes, whole.rasters, whole.tiles) == (1, 4, 1)
    assert sorted(tmp_path.rglob("*")) == before


def test_scenes_that_are_done_get_the_stac_items_that_they_lack(scenes, tmp_path):
    output, calls = tmp_path / "maps/{scene}.gpkg", []
    run(job(scenes, output), segmenter=Bright())
    layers = sorted((tmp_path / "maps").glob("*.gpkg"))
    asked = job(scenes, output, stac_item=True)
    assert not run(asked, segmenter=Counted(calls)).failed
    items = sorted((tmp_path / "maps").glob("*.stac.json"))
    fresh = job(scenes, tmp_path / "fresh/{scene}.gpkg", stac_item=True)
    run(fresh, segmenter=Bright())
    made = sorted((tmp_path / "fresh").glob("*.stac.json"))
    assert [item.read_bytes() for item in items] == [item.read_bytes() for item in made]
    assert len(items) == len(layers) == 4
    items[0].unlink()
    layers[0].write_bytes(b"of somebody else")
    (scenes / "s1_2024-01-02.json").write_text(
        '{"properties": {"datetime": "2023-05-06T00:00:00Z"}}'
    )
    result = run(asked, segmenter=Counted(calls))
    assert [name.split(":")[0] for name in result.failed] == ["s0_2024-01-01"]
    assert json.loads(items[1].read_text())["properties"]["datetime"] == "2023-05-06T00:00:00Z"
    assert not calls


@pytest.mark.parametrize("suffix", [".gpkg", ".parquet", ".shp", ".fgb", ".geojson"])
def test_a_stac_item_says_where_a_layer_is_and_what_made_it(tmp_path, suffix):
    pystac = pytest.importorskip("pystac")
    raster = write_scene(tmp_path / "a_2024-01-01.tif")
    run(
        job(raster, tmp_path / f"l{suffix}", "mosaic", stac_item=True, min_area=1.5, workers=2),
        segmenter=Bright(),
    )
    item = pystac.Item.from_file(str(tmp_path / "l.stac.json"))
    assert item.datetime.isoformat() == "2024-01-01T00:00:00+00:00"
    assert item.properties["mlm:name"] == "bright"
    assert item.properties["mlm:tasks"] == ["instance-segmentation"]
    assert item.properties["samgeo:model_fingerprint"] == "bright 1"
    assert item.properties["table:row_count"] == 36
    columns = [column["name"] for column in item.properties["table:columns"]]
    assert columns[0] == "id"
    assert len(columns) == 12
    assert item.properties["samgeo:options"] == {"min_area": 1.5}
    assert 85.98 < item.bbox[0] < item.bbox[2] < 86
    assert item.assets["data"].get_absolute_href() == str(tmp_path / f"l{suffix}")
    assert [link.rel for link in item.links if link.rel == "derived_from"] == ["derived_from"]


@pytest.mark.parametrize("suffix", [".gpkg", ".shp", ".geojson", ".fgb", ".parquet"])
def test_a_stac_item_tells_of_every_format(tmp_path, suffix):
    raster, output = write_scene(tmp_path / "a_2024-01-01.tif"), tmp_path / f"l{suffix}"
    run(job(raster, output, "mosaic", stac_item=True), segmenter=Bright())
    item = json.loads((tmp_path / "l.stac.json").read_text())
    assert item["properties"]["table:row_count"] == 36
    assert {"name": "score"} in item["properties"]["table:columns"]
    assert 85.98 < item["bbox"][0] < item["bbox"][2] < 86


def test_a_complete_layer_is_recognised_by_the_same_run_only(tmp_path, monkeypatch):
    """Killed while its folder was removed: the same run is done, another does not replace it."""
    scenes = [write_scene(tmp_path / f"s{n}_2024-01-0{n + 1}.tif", 20.0 * n) for n in range(2)]
    output = tmp_path / "l.gpkg"
    with monkeypatch.context() as patch:
        patch.setattr(run_scenes.JobFolder, "remove", lambda self: None)
        first = run(job(scenes, output, "layer"), segmenter=Bright())
    before = output.read_bytes()
    with pytest.raises(OutputError, match="exists already"):
        run(job(scenes, output, "layer", min_area=3.0), segmenter=Bright())
    assert output.read_bytes() == before
    again = run(job(scenes, output, "layer"), segmenter=Bright())
    assert (again.features, again.scenes, again.layer) == (first.features, 2, first.layer)
    assert output.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir() if "l.gpkg" in p.name) == ["l.gpkg"]


@pytest.mark.parametrize("harm", ["folder", "gone", "bytes"])
def test_a_journal_that_cannot_be_read_is_an_error_and_not_0_polygons(
    scenes, tmp_path, monkeypatch, harm
):
    own = run_scenes._run

    def harmed(stage, scenes, journal, report):
        failed = own(stage, scenes, journal, report)
        journal.__exit__()
        if harm == "bytes":
            journal.path.write_bytes(journal.path.read_bytes().replace(b"s1_", b"s\xff_"))
        else:
            journal.path.rename(journal.path.with_suffix(".away"))
        if harm == "folder":
            journal.path.mkdir()
        return failed

    monkeypatch.setattr(run_scenes, "_run", harmed)
    with pytest.raises(JobError, match=r"scenes\.jsonl cannot be read"):
        run(job(scenes, tmp_path / "maps/{scene}.gpkg"), segmenter=Bright())
