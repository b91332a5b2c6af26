# SPDX-License-Identifier: GPL-2.0-or-later
"""The sample data are small, sound, and what the scripts beside them make."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import geopandas as gpd
import numpy as np
import pytest
import shapely
from rasterio.features import geometry_mask
from samgeo_core.raster.raster import open_raster

RASTERS = ["town.tif", "town_rgbn_uint16.tif", "town_rotated.tif"]


def truth(folder: Path, layer: str) -> gpd.GeoDataFrame:
    return gpd.read_file(folder / "town_truth.gpkg", layer=layer)


def test_all_of_it_is_small(sample_data: Path) -> None:
    assert sum(p.stat().st_size for p in sample_data.iterdir() if p.is_file()) < 3e6


@pytest.mark.parametrize("name", RASTERS)
def test_rasters_are_as_described(sample_data: Path, name: str) -> None:
    with open_raster(sample_data / name) as raster:
        assert raster.crs.to_epsg() == 32645
        assert abs(raster.transform.determinant) == pytest.approx(0.25**2)
        assert raster.info.used_bands == (1, 2, 3)
        window = raster.read(raster.bounds)
        if name == "town_rgbn_uint16.tif":
            assert raster.info.bands[0].dtype == "uint16"
            assert len(raster.info.bands) == 4
            assert 0.05 < 1 - window.valid.mean() < 0.2
        else:
            assert window.valid.all()
        assert (raster.transform.b != 0) == (name == "town_rotated.tif")
        if name == "town.tif":
            assert raster.shape == (1536, 1536)


def test_truth_is_valid_and_buildings_do_not_overlap(sample_data: Path) -> None:
    buildings = truth(sample_data, "buildings")
    assert 80 <= len(buildings) <= 150
    assert buildings.is_valid.all()
    union = shapely.union_all(np.asarray(buildings.geometry.array))
    assert union.area == pytest.approx(buildings.area.sum(), abs=0.01)
    with open_raster(sample_data / "town.tif") as raster:
        x0, y0, x1, y1 = raster.info.bounds
    assert shapely.box(x0, y0, x1, y1).contains(union)
    # One is larger than a tile of 512 pixels of 0.25 m.
    longest = buildings.minimum_rotated_rectangle().length.max() / 2 * 0.7
    assert longest > 512 * 0.25
    for layer in ("roads", "fields", "water", "trees"):
        assert len(truth(sample_data, layer)) > 0


@pytest.mark.parametrize("name", RASTERS)
def test_the_picture_has_an_edge_where_the_truth_has_a_wall(sample_data: Path, name: str) -> None:
    """Shifted by a metre in any direction, the outlines lie on weaker edges."""
    buildings = truth(sample_data, "buildings").geometry
    with open_raster(sample_data / name) as raster:
        window = raster.read(raster.bounds)
        grey = window.pixels.astype(float).mean(axis=2)
        edges = np.hypot(*np.gradient(grey))
        edges[~window.valid] = np.nan

        def strength(dx: float, dy: float) -> float:
            lines = buildings.translate(dx, dy).boundary.buffer(0.15)
            on_line = geometry_mask(lines, raster.shape, raster.transform, invert=True)
            return float(np.nanmean(edges[on_line]))

        here = strength(0, 0)
        for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            assert here > 1.3 * strength(dx, dy)


def load(folder: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"sample_{name}", folder / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_script_makes_the_layout_that_is_here(sample_data: Path) -> None:
    scene = load(sample_data, "scene").lay_out(np.random.default_rng(7))
    with open_raster(sample_data / "town.tif") as raster:
        west, north = raster.transform.c, raster.transform.f
    made = [
        shapely.affinity.affine_transform(b.footprint, [1, 0, 0, -1, west, north])
        for b in scene.buildings
    ]
    here = list(truth(sample_data, "buildings").geometry)
    assert len(made) == len(here)
    for one, other in zip(made, here, strict=True):
        assert one.symmetric_difference(other).area < 1e-3
