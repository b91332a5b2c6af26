# SPDX-License-Identifier: GPL-2.0-or-later
"""STAC documents, patterns and lists as rasters; rasters over HTTP ranges."""

import json

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from samgeo_core.errors import ParameterError, RasterError
from samgeo_core.jobs.run import run
from samgeo_core.raster.raster import open_raster
from samgeo_core.sources.names import expand_sources
from samgeo_core.sources.scenes import find_scenes, signed
from samgeo_core.testing.bright import Bright

from ..jobs.scenes.made import job, write_scene
from ..range_server import RangeServer

pytest.importorskip("pystac")


def item(name, assets, date="2024-01-01T00:00:00Z"):
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "geometry": None,
        "properties": {"datetime": date},
        "links": [],
        "assets": {
            key: {"href": href, "type": "image/tiff; application=geotiff; profile=cloud-optimized"}
            for key, href in assets.items()
        },
    }


def catalogue(folder, names, **more):
    """A static catalogue with one item in a folder of its own for each raster beside it."""
    links = []
    for name in names:
        (folder / name).mkdir()
        values = item(name, {"image": f"../{name}.tif"}, **more)
        (folder / name / f"{name}.json").write_text(json.dumps(values))
        links.append({"rel": "item", "href": f"./{name}/{name}.json"})
    root = {"type": "Catalog", "stac_version": "1.0.0", "id": "c", "description": "c"}
    (folder / "catalog.json").write_text(json.dumps({**root, "links": links}))
    return folder / "catalog.json"


@pytest.fixture
def folder(tmp_path):
    for number, name in enumerate(("one", "two", "three")):
        write_scene(tmp_path / f"{name}.tif", 48.0 * number)
    return tmp_path


def test_a_catalogue_an_item_and_a_search_result_give_their_rasters(folder):
    root = catalogue(folder, ["one", "two", "three"])
    scenes = find_scenes([str(root)])
    assert [(s.id, s.date) for s in scenes] == [(n, "2024-01-01") for n in ("one", "two", "three")]
    assert [s.source for s in scenes] == [str(folder / f"{s.id}.tif") for s in scenes]
    assert expand_sources(folder / "two" / "two.json") == (str(folder / "two.tif"),)
    second = {"type": "FeatureCollection", "features": [item("b", {"image": "two.tif"})]}
    (folder / "p2.json").write_text(json.dumps(second))
    first = {"type": "FeatureCollection", "features": [item("a", {"image": "one.tif"})]}
    first["links"] = [{"rel": "next", "href": "p2.json"}]
    (folder / "p1.json").write_text(json.dumps(first))
    assert [s.id for s in find_scenes([str(folder / "p1.json")])] == ["a", "b"]
    with open_raster(root) as mosaic:
        assert mosaic.shape == (96, 288)


def test_files_of_this_machine_are_found_by_escaped_addresses_too(folder):
    place = folder / "My Folder"
    place.mkdir()
    for name in ("bß.tif", "50%.tif", "50%25.tif"):
        write_scene(place / name)
    document = folder / "one.json"
    for href, name in [
        ("./My%20Folder/b%C3%9F.tif", "bß.tif"),
        ("My Folder/bß.tif", "bß.tif"),
        ((place / "bß.tif").as_uri(), "bß.tif"),
        (f"file://localhost{place}/bß.tif", "bß.tif"),
        ("My Folder/50%.tif", "50%.tif"),
        ("My Folder/50%25.tif", "50%25.tif"),  # as it is goes before
    ]:
        document.write_text(json.dumps(item("one", {"image": href})))
        assert [scene.source for scene in find_scenes([str(document)])] == [str(place / name)]
    links = [{"rel": "item", "href": "./My%20Folder/one.json"}]
    document.rename(place / "one.json")
    (place / "one.json").write_text(json.dumps(item("one", {"image": "b%C3%9F.tif"})))
    root = {"type": "Catalog", "stac_version": "1.0.0", "id": "c", "description": "c"}
    (folder / "catalog.json").write_text(json.dumps({**root, "links": links}))
    (found,) = find_scenes([str(folder / "catalog.json")])
    assert found.source == str(place / "bß.tif")


def test_the_asset_is_chosen_or_asked_for(folder):
    path = folder / "i.json"
    path.write_text(json.dumps(item("i", {"red": "one.tif", "nir": "two.tif"})))
    with pytest.raises(ParameterError, match=r"several rasters \(nir, red\).*asset"):
        expand_sources(path)
    assert expand_sources(path, asset="nir") == (str(folder / "two.tif"),)
    with pytest.raises(ParameterError, match="no asset 'green'"):
        expand_sources(path, asset="green")
    path.write_text(json.dumps(item("i", {"red": "one.tif", "visual": "two.tif"})))
    assert expand_sources(path) == (str(folder / "two.tif"),)


def test_a_document_leads_to_servers_only_where_that_is_allowed(folder):
    path = folder / "i.json"
    path.write_text(json.dumps(item("i", {"image": "http://127.0.0.1:9/x.tif?sig=hush"})))
    with pytest.raises(RasterError, match="allow_remote") as caught:
        open_raster(path)
    assert "hush" not in str(caught.value)
    assert expand_sources(path, remote=True) == ("/vsicurl/http://127.0.0.1:9/x.tif?sig=hush",)
    path.write_text(json.dumps(item("i", {"image": "file:///etc/passwd"})))
    with (
        RangeServer(folder) as server,
        pytest.raises(RasterError, match="a file of this machine"),
    ):
        expand_sources(f"{server.url}/i.json")


def test_other_json_is_no_catalogue(folder):
    (folder / "a.json").write_text('{"type": "Feature"}')
    with pytest.raises(RasterError, match="cannot be opened"):
        open_raster(folder / "a.json")


def test_patterns_and_lists(folder):
    assert expand_sources(str(folder / "t*.tif")) == (
        str(folder / "three.tif"),
        str(folder / "two.tif"),
    )
    (folder / "list.txt").write_text("# tiles\ntwo.tif\n\none.tif\n")
    assert expand_sources(folder / "list.txt") == (str(folder / "two.tif"), str(folder / "one.tif"))
    (folder / "list.txt").write_text("https://127.0.0.1:9/a.tif\n")
    with pytest.raises(RasterError, match="allow_remote"):
        expand_sources(folder / "list.txt")
    with pytest.raises(RasterError, match="check the pattern"):
        expand_sources(str(folder / "x*.tif"))


def test_a_virtual_mosaic_stands_for_its_scenes(folder):
    from samgeo_core.sources.mosaic import describe_part, mosaic_vrt

    parts = []
    for name in ("one", "two"):
        with rasterio.open(folder / f"{name}.tif") as dataset:
            parts.append(describe_part(str(folder / f"{name}.tif"), dataset))
    (folder / "all.vrt").write_text(mosaic_vrt(parts).document)
    assert [s.id for s in find_scenes([str(folder / "all.vrt")])] == ["one", "two"]


def sign(address):
    return f"{address}?token=t"


def test_addresses_are_signed_by_a_function(folder):
    hook = f"{__name__}:sign"
    assert signed("/vsicurl/https://h/a.tif", hook) == "/vsicurl/https://h/a.tif?token=t"
    assert signed(str(folder / "one.tif"), hook) == str(folder / "one.tif")
    with pytest.raises(ParameterError, match="module:function"):
        signed("/vsicurl/https://h/a.tif", "nowhere:sign")


def test_three_ways_over_http_agree_and_read_little_more_than_the_files(folder):
    names = ["one", "two", "three"]
    size = sum((folder / f"{name}.tif").stat().st_size for name in names)
    catalogue(folder, names)
    found = {}
    with RangeServer(folder, failing=True) as server:
        addresses = [f"{server.url}/{name}.tif" for name in names]
        for key, rasters, way, workers in (
            ("mosaic", addresses, "mosaic", 2),
            ("layer", addresses, "layer", 1),
            ("stac", [f"{server.url}/catalog.json"], "layer", 1),
        ):
            output = folder / f"{key}.parquet"
            result = run(job(rasters, output, way, workers=workers), segmenter=Bright())
            assert not result.failed
            sent = server.sent()
            read = sum(count for name, count in sent.bytes.items() if name.endswith(".tif"))
            assert read <= 1.2 * size, key
            found[key] = gpd.read_parquet(output)
        assert sent.refused >= 3  # each was asked again
    for frame in found.values():
        assert len(frame) == 3 * 36
    shapes = {key: sorted(frame.geometry.to_wkb(hex=True)) for key, frame in found.items()}
    assert shapes["layer"] == shapes["stac"]
    areas = {key: np.sort(frame.geometry.area) for key, frame in found.items()}
    assert np.allclose(areas["mosaic"], areas["layer"])
    assert set(found["stac"]["date"]) == {"2024-01-01"}
