# SPDX-License-Identifier: GPL-2.0-or-later
"""How long does the embedded model take, on a machine that is doing other things as well?

    python -m benchmarks.embedded_speed [WEIGHTS] [--precision bfloat16] [--threads 2]

Seconds of the processor and by the clock (the least of some runs) for encoding an image of
1024 x 1024, for a click and for a window's automatic masks, as a raster of its own and as a tile of
a larger one (read with its context, asked for what reaches into its core), in the sample scene and,
where the shared data are, a window of Banepa's. Each stands beside a float32 matrix product of
2048 x 2048 measured in the same minute with as many threads: their ratio means something where
seconds do not. With a processor on whose two quiet cores the product takes ``QUIET`` seconds, the
ratio is a time.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import rasterio
import torch
from samgeo_core.models.base import Embedding, Prompts
from samgeo_core.models.embedded.load import load_embedded
from samgeo_core.segmenters.automatic import AutomaticOptions, AutomaticSegmenter
from samgeo_core.segmenters.segmenter import TileImage
from samgeo_core.tiles.grid import Grid, Tile
from samgeo_core.types import ByteArray, PixelBox, TileIndex

QUIET = 0.057
"""Seconds of the product on the two cores (Zen 3) on which the targets were set."""

SIDE = 1024
MARGIN = 128
CORNER = 256
ROOT = Path(__file__).parents[1]
TOWN = ROOT / "sample_data" / "town.tif"
SHARED = Path(os.environ.get("SAMGEO_SHARED_DATA", ROOT.parent / "shared" / "data"))
BANEPA = SHARED / "eval" / "buildings_banepa" / "mosaic_train_4326.tif"


def least(work: Callable[[], object], runs: int) -> tuple[float, float]:
    """Processor seconds and seconds by the clock of the quickest of some runs."""
    spent = []
    for _ in range(runs):
        cpu, clock = time.process_time(), time.perf_counter()
        work()
        spent.append((time.process_time() - cpu, time.perf_counter() - clock))
    return min(cpu for cpu, _ in spent), min(clock for _, clock in spent)


def scenes() -> Iterator[tuple[str, ByteArray]]:
    """Rasters of at least 1,536 x 1,536 pixels, (h, w, 3)."""
    for name, path in (("sample", TOWN), ("Banepa", BANEPA)):
        if path.exists():
            with rasterio.open(path) as source:
                yield name, source.read([1, 2, 3]).transpose(1, 2, 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path, nargs="?", help="none: the shipped ones")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    model = load_embedded("cpu", args.threads, args.weights, precision=args.precision)
    a, b = torch.rand(2048, 2048), torch.rand(2048, 2048)
    labels = np.ones((1, 1), np.int8)
    places = np.random.default_rng(0).uniform(50, SIDE - 50, (20, 1, 1, 2)).astype(np.float32)
    segmenter = AutomaticSegmenter(model, AutomaticOptions(proposals="embedded"), model)
    cell = segmenter.cell_size(SIDE)
    box = PixelBox(0, 0, SIDE, SIDE)
    alone = Tile(TileIndex(0, 0), box, box, box)
    beyond = -(-segmenter.context.pixels // segmenter.context.step) * segmenter.context.step
    for name, pixels in scenes():
        product = least(lambda: a @ b, 8)
        image = np.ascontiguousarray(pixels[CORNER : CORNER + SIDE, CORNER : CORNER + SIDE])
        embedding = model.encode([image])[0]

        def clicks(embedding: Embedding = embedding) -> None:
            for place in places:
                prompt = Prompts(points=place, labels=labels)
                model.decode(embedding, prompt, multimask=False)

        window = TileImage(alone, image, np.ones((SIDE, SIDE), bool), SIDE, cell)
        # The same pixels as the window of a tile in the raster's middle, read with their context.
        grid = Grid(*pixels.shape[:2], SIDE - 2 * MARGIN, MARGIN, cell, context=beyond)
        core = PixelBox(CORNER, CORNER, CORNER + SIDE, CORNER + SIDE).grown(-MARGIN)
        seen = core.grown(MARGIN + beyond)
        middle = Tile(TileIndex(0, 0), core, seen, core.grown(MARGIN - grid.trust))
        around = np.ascontiguousarray(pixels[seen.row0 : seen.row1, seen.col0 : seen.col1])
        part = TileImage(middle, around, np.ones(seen.shape, bool), grid.read_size, cell)
        masks, owned = (len(segmenter.segment(each).masks) for each in (window, part))
        spent = {
            "encode": least(lambda image=image: model.encode([image]), 3),
            "click": tuple(seconds / len(places) for seconds in least(clicks, 3)),
            f"window, {masks} masks": least(lambda one=window: segmenter.segment(one), 5),
            f"as a tile, {owned} masks": least(lambda one=part: segmenter.segment(one), 3),
        }
        print(f"{name}: matrix product {product[0]:.4f} CPU s, {product[1]:.4f} by the clock")
        for what, (cpu, clock) in spent.items():
            print(
                f"  {what}: {cpu:.3f} CPU s, {clock:.3f} by the clock; {cpu / product[0]:.2f} "
                f"products, {cpu / product[0] * QUIET:.3f} s on two quiet cores"
            )


if __name__ == "__main__":
    main()
