# SPDX-License-Identifier: GPL-2.0-or-later
"""The magnification of a job's raster for the model: chosen once for all windows."""

from __future__ import annotations

import math
from typing import Any, Protocol, TypeVar, runtime_checkable

import pyproj

from ..errors import ParameterError
from ..job import option
from ..models.base import PromptableModel
from ..models.embedded.scale import choose_scale


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
    if raster.crs is None:
        return None
    try:
        crs = pyproj.CRS.from_user_input(raster.crs.to_wkt())
        t, rows, cols = raster.transform, raster.height, raster.width
        col, row = cols / 2, rows / 2
        x, y = t.a * col + t.b * row + t.c, t.d * col + t.e * row + t.f
        sides = [(x + t.a, y + t.d), (x + t.b, y + t.e)]
        if crs.is_geographic:
            geod = crs.get_geod()
            if geod is None:
                return None
            lengths = [geod.inv(x, y, *side)[2] for side in sides]
        else:
            unit = crs.axis_info[0].unit_conversion_factor if crs.axis_info else 1.0
            lengths = [math.hypot(side[0] - x, side[1] - y) * unit for side in sides]
    except pyproj.exceptions.ProjError:
        return None
    side = math.sqrt(lengths[0] * lengths[1])
    return side if math.isfinite(side) and side > 0 else None


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
