# SPDX-License-Identifier: GPL-2.0-or-later
"""A raster's working resolutions for a session, and the choice of one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ..errors import ParameterError
from ..models.base import PromptableModel
from ..models.embedding_cache import EmbeddingCache
from ..prompts.prompts import PromptTransform
from .windows import Level, Source, model_cell

HYSTERESIS = 0.75
"""Octaves of zoom by which the view must differ from the working resolution before it changes."""

KEPT_PLACES = 16
"""Transformations kept: making one takes longer than using it."""


@dataclass
class Levels:
    """One raster at 2 ** octave full-resolution pixels per working pixel; opened when needed.

    Args:
        open_level: The raster at a number of full-resolution pixels per working pixel.
        model: A loaded model.
        cache: Keeps embeddings.
        octave: The working resolution in use.
    """

    open_level: Callable[[int], Source]
    model: PromptableModel
    cache: EmbeddingCache
    octave: int = field(default=0, init=False)
    _levels: dict[int, Level] = field(default_factory=dict, init=False, repr=False)
    _places: dict[tuple[int, str], PromptTransform] = field(
        default_factory=dict, init=False, repr=False
    )

    def __post_init__(self) -> None:
        self.octave = min(0, self.coarsest)

    def level(self, octave: int = 0) -> Level:
        """The raster at a working resolution.

        Args:
            octave: Below 0 smaller windows of full-resolution pixels, magnified by the model.
                Clamped to what makes sense.
        """
        octave = min(max(octave, self.finest), self.coarsest)
        if octave not in self._levels:
            source = self._full if octave <= 0 else self.open_level(2**octave)
            self._levels[octave] = Level(source, self.model, self.cache, octave)
        return self._levels[octave]

    @cached_property
    def _full(self) -> Source:
        return self.open_level(1)

    @property
    def finest(self) -> int:
        """The octave at which a mask cell is a pixel."""
        return -int(math.log2(model_cell(self.model)))

    @cached_property
    def coarsest(self) -> int:
        """The octave at which one window holds the whole raster."""
        size = model_cell(self.model) * self.model.info.mask_size
        return max(self.finest, math.ceil(math.log2(max(self._full.shape) / size)))

    def coarser(self, than: int, step: int) -> Level | None:
        """The level ``step`` times coarser than an octave, as far as there is one."""
        octave = min(than + int(math.log2(step)), self.coarsest)
        return self.level(octave) if octave > than else None

    @property
    def encoded(self) -> int:
        """Windows encoded so far at all levels."""
        return sum(level.encoded for level in self._levels.values())

    # -- the choice ------------------------------------------------------------------------------

    def octave_for(self, view: float) -> int:
        """The working resolution for a view of so many full-resolution pixels per screen pixel.

        The one in use stays until the view differs plainly, so that zooming a little to see
        better does not change what is seen.
        """
        wanted = math.log2(max(view, 1e-9))
        if abs(wanted - self.octave) > HYSTERESIS:
            return min(max(math.floor(wanted + 0.5), self.finest), self.coarsest)
        return self.octave

    def octave_at(self, at: Sequence[float], pixel_size: float | None, crs: Any = None) -> int:
        """The working resolution for a view.

        Args:
            at: (x, y) of a place in view.
            pixel_size: Ground units of ``crs`` a screen pixel; None for full resolution.
            crs: Of both; None for the raster's.
        """
        if pixel_size is None:
            return min(0, self.coarsest)
        if not (math.isfinite(pixel_size) and pixel_size > 0):
            raise ParameterError(f"The size of a screen pixel must be above 0, not {pixel_size}.")
        return self.octave_for(self.place(crs).pixel_length(at, pixel_size))

    # -- places ----------------------------------------------------------------------------------

    def place(self, crs: Any = None, octave: int = 0) -> PromptTransform:
        """Between positions in a CRS and the pixels of a level."""
        return self.place_at(self.level(octave), crs)

    def place_at(self, level: Level, crs: Any) -> PromptTransform:
        """:meth:`place`, of a level at hand."""
        key = (level.octave, str(crs))
        if key not in self._places:
            self._places[key] = PromptTransform(
                level.source.transform, level.source.crs, crs, level.source.shape
            )
            while len(self._places) > KEPT_PLACES:
                del self._places[next(iter(self._places))]
        return self._places[key]

    def close(self) -> None:
        """Close the raster at all resolutions."""
        coarser = [level.source for level in self._levels.values() if level.octave > 0]
        for source in (self._full, *coarser):
            closing = getattr(source, "close", None)
            if closing is not None:
                closing()
        self._levels.clear()
