# SPDX-License-Identifier: GPL-2.0-or-later
"""The engine's stages: their labels, and their parts of a progress bar."""

from __future__ import annotations

from ..i18n import tr
from ..job import Progress

ENGINE_PERCENT = 94.0
"""Where a job's progress bar stands when the engine is done; the rest is writing the result."""

_RANGES = {
    "stretch": (0, 2),
    "model": (2, 3),
    "windows": (3, ENGINE_PERCENT),
    "prompts": (3, ENGINE_PERCENT),
    "features": (3, ENGINE_PERCENT),
    "samples": (3, 20),
    "class map": (20, 70),
    "skeleton": (70, 86),
    "dates": (3, ENGINE_PERCENT),
    "scenes": (0, 92),
    "duplicates": (92, 93),
    "confident": (1, 3),
    "train": (3, 64),
    "threshold": (64, 67),
    "before": (67, 74),
    "after": (74, 80),
    "candidates": (80, ENGINE_PERCENT),
    "tiles": (3, 74),
    "merge": (74, 76),
    "overview": (76, 80),
    "overview merge": (80, 81),
    "repair": (81, 86),
    "coverage": (86, 93),
    "polygons": (86, 93),
    "layer": (93, ENGINE_PERCENT),
}
"""Where a stage begins and ends, in percent."""


def stage_text(name: str) -> str:
    """A stage in the user's language; names of a newer engine as they are."""
    return {
        "stretch": tr("Reading the raster's values"),
        "model": tr("Loading the model"),
        "windows": tr("Looking at the image"),
        "prompts": tr("Segmenting at the prompts"),
        "features": tr("Drawing outlines"),
        "samples": tr("Looking at the examples"),
        "class map": tr("Telling classes of ground apart"),
        "skeleton": tr("Drawing centre lines"),
        "tiles": tr("Segmenting tiles"),
        "merge": tr("Joining tiles"),
        "overview": tr("Looking for large objects"),
        "overview merge": tr("Joining tiles"),
        "repair": tr("Completing objects that tiles have cut"),
        "coverage": tr("Drawing polygons"),
        "polygons": tr("Drawing polygons"),
        "layer": tr("Writing the layer"),
        "dates": tr("Looking at each date"),
        "scenes": tr("Segmenting raster by raster"),
        "duplicates": tr("Leaving out what overlapping rasters show twice"),
        "confident": tr("Looking for masks that the model is sure of"),
        "train": tr("Training"),
        "chips": tr("Writing chips"),
        "threshold": tr("Choosing the least score"),
        "before": tr("Measuring the model as it was"),
        "after": tr("Measuring the trained model"),
        "candidates": tr("Learning which objects you accept"),
        "download": tr("Downloading"),
    }.get(name, name)


class ProgressBar:
    """Percent of a whole job from the progress of its stages; it never goes back."""

    def __init__(self) -> None:
        self.percent = 0.0

    def advance(self, progress: Progress) -> float:
        """Where the bar stands after this step."""
        first, end = _RANGES.get(progress.stage, (0.0, 0.0))
        if progress.total > 0:
            share = min(max(progress.done / progress.total, 0.0), 1.0)
            self.percent = max(self.percent, first + (end - first) * share)
        return self.percent
