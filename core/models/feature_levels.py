# SPDX-License-Identifier: GPL-2.0-or-later
"""The feature maps of an embedding, for any model family.

Whatever a family's encoder gives (one map at stride 16, or maps of several strides), an
:class:`~.base.Embedding` keeps it as arrays of (channels, rows, columns) that cover the padded
image. Nothing else is needed to use a model's features, so a family has nothing to implement.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import ModelError
from ..types import FloatArray
from .base import Embedding


@dataclass(frozen=True, eq=False)
class FeatureLevel:
    """One feature map of an encoded image.

    Args:
        name: Of the array in the embedding.
        values: (c, h, w) float32.
        cell: (row, column) size of a cell in image pixels; cells start at the image's corner and
            may reach beyond the image, where it was padded.
    """

    name: str
    values: FloatArray
    cell: tuple[float, float]


def feature_levels(embedding: Embedding) -> list[FeatureLevel]:
    """All feature maps of an embedding, finest first.

    Raises:
        ModelError: The model gives no feature maps.
    """
    height = embedding.cell_size[0] * embedding.mask_shape[0]
    width = embedding.cell_size[1] * embedding.mask_shape[1]
    levels = []
    for name, array in embedding.arrays.items():
        if array.ndim != 3 or min(array.shape) < 1 or not np.issubdtype(array.dtype, np.floating):
            continue
        cell = height / array.shape[1], width / array.shape[2]
        levels.append(FeatureLevel(name, np.asarray(array, np.float32), cell))
    if not levels:
        raise ModelError(
            "This model keeps no feature maps, so that classes cannot be learnt from examples "
            "with it: choose another model."
        )
    return sorted(levels, key=lambda level: (level.cell, level.name))
