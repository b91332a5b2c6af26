# SPDX-License-Identifier: GPL-2.0-or-later
"""No command asks a server because a local raster or layer says so: one listens and counts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from click.testing import CliRunner
from samgeo_core.cli.commands import main

from ..sources import test_network as rasters
from ..sources.test_network import Listener, server, write

Make = Callable[..., Path]
__all__ = ["server"]  # a fixture


def ogr_vrt(folder: Path, url: str) -> Path:
    return rasters.vectors(folder, f"/vsicurl/{url}", lambda: folder)


def ogr_vrt_of_an_address(folder: Path, url: str) -> Path:
    return rasters.vectors(folder, url, lambda: folder)


def wfs(folder: Path, url: str) -> Path:
    text = f"<OGRWFSDataSource><URL>{url}/wfs?</URL></OGRWFSDataSource>"
    return write(folder / "a.xml", text)


def linked_crs(folder: Path, url: str) -> Path:
    """GDAL asks the address of a GeoJSON's CRS."""
    square = json.loads(gpd.GeoSeries([shapely.box(0, 0, 1, 1)]).to_json())
    square["crs"] = {"type": "link", "properties": {"href": f"{url}/crs", "type": "ogcwkt"}}
    return write(folder / "a.geojson", json.dumps(square))


def gml_with_a_schema(folder: Path, url: str) -> Path:
    return write(
        folder / "a.gml",
        '<ogr:FeatureCollection xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        f'xsi:schemaLocation="http://ogr.maptools.org/ {url}/a.xsd" '
        'xmlns:ogr="http://ogr.maptools.org/" xmlns:gml="http://www.opengis.net/gml">'
        '<gml:featureMember><ogr:a fid="a.0"><ogr:geom><gml:Polygon srsName="EPSG:32633">'
        "<gml:outerBoundaryIs><gml:LinearRing><gml:coordinates>500005,4999995 500020,4999995 "
        "500020,4999980 500005,4999995</gml:coordinates></gml:LinearRing></gml:outerBoundaryIs>"
        "</gml:Polygon></ogr:geom></ogr:a></gml:featureMember></ogr:FeatureCollection>",
    )


def crs_of_a_vrt(folder: Path, url: str, make: Make) -> Path:
    good = make(np.full((64, 64), 9, np.uint8), "good.tif")
    text = rasters.simple_vrt(str(good)).replace("EPSG:32633", f"{url}/crs")
    return write(folder / "a.vrt", text)


def tiles_of_nasa(folder: Path, url: str, make: Make) -> Path:
    return write(
        folder / "a.mrf",
        f"<MRF_META><CachedSource><Source>/vsicurl/{url}/x.tif</Source></CachedSource><Raster>"
        '<Size x="64" y="64" c="1"/><PageSize x="64" y="64" c="1"/></Raster></MRF_META>',
    )


NOT_ASKED = ("import-labels",)
"""Commands that take no raster: they say something else of it."""

LAYERS = [ogr_vrt, ogr_vrt_of_an_address, wfs, linked_crs, gml_with_a_schema]
RASTERS = [
    *(rasters.vrt, rasters.nested_vrt, rasters.wms_description, rasters.side_file),
    *(rasters.warped, crs_of_a_vrt, tiles_of_nasa),
]


def commands(raster: str, layer: str, folder: Path) -> dict[str, list[str]]:
    """Each command that takes a raster or a layer; what is not under test is good."""
    out = str(folder / "out.gpkg")
    known = ["--class-field", "kind"]
    dates = str(
        write(
            folder / "dates.csv",
            f"raster,date\n{raster},2024-05-06\n{folder / 'later.tif'},2025-05-06\n",
        )
    )
    return {
        "info": ["info", raster],
        "segment": ["segment", raster, out],
        "prompts": ["segment", raster, out, "--prompts", layer],
        "area": ["segment", raster, out, "--area", layer],
        "examples": ["segment", raster, out, "--examples", layer, *known, "--fresh"],
        "like": ["segment", raster, out, "--like", layer, "--fresh"],
        "classify": ["classify", layer, raster, out, "--examples", layer, *known],
        "surfaces": ["surfaces", raster, out, "--examples", layer, *known],
        "roads": ["roads", raster, out, "--strokes", layer],
        "update": ["update", layer, raster, "--output", out],
        "track": [
            "track",
            layer,
            raster,
            str(folder / "later.tif"),
            "--output",
            out,
            "--dates",
            dates,
        ],
        "evaluate": ["evaluate", layer, layer],
        "export-labels": ["export-labels", raster, layer, str(folder / "labels")],
        "train": ["train", raster, layer, "--name", "mine"],
        "import-labels": ["import-labels", raster, out],
    }


@pytest.fixture
def good(tmp_path: Path, make_raster: Make) -> tuple[str, str]:
    raster = make_raster(np.full((64, 64), 9, np.uint8), "ground.tif")
    make_raster(np.full((64, 64), 9, np.uint8), "later.tif")
    frame = gpd.GeoDataFrame(
        {"kind": ["a", "b"]},
        geometry=[shapely.box(x, 4_999_970, x + 8, 4_999_980) for x in (500_010, 500_030)],
        crs="EPSG:32633",
    )
    path = tmp_path / "good.gpkg"
    frame.to_file(path)
    return str(raster), str(path)


@pytest.mark.parametrize("kind", RASTERS)
def test_no_command_asks_the_server_that_a_raster_leads_to(
    kind: Callable[[Path, str, Make], Path], server: Listener, tmp_path: Path,
    make_raster: Make, good: tuple[str, str],
) -> None:  # fmt: skip
    bad = str(kind(tmp_path, server.url, make_raster))
    for name, words in commands(bad, good[1], tmp_path).items():
        if bad not in words or (kind is crs_of_a_vrt and name != "info"):
            continue
        said = CliRunner().invoke(main, words)
        assert server.contacts == [], name
        if kind is crs_of_a_vrt:  # the pixels are there, but not where they lie
            assert "no coordinate system" in said.output
            continue
        assert said.exit_code != 0, (name, said.output)
        assert isinstance(said.exception, SystemExit), (name, said.exception)
        assert "127.0.0.1" in said.output or name in NOT_ASKED, (name, said.output)


@pytest.mark.parametrize("kind", LAYERS)
def test_no_command_asks_the_server_that_a_layer_leads_to(
    kind: Callable[[Path, str], Path], server: Listener, tmp_path: Path, good: tuple[str, str]
) -> None:
    bad = str(kind(tmp_path, server.url))
    for name, words in commands(good[0], bad, tmp_path).items():
        all_read_alike = kind is not linked_crs and name != "evaluate"
        if bad not in words or all_read_alike:
            continue
        said = CliRunner().invoke(main, words)
        assert server.contacts == [], name
        if kind is gml_with_a_schema:  # read without its schema
            assert said.exit_code == 0, said.output
            continue
        assert said.exit_code != 0, (name, said.output)
        assert isinstance(said.exception, SystemExit), (name, said.exception)
        assert "127.0.0.1" in said.output, (name, said.output)
