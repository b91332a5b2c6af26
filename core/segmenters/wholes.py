# SPDX-License-Identifier: GPL-2.0-or-later
"""Whole buildings of which only parts were found: each pair of parts is asked for with one box.

A click on a roof of several colours, levels or owners' sheds often gives a part of it, and so does
the next click. Two masks that lie beside each other, both of them likely buildings, which together
fill the box around both, may be one building: the model is asked for what lies in that box, and its
answer is one more candidate, judged like all others. The parts stay candidates, too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..models.embedded.classes import CLASSES
from ..types import FloatArray
from .mask_nms import Candidate
from .proposers import class_shares

JOINED = CLASSES.index("building")
"""The class whose parts are joined: fields, crowns and cars come whole, or lie side by side."""

LIKELY = 0.4
"""Probability of that class from which a mask may be a part."""

GAP = 6.0
"""Network pixels that may lie between the boxes of two parts."""

APART = 0.6
"""Share of the smaller box that may be common to both: more is a part and its whole."""

FILLED = 1.6
"""Times that the box around both may be as large as the two boxes together.

On what was held back (``benchmarks/held_back.py``) the share of objects that is found, and of masks
that are objects, without pairs: roofs of Nairobi .568 and .107, Banepa's south-west .636 and .170,
Claremont .902 and .144; with 1.2: .592, .111, .688, .182, .909, .150; with 1.35: .616, .115, .740,
.194, .909, .155; with 1.6: .624, .111, .753, .195, .917, .157; with 2: as with 1.6. Pairs of the
answers once more find another .01, but their masks are more often wrong. Pairs of fields and of
crowns find nothing."""

ALIKE = 0.3
"""IoU of two boxes of which only the better filled one is asked for. In a window of a dense old
town some hundred of a thousand boxes are left. On what was held back (roofs, Banepa's south-west,
Claremont) as many objects are found with 0.3 as with 0.4 (.800, .797; with 0.2 .797), and a window
of that town takes a fifth less time."""


def boxes_of_pairs(
    found: Sequence[Candidate],
    probabilities: FloatArray,
    times: tuple[float, float],
    pixels: float,
) -> FloatArray:
    """The boxes around pairs of masks that may be parts of one building.

    Args:
        found: In cells of the window.
        probabilities: (classes, h, w), from the window's corner.
        times: Cells of ``probabilities`` per cell of the window along rows and columns.
        pixels: Network pixels along a cell of the window.

    Returns:
        (n, 4) float32, row0, col0, row1, col1 in cells of the window, the best filled first.
    """
    parts = [c for c in found if class_shares(c, probabilities, times)[JOINED] >= LIKELY]
    if len(parts) < 2:
        return np.zeros((0, 4), np.float32)
    tight = [(c.tight.row0, c.tight.col0, c.tight.row1, c.tight.col1) for c in parts]
    boxes = np.unique(np.array(tight, np.float32), axis=0)
    low, high = boxes[:, :2], boxes[:, 2:]
    area = np.prod(high - low, axis=1)
    one, two = np.triu_indices(len(boxes), 1)
    between = np.maximum(low[one], low[two]) - np.minimum(high[one], high[two])
    common = np.prod(np.maximum(-between, 0), axis=1)
    around = np.concatenate([np.minimum(low[one], low[two]), np.maximum(high[one], high[two])], 1)
    size = np.prod(around[:, 2:] - around[:, :2], axis=1)
    times_larger = size / (area[one] + area[two])
    good = (
        (between.max(axis=1) * pixels <= GAP)
        & (common <= APART * np.minimum(area[one], area[two]))
        & (times_larger <= FILLED)
    )
    order = np.lexsort((*around[good].T[::-1], times_larger[good].round(4)))
    kept: list[int] = []
    boxes = around[good][order]
    low, high = boxes[:, :2], boxes[:, 2:]
    area = np.prod(high - low, axis=1)
    alike = np.zeros(len(boxes), bool)
    for row in range(len(boxes)):
        if alike[row]:
            continue
        kept.append(row)
        shared = np.minimum(high[row], high) - np.maximum(low[row], low)
        common = np.prod(np.maximum(shared, 0), axis=1)
        alike |= common >= ALIKE * (area[row] + area - common)
    return np.asarray(boxes[kept], np.float32)
