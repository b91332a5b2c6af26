# SPDX-License-Identifier: GPL-2.0-or-later
"""GeoParquet as a folder of parts: one data set, whole or not at all, replaced only with leave."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyarrow.parquet as pq
import pytest
from samgeo_core.errors import OutputError, ParameterError
from samgeo_core.jobs.run import run
from samgeo_core.layers.provenance import read_provenance
from samgeo_core.layers.publish import output_digest
from samgeo_core.layers.writer import LayerWriter
from samgeo_core.testing.bright import Bright
from shapely.geometry import box

from ..jobs.scenes.made import job, write_scene


def write(path: Path, batches: tuple[int, ...] = (5, 8), size: int = 4, **more: object) -> None:
    first = 0
    with LayerWriter(path, 32645, part_size=size, **more) as writer:
        for count in batches:
            at = range(first, first + count)
            shapes = [box(350_000 + 20 * k, 3e6, 350_010 + 20 * k, 3e6 + 10) for k in at]
            names = [f"{k:02d}" for k in at]
            writer.write(gpd.GeoDataFrame({"id": names}, geometry=shapes, crs=32645))
            first += count


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_parts_are_one_data_set_in_order(tmp_path: Path) -> None:
    path = tmp_path / "town.parquet"
    write(path)
    names = [f"part-000{k}.parquet" for k in range(4)]
    assert sorted(contents(path)) == names
    rows = [pq.read_metadata(path / name).num_rows for name in names]
    assert rows == [4, 4, 4, 1]
    whole = gpd.read_parquet(path)
    assert whole["id"].tolist() == [f"{k:02d}" for k in range(13)]
    assert whole.crs.to_epsg() == 32645
    for name in names:
        part = gpd.read_parquet(path / name)
        column = json.loads(pq.read_schema(path / name).metadata[b"geo"])["columns"]["geometry"]
        assert np.allclose(column["bbox"], part.total_bounds)
        assert column["covering"]["bbox"]["xmin"] == ["bbox", "xmin"]
    near = gpd.read_parquet(path, bbox=(350_100, 3e6, 350_105, 3e6 + 1))
    assert near["id"].tolist() == ["05"]
    assert [one.name for one in tmp_path.iterdir()] == ["town.parquet"]


def test_how_features_arrive_does_not_matter(tmp_path: Path) -> None:
    for name, batches in (("a", (13,)), ("b", (1, 12)), ("c", (5, 8))):
        write(tmp_path / f"{name}.parquet", batches)
    first = contents(tmp_path / "a.parquet")
    assert first == contents(tmp_path / "b.parquet") == contents(tmp_path / "c.parquet")


def test_an_empty_layer_has_one_part(tmp_path: Path) -> None:
    write(tmp_path / "none.parquet", ())
    assert list(contents(tmp_path / "none.parquet")) == ["part-0000.parquet"]
    assert len(gpd.read_parquet(tmp_path / "none.parquet")) == 0


def test_a_folder_is_replaced_only_with_leave_and_only_one_of_parts(tmp_path: Path) -> None:
    path = tmp_path / "town.parquet"
    write(path)
    before = contents(path)
    with pytest.raises(OutputError, match="exists already"):
        write(path)
    write(path, (3,), overwrite=True)
    assert list(contents(path)) == ["part-0000.parquet"]
    (path / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"holds notes\.txt"):
        write(path, overwrite=True)
    assert (path / "notes.txt").read_text() == "mine"
    (path / "notes.txt").unlink()
    with pytest.raises(OutputError, match="is a folder"):
        LayerWriter(path, 32645, overwrite=True)
    write(path, overwrite=True)
    assert contents(path) == before
    with pytest.raises(OutputError, match="part_size"):
        write(tmp_path / "town.gpkg")
    assert [one.name for one in tmp_path.iterdir()] == ["town.parquet"]


def test_a_failure_leaves_the_old_parts(tmp_path: Path) -> None:
    path = tmp_path / "town.parquet"
    write(path)
    before = contents(path)
    with pytest.raises(RuntimeError), LayerWriter(path, 32645, part_size=2, overwrite=True):
        raise RuntimeError
    assert contents(path) == before
    assert [one.name for one in tmp_path.iterdir()] == ["town.parquet"]


def test_a_job_gives_the_same_parts_for_any_number_of_workers(tmp_path: Path) -> None:
    raster = write_scene(tmp_path / "a_2024-01-01.tif")
    found = []
    for workers in (1, 2):
        output = tmp_path / str(workers) / "town.parquet"
        output.parent.mkdir()
        more = {"part_size": 10, "tile_size": 64, "margin": 16, "stac_item": True}
        run(job(raster, output, "mosaic", workers=workers, **more), segmenter=Bright())
        item = json.loads((output.parent / "town.stac.json").read_text())
        assert item["properties"]["table:row_count"] == 36
        assert item["bbox"][0] < item["bbox"][2]
        assert read_provenance(output)["options"]["part_size"] == 10
        assert output_digest(output, "town")
        found.append(contents(output))
    assert list(found[0]) == [f"part-000{k}.parquet" for k in range(4)]
    assert found[0] == found[1]


def test_scenes_share_a_folder_of_parts_and_none_has_one_of_its_own(tmp_path: Path) -> None:
    rasters = [
        write_scene(tmp_path / "a_2024-01-01.tif"),
        write_scene(tmp_path / "b_2024-01-02.tif", 500),
    ]
    output = tmp_path / "town.parquet"
    result = run(job(rasters, output, "layer", part_size=50), segmenter=Bright())
    assert result.features == 72
    assert list(contents(output)) == ["part-0000.parquet", "part-0001.parquet"]
    assert set(gpd.read_parquet(output)["date"]) == {"2024-01-01", "2024-01-02"}
    with pytest.raises(ParameterError, match="part_size"):
        run(job(rasters, tmp_path / "{scene}.parquet", part_size=50), segmenter=Bright())


def test_a_part_that_is_read_is_not_replaced(tmp_path: Path) -> None:
    raster = write_scene(tmp_path / "a_2024-01-01.tif")
    output = tmp_path / "town.parquet"
    run(job(raster, output, "mosaic", part_size=50), segmenter=Bright())
    before = contents(output)
    again = job(raster, output, "mosaic", part_size=50, overwrite=True,
                area=str(output / "part-0000.parquet"))  # fmt: skip
    with pytest.raises(OutputError, match="area of interest"):
        run(again, segmenter=Bright())
    assert contents(output) == before
