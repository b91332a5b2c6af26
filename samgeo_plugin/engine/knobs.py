# SPDX-License-Identifier: GPL-2.0-or-later
"""Labels of QGIS parameters in the engine's messages."""

from __future__ import annotations

from dataclasses import replace

from ..i18n import tr
from ..job import Failure, Log, Message, Progress, with_knobs


def label(name: str) -> str:
    """A parameter of a job as the algorithms' dialogs call it, in quotes."""
    labels = {
        "area": tr("Area of interest"),
        "bands": tr("Bands shown as red, green and blue"),
        "class_field": tr("Field with the class"),
        "classifier": tr("Saved classifier, instead of examples"),
        "classes": tr("Keep only"),
        "crs": tr("CRS of the result"),
        "device": tr("Device"),
        "examples": tr("Examples"),
        "extent": tr("Extent"),
        "fresh": tr("Forget what a cancelled run has done"),
        "keep": tr("What is written"),
        "like": tr("Examples"),
        "margin": tr("Overlap of windows (pixels)"),
        "min_area": tr("Smallest object (m²)"),
        "max_gap": tr("Widest gap that is bridged (metres)"),
        "min_class_prob": tr("Least probability of a class"),
        "min_hole": tr("Smallest hole (m²)"),
        "min_length": tr("Shortest dead end (metres)"),
        "min_score": tr("Least score"),
        "min_stability": tr("Least stability"),
        "mode": tr("Objects within objects"),
        "model": tr("Model"),
        "outlines": tr("Outlines"),
        "points_per_side": tr("Points per side of a window"),
        "precision": tr("Number type of the model"),
        "prompt_as": tr("Use prompts as"),
        "prompt_label": tr("Field with a label"),
        "prompts": tr("Prompts"),
        "proposals": tr("Where to look for objects"),
        "rasters": tr("Raster"),
        "resolution": tr("Working resolution (ground units per pixel)"),
        "road_class": tr("Class of the roads"),
        "save_classifier": tr("Keep the classifier"),
        "scale": tr("Magnification for the embedded model"),
        "shapes": tr("Shapes"),
        "simplify": tr("Simplify (ground units of the raster)"),
        "threads": tr("CPU threads"),
        "tile_size": tr("Side of a window (pixels)"),
        "unlike": tr("Examples of none of the classes"),
        "workers": tr("Processes"),
    }
    return f"“{labels.get(name, name)}”"


def in_our_words(message: Message) -> Message:
    """A message of the engine whose options are named as QGIS names them."""
    if isinstance(message, (Failure, Log, Progress)):
        return replace(message, message=with_knobs(message.message, label))
    return message
