# SPDX-License-Identifier: GPL-2.0-or-later
"""Objects that were accepted and are in a layer: they can be refined again until it is saved."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional

from qgis.core import QgsGeometry, QgsProject, QgsVectorLayer
from qgis.PyQt import sip
from qgis.PyQt.QtCore import QObject

from ..i18n import tr
from ..job import Failure
from ..log import Reporter, write
from . import editing, target
from .candidates import Accepted, Refinement
from .editing import EditError
from .session import InteractiveSession


@dataclass
class AcceptedObject:
    """An accepted object as the model gave it, so that it can be refined again.

    Args:
        accepted: The object.
        written: Where it is.
        refined: How it is to be, in the object's CRS.
        shapes: What was written, one after the other, in the layer's CRS: with any other shape it
            is the user's own work.
    """

    accepted: Accepted
    written: target.Written
    refined: Optional[QgsGeometry] = None
    shapes: list[QgsGeometry] = field(default_factory=list)

    def shape(self, layer: QgsVectorLayer) -> Optional[QgsGeometry]:
        """As it is in the layer; None where it is several features, or gone."""
        ids = self.written.feature_ids
        feature = editing.feature_of(layer, ids[0]) if len(ids) == 1 else None
        return None if feature is None else feature.geometry()

    def is_as_written(self, layer: QgsVectorLayer) -> bool:
        shape = self.shape(layer)
        return shape is not None and any(
            shape.equals(each) or shape.isGeosEqual(each) for each in self.shapes
        )

    def remember_shape(self, layer: QgsVectorLayer) -> None:
        shape = self.shape(layer)
        if shape is not None:
            self.shapes.append(shape)


class AcceptedObjects(QObject):
    """What was accepted, and its refinement.

    Args:
        session: Refines outlines.
        reporter: Where sentences go.
        parent: Qt's owner.
    """

    def __init__(
        self, session: InteractiveSession, reporter: Reporter, parent: Optional[QObject] = None
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._reporter = reporter
        self.kept: list[AcceptedObject] = []
        self._refining = 0
        self.refused = ""
        """Why the engine did not refine one, of the last refinement."""
        self._next: Optional[tuple[Optional[QgsVectorLayer], Refinement]] = None

    def add(self, accepted: Accepted, written: target.Written) -> None:
        """An accepted object is in the layer now."""
        layer = QgsProject.instance().mapLayer(written.layer_id)
        one = AcceptedObject(accepted, written)
        one.remember_shape(layer)
        if not self._of(layer):
            layer.afterCommitChanges.connect(self._saved)
        self.kept.append(one)

    def forget_removed(self) -> None:
        """Layers were removed: one with the same id, of a project that is opened again, has
        nothing of theirs."""
        layers = QgsProject.instance().mapLayers()
        self.kept = [each for each in self.kept if each.written.layer_id in layers]

    def _of(self, layer: QgsVectorLayer) -> list[AcceptedObject]:
        return [each for each in self.kept if each.written.layer_id == layer.id()]

    def _saved(self) -> None:
        """What a layer has saved stays as it is."""
        layer = self.sender()
        layer.afterCommitChanges.disconnect(self._saved)
        self.kept = [each for each in self.kept if each.written.layer_id != layer.id()]

    @property
    def is_refining(self) -> bool:
        """Accepted objects are being refined."""
        return bool(self._refining)

    def refine(self, layer: Optional[QgsVectorLayer], refinement: Refinement) -> None:
        """Refine what was accepted since the layer was last saved, and has not been edited since;
        the last wish counts."""
        if self._refining:
            self._next = layer, refinement
            return
        if layer is None or sip.isdeleted(layer) or not layer.isEditable():
            return
        kept = [k for k in self._of(layer) if k.is_as_written(layer)]
        # Of these the engine knows one part, without its holes.
        kept = [k for k in kept if k.accepted.place is None or not k.accepted.place.keeps]
        self._refining = len(kept)
        self.refused = ""

        def done(
            one: AcceptedObject, geometry: Optional[QgsGeometry], failure: Optional[Failure]
        ) -> None:
            if geometry is not None:
                one.refined = refinement.tidy(geometry)
            elif failure is not None:
                write(failure.message, "warning")
                self.refused = failure.message
            self._refining -= 1
            if not self._refining:
                self._put_refined(layer, kept)

        for one in kept:
            raw = one.accepted.raw
            if not refinement.needs_engine:
                done(one, raw, None)
            else:
                self._session.refine(
                    raw,
                    one.accepted.crs,
                    refinement,
                    lambda geometry, failure, one=one: done(one, geometry, failure),
                )

    def _put_refined(self, layer: QgsVectorLayer, kept: list[AcceptedObject]) -> None:
        following, self._next = self._next, None
        if following is not None:
            self.refine(*following)
            return
        if self.refused:
            self._reporter.show("warning", self.refused)
        if sip.isdeleted(layer) or not kept:
            return
        unsaved = {id(each) for each in self.kept}  # a save may have come meanwhile
        kept = [k for k in kept if id(k) in unsaved and k.refined is not None]
        kept = [k for k in kept if k.is_as_written(layer)]
        if not kept or not layer.isEditable():
            return
        try:
            shapes = {
                k.written.feature_ids[0]: target.to_layer_crs(k.refined, k.accepted.crs, layer)
                for k in kept
            }
            editing.set_shapes(layer, shapes, tr("Refine accepted objects"))
        except (target.TargetError, EditError) as error:
            self._reporter.show("warning", str(error))
            return
        for one in kept:
            one.remember_shape(layer)
