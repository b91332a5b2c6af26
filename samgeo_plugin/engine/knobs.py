# SPDX-License-Identifier: GPL-2.0-or-later
"""Labels of QGIS parameters, buttons and algorithms in the engine's messages."""

from __future__ import annotations

import re
from dataclasses import replace

from ..i18n import tr
from ..job import Failure, Log, Message, Progress, with_knobs


def label(name: str) -> str:
    """A parameter of a job as the algorithms' dialogs call it, in quotes."""
    labels = {
        "allow_remote": tr("Fetch what a raster's file refers to on servers")
        + tr(" in the plugin's settings"),
        "area": tr("Area of interest"),
        "as_runs": tr("COCO: run-length codes for all objects"),
        "at": tr("Date of the polygons (YYYY-MM-DD)"),
        "bands": tr("Bands shown as red, green and blue"),
        "chip_size": tr("Side of a chip (pixels)"),
        "class_field": tr("Field with the class"),
        "classes": tr("Keep only"),
        "classifier": tr("Saved classifier, instead of examples"),
        "clouds": tr("Objects under clouds are hidden"),
        "complete": tr("Area in which every object is drawn"),
        "confident": tr("Learn from confident masks where nothing is drawn, too"),
        "crowd_field": tr("Field that is true for several objects in one"),
        "crs": tr("CRS of the result"),
        "dates": tr("Dates of the rasters (CSV)"),
        "detector": tr("Model that finds words or exemplars"),
        "device": tr("Device"),
        "duplicates": tr("Objects that overlapping rasters show twice"),
        "examples": tr("Examples"),
        "exemplars": tr("Exemplar boxes"),
        "extent": tr("Extent"),
        "folder": tr("Folder"),
        "form": tr("Format of the labels"),
        "fresh": tr("Forget what a cancelled run has done"),
        "held_back": tr("Share of the polygons that is held back"),
        "id_field": tr("Field with the objects’ names"),
        "image_format": tr("Format of the images"),
        "images": tr("Folder of the georeferenced images"),
        "keep": tr("What is written"),
        "keep_empty": tr("Keep chips without objects"),
        "label_field": tr("Field with a label"),
        "labels": tr("Polygons"),
        "like": tr("Examples"),
        "margin": tr("Overlap of windows (pixels)"),
        "max_gap": tr("Widest gap that is bridged (metres)"),
        "min_area": tr("Smallest object (m²)"),
        "min_change_prob": tr("Probability from which a change is one"),
        "min_class_prob": tr("Least probability of a class"),
        "min_hole": tr("Smallest hole (m²)"),
        "min_iou": tr("Least overlap with the given outline (IoU)"),
        "min_length": tr("Shortest dead end (metres)"),
        "min_score": tr("Least score"),
        "min_stability": tr("Least stability"),
        "min_width": tr("Least width (metres)"),
        "minutes": tr("Minutes, at most"),
        "mode": tr("Objects within objects"),
        "model": tr("Model"),
        "name": tr("Name of the new model"),
        "names": tr("Names of the classes"),
        "new_objects": tr("Look for new objects, too"),
        "outlines": tr("Outlines"),
        "overwrite": tr("Replace a model of that name"),
        "person_minutes": tr("Minutes that you have worked on the polygons"),
        "points_per_side": tr("Points per side of a window"),
        "precision": tr("Number type of the model"),
        "prompt_as": tr("Use prompts as"),
        "prompt_label": tr("Field with a label"),
        "prompts": tr("Prompts"),
        "proposals": tr("Where to look for objects"),
        "raster_crs": tr("CRS of the raster's layer"),
        "rasters": tr("Raster"),
        "reach": tr("How far objects may move between dates (in their own sides)"),
        "resolution": tr("Working resolution (ground units per pixel)"),
        "road_class": tr("Class of the roads"),
        "rules": tr("Post-processing"),
        "save_classifier": tr("Keep the classifier"),
        "scale": tr("Magnification for the embedded model"),
        "scenes": tr("Several rasters"),
        "shapes": tr("Shapes"),
        "simplify": tr("Simplify (ground units of the raster)"),
        "status_field": tr("Field with the status of the review"),
        "threads": tr("CPU threads"),
        "tile_size": tr("Side of a window (pixels)"),
        "truth": tr("Truth"),
        "truth_class_field": tr("Field with the class in the truth"),
        "source": tr("File of labels"),
        "val_share": tr("Share of the objects for validation"),
        "unlike": tr("Examples of none of the classes"),
        "words": tr("Words for the objects to find"),
        "workers": tr("Processes"),
    }
    return f"“{labels.get(name, name)}”"


_COMMAND = re.compile(r"'samgeo (models download|models remove|classify|train)(?: [^']*)?'")
"""How the engine's messages quote its command line."""


def _instead_of(command: str) -> str:
    """What does in QGIS what a command does on the command line."""
    of_models = tr("“{button}” in the panel’s list of models, behind the button beside “Model”")
    return {
        "models download": of_models.format(button=tr("Download…")),
        "models remove": of_models.format(button=tr("Remove…")),
        "classify": f"“{tr('Classify objects')}”",
        "train": f"“{tr('Improve the model')}”",
    }[command]


def in_our_words(message: Message) -> Message:
    """A message of the engine that names options and commands as QGIS does."""
    if not isinstance(message, (Failure, Log, Progress)):
        return message
    text = _COMMAND.sub(lambda found: _instead_of(found[1]), message.message)
    return replace(message, message=with_knobs(text, label))
