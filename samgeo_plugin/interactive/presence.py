# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether accepted objects are in their layer still: undone or deleted, they are no examples."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Optional

from qgis.core import QgsCoordinateReferenceSystem, QgsGeometry, QgsVectorLayer
from qgis.PyQt import sip
from qgis.PyQt.QtCore import QObject, QTimer, pyqtSignal

from . import editing, target
from .doubt import text_of
from .place import Place


@dataclass
class _Object:
    """An accepted object.

    Args:
        layer: That it was written into.
        places: Its features (several in a layer of single parts), in the layer's CRS.
        geometry: Of the whole.
        crs: Of ``geometry``.
        name: Its class; empty for none.
        value: What the layer's field for the class holds of it; None where there is none.
        there: It was in the layer when that was last looked at.
    """

    layer: QgsVectorLayer
    places: list[Place]
    geometry: QgsGeometry
    crs: QgsCoordinateReferenceSystem
    name: str
    value: Optional[str]
    there: bool = True


class Presence(QObject):
    """Follows accepted objects through undo, redo, deletion, discarding and saving.

    Args:
        parent: Qt's owner.
    """

    gone = pyqtSignal(object, object, str)
    """Geometry, CRS and class of an object that its layer has no longer, or with another class."""

    back = pyqtSignal(object, object, str)
    """Likewise of one that is there again."""

    def __init__(self, parent: Optional[QObject] = None) -> None:
        super().__init__(parent)
        self._objects: list[_Object] = []
        self._layers: list[QgsVectorLayer] = []
        self._touched: set[int] = set()
        self._soon = QTimer(self)
        """A save deletes a new feature and adds it with another id: in between it is not there."""
        self._soon.setSingleShot(True)
        self._soon.setInterval(0)
        self._soon.timeout.connect(self._look)

    def watch(
        self,
        layer: QgsVectorLayer,
        feature_ids: Iterable[int],
        geometry: QgsGeometry,
        crs: QgsCoordinateReferenceSystem,
        name: str,
    ) -> None:
        """An object has just been written."""
        found = (editing.feature_of(layer, each) for each in feature_ids)
        features = [each for each in found if each is not None]
        if not features:
            return
        places = [Place(layer.id(), each.id(), each.geometry()) for each in features]
        value = _class_of(layer, features[0].id())
        self._objects.append(_Object(layer, places, geometry, crs, name, value))
        if not any(each is layer for each in self._layers):
            self._layers = [each for each in self._layers if not sip.isdeleted(each)] + [layer]
            for signal in self._signals(layer):
                signal.connect(self._touch)

    def release(self) -> None:
        """The plugin is being unloaded."""
        self._soon.stop()
        for layer in self._layers:
            if not sip.isdeleted(layer):
                for signal in self._signals(layer):
                    signal.disconnect(self._touch)
        self._layers, self._objects = [], []

    @staticmethod
    def _signals(layer: QgsVectorLayer) -> tuple:
        return layer.featureDeleted, layer.featureAdded, layer.attributeValueChanged

    def _touch(self, feature_id: int, *_: object) -> None:
        self._touched.add(feature_id)
        self._soon.start()

    def _look(self) -> None:
        """Tell of objects that a layer has lost or got back."""
        touched, self._touched = self._touched, set()
        self._objects = [one for one in self._objects if not sip.isdeleted(one.layer)]
        for one in list(self._objects):
            if not any(place.feature_id in touched for place in one.places):
                continue
            there = self._find(one)
            if there != one.there:
                one.there = there
                (self.back if there else self.gone).emit(one.geometry, one.crs, one.name)

    def _find(self, one: _Object) -> bool:
        """An object is in its layer, with its class; its features may have got other ids."""
        found = [
            (place, target.feature_at(one.layer, place, one.layer.crs())) for place in one.places
        ]
        one.places = [p if key is None else replace(p, feature_id=key) for p, key in found]
        keys = [key for _, key in found if key is not None]
        if not keys or not one.name or one.value is None:
            return bool(keys)
        return _class_of(one.layer, keys[0]) in (one.value, None)


def _class_of(layer: QgsVectorLayer, feature_id: int) -> Optional[str]:
    """What the layer's field for the class holds of a feature; None where there is no field."""
    field = target.class_field(layer)
    return None if field < 0 else text_of(layer.getFeature(feature_id).attribute(field))
