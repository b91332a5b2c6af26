# SPDX-License-Identifier: GPL-2.0-or-later
"""A scene as a raster and the oracle that knows it, for tests of whole jobs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
import shapely
from samgeo_core.masks.masks import TileMasks
from samgeo_core.segmenters.segmenter import TileImage
from samgeo_core.testing.oracle import Oracle
from samgeo_core.testing.scenes import Scene, make_scene
from samgeo_core.tiles.grid import Grid

SIZE = 640
TILE = 256
MARGIN = 48


@lru_cache(maxsize=2)
def scene(size: int = SIZE) -> Scene:
    return make_scene(size, seed=5, tile=TILE // 2, detail=0.6, least=12)


def write_raster(path: Path, size: int = SIZE, pixels=None, **profile) -> Path:
    """A raster of noise, or of some pixels, as large as the scene, 0.3 m, UTM 45 N."""
    values = pixels
    if values is None:
        values = np.random.default_rng(3).integers(1, 255, (3, size, size), dtype=np.uint8)
    settings = {
        "driver": "GTiff",
        "count": 3,
        "dtype": "uint8",
        "crs": "EPSG:32645",
        "transform": rasterio.Affine(0.3, 0, 400_000, 0, -0.3, 3_000_000),
        "tiled": True,
        "blockxsize": 128,
        "blockysize": 128,
        **profile,
    }
    with rasterio.open(path, "w", width=size, height=size, **settings) as file:
        file.write(values[: settings["count"]])
    return path


@dataclass(frozen=True)
class SceneOracle:
    """The perfect segmenter for :func:`scene`; picklable, made anew in every worker.

    Args:
        size: Of the scene.
        cell: Of the masks.
        broken: Name of a tile for which it raises an error.
        slow: Seconds that each tile takes.
    """

    size: int = SIZE
    broken: str = ""
    slow: float = 0.0
    name: str = "oracle"
    fingerprint: str = "scene 5"

    def cell_size(self, window_size: int) -> int:
        return 1

    def segment(self, image: TileImage) -> TileMasks:
        if self.slow:
            import time

            time.sleep(self.slow)
        if image.tile.index.name == self.broken:
            raise ValueError("this tile is too hard")
        core = image.size - 2 * MARGIN
        grid = Grid(self.size, self.size, core=core, margin=MARGIN, cell=1)
        return Oracle(scene(self.size).things, grid).load(image.tile.index)


def across_the_date_line(folder: Path) -> tuple[str, str]:
    """A raster of 100 x 100 across the date line, and a layer with a polygon on its eastern half,
    in columns 60 to 70 and rows 60 to 80, whose longitudes are below -179 degrees.
    """
    place = rasterio.Affine(0.01, 0, 179.5, 0, -0.01, 2)
    with rasterio.open(
        folder / "line.tif", "w", driver="GTiff", width=100, height=100, count=3, dtype="uint8",
        crs="EPSG:4326", transform=place,
    ) as file:  # fmt: skip
        file.write(np.full((3, 100, 100), 9, np.uint8))
    east = gpd.GeoDataFrame(geometry=[shapely.box(-179.9, 1.2, -179.8, 1.4)], crs=4326)
    east.to_file(folder / "east.gpkg")
    return str(folder / "line.tif"), str(folder / "east.gpkg")
