# SPDX-License-Identifier: GPL-2.0-or-later
"""Vector files of every kind are read, or refused in one sentence."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from samgeo_core.errors import ParameterError, SamGeoWarning
from samgeo_core.sources.vector_input import VectorInput, open_vector
from shapely.geometry import Point, box

SPOT = Point(500_060, 4_999_940)


@pytest.fixture
def frame() -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame({"name": ["Dächer"]}, geometry=[SPOT], crs=32633)


def opened(path: Path | str, layer: str | None = None) -> VectorInput:
    return open_vector(path, layer, parameter="prompts_layer")


@pytest.mark.parametrize("suffix", [".gpkg", ".shp", ".geojson", ".fgb", ".parquet"])
def test_every_format_is_read_with_its_crs(
    frame: gpd.GeoDataFrame, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"a{suffix}"
    if suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_file(path)
    layer = opened(path)
    found = layer.read()
    assert layer.features == len(found) == 1
    assert found.to_crs(32633).geometry.iloc[0].distance(SPOT) < 0.01
    assert found["name"].tolist() == ["Dächer"]


def test_of_several_layers_one_must_be_named_or_it_is_said(
    frame: gpd.GeoDataFrame, tmp_path: Path
) -> None:
    path = tmp_path / "a.gpkg"
    frame.to_file(path, layer="old")
    frame.iloc[:0].to_file(path, layer="empty")
    assert opened(path).layer == "old"  # no other has features
    frame.to_file(path, layer="new")
    with pytest.warns(SamGeoWarning, match=r"several layers \(old, new\).*prompts_layer"):
        assert opened(path).layer == "old"
    assert opened(path, "new").layer == "new"
    assert opened(f"{path}|layername=new").layer == "new"
    assert opened(f"{path}|layerid=2|geometrytype=Point").layer == "new"
    with pytest.raises(ParameterError, match="no layer 'other'; it has old, empty, new"):
        opened(path, "other")


def test_a_filter_of_qgis_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.gpkg"
    gpd.GeoDataFrame({"n": [1, 2]}, geometry=[SPOT, SPOT], crs=32633).to_file(path)
    assert opened(f'{path}|subset="n" = 2').read()["n"].tolist() == [2]


def test_tables_with_longitudes_are_points_in_wgs_84(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("name,lon,lat\nroof,15.5,45.25\n")
    with pytest.warns(SamGeoWarning, match="WGS 84"):
        layer = opened(path)
    assert layer.crs is not None
    assert layer.read().geometry.iloc[0] == Point(15.5, 45.25)
    (tmp_path / "b.csv").write_text("name\nroof\n")
    with pytest.raises(ParameterError, match="no geometries"):
        opened(tmp_path / "b.csv").read()


def test_a_shapefile_in_another_encoding_or_without_its_index_is_read(
    frame: gpd.GeoDataFrame, tmp_path: Path
) -> None:
    path = tmp_path / "a.shp"
    frame.to_file(path, encoding="ISO-8859-1")
    (tmp_path / "a.cpg").write_text("UTF-8")
    (tmp_path / "a.shx").unlink()
    before = sorted(tmp_path.iterdir())
    layer = opened(path)
    assert layer.read()["name"].tolist() == ["Dächer"]
    assert layer.crs is not None
    assert sorted(tmp_path.iterdir()) == before  # nothing is written beside it
    for suffix in (".prj", ".dbf"):
        path.with_suffix(suffix).unlink()
    assert opened(path).crs is None
    assert opened(path).read().geometry.iloc[0] == SPOT


def test_one_geometry_that_nobody_knows_does_not_stop_the_others(tmp_path: Path) -> None:
    path = tmp_path / "a.gpkg"
    gpd.GeoDataFrame(geometry=[box(0, 0, 1, 1), box(0, 0, 2, 2)], crs=32633).to_file(path)
    tin = bytearray(shapely.to_wkb(box(0, 0, 1, 1)))
    tin[1] = 16  # of a kind (TIN) that GEOS has not
    with closing(sqlite3.connect(path)) as database:
        (blob,) = database.execute("SELECT geom FROM a WHERE fid = 1").fetchone()
        database.execute("DROP TRIGGER IF EXISTS rtree_a_geom_update1")
        for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'"):
            database.execute(f'DROP TRIGGER "{name}"')
        head = blob[: len(blob) - len(shapely.to_wkb(box(0, 0, 1, 1)))]
        database.execute("UPDATE a SET geom = ? WHERE fid = 1", (head + bytes(tin),))
        database.commit()
    found = opened(path).read().geometry
    assert found.isna().tolist() == [True, False]


@pytest.mark.parametrize("suffix", [".gpkg", ".shp", ".geojson", ".fgb", ".parquet", ".csv"])
def test_damaged_files_are_one_sentence(tmp_path: Path, suffix: str) -> None:
    rng = np.random.default_rng(0)
    for number, size in enumerate((0, 10, 5000)):
        path = tmp_path / f"a{number}{suffix}"
        path.write_bytes(rng.bytes(size))
        with pytest.raises(ParameterError):
            opened(path).read()
    with pytest.raises(ParameterError, match="no such file"):
        opened(tmp_path / f"missing{suffix}")


def test_collections_and_gaps_come_through(tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    point = {"type": "Point", "coordinates": [15.0, 45.0, 5.0]}
    shapes = [None, {"type": "GeometryCollection", "geometries": [point]}, point]
    features = [{"type": "Feature", "properties": {}, "geometry": shape} for shape in shapes]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    found = opened(path).read().geometry
    assert found.isna().tolist() == [True, False, False]
