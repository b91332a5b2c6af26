# SPDX-License-Identifier: GPL-2.0-or-later
"""Objects that two overlapping scenes show: which of them stay.

Two scenes see an object alike where both look, and one of them may see only a part of it. So what
is compared is what lies on the ground that both scenes show: there, two outlines of one object have
an intersection over union of at least :data:`SAME`. Of an object's outlines the one stays that is
the newest (where dates differ and one per place is wanted), else the largest, else the one with the
higher score; then places and names decide, so that neither the order of the scenes nor that of
their objects matters.

Memory holds two scenes, and two numbers for each object that has a duplicate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray

from ...earth.longitude import moved_by
from ...sources.dates import read_moment
from .ground import Ground

SAME = 0.5
"""Intersection over union, on the common ground, from which two outlines are of one object."""

SEEN = 0.02
"""Share of an object that must lie on the common ground for it to be compared."""


@dataclass(frozen=True, eq=False)
class Part:
    """A scene's layer.

    Args:
        id: Of the scene.
        path: GeoParquet file.
        date: ISO 8601, or "".
        dates: Those that it may be of: its date, else those in its name; none are any.
        footprint: (n, 2) outline of the scene in the layer's CRS.
        modified: Time of change of its raster, UTC.
        pixel: Metres of its working pixel on the ground.
    """

    id: str
    path: Path
    date: str
    dates: Sequence[str]
    footprint: NDArray[np.float64]
    modified: datetime
    pixel: float


def duplicates(parts: Sequence[Part], rule: str, ground: Ground) -> dict[str, NDArray[np.int64]]:
    """Which objects are left out.

    Args:
        parts: The scenes' layers, in the order of their names.
        rule: "date": duplicates of one date; "place": whatever the date; "keep": none.
        ground: Where the scenes lie.

    Returns:
        For each scene with duplicates, the rows of its layer that are left out, ascending.
    """
    if rule == "keep" or len(parts) < 2:
        return {}

    @lru_cache(maxsize=4)
    def read(number: int) -> _Objects:
        objects = _Objects.read(parts[number].path)
        return replace(objects, shapes=ground.placed(number, objects.shapes))

    ranks: dict[tuple[int, int], tuple[Any, ...]] = {}
    same: list[tuple[tuple[int, int], tuple[int, int]]] = []
    for one, other, x in ground.pairs():
        if rule == "date" and not _one_date(parts[one].dates, parts[other].dates):
            continue
        beside = moved_by(ground.outlines[other], x)
        common = shapely.intersection(ground.outlines[one], beside)
        if shapely.area(common) <= 0:
            continue
        here, there = read(one), read(other)
        for a, b in zip(*_pairs(here, there.moved(x), common), strict=True):
            for number, row, objects in ((one, int(a), here), (other, int(b), there)):
                date = parts[number].date if rule == "place" else ""
                ranks.setdefault((number, row), objects.rank(row, date, parts[number].id))
            same.append(((one, int(a)), (other, int(b))))
    left_out = _losers(ranks, same)
    found: dict[str, list[int]] = {}
    for number, row in left_out:
        found.setdefault(parts[number].id, []).append(row)
    return {name: np.array(sorted(rows), np.int64) for name, rows in found.items()}


def _one_date(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether two scenes may be of one date; those without a date may be of any."""
    first, second = (
        [moment for date in dates if (moment := read_moment(date)) is not None]
        for dates in (one, other)
    )
    if not first or not second:
        return True
    return any(a.may_be(b) or a.start.date() == b.start.date() for a in first for b in second)


@dataclass(frozen=True, eq=False)
class _Objects:
    """What is compared of a scene's objects."""

    shapes: NDArray[Any]
    scores: NDArray[np.float64]
    ids: list[str]

    @classmethod
    def read(cls, path: Path) -> _Objects:
        frame = gpd.read_parquet(path, columns=["id", "score", "geometry"])
        shapes = np.asarray(frame.geometry.array, dtype=object)
        scores = frame["score"].fillna(0.0).to_numpy(np.float64)
        return cls(shapes, scores, frame["id"].tolist())

    def moved(self, x: float) -> _Objects:
        return replace(self, shapes=moved_by(self.shapes, x))

    def rank(self, row: int, date: str, scene: str) -> tuple[Any, ...]:
        """By which one of two is better: the greater."""
        shape = self.shapes[row]
        moment = read_moment(date)
        newness = moment.start.timestamp() if moment is not None else float("-inf")
        size = round(float(shapely.area(shape)), 9)
        corner = tuple(round(v, 9) for v in shapely.bounds(shape).tolist())
        return newness, size, float(self.scores[row]), corner, scene, self.ids[row]


def _pairs(here: _Objects, there: _Objects, common: Any) -> tuple[Any, Any]:
    """Rows of two scenes' objects that are one and the same."""
    shapely.prepare(common)
    first = np.flatnonzero(shapely.intersects(here.shapes, common))
    second = np.flatnonzero(shapely.intersects(there.shapes, common))
    if len(first) == 0 or len(second) == 0:
        return (), ()
    mine, size = _on(here.shapes[first], common)
    theirs, their_size = _on(there.shapes[second], common)
    a, b = shapely.STRtree(theirs).query(mine)
    shared = shapely.area(shapely.intersection(mine[a], theirs[b]))
    union = size[a] + their_size[b] - shared
    with np.errstate(invalid="ignore", divide="ignore"):
        alike = (union > 0) & (shared / union >= SAME)
    seen = size > SEEN * shapely.area(here.shapes[first])
    their_seen = their_size > SEEN * shapely.area(there.shapes[second])
    alike &= seen[a] & their_seen[b]
    return first[a[alike]], second[b[alike]]


def _on(shapes: NDArray[Any], common: Any) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Shapes cut to the common ground, and their areas; most lie within it as they are."""
    cut = shapes.copy()
    crossing = ~shapely.covers(common, shapes)
    cut[crossing] = shapely.intersection(shapes[crossing], common)
    return cut, shapely.area(cut)


def _losers(
    ranks: dict[tuple[int, int], tuple[Any, ...]],
    same: Sequence[tuple[tuple[int, int], tuple[int, int]]],
) -> set[tuple[int, int]]:
    """Objects that a better one stands for: the best stays, its duplicates go, and so on."""
    beside: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for one, other in same:
        beside.setdefault(one, []).append(other)
        beside.setdefault(other, []).append(one)
    gone: set[tuple[int, int]] = set()
    for best in sorted(ranks, key=lambda key: ranks[key], reverse=True):
        if best not in gone:
            gone.update(beside.get(best, ()))
    return gone
