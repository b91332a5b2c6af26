# SPDX-License-Identifier: GPL-2.0-or-later
"""The review of an update: what is accepted changes the old layer, in its own edit buffer.

The decision in the layer of changes leads: where it becomes "accepted" the old feature gets the new
outline (or goes, or a new one comes), and where it is taken back, by a key or by QGIS's undo, the
old feature is what it was. Attributes and ids stay.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

from qgis.core import (
    QgsCoordinateTransform,
    QgsFeature,
    QgsFeatureRequest,
    QgsGeometry,
    QgsProject,
    QgsProviderRegistry,
    QgsVectorLayer,
    QgsVectorLayerUtils,
)
from qgis.PyQt import sip

from ..i18n import tr
from . import editing, feature_ids, target
from .doubt import text_of
from .editing import EditError
from .tidy import iou

ACCEPTED = "accepted"
DECISION = "review"
"""Field of the layer of changes for the decisions: ``status`` says what became of a polygon."""

_FIELDS = ("old_fid", "old_layer", "status", "probability", DECISION)

_LONGEST_IN_A_SHAPEFILE = 254
"""Bytes of a text; the rest is left out, a letter as a whole."""

_NOTHING = ("confirmed", "unseen")
_AS_IT_WAS = (*_NOTHING, "gone")
"""What became of polygons whose outline in the layer of changes is the old one."""

_MORE_THAN_HALF = 0.5
"""Two polygons that share no ground cannot both agree with a third one by more than this (IoU)."""


def is_update(layer: QgsVectorLayer) -> bool:
    """Whether a layer is what ``samgeo update`` has made."""
    names = {name.lower() for name in layer.fields().names()}
    return all(not names.isdisjoint((name, name[:10])) for name in _FIELDS)  # as in a Shapefile


def old_layer_of(layer: QgsVectorLayer) -> Optional[QgsVectorLayer]:
    """The project's layer that a layer of changes is about; None where it is not open.

    Of several layers of one file, the one that suits best.
    """
    feature = next((f for f in layer.getFeatures() if text_of(f["old_layer"])), None)
    if feature is None:
        return None
    said = text_of(feature["old_layer"])
    path, _, name = said.partition("|layername=")
    wanted = Path(path).resolve()
    found: list[QgsVectorLayer] = []
    moved: list[QgsVectorLayer] = []
    for other in QgsProject.instance().mapLayers().values():
        if not isinstance(other, QgsVectorLayer) or other.providerType() != "ogr":
            continue
        parts = QgsProviderRegistry.instance().decodeUri("ogr", other.source())
        own = str(parts.get("path") or "")
        file = Path(own).resolve()
        if len(said.encode()) > _LONGEST_IN_A_SHAPEFILE - 4 and (
            f"{own}|layername={parts.get('layerName') or file.stem}".startswith(said)
        ):
            found.append(other)
        elif str(parts.get("layerName") or name) != name:
            continue
        elif file == wanted:
            found.append(other)
        elif file.name == wanted.name and not wanted.exists():
            moved.append(other)  # both files have been moved since
    return max(found or moved, key=_suits, default=None)


def _suits(layer: QgsVectorLayer) -> tuple[bool, ...]:
    """How well a layer shows what the review does to its file, the most important first."""
    node = QgsProject.instance().layerTreeRoot().findLayer(layer.id())
    seen = node is not None and node.isVisible()
    return not layer.subsetString(), not layer.readOnly(), layer.isEditable(), seen


class UpdateReview:
    """Carries decisions over to the old layer.

    What was carried over is seen in the layers: a review may be ended and started again, and a
    save gives new features other ids.

    Args:
        changes: The layer of changes.
        old: The layer that is to be updated.
    """

    def __init__(self, changes: QgsVectorLayer, old: QgsVectorLayer) -> None:
        self.changes = changes
        self.old = old
        self._kept: dict[int, Optional[QgsFeature]] = {}
        """Old features before they were changed here, by the ids of the changes; None where that
        was saved over before this review began."""
        self._made: dict[int, int] = {}
        """Ids of features that were added to the old layer, by the ids of the changes."""
        self._filled: dict[int, QgsFeature] = {}
        """New objects that were taken back, with their values, by the ids of the changes."""
        self._drawn: dict[int, QgsGeometry] = {}
        """Outlines of accepted changes as the old layer has them, by the ids of the changes."""
        self._outlines = _layer_before(changes)
        self._now: dict[int, Optional[int]] = {}
        """Ids that old polygons have now, by those that the changes name, where they are others;
        None where it is gone or not known. :meth:`find_old` finds them."""

    def before(self, feature_id: int) -> Optional[QgsGeometry]:
        """The old outline of a change, in the CRS of the layer of changes."""
        if sip.isdeleted(self.old):
            return None
        change = self.changes.getFeature(feature_id)
        now = self._old_feature(change)
        untouched = now is not None and not self._has(now, change)
        kept = self._kept.get(feature_id)
        if kept is None and not untouched:
            kept = self._as_it_was(change, now)
        if kept is None:
            kept = now
        if kept is None:
            return None
        shape = QgsGeometry(kept.geometry())
        shape.transform(self._way(back=True))
        return shape

    def settle(self, feature_id: int, accepted: bool, was_accepted: bool) -> None:
        """Bring the old layer to where a decision wants it.

        Args:
            feature_id: Of the change.
            accepted: The decision.
            was_accepted: The decision before it.

        Raises:
            EditError: The old layer refuses the change, or it is not known how it was before.
            FormWanted: A new object needs values that only a person knows.
        """
        if sip.isdeleted(self.old):
            raise EditError(tr("The old layer has been removed from the project; open it again."))
        change = self.changes.getFeature(feature_id)
        status = text_of(change["status"])
        if status in _NOTHING or not change.hasGeometry():
            return
        if status == "new":
            settle = self._add if accepted else self._remove
        else:
            settle = self._apply if accepted else self._take_back
        settle(change, was_accepted)
        if accepted:
            self.taken_over(change)
        else:
            self._drawn.pop(feature_id, None)

    # --- what is known after a save, and in a later review --------------------------------------

    def taken_over(self, change: QgsFeature) -> None:
        """The old layer has this change as it is now."""
        self._drawn[change.id()] = change.geometry()

    def _is_as_accepted(self, change: QgsFeature) -> bool:
        """The change has not been corrected since it was accepted."""
        drawn = self._drawn.get(change.id())
        return drawn is None or drawn.equals(change.geometry())

    def saved(self, ids: dict[int, Optional[int]]) -> None:
        """A save has given changes other ids (``SavedIds.changed``)."""
        self._kept = _renamed(self._kept, ids)
        self._made = _renamed(self._made, ids)
        self._filled = _renamed(self._filled, ids)
        self._drawn = _renamed(self._drawn, ids)

    def old_saved(self, ids: dict[int, Optional[int]]) -> None:
        """A save has given features of the old layer other ids (``SavedIds.changed``)."""
        made = {change: ids.get(each, each) for change, each in self._made.items()}
        self._made = {change: each for change, each in made.items() if each is not None}
        self._now = {
            named: each if each is None else ids.get(each, each)
            for named, each in self._now.items()
        }

    def find_old(self) -> Iterator[None]:
        """Know which old polygons the changes name; yields often.

        The old layer may have been saved since the changes were found. Where its file has been
        numbered anew, or the polygon was not saved then, it is known by its outline: as it was,
        where that is known, else the change's, and at last the one that shares most ground with it.
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
        for each in self.old.dataProvider().getFeatures(request):
            there[each.id()] = each.geometry()
            yield
        buffer = self.old.editBuffer()
        if buffer is not None:
            there.update(buffer.changedGeometries())
            there.update((k, each.geometry()) for k, each in buffer.addedFeatures().items())
        there = {k: shape for k, shape in there.items() if not shape.isNull()}
        shapes: dict[Optional[int], QgsGeometry] = {}
        for each in () if self._outlines is None else self._outlines.getFeatures():
            if each.hasGeometry():
                shapes[self._old_id(each)] = self._shape(each)
            yield
        changes: list[QgsFeature] = []
        of_old: dict[int, QgsFeature] = {}
        for each in self.changes.getFeatures():
            if each.hasGeometry():
                changes.append(each)
                old_id = self._old_id(each)
                if old_id is not None:
                    of_old[old_id] = each
            yield
        if not feature_ids.renumbers(self.old):  # saved ones have kept their ids
            lasting = {each for each in of_old if each >= 0}
            changes = [each for each in changes if self._old_id(each) not in lasting]
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
            old_id, accepted = self._old_id(change), text_of(change[DECISION]) == ACCEPTED
            if accepted or old_id is not None:  # an accepted new object is nobody's old polygon
                found[change.id()] = outlines.take(self._shape(change))
            if found.get(change.id()) is None and old_id in shapes:
                found[change.id()] = outlines.take(shapes[old_id])
            yield
        for change in of_old.values():
            if found[change.id()] is None and text_of(change[DECISION]) != ACCEPTED:
                found[change.id()] = outlines.take(self._shape(change), _MORE_THAN_HALF)
            yield
        self._now = {old_id: found[each.id()] for old_id, each in of_old.items()}

    def _names_unsaved(self) -> bool:
        """Whether changes name polygons by ids of the edit buffer, as until a layer is saved."""
        request = QgsFeatureRequest().setFlags(QgsFeatureRequest.Flag.NoGeometry).setLimit(1)
        request.setFilterExpression('"old_fid" < 0')
        return next(self.changes.getFeatures(request), None) is not None

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
        shapes = [self._shape(change)] if before is None else [self._shape(change), before]
        known = before is not None or text_of(change["status"]) in _AS_IT_WAS
        if not known and text_of(change[DECISION]) != ACCEPTED:
            # An id of the edit buffer is given again after a save.
            old_id = self._old_id(change)
            return old_id is None or old_id >= 0 or found.intersects(shapes[0])
        return any(feature_ids.alike(found, shape) for shape in shapes)

    def _restored(self, saved: QgsGeometry) -> Optional[int]:
        """The id under which a polygon that the edit buffer has deleted was added anew."""
        buffer = self.old.editBuffer()
        added = {} if buffer is None else buffer.addedFeatures()
        alike = (k for k, each in added.items() if feature_ids.alike(each.geometry(), saved))
        return next(alike, None)

    # --- new objects ----------------------------------------------------------------------------

    def _add(self, change: QgsFeature, was_accepted: bool) -> None:
        found = self._new_feature(change)
        if found is not None:
            if not self._is_as_accepted(change):
                self._redraw(change, self.old.getFeature(found))
            return
        filled, keys = self._filled.get(change.id()), self.old.primaryKeyAttributes()
        values = {} if filled is None else self._values(filled)
        made = QgsVectorLayerUtils.createFeature(
            self.old,
            editing.fitted(self.old, self._shape(change)),
            {index: value for index, value in values.items() if index not in keys},
        )
        broken = target.broken_constraints(self.old, made)
        if broken:
            raise target.FormWanted(self.old, [made], broken)
        with editing.command(self.old, _title(change)):
            self._must(self.old.addFeature(made))
        self._made[change.id()] = made.id()

    def _remove(self, change: QgsFeature, was_accepted: bool) -> None:
        found = self._new_feature(change)
        if found is not None:
            filled = self.old.getFeature(found)
            with editing.command(self.old, tr("Update taken back")):
                self._must(self.old.deleteFeature(found))
            self._filled[change.id()] = filled
        elif was_accepted:
            raise EditError(
                tr(
                    "{layer} has no polygon with the outline of this new object: if you have "
                    "changed it since, delete it there by hand."
                ).format(layer=self.old.name())
            )

    def _new_feature(self, change: QgsFeature) -> Optional[int]:
        """The old layer's feature that a new object has become."""
        made = self._made.get(change.id())
        if made is not None and editing.feature_of(self.old, made) is not None:
            return made
        for shape in self._shapes(change):
            request = QgsFeatureRequest().setFilterRect(shape.boundingBox()).setNoAttributes()
            near = (each for each in self.old.getFeatures(request) if each.hasGeometry())
            found = next(
                (each.id() for each in near if feature_ids.alike(each.geometry(), shape)), None
            )
            if found is not None:
                return found
        return None

    # --- old polygons ---------------------------------------------------------------------------

    def _apply(self, change: QgsFeature, was_accepted: bool) -> None:
        now = self._old_feature(change)
        shape = self._shape(change)
        goes = text_of(change["status"]) == "gone" or any(
            self._is_drawn(other) for other in self._merged_with(change)
        )
        if now is None:
            if goes and (was_accepted or self._is_gone(change)):
                return
            raise EditError(
                tr("{layer} has no feature {id} any more; the change is left out.").format(
                    layer=self.old.name(), id=self._old_id(change)
                )
            )
        if not goes and feature_ids.alike(now.geometry(), shape):
            return
        kept = self._as_it_was(change, now) if was_accepted else None
        if kept is None and not (was_accepted and self._has(now, change)):
            kept = now
        if goes:
            with editing.command(self.old, _title(change)):
                self._must(self.old.deleteFeature(now.id()))
        else:
            self._redraw(change, now)
        self._kept.setdefault(change.id(), kept)

    def _is_gone(self, change: QgsFeature) -> bool:
        """Whether an old polygon that is not found was deleted for certain, by whomever."""
        old_id = self._old_id(change)
        if old_id is None:
            return False
        buffer, now = self.old.editBuffer(), self._now.get(old_id, old_id)
        if buffer is not None and now is not None and buffer.isFeatureDeleted(now):
            return True
        by_id = old_id >= 0 and not feature_ids.renumbers(self.old)
        return by_id and not self.old.subsetString()

    def _redraw(self, change: QgsFeature, now: QgsFeature) -> None:
        """The old layer's feature gets the outline of a change."""
        shape, before = self._shape(change), now.geometry()
        if feature_ids.alike(before, shape):
            return
        with editing.command(self.old, _title(change)):
            fitted = editing.fitted(self.old, shape, before)
            self._must(self.old.changeGeometry(now.id(), fitted))

    def _take_back(self, change: QgsFeature, was_accepted: bool) -> None:
        now, status = self._old_feature(change), text_of(change["status"])
        drawn = now is not None and self._has(now, change)
        if now is None:
            done = was_accepted and status in ("gone", "merged")  # others are not deleted here
        else:
            done = status != "gone" and (drawn or was_accepted)
        if not done:
            return
        kept = self._known(change, now)
        with editing.command(self.old, tr("Update taken back")):
            if now is None:
                self._restore(change, kept, kept.geometry())
            elif not feature_ids.alike(now.geometry(), kept.geometry()):
                self._must(self.old.changeGeometry(now.id(), kept.geometry()))
        self._kept.pop(change.id(), None)
        others = self._merged_with(change) if drawn else []
        if others and not any(self._is_drawn(other) for other in others):
            self._inherit(others[0])

    def _inherit(self, change: QgsFeature) -> None:
        """What was merged away gets the outline that its partner has given up."""
        if self._old_feature(change) is not None:
            self._apply(change, True)
            return
        kept = self._known(change, None)
        with editing.command(self.old, _title(change)):
            shape = editing.fitted(self.old, self._shape(change), kept.geometry())
            self._restore(change, kept, shape)
        self._kept[change.id()] = kept

    def _restore(self, change: QgsFeature, kept: QgsFeature, shape: QgsGeometry) -> None:
        """Within a command: add an old feature anew.

        Its id is among its attributes, and comes back when the layer is saved.
        """
        feature = QgsFeature(self.old.fields())
        for index, value in self._values(kept).items():
            feature.setAttribute(index, value)
        feature.setGeometry(shape)
        self._must(self.old.addFeature(feature))
        self._made[change.id()] = feature.id()

    def _values(self, kept: QgsFeature) -> dict[int, Any]:
        """Of a feature from elsewhere or from before, by the old layer's fields."""
        places = {
            index: kept.fields().lookupField(field.name())
            for index, field in enumerate(self.old.fields())
        }
        return {index: kept.attribute(place) for index, place in places.items() if place >= 0}

    def _merged_with(self, change: QgsFeature) -> list[QgsFeature]:
        """The other accepted changes that have become one polygon with this one."""
        if text_of(change["status"]) != "merged":
            return []
        request = QgsFeatureRequest().setFilterRect(change.geometry().boundingBox())
        return [
            other
            for other in self.changes.getFeatures(request)
            if other.id() != change.id()
            and text_of(other["status"]) == "merged"
            and text_of(other[DECISION]) == ACCEPTED
            and iou(other.geometry(), change.geometry()) >= target.SAME
        ]

    def _is_drawn(self, change: QgsFeature) -> bool:
        """Whether the old polygon has the outline of a change."""
        now = self._old_feature(change)
        return now is not None and self._has(now, change)

    def _has(self, now: QgsFeature, change: QgsFeature) -> bool:
        """Whether a feature has the outline of a change, as it is or as it was accepted."""
        return any(feature_ids.alike(now.geometry(), shape) for shape in self._shapes(change))

    def _shapes(self, change: QgsFeature) -> list[QgsGeometry]:
        """A change's outline, and the one that it was accepted with where that is another one."""
        if self._is_as_accepted(change):
            return [self._shape(change)]
        return [self._shape(change), self._in_old_crs(self._drawn[change.id()])]

    def _old_feature(self, change: QgsFeature) -> Optional[QgsFeature]:
        """The old polygon of a change as it is now, also where it was deleted and added anew."""
        old_id = self._old_id(change)
        if old_id is None:
            return None
        for each in (self._made.get(change.id()), self._now.get(old_id, old_id)):
            found = None if each is None else editing.feature_of(self.old, each)
            if found is not None:
                return found
        buffer, keys = self.old.editBuffer(), self.old.primaryKeyAttributes()
        added = () if buffer is None else buffer.addedFeatures().values()
        return next((f for f in added if any(f.attribute(key) == old_id for key in keys)), None)

    def _known(self, change: QgsFeature, now: Optional[QgsFeature]) -> QgsFeature:
        """The old polygon of a change as it was before.

        Raises:
            EditError: It is not known.
        """
        kept = self._as_it_was(change, now)
        if kept is None:
            raise EditError(
                tr(
                    "How feature {id} of {layer} was before the update is not known any more; "
                    "change it there by hand."
                ).format(id=self._old_id(change), layer=self.old.name())
            )
        return kept

    def _as_it_was(self, change: QgsFeature, now: Optional[QgsFeature]) -> Optional[QgsFeature]:
        """What was kept here, else what the next save overwrites, else what the engine kept."""
        old_id = self._old_id(change)
        if change.id() in self._kept or old_id is None:
            return self._kept.get(change.id())
        saved_id = self._now.get(old_id, old_id)
        saved = None if saved_id is None else self._saved(saved_id)
        if saved is not None and saved.hasGeometry():
            # After a save it is the polygon as it is now, or with the outline of the change.
            fresh = now is None or not feature_ids.alike(saved.geometry(), now.geometry())
            gone = text_of(change["status"]) == "gone"
            if fresh and (gone or not feature_ids.alike(saved.geometry(), self._shape(change))):
                return saved
        return None if self._outlines is None else self._from_outlines(self._outlines, old_id, now)

    def _saved(self, feature_id: int) -> Optional[QgsFeature]:
        return next(self.old.dataProvider().getFeatures(QgsFeatureRequest(feature_id)), None)

    def _from_outlines(
        self, outlines: QgsVectorLayer, old_id: int, now: Optional[QgsFeature]
    ) -> Optional[QgsFeature]:
        request = QgsFeatureRequest().setFilterExpression(f'"old_fid" = {old_id}')
        found = next(outlines.getFeatures(request), None)
        if found is None or not found.hasGeometry():
            return None
        kept = QgsFeature(self.old.fields())
        for index, value in self._values(found).items():
            kept.setAttribute(index, value)
        for key in self.old.primaryKeyAttributes():
            kept.setAttribute(key, old_id)
        shape = QgsGeometry(found.geometry())
        shape.transform(self._way())
        drawn = None if now is None else now.geometry()
        kept.setGeometry(editing.fitted(self.old, shape, drawn))
        return kept

    def _shape(self, change: QgsFeature) -> QgsGeometry:
        """What stands there now, in the old layer's CRS."""
        return self._in_old_crs(change.geometry())

    def _in_old_crs(self, geometry: QgsGeometry) -> QgsGeometry:
        shape = QgsGeometry(geometry)
        shape.transform(self._way())
        return shape

    def _must(self, done: bool) -> None:
        if not done:
            raise EditError(tr("The layer {name} refuses the change.").format(name=self.old.name()))

    @staticmethod
    def _old_id(change: QgsFeature) -> Optional[int]:
        try:
            return int(change["old_fid"])
        except (TypeError, ValueError):
            return None

    def _way(self, back: bool = False) -> QgsCoordinateTransform:
        ends = (self.changes.crs(), self.old.crs())
        return QgsCoordinateTransform(*(ends[::-1] if back else ends), QgsProject.instance())


def _layer_before(changes: QgsVectorLayer) -> Optional[QgsVectorLayer]:
    """The engine's layer of old outlines beside a layer of changes; None where there is none."""
    if changes.providerType() != "ogr":
        return None
    parts = QgsProviderRegistry.instance().decodeUri("ogr", changes.source())
    name = f"{parts.get('layerName')}_before"
    layer = QgsVectorLayer(f"{parts.get('path')}|layername={name}", name, "ogr")
    return layer if layer.isValid() and layer.fields().lookupField("old_fid") >= 0 else None


def _title(change: QgsFeature) -> str:
    return tr("Update: {status}").format(status=text_of(change["status"]))


def _renamed(held: dict[int, Any], ids: dict[int, Optional[int]]) -> dict[int, Any]:
    """The same by other ids; what has none any more is left out."""
    renamed = ((ids.get(each, each), value) for each, value in held.items())
    return {each: value for each, value in renamed if each is not None}
