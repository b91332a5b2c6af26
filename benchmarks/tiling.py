# SPDX-License-Identifier: GPL-2.0-or-later
"""Does a tile's size change what is found?

    python benchmarks/tiling.py RASTER [--window ROW COL] [--proposals embedded|grid]
        [--class building] [--list]

The same 1024 x 1024 pixels of a raster, untiled and in windows of 768 and 512 pixels: the panoptic
quality (Kirillov et al. 2019) of what tiles give, with what the untiled raster gives as the truth.
Everything else is the same: model, scale, stretch, thresholds. Objects within objects are compared
one by one: a pair matches where its IoU is the largest of both and above 0.5. ``--list`` says of
each polygon without a partner where it is, how sure the model was, and what is most like it.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
import samgeo_core as sg
from rasterio.windows import Window
from rasterio.windows import transform as window_transform
from scipy.optimize import linear_sum_assignment

SIDE = 1024
WINDOWS = ((768, 128), (512, 64))
"""Side and margin of windows, pixels."""


def part_of(raster: Path, row: int, col: int, out: Path) -> Path:
    """A square of a raster as a file of its own."""
    with rasterio.open(raster) as source:
        window = Window(col, row, SIDE, SIDE)
        profile = source.profile | {"driver": "GTiff", "width": SIDE, "height": SIDE}
        profile |= {"transform": window_transform(window, source.transform)}
        for name in ("blockxsize", "blockysize", "tiled", "interleave"):
            profile.pop(name, None)
        with rasterio.open(out, "w", **profile) as target:
            target.write(source.read(window=window))
    return out


def overlaps(found: gpd.GeoDataFrame, truth: gpd.GeoDataFrame) -> np.ndarray:
    """(found, truth) IoU of polygons."""
    out = np.zeros((len(found), len(truth)))
    pairs = truth.sindex.query(found.geometry, predicate="intersects")
    for i, j in pairs.T:
        a, b = found.geometry.iloc[i], truth.geometry.iloc[j]
        common = a.intersection(b).area
        out[i, j] = common / (a.area + b.area - common)
    return out


def quality(found: gpd.GeoDataFrame, truth: gpd.GeoDataFrame) -> tuple[float, float, float]:
    """Panoptic quality, and its two factors: quality of segmentation and of recognition."""
    table = overlaps(found, truth)
    rows, cols = linear_sum_assignment(-table)
    matched = table[rows, cols]
    matched = matched[matched > 0.5]
    recognition = len(matched) / max(1.0, 0.5 * (len(found) + len(truth)))
    mean = float(matched.mean()) if len(matched) else 0.0
    return mean * recognition, mean, recognition


def without_partner(
    found: gpd.GeoDataFrame, truth: gpd.GeoDataFrame, part: Path, core: int
) -> Iterator[str]:
    """One line per polygon that has no partner, the largest first.

    Args:
        found: Of tiles.
        truth: Untiled.
        part: The raster.
        core: Side of the tiles' cores, pixels.
    """
    with rasterio.open(part) as source:
        to_pixels = ~source.transform
    table = overlaps(found, truth)
    rows, cols = linear_sum_assignment(-table)
    matched = table[rows, cols] > 0.5
    seams = np.arange(core, SIDE, core)
    for name, frame, known, best in (
        ("only tiled", found, rows[matched], table.max(1, initial=0)),
        ("only untiled", truth, cols[matched], table.max(0, initial=0)),
    ):
        shapes = frame.geometry.affine_transform(to_pixels.to_shapely())
        alone = sorted(
            set(range(len(frame))) - set(known.tolist()), key=lambda i: -shapes.iloc[i].area
        )
        for i in alone:
            col0, row0, col1, row1 = shapes.iloc[i].bounds
            away = min(
                max(low - seam, seam - high, 0)
                for seam in seams
                for low, high in ((row0, row1), (col0, col1))
            )
            row = frame.iloc[i]
            yield (
                f"  {name}: rows {row0:.0f} to {row1:.0f}, columns {col0:.0f} to {col1:.0f}, area "
                f"{shapes.iloc[i].area:.0f} px, score {row.score:.2f}, stability "
                f"{row.stability:.2f}, {away:.0f} px from a seam, best IoU {best[i]:.2f}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("raster", type=Path)
    parser.add_argument("--window", type=int, nargs=2, default=(0, 0), metavar=("ROW", "COL"))
    parser.add_argument("--proposals", choices=("embedded", "grid"), default="embedded")
    parser.add_argument("--class", dest="classes", action="append", default=[])
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--list", action="store_true", help="polygons without a partner")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        part = part_of(options.raster, *options.window, Path(folder) / "part.tif")

        def polygons(tile_size: int, margin: int | None) -> gpd.GeoDataFrame:
            result = sg.segment(
                part,
                model=options.model,
                proposals=options.proposals,
                classes=options.classes,
                threads=options.threads,
                tile_size=tile_size,
                margin=margin,
                overview=False,
            )
            assert isinstance(result, gpd.GeoDataFrame)
            return result

        truth = polygons(SIDE + 64, 32)
        print(f"untiled: {len(truth)} polygons")
        for side, margin in WINDOWS:
            found = polygons(side, margin)
            pq, sq, rq = quality(found, truth)
            print(f"windows of {side}: {len(found)} polygons, PQ {pq:.3f} = {sq:.3f} x {rq:.3f}")
            if options.list:
                for line in without_partner(found, truth, part, side - 2 * margin):
                    print(line)


if __name__ == "__main__":
    main()
