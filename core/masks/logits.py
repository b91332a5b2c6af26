# SPDX-License-Identifier: GPL-2.0-or-later
"""Two types for logits: float values, and the 8-bit steps in which they are stored.

A model's logits are floats without a unit; zero is the border of an object. Masks keep them as int8
in steps of 1/16, and what is fused from masks stays in those steps, as float32. The types say which
is which: :data:`~samgeo_core.types.FloatArray` are logits, :data:`~samgeo_core.types.LogitArray`
stored steps, :data:`Steps` fused ones.
"""

from __future__ import annotations

from typing import NewType

import numpy as np

from ..types import AnyArray, FloatArray, LogitArray

LOGIT_STEPS = 16
"""Steps in one logit: a stored value is round(16 x logit)."""

LARGEST = 127
"""Largest stored value; logits are kept within +-127 / 16."""

LOGIT_RANGE = LARGEST / LOGIT_STEPS
"""Logits are kept within +-7.9375: beyond, a sure cell would outvote all others."""

ABSENT = np.int8(-LARGEST)
"""Stored value of a cell outside a mask's crop: certainly not the object."""

Steps = NewType("Steps", FloatArray)
"""float32 values in stored steps, > 0 inside an object."""


def quantize(logits: AnyArray) -> LogitArray:
    """Float logits of any shape as stored steps (int8, clipped)."""
    scaled = np.multiply(logits, LOGIT_STEPS, dtype=np.float32)
    np.rint(scaled, out=scaled)
    return np.clip(scaled, -LARGEST, LARGEST, out=scaled).astype(np.int8)


def in_steps(logits: FloatArray) -> Steps:
    """Float logits in stored steps, neither rounded nor clipped."""
    return Steps(logits * np.float32(LOGIT_STEPS))
