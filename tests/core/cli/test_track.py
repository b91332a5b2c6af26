# SPDX-License-Identifier: GPL-2.0-or-later
"""``samgeo track`` from files to files, with the embedded model."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pytest
from click.testing import CliRunner
from samgeo_core.cli.commands import main

from ..tracking.scenery import layer_of, painted, save, things


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("track")
    shown = things(3)
    rasters = [save(folder / f"land_{2010 + k}-07-01.tif", painted(shown, k)) for k in range(3)]
    layer = layer_of(shown, 0)
    layer = layer[layer["name"].isin(["still", "growing"])]
    layer.to_file(folder / "ponds.gpkg")
    return folder, rasters


def invoke(*arguments):
    return CliRunner().invoke(main, ["track", *map(str, arguments)])


def test_ponds_are_followed_and_written_with_their_tables(files, tmp_path):
    folder, rasters = files
    out = tmp_path / "out.gpkg"
    result = invoke(
        folder / "ponds.gpkg", *rasters, "-o", out, "--id", "name", "--threads", 1, "--json"
    )
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert said["objects"] == 2
    assert said["memory"] is False
    assert said["dates"] == ["2010-07-01", "2011-07-01", "2012-07-01"]
    features = gpd.read_file(out, layer="out")
    assert len(features) == said["present"] == 6
    assert set(features["prompt_type"]) == {"track"}
    long = pd.read_csv(tmp_path / "out_dates.csv")
    assert list(long.columns[:5]) == ["id", "date", "status", "area_m2", "change_m2"]
    assert len(long) == 6
    wide = pd.read_csv(tmp_path / "out_areas.csv", index_col="id")
    assert list(wide.index) == ["still", "growing"]
    assert wide.loc["growing", "2012-07-01"] > 1.2 * wide.loc["growing", "2010-07-01"]
    still = wide.loc["still"]
    assert still.max() < 1.15 * still.min()
    again = invoke(folder / "ponds.gpkg", *rasters, "-o", out, "--id", "name")
    assert again.exit_code == 6
    assert "--overwrite" in again.output


def test_errors_name_the_option_and_leave_nothing(files, tmp_path):
    folder, rasters = files
    out = tmp_path / "out.gpkg"
    for arguments, code, word in (
        (["--at", "2020-01-01"], 2, "2010-07-01, 2011-07-01"),
        (["--id", "nothing"], 2, "no field nothing"),
        (["--bands", "red"], 2, "--bands"),
        (["--memory"], 5, "no memory"),
    ):
        result = invoke(folder / "ponds.gpkg", *rasters, "-o", out, *arguments)
        assert result.exit_code == code, result.output
        assert word in result.output.replace("\n", " ")
    undated = tmp_path / "land.tif"
    undated.write_bytes(rasters[0].read_bytes())
    result = invoke(folder / "ponds.gpkg", undated, rasters[0], "-o", out)
    assert result.exit_code == 3
    assert "--dates" in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["land.tif"]


def test_neither_the_layer_nor_the_dates_are_ever_replaced(files, tmp_path):
    folder, rasters = files
    ponds = tmp_path / "ponds.gpkg"
    ponds.write_bytes((folder / "ponds.gpkg").read_bytes())
    dates = tmp_path / "new_dates.csv"
    rows = [f"{Path(r).name},{2010 + k}-07-01" for k, r in enumerate(rasters)]
    dates.write_text("\n".join(["raster,date", *rows]))
    before = ponds.read_bytes(), dates.read_bytes()
    same = invoke(ponds, *rasters, "-o", ponds, "--overwrite")
    assert same.exit_code == 6
    assert "is also the layer" in same.output
    table = invoke(ponds, *rasters, "-o", tmp_path / "new.gpkg", "--dates", dates, "--overwrite")
    assert table.exit_code == 6
    assert "is also the list of dates" in table.output
    assert (ponds.read_bytes(), dates.read_bytes()) == before
