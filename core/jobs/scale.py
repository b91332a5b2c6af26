# SPDX-License-Identifier: GPL-2.0-or-later
"""The magnification of a job's raster for the model: chosen once for all windows."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np

from ..earth.crs import known_crs
from ..earth.geometry import middle_pixel
from ..errors import ParameterError
from ..job import option
from ..merge import Merged
from ..models.base import PromptableModel
from ..models.embedded.scale import SCALES, SMALL_OBJECT, choose_scale

FEW_OBJECTS = 30
"""Objects below which their sizes say nothing of a raster."""


@runtime_checkable
class Scalable(Protocol):
    """A model that can be told how much to magnify images."""

    def scaled(self, scale: float) -> Any:
        """The same model at another scale."""


def no_choice(model: str) -> ParameterError:
    """What a model without the choice says to a scale."""
    return ParameterError(
        f"{model} brings every window to its own size, so that a scale says nothing: leave "
        f"{option('scale')} out, or choose another {option('tile_size')}."
    )


M = TypeVar("M", bound=PromptableModel)


def pixel_metres(raster: Any) -> float | None:
    """Side of a raster's working pixel in its middle, metres; None without a CRS that says so."""
    return middle_pixel(raster.transform, known_crs(raster.crs), (raster.height, raster.width))


def scale_for(given: float | None, raster: Any) -> float:
    """A job's scale: what was asked for, or what suits the ground resolution.

    Args:
        given: The parameter ``scale``.
        raster: Open, at the working resolution.
    """
    return choose_scale(pixel_metres(raster)) if given is None else given


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


def small_objects_note(objects: Merged, scale: float | None) -> list[str]:
    """Advice for a raster whose objects are small for the embedded model, if they are.

    Args:
        objects: What was found.
        scale: What was chosen for the raster; None where there was no choice.
    """
    if scale is None or scale >= SCALES[-1] or len(objects) < FEW_OBJECTS:
        return []
    box = objects.summary.box
    sides = np.maximum(box[:, 2] - box[:, 0], box[:, 3] - box[:, 1]) * objects.cell
    typical = float(np.median(sides))
    if typical * scale >= SMALL_OBJECT:
        return []
    return [
        f"Half of the objects are less than {typical:.0f} pixels long, which is small for the "
        f"embedded model: {option('scale')} {2 * scale:g} finds more of them and draws them "
        "better, but takes four times as long."
    ]
