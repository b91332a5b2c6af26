# SPDX-License-Identifier: GPL-2.0-or-later
"""Objects keep their names through a series in which they move, grow, vanish, return and cross."""

from __future__ import annotations

import datetime

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
from affine import Affine
from samgeo_core.errors import ParameterError, SamGeoWarning
from samgeo_core.layers.provenance import read_provenance
from samgeo_core.tracking.run import track
from scipy.ndimage import binary_erosion

from .scenery import PIXEL, ColourOracle, Thing, layer_of, on_ground, painted, save, things

DATES = ["2009-08-18", "2010-08-29", "2011-07-31", "2012-08-20", "2013-09-26", "2014-08-16"]
LORRIES, MEETING = ("eastward", "southward"), (2, 3)
"""At these dates the two touch, and one lies over the other: the oracle sees one shape."""

CLOUDY, EMPTY, COARSE, OTHER_CRS = 4, 2, 1, 3


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    """Rasters of all dates, the third of another resolution, the fourth of another CRS."""
    folder = tmp_path_factory.mktemp("series")
    shown = things()
    covered = next(t for t in shown if t.name == "covered").shapes[0]
    still = next(t for t in shown if t.name == "still").shapes[0]
    paths = []
    for date, text in enumerate(DATES):
        cloud = shapely.buffer(covered, 6) if date == CLOUDY else None
        empty = shapely.buffer(still, 4) if date == EMPTY else None
        how = {"factor": 2} if date == COARSE else {}
        how |= {"crs": "EPSG:4326"} if date == OTHER_CRS else {}
        pixels = painted(shown, date, cloud)
        paths.append(save(folder / f"land_{text}.tif", pixels, empty=empty, **how))
    return shown, paths


@pytest.fixture(scope="module")
def tracks(series):
    shown, paths = series
    return shown, track(
        layer_of(shown, 0),
        paths[::-1],
        id_field="name",
        label_field="name",
        model=ColourOracle(),
        reach=2,
    )


def test_numbers_of_numpy_dates_and_crs_objects_are_told_in_the_layer(series, tmp_path):
    shown, paths = series
    layer = layer_of(shown, 0)
    output = tmp_path / "tracks.gpkg"
    track(
        layer[layer["name"] == "still"],
        paths[:2],
        output,
        id_field="name",
        model=ColourOracle(),
        bands=np.array([1, 2, 3]),
        resolution=np.float32(1),
        reach=np.int64(2),
        clouds=np.bool_(False),
        crs=layer.crs,
        dates={
            path: datetime.date.fromisoformat(text)
            for path, text in zip(paths[:2], DATES[:2], strict=True)
        },
    )
    told = read_provenance(output)["options"]
    assert told["bands"] == [1, 2, 3]
    assert (told["resolution"], told["reach"], told["clouds"]) == (1, 2, False)
    assert told["crs"] == ":".join(layer.crs.to_authority())
    assert told["dates"][paths[0].name] == DATES[0]


def test_a_reach_that_is_no_number_is_refused():
    for wrong in ("2", -1, float("nan")):
        with pytest.raises(ParameterError, match="reach of objects must be 0 or more, not"):
            track("layer.gpkg", ["raster.tif"], reach=wrong)


def row(tracks, name, date):
    table = tracks.table
    return table[(table["id"] == name) & (table["date"] == DATES[date])].iloc[0]


def test_each_object_has_one_row_a_date_in_order(tracks):
    shown, found = tracks
    assert len(found.table) == len(shown) * len(DATES)
    for _, rows in found.table.groupby("id", sort=False):
        assert list(rows["date"]) == DATES
    assert list(found.areas.columns) == DATES
    assert list(found.areas.index) == [thing.name for thing in shown]


def test_all_names_are_right(tracks):
    shown, found = tracks
    for thing in shown:
        for date in range(len(DATES)):
            seen = row(found, thing.name, date)
            if (thing.name, date) in (("covered", CLOUDY), ("still", EMPTY)):
                assert seen["status"] == "hidden"
                continue
            truth = thing.shapes[date]
            if truth is None:
                assert seen["status"] == "gone", (thing.name, date)
                assert seen["area_m2"] == 0
                continue
            if thing.name in LORRIES and date in MEETING:
                assert seen["status"] in ("present", "hidden")
                continue
            assert seen["status"] == "present", (thing.name, date)
            ground = on_ground(truth)
            shared = seen.geometry.intersection(ground).area
            overlap = shared / seen.geometry.union(ground).area
            least = 0.6 if date == COARSE else 0.75
            assert overlap > least, (thing.name, date, overlap)


def test_of_two_in_one_shape_one_has_it_and_the_other_is_hidden(tracks):
    _, found = tracks
    for date in MEETING:
        assert {row(found, name, date)["status"] for name in LORRIES} == {"present", "hidden"}


def test_areas_and_changes_follow_from_the_shapes(tracks):
    _, found = tracks
    table = found.table
    growing = table[table["id"] == "growing"]
    assert np.allclose(growing["area_m2"].diff().iloc[1:], growing["change_m2"].iloc[1:])
    assert (growing["change_m2"].iloc[1:] > 0).all()
    assert np.isnan(growing["change_m2"].iloc[0])
    # Hidden is neither 0 nor a change; the next date is compared with the last that was seen.
    still = table[table["id"] == "still"]
    assert np.isnan(still["area_m2"].iloc[EMPTY])
    assert abs(still["change_m2"].iloc[EMPTY + 1]) < 0.1 * still["area_m2"].iloc[0]
    assert found.areas.loc["vanishing", DATES[5]] == 0


def test_backwards_gives_what_was_there_before(series):
    shown, paths = series
    found = track(
        layer_of(shown, 5), paths, at=DATES[5], id_field="name", model=ColourOracle(), reach=2
    )
    for name in ("still", "growing", "moving", "returning", "eastward", "southward"):
        thing = next(t for t in shown if t.name == name)
        first = row(found, name, 0)
        assert first["status"] == "present", name
        assert first.geometry.intersection(on_ground(thing.shapes[0])).area > 0.6 * (
            thing.shapes[0].area
        ), name
    assert set(found.table["id"]) == {t.name for t in shown if t.shapes[5] is not None}


def test_an_object_that_crosses_windows_is_one_object_at_each_date(tmp_path, series):
    shown, paths = series
    small = ColourOracle(input_size=64, mask_size=32)  # windows of 32 m; the ponds have up to 40
    found = track(layer_of(shown, 0), paths[:1] + paths[2:3], id_field="name", model=small)
    grown = found.table[(found.table["id"] == "growing")].iloc[1]
    truth = on_ground(next(t for t in shown if t.name == "growing").shapes[2])
    assert grown.geometry.geom_type == "Polygon"
    assert grown.geometry.intersection(truth).area / grown.geometry.union(truth).area > 0.75
    assert truth.length / 4 > 32 * PIXEL  # it does not fit well into one


def test_objects_beyond_the_date_line_are_followed_on_rasters_that_cross_it(tmp_path):
    shown = [thing for thing in things() if thing.name == "still"]
    degrees = Affine(1e-5, 0, 179.9999, 0, -1e-5, 10)
    paths = [save(tmp_path / f"land_{text}.tif", painted(shown, 0)) for text in DATES[:2]]
    for path in paths:
        with rasterio.open(path, "r+") as file:
            file.crs, file.transform = "EPSG:4326", degrees
    shape = shapely.transform(
        shown[0].shapes[0],
        lambda xy: np.column_stack(degrees @ (xy / PIXEL).T) - np.array([360.0, 0.0]),
    )
    found = track(gpd.GeoDataFrame(geometry=[shape], crs=4326), paths, model=ColourOracle())
    assert list(found.table["status"]) == ["present", "present"]
    assert found.table.total_bounds[0] > 180


@pytest.fixture
def pond(tmp_path):
    """Two dates of one pond, and a layer of it."""
    shown = [thing for thing in things() if thing.name == "still"]
    paths = [save(tmp_path / f"land_{text}.tif", painted(shown, 0)) for text in DATES[:2]]
    return layer_of(shown, 0), paths


def test_an_object_without_an_area_is_left_out(pond, tmp_path):
    layer, paths = pond
    x, y = shapely.get_coordinates(layer.geometry[0].centroid)[0]
    shapes = [layer.geometry[0], shapely.Polygon([(x, y), (x + 5, y), (x, y)])]
    with pytest.warns(SamGeoWarning, match="Object flat is left out: it has no area"):
        found = track(
            gpd.GeoDataFrame({"name": ["still", "flat"]}, geometry=shapes, crs=layer.crs),
            paths, tmp_path / "a.gpkg", id_field="name", model=ColourOracle(),
        )  # fmt: skip
    assert found.left_out == (("flat", "it has no area"),)
    assert list(found.table["id"]) == ["still", "still"]


def test_numbers_and_labels_of_fields_with_gaps_are_as_in_the_layer(pond, tmp_path):
    layer, paths = pond
    path = tmp_path / "ponds.gpkg"
    large = 2**60 + 1
    two = gpd.GeoDataFrame(
        {"number": pd.array([5, 6], "Int64"), "gap": pd.array([large, None], "Int64"),
         "name": ["a", None]}, geometry=[layer.geometry[0]] * 2, crs=layer.crs,
    )  # fmt: skip
    two.to_file(path)
    labels = {}
    for field in ("gap", "name"):
        found = track(path, paths, id_field="number", label_field=field, model=ColourOracle())
        labels[field] = dict(zip(found.table["id"], found.table["label"], strict=True))
    assert labels == {"gap": {"5": str(large), "6": ""}, "name": {"5": "a", "6": ""}}
    with pytest.raises(ParameterError, match="1 of the 2 objects have nothing in gap"):
        track(path, paths, id_field="gap", model=ColourOracle())
    with pytest.raises(ParameterError, match="no field geometry: it has number, gap, name"):
        track(path, paths, label_field="geometry", model=ColourOracle())


def rounded(x, y, radius):
    return shapely.Point(x, y).buffer(radius)


class Shrinking(ColourOracle):
    """Of a large part, it answers with the prompt's mask, a little smaller each time."""

    def decode(self, embedding, prompts, *, multimask=True, min_score=None):
        said = super().decode(embedding, prompts, multimask=multimask, min_score=min_score)
        for i in range(len(prompts)):
            if prompts.masks is None:
                row0, col0, row1, col1 = (int(v / 2) for v in prompts.boxes[i])
                asked = np.zeros(said.logits.shape[2:], bool)
                asked[row0:row1, col0:col1] = True
            else:
                asked = prompts.masks[i] > 0
            kept = binary_erosion(asked) & (said.logits[i, 0] > 0)
            if (said.logits[i, 0] > 0).sum() > 1.6 * asked.sum():
                said.logits[i, 0] = np.where(kept, 8, -8)
        return said


def test_a_pond_that_has_become_a_part_of_a_lake_is_hidden_and_does_not_shrink(tmp_path):
    alone, lake = rounded(80, 80, 15), rounded(96, 96, 36)
    shown = [Thing("pond", "pond", [alone, alone, lake, lake, lake, alone])]
    paths = [save(tmp_path / f"land_{d}.tif", painted(shown, k)) for k, d in enumerate(DATES)]
    with pytest.warns(SamGeoWarning, match=r"pond \(2011-07-31, 2012-08-20, 2013-09-26\): grown"):
        found = track(layer_of(shown, 0), paths, id_field="name", model=Shrinking())
    assert list(found.table["status"]) == ["present", "present", *["hidden"] * 3, "present"]
    assert found.areas.iloc[0, 2:5].isna().all()
    assert abs(found.table["change_m2"].iloc[5]) < 0.1 * alone.area


def test_an_object_that_was_given_as_a_part_is_followed_as_one(tmp_path):
    part, lake = rounded(80, 80, 15), rounded(96, 96, 36)
    shown = [Thing("pond", "lake", [lake] * 2)]
    paths = [save(tmp_path / f"land_{d}.tif", painted(shown, k)) for k, d in enumerate(DATES[:2])]
    layer = layer_of([Thing("pond", "part", [part])], 0)
    found = track(layer, paths, id_field="name", model=Shrinking())
    assert list(found.table["status"]) == ["present", "present"]


def test_what_is_gone_and_back_as_it_was_is_warned_of_with_the_option_that_helps(tmp_path):
    still, small = rounded(60, 60, 15), rounded(130, 130, 8)
    ponds = [
        Thing("pond", "unseen", [still, None, still, still, None]),
        Thing("pond", "smaller", [rounded(130, 130, 15), None, small, small, small]),
        Thing("pond", "dry", [rounded(60, 130, 15), None, None, None, None]),
    ]
    paths = [save(tmp_path / f"land_{d}.tif", painted(ponds, k)) for k, d in enumerate(DATES[:5])]
    with pytest.warns(SamGeoWarning) as said:
        found = track(layer_of(ponds, 0), paths, id_field="name", model=ColourOracle())
    assert found.count("gone") == 7
    texts = [w.message.template for w in said if isinstance(w.message, SamGeoWarning)]
    assert len(texts) == 1
    assert texts[0].startswith("unseen (2010-08-29): gone, and back later")
    assert "{option bands}" in texts[0]
