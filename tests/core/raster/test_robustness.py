# SPDX-License-Identifier: GPL-2.0-or-later
"""44 odd rasters of other projects: each gives a picture, or one clear error; never a traceback.

What is expected of each was written down after looking at it (contact sheets of all of them): the
share of pixels with data, which bands are used, how validity is known, and what is special.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.warp import transform as warp
from samgeo_core.errors import OutputError, RasterError, SamGeoWarning
from samgeo_core.layers.writer import LayerWriter
from samgeo_core.raster.raster import Raster, RasterOptions, open_raster
from samgeo_core.types import PixelBox
from samgeo_core.vectors.geodesic import measure
from shapely.geometry import Polygon


@dataclass(frozen=True)
class Expected:
    """What a raster should come out as.

    Args:
        valid: Share of the pixels that have data.
        bands: Band numbers that are used.
        mask: How validity is known.
        crs: EPSG code; None without CRS, 0 where it has no code.
        stretched: Values are no bytes of a picture, so that limits were estimated.
        constant: All data have one value: nothing can be seen.
        warped: Placed by ground control points.
        why: What is odd about it.
    """

    valid: float
    bands: tuple[int, ...] = (1, 2, 3)
    mask: str = "none"
    crs: int | None = 0
    stretched: bool = False
    constant: bool = False
    warped: bool = False
    why: str = ""


GREY = (1,)
NODATA, MASK, ALPHA = "nodata values", "mask band", "alpha band"

ROBUSTNESS = {
    "cogeomosaic__cog1_uint32.tif": Expected(
        0.675, mask=NODATA, crs=32618, stretched=True, why="uint32"
    ),
    "deepness__dummy_fotomap_small.tif": Expected(
        1.0, mask=ALPHA, crs=32633, why="alpha, all opaque"
    ),
    "geotifftest__dom1_32_356_5699_1_nw_2020.tif": Expected(
        1.0, GREY, crs=25832, stretched=True, why="float heights"
    ),
    "geotifftest__umbra_mount_yasur.tiff": Expected(
        1.0, GREY, crs=32759, why="SAR on a turned grid"
    ),
    "geotifftest__utm.tif": Expected(1.0, GREY, crs=32617, why="palette, pixels not square"),
    "labelmaker__drone.tif": Expected(1.0, crs=32632, why="a plain RGB picture"),
    "rasterio__389225main_sw_1965_1024.jpg": Expected(
        1.0, crs=None, why="a JPEG without any place"
    ),
    "rasterio__RGB2.byte.tif": Expected(0.674, mask=MASK, why="mask in a .msk file"),
    "rasterio__RGBA.uint16.tif": Expected(
        0.489,
        (3, 2, 1),
        ALPHA,
        32612,
        stretched=True,
        constant=True,
        why="alpha of 255 in uint16, BGR, one value",
    ),
    "rasterio__all-nodata.tif": Expected(
        0.0, (3, 2, 1), NODATA, 32628, stretched=True, constant=True, why="nothing but nodata"
    ),
    "rasterio__byte.tif": Expected(1.0, GREY, crs=26711, why="20 x 20 pixels"),
    "rasterio__float_nan.tif": Expected(
        5 / 6, GREY, NODATA, None, stretched=True, why="2 x 3 pixels, NaN, no CRS"
    ),
    "rasterio__goes.tif": Expected(0.783, mask=MASK, why="geostationary disc"),
    "rasterio__rgb-byte-tenth.tif": Expected(0.675, mask=NODATA, why="nodata 0"),
    "rasterio__rotated.tif": Expected(1.0, GREY, crs=None, why="rotated, no CRS"),
    "riocogeo__bad_output_vrt.tif": Expected(1.0, GREY, crs=4269, why="scanned map with a palette"),
    "riocogeo__image_51px.tif": Expected(1.0, crs=32707, why="51 x 51 pixels"),
    "riocogeo__image_geos.tif": Expected(0.856, mask=MASK, why="nodata and a mask band"),
    "riocogeo__image_nan.tif": Expected(
        0.431, GREY, NODATA, 4326, stretched=True, why="float64 with NaN"
    ),
    "riocogeo__image_rgba_nodata.tif": Expected(
        1.0, mask=f"{NODATA} and {ALPHA}", crs=3857, why="nodata and alpha"
    ),
    "riocogeo__image_web_z5_z11.tif": Expected(
        1.0, crs=3857, constant=True, why="8448 x 8448, all black"
    ),
    "riocogeo__image_webp.tif": Expected(1.0, crs=3857, why="WebP"),
    "riocogeo__slc.tif": Expected(
        0.711, GREY, ALPHA, 32618, stretched=True, warped=True, why="complex int16, 210 GCPs"
    ),
    "riotiler__cog_cmap.tif": Expected(
        0.549, GREY, NODATA, 3857, why="palette with nodata, 8704 x 7168"
    ),
    "riotiler__cog_dateline.tif": Expected(
        1.0, GREY, crs=32660, stretched=True, why="across the date line"
    ),
    "riotiler__cog_fullearth.tif": Expected(
        0.456, GREY, NODATA, 4326, stretched=True, why="float64 up to 1e16, nodata -1.3e30"
    ),
    "riotiler__cog_gcps.tif": Expected(
        0.711, GREY, ALPHA, 32643, stretched=True, warped=True, why="210 GCPs, no transform"
    ),
    "riotiler__cog_gradient.tif": Expected(
        1.0, GREY, crs=4326, stretched=True, why="10 x 5 degree pixels"
    ),
    "riotiler__cog_hirise_mars.tif": Expected(1.0, why="Mars"),
    "riotiler__cog_nodata_nan.tif": Expected(
        0.489, GREY, NODATA, 32610, stretched=True, why="NaN beside nodata 0"
    ),
    "riotiler__cog_rgb_mask.tif": Expected(0.969, mask=MASK, crs=26913, why="internal mask"),
    "riotiler__cog_rgba.tif": Expected(0.887, mask=ALPHA, crs=26913, why="alpha with a hole"),
    "riotiler__cog_scale_epsg4326.tif": Expected(
        0.965, GREY, NODATA, 4326, stretched=True, why="scale and offset, two bands"
    ),
    "riotiler__cog_world.tif": Expected(
        0.332, GREY, NODATA, 4326, stretched=True, constant=True, why="36000 x 18000, land = 1"
    ),
    "riotiler__inverted_lat.tif": Expected(
        0.0, GREY, NODATA, 4326, stretched=True, constant=True, why="south-up, nothing but nodata"
    ),
    "solaris__ms1.tif": Expected(1.0, crs=32631, stretched=True, why="float64, four bands"),
    "terratorch__segmentation_test_0_input.tif": Expected(
        1.0, mask=NODATA, crs=32614, stretched=True, why="ten float bands"
    ),
    "titiler__TCI.tif": Expected(0.740, mask=NODATA, crs=32634, why="nodata 0 in a picture"),
    "titiler__above_cog.tif": Expected(
        0.211, mask=NODATA, stretched=True, why="31 bands, values 5 to 10, nodata 255"
    ),
    "titiler__cog_with_nan.tif": Expected(
        0.352, GREY, NODATA, 4326, stretched=True, why="NaN in two thirds"
    ),
    "torchsat__tiff_3channel_uint16.tif": Expected(
        1.0, crs=4326, stretched=True, why="uint16 in degrees"
    ),
    "torchsat__tiff_8channel_uint8.tif": Expected(1.0, crs=4326, why="eight bands without names"),
}
CORRUPT = "rasterio__corrupt.tif"
SIDE_FILES = {"rasterio__RGB2.byte.tif.msk"}  # the 44th: a mask, no raster of its own


def test_the_table_names_every_file_of_the_folder(shared_data: Path) -> None:
    there = {p.name for p in (shared_data / "robustness").iterdir() if p.suffix != ".csv"}
    assert there == {*ROBUSTNESS, CORRUPT, *SIDE_FILES}
    assert len(there) == 44


def coarse(path: Path) -> Raster:
    """A raster at a resolution of some 400 pixels along its longer side."""
    with open_raster(path) as raster:
        t, stretch, longer = raster.transform, raster.stretch, max(raster.shape)
        across, down = np.hypot(t.a, t.d), np.hypot(t.b, t.e)
        if raster.crs is None or raster.crs.is_geographic:
            side = np.sqrt(across * down)
        else:
            side = max(across, down)
    factor = max(1.0, longer / 400)
    return open_raster(path, RasterOptions(resolution=float(side * factor), stretch=stretch))


@pytest.mark.parametrize("name", ROBUSTNESS)
def test_an_odd_raster_becomes_a_picture_with_the_right_data_and_stretch(
    shared_data: Path, name: str
) -> None:
    path, expected = shared_data / "robustness" / name, ROBUSTNESS[name]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        raster = coarse(path)
    said = [str(w.message) for w in caught if issubclass(w.category, SamGeoWarning)]
    with raster:
        info = raster.info
        window = raster.read(raster.bounds)
        assert info.used_bands == expected.bands
        assert info.mask == expected.mask
        if expected.crs is None:
            assert raster.crs is None
            assert said
            assert info.notes
        else:
            assert raster.crs is not None
            assert (raster.crs.to_epsg() or 0) == expected.crs
            assert not said
        assert bool(info.notes) == (expected.warped or expected.crs is None)
        assert window.valid.mean() == pytest.approx(expected.valid, abs=0.015)
        assert raster.has_data(raster.bounds) == (expected.valid > 0)
        assert not window.pixels[~window.valid].any()
        seen = window.pixels[window.valid]
        if expected.constant:
            assert np.ptp(seen) <= 1 if len(seen) else True
        else:
            # Contrast between the darkest and brightest twentieth, in some band.
            low, high = np.percentile(seen, (5, 95), axis=0)
            assert (high - low).max() >= 40
        assert raster.stretch.is_identity != expected.stretched or expected.valid == 0
        if expected.stretched and not expected.constant:
            assert 20 < seen.mean() < 235
            # Not more is cut off than the percentiles say (and what resampling adds).
            assert len(seen) < 100 or (seen == 255).all(axis=1).mean() < 0.10
        json.dumps(info.to_json(), allow_nan=False)
        json.dumps(raster.spec, allow_nan=False)


@pytest.mark.parametrize("name", ROBUSTNESS)
def test_an_odd_raster_is_the_same_in_small_windows(shared_data: Path, name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        raster = open_raster(shared_data / "robustness" / name)
    with raster:
        middle_row, middle_col = raster.height // 2, raster.width // 2
        box = PixelBox(middle_row - 70, middle_col - 70, middle_row + 70, middle_col + 70)
        whole = raster.read(box)
        for quarter in (
            PixelBox(box.row0, box.col0, middle_row, middle_col),
            PixelBox(middle_row, middle_col, box.row1, box.col1),
        ):
            part = raster.read(quarter)
            assert np.array_equal(part.pixels, whole.pixels[quarter.slices(box)])
            assert np.array_equal(part.valid, whole.valid[quarter.slices(box)])
            assert raster.has_data(quarter) == bool(part.valid.any())


@pytest.mark.parametrize("name", ROBUSTNESS)
def test_a_square_on_an_odd_raster_can_be_measured_and_written_or_is_refused_clearly(
    shared_data: Path, tmp_path: Path, name: str
) -> None:
    import geopandas as gpd

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        raster = open_raster(shared_data / "robustness" / name)
    with raster:
        row, col = raster.height // 2, raster.width // 2
        corners = [(col, row), (col + 1, row), (col + 1, row + 1), (col, row + 1)]
        square = Polygon([raster.transform @ corner for corner in corners])
        size = measure([square], raster.crs)
        pixel = abs(raster.transform.determinant)
        if raster.crs is None:
            assert size.area[0] == pytest.approx(pixel)
        elif raster.crs.is_projected and raster.crs.to_epsg() not in (3857, None):
            factor = raster.crs.linear_units_factor[1]
            assert size.area[0] == pytest.approx(pixel * factor**2, rel=0.01)
        else:
            assert size.area[0] > 0
        frame = gpd.GeoDataFrame({"id": ["a"]}, geometry=[square])
        for suffix in (".gpkg", ".geojson"):
            path = tmp_path / f"out{suffix}"
            try:
                with LayerWriter(path, raster.crs) as writer:
                    writer.write(frame)
            except OutputError:
                # Only what has no way to WGS 84 may refuse, and only GeoJSON.
                assert suffix == ".geojson"
                assert raster.crs is None or "MARS" in raster.crs.to_wkt().upper()
                assert not path.exists()
            else:
                assert len(gpd.read_file(path, layer="out")) == 1


def test_the_corrupt_raster_names_its_damaged_window_and_the_rest_is_read(
    shared_data: Path,
) -> None:
    with open_raster(shared_data / "robustness" / CORRUPT) as raster:
        assert raster.read(PixelBox(0, 0, 512, 512)).valid.all()
        with pytest.raises(RasterError, match=r"corrupt\.tif.*rows 512 to 1024 and columns 512"):
            raster.read(PixelBox(512, 512, 1024, 1024))
    # Its overviews are sound.
    with open_raster(
        shared_data / "robustness" / CORRUPT, RasterOptions(resolution=0.59716403 * 8)
    ) as raster:
        assert raster.read(raster.bounds).pixels.std() > 20


@pytest.mark.parametrize("name", [n for n, e in ROBUSTNESS.items() if e.warped])
def test_ground_control_points_are_met_to_a_pixel(
    shared_data: Path, tmp_path: Path, name: str
) -> None:
    """Pixels are replaced by their own row and column, which the warp then carries along."""
    with rasterio.open(shared_data / "robustness" / name) as file:
        (points, crs), shape = file.gcps, file.shape
    found = []
    for at, axis in (("row", 0), ("col", 1)):
        path = tmp_path / f"{at}.tif"
        with (
            warnings.catch_warnings(),
            rasterio.open(
                path, "w", driver="GTiff", height=shape[0], width=shape[1], count=1, dtype="float32"
            ) as file,
        ):
            warnings.simplefilter("ignore")
            file.write(np.indices(shape)[axis].astype("float32") + 0.5, 1)
            file.gcps = (points, crs)
        raster = open_raster(path, RasterOptions(percentiles=(0.0, 100.0)))
        with raster:
            values, valid = raster._pixels.read(raster.bounds)
            place, target = raster.transform, raster.crs
        found.append(values[0])
    xs, ys = warp(crs, target, [p.x for p in points], [p.y for p in points])
    errors = []
    for point, x, y in zip(points, xs, ys, strict=True):
        # Bilinear between the four pixel centres around the point, where all have data.
        col, row = np.subtract(~place @ (x, y), 0.5)
        r, c = int(np.floor(row)), int(np.floor(col))
        if not (0 <= r < valid.shape[1] - 1 and 0 <= c < valid.shape[2] - 1):
            continue
        if not valid[0, r : r + 2, c : c + 2].all():
            continue
        weight = np.outer([1 - row + r, row - r], [1 - col + c, col - c])
        got = [float((part[r : r + 2, c : c + 2] * weight).sum()) for part in found]
        errors.append(np.hypot(got[0] - point.row, got[1] - point.col))
    assert len(errors) > 100
    assert max(errors) < 1.0
