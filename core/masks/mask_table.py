# SPDX-License-Identifier: GPL-2.0-or-later
"""A tile's masks as columns: what looks at all of them at once needs no object per mask."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..types import CellBox, LogitArray
from .masks import Mask, PromptRef


@dataclass(frozen=True, eq=False)
class MaskTable(Sequence[Mask]):
    """Masks of one tile; a :class:`Mask` is made where one is asked for.

    Args:
        box: (n, 4) int64 row0, col0, row1, col1, cells.
        logits: int8, crop after crop, each row by row.
        values: (n, 2) float64 score and stability.
        prompt: (n,) int64, which of ``prompts``.
        prompts: Different from one another.
        start: (n + 1,) int64, where each crop begins in ``logits``.
    """

    box: NDArray[np.int64]
    logits: LogitArray
    values: NDArray[np.float64]
    prompt: NDArray[np.int64]
    prompts: Sequence[PromptRef]
    start: NDArray[np.int64]

    @classmethod
    def of(cls, masks: Sequence[Mask]) -> MaskTable:
        """Any masks as columns; a table as it is."""
        if isinstance(masks, MaskTable):
            return masks
        known: dict[PromptRef, int] = {}
        box = np.array(
            [(m.box.row0, m.box.col0, m.box.row1, m.box.col1) for m in masks], np.int64
        ).reshape(-1, 4)
        return cls(
            box,
            np.concatenate([np.empty(0, np.int8), *(mask.logits.ravel() for mask in masks)]),
            np.array([(m.score, m.stability) for m in masks], np.float64).reshape(-1, 2),
            np.array([known.setdefault(mask.prompt, len(known)) for mask in masks], np.int64),
            tuple(known),
            starts(box),
        )

    def __len__(self) -> int:
        return len(self.box)

    def __getitem__(self, number: int) -> Mask:  # type: ignore[override]
        if not -len(self) <= number < len(self):
            raise IndexError(number)
        number %= len(self)
        box = CellBox(*self.box[number].tolist())
        score, stability = self.values[number].tolist()
        prompt = self.prompts[int(self.prompt[number])]
        return Mask(box, self.crop(number).reshape(box.shape), score, stability, prompt)

    def __iter__(self) -> Iterator[Mask]:
        return (self[number] for number in range(len(self)))

    def crop(self, number: int) -> LogitArray:
        """A mask's logits, flat."""
        return self.logits[self.start[number] : self.start[number + 1]]


def starts(box: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each crop begins in the logits of all: (n, 4) boxes -> (n + 1,)."""
    sizes = (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1])
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
