# SPDX-License-Identifier: GPL-2.0-or-later
"""A promptable model that returns regions of one colour of a painted image.

It obeys the contract of ``models/base.py`` to the letter (cells, batches, ``min_score``), so that
what a segmenter does with the answers can be checked exactly.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from ..models.base import Decoded, Embedding, ModelInfo, Prompts
from ..segmenters.segmenter import TileImage
from ..tiles.grid import Tile
from ..types import FloatArray, PixelBox, TileIndex

BACKGROUND = (124, 116, 104)


class PaintedModel:
    """Answers a point with the region of its colour: distance to its edge, in cells, as logits.

    Three candidates: the region, the region without its outermost cells (score 0.1 lower), and
    nothing. A colour's blue channel is its score in percent.
    """

    def __init__(self, mask_size: int = 64, input_size: int = 256, accepts="point box mask"):
        self.info = ModelInfo(
            name="painted",
            family="painted",
            fingerprint=f"painted-{mask_size}",
            input_size=input_size,
            mask_size=mask_size,
            accepts=frozenset(accepts.split()),
            score_threshold=0.5,
            stability_threshold=0.0,
        )
        self.encoded: list[np.ndarray] = []
        self.asked: list[Prompts] = []

    @property
    def points(self) -> np.ndarray:
        return np.concatenate([p.points[:, 0] for p in self.asked if p.points is not None])

    def encode(self, images: Sequence[np.ndarray]) -> list[Embedding]:
        found = []
        for image in images:
            self.encoded.append(image)
            size = self.info.mask_size
            cell = max(image.shape[:2]) / size
            centre = np.minimum(((np.arange(size) + 0.5) * cell).astype(int), image.shape[0] - 1)
            rows, cols = centre, np.minimum(centre, image.shape[1] - 1)
            colours = image[rows][:, cols].astype(np.int64) @ (65536, 256, 1)
            found.append(
                Embedding(
                    {"colours": colours},
                    image.shape[:2],
                    (cell, cell),
                    (size, size),
                    self.info.fingerprint,
                )
            )
        return found

    def decode(self, embedding, prompts, *, multimask=True, min_score=None) -> Decoded:
        self.asked.append(prompts)
        colours = embedding.arrays["colours"]
        rows = []
        regions: dict[int, np.ndarray] = {}
        for number in range(len(prompts)):
            row, col = self._place(embedding, prompts, number)
            colour = colours[row, col]
            if colour not in regions:
                regions[colour] = _signed_distance(colours == colour)
            logits = regions[colour]
            score = 0.0 if colour == _code(BACKGROUND) else (colour % 256) / 100
            empty = np.full_like(logits, -9)
            rows.append(
                (np.stack([logits, logits - 1, empty]), np.array([score, score - 0.1, 0.9]))
                if multimask
                else (logits[None], np.array([score]))
            )
        kept = [n for n, (_, s) in enumerate(rows) if min_score is None or s.max() >= min_score]
        shape = (3 if multimask else 1, *embedding.mask_shape)
        return Decoded(
            np.array(kept, np.int64),
            np.array([rows[n][0] for n in kept], np.float32).reshape(-1, *shape),
            np.array([rows[n][1] for n in kept], np.float32).reshape(-1, shape[0]),
        )

    @staticmethod
    def _place(embedding, prompts: Prompts, number: int) -> tuple[int, int]:
        if prompts.points is not None:
            row, col = prompts.points[number, 0] / embedding.cell_size
        elif prompts.masks is not None:
            row, col = np.unravel_index(prompts.masks[number].argmax(), embedding.mask_shape)
        else:
            boxes = np.asarray(prompts.boxes, np.float64)
            row, col = boxes[number].reshape(2, 2).mean(axis=0) / embedding.cell_size
        return int(row), int(col)


def _signed_distance(inside: np.ndarray) -> np.ndarray:
    distance = ndimage.distance_transform_edt(np.pad(inside, 1, mode="edge"))[1:-1, 1:-1]
    outside = ndimage.distance_transform_edt(~inside)
    signed: FloatArray = np.where(inside, distance - 0.5, 0.5 - outside).astype(np.float32)
    return signed


def _code(colour: tuple[int, int, int]) -> int:
    return colour[0] * 65536 + colour[1] * 256 + colour[2]


def paint(
    regions: dict[tuple[int, int, int, int], int], size: int = 256, scores: int = 90
) -> np.ndarray:
    """A (size, size, 3) image of boxes (row0, col0, row1, col1), later ones on top."""
    image = np.empty((size, size, 3), np.uint8)
    image[:] = BACKGROUND
    for (row0, col0, row1, col1), name in regions.items():
        image[row0:row1, col0:col1] = (name, 255 - name, scores)
    return image


def tile_image(
    pixels: np.ndarray, *, size: int = 256, cell: int = 4, valid=None, at: tuple[int, int] = (0, 0)
) -> TileImage:
    """``pixels`` as the window of a tile that begins at a pixel ``at`` of the raster."""
    height, width = pixels.shape[:2]
    box = PixelBox(at[0], at[1], at[0] + height, at[1] + width)
    tile = Tile(TileIndex(0, 0), box, box, box)
    if valid is None:
        valid = np.ones((height, width), bool)
    return TileImage(tile, pixels, valid, size, cell)
