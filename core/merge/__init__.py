# SPDX-License-Identifier: GPL-2.0-or-later
"""Instance masks of tiles -> objects of the raster: edges, components, fusion.

``merge`` finds which masks are one object; ``fuse`` makes one field of logits of them, block by
block; ``vectorize.py`` draws its contour.
"""

from .combine import Progress, merge
from .fuse import fuse, fuse_box
from .hooks import PatchedSource, TilePatch, overview_patches, repair_hints, repair_patches
from .merged import Merged
from .state import (
    CachedSource,
    MaskSource,
    MemorySource,
    MergedObject,
    MergeOptions,
    NodeRef,
    cached,
)

__all__ = [
    "CachedSource",
    "MaskSource",
    "MemorySource",
    "MergeOptions",
    "Merged",
    "MergedObject",
    "NodeRef",
    "PatchedSource",
    "Progress",
    "TilePatch",
    "cached",
    "fuse",
    "fuse_box",
    "merge",
    "overview_patches",
    "repair_hints",
    "repair_patches",
]
