# SPDX-License-Identifier: GPL-2.0-or-later
"""The objects that are like the examples, as a temporary layer that follows each new answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Optional

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsFeature,
    QgsField,
    QgsGeometry,
    QgsProject,
    QgsVectorLayer,
)
from qgis.PyQt import sip
from qgis.PyQt.QtCore import QObject, QTimer, pyqtSignal

from .. import field_types, styles
from .found_objects import Found
from .in_steps import InSteps

_FIELDS = (
    ("id", field_types.TEXT, "text"),
    ("class", field_types.TEXT, "text"),
    ("class_prob", field_types.REAL, "double"),
    ("score", field_types.REAL, "double"),
    ("stability", field_types.REAL, "double"),
    ("area_m2", field_types.REAL, "double"),
)
_CLASS, _PROBABILITY = 1, 2

_MARK = "samgeo_seamless/candidates"
"""Property of such a layer: projects are saved with it, but without its objects."""

_AT_ONCE = 25
"""Features that one step writes: a few milliseconds."""


class CandidateLayer(QObject):
    """Shows what is of the classes; nothing of it is the user's yet.

    Args:
        parent: Qt's owner.
    """

    shown = pyqtSignal()
    """The layer is as it was last asked to be."""

    def __init__(self, parent: Optional[QObject] = None) -> None:
        super().__init__(parent)
        self.layer: Optional[QgsVectorLayer] = None
        self._steps = InSteps(self)
        self._there: dict[str, tuple[int, str, Optional[float]]] = {}
        self._shapes: dict[str, QgsGeometry] = {}
        QgsProject.instance().readProject.connect(self._remove_left)

    def release(self) -> None:
        """The project is left alone from now on."""
        QgsProject.instance().readProject.disconnect(self._remove_left)

    def begin(self, name: str, crs: QgsCoordinateReferenceSystem, classes: bool = True) -> None:
        """A new, empty layer; the one before goes.

        Args:
            name: Of the layer.
            crs: Of the objects.
            classes: They are drawn in the colours of classes.
        """
        self.remove()
        self._remove_left()
        layer = QgsVectorLayer("MultiPolygon", name, "memory")
        layer.setCrs(crs)
        fields = [QgsField(field, kind, text) for field, kind, text in _FIELDS]
        layer.dataProvider().addAttributes(fields)
        layer.updateFields()
        layer.setReadOnly(True)
        # QGIS would ask whether it may be lost, which would be asked of every search.
        layer.setCustomProperty("skipMemoryLayersCheck", 1)
        layer.setCustomProperty(_MARK, 1)
        styles.apply(layer, styles.CLASS if classes else styles.REVIEW)
        self.layer = layer
        layer.willBeDeleted.connect(self._gone)
        QTimer.singleShot(0, self._add_to_project)  # that takes QGIS a while, too

    def _add_to_project(self) -> None:
        if self.layer is not None and not sip.isdeleted(self.layer):
            QgsProject.instance().addMapLayer(self.layer)

    def remove(self) -> None:
        """Take the layer off the project."""
        layer = self.layer
        self._gone()
        if layer is not None and not sip.isdeleted(layer):
            QgsProject.instance().removeMapLayer(layer.id())

    def _remove_left(self, *_: object) -> None:
        """Take off the project what an earlier session has left in it, which is empty now."""
        project = QgsProject.instance()
        left = [
            layer.id()
            for layer in project.mapLayers().values()
            if isinstance(layer, QgsVectorLayer)
            and layer is not self.layer
            and layer.providerType() == "memory"
            and layer.customProperty(_MARK)
            and not layer.featureCount()
        ]
        if left:
            project.removeMapLayers(left)

    def hide(self) -> None:
        """Off the map; it stays in the list of layers."""
        if self.layer is not None and not sip.isdeleted(self.layer):
            node = QgsProject.instance().layerTreeRoot().findLayer(self.layer.id())
            if node is not None:
                node.setItemVisibilityChecked(False)

    def _gone(self) -> None:
        self._steps.stop()
        layer, self.layer = self.layer, None
        self._there, self._shapes = {}, {}
        if layer is not None and not sip.isdeleted(layer):
            layer.willBeDeleted.disconnect(self._gone)

    def show(self, kept: dict[str, tuple[str, Optional[float]]], found: dict[str, Found]) -> None:
        """Hold these objects and no others.

        Args:
            kept: Class and its probability by id; None where no examples have given one.
            found: All objects by id.
        """
        if self.layer is not None:
            # Copies: between the steps, the search drops what has grown into larger objects.
            work = self._changes(self.layer, dict(kept), dict(found))
            self._steps.start(work, self._end)

    def _changes(
        self,
        layer: QgsVectorLayer,
        kept: dict[str, tuple[str, Optional[float]]],
        found: dict[str, Found],
    ) -> Iterator[None]:
        provider = layer.dataProvider()
        gone = [
            key
            for key in self._there
            if key not in kept or found.get(key) is None
            or found[key].geometry is not self._shapes[key]
        ]  # fmt: skip
        for start in range(0, len(gone), _AT_ONCE):
            some = gone[start : start + _AT_ONCE]
            provider.deleteFeatures([self._there.pop(key)[0] for key in some])
            for key in some:
                self._shapes.pop(key)
            yield
        new = [key for key in kept if key not in self._there and key in found]
        for start in range(0, len(new), _AT_ONCE):
            self._add(layer, new[start : start + _AT_ONCE], kept, found)
            yield
        changed = {
            key: (kept[key][0], kept[key][1])
            for key, (_, name, probability) in self._there.items()
            if key in kept and (name, probability) != kept[key]
        }
        keys = list(changed)
        for start in range(0, len(keys), _AT_ONCE):
            values = {}
            for key in keys[start : start + _AT_ONCE]:
                name, probability = changed[key]
                feature_id = self._there[key][0]
                values[feature_id] = {_CLASS: name, _PROBABILITY: probability}
                self._there[key] = feature_id, name, probability
            provider.changeAttributeValues(values)
            yield

    def _add(
        self,
        layer: QgsVectorLayer,
        keys: list[str],
        kept: dict[str, tuple[str, Optional[float]]],
        found: dict[str, Found],
    ) -> None:
        features = []
        for key in keys:
            one = found[key]
            shape = QgsGeometry(one.geometry)
            shape.convertToMultiType()
            feature = QgsFeature(layer.fields())
            feature.setGeometry(shape)
            feature.setAttributes([key, *kept[key], one.score, one.stability, one.area_m2])
            features.append(feature)
        well, made = layer.dataProvider().addFeatures(features)
        if well:
            for key, feature in zip(keys, made):  # noqa: B905 - Python 3.9
                self._there[key] = feature.id(), *kept[key]
                self._shapes[key] = found[key].geometry

    def _end(self) -> None:
        if self.layer is not None:
            self.layer.updateExtents()
            self.layer.triggerRepaint()
        self.shown.emit()
