# SPDX-License-Identifier: GPL-2.0-or-later
"""Secrets of addresses stand nowhere: not in messages, polygons or job folders."""

from __future__ import annotations

import pickle
import warnings

import pytest
from samgeo_core.addresses import without_secrets, without_signature
from samgeo_core.errors import RasterError, SamGeoWarning
from samgeo_core.sources.names import common_name


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no https://me:word@host/a.tif?sig=abc there", "no https://host/a.tif there"),
        (
            "'/vsicurl/https://h/x.tif?se=1&sig=SECRET' is gone",
            "'/vsicurl/https://h/x.tif' is gone",
        ),
        ("/vsicurl?pc=1&url=https%3A%2F%2Fh%2Fx.tif%3Fsig%3DSECRET", "/vsicurl/https://h/x.tif"),
        ("see https://h/a.tif?sig=SECRET).", "see https://h/a.tif)."),
        ("town.tif?X-Amz-Signature=SECRET: not found", "town.tif not found"),
        ("WMS:https://h/wms?token=SECRET", "WMS:https://h/wms"),
        ("PG:dbname=x password=SECRET user=me", "PG:dbname=x password=... user=me"),
        ("<UserPwd>me:SECRET</UserPwd>", "<UserPwd>...</UserPwd>"),
        ("s3://bucket/a.tif#SECRET", "s3://bucket/a.tif"),
        ("403 for ...&sig=SECRET", "403 for ...&sig=..."),
    ],
)
def test_secrets_are_left_out(text: str, shown: str) -> None:
    assert without_secrets(text) == shown
    assert str(RasterError(text)) == shown
    assert str(pickle.loads(pickle.dumps(RasterError(text)))) == shown
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.warn(text, SamGeoWarning, stacklevel=1)
    assert str(caught[0].message) == shown


@pytest.mark.parametrize(
    "text",
    [
        r"C:\maps\a.tif: bad",
        "GPKG:/a/b.gpkg:town",
        "EPSG:32633",
        "/vsizip/{/a/b.zip}/c.tif",
        "Are there? Yes: score=3, me@example.org",
        "a/b?c.tif",
        'NETCDF:"/a/b.nc":v',
    ],
)
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert without_secrets(text) == text


def test_a_new_signature_is_the_same_file_and_another_query_another() -> None:
    base = "https://h/tile?id=7"
    assert without_signature(f"{base}&sig=a&se=2030") == without_signature(f"{base}&sig=b&se=2031")
    assert without_signature(f"{base}&sig=a") != without_signature("https://h/tile?id=8&sig=a")
    signed = "/vsicurl?url=https%3A%2F%2Fh%2Fx.tif%3Fsig%3D"
    assert without_signature(f"{signed}a") == without_signature(f"{signed}b")


def test_the_name_of_a_source_has_no_query() -> None:
    assert common_name(["https://h/town.tif?sig=SECRET"]) == "town.tif"
    assert (
        common_name(["https://h/town.tif?sig=S", "https://h/b.tif?sig=S"]) == "town.tif and 1 more"
    )
