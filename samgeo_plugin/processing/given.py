# SPDX-License-Identifier: GPL-2.0-or-later
"""Values of an algorithm's parameters as the engine takes them: numbers, texts, files."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from pathlib import Path
from typing import Any, Optional

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsCsException,
    QgsFeature,
    QgsFeatureSink,
    QgsFeatureSource,
    QgsField,
    QgsFields,
    QgsPointXY,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsRasterLayer,
    QgsRectangle,
    QgsUnitTypes,
    QgsVectorFileWriter,
)
from qgis.PyQt.QtCore import QVariant

from .. import field_types, rasters, rendering, settings
from ..crs import crs_text
from ..i18n import tr
from ..interactive.tidy import ground_scale
from . import jobs
from .parameters import ParameterAlgorithm

SOURCE_FID = "samgeo_source_fid"
"""Field of a layer that is handed to the engine: the feature's own id."""

SOURCE_LABEL = "samgeo_source_label"
"""Likewise: what the engine writes as the label of its features."""

_KEY, _SHAPE = "samgeo_fid", "samgeo_geom"
"""What a GeoPackage that is handed to the engine calls its key and its shapes: GDAL's own names,
fid and geom, are names of users' fields, too."""

_OWN_COLUMNS = (SOURCE_FID, SOURCE_LABEL, _KEY, _SHAPE, "geometry")
"""Names that no field has in such a file; the last one is what the engine calls the shapes."""

RENDERED = "rendered.tif"
"""What a rendered layer is called."""

_METRES_A_DEGREE = 111_195.0
"""Along a meridian, as the engine counts."""


@dataclass(frozen=True)
class Given:
    """One run's parameters.

    Args:
        algorithm: Whose parameters they are.
        parameters: As QGIS hands them over.
        context: The run's.
        feedback: The run's.
        folder: For files that go with the run.
        layer: The input raster, where the algorithm has one; the run's own copy.
        others: Rasters beside it; likewise.
        handed: What the user calls the files that were handed to the engine, and those of their
            columns that have other names there.
    """

    algorithm: ParameterAlgorithm
    parameters: dict[str, Any]
    context: QgsProcessingContext
    feedback: QgsProcessingFeedback
    folder: Path
    layer: Optional[QgsRasterLayer] = None
    others: tuple[QgsRasterLayer, ...] = ()
    handed: dict[str, str] = dataclass_field(default_factory=dict)

    # --- values ---------------------------------------------------------------------------------

    def has(self, name: str) -> bool:
        """Whether the algorithm knows this parameter and the user said anything."""
        known = self.algorithm.parameterDefinition(name) is not None
        return known and self.parameters.get(name) not in (None, "")

    def number(self, name: str) -> Optional[float]:
        """The number or its default; None where the user left it out."""
        definition = self.algorithm.parameterDefinition(name)
        if not self.has(name) and definition.defaultValue() is None:
            return None
        return float(self.algorithm.parameterAsDouble(self.parameters, name, self.context))

    def whole(self, name: str) -> Optional[int]:
        value = self.number(name)
        return None if value is None else int(value)

    def word(self, name: str) -> str:
        """One of a choice's words."""
        return self.algorithm.chosen(self.parameters, name, self.context)

    def path(self, name: str) -> Optional[str]:
        """A file or folder, in full: the engine works in another folder than QGIS."""
        path = self.text(name)
        return None if path is None else os.path.abspath(path)

    def text(self, name: str) -> Optional[str]:
        """A text; None where the user left it out."""
        text = self.algorithm.parameterAsString(self.parameters, name, self.context)
        return text.strip() or None

    def flag(self, name: str) -> bool:
        return bool(self.algorithm.parameterAsBoolean(self.parameters, name, self.context))

    def crs(self, name: str) -> Optional[str]:
        return crs_text(self.algorithm.parameterAsCrs(self.parameters, name, self.context))

    def bands(self) -> Optional[list[int]]:
        names = self.algorithm
        return names.parameterAsInts(self.parameters, names.BANDS, self.context) or None

    def fields(self, name: str) -> list[str]:
        """The fields that were chosen, as their layer spells them.

        Scripts, batches and models may name any text: QGIS does not look whether there is such a
        field.

        Raises:
            QgsProcessingException: The layer has no such field.
        """
        algorithm = self.algorithm
        chosen = algorithm.parameterAsFields(self.parameters, name, self.context)
        parent = algorithm.parameterDefinition(name).parentLayerParameterName()
        if not chosen or not self.has(parent):
            return list(chosen)
        source = self.source(parent)
        fields = source.fields()
        places = [fields.lookupField(each) for each in chosen]
        if -1 in places:
            raise QgsProcessingException(
                tr("The layer {name} has no field “{field}”; choose one of these: {fields}").format(
                    name=source.sourceName(),
                    field=chosen[places.index(-1)],
                    fields=", ".join(fields.names()),
                )
            )
        return [str(fields.at(place).name()) for place in places]

    def engine_options(self) -> dict[str, Any]:
        """Model, device, number type, threads, and whether servers may be asked."""
        names = self.algorithm
        model = names.written(self.parameters, names.MODEL, self.context) or "embedded"
        return {
            "allow_remote": bool(settings.ALLOW_REMOTE.get()),
            "model": os.path.abspath(model) if os.path.isfile(model) else model,
            "device": self.word(names.DEVICE),
            "precision": self.word(names.PRECISION),
            "threads": self.whole(names.THREADS),
        }

    def destination(self, name: str) -> Optional[str]:
        """Where a file is to be written, in full, in a folder that is there now; None for nowhere.

        A temporary file has another name each time: this is asked once, before the work.

        Raises:
            OSError: The folder cannot be made, or nothing can be written to it.
        """
        path = self.algorithm.parameterAsFileOutput(self.parameters, name, self.context)
        if not path:
            return None
        return in_usable_folder(path)

    # --- places ---------------------------------------------------------------------------------

    def extent(self) -> Optional[QgsRectangle]:
        """The extent in the CRS in which QGIS shows the raster; None where none was given.

        Raises:
            QgsProcessingException: It misses the rasters.
        """
        names = self.algorithm
        if not self.has(names.EXTENT):
            return None
        extent = names.parameterAsExtent(
            self.parameters, names.EXTENT, self.context, self._shown_crs()
        )
        if extent.isNull():
            return None
        if self.layer is not None and not any(
            self._reaches(extent, layer) for layer in (self.layer, *self.others)
        ):
            raise QgsProcessingException(
                tr("The extent misses the raster {name}; choose one that overlaps it.").format(
                    name=self.layer.name()
                )
            )
        return extent

    def _reaches(self, extent: QgsRectangle, layer: QgsRasterLayer) -> bool:
        if layer is self.layer:
            return bool(layer.extent().intersects(extent))
        move = QgsCoordinateTransform(
            self._shown_crs(), layer.crs(), self.context.transformContext()
        )
        try:
            return bool(layer.extent().intersects(move.transformBoundingBox(extent)))
        except QgsCsException:
            return False

    def place(self) -> dict[str, Any]:
        """Extent and area of interest as the engine names them.

        Raises:
            QgsProcessingException: Both were given, or one misses the raster.
        """
        names = self.algorithm
        extent = self.extent()
        area = self.source(names.AREA) if self.has(names.AREA) else None
        if extent is not None and area is not None:
            raise QgsProcessingException(
                tr("Give either an extent or an area of interest, not both.")
            )
        if extent is not None:
            corners = [extent.xMinimum(), extent.yMinimum(), extent.xMaximum(), extent.yMaximum()]
            return {"extent": corners, "extent_crs": crs_text(self._raster_crs())}
        if area is not None:
            return {"area": self.vector_path(area, "area", lasting=True)}
        return {}

    def _raster_crs(self) -> QgsCoordinateReferenceSystem:
        return QgsCoordinateReferenceSystem() if self.layer is None else self.layer.crs()

    def _shown_crs(self) -> QgsCoordinateReferenceSystem:
        """The raster's CRS; one without lies in the plane of the project's CRS as it is."""
        own, project = self._raster_crs(), self.context.project()
        return own if own.isValid() or project is None else project.crs()

    # --- layers as files ------------------------------------------------------------------------

    def source(self, name: str) -> QgsFeatureSource:
        """A vector input.

        Raises:
            QgsProcessingException: There is none, or it cannot be read.
        """
        source = self.algorithm.parameterAsSource(self.parameters, name, self.context)
        if source is None:
            raise QgsProcessingException(
                self.algorithm.invalidSourceError(self.parameters, name)
                + " "
                + tr("Choose a layer that exists and can be read.")
            )
        return source

    def vector_path(
        self,
        source: QgsFeatureSource,
        name: str,
        attributes: Sequence[str] = (),
        lasting: bool = False,
        label: Optional[str] = None,
    ) -> str:
        """A vector input as a GeoPackage with its features' ids; the engine reads only files.

        Beside a raster without a CRS it is brought to where QGIS shows it on the raster, and has
        none either.

        Args:
            source: The input.
            name: Of the file and its layer.
            attributes: The fields that the engine needs; in the file they have the names that
                :func:`column_names` gives them.
            lasting: The job may go on in another run, where the same contents have the same path.
            label: One more field, which is :data:`SOURCE_LABEL` in the file.

        Raises:
            QgsProcessingException: It has no features, it does not reach into the project's CRS,
                or the file cannot be written.
        """
        crs, move = source.sourceCrs(), QgsCoordinateTransform()
        if self.layer is not None and not self.layer.crs().isValid():
            move = QgsCoordinateTransform(crs, self._shown_crs(), self.context.transformContext())
            crs = QgsCoordinateReferenceSystem()
        path = str(self.folder / f"{name}.gpkg")
        fields = QgsFields()
        fields.append(QgsField(SOURCE_FID, field_types.LONG))
        columns = column_names(attributes)
        if label is not None:
            columns[label] = SOURCE_LABEL
        self.handed[os.path.basename(path)] = source.sourceName()
        self.handed.update({column: own for own, column in columns.items() if column != own})
        kept = [source.fields().lookupField(attribute) for attribute in columns]
        for index, column in zip(kept, columns.values()):  # noqa: B905 - Python 3.9
            field = source.fields().at(index)
            is_nested = field.type() in field_types.NESTED
            field = QgsField(column, field_types.TEXT) if is_nested else of_any_length(field)
            field.setName(column)
            fields.append(field)
        options = QgsVectorFileWriter.SaveVectorOptions()
        options.driverName = "GPKG"
        options.layerName = name
        options.layerOptions = [f"FID={_KEY}", f"GEOMETRY_NAME={_SHAPE}"]
        writer = QgsVectorFileWriter.create(
            path, fields, source.wkbType(), crs,
            self.context.transformContext(), options,
        )  # fmt: skip
        count, nowhere, digest = 0, 0, hashlib.sha256()
        types = [(each.name(), each.typeName()) for each in fields]
        digest.update(repr((name, crs_text(crs), source.wkbType(), types)).encode())
        for feature in source.getFeatures():
            if self.feedback.isCanceled() or writer.hasError():
                break
            if not feature.hasGeometry():
                nowhere += 1
                continue
            copy = QgsFeature(fields)
            geometry = feature.geometry()
            try:
                geometry.transform(move)
            except QgsCsException as error:
                raise QgsProcessingException(
                    tr(
                        "The layer {name} reaches beyond the project's CRS, in which the raster "
                        "lies that has none; give the raster's layer its CRS."
                    ).format(name=source.sourceName())
                ) from error
            copy.setGeometry(geometry)
            values = feature.attributes()
            is_new = feature.id() < 0
            handed = [
                handed_over(source.fields().at(index), values[index], is_new) for index in kept
            ]
            copy.setAttributes([feature.id(), *handed])
            if lasting:
                digest.update(bytes(geometry.asWkb()))
                digest.update(repr([plain(each) for each in copy.attributes()]).encode())
            if not writer.addFeature(copy, QgsFeatureSink.Flag.FastInsert):
                break
            count += 1
        writer.flushBuffer()
        failed, why = writer.hasError(), writer.errorMessage()
        del writer
        if failed != QgsVectorFileWriter.WriterError.NoError:
            raise QgsProcessingException(
                tr("The layer {name} could not be handed to the engine: {why}").format(
                    name=source.sourceName(), why=why
                )
            )
        if not count and not self.feedback.isCanceled():
            raise QgsProcessingException(
                tr("The layer {name} has no features with a geometry; choose another one.").format(
                    name=source.sourceName()
                )
            )
        if nowhere:
            self.feedback.pushWarning(
                tr("Features of {name} without a geometry, which are left out: {count}").format(
                    name=source.sourceName(), count=nowhere
                )
            )
        return str(jobs.keep(Path(path), digest.hexdigest())) if lasting else path

    def raster_path(
        self, resolution: Optional[float] = None, lasting: bool = False
    ) -> tuple[str, bool]:
        """The input raster's file, and whether it was rendered for want of one.

        Args:
            resolution: Of the rendering, ground units of the layer's CRS a pixel.
            lasting: The job may go on in another run, where the same picture has the same path.

        Raises:
            QgsProcessingException: Nothing is chosen, the file is gone, a rendering lacks extent
                or resolution, or the algorithm takes none.
        """
        layer = self.layer
        if layer is None:
            raise QgsProcessingException(tr("Choose a raster layer first."))
        try:
            path = rasters.file_as_shown(layer, jobs.root())
            if path is not None:
                return path, False
            names = self.algorithm
            if any(
                names.parameterDefinition(name) is None for name in (names.EXTENT, names.RESOLUTION)
            ):
                raise rasters.LayerError(
                    tr("{name} is not a file: save what you need of it as a file first.").format(
                        name=layer.name()
                    )
                )
            extent = self.extent()
            if extent is None or extent.isEmpty() or not resolution:
                raise rasters.LayerError(
                    tr(
                        "{name} is not a file: name an extent and a resolution, with which it is "
                        "rendered."
                    ).format(name=layer.name())
                )
            return self._rendered(layer, extent, resolution, lasting), True
        except rasters.LayerError as error:
            raise QgsProcessingException(str(error)) from error

    def raster_paths(
        self, resolution: Optional[float] = None, lasting: bool = False
    ) -> tuple[list[str], bool]:
        """As :meth:`raster_path`, with the rasters beside it; each once.

        Raises:
            QgsProcessingException: Also where one of several is not a file.
        """
        if not self.others:
            path, rendered = self.raster_path(resolution, lasting)
            return [path], rendered
        paths = []
        for layer in (self.layer, *self.others):
            try:
                path_or_none = rasters.file_as_shown(layer, jobs.root())
            except rasters.LayerError as error:
                raise QgsProcessingException(str(error)) from error
            if path_or_none is None:
                raise QgsProcessingException(
                    tr("{name} is not a file: several rasters must all be files.").format(
                        name=layer.name()
                    )
                )
            paths.append(path_or_none)
        return list(dict.fromkeys(paths)), False

    def _rendered(
        self, layer: QgsRasterLayer, extent: QgsRectangle, resolution: float, lasting: bool
    ) -> str:
        plan = rendering.plan_rendering(extent, layer.crs(), resolution)
        self.feedback.pushInfo(
            tr("Rendering {width} × {height} pixels").format(width=plan.width, height=plan.height)
        )

        def keep_going(done: int, total: int) -> bool:
            self.feedback.setProgress(3.0 * done / total)
            return not self.feedback.isCanceled()

        path = self.folder / RENDERED
        rendering.render_now(layer, plan, keep_going, str(path), self.feedback.pushWarning)
        return str(jobs.keep(path, _digest(path))) if lasting else str(path)


def _digest(path: Path) -> str:
    """Of a file's contents."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


def in_usable_folder(path: str) -> str:
    """A file's path in full; its folder is there now, and can be written to.

    Raises:
        OSError: The folder cannot be made, or nothing can be written to it.
    """
    folder = Path(path).parent
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
    return os.path.abspath(path)


def column_names(attributes: Sequence[str]) -> dict[str, str]:
    """Names of a layer's fields in the GeoPackage that is handed to the engine.

    Args:
        attributes: The fields; one may be named twice.

    Returns:
        A name for each field: its own, with a number where the file has a column of that name in
        whatever case of letters.
    """
    fields = {attribute.lower() for attribute in attributes}
    taken = {*_OWN_COLUMNS}
    names: dict[str, str] = {}
    for attribute in dict.fromkeys(attributes):
        column, number = attribute, 1
        while column.lower() in taken or (number > 1 and column.lower() in fields):
            number += 1
            column = f"{attribute}_{number}"
        taken.add(column.lower())
        names[attribute] = column
    return names


def of_any_length(field: QgsField) -> QgsField:
    """A copy of a field; a text's is without a length, as many sources hold longer texts than they
    declare, which QGIS would not write."""
    made = QgsField(field)
    if made.type() == field_types.TEXT:
        made.setLength(0)
    return made


def handed_over(field: QgsField, value: Any, is_new: bool = False) -> Any:
    """A value as a GeoPackage takes it in any version of QGIS: what has parts as text in JSON.

    Args:
        field: The source's.
        value: Its value.
        is_new: The feature is not saved yet: what a database fills in then is there in its words,
            of which only a text is known.
    """
    value = plain(value)
    if value is None:
        return None
    if field_types.is_left_to_source(value):
        return field_types.literal(value.defaultValueClause())
    if field.type() in field_types.NESTED:
        return json.dumps(value, ensure_ascii=False, default=str)
    if not isinstance(value, str):
        return value
    if field.type() == field_types.TEXT:
        return (field_types.literal(value) if is_new and "'::" in value else None) or value
    try:
        return field.convertCompatible(value)
    except ValueError:
        return None if is_new else value  # the clause of a default, which only new ones have


def plain(value: Any) -> Any:
    """An attribute's value; None for what QGIS hands over as a null with a type."""
    return None if isinstance(value, QVariant) and value.isNull() else value


def units_a_metre(crs: QgsCoordinateReferenceSystem, place: Optional[QgsPointXY] = None) -> float:
    """Ground units of a CRS in a metre; 1 where it has none.

    Args:
        crs: Of the units.
        place: Where a metre on the ground is measured, in a projected CRS: two units of Web
            Mercator at 60 degrees north. None: as the CRS defines its unit.
    """
    if crs.isValid() and crs.isGeographic():
        return 1.0 / _METRES_A_DEGREE
    metres = QgsCoordinateReferenceSystem("EPSG:3857").mapUnits()  # QGIS has renamed the unit
    factor = QgsUnitTypes.fromUnitToUnitFactor(metres, crs.mapUnits())
    units = float(factor) if math.isfinite(factor) and factor > 0 else 1.0
    scale = None if place is None else ground_scale(place, crs, 10.0 * units)
    return units if scale is None else 1.0 / math.sqrt(scale[0] * scale[1])  # as areas say it
