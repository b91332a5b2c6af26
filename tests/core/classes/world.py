# SPDX-License-Identifier: GPL-2.0-or-later
"""A small raster with red and green squares on grey, their polygons, and tiny random models."""

from functools import lru_cache
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
import shapely
from affine import Affine
from samgeo_core.parallel.executors import SerialExecutor

from .. import tiny_models

TRANSFORM = Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000)
CRS = "EPSG:32632"
COLOURS = {"roof": (200, 60, 50), "field": (60, 170, 70)}
HEIGHT, WIDTH = 280, 400


@lru_cache
def model(family: str):
    return tiny_models.model(family)


def mobile_sam():
    return model("mobile_sam")


def sam2():
    return model("sam2")


class ShuffledExecutor(SerialExecutor):
    """Runs all items in a random order; results come in the order of the items."""

    def __init__(self, seed=1):
        self.rng = np.random.default_rng(seed)

    def map(self, function, items):
        items = list(items)
        out = {}
        for k in self.rng.permutation(len(items)):
            out[k] = function(items[k])
        return (out[k] for k in range(len(items)))


def squares():
    """(class, column, row, side) of every square; roofs are small, fields large."""
    found = []
    for row in range(4):
        for col in range(7):
            kind = "roof" if (row + col) % 2 else "field"
            found.append((kind, 15 + col * 54, 15 + row * 66, 22 if kind == "roof" else 34))
    return found


def polygon(col, row, side):
    x, y = TRANSFORM @ (col, row)
    return shapely.box(x, y - side * 0.5, x + side * 0.5, y)


def write_world(folder: Path) -> tuple[Path, Path]:
    """The raster and the layer of its squares, which also holds a part and a double of each."""
    rng = np.random.default_rng(3)
    image = np.full((HEIGHT, WIDTH, 3), 120, float)
    rows = []
    for kind, col, row, side in squares():
        image[row : row + side, col : col + side] = COLOURS[kind]
        whole = polygon(col, row, side)
        rows.append((kind, 0.9, whole))
        rows.append((kind, 0.7, whole.buffer(-1)))  # a double
    image += rng.normal(0, 8, image.shape)
    path = folder / "world.tif"
    with rasterio.open(
        path, "w", driver="GTiff", height=HEIGHT, width=WIDTH, count=3, dtype="uint8",
        crs=CRS, transform=TRANSFORM,
    ) as file:  # fmt: skip
        file.write(np.clip(image, 0, 255).astype("uint8").transpose(2, 0, 1))
    ground = polygon(340, 240, 30)  # an object on bare ground
    frame = gpd.GeoDataFrame(
        {
            "id": [f"o{k}" for k in range(len(rows) + 1)],
            "score": [score for _, score, _ in rows] + [0.8],
            "stability": 0.9,
            "truth": [kind for kind, _, _ in rows] + [""],
        },
        geometry=[shape for _, _, shape in rows] + [ground],
        crs=CRS,
    )
    layer = folder / "objects.gpkg"
    frame.to_file(layer)
    return path, layer


def write_points(path: Path, marks, crs=CRS) -> Path:
    """Points in the middle of squares: (class, column, row, side)."""
    frame = gpd.GeoDataFrame(
        {"kind": [mark[0] for mark in marks]},
        geometry=[polygon(*mark[1:]).centroid for mark in marks],
        crs=CRS,
    )
    frame.to_crs(crs).to_file(path)
    return path
