# SPDX-License-Identifier: GPL-2.0-or-later
"""Make the sample data; the same seed gives the same scene.

Needs numpy, scipy, shapely, rasterio and geopandas, and half a minute.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
from rasterio.transform import Affine
from scipy.ndimage import map_coordinates
from shapely.affinity import affine_transform
from shapely.geometry import box

sys.path.insert(0, str(Path(__file__).parent))

from objects import paint_scene
from paint import Array, Canvas
from scene import SIDE, Scene, lay_out

CRS = "EPSG:32645"
PIXEL = 0.25
"""Metres."""
WEST, NORTH = 351_200.0, 3_057_600.0
"""Corner of the scene; the place is an empty valley and the town is made up."""


def picture(reflectance: Array) -> np.ndarray:
    """Reflectance as 8-bit RGB, as an orthophoto would be delivered."""
    rgb = np.clip(reflectance[..., :3] * 1.22, 0, 1) ** 0.86
    return np.rint(rgb * 255).astype(np.uint8)


def write(path: Path, array: np.ndarray, transform: Affine, **profile: object) -> None:
    """Write bands-last pixels as a GeoTIFF."""
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=array.shape[0],
        width=array.shape[1],
        count=array.shape[2],
        dtype=array.dtype,
        crs=CRS,
        transform=transform,
        tiled=True,
        blockxsize=256,
        blockysize=256,
        **profile,
    ) as file:
        file.write(np.moveaxis(array, -1, 0))


def write_truth(path: Path, scene: Scene) -> None:
    """The layers buildings, roads, fields, water and trees, on the ground."""
    frame = box(0, 0, SIDE, SIDE)

    def ground(shapes: list) -> gpd.GeoSeries:
        moved = [
            affine_transform(s.intersection(frame), [1, 0, 0, -1, WEST, NORTH]) for s in shapes
        ]
        return gpd.GeoSeries(moved, crs=CRS)

    path.unlink(missing_ok=True)
    buildings = gpd.GeoDataFrame(
        {
            "roof": [b.roof for b in scene.buildings],
            "height_m": [round(b.height, 1) for b in scene.buildings],
        },
        geometry=ground([b.footprint for b in scene.buildings]),
    )
    roads = gpd.GeoDataFrame(
        {"surface": [r.surface for r in scene.roads], "width_m": [r.width for r in scene.roads]},
        geometry=ground([r.line for r in scene.roads]),
    )
    fields = gpd.GeoDataFrame(
        {"crop": [f.crop for f in scene.fields]}, geometry=ground([f.shape for f in scene.fields])
    )
    water = gpd.GeoDataFrame({"kind": ["pond"]}, geometry=ground([scene.pond]))
    trees = gpd.GeoDataFrame(
        {"radius_m": [round(t.radius, 2) for t in scene.trees]},
        geometry=ground([t.crown for t in scene.trees]),
    )
    layers = {
        "buildings": buildings,
        "roads": roads,
        "fields": fields,
        "water": water,
        "trees": trees,
    }
    for name, frame_of in layers.items():
        frame_of.to_file(path, layer=name, driver="GPKG")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)

    rng = np.random.default_rng(arguments.seed)
    scene = lay_out(rng)
    canvas = Canvas(rng, SIDE, PIXEL)
    paint_scene(canvas, scene)
    reflectance = canvas.finish()
    rgb = picture(reflectance)

    transform = Affine(PIXEL, 0, WEST, 0, -PIXEL, NORTH)
    write(
        arguments.out / "town.tif",
        rgb,
        transform,
        compress="jpeg",
        photometric="ycbcr",
        jpeg_quality=85,
    )
    write_truth(arguments.out / "town_truth.gpkg", scene)

    # Four bands of 11 bits, the corner of a swath without data, and no colour interpretation.
    row, col, size = 520, 300, 352
    counts = np.rint(reflectance[row : row + size, col : col + size] * 1800 + 90) // 4 * 4
    rows, cols = np.mgrid[:size, :size]
    counts[rows * 0.45 + cols < 96] = 0
    write(
        arguments.out / "town_rgbn_uint16.tif",
        counts.astype(np.uint16),
        transform @ Affine.translation(col, row),
        nodata=0,
        compress="deflate",
        predictor=2,
        zlevel=9,
        photometric="minisblack",
    )

    # The same ground on a grid that is turned by 17 degrees.
    turned = transform @ Affine.translation(700, 560) @ Affine.rotation(17.0)
    rows, cols = np.mgrid[:448, :448] + 0.5
    x, y = turned @ (cols, rows)
    at_col, at_row = ~transform @ (x, y)
    crop = np.stack(
        [
            map_coordinates(reflectance[..., b], [at_row - 0.5, at_col - 0.5], order=1)
            for b in range(3)
        ],
        axis=-1,
    )
    write(
        arguments.out / "town_rotated.tif",
        picture(crop),
        turned,
        compress="jpeg",
        photometric="ycbcr",
        jpeg_quality=85,
    )
    for name in ("town.tif", "town_rgbn_uint16.tif", "town_rotated.tif", "town_truth.gpkg"):
        print(f"{name:24} {(arguments.out / name).stat().st_size / 1e6:.2f} MB")
    print(f"{len(scene.buildings)} buildings, {len(scene.fields)} fields, {len(scene.trees)} trees")


if __name__ == "__main__":
    main()
