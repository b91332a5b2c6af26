# SPDX-License-Identifier: GPL-2.0-or-later
"""Overlapping rasters of a mosaic: which one is on top."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from ..errors import RasterError
from ..job import option
from ..notes import warn
from .dates import Moment, moment_in_name, moment_in_sidecar, moment_in_tags
from .mosaic import Mosaic, Part
from .names import short_name

SAME_PLACE = 0.5
"""Share of the smaller of two rasters that the other covers from which both show one place."""

RULES = ("auto", "newest", "oldest", "first", "last", "error")


def ordered(parts: Sequence[Part], rule: str) -> list[Part]:
    """The rasters of a mosaic from the lowest to the one on top.

    Args:
        parts: In the order in which they were given.
        rule: "newest" or "oldest" by their dates, "first" or "last" by their order; "auto" and
            "error" as "last".

    Raises:
        RasterError: The rule needs dates, and a raster has none.
    """
    if rule not in ("newest", "oldest"):
        return list(reversed(parts)) if rule == "first" else list(parts)
    dated: list[tuple[Part, Moment]] = []
    for part in parts:
        moment = moment_of(part)
        if moment is None:
            raise RasterError(
                f"Nothing says when {part.name} was taken, so that {option('overlap')} {rule} "
                "cannot be done: put the date into its name (2024-06-30), or use first or last."
            )
        dated.append((part, moment))
    dated.sort(key=lambda pair: pair[1].middle, reverse=rule == "oldest")
    return [part for part, _ in dated]


def moment_of(part: Part) -> Moment | None:
    """When a raster was taken, as far as its name, its sidecar, its tags or its folder say."""
    tags = dict(part.tags)
    taken, written = moment_in_tags(tags)
    try:
        named = moment_in_sidecar(part.name) or moment_in_name(short_name(part.name))
        folder = moment_in_name(PurePath(part.name).parent.name + ".x")
    except RasterError:
        named = folder = None  # several dates: none that could be relied on
    return taken or named or folder or written


def check_overlap(mosaic: Mosaic, rule: str) -> tuple[str, ...]:
    """Say that rasters overlap, as a warning too.

    Returns:
        Sentences for people; empty where nothing overlaps.

    Raises:
        RasterError: They do, and the rule is "error"; or two show one place on different dates, and
            the rule is "auto".
    """
    parts = mosaic.parts
    boxes = _boxes(mosaic)
    one, other = shapely.STRtree(boxes).query(boxes, predicate="intersects")
    pairs = one < other
    one, other = one[pairs], other[pairs]
    common = shapely.area(shapely.intersection(boxes[one], boxes[other]))
    real = common > 0.5
    one, other, common = one[real], other[real], common[real]
    if len(one) == 0:
        return ()
    share = common / np.minimum(shapely.area(boxes[one]), shapely.area(boxes[other]))
    worst = int(np.argmax(share))
    low, high = parts[one[worst]], parts[other[worst]]
    what = (
        f"{short_name(low.name)} and {short_name(high.name)} overlap by "
        f"{_percent(float(share[worst]))} of the smaller one"
    )
    if rule == "error":
        raise RasterError(
            f"Rasters of the mosaic overlap, and {option('overlap')} is error: {what}."
        )
    if rule == "auto":
        _ask_for_rule(parts, one, other, share)
    number = len(set(one.tolist()) | set(other.tolist()))
    on_top = {
        "newest": "the newest",
        "oldest": "the oldest",
        "first": "the first one given",
    }.get(rule, "the last one given")
    note = f"{number} of the {len(parts)} rasters overlap ({what}): {on_top} is on top"
    advice = "" if rule != "auto" else f" ({option('overlap')} chooses)"
    warn(f"{note}{advice}.")
    return (f"{note}.",)  # of the raster: each front end has another name for the option


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.01 else "less than 1 %"


def _ask_for_rule(
    parts: Sequence[Part], one: NDArray[Any], other: NDArray[Any], share: NDArray[Any]
) -> None:
    moments: dict[int, Moment | None] = {}
    for first, second in zip(one[share > SAME_PLACE], other[share > SAME_PLACE], strict=True):
        for index in (int(first), int(second)):
            if index not in moments:
                moments[index] = moment_of(parts[index])
        early, late = moments[int(first)], moments[int(second)]
        if early is None or late is None or early.may_be(late):
            continue
        raise RasterError(
            f"{short_name(parts[first].name)} ({early.text}) and {short_name(parts[second].name)} "
            f"({late.text}) show one place on different dates: say which is on top with "
            f"{option('overlap')} newest or oldest (or first, last), or work on them one by one."
        )


def _boxes(mosaic: Mosaic) -> NDArray[Any]:
    """The parts as boxes of the mosaic's pixels."""
    cols, rows = np.array(mosaic.places, np.float64).T
    wide = np.array([part.width for part in mosaic.parts], np.float64)
    high = np.array([part.height for part in mosaic.parts], np.float64)
    boxes: NDArray[Any] = shapely.box(cols, rows, cols + wide, rows + high)
    return boxes


def labels(names: Sequence[str]) -> list[str]:
    """Short names of rasters; with their folder where two would be called the same."""
    short = [short_name(name) for name in names]
    often = Counter(short)
    return [
        "/".join(PurePath(name).parts[-2:]) if often[label] > 1 else label
        for name, label in zip(names, short, strict=True)
    ]
