# SPDX-License-Identifier: GPL-2.0-or-later
"""Which polygons of the old layer an update's changes mean, whatever ids a save has given them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Optional

from qgis.core import (
    QgsCoordinateTransform,
    QgsFeature,
    QgsFeatureRequest,
    QgsGeometry,
    QgsProject,
    QgsVectorLayer,
)
from qgis.PyQt import sip

from . import editing, feature_ids, reading
from .changes_layer import AS_IT_WAS, DECISION, old_id_of
from .decisions import ACCEPTED
from .doubt import text_of

_MORE_THAN_HALF = 0.5
"""Two polygons that share no ground cannot both agree with a third one by more than this (IoU)."""


class OldPolygons:
    """The old layer's polygons by the changes that are about them.

    Args:
        changes: The layer of changes.
        old: The layer that is to be updated.
        outlines: The engine's layer of old outlines, where there is one.
    """

    def __init__(
        self, changes: QgsVectorLayer, old: QgsVectorLayer, outlines: Optional[QgsVectorLayer]
    ) -> None:
        self.changes = changes
        self.old = old
        self._outlines = outlines
        self._now: dict[int, Optional[int]] = {}
        """Ids that old polygons have now, by those that the changes name, where they are others;
        None where it is gone or not known. :meth:`find` finds them."""

    def saved(self, ids: dict[int, Optional[int]]) -> None:
        """A save has given features of the old layer other ids (``SavedIds.changed``)."""
        self._now = {
            named: each if each is None else ids.get(each, each)
            for named, each in self._now.items()
        }

    def id_now(self, old_id: int) -> Optional[int]:
        """The id that an old polygon has now; None where it is gone or not known."""
        return self._now.get(old_id, old_id)

    def find(self) -> Iterator[None]:
        """Know which old polygons the changes name; yields often.

        The old layer may have been saved since the changes were found. Where its file has been
        numbered anew, or the polygon was not saved then, it is known by its outline: as it was,
        where that is known, else the change's, and at last the one that shares most ground with it.

        Raises:
            ReadError: One of the layers could not be read as a whole.
        """
        self._now = {}
        if not feature_ids.renumbers(self.old) and not self._names_unsaved():
            return
        for _ in self._find_old():
            yield
            if sip.isdeleted(self.old):
                return

    def _find_old(self) -> Iterator[None]:
        there: dict[int, QgsGeometry] = {}
        request = QgsFeatureRequest().setNoAttributes()
        for each in reading.features(self.old, request, self.old.dataProvider()):
            there[each.id()] = each.geometry()
            yield
        buffer = self.old.editBuffer()
        if buffer is not None:
            there.update(buffer.changedGeometries())
            there.update((k, each.geometry()) for k, each in buffer.addedFeatures().items())
        there = {k: shape for k, shape in there.items() if not shape.isNull()}
        shapes: dict[Optional[int], QgsGeometry] = {}
        for each in () if self._outlines is None else reading.features(self._outlines):
            if each.hasGeometry():
                shapes[old_id_of(each)] = self.shape_of(each)
            yield
        changes: list[QgsFeature] = []
        of_old: dict[int, QgsFeature] = {}
        for each in reading.features(self.changes):
            if each.hasGeometry():
                changes.append(each)
                old_id = old_id_of(each)
                if old_id is not None:
                    of_old[old_id] = each
            yield
        if not feature_ids.renumbers(self.old):  # saved ones have kept their ids
            lasting = {each for each in of_old if each >= 0}
            changes = [each for each in changes if old_id_of(each) not in lasting]
            of_old = {each: change for each, change in of_old.items() if each < 0}
            there = {each: shape for each, shape in there.items() if each not in lasting}
        as_named = True
        for old_id, each in of_old.items():
            as_named = as_named and self._is_there(each, there.get(old_id), shapes.get(old_id))
            yield
        if as_named:
            self._now = {each: each for each in of_old}
            buffer = self.old.editBuffer()  # another one, perhaps: much time has passed
            for each in [] if buffer is None else buffer.deletedFeatureIds():
                if each in of_old:
                    self._now[each] = self._restored(there[each]) or each
            return
        outlines = feature_ids.Outlines()
        for each, shape in there.items():
            outlines.add(each, shape)
            yield
        found: dict[int, Optional[int]] = {}
        for change in changes:
            old_id, accepted = old_id_of(change), text_of(change[DECISION]) == ACCEPTED
            if accepted or old_id is not None:  # an accepted new object is nobody's old polygon
                found[change.id()] = outlines.take(self.shape_of(change))
            if found.get(change.id()) is None and old_id in shapes:
                found[change.id()] = outlines.take(shapes[old_id])
            yield
        for change in of_old.values():
            if found[change.id()] is None and text_of(change[DECISION]) != ACCEPTED:
                found[change.id()] = outlines.take(self.shape_of(change), _MORE_THAN_HALF)
            yield
        self._now = {old_id: found[each.id()] for old_id, each in of_old.items()}

    def _names_unsaved(self) -> bool:
        """Whether changes name polygons by ids of the edit buffer, as until a layer is saved."""
        request = QgsFeatureRequest().setFlags(QgsFeatureRequest.Flag.NoGeometry).setLimit(1)
        request.setFilterExpression('"old_fid" < 0')
        return next(reading.features(self.changes, request), None) is not None

    def _is_there(
        self, change: QgsFeature, found: Optional[QgsGeometry], before: Optional[QgsGeometry]
    ) -> bool:
        """Whether the feature of the id that a change names can be its old polygon.

        Args:
            change: The change.
            found: That feature's outline, as it is now.
            before: The old polygon's outline, where it is known.
        """
        if found is None:
            return False
        shape = self.shape_of(change)
        shapes = [shape] if before is None else [shape, before]
        known = before is not None or text_of(change["status"]) in AS_IT_WAS
        if not known and text_of(change[DECISION]) != ACCEPTED:
            # An id of the edit buffer is given again after a save.
            old_id = old_id_of(change)
            return old_id is None or old_id >= 0 or found.intersects(shape)
        return any(feature_ids.alike(found, shape) for shape in shapes)

    def _restored(self, saved: QgsGeometry) -> Optional[int]:
        """The id under which a polygon that the edit buffer has deleted was added anew."""
        buffer = self.old.editBuffer()
        added = {} if buffer is None else buffer.addedFeatures()
        alike = (k for k, each in added.items() if feature_ids.alike(each.geometry(), saved))
        return next(alike, None)

    def of(self, change: QgsFeature, made: Optional[int] = None) -> Optional[QgsFeature]:
        """The old polygon of a change as it is now, also where it was deleted and added anew.

        Args:
            change: The change.
            made: Under which id it was added anew, if that is known.
        """
        old_id = old_id_of(change)
        if old_id is None:
            return None
        for each in (made, self.id_now(old_id)):
            found = None if each is None else editing.feature_of(self.old, each)
            if found is not None:
                return found
        buffer, keys = self.old.editBuffer(), self.old.primaryKeyAttributes()
        added = () if buffer is None else buffer.addedFeatures().values()
        return next((f for f in added if any(f.attribute(key) == old_id for key in keys)), None)

    # --- from one layer's CRS to the other's ----------------------------------------------------

    def shape_of(self, change: QgsFeature) -> QgsGeometry:
        """A change's outline in the old layer's CRS."""
        return self.in_old_crs(change.geometry())

    def in_old_crs(self, geometry: QgsGeometry) -> QgsGeometry:
        """A copy of a shape of the layer of changes, in the old layer's CRS."""
        return _moved(geometry, self.changes, self.old)

    def in_changes_crs(self, geometry: QgsGeometry) -> QgsGeometry:
        """A copy of a shape of the old layer, in the CRS of the layer of changes."""
        return _moved(geometry, self.old, self.changes)


def _moved(geometry: QgsGeometry, here: QgsVectorLayer, there: QgsVectorLayer) -> QgsGeometry:
    shape = QgsGeometry(geometry)
    way = QgsCoordinateTransform(here.crs(), there.crs(), QgsProject.instance())
    shape.transform(way)
    return shape
