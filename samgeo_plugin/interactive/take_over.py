# SPDX-License-Identifier: GPL-2.0-or-later
"""Found objects into the target layer: all of them one step of its undo history."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Optional

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsFeatureRequest,
    QgsGeometry,
    QgsSpatialIndex,
    QgsVectorLayer,
    QgsVectorLayerUtils,
)
from qgis.PyQt import sip
from qgis.PyQt.QtCore import QObject, pyqtSignal

from ..i18n import tr
from . import editing, target
from .candidate_layer import Found
from .candidates import Refinement
from .editing import EditError
from .in_steps import InSteps
from .tidy import iou

SAME = 0.5
"""IoU from which on an object is in the layer already."""


class TakeOver(QObject):
    """Adds objects in small steps; the layer's edit buffer holds them.

    Args:
        parent: Qt's owner.
    """

    ended = pyqtSignal(int, int)
    """How many more there are, and how many were left out: there already, or refused."""

    def __init__(self, parent: Optional[QObject] = None) -> None:
        super().__init__(parent)
        self._steps = InSteps(self)
        self._added = self._left = 0

    @property
    def busy(self) -> bool:
        return self._steps.busy

    def stop(self) -> None:
        self._steps.stop()

    def start(
        self,
        layer: QgsVectorLayer,
        crs: QgsCoordinateReferenceSystem,
        objects: Sequence[tuple[Found, str]],
        attributes: dict[str, Any],
        refinement: Refinement,
        outdated: AbstractSet[str] = frozenset(),
        taken: AbstractSet[str] = frozenset(),
    ) -> None:
        """Begin.

        Args:
            layer: Where they go.
            crs: Of the objects.
            objects: Each with its class.
            attributes: That all have in common.
            refinement: What is done to outlines in QGIS itself.
            outdated: Ids of objects that were taken before and are parts of larger ones now: their
                features go.
            taken: Ids of objects that were taken before: those that are in the layer still are not
                counted as left out.

        Raises:
            TargetError: The layer takes nothing.
        """
        why = target.problem(layer)
        if why is None and not layer.isEditable() and not layer.startEditing():
            why = tr("The layer {name} cannot be edited; choose another one.").format(
                name=layer.name()
            )
        if why is not None:
            raise target.TargetError(why)
        target.with_class_field(layer)
        self._added = self._left = 0
        work = self._work(layer, crs, objects, attributes, refinement, outdated, taken)
        self._steps.start(work, lambda: self.ended.emit(self._added, self._left))

    def _work(
        self,
        layer: QgsVectorLayer,
        crs: QgsCoordinateReferenceSystem,
        objects: Sequence[tuple[Found, str]],
        attributes: dict[str, Any],
        refinement: Refinement,
        outdated: AbstractSet[str],
        taken: AbstractSet[str],
    ) -> Iterator[None]:
        index = QgsSpatialIndex()
        shapes: dict[int, QgsGeometry] = {}
        ids = layer.fields().lookupField(target.mapping(layer).get("id", ""))
        parts = []
        request = QgsFeatureRequest().setSubsetOfAttributes([ids] if ids >= 0 else [])
        for feature in layer.getFeatures(request):
            if ids >= 0 and str(feature.attribute(ids)) in outdated:
                parts.append(feature.id())
            elif feature.hasGeometry():
                index.addFeature(feature)
                shapes[feature.id()] = feature.geometry()
            yield
        layer.beginEditCommand(tr("Take found objects over"))
        try:
            layer.deleteFeatures(parts)
            self._added -= len(parts)
            for one, name in objects:
                values = {**attributes, "id": one.id, "score": one.score, target.CLASS: name}
                values.update(stability=one.stability, area_m2=one.area_m2)
                try:
                    moved = target.to_layer_crs(refinement.tidy(one.geometry), crs, layer)
                    there = index.intersects(moved.boundingBox())
                    if any(iou(shapes[each], moved) >= SAME for each in there):
                        self._left += one.id not in taken
                    elif _added(layer, moved, values):
                        self._added += 1
                    else:
                        self._left += 1
                except (target.TargetError, EditError):
                    self._left += 1
                yield
        finally:
            if not sip.isdeleted(layer) and layer.isEditable():
                layer.endEditCommand()
                layer.triggerRepaint()


def _added(layer: QgsVectorLayer, moved: QgsGeometry, attributes: dict[str, Any]) -> bool:
    """Within a command: one object as features of the layer."""
    shape = editing.avoid_overlaps(layer, moved)
    values = target.field_values(layer, attributes)
    feature = QgsVectorLayerUtils.createFeature(layer, shape, values)
    made = QgsVectorLayerUtils.makeFeatureCompatible(feature, layer)
    if not made or target.broken_constraints(layer, made[0]):
        return False
    return all(layer.addFeature(each) for each in made)
