# SPDX-License-Identifier: GPL-2.0-or-later
"""What a person should know before reading the tables of a track."""

from __future__ import annotations

from collections.abc import Sequence

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
            "they have become from a layer of that date."
        )
    return found


def _named(rows: Sequence[tuple[int, int]], ids: Sequence[str], dates: Sequence[str]) -> str:
    """Objects with their dates, the first few of them."""
    by_object: dict[int, list[str]] = {}
    for number, date in rows:
        by_object.setdefault(number, []).append(dates[date])
    texts = [f"{ids[number]} ({', '.join(when)})" for number, when in by_object.items()]
    more = len(texts) - NAMED
    return "; ".join(texts[:NAMED]) + (f"; and {more} more" if more > 0 else "")
