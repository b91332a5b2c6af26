# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether accepted objects are in their layer still: undone or deleted, they are no examples."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Optional

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsGeometry,
    QgsVectorLayer,
)
from qgis.PyQt import sip
from qgis.PyQt.QtCore import QObject, QTimer, pyqtSignal

from . import editing, field_mapping, reading, target
from .doubt import text_of
from .feature_ids import Outlines, SavedIds


@dataclass
class _Feature:
    """A feature of an accepted object.

    Args:
        id: As it is now; None where it is gone, and a database gives it another one by a redo.
        shape: The outline that it was written with.
    """

    id: Optional[int]
    shape: QgsGeometry


@dataclass
class _Object:
    """An accepted object.

    Args:
        layer: That it was written into.
        features: Several in a layer of single parts.
        geometry: Of the whole.
        crs: Of ``geometry``.
        name: Its class; empty for none.
        value: What the layer's field for the class holds of it; None where there is none.
        there: It was in the layer when that was last looked at.
    """

    layer: QgsVectorLayer
    features: list[_Feature]
    geometry: QgsGeometry
    crs: QgsCoordinateReferenceSystem
    name: str
    value: Optional[str]
    there: bool = True

    @property
    def ids(self) -> list[int]:
        """Of its features as they are now."""
        return [each.id for each in self.features if each.id is not None]


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
        self._discarded: list[QgsVectorLayer] = []
        """Layers whose changes were discarded."""
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
        written = [_Feature(each.id(), each.geometry()) for each in features]
        self._objects.append(_Object(layer, written, geometry, crs, name, value))

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
        self._discarded.append(layer)
        self._soon.start()

    def _saved(self, layer: QgsVectorLayer, ids: dict[int, Optional[int]]) -> None:
        """A save has given features of a layer other ids (``SavedIds.changed``)."""
        now = (ids.get(each, each) for each in self._touched)
        self._touched |= {each for each in now if each is not None}
        for one in self._objects:
            if one.layer is layer:
                one.features = [each for each in one.features if ids.get(each.id, 0) is not None]
                for each in one.features:
                    each.id = ids.get(each.id, each.id)
        self._soon.start()

    def _look(self) -> None:
        """Tell of objects that a layer has lost or got back."""
        self._layers = [each for each in self._layers if not sip.isdeleted(each.layer)]
        self._objects = [one for one in self._objects if not sip.isdeleted(one.layer)]
        if any(each.saved_ids.finding for each in self._layers):
            self._soon.start()
            return
        touched, self._touched = self._touched, set()
        discarded, self._discarded = self._discarded, []
        for layer in (each.layer for each in self._layers):
            if reading.in_transaction(layer):
                self._find_again(layer, touched)
        for one in list(self._objects):
            is_discarded, ids = one.layer in discarded, one.ids
            is_whole = len(ids) == len(one.features) > 0
            if is_whole and touched.isdisjoint(ids) and not is_discarded:
                continue
            there = _is_there(one)
            if is_discarded:  # nothing brings these back, and others may get their ids
                left = [each for each in ids if editing.feature_of(one.layer, each) is not None]
                one.features = [each for each in one.features if each.id in left]
            if there != one.there:
                one.there = there
                (self.back if there else self.gone).emit(one.geometry, one.crs, one.name)
        self._objects = [one for one in self._objects if one.features]

    def _find_again(self, layer: QgsVectorLayer, touched: set[int]) -> None:
        """In a transaction, an undo takes a feature out of the database, where another one may get
        its id; a redo adds it anew, perhaps with another id."""
        features = [each for one in self._objects if one.layer is layer for each in one.features]
        for each in features:
            if each.id in touched and editing.feature_of(layer, each.id) is None:
                each.id = None
        lost = [each for each in features if each.id is None]
        if not lost:
            return
        known, added = {each.id for each in features}, Outlines()
        for feature_id in touched - known:
            feature = editing.feature_of(layer, feature_id)
            if feature is not None:
                added.add(feature_id, feature.geometry())
        for each in lost:
            each.id = added.take(each.shape)


def _is_there(one: _Object) -> bool:
    """An object is in its layer, with its class."""
    there = [each for each in one.ids if editing.feature_of(one.layer, each) is not None]
    if not there or not one.name or one.value is None:
        return bool(there)
    return _class_of(one.layer, there[0]) in (one.value, None)


def _class_of(layer: QgsVectorLayer, feature_id: int) -> Optional[str]:
    """What the layer's field for the class holds of a feature; None where there is no field."""
    field = target.class_field(layer)
    if field < 0:
        return None
    value = layer.getFeature(feature_id).attribute(field)
    return text_of(field_mapping.filled_in(layer, field, value))
