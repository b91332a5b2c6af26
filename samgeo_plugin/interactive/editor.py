# SPDX-License-Identifier: GPL-2.0-or-later
"""Editing existing polygons with the tool: pick up, select, merge, split, delete, undo."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Optional

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsCsException,
    QgsFeatureRequest,
    QgsGeometry,
    QgsPointXY,
    QgsProject,
    QgsRectangle,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QObject, pyqtSignal

from ..i18n import tr
from ..job import Prompt
from . import editing, target
from .editing import EditError
from .feature_ids import SavedIds
from .place import Place, part_at
from .session import InteractiveSession
from .undo_order import UndoOrder


class LayerEditor(QObject):
    """What the tool does with the polygons of the layer that is worked on.

    Args:
        session: What a polygon is corrected in.
        layers: Names the layers that are worked on: polygons of the first one are taken up and
            edited, changes of all of them are undone.
        crs: Names the map's CRS.
        is_caused: Says whether one of these layers is being changed by a change of another one.
        parent: Qt's owner.
    """

    message = pyqtSignal(str, str)

    def __init__(
        self,
        session: InteractiveSession,
        layers: Callable[[], list[QgsVectorLayer]],
        crs: Callable[[], QgsCoordinateReferenceSystem],
        is_caused: Callable[[], bool],
        parent: Optional[QObject] = None,
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._layers = layers
        self._crs = crs
        self._undo_order = UndoOrder(is_caused)
        self._place_ids: Optional[SavedIds] = None
        """Of the layer of the polygon that is being corrected."""

    def follow(self) -> None:
        """Other layers are worked on."""
        self._undo_order.follow(self._layers())

    def release(self) -> None:
        """The plugin is being unloaded."""
        self._undo_order.follow([])
        self._leave_place()

    @property
    def layer(self) -> Optional[QgsVectorLayer]:
        """The layer whose polygons are taken up, where it can be worked on."""
        layer = next(iter(self._layers()), None)
        return layer if layer is not None and target.problem(layer) is None else None

    def at(self, point: QgsPointXY) -> Optional[tuple[int, QgsGeometry]]:
        """The smallest polygon under a point of the map, in the map's CRS."""
        layer = self.layer
        if layer is None:
            return None
        move = QgsCoordinateTransform(layer.crs(), self._crs(), QgsProject.instance())
        back = QgsCoordinateTransform(self._crs(), layer.crs(), QgsProject.instance())
        try:
            inside = back.transform(point)
            box = QgsRectangle(inside.x(), inside.y(), inside.x(), inside.y())
            box.grow(1e-9 * max(1.0, abs(inside.x()), abs(inside.y())))
            found: list[tuple[float, int, QgsGeometry]] = []
            mark = QgsGeometry.fromPointXY(inside)
            for feature in layer.getFeatures(QgsFeatureRequest().setFilterRect(box)):
                shape = feature.geometry()
                if shape.intersects(mark):
                    moved = QgsGeometry(shape)
                    moved.transform(move)
                    found.append((shape.area(), feature.id(), moved))
        except QgsCsException:
            return None
        if not found:
            return None
        _, feature_id, moved = min(found, key=lambda each: each[:2])
        return feature_id, moved

    def take_up(self, point: QgsPointXY) -> Optional[Place]:
        """The polygon under the point, to be corrected."""
        found, layer = self.at(point), self.layer
        if found is None or layer is None:
            return None
        return Place(layer.id(), *found, part_at(found[1], point))

    def correct(self, prompt: Prompt, place: Place) -> None:
        """Begin to correct a polygon: it is known by its id, also where a save gives it another."""
        self._leave_place()
        layer = QgsProject.instance().mapLayer(place.layer_id)
        if isinstance(layer, QgsVectorLayer):
            self._place_ids = SavedIds.of(layer, self._place_saved)
        self._session.take_up(prompt, place)

    def _place_saved(self, ids: dict[int, Optional[int]]) -> None:
        place = self._session.place
        if place is None or self._place_ids is None:
            self._leave_place()
        elif self._place_ids.layer_id == place.layer_id:
            self._session.renumber_place(ids)

    def _leave_place(self) -> None:
        if self._place_ids is not None:
            self._place_ids.leave(self._place_saved)
        self._place_ids = None

    # --- selection ------------------------------------------------------------------------------

    @property
    def chosen(self) -> list[int]:
        """The feature that is being corrected, else the layer's selection."""
        layer = self.layer
        if layer is None:
            return []
        if self._place_ids is not None:
            self._place_ids.catch_up()
        place = self._place_in(layer)
        if place is not None:
            found = target.feature_at(layer, place, self._crs())
            return [] if found is None else [found]
        return sorted(layer.selectedFeatureIds(), key=abs)

    def _place_in(self, layer: QgsVectorLayer) -> Optional[Place]:
        """The feature of this layer that is being corrected."""
        place = self._session.place
        return place if place is not None and place.layer_id == layer.id() else None

    def toggle(self, point: QgsPointXY) -> bool:
        """Select the polygon under the point too, or no longer; False where there is none."""
        found, layer = self.at(point), self.layer
        if found is None or layer is None:
            return False
        if found[0] in layer.selectedFeatureIds():
            layer.deselect(found[0])
        else:
            layer.select(found[0])
        return True

    # --- changes --------------------------------------------------------------------------------

    def merge(self) -> None:
        """The selected polygons become one."""
        self._do(lambda layer, ids: editing.merge(layer, ids))

    def delete(self) -> None:
        """Delete the polygon that is being corrected, or the selected ones."""
        self._do(lambda layer, ids: editing.delete(layer, ids))

    def split(self, line: Sequence[QgsPointXY]) -> None:
        """Cut the polygon that is being corrected, or the selected ones, along a line of the map;
        without any, those that the line crosses."""
        layer = self.layer
        if layer is None:
            return
        move = QgsCoordinateTransform(self._crs(), layer.crs(), QgsProject.instance())
        try:
            points = [move.transform(point) for point in line]
        except QgsCsException:
            return
        ids = self.chosen
        if not ids and self._place_in(layer) is None:
            cut = QgsGeometry.fromPolylineXY(points)
            request = QgsFeatureRequest().setFilterRect(cut.boundingBox())
            ids = [f.id() for f in layer.getFeatures(request) if f.geometry().intersects(cut)]
        self._do(lambda layer, _: editing.split(layer, ids, points))

    def undo(self) -> bool:
        """Take the layers' last change back, whichever layer is active; False where none is."""
        layer = self._undo_order.undo()
        if layer is None:
            return False
        layer.triggerRepaint()
        return True

    @property
    def can_undo(self) -> bool:
        return self._undo_order.last() is not None

    def _do(self, change: Callable[[QgsVectorLayer, list[int]], object]) -> None:
        layer, ids = self.layer, self.chosen
        if layer is None:
            return
        if not ids and self._place_in(layer) is not None:
            text = tr("The object that was corrected has been deleted meanwhile.")
            self.message.emit("warning", text)
            return
        try:
            change(layer, ids)
        except EditError as error:
            self.message.emit("warning", str(error))
            return
        if self._session.place is not None:
            self._session.clear()
        layer.removeSelection()
        self.message.emit("", tr("Done; Ctrl+Z takes it back."))
