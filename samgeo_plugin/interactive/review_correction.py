# SPDX-License-Identifier: GPL-2.0-or-later
"""What the review's keys do with an object in work, so that none ends without a word."""

from __future__ import annotations

from typing import Optional

from qgis.PyQt.QtCore import QObject, pyqtSignal

from ..i18n import tr
from .review import Review
from .session import InteractiveSession


class ReviewCorrection(QObject):
    """The correction by clicks of the polygon that a review shows.

    Args:
        review: Whose polygon.
        session: What it is corrected in.
        parent: Qt's owner.
    """

    message = pyqtSignal(str, str)

    def __init__(
        self, review: Review, session: InteractiveSession, parent: Optional[QObject] = None
    ) -> None:
        super().__init__(parent)
        self._review = review
        self._session = session

    @property
    def in_work(self) -> bool:
        """Whether the current polygon is being corrected."""
        current, layer, place = self._review.current, self._review.layer, self._session.place
        if layer is None or place is None or place.layer_id != layer.id():
            return False
        return place.feature_id == current

    def can_begin(self) -> bool:
        """Whether the current polygon can be taken up; a sentence where another object, or a
        correction of this one, would be lost by it."""
        looked_at = self._session.place is not None and len(self._session.prompts) == 1
        if not self._session.prompts or looked_at:
            return True
        self.message.emit(
            "warning",
            tr(
                "An object is in work: accept it (Enter) or give it up (Esc) first, then correct "
                "this polygon."
            ),
        )
        return False

    def accept(self) -> bool:
        """Accept the correction of the current polygon, if there is one, as Enter does; a sentence,
        and False, where it has no outline."""
        if not self.in_work or self._session.accept():
            return True
        self.message.emit(
            "warning",
            tr(
                "The correction of this polygon has no outline: click elsewhere, or give it up "
                "(Esc)."
            ),
        )
        return False

    def give_up(self) -> None:
        """The current polygon is rejected: its correction, if there is one, ends with it."""
        if not self.in_work:
            return
        corrected = len(self._session.prompts) > 1
        self._session.clear()
        if corrected:
            self.message.emit("info", tr("The correction of the rejected polygon was given up."))
