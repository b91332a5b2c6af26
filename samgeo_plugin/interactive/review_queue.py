# SPDX-License-Identifier: GPL-2.0-or-later
"""The order in which a review shows polygons, and the place in it.

Plain data: what is read from the layer, and what is told of it, is :mod:`.review`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from .doubt import Facts


@dataclass(frozen=True)
class ReviewFilter:
    """Which features are in the queue; None and empty mean all."""

    label: Optional[str] = None
    status: Optional[str] = None
    least_area: float = 0.0
    most_area: float = 0.0

    def lets(self, facts: Facts) -> bool:
        if self.label is not None and facts.label != self.label:
            return False
        if self.status is not None and facts.status != self.status:
            return False
        if facts.area < self.least_area:
            return False
        return not (self.most_area > 0 and facts.area > self.most_area)


class ReviewQueue:
    """Polygons by doubt, the most doubtful first; ties by place."""

    def __init__(self) -> None:
        self.facts: dict[int, Facts] = {}
        self.filter = ReviewFilter()
        self.ordered = False
        """False until all facts are there."""
        self._order: list[int] = []
        self._gone: set[int] = set()
        """Deleted features that are in the order still, or were read before it was made."""
        self._at = 0

    def begin(self) -> None:
        """All facts are to be read anew."""
        self.facts, self._gone, self.ordered = {}, set(), False

    def forget_deleted(self) -> None:
        """What was deleted while it was read is left out."""
        for feature_id in self._gone:
            self.facts.pop(feature_id, None)

    def end(self) -> None:
        """Nothing is shown any more."""
        self._order, self._at, self.ordered = [], 0, False

    def fill(self, *, keep: bool) -> bool:
        """Order all that the filter lets.

        Args:
            keep: The current one stays so, where it is shown still.

        Returns:
            Whether another one may be current now.
        """
        current = self.current if keep else None
        let = [(facts, each) for each, facts in self.facts.items() if self.filter.lets(facts)]
        let.sort(key=lambda each: (-round(each[0].doubt, 6), each[0].at))
        self._order, self._gone, self.ordered = [each for _, each in let], set(), True
        if current is not None and current in self._order:
            self._at = self._order.index(current)
            return False
        waiting = [k for k, each in enumerate(self._order) if not self.facts[each].status]
        self._at = waiting[0] if waiting else 0
        return True

    @property
    def features(self) -> list[int]:
        """Their ids in order."""
        # All deleted ones at once: to search the order for each takes minutes.
        if self._gone and self.ordered:
            left = [each for each in self._order if each not in self._gone]
            self._at -= sum(each in self._gone for each in self._order[: self._at])
            self._at = min(self._at, max(len(left) - 1, 0))
            self._order, self._gone = left, set()
        return self._order

    @property
    def current(self) -> Optional[int]:
        """The feature that is looked at."""
        features = self.features
        return features[self._at] if 0 <= self._at < len(features) else None

    @property
    def position(self) -> int:
        """Of the current one."""
        return self._at if self.features else 0

    @property
    def hidden(self) -> list[int]:
        """What the filter leaves out; what was decided since it was set is shown still."""
        shown = set(self.features)
        return [
            each
            for each, facts in self.facts.items()
            if each not in shown and not self.filter.lets(facts)
        ]

    def go(self, step: int) -> bool:
        """To another one; False where there is none."""
        if not self.features:
            return False
        self._at = min(max(self.position + step, 0), len(self.features) - 1)
        return True

    def add(self, feature_id: int, facts: Optional[Facts] = None) -> bool:
        """A feature has come, or is there again.

        Args:
            feature_id: Its id.
            facts: Of it; None where it is read with the others.

        Returns:
            Whether it is the current one now.
        """
        if facts is None or not self.ordered:
            self._gone.discard(feature_id)
            return False
        self.facts[feature_id] = facts
        if not self.filter.lets(facts):
            return False
        self.features.insert(self._at, feature_id)
        return True

    def delete(self, feature_id: int) -> bool:
        """A feature has gone; returns whether it was the current one."""
        self._gone.add(feature_id)
        if not self.ordered:
            return False
        self.facts.pop(feature_id, None)
        return self._order[self._at : self._at + 1] == [feature_id]

    def rename(self, ids: dict[int, Optional[int]]) -> None:
        """Features have other ids, or None where they have gone; order and place stay."""
        order = [ids.get(each, each) for each in self.features]
        self._at -= sum(each is None for each in order[: self._at])
        self._order = [each for each in order if each is not None]
        now = [(ids.get(each, each), facts) for each, facts in self.facts.items()]
        self.facts = {each: facts for each, facts in now if each is not None}
