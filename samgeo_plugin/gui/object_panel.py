# SPDX-License-Identifier: GPL-2.0-or-later
"""The object in work: its candidates with their scores, its size, and what can be done with it."""

from __future__ import annotations

from typing import Optional

from qgis.PyQt.QtCore import Qt, pyqtSignal
from qgis.PyQt.QtWidgets import (
    QButtonGroup,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from .. import settings
from ..i18n import tr
from ..interactive.opening import CLOSED, OPENING
from ..interactive.session import InteractiveSession
from .icons import theme_icon
from .map_tool import BOX, STROKE

MOST_CANDIDATES = 3


def area_text(area: float) -> str:
    """Square metres in a unit that reads well."""
    if area >= 1e6:
        return f"{area / 1e6:.2f} km²"
    if area >= 1e5:
        return f"{area / 1e4:.1f} ha"
    return f"{area:.0f} m²" if area >= 100 else f"{area:.1f} m²"


class ObjectPanel(QWidget):
    """Buttons for what the keys do too; every tool tip names its key."""

    polygon_wanted = pyqtSignal()

    def __init__(self, session: InteractiveSession, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self._session = session
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)

        top = QHBoxLayout()
        self.drag = QComboBox()
        self.drag.addItem(theme_icon("/mActionSelectRectangle.svg"), tr("Drag: box"), BOX)
        self.drag.addItem(theme_icon("/mActionSelectFreehand.svg"), tr("Drag: stroke"), STROKE)
        self.drag.setToolTip(tr("What a drag on the map draws; Ctrl draws the other one"))
        self.drag.setCurrentIndex(max(self.drag.findData(settings.DRAG.get()), 0))
        self.drag.activated.connect(lambda _: settings.DRAG.set(str(self.drag.currentData())))
        top.addWidget(self.drag, 1)
        self.polygon = QToolButton()
        self.polygon.setIcon(theme_icon("/mActionSelectPolygon.svg"))
        self.polygon.setToolTip(tr("Use the selected polygon as a prompt"))
        self.polygon.clicked.connect(self.polygon_wanted)
        top.addWidget(self.polygon)
        layout.addLayout(top)

        row = QHBoxLayout()
        row.setSpacing(2)
        self._group = QButtonGroup(self)
        self.candidates = []
        for index in range(MOST_CANDIDATES):
            button = QToolButton()
            button.setCheckable(True)
            button.setToolTip(tr("Candidate {number} and its score (Tab)").format(number=index + 1))
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            self._group.addButton(button, index)
            row.addWidget(button)
            self.candidates.append(button)
        row.addStretch(1)
        self.facts = QLabel()
        row.addWidget(self.facts)
        layout.addLayout(row)

        self.hint = QLabel()
        self.hint.setWordWrap(True)
        self.hint.setTextFormat(Qt.TextFormat.PlainText)
        layout.addWidget(self.hint)

        buttons = QHBoxLayout()
        self.accept = QPushButton(theme_icon("/mActionCheckQgisVersion.svg"), tr("Accept"))
        self.accept.setToolTip(tr("Write the polygon into the target layer (Enter, double click)"))
        self.accept.clicked.connect(session.accept)
        self.undo = QPushButton(theme_icon("/mActionUndo.svg"), tr("Undo"))
        self.undo.setToolTip(tr("Take the last prompt back (Ctrl+Z, Backspace)"))
        self.undo.clicked.connect(session.undo)
        self.clear = QPushButton(tr("Clear"))
        self.clear.setToolTip(tr("Give the object up (Esc twice)"))
        self.clear.clicked.connect(session.clear)
        for button in (self.accept, self.undo, self.clear):
            # The map keeps the keyboard while somebody works on it.
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            buttons.addWidget(button)
        layout.addLayout(buttons)

        self._group.idClicked.connect(session.choose)
        session.changed.connect(self.show_session)
        self.show_session()

    def show_session(self) -> None:
        session = self._session
        offered, current = session.candidates, session.current
        for index, button in enumerate(self.candidates):
            there = index < len(offered)
            button.setEnabled(there)
            button.setText(f"{offered[index].score:.2f}" if there else "–")
            self._group.setExclusive(False)
            button.setChecked(there and index == session.index)
            self._group.setExclusive(True)
        facts = ""
        if current is not None:
            facts = area_text(current.area_m2)
            if current.tiles > 1:
                facts += " · " + tr("{count} windows").format(count=current.tiles)
        self.facts.setText(facts)
        self.hint.setText(self._hint())
        self.accept.setEnabled(current is not None or session.is_waiting)
        self.undo.setEnabled(bool(session.prompts or session.pending))
        self.clear.setEnabled(bool(session.prompts))

    def _hint(self) -> str:
        session = self._session
        if session.state == OPENING:
            return tr("The raster is being opened…")
        if session.pending:
            return tr("Accepted objects that are still being made: {count}").format(
                count=session.pending
            )
        if session.state == CLOSED:
            return tr("Choose the Segment tool and click an object on the map.")
        if session.is_waiting and not session.candidates:
            return tr("Looking at the image…")
        if session.limit:
            return session.limit
        if session.current is not None:
            return tr("Left click adds, right click removes, Enter accepts.")
        if session.is_preparing:
            return tr("The image here is being prepared; a click waits for it.")
        return tr("Click an object, or drag a box around it.")
