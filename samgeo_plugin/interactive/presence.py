# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether accepted objects are in their layer still: undone or deleted, they are no examples."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Optional

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsCsException,
    QgsGeometry,
    QgsProject,
    QgsVectorLayer,
)
from qgis.PyQt import sip
from qgis.PyQt.QtCore import QObject, QTimer, pyqtSignal

from . import editing, reading, target
from .doubt import text_of
from .feature_ids import SavedIds, alike


@dataclass
class _Object:
    """An accepted object.

    Args:
        layer: That it was written into.
        ids: Of its features (several in a layer of single parts) as they are now.
        geometry: Of the whole.
        crs: Of ``geometry``.
        name: Its class; empty for none.
        value: What the layer's field for the class holds of it; None where there is none.
        there: It was in the layer when that was last looked at.
    """

    layer: QgsVectorLayer
    ids: list[int]
    geometry: QgsGeometry
    crs: QgsCoordinateReferenceSystem
    name: str
    value: Optional[str]
    there: bool = True


@dataclass(frozen=True)
class _Layer:
    """A layer with accepted objects.

    Args:
        layer: The layer.
        saved_ids: Tells the ids that its features get by a save.
        slot: What it tells them to.
        rolled_back: What the layer tells that its changes were discarded.
    """

    layer: QgsVectorLayer
    saved_ids: SavedIds
    slot: Callable[[dict[int, Optional[int]]], None]
    rolled_back: Callable[[], None]


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
        self._layers: list[_Layer] = []
        self._touched: set[int] = set()
        """Features that a layer has told of, by their ids before or after a save."""
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
        self._follow(layer).catch_up()
        found = (editing.feature_of(layer, each) for each in feature_ids)
        features = [each for each in found if each is not None]
        if not features:
            return
        value = _class_of(layer, features[0].id())
        ids = [each.id() for each in features]
        self._objects.append(_Object(layer, ids, geometry, crs, name, value))

    def _follow(self, layer: QgsVectorLayer) -> SavedIds:
        for each in self._layers:
            if each.layer is layer:
                return each.saved_ids
        slot = partial(self._saved, layer)
        rolled_back = partial(self._rolled_back, layer)
        followed = _Layer(layer, SavedIds.of(layer, slot), slot, rolled_back)
        self._layers = [each for each in self._layers if not sip.isdeleted(each.layer)]
        self._layers.append(followed)
        for signal in self._signals(layer):
            signal.connect(self._touch)
        layer.afterRollBack.connect(rolled_back)
        return followed.saved_ids

    def release(self) -> None:
        """The plugin is being unloaded."""
        self._soon.stop()
        for each in self._layers:
            if not sip.isdeleted(each.layer):
                each.saved_ids.leave(each.slot)
                for signal in self._signals(each.layer):
                    signal.disconnect(self._touch)
                each.layer.afterRollBack.disconnect(each.rolled_back)
        self._layers, self._objects = [], []

    @staticmethod
    def _signals(layer: QgsVectorLayer) -> tuple:
        return layer.featureDeleted, layer.featureAdded, layer.attributeValueChanged

    def _touch(self, feature_id: int, *_: object) -> None:
        self._touched.add(feature_id)
        self._soon.start()

    def _rolled_back(self, layer: QgsVectorLayer) -> None:
        """In a transaction, the layer does not tell what a roll back has deleted."""
        self._touched.update(*(one.ids for one in self._objects if one.layer is layer))
        self._soon.start()

    def _saved(self, layer: QgsVectorLayer, ids: dict[int, Optional[int]]) -> None:
        """A save has given features of a layer other ids (``SavedIds.changed``)."""
        now = (ids.get(each, each) for each in self._touched)
        self._touched |= {each for each in now if each is not None}
        for one in self._objects:
            if one.layer is layer:
                now = (ids.get(each, each) for each in one.ids)
                one.ids = [each for each in now if each is not None]
        self._soon.start()

    def _look(self) -> None:
        """Tell of objects that a layer has lost or got back."""
        self._layers = [each for each in self._layers if not sip.isdeleted(each.layer)]
        self._objects = [one for one in self._objects if not sip.isdeleted(one.layer)]
        if any(each.saved_ids.finding for each in self._layers):
            self._soon.start()
            return
        touched, self._touched = self._touched, set()
        known = {(one.layer.id(), each) for one in self._objects for each in one.ids}
        for one in list(self._objects):
            if not one.there and reading.in_transaction(one.layer):
                new = (each for each in touched if (one.layer.id(), each) not in known)
                one.ids = _made_again(one, new) or one.ids
            if one.ids and touched.isdisjoint(one.ids):
                continue
            there = _is_there(one)
            if there != one.there:
                one.there = there
                (self.back if there else self.gone).emit(one.geometry, one.crs, one.name)
        self._objects = [one for one in self._objects if one.ids]


def _made_again(one: _Object, feature_ids: Iterable[int]) -> list[int]:
    """Of some features, the one that an object has become; a redo in a transaction of a database
    makes another feature."""
    way = QgsCoordinateTransform(one.crs, one.layer.crs(), QgsProject.instance())
    shape = QgsGeometry(one.geometry)
    try:
        shape.transform(way)
    except QgsCsException:
        return []
    features = (editing.feature_of(one.layer, each) for each in feature_ids)
    there = (each for each in features if each is not None and alike(each.geometry(), shape))
    return [each.id() for each in there][:1]


def _is_there(one: _Object) -> bool:
    """An object is in its layer, with its class."""
    there = [each for each in one.ids if editing.feature_of(one.layer, each) is not None]
    if not there or not one.name or one.value is None:
        return bool(there)
    return _class_of(one.layer, there[0]) in (one.value, None)


def _class_of(layer: QgsVectorLayer, feature_id: int) -> Optional[str]:
    """What the layer's field for the class holds of a feature; None where there is no field."""
    field = target.class_field(layer)
    return None if field < 0 else text_of(layer.getFeature(feature_id).attribute(field))
