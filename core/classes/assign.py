# SPDX-License-Identifier: GPL-2.0-or-later
"""Which object each example means."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from ..errors import PromptError
from ..job import option
from ..notes import warn
from ..types import BoolArray
from .examples import Example

SAME = 0.5
"""IoU of a polygon (or a box) and an object (or its box) from which on they are the same thing."""

INNER = 0.2
"""Power of the area by which the score of an object is divided that a point may mean: on a car in a
car park the car is meant. Of points in 2,099 objects of the six places of
``benchmarks/class_settings.py`` .879 mean the right one with 0, .885, .887 and .890 with 0.05, 0.1
and 0.2; the smallest object with at least 0.9 or 0.8 of the best score is right for .878 and .857.
"""

ALONG = 0.5
"""Share of a stroke's length that must lie in an object for the stroke to mean it."""


Places = Callable[[Sequence[Example]], str]
"""Examples to a sentence that says where they lie."""


@dataclass(frozen=True, eq=False)
class Marked:
    """Objects that examples mean.

    Args:
        rows: (m,) int64 numbers of the objects, ascending, each once.
        names: Their classes.
        lost: Examples that lie on no object, or on one off the raster's data.
        beside: Those of them that lie on no object though objects were looked for there.
    """

    rows: NDArray[np.int64]
    names: list[str]
    lost: int
    beside: tuple[Example, ...] = ()


def assign(
    examples: Sequence[Example],
    polygons: NDArray[Any],
    score: NDArray[np.float64],
    seen: BoolArray | None = None,
    searched: Any | None = None,
    places: Places | None = None,
    lower: str | None = None,
) -> Marked:
    """Find the object of each example.

    A point means the object around it with the best score, small ones first where it is nearly as
    good (:data:`INNER`); where the model gave none, the smallest. A stroke means the best of those
    that hold half of it. A box means the object whose own box is most like it, and a polygon the
    object most like it.

    Args:
        examples: In working pixels.
        polygons: Of the objects, likewise.
        score: (n,) predicted IoU, NaN where unknown.
        seen: (n,) bool, False for objects off the raster's data, of which nothing can be learnt;
            None where all may be marked.
        searched: Polygon in working pixels in which objects were looked for; None for everywhere.
        places: Says where examples lie, for messages; None leaves it out.
        lower: Parameter of the job a lower value of which may find more objects, for messages; None
            where there is none.

    Raises:
        PromptError: No example lies on an object, one object is marked as two classes, or all
            examples of a class lie off the raster's data.
    """
    order = np.nan_to_num(score, nan=0.0).round(3)
    area = shapely.area(polygons)
    tree = shapely.STRtree(polygons)
    marks: dict[int, list[Example]] = {}
    outside = 0
    beside: list[Example] = []
    unseen: list[str] = []
    for example in examples:
        near = np.sort(tree.query(example.geometry, predicate="intersects"))
        row = _best(example, near, polygons, order, area)
        if row is None:
            if searched is not None and not searched.intersects(example.geometry):
                outside += 1
            else:
                beside.append(example)
        elif seen is not None and not seen[row]:
            unseen.append(example.class_name)
        else:
            marks.setdefault(row, []).append(example)
    found = {example.class_name for meant_by in marks.values() for example in meant_by}
    _check_seen(examples, found, unseen)
    _check_one_class_each(marks.values(), places)
    _check_found(examples, found, len(beside), outside, lower)
    rows = sorted(marks)
    names = [marks[row][0].class_name for row in rows]
    lost = len(beside) + outside + len(unseen)
    return Marked(np.array(rows, np.int64), names, lost, tuple(beside))


def unlike_all(examples: Sequence[Example], polygons: NDArray[Any]) -> list[Any]:
    """Polygons among the examples that no object of a layer is like: objects of their own."""
    tree = shapely.STRtree(polygons)
    area, none = shapely.area(polygons), np.zeros(len(polygons))
    found: dict[bytes, Any] = {}
    for example in examples:
        if example.kind == "polygon":
            near = np.sort(tree.query(example.geometry, predicate="intersects"))
            if _best(example, near, polygons, none, area) is None:
                found.setdefault(shapely.to_wkb(shapely.normalize(example.geometry)), example)
    return [found[key].geometry for key in sorted(found)]


def _best(
    example: Example,
    near: NDArray[np.int64],
    polygons: NDArray[Any],
    score: NDArray[np.float64],
    area: NDArray[np.float64],
) -> int | None:
    if not len(near):
        return None
    if example.kind == "point":
        good = near
        worth = score[near] / np.maximum(area[near], 1e-12) ** INNER
        rank = np.lexsort((near, area[near], -worth))
    elif example.kind == "stroke":
        held = shapely.length(shapely.intersection(polygons[near], example.geometry))
        good = near[held >= ALONG * example.geometry.length]
        rank = np.lexsort((good, area[good], -score[good]))
    else:
        shapes = polygons[near]
        drawn = example.geometry
        if example.kind == "box":
            shapes, drawn = shapely.envelope(shapes), shapely.envelope(drawn)
        common = shapely.area(shapely.intersection(shapes, drawn))
        iou = common / np.maximum(shapely.area(shapes) + drawn.area - common, 1e-12)
        same = iou >= SAME
        good = near[same]
        rank = np.lexsort((good, -iou[same].round(6)))
    return int(good[rank[0]]) if len(good) else None


def _check_seen(examples: Sequence[Example], found: set[str], unseen: Sequence[str]) -> None:
    gone = sorted(set(unseen) - found)
    if gone:
        raise PromptError(
            f"No example of {' or of '.join(repr(name or 'none of these') for name in gone)} lies "
            "on the raster's data: mark objects that the raster shows."
        )
    if unseen:
        where = "on objects where the raster has no data"
        warn(_left_out(len(unseen), len(examples), where))


def _check_one_class_each(marks: Iterable[Sequence[Example]], places: Places | None) -> None:
    one_of_each = [{one.class_name: one for one in reversed(meant_by)} for meant_by in marks]
    both = [means for means in one_of_each if len(means) > 1]
    if both:
        said = " and as ".join(name or "none of these" for name in sorted(both[0]))
        where = ""
        if places is not None:
            where = f" {places([means[name] for means in both for name in sorted(means)])}"
        raise PromptError(
            f"{len(both)} object{'s are' if len(both) > 1 else ' is'} marked as {said}: leave one "
            f"mark on each.{where}"
        )


def _check_found(
    examples: Sequence[Example], found: set[str], lost: int, outside: int, lower: str | None
) -> None:
    ways_out = "mark objects of the layer, or draw polygons."
    if lower is not None:
        ways_out = f"lower {option(lower)}, mark other objects, or draw polygons."
    searched = "outside the area that is searched"
    where = f" ({_lie(outside, len(examples), searched)})" if outside else ""
    if not found:
        raise PromptError(
            f"None of the {len(examples)} examples lies on an object{where}: {ways_out}"
        )
    asked = {example.class_name for example in examples}
    missing = sorted(asked - found)
    if len(asked) > 1 and len(asked) - len(missing) < 2:
        raise PromptError(
            f"No example of {' or of '.join(repr(name or 'none of these') for name in missing)} "
            f"lies on an object{where}: {ways_out}"
        )
    if outside:
        warn(_left_out(outside, len(examples), searched))
    if lost:
        draw = "Draw" if lower is None else f"Lower {option(lower)}, or draw"
        warn(
            f"{_left_out(lost, len(examples), 'on no object')} {draw} polygons to teach what the "
            "model did not find."
        )


def _lie(count: int, whole: int, where: str) -> str:
    return f"{count} of the {whole} examples {'lies' if count == 1 else 'lie'} {where}"


def _left_out(count: int, whole: int, where: str) -> str:
    return f"{_lie(count, whole, where)}: {'it was' if count == 1 else 'they were'} left out."
