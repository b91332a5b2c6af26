"""Which settings should the classifier of classes from examples have?

    python -m benchmarks.class_settings --work DIR [--draws 8] [--try strength=0.01 ...]

The places that settings are chosen on, and no figure is reported for: buildings of Banepa west,
Nairobi and Catanduanes, fields of the Midwest (NAIP, brought to 10 m), and two generated scenes
(seeds 21 and 22). Figures as in ``benchmarks.classes``, with 5, 10 and 20 examples of each class:
average precision, precision and recall of what is written, their F1, |said - true|. Each ``--try``
is a setting of ``ClassifierOptions``, of ``weights`` by block (``weights.encoder=0.8``), the
classifier's ``whole`` and ``beside``, ``SHARED`` and ``SURE`` of ``resolve.py``, or ``least``, the
probability from which an object is written, several joined by commas; the present ones come
first.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import geopandas as gpd
import numpy as np
import rasterio
import shapely
from rasterio.features import shapes
from rasterio.transform import from_origin
from samgeo_core.classes import resolve
from samgeo_core.classes.classifier import ClassifierOptions
from samgeo_core.classes.objects import ObjectClasses
from samgeo_core.training.datasets.crops import read_image
from samgeo_core.training.datasets.opencv import cv2

from .classes import ROOT, SHARED, Case, Ready, _town, banepa_west, drawn, figures, prepare

INSTANCES = SHARED / "train" / "instances"
CRS = "EPSG:32637"
"""Of mosaics whose place does not matter."""

SHRUNK = 3
"""Times that NAIP's fields (2 to 4 m) are shrunk, to be like Sentinel-2's."""


def mosaic(path: Path, kind: str, parts: list[tuple[int, int, Path, Path]], pixel: float,
           shrink: int = 1) -> Case:  # fmt: skip
    """A raster and its true polygons from pictures with their places (row, column) in pixels."""
    truth = path.with_suffix(".gpkg")
    if not path.exists():
        read = []
        for row, col, image, mask in parts:
            rgb, labels = read_image(image), cv2.imread(str(mask), cv2.IMREAD_UNCHANGED)
            if shrink > 1:
                size = rgb.shape[1] // shrink, rgb.shape[0] // shrink
                rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
                labels = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)
            read.append((row // shrink, col // shrink, rgb, labels))
        height = max(r + len(rgb) for r, _, rgb, _ in read)
        width = max(c + rgb.shape[1] for _, c, rgb, _ in read)
        canvas = np.zeros((height, width, 3), np.uint8)
        polygons = []
        for row, col, rgb, labels in read:
            canvas[row : row + len(rgb), col : col + rgb.shape[1]] = rgb
            transform = from_origin(500_000 + col * pixel, 5_000_000 - row * pixel, pixel, pixel)
            found: dict[int, list] = {}
            for shape, number in shapes(labels.astype(np.int32), labels > 0, transform=transform):
                found.setdefault(int(number), []).append(shapely.geometry.shape(shape))
            polygons += [shapely.unary_union(pieces) for pieces in found.values()]
        gpd.GeoDataFrame(geometry=polygons, crs=CRS).to_file(truth)
        profile = {"driver": "GTiff", "height": height, "width": width, "count": 3,
                   "dtype": "uint8", "crs": CRS, "nodata": 0,
                   "transform": from_origin(500_000, 5_000_000, pixel, pixel)}  # fmt: skip
        with rasterio.open(path, "w", **profile) as out:
            out.write(canvas.transpose(2, 0, 1))
    return Case(path.stem, path, [(kind, truth, None)])


def tiles(work: Path, name: str, zoom: int, pixel: float) -> Case:
    """The pictures of a data set that are tiles of a web map at one zoom, packed side by side.

    Rows and columns between the tiles that are there are left out: the sets are in patches.
    """
    rows = []
    for image in sorted((INSTANCES / "images").glob(f"{name}_z{zoom}_*.jpg")):
        col, row = (int(v) for v in re.findall(r"_(\d+)_(\d+)$", image.stem)[0])
        rows.append((row, col, image, INSTANCES / "masks" / f"{image.stem}.png"))
    side = len(read_image(rows[0][2]))
    up, left = ({v: k for k, v in enumerate(sorted({r[i] for r in rows}))} for i in (0, 1))
    parts = [(up[r] * side, left[c] * side, image, mask) for r, c, image, mask in rows]
    return mosaic(work / f"{name}.tif", "building", parts, pixel)


def midwest(work: Path) -> Case:
    images = sorted((INSTANCES / "images").glob("fields_midwest_*_half.jpg"))
    parts = [
        (k // 6 * 512, k % 6 * 512, image, INSTANCES / "masks" / f"{image.stem}.png")
        for k, image in enumerate(images)
    ]
    return mosaic(work / "midwest.tif", "field", parts, 10.0, SHRUNK)


def generated(work: Path, seed: int) -> Case:
    folder = work / f"town{seed}"
    if not folder.exists():
        made = [sys.executable, str(ROOT / "sample_data/make.py"), "--seed", str(seed)]
        subprocess.run([*made, "--out", str(folder)], check=True, stdout=subprocess.DEVNULL)
    return _town(f"town{seed}", folder)


def cases(work: Path) -> Iterator[Case]:
    yield banepa_west(work)
    yield tiles(work, "nairobi", 20, 0.15)
    yield tiles(work, "catanduanes", 20, 0.14)
    yield midwest(work)
    yield generated(work, 21)
    yield generated(work, 22)


def judged(
    ready: Ready,
    counts: list[int],
    draws: int,
    options: ClassifierOptions,
    changes: dict[str, float],
    least: float,
) -> np.ndarray:
    """(counts, 5) means of ``benchmarks.classes.figures`` over the draws."""
    asked = ObjectClasses(ready.layer, options)
    everything = np.ones(len(ready.layer), bool)
    out = []
    for n in counts:
        rows = []
        for seed in range(draws):
            marked = drawn(ready, n, np.random.default_rng(1000 + seed), everything)
            if marked is not None:
                fitted = replace(asked.train(marked), **changes)
                rows.append(figures(ready, asked, marked, everything, fitted, least))
        out.append(np.mean(rows, axis=0) if rows else np.full(5, np.nan))
    return np.array(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=8)
    parser.add_argument("--examples", type=int, nargs="+", default=[5, 10, 20])
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--try", dest="tried", nargs="*", default=[])
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    made = [prepare(case, args.work, args.model, 1, None) for case in cases(args.work)]
    names = [case.name for case in cases(args.work)]
    for ready, name in zip(made, names, strict=True):
        print(f"{name}: {len(ready.layer)} candidates, true {ready.counts}", flush=True)
    print(f"{'setting':36} AP by place {' '.join(names)}: mean; precision recall F1 |said - true|")
    for setting in ["", *args.tried]:
        options, shared, least = ClassifierOptions(), resolve.SHARED, 0.5
        sure = resolve.SURE
        changes: dict[str, float] = {}
        for part in filter(None, setting.split(",")):
            key, value = part.split("=")
            if key.startswith("weights."):
                weights = dict(options.weights) | {key[8:]: float(value)}
                options = replace(options, weights=tuple(weights.items()))
            elif key == "SHARED":
                shared = float(value)
            elif key == "SURE":
                sure = float(value)
            elif key == "least":
                least = float(value)
            elif key in ("whole", "beside"):
                changes[key] = float(value)
            else:
                kind = int if key == "components" else float
                options = replace(options, **{key: kind(value)})
        with patch.object(resolve, "SHARED", shared), patch.object(resolve, "SURE", sure):
            rows = [judged(r, args.examples, args.draws, options, changes, least) for r in made]
        found = np.array(rows)
        by_place = np.nanmean(found, axis=1)
        ap, precision, recall, error, _ = np.nanmean(by_place, axis=0)
        f1 = np.mean(2 * by_place[:, 1] * by_place[:, 2] / (by_place[:, 1] + by_place[:, 2]))
        by_n = " ".join(f"{v:.3f}" for v in np.nanmean(found[..., 0], axis=0))
        print(f"{setting:36} {' '.join(f'{v:.3f}' for v in by_place[:, 0])}: {ap:.4f} ({by_n}); "
              f"{precision:.3f} {recall:.3f} {f1:.4f} {error:.3f}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
