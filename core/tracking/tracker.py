# SPDX-License-Identifier: GPL-2.0-or-later
"""Tracking date by date, forwards and then backwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .asking import Answerer
from .matching import REACH, Expected, assign
from .state import Dates, Followed, OpenDate
from .status import LEAST_VISIBLE, Status, contrast, goes_on, look, look_box, visible_share

Report = Callable[[int, int], None]
"""Called with the dates done and all dates."""


@dataclass(frozen=True, eq=False)
class Sighting:
    """What became of an object at a date.

    Args:
        object: Its number.
        date: Number of the date in the series.
        status: Present, gone, or hidden: not visible, or in one shape with another object or with
            what is around it.
        visible: Share of its expected place that could be seen, 0 to 1.
        shape: Where it is, pixels of the grid; None unless it is present.
        score: The model's own estimate of IoU; None where no model was asked.
        stability: IoU of the shape cut one logit higher and lower.
        likeness: To the object as it was seen before, 0 to 1; None where it was given.
        grown: It is hidden as it has grown together with what is around it.
    """

    object: int
    date: int
    status: Status
    visible: float
    shape: Any | None = None
    score: float | None = None
    stability: float | None = None
    likeness: float | None = None
    grown: bool = False


@dataclass(frozen=True)
class TrackOptions:
    """How objects are followed.

    Args:
        clouds: Look for clouds.
        reach: How far an object may have moved unexpectedly between two dates, in object sides
            (the square root of its area).
    """

    clouds: bool = True
    reach: float = REACH


def follow_all(
    dates: Dates,
    shapes: Sequence[Any],
    start: int,
    answerer: Answerer,
    options: TrackOptions | None = None,
    report: Report | None = None,
) -> Iterator[Sighting]:
    """Follow objects from the date at which they are known to the last, then to the first.

    Args:
        dates: The series.
        shapes: The objects, pixels of the grid (x = column, y = row).
        start: Number of the date at which they are known.
        answerer: Finds them in a date.
        options: How.
        report: Told about progress.

    Yields:
        One sighting an object and date; dates in the order in which they are done.
    """
    options = options or TrackOptions()
    total = len(dates.series)
    for number, shape in enumerate(shapes):
        yield Sighting(number, start, "present", 1.0, shape)
    done = 1
    for order, reverse in (
        (range(start + 1, total), False),
        (range(start - 1, -1, -1), True),
    ):
        if not order:
            continue
        date = _opened(dates, start)
        objects = [_begun(date, shape) for shape in shapes]
        answerer.start(date, objects)
        for number in order:
            if report is not None:
                report(done, total)
            if dates.check is not None:
                dates.check()
            yield from _step(dates, number, start, objects, answerer, options, reverse)
            done += 1
    if report is not None:
        report(total, total)


def _opened(dates: Dates, number: int) -> OpenDate:
    dates.pinned = number
    return dates.at(number)


def _begun(date: OpenDate, shape: Any) -> Followed:
    reference = look(date.frame, *look_box(shape))
    own = contrast(reference, shape)
    return Followed(
        shape,
        date.time,
        date.number,
        (shape, date.number),
        looks=() if own is None else (own,),
        reference=reference,
        part=goes_on(reference, shape),
    )


def _step(
    dates: Dates,
    number: int,
    start: int,
    objects: Sequence[Followed],
    answerer: Answerer,
    options: TrackOptions,
    reverse: bool,
) -> Iterator[Sighting]:
    """All objects at one date."""
    date = _opened(dates, number)
    expected = [
        Expected(known.expected(date.time), known.looks, options.reach) for known in objects
    ]
    visible = [
        _visible(dates, date, start, known, wanted, options)
        for known, wanted in zip(objects, expected, strict=True)
    ]
    asked = [index for index, share in enumerate(visible) if share >= LEAST_VISIBLE]
    offers = answerer.offers(
        date,
        [objects[index] for index in asked],
        [expected[index] for index in asked],
        reverse=reverse,
    )
    found = assign([expected[index] for index in asked], offers)
    answers = dict(zip(asked, found, strict=True))
    for index, known in enumerate(objects):
        if index not in answers:
            yield Sighting(index, number, "hidden", visible[index])
            continue
        match = answers[index]
        offer = match.offer
        if offer is None:
            status: Status = "hidden" if match.merged else "gone"
            yield Sighting(index, number, status, visible[index])
            continue
        if not known.part and goes_on(look(date.frame, *look_box(offer.shape)), offer.shape):
            # What was last seen with a border of its own stays what is looked for.
            yield Sighting(index, number, "hidden", visible[index], grown=True)
            continue
        known.seen(offer.shape, date.time, number, offer.look)
        yield Sighting(
            index,
            number,
            "present",
            visible[index],
            offer.shape,
            offer.score,
            offer.stability,
            match.likeness,
        )


def _visible(
    dates: Dates,
    date: OpenDate,
    start: int,
    known: Followed,
    wanted: Expected,
    options: TrackOptions,
) -> float:
    """Share of an object's expected place that shows the ground."""
    box, factor = look_box(wanted.shape)
    now = look(date.frame, box, factor)
    if options.clouds and (known.reference is None or known.reference.box != box):
        known.reference = look(dates.at(start).frame, box, factor)
    return visible_share(now, known.reference, wanted.shape, look_for_clouds=options.clouds)
