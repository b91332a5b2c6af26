# SPDX-License-Identifier: GPL-2.0-or-later
"""What is kept of a model's answers in automatic mode: thresholds, stability, duplicates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..masks.masks import ABSENT, LOGIT_STEPS
from ..models.base import Decoded, Embedding, PromptableModel, Prompts
from ..tiles.mask_grid import resample
from ..types import CellBox, FloatArray
from .mask_nms import Candidate, Criterion, make_candidate, remove_duplicates, stability_of
from .proposers import Cropped
from .small_regions import mend
from .views import View, is_cut_off

STEPS = np.float32(LOGIT_STEPS)

LOGITS_AT_ONCE = 64 << 20
"""Bytes of logits that one call of ``decode`` may return."""


@dataclass(frozen=True)
class Answers:
    """A model's answers as candidates.

    Args:
        model: That is asked.
        min_score: Predicted IoU that a mask must exceed.
        min_stability: Stability that a mask must reach.
        stability_offset: Logit by which a mask is cut higher and lower for its stability.
        max_iou: IoU above which the worse of two masks is left out.
        duplicates: IoU of what makes two masks duplicates.
        min_region: Islands and holes smaller than this many pixels are removed and filled.
    """

    model: PromptableModel
    min_score: float
    min_stability: float
    stability_offset: float
    max_iou: float
    duplicates: Criterion
    min_region: int

    def to_points(self, embedding: Embedding, points: FloatArray, view: View) -> Decoded:
        """The model's answers to one click each; ``points`` are in the window's pixels."""
        local = points - np.array([view.box.row0, view.box.col0], np.float32)
        prompts = Prompts(points=local[:, None], labels=np.ones((len(points), 1), np.int8))
        return self.model.decode(embedding, prompts, min_score=self.min_score)

    def of_window(self, decoded: Decoded, embedding: Embedding, view: View) -> Iterator[Candidate]:
        """What is good of the masks of a whole view."""
        cell = view.cell
        passed = decoded.scores > self.min_score
        row, which = np.nonzero(passed)
        h, w = decoded.logits.shape[2:]
        every = decoded.logits.reshape(-1, h, w)
        offset = view.cells.row0 * cell - view.box.row0, view.cells.col0 * cell - view.box.col0
        logits = resample(
            every if passed.all() else every[passed.ravel()],
            embedding.cell_size,
            (cell, cell),
            offset=offset,
            shape=view.cells.shape,
        )
        if not view.valid.all():
            logits = np.where(view.valid, logits, ABSENT / STEPS)
        stability = stability_of(logits, self.stability_offset)
        for number in np.flatnonzero(stability >= self.min_stability):
            candidate = make_candidate(
                logits[number],
                view.cells,
                score=float(decoded.scores[row[number], which[number]]),
                stability=float(stability[number]),
                layer=view.layer,
            )
            if candidate is not None and not is_cut_off(candidate, view):
                yield candidate

    def of_crop(self, answer: Cropped, view: View, finer: int) -> Iterator[Candidate]:
        """What is good of one prompt's masks, which lie somewhere in the window.

        Args:
            answer: Its first cell and its size are multiples of 16 cells.
            view: Of the window.
            finer: Cells of the answer along a cell of the window.
        """
        logits = answer.logits
        if finer > 1:
            m, h, w = logits.shape
            squares = logits.reshape(m, h // finer, finer, w // finer, finer)
            logits = squares.mean((2, 4), dtype=np.float32)
        row0, col0 = answer.row0 // finer, answer.col0 // finer
        box = CellBox(row0, col0, row0 + logits.shape[1], col0 + logits.shape[2])
        cells = box.intersection(view.cells)
        if cells.empty:
            return
        logits = logits[:, : cells.height, : cells.width]
        valid = view.valid[cells.slices(view.cells)]
        if not valid.all():
            logits = np.where(valid, logits, ABSENT / STEPS)
        good = np.flatnonzero(answer.scores > self.min_score)
        stability = stability_of(logits[good], self.stability_offset)
        for number, steady in zip(good.tolist(), stability.tolist(), strict=True):
            if steady >= self.min_stability:
                candidate = make_candidate(
                    logits[number],
                    cells,
                    score=float(answer.scores[number]),
                    stability=float(steady),
                )
                if candidate is not None:
                    yield candidate

    def tidied(self, found: list[Candidate], view: View) -> list[Candidate]:
        """Masks without their small islands and holes, where that is asked for."""
        if not self.min_region:
            return found
        smallest = self.min_region / view.cell**2
        mended = [mend(candidate, smallest, view.cells) for candidate in found]
        return self.distinct(mended)

    def distinct(
        self, candidates: Sequence[Candidate], small: tuple[int, float] | None = None
    ) -> list[Candidate]:
        """Candidates without duplicates, best first; ``small`` as of
        :func:`~.mask_nms.remove_duplicates`."""
        return remove_duplicates(candidates, self.max_iou, self.duplicates, small)
