# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import os
import sqlite3

import geopandas as gpd
import pyogrio
import pytest
import shapely
from samgeo_core.errors import OutputError
from samgeo_core.layers.geopackage_edit import Edits, check_editable, edit_layer


@pytest.fixture
def houses(tmp_path):
    frame = gpd.GeoDataFrame(
        {"name": [f"house {k}" for k in range(4)]},
        geometry=[shapely.box(20 * k, 0, 20 * k + 10, 10) for k in range(4)],
        crs=32645,
    )
    path = tmp_path / "houses.gpkg"
    pyogrio.write_dataframe(frame, path, layer="houses")
    return path


def test_outlines_change_and_ids_attributes_and_the_index_stay_right(houses):
    edits = Edits({2: shapely.box(500, 0, 510, 10)}, (3,), (shapely.box(900, 0, 910, 10),))
    edit_layer(houses, "houses", edits)
    frame = pyogrio.read_dataframe(houses, fid_as_index=True)
    assert frame["name"].dropna().to_dict() == {1: "house 0", 2: "house 1", 4: "house 3"}
    assert list(frame.index) == [1, 2, 4, 5]
    assert pyogrio.read_info(houses, force_feature_count=False)["features"] == 4
    there = pyogrio.read_dataframe(houses, bbox=(495, -5, 520, 15))
    assert list(there["name"]) == ["house 1"]
    assert len(pyogrio.read_dataframe(houses, bbox=(35, -5, 55, 15))) == 0
    # The triggers of the spatial index are there again.
    pyogrio.write_dataframe(
        gpd.GeoDataFrame({"name": ["new"]}, geometry=[shapely.box(0, 50, 5, 55)], crs=32645),
        houses, layer="houses", append=True,
    )  # fmt: skip
    assert len(pyogrio.read_dataframe(houses, bbox=(-1, 49, 6, 56))) == 1


def test_the_extent_grows_without_a_spatial_index_too(houses):
    frame = gpd.GeoDataFrame(geometry=[shapely.box(0, 0, 10, 10)] * 2, crs=32645)
    pyogrio.write_dataframe(frame, houses, layer="plain", SPATIAL_INDEX="NO")
    edit_layer(
        houses,
        "plain",
        Edits({1: shapely.box(-5, 0, 1, 1)}, (), (shapely.box(600, 500, 610, 510),)),
    )
    with sqlite3.connect(houses) as db:
        (extent,) = db.execute(
            "SELECT min_x, min_y, max_x, max_y FROM gpkg_contents WHERE table_name = 'plain'"
        )
    assert extent == (-5, 0, 610, 510)


def test_a_layer_that_is_not_there_leaves_the_file_as_it_was(houses):
    before = houses.read_bytes()
    with pytest.raises(OutputError, match="no layer roofs"):
        edit_layer(houses, "roofs", Edits(deleted=(1,)))
    assert houses.read_bytes() == before


def test_a_feature_that_was_changed_meanwhile_stops_all_changes(houses):
    seen = {1: shapely.box(0, 0, 10, 10), 2: shapely.box(20, 0, 30, 10)}
    edit_layer(houses, "houses", Edits({2: shapely.box(20, 0, 31, 10)}, seen={2: seen[2]}))
    before = houses.read_bytes()
    edits = Edits({1: shapely.box(0, 0, 9, 9), 2: shapely.box(20, 0, 29, 9)}, seen=seen)
    with pytest.raises(OutputError, match=r"feature 2 .* has been changed since it was read"):
        edit_layer(houses, "houses", edits)
    gone = Edits(deleted=(9,), seen={9: seen[1]})
    with pytest.raises(OutputError, match="feature 9"):
        edit_layer(houses, "houses", gone)
    assert houses.read_bytes() == before


def test_rules_of_the_table_that_changes_break_are_named(houses):
    with sqlite3.connect(houses) as db:
        db.execute(
            "CREATE TRIGGER named BEFORE INSERT ON houses WHEN NEW.name IS NULL "
            "BEGIN SELECT RAISE(ABORT, 'no name'); END"
        )
    before = houses.read_bytes()
    added = Edits({1: shapely.box(0, 0, 9, 9)}, added=(shapely.box(0, 0, 1, 1),))
    with pytest.raises(OutputError, match=r"has rules that the changes break \(no name\)"):
        edit_layer(houses, "houses", added)
    assert houses.read_bytes() == before
    edit_layer(houses, "houses", Edits({1: shapely.box(0, 0, 9, 9)}))


def test_shapes_of_several_parts_are_refused_where_the_layer_is_of_single_ones(tmp_path):
    frame = gpd.GeoDataFrame(geometry=[shapely.box(0, 0, 10, 10)], crs=32645)
    path = tmp_path / "houses.gpkg"
    pyogrio.write_dataframe(frame, path, layer="houses", geometry_type="Polygon")
    pyogrio.write_dataframe(frame, path, layer="many", geometry_type="MultiPolygon")
    before = path.read_bytes()
    two = shapely.multipolygons([shapely.box(0, 0, 4, 10), shapely.box(6, 0, 10, 10)])
    with pytest.raises(OutputError, match=r"feature 1 and 1 new one several parts: nothing"):
        edit_layer(path, "houses", Edits({1: two}, added=(two, shapely.box(0, 0, 1, 1))))
    assert path.read_bytes() == before
    edit_layer(path, "houses", Edits({1: shapely.multipolygons([shapely.box(0, 0, 9, 9)])}))
    edit_layer(path, "many", Edits({1: two}, added=(two,)))
    assert pyogrio.read_dataframe(path, layer="houses").geom_type.tolist() == ["Polygon"]
    assert pyogrio.read_dataframe(path, layer="many").geom_type.tolist() == ["MultiPolygon"] * 2


def test_a_layer_that_cannot_be_changed_is_refused_before_the_work(houses, monkeypatch):
    check_editable(houses, "houses")
    shape = shapely.force_3d(shapely.box(0, 0, 1, 1), 7.0)
    high = gpd.GeoDataFrame({"n": [1]}, geometry=[shape], crs=32645)
    high.to_file(houses, layer="high")
    with sqlite3.connect(houses) as db:
        db.execute("UPDATE gpkg_geometry_columns SET z = 1 WHERE table_name = 'high'")
    with pytest.raises(OutputError, match="demands heights"):
        check_editable(houses, "high")
    with pytest.raises(OutputError, match="no layer roofs"):
        check_editable(houses, "roofs")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(OutputError, match="is read-only"):
        check_editable(houses, "houses")
