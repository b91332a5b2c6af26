# SPDX-License-Identifier: GPL-2.0-or-later
"""Several rasters of one grid read as one, pixel for pixel; others are refused with a reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from samgeo_core.errors import RasterError
from samgeo_core.raster.raster import Raster, RasterOptions, open_raster

Make = Callable[..., Path]
PLACE = Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000)
RNG = np.random.default_rng(8)
SCENE = RNG.integers(1, 256, (3, 90, 120), dtype=np.uint8)


def tile(make: Make, row: int, col: int, size: int = 50, **options: object) -> Path:
    part = SCENE[:, row : row + size, col : col + size]
    options.setdefault("transform", PLACE @ Affine.translation(col, row))
    return make(part, f"tile_{row}_{col}.tif", **options)


@pytest.mark.parametrize("turn", [0.0, 30.0])
@pytest.mark.parametrize("order", [1, -1])
def test_tiles_that_overlap_read_as_the_scene(make_raster: Make, turn: float, order: int) -> None:
    place = PLACE @ Affine.rotation(turn)
    paths = [
        tile(make_raster, r, c, transform=place @ Affine.translation(c, r), photometric="RGB")
        for r in (0, 40)
        for c in (0, 35, 70)
    ]
    with open_raster(paths[::order]) as raster:
        assert raster.shape == (90, 120)
        assert raster.transform.almost_equals(place, 1e-6)
        window = raster.read(raster.bounds)
        assert np.array_equal(window.pixels, np.moveaxis(SCENE, 0, -1))
        assert window.valid.all()
        spec = raster.spec
    with Raster.from_spec(spec) as again:
        assert np.array_equal(again.read(again.bounds).pixels, window.pixels)


def test_a_folder_is_a_mosaic_and_gaps_have_no_data(make_raster: Make, tmp_path: Path) -> None:
    tile(make_raster, 0, 0, photometric="RGB")
    tile(make_raster, 40, 70, photometric="RGB")
    with open_raster(tmp_path) as raster:
        valid = raster.read(raster.bounds).valid
    wanted = np.zeros((90, 120), bool)
    wanted[:50, :50] = wanted[40:, 70:] = True
    assert np.array_equal(valid, wanted)


def test_nodata_of_an_upper_tile_lets_the_lower_one_through(make_raster: Make) -> None:
    lower = make_raster(np.full((40, 40), 700, np.uint16), "a.tif", nodata=0, transform=PLACE)
    upper_data = np.full((40, 40), 900, np.uint16)
    upper_data[:20] = 0
    upper = make_raster(upper_data, "b.tif", nodata=0, transform=PLACE)
    with open_raster([lower, upper], RasterOptions(percentiles=(0.0, 100.0))) as raster:
        window = raster.read(raster.bounds)
    assert window.valid.all()
    assert (window.pixels[:20] == 0).all()
    assert (window.pixels[20:] == 255).all()


def test_mask_bands_of_an_upper_tile_let_the_lower_one_through(make_raster: Make) -> None:
    lower = make_raster(np.full((40, 40), 70, np.uint8), "a.tif", transform=PLACE)
    mask = np.full((40, 40), 255, np.uint8)
    mask[:20] = 0
    upper = make_raster(np.full((40, 40), 200, np.uint8), "b.tif", transform=PLACE, mask=mask)
    with open_raster([lower, upper], RasterOptions(percentiles=(0.0, 100.0))) as raster:
        window = raster.read(raster.bounds)
    assert window.valid.all()
    assert (window.pixels[:20] < window.pixels[20:]).all()


def test_alpha_and_palette_survive(make_raster: Make) -> None:
    alpha = np.concatenate([SCENE[:, :40, :40], np.full((1, 40, 40), 255, np.uint8)])
    alpha[3, :10] = 0
    paths = [
        make_raster(
            alpha,
            f"{c}.tif",
            photometric="RGB",
            alpha="YES",
            transform=PLACE @ Affine.translation(c, 0),
        )
        for c in (0, 40)
    ]
    with open_raster(paths) as raster:
        valid = raster.read(raster.bounds).valid
    assert not valid[:10].any()
    assert valid[10:].all()
    palette = {0: (0, 0, 0, 255), 5: (200, 30, 60, 255)}
    paths = [
        make_raster(
            np.full((9, 9), 5, np.uint8),
            f"p{c}.tif",
            palette=palette,
            photometric="palette",
            transform=PLACE @ Affine.translation(c, 0),
        )
        for c in (0, 9)
    ]
    with open_raster(paths) as raster:
        assert (raster.read(raster.bounds).pixels == (200, 30, 60)).all()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"crs": "EPSG:32634"}, "coordinate systems"),
        ({"nodata": 0}, "nodata values"),
        ({"dtype": "uint16"}, "data types"),
        ({"transform": PLACE @ Affine.translation(35.4, 0)}, "off by"),
        ({"transform": PLACE @ Affine.translation(35, 0) @ Affine.scale(1.02)}, "off by"),
        ({"transform": PLACE @ Affine.translation(35, 0) @ Affine.rotation(1)}, "off by"),
        ({"transform": None}, "no georeferencing"),
    ],
)
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_rasters_of_different_kinds_make_no_mosaic(
    make_raster: Make, change: dict, reason: str
) -> None:
    first = tile(make_raster, 0, 0)
    second = tile(make_raster, 0, 35, **change)
    with pytest.raises(RasterError, match=reason):
        open_raster([first, second])


def test_small_misfits_are_moved_to_the_nearest_pixel(make_raster: Make) -> None:
    shifted = PLACE @ Affine.translation(50.1, -0.1)
    paths = [tile(make_raster, 0, 0), tile(make_raster, 0, 50, transform=shifted)]
    with open_raster(paths) as raster:
        assert raster.shape == (50, 100)
        assert np.array_equal(
            raster.read(raster.bounds).pixels, np.moveaxis(SCENE[:, :50, :100], 0, -1)
        )


def test_the_banepa_tiles_make_the_published_mosaic(shared_data: Path) -> None:
    folder = shared_data / "eval" / "buildings_banepa"
    with (
        open_raster(folder / "tiles_train") as tiles,
        open_raster(folder / "mosaic_train_4326.tif") as mosaic,
    ):
        assert tiles.shape == mosaic.shape
        assert tiles.transform.almost_equals(mosaic.transform, 1e-9)
        box = mosaic.bounds.grown(-1400)
        one, other = tiles.read(box), mosaic.read(box)
        assert one.valid.all()
        # The published mosaic was compressed once more.
        assert np.abs(one.pixels.astype(int) - other.pixels).mean() < 2.0


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    ("crs", "turn", "size"), [("EPSG:4326", 360.0, 0.01), ("EPSG:3857", 40_075_016.68557849, 1000)]
)
def test_tiles_on_both_sides_of_the_date_line_are_neighbours(
    make_raster: Make, crs: str, turn: float, size: float, order: int
) -> None:
    east = Affine(size, 0, turn / 2 - 50 * size, 0, -size, 0)
    west = Affine(size, 0, -turn / 2, 0, -size, 0)
    paths = [
        make_raster(SCENE[:, :50, 50 * k : 50 * k + 50], f"{k}.tif", crs=crs, transform=place)
        for k, place in enumerate((east, west))
    ]
    with open_raster(paths[::order]) as raster:
        assert raster.shape == (50, 100)
        pixels = raster.read(raster.bounds).pixels
        assert np.array_equal(pixels, np.moveaxis(SCENE[:, :50, :100], 0, -1))
        left = raster.transform.c % turn
        assert left == pytest.approx((turn / 2 - 50 * size) % turn)


def test_a_mosaic_of_the_world_stays_cut_where_it_was(make_raster: Make) -> None:
    paths = [
        make_raster(
            SCENE[:, :40, :40],
            f"{k}.tif",
            crs="EPSG:4326",
            transform=Affine(2.25, 0, -180 + 90 * k, 0, -2.25, 45),
        )
        for k in (3, 1, 0, 2)
    ]
    with open_raster(paths) as raster:
        assert raster.shape == (40, 160)
        assert raster.transform.c == -180
