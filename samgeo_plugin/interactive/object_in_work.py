# SPDX-License-Identifier: GPL-2.0-or-later
"""The object in work: its prompts, what the engine answered to them, and what it will be.

Plain data: what is asked of the engine, and when, is :mod:`.session`'s.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Optional

from ..job import Prompt
from .accept_queue import Closed
from .candidates import Candidate
from .place import Place


@dataclass
class ObjectInWork:
    """One object, from its first prompt until it is accepted or given up.

    Args:
        prompts: In the order in which they were given.
        bases: Which candidate each prompt corrects.
        place: The existing feature that is being corrected; None for a new object.
        class_said: Its class was chosen while it was in work.
        own_class: Its class where it was accepted before and taken back; None for the class of
            all new objects.
        candidates: The masks that the model offers.
        index: Which of them is shown.
        limit: Why the object was not followed further, if it was not.
        answered: How many prompts the candidates answer: fewer or more than there are, while the
            others are asked.
        wanted_index: Which candidate of the answer that is to come will be shown.
        escaped: The last step was Esc, and it took one prompt back.
        count_before: How many prompts there were before the last one was added.
        index_before: Which candidate was shown then.
    """

    prompts: list[Prompt] = field(default_factory=list)
    bases: list[int] = field(default_factory=list)
    place: Optional[Place] = None
    class_said: bool = False
    own_class: Optional[str] = None
    candidates: tuple[Candidate, ...] = ()
    index: int = 0
    limit: Optional[str] = None
    answered: int = 0
    wanted_index: int = 0
    escaped: bool = False
    count_before: int = 0
    index_before: int = 0

    @classmethod
    def taken_back(cls, closed: Closed) -> ObjectInWork:
        """An accepted object that is in work again; it has no answer."""
        said = bool(closed.object_class)
        return cls(
            prompts=list(closed.prompts),
            bases=list(closed.bases),
            place=closed.place,
            class_said=said,
            own_class=closed.object_class if closed.place is None or said else None,
            wanted_index=closed.index,
        )

    def for_another_raster(self, wanted_index: int) -> ObjectInWork:
        """The same object without an answer, to be asked of another raster or model."""
        return ObjectInWork(
            self.prompts,
            self.bases,
            self.place,
            self.class_said,
            self.own_class,
            wanted_index=wanted_index,
        )

    @property
    def current(self) -> Optional[Candidate]:
        """The candidate that is shown."""
        return self.candidates[self.index] if self.candidates else None

    @property
    def uncorrected(self) -> Optional[Place]:
        """The existing feature while its outline, as it was taken up, is the only prompt."""
        return self.place if len(self.prompts) == 1 else None

    # --- prompts and answers --------------------------------------------------------------------

    def add(self, prompt: Prompt) -> None:
        """The prompt corrects the candidate that is shown."""
        self.count_before, self.index_before = len(self.prompts), self.index
        self.prompts.append(prompt)
        self.bases.append(self.index)
        self.escaped = False

    def take_back(self) -> int:
        """Take the last prompt back; returns which candidate it corrected."""
        self.prompts.pop()
        return self.bases.pop()

    def take_back_click(self) -> bool:
        """Take the click of a double click back; False where it began the object, or where the
        last prompt is another one."""
        if not self.count_before or len(self.prompts) != self.count_before + 1:
            return False
        self.take_back()
        return True

    def drop_unanswered(self) -> None:
        """Take back all prompts that the candidates do not answer."""
        del self.prompts[self.answered :], self.bases[self.answered :]

    def answer(self, candidates: tuple[Candidate, ...], limit: Optional[str]) -> None:
        """The engine's answer to all prompts."""
        self.candidates, self.limit = candidates, limit
        self.index = min(self.wanted_index, max(len(candidates) - 1, 0))
        self.answered = len(self.prompts)

    # --- class and place ------------------------------------------------------------------------

    def class_if_new(self, usual: str) -> str:
        """Its class, if it is a new object.

        Args:
            usual: The class of all new objects.
        """
        return usual if self.own_class is None else self.own_class

    def class_to_write(self, usual: str) -> str:
        """The class that it is written with; empty for none, or for the one that is there: a
        feature that is corrected keeps its class unless another one is said."""
        return self.class_if_new(usual) if self.place is None or self.class_said else ""

    def renumber_place(self, ids: dict[int, Optional[int]]) -> None:
        """A save has given features of the place's layer other ids (``SavedIds.changed``)."""
        now = None if self.place is None else ids.get(self.place.feature_id)
        if self.place is not None and now is not None:
            self.place = replace(self.place, feature_id=now)
