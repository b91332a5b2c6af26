# SPDX-License-Identifier: GPL-2.0-or-later
"""Dates of any resolution and CRS are read on one grid of pixels."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
from affine import Affine
from pyproj import Transformer
from samgeo_core.errors import RasterError
from samgeo_core.tracking.frames import Frame, common_grid
from samgeo_core.tracking.series import make_series
from samgeo_core.types import PixelBox

UTM = "EPSG:32632"
WEST, NORTH = 500000.0, 5000000.0


def ramp(x, y):
    """Three smooth planes over the ground, 1 to 255."""
    return np.clip(
        np.stack([(x - WEST) / 2, (NORTH - y) / 2, (x - WEST + NORTH - y) / 4]) + 20, 1, 255
    )


def write(path, transform, crs, shape, *, empty=None):
    rows, cols = np.mgrid[: shape[0], : shape[1]] + 0.5
    x = transform.a * cols + transform.b * rows + transform.c
    y = transform.d * cols + transform.e * rows + transform.f
    if crs != UTM:
        x, y = Transformer.from_crs(crs, UTM, always_xy=True).transform(x, y)
    values = np.rint(ramp(x, y)).astype(np.uint8)
    if empty is not None:
        values[:, empty[0], empty[1]] = 0
    with rasterio.open(
        path, "w", driver="GTiff", height=shape[0], width=shape[1], count=3, dtype="uint8",
        crs=crs, transform=transform, nodata=0,
    ) as file:  # fmt: skip
        file.write(values)
    return path


@pytest.fixture
def rasters(tmp_path):
    own = write(tmp_path / "a_2010.tif", Affine(2, 0, WEST, 0, -2, NORTH), UTM, (160, 160))
    lon, lat = Transformer.from_crs(UTM, "EPSG:4326", always_xy=True).transform(WEST, NORTH)
    made = {
        "same": (Affine(2, 0, WEST + 40, 0, -2, NORTH - 20), UTM, (120, 120)),
        "coarse": (Affine(5, 0, WEST + 3, 0, -5, NORTH - 1), UTM, (60, 60)),
        "fine": (Affine(0.5, 0, WEST + 20, 0, -0.5, NORTH - 20), UTM, (400, 400)),
        "turned": (
            Affine(2, 0, WEST, 0, -2, NORTH) @ Affine.translation(60, 10) @ Affine.rotation(20),
            UTM,
            (120, 120),
        ),
        "degrees": (Affine(3e-5, 0, lon + 2e-4, 0, -2e-5, lat - 2e-4), "EPSG:4326", (120, 100)),
    }
    return own, {name: write(tmp_path / f"{name}_2011.tif", *how) for name, how in made.items()}


@pytest.mark.parametrize("name", ["same", "coarse", "fine", "turned", "degrees"])
def test_a_pixel_of_the_grid_has_the_value_of_its_place(rasters, name):
    own, others = rasters
    series = make_series([own, others[name]])
    grid = common_grid(series[0], series)
    frame = Frame(series[1], grid)
    box = PixelBox(10, 15, 120, 130)
    seen = frame.read(box)
    frame.close()
    assert seen.valid.sum() > 2000
    rows, cols = np.mgrid[box.row0 : box.row1, box.col0 : box.col1] + 0.5
    t = grid.transform
    truth = ramp(t.a * cols + t.c, t.e * rows + t.f)
    difference = np.abs(np.moveaxis(seen.pixels, -1, 0) - truth)[:, seen.valid]
    # Half a grey level of rounding, twice; and half a level for a quarter of a pixel.
    assert np.percentile(difference, 99) <= 1.5
    assert (seen.pixels[~seen.valid] == 0).all()


def test_the_grid_holds_all_dates_and_starts_on_the_reference_pixels(rasters):
    own, others = rasters
    series = make_series([own, others["turned"]])
    grid = common_grid(series[0], series)
    moved = ~grid.transform @ (WEST, NORTH)
    assert np.allclose(moved, np.round(moved), atol=1e-6)
    xs, ys = zip(*series[1].footprint.exterior.coords, strict=True)
    at = [~grid.transform @ xy for xy in zip(xs, ys, strict=True)]
    assert all(-1e-6 <= c <= grid.width and -1e-6 <= r <= grid.height for c, r in at)


def test_no_data_stay_no_data_and_do_not_darken_their_neighbours(tmp_path, rasters):
    own, _ = rasters
    holed = write(
        tmp_path / "holed_2011.tif",
        Affine(3, 0, WEST + 1, 0, -3, NORTH - 1),
        UTM,
        (100, 100),
        empty=(slice(30, 50), slice(30, 50)),
    )
    series = make_series([own, holed])
    grid = common_grid(series[0], series)
    frame = Frame(series[1], grid)
    box = PixelBox(30, 30, 90, 90)
    seen = frame.read(box)
    inside = PixelBox(50, 50, 70, 70)
    assert not seen.valid[inside.slices(box)].any()
    assert not frame.has_data(inside)
    assert frame.has_data(box)
    rows, cols = np.mgrid[box.row0 : box.row1, box.col0 : box.col1] + 0.5
    truth = ramp(2 * cols + WEST, NORTH - 2 * rows)
    assert np.abs(np.moveaxis(seen.pixels, -1, 0) - truth)[:, seen.valid].max() <= 3
    frame.close()


def test_other_ground_is_refused(tmp_path, rasters):
    own, _ = rasters
    far = write(tmp_path / "far_2011.tif", Affine(2, 0, WEST + 9000, 0, -2, NORTH), UTM, (50, 50))
    series = make_series([own, far])
    with pytest.raises(RasterError, match=r"far_2011\.tif shows other ground"):
        common_grid(series[0], series)
