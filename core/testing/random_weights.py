# SPDX-License-Identifier: GPL-2.0-or-later
"""Random weights for a network's shapes: the same numbers on every machine, no layer idle."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_BRANCHES = (
    ".token_mixer.conv.bn.weight",
    ".token_mixer.conv1.bn.weight",
    ".channel_mixer.conv2.bn.weight",
    ".ffn.conv2.bn.weight",
)
"""Residual branches of EdgeTAM's blocks: with factors near 1, values grow from block to block."""


def weights(shapes: Mapping[str, Sequence[int]], seed: int = 0) -> dict[str, Tensor]:
    """Tensors by key, float32, with which every layer's output is about 1.

    The numbers come from ``numpy.random.RandomState``, whose streams numpy does not change.

    Args:
        shapes: Shape of every tensor by key, in the official names.
        seed: Of the random numbers.
    """
    random = np.random.RandomState(seed)
    out = {}
    for key in sorted(shapes):
        shape = tuple(shapes[key])
        if key.endswith("num_batches_tracked"):
            out[key] = torch.tensor(0)
            continue
        value: NDArray[Any] = random.standard_normal(shape).astype(np.float32)
        if key.endswith("running_var"):
            value = 1 + 0.2 * np.abs(value)
        elif key.endswith(("bias", "running_mean")):
            value = 0.1 * value
        elif len(shape) == 1:
            value = 1 + 0.1 * value
            if ".trunk.body.stages" in key and key.endswith(_BRANCHES):
                value = 0.6 * value
        elif any(part in key for part in ("pos_embed", "rel_pos", "attention_biases")):
            value = 0.2 * value
        elif not (_is_row(key) or key.endswith("gaussian_matrix")):
            value = value / math.sqrt(np.prod(shape[1:]))
        out[key] = torch.from_numpy(np.asarray(value, np.float32))
    return out


def _is_row(key: str) -> bool:
    ends = ("token.weight", "tokens.weight", "embed.weight", "embeddings.weight")
    return key.endswith(ends) or ".point_embeddings." in key or "invalid_points" in key
