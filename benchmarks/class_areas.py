# SPDX-License-Identifier: GPL-2.0-or-later
"""Does the embedded model know buildings and roads where nothing was trained or chosen?

    python -m benchmarks.class_areas [WEIGHTS ...]

Area under the ROC curve by cell of 4 network pixels: buildings in the eastern half of Banepa (its
west is training data), windows of 1024 x 1024; roads in Vegas, where a cell within 4 m of a centre
line is road, against all others and against those beyond 10 m (between them lie kerbs, and roads
that are wider), at scales 1 and 2. The first figure is that of a map without examples (``samgeo
surfaces``, ``samgeo roads``), in which the cells of an object are drawn together, the one in
brackets that of the cells alone. Places that were held back from training: ``held_back``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
from rasterio.features import rasterize
from rasterio.windows import Window
from samgeo_core.models.embedded.classes import CLASSES
from samgeo_core.models.embedded.load import load_embedded
from samgeo_core.models.embedded.model import EmbeddedModel
from samgeo_core.training.datasets.crops import BANEPA_SPLIT
from samgeo_core.training.datasets.strokes import area_under_curve

from .classes import SHARED
from .embedded_model import class_maps
from .roads import RASTER, VEGAS

BANEPA = SHARED / "eval" / "buildings_banepa"
SIDE = 1024
NEAR, FAR = 4.0, 10.0
"""Metres from a centre line within which a cell is road, and beyond which it is not."""


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


def buildings(model: EmbeddedModel) -> str:
    """Of Banepa's eastern half."""
    scores, wanted = [], []
    with rasterio.open(BANEPA / "mosaic_train_4326.tif") as source:
        shapes = gpd.read_file(BANEPA / "footprints_4326.gpkg").to_crs(source.crs).geometry
        for row in range(0, source.height - SIDE + 1, SIDE):
            window = Window(BANEPA_SPLIT, row, SIDE, SIDE)
            image = np.ascontiguousarray(source.read([1, 2, 3], window=window).transpose(1, 2, 0))
            plane = rasterize(
                [(shape, 1) for shape in shapes],
                out_shape=(SIDE, SIDE),
                transform=source.window_transform(window),
            )
            given, (inside,) = cells(model, image, "building", [plane])
            scores.append(given)
            wanted.append(inside)
    return areas(np.concatenate(scores, axis=1), np.concatenate(wanted))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path, nargs="*", help="none: the shipped ones")
    for weights in parser.parse_args().weights or [None]:
        model = load_embedded("cpu", 1, weights)
        print(weights or "shipped")
        print(f"  buildings, Banepa east: {buildings(model)}", flush=True)
        for scale in (1.0, 2.0):
            rest, far = roads(model.scaled(scale))
            print(f"  roads, Vegas, scale {scale:g}: {rest}, beyond 10 m {far}", flush=True)


if __name__ == "__main__":
    main()
