# SPDX-License-Identifier: GPL-2.0-or-later
"""SamGeo Seamless: georeferenced rasters in, seam-free polygons out.

``segment`` does it all; ``Segmenter`` is what a model of one's own must be. Names are imported when
they are first used, so that ``import samgeo_core`` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .api import segment
    from .errors import SamGeoError
    from .job import SegmentParameters
    from .jobs.run import JobResult, run
    from .masks.masks import Mask, PromptRef, TileMasks
    from .raster.raster import open_raster
    from .segmenters.segmenter import PromptableSegmenter, Segmenter, TileImage

_HOMES = {
    "JobResult": "jobs.run",
    "Mask": "masks.masks",
    "PromptRef": "masks.masks",
    "PromptableSegmenter": "segmenters.segmenter",
    "SamGeoError": "errors",
    "SegmentParameters": "job",
    "Segmenter": "segmenters.segmenter",
    "TileImage": "segmenters.segmenter",
    "TileMasks": "masks.masks",
    "open_raster": "raster.raster",
    "run": "jobs.run",
    "segment": "api",
}

__all__ = [
    "JobResult",
    "Mask",
    "PromptRef",
    "PromptableSegmenter",
    "SamGeoError",
    "SegmentParameters",
    "Segmenter",
    "TileImage",
    "TileMasks",
    "__version__",
    "open_raster",
    "run",
    "segment",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
