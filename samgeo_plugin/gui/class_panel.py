# SPDX-License-Identifier: GPL-2.0-or-later
"""The class box: the project's classes with their colours and number keys."""

from __future__ import annotations

from typing import Optional

from qgis.gui import QgsColorButton
from qgis.PyQt.QtCore import QSignalBlocker, QSize, Qt, pyqtSignal
from qgis.PyQt.QtGui import QColor, QIcon, QPainter, QPixmap
from qgis.PyQt.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from ..i18n import tr
from ..interactive.classes import MOST_KEYS, ClassList
from .icons import theme_icon

_ROWS = 6
"""Rows that are shown at most without scrolling."""

_NAME = Qt.ItemDataRole.UserRole


class ClassPanel(QWidget):
    """Chooses, adds, renames (double click), colours and removes classes.

    Args:
        classes: The project's.
        parent: Qt's owner.
    """

    said = pyqtSignal(str)
    """The user has chosen or added a class: the object in work is of it, too."""

    def __init__(self, classes: ClassList, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self._classes = classes
        self.list = QListWidget()
        self.list.setIconSize(QSize(14, 14))
        self.list.setUniformItemSizes(True)
        self.list.setEditTriggers(QAbstractItemView.EditTrigger.DoubleClicked)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        # Number keys and Enter go on belonging to the map.
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.list.setToolTip(
            tr("The class of the objects that you accept; number keys choose it on the map")
        )
        self.list.currentItemChanged.connect(self._chosen)
        self.list.itemClicked.connect(self._chosen)  # the one in use, for the object in work
        self.list.itemChanged.connect(self._renamed)

        self.name = QLineEdit()
        self.name.setPlaceholderText(tr("New class"))
        self.name.setClearButtonEnabled(True)
        self.name.returnPressed.connect(self._add)
        self.add = _button("/symbologyAdd.svg", tr("Add the class"))
        self.add.clicked.connect(self._add)
        self.colour = QgsColorButton()
        self.colour.setShowMenu(False)
        self.colour.setMaximumWidth(48)
        self.colour.setToolTip(tr("Colour of the class"))
        self.colour.colorChanged.connect(self._coloured)
        self.remove = _button("/symbologyRemove.svg", tr("Take the class off the list"))
        self.remove.clicked.connect(lambda: classes.remove(classes.current))
        row = QHBoxLayout()
        row.setSpacing(2)
        row.addWidget(self.name, 1)
        for widget in (self.add, self.colour, self.remove):
            row.addWidget(widget)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        layout.addWidget(self.list)
        layout.addLayout(row)
        classes.changed.connect(self.show_classes)
        classes.current_changed.connect(self._show_current)
        self.show_classes()

    def show_classes(self) -> None:
        """All classes, numbered, below what has none."""
        blocker = QSignalBlocker(self.list)
        self.list.clear()
        items = self._classes.items
        self.list.setVisible(bool(items))
        if items:
            none = QListWidgetItem(_square(None), tr("No class"))
            none.setData(_NAME, "")
            self.list.addItem(none)
        for number, each in enumerate(items, start=1):
            item = QListWidgetItem(_square(QColor(each.colour)), each.name)
            item.setData(_NAME, each.name)
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsEditable)
            if number <= MOST_KEYS:
                item.setToolTip(tr("Key {number}").format(number=number))
            self.list.addItem(item)
        rows = min(max(self.list.count(), 1), _ROWS)
        height = max(self.list.sizeHintForRow(0), 16)
        self.list.setFixedHeight(rows * height + 2 * self.list.frameWidth() + 2)
        del blocker
        self._number()
        self._show_current()

    def _number(self) -> None:
        """Number keys before the names; the names themselves can be edited."""
        for row in range(1, self.list.count()):
            item = self.list.item(row)
            colour = self._classes.colour(str(item.data(_NAME)))
            item.setIcon(_square(colour, str(row) if row <= MOST_KEYS else ""))

    def _show_current(self, *_: object) -> None:
        blocker = QSignalBlocker(self.list)
        current = self._classes.current
        for row in range(self.list.count()):
            if self.list.item(row).data(_NAME) == current:
                self.list.setCurrentRow(row)
        del blocker
        colour = self._classes.colour(current)
        self.colour.setEnabled(colour is not None)
        self.remove.setEnabled(colour is not None)
        if colour is not None:
            blocker = QSignalBlocker(self.colour)
            self.colour.setColor(colour)
            del blocker

    def _chosen(self, item: Optional[QListWidgetItem], _: object = None) -> None:
        if item is not None:
            self._classes.choose(str(item.data(_NAME)))
            self.said.emit(self._classes.current)

    def _renamed(self, item: QListWidgetItem) -> None:
        old, new = str(item.data(_NAME)), item.text().strip()
        if old and new != old and not self._classes.rename(old, new):
            self.show_classes()

    def _coloured(self, colour: QColor) -> None:
        if self._classes.current:
            self._classes.set_colour(self._classes.current, colour)

    def _add(self) -> None:
        if self._classes.add(self.name.text()):
            self.name.clear()
            self.said.emit(self._classes.current)


def _button(name: str, text: str) -> QToolButton:
    button = QToolButton()
    button.setIcon(theme_icon(name))
    button.setToolTip(text)
    button.setAutoRaise(True)
    return button


def _square(colour: Optional[QColor], text: str = "") -> QIcon:
    """A class's colour with its key; an empty square for no class."""
    side = 32
    picture = QPixmap(side, side)
    picture.fill(colour if colour is not None else QColor(0, 0, 0, 0))
    painter = QPainter(picture)
    if colour is None:
        painter.setPen(QColor(128, 128, 128))
        painter.drawRect(1, 1, side - 3, side - 3)
    if text and colour is not None:
        font = painter.font()
        font.setPixelSize(26)
        font.setBold(True)
        painter.setFont(font)
        painter.setPen(QColor("black" if colour.lightness() > 140 else "white"))
        painter.drawText(picture.rect(), Qt.AlignmentFlag.AlignCenter, text)
    painter.end()
    return QIcon(picture)
