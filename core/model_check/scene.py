# SPDX-License-Identifier: GPL-2.0-or-later
"""The picture that models are checked with, and what is known to be in it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning
from rasterio.features import rasterize
from scipy.ndimage import distance_transform_edt

from ..notes import silenced
from ..types import BoolArray, ByteArray, FloatArray

HERE = Path(__file__).parent


@dataclass(frozen=True, eq=False)
class Scene:
    """A picture of known houses.

    Args:
        pixels: (512, 512, 3) uint8, RGB.
        masks: (n, 512, 512) bool, one per house that lies wholly in the picture.
        boxes: (n, 4) float32, their boxes (row0, col0, row1, col1), pixels.
        points: (n, 2) float32, the deepest place in each, (row, column), pixels.
    """

    pixels: ByteArray
    masks: BoolArray
    boxes: FloatArray
    points: FloatArray


def read_scene() -> Scene:
    """The picture of the package; ``sample_data/make_check_scene.py`` makes it."""
    with silenced(NotGeoreferencedWarning), rasterio.open(HERE / "scene.tif") as file:
        pixels = np.ascontiguousarray(file.read().transpose(1, 2, 0))
    outlines = json.loads((HERE / "scene.json").read_text("utf-8"))["houses"]
    masks, boxes, points = [], [], []
    for outline in outlines:
        ring = np.asarray(outline, np.float64)
        shape = {"type": "Polygon", "coordinates": [[*ring[:, ::-1].tolist(), ring[0, ::-1]]]}
        mask = rasterize([shape], out_shape=pixels.shape[:2], dtype="uint8") > 0
        depth = distance_transform_edt(mask)
        masks.append(mask)
        boxes.append([*ring.min(axis=0), *ring.max(axis=0)])
        points.append(np.add(np.unravel_index(depth.argmax(), depth.shape), 0.5))
    return Scene(pixels, np.stack(masks), np.array(boxes, "f4"), np.array(points, "f4"))
