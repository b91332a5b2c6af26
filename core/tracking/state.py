# SPDX-License-Identifier: GPL-2.0-or-later
"""The state of a tracked object, and the rasters that are open."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

import numpy as np
import shapely

from ..interactive.propagate import Limits
from ..interactive.pyramid import Levels
from ..interactive.windows import Check, Level
from ..models.base import PromptableModel
from ..models.embedding_cache import EmbeddingCache
from ..models.families.memory.object_memory import ObjectMemory
from ..raster.raster import RasterOptions
from ..types import PixelBox
from .frames import CommonGrid, Frame
from .series import DatedRaster
from .status import Look

OPEN_DATES = 3
"""Dates whose files are open at a time: the one at work, the first, and one to look back to."""

WINDOWS_IN_MEMORY = 6
"""Embeddings of a date that are kept while it is open."""

SIDES_OF_WINDOW = 8
"""Object sides that a window should at most hold: smaller objects are magnified, as far as the
model's cells allow."""

FURTHER = 2.0
"""Times the last movement that an object is expected to have gone on at most."""

STILL = 0.25
"""Object sides by which an object must have moved for its movement to be believed."""


@dataclass(eq=False)
class Followed:
    """An object on its way through the dates.

    Args:
        shape: As it was last seen, pixels of the grid (x = column, y = row).
        time: When that was.
        date: Number of that date in the series.
        looks: Contrasts with its surroundings: of the first date, and of the last at which it was
            seen.
        first: Its shape at the date at which it was given, and that date's number.
        earlier: Centre and time of the sighting before, for its movement.
        reference: Its surroundings at the first date, as last asked for.
        part: It was given as a part of something that goes on beyond its border.
        memories: Of a model with memory, by octave and window; see :mod:`.remembering`.
    """

    shape: Any
    time: datetime
    date: int
    first: tuple[Any, int]
    looks: tuple[np.ndarray, ...] = ()
    earlier: tuple[float, float, datetime] | None = None
    reference: Look | None = None
    part: bool = False
    memories: dict[tuple[int, PixelBox], ObjectMemory] = field(default_factory=dict)

    def expected(self, time: datetime) -> Any:
        """Its shape where it would be if it went on as it did between the last two sightings."""
        if self.earlier is None:
            return self.shape
        x, y, before = self.earlier
        centre = self.shape.centroid
        right, down = centre.x - x, centre.y - y
        seconds = (self.time - before).total_seconds()
        side = max(self.shape.area, 1.0) ** 0.5
        if seconds == 0 or np.hypot(right, down) < STILL * side:
            return self.shape
        share = float(np.clip((time - self.time).total_seconds() / seconds, -FURTHER, FURTHER))
        return shapely.transform(self.shape, lambda xy: xy + np.array([right, down]) * share)

    def seen(self, shape: Any, time: datetime, date: int, look: np.ndarray | None) -> None:
        """Note a sighting."""
        centre = self.shape.centroid
        self.earlier = (centre.x, centre.y, self.time)
        self.shape, self.time, self.date = shape, time, date
        if look is not None:
            self.looks = (*self.looks[:1], look)


class Dates:
    """The dates of a series on one grid; a few are open at a time.

    Args:
        series: All dates.
        grid: On whose pixels they are seen.
        model: What encodes and decodes.
        options: How to look at the rasters.
        check: Raises ``Cancelled``.

    :attr:`pinned` is the number of the date at work, which stays open.
    """

    def __init__(
        self,
        series: Sequence[DatedRaster],
        grid: CommonGrid,
        model: PromptableModel,
        options: RasterOptions | None = None,
        check: Check | None = None,
    ) -> None:
        self.series = series
        self.grid = grid
        self.model = model
        self.options = options or RasterOptions()
        self.check = check
        self.limits = Limits()
        self.pinned: int | None = None
        self._open: OrderedDict[int, OpenDate] = OrderedDict()

    def at(self, number: int) -> OpenDate:
        """A date, opened where it is not."""
        if number in self._open:
            self._open.move_to_end(number)
            return self._open[number]
        for oldest in list(self._open)[: max(0, len(self._open) - OPEN_DATES + 1)]:
            if oldest != self.pinned:
                self._open.pop(oldest).close()
        self._open[number] = OpenDate(self, number)
        return self._open[number]

    def close(self) -> None:
        """Close all dates."""
        while self._open:
            self._open.popitem()[1].close()


class OpenDate:
    """One date, seen through a model at several resolutions."""

    def __init__(self, dates: Dates, number: int) -> None:
        self.number = number
        self.dated = dates.series[number]
        self._dates = dates
        self._frames: dict[int, Frame] = {}
        cache = EmbeddingCache(folder=None, in_memory=WINDOWS_IN_MEMORY)
        self.levels = Levels(self.frame, dates.model, cache)

    @property
    def time(self) -> datetime:
        return self.dated.moment.middle

    def frame(self, factor: int) -> Frame:
        """The date at a number of the grid's pixels per pixel."""
        if factor not in self._frames:
            grid = self._dates.grid if factor == 1 else self._dates.grid.coarser(factor)
            self._frames[factor] = Frame(self.dated, grid, self._dates.options)
        return self._frames[factor]

    def level_for(self, shape: Any) -> Level:
        """The level at which an object is asked about: small ones are magnified."""
        col0, row0, col1, row1 = shape.bounds
        side = max(col1 - col0, row1 - row0, 1.0)
        whole = self.levels.level(0).lattice.size / 2.0 ** min(self.levels.level(0).octave, 0)
        octave = int(np.floor(np.log2(SIDES_OF_WINDOW * side / whole)))
        return self.levels.level(min(octave, 0))

    def coarser(self, level: Level) -> Callable[[int], Level | None]:
        """What :class:`~samgeo_core.interactive.propagate.Walk` asks for, from a level on."""
        return partial(self.levels.coarser, level.octave)

    def close(self) -> None:
        for frame in self._frames.values():
            frame.close()
        self._frames.clear()
