# SPDX-License-Identifier: GPL-2.0-or-later
"""QGIS's own forms for new objects, where a layer asks for values that nobody has given yet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Optional

from qgis.core import QgsFeature, QgsVectorLayer
from qgis.gui import QgsAttributeDialog, QgsAttributeEditorContext
from qgis.PyQt import sip
from qgis.PyQt.QtCore import QObject, Qt
from qgis.PyQt.QtWidgets import QWidget

from ..i18n import tr
from ..interactive import last_values
from ..interactive.candidates import Accepted
from ..interactive.controller import Controller
from ..interactive.review import Review
from ..interactive.target import FormWanted, Written


class FeatureForms(QObject):
    """Shows a form for each part of a new object; a form writes its part itself.

    Args:
        window: Parent of the forms.
        controller: Tells of objects that were accepted in the panel, and hears of what was written.
        review: Likewise of new objects in the review of an update.
        parent: Qt's owner.
    """

    def __init__(
        self,
        window: QWidget,
        controller: Controller,
        review: Review,
        parent: Optional[QObject] = None,
    ) -> None:
        super().__init__(parent)
        self._window = window
        self._controller = controller
        self._review = review
        self._released = False
        self.open: list[Any] = []
        self.of_changes: dict[int, Any] = {}
        """First forms of new objects in the review, by the number of the change."""
        controller.form_wanted.connect(self._show_for_accepted)
        review.form_wanted.connect(self._show_for_change)
        review.form_unwanted.connect(self._close_for_change)

    def release(self) -> None:
        """The plugin is being unloaded: a form that is open writes its object, none follows it."""
        self._released = True

    def _show_for_accepted(self, wanted: FormWanted, accepted: Accepted) -> None:
        """An object that was accepted in the panel; what was written of it is told."""

        def done(written: list[int]) -> None:
            if written:
                self._controller.note(accepted, Written(wanted.layer.id(), tuple(written)))

        self._show(wanted, done)

    def _show_for_change(self, wanted: FormWanted, change: int) -> None:
        """A new object that was accepted in the review of an update: it has one form at most."""
        form = self.of_changes.get(change)
        if form is not None:
            form.raise_()
            form.activateWindow()
            return

        def done(written: list[int]) -> None:
            self.of_changes.pop(change, None)
            self._review.form_ended(change, bool(written))

        self.of_changes[change] = self._show(wanted, done)

    def _close_for_change(self, change: int) -> None:
        """The new object is not accepted any more."""
        form = self.of_changes.get(change)
        if form is not None:
            form.reject()

    def _show(self, wanted: FormWanted, done: Callable[[list[int]], None]) -> Any:
        """The layer's form for each part of a new object, one after the other; it writes them
        itself.

        Args:
            wanted: The layer and the parts.
            done: Called at the end with the ids of what was written.

        Returns:
            The first form.
        """
        if wanted.why:
            self._controller.reporter.show("info", wanted.why)
        return self._show_next(wanted.layer, list(wanted.features), done, [])

    def _show_next(
        self,
        layer: QgsVectorLayer,
        features: list[QgsFeature],
        done: Callable[[list[int]], None],
        written: list[int],
    ) -> Any:
        """The form for the first of the features; with none left, what was written is told."""
        if self._released:
            return None
        gone = sip.isdeleted(layer)
        if gone or not features:
            done([] if gone else written)
            return None
        if not layer.isEditable():
            layer.startEditing()
        dialog = QgsAttributeDialog(layer, QgsFeature(features[0]), False, self._window, True)
        dialog.setMode(QgsAttributeEditorContext.Mode.AddFeatureMode)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.open.append(dialog)

        def saved(feature: QgsFeature) -> None:
            last_values.remember(layer, feature)
            written.append(feature.id())

        said: list[Any] = []

        def editing_stopped() -> None:
            if not self._released:
                said.append(self._say_how_to_go_on(layer))

        def editing_started() -> None:
            while said:
                self._controller.reporter.take_back(said.pop())

        def finished(_: int) -> None:
            self.open.remove(dialog)
            editing_started()
            if not sip.isdeleted(layer):
                layer.editingStopped.disconnect(editing_stopped)
                layer.editingStarted.disconnect(editing_started)
            self._show_next(layer, features[1:], done, written)

        layer.editingStopped.connect(editing_stopped)
        layer.editingStarted.connect(editing_started)
        dialog.attributeForm().featureSaved.connect(saved)
        dialog.finished.connect(finished)
        dialog.show()
        return dialog

    def _say_how_to_go_on(self, layer: QgsVectorLayer) -> Any:
        """Editing has ended while a form is open, which can only be cancelled now."""

        def edit_again() -> None:
            if not sip.isdeleted(layer):
                layer.startEditing()

        return self._controller.reporter.show(
            "warning",
            tr(
                "Editing of {layer} has ended, and the object whose form is open is not in it: "
                "edit it again, then press OK."
            ).format(layer=layer.name()),
            actions=[(tr("Edit it again"), edit_again)],
            stays=True,
        )
