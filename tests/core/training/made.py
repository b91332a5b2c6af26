# SPDX-License-Identifier: GPL-2.0-or-later
"""A raster of bright squares and their polygons, and a tiny embedded model, for training tests."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
import torch
from affine import Affine
from safetensors.torch import save_file
from samgeo_core.models.embedded.network import EmbeddedNet, NetConfig
from shapely import box

TINY = NetConfig(
    stem=8, widths=(8, 16, 16, 16), depths=(1, 1, 1, 1), neck=(8, 16, 16), decoder=(8, 8, 16, 16)
)
PLACE = Affine.translation(500_000, 5_500_000) @ Affine.scale(0.5, -0.5)
STEP = 32


def squares(width: int = 512, height: int = 128, seed: int = 0) -> list[tuple[int, int, int, int]]:
    """(column, row, column, row) of squares on a lattice of 32 pixels, jittered."""
    rng = np.random.default_rng(seed)
    out = []
    for row in range(0, height, STEP):
        for col in range(0, width, STEP):
            side = int(rng.integers(10, 18))
            r, c = row + int(rng.integers(2, 12)), col + int(rng.integers(2, 12))
            out.append((c, r, c + side, r + side))
    return out


def write_scene(folder: Path, width: int = 512, height: int = 128) -> Path:
    rng = np.random.default_rng(1)
    image = rng.integers(60, 100, (3, height, width), dtype=np.uint8)
    for c0, r0, c1, r1 in squares(width, height):
        image[:, r0:r1, c0:c1] += np.array([[[110]], [[90]], [[60]]], np.uint8)
    path = folder / "squares.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=width, height=height, count=3, dtype="uint8",
        crs="EPSG:32632", transform=PLACE,
    ) as file:  # fmt: skip
        file.write(image)
    return path


def ground(boxes, **columns) -> gpd.GeoDataFrame:
    shapes = []
    for c0, r0, c1, r1 in boxes:
        (x0, y0), (x1, y1) = PLACE @ (c0, r0), PLACE @ (c1, r1)
        shapes.append(box(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)))
    return gpd.GeoDataFrame(columns, geometry=shapes, crs="EPSG:32632")


def write_embedded(path: Path, seed: int = 0, dense: int = 0, quality: int = 0) -> Path:
    """A tiny embedded model with random weights, as an exported file."""
    torch.manual_seed(seed)
    net = EmbeddedNet(replace(TINY, dense=dense, quality=quality))
    tensors = {
        k: v.contiguous() for k, v in net.state_dict().items() if "num_batches_tracked" not in k
    }
    notes = {
        "family": "embedded",
        "config": json.dumps(net.config.to_json()),
        "score_threshold": "0.3",
        "stability_threshold": "0.1",
    }
    save_file(tensors, path, metadata=notes)
    return path
