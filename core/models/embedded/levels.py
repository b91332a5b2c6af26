# SPDX-License-Identifier: GPL-2.0-or-later
"""How large masks are: what is added to the logits of masks of each size.

Focal and dice losses are not for area: masks of objects of a few cells come out too small. The
numbers are found on training data that was held back (``training/calibrate.py``) and stand in the
notes of the weights.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Levels:
    """What is added to a mask's logits, by the side of a square of its area.

    Args:
        sides: Rising, in cells of the mask; between them the addition is interpolated over the
            logarithm of the side.
        clear: Added to masks for unambiguous prompts, one for each side.
        candidates: Likewise to the candidates for ambiguous prompts.
    """

    sides: tuple[float, ...] = (1.0,)
    clear: tuple[float, ...] = (0.0,)
    candidates: tuple[float, ...] = (0.0,)

    def to_json(self) -> str:
        return json.dumps([self.sides, self.clear, self.candidates])

    @classmethod
    def from_json(cls, text: str) -> Levels:
        return cls(*(tuple(float(v) for v in row) for row in json.loads(text)))

    def apply(self, logits: Tensor, clear: Tensor) -> Tensor:
        """(m, h, w) logits of masks, changed by their sizes; ``clear`` (m,) says which table."""
        if not any(self.clear) and not any(self.candidates):
            return logits
        areas = (logits > 0).sum((1, 2)).clamp(min=1).double().cpu().numpy()
        at, known = np.log2(areas) / 2, np.log2(self.sides)
        added = np.where(
            clear.numpy(),
            np.interp(at, known, self.clear),
            np.interp(at, known, self.candidates),
        )
        return logits + torch.from_numpy(added.astype(np.float32)).to(logits.device)[:, None, None]
