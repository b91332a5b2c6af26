# SPDX-License-Identifier: GPL-2.0-or-later
"""Enter accepts the object in work wherever the keyboard's focus is in QGIS's main window."""

from __future__ import annotations

from typing import Optional

from qgis.PyQt.QtCore import QObject, Qt
from qgis.PyQt.QtGui import QKeySequence
from qgis.PyQt.QtWidgets import (
    QAbstractItemView,
    QAbstractSpinBox,
    QAction,
    QApplication,
    QLineEdit,
    QPlainTextEdit,
    QTextEdit,
    QWidget,
)

from ..interactive.session import InteractiveSession

_TYPED_INTO = (QLineEdit, QTextEdit, QPlainTextEdit, QAbstractSpinBox, QAbstractItemView)


class AcceptShortcut(QObject):
    """Only while the tool is in hand and an object is in work; never while somebody types.

    The panel's own boxes are no hindrance: a number that was typed there is taken over first.

    Args:
        window: The main window.
        session: Whose object is accepted.
        dock: Name of the plugin's panel.
    """

    def __init__(self, window: QWidget, session: InteractiveSession, dock: str) -> None:
        super().__init__(window)
        self._session = session
        self._dock = dock
        self._in_hand = False
        self._window = window
        self._action: Optional[QAction] = QAction(self)
        keys = (Qt.Key.Key_Return, Qt.Key.Key_Enter)
        self._action.setShortcuts([QKeySequence(key) for key in keys])
        self._action.setAutoRepeat(False)
        self._action.setEnabled(False)
        self._action.triggered.connect(self._accept)
        window.addAction(self._action)
        session.changed.connect(self._update)
        QApplication.instance().focusChanged.connect(self._update)

    def set_in_hand(self, in_hand: bool) -> None:
        """The tool was taken, or another one was."""
        self._in_hand = in_hand
        self._update()

    def dispose(self) -> None:
        if self._action is None:
            return
        QApplication.instance().focusChanged.disconnect(self._update)
        self._session.changed.disconnect(self._update)
        self._window.removeAction(self._action)
        self._action = None
        self.deleteLater()

    def _update(self, *_: object) -> None:
        wanted = self._in_hand and bool(self._session.prompts) and not self._somebody_types()
        if self._action is not None:
            self._action.setEnabled(wanted)

    def _somebody_types(self) -> bool:
        focus = QApplication.focusWidget()
        return isinstance(focus, _TYPED_INTO) and not self._is_ours(focus)

    def _is_ours(self, widget: Optional[QWidget]) -> bool:
        while widget is not None:
            if widget.objectName() == self._dock:
                return True
            widget = widget.parentWidget()
        return False

    def _accept(self) -> None:
        focus = QApplication.focusWidget()
        if isinstance(focus, QAbstractSpinBox):
            focus.interpretText()
        self._session.accept()
