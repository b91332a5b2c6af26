# SPDX-License-Identifier: GPL-2.0-or-later
"""The review of an update: what is accepted changes the old layer, in its own edit buffer.

The decision in the layer of changes leads: where it becomes "accepted" the old feature gets the new
outline (or goes, or a new one comes), and where it is taken back, by a key or by QGIS's undo, the
old feature is what it was. Attributes and ids stay.
"""

from __future__ import annotations

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
from . import editing, target
from .doubt import text_of
from .editing import EditError
from .tidy import iou

ACCEPTED = "accepted"
DECISION = "review"
"""Field of the layer of changes for the decisions: ``status`` says what became of a polygon."""

_FIELDS = ("old_fid", "old_layer", "status", "probability", DECISION)

_NOTHING = ("confirmed", "unseen")


def is_update(layer: QgsVectorLayer) -> bool:
    """Whether a layer is what ``samgeo update`` has made."""
    fields = layer.fields()
    return all(fields.lookupField(name) >= 0 for name in _FIELDS)


def old_layer_of(layer: QgsVectorLayer) -> Optional[QgsVectorLayer]:
    """The project's layer that a layer of changes is about; None where it is not open."""
    feature = next((f for f in layer.getFeatures() if text_of(f["old_layer"])), None)
    if feature is None:
        return None
    path, _, name = text_of(feature["old_layer"]).partition("|layername=")
    wanted = Path(path).resolve()
    moved: Optional[QgsVectorLayer] = None
    for other in QgsProject.instance().mapLayers().values():
        if not isinstance(other, QgsVectorLayer) or other.providerType() != "ogr":
            continue
        parts = QgsProviderRegistry.instance().decodeUri("ogr", other.source())
        file = Path(str(parts.get("path") or "")).resolve()
        if str(parts.get("layerName") or name) != name:
            continue
        if file == wanted:
            return other
        if file.name == wanted.name and not wanted.exists():
            moved = other  # both files have been moved since
    return moved


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
        self._kept: dict[int, QgsFeature] = {}
        """Old features before they were changed here, by the ids of the changes."""
        self._made: dict[int, int] = {}
        """Ids of features that were added to the old layer, by the ids of the changes."""
        self._filled: dict[int, QgsFeature] = {}
        """New objects that were taken back, with their values, by the ids of the changes."""
        self._outlines = _layer_before(changes)

    def before(self, feature_id: int) -> Optional[QgsGeometry]:
        """The old outline of a change, in the CRS of the layer of changes."""
        if sip.isdeleted(self.old):
            return None
        change = self.changes.getFeature(feature_id)
        now = self._old_feature(change)
        untouched = now is not None and not _same(now.geometry(), self._shape(change))
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

    # --- new objects ----------------------------------------------------------------------------

    def _add(self, change: QgsFeature, was_accepted: bool) -> None:
        if self._new_feature(change) is not None:
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
        shape = self._shape(change)
        request = QgsFeatureRequest().setFilterRect(shape.boundingBox()).setNoAttributes()
        near = (each for each in self.old.getFeatures(request) if each.hasGeometry())
        return next((each.id() for each in near if _same(each.geometry(), shape)), None)

    # --- old polygons ---------------------------------------------------------------------------

    def _apply(self, change: QgsFeature, was_accepted: bool) -> None:
        now = self._old_feature(change)
        shape = self._shape(change)
        goes = text_of(change["status"]) == "gone" or any(
            self._is_drawn(other) for other in self._merged_with(change)
        )
        if now is None:
            if goes:
                return
            raise EditError(
                tr("{layer} has no feature {id} any more; the change is left out.").format(
                    layer=self.old.name(), id=self._old_id(change)
                )
            )
        if not goes and _same(now.geometry(), shape):
            return
        kept = self._as_it_was(change, now) if was_accepted else None
        with editing.command(self.old, _title(change)):
            self._must(
                self.old.deleteFeature(now.id())
                if goes
                else self.old.changeGeometry(
                    now.id(), editing.fitted(self.old, shape, now.geometry())
                )
            )
        self._kept.setdefault(change.id(), now if kept is None else kept)

    def _take_back(self, change: QgsFeature, was_accepted: bool) -> None:
        now, status = self._old_feature(change), text_of(change["status"])
        drawn = now is not None and _same(now.geometry(), self._shape(change))
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
            elif not _same(now.geometry(), kept.geometry()):
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
        return now is not None and _same(now.geometry(), self._shape(change))

    def _old_feature(self, change: QgsFeature) -> Optional[QgsFeature]:
        """The old polygon of a change as it is now, also where it was deleted and added anew."""
        old_id = self._old_id(change)
        if old_id is None:
            return None
        for each in (self._made.get(change.id()), old_id):
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
        kept, old_id = self._kept.get(change.id()), self._old_id(change)
        if kept is not None or old_id is None:
            return kept
        saved = next(self.old.dataProvider().getFeatures(QgsFeatureRequest(old_id)), None)
        if saved is not None and saved.hasGeometry():
            # After a save it is the polygon as it is now, or with the outline of the change.
            fresh = now is None or not _same(saved.geometry(), now.geometry())
            gone = text_of(change["status"]) == "gone"
            if fresh and (gone or not _same(saved.geometry(), self._shape(change))):
                return saved
        return None if self._outlines is None else self._from_outlines(self._outlines, old_id, now)

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
        shape = QgsGeometry(change.geometry())
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


def _same(one: QgsGeometry, other: QgsGeometry) -> bool:
    return bool(one.equals(other) or one.isGeosEqual(other))
