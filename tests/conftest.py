# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests share: data from outside the project, the sample data, and small rasters."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import HealthCheck, settings

# No deadlines: the machine may be busy. Fewer examples than by default: the suite must stay quick.
settings.register_profile(
    "quick",
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

ROOT = Path(__file__).resolve().parents[1]


def find_shared_data() -> Path | None:
    """``$SAMGEO_SHARED_DATA``, or ``shared/data`` beside the checkout or above it."""
    given = os.environ.get("SAMGEO_SHARED_DATA")
    places = [Path(given)] if given else [parent / "shared" / "data" for parent in ROOT.parents]
    return next((place for place in places if place.is_dir()), None)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with the evaluation and robustness rasters; the test is skipped without it."""
    place = find_shared_data()
    if place is None:
        pytest.skip("needs ../shared/data (or SAMGEO_SHARED_DATA), which is not here")
    return place


@pytest.fixture(scope="session")
def sample_data() -> Path:
    """The rasters that the project makes itself."""
    return ROOT / "sample_data"


HALF_METRE = Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000)


@pytest.fixture
def make_raster(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes an array (H, W) or (b, H, W) as a GeoTIFF and returns its path."""

    def make(
        array: np.ndarray,
        name: str = "raster.tif",
        *,
        crs: str | None = "EPSG:32633",
        transform: Affine | None = HALF_METRE,
        mask: np.ndarray | None = None,
        overviews: tuple[int, ...] = (),
        colours: tuple[str, ...] | None = None,
        palette: dict[int, tuple[int, ...]] | None = None,
        scales: tuple[float, ...] | None = None,
        offsets: tuple[float, ...] | None = None,
        **profile: object,
    ) -> Path:
        bands = array[None] if array.ndim == 2 else array
        path = tmp_path / name
        count, height, width = bands.shape
        georeferencing = {} if transform is None else {"transform": transform}
        with (
            rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
            rasterio.open(
                path,
                "w",
                driver="GTiff",
                count=count,
                height=height,
                width=width,
                dtype=profile.pop("dtype", bands.dtype),
                crs=crs,
                **georeferencing,
                **profile,
            ) as file,
        ):
            if colours:
                file.colorinterp = [rasterio.enums.ColorInterp[name] for name in colours]
            if palette:
                file.write_colormap(1, palette)
            if scales:
                file.scales = scales
            if offsets:
                file.offsets = offsets
            file.write(bands)
            if mask is not None:
                file.write_mask(mask)
            if overviews:
                file.build_overviews(overviews, rasterio.enums.Resampling.average)
        return path

    return make
