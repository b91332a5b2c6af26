# SPDX-License-Identifier: GPL-2.0-or-later
"""The words to look for, and the model that understands them."""

from __future__ import annotations

from pathlib import PurePath
from typing import Optional

from qgis.core import QgsProject
from qgis.PyQt.QtCore import QEvent, QSignalBlocker, Qt, pyqtSignal
from qgis.PyQt.QtWidgets import QComboBox, QLineEdit, QSizePolicy, QVBoxLayout, QWidget

from ..i18n import tr
from ..interactive.controller import Controller
from ..interactive.words import WordSearch, store, stored, text_of, words_of

_ENTER = (Qt.Key.Key_Return, Qt.Key.Key_Enter)


class WordBox(QLineEdit):
    """Enter belongs to it while it has the focus, also while an object is in work."""

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ShortcutOverride and event.key() in _ENTER:
            event.accept()
            return True
        return bool(super().event(event))


class WordRow(QWidget):
    """Remembers with the project what was written in it.

    Args:
        controller: The plugin's state.
        parent: Qt's owner.
    """

    changed = pyqtSignal()
    """Other words, another model, or other models to choose from."""

    entered = pyqtSignal()

    def __init__(self, controller: Controller, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self._controller = controller
        self._least: Optional[float] = None
        self.words = WordBox()
        self.words.setPlaceholderText(tr("swimming pool, solar panel"))
        self.words.setToolTip(
            tr("What to look for, in English; several words with commas. Each is a class.")
        )
        self.words.setClearButtonEnabled(True)
        self.detector = QComboBox()
        self.detector.setToolTip(tr("Model that understands the words"))
        self.detector.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.words)
        layout.addWidget(self.detector)
        self.words.textEdited.connect(self._edited)
        self.words.returnPressed.connect(self.entered)
        self.detector.activated.connect(self._edited)
        controller.models_changed.connect(self._fill)
        controller.choice_changed.connect(self._fill)
        controller.session.opened.connect(self._fill)
        project = QgsProject.instance()
        project.readProject.connect(self._read)
        project.cleared.connect(self._read)
        self._read()

    def release(self) -> None:
        """The panel is about to be deleted."""
        project = QgsProject.instance()
        project.readProject.disconnect(self._read)
        project.cleared.disconnect(self._read)

    @property
    def possible(self) -> bool:
        """A model on this computer understands words."""
        return self.detector.count() > 0

    @property
    def search(self) -> WordSearch:
        """What is written and chosen."""
        detector = str(self.detector.currentData() or "")
        return WordSearch(words_of(self.words.text()), detector, self._least)

    def show_search(self, search: WordSearch) -> None:
        """Show and remember what somebody else has chosen."""
        store(search)
        self._read()

    def set_least(self, least: float) -> None:
        """The user has said how sure the model must be."""
        self._least = least
        store(self.search)

    def _edited(self, *_: object) -> None:
        search = self.search
        if search.detector != stored().detector:
            self._least = None  # another model's scores mean something else
        store(self.search)
        self.changed.emit()

    def _read(self, *_: object) -> None:
        known = stored()
        self._least = known.least
        if words_of(self.words.text()) != known.words:
            self.words.setText(text_of(known.words))
        self._fill()

    def _fill(self, *_: object) -> None:
        """The models to choose from; the one of the panel is the first."""
        controller = self._controller
        models = dict(controller.word_models)
        chosen = controller.choice.model
        model = controller.session.info.get("model") or {}
        blocker = QSignalBlocker(self.detector)
        self.detector.clear()
        if chosen in models or (controller.session.engine.is_open and model.get("words")):
            title = models.pop(chosen, PurePath(chosen).name)
            self.detector.addItem(tr("{model} (the chosen model)").format(model=title), "")
        for name, title in models.items():
            self.detector.addItem(title, name)
        wanted = stored().detector
        at = self.detector.findData("" if wanted == chosen else wanted)
        self.detector.setCurrentIndex(max(at, 0) if self.detector.count() else -1)
        del blocker
        self.changed.emit()
