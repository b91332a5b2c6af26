# SPDX-License-Identifier: GPL-2.0-or-later
"""One parser for every spelling of a coordinate reference system."""

from __future__ import annotations

import pytest
import rasterio.crs
from pyproj import CRS
from samgeo_core.earth.crs import (
    declared_crs,
    degrees_per_unit,
    geographic,
    known_crs,
    metres_per_unit,
    raster_crs,
    same_crs,
    transformer,
)
from samgeo_core.errors import ParameterError

SITE = 'LOCAL_CS["site",UNIT["metre",1]]'


@pytest.mark.parametrize(
    "given",
    [
        "EPSG:32633",
        "epsg:32633",
        32633,
        CRS.from_epsg(32633),
        rasterio.crs.CRS.from_epsg(32633),
        CRS.from_epsg(32633).to_wkt("WKT1_GDAL"),
        CRS.from_epsg(32633).to_wkt("WKT1_ESRI"),
        "+proj=utm +zone=33 +datum=WGS84 +units=m +type=crs",
        "urn:ogc:def:crs:EPSG::32633",
        "EPSG:32633+5773",
    ],
)
def test_all_spellings_of_a_crs_put_a_place_at_the_same_spot(given: object) -> None:
    crs = known_crs(given)
    assert crs is not None
    x, y = transformer(CRS.from_epsg(4326), crs).transform(16.0, 48.0)
    assert (x, y) == pytest.approx((574_595.1125, 5_316_784.0092), abs=1e-3)
    assert len(crs.axis_info) == 2


def test_heights_are_left_out_and_axes_are_east_first() -> None:
    for given in ("EPSG:4326", "EPSG:4979", "OGC:CRS84", "EPSG:4326+5773"):
        crs = known_crs(given)
        assert crs is not None
        assert transformer(CRS.from_epsg(32633), crs).transform(5e5, 5.3e6) == pytest.approx(
            (15.0, 47.8533419), abs=1e-6
        )
    assert same_crs(known_crs("EPSG:4326"), known_crs("EPSG:4979"))
    assert same_crs(known_crs("EPSG:7415"), known_crs("EPSG:28992"))


@pytest.mark.parametrize(
    "given", ["nonsense", "", "EPSG:999999", "x\ud800", "a\0b", 10**30, -1, "PROJCS["]
)
def test_what_is_no_crs_is_one_sentence(given: object) -> None:
    with pytest.raises(ParameterError, match="not understood") as caught:
        known_crs(given)
    str(caught.value).encode()  # can be printed anywhere


@pytest.mark.parametrize(
    "given", ["EPSG:4978", "+proj=geocent +ellps=GRS80 +towgs84=0,0,0 +type=crs"]
)
def test_a_geocentric_crs_is_refused(given: str) -> None:
    with pytest.raises(ParameterError, match="is geocentric"):
        known_crs(given)
    with pytest.raises(ParameterError, match="is geocentric"):
        raster_crs(rasterio.crs.CRS.from_user_input(given))


def test_none_and_empty_crs_stay_none() -> None:
    assert known_crs(None) is None
    assert known_crs(rasterio.crs.CRS()) is None
    assert raster_crs(None) is None
    assert declared_crs("") is None
    assert declared_crs('LOCAL_CS["Undefined Cartesian SRS",UNIT["metre",1]]') is None
    assert declared_crs(SITE) is not None


def test_units_are_those_of_the_crs() -> None:
    feet, grads, site = known_crs("EPSG:2263"), known_crs("EPSG:4807"), known_crs(SITE)
    assert feet is not None
    assert grads is not None
    assert site is not None
    assert metres_per_unit(feet) == pytest.approx(0.3048006096)
    assert degrees_per_unit(grads) == pytest.approx(0.9)
    assert geographic(site) is None
    assert raster_crs("EPSG:2263") == rasterio.crs.CRS.from_epsg(2263)
    assert same_crs(site, known_crs(SITE))
    assert not same_crs(site, None)
