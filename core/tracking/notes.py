# SPDX-License-Identifier: GPL-2.0-or-later
"""What a person should know before reading the tables of a track."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..job import option
from .matching import same_shape
from .tracker import Sighting

NAMED = 3
"""Objects that a note names."""


def notes(sightings: Sequence[Sighting], ids: Sequence[str], dates: Sequence[str]) -> list[str]:
    """Sentences about what can be misread; none where there is nothing.

    Args:
        sightings: In any order.
        ids: Of the objects.
        dates: As they are written, by number.
    """
    found = []
    grown = sorted((one.object, one.date) for one in sightings if one.grown)
    if grown:
        found.append(
            f"{_named(grown, ids, dates)}: grown together with what is around, as most of the "
            "border is no longer seen. The status is hidden and the area empty there; follow what "
            f"they have become from a layer of a later date ({option('at')})."
        )
    unseen = _gone_and_back(sightings)
    if unseen:
        found.append(
            f"{_named(unseen, ids, dates)}: gone, and back later with the same place and area. "
            "They may have been there and not been found, as they looked different: choose bands "
            f"in which they stand out at all dates ({option('bands')})."
        )
    return found


def _gone_and_back(sightings: Sequence[Sighting]) -> list[tuple[int, int]]:
    """Objects and dates at which they are gone between two sightings of one shape."""
    found = []
    before: dict[int, Any] = {}
    since: dict[int, list[int]] = {}  # dates at which an object is gone since it was last seen
    for one in sorted(sightings, key=lambda one: (one.object, one.date)):
        if one.status == "gone" and one.object in before:
            since.setdefault(one.object, []).append(one.date)
        elif one.shape is not None:
            gone = since.pop(one.object, [])
            if gone and same_shape(before[one.object], one.shape):
                found += [(one.object, date) for date in gone]
            before[one.object] = one.shape
    return found


def _named(rows: Sequence[tuple[int, int]], ids: Sequence[str], dates: Sequence[str]) -> str:
    """Objects with their dates, the first few of them."""
    by_object: dict[int, list[str]] = {}
    for number, date in rows:
        by_object.setdefault(number, []).append(dates[date])
    texts = [f"{ids[number]} ({', '.join(when)})" for number, when in by_object.items()]
    more = len(texts) - NAMED
    return "; ".join(texts[:NAMED]) + (f"; and {more} more" if more > 0 else "")
