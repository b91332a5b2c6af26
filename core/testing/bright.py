# SPDX-License-Identifier: GPL-2.0-or-later
"""A cheap segmenter that finds what is bright: for tests and benchmarks of many rasters."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..masks.masks import Mask, TileMasks
from ..segmenters.segmenter import TileImage
from ..types import CellBox

LEVEL = 128


@dataclass(frozen=True)
class Bright:
    """Each 8-connected region of pixels brighter than :data:`LEVEL` is an object. Picklable.

    Args:
        fails_at: Red value of a pixel that makes it raise an error; 0 for none.
        dies_at: Red value of a pixel that ends its process; 0 for none.
        slow: Seconds that each tile takes.
        smooth: Side of a mean filter, pixels, for photographs.
        least: Smallest region, pixels.
    """

    fails_at: int = 0
    dies_at: int = 0
    slow: float = 0.0
    smooth: int = 1
    least: int = 1
    name: str = "bright"
    fingerprint: str = "bright 1"

    def cell_size(self, window_size: int) -> int:
        return 1

    def segment(self, image: TileImage) -> TileMasks:
        if self.slow:
            time.sleep(self.slow)
        red = image.pixels[..., 0]
        if self.fails_at and (red == self.fails_at).any():
            raise ValueError("this scene is too hard")
        if self.dies_at and (red == self.dies_at).any():
            import os

            os._exit(9)
        window = image.tile.window.cells(image.cell)
        grey = ndimage.uniform_filter(image.pixels.mean(axis=2), self.smooth)
        bright = (grey > LEVEL) & image.valid
        labels, _ = ndimage.label(bright, np.ones((3, 3)))
        masks = []
        for number, (rows, cols) in enumerate(ndimage.find_objects(labels), 1):
            box = CellBox(rows.start, cols.start, rows.stop, cols.stop)
            box = box.grown(1).intersection(CellBox(0, 0, *labels.shape))
            inside = labels[box.row0 : box.row1, box.col0 : box.col1] == number
            if np.count_nonzero(inside) < self.least:
                continue
            logits = np.where(inside, 32, -32).astype(np.int8)
            masks.append(Mask(box.shifted(window.row0, window.col0), logits, 0.9, 0.95))
        return TileMasks(image.tile.index, image.cell, masks)
