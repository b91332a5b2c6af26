# SPDX-License-Identifier: GPL-2.0-or-later
"""All features of all objects of a layer, as one table that a classifier reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...types import BoolArray, FloatArray
from .object_features import PooledSums, appearance
from .overlaps import blended, overlaps
from .shape_features import CONTEXT_NAMES, GEOMETRY_NAMES, context_features, shape_features


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """Features of n objects or cells.

    Args:
        values: (n, d) float32; rows without data hold zeros.
        names: (d,) names of the columns, ``block:...``.
        blocks: For each column the block that it belongs to ("encoder", "classes", "colour",
            "shape", "context"): blocks are weighed against one another, not column by column.
        seen: (n,) bool, False for objects off the raster's data.
        model: Fingerprint of the model whose features these are.
    """

    values: FloatArray
    names: tuple[str, ...]
    blocks: tuple[str, ...]
    seen: BoolArray
    model: str

    def __len__(self) -> int:
        return len(self.values)

    def rows(self, chosen: NDArray[np.int64]) -> FeatureTable:
        """Some of the rows."""
        return FeatureTable(
            self.values[chosen], self.names, self.blocks, self.seen[chosen], self.model
        )


def block_of(name: str) -> str:
    """The block of a channel's column: what an encoder says, what a model takes a place for (the
    embedded model's logits of its own classes), or colours."""
    if name.startswith(("colour:", "spread:")):
        return "colour"
    return "classes" if name.startswith("classes") else "encoder"


def object_table(
    sums: PooledSums,
    channels: Sequence[str],
    model: str,
    polygons: NDArray[Any],
    square_metres: NDArray[np.float64],
    score: NDArray[np.float64],
    stability: NDArray[np.float64],
) -> FeatureTable:
    """The table of a layer's objects.

    What is seen under and around an object is averaged with what is seen of the objects that share
    its ground (:func:`~.overlaps.blended`).

    Args:
        sums: Of all objects, over all tiles.
        channels: Names of the channels.
        model: Fingerprint of the model.
        polygons: Of the objects, working pixels, valid.
        square_metres: Areas on the ground.
        score: Predicted IoU, NaN where unknown.
        stability: Likewise.
    """
    seen_values, names, seen = appearance(sums, channels)
    pairs = overlaps(polygons)
    values = np.concatenate(
        [
            blended(seen_values, pairs, seen),
            shape_features(polygons, square_metres),
            context_features(polygons, score, stability, pairs),
        ],
        axis=1,
    )
    values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0).astype(np.float32)
    return FeatureTable(
        values,
        (*names, *(f"shape:{n}" for n in GEOMETRY_NAMES), *(f"context:{n}" for n in CONTEXT_NAMES)),
        (
            *(block_of(name) for name in names),
            *("shape" for _ in GEOMETRY_NAMES),
            *("context" for _ in CONTEXT_NAMES),
        ),
        seen,
        model,
    )
