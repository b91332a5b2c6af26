# SPDX-License-Identifier: GPL-2.0-or-later
"""The review of an update: what is accepted changes the old layer, in its own edit buffer.

The decision in the layer of changes leads: where it becomes "accepted" the old feature gets the new
outline (or goes, or a new one comes), and where it is taken back, by a key or by QGIS's undo, the
old feature is what it was. Attributes and ids stay, but for area and perimeter, which are those of
the outline.
"""

from __future__ import annotations

from typing import Any, Optional

from qgis.core import (
    QgsFeature,
    QgsFeatureRequest,
    QgsGeometry,
    QgsVectorLayer,
    QgsVectorLayerUtils,
)
from qgis.PyQt import sip

from ..i18n import tr
from . import editing, feature_ids, field_mapping, target
from .changes_layer import DECISION, NOTHING, layer_before, old_id_of, values_before
from .decisions import ACCEPTED
from .doubt import text_of
from .editing import EditError
from .old_polygons import OldPolygons
from .tidy import iou


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
        self._outlines = layer_before(changes)
        self.polygons = OldPolygons(changes, old, self._outlines)

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
        return self.polygons.in_changes_crs(kept.geometry())

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
        if status in NOTHING or not change.hasGeometry():
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
        self.polygons.saved(ids)

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
            editing.fitted(self.old, self.polygons.shape_of(change)),
            {index: value for index, value in values.items() if index not in keys},
        )
        editing.measure(self.old, [made])
        broken = target.broken_constraints(self.old, made)
        if broken:
            raise target.FormWanted(self.old, [made], broken)
        with editing.command(self.old, _title(change)):
            self._must(editing.add(self.old, made))
        self._made[change.id()] = made.id()

    def _remove(self, change: QgsFeature, was_accepted: bool) -> None:
        found = self._new_feature(change)
        if found is not None:
            filled = self.old.getFeature(found)
            with editing.command(self.old, tr("Update taken back")):
                self._must(self.old.deleteFeature(found))
            self._filled[change.id()] = filled
        elif was_accepted and not self._undone_together():
            raise EditError(
                tr(
                    "{layer} has no polygon with the outline of this new object: if you have "
                    "changed it since, delete it there by hand."
                ).format(layer=self.old.name())
            )

    def _undone_together(self) -> bool:
        """An undo of the decision takes the change of the old layer back, too: both are in one
        transaction."""
        transaction = self.old.dataProvider().transaction()
        return transaction is not None and transaction == self.changes.dataProvider().transaction()

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
        shape = self.polygons.shape_of(change)
        goes = text_of(change["status"]) == "gone" or any(
            self._is_drawn(other) for other in self._merged_with(change)
        )
        if now is None:
            if goes and (was_accepted or self._is_gone(change)):
                return
            raise EditError(
                tr("{layer} has no feature {id} any more; the change is left out.").format(
                    layer=self.old.name(), id=old_id_of(change)
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
        old_id = old_id_of(change)
        if old_id is None:
            return False
        buffer, now = self.old.editBuffer(), self.polygons.id_now(old_id)
        if buffer is not None and now is not None and buffer.isFeatureDeleted(now):
            return True
        by_id = old_id >= 0 and not feature_ids.renumbers(self.old)
        return by_id and not self.old.subsetString()

    def _redraw(self, change: QgsFeature, now: QgsFeature) -> None:
        """The old layer's feature gets the outline of a change."""
        shape, before = self.polygons.shape_of(change), now.geometry()
        if feature_ids.alike(before, shape):
            return
        with editing.command(self.old, _title(change)):
            fitted = editing.fitted(self.old, shape, before)
            self._draw(now.id(), fitted, field_mapping.measures(self.old, fitted))

    def _draw(self, feature_id: int, shape: QgsGeometry, measures: dict[int, Any]) -> None:
        """Within a command: another outline with its measures, by their fields; these stay where
        the layer lets no values be changed."""
        self._must(self.old.changeGeometry(feature_id, shape))
        for index, value in measures.items():
            self.old.changeAttributeValue(feature_id, index, value)

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
                self._restore(change, kept)
            elif not feature_ids.alike(now.geometry(), kept.geometry()):
                shape, were = kept.geometry(), self._values(kept)
                measures = field_mapping.measures(self.old, shape)
                self._draw(now.id(), shape, {k: were.get(k, v) for k, v in measures.items()})
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
            shape = editing.fitted(self.old, self.polygons.shape_of(change), kept.geometry())
            self._restore(change, kept, shape)
        self._kept[change.id()] = kept

    def _restore(
        self, change: QgsFeature, kept: QgsFeature, shape: Optional[QgsGeometry] = None
    ) -> None:
        """Within a command: add an old feature anew.

        Its id is among its attributes, and comes back when the layer is saved.

        Args:
            change: What became of it.
            kept: The feature as it was.
            shape: Another outline than its own.
        """
        feature = QgsFeature(self.old.fields())
        for index, value in self._values(kept).items():
            feature.setAttribute(index, value)
        feature.setGeometry(kept.geometry() if shape is None else shape)
        if shape is not None:
            editing.measure(self.old, [feature])
        self._must(editing.add(self.old, feature))
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
            return [self.polygons.shape_of(change)]
        drawn = self.polygons.in_old_crs(self._drawn[change.id()])
        return [self.polygons.shape_of(change), drawn]

    def _old_feature(self, change: QgsFeature) -> Optional[QgsFeature]:
        return self.polygons.of(change, self._made.get(change.id()))

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
                ).format(id=old_id_of(change), layer=self.old.name())
            )
        return kept

    def _as_it_was(self, change: QgsFeature, now: Optional[QgsFeature]) -> Optional[QgsFeature]:
        """What was kept here, else what the next save overwrites, else what the engine kept."""
        old_id = old_id_of(change)
        if change.id() in self._kept or old_id is None:
            return self._kept.get(change.id())
        saved_id = self.polygons.id_now(old_id)
        saved = None if saved_id is None else self._saved(saved_id)
        if saved is not None and saved.hasGeometry():
            # After a save it is the polygon as it is now, or with the outline of the change.
            fresh = now is None or not feature_ids.alike(saved.geometry(), now.geometry())
            gone = text_of(change["status"]) == "gone"
            if fresh and (
                gone or not feature_ids.alike(saved.geometry(), self.polygons.shape_of(change))
            ):
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
        for index, value in values_before(found, self.old.fields()).items():
            kept.setAttribute(index, value)
        for key in self.old.primaryKeyAttributes():
            kept.setAttribute(key, old_id)
        shape = self.polygons.in_old_crs(found.geometry())
        drawn = None if now is None else now.geometry()
        kept.setGeometry(editing.fitted(self.old, shape, drawn))
        for index, value in field_mapping.measures(self.old, kept.geometry()).items():
            if not text_of(kept.attribute(index)):  # a field that was added or filled in since
                kept.setAttribute(index, value)
        return kept

    def _must(self, done: bool) -> None:
        if not done:
            raise EditError(tr("The layer {name} refuses the change.").format(name=self.old.name()))


def _title(change: QgsFeature) -> str:
    return tr("Update: {status}").format(status=text_of(change["status"]))


def _renamed(held: dict[int, Any], ids: dict[int, Optional[int]]) -> dict[int, Any]:
    """The same by other ids; what has none any more is left out."""
    renamed = ((ids.get(each, each), value) for each, value in held.items())
    return {each: value for each, value in renamed if each is not None}
