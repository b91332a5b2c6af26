# SPDX-License-Identifier: GPL-2.0-or-later
"""Finding objects again with a model with memory (SAM 2, 2.1, EdgeTAM).

Each object has a memory for each window in which it is followed. A window stays as long as the
object lies well inside it; where the object moves on, the next window is shown the object at the
date at which it was last seen, and at the first. An object larger than a window is followed in
several, whose answers are fused; what grows beyond them is followed into the neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from affine import Affine
from rasterio.features import rasterize

from ..interactive.first_prediction import WELL_INSIDE, add_window, nothing_known
from ..interactive.propagate import Walk
from ..interactive.windows import Level
from ..masks.sparse_logits import Field
from ..models.families.memory.object_memory import ObjectMemory
from ..models.families.memory.video import TorchVideoModel
from ..types import BoolArray, PixelBox
from .asking import extent_of, offer_of
from .matching import Expected, Offer
from .state import Dates, Followed, OpenDate

PRESENT = 0.5
"""Probability of being there from which an object is there."""

Place = tuple[int, PixelBox]
"""A window, with the octave of its level."""


class MemoryAnswerer:
    """A model with memory; see the module.

    Args:
        dates: The series.
        model: The same that ``dates`` has.
    """

    def __init__(self, dates: Dates, model: TorchVideoModel) -> None:
        self._dates = dates
        self._model = model

    def start(self, date: OpenDate, objects: Sequence[Followed]) -> None:
        """Show the objects to the model, in the windows in which they lie."""
        for known in objects:
            known.memories.clear()
        self._show_new(objects, [self._places(date, known, known.shape) for known in objects])

    def offers(
        self,
        date: OpenDate,
        objects: Sequence[Followed],
        expected: Sequence[Expected],
        *,
        reverse: bool,
    ) -> list[list[Offer]]:
        places = [
            self._places(date, known, wanted.shape)
            for known, wanted in zip(objects, expected, strict=True)
        ]
        self._show_new(objects, places)
        fields: dict[int, Field] = {}
        scores: dict[int, list[tuple[float, float]]] = {}
        levels: dict[int, Level] = {}
        for place in sorted({place for row in places for place in row}):
            here = [
                index
                for index, row in enumerate(places)
                if place in row and place in objects[index].memories
            ]
            level = date.levels.level(place[0])
            embedding = level.encode(place[1], self._dates.check) if here else None
            if embedding is None:
                continue
            memories = [objects[index].memories[place] for index in here]
            said = self._model.follow(embedding, date.number, memories, reverse=reverse)
            for row, index in enumerate(here):
                levels[index] = level
                known = fields.get(index, nothing_known(level))
                fields[index] = add_window(known, level, place[1], said.logits[row])
                if said.presence[row] >= PRESENT:
                    size = float((said.logits[row] > 0).sum())
                    scores.setdefault(index, []).append((float(said.scores[row]), size))
        found: list[list[Offer]] = [[] for _ in objects]
        for index in sorted(scores):
            offer = self._closed(date, levels[index], fields[index], places[index], scores[index])
            if offer is not None:
                found[index] = [offer]
        return found

    def _closed(
        self,
        date: OpenDate,
        level: Level,
        known: Field,
        places: Sequence[Place],
        scores: Sequence[tuple[float, float]],
    ) -> Offer | None:
        """A fused answer followed to its end."""
        if known.positive_box() is None:
            return None
        walk = Walk(
            level,
            date.coarser(level),
            (),
            limits=self._dates.limits,
            check=self._dates.check,
            windows={window for _, window in places},
        )
        known = walk.follow(known)
        total = sum(size for _, size in scores)
        mean = sum(score * size for score, size in scores) / total if total else 0.0
        return offer_of(date, level, known, mean, remembered=True)

    # -- windows ---------------------------------------------------------------------------------

    def _places(self, date: OpenDate, known: Followed, shape: Any) -> list[Place]:
        """The windows in which an object is followed."""
        extent = extent_of(shape)
        for octave, window in sorted(known.memories):
            lattice = date.levels.level(octave).lattice
            side = max(extent[2] - extent[0], extent[3] - extent[1])
            if lattice.margin(window, extent) >= lattice.size / 8 and side >= lattice.size / 64:
                return [(octave, window)]
        level = date.level_for(shape)
        lattice = level.lattice
        alone = lattice.around(extent)
        if lattice.margin(alone, extent) >= WELL_INSIDE * lattice.size:
            return [(level.octave, alone)]
        covering = [
            window
            for window in lattice.covering(extent)
            if _drawn(shape, lattice.trusted(window).pixels(lattice.cell)).any()
        ]
        return [(level.octave, window) for window in covering[: self._dates.limits.windows]]

    def _show_new(self, objects: Sequence[Followed], places: Sequence[list[Place]]) -> None:
        """Memories for the windows that have none; those of windows that were left are dropped."""
        wanted: dict[tuple[int, Place], list[tuple[Followed, Any, ObjectMemory]]] = {}
        for known, row in zip(objects, places, strict=True):
            for place in [place for place in known.memories if place not in row]:
                del known.memories[place]
            for place in row:
                if place in known.memories:
                    continue
                memory = self._model.new_memory(len(self._dates.series))
                sightings = {known.first[1]: known.first[0], known.date: known.shape}
                for number, shape in sightings.items():
                    if _drawn(shape, place[1]).any():
                        wanted.setdefault((number, place), []).append((known, shape, memory))
        for (number, place), group in sorted(wanted.items(), key=lambda item: item[0]):
            level = self._dates.at(number).levels.level(place[0])
            embedding = level.encode(place[1], self._dates.check)
            if embedding is None:
                continue
            outlines = np.stack([_drawn(shape, place[1]) for _, shape, _ in group])
            self._model.show(
                embedding, number, [memory for _, _, memory in group], outlines=outlines
            )
            for known, _, memory in group:
                known.memories[place] = memory


def _drawn(shape: Any, window: PixelBox) -> BoolArray:
    """A shape's pixels in a window: (H, W) bool."""
    if shape.is_empty:
        return np.zeros(window.shape, bool)
    place = Affine.translation(window.col0, window.row0)
    drawn: BoolArray = rasterize(
        [shape], window.shape, transform=place, dtype="uint8", all_touched=False
    ).astype(bool)
    return drawn
