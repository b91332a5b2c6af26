# SPDX-License-Identifier: GPL-2.0-or-later
"""Ids of features across a save: new features get other ids, and in some files old ones do, too.

A Shapefile is packed once something was deleted in it, and a GeoJSON file numbers its features by
their order: what was behind a deleted feature gets another number, and the order stays. Other files
(a FlatGeobuf) are ordered anew at each save; nothing but outlines says which feature is which.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from typing import Optional

from qgis.core import (
    QgsFeatureRequest,
    QgsGeometry,
    QgsSpatialIndex,
    QgsVectorLayer,
)
from qgis.PyQt import sip
from qgis.PyQt.QtCore import QObject, pyqtSignal

from . import reading
from .in_steps import InSteps
from .tidy import iou

_WITH_KEYS = frozenset({"GPKG", "SQLite", "ESRI FileGDB", "OpenFileGDB", "MSSQLSpatial", "MySQL"})
"""Formats (GDAL's drivers) in which a feature keeps its id for good."""

_SHAPEFILE, _GEOJSON = "ESRI Shapefile", "GeoJSON"
"""Formats in which features keep their order, and their ids as long as none is deleted."""

ALIKE = 0.9999
"""IoU of an outline and itself, written to a file and read again."""


def renumbers(layer: QgsVectorLayer) -> bool:
    """Whether a save may give other ids to features that were in the file already."""
    return _is_file(layer) and layer.dataProvider().storageType() not in _WITH_KEYS


def alike(one: QgsGeometry, other: QgsGeometry) -> bool:
    """Whether two outlines are the same one; a text file and a change of the CRS round."""
    same = one.equals(other) or one.isGeosEqual(other)
    return bool(same or iou(one, other) >= ALIKE or _same_vertices(one, other))


def _same_vertices(one: QgsGeometry, other: QgsGeometry) -> bool:
    """Likewise of polygons that cross themselves or have no area, for which there is no IoU."""
    if one.isNull() or other.isNull():
        return False
    if one.constGet().nCoordinates() != other.constGet().nCoordinates():
        return False
    box = one.boundingBox()
    near = (1 - ALIKE) * max(box.width(), box.height())
    pairs = zip(one.vertices(), other.vertices())  # noqa: B905 - Python 3.9
    return all(p.distance(q) <= near for p, q in pairs)


class Outlines:
    """Features that are found by their outlines, each one once; the least id first."""

    def __init__(self) -> None:
        self._left: dict[int, QgsGeometry] = {}
        self._exact: dict[bytes, list[int]] = {}
        self._near = QgsSpatialIndex()

    def add(self, feature_id: int, shape: QgsGeometry) -> None:
        self._left[feature_id] = shape
        heappush(self._exact.setdefault(_bytes(shape), []), feature_id)
        self._near.addFeature(feature_id, shape.boundingBox())

    def take(self, shape: QgsGeometry, least: float = ALIKE) -> Optional[int]:
        """The id of the feature with an outline; None where there is none, or it was taken.

        Args:
            shape: The outline.
            least: IoU with it from which on a feature has it; of several, the best one is taken.
        """
        exact = self._exact.get(_bytes(shape), [])
        while exact:
            each = heappop(exact)
            if self._left.pop(each, None) is not None:
                return each
        near = (each for each in self._near.intersects(shape.boundingBox()) if each in self._left)
        found = max(((iou(self._left[each], shape), -each) for each in near), default=(0.0, 0))
        if found[0] < least:
            return None
        del self._left[-found[1]]
        return -found[1]


def _bytes(shape: QgsGeometry) -> bytes:
    return bytes(shape.asWkb())


def unfiltered(layer: QgsVectorLayer) -> QgsVectorLayer:
    """What a layer shows without its filter; the layer itself where it has none that can go.

    A file is opened anew: a copy of the layer would count first what its filter lets through. Of a
    database whose transaction is open, the filter cannot go.
    """
    if not layer.subsetString():
        return layer
    bare, is_file = layer.source().replace(f"|subset={layer.subsetString()}", ""), _is_file(layer)
    if is_file and bare != layer.source():
        whole = _opened(layer, bare)
        if whole.isValid():
            return whole
    if reading.in_transaction(layer) and not is_file:
        return layer  # another connection to a database may wait for this one's lock, for ever
    whole = layer.clone()
    return whole if whole.setSubsetString("") else layer


def as_saved(layer: QgsVectorLayer) -> QgsVectorLayer:
    """A layer whose provider reads what is saved, through the filter; the layer itself, but for a
    file's in a transaction, which shows what is not saved, too."""
    if reading.in_transaction(layer) and _is_file(layer):
        opened = _opened(layer, layer.source())
        if opened.isValid():
            return opened
    return layer


def _is_file(layer: QgsVectorLayer) -> bool:
    return layer.providerType() == "ogr"


def _opened(layer: QgsVectorLayer, source: str) -> QgsVectorLayer:
    options = QgsVectorLayer.LayerOptions()
    options.loadDefaultStyle, options.skipCrsValidation = False, True
    return QgsVectorLayer(source, layer.name(), "ogr", options)


class SavedIds(QObject):
    """Tells which ids a layer's features have got by a save: one a layer, see :meth:`of`.

    Args:
        layer: The layer, which owns it.
    """

    changed = pyqtSignal(object)
    """Ids after the save by those before it: of features that have others now, and None for those
    that are in the file no longer."""

    def __init__(self, layer: QgsVectorLayer) -> None:
        super().__init__(layer)
        self.layer_id = layer.id()
        self._layer = layer
        self._deleted: set[int] = set()
        self._ids: Optional[list[int]] = None
        """Ids in the file before a save after which their order tells the new ones."""
        self._before: Optional[dict[int, QgsGeometry]] = None
        """Outlines before a save after which nothing else tells the new ids."""
        self.saving = False
        """New features get their ids: the layer says of each that it was deleted and added."""
        self._new: dict[int, int] = {}
        """What they have got, by their ids in the edit buffer."""
        self._last = 0
        """The id of which the layer said last that it was deleted."""
        self._packs_later = False
        """Newer versions of QGIS (3.40) pack a Shapefile when its editing ends, not at a save."""
        self._finding = InSteps(self)
        """Reads the file after the last signal of its save, when it has been written anew."""
        for signal, slot in self._signals():
            signal.connect(slot)

    @classmethod
    def of(cls, layer: QgsVectorLayer, slot: Callable[[dict], None]) -> SavedIds:
        """The one of a layer, which tells a slot from now on, until it is told to :meth:`leave`."""
        found = layer.findChild(cls) or cls(layer)
        found.catch_up()  # who comes after a save knows the ids of it
        found.changed.connect(slot)
        return found

    def leave(self, slot: Callable[[dict], None]) -> None:
        """Tell a slot no longer; the layer is not listened to for nobody."""
        if sip.isdeleted(self) or sip.isdeleted(self._layer):
            return
        self.changed.disconnect(slot)
        if self.receivers(self.changed) == 0:
            self._finding.stop()
            for signal, own in self._signals():
                signal.disconnect(own)
            self.setParent(None)
            self.deleteLater()

    def _signals(self) -> tuple:
        layer = self._layer
        return (
            (layer.beforeCommitChanges, self._begin),
            (layer.committedFeaturesAdded, self._begin_new),
            (layer.featureDeleted, self._temporary),
            (layer.featureAdded, self._lasting),
            (layer.afterCommitChanges, self._end),
            (layer.editingStopped, self._stopped),
        )

    @property
    def finding(self) -> bool:
        """The ids after a save are not known yet."""
        return self._finding.busy

    def catch_up(self) -> None:
        """After a save, before an id is used: a key may come before the file has been read."""
        if not sip.isdeleted(self):
            self._finding.finish()

    def _begin(self, stops: bool = True) -> None:
        self.catch_up()  # two saves in one go
        layer, kind = self._layer, self._layer.dataProvider().storageType()
        self.saving, self._ids, self._before, self._new = False, None, None, {}
        self._deleted = set(layer.editBuffer().deletedFeatureIds())
        is_query = layer.subsetString().lstrip().lower().startswith("select")
        in_order = kind in (_SHAPEFILE, _GEOJSON) and not is_query
        if not renumbers(layer) or (in_order and not self._deleted):
            return
        if not in_order:
            request = QgsFeatureRequest().setNoAttributes()
            features = (each for each in layer.getFeatures(request) if each.hasGeometry())
            self._before = {each.id(): each.geometry() for each in features}
            return
        if kind == _SHAPEFILE:
            self._packs_later = not stops
            self._ids = sorted({*self._ids_in_file(), *self._deleted})
        else:
            whole = unfiltered(layer)
            self._ids = list(range(whole.dataProvider().featureCount()))

    def _ids_in_file(self) -> list[int]:
        whole = unfiltered(self._layer)
        return sorted(each for each in whole.allFeatureIds() if each >= 0)

    def _begin_new(self, *_: object) -> None:
        self.saving = True

    def _temporary(self, feature_id: int) -> None:
        self._last = feature_id

    def _lasting(self, feature_id: int) -> None:
        if self.saving:
            self._new[self._last] = feature_id

    def _end(self) -> None:
        self.saving = False
        now: dict[int, Optional[int]] = dict(self._new)
        if self._ids is None and self._before is None:
            self._tell(now)
            return
        now.update(dict.fromkeys(self._deleted))
        by_outline = self._before is not None
        work = self._find_by_outline(now) if by_outline else self._find_by_order(now)
        self._finding.start(work, lambda: self._tell(now))

    def _stopped(self) -> None:
        """Editing ends, at which a Shapefile may be packed although nothing is saved."""
        packs, self._packs_later = self._packs_later, False
        if not packs:
            return
        self.catch_up()
        ids = self._ids_in_file()
        if ids != list(range(len(ids))):
            self._ids, self._deleted, self._new = ids, set(), {}
            now: dict[int, Optional[int]] = {}
            self._finding.start(self._find_by_order(now), lambda: self._tell(now))

    def _find_by_order(self, now: dict[int, Optional[int]]) -> Iterator[None]:
        """Fill in what is known by the order of the ids; yields often."""
        request = QgsFeatureRequest().setNoAttributes()
        request.setFlags(request.flags() | QgsFeatureRequest.Flag.NoGeometry)
        found, whole = [], unfiltered(self._layer)
        for feature in whole.dataProvider().getFeatures(request):
            found.append(feature.id())
            yield
        found.sort()
        before = self._ids or []
        if self._layer.dataProvider().storageType() == _GEOJSON:
            numbered = found == list(range(len(found))) and self._deleted.issubset(before)
            if not numbered:
                return  # its features bring ids of their own, which stay
        order = [each for each in before if each not in self._deleted]
        order += sorted(self._new, key=self._new.__getitem__)
        # New ones come behind the others, or fill the numbers of deleted ones in a GeoJSON file.
        free = sorted(self._deleted)[: len(self._new)]
        if free and sorted(self._new.values())[: len(free)] == free:
            order.sort(key=lambda each: self._new.get(each, each))
        yield
        known = len(found) == len(order)  # else somebody else has changed the file
        now.update(zip(order, found) if known else dict.fromkeys(order))  # noqa: B905 - Python 3.9

    def _find_by_outline(self, now: dict[int, Optional[int]]) -> Iterator[None]:
        """Fill in what is known by its outline; yields often."""
        before, there = self._before or {}, Outlines()
        request = QgsFeatureRequest().setNoAttributes()
        for feature in self._layer.dataProvider().getFeatures(request):
            if feature.hasGeometry():
                there.add(feature.id(), feature.geometry())
            yield
        for each in sorted(before):
            now[each] = there.take(before[each])
            yield

    def _tell(self, now: dict[int, Optional[int]]) -> None:
        self._ids = self._before = None
        others = {before: after for before, after in now.items() if before != after}
        if others:
            self.changed.emit(others)
