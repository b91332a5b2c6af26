# SPDX-License-Identifier: GPL-2.0-or-later
"""An old layer against a new raster: what became of each polygon, and what is new."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Optional

from osgeo import gdal
from qgis.core import (
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeatureSourceDefinition,
    QgsProcessingFeedback,
    QgsProcessingParameterField,
    QgsProcessingParameterRasterLayer,
    QgsProviderRegistry,
    QgsVectorLayer,
)

from .. import rasters, styles
from ..i18n import tr
from ..job import UpdateParameters
from . import jobs
from .base import EngineAlgorithm
from .given import SOURCE_FID, Given, column_names
from .parameters import POLYGONS
from .results import ResultLayer


class UpdateLayer(EngineAlgorithm):
    """Nothing changes in the old layer: the result is reviewed, and accepted there."""

    RASTER = "RASTER"
    ID = "ID_FIELD"
    NEW = "NEW_OBJECTS"
    MIN_PROBABILITY = "MIN_CHANGE_PROB"

    key = "updatelayer"
    group_key = "segmentation"
    icon_name = "segment"
    keywords = ("change detection", "update", "footprints", "new buildings", "conflation", "shift")

    def __init__(self) -> None:
        super().__init__()
        self._raster: Optional[str] = None
        self._file: Optional[tuple[str, str]] = None
        self._whole = self._in_part = self._unsaved = False
        self._keys: set[str] = set()

    def title(self) -> str:
        return tr("Update a layer from a new raster")

    def about(self) -> str:
        return tr(
            "Says of each polygon of an old layer what became of it on a new raster: confirmed, "
            "moved, reshaped, split, merged or gone, each with a probability; and finds new "
            "objects of the layer’s class. A shift of the whole layer is told apart.\n\n"
            "The old layer stays as it is. “Review a result” shows old and new outlines and "
            "takes the new ones over, one by one, where the old layer is a file."
        )

    def initAlgorithm(self, configuration: Any = None) -> None:  # noqa: N802
        self.add_source(self.INPUT, tr("Old polygons"), POLYGONS)
        self.declare(QgsProcessingParameterRasterLayer(self.RASTER, tr("New raster")))
        self.declare(
            QgsProcessingParameterField(
                self.ID, tr("Field with the polygons’ names"), None, self.INPUT, optional=True
            )
        )
        self.add_model()
        defaults = UpdateParameters.__dataclass_fields__
        self.add_outlines(("contour", "rectangles"))
        self.add_flag(self.NEW, tr("Look for new objects, too"), True)
        self.add_number(
            self.MIN_PROBABILITY,
            tr("Probability from which a change is one"),
            float(defaults["min_change_prob"].default),
            most=1.0,
        )
        self.add_number(
            self.RESOLUTION,
            tr("Working resolution (ground units per pixel)"),
            folded=True,
            note=tr("The raster's own where nothing is said"),
        )
        self.add_device()
        self.add_sink(tr("Changes"), POLYGONS)

    def prepareAlgorithm(  # noqa: N802
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> bool:
        """On the main thread: layers may only be asked there."""
        if not super().prepareAlgorithm(parameters, context, feedback):
            return False
        raster = self.parameterAsRasterLayer(parameters, self.RASTER, context)
        if raster is None:
            raise QgsProcessingException(self.invalidRasterError(parameters, self.RASTER))
        try:
            self._raster = rasters.file_as_shown(raster, jobs.root())
        except rasters.LayerError as error:
            raise QgsProcessingException(str(error)) from error
        if self._raster is None:
            raise QgsProcessingException(
                tr("{name} is not a file: save what you need of it as a file first.").format(
                    name=raster.name()
                )
            )
        given = parameters.get(self.INPUT)
        everything = True
        if isinstance(given, QgsProcessingFeatureSourceDefinition):
            everything = _is_all_of_it(given)
            parameters = {**parameters, self.INPUT: given.source}  # else QGIS finds no layer
        layer = self.parameterAsVectorLayer(parameters, self.INPUT, context)
        self._file = None if layer is None else _file_and_layer(layer)
        self._whole = self._file is not None and everything and _is_as_saved(layer)
        buffer = None if layer is None else layer.editBuffer()
        self._unsaved = buffer is not None and layer.isModified() and bool(buffer.addedFeatures())
        self._in_part = not everything or (layer is not None and bool(layer.subsetString()))
        self._keys = set()
        if self._file is not None:
            names = layer.fields().names()
            self._keys = {names[index] for index in layer.primaryKeyAttributes()}
        return True

    def work(self, given: Given) -> dict[str, Any]:
        source = given.source(self.INPUT)
        ids = given.fields(self.ID)
        if self._file is None:
            given.feedback.pushWarning(
                tr(
                    "{name} is not a layer of a file: the review cannot take changes over into it. "
                    "Save it as a GeoPackage first, and update that."
                ).format(name=source.sourceName())
            )
        elif self._unsaved:
            given.feedback.pushWarning(
                tr(
                    "{name} has polygons that are not saved yet, which the review knows again by "
                    "their outlines only. Save the layer first to be sure."
                ).format(name=source.sourceName())
            )
        new_objects = given.flag(self.NEW)
        if new_objects and self._in_part:
            new_objects = False  # polygons that were left out would come as new ones
            given.feedback.pushWarning(
                tr(
                    "Only some polygons of {name} are compared, so no new objects are looked for: "
                    "the others would be among them."
                ).format(name=source.sourceName())
            )
        named = ids[0] if ids and ids[0] not in self._keys else None  # a key is the feature's id
        if self._file is not None and self._whole:
            path, layer = self._file
            id_field = named
        else:
            names = [name for name in source.fields().names() if name not in self._keys]
            path, layer = given.vector_path(source, "polygons", names), "polygons"
            id_field = column_names(names)[named] if named else SOURCE_FID
        params = UpdateParameters(
            path,
            [str(self._raster)],
            str(given.folder / "changes.gpkg"),
            input_layer=layer,
            id_field=id_field,
            outlines=given.word(self.OUTLINES),
            new_objects=new_objects,
            min_change_prob=given.number(self.MIN_PROBABILITY) or 0.0,
            resolution=given.number(self.RESOLUTION) or None,
            **given.engine_options(),
        )
        result = self.run_engine(given, "update", params.to_dict())
        east, north = float(result["shift_east_m"]), float(result["shift_north_m"])
        if east or north:
            given.feedback.pushInfo(
                tr(
                    "The whole layer is shifted: the raster shows it {length} m away ({east} m "
                    "east, {north} m north)."
                ).format(
                    length=f"{(east**2 + north**2) ** 0.5:.2f}",
                    east=f"{east:+.2f}",
                    north=f"{north:+.2f}",
                )
            )
        if self._file is not None and not self._whole:
            output = str(result["output"])
            if not _name_source(output, str(result["layer"]), *self._file):
                given.feedback.pushWarning(
                    tr(
                        "{file} cannot be written to again, so the review does not find the old "
                        "layer from it. Close it in other programs and run this once more."
                    ).format(file=output)
                )
        changes = ResultLayer(str(result["output"]), str(result["layer"]), styles.REVIEW)
        results = self.write_result(given, changes)
        results.update({name.upper(): count for name, count in (result["counts"] or {}).items()})
        return {**results, "SHIFT_EAST_M": east, "SHIFT_NORTH_M": north}


def _file_and_layer(layer: QgsVectorLayer) -> Optional[tuple[str, str]]:
    """Where a review finds a layer again: its file, and its name there; None for no file."""
    if layer.providerType() != "ogr":
        return None
    parts = QgsProviderRegistry.instance().decodeUri("ogr", layer.source())
    path = str(parts.get("path") or "")
    name = parts.get("layerName")
    if not name:
        sublayers = layer.dataProvider().subLayers()
        if len(sublayers) != 1:
            return None
        name = sublayers[0].split("!!::!!")[1]
    return os.path.abspath(path), str(name)


def _is_all_of_it(given: QgsProcessingFeatureSourceDefinition) -> bool:
    """Whether source options let all features of a layer through, as they are."""
    expression = getattr(given, "filterExpression", "")  # since QGIS 3.32
    limited = given.selectedFeaturesOnly or given.featureLimit >= 0 or bool(expression)
    return not limited and not given.flags  # they say how invalid geometries are treated


def _is_as_saved(layer: QgsVectorLayer) -> bool:
    """Whether the engine finds in a layer's GeoPackage what QGIS shows: all of it, as it is."""
    saved = layer.dataProvider()
    if layer.isModified() or layer.subsetString() or saved.crs() != layer.crs():
        return False
    if saved.fields().names() != layer.fields().names():  # some are virtual, or of a join
        return False
    parts = QgsProviderRegistry.instance().decodeUri("ogr", layer.source())
    return str(parts.get("path") or "").lower().endswith(".gpkg")


def _name_source(changes: str, changes_layer: str, path: str, layer: str) -> bool:
    """Name the user's layer and its ids in the engine's result, which knows only the copy; whether
    that was possible."""
    text = f"{Path(path).absolute()}|layername={layer}".replace("'", "''")
    gdal.ErrorReset()
    file = None
    try:
        file = gdal.OpenEx(changes, gdal.OF_VECTOR | gdal.OF_UPDATE)
        if file is None:
            return False
        file.ExecuteSQL(
            f"UPDATE \"{changes_layer}\" SET old_fid = {SOURCE_FID}, old_layer = '{text}' "
            "WHERE old_fid IS NOT NULL"
        )
        return gdal.GetLastErrorType() < gdal.CE_Failure
    except RuntimeError:  # where another plugin has told GDAL to raise them
        return False
    finally:
        file = None  # closes it
