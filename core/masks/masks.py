# SPDX-License-Identifier: GPL-2.0-or-later
"""``TileMasks``: a tile's masks as arrays, returned by a segmenter and read by the merge.

A mask stays what the model gave: low-resolution logits on the lattice of cells (``types.py``),
clipped, in steps of 1/16, and cropped to where they matter. Zero is the border of the object.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ..types import CellBox, LogitArray, TileIndex
from .logits import ABSENT as ABSENT
from .logits import LOGIT_STEPS as LOGIT_STEPS
from .logits import quantize as quantize
from .raster_edge import extent


@dataclass(frozen=True)
class PromptRef:
    """What a mask was asked for with; goes into the feature's attributes.

    Args:
        id: Identifier of the prompt ("" in automatic mode, where the grid point is not kept).
        type: "auto", "point", "box", "mask", "polygon", "text" or "exemplar".
        label: Class name or word, "" where none was given.
        class_name: What the embedded model takes the object for, "" where it was not asked.
        class_prob: How likely that is, 0 to 1.
    """

    id: str = ""
    type: str = "auto"
    label: str = ""
    class_name: str = ""
    class_prob: float = 0.0


@dataclass(frozen=True, eq=False)
class Mask:
    """One instance mask of one tile.

    Args:
        box: Where ``logits`` lie on the raster's lattice.
        logits: Crop of stored logits, (box.height, box.width) int8, > 0 inside the object.
            Cells outside the crop count as :data:`ABSENT`.
        score: The model's own estimate of IoU, 0 to 1.
        stability: IoU of the mask cut at a higher and at a lower logit, 0 to 1.
        prompt: What asked for it.
    """

    box: CellBox
    logits: LogitArray
    score: float
    stability: float
    prompt: PromptRef = field(default_factory=PromptRef)

    def __post_init__(self) -> None:
        if self.logits.shape != self.box.shape or self.logits.dtype != np.int8:
            raise ValueError(
                f"logits {self.logits.shape} {self.logits.dtype} do not fill {self.box} as int8"
            )


@dataclass(frozen=True, eq=False)
class TileMasks:
    """All masks of one tile; possibly none."""

    index: TileIndex
    cell: int
    masks: Sequence[Mask]


def crop_mask(
    logits: LogitArray, origin: tuple[int, int], *, threshold: int = 0, margin: int = 1
) -> tuple[CellBox, LogitArray] | None:
    """Crop stored logits to where they exceed a threshold, with a margin of cells.

    Args:
        logits: (h, w) int8, stored logits of a window.
        origin: (row, col) of the window's first cell on the raster's lattice.
        threshold: Stored logit above which a cell matters.
        margin: Cells kept around it, as far as the window has them; the contour runs there. With
            any, cells at the window's edges are kept, too, through which a thin tip leaves it.

    Returns:
        Box on the lattice and the crop, or None where nothing exceeds the threshold.
    """
    found = extent(logits, threshold, tips=margin > 0)
    if found is None:
        return None
    whole = CellBox(0, 0, *logits.shape)
    box = CellBox(*found).grown(margin).intersection(whole)
    return box.shifted(*origin), np.ascontiguousarray(logits[box.slices(whole)])
