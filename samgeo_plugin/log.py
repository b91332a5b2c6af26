# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages to the user in the message bar, details in the log panel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Optional

from qgis.core import Qgis, QgsMessageLog
from qgis.PyQt import sip
from qgis.PyQt.QtWidgets import QPushButton

from . import settings
from .i18n import tr

TAG = "SamGeo Seamless"

_LEVELS = {
    "debug": Qgis.MessageLevel.Info,
    "info": Qgis.MessageLevel.Info,
    "success": Qgis.MessageLevel.Success,
    "warning": Qgis.MessageLevel.Warning,
    "error": Qgis.MessageLevel.Critical,
}


def write(message: str, level: str = "info") -> None:
    """A line in the log panel's tab of this plugin; never a pop-up."""
    QgsMessageLog.logMessage(message, TAG, _LEVELS.get(level, Qgis.MessageLevel.Info), False)


class Reporter:
    """Shows sentences in a message bar and writes their details into the log.

    Args:
        iface: QGIS's interface, or None (``qgis_process``, tests): then only the log is used.
    """

    def __init__(self, iface: Optional[Any]) -> None:
        self._iface = iface
        self._shown: Optional[Any] = None
        self._with_buttons: list[Any] = []

    def show(
        self,
        level: str,
        sentence: str,
        detail: str = "",
        actions: Sequence[tuple[str, Callable[[], None]]] = (),
        stays: bool = False,
    ) -> Optional[Any]:
        """One sentence with a way out.

        Args:
            level: "info", "success", "warning" or "error".
            sentence: For a person.
            detail: For the log panel.
            actions: Label and function of each button, where the way out is a click away.
            stays: Until it is closed, whatever its level and whatever is said meanwhile.

        Returns:
            What is shown, for :meth:`take_back`; None without a message bar.
        """
        write(sentence + (f"\n{detail}" if detail else ""), level)
        if level == "error":
            # Only the sentence: details may hold paths that do not belong in a pasted report.
            settings.LAST_ERROR.set(sentence)
        if self._iface is None:
            return None
        bar = self._iface.messageBar()
        self.take_back(self._shown)
        item = bar.createMessage("SamGeo", sentence)
        for label, does in actions:
            button = QPushButton(label, item)
            button.clicked.connect(does)
            button.clicked.connect(lambda: bar.popWidget(item))
            item.layout().addWidget(button)
        if detail and not actions:
            button = QPushButton(tr("Details"), item)
            button.clicked.connect(self.open_log)
            item.layout().addWidget(button)
        seconds = 0 if stays else {"error": 0, "warning": 12}.get(level, 5)
        pushed = bar.pushWidget(item, _LEVELS[level], seconds)
        # An error stays until it is closed, and so does a question: what was lost, or can still be
        # saved by an answer, must not vanish under the next sentence.
        self._shown = None if level == "error" or stays else pushed
        if actions:
            there = [each for each in self._with_buttons if not sip.isdeleted(each)]
            self._with_buttons = [*there, pushed]
        return pushed

    def take_back(self, shown: Optional[Any]) -> None:
        """Close a sentence, where it has not been closed yet."""
        if shown is not None and not sip.isdeleted(shown):
            self._iface.messageBar().popWidget(shown)

    def release(self) -> None:
        """The plugin is being unloaded: what its buttons would do is done by nobody any more."""
        for each in self._with_buttons:
            self.take_back(each)
        self._with_buttons = []

    def open_log(self) -> None:
        """Bring the log panel's tab of this plugin to the front."""
        if self._iface is not None:
            self._iface.openMessageLog(TAG)
