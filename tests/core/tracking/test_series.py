# SPDX-License-Identifier: GPL-2.0-or-later
"""When rasters were taken, and which of them make a series."""

from __future__ import annotations

import json
from datetime import datetime, timezone

import numpy as np
import pytest
import rasterio
from affine import Affine
from samgeo_core.errors import ParameterError, RasterError
from samgeo_core.sources.dates import moment_in_name, read_moment
from samgeo_core.tracking.series import make_series, read_dates


def raster(path, *, west=500000.0, crs="EPSG:32632", tags=None, side=8):
    with rasterio.open(
        path, "w", driver="GTiff", height=side, width=side, count=1, dtype="uint8", crs=crs,
        transform=Affine(1, 0, west, 0, -1, 5000000),
    ) as file:  # fmt: skip
        file.write(np.full((1, side, side), 9, np.uint8))
        file.update_tags(**(tags or {}))
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("m_4709963_se_14_1_20090818.tif", "2009-08-18"),
        ("pond_2009-08-18.tif", "2009-08-18"),
        ("2012_07_31-north.tif", "2012-07-31"),
        ("S2A_MSIL2A_20200101T105441_N0213_R051_T32_20200102T120000.SAFE.tif",
         "2020-01-01T10:54:41Z"),
        ("LC08_L1TP_026032_20190904_20200826_02.tif", "2019-09-04"),
        ("ndvi_2014-07.tif", "2014-07"),
        ("ortho2018.tif", "2018"),
        ("tile_12345678.tif", None),
        ("plan_20201350.tif", None),
        ("m_3807708_sw_18_060_20191023_20191118.tif", "2019-10-23"),
        ("swissimage-dop10_2019_2600-1200_0.1_2056.tif", "2019"),
        ("tile_2088_1024.tif", None),
        ("plan_20991231.tif", None),
        ("ortho_2000x2000.tif", None),
        ("ortho_2000x1990_2018.tif", "2018"),
    ],
)  # fmt: skip
def test_dates_are_found_in_names(name, text):
    moment = moment_in_name(name)
    assert (None if moment is None else moment.text) == text


def test_two_dates_in_one_name_are_refused():
    with pytest.raises(RasterError, match="several dates"):
        moment_in_name("change_20100101_20120101.tif")


def test_moments_know_how_precise_they_are():
    year, day = read_moment("2009"), read_moment("2009:08:18")
    assert year.may_be(day)
    assert not day.may_be(read_moment("2009-08-19"))
    assert year.end == datetime(2010, 1, 1, tzinfo=timezone.utc)
    zoned = read_moment("2009-08-18T23:30:00-02:00")
    assert zoned.start == datetime(2009, 8, 19, 1, 30, tzinfo=timezone.utc)
    assert read_moment("2009-02-30") is None
    assert read_moment("soon") is None


def test_rasters_are_sorted_by_date_whatever_tells_it(tmp_path):
    by_tag = raster(tmp_path / "a.tif", tags={"TIFFTAG_DATETIME": "2011:05:01 10:00:00"})
    by_name = raster(
        tmp_path / "b_2010-01-01.tif", tags={"TIFFTAG_DATETIME": "2022:01:01 00:00:00"}
    )
    by_item = raster(tmp_path / "c.tif")
    item = {"type": "Feature", "properties": {"datetime": "2009-03-04T05:06:07Z"}}
    (tmp_path / "c.json").write_text(json.dumps(item))
    given = raster(tmp_path / "d_2010-01-01.tif")
    series = make_series([by_tag, by_name, by_item, given], {"d_2010-01-01.tif": "2012-12"})
    assert [one.moment.text for one in series] == [
        "2009-03-04T05:06:07Z",
        "2010-01-01",
        "2011-05-01T10:00:00Z",
        "2012-12",
    ]


def test_a_missing_a_contradictory_and_a_double_date_are_refused(tmp_path):
    first = raster(tmp_path / "a_2010-01-01.tif")
    with pytest.raises(RasterError, match=r"No date is known of nothing\.tif"):
        make_series([first, raster(tmp_path / "nothing.tif")])
    other = raster(tmp_path / "b_2011-01-01.tif", tags={"ACQUISITION_DATE": "2013-01-01"})
    with pytest.raises(RasterError, match="its tags, but at 2011-01-01 according to its name"):
        make_series([first, other])
    with pytest.raises(RasterError, match="same ground at the same date"):
        make_series([first, raster(tmp_path / "again_2010-01-01.tif")])
    with pytest.raises(RasterError, match="cannot be put in order"):
        make_series([first, raster(tmp_path / "c_2010-01.tif")])
    with pytest.raises(RasterError, match="given twice"):
        make_series([first, first])
    with pytest.raises(RasterError, match="only one date"):
        make_series([first])


def test_neighbours_of_one_date_are_one_mosaic(tmp_path):
    west = raster(tmp_path / "w_2010-01-01.tif")
    east = raster(tmp_path / "e_2010-01-01.tif", west=500008.0)
    later = raster(tmp_path / "x_2011-01-01.tif")
    series = make_series([later, east, west])
    assert [len(one.sources) for one in series] == [2, 1]
    assert series[0].footprint.bounds == (500000, 4999992, 500016, 5000000)


def test_given_dates_must_be_dates_of_given_rasters(tmp_path):
    rasters = [raster(tmp_path / "a_2010-01-01.tif"), raster(tmp_path / "b_2011-01-01.tif")]
    with pytest.raises(ParameterError, match="not understood"):
        make_series(rasters, {"a_2010-01-01.tif": "yesterday"})
    with pytest.raises(ParameterError, match="not among the rasters"):
        make_series(rasters, {"c.tif": "2010-01-01"})
    table = tmp_path / "dates.csv"
    table.write_text("raster,date\na_2010-01-01.tif,2015-01-01\n")
    assert make_series(rasters, read_dates(table))[1].moment.text == "2015-01-01"
    table.write_text("file,when\n")
    with pytest.raises(ParameterError, match="columns raster and date"):
        read_dates(table)


def test_a_raster_without_crs_does_not_mix_with_others(tmp_path):
    rasters = [
        raster(tmp_path / "a_2010-01-01.tif"),
        raster(tmp_path / "b_2011-01-01.tif", crs=None),
    ]
    with pytest.raises(RasterError, match="no coordinate system"):
        make_series(rasters)
