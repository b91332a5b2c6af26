# SPDX-License-Identifier: GPL-2.0-or-later
"""Cut the picture and the houses of ``samgeo models check`` out of the sample town.

    python sample_data/make_check_scene.py

Writes ``core/model_check/scene.tif`` (512 x 512, JPEG) and ``scene.json``, the outlines of the
houses that lie wholly in it, (row, column) in pixels. They are part of the engine's package.
"""

from __future__ import annotations

import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
from rasterio.windows import Window
from shapely.affinity import affine_transform
from shapely.geometry import box

HERE = Path(__file__).resolve().parent
OUT = HERE.parent / "core" / "model_check"
ROW, COL, SIDE, INSIDE = 384, 384, 512, 4
"""Where the picture lies in the town, its side, and how far inside a house must lie, pixels."""


def main() -> None:
    """Write both files."""
    with rasterio.open(HERE / "town.tif") as town:
        pixels = town.read([1, 2, 3], window=Window(COL, ROW, SIDE, SIDE))
        inverse = ~town.transform
    houses = gpd.read_file(HERE / "town_truth.gpkg", layer="buildings")
    to_pixels = [inverse.a, inverse.b, inverse.d, inverse.e, inverse.c - COL, inverse.f - ROW]
    whole = box(INSIDE, INSIDE, SIDE - INSIDE, SIDE - INSIDE)
    outlines = []
    for geometry in houses.geometry:
        placed = affine_transform(geometry, to_pixels)
        if whole.contains(placed):
            ring = np.asarray(placed.exterior.coords)[:-1, ::-1]
            outlines.append(np.round(ring, 2).tolist())
    profile = {
        "driver": "GTiff",
        "width": SIDE,
        "height": SIDE,
        "count": 3,
        "dtype": "uint8",
        "compress": "jpeg",
        "photometric": "ycbcr",
        "jpeg_quality": 90,
    }
    with rasterio.open(OUT / "scene.tif", "w", **profile) as file:
        file.write(pixels)
    text = json.dumps({"houses": outlines}, separators=(",", ":")).replace("]],", "]],\n")
    (OUT / "scene.json").write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
