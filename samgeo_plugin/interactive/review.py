# SPDX-License-Identifier: GPL-2.0-or-later
"""The review of a polygon layer: its queue, the keys' actions, and what the layer tells.

Decisions are attributes of the layer itself, so that QGIS's undo, saving and other programs know
them (:mod:`.decision_writer`). What the review keeps in mind (:mod:`.review_reading`) follows the
layer's own signals: an undo changes it too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, Optional

from qgis.core import QgsGeometry, QgsRectangle, QgsVectorLayer
from qgis.PyQt import sip
from qgis.PyQt.QtCore import QObject, QTimer, pyqtSignal

from ..i18n import tr
from . import autosave, editing, target
from .decision_writer import DecisionWriter
from .decisions import ACCEPTED, STATUS
from .doubt import Facts
from .editing import EditError
from .feature_ids import SavedIds
from .in_steps import InSteps
from .reading import ReadError
from .review_fields import ReviewFields
from .review_queue import ReviewFilter, ReviewQueue
from .review_reading import ReviewReading
from .review_start import prepare
from .update_review import UpdateReview


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

    renamed = pyqtSignal(object)
    """A save has given features other ids (``SavedIds.changed``)."""

    progress = pyqtSignal(int, int)

    def __init__(self, parent: Optional[QObject] = None) -> None:
        super().__init__(parent)
        self.layer: Optional[QgsVectorLayer] = None
        self._order = ReviewQueue()
        self.known_classes: Callable[[], list[str]] = list
        self._ids: list[SavedIds] = []
        """Of the layer, and of the old layer of an update."""
        self._labels: list[str] = []
        """Classes that polygons have or had in this review, in the order of their keys."""
        self._fields: Optional[ReviewFields] = None
        self._reading: Optional[ReviewReading] = None
        self.update: Optional[UpdateReview] = None
        self._writer = DecisionWriter(self)
        self._writer.written.connect(self._written)
        self._writer.message.connect(self.message)
        self._writer.form_wanted.connect(self.form_wanted)
        self._writer.form_unwanted.connect(self.form_unwanted)
        self._steps = InSteps(self)
        self._why_unread = ""
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
        return self.running and not self._steps.busy

    @property
    def status_field(self) -> str:
        """Name of the field with the decisions."""
        return STATUS if self._fields is None else self._fields.status_name

    @property
    def settling(self) -> bool:
        """The old layer of an update is being changed for a decision."""
        return self._writer.settling

    def start(self, layer: QgsVectorLayer, raster: Optional[QgsRectangle] = None) -> bool:
        """Order a layer's features by doubt; the layer gets a field for the decisions.

        Args:
            layer: Any polygon layer that can be edited.
            raster: Extent of the raster that it was made from, in the layer's CRS.
        """
        self.stop()
        try:
            fields, update = prepare(layer)
        except EditError as error:
            self.message.emit("warning", str(error))
            return False
        self.layer, self.update, self._fields = layer, update, fields
        self._reading = ReviewReading(layer, fields, update, raster)
        self._writer.begin(layer, update)
        if update is None and layer.fields().lookupField(STATUS) != fields.status:
            self.message.emit(
                "info",
                tr(
                    "“{status}” of {layer} is no field for decisions; they go into “{field}”."
                ).format(status=STATUS, layer=layer.name(), field=fields.status_name),
            )
        layer.removeSelection()  # with one, QGIS's own Delete would want the key too
        for signal, slot in self._slots(layer):
            signal.connect(slot)
        self._ids = [SavedIds.of(layer, self._saved)]
        if update is not None:
            self._ids.append(SavedIds.of(update.old, self._old_saved))
        self._labels = []
        self._begin()
        self.started.emit()
        return True

    def stop(self) -> None:
        """The review ends; what was decided stays in the layer's edit buffer."""
        self._writer.end()
        layer, self.layer = self.layer, None
        for number, each in enumerate(self._ids):
            each.leave(self._old_saved if number else self._saved)
        self._ids, self.update, self._reading = [], None, None
        self._steps.stop()
        self._tell_soon.stop()
        self._read_soon.stop()
        self._order.end()
        if layer is None:
            return
        if not sip.isdeleted(layer):
            for signal, slot in self._slots(layer):
                signal.disconnect(slot)
        self.current_changed.emit(None)
        self.stopped.emit()

    def _editing_stopped(self) -> None:
        """The review ends with the editing, unless a save by the plugin begins it again."""
        if not autosave.is_saving():
            self.stop()

    def _slots(self, layer: QgsVectorLayer) -> tuple[tuple[Any, Callable[..., None]], ...]:
        """The layer's signals that the review follows, each with what hears it."""
        return (
            (layer.attributeValueChanged, self._attribute_changed),
            (layer.geometryChanged, self._geometry_changed),
            (layer.featureDeleted, self._deleted),
            (layer.featureAdded, self._added),
            (layer.updatedFields, self._find_fields),
            (layer.editingStopped, self._editing_stopped),
            (layer.willBeDeleted, self.stop),
        )

    def _find_fields(self) -> None:
        if self._fields is not None and self.running and self._fields.find():
            self._read_soon.start()

    def _read_decisions(self) -> None:
        """Their field has gone, as by an undo of its adding, or it is there again."""
        if self._reading is None or not self.ready:
            return
        self._catch_up()
        try:
            self._reading.read_decisions(self.facts)
        except ReadError as error:
            self.message.emit("warning", str(error))
            return
        self.queue_changed.emit()

    # --- order ----------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._order.begin()
        self._why_unread = ""
        self._steps.start(self._gather(), self._gathered)

    def _gather(self) -> Iterator[None]:
        """Read the layer; yields often."""
        if self._reading is None:
            return
        try:
            yield from self._reading.read(self._order.facts, self.progress.emit)
        except ReadError as error:
            self._why_unread = str(error)
            return
        while any(each.finding for each in self._ids):
            yield  # ids that were read may be those before a save: then all is read again
        self._order.forget_deleted()

    def _gathered(self) -> None:
        if self._why_unread:
            self.stop()
            self.message.emit("warning", self._why_unread)
            return
        self.progress.emit(0, 0)
        self._give_keys(facts.label for facts in self.facts.values())
        self._fill(keep=False)

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

    def decide(self, status: str, feature_id: Optional[int] = None) -> None:
        """Accept or reject a polygon, and go on from it.

        Args:
            status: The decision.
            feature_id: Of the polygon; None for the current one.
        """
        fields = self._fields
        if fields is not None and self._has_status_field(fields):
            values = {fields.status: status}
            self._write(feature_id, values, tr("Review: {status}").format(status=status))

    def set_class(self, number: int) -> None:
        """Give the current one the class of a number key (from 1), accept it, and go on."""
        label = self.class_of_key(number)
        if label is not None:
            self.give_class(label)

    def class_of_key(self, number: int) -> Optional[str]:
        """The class of a number key (from 1); None, with a sentence, where it has none."""
        classes = self.classes
        if 1 <= number <= len(classes):
            return classes[number - 1]
        self.message.emit(
            "info", tr("There is no class {number} in this layer.").format(number=number)
        )
        return None

    def give_class(self, label: str, feature_id: Optional[int] = None) -> None:
        """Give a polygon a class, accept it, and go on from it.

        Args:
            label: The class.
            feature_id: Of the polygon; None for the current one.
        """
        layer, fields = self.layer, self._fields
        if layer is None or fields is None:
            return
        if fields.label < 0:
            if not self._try(lambda: target.with_class_field(layer)):
                return
            self._find_fields()
        if self._has_status_field(fields):
            values = {fields.label: label, fields.status: ACCEPTED}
            self._write(feature_id, values, tr("Review: {status}").format(status=label))

    def _has_status_field(self, fields: ReviewFields) -> bool:
        """There is a field for the decisions, added anew where an undo has taken it away."""
        if self.running and fields.status < 0:
            why = fields.add_status()
            if why is not None:
                self.message.emit("warning", why)
            self._find_fields()
        return fields.status >= 0

    def _write(self, feature_id: Optional[int], values: dict[int, str], text: str) -> None:
        """Values of a polygon, by fields, as one step of undo; None for the current one."""
        if feature_id is None:
            feature_id = self.current
        if feature_id is not None and self.ready:
            self._writer.write(feature_id, values, text)

    def _written(self, feature_id: int) -> None:
        if feature_id == self.current:
            self.go(1)
        self.queue_changed.emit()

    def form_ended(self, feature_id: int, filled: bool) -> None:
        """The form for a new object was closed: filled in, the object is in the old layer now."""
        if filled and self._fields is not None:
            self._has_status_field(self._fields)
        self._writer.form_ended(feature_id, filled)

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
        facts, fields = self.facts.get(feature_id), self._fields
        if facts is None or fields is None:
            return
        if index not in (fields.status, fields.label):
            return
        self.queue_changed.emit()  # counts are other ones, after an undo as well
        text = fields.text(index, value)
        if index == fields.status:
            self.facts[feature_id] = replace(facts, status=text)
            self._writer.status_changed(feature_id, text, facts.status)
        else:
            self.facts[feature_id] = replace(facts, label=text)
            self._give_keys([text])

    def _geometry_changed(self, feature_id: int, geometry: QgsGeometry) -> None:
        self._catch_up()
        facts = self.facts.get(feature_id)
        if facts is not None and self._reading is not None:
            self.facts[feature_id] = self._reading.with_outline(facts, geometry)
            self.queue_changed.emit()  # the filter hides others
        self._writer.outline_changed(feature_id, None if facts is None else facts.status)
        if feature_id == self.current:
            self._tell_current()

    def _saved(self, ids: dict[int, Optional[int]]) -> None:
        """A save has given features other ids; the queue and the place in it stay."""
        if self.layer is None:
            return
        for feature_id in ids:
            self._writer.close_form(feature_id)
        if self.update is not None:
            self.update.saved(ids)
        self.renamed.emit(ids)
        if not self.ready:
            self._begin()
            return
        self._order.rename(ids)
        self.queue_changed.emit()

    def _old_saved(self, ids: dict[int, Optional[int]]) -> None:
        """Likewise of the old layer of an update."""
        if self.layer is None or self.update is None:
            return
        self.update.old_saved(ids)
        if not self.ready:
            self._begin()

    def _deleted(self, feature_id: int) -> None:
        if self._ids[0].saving:
            return
        self._catch_up()
        current = self._order.delete(feature_id)
        self._writer.close_form(feature_id)
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
        if self.layer is None or self._reading is None or not self.ready:
            self._order.add(feature_id)
            return
        feature = editing.feature_of(self.layer, feature_id)
        if feature is not None:
            facts = self._reading.facts_of(feature)
            self._give_keys([facts.label])
            if self._order.add(feature_id, facts):
                self._tell_soon.start()
            self.queue_changed.emit()
