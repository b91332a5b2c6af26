# SPDX-License-Identifier: GPL-2.0-or-later
"""A raster is read as it is, at any resolution, with one stretch, and says where it has data."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from rasterio.control import GroundControlPoint
from rasterio.rpc import RPC
from rasterio.warp import transform as warp
from samgeo_core.errors import ParameterError, RasterError, SamGeoWarning
from samgeo_core.raster.raster import Raster, RasterOptions, open_raster
from samgeo_core.raster.stretch import Stretch
from samgeo_core.types import PixelBox

Make = Callable[..., Path]
RNG = np.random.default_rng(4)
pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
RGB = RNG.integers(1, 256, (3, 60, 80), dtype=np.uint8)


def whole(path: Path, **options: object) -> tuple[np.ndarray, np.ndarray]:
    with open_raster(path, RasterOptions(**options)) as raster:
        window = raster.read(raster.bounds)
    return window.pixels, window.valid


# -- bands -----------------------------------------------------------------------------------------


def test_bytes_of_a_picture_come_back_unchanged(make_raster: Make) -> None:
    pixels, valid = whole(make_raster(RGB, photometric="RGB"))
    assert np.array_equal(pixels, np.moveaxis(RGB, 0, -1))
    assert valid.all()


def test_colour_interpretation_orders_the_bands(make_raster: Make) -> None:
    path = make_raster(RGB[::-1], colours=("blue", "green", "red"))
    assert np.array_equal(whole(path)[0], np.moveaxis(RGB, 0, -1))


def test_bands_that_are_asked_for_come_in_that_order(make_raster: Make) -> None:
    pixels, _ = whole(make_raster(RGB, photometric="RGB"), bands=(3, 1, 2))
    assert np.array_equal(pixels, np.moveaxis(RGB[[2, 0, 1]], 0, -1))


@pytest.mark.parametrize("bands", [1, 2])
def test_one_or_two_bands_are_a_grey_picture_of_the_first(make_raster: Make, bands: int) -> None:
    pixels, _ = whole(make_raster(RGB[:bands]))
    assert np.array_equal(pixels, np.repeat(RGB[0][:, :, None], 3, axis=2))


def test_many_bands_without_names_show_the_first_three_but_never_alpha(make_raster: Make) -> None:
    data = RNG.integers(1, 256, (5, 20, 20), dtype=np.uint8)
    data[1] = 255
    path = make_raster(data, colours=("gray", "alpha", "undefined", "undefined", "undefined"))
    with open_raster(path) as raster:
        assert raster.info.used_bands == (1, 3, 4)


def test_a_palette_becomes_its_colours_and_its_transparent_entries_nodata(
    make_raster: Make,
) -> None:
    index = np.array([[0, 1], [2, 1]], np.uint8)
    palette = {0: (10, 20, 30, 255), 1: (200, 100, 50, 255), 2: (9, 9, 9, 0)}
    pixels, valid = whole(make_raster(index, palette=palette, photometric="palette"))
    assert pixels[0, 0].tolist() == [10, 20, 30]
    assert pixels[1, 1].tolist() == [200, 100, 50]
    # GeoTIFF palettes keep no alpha, so this holds for formats that do.
    assert valid[0].all()


@pytest.mark.parametrize("bands", [(4, 1, 2), (0,), (1, 2), ()])
def test_bands_that_do_not_exist_or_make_no_picture_are_refused(
    make_raster: Make, bands: tuple[int, ...]
) -> None:
    with pytest.raises(ParameterError, match=r"[Bb]and"):
        open_raster(make_raster(RGB), RasterOptions(bands=bands))


# -- data types ------------------------------------------------------------------------------------

TYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"]


@pytest.mark.parametrize("dtype", [*TYPES, "float32", "float64"])
def test_a_ramp_of_any_type_becomes_a_ramp_of_greys(make_raster: Make, dtype: str) -> None:
    kind = np.dtype(dtype)
    top = 100 if kind.itemsize == 1 else 30_000
    ramp = np.linspace(0 if kind.kind == "u" else -top, top, 64 * 64).reshape(64, 64).astype(kind)
    pixels, valid = whole(make_raster(ramp), percentiles=(0.0, 100.0))
    assert valid.all()
    assert pixels.min() == 0
    assert pixels.max() == 255
    assert (np.diff(pixels[..., 0].ravel().astype(int)) >= 0).all()
    assert abs(float(pixels.mean()) - 127.5) < 2


def test_small_contrast_on_a_large_offset_survives(make_raster: Make) -> None:
    ramp = (5_800_000_000 + np.arange(64 * 64).reshape(64, 64) % 200).astype(np.int64)
    assert len(np.unique(whole(make_raster(ramp))[0])) > 150


def test_complex_values_show_their_magnitude(make_raster: Make) -> None:
    size = np.linspace(1, 100, 400).reshape(20, 20)
    data = (size * np.exp(1j * RNG.uniform(0, 6, (20, 20)))).astype(np.complex64)
    pixels, _ = whole(make_raster(data), percentiles=(0.0, 100.0))
    assert (np.diff(pixels[..., 0].ravel().astype(int)) >= 0).all()
    assert pixels.max() == 255


def test_scale_and_offset_are_applied_so_that_a_stretch_means_physical_units(
    make_raster: Make,
) -> None:
    raw = np.arange(10_000, dtype=np.int16).reshape(100, 100)
    path = make_raster(raw, scales=(0.5,), offsets=(-100.0,))
    with open_raster(path, RasterOptions(percentiles=(0.0, 100.0))) as raster:
        assert raster.stretch == Stretch((-100.0,), (9999 * 0.5 - 100.0,))


# -- validity --------------------------------------------------------------------------------------


def test_nodata_is_left_out_of_picture_and_stretch(make_raster: Make) -> None:
    data = RNG.integers(1000, 2000, (60, 60)).astype(np.uint16)
    data[:30] = 65535
    with open_raster(make_raster(data, nodata=65535)) as raster:
        window = raster.read(raster.bounds)
        assert 1000 <= raster.stretch.low[0] < raster.stretch.high[0] < 2000
    assert not window.valid[:30].any()
    assert window.valid[30:].all()
    assert not window.pixels[:30].any()


def test_a_pixel_has_data_as_long_as_one_of_its_bands_has(make_raster: Make) -> None:
    data = RGB.copy()
    data[0, 0, 0] = 0
    data[:, 1, 1] = 0
    _, valid = whole(make_raster(data, nodata=0, photometric="RGB"))
    assert valid[0, 0]
    assert not valid[1, 1]
    assert valid.sum() == valid.size - 1


def test_nan_infinity_and_undeclared_fill_values_have_no_data(make_raster: Make) -> None:
    data = RNG.random((30, 30)).astype(np.float32)
    data[0, :4] = np.nan, np.inf, -np.inf, -3.4e38
    with open_raster(make_raster(data)) as raster:
        window = raster.read(raster.bounds)
        assert 0 <= raster.stretch.low[0] < raster.stretch.high[0] <= 1
    assert not window.valid[0, :4].any()
    assert window.valid.sum() == 896


def test_a_collar_that_nobody_declared_does_not_spoil_the_stretch(make_raster: Make) -> None:
    data = RNG.integers(5000, 6000, (80, 80)).astype(np.int16)
    data[:, :30] = -9999
    with open_raster(make_raster(data)) as raster:
        assert 5000 <= raster.stretch.low[0] < raster.stretch.high[0] < 6000
        assert raster.read(raster.bounds).valid.all()


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("opaque", [1, 255])
def test_alpha_above_zero_means_data_whatever_its_type(
    make_raster: Make, dtype: str, opaque: int
) -> None:
    alpha = np.zeros((1, 60, 80), dtype)
    alpha[:, 20:] = opaque
    data = np.concatenate([RGB.astype(dtype), alpha])
    _, valid = whole(make_raster(data, photometric="RGB", alpha="YES"))
    assert np.array_equal(valid, alpha[0] > 0)


def test_a_mask_band_is_honoured(make_raster: Make) -> None:
    mask = np.full((60, 80), 255, np.uint8)
    mask[10:20, 30:50] = 0
    _, valid = whole(make_raster(RGB, photometric="RGB", mask=mask))
    assert np.array_equal(valid, mask > 0)


def test_blocks_that_were_never_written_have_no_data(tmp_path: Path) -> None:
    path = tmp_path / "sparse.tif"
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=1024,
        height=1024,
        count=1,
        dtype="uint8",
        tiled=True,
        blockxsize=256,
        blockysize=256,
        sparse_ok=True,
        compress="deflate",
        crs="EPSG:32633",
        transform=Affine(1, 0, 0, 0, -1, 0),
    ) as file:
        file.write(np.full((1, 256, 256), 90, np.uint8), window=((256, 512), (512, 768)))
    with open_raster(path) as raster:
        valid = raster.read(raster.bounds).valid
        assert valid.sum() == 256 * 256
        assert valid[256:512, 512:768].all()
        assert raster.has_data(PixelBox(0, 500, 300, 600))
        assert not raster.has_data(PixelBox(0, 0, 256, 1024))


@given(data=st.data())
def test_has_data_agrees_with_what_is_read(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = _islands(tmp_path_factory)
    row, col = data.draw(st.integers(-20, 220)), data.draw(st.integers(-20, 220))
    box = PixelBox(
        row, col, row + data.draw(st.integers(1, 90)), col + data.draw(st.integers(1, 90))
    )
    resolution = data.draw(st.sampled_from([None, 0.7, 2.5]))
    with open_raster(path, RasterOptions(resolution=resolution)) as raster:
        assert raster.has_data(box) == bool(raster.read(box).valid.any())


def _islands(factory: pytest.TempPathFactory) -> Path:
    path = factory.getbasetemp() / "islands.tif"
    if not path.exists():
        image = np.zeros((200, 200), np.uint8)
        image[20:23, 150:153] = 7
        image[100:160, 30:60] = 90
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            width=200,
            height=200,
            count=1,
            dtype="uint8",
            nodata=0,
            crs="EPSG:32633",
            transform=Affine(1, 0, 0, 0, -1, 0),
        ) as file:
            file.write(image, 1)
    return path


def test_what_lies_beyond_the_raster_has_no_data(make_raster: Make) -> None:
    with open_raster(make_raster(RGB, photometric="RGB")) as raster:
        window = raster.read(PixelBox(-5, 70, 10, 100))
        assert window.pixels.shape == (15, 30, 3)
        assert np.array_equal(window.pixels[5:, :10], np.moveaxis(RGB[:, :10, 70:], 0, -1))
        assert window.valid.sum() == 100
        assert not raster.read(PixelBox(100, 100, 110, 110)).valid.any()
        assert not raster.has_data(PixelBox(100, 100, 110, 110))


def test_a_raster_without_any_data_is_read_as_such(make_raster: Make) -> None:
    with open_raster(make_raster(np.zeros((40, 40), np.uint16), nodata=0)) as raster:
        assert not raster.has_data(raster.bounds)
        assert not raster.read(raster.bounds).valid.any()


# -- place -----------------------------------------------------------------------------------------

PLACES = [
    Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000),
    Affine(0.5, 0, 500_000, 0, 0.5, 5_000_000),  # south-up
    Affine(0.3, 0, 500_000, 0, -0.7, 5_000_000),  # not square
    Affine.translation(5e5, 5e6) @ Affine.rotation(33) @ Affine.scale(0.4, -0.4),
]


@pytest.mark.parametrize("place", PLACES)
def test_any_transform_is_kept_and_nothing_is_resampled(make_raster: Make, place: Affine) -> None:
    path = make_raster(RGB, transform=place, photometric="RGB")
    with open_raster(path) as raster:
        assert raster.transform == place
        pixels = raster.read(raster.bounds).pixels
    assert np.array_equal(pixels, np.moveaxis(RGB, 0, -1))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("resolution", [0.2, 1.3, 4.0])
def test_working_pixels_lie_where_source_pixels_do(
    make_raster: Make, place: Affine, resolution: float
) -> None:
    with open_raster(
        make_raster(RGB, transform=place), RasterOptions(resolution=resolution)
    ) as raster:
        t = raster.transform
        assert t @ (0, 0) == place @ (0, 0)
        assert np.hypot(t.a, t.d) == pytest.approx(resolution)
        assert np.hypot(t.b, t.e) == pytest.approx(resolution)
        # The working raster ends less than one pixel beyond the source.
        col, row = ~t @ (place @ (80, 60))
        assert raster.width - 1 < col <= raster.width + 1e-6
        assert raster.height - 1 < row <= raster.height + 1e-6


def test_without_georeferencing_pixels_are_the_ground_and_that_is_said(make_raster: Make) -> None:
    path = make_raster(RGB, crs=None, transform=None)
    with pytest.warns(SamGeoWarning, match="no coordinate system") as caught:
        raster = open_raster(path)
    assert len(caught) == 1
    with raster:
        assert raster.crs is None
        assert raster.transform == Affine(1, 0, 0, 0, -1, 0)
        assert raster.info.unit == "pixel"
        assert "pixels" in raster.info.notes[0]


def test_geographic_rasters_keep_their_aspect_at_another_resolution(make_raster: Make) -> None:
    place = Affine(2e-6, 0, 10.0, 0, -1e-6, 60.0)
    path = make_raster(RGB, crs="EPSG:4326", transform=place)
    with open_raster(path, RasterOptions(resolution=4e-6)) as raster:
        t = raster.transform
        assert t.a / -t.e == pytest.approx(2.0)
        assert np.sqrt(t.a * -t.e) == pytest.approx(4e-6)


def test_ground_control_points_put_pixels_in_their_place(tmp_path: Path) -> None:
    path, crs = tmp_path / "gcps.tif", "EPSG:32633"
    place = Affine.translation(5e5, 5e6) @ Affine.rotation(20) @ Affine.scale(2, -2)
    image = np.full((3, 100, 120), 60, np.uint8)
    image[:, 40:50, 70:80] = 250
    points = [
        GroundControlPoint(r, c, *(place @ (c, r))) for r in (0, 50, 100) for c in (0, 60, 120)
    ]
    with rasterio.open(
        path, "w", driver="GTiff", width=120, height=100, count=3, dtype="uint8", photometric="RGB"
    ) as file:
        file.write(image)
        file.gcps = (points, rasterio.crs.CRS.from_user_input(crs))
    with open_raster(path) as raster:
        window = raster.read(raster.bounds)
        rows, cols = np.nonzero((window.pixels[..., 0] > 200) & window.valid)
        x, y = raster.transform @ (cols.mean() + 0.5, rows.mean() + 0.5)
        assert raster.crs.to_epsg() == 32633
        assert "9 ground control points" in raster.notes[0]
    assert np.hypot(*np.subtract((x, y), place @ (75, 45))) < 1.0
    # The corners around the turned picture have no data.
    assert not window.valid[0, 0]
    covered = window.valid.sum() * abs(raster.transform.determinant)
    assert covered == pytest.approx(100 * 120 * 4, rel=0.02)


@pytest.mark.parametrize(("west", "zone"), [(179.7, 32660), (179.9, 32601), (14.9, 32633)])
def test_control_points_across_the_date_line_get_the_zone_of_their_middle(
    tmp_path: Path, west: float, zone: int
) -> None:
    points = [
        GroundControlPoint(r, c, (west + c / 250 + 180) % 360 - 180, 10 - r / 250)
        for r in (0, 50, 100)
        for c in (0, 50, 100)
    ]
    path = tmp_path / "gcps.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=100, height=100, count=1, dtype="uint8"
    ) as file:
        file.write(np.full((1, 100, 100), 60, np.uint8))
        file.gcps = (points, rasterio.crs.CRS.from_epsg(4326))
    with open_raster(path) as raster:
        assert raster.crs.to_epsg() == zone
        assert max(raster.shape) < 120


def test_rational_polynomials_put_pixels_in_their_place(tmp_path: Path) -> None:
    path = tmp_path / "rpc.tif"
    zeros = [0.0] * 16
    rpcs = RPC(
        height_off=100.0,
        height_scale=500.0,
        lat_off=45.0,
        lat_scale=0.02,
        line_off=200.0,
        line_scale=200.0,
        long_off=7.0,
        long_scale=0.02,
        samp_off=200.0,
        samp_scale=200.0,
        line_num_coeff=[0.0, 0.0, -1.0, 0.0, *zeros],
        line_den_coeff=[1.0, *[0.0] * 19],
        samp_num_coeff=[0.0, 1.0, 0.0, 0.0, *zeros],
        samp_den_coeff=[1.0, *[0.0] * 19],
        err_bias=0.0,
        err_rand=0.0,
    )
    image = np.full((1, 400, 400), 50, np.uint8)
    image[:, 95:105, 295:305] = 250
    with rasterio.open(
        path, "w", driver="GTiff", width=400, height=400, count=1, dtype="uint8"
    ) as file:
        file.write(image)
        file.rpcs = rpcs
    with open_raster(path) as raster:
        window = raster.read(raster.bounds)
        rows, cols = np.nonzero((window.pixels[..., 0] > 180) & window.valid)
        x, y = raster.transform @ (cols.mean() + 0.5, rows.mean() + 0.5)
        (lon,), (lat,) = warp(raster.crs, "EPSG:4326", [x], [y])
    # RPC counts from the middle of the first pixel: a pixel is 1e-4 degrees.
    assert lon == pytest.approx(7.0 + 0.02 * 100 / 200, abs=1e-4)
    assert lat == pytest.approx(45.0 + 0.02 * 100 / 200, abs=1e-4)


# -- working resolution ----------------------------------------------------------------------------


@given(
    st.sampled_from([0.3, 0.5, 0.77, 1.0, 2.0, 2.6, 7.0]),
    st.integers(0, 40),
    st.integers(0, 40),
    st.integers(1, 30),
    st.integers(1, 30),
)
def test_a_working_pixel_is_the_same_in_every_window(
    tmp_path_factory: pytest.TempPathFactory, resolution: float, row: int, col: int, h: int, w: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "windows.tif"
    if not path.exists():
        noise = np.random.default_rng(0).integers(0, 4000, (3, 70, 90)).astype(np.uint16)
        noise[:, 20:35, 30:50] = 0
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            width=90,
            height=70,
            count=3,
            dtype="uint16",
            nodata=0,
            crs="EPSG:32633",
            transform=Affine(1, 0, 0, 0, -1, 0),
        ) as file:
            file.write(noise)
    with open_raster(path, RasterOptions(resolution=resolution)) as raster:
        full = raster.read(raster.bounds)
        box = PixelBox(row, col, row + h, col + w).intersection(raster.bounds)
        if box.empty:
            return
        part = raster.read(box)
        assert np.array_equal(part.pixels, full.pixels[box.slices(raster.bounds)])
        assert np.array_equal(part.valid, full.valid[box.slices(raster.bounds)])


def test_coarser_pixels_are_means_of_the_data_in_them(make_raster: Make) -> None:
    data = RNG.integers(1, 5000, (64, 64)).astype(np.uint16)
    data[0:3, 0:4] = 0  # three quarters of the first pixel: no data
    data[4:6, 4:8] = 0  # half of another: data
    stretch = Stretch((0.0,), (5000.0,))
    path = make_raster(data, nodata=0, transform=Affine(1, 0, 0, 0, -1, 0))
    pixels, valid = whole(path, resolution=4.0, stretch=stretch)
    blocks = data.reshape(16, 4, 16, 4).transpose(0, 2, 1, 3).reshape(16, 16, 16).astype(float)
    means = np.where(blocks > 0, blocks, np.nan)
    wanted = np.rint(np.nanmean(means, axis=2) / 5000 * 255)
    assert not valid[0, 0]
    assert valid.sum() == 255
    assert np.abs(pixels[..., 0] - wanted)[valid].max() <= 1


def test_finer_pixels_reproduce_a_ramp(make_raster: Make) -> None:
    rows, cols = np.mgrid[0:30, 0:30].astype(np.float32)
    path = make_raster(2 * rows + 3 * cols, transform=Affine(1, 0, 0, 0, -1, 0))
    with open_raster(path, RasterOptions(resolution=0.25, stretch=Stretch((0.0,), (255.0,)))) as r:
        assert r.shape == (120, 120)
        got = r.read(r.bounds).pixels[..., 0].astype(float)
    y, x = (np.mgrid[0:120, 0:120] + 0.5) / 4 - 0.5
    inner = slice(4, -4)
    assert np.abs(got - (2 * y + 3 * x))[inner, inner].max() <= 0.51


def test_overviews_are_used_for_coarse_reads_and_agree_with_the_raster(make_raster: Make) -> None:
    smooth = np.add.outer(np.arange(512), np.arange(512)).astype(np.uint16)
    place = Affine(1, 0, 0, 0, -1, 0)
    plain = make_raster(smooth, "plain.tif", transform=place)
    pyramid = make_raster(smooth, "pyramid.tif", transform=place, overviews=(2, 4), tiled=True)
    stretch = Stretch((0.0,), (1023.0,))
    for resolution in (2.0, 4.0, 5.5):
        a, _ = whole(plain, resolution=resolution, stretch=stretch)
        b, _ = whole(pyramid, resolution=resolution, stretch=stretch)
        assert np.abs(a.astype(int) - b).max() <= 1
    # Proof that the overview was read: one that is a little brighter.
    with rasterio.open(pyramid, "r+", overview_level=1) as file:
        assert file.shape == (128, 128)
        file.write(file.read() + 8)
    brighter = whole(pyramid, resolution=4.0, stretch=stretch)[0].astype(int)
    assert np.median(brighter - whole(plain, resolution=4.0, stretch=stretch)[0]) == 2
    # One that shows something else is not.
    with rasterio.open(pyramid, "r+", overview_level=1) as file:
        file.write(np.zeros((1, 128, 128), np.uint16))
    assert whole(pyramid, resolution=4.0, stretch=stretch)[0].any()


@pytest.mark.parametrize("wrong", ["none", "another picture", "half"])
def test_the_stretch_does_not_come_from_overviews_that_show_something_else(
    make_raster: Make, wrong: str
) -> None:
    data = RNG.integers(1000, 3000, (2600, 2600)).astype(np.uint16)
    plain = make_raster(data, "plain.tif", tiled=True)
    path = make_raster(data, "ovr.tif", tiled=True, overviews=(2, 4))
    for level, side in ((0, 1300), (1, 650)):
        with rasterio.open(path, "r+", overview_level=level) as file:
            content = file.read()
            if wrong == "none":
                content[:] = 0
            elif wrong == "half":
                content[:, side // 2 :] = 0
            else:
                content = content * 3 + 500
            file.write(content)
    with open_raster(plain) as one, open_raster(path) as other:
        assert other.stretch.low[0] == pytest.approx(one.stretch.low[0], abs=100)
        assert other.stretch.high[0] == pytest.approx(one.stretch.high[0], abs=100)


@pytest.mark.parametrize("resolution", [0.0, -1.0, float("nan"), float("inf"), 1e9, 1e-12])
def test_a_resolution_that_makes_no_raster_is_refused(make_raster: Make, resolution: float) -> None:
    with pytest.raises(ParameterError, match="resolution"):
        open_raster(make_raster(RGB), RasterOptions(resolution=resolution))


# -- one stretch -----------------------------------------------------------------------------------


def test_the_spec_opens_the_same_raster_with_the_same_stretch(make_raster: Make) -> None:
    data = RNG.integers(0, 9000, (3, 90, 70)).astype(np.uint16)
    path = make_raster(data)
    with open_raster(path, RasterOptions(bands=(3, 2, 1), resolution=0.8)) as first:
        spec = json.loads(json.dumps(first.spec))
        assert pickle.loads(pickle.dumps(first.spec)) == first.spec
        wanted = first.read(first.bounds)
    with Raster.from_spec(spec) as again:
        assert again.shape == first.shape
        assert again.transform == first.transform
        assert np.array_equal(again.read(again.bounds).pixels, wanted.pixels)


def test_a_given_stretch_must_fit_the_bands(make_raster: Make) -> None:
    with pytest.raises(ParameterError, match="limits"):
        open_raster(make_raster(RGB[:1]), RasterOptions(stretch=Stretch((0.0,) * 3, (1.0,) * 3)))


def test_one_pair_of_limits_goes_for_all_bands(make_raster: Make) -> None:
    with open_raster(make_raster(RGB), RasterOptions(stretch=Stretch((2.0,), (9.0,)))) as raster:
        assert raster.stretch == Stretch((2.0,) * 3, (9.0,) * 3)


def test_data_in_one_corner_of_a_large_raster_are_found_for_the_stretch(tmp_path: Path) -> None:
    path = tmp_path / "corner.tif"
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=9000,
        height=9000,
        count=1,
        dtype="uint16",
        nodata=0,
        tiled=True,
        compress="deflate",
        sparse_ok=True,
        crs="EPSG:32633",
        transform=Affine(1, 0, 0, 0, -1, 0),
    ) as file:
        block = RNG.integers(700, 900, (1, 64, 64)).astype(np.uint16)
        file.write(block, window=((4300, 4364), (2200, 2264)))
    with open_raster(path) as raster:
        assert 700 <= raster.stretch.low[0] < raster.stretch.high[0] <= 900


def test_the_identity_changes_with_the_file_and_not_with_side_files(make_raster: Make) -> None:
    path = make_raster(RGB)
    with open_raster(path) as raster:
        before = raster.identity
    path.with_name(path.name + ".aux.xml").write_text("<PAMDataset/>")
    with open_raster(path) as raster:
        assert raster.identity == before
    make_raster(RGB[:, ::-1], compress="deflate")
    with open_raster(path) as raster:
        assert raster.identity != before


def test_info_is_json_and_names_what_was_chosen(make_raster: Make) -> None:
    path = make_raster(RNG.random((4, 30, 40)).astype(np.float32), nodata=float("nan"))
    with open_raster(path, RasterOptions(resolution=1.0)) as raster:
        data = json.loads(json.dumps(raster.info.to_json(), allow_nan=False))
    assert data["size"] == [40, 30]
    assert data["working_size"] == [20, 15]
    assert data["used_bands"] == [1, 2, 3]
    assert data["crs"] == "EPSG:32633"
    assert data["mask"] == "nodata values"
    assert data["bands"][0]["dtype"] == "float32"


# -- what cannot be opened or read -----------------------------------------------------------------


def test_what_is_no_raster_is_refused_in_a_sentence(tmp_path: Path) -> None:
    text = tmp_path / "notes.tif"
    text.write_text("not a raster")
    with pytest.raises(RasterError, match=r"notes\.tif cannot be opened"):
        open_raster(text)
    with pytest.raises(RasterError, match="no file"):
        open_raster(tmp_path / "missing.tif")
    with pytest.raises(RasterError, match="No raster"):
        open_raster([])
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(RasterError, match="no rasters in it"):
        open_raster(empty)


def test_a_corrupt_block_is_named_and_others_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "torn.tif"
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=512,
        height=512,
        count=1,
        dtype="uint8",
        tiled=True,
        blockxsize=256,
        blockysize=256,
        compress="deflate",
        crs="EPSG:32633",
        transform=Affine(1, 0, 0, 0, -1, 0),
    ) as file:
        file.write(RNG.integers(0, 256, (1, 512, 512), dtype=np.uint8))
    with rasterio.open(path) as file:
        offset = int(file.get_tag_item("BLOCK_OFFSET_1_1", "TIFF", bidx=1))
    raw = bytearray(path.read_bytes())
    raw[offset : offset + 60] = b"\xff" * 60
    path.write_bytes(raw)
    with open_raster(path) as raster:
        assert raster.read(PixelBox(0, 0, 256, 512)).valid.all()
        with pytest.raises(RasterError, match=r"torn\.tif.*rows 256 to 512 and columns 300 to 400"):
            raster.read(PixelBox(256, 300, 512, 400))


SCRIPT = """
import resource, sys
import numpy as np
from samgeo_core.raster.raster import open_raster
from samgeo_core.types import PixelBox
with open_raster(sys.argv[1]) as raster:
    raster.stretch
    for row in range(0, raster.height, raster.height // 6):
        for col in range(0, raster.width, raster.width // 6):
            box = PixelBox(row, col, row + 1024, col + 1024)
            if raster.has_data(box):
                raster.read(box)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="measures memory with the module resource")
def test_memory_does_not_grow_with_the_raster(tmp_path: Path) -> None:
    peaks = []
    for size in (5_000, 20_000):
        path = tmp_path / f"{size}.tif"
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            width=size,
            height=size,
            count=3,
            dtype="uint16",
            tiled=True,
            compress="deflate",
            sparse_ok=True,
            nodata=0,
            crs="EPSG:32633",
            transform=Affine(0.5, 0, 0, 0, -0.5, 0),
        ) as file:
            for at in range(0, size - 1024, size // 5):
                block = RNG.integers(1, 9, (3, 64, 64)).repeat(8, 1).repeat(8, 2)
                file.write(block.astype(np.uint16), window=((at, at + 512), (at, at + 512)))
        result = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(path)], capture_output=True, text=True, check=True
        )
        peaks.append(int(result.stdout))
    assert peaks[1] <= peaks[0] * 1.10
