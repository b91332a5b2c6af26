# SPDX-License-Identifier: GPL-2.0-or-later
"""A promptable model that returns the object of a label raster, window by window.

The pixels of a :class:`LabelSource` carry the labels (label = red + 256 * green), so that the model
knows no more of the raster than the window that it was given to encode. What it sees of an object
ends at the window's edge.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from affine import Affine
from rasterio.crs import CRS

from ..errors import ModelError
from ..interactive.session import Session
from ..models.base import Decoded, Embedding, ModelInfo, Prompts
from ..models.embedding_cache import EmbeddingCache
from ..raster.raster import RasterWindow
from ..types import PixelBox

SURE = 8.0
ALL = ("point", "box", "mask")


def labels_to_pixels(labels):
    return np.stack([labels % 256, labels // 256, np.full_like(labels, 7)], axis=-1).astype(
        np.uint8
    )


class LabelSource:
    """A raster in memory whose pixels are labels; coarser levels take every ``factor``-th pixel."""

    def __init__(self, labels, transform=None, crs=None, factor=1, valid=None):
        self.labels = labels[factor // 2 :: factor, factor // 2 :: factor]
        self.valid = None if valid is None else valid[factor // 2 :: factor, factor // 2 :: factor]
        self.transform = (transform or Affine.identity()) @ Affine.scale(factor)
        self.crs = CRS.from_user_input(crs) if crs is not None else None
        self.reads = 0

    @property
    def shape(self):
        return self.labels.shape

    def read(self, box: PixelBox) -> RasterWindow:
        self.reads += 1
        pixels = np.zeros((*box.shape, 3), np.uint8)
        valid = np.zeros(box.shape, bool)
        inside = box.intersection(PixelBox(0, 0, *self.shape))
        if not inside.empty:
            at = inside.slices(box)
            here = inside.slices(PixelBox(0, 0, *self.shape))
            valid[at] = True if self.valid is None else self.valid[here]
            pixels[at] = labels_to_pixels(self.labels[here])
            pixels[~valid] = 0
        return RasterWindow(pixels, valid)

    def has_data(self, box: PixelBox) -> bool:
        return bool(self.read(box).valid.any())


class OracleModel:
    """Answers with the labelled object at the prompt, and with nothing of it outside the window.

    Args:
        input_size: Window side in pixels.
        mask_size: Cells along it.
        candidates: How many masks with ``multimask``: the object, then the object without its
            upper half, then everything.
        accepts: Kinds of prompt.
    """

    def __init__(
        self, input_size=128, mask_size=32, candidates=3, accepts=("point", "box", "mask")
    ):
        self.info = ModelInfo(
            name="oracle",
            family="oracle",
            fingerprint=f"oracle-{input_size}-{mask_size}",
            input_size=input_size,
            mask_size=mask_size,
            accepts=frozenset(accepts),
        )
        self.candidates = candidates
        self.encoded = 0
        self.decoded = 0
        self.calls = 0
        self.asked: list[Prompts] = []

    def encode(self, images: Sequence[np.ndarray]) -> list[Embedding]:
        self.encoded += len(images)
        cell = self.info.input_size / self.info.mask_size
        return [
            Embedding(
                arrays={
                    "labels": image[..., 0].astype(np.int32) + 256 * image[..., 1].astype(np.int32)
                },
                shape=image.shape[:2],
                cell_size=(cell, cell),
                mask_shape=(self.info.mask_size,) * 2,
                fingerprint=self.info.fingerprint,
            )
            for image in images
        ]

    def decode(self, embedding, prompts, *, multimask=True, min_score=None) -> Decoded:
        if embedding.fingerprint != self.info.fingerprint:
            raise ModelError("The embedding is another model's.")
        self.calls += 1
        self.decoded += len(prompts)
        self.asked.append(prompts)
        labels = embedding.arrays["labels"]
        count = self.candidates if multimask else 1
        logits = np.empty((len(prompts), count, *embedding.mask_shape), np.float32)
        scores = np.tile(np.array([0.95, 0.85, 0.6][:count], np.float32), (len(prompts), 1))
        for i in range(len(prompts)):
            wanted = self._label(labels, prompts[slice(i, i + 1)])
            mask = np.isin(labels, wanted) if len(wanted) else np.zeros(labels.shape, bool)
            half = mask.copy()
            rows = np.flatnonzero(mask.any(axis=1))
            if rows.size:
                half[: (rows[0] + rows[-1]) // 2] = False
            for k, shape in enumerate((mask, half, labels > 0)[:count]):
                logits[i, k] = self._logits(shape)
        return Decoded(np.arange(len(prompts)), logits, scores)

    def _logits(self, mask):
        size = self.info.mask_size
        cell = mask.shape[0] // size
        share = mask.reshape(size, cell, size, cell).mean(axis=(1, 3))
        return (share * 2 - 1) * SURE

    def _label(self, labels, prompt):
        """The labels that most of the prompt names."""
        votes = np.zeros(int(labels.max()) + 1)
        banned = set()
        if prompt.points is not None:
            for (row, col), label in zip(prompt.points[0], prompt.labels[0], strict=True):
                r = min(int(row), labels.shape[0] - 1)
                c = min(int(col), labels.shape[1] - 1)
                if label == 1:
                    votes[labels[r, c]] += 1000
                elif label == 0:
                    banned.add(int(labels[r, c]))
        chosen = set(np.flatnonzero(votes[1:]) + 1) if votes[1:].any() else set()
        if not chosen:
            if prompt.boxes is not None:
                row0, col0, row1, col1 = (round(float(v)) for v in prompt.boxes[0])
                votes += np.bincount(labels[row0:row1, col0:col1].ravel(), minlength=len(votes))
            elif prompt.masks is not None:
                cell = labels.shape[0] // self.info.mask_size
                inside = np.kron(prompt.masks[0] > 0, np.ones((cell, cell), bool))
                votes += np.bincount(labels[inside], minlength=len(votes))
            if votes[1:].any():
                chosen = {np.argmax(votes[1:]) + 1}
        return sorted(chosen - banned)


def oracle_session(labels, *, model=None, cache=None, transform=None, crs=None, valid=None, **more):
    """A session on a raster of labels."""
    return Session(
        lambda factor: LabelSource(labels, transform, crs, factor, valid),
        model or OracleModel(),
        cache if cache is not None else EmbeddingCache(folder=None, in_memory=256),
        **more,
    )
