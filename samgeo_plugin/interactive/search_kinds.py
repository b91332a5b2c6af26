# SPDX-License-Identifier: GPL-2.0-or-later
"""What can be looked for, and the least score from which an object of each kind is shown."""

from __future__ import annotations

from typing import Optional

from qgis.PyQt.QtCore import QObject, pyqtSignal

from .words import NO_WORDS, WordSearch

EXAMPLES = "examples"
EVERYTHING = "everything"
WORDS = "words"
"""What is looked for: what is like the examples, all objects, what words name, or a class that the
model knows."""

USUAL_LEAST = 0.5
"""Probability of a class by examples from which an object is shown; likewise the score of any."""


def is_class(what: str) -> bool:
    """Whether a class of the model is looked for."""
    return what not in (EXAMPLES, EVERYTHING, WORDS)


class LeastScores(QObject):
    """The least score of the search that is shown, and of the next one of each kind.

    What the user chooses counts for one kind of search. Words keep theirs themselves, because it
    belongs to the model that understands them. For a class of the model it is the engine's own, as
    long as the user has chosen none.

    Args:
        parent: Qt's owner.
    """

    changed = pyqtSignal()
    """Of a search to come."""

    shown_changed = pyqtSignal()
    """Of the search that is shown, by the user."""

    def __init__(self, parent: Optional[QObject] = None) -> None:
        super().__init__(parent)
        self.shown: Optional[float] = USUAL_LEAST
        """Of the search that is shown; None while it is the engine's own, which comes with its
        first answer."""
        self._what = EXAMPLES
        self._chosen: dict[str, float] = {}

    def of(self, what: str) -> Optional[float]:
        """Of the next search; None for the engine's own.

        Args:
            what: :data:`EXAMPLES`, :data:`EVERYTHING` or a class of the model.
        """
        return self._chosen.get(what, None if is_class(what) else USUAL_LEAST)

    def begin(self, what: str, search: WordSearch = NO_WORDS) -> None:
        """Another search is shown from now on.

        Args:
            what: As for :meth:`of`, or :data:`WORDS`.
            search: The words.
        """
        self._what = what
        self.shown = search.least if what == WORDS else self.of(what)

    def hear(self, own: float) -> None:
        """The engine names its own, which counts where the user has chosen none."""
        if self.shown is None:
            self.shown = own

    def choose_shown(self, least: float) -> None:
        """The user's choice for the search that is shown and the next ones of its kind."""
        if self._what != WORDS:
            self._chosen[self._what] = least
        if least != self.shown:
            self.shown = least
            self.shown_changed.emit()

    def choose(self, what: str, least: float) -> None:
        """The user's choice for searches to come.

        Args:
            what: As for :meth:`of`.
            least: The probability or score.
        """
        self._chosen[what] = least
        self.changed.emit()

    def forget(self) -> None:
        """Another raster or model, whose scores are of another kind."""
        self._chosen = {}
        self.changed.emit()
