# SPDX-License-Identifier: GPL-2.0-or-later
"""Writing a review's decisions: into the reviewed layer, and what they mean into the old one.

Each decision is one step of undo of the reviewed layer. Where that layer is an update, the old
layer follows its decisions, whoever makes them: a key, QGIS's own tools, or an undo.
"""

from __future__ import annotations

from typing import Optional, Union

from qgis.core import QgsVectorLayer
from qgis.PyQt.QtCore import QObject, pyqtSignal

from ..i18n import tr
from . import editing, target
from .decisions import ACCEPTED
from .editing import EditError
from .update_review import UpdateReview


class DecisionWriter(QObject):
    """Writes into one layer at a time.

    Args:
        parent: Qt's owner.

    Attributes:
        settling: The old layer of an update is being changed for a decision.
    """

    written = pyqtSignal(object)
    """The id of the feature that was decided."""

    message = pyqtSignal(str, str)
    form_wanted = pyqtSignal(object, object)
    """Why, and the id of the change that is accepted once :meth:`form_ended` says so."""

    form_unwanted = pyqtSignal(object)
    """The id of a change that is not to be accepted any more."""

    def __init__(self, parent: Optional[QObject] = None) -> None:
        super().__init__(parent)
        self._layer: Optional[QgsVectorLayer] = None
        self._update: Optional[UpdateReview] = None
        self._deciding = False
        self.settling = False
        self._refused: Union[EditError, target.FormWanted, None] = None
        """Why the old layer does not take the change that is being accepted."""
        self._in_forms: dict[int, tuple[dict[str, str], str]] = {}
        """What is to be set where the old layer's form is filled in, by the ids of the changes:
        values by the names of fields, which may have other places by then."""

    def begin(self, layer: QgsVectorLayer, update: Optional[UpdateReview]) -> None:
        """Write into this layer; decisions of an update change its old layer."""
        self._layer, self._update = layer, update

    def end(self) -> None:
        """Nothing is decided any more."""
        for feature_id in list(self._in_forms):
            self.close_form(feature_id)
        self._layer = self._update = None

    def write(self, feature_id: int, values: dict[int, str], text: str) -> None:
        """Set values of one feature as one step of undo.

        Args:
            feature_id: Of the feature.
            values: By the indices of the fields.
            text: What the step of undo is called.
        """
        if self._layer is None:
            return
        self._deciding = True
        try:
            with editing.command(self._layer, text):
                for index, value in values.items():
                    editing.set_value(self._layer, feature_id, index, value)
                if self._refused is not None:  # a slot's exception would not reach this place
                    raise self._refused
        except target.FormWanted as wanted:
            fields = self._layer.fields()
            named = {fields.at(index).name(): value for index, value in values.items()}
            self._in_forms[feature_id] = named, text
            self.form_wanted.emit(wanted, feature_id)
            return
        except EditError as error:
            self.message.emit("warning", str(error))
            return
        finally:
            self._deciding, self._refused = False, None
        self.written.emit(feature_id)

    # --- forms of the old layer -----------------------------------------------------------------

    def form_ended(self, feature_id: int, filled: bool) -> None:
        """The form for a new object was closed: filled in, the object is in the old layer now."""
        decided = self._in_forms.pop(feature_id, None)
        if decided is None or not filled or self._layer is None:
            return
        values, text = decided
        places = {name: self._layer.fields().indexFromName(name) for name in values}
        there = {places[name]: value for name, value in values.items() if places[name] >= 0}
        self.write(feature_id, there, text)

    def close_form(self, feature_id: int) -> None:
        """What the form shows is out of date."""
        if self._in_forms.pop(feature_id, None) is not None:
            self.form_unwanted.emit(feature_id)

    # --- the old layer follows ------------------------------------------------------------------

    def status_changed(self, feature_id: int, status: str, before: str) -> None:
        """The layer has another decision, or was given the same one again."""
        if self._refused is not None:
            return
        if status != ACCEPTED:
            self.close_form(feature_id)
        if status != before or status == ACCEPTED:
            self._settle(feature_id, status == ACCEPTED, before == ACCEPTED)

    def outline_changed(self, feature_id: int, status: Optional[str]) -> None:
        """A feature has another outline; its decision, if it is known, is the same."""
        self.close_form(feature_id)  # it holds the outline before
        if status == ACCEPTED:
            self._settle(feature_id, True, True)

    def _settle(self, feature_id: int, accepted: bool, was_accepted: bool) -> None:
        if self._update is None:
            return
        self.settling = True
        try:
            self._update.settle(feature_id, accepted, was_accepted)
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
