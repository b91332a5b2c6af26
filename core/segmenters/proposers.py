# SPDX-License-Identifier: GPL-2.0-or-later
"""What automatic mode needs of a model that proposes prompts and knows classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..masks.masks import LOGIT_STEPS
from ..models.base import Embedding, Judged, ModelInfo, PromptableModel, Proposals
from ..models.embedded.classes import CLASSES
from ..tiles.mask_grid import pad_image
from ..types import ByteArray, FloatArray
from .mask_nms import Candidate
from .segmenter import TileImage

JUDGED_STEPS = np.float32(LOGIT_STEPS / 2)
"""Stored logits are divided by this: masks look twice as sharp to the head as they are, so that a
square of few cells shows where their border is."""


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

    @property
    def judges(self) -> bool:
        """Whether :meth:`judge` works."""

    def judge(self, embedding: Embedding, masks: Sequence[Judged]) -> FloatArray:
        """(n, 2) predicted IoU of masks with a whole object, and with a whole building."""


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


def judged_scores(
    candidates: Sequence[Candidate],
    proposer: Proposer,
    embedding: Embedding,
    cell: int,
) -> list[float]:
    """Predicted IoU of masks with a whole object, by a head that looks at the picture.

    Of the two estimates, with any object and with a building, each counts as far as the mask may be
    the one or the other.

    Args:
        candidates: In cells of the window.
        proposer: Has the head that judges masks.
        embedding: Of the window.
        cell: Image pixels along a cell.
    """
    said = proposer.judge(embedding, [to_judge(c, cell * proposer.scale) for c in candidates])
    probabilities, sides = proposer.class_probabilities(embedding)
    times = cell / sides[0], cell / sides[1]
    number = CLASSES.index("building")
    likely = [class_shares(c, probabilities, times)[number] for c in candidates]
    return [
        round(float((1 - share) * of_any + share * of_building), 4)
        for share, (of_any, of_building) in zip(likely, said.tolist(), strict=True)
    ]


def to_judge(candidate: Candidate, pixels: float) -> Judged:
    """A mask as the head that judges masks takes it.

    Args:
        candidate: In cells of the window.
        pixels: Network pixels along a cell.
    """
    box, tight = (
        (b.row0 * pixels, b.col0 * pixels, b.row1 * pixels, b.col1 * pixels)
        for b in (candidate.box, candidate.tight)
    )
    return Judged(box, tight, candidate.logits / JUDGED_STEPS, candidate.score, candidate.stability)


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
