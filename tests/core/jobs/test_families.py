# SPDX-License-Identifier: GPL-2.0-or-later
"""A checkpoint of each family, from its file to polygons of a raster, with random weights."""

from __future__ import annotations

import json

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import samgeo_core
import torch
from rasterio.transform import from_origin
from samgeo_core.testing.random_weights import weights
from shapely.geometry import Point

from ..parity.cases import HERE
from ..tiny_models import state

ORIGIN, PIXEL, SIDE = (500_000.0, 4_000_000.0), 0.5, 200


@pytest.fixture(scope="module")
def raster(tmp_path_factory):
    path = tmp_path_factory.mktemp("families") / "town.tif"
    pixels = np.random.default_rng(3).integers(0, 255, (3, SIDE // 10, SIDE // 10), np.uint8)
    pixels = np.kron(pixels, np.ones((1, 10, 10), np.uint8))  # blocks of one colour
    profile = {
        "driver": "GTiff", "width": SIDE, "height": SIDE, "count": 3, "dtype": "uint8",
        "crs": "EPSG:32645", "transform": from_origin(*ORIGIN, PIXEL, PIXEL),
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as out:
        out.write(pixels)
    return path


def efficientsam3() -> dict[str, torch.Tensor]:
    """A small encoder under SAM 3's decoder for points."""
    pytest.importorskip("transformers")
    shapes = {}
    for file, key, part in (("efficientsam3", "repvit", ""), ("sam3_official", "sam3", "tracker.")):
        with np.load(HERE / f"{file}.npz") as kept:
            found = json.loads(str(kept[f"{key}.shapes"]))
        shapes |= {name: shape for name, shape in found.items() if name.startswith(part)}
    return weights(shapes, 3)


@pytest.mark.parametrize("family", ["efficientvit_sam", "sam_hq2", "efficientsam3"])
def test_a_checkpoint_file_makes_polygons_from_clicks(family, raster, tmp_path):
    made = efficientsam3() if family == "efficientsam3" else state(family)
    torch.save(made, tmp_path / "mine.pt")
    middle = Point(ORIGIN[0] + SIDE / 2 * PIXEL, ORIGIN[1] - SIDE / 2 * PIXEL)
    clicks = gpd.GeoDataFrame(geometry=[middle], crs="EPSG:32645")
    found = samgeo_core.segment(
        str(raster), prompts=clicks, model=str(tmp_path / "mine.pt"), device="cpu", min_area=0
    )
    assert len(found) == 1
    assert found.crs.to_epsg() == 32645
    assert 0 < found.area.sum() <= (SIDE * PIXEL) ** 2
    assert set(found.model) == {"mine"}
