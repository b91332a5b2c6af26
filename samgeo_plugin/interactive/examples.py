# SPDX-License-Identifier: GPL-2.0-or-later
"""Examples of the classes: a layer of the project, saved beside it.

A polygon with a class is an example of it, one without a class belongs to none of them. The layer
is one like any other: it can be edited, and Processing's algorithms take it with its field
``class``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsCsException,
    QgsDataProvider,
    QgsFeature,
    QgsFeatureRequest,
    QgsField,
    QgsFields,
    QgsGeometry,
    QgsProject,
    QgsVectorFileWriter,
    QgsVectorLayer,
    QgsWkbTypes,
)
from qgis.PyQt import sip
from qgis.PyQt.QtCore import QObject, QTimer, pyqtSignal

from .. import field_types, styles
from ..i18n import tr
from . import editing
from .autosave import free_path
from .classes import stored
from .doubt import text_of
from .tidy import iou

PROPERTY = "samgeo_seamless/examples"
"""Custom property of the layer of examples."""

CLASS = "class"
LAYER = "examples"

SAME = 0.5
"""IoU from which on two examples are the same object: the later one counts."""


class Examples(QObject):
    """The examples of the project.

    Args:
        parent: Qt's owner.
    """

    changed = pyqtSignal()
    message = pyqtSignal(str, str)

    def __init__(self, parent: Optional[QObject] = None) -> None:
        super().__init__(parent)
        self._watched: Optional[QgsVectorLayer] = None
        self._noted: list[tuple[QgsGeometry, QgsCoordinateReferenceSystem, str]] = []
        self._renamed: dict[str, str] = {}
        """Names that classes have now, by those that they had: objects that are taken back, or come
        again by a redo, are told with the old ones."""
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(0)
        self._soon.timeout.connect(self.changed)
        project = QgsProject.instance()
        project.cleared.connect(self._forget)
        project.projectSaved.connect(self._project_saved)

    def release(self) -> None:
        """The plugin is being unloaded."""
        project = QgsProject.instance()
        project.cleared.disconnect(self._forget)
        project.projectSaved.disconnect(self._project_saved)
        self._watch(None)

    def layer(self) -> Optional[QgsVectorLayer]:
        """The project's layer of examples; None where there is none yet."""
        for layer in QgsProject.instance().mapLayers().values():
            if not isinstance(layer, QgsVectorLayer) or not layer.customProperty(PROPERTY):
                continue
            if layer.isValid() and layer.fields().lookupField(CLASS) >= 0:
                self._watch(layer)
                return layer
        return None

    @property
    def counts(self) -> Counter[str]:
        """How many there are of each class; "" for those of none."""
        layer = self.layer()
        if layer is None:
            return Counter()
        index = layer.fields().lookupField(CLASS)
        request = QgsFeatureRequest().setFlags(QgsFeatureRequest.Flag.NoGeometry)
        return Counter(text_of(f.attribute(index)) for f in layer.getFeatures(request))

    @property
    def has_noted(self) -> bool:
        """Something was accepted that is no example yet."""
        return bool(self._noted)

    def note(self, geometry: QgsGeometry, crs: QgsCoordinateReferenceSystem, name: str) -> None:
        """An accepted object: an example at once where there is a layer of them, else once one is
        wanted (:meth:`add_noted`)."""
        if name not in {each.name for each in stored()}:
            name = self._renamed.get(name, name)
        if self.layer() is not None and name:
            self.add(geometry, crs, name)
        elif self.layer() is None:
            self._noted.append((QgsGeometry(geometry), crs, name))

    def add_noted(self, beside: Optional[QgsVectorLayer], otherwise: str) -> Iterator[None]:
        """What was accepted by now becomes examples; yields between its steps.

        Args:
            beside: Layer in whose folder the examples are kept where the project has none.
            otherwise: Class of what was accepted without one; empty to leave it out.
        """
        noted = [(shape, crs, name or otherwise) for shape, crs, name in self._noted]
        noted, self._noted = [each for each in noted if each[2]], []
        if noted and self.layer() is None:
            yield from self._make(noted[0][1], beside)
        for geometry, crs, name in noted:
            self.add(geometry, crs, name)
            yield

    def add(
        self,
        geometry: QgsGeometry,
        crs: QgsCoordinateReferenceSystem,
        name: str,
    ) -> bool:
        """An example; an earlier one of the same object goes.

        Args:
            geometry: A polygon.
            crs: Its CRS.
            name: Its class; empty where it belongs to none of them.
        """
        if self.layer() is None:
            for _ in self._make(crs, None):
                pass
        layer = self.layer()
        if layer is None:
            return False
        moved = _moved(geometry, crs, layer)
        if moved is None:
            self.message.emit("warning", tr("The example lies outside the CRS of its layer."))
            return False
        same = [each.id() for each in _near(layer, moved) if iou(each.geometry(), moved) >= SAME]
        feature = QgsFeature(layer.fields())
        feature.setGeometry(moved)
        feature.setAttribute(layer.fields().lookupField(CLASS), name)
        if layer.isEditable():  # then it goes with what the user is doing there
            layer.deleteFeatures(same)
            well = layer.addFeature(feature)
        else:
            provider = layer.dataProvider()
            if same:
                provider.deleteFeatures(same)
            well = provider.addFeatures([feature])[0]
            layer.updateExtents()
            layer.triggerRepaint()
        if not well:
            self.message.emit(
                "warning", tr("The layer {name} takes no examples.").format(name=layer.name())
            )
            return False
        self._soon.start()
        return True

    def take_back(
        self, geometry: QgsGeometry, crs: QgsCoordinateReferenceSystem, name: str
    ) -> None:
        """An accepted object was undone or deleted: it is no example, unless its example has been
        changed by hand since."""
        names = (name, self._renamed.get(name, name))
        self._noted = [
            each for each in self._noted if each[2] not in names or not each[0].equals(geometry)
        ]
        layer = self.layer()
        moved = None if layer is None else _moved(geometry, crs, layer)
        if layer is None or moved is None:
            return
        index = layer.fields().lookupField(CLASS)
        same = [
            each.id()
            for each in _near(layer, moved)
            if each.geometry().equals(moved)
            and (not name or text_of(each.attribute(index)) in names)
        ]
        if not same:
            return
        if layer.isEditable():
            layer.deleteFeatures(same)
        else:
            layer.dataProvider().deleteFeatures(same)
            layer.triggerRepaint()
        self._soon.start()

    def rename(self, old: str, new: str) -> None:
        """A class of the project has another name: of its examples, too, and of what was accepted
        and is none yet."""
        self._renamed = {k: new if name == old else name for k, name in self._renamed.items()}
        self._renamed[old] = new
        self._noted = [
            (shape, crs, new if name == old else name) for shape, crs, name in self._noted
        ]
        layer = self.layer()
        if layer is None:
            return
        index = layer.fields().lookupField(CLASS)
        request = QgsFeatureRequest().setFlags(QgsFeatureRequest.Flag.NoGeometry)
        features = list(layer.getFeatures(request))
        ids = [each.id() for each in features if text_of(each.attribute(index)) == old]
        if not ids:
            return
        if layer.isEditable():  # then it goes with what the user is doing there
            with editing.command(layer, tr("Rename a class")):
                well = all(layer.changeAttributeValue(each, index, new) for each in ids)
        else:
            well = layer.dataProvider().changeAttributeValues({each: {index: new} for each in ids})
            layer.triggerRepaint()
        if well:
            level = "info"
            text = tr(
                "{count} examples of “{old}” are of “{new}” now; other layers stay as they are."
            )
        else:
            level = "warning"
            text = tr("{layer} cannot be changed; its examples of “{old}” keep that class.")
        said = text.format(count=len(ids), old=old, new=new, layer=layer.name())
        self.message.emit(level, said)
        self._soon.start()

    def all_in(self, crs: QgsCoordinateReferenceSystem) -> list[tuple[QgsGeometry, str]]:
        """All examples in a CRS, with their classes; those that it cannot show are left out."""
        layer = self.layer()
        if layer is None:
            return []
        index = layer.fields().lookupField(CLASS)
        move = QgsCoordinateTransform(layer.crs(), crs, QgsProject.instance())
        found = []
        for feature in layer.getFeatures():
            if not feature.hasGeometry():
                continue
            shape = feature.geometry()
            try:
                shape.transform(move)
            except QgsCsException:
                continue
            found.append((shape, text_of(feature.attribute(index))))
        return found

    # --- the layer ------------------------------------------------------------------------------

    def _make(
        self, crs: QgsCoordinateReferenceSystem, beside: Optional[QgsVectorLayer]
    ) -> Iterator[None]:
        """A layer for the examples, in steps."""
        path = place_for(beside)
        layer = None if path is None else _in_file(path, crs)
        if path is not None and layer is not None and layer.featureCount() > 0:
            self.message.emit(
                "info",
                tr(
                    "{file} has examples already ({count}), which count too: delete those that "
                    "you do not want."
                ).format(file=Path(path).name, count=layer.featureCount()),
            )
        yield
        if layer is None:
            layer = QgsVectorLayer("MultiPolygon", tr("Examples"), "memory")
            layer.setCrs(crs)
            layer.dataProvider().addAttributes(_fields().toList())
            layer.updateFields()
            self.message.emit(
                "warning",
                tr(
                    "The examples are in a temporary layer: save the project, and they are kept "
                    "beside it."
                ),
            )
        layer.setCustomProperty(PROPERTY, "1")
        styles.apply(layer, styles.CLASS)
        yield
        if QgsProject.instance().addMapLayer(layer) is not None:
            self._watch(layer)

    def _project_saved(self) -> None:
        """Now there is a place for examples that were in memory."""
        layer = self.layer()
        if layer is None or layer.dataProvider().name() != "memory" or layer.isEditable():
            return
        place = place_for(None)
        if place is None:
            return
        # A file that is there is another project's, whose CRS and examples are its own.
        path = free_path(Path(place).parent, Path(place).stem)
        made = _in_file(str(path), layer.crs())
        if made is None:
            return
        index = layer.fields().lookupField(CLASS)
        features = []
        for feature in layer.getFeatures():
            copy = QgsFeature(made.fields())
            copy.setGeometry(feature.geometry())
            copy.setAttribute(made.fields().lookupField(CLASS), text_of(feature.attribute(index)))
            features.append(copy)
        if not made.dataProvider().addFeatures(features)[0]:
            return
        source, name = made.source(), layer.name()
        layer.setDataSource(source, name, "ogr", QgsDataProvider.ProviderOptions())
        self.message.emit(
            "info",
            tr("The examples are in {file} now; save the project once more.").format(
                file=path.name
            ),
        )

    def _watch(self, layer: Optional[QgsVectorLayer]) -> None:
        """Examples are also changed by hand."""
        if layer is self._watched:
            return
        old, self._watched = self._watched, layer
        signals = ("featureAdded", "featuresDeleted", "geometryChanged", "attributeValueChanged",
                   "afterRollBack", "willBeDeleted")  # fmt: skip
        for name in signals:
            if old is not None and not sip.isdeleted(old):
                getattr(old, name).disconnect(self._touched)
            if layer is not None:
                getattr(layer, name).connect(self._touched)

    def _touched(self, *_: object) -> None:
        self._soon.start()

    def _forget(self) -> None:
        self._watch(None)
        self._noted, self._renamed = [], {}
        self.changed.emit()


def _moved(
    geometry: QgsGeometry, crs: QgsCoordinateReferenceSystem, layer: QgsVectorLayer
) -> Optional[QgsGeometry]:
    """A polygon as the layer of examples holds it; None where its CRS does not reach."""
    moved = QgsGeometry(geometry)
    try:
        moved.transform(QgsCoordinateTransform(crs, layer.crs(), QgsProject.instance()))
    except QgsCsException:
        return None
    moved.convertToMultiType()
    return moved


def _near(layer: QgsVectorLayer, geometry: QgsGeometry) -> list[QgsFeature]:
    request = QgsFeatureRequest().setFilterRect(geometry.boundingBox())
    return [each for each in layer.getFeatures(request) if each.hasGeometry()]


def place_for(beside: Optional[QgsVectorLayer]) -> Optional[str]:
    """The GeoPackage for the examples: beside the project, else beside a layer; None for none."""
    project = QgsProject.instance().absoluteFilePath()
    if project:
        whole = Path(project)
    elif beside is not None and beside.dataProvider().name() == "ogr":
        whole = Path(beside.source().partition("|")[0])
    else:
        return None
    return str(whole.with_name(f"{whole.stem}_examples.gpkg")) if whole.parent.is_dir() else None


def _fields() -> QgsFields:
    fields = QgsFields()
    fields.append(QgsField(CLASS, field_types.TEXT, "text"))
    return fields


def _in_file(path: str, crs: QgsCoordinateReferenceSystem) -> Optional[QgsVectorLayer]:
    """The layer of examples of a GeoPackage, made where it is not there; None where it cannot."""
    uri = f"{path}|layername={LAYER}"
    if Path(path).exists():
        there = QgsVectorLayer(uri, tr("Examples"), "ogr")
        if there.isValid():
            return there if there.fields().lookupField(CLASS) >= 0 else None
    options = QgsVectorFileWriter.SaveVectorOptions()
    options.driverName = "GPKG"
    options.layerName = LAYER
    if Path(path).exists():
        options.actionOnExistingFile = (
            QgsVectorFileWriter.ActionOnExistingFile.CreateOrOverwriteLayer
        )
    writer = QgsVectorFileWriter.create(
        path, _fields(), QgsWkbTypes.Type.MultiPolygon, crs,
        QgsProject.instance().transformContext(), options,
    )  # fmt: skip
    failed = writer.hasError()
    del writer
    layer = QgsVectorLayer(uri, tr("Examples"), "ogr")
    good = failed == QgsVectorFileWriter.WriterError.NoError and layer.isValid()
    return layer if good else None
