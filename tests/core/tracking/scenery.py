# SPDX-License-Identifier: GPL-2.0-or-later
"""A series of dates painted with the sample scene's canvas, and a model that sees its objects.

Ponds, roofs and lorries on farmland, each kind in a colour of its own. What they do from date to
date is known, so that every name can be checked.
"""

from __future__ import annotations

import copy
import sys
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
import shapely
from affine import Affine
from rasterio.warp import Resampling, calculate_default_transform, reproject
from samgeo_core.models.base import Decoded, Embedding, ModelInfo
from scipy.ndimage import label as label_parts
from shapely.affinity import scale, translate

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "sample_data"))

from paint import Canvas
from scene import rectangle

SIDE, PIXEL = 200.0, 0.5
WEST, NORTH = 351_200.0, 3_057_600.0
CRS = "EPSG:32645"
GROUND = Affine(1, 0, WEST, 0, -1, NORTH)

COLOURS = {
    "pond": (0.05, 0.10, 0.62, 0.05),
    "roof": (0.72, 0.08, 0.05, 0.40),
    "lorry": (0.75, 0.68, 0.02, 0.40),
    "shed": (0.05, 0.60, 0.55, 0.40),
}
"""Reflectance: red, green, blue, near infrared."""


def rgb(colour):
    return np.rint(np.clip(np.array(colour[:3]) * 1.22, 0, 1) ** 0.86 * 255)


@dataclass
class Thing:
    """One object: its kind, its name, and its shape in metres at each date (None: not there)."""

    kind: str
    name: str
    shapes: list = field(default_factory=list)


def round_pond(x, y, radius):
    turn = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    r = radius * (1 + 0.10 * np.cos(3 * turn) + 0.05 * np.cos(5 * turn + 1))
    return shapely.Polygon(np.column_stack([x + r * np.cos(turn), y + r * np.sin(turn)]))


def things(dates: int = 6) -> list[Thing]:
    """What there is, and what becomes of it."""
    steps = range(dates)
    still = round_pond(30, 30, 12)
    growing = [scale(round_pond(90, 35, 8), 1 + 0.18 * k, 1 + 0.18 * k) for k in steps]
    moving = [rectangle(30 + 9 * k, 90, 18, 8, 10) for k in steps]
    gone = rectangle(150, 30, 20, 14, 25)
    back = rectangle(165, 75, 16, 12, -15)
    covered = round_pond(160, 160, 14)
    # Two of one colour on roads that cross: in the middle one lies over the other.
    east = [rectangle(40 + 14 * k, 140 + 0.8 * k, 14, 7, 3) for k in steps]
    south = [rectangle(77 + 0.5 * k, 105 + 14 * k, 7, 14, 3) for k in steps]
    return [
        Thing("pond", "still", [still] * dates),
        Thing("pond", "growing", growing),
        Thing("lorry", "moving", moving),
        Thing("roof", "vanishing", [gone if k < 3 else None for k in steps]),
        Thing("roof", "returning", [None if k in (2, 3) else back for k in steps]),
        Thing("pond", "covered", [covered] * dates),
        Thing("lorry", "eastward", east),
        Thing("lorry", "southward", south),
    ]


@lru_cache(maxsize=1)
def farmland() -> Canvas:
    canvas = Canvas(np.random.default_rng(3), SIDE, PIXEL)
    canvas.fill(shapely.box(0, 0, SIDE, SIDE), (0.31, 0.36, 0.20, 0.52), grain=0.12, blotch=0.12)
    canvas.fill(shapely.box(0, 60, SIDE, 66), (0.45, 0.44, 0.42, 0.40), grain=0.04)
    return canvas


def painted(shown: list[Thing], date: int, cloud=None) -> np.ndarray:
    """A date as (H, W, 3) uint8."""
    canvas = copy.deepcopy(farmland())
    for thing in shown:
        if thing.shapes[date] is not None:
            canvas.fill(thing.shapes[date], COLOURS[thing.kind], grain=0.02, blotch=0.02)
    if cloud is not None:
        canvas.fill(cloud, (0.95, 0.95, 0.95, 0.95), grain=0.01, soft=2.0)
    bands = canvas.finish()[..., :3]
    return np.rint(np.clip(bands * 1.22, 0, 1) ** 0.86 * 255).astype(np.uint8)


def save(path: Path, pixels: np.ndarray, *, factor: float = 1, crs: str = CRS, empty=None) -> Path:
    """Write a date; ``factor`` times as coarse, in another CRS, or with a part without data."""
    if empty is not None:
        drawn = rasterio.features.rasterize(
            [empty], pixels.shape[:2], transform=Affine.scale(PIXEL), dtype="uint8"
        )
        pixels = np.where(drawn[..., None] > 0, 0, np.maximum(pixels, 1))
    bands = np.moveaxis(pixels, -1, 0)
    transform = GROUND @ Affine.scale(PIXEL)
    if factor != 1 or crs != CRS:
        height, width = pixels.shape[:2]
        bounds = rasterio.transform.array_bounds(height, width, transform)
        if crs == CRS:
            wide, high = int(width / factor), int(height / factor)
            to = transform @ Affine.scale(width / wide, height / high)
        else:
            to, wide, high = calculate_default_transform(CRS, crs, width, height, *bounds)
        out = np.zeros((3, high, wide), np.uint8)
        reproject(
            bands,
            out,
            src_transform=transform,
            src_crs=CRS,
            dst_transform=to,
            dst_crs=crs,
            resampling=Resampling.average if factor > 1 else Resampling.bilinear,
        )
        bands, transform = out, to
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=bands.shape[1],
        width=bands.shape[2],
        count=3,
        dtype="uint8",
        crs=crs,
        transform=transform,
        nodata=0 if crs != CRS or empty else None,
    ) as file:
        file.write(bands)
    return path


def layer_of(shown: list[Thing], date: int) -> gpd.GeoDataFrame:
    """The objects of a date as a layer."""
    there = [thing for thing in shown if thing.shapes[date] is not None]
    shapes = [on_ground(thing.shapes[date]) for thing in there]
    return gpd.GeoDataFrame({"name": [t.name for t in there]}, geometry=shapes, crs=CRS)


def on_ground(shape):
    """Metres of the scene (y downwards) on the ground."""
    return translate(scale(shape, 1, -1, origin=(0, 0)), WEST, NORTH)


class ColourOracle:
    """Answers with the part of one colour that is meant, as far as its window shows it."""

    def __init__(self, input_size=256, mask_size=128):
        self.info = ModelInfo(
            "colours",
            "oracle",
            f"colours-{input_size}-{mask_size}",
            input_size,
            mask_size,
            frozenset({"point", "box", "mask"}),
        )
        self.encoded = 0

    def encode(self, images):
        self.encoded += len(images)
        cell = self.info.input_size / self.info.mask_size
        out = []
        for image in images:
            parts = np.zeros(image.shape[:2], np.int32)
            for colour in COLOURS.values():
                near = np.abs(image.astype(float) - rgb(colour)).max(axis=2) < 45
                found, count = label_parts(near)
                sizes = np.bincount(found.ravel(), minlength=count + 1)
                keep = (sizes >= 6) & (np.arange(count + 1) > 0)
                parts = np.where(keep[found], found + parts.max() + 1, parts)
            out.append(
                Embedding(
                    {"parts": parts},
                    image.shape[:2],
                    (cell * image.shape[0] / self.info.input_size,) * 2,
                    (self.info.mask_size,) * 2,
                    self.info.fingerprint,
                )
            )
        return out

    def decode(self, embedding, prompts, *, multimask=True, min_score=None):
        parts = embedding.arrays["parts"].astype(np.int32)
        size = self.info.mask_size
        cell = parts.shape[0] // size
        count = 3 if multimask else 1
        logits = np.full((len(prompts), count, size, size), -8, np.float32)
        scores = np.full((len(prompts), count), 0.2, np.float32)
        for i in range(len(prompts)):
            one = prompts[slice(i, i + 1)]
            number = self._meant(parts, one, cell)
            if number:
                share = (parts == number).reshape(size, cell, size, cell).mean(axis=(1, 3))
                logits[i, 0] = (2 * share - 1) * 8
                scores[i, 0] = 0.95
        return Decoded(np.arange(len(prompts)), logits, scores)

    @staticmethod
    def _meant(parts, prompt, cell):
        if prompt.points is not None:
            for (row, col), label in zip(prompt.points[0], prompt.labels[0], strict=True):
                at = min(int(row), parts.shape[0] - 1), min(int(col), parts.shape[1] - 1)
                if label == 1 and parts[at]:
                    return parts[at]
        if prompt.masks is not None:
            inside = np.kron(prompt.masks[0] > 0, np.ones((cell, cell), bool))
            votes = np.bincount(parts[inside].ravel(), minlength=1)
            if votes[1:].any():
                return int(np.argmax(votes[1:])) + 1
        elif prompt.boxes is not None:
            row0, col0, row1, col1 = (round(float(v)) for v in prompt.boxes[0])
            votes = np.bincount(parts[row0:row1, col0:col1].ravel(), minlength=1)
            if votes[1:].any():
                return int(np.argmax(votes[1:])) + 1
        return 0
