# SPDX-License-Identifier: GPL-2.0-or-later
"""The question about the object in work: one at a time, asked when the engine is free for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional

from qgis.PyQt.QtCore import QObject, pyqtSignal

from ..i18n import tr
from ..job import Failure, MessageError, Prompt
from .accept_queue import Question
from .candidates import Candidate
from .engine_session import EngineSession


class Asking(QObject):
    """Whether a question is due or on its way; what answers an earlier one is dropped.

    Args:
        engine: The open raster.
        parent: Qt's owner.

    Attributes:
        is_due: The question is to be asked as soon as it can be.
    """

    answered = pyqtSignal(object, object)
    """The candidates, and why the object was not followed further, if it was not."""

    refused = pyqtSignal(object)
    message = pyqtSignal(str, str, str)
    progressed = pyqtSignal(object)

    def __init__(self, engine: EngineSession, parent: Optional[QObject] = None) -> None:
        super().__init__(parent)
        self._engine = engine
        self._question: Optional[Question] = None
        self.is_due = False

    @property
    def is_waiting(self) -> bool:
        """An answer is on its way, or is to be asked for."""
        return self._question is not None or self.is_due

    def want(self) -> None:
        """There is another question now."""
        before = self.hand_over()  # first: a request that is not sent yet is refused at once
        if before is not None:
            self._engine.client.cancel(before.request)
        self.is_due = True

    def ask(self, prompts: Sequence[Prompt], candidate: int) -> None:
        """Ask what is due.

        Args:
            prompts: All of the object's.
            candidate: Which of the last answer's candidates the newest prompt corrects.
        """
        self.is_due = False
        question = Question(
            lambda result: self._answered(question, result),
            lambda failure: self._refused(question, failure),
        )
        self._question = question
        question.request = self._engine.ask(
            prompts,
            lambda result: question.on_result(result),
            lambda failure: question.on_failure(failure),
            self.progressed.emit,
            candidate=candidate,
        )

    def cancel(self) -> None:
        """The engine need not go on with the current question; it says so."""
        if self._question is not None:
            self._engine.client.cancel(self._question.request)

    def drop(self) -> None:
        """Nothing is to be asked any more."""
        self.is_due = False
        if self._question is not None:
            self._engine.give_up(self._question.request)
            self._question = None

    def hand_over(self) -> Optional[Question]:
        """Give the current question to another owner, who hears of its answer."""
        question, self._question = self._question, None
        return question

    def lose_engine(self) -> None:
        """The engine's process is gone: what was asked is asked again."""
        self.is_due = self.is_waiting
        self._question = None

    def _answered(self, question: Question, result: dict[str, Any]) -> None:
        if question is not self._question:
            return
        self._question = None
        try:
            made = tuple(Candidate.from_dict(each) for each in result.get("candidates") or [])
        except MessageError as error:
            made = ()
            self.message.emit("error", tr("The engine's answer could not be read."), str(error))
        limit = result.get("limit")
        self.answered.emit(made, str(limit) if limit else None)

    def _refused(self, question: Question, failure: Failure) -> None:
        if question is self._question:
            self._question = None
            self.refused.emit(failure)
