# SPDX-License-Identifier: GPL-2.0-or-later
"""Dates of any resolution and CRS are read on one grid of pixels."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
from affine import Affine
from pyproj import Transformer
from samgeo_core.errors import RasterError
from samgeo_core.raster.raster import open_raster
from samgeo_core.tracking import frames
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


FIJI = "EPSG:32701"
"""UTM 1S: its western edge is the date line."""


def plain(path, crs, transform, side=200):
    """A raster whose values tell the distance to (180, -17), which lies in its middle."""
    rows, cols = np.mgrid[:side, :side] + 0.5
    x, y = transform @ (cols, rows)
    x, y = Transformer.from_crs(crs, FIJI, always_xy=True).transform(x, y)
    east, north = Transformer.from_crs(4326, FIJI, always_xy=True).transform(180.0, -17.0)
    bands = np.clip(np.stack([x - east, y - north, (x - east) / 2]) / 4 + 128, 1, 255)
    with rasterio.open(
        path, "w", driver="GTiff", height=side, width=side, count=3, dtype="uint8", crs=crs,
        transform=transform, nodata=0,
    ) as file:  # fmt: skip
        file.write(np.rint(bands).astype(np.uint8))
    return path


def around(crs, x, y, size):
    return Affine.translation(x, y) @ Affine.scale(size, -size) @ Affine.translation(-100, -100)


@pytest.fixture
def fiji(tmp_path):
    """Four rasters around one place of the date line."""
    east, north = Transformer.from_crs(4326, FIJI, always_xy=True).transform(180.0, -17.0)
    _, web = Transformer.from_crs(4326, 3857, always_xy=True).transform(180.0, -17.0)
    return {
        "utm": ("EPSG:32701", east, north, 2.0),
        "east": ("EPSG:4326", 180.0, -17.0, 2e-5),
        "west": ("EPSG:4326", -180.0, -17.0, 2e-5),
        "web": ("EPSG:3857", 20037508.342789244, web, 2.0),
    }


@pytest.mark.parametrize("first", ["utm", "east", "west", "web"])
@pytest.mark.parametrize("second", ["utm", "east", "west", "web"])
def test_dates_on_both_sides_of_the_date_line_are_seen_whole(tmp_path, fiji, first, second):
    paths = []
    for year, name in ((2010, first), (2011, second)):
        crs, x, y, size = fiji[name]
        paths.append(plain(tmp_path / f"{name}_{year}.tif", crs, around(crs, x, y, size)))
    series = make_series(paths)
    grid = common_grid(series[0], series)
    assert max(grid.width, grid.height) < 250
    frames = [Frame(dated, grid) for dated in series]
    box = PixelBox(grid.height // 2 - 80, grid.width // 2 - 80,
                   grid.height // 2 + 80, grid.width // 2 + 80)  # fmt: skip
    one, other = (frame.read(box) for frame in frames)
    for frame in frames:
        frame.close()
    assert one.valid.all()
    assert other.valid.all()
    assert np.abs(one.pixels.astype(int) - other.pixels).max() <= 1


def test_a_date_in_degrees_is_seen_whole_around_a_pole(tmp_path):
    grid_crs, degrees = "EPSG:3031", "EPSG:4326"
    turn = Affine(1.0, 0, -180.0, 0, -2e-5, -89.998)  # 360 x 100 pixels around the pole
    paths = [tmp_path / "a_2010.tif", tmp_path / "b_2011.tif"]
    for path, crs, transform, (height, width) in (
        (paths[0], grid_crs, Affine(2, 0, -100, 0, -2, 100), (100, 100)),
        (paths[1], degrees, turn, (100, 360)),
    ):
        with rasterio.open(
            path, "w", driver="GTiff", height=height, width=width, count=3, dtype="uint8",
            crs=crs, transform=transform, nodata=0,
        ) as file:  # fmt: skip
            rows = np.mgrid[:height, :width][0]
            values = 1 + rows if crs == degrees else np.full((height, width), 9)
            file.write(np.stack([values] * 3).astype(np.uint8))
    series = make_series(paths)
    grid = common_grid(series[0], series)
    frame = Frame(series[1], grid)
    row, col = (round(each) for each in (~grid.transform @ (0.0, 0.0))[::-1])
    box = PixelBox(row - 40, col - 40, row + 40, col + 40)
    row, _ = frame._places(box)
    frame.close()
    rows, cols = np.mgrid[box.row0 : box.row1, box.col0 : box.col1] + 0.5
    x, y = grid.transform @ (cols, rows)
    _, lat = Transformer.from_crs(grid_crs, degrees, always_xy=True).transform(x, y)
    assert np.abs(row - (turn.f - lat) / 2e-5).max() < 0.1


@pytest.mark.parametrize("step", ["_scale", "transformer"])
def test_a_date_that_is_refused_is_closed(rasters, monkeypatch, step):
    own, others = rasters
    series = make_series([own, others["degrees"]])
    grid = common_grid(series[0], series)
    opened, closed = [], []

    def watched(*args):
        raster = open_raster(*args)
        opened.append(raster)
        close = raster.close
        monkeypatch.setattr(raster, "close", lambda: (closed.append(raster), close()))
        return raster

    def refuse(*args):
        raise RasterError("it has no place")

    monkeypatch.setattr(frames, "open_raster", watched)
    if step == "transformer":
        monkeypatch.setattr(frames, "_scale", lambda *args: 1.0)
    monkeypatch.setattr(frames, step, refuse)
    with pytest.raises(RasterError, match="no place"):
        Frame(series[1], grid)
    assert opened
    assert closed == opened
