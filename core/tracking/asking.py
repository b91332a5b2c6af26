# SPDX-License-Identifier: GPL-2.0-or-later
"""Finding objects again with a model without memory: their last shape is the prompt.

The model is asked with the object's shape as mask and box where it is expected, and where it was,
and with a box around it that leaves room, as a mask prompt holds what has grown at its old size. Of
answers that are variants of one thing the model's own estimate chooses.
What reaches a window's border is followed into the neighbours as everywhere. Where no answer can
be the object and objects may move (``reach``), places around are asked with points, as far as the
window reaches.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np
import shapely
from affine import Affine

from ..errors import PromptError
from ..interactive.first_prediction import Question, add_window, begin, nothing_known
from ..interactive.windows import Level
from ..masks.sparse_logits import Field
from ..models.base import FOREGROUND, Prompts
from ..prompts.prompts import PixelPrompt
from ..types import FloatArray
from ..vectors.object_polygon import object_polygon
from .matching import REACH as MATCHING_REACH
from .matching import Expected, Offer, likeness
from .state import Dates, Followed, OpenDate
from .status import contrast, look, look_box

DIRECTIONS = 8
STEPS = (1 / 3, 2 / 3, 1)
"""Shares of its reach at which an object is looked for."""

SIMILAR_SIZE = (0.4, 2.5)
"""Areas, in areas of the object, of what is found by looking around."""

ROOM = 0.15
"""Margin of the box that leaves room, in sides of the object's box."""

VARIANT = 0.3
"""IoU from which two answers are variants of one thing."""

LOOKED_AT = 3
"""Of what is found by looking around, the best that are looked at closely."""


class Answerer(Protocol):
    """Something that finds objects again in a date."""

    def start(self, date: OpenDate, objects: Sequence[Followed]) -> None:
        """Get to know the objects at the date at which they are given."""

    def offers(
        self,
        date: OpenDate,
        objects: Sequence[Followed],
        expected: Sequence[Expected],
        *,
        reverse: bool,
    ) -> list[list[Offer]]:
        """What each object could be in a date; an empty list where it is not there."""


class PromptAnswerer:
    """Any promptable model; see the module.

    Args:
        dates: The series.
    """

    def __init__(self, dates: Dates) -> None:
        self._dates = dates

    def start(self, date: OpenDate, objects: Sequence[Followed]) -> None:
        """Nothing to remember."""

    def offers(
        self,
        date: OpenDate,
        objects: Sequence[Followed],
        expected: Sequence[Expected],
        *,
        reverse: bool,
    ) -> list[list[Offer]]:
        found: list[list[Offer]] = [[] for _ in objects]
        # Windows one after the other, so that each is encoded once.
        order = sorted(range(len(objects)), key=lambda i: self._window(date, expected[i].shape))
        for index in order:
            found[index] = self._ask(date, objects[index], expected[index])
        return found

    @staticmethod
    def _window(date: OpenDate, shape: Any) -> tuple[int, int, int, int, int]:
        level = date.level_for(shape)
        window = level.lattice.around(extent_of(shape))
        return level.octave, window.row0, window.col0, window.row1, window.col1

    def _ask(self, date: OpenDate, known: Followed, expected: Expected) -> list[Offer]:
        offers: list[Offer] = []
        for shape in _once([expected.shape, known.shape]):
            offers += self._prompted(date, shape)
        offers = _best_variants([o for o in offers if likeness(expected, o) > 0]) or offers
        found = any(likeness(expected, offer) > 0 for offer in offers)
        if found or expected.reach <= MATCHING_REACH:
            return offers
        return offers + self._around(date, expected)

    def _prompted(self, date: OpenDate, shape: Any) -> list[Offer]:
        level = date.level_for(shape)
        prompt = shape_prompt(shape, level.source.shape)
        if prompt is None:
            return []
        offers = []
        for asked in (prompt, _roomy_box(prompt, level.source.shape)):
            question = Question(
                level,
                date.coarser(level),
                (asked,),
                limits=self._dates.limits,
                check=self._dates.check,
            )
            try:
                candidates = begin(question)
            except PromptError:  # no data there, or so little of the object that it names nothing
                continue
            for candidate in candidates:
                offer = offer_of(date, level, candidate.known, candidate.score)
                if offer is not None:
                    offers.append(offer)
        return offers

    def _around(self, date: OpenDate, expected: Expected) -> list[Offer]:
        """What lies around the place at which an object is expected."""
        shape = expected.shape
        level = date.level_for(shape)
        window = level.lattice.around(extent_of(shape))
        side = max(shape.area, 1.0) ** 0.5
        centre = shape.centroid
        turns = np.arange(DIRECTIONS) * (2 * np.pi / DIRECTIONS)
        spots = np.array(
            [
                (centre.y + away * side * np.sin(turn), centre.x + away * side * np.cos(turn))
                for away in np.array(STEPS) * expected.reach
                for turn in turns
            ]
        )
        height, width = level.source.shape
        inside = (spots > (window.row0, window.col0)) & (spots < (window.row1, window.col1))
        inside &= (spots > 0) & (spots < (height, width))
        spots = spots[inside.all(axis=1)]
        if not len(spots):
            return []
        relative = (spots - (window.row0, window.col0)).astype(np.float32)
        prompts = Prompts(
            points=relative[:, None], labels=np.full((len(spots), 1), FOREGROUND, np.int8)
        )
        said = level.ask(window, prompts, multimask=True, check=self._dates.check)
        if said is None:
            return []
        logits = said[0].reshape(-1, *said[0].shape[2:])
        scores = said[1].reshape(-1)
        areas = (logits > 0).sum(axis=(1, 2)) * level.cell**2 / max(shape.area, 1.0)
        fitting = np.flatnonzero((areas >= SIMILAR_SIZE[0]) & (areas <= SIMILAR_SIZE[1]))
        found: list[tuple[float, Offer]] = []
        for number in _distinct(logits, scores, fitting):
            known = add_window(nothing_known(level), level, window, logits[number])
            offer = offer_of(date, level, known, float(scores[number]))
            if offer is not None:
                found.append((likeness(expected, offer), offer))
        found.sort(key=lambda pair: (-pair[0], pair[1].shape.bounds))
        return [offer for _, offer in found[:LOOKED_AT]]


def offer_of(
    date: OpenDate, level: Level, known: Field, score: float, *, remembered: bool = False
) -> Offer | None:
    """An answer's field as an offer; None where it is empty."""
    shape = object_polygon(known, level.cell, Affine.identity(), level.source.shape)
    if shape.is_empty or shape.area <= 0:
        return None
    seen = look(date.frame, *look_box(shape))
    return Offer(shape, score, contrast(seen, shape), remembered, known.stability())


def shape_prompt(shape: Any, size: tuple[int, int]) -> PixelPrompt | None:
    """A shape's largest part as a prompt, as far as it lies on the grid; None where it does not."""
    height, width = size
    clipped = shapely.intersection(shapely.make_valid(shape), shapely.box(0, 0, width, height))
    parts = [p for p in shapely.get_parts(shapely.get_parts(clipped)) if p.geom_type == "Polygon"]
    if not parts:
        return None
    largest = max(parts, key=lambda part: (part.area, part.bounds))
    if largest.area < 0.25:
        return None
    return PixelPrompt("polygon", shapely.get_coordinates(largest.exterior)[:, ::-1])


def _roomy_box(prompt: PixelPrompt, size: tuple[int, int]) -> PixelPrompt:
    """A box around a prompt with room to grow, as far as the grid goes."""
    row0, col0, row1, col1 = prompt.extent
    room = ROOM * max(row1 - row0, col1 - col0)
    low = [max(row0 - room, 0), max(col0 - room, 0)]
    high = [min(row1 + room, size[0]), min(col1 + room, size[1])]
    return PixelPrompt("box", np.array([low, high]))


def _best_variants(offers: Sequence[Offer]) -> list[Offer]:
    """Offers without those of which there is a variant with a better score."""
    kept: list[Offer] = []
    for offer in sorted(offers, key=lambda o: (-o.score, o.shape.bounds, o.shape.area)):
        for other in kept:
            shared = shapely.intersection(offer.shape, other.shape).area
            if shared >= VARIANT * (offer.shape.area + other.shape.area - shared):
                break
        else:
            kept.append(offer)
    return kept


def extent_of(shape: Any) -> tuple[float, float, float, float]:
    """(row0, col0, row1, col1) of a shape in pixels."""
    col0, row0, col1, row1 = shape.bounds
    return row0, col0, row1, col1


def _once(shapes: Iterable[Any]) -> list[Any]:
    kept: list[Any] = []
    for shape in shapes:
        if all(shape is not other for other in kept):
            kept.append(shape)
    return kept


def _distinct(logits: FloatArray, scores: FloatArray, which: np.ndarray) -> list[int]:
    """Masks that are not the same as one with a better score, the best dozen."""
    kept: list[int] = []
    for number in which[np.argsort(-scores[which], kind="stable")].tolist():
        mask = logits[number] > 0
        for other in kept:
            before = logits[other] > 0
            if (mask & before).sum() >= 0.7 * (mask | before).sum():
                break
        else:
            kept.append(number)
        if len(kept) == 12:
            break
    return kept
