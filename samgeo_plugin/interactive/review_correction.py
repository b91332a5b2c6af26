# SPDX-License-Identifier: GPL-2.0-or-later
"""What the review's keys do with an object in work, so that none ends without a word.

What a key decides on a polygon that is being corrected is done once the correction is in the layer,
and not at all where it does not come::

    click   key A        answer               in the layer
    ------- is_waiting --------- accepted ----------------- decided, on to the next polygon
                           |                     |
                           refused: the object   refused: the engine says why
                           stays in work
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Optional

from qgis.PyQt.QtCore import QObject, pyqtSignal

from ..i18n import tr
from .controller import Controller
from .review import Review
from .target import Written


class ReviewCorrection(QObject):
    """The correction by clicks of the polygon that a review shows.

    Args:
        review: Whose polygon.
        controller: Writes the correction; its session is what the polygon is corrected in.
        parent: Qt's owner.
    """

    message = pyqtSignal(str, str)

    def __init__(
        self, review: Review, controller: Controller, parent: Optional[QObject] = None
    ) -> None:
        super().__init__(parent)
        self._review = review
        self._session = controller.session
        self._then: dict[int, Callable[[int], None]] = {}
        """What is to be done once the correction of a polygon is in the layer."""
        self._coming: set[int] = set()
        """Polygons whose correction was accepted and is not in the layer yet."""
        self._prompts = 0
        """How many prompts the correction that is to be accepted has at least."""
        self._was: Optional[int] = None
        """The polygon of the reviewed layer that was in work before the session's last change."""
        self._pending = 0
        self._session.changed.connect(self._follow)
        controller.written.connect(self._written)
        review.started.connect(self._follow)
        review.renamed.connect(self._renamed)
        review.stopped.connect(self._forget)

    @property
    def _corrected(self) -> Optional[int]:
        """The polygon of the reviewed layer that is in work."""
        layer, place = self._review.layer, self._session.place
        if layer is None or place is None or place.layer_id != layer.id():
            return None
        return place.feature_id

    @property
    def in_work(self) -> bool:
        """Whether the current polygon is being corrected."""
        corrected = self._corrected
        return corrected is not None and corrected == self._review.current

    @property
    def is_decided(self) -> bool:
        """Something is to be done with the current polygon once its correction is there."""
        return self._review.current in self._then

    def make_room(self) -> bool:
        """Whether the current polygon can be taken up; a sentence where another object, or a
        correction of this one, would be lost by it. A class that was said for a polygon which was
        only looked at is written."""
        looked_at = self._session.place is not None and len(self._session.prompts) == 1
        if looked_at:
            self._session.accept()
        if not self._session.prompts:
            return True
        self.message.emit(
            "warning",
            tr(
                "An object is in work: accept it (Enter) or give it up (Esc) first, then correct "
                "this polygon."
            ),
        )
        return False

    def accept(self, then: Callable[[int], None]) -> None:
        """Accept the correction of the current polygon, if there is one, as Enter does; a sentence
        where it has no outline.

        Args:
            then: What is to be done with the polygon, by its id, once its correction is in the
                layer: at once where there is none.
        """
        current, session = self._review.current, self._session
        if current is None:
            return
        if current in self._coming:
            self._then[current] = then
        elif not self.in_work:
            then(current)
        elif len(session.prompts) == 1:
            session.accept()  # it was looked at and found right
            then(current)
        else:
            self._then[current], self._prompts = then, len(session.prompts)
            if not session.is_waiting:
                self._hand_over(current)

    def after(self, then: Callable[[], None]) -> None:
        """Do something once the accepted correction of the current polygon is in the layer and
        decided; at once where none is to come."""
        current = self._review.current
        if current is None or current not in self._coming:
            then()
            return
        decide = self._then.get(current)

        def both(feature_id: int) -> None:
            if decide is not None:
                decide(feature_id)
            then()

        self._then[current] = both

    def _hand_over(self, feature_id: int) -> None:
        """Accept the correction in work, whose answer is there."""
        if self._session.accept():
            return
        self._then.pop(feature_id, None)
        self.message.emit(
            "warning",
            tr(
                "The correction of this polygon has no outline: click elsewhere, or give it up "
                "(Esc)."
            ),
        )

    def give_up(self) -> None:
        """The current polygon is rejected: its correction, if there is one, ends with it."""
        if self._review.current is not None:
            self._then.pop(self._review.current, None)
        if not self.in_work:
            return
        corrected = len(self._session.prompts) > 1
        self._session.clear()
        if corrected:
            self.message.emit("info", tr("The correction of the rejected polygon was given up."))

    # --- where corrections are ------------------------------------------------------------------

    def _follow(self) -> None:
        """The session has changed: corrections are answered, accepted, refused or taken back."""
        session, now = self._session, self._corrected
        before, self._was = self._was, now
        more, self._pending = session.pending > self._pending, session.pending
        if before is not None and before != now and more:
            self._coming.add(before)
        if now in self._coming:
            self._coming.discard(now)
            self._then.pop(now, None)
        if not session.pending:
            self._coming.clear()
        for feature_id in list(self._then):
            in_work = feature_id == now and len(session.prompts) >= self._prompts
            if feature_id not in self._coming and not in_work:
                del self._then[feature_id]
        if now in self._then and not session.is_waiting:
            self._hand_over(now)

    def _written(self, written: Written) -> None:
        layer = self._review.layer
        if layer is None or written.layer_id != layer.id():
            return
        for feature_id in self._coming.intersection(written.feature_ids):
            self._coming.discard(feature_id)
            then = self._then.pop(feature_id, None)
            if then is not None:
                then(feature_id)

    def _renamed(self, ids: dict[int, Optional[int]]) -> None:
        """A save has given features of the reviewed layer other ids (``SavedIds.changed``)."""
        now = {k: ids.get(k, k) for k in (*self._coming, *self._then)}
        self._coming = {now[k] for k in self._coming if now[k] is not None}
        self._then = {now[k]: then for k, then in self._then.items() if now[k] is not None}
        self._was = ids.get(self._was, self._was) if self._was is not None else None

    def _forget(self) -> None:
        """The review has ended."""
        self._then, self._was = {}, None
        self._coming.clear()
