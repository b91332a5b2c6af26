# SPDX-License-Identifier: GPL-2.0-or-later
"""The magnification of a job's raster for the model: chosen once for all windows."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np

from ..earth.crs import known_crs
from ..earth.geometry import middle_pixel
from ..errors import CheckpointError, ModelError, ParameterError, RasterError
from ..job import SegmentParameters, option
from ..models.base import PromptableModel
from ..models.catalogue import CATALOGUE, EMBEDDED
from ..models.embedded.proposals import LEAST_DEPTH
from ..models.embedded.scale import SCALES, SMALL_OBJECT, choose_scale, scale_in
from ..parallel.cancellation import check
from ..raster.raster import Raster
from ..types import PixelBox

LOOKED_AT = 512
"""Side in network pixels of the squares whose objects say how large a raster's objects are."""

FEW = 30
"""Proposals below which their sizes say nothing of a raster."""


@runtime_checkable
class Scalable(Protocol):
    """A model that can be told how much to magnify images."""

    def scaled(self, scale: float) -> Any:
        """The same model at another scale."""


M = TypeVar("M", bound=PromptableModel)


def scale_for(
    given: float | None,
    raster: Any,
    *,
    content: bool = True,
    classifier: str | None = None,
) -> float:
    """A job's scale: what was asked for, or what suits the ground resolution and the objects.

    Args:
        given: The parameter ``scale``.
        raster: Open, at the working resolution.
        content: Whether to look at it, too: a raster whose objects are small for the embedded model
            is magnified more than its ground resolution says.
        classifier: Path of a saved classifier that the job uses: its scale is taken.
    """
    if given is not None:
        return given
    if classifier is not None:
        from ..classes.saved import load_classifier  # scikit-learn takes seconds to import

        return scale_in(load_classifier(classifier, "objects").classifier.model)
    scale = choose_scale(pixel_metres(raster))
    while content and scale < SCALES[-1] and typical_side(raster, scale) < SMALL_OBJECT:
        scale *= 2
    return scale


def pixel_metres(raster: Any) -> float | None:
    """Side of a raster's working pixel in its middle, metres; None without a CRS that says so."""
    return middle_pixel(raster.transform, known_crs(raster.crs), (raster.height, raster.width))


def typical_side(raster: Raster, scale: float) -> float:
    """How long objects are, in network pixels at a scale.

    The shipped embedded model proposes objects in up to four squares of the raster, whatever model
    the job uses: the same raster has the same scale for all of them.

    Returns:
        The median of the longer sides of their boxes; infinity where there are too few.
    """
    seeing = _shipped().scaled(scale)
    sides: list[float] = []
    for box in _squares(raster.shape, round(LOOKED_AT / scale)):
        check()  # a raster on a server may be slow
        try:
            seen = raster.read(box)
        except RasterError:
            continue  # whoever needs these pixels says it
        if not seen.valid.any():
            continue
        proposed = seeing.propose(seeing.encode([seen.pixels])[0])
        rows, cols = proposed.points.astype(np.intp).T
        # The smallest objects are proposed from a lower depth, and many of those are nothing.
        boxes = proposed.boxes[seen.valid[rows, cols] & (proposed.depth >= LEAST_DEPTH)]
        sides += np.ptp(boxes.reshape(-1, 2, 2), axis=1).max(axis=1).tolist()
    return float(np.median(sides)) * scale if len(sides) >= FEW else math.inf


@lru_cache(maxsize=1)
def _shipped() -> Any:
    """The embedded model as it comes, on the CPU."""
    from ..models.load import load_model  # torch takes seconds to import

    return load_model(EMBEDDED, "cpu")


def _squares(shape: tuple[int, int], side: int) -> Iterator[PixelBox]:
    """Squares around the middles of a raster's quarters; fewer where it is small."""
    starts = []
    for length in shape:
        middles = (length // 4, 3 * length // 4) if length >= 2 * side else (length // 2,)
        starts.append([min(max(0, m - side // 2), max(0, length - side)) for m in middles])
    for row, col in itertools.product(*starts):
        yield PixelBox(row, col, min(row + side, shape[0]), min(col + side, shape[1]))


def has_scales(model: str) -> bool:
    """Whether a model, by its name or path, is a network that can be told how much to magnify."""
    if model in CATALOGUE:
        return model == EMBEDDED
    from ..models.weights.checkpoints import locate
    from ..models.weights.tensors import family_note

    try:
        path = locate(model).path
    except (CheckpointError, ModelError):
        return False  # whoever loads it says why not
    return path.suffix == ".safetensors" and family_note(path) == EMBEDDED


def magnifies(params: SegmentParameters) -> bool:
    """Whether a job is one of the embedded model, or of its proposals, and so has a scale."""
    if params.words or params.exemplars is not None:
        return False
    proposes = params.prompts is None and params.proposals == "embedded"
    return proposes or has_scales(params.model)


def no_choice(model: str) -> ParameterError:
    """What a model without the choice says to a scale."""
    return ParameterError(
        f"{model} brings every window to its own size, so that a scale says nothing: leave "
        f"{option('scale')} out, or choose another {option('tile_size')}."
    )


def scaled(model: M, scale: float, given: float | None) -> M:
    """A model at a job's scale.

    Args:
        model: A loaded one.
        scale: From :func:`scale_for`.
        given: The parameter; models that bring every window to one size take none.

    Raises:
        ParameterError: The scale is unknown, or the model has no choice of it.
    """
    if isinstance(model, Scalable):
        out: M = model.scaled(scale)
        return out
    if given is not None:
        raise no_choice(model.info.name)
    return model
