# SPDX-License-Identifier: GPL-2.0-or-later
"""Algorithms that write polygons as labels for other programs, and read such labels."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from qgis.core import (
    QgsProcessing,
    QgsProcessingException,
    QgsProcessingOutputNumber,
    QgsProcessingParameterField,
    QgsProcessingParameterFile,
    QgsProcessingParameterFolderDestination,
)

from .. import settings
from ..i18n import tr
from ..job import ExportLabelsParameters, ImportLabelsParameters
from .base import EngineAlgorithm
from .given import Given, column_names
from .parameters import POLYGONS
from .results import ResultLayer


class ExportLabels(EngineAlgorithm):
    """A raster and a layer as chips with labels."""

    LABELS = "LABELS"
    FORM = "FORM"
    CLASS = "CLASS_FIELD"
    CROWD = "CROWD_FIELD"
    CHIP_SIZE = "CHIP_SIZE"
    VAL_SHARE = "VAL_SHARE"
    KEEP_EMPTY = "KEEP_EMPTY"
    IMAGE_FORMAT = "IMAGE_FORMAT"
    RUNS = "AS_RUNS"
    FOLDER = "FOLDER"
    CHIPS = "CHIPS"
    OBJECTS = "OBJECTS"

    key = "exportlabels"
    group_key = "quality"
    icon_name = "encode"
    keywords = ("COCO", "SA-1B", "YOLO", "masks", "chips", "training data", "data set")

    def title(self) -> str:
        return tr("Export labels for other programs")

    def about(self) -> str:
        return tr(
            "Cuts the raster into chips that keep their georeference and writes the polygons as "
            "their labels: COCO, SA-1B, YOLO-seg, or GeoTIFF masks. Training and validation chips "
            "lie at different places.\n\n"
            "Keep chips without objects only where every object is drawn: elsewhere they may show "
            "objects without a label."
        )

    def initAlgorithm(self, configuration: Any = None) -> None:  # noqa: N802
        fields = ExportLabelsParameters.__dataclass_fields__
        self.add_raster()
        self.add_source(self.LABELS, tr("Polygons"), POLYGONS)
        self.add_choice(self.FORM, tr("Format of the labels"), fields["form"].metadata["choices"])
        self.declare(
            QgsProcessingParameterField(
                self.CLASS, tr("Field with the class"), None, self.LABELS, optional=True
            )
        )
        self.add_number(
            self.CHIP_SIZE,
            tr("Side of a chip (pixels)"),
            float(fields["chip_size"].default),
            least=fields["chip_size"].metadata["least"],
            most=fields["chip_size"].metadata["most"],
            whole=True,
        )
        self.add_number(
            self.VAL_SHARE,
            tr("Share of the objects for validation"),
            float(fields["val_share"].default),
            least=fields["val_share"].metadata["least"],
            most=fields["val_share"].metadata["most"],
        )
        self.add_source(self.AREA, tr("Area in which chips are cut"), POLYGONS, optional=True)
        self.add_flag(self.KEEP_EMPTY, tr("Keep chips without objects"))
        self.add_choice(
            self.IMAGE_FORMAT,
            tr("Format of the images"),
            fields["image_format"].metadata["choices"],
            folded=True,
        )
        self.add_flag(self.RUNS, tr("COCO: run-length codes for all objects"), folded=True)
        self.declare(
            QgsProcessingParameterField(
                self.CROWD,
                tr("Field that is true for several objects in one"),
                None,
                self.LABELS,
                optional=True,
            ),
            folded=True,
        )
        self.declare(QgsProcessingParameterFolderDestination(self.FOLDER, tr("Folder")))
        self.addOutput(QgsProcessingOutputNumber(self.CHIPS, tr("Number of chips")))
        self.addOutput(QgsProcessingOutputNumber(self.OBJECTS, tr("Number of objects")))

    def work(self, given: Given) -> dict[str, Any]:
        source = given.source(self.LABELS)
        classes, crowds = given.fields(self.CLASS), given.fields(self.CROWD)
        names = column_names([*classes, *crowds])
        area = given.source(self.AREA) if given.has(self.AREA) else None
        path, _ = given.raster_path()
        folder = self.parameterAsString(given.parameters, self.FOLDER, given.context)
        if folder in ("", QgsProcessing.TEMPORARY_OUTPUT):
            folder = str(Path(tempfile.mkdtemp(prefix="samgeo-labels-")) / "labels")
        folder = os.path.abspath(folder)  # the engine works in another folder than QGIS
        params = ExportLabelsParameters(
            [path],
            given.vector_path(source, "polygons", [*classes, *crowds]),
            folder,
            form=given.word(self.FORM),
            class_field=names[classes[0]] if classes else None,
            crowd_field=names[crowds[0]] if crowds else None,
            chip_size=given.whole(self.CHIP_SIZE) or 512,
            val_share=given.number(self.VAL_SHARE) or 0.0,
            keep_empty=given.flag(self.KEEP_EMPTY),
            area=None if area is None else given.vector_path(area, "area"),
            image_format=given.word(self.IMAGE_FORMAT),
            as_runs=given.flag(self.RUNS),
            allow_remote=bool(settings.ALLOW_REMOTE.get()),
        )
        done = self.run_engine(given, "export_labels", params.to_dict())
        chips, objects = done.get("chips") or {}, done.get("objects") or {}
        for split, number in chips.items():
            given.feedback.pushInfo(
                tr("{split}: {chips} chips, {objects} objects").format(
                    split=split, chips=number, objects=objects.get(split, 0)
                )
            )
        return {
            self.FOLDER: folder,
            self.CHIPS: sum(chips.values()),
            self.OBJECTS: sum(objects.values()),
        }


class ImportLabels(EngineAlgorithm):
    """Labels of images as a layer on the ground."""

    SOURCE = "SOURCE"
    FOLDER = "FOLDER"
    IMAGES = "IMAGES"
    NAMES = "NAMES"

    key = "importlabels"
    group_key = "quality"
    icon_name = "encode"
    keywords = ("COCO", "SA-1B", "YOLO", "masks", "training data", "annotations")

    def title(self) -> str:
        return tr("Import labels of images")

    def about(self) -> str:
        return tr(
            "Reads labels of images (COCO, SA-1B, YOLO-seg, or masks) and brings them back to the "
            "ground. The images must be georeferenced, or come from Export labels.\n\n"
            "Give a file (COCO, SA-1B) or a folder (YOLO-seg, SA-1B, masks, or an export)."
        )

    def initAlgorithm(self, configuration: Any = None) -> None:  # noqa: N802
        file, folder = QgsProcessingParameterFile.File, QgsProcessingParameterFile.Folder
        self.declare(
            QgsProcessingParameterFile(
                self.SOURCE, tr("File of labels"), file, "json", optional=True
            )
        )
        self.declare(
            QgsProcessingParameterFile(self.FOLDER, tr("Folder of labels"), folder, optional=True)
        )
        self.declare(
            QgsProcessingParameterFile(
                self.IMAGES, tr("Folder of the georeferenced images"), folder, optional=True
            ),
            note=tr("Where they do not lie beside the labels"),
        )
        self.add_text(
            self.NAMES,
            tr("Names of the classes"),
            note=tr("Of the numbers 0, 1, ..., with commas between them"),
        )
        self.add_sink(tr("Labels"), POLYGONS)

    def work(self, given: Given) -> dict[str, Any]:
        paths = [text for text in (given.path(self.SOURCE), given.path(self.FOLDER)) if text]
        if len(paths) != 1:
            raise QgsProcessingException(tr("Give a file of labels, or a folder of labels."))
        params = ImportLabelsParameters(
            paths[0],
            str(given.folder / "labels.gpkg"),
            images=given.path(self.IMAGES),
            names=given.text(self.NAMES),
        )
        done = self.run_engine(given, "import_labels", params.to_dict())
        given.feedback.pushInfo(
            tr("{objects} objects of {classes} classes from {images} images").format(
                objects=done.get("objects"),
                classes=len(done.get("classes") or []),
                images=done.get("images"),
            )
        )
        return self.write_result(given, ResultLayer(params.output))
