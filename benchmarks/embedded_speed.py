# SPDX-License-Identifier: GPL-2.0-or-later
"""How long does the embedded model take, on a machine that is doing other things as well?

    python benchmarks/embedded_speed.py [WEIGHTS]

Processor seconds of one thread (the least of some runs) for encoding an image of 1024 x 1024, for a
click and for a window's automatic masks, as a raster of its own and as a tile of a larger one (read
with its context, asked for what reaches into its core). Each stands beside a float32 matrix product
of 2048 x 2048 measured in the same minute: their ratio means something where seconds do not. With a
processor on whose two quiet cores the product takes ``QUIET`` seconds, the ratio is a time.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rasterio
import torch
from samgeo_core.models.base import Prompts
from samgeo_core.models.embedded.load import load_embedded
from samgeo_core.segmenters.automatic import AutomaticOptions, AutomaticSegmenter
from samgeo_core.segmenters.segmenter import TileImage
from samgeo_core.tiles.grid import Grid, Tile
from samgeo_core.types import PixelBox, TileIndex

QUIET = 0.057
"""Seconds of the product on the two cores (Zen 3) on which the targets were set."""

SIDE = 1024
MARGIN = 128
CORNER = 256
TOWN = Path(__file__).parents[1] / "sample_data" / "town.tif"


def least(work: Callable[[], object], runs: int) -> float:
    """Processor seconds of the quickest of some runs."""
    spent = []
    for _ in range(runs):
        begun = time.process_time()
        work()
        spent.append(time.process_time() - begun)
    return min(spent)


def main() -> None:
    torch.set_num_threads(1)
    model = load_embedded("cpu", 1, Path(sys.argv[1]) if len(sys.argv) > 1 else None)
    with rasterio.open(TOWN) as source:
        town = source.read([1, 2, 3]).transpose(1, 2, 0)
    image = np.ascontiguousarray(town[CORNER : CORNER + SIDE, CORNER : CORNER + SIDE])
    a, b = torch.rand(2048, 2048), torch.rand(2048, 2048)
    product = least(lambda: a @ b, 8)
    embedding = model.encode([image])[0]
    labels = np.ones((1, 1), np.int8)
    places = np.random.default_rng(0).uniform(50, SIDE - 50, (20, 1, 1, 2)).astype(np.float32)

    def clicks() -> None:
        for place in places:
            model.decode(embedding, Prompts(points=place, labels=labels), multimask=False)

    box = PixelBox(0, 0, SIDE, SIDE)
    tile = Tile(TileIndex(0, 0), box, box, box)
    segmenter = AutomaticSegmenter(model, AutomaticOptions(proposals="embedded"), model)
    cell = segmenter.cell_size(SIDE)
    window = TileImage(tile, image, np.ones((SIDE, SIDE), bool), SIDE, cell)
    masks = len(segmenter.segment(window).masks)
    # The same pixels as the window of a tile in the town's middle, read with their context.
    beyond = -(-segmenter.context.pixels // segmenter.context.step) * segmenter.context.step
    grid = Grid(*town.shape[:2], SIDE - 2 * MARGIN, MARGIN, cell, context=beyond)
    core = PixelBox(CORNER, CORNER, CORNER + SIDE, CORNER + SIDE).grown(-MARGIN)
    seen = core.grown(MARGIN + beyond)
    middle = Tile(TileIndex(0, 0), core, seen, core.grown(MARGIN - grid.trust))
    around = np.ascontiguousarray(town[seen.row0 : seen.row1, seen.col0 : seen.col1])
    valid = np.ones(seen.shape, bool)
    part = TileImage(middle, around, valid, grid.read_size, cell)
    owned = len(segmenter.segment(part).masks)
    spent = {
        "encode": least(lambda: model.encode([image]), 3),
        "click": least(clicks, 3) / len(places),
        f"window, {masks} masks": least(lambda: segmenter.segment(window), 3),
        f"the same as a tile, {owned} masks": least(lambda: segmenter.segment(part), 3),
    }
    print(f"matrix product: {product:.4f} CPU s")
    for name, seconds in spent.items():
        times = seconds / product
        print(
            f"{name}: {seconds:.3f} CPU s, {times:.2f} products: {times * QUIET:.3f} s on two "
            "quiet cores"
        )


if __name__ == "__main__":
    main()
