# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import sqlite3
from contextlib import closing

import geopandas as gpd
import numpy as np
import pytest
import shapely
from samgeo_core.errors import OutputError, ParameterError, SamGeoWarning
from samgeo_core.job import RegularizeParameters
from samgeo_core.jobs import regularize
from samgeo_core.jobs.regularize import regularize_layer
from samgeo_core.vectors.local_plane import squared
from samgeo_core.vectors.schema import FIELDS, SHORT_NAMES

from ..layers.typed_fields import carried, save_typed, typed, types_of, values_of


def nothing(stage, done, total):
    assert 0 <= done <= total


def noisy(polygon, rng, step=0.7, sigma=0.15):
    ring = shapely.get_coordinates(shapely.segmentize(polygon.exterior, step))[:-1]
    return shapely.Polygon(ring + rng.normal(0, sigma, ring.shape))


def turned(polygon, angle):
    return shapely.affinity.rotate(polygon, angle)


def test_parameters_of_a_constructor_are_checked_before_anything_is_read(tmp_path):
    for wrong in ({"min_width": -1.0}, {"simplify": float("nan")}, {"method": "squares"}):
        params = RegularizeParameters("missing.gpkg", str(tmp_path / "out.gpkg"), **wrong)
        with pytest.raises(ParameterError, match=f"{next(iter(wrong))} must be"):
            regularize_layer(params, nothing)


@pytest.mark.parametrize("crs", ["EPSG:32633", "EPSG:4326"])
def test_buildings_get_right_angles_and_keep_their_attributes(tmp_path, crs):
    rng = np.random.default_rng(2)
    true = [
        turned(shapely.box(x, 5_300_000, x + 20, 5_300_000 + 12), 11 * k)
        for k, x in enumerate(range(500_000, 500_700, 100))
    ]
    frame = gpd.GeoDataFrame(
        {"id": [f"b{k}" for k in range(7)], "use": ["house"] * 7, "score": [0.9] * 7},
        geometry=[noisy(shape, rng) for shape in true],
        crs="EPSG:32633",
    )
    frame.to_crs(crs).to_file(tmp_path / "in.gpkg")
    result = regularize_layer(
        RegularizeParameters(str(tmp_path / "in.gpkg"), str(tmp_path / "out.gpkg")), nothing
    )
    assert (result["features"], result["changed"]) == (7, 7)
    out = gpd.read_file(tmp_path / "out.gpkg").to_crs("EPSG:32633")
    assert list(out["id"]) == [f"b{k}" for k in range(7)]
    assert set(out["use"]) == {"house"}
    assert out["area_m2"].to_numpy() == pytest.approx(240, rel=0.08)
    for shape, expected in zip(out.geometry, true, strict=True):
        polygon = shape.geoms[0]
        assert shapely.get_num_coordinates(polygon) == 5
        assert polygon.intersection(expected).area / polygon.union(expected).area > 0.9
        a, b, c = shapely.get_coordinates(polygon)[:3]
        cosine = (b - a) @ (c - b) / np.linalg.norm(b - a) / np.linalg.norm(c - b)
        assert abs(cosine) < 0.003


@pytest.mark.parametrize("method", ["rectangles", "centerlines"])
def test_a_field_that_has_a_name_of_ours_by_chance_gets_another(tmp_path, method):
    frame = gpd.GeoDataFrame(
        {"score": ["good"], "tiles": [1.5], "label": [7], "area_m2": ["large"], "width_m": ["x"]},
        geometry=[turned(shapely.box(500_000, 5_300_000, 500_600, 5_300_012), 11)],
        crs="EPSG:32633",
    )
    frame.to_file(tmp_path / "in.gpkg")
    regularize_layer(
        RegularizeParameters(str(tmp_path / "in.gpkg"), str(tmp_path / "out.gpkg"), method=method),
        nothing,
    )
    out = gpd.read_file(tmp_path / "out.gpkg", layer="out").iloc[0]
    assert (out["prompt_score"], out["prompt_tiles"], out["label"]) == ("good", 1.5, "7")
    assert out["width_m"] == ("x" if method == "rectangles" else pytest.approx(12, abs=1))
    assert out["area_m2"] == pytest.approx(7200 if method == "rectangles" else 0, rel=0.01)


def test_a_width_of_the_layers_own_goes_on_where_only_its_case_differs(tmp_path):
    road = shapely.box(500_000, 5_300_000, 500_600, 5_300_012)
    frame = gpd.GeoDataFrame({"Width_M": ["wide"]}, geometry=[road], crs="EPSG:32633")
    frame.to_file(tmp_path / "in.gpkg")
    regularize_layer(
        RegularizeParameters(
            str(tmp_path / "in.gpkg"), str(tmp_path / "out.gpkg"), method="centerlines"
        ),
        nothing,
    )
    out = gpd.read_file(tmp_path / "out.gpkg", layer="out").iloc[0]
    assert (out["width_m"], out["old_Width_M"]) == (pytest.approx(12, abs=1), "wide")


@pytest.mark.parametrize("gap", [0, 3])
@pytest.mark.parametrize("method", ["rectangles", "centerlines"])
def test_fields_keep_their_types_and_values_whichever_batch_has_a_gap(
    tmp_path, monkeypatch, gap, method
):
    monkeypatch.setattr(regularize, "BATCH", 2)
    boxes = [shapely.box(5e5 + 50 * k, 5e6, 5e5 + 50 * k + 20, 5e6 + 10) for k in range(5)]
    given = save_typed(typed(boxes, 32633, gap), tmp_path / "in.gpkg")
    regularize_layer(
        RegularizeParameters(given, str(tmp_path / "out.gpkg"), method=method), nothing
    )
    assert carried(types_of(tmp_path / "out.gpkg", "out"))
    assert values_of(tmp_path / "out.gpkg", "out") == values_of(given, "in")


def test_heights_that_are_not_carried_over_are_said_once(tmp_path, monkeypatch):
    monkeypatch.setattr(regularize, "BATCH", 2)
    boxes = [shapely.box(5e5 + 50 * k, 5e6, 5e5 + 50 * k + 20, 5e6 + 10) for k in range(5)]
    tall = [*shapely.force_3d(boxes[:4], 512.5), boxes[4]]
    gpd.GeoDataFrame(geometry=tall, crs=32633).to_file(tmp_path / "in.gpkg")
    params = RegularizeParameters(str(tmp_path / "in.gpkg"), str(tmp_path / "out.gpkg"))
    with pytest.warns(SamGeoWarning) as said:
        assert regularize_layer(params, nothing)["features"] == 5
    notes = [str(note.message) for note in said]
    assert sum(note.startswith("The heights (Z) of 4 features of ") for note in notes) == 1


def test_places_that_are_not_on_earth_are_left_as_they_are(tmp_path):
    frame = gpd.GeoDataFrame(geometry=[shapely.box(5e5, 5e6, 5e5 + 9, 5e6 + 9)], crs="EPSG:4326")
    frame.to_file(tmp_path / "in.gpkg")
    result = regularize_layer(
        RegularizeParameters(str(tmp_path / "in.gpkg"), str(tmp_path / "out.gpkg")), nothing
    )
    assert result["features"] == 1


def test_a_road_becomes_its_centre_line_with_its_width(tmp_path):
    road = shapely.LineString([(0, 0), (300, 0), (500, 150)]).buffer(6, cap_style="flat")
    frame = gpd.GeoDataFrame({"name": ["A1"], "width_m": [99.0]}, geometry=[road], crs="EPSG:32633")
    frame.to_file(tmp_path / "in.gpkg")
    result = regularize_layer(
        RegularizeParameters(
            str(tmp_path / "in.gpkg"), str(tmp_path / "out.gpkg"), method="centerlines"
        ),
        nothing,
    )
    assert result["features"] == 1
    line = gpd.read_file(tmp_path / "out.gpkg").iloc[0]
    assert line["width_m"] == pytest.approx(12, rel=0.1)
    assert line["name"] == "A1"
    assert line.geometry.length == pytest.approx(550, rel=0.02)
    truth = shapely.LineString([(0, 0), (300, 0), (500, 150)])
    assert line.geometry.hausdorff_distance(truth) < 6


@pytest.mark.parametrize(
    ("crs", "unit", "at"),
    [(32618, 1.0, (583_000, 4_507_000)), (2263, 0.3048006096, (980_000, 200_000)),
     (3857, 0.5, (0, 8_399_737))],
)  # fmt: skip
def test_widths_are_metres_where_the_crs_counts_otherwise(tmp_path, crs, unit, at):
    road = shapely.transform(shapely.box(0, 0, 200, 8), lambda xy: xy / unit + at)
    gpd.GeoDataFrame(geometry=[road], crs=crs).to_file(tmp_path / "in.gpkg")
    options = {"method": "centerlines", "min_width": 7 / unit}  # in units of the CRS
    regularize_layer(
        RegularizeParameters(str(tmp_path / "in.gpkg"), str(tmp_path / "out.gpkg"), **options),
        nothing,
    )
    lines = gpd.read_file(tmp_path / "out.gpkg", layer="out")
    assert lines["width_m"].to_numpy() == pytest.approx([8], rel=0.03)


def test_the_short_names_of_a_shapefile_that_was_written_here_are_known(tmp_path):
    values = {"text": "x", "real": 1.5, "integer": 1}
    row = {SHORT_NAMES.get(field.name, field.name): [values[field.kind]] for field in FIELDS}
    frame = gpd.GeoDataFrame(row, geometry=[shapely.box(0, 0, 20, 10)], crs="EPSG:32633")
    own = frame.drop(columns="tiles")  # of somebody else, who calls a column so by chance
    for name, layer in (("ours", frame), ("own", own)):
        layer.to_file(tmp_path / f"{name}.shp")
        paths = str(tmp_path / f"{name}.shp"), str(tmp_path / f"{name}.gpkg")
        regularize_layer(RegularizeParameters(*paths), nothing)
    found = gpd.read_file(tmp_path / "ours.gpkg", layer="ours")
    assert [*found.columns] == [*(field.name for field in FIELDS), "geometry"]
    assert (found["prompt_type"][0], found["perimeter_m"][0]) == ("x", pytest.approx(60, rel=0.01))
    found = gpd.read_file(tmp_path / "own.gpkg", layer="own")
    assert (found["prompt_typ"][0], found["perim_m"][0]) == ("x", 1.5)


def test_one_polygon_in_degrees_is_squared_in_metres():
    rng = np.random.default_rng(3)
    metre = 1 / 111_195
    house = noisy(turned(shapely.box(0, 0, 24, 12), 20), rng)
    x = np.cos(np.radians(60))
    in_degrees = shapely.transform(house, lambda p: p * metre / np.array([x, 1]) + [15, 60])
    found = squared(in_degrees, "EPSG:4326")
    back = shapely.transform(found, lambda p: (p - [15, 60]) * np.array([x, 1]) / metre)
    assert shapely.get_num_coordinates(back) == 5
    assert back.area == pytest.approx(288, rel=0.05)


def test_right_angles_do_not_lead_beyond_the_raster():
    frame = shapely.box(0, 0, 60, 60)
    house = shapely.affinity.translate(turned(shapely.box(0, 0, 24, 12), 20), -2, 20)
    seen = shapely.intersection(house, frame)
    assert squared(seen, None, 1.5).bounds[0] < -0.5
    inside = squared(seen, None, 1.5, frame)
    assert inside.bounds[0] == 0
    assert inside.area == pytest.approx(seen.area, rel=0.05)
    # A polygon that somebody drew beyond the raster is meant so.
    assert squared(house, None, 1.5, frame).equals(squared(house, None, 1.5))


def test_what_cannot_be_straightened_is_refused(tmp_path):
    points = tmp_path / "points.gpkg"
    gpd.GeoDataFrame(geometry=[shapely.Point(0, 0)], crs=4326).to_file(points)
    for params, error, words in (
        (RegularizeParameters(str(points), "x.gpkg"), ParameterError, "only polygons"),
        (RegularizeParameters("none.gpkg", "x.gpkg"), ParameterError, "cannot be read"),
        (RegularizeParameters(str(points), "x.gpkg", method="bend"), ParameterError, "bend"),
        (RegularizeParameters(str(points), str(points)), OutputError, "another file"),
    ):
        with pytest.raises(error, match=words):
            regularize_layer(params, nothing)


def test_a_layer_that_says_its_crs_is_undefined_is_plain(tmp_path):
    path, out = tmp_path / "in.gpkg", tmp_path / "out.gpkg"
    gpd.GeoDataFrame(geometry=[shapely.box(0, 0, 20, 12)]).to_file(path)
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("UPDATE gpkg_geometry_columns SET srs_id = 0")
        file.execute("UPDATE gpkg_contents SET srs_id = 0")
    regularize_layer(RegularizeParameters(str(path), str(out)), nothing)
    made = gpd.read_file(out)
    assert made["area_m2"].to_numpy() == pytest.approx(240)


@pytest.mark.parametrize("method", ["rectangles", "centerlines"])
def test_polygons_that_no_map_can_show_are_left_out_and_said(tmp_path, method):
    good = shapely.box(500_000, 5_000_000, 500_020, 5_000_010)
    bad = [
        shapely.box(-1e300, -1e300, 1e300, 1e300),
        shapely.Polygon([(5e5, 5e6), (np.inf, 5e6), (5e5, 6e6)]),
        shapely.from_wkt("POLYGON ((0 0, NaN 1, 1 1, 0 0))"),
    ]
    gpd.GeoDataFrame(geometry=[good, *bad], crs=32633).to_file(tmp_path / "in.gpkg")
    params = RegularizeParameters(
        str(tmp_path / "in.gpkg"), str(tmp_path / "out.gpkg"), method=method
    )
    with pytest.warns(SamGeoWarning, match="3 features .* are left out"):
        assert regularize_layer(params, nothing)["features"] == 1


def test_a_damaged_table_beside_a_shapefile_is_no_traceback(tmp_path):
    good = shapely.box(500_000, 5_000_000, 500_020, 5_000_010)
    path = tmp_path / "in.shp"
    gpd.GeoDataFrame({"n": ["a"] * 5}, geometry=[good] * 5, crs=32633).to_file(path)
    whole = path.with_suffix(".dbf").read_bytes()
    for number, damaged in enumerate((b"", whole[:10], whole[:40], whole[:33] + b"\xff" * 40)):
        path.with_suffix(".dbf").write_bytes(damaged)
        params = RegularizeParameters(str(path), str(tmp_path / f"{number}.gpkg"))
        assert regularize_layer(params, nothing)["features"] == 5


def test_the_first_of_several_layers_is_not_taken_without_a_word(tmp_path):
    good = shapely.box(500_000, 5_000_000, 500_020, 5_000_010)
    for name in ("a", "b"):
        gpd.GeoDataFrame(geometry=[good], crs=32633).to_file(tmp_path / "in.gpkg", layer=name)
    params = RegularizeParameters(str(tmp_path / "in.gpkg"), str(tmp_path / "out.gpkg"))
    with pytest.warns(SamGeoWarning, match="several layers"):
        regularize_layer(params, nothing)
