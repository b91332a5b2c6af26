# SPDX-License-Identifier: GPL-2.0-or-later
"""Small scenes of bright squares on one lattice of the ground."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from samgeo_core.job import SegmentParameters
from samgeo_core.testing.bright import Bright

SIDE = 96
PIXEL = 0.5
HARD = 77
"""Red value at which the segmenter of these tests fails."""


def write_scene(
    path: Path, east: float = 0.0, *, mark: int = 0, rows: int = SIDE, **profile
) -> Path:
    """36 bright squares, 8 m apart, 3 m wide; ``east`` metres away from the first scene; fewer of
    them where it has fewer rows of pixels."""
    pixels = np.full((3, SIDE, SIDE), 20, np.uint8)
    for row in range(4, SIDE - 8, 16):
        for col in range(3, SIDE - 8, 16):
            pixels[:, row : row + 6, col : col + 6] = 200
    if mark:
        pixels[0, 0, 0] = mark
    settings = {
        "driver": "GTiff",
        "count": 3,
        "dtype": "uint8",
        "crs": "EPSG:32645",
        "transform": rasterio.Affine(PIXEL, 0, 400_000 + east, 0, -PIXEL, 3_000_000),
        "tiled": True,
        "blockxsize": 32,
        "blockysize": 32,
        **profile,
    }
    with rasterio.open(path, "w", width=SIDE, height=rows, **settings) as file:
        file.write(pixels[:, :rows])
    return path


def job(rasters, output, scenes="each", **more) -> SegmentParameters:
    names = [rasters] if isinstance(rasters, (str, Path)) else rasters
    return SegmentParameters([str(name) for name in names], str(output), scenes=scenes, **more)


@dataclass
class Counted:
    """Counts how often it segments, in this process."""

    calls: list
    name: str = "bright"
    fingerprint: str = "bright 1"

    def cell_size(self, window_size):
        return 1

    def segment(self, image):
        self.calls.append(image.tile.index.name)
        return Bright(fails_at=HARD).segment(image)
