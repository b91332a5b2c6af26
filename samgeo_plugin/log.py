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

    def show(
        self,
        level: str,
        sentence: str,
        detail: str = "",
        actions: Sequence[tuple[str, Callable[[], None]]] = (),
        stays: bool = False,
    ) -> None:
        """One sentence with a way out.

        Args:
            level: "info", "success", "warning" or "error".
            sentence: For a person.
            detail: For the log panel.
            actions: Label and function of each button, where the way out is a click away.
            stays: Until it is closed, whatever its level.
        """
        write(sentence + (f"\n{detail}" if detail else ""), level)
        if level == "error":
            # Only the sentence: details may hold paths that do not belong in a pasted report.
            settings.LAST_ERROR.set(sentence)
        if self._iface is None:
            return
        bar = self._iface.messageBar()
        # An error stays until it is closed: what was lost must not vanish under the next sentence.
        if self._shown is not None and not sip.isdeleted(self._shown):
            bar.popWidget(self._shown)
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
        self._shown = None if level == "error" else pushed

    def open_log(self) -> None:
        """Bring the log panel's tab of this plugin to the front."""
        if self._iface is not None:
            self._iface.openMessageLog(TAG)
