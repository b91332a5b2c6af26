# SPDX-License-Identifier: GPL-2.0-or-later
"""Ids of features across a save: new features get other ids, and in some files old ones do, too.

A Shapefile is packed once something was deleted in it, a FlatGeobuf is ordered anew at each save,
and the features behind get other numbers. Nothing but their outlines says which ones they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Optional

from qgis.core import (
    QgsFeature,
    QgsFeatureRequest,
    QgsGeometry,
    QgsSpatialIndex,
    QgsVectorLayer,
)
from qgis.PyQt import sip
from qgis.PyQt.QtCore import QObject, QTimer, pyqtSignal

from .tidy import iou

_WITH_KEYS = frozenset({"GPKG", "SQLite", "ESRI FileGDB", "OpenFileGDB", "MSSQLSpatial", "MySQL"})
"""Formats (GDAL's drivers) in which a feature keeps its id for good."""

_PACKED = frozenset({"ESRI Shapefile", "GeoJSON"})
"""Formats in which features keep their ids as long as none is deleted."""

ALIKE = 0.9999
"""IoU of an outline and itself, written to a file and read again."""


def renumbers(layer: QgsVectorLayer) -> bool:
    """Whether a save may give other ids to features that were in the file already."""
    by_file = layer.providerType() == "ogr"
    return by_file and layer.dataProvider().storageType() not in _WITH_KEYS


class Outlines:
    """Features that are found by their outlines, each one once.

    Args:
        features: With geometries; others are left out.
    """

    def __init__(self, features: Iterable[QgsFeature]) -> None:
        self._left = {each.id(): each.geometry() for each in features if each.hasGeometry()}
        self._exact: dict[bytes, list[int]] = {}
        for each in sorted(self._left, reverse=True):
            self._exact.setdefault(_bytes(self._left[each]), []).append(each)
        self._near: Optional[QgsSpatialIndex] = None

    def take(self, shape: QgsGeometry, least: float = ALIKE) -> Optional[int]:
        """The id of the feature with an outline; None where there is none, or it was taken.

        Args:
            shape: The outline.
            least: IoU with it from which on a feature has it; of several, the best one is taken.
        """
        exact = self._exact.get(_bytes(shape), [])
        while exact:
            each = exact.pop()
            if self._left.pop(each, None) is not None:
                return each
        if self._near is None:
            self._near = QgsSpatialIndex()
            for each, other in self._left.items():
                self._near.addFeature(each, other.boundingBox())
        near = (each for each in self._near.intersects(shape.boundingBox()) if each in self._left)
        found = max(((iou(self._left[each], shape), -each) for each in near), default=(0.0, 0))
        if found[0] < least:
            return None
        del self._left[-found[1]]
        return -found[1]


def _bytes(shape: QgsGeometry) -> bytes:
    return bytes(shape.asWkb())


class SavedIds(QObject):
    """Tells which ids a layer's features have got by a save.

    Args:
        layer: The layer.
        parent: Qt's owner.
    """

    changed = pyqtSignal(object)
    """Ids after the save by those before it: of features that have others now, and None for those
    that are in the file no longer."""

    def __init__(self, layer: QgsVectorLayer, parent: Optional[QObject] = None) -> None:
        super().__init__(parent)
        self._layer = layer
        self._deleted: list[int] = []
        self._before: Optional[dict[int, QgsGeometry]] = None
        """Outlines before a save that may number anew."""
        self.saving = False
        """New features get their ids: the layer says of each that it was deleted and added."""
        self._new: dict[int, Optional[int]] = {}
        """What they have got, by their ids in the edit buffer."""
        self._last = 0
        """The id of which the layer said last that it was deleted."""
        self._packed = QTimer(self)
        """A file is packed after the last signal of its save."""
        self._packed.setSingleShot(True)
        self._packed.setInterval(0)
        self._packed.timeout.connect(self._find_again)
        for signal, slot in self._signals():
            signal.connect(slot)

    def _signals(self) -> tuple:
        layer = self._layer
        return (
            (layer.beforeCommitChanges, self._begin),
            (layer.committedFeaturesAdded, self._begin_new),
            (layer.featureDeleted, self._temporary),
            (layer.featureAdded, self._lasting),
            (layer.afterCommitChanges, self._end),
        )

    def release(self) -> None:
        """Listen to the layer no longer."""
        self._packed.stop()
        if not sip.isdeleted(self._layer):
            for signal, slot in self._signals():
                signal.disconnect(slot)

    def catch_up(self) -> None:
        """After a save, before an id is used: a key may come before the timer does."""
        if self._packed.isActive():
            self._find_again()

    def _begin(self, *_: object) -> None:
        self.catch_up()  # two saves in one go
        buffer, kind = self._layer.editBuffer(), self._layer.dataProvider().storageType()
        self.saving, self._before, self._new = False, None, {}
        self._deleted = list(buffer.deletedFeatureIds())
        if renumbers(self._layer) and (self._deleted or kind not in _PACKED):
            request = QgsFeatureRequest().setNoAttributes()
            features = (each for each in self._layer.getFeatures(request) if each.hasGeometry())
            self._before = {each.id(): each.geometry() for each in features}

    def _begin_new(self, *_: object) -> None:
        self.saving = True

    def _temporary(self, feature_id: int) -> None:
        self._last = feature_id

    def _lasting(self, feature_id: int) -> None:
        if self.saving:
            self._new[self._last] = feature_id

    def _end(self) -> None:
        self.saving = False
        if self._before is not None:
            self._packed.start()
        else:
            self._tell(self._new)

    def _find_again(self) -> None:
        self._packed.stop()
        before, self._before = self._before, None
        if before is None or sip.isdeleted(self._layer):
            return
        there = Outlines(self._layer.getFeatures(QgsFeatureRequest().setNoAttributes()))
        now: dict[int, Optional[int]] = dict.fromkeys(self._deleted)
        now.update((each, there.take(before[each])) for each in sorted(before))
        self._tell(now)

    def _tell(self, now: dict[int, Optional[int]]) -> None:
        others = {before: after for before, after in now.items() if before != after}
        if others:
            self.changed.emit(others)
