# SPDX-License-Identifier: GPL-2.0-or-later
"""An old layer of the sample town against its picture: what was made different is told."""

from __future__ import annotations

import shutil
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pyproj
import pytest
import rasterio
import samgeo_core
import shapely
from pyproj import CRS
from rasterio.windows import Window
from samgeo_core.changes.common_shift import CommonShift
from samgeo_core.changes.compare import Changes
from samgeo_core.earth.longitude import within_map
from samgeo_core.errors import OutputError, ParameterError, SamGeoWarning
from samgeo_core.job import UpdateParameters
from samgeo_core.jobs.classes.class_layer import place_layer
from samgeo_core.jobs.update import changed_layer, gather_evidence, run_update
from samgeo_core.jobs.update.changed_layer import changed_frame, changed_rows, old_ids
from samgeo_core.jobs.update.gather_evidence import Gathered, without_specks
from samgeo_core.layers.reader import VectorLayer, read_vector
from samgeo_core.layers.writer import LayerWriter
from samgeo_core.masks.job_folder import JobFolder
from samgeo_core.raster.raster import Raster, open_raster
from samgeo_core.vectors.equal_area_plane import EqualAreaPlane
from shapely.affinity import scale, translate
from shapely.geometry import box

from ..layers.typed_fields import carried, save_typed, typed, types_of, values_of
from ..scenes import across_the_date_line

TOWN = Path(__file__).parents[3] / "sample_data"


def test_parameters_of_a_constructor_are_checked_before_anything_is_read(tmp_path):
    for wrong in ({"min_change_prob": 2.0}, {"precision": "fast"}):
        params = UpdateParameters("old.gpkg", ["new.tif"], str(tmp_path / "a.gpkg"), **wrong)
        with pytest.raises(ParameterError, match=f"{next(iter(wrong))} must be"):
            run_update.update_layer(params)


def test_options_may_be_paths_numbers_of_numpy_and_crs_objects(monkeypatch):
    monkeypatch.setattr(run_update, "update_layer", lambda params, **_: params)
    given = {"model": Path("my.pt"), "bands": np.array([1, 2, 3]), "crs": pyproj.CRS("EPSG:4326")}
    params = samgeo_core.update(Path("old.gpkg"), Path("new.tif"), Path("out.gpkg"), **given)
    assert params == UpdateParameters(
        "old.gpkg", ["new.tif"], "out.gpkg", model="my.pt", bands=[1, 2, 3], crs="EPSG:4326"
    )
    with pytest.raises(ParameterError, match="Unknown parameter 'banned'"):
        samgeo_core.update("old.gpkg", "new.tif", "out.gpkg", banned=[1])


@pytest.fixture(scope="module")
def updated(tmp_path_factory):
    """A quarter of the town; its layer lies 2 m off, lacks two houses, has two that are not there
    and three that were smaller.
    """
    folder = tmp_path_factory.mktemp("update")
    with rasterio.open(TOWN / "town.tif") as file:
        window = Window(400, 400, 512, 512)
        place = file.window_transform(window)
        profile = {"driver": "GTiff", "width": 512, "height": 512, "count": 3, "dtype": "uint8",
                   "crs": file.crs, "transform": place}  # fmt: skip
        with rasterio.open(folder / "town.tif", "w", **profile) as out:
            out.write(file.read(window=window))
        bounds = box(*file.window_bounds(window))
    houses = gpd.read_file(TOWN / "town_truth.gpkg", layer="buildings")
    houses = houses[houses.within(bounds)].reset_index(drop=True)
    large = houses.index[(houses.area > 60) & (houses.area < 200)]
    kind = dict.fromkeys(large[:2], "missing") | dict.fromkeys(large[2:5], "smaller")
    free = bounds.buffer(-8).difference(houses.union_all().buffer(3))
    rng = np.random.default_rng(5)
    rows = []
    for k, house in houses.iterrows():
        if kind.get(k) == "missing":
            continue
        shape = scale(house.geometry, 0.72, 0.72) if kind.get(k) == "smaller" else house.geometry
        rows.append((f"house {k}", kind.get(k, "same"), shape))
    shape = houses.geometry[large[5]]
    while sum(row[1] == "nothing" for row in rows) < 2:
        spot = translate(shape, *rng.uniform(-60, 60, 2))
        if free.contains(spot):
            rows.append((f"none {len(rows)}", "nothing", spot))
            free = free.difference(spot.buffer(5))
    names, kinds, shapes = zip(*rows, strict=True)
    old = gpd.GeoDataFrame({"name": names}, geometry=list(shapes), crs=houses.crs)
    old["geometry"] = old.translate(1.4, -1.4)
    path = folder / "old.gpkg"
    pyogrio.write_dataframe(old, path, layer="houses")
    before = path.read_bytes()
    result = samgeo_core.update(
        path, folder / "town.tif", folder / "out.gpkg", id_field="name", threads=1
    )
    return result, np.array(kinds), old, path, before, houses.loc[large[:2]]


def test_the_input_keeps_its_bytes_and_the_shift_of_the_layer_is_said(updated):
    result, _, _, path, before, _ = updated
    assert path.read_bytes() == before
    assert (result.shift_east_m, result.shift_north_m) == pytest.approx((-1.4, 1.4), abs=0.15)


def test_each_polygon_says_what_became_of_it(updated):
    result, kinds, old, _, _, _ = updated
    found = pyogrio.read_dataframe(result.output, layer=result.layer).iloc[: len(old)]
    status = found["status"].to_numpy()
    assert list(found["old_id"]) == list(old["name"])
    assert (status[kinds == "smaller"] == "reshaped").all()
    assert (status[kinds == "nothing"] == "gone").all()
    same = kinds == "same"
    assert (status[same] == "moved").all(), "with the layer"
    assert found["shift_m"][same].median() == pytest.approx(1.98, abs=0.15)
    assert found["own_shift_m"][same].median() < 0.3
    assert found["probability"].between(0, 1).all()


def test_houses_that_the_layer_lacked_are_new(updated):
    result, _, _, _, _, missing = updated
    found = pyogrio.read_dataframe(result.output, layer=result.layer)
    new = found[found["status"] == "new"]
    for shape in missing.geometry:
        overlap = new.intersection(shape).area / new.union(shape).area
        assert overlap.max() > 0.7


def test_the_old_outlines_are_kept_beside_the_new_ones(updated):
    result, _, old, _, _, _ = updated
    before = pyogrio.read_dataframe(result.output, layer=f"{result.layer}_before")
    assert list(before["name"]) == list(old["name"])
    kept = [a.equals(b) for a, b in zip(before.geometry, old.geometry, strict=True)]
    assert all(kept)
    # Who names no layer gets the changes.
    layers = pyogrio.list_layers(result.output)[:, 0].tolist()
    assert layers.index(result.layer) == 0 < layers.index(f"{result.layer}_before")


def test_parts_of_less_than_a_pixel_are_no_parts():
    house, shed, speck = (
        shapely.box(k, 0, k + side, side) for k, side in ((0, 9), (20, 2), (30, 0.05))
    )
    several = shapely.multipolygons([house, shed, speck])
    tiny = shapely.multipolygons([speck, shapely.box(40, 0, 40.1, 0.1)])
    given = np.array([house, several, shapely.multipolygons([speck, house]), tiny], dtype=object)
    found = without_specks(given, 0.25)
    assert found[0] is house
    assert shapely.equals(found[1], shapely.multipolygons([house, shed]))
    assert found[2].geom_type == "Polygon"
    assert shapely.area(found[2:]).tolist() == pytest.approx([81, 0.01])


def test_a_run_that_ended_before_the_old_layer_was_changed_goes_on_and_changes_it(
    updated, tmp_path, monkeypatch
):
    path = tmp_path / "old.gpkg"
    path.write_bytes(updated[4])
    given = {"id_field": "name", "threads": 1, "apply": True}
    arguments = (path, updated[3].parent / "town.tif", tmp_path / "out.gpkg")

    class Killed(BaseException):
        pass

    def kill(*_):
        raise Killed

    write = LayerWriter.write
    with monkeypatch.context() as patch:  # between the old outlines and the new ones
        patch.setattr(
            LayerWriter,
            "write",
            lambda self, frame: kill() if self.layer_name == "out" else write(self, frame),
        )
        with pytest.raises(Killed):
            samgeo_core.update(*arguments, **given)
    assert pyogrio.list_layers(arguments[2])[0, 0] == "out_before"
    with monkeypatch.context() as patch:  # between the new outlines and the old layer
        patch.setattr(run_update, "edit_layer", kill)
        with pytest.raises(Killed):
            samgeo_core.update(*arguments, **given)
    assert path.read_bytes() == updated[4]
    with monkeypatch.context() as patch:  # after all is changed
        patch.setattr(JobFolder, "remove", kill)
        with pytest.raises(Killed):
            samgeo_core.update(*arguments, **given)
    with monkeypatch.context() as patch:
        patch.setattr(run_update, "gather", kill)
        result = samgeo_core.update(*arguments, **given)
    assert result.counts == updated[0].counts
    assert result.applied == sum(result.counts.values())  # none is confirmed as it is
    changed = pyogrio.read_dataframe(path, layer="houses")
    assert len(changed) == len(updated[2]) - result.counts["gone"] + result.counts["new"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["old.gpkg", "out.gpkg"]


def test_a_run_that_was_killed_when_its_layers_were_there_is_done(updated, tmp_path, monkeypatch):
    arguments = (updated[3], updated[3].parent / "town.tif", tmp_path / "out.gpkg")
    given = {"id_field": "name", "threads": 1, "new_objects": False}

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(JobFolder, "remove", killed)
        with pytest.raises(KeyboardInterrupt):
            samgeo_core.update(*arguments, **given)
    with monkeypatch.context() as patch:
        patch.setattr(run_update, "gather", killed)
        result = samgeo_core.update(*arguments, **given)
    assert result.counts["gone"] == updated[0].counts["gone"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.gpkg"]


def test_what_cannot_be_is_refused_before_the_work(updated, tmp_path, monkeypatch):
    _, _, old, path, _, _ = updated
    raster = path.parent / "town.tif"
    monkeypatch.setattr(run_update, "gather", None)
    together = tmp_path / "a.gpkg"
    old.to_file(together, layer="x_before")
    before = together.read_bytes()
    params = UpdateParameters(
        str(together), [str(raster)], str(together), layer="x", overwrite=True
    )
    with pytest.raises(OutputError, match=r"The layer x_before .* is also the old layer"):
        run_update.update_layer(params)
    assert together.read_bytes() == before
    old.set_crs(None, allow_override=True).to_file(tmp_path / "nowhere.gpkg")
    with pytest.raises(ParameterError, match="assign one to both"):
        samgeo_core.update(tmp_path / "nowhere.gpkg", raster, tmp_path / "o.gpkg")
    monkeypatch.setattr(run_update, "_layer_name", lambda _: "view")
    with pytest.raises(OutputError, match="has no layer"):
        samgeo_core.update(path, raster, tmp_path / "o.gpkg", apply=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.gpkg", "nowhere.gpkg"]


def test_polygons_without_a_name_are_called_by_their_feature_id(tmp_path):
    path = tmp_path / "old.gpkg"
    params = UpdateParameters(str(path), ["town.tif"], "out.gpkg", id_field="name")

    def names(values):
        shapes = [box(20 * k, 0, 20 * k + 10, 10) for k in range(len(values))]
        gpd.GeoDataFrame({"name": values}, geometry=shapes, crs="EPSG:32645").to_file(path)
        return old_ids(params, run_update._old_layer(params))

    assert names(["a", None, "", None, "fid 4"]) == ["a", "fid 2", "fid 3", "fid fid 4", "fid 4"]
    assert names([7, None, None]) == ["7", "fid 2", "fid 3"]
    with pytest.raises(ParameterError, match="Several polygons are called 'a' in name"):
        names(["a", None, "a"])


def test_a_warning_names_the_polygon_as_the_output_does(updated, tmp_path):
    _, _, old, path, _, _ = updated
    houses = old.iloc[[0, 1, 2, 3, 4]].copy()
    houses["name"] = ["a", "b", "c", "far", None]
    houses.loc[houses.index[3:], "geometry"] = houses.geometry.iloc[3:].translate(5000, 0)
    houses.to_file(tmp_path / "old.gpkg")
    result = samgeo_core.update(
        tmp_path / "old.gpkg", path.parent / "town.tif", tmp_path / "out.gpkg", id_field="name",
        threads=1, new_objects=False,
    )  # fmt: skip
    said = [note for note in result.warnings if "outside the raster" in note]
    assert said == [f"Polygon {name}: it lies outside the raster." for name in ("far", "fid 5")]
    found = pyogrio.read_dataframe(result.output, layer=result.layer)
    assert list(found["old_id"][found["status"] == "unseen"]) == ["far", "fid 5"]


def test_an_exclamation_mark_or_a_semicolon_in_a_path_is_part_of_it(updated, tmp_path):
    folder = tmp_path / "!work"
    folder.mkdir()
    shutil.copy(updated[3], folder / "old;1.gpkg")
    raster = updated[3].parent / "town.tif"
    result = samgeo_core.update(folder / "old;1.gpkg", raster, folder / "out;1.gpkg", threads=1)
    assert result.counts == updated[0].counts


def test_applying_needs_a_geopackage_and_another_output(updated, tmp_path):
    _, _, old, path, before, _ = updated
    old.to_file(tmp_path / "old.geojson")
    raster = path.parent / "town.tif"
    with pytest.raises(ParameterError, match="changes a GeoPackage in place"):
        samgeo_core.update(tmp_path / "old.geojson", raster, tmp_path / "o.gpkg", apply=True)
    with pytest.raises(ParameterError, match="must be a GeoPackage"):
        samgeo_core.update(path, raster, tmp_path / "o.shp")
    assert path.read_bytes() == before


def test_of_several_old_layers_the_option_that_names_another_is_said(tmp_path):
    houses = gpd.GeoDataFrame(geometry=[box(0, 0, 10, 10)], crs="EPSG:32645")
    for name in ("houses", "fields"):
        houses.to_file(tmp_path / "old.gpkg", layer=name)
    params = UpdateParameters(str(tmp_path / "old.gpkg"), ["town.tif"], "out.gpkg")
    for reads in (run_update._old_layer, run_update._layer_name):
        with pytest.warns(SamGeoWarning, match=r"name another with input_layer\.$"):
            reads(params)


def test_an_old_layer_of_geoparquet_is_called_as_its_file(tmp_path):
    houses = gpd.GeoDataFrame(geometry=[box(0, 0, 10, 10)], crs="EPSG:32645")
    houses.to_parquet(tmp_path / "old.parquet")
    params = UpdateParameters(str(tmp_path / "old.parquet"), ["town.tif"], "out.gpkg")
    assert run_update._layer_name(params) == "old"


def test_polygons_beyond_the_date_line_come_to_a_raster_that_crosses_it(tmp_path):
    path, layer = across_the_date_line(tmp_path)
    with open_raster([path]) as raster:
        (placed,) = place_layer(layer, None, raster).polygons
        old = read_vector(layer)
        visible = gather_evidence._visible(old.shapes, old.crs, raster)
    assert placed.bounds == pytest.approx((60, 60, 70, 80))
    assert list(visible) == [True]


@pytest.mark.parametrize("middle", [180.0, -180.0])
def test_at_the_date_line_polygons_are_seen_and_move_as_anywhere_else(updated, tmp_path, middle):
    """The town's picture and layer around 180 degrees, the layer as GDAL cuts it there."""
    first, _, old, path, _, _ = updated
    with rasterio.open(path.parent / "town.tif") as file:
        pixels, place = file.read(), file.transform
    step = place.a / 111_320.0
    moved = rasterio.Affine(step, 0, middle - 256 * step, 0, -step, 256 * step)
    profile = {"driver": "GTiff", "width": 512, "height": 512, "count": 3, "dtype": "uint8",
               "crs": "EPSG:4326", "transform": moved}  # fmt: skip
    with rasterio.open(tmp_path / "town.tif", "w", **profile) as out:
        out.write(pixels)
    to_degrees = moved @ ~place
    shapes = [
        shapely.transform(shape, lambda xy: np.column_stack(to_degrees @ (xy[:, 0], xy[:, 1])))
        for shape in old.geometry
    ]
    cut = within_map(np.array(shapes), CRS.from_epsg(4326))
    across = np.flatnonzero(shapely.get_num_geometries(cut) > 1)
    assert len(across) > 0
    layer = gpd.GeoDataFrame({"name": old["name"]}, geometry=list(cut), crs="EPSG:4326")
    pyogrio.write_dataframe(layer, tmp_path / "old.gpkg", layer="houses")
    result = samgeo_core.update(
        tmp_path / "old.gpkg", tmp_path / "town.tif", tmp_path / "out.gpkg", id_field="name",
        threads=1,
    )  # fmt: skip
    assert result.counts == first.counts
    frame = pyogrio.read_dataframe(result.output, layer=result.layer)
    before = pyogrio.read_dataframe(first.output, layer=first.layer)
    assert list(frame["status"]) == list(before["status"])
    assert frame.geometry.is_valid.all()
    assert frame.total_bounds[[0, 2]] == pytest.approx([-180, 180])
    there = frame.geometry.iloc[across[0]]
    assert there.area < 4 * cut[across[0]].area
    assert {part.bounds[0] < 0 for part in there.geoms} == {True, False}


def test_parts_that_are_invalid_or_were_cut_become_one_shape():
    bow = shapely.Polygon([(0, 0), (4, 4), (4, 0), (0, 4)])
    star = shapely.Polygon([(1, -1), (2, 5), (5, 0), (-1, 3), (5, 4)])
    cut = shapely.MultiPolygon([box(20, 0, 22, 2), box(24, 0, 26, 2)])
    whole = changed_layer._together(np.array([bow, star, cut]))
    assert whole.is_valid
    assert whole.covers(cut)
    assert changed_layer._together(np.array([cut, box(30, 0, 31, 1)])).area == 9


def test_a_polygon_over_a_large_raster_is_not_read_pixel_by_pixel(tmp_path, monkeypatch):
    side, path = 5000, tmp_path / "large.tif"
    values = np.zeros((1, side, side), np.uint8)
    values[:, :3000] = 100
    with rasterio.open(
        path, "w", driver="GTiff", width=side, height=side, count=1, dtype="uint8", nodata=0,
        crs="EPSG:32632", transform=rasterio.Affine(1, 0, 0, 0, -1, side), compress="deflate",
    ) as file:  # fmt: skip
        file.write(values)
    shapes = np.array([box(5, side - 3000, side, side), box(5, 5, side, side)])
    read, sizes = Raster.read, []

    def counted(raster, window):
        sizes.append(window.area)
        return read(raster, window)

    monkeypatch.setattr(Raster, "read", counted)
    with open_raster([str(path)]) as raster:
        visible = gather_evidence._visible(shapes, raster.crs, raster)
    assert list(visible) == [True, False]
    assert max(sizes) < 5_000_000


def test_heights_that_are_not_carried_over_are_said_once(updated, tmp_path):
    _, _, old, path, _, _ = updated
    tall = old.set_geometry(shapely.force_3d(old.geometry, 512.5))
    tall.to_file(tmp_path / "old.gpkg", layer="houses")
    result = samgeo_core.update(
        tmp_path / "old.gpkg", path.parent / "town.tif", tmp_path / "out.gpkg", threads=1
    )
    heights = f"The heights (Z) of {len(old)} features of the old layer"
    assert sum(note.startswith(heights) for note in result.warnings) == 1
    assert not any("heights" in note for note in updated[0].warnings)


def test_a_reshaped_polygon_keeps_the_part_that_was_not_found_again(updated, tmp_path):
    first, _, old, path, _, _ = updated
    layer = pyogrio.read_dataframe(first.output, layer=first.layer)
    number = layer.index[layer["status"] == "reshaped"][0]
    shed = box(0, 0, 3, 3)
    shape = old.geometry[number]
    shed = translate(shed, shape.bounds[0] - 6, shape.bounds[1])
    old = old.set_geometry(old.geometry.where(old.index != number, shapely.union(shape, shed)))
    old.to_file(tmp_path / "old.gpkg", layer="houses")
    result = samgeo_core.update(
        tmp_path / "old.gpkg", path.parent / "town.tif", tmp_path / "out.gpkg", threads=1
    )
    row = pyogrio.read_dataframe(result.output, layer=result.layer).iloc[number]
    assert row["status"] == "reshaped"
    there = translate(shed, result.shift_east_m, result.shift_north_m)
    assert row.geometry.intersection(there).area > 0.9 * there.area


def test_fields_of_the_old_layer_keep_their_types_beside_new_objects(updated, tmp_path):
    _, _, old, path, _, _ = updated
    given = save_typed(typed(list(old.geometry), old.crs, gap=3), tmp_path / "old.gpkg")
    result = samgeo_core.update(given, path.parent / "town.tif", tmp_path / "out.gpkg", threads=1)
    assert result.counts["new"] > 0
    for layer in (result.layer, f"{result.layer}_before"):
        assert carried(types_of(result.output, layer))
        assert values_of(result.output, layer)[: len(old)] == values_of(given, "old")


@pytest.mark.parametrize("status", ["moved", "reshaped"])
def test_of_several_parts_only_that_which_moved_is_moved_and_that_which_is_gone_goes(
    updated, tmp_path, status
):
    houses = updated[2].geometry.iloc[:2]
    large, small = houses.iloc[0], box(0, 0, 4, 4)
    small = translate(small, large.bounds[2] + 9, large.bounds[1])
    path = tmp_path / "old.gpkg"
    gpd.GeoDataFrame(geometry=[shapely.union(large, small)], crs=houses.crs).to_file(path)
    params = UpdateParameters(str(path), [str(updated[3].parent / "town.tif")], "out.gpkg")
    layer = run_update._old_layer(params)
    plane = EqualAreaPlane(layer.shapes, layer.crs)
    way, own = np.array([3.0, 0.0]), np.array([4.0, 2.0])

    def by(shape, metres):
        return plane.moved(np.array([shape]), layer.crs, np.array([metres]))[0]

    there = {"moved": by(large, way + own), "reshaped": by(small, way)}[status]
    objects = np.array([there])
    moves, one = np.array([own if status == "moved" else 0 * own]), np.ones(1)
    kept = {0: [0]} if status == "reshaped" else {}
    source, none = np.zeros(1, np.int64), np.empty(0)
    changes = Changes(np.array([status], object), one, objects, source, moves, one, {}, kept, {},
                      none.astype(np.int64), none)  # fmt: skip
    gathered = Gathered(None, CommonShift(*way), objects, objects)
    with open_raster(params.rasters) as raster:
        frame = changed_frame(params, layer, {}, plane, raster, gathered, changes, "old")
    expected = [by(small, way)]
    if status == "moved":
        expected.append(there)
    found = shapely.multipolygons(expected)
    assert frame.geometry[0].normalize().equals_exact(found.normalize(), 1e-6)


def test_fields_of_the_old_layer_keep_their_values_whatever_they_are_called(updated, tmp_path):
    _, _, old, path, _, _ = updated
    named = {"status": "built", "Review": "good", "area_m2": "12 m", "old_status": "planned"}
    old.assign(**named).to_file(tmp_path / "old.gpkg", layer="houses")
    result = samgeo_core.update(
        tmp_path / "old.gpkg", path.parent / "town.tif", tmp_path / "out.gpkg", threads=1
    )
    assert any("status is called old_old_status" in note for note in result.warnings)
    for layer in (result.layer, f"{result.layer}_before"):
        found = pyogrio.read_dataframe(result.output, layer=layer).iloc[: len(old)]
        columns = ["old_old_status", "old_Review", "old_area_m2", "old_status"]
        assert (found[columns] == list(named.values())).all(axis=None)
    again = samgeo_core.update(
        result.output, path.parent / "town.tif", tmp_path / "again.gpkg", threads=1,
        input_layer=result.layer,
    )  # fmt: skip
    found = pyogrio.read_dataframe(again.output, layer=again.layer)
    assert set(found["status"]) == set(again.counts)
    assert found["old_Review"].iloc[0] == "good"


def test_of_polygons_that_merged_the_first_is_redrawn_and_the_others_go():
    shapes = np.array([box(9 * k, 0, 9 * k + 8, 8) for k in range(5)], dtype=object)
    one, other = box(0, 0, 17, 8), box(27, 0, 44, 8)
    now = [one, one, shapes[2], other, other]
    layer = VectorLayer("old", shapes, pd.DataFrame(index=[11, 12, 13, 14, 15]), None)
    frame = gpd.GeoDataFrame(
        {"status": ["merged", "merged", "confirmed", "merged", "merged"]}, geometry=now
    )
    edits = changed_rows(UpdateParameters("old.gpkg", ["a.tif"], "b.gpkg"), layer, frame)
    assert (edits.redrawn, edits.deleted) == ({11: one, 14: other}, (12, 15))
    assert sorted(edits.seen) == [11, 12, 14, 15]
