# SPDX-License-Identifier: GPL-2.0-or-later
"""What automatic mode needs of a model that proposes prompts and knows classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..models.base import Embedding, ModelInfo, PromptableModel, Proposals
from ..models.embedded.classes import CLASSES
from ..tiles.mask_grid import pad_image
from ..types import ByteArray, FloatArray
from .mask_nms import Candidate
from .segmenter import TileImage


class Proposer(Protocol):
    """A model that knows where objects are and what they are: the embedded one."""

    @property
    def info(self) -> ModelInfo:
        """As of any model."""

    @property
    def scale(self) -> float:
        """Network pixels per image pixel."""

    def encode(self, images: Sequence[ByteArray]) -> list[Embedding]:
        """As of any model."""

    def propose(self, embedding: Embedding) -> Proposals:
        """One prompt per object."""

    def class_probabilities(self, embedding: Embedding) -> tuple[FloatArray, tuple[float, float]]:
        """(classes, h, w), and the size of their cells in pixels."""


class Cropped(Protocol):
    """A prompt's logits where they were computed, in cells of the window."""

    row0: int
    col0: int
    logits: FloatArray
    scores: FloatArray


def class_of(
    candidate: Candidate, probabilities: FloatArray, times: tuple[float, float]
) -> tuple[str, float]:
    """The likeliest class of a mask and its probability: see :func:`class_shares`."""
    means = class_shares(candidate, probabilities, times)
    best = int(means.argmax())
    return CLASSES[best], round(float(means[best]), 2)


def class_shares(
    candidate: Candidate, probabilities: FloatArray, times: tuple[float, float]
) -> NDArray[np.float64]:
    """The mean probability of each class over a mask, (classes,).

    Args:
        candidate: In cells of the window.
        probabilities: (classes, h, w), from the same corner.
        times: Cells of ``probabilities`` per cell of the window along rows and columns.
    """
    rows, cols = np.nonzero(candidate.logits > 0)
    r = ((rows + candidate.box.row0 + 0.5) * times[0]).astype(np.intp)
    c = ((cols + candidate.box.col0 + 0.5) * times[1]).astype(np.intp)
    r, c = np.minimum(r, probabilities.shape[1] - 1), np.minimum(c, probabilities.shape[2] - 1)
    return np.asarray(probabilities[:, r, c].mean(axis=1, dtype=np.float64), np.float64)


def canvas_of(model: PromptableModel | Proposer, image: TileImage) -> ByteArray:
    """What a model is given of a window: where its scale depends on the image's size, as large as
    any other window."""
    if model.info.cell is None:
        return pad_image(image.pixels, image.size)
    return np.ascontiguousarray(image.pixels)
