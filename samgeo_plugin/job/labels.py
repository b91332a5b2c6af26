# SPDX-License-Identifier: GPL-2.0-or-later
"""Parameters of labels for other programs: export and import."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from .fields import Parameters, option_field
from .segment import shared


@dataclass(frozen=True)
class ExportLabelsParameters(Parameters):
    """A raster and a layer as training data for other programs (method ``export_labels``).

    ``labels`` is the path of the polygons on ``rasters``, ``folder`` the new folder to write.
    """

    rasters: list[str]
    labels: str
    folder: str
    form: str = option_field(
        "COCO, SA-1B, YOLO-seg, or GeoTIFF masks.",
        choices=("coco", "sa1b", "yolo", "masks"),
        group="labels",
        flag="format",
    )
    layer: Optional[str] = option_field("Layer within the labels' file.", group="labels")
    class_field: Optional[str] = option_field(
        "Field with the class.", unset="all of one class", group="labels"
    )
    crowd_field: Optional[str] = option_field(
        "Field that is true for several objects in one.", group="labels"
    )
    chip_size: int = option_field(
        "Side of a chip, pixels.", 512, least=32, most=8192, group="chips"
    )
    val_share: float = option_field(
        "Share of the objects held back for validation, at another place.",
        0.2,
        least=0,
        most=0.99,
        group="chips",
    )
    keep_empty: bool = option_field("Keep chips without objects.", False, group="chips")
    area: Optional[str] = option_field("Polygons inside which chips are cut.", group="chips")
    image_format: str = option_field(
        "Format of the images.", choices=("tif", "png", "jpg"), group="chips", flag="images"
    )
    as_runs: bool = option_field(
        "COCO: run-length codes for all objects.", False, group="labels", flag="rle"
    )
    allow_remote: bool = shared("allow_remote")


@dataclass(frozen=True)
class ImportLabelsParameters(Parameters):
    """Labels of images as a layer on the ground (method ``import_labels``).

    ``source`` is a JSON file or a folder, ``output`` the layer to write.
    """

    source: str
    output: str
    images: Optional[str] = option_field("Folder of the georeferenced images.", group="labels")
    names: Optional[str] = option_field(
        "Names of the classes 0, 1, ..., with commas between them.", group="labels", flag="classes"
    )
    overwrite: bool = shared("overwrite")
