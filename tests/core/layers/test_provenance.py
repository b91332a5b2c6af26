# SPDX-License-Identifier: GPL-2.0-or-later
"""A layer's file tells what made it, in every format, in a way that other programs read."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import xml.etree.ElementTree as ET
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path

import geopandas as gpd
import pyarrow.parquet as pq
import pyogrio
import pytest
from samgeo_core.errors import OutputError
from samgeo_core.job import RegularizeParameters, SegmentParameters, TrackParameters
from samgeo_core.layers.formats import FORMATS
from samgeo_core.layers.provenance import MOST_RASTERS, ModelUsed, provenance, read_provenance
from samgeo_core.layers.writer import LayerWriter
from shapely.geometry import box

pytestmark = pytest.mark.filterwarnings("ignore:.*at most 10 characters")

MODEL = ModelUsed("sam2.1-tiny", "sam2", "5b0c")


def said(**options: object) -> str:
    given = vars(SegmentParameters(["x"], "y", **options))
    return provenance(SegmentParameters, given, rasters=["/home/me/Häuser.tif"], model=MODEL)


TEXT = said(min_area=4.0, words=['roof < 3 & "old"'])


def write(path: Path, text: str = TEXT, x: float = 0.0, **more: object) -> Path:
    more.setdefault("modified", datetime(2024, 1, 1, tzinfo=timezone.utc))
    shape = box(350_000 + x, 3e6, 350_010 + x, 3e6 + 10)
    with LayerWriter(path, 32645, provenance=text, **more) as writer:
        writer.write(gpd.GeoDataFrame({"id": ["a"]}, geometry=[shape], crs=32645))
    return path


# -- the document ----------------------------------------------------------------------------------


def test_only_what_differs_from_the_defaults_is_told_without_folders_and_secrets() -> None:
    params = SegmentParameters(
        ["x"], "/secret/out.gpkg", model="/home/me/own.pt", workers=4, device="cpu", fresh=True,
        min_area=4.0, area="/home/me/area.gpkg", like=["/home/me/roofs.gpkg"], scenes="layer",
        classifier="https://me:word@host/a.samgeo-classes?sig=abc",
    )  # fmt: skip
    rasters = [
        "/home/me/town.tif",
        "/vsicurl/https://me:word@host/b.tif?sig=abc",
        "/vsis3/bucket/c.tif",
    ]
    text = provenance(SegmentParameters, vars(params), rasters=rasters, model=MODEL)
    document = json.loads(text)
    assert document["rasters"] == ["town.tif", "https://host/b.tif", "/vsis3/bucket/c.tif"]
    assert document["options"] == {
        "min_area": 4.0,
        "area": "area.gpkg",
        "like": ["roofs.gpkg"],
        "scenes": "layer",
        "classifier": "https://host/a.samgeo-classes",
    }
    assert document["model"] == vars(MODEL)
    assert document["job"] == "segment"
    assert (document["schema"], document["version"]) == ("samgeo-provenance", 1)


def test_dates_that_are_given_by_raster_name_no_folder() -> None:
    dates = {"/home/me/a.tif": "2024-01-01"}
    document = json.loads(provenance(TrackParameters, {"dates": dates, "reach": 0.5}))
    assert document["options"] == {"dates": {"a.tif": "2024-01-01"}}
    assert document["job"] == "track"


def test_of_many_rasters_the_number_is_told() -> None:
    names = [f"{k}.tif" for k in range(MOST_RASTERS + 5)]
    document = json.loads(provenance(SegmentParameters, {}, rasters=names))
    assert len(document["rasters"]) == MOST_RASTERS
    assert document["raster_count"] == MOST_RASTERS + 5
    assert "model" not in document


def test_what_an_input_tells_of_itself_goes_on(tmp_path: Path) -> None:
    write(tmp_path / "town.gpkg")
    given = f"{tmp_path / 'town.gpkg'}|layername=town"
    for name, layer in ((given, None), (str(tmp_path / "town.gpkg"), "town")):
        text = provenance(RegularizeParameters, {"simplify": 0.5}, layers=[(name, layer)])
        document = json.loads(text)
        assert document["layers"] == [{"name": "town.gpkg", "provenance": json.loads(TEXT)}]
        assert document["options"] == {"simplify": 0.5}
    plain = json.loads(provenance(RegularizeParameters, {}, layers=[("/home/me/old.kml", None)]))
    assert plain["layers"] == [{"name": "old.kml"}]


# -- formats ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_holds_it_and_the_same_layer_has_the_same_bytes(
    tmp_path: Path, suffix: str
) -> None:
    contents = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        path = write(tmp_path / name / f"town{suffix}")
        contents.append({p.name: p.read_bytes() for p in path.parent.iterdir()})
        assert read_provenance(path) == json.loads(TEXT)
    assert contents[0] == contents[1]
    assert read_provenance(write(tmp_path / f"none{suffix}", "")) is None


@pytest.mark.parametrize("suffix", FORMATS)
def test_other_programs_read_it(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"town{suffix}")
    if suffix == ".parquet":
        text = pq.read_schema(path).metadata[b"samgeo_provenance"]
    elif suffix == ".geojson":
        collection = json.loads(path.read_text(encoding="utf-8"))
        assert [f["properties"]["id"] for f in collection["features"]] == ["a"]
        text = json.dumps(collection["samgeo_provenance"])
    elif suffix == ".shp":
        tree = ET.parse(tmp_path / "town.shp.xml")
        text = tree.findtext("dataqual/lineage/procstep/procdesc")
    else:
        text = pyogrio.read_info(path, layer="town")["layer_metadata"]["samgeo_provenance"]
    assert json.loads(text) == json.loads(TEXT)


def test_a_geojson_that_another_program_has_put_on_one_line_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "town.geojson")
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8"))), encoding="utf-8")
    assert read_provenance(path) == json.loads(TEXT)


@pytest.mark.parametrize("content", [b"", b"{}", b"nonsense", b'{"samgeo_provenance": 3}'])
@pytest.mark.parametrize("suffix", FORMATS)
def test_what_cannot_be_read_tells_nothing(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"town{suffix}"
    path.write_bytes(content)
    path.with_suffix(".shp.xml").write_bytes(content)
    assert read_provenance(path) is None
    assert read_provenance(tmp_path / f"missing{suffix}") is None


# -- GeoPackage ------------------------------------------------------------------------------------


def metadata(path: Path) -> list[tuple[str, str]]:
    """Layer and standard of all that is said in a GeoPackage, and no row without the other."""
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        (lost,) = db.execute(
            "SELECT count(*) FROM gpkg_metadata WHERE id NOT IN "
            "(SELECT md_file_id FROM gpkg_metadata_reference)"
        ).fetchone()
        assert lost == 0
        entries = db.execute(
            "SELECT table_name FROM gpkg_extensions WHERE extension_name = 'gpkg_metadata' "
            "ORDER BY 1"
        ).fetchall()
        assert entries == [("gpkg_metadata",), ("gpkg_metadata_reference",)]
        return db.execute(
            "SELECT r.table_name, m.md_standard_uri FROM gpkg_metadata_reference r "
            "JOIN gpkg_metadata m ON m.id = r.md_file_id ORDER BY 1, 2"
        ).fetchall()


GDAL, QGIS = "http://gdal.org", "http://mrcc.com/qgis.dtd"


def test_layers_of_one_file_tell_each_for_itself(tmp_path: Path) -> None:
    path = write(tmp_path / "town.gpkg", layer_name="first")
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(
            "INSERT INTO gpkg_metadata VALUES (7, 'dataset', ?, 'text/xml', '<q/>')", (QGIS,)
        )
        db.execute(
            "INSERT INTO gpkg_metadata_reference VALUES "
            "('table', 'first', NULL, NULL, '2024-01-01T00:00:00.000Z', 7, NULL)"
        )
    other = said(min_area=9.0)
    write(path, other, layer_name="second")
    write(path, "", layer_name="silent")
    assert metadata(path) == [("first", GDAL), ("first", QGIS), ("second", GDAL)]
    assert read_provenance(path, "first") == json.loads(TEXT)
    assert read_provenance(path, "second") == json.loads(other)
    assert read_provenance(path, "silent") is None

    write(path, TEXT, 5.0, layer_name="second", overwrite=True)
    assert metadata(path) == [("first", GDAL), ("first", QGIS), ("second", GDAL)]
    assert read_provenance(path, "second") == json.loads(TEXT)
    write(path, "", 6.0, layer_name="second", overwrite=True)
    assert metadata(path) == [("first", GDAL), ("first", QGIS)]
    assert read_provenance(path, "first") == json.loads(TEXT)


def test_the_same_features_of_another_job_are_told_anew(tmp_path: Path) -> None:
    path = write(tmp_path / "town.gpkg")
    before = path.read_bytes()
    write(path, overwrite=True)
    assert path.read_bytes() == before
    other = said(min_area=9.0)
    write(path, other, overwrite=True)
    assert read_provenance(path) == json.loads(other)
    assert metadata(path) == [("town", GDAL)]


def test_a_geopackage_without_metadata_gets_it(tmp_path: Path) -> None:
    path = write(tmp_path / "town.gpkg", "", layer_name="old")
    write(path, layer_name="new")
    assert metadata(path) == [("new", GDAL)]


# -- Shapefile -------------------------------------------------------------------------------------


def test_a_shapefiles_metadata_go_with_it(tmp_path: Path) -> None:
    path = write(tmp_path / "town.shp")
    sidecar = tmp_path / "town.shp.xml"
    assert sidecar.exists()
    with pytest.raises(OutputError, match="exists already"):
        write(path)
    write(path, "", overwrite=True)
    assert not sidecar.exists()


def test_metadata_that_outlived_their_shapefile_are_no_obstacle(tmp_path: Path) -> None:
    path = write(tmp_path / "town.shp", said(min_area=9.0))
    for other in tmp_path.iterdir():
        if not other.name.endswith(".xml"):
            other.unlink()
    write(path)
    assert read_provenance(path) == json.loads(TEXT)


def test_metadata_of_another_program_are_not_replaced_without_leave(tmp_path: Path) -> None:
    sidecar = tmp_path / "town.shp.xml"
    sidecar.write_text("<metadata><idinfo/></metadata>")
    with pytest.raises(OutputError, match=r"town\.shp\.xml"):
        write(tmp_path / "town.shp")
    assert sidecar.read_text() == "<metadata><idinfo/></metadata>"


def test_the_line_of_the_documentation_reads_it(tmp_path: Path) -> None:
    path = write(tmp_path / "town.gpkg")
    page = (Path(__file__).resolve().parents[3] / "docs" / "python.md").read_text(encoding="utf-8")
    (line,) = [
        line for line in page.splitlines() if line.startswith("python -c") and "prov" in line
    ]
    code = line.removeprefix('python -c "').removesuffix('"')
    made = subprocess.run(
        [sys.executable, "-c", code], cwd=path.parent, capture_output=True, text=True, check=True
    )
    assert "sam2.1-tiny" in made.stdout
