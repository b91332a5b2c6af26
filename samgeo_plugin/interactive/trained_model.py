# SPDX-License-Identifier: GPL-2.0-or-later
"""A model that was trained here becomes the panel's, once no work would be lost by it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Optional

from qgis.PyQt.QtCore import QObject

from .automatic import Automatic
from .controller import Controller


class TrainedModel(QObject):
    """Waits until the object in work and an automatic run are done: another model ends both.

    Args:
        controller: Whose model it becomes.
        automatic: The runs that are waited for.
        reopen: Opens what is open once more, where the tool is in hand.
        parent: Qt's owner.
    """

    def __init__(
        self,
        controller: Controller,
        automatic: Automatic,
        reopen: Callable[[], None],
        parent: Optional[QObject] = None,
    ) -> None:
        super().__init__(parent)
        self._controller = controller
        self._automatic = automatic
        self._reopen = reopen
        self._waiting = self._before = ""
        controller.session.changed.connect(self._choose)
        automatic.changed.connect(self._choose)
        controller.choice_changed.connect(self._choice_changed)

    def use(self, name: str) -> None:
        """A model that was trained here is the panel's, and one of its list."""
        self._waiting, self._before = name, self._controller.choice.model
        self._choose()
        self._controller.refresh_models()

    def release(self) -> None:
        """The plugin is being unloaded."""
        self._waiting = ""

    def _choose(self) -> None:
        controller = self._controller
        self._choice_changed()  # the session closes before the choice is told
        if not self._waiting or controller.session.prompts:
            return
        if controller.session.pending or self._automatic.busy:
            return
        trained, self._waiting = self._waiting, ""
        if controller.choice.model == trained:  # what is open is the one before of that name
            controller.session.close()
            self._reopen()
        controller.choose(model=trained)

    def _choice_changed(self) -> None:
        """Another model was chosen since: it stays."""
        if self._controller.choice.model != self._before:
            self._waiting = ""
