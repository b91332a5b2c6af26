# SPDX-License-Identifier: GPL-2.0-or-later
"""Instance masks of tiles -> objects of the raster: edges, components, fusion.

``merge`` finds which masks are one object; ``fuse`` makes one field of logits of them, block by
block; ``vectors/contours.py`` draws its contour.
"""

from .fuse import fuse, fuse_box
from .merge_tiles import Progress, merge
from .objects import Merged
from .overview import overview_patches
from .patches import PatchedSource, TilePatch
from .repair import repair_hints, repair_patches
from .types import (
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
