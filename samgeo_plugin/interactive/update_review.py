# SPDX-License-Identifier: GPL-2.0-or-later
"""The review of an update: what is accepted changes the old layer, in its own edit buffer.

The decision in the layer of changes leads: where it becomes "accepted" the old feature gets the new
outline (or goes, or a new one comes), and where it is taken back, by a key or by QGIS's undo, the
old feature is what it was. Attributes and ids stay.
"""

from __future__ import annotations

from pathlib import Path
from typing import Optional

from qgis.core import (
    QgsCoordinateTransform,
    QgsFeature,
    QgsGeometry,
    QgsProject,
    QgsProviderRegistry,
    QgsVectorLayer,
    QgsVectorLayerUtils,
)
from qgis.PyQt import sip

from ..i18n import tr
from . import editing
from .doubt import text_of
from .editing import EditError

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

    Args:
        changes: The layer of changes.
        old: The layer that is to be updated.
    """

    def __init__(self, changes: QgsVectorLayer, old: QgsVectorLayer) -> None:
        self.changes = changes
        self.old = old
        self._before: dict[int, QgsFeature] = {}
        self._added: dict[int, int] = {}

    def before(self, feature_id: int) -> Optional[QgsGeometry]:
        """The old outline of a change, in the CRS of the layer of changes."""
        if sip.isdeleted(self.old):
            return None
        kept = self._before.get(feature_id)
        if kept is None:
            old_id = self._old_id(feature_id)
            kept = None if old_id is None else editing.feature_of(self.old, old_id)
        if kept is None:
            return None
        shape = QgsGeometry(kept.geometry())
        shape.transform(self._way(back=True))
        return shape

    def settle(self, feature_id: int, accepted: bool) -> None:
        """Bring the old layer to where a decision wants it.

        Raises:
            EditError: The old layer refuses the change.
        """
        if sip.isdeleted(self.old):
            raise EditError(tr("The old layer has been removed from the project; open it again."))
        done = feature_id in self._before or feature_id in self._added
        if accepted and not done:
            self._apply(feature_id)
        elif done and not accepted:
            self._take_back(feature_id)

    def _apply(self, feature_id: int) -> None:
        change = self.changes.getFeature(feature_id)
        status = text_of(change["status"])
        if status in _NOTHING:
            return
        shape = QgsGeometry(change.geometry())
        shape.transform(self._way())
        if not self.old.wkbType() or shape.isEmpty():
            return
        text = tr("Update: {status}").format(status=status)
        if status == "new":
            with editing.command(self.old, text):
                made = QgsVectorLayerUtils.createFeature(self.old, _fitting(shape, self.old))
                if not self.old.addFeature(made):
                    raise EditError(self._refusal())
            self._added[feature_id] = made.id()
            return
        old_id = self._old_id(feature_id)
        kept = None if old_id is None else editing.feature_of(self.old, old_id)
        if old_id is None or kept is None:
            raise EditError(
                tr("{layer} has no feature {id} any more; the change is left out.").format(
                    layer=self.old.name(), id=old_id
                )
            )
        with editing.command(self.old, text):
            good = (
                self.old.deleteFeature(old_id)
                if status == "gone"
                else self.old.changeGeometry(old_id, _fitting(shape, self.old))
            )
            if not good:
                raise EditError(self._refusal())
        self._before[feature_id] = kept

    def _take_back(self, feature_id: int) -> None:
        text = tr("Update taken back")
        if feature_id in self._added:
            with editing.command(self.old, text):
                self.old.deleteFeature(self._added.pop(feature_id))
            return
        kept = self._before.pop(feature_id)
        with editing.command(self.old, text):
            if self.old.getFeature(kept.id()).isValid():
                self.old.changeGeometry(kept.id(), kept.geometry())
            else:  # its id is among its attributes, and comes back when the layer is saved
                self.old.addFeature(QgsFeature(kept))

    def _old_id(self, feature_id: int) -> Optional[int]:
        value = self.changes.getFeature(feature_id)["old_fid"]
        try:
            return int(value)
        except (TypeError, ValueError):
            return None

    def _way(self, back: bool = False) -> QgsCoordinateTransform:
        ends = (self.changes.crs(), self.old.crs())
        return QgsCoordinateTransform(*(ends[::-1] if back else ends), QgsProject.instance())

    def _refusal(self) -> str:
        return tr("The layer {name} refuses the change.").format(name=self.old.name())


def _fitting(shape: QgsGeometry, layer: QgsVectorLayer) -> QgsGeometry:
    """A shape as a layer's type wants it: single or multi, with Z and M where it has them."""
    parts = shape.coerceToType(layer.wkbType())
    if len(parts) > 1:
        raise EditError(
            tr("{layer} holds single polygons, and this change has several parts.").format(
                layer=layer.name()
            )
        )
    return parts[0] if parts else shape
