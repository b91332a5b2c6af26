# SPDX-License-Identifier: GPL-2.0-or-later
"""Does the embedded model know buildings and roads where nothing was trained or chosen?

    python -m benchmarks.class_areas [WEIGHTS ...]

Area under the ROC curve by cell of 4 network pixels: buildings in the eastern half of Banepa,
windows of 1024 x 1024, against all other cells and against those beyond 1 m of a footprint (in
between lie eaves, walls and what footprints are off by); the same of the western half, which is
training data: more than there cannot be expected. Roads in Vegas, where a cell within 4 m of a
centre line is road, against all others and against those beyond 10 m (between them lie kerbs, and
roads that are wider), at scales 1 and 2. The first figure is that of a map without examples
(``samgeo surfaces``, ``samgeo roads``), in which the cells of an object are drawn together, the one
in brackets that of the cells alone. Places that were held back from training: ``held_back``.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
from rasterio.features import rasterize
from rasterio.windows import Window
from samgeo_core.models.embedded.classes import CLASSES
from samgeo_core.models.embedded.load import load_embedded
from samgeo_core.models.embedded.model import EmbeddedModel
from samgeo_core.training.datasets.crops import BANEPA_HELD_OUT, BANEPA_SPLIT
from samgeo_core.training.datasets.strokes import area_under_curve

from .classes import SHARED
from .embedded_model import class_maps
from .roads import RASTER, VEGAS

BANEPA = SHARED / "eval" / "buildings_banepa"
SIDE = 1024
NEAR, FAR = 4.0, 10.0
"""Metres from a centre line within which a cell is road, and beyond which it is not."""

EAVES = 1.0
"""Metres around a footprint that may be its building."""

HALVES = (
    ("east", range(BANEPA_SPLIT, 3072, SIDE), 4096),
    ("west, which was trained on", range(0, BANEPA_SPLIT, SIDE), BANEPA_HELD_OUT),
)
"""Halves of Banepa: the columns at which windows begin, and the rows."""


def cells(
    model: EmbeddedModel, image: np.ndarray, name: str, planes: list[np.ndarray]
) -> tuple[np.ndarray, list[np.ndarray]]:
    """(2, n) the probability of a class in the cells of an image, in a map and alone, and what
    planes of its pixels hold."""
    both = class_maps(model, image)
    side = 4 / model.scale
    rows, cols = (((np.arange(n) + 0.5) * side).astype(int) for n in both[0].shape[1:])
    scores = np.stack([each[CLASSES.index(name)].ravel() for each in both])
    return scores, [plane[rows[:, None], cols[None]].ravel() > 0 for plane in planes]


def areas(scores: np.ndarray, wanted: np.ndarray) -> str:
    """The figure of a map, in brackets that of the cells alone."""
    of_map, alone = (area_under_curve(each, wanted) for each in scores)
    return f"{of_map:.3f} ({alone:.3f})"


def roads(model: EmbeddedModel) -> tuple[str, str]:
    """Of Vegas: near a centre line against the rest, and against what is far from all."""
    with rasterio.open(RASTER) as source:
        image = np.ascontiguousarray(source.read([1, 2, 3]).transpose(1, 2, 0))
        transform, crs = source.transform, source.crs
    lines = gpd.read_file(VEGAS / "AOI_2_Vegas_img0_roads.geojson")
    lines = lines.set_crs(4326, allow_override=True)
    metric = lines.to_crs(lines.estimate_utm_crs())
    planes = [
        rasterize(
            [(shape, 1) for shape in metric.buffer(reach).to_crs(crs)],
            out_shape=image.shape[:2],
            transform=transform,
        )
        for reach in (NEAR, FAR)
    ]
    scores, (near, within) = cells(model, image, "road", planes)
    clear = near | ~within
    return areas(scores, near), areas(scores[:, clear], near[clear])


def buildings(model: EmbeddedModel, columns: range, height: int) -> tuple[str, str]:
    """Of Banepa's first rows: footprints against the rest, and against what is far from all.

    Args:
        model: Of a scale.
        columns: Where windows begin.
        height: Rows that are looked at.
    """
    scores, wanted = [], []
    with rasterio.open(BANEPA / "mosaic_train_4326.tif") as source:
        shapes = gpd.read_file(BANEPA / "footprints_4326.gpkg")
        metric = shapes.to_crs(shapes.estimate_utm_crs()).buffer(EAVES)
        layers = [each.to_crs(source.crs).geometry for each in (shapes, metric)]
        for row, col in itertools.product(range(0, height - SIDE + 1, SIDE), columns):
            window = Window(col, row, SIDE, SIDE)
            image = source.read([1, 2, 3], window=window).transpose(1, 2, 0)
            planes = [
                rasterize(
                    [(shape, 1) for shape in layer],
                    out_shape=image.shape[:2],
                    transform=source.window_transform(window),
                )
                for layer in layers
            ]
            given, known = cells(model, np.ascontiguousarray(image), "building", planes)
            scores.append(given)
            wanted.append(known)
    every = np.concatenate(scores, axis=1)
    inside, within = (np.concatenate(parts) for parts in zip(*wanted, strict=True))
    clear = inside | ~within
    return areas(every, inside), areas(every[:, clear], inside[clear])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path, nargs="*", help="none: the shipped ones")
    for weights in parser.parse_args().weights or [None]:
        model = load_embedded("cpu", 1, weights)
        print(weights or "shipped")
        for name, columns, height in HALVES:
            rest, far = buildings(model, columns, height)
            print(f"  buildings, Banepa {name}: {rest}, beyond 1 m {far}", flush=True)
        for scale in (1.0, 2.0):
            rest, far = roads(model.scaled(scale))
            print(f"  roads, Vegas, scale {scale:g}: {rest}, beyond 10 m {far}", flush=True)


if __name__ == "__main__":
    main()
