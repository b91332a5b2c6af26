# SPDX-License-Identifier: GPL-2.0-or-later
"""The review of a polygon layer: a queue ordered by doubt, decisions in the edit buffer.

Decisions are attributes of the layer itself, so that QGIS's undo, saving and other programs know
them. What the review keeps in mind follows the layer's own signals: an undo changes it too.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Optional, Union

from qgis.core import (
    QgsFeature,
    QgsFeatureRequest,
    QgsGeometry,
    QgsRectangle,
    QgsSpatialIndex,
    QgsVectorLayer,
)
from qgis.PyQt import sip
from qgis.PyQt.QtCore import QObject, QTimer, pyqtSignal

from ..i18n import tr
from . import editing, field_mapping, reading, target
from .changes_layer import DECISION, is_update, old_layer_of
from .decisions import ACCEPTED, OPEN, STATUS, decision_field
from .doubt import Facts, facts_of, text_of
from .editing import EditError
from .feature_ids import SavedIds
from .reading import ReadError
from .review_queue import ReviewFilter, ReviewQueue
from .update_review import UpdateReview

_BUDGET = 0.008
"""Seconds of work between two looks of the event loop."""


class Review(QObject):
    """One layer's review.

    Args:
        parent: Qt's owner.
    """

    started = pyqtSignal()
    stopped = pyqtSignal()
    queue_changed = pyqtSignal()
    current_changed = pyqtSignal(object)
    message = pyqtSignal(str, str)
    form_wanted = pyqtSignal(object, object)
    """Why, and the id of the change that is accepted once :meth:`form_ended` says so."""

    form_unwanted = pyqtSignal(object)
    """The id of a change that is not to be accepted any more."""

    progress = pyqtSignal(int, int)

    def __init__(self, parent: Optional[QObject] = None) -> None:
        super().__init__(parent)
        self.layer: Optional[QgsVectorLayer] = None
        self._order = ReviewQueue()
        self.known_classes: Callable[[], list[str]] = list
        self._work: Optional[Iterator[None]] = None
        self._raster: Optional[QgsRectangle] = None
        self._ids: list[SavedIds] = []
        """Of the layer, and of the old layer of an update."""
        self._labels: list[str] = []
        """Classes that polygons have or had in this review, in the order of their keys."""
        self._status_index = -1
        self._class_index = -1
        self._class_field = ""
        self.status_field = STATUS
        self.update: Optional[UpdateReview] = None
        self._deciding = False
        self.settling = False
        """The old layer of an update is being changed for a decision."""
        self._refused: Union[EditError, target.FormWanted, None] = None
        """Why the old layer does not take the change that is being accepted."""
        self._in_forms: dict[int, tuple[dict[int, str], str]] = {}
        """What is to be set where the old layer's form is filled in, by the ids of the changes."""
        self._timer = QTimer(self)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._work_on)
        self._tell_soon = QTimer(self)
        """For changes by the layer, of which thousands come at once."""
        self._tell_soon.setSingleShot(True)
        self._tell_soon.setInterval(0)
        self._tell_soon.timeout.connect(self._tell_current)
        self._read_soon = QTimer(self)
        """An undo brings a field back first, and its values then."""
        self._read_soon.setSingleShot(True)
        self._read_soon.setInterval(0)
        self._read_soon.timeout.connect(self._read_decisions)

    # --- start and end --------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        return self.layer is not None

    @property
    def layers(self) -> list[QgsVectorLayer]:
        """What is edited, in the order in which it is to be saved: a decision that is in its file
        is taken for done, so the old layer of an update comes before."""
        old = None if self.update is None else self.update.old
        there = (each for each in (old, self.layer) if each is not None and not sip.isdeleted(each))
        return [each for each in there if each.isEditable()]

    @property
    def ready(self) -> bool:
        """The queue is ordered."""
        return self.running and self._work is None

    def start(self, layer: QgsVectorLayer, raster: Optional[QgsRectangle] = None) -> bool:
        """Order a layer's features by doubt; the layer gets a field for the decisions.

        Args:
            layer: Any polygon layer that can be edited.
            raster: Extent of the raster that it was made from, in the layer's CRS.
        """
        self.stop()
        why = target.problem(layer)
        update: Optional[UpdateReview] = None
        if why is None and is_update(layer):
            old = old_layer_of(layer)
            if old is None:
                why = tr(
                    "{name} is an update of a layer that is not open: open that layer first."
                ).format(name=layer.name())
            else:
                why = target.problem(old)
                update = UpdateReview(layer, old) if why is None else None
        field = decision_field(layer) if why is None else None
        if why is None and field is None:
            why = tr(
                "{layer} has no room for the decisions: its field “{field}” holds other values or "
                "is no text; rename that field first."
            ).format(layer=layer.name(), field=DECISION)
        if why is None:
            try:
                editing.begin(layer)
            except EditError as error:
                why = str(error)
        if why is None and field is not None and layer.fields().lookupField(field) < 0:
            why = self._add_field(layer, field)
        if why is not None or field is None:
            self.message.emit("warning", why)
            return False
        self.layer, self.update, self.status_field = layer, update, field
        if update is None and field != STATUS:
            self.message.emit(
                "info",
                tr(
                    "“{status}” of {layer} is no field for decisions; they go into “{field}”."
                ).format(status=STATUS, layer=layer.name(), field=field),
            )
        layer.removeSelection()  # with one, QGIS's own Delete would want the key too
        self._find_fields()
        layer.attributeValueChanged.connect(self._attribute_changed)
        layer.geometryChanged.connect(self._geometry_changed)
        layer.featureDeleted.connect(self._deleted)
        layer.featureAdded.connect(self._added)
        layer.updatedFields.connect(self._find_fields)
        layer.editingStopped.connect(self.stop)
        layer.willBeDeleted.connect(self.stop)
        self._ids = [SavedIds.of(layer, self._saved)]
        if update is not None:
            self._ids.append(SavedIds.of(update.old, self._old_saved))
        self._labels, self._raster = [], raster
        self._begin(layer)
        self.started.emit()
        return True

    def stop(self) -> None:
        """The review ends; what was decided stays in the layer's edit buffer."""
        for feature_id in list(self._in_forms):
            self._close_form(feature_id)
        layer, self.layer = self.layer, None
        for number, each in enumerate(self._ids):
            each.leave(self._old_saved if number else self._saved)
        self._ids, self.update = [], None
        self._timer.stop()
        self._tell_soon.stop()
        self._read_soon.stop()
        self._work = None
        self._order.end()
        if layer is None:
            return
        if not sip.isdeleted(layer):
            for signal, slot in (
                (layer.attributeValueChanged, self._attribute_changed),
                (layer.geometryChanged, self._geometry_changed),
                (layer.featureDeleted, self._deleted),
                (layer.featureAdded, self._added),
                (layer.updatedFields, self._find_fields),
                (layer.editingStopped, self.stop),
                (layer.willBeDeleted, self.stop),
            ):
                signal.disconnect(slot)
        self.current_changed.emit(None)
        self.stopped.emit()

    def _add_field(self, layer: QgsVectorLayer, name: str) -> Optional[str]:
        layer.beginEditCommand(tr("Add a field for the review"))
        if layer.addAttribute(field_mapping.text_field(layer, name, 20)):
            layer.endEditCommand()
            return None
        layer.destroyEditCommand()
        return tr("{layer} lets no field be added; add a text field “{field}” to it first.").format(
            layer=layer.name(), field=name
        )

    def _find_fields(self) -> None:
        if self.layer is None:
            return
        fields = self.layer.fields()
        before, self._status_index = self._status_index, fields.lookupField(self.status_field)
        if (before < 0) != (self._status_index < 0):
            self._read_soon.start()
        self._class_index = index = target.class_field(self.layer)
        self._class_field = fields.at(index).name() if index >= 0 else ""

    def _read_decisions(self) -> None:
        """Their field has gone, as by an undo of its adding, or it is there again."""
        if self.layer is None or not self.ready:
            return
        self._catch_up()
        index = self._status_index
        request = QgsFeatureRequest().setFlags(QgsFeatureRequest.Flag.NoGeometry)
        try:
            features = list(reading.features(self.layer, request))
        except ReadError as error:
            self.message.emit("warning", str(error))
            return
        for feature in features:
            facts = self.facts.get(feature.id())
            if facts is not None:
                status = self._text(index, feature.attribute(index)) if index >= 0 else OPEN
                self.facts[feature.id()] = replace(facts, status=status)
        self.queue_changed.emit()

    def _text(self, index: int, value: object) -> str:
        """A value of one of the layer's fields, as it is after the save."""
        layer = self.layer
        return text_of(value if layer is None else field_mapping.filled_in(layer, index, value))

    def _has_field(self) -> bool:
        """There is a field for the decisions, added anew where an undo has taken it away."""
        if self.layer is not None and self._status_index < 0:
            why = self._add_field(self.layer, self.status_field)
            if why is not None:
                self.message.emit("warning", why)
            self._find_fields()
        return self._status_index >= 0

    # --- order ----------------------------------------------------------------------------------

    def _begin(self, layer: QgsVectorLayer) -> None:
        self._order.begin()
        self._work = self._gather(layer)
        self._timer.start()

    def _gather(self, layer: QgsVectorLayer) -> Iterator[None]:
        """Read all features, then measure each against its neighbours; yields often."""
        if self.update is not None:
            yield from self.update.polygons.find()
        features = {}
        index = QgsSpatialIndex()
        for feature in reading.features(layer):
            if feature.hasGeometry():
                features[feature.id()] = feature
                index.addFeature(feature)
            yield
        for number, (feature_id, feature) in enumerate(features.items()):
            near: list[QgsGeometry] = [
                features[other].geometry()
                for other in index.intersects(feature.geometry().boundingBox())
                if other != feature_id
            ]
            facts = self._facts_of(feature, near, self._raster)
            self.facts[feature_id] = facts
            if self.update is not None and facts.status == ACCEPTED:
                self.update.taken_over(feature)
            if number % 50 == 0:
                self.progress.emit(number, len(features))
            yield
        while any(each.finding for each in self._ids):
            yield  # ids that were read may be those before a save: then all is read again
        self._order.forget_deleted()

    def _facts_of(
        self,
        feature: QgsFeature,
        near: Sequence[QgsGeometry] = (),
        raster: Optional[QgsRectangle] = None,
    ) -> Facts:
        for index in (self._status_index, self._class_index):
            if index >= 0 and self.layer is not None:
                value = field_mapping.filled_in(self.layer, index, feature.attribute(index))
                feature.setAttribute(index, value)
        update = self.update is not None
        return facts_of(feature, near, raster, self.status_field, self._class_field, update)

    def _work_on(self) -> None:
        end = time.monotonic() + _BUDGET
        work = self._work
        while work is not None and time.monotonic() < end:
            try:
                next(work)
            except StopIteration:
                self._work = None
                self._timer.stop()
                self.progress.emit(0, 0)
                self._give_keys(facts.label for facts in self.facts.values())
                self._fill(keep=False)
                return
            except ReadError as error:
                self.stop()
                self.message.emit("warning", str(error))
                return

    def _fill(self, keep: bool = True) -> None:
        """Order the queue anew."""
        self._catch_up()
        if self._order.fill(keep=keep):
            self._tell_current()
        self.queue_changed.emit()

    def set_filter(self, wanted: ReviewFilter) -> None:
        """Show others; nothing is changed in the layer."""
        self._order.filter = wanted
        if self.ready:
            self._fill()

    @property
    def hidden(self) -> list[int]:
        """What the filter leaves out; what was decided since it was set is shown still."""
        if not self.ready:
            return []
        self._catch_up()
        return self._order.hidden

    @property
    def counts(self) -> Counter[str]:
        """How many have each status."""
        return Counter(facts.status for facts in self.facts.values())

    @property
    def classes(self) -> list[str]:
        """The project's classes, then the layer's others, in the order of the number keys.

        A class keeps its key until the review ends, also where no polygon has it any more.
        """
        known = self.known_classes()
        return [*known, *(label for label in self._labels if label not in known)]

    @property
    def classes_to_show(self) -> list[str]:
        """Those of :attr:`classes` that the project or a polygon has now."""
        now = {*self.known_classes(), *(facts.label for facts in self.facts.values())}
        return [label for label in self.classes if label in now]

    def _give_keys(self, labels: Iterable[str]) -> None:
        """Classes that are new come behind the others."""
        self._labels += sorted({label for label in labels if label} - set(self._labels))

    # --- where we are ---------------------------------------------------------------------------

    @property
    def queue(self) -> list[int]:
        """The features in their order."""
        self._catch_up()
        return self._order.features

    @property
    def facts(self) -> dict[int, Facts]:
        """What is known of each feature, also of those that are not in the queue."""
        return self._order.facts

    @property
    def current(self) -> Optional[int]:
        """The feature that is looked at."""
        self._catch_up()
        return self._order.current

    @property
    def position(self) -> int:
        """Of the current one in the queue."""
        self._catch_up()
        return self._order.position

    def geometry(self) -> Optional[QgsGeometry]:
        """The current feature's shape, in the layer's CRS."""
        if self.layer is None or self.current is None:
            return None
        feature = editing.feature_of(self.layer, self.current)
        return None if feature is None else feature.geometry()

    def before(self) -> Optional[QgsGeometry]:
        """Of an update, the current polygon's old outline, in the layer's CRS."""
        if self.update is None or self.current is None:
            return None
        return self.update.before(self.current)

    def go(self, step: int) -> None:
        """To the next or the previous one of the queue."""
        self._catch_up()
        if self._order.go(step):
            self._tell_current()

    def _tell_current(self) -> None:
        self.current_changed.emit(self.current)

    # --- decisions ------------------------------------------------------------------------------

    def decide(self, status: str) -> None:
        """Accept or reject the current one, and go on."""
        if self._has_field():
            self._set({self._status_index: status}, tr("Review: {status}").format(status=status))

    def set_class(self, number: int) -> None:
        """Give the current one the class of a number key (from 1), accept it, and go on."""
        classes = self.classes
        if self._class_index < 0 and self.layer is not None and 1 <= number <= len(classes):
            layer = self.layer
            if not self._try(lambda: target.with_class_field(layer)):
                return
            self._find_fields()
        if not 1 <= number <= len(classes):
            self.message.emit(
                "info", tr("There is no class {number} in this layer.").format(number=number)
            )
        elif self._has_field():
            label = classes[number - 1]
            values = {self._class_index: label, self._status_index: ACCEPTED}
            self._set(values, tr("Review: {status}").format(status=label))

    def _set(self, values: dict[int, str], text: str) -> None:
        """Values of the current one, by fields, as one step of undo."""
        if self.current is not None and self.ready:
            self._set_of(self.current, values, text)

    def _set_of(self, feature_id: int, values: dict[int, str], text: str) -> None:
        if self.layer is None:
            return
        self._deciding = True
        try:
            with editing.command(self.layer, text):
                for index, value in values.items():
                    editing.set_value(self.layer, feature_id, index, value)
                if self._refused is not None:  # a slot's exception would not reach this place
                    raise self._refused
        except target.FormWanted as wanted:
            self._in_forms[feature_id] = values, text
            self.form_wanted.emit(wanted, feature_id)
            return
        except EditError as error:
            self.message.emit("warning", str(error))
            return
        finally:
            self._deciding, self._refused = False, None
        if feature_id == self.current:
            self.go(1)
        self.queue_changed.emit()

    def form_ended(self, feature_id: int, filled: bool) -> None:
        """The form for a new object was closed: filled in, the object is in the old layer now."""
        decided = self._in_forms.pop(feature_id, None)
        if decided is not None and filled:
            self._set_of(feature_id, *decided)

    def _close_form(self, feature_id: int) -> None:
        if self._in_forms.pop(feature_id, None) is not None:
            self.form_unwanted.emit(feature_id)

    def largest_part(self) -> None:
        self._edit(lambda layer, current: editing.keep_largest_part(layer, current))

    def right_angles(self) -> None:
        self._edit(lambda layer, current: editing.right_angles(layer, current))

    def delete(self) -> None:
        self._edit(lambda layer, current: editing.delete(layer, [current]))

    def remove_hidden(self) -> int:
        """Delete what the filter leaves out, as one step of undo; returns how many were deleted."""
        layer, hidden = self.layer, self.hidden
        if layer is None or not hidden:
            return 0
        return len(hidden) if self._try(lambda: editing.delete(layer, hidden)) else 0

    def _edit(self, change: Callable[[QgsVectorLayer, int], object]) -> None:
        """Change the current polygon."""
        layer, current = self.layer, self.current
        if layer is not None and current is not None:
            self._try(lambda: change(layer, current))

    def _try(self, change: Callable[[], object]) -> bool:
        """Change the layer; False, with a sentence, where it refuses."""
        try:
            change()
        except EditError as error:
            self.message.emit("warning", str(error))
            return False
        return True

    # --- what the layer tells -------------------------------------------------------------------

    def _catch_up(self) -> None:
        """Know the ids that a save has given."""
        for each in self._ids:
            each.catch_up()

    def _attribute_changed(self, feature_id: int, index: int, value: object) -> None:
        self._catch_up()
        facts = self.facts.get(feature_id)
        if facts is None or index not in (self._status_index, self._class_index):
            return
        self.queue_changed.emit()  # counts are other ones, after an undo as well
        if index == self._status_index:
            status = self._text(index, value)
            self.facts[feature_id] = replace(facts, status=status)
            if self._refused is not None:
                return
            if status != ACCEPTED:
                self._close_form(feature_id)
            if status != facts.status or status == ACCEPTED:
                self._settle(feature_id, status == ACCEPTED, facts.status == ACCEPTED)
        else:
            label = self._text(index, value)
            self.facts[feature_id] = replace(facts, label=label)
            self._give_keys([label])

    def _settle(self, feature_id: int, accepted: bool, was_accepted: bool) -> None:
        if self.update is None:
            return
        self.settling = True
        try:
            self.update.settle(feature_id, accepted, was_accepted)
        except target.FormWanted as wanted:
            if self._deciding:
                self._refused = wanted
            else:  # many at once, as by QGIS's field calculator: no window for each
                self.message.emit(
                    "warning",
                    tr(
                        "A new object is not in {layer} yet ({why}). In the review, accept such "
                        "objects one by one and fill in the form."
                    ).format(layer=wanted.layer.name(), why=wanted.why),
                )
        except EditError as error:
            if accepted and self._deciding:
                self._refused = error
            else:
                self.message.emit("warning", str(error))
        finally:
            self.settling = False

    def _geometry_changed(self, feature_id: int, geometry: QgsGeometry) -> None:
        self._catch_up()
        self._close_form(feature_id)  # it holds the outline before
        facts = self.facts.get(feature_id)
        if facts is not None and facts.status == ACCEPTED:
            self._settle(feature_id, True, True)
        if feature_id == self.current:
            self._tell_current()

    def _saved(self, ids: dict[int, Optional[int]]) -> None:
        """A save has given features other ids; the queue and the place in it stay."""
        if self.layer is None:
            return
        for feature_id in ids:
            self._close_form(feature_id)
        if self.update is not None:
            self.update.saved(ids)
        if not self.ready:
            self._begin(self.layer)
            return
        self._order.rename(ids)
        self.queue_changed.emit()

    def _old_saved(self, ids: dict[int, Optional[int]]) -> None:
        """Likewise of the old layer of an update."""
        if self.layer is None or self.update is None:
            return
        self.update.old_saved(ids)
        if not self.ready:
            self._begin(self.layer)

    def _deleted(self, feature_id: int) -> None:
        if self._ids[0].saving:
            return
        self._catch_up()
        current = self._order.delete(feature_id)
        self._close_form(feature_id)
        if not self.ready:
            return
        if current:
            self._tell_soon.start()
        self.queue_changed.emit()

    def _added(self, feature_id: int) -> None:
        """A new part, or one that an undo has brought back."""
        if self._ids[0].saving:
            return
        self._catch_up()
        if self.layer is None or not self.ready:
            self._order.add(feature_id)
            return
        feature = editing.feature_of(self.layer, feature_id)
        if feature is not None:
            facts = self._facts_of(feature)
            self._give_keys([facts.label])
            if self._order.add(feature_id, facts):
                self._tell_soon.start()
            self.queue_changed.emit()
